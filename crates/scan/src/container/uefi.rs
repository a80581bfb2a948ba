//! UEFI firmware volumes (PI specification, volume 3): the files of a volume by their GUIDs.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, align, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "uefi-fv",
    class: Class::Container,
    magics: &[Magic(40, b"_FVH")],
    carved: true,
    open,
};

fn guid(view: View<'_>, at: usize) -> Result<String, Fault> {
    let tail = view.slice(at + 8, 8)?;
    Ok(format!(
        "{:08x}-{:04x}-{:04x}-{}-{}",
        view.u32(at)?,
        view.u16(at + 4)?,
        view.u16(at + 6)?,
        ::hex::encode(&tail[..2]),
        ::hex::encode(&tail[2..])
    ))
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let length = usize::try_from(view.u64(32)?).map_err(|_| Fault::Malformed("volume length"))?;
    let head = usize::from(view.u16(48)?);
    if head < 56 || head % 2 == 1 || head > length {
        return Err(Fault::Malformed("volume header"));
    }
    let sum = view
        .slice(0, head)?
        .chunks_exact(2)
        .fold(0_u16, |sum, pair| {
            sum.wrapping_add(u16::from_le_bytes([pair[0], pair[1]]))
        });
    if sum != 0 {
        return Err(Fault::Checksum("volume header"));
    }
    let mut opened = Opened::default();
    opened.fact("guid", guid(view, 16)?);
    opened.used = length.min(bytes.len());
    if opened.used < length {
        opened.faults.push(Fault::Truncated("volume"));
    }
    let mut at = head;
    while at + 24 <= opened.used {
        let raw = view.slice(at, 24)?;
        if raw.iter().all(|b| *b == 0xff) {
            break;
        }
        budget.entry()?;
        let size = usize::from(raw[20]) | usize::from(raw[21]) << 8 | usize::from(raw[22]) << 16;
        if size < 24 || at + size > opened.used {
            opened.faults.push(Fault::Malformed("file of a volume"));
            break;
        }
        let name = guid(view, at)?;
        opened
            .entries
            .push(Entry::part(&name, cut(bytes, at + 24, size - 24)?));
        at = align(at + size, 8);
    }
    Ok(opened)
}

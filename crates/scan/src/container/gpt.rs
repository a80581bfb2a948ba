//! GUID partition tables (UEFI specification 5.3).

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, crc32, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "gpt",
    class: Class::Container,
    magics: &[Magic(512, b"EFI PART\0\0\x01\0")],
    carved: false,
    open,
};

const SECTOR: usize = 512;

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let place = |at| -> Result<usize, Fault> {
        usize::try_from(view.u64(at)?)
            .ok()
            .and_then(|n| n.checked_mul(SECTOR))
            .ok_or(Fault::Malformed("partition place"))
    };
    let mut head = view.slice(SECTOR, 92)?.to_vec();
    head[16..20].fill(0);
    if crc32(&head) != view.u32(SECTOR + 16)? {
        return Err(Fault::Checksum("partition table"));
    }
    let table = place(SECTOR + 72)?;
    let (count, size) = (view.at32(SECTOR + 80)?, view.at32(SECTOR + 84)?);
    if count > 1024 || !(128..=4096).contains(&size) {
        return Err(Fault::Malformed("partition table"));
    }
    let mut opened = Opened {
        used: bytes.len(),
        ..Opened::default()
    };
    for index in 0..count {
        let at = table + index * size;
        let Ok(kind) = view.slice(at, 16) else { break };
        if kind.iter().all(|b| *b == 0) {
            continue;
        }
        let (first, last) = (place(at + 32)?, place(at + 40)?);
        let name: Vec<u16> = view
            .slice(at + 56, 72)?
            .chunks_exact(2)
            .map(|c| u16::from_le_bytes([c[0], c[1]]))
            .take_while(|c| *c != 0)
            .collect();
        let name = String::from_utf16_lossy(&name).replace('/', "_");
        let length = (last + SECTOR).saturating_sub(first);
        match cut(bytes, first, length) {
            Ok(part) => opened
                .entries
                .push(Entry::part(&format!("{}-{name}", index + 1), part)),
            Err(fault) => opened.faults.push(fault),
        }
    }
    Ok(opened)
}

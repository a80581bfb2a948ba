//! Android's sparse images: chunks that are raw, filled or left out.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::{Budget, Limit},
    view::View,
};

pub(crate) static FORMAT: Format = Format {
    name: "android-sparse",
    class: Class::Container,
    magics: &[Magic(0, b"\x3a\xff\x26\xed")],
    carved: true,
    open,
};

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let (major, head, chunk) = (
        view.u16(4)?,
        usize::from(view.u16(8)?),
        usize::from(view.u16(10)?),
    );
    let (block, blocks, chunks) = (view.at32(12)?, view.at32(16)?, view.at32(20)?);
    if major != 1 || head < 28 || chunk < 12 || block == 0 || block % 4 != 0 {
        return Err(Fault::Malformed("sparse header"));
    }
    let size = budget.file(block as u64 * blocks as u64)?;
    if size as u64 > budget.grown(bytes.len()) {
        return Err(Limit::Ratio.into());
    }
    let mut out = Vec::new();
    let mut at = head;
    for _ in 0..chunks {
        let (kind, count, total) = (view.u16(at)?, view.at32(at + 4)?, view.at32(at + 8)?);
        let bytes_of = count
            .checked_mul(block)
            .filter(|n| n + out.len() <= size)
            .ok_or(Fault::Malformed("sparse chunk"))?;
        let body = at + chunk;
        budget.hold(bytes_of)?;
        match kind {
            0xcac1 => out.extend_from_slice(view.slice(body, bytes_of)?),
            0xcac2 => {
                let fill = view.slice(body, 4)?;
                out.extend(fill.iter().copied().cycle().take(bytes_of));
            }
            0xcac3 => out.resize(out.len() + bytes_of, 0),
            0xcac4 => {}
            _ => return Err(Fault::Malformed("sparse chunk")),
        }
        at = at
            .checked_add(total.max(chunk))
            .ok_or(Fault::Malformed("sparse chunk"))?;
    }
    Ok(Opened::stream(at.min(bytes.len()), "image", out))
}

//! Android boot images, versions 0 to 4, and vendor boot images.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    view::{View, align, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "android-boot",
    class: Class::Container,
    magics: &[Magic(0, b"ANDROID!"), Magic(0, b"VNDRBOOT")],
    carved: true,
    open,
};

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::little(bytes);
    let mut opened = Opened::default();
    let (page, head, parts): (usize, usize, Vec<(&str, usize)>) = if bytes.starts_with(b"VNDR") {
        opened.fact("cmdline", view.text(28, 2048)?);
        (
            view.at32(12)?,
            view.at32(2096)?,
            vec![("ramdisk", view.at32(24)?), ("dtb", view.at32(2100)?)],
        )
    } else {
        let version = view.u32(40)?;
        opened.fact("version", version.to_string());
        if matches!(version, 3 | 4) {
            opened.fact("cmdline", view.text(44, 1536)?);
            (
                4096,
                view.at32(20)?,
                vec![("kernel", view.at32(8)?), ("ramdisk", view.at32(12)?)],
            )
        } else {
            opened.fact("name", view.text(48, 16)?);
            opened.fact("cmdline", view.text(64, 512)?);
            let mut parts = vec![
                ("kernel", view.at32(8)?),
                ("ramdisk", view.at32(16)?),
                ("second", view.at32(24)?),
            ];
            match version {
                1 => parts.push(("recovery_dtbo", view.at32(1632)?)),
                2 => {
                    parts.push(("recovery_dtbo", view.at32(1632)?));
                    parts.push(("dtb", view.at32(1648)?));
                }
                // Before versions the word was the size of a device tree.
                size => parts.push(("dt", size as usize)),
            }
            (view.at32(36)?, 608, parts)
        }
    };
    if !page.is_power_of_two() || !(512..=1 << 20).contains(&page) || head > 1 << 20 {
        return Err(Fault::Malformed("page size of a boot image"));
    }
    let mut at = align(head.max(1), page);
    for (name, size) in parts {
        if size == 0 {
            continue;
        }
        match cut(bytes, at, size) {
            Ok(part) => opened.entries.push(Entry::part(name, part)),
            Err(fault) => opened.faults.push(fault),
        }
        at = at.saturating_add(align(size, page));
    }
    if opened.entries.is_empty() {
        return Err(Fault::Malformed("a boot image without parts"));
    }
    opened.used = at.min(bytes.len());
    Ok(opened)
}

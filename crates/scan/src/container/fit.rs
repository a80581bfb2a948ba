//! Flattened device trees (Devicetree Specification, chapter 5), and U-Boot's FIT images in them.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Entry, Format, Magic, Opened},
    limits::Budget,
    path,
    view::{View, align, cut},
};

pub(crate) static FORMAT: Format = Format {
    name: "fit",
    class: Class::Container,
    magics: &[Magic(0, b"\xd0\x0d\xfe\xed")],
    carved: true,
    open,
};

/// What stands about one node under `/images`.
#[derive(Default)]
struct Image {
    name: String,
    data: Option<Bytes>,
    /// Data outside the tree: behind it, or at an absolute place.
    behind: Option<usize>,
    placed: Option<usize>,
    size: Option<usize>,
}

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let view = View::big(bytes);
    let total = view.at32(4)?;
    let (structure, strings, version) = (view.at32(8)?, view.at32(12)?, view.u32(20)?);
    if total < 48 || total > bytes.len() || structure >= total || strings > total || version > 17 {
        return Err(Fault::Malformed("device tree header"));
    }
    let tree = view.part(0, total)?;
    let mut opened = Opened {
        used: total,
        ..Opened::default()
    };
    let mut images: Vec<Image> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let (mut at, mut signed) = (structure, false);
    loop {
        budget.entry()?;
        let token = tree.u32(at)?;
        at += 4;
        match token {
            1 => {
                let name = tree.text(at, (total - at).min(256))?;
                let length = memchr::memchr(0, tree.slice(at, (total - at).min(4096))?)
                    .ok_or(Fault::Malformed("device tree name"))?;
                at += align(length + 1, 4);
                names.push(name);
                if names.len() > 64 {
                    return Err(Fault::Malformed("device tree depth"));
                }
                if names.len() == 3 && names[1] == "images" {
                    images.push(Image {
                        name: names[2].replace('/', "_"),
                        ..Image::default()
                    });
                }
            }
            2 => {
                names.pop().ok_or(Fault::Malformed("device tree nesting"))?;
            }
            3 => {
                let (length, name) = (tree.at32(at)?, tree.at32(at + 4)?);
                let value = cut(bytes, at + 8, length)?;
                tree.slice(at + 8, length)?;
                at += 8 + align(length, 4);
                let from = strings
                    .checked_add(name)
                    .filter(|from| *from < total)
                    .ok_or(Fault::Malformed("device tree string"))?;
                let name = tree.text(from, (total - from).min(64))?;
                property(&names, &name, &value, &mut images, &mut opened, &mut signed);
            }
            4 => {}
            9 => break,
            _ => return Err(Fault::Malformed("device tree token")),
        }
    }
    if !images.is_empty() {
        opened.fact("signed", if signed { "yes" } else { "no" });
    }
    for image in images {
        let place = image
            .placed
            .or_else(|| image.behind.map(|at| align(total, 4).saturating_add(at)));
        let data = match (image.data, place, image.size) {
            (Some(data), ..) => data,
            (None, Some(at), Some(size)) => match cut(bytes, at, size) {
                Ok(data) => {
                    opened.used = opened.used.max(at + size);
                    data
                }
                Err(fault) => {
                    opened.faults.push(fault);
                    continue;
                }
            },
            _ => continue,
        };
        opened.entries.push(Entry::part(&image.name, data));
    }
    Ok(opened)
}

fn property(
    names: &[String],
    name: &str,
    value: &Bytes,
    images: &mut [Image],
    opened: &mut Opened,
    signed: &mut bool,
) {
    let text = || path::printable(value.split(|b| *b == 0).next().unwrap_or_default());
    let number = || View::big(value).at32(0).ok();
    if names.last().is_some_and(|n| n.starts_with("signature")) && name == "value" {
        *signed = true;
    }
    if names.len() == 1 {
        match name {
            "description" => opened.fact("name", text()),
            "model" => opened.fact("model", text()),
            "compatible" => opened.fact("compatible", text()),
            _ => {}
        }
    }
    if names.len() == 3
        && names[1] == "images"
        && let Some(image) = images.last_mut()
    {
        match name {
            "data" => image.data = Some(value.clone()),
            "data-offset" => image.behind = number(),
            "data-position" => image.placed = number(),
            "data-size" => image.size = number(),
            "arch" => opened.fact("arch", text()),
            "os" => opened.fact("os", text()),
            _ => {}
        }
    }
}

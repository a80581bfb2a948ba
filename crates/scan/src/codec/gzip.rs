//! gzip (RFC 1952), members one behind the other included.

use bytes::Bytes;

use super::drain;
use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::Budget,
    view::View,
};

pub(crate) static FORMAT: Format = Format {
    name: "gzip",
    class: Class::Compression,
    magics: &[Magic(0, b"\x1f\x8b\x08")],
    carved: true,
    open,
};

fn open(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Opened, Fault> {
    let head = View::little(bytes);
    // Reserved flags must be zero (section 2.3.1.2), which sorts out most accidents.
    let flags = head.u8(3)?;
    if flags & 0xe0 != 0 {
        return Err(Fault::Malformed("gzip flags"));
    }
    let name = if flags & 0x0c == 0x08 {
        let raw = &bytes[10.min(bytes.len())..];
        let end = memchr::memchr(0, &raw[..raw.len().min(256)]).unwrap_or(0);
        // A name of the header is a name, not a path.
        crate::path::printable(&raw[..end]).replace('/', "_")
    } else {
        String::new()
    };
    let mut rest: &[u8] = bytes;
    let mut out = Vec::new();
    let mut first = true;
    while first || rest.starts_with(b"\x1f\x8b\x08") {
        let mut member = flate2::bufread::GzDecoder::new(rest);
        match drain(&mut member, rest.len(), budget, "gzip stream") {
            Ok(part) => out.extend_from_slice(&part),
            Err(fault) if first => return Err(fault),
            Err(_) => break,
        }
        rest = member.into_inner();
        first = false;
    }
    let name = if name.is_empty() { "data" } else { &name };
    Ok(Opened::stream(bytes.len() - rest.len(), name, out))
}

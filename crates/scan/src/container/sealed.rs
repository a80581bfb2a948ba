//! Headers of update files whose content only the vendor's devices can read. That is said, instead of a
//! region of noise that nobody can explain.

use bytes::Bytes;

use crate::{
    Class, Fault,
    format::{Format, Magic, Opened},
    limits::Budget,
};

/// So much of the content must look like noise.
const NOISE: f64 = 7.5;
const HEAD: usize = 64;

pub(crate) static FORMAT: Format = Format {
    name: "sealed",
    class: Class::Container,
    magics: &[
        // D-Link's SHRS, and the form before it.
        Magic(0, b"SHRS"),
        Magic(0, b"encrpted_img"),
        // `openssl enc`, which several vendors use.
        Magic(0, b"Salted__"),
    ],
    carved: false,
    open,
};

fn open(bytes: &Bytes, _: &mut Budget<'_>) -> Result<Opened, Fault> {
    let content = &bytes[HEAD.min(bytes.len())..bytes.len().min(HEAD + (1 << 20))];
    if content.len() < 1024 || crate::carve::entropy(content) < NOISE {
        return Err(Fault::Malformed("a sealed header without noise behind it"));
    }
    let mark = match bytes[0] {
        b'e' => "encrpted_img",
        _ if bytes.starts_with(b"SHRS") => "SHRS",
        _ => "OpenSSL enc",
    };
    let mut opened = Opened::default();
    opened.fact("encrypted", mark);
    opened.used = bytes.len();
    Ok(opened)
}

//! What the names of symbols' versions say of a library: of most the release in which its interface
//! grew last, which is the least that it can be; of some the release itself.

use super::{Component, Evidence, Method, rules};
use crate::{elf::Elf, version::compare};

struct Row {
    /// Of the library's file.
    stem: &'static str,
    /// What stands before the number.
    prefix: &'static str,
    component: &'static str,
    /// Whether the number is the release.
    exact: bool,
}

const fn row(
    stem: &'static str,
    prefix: &'static str,
    component: &'static str,
    exact: bool,
) -> Row {
    Row {
        stem,
        prefix,
        component,
        exact,
    }
}

const ROWS: &[Row] = &[
    row("libc", "GLIBC_", "glibc", false),
    row("libcrypto", "OPENSSL_", "openssl", false),
    row("libssl", "OPENSSL_", "openssl", false),
    row("libgnutls", "GNUTLS_", "gnutls", false),
    row("libxml2", "LIBXML2_", "libxml2", false),
    row("libz", "ZLIB_", "zlib", false),
    row("liblzma", "XZ_", "xz", false),
    // Samba's libraries among themselves, which fit no other release.
    row("libsamba-util", "SAMBA_UTIL_", "samba", false),
    row("libsmbd-base-samba4", "SAMBA_", "samba", true),
    row("libsamba-debug-samba4", "SAMBA_", "samba", true),
    row("libutil-setid-samba4", "SAMBA_", "samba", true),
];

/// Looks into a library for the highest number of its symbols.
pub(super) fn look(chain: &str, bytes: &[u8], elf: &Elf, found: &mut Vec<Component>) {
    for row in ROWS.iter().filter(|row| elf.is(row.stem)) {
        let mut best: Option<(String, usize)> = None;
        for at in memchr::memmem::find_iter(bytes, row.prefix).take(10_000) {
            let alone = at.checked_sub(1).is_some_and(|before| bytes[before] == 0);
            let rest = &bytes[at + row.prefix.len()..];
            let end = rest.iter().take(24).position(|b| *b == 0);
            let Some(name) = end.and_then(|end| std::str::from_utf8(&rest[..end]).ok()) else {
                continue;
            };
            // OPENSSL_1_1_1, SAMBA_4.13.13_DEBIAN_4.13.13
            let number: Vec<&str> = name
                .split(['.', '_'])
                .take_while(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
                .collect();
            if !alone || number.len() < 2 {
                continue;
            }
            let number = number.join(".");
            if best
                .as_ref()
                .is_none_or(|(known, _)| compare(known, &number).is_lt())
            {
                best = Some((number, at));
            }
        }
        let Some((number, at)) = best else { continue };
        let text = match row.exact {
            true => format!("{}{number}", row.prefix),
            false => format!("{}{number}, at least", row.prefix),
        };
        let cpes = rules::of_package(row.component).map_or(&[][..], |(_, cpes)| cpes);
        found.push(Component::new(
            row.component,
            row.exact.then_some(number.as_str()),
            cpes,
            Method::Symbol,
            Evidence::new(chain, at, &text),
        ));
    }
}

//! Private keys in the forms in which devices keep them, and what makes a key weak.

use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memmem;

use super::known;
use crate::{
    risks::{Finding, Look, detail, masked},
    vulns::Severity,
};

const INTEGER: u8 = 2;
const OCTETS: u8 = 4;
const OID: u8 = 6;
const SEQUENCE: u8 = 0x30;
/// Files that are one key are no longer.
const MOST: usize = 16 << 10;
/// How a private key of OpenSSH's own begins (its `PROTOCOL.key`).
const OPENSSH: &[u8] = b"openssh-key-v1\0";

/// As much of a key as tells whether it is weak.
pub(super) struct Public<'a> {
    /// `RSA`, `DSA` or `EC`.
    pub(super) family: &'static str,
    pub(super) bits: usize,
    /// Of RSA; empty otherwise.
    pub(super) modulus: &'a [u8],
}

impl<'a> Public<'a> {
    /// Why it is weak: its size, its kind, or that its private half is published.
    pub(super) fn weakness(&self) -> Option<String> {
        if let Some(whose) = known::whose(self.modulus) {
            return Some(format!("{} {}: {whose}", self.family, self.bits));
        }
        let weak = match self.family {
            "RSA" => self.bits < 2048,
            "DSA" => true,
            _ => self.bits < 224,
        };
        weak.then(|| format!("{} {}", self.family, self.bits))
    }

    fn rsa(modulus: &'a [u8]) -> Public<'a> {
        let zeros = modulus.iter().take_while(|b| **b == 0).count();
        Public {
            family: "RSA",
            bits: (modulus.len() - zeros) * 8,
            modulus,
        }
    }

    fn other(family: &'static str, bits: usize) -> Public<'a> {
        Public {
            family,
            bits,
            modulus: &[],
        }
    }

    /// A public key of SSH (RFC 4253, 6.6; RFC 5656, 3.1).
    pub(super) fn of_ssh(blob: &'a [u8]) -> Option<Public<'a>> {
        let (kind, rest) = string(blob)?;
        let (first, rest) = string(rest)?;
        match kind {
            b"ssh-rsa" => Some(Public::rsa(string(rest)?.0)),
            b"ssh-dss" => Some(Public::other("DSA", Public::rsa(first).bits)),
            _ => {
                let bits = kind.strip_prefix(b"ecdsa-sha2-nistp")?;
                Some(Public::other(
                    "EC",
                    std::str::from_utf8(bits).ok()?.parse().ok()?,
                ))
            }
        }
    }

    /// A private key as PKCS #1 (RFC 8017, A.1.2), SEC 1 (RFC 5915), OpenSSL's form of DSA, or any of
    /// them within PKCS #8 (RFC 5208).
    fn of_der(label: &str, body: &'a [u8]) -> Option<Public<'a>> {
        let (SEQUENCE, inside, _) = der(body)? else {
            return None;
        };
        let (INTEGER, _, rest) = der(inside)? else {
            return None;
        };
        let (kind, second, rest) = der(rest)?;
        match (label, kind) {
            ("RSA PRIVATE KEY", INTEGER) => Some(Public::rsa(second)),
            ("DSA PRIVATE KEY", INTEGER) => Some(Public::other("DSA", Public::rsa(second).bits)),
            ("EC PRIVATE KEY", OCTETS) => Some(Public::other("EC", second.len() * 8)),
            ("PRIVATE KEY", SEQUENCE) => {
                const KINDS: [(&[u8], &str); 3] = [
                    (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "RSA PRIVATE KEY"),
                    (b"\x2a\x86\x48\xce\x38\x04\x01", "DSA"),
                    (b"\x2a\x86\x48\xce\x3d\x02\x01", "EC PRIVATE KEY"),
                ];
                let (_, oid, parameters) = der(second)?;
                let (_, label) = KINDS.iter().find(|(known, _)| *known == oid)?;
                let (OCTETS, inner, _) = der(rest)? else {
                    return None;
                };
                match *label {
                    "DSA" => {
                        let (_, inside, _) = der(parameters)?;
                        let (_, prime, _) = der(inside)?;
                        Some(Public::other("DSA", Public::rsa(prime).bits))
                    }
                    label => Public::of_der(label, inner),
                }
            }
            _ => None,
        }
    }
}

/// A key in a PEM block.
pub(super) fn armoured(
    look: &Look<'_>,
    at: usize,
    label: &str,
    body: &[u8],
    found: &mut Vec<Finding>,
) {
    let rest = &look.bytes[at..look.bytes.len().min(at + 200)];
    let mut locked = label.contains("ENCRYPTED") || memmem::find(rest, b"ENCRYPTED").is_some();
    let mut key = Public::of_der(label, body).filter(|_| !locked);
    if let Some(rest) = body.strip_prefix(OPENSSH) {
        (locked, key) = openssh(rest).unwrap_or((false, None));
    }
    tell(
        look,
        at,
        label,
        locked,
        key,
        &body[body.len() - 24..],
        found,
    );
}

/// A file that is a key and nothing else: DER, and the forms of dropbear and PuTTY.
pub(super) fn bare(look: &Look<'_>, found: &mut Vec<Finding>) {
    let bytes = look.bytes;
    if bytes.len() < 40 || bytes.len() > MOST {
        return;
    }
    let end = &bytes[bytes.len() - 24..];
    if let Some(label) = label_of(bytes) {
        tell(
            look,
            0,
            label,
            false,
            Public::of_der(label, bytes),
            end,
            found,
        );
    } else if is_dropbears(bytes) {
        tell(
            look,
            0,
            "dropbear",
            false,
            Public::of_ssh(bytes),
            end,
            found,
        );
    } else if let Some(text) = look.text.filter(|t| t.starts_with("PuTTY-User-Key-File-")) {
        let open = text.lines().any(|line| line == "Encryption: none");
        tell(look, 0, "PuTTY", !open, None, end, found);
    }
}

fn tell(
    look: &Look<'_>,
    at: usize,
    label: &str,
    locked: bool,
    key: Option<Public<'_>>,
    end: &[u8],
    found: &mut Vec<Finding>,
) {
    let place = || detail("位置", "offset", [format!("{at:#x}")]);
    let details = vec![
        detail("类型", "type", [label.to_owned()]),
        place(),
        detail("证据", "evidence", [masked(&STANDARD.encode(end))]),
    ];
    let finding = Finding::new("PrivateKeyLeak", &look.chain, details);
    found.push(match locked {
        true => finding.of(Severity::Medium),
        false => finding,
    });
    if let Some(weak) = key.and_then(|key| key.weakness()) {
        let details = vec![place(), detail("密钥", "key", [weak])];
        found.push(Finding::new("WeakKey", &look.chain, details));
    }
}

/// Whether a password keeps it, and the public half, of what follows the mark.
fn openssh(rest: &[u8]) -> Option<(bool, Option<Public<'_>>)> {
    let (cipher, rest) = string(rest)?;
    let (_, rest) = string(rest)?;
    let (_, rest) = string(rest)?;
    let (public, _) = string(rest.get(4..)?)?;
    Some((cipher != b"none", Public::of_ssh(public)))
}

/// The name under which PEM would have a private key in DER; none for other things in DER.
fn label_of(bytes: &[u8]) -> Option<&'static str> {
    let (SEQUENCE, inside, b"") = der(bytes)? else {
        return None;
    };
    let (INTEGER, [0 | 1], rest) = der(inside)? else {
        return None;
    };
    let (kind, second, rest) = der(rest)?;
    match kind {
        // Version, name of the algorithm, the key.
        SEQUENCE => {
            let (OID, _, _) = der(second)? else {
                return None;
            };
            (der(rest)?.0 == OCTETS).then_some("PRIVATE KEY")
        }
        // Version, the number, its curve.
        OCTETS if (16..=72).contains(&second.len()) => {
            matches!(der(rest)?.0, 0xa0 | 0xa1).then_some("EC PRIVATE KEY")
        }
        INTEGER if second.len() >= 64 => {
            let mut more = 0;
            let mut rest = rest;
            while let Some((INTEGER, _, behind)) = der(rest) {
                more += 1;
                rest = behind;
            }
            // Eight numbers behind the version are RSA's, five DSA's.
            match (more, rest) {
                (7, b"") => Some("RSA PRIVATE KEY"),
                (4, b"") => Some("DSA PRIVATE KEY"),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether a file is a host key as dropbear writes it: what SSH sends of the public key, with the
/// private numbers behind it (dropbear, `signkey.c`).
fn is_dropbears(bytes: &[u8]) -> bool {
    let kinds: [(&[u8], usize); 4] = [
        (b"ssh-rsa", 3),
        (b"ssh-dss", 5),
        (b"ecdsa-sha2-nistp", 3),
        (b"ssh-ed25519", 1),
    ];
    let Some((kind, mut rest)) = string(bytes) else {
        return false;
    };
    let Some((_, least)) = kinds.iter().find(|(known, _)| kind.starts_with(known)) else {
        return false;
    };
    let mut fields = 0;
    while let Some((field, behind)) = string(rest) {
        // A public key of this kind has 32 bytes, and dropbear keeps both halves as one.
        if kind == b"ssh-ed25519" && field.len() != 64 {
            return false;
        }
        fields += 1;
        rest = behind;
    }
    rest.is_empty() && fields >= *least
}

/// A string of SSH's (RFC 4251, 5), and what follows.
fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Tag, content and what follows of a DER value.
fn der(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = bytes.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(*first), rest),
        0x81..=0x83 => {
            let (length, rest) = rest.split_at_checked(usize::from(first - 0x80))?;
            let length = length.iter().fold(0, |n, b| n << 8 | usize::from(*b));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

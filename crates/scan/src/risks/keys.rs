//! Private keys and certificates.

use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memmem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Finding, Look, Scene, detail, masked};
use crate::{elf::Elf, vulns::Severity};

const BEGIN: &str = "-----BEGIN ";
const TEN_YEARS: i64 = 3653 * 86_400;
const MOST: usize = 400;

pub(super) fn look(scene: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
    // These test themselves with keys that everybody has.
    const TESTED: [&str; 3] = ["libgnutls", "libmbedcrypto", "libmbedx509"];
    let tested = |elf: &Elf| TESTED.iter().any(|stem| elf.is(stem));
    if look.elf.as_ref().is_some_and(tested) {
        return;
    }
    for at in memmem::find_iter(look.bytes, BEGIN.as_bytes()).take(MOST) {
        let rest = &look.bytes[at..look.bytes.len().min(at + (64 << 10))];
        let Some((label, body)) = armoured(rest) else {
            continue;
        };
        if label.ends_with("PRIVATE KEY") {
            private(look, at, &label, &body, found);
        } else if label.ends_with("CERTIFICATE") {
            certificate(scene, look, &body, found);
        }
    }
    let name = look.file.name();
    if [".der", ".cer", ".crt"]
        .iter()
        .any(|end| name.ends_with(end))
        && look.bytes.starts_with(b"\x30\x82")
    {
        certificate(scene, look, look.bytes, found);
    }
}

/// Label and content of a PEM block; none where the body is not one, as in a program that writes them.
fn armoured(rest: &[u8]) -> Option<(String, Vec<u8>)> {
    let rest = &rest[BEGIN.len()..];
    let end = memmem::find(&rest[..rest.len().min(64)], b"-----")?;
    let label = std::str::from_utf8(&rest[..end]).ok()?.to_owned();
    let body = &rest[end + 5..];
    let stop = memmem::find(body, b"-----END ")?;
    // Old encrypted keys have header lines before the content.
    let text: Vec<u8> = body[..stop]
        .split(|b| *b == b'\n')
        .filter(|line| !line.contains(&b':'))
        .flatten()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    let body = STANDARD.decode(text).ok().filter(|b| b.len() >= 32)?;
    Some((label, body))
}

fn private(look: &Look<'_>, at: usize, label: &str, body: &[u8], found: &mut Vec<Finding>) {
    let rest = &look.bytes[at..look.bytes.len().min(at + 200)];
    let locked = label.contains("ENCRYPTED") || memmem::find(rest, b"ENCRYPTED").is_some();
    let finding = Finding::new(
        "PrivateKeyLeak",
        &look.chain,
        vec![
            detail("类型", "type", [label.to_owned()]),
            detail("位置", "offset", [format!("{at:#x}")]),
            detail(
                "证据",
                "evidence",
                [masked(&STANDARD.encode(&body[body.len() - 24..]))],
            ),
        ],
    );
    found.push(if locked {
        finding.of(Severity::Medium)
    } else {
        finding
    });
    if let Some(weak) = weak_key(label, body).filter(|_| !locked) {
        let details = vec![
            detail("位置", "offset", [format!("{at:#x}")]),
            detail("密钥", "key", [weak]),
        ];
        found.push(Finding::new("WeakKey", &look.chain, details));
    }
}

/// Why a private key is weak, by its size alone: PKCS #1 (RFC 8017, A.1.2), SEC 1 (RFC 5915) or
/// either within PKCS #8 (RFC 5208).
fn weak_key(label: &str, body: &[u8]) -> Option<String> {
    const INTEGER: u8 = 2;
    const OCTETS: u8 = 4;
    const SEQUENCE: u8 = 0x30;
    let (SEQUENCE, inside, _) = der(body)? else {
        return None;
    };
    let (INTEGER, _, rest) = der(inside)? else {
        return None;
    };
    let (kind, second, rest) = der(rest)?;
    match (label, kind) {
        ("RSA PRIVATE KEY", INTEGER) => {
            let bits = second.iter().skip_while(|b| **b == 0).count() * 8;
            (bits < 2048).then(|| format!("RSA {bits}"))
        }
        ("DSA PRIVATE KEY", INTEGER) => Some("DSA".into()),
        ("EC PRIVATE KEY", OCTETS) => {
            (second.len() < 28).then(|| format!("EC {}", second.len() * 8))
        }
        ("PRIVATE KEY", SEQUENCE) => {
            const KINDS: [(&[u8], &str); 3] = [
                (b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01", "RSA PRIVATE KEY"),
                (b"\x2a\x86\x48\xce\x38\x04\x01", "DSA"),
                (b"\x2a\x86\x48\xce\x3d\x02\x01", "EC PRIVATE KEY"),
            ];
            let (_, oid, _) = der(second)?;
            let (_, label) = KINDS.iter().find(|(known, _)| *known == oid)?;
            let (OCTETS, inner, _) = der(rest)? else {
                return None;
            };
            match *label {
                "DSA" => Some("DSA".into()),
                label => weak_key(label, inner),
            }
        }
        _ => None,
    }
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

fn certificate(scene: &Scene<'_>, look: &Look<'_>, der: &[u8], found: &mut Vec<Finding>) {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return;
    };
    let subject = crate::path::printable(certificate.subject().to_string().as_bytes());
    let serial = certificate.raw_serial_as_string();
    let mut tell = |code, cn, en, value: String| {
        found.push(Finding::new(
            code,
            &look.chain,
            vec![
                detail("主体", "subject", [subject.clone()]),
                detail("序列号", "serial", [serial.clone()]),
                detail(cn, en, [value]),
            ],
        ));
    };
    let (from, to) = (
        certificate.validity().not_before.timestamp(),
        certificate.validity().not_after.timestamp(),
    );
    let own = certificate.subject() == certificate.issuer();
    let until = certificate.validity().not_after.to_string();
    if to < scene.now {
        tell("CertExpired", "有效期至", "not after", until);
    } else if to - from > TEN_YEARS && !certificate.is_ca() {
        tell("CertLongLife", "有效期至", "not after", until);
    }
    // MD2, MD5 and SHA-1 with RSA, ECDSA and DSA with SHA-1. A root's own signature proves nothing.
    const WEAK: [&str; 5] = [
        "1.2.840.113549.1.1.2",
        "1.2.840.113549.1.1.4",
        "1.2.840.113549.1.1.5",
        "1.2.840.10045.4.1",
        "1.2.840.10040.4.3",
    ];
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    if WEAK.contains(&algorithm.as_str()) && !own {
        tell("CertWeakSig", "签名算法", "signature algorithm", algorithm);
    }
    // Among the roots that a device trusts every one is signed by itself.
    if own && !is_trust_store(look) {
        tell("CertSelfSigned", "签发者", "issuer", subject.clone());
    }
    if let Ok(key) = certificate.public_key().parsed() {
        let bits = key.key_size();
        let weak = match key {
            x509_parser::public_key::PublicKey::RSA(_) => {
                (bits < 2048).then(|| format!("RSA {bits}"))
            }
            x509_parser::public_key::PublicKey::DSA(_) => Some(format!("DSA {bits}")),
            x509_parser::public_key::PublicKey::EC(_) => {
                (bits < 224 && bits > 0).then(|| format!("EC {bits}"))
            }
            _ => None,
        };
        if let Some(weak) = weak {
            tell("WeakKey", "密钥", "key", weak);
        }
    }
}

fn is_trust_store(look: &Look<'_>) -> bool {
    const BUNDLE: usize = 5;
    let path = &look.file.path;
    path.contains("/ssl/certs/")
        || path.contains("ca-certificates")
        || memmem::find_iter(look.bytes, b"-----BEGIN CERTIFICATE")
            .take(BUNDLE + 1)
            .count()
            > BUNDLE
}

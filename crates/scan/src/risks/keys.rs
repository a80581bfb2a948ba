//! Private keys and certificates, and the public keys that a device trusts.

mod known;
mod private;

use base64::{Engine, engine::general_purpose::STANDARD};
use memchr::memmem;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{Finding, Look, Scene, detail};
use crate::elf::Elf;

const BEGIN: &str = "-----BEGIN ";
const TEN_YEARS: i64 = 3653 * 86_400;
const MOST: usize = 400;

pub(super) fn look(scene: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
    // These test themselves with keys that everybody has.
    const TESTED: [&str; 3] = ["libgnutls", "libmbedcrypto", "libmbedx509"];
    let tested = |elf: &Elf| TESTED.iter().any(|stem| elf.is(stem));
    // What is packed is looked at unpacked.
    if look.file.opened || look.elf.as_ref().is_some_and(tested) {
        return;
    }
    for at in memmem::find_iter(look.bytes, BEGIN.as_bytes()).take(MOST) {
        let rest = &look.bytes[at..look.bytes.len().min(at + (64 << 10))];
        let Some((label, body)) = armoured(rest) else {
            continue;
        };
        if label.ends_with("PRIVATE KEY") || label == "PGP PRIVATE KEY BLOCK" {
            private::armoured(look, at, &label, &body, found);
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
    private::bare(look, found);
    trusted(look, found);
}

/// Keys of SSH that may log in, or prove who a server is.
fn trusted(look: &Look<'_>, found: &mut Vec<Finding>) {
    let name = look.file.name();
    if !name.starts_with("authorized_keys") && !name.ends_with(".pub") {
        return;
    }
    for (number, line) in look.text.into_iter().flat_map(super::lines).take(MOST) {
        let blob = line.split_whitespace().find(|w| w.starts_with("AAAA"));
        let Some(blob) = blob.and_then(|w| STANDARD.decode(w).ok()) else {
            continue;
        };
        if let Some(weak) = private::Public::of_ssh(&blob).and_then(|key| key.weakness()) {
            let details = vec![
                detail("行", "line", [number.to_string()]),
                detail("密钥", "key", [weak]),
            ];
            found.push(Finding::new("WeakKey", &look.chain, details));
        }
    }
}

/// Label and content of a PEM block; none where the body is not one, as in a program that writes them.
fn armoured(rest: &[u8]) -> Option<(String, Vec<u8>)> {
    let rest = &rest[BEGIN.len()..];
    let end = memmem::find(&rest[..rest.len().min(64)], b"-----")?;
    let label = std::str::from_utf8(&rest[..end]).ok()?.to_owned();
    let body = &rest[end + 5..];
    let stop = memmem::find(body, b"-----END ")?;
    // Old encrypted keys have header lines before the content, and PGP's a checksum behind it.
    let text: Vec<u8> = body[..stop]
        .split(|b| *b == b'\n')
        .filter(|line| !line.contains(&b':') && !line.starts_with(b"="))
        .flatten()
        .copied()
        .filter(|b| !b.is_ascii_whitespace())
        .collect();
    let body = STANDARD.decode(text).ok().filter(|b| b.len() >= 32)?;
    Some((label, body))
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
        use x509_parser::public_key::PublicKey;
        let bits = key.key_size();
        let (family, modulus) = match &key {
            PublicKey::RSA(rsa) => ("RSA", rsa.modulus),
            PublicKey::DSA(_) => ("DSA", &[][..]),
            PublicKey::EC(_) if bits > 0 => ("EC", &[][..]),
            _ => return,
        };
        let key = private::Public {
            family,
            bits,
            modulus,
        };
        if let Some(weak) = key.weakness() {
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

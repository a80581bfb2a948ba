//! Bodies of fuzz targets; `cargo test` runs them over mutations of good samples.

use crate::admin::claim;
use axum::http::{HeaderValue, Request, header};
use hub::edge::{Channel, Peer};
use std::net::{IpAddr, Ipv4Addr};

/// Reads bytes as a call of the admin API: the Authorization header, the date, the nonce, the query
/// (each ended by a line feed), and the body.
pub fn admin_claim(bytes: &[u8]) {
    let mut parts = bytes.splitn(5, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let mut request = Request::new(());
    for name in [
        header::AUTHORIZATION,
        header::HeaderName::from_static("x-acs-date"),
        header::HeaderName::from_static("x-acs-signature-nonce"),
    ] {
        if let Ok(value) = HeaderValue::from_bytes(next()) {
            request.headers_mut().insert(name, value);
        }
    }
    let query = String::from_utf8_lossy(next()).into_owned();
    if let Ok(uri) = format!("/api/v1/products?{query}").parse() {
        *request.uri_mut() = uri;
    }
    let body = next();
    let (head, ()) = request.into_parts();
    for channel in [Channel::Http, Channel::Https] {
        let address = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let peer = Peer { address, channel };
        // What is refused gives an error, what is not a claim; neither may panic.
        let _ = claim(&head, body, peer, "fuzz", false);
    }
}

/// A backup as it arrives, and its manifest.
pub fn backup_read(data: &[u8]) {
    crate::backup::fuzz(data);
}

/// A Range header for files of several sizes: what it asks for lies in the file.
pub fn range(data: &[u8]) {
    use crate::download::{Part, read_range};
    let header = String::from_utf8_lossy(data);
    for size in [0, 1, 1000, u64::MAX] {
        if let Part::Of(from, to) = read_range(&header, size) {
            assert!(from < to && to <= size);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::SystemRandom;
    use model::port::Random;

    #[test]
    fn no_mutation_of_a_call_makes_the_door_panic() {
        let signed = format!(
            "{} Credential=LTAI,SignedHeaders=host;x-acs-date,Signature=00",
            credential::request::acs3::Algorithm::HmacSha256.name()
        );
        let samples = [
            "Basic TFRBSTpodXNo\n\n\nmost=1\n{}".to_owned(),
            format!("{signed}\n2026-01-01T00:00:00Z\nnonce\nmost=1&skip=2\n{{}}"),
        ];
        for sample in &samples {
            admin_claim(sample.as_bytes());
        }
        for round in 0..4_000_usize {
            let mut chance = [0; 12];
            SystemRandom.fill(&mut chance);
            let mut bytes = samples[round % samples.len()].clone().into_bytes();
            for [at, to, how] in chance.as_chunks::<3>().0 {
                let at = usize::from(*at) % bytes.len().max(1);
                match how % 3 {
                    0 if !bytes.is_empty() => bytes[at] = *to,
                    1 => bytes.truncate(at),
                    _ => bytes.insert(at.min(bytes.len()), *to),
                }
            }
            admin_claim(&bytes);
        }
    }

    #[test]
    fn no_range_reaches_past_its_file() {
        let mut chance = [0; 24];
        for _ in 0..4_000 {
            SystemRandom.fill(&mut chance);
            let letters = b"bytes=0123456789,- ";
            let pick = |byte: &u8| letters[usize::from(*byte) % letters.len()];
            let tail: Vec<u8> = chance.iter().map(pick).collect();
            range(&[b"bytes=", &tail[..usize::from(chance[0]) % 24]].concat());
            range(&chance);
        }
    }
}

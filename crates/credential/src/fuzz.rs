//! Fuzz bodies: what each parser of outside bytes promises for any input.

use crate::{
    alink::{ClientId, PskIdentity},
    crypto::{seal, secret::Secret},
    request::{acs3::Authorization, aksign::AkSigned, query},
    token,
};
use core::str;

/// A client id that is read can be written again and reads the same.
pub fn client_id(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(id) = ClientId::parse(text) {
        let block: alloc::string::String = id
            .pairs()
            .flat_map(|(key, value)| [key, "=", value, ","])
            .collect();
        let again = ClientId::parse(&alloc::format!("{}|{block}|", id.base()));
        // Writing adds separators, so that only the length limit may be in the way.
        if let Ok(again) = again {
            assert_eq!(id, again);
        }
    }
    let _ = AkSigned::parse(text, "");
    let _ = PskIdentity::parse(text).map(|identity| identity.text());
}

/// An `Authorization` header that is read has all its parts.
pub fn authorization(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(read) = Authorization::parse(text) {
        assert!(!read.credential.is_empty() && !read.signature.is_empty());
        assert!(!read.signed_headers.is_empty());
    }
}

/// The canonical form of a query is a fixed point: decoding and encoding it changes nothing.
pub fn query(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else {
        return;
    };
    if let Ok(pairs) = query::decode(text) {
        let canonical = query::canonical(&pairs);
        let again = query::decode(&canonical).expect("a canonical query can be read");
        assert_eq!(query::canonical(&again), canonical);
        assert_eq!(again.len(), pairs.len());
    }
}

/// No bytes but those that were minted make a token, and no bytes open as an envelope.
pub fn token(data: &[u8]) {
    let key = Secret::new(alloc::vec![7; 32]);
    if let Ok(text) = str::from_utf8(data)
        && let Ok(claims) = token::check(&key, text, 0)
    {
        assert_eq!(token::mint(&key, &claims), text);
    }
    let key = seal::SealKey::new(1, key).expect("the key has 32 bytes");
    assert!(seal::open(&key, b"", data).is_err());
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec::Vec};

    /// Feeds `body` with `samples` and a few thousand pseudo-random mutations of each.
    fn mutate(samples: &[&[u8]], body: fn(&[u8])) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits") % below.max(1)
        };
        for sample in samples {
            body(sample);
            for _ in 0..3_000 {
                let mut data = sample.to_vec();
                for _ in 0..=next(4) {
                    let at = next(data.len());
                    match next(5) {
                        0 => data.truncate(at),
                        1 => data.insert(at, b"|=,&;%+ \n\0"[next(10)]),
                        2 if at < data.len() => data[at] = u8::try_from(next(256)).expect("a byte"),
                        3 if at < data.len() => data[at] ^= 1 << next(8),
                        _ => {
                            let piece = data[at..].to_vec();
                            data.extend_from_slice(&piece[..next(piece.len())]);
                        }
                    }
                }
                body(&data);
            }
        }
    }

    #[test]
    fn client_ids_hold() {
        let samples: [&[u8]; 4] = [
            b"a1MZxOdcBnO.example1|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=2|",
            b"b|securemode=3,\n        lan=JS|Ali|\0",
            b"c|authMode=aksign,signMethod=hmacsha1,timestamp=1,authId=a,consumerGroupId=g|",
            b"devicename|hmacsha256|pk&dn|2524608000000",
        ];
        mutate(&samples, client_id);
    }

    #[test]
    fn authorization_headers_hold() {
        let sample =
            b"ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host;x-acs-action,Signature=ab01";
        mutate(&[sample], authorization);
    }

    #[test]
    fn queries_hold() {
        mutate(
            &[
                b"Action=Pub&SignatureType=&DeviceName=light+1%2A~%20&%zz=%",
                b"=&==",
            ],
            query,
        );
    }

    #[test]
    fn tokens_hold() {
        let key = Secret::new([7; 32].to_vec());
        let claims = token::Claims {
            iot_id: "id".to_string(),
            expires_ms: u64::MAX,
            generation: 1,
        };
        let text = token::mint(&key, &claims);
        let key = seal::SealKey::new(2, key).unwrap();
        let envelope: Vec<u8> =
            seal::seal(&key, [0; 12], b"", &Secret::new(b"x".to_vec())).unwrap();
        mutate(&[text.as_bytes(), &envelope], token);
    }
}

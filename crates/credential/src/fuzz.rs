//! Fuzz bodies: what each parser of outside bytes promises for any input.

use crate::{
    alink::{ClientId, PskIdentity},
    crypto::{seal, secret::Secret},
    id2::{
        AuthCode, Id, KeyType, ServerCode, SoftKey,
        device::{self, Form},
        keyed::OVERHEAD,
        otp::{self, OtpCode, Token},
        server::DeviceKey,
    },
    request::{acs3::Authorization, aksign::AkSigned, query},
    token,
};
use base64::{Engine, engine::general_purpose::STANDARD};
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

/// Codes of a device and of a server, cipher texts, provisioning both ways: what is read has the
/// bounds of its fields, and what another key signed is never believed.
pub fn id2(data: &[u8]) {
    // The key of the published vectors, so that samples made of them reach the last check.
    let key: [u8; 16] = core::array::from_fn(|at| 0x21 + at as u8);
    let soft = SoftKey::new(KeyType::Aes128, &key).expect("the key has 16 bytes");
    let server = DeviceKey::new(KeyType::Aes128, &Secret::new(key.to_vec()));
    let server = server.unwrap_or_else(|_| unreachable!("the key has 16 bytes"));
    let id = Id::issue([1; 3], [2; 3], 3);
    let own = Id::parse(b"2122232425262728292A2B2C").expect("it is an identity");
    if let Ok(text) = str::from_utf8(data) {
        if let Ok(code) = AuthCode::parse(text) {
            assert!(code.random.len() == 16 && (1..=32).contains(&code.freshness.len()));
            assert!(server.verify(&id, &code, None, true).is_err());
            let _ = server.verify(&own, &code, Some(b"abcd1234"), true);
        }
        if let Ok(code) = ServerCode::parse(text) {
            assert!((1..=128).contains(&code.challenge.len()));
        }
        if let Ok(inner) = server.unharden(text) {
            let _ = AuthCode::parse(&inner);
        }
        for form in [Form::Plain, Form::Hardened] {
            assert!(device::check_server(&soft, &id, form, text, b"c", None).is_err());
            let _ = device::check_server(&soft, &own, form, text, b"67452301EFCDAB89", None);
        }
        if let Ok(blob) = otp::decode_text(text) {
            provisioning(&blob);
        }
    }
    provisioning(data);
    let mut out = [0; 64];
    match device::decrypt(&soft, data, &mut out) {
        Ok(len) => assert!(len <= out.len() && len < data.len()),
        Err(device::DeviceError::ShortBuffer(need)) => assert!(need > 64 && need < data.len()),
        Err(_) => {}
    }
}

/// The keyed form, codes and data: what another identity's key proved is never believed, and what was
/// altered never opens.
pub fn id2_keyed(data: &[u8]) {
    let key: [u8; 16] = core::array::from_fn(|at| 0x21 + at as u8);
    let soft = SoftKey::new(KeyType::Aes128, &key).expect("the key has 16 bytes");
    let server = DeviceKey::new(KeyType::Aes128, &Secret::new(key.to_vec()));
    let server = server.unwrap_or_else(|_| unreachable!("the key has 16 bytes"));
    let id = Id::issue([1; 3], [2; 3], 3);
    let own = Id::parse(b"2122232425262728292A2B2C").expect("it is an identity");
    if let Ok(text) = str::from_utf8(data) {
        if let Some(Ok(code)) = DeviceKey::unkeyed(text).map(AuthCode::parse) {
            assert!(server.verify_keyed(&id, &code, None).is_err());
            // Whatever is believed is a code of 32 bytes that are the key's.
            if server.verify_keyed(&own, &code, Some(b"abcd1234")).is_ok() {
                assert!(code.signature.as_bytes().len() == 32 && code.mode.has_extra());
            }
        }
        assert!(device::check_server(&soft, &id, Form::Keyed, text, b"c", None).is_err());
        let _ = device::check_server(&soft, &own, Form::Keyed, text, b"67452301EFCDAB89", None);
    }
    let mut out = [0; 512];
    assert!(device::decrypt_keyed(&soft, &id, data, &mut out).is_err());
    match device::decrypt_keyed(&soft, &own, data, &mut out) {
        Ok(len) => assert_eq!(len + OVERHEAD, data.len()),
        Err(device::DeviceError::ShortBuffer(need)) => assert!(need > out.len()),
        Err(_) => {}
    }
    let mut place = data.to_vec();
    let _ = device::decrypt_keyed_in_place(&soft, &own, &mut place);
}

/// A key that is brought in from elsewhere: the first byte says of which kind, the others are the key.
/// What is read is a key of that kind, has a public half that is read again, and does not believe
/// what nobody signed.
pub fn id2_brought(data: &[u8]) {
    let (kind, bytes) = data.split_first().unwrap_or((&0, &[]));
    let kind = KeyType::ALL[usize::from(*kind) % KeyType::ALL.len()];
    let material = Secret::new(bytes.to_vec());
    if let Ok(key) = DeviceKey::new(kind, &material) {
        assert_eq!(key.key_type(), kind);
        let public = DeviceKey::public_half(kind, &material).expect("the key was read");
        if let Some(public) = public {
            assert!(DeviceKey::new(kind, &public).is_ok());
        }
        let id = Id::issue([1; 3], [2; 3], 3);
        let digit = char::from(kind.hash().digit());
        let signature = STANDARD.encode(alloc::vec![1; kind.signature_len()]);
        let text = alloc::format!("0~{digit}~67452301EFCDAB89~c~{signature}");
        let code = AuthCode::parse(&text).unwrap_or_else(|_| unreachable!("it is well formed"));
        assert!(key.verify(&id, &code, None, true).is_err());
        if let Ok(closed) = key.encrypt("hello id2", &[9; 64]) {
            assert!(closed.len() <= 512);
        }
    }
    // What is encrypted to a key of SM2, which is not opened by OpenSSL.
    #[cfg(feature = "curves")]
    {
        let own = crate::id2::key::CurveKey::new(KeyType::Sm2, &[0x21; 32]);
        let own = own.unwrap_or_else(|_| unreachable!("it is a key"));
        let mut out = [0; 512];
        if let Ok(len) = crate::id2::Key::open(&own, bytes, &mut out) {
            assert!(len <= out.len() && len < bytes.len());
        }
    }
}

fn provisioning(data: &[u8]) {
    let _ = Token::parse(data);
    let token = Token::parse(b"i11iQLFQgzT2BRTWTVQ9B0BE0549A601");
    let token = token.unwrap_or_else(|_| unreachable!("it is a token"));
    if let Ok(opened) = OtpCode::parse(data).and_then(|code| code.open(&token)) {
        assert!((1..=128).contains(&opened.fingerprint().len()));
    }
    for kind in KeyType::ALL {
        if let Ok((_, key)) = otp::load(kind, &zeroize::Zeroizing::new([b'0'; 16]), data) {
            assert_eq!(Some(data.len()), otp::provision_len(kind).ok());
            assert!(key.expose().len() <= 32);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{string::ToString, vec::Vec};

    /// Feeds `body` with `samples` and a few thousand pseudo-random mutations of each.
    fn mutate(samples: &[&[u8]], body: fn(&[u8])) {
        mutate_times(3_000, samples, body);
    }

    fn mutate_times(times: usize, samples: &[&[u8]], body: fn(&[u8])) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state >> 33).expect("31 bits") % below.max(1)
        };
        for sample in samples {
            body(sample);
            for _ in 0..times {
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

    #[test]
    fn codes_and_provisioning_of_id2_hold() {
        let otp = "AAABACQOSl8KZrYD5hPmp3Ln4ssZ4KHv9vIDYdq3264F3kLH6Ma6B6L/RmkocBtMR+0KRiSRRDhBIuvP\
                   0RNFxNtMO3sEGDJO7knIDlWKQ7wQoNR/xFW3Tpd2W8WQTa+YrMYtFqAne+PU9hZPmL7gH69HmrY=";
        let data = "ATIxMjIyMzI0MjUyNjI3MjgyOTJBMkIyQ81+GN1P8EiZvyRm323pXbo0a84Lju002hD2qPq7hESUHPQn\
                    t7uqvTvjtoggrjnYOs1ygwUElUq+SgNnp94pAic=";
        mutate(
            &[
                b"3~2~67452301EFCDAB89~1512022279204~mJ/HXU7nCmJsKjOqo/CxLo3I8HGL0OqiANx6GnZZ9DSXnA1nt3r97vPi1Bnh6fF1",
                b"10~2~67452301EFCDAB89~UXzFHtUqvwHIpaDXg/9i5EVaLXHK0wwfoW7YageoYkOXnA1nt3r97vPi1Bnh6fF1",
                b"99~vbDKhr16lGpSuur06BVYTtznEXdp7QP3ZVDLJBHoz4TvFEheoj+SbNJHiD0wcj2HLo4fH+EVRpFwCGJ473JhVqaK2L87BDBb/KO37i2HMLB2eslqAh/daxM+hREiGsxv/y+1Av+BZLpHLXYm1t2rBkPn8H4yUimvHi00+ggy14I=",
                b"i11iQLFQgzT2BRTWTVQ9B0BE0549A601",
                otp.as_bytes(),
                &otp::decode_text(otp).unwrap(),
                &otp::decode_text(data).unwrap(),
            ],
            id2,
        );
    }

    /// Keys of every kind, both halves where there are two.
    #[test]
    fn keys_that_are_brought_hold() {
        let mut samples: Vec<Vec<u8>> = Vec::new();
        for (n, kind) in (0..).zip(KeyType::ALL) {
            let mut add = |bytes: &[u8]| samples.push([&[n], bytes].concat());
            match kind {
                #[cfg(feature = "openssl")]
                KeyType::Rsa1024 | KeyType::Rsa2048 => {
                    let bits = kind.signature_len() as u32 * 8;
                    let own = crate::crypto::rsa::RsaPrivate::generate(bits).unwrap();
                    add(own.to_der().unwrap().expose());
                    add(&own.public_der().unwrap());
                }
                #[cfg(feature = "curves")]
                KeyType::P256 | KeyType::Sm2 => {
                    let own = crate::id2::key::CurveKey::new(kind, &[0x21; 32]).unwrap();
                    add(&[0x21; 32]);
                    add(&own.public()[..]);
                    let key = DeviceKey::new(kind, &Secret::new([0x21; 32].to_vec()));
                    if let Ok(closed) = key.ok().unwrap().encrypt("hello id2", &[9; 64]) {
                        add(&closed);
                    }
                }
                _ => match kind.cipher() {
                    Some(cipher) => add(&alloc::vec![0x21; cipher.key_len()]),
                    None => continue,
                },
            }
        }
        for sample in &samples {
            id2_brought(sample);
        }
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        // OpenSSL takes its time.
        mutate_times(300, &samples, id2_brought);
    }

    #[test]
    fn the_keyed_form_holds() {
        mutate(
            &[
                include_bytes!("../../../fuzz/seeds/id2_keyed/device"),
                include_bytes!("../../../fuzz/seeds/id2_keyed/server"),
                include_bytes!("../../../fuzz/seeds/id2_keyed/data"),
            ],
            id2_keyed,
        );
    }

    /// The samples are what the key of the body makes, so that mutations begin behind every check.
    #[test]
    fn the_samples_of_the_keyed_form_are_believed() {
        let key: [u8; 16] = core::array::from_fn(|at| 0x21 + at as u8);
        let soft = SoftKey::new(KeyType::Aes128, &key).unwrap();
        let server = DeviceKey::new(KeyType::Aes128, &Secret::new(key.to_vec()));
        let server = server.ok().unwrap();
        let id = Id::parse(b"2122232425262728292A2B2C").unwrap();
        let fresh = device::Fresh::Timestamp("1512022279204");
        let random = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
        let mut out = [0; 256];
        let extra: Option<&[u8]> = Some(b"abcd1234");
        let len = device::auth_code(&soft, &id, Form::Keyed, fresh, extra, random, &mut out);
        let code = server.server_code(&id, Form::Keyed, "67452301EFCDAB89", None);
        let data = server.encrypt_keyed(&id, "hello id2", &[7; 12]);
        assert_eq!(
            [
                &out[..len.unwrap()],
                code.unwrap().as_bytes(),
                &data.unwrap()
            ],
            [
                &include_bytes!("../../../fuzz/seeds/id2_keyed/device")[..],
                include_bytes!("../../../fuzz/seeds/id2_keyed/server"),
                include_bytes!("../../../fuzz/seeds/id2_keyed/data"),
            ]
        );
    }
}

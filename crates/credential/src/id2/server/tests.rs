use super::*;
use crate::id2::{
    FormError, Mode,
    device::{Fresh, auth_code, check_server, decrypt},
};

const RANDOM: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn id() -> Id {
    Id::parse(b"2122232425262728292A2B2C").unwrap()
}

fn symmetric() -> Vec<(KeyType, Vec<u8>)> {
    KeyType::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, vec![0x42; kind.cipher()?.key_len()])))
        .collect()
}

fn write(key: &dyn Key, form: Form, fresh: Fresh<'_>, extra: Option<&[u8]>) -> String {
    let mut out = [0; 512];
    let len = auth_code(key, &id(), form, fresh, extra, RANDOM, &mut out).unwrap();
    String::from_utf8(out[..len].to_vec()).unwrap()
}

/// What any key must do with any device: all modes, and refuse whatever was changed.
fn meets(key: &dyn Key, server: &DeviceKey) {
    for (fresh, extra) in [
        (Fresh::Challenge("55B83408399FA660F05C82E4F25333DC"), None),
        (Fresh::Challenge("c"), Some(&b"abcd1234"[..])),
        (Fresh::Timestamp("1512022279204"), None),
        (
            Fresh::Timestamp("1512022279204"),
            Some(&b"\xe4\xb8\xad"[..]),
        ),
    ] {
        let text = write(key, Form::Plain, fresh, extra);
        let code = AuthCode::parse(&text).ok().unwrap();
        assert_eq!(server.verify(&id(), &code, extra, false), Ok(()));
        let other = Id::parse(b"2122232425262728292A2B2D").unwrap();
        assert_eq!(
            server.verify(&other, &code, extra, false),
            Err(VerifyError::Signature)
        );
        let changed = AuthCode {
            random: "0000000000000000",
            ..code
        };
        assert_eq!(
            server.verify(&id(), &changed, extra, false),
            Err(VerifyError::Signature)
        );
        if extra.is_some() {
            assert_eq!(
                server.verify(&id(), &code, None, false),
                Err(VerifyError::Signature)
            );
            assert_eq!(
                server.verify(&id(), &code, Some(&[b'x'; 513]), false),
                Err(VerifyError::Extra)
            );
        } else {
            assert_eq!(
                server.verify(&id(), &code, Some(b""), false),
                Err(VerifyError::Extra)
            );
        }
        for hash in [
            HashType::Md5,
            HashType::Sha1,
            HashType::Sha256,
            HashType::Sm3,
        ] {
            if hash != code.hash {
                let other = AuthCode { hash, ..code };
                assert_eq!(
                    server.verify(&id(), &other, extra, false),
                    Err(VerifyError::Hash)
                );
            }
        }
    }
    // An extra of no bytes and none at all are one, where the mode has one.
    let text = write(key, Form::Plain, Fresh::Challenge("c"), Some(b""));
    let code = AuthCode::parse(&text).ok().unwrap();
    assert_eq!(code.mode, Mode::ChallengeExtra);
    assert_eq!(server.verify(&id(), &code, None, false), Ok(()));
}

fn encrypts(key: &dyn Key, server: &DeviceKey) {
    let most = server.key_type().plain_max().unwrap();
    let long = "x".repeat(most);
    for plain in ["hello id2", long.as_str(), "\u{4e2d}"] {
        let data = server.encrypt(plain, &[9; 64]).unwrap();
        assert!(data.len() <= 512, "{}", data.len());
        let mut out = [0; 512];
        let len = decrypt(key, &data, &mut out).unwrap();
        assert_eq!(&out[..len], plain.as_bytes());
    }
    let longer = "x".repeat(most + 1);
    for wrong in ["", "a\0b", "a\n", longer.as_str()] {
        assert_eq!(server.encrypt(wrong, &[9; 64]), Err(EncryptError::Data));
    }
}

fn proves(key: &dyn Key, server: &DeviceKey) {
    let challenge = "ABCD12348";
    for extra in [None, Some(&b"srvextra"[..])] {
        let text = server
            .server_code(&id(), Form::Plain, challenge, extra)
            .unwrap();
        let check =
            |id: &Id, challenge: &[u8]| check_server(key, id, Form::Plain, &text, challenge, extra);
        assert_eq!(check(&id(), challenge.as_bytes()), Ok(()));
        let other = Id::parse(b"2122232425262728292A2B2D").unwrap();
        assert_eq!(
            check(&other, challenge.as_bytes()),
            Err(DeviceError::NotTheServer)
        );
    }
    let long = "a".repeat(129);
    for wrong in ["", "a~b", "a b", long.as_str()] {
        assert_eq!(
            server.server_code(&id(), Form::Plain, wrong, None),
            Err(ProveError::Challenge)
        );
    }
    assert_eq!(
        server.server_code(&id(), Form::Plain, "a", Some(&[0; 513])),
        Err(ProveError::Extra)
    );
}

#[test]
fn id_1_id_2_id_4_symmetric_keys() {
    for (kind, bytes) in symmetric() {
        let key = SoftKey::new(kind, &bytes).unwrap();
        let server = DeviceKey::new(kind, &Secret::new(bytes)).ok().unwrap();
        meets(&key, &server);
        encrypts(&key, &server);
        proves(&key, &server);
    }
}

/// `spec/id2.md` section 9, V1 to V6: what the vendor's client wrote is believed, and what is encrypted
/// for it is what it decrypts.
#[test]
fn id_1_id_2_what_the_public_client_writes_is_believed() {
    let v1 = "2122232425262728292a2b2c2d2e2f30";
    let c = "~2~67452301EFCDAB89~55B83408399FA660F05C82E4F25333DC~";
    let t = "~2~67452301EFCDAB89~1512022279204~";
    let des = "0102030405060708090A0B0C";
    let own = "2122232425262728292A2B2C";
    let extra: Option<&[u8]> = Some(b"abcd1234");
    for (kind, id, key, codes, hello) in [
        (
            KeyType::Aes128,
            own,
            v1,
            &[
                (
                    format!("0{c}eXTmAV9sdhn4u824m4+mICNzD2kZ4e5XKVmkgzNAnvuXnA1nt3r97vPi1Bnh6fF1"),
                    None,
                ),
                (
                    format!("2{c}HzHogvMC2zKFSnNxduwJp5zDKZ0mfhBNRVmKKjlcCKeXnA1nt3r97vPi1Bnh6fF1"),
                    extra,
                ),
                (
                    format!("1{t}EeIpjrUSV2neA4GCoXWKRliDOyWJbPlr7ZlX+ZEmlPCXnA1nt3r97vPi1Bnh6fF1"),
                    None,
                ),
                (
                    format!("3{t}mJ/HXU7nCmJsKjOqo/CxLo3I8HGL0OqiANx6GnZZ9DSXnA1nt3r97vPi1Bnh6fF1"),
                    extra,
                ),
            ][..],
            "49d2c68ba42a0cd40d1834f02978cc44",
        ),
        (
            KeyType::Aes192,
            "000FFFFFDB1D8DC78DDCB800",
            "e4cac8c54ab2d7f07939466b332736990598a452ffe33a97",
            &[
                (
                    format!("0{c}DcQSAmyVpIOIWWVt9uQNHWfHwZkxTLp7zC/QUhWV+XIqPlyoRTxaq/utxfegaUZ8"),
                    None,
                ),
                (
                    format!("3{t}SjnIuVqsceH6hWX8lM0u1X6Dvt8l7AtTNJSdf1Adl9AqPlyoRTxaq/utxfegaUZ8"),
                    extra,
                ),
            ],
            "141cf4653eed9bf1bd42702eb8ce1de4",
        ),
        (
            KeyType::Aes256,
            own,
            "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40",
            &[(
                format!("0{c}ditHlbD+1jKkl5nLziNYmK4Iu7GIb4vDCZ84J329XD4vo2knkDbm2bjvWI1TUwbQ"),
                None,
            )],
            "dedf51ee1bde0315793d1a9ab1784250",
        ),
        (
            KeyType::TripleDes112,
            des,
            "0102030405060708090a0b0c0d0e0f10",
            &[
                (
                    format!("0{c}wc0qGxUjWfdNb5NA2AMExwBFoaj0CdY+KEt+mQY9A28GEBk3fGv9ig=="),
                    None,
                ),
                (
                    format!("3{t}qyAxiuWb0KzbjceNI0MrQXH2Zip8ns27c8I3aaEsTl0GEBk3fGv9ig=="),
                    extra,
                ),
            ],
            "d75cc472bc4d639c0da490dcc3c83c0a",
        ),
        (
            KeyType::TripleDes168,
            des,
            "0102030405060708090a0b0c0d0e0f101112131415161718",
            &[(
                format!("0{c}loGPd3qpfWgLXGiOm3O38+6n8OpKLVxw2NLZ4XOYmE6PRbW+I/FsTg=="),
                None,
            )],
            "69fa9a963f5ee89516aa57176e85be73",
        ),
        (
            KeyType::Sm4,
            own,
            v1,
            &[(
                format!(
                    "0{}2o8t48HV+LUt0ZpqK1DUif8VNi4CHqIp2rNiQdmgZyWSYJubqeveYzKMQNqi51Ee",
                    c.replacen('2', "3", 1)
                ),
                None,
            )],
            "0b7f9d7b510b15214261501f5596f590",
        ),
    ] {
        let server = DeviceKey::new(kind, &Secret::new(hex::decode(key).unwrap()));
        let server = server.ok().unwrap();
        let id = Id::parse(id.as_bytes()).unwrap();
        for (text, extra) in codes {
            let code = AuthCode::parse(text).ok().unwrap();
            assert_eq!(server.verify(&id, &code, *extra, false), Ok(()), "{text}");
        }
        let closed = server.encrypt("hello id2", &[0; 64]).unwrap();
        assert_eq!(hex::encode(closed), hello, "{kind:?}");
    }
    // The same inside the form "99".
    let server = DeviceKey::new(KeyType::Aes128, &Secret::new(hex::decode(v1).unwrap()));
    let inner = server.ok().unwrap().unharden(
        "99~vbDKhr16lGpSuur06BVYTtznEXdp7QP3ZVDLJBHoz4TvFEheoj+SbNJHiD0wcj2HLo4fH+EVRpFwCGJ473Jh\
         VqaK2L87BDBb/KO37i2HMLB2eslqAh/daxM+hREiGsxv/y+1Av+BZLpHLXYm1t2rBkPn8H4yUimvHi00+ggy14I=",
    );
    let code = "eXTmAV9sdhn4u824m4+mICNzD2kZ4e5XKVmkgzNAnvuXnA1nt3r97vPi1Bnh6fF1";
    assert_eq!(inner.unwrap(), format!("0{c}{code}"));
}

/// The server's words of `spec/id2.md` section 9, V1.
#[test]
fn id_4_the_server_code_of_the_vector() {
    let key = hex::decode("2122232425262728292a2b2c2d2e2f30").unwrap();
    let server = DeviceKey::new(KeyType::Aes128, &Secret::new(key))
        .ok()
        .unwrap();
    let code = |extra| server.server_code(&id(), Form::Plain, "67452301EFCDAB89", extra);
    assert_eq!(
        code(None).unwrap(),
        "10~2~67452301EFCDAB89~UXzFHtUqvwHIpaDXg/9i5EVaLXHK0wwfoW7YageoYkOXnA1nt3r97vPi1Bnh6fF1"
    );
    assert_eq!(
        code(Some(b"srvextra")).unwrap(),
        "11~2~67452301EFCDAB89~8jgY94HHC+tNE1+LHNpyB5VW6LoA4PQOZVqDc35unOuXnA1nt3r97vPi1Bnh6fF1"
    );
}

#[test]
fn the_hardened_form_goes_both_ways() {
    for (kind, bytes) in symmetric() {
        let key = SoftKey::new(kind, &bytes).unwrap();
        let server = DeviceKey::new(kind, &Secret::new(bytes)).ok().unwrap();
        if kind == KeyType::Sm4 {
            assert_eq!(server.unharden("99~AAAA"), Err(KeyError::NotSupported));
            continue;
        }
        let text = write(&key, Form::Hardened, Fresh::Challenge("c"), None);
        assert!(DeviceKey::is_hardened(&text));
        assert_eq!(AuthCode::parse(&text).err(), Some(FormError::Fields));
        let inner = server.unharden(&text).unwrap();
        let code = AuthCode::parse(&inner).ok().unwrap();
        assert_eq!(server.verify(&id(), &code, None, false), Ok(()));
        for wrong in [
            "99~",
            "99~AAAA",
            "99~????",
            "0~2~",
            "99~AAAAAAAAAAAAAAAAAAAAAA==",
        ] {
            assert_eq!(server.unharden(wrong), Err(KeyError::BadCipher), "{wrong}");
        }
        for challenge in ["c", "0123456789ABCDEF", &"d".repeat(128)] {
            let answer = server
                .server_code(&id(), Form::Hardened, challenge, None)
                .unwrap();
            let challenge = challenge.as_bytes();
            let checked = check_server(&key, &id(), Form::Hardened, &answer, challenge, None);
            assert_eq!(checked, Ok(()));
        }
    }
}

#[cfg(feature = "openssl")]
#[test]
fn id_1_id_2_id_4_rsa_keys() {
    for (kind, bits) in [(KeyType::Rsa1024, 1024), (KeyType::Rsa2048, 2048)] {
        let private = RsaPrivate::generate(bits).unwrap();
        let both = DeviceKey::new(kind, &private.to_der().unwrap())
            .ok()
            .unwrap();
        let public = Secret::new(private.public_der().unwrap());
        let only = DeviceKey::new(kind, &public).ok().unwrap();
        let key = key::RsaKey::new(kind, private).ok().unwrap();
        for server in [&both, &only] {
            meets(&key, server);
            encrypts(&key, server);
        }
        proves(&key, &both);
        assert_eq!(
            only.server_code(&id(), Form::Plain, "c", None),
            Err(ProveError::Key(KeyError::NotSupported))
        );
        assert_eq!(only.unharden("99~AAAA"), Err(KeyError::NotSupported));
        assert_eq!(both.unharden("99~AAAA"), Err(KeyError::NotSupported));
        let other = [KeyType::Rsa2048, KeyType::Rsa1024][usize::from(bits == 2048)];
        assert_eq!(
            DeviceKey::new(other, &public).err(),
            Some(KeyError::BadLength)
        );
    }
}

/// `spec/id2.md` section 9, V7: the test key of the vendor's template for secure elements, by its two
/// primes.
#[cfg(feature = "openssl")]
#[test]
fn id_1_id_6_the_code_of_the_rsa_vector() {
    use openssl::{
        bn::{BigNum, BigNumContext},
        pkey::PKey,
        rsa::RsaPrivateKeyBuilder,
    };
    let prime = |byte: u8, end: [u8; 2]| {
        let mut bytes = [byte; 64];
        bytes[62..].copy_from_slice(&end);
        BigNum::from_slice(&bytes).unwrap()
    };
    let (p, q) = (prime(0xd0, [0x3e, 0xcd]), prime(0xd1, [0x08, 0x65]));
    let e = BigNum::from_u32(65_537).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let [mut n, mut all, mut d] = [(); 3].map(|()| BigNum::new().unwrap());
    n.checked_mul(&p, &q, &mut context).unwrap();
    let one = BigNum::from_u32(1).unwrap();
    let (less_p, less_q) = (&p - &one, &q - &one);
    all.checked_mul(&less_p, &less_q, &mut context).unwrap();
    d.mod_inverse(&e, &all, &mut context).unwrap();
    let [mut dp, mut dq, mut qi] = [(); 3].map(|()| BigNum::new().unwrap());
    dp.nnmod(&d, &less_p, &mut context).unwrap();
    dq.nnmod(&d, &less_q, &mut context).unwrap();
    qi.mod_inverse(&q, &p, &mut context).unwrap();
    let key = RsaPrivateKeyBuilder::new(n, e, d)
        .and_then(|key| key.set_factors(p, q))
        .and_then(|key| key.set_crt_params(dp, dq, qi))
        .unwrap()
        .build();
    let der = PKey::from_rsa(key).unwrap().private_key_to_pkcs8().unwrap();
    let private = RsaPrivate::from_der(&der).ok().unwrap();
    let public = private.public_der().ok().unwrap();
    let key = key::RsaKey::new(KeyType::Rsa1024, private).ok().unwrap();
    let id = Id::parse(b"5152535455565758595A5B5C").unwrap();
    let expected = "0~2~67452301EFCDAB89~55B83408399FA660F05C82E4F25333DC~\
                    fGzzUtFGoKxAFjN1KZ+tmOz5q/pYDTDQKiNbgnz+BGZ/mLb6Kahw4pcjm+eIrrdlGOq5CJM1a5oet4r\
                    +78g33XixWX6qYPtbyC0kZg9yL6OzwWpMQjIhr3eFolPV0knabdLo385ivnCG7emY8u+ZnwK3Kb15H0\
                    PPXABl7QMyu4c=";
    let mut out = [0; 512];
    let fresh = Fresh::Challenge("55B83408399FA660F05C82E4F25333DC");
    let random = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
    let len = auth_code(&key, &id, Form::Plain, fresh, None, random, &mut out).unwrap();
    assert_eq!(core::str::from_utf8(&out[..len]), Ok(expected));
    // The server needs the public half alone.
    let server = DeviceKey::new(KeyType::Rsa1024, &Secret::new(public));
    let code = AuthCode::parse(expected).ok().unwrap();
    assert_eq!(server.ok().unwrap().verify(&id, &code, None, false), Ok(()));
}

/// Old secure elements hash with MD5 or SHA-1, and are believed only where they are allowed to.
#[cfg(feature = "openssl")]
#[test]
fn legacy_hashes_want_to_be_allowed() {
    let private = RsaPrivate::generate(1024).unwrap();
    let server = DeviceKey::new(KeyType::Rsa1024, &private.to_der().unwrap())
        .ok()
        .unwrap();
    for (digit, hash) in [(0, HashType::Md5), (1, HashType::Sha1)] {
        let digest = hash
            .hash()
            .of(&[id().as_bytes(), b"1245DC626946A9E5", b"1499753003564"]);
        let mut out = [0; 128];
        private
            .sign(hash.hash(), digest.as_bytes(), &mut out)
            .unwrap();
        let text = format!(
            "3~{digit}~1245DC626946A9E5~1499753003564~{}",
            STANDARD.encode(out)
        );
        let code = AuthCode::parse(&text).ok().unwrap();
        assert_eq!(server.verify(&id(), &code, None, true), Ok(()));
        assert_eq!(
            server.verify(&id(), &code, None, false),
            Err(VerifyError::Hash)
        );
    }
}

#[cfg(feature = "curves")]
#[test]
fn id_1_id_2_keys_on_curves() {
    for kind in [KeyType::P256, KeyType::Sm2] {
        let key = key::CurveKey::new(kind, &[7; 32]).ok().unwrap();
        for material in [key.public().to_vec(), vec![7; 32]] {
            let server = DeviceKey::new(kind, &Secret::new(material)).ok().unwrap();
            meets(&key, &server);
            assert_eq!(
                server.server_code(&id(), Form::Plain, "c", None),
                Err(ProveError::Key(KeyError::NotSupported))
            );
            if kind == KeyType::Sm2 {
                encrypts(&key, &server);
            } else {
                assert_eq!(
                    server.encrypt("x", &[9; 64]),
                    Err(EncryptError::Key(KeyError::NotSupported))
                );
            }
        }
        for wrong in [vec![0; 32], vec![0; 65], vec![4; 65], vec![7; 31]] {
            assert_eq!(
                DeviceKey::new(kind, &Secret::new(wrong)).err(),
                Some(KeyError::BadLength)
            );
        }
        assert_eq!(
            check_server(&key, &id(), Form::Plain, "10~2~c~AAAA", b"c", None),
            Err(DeviceError::Key(KeyError::NotSupported))
        );
    }
}

#[test]
fn material_of_another_length_is_no_key() {
    for (kind, bytes) in symmetric() {
        let mut longer = bytes;
        longer.push(0);
        assert_eq!(
            DeviceKey::new(kind, &Secret::new(longer)).err(),
            Some(KeyError::BadLength)
        );
    }
}

/// [ID-1] [ID-2] [ID-4] The keyed form: every symmetric kind, all modes, both ways; whatever was
/// changed is refused, and neither form passes for the other.
#[test]
fn the_keyed_form_proves_and_encrypts_without_ecb() {
    use crate::id2::device::{decrypt_keyed, decrypt_keyed_in_place};
    for (kind, bytes) in symmetric() {
        let key = SoftKey::new(kind, &bytes).unwrap();
        let server = DeviceKey::new(kind, &Secret::new(bytes)).unwrap();
        let other = Id::parse(b"2122232425262728292A2B2D").unwrap();
        for (fresh, extra) in [
            (Fresh::Challenge("55B83408399FA660F05C82E4F25333DC"), None),
            (Fresh::Timestamp("1512022279204"), Some(&b"abcd1234"[..])),
            (Fresh::Timestamp("1"), Some(&b""[..])),
        ] {
            let text = write(&key, Form::Keyed, fresh, extra);
            let freshness = match fresh {
                Fresh::Challenge(text) | Fresh::Timestamp(text) => text.len(),
            };
            assert_eq!(
                text.len(),
                device::auth_code_len(kind, Form::Keyed, freshness)
            );
            let inner = DeviceKey::unkeyed(&text).unwrap();
            let code = AuthCode::parse(inner).ok().unwrap();
            assert_eq!(server.verify_keyed(&id(), &code, extra), Ok(()));
            let no = Err(VerifyError::Signature);
            assert_eq!(server.verify_keyed(&other, &code, extra), no);
            // The mode is covered, too.
            let mode = if code.mode.has_extra() {
                Mode::ChallengeExtra
            } else {
                Mode::Timestamp
            };
            assert_eq!(
                server.verify_keyed(&id(), &AuthCode { mode, ..code }, extra),
                no
            );
            assert!(server.verify(&id(), &code, extra, false).is_err());
            let plain = write(&key, Form::Plain, fresh, extra);
            let plain = AuthCode::parse(&plain).ok().unwrap();
            assert!(server.verify_keyed(&id(), &plain, extra).is_err());
        }
        // What ends the timestamp cannot be taken for what begins the extra.
        let text = write(&key, Form::Keyed, Fresh::Timestamp("12"), Some(b"3"));
        let code = AuthCode::parse(DeviceKey::unkeyed(&text).unwrap())
            .ok()
            .unwrap();
        let moved = AuthCode {
            freshness: "1",
            ..code
        };
        assert!(server.verify_keyed(&id(), &moved, Some(b"23")).is_err());

        for extra in [None, Some(&b"srvextra"[..])] {
            let text = server
                .server_code(&id(), Form::Keyed, "ABCD12348", extra)
                .unwrap();
            let check = |form, text: &str, challenge: &[u8], extra| {
                check_server(&key, &id(), form, text, challenge, extra).is_ok()
            };
            assert!(check(Form::Keyed, &text, b"ABCD12348", extra));
            assert!(!check(Form::Keyed, &text, b"ABCD12349", extra));
            assert!(!check(Form::Keyed, &text, b"ABCD12348", Some(b"x")));
            assert!(!check(Form::Plain, &text, b"ABCD12348", extra));
            let plain = server
                .server_code(&id(), Form::Plain, "ABCD12348", extra)
                .unwrap();
            assert!(!check(Form::Keyed, &plain, b"ABCD12348", extra));
        }

        let most = "x".repeat(keyed::PLAIN_MAX);
        for data in ["hello id2", &most] {
            let mut closed = server.encrypt_keyed(&id(), data, &[7; 12]).unwrap();
            assert!(closed.len() <= 512);
            let mut out = [0; 512];
            let len = decrypt_keyed(&key, &id(), &closed, &mut out).unwrap();
            assert_eq!(&out[..len], data.as_bytes());
            let short = decrypt_keyed(&key, &id(), &closed, &mut out[..len - 1]);
            assert_eq!(short, Err(device::DeviceError::ShortBuffer(len)));
            assert!(decrypt_keyed(&key, &other, &closed, &mut out).is_err());
            for at in 0..closed.len() {
                closed[at] ^= 1;
                assert!(decrypt_keyed(&key, &id(), &closed, &mut out).is_err());
                closed[at] ^= 1;
            }
            let len = decrypt_keyed_in_place(&key, &id(), &mut closed).unwrap();
            assert_eq!(&closed[..len], data.as_bytes());
        }
        for wrong in [&b""[..], &[0; 27], &[0; 513], &[0; 5_000]] {
            assert!(decrypt_keyed(&key, &id(), wrong, &mut [0; 5_000]).is_err());
        }
    }
}

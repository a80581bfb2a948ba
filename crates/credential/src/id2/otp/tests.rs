use super::*;
use crate::id2::device;
use alloc::string::ToString;

const AES: &str = "i11iQLFQgzT2BRTWTVQ9B0BE0549A601";
const DES: &str = "i14ejGyODBUwsjKTWri789E01AAD601E";

fn session() -> Session {
    Zeroizing::new([b'0'; 16])
}

fn token(text: &str) -> Token {
    Token::parse(text.as_bytes()).ok().unwrap()
}

fn code(token: &Token) -> Vec<u8> {
    let mut out = [0; CODE_MAX];
    let len = auth_code(token, &session(), &[b'1'; 16], &mut out).unwrap();
    out[..len].to_vec()
}

/// `spec/id2.md` section 9, V8 and V9: the vendor's client, with its self-test's data.
#[test]
fn id_5_a_device_asks_as_the_public_client_does() {
    for (text, expected) in [
        (
            AES,
            "AAABACQOSl8KZrYD5hPmp3Ln4ssZ4KHv9vIDYdq3264F3kLH6Ma6B6L/RmkocBtMR+0KRiSRRDhBIuvP0RN\
             FxNtMO3sEGDJO7knIDlWKQ7wQoNR/xFW3Tpd2W8WQTa+YrMYtFqAne+PU9hZPmL7gH69HmrY=",
        ),
        (
            DES,
            "AAABAGtpp3AyqRqSbOTyqBeM4G2SHUqk7eo35w5CrwAUX032NTAh8KIhX1ZenldVnU9fFkPeQTyl5CJAPF9\
             0wZzKbLMjsY0t+9TTMUuunbErnsvH19aIS+7JnB8FP/Dy5OEDxq84kz6fNm0j",
        ),
    ] {
        let token = token(text);
        let blob = code(&token);
        assert_eq!(encode_text(&blob), expected);
        let read = decode_text(expected).unwrap();
        let read = OtpCode::parse(&read).ok().unwrap();
        assert_eq!(*read.provision_id, token.provision_id());
        let opened = read.open(&token).ok().unwrap();
        assert_eq!(*opened.session, *session());
        assert_eq!(opened.fingerprint(), [b'1'; 16]);
        assert!(!opened.is_filler());
    }
}

struct Answer {
    kind: KeyType,
    id: &'static str,
    key: &'static str,
    tail: &'static str,
    to_1234: Option<&'static str>,
}

const ANSWERS: [Answer; 4] = [
    Answer {
        kind: KeyType::Aes128,
        id: "00000001AE5EA6190B785B00",
        key: "10a0dc354b3fa6a68b9e192fe66b8e08",
        tail: "cc38a30399e0fe73b857b8eb089d9f33346bce0b8eed34da10f6a8fabb844494\
               82596a9e2e5a5aa85513a47baddec4dc901e3b108736db751b71dace129b66c3",
        to_1234: Some("1cc565a191cfcea59f997dc9195c154d"),
    },
    Answer {
        kind: KeyType::TripleDes112,
        id: "00AAAAAABBBBBB48B69CD200",
        key: "baa4cee31ffbf7dc1ad9d958ab577ffb",
        tail: "4bcd91457ae9b067da42d444547606f0ad6a88b4fa37833d\
               494d8769ae17cf0ac462d51967af524960a1864414bb67f8dd14d0741e0019e5",
        to_1234: Some("decfb04de525631e"),
    },
    Answer {
        kind: KeyType::Aes128,
        id: "2122232425262728292A2B2C",
        key: "2122232425262728292a2b2c2d2e2f30",
        tail: "ATIxMjIyMzI0MjUyNjI3MjgyOTJBMkIyQ81+GN1P8EiZvyRm323pXbo0a84Lju002hD2qPq7hESUHPQnt\
               7uqvTvjtoggrjnYOs1ygwUElUq+SgNnp94pAic=",
        to_1234: None,
    },
    Answer {
        kind: KeyType::Aes256,
        id: "2122232425262728292A2B2C",
        key: "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40",
        tail: "AzIxMjIyMzI0MjUyNjI3MjgyOTJBMkIyQ81+GN1P8EiZvyRm323pXbqxs9pT09sX91XkxOjBDX6nNGvOC\
               47tNNoQ9qj6u4RElPUizN2LAsVNHOUWbcA8ShxPc2Fx7ZKa/oA6syZatcEp",
        to_1234: None,
    },
];

#[test]
fn id_5_identity_and_key_come_as_the_public_client_reads_them() {
    for answer in ANSWERS {
        let id = Id::parse(answer.id.as_bytes()).unwrap();
        let key = SoftKey::new(answer.kind, &hex::decode(answer.key).unwrap()).unwrap();
        let mut out = [0; PROVISION_MAX];
        let len = provision(&session(), &id, &key, &mut out).unwrap();
        let data = &out[..len];
        assert_eq!(data[0], answer.kind.otp_number().unwrap());
        assert_eq!(&data[1..25], id.as_bytes());
        // Those of the vendor are written down as hex without the head, ours as base64.
        let whole = encode_text(data);
        let tail = hex::encode(&data[25..]);
        assert!(
            [whole, tail].contains(&answer.tail.to_string()),
            "{}",
            answer.id
        );
        let (read, loaded) = load(answer.kind, &session(), data).ok().unwrap();
        assert_eq!(read, id);
        assert_eq!(loaded.expose(), key.expose());
        if let Some(data) = answer.to_1234 {
            let mut out = [0; 4];
            device::decrypt(&loaded, &hex::decode(data).unwrap(), &mut out).unwrap();
            assert_eq!(&out, b"1234");
        }
    }
}

#[test]
fn id_5_every_key_type_of_the_air_makes_the_round() {
    for (kind, len) in [
        (KeyType::Aes128, 89),
        (KeyType::Aes192, 89),
        (KeyType::Aes256, 105),
        (KeyType::TripleDes112, 81),
        (KeyType::TripleDes168, 89),
    ] {
        let token = Token::mint(kind, &core::array::from_fn(|i| i as u8), 0x1_2345_6789)
            .ok()
            .unwrap();
        assert!(token.is_checked());
        assert_eq!(token.key_type(), kind);
        let text = core::str::from_utf8(token.expose()).unwrap().to_string();
        assert_eq!(&text[19..28], "123456789");
        let again = Token::parse(text.as_bytes()).ok().unwrap();
        let blob = code(&again);
        let opened = OtpCode::parse(&blob)
            .ok()
            .unwrap()
            .open(&token)
            .ok()
            .unwrap();
        let key = SoftKey::new(kind, &[7; 32][..kind.cipher().unwrap().key_len()]).unwrap();
        let id = Id::issue([1; 3], [2; 3], 3);
        let mut out = [0; PROVISION_MAX];
        let written = provision(&opened.session, &id, &key, &mut out).unwrap();
        assert_eq!(written, len);
        let (read, loaded) = load(kind, &session(), &out[..written]).ok().unwrap();
        assert_eq!((read, loaded.expose()), (id, key.expose()));
        assert_eq!(
            provision(&opened.session, &id, &key, &mut out[..len - 1]),
            Err(OtpError::ShortBuffer(len))
        );
    }
    assert_eq!(
        Token::mint(KeyType::Sm4, &[0; 64], 1).err(),
        Some(OtpError::TokenKind)
    );
}

#[test]
fn tokens_that_cannot_be_are_refused() {
    for (text, why) in [
        ("", OtpError::Token),
        (&AES[..31], OtpError::Token),
        ("I11iQLFQgzT2BRTWTVQ9B0BE0549A601", OtpError::Token),
        ("i21iQLFQgzT2BRTWTVQ9B0BE0549A601", OtpError::TokenKind),
        ("i10iQLFQgzT2BRTWTVQ9B0BE0549A601", OtpError::TokenKind),
        ("i16iQLFQgzT2BRTWTVQ9B0BE0549A601", OtpError::TokenKind),
        ("i1 iQLFQgzT2BRTWTVQ9B0BE0549A601", OtpError::Token),
    ] {
        assert_eq!(Token::parse(text.as_bytes()).err(), Some(why), "{text}");
    }
}

#[test]
fn a_code_of_another_token_or_with_a_changed_byte_is_not_opened() {
    let (one, other) = (token(AES), token("i11AAAAAAAAAAAAAAAAB0BE0549A6010"));
    let blob = code(&one);
    let read = OtpCode::parse(&blob).ok().unwrap();
    assert_eq!(read.open(&other).err(), Some(OtpError::Proof));
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        match OtpCode::parse(&changed) {
            Err(why) => assert_eq!(why, OtpError::Form),
            // The provision id only finds the token.
            Ok(read) if at < 36 => assert_ne!(*read.provision_id, one.provision_id()),
            Ok(read) => assert_eq!(read.open(&one).err(), Some(OtpError::Proof)),
        }
    }
    for cut in 0..blob.len() {
        if let Ok(read) = OtpCode::parse(&blob[..cut]) {
            assert!(read.open(&one).is_err());
        }
    }
    // The same key part under another type: what is asked for is not what the token brings.
    let asked = token("i12iQLFQgzT2BRTWTVQ9B0BE0549A601");
    assert_eq!(read.open(&asked).err(), Some(OtpError::KeyType));
}

#[test]
fn provision_data_of_another_session_or_with_a_changed_byte_is_not_loaded() {
    let id = Id::issue([1; 3], [2; 3], 3);
    let key = SoftKey::new(KeyType::Aes128, &[7; 16]).unwrap();
    let mut out = [0; PROVISION_MAX];
    let len = provision(&session(), &id, &key, &mut out).unwrap();
    let data = &out[..len];
    let other = Zeroizing::new([9; 16]);
    assert!(load(KeyType::Aes128, &other, data).is_err());
    assert_eq!(
        load(KeyType::Aes192, &session(), data).err(),
        Some(OtpError::KeyType)
    );
    for at in 0..len {
        let mut changed = data.to_vec();
        changed[at] ^= 1;
        assert!(load(KeyType::Aes128, &session(), &changed).is_err(), "{at}");
        assert!(load(KeyType::Aes128, &session(), &data[..at]).is_err());
    }
    let mut longer = data.to_vec();
    longer.push(0);
    assert_eq!(
        load(KeyType::Aes128, &session(), &longer).err(),
        Some(OtpError::Form)
    );
}

#[test]
fn fingerprints_have_bounds() {
    let token = token(AES);
    let mut out = [0; CODE_MAX];
    let mut make = |len: usize| auth_code(&token, &session(), &[0xff; 200][..len], &mut out);
    assert_eq!(make(0), Err(OtpError::Fingerprint));
    assert_eq!(make(129), Err(OtpError::Fingerprint));
    let len = make(128).unwrap();
    assert!(len < CODE_MAX);
    let opened = OtpCode::parse(&out[..len]).ok().unwrap();
    assert!(opened.open(&token).ok().unwrap().is_filler());
    assert_eq!(
        auth_code(&token, &session(), b"1", &mut out[..99]),
        Err(OtpError::ShortBuffer(100))
    );
}

/// `spec/id2.md` section 5.5: the shape of the seed's sample.
#[test]
fn id_5_the_text_form_of_the_seed_is_read() {
    let blob = code(&token(AES));
    let inner = encode_text(&blob);
    let begins = "240E4A5F0A66B603E613E6A772E7E2CB";
    let text = alloc::format!("0~0~1245DC626946A9E5~{begins}~{inner}");
    assert_eq!(decode_text(&text), Ok(blob));
    for wrong in [
        alloc::format!("0~0~1245DC626946A9E~{begins}~{inner}"),
        alloc::format!("0~0~1245DC626946A9E5~{}~{inner}", &begins[1..]),
        alloc::format!("0~0~1245DC626946A9E5~{begins}~{inner}~"),
        alloc::format!("0~2~1245DC626946A9E5~{begins}~{inner}"),
        "~".to_string(),
        "A".repeat(513),
        "===".to_string(),
    ] {
        assert_eq!(decode_text(&wrong).err(), Some(OtpError::Form), "{wrong}");
    }
}

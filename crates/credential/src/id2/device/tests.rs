use super::*;
use crate::id2::{HashType, SoftKey};
use alloc::{string::String, vec, vec::Vec};

const RANDOM: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
const CHALLENGE: Fresh<'_> = Fresh::Challenge("55B83408399FA660F05C82E4F25333DC");
const TIMESTAMP: Fresh<'_> = Fresh::Timestamp("1512022279204");
const EXTRA: Option<&[u8]> = Some(b"abcd1234");
const C: &str = "0~2~67452301EFCDAB89~55B83408399FA660F05C82E4F25333DC~";
const TX: &str = "3~2~67452301EFCDAB89~1512022279204~";

struct Vector {
    kind: KeyType,
    id: &'static str,
    key: &'static str,
    challenge: &'static str,
    timestamp_extra: Option<&'static str>,
    hello: &'static str,
}

/// `spec/id2.md` section 9, V1 to V6: what the vendor's public client writes.
const VECTORS: [Vector; 6] = [
    Vector {
        kind: KeyType::Aes128,
        id: "2122232425262728292A2B2C",
        key: "2122232425262728292a2b2c2d2e2f30",
        challenge: "eXTmAV9sdhn4u824m4+mICNzD2kZ4e5XKVmkgzNAnvuXnA1nt3r97vPi1Bnh6fF1",
        timestamp_extra: Some("mJ/HXU7nCmJsKjOqo/CxLo3I8HGL0OqiANx6GnZZ9DSXnA1nt3r97vPi1Bnh6fF1"),
        hello: "49d2c68ba42a0cd40d1834f02978cc44",
    },
    Vector {
        kind: KeyType::Aes192,
        id: "000FFFFFDB1D8DC78DDCB800",
        key: "e4cac8c54ab2d7f07939466b332736990598a452ffe33a97",
        challenge: "DcQSAmyVpIOIWWVt9uQNHWfHwZkxTLp7zC/QUhWV+XIqPlyoRTxaq/utxfegaUZ8",
        timestamp_extra: Some("SjnIuVqsceH6hWX8lM0u1X6Dvt8l7AtTNJSdf1Adl9AqPlyoRTxaq/utxfegaUZ8"),
        hello: "141cf4653eed9bf1bd42702eb8ce1de4",
    },
    Vector {
        kind: KeyType::Aes256,
        id: "2122232425262728292A2B2C",
        key: "2122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f40",
        challenge: "ditHlbD+1jKkl5nLziNYmK4Iu7GIb4vDCZ84J329XD4vo2knkDbm2bjvWI1TUwbQ",
        timestamp_extra: None,
        hello: "dedf51ee1bde0315793d1a9ab1784250",
    },
    Vector {
        kind: KeyType::TripleDes112,
        id: "0102030405060708090A0B0C",
        key: "0102030405060708090a0b0c0d0e0f10",
        challenge: "wc0qGxUjWfdNb5NA2AMExwBFoaj0CdY+KEt+mQY9A28GEBk3fGv9ig==",
        timestamp_extra: Some("qyAxiuWb0KzbjceNI0MrQXH2Zip8ns27c8I3aaEsTl0GEBk3fGv9ig=="),
        hello: "d75cc472bc4d639c0da490dcc3c83c0a",
    },
    Vector {
        kind: KeyType::TripleDes168,
        id: "0102030405060708090A0B0C",
        key: "0102030405060708090a0b0c0d0e0f101112131415161718",
        challenge: "loGPd3qpfWgLXGiOm3O38+6n8OpKLVxw2NLZ4XOYmE6PRbW+I/FsTg==",
        timestamp_extra: None,
        hello: "69fa9a963f5ee89516aa57176e85be73",
    },
    Vector {
        kind: KeyType::Sm4,
        id: "2122232425262728292A2B2C",
        key: "2122232425262728292a2b2c2d2e2f30",
        challenge: "2o8t48HV+LUt0ZpqK1DUif8VNi4CHqIp2rNiQdmgZyWSYJubqeveYzKMQNqi51Ee",
        timestamp_extra: None,
        hello: "0b7f9d7b510b15214261501f5596f590",
    },
];

fn soft(kind: KeyType, hex: &str) -> SoftKey {
    SoftKey::new(kind, &hex::decode(hex).unwrap()).unwrap()
}

fn v1() -> (SoftKey, Id) {
    let [Vector { kind, id, key, .. }, ..] = VECTORS;
    (soft(kind, key), Id::parse(id.as_bytes()).unwrap())
}

fn write(key: &SoftKey, id: &Id, form: Form, fresh: Fresh<'_>, extra: Option<&[u8]>) -> String {
    let mut out = [0; 512];
    let len = auth_code(key, id, form, fresh, extra, RANDOM, &mut out).unwrap();
    String::from_utf8(out[..len].to_vec()).unwrap()
}

#[test]
fn id_6_codes_and_cipher_texts_are_those_of_the_public_client() {
    for vector in VECTORS {
        let key = soft(vector.kind, vector.key);
        let id = Id::parse(vector.id.as_bytes()).unwrap();
        let digit = char::from(vector.kind.hash().digit());
        let begin = C.replacen("~2~", &alloc::format!("~{digit}~"), 1);
        assert_eq!(
            write(&key, &id, Form::Plain, CHALLENGE, None),
            alloc::format!("{begin}{}", vector.challenge),
            "{:?}",
            vector.kind
        );
        if let Some(expected) = vector.timestamp_extra {
            assert_eq!(
                write(&key, &id, Form::Plain, TIMESTAMP, EXTRA),
                alloc::format!("{TX}{expected}")
            );
        }
        let data = hex::decode(vector.hello).unwrap();
        let mut out = [0; 64];
        let len = decrypt(&key, &data, &mut out).unwrap();
        assert_eq!(&out[..len], b"hello id2");
        let mut place = data.clone();
        let len = decrypt_in_place(&key, &mut place).unwrap();
        assert_eq!(&place[..len], b"hello id2");
    }
}

#[test]
fn id_6_all_forms_of_the_first_vector() {
    let (key, id) = v1();
    for (fresh, extra, expected) in [
        (
            CHALLENGE,
            EXTRA,
            "2~2~67452301EFCDAB89~55B83408399FA660F05C82E4F25333DC~\
             HzHogvMC2zKFSnNxduwJp5zDKZ0mfhBNRVmKKjlcCKeXnA1nt3r97vPi1Bnh6fF1",
        ),
        (
            TIMESTAMP,
            None,
            "1~2~67452301EFCDAB89~1512022279204~\
             EeIpjrUSV2neA4GCoXWKRliDOyWJbPlr7ZlX+ZEmlPCXnA1nt3r97vPi1Bnh6fF1",
        ),
    ] {
        assert_eq!(write(&key, &id, Form::Plain, fresh, extra), expected);
    }
    assert_eq!(
        write(&key, &id, Form::Hardened, CHALLENGE, None),
        "99~vbDKhr16lGpSuur06BVYTtznEXdp7QP3ZVDLJBHoz4TvFEheoj+SbNJHiD0wcj2HLo4fH+EVRpFwCGJ473Jh\
         VqaK2L87BDBb/KO37i2HMLB2eslqAh/daxM+hREiGsxv/y+1Av+BZLpHLXYm1t2rBkPn8H4yUimvHi00+ggy14I="
    );
    let seed = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    assert_eq!(
        secret(&key, seed).unwrap().as_slice(),
        b"35EA365AAF3ADCE65C69E88FDABA60C70C01B7F7A9BFCA194E6E1DA48F85EF54"
    );
    // The vendor's self-tests of AES-128 and 3DES-112.
    for (key, data) in [
        (key, "ece18ce9b961aed75002a48eb9955e44"),
        (soft(VECTORS[3].kind, VECTORS[3].key), "a0fa1344960d4eba"),
    ] {
        let mut out = [0; 4];
        assert_eq!(decrypt(&key, &hex::decode(data).unwrap(), &mut out), Ok(4));
        assert_eq!(&out, b"1234");
    }
}

const SERVER: &str =
    "10~2~67452301EFCDAB89~UXzFHtUqvwHIpaDXg/9i5EVaLXHK0wwfoW7YageoYkOXnA1nt3r97vPi1Bnh6fF1";
const SERVER_EXTRA: &str =
    "11~2~67452301EFCDAB89~8jgY94HHC+tNE1+LHNpyB5VW6LoA4PQOZVqDc35unOuXnA1nt3r97vPi1Bnh6fF1";
const DC: &[u8] = b"67452301EFCDAB89";

#[test]
fn id_4_the_server_of_the_vector_is_believed_and_no_other() {
    let (key, id) = v1();
    let check = |text: &str, challenge: &[u8], extra: Option<&[u8]>| {
        check_server(&key, &id, Form::Plain, text, challenge, extra)
    };
    let extra: Option<&[u8]> = Some(b"srvextra");
    assert_eq!(check(SERVER, DC, None), Ok(()));
    assert_eq!(check(SERVER_EXTRA, DC, extra), Ok(()));
    for (text, challenge, extra) in [
        (SERVER, &b"67452301EFCDAB88"[..], None),
        (SERVER, b"67452301EFCDAB8", None),
        (SERVER, DC, extra),
        (SERVER_EXTRA, DC, None),
        (SERVER_EXTRA, DC, Some(b"srvextrb")),
    ] {
        assert_eq!(
            check(text, challenge, extra),
            Err(DeviceError::NotTheServer),
            "{text}"
        );
    }
    let altered = SERVER.replace("UXzF", "UXzG");
    assert_eq!(check(&altered, DC, None), Err(DeviceError::NotTheServer));
    let other_hash = SERVER.replacen("~2~", "~3~", 1);
    assert_eq!(check(&other_hash, DC, None), Err(DeviceError::NotTheServer));
    assert_eq!(check(SERVER, b"", None), Err(DeviceError::Challenge));
    assert_eq!(
        check("", DC, None),
        Err(DeviceError::Form(FormError::Fields))
    );
    // A device that hardens takes no bare code for an answer, and the other way about.
    assert_eq!(
        check_server(&key, &id, Form::Hardened, SERVER, DC, None),
        Err(DeviceError::Form(FormError::Mode))
    );
    let mut inner = [0; 128];
    inner[..SERVER.len()].copy_from_slice(SERVER.as_bytes());
    let mut out = [0; 256];
    let len = harden(&key, &mut inner, SERVER.len(), &mut out).unwrap();
    let hardened = str::from_utf8(&out[..len]).unwrap();
    assert_eq!(
        check_server(&key, &id, Form::Hardened, hardened, DC, None),
        Ok(())
    );
    assert_eq!(
        check(hardened, DC, None),
        Err(DeviceError::Form(FormError::Fields))
    );
}

#[test]
fn wrong_arguments_are_told_apart() {
    let (key, id) = v1();
    let mut out = [0; 512];
    let mut make = |fresh, extra, room: usize| {
        auth_code(
            &key,
            &id,
            Form::Plain,
            fresh,
            extra,
            RANDOM,
            &mut out[..room],
        )
    };
    assert_eq!(
        make(CHALLENGE, None, 117),
        Err(DeviceError::ShortBuffer(118))
    );
    assert_eq!(make(CHALLENGE, None, 118), Ok(118));
    assert_eq!(make(TIMESTAMP, None, 0), Err(DeviceError::ShortBuffer(99)));
    for wrong in [
        Fresh::Challenge(""),
        Fresh::Challenge("123456789012345678901234567890123"),
        Fresh::Challenge("a~b"),
        Fresh::Challenge("a b"),
        Fresh::Timestamp("12a"),
    ] {
        assert_eq!(make(wrong, None, 512), Err(DeviceError::Freshness));
    }
    assert_eq!(
        make(CHALLENGE, Some(&[0; 513]), 512),
        Err(DeviceError::Excess)
    );
    assert!(make(CHALLENGE, Some(&[0; 512]), 512).is_ok());
    // An extra of no bytes is an extra: the mode says so.
    assert_eq!(make(CHALLENGE, Some(&[]), 512), Ok(118));
    assert_eq!(out[0], b'2');

    let mut out = [0; 64];
    for (data, why) in [
        (vec![], DeviceError::Key(KeyError::BadLength)),
        (vec![0; 15], DeviceError::Key(KeyError::BadLength)),
        (vec![0; 16], DeviceError::Key(KeyError::BadCipher)),
        (vec![0; 4112], DeviceError::Excess),
    ] {
        assert_eq!(decrypt(&key, &data, &mut out), Err(why));
        assert_eq!(decrypt_in_place(&key, &mut data.clone()), Err(why));
    }
    let hello = hex::decode(VECTORS[0].hello).unwrap();
    assert_eq!(
        decrypt(&key, &hello, &mut out[..8]),
        Err(DeviceError::ShortBuffer(9))
    );
    assert_eq!(secret(&key, &[0; 129]).err(), Some(DeviceError::Excess));
}

#[test]
fn only_aes_and_triple_des_have_the_hardened_form() {
    let key = soft(KeyType::Sm4, VECTORS[5].key);
    let (_, id) = v1();
    let mut out = [0; 512];
    assert_eq!(
        auth_code(&key, &id, Form::Hardened, CHALLENGE, None, RANDOM, &mut out),
        Err(DeviceError::Key(KeyError::NotSupported))
    );
}

/// A key whose carrier gives a signature of another length than its type's.
struct Broken;

impl Key for Broken {
    fn key_type(&self) -> KeyType {
        KeyType::Rsa2048
    }

    fn sign(&self, _: HashType, _: &[u8], _: &mut [u8]) -> Result<usize, KeyError> {
        Ok(128)
    }
}

#[test]
fn a_broken_carrier_is_noticed() {
    let (_, id) = v1();
    let mut out = [0; 512];
    assert_eq!(
        auth_code(&Broken, &id, Form::Plain, CHALLENGE, None, RANDOM, &mut out),
        Err(DeviceError::Key(KeyError::Failed))
    );
    assert_eq!(
        decrypt(&Broken, &[0; 128], &mut out),
        Err(DeviceError::Key(KeyError::NotSupported))
    );
}

#[test]
fn long_cipher_texts_are_decrypted_block_by_block() {
    let (key, _) = v1();
    let plain: Vec<u8> = (0..4095u32).map(|i| (i % 251) as u8).collect();
    let mut data = plain.clone();
    data.push(1);
    key.blocks(Direction::Encrypt, &mut data).unwrap();
    let mut out = vec![0; 4095];
    assert_eq!(decrypt(&key, &data, &mut out), Ok(4095));
    assert_eq!(out, plain);
}

//! The PKCS#11 carrier against SoftHSM 2, a real implementation of the interface in software.
//!
//! Where it is not installed the test says so; `MUSTER_CARRIERS=1`, which `make test` sets, makes
//! that a fault.

#![cfg(feature = "pkcs11")]
#![expect(
    clippy::unwrap_used,
    reason = "the helpers of a test fail as the test does"
)]

use credential::{
    Secret,
    id2::{
        AuthCode, Id, KeyError, KeyType, SoftKey, device::Form, device::Fresh, server::DeviceKey,
    },
};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    mechanism::Mechanism,
    object::{Attribute, AttributeType},
    session::UserType,
    types::AuthPin,
};
use device::{holder::KeyHolder, id2::Client, pkcs11::Token};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

const PLACES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
];

fn library() -> Option<PathBuf> {
    PLACES.iter().map(PathBuf::from).find(|path| path.exists())
}

fn id(serial: u32) -> Id {
    Id::issue([1; 3], [2; 3], serial)
}

/// The whole test is one, in a process of its own: SoftHSM reads its configuration from the
/// environment, which only the process that is started may set.
#[test]
fn id_9_keys_live_in_a_token() {
    let Some(library) = library() else {
        assert!(
            env::var_os("MUSTER_CARRIERS").is_none(),
            "tools/setup device installs SoftHSM"
        );
        eprintln!("not run: no SoftHSM (tools/setup device)");
        return;
    };
    if env::var_os("SOFTHSM2_CONF").is_some() {
        return in_token(&library);
    }
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let conf = folder.path().join("softhsm2.conf");
    fs::write(
        &conf,
        format!("directories.tokendir = {}\n", tokens.display()),
    )
    .unwrap();
    let done = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "bench"])
        .args(["--pin", "1234", "--so-pin", "5678"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let done = Command::new(env::current_exe().unwrap())
        .args(["id_9_keys_live_in_a_token", "--exact", "--nocapture"])
        .env("SOFTHSM2_CONF", &conf)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    let why = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success() && said.contains("1 passed"),
        "{said}{why}"
    );
}

fn in_token(library: &Path) {
    assert_eq!(
        Token::open(library, "elsewhere", "1234").err(),
        Some(KeyError::Communication)
    );
    assert_eq!(
        Token::open(Path::new("/nowhere.so"), "bench", "1234").err(),
        Some(KeyError::Communication)
    );
    assert_eq!(
        Token::open(library, "bench", "4321").err(),
        Some(KeyError::Failed)
    );
    symmetric(library);
    asymmetric(library);
}

fn proves(client: &mut Client<Token>, server: &DeviceKey, id: &Id) {
    let mut out = [0; 512];
    let fresh = Fresh::Challenge("55B83408399FA660F05C82E4F25333DC");
    let len = client
        .auth_code(fresh, Some(b"extra"), [1; 8], &mut out)
        .unwrap();
    let text = std::str::from_utf8(&out[..len]).unwrap();
    let code = AuthCode::parse(text).unwrap();
    assert_eq!(server.verify(id, &code, Some(b"extra"), false), Ok(()));
    if server.key_type().plain_max().is_some() {
        let data = server.encrypt("hello id2", &[0; 64]).unwrap();
        let len = client.decrypt(&data, &mut out).unwrap();
        assert_eq!(&out[..len], b"hello id2");
    }
}

fn symmetric(library: &Path) {
    let mut token = Token::open(library, "bench", "1234").unwrap();
    assert!(token.open().unwrap().is_none());
    let kinds = [
        KeyType::Aes128,
        KeyType::Aes192,
        KeyType::Aes256,
        KeyType::TripleDes112,
        KeyType::TripleDes168,
    ];
    for (serial, kind) in (1..).zip(kinds) {
        let bytes: Vec<u8> = (0x10..).take(kind.cipher().unwrap().key_len()).collect();
        let key = SoftKey::new(kind, &bytes).unwrap();
        token.install(&id(serial), &key, &[0; 12]).unwrap();
        let server = DeviceKey::new(kind, &Secret::new(bytes)).unwrap_or_else(|_| panic!());
        let mut client = Client::new(token, Form::Plain);
        client.init().unwrap();
        assert_eq!(client.id(), Ok(id(serial)));
        proves(&mut client, &server, &id(serial));
        // The long way of a cipher text: whole blocks and a last one.
        let long = "x".repeat(300);
        let data = server.encrypt(&long, &[0; 64]).unwrap();
        let mut out = [0; 512];
        let len = client.decrypt(&data, &mut out).unwrap();
        assert_eq!(&out[..len], long.as_bytes());
        let challenge = client.device_challenge([7; 8]).unwrap();
        let challenge = std::str::from_utf8(&challenge).unwrap();
        let code = server
            .server_code(&id(serial), Form::Plain, challenge, None)
            .unwrap();
        assert_eq!(client.verify_server(&code, None, None), Ok(()));
        drop(client);
        // Another program finds it again, and the key in force alone is left.
        token = Token::open(library, "bench", "1234").unwrap();
        let (read, _) = token.open().unwrap().unwrap();
        assert_eq!(read, id(serial));
    }
    let key = SoftKey::new(KeyType::Sm4, &[1; 16]).unwrap();
    assert_eq!(
        token.install(&id(9), &key, &[0; 12]),
        Err(KeyError::NotSupported)
    );
    assert_eq!(token.open().unwrap().unwrap().0, id(5));
}

/// Keys that were made inside the token, as a maker of secure elements does.
fn asymmetric(library: &Path) {
    let context = Pkcs11::new(library).unwrap();
    let _ = context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK));
    let slot = context.get_slots_with_initialized_token().unwrap()[0];
    let session = context.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&AuthPin::new("1234".into())));
    let p256 = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    for (serial, kind) in (20..).zip([KeyType::Rsa1024, KeyType::Rsa2048, KeyType::P256]) {
        for old in session.find_objects(&[]).unwrap() {
            session.destroy_object(old).unwrap();
        }
        let id = id(serial);
        let private = [
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Label(b"id2_key".to_vec()),
            Attribute::Id(id.as_bytes().to_vec()),
        ];
        let (mechanism, mut public) = if kind == KeyType::P256 {
            let curve = Attribute::EcParams(p256.to_vec());
            (Mechanism::EccKeyPairGen, vec![curve])
        } else {
            let bits = kind.signature_len() as u64 * 8;
            let exponent = Attribute::PublicExponent(vec![1, 0, 1]);
            let bits = Attribute::ModulusBits(bits.into());
            (Mechanism::RsaPkcsKeyPairGen, vec![bits, exponent])
        };
        let mut private = private.to_vec();
        if kind != KeyType::P256 {
            private.push(Attribute::Decrypt(true));
        }
        public.push(Attribute::Token(true));
        let (public, _) = session
            .generate_key_pair(&mechanism, &public, &private)
            .unwrap();
        let material = if kind == KeyType::P256 {
            let read = session.get_attributes(public, &[AttributeType::EcPoint]);
            let Attribute::EcPoint(der) = &read.unwrap()[0] else {
                panic!("a point was asked for");
            };
            // An OCTET STRING around the point.
            der[2..].to_vec()
        } else {
            let read = session.get_attributes(public, &[AttributeType::Modulus]);
            let Attribute::Modulus(modulus) = &read.unwrap()[0] else {
                panic!("a modulus was asked for");
            };
            let modulus = openssl::bn::BigNum::from_slice(modulus).unwrap();
            let exponent = openssl::bn::BigNum::from_u32(65537).unwrap();
            let key = openssl::rsa::Rsa::from_public_components(modulus, exponent).unwrap();
            key.public_key_to_der().unwrap()
        };
        let server = DeviceKey::new(kind, &Secret::new(material)).unwrap_or_else(|_| panic!());
        let mut client = Client::new(Token::open(library, "bench", "1234").unwrap(), Form::Plain);
        client.init().unwrap();
        assert_eq!(client.id(), Ok(id));
        proves(&mut client, &server, &id);
        if kind != KeyType::P256 {
            let mut out = [0; 512];
            let damaged = vec![1; kind.signature_len()];
            assert!(client.decrypt(&damaged, &mut out).is_err());
        }
    }
}

//! What `tests/count.rs` counts the instructions of: one line for each call of `counted`, in order.

use credential::{
    Secret,
    crypto::rsa::RsaPrivate,
    id2::{
        AuthCode, Id, Key, KeyType, SoftKey,
        device::{self, Form, Fresh},
        key::{CurveKey, RsaKey},
        server::DeviceKey,
    },
};
use std::{hint::black_box, io::Write};

const CHALLENGE: &str = "55B83408399FA660F05C82E4F25333DC";

/// What valgrind counts; everything before was done once already, so that tables are there and
/// libraries loaded.
#[inline(never)]
fn counted(work: &dyn Fn()) {
    work();
}

fn main() {
    let mut out = std::io::stdout().lock();
    let mut measure = |name: &str, work: &dyn Fn()| {
        work();
        counted(work);
        writeln!(out, "{name}").expect("somebody reads");
    };
    let id = Id::parse(b"2122232425262728292A2B2C").expect("an identity");
    for kind in KeyType::ALL {
        let key = key(kind);
        let name = format!("code {}", kind.name());
        measure(&name, &|| {
            black_box(code(&*key, &id, Form::Plain));
        });
    }
    for form in [Form::Plain, Form::Hardened, Form::Keyed] {
        let key = SoftKey::new(KeyType::Aes128, &[0x21; 16]).expect("it fits");
        let server = DeviceKey::new(KeyType::Aes128, &Secret::new(vec![0x21; 16]));
        let server = server.unwrap_or_else(|_| panic!("it fits"));
        let good = code(&key, &id, form);
        // Of the form "99" what is inside is compared.
        let plain = match form {
            Form::Plain => good,
            Form::Hardened => server.unharden(&good).expect("it opens"),
            Form::Keyed => DeviceKey::unkeyed(&good).expect("it is keyed").into(),
        };
        for wrong in wrong(&plain) {
            measure(&format!("server {form:?}"), &|| {
                let code = AuthCode::parse(&wrong).unwrap_or_else(|_| panic!("a code"));
                let told = match form {
                    Form::Plain | Form::Hardened => server.verify(&id, &code, None, false),
                    Form::Keyed => server.verify_keyed(&id, &code, None),
                };
                assert!(black_box(told).is_err());
            });
        }
        if form == Form::Hardened {
            continue;
        }
        let good = server.server_code(&id, form, "67452301EFCDAB89", None);
        for wrong in wrong(&good.expect("a code")) {
            measure(&format!("device {form:?}"), &|| {
                let challenge = b"67452301EFCDAB89";
                let told = device::check_server(&key, &id, form, &wrong, challenge, None);
                assert!(black_box(told).is_err());
            });
        }
    }
    // What must be seen to differ, or nothing is seen.
    for at in 0..48 {
        let (one, mut other) = ([7u8; 48], [7u8; 48]);
        other[at] = 8;
        measure("careless", &|| {
            let same = black_box(&one)
                .iter()
                .zip(black_box(&other))
                .all(|(a, b)| a == b);
            assert!(!same);
        });
    }
}

fn key(kind: KeyType) -> Box<dyn Key> {
    match kind {
        KeyType::Rsa1024 | KeyType::Rsa2048 => {
            let bits = if kind == KeyType::Rsa1024 { 1024 } else { 2048 };
            let own = RsaPrivate::generate(bits).expect("a key");
            Box::new(RsaKey::new(kind, own).expect("it fits"))
        }
        KeyType::P256 | KeyType::Sm2 => {
            Box::new(CurveKey::new(kind, &[0x21; 32]).expect("it fits"))
        }
        _ => {
            let len = kind.cipher().expect("it is symmetric").key_len();
            Box::new(SoftKey::new(kind, &vec![0x21; len]).expect("it fits"))
        }
    }
}

fn code(key: &dyn Key, id: &Id, form: Form) -> String {
    let mut out = [0; 512];
    let fresh = Fresh::Challenge(CHALLENGE);
    let len = device::auth_code(key, id, form, fresh, None, [1; 8], &mut out);
    String::from_utf8(out[..len.expect("a code")].to_vec()).expect("text")
}

/// The code with one bit of its signature changed, once in each byte.
fn wrong(code: &str) -> Vec<String> {
    let (head, signature) = code.rsplit_once('~').expect("fields");
    let signature = openssl::base64::decode_block(signature).expect("base64");
    (0..signature.len())
        .map(|at| {
            let mut signature = signature.clone();
            signature[at] ^= 1;
            format!("{head}~{}", openssl::base64::encode_block(&signature))
        })
        .collect()
}

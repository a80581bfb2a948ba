//! The API of ID² through the whole door ([ID-1]..[ID-5], [ID-7], [ID-8]): devices are the SDK's own
//! computation.

mod forms;
mod numbers;

use crate::stage::{START, Stage, json_of, text, text_of};
use aliyun::pop::{Scalars, routes_with};
use axum::{body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use credential::{
    Secret,
    crypto::rsa::RsaPrivate,
    id2::{
        Id, Key, KeyType, SoftKey,
        code::Mode,
        device::{self, Form, Fresh},
        key::{CurveKey, RsaKey},
        otp::{self, Session, Token},
    },
    request::query,
};
use hub::{
    account::Permit,
    id2::{BatchState, Change, Codes, Import, Licence, OnRepeat, State},
    limits::Limits,
};
use model::{
    account::Resource,
    id::{ProductKey, Time},
};
use serde_json::{Value, json};

/// A device as its SDK computes.
struct Device {
    id: Id,
    key: Box<dyn Key>,
}

struct Bench {
    stage: Stage,
    product: ProductKey,
    permit: Permit,
    random: std::cell::Cell<u64>,
}

impl Bench {
    async fn set() -> Self {
        let stage = Stage::set().await;
        let product = ProductKey::parse(&stage.product().await).expect("it is good");
        let caller = stage.hub.caller_local("local").await.expect("the account");
        let permit = stage
            .hub
            .caller_allow(&caller, "muster:Test", &Resource::Any, false)
            .await
            .expect("it may");
        let bench = Self {
            stage,
            product,
            permit,
            random: std::cell::Cell::new(1),
        };
        let licence = Licence {
            total: 100,
            until: None,
        };
        bench
            .change(Change {
                licence: Some(Some(licence)),
                ..Change::default()
            })
            .await;
        bench
    }

    async fn change(&self, change: Change) {
        let set = self.stage.hub.id2_set(&self.permit, &self.product, &change);
        set.await.expect("it is set");
    }

    /// A device whose key was brought in.
    async fn device(&self, id: &str, kind: KeyType) -> Device {
        let id = Id::parse(id.as_bytes()).expect("an identity");
        let (material, key): (Vec<u8>, Box<dyn Key>) = match kind {
            KeyType::Rsa1024 | KeyType::Rsa2048 => {
                let bits = if kind == KeyType::Rsa1024 { 1024 } else { 2048 };
                let key = RsaPrivate::generate(bits).expect("a key");
                let der = key.to_der().expect("it is written");
                let key = RsaKey::new(kind, key).expect("it fits");
                (der.expose().to_vec(), Box::new(key))
            }
            KeyType::P256 | KeyType::Sm2 => {
                let bytes = vec![0x21; 32];
                let key = CurveKey::new(kind, &bytes).expect("it fits");
                (key.public().to_vec(), Box::new(key))
            }
            _ => {
                let len = kind.cipher().expect("it is symmetric").key_len();
                let bytes: Vec<u8> = (0x21..).take(len).collect();
                let key = SoftKey::new(kind, &bytes).expect("it fits");
                (bytes, Box::new(key))
            }
        };
        let import = Import {
            id,
            kind,
            material: Secret::new(material),
        };
        let hub = &self.stage.hub;
        hub.id2_import(&self.permit, &self.product, &[import])
            .await
            .expect("it is brought in");
        Device { id, key }
    }

    fn code(&self, device: &Device, form: Form, fresh: Fresh<'_>, extra: Option<&str>) -> String {
        let random = self.random.replace(self.random.get() + 1).to_be_bytes();
        let mut out = [0; 1024];
        let extra = extra.map(str::as_bytes);
        let len = device::auth_code(
            &*device.key,
            &device.id,
            form,
            fresh,
            extra,
            random,
            &mut out,
        );
        let len = len.expect("a code");
        String::from_utf8(out[..len].to_vec()).expect("text")
    }

    /// A code with the time of now.
    fn stamped(&self, device: &Device) -> String {
        let now = START.to_string();
        self.code(device, Form::Plain, Fresh::Timestamp(&now), None)
    }

    async fn call(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let mut all = vec![("ApiVersion", "1.1.2")];
        all.extend(params);
        let (status, tree) = self.stage.call(action, &all).await;
        assert_eq!(status, 200, "{tree}");
        tree
    }

    async fn ok(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let mut tree = self.call(action, params).await;
        assert_eq!(
            (&tree["Code"], &tree["Success"]),
            (&json!(200), &json!(true)),
            "{tree}"
        );
        tree["Data"].take()
    }

    async fn refused(&self, action: &str, params: &[(&str, &str)]) -> i64 {
        let tree = self.call(action, params).await;
        assert_eq!(tree["Success"], false, "{tree}");
        assert!(tree.get("Data").is_none(), "{tree}");
        assert!(!text(&tree["Message"]).is_empty());
        tree["Code"].as_i64().expect("a number")
    }

    async fn challenge(&self, id: &Id) -> String {
        let challenge = text(&self.ok("GetServerRandom", &[("Id2", id.as_str())]).await);
        assert_eq!(challenge.len(), 32);
        challenge
    }

    fn verify<'a>(&'a self, id: &'a Id, code: &'a str) -> [(&'a str, &'a str); 3] {
        [
            ("Id2", id.as_str()),
            ("AuthCode", code),
            ("ProductKey", self.product.as_str()),
        ]
    }

    /// What `Verify` says of a code: 200 when it believes it.
    async fn verdict(&self, id: &Id, code: &str) -> i64 {
        let tree = self.call("Verify", &self.verify(id, code)).await;
        tree["Code"].as_i64().expect("a number")
    }

    async fn move_to(&self, id: &Id, state: State) {
        let moved = self.stage.hub.id2_move(&self.permit, id, state, None);
        moved.await.expect("it is moved");
    }
}

const ID: &str = "2122232425262728292A2B2C";

/// [000 1.1.8] [ID-1] Every kind of key, by challenge and by timestamp, with and without extra; what was changed
/// by one letter is not believed.
#[tokio::test]
async fn every_kind_of_key_proves_itself_in_every_mode() {
    let bench = Bench::set().await;
    for (n, kind) in KeyType::ALL.into_iter().enumerate() {
        let device = bench
            .device(&format!("21222324252627282900000{n}"), kind)
            .await;
        for (timestamp, extra) in [
            (false, None),
            (true, None),
            (false, Some("digest1234")),
            (true, Some("摘要")),
        ] {
            let now = START.to_string();
            let challenge = bench.challenge(&device.id).await;
            let fresh = match timestamp {
                true => Fresh::Timestamp(&now),
                false => Fresh::Challenge(&challenge),
            };
            let code = bench.code(&device, Form::Plain, fresh, extra);
            assert_eq!(
                code.as_bytes()[0],
                Mode::new(timestamp, extra.is_some()).digit()
            );
            let mut params = bench.verify(&device.id, &code).to_vec();
            let wrong = format!("{}x", extra.unwrap_or_default());
            params.push(("Extra", &wrong));
            let told = if extra.is_some() { 14 } else { 39 };
            assert_eq!(bench.refused("Verify", &params).await, told, "{kind:?}");
            params.pop();
            params.extend(extra.map(|extra| ("Extra", extra)));
            params.push(("ProductSource", "1"));
            assert_eq!(bench.ok("Verify", &params).await, true, "{kind:?}");
            let again = bench.refused("Verify", &params).await;
            assert_eq!(again, if timestamp { 34 } else { 35 }, "{kind:?}");
        }
    }
}

/// [000 1.1.8] [ID-3] A challenge is good once, for its identity, for five minutes, and of seventeen the first
/// is not any more.
#[tokio::test]
async fn a_challenge_is_good_once_for_one_identity_and_not_for_long() {
    let bench = Bench::set().await;
    let device = bench.device(ID, KeyType::Aes128).await;
    let other = bench
        .device("2122232425262728292A2B2D", KeyType::Aes128)
        .await;
    let show = |device, challenge: &str| {
        bench.code(device, Form::Plain, Fresh::Challenge(challenge), None)
    };

    let foreign = bench.challenge(&other.id).await;
    let code = show(&device, &foreign);
    assert_eq!(bench.verdict(&device.id, &code).await, 35);
    assert_eq!(bench.verdict(&other.id, &show(&other, &foreign)).await, 200);
    let never = show(&device, "00000000000000000000000000000000");
    assert_eq!(bench.verdict(&device.id, &never).await, 35);

    let first = bench.challenge(&device.id).await;
    let mut second = String::new();
    for n in 0..16 {
        let challenge = bench.challenge(&device.id).await;
        if n == 0 {
            second = challenge;
        }
    }
    assert_eq!(bench.verdict(&device.id, &show(&device, &first)).await, 35);
    // A forged code does not use up the challenge.
    let forged = show(&device, &second).replace('2', "3");
    assert_ne!(bench.verdict(&device.id, &forged).await, 200);
    let code = show(&device, &second);
    assert_eq!(bench.verdict(&device.id, &code).await, 200);
    assert_eq!(bench.verdict(&device.id, &code).await, 35);

    let late = bench.challenge(&device.id).await;
    let code = show(&device, &late);
    bench.stage.clock.move_by(300_001);
    assert_eq!(bench.verdict(&device.id, &code).await, 35);
}

/// [000 1.1.8] [ID-1] Of many who show one code at once, one is believed.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_show_one_code_one_is_believed() {
    let bench = Bench::set().await;
    let device = bench.device(ID, KeyType::Aes128).await;
    let challenge = bench.challenge(&device.id).await;
    for code in [
        bench.code(&device, Form::Plain, Fresh::Challenge(&challenge), None),
        bench.stamped(&device),
    ] {
        let params = bench.verify(&device.id, &code);
        let calls = (0..8).map(|_| bench.call("Verify", &params));
        let told = futures_util::future::join_all(calls).await;
        let believed = told.iter().filter(|tree| tree["Code"] == 200).count();
        assert_eq!(believed, 1, "{told:?}");
    }
}

/// [000 1.1.8] [ID-1] A timestamp may be fifteen minutes old and five ahead.
#[tokio::test]
async fn a_timestamp_is_good_within_its_window() {
    let bench = Bench::set().await;
    let device = bench.device(ID, KeyType::Aes256).await;
    for (off, told) in [
        (-15 * 60_000, 200),
        (-15 * 60_000 - 1, 33),
        (5 * 60_000, 200),
        (5 * 60_000 + 1, 33),
    ] {
        let at = (START + off).to_string();
        let code = bench.code(&device, Form::Plain, Fresh::Timestamp(&at), None);
        assert_eq!(bench.verdict(&device.id, &code).await, told, "{off}");
    }
    let huge = bench.code(
        &device,
        Form::Plain,
        Fresh::Timestamp("18446744073709551615"),
        None,
    );
    assert_eq!(bench.verdict(&device.id, &huge).await, 33);
}

/// [000 1.1.8] [ID-1] The hardened form is taken beside the plain one, or alone where the product says so.
#[tokio::test]
async fn a_product_may_take_hardened_codes_alone() {
    let bench = Bench::set().await;
    let device = bench.device(ID, KeyType::Aes128).await;
    let now = START.to_string();
    let hard = || bench.code(&device, Form::Hardened, Fresh::Timestamp(&now), None);
    assert!(hard().starts_with("99~"));
    assert_eq!(bench.verdict(&device.id, &hard()).await, 200);
    let change = Change {
        codes: Some(Codes::Hardened),
        ..Change::default()
    };
    bench.change(change).await;
    assert_eq!(bench.verdict(&device.id, &hard()).await, 200);
    assert_eq!(bench.verdict(&device.id, &bench.stamped(&device)).await, 21);
    assert_eq!(bench.verdict(&device.id, "99~AAAA").await, 14);
}

/// [000 1.1.8] [ID-1] [ID-2] [ID-4] The keyed form, which has no ECB, is taken beside the others, or alone where
/// the product says so; who speaks it is answered in it.
#[tokio::test]
async fn a_product_may_take_keyed_codes_alone() {
    let bench = Bench::set().await;
    let rsa = bench
        .device("2122232425262728292A2B2D", KeyType::Rsa1024)
        .await;
    for (n, codes) in [Codes::Any, Codes::Hardened, Codes::Keyed]
        .into_iter()
        .enumerate()
    {
        let kind = if n == 1 {
            KeyType::TripleDes112
        } else {
            KeyType::Sm4
        };
        let device = bench
            .device(&format!("21222324252627282900000{n}"), kind)
            .await;
        let change = Change {
            codes: Some(codes),
            ..Change::default()
        };
        bench.change(change).await;
        let plain = bench.verdict(&device.id, &bench.stamped(&device)).await;
        assert_eq!(plain, if n == 0 { 200 } else { 21 });
        let now = START.to_string();
        let code = bench.code(&device, Form::Keyed, Fresh::Timestamp(&now), Some("e"));
        assert!(code.starts_with("98~3~2~"), "{code}");
        let mut params = vec![
            ("Id2", device.id.as_str()),
            ("ProductKey", bench.product.as_str()),
            ("DeviceAuthCode", code.as_str()),
            ("DeviceExtra", "f"),
            ("DeviceChallenge", "ABCD12348"),
            ("Data", "abcd1234"),
        ];
        let action = "GetServerAuthCodeAndEncryptData";
        assert_eq!(bench.refused(action, &params).await, 14);
        params[3].1 = "e";
        let data = bench.ok(action, &params).await;
        let server = text(&data["ServerAuthCode"]);
        let form = Form::Keyed;
        let (key, id) = (&*device.key, &device.id);
        let check = device::check_server(key, id, form, &server, b"ABCD12348", None);
        assert!(check.is_ok(), "{server}");
        let closed = STANDARD.decode(text(&data["EncryptData"])).expect("base64");
        let mut out = [0; 128];
        let len = device::decrypt_keyed(key, id, &closed, &mut out);
        assert_eq!(&out[..len.expect("it decrypts")], b"abcd1234");
        assert_eq!(bench.refused(action, &params).await, 34);
        let challenge = bench.challenge(&device.id).await;
        let code = bench.code(&device, Form::Keyed, Fresh::Challenge(&challenge), None);
        assert_eq!(bench.verdict(&device.id, &code).await, 200);
        // A code of a kind of key that has no such form.
        let fake = bench.stamped(&rsa);
        let told = bench.verdict(&rsa.id, &format!("98~{fake}")).await;
        assert_eq!(told, 42);
    }
}

/// [000 1.1.8] [ID-2] What is encrypted for a device is what it decrypts; what could become a signature is not
/// encrypted, and a kind of key that cannot decrypt says so.
#[tokio::test]
async fn data_is_encrypted_for_the_device_that_proved_itself() {
    let bench = Bench::set().await;
    for (n, kind) in KeyType::ALL.into_iter().enumerate() {
        let device = bench
            .device(&format!("21222324252627282900000{n}"), kind)
            .await;
        let most = kind.plain_max().unwrap_or(10);
        for (data, told) in [
            ("hello id2".to_owned(), 200),
            ("x".repeat(most), 200),
            ("x".repeat(most + 1), 36),
            ("a\u{0}b".to_owned(), 36),
            (String::new(), 36),
        ] {
            let code = bench.stamped(&device);
            let mut params = bench.verify(&device.id, &code).to_vec();
            params.push(("Data", &data));
            if kind == KeyType::P256 {
                assert_eq!(bench.refused("VerifyAndEncrypt", &params).await, 42);
            } else if told == 200 {
                let closed = text(&bench.ok("VerifyAndEncrypt", &params).await);
                let closed = STANDARD.decode(closed).expect("base64");
                let mut out = [0; 600];
                let len = device::decrypt(&*device.key, &closed, &mut out).expect("it decrypts");
                assert_eq!(&out[..len], data.as_bytes(), "{kind:?}");
            } else {
                assert_eq!(
                    bench.refused("VerifyAndEncrypt", &params).await,
                    told,
                    "{kind:?}"
                );
            }
        }
    }
}

/// [000 1.1.8] [ID-4] The server proves itself with the device's challenge and its own extra, in the form in
/// which the device spoke.
#[tokio::test]
async fn device_and_server_prove_themselves_to_each_other() {
    let bench = Bench::set().await;
    for (n, kind) in [
        KeyType::Aes128,
        KeyType::TripleDes168,
        KeyType::Sm4,
        KeyType::Rsa1024,
    ]
    .into_iter()
    .enumerate()
    {
        let device = bench
            .device(&format!("21222324252627282900000{n}"), kind)
            .await;
        for (form, extra) in [
            (Form::Plain, None),
            (Form::Plain, Some("1234abcfe")),
            (Form::Hardened, Some("e")),
        ] {
            if form == Form::Hardened && kind.otp_number().is_none() {
                continue;
            }
            let now = START.to_string();
            let code = bench.code(&device, form, Fresh::Timestamp(&now), Some("digest1234"));
            let mut params = vec![
                ("Id2", device.id.as_str()),
                ("ProductKey", bench.product.as_str()),
                ("DeviceAuthCode", code.as_str()),
                ("DeviceExtra", "digest1234"),
                ("DeviceChallenge", "ABCD12348"),
                ("Data", "abcd1234"),
            ];
            params.extend(extra.map(|extra| ("ServerExtra", extra)));
            let data = bench.ok("GetServerAuthCodeAndEncryptData", &params).await;
            let server = text(&data["ServerAuthCode"]);
            let extra = extra.map(str::as_bytes);
            let check = |text: &str| {
                device::check_server(&*device.key, &device.id, form, text, b"ABCD12348", extra)
            };
            assert!(check(&server).is_ok(), "{kind:?} {server}");
            let closed = STANDARD.decode(text(&data["EncryptData"])).expect("base64");
            let mut out = [0; 128];
            let len = device::decrypt(&*device.key, &closed, &mut out).expect("it decrypts");
            assert_eq!(&out[..len], b"abcd1234");
        }
    }
    let device = bench.device(ID, KeyType::Aes128).await;
    let long = "e".repeat(513);
    for (challenge, name, extra, told) in [
        ("a~b", "ServerExtra", "", 40),
        ("", "ServerExtra", "", 40),
        ("ABCD", "ServerExtra", long.as_str(), 38),
        ("ABCD", "DeviceExtra", long.as_str(), 39),
    ] {
        let code = bench.stamped(&device);
        let params = [
            ("Id2", device.id.as_str()),
            ("ProductKey", bench.product.as_str()),
            ("DeviceAuthCode", code.as_str()),
            ("DeviceChallenge", challenge),
            ("Data", "abcd1234"),
            (name, extra),
        ];
        let action = "GetServerAuthCodeAndEncryptData";
        assert_eq!(bench.refused(action, &params).await, told);
    }
    // The device alone has the private half: nobody can show it what it would show itself.
    let device = bench
        .device("2122232425262728292A2B2D", KeyType::P256)
        .await;
    let code = bench.stamped(&device);
    let params = [
        ("Id2", device.id.as_str()),
        ("ProductKey", bench.product.as_str()),
        ("DeviceAuthCode", code.as_str()),
        ("DeviceChallenge", "ABCD"),
        ("Data", "abcd1234"),
    ];
    let action = "GetServerAuthCodeAndEncryptData";
    assert_eq!(bench.refused(action, &params).await, 42);
}

/// A device without an identity, with its session key.
fn ask(token: &str, session: u8, print: &[u8]) -> (Token, Session, String) {
    let token = Token::parse(token.as_bytes()).expect("a token");
    let session = Session::new([session; 16]);
    let mut out = [0; otp::CODE_MAX];
    let len = otp::auth_code(&token, &session, print, &mut out).expect("a code");
    (token, session, STANDARD.encode(&out[..len]))
}

/// [000 1.1.8] [ID-5] From nothing to a device that proves itself; the same request gets the same answer, another
/// one of the same device does not; and `Remaining` counts what was issued.
#[tokio::test]
async fn a_device_that_has_nothing_is_given_an_identity() {
    let bench = Bench::set().await;
    for kind in KeyType::ALL
        .into_iter()
        .filter(|kind| kind.otp_number().is_some())
    {
        let change = Change {
            otp: Some(true),
            kind: Some(kind),
            ..Change::default()
        };
        bench.change(change).await;
        let token = bench
            .stage
            .hub
            .id2_token(&bench.permit, &bench.product, false);
        let token = token.await.expect("a token");
        let print = format!("chip of {}", kind.name());
        let (_, session, code) = ask(&token, 7, print.as_bytes());
        let params = [("DeviceAuthCode", code.as_str())];
        let data = bench.ok("OtpGetId2", &params).await;
        let blob = STANDARD
            .decode(text(&data["ProvisionData"]))
            .expect("base64");
        let (id, key) = otp::load(kind, &session, &blob).expect("it is for this device");
        let number = kind.otp_number().expect("it has one");
        assert_eq!(data["Remaining"], 100 - i64::from(number));
        assert_eq!(bench.ok("OtpGetId2", &params).await, data);
        let (_, _, again) = ask(&token, 8, print.as_bytes());
        assert_eq!(
            bench
                .refused("OtpGetId2", &[("DeviceAuthCode", &again)])
                .await,
            57
        );
        let device = Device {
            id,
            key: Box::new(key),
        };
        let shown = bench.stamped(&device);
        assert_eq!(bench.verdict(&id, &shown).await, 200);
        bench.stage.clock.move_by(600_001);
        assert_eq!(bench.refused("OtpGetId2", &params).await, 57);
        bench.stage.clock.move_by(-600_001);
    }
}

/// [000 1.1.8] [ID-5] [ID-7] Everything that keeps a device from getting one has its number.
#[tokio::test]
async fn a_device_that_gets_no_identity_is_told_why() {
    let bench = Bench::set().await;
    let hub = &bench.stage.hub;
    let token = hub.id2_token(&bench.permit, &bench.product, false).await;
    let token = token.expect("a token");
    let otp = async |token: &str, session: u8, print: &[u8]| {
        let (_, _, code) = ask(token, session, print);
        let tree = bench.call("OtpGetId2", &[("DeviceAuthCode", &code)]).await;
        tree["Code"].as_i64().expect("a number")
    };
    let set = |change| bench.change(change);
    assert_eq!(otp(&token, 1, b"one").await, 55);
    set(Change {
        otp: Some(true),
        licence: Some(None),
        ..Change::default()
    })
    .await;
    assert_eq!(otp(&token, 1, b"one").await, 15);
    let licence = |total, until| Change {
        licence: Some(Some(Licence { total, until })),
        ..Change::default()
    };
    set(licence(9, Some(Time(START)))).await;
    assert_eq!(otp(&token, 1, b"one").await, 41);
    set(licence(2, None)).await;
    set(Change {
        per_day: Some(Some(1)),
        ..Change::default()
    })
    .await;
    assert_eq!(otp(&token, 1, b"one").await, 200);
    assert_eq!(otp(&token, 2, b"two").await, 53);
    bench.stage.clock.move_by(24 * 60 * 60 * 1000);
    hub.id2_chips(&bench.permit, &bench.product, &[b"two".to_vec()])
        .await
        .expect("listed");
    set(Change {
        listed: Some(true),
        ..Change::default()
    })
    .await;
    let later = "2021-02-23T08:00:00Z";
    let told = async |session, print: &[u8]| {
        let (_, _, code) = ask(&token, session, print);
        later_call(&bench, later, &code).await
    };
    assert_eq!(told(3, b"three").await, 13);
    assert_eq!(told(2, b"two").await, 200);
    set(Change {
        listed: Some(false),
        ..Change::default()
    })
    .await;
    set(Change {
        per_day: Some(None),
        ..Change::default()
    })
    .await;
    assert_eq!(told(4, b"four").await, 16);
    assert_eq!(told(5, b"\0\0\0\0").await, 56);
    // Another session of a known device: the same identity as long as it was not proven.
    assert_eq!(told(6, b"two").await, 57);
    set(Change {
        repeat: Some(OnRepeat::Reissue),
        ..Change::default()
    })
    .await;
    assert_eq!(told(6, b"two").await, 200);
    let list = hub
        .id2_list(&bench.permit, &bench.product, &Default::default(), 10)
        .await;
    let list = list.expect("a list");
    assert_eq!(list.len(), 2);
    let id = Id::parse(list[1].id.as_bytes()).expect("an identity");
    bench.move_to(&id, State::Active).await;
    assert_eq!(told(7, b"two").await, 12);
    // A token of nobody, one that was made anew, a code of another token, and what is no code.
    assert_eq!(told(7, b"two").await, 12);
    let other = "i11iQLFQgzT2BRTWTVQ9B0BE0549A601";
    let (_, _, code) = ask(other, 1, b"one");
    assert_eq!(later_call(&bench, later, &code).await, 21);
    let (_, _, code) = ask(&token, 1, b"five");
    let mut blob = STANDARD.decode(code).expect("base64");
    let last = blob.len() - 1;
    blob[last] ^= 1;
    assert_eq!(later_call(&bench, later, &STANDARD.encode(&blob)).await, 14);
    for wrong in ["AAAA", "0~0~A~B~C", "0~0~~~", "%", &"A".repeat(700)] {
        assert_eq!(later_call(&bench, later, wrong).await, 21, "{wrong}");
    }
    hub.id2_token(&bench.permit, &bench.product, true)
        .await
        .expect("anew");
    assert_eq!(told(7, b"two").await, 21);
}

/// Calls when the clock stands elsewhere.
async fn call_at(bench: &Bench, at: &str, action: &str, params: &[(&str, &str)]) -> Value {
    let mut all = vec![("ApiVersion", "1.1.2")];
    all.extend(params);
    let mut pairs = bench.stage.signed(&bench.stage.key, action, &all);
    pairs.retain(|(name, _)| name != "Signature");
    for (name, value) in &mut pairs {
        if name == "Timestamp" {
            *value = at.to_owned();
        }
    }
    let secret = Secret::new(bench.stage.key.secret.as_bytes().to_vec());
    let signature = credential::request::rpc::sign(&secret, "GET", &pairs);
    pairs.push(("Signature".into(), signature));
    let (status, tree) = bench.stage.get(&pairs).await;
    assert_eq!(status, 200, "{tree}");
    tree
}

/// Asks for an identity when the clock stands elsewhere.
async fn later_call(bench: &Bench, at: &str, code: &str) -> i64 {
    let tree = call_at(bench, at, "OtpGetId2", &[("DeviceAuthCode", code)]).await;
    tree["Code"].as_i64().unwrap_or_else(|| panic!("{tree}"))
}

/// [000 1.1.8] [ID-9] [ID-7] Where an identity stands decides before its code is looked at.
#[tokio::test]
async fn a_state_that_proves_nothing_has_its_number() {
    let bench = Bench::set().await;
    let hub = &bench.stage.hub;
    let (permit, product) = (&bench.permit, &bench.product);
    let device = bench.device(ID, KeyType::Aes128).await;
    let verdict = async || bench.verdict(&device.id, &bench.stamped(&device)).await;
    let random = [("Id2", ID)];
    let manual = |yes: bool| Change {
        self_activating: Some(!yes),
        ..Change::default()
    };
    bench.change(manual(true)).await;
    assert_eq!(verdict().await, 32);
    assert_eq!(bench.refused("GetServerRandom", &random).await, 32);
    bench.move_to(&device.id, State::Active).await;
    assert_eq!(verdict().await, 200);
    bench.change(manual(false)).await;
    bench.move_to(&device.id, State::Suspended).await;
    assert_eq!(verdict().await, 45);
    bench.move_to(&device.id, State::Active).await;
    assert_eq!(verdict().await, 200);
    hub.id2_until(permit, &device.id, Some(Time(START)))
        .await
        .expect("set");
    assert_eq!(verdict().await, 50);
    hub.id2_until(permit, &device.id, None).await.expect("set");
    bench
        .change(Change {
            on: Some(false),
            ..Change::default()
        })
        .await;
    assert_eq!(verdict().await, 41);
    bench
        .change(Change {
            on: Some(true),
            ..Change::default()
        })
        .await;
    bench.move_to(&device.id, State::Revoked).await;
    assert_eq!(verdict().await, 46);
    assert_eq!(bench.refused("GetServerRandom", &random).await, 46);
    assert!(
        hub.id2_move(permit, &device.id, State::Active, None)
            .await
            .is_err()
    );

    let batch = hub
        .id2_batch(permit, product, 2, "line 1")
        .await
        .expect("made");
    let list = hub
        .id2_list(permit, product, &Default::default(), 10)
        .await
        .expect("a list");
    let made = list
        .iter()
        .find(|row| row.state == State::Made)
        .expect("one of the batch");
    let id = made.id.clone();
    let params = [("Id2", id.as_str())];
    assert_eq!(bench.refused("GetServerRandom", &params).await, 44);
    let set = |state| hub.id2_batch_set(permit, product, batch.number, state);
    set(BatchState::Released).await.expect("released");
    bench.ok("GetServerRandom", &params).await;
    set(BatchState::Withdrawn).await.expect("withdrawn");
    assert_eq!(bench.refused("GetServerRandom", &params).await, 43);
    assert!(set(BatchState::Released).await.is_err());

    // Those that were never given: the parts of the identity say why.
    let (vendor, part) = (&id[2..8], &id[8..14]);
    for (id, told) in [
        ("2122232425262728292A2B20".to_owned(), 18),
        (format!("00{vendor}{part}FFFFFFFF00"), 18),
        (format!("00{vendor}FFFFFFFFFFFFFF00"), 49),
        ("00AAAAAABBBBBB48B69CD200".to_owned(), 52),
        ("00000000BBBBBB48B69CD200".to_owned(), 48),
        ("00FFFFFFBBBBBB48B69CD200".to_owned(), 48),
    ] {
        assert_eq!(
            bench.refused("GetServerRandom", &[("Id2", &id)]).await,
            told,
            "{id}"
        );
    }
}

/// [000 1.1.8] [ID-7] Whose it is, and how a request is written.
#[tokio::test]
async fn requests_that_make_no_sense_have_their_numbers() {
    let bench = Bench::set().await;
    let device = bench.device(ID, KeyType::Aes128).await;
    let code = bench.stamped(&device);
    let good = bench.verify(&device.id, &code);
    let with = |name: &str, value: &'static str| {
        let mut params = good.to_vec();
        params.retain(|(n, _)| *n != name);
        params.push((
            if name == "Id2" {
                "Id2"
            } else if name == "AuthCode" {
                "AuthCode"
            } else {
                "ProductKey"
            },
            value,
        ));
        params
    };
    for (name, value, told) in [
        ("Id2", "short", 500),
        ("Id2", "2122232425262728292a2b2c", 500),
        ("ProductKey", "nobody", 51),
        ("ProductKey", "no product", 51),
        ("AuthCode", "", 21),
        ("AuthCode", "0~2~x", 21),
        (
            "AuthCode",
            "0~3~67452301EFCDAB89~55B83408399FA660F05C82E4F25333DC~AAAA",
            21,
        ),
        (
            "AuthCode",
            "0~2~67452301EFCDAB89~55B83408399FA660F05C82E4F25333DC~AAAA",
            14,
        ),
    ] {
        let told_really = bench.refused("Verify", &with(name, value)).await;
        assert_eq!(told_really, told, "{name}={value}");
    }
    let huge = "A".repeat(1025);
    assert_eq!(bench.verdict(&device.id, &huge).await, 21);
    // A product without identities, and an identity of another product.
    let other = [("ProductName", "Plain"), ("NodeType", "0")];
    let tree = bench.stage.ok("CreateProduct", &other).await;
    let plain = text(&tree["ProductKey"]);
    let mut params = good.to_vec();
    params[2].1 = &plain;
    assert_eq!(bench.refused("Verify", &params).await, 51);
    let key = ProductKey::parse(&plain).expect("it is good");
    let set = bench
        .stage
        .hub
        .id2_set(&bench.permit, &key, &Change::default())
        .await;
    set.expect("it has some now");
    assert_eq!(bench.refused("Verify", &params).await, 47);
    // Another account.
    let hub = &bench.stage.hub;
    let (_, other) = hub
        .account_create(&bench.permit, "another")
        .await
        .expect("made");
    let mut all = vec![("ApiVersion", "1.1.2")];
    all.extend(good);
    let (_, tree) = bench
        .stage
        .get(&bench.stage.signed(&other, "Verify", &all))
        .await;
    assert_eq!(tree["Code"], 47, "{tree}");
    let params = [("ApiVersion", "1.1.2"), ("Id2", ID)];
    let pairs = bench.stage.signed(&other, "GetServerRandom", &params);
    let (_, tree) = bench.stage.get(&pairs).await;
    assert_eq!(tree["Code"], 47, "{tree}");
    // The version, and what is missing.
    for (version, told) in [("1.1.3", 37), ("", 37)] {
        let params = [("ApiVersion", version), ("Id2", ID)];
        let (_, tree) = bench.stage.call("GetServerRandom", &params).await;
        assert_eq!(tree["Code"], told, "{tree}");
    }
    let (status, tree) = bench.stage.call("Verify", &[("Id2", ID)]).await;
    assert_eq!((status, &tree["Code"]), (200, &json!(500)), "{tree}");
    // After all that the code is still good.
    assert_eq!(bench.verdict(&device.id, &code).await, 200);
}

/// [000 1.1.8] [ID-7] Too many calls about one identity are told to wait, and others are not.
#[tokio::test]
async fn one_identity_cannot_keep_the_server_busy() {
    let bench = Bench::set().await;
    let device = bench.device(ID, KeyType::Aes128).await;
    let other = bench
        .device("2122232425262728292A2B2D", KeyType::Aes128)
        .await;
    let most = Limits::default().id2_calls;
    for _ in 0..most {
        assert_eq!(bench.verdict(&device.id, "").await, 21);
    }
    assert_eq!(bench.verdict(&device.id, "").await, 54);
    assert_eq!(bench.verdict(&other.id, "").await, 21);
    bench.stage.clock.move_by(60_000);
    assert_eq!(bench.verdict(&device.id, "").await, 21);
}

/// [000 1.1.8] [ID-8] Answers in XML and in JSON, the latter also in the form of the document's examples; the
/// vendor's version, and others.
#[tokio::test]
async fn answers_have_the_forms_of_the_document() {
    let mut bench = Bench::set().await;
    let device = bench.device(ID, KeyType::Aes128).await;
    let code = bench.stamped(&device);
    let mut params = vec![("ApiVersion", "1.1.2")];
    params.extend(bench.verify(&device.id, &code));
    let signed = |version: &str, format: &str| {
        let mut pairs = bench.stage.signed(&bench.stage.key, "Verify", &params);
        pairs.retain(|(name, _)| name != "Signature");
        for (name, value) in &mut pairs {
            match name.as_str() {
                "Version" => *value = version.into(),
                "Format" => *value = format.into(),
                _ => {}
            }
        }
        let secret = Secret::new(bench.stage.key.secret.as_bytes().to_vec());
        let signature = credential::request::rpc::sign(&secret, "GET", &pairs);
        pairs.push(("Signature".into(), signature));
        let uri = format!("/?{}", query::canonical(&pairs));
        Request::get(uri).body(Body::empty()).expect("it is good")
    };
    let (xml, repeated) = (signed("2017-07-07", "XML"), signed("2019-01-01", "XML"));
    let (status, body) = text_of(bench.stage.send(xml).await).await;
    assert_eq!(status, 200);
    assert!(body.contains("<VerifyResponse>"), "{body}");
    for part in [
        "<Data>true</Data>",
        "<Code>200</Code>",
        "<Success>true</Success>",
        "<RequestId>",
    ] {
        assert!(body.contains(part), "{body}");
    }
    let (_, body) = text_of(bench.stage.send(repeated).await).await;
    assert!(body.contains("<Code>34</Code>"), "{body}");
    let json = signed("2017-07-07", "JSON");
    bench.stage.door = routes_with(bench.stage.hub.clone(), Scalars::Text);
    let (_, tree) = json_of(bench.stage.send(json).await).await;
    assert_eq!(tree["Code"], "34");
    assert_eq!(tree["Success"], "false");
    let tree = bench.call("GetServerRandom", &[("Id2", ID)]).await;
    assert_eq!(
        (&tree["Code"], &tree["Success"]),
        (&json!("200"), &json!("true"))
    );
}

/// [AL-2.1] [ID-9] A product that is made with `Id2` has identities from then on, as `QueryProduct`
/// says, and one whose devices prove themselves by them alone has them without being told.
#[tokio::test]
async fn a_product_is_made_with_identities() {
    let bench = Bench::set().await;
    for (name, params, id2) in [
        ("One", vec![("Id2", "true")], true),
        ("Two", vec![("AuthType", "id2")], true),
        ("Three", vec![("Id2", "false")], false),
        ("Four", vec![], false),
    ] {
        let mut all = vec![("ProductName", name), ("NodeType", "0")];
        all.extend(params);
        let made = bench.stage.ok("CreateProduct", &all).await;
        assert_eq!(made["Data"]["Id2"], id2, "{name}");
        let key = text(&made["ProductKey"]);
        let read = bench
            .stage
            .ok("QueryProduct", &[("ProductKey", &key)])
            .await;
        assert_eq!(read["Data"]["Id2"], id2, "{name}");
        let key = ProductKey::parse(&key).expect("it is good");
        let setting = bench.stage.hub.id2_setting(&bench.permit, &key).await;
        assert_eq!(setting.is_ok_and(|setting| setting.on), id2, "{name}");
    }
    // Switched off, it is said so; and what is deleted leaves nothing.
    let hub = &bench.stage.hub;
    bench
        .change(Change {
            on: Some(false),
            ..Change::default()
        })
        .await;
    let params = [("ProductKey", bench.product.as_str())];
    let read = bench.stage.ok("QueryProduct", &params).await;
    assert_eq!(read["Data"]["Id2"], false);
    bench.stage.ok("DeleteProduct", &params).await;
    let gone = hub.id2_setting(&bench.permit, &bench.product).await;
    assert!(gone.is_err());
}

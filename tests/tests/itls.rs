//! iTLS from outside: devices that are given an identity and prove it in the handshake of their own
//! connection, and everybody else.

#[path = "../../crates/device-c/tests/c/compile.rs"]
mod compile;

use base64::{Engine, engine::general_purpose::STANDARD};
use compile::{SANITIZERS, compile};
use credential::id2::{Id, KeyType, SoftKey, otp::Token};
use serde_json::Value;
use std::{io::Write, net::SocketAddr, path::Path, process::Command};
use tests::{
    Server,
    http::{exchange, form, pairs, request, rpc_call},
    itls::{Alert, End, Itls, Line, Suite, Suites, Who, code, random},
    mqtt::{Login, Mqtt},
    root,
    server::text,
};
use wire::mqtt::{ReasonCode, Version};

/// A server with the listener, and a product whose devices ask for identities.
struct House {
    server: Server,
    product: String,
    token: Token,
}

impl House {
    fn open(settings: &[&str]) -> House {
        let settings = [&["listen.itls.off=false"], settings].concat();
        let server = Server::start_with(&settings);
        let (product, token) = product(&server, "thermometer", "aes-128");
        House {
            server,
            product,
            token,
        }
    }

    fn address(&self) -> SocketAddr {
        self.server.address("itls")
    }

    /// A device that was given an identity just now.
    fn given(&self, print: &str) -> (Itls, Id, SoftKey) {
        let who = Who::Asks(&self.token, print.as_bytes());
        Itls::shake(self.address(), &self.product, Suites::Both, who).expect("it is let in")
    }

    fn known(&self, id: Id, key: SoftKey) -> Result<Itls, End> {
        let who = Who::Known(id, key);
        let shaken = Itls::shake(self.address(), &self.product, Suites::Both, who);
        shaken.map(|(open, _, _)| open)
    }

    fn metric(&self, line: &str) -> bool {
        let told = request(self.server.address("http"), "GET", "/metrics", &[], b"");
        told.body.contains(line)
    }
}

fn product(server: &Server, name: &str, kind: &str) -> (String, Token) {
    let (product, _) = server.product(name);
    let words = [
        "id2",
        "product",
        &product,
        "--licence",
        "100",
        "--otp",
        "on",
    ];
    server.cli(&[&words[..], &["--key-type", kind]].concat());
    let token = text(&server.cli(&["id2", "token", &product]), "token");
    let token = Token::parse(token.as_bytes());
    (product, token.unwrap_or_else(|_| panic!("a token")))
}

fn copy(key: &SoftKey) -> SoftKey {
    use credential::id2::Key;
    SoftKey::new(key.key_type(), key.expose()).expect("the same key")
}

fn login(product: &str, device: &str, secret: &str, mode: &str) -> Login {
    let login = Login::signed(product, device, secret, ",_ss=1,authtype=id2");
    Login {
        client_id: login.client_id.replace("securemode=3", mode),
        ..login
    }
}

/// [AL-3.2] [ID-5] From nothing to a device that posts: an identity of each kind that goes over the
/// air comes in the handshake, proves itself there, and the MQTT login over it is this device's.
#[test]
fn a_device_with_nothing_is_given_an_identity_and_speaks_mqtt() {
    let house = House::open(&[]);
    for (n, kind) in ["aes-128", "aes-192", "aes-256", "3des-112", "3des-168"]
        .into_iter()
        .enumerate()
    {
        let (product, token) = product(&house.server, &format!("p{n}"), kind);
        let secret = house.server.device(&product, "kitchen");
        let asks = Who::Asks(&token, b"one fingerprint");
        let shaken = Itls::shake(house.address(), &product, Suites::Both, asks);
        let (open, id, key) = shaken.expect("it is let in");
        let state = |id: &Id| text(&house.server.cli(&["id2", "show", id.as_str()]), "state");
        assert_eq!(state(&id), "active", "{kind}");
        let login = login(&product, "kitchen", &secret, "securemode=8");
        let mut device = Mqtt::through(open, Version::V311);
        assert_eq!(device.connect(&login, true, 60).reason, ReasonCode::Success);
        let post = format!("/sys/{product}/kitchen/thing/event/property/post");
        let body = br#"{"id":"1","version":"1.0","params":{"temperature":20},"method":"thing.event.property.post"}"#;
        device.publish_acknowledged(&post, body);
        let reply: Value =
            serde_json::from_slice(&device.message(&format!("{post}_reply"))).expect("JSON");
        assert_eq!(reply["code"], 200, "{reply}");
        device.disconnect();
        // Again, with what it has kept, under each suite.
        for suite in [Suite::Aes128, Suite::Aes256] {
            let known = Who::Known(id, copy(&key));
            let shaken = Itls::shake(house.address(), &product, Suites::Only(suite), known);
            let (open, _, _) = shaken.expect("it is known");
            let mut device = Mqtt::through(open, Version::V5);
            assert_eq!(device.connect(&login, true, 60).reason, ReasonCode::Success);
            device.ping();
        }
    }
    assert!(house.metric(r#"channel="itls""#));
}

/// [AL-3.2] Messages longer than a record in both directions, in the pieces that the device asked for.
#[test]
fn long_messages_come_whole() {
    let mut house = House::open(&[]);
    let secret = house.server.device(&house.product, "kitchen");
    let (open, _, _) = house.given("a");
    let login = login(&house.product, "kitchen", &secret, "securemode=8");
    let mut device = Mqtt::through(open, Version::V311);
    assert_eq!(device.connect(&login, true, 60).reason, ReasonCode::Success);
    let update = format!("/{}/kitchen/user/update", house.product);
    device.publish_acknowledged(&update, &vec![b'u'; 200_000]);
    let get = format!("/{}/kitchen/user/get", house.product);
    assert_eq!(device.subscribe(&get), ReasonCode::GrantedQoS1);
    let content = vec![b'd'; 100_000];
    let params = [
        ("ProductKey", house.product.as_str()),
        ("TopicFullName", &get),
        ("MessageContent", &STANDARD.encode(&content)),
        ("Qos", "1"),
    ];
    let key = house.server.key();
    let call = form(&rpc_call(&key, "POST", "Pub", &params));
    let headers = pairs(&[("Content-Type", "application/x-www-form-urlencoded")]);
    let http = house.server.address("http");
    let sent = request(http, "POST", "/", &headers, call.as_bytes());
    assert_eq!(sent.json()["Success"], true, "{sent:?}");
    assert_eq!(device.message(&get), content);
}

/// [AL-3.5] [AL-3.12] What the login says must fit what the handshake has proven: its mode, its product
/// and its device.
#[test]
fn a_login_that_does_not_fit_the_handshake_is_refused() {
    let house = House::open(&[]);
    let product = &house.product;
    let (kitchen, cellar) = (
        house.server.device(product, "kitchen"),
        house.server.device(product, "cellar"),
    );
    let (other, _) = house.server.product("other");
    let strange = house.server.device(&other, "kitchen");
    let (open, id, key) = house.given("a");
    drop(open);
    let enters = |login: &Login| {
        let open = house.known(id, copy(&key)).expect("it is known");
        Mqtt::through(open, Version::V311)
            .connect(login, true, 60)
            .reason
    };
    for mode in ["securemode=2", "securemode=3", "securemode=-1", "x=1"] {
        let refused = enters(&login(product, "kitchen", &kitchen, mode));
        assert_eq!(refused, ReasonCode::NotAuthorized, "{mode}");
    }
    let right = login(product, "kitchen", &kitchen, "securemode=8");
    for wrong in [
        login(&other, "kitchen", &strange, "securemode=8"),
        login(product, "kitchen", &cellar, "securemode=8"),
        Login {
            client_id: right.client_id.replace("authtype=id2", "authtype=id3"),
            ..right.clone()
        },
        Login {
            client_id: right.client_id.replace("authtype=id2", "authType=register"),
            ..right.clone()
        },
    ] {
        assert_eq!(enters(&wrong), ReasonCode::NotAuthorized, "{wrong:?}");
    }
    // The first device that comes with an identity has it.
    assert_eq!(enters(&right), ReasonCode::Success);
    let second = login(product, "cellar", &cellar, "securemode=8");
    assert_eq!(enters(&second), ReasonCode::NotAuthorized);
    assert_eq!(enters(&right), ReasonCode::Success);
    house
        .server
        .cli(&["device", "delete", product, "kitchen", "--yes"]);
    assert_eq!(enters(&second), ReasonCode::Success);
    // And on no other port.
    let mut clear = Mqtt::open(house.server.address("mqtt"), None, Version::V311);
    let refused = clear.connect(&second, true, 60).reason;
    assert_eq!(refused, ReasonCode::NotAuthorized);
}

/// `spec/id2.md` section 7: each refusal has the vendor's number.
#[test]
fn id_7_who_is_not_believed_is_told_the_vendors_number() {
    let house = House::open(&[]);
    let (open, id, key) = house.given("a");
    drop(open);
    let told = |product: &str, who: Who<'_>| {
        let shaken = Itls::shake(house.address(), product, Suites::Both, who);
        match shaken {
            Ok(_) => panic!("{product} was let in"),
            Err(End::Told(alert)) => alert,
            Err(end) => panic!("{end:?}"),
        }
    };
    let known = || Who::Known(id, copy(&key));
    let wrong = SoftKey::new(KeyType::Aes128, &[1; 16]).expect("a key");
    let stranger = Id::issue([9; 3], [9; 3], 9);
    assert_eq!(told("a1Unknown", known()), Alert::NoSuchProduct);
    assert_eq!(told("no/product", known()), Alert::BadProduct);
    assert_eq!(
        told(&house.product, Who::Known(stranger, copy(&key))),
        Alert::NoSuchIdentity
    );
    assert_eq!(told(&house.product, Who::Known(id, wrong)), Alert::BadCode);
    let (other, token) = product(&house.server, "other", "aes-128");
    assert_eq!(told(&other, known()), Alert::OtherProduct);
    assert_eq!(
        told(&house.product, Who::Asks(&token, b"b")),
        Alert::OtherProduct
    );
    assert_eq!(
        told(&house.product, Who::Asks(&house.token, &[0xff; 16])),
        Alert::BadFingerprint
    );
    assert_eq!(
        told(&house.product, Who::Asks(&house.token, b"a")),
        Alert::FingerprintTaken
    );
    house
        .server
        .cli(&["id2", "product", &other, "--otp", "off"]);
    assert_eq!(told(&other, Who::Asks(&token, b"b")), Alert::NotSupported);
    house.server.cli(&["id2", "suspend", id.as_str()]);
    assert_eq!(told(&house.product, known()), Alert::Suspended);
    house.server.cli(&["id2", "activate", id.as_str()]);
    assert!(house.known(id, copy(&key)).is_ok());
    house.server.cli(&["id2", "revoke", id.as_str(), "--yes"]);
    assert_eq!(told(&house.product, known()), Alert::Discarded);
    house
        .server
        .cli(&["id2", "product", &house.product, "--licence", "1"]);
    assert_eq!(
        told(&house.product, Who::Asks(&house.token, b"z")),
        Alert::NoQuota
    );
    let audit = house.server.cli(&["audit", "list"]).to_string();
    assert!(audit.contains("device.handshake"), "{audit}");
    assert!(house.metric(r#"outcome="BadProof""#));
}

/// Bytes that no device sends: each is refused by itself, bounded in time and memory, and a device
/// that is connected meanwhile notices nothing.
#[test]
fn whatever_strangers_send_harms_nobody_else() {
    let house = House::open(&["sockets.hello=2000"]);
    let secret = house.server.device(&house.product, "kitchen");
    let (open, id, key) = house.given("a");
    let login = login(&house.product, "kitchen", &secret, "securemode=8");
    let mut device = Mqtt::through(open, Version::V311);
    assert_eq!(device.connect(&login, true, 60).reason, ReasonCode::Success);

    let hello = |suites| {
        use itls::client::{Client, OUT_MAX};
        let mut client = Client::new(house.product.as_bytes(), suites).expect("a product");
        let mut out = [0; OUT_MAX];
        let len = client.hello(Ok(&id), random(), &mut out).expect("room");
        (client, out[..len].to_vec())
    };
    let answer = |bytes: &[u8]| {
        let mut line = Line::open(house.address());
        line.send(bytes);
        line.alert()
    };
    let (_, first) = hello(Suites::Both);
    let mut sha1 = first.clone();
    let at = first.windows(4).position(|w| w == [0xd0, 4, 0xd0, 3]);
    let at = at.expect("the suites");
    (sha1[at + 1], sha1[at + 3]) = (2, 1);
    assert_eq!(answer(&sha1), Some(Alert::HandshakeFailure));
    assert_eq!(
        answer(&[&first[..], &[20, 3, 3, 0, 1, 1]].concat()),
        Some(Alert::UnexpectedMessage),
        "ChangeCipherSpec"
    );
    assert_eq!(
        answer(&[&first[..], &first].concat()),
        Some(Alert::BadCode),
        "the same hello again"
    );
    assert_eq!(answer(&[22, 3, 3, 0xff, 0xff]), Some(Alert::RecordOverflow));
    assert_eq!(answer(&[22, 3, 3, 0x10, 0]), Some(Alert::RecordOverflow));
    assert_eq!(answer(&[22, 3, 3, 0, 0]), Some(Alert::UnexpectedMessage));
    assert_eq!(answer(&[22, 2, 0, 0, 1]), Some(Alert::ProtocolVersion));
    assert_eq!(
        answer(&[22, 3, 3, 0, 4, 1, 0xff, 0xff, 0xff]),
        Some(Alert::DecodeError)
    );
    assert_eq!(
        answer(b"\x10\x0c\0\x04MQTT\x04\x02\0\x3c\0\0"),
        None,
        "MQTT in clear"
    );
    let told = exchange(house.address(), b"GET / HTTP/1.1\r\n\r\n");
    assert_eq!(told.status, 400, "{told:?}");
    // Half of a hello, and silence: closed when the time of a hello is over.
    for size in [0, 1, 5, 40, first.len() - 1] {
        assert_eq!(answer(&first[..size]), None, "{size}");
    }
    // One byte at a time is slow, and in time.
    let mut line = Line::open(house.address());
    for byte in &first {
        line.send(&[*byte]);
    }
    assert!(line.record().is_some());

    // A proof that was recorded, on another connection.
    let (mut client, first) = hello(Suites::Both);
    let mut line = Line::open(house.address());
    line.send(&first);
    let (kind, mut body) = line.record().expect("a challenge");
    client.take(kind, &mut body).expect("a challenge");
    let challenge = client.challenge().expect("it is there").to_owned();
    let mut out = [0; itls::client::OUT_MAX];
    let proof = code(&id, &key, &challenge);
    let len = client.prove(&id, proof.as_bytes(), random(), &mut out);
    let recorded = out[..len.expect("room")].to_vec();
    assert_eq!(answer(&recorded), Some(Alert::BadChallenge), "first");
    assert_eq!(
        answer(&[&first[..], &recorded].concat()),
        Some(Alert::BadChallenge),
        "second"
    );
    // Where it belongs it is right, and a Finished under other keys is not.
    line.send(&recorded);
    assert!(line.record().is_some(), "the server's hello");
    line.send(&[&[22, 3, 3, 0, 80][..], &[7; 80]].concat());
    let (_, told) = line.record().expect("an alert that is sealed");
    assert_eq!(told.len(), 64);
    assert!(line.record().is_none());

    // After the handshake: another's bytes, a second handshake, more than a record has.
    let mut open = house.known(id, copy(&key)).expect("it is known");
    open.line.send(&[&[23, 3, 3, 0, 64][..], &[9; 64]].concat());
    assert_eq!(open.hear(), Some(Err(Alert::BadRecord)));
    assert_eq!(open.hear(), None);
    let mut open = house.known(id, copy(&key)).expect("it is known");
    open.line.send(&first);
    assert_eq!(open.hear(), Some(Err(Alert::BadRecord)));
    let mut open = house.known(id, copy(&key)).expect("it is known");
    open.line.send(&[23, 3, 3, 0x48, 1]);
    assert_eq!(open.hear(), Some(Err(Alert::RecordOverflow)));
    let mut open = house.known(id, copy(&key)).expect("it is known");
    open.write_all(b"\x20\x02\0\0").expect("it is open");
    assert_eq!(open.hear(), None, "no MQTT");

    device.ping();
    // Failures that are strangers' keep nobody out who is right.
    assert!(house.known(id, copy(&key)).is_ok());
}

/// The SDK's example program with a folder for its identity: whether it succeeded, and its last line.
fn run(program: &Path, home: &Path, words: &[&str]) -> (bool, String) {
    let done = Command::new(program)
        .args(words)
        .env("MUSTER_DEVICE_DIR", home)
        .output()
        .expect("it was compiled");
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    let errors = String::from_utf8_lossy(&done.stderr);
    assert!(!errors.contains("Sanitizer"), "{errors}");
    let last = said.lines().last().unwrap_or_default().to_owned();
    (done.status.success(), last)
}

/// [ID-5] [ID-6] A C program under sanitizers that has nothing: it is given an identity, by itself or
/// on its way to a connection, logs in over iTLS and posts; and it is told why when it may not.
#[test]
fn a_c_program_with_nothing_is_provisioned_and_posts() {
    let folder = tempfile::tempdir().expect("a folder");
    let sdk = root().join("crates/device-c");
    let files = ["examples/itls_demo.c"];
    let program = compile(&sdk, folder.path(), "itls_demo", &files, SANITIZERS);
    let house = House::open(&[]);
    let port = house.address().port().to_string();
    let (two, second) = product(&house.server, "two", "aes-256");
    let token = |token: &Token| String::from_utf8_lossy(token.expose()).into_owned();
    let mut homes = Vec::new();
    for (n, (product, token)) in [
        (&house.product, token(&house.token)),
        (&two, token(&second)),
    ]
    .into_iter()
    .enumerate()
    {
        let secret = house.server.device(product, "kitchen");
        let home = folder.path().join(format!("home-{n}"));
        let place = ["127.0.0.1", &port, product, &token];
        let provision = [&["provision"], &place[..]].concat();
        let post = |temperature: &str| {
            let values = format!("{{\"temperature\":{temperature}}}");
            let words = [&["post"], &place[..], &["kitchen", &secret, &values]].concat();
            run(&program, &home, &words)
        };
        if n == 0 {
            let (good, id) = run(&program, &home, &provision);
            assert!(good && id.len() == 24, "{id}");
            assert_eq!(
                run(&program, &home, &provision),
                (true, id),
                "once is enough"
            );
        }
        for temperature in ["21", "22"] {
            let (good, reply) = post(temperature);
            assert!(good && reply.contains(r#""code":200"#), "{reply}");
        }
        let latest = house
            .server
            .cli(&["device", "properties", product, "kitchen"]);
        assert!(latest.to_string().contains("22"), "{latest}");
        homes.push((
            home,
            provision
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            secret,
        ));
    }
    let (home, provision, secret) = &homes[0];
    let words: Vec<&str> = provision.iter().map(String::as_str).collect();
    // This machine's fingerprint has an identity, which has proven itself.
    let elsewhere = folder.path().join("elsewhere");
    let told = run(&program, &elsewhere, &words);
    assert_eq!(told, (false, "alert 175".to_owned()));
    let (_, id) = run(&program, home, &words);
    house.server.cli(&["id2", "suspend", &id]);
    let post = [&["post"], &words[1..], &["kitchen", secret, "{}"]].concat();
    assert_eq!(run(&program, home, &post), (false, "alert 168".to_owned()));
    // Where nobody listens, and where somebody else does.
    let mqtt = house.server.address("mqtt").port().to_string();
    for port in ["1", mqtt.as_str()] {
        let mut post = post.clone();
        post[2] = port;
        let (good, said) = run(&program, home, &post);
        assert!(!good && said.starts_with("alert "), "{said}");
    }
}

//! ID² from outside: C programs of the device SDK, the program's command line, and a server that is
//! killed while it gives identities out.

#[path = "../../crates/device-c/tests/c/compile.rs"]
mod compile;
#[path = "../../crates/device-c/tests/c/demo.rs"]
mod demo;

use base64::{Engine, engine::general_purpose::STANDARD};
use compile::{SANITIZERS, compile};
use credential::id2::{
    Id, KeyType, SoftKey,
    device::{self, Form, Fresh},
    otp::{self, Session, Token},
};
use demo::Demo;
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    env,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    sync::{Condvar, Mutex, mpsc::sync_channel},
    thread,
    time::SystemTime,
};
use tempfile::TempDir;
use tests::{
    Key, PATIENCE, Server,
    http::{form, rpc_call, send_rpc},
    root,
    server::{App, text},
};

fn now() -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    now.as_millis().to_string()
}

/// Calls an action; its `Data`, or its number.
fn call(server: &mut Server, action: &str, params: &[(&str, &str)]) -> Result<Value, i64> {
    let key = server.key();
    let mut all = vec![("ApiVersion", "1.1.2")];
    all.extend(params);
    let reply = send_rpc(
        server.address("http"),
        "GET",
        &rpc_call(&key, "GET", action, &all),
    );
    assert_eq!(reply.status, 200, "{reply:?}");
    let mut tree = reply.json();
    match tree["Code"].as_i64() {
        Some(200) => Ok(tree["Data"].take()),
        Some(code) => Err(code),
        None => panic!("{reply:?}"),
    }
}

/// [ID-1] [ID-2] [ID-3] [ID-4] [ID-5] [ID-6] From an empty bench to a device that proves itself: a C
/// program with nothing is given an identity of each kind that goes over the air, proves itself in
/// every mode, decrypts, and knows the server from another.
#[test]
fn a_c_program_with_nothing_becomes_a_device_that_proves_itself() {
    let folder = TempDir::new().expect("a folder");
    let sdk = root().join("crates/device-c");
    let files = ["examples/id2_demo.c"];
    let program = compile(&sdk, folder.path(), "id2_demo", &files, SANITIZERS);
    let mut server = Server::start();
    for (kind, codes, form) in [
        ("aes-128", "any", None),
        ("aes-192", "hardened", Some("ID2_HARDENED")),
        ("aes-256", "keyed", Some("ID2_KEYED")),
        ("3des-112", "keyed", Some("ID2_KEYED")),
        ("3des-168", "hardened", Some("ID2_HARDENED")),
    ] {
        // All of them are this machine, which has one fingerprint.
        let (product, _) = server.product(kind);
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
        let mut device = Demo::new(&program);
        assert_eq!(device.says(&["status"]).as_deref(), Some("no ID2"));
        let id = device.asks(&["otp", &token], |code| {
            let code = STANDARD.encode(hex::decode(code).expect("hex"));
            let given = call(&mut server, "OtpGetId2", &[("DeviceAuthCode", &code)]);
            let given = given.expect("it is given one");
            let data = STANDARD.decode(text(&given, "ProvisionData"));
            hex::encode(data.expect("base64"))
        });
        let id = id.expect("it stores what it is given");
        assert_eq!(device.says(&["status"]), Some(id.clone()));
        if form.is_some() {
            // The plain form is not taken any more.
            server.cli(&["id2", "product", &product, "--codes", codes]);
            let code = device.says(&["timestamp", &now()]).expect("a code");
            let params = [
                ("Id2", id.as_str()),
                ("ProductKey", product.as_str()),
                ("AuthCode", code.as_str()),
            ];
            assert_eq!(call(&mut server, "Verify", &params), Err(21));
            device.form = form;
        }

        for extra in [None, Some("digest1234")] {
            let challenge = call(&mut server, "GetServerRandom", &[("Id2", &id)]);
            let challenge = challenge.expect("one").as_str().expect("text").to_owned();
            let time = now();
            for words in [["challenge", &challenge], ["timestamp", &time]] {
                let mut words = words.to_vec();
                words.extend(extra);
                let code = device.says(&words).expect("a code");
                let mut params = vec![
                    ("Id2", id.as_str()),
                    ("ProductKey", product.as_str()),
                    ("AuthCode", code.as_str()),
                ];
                params.extend(extra.map(|extra| ("Extra", extra)));
                assert_eq!(call(&mut server, "Verify", &params), Ok(true.into()));
                let again = call(&mut server, "Verify", &params);
                assert!(matches!(again, Err(34 | 35)), "{again:?}");
            }
        }

        let code = device.says(&["timestamp", &now()]).expect("a code");
        let params = [
            ("Id2", id.as_str()),
            ("ProductKey", product.as_str()),
            ("AuthCode", code.as_str()),
            ("Data", "hello id2"),
        ];
        let closed = call(&mut server, "VerifyAndEncrypt", &params).expect("encrypted");
        let closed = STANDARD.decode(closed.as_str().expect("text"));
        let closed = hex::encode(closed.expect("base64"));
        assert_eq!(
            device.says(&["decrypt", &closed]).as_deref(),
            Some("hello id2")
        );

        for (extra, forged) in [(None, false), (Some("srvextra"), false), (None, true)] {
            let code = device.says(&["timestamp", &now(), "e"]).expect("a code");
            let mut words = vec!["mutual"];
            words.extend(extra);
            let believed = device.asks(&words, |challenge| {
                let mut params = vec![
                    ("Id2", id.as_str()),
                    ("ProductKey", product.as_str()),
                    ("DeviceAuthCode", code.as_str()),
                    ("DeviceExtra", "e"),
                    ("DeviceChallenge", challenge),
                    ("Data", "x"),
                ];
                params.extend(extra.map(|extra| ("ServerExtra", extra)));
                let action = "GetServerAuthCodeAndEncryptData";
                let told = call(&mut server, action, &params).expect("proven");
                let code = text(&told, "ServerAuthCode");
                match forged {
                    true => code.replacen('~', "~A", 1),
                    false => code,
                }
            });
            assert_eq!(believed.is_some(), !forged, "{kind} {extra:?}");
        }
    }
}

/// [ID-9] The life of identities on the command line: a batch for a line, its file, release,
/// suspension, why a code is not believed, revocation; all of it is in the audit log.
#[test]
fn the_command_line_leads_identities_through_their_life() {
    let server = Server::start();
    let (product, _) = server.product("thermometer");
    let (ok, _, told) = server.cli_raw(&["id2", "batch", &product, "3"]);
    assert!(!ok && told.contains("muster id2 product"), "{told}");
    // What the vendor registered elsewhere is taken once, and stands in every identity.
    let vendor = server.cli(&["id2", "vendor", "00ABCD"]);
    assert_eq!(vendor["code"], "00ABCD");
    assert_eq!(server.cli(&["id2", "vendor"]), vendor);
    assert!(!server.cli_raw(&["id2", "vendor", "00ABCE"]).0);
    server.cli(&["id2", "product", &product, "--licence", "5"]);
    let (ok, _, told) = server.cli_raw(&["id2", "batch", &product, "6"]);
    assert!(!ok && told.contains("NotLicensed"), "{told}");
    let batch = server.cli(&["id2", "batch", &product, "3", "--note", "line 7"]);
    assert_eq!(batch["made"], 3);
    let batches = server.cli(&["id2", "batches", &product]);
    assert_eq!(batches["items"][0]["note"], "line 7");
    assert_eq!(batches["items"].as_array().map(Vec::len), Some(1));

    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let (line, file) = (path("line"), path("batch"));
    server.cli(&["id2", "line-key", &line]);
    let (pem, key) = (format!("{line}.pem"), format!("{line}.key"));
    let export = [
        "id2",
        "export",
        &product,
        "1",
        "--certificate",
        &pem,
        "--out",
        &file,
    ];
    server.cli(&export);
    assert!(!server.cli_raw(&export).0, "the file is not overwritten");
    // The line needs nothing of ours.
    let opened = Command::new("openssl")
        .args([
            "cms", "-decrypt", "-inform", "PEM", "-in", &file, "-inkey", &key,
        ])
        .output()
        .expect("openssl is installed");
    let (ok, ours, _) = server.cli_raw(&["id2", "open", &file, "--key", &key]);
    assert!(ok && !ours.is_empty());
    let theirs = String::from_utf8_lossy(&opened.stdout).replace("\r\n", "\n");
    assert_eq!(theirs, ours);
    let first: Value = serde_json::from_str(ours.lines().next().expect("a line")).expect("JSON");
    let id = text(&first, "id");
    assert_eq!(&id[..8], "0000ABCD");
    let key = hex::decode(text(&first, "key")).expect("hex");
    let key = SoftKey::new(KeyType::Aes128, &key).expect("a key");
    let code = |fresh: &str, extra: Option<&[u8]>| {
        let id = Id::parse(id.as_bytes()).expect("an identity");
        let mut out = [0; 256];
        let fresh = Fresh::Timestamp(fresh);
        let len = device::auth_code(&key, &id, Form::Plain, fresh, extra, [1; 8], &mut out);
        String::from_utf8(out[..len.expect("a code")].to_vec()).expect("text")
    };
    let examine = |code: &str, extra: &[&str]| {
        let words = [&["id2", "examine", &product, &id, code], extra].concat();
        let (ok, out, err) = server.cli_raw(&words);
        let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
        assert_eq!(ok, told["good"] == true);
        let steps = told["steps"].as_array().expect("steps");
        let wrong = steps.iter().find(|step| step["good"] == false);
        wrong.map(|step| text(step, "step"))
    };
    let step = |text: &str| Some(text.to_owned());
    assert_eq!(examine(&code(&now(), None), &[]), step("state"));
    server.cli(&["id2", "release", &product, "1"]);
    assert_eq!(examine(&code(&now(), None), &[]), None);
    assert_eq!(examine(&code("1", None), &[]), step("clock"));
    assert_eq!(
        examine(&code(&now(), Some(b"a")), &["--extra", "b"]),
        step("hint")
    );
    assert_eq!(examine(&code(&now(), Some(b"a")), &["--extra", "a"]), None);
    server.cli(&["id2", "suspend", &id, "--why", "stolen"]);
    assert_eq!(examine(&code(&now(), None), &[]), step("state"));
    assert_eq!(server.cli(&["id2", "show", &id])["why"], "stolen");
    server.cli(&["id2", "activate", &id]);
    server.cli(&["id2", "expire", &id, "2020-01-01T00:00:00Z"]);
    assert_eq!(examine(&code(&now(), None), &[]), step("state"));
    server.cli(&["id2", "expire", &id, "never"]);
    assert!(!server.cli_raw(&["id2", "revoke", &id]).0, "without a yes");
    server.cli(&["id2", "revoke", &id, "--yes"]);
    assert!(
        !server.cli_raw(&["id2", "activate", &id]).0,
        "it stays revoked"
    );

    let brought = path("brought");
    let lines: String = ["2122232425262728292A2B2C", "2122232425262728292A2B2D"]
        .iter()
        .map(|id| {
            format!(
                "{{\"id\":\"{id}\",\"key_type\":\"sm4\",\"key\":\"{}\"}}\n",
                "21".repeat(16)
            )
        })
        .collect();
    std::fs::write(&brought, lines).expect("a file");
    server.cli(&["id2", "import", &product, &brought]);
    assert!(!server.cli_raw(&["id2", "import", &product, &brought]).0);
    let list = server.cli(&["id2", "list", &product, "--state", "issued"]);
    // Two that were brought in, two of the batch.
    assert_eq!(list["items"].as_array().expect("a list").len(), 4);
    server.cli(&["id2", "withdraw", &product, "1", "--yes"]);
    let list = server.cli(&["id2", "list", &product, "--state", "withdrawn"]);
    assert_eq!(list["items"].as_array().expect("a list").len(), 2);

    let lines = server.cli(&["audit", "list", "--most", "100"]).to_string();
    for action in [
        "id2:SetProduct",
        "id2:CreateBatch",
        "id2:ExportBatch",
        "id2:SetIdentity",
        "id2:ImportIdentity",
    ] {
        assert!(lines.contains(action), "{action}: {lines}");
    }
    assert!(!lines.contains(&text(&first, "key")), "keys are nowhere");
}

/// [ID-5] [ID-9] On the command line only chips that were listed are given identities, for the token
/// that holds, and asking again is answered as the product says.
#[test]
fn the_command_line_gives_identities_to_listed_chips() {
    let server = Server::start();
    let (product, _) = server.product("thermometer");
    let words = ["id2", "product", &product, "--licence", "5", "--otp", "on"];
    server.cli(&[&words[..], &["--listed", "on"]].concat());
    let token = |words: &[&str]| text(&server.cli(words), "token");
    let first = token(&["id2", "token", &product]);
    let ask = |token: &str, session: u8, print: &[u8]| {
        let token = Token::parse(token.as_bytes()).expect("a token");
        let mut code = [0; otp::CODE_MAX];
        let session = Session::new([session; 16]);
        let len = otp::auth_code(&token, &session, print, &mut code).expect("a code");
        (session, STANDARD.encode(&code[..len]))
    };
    let (session, code) = ask(&first, 1, b"chip one");
    let issue = |code: &str| server.cli_raw(&["id2", "issue", &product, code]);
    let (ok, _, why) = issue(&code);
    assert!(!ok && why.contains("no such chip"), "{why}");
    let folder = TempDir::new().expect("a folder");
    let list = folder.path().join("chips");
    std::fs::write(&list, format!("{}\n", hex::encode("chip one"))).expect("a file");
    let listed = ["id2", "chips", &product, list.to_str().expect("text")];
    assert_eq!(server.cli(&listed)["count"], 1);
    let (ok, given, why) = issue(&code);
    assert!(ok, "{why}");
    let given: Value = serde_json::from_str(&given).expect("JSON");
    assert_eq!(given["remaining"], 4);
    let data = STANDARD.decode(text(&given, "provision_data"));
    let loaded = otp::load(KeyType::Aes128, &session, &data.expect("base64"));
    let (id, _) = loaded.expect("it is for this device");
    assert_eq!(text(&given, "id"), id.as_str());
    let again = issue(&code);
    let again: Value = serde_json::from_str(&again.1).expect("JSON");
    assert_eq!(again, given, "the same words, the same answer");
    let (_, other) = ask(&first, 2, b"chip one");
    assert!(!issue(&other).0, "its fingerprint was seen");
    server.cli(&["id2", "product", &product, "--repeat", "reissue"]);
    assert!(issue(&other).0);
    let second = token(&["id2", "token", &product, "--anew"]);
    assert_ne!(first, second);
    let (ok, _, why) = issue(&code);
    assert!(!ok && !why.is_empty(), "the old token is worth nothing");
    let (_, code) = ask(&second, 3, b"chip one");
    assert!(issue(&code).0);
    assert_eq!(server.cli(&["id2", "product", &product])["issued"], 1);
}

/// [ID-8] The vendor's unmodified application SDKs call the five actions, over HTTPS and HTTP.
#[test]
fn application_sdks_call_the_actions_over_https_and_http() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let words = ["id2", "product", &product, "--licence", "9", "--otp", "on"];
    server.cli(&words);
    let token = text(&server.cli(&["id2", "token", &product]), "token");
    let token = Token::parse(token.as_bytes()).expect("a token");
    let clients = [(App::Core, true), (App::Pop, true), (App::Core, false)];
    for (n, (sdk, secure)) in (0..).zip(clients) {
        let mut app = server.app(sdk, secure);
        let mut call = |action: &str, mut params: Value| {
            params["ApiVersion"] = "1.1.2".into();
            let order = json!({"action": action, "params": params, "common": true});
            let mut told = app.ask(&order);
            assert_eq!(told["answer"]["Code"], 200, "{sdk:?} {told}");
            told["answer"]["Data"].take()
        };
        let session = Session::new([n; 16]);
        let mut code = [0; otp::CODE_MAX];
        let len = otp::auth_code(&token, &session, &[b'c', n], &mut code).expect("a code");
        let code = STANDARD.encode(&code[..len]);
        let given = call("OtpGetId2", json!({"DeviceAuthCode": code}));
        let data = STANDARD.decode(text(&given, "ProvisionData"));
        let loaded = otp::load(KeyType::Aes128, &session, &data.expect("base64"));
        let (id, key) = loaded.expect("it is for this device");
        let challenge = call("GetServerRandom", json!({"Id2": id.as_str()}));
        let mut random = [n; 8];
        let mut code = |fresh: Fresh<'_>| {
            random[0] += 1;
            let mut out = [0; 256];
            let len = device::auth_code(&key, &id, Form::Plain, fresh, None, random, &mut out);
            String::from_utf8(out[..len.expect("a code")].to_vec()).expect("text")
        };
        let common = json!({"Id2": id.as_str(), "ProductKey": product});
        let with = |more: Value| {
            let mut all = common.clone();
            for (name, value) in more.as_object().expect("parameters") {
                all[name] = value.clone();
            }
            all
        };
        let shown = code(Fresh::Challenge(challenge.as_str().expect("text")));
        assert_eq!(call("Verify", with(json!({"AuthCode": shown}))), true);
        let time = now();
        let shown = code(Fresh::Timestamp(&time));
        let more = json!({"AuthCode": shown, "Data": "hello id2"});
        let closed = call("VerifyAndEncrypt", with(more));
        let opens = |closed: &Value| {
            let closed = STANDARD.decode(closed.as_str().expect("text"));
            let mut out = [0; 64];
            let len = device::decrypt(&key, &closed.expect("base64"), &mut out);
            assert_eq!(&out[..len.expect("it decrypts")], b"hello id2");
        };
        opens(&closed);
        let shown = code(Fresh::Timestamp(&time));
        let more = json!({
            "DeviceAuthCode": shown, "DeviceChallenge": "ABCD12348", "Data": "hello id2",
        });
        let proof = call("GetServerAuthCodeAndEncryptData", with(more));
        opens(&proof["EncryptData"]);
        let server = text(&proof, "ServerAuthCode");
        let check = device::check_server(&key, &id, Form::Plain, &server, b"ABCD12348", None);
        assert!(check.is_ok(), "{server}");
    }
}

/// Every command of `muster id2` is run by a test of this folder.
#[test]
fn every_command_is_run_by_a_test() {
    let help = Command::new(tests::program("muster"))
        .args(["id2", "--help"])
        .output()
        .expect("the program starts");
    let help = String::from_utf8(help.stdout).expect("text");
    let (_, commands) = help.split_once("Commands:\n").expect("a list");
    let names: Vec<&str> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(names.len() > 15, "{help}");
    let code: String = include_str!("id2.rs").split_whitespace().collect();
    let missing: Vec<_> = names
        .iter()
        .filter(|name| !code.contains(&format!("\"id2\",\"{name}\"")))
        .collect();
    assert!(missing.is_empty(), "no test runs {missing:?}");
}

/// Where the server is; it moves with every start.
struct Place {
    at: Mutex<(u64, SocketAddr)>,
    moved: Condvar,
}

impl Place {
    fn now(&self) -> (u64, SocketAddr) {
        *self.at.lock().expect("nobody panicked")
    }

    fn set(&self, address: SocketAddr) {
        let mut at = self.at.lock().expect("nobody panicked");
        *at = (at.0 + 1, address);
        self.moved.notify_all();
    }

    /// Waits for another place than the one of this number.
    fn other(&self, number: u64) {
        let at = self.at.lock().expect("nobody panicked");
        let (_at, late) = self
            .moved
            .wait_timeout_while(at, PATIENCE, |at| at.0 == number)
            .expect("nobody panicked");
        assert!(!late.timed_out(), "the server is away for too long");
    }
}

/// A call that may find the server dead.
fn try_call(address: SocketAddr, key: &Key, code: &str) -> Option<Value> {
    let params = [("ApiVersion", "1.1.2"), ("DeviceAuthCode", code)];
    let target = form(&rpc_call(key, "GET", "OtpGetId2", &params));
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let head = format!("GET /?{target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    serde_json::from_str(body).ok()
}

/// [ID-5] Devices ask for identities from 16 clients while the server is killed five times; each
/// asks with the same words until it has an answer. No identity is given to two, and the counters
/// are exact. `MUSTER_ID2_DEVICES` sets how many devices.
#[test]
fn no_identity_is_given_twice_by_a_server_that_is_killed() {
    const CLIENTS: usize = 16;
    const KILLS: usize = 5;
    let many = env::var("MUSTER_ID2_DEVICES").map_or(2_000, |n| n.parse().expect("a number"));
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let licence = (many + 1).to_string();
    server.cli(&[
        "id2",
        "product",
        &product,
        "--licence",
        &licence,
        "--otp",
        "on",
    ]);
    let token = text(&server.cli(&["id2", "token", &product]), "token");
    let token = Token::parse(token.as_bytes()).expect("a token");
    let key = server.key();
    let place = Place {
        at: Mutex::new((0, server.address("http"))),
        moved: Condvar::new(),
    };
    let (done, dones) = sync_channel::<(Id, i64)>(many);
    let given = thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (done, place, token, key) = (done.clone(), &place, &token, &key);
            scope.spawn(move || {
                for n in (client..many).step_by(CLIENTS) {
                    let session = Session::new((n as u128).to_be_bytes());
                    let mut code = [0; otp::CODE_MAX];
                    let print = format!("chip {n}");
                    let len = otp::auth_code(token, &session, print.as_bytes(), &mut code);
                    let code = STANDARD.encode(&code[..len.expect("a code")]);
                    let told = loop {
                        let (number, address) = place.now();
                        match try_call(address, key, &code) {
                            Some(told) => break told,
                            None => place.other(number),
                        }
                    };
                    assert_eq!(told["Code"], 200, "{told}");
                    let data = STANDARD.decode(text(&told["Data"], "ProvisionData"));
                    let data = data.expect("base64");
                    let (id, _) = otp::load(KeyType::Aes128, &session, &data).expect("for it");
                    let left = told["Data"]["Remaining"].as_i64().expect("a number");
                    done.send((id, left)).expect("somebody counts");
                }
            });
        }
        drop(done);
        let mut given = Vec::new();
        for kill in 1..=KILLS {
            while given.len() < kill * many / (KILLS + 1) {
                given.push(dones.recv().expect("they go on"));
            }
            server.kill();
            server.resume();
            place.set(server.address("http"));
        }
        given.extend(dones.iter());
        given
    });
    assert_eq!(given.len(), many);
    let ids: BTreeSet<Id> = given.iter().map(|(id, _)| *id).collect();
    assert_eq!(ids.len(), many, "an identity was given twice");
    assert_eq!(given.iter().map(|(_, left)| *left).min(), Some(1));
    let setting = server.cli(&["id2", "product", &product]);
    assert_eq!(
        (&setting["issued"], &setting["remaining"]),
        (&many.into(), &1.into())
    );
    let mut after: Option<String> = None;
    let mut listed = 0;
    loop {
        let mut words = vec!["id2", "list", &product, "--most", "1000"];
        words.extend(after.iter().flat_map(|after| ["--after", after]));
        let told = server.cli(&words);
        let items = told["items"].as_array().expect("a list");
        listed += items.len();
        match items.last() {
            Some(last) => after = Some(text(last, "id")),
            None => break,
        }
    }
    assert_eq!(listed, many);
}

//! What an operator does with a running server: copies it, brings it back, stops it, gives it new
//! certificates.

use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tests::{
    PATIENCE, Server, eventually, http,
    mqtt::{Login, Mqtt},
};
use wire::mqtt::Version;

const DEVICE: &str = "kitchen";

/// A device that posts values with times of its own.
struct Poster {
    mqtt: Mqtt,
    topic: String,
    from: i64,
    sent: i64,
}

impl Poster {
    fn open(server: &Server, product: &str, secret: &str, from: i64) -> Self {
        let mut mqtt = Mqtt::open(server.address("mqtt"), None, Version::V311);
        mqtt.connect(&Login::signed(product, DEVICE, secret, ",_ss=1"), true, 60);
        Self {
            mqtt,
            topic: format!("/sys/{product}/{DEVICE}/thing/event/property/post"),
            from,
            sent: 0,
        }
    }

    /// Posts, and gives back the number of the post once it is acknowledged.
    fn post(&mut self) -> i64 {
        let number = self.sent;
        self.sent += 1;
        let post = json!({
            "id": number.to_string(), "version": "1.0",
            "method": "thing.event.property.post",
            "params": {"target": {"value": 5 + number % 30, "time": self.from + number}},
        });
        self.mqtt
            .publish_acknowledged(&self.topic, post.to_string().as_bytes());
        number
    }
}

fn millis() -> i64 {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

/// The numbers of the posts that a server has in its history.
fn history(server: &Server, product: &str, from: i64, until: i64) -> BTreeSet<i64> {
    let mut kept = BTreeSet::new();
    let mut next = from;
    loop {
        let (start, end) = (next.to_string(), until.to_string());
        let page = server.cli(&[
            "device",
            "history",
            product,
            DEVICE,
            "target",
            "--from",
            &start,
            "--to",
            &end,
            "--oldest-first",
            "--most",
            "50",
        ]);
        for point in page["items"].as_array().expect("a list") {
            kept.insert(time_of(point) - from);
        }
        match page.get("next").filter(|next| !next.is_null()) {
            Some(text) => next = time(text),
            None => return kept,
        }
    }
}

fn time_of(point: &Value) -> i64 {
    time(&point["at"])
}

/// Milliseconds of a time such as 2026-01-31T12:00:00.000Z.
fn time(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("no time: {value}"));
    let number = |from: usize, to: usize| -> i64 { text[from..to].parse().expect("a number") };
    // Days since 1970 by counting years from March on, so that leap days come last.
    let (year, month) = (number(0, 4), number(5, 7));
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + number(8, 10)
            - 1
            - 719_468;
    let seconds = days * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    seconds * 1_000 + number(20, 23)
}

/// Restores a backup in place of a server's folder; gives back what the program said.
fn restore(server: &Server, backup: &str, more: &[&str]) -> Value {
    std::fs::remove_dir_all(server.data()).expect("a stopped server's folder");
    let mut words = vec!["restore", backup];
    words.extend(more);
    server.cli(&words)
}

/// A backup under posts holds all that was acknowledged before it began; a second one into the
/// same folder copies sealed segments no second time; a restored server lets the same device in
/// with the same secret; a cut leaves what was acknowledged up to then and nothing later.
#[test]
fn a_running_server_is_backed_up_and_restored_to_any_point() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, DEVICE);
    let folder = tempfile::TempDir::new().unwrap();
    let backup = folder.path().join("backup");
    let backup = backup.to_str().unwrap();
    let from = millis();
    let mut poster = Poster::open(&server, &product, &secret, from);
    for _ in 0..100 {
        poster.post();
    }
    let feed = tests::root().join("crates/scan/tests/vulns/kev.json.gz");
    let feeds = server.cli(&["vulns", "import", feed.to_str().unwrap()]);
    let early = server.cli(&["backup", backup]);
    assert_eq!(early["keys"], false);
    assert!(
        early["outside"].to_string().contains("master.key"),
        "{early}"
    );

    // What is posted while the second backup is made may be in it or not.
    let stop = Arc::new(AtomicBool::new(false));
    let posting = std::thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(Ordering::Relaxed) {
                poster.post();
            }
            poster
        }
    });
    let made = server.cli(&["backup", backup, "--with-keys"]);
    stop.store(true, Ordering::Relaxed);
    let mut poster = posting.join().expect("posts go on during a backup");
    assert_eq!(made["keys"], true);
    assert!(
        made["position"].as_u64() > early["position"].as_u64(),
        "{made}"
    );
    let during = poster.sent;
    // A moment that parts what was acknowledged before from what comes after.
    let before = millis();
    while millis() <= before + 1 {
        std::hint::spin_loop();
    }
    for _ in 0..50 {
        poster.post();
    }
    let all = poster.sent;
    let last = server.cli(&["backup", backup, "--with-keys"]);
    assert_eq!(server.cli(&["backup", "verify", backup])["whole"], true);
    server.kill();

    let told = restore(&server, backup, &[]);
    assert_eq!(told["position"], last["position"]);
    server.resume();
    let kept = history(&server, &product, from, from + all);
    assert_eq!(kept, (0..all).collect());
    assert_eq!(server.cli(&["vulns", "list"]), feeds);
    let mut again = Poster::open(&server, &product, &secret, from + all);
    assert_eq!(
        again.post(),
        0,
        "the device is let in, and its posts are kept"
    );
    server.kill();

    let at = format!("{before}");
    let at = Command::new("date")
        .args([
            "-u",
            "-d",
            &format!("@{}.{}", &at[..10], &at[10..]),
            "+%Y-%m-%dT%H:%M:%S.%3NZ",
        ])
        .output()
        .expect("date is there");
    let at = String::from_utf8(at.stdout).unwrap();
    let told = restore(&server, backup, &["--until", at.trim()]);
    assert_eq!(told["cut"], 50, "{told}");
    server.resume();
    let kept = history(&server, &product, from, from + all);
    assert_eq!(kept, (0..during).collect());
    let latest = server.cli(&["device", "properties", &product, DEVICE]);
    let target = latest
        .as_array()
        .and_then(|items| items.iter().find(|item| item["identifier"] == "target"))
        .unwrap_or_else(|| panic!("no target in {latest}"));
    assert_eq!(time_of(target), from + during - 1);
    server.stop();

    let (done, _, error) = server.cli_raw(&["restore", backup]);
    assert!(!done && error.contains("is not empty"), "{error}");
    let registry = eventually("the registry's copy", || {
        let mut found = walk(std::path::Path::new(backup));
        found.retain(|path| path.ends_with("registry.sqlite"));
        found.pop()
    });
    let mut bytes = std::fs::read(&registry).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&registry, bytes).unwrap();
    let (whole, told, _) = server.cli_raw(&["backup", "verify", backup]);
    assert!(!whole && told.contains("checksum"), "{told}");
    std::fs::remove_dir_all(server.data()).unwrap();
    let (done, _, error) = server.cli_raw(&["restore", backup]);
    assert!(!done && error.contains("checksum"), "{error}");
    assert!(!server.data().exists(), "whole or not at all");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries
        .map(|entry| entry.unwrap().path())
        .flat_map(|path| {
            if path.is_dir() {
                walk(&path)
            } else {
                vec![path]
            }
        })
        .collect()
}

/// Backups are an operator's, one at a time, and keys stay on the machine.
#[test]
fn a_backup_is_not_for_everybody() {
    let mut server = Server::start();
    let key = server.key();
    let made = server.cli(&["account", "create", "guest"]);
    let guest = tests::server::key_of(&made["key"]);
    let https = server.address("https");
    let folder = tempfile::TempDir::new().unwrap();
    let remote = |key: &tests::Key, more: &[&str]| {
        let output = Command::new(tests::program("muster"))
            .arg("backup")
            .arg(folder.path().join("b"))
            .args(more)
            .args(["--url", &format!("https://{https}"), "--ca"])
            .arg(server.ca())
            .env("MUSTER_ACCESS_KEY_ID", &key.id)
            .env("MUSTER_ACCESS_KEY_SECRET", &key.secret)
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (done, error) = remote(&guest, &[]);
    assert!(!done && error.contains("only an operator"), "{error}");
    let (done, error) = remote(&key, &["--with-keys"]);
    assert!(!done && error.contains("local socket"), "{error}");
    let (done, error) = remote(&key, &[]);
    assert!(done, "{error}");
    let log = server.cli(&["audit", "list"]).to_string();
    assert!(log.contains("muster:Backup"), "{log}");
}

fn signal(server: &Server, name: &str) {
    let pid = server.pid().to_string();
    let sent = Command::new("kill").args([name, &pid]).status();
    assert!(sent.expect("kill is there").success());
}

/// `/readyz` says no as soon as a stop is told and while the rest still works; the stop is orderly,
/// and the exit code says so.
#[test]
fn a_stop_is_told_before_it_happens() {
    let mut server = Server::start_with(&["ready.drain=1500"]);
    let http = server.address("http");
    let ready = || http::request(http, "GET", "/readyz", &[], b"");
    assert_eq!(ready().status, 200);
    signal(&server, "-TERM");
    let told = eventually("a server that is not ready", || {
        let told = ready();
        (told.status == 503).then_some(told)
    });
    assert_eq!(told.json()["why"], "stopping");
    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("stopped"), "{}", server.log());

    let mut server = Server::start_with(&["ready.drain=600000"]);
    signal(&server, "-TERM");
    eventually("the first signal", || {
        server.log().contains("stopping").then_some(())
    });
    signal(&server, "-TERM");
    assert_eq!(server.wait().code(), Some(4), "{}", server.log());
}

/// SIGHUP takes new certificates without a connection lost; ones that cannot be used are refused
/// with the reason, and the former ones stay.
#[test]
fn certificates_are_taken_while_connections_stay() {
    let folder = tempfile::TempDir::new().unwrap();
    let pair = |name: &str| {
        let made = Command::new("openssl")
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj",
            ])
            .arg(format!("/CN={name}"))
            .args(["-addext", "subjectAltName=DNS:localhost", "-keyout"])
            .arg(folder.path().join("new.key"))
            .arg("-out")
            .arg(folder.path().join("new.pem"))
            .stderr(Stdio::null())
            .status();
        assert!(made.expect("openssl is there").success());
        for end in ["pem", "key"] {
            let new = folder.path().join(format!("new.{end}"));
            std::fs::rename(new, folder.path().join(format!("server.{end}"))).unwrap();
        }
    };
    pair("first");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let server = Server::start_with(&[
        &format!("tls.certificate={}", path("server.pem")),
        &format!("tls.key={}", path("server.key")),
    ]);
    let shown = || {
        let mut tls =
            openssl::ssl::SslConnector::builder(openssl::ssl::SslMethod::tls_client()).unwrap();
        tls.set_verify(openssl::ssl::SslVerifyMode::NONE);
        let tcp = std::net::TcpStream::connect(server.address("mqtts")).unwrap();
        let stream = tls.build().connect("localhost", tcp).unwrap();
        let certificate = stream.ssl().peer_certificate().unwrap();
        let name = certificate.subject_name().entries().next().unwrap();
        String::from_utf8_lossy(name.data().as_slice()).into_owned()
    };
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, DEVICE);
    let ca = folder.path().join("server.pem");
    let mut device = Mqtt::open(server.address("mqtts"), Some(&ca), Version::V311);
    device.connect(&Login::signed(&product, DEVICE, &secret, ""), true, 60);
    assert_eq!(shown(), "first");
    pair("second");
    signal(&server, "-HUP");
    eventually("the second certificate", || {
        (shown() == "second").then_some(())
    });
    device.ping();

    std::fs::write(folder.path().join("server.pem"), "nonsense").unwrap();
    signal(&server, "-HUP");
    eventually("a refusal", || {
        server.log().contains("the former ones stay").then_some(())
    });
    assert_eq!(shown(), "second");
    device.ping();
}

/// The service manager hears when the server takes work, that it lives, and that it stops.
#[test]
fn the_service_manager_is_told() {
    let folder = tempfile::TempDir::new().unwrap();
    let ear = UnixDatagram::bind(folder.path().join("notify")).unwrap();
    ear.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = Command::new(tests::program("muster"));
    command
        .arg("serve")
        .arg("--data")
        .arg(folder.path().join("data"));
    for listener in ["mqtt", "mqtts", "http", "https"] {
        let setting = format!("listen.{listener}.address=127.0.0.1:0");
        command.args(["--set", &setting]);
    }
    let mut child = command
        .env("NOTIFY_SOCKET", folder.path().join("notify"))
        .env("WATCHDOG_USEC", "400000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let mut heard = [0; 256];
    let mut hear = || {
        let length = ear.recv(&mut heard).expect("news");
        String::from_utf8_lossy(&heard[..length]).into_owned()
    };
    assert_eq!(hear(), "READY=1\nSTATUS=serving");
    assert_eq!(hear(), "WATCHDOG=1");
    assert_eq!(hear(), "WATCHDOG=1");
    let pid = child.id().to_string();
    Command::new("kill").args(["-HUP", &pid]).status().unwrap();
    let mut news = hear();
    while news == "WATCHDOG=1" {
        news = hear();
    }
    assert!(news.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{news}");
    assert_eq!(hear(), "READY=1\nSTATUS=serving");
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    let mut news = hear();
    while news == "WATCHDOG=1" {
        news = hear();
    }
    assert_eq!(news, "STOPPING=1\nSTATUS=stopping");
    assert!(child.wait().unwrap().success());
}

/// The counters are for whom the configuration names.
#[test]
fn the_counters_are_for_whom_they_are() {
    for (to, status) in [
        ("everybody", 200),
        ("loopback", 200),
        ("keys", 401),
        ("local", 403),
    ] {
        let server = Server::start_with(&[&format!("metrics.to={to}")]);
        let told = http::request(server.address("http"), "GET", "/metrics", &[], b"");
        assert_eq!(told.status, status, "{to}");
    }
}

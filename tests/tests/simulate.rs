//! `muster simulate`, the tool that plays fleets, and what is proven with it.

use serde_json::Value;
use std::{
    collections::HashMap,
    io::Read,
    net::TcpListener,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};
use tests::{Server, eventually, http, program};

/// Devices of the campaign, and how many percent of them fail.
const FLEET: u64 = 2_000;
const FAIL: u64 = 3;
/// How long a campaign over all of them may take.
const CAMPAIGN: Duration = Duration::from_secs(300);

/// A fleet that is played.
struct Fleet {
    child: Child,
    out: ChildStdout,
}

impl Fleet {
    fn play(server: &Server, words: &[&str]) -> Self {
        let mut child = Command::new(program("muster"))
            .arg("simulate")
            .args(words)
            .arg("--data")
            .arg(server.data())
            .arg("--json")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let out = child.stdout.take().expect("a pipe");
        Self { child, out }
    }

    /// Waits until it ends; what it tells, and its exit code.
    fn ends(mut self) -> (Value, i32) {
        let mut text = String::new();
        self.out.read_to_string(&mut text).expect("a text");
        let status = self.child.wait().expect("a child");
        let told = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
        (told, status.code().expect("it ended by itself"))
    }

    /// Stops it as Ctrl-C does.
    fn stop(self) -> (Value, i32) {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-INT", &pid]).status();
        assert!(told.expect("kill is there").success());
        self.ends()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// A server on ports that it has again after a kill.
fn steady() -> Server {
    let ports: Vec<TcpListener> = (0..2)
        .map(|_| TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let [mqtt, http] = [0, 1].map(|at| ports[at].local_addr().expect("an address"));
    drop(ports);
    Server::start_with(&[
        &format!("listen.mqtt.address=\"{mqtt}\""),
        &format!("listen.http.address=\"{http}\""),
        &format!("public.download_url=\"http://{http}\""),
        "log.level=\"warn\"",
    ])
}

fn online(server: &Server) -> u64 {
    let page = http::request(server.address("http"), "GET", "/metrics", &[], b"").body;
    let line = page
        .lines()
        .find(|line| line.starts_with("muster_sessions "));
    let line = line.unwrap_or_else(|| panic!("no sessions in {page}"));
    line["muster_sessions ".len()..].parse().expect("a number")
}

fn all_online(server: &Server, many: u64) {
    let until = Instant::now() + CAMPAIGN;
    while online(server) < many {
        assert!(Instant::now() < until, "{} of {many}", online(server));
        std::thread::yield_now();
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value}"))
}

/// Uploads a package of so many bytes that needs no verification.
fn package(server: &Server, product: &str, version: &str, bytes: usize) -> String {
    let file = server.data().with_file_name(format!("firmware-{version}"));
    let content: Vec<u8> = (0..bytes).map(|at| (at * 31 % 251) as u8).collect();
    std::fs::write(&file, content).expect("a writable folder");
    let file = file.to_str().expect("a plain path");
    let words = ["firmware", "upload", product, version, file, "--no-verify"];
    text(&server.cli(&words)["id"]).to_owned()
}

fn campaign(server: &Server, package: &str, product: &str, more: &[&str]) -> String {
    let words = ["campaign", "create", package, product];
    text(&server.cli(&[&words, more].concat())["id"]).to_owned()
}

/// Waits until a campaign is as wanted.
fn campaign_is(server: &Server, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let until = Instant::now() + CAMPAIGN;
    loop {
        let told = server.cli(&["campaign", "show", id]);
        if wanted(&told) {
            return told;
        }
        assert!(Instant::now() < until, "{told}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

fn count(told: &Value, states: &[&str]) -> u64 {
    let counts = states.iter().map(|state| told["counts"][state].as_u64());
    counts.map(Option::unwrap_or_default).sum()
}

/// [AL-4.2] Issue 4: a campaign over 2,000 devices of which 3 % fail, while the server is killed
/// twice. Every device is counted once and in the right place, and none is updated twice. Then one
/// of which half fail: it stops by itself at its bound, and tells nobody any more.
#[test]
fn a_campaign_counts_every_device_once_whatever_is_killed() {
    let mut server = steady();
    let (product, _) = server.product("thermometer");
    let many = FLEET.to_string();
    let common = [
        product.as_str(),
        "--devices",
        &many,
        "--every",
        "0",
        "--arrivals",
        "500",
        "--install",
        "0.2",
    ];
    let faults = [
        "--fail-download",
        "1",
        "--fail-check",
        "1",
        "--fail-install",
        "0.5",
        "--fail-boot",
        "0.5",
        "--drop",
        "5",
        "--seed",
        "4",
    ];
    let fleet = Fleet::play(&server, &[&common[..], &faults].concat());
    let began = Instant::now();
    all_online(&server, FLEET);
    eprintln!("{FLEET} devices are online after {:.1?}", began.elapsed());

    let began = Instant::now();
    let second = package(&server, &product, "2.0.0", 150_000);
    let id = campaign(&server, &second, &product, &["--stop-percent", "50"]);
    for least in [FLEET / 5, FLEET / 2] {
        let told = campaign_is(&server, &id, |told| count(told, &["succeeded"]) >= least);
        assert_eq!(told["state"], "running", "{told}");
        server.kill();
        server.resume();
        eprintln!("killed at {} after {:.1?}", told["counts"], began.elapsed());
    }
    let told = campaign_is(&server, &id, |told| told["state"] != "running");
    eprintln!("the campaign is over after {:.1?}", began.elapsed());
    let fail = FLEET * FAIL / 100;
    assert_eq!(told["state"], "completed", "{told}");
    assert_eq!(told["total"], FLEET, "{told}");
    assert_eq!(count(&told, &["succeeded"]), FLEET - fail, "{told}");
    assert_eq!(count(&told, &["failed"]), fail, "{told}");

    let (tally, code) = fleet.stop();
    let upgrades = &tally["upgrades"];
    assert_eq!(upgrades["done"], FLEET - fail, "{tally}");
    assert_eq!(upgrades["done_again"], 0, "nobody twice: {tally}");
    assert_eq!(upgrades["at_it"], 0, "{tally}");
    assert_eq!(tally["versions"]["1.0.0"], fail, "{tally}");
    assert_eq!(tally["versions"]["2.0.0"], FLEET - fail, "{tally}");
    let failed = &upgrades["failed"];
    for (how, share) in [
        ("download", 100),
        ("check", 100),
        ("install", 200),
        ("boot", 200),
    ] {
        // What failed unheard, because the server was killed, may be tried once more.
        assert!(
            failed[how].as_u64() >= Some(FLEET / share),
            "{how}: {tally}"
        );
    }
    // Of those that drop, the ones whose download fails have nothing to resume.
    let drop = FLEET * 5 / 100 - FLEET / 100;
    assert!(upgrades["resumed"].as_u64() >= Some(drop), "{tally}");
    assert_eq!(code, 0, "{tally}");

    // The same fleet, of which half fail now; ten devices a second are told.
    let more = ["--fail-check", "50", "--seed", "5", "--firmware", "2.0.0"];
    let fleet = Fleet::play(&server, &[&common[..], &more].concat());
    all_online(&server, FLEET);
    let third = package(&server, &product, "3.0.0", 20_000);
    let bounds = ["--stop-percent", "20", "--per-minute", "600"];
    let id = campaign(&server, &third, &product, &bounds);
    let over = |told: &Value| count(told, &["notified", "in-progress", "queued", "away"]) == 0;
    let told = campaign_is(&server, &id, |told| {
        told["state"] == "stopped" && over(told)
    });
    let (good, bad) = (count(&told, &["succeeded"]), count(&told, &["failed"]));
    assert!(bad * 100 >= (good + bad) * 20, "{told}");
    assert!(good + bad >= 10, "not before ten were done: {told}");
    assert!(good + bad <= FLEET / 10, "soon after: {told}");
    assert_eq!(count(&told, &["canceled"]), FLEET - good - bad, "{told}");
    let (tally, _) = fleet.stop();
    let upgrades = &tally["upgrades"];
    assert_eq!(
        upgrades["begun"],
        good + bad,
        "nobody else was told: {tally}"
    );
    assert_eq!(upgrades["done"], good, "{tally}");
    assert_eq!(upgrades["done_again"], 0, "{tally}");
}

/// [AL-4.2] A campaign for a tenth of 2,000 devices, while the server is killed as soon as some are
/// chosen, and those have the version already when it chooses anew: a tenth it is in the end.
#[test]
fn a_gray_campaign_keeps_its_share_whatever_is_killed() {
    let mut server = steady();
    let (product, _) = server.product("thermometer");
    let many = FLEET.to_string();
    let words = [
        product.as_str(),
        "--devices",
        &many,
        "--every",
        "0",
        "--arrivals",
        "500",
        "--install",
        "0.1",
    ];
    let fleet = Fleet::play(&server, &words);
    all_online(&server, FLEET);
    let package = package(&server, &product, "2.0.0", 1_000);
    let id = campaign(&server, &package, &product, &["--gray", "10"]);
    for least in [0, 1, FLEET / 20] {
        campaign_is(&server, &id, |told| count(told, &["succeeded"]) >= least);
        server.kill();
        server.resume();
    }
    let told = campaign_is(&server, &id, |told| told["state"] != "running");
    assert_eq!(told["total"], FLEET / 10, "{told}");
    assert_eq!(count(&told, &["succeeded"]), FLEET / 10, "{told}");
    let (tally, _) = fleet.stop();
    assert_eq!(tally["versions"]["2.0.0"], FLEET / 10, "{tally}");
    assert_eq!(tally["upgrades"]["done_again"], 0, "{tally}");
}

/// Gateways with sub-devices that post and are upgraded, piece by piece over MQTT; and what devices
/// are asked is answered.
#[test]
fn gateways_and_their_sub_devices_are_played() {
    let server = steady();
    let model = tests::root().join("examples/thermometer.json");
    let model = model.to_str().expect("a plain path");
    let make = |name: &str, node: &str| {
        let made = server.cli(&["product", "create", name, "--node", node, "--model", model]);
        text(&made["product_key"]).to_owned()
    };
    let (gateways, subs) = (make("gateway", "gateway"), make("sensor", "subdevice"));
    let fleet = Fleet::play(
        &server,
        &[
            &gateways,
            "--gateways",
            "2",
            "--subs",
            "60",
            "--sub-product",
            &subs,
            "--every",
            "2",
            "--events",
            "3",
            "--install",
            "0.1",
            "--drop",
            "2",
        ],
    );
    // Of sub-devices only the registry knows.
    eventually("all sub-devices online", || {
        let told = server.cli(&["device", "list", &subs, "--most", "200"]);
        let here = told.as_array().expect("a list").iter();
        let here = here.filter(|device| device["state"] == "online").count();
        (here == 120).then_some(())
    });
    let words = ["device", "set", &subs, "sim-001-0007", "target=24"];
    assert_ne!(server.cli(&words)["command"], Value::Null);
    let words = [
        "device",
        "call",
        &subs,
        "sim-000-0059",
        "reboot",
        "{\"delay\": 1}",
    ];
    server.cli(&words);
    eventually("a property that was set and posted", || {
        let told = server.cli(&["device", "properties", &subs, "sim-001-0007"]);
        let items = told.as_array().expect("a list").clone();
        let set = |item: &Value| item["identifier"] == "target" && !item["value"].is_null();
        items.iter().any(set).then_some(())
    });
    let package = package(&server, &subs, "2.0.0", 200_000);
    let id = campaign(&server, &package, &subs, &["--over-mqtt"]);
    let told = campaign_is(&server, &id, |told| told["state"] != "running");
    assert_eq!(count(&told, &["succeeded"]), 120, "{told}");
    let (tally, code) = fleet.stop();
    assert_eq!(code, 0, "{tally}");
    assert_eq!(tally["gateways"], 2);
    assert_eq!(tally["most_online"], 122, "{tally}");
    assert_eq!(
        tally["connections"]["refused"],
        serde_json::json!({}),
        "{tally}"
    );
    assert_eq!(tally["posts"]["refused"], 0, "{tally}");
    assert!(tally["posts"]["taken"].as_u64() >= Some(122), "{tally}");
    assert!(tally["posts"]["events"].as_u64() > Some(0), "{tally}");
    let commands = &tally["commands"];
    assert_eq!(commands["properties"], 1, "{tally}");
    assert_eq!(commands["services"], 1, "{tally}");
    assert_eq!(commands["answered"], 2, "{tally}");
    let upgrades = |what: &str| tally["upgrades"][what].as_u64().unwrap_or(0);
    assert_eq!(upgrades("done"), 120, "{tally}");
    // Who comes back in the middle is told again. Where that is still on its way when the device is
    // done, it asks once more, and is told that there is nothing for it.
    let late = upgrades("told_late");
    let refused = tally["upgrades"]["failed"]["download"]
        .as_u64()
        .unwrap_or(0);
    assert_eq!(upgrades("begun"), 120 + late, "{tally}");
    let over = refused + upgrades("done_again");
    assert_eq!(over + upgrades("at_it"), late, "{tally}");
    // Exactly its bytes, for all that broke off meanwhile.
    let exactly = 120 * 200_000;
    let bytes = upgrades("bytes");
    assert!(
        (exactly..=exactly + late * 200_000).contains(&bytes),
        "{tally}"
    );
}

/// Devices that register by themselves over TLS come back with the secrets that were kept; churn
/// takes them away and brings them back; attempts that fail at first succeed when tried again.
#[test]
fn devices_register_leave_and_try_again() {
    let server = steady();
    let (product, secret) = server.product("thermometer");
    server.cli(&["product", "registration", &product, "on", "--yes"]);
    for name in ["sim-00000", "sim-00001", "sim-00002"] {
        server.cli(&["device", "create", &product, name]);
    }
    let kept = server.data().with_file_name("kept");
    let kept = kept.to_str().expect("a plain path");
    let words = [
        &product,
        "--devices",
        "3",
        "--product-secret",
        &secret,
        "--save",
        kept,
        "--seconds",
        "4",
    ];
    let (tally, code) = Fleet::play(&server, &words).ends();
    assert_eq!(
        (code, &tally["connections"]["registered"]),
        (0, &3.into()),
        "{tally}"
    );

    let words = [
        &product,
        "--credentials",
        kept,
        "--every",
        "0.1",
        "--churn",
        "1",
        "--fail-install",
        "100",
        "--fail-first",
        "2",
        "--seconds",
        "12",
        "--install",
        "0.1",
    ];
    let fleet = Fleet::play(&server, &words);
    all_online(&server, 3);
    let package = package(&server, &product, "2.0.0", 1_000);
    let more = ["--retries", "2", "--retry-minutes", "0"];
    let id = campaign(&server, &package, &product, &more);
    let told = campaign_is(&server, &id, |told| told["state"] != "running");
    assert_eq!(count(&told, &["succeeded"]), 3, "{told}");
    let tasks = server.cli(&["campaign", "tasks", &id]);
    let attempts = tasks["items"].as_array().expect("a list").iter();
    let attempts: HashMap<&str, &Value> = attempts
        .map(|task| (text(&task["device"]), &task["attempt"]))
        .collect();
    assert_eq!(attempts.len(), 3);
    assert!(
        attempts.values().all(|attempt| **attempt == 3),
        "{attempts:?}"
    );
    let (tally, code) = fleet.ends();
    assert_eq!(code, 0, "{tally}");
    assert_eq!(tally["upgrades"]["failed"]["install"], 6, "{tally}");
    assert!(tally["connections"]["left"].as_u64() > Some(0), "{tally}");
    assert!(tally["posts"]["taken"].as_u64() > Some(0), "{tally}");

    // A wrong secret never comes in, and that is told.
    std::fs::write(kept, "sim-00000,wrong\n").expect("a writable folder");
    let words = [&product, "--credentials", kept, "--seconds", "2"];
    let (tally, code) = Fleet::play(&server, &words).ends();
    assert_eq!((code, &tally["online"]), (1, &0.into()), "{tally}");
    assert_ne!(
        tally["connections"]["refused"],
        serde_json::json!({}),
        "{tally}"
    );
}

//! A registry goes from the embedded engine into PostgreSQL and back, and nobody outside notices.

use postgres::cluster::Cluster;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;
use tests::{Client, Server, server::App};

const PASSPHRASE: &str = "correct horse battery staple";

/// Runs the program with the passphrase in the environment: success and what it said.
fn muster(words: &[&str]) -> (bool, String) {
    let output = Command::new(tests::program("muster"))
        .args(words)
        .env("MUSTER_EXPORT_PASSPHRASE", PASSPHRASE)
        .output()
        .expect("the program starts");
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&text).into(),
    )
}

fn good(words: &[&str]) -> String {
    let (done, told) = muster(words);
    assert!(done, "muster {words:?}: {told}");
    told
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}

/// The lines of a file by their kinds, without head and end; secrets in clear.
fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).expect("a file");
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("a line"));
    lines
        .filter(|line: &Value| line.get("muster").is_none() && line.get("end").is_none())
        .collect()
}

/// What stays as it is while a server is used, and the lines of the audit log. Tokens of calls come
/// and go.
fn split(lines: Vec<Value>) -> (Vec<Value>, Vec<Value>) {
    let lasting = |line: &Value| {
        ["burnt", "challenge"].iter().all(|kind| line.get(kind).is_none())
            // Where the audit log stands.
            && line["entry"]["kind"] != "audit"
    };
    let lines = lines.into_iter().filter(lasting);
    lines.partition(|line| line.get("audit").is_none())
}

/// Posts one temperature with the vendor's SDK, and waits for the reply.
fn post(server: &Server, product: &str, secret: &str, temperature: f64) {
    let mut device = Client::python("device.py");
    device.order(&json!({
        "do": "start", "host": "127.0.0.1", "port": server.address("mqtt").port(),
        "product": product, "device": "kitchen", "secret": secret,
        "tsl": tests::root().join("examples/thermometer.json"), "ca": null,
    }));
    assert_eq!(device.wait("connect")["rc"], 0);
    device.wait("enable");
    device.order(&json!({"do": "post", "params": {"temperature": temperature}}));
    assert_eq!(device.wait("prop_post")["code"], 200);
}

fn temperatures(app: &mut Client, product: &str) -> Vec<String> {
    let answer = app.call(
        "QueryDevicePropertyData",
        &json!({
            "ProductKey": product, "DeviceName": "kitchen", "Identifier": "temperature",
            "StartTime": 0, "EndTime": 4_102_444_800_000_i64, "Asc": 1, "PageSize": 50,
        }),
    );
    let points = &answer["Data"]["List"]["PropertyInfo"];
    let points = points.as_array().unwrap_or_else(|| panic!("{answer}"));
    let value = |point: &Value| point["Value"].as_str().unwrap_or_default().to_owned();
    points.iter().map(value).collect()
}

/// [LK-1] Embedded → PostgreSQL → embedded: each time devices log in with the secrets that they
/// have, access keys work, histories are there, the audit log is whole; and the files of the first
/// and the last say the same.
#[test]
fn a_round_trip_through_a_database_is_identical() {
    let cluster = Cluster::start();
    let store = format!("store={}", cluster.database());
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| -> PathBuf { folder.path().join(name) };
    let (first, second) = (path("first.jsonl"), path("second.jsonl"));

    // Something of everything, and a command that waits.
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    server.cli(&["account", "create", "tenant"]);
    server.cli(&["user", "create", "alice"]);
    let key = server.key();
    post(&server, &product, &secret, 20.5);
    let mut app = server.app(App::Core, false);
    let set = app.call(
        "SetDeviceProperty",
        &json!({"ProductKey": product, "DeviceName": "kitchen", "Items": "{\"target\":21}"}),
    );
    assert_eq!(set["Success"], true, "{set}");
    assert_eq!(temperatures(&mut app, &product), ["20.5"]);

    // Out of a server that runs.
    let data = server.data();
    let closed = [
        "export",
        "--with-history",
        text(&first),
        "--data",
        text(&data),
    ];
    let told = good(&closed);
    assert!(told.contains("lines"), "{told}");
    let file = std::fs::read_to_string(&first).expect("a file");
    for secret in [&secret, &key.secret] {
        assert!(!file.contains(secret.as_str()));
    }
    assert!(
        !muster(&closed).0,
        "a file that is there is not written over"
    );
    let refused = ["import", text(&first), "--data", text(&data)];
    let (done, told) = muster(&refused);
    assert!(!done && told.contains("in use"), "{told}");
    server.stop();
    let (done, told) = muster(&refused);
    assert!(!done && told.contains("not empty"), "{told}");
    // And once more, for comparison, out of the folder that it left.
    let plain = path("first.plain.jsonl");
    good(&[
        "export",
        "--with-history",
        "--plain-secrets",
        text(&plain),
        "--data",
        text(&data),
    ]);

    // Into the database, and on with it.
    let mut server = Server::prepare(&[&store]);
    let data = server.data();
    let told = good(&[
        "import",
        text(&plain),
        "--plain-secrets",
        "--data",
        text(&data),
        "--set",
        &store,
    ]);
    assert!(told.contains("The audit log is whole"), "{told}");
    server.resume();
    server.use_key(key.clone());
    assert!(
        !server.log().contains("first start"),
        "it found another account"
    );
    let mut app = server.app(App::Core, false);
    assert_eq!(temperatures(&mut app, &product), ["20.5"]);
    assert_eq!(server.cli(&["audit", "verify"])["whole"], true);
    let data = server.data();
    server.stop();
    let words = [
        "export",
        "--with-history",
        "--plain-secrets",
        text(&second),
        "--data",
        text(&data),
        "--set",
        &store,
    ];
    good(&words);

    // Back, and it says the same.
    let (rows, audit) = split(lines(&plain));
    let (back, more) = split(lines(&second));
    assert_eq!(rows, back);
    assert!(rows.len() > 20, "{rows:?}");
    assert_eq!(audit, more[..audit.len()]);
    let mut server = Server::prepare(&[]);
    let data = text(&server.data()).to_owned();
    good(&["import", text(&first), "--data", &data]);
    let again = ["import", text(&second), "--plain-secrets", "--data", &data];
    assert!(!muster(&again).0, "what the first file left is not empty");
    good(&[&again[..], &["--replace", "--yes"]].concat());
    server.resume();
    post(&server, &product, &secret, 22.5);
    server.use_key(key);
    let mut app = server.app(App::Core, false);
    assert_eq!(temperatures(&mut app, &product), ["20.5", "22.5"]);
    assert_eq!(server.cli(&["audit", "verify"])["whole"], true);
}

/// A file whose secrets would be in clear is not written by accident, and a wrong passphrase
/// enters nothing.
#[test]
fn secrets_leave_closed_unless_it_is_said_aloud() {
    let server = Server::start();
    let folder = TempDir::new().expect("a folder");
    let file = folder.path().join("registry.jsonl");
    let (done, _, told) = server.cli_raw(&["export", text(&file)]);
    assert!(!done && told.contains("--plain-secrets"), "{told}");
    assert!(!file.exists());
    good(&["export", text(&file), "--data", text(&server.data())]);
    let other = folder.path().join("other");
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "another passphrase\n").expect("a file");
    let words = [
        "import",
        text(&file),
        "--passphrase-file",
        text(&wrong),
        "--data",
        text(&other),
    ];
    let (done, told) = muster(&words);
    assert!(!done && told.contains("not the one"), "{told}");
    assert!(!other.join("format").exists(), "nothing was made");
    let lines = server.cli(&["audit", "list"]);
    let lines = lines.as_array().expect("lines").iter();
    let exports = lines.filter(|line| line["entry"]["action"] == "muster:Export");
    assert_eq!(exports.count(), 1, "each export is audited");
}

//! A new master key in place of the old one, however often that is cut short.

use postgres::cluster::Cluster;
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tests::{
    Server, eventually,
    mqtt::{Login, Mqtt},
    program,
    server::text,
};
use wire::mqtt::{ReasonCode, Version};

fn key(server: &Server) -> PathBuf {
    server.data().join("master.key")
}

fn next(server: &Server) -> PathBuf {
    server.data().join("master.key.next")
}

/// With the registry in PostgreSQL the wrapped keys are in the database, and the master key is where it
/// was: in the data folder, or where the configuration says.
#[test]
fn the_master_key_of_a_database_is_renewed_where_it_lies() {
    let cluster = Cluster::start();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("elsewhere.key");
    fs::write(&file, format!("{}\n", "5a".repeat(32))).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).expect("it is ours");
    let settings = [
        format!("store=\"{}\"", cluster.database()),
        format!("master_key.file=\"{}\"", file.display()),
    ];
    let mut server = Server::start_with(&[&settings[0], &settings[1]]);
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    server.stop();
    let old = fs::read(&file).expect("a key");
    let done = Command::new(program("muster"))
        .args(["master-key", "renew", "--set", &settings[0], "--set"])
        .arg(&settings[1])
        .arg("--data")
        .arg(server.data())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert!(
        done.status.success() && said.contains("elsewhere.key"),
        "{said}"
    );
    assert_ne!(fs::read(&file).expect("a key"), old);
    let mode = fs::metadata(&file).expect("a key").permissions().mode();
    assert_eq!(mode & 0o777, 0o400, "as it was");
    assert!(!key(&server).exists(), "none is made where none was");
    server.resume();
    comes_in(&server, &product, &secret);
    // A key that nothing can be written to is not renewed.
    server.stop();
    let done = Command::new(program("muster"))
        .args(["master-key", "renew", "--set", &settings[0]])
        .args(["--set", "master_key.env=\"MUSTER_TEST_KEY\"", "--data"])
        .arg(server.data())
        .env("MUSTER_TEST_KEY", String::from_utf8_lossy(&old).trim())
        .output()
        .expect("the program starts");
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(
        !done.status.success() && said.contains("MUSTER_TEST_KEY"),
        "{said}"
    );
}

fn renewal(server: &Server) -> Child {
    Command::new(program("muster"))
        .args(["master-key", "renew", "--data"])
        .arg(server.data())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts")
}

/// Whether a device comes in with the secret that it was given before.
fn comes_in(server: &Server, product: &str, secret: &str) {
    let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
    let login = Login::signed(product, "kitchen", secret, "");
    assert_eq!(device.connect(&login, true, 60).reason, ReasonCode::Success);
}

/// [ID-9] Killed whenever its new key is there, and started again by the command, by the server or by
/// the doctor, the renewal ends with one key that opens everything, and with another than before.
#[test]
fn a_renewal_of_the_master_key_may_be_killed() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    server.cli(&["id2", "product", &product, "--licence", "5", "--otp", "on"]);
    let token = text(&server.cli(&["id2", "token", &product]), "token");
    // Not while a server has the folder.
    let (ok, _, why) = server.cli_raw(&["master-key", "renew"]);
    assert!(!ok && why.contains("stop the server"), "{why}");
    server.stop();

    let mut keys = vec![fs::read(key(&server)).expect("a key")];
    let mut cut = 0;
    for round in 0.. {
        if cut >= 6 {
            break;
        }
        assert!(round < 200, "it was never cut short");
        let mut renewal = renewal(&server);
        // Rounds differ in where the blow falls: at once, or once the new key lies there.
        let mut ended = false;
        if round % 4 != 0 {
            eventually("a new key", || {
                ended = renewal.try_wait().expect("it is ours").is_some();
                (ended || next(&server).exists()).then_some(())
            });
        }
        renewal.kill().expect("it is ours");
        renewal.wait().expect("it ends");
        cut += usize::from(next(&server).exists());
        match round % 3 {
            0 => {
                let (ok, _, why) = server.cli_raw(&["master-key", "renew"]);
                assert!(ok, "{why}");
            }
            1 => {
                server.resume();
                comes_in(&server, &product, &secret);
                server.stop();
            }
            _ => {
                let (_, told, why) = server.cli_raw(&["doctor"]);
                let told: Value = serde_json::from_str(&told).expect("JSON");
                let failed = |check: &&Value| check["verdict"] == "fail";
                let checks = told["findings"].as_array().expect("findings");
                let engines = ["engines", "master key", "audit log"].map(Value::from);
                let broken = checks.iter().filter(failed);
                let broken = broken
                    .filter(|check| engines.contains(&check["check"]))
                    .count();
                assert_eq!(broken, 0, "{told} {why}");
            }
        }
        assert!(!next(&server).exists(), "it is brought to its end");
        keys.push(fs::read(key(&server)).expect("a key"));
    }
    keys.dedup();
    assert!(keys.len() > 3, "renewals came through");
    server.resume();
    comes_in(&server, &product, &secret);
    assert_eq!(
        text(&server.cli(&["id2", "token", &product]), "token"),
        token
    );
    let lines = server.cli(&["audit", "list", "--most", "100"]).to_string();
    assert!(lines.contains("muster:RenewMasterKey"), "{lines}");
    server.stop();
    // The old key opens nothing any more.
    let kept = fs::read(key(&server)).expect("a key");
    fs::write(key(&server), &keys[0]).expect("it is ours");
    let why = server.refuses_to_start();
    assert!(why.contains("another master key"), "{why}");
    fs::write(key(&server), kept).expect("it is ours");
    server.resume();
}

//! What `muster doctor` says on those days: the trouble by its name, and how to mend it.

use crate::{
    disk::{in_a_namespace, mount},
    orders::Orders,
};
use serde_json::Value;
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
};
use tests::{Server, program};

/// What one check found; fails the test when the examination says nothing of it.
fn finding(data: &Path, words: &[&str], environment: &[(&str, &OsStr)], check: &str) -> Value {
    let told = Command::new(program("muster"))
        .args(["doctor", "--json", "--data"])
        .arg(data)
        .args(words)
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .expect("the program starts");
    let text = String::from_utf8_lossy(&told.stdout);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {told:?}"));
    let findings = report["findings"].as_array().expect("findings");
    let found = findings.iter().find(|f| f["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check} in {report:#}"));
    assert_eq!(
        told.status.success(),
        report["ok"] == true,
        "the exit code tells it"
    );
    if found["verdict"] == "fail" {
        assert_eq!(report["ok"], false);
        assert_ne!(found["mend"], "", "{found}");
    }
    found.clone()
}

/// A clock that was set back, or never set: as far as the files of the server show it.
#[test]
fn it_finds_a_wrong_clock() {
    let mut server = Server::prepare(&[]);
    let orders = Orders::of(&mut server);
    server.resume();
    let environment = orders.environment.each_ref();
    let environment = environment.map(|(name, value)| (*name, value.as_os_str()));
    let look = || finding(&server.data(), &[], &environment, "clock");
    assert_eq!(look()["verdict"], "ok");
    orders.clock_s(-2 * 24 * 60 * 60);
    let found = look();
    assert_eq!(found["verdict"], "fail", "{found}");
    orders.clock_s(-20 * 365 * 24 * 60 * 60);
    let found = look();
    assert_eq!(found["verdict"], "fail", "{found}");
    assert!(found["mend"].as_str().unwrap().contains("set the clock"));
    orders.clock_s(0);
    assert_eq!(look()["verdict"], "ok");
}

/// A disk with no room for another segment of the journal.
#[test]
fn it_finds_a_full_disk() {
    if in_a_namespace("doctor::it_finds_a_full_disk") {
        return;
    }
    let server = Server::prepare(&[]);
    mount(&server.data(), "size=256m");
    let look = || finding(&server.data(), &[], &[], "disk");
    assert_ne!(look()["verdict"], "fail");
    let ballast = server.data().join("ballast");
    fs::write(&ballast, vec![1; 200 << 20]).unwrap();
    let found = look();
    assert_eq!(found["verdict"], "fail", "{found}");
    assert!(found["found"].as_str().unwrap().contains("MiB free"));
    fs::remove_file(ballast).unwrap();
    assert_ne!(look()["verdict"], "fail");
}

/// TLS that something in front of the server ends, with suites that old devices do not know.
struct Proxy(Child);

impl Drop for Proxy {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

impl Proxy {
    fn start(tls: &Path) -> (Self, String) {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", &address])
            .args(["-cipher", "ECDHE-RSA-AES128-GCM-SHA256"])
            .arg("-cert")
            .arg(tls.join("server.pem"))
            .arg("-key")
            .arg(tls.join("server.key"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .stdin(Stdio::piped())
            .spawn()
            .expect("openssl is installed");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        for line in lines {
            if line.expect("text").contains("ACCEPT") {
                break;
            }
        }
        (Self(child), address)
    }
}

/// [AL-3.5] An SDK of 2018 that offers RSA key exchange with CBC alone, and cannot agree with what
/// ends TLS for the server.
#[test]
fn it_finds_that_an_old_sdk_cannot_agree_on_tls() {
    let server = Server::start();
    let data = server.data();
    assert_eq!(finding(&data, &[], &[], "old device")["verdict"], "ok");
    let (_proxy, address) = Proxy::start(&data.join("tls"));
    let found = finding(&data, &["--at", &address], &[], "old device");
    assert_eq!(found["verdict"], "fail", "{found}");
    assert!(found["mend"].as_str().unwrap().contains("proxy"), "{found}");
}

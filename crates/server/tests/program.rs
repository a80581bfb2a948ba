//! The program as its owner runs it.

#![expect(
    clippy::unwrap_used,
    reason = "a failure in what carries the tests is a failure of the test"
)]

use std::{
    fs,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

/// How long a start or a stop may take.
const PATIENCE: Duration = Duration::from_secs(60);

fn muster(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
    command.arg("--data").arg(data).stdin(Stdio::null());
    command
}

fn run(data: &Path, words: &[&str]) -> Output {
    muster(data).args(words).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that is killed when a test ends early.
struct Server {
    child: Child,
    folder: std::path::PathBuf,
    round: u32,
}

impl Server {
    fn start(folder: &Path, round: u32) -> Self {
        let file = |name: &str| fs::File::create(folder.join(format!("{name}{round}"))).unwrap();
        let mut command = muster(&folder.join("data"));
        command.arg("serve").stdout(file("out")).stderr(file("err"));
        for listener in ["mqtt", "mqtts", "http", "https"] {
            let address = format!("listen.{listener}.address=\"127.0.0.1:0\"");
            command.arg("--set").arg(address);
        }
        let mut server = Self {
            child: command.spawn().unwrap(),
            folder: folder.into(),
            round,
        };
        let until = Instant::now() + PATIENCE;
        // The file is the event that is waited for.
        while !folder.join("data/server.json").exists() {
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "{}",
                server.said("err")
            );
            assert!(Instant::now() < until, "not ready: {}", server.said("err"));
            std::thread::yield_now();
        }
        server
    }

    fn said(&self, stream: &str) -> String {
        let name = format!("{stream}{}", self.round);
        fs::read_to_string(self.folder.join(name)).unwrap()
    }

    fn stop(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let told = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(told.success());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn secret(out: &str) -> Option<String> {
    let line = out.lines().find(|line| line.contains("AccessKey secret"))?;
    line.split_whitespace().last().map(String::from)
}

/// The first start tells the secret once on stdout and never in the log; later starts are silent
/// about it; SIGTERM ends the program in order, with exit code 0.
#[test]
fn the_first_start_tells_its_secret_once() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let mut first = Server::start(folder.path(), 1);
    assert!(
        run(&data, &["product", "create", "thermometer"])
            .status
            .success()
    );
    assert_eq!(first.stop(), Some(0));
    let out = first.said("out");
    let told = secret(&out).unwrap_or_else(|| panic!("no secret in {out}"));
    assert_eq!(out.matches(&told).count(), 1);
    assert!(out.contains("muster product create"), "{out}");
    assert!(!first.said("err").contains(&told), "secrets are not logged");
    assert!(!data.join("server.json").exists());

    let mut second = Server::start(folder.path(), 2);
    let listed = run(&data, &["product", "list", "--json"]);
    assert!(text(&listed.stdout).contains("thermometer"));
    assert_eq!(second.stop(), Some(0));
    assert_eq!(second.said("out"), "");
    assert!(!second.said("err").contains(&told));
    assert_eq!(secret(&second.said("err")), None);
}

/// Commands say what is wrong and how to mend it, on stderr, with an exit code of its own.
#[test]
fn errors_say_how_to_mend_them() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    for (words, code, wanted) in [
        (&["product", "list"][..], 3, "start it with `muster serve"),
        (&["product", "lost"], 2, "unrecognized subcommand"),
        (
            &["--url", "nowhere", "product", "list"],
            2,
            "https://host:port",
        ),
        (
            &["--url", "https://127.0.0.1:1", "product", "list"],
            3,
            "no server answers",
        ),
        (
            &["--set", "limits.products", "config", "check"],
            2,
            "--set key=value",
        ),
        (
            &["--set", "limits.product=1", "config", "check"],
            1,
            "did you mean `limits.products`?",
        ),
        (
            &["--set", "listen.http.address=x", "serve"],
            1,
            "0.0.0.0:1883",
        ),
        (
            &["--config", "/nowhere.toml", "config", "print"],
            1,
            "/nowhere.toml",
        ),
    ] {
        let output = run(&data, words);
        let err = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {err}");
        assert!(err.contains(wanted), "{words:?}: {err}");
        assert!(output.stdout.is_empty(), "{words:?}");
    }
    assert!(!data.exists(), "nothing was made");
}

/// What is checked and printed is what would be run.
#[test]
fn the_configuration_is_printed_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let output = muster(&data)
        .env("MUSTER_LIMITS__PRODUCTS", "7")
        .args(["config", "print"])
        .output()
        .unwrap();
    let out = text(&output.stdout);
    let line = out.lines().find(|line| line.starts_with("products ="));
    let line = line.unwrap_or_else(|| panic!("{out}"));
    assert!(line.contains('7') && line.ends_with("# environment MUSTER_LIMITS__PRODUCTS"));
    assert!(out.contains("# flag --data"), "{out}");
    assert!(run(&data, &["config", "check"]).status.success());
}

/// The same commands over TLS with an access key, for a server on another machine.
#[test]
fn the_command_line_works_from_afar() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(folder.path(), 1);
    let info = fs::read_to_string(data.join("server.json")).unwrap();
    let info: serde_json::Value = serde_json::from_str(&info).unwrap();
    let key = run(&data, &["key", "create", "--json"]);
    let key: serde_json::Value = serde_json::from_slice(&key.stdout).unwrap();
    let ca = data.join("tls/ca.pem");
    let url = format!("https://{}", info["listen"]["https"].as_str().unwrap());
    let afar = |ca: Option<&Path>, secret: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muster"));
        command
            .args(["--url", &url, "--json", "product", "create", "afar"])
            .env(
                "MUSTER_ACCESS_KEY_ID",
                key["access_key_id"].as_str().unwrap(),
            )
            .env("MUSTER_ACCESS_KEY_SECRET", secret)
            .current_dir(folder.path());
        if let Some(ca) = ca {
            command.env("MUSTER_CA", ca);
        }
        command.output().unwrap()
    };
    let secret = key["access_key_secret"].as_str().unwrap();
    let untrusted = afar(None, secret);
    assert_eq!(untrusted.status.code(), Some(3));
    assert!(
        text(&untrusted.stderr).contains("--ca"),
        "{}",
        text(&untrusted.stderr)
    );
    let wrong = afar(Some(&ca), "wrong");
    assert_eq!(wrong.status.code(), Some(1));
    let made = afar(Some(&ca), secret);
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(text(&made.stdout).contains("product_key"));
}

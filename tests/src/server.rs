//! A `muster` process of a test.

use crate::{Client, PATIENCE, program};
use serde_json::{Value, json};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};
use tempfile::TempDir;

/// An access key.
#[derive(Clone, Debug)]
pub struct Key {
    /// The public half.
    pub id: String,
    /// The secret half.
    pub secret: String,
}

/// A running server with a data folder of its own.
pub struct Server {
    folder: TempDir,
    settings: Vec<String>,
    environment: Vec<(String, String)>,
    wrapper: Vec<String>,
    child: Option<Child>,
    info: Value,
    key: Option<Key>,
}

impl Server {
    /// Starts with the defaults, on free ports of this machine alone.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts with settings such as `tls.min_version="1.0"`.
    pub fn start_with(settings: &[&str]) -> Self {
        let mut server = Self::prepare(settings);
        server.resume();
        server
    }

    /// A server that `resume` starts, once its surroundings are as a test wants them.
    pub fn prepare(settings: &[&str]) -> Self {
        Self {
            folder: TempDir::new().expect("a temporary folder"),
            settings: settings.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            wrapper: Vec::new(),
            child: None,
            info: Value::Null,
            key: None,
        }
    }

    /// Adds a setting for the next starts.
    pub fn add_setting(&mut self, setting: &str) {
        self.settings.push(setting.into());
    }

    /// Sets a variable of the environment for the next starts.
    pub fn environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.into(), value.into()));
    }

    /// Has the next starts done by a program that becomes the server, such as `prlimit`.
    pub fn wrap(&mut self, words: &[&str]) {
        self.wrapper = words.iter().map(ToString::to_string).collect();
    }

    /// Uses an access key that was made before.
    pub fn use_key(&mut self, key: Key) {
        self.key = Some(key);
    }

    /// Starts the program again on the same folder.
    pub fn resume(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let ready = self.data().join("server.json");
        _ = std::fs::remove_file(&ready);
        let mut command = self.command();
        command.arg("serve").arg("--data").arg(self.data());
        for listener in ["mqtt", "mqtts", "http", "https", "plain", "itls"] {
            command
                .arg("--set")
                .arg(format!("listen.{listener}.address=\"127.0.0.1:0\""));
        }
        for setting in &self.settings {
            command.arg("--set").arg(setting);
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("a log file");
        let out = log.try_clone().expect("a log file");
        let mut child = command
            .stdout(out)
            .stderr(log)
            .spawn()
            .expect("the program starts");
        let until = Instant::now() + PATIENCE;
        self.info = loop {
            let text = std::fs::read_to_string(&ready).unwrap_or_default();
            if let Ok(info) = serde_json::from_str(&text) {
                break info;
            }
            if let Some(status) = child.try_wait().expect("a child") {
                panic!("the server ended with {status}:\n{}", self.log());
            }
            assert!(
                Instant::now() < until,
                "the server is not ready:\n{}",
                self.log()
            );
            std::thread::yield_now();
        };
        self.child = Some(child);
    }

    /// Starts the program, which must refuse by itself; gives back what it said.
    pub fn refuses_to_start(&self) -> String {
        let mut command = self.command();
        command.arg("serve").arg("--data").arg(self.data());
        for listener in ["mqtt", "mqtts", "http", "https"] {
            command
                .arg("--set")
                .arg(format!("listen.{listener}.address=\"127.0.0.1:0\""));
        }
        let output = command.output().expect("the program starts");
        assert!(!output.status.success(), "it started");
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn command(&self) -> Command {
        let muster = program("muster");
        let mut command = match self.wrapper.split_first() {
            None => Command::new(muster),
            Some((program, words)) => {
                let mut command = Command::new(program);
                command.args(words).arg(muster);
                command
            }
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("a running process");
        child.wait().expect("a killed process");
    }

    /// Asks it to stop, and waits until it did.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("it runs");
        let pid = child.id().to_string();
        Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill is there");
        child.wait().expect("a stopped process")
    }

    /// Waits until it ends by itself, such as after a signal.
    pub fn wait(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().expect("it runs");
        child.wait().expect("a process that ends")
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// All that the program printed, on both streams.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Where a listener listens: `mqtt`, `mqtts`, `http`, `https`, `plain` and `itls` (off by
    /// default).
    pub fn address(&self, listener: &str) -> SocketAddr {
        self.info["listen"][listener]
            .as_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("no listener {listener} in {}", self.info))
    }

    /// The certificate of the server's own authority, as a PEM file.
    pub fn ca(&self) -> PathBuf {
        self.data().join("tls/ca.pem")
    }

    /// Runs a command of the program against this server, and gives back its JSON.
    ///
    /// # Panics
    /// When the command fails.
    pub fn cli(&self, words: &[&str]) -> Value {
        let (status, out, err) = self.cli_raw(words);
        assert!(status, "muster {words:?}: {err}\n{}", self.log());
        serde_json::from_str(&out).unwrap_or_else(|e| panic!("muster {words:?}: {e}: {out}"))
    }

    /// Runs a command of the program against this server: success, output, errors.
    pub fn cli_raw(&self, words: &[&str]) -> (bool, String, String) {
        let output = Command::new(program("muster"))
            .args(words)
            .arg("--data")
            .arg(self.data())
            .arg("--json")
            .stdin(Stdio::null())
            .output()
            .expect("the program starts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    }

    /// An access key of the account itself, made at the first call.
    pub fn key(&mut self) -> Key {
        if self.key.is_none() {
            self.key = Some(key_of(&self.cli(&["key", "create"])));
        }
        self.key.clone().expect("just made")
    }

    /// A product of the example's thing model: its key and secret.
    pub fn product(&self, name: &str) -> (String, String) {
        let model = crate::root().join("examples/thermometer.json");
        let model = model.to_str().expect("a plain path");
        let made = self.cli(&["product", "create", name, "--model", model]);
        (text(&made, "product_key"), text(&made, "product_secret"))
    }

    /// A device of a product: its secret.
    pub fn device(&self, product: &str, name: &str) -> String {
        text(
            &self.cli(&["device", "create", product, name]),
            "device_secret",
        )
    }

    /// One of the application SDKs, set up for this server.
    pub fn app(&mut self, sdk: App, secure: bool) -> Client {
        let key = self.key();
        let address = self.address(if secure { "https" } else { "http" });
        let ca = secure.then(|| self.ca());
        let mut setup = json!({
            "endpoint": address.to_string(), "id": key.id, "secret": key.secret, "ca": ca,
        });
        let mut client = match sdk {
            App::Core => Client::python("app_core.py"),
            App::Tea => Client::python("app_tea.py"),
            App::TeaV2 => {
                setup["signature"] = json!("v2");
                Client::python("app_tea.py")
            }
            App::Pop => {
                let scheme = if secure { "https" } else { "http" };
                setup["endpoint"] = json!(format!("{scheme}://{address}"));
                Client::node("app.js", ca.as_deref())
            }
        };
        client.order(&setup);
        client
    }
}

/// An application SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum App {
    /// aliyun-python-sdk-core with aliyun-python-sdk-iot.
    Core,
    /// alibabacloud-iot20180120, signing headers (ACS3).
    Tea,
    /// alibabacloud-iot20180120, signing as RPC 1.0.
    TeaV2,
    /// @alicloud/pop-core.
    Pop,
}

/// A field of an answer that must be a text.
pub fn text(answer: &Value, field: &str) -> String {
    answer[field]
        .as_str()
        .unwrap_or_else(|| panic!("no text {field} in {answer}"))
        .into()
}

/// The key in the answer of `muster key create`.
pub fn key_of(answer: &Value) -> Key {
    Key {
        id: text(answer, "access_key_id"),
        secret: text(answer, "access_key_secret"),
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            _ = child.kill();
            _ = child.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.len().saturating_sub(8_000);
            eprintln!(
                "the server's log ends with:\n{}",
                log.get(from..).unwrap_or(&log)
            );
        }
    }
}

/// A temporary copy of a file with other content, for tests that need a broken one.
pub fn scratch(folder: &Path, name: &str, content: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a writable folder");
    path
}

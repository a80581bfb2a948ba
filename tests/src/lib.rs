//! The product seen from outside: a real `muster` process, and real clients beside it.
//!
//! Start with `Server`, which runs the program in a folder of its own on free ports, and `Client`,
//! which runs one of the vendors' unmodified SDKs (`tests/clients`) and speaks with it in lines of
//! JSON. Nothing here sleeps: a test waits for an event and fails when it does not come.

use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, sync_channel},
    time::{Duration, Instant},
};

pub mod http;
pub mod itls;
pub mod line;
pub mod mqtt;
pub mod raw;
pub mod server;

pub use server::{Key, Server};

/// How long an event may take before its test fails; generous, because the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The repository's folder.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .into()
}

/// The folder of the specification, which lies beside the repository: `MUSTER_SHARED`, or the nearest
/// folder `shared` on the way up.
///
/// # Panics
/// When there is none.
pub fn shared() -> PathBuf {
    let named = std::env::var_os("MUSTER_SHARED").map(PathBuf::from);
    let found = named.or_else(|| {
        root().ancestors().skip(1).find_map(|folder| {
            let shared = folder.join("shared");
            shared
                .join("spec/requirements.md")
                .exists()
                .then_some(shared)
        })
    });
    found.unwrap_or_else(|| {
        panic!(
            "spec/requirements.md is in no folder `shared` above {}; set MUSTER_SHARED to that folder",
            root().display()
        )
    })
}

/// One of the source documents, by its three digits.
///
/// # Panics
/// When it is not there.
pub fn seed(number: &str) -> String {
    let folder = std::fs::read_dir(shared().join("seeds")).expect("the folder of the documents");
    let path = folder
        .map(|entry| entry.expect("an entry").path())
        .find(|path| {
            let name = path.file_name().map(|name| name.to_string_lossy());
            name.is_some_and(|name| name.starts_with(&format!("{number}_")))
        });
    std::fs::read_to_string(path.expect("the document")).expect("text")
}

/// The folder that `tools/setup` installed the clients into.
pub fn tools() -> PathBuf {
    std::env::var_os("MUSTER_TOOLS").map_or_else(|| root().join(".tools"), PathBuf::from)
}

/// A program of this workspace, built beside the test or benchmark that runs.
pub fn program(name: &str) -> PathBuf {
    let running = std::env::current_exe().expect("a running program");
    let folder = running
        .ancestors()
        .skip(1)
        .find(|folder| !folder.ends_with("deps"))
        .expect("target/<profile>");
    let program = folder.join(name);
    assert!(
        program.exists(),
        "{} is not built; run `make test`",
        program.display()
    );
    program
}

/// A program that tells what happens in lines of JSON, and takes orders in such lines.
pub struct Client {
    name: String,
    child: Child,
    orders: Option<ChildStdin>,
    events: Receiver<Value>,
    seen: VecDeque<Value>,
}

impl Client {
    /// A Python program of `tests/clients/python`.
    pub fn python(script: &str) -> Self {
        Self::python_of("venv", script)
    }

    /// The same with the packages of another folder of `tools/setup`, such as `venv-mqtt`.
    pub fn python_of(folder: &str, script: &str) -> Self {
        let python = tools().join(folder).join("bin/python");
        assert!(
            python.exists(),
            "the Python clients of {folder} are not installed; run `make test`"
        );
        let mut command = Command::new(python);
        command.arg(root().join("tests/clients/python").join(script));
        Self::start(script, command)
    }

    /// A Node.js program of `tests/clients/node`; `ca` is trusted by it.
    pub fn node(script: &str, ca: Option<&Path>) -> Self {
        let modules = tools().join("node/node_modules");
        assert!(
            modules.exists(),
            "the Node.js SDKs are not installed; run `make test`"
        );
        let mut command = Command::new("node");
        command
            .arg(root().join("tests/clients/node").join(script))
            .env("NODE_PATH", modules);
        if let Some(ca) = ca {
            command.env("NODE_EXTRA_CA_CERTS", ca);
        }
        Self::start(script, command)
    }

    /// Any program that speaks in lines of JSON.
    pub fn start(name: &str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap_or_else(|e| panic!("{name} does not start: {e}"));
        let lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let (tell, events) = sync_channel(10_000);
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let event = serde_json::from_str(&line).unwrap_or_else(|_| json!({"line": line}));
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        let orders = child.stdin.take();
        Self {
            name: name.into(),
            child,
            orders,
            events,
            seen: VecDeque::new(),
        }
    }

    /// Gives an order.
    pub fn order(&mut self, order: &Value) {
        let pipe = self.orders.as_mut().expect("orders are open");
        writeln!(pipe, "{order}").unwrap_or_else(|e| panic!("{} is gone: {e}", self.name));
    }

    /// Waits for an event that `wanted` likes; what came before it and was not asked for stays
    /// for later.
    pub fn wait_for(&mut self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        if let Some(event) = self.seen(&wanted) {
            return event;
        }
        let until = Instant::now() + PATIENCE;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.events.recv_timeout(left) {
                Ok(event) if wanted(&event) => return event,
                Ok(event) => self.seen.push_back(event),
                Err(_) => panic!("{}: no {what}; seen: {:?}", self.name, self.seen),
            }
        }
    }

    /// The first such event among those that came before something that was waited for.
    pub fn seen(&mut self, wanted: impl Fn(&Value) -> bool) -> Option<Value> {
        let at = self.seen.iter().position(wanted)?;
        self.seen.remove(at)
    }

    /// Waits for the event of this name.
    pub fn wait(&mut self, event: &str) -> Value {
        self.wait_for(event, |e| e["event"] == event)
    }

    /// Gives an order and waits for its answer, for programs that answer each order in turn.
    pub fn ask(&mut self, order: &Value) -> Value {
        self.order(order);
        self.wait_for("answer", |e| {
            e.get("answer").is_some() || e.get("error").is_some()
        })
    }

    /// Calls an action of the application API, and gives back what the server answered.
    ///
    /// # Panics
    /// When the SDK raised an error instead.
    pub fn call(&mut self, action: &str, params: &Value) -> Value {
        let mut told = self.ask(&json!({"action": action, "params": params}));
        assert!(told.get("error").is_none(), "{action}: {told}");
        told["answer"].take()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.orders = None;
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// Calls `poll` until it gives something, for what can only be asked for, not waited for.
///
/// # Panics
/// When it gave nothing for as long as `PATIENCE`.
pub fn eventually<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = poll() {
            return found;
        }
        assert!(Instant::now() < until, "{what} did not happen");
        std::thread::yield_now();
    }
}

//! Has a process of its own scan an image.
//!
//! An image is somebody else's bytes. They are read by a process that may take so much memory and
//! time and no more, can open nothing (no file, no socket) once it has read the image, and whose
//! end, however it comes, is an answer. It is this program again (`muster scan --worker`).

use scan::{dossier::Dossier, report::Step};
use std::{
    io::{self, BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

/// What a worker may say at most; reports of the largest images are some tens of megabytes.
const ANSWER: u64 = 512 << 20;
/// What of its complaints is kept.
const SAID: usize = 64 << 10;
/// How long beyond its time a worker may take to write down what it found.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// How often is looked whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How a worker's steps begin on its stderr.
pub(crate) const STEP: &str = "step: ";

/// What a worker is to do.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// Level of graded protection, 2 or 3.
    pub(crate) level: Option<u8>,
    /// Seconds.
    pub(crate) timeout: u64,
    /// MiB.
    pub(crate) memory: u64,
    /// Feeds, or folders of them.
    pub(crate) vulns: Vec<PathBuf>,
    /// YARA rules, or folders of them.
    pub(crate) yara: Vec<PathBuf>,
}

/// What gives an image to a worker.
pub(crate) type Feed<'a> = &'a mut (dyn FnMut(&mut dyn Write) -> io::Result<()> + Send);

/// What is to be scanned.
pub(crate) enum Image<'a> {
    /// A file that the worker opens.
    File(&'a Path),
    /// Bytes that it is given, with a name for them.
    Bytes(&'a str, Feed<'a>),
    /// A dossier that it is given, to be matched with other feeds.
    Dossier(Feed<'a>),
}

/// Why there is no dossier.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) why: String,
    pub(crate) help: String,
}

impl Broken {
    fn new(why: impl Into<String>, help: &str) -> Self {
        Self {
            why: why.into(),
            help: help.to_owned(),
        }
    }
}

enum Heard {
    Step(Step),
    Answer(Vec<u8>),
    Said(String),
}

/// Has a worker scan an image. `told` hears how far it is; whoever sets `stop` ends it.
///
/// # Errors
/// In words for people.
pub(crate) fn inspect(
    order: &Order,
    image: Image<'_>,
    told: &mut dyn FnMut(Step),
    stop: &AtomicBool,
) -> Result<Dossier, Broken> {
    let failed = |error: io::Error| Broken::new(format!("starting the scan: {error}"), "");
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .args(["scan", "--worker"])
        .arg(format!("--timeout={}", order.timeout))
        .arg(format!("--memory={}", order.memory))
        .args(order.level.map(|level| format!("--level={level}")));
    for path in &order.vulns {
        command.arg("--vulns").arg(path);
    }
    for path in &order.yara {
        command.arg("--yara").arg(path);
    }
    let mut feed = None;
    match image {
        Image::File(path) => {
            command.stdin(Stdio::null()).arg("--").arg(path);
        }
        Image::Bytes(name, bytes) => {
            feed = Some(bytes);
            command.stdin(Stdio::piped());
            command.arg(format!("--name={name}")).args(["--", "-"]);
        }
        Image::Dossier(bytes) => {
            feed = Some(bytes);
            command.stdin(Stdio::piped());
            command.args(["--again", "--", "-"]);
        }
    }
    let mut child = command
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let until = Instant::now() + Duration::from_secs(order.timeout) + GRACE;
    let heard = thread::scope(|scope| {
        let (send, hear) = sync_channel(16);
        if let (Some(feed), Some(mut input)) = (feed, child.stdin.take()) {
            // A worker that wants no more has said why.
            scope.spawn(move || feed(&mut input));
        }
        if let Some(out) = child.stdout.take() {
            let send = send.clone();
            scope.spawn(move || answer(out, &send));
        }
        if let Some(err) = child.stderr.take() {
            scope.spawn(move || said(err, &send));
        }
        let (mut answered, mut complained) = (Vec::new(), String::new());
        loop {
            match hear.recv_timeout(LOOK) {
                Ok(Heard::Step(step)) => told(step),
                Ok(Heard::Answer(bytes)) => answered = bytes,
                Ok(Heard::Said(text)) => complained = text,
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            }
            if stop.load(Ordering::Relaxed) {
                end(&mut child);
                return Err(Broken::new("the scan was called off", ""));
            }
            if Instant::now() > until {
                end(&mut child);
                return Err(Broken::new(
                    "the scan did not end in its time and was stopped",
                    "give it more: --timeout",
                ));
            }
        }
        Ok((answered, complained))
    });
    let status = child.wait().map_err(failed)?;
    let (answered, complained) = heard?;
    if !status.success() {
        return Err(broken(status, &complained));
    }
    serde_json::from_slice(&answered)
        .map_err(|_| Broken::new("the scan ended without an answer", ""))
}

fn end(child: &mut Child) {
    // It may just have ended by itself.
    let _ = child.kill();
}

fn answer(from: impl Read, to: &SyncSender<Heard>) {
    let mut bytes = Vec::new();
    // What was cut off is no JSON, which is noticed.
    let _ = from.take(ANSWER).read_to_end(&mut bytes);
    let _ = to.send(Heard::Answer(bytes));
}

fn said(from: impl Read, to: &SyncSender<Heard>) {
    let mut text = String::new();
    let mut from = BufReader::new(from);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut from).take(SAID as u64).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        let said = String::from_utf8_lossy(&line);
        let step = said.trim().strip_prefix(STEP);
        let step = step.and_then(|name| Step::ALL.into_iter().find(|step| step.name() == name));
        match step {
            Some(step) => {
                let _ = to.send(Heard::Step(step));
            }
            None if text.len() < SAID => text.push_str(&said),
            None => {}
        }
    }
    let _ = to.send(Heard::Said(text));
}

/// What a worker's end means.
fn broken(status: ExitStatus, said: &str) -> Broken {
    use std::os::unix::process::ExitStatusExt;
    if let Some(signal) = status.signal() {
        return Broken::new(
            format!(
                "the scan was ended by signal {signal}: it needed more memory or time than it may take"
            ),
            "give it more: --memory, --timeout",
        );
    }
    let said = said.trim().trim_start_matches("error: ");
    let (why, help) = said.split_once("\nhelp: ").unwrap_or((said, ""));
    Broken::new(why.trim(), help.trim())
}

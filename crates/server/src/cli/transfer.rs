//! `muster export` and `muster import`: a registry as a file, from one engine to another.

use super::{Desk, Failure, REFUSED, USAGE, ask};
use crate::{
    config::Config,
    engine::{self, SystemRandom, WallClock},
    first_start, serve,
};
use axum::body::Bytes;
use clap::Args;
use credential::Secret;
use hub::{
    Hub,
    audit::AuditCheck,
    transfer::{self, Content, Imported, Lock},
};
use model::{account::AuditEntry, error::Fault, port::Ports};
use serde_json::json;
use std::{
    fs::{self, File, OpenOptions},
    io::{BufReader, IsTerminal, Write},
    os::unix::{fs::OpenOptionsExt, net::UnixStream},
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::{mpsc, watch};

/// The variable that may hold the passphrase.
const PASSPHRASE: &str = "MUSTER_EXPORT_PASSPHRASE";

/// How the secrets in a file are closed.
#[derive(Args)]
struct Closing {
    /// A file that holds the passphrase which closes the secrets; or set
    /// MUSTER_EXPORT_PASSPHRASE.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A file that holds a key of 64 hex digits which closes the secrets.
    #[arg(long, value_name = "FILE", conflicts_with = "passphrase_file")]
    key_file: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  openssl rand -hex 32 > export.key && muster export --key-file export.key registry.jsonl
  MUSTER_EXPORT_PASSPHRASE='…' muster export --with-history registry.jsonl

Works on a running server, and on the data folder of a stopped one. The file holds products, thing
models, devices, accounts, keys, policies, waiting commands, the audit log and every secret; not
the certificates in tls/, nor the journal.")]
pub(super) struct Export {
    /// The file to write; it must not be there yet.
    file: PathBuf,
    /// The histories of the devices, too.
    #[arg(long)]
    with_history: bool,
    #[command(flatten)]
    closing: Closing,
    /// Leave every secret in clear: whoever reads the file is every device and every caller.
    #[arg(long, conflicts_with_all = ["passphrase_file", "key_file"])]
    plain_secrets: bool,
}

#[derive(Args)]
#[command(after_help = "\
Examples:
  muster import --key-file export.key registry.jsonl --set store=postgres://muster@db.example/muster
  muster import --plain-secrets registry.jsonl --data /var/lib/muster

The server must not run. The registry is the one that the configuration names (`store`), and must
be empty, or is emptied first with --replace. The file is read to its end before anything is
entered.")]
pub(super) struct Import {
    /// The file that `muster export` wrote.
    file: PathBuf,
    /// Remove what is in the registry first: devices, accounts, keys, audit log, histories.
    #[arg(long)]
    replace: bool,
    /// Do not ask before --replace.
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    closing: Closing,
    /// The secrets in the file are in clear.
    #[arg(long, conflicts_with_all = ["passphrase_file", "key_file"])]
    plain_secrets: bool,
}

/// What closes the secrets, as the caller gave it.
enum Given {
    Passphrase(String),
    Key(String),
    Plain,
}

impl Closing {
    fn given(self, plain: bool) -> Result<Given, Failure> {
        let read = |path: &Path| {
            let text = fs::read_to_string(path);
            text.map(|text| text.trim_end().to_owned())
                .map_err(|error| {
                    let help = "name a file that this user may read";
                    Failure::new(USAGE, format!("{}: {error}", path.display()), help)
                })
        };
        match (
            self.passphrase_file,
            self.key_file,
            std::env::var(PASSPHRASE),
        ) {
            _ if plain => Ok(Given::Plain),
            (Some(path), ..) => read(&path).map(Given::Passphrase),
            (None, Some(path), _) => read(&path).map(Given::Key),
            (None, None, Ok(passphrase)) => Ok(Given::Passphrase(passphrase)),
            (None, None, Err(_)) => Err(Failure::new(
                USAGE,
                "nothing is given to close the secrets with",
                "give --passphrase-file or --key-file, set MUSTER_EXPORT_PASSPHRASE, or say --plain-secrets",
            )),
        }
    }
}

impl Given {
    fn key(text: &str) -> Secret {
        Secret::new(hex::decode(text).unwrap_or_default())
    }

    fn lock(&self) -> Result<Lock, Failure> {
        match self {
            Self::Passphrase(text) => {
                let passphrase = Secret::new(text.as_bytes().to_vec());
                Lock::with_passphrase(&passphrase, &SystemRandom)
            }
            Self::Key(text) => Lock::with_key(Self::key(text), &SystemRandom),
            Self::Plain => return Ok(Lock::open()),
        }
        .map_err(|error| Failure::new(USAGE, error.to_string(), ""))
    }
}

pub(super) fn export(desk: &mut Desk, export: Export) -> Result<(), Failure> {
    let given = export.closing.given(export.plain_secrets)?;
    let mut file = Part::new(&export.file)?;
    let mut progress = Progress::new("exported");
    let local = desk.globals.url.is_none();
    let config = local.then(|| desk.loaded()).transpose()?;
    let stopped = config
        .map(|loaded| loaded.config)
        .filter(|config| UnixStream::connect(config.data.join(serve::SOCKET)).is_err());
    match stopped {
        None => {
            let mut body = match &given {
                Given::Passphrase(text) => json!({"passphrase": text}),
                Given::Key(text) => json!({"key": text}),
                Given::Plain => json!({"plain_secrets": true}),
            };
            body["histories"] = json!(export.with_history);
            let client = desk.client()?;
            client.stream(&["export"], &body, &mut |bytes| {
                file.write(bytes)?;
                progress.show(file.lines);
                Ok(())
            })?;
        }
        Some(config) => {
            let content = if export.with_history {
                Content::WithHistories
            } else {
                Content::Registry
            };
            let lock = given.lock()?;
            runtime()?.block_on(Box::pin(export_folder(
                config,
                lock,
                content,
                &mut file,
                &mut progress,
            )))?;
        }
    }
    let lines = file.finish()?;
    progress.end();
    let told = json!({"file": export.file, "lines": lines});
    desk.show(&told, |_| {
        format!("{lines} lines are in {}.\n", export.file.display())
    })
}

/// Exports what a server that is stopped has left.
async fn export_folder(
    config: Config,
    lock: Lock,
    content: Content,
    file: &mut Part,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let ports = there(&config).await?;
    let hub = Arc::new(hub(&config, ports).await?);
    let (stop, stopped) = watch::channel(false);
    let reader = tokio::spawn(hub.clone().history_run(stopped));
    hub.audit_note(entry(&hub, "muster:Export"))
        .await
        .map_err(failed)?;
    let (send, pieces) = mpsc::channel::<Bytes>(8);
    let write = async {
        // Gone with this block, so that a disk that is full ends the export.
        let mut pieces = pieces;
        while let Some(piece) = pieces.recv().await {
            file.write(&piece)?;
            progress.show(file.lines);
        }
        Ok(())
    };
    let (exported, written) = tokio::join!(hub.export(&lock, content, send), write);
    let _ = stop.send(true);
    let _ = reader.await;
    written?;
    exported.map(drop).map_err(failed)
}

pub(super) fn import(desk: &mut Desk, import: Import) -> Result<(), Failure> {
    let config = desk.loaded()?.config;
    let given = import.closing.given(import.plain_secrets)?;
    let open = || {
        let file = File::open(&import.file).map(BufReader::new);
        file.map_err(|error| {
            let help = "name a file that `muster export` wrote";
            Failure::new(USAGE, format!("{}: {error}", import.file.display()), help)
        })
    };
    let (passphrase, key) = match &given {
        Given::Passphrase(text) => (Some(Secret::new(text.as_bytes().to_vec())), None),
        Given::Key(text) => (None, Some(Given::key(text))),
        Given::Plain => (None, None),
    };
    let refused = |error: transfer::ImportError| {
        let help = match error {
            transfer::ImportError::NotEmpty => {
                "name an empty one with --data or `store`, or say --replace to remove what is there"
            }
            transfer::ImportError::Fault(_) => {
                "mend that, and import again with --replace: a part may be entered"
            }
            transfer::ImportError::Io(_)
            | transfer::ImportError::Malformed { .. }
            | transfer::ImportError::Lock(_)
            | transfer::ImportError::Vault(_) => "nothing was entered",
        };
        Failure::new(REFUSED, error.to_string(), help)
    };
    let checked = transfer::check(open()?, passphrase.as_ref(), key).map_err(refused)?;
    if import.replace {
        let question = format!("Remove everything in the registry ({})?", config.store);
        ask::confirm(desk, import.yes, &question)?;
    }
    let mut progress = Progress::new("entered");
    let (imported, check) = runtime()?.block_on(Box::pin(async {
        let ports = self::open(&config).await?;
        let empty = ports.archive.is_empty().await.map_err(failed)?;
        let sealed = !empty && !import.replace;
        let master = first_start::settled_master_key(&config, sealed, &ports)
            .await
            .map_err(|error| Failure::new(REFUSED, format!("the master key: {error}"), ""))?;
        let imported =
            transfer::import(&ports, master, open()?, &checked, import.replace, |lines| {
                progress.show(lines);
            });
        let imported = imported.await.map_err(refused)?;
        let hub = hub(&config, ports).await?;
        hub.audit_note(entry(&hub, "muster:Import"))
            .await
            .map_err(failed)?;
        let check = hub.audit_verify(None).await.map_err(failed)?;
        Ok::<_, Failure>((imported, check))
    }))?;
    progress.end();
    told(desk, imported, &check)
}

fn told(desk: &mut Desk, imported: Imported, check: &AuditCheck) -> Result<(), Failure> {
    let Imported {
        rows,
        devices,
        points,
    } = imported;
    let whole = check.broken.is_none();
    let told = json!({
        "rows": rows, "devices": devices, "points": points, "audit_whole": whole,
    });
    desk.show(&told, |_| {
        format!(
            "{rows} rows are entered, {devices} devices among them, and {points} points of histories.\n\
             The audit log is {}.\n",
            if whole { "whole" } else { "broken: see `muster audit verify`" }
        )
    })
}

/// What a server that is stopped has left.
pub(super) async fn there(config: &Config) -> Result<Ports, Failure> {
    if !config.data.join("format").exists() {
        let shown = config.data.display();
        return Err(Failure::new(
            REFUSED,
            format!("there is no registry in {shown}"),
            "name the data folder of a server with --data",
        ));
    }
    open(config).await
}

async fn open(config: &Config) -> Result<Ports, Failure> {
    first_start::private_folder(&config.data).map_err(|error| {
        let shown = config.data.display();
        Failure::new(
            REFUSED,
            format!("{shown}: {error}"),
            "name another folder with --data",
        )
    })?;
    let store = engine::open(config).await.map_err(|fault| {
        let help = "stop the server that uses it first";
        Failure::new(REFUSED, fault.context, help)
    })?;
    Ok(serve::ports(
        store,
        Arc::new(WallClock),
        Arc::new(SystemRandom),
    ))
}

pub(super) async fn hub(config: &Config, ports: Ports) -> Result<Hub, Failure> {
    let master = first_start::settled_master_key(config, true, &ports)
        .await
        .map_err(|error| Failure::new(REFUSED, format!("the master key: {error}"), ""))?;
    let hub = Hub::open(ports, config.limits.clone(), master).await;
    hub.map_err(|error| Failure::new(REFUSED, error.to_string(), ""))
}

/// A line of the audit log for what the owner of the data folder did without a server.
pub(super) fn entry(hub: &Hub, action: &str) -> AuditEntry {
    AuditEntry {
        at: hub.now(),
        who: "(owner of the data folder)".into(),
        address: format!("local uid {}", rustix::process::getuid().as_raw()),
        action: action.into(),
        resource: "*".into(),
        outcome: "ok".into(),
        detail: "without a server".into(),
    }
}

pub(super) fn failed(fault: Fault) -> Failure {
    Failure::new(REFUSED, fault.context, "")
}

pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(REFUSED, format!("starting: {error}"), ""))
}

/// A file on its way: it gets its name when it is whole, and is for its owner alone.
struct Part {
    path: PathBuf,
    part: PathBuf,
    file: File,
    lines: u64,
    /// What follows the last line end.
    tail: Vec<u8>,
    ended: bool,
}

impl Part {
    fn new(path: &Path) -> Result<Self, Failure> {
        let wrong = |why: String| {
            let shown = path.display();
            Failure::new(USAGE, format!("{shown}: {why}"), "name a new file")
        };
        if path.exists() {
            return Err(wrong("is there already".into()));
        }
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let part = PathBuf::from(name);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            part,
            file,
            lines: 0,
            tail: Vec::new(),
            ended: false,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|e| self.wrong(&e))?;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.tail.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.lines += 1;
                self.ended = self.tail.starts_with(b"{\"end\":");
                self.tail.clear();
            }
        }
        Ok(())
    }

    fn finish(mut self) -> Result<u64, Failure> {
        if !self.ended || !self.tail.is_empty() {
            return Err(Failure::new(
                REFUSED,
                "the export broke off",
                "look into the server's log, and try again",
            ));
        }
        let keep = || {
            self.file.sync_all()?;
            fs::rename(&self.part, &self.path)?;
            let folder = self.path.parent().filter(|p| !p.as_os_str().is_empty());
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        };
        keep().map_err(|e| self.wrong(&e))?;
        self.part = PathBuf::new();
        Ok(self.lines)
    }

    fn wrong(&self, error: &std::io::Error) -> Failure {
        let shown = self.path.display();
        Failure::new(REFUSED, format!("writing {shown}: {error}"), "")
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.part.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Says on a terminal how far it is.
struct Progress {
    word: &'static str,
    shown: u64,
    terminal: bool,
}

impl Progress {
    fn new(word: &'static str) -> Self {
        Self {
            word,
            shown: 0,
            terminal: std::io::stderr().is_terminal(),
        }
    }

    fn show(&mut self, lines: u64) {
        if self.terminal && lines >= self.shown + 10_000 {
            self.shown = lines;
            let _ = write!(std::io::stderr(), "\r{lines} lines {}", self.word);
        }
    }

    fn end(&self) {
        if self.shown > 0 {
            let _ = writeln!(std::io::stderr());
        }
    }
}

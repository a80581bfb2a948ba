//! The server's end: reads a moment of the engine and sends it, no faster than it may.

use super::{
    About, Have, KEYS, hex_of,
    stream::{Begin, Frame},
};
use model::error::Fault;
use openssl::sha::Sha256;
use serde::Deserialize;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use store::backup::{Copier, Part};
use tokio::sync::mpsc;

/// Bytes that are read at once.
const CHUNK: usize = 256 << 10;
/// Somebody who waits hears from us at least this often.
const SIGN: Duration = Duration::from_secs(5);
/// The longest rest at once, so that a stop is noticed.
const NAP: Duration = Duration::from_millis(200);
/// The longest key file that is read, in bytes.
const KEY_MOST: u64 = 1 << 20;

/// What is asked for.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    /// Files of a former backup that need not be sent again.
    #[serde(default)]
    pub(crate) have: Vec<Have>,
    /// Whether master key and certificates are wanted too.
    #[serde(default)]
    pub(crate) keys: bool,
    /// At most so many bytes a second are read.
    pub(crate) rate: Option<u64>,
}

/// What backups are made of.
pub(crate) struct Source {
    /// The engine's copies.
    pub(crate) copier: Arc<Copier>,
    /// Key material: where it belongs in a data folder, and where it is.
    pub(crate) keys: Vec<(String, PathBuf)>,
    /// What a restored server needs and a backup never has.
    pub(crate) outside: Vec<String>,
    /// The server's name.
    pub(crate) node: String,
    /// Whether the server is about to stop.
    pub(crate) stopping: Box<dyn Fn() -> bool + Send + Sync>,
}

/// Sends a backup. Blocks until all is sent, nobody listens, or the server stops.
pub(crate) fn give(source: &Source, order: &Order, made: String, send: &mpsc::Sender<Vec<u8>>) {
    let mut giver = Giver {
        source,
        send,
        rate: order.rate.unwrap_or(u64::MAX).max(1),
        begun: Instant::now(),
        moved: 0,
        told: Instant::now(),
    };
    match giver.all(order, made) {
        Ok(position) => {
            let seconds = giver.begun.elapsed().as_secs();
            tracing::info!(position, bytes = giver.moved, seconds, "a backup was made");
        }
        Err(why) => {
            tracing::warn!(why, "a backup was not finished");
            let _ = giver.frame(&Frame::Failed(why));
        }
    }
}

struct Giver<'a> {
    source: &'a Source,
    send: &'a mpsc::Sender<Vec<u8>>,
    rate: u64,
    begun: Instant,
    moved: u64,
    told: Instant,
}

impl Giver<'_> {
    fn all(&mut self, order: &Order, made: String) -> Result<u64, String> {
        let said = |fault: Fault| fault.context;
        let moment = self.source.copier.moment().map_err(said)?;
        let position = moment.position.0;
        for part in moment.parts {
            self.part(part, order)?;
        }
        let mut outside = self.source.outside.clone();
        if order.keys {
            for (name, path) in &self.source.keys {
                self.key(name, path)?;
            }
        } else {
            let paths = self.source.keys.iter().map(|(_, path)| path);
            let there = paths.filter(|path| path.exists());
            outside.extend(there.map(|path| path.display().to_string()));
        }
        self.frame(&Frame::End(About {
            format: super::FORMAT,
            program: env!("CARGO_PKG_VERSION").into(),
            node: self.source.node.clone(),
            made,
            position,
            keys: order.keys,
            outside,
        }))?;
        Ok(position)
    }

    fn part(&mut self, part: Part, order: &Order) -> Result<(), String> {
        let (path, bytes, sealed) = (part.path.clone(), part.bytes, part.sealed);
        let said = |fault: Fault| fault.context;
        let had = order.have.iter().find(|have| have.path == path);
        if let Some(have) = had.filter(|have| sealed && bytes == Some(have.bytes))
            && let Some(mut read) = part.look().map_err(said)?
        {
            // The same name and length may be of another life of this server.
            let mut hash = Sha256::new();
            self.each(&mut *read, |giver, chunk| {
                hash.update(chunk);
                giver.sign()
            })?;
            if hex_of(hash) == have.sha256 {
                return self.frame(&Frame::Have(have.clone()));
            }
        }
        let mut read = part
            .open(&mut |moved| self.pace(moved).map_err(io::Error::other))
            .map_err(said)?;
        self.frame(&Frame::Begin(Begin {
            path,
            bytes,
            sealed,
        }))?;
        self.each(&mut *read, |giver, chunk| {
            giver.frame(&Frame::Data(chunk.to_vec()))
        })
    }

    fn each(
        &mut self,
        read: &mut dyn Read,
        mut with: impl FnMut(&mut Self, &[u8]) -> Result<(), String>,
    ) -> Result<(), String> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let many = match read.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(many) => many,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(format!("reading: {error}")),
            };
            with(self, &chunk[..many])?;
            self.pace(many as u64)?;
        }
    }

    fn key(&mut self, name: &str, path: &Path) -> Result<(), String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(format!("{}: {error}", path.display())),
        };
        self.frame(&Frame::Begin(Begin {
            path: format!("{KEYS}{name}"),
            bytes: None,
            sealed: false,
        }))?;
        self.each(&mut file.take(KEY_MOST), |giver, chunk| {
            giver.frame(&Frame::Data(chunk.to_vec()))
        })
    }

    /// Lets time pass for bytes that were moved, and gives up when the server does.
    fn pace(&mut self, moved: u64) -> Result<(), String> {
        self.moved += moved;
        loop {
            if (self.source.stopping)() {
                return Err("the server stops".into());
            }
            let due = Duration::from_secs_f64(self.moved as f64 / self.rate as f64);
            let rest = due.saturating_sub(self.begun.elapsed());
            if rest.is_zero() {
                return Ok(());
            }
            std::thread::sleep(rest.min(NAP));
            self.sign()?;
        }
    }

    /// Tells whoever waits that we work.
    fn sign(&mut self) -> Result<(), String> {
        if self.told.elapsed() < SIGN {
            return Ok(());
        }
        self.frame(&Frame::Wait)
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), String> {
        self.told = Instant::now();
        let sent = self.send.blocking_send(frame.encode());
        sent.map_err(|_| "nobody listens any more".to_owned())
    }
}

//! Whether this server can do its work, and why not.
//!
//! Each check asks the thing itself: an engine answers or does not, a disk takes bytes or does
//! not. What is wrong is told by name to everybody and in full to the owner of the data folder.

use crate::config;
use hub::Hub;
use model::{error::Fault, id::Time, port::Ports};
use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};
use std::{
    fs::{self, OpenOptions},
    future::Future,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Mutex as AsyncMutex, watch},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

/// How long an engine may take to answer before the server calls itself not ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// What was found is told again for so long.
const FRESH: Duration = Duration::from_millis(500);
/// How often the histories' reader and the clock are looked at.
const LOOK: Duration = Duration::from_secs(5);
/// A reader that is behind and did nothing for so long is stuck.
const STUCK: Duration = Duration::from_secs(30);
/// The clock jumped when it went so much further than time did, in milliseconds.
const JUMP: i64 = 60_000;
/// No clock is right that shows a time before this program was written (2026-01-01).
const WRITTEN: Time = Time(1_767_225_600_000);
/// Fewer free inodes than this are none.
const INODES: u64 = 64;
/// The file that is written to see whether the disk takes bytes.
const PROBE: &str = "ready.probe";

/// What a server is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not all is open yet.
    Starting,
    /// It takes work.
    Serving,
    /// It takes no more.
    Stopping,
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Check {
    /// What was looked at.
    pub(crate) name: &'static str,
    /// Whether it can do its work.
    pub(crate) ok: bool,
    /// What was found, in words for an operator.
    pub(crate) detail: String,
}

/// Looks whether the server is ready.
pub(crate) struct Ready {
    hub: Arc<Hub>,
    ports: Ports,
    data: PathBuf,
    bounds: config::Ready,
    phase: watch::Sender<Phase>,
    seen: Mutex<Seen>,
    last: AsyncMutex<Option<(Instant, Arc<[Check]>)>>,
}

/// How far the histories' reader was, and since when.
struct Seen {
    behind: Option<u64>,
    done: u64,
    since: Instant,
}

impl Ready {
    pub(crate) fn new(hub: Arc<Hub>, ports: Ports, data: PathBuf, bounds: config::Ready) -> Self {
        Self {
            hub,
            ports,
            data,
            bounds,
            phase: watch::Sender::new(Phase::Starting),
            seen: Mutex::new(Seen {
                behind: None,
                done: 0,
                since: Instant::now(),
            }),
            last: AsyncMutex::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// What `/readyz` answers: whether we are ready, and the JSON that says so.
    pub(crate) async fn answer(&self, in_full: bool) -> (bool, Value) {
        let checks = self.checks().await;
        let phase = match self.phase() {
            Phase::Starting => "starting",
            Phase::Serving => "serving",
            Phase::Stopping => "stopping",
        };
        let mut wrong: Vec<&str> = Vec::new();
        if self.phase() != Phase::Serving {
            wrong.push(phase);
        }
        let bad = checks.iter().filter(|check| !check.ok);
        wrong.extend(bad.clone().map(|check| check.name));
        let ready = wrong.is_empty();
        let mut told = json!({"ready": ready});
        if !ready {
            told["why"] = json!(wrong.join(", "));
        }
        if in_full {
            if !ready {
                let details = bad.map(|check| format!("{}: {}", check.name, check.detail));
                let first = (self.phase() != Phase::Serving).then(|| format!("it is {phase}"));
                let why: Vec<String> = first.into_iter().chain(details).collect();
                told["why"] = json!(why.join("; "));
            }
            told["phase"] = json!(phase);
            told["checks"] = json!(*checks);
        }
        (ready, told)
    }

    /// All checks, one set for all who ask at once.
    async fn checks(&self) -> Arc<[Check]> {
        let mut last = self.last.lock().await;
        if let Some((at, checks)) = &*last
            && at.elapsed() < FRESH
        {
            return checks.clone();
        }
        let ports = &self.ports;
        let (registry, audit, journal, disk) = tokio::join!(
            asked("registry", async {
                ports.catalog.count("product", "").await.map(drop)
            }),
            asked("audit log", async { ports.audit.last().await.map(drop) }),
            asked("journal", async {
                ports.journal.read(ports.journal.head(), 1).await.map(drop)
            }),
            self.disk(),
        );
        let checks: Arc<[Check]> = [
            registry,
            audit,
            journal,
            self.histories(),
            disk,
            self.clock(),
        ]
        .into();
        if let Some((_, former)) = &*last {
            tell(former, &checks);
        }
        *last = Some((Instant::now(), checks.clone()));
        checks
    }

    /// Whether the disk takes bytes and leaves room.
    async fn disk(&self) -> Check {
        let (data, room) = (self.data.clone(), self.bounds.room);
        let looked = tokio::task::spawn_blocking(move || disk(&data, room));
        let (ok, detail) = match timeout(PATIENCE, looked).await {
            Ok(Ok(Ok(free))) => {
                self.hub.metrics().disk_free(free);
                (true, format!("{} MiB free", free >> 20))
            }
            Ok(Ok(Err(why))) => (false, why),
            Ok(Err(error)) => (false, error.to_string()),
            Err(_) => (false, "does not answer in time".into()),
        };
        Check {
            name: "disk",
            ok,
            detail,
        }
    }

    fn histories(&self) -> Check {
        let seen = self.seen.lock();
        let behind = self.hub.history_behind();
        let stuck = seen.behind != Some(0)
            && behind != Some(0)
            && seen.since.elapsed() > STUCK
            && self.hub.history_done() == seen.done;
        let (ok, detail) = match behind {
            _ if stuck => (
                false,
                format!(
                    "their reader is stuck {} facts behind the journal; look into the log",
                    behind.unwrap_or_default()
                ),
            ),
            Some(behind) if behind > self.bounds.behind => (
                false,
                format!("{behind} facts behind the journal, and ready.behind allows fewer"),
            ),
            Some(behind) => (true, format!("{behind} facts behind the journal")),
            None => (true, "their reader begins".into()),
        };
        Check {
            name: "histories",
            ok,
            detail,
        }
    }

    fn clock(&self) -> Check {
        let now = self.ports.clock.now();
        Check {
            name: "clock",
            ok: now >= WRITTEN,
            detail: crate::admin::time(now),
        }
    }

    /// Looks at what only shows over time, until `stop`.
    pub(crate) async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut tick = interval(LOOK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut former: Option<(Instant, Time)> = None;
        loop {
            tokio::select! {
                biased;
                () = crate::http::stopped(&mut stop) => return,
                _ = tick.tick() => {}
            }
            {
                let mut seen = self.seen.lock();
                let done = self.hub.history_done();
                seen.behind = self.hub.history_behind();
                if done != seen.done || seen.behind == Some(0) {
                    seen.since = Instant::now();
                }
                seen.done = done;
                self.hub
                    .metrics()
                    .history_behind(seen.behind.unwrap_or_default());
            }
            let (at, now) = (Instant::now(), self.ports.clock.now());
            if let Some((was_at, was)) = former {
                let passed = i64::try_from((at - was_at).as_millis()).unwrap_or(i64::MAX);
                let jump = now.since(was).saturating_sub(passed);
                if jump.abs() > JUMP {
                    tracing::warn!(
                        seconds = jump / 1000,
                        "the machine's clock jumped; signatures and certificates are judged by it"
                    );
                    self.hub.metrics().clock_jumped();
                }
            }
            former = Some((at, now));
            let (ready, _) = self.answer(false).await;
            self.hub.metrics().ready(ready);
        }
    }
}

/// Tells the log what changed.
fn tell(former: &[Check], checks: &[Check]) {
    for (was, is) in former.iter().zip(checks) {
        match (was.ok, is.ok) {
            (true, false) => {
                tracing::error!(check = is.name, why = is.detail, "not ready");
            }
            (false, true) => tracing::info!(check = is.name, "ready again"),
            (true, true) | (false, false) => {}
        }
    }
}

async fn asked(name: &'static str, asked: impl Future<Output = Result<(), Fault>>) -> Check {
    let (ok, detail) = match timeout(PATIENCE, asked).await {
        Ok(Ok(())) => (true, "answers".into()),
        Ok(Err(fault)) => (false, fault.context),
        Err(_) => (false, "does not answer in time".into()),
    };
    Check { name, ok, detail }
}

/// The free bytes, or what is wrong. On a small disk a twentieth of it is room enough.
fn disk(data: &Path, room: u64) -> Result<u64, String> {
    let about = rustix::fs::statvfs(data).map_err(|error| format!("its room: {error}"))?;
    let free = about.f_bavail.saturating_mul(about.f_frsize);
    let floor = room.min(about.f_blocks.saturating_mul(about.f_frsize) / 20);
    if free < floor {
        return Err(format!(
            "{} MiB free, and ready.room asks for {}",
            free >> 20,
            floor >> 20
        ));
    }
    if about.f_files > 0 && about.f_favail < INODES {
        return Err("no inodes are free".into());
    }
    let path = data.join(PROBE);
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)?;
        file.write_all(&[0x55; 4096])?;
        file.sync_data()
    };
    let written = write();
    let _ = fs::remove_file(&path);
    written.map_err(|error| format!("it takes no bytes: {error}"))?;
    Ok(free)
}

#[cfg(test)]
mod tests {
    use crate::stage::{Stage, request};
    use serde_json::json;
    use std::{fs, os::unix::fs::PermissionsExt};

    /// Outside, names of what is wrong; inside, all there is to know.
    #[tokio::test(flavor = "multi_thread")]
    async fn the_owner_is_told_more_than_strangers() {
        let stage = Stage::open().await;
        let told = stage.local("GET", "/readyz", json!({})).await;
        assert_eq!(told.status, 200, "{told:?}");
        assert_eq!(told.body["phase"], "serving");
        let names: Vec<&str> = told.body["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|check| check["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            names,
            [
                "registry",
                "audit log",
                "journal",
                "histories",
                "disk",
                "clock"
            ]
        );
        let told = request(stage.clear().await, "GET", "/readyz", "", "").await;
        assert_eq!(told.text, "{\"ready\":true}");
    }

    /// A disk with less room than it should have makes the server not ready, before it is full.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_disk_that_fills_up_is_told_before_it_is_full() {
        let stage = Stage::open_with(|config| config.ready.room = u64::MAX).await;
        let about = rustix::fs::statvfs(stage.data()).unwrap();
        let told = request(stage.clear().await, "GET", "/readyz", "", "").await;
        if about.f_bavail < about.f_blocks / 20 {
            assert_eq!((told.status, told.text.contains("disk")), (503, true));
        } else {
            assert_eq!(told.status, 200, "a twentieth is room enough: {told:?}");
        }
        let data = stage.data();
        let free = super::disk(&data, 0).unwrap();
        assert!(free > 0);
        let why = super::disk(&data.join("nowhere"), 0).unwrap_err();
        assert!(why.contains("its room"), "{why}");
        // Root may write anywhere; a folder in the probe's place may not be written by anybody.
        fs::create_dir(data.join(super::PROBE)).unwrap();
        let why = super::disk(&data, 0).unwrap_err();
        assert!(why.contains("takes no bytes"), "{why}");
        assert_eq!(
            fs::metadata(&data).unwrap().permissions().mode() & 0o777,
            0o700
        );
    }
}

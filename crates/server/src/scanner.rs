//! Runs scans: takes the next task from the hub's line, fetches its file, has a process of its own
//! scan it (`inspect`), writes the documents, and tells who wants to know.

mod fetch;
mod matched;

use crate::inspect::{Image, Order, inspect};
use axum::body::Bytes;
use credential::crypto::digest::FileDigests;
use futures_util::future::BoxFuture;
use hub::{
    Hub,
    scan::{Found, Hit, Outcome, Part, Rules, ScanState, ScanTask},
};
use model::error::Fault;
use scan::{
    dossier::{Dossier, Judgement},
    render::{Format, Language, render},
    report::Step,
    vulns::Severity,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    runtime::Handle,
    sync::{Mutex, Notify, watch},
};

/// How long is waited after trouble of the engine.
const REST: Duration = Duration::from_secs(1);
/// Bytes of a file that are read at once.
const PIECE: usize = 1 << 20;
/// Under which format the dossier is kept.
pub(crate) const DOSSIER: &str = "dossier";
/// Kinds of finding that are secrets.
const SECRETS: [&str; 6] = [
    "HardcodedPassword",
    "WeakPassword",
    "EmptyPassword",
    "PrivateKeyLeak",
    "TokenLeak",
    "AuthorizedKeys",
];

/// What runs scans.
pub(crate) struct Scanner {
    pub(crate) hub: Arc<Hub>,
    /// The folder of feeds.
    pub(crate) vulns: PathBuf,
    /// The folder of YARA rules; it may not be there.
    pub(crate) yara: PathBuf,
    /// MiB of memory that a scan may take.
    pub(crate) memory: u64,
    /// Seconds that a scan may take.
    pub(crate) timeout: u64,
    /// That the feeds may be others than those that scans were matched with.
    pub(crate) stale: Notify,
    /// Held by whoever matches scans anew.
    pub(crate) turn: Mutex<()>,
}

/// Why a task did not come to its end.
enum Ended {
    /// It failed, in this state.
    Failed(ScanState, String),
    /// Our own trouble; it is tried again.
    Fault(Fault),
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// Ends a worker whose task nobody waits for any more.
struct CallOff(Arc<AtomicBool>);

impl Drop for CallOff {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Scanner {
    /// Does one task after the other until `stop`. What is cut short is begun again at the next
    /// start.
    pub(crate) async fn run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        loop {
            let work = async {
                match self.hub.scan_next().await {
                    Ok(Some(task)) => self.one(&task).await,
                    Ok(None) => self.hub.scan_waits().await,
                    Err(fault) => {
                        tracing::warn!(%fault, "scans wait; they are looked at again in a second");
                        tokio::time::sleep(REST).await;
                    }
                }
            };
            tokio::select! {
                biased;
                _ = stop.wait_for(|stopping| *stopping) => return,
                () = work => {}
            }
        }
    }

    async fn one(&self, task: &ScanTask) {
        let ended = match self.work(task).await {
            Ok(()) => return,
            Err(Ended::Failed(state, why)) => {
                tracing::warn!(task = task.id, why, "a scan failed");
                self.hub.scan_fail(&task.id, state, &why).await.map(|_| ())
            }
            Err(Ended::Fault(fault)) => Err(fault),
        };
        if let Err(fault) = ended {
            tracing::warn!(%fault, task = task.id, "a scan is begun again");
            tokio::time::sleep(REST).await;
        }
    }

    async fn work(&self, task: &ScanTask) -> Result<(), Ended> {
        let image = match (&task.image, &task.url) {
            (Some(image), _) => image.clone(),
            (None, Some(url)) => self.fetch(task, url).await?,
            (None, None) => {
                let why = "the task has no file".into();
                return Err(Ended::Failed(ScanState::Failed, why));
            }
        };
        if !self.hub.scan_step(&task.id, ScanState::Parsing).await? {
            return Ok(());
        }
        let head = self.hub.link_read(&image, 0, 512).await?;
        if let Some(kind) = no_firmware(&head) {
            let why = format!("the file is {kind}, which is no firmware");
            return Err(Ended::Failed(ScanState::Failed, why));
        }
        let feeds = self.feeds().await?;
        let mut dossier = self.inspect(task, image).await?;
        if !self.hub.scan_step(&task.id, ScanState::Writing).await? {
            return Ok(());
        }
        dossier.judgements = self.judgements(task).await?;
        let outcome = outcome(&dossier, feeds);
        let documents = self.write(task, dossier).await?;
        let done = self.hub.scan_done(&task.id, &outcome, documents).await;
        done?;
        // There may have come others meanwhile.
        self.stale.notify_one();
        Ok(())
    }

    async fn fetch(&self, task: &ScanTask, url: &str) -> Result<String, Ended> {
        self.hub.scan_step(&task.id, ScanState::Fetching).await?;
        let blob = format!("scan-{}-image", task.id);
        let mut writer = self.hub.blob_create(&blob).await?;
        let (mut digests, mut size) = (FileDigests::default(), 0_u64);
        let most = self.hub.limits().scan_file;
        let failed = |why: String| Ended::Failed(ScanState::FetchFailed, why);
        let mut pieces = fetch::open(&self.hub, url).await.map_err(failed)?;
        while let Some(piece) = pieces.next().await.map_err(failed)? {
            size += piece.len() as u64;
            if size > most {
                return Err(failed(format!("the file has more than {most} bytes")));
            }
            digests.update(&piece);
            writer.write(piece).await?;
        }
        if size == 0 {
            return Err(failed("the file is empty".into()));
        }
        writer.finish().await?;
        let (_, sha256) = digests.finish();
        self.hub
            .scan_fetched(&task.id, &blob, size, &sha256)
            .await?;
        Ok(blob)
    }

    async fn inspect(&self, task: &ScanTask, image: String) -> Result<Dossier, Ended> {
        let stop = Arc::new(AtomicBool::new(false));
        let _call_off = CallOff(stop.clone());
        let (hub, id) = (self.hub.clone(), task.id.clone());
        let order = self.order(task.rules);
        let name = match task.name.as_str() {
            "" => "firmware.bin".to_owned(),
            name => name.replace('/', "_"),
        };
        let here = Handle::current();
        let work = move || {
            let reader = hub.clone();
            let (from, flag) = (here.clone(), stop.clone());
            let mut feed = move |to: &mut dyn Write| pour(&from, &reader, &image, to);
            let mut told = |step: Step| {
                let state = match step {
                    Step::Unpacked => ScanState::Parsed,
                    Step::Identified | Step::Looked => ScanState::Scanning,
                };
                let goes_on = here.block_on(hub.scan_step(&id, state));
                if matches!(goes_on, Ok(false)) {
                    flag.store(true, Ordering::Relaxed);
                }
            };
            inspect(&order, Image::Bytes(&name, &mut feed), &mut told, &stop)
        };
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.map_err(|error| Fault::passing(format!("a scan: {error}")))?;
        done.map_err(|broken| {
            let why = match broken.help.as_str() {
                "" => broken.why,
                help => format!("{} ({help})", broken.why),
            };
            Ended::Failed(ScanState::Failed, why)
        })
    }

    fn order(&self, rules: Rules) -> Order {
        Order {
            level: match rules {
                Rules::Basic => None,
                Rules::Two => Some(2),
                Rules::Three => Some(3),
            },
            timeout: self.timeout,
            memory: self.memory,
            vulns: folder(&self.vulns),
            yara: folder(&self.yara),
        }
    }

    async fn judgements(&self, task: &ScanTask) -> Result<BTreeMap<String, Judgement>, Fault> {
        let judged = self.hub.scan_judged(&task.account).await?;
        Ok(judged
            .into_iter()
            .filter_map(|(mark, word)| Some((mark, serde_json::from_value(word).ok()?)))
            .collect())
    }

    /// Writes the documents; gives their names by format.
    async fn write(
        &self,
        task: &ScanTask,
        dossier: Dossier,
    ) -> Result<BTreeMap<String, String>, Ended> {
        let failed = |why: String| Ended::Failed(ScanState::WriteFailed, why);
        let made = tokio::task::spawn_blocking(move || {
            let kept = serde_json::to_vec(&dossier).map_err(|error| error.to_string())?;
            let mut all = vec![(DOSSIER, kept)];
            for format in [Format::Json, Format::Html, Format::Pdf] {
                all.push((format.name(), render(&dossier, format, Language::Chinese)?));
            }
            Ok::<_, String>(all)
        });
        let made = made.await.map_err(|error| failed(error.to_string()))?;
        let mut documents = BTreeMap::new();
        for (format, bytes) in made.map_err(failed)? {
            let blob = format!("scan-{}-{format}", task.id);
            let mut writer = self.hub.blob_create(&blob).await?;
            let bytes = Bytes::from(bytes);
            for start in (0..bytes.len()).step_by(PIECE) {
                let piece = bytes.slice(start..bytes.len().min(start + PIECE));
                writer.write(piece).await?;
            }
            writer.finish().await?;
            documents.insert(format.to_owned(), blob);
        }
        Ok(documents)
    }
}

fn folder(path: &Path) -> Vec<PathBuf> {
    path.is_dir()
        .then(|| path.to_path_buf())
        .into_iter()
        .collect()
}

/// Gives a worker the bytes of a file.
fn pour(here: &Handle, hub: &Hub, blob: &str, to: &mut dyn Write) -> io::Result<()> {
    let mut at = 0_u64;
    loop {
        let piece = here
            .block_on(hub.link_read(blob, at, PIECE))
            .map_err(|fault| io::Error::other(fault.to_string()))?;
        if piece.is_empty() {
            return to.flush();
        }
        at += piece.len() as u64;
        to.write_all(&piece)?;
    }
}

/// What a dossier comes to, matched with the feeds of that stamp.
fn outcome(dossier: &Dossier, feeds: String) -> Outcome {
    let (found, hits) = told(dossier);
    let parts = dossier.components.iter().map(|component| Part {
        name: component.name.clone(),
        version: component.version.clone().unwrap_or_default(),
    });
    let parts: BTreeSet<Part> = parts.collect();
    Outcome {
        found,
        hits,
        parts: parts.into_iter().collect(),
        feeds,
    }
}

/// What a dossier comes to, in numbers, and its known vulnerabilities.
pub(crate) fn told(dossier: &Dossier) -> (Found, Vec<Hit>) {
    let mut found = Found {
        components: dossier.components.len() as u64,
        broken: dossier
            .report
            .detection_rule_result
            .iter()
            .filter(|verdict| verdict.status == "0")
            .map(|verdict| verdict.category_code.to_string())
            .collect(),
        ..Found::default()
    };
    let mut hits: Vec<Hit> = Vec::new();
    for (group, info) in dossier.findings() {
        let judged = dossier.judgement(group, info);
        let settled = judged.is_some_and(|judgement| judgement.status.settles());
        let rank = Severity::ALL.iter().position(|s| *s == info.severity);
        let rank = rank.unwrap_or_default();
        let exploited = info
            .cve
            .as_ref()
            .is_some_and(|cve| dossier.exploited.contains(&cve.cve_id));
        if !settled {
            if let Some(count) = found.counts.get_mut(rank) {
                *count += 1;
            }
            found.exploited += u64::from(exploited);
            found.secrets += u64::from(SECRETS.contains(&&*group.code));
        }
        if let Some(cve) = &info.cve {
            let component = dossier.component_of(info).map(|(_, component)| component);
            hits.push(Hit {
                cve: cve.cve_id.clone(),
                severity: rank as u8,
                exploited,
                component: component.map_or_else(String::new, |c| c.name.clone()),
                version: component
                    .and_then(|c| c.version.clone())
                    .unwrap_or_default(),
                settled,
            });
        }
    }
    (found, hits)
}

/// What a file is that surely is no firmware (seed 000 §1.2.10, 601).
pub(crate) fn no_firmware(head: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 9] = [
        (b"%PDF-", "a PDF document"),
        (b"\x89PNG\r\n\x1a\n", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"GIF8", "a picture"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
        (b"OggS", "sound or video"),
        (b"ID3", "sound"),
        (b"<?xml", "an XML document"),
        (b"{\\rtf", "a text document"),
    ];
    let kind = KINDS.iter().find(|(magic, _)| head.starts_with(magic));
    if let Some((_, kind)) = kind {
        return Some(kind);
    }
    if head.get(4..8) == Some(b"ftyp") {
        return Some("a video");
    }
    let text = String::from_utf8_lossy(head).trim_start().to_lowercase();
    let page = text.starts_with("<!doctype html") || text.starts_with("<html");
    page.then_some("a web page")
}

/// Pieces of a file as they come.
pub(crate) trait Pieces: Send {
    /// The next one; none at the end.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<Bytes>, String>>;
}

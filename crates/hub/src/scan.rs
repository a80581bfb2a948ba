//! Scans of firmware ([FS-1] to [FS-4]): tasks that wait in line, how far each is, what it found,
//! and what the fleet has to do with that (`fleet`). How a scan runs is not known here: whoever
//! runs them takes the next task, tells its steps, and hands in what was found.
//!
//! A task is a document that changes in one place (`scan_change`), and its place in the line goes
//! with the change that ends it, so a task that a crash cut short is simply the next one again.

mod exposure;
mod fleet;
#[cfg(test)]
mod tests;

pub use exposure::{Exposed, Hit, News, Outcome, Part};
pub use fleet::{Exception, Policy, Verdict};

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
    mail::{mail_put, mail_remove},
};
use model::{
    error::{Fault, OtaError},
    id::{AccountId, Time},
    port::{Expect, Put},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const TASK: &str = "scan-task";
/// Tasks that are not over, by number: the line.
const LINE: &str = "scan-line";
/// What a task holds for itself while it is not failed: `account/own/…`, `account/url/…`,
/// `account/file/…`.
const HELD: &str = "scan-held";
/// Used licences of an account.
const LICENCE: &str = "scan-licence";
/// What people judged of findings: `account/mark`.
const JUDGED: &str = "scan-judged";
/// How often a task is begun before it is given up: it may be what ends the server.
const TRIES_OF_TASK: u32 = 3;
/// Longest name and version (seed 000 §1.2.2), in bytes.
const NAME: usize = 50;
/// Longest id of the caller's own.
const OWN: usize = 64;
/// Longest mail address.
const EMAIL: usize = 128;
/// Longest address of a file.
const URL: usize = 4_096;

/// By which rules is judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rules {
    /// None beside the findings themselves.
    #[default]
    Basic,
    /// Graded protection 2.0, level 2.
    Two,
    /// Graded protection 2.0, level 3.
    Three,
}

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScanState {
    /// In line.
    Queued,
    /// Its file is being fetched.
    Fetching,
    /// It could not be; the end.
    FetchFailed,
    /// It is being unpacked.
    Parsing,
    /// It is unpacked.
    Parsed,
    /// It is being looked at.
    Scanning,
    /// Documents are being written.
    Writing,
    /// They could not be; the end.
    WriteFailed,
    /// The scan failed; the end.
    Failed,
    /// Done.
    Done,
}

impl ScanState {
    /// Whether nothing more will happen.
    pub fn is_over(self) -> bool {
        match self {
            Self::FetchFailed | Self::WriteFailed | Self::Failed | Self::Done => true,
            Self::Queued
            | Self::Fetching
            | Self::Parsing
            | Self::Parsed
            | Self::Scanning
            | Self::Writing => false,
        }
    }

    /// How far that is, in tenths of a percent.
    fn progress(self) -> u32 {
        match self {
            Self::Queued => 0,
            Self::Fetching | Self::FetchFailed => 20,
            Self::Parsing | Self::Failed => 100,
            Self::Parsed => 400,
            Self::Scanning => 450,
            Self::Writing | Self::WriteFailed => 950,
            Self::Done => 1_000,
        }
    }
}

/// A scan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanTask {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Its place in the line.
    pub number: u64,
    /// Whose it is.
    pub account: AccountId,
    /// For people.
    pub name: String,
    /// For people.
    pub version: String,
    /// The caller's own id for it; empty for none.
    pub own_id: String,
    /// Where the file is fetched from.
    pub url: Option<String>,
    /// The file, once it is here.
    pub image: Option<String>,
    /// The firmware package whose file this is.
    pub firmware: Option<String>,
    /// Who is written to when it is over.
    pub email: Option<String>,
    /// By which rules.
    pub rules: Rules,
    /// Where it stands.
    pub state: ScanState,
    /// How far it is, in tenths of a percent.
    pub progress: u32,
    /// Why it failed; empty for nothing.
    pub why: String,
    /// When it was made.
    pub created: Time,
    /// When it was over.
    pub ended: Option<Time>,
    /// Digest of the file, once it is here.
    pub sha256: String,
    /// Bytes of the file.
    pub size: u64,
    /// How often it was begun.
    pub tries: u32,
    /// What was found.
    pub found: Option<Found>,
    /// What stands for the feeds with which that was matched last.
    #[serde(default)]
    pub feeds: String,
    /// Files of the report, by format.
    pub documents: BTreeMap<String, String>,
}

/// What was found, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Findings by severity, the worst first: critical, high, medium, low, notice. What somebody
    /// judged to be harmless is not counted.
    pub counts: [u64; 5],
    /// Known vulnerabilities among them that are being exploited.
    pub exploited: u64,
    /// Secrets and keys in the image.
    pub secrets: u64,
    /// Codes of rules that are broken.
    pub broken: Vec<String>,
    /// Components.
    pub components: u64,
}

/// A scan that is to be made: of a file that is fetched, or of one that was handed in.
#[derive(Clone, Debug, Default)]
pub struct NewScan {
    /// For people.
    pub name: String,
    /// For people.
    pub version: String,
    /// The caller's own id for it.
    pub own_id: String,
    /// Where the file is.
    pub url: Option<String>,
    /// Or under which name it was handed in.
    pub upload: Option<String>,
    /// Who is written to when it is over.
    pub email: Option<String>,
    /// By which rules.
    pub rules: Rules,
}

/// How many scans an account may make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Licence {
    /// Made.
    pub used: u64,
    /// Allowed in all.
    pub most: u64,
    /// In line or running.
    pub running: u64,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Used {
    used: u64,
}

/// Why a verb on scans was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ScanError {
    /// There is no such thing in the caller's account.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The same file was scanned, or is being scanned: by this task.
    #[error("there is a scan of it already: {0}")]
    Taken(String),
    /// A parameter breaks its rule.
    #[error("{0}")]
    BadRequest(String),
    /// The mail address is none.
    #[error("that is not a mail address")]
    BadEmail,
    /// The address of the file is none from which may be fetched.
    #[error("{0}")]
    BadLink(String),
    /// As many scans were made as allowed.
    #[error("as many scans were made as allowed")]
    UsedUp,
    /// The file is larger than allowed.
    #[error("a file has at most {0} bytes")]
    TooLarge(u64),
    /// The scan is not over.
    #[error("the scan is not over")]
    NotDone,
    /// The scan failed, so there is no report.
    #[error("the scan failed: {0}")]
    Failed(String),
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

impl Hub {
    /// Puts a scan in line.
    ///
    /// # Errors
    /// `BadRequest`, `BadEmail`, `BadLink`, `NotFound` for a file that was not handed in, `Taken`,
    /// `TooLarge`, `UsedUp`.
    pub async fn scan_create(&self, permit: &Permit, new: NewScan) -> Result<ScanTask, ScanError> {
        check(&new)?;
        let account = permit.account();
        if let Some(url) = &new.url {
            self.scan_link_check(url)?;
        }
        let mut task = self.scan_new(account, &new).await?;
        let mut puts = Vec::new();
        if let Some(upload) = &new.upload {
            let taken = self.upload_take(account, upload).await;
            let (file, taken) = taken.map_err(|error| match error {
                OtaError::Fault(fault) => ScanError::Fault(fault),
                _ => ScanError::NotFound("uploaded file"),
            })?;
            if file.size > self.limits.scan_file {
                return Err(ScanError::TooLarge(self.limits.scan_file));
            }
            task.sha256 = file.sha256;
            task.size = file.size;
            task.image = Some(file.blob);
            if task.name.is_empty() {
                task.name = file.name;
            }
            puts.push(taken);
        }
        let held = held(&task);
        for _ in 0..TRIES {
            for key in &held {
                if let Some(found) = self.document::<String>(HELD, key).await? {
                    return Err(ScanError::Taken(found.value));
                }
            }
            let licence = self.document::<Used>(LICENCE, account.as_str()).await?;
            let expect = licence.as_ref().map_or(Expect::Absent, |l| l.expect());
            let used = licence.map_or(0, |licence| licence.value.used);
            if used >= self.limits.scans {
                return Err(ScanError::UsedUp);
            }
            let mut puts = puts.clone();
            let used = Used { used: used + 1 };
            puts.push(put(LICENCE, account.to_string(), &used, expect)?);
            for key in &held {
                puts.push(put(HELD, key.clone(), &task.id, Expect::Absent)?);
            }
            puts.extend(begun(&task)?);
            if self.document_put(puts).await? {
                self.scan_news.notify_one();
                return Ok(task);
            }
        }
        Err(busy(TASK).into())
    }

    /// A scan of the caller's account.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn scan_find(&self, permit: &Permit, id: &str) -> Result<ScanTask, ScanError> {
        let task = self.scan_task(id).await?;
        task.filter(|task| task.account == *permit.account())
            .ok_or(ScanError::NotFound("scan"))
    }

    /// Scans of the caller's account, newest first.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_list(&self, permit: &Permit) -> Result<Vec<ScanTask>, ScanError> {
        let mut all: Vec<ScanTask> = self.documents(TASK, "").await?;
        all.retain(|task| task.account == *permit.account());
        all.sort_by_key(|task| std::cmp::Reverse(task.number));
        Ok(all)
    }

    /// Forgets a scan with its report; one that runs ends.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn scan_delete(&self, permit: &Permit, id: &str) -> Result<(), ScanError> {
        let task = self.scan_find(permit, id).await?;
        self.scan_forget(&task).await?;
        Ok(())
    }

    /// How many scans the caller's account may make.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_licence(&self, permit: &Permit) -> Result<Licence, ScanError> {
        let account = permit.account();
        let used = self.document::<Used>(LICENCE, account.as_str()).await?;
        let running = self.scan_list(permit).await?;
        Ok(Licence {
            used: used.map_or(0, |used| used.value.used),
            most: self.limits.scans,
            running: running.iter().filter(|t| !t.state.is_over()).count() as u64,
        })
    }

    /// The address of a document of a scan that is done, good for a while (`hub::link`).
    ///
    /// # Errors
    /// `NotDone`, `Failed`, `NotFound` for a format that there is not.
    pub fn scan_link(&self, task: &ScanTask, format: &str) -> Result<String, ScanError> {
        Ok(self.link(document(task, format)?))
    }

    /// A document of a scan that is done, whole.
    ///
    /// # Errors
    /// As `scan_link`.
    pub async fn scan_document(&self, task: &ScanTask, format: &str) -> Result<String, ScanError> {
        let blob = document(task, format)?;
        let bytes = self.blob_whole(blob).await?;
        String::from_utf8(bytes).map_err(|_| Fault::lasting(format!("{blob} is no text")).into())
    }

    /// Writes down what somebody found out about a finding, for this scan and later ones. `word` is
    /// kept as it is; who runs scans knows what it means.
    ///
    /// # Errors
    /// `BadRequest`.
    pub async fn scan_judge(
        &self,
        permit: &Permit,
        mark: &str,
        word: &serde_json::Value,
    ) -> Result<(), ScanError> {
        if mark.len() != 32 || !mark.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(ScanError::BadRequest(
                "a finding's mark has 32 digits".into(),
            ));
        }
        let key = format!("{}/{mark}", permit.account());
        let puts = vec![put(JUDGED, key, word, Expect::Anything)?];
        self.document_put(puts).await?;
        Ok(())
    }

    /// All that was judged in an account, by mark.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_judged(
        &self,
        account: &AccountId,
    ) -> Result<BTreeMap<String, serde_json::Value>, Fault> {
        let prefix = format!("{account}/");
        let mut all = BTreeMap::new();
        let mut after: Option<String> = None;
        loop {
            let catalog = &self.ports.catalog;
            let page = catalog.list(JUDGED, &prefix, after.as_deref(), 500).await?;
            for entry in &page {
                let mark = entry.key.trim_start_matches(&prefix).to_owned();
                if let Ok(value) = serde_json::from_slice(&entry.value) {
                    all.insert(mark, value);
                }
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => return Ok(all),
            }
        }
    }

    /// Waits for a task to be put in line.
    pub async fn scan_waits(&self) {
        self.scan_news.notified().await;
    }

    /// The next task in line, begun; none when there is none. One that was begun too often is given
    /// up instead.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_next(&self) -> Result<Option<ScanTask>, Fault> {
        loop {
            let first = self.ports.catalog.list(LINE, "", None, 1).await?;
            let Some(entry) = first.into_iter().next() else {
                return Ok(None);
            };
            let id: String = serde_json::from_slice(&entry.value)
                .map_err(|error| Fault::lasting(format!("the line of scans: {error}")))?;
            let begun = self
                .scan_change(&id, |task| {
                    task.tries += 1;
                    task.state = ScanState::Queued;
                    task.progress = 0;
                })
                .await?;
            match begun {
                Some(task) if task.state.is_over() || task.tries > TRIES_OF_TASK => {
                    let why = "it was begun several times and never came to its end";
                    self.scan_fail(&id, ScanState::Failed, why).await?;
                }
                Some(task) => return Ok(Some(task)),
                None => {
                    let gone = vec![remove(LINE, entry.key, Expect::Anything)];
                    self.document_put(gone).await?;
                }
            }
        }
    }

    /// Says where a task stands now; false when it is not there any more or over, so that nobody
    /// waits for it.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_step(&self, id: &str, state: ScanState) -> Result<bool, Fault> {
        let task = self
            .scan_change(id, |task| {
                if !task.state.is_over() {
                    task.state = state;
                    task.progress = state.progress();
                }
            })
            .await?;
        Ok(task.is_some_and(|task| task.state == state))
    }

    /// Says that the file of a task is here. `sha256` in hexadecimal.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_fetched(
        &self,
        id: &str,
        blob: &str,
        size: u64,
        sha256: &str,
    ) -> Result<(), Fault> {
        self.scan_change(id, |task| {
            task.image = Some(blob.to_owned());
            task.size = size;
            sha256.clone_into(&mut task.sha256);
        })
        .await?;
        Ok(())
    }

    /// Ends a task with what was found.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_done(
        &self,
        id: &str,
        outcome: &Outcome,
        documents: BTreeMap<String, String>,
    ) -> Result<Option<ScanTask>, Fault> {
        let task = self.scan_task(id).await?;
        if let Some(task) = &task {
            self.found_put(task, outcome, Vec::new()).await?;
        }
        let now = self.now();
        let ended = self
            .scan_change(id, |task| {
                task.state = ScanState::Done;
                task.progress = ScanState::Done.progress();
                task.found = Some(outcome.found.clone());
                task.feeds.clone_from(&outcome.feeds);
                task.documents.clone_from(&documents);
                task.ended = Some(now);
                task.why = String::new();
            })
            .await?;
        self.scan_over(ended.as_ref()).await?;
        if ended.is_none() {
            // It was deleted meanwhile.
            if let Some(task) = &task {
                self.found_remove(task).await?;
            }
            for blob in documents.values() {
                self.ports.blobs.remove(blob).await?;
            }
        }
        Ok(ended)
    }

    /// Ends a task that failed: what it held is free, and it does not count.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_fail(
        &self,
        id: &str,
        state: ScanState,
        why: &str,
    ) -> Result<Option<ScanTask>, Fault> {
        let now = self.now();
        let ended = self
            .scan_change(id, |task| {
                if !task.state.is_over() {
                    task.state = state;
                    why.clone_into(&mut task.why);
                    task.ended = Some(now);
                }
            })
            .await?;
        if let Some(task) = &ended {
            let free = held(task)
                .into_iter()
                .map(|key| remove(HELD, key, Expect::Anything));
            self.document_put(free.collect()).await?;
            if task.firmware.is_none() {
                self.document_change::<Used>(LICENCE, task.account.as_str(), |licence| {
                    licence.used = licence.used.saturating_sub(1);
                })
                .await?;
            }
        }
        self.scan_over(ended.as_ref()).await?;
        Ok(ended)
    }

    /// The line goes on, and the file is not needed any more.
    async fn scan_over(&self, task: Option<&ScanTask>) -> Result<(), Fault> {
        let Some(task) = task else { return Ok(()) };
        let mut puts = vec![remove(LINE, place(task.number), Expect::Anything)];
        puts.extend(mail_put(task, self.now())?);
        self.document_put(puts).await?;
        self.mail_news.notify_one();
        // A package keeps its file.
        if let (Some(image), None) = (&task.image, &task.firmware) {
            self.ports.blobs.remove(image).await?;
        }
        Ok(())
    }

    async fn scan_forget(&self, task: &ScanTask) -> Result<(), Fault> {
        let mut puts = vec![
            remove(TASK, task.id.clone(), Expect::Anything),
            remove(LINE, place(task.number), Expect::Anything),
            mail_remove(&task.id),
        ];
        if !matches!(
            task.state,
            ScanState::Failed | ScanState::FetchFailed | ScanState::WriteFailed
        ) {
            let held = held(task).into_iter();
            puts.extend(held.map(|key| remove(HELD, key, Expect::Anything)));
        }
        self.document_put(puts).await?;
        self.found_remove(task).await?;
        for blob in task.documents.values() {
            self.ports.blobs.remove(blob).await?;
        }
        if let (Some(image), None) = (&task.image, &task.firmware) {
            self.ports.blobs.remove(image).await?;
        }
        Ok(())
    }

    /// A task of whatever account.
    pub(crate) async fn scan_task(&self, id: &str) -> Result<Option<ScanTask>, Fault> {
        let found = self.document::<ScanTask>(TASK, id).await?;
        Ok(found.map(|found| found.value))
    }

    /// The one place where a task changes.
    async fn scan_change(
        &self,
        id: &str,
        change: impl Fn(&mut ScanTask) + Send + Sync,
    ) -> Result<Option<ScanTask>, Fault> {
        self.document_change::<ScanTask>(TASK, id, change).await
    }

    async fn scan_new(&self, account: &AccountId, new: &NewScan) -> Result<ScanTask, Fault> {
        Ok(ScanTask {
            id: self.ota_word(),
            number: self.ports.catalog.next("scan").await?,
            account: account.clone(),
            name: new.name.clone(),
            version: new.version.clone(),
            own_id: new.own_id.clone(),
            url: new.url.clone(),
            image: None,
            firmware: None,
            email: new.email.clone(),
            rules: new.rules,
            state: ScanState::Queued,
            progress: 0,
            why: String::new(),
            created: self.now(),
            ended: None,
            sha256: String::new(),
            size: 0,
            tries: 0,
            found: None,
            feeds: String::new(),
            documents: BTreeMap::new(),
        })
    }

    /// Whether a file may be fetched from there: `limits.scan_hosts`, and this server itself.
    ///
    /// # Errors
    /// `BadLink`.
    pub fn scan_link_check(&self, url: &str) -> Result<(), ScanError> {
        let bad = |text: &str| Err(ScanError::BadLink(text.into()));
        if url.len() > URL || url.chars().any(|c| c.is_control() || c == ' ') {
            return bad("that is not the address of a file");
        }
        let Some((scheme, rest)) = url.split_once("://") else {
            return bad("the address has no scheme; write https://host/file");
        };
        if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            return bad("files are fetched over http and https only");
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return bad("an address with a user name in it is not taken");
        }
        let host = host_of(authority);
        if host.is_empty() {
            return bad("the address has no host");
        }
        let listed = self.limits.scan_hosts.iter().any(|one| matches(one, host));
        let own = self.links_from().split_once("://");
        let own = own.is_some_and(|(_, own)| own.eq_ignore_ascii_case(authority));
        if listed || own {
            return Ok(());
        }
        bad("files are not fetched from this host; limits.scan_hosts lists those that are")
    }

    /// Whether an operator named exactly this host, so that it may be in a private network.
    pub fn scan_host_named(&self, authority: &str) -> bool {
        let host = host_of(authority);
        let own = self.links_from().split_once("://");
        self.limits
            .scan_hosts
            .iter()
            .any(|one| one.eq_ignore_ascii_case(host))
            || own.is_some_and(|(_, own)| own.eq_ignore_ascii_case(authority))
    }

    async fn blob_whole(&self, blob: &str) -> Result<Vec<u8>, Fault> {
        const STEP: usize = 1 << 20;
        let mut all = Vec::new();
        loop {
            let part = self.ports.blobs.read(blob, all.len() as u64, STEP).await?;
            all.extend_from_slice(&part);
            if part.len() < STEP {
                return Ok(all);
            }
        }
    }
}

/// The host of `host:port` or `[address]:port`.
fn host_of(authority: &str) -> &str {
    match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    }
}

/// Whether a host is the one that is listed, or below `*.` it.
fn matches(listed: &str, host: &str) -> bool {
    match listed.strip_prefix("*.") {
        Some(above) => {
            let (host, above) = (host.to_ascii_lowercase(), above.to_ascii_lowercase());
            host.strip_suffix(&above)
                .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        }
        None => listed.eq_ignore_ascii_case(host),
    }
}

fn document<'a>(task: &'a ScanTask, format: &str) -> Result<&'a str, ScanError> {
    match task.state {
        ScanState::Done => {}
        state if state.is_over() => return Err(ScanError::Failed(task.why.clone())),
        _ => return Err(ScanError::NotDone),
    }
    let blob = task.documents.get(format);
    blob.map(String::as_str)
        .ok_or(ScanError::NotFound("document of this format"))
}

/// Keys in the line sort as they were given.
fn place(number: u64) -> String {
    format!("{number:016}")
}

fn begun(task: &ScanTask) -> Result<[Put; 2], Fault> {
    Ok([
        put(TASK, task.id.clone(), task, Expect::Absent)?,
        put(LINE, place(task.number), &task.id, Expect::Absent)?,
    ])
}

/// What nobody else may have while this task has it.
fn held(task: &ScanTask) -> Vec<String> {
    if task.firmware.is_some() {
        return Vec::new();
    }
    let (account, mut keys) = (&task.account, Vec::new());
    let rules = match task.rules {
        Rules::Basic => "basic",
        Rules::Two => "two",
        Rules::Three => "three",
    };
    let digest = |text: &str| credential::crypto::digest::Hash::Sha256.hex(text.as_bytes());
    if !task.own_id.is_empty() {
        keys.push(format!("{account}/own/{}", digest(&task.own_id)));
    }
    match &task.url {
        Some(url) => keys.push(format!("{account}/url/{rules}/{}", digest(url))),
        None => keys.push(format!("{account}/file/{rules}/{}", task.sha256)),
    }
    keys
}

fn check(new: &NewScan) -> Result<(), ScanError> {
    let long = |text: &str, most: usize, what: &str| {
        if text.len() > most || text.chars().any(char::is_control) {
            return Err(ScanError::BadRequest(format!(
                "{what} has at most {most} bytes"
            )));
        }
        Ok(())
    };
    long(&new.name, NAME, "the firmware's name")?;
    long(&new.version, NAME, "the firmware's version")?;
    long(&new.own_id, OWN, "the firmware's id")?;
    if let Some(email) = &new.email {
        long(email, EMAIL, "a mail address")?;
        if !is_email(email) {
            return Err(ScanError::BadEmail);
        }
    }
    match (&new.url, &new.upload) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        _ => Err(ScanError::BadRequest("a scan needs one file".into())),
    }
}

/// A plain address (RFC 5321, 4.1.2, without quotes and comments).
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else {
        return false;
    };
    let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~.-".contains(&b);
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    (1..=64).contains(&local.len())
        && local.bytes().all(atom)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
        && domain.contains('.')
        && domain.split('.').all(label)
}

//! From a vulnerability, or a component, to what runs it: an index that changes together with what
//! scans found, so that nobody walks over all of them; and news of vulnerabilities that became known
//! after a scan, which devices that run its firmware are told of as facts.

#[cfg(test)]
mod tests;

use super::{Found, ScanError, ScanTask};
use crate::{
    Hub,
    account::Permit,
    document::{put, remove},
    ota::Package,
};
use model::{
    error::Fault,
    fact::What,
    id::{AccountId, Time},
    port::{Expect, Put},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Vulnerabilities that a scan found, by task: what the index was made of.
const HITS: &str = "scan-hits";
/// The same by vulnerability: `account/CVE/task`.
const HIT_OF: &str = "scan-hit-of";
/// Components that a scan found, by task.
const PARTS: &str = "scan-parts";
/// The same by name: `account/name/task`.
const PART_OF: &str = "scan-part-of";
/// What became known later: `account/number`.
const NEWS: &str = "scan-news";
/// Keys of news of which devices have not been told yet, by number.
const UNTOLD: &str = "scan-untold";
/// News that an account keeps.
const KEPT: u64 = 1_000;
/// Vulnerabilities that one piece of news and one fact name, the worst first.
const NAMED: usize = 100;
/// Longest name of a vulnerability or component that is found by it.
const NAME: usize = 200;
/// Documents that change at once.
const STEP: usize = 2_000;

/// A known vulnerability that a scan found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hit {
    /// Its id.
    pub cve: String,
    /// How bad: 0 critical to 4 notice.
    pub severity: u8,
    /// Whether it is being exploited.
    pub exploited: bool,
    /// In what.
    pub component: String,
    /// In which version of it.
    pub version: String,
    /// Whether somebody judged it to be harmless here.
    pub settled: bool,
}

/// A component that a scan found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its version; empty where it is not known.
    pub version: String,
}

/// What a scan comes to, or matching it anew.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In numbers.
    pub found: Found,
    /// Known vulnerabilities.
    pub hits: Vec<Hit>,
    /// Components.
    pub parts: Vec<Part>,
    /// What stands for the feeds with which it was matched.
    pub feeds: String,
}

/// A package that has a vulnerability, or a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposed<T> {
    /// The package.
    pub package: Package,
    /// The scan that found it.
    pub task: String,
    /// What was found.
    pub found: T,
}

/// Vulnerabilities of a package that became known after it was scanned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// Its number; later ones have greater ones.
    pub number: u64,
    /// When.
    pub at: Time,
    /// The package.
    pub firmware: String,
    /// The scan.
    pub task: String,
    /// The worst of them.
    pub hits: Vec<Hit>,
    /// How many there are in all.
    pub count: u64,
    /// How many devices run it and were told; none while they are being told.
    pub devices: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry<T> {
    task: String,
    #[serde(flatten)]
    what: T,
}

impl Hub {
    /// Packages of the caller's account that have a vulnerability.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_exposed(
        &self,
        permit: &Permit,
        cve: &str,
    ) -> Result<Vec<Exposed<Hit>>, ScanError> {
        let prefix = hit_key(permit.account(), cve, "");
        let entries: Vec<Entry<Hit>> = self.documents(HIT_OF, &prefix).await?;
        Ok(self.packages_of(entries).await?)
    }

    /// Packages of the caller's account that hold a component, of that version where one is named.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_holding(
        &self,
        permit: &Permit,
        name: &str,
        version: Option<&str>,
    ) -> Result<Vec<Exposed<Part>>, ScanError> {
        let prefix = part_key(permit.account(), name, "", "");
        let mut entries: Vec<Entry<Part>> = self.documents(PART_OF, &prefix).await?;
        entries.retain(|entry| {
            entry.what.name == name && version.is_none_or(|version| version == entry.what.version)
        });
        Ok(self.packages_of(entries).await?)
    }

    async fn packages_of<T>(&self, entries: Vec<Entry<T>>) -> Result<Vec<Exposed<T>>, Fault> {
        let mut all = Vec::new();
        for entry in entries {
            let Some(task) = self.scan_task(&entry.task).await? else {
                continue;
            };
            let Some(firmware) = &task.firmware else {
                continue;
            };
            if let Some(package) = self.package(firmware).await? {
                all.push((task.number, package, entry));
            }
        }
        all.sort_by_key(|(number, ..)| std::cmp::Reverse(*number));
        let all = all.into_iter().map(|(_, package, entry)| Exposed {
            package,
            task: entry.task,
            found: entry.what,
        });
        Ok(all.collect())
    }

    /// Replaces what a scan found, after it was matched with other feeds; gives the ids of
    /// vulnerabilities that were not among its own before. Those of a package become news.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_matched(&self, id: &str, outcome: &Outcome) -> Result<Vec<String>, Fault> {
        let Some(task) = self.scan_task(id).await? else {
            return Ok(Vec::new());
        };
        let before = self.hits_of(id).await?;
        let known: BTreeSet<&str> = before.iter().map(|hit| hit.cve.as_str()).collect();
        let mut new: Vec<Hit> = outcome
            .hits
            .iter()
            .filter(|hit| !known.contains(hit.cve.as_str()))
            .cloned()
            .collect();
        new.sort_by_key(|hit| (!hit.exploited, hit.severity));
        let ids = new.iter().map(|hit| hit.cve.clone()).collect();
        new.retain(|hit| !hit.settled);
        let news = self.news_of(&task, new).await?;
        self.found_put(&task, outcome, news).await?;
        let changed = self
            .scan_change(id, |task| {
                task.found = Some(outcome.found.clone());
                task.feeds.clone_from(&outcome.feeds);
            })
            .await?;
        if changed.is_none() {
            // It was deleted meanwhile.
            self.found_remove(&task).await?;
        }
        Ok(ids)
    }

    async fn news_of(&self, task: &ScanTask, new: Vec<Hit>) -> Result<Vec<Put>, Fault> {
        let (Some(firmware), false) = (&task.firmware, new.is_empty()) else {
            return Ok(Vec::new());
        };
        let number = self.ports.catalog.next(NEWS).await?;
        let news = News {
            number,
            at: self.now(),
            firmware: firmware.clone(),
            task: task.id.clone(),
            count: new.len() as u64,
            hits: new.into_iter().take(NAMED).collect(),
            devices: None,
        };
        let key = news_key(&task.account, number);
        Ok(vec![
            put(UNTOLD, format!("{number:016}"), &key, Expect::Anything)?,
            put(NEWS, key, &news, Expect::Anything)?,
        ])
    }

    /// Tells the devices of every piece of news that is not told yet: each gets a fact. Who dies in
    /// between tells them again.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn news_tell(&self) -> Result<(), Fault> {
        loop {
            let untold = self.ports.catalog.list(UNTOLD, "", None, 1).await?;
            let Some(entry) = untold.into_iter().next() else {
                return Ok(());
            };
            let key: String = serde_json::from_slice(&entry.value)
                .map_err(|error| Fault::lasting(format!("{UNTOLD} {}: {error}", entry.key)))?;
            if let Some(news) = self.document::<News>(NEWS, &key).await? {
                let told = self.news_tell_one(&news.value).await?;
                self.document_change::<News>(NEWS, &key, |news| news.devices = Some(told))
                    .await?;
            }
            let done = vec![remove(UNTOLD, entry.key, Expect::Anything)];
            self.document_put(done).await?;
        }
    }

    async fn news_tell_one(&self, news: &News) -> Result<u64, Fault> {
        let Some(package) = self.package(&news.firmware).await? else {
            return Ok(0);
        };
        let what = What::Exposed {
            firmware: package.id.clone(),
            module: package.module.clone(),
            version: package.version.clone(),
            vulnerabilities: news.hits.iter().map(|hit| hit.cve.clone()).collect(),
            count: news.count,
        };
        let (mut told, mut after) = (0, None);
        loop {
            let (devices, next) = self.version_page(&package, after.as_deref()).await?;
            for (device, iot_id) in devices {
                self.fact_note(&device, &iot_id, what.clone()).await?;
                told += 1;
            }
            match next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        // What was noted is on disk when the last of it is.
        self.ports.journal.settled().await?;
        Ok(told)
    }

    /// What became known of the packages of the caller's account after they were scanned, newest
    /// first, with the packages that are still there.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_news(
        &self,
        permit: &Permit,
    ) -> Result<Vec<(News, Option<Package>)>, ScanError> {
        let prefix = format!("{}/", permit.account());
        let all: Vec<News> = self.documents(NEWS, &prefix).await?;
        let mut told = Vec::with_capacity(all.len());
        for news in all.into_iter().rev() {
            let package = self.package(&news.firmware).await?;
            told.push((news, package));
        }
        Ok(told)
    }

    /// Tasks of whatever account that are done and were matched with other feeds than these.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_stale(&self, feeds: &str) -> Result<Vec<ScanTask>, Fault> {
        let mut all: Vec<ScanTask> = self.documents(super::TASK, "").await?;
        all.retain(|task| task.state == super::ScanState::Done && task.feeds != feeds);
        all.sort_by_key(|task| std::cmp::Reverse(task.number));
        Ok(all)
    }

    async fn hits_of(&self, task: &str) -> Result<Vec<Hit>, Fault> {
        let found = self.document::<Vec<Hit>>(HITS, task).await?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    async fn parts_of(&self, task: &str) -> Result<Vec<Part>, Fault> {
        let found = self.document::<Vec<Part>>(PARTS, task).await?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    /// Keeps what a scan found with its index, and what comes with it. Entries of the index are
    /// there before the list that tells of them, and go after it: whoever dies in between leaves
    /// some too many, which the next change takes away.
    pub(super) async fn found_put(
        &self,
        task: &ScanTask,
        outcome: &Outcome,
        along: Vec<Put>,
    ) -> Result<(), Fault> {
        let (old_hits, old_parts) = (
            self.hits_of(&task.id).await?,
            self.parts_of(&task.id).await?,
        );
        let old = index(task, &old_hits, &old_parts)?;
        let new = index(task, &outcome.hits, &outcome.parts)?;
        let same = |key, one: &Put| old.get(key).is_some_and(|put| put.value == one.value);
        let fresh = new.iter().filter(|(key, one)| !same(*key, one));
        let fresh: Vec<Put> = fresh.map(|(_, put)| put.clone()).collect();
        for some in fresh.chunks(STEP) {
            self.document_put(some.to_vec()).await?;
        }
        let mut puts = along;
        puts.push(put(HITS, task.id.clone(), &outcome.hits, Expect::Anything)?);
        puts.push(put(
            PARTS,
            task.id.clone(),
            &outcome.parts,
            Expect::Anything,
        )?);
        self.document_put(puts).await?;
        let gone = old.into_keys().filter(|key| !new.contains_key(key));
        self.index_remove(gone.collect()).await?;
        self.news_trim(&task.account).await
    }

    pub(super) async fn found_remove(&self, task: &ScanTask) -> Result<(), Fault> {
        let (hits, parts) = (
            self.hits_of(&task.id).await?,
            self.parts_of(&task.id).await?,
        );
        self.index_remove(index(task, &hits, &parts)?.into_keys().collect())
            .await?;
        let puts = [HITS, PARTS].map(|kind| remove(kind, task.id.clone(), Expect::Anything));
        self.document_put(puts.to_vec()).await.map(|_| ())
    }

    async fn index_remove(&self, keys: Vec<(&'static str, String)>) -> Result<(), Fault> {
        for some in keys.chunks(STEP) {
            let gone = some
                .iter()
                .map(|(kind, key)| remove(kind, key.clone(), Expect::Anything));
            self.document_put(gone.collect()).await?;
        }
        Ok(())
    }

    async fn news_trim(&self, account: &AccountId) -> Result<(), Fault> {
        let (prefix, catalog) = (format!("{account}/"), &self.ports.catalog);
        let over = catalog.count(NEWS, &prefix).await?.saturating_sub(KEPT);
        if over > 0 {
            let most = usize::try_from(over).unwrap_or(STEP).min(STEP);
            let old = catalog.list(NEWS, &prefix, None, most).await?.into_iter();
            let old = old.map(|entry| remove(NEWS, entry.key, Expect::Anything));
            self.document_put(old.collect()).await?;
        }
        Ok(())
    }
}

fn hit_key(account: &AccountId, cve: &str, task: &str) -> String {
    let cve: String = cve.chars().take(NAME).collect();
    format!("{account}/{}/{task}", cve.to_ascii_uppercase())
}

/// A component may be there in several versions.
fn part_key(account: &AccountId, name: &str, task: &str, version: &str) -> String {
    let name: String = name.chars().take(NAME).collect();
    match task {
        "" => format!("{account}/{name}/"),
        task => format!("{account}/{name}/{task}/{}", digest(version)),
    }
}

fn digest(text: &str) -> String {
    let mut digest = credential::crypto::digest::Hash::Sha256.hex(text.as_bytes());
    digest.truncate(16);
    digest
}

fn news_key(account: &AccountId, number: u64) -> String {
    format!("{account}/{number:016}")
}

/// The entries by which a scan is found, by kind and key.
fn index(
    task: &ScanTask,
    hits: &[Hit],
    parts: &[Part],
) -> Result<BTreeMap<(&'static str, String), Put>, Fault> {
    let mut all = BTreeMap::new();
    let id = &task.id;
    for hit in hits {
        let key = hit_key(&task.account, &hit.cve, id);
        let entry = Entry {
            task: id.clone(),
            what: hit.clone(),
        };
        // Of several components that have it, the first one stands for all.
        if let std::collections::btree_map::Entry::Vacant(room) = all.entry((HIT_OF, key.clone())) {
            room.insert(put(HIT_OF, key, &entry, Expect::Anything)?);
        }
    }
    for part in parts {
        let key = part_key(&task.account, &part.name, id, &part.version);
        let entry = Entry {
            task: id.clone(),
            what: part.clone(),
        };
        all.insert(
            (PART_OF, key.clone()),
            put(PART_OF, key, &entry, Expect::Anything)?,
        );
    }
    Ok(all)
}

//! What scans have to do with the fleet: packages are scanned as they are made, a policy may hold
//! their campaigns, and from a vulnerability one comes to the devices that run it.

use super::{Rules, ScanError, ScanState, ScanTask, begun};
use crate::{
    Hub,
    account::Permit,
    document::{put, remove},
    ota::Package,
};
use model::{
    error::{Fault, OtaError},
    id::{AccountId, Time},
    port::Expect,
};
use serde::{Deserialize, Serialize};

/// Scans of a package's files: `package/task`.
const OF: &str = "scan-of";
/// What holds a campaign, by account.
const POLICY: &str = "scan-policy";
/// Exceptions, by package.
const EXCEPTION: &str = "scan-exception";
/// Longest reason, in bytes.
const REASON: usize = 1_024;

/// What a package must keep before campaigns may bring it to devices; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// No finding that is this bad or worse: 0 critical to 4 notice.
    pub severity: Option<u8>,
    /// No vulnerability that is being exploited.
    pub exploited: bool,
    /// No secret and no key.
    pub secrets: bool,
    /// No broken rule of this level of graded protection.
    pub rules: Rules,
}

impl Policy {
    /// Whether it demands anything.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Somebody's word that a package may go out although the policy holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exception {
    /// Why.
    pub reason: String,
    /// Who said so.
    pub by: String,
    /// When.
    pub at: Time,
    /// Until when it counts.
    pub until: Time,
}

/// Whether a package may go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may.
    Passes,
    /// It may, because of this.
    Excepted(Exception),
    /// It may not, because of these.
    Held(Vec<String>),
}

impl Hub {
    /// Puts every file of a package that was made in line, when `limits.scan_firmware` is on. What
    /// cannot be scanned now is tried when somebody asks for it.
    pub(crate) async fn package_scan(&self, package: &Package) -> Result<(), Fault> {
        if !self.limits.scan_firmware {
            return Ok(());
        }
        let policy = self.policy(&package.account).await?;
        for file in &package.files {
            if file.size > self.limits.scan_file {
                continue;
            }
            let new = super::NewScan {
                name: file.name.chars().take(50).collect(),
                version: package.version.clone(),
                rules: policy.rules,
                ..super::NewScan::default()
            };
            let mut task = self.scan_new(&package.account, &new).await?;
            task.firmware = Some(package.id.clone());
            task.image = Some(file.blob.clone());
            task.size = file.size;
            task.sha256.clone_from(&file.sha256);
            let mut puts = Vec::from(begun(&task)?);
            let tie = format!("{}/{}", package.id, task.id);
            puts.push(put(OF, tie, &task.id, Expect::Anything)?);
            self.document_put(puts).await?;
        }
        self.scan_news.notify_one();
        Ok(())
    }

    /// Scans the files of a package anew, as the feeds and the policy are now.
    ///
    /// # Errors
    /// `NotFound` for the package.
    pub async fn package_rescan(&self, permit: &Permit, id: &str) -> Result<(), OtaError> {
        let package = self.firmware_find(permit, id).await?;
        self.package_unscan(id).await?;
        Ok(self.package_scan(&package).await?)
    }

    /// Forgets the scans of a package that goes.
    pub(crate) async fn package_unscan(&self, id: &str) -> Result<(), Fault> {
        for task in self.package_tasks(id).await? {
            self.scan_forget(&task).await?;
            let tie = format!("{id}/{}", task.id);
            let puts = vec![remove(OF, tie, Expect::Anything)];
            self.document_put(puts).await?;
        }
        let puts = vec![remove(EXCEPTION, id.to_owned(), Expect::Anything)];
        self.document_put(puts).await?;
        Ok(())
    }

    /// Scans of a package's files.
    ///
    /// # Errors
    /// `NotFound` for the package.
    pub async fn package_scans(
        &self,
        permit: &Permit,
        id: &str,
    ) -> Result<Vec<ScanTask>, OtaError> {
        self.firmware_find(permit, id).await?;
        Ok(self.package_tasks(id).await?)
    }

    async fn package_tasks(&self, id: &str) -> Result<Vec<ScanTask>, Fault> {
        let ids: Vec<String> = self.documents(OF, &format!("{id}/")).await?;
        let mut tasks = Vec::with_capacity(ids.len());
        for id in ids {
            tasks.extend(self.scan_task(&id).await?);
        }
        tasks.sort_by_key(|task| task.number);
        Ok(tasks)
    }

    /// What a package must keep.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn scan_policy(&self, permit: &Permit) -> Result<Policy, ScanError> {
        Ok(self.policy(permit.account()).await?)
    }

    async fn policy(&self, account: &AccountId) -> Result<Policy, Fault> {
        let found = self.document::<Policy>(POLICY, account.as_str()).await?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    /// Sets what a package must keep.
    ///
    /// # Errors
    /// `BadRequest`.
    pub async fn scan_policy_set(&self, permit: &Permit, policy: &Policy) -> Result<(), ScanError> {
        if policy.severity.is_some_and(|severity| severity > 4) {
            return Err(ScanError::BadRequest("there are five severities".into()));
        }
        let key = permit.account().to_string();
        self.document_put(vec![put(POLICY, key, policy, Expect::Anything)?])
            .await?;
        Ok(())
    }

    /// Lets a package go out although the policy holds it, until a time.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for an empty reason or a time that is over.
    pub async fn scan_except(
        &self,
        permit: &Permit,
        package: &str,
        reason: &str,
        until: Time,
    ) -> Result<Exception, OtaError> {
        self.firmware_find(permit, package).await?;
        let bad = |text: &str| Err(OtaError::BadRequest(text.into()));
        if reason.trim().is_empty() || reason.len() > REASON {
            return bad("an exception needs a reason of at most 1024 bytes");
        }
        let now = self.now();
        if until <= now {
            return bad("the exception would be over already");
        }
        let exception = Exception {
            reason: reason.to_owned(),
            by: who(permit),
            at: now,
            until,
        };
        let puts = vec![put(
            EXCEPTION,
            package.to_owned(),
            &exception,
            Expect::Anything,
        )?];
        self.document_put(puts).await?;
        Ok(exception)
    }

    /// Takes an exception back.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn scan_unexcept(&self, permit: &Permit, package: &str) -> Result<(), OtaError> {
        self.firmware_find(permit, package).await?;
        let puts = vec![remove(EXCEPTION, package.to_owned(), Expect::Anything)];
        self.document_put(puts).await?;
        Ok(())
    }

    /// Whether a package may go out.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn package_verdict(&self, package: &Package) -> Result<Verdict, Fault> {
        let policy = self.policy(&package.account).await?;
        if policy.is_empty() {
            return Ok(Verdict::Passes);
        }
        let tasks = self.package_tasks(&package.id).await?;
        let mut why = Vec::new();
        for file in &package.files {
            let task = tasks.iter().rev().find(|task| task.sha256 == file.sha256);
            let Some(task) = task else {
                why.push(format!("{} was not scanned", file.name));
                continue;
            };
            match (task.state, &task.found) {
                (ScanState::Done, Some(found)) => why.extend(held(&policy, task, found)),
                (state, _) if state.is_over() => {
                    why.push(format!("the scan of {} failed: {}", file.name, task.why));
                }
                _ => why.push(format!("the scan of {} is not over", file.name)),
            }
        }
        if why.is_empty() {
            return Ok(Verdict::Passes);
        }
        let excepted = self.document::<Exception>(EXCEPTION, &package.id).await?;
        Ok(match excepted.map(|found| found.value) {
            Some(exception) if exception.until > self.now() => Verdict::Excepted(exception),
            _ => Verdict::Held(why),
        })
    }
}

fn who(permit: &Permit) -> String {
    let caller = permit.caller();
    match &caller.user {
        Some(user) => format!("{}/{user}", caller.account),
        None => caller.account.to_string(),
    }
}

/// What of a policy a scan breaks.
fn held(policy: &Policy, task: &ScanTask, found: &super::Found) -> Vec<String> {
    let mut why = Vec::new();
    let mut no = |text: String| why.push(format!("{}: {text}", task.name));
    if let Some(most) = policy.severity {
        let bad: u64 = found.counts.iter().take(usize::from(most) + 1).sum();
        if bad > 0 {
            let word = ["critical", "high", "medium", "low", "notice"];
            let word = word.get(usize::from(most)).unwrap_or(&"notice");
            no(format!("{bad} findings that are {word} or worse"));
        }
    }
    if policy.exploited && found.exploited > 0 {
        no(format!(
            "{} vulnerabilities that are being exploited",
            found.exploited
        ));
    }
    if policy.secrets && found.secrets > 0 {
        no(format!("{} secrets and keys", found.secrets));
    }
    match (policy.rules, task.rules) {
        (Rules::Basic, _) => {}
        (wanted, scanned) if wanted != scanned => {
            no("it was scanned by other rules; scan it again".into());
        }
        _ if !found.broken.is_empty() => no(format!("broken rules: {}", found.broken.join(", "))),
        _ => {}
    }
    why
}

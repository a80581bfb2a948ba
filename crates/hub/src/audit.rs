//! The audit log: a chain of lines, each bound to the former one by a keyed hash.

mod chain;
mod ledger;

pub use ledger::Ledger;

use crate::{Hub, account::Permit};
use chain::Link;
use credential::crypto::secret::same;
use ledger::Standing;
use model::{
    account::{AuditEntry, AuditRecord, Caller},
    error::Fault,
    id::{ProductKey, Time},
};

/// Lines that are read at once.
const PAGE: usize = 1_000;
/// The log's own lines bear this name, which no account can have.
const SERVER: &str = "(server)";
const BROKEN: &str = "audit.broken";

/// What `audit_verify` found.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AuditCheck {
    /// How many lines were read.
    pub lines: u64,
    /// The last line's number and hash: note it elsewhere to prove later that nothing was cut.
    pub head: Option<(u64, String)>,
    /// The first line that does not fit, with what is wrong with it.
    pub broken: Option<(u64, String)>,
}

impl Hub {
    /// Appends a line and returns once it is on disk.
    ///
    /// # Errors
    /// When it could not be kept; what it tells of must not be done then.
    pub async fn audit_note(&self, entry: AuditEntry) -> Result<(), Fault> {
        self.ledger.append(entry).await
    }

    /// Appends a line for a failed login or signature, within `Limits::audit_failures`.
    pub async fn audit_failure(&self, entry: AuditEntry) {
        let passage = {
            let mut throttle = self.ledger.shared().throttle.lock();
            throttle.ask(self.now(), self.limits.audit_failures)
        };
        if let Some((count, since)) = passage.held {
            self.note_held(count, since).await;
        }
        if passage.pass {
            // The caller is refused in any case; that the line is missing is in the log.
            let _ = self.ledger.append(entry).await;
        }
    }

    /// Lines after `after`, of the caller's account unless it is an operator.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn audit_page(
        &self,
        permit: &Permit,
        after: u64,
        most: usize,
    ) -> Result<Vec<AuditRecord>, Fault> {
        let audit = &self.ports.audit;
        if permit.caller().operator {
            return audit.page(after, most).await;
        }
        let mut lines = Vec::new();
        let mut after = after;
        loop {
            let page = audit.page(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(lines);
            };
            after = last.seq;
            for record in page {
                if self.concerns(permit, &record.entry).await? {
                    lines.push(record);
                    if lines.len() >= most {
                        return Ok(lines);
                    }
                }
            }
        }
    }

    /// Reads the whole log and checks every link, and that `expect` (a head noted before) is in it.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn audit_verify(&self, expect: Option<(u64, String)>) -> Result<AuditCheck, Fault> {
        let ledger = self.ledger.shared();
        let standing = ledger.standing().await?;
        let mut check = AuditCheck {
            lines: 0,
            head: None,
            broken: None,
        };
        let mut link = Link::root();
        let mut met = expect.is_none();
        'log: loop {
            let page = ledger.audit.page(link.seq, PAGE).await?;
            if page.is_empty() {
                break;
            }
            for record in page {
                check.lines += 1;
                let flaw = link
                    .flaw(&ledger.key, &record)?
                    .or_else(|| confession(&record));
                if let Some(flaw) = flaw {
                    check.broken = Some((record.seq, flaw));
                    break 'log;
                }
                link = Link::of(&record);
                if let Some((seq, hash)) = &expect
                    && *seq == link.seq
                {
                    met = same(hash.as_bytes(), link.hash.as_bytes());
                }
            }
        }
        if link.seq > 0 {
            check.head = Some((link.seq, link.hash));
        }
        if check.broken.is_none() {
            check.broken = match (standing, expect) {
                (Standing::Broken(seq, flaw), _) => Some((seq, flaw)),
                (Standing::Empty | Standing::Whole, Some((seq, _))) if !met => Some((
                    seq,
                    "the head that was expected is not in the log".to_owned(),
                )),
                (Standing::Empty | Standing::Whole, _) => None,
            };
        }
        Ok(check)
    }

    /// A line about `caller`, to be filled in.
    pub fn audit_entry(&self, caller: &Caller, action: &str, resource: &str) -> AuditEntry {
        let who = match &caller.user {
            Some(user) => format!("{}/{user}", caller.account),
            None => caller.account.to_string(),
        };
        let detail = match &caller.key {
            Some(key) => format!("key {key}"),
            None => "owner of the data folder".to_owned(),
        };
        AuditEntry {
            at: self.now(),
            who,
            address: caller.address.clone(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            outcome: "ok".to_owned(),
            detail,
        }
    }

    /// Looks, at start, whether the log is the one that was left. A cut is written into the log
    /// itself, since the lines to come would hide it.
    pub(crate) async fn audit_open(&self) -> Result<(), Fault> {
        let ledger = self.ledger.shared();
        match ledger.standing().await? {
            Standing::Empty => ledger.note_head(&Link::root()).await,
            Standing::Whole => Ok(()),
            Standing::Broken(seq, flaw) => {
                tracing::error!(line = seq, flaw, "the audit log was tampered with");
                let mut entry = self.server_entry(BROKEN);
                entry.resource = seq.to_string();
                entry.outcome = "broken".to_owned();
                entry.detail = flaw;
                self.audit_note(entry).await
            }
        }
    }

    /// Writes down what was held back, when a second without failures followed.
    pub(crate) async fn audit_settle(&self) {
        let held = self.ledger.shared().throttle.lock().settle(self.now());
        if let Some((count, since)) = held {
            self.note_held(count, since).await;
        }
    }

    /// A line of the server itself.
    pub(crate) fn server_entry(&self, action: &str) -> AuditEntry {
        AuditEntry {
            at: self.now(),
            who: SERVER.to_owned(),
            address: String::new(),
            action: action.to_owned(),
            resource: String::new(),
            outcome: "ok".to_owned(),
            detail: String::new(),
        }
    }

    async fn note_held(&self, count: u64, since: Time) {
        let mut entry = self.server_entry("audit.held");
        entry.outcome = "summed".to_owned();
        entry.detail = format!(
            "{count} more failures from {} on were not written one by one",
            since.0
        );
        // As with the failures themselves.
        let _ = self.ledger.append(entry).await;
    }

    /// Whether a line is about the caller's account: of its people, or of its devices.
    async fn concerns(&self, permit: &Permit, entry: &AuditEntry) -> Result<bool, Fault> {
        let account = permit.account().as_str();
        let who = entry.who.as_str();
        if let Some(rest) = who.strip_prefix(account) {
            return Ok(rest.is_empty() || rest.starts_with('/'));
        }
        let device = who.strip_prefix("device ").or_else(|| {
            (who == "?" && entry.action.starts_with("device.")).then_some(&entry.resource)
        });
        let product = device.and_then(|device| device.split('/').next());
        let Some(Ok(product)) = product.map(ProductKey::parse) else {
            return Ok(false);
        };
        let product = self.shelf_product(&product).await?;
        Ok(product.is_some_and(|product| product.account == *permit.account()))
    }
}

/// What a line of the log itself says is wrong with the lines before it.
fn confession(record: &AuditRecord) -> Option<String> {
    let entry = &record.entry;
    (entry.who == SERVER && entry.action == BROKEN)
        .then(|| format!("found when the server started: {}", entry.detail))
}

#[cfg(test)]
mod tests;

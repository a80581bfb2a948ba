//! The audit log: a chain of lines, each bound to the former one by a keyed hash.

use crate::Hub;
use model::{
    account::{AuditEntry, AuditRecord, Caller},
    error::Fault,
};

/// Chains lines and hands them to the engine, many at once.
pub struct Ledger {}

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
    pub async fn audit_note(&self, _entry: AuditEntry) -> Result<(), Fault> {
        todo!()
    }

    /// Appends a line for a failed login or signature, within `Limits::audit_failures`.
    pub async fn audit_failure(&self, _entry: AuditEntry) {
        todo!()
    }

    /// Lines after `after`, of the caller's account unless it is an operator.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn audit_page(
        &self,
        _caller: &crate::account::Permit,
        _after: u64,
        _most: usize,
    ) -> Result<Vec<AuditRecord>, Fault> {
        todo!()
    }

    /// Reads the whole log and checks every link, and that `expect` (a head noted before) is in it.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn audit_verify(&self, _expect: Option<(u64, String)>) -> Result<AuditCheck, Fault> {
        todo!()
    }

    /// A line about `caller`, to be filled in.
    pub fn audit_entry(&self, _caller: &Caller, _action: &str, _resource: &str) -> AuditEntry {
        todo!()
    }
}

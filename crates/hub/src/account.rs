//! Callers of an API: who they are, and what they may do ([FS-8]).

mod judge;
mod key;
mod known;
mod owner;
mod policy;
mod row;
mod user;

pub(crate) use known::Callers;

use crate::{Hub, edge::Peer};
use credential::{Evidence, Want, crypto::digest::Hash};
use judge::Verdict;
use model::{
    account::{AccessKey, AuditEntry, Caller, Resource},
    error::{CallerError, Fault},
    id::{AccessKeyId, AccountId, Position, Time},
    port::{Burnt, SecretId},
};

/// Characters of a caller's words that go into an audit line.
const WORDS: usize = 128;

/// A caller that was allowed to do what it asks. Only `caller_allow` makes one, so that no verb
/// can be reached past the policies.
#[derive(Clone, Debug)]
pub struct Permit {
    caller: Caller,
    action: String,
}

impl Permit {
    /// Who.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The account whose things may be touched.
    pub fn account(&self) -> &AccountId {
        &self.caller.account
    }

    /// What was allowed, such as `iot:DeleteDevice`.
    pub fn action(&self) -> &str {
        &self.action
    }
}

/// What a caller shows.
pub struct CallerClaim {
    /// The key that it names.
    pub key: AccessKeyId,
    /// The proof, for the key's secret.
    pub evidence: Box<dyn Evidence>,
    /// The time that it signed; none where the scheme has none.
    pub at: Option<Time>,
    /// The nonce that it signed; none where the scheme has none.
    pub nonce: Option<String>,
    /// From where.
    pub peer: Peer,
    /// What it wants, for the audit log.
    pub action: String,
}

/// A caller that is proven, while the nonce of its call may not be on disk yet.
pub struct Admitted {
    caller: Caller,
    action: String,
    mark: Position,
}

impl Admitted {
    /// Who.
    pub fn caller(&self) -> &Caller {
        &self.caller
    }
}

/// A secret that is shown once.
pub struct NewAccessKey {
    /// The row.
    pub key: AccessKey,
    /// The secret half.
    pub secret: String,
}

impl Hub {
    /// Proves a caller: key known and active, time within the window, signature right, nonce new
    /// (in this order, so that only a right signature burns a nonce). A failure is audited; to
    /// count the call is its door's business.
    ///
    /// # Errors
    /// `CallerError`, never `NotAllowed`.
    pub async fn caller_admit(&self, claim: CallerClaim) -> Result<Caller, CallerError> {
        let admitted = self.caller_admit_ahead(claim).await?;
        self.caller_settled(&admitted).await?;
        Ok(admitted.caller)
    }

    /// As `caller_admit`, without a wait for the disk: nothing may be changed and nothing answered
    /// before `caller_settled` has returned, else the same call could be sent again after a crash.
    ///
    /// # Errors
    /// As `caller_admit`.
    pub async fn caller_admit_ahead(&self, claim: CallerClaim) -> Result<Admitted, CallerError> {
        let result = self.caller_prove(&claim).await;
        if let Err(error) = &result {
            if let CallerError::Fault(fault) = error {
                tracing::error!(%fault, key = %claim.key, "a caller could not be proven");
            }
            self.audit_failure(AuditEntry {
                at: self.now(),
                who: "?".to_owned(),
                address: claim.peer.address.to_string(),
                action: claim.action.chars().take(WORDS).collect(),
                resource: format!("access-key/{}", claim.key),
                outcome: outcome(error).to_owned(),
                detail: claim.evidence.scheme().to_owned(),
            })
            .await;
        }
        let (caller, mark) = result?;
        Ok(Admitted {
            caller,
            action: claim.action,
            mark,
        })
    }

    /// Returns when the nonce of the call is on disk.
    ///
    /// # Errors
    /// Engine trouble; the caller is to be refused then.
    pub async fn caller_settled(&self, admitted: &Admitted) -> Result<(), CallerError> {
        let settled = self.ports.nonces.settled(admitted.mark, self.now()).await;
        let Err(fault) = settled else {
            return Ok(());
        };
        let caller = &admitted.caller;
        tracing::error!(%fault, who = %caller.account, "the nonce of a call could not be kept");
        let mut entry = self.audit_entry(caller, &admitted.action, "*");
        let error = CallerError::Fault(fault);
        outcome(&error).clone_into(&mut entry.outcome);
        self.audit_failure(entry).await;
        Err(error)
    }

    /// The owner of the data folder, who came through its socket; acts for the first account.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn caller_local(&self, peer: &str) -> Result<Caller, CallerError> {
        let account = self.account_first().await?;
        Ok(Caller {
            account: account.id,
            operator: account.operator,
            user: None,
            key: None,
            address: peer.to_owned(),
        })
    }

    /// Decides whether the caller may do `action` (`iot:DeleteDevice`, `ram:CreateUser`, …) with
    /// `resource`. This is the one place where policies are read. A refusal is audited; what is
    /// allowed and `changing` is audited too, before it is done: when the line cannot be kept,
    /// there is no permit.
    ///
    /// # Errors
    /// `NotAllowed` and engine trouble.
    pub async fn caller_allow(
        &self,
        caller: &Caller,
        action: &str,
        resource: &Resource,
        changing: bool,
    ) -> Result<Permit, CallerError> {
        let verdict = self.caller_verdict(caller, action, resource).await?;
        let entry = || self.audit_entry(caller, action, &judge::path(resource));
        match verdict {
            Verdict::Allowed => {}
            Verdict::Denied | Verdict::Silent => {
                let mut entry = entry();
                entry.outcome = "NotAllowed".to_owned();
                self.audit_failure(entry).await;
                return Err(CallerError::NotAllowed(format!(
                    "{action} on {}",
                    judge::path(resource)
                )));
            }
        }
        if changing {
            self.audit_note(entry()).await?;
        }
        Ok(Permit {
            caller: caller.clone(),
            action: action.to_owned(),
        })
    }

    /// Whether the policies let the caller do `action` with `resource`, when nothing is done yet:
    /// for answers that show more to those who may see more. Not audited.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn caller_may(
        &self,
        caller: &Caller,
        action: &str,
        resource: &Resource,
    ) -> Result<bool, Fault> {
        let verdict = self.caller_verdict(caller, action, resource).await?;
        Ok(verdict == Verdict::Allowed)
    }

    async fn caller_verdict(
        &self,
        caller: &Caller,
        action: &str,
        resource: &Resource,
    ) -> Result<Verdict, Fault> {
        let Some(user) = &caller.user else {
            // The account itself may do all that can be done with what it owns.
            return Ok(Verdict::Allowed);
        };
        let ask = |policies: &[_]| judge::judge(policies, action, &caller.account, resource);
        if let Some(key) = &caller.key
            && let Some(known) = self.caller_known(key).await?
        {
            return Ok(ask(&known.policies));
        }
        Ok(ask(&self.policies_of(&caller.account, user).await?))
    }

    async fn caller_prove(&self, claim: &CallerClaim) -> Result<(Caller, Position), CallerError> {
        let Some(known) = self.caller_known(&claim.key).await? else {
            let _ = claim.evidence.check(&self.vault.decoy()?);
            return Err(CallerError::UnknownKey);
        };
        let (Some(account), true) = (&known.account, known.active) else {
            return Err(CallerError::InactiveKey);
        };
        let now = self.now();
        let window = self.limits.time_window;
        if claim
            .at
            .is_some_and(|at| now.since(at).saturating_abs() > window)
        {
            return Err(CallerError::Expired);
        }
        let secret = match &known.sealed {
            Some(sealed) => {
                let id = SecretId::AccessKey(claim.key.clone());
                self.vault.open(&id, sealed)?
            }
            None => return Err(Fault::lasting("an access key has no secret").into()),
        };
        let right = claim.evidence.wants().contains(&Want::AccessKeySecret)
            && claim.evidence.check(&secret);
        self.metrics.proof(claim.evidence.scheme(), right);
        if !right {
            return Err(CallerError::BadSignature);
        }
        let mut mark = Position(0);
        if let Some(nonce) = &claim.nonce {
            // As long as the signed time is within the window, the request could come again.
            let until = claim.at.unwrap_or(now.plus(window)).plus(window + 1);
            // A digest, since callers choose the length of their nonces.
            let token = Hash::Sha256.hex(nonce.as_bytes());
            let nonces = &self.ports.nonces;
            let owner = claim.key.as_str();
            match nonces.burn_ahead(&token, owner, now, until).await? {
                (Burnt::New, at) => mark = at,
                (Burnt::Seen, _) => return Err(CallerError::Replayed),
            }
        }
        let caller = Caller {
            account: account.id.clone(),
            operator: account.operator,
            user: known.user.clone(),
            key: Some(claim.key.clone()),
            address: claim.peer.address.to_string(),
        };
        Ok((caller, mark))
    }
}

/// The name of an error, for audit lines.
fn outcome(error: &CallerError) -> &'static str {
    match error {
        CallerError::UnknownKey => "UnknownKey",
        CallerError::InactiveKey => "InactiveKey",
        CallerError::BadSignature => "BadSignature",
        CallerError::Expired => "Expired",
        CallerError::Replayed => "Replayed",
        CallerError::NotAllowed(_) => "NotAllowed",
        CallerError::Fault(_) => "Fault",
    }
}

#[cfg(test)]
mod tests;

//! Callers of an API: who they are, and what they may do ([FS-8]).

use crate::{Hub, edge::Peer};
use credential::Evidence;
use model::{
    account::{AccessKey, Account, Caller, Policy, PolicyDocument, Resource, User},
    error::{AccountError, CallerError},
    id::{AccessKeyId, AccountId, PolicyName, Time, UserName},
};

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

/// A secret that is shown once.
pub struct NewAccessKey {
    /// The row.
    pub key: AccessKey,
    /// The secret half.
    pub secret: String,
}

impl Hub {
    /// Proves a caller: key known and active, time within the window, signature right, nonce new
    /// (in this order, so that only a right signature burns a nonce). A failure is counted and
    /// audited.
    ///
    /// # Errors
    /// `CallerError`, never `NotAllowed`.
    pub async fn caller_admit(&self, _claim: CallerClaim) -> Result<Caller, CallerError> {
        todo!()
    }

    /// The owner of the data folder, who came through its socket; acts for the first account.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn caller_local(&self, _peer: &str) -> Result<Caller, CallerError> {
        todo!()
    }

    /// Decides whether the caller may do `action` (`iot:DeleteDevice`, `ram:CreateUser`, …) with
    /// `resource`. This is the one place where policies are read. A refusal is audited; what is
    /// allowed and `changing` is audited too.
    ///
    /// # Errors
    /// `NotAllowed` and engine trouble.
    pub async fn caller_allow(
        &self,
        _caller: &Caller,
        _action: &str,
        _resource: &Resource,
        _changing: bool,
    ) -> Result<Permit, CallerError> {
        todo!()
    }

    /// Makes the first account and its key when there is none; `None` when there is one already.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn account_found(&self) -> Result<Option<NewAccessKey>, AccountError> {
        todo!()
    }

    /// Makes an account with a key (operators only).
    ///
    /// # Errors
    /// `Taken`, `BadRequest`.
    pub async fn account_create(
        &self,
        _permit: &Permit,
        _name: &str,
    ) -> Result<(Account, NewAccessKey), AccountError> {
        todo!()
    }

    /// All accounts for an operator, the caller's own for others.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn account_list(&self, _permit: &Permit) -> Result<Vec<Account>, AccountError> {
        todo!()
    }

    /// Refuses or accepts an account's keys again (operators only; not their own).
    ///
    /// # Errors
    /// `NotFound`, `Needed`.
    pub async fn account_disable(
        &self,
        _permit: &Permit,
        _id: &AccountId,
        _disabled: bool,
    ) -> Result<Account, AccountError> {
        todo!()
    }

    /// Makes a sub-user.
    ///
    /// # Errors
    /// `Taken`, `TooMany`.
    pub async fn user_create(
        &self,
        _permit: &Permit,
        _name: &UserName,
        _display: &str,
    ) -> Result<User, AccountError> {
        todo!()
    }

    /// The sub-users.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn user_list(&self, _permit: &Permit) -> Result<Vec<User>, AccountError> {
        todo!()
    }

    /// Refuses or accepts a sub-user's keys again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_disable(
        &self,
        _permit: &Permit,
        _name: &UserName,
        _disabled: bool,
    ) -> Result<User, AccountError> {
        todo!()
    }

    /// Removes a sub-user and its keys.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_delete(
        &self,
        _permit: &Permit,
        _name: &UserName,
    ) -> Result<(), AccountError> {
        todo!()
    }

    /// Lets a policy hold for a sub-user (`attach`), or no longer.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_policy(
        &self,
        _permit: &Permit,
        _name: &UserName,
        _policy: &PolicyName,
        _attach: bool,
    ) -> Result<User, AccountError> {
        todo!()
    }

    /// Makes an access key for a sub-user, or for the account itself.
    ///
    /// # Errors
    /// `NotFound`, `TooMany`.
    pub async fn access_key_create(
        &self,
        _permit: &Permit,
        _user: Option<&UserName>,
    ) -> Result<NewAccessKey, AccountError> {
        todo!()
    }

    /// The account's keys, those of its sub-users too.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn access_key_list(&self, _permit: &Permit) -> Result<Vec<AccessKey>, AccountError> {
        todo!()
    }

    /// Refuses or accepts a key again.
    ///
    /// # Errors
    /// `NotFound`, `Needed` for the last key of the account itself.
    pub async fn access_key_disable(
        &self,
        _permit: &Permit,
        _id: &AccessKeyId,
        _disabled: bool,
    ) -> Result<AccessKey, AccountError> {
        todo!()
    }

    /// Removes a key.
    ///
    /// # Errors
    /// `NotFound`, `Needed` for the last key of the account itself.
    pub async fn access_key_delete(
        &self,
        _permit: &Permit,
        _id: &AccessKeyId,
    ) -> Result<(), AccountError> {
        todo!()
    }

    /// Writes a policy of the account, in place of one of the same name.
    ///
    /// # Errors
    /// `BadRequest` with the place of the mistake, `Needed` for a name that comes with the product.
    pub async fn policy_put(
        &self,
        _permit: &Permit,
        _name: &PolicyName,
        _description: &str,
        _document: PolicyDocument,
    ) -> Result<Policy, AccountError> {
        todo!()
    }

    /// The account's policies and those that come with the product.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn policy_list(&self, _permit: &Permit) -> Result<Vec<Policy>, AccountError> {
        todo!()
    }

    /// Removes a policy of the account.
    ///
    /// # Errors
    /// `NotFound`, `Needed` while it holds for a sub-user.
    pub async fn policy_delete(
        &self,
        _permit: &Permit,
        _name: &PolicyName,
    ) -> Result<(), AccountError> {
        todo!()
    }
}

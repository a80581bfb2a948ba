//! Callers that were looked up lately.

use super::row;
use crate::Hub;
use bytes::Bytes;
use model::{
    account::{AccessKey, Account, Policy, PolicyDocument, User},
    error::Fault,
    id::{AccessKeyId, AccountId, Time, UserName},
    port::SecretId,
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// How long a look-up holds, in milliseconds. A change in this process ends it at once; this
/// bounds how long one in another process goes unnoticed.
const LIFE: i64 = 500;
/// Keys that are remembered.
const MOST: usize = 4_096;

/// Callers that were looked up lately, by key.
#[derive(Default)]
pub(crate) struct Callers {
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    by_key: HashMap<AccessKeyId, Arc<Known>>,
    /// Grows with every change, so that what was read before it is not remembered after it.
    changes: u64,
}

/// A key with all that decides on its calls.
pub(super) struct Known {
    pub(super) account: Option<Account>,
    pub(super) user: Option<UserName>,
    pub(super) active: bool,
    pub(super) policies: Vec<PolicyDocument>,
    /// As `Secrets` keeps it.
    pub(super) sealed: Option<Bytes>,
    at: Time,
}

impl Hub {
    /// Forgets all look-ups; to be called after every change of accounts, users, keys, policies.
    pub(super) fn callers_changed(&self) {
        let mut seen = self.callers.seen.lock();
        seen.changes += 1;
        seen.by_key.clear();
    }

    /// The key with what hangs on it; none for a key that does not exist.
    pub(super) async fn caller_known(&self, id: &AccessKeyId) -> Result<Option<Arc<Known>>, Fault> {
        let now = self.now();
        let changes = {
            let seen = self.callers.seen.lock();
            if let Some(known) = seen.by_key.get(id)
                && (0..LIFE).contains(&now.since(known.at))
            {
                return Ok(Some(known.clone()));
            }
            seen.changes
        };
        let Some(key) = self.document::<AccessKey>(row::KEY, id.as_str()).await? else {
            return Ok(None);
        };
        let known = Arc::new(self.caller_look_up(key.value, now).await?);
        let mut seen = self.callers.seen.lock();
        if seen.changes == changes {
            if seen.by_key.len() >= MOST {
                seen.by_key.clear();
            }
            seen.by_key.insert(id.clone(), known.clone());
        }
        Ok(Some(known))
    }

    async fn caller_look_up(&self, key: AccessKey, at: Time) -> Result<Known, Fault> {
        let account = self
            .document::<Account>(row::ACCOUNT, key.account.as_str())
            .await?;
        let account = account.map(|found| found.value);
        let mut active = !key.disabled && account.as_ref().is_some_and(|account| !account.disabled);
        let mut policies = Vec::new();
        if let Some(name) = &key.user {
            match self
                .document::<User>(row::USER, &row::user(&key.account, name))
                .await?
            {
                Some(user) if !user.value.disabled => {
                    policies = self.user_policies(&user.value).await?;
                }
                Some(_) | None => active = false,
            }
        }
        let sealed = self
            .ports
            .secrets
            .find(&SecretId::AccessKey(key.id))
            .await?;
        Ok(Known {
            account,
            user: key.user,
            active,
            policies,
            sealed,
            at,
        })
    }

    /// What the policies say that hold for a user of an account; nothing for one that is not
    /// there or is disabled.
    pub(super) async fn policies_of(
        &self,
        account: &AccountId,
        name: &UserName,
    ) -> Result<Vec<PolicyDocument>, Fault> {
        match self
            .document::<User>(row::USER, &row::user(account, name))
            .await?
        {
            Some(user) if !user.value.disabled => self.user_policies(&user.value).await,
            Some(_) | None => Ok(Vec::new()),
        }
    }

    async fn user_policies(&self, user: &User) -> Result<Vec<PolicyDocument>, Fault> {
        let mut policies = Vec::with_capacity(user.policies.len());
        for name in &user.policies {
            let policy = match super::judge::managed_by_name(name) {
                Some(policy) => Some(policy),
                None => {
                    let key = row::policy(&user.account, name);
                    let found = self.document::<Policy>(row::POLICY, &key).await?;
                    found.map(|found| found.value)
                }
            };
            policies.extend(policy.map(|policy| policy.document));
        }
        Ok(policies)
    }
}

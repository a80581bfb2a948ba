//! Sub-users and what holds for them.

use super::{Permit, judge, owner::for_people, row};
use crate::{
    Hub,
    document::{self, TRIES, busy},
};
use model::{
    account::{AccessKey, Account, Policy, User},
    error::AccountError,
    id::{AccessKeyId, PolicyName, UserName},
    port::{Expect, SecretId},
};

impl Hub {
    /// Makes a sub-user.
    ///
    /// # Errors
    /// `Taken`, `TooMany`, `BadRequest`.
    pub async fn user_create(
        &self,
        permit: &Permit,
        name: &UserName,
        display: &str,
    ) -> Result<User, AccountError> {
        for_people(display, 0, "a display name")?;
        let account = permit.account();
        let key = row::user(account, name);
        for _ in 0..TRIES {
            let above = self.account_above(permit).await?;
            if self.document::<User>(row::USER, &key).await?.is_some() {
                return Err(AccountError::Taken("user"));
            }
            if self
                .ports
                .catalog
                .count(row::USER, &row::of(account))
                .await?
                >= self.limits.users
            {
                return Err(AccountError::TooMany("users"));
            }
            let user = User {
                account: account.clone(),
                name: name.clone(),
                display: display.to_owned(),
                created: self.now(),
                disabled: false,
                policies: Vec::new(),
            };
            let puts = vec![
                document::put(
                    row::ACCOUNT,
                    account.to_string(),
                    &above.value,
                    above.expect(),
                )?,
                document::put(row::USER, key.clone(), &user, Expect::Absent)?,
            ];
            if self.document_put(puts).await? {
                self.callers_changed();
                return Ok(user);
            }
        }
        Err(busy(row::USER).into())
    }

    /// The sub-users.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn user_list(&self, permit: &Permit) -> Result<Vec<User>, AccountError> {
        Ok(self
            .documents(row::USER, &row::of(permit.account()))
            .await?)
    }

    /// Refuses or accepts a sub-user's keys again.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_disable(
        &self,
        permit: &Permit,
        name: &UserName,
        disabled: bool,
    ) -> Result<User, AccountError> {
        let key = row::user(permit.account(), name);
        let changed = self
            .document_change(row::USER, &key, |user: &mut User| user.disabled = disabled)
            .await?;
        self.callers_changed();
        changed.ok_or(AccountError::NotFound("user"))
    }

    /// Removes a sub-user and its keys.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn user_delete(&self, permit: &Permit, name: &UserName) -> Result<(), AccountError> {
        let account = permit.account();
        let key = row::user(account, name);
        for _ in 0..TRIES {
            let Some(user) = self.document::<User>(row::USER, &key).await? else {
                return Err(AccountError::NotFound("user"));
            };
            let keys: Vec<AccessKeyId> = self
                .documents(row::KEY_OF, &row::keys_of(account, Some(name)))
                .await?;
            // A key that is being made writes the user's row, so that one of the two looks again.
            let mut puts = vec![document::remove(row::USER, key.clone(), user.expect())];
            for id in &keys {
                let of = format!("{}{id}", row::keys_of(account, Some(name)));
                puts.push(document::remove(row::KEY, id.to_string(), Expect::Anything));
                puts.push(document::remove(row::KEY_OF, of, Expect::Anything));
            }
            if self.document_put(puts).await? {
                self.callers_changed();
                for id in keys {
                    self.ports.secrets.remove(&SecretId::AccessKey(id)).await?;
                }
                return Ok(());
            }
        }
        Err(busy(row::USER).into())
    }

    /// Lets a policy hold for a sub-user (`attach`), or no longer.
    ///
    /// # Errors
    /// `NotFound`, `TooMany`.
    pub async fn user_policy(
        &self,
        permit: &Permit,
        name: &UserName,
        policy: &PolicyName,
        attach: bool,
    ) -> Result<User, AccountError> {
        let account = permit.account();
        let key = row::user(account, name);
        for _ in 0..TRIES {
            let Some(mut user) = self.document::<User>(row::USER, &key).await? else {
                return Err(AccountError::NotFound("user"));
            };
            let expect = user.expect();
            let held = user.value.policies.contains(policy);
            let mut puts = Vec::new();
            if attach && judge::managed_by_name(policy).is_none() {
                let of = row::policy(account, policy);
                let Some(found) = self.document::<Policy>(row::POLICY, &of).await? else {
                    return Err(AccountError::NotFound("policy"));
                };
                // Nobody removes the policy meanwhile.
                puts.push(document::put(
                    row::POLICY,
                    of,
                    &found.value,
                    found.expect(),
                )?);
            }
            match (attach, held) {
                (true, true) => return Ok(user.value),
                (true, false) if user.value.policies.len() as u64 >= self.limits.policies => {
                    return Err(AccountError::TooMany("policies"));
                }
                (true, false) => user.value.policies.push(policy.clone()),
                (false, true) => user.value.policies.retain(|other| other != policy),
                (false, false) => return Err(AccountError::NotFound("policy")),
            }
            puts.push(document::put(row::USER, key.clone(), &user.value, expect)?);
            if self.document_put(puts).await? {
                self.callers_changed();
                return Ok(user.value);
            }
        }
        Err(busy(row::USER).into())
    }

    /// The caller's account, to be written again by a change that counts what is below it.
    pub(super) async fn account_above(
        &self,
        permit: &Permit,
    ) -> Result<document::Document<Account>, AccountError> {
        let found = self
            .document(row::ACCOUNT, permit.account().as_str())
            .await?;
        found.ok_or(AccountError::NotFound("account"))
    }

    /// The keys of a user, or of the account itself.
    pub(super) async fn keys_of(
        &self,
        permit: &Permit,
        user: Option<&UserName>,
    ) -> Result<Vec<AccessKey>, AccountError> {
        self.keys_under(&row::keys_of(permit.account(), user)).await
    }

    /// The keys whose places under `KEY_OF` begin so.
    pub(super) async fn keys_under(&self, prefix: &str) -> Result<Vec<AccessKey>, AccountError> {
        let ids: Vec<AccessKeyId> = self.documents(row::KEY_OF, prefix).await?;
        let mut keys = Vec::with_capacity(ids.len());
        for id in ids {
            let found = self.document::<AccessKey>(row::KEY, id.as_str()).await?;
            keys.extend(found.map(|found| found.value));
        }
        Ok(keys)
    }
}

//! Policies as people keep them.

use super::{Permit, judge, owner::for_people, row};
use crate::{
    Hub,
    document::{self, TRIES, busy},
};
use model::{
    account::{Policy, PolicyDocument, User},
    error::AccountError,
    id::PolicyName,
    port::Expect,
};

impl Hub {
    /// Writes a policy of the account, in place of one of the same name.
    ///
    /// # Errors
    /// `BadRequest` with the place of the mistake, `Needed` for a name that comes with the product,
    /// `TooMany`.
    pub async fn policy_put(
        &self,
        permit: &Permit,
        name: &PolicyName,
        description: &str,
        document: PolicyDocument,
    ) -> Result<Policy, AccountError> {
        for_people(description, 0, "the description of a policy")?;
        if let Some(mistake) = judge::mistake(&document) {
            return Err(AccountError::BadRequest(mistake));
        }
        ours(name)?;
        let account = permit.account();
        let key = row::policy(account, name);
        let policy = Policy {
            name: name.clone(),
            account: Some(account.clone()),
            description: description.to_owned(),
            document,
        };
        for _ in 0..TRIES {
            let above = self.account_above(permit).await?;
            let former = self.document::<Policy>(row::POLICY, &key).await?;
            let count = self
                .ports
                .catalog
                .count(row::POLICY, &row::of(account))
                .await?;
            if former.is_none() && count >= self.limits.policies {
                return Err(AccountError::TooMany("policies"));
            }
            let expect = former.map_or(Expect::Absent, |former| former.expect());
            let puts = vec![
                document::put(
                    row::ACCOUNT,
                    account.to_string(),
                    &above.value,
                    above.expect(),
                )?,
                document::put(row::POLICY, key.clone(), &policy, expect)?,
            ];
            if self.document_put(puts).await? {
                self.callers_changed();
                return Ok(policy);
            }
        }
        Err(busy(row::POLICY).into())
    }

    /// The account's policies and those that come with the product.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn policy_list(&self, permit: &Permit) -> Result<Vec<Policy>, AccountError> {
        let mut all: Vec<Policy> = self
            .documents(row::POLICY, &row::of(permit.account()))
            .await?;
        all.extend(judge::managed());
        Ok(all)
    }

    /// Removes a policy of the account.
    ///
    /// # Errors
    /// `NotFound`, `Needed` while it holds for a sub-user, or comes with the product.
    pub async fn policy_delete(
        &self,
        permit: &Permit,
        name: &PolicyName,
    ) -> Result<(), AccountError> {
        ours(name)?;
        let account = permit.account();
        let key = row::policy(account, name);
        for _ in 0..TRIES {
            let Some(found) = self.document::<Policy>(row::POLICY, &key).await? else {
                return Err(AccountError::NotFound("policy"));
            };
            let users: Vec<User> = self.documents(row::USER, &row::of(account)).await?;
            if let Some(user) = users.iter().find(|user| user.policies.contains(name)) {
                let why = format!("the policy holds for user {}; detach it first", user.name);
                return Err(AccountError::Needed(why));
            }
            // Whoever attaches it meanwhile writes its row.
            let puts = vec![document::remove(row::POLICY, key.clone(), found.expect())];
            if self.document_put(puts).await? {
                self.callers_changed();
                return Ok(());
            }
        }
        Err(busy(row::POLICY).into())
    }
}

fn ours(name: &PolicyName) -> Result<(), AccountError> {
    if judge::managed_by_name(name).is_none() {
        return Ok(());
    }
    let why = format!("{name} comes with the product and stays as it is");
    Err(AccountError::Needed(why))
}

//! Access keys.

use super::{NewAccessKey, Permit, row};
use crate::{
    Hub,
    document::{self, Document, TRIES, busy},
};
use model::{
    account::{AccessKey, Resource, User},
    error::{AccountError, Fault},
    id::{AccessKeyId, UserName},
    port::{Put, SecretId},
};

impl Hub {
    /// Makes an access key for a sub-user, or for the account itself.
    ///
    /// # Errors
    /// `NotFound`, `TooMany`.
    pub async fn access_key_create(
        &self,
        permit: &Permit,
        user: Option<&UserName>,
    ) -> Result<NewAccessKey, AccountError> {
        let account = permit.account();
        for _ in 0..TRIES {
            let above = self.key_above(permit, user).await?;
            let prefix = row::keys_of(account, user);
            let count = self.ports.catalog.count(row::KEY_OF, &prefix).await?;
            if count >= self.limits.access_keys {
                return Err(AccountError::TooMany("access keys"));
            }
            let (made, mut puts) = self.key_make(account, user).await?;
            puts.push(above);
            if self.document_put(puts).await? {
                self.callers_changed();
                return Ok(made);
            }
            self.ports
                .secrets
                .remove(&SecretId::AccessKey(made.key.id))
                .await?;
        }
        Err(busy(row::KEY).into())
    }

    /// The account's keys, those of its sub-users too.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn access_key_list(&self, permit: &Permit) -> Result<Vec<AccessKey>, AccountError> {
        self.keys_under(&row::of(permit.account())).await
    }

    /// What a policy is asked about for a key, of whatever account, or of none.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn access_key_resource(&self, id: &AccessKeyId) -> Result<Resource, Fault> {
        let key = self.document::<AccessKey>(row::KEY, id.as_str()).await?;
        let user = key.and_then(|key| key.value.user);
        Ok(Resource::AccessKey(user, id.clone()))
    }

    /// Refuses or accepts a key again.
    ///
    /// # Errors
    /// `NotFound`, `Needed` for the last key of the account itself.
    pub async fn access_key_disable(
        &self,
        permit: &Permit,
        id: &AccessKeyId,
        disabled: bool,
    ) -> Result<AccessKey, AccountError> {
        for _ in 0..TRIES {
            let above = self.account_above(permit).await?;
            let mut key = self.key_own(permit, id).await?;
            let expect = key.expect();
            if disabled {
                self.key_spare(permit, &key.value).await?;
            }
            key.value.disabled = disabled;
            let puts = vec![
                document::put(
                    row::ACCOUNT,
                    permit.account().to_string(),
                    &above.value,
                    above.expect(),
                )?,
                document::put(row::KEY, id.to_string(), &key.value, expect)?,
            ];
            if self.document_put(puts).await? {
                self.callers_changed();
                return Ok(key.value);
            }
        }
        Err(busy(row::KEY).into())
    }

    /// Removes a key.
    ///
    /// # Errors
    /// `NotFound`, `Needed` for the last key of the account itself.
    pub async fn access_key_delete(
        &self,
        permit: &Permit,
        id: &AccessKeyId,
    ) -> Result<(), AccountError> {
        for _ in 0..TRIES {
            let above = self.account_above(permit).await?;
            let key = self.key_own(permit, id).await?;
            self.key_spare(permit, &key.value).await?;
            let of = row::key_of(&key.value);
            let puts = vec![
                document::put(
                    row::ACCOUNT,
                    permit.account().to_string(),
                    &above.value,
                    above.expect(),
                )?,
                document::remove(row::KEY, id.to_string(), key.expect()),
                document::remove(row::KEY_OF, of, model::port::Expect::Anything),
            ];
            if self.document_put(puts).await? {
                self.callers_changed();
                self.ports
                    .secrets
                    .remove(&SecretId::AccessKey(id.clone()))
                    .await?;
                return Ok(());
            }
        }
        Err(busy(row::KEY).into())
    }

    /// The row that a new key writes again: its user's, or the account's.
    async fn key_above(
        &self,
        permit: &Permit,
        user: Option<&UserName>,
    ) -> Result<Put, AccountError> {
        let account = permit.account();
        let Some(name) = user else {
            let above = self.account_above(permit).await?;
            let expect = above.expect();
            return Ok(document::put(
                row::ACCOUNT,
                account.to_string(),
                &above.value,
                expect,
            )?);
        };
        let Some(found) = self
            .document::<User>(row::USER, &row::user(account, name))
            .await?
        else {
            return Err(AccountError::NotFound("user"));
        };
        let expect = found.expect();
        Ok(document::put(
            row::USER,
            row::user_of(&found.value),
            &found.value,
            expect,
        )?)
    }

    /// A key of the caller's account.
    async fn key_own(
        &self,
        permit: &Permit,
        id: &AccessKeyId,
    ) -> Result<Document<AccessKey>, AccountError> {
        self.document::<AccessKey>(row::KEY, id.as_str())
            .await?
            .filter(|key| key.value.account == *permit.account())
            .ok_or(AccountError::NotFound("access key"))
    }

    /// Refuses to let go of the last active key of the account itself.
    async fn key_spare(&self, permit: &Permit, key: &AccessKey) -> Result<(), AccountError> {
        if key.user.is_some() || key.disabled {
            return Ok(());
        }
        let own = self.keys_of(permit, None).await?;
        if own
            .iter()
            .any(|other| other.id != key.id && !other.disabled)
        {
            return Ok(());
        }
        let why = "this is the last active key of the account itself; make another one first";
        Err(AccountError::Needed(why.to_owned()))
    }
}

//! Accounts themselves.

use super::{NewAccessKey, Permit, row};
use crate::{
    Hub,
    document::{self, TRIES, busy},
    vault::shown,
};
use credential::text;
use model::{
    account::{AccessKey, Account},
    error::{AccountError, Fault},
    id::{AccessKeyId, AccountId, UserName},
    port::{Expect, Put, SecretId},
};

/// The name of the first account.
const FIRST: &str = "root";
/// Characters of a name for people.
pub(super) const NAME: usize = 64;

impl Hub {
    /// Makes the first account and its key when there is none; `None` when there is one already.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn account_found(&self) -> Result<Option<NewAccessKey>, AccountError> {
        let catalog = &self.ports.catalog;
        if !catalog.list(row::ACCOUNT, "", None, 1).await?.is_empty() {
            return Ok(None);
        }
        self.audit_note(self.server_entry("account.found")).await?;
        match self.account_make(FIRST, true).await {
            Ok((_, key)) => Ok(Some(key)),
            // Another process was faster.
            Err(AccountError::Taken(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes an account with a key (operators only).
    ///
    /// # Errors
    /// `Taken`, `BadRequest`.
    pub async fn account_create(
        &self,
        permit: &Permit,
        name: &str,
    ) -> Result<(Account, NewAccessKey), AccountError> {
        operators_only(permit)?;
        for_people(name, 1, "the name of an account")?;
        self.account_make(name, false).await
    }

    /// All accounts for an operator, the caller's own for others.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn account_list(&self, permit: &Permit) -> Result<Vec<Account>, AccountError> {
        if permit.caller().operator {
            let mut all: Vec<Account> = self.documents(row::ACCOUNT, "").await?;
            all.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
            return Ok(all);
        }
        let own = self
            .document(row::ACCOUNT, permit.account().as_str())
            .await?;
        Ok(own.into_iter().map(|found| found.value).collect())
    }

    /// Refuses or accepts an account's keys again (operators only; not their own).
    ///
    /// # Errors
    /// `NotFound`, `Needed`, `BadRequest` for a caller who is no operator.
    pub async fn account_disable(
        &self,
        permit: &Permit,
        id: &AccountId,
        disabled: bool,
    ) -> Result<Account, AccountError> {
        operators_only(permit)?;
        if id == permit.account() {
            let why = "an account does not disable itself";
            return Err(AccountError::Needed(why.to_owned()));
        }
        let changed = self
            .document_change(row::ACCOUNT, id.as_str(), |account: &mut Account| {
                account.disabled = disabled;
            })
            .await?;
        self.callers_changed();
        changed.ok_or(AccountError::NotFound("account"))
    }

    /// The first operator account.
    pub(super) async fn account_first(&self) -> Result<Account, Fault> {
        let all: Vec<Account> = self.documents(row::ACCOUNT, "").await?;
        all.into_iter()
            .filter(|account| account.operator)
            .min_by_key(|account| (account.created, account.id.clone()))
            .ok_or_else(|| Fault::lasting("there is no operator account yet"))
    }

    async fn account_make(
        &self,
        name: &str,
        operator: bool,
    ) -> Result<(Account, NewAccessKey), AccountError> {
        for _ in 0..TRIES {
            let id = self.account_number()?;
            let account = Account {
                id: id.clone(),
                name: name.to_owned(),
                created: self.now(),
                disabled: false,
                operator,
            };
            let (key, mut puts) = self.key_make(&id, None).await?;
            let named = row::ACCOUNT_NAME;
            puts.push(document::put(named, name.to_owned(), &id, Expect::Absent)?);
            puts.push(document::put(
                row::ACCOUNT,
                id.to_string(),
                &account,
                Expect::Absent,
            )?);
            if self.document_put(puts).await? {
                return Ok((account, key));
            }
            self.ports
                .secrets
                .remove(&SecretId::AccessKey(key.key.id))
                .await?;
            if self
                .document::<AccountId>(row::ACCOUNT_NAME, name)
                .await?
                .is_some()
            {
                return Err(AccountError::Taken("account"));
            }
        }
        Err(busy(row::ACCOUNT).into())
    }

    /// A key with its secret kept, and the rows that make it known.
    pub(super) async fn key_make(
        &self,
        account: &AccountId,
        user: Option<&UserName>,
    ) -> Result<(NewAccessKey, Vec<Put>), Fault> {
        let id = AccessKeyId::parse(&text::access_key_id(&self.seed()))
            .map_err(|bad| Fault::lasting(bad.to_string()))?;
        let secret = text::access_key_secret(&self.seed());
        let secret_id = SecretId::AccessKey(id.clone());
        let sealed = self.secret_seal(&secret_id, &secret)?;
        self.ports.secrets.put(&secret_id, sealed).await?;
        let key = AccessKey {
            id,
            account: account.clone(),
            user: user.cloned(),
            created: self.now(),
            disabled: false,
        };
        let puts = vec![
            document::put(row::KEY, key.id.to_string(), &key, Expect::Absent)?,
            document::put(row::KEY_OF, row::key_of(&key), &key.id, Expect::Absent)?,
        ];
        let secret = shown(&secret)?;
        Ok((NewAccessKey { key, secret }, puts))
    }

    /// Sixteen digits, as the vendor's account numbers have.
    fn account_number(&self) -> Result<AccountId, Fault> {
        let seed = self.seed();
        let chance = seed
            .iter()
            .take(8)
            .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        let number = 1_000_000_000_000_000 + chance % 9_000_000_000_000_000;
        AccountId::parse(&number.to_string()).map_err(|bad| Fault::lasting(bad.to_string()))
    }
}

fn operators_only(permit: &Permit) -> Result<(), AccountError> {
    if permit.caller().operator {
        return Ok(());
    }
    let why = "only an operator's account manages accounts";
    Err(AccountError::BadRequest(why.to_owned()))
}

/// A text that people read: bounded, and nothing in it that moves a cursor.
pub(super) fn for_people(text: &str, least: usize, what: &str) -> Result<(), AccountError> {
    let length = text.chars().count();
    if (least..=NAME.max(least)).contains(&length) && !text.chars().any(char::is_control) {
        return Ok(());
    }
    let rule = format!("{what} has {least} to {NAME} characters, none a control character");
    Err(AccountError::BadRequest(rule))
}

//! What is kept of one identity, and its life.

use super::{
    as_base64, as_name,
    keep::{Kept, Keys},
    key_trouble,
};
use crate::{
    Hub,
    account::Permit,
    document::{Document, TRIES, busy, put, remove},
};
use credential::id2::{Id, KeyType};
use model::{
    account::Resource,
    archive,
    error::{Fault, Id2Error},
    id::{AccountId, IotId, ProductKey, Time},
    port::{Expect, SecretId},
};
use serde::{Deserialize, Serialize};

pub(super) const ROW: &str = "id2";
/// Identities of a product: `product/id`.
pub(super) const OF: &str = "id2-of";
/// Fingerprints of devices that were given one: `product/digest`.
pub(super) const PRINT: &str = "id2-print";
/// Characters of a reason.
const WHY: usize = 256;
/// Entries that are looked at in one go.
const PAGE: usize = 500;

/// Where an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// In a batch that was not released.
    Made,
    /// Given out; its device has not proven itself.
    Issued,
    /// Its device has proven itself.
    Active,
    /// Kept from proving anything until somebody lets it again.
    Suspended,
    /// Never to prove anything again.
    Revoked,
    /// Its batch was withdrawn before a device had it.
    Withdrawn,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Made,
        Self::Issued,
        Self::Active,
        Self::Suspended,
        Self::Revoked,
        Self::Withdrawn,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Issued => "issued",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::Withdrawn => "withdrawn",
        }
    }

    /// The state of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// How an identity came to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// On demand of a device with this fingerprint, as a digest.
    Demand(String),
    /// In the batch of this number.
    Batch(u64),
    /// It was brought in with its key.
    Import,
}

/// What is kept of one identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The identity, 24 characters.
    pub id: String,
    /// Its product.
    pub product: ProductKey,
    /// Whose it is.
    pub account: AccountId,
    /// What kind of key it has.
    #[serde(with = "as_name")]
    pub kind: KeyType,
    /// Where it stands.
    pub state: State,
    /// How it came to be.
    pub origin: Origin,
    /// When.
    pub created: Time,
    /// When its device first proved itself.
    pub activated: Option<Time>,
    /// When its time is over.
    pub until: Option<Time>,
    /// Why it is suspended or revoked, in words.
    pub why: Option<String>,
    /// The device that it belongs to, once one came in by a handshake with it.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub device: Option<IotId>,
    /// The key, sealed. None after a registry was moved here: then it is among the secrets.
    #[serde(with = "as_base64", skip_serializing_if = "Option::is_none", default)]
    pub(super) sealed: Option<Vec<u8>>,
    /// Where the key can be used, when that is in a token alone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) kept: Option<Kept>,
}

/// Which identities are listed.
#[derive(Clone, Debug, Default)]
pub struct StateFilter {
    /// Only those that stand here.
    pub state: Option<State>,
    /// Only of this batch.
    pub batch: Option<u64>,
    /// Only behind this one.
    pub after: Option<String>,
}

impl Row {
    /// Whether it may prove anything.
    pub(super) fn judge(&self, now: Time, self_activating: bool) -> Result<(), Id2Error> {
        match self.state {
            State::Suspended => Err(Id2Error::Suspended),
            State::Revoked => Err(Id2Error::Revoked),
            State::Withdrawn => Err(Id2Error::Withdrawn),
            _ if self.until.is_some_and(|until| until <= now) => Err(Id2Error::Expired),
            State::Made => Err(Id2Error::NotDelivered),
            State::Issued if !self_activating => Err(Id2Error::NotActivated),
            State::Issued | State::Active => Ok(()),
        }
    }

    /// Where its key is kept.
    pub fn keys(&self) -> Keys {
        match self.kept {
            Some(_) => Keys::Token,
            None => Keys::Database,
        }
    }

    /// Under what its key is sealed: the identity and the kind, so that neither can be exchanged.
    pub(super) fn secret(&self) -> SecretId {
        secret(&self.id, self.kind)
    }
}

pub(super) fn secret(id: &str, kind: KeyType) -> SecretId {
    SecretId::Server(format!("id2/{id}/{}", kind.name()))
}

pub(super) fn of_product(product: &ProductKey, id: &str) -> String {
    format!("{product}/{id}")
}

impl Hub {
    /// What a policy is asked about for an identity, of whatever account: its product.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn id2_resource(&self, id: &Id) -> Result<Resource, Id2Error> {
        let row = self.id2_row(id).await?;
        Ok(row.map_or(Resource::Any, |row| Resource::Product(row.value.product)))
    }

    /// An identity of the caller's account.
    ///
    /// # Errors
    /// `NoSuchIdentity` and its kin, `NotOwned`.
    pub async fn id2_find(&self, permit: &Permit, id: &Id) -> Result<Row, Id2Error> {
        Ok(self.id2_owned(permit, id).await?.value)
    }

    /// Identities of a product in their order, at most `most`.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotOwned`.
    pub async fn id2_list(
        &self,
        permit: &Permit,
        product: &ProductKey,
        filter: &StateFilter,
        most: usize,
    ) -> Result<Vec<Row>, Id2Error> {
        self.id2_setting(permit, product).await?;
        let prefix = of_product(product, "");
        let mut after = filter.after.as_ref().map(|id| of_product(product, id));
        let mut rows = Vec::new();
        while rows.len() < most {
            let catalog = &self.ports.catalog;
            let page = catalog.list(OF, &prefix, after.as_deref(), PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            for entry in page {
                let id = entry.key.strip_prefix(&prefix).unwrap_or_default();
                let Some(row) = self.id2_row_of(id).await? else {
                    continue;
                };
                let row = row.value;
                let batch = filter
                    .batch
                    .is_none_or(|batch| row.origin == Origin::Batch(batch));
                if batch && filter.state.is_none_or(|state| row.state == state) {
                    rows.push(row);
                }
                if rows.len() == most {
                    break;
                }
            }
        }
        Ok(rows)
    }

    /// Moves an identity by hand. `Active` lets a suspended one prove itself again, and activates
    /// one that was given out; a revoked one stays so.
    ///
    /// # Errors
    /// As `id2_find`; `Revoked`, `Withdrawn` and `NotDelivered` from where no way leads there,
    /// `AlreadyActive`, `BadRequest`.
    pub async fn id2_move(
        &self,
        permit: &Permit,
        id: &Id,
        to: State,
        why: Option<&str>,
    ) -> Result<Row, Id2Error> {
        if why.is_some_and(|why| why.len() > WHY) {
            let text = format!("a reason has at most {WHY} bytes");
            return Err(Id2Error::BadRequest(text));
        }
        for _ in 0..TRIES {
            let found = self.id2_owned(permit, id).await?;
            let expect = found.expect();
            let mut row = found.value;
            match (row.state, to) {
                (State::Revoked, _) => return Err(Id2Error::Revoked),
                (State::Withdrawn, _) => return Err(Id2Error::Withdrawn),
                (State::Active, State::Active) => return Err(Id2Error::AlreadyActive),
                (State::Made, State::Active) => return Err(Id2Error::NotDelivered),
                (State::Suspended, State::Active) => {
                    row.state = match (row.activated, &row.origin) {
                        (None, Origin::Batch(_)) => State::Made,
                        (None, Origin::Demand(_) | Origin::Import) => State::Issued,
                        (Some(_), _) => State::Active,
                    };
                }
                (State::Issued, State::Active) => {
                    row.state = State::Active;
                    row.activated = Some(self.now());
                }
                (_, State::Suspended | State::Revoked) => row.state = to,
                (_, State::Made | State::Issued | State::Withdrawn) => {
                    let text = "an identity is activated, suspended or revoked";
                    return Err(Id2Error::BadRequest(text.into()));
                }
            }
            row.why = why.map(str::to_owned);
            let puts = vec![put(ROW, row.id.clone(), &row, expect)?];
            if self.document_put(puts).await? {
                return Ok(row);
            }
        }
        Err(busy(ROW).into())
    }

    /// Sets when an identity's time is over; none for never.
    ///
    /// # Errors
    /// As `id2_find`.
    pub async fn id2_until(
        &self,
        permit: &Permit,
        id: &Id,
        until: Option<Time>,
    ) -> Result<Row, Id2Error> {
        self.id2_owned(permit, id).await?;
        let set = |row: &mut Row| row.until = until;
        let row = self.document_change::<Row>(ROW, id.as_str(), set).await?;
        row.ok_or(Id2Error::NoSuchIdentity)
    }

    pub(super) async fn id2_row(&self, id: &Id) -> Result<Option<Document<Row>>, Fault> {
        self.id2_row_of(id.as_str()).await
    }

    /// The row as it counts: a batch is released or withdrawn as a whole, in its own document.
    async fn id2_row_of(&self, id: &str) -> Result<Option<Document<Row>>, Fault> {
        let rows = &self.id2.rows;
        let mut found = self.document_again(rows, ROW, id).await?;
        if let Some(found) = &mut found
            && found.value.state == State::Made
            && let Origin::Batch(number) = found.value.origin
        {
            found.value.state = self.id2_batch_state(number).await?;
        }
        Ok(found)
    }

    pub(super) async fn id2_owned(
        &self,
        permit: &Permit,
        id: &Id,
    ) -> Result<Document<Row>, Id2Error> {
        self.id2_row_owned(permit.account(), id).await
    }

    pub(super) async fn id2_row_owned(
        &self,
        account: &AccountId,
        id: &Id,
    ) -> Result<Document<Row>, Id2Error> {
        let Some(row) = self.id2_row(id).await? else {
            return Err(self.id2_unknown(id).await?);
        };
        if row.value.account != *account {
            return Err(Id2Error::NotOwned);
        }
        Ok(row)
    }

    /// A row of the registry on its way into an export, and the key that has to be sealed anew.
    pub(crate) fn id2_parted(
        &self,
        row: archive::Row,
    ) -> Result<(archive::Row, Option<archive::Row>), Fault> {
        let archive::Row::Entry {
            kind,
            key,
            value,
            version,
        } = row
        else {
            return Ok((row, None));
        };
        let entry = |value| archive::Row::Entry {
            kind: kind.clone(),
            key,
            value,
            version,
        };
        if kind != ROW {
            return Ok((entry(value), None));
        }
        let wrong = |error: serde_json::Error| key_trouble(&error.to_string());
        let mut one: Row = serde_json::from_slice(&value).map_err(wrong)?;
        let sealed = one.sealed.take().map(|sealed| archive::Row::Secret {
            id: one.secret(),
            sealed: sealed.into(),
        });
        let value = serde_json::to_vec(&one).map_err(wrong)?;
        Ok((entry(value.into()), sealed))
    }

    /// Forgets all identities of a product that is gone.
    pub(crate) async fn id2_gone(&self, product: &ProductKey) -> Result<(), Fault> {
        let prefix = of_product(product, "");
        loop {
            let page = self.ports.catalog.list(OF, &prefix, None, PAGE).await?;
            if page.is_empty() {
                break;
            }
            let mut puts = Vec::new();
            for entry in page {
                let id = entry.key.strip_prefix(&prefix).unwrap_or_default();
                if let Some(row) = self.document::<Row>(ROW, id).await? {
                    if row.value.sealed.is_none() {
                        self.ports.secrets.remove(&row.value.secret()).await?;
                    }
                    if let Origin::Demand(print) = &row.value.origin {
                        let key = of_product(product, print);
                        puts.push(remove(PRINT, key, Expect::Anything));
                    }
                }
                puts.push(remove(ROW, id.to_owned(), Expect::Anything));
                puts.push(remove(OF, entry.key, Expect::Anything));
            }
            self.ports.catalog.put(puts).await?;
        }
        self.id2_batches_gone(product).await?;
        self.id2_setting_gone(product).await
    }
}

//! Identities for a production line: made together, handed over in a file that only the line can
//! open, released when devices have them; and identities that come with their keys from elsewhere.

use super::{
    issue::{Fresh, licensed},
    row::{OF, Origin, ROW, Row, State, StateFilter, of_product},
    setting::{SETTING, Setting},
};
use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
};
use credential::{
    Secret,
    crypto::envelope,
    id2::{Id, KeyType, keep::Name, server::DeviceKey},
};
use model::{
    error::{Fault, Id2Error},
    id::{ProductKey, Time},
    port::Expect,
};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

const BATCH: &str = "id2-batch";
/// Batches of a product: `product/number`.
const BATCH_OF: &str = "id2-batch-of";
/// Identities of a batch.
const MOST: u64 = 10_000;
/// The same of RSA, whose keys take long to make.
const MOST_RSA: u64 = 200;
/// Identities that are entered in one change.
const AT_ONCE: u64 = 250;
/// Bytes of a key that is brought in.
const MATERIAL: usize = 4_096;
/// Bytes of a note.
const NOTE: usize = 256;

/// Where a batch stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchState {
    /// Its identities prove nothing yet.
    Made,
    /// Devices have them.
    Released,
    /// They prove nothing, ever.
    Withdrawn,
}

impl BatchState {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Released => "released",
            Self::Withdrawn => "withdrawn",
        }
    }
}

/// Identities that were made together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Its number.
    pub number: u64,
    /// The product.
    pub product: ProductKey,
    /// Where it stands.
    pub state: BatchState,
    /// How many were asked for.
    pub wanted: u64,
    /// How many there are; fewer than asked for when the server ended in the midst of it.
    pub made: u64,
    /// For people.
    pub note: String,
    /// When it was made.
    pub created: Time,
}

/// An identity that comes with its key.
pub struct Import {
    /// The identity.
    pub id: Id,
    /// What kind of key.
    pub kind: KeyType,
    /// The key as `DeviceKey::new` takes it; of RSA and curves the public half is enough.
    pub material: Secret,
}

impl Hub {
    /// Makes identities for a production line.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotOwned`, `NoLicence`, `QuotaUsedUp`, `LicenceOver`, `BadRequest`.
    pub async fn id2_batch(
        &self,
        permit: &Permit,
        product: &ProductKey,
        wanted: u64,
        note: &str,
    ) -> Result<Batch, Id2Error> {
        let setting = self.id2_setting(permit, product).await?;
        setting.judge(self.now())?;
        let is_rsa = matches!(setting.kind, KeyType::Rsa1024 | KeyType::Rsa2048);
        let most = if is_rsa { MOST_RSA } else { MOST };
        if !(1..=most).contains(&wanted) || note.len() > NOTE {
            let text = format!("a batch has 1 to {most} identities and a note of {NOTE} bytes");
            return Err(Id2Error::BadRequest(text));
        }
        licensed(&setting, wanted)?;
        let with = self.id2_with(setting.keys).await?;
        let number = self.ports.catalog.next("id2-batch").await?;
        let mut batch = Batch {
            number,
            product: product.clone(),
            state: BatchState::Made,
            wanted,
            made: 0,
            note: note.to_owned(),
            created: self.now(),
        };
        while batch.made < wanted {
            let mut keys = Vec::new();
            for _ in 0..AT_ONCE.min(wanted - batch.made) {
                keys.push(self.id2_fresh(setting.kind).await?);
            }
            batch = self.id2_batch_part(batch, keys, with).await?;
        }
        Ok(batch)
    }

    async fn id2_batch_part(
        &self,
        batch: Batch,
        keys: Vec<Fresh>,
        with: Option<Name>,
    ) -> Result<Batch, Id2Error> {
        let product = &batch.product;
        let _turn = self.id2.turn.lock().await;
        for _ in 0..TRIES {
            let found = self.document::<Setting>(SETTING, product.as_str()).await?;
            let found = found.ok_or(Id2Error::NoSuchProduct)?;
            let expect = found.expect();
            let mut setting = found.value;
            licensed(&setting, keys.len() as u64)?;
            let copies = keys.iter().map(|key| Fresh {
                kind: key.kind,
                material: Secret::new(key.material.expose().to_vec()),
            });
            let origin = Origin::Batch(batch.number);
            let copies = copies.collect();
            let entering = self.id2_enter(&mut setting, copies, with, &origin, State::Made)?;
            let mut grown = batch.clone();
            grown.made += keys.len() as u64;
            let key = batch_key(batch.number);
            let of = of_product(product, &key);
            let mut puts = entering.puts;
            puts.push(put(BATCH, key, &grown, Expect::Anything)?);
            puts.push(put(BATCH_OF, of, &batch.number, Expect::Anything)?);
            puts.push(put(SETTING, product.to_string(), &setting, expect)?);
            if self.document_put(puts).await? {
                return Ok(grown);
            }
            for row in entering.rows {
                self.id2_pass_over(product, &row.id).await?;
            }
        }
        Err(busy(SETTING).into())
    }

    /// Batches of a product, newest first.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotOwned`.
    pub async fn id2_batches(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<Vec<Batch>, Id2Error> {
        self.id2_setting(permit, product).await?;
        let numbers: Vec<u64> = self.documents(BATCH_OF, &of_product(product, "")).await?;
        let mut all = Vec::new();
        for number in numbers.into_iter().rev() {
            let found = self.document::<Batch>(BATCH, &batch_key(number)).await?;
            all.extend(found.map(|found| found.value));
        }
        Ok(all)
    }

    /// The file of a batch for a production line: lines of JSON with identity, kind of key and key,
    /// closed as CMS (RFC 5652, RFC 5083) for the line's certificate. As PEM.
    ///
    /// # Errors
    /// `BadRequest` for a batch or certificate that is none, `NotOwned`, `Withdrawn`.
    pub async fn id2_batch_file(
        &self,
        permit: &Permit,
        product: &ProductKey,
        number: u64,
        certificate: &[u8],
    ) -> Result<String, Id2Error> {
        let batch = self.id2_batch_of(permit, product, number).await?;
        if batch.state == BatchState::Withdrawn {
            return Err(Id2Error::Withdrawn);
        }
        let line = envelope::Receiver::from_pem(certificate).map_err(|_| {
            Id2Error::BadRequest("the certificate is no X.509 certificate with an RSA key".into())
        })?;
        let place = format!("id2-batch/{number}");
        self.secret_read(permit, &place, "file of a batch").await?;
        let filter = StateFilter {
            batch: Some(number),
            ..StateFilter::default()
        };
        let rows = self
            .id2_list(permit, product, &filter, MOST as usize)
            .await?;
        // Text that is moved while it grows leaves copies of keys behind.
        let is_rsa = |row: &Row| matches!(row.kind, KeyType::Rsa1024 | KeyType::Rsa2048);
        let room = rows.iter().map(|row| if is_rsa(row) { 3_000 } else { 256 });
        let mut text = String::with_capacity(room.sum());
        for row in rows {
            let material = self.id2_material(&row).await?;
            // Writing to a string does not fail.
            let _ = write!(
                text,
                "{{\"id\":\"{}\",\"key_type\":\"{}\",\"key\":\"",
                row.id,
                row.kind.name()
            );
            for byte in material.expose() {
                let _ = write!(text, "{byte:02x}");
            }
            text.push_str("\"}\n");
        }
        let closed = line.close(&Secret::new(text.into_bytes()));
        closed.map_err(|_| Fault::lasting("a file for a line cannot be closed").into())
    }

    /// Says what became of a batch. What was released can still be withdrawn, as long as its
    /// identities were not activated; what was withdrawn stays so.
    ///
    /// # Errors
    /// `BadRequest` for a batch that is none, `NotOwned`, `Withdrawn`.
    pub async fn id2_batch_set(
        &self,
        permit: &Permit,
        product: &ProductKey,
        number: u64,
        state: BatchState,
    ) -> Result<Batch, Id2Error> {
        let batch = self.id2_batch_of(permit, product, number).await?;
        if batch.state == BatchState::Withdrawn {
            return Err(Id2Error::Withdrawn);
        }
        let set = |batch: &mut Batch| batch.state = state;
        let changed = self
            .document_change::<Batch>(BATCH, &batch_key(number), set)
            .await?;
        changed.ok_or_else(no_batch)
    }

    async fn id2_batch_of(
        &self,
        permit: &Permit,
        product: &ProductKey,
        number: u64,
    ) -> Result<Batch, Id2Error> {
        self.id2_setting(permit, product).await?;
        let found = self.document::<Batch>(BATCH, &batch_key(number)).await?;
        let batch = found.map(|found| found.value);
        batch
            .filter(|batch| batch.product == *product)
            .ok_or_else(no_batch)
    }

    /// Where identities of a batch stand that nobody moved by hand.
    pub(super) async fn id2_batch_state(&self, number: u64) -> Result<State, Fault> {
        let found = self.document::<Batch>(BATCH, &batch_key(number)).await?;
        Ok(match found.map(|found| found.value.state) {
            Some(BatchState::Released) => State::Issued,
            Some(BatchState::Withdrawn) => State::Withdrawn,
            Some(BatchState::Made) | None => State::Made,
        })
    }

    /// Brings in identities with their keys, all or none.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotOwned`, `BadRequest` for a key that is none, `Taken`.
    pub async fn id2_import(
        &self,
        permit: &Permit,
        product: &ProductKey,
        imports: &[Import],
    ) -> Result<(), Id2Error> {
        let setting = self.id2_setting(permit, product).await?;
        if !(1..=500).contains(&imports.len()) {
            let text = "1 to 500 identities are brought in at once";
            return Err(Id2Error::BadRequest(text.into()));
        }
        let with = self.id2_with(setting.keys).await?;
        let now = self.now();
        let mut puts = Vec::with_capacity(2 * imports.len());
        for import in imports {
            let id = import.id.to_string();
            let fits = import.material.expose().len() <= MATERIAL
                && DeviceKey::new(import.kind, &import.material).is_ok();
            if !fits {
                let text = format!("the key of {id} is no {} key", import.kind.name());
                return Err(Id2Error::BadRequest(text));
            }
            let closed = self.id2_closed(with.as_ref(), &id, import.kind, &import.material)?;
            let row = Row {
                id: id.clone(),
                product: product.clone(),
                account: setting.account.clone(),
                kind: import.kind,
                state: State::Issued,
                origin: Origin::Import,
                created: now,
                activated: None,
                until: None,
                why: None,
                device: None,
                sealed: Some(closed.sealed),
                kept: closed.kept,
            };
            let of = of_product(product, &id);
            puts.push(put(ROW, id, &row, Expect::Absent)?);
            puts.push(put(OF, of, &true, Expect::Absent)?);
        }
        match self.document_put(puts).await? {
            true => Ok(()),
            false => Err(Id2Error::Taken("an identity of this name")),
        }
    }

    pub(super) async fn id2_batches_gone(&self, product: &ProductKey) -> Result<(), Fault> {
        let prefix = of_product(product, "");
        let numbers: Vec<u64> = self.documents(BATCH_OF, &prefix).await?;
        for some in numbers.chunks(250) {
            let puts = some.iter().flat_map(|number| {
                let key = batch_key(*number);
                let of = of_product(product, &key);
                [
                    remove(BATCH, key, Expect::Anything),
                    remove(BATCH_OF, of, Expect::Anything),
                ]
            });
            self.ports.catalog.put(puts.collect()).await?;
        }
        Ok(())
    }
}

fn batch_key(number: u64) -> String {
    format!("{number:012}")
}

fn no_batch() -> Id2Error {
    Id2Error::BadRequest("the product has no such batch".into())
}

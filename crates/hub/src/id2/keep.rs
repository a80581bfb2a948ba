//! Where keys of identities are kept: in the database, sealed like all secrets, or besides under a
//! wrapping key that never leaves a token of the server, so that a stolen database is worth nothing
//! even with its master key.

use super::{Desk, as_base64, key_trouble, proof::key_error, row::Row, row::secret, setting::hex};
use crate::{
    Hub,
    document::{TRIES, busy, put},
};
use credential::{
    Secret,
    id2::{
        KeyError, KeyType,
        keep::{self, Keeper, Name},
        server::DeviceKey,
    },
};
use model::{
    error::{Fault, Id2Error},
    port::Expect,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::runtime::{Handle, RuntimeFlavor};

/// The wrapping key of this installation.
const WRAPPING: &str = "id2-wrapping";
const ONLY: &str = "1";

/// Where keys of a product's new identities are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keys {
    /// In the database, sealed.
    #[default]
    Database,
    /// Besides under a wrapping key in the server's token, where they are used.
    Token,
}

/// That a key can be used in a token alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    /// Its wrapping key, as hex.
    with: String,
    /// The public half of a key that is not symmetric.
    #[serde(with = "as_base64", skip_serializing_if = "Option::is_none", default)]
    public: Option<Vec<u8>>,
}

/// A key that is ready to be stored.
pub(super) struct Closed {
    pub(super) sealed: Vec<u8>,
    pub(super) kept: Option<Kept>,
}

/// The wrapping key's name, and whether it was made; a token that has not what was made is another
/// token, and is not given a new one.
#[derive(Serialize, Deserialize)]
struct Wrapping {
    name: String,
    made: bool,
}

impl Desk {
    fn keeper(&self) -> Result<Arc<dyn Keeper>, Fault> {
        let none = || key_trouble("it is in a token, and this server is set up without one");
        self.keeper.get().cloned().ok_or_else(none)
    }

    /// Where keys are kept of products that say nothing of it.
    pub(super) fn keys(&self) -> Keys {
        match self.keeper.get() {
            Some(_) => Keys::Token,
            None => Keys::Database,
        }
    }
}

/// Does what may ask a token, without keeping others from the thread.
pub(super) fn aside<T>(asks: bool, work: impl FnOnce() -> T) -> T {
    let many = Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread);
    match asks && many {
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}

impl Hub {
    /// Gives the hub a token, at the start; a second one is not taken.
    pub fn id2_keeper(&self, keeper: Arc<dyn Keeper>) {
        let _ = self.id2.keeper.set(keeper);
    }

    /// Readies a key to be stored with its identity.
    ///
    /// # Errors
    /// `BadRequest` for a token that is not there, `Fault` for one that is in trouble.
    pub(super) fn id2_closed(
        &self,
        with: Option<&Name>,
        id: &str,
        kind: KeyType,
        material: &Secret,
    ) -> Result<Closed, Id2Error> {
        let owner = secret(id, kind);
        let broken = || key_trouble("it is not of its kind");
        let public = DeviceKey::public_half(kind, material).map_err(|_| broken())?;
        // A public half alone is nothing to hide.
        let is_secret = kind.cipher().is_some() || public.is_some();
        let Some(with) = with.filter(|_| is_secret) else {
            let sealed = self.secret_seal(&owner, material)?.to_vec();
            return Ok(Closed { sealed, kept: None });
        };
        let keeper = self.id2.keeper()?;
        let wrapped = aside(true, || keep::close(&*keeper, with, kind, material));
        let wrapped = Secret::new(wrapped.map_err(key_error)?);
        let kept = Kept {
            with: hex(with),
            public: public.map(|public| public.expose().to_vec()),
        };
        Ok(Closed {
            sealed: self.secret_seal(&owner, &wrapped)?.to_vec(),
            kept: Some(kept),
        })
    }

    /// The wrapping key with which keys of a product are closed; made at the first time.
    ///
    /// # Errors
    /// `Fault` for a token that is away, or is another one.
    pub(super) async fn id2_with(&self, keys: Keys) -> Result<Option<Name>, Id2Error> {
        if keys == Keys::Database {
            return Ok(None);
        }
        let keeper = self.id2.keeper()?;
        for _ in 0..TRIES {
            let found = self.document::<Wrapping>(WRAPPING, ONLY).await?;
            let (mut wrapping, expect) = match found {
                Some(found) => {
                    let expect = found.expect();
                    (found.value, expect)
                }
                None => {
                    let mut name = Name::default();
                    self.ports.random.fill(&mut name);
                    let wrapping = Wrapping {
                        name: hex(&name),
                        made: false,
                    };
                    (wrapping, Expect::Absent)
                }
            };
            let name = name_of(&wrapping.name)?;
            if wrapping.made {
                return Ok(Some(name));
            }
            if expect != Expect::Absent {
                let made = aside(true, || match keeper.has(&name)? {
                    true => Ok(()),
                    false => keeper.make(&name),
                });
                made.map_err(key_error)?;
                wrapping.made = true;
            }
            // Named before it is made, so that a crash leaves no key of which nobody knows.
            let puts = vec![put(WRAPPING, ONLY.into(), &wrapping, expect)?];
            self.document_put(puts).await?;
        }
        Err(busy(WRAPPING).into())
    }

    /// The name of the wrapping key, once one was made.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn id2_wrapping(&self) -> Result<Option<Name>, Fault> {
        let found = self.document::<Wrapping>(WRAPPING, ONLY).await?;
        let made = found.filter(|found| found.value.made);
        made.map(|found| name_of(&found.value.name)).transpose()
    }

    /// The key of an identity, ready to work with. One that is kept in a token asks it only when it
    /// is used.
    pub(super) async fn id2_key(&self, row: &Row) -> Result<DeviceKey, Fault> {
        let closed = self.id2_unsealed(row).await?;
        let broken = |_: KeyError| key_trouble("it is not of its kind");
        let Some(kept) = &row.kept else {
            return DeviceKey::new(row.kind, &closed).map_err(broken);
        };
        let name = name_of(&kept.with)?;
        let public = kept.public.clone().map(Secret::new);
        let wrapped = closed.expose().to_vec();
        let keeper = self.id2.keeper()?;
        DeviceKey::kept(row.kind, keeper, name, wrapped, public.as_ref()).map_err(broken)
    }

    /// The key itself, for the device or the line that is to be given it.
    pub(super) async fn id2_material(&self, row: &Row) -> Result<Secret, Id2Error> {
        let closed = self.id2_unsealed(row).await?;
        let Some(kept) = &row.kept else {
            return Ok(closed);
        };
        let name = name_of(&kept.with)?;
        let keeper = self.id2.keeper()?;
        let opened = aside(true, || {
            keep::open(&*keeper, &name, row.kind, closed.expose())
        });
        opened.map_err(key_error)
    }

    /// What lies under the database's seal.
    async fn id2_unsealed(&self, row: &Row) -> Result<Secret, Fault> {
        match &row.sealed {
            Some(sealed) => self.vault.open(&row.secret(), sealed),
            None => self
                .secret_open(&row.secret())
                .await?
                .ok_or_else(|| key_trouble("it is gone")),
        }
    }
}

fn name_of(hex: &str) -> Result<Name, Fault> {
    let number = u128::from_str_radix(hex, 16);
    number
        .map(u128::to_be_bytes)
        .map_err(|_| key_trouble("the name of its wrapping key is none"))
}

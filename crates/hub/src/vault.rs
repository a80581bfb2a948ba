//! Secrets at rest: sealed with data keys, which a master key wraps.
//!
//! One data key per class of secrets is made at the first start and kept, wrapped, among the
//! server's own secrets. A sealed secret is bound to its owner, so that one that was copied to
//! another row does not open there. Another master key wraps the same data keys ([`renew`]).

use crate::Hub;
use bytes::Bytes;
use credential::{
    Secret,
    crypto::{
        digest::Hash,
        hmac::hmac,
        seal::{self, KEY_LEN, NONCE_LEN, SealError, SealKey},
    },
};
use model::{
    error::Fault,
    port::{Ports, Random, SecretId},
};

/// Why the vault cannot be opened.
#[derive(Clone, Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key is not 32 bytes.
    #[error("the master key must be 32 bytes")]
    BadMasterKey,
    /// The data was sealed with another master key.
    #[error("the data was sealed with another master key than the one given")]
    OtherMasterKey,
    /// What is kept was altered, or the engine is in trouble.
    #[error("{0}")]
    Fault(#[from] Fault),
}

/// Classes of secrets, each with a data key of its own.
const CLASSES: [&str; 4] = ["device", "product", "access-key", "server"];

/// The data keys have this id in their envelopes until a way to replace them is built.
const DATA_KEY: u32 = 1;

/// Whether a master key has been used for these data.
///
/// # Errors
/// Engine trouble.
pub async fn in_use(ports: &Ports) -> Result<bool, Fault> {
    Ok(ports
        .secrets
        .find(&data_key_id(CLASSES[0]))
        .await?
        .is_some())
}

/// Wraps the data keys for `next` in place of `old`; what was sealed stays as it is. May be cut short
/// anywhere, and is done again with the same two keys; once it returns, `next` opens all of them.
///
/// # Errors
/// `OtherMasterKey` for a data key that neither of the two opens.
pub async fn renew(ports: &Ports, old: &Secret, next: &Secret) -> Result<(), VaultError> {
    let [old, next] = [old, next].map(|key| {
        let copy = Secret::new(key.expose().to_vec());
        SealKey::new(master_id(key), copy).map_err(|_| VaultError::BadMasterKey)
    });
    let (old, next) = (old?, next?);
    for class in CLASSES {
        renew_class(ports, &old, &next, class).await?;
    }
    for class in CLASSES {
        if let Some(kept) = ports.secrets.find(&data_key_id(class)).await? {
            unwrapped(&next, class, &kept)?;
        }
    }
    Ok(())
}

async fn renew_class(
    ports: &Ports,
    old: &SealKey,
    next: &SealKey,
    class: &str,
) -> Result<(), VaultError> {
    let id = data_key_id(class);
    let Some(kept) = ports.secrets.find(&id).await? else {
        // It will be made for the key of that time.
        return Ok(());
    };
    if seal::key_id(&kept) == Ok(next.id()) {
        return unwrapped(next, class, &kept).map(drop);
    }
    let key = unwrapped(old, class, &kept)?;
    let nonce = random_bytes::<NONCE_LEN>(&*ports.random);
    let wrapped = seal::wrap(next, nonce, class, &key)
        .map_err(|error| Fault::lasting(format!("wrapping a data key: {error}")))?;
    Ok(ports.secrets.put(&id, wrapped.into()).await?)
}

/// Seals and opens secrets.
pub struct Vault {
    keys: [SealKey; CLASSES.len()],
    decoy: Vec<u8>,
}

impl Vault {
    /// Unwraps the data keys, and makes them at the first start.
    ///
    /// # Errors
    /// `VaultError`.
    pub async fn unlock(ports: &Ports, master: Secret) -> Result<Self, VaultError> {
        let id = master_id(&master);
        let master = SealKey::new(id, master).map_err(|_| VaultError::BadMasterKey)?;
        let mut keys = Vec::with_capacity(CLASSES.len());
        for class in CLASSES {
            keys.push(data_key(ports, &master, class).await?);
        }
        let Ok(keys) = <[SealKey; CLASSES.len()]>::try_from(keys) else {
            return Err(Fault::lasting("a data key is missing").into());
        };
        let mut vault = Self {
            keys,
            decoy: Vec::new(),
        };
        let nobody = Secret::new(random_bytes::<KEY_LEN>(&*ports.random).to_vec());
        vault.decoy = vault.seal(&nobodys(), &*ports.random, &nobody)?.to_vec();
        Ok(vault)
    }

    /// Seals `secret` for `id`; what comes back is for `Secrets::put` or a `NewDevice`.
    ///
    /// # Errors
    /// When the secret is too long for one envelope.
    pub fn seal(
        &self,
        id: &SecretId,
        random: &dyn Random,
        secret: &Secret,
    ) -> Result<Bytes, Fault> {
        let (class, owner) = named(id);
        seal::seal(
            &self.keys[class],
            random_bytes::<NONCE_LEN>(random),
            owner.as_bytes(),
            secret,
        )
        .map(Bytes::from)
        .map_err(|error| Fault::lasting(format!("sealing {owner}: {error}")))
    }

    /// Opens what was sealed for `id`.
    ///
    /// # Errors
    /// When the text was altered, or belongs to another owner.
    pub fn open(&self, id: &SecretId, sealed: &[u8]) -> Result<Secret, Fault> {
        let (class, owner) = named(id);
        seal::open(&self.keys[class], owner.as_bytes(), sealed)
            .map_err(|error| Fault::lasting(format!("opening {owner}: {error}")))
    }

    /// A secret that nobody has, for the work of refusing somebody who does not exist to take as
    /// long as refusing a wrong proof.
    ///
    /// # Errors
    /// None that can happen: this process sealed it.
    pub(crate) fn decoy(&self) -> Result<Secret, Fault> {
        self.open(&nobodys(), &self.decoy)
    }
}

impl Hub {
    /// Seals a secret for `id`, without keeping it.
    ///
    /// # Errors
    /// When the secret is too long.
    pub(crate) fn secret_seal(&self, id: &SecretId, secret: &Secret) -> Result<Bytes, Fault> {
        self.vault.seal(id, &*self.ports.random, secret)
    }

    /// The secret that is kept under `id`, opened; none when there is none.
    ///
    /// # Errors
    /// Engine trouble, and a sealed text that does not open.
    pub(crate) async fn secret_open(&self, id: &SecretId) -> Result<Option<Secret>, Fault> {
        match self.ports.secrets.find(id).await? {
            Some(sealed) => self.vault.open(id, &sealed).map(Some),
            None => Ok(None),
        }
    }

    /// 32 fresh random bytes, for one use.
    pub(crate) fn seed(&self) -> [u8; 32] {
        random_bytes(&*self.ports.random)
    }
}

/// A secret as text, for the one time that its owner is shown it.
///
/// # Errors
/// None that can happen: what we make for owners is text.
pub(crate) fn shown(secret: &Secret) -> Result<String, Fault> {
    String::from_utf8(secret.expose().to_vec()).map_err(|_| Fault::lasting("a secret is not text"))
}

/// A key of the server's own, made when it is not there yet.
///
/// # Errors
/// Engine trouble, and a sealed text that does not open.
pub(crate) async fn server_key(ports: &Ports, vault: &Vault, name: &str) -> Result<Secret, Fault> {
    let id = SecretId::Server(name.to_owned());
    if let Some(sealed) = ports.secrets.find(&id).await? {
        return vault.open(&id, &sealed);
    }
    let fresh = Secret::new(random_bytes::<KEY_LEN>(&*ports.random).to_vec());
    let sealed = vault.seal(&id, &*ports.random, &fresh)?;
    let kept = ports.secrets.put_new(&id, sealed).await?;
    vault.open(&id, &kept)
}

async fn data_key(ports: &Ports, master: &SealKey, class: &str) -> Result<SealKey, VaultError> {
    let id = data_key_id(class);
    let kept = match ports.secrets.find(&id).await? {
        Some(kept) => kept,
        None => {
            let fresh = Secret::new(random_bytes::<KEY_LEN>(&*ports.random).to_vec());
            let nonce = random_bytes::<NONCE_LEN>(&*ports.random);
            let wrapped = SealKey::new(DATA_KEY, fresh)
                .and_then(|key| seal::wrap(master, nonce, class, &key))
                .map_err(|error| Fault::lasting(format!("making a data key: {error}")))?;
            // Another process may start at the same time; the first one's key holds.
            ports.secrets.put_new(&id, wrapped.into()).await?
        }
    };
    unwrapped(master, class, &kept)
}

fn data_key_id(class: &str) -> SecretId {
    SecretId::Server(format!("data-key/{class}"))
}

fn unwrapped(master: &SealKey, class: &str, kept: &[u8]) -> Result<SealKey, VaultError> {
    seal::unwrap(master, class, kept).map_err(|error| match error {
        SealError::OtherKey(_) => VaultError::OtherMasterKey,
        SealError::BadKey | SealError::Malformed | SealError::Forged | SealError::TooLong => {
            Fault::lasting(format!("the data key for {class} was altered: {error}")).into()
        }
    })
}

/// A few bytes that tell one master key from another and say nothing of either.
fn master_id(master: &Secret) -> u32 {
    hmac(Hash::Sha256, master, b"id of a master key")
        .iter()
        .take(4)
        .fold(0, |id, byte| id << 8 | u32::from(*byte))
}

/// The class of a secret, and the text that it is bound to.
fn named(id: &SecretId) -> (usize, String) {
    match id {
        SecretId::Device(id) => (0, format!("device/{id}")),
        SecretId::Product(key) => (1, format!("product/{key}")),
        SecretId::AccessKey(id) => (2, format!("access-key/{id}")),
        SecretId::Server(name) => (3, format!("server/{name}")),
    }
}

fn nobodys() -> SecretId {
    SecretId::Server("decoy".to_owned())
}

fn random_bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    random.fill(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        HubStartError,
        stage::{Stage, master},
    };
    use model::id::IotId;

    #[tokio::test]
    async fn a_restart_opens_what_was_sealed_and_another_master_key_does_not() {
        let stage = Stage::set().await;
        let id = SecretId::Device(IotId::parse("abc").unwrap());
        let sealed = stage
            .hub
            .secret_seal(&id, &Secret::new(b"hush".to_vec()))
            .unwrap();
        let again = stage.again(master(1)).await.unwrap();
        assert!(again.vault.open(&id, &sealed).unwrap().matches(b"hush"));
        assert!(matches!(
            stage.again(master(2)).await,
            Err(HubStartError::Vault(VaultError::OtherMasterKey))
        ));
        assert!(matches!(
            stage.again(Secret::new(b"short".to_vec())).await,
            Err(HubStartError::Vault(VaultError::BadMasterKey))
        ));
    }

    /// A renewal that was cut short behind each data key is done again; then the new key opens what
    /// was sealed before, and the old one nothing.
    #[tokio::test]
    async fn a_master_key_is_renewed_wherever_it_was_cut_short() {
        for done in 0..=CLASSES.len() {
            let stage = Stage::set().await;
            let id = SecretId::Device(IotId::parse("abc").unwrap());
            let hush = Secret::new(b"hush".to_vec());
            let sealed = stage.hub.secret_seal(&id, &hush).unwrap();
            let [old, next] = [1, 2].map(|n| SealKey::new(master_id(&master(n)), master(n)));
            let (old, next) = (old.unwrap(), next.unwrap());
            for class in &CLASSES[..done] {
                renew_class(&stage.ports, &old, &next, class).await.unwrap();
            }
            let renewed = renew(&stage.ports, &master(3), &master(2)).await;
            let whole = done == CLASSES.len();
            assert_eq!(renewed.is_ok(), whole, "neither key is that of the data");
            for _ in 0..2 {
                renew(&stage.ports, &master(1), &master(2)).await.unwrap();
            }
            let again = stage.again(master(2)).await.unwrap();
            assert!(again.vault.open(&id, &sealed).unwrap().matches(b"hush"));
            assert!(matches!(
                stage.again(master(1)).await,
                Err(HubStartError::Vault(VaultError::OtherMasterKey))
            ));
        }
    }

    #[tokio::test]
    async fn a_secret_opens_for_its_owner_only_and_nothing_is_kept_in_clear() {
        let stage = Stage::set().await;
        let vault = &stage.hub.vault;
        let device = |name| SecretId::Device(IotId::parse(name).unwrap());
        let secret = Secret::new(b"hush".to_vec());
        let sealed = stage.hub.secret_seal(&device("one"), &secret).unwrap();
        assert!(!sealed.windows(4).any(|part| part == b"hush"));
        assert!(vault.open(&device("two"), &sealed).is_err());
        // The same text as another class is another owner, under another key.
        let server = SecretId::Server("one".to_owned());
        assert!(vault.open(&server, &sealed).is_err());
        for i in 0..sealed.len() {
            let mut altered = sealed.to_vec();
            altered[i] ^= 1;
            assert!(vault.open(&device("one"), &altered).is_err(), "{i}");
        }
    }

    #[tokio::test]
    async fn an_altered_data_key_stops_the_start_and_says_so() {
        let stage = Stage::set().await;
        let id = SecretId::Server("data-key/device".to_owned());
        let mut kept = stage
            .ports
            .secrets
            .find(&id)
            .await
            .unwrap()
            .unwrap()
            .to_vec();
        let last = kept.len() - 1;
        kept[last] ^= 1;
        stage.ports.secrets.put(&id, kept.into()).await.unwrap();
        let Err(HubStartError::Vault(VaultError::Fault(fault))) = stage.again(master(1)).await
        else {
            panic!("it started");
        };
        assert!(fault.context.contains("data key for device"), "{fault}");
    }
}

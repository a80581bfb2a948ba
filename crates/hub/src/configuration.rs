//! Remote configuration: a document of a product's that its devices fetch, or are told of
//! ([AL-6.13]; seed 001 §6.12).
//!
//! Documents are files of `Blobs`, which devices reach over links; what is kept of them is their
//! size and digest. A device that is told of one gets an order, so it hears of it when it is there.

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
    edge::Session,
};
use bytes::Bytes;
use credential::crypto::digest::Hash;
use futures_util::{StreamExt, stream};
use model::{
    command::{Configuration, Order},
    device::Device,
    error::{DeviceError, Fault},
    id::{CommandId, DeviceKey, ProductKey, Time},
    port::{DeviceFilter, Expect, Put},
};
use serde::{Deserialize, Serialize};

/// What a product has of it, by product key.
const KIND: &str = "configuration";
/// Bytes of a document at most.
pub const SIZE: usize = 1024 * 1024;
/// Documents of a product that are kept, the newest among them.
const KEPT: usize = 5;
/// Devices that are looked at in one go.
const PAGE: usize = 500;
/// Devices that are told at the same time.
const AT_ONCE: usize = 32;

/// Remote configuration of a product.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Configurations {
    /// Whether devices get it.
    pub on: bool,
    /// The documents that are kept, newest first; devices get the first.
    pub versions: Vec<Version>,
}

/// A document of before, or the one of now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// What devices are told of it.
    pub document: Configuration,
    /// When it was given.
    pub at: Time,
}

/// Why a device gets no document.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConfigurationError {
    /// The product's switch is off.
    #[error("remote configuration is off")]
    Off,
    /// There is no document.
    #[error("there is no document")]
    None,
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

impl Hub {
    /// Remote configuration of a product.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn configuration_of(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<Configurations, DeviceError> {
        self.configuration_owned(permit, product).await?;
        Ok(self.configurations(product).await?)
    }

    /// Turns the switch.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn configuration_switch(
        &self,
        permit: &Permit,
        product: &ProductKey,
        on: bool,
    ) -> Result<Configurations, DeviceError> {
        self.configuration_owned(permit, product).await?;
        let (now, _) = self
            .configurations_change(product, |all| {
                all.on = on;
                Vec::new()
            })
            .await?;
        Ok(now)
    }

    /// Gives the product another document; devices that ask get it from now on.
    ///
    /// # Errors
    /// `NoSuchProduct`, `BadRequest` for an empty document, `TooMuch` for one over `SIZE`.
    pub async fn configuration_put(
        &self,
        permit: &Permit,
        product: &ProductKey,
        content: Bytes,
    ) -> Result<Configurations, DeviceError> {
        self.configuration_owned(permit, product).await?;
        if content.is_empty() {
            return Err(DeviceError::BadRequest("the document is empty".into()));
        }
        if content.len() > SIZE {
            let text = format!("a document has at most {SIZE} bytes");
            return Err(DeviceError::TooMuch(text));
        }
        let number = self.ports.catalog.next("configuration").await?;
        let blob = format!("config-{number}");
        let version = Version {
            document: Configuration {
                id: format!("c{number}"),
                size: content.len() as u64,
                sha256: Hash::Sha256.hex(&content),
                blob: blob.clone(),
            },
            at: self.now(),
        };
        let mut file = self.blob_create(&blob).await?;
        file.write(content).await?;
        file.finish().await?;
        let (now, gone) = self
            .configurations_change(product, |all| {
                all.versions.insert(0, version.clone());
                let kept = all.versions.len().min(KEPT);
                all.versions.split_off(kept)
            })
            .await?;
        for old in gone {
            self.ports.blobs.remove(&old.document.blob).await?;
        }
        Ok(now)
    }

    /// Tells one device of the product's document.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` where the switch is off or there is no document, `TooMuch`.
    pub async fn configuration_push(
        &self,
        permit: &Permit,
        device: &DeviceKey,
    ) -> Result<CommandId, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let document = self.configuration_ready(&device.key.product).await?;
        self.configuration_order(&device, &document).await
    }

    /// Tells all devices of the product that were ever connected and are not disabled. Gives their
    /// number. One for which too many orders wait is passed over.
    ///
    /// # Errors
    /// `NoSuchProduct`, `BadRequest` where the switch is off or there is no document.
    pub async fn configuration_push_all(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<u64, DeviceError> {
        self.configuration_owned(permit, product).await?;
        let document = self.configuration_ready(product).await?;
        let filter = DeviceFilter {
            activated: Some(true),
            disabled: Some(false),
        };
        let (mut skip, mut told) = (0, 0);
        loop {
            let page = self.ports.devices.page(product, &filter, skip, PAGE);
            let (page, _) = page.await?;
            if page.is_empty() {
                return Ok(told);
            }
            skip += page.len() as u64;
            // Several at once share what the disk does for them.
            let ordered: Vec<_> = stream::iter(page)
                .map(|device| self.configuration_told(device, &document))
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            for (device, ordered) in ordered {
                match ordered {
                    Ok(_) => told += 1,
                    Err(DeviceError::TooMuch(why)) => {
                        tracing::warn!(%device, why, "not told of a configuration");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
    }

    /// The document for the session's device.
    ///
    /// # Errors
    /// `ConfigurationError`.
    pub async fn configuration_for_device(
        &self,
        session: &Session,
    ) -> Result<Configuration, ConfigurationError> {
        let all = self.configurations(&session.device.product).await?;
        all.current()
    }

    /// What has to go with a product that is deleted, after its files.
    pub(crate) async fn configuration_gone(&self, product: &ProductKey) -> Result<Put, Fault> {
        for old in self.configurations(product).await?.versions {
            self.ports.blobs.remove(&old.document.blob).await?;
        }
        Ok(remove(KIND, product.to_string(), Expect::Anything))
    }

    async fn configuration_told(
        &self,
        device: Device,
        document: &Configuration,
    ) -> (DeviceKey, Result<CommandId, DeviceError>) {
        let ordered = self.configuration_order(&device, document).await;
        (device.key, ordered)
    }

    async fn configuration_order(
        &self,
        device: &Device,
        document: &Configuration,
    ) -> Result<CommandId, DeviceError> {
        let order = Order::Configure(Box::new(document.clone()));
        Ok(self.command_send_newest(device, order).await?.id)
    }

    async fn configuration_ready(
        &self,
        product: &ProductKey,
    ) -> Result<Configuration, DeviceError> {
        let all = self.configurations(product).await?;
        all.current().map_err(|error| match error {
            ConfigurationError::Fault(fault) => DeviceError::Fault(fault),
            other => DeviceError::BadRequest(other.to_string()),
        })
    }

    async fn configuration_owned(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<(), DeviceError> {
        let product = self.product_owned(permit, product).await?;
        product.map(|_| ()).ok_or(DeviceError::NoSuchProduct)
    }

    async fn configurations(&self, product: &ProductKey) -> Result<Configurations, Fault> {
        let found = self.document::<Configurations>(KIND, product.as_str());
        Ok(found.await?.map(|found| found.value).unwrap_or_default())
    }

    async fn configurations_change(
        &self,
        product: &ProductKey,
        change: impl Fn(&mut Configurations) -> Vec<Version> + Send + Sync,
    ) -> Result<(Configurations, Vec<Version>), Fault> {
        for _ in 0..TRIES {
            let found = self.document::<Configurations>(KIND, product.as_str());
            let found = found.await?;
            let expect = found
                .as_ref()
                .map_or(Expect::Absent, |found| found.expect());
            let mut all = found.map(|found| found.value).unwrap_or_default();
            let gone = change(&mut all);
            let puts = vec![put(KIND, product.to_string(), &all, expect)?];
            if self.document_put(puts).await? {
                return Ok((all, gone));
            }
        }
        Err(busy(KIND))
    }
}

impl Configurations {
    fn current(self) -> Result<Configuration, ConfigurationError> {
        if !self.on {
            return Err(ConfigurationError::Off);
        }
        let newest = self.versions.into_iter().next();
        newest
            .map(|version| version.document)
            .ok_or(ConfigurationError::None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::tests::lamp, stage::Stage};

    /// [AL-6.13] Devices get the newest document while the switch is on; old ones are forgotten
    /// with their files, and all with their product.
    #[tokio::test]
    async fn devices_get_the_newest_document() {
        let stage = Stage::set().await;
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let get = || hub.configuration_for_device(session);
        assert!(matches!(get().await, Err(ConfigurationError::Off)));
        hub.configuration_switch(&lamp.permit, &lamp.product, true)
            .await
            .unwrap();
        assert!(matches!(get().await, Err(ConfigurationError::None)));
        let put = |content: &'static str| {
            hub.configuration_put(&lamp.permit, &lamp.product, content.into())
        };
        for content in ["1", "22", "333", "4444", "55555", "666666"] {
            put(content).await.unwrap();
        }
        let document = get().await.unwrap();
        assert_eq!(document.size, 6);
        assert_eq!(
            document.sha256,
            "94edf28c6d6da38fd35d7ad53e485307f89fbeaf120485c8d17a43f323deee71"
        );
        let read = hub.link_read(&document.blob, 0, 99).await.unwrap();
        assert_eq!(read, "666666");
        let all = hub
            .configuration_of(&lamp.permit, &lamp.product)
            .await
            .unwrap();
        assert_eq!(all.versions.len(), KEPT);
        assert_eq!(stage.ports.blobs.size("config-1").await.unwrap(), None);
        assert!(put("").await.is_err());
        let other = stage.other_permit().await;
        let foreign = hub.configuration_of(&other, &lamp.product).await;
        assert!(matches!(foreign, Err(DeviceError::NoSuchProduct)));

        assert_eq!(
            hub.configuration_push_all(&lamp.permit, &lamp.product)
                .await
                .unwrap(),
            1
        );
        hub.session_leave(session).await.unwrap();
        for _ in 0..3 {
            hub.configuration_push(&lamp.permit, &session.device)
                .await
                .unwrap();
        }
        let waiting = hub.commands_waiting(session).await.unwrap();
        assert_eq!(waiting.len(), 1, "the newest");
        assert_eq!(waiting[0].order, Order::Configure(Box::new(document)));
        hub.device_delete(&lamp.permit, &session.device)
            .await
            .unwrap();
        hub.product_delete(&lamp.permit, &lamp.product)
            .await
            .unwrap();
        assert_eq!(stage.ports.blobs.size("config-6").await.unwrap(), None);
    }
}

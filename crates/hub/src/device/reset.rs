//! Devices that begin anew: an application lets one register itself once more, or a device says
//! that its user set it back.

use crate::{
    Hub,
    account::Permit,
    document::{put, remove},
    edge::Session,
};
use model::{
    error::{DeviceError, Fault, PostError},
    fact::What,
    id::{DeviceKey, IotId},
    port::Expect,
};

/// Devices that may register themselves although they were active, by id.
pub(super) const KIND: &str = "device-reset";

impl Hub {
    /// Lets a device that registered itself do so once more, and undoes its topology: as a
    /// gateway it has no sub-devices any more, as a sub-device no gateway. Its secret and its
    /// session stay until it registers.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_reset(&self, permit: &Permit, key: &DeviceKey) -> Result<(), DeviceError> {
        let device = self.device_owned(permit, key).await?;
        let id = &device.iot_id;
        self.topo_undo(id).await?;
        let mark = put(KIND, id.as_str().to_owned(), &(), Expect::Anything)?;
        self.document_put(vec![mark]).await?;
        // One of the two sees the other: this, or whoever deletes the device.
        if self.ports.devices.find_id(id).await?.is_none() {
            self.reset_used(id).await?;
            return Err(DeviceError::NotFound);
        }
        let what = What::Reset { by_device: false };
        self.fact(key, id, what).await?;
        Ok(())
    }

    /// Journals that the session's device was set back by its user.
    ///
    /// # Errors
    /// `Fault`.
    pub async fn reset_report(&self, session: &Session) -> Result<(), PostError> {
        let what = What::Reset { by_device: true };
        self.fact(&session.device, &session.iot_id, what).await?;
        Ok(())
    }

    /// Whether a device that was active may register itself.
    pub(crate) async fn reset_allows(&self, id: &IotId) -> Result<bool, Fault> {
        let mark = self.ports.catalog.get(KIND, id.as_str()).await?;
        Ok(mark.is_some())
    }

    /// The device has registered itself.
    pub(crate) async fn reset_used(&self, id: &IotId) -> Result<(), Fault> {
        let gone = remove(KIND, id.as_str().to_owned(), Expect::Anything);
        self.document_put(vec![gone]).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        admit::Registration,
        stage::{Stage, claim},
    };
    use credential::Want;
    use model::{error::AdmitError, fact::What, product::DynamicRegistration};

    /// [AL-2.3] A device that has its secret gets another one after a reset, once; the former one
    /// is void then, and not before.
    #[tokio::test]
    async fn a_reset_device_registers_itself_once_more() {
        let stage = Stage::set().await;
        let permit = stage.permit().await;
        let (product, product_secret) = stage.product(DynamicRegistration::Registered).await;
        let (device, secret) = stage.device(&product, "lamp-1").await;
        let hub = &stage.hub;
        let own = |secret: &str| claim(&device.key, secret, Want::DeviceSecret);
        hub.device_admit(own(&secret), 0).await.unwrap();
        let register = async || {
            let claim = claim(&device.key, &product_secret, Want::ProductSecret);
            hub.device_register_self(claim, Registration::Known).await
        };
        let refused = register().await;
        assert!(matches!(refused, Err(AdmitError::AlreadyActive)));
        hub.device_reset(&permit, &device.key).await.unwrap();
        hub.device_admit(own(&secret), 0).await.unwrap();
        let second = register().await.unwrap().secret;
        assert_ne!(second, secret);
        let old = hub.device_admit(own(&secret), 0).await;
        assert!(matches!(old, Err(AdmitError::BadProof)));
        hub.device_admit(own(&second), 0).await.unwrap();
        let refused = register().await;
        assert!(matches!(refused, Err(AdmitError::AlreadyActive)));
        let facts = stage.facts(&device.iot_id).await;
        assert!(facts.contains(&What::Reset { by_device: false }));
    }
}

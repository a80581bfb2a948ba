//! Sessions: from the proof to the end of the connection.

use crate::{
    Hub,
    edge::{Channel, Peer, Session, Via},
};
use model::{
    device::Device,
    error::{AdmitError, Fault},
    fact::What,
    id::{DeviceKey, IotId, ProductKey},
    port::{Change, CloseReason, Place, Signal},
    product::Product,
};
use std::{net::Ipv4Addr, sync::Arc};

use super::TRIES;

impl Hub {
    /// Opens a session for a device that proved itself.
    pub(crate) async fn session_open(
        &self,
        device: Device,
        product: Arc<Product>,
        peer: Peer,
        marks: u32,
        via: Option<Via>,
    ) -> Result<Session, AdmitError> {
        let (device, first) = self.device_activate(device).await?;
        let session = Session {
            id: self.session_number(),
            device: DeviceKey {
                // Shared by all sessions of the product.
                product: product.key.clone(),
                name: device.key.name.clone(),
            },
            iot_id: device.iot_id.clone(),
            product,
            peer,
            marks,
            via,
        };
        // Before it arrives, so that whatever comes after finds it.
        let replaced = self.riders.board(&session, self.limits.sub_devices)?;
        let former = match self.session_arrive(&session).await {
            Ok(former) => former,
            Err(fault) => {
                self.riders.alight(&session);
                return Err(fault.into());
            }
        };
        if let Some(replaced) = replaced {
            self.session_leave(&replaced).await?;
        }
        let opened = self.session_tell(&session, &device, first).await;
        if let Err(error) = opened {
            self.riders.alight(&session);
            // Not "offline": it was never told to be online.
            if let Err(fault) = self.ports.presence.leave(&session.iot_id, session.id).await {
                tracing::error!(%fault, device = %session.device, "a place was not given back");
            }
            return Err(error);
        }
        if let Some(former) = former {
            let signal = Signal::Close {
                iot_id: session.iot_id.clone(),
                session: Some(former.session),
                reason: CloseReason::TakenOver,
            };
            if let Err(fault) = self.ports.bus.send(&former.node, signal).await {
                // Its node is gone, and the connection with it.
                tracing::warn!(%fault, device = %session.device, "the former connection was not told");
            }
        }
        self.metrics.session_opened();
        self.trace_note(&session, "", &format!("connected from {}", peer.address));
        Ok(session)
    }

    /// A session as a device had it in a process that ended without a word, for what is still to be
    /// done in its name; it is not open. None for a device that is not registered any more.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn session_recall(
        &self,
        iot_id: &IotId,
        marks: u32,
    ) -> Result<Option<Session>, Fault> {
        let Some(device) = self.ports.devices.find_id(iot_id).await? else {
            return Ok(None);
        };
        let product = self.shelf_product(&device.key.product).await?;
        Ok(product.map(|product| Session {
            id: self.session_number(),
            device: device.key,
            iot_id: device.iot_id,
            product,
            // Of its connection nothing is known any more.
            peer: Peer {
                address: Ipv4Addr::UNSPECIFIED.into(),
                channel: Channel::Tcp,
            },
            marks,
            via: None,
        }))
    }

    /// Gives back the place of a session that ended. False when another one took it over: then the
    /// device is not "offline". To be called until it does not fail, for every session that was
    /// opened.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn session_leave(&self, session: &Session) -> Result<bool, Fault> {
        if session.via.is_none() {
            self.riders_leave(session).await?;
        }
        let presence = &self.ports.presence;
        let left = presence.leave(&session.iot_id, session.id).await?;
        self.metrics.session_closed();
        Ok(left)
    }

    /// Notes that a device is offline, once its session has left; soon on disk.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn session_offline(&self, session: &Session, reason: &str) -> Result<(), Fault> {
        self.trace_note(session, "", &format!("disconnected: {reason}"));
        let what = What::Offline {
            reason: reason.to_owned(),
        };
        self.fact_note(&session.device, &session.iot_id, what).await
    }

    /// Tells the connection of a device to end, wherever it is.
    pub(crate) async fn session_end(
        &self,
        device: &Device,
        reason: CloseReason,
    ) -> Result<(), Fault> {
        let Some(place) = self.ports.presence.find(&device.iot_id).await? else {
            return Ok(());
        };
        let signal = Signal::Close {
            iot_id: device.iot_id.clone(),
            session: None,
            reason,
        };
        self.ports.bus.send(&place.node, signal).await
    }

    /// The product as it is now, if a device of it connected to this process before.
    pub fn product_now(&self, key: &ProductKey) -> Option<Arc<Product>> {
        self.shelf.product(key)
    }

    /// Marks the device as activated at its first time; says whether it was this time.
    async fn device_activate(&self, device: Device) -> Result<(Device, bool), AdmitError> {
        let proven = device.credential;
        let mut device = device;
        for _ in 0..TRIES {
            if device.activated.is_some() {
                return Ok((device, false));
            }
            let mut changed = device.clone();
            changed.activated = Some(self.now());
            if let Change::Done(version) = self.ports.devices.change(&changed).await? {
                changed.version = version;
                return Ok((changed, true));
            }
            device = self.device_again(&device, proven).await?;
        }
        Err(Fault::passing("the device's row changed all the time").into())
    }

    /// The row as it is now, if what was proven for it still holds.
    async fn device_again(&self, device: &Device, proven: u64) -> Result<Device, AdmitError> {
        match self.ports.devices.find_id(&device.iot_id).await? {
            None => Err(AdmitError::Deleted),
            Some(found) if found.disabled => Err(AdmitError::Disabled),
            Some(found) if found.credential != proven => Err(AdmitError::BadProof),
            Some(found) => Ok(found),
        }
    }

    async fn session_arrive(&self, session: &Session) -> Result<Option<Place>, Fault> {
        let place = Place {
            node: self.ports.bus.node(),
            session: session.id,
            since: self.now(),
        };
        let presence = &self.ports.presence;
        presence
            .arrive(&session.iot_id, &session.device.product, place)
            .await
    }

    /// Looks once more whether the device may be here, now that whoever disables it would find it,
    /// and notes in the journal that it came.
    async fn session_tell(
        &self,
        session: &Session,
        device: &Device,
        first: bool,
    ) -> Result<(), AdmitError> {
        self.device_again(device, device.credential).await?;
        let (key, id) = (&session.device, &session.iot_id);
        let online = What::Online {
            address: session.peer.address.to_string(),
        };
        if first {
            self.fact(key, id, What::Activated).await?;
        }
        // Nobody is told anything by it that a disk must hold first, and in a storm of logins many
        // share one sync.
        self.fact_note(key, id, online).await?;
        Ok(())
    }
}

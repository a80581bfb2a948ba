//! Wiring: what a gateway is told of how to reach its sub-devices ([AL-6.9]; seed 001 §6.7).
//!
//! Channels are a gateway's, places belong to the binding of a sub-device and go with it, mappings
//! are a product's. Nothing of it reaches the gateway before somebody pushes it: then it becomes a
//! file, which the gateway fetches over a link. The edge that knows the gateway's dialect writes the
//! file; passwords come to it in clear and leave it as the dialect says.

mod push;

pub use push::{Pushed, Reply, WiredProduct, Wiring};

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
    shelf::ShelvedModel,
    topo::{BY_SUB, relation_key},
};
use credential::Secret;
use model::{
    device::Device,
    error::{DeviceError, Fault, TopoError},
    id::{DeviceKey, IotId, ProductKey},
    port::{Expect, Put, SecretId},
    topo::Relation,
    wiring::{Channel, Link, Mapping, Place, TEXT},
};
use serde::{Deserialize, Serialize};
use std::fmt::Write;

/// Channels of a gateway, by its id.
const CHANNELS: &str = "wiring-channels";
/// Places of sub-devices, by gateway and sub-device as their bindings are.
const PLACE: &str = "wiring-place";
/// Mappings by product.
const MAPPING: &str = "wiring-mapping";
/// Channels of a gateway at most.
pub const MOST: usize = 200;
/// Bytes of a password at most.
const PASSWORD: usize = 256;

/// A channel as somebody wants it.
pub struct NewChannel {
    /// For people.
    pub name: String,
    /// What the line is.
    pub link: Link,
    /// With the user of the line; left out, the one of before stays.
    pub password: Option<Secret>,
}

/// A sub-device and its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Placed {
    /// Who.
    pub sub: DeviceKey,
    /// Where.
    pub place: Place,
}

/// What removes the place of a binding that ends.
pub(crate) fn place_gone(relation: String) -> Put {
    remove(PLACE, relation, Expect::Anything)
}

/// What removes the mapping of a product.
pub(crate) fn mapping_gone(product: &ProductKey) -> Put {
    remove(MAPPING, product.to_string(), Expect::Anything)
}

impl Hub {
    /// The channels of a gateway, oldest first.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for a device that is no gateway.
    pub async fn channels_of(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
    ) -> Result<Vec<Channel>, DeviceError> {
        let gateway = self.topo_gateway_owned(permit, gateway).await?;
        Ok(self.channels(&gateway.iot_id).await?.0)
    }

    /// Gives a gateway another channel, or changes the one with this id.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`, `TooMuch` for more than `MOST`.
    pub async fn channel_put(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        id: Option<&str>,
        new: NewChannel,
    ) -> Result<Channel, DeviceError> {
        let gateway = self.topo_gateway_owned(permit, gateway).await?;
        let NewChannel {
            name,
            link,
            password,
        } = new;
        check(&name, &link, password.as_ref())?;
        let channel = Channel {
            id: id.map_or_else(|| self.channel_id(), str::to_owned),
            name,
            link,
            changed: self.now(),
        };
        for _ in 0..TRIES {
            let (mut all, expect) = self.channels(&gateway.iot_id).await?;
            match id {
                None => all.push(channel.clone()),
                Some(id) => {
                    let former = all.iter_mut().find(|channel| channel.id == id);
                    let former = former.ok_or_else(|| no_channel(id))?;
                    let places = self.places(&gateway.iot_id).await?;
                    let on_it = |placed: &&Placed| placed.place.channel() == Some(id);
                    let mut on_it = places.iter().filter(on_it);
                    if let Some(misfit) = on_it.find(|placed| !placed.place.fits(&channel.link)) {
                        return Err(DeviceError::BadRequest(format!(
                            "{} is on this channel and speaks another protocol",
                            misfit.sub.name
                        )));
                    }
                    *former = channel.clone();
                }
            }
            if all.len() > MOST {
                let text = format!("a gateway has at most {MOST} channels");
                return Err(DeviceError::TooMuch(text));
            }
            // First, so that no channel is there without what opens it; a word for a channel that
            // then is not kept goes with its gateway.
            self.channel_password(&gateway.iot_id, &channel, password.as_ref())
                .await?;
            let key = gateway.iot_id.to_string();
            if self
                .document_put(vec![put(CHANNELS, key, &all, expect)?])
                .await?
            {
                return Ok(channel);
            }
        }
        Err(busy(CHANNELS).into())
    }

    /// Removes a channel on which no sub-device is.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for one that is not there or is used.
    pub async fn channel_remove(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        id: &str,
    ) -> Result<(), DeviceError> {
        let gateway = self.topo_gateway_owned(permit, gateway).await?;
        for _ in 0..TRIES {
            let (mut all, expect) = self.channels(&gateway.iot_id).await?;
            let at = all.iter().position(|channel| channel.id == id);
            all.remove(at.ok_or_else(|| no_channel(id))?);
            let places = self.places(&gateway.iot_id).await?;
            let mut places = places.iter();
            if let Some(user) = places.find(|placed| placed.place.channel() == Some(id)) {
                return Err(DeviceError::BadRequest(format!(
                    "{} is on this channel",
                    user.sub.name
                )));
            }
            let key = gateway.iot_id.to_string();
            if self
                .document_put(vec![put(CHANNELS, key, &all, expect)?])
                .await?
            {
                let secret = password_id(&gateway.iot_id, id);
                return Ok(self.ports.secrets.remove(&secret).await?);
            }
        }
        Err(busy(CHANNELS).into())
    }

    /// Where the sub-devices of a gateway are, of those for which it was said.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for a device that is no gateway.
    pub async fn places_of(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
    ) -> Result<Vec<Placed>, DeviceError> {
        let gateway = self.topo_gateway_owned(permit, gateway).await?;
        Ok(self.places(&gateway.iot_id).await?)
    }

    /// Says where a sub-device is that is bound to the gateway, or nothing any more.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for one that is not bound to it, for a channel that is not there or
    /// has another protocol, for a place that cannot be.
    pub async fn place_put(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        sub: &DeviceKey,
        place: Option<Place>,
    ) -> Result<(), DeviceError> {
        let gateway = self.topo_gateway_owned(permit, gateway).await?;
        let sub = self.device_owned(permit, sub).await?;
        if let Some(place) = &place {
            place.check().map_err(DeviceError::BadRequest)?;
        }
        for _ in 0..TRIES {
            let puts = self.place_puts(&gateway, &sub, place.as_ref()).await?;
            if self.document_put(puts).await? {
                return Ok(());
            }
        }
        Err(busy(PLACE).into())
    }

    /// The mapping of a product; none when it has none.
    ///
    /// # Errors
    /// `NoSuchProduct`.
    pub async fn mapping_of(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<Option<Mapping>, DeviceError> {
        self.mapping_owned(permit, product).await?;
        Ok(self.mapping(product).await?)
    }

    /// Gives a product a mapping, or takes it away. What it maps has to be in the published thing
    /// model.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotModelled`, `BadRequest`.
    pub async fn mapping_put(
        &self,
        permit: &Permit,
        product: &ProductKey,
        mapping: Option<Mapping>,
    ) -> Result<(), DeviceError> {
        self.mapping_owned(permit, product).await?;
        let key = product.to_string();
        let change = match mapping {
            None => mapping_gone(product),
            Some(mapping) => {
                mapping.check().map_err(DeviceError::BadRequest)?;
                let model = self.shelf_model(product).await?;
                known(&mapping, &*model.ok_or(DeviceError::NotModelled)?)?;
                put(MAPPING, key, &mapping, Expect::Anything)?
            }
        };
        self.document_put(vec![change]).await?;
        Ok(())
    }

    /// Forgets what was kept of a gateway that is gone.
    pub(crate) async fn wiring_forget(&self, gateway: &IotId) -> Result<(), Fault> {
        let (channels, _) = self.channels(gateway).await?;
        for channel in &channels {
            let secret = password_id(gateway, &channel.id);
            self.ports.secrets.remove(&secret).await?;
        }
        if !channels.is_empty() {
            let gone = remove(CHANNELS, gateway.to_string(), Expect::Anything);
            self.document_put(vec![gone]).await?;
        }
        self.push_forget(gateway).await
    }

    async fn channel_password(
        &self,
        gateway: &IotId,
        channel: &Channel,
        password: Option<&Secret>,
    ) -> Result<(), Fault> {
        let id = password_id(gateway, &channel.id);
        let user = matches!(&channel.link, Link::OpcUa { user, .. } if !user.is_empty());
        match password {
            Some(password) => {
                let sealed = self.secret_seal(&id, password)?;
                self.ports.secrets.put(&id, sealed).await
            }
            None if user => Ok(()),
            None => self.ports.secrets.remove(&id).await,
        }
    }

    async fn place_puts(
        &self,
        gateway: &Device,
        sub: &Device,
        place: Option<&Place>,
    ) -> Result<Vec<Put>, DeviceError> {
        let bound = self.document::<Relation>(BY_SUB, sub.iot_id.as_str());
        let bound = bound.await?;
        let bound = bound.filter(|bound| bound.value.gateway_id == gateway.iot_id);
        let not_bound = || DeviceError::BadRequest(TopoError::NotBound.to_string());
        let bound = bound.ok_or_else(not_bound)?;
        let key = relation_key(&gateway.iot_id, &sub.iot_id);
        let Some(place) = place else {
            return Ok(vec![place_gone(key)]);
        };
        let placed = Placed {
            sub: sub.key.clone(),
            place: place.clone(),
        };
        // Binding and channels are written as they are, so that a place whose binding or channel is
        // removed at the same time is not kept.
        let expect = bound.expect();
        let id = sub.iot_id.to_string();
        let mut puts = vec![
            put(PLACE, key, &placed, Expect::Anything)?,
            put(BY_SUB, id, &bound.value, expect)?,
        ];
        if let Some(id) = place.channel() {
            let (all, expect) = self.channels(&gateway.iot_id).await?;
            let channel = all.iter().find(|channel| channel.id == id);
            let channel = channel.ok_or_else(|| no_channel(id))?;
            if !place.fits(&channel.link) {
                let text = format!("channel {id} has another protocol");
                return Err(DeviceError::BadRequest(text));
            }
            puts.push(put(CHANNELS, gateway.iot_id.to_string(), &all, expect)?);
        }
        Ok(puts)
    }

    async fn channels(&self, gateway: &IotId) -> Result<(Vec<Channel>, Expect), Fault> {
        let found = self.document(CHANNELS, gateway.as_str()).await?;
        Ok(found.map_or((Vec::new(), Expect::Absent), |found| {
            let expect = found.expect();
            (found.value, expect)
        }))
    }

    async fn places(&self, gateway: &IotId) -> Result<Vec<Placed>, Fault> {
        self.documents(PLACE, &format!("{gateway}/")).await
    }

    async fn mapping(&self, product: &ProductKey) -> Result<Option<Mapping>, Fault> {
        let found = self.document(MAPPING, product.as_str()).await?;
        Ok(found.map(|found| found.value))
    }

    async fn mapping_owned(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<(), DeviceError> {
        let product = self.product_owned(permit, product).await?;
        product.map(|_| ()).ok_or(DeviceError::NoSuchProduct)
    }

    fn channel_id(&self) -> String {
        let mut id = String::with_capacity(32);
        for byte in self.seed().iter().take(16) {
            // Writing to a text cannot fail.
            let _ = write!(id, "{byte:02X}");
        }
        id
    }
}

fn password_id(gateway: &IotId, channel: &str) -> SecretId {
    SecretId::Server(format!("channel/{gateway}/{channel}"))
}

fn no_channel(id: &str) -> DeviceError {
    let shown: String = id.chars().take(TEXT).collect();
    DeviceError::BadRequest(format!("the gateway has no channel {shown:?}"))
}

fn check(name: &str, link: &Link, password: Option<&Secret>) -> Result<(), DeviceError> {
    let bad = |text: &str| Err(DeviceError::BadRequest(text.into()));
    let long = name.chars().count() > TEXT;
    if name.trim().is_empty() || long || name.chars().any(char::is_control) {
        return bad("a name has 1 to 256 characters without control characters");
    }
    link.check().map_err(DeviceError::BadRequest)?;
    let Some(password) = password else {
        return Ok(());
    };
    if !(1..=PASSWORD).contains(&password.expose().len()) {
        return bad("a password has 1 to 256 bytes");
    }
    match link {
        Link::OpcUa { user, .. } if !user.is_empty() => Ok(()),
        Link::OpcUa { .. } | Link::ModbusRtu { .. } | Link::ModbusTcp { .. } => {
            bad("a password goes with the user of an OPC UA channel")
        }
    }
}

/// Whether a mapping speaks of functions that there are.
fn known(mapping: &Mapping, model: &ShelvedModel) -> Result<(), DeviceError> {
    let tsl = &model.tsl;
    let property = |name: &&str| tsl.property(name).is_none();
    let missing = match mapping {
        Mapping::Modbus { properties } => {
            let mut names = properties.iter().map(|one| one.identifier.as_str());
            names.find(property)
        }
        Mapping::Custom { properties } => {
            let mut names = properties.iter().map(|one| one.identifier.as_str());
            names.find(property)
        }
        Mapping::OpcUa {
            properties,
            services,
            events,
        } => {
            let mut names = properties.iter().map(|one| one.identifier.as_str());
            let mut calls = services.iter().map(|one| one.identifier.as_str());
            let mut told = events.iter().map(|one| one.identifier.as_str());
            names
                .find(property)
                .or_else(|| calls.find(|name| tsl.service(name).is_none()))
                .or_else(|| told.find(|name| tsl.event(name).is_none()))
        }
    };
    match missing {
        None => Ok(()),
        Some(name) => Err(DeviceError::BadRequest(format!(
            "the published thing model has no {name:?} of that kind"
        ))),
    }
}

#[cfg(test)]
mod tests;

//! Topology: gateways bind sub-devices, and applications see and change it ([AL-6.1], [AL-2.6]).
//!
//! A relation stands in the catalog twice, under its gateway and under its sub-device, beside a
//! count for each gateway; all three change together or not at all, so that neither the quota nor
//! "one gateway for a sub-device" can be raced past. Of a sub-device that was deleted while it was
//! bound a mark stays with the gateway, which learns by it why a login fails.

mod register;

pub use register::{Proxied, SubRegistered};

use crate::{
    Hub,
    account::Permit,
    admit::Claim,
    device::DeviceView,
    document::{TRIES, busy, put, remove},
    edge::Session,
    wiring,
};
use model::{
    command::Order,
    device::Device,
    error::{DeviceError, Fault, TopoError},
    fact::What,
    id::{CommandId, DeviceKey, DeviceName, IotId, ProductKey, Time},
    port::{CloseReason, Expect, Put, Signal},
    product::NodeKind,
    topo::{Notice, Relation, Turn},
};
use std::collections::{BTreeMap, HashSet};

/// Relations by gateway and sub-device.
const BY_GATEWAY: &str = "topology";
/// Relations by sub-device.
pub(crate) const BY_SUB: &str = "topology-sub";
/// How many a gateway has.
const COUNT: &str = "topology-count";
/// Sub-devices that were deleted while they were bound.
const GONE: &str = "topology-gone";
/// Relations that are removed in one step.
const CHUNK: usize = 200;
/// Devices in one request of a gateway or an application.
const ONCE: usize = 1_500;

/// What binding changed.
struct Bound {
    /// Who is bound now and was not before.
    new: Vec<DeviceKey>,
    /// Who was bound to another gateway before.
    moved: Vec<Relation>,
}

impl Hub {
    /// Binds sub-devices to a gateway, all or none, each with a proof of its own secret. One that
    /// is bound to another gateway moves.
    ///
    /// # Errors
    /// `TopoError`.
    pub async fn topo_add(
        &self,
        gateway: &Session,
        claims: &[Claim],
    ) -> Result<Vec<DeviceKey>, TopoError> {
        gateway_only(gateway)?;
        few(claims.len())?;
        let mut subs = Vec::with_capacity(claims.len());
        for claim in claims {
            if claim.device == gateway.device {
                return Err(TopoError::BySelf);
            }
            let proven = self.prove(claim).await;
            self.admitted("topology.add", claim, &proven).await;
            let (device, product) = proven?;
            if product.account != gateway.product.account {
                return Err(TopoError::NoSuchDevice);
            }
            if product.node == NodeKind::Gateway {
                return Err(TopoError::NotSub);
            }
            subs.push(device);
        }
        let row = self.ports.devices.find_id(&gateway.iot_id).await?;
        let row = row.ok_or(TopoError::NoSuchDevice)?;
        self.topo_bind(&row, &subs, false).await?;
        Ok(claims.iter().map(|claim| claim.device.clone()).collect())
    }

    /// Unbinds sub-devices from the gateway that asks; those that are not bound to it are passed
    /// over, so that a gateway may ask again.
    ///
    /// # Errors
    /// `NoSuchDevice`, with nothing changed.
    pub async fn topo_delete(
        &self,
        gateway: &Session,
        devices: &[DeviceKey],
    ) -> Result<(), TopoError> {
        gateway_only(gateway)?;
        few(devices.len())?;
        let mut subs = Vec::with_capacity(devices.len());
        for device in devices {
            let row = self.ports.devices.find(device).await?;
            subs.push(row.ok_or(TopoError::NoSuchDevice)?);
        }
        for sub in &subs {
            let Some(relation) = self.topo_of(&sub.iot_id).await? else {
                continue;
            };
            if relation.gateway_id == gateway.iot_id {
                self.topo_unbind(&relation, false).await?;
            }
        }
        Ok(())
    }

    /// The sub-devices of the gateway that asks.
    ///
    /// # Errors
    /// `NotGateway`, engine trouble.
    pub async fn topo_get(&self, gateway: &Session) -> Result<Vec<DeviceKey>, TopoError> {
        gateway_only(gateway)?;
        let all = self.topo_relations(&gateway.iot_id).await?;
        Ok(all.into_iter().map(|relation| relation.sub).collect())
    }

    /// Journals that a gateway found devices, by product and name as it wrote them.
    ///
    /// # Errors
    /// `NoSuchProduct`, `BadName`.
    pub async fn topo_found(
        &self,
        gateway: &Session,
        found: &[(String, String)],
    ) -> Result<(), TopoError> {
        gateway_only(gateway)?;
        few(found.len())?;
        let mut devices = Vec::with_capacity(found.len());
        for (product, name) in found {
            let key = ProductKey::parse(product).map_err(|_| TopoError::NoSuchProduct)?;
            let known = self.shelf_product(&key).await?;
            let own = known.is_some_and(|product| product.account == gateway.product.account);
            if !own {
                return Err(TopoError::NoSuchProduct);
            }
            let name =
                DeviceName::parse(name).map_err(|bad| TopoError::BadName(bad.to_string()))?;
            devices.push(DeviceKey { product: key, name });
        }
        if !devices.is_empty() {
            let what = What::DevicesFound { devices };
            self.fact(&gateway.device, &gateway.iot_id, what).await?;
        }
        Ok(())
    }

    /// Sub-devices of a gateway of the caller's account, from the `skip`th on, and how many there
    /// are.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn topo_page(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        skip: u64,
        most: usize,
    ) -> Result<(Vec<Relation>, u64), DeviceError> {
        let gateway = self.device_owned(permit, gateway).await?;
        let all = self.topo_relations(&gateway.iot_id).await?;
        let total = all.len() as u64;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok((all.into_iter().skip(skip).take(most).collect(), total))
    }

    /// The gateway to which a sub-device is bound; none when it is bound to none.
    ///
    /// # Errors
    /// `NotFound` for the sub-device.
    pub async fn topo_gateway(
        &self,
        permit: &Permit,
        sub: &DeviceKey,
    ) -> Result<Option<DeviceView>, DeviceError> {
        let sub = self.device_owned(permit, sub).await?;
        match self.topo_of(&sub.iot_id).await? {
            Some(relation) => Ok(Some(self.device_find(permit, &relation.gateway).await?)),
            None => Ok(None),
        }
    }

    /// Binds sub-devices of the caller's account to a gateway, all or none, and tells the gateway.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` where the products are not of that kind, `TooMuch`.
    pub async fn topo_bind_for(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        devices: &[DeviceKey],
    ) -> Result<(), DeviceError> {
        let row = self.topo_gateway_owned(permit, gateway).await?;
        let mut subs = Vec::with_capacity(devices.len());
        for device in devices {
            subs.push(self.topo_sub_owned(permit, gateway, device).await?);
        }
        self.topo_bind(&row, &subs, true)
            .await
            .map_err(|error| device_error(error, self.limits.sub_devices))
    }

    /// The same with a proof for each, as a gateway would give it.
    ///
    /// # Errors
    /// As `topo_bind_for`; `BadRequest` for a proof that does not match.
    pub async fn topo_bind_proven(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        claims: &[Claim],
    ) -> Result<(), DeviceError> {
        for claim in claims {
            self.device_owned(permit, &claim.device).await?;
            let proven = self.prove(claim).await;
            self.admitted("topology.add", claim, &proven).await;
            proven.map_err(|error| device_error(error.into(), self.limits.sub_devices))?;
        }
        let devices: Vec<_> = claims.iter().map(|claim| claim.device.clone()).collect();
        self.topo_bind_for(permit, gateway, &devices).await
    }

    /// Unbinds a sub-device of the caller's account from its gateway, and tells that; false when
    /// it is bound to none.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn topo_remove(&self, permit: &Permit, sub: &DeviceKey) -> Result<bool, DeviceError> {
        let sub = self.device_owned(permit, sub).await?;
        match self.topo_of(&sub.iot_id).await? {
            Some(relation) => Ok(self.topo_unbind(&relation, true).await?),
            None => Ok(false),
        }
    }

    /// Unbinds all sub-devices of a device, and the device from its gateway.
    pub(crate) async fn topo_undo(&self, id: &IotId) -> Result<(), Fault> {
        let own = self.topo_of(id).await?;
        let subs = self.topo_relations(id).await?;
        for relation in own.iter().chain(&subs) {
            self.topo_unbind(relation, true).await?;
        }
        Ok(())
    }

    /// Asks a gateway to bind sub-devices itself, with their proofs. Waits for the gateway like any
    /// command.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest`, `TooMuch`.
    pub async fn topo_ask(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        devices: Vec<DeviceKey>,
    ) -> Result<CommandId, DeviceError> {
        let row = self.topo_gateway_owned(permit, gateway).await?;
        if devices.is_empty() || devices.len() > ONCE {
            let text = format!("1 to {ONCE} devices are to be named");
            return Err(DeviceError::BadRequest(text));
        }
        for device in &devices {
            self.topo_sub_owned(permit, gateway, device).await?;
        }
        let until = self.now().plus(self.limits.command_life);
        let order = Order::BindSubs(devices);
        Ok(self.command_send(&row, order, until).await?.id)
    }

    pub(crate) async fn topo_gateway_owned(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
    ) -> Result<Device, DeviceError> {
        let row = self.device_owned(permit, gateway).await?;
        let product = self.shelf_product(&row.key.product).await?;
        match product.is_some_and(|product| product.node == NodeKind::Gateway) {
            true => Ok(row),
            false => Err(DeviceError::BadRequest(TopoError::NotGateway.to_string())),
        }
    }

    async fn topo_sub_owned(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        device: &DeviceKey,
    ) -> Result<Device, DeviceError> {
        if device == gateway {
            return Err(DeviceError::BadRequest(TopoError::BySelf.to_string()));
        }
        let row = self.device_owned(permit, device).await?;
        let product = self.shelf_product(&row.key.product).await?;
        match product.is_some_and(|product| product.node != NodeKind::Gateway) {
            true => Ok(row),
            false => Err(DeviceError::BadRequest(TopoError::NotSub.to_string())),
        }
    }

    /// The gateway of a sub-device.
    pub(crate) async fn topo_of(&self, sub: &IotId) -> Result<Option<Relation>, Fault> {
        let found = self.document::<Relation>(BY_SUB, sub.as_str()).await?;
        Ok(found.map(|found| found.value))
    }

    pub(crate) async fn topo_relations(&self, gateway: &IotId) -> Result<Vec<Relation>, Fault> {
        self.documents(BY_GATEWAY, &format!("{gateway}/")).await
    }

    /// Whether the sub-device is bound to this gateway.
    ///
    /// # Errors
    /// `NotBound`.
    pub(crate) async fn rider_bound(&self, gateway: &IotId, sub: &IotId) -> Result<(), TopoError> {
        match self.topo_of(sub).await? {
            Some(relation) if relation.gateway_id == *gateway => Ok(()),
            Some(_) | None => Err(TopoError::NotBound),
        }
    }

    /// Whether a device of this name was deleted while it was bound to the gateway.
    pub(crate) async fn topo_gone(&self, gateway: &IotId, sub: &DeviceKey) -> Result<bool, Fault> {
        let key = gone_key(gateway, sub);
        Ok(self.ports.catalog.get(GONE, &key).await?.is_some())
    }

    async fn topo_bind(
        &self,
        gateway: &Device,
        subs: &[Device],
        tell: bool,
    ) -> Result<(), TopoError> {
        few(subs.len())?;
        for _ in 0..TRIES {
            let (puts, bound) = self.topo_puts(gateway, subs).await?;
            if bound.new.is_empty() {
                return Ok(());
            }
            if self.document_put(puts).await? {
                return Ok(self.topo_bound(gateway, bound, tell).await?);
            }
        }
        Err(busy(BY_GATEWAY).into())
    }

    /// The changes that bind, and what they will have changed.
    async fn topo_puts(
        &self,
        gateway: &Device,
        subs: &[Device],
    ) -> Result<(Vec<Put>, Bound), TopoError> {
        let mut puts = Vec::new();
        let mut bound = Bound {
            new: Vec::new(),
            moved: Vec::new(),
        };
        let mut seen = HashSet::new();
        let mut less: BTreeMap<IotId, u64> = BTreeMap::new();
        for sub in subs {
            if !seen.insert(&sub.iot_id) {
                continue;
            }
            let id = sub.iot_id.as_str();
            let former = self.document::<Relation>(BY_SUB, id).await?;
            let expect = former
                .as_ref()
                .map_or(Expect::Absent, |former| former.expect());
            if let Some(former) = former {
                let former = former.value;
                if former.gateway_id == gateway.iot_id {
                    continue;
                }
                let key = relation_key(&former.gateway_id, &former.sub_id);
                puts.push(wiring::place_gone(key.clone()));
                puts.push(remove(BY_GATEWAY, key, Expect::Anything));
                *less.entry(former.gateway_id.clone()).or_default() += 1;
                bound.moved.push(former);
            }
            let relation = Relation {
                gateway: gateway.key.clone(),
                gateway_id: gateway.iot_id.clone(),
                sub: sub.key.clone(),
                sub_id: sub.iot_id.clone(),
                since: self.now(),
            };
            puts.push(put(BY_SUB, id.to_owned(), &relation, expect)?);
            let key = relation_key(&gateway.iot_id, &sub.iot_id);
            puts.push(put(BY_GATEWAY, key, &relation, Expect::Anything)?);
            let gone = gone_key(&gateway.iot_id, &sub.key);
            if self.ports.catalog.get(GONE, &gone).await?.is_some() {
                puts.push(remove(GONE, gone, Expect::Anything));
            }
            bound.new.push(sub.key.clone());
        }
        for (id, fewer) in less {
            puts.push(
                self.topo_count(&id, |count| count.saturating_sub(fewer))
                    .await?
                    .1,
            );
        }
        let more = bound.new.len() as u64;
        let (count, counted) = self
            .topo_count(&gateway.iot_id, |count| count + more)
            .await?;
        if more > 0 && count > self.limits.sub_devices {
            return Err(TopoError::TooMany);
        }
        puts.push(counted);
        Ok((puts, bound))
    }

    async fn topo_count(
        &self,
        gateway: &IotId,
        change: impl Fn(u64) -> u64 + Send,
    ) -> Result<(u64, Put), Fault> {
        let found = self.document::<u64>(COUNT, gateway.as_str()).await?;
        let (count, expect) = found.map_or((0, Expect::Absent), |found| {
            let expect = found.expect();
            (found.value, expect)
        });
        let count = change(count);
        let counted = put(COUNT, gateway.to_string(), &count, expect)?;
        Ok((count, counted))
    }

    /// Journals what was bound, ends the sessions of those who moved, and tells the gateways.
    async fn topo_bound(&self, gateway: &Device, bound: Bound, tell: bool) -> Result<(), Fault> {
        for former in &bound.moved {
            self.topo_unbound(former, true).await?;
        }
        let subs = bound.new;
        let what = What::TopologyAdded { subs: subs.clone() };
        self.fact(&gateway.key, &gateway.iot_id, what).await?;
        if tell {
            self.topo_news(&gateway.iot_id, Turn::Bound, subs).await?;
        }
        Ok(())
    }

    /// Removes a relation if it is still as it was read; tells the gateway where it did not ask
    /// for it itself.
    async fn topo_unbind(&self, relation: &Relation, tell: bool) -> Result<bool, Fault> {
        for _ in 0..TRIES {
            let id = relation.sub_id.as_str();
            let found = self.document::<Relation>(BY_SUB, id).await?;
            let Some(found) = found.filter(|found| found.value.gateway_id == relation.gateway_id)
            else {
                return Ok(false);
            };
            let key = relation_key(&relation.gateway_id, &relation.sub_id);
            let less = |count: u64| count.saturating_sub(1);
            let (_, counted) = self.topo_count(&relation.gateway_id, less).await?;
            let puts = vec![
                remove(BY_SUB, id.to_owned(), found.expect()),
                wiring::place_gone(key.clone()),
                remove(BY_GATEWAY, key, Expect::Anything),
                counted,
            ];
            if self.document_put(puts).await? {
                self.topo_unbound(relation, tell).await?;
                return Ok(true);
            }
        }
        Err(busy(BY_GATEWAY))
    }

    async fn topo_unbound(&self, relation: &Relation, tell: bool) -> Result<(), Fault> {
        if let Some(place) = self.ports.presence.find(&relation.sub_id).await? {
            let signal = Signal::Close {
                iot_id: relation.sub_id.clone(),
                session: None,
                reason: CloseReason::Unbound,
            };
            self.ports.bus.send(&place.node, signal).await?;
        }
        let subs = vec![relation.sub.clone()];
        let what = What::TopologyRemoved { subs: subs.clone() };
        self.fact(&relation.gateway, &relation.gateway_id, what)
            .await?;
        if tell {
            self.topo_news(&relation.gateway_id, Turn::Unbound, subs)
                .await?;
        }
        Ok(())
    }

    /// Tells the gateway of a sub-device what became of it, if it is connected.
    pub(crate) async fn topo_tell(&self, sub: &Device, turn: Turn) -> Result<(), Fault> {
        match self.topo_of(&sub.iot_id).await? {
            Some(relation) => {
                let subs = vec![relation.sub];
                self.topo_news(&relation.gateway_id, turn, subs).await
            }
            None => Ok(()),
        }
    }

    /// Tells a gateway what became of sub-devices of it, if it is connected.
    pub(crate) async fn topo_news(
        &self,
        gateway: &IotId,
        turn: Turn,
        subs: Vec<DeviceKey>,
    ) -> Result<(), Fault> {
        let Some(place) = self.ports.presence.find(gateway).await? else {
            return Ok(());
        };
        let signal = Signal::Notice {
            iot_id: gateway.clone(),
            notice: Notice { turn, subs },
        };
        self.ports.bus.send(&place.node, signal).await
    }

    /// Removes all relations of a device that is to be deleted; gives back its gateway.
    pub(crate) async fn topo_forget(&self, device: &Device) -> Result<Option<IotId>, Fault> {
        let mut former = None;
        if let Some(relation) = self.topo_of(&device.iot_id).await? {
            // The mark first: it harms nothing while the device is there.
            let key = gone_key(&relation.gateway_id, &device.key);
            let since: Time = self.now();
            self.document_put(vec![put(GONE, key, &since, Expect::Anything)?])
                .await?;
            self.topo_erase(std::slice::from_ref(&relation), true)
                .await?;
            former = Some(relation.gateway_id);
        }
        let subs = self.topo_relations(&device.iot_id).await?;
        for chunk in subs.chunks(CHUNK) {
            self.topo_erase(chunk, false).await?;
        }
        for kind in [GONE, COUNT] {
            self.topo_clear(kind, device).await?;
        }
        Ok(former)
    }

    /// Removes relations of one gateway, and counts them off where the gateway stays.
    async fn topo_erase(&self, relations: &[Relation], count: bool) -> Result<(), Fault> {
        let Some(first) = relations.first() else {
            return Ok(());
        };
        for _ in 0..TRIES {
            let mut puts = Vec::new();
            for relation in relations {
                let id = relation.sub_id.as_str();
                let found = self.document::<Relation>(BY_SUB, id).await?;
                let key = relation_key(&relation.gateway_id, &relation.sub_id);
                puts.push(wiring::place_gone(key.clone()));
                puts.push(remove(BY_GATEWAY, key, Expect::Anything));
                if let Some(found) = found
                    && found.value.gateway_id == relation.gateway_id
                {
                    puts.push(remove(BY_SUB, id.to_owned(), found.expect()));
                }
            }
            if count {
                let fewer = relations.len() as u64;
                let less = |count: u64| count.saturating_sub(fewer);
                puts.push(self.topo_count(&first.gateway_id, less).await?.1);
            }
            if self.document_put(puts).await? {
                return Ok(());
            }
        }
        Err(busy(BY_GATEWAY))
    }

    async fn topo_clear(&self, kind: &'static str, gateway: &Device) -> Result<(), Fault> {
        let catalog = &self.ports.catalog;
        loop {
            let prefix = gateway.iot_id.as_str();
            let page = catalog.list(kind, prefix, None, CHUNK).await?;
            if page.is_empty() {
                return Ok(());
            }
            let entries = page.into_iter();
            let puts = entries.map(|entry| remove(kind, entry.key, Expect::Anything));
            self.document_put(puts.collect()).await?;
        }
    }
}

pub(crate) fn relation_key(gateway: &IotId, sub: &IotId) -> String {
    format!("{gateway}/{sub}")
}

fn gone_key(gateway: &IotId, sub: &DeviceKey) -> String {
    format!("{gateway}/{}/{}", sub.product, sub.name)
}

pub(crate) fn gateway_only(session: &Session) -> Result<(), TopoError> {
    match session.product.node {
        NodeKind::Gateway => Ok(()),
        NodeKind::Device | NodeKind::SubDevice => Err(TopoError::NotGateway),
    }
}

fn few(devices: usize) -> Result<(), TopoError> {
    match devices <= ONCE {
        true => Ok(()),
        false => Err(TopoError::BadRequest(format!(
            "more than {ONCE} devices at once"
        ))),
    }
}

/// What an application is told of it.
fn device_error(error: TopoError, most: u64) -> DeviceError {
    match error {
        TopoError::NoSuchDevice | TopoError::Deleted => DeviceError::NotFound,
        TopoError::NoSuchProduct => DeviceError::NoSuchProduct,
        TopoError::TooMany => {
            DeviceError::TooMuch(format!("a gateway has at most {most} sub-devices"))
        }
        TopoError::Fault(fault) => DeviceError::Fault(fault),
        TopoError::BadRequest(_)
        | TopoError::NotGateway
        | TopoError::NotSub
        | TopoError::BySelf
        | TopoError::BadName(_)
        | TopoError::BadProof
        | TopoError::Disabled
        | TopoError::NotBound
        | TopoError::BoundElsewhere
        | TopoError::AlreadyActive
        | TopoError::RegistrationOff
        | TopoError::TooOften
        | TopoError::NoSession => DeviceError::BadRequest(error.to_string()),
    }
}

#[cfg(test)]
mod tests;

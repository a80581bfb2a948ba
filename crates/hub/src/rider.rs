//! Sub-devices that use their gateway's connection ([AL-6.2]): who rides on which, and what the
//! connection still has to be told about them.
//!
//! A sub-device has a `Session` like any device, and a place in presence like any device; what
//! differs is that its words come and go over the connection of another session, which it names
//! (`Session::via`). Signals for it reach the node that holds the gateway's connection, and lie in
//! that session's list until its task looks.

mod letter;

use crate::{
    Hub,
    admit::Claim,
    edge::{Session, Via},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use model::{
    device::Device,
    error::{AdmitError, Fault, TopoError},
    id::{CommandId, DeviceKey, IotId, ProductKey, SessionId, Time},
    port::CloseReason,
    product::{NodeKind, Product},
    topo::Notice,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

/// News that a connection is behind with; it takes them up at once, so more are never there.
const NEWS: usize = 2_000;
/// Logins are counted over so many milliseconds.
const MINUTE: i64 = 60 * 1_000;
/// Devices whose logins are remembered before those of the last minute but one are forgotten.
const COUNTED: usize = 10_000;
/// Commands of sub-devices of one gateway of which it is remembered whose they are: as many as may
/// wait for all of them.
const GIVEN: usize = 200_000;
/// Sub-devices that are let in at once.
const AT_ONCE: usize = 32;

/// What the task of a gateway's connection has to do for its sub-devices.
#[derive(Debug)]
pub enum Due {
    /// Commands wait for a sub-device.
    Commands(Arc<Session>),
    /// The session of a sub-device ended against its will: it is to be closed, and the gateway to
    /// be told.
    Parted(Arc<Session>, CloseReason),
    /// News.
    Notice(Notice),
}

/// Sub-devices on the gateways that are connected to this process.
#[derive(Default)]
pub struct Riders {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    gateways: HashMap<SessionId, Carriage>,
    /// Sessions of gateways and sub-devices in this process by the device's id, the last one last.
    sessions: HashMap<IotId, Vec<Arc<Session>>>,
    logins: HashMap<IotId, Vec<Time>>,
}

/// One gateway's connection.
#[derive(Default)]
struct Carriage {
    riders: HashMap<DeviceKey, Arc<Session>>,
    due: VecDeque<Due>,
    /// Those who are to be taken offline with the connection, and whether their place was given
    /// back.
    leaving: VecDeque<(Arc<Session>, bool)>,
    /// Whose the commands are that were handed to this connection for sub-devices, as far as they
    /// are not known to have arrived.
    given: HashMap<CommandId, Arc<Session>>,
}

impl State {
    fn enter(&mut self, session: Arc<Session>) {
        let id = session.iot_id.clone();
        self.sessions.entry(id).or_default().push(session);
    }

    fn leave(&mut self, session: &Session) {
        if let Some(sessions) = self.sessions.get_mut(&session.iot_id) {
            sessions.retain(|own| own.id != session.id);
            if sessions.is_empty() {
                self.sessions.remove(&session.iot_id);
            }
        }
    }

    /// Takes a sub-device off the connection that it uses.
    fn take(&mut self, session: &Session) -> Option<Arc<Session>> {
        let via = session.via.as_ref()?;
        let riders = &mut self.gateways.get_mut(&via.session)?.riders;
        if riders.get(&session.device)?.id != session.id {
            return None;
        }
        let rider = riders.remove(&session.device);
        self.leave(session);
        rider
    }
}

impl Riders {
    /// Notes a session that is about to open: a gateway's, so that others can ride on it, or one
    /// that rides. Gives back a session of the same sub-device on the same connection that it
    /// takes the place of.
    pub(crate) fn board(
        &self,
        session: &Session,
        most: u64,
    ) -> Result<Option<Arc<Session>>, AdmitError> {
        let mut state = self.state.lock();
        let Some(via) = &session.via else {
            if session.product.node == NodeKind::Gateway {
                state.gateways.insert(session.id, Carriage::default());
                state.enter(Arc::new(session.clone()));
            }
            return Ok(None);
        };
        let carriage = state.gateways.get_mut(&via.session);
        let carriage = carriage.ok_or_else(|| Fault::passing("the gateway is gone"))?;
        let full = carriage.riders.len() as u64 >= most;
        if full && !carriage.riders.contains_key(&session.device) {
            return Err(AdmitError::TooMany);
        }
        let rider = Arc::new(session.clone());
        let riders = &mut carriage.riders;
        let replaced = riders.insert(session.device.clone(), rider.clone());
        if let Some(replaced) = &replaced {
            state.leave(replaced);
        }
        state.enter(rider);
        Ok(replaced)
    }

    /// Forgets a session; false when it was not there any more.
    pub(crate) fn alight(&self, session: &Session) -> bool {
        let mut state = self.state.lock();
        if session.via.is_some() {
            return state.take(session).is_some();
        }
        let gone = state.gateways.remove(&session.id).is_some();
        if gone {
            state.leave(session);
        }
        gone
    }

    fn find(&self, gateway: SessionId, device: &DeviceKey) -> Option<Arc<Session>> {
        let state = self.state.lock();
        state.gateways.get(&gateway)?.riders.get(device).cloned()
    }

    /// The last session of a device in this process, if it is a gateway or rides.
    fn last(&self, id: &IotId) -> Option<Arc<Session>> {
        self.state.lock().sessions.get(id)?.last().cloned()
    }

    /// Ends the session of a sub-device, this one or the last one.
    fn part(&self, id: &IotId, session: Option<SessionId>, reason: CloseReason) -> Option<Via> {
        let mut state = self.state.lock();
        let mut known = state.sessions.get(id)?.iter().rev();
        let rider = known.find(|own| session.is_none_or(|session| own.id == session))?;
        let rider = rider.clone();
        let rider = state.take(&rider)?;
        let via = rider.via.clone()?;
        if let Some(carriage) = state.gateways.get_mut(&via.session) {
            carriage.due.push_back(Due::Parted(rider, reason));
        }
        Some(via)
    }

    /// Puts something into the list of a gateway's session.
    fn put(&self, gateway: SessionId, due: Due) -> bool {
        let mut state = self.state.lock();
        let Some(carriage) = state.gateways.get_mut(&gateway) else {
            return false;
        };
        if let Due::Commands(rider) = &due {
            let same = |other: &Due| matches!(other, Due::Commands(other) if other.id == rider.id);
            if carriage.due.iter().any(same) {
                return true;
            }
        }
        if matches!(due, Due::Notice(_)) && carriage.due.len() >= NEWS {
            return false;
        }
        carriage.due.push_back(due);
        true
    }

    fn take(&self, gateway: SessionId) -> Vec<Due> {
        let mut state = self.state.lock();
        let carriage = state.gateways.get_mut(&gateway);
        carriage.map_or_else(Vec::new, |carriage| carriage.due.drain(..).collect())
    }

    /// Takes all off a gateway's connection that ends, with those whose end was not told yet, in
    /// the order in which they came.
    fn clear(&self, gateway: SessionId) {
        let mut state = self.state.lock();
        let Some(carriage) = state.gateways.get_mut(&gateway) else {
            return;
        };
        let parted = carriage.due.drain(..).filter_map(|due| match due {
            Due::Parted(rider, _) => Some(rider),
            Due::Commands(_) | Due::Notice(_) => None,
        });
        let mut leaving: Vec<_> = parted.collect();
        leaving.extend(carriage.riders.drain().map(|(_, rider)| rider));
        leaving.sort_unstable_by_key(|rider| rider.id);
        let leave = leaving.iter().map(|rider| (rider.clone(), false));
        carriage.leaving.extend(leave);
        for rider in &leaving {
            state.leave(rider);
        }
    }

    /// The first of those who are to be taken offline with the connection.
    fn leaving(&self, gateway: SessionId) -> Option<(Arc<Session>, bool)> {
        let state = self.state.lock();
        state.gateways.get(&gateway)?.leaving.front().cloned()
    }

    /// Notes that the first of them gave its place back, and is to be told offline.
    fn placeless(&self, gateway: SessionId) {
        if let Some(carriage) = self.state.lock().gateways.get_mut(&gateway)
            && let Some((_, placeless)) = carriage.leaving.front_mut()
        {
            *placeless = true;
        }
    }

    fn left(&self, gateway: SessionId) {
        if let Some(carriage) = self.state.lock().gateways.get_mut(&gateway) {
            carriage.leaving.pop_front();
        }
    }

    /// Whether a sub-device has not logged in too often; counts this login.
    fn count(&self, id: &IotId, now: Time, most: usize) -> bool {
        let mut state = self.state.lock();
        let fresh = |time: &Time| now.since(*time) < MINUTE && *time <= now;
        if state.logins.len() >= COUNTED {
            state.logins.retain(|_, times| times.iter().any(fresh));
        }
        let times = state.logins.entry(id.clone()).or_default();
        times.retain(fresh);
        if times.len() >= most {
            return false;
        }
        times.push(now);
        true
    }
}

/// A sub-device that wants to come in through its gateway.
pub struct RiderClaim {
    /// Who, and why we should believe it.
    pub claim: Claim,
    /// See `Session::marks`.
    pub marks: u32,
    /// Whether messages at QoS 1 that came while it was away are still wanted, and later ones are
    /// to wait until it has them.
    pub keeps: bool,
}

/// Why sub-devices were not let in, and which of them was the first.
#[derive(Debug)]
pub struct RiderRefused {
    /// Which.
    pub device: DeviceKey,
    /// Why.
    pub error: TopoError,
}

impl Hub {
    /// Lets sub-devices in through a gateway's connection: bound to it, proven, not disabled, not
    /// too often and not too many. All are looked at before the first is let in.
    ///
    /// # Errors
    /// `RiderRefused`; none is let in, unless our own trouble stopped us midway.
    pub async fn rider_admit(
        &self,
        gateway: &Session,
        claims: Vec<RiderClaim>,
    ) -> Result<Vec<Session>, RiderRefused> {
        let checked = stream::iter(claims)
            .map(async |asked| {
                let result = self.rider_check(gateway, &asked.claim).await;
                let told = result.as_ref().map(|_| ()).map_err(admit_error);
                self.admitted("device.login", &asked.claim, &told).await;
                match result {
                    Ok((device, product)) => Ok((device, product, asked)),
                    Err(error) => Err(refused(&asked.claim.device, error)),
                }
            })
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        stream::iter(checked)
            .map(async |(device, product, asked)| {
                let key = device.key.clone();
                let opened = self.rider_open(gateway, device, product, &asked).await;
                opened.map_err(|error| refused(&key, error))
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn rider_check(
        &self,
        gateway: &Session,
        claim: &Claim,
    ) -> Result<(Device, Arc<Product>), TopoError> {
        if gateway.product.node != NodeKind::Gateway || gateway.via.is_some() {
            return Err(TopoError::NotGateway);
        }
        match self.ports.devices.find(&claim.device).await? {
            Some(device) => {
                self.rider_bound(&gateway.iot_id, &device.iot_id).await?;
                let most = self.limits.sub_logins;
                if !self.riders.count(&device.iot_id, self.now(), most) {
                    return Err(TopoError::TooOften);
                }
            }
            None if self.topo_gone(&gateway.iot_id, &claim.device).await? => {
                return Err(TopoError::Deleted);
            }
            None => return Err(TopoError::NoSuchDevice),
        }
        Ok(self.prove(claim).await?)
    }

    async fn rider_open(
        &self,
        gateway: &Session,
        device: Device,
        product: Arc<Product>,
        asked: &RiderClaim,
    ) -> Result<Session, TopoError> {
        let via = Via {
            session: gateway.id,
            device: gateway.device.clone(),
            iot_id: gateway.iot_id.clone(),
            keeps: asked.keeps,
        };
        if !asked.keeps {
            self.letters_drop(&device.iot_id).await?;
        }
        let peer = asked.claim.peer;
        let opened = self.session_open(device, product, peer, asked.marks, Some(via));
        let session = opened.await?;
        // Whoever unbinds it from now on finds it here.
        if let Err(error) = self.rider_bound(&gateway.iot_id, &session.iot_id).await {
            if self.riders.alight(&session) {
                self.rider_end(&session, "it was unbound from its gateway")
                    .await?;
            }
            return Err(error);
        }
        if let Some(rider) = self.rider(gateway, &session.device) {
            self.riders.put(gateway.id, Due::Commands(rider));
        }
        Ok(session)
    }

    /// Ends sessions of sub-devices because the gateway says so.
    ///
    /// # Errors
    /// `NoSession` with the first that has none through this gateway; then none is ended.
    pub async fn rider_logout(
        &self,
        gateway: &Session,
        devices: &[DeviceKey],
    ) -> Result<(), RiderRefused> {
        let find = |device: &DeviceKey| {
            let rider = self.rider(gateway, device);
            rider.ok_or_else(|| refused(device, TopoError::NoSession))
        };
        let riders = devices.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        for rider in riders {
            if self.riders.alight(&rider) {
                let ended = self.rider_end(&rider, "its gateway logged it out").await;
                ended.map_err(|fault| refused(&rider.device, fault.into()))?;
            }
        }
        Ok(())
    }

    async fn rider_end(&self, rider: &Session, reason: &str) -> Result<(), Fault> {
        if self.session_leave(rider).await? {
            self.session_offline(rider, reason).await?;
        }
        Ok(())
    }

    /// Takes all sub-devices of a gateway's connection offline, in the order in which they came.
    /// May be called again after it failed.
    pub(crate) async fn riders_leave(&self, gateway: &Session) -> Result<(), Fault> {
        if gateway.product.node != NodeKind::Gateway {
            return Ok(());
        }
        self.riders.clear(gateway.id);
        while let Some((rider, placeless)) = self.riders.leaving(gateway.id) {
            let presence = &self.ports.presence;
            if placeless || presence.leave(&rider.iot_id, rider.id).await? {
                self.riders.placeless(gateway.id);
                self.session_offline(&rider, "its gateway went offline")
                    .await?;
            }
            self.metrics.session_closed();
            self.riders.left(gateway.id);
        }
        self.riders.alight(gateway);
        Ok(())
    }

    /// The session of a sub-device on this gateway's connection.
    pub fn rider(&self, gateway: &Session, device: &DeviceKey) -> Option<Arc<Session>> {
        self.riders.find(gateway.id, device)
    }

    /// Whose connection words for a sub-device take; none when it rides on none of this process.
    pub fn rider_carrier(&self, sub: &IotId) -> Option<IotId> {
        let via = self.riders.last(sub)?.via.clone()?;
        Some(via.iot_id)
    }

    /// Whether a sub-device rides on this gateway's connection.
    pub(crate) fn rider_carried(&self, gateway: &Session, sub: &IotId) -> bool {
        let rider = self.riders.last(sub);
        let via = rider.as_ref().and_then(|rider| rider.via.as_ref());
        via.is_some_and(|via| via.session == gateway.id)
    }

    /// A sub-device of that product on this gateway's connection.
    pub fn rider_of(&self, gateway: &Session, product: &ProductKey) -> Option<Arc<Session>> {
        let state = self.riders.state.lock();
        let mut riders = state.gateways.get(&gateway.id)?.riders.values();
        riders
            .find(|rider| rider.device.product == *product)
            .cloned()
    }

    /// The gateways of this process with a sub-device of that product.
    pub fn rider_carriers(&self, product: &ProductKey) -> HashSet<IotId> {
        let state = self.riders.state.lock();
        let riders = state.gateways.values().flat_map(|one| one.riders.values());
        let of = riders.filter(|rider| rider.device.product == *product);
        of.filter_map(|rider| Some(rider.via.as_ref()?.iot_id.clone()))
            .collect()
    }

    /// Notes that commands wait for a sub-device; gives back whose connection is to be woken.
    pub fn rider_due(&self, sub: &IotId) -> Option<IotId> {
        let rider = self.riders.last(sub)?;
        let via = rider.via.clone()?;
        self.riders.put(via.session, Due::Commands(rider));
        Some(via.iot_id)
    }

    /// Ends the session of a sub-device, this one or any; gives back whose connection is to be
    /// woken, which tells the gateway and closes the session.
    pub fn rider_part(
        &self,
        sub: &IotId,
        session: Option<SessionId>,
        reason: CloseReason,
    ) -> Option<IotId> {
        let via = self.riders.part(sub, session, reason)?;
        Some(via.iot_id)
    }

    /// Takes news for a gateway's connection; false when it has none here.
    pub fn rider_notice(&self, gateway: &IotId, notice: Notice) -> bool {
        let last = self.riders.last(gateway).filter(|own| own.via.is_none());
        last.is_some_and(|session| self.riders.put(session.id, Due::Notice(notice)))
    }

    /// Notes that a command for a sub-device is handed to its gateway's connection.
    pub fn rider_given(&self, gateway: &Session, rider: &Arc<Session>, command: CommandId) {
        let mut state = self.riders.state.lock();
        if let Some(carriage) = state.gateways.get_mut(&gateway.id) {
            // What is never known to have arrived does not stay for ever.
            if carriage.given.len() >= GIVEN {
                carriage.given.clear();
            }
            carriage.given.insert(command, rider.clone());
        }
    }

    /// For which sub-device a command was that arrived over a gateway's connection.
    pub fn rider_whose(&self, gateway: &Session, command: CommandId) -> Option<Arc<Session>> {
        if gateway.product.node != NodeKind::Gateway {
            return None;
        }
        let state = self.riders.state.lock();
        state
            .gateways
            .get(&gateway.id)?
            .given
            .get(&command)
            .cloned()
    }

    /// What a gateway's connection has to do for its sub-devices. Whoever takes `Parted` closes that
    /// session.
    pub fn riders_due(&self, gateway: &Session) -> Vec<Due> {
        match gateway.product.node {
            NodeKind::Gateway => self.riders.take(gateway.id),
            NodeKind::Device | NodeKind::SubDevice => Vec::new(),
        }
    }
}

fn refused(device: &DeviceKey, error: TopoError) -> RiderRefused {
    RiderRefused {
        device: device.clone(),
        error,
    }
}

/// The same as an error of the gate, for its counters and the audit log.
fn admit_error(error: &TopoError) -> AdmitError {
    match error {
        TopoError::BadProof => AdmitError::BadProof,
        TopoError::NoSuchDevice => AdmitError::NoSuchDevice,
        TopoError::NoSuchProduct => AdmitError::NoSuchProduct,
        TopoError::Deleted => AdmitError::Deleted,
        TopoError::Disabled => AdmitError::Disabled,
        TopoError::AlreadyActive => AdmitError::AlreadyActive,
        TopoError::RegistrationOff => AdmitError::RegistrationOff,
        TopoError::TooMany => AdmitError::TooMany,
        TopoError::TooOften => AdmitError::TooOften,
        TopoError::Fault(fault) => AdmitError::Fault(fault.clone()),
        TopoError::BadRequest(_)
        | TopoError::NotGateway
        | TopoError::NotSub
        | TopoError::BySelf
        | TopoError::BadName(_)
        | TopoError::NotBound
        | TopoError::BoundElsewhere
        | TopoError::NoSession => AdmitError::BadRequest(error.to_string()),
    }
}

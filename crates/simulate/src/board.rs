//! What happened, counted.

use crate::Plan;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::BTreeMap;

/// Reasons for refusals that are told apart, at most.
const REASONS: usize = 20;
/// Versions that are told apart, at most.
const VERSIONS: usize = 100;

/// Counts that go on while it is played.
#[derive(Default)]
pub struct Board(Mutex<Tally>);

/// How it goes.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Tally {
    /// What chance began with.
    pub seed: u64,
    /// Devices that connect by themselves; gateways are not among them.
    pub devices: u64,
    /// Gateways.
    pub gateways: u64,
    /// Devices behind gateways.
    pub sub_devices: u64,
    /// Who is logged in now.
    pub online: u64,
    /// The most that ever were.
    pub most_online: u64,
    /// Connections.
    pub connections: Connections,
    /// Properties and events.
    pub posts: Posts,
    /// What devices were asked.
    pub commands: Commands,
    /// Firmware.
    pub upgrades: Upgrades,
    /// How many devices have which version of the whole device.
    pub versions: BTreeMap<String, u64>,
}

/// Connections.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Connections {
    /// Logins that were taken, of devices and gateways.
    pub opened: u64,
    /// Logins of sub-devices that were taken.
    pub subs: u64,
    /// Logins and bindings that were not, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Connections that the other side ended, or the network.
    pub lost: u64,
    /// Connections that the device left for a while (churn).
    pub left: u64,
    /// Devices that registered by themselves.
    pub registered: u64,
}

/// Properties and events.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Posts {
    /// Messages with properties.
    pub properties: u64,
    /// Messages with an event.
    pub events: u64,
    /// Of all these, those that the server acknowledged (PUBACK).
    pub acknowledged: u64,
    /// Replies with code 200.
    pub taken: u64,
    /// Replies with another code.
    pub refused: u64,
}

/// What devices were asked.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Commands {
    /// Properties to be set or read.
    pub properties: u64,
    /// Services, synchronous ones and free calls included.
    pub services: u64,
    /// Of all these, those that were answered; silent devices answer none.
    pub answered: u64,
}

/// Firmware.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Upgrades {
    /// Notices that came.
    pub told: u64,
    /// Notices of what the device was at already.
    pub told_again: u64,
    /// Notices of what the device had by then: they were on their way when it came to it. It begins
    /// all the same.
    pub told_late: u64,
    /// Attempts that devices began with.
    pub begun: u64,
    /// Devices that installed a version that they had not had.
    pub done: u64,
    /// Devices that installed a version a second time; a server that keeps its word has none.
    pub done_again: u64,
    /// Attempts that failed, by how.
    pub failed: BTreeMap<&'static str, u64>,
    /// Downloads that went on after they had broken off.
    pub resumed: u64,
    /// Bytes that were fetched.
    pub bytes: u64,
    /// Those who are at one now.
    pub at_it: u64,
}

impl Board {
    /// As it stands.
    pub fn tally(&self) -> Tally {
        self.0.lock().clone()
    }

    pub(crate) fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.0.lock());
    }

    pub(crate) fn open(&self, plan: &Plan, bodies: usize) {
        self.note(|tally| {
            tally.seed = plan.seed;
            for party in &plan.parties {
                match party.subs.len() as u64 {
                    0 => tally.devices += 1,
                    subs => {
                        tally.gateways += 1;
                        tally.sub_devices += subs;
                    }
                }
            }
            if let Some(version) = plan.versions.get("default") {
                tally.versions.insert(version.clone(), bodies as u64);
            }
        });
    }
}

impl Tally {
    pub(crate) fn arrives(&mut self) {
        self.online += 1;
        self.most_online = self.most_online.max(self.online);
    }

    pub(crate) fn refuses(&mut self, why: String) {
        let refused = &mut self.connections.refused;
        if refused.len() < REASONS || refused.contains_key(&why) {
            *refused.entry(why).or_default() += 1;
        }
    }

    pub(crate) fn becomes(&mut self, from: &str, to: &str) {
        if let Some(had) = self.versions.get_mut(from) {
            *had -= 1;
            if *had == 0 {
                self.versions.remove(from);
            }
        }
        if self.versions.len() < VERSIONS || self.versions.contains_key(to) {
            *self.versions.entry(to.to_owned()).or_default() += 1;
        }
    }

    /// All that are played.
    pub fn all(&self) -> u64 {
        self.devices + self.gateways + self.sub_devices
    }
}

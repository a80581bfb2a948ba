//! Every verb of the product, one file per noun.
//!
//! Start with `Hub` and `edge`; then read the noun that you care about. A verb takes a `Permit`
//! (an application that may do it) or a `Session` (a device that proved itself), calls ports, and
//! answers in the words of `model`. This room knows no topics, no URLs, no vendor's codes, no SQL
//! and no sockets, and not which engine stands behind a port.

#![expect(dead_code, clippy::todo, reason = "verbs are being written")]

pub mod account;
pub mod admit;
pub mod audit;
pub mod command;
pub mod device;
pub mod edge;
pub mod event;
pub mod history;
pub mod limits;
pub mod message;
pub mod metrics;
pub mod product;
pub mod property;
pub mod service;
pub mod shelf;
pub mod thing_model;
pub mod vault;

use limits::Limits;
use metrics::Metrics;
use model::{id::Time, port::Ports};
use std::sync::Arc;

/// The product: verbs over ports.
pub struct Hub {
    pub(crate) ports: Ports,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) vault: vault::Vault,
    pub(crate) shelf: shelf::Shelf,
    pub(crate) ledger: audit::Ledger,
    pub(crate) calls: command::Calls,
    pub(crate) pace: history::Pace,
}

impl Hub {
    /// The time now.
    pub fn now(&self) -> Time {
        self.ports.clock.now()
    }

    /// The limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The counters.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

//! Every verb of the product, one file per noun.
//!
//! Start with `Hub` and `edge`; then read the noun that you care about. A verb takes a `Permit`
//! (an application that may do it) or a `Session` (a device that proved itself), calls ports, and
//! answers in the words of `model`. This room knows no topics, no URLs, no vendor's codes, no SQL
//! and no sockets, and not which engine stands behind a port.

pub mod account;
pub mod admit;
pub mod audit;
pub mod call;
pub mod command;
pub mod configuration;
pub mod desired;
pub mod device;
pub mod device_log;
mod document;
pub mod edge;
pub mod event;
pub mod group;
pub mod history;
pub mod id2;
pub mod limits;
pub mod link;
pub mod mail;
pub mod message;
pub mod metrics;
pub mod ota;
pub mod pack;
pub mod product;
pub mod property;
pub mod rider;
pub mod scan;
pub mod service;
pub mod shadow;
pub mod shelf;
#[cfg(test)]
mod stage;
pub mod sweep;
pub mod tag;
pub mod thing_model;
pub mod topo;
pub mod trace;
pub mod transfer;
pub mod vault;
pub mod wiring;

use credential::Secret;
use limits::Limits;
use metrics::Metrics;
use model::{error::Fault, id::Time, port::Ports};
use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU64, Ordering},
};
use vault::{Vault, VaultError};

/// The product: verbs over ports.
pub struct Hub {
    pub(crate) ports: Ports,
    pub(crate) limits: Limits,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) vault: Vault,
    pub(crate) token_key: Secret,
    pub(crate) shelf: shelf::Shelf,
    pub(crate) ledger: audit::Ledger,
    pub(crate) callers: account::Callers,
    pub(crate) calls: command::Calls,
    pub(crate) remote: call::RemoteCalls,
    pub(crate) traces: trace::Traces,
    pub(crate) pace: history::Pace,
    links_at: OnceLock<String>,
    pub(crate) pacer: ota::Pacer,
    pub(crate) riders: rider::Riders,
    pub(crate) id2: id2::Desk,
    pub(crate) scan_news: tokio::sync::Notify,
    pub(crate) mail_news: tokio::sync::Notify,
    sessions: AtomicU64,
}

/// Why the hub does not start.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HubStartError {
    /// The master key is not the one, or none at all.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Engine trouble.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Hub {
    /// Opens the product over its ports: unwraps the keys (and makes them at the first start) and
    /// looks whether the audit log is whole. `master_key` has 32 bytes.
    ///
    /// # Errors
    /// `HubStartError`; a master key that is not the one of these data is told as such.
    pub async fn open(
        ports: Ports,
        limits: Limits,
        master_key: Secret,
    ) -> Result<Self, HubStartError> {
        let vault = Vault::unlock(&ports, master_key).await?;
        let token_key = vault::server_key(&ports, &vault, "token-key").await?;
        let audit_key = vault::server_key(&ports, &vault, "audit-key").await?;
        let metrics = Arc::new(Metrics::default());
        let ledger = audit::Ledger::new(
            audit_key,
            ports.audit.clone(),
            ports.catalog.clone(),
            metrics.clone(),
        );
        let mut first = [0; 8];
        ports.random.fill(&mut first);
        let hub = Self {
            ports,
            limits,
            metrics,
            vault,
            token_key,
            shelf: shelf::Shelf::default(),
            ledger,
            callers: account::Callers::default(),
            calls: command::Calls::default(),
            traces: trace::Traces::default(),
            remote: call::RemoteCalls::new(u64::from_le_bytes(first)),
            pace: history::Pace::default(),
            links_at: OnceLock::new(),
            pacer: ota::Pacer::default(),
            riders: rider::Riders::default(),
            id2: id2::Desk::default(),
            scan_news: tokio::sync::Notify::new(),
            mail_news: tokio::sync::Notify::new(),
            sessions: AtomicU64::new(u64::from_be_bytes(first)),
        };
        hub.audit_open().await?;
        Ok(hub)
    }

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

    /// A number for a connection: begins anywhere, so that two processes hardly ever share one.
    fn session_number(&self) -> model::id::SessionId {
        model::id::SessionId(self.sessions.fetch_add(1, Ordering::Relaxed))
    }
}

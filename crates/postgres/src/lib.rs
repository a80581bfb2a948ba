//! The second engine: what people and races edit, and the histories, in a PostgreSQL database.
//!
//! Start with `Registry::open`. A call borrows a connection (`lease`), has so long and no longer,
//! and is one transaction; connections that break are replaced by themselves. The journal,
//! presence and the bus stay on the node (`store`). This room knows no rule of the product and no
//! vendor.

mod address;
mod archive;
mod audit;
mod catalog;
#[cfg(any(test, feature = "cluster"))]
pub mod cluster;
mod command;
mod device;
mod fault;
mod hold;
mod lease;
mod nonce;
mod open;
mod schema;
mod secret;
mod series;

pub use address::{Address, BadAddress};

use deadpool_postgres::Pool;
use std::time::Duration;

/// How the engine is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// Connections that are open at most.
    pub connections: usize,
    /// How long one call may take in all, waiting for a connection included.
    pub patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 16,
            patience: Duration::from_secs(10),
        }
    }
}

/// A registry with its histories in one database; every row-keeping port and the series.
pub struct Registry {
    pool: Pool,
    patience: Duration,
    hold: Option<hold::Hold>,
}

/// PostgreSQL's integers have a sign.
fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// A bound of a page as PostgreSQL takes it.
fn limit(most: usize) -> i64 {
    i64::try_from(most).unwrap_or(i64::MAX)
}

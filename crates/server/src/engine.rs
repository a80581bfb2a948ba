//! What stands behind the ports: the engine that the configuration names, and time and chance of
//! the real world.

use crate::{
    bucket::Bucket,
    config::{Config, Engine},
};
use model::{
    error::Fault,
    id::{NodeId, Time},
    port::{Clock, Random},
};
use postgres::{Address, Registry};
use std::{
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use store::{Options, Rows, Store};

/// Opens the engine that the configuration names: `store` for everything, or the rows and
/// histories in a database and the rest in the data folder.
///
/// # Errors
/// When an engine does not open; the context says how to mend it.
pub(crate) async fn open(config: &Config) -> Result<Store, Fault> {
    let node = NodeId::parse(&config.node).map_err(|bad| Fault::lasting(format!("node: {bad}")))?;
    let options = Options::of(node);
    let folder = config.data.clone();
    let opening = match database(config)? {
        None => tokio::task::spawn_blocking(move || Store::open(&folder, &options)),
        Some((address, how)) => {
            let rows = Registry::open_alone(&address, &how).await?;
            unused(&folder, &address);
            let rows = Rows {
                catalog: rows.clone(),
                devices: rows.clone(),
                secrets: rows.clone(),
                series: rows.clone(),
                nonces: rows.clone(),
                commands: rows.clone(),
                archive: rows.clone(),
                audit: rows,
            };
            tokio::task::spawn_blocking(move || Store::open_beside(rows, &folder, &options))
        }
    };
    let opened = opening.await;
    let opened = opened.map_err(|error| Fault::lasting(format!("opening the store: {error}")))?;
    let mut store = opened?;
    let former = store.blobs.clone();
    if let Some(bucket) = Bucket::of(&config.bucket, Arc::new(WallClock), former)? {
        tokio::spawn(bucket.look());
        store.blobs = Arc::new(bucket);
    }
    Ok(store)
}

/// The database that the configuration names, and how it is to be used.
///
/// # Errors
/// When the password cannot be read.
pub(crate) fn database(config: &Config) -> Result<Option<(Address, postgres::Options)>, Fault> {
    let Engine::Postgres(address) = &config.store else {
        return Ok(None);
    };
    let how = &config.postgres;
    let lost = |what: &str, why: &dyn std::fmt::Display| {
        Fault::lasting(format!("the database's password: {what}: {why}"))
    };
    let mut address = Address::clone(address);
    if let Some(path) = &how.password_file {
        let text = std::fs::read(path).map_err(|e| lost(&path.display().to_string(), &e))?;
        address = address.with_password(text.trim_ascii_end());
    } else if let Some(name) = &how.password_env {
        let text = std::env::var(name).map_err(|e| lost(name, &e))?;
        address = address.with_password(text.as_bytes());
    }
    let options = postgres::Options {
        connections: how.connections,
        patience: Duration::from_millis(how.timeout),
    };
    Ok(Some((address, options)))
}

/// An operator who only changed the line of the configuration would look for the devices.
fn unused(folder: &Path, address: &Address) {
    let embedded = folder.join("registry.sqlite");
    if embedded.exists() {
        tracing::warn!(
            file = %embedded.display(),
            database = %address,
            "the registry in the data folder is not used, because `store` names a database; \
             `muster export` and `muster import` move it there"
        );
    }
}

/// The machine's clock.
pub struct WallClock;

impl Clock for WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the port through which everybody else reads the time"
    )]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Time(since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        }))
    }
}

/// The machine's source of random bytes.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without random bytes no secret may be made and no nonce drawn; to go on with others
        // would be worse than to stop.
        getrandom::fill(bytes).expect("the system gives random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_and_chance_differs() {
        assert!(WallClock.now() > Time(1_700_000_000_000));
        let (mut one, mut other) = ([0; 32], [0; 32]);
        SystemRandom.fill(&mut one);
        SystemRandom.fill(&mut other);
        assert_ne!(one, other);
    }
}

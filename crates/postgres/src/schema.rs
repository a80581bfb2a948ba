//! The tables, and how an older registry becomes a newer one.

use crate::{Address, Registry, fault::Trouble};
use model::error::Fault;
use std::time::Duration;

/// A step that rewrites large tables may take longer than a call.
const PATIENCE: Duration = Duration::from_secs(3600);
/// The advisory lock under which tables are made.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1836385362, 1)";

/// Each step makes version n + 1 out of version n. A step that was released never changes.
const STEPS: &[&str] = &[include_str!("schema/1.sql")];

/// Brings the tables up to this program's version, in one transaction. Of several processes that
/// start at once one does it, and the others find it done.
pub(crate) async fn migrate(registry: &Registry, address: &Address) -> Result<(), Fault> {
    let mut lease = registry.lease_for(PATIENCE).await?;
    let patience = PATIENCE.as_millis();
    lease.begin("BEGIN").await?;
    lease
        .run(&format!(
            "SET LOCAL statement_timeout = {patience};
             {LOCK};
             CREATE TABLE IF NOT EXISTS muster_schema (version int8 NOT NULL)"
        ))
        .await
        .map_err(|trouble| advise(address, trouble))?;
    let version = lease.row("SELECT version FROM muster_schema", &[]).await?;
    let version = version.map_or(0, |row| row.get::<_, i64>(0));
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > STEPS.len() {
        return Err(Fault::lasting(format!(
            "the database {address} has schema version {version}, and this program knows versions up to {}: {}",
            STEPS.len(),
            "it was written by a newer version of the program; use that one"
        )));
    }
    if version == STEPS.len() {
        return Ok(lease.undo().await?);
    }
    for step in &STEPS[version..] {
        lease
            .run(step)
            .await
            .map_err(|trouble| advise(address, trouble))?;
    }
    let known = STEPS.len();
    lease
        .run(&format!(
            "DELETE FROM muster_schema; INSERT INTO muster_schema VALUES ({known})"
        ))
        .await?;
    lease.commit().await?;
    tracing::debug!(version = known, "the registry has a new schema version");
    Ok(())
}

fn advise(address: &Address, trouble: Trouble) -> Fault {
    let fault = Fault::from(trouble);
    Fault {
        retry: fault.retry,
        context: format!(
            "the database {address}: its tables cannot be made: {}\n    → the user in `store` needs the right to make tables: it should own the database",
            fault.context
        ),
    }
}

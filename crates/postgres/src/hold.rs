//! A database has one server: two would write two audit chains and not see each other's devices.

use crate::{Address, Options, Registry, fault::of_sql};
use model::error::Fault;
use std::{sync::Arc, time::Duration};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_postgres::Client;

/// How long a start waits for a server before it that was killed: its session ends by itself.
const WAIT: Duration = Duration::from_secs(5);
/// Between two tries to get the lock, or to get it back after the connection broke.
const PAUSE: Duration = Duration::from_millis(200);
/// A lock of the session, free as soon as its connection is gone.
const LOCK: &str = "SELECT pg_try_advisory_lock(1836385362, 5)";

/// The lock, for as long as this lives.
pub(crate) struct Hold(JoinHandle<()>);

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Registry {
    /// As `open`, and keeps other servers out of the database for as long as this one uses it.
    ///
    /// # Errors
    /// As `open`, and when another server has the database.
    pub async fn open_alone(address: &Address, options: &Options) -> Result<Arc<Self>, Fault> {
        let until = Instant::now() + WAIT;
        let taken = loop {
            match take(address, options).await? {
                Some(taken) => break taken,
                None if Instant::now() < until => sleep(PAUSE).await,
                None => {
                    return Err(Fault::lasting(format!(
                        "the database {address} is in use by another server\n    → stop that one, or give this one a database of its own"
                    )));
                }
            }
        };
        let mut registry = Self::open_unshared(address, options).await?;
        let (address, options) = (address.clone(), options.clone());
        registry.hold = Some(Hold(tokio::spawn(keep(address, options, taken))));
        Ok(Arc::new(registry))
    }
}

/// A connection that has the lock, and the task that ends with the connection.
struct Taken {
    _client: Client,
    ended: Ended,
}

struct Ended(JoinHandle<()>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// None when another session has the lock.
async fn take(address: &Address, options: &Options) -> Result<Option<Taken>, Fault> {
    let late = |_| Fault::passing(format!("the database {address} does not answer in time"));
    timeout(options.patience, async {
        let tls = address
            .tls()
            .map_err(|e| Fault::lasting(format!("store: the address {e}")))?;
        let config = address.config(options.patience);
        let connected = config.connect(tls).await;
        let (client, connection) = connected.map_err(|e| crate::open::explain_sql(address, &e))?;
        let ended = Ended(tokio::spawn(async move {
            let _ = connection.await;
        }));
        let row = client.query_one(LOCK, &[]).await;
        let got = row.map_err(|e| of_sql(&e))?.get(0);
        Ok::<_, Fault>(if got {
            Some(Taken {
                _client: client,
                ended,
            })
        } else {
            None
        })
    })
    .await
    .map_err(late)?
}

/// Takes the lock again whenever its connection breaks.
async fn keep(address: Address, options: Options, mut taken: Taken) {
    loop {
        let _ = (&mut taken.ended.0).await;
        taken = loop {
            sleep(PAUSE).await;
            match take(&address, &options).await {
                Ok(Some(taken)) => break taken,
                Ok(None) => {
                    tracing::error!(%address, "another server uses our database");
                    sleep(WAIT).await;
                }
                // Every call says so, too.
                Err(fault) => tracing::debug!(%fault, "the database is away"),
            }
        };
    }
}

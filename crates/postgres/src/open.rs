//! Opening the database: a pool of connections, checks, and the newest schema.

use crate::{
    Address, Options, Registry,
    fault::{Trouble, words},
    schema,
};
use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime,
};
use model::error::Fault;
use std::{sync::Arc, time::Duration};
use tokio_postgres::error::SqlState;

/// PostgreSQL 14 is the oldest that its makers still mend.
const OLDEST: i32 = 140_000;

impl Registry {
    /// Opens the registry in the database, and makes its tables when there are none.
    ///
    /// # Errors
    /// When the database cannot be reached or lets us not in, when it is too old, or when its
    /// tables were made by a newer version; the context says how to mend it.
    pub async fn open(address: &Address, options: &Options) -> Result<Arc<Self>, Fault> {
        Ok(Arc::new(Self::open_unshared(address, options).await?))
    }

    pub(crate) async fn open_unshared(address: &Address, options: &Options) -> Result<Self, Fault> {
        let (registry, _) = Self::reach(address, options).await?;
        schema::migrate(&registry, address).await?;
        Ok(registry)
    }

    /// Whether the database can be used, and which version of PostgreSQL it is; nothing is changed.
    ///
    /// # Errors
    /// As `open`, but for the tables.
    pub async fn probe(address: &Address, options: &Options) -> Result<String, Fault> {
        Ok(Self::reach(address, options).await?.1)
    }

    async fn reach(address: &Address, options: &Options) -> Result<(Self, String), Fault> {
        let bad = |e: &dyn std::fmt::Display| Fault::lasting(format!("store: the address {e}"));
        let tls = address.tls().map_err(|e| bad(&e))?;
        let recycle = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(address.config(options.patience), tls, recycle);
        let setup = settings(options.patience);
        let pool = Pool::builder(manager)
            .max_size(options.connections.max(1))
            .runtime(Runtime::Tokio1)
            .post_create(Hook::async_fn(move |client, _| {
                let setup = setup.clone();
                Box::pin(async move {
                    let set = client.batch_execute(&setup).await;
                    set.map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|e| bad(&e))?;
        let registry = Self {
            pool,
            patience: options.patience,
            hold: None,
        };
        let version = registry.check().await;
        let version = version.map_err(|why| explain(address, why))?;
        Ok((registry, version))
    }

    async fn check(&self) -> Result<String, Why> {
        let row = self
            .row(
                "SELECT current_setting('server_version_num')::int4,
                        current_setting('server_version'),
                        current_setting('server_encoding'),
                        current_setting('fsync') = 'on',
                        pg_is_in_recovery()",
                &[],
            )
            .await?;
        let Some(row) = row else {
            return Err(Why::Unfit("does not tell its version".into()));
        };
        if row.get::<_, i32>(0) < OLDEST {
            return Err(Why::Unfit(format!(
                "is PostgreSQL {}; version 14 or a newer one is needed",
                row.get::<_, &str>(1)
            )));
        }
        if row.get::<_, &str>(2) != "UTF8" {
            return Err(Why::Unfit(format!(
                "keeps texts as {}; make it with: createdb --template=template0 --encoding=UTF8",
                row.get::<_, &str>(2)
            )));
        }
        if row.get(4) {
            return Err(Why::Unfit("is a standby that takes no changes".into()));
        }
        if !row.get::<_, bool>(3) {
            tracing::warn!(
                "the database runs with fsync = off: what it acknowledges is lost with the power"
            );
        }
        Ok(row.get(1))
    }
}

/// What every connection begins with. A commit is answered when it is on disk, whatever the
/// database's default; a statement that hangs is ended at the server, too.
fn settings(patience: Duration) -> String {
    let millis = patience.as_millis().clamp(1, 1 << 30);
    format!(
        "SET statement_timeout = {millis};
         SET idle_in_transaction_session_timeout = {millis};
         SET default_transaction_isolation = 'read committed';
         SET jit = off;
         SET client_min_messages = warning;
         SELECT set_config('synchronous_commit', 'on', false)
         WHERE current_setting('synchronous_commit') = 'off'"
    )
}

/// Why a database cannot be used.
enum Why {
    Trouble(Trouble),
    Unfit(String),
}

impl From<Trouble> for Why {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

fn explain(address: &Address, why: Why) -> Fault {
    let lasting = |what: String| Fault::lasting(format!("the database {address} {what}"));
    match why {
        Why::Unfit(what) => lasting(what),
        Why::Trouble(Trouble::Sql(e) | Trouble::Pool(PoolError::Backend(e))) => {
            explain_sql(address, &e)
        }
        Why::Trouble(other) => {
            let fault = Fault::from(other);
            Fault {
                retry: fault.retry,
                context: format!("the database {address}: {}", fault.context),
            }
        }
    }
}

/// What an operator can do about a database that cannot be used.
pub(crate) fn explain_sql(address: &Address, error: &tokio_postgres::Error) -> Fault {
    let lasting = |what: String| Fault::lasting(format!("the database {address} {what}"));
    let words = words(error);
    match error.code() {
        Some(code) if *code == SqlState::INVALID_PASSWORD => lasting(format!(
            "does not take the password: {words}\n    → check postgres.password_file, postgres.password_env or the password in `store`"
        )),
        Some(code) if *code == SqlState::INVALID_AUTHORIZATION_SPECIFICATION => lasting(format!(
            "does not let us in: {words}\n    → check the user in `store`, and pg_hba.conf at the database"
        )),
        Some(code) if *code == SqlState::INVALID_CATALOG_NAME => lasting(format!(
            "is not there: {words}\n    → make it: createdb --encoding=UTF8 --template=template0 NAME"
        )),
        Some(code) => Fault {
            retry: !matches!(code.code().get(..2), Some("28" | "3D" | "42")),
            context: format!("the database {address}: {words}"),
        },
        None if words.contains("password missing") => lasting(
            "asks for a password and none is given\n    → set postgres.password_file or postgres.password_env, or write it into `store`"
                .into(),
        ),
        None => Fault::passing(format!(
            "the database {address} cannot be reached: {words}\n    → is PostgreSQL running, and is the address in `store` right?"
        )),
    }
}

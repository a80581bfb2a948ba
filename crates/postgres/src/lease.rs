//! A connection, borrowed for one call.

use crate::{Registry, fault::Trouble};
use deadpool_postgres::{Object, Timeouts};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tokio_postgres::{Row, types::ToSql};

/// What a transaction may hold alone; the first half of an advisory lock.
#[derive(Clone, Copy)]
pub(crate) enum Alone {
    /// Changes of several entries of the catalog.
    Catalog = 0x6d75_0002,
    /// Insertions of devices into one product.
    Devices = 0x6d75_0003,
    /// Commands for one device.
    Commands = 0x6d75_0004,
}

/// A connection with the end of the call's time. It goes back to the pool only when nothing on it
/// is open or under way; else it is closed, which undoes what was open.
pub(crate) struct Lease {
    object: Option<Object>,
    end: Instant,
    open: bool,
    clean: bool,
}

pub(crate) type Given<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Registry {
    /// Borrows a connection for a call that begins now.
    pub(crate) async fn lease(&self) -> Result<Lease, Trouble> {
        self.lease_for(self.patience).await
    }

    pub(crate) async fn lease_for(&self, patience: Duration) -> Result<Lease, Trouble> {
        let end = Instant::now() + patience;
        let timeouts = Timeouts {
            wait: Some(patience),
            create: Some(patience),
            recycle: Some(patience),
        };
        let object = timeout_at(end, self.pool.timeout_get(&timeouts)).await;
        let object = object.map_err(|_| Trouble::Late)?.map_err(Trouble::Pool)?;
        Ok(Lease {
            object: Some(object),
            end,
            open: false,
            clean: true,
        })
    }

    /// One statement that is a transaction of its own.
    pub(crate) async fn rows(&self, sql: &str, given: Given<'_>) -> Result<Vec<Row>, Trouble> {
        self.lease().await?.rows(sql, given).await
    }

    /// As `rows`, when it is one row at most.
    pub(crate) async fn row(&self, sql: &str, given: Given<'_>) -> Result<Option<Row>, Trouble> {
        Ok(self.rows(sql, given).await?.into_iter().next())
    }
}

impl Lease {
    /// Begins a transaction that holds `what` of `whose` alone.
    pub(crate) async fn begin_alone(&mut self, what: Alone, whose: &str) -> Result<(), Trouble> {
        self.run("BEGIN").await?;
        self.open = true;
        // Bytes of which number stand for whose is the same in every process and version.
        let lock = "SELECT pg_advisory_xact_lock($1::int4, hashtext($2::text))";
        self.rows(lock, &[&(what as i32), &whose]).await.map(drop)
    }

    pub(crate) async fn begin(&mut self, how: &str) -> Result<(), Trouble> {
        self.run(how).await?;
        self.open = true;
        Ok(())
    }

    /// Ends the transaction; when it returns, what it did is on the database's disk.
    pub(crate) async fn commit(mut self) -> Result<(), Trouble> {
        self.run("COMMIT").await?;
        self.open = false;
        Ok(())
    }

    /// Ends the transaction without a trace.
    pub(crate) async fn undo(mut self) -> Result<(), Trouble> {
        self.run("ROLLBACK").await?;
        self.open = false;
        Ok(())
    }

    pub(crate) async fn rows(&mut self, sql: &str, given: Given<'_>) -> Result<Vec<Row>, Trouble> {
        self.under_way(async |object| {
            let statement = object.prepare_cached(sql).await?;
            object.query(&statement, given).await
        })
        .await
    }

    pub(crate) async fn row(
        &mut self,
        sql: &str,
        given: Given<'_>,
    ) -> Result<Option<Row>, Trouble> {
        Ok(self.rows(sql, given).await?.into_iter().next())
    }

    /// As `rows`, for words that do not mean the same each time.
    pub(crate) async fn once(&mut self, sql: &str) -> Result<Vec<Row>, Trouble> {
        self.under_way(async |object| object.query(sql, &[]).await)
            .await
    }

    /// Statements without values.
    pub(crate) async fn run(&mut self, sql: &str) -> Result<(), Trouble> {
        self.under_way(async |object| object.batch_execute(sql).await)
            .await
    }

    async fn under_way<T>(
        &mut self,
        ask: impl AsyncFnOnce(&Object) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, Trouble> {
        let Some(object) = &self.object else {
            return Err(Trouble::Late);
        };
        self.clean = false;
        let answer = timeout_at(self.end, ask(object)).await;
        let answer = answer.map_err(|_| Trouble::Late)?;
        // A statement that the database refused leaves a connection outside transactions as it was.
        self.clean = true;
        answer.map_err(Trouble::Sql)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if (self.open || !self.clean)
            && let Some(object) = self.object.take()
        {
            drop(Object::take(object));
        }
    }
}

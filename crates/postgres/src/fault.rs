//! Turns the troubles of the database into faults.

use deadpool_postgres::PoolError;
use model::error::Fault;
use std::error::Error as _;
use tokio_postgres::error::SqlState;

/// Why a call did not get its answer.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The database, or the way to it.
    Sql(tokio_postgres::Error),
    /// No connection was to be had.
    Pool(PoolError),
    /// The call's time is over. What it asked for may still happen.
    Late,
}

impl Trouble {
    /// Whether a row with that key is there already.
    pub(crate) fn is_taken(&self) -> bool {
        matches!(self, Self::Sql(e) if e.code() == Some(&SqlState::UNIQUE_VIOLATION))
    }
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Sql(e) | Trouble::Pool(PoolError::Backend(e)) => of_sql(&e),
            Trouble::Pool(PoolError::Timeout(_)) | Trouble::Late => {
                Fault::passing("the database does not answer in time")
            }
            Trouble::Pool(PoolError::PostCreateHook(e)) => {
                Fault::passing(format!("a new connection to the database: {e}"))
            }
            Trouble::Pool(PoolError::Closed) => Fault::passing("the store is stopping"),
            Trouble::Pool(PoolError::NoRuntimeSpecified) => {
                Fault::lasting("the pool of connections has no clock")
            }
        }
    }
}

/// The database refused, or could not be reached.
pub(crate) fn of_sql(error: &tokio_postgres::Error) -> Fault {
    Fault {
        retry: may_pass(error),
        context: format!("database: {}", words(error)),
    }
}

/// What the database said, without the values that it may repeat in its details.
pub(crate) fn words(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        words = format!("{words}: {inner}");
        source = inner.source();
    }
    words
}

/// Whether time mends it while the server runs: the connection broke, the database starts, stops,
/// has no room or no turn for us, or has become a standby.
fn may_pass(error: &tokio_postgres::Error) -> bool {
    let Some(code) = error.code() else {
        return true;
    };
    let class = code.code().get(..2).unwrap_or_default();
    matches!(class, "08" | "40" | "53" | "55" | "57" | "58")
        || *code == SqlState::READ_ONLY_SQL_TRANSACTION
}

/// What is kept cannot be what was written there.
pub(crate) fn damaged(what: &str, error: impl std::fmt::Display) -> Fault {
    Fault::lasting(format!("database: a damaged {what}: {error}"))
}

//! Turns the troubles of the engines into faults.

use model::error::Fault;
use std::{io, path::Path};

/// A file or folder could not be used.
pub(crate) fn of_io(what: &str, path: &Path, error: &io::Error) -> Fault {
    Fault {
        retry: may_pass(error),
        context: format!("{what} {}: {error}", path.display()),
    }
}

/// Whether time or an operator who frees some space mends it while the server runs.
fn may_pass(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::NotFound
            | io::ErrorKind::PermissionDenied
            | io::ErrorKind::InvalidData
            | io::ErrorKind::UnexpectedEof
            | io::ErrorKind::Unsupported
    )
}

/// SQLite refused.
pub(crate) fn of_sql(error: &rusqlite::Error) -> Fault {
    use rusqlite::ErrorCode;
    let retry = matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory
                | ErrorCode::CannotOpen
        )
    );
    Fault {
        retry,
        context: format!("registry: {error}"),
    }
}

/// The LSM tree refused.
pub(crate) fn of_lsm(error: &fjall::Error) -> Fault {
    let retry = match error {
        fjall::Error::Io(io) | fjall::Error::Storage(fjall::LsmError::Io(io)) => may_pass(io),
        fjall::Error::Poisoned | fjall::Error::Locked => true,
        _ => false,
    };
    Fault {
        retry,
        context: format!("histories: {error}"),
    }
}

/// A task of ours was cut off, which happens when the process ends.
pub(crate) fn stopped() -> Fault {
    Fault::passing("the store is stopping")
}

/// Runs `work`, which may wait for the disk, where it holds up nobody.
pub(crate) async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) if e.is_panic() => Err(Fault::lasting(format!("a task of the store failed: {e}"))),
        Err(_) => Err(stopped()),
    }
}

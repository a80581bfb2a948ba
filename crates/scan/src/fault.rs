//! What can be wrong with bytes that claim to be of some format.

use crate::limits::Limit;

/// Why something in an image could not be read. Faults are part of the result, not its end.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The bytes end before what their header promises.
    #[error("cut off: {0}")]
    Truncated(&'static str),
    /// A value that the format does not allow.
    #[error("malformed: {0}")]
    Malformed(&'static str),
    /// A variant of the format that is not read.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// A checksum differs.
    #[error("checksum differs: {0}")]
    Checksum(&'static str),
    /// A limit of the scan was reached.
    #[error("limit reached: {0}")]
    Limit(#[from] Limit),
}

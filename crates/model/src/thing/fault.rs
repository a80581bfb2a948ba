//! What can be wrong with a thing-model document.

/// One thing wrong with a thing-model document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct TslFault {
    /// Where: keys and identifiers from the root, joined by dots.
    pub path: String,
    /// What.
    pub reason: Flaw,
}

/// What is wrong at one place of a thing-model document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// A key that must be there is not.
    #[error("is missing")]
    Missing,
    /// The JSON type is wrong.
    #[error("must be {0}")]
    NotA(&'static str),
    /// A word that must be one of a list is not.
    #[error("must be one of {0}")]
    UnknownWord(&'static str),
    /// Not an identifier.
    #[error("must be 1 to {limit} letters, digits or underscores")]
    BadIdentifier {
        /// Longest allowed.
        limit: usize,
    },
    /// The identifier is a reserved word.
    #[error("is a reserved word")]
    Reserved,
    /// The identifier is used twice.
    #[error("is used twice")]
    Duplicate,
    /// A text for people is too long or contains control characters.
    #[error("must be at most {limit} characters and without control characters")]
    BadText {
        /// Longest allowed, in characters.
        limit: usize,
    },
    /// Not a number, or not one this type can hold.
    #[error("is not a number of this type")]
    BadNumber,
    /// The minimum is above the maximum.
    #[error("has its minimum above its maximum")]
    Reversed,
    /// A number is outside its bounds.
    #[error("must be {least} to {most}")]
    OutOfBounds {
        /// Least allowed.
        least: u32,
        /// Most allowed.
        most: u32,
    },
    /// A list is too long.
    #[error("has more than {limit} entries")]
    TooMany {
        /// Most entries allowed.
        limit: usize,
    },
    /// This type may not stand at this place.
    #[error("cannot be nested here")]
    NotNestable,
    /// The document is too large.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// Most bytes allowed.
        limit: usize,
    },
    /// The document is not JSON.
    #[error("is not JSON")]
    NotJson,
}

/// Faults found so far; bounded, so that a hostile document cannot fill memory with them.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<TslFault>);

impl Faults {
    const LIMIT: usize = 100;

    pub(super) fn add(&mut self, path: impl Into<String>, reason: Flaw) {
        if self.0.len() < Self::LIMIT {
            self.0.push(TslFault {
                path: path.into(),
                reason,
            });
        }
    }

    pub(super) fn into_result<T>(self, good: T) -> Result<T, Vec<TslFault>> {
        if self.0.is_empty() {
            Ok(good)
        } else {
            Err(self.0)
        }
    }
}

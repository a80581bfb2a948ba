//! Secrets at rest: sealed with data keys, which a master key wraps.

use model::error::Fault;

/// Seals and opens secrets.
pub struct Vault {}

impl Vault {
    /// Opens `sealed`, which belongs to `owner`.
    ///
    /// # Errors
    /// When the text was altered or belongs to another owner or master key.
    pub fn open(&self, _owner: &str, _sealed: &[u8]) -> Result<credential::Secret, Fault> {
        todo!()
    }
}

//! A registry as a file of lines that another server, on whatever engine, reads again
//! (docs/guide/export.md).
//!
//! `export` and `import` do it; `lock` is what secrets are closed with in the file, and `line` what
//! a line looks like. The file begins with a head and ends with a seal over all lines, so that a
//! file that was cut or changed is refused before anything is entered.

mod export;
mod import;
mod line;
mod lock;

pub use export::Content;
pub use import::{Checked, ImportError, Imported, check, import};
pub use lock::{Lock, LockError};

#[cfg(any(test, fuzzing))]
pub use import::fuzz;

#[cfg(test)]
mod tests;

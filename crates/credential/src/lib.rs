//! Cryptographic primitives and both ends of every signature that devices and API callers use.
//!
//! Start reading at [`evidence`], the one idea the rest of the house knows of this room; then
//! [`alink`] (how a device proves itself) and [`request`] (how a caller of the cloud API does).
//! Every scheme is one file with `sign`, `check`, its table of fields and published vectors.
//! [`crypto`] is the only code of the house that names a cryptographic library.
//!
//! The room takes bytes, time and randomness as arguments. It knows no socket, no clock, no store,
//! and nothing of the other rooms. No secret leaves it in a text, a `Debug` or an error.

#![no_std]

extern crate alloc;

pub mod alink;
pub mod crypto;
pub mod evidence;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod request;
pub mod text;
pub mod token;

pub use crypto::secret::Secret;
pub use evidence::{Evidence, Want};

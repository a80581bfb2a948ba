//! Cryptographic primitives and both ends of every signature that devices and API callers use.
//!
//! Start reading at [`evidence`], the one idea the rest of the house knows of this room; then
//! [`alink`] (how a device proves itself) and [`request`] (how a caller of the cloud API does).
//! Every scheme is one file with `sign`, `check`, its table of fields and published vectors.
//! [`crypto`] is the only code of the house that names a cryptographic library.
//!
//! The room takes bytes, time and randomness as arguments. It knows no socket, no clock, no store,
//! and nothing of the other rooms. No secret leaves it in a text, a `Debug` or an error.
//!
//! Without the feature `alloc` there is [`id2`] alone, the device's half of it, for firmware that
//! has no heap.

#![no_std]

#[cfg(feature = "alloc")]
extern crate alloc;

#[cfg(feature = "alloc")]
pub mod alink;
pub mod crypto;
#[cfg(feature = "alloc")]
pub mod evidence;
#[cfg(all(feature = "alloc", any(test, fuzzing)))]
pub mod fuzz;
pub mod id2;
#[cfg(feature = "alloc")]
pub mod request;
#[cfg(feature = "alloc")]
pub mod text;
#[cfg(feature = "alloc")]
pub mod token;

#[cfg(feature = "alloc")]
pub use crypto::secret::Secret;
#[cfg(feature = "alloc")]
pub use evidence::{Evidence, Want};

//! The device's side of the protocols, for firmware: computations without I/O, clock, threads or a
//! heap.
//!
//! Start reading at [`id2`], the client of ID², and [`holder`], behind which its key lives; or at
//! [`sign`], which makes host, client id, user name and password for an MQTT client that the
//! firmware already has. The room stands on `credential` alone and knows nothing of the server; its
//! face for C is `device-c`.
//!
//! With the feature `itls` there is a module of that name: a connection that the identity encrypts.
//! With the standard library and a feature of its own, a key may live in a secure element (`pkcs11`)
//! or be sealed by a TPM (`tpm`).

#![no_std]

#[cfg(test)]
extern crate alloc;
#[cfg(any(feature = "pkcs11", feature = "tpm"))]
extern crate std;

#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod holder;
pub mod id2;
#[cfg(feature = "itls")]
pub mod itls;
#[cfg(feature = "pkcs11")]
pub mod pkcs11;
pub mod sign;
#[cfg(feature = "tpm")]
pub mod tpm;

/// What a carrier of keys implements and speaks of.
pub use credential::{
    crypto::ecb::Direction,
    id2::{HashType, Id, Key, KeyError, KeyType, SoftKey, device::Form},
};

//! The device's side of the protocols, for firmware: computations without I/O, clock or threads.
//!
//! Start reading at [`sign`], which makes host, client id, user name and password for an MQTT client
//! that the firmware already has. The room stands on `credential` and `wire` alone and knows nothing
//! of the server.

#![no_std]

extern crate alloc;

pub mod sign;

pub use credential::Secret;

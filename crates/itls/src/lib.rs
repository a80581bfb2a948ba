//! iTLS: TLS 1.2 with ID² in place of certificates, as one vendor's devices speak it
//! (`spec/id2.md` section 7, cited below as "wire §7"). Both ends, without sockets, clock, chance or a
//! heap.
//!
//! Start reading at [`client`] and [`server`]: each is a machine that takes one record at a time and
//! says what it needs next. [`message`] has the bytes of the handshake, [`record`] those around
//! everything, [`alert`] the numbers by which an end says why it ends. The ciphers are `credential`'s.
//!
//! What it is worth: whoever learns a device's key later reads what was recorded before; a server is
//! whoever holds the devices' keys; records are proven before they are encrypted and padded, the
//! order that TLS has given up. It is here because devices speak it. The room must not know how an
//! identity is proven or kept: it asks its caller.

#![no_std]

#[cfg(test)]
extern crate alloc;

pub mod alert;
pub mod client;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod message;
pub mod record;
mod schedule;
pub mod server;

pub use alert::Alert;
pub use message::{Suite, Suites};
pub use record::{Kind, Receiver, Sender};

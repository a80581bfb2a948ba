//! The words of the product, its errors, and the ports.
//!
//! Start with `id`, then `product`, `device` and `fact`; `port` says what the hub needs from an
//! engine. This room knows no topics, no HTTP, no SQL and no vendor.

pub mod account;
pub mod archive;
pub mod command;
#[cfg(feature = "contract")]
pub mod contract;
pub mod device;
pub mod error;
pub mod fact;
pub mod firmware;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod id;
pub mod port;
pub mod product;
pub mod thing;
pub mod topo;
pub mod wiring;

//! Device sockets: who listens where, what is spoken on a connection, and who gets which message.
//!
//! Start with `Access::start`; then `listen` (what does a client want?), `hello` (who is it?),
//! `conn` (one task serves one connection), `client` (a device, or a guest of the plain listener),
//! `seat` (what waits for it), `router` (who subscribes to what) and `ledger` (what of that outlives
//! the process). The bytes of MQTT are `wire`'s, the meaning of topics is a dialect's
//! (`hub::edge::Dialect`), what must be kept of messages is the hub's. This room must not know any
//! vendor's topic, client id or signature, nor any store.

mod access;
mod client;
mod commands;
mod conn;
mod desk;
mod door;
mod farewell;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod handout;
mod hello;
mod ledger;
mod listen;
mod memory;
mod orders;
mod router;
mod seat;
mod settings;
mod signals;
mod stream;
mod throttle;
pub mod tls;
mod websocket;
mod will;

pub use access::{Access, Running, Sessions};
pub use listen::{BoxedStream, Duplex, HttpService};
pub use router::{SessionView, Totals};
pub use settings::{
    Bounds, Keep, Listener, Plain, Porter, Security, Settings, Speaks, Terms, Unwrapped, Wrap,
    Wrapped,
};
pub use wire::mqtt::Overflow;

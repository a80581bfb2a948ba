//! MQTT 3.1 and 3.1.1 from outside, statement by statement, by a client that shares no code with
//! the product. The numbers in brackets are those of the OASIS standard of 2014, appendix B;
//! `docs/mqtt-conformance.md` lists all of them.

mod connect;
mod malformed;
mod publish;
mod retain;
mod session;
mod subscribe;
mod topics;
mod transport;
mod will;

use tests::raw::{V31, V311};

/// The versions that this standard and its forerunner describe.
const VERSIONS: [u8; 2] = [V31, V311];

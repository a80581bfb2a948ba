//! MQTT 5 from outside, statement by statement, by a client that shares no code with the product.
//! The numbers in brackets are those of the OASIS standard of 2019, appendix B;
//! `docs/mqtt-conformance.md` lists all of them. What a server may send at all (flags, reason
//! codes, places of properties) is checked by that client for each packet that it reads.

mod alias;
mod auth;
mod connack;
mod connect;
mod errors;
mod expiry;
mod flow;
mod malformed;
mod properties;
mod publish;
mod retain;
mod session;
mod shared;
mod size;
mod subscribe;
mod topics;
mod transport;
mod will;

use tests::raw::{Case, Raw, V5};

/// A place for a test of this version.
fn case() -> Case {
    Case::new(V5)
}

/// A client with a session that outlives its connection.
fn lasting(case: &Case, name: &str) -> (Raw, bool) {
    let mut client = case.open();
    let present = client.login(&case.lasting(name));
    (client, present)
}

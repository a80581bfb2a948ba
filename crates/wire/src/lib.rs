//! Codecs and protocol machines of the device protocols, without sockets and without a clock: bytes, packets and
//! milliseconds go in, bytes, packets and effects come out. Start at [`mqtt::Decoder`] for bytes, at
//! [`mqtt::Session`] for what is in flight between us and one client, and at [`mqtt::Subscriptions`] for who gets a
//! topic. This room must not know who a client is, which vendor built it, what a topic means, or where a message is
//! stored: it depends on nothing else of ours.

#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod mqtt;

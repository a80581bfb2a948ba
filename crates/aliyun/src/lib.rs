//! The Alibaba Cloud dialect: how its devices and its applications speak, and nothing else.
//!
//! Start with `device` for what devices send (logins, topics, Alink messages, the HTTP
//! authentication service) and with `pop` for the application API's door, whose actions are rows
//! in `iot`, `id2` and `fss`. `itls` is the encryption that some of its devices have in place of TLS. `codes` holds every vendor number. This room knows no engine and no socket.

pub mod codes;
pub mod device;
pub mod fss;
pub mod id2;
pub mod iot;
pub mod itls;
pub mod pop;

//! The primitives, each behind one small function; nothing outside names the libraries below.

pub mod digest;
pub mod hmac;
pub mod password;
pub mod seal;
pub mod secret;
pub mod stretch;

//! The primitives, each behind one small function; nothing outside names the libraries below.

#[cfg(feature = "curves")]
pub mod curve;
pub mod digest;
pub mod ecb;
#[cfg(feature = "openssl")]
pub mod envelope;
pub mod hmac;
#[cfg(feature = "alloc")]
pub mod password;
pub mod record;
#[cfg(feature = "openssl")]
pub mod rsa;
#[cfg(feature = "alloc")]
pub mod seal;
pub mod secret;
#[cfg(feature = "alloc")]
pub mod stretch;
pub mod wrap;

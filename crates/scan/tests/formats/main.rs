//! Images made by the real tools come out byte for byte as they were packed, and damaged ones do
//! no harm. `tools/setup scan` installs the tools.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its images has failed"
)]

mod archives;
mod containers;
mod filesystems;
mod handmade;
mod hostile;
mod source;
mod streams;

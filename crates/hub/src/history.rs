//! The journal's reader that turns facts into histories and latest values.

/// How far the reader is, for those who want to read what was just written.
#[derive(Default)]
pub struct Pace {}

/// Readers of the journal whose positions are kept.
pub(crate) const READERS: [&str; 1] = ["history"];

//! The journal's reader that turns facts into histories and latest values.

/// How far the reader is, for those who want to read what was just written.
pub struct Pace {}

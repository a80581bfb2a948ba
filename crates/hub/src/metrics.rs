//! Counters that an operator reads; no label per device.

/// The counters.
pub struct Metrics {}

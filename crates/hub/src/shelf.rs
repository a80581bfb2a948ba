//! Products and models as devices need them at every message, kept in memory.

/// Products with their published thing models, by key; dropped when they change.
pub struct Shelf {}

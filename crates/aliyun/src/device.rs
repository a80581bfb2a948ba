//! (device; being written)

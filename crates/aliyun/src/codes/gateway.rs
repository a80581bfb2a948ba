//! (gateway codes; being written)

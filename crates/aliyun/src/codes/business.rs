//! (business codes; being written)

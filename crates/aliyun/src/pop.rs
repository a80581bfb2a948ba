//! (pop; being written)

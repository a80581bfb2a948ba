//! (alink codes; being written)

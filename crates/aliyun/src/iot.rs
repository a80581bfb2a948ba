//! (iot; being written)

//! (being written)

/// How grave an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub enum EventKind {
    /// Information.
    Info,
    /// Alert.
    Alert,
    /// Error.
    Error,
}

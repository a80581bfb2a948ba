//! Fuzz bodies: what must hold for any bytes from outside.

/// A line of histories in a backup. Whatever is read must read the same once written.
pub fn backup_line(bytes: &[u8]) {
    crate::backup::fuzz(bytes);
}

//! Archives and packages.

pub(crate) mod ar;
pub(crate) mod cpio;
pub(crate) mod rpm;
pub(crate) mod tar;
pub(crate) mod zip;

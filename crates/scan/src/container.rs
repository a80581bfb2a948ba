//! Headers and tables of parts: boot images, partitions, vendors' update files.

pub(crate) mod bootimg;
pub(crate) mod cfe;
pub(crate) mod chk;
pub(crate) mod fit;
pub(crate) mod gpt;
pub(crate) mod hex;
pub(crate) mod mbr;
pub(crate) mod realtek;
pub(crate) mod sealed;
pub(crate) mod seama;
pub(crate) mod sparse;
pub(crate) mod tplink;
pub(crate) mod trx;
pub(crate) mod uefi;
pub(crate) mod uimage;

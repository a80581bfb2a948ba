//! The scanner of firmware: bytes of an image in, what is inside and what is wrong with it out.
//!
//! Start reading at [`unpack()`], which opens everything that is packed into a flat list of files
//! with the chain of containers that each came out of; then [`identify()`], [`vulns`],
//! [`risks`], [`yara`] and [`rules`], which [`report::scan`] puts together, and [`render`], which writes it
//! down; every format is one file under `codec`,
//! `archive`, `container` or `fs`, and the table of them all is `format::FORMATS`.
//!
//! The room opens no file, no socket and no process, and knows no clock: who calls it gives the
//! bytes, the limits and a way to ask whether time is up. What comes from an image is untrusted:
//! offsets are checked before use, everything that grows is charged to a [`limits::Limits`], names
//! never become paths of the machine, and a fault of the image is data of the result.

pub mod dossier;
pub mod elf;
pub mod identify;
pub mod limits;
pub mod render;
pub mod report;
pub mod risks;
pub mod rules;
pub mod unpack;
pub mod version;
pub mod vulns;
pub mod yara;

#[cfg(any(test, fuzzing))]
pub mod fuzz;

mod archive;
mod carve;
mod codec;
mod container;
mod fault;
mod format;
mod fs;
mod path;
mod view;

pub use fault::Fault;
pub use format::{Class, formats};
pub use identify::identify;
pub use limits::Limits;
pub use unpack::{Unpacked, unpack};

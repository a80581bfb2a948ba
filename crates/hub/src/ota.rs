//! Firmware over the air ([AL-4.1], [AL-4.2]): packages, and campaigns that bring them to devices.
//!
//! A file is handed in (`upload`), becomes part of a package (`package`), and a campaign
//! (`campaign`) makes a task for each device that it is for (`choose`). `task` is the one place where a task
//! changes; each change is conditional on what the task was, so whatever dies in the middle,
//! nothing is done twice. `pace` walks the campaigns and decides whose turn it is, `device` is what
//! devices say. A task has succeeded when its device reports the version, and never otherwise.

mod campaign;
mod choose;
mod device;
mod ending;
mod module;
mod pace;
mod package;
mod progress;
mod task;
#[cfg(test)]
mod tests;
mod upload;

pub use campaign::{
    Campaign, CampaignKind, CampaignState, CampaignView, NewCampaign, Retry, StopAt,
};
pub use choose::{Select, Versions};
pub use device::{Piece, PieceError};
pub use module::{Module, ModuleVersion};
pub(crate) use pace::Pacer;
pub use package::{NewFile, NewPackage, Package, Verified};
pub use task::{OPEN, Task, TaskState};
pub use upload::{Ticket, Upload};

/// Longest version, module or name, in bytes.
pub const TEXT_MOST: usize = 64;

/// A version or the name of a module: 1 to 64 characters, none of which ends a line or a path.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= TEXT_MOST
        && !text.contains(|c: char| c.is_control() || c == '/' || c == '"' || c == '\\')
}

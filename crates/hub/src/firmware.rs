//! Firmware versions that devices report.

use crate::{Hub, edge::Session};
use model::{
    error::{Fault, PostError},
    port::Change,
};

/// How often a row that others change meanwhile is tried.
const TRIES: usize = 8;

impl Hub {
    /// Notes the version that a device says it runs; when it returns `Ok`, that is on disk. A
    /// version that is noted already costs one read.
    ///
    /// # Errors
    /// `NotAdmitted` when the device is gone, `Fault`.
    pub async fn firmware_report(&self, session: &Session, version: &str) -> Result<(), PostError> {
        for _ in 0..TRIES {
            let row = self.ports.devices.find_id(&session.iot_id).await?;
            let mut device = row.ok_or(PostError::NotAdmitted)?;
            if device.firmware == version {
                return Ok(());
            }
            version.clone_into(&mut device.firmware);
            match self.ports.devices.change(&device).await? {
                Change::Done(_) => return Ok(()),
                Change::Conflict => {}
            }
        }
        Err(Fault::passing("the device's row kept changing").into())
    }
}

//! What goes with a device that is deleted.

use crate::{Hub, desired, device_log, document::remove, shadow};
use model::{device::Device, error::Fault, port::Expect};

/// Documents by the id of their device.
const KINDS: &[&str] = &[
    desired::KIND,
    device_log::KIND,
    shadow::KIND,
    super::reset::KIND,
];

impl Hub {
    /// Forgets what was kept of a device whose row is gone.
    pub(super) async fn device_forget(&self, device: &Device) -> Result<(), Fault> {
        let id = &device.iot_id;
        self.wiring_forget(id).await?;
        let mut puts = self.tags_gone(&device.account, id).await?;
        puts.extend(self.groups_gone(id).await?);
        let kinds = KINDS.iter();
        puts.extend(kinds.map(|kind| remove(kind, id.as_str().to_owned(), Expect::Anything)));
        self.document_put(puts).await?;
        Ok(())
    }
}

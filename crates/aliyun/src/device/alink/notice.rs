//! What a device is told of its own fate (seed 001 §6.8).

use hub::{Hub, account::Permit, edge::Outbound};
use model::{error::DeviceError, id::DeviceKey, port::CloseReason};
use serde_json::json;

/// The word for a connection that is ended for this reason.
pub(crate) fn word(reason: CloseReason) -> Option<&'static str> {
    match reason {
        CloseReason::Disabled => Some("disable"),
        CloseReason::Deleted => Some("delete"),
        CloseReason::TakenOver
        | CloseReason::CredentialReset
        | CloseReason::Unbound
        | CloseReason::Stopping => None,
    }
}

/// `thing/disable`, `thing/enable` or `thing/delete`. Nothing is made of the answer, so the number
/// need not be anybody's.
pub(crate) fn write(device: &DeviceKey, word: &str, number: u32) -> Outbound {
    let request = json!({
        "id": number.to_string(),
        "version": "1.0",
        "params": {},
        "method": format!("thing.{word}"),
    });
    Outbound {
        topic: format!("/sys/{}/{}/thing/{word}", device.product, device.name),
        payload: request.to_string().into(),
        qos: 1,
        system: true,
    }
}

/// Tells a device that it may connect again; the end of its connection told it of the other. One
/// that is away learns it if it keeps a session.
///
/// # Errors
/// `NotFound`, engine trouble.
pub async fn tell_enabled(
    hub: &Hub,
    permit: &Permit,
    device: &DeviceKey,
) -> Result<(), DeviceError> {
    let number = hub.message_number().await?;
    let number = u32::try_from(number).unwrap_or_default();
    let told = write(device, "enable", number);
    hub.message_tell(permit, device, &told.topic, told.payload, told.qos)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-6.10]
    #[test]
    fn a_notice_has_the_form_of_the_document() {
        let device = DeviceKey::parse("pk", "dev1").expect("it is good");
        let told = write(&device, "disable", 7);
        assert_eq!(told.topic, "/sys/pk/dev1/thing/disable");
        let payload: serde_json::Value = serde_json::from_slice(&told.payload).expect("JSON");
        let expected =
            json!({"id": "7", "version": "1.0", "params": {}, "method": "thing.disable"});
        assert_eq!(payload, expected);
        assert_eq!(word(CloseReason::Deleted), Some("delete"));
        assert_eq!(word(CloseReason::TakenOver), None);
    }
}

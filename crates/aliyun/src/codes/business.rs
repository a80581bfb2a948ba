//! Errors of the IoT actions themselves: HTTP 200 with `Success` false and a `Code`
//! (spec/cloud-api.md §2.1). Where the vendor published no code for what happened, it is
//! `iot.system.IllegalRequest` and the message says what.

use model::error::{DeviceError, Fault, GroupError, OtaError, ProductError};

/// What is answered instead of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Business {
    /// The vendor's name.
    pub code: &'static str,
    /// What is wrong, and how to mend it.
    pub message: String,
}

impl Business {
    /// An error with this code and message.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// A request that makes no sense and has no code of its own.
    pub fn illegal(message: impl Into<String>) -> Self {
        Self::new(ILLEGAL, message)
    }

    /// A page that does not exist or is too large.
    pub fn page(message: impl Into<String>) -> Self {
        Self::new(PAGE, message)
    }
}

const ILLEGAL: &str = "iot.system.IllegalRequest";
const PAGE: &str = "iot.common.InvalidPageParams";

/// What an action is about, as far as its errors tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Products are made.
    ProductCreate,
    /// Products are changed or removed.
    ProductChange,
    /// Products are read.
    ProductRead,
    /// Thing models.
    Model,
    /// Topic classes.
    Topic,
    /// One device is made.
    DeviceCreate,
    /// Devices are made in batches.
    Batch,
    /// Devices are changed.
    DeviceChange,
    /// Devices are removed.
    DeviceDelete,
    /// Devices are kept from connecting.
    DeviceDisable,
    /// Devices are let in again.
    DeviceEnable,
    /// Devices are read.
    DeviceRead,
    /// Properties are set.
    PropertySet,
    /// Properties are read.
    PropertyRead,
    /// Events are read.
    EventRead,
    /// Services are run.
    ServiceInvoke,
    /// Service calls are read.
    ServiceRead,
    /// Messages are sent.
    Message,
    /// Firmware and its campaigns.
    Firmware,
    /// Devices are called.
    Call,
    /// Sub-devices are bound.
    TopoAdd,
    /// Sub-devices are unbound.
    TopoRemove,
    /// Topology is read.
    TopoRead,
    /// Identities; their errors have numbers of their own.
    Identity,
}

impl Family {
    /// The code for a request of this family that cannot be done as it is.
    fn failed(self) -> &'static str {
        match self {
            Self::ProductCreate => "iot.prod.CreateProductFailed",
            Self::ProductChange => "iot.prod.UpdateProductFailed",
            Self::ProductRead => "iot.common.QueryProductActionError",
            Self::Model | Self::DeviceChange | Self::Firmware | Self::Identity => ILLEGAL,
            Self::Topic => "iot.messagebroker.InvalidFormattedTopicName",
            Self::DeviceCreate => "iot.device.CreateDeviceFailed",
            Self::Batch => "iot.device.ApplyManyDevicesFailed",
            Self::DeviceDelete => "iot.device.DeleteDeviceFailed",
            Self::DeviceDisable => "iot.device.DisableDeviceFailed",
            Self::DeviceEnable => "iot.device.EnableDeviceFailed",
            Self::DeviceRead => "iot.common.QueryDeviceActionError",
            Self::PropertySet => "iot.device.SetDevicePropertyFailed",
            Self::PropertyRead => "iot.device.QueryDeviceAttrDataHistoryFailed",
            Self::EventRead => "iot.device.QueryDeviceEventHistoryFailed",
            Self::ServiceInvoke => "iot.device.InvokeThingServiceFailed",
            Self::ServiceRead => "iot.device.QueryDeviceServiceHistoryFailed",
            Self::Message => "iot.messagebroker.PublishMessageFailed",
            Self::Call => "iot.messagebroker.RrpcFailed",
            Self::TopoAdd => "iot.device.AddTopoRelationFailed",
            Self::TopoRemove => "iot.device.RemoveTopoRelationFailed",
            Self::TopoRead => "iot.device.QueryTopoRelationFailed",
        }
    }

    fn part(self, topic: &'static str) -> &'static str {
        if self == Self::Topic { topic } else { ILLEGAL }
    }
}

/// An error of a verb on products, in an action of `family`.
pub fn product(error: &ProductError, family: Family) -> Business {
    let code = match error {
        ProductError::NotFound => "iot.prod.NotExistedProduct",
        ProductError::NameTaken => "iot.prod.AlreadyExistedProductName",
        ProductError::BadRequest(_) => family.failed(),
        ProductError::TooMany => "iot.prod.ProductCountExceedMax",
        ProductError::NotModelled => "iot.prod.NotSeniorProduct",
        ProductError::HasDevices
        | ProductError::Released
        | ProductError::BadModel(_)
        | ProductError::Unconfirmed => ILLEGAL,
        ProductError::NoSuchPart(_) => family.part("iot.messagebroker.TopicTemplateIsNotFound"),
        ProductError::PartTaken(_) => family.part("iot.messagebroker.TopicAlreadyFound"),
        ProductError::TooManyParts(_) => {
            family.part("iot.messagebroker.TopicTemplateCountExceedMax")
        }
        ProductError::Fault(fault) => return trouble(fault),
    };
    Business::new(code, error.to_string())
}

/// An error of a verb on devices, in an action of `family`.
pub fn device(error: &DeviceError, family: Family) -> Business {
    let code = match error {
        DeviceError::NotFound => "iot.device.NotExistedDevice",
        DeviceError::NoSuchProduct => "iot.prod.NotExistedProduct",
        DeviceError::NameTaken => "iot.device.AlreadyExistedDeviceName",
        DeviceError::BadName(_) => "iot.device.InvalidFormattedDeviceName",
        DeviceError::BadRequest(_) | DeviceError::Misfit(_) => family.failed(),
        DeviceError::TooMuch(_) => match family {
            Family::PropertyRead | Family::EventRead | Family::ServiceRead => PAGE,
            Family::TopoAdd => "iot.device.TopoRelationCountExceeded",
            Family::ProductCreate
            | Family::ProductChange
            | Family::ProductRead
            | Family::Model
            | Family::Topic
            | Family::DeviceCreate
            | Family::Batch
            | Family::DeviceChange
            | Family::DeviceDelete
            | Family::DeviceDisable
            | Family::DeviceEnable
            | Family::DeviceRead
            | Family::PropertySet
            | Family::ServiceInvoke
            | Family::Message
            | Family::Call
            | Family::TopoRemove
            | Family::TopoRead
            | Family::Identity
            | Family::Firmware => family.failed(),
        },
        DeviceError::TooMany => "iot.device.DeviceCountExceeded",
        DeviceError::NoSuchBatch => "iot.device.DeviceApplyIsNotFound",
        DeviceError::BatchBusy => "iot.device.CreateDeviceTaskIsRunning",
        DeviceError::BadPage(_) => PAGE,
        DeviceError::NotModelled => "iot.prod.NotSeniorProduct",
        DeviceError::Offline => "iot.messagebroker.OFFLINE",
        DeviceError::TimedOut => "iot.messagebroker.TIMEOUT",
        DeviceError::BadTopic(_) => "iot.messagebroker.InvalidFormattedTopicName",
        DeviceError::Fault(fault) => return trouble(fault),
    };
    Business::new(code, error.to_string())
}

/// An error of a verb on firmware and campaigns. The vendor published no codes for these.
pub fn ota(error: &OtaError) -> Business {
    let code = match error {
        OtaError::NoSuchProduct => "iot.prod.NotExistedProduct",
        OtaError::NoSuchDevice(_) => "iot.device.NotExistedDevice",
        OtaError::NotFound(_)
        | OtaError::Taken(_)
        | OtaError::BadRequest(_)
        | OtaError::TooMany(_)
        | OtaError::TooLarge(_)
        | OtaError::NotVerified
        | OtaError::InUse(_)
        | OtaError::BadTicket(_) => ILLEGAL,
        OtaError::Fault(fault) => return trouble(fault),
    };
    Business::new(code, error.to_string())
}

/// An error of a verb on groups. The vendor published no codes for these either.
pub fn group(error: &GroupError) -> Business {
    let code = match error {
        GroupError::NoSuchDevice(_) => "iot.device.NotExistedDevice",
        GroupError::NotFound
        | GroupError::Taken
        | GroupError::BadRequest(_)
        | GroupError::TooMany(_)
        | GroupError::HasGroups => ILLEGAL,
        GroupError::Fault(fault) => return trouble(fault),
    };
    Business::new(code, error.to_string())
}

fn trouble(fault: &Fault) -> Business {
    tracing::error!(error = %fault, "a call failed");
    Business::new(
        "iot.system.SystemException",
        "a system exception occurred; see the server's log",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published codes that this surface uses (spec/cloud-api.md §2.1).
    const PUBLISHED: &[&str] = &[
        "iot.system.SystemException",
        "iot.system.IllegalRequest",
        "iot.common.InvalidPageParams",
        "iot.common.QueryDeviceActionError",
        "iot.common.QueryProductActionError",
        "iot.prod.AlreadyExistedProductName",
        "iot.prod.CreateProductFailed",
        "iot.prod.NotExistedProduct",
        "iot.prod.NotSeniorProduct",
        "iot.prod.ProductCountExceedMax",
        "iot.prod.UpdateProductFailed",
        "iot.device.AlreadyExistedDeviceName",
        "iot.device.AddTopoRelationFailed",
        "iot.device.QueryTopoRelationFailed",
        "iot.device.RemoveTopoRelationFailed",
        "iot.device.TopoRelationCountExceeded",
        "iot.device.ApplyManyDevicesFailed",
        "iot.device.CreateDeviceFailed",
        "iot.device.CreateDeviceTaskIsRunning",
        "iot.device.DeviceApplyIsNotFound",
        "iot.device.DeviceCountExceeded",
        "iot.device.DeleteDeviceFailed",
        "iot.device.DisableDeviceFailed",
        "iot.device.EnableDeviceFailed",
        "iot.device.InvalidFormattedDeviceName",
        "iot.device.InvokeThingServiceFailed",
        "iot.device.NotExistedDevice",
        "iot.device.QueryDeviceAttrDataHistoryFailed",
        "iot.device.QueryDeviceEventHistoryFailed",
        "iot.device.QueryDeviceServiceHistoryFailed",
        "iot.device.SetDevicePropertyFailed",
        "iot.messagebroker.OFFLINE",
        "iot.messagebroker.TIMEOUT",
        "iot.messagebroker.InvalidFormattedTopicName",
        "iot.messagebroker.PublishMessageFailed",
        "iot.messagebroker.RrpcFailed",
        "iot.messagebroker.TopicAlreadyFound",
        "iot.messagebroker.TopicTemplateCountExceedMax",
        "iot.messagebroker.TopicTemplateIsNotFound",
    ];

    const FAMILIES: [Family; 23] = [
        Family::ProductCreate,
        Family::ProductChange,
        Family::ProductRead,
        Family::Model,
        Family::Topic,
        Family::DeviceCreate,
        Family::Batch,
        Family::DeviceChange,
        Family::DeviceDelete,
        Family::DeviceDisable,
        Family::DeviceEnable,
        Family::DeviceRead,
        Family::PropertySet,
        Family::PropertyRead,
        Family::EventRead,
        Family::ServiceInvoke,
        Family::ServiceRead,
        Family::Message,
        Family::Call,
        Family::TopoAdd,
        Family::TopoRemove,
        Family::TopoRead,
        Family::Firmware,
    ];

    fn words() -> String {
        "the reason".into()
    }

    /// [AL-7.1] Whatever goes wrong, the code is one that the vendor published, and the message
    /// tells the reason but never the context of a fault.
    #[test]
    fn every_error_has_a_published_code() {
        let fault = || Fault::lasting("path of the disk");
        for family in FAMILIES {
            let products = [
                ProductError::NotFound,
                ProductError::NameTaken,
                ProductError::BadRequest(words()),
                ProductError::TooMany,
                ProductError::HasDevices,
                ProductError::Released,
                ProductError::NotModelled,
                ProductError::BadModel(words()),
                ProductError::NoSuchPart("topic class"),
                ProductError::PartTaken("topic class"),
                ProductError::TooManyParts("topic classes"),
                ProductError::Unconfirmed,
                ProductError::Fault(fault()),
            ];
            let devices = [
                DeviceError::NotFound,
                DeviceError::NoSuchProduct,
                DeviceError::NameTaken,
                DeviceError::BadName(words()),
                DeviceError::BadRequest(words()),
                DeviceError::TooMany,
                DeviceError::NoSuchBatch,
                DeviceError::BatchBusy,
                DeviceError::BadPage(words()),
                DeviceError::Misfit(words()),
                DeviceError::NotModelled,
                DeviceError::Offline,
                DeviceError::TimedOut,
                DeviceError::TooMuch(words()),
                DeviceError::BadTopic(words()),
                DeviceError::Fault(fault()),
            ];
            for told in products
                .iter()
                .map(|e| product(e, family))
                .chain(devices.iter().map(|e| device(e, family)))
            {
                assert!(PUBLISHED.contains(&told.code), "{}", told.code);
                assert!(!told.message.is_empty());
                assert!(!told.message.contains("disk"), "context is for the log");
            }
        }
    }

    #[test]
    fn the_same_error_is_named_by_what_was_asked() {
        let misfit = DeviceError::Misfit(words());
        assert_eq!(
            device(&misfit, Family::PropertySet).code,
            "iot.device.SetDevicePropertyFailed"
        );
        assert_eq!(
            device(&misfit, Family::ServiceInvoke).code,
            "iot.device.InvokeThingServiceFailed"
        );
        assert_eq!(
            product(&ProductError::NoSuchPart("topic class"), Family::Topic).code,
            "iot.messagebroker.TopicTemplateIsNotFound"
        );
    }
}

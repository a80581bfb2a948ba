//! Errors of the admin API: a name for programs, a sentence for people, and how to mend it.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use model::{
    error::{
        AccountError, CallerError, DeviceError, Fault, GroupError, Id2Error, OtaError, ProductError,
    },
    id::BadId,
};
use serde::Serialize;
use utoipa::ToSchema;

/// What a caller gets instead of an answer.
#[derive(Debug)]
pub(crate) struct AdminError {
    status: StatusCode,
    code: &'static str,
    message: String,
    help: String,
}

/// An error.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorView {
    error: ErrorBody,
}

/// What went wrong.
#[derive(Serialize, ToSchema)]
struct ErrorBody {
    /// A name that does not change between versions.
    code: &'static str,
    /// What happened.
    message: String,
    /// How to mend it.
    help: String,
}

impl AdminError {
    pub(crate) fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            help: help.into(),
        }
    }

    pub(crate) fn code(&self) -> &'static str {
        self.code
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            message,
            "the document at /api/v1/openapi.json says how the request is written",
        )
    }

    pub(crate) fn unauthorised(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "Unauthorised", message, help)
    }
}

/// The name of the error that a response tells, for the counter of calls.
#[derive(Clone, Copy)]
pub(super) struct Told(pub(super) &'static str);

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let Self {
            status,
            code,
            message,
            help,
        } = self;
        let body = Json(ErrorView {
            error: ErrorBody {
                code,
                message,
                help,
            },
        });
        let mut response = (status, body).into_response();
        response.extensions_mut().insert(Told(code));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = header::HeaderValue::from_static("Basic realm=\"muster\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

pub(super) async fn no_route() -> AdminError {
    AdminError::new(
        StatusCode::NOT_FOUND,
        "NoSuchRoute",
        "there is nothing at this address",
        "the document at /api/v1/openapi.json lists all operations",
    )
}

pub(super) async fn wrong_method() -> AdminError {
    AdminError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "WrongMethod",
        "this address does not take this method",
        "the document at /api/v1/openapi.json lists all operations",
    )
}

impl From<Fault> for AdminError {
    fn from(fault: Fault) -> Self {
        tracing::error!(fault = %fault.context, retry = fault.retry, "an admin call failed");
        let help = if fault.retry {
            "try again; when it stays, look into the server's log and run `muster doctor`"
        } else {
            "look into the server's log and run `muster doctor`"
        };
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "ServerTrouble",
            "the server could not do it",
            help,
        )
    }
}

impl From<BadId> for AdminError {
    fn from(bad: BadId) -> Self {
        Self::bad_request(bad.to_string())
    }
}

impl From<CallerError> for AdminError {
    fn from(error: CallerError) -> Self {
        let message = error.to_string();
        // An unknown key and a wrong secret get one answer, so that keys cannot be found by trying.
        let wrong = "the access key is not known or its secret does not match";
        match error {
            CallerError::UnknownKey | CallerError::BadSignature => Self::unauthorised(
                wrong,
                "check the key's id and secret; `muster key create` on the server makes a new one",
            ),
            CallerError::InactiveKey => Self::unauthorised(
                message,
                "an operator can accept it again with `muster key enable`",
            ),
            CallerError::Expired => Self::unauthorised(
                message,
                "set the clock of this machine; the server takes 15 minutes of difference",
            ),
            CallerError::Replayed => {
                Self::unauthorised(message, "sign every request with a nonce of its own")
            }
            CallerError::NotAllowed(_) => Self::new(
                StatusCode::FORBIDDEN,
                "NotAllowed",
                message,
                "attach a policy that allows it: `muster user attach NAME POLICY`",
            ),
            CallerError::Fault(fault) => fault.into(),
        }
    }
}

impl From<ProductError> for AdminError {
    fn from(error: ProductError) -> Self {
        let message = error.to_string();
        let (status, code, help) = match error {
            ProductError::NotFound => (
                StatusCode::NOT_FOUND,
                "NoSuchProduct",
                "`muster product list` shows the products of this account",
            ),
            ProductError::NameTaken => (
                StatusCode::CONFLICT,
                "NameTaken",
                "choose another name, or use the product that has it",
            ),
            ProductError::BadRequest(_) => (
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "change the value and try again",
            ),
            ProductError::TooMany => (
                StatusCode::CONFLICT,
                "TooManyProducts",
                "delete products, or raise limits.products in the configuration",
            ),
            ProductError::HasDevices => (
                StatusCode::CONFLICT,
                "HasDevices",
                "delete its devices first: `muster device delete PRODUCT NAME`",
            ),
            ProductError::Released => (
                StatusCode::CONFLICT,
                "Released",
                "cancel the release first: `muster product release PRODUCT off`",
            ),
            ProductError::NotModelled => (
                StatusCode::CONFLICT,
                "NotModelled",
                "only products made with a thing model have one",
            ),
            ProductError::BadModel(_) => (
                StatusCode::BAD_REQUEST,
                "BadModel",
                "mend the document at the places named and import it again",
            ),
            ProductError::NoSuchPart(_) => (
                StatusCode::NOT_FOUND,
                "NoSuchPart",
                "`muster product model PRODUCT` and `muster product show PRODUCT` list what there is",
            ),
            ProductError::PartTaken(_) => {
                (StatusCode::CONFLICT, "PartTaken", "choose another name")
            }
            ProductError::TooManyParts(_) => (
                StatusCode::CONFLICT,
                "TooManyParts",
                "remove some first, or raise the limit in the configuration",
            ),
            ProductError::Unconfirmed => (
                StatusCode::CONFLICT,
                "Unconfirmed",
                "send the same request again with \"confirmed\": true (the command line asks, or takes --yes)",
            ),
            ProductError::Fault(fault) => return fault.into(),
        };
        Self::new(status, code, message, help)
    }
}

impl From<OtaError> for AdminError {
    fn from(error: OtaError) -> Self {
        let message = error.to_string();
        let (status, code, help) = match error {
            OtaError::NotFound(_) => (
                StatusCode::NOT_FOUND,
                "NotFound",
                "`muster firmware list` and `muster campaign list` show what there is",
            ),
            OtaError::NoSuchProduct => (
                StatusCode::NOT_FOUND,
                "NoSuchProduct",
                "`muster product list` shows the products of this account",
            ),
            OtaError::NoSuchDevice(_) => (
                StatusCode::NOT_FOUND,
                "NoSuchDevice",
                "`muster device list PRODUCT` shows the devices of a product",
            ),
            OtaError::Taken(_) => (
                StatusCode::CONFLICT,
                "NameTaken",
                "choose another name, or use the one that is there",
            ),
            OtaError::BadRequest(_) | OtaError::BadTicket(_) => (
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "change the value and try again",
            ),
            OtaError::TooMany(_) => (
                StatusCode::CONFLICT,
                "TooMany",
                "delete what is not needed, or raise limits.firmwares or limits.campaigns",
            ),
            OtaError::TooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "TooLarge",
                "raise limits.firmware in the configuration",
            ),
            OtaError::NotVerified => (
                StatusCode::CONFLICT,
                "NotVerified",
                "`muster campaign create FIRMWARE PRODUCT --verify --device NAME` tries it first",
            ),
            OtaError::InUse(_) => (
                StatusCode::CONFLICT,
                "InUse",
                "`muster campaign list` shows what uses it",
            ),
            OtaError::Fault(fault) => return fault.into(),
        };
        Self::new(status, code, message, help)
    }
}

impl From<Id2Error> for AdminError {
    fn from(error: Id2Error) -> Self {
        let message = error.to_string();
        let (status, code, help) = match error {
            Id2Error::NoSuchIdentity
            | Id2Error::BadVendorPart
            | Id2Error::BadProductPart
            | Id2Error::NoVendor => (
                StatusCode::NOT_FOUND,
                "NoSuchIdentity",
                "`muster id2 list PRODUCT` shows the identities of a product",
            ),
            Id2Error::NoSuchProduct | Id2Error::NotOwned => (
                StatusCode::NOT_FOUND,
                "NoSuchProduct",
                "`muster id2 product PRODUCT --licence COUNT` lets a product have identities",
            ),
            Id2Error::AlreadyActive
            | Id2Error::NotActivated
            | Id2Error::Withdrawn
            | Id2Error::NotDelivered
            | Id2Error::Suspended
            | Id2Error::Revoked
            | Id2Error::Expired => (
                StatusCode::CONFLICT,
                "WrongState",
                "`muster id2 show ID` tells where it stands",
            ),
            Id2Error::NoLicence
            | Id2Error::QuotaUsedUp
            | Id2Error::LicenceOver
            | Id2Error::TooManyDownloads
            | Id2Error::OtpOff
            | Id2Error::NoSuchChip => (
                StatusCode::CONFLICT,
                "NotLicensed",
                "`muster id2 product PRODUCT` shows what may be issued, and changes it",
            ),
            Id2Error::FingerprintTaken | Id2Error::Taken(_) => (
                StatusCode::CONFLICT,
                "Taken",
                "choose another, or use the one that is there",
            ),
            Id2Error::Busy => (
                StatusCode::TOO_MANY_REQUESTS,
                "Busy",
                "wait a minute, or raise limits.id2_calls",
            ),
            Id2Error::BadProof
            | Id2Error::BadCode(_)
            | Id2Error::TimeExpired
            | Id2Error::TimeRepeated
            | Id2Error::BadChallenge
            | Id2Error::BadData(_)
            | Id2Error::BadServerExtra
            | Id2Error::BadExtra
            | Id2Error::BadDeviceChallenge
            | Id2Error::BadFingerprint
            | Id2Error::NotSupported
            | Id2Error::BadRequest(_) => (
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "`muster id2 examine PRODUCT ID CODE` tells where a code goes wrong",
            ),
            Id2Error::Fault(fault) => return fault.into(),
        };
        Self::new(status, code, message, help)
    }
}

impl From<DeviceError> for AdminError {
    fn from(error: DeviceError) -> Self {
        let message = error.to_string();
        let (status, code, help) = match error {
            DeviceError::NotFound => (
                StatusCode::NOT_FOUND,
                "NoSuchDevice",
                "`muster device list PRODUCT` shows the devices of a product",
            ),
            DeviceError::NoSuchProduct => (
                StatusCode::NOT_FOUND,
                "NoSuchProduct",
                "`muster product list` shows the products of this account",
            ),
            DeviceError::NameTaken => (
                StatusCode::CONFLICT,
                "NameTaken",
                "choose another name, or use the device that has it",
            ),
            DeviceError::BadName(_)
            | DeviceError::BadRequest(_)
            | DeviceError::BadPage(_)
            | DeviceError::BadTopic(_) => (
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "change the value and try again",
            ),
            DeviceError::TooMany => (
                StatusCode::CONFLICT,
                "TooManyDevices",
                "delete devices, or raise limits.devices in the configuration",
            ),
            DeviceError::NoSuchBatch => (
                StatusCode::NOT_FOUND,
                "NoSuchBatch",
                "use the number that the application was answered with",
            ),
            DeviceError::BatchBusy => (
                StatusCode::CONFLICT,
                "BatchBusy",
                "wait until it is done and try again",
            ),
            DeviceError::Misfit(_) => (
                StatusCode::BAD_REQUEST,
                "Misfit",
                "`muster product model PRODUCT` shows the thing model that it must fit",
            ),
            DeviceError::NotModelled => (
                StatusCode::CONFLICT,
                "NotModelled",
                "import and publish a thing model first: `muster product model PRODUCT --import FILE`",
            ),
            DeviceError::Offline => (
                StatusCode::CONFLICT,
                "Offline",
                "wait until the device is connected; `muster device show` tells",
            ),
            DeviceError::TimedOut => (
                StatusCode::GATEWAY_TIMEOUT,
                "TimedOut",
                "the order stays; `muster device services` shows a late answer",
            ),
            DeviceError::TooMuch(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "TooMuch",
                "send less at once, or wait until the device has caught up",
            ),
            DeviceError::Fault(fault) => return fault.into(),
        };
        Self::new(status, code, message, help)
    }
}

impl From<GroupError> for AdminError {
    fn from(error: GroupError) -> Self {
        let message = error.to_string();
        let (status, code, help) = match error {
            GroupError::NotFound => (
                StatusCode::NOT_FOUND,
                "NoSuchGroup",
                "`muster group list` shows the groups of this account",
            ),
            GroupError::NoSuchDevice(_) => (
                StatusCode::NOT_FOUND,
                "NoSuchDevice",
                "`muster device list PRODUCT` shows the devices of a product",
            ),
            GroupError::Taken => (StatusCode::CONFLICT, "NameTaken", "choose another name"),
            GroupError::BadRequest(_) => (
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "change the value and try again",
            ),
            GroupError::TooMany(_) => (
                StatusCode::CONFLICT,
                "TooMany",
                "remove some, or raise limits.groups or limits.group_devices",
            ),
            GroupError::HasGroups => (
                StatusCode::CONFLICT,
                "HasGroups",
                "`muster group list --within GROUP` shows them",
            ),
            GroupError::Fault(fault) => return fault.into(),
        };
        Self::new(status, code, message, help)
    }
}

impl From<AccountError> for AdminError {
    fn from(error: AccountError) -> Self {
        let message = error.to_string();
        let (status, code, help) = match error {
            AccountError::NotFound(_) => (
                StatusCode::NOT_FOUND,
                "NotFound",
                "`muster account list`, `user list`, `key list` and `policy list` show what there is",
            ),
            AccountError::Taken(_) => (StatusCode::CONFLICT, "NameTaken", "choose another name"),
            AccountError::BadRequest(_) => (
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "change the value and try again",
            ),
            AccountError::TooMany(_) => (
                StatusCode::CONFLICT,
                "TooMany",
                "delete some first, or raise the limit in the configuration",
            ),
            AccountError::Needed(_) => (
                StatusCode::CONFLICT,
                "Needed",
                "make another one first, or detach it where it is used",
            ),
            AccountError::Fault(fault) => return fault.into(),
        };
        Self::new(status, code, message, help)
    }
}

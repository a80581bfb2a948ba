//! What can go wrong, by noun. Vendor numbers are given at the vendor's edge.

use crate::id::BadId;

/// Our own trouble: an engine, a disk, a bug. The context is for the log, never for the caller.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{context}")]
pub struct Fault {
    /// Whether the same call may go through later.
    pub retry: bool,
    /// What an operator needs to know.
    pub context: String,
}

impl Fault {
    /// A fault that may pass.
    pub fn passing(context: impl Into<String>) -> Self {
        Self {
            retry: true,
            context: context.into(),
        }
    }

    /// A fault that stays until somebody mends it.
    pub fn lasting(context: impl Into<String>) -> Self {
        Self {
            retry: false,
            context: context.into(),
        }
    }
}

/// Why a device is not let in.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AdmitError {
    /// The proof does not match.
    #[error("the signature or token does not match")]
    BadProof,
    /// The request cannot be read or lacks something.
    #[error("{0}")]
    BadRequest(String),
    /// The device was deleted.
    #[error("the device was deleted")]
    Deleted,
    /// The device is disabled.
    #[error("the device is disabled")]
    Disabled,
    /// There is no such device.
    #[error("there is no such device")]
    NoSuchDevice,
    /// There is no such product.
    #[error("there is no such product")]
    NoSuchProduct,
    /// The device connected already and keeps the secret that it has (code 6289 on the wire).
    #[error("the device is already active")]
    AlreadyActive,
    /// The product does not let devices register themselves.
    #[error("dynamic registration is off")]
    RegistrationOff,
    /// The token is not one of ours, or void.
    #[error("the token is unknown")]
    TokenUnknown,
    /// The token is too old.
    #[error("the token has expired")]
    TokenExpired,
    /// A quota is used up.
    #[error("too many devices")]
    TooMany,
    /// Too many tries.
    #[error("too many tries; wait and try again")]
    TooOften,
    /// The product's devices prove themselves in another way, or over another channel.
    #[error("this way of authentication is not allowed here")]
    WrongScheme,
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why an API caller is not let in, or may not do it.
#[derive(Clone, Debug, thiserror::Error)]
pub enum CallerError {
    /// There is no such access key.
    #[error("the access key is not known")]
    UnknownKey,
    /// The access key, its user or its account is disabled.
    #[error("the access key is disabled")]
    InactiveKey,
    /// The signature does not match.
    #[error("the signature does not match")]
    BadSignature,
    /// The time is outside the window.
    #[error("the time is too far from the server's")]
    Expired,
    /// The nonce was used before.
    #[error("the nonce was used before")]
    Replayed,
    /// No policy allows it.
    #[error("not allowed: {0}")]
    NotAllowed(String),
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why a verb on a product was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ProductError {
    /// There is none, or it belongs to another account.
    #[error("there is no such product")]
    NotFound,
    /// The name is taken.
    #[error("a product with this name exists already")]
    NameTaken,
    /// A parameter breaks its rule.
    #[error("{0}")]
    BadRequest(String),
    /// The account may not have more.
    #[error("the account has as many products as it may have")]
    TooMany,
    /// It still has devices.
    #[error("the product still has devices; delete them first")]
    HasDevices,
    /// A released product does not change.
    #[error("the product is released; cancel the release first")]
    Released,
    /// The product has no thing model.
    #[error("the product has no thing model")]
    NotModelled,
    /// The thing model has mistakes, each with its place.
    #[error("the thing model does not fit: {0}")]
    BadModel(String),
    /// There is no such version, function or topic class.
    #[error("there is no such {0}")]
    NoSuchPart(&'static str),
    /// It exists already.
    #[error("there is such a {0} already")]
    PartTaken(&'static str),
    /// More of them than allowed.
    #[error("the product has as many {0} as it may have")]
    TooManyParts(&'static str),
    /// The step needs a second, explicit confirmation.
    #[error(
        "turning dynamic registration on lets anybody who knows the product secret register devices; confirm it"
    )]
    Unconfirmed,
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why a verb on a device was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum DeviceError {
    /// There is no such device, or it belongs to another account.
    #[error("there is no such device")]
    NotFound,
    /// There is no such product, or it belongs to another account.
    #[error("there is no such product")]
    NoSuchProduct,
    /// The name is taken.
    #[error("a device with this name exists already")]
    NameTaken,
    /// The name breaks its rule.
    #[error("{0}")]
    BadName(String),
    /// A parameter breaks its rule.
    #[error("{0}")]
    BadRequest(String),
    /// The product may not have more devices.
    #[error("the product has as many devices as it may have")]
    TooMany,
    /// There is no such batch application.
    #[error("there is no such application")]
    NoSuchBatch,
    /// The batch application is not in a state that allows this.
    #[error("the application is still being worked on")]
    BatchBusy,
    /// A page, a range or an order that makes no sense.
    #[error("{0}")]
    BadPage(String),
    /// A property, event or service that does not fit the thing model.
    #[error("{0}")]
    Misfit(String),
    /// The product has no thing model.
    #[error("the product has no thing model")]
    NotModelled,
    /// The device is not connected and the caller wants an answer now.
    #[error("the device is offline")]
    Offline,
    /// The device did not answer in time.
    #[error("the device did not answer in time")]
    TimedOut,
    /// More at once than allowed.
    #[error("{0}")]
    TooMuch(String),
    /// The topic is not one that may be used here.
    #[error("{0}")]
    BadTopic(String),
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why a verb on an account, user, key or policy was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AccountError {
    /// There is no such thing in the caller's account.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The name is taken.
    #[error("there is such a {0} already")]
    Taken(&'static str),
    /// A parameter breaks its rule.
    #[error("{0}")]
    BadRequest(String),
    /// More than allowed.
    #[error("there are as many {0} as allowed")]
    TooMany(&'static str),
    /// The last key of the last operator, a policy in use, a policy that comes with the product.
    #[error("{0}")]
    Needed(String),
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why a verb on firmware, campaigns or their devices was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum OtaError {
    /// There is no such thing in the caller's account.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// There is no such product, or it belongs to another account.
    #[error("there is no such product")]
    NoSuchProduct,
    /// There is no such device, or it belongs to another account.
    #[error("there is no such device: {0}")]
    NoSuchDevice(String),
    /// The name is taken.
    #[error("there is such a {0} already")]
    Taken(&'static str),
    /// A parameter breaks its rule.
    #[error("{0}")]
    BadRequest(String),
    /// More than allowed.
    #[error("there are as many {0} as allowed")]
    TooMany(&'static str),
    /// The file is larger than allowed.
    #[error("a file has at most {0} bytes")]
    TooLarge(u64),
    /// The package was not tried on chosen devices yet, or it failed there.
    #[error("the package is not verified; run a verification on chosen devices first")]
    NotVerified,
    /// It is in use.
    #[error("{0}")]
    InUse(String),
    /// What was signed does not hold.
    #[error("{0}")]
    BadTicket(String),
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why a verb on groups of devices was refused.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GroupError {
    /// There is none, or it belongs to another account.
    #[error("there is no such group")]
    NotFound,
    /// There is no such device, or it belongs to another account.
    #[error("there is no such device: {0}")]
    NoSuchDevice(String),
    /// The name is taken.
    #[error("there is a group of this name already")]
    Taken,
    /// A parameter breaks its rule.
    #[error("{0}")]
    BadRequest(String),
    /// More than allowed.
    #[error("there are as many {0} as allowed")]
    TooMany(&'static str),
    /// Other groups lie in it.
    #[error("other groups lie in the group; delete them first")]
    HasGroups,
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why a message of a device is refused, while its connection stays.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PostError {
    /// More properties in one message than allowed.
    #[error("too many properties in one message")]
    TooManyProperties,
    /// It does not fit the thing model.
    #[error("{0}")]
    Misfit(String),
    /// There is no such event or service.
    #[error("there is no such {0} in the thing model")]
    NoSuchFunction(&'static str),
    /// The message cannot be read.
    #[error("{0}")]
    BadRequest(String),
    /// The product has no thing model.
    #[error("the product has no thing model")]
    NotModelled,
    /// The session's device was disabled or deleted meanwhile.
    #[error("the device may not post any more")]
    NotAdmitted,
    /// Our own trouble: nothing was acknowledged, nothing may be taken as stored.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why a gateway is refused what it asks for a sub-device.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TopoError {
    /// The request cannot be read, or is too long.
    #[error("{0}")]
    BadRequest(String),
    /// The one who asks is of a product whose devices have no sub-devices.
    #[error("only devices of a gateway product have sub-devices")]
    NotGateway,
    /// The device is of a product whose devices are gateways themselves.
    #[error("a gateway cannot be a sub-device")]
    NotSub,
    /// A device as its own sub-device.
    #[error("a device cannot be its own sub-device")]
    BySelf,
    /// There is no such device, or it belongs to another account.
    #[error("there is no such device")]
    NoSuchDevice,
    /// There is no such product, or it belongs to another account.
    #[error("there is no such product")]
    NoSuchProduct,
    /// The name breaks its rule.
    #[error("{0}")]
    BadName(String),
    /// The proof does not match.
    #[error("the proof does not match")]
    BadProof,
    /// The device was removed from the registry while it was bound to this gateway.
    #[error("the device was deleted")]
    Deleted,
    /// The device is kept from connecting.
    #[error("the device is disabled")]
    Disabled,
    /// The device is not bound to this gateway.
    #[error("the device is not bound to this gateway")]
    NotBound,
    /// The device is bound to another gateway.
    #[error("the device is bound to another gateway")]
    BoundElsewhere,
    /// The device has its secret already.
    #[error("the device is active already")]
    AlreadyActive,
    /// The product does not let devices register themselves.
    #[error("the product's devices may not register themselves")]
    RegistrationOff,
    /// The gateway has as many sub-devices as it may have.
    #[error("the gateway has as many sub-devices as it may have")]
    TooMany,
    /// Too many logins.
    #[error("too many logins; wait and try again")]
    TooOften,
    /// The sub-device is not connected through this gateway.
    #[error("the sub-device is not connected through this gateway")]
    NoSession,
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

/// Why something about a connectionless identity is not done (seed 000 §1.1.8).
#[derive(Clone, Debug, thiserror::Error)]
pub enum Id2Error {
    /// The identity was proven before, and is not given out again.
    #[error("the identity is active already")]
    AlreadyActive,
    /// The product knows its chips, and this is none of them.
    #[error("the product has no such chip")]
    NoSuchChip,
    /// A signature does not verify, or something does not decrypt.
    #[error("the signature does not match, or the data cannot be decrypted")]
    BadProof,
    /// The product has no licence to issue identities.
    #[error("the product has no licence to issue identities")]
    NoLicence,
    /// The licence is used up.
    #[error("as many identities were issued as the licence allows")]
    QuotaUsedUp,
    /// Nobody was given such an identity.
    #[error("there is no such identity")]
    NoSuchIdentity,
    /// A code that cannot be read, or is of a form that is not taken.
    #[error("{0}")]
    BadCode(String),
    /// It was given out, and nobody activated it.
    #[error("the identity is not activated")]
    NotActivated,
    /// The timestamp is outside the window.
    #[error("the timestamp is too far from the server's time")]
    TimeExpired,
    /// The same code came before.
    #[error("the code was used before")]
    TimeRepeated,
    /// The challenge was never given out, or not for this identity, or was used, or is too old.
    #[error("the challenge is unknown, used or too old")]
    BadChallenge,
    /// Data that cannot be encrypted.
    #[error("{0}")]
    BadData(String),
    /// The server's extra is too long.
    #[error("the server's extra is too long")]
    BadServerExtra,
    /// The device's extra is too long, or came with a code that covers none.
    #[error("the extra is too long, or the code covers none")]
    BadExtra,
    /// The device's challenge to the server is malformed.
    #[error("the device's challenge has 1 to 128 visible characters without ~")]
    BadDeviceChallenge,
    /// The product's use of identities is off, or its licence is over.
    #[error("identities of this product are switched off, or their licence is over")]
    LicenceOver,
    /// Keys of this type cannot do it.
    #[error("keys of this type cannot do that")]
    NotSupported,
    /// A state in which it proves nothing.
    #[error("the identity was withdrawn before a device had it")]
    Withdrawn,
    /// It is in a file for a production line, and nobody said that devices have it.
    #[error("the identity is not delivered: its batch is not released")]
    NotDelivered,
    /// It is suspended.
    #[error("the identity is suspended")]
    Suspended,
    /// It is revoked, for ever.
    #[error("the identity is revoked")]
    Revoked,
    /// The caller's account has it not, or it is of another product.
    #[error("the identity or product is not the caller's, or they do not belong together")]
    NotOwned,
    /// Its vendor part can be no vendor's.
    #[error("the vendor part of the identity is none")]
    BadVendorPart,
    /// Its product part is no product's.
    #[error("the product part of the identity is no product's")]
    BadProductPart,
    /// Its time is over.
    #[error("the identity has expired")]
    Expired,
    /// There is no such product, or it has no identities.
    #[error("there is no such product with identities")]
    NoSuchProduct,
    /// Its vendor part belongs to nobody here.
    #[error("the vendor of the identity is not registered")]
    NoVendor,
    /// As many were given out today as may be.
    #[error("as many identities were given out today as the product allows")]
    TooManyDownloads,
    /// Too many calls for one identity.
    #[error("too many calls for this identity; wait and try again")]
    Busy,
    /// The product gives out nothing on demand.
    #[error("the product gives out no identities on demand")]
    OtpOff,
    /// The fingerprint tells no devices apart.
    #[error("the fingerprint is empty, too long or a filler")]
    BadFingerprint,
    /// A device with this fingerprint has an identity.
    #[error("a device with this fingerprint was given an identity")]
    FingerprintTaken,
    /// Something of the request makes no sense.
    #[error("{0}")]
    BadRequest(String),
    /// There is such a thing already.
    #[error("there is such {0} already")]
    Taken(&'static str),
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

impl From<AdmitError> for TopoError {
    fn from(error: AdmitError) -> Self {
        match error {
            AdmitError::BadRequest(why) => Self::BadRequest(why),
            AdmitError::BadProof
            | AdmitError::TokenUnknown
            | AdmitError::TokenExpired
            | AdmitError::WrongScheme => Self::BadProof,
            AdmitError::NoSuchDevice => Self::NoSuchDevice,
            AdmitError::NoSuchProduct => Self::NoSuchProduct,
            AdmitError::Deleted => Self::Deleted,
            AdmitError::Disabled => Self::Disabled,
            AdmitError::AlreadyActive => Self::AlreadyActive,
            AdmitError::RegistrationOff => Self::RegistrationOff,
            AdmitError::TooMany => Self::TooMany,
            AdmitError::TooOften => Self::TooOften,
            AdmitError::Fault(fault) => Self::Fault(fault),
        }
    }
}

impl From<BadId> for DeviceError {
    fn from(bad: BadId) -> Self {
        Self::BadRequest(bad.to_string())
    }
}

//! Codes that devices see: in CONNACK, from the HTTP authentication service, in Alink replies.

use hub::edge::RefusalCode;
use model::error::{AdmitError, PostError, ProductError};

/// A number and the words that the documents put beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Code(pub u32, pub &'static str);

/// Done (seed 001 §6.13).
pub const SUCCESS: Code = Code(200, "success");
/// A parameter is missing or wrong (seed 001 §6).
pub const PARAMETER: Code = Code(460, "request parameter error");
/// Something this server does not do; permanent, hence the number that devices do not retry.
pub const NOT_SERVED: Code = Code(
    460,
    "request parameter error: this server does not serve the request",
);
/// Our own trouble (seed 001 §5).
pub const SERVER: Code = Code(500, "server error");
/// Remote configuration is off (seed 001 §6.12).
pub const NO_CONFIG: Code = Code(6713, "thing config function is not available");
/// There is no document of a remote configuration (seed 001 §6.12).
pub const NO_DATA: Code = Code(6710, "no data");
/// There is no firmware for the device to fetch (seed 001 §6.11).
pub const NO_UPGRADE: Code = Code(500, "none upgrade operation of the device.");
/// A request of the authentication service cannot be read (seed 001 §3.2).
pub const AUTH_PARAMETER: Code = Code(460, "param error");
/// The authentication service has trouble of its own (seed 001 §3.2).
pub const AUTH_UNKNOWN: Code = Code(500, "unknown error");
/// The authentication service was called over a channel that others can read.
pub const AUTH_CLEAR: Code = Code(6200, "auth type mismatch: call this address over HTTPS");
/// The sign method of a registration is none of the three (spec/alink-wire.md §3.2).
pub const SIGN_METHOD: Code = Code(6292, "sign method not supported");

/// Return code of CONNACK (seed 001 §3.2, spec/alink-wire.md §2.5). Only what stands in the user
/// name or password itself is "malformed"; a proof that does not match is "not authorised".
pub fn refusal(error: &AdmitError) -> RefusalCode {
    match error {
        AdmitError::BadRequest(_) => RefusalCode::ClientId,
        AdmitError::TokenUnknown
        | AdmitError::TokenExpired
        | AdmitError::TooOften
        | AdmitError::Fault(_) => RefusalCode::Unavailable,
        AdmitError::BadProof
        | AdmitError::Deleted
        | AdmitError::Disabled
        | AdmitError::NoSuchDevice
        | AdmitError::NoSuchProduct
        | AdmitError::AlreadyActive
        | AdmitError::RegistrationOff
        | AdmitError::TooMany
        | AdmitError::WrongScheme => RefusalCode::NotAuthorised,
    }
}

/// Codes of `/auth/devicename` (seed 001 §3.2). The document knows five; what it does not tell
/// apart gets the nearest of them.
pub fn pre_auth(error: &AdmitError) -> Code {
    match error {
        AdmitError::BadProof
        | AdmitError::Disabled
        | AdmitError::TokenUnknown
        | AdmitError::TokenExpired => Code(401, "request auth error"),
        AdmitError::BadRequest(_) => AUTH_PARAMETER,
        AdmitError::NoSuchDevice | AdmitError::NoSuchProduct | AdmitError::Deleted => {
            Code(5001, "meta device not found")
        }
        AdmitError::WrongScheme | AdmitError::RegistrationOff | AdmitError::AlreadyActive => {
            Code(6200, "auth type mismatch")
        }
        AdmitError::TooOften => Code(429, "too many requests"),
        AdmitError::TooMany | AdmitError::Fault(_) => AUTH_UNKNOWN,
    }
}

/// Codes of `/auth/register/device` (seeds 001 §6.2 and 004, spec/alink-wire.md §3.2).
pub fn register(error: &AdmitError) -> Code {
    match error {
        AdmitError::BadProof => Code(6600, "signature check failed"),
        AdmitError::BadRequest(_) => PARAMETER,
        AdmitError::NoSuchDevice => Code(6100, "device not found"),
        AdmitError::Deleted => Code(521, "device deleted"),
        AdmitError::Disabled => Code(522, "device forbidden"),
        AdmitError::AlreadyActive => Code(6289, "device is already active"),
        AdmitError::RegistrationOff => Code(6288, "dynamic registration is not enabled"),
        AdmitError::NoSuchProduct
        | AdmitError::TokenUnknown
        | AdmitError::TokenExpired
        | AdmitError::WrongScheme => Code(401, "request auth error"),
        AdmitError::TooOften => Code(429, "too many requests"),
        AdmitError::TooMany | AdmitError::Fault(_) => SERVER,
    }
}

/// Codes of replies to what devices post (seed 001 §6.5). The document names 6313 for a check
/// against the thing model that cannot be had, whatever the cause.
pub fn post(error: &PostError) -> Code {
    match error {
        PostError::TooManyProperties => Code(6106, "map size must less than 200"),
        PostError::Misfit(_) | PostError::NoSuchFunction(_) | PostError::BadRequest(_) => PARAMETER,
        PostError::NotModelled | PostError::Fault(_) => Code(6313, "tsl service not available"),
        PostError::NotAdmitted => Code(520, "device session error"),
    }
}

/// Codes of replies about tags and desired properties (seed 001 §6.6, §6.9).
pub fn about(error: &PostError) -> Code {
    match error {
        PostError::TooManyProperties => Code(6106, "map size must less than 200"),
        PostError::Misfit(_) | PostError::NoSuchFunction(_) | PostError::BadRequest(_) => PARAMETER,
        PostError::NotAdmitted => Code(6100, "device not found"),
        PostError::NotModelled | PostError::Fault(_) => SERVER,
    }
}

/// Codes of the reply to `thing/dsltemplate/get` (seed 001 §6.10).
pub fn template(error: &ProductError) -> Code {
    match error {
        ProductError::NotFound => Code(6321, "tsl: device not exist in product"),
        ProductError::NotModelled | ProductError::NoSuchPart(_) => {
            Code(6313, "tsl service not available")
        }
        ProductError::BadRequest(_)
        | ProductError::NameTaken
        | ProductError::TooMany
        | ProductError::HasDevices
        | ProductError::Released
        | ProductError::BadModel(_)
        | ProductError::PartTaken(_)
        | ProductError::TooManyParts(_)
        | ProductError::Unconfirmed => PARAMETER,
        ProductError::Fault(_) => SERVER,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::error::Fault;

    /// [AL-2.3] [AL-2.5] [AL-3.3] One error, three surfaces.
    #[test]
    fn every_reason_to_stay_out_has_its_number_on_every_surface() {
        use RefusalCode::{ClientId, NotAuthorised, Unavailable};
        let fault = || Fault::passing("disk");
        for (error, connack, auth, registration) in [
            (AdmitError::BadProof, NotAuthorised, 401, 6600),
            (AdmitError::BadRequest(String::new()), ClientId, 460, 460),
            (AdmitError::Deleted, NotAuthorised, 5001, 521),
            (AdmitError::Disabled, NotAuthorised, 401, 522),
            (AdmitError::NoSuchDevice, NotAuthorised, 5001, 6100),
            (AdmitError::NoSuchProduct, NotAuthorised, 5001, 401),
            (AdmitError::AlreadyActive, NotAuthorised, 6200, 6289),
            (AdmitError::RegistrationOff, NotAuthorised, 6200, 6288),
            (AdmitError::TokenUnknown, Unavailable, 401, 401),
            (AdmitError::TokenExpired, Unavailable, 401, 401),
            (AdmitError::TooMany, NotAuthorised, 500, 500),
            (AdmitError::TooOften, Unavailable, 429, 429),
            (AdmitError::WrongScheme, NotAuthorised, 6200, 401),
            (AdmitError::Fault(fault()), Unavailable, 500, 500),
        ] {
            assert_eq!(refusal(&error), connack, "{error:?}");
            assert_eq!(pre_auth(&error).0, auth, "{error:?}");
            assert_eq!(register(&error).0, registration, "{error:?}");
        }
    }

    /// [AL-6.3] [AL-6.4] [AL-6.12]
    #[test]
    fn posts_and_templates_are_refused_with_the_numbers_of_the_document() {
        let fault = || Fault::lasting("disk");
        for (error, number) in [
            (PostError::TooManyProperties, 6106),
            (PostError::Misfit("m".into()), 460),
            (PostError::NoSuchFunction("event"), 460),
            (PostError::BadRequest("b".into()), 460),
            (PostError::NotModelled, 6313),
            (PostError::NotAdmitted, 520),
            (PostError::Fault(fault()), 6313),
        ] {
            assert_eq!(post(&error).0, number, "{error:?}");
        }
        for (error, number) in [
            (ProductError::NotFound, 6321),
            (ProductError::NotModelled, 6313),
            (ProductError::NoSuchPart("model"), 6313),
            (ProductError::BadRequest("b".into()), 460),
            (ProductError::Fault(fault()), 500),
        ] {
            assert_eq!(template(&error).0, number, "{error:?}");
        }
    }

    /// The words that seeds 001 (§3.2, §6.5, §6.10 to §6.13) and 004 print, letter by letter.
    #[test]
    fn words_are_those_of_the_documents() {
        for (code, words) in [
            (pre_auth(&AdmitError::BadProof), "request auth error"),
            (AUTH_PARAMETER, "param error"),
            (AUTH_UNKNOWN, "unknown error"),
            (pre_auth(&AdmitError::NoSuchDevice), "meta device not found"),
            (pre_auth(&AdmitError::WrongScheme), "auth type mismatch"),
            (
                register(&AdmitError::AlreadyActive),
                "device is already active",
            ),
            (
                post(&PostError::TooManyProperties),
                "map size must less than 200",
            ),
            (post(&PostError::NotModelled), "tsl service not available"),
            (
                template(&ProductError::NotFound),
                "tsl: device not exist in product",
            ),
            (PARAMETER, "request parameter error"),
            (NO_CONFIG, "thing config function is not available"),
            (NO_UPGRADE, "none upgrade operation of the device."),
            (SUCCESS, "success"),
        ] {
            assert_eq!(code.1, words);
        }
    }
}

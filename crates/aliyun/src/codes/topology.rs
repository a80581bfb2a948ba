//! Codes that gateways see: in replies about topology and sub-devices' sessions, and on the error
//! topic (seed 001 §5, §6.2 to §6.4).

use super::alink::{Code, PARAMETER, SERVER, post};
use hub::pack::PackError;
use model::{error::TopoError, port::CloseReason};

/// The sub-device logged in elsewhere.
pub const ELSEWHERE: Code = Code(427, "device connect in elsewhere");
/// It has no session through this gateway, and said something all the same.
pub const SESSION: Code = Code(520, "device session error");
const NO_SESSION: Code = Code(520, "device no session");
const FULL: Code = Code(428, "too many subdevices under gateway");
const NO_DEVICE: Code = Code(6100, "device not found");
const DELETED: Code = Code(521, "device deleted");
const FORBIDDEN: Code = Code(522, "device forbidden");
const NO_RELATION: Code = Code(6401, "topo relation not exist");
const BY_SELF: Code = Code(6402, "topo relation cannot add by self");
const NO_PRODUCT: Code = Code(6250, "product not found");
const BAD_NAME: Code = Code(6280, "devicename not meet specs");
const NO_AUTH: Code = Code(401, "request auth error");

/// Codes of `thing/topo/…`, `thing/sub/…`, `thing/list/found` (seed 001 §6.2, §6.3).
pub fn topology(error: &TopoError) -> Code {
    match error {
        TopoError::BadRequest(_) | TopoError::NotGateway | TopoError::NotSub => PARAMETER,
        TopoError::BySelf => BY_SELF,
        TopoError::NoSuchDevice => NO_DEVICE,
        TopoError::NoSuchProduct => NO_PRODUCT,
        TopoError::BadName(_) => BAD_NAME,
        TopoError::BadProof => NO_AUTH,
        TopoError::Deleted => DELETED,
        TopoError::Disabled => FORBIDDEN,
        TopoError::NotBound => NO_RELATION,
        TopoError::BoundElsewhere => Code(6619, "device is bound to another gateway"),
        TopoError::AlreadyActive => Code(6289, "device is already active"),
        TopoError::RegistrationOff => Code(6288, "dynamic registration is not enabled"),
        TopoError::TooMany => FULL,
        TopoError::TooOften => Code(429, "too many requests"),
        TopoError::NoSession => NO_SESSION,
        TopoError::Fault(fault) => {
            tracing::error!(%fault, "a gateway was refused for our own trouble");
            SERVER
        }
    }
}

/// Codes of `combine/login` and `combine/logout` (seed 001 tables 5-1, 5-2, §6.4).
pub fn login(error: &TopoError) -> Code {
    match error {
        TopoError::BadProof => Code(6287, "invalid sign"),
        TopoError::NoSuchProduct => NO_DEVICE,
        TopoError::TooOften => Code(
            429,
            "rate limit, too many subDeviceOnline msg in one minute",
        ),
        TopoError::BadRequest(_)
        | TopoError::NotGateway
        | TopoError::NotSub
        | TopoError::BySelf
        | TopoError::NoSuchDevice
        | TopoError::BadName(_)
        | TopoError::Deleted
        | TopoError::Disabled
        | TopoError::NotBound
        | TopoError::BoundElsewhere
        | TopoError::AlreadyActive
        | TopoError::RegistrationOff
        | TopoError::TooMany
        | TopoError::NoSession
        | TopoError::Fault(_) => topology(error),
    }
}

/// Codes on the error topic when a sub-device is sent off (seed 001 table 5-3). A new secret and
/// the server's end are not in the table: both mean that the session is no more.
pub fn parted(reason: CloseReason) -> Code {
    match reason {
        CloseReason::TakenOver => ELSEWHERE,
        CloseReason::Disabled => FORBIDDEN,
        CloseReason::Deleted => DELETED,
        CloseReason::Unbound => NO_RELATION,
        CloseReason::CredentialReset | CloseReason::Stopping => SESSION,
    }
}

/// Codes of batches (seed 001 §6.5).
pub fn pack(error: &PackError) -> Code {
    match error {
        PackError::Post(error) => post(error),
        PackError::Topo(error) => topology(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::error::Fault;

    /// [AL-6.1] [AL-5.1] [AL-2.4] One error, its numbers in both tables.
    #[test]
    fn every_error_of_a_gateway_has_its_number() {
        for (error, about_topology, about_login) in [
            (TopoError::BadRequest("b".into()), 460, 460),
            (TopoError::NotGateway, 460, 460),
            (TopoError::NotSub, 460, 460),
            (TopoError::BySelf, 6402, 6402),
            (TopoError::NoSuchDevice, 6100, 6100),
            (TopoError::NoSuchProduct, 6250, 6100),
            (TopoError::BadName("n".into()), 6280, 6280),
            (TopoError::BadProof, 401, 6287),
            (TopoError::Deleted, 521, 521),
            (TopoError::Disabled, 522, 522),
            (TopoError::NotBound, 6401, 6401),
            (TopoError::BoundElsewhere, 6619, 6619),
            (TopoError::AlreadyActive, 6289, 6289),
            (TopoError::RegistrationOff, 6288, 6288),
            (TopoError::TooMany, 428, 428),
            (TopoError::TooOften, 429, 429),
            (TopoError::NoSession, 520, 520),
            (TopoError::Fault(Fault::passing("disk")), 500, 500),
        ] {
            assert_eq!(topology(&error).0, about_topology, "{error:?}");
            assert_eq!(login(&error).0, about_login, "{error:?}");
        }
    }

    /// [AL-5.1] Seed 001 table 5-3, letter by letter.
    #[test]
    fn a_sub_device_is_sent_off_with_the_words_of_the_document() {
        for (reason, number, words) in [
            (CloseReason::TakenOver, 427, "device connect in elsewhere"),
            (CloseReason::Deleted, 521, "device deleted"),
            (CloseReason::Disabled, 522, "device forbidden"),
            (CloseReason::Unbound, 6401, "topo relation not exist"),
            (CloseReason::CredentialReset, 520, "device session error"),
        ] {
            assert_eq!(parted(reason), Code(number, words));
        }
    }
}

//! Numbers of the API of ID² (seed 000 §1.1.8): HTTP 200 with `Success` false and a `Code`. The
//! document says what each means in a few characters; when each is given is `spec/id2.md` §6.

use super::business::Business;
use model::error::Id2Error;

/// `ApiVersion` is another one than 1.1.2.
pub fn api_version() -> Business {
    Business::new("37", "the ApiVersion is not 1.1.2")
}

/// Something is missing, or is not what its parameter takes.
pub fn bad_request(message: impl Into<String>) -> Business {
    Business::new("500", message)
}

/// What a caller is told.
pub fn told(error: &Id2Error) -> Business {
    let code = match error {
        Id2Error::AlreadyActive => "12",
        Id2Error::NoSuchChip => "13",
        Id2Error::BadProof => "14",
        Id2Error::NoLicence => "15",
        Id2Error::QuotaUsedUp => "16",
        Id2Error::NoSuchIdentity => "18",
        Id2Error::BadCode(_) => "21",
        Id2Error::NotActivated => "32",
        Id2Error::TimeExpired => "33",
        Id2Error::TimeRepeated => "34",
        Id2Error::BadChallenge => "35",
        Id2Error::BadData(_) => "36",
        Id2Error::BadServerExtra => "38",
        Id2Error::BadExtra => "39",
        Id2Error::BadDeviceChallenge => "40",
        Id2Error::LicenceOver => "41",
        Id2Error::NotSupported => "42",
        Id2Error::Withdrawn => "43",
        Id2Error::NotDelivered => "44",
        Id2Error::Suspended => "45",
        Id2Error::Revoked => "46",
        Id2Error::NotOwned => "47",
        Id2Error::BadVendorPart => "48",
        Id2Error::BadProductPart => "49",
        Id2Error::Expired => "50",
        Id2Error::NoSuchProduct => "51",
        Id2Error::NoVendor => "52",
        Id2Error::TooManyDownloads => "53",
        Id2Error::Busy => "54",
        Id2Error::OtpOff => "55",
        Id2Error::BadFingerprint => "56",
        Id2Error::FingerprintTaken => "57",
        Id2Error::BadRequest(_) | Id2Error::Taken(_) => "500",
        Id2Error::Fault(fault) => {
            tracing::error!(error = %fault, "a call failed");
            if fault.retry { "54" } else { "700" }
        }
    };
    Business::new(code, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::error::Fault;

    /// [ID-7] What is wrong with us has a number of its own, and says nothing of the inside.
    #[test]
    fn our_own_trouble_is_told_by_number_alone() {
        for (fault, code) in [
            (Fault::passing("disk"), "54"),
            (Fault::lasting("disk"), "700"),
        ] {
            let told = told(&Id2Error::Fault(fault));
            assert_eq!(told.code, code);
            assert!(!told.message.contains("disk"));
        }
    }
}

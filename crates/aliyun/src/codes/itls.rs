//! Alerts of iTLS that say what the API of ID² says by numbers (`spec/id2.md` section 7).

use itls::Alert;
use model::error::Id2Error;

/// What a device is told.
pub fn alert(error: &Id2Error) -> Alert {
    match error {
        Id2Error::NoLicence | Id2Error::QuotaUsedUp | Id2Error::TooManyDownloads => Alert::NoQuota,
        Id2Error::NoSuchIdentity
        | Id2Error::BadVendorPart
        | Id2Error::BadProductPart
        | Id2Error::NoVendor => Alert::NoSuchIdentity,
        Id2Error::BadProof | Id2Error::BadCode(_) | Id2Error::BadExtra => Alert::BadCode,
        Id2Error::NotActivated | Id2Error::NotDelivered => Alert::NotActivated,
        Id2Error::TimeExpired | Id2Error::TimeRepeated => Alert::TimeExpired,
        Id2Error::BadChallenge => Alert::BadChallenge,
        Id2Error::NotSupported | Id2Error::OtpOff => Alert::NotSupported,
        Id2Error::Suspended => Alert::Suspended,
        Id2Error::Revoked | Id2Error::Withdrawn => Alert::Discarded,
        Id2Error::NotOwned => Alert::OtherProduct,
        Id2Error::NoSuchProduct => Alert::NoSuchProduct,
        Id2Error::Busy => Alert::Busy,
        Id2Error::BadFingerprint | Id2Error::NoSuchChip => Alert::BadFingerprint,
        Id2Error::FingerprintTaken | Id2Error::AlreadyActive => Alert::FingerprintTaken,
        Id2Error::Expired
        | Id2Error::LicenceOver
        | Id2Error::BadData(_)
        | Id2Error::BadServerExtra
        | Id2Error::BadDeviceChallenge
        | Id2Error::BadRequest(_)
        | Id2Error::Taken(_) => Alert::Generic,
        Id2Error::Fault(fault) => match fault.retry {
            true => Alert::Busy,
            false => Alert::Generic,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::error::Fault;

    /// The table of `spec/id2.md` section 7. [ID-7]
    #[test]
    fn what_the_api_tells_by_number_is_told_by_alert() {
        for (error, number) in [
            (Id2Error::QuotaUsedUp, 161),
            (Id2Error::NoSuchIdentity, 162),
            (Id2Error::BadProof, 163),
            (Id2Error::BadCode(String::new()), 163),
            (Id2Error::NotActivated, 164),
            (Id2Error::TimeExpired, 165),
            (Id2Error::BadChallenge, 166),
            (Id2Error::NotSupported, 167),
            (Id2Error::Suspended, 168),
            (Id2Error::Revoked, 169),
            (Id2Error::NotOwned, 170),
            (Id2Error::NoSuchProduct, 172),
            (Id2Error::Busy, 173),
            (Id2Error::BadFingerprint, 174),
            (Id2Error::FingerprintTaken, 175),
            (Id2Error::Fault(Fault::lasting("disk")), 160),
            (Id2Error::Fault(Fault::passing("disk")), 173),
        ] {
            assert_eq!(alert(&error).number(), number, "{error:?}");
        }
    }
}

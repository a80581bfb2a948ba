//! The ways in which the vendor writes a time as text (spec/cloud-api.md §2, conventions). What
//! the vendor writes in its region's local time is UTC here (docs/divergences.md). A time that
//! never was is an empty text.

use model::id::Time;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

type Form = &'static [BorrowedFormatItem<'static>];

const UTC: Form =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const LOCAL: Form = format_description!("[year]-[month]-[day] [hour]:[minute]:[second]");
const MAIL: Form = format_description!(
    "[weekday repr:short], [day]-[month repr:short]-[year] [hour]:[minute]:[second] GMT"
);

/// `2018-08-06T02:47:50.000Z`, as in fields named `Utc…`.
pub(super) fn utc(at: Option<Time>) -> String {
    write(at, UTC)
}

/// `2018-08-06 10:47:50`, as in fields named `Gmt…` of details.
pub(super) fn local(at: Option<Time>) -> String {
    write(at, LOCAL)
}

/// `Wed, 20-Feb-2019 02:16:09 GMT`, as in fields named `Gmt…` of device lists.
pub(super) fn mail(at: Option<Time>) -> String {
    write(at, MAIL)
}

fn write(at: Option<Time>, form: Form) -> String {
    at.and_then(|at| OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000).ok())
        .and_then(|at| at.format(form).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_look_as_documented() {
        let at = Some(Time(1_550_628_969_000));
        assert_eq!(utc(at), "2019-02-20T02:16:09.000Z");
        assert_eq!(local(at), "2019-02-20 02:16:09");
        assert_eq!(mail(at), "Wed, 20-Feb-2019 02:16:09 GMT");
        assert_eq!(utc(None), "");
        assert_eq!(utc(Some(Time(i64::MAX))), "");
    }
}

//! Pages: by number and size, and by time (spec/cloud-api.md §2, conventions).

use super::{Ask, Refusal, parameter::Params};
use crate::codes::business::Business;
use hub::property::{Page, PageWanted};
use model::id::Time;

/// A page by number and size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sheet {
    /// From 1.
    pub(super) number: u64,
    /// Rows on a page.
    pub(super) size: u64,
}

impl Sheet {
    /// Reads `CurrentPage` and `PageSize`, which is `usual` when it is not given and at most
    /// `most`.
    pub(super) fn read(params: &Params<'_>, usual: u64, most: u64) -> Result<Self, Business> {
        let number = params.integer("CurrentPage").map_or(Ok(1), u64::try_from);
        let size = params.integer("PageSize").map_or(Ok(usual), u64::try_from);
        match (number, size) {
            (Ok(number), Ok(size)) if number >= 1 && (1..=most).contains(&size) => {
                Ok(Self { number, size })
            }
            _ => Err(Business::page(format!(
                "CurrentPage starts at 1, and PageSize goes from 1 to {most}"
            ))),
        }
    }

    /// Rows before the page.
    pub(super) fn skip(self) -> u64 {
        (self.number - 1).saturating_mul(self.size)
    }

    /// Rows on the page at most.
    pub(super) fn most(self) -> usize {
        usize::try_from(self.size).unwrap_or(usize::MAX)
    }

    /// Pages that `total` rows fill.
    pub(super) fn pages(self, total: u64) -> u64 {
        total.div_ceil(self.size)
    }

    /// The rows of the page, out of all.
    pub(super) fn cut<T>(self, all: Vec<T>) -> Vec<T> {
        let skip = usize::try_from(self.skip()).unwrap_or(usize::MAX);
        all.into_iter().skip(skip).take(self.most()).collect()
    }
}

/// Reads `StartTime`, `EndTime`, `Asc` (0, the default, for newest first) and `PageSize`.
pub(super) fn span(ask: &Ask<'_>, usual: i64, most: i64) -> Result<PageWanted, Refusal> {
    let params = &ask.params;
    let from = Time(params.integer("StartTime").unwrap_or_default());
    let to = Time(params.integer("EndTime").unwrap_or_default());
    if from.0 < 0 || from > to {
        let code = "iot.device.InvalidTimeBucket";
        let message = "StartTime and EndTime are milliseconds, and StartTime comes first";
        return Err(Business::new(code, message).into());
    }
    let oldest_first = match params.integer("Asc") {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => {
            return Err(Business::page("Asc is 0 for newest first, 1 for oldest first").into());
        }
    };
    let size = params.integer("PageSize").unwrap_or(usual);
    match usize::try_from(size) {
        Ok(rows) if (1..=most).contains(&size) => Ok(PageWanted {
            from,
            to,
            oldest_first,
            most: rows,
        }),
        _ => Err(Business::page(format!("PageSize goes from 1 to {most}")).into()),
    }
}

/// `NextValid` and `NextTime`. Where there is no next page, the time is where the range ends.
pub(super) fn next(page: &Page, wanted: &PageWanted) -> (bool, i64) {
    let end = if wanted.oldest_first {
        wanted.to
    } else {
        wanted.from
    };
    (page.next.is_some(), page.next.unwrap_or(end).0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iot::{VERSION, find};

    fn sheet(query: &str) -> Result<Sheet, Business> {
        let pairs = credential::request::query::decode(query).expect("the sample can be read");
        let action = find(VERSION, "QueryDevice").expect("it is in the table");
        let params = Params::read(action, &pairs).expect("the sample is well formed");
        Sheet::read(&params, 10, 50)
    }

    #[test]
    fn pages_have_limits() {
        let first = sheet("ProductKey=p").expect("the defaults are good");
        assert_eq!((first.skip(), first.most()), (0, 10));
        let third = sheet("ProductKey=p&CurrentPage=3&PageSize=50").expect("it is good");
        assert_eq!((third.skip(), third.most()), (100, 50));
        assert_eq!((third.pages(101), third.pages(0)), (3, 0));
        for bad in [
            "CurrentPage=0",
            "CurrentPage=-1",
            "PageSize=0",
            "PageSize=51",
        ] {
            let error = sheet(&format!("ProductKey=p&{bad}")).expect_err(bad);
            assert_eq!(error.code, "iot.common.InvalidPageParams");
        }
        let far = sheet(&format!("ProductKey=p&CurrentPage={}", i64::MAX)).expect("it is empty");
        assert!(far.cut(vec![1, 2, 3]).is_empty());
    }
}

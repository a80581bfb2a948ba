//! The version that repairs what a component has (document 000, 1.2.9: `allFixedVersion` and
//! `highCriticalFixedVersion`).

use std::cmp::Ordering;

use super::{Bound, Criterion};
use crate::version::compare;

/// To which version to go: `>=` it, or `>` it; both empty where no repair is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct FixedVersion {
    /// `>`, `>=` or nothing.
    pub expression: String,
    /// The version or nothing.
    pub version: String,
}

/// A place in the order of versions: at one, or right behind it.
#[derive(Clone)]
struct Place {
    version: String,
    behind: bool,
}

impl Place {
    fn cmp(&self, other: &Place) -> Ordering {
        compare(&self.version, &other.version).then(self.behind.cmp(&other.behind))
    }

    fn is_in(&self, criterion: &Criterion) -> bool {
        if !self.behind {
            return criterion.holds(&self.version);
        }
        if criterion.exact.is_some() {
            return false;
        }
        let above = criterion
            .from
            .as_ref()
            .is_none_or(|from| compare(&self.version, &from.version) != Ordering::Less);
        let below = criterion
            .to
            .as_ref()
            .is_none_or(|to| compare(&self.version, &to.version) == Ordering::Less);
        above && below
    }
}

/// The smallest version from `version` on that lies outside of all `criteria`. Only ends of ranges
/// that contain the place count, so that another branch's repair is never proposed.
#[must_use]
pub fn fixed(version: &str, criteria: &[&Criterion]) -> FixedVersion {
    let mut place = Place {
        version: version.to_owned(),
        behind: false,
    };
    let mut moved = false;
    // Each round passes at least one range for good.
    for _ in 0..=criteria.len() {
        let mut next: Option<Place> = None;
        for criterion in criteria.iter().filter(|c| place.is_in(c)) {
            let Some(Bound { version, including }) = criterion.to.as_ref() else {
                return FixedVersion::default();
            };
            let end = Place {
                version: version.to_string(),
                behind: *including,
            };
            if next.as_ref().is_none_or(|n| n.cmp(&end) == Ordering::Less) {
                next = Some(end);
            }
        }
        match next {
            Some(end) => place = end,
            None if moved => {
                return FixedVersion {
                    expression: if place.behind { ">" } else { ">=" }.into(),
                    version: place.version,
                };
            }
            None => return FixedVersion::default(),
        }
        moved = true;
    }
    FixedVersion::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(from: &str, to: &str, including: bool) -> Criterion {
        let bound = |version: &str, including| {
            (!version.is_empty()).then(|| Bound {
                version: version.into(),
                including,
            })
        };
        Criterion {
            vendor: "v".into(),
            product: "p".into(),
            exact: None,
            from: bound(from, true),
            to: bound(to, including),
            conditional: false,
        }
    }

    fn to(version: &str, ranges: &[Criterion]) -> (String, String) {
        let fixed = fixed(version, &ranges.iter().collect::<Vec<_>>());
        (fixed.expression, fixed.version)
    }

    /// [FS-5]
    #[test]
    fn the_end_of_the_own_branch_repairs() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(to("1.2", &[range("", "1.5", false)]), pair(">=", "1.5"));
        assert_eq!(to("1.2", &[range("", "1.5", true)]), pair(">", "1.5"));
        // At the same number "behind" wins.
        assert_eq!(
            to("1.2", &[range("", "1.5", true), range("", "1.5", false)]),
            pair(">", "1.5")
        );
        // Another branch's end is not a repair of this one.
        let kernel = [range("", "3.4.113", false), range("3.5", "3.10.104", false)];
        assert_eq!(to("3.10.14", &kernel), pair(">=", "3.10.104"));
        // A later range may contain the first answer.
        let chain = [range("", "1.5", false), range("1.4", "1.9", true)];
        assert_eq!(to("1.2", &chain), pair(">", "1.9"));
        // The end of a range that does not contain the end of the other is left alone.
        let apart = [range("", "1.5", false), range("2.0", "2.9", false)];
        assert_eq!(to("1.2", &apart), pair(">=", "1.5"));
    }

    #[test]
    fn without_an_end_there_is_no_repair() {
        let none = (String::new(), String::new());
        assert_eq!(
            to("1.2", &[range("", "1.5", false), range("1.0", "", false)]),
            none
        );
        let mut exact = range("", "", false);
        exact.exact = Some("1.2".into());
        assert_eq!(to("1.2", &[exact]), none);
        assert_eq!(to("1.2", &[]), none);
    }
}

//! The order of versions as real components number them: numbers, OpenSSL's letters, patch levels,
//! release candidates, and what distributions append.

pub mod packaged;

use std::cmp::Ordering;

#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    /// Debian's tilde sorts before the end.
    Tilde,
    /// Words that stand for "not yet released", in their order.
    Before(u8),
    Number(&'a str),
    /// A letter or a word behind a release.
    Word(&'a str),
}

fn parts(version: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_digit() {
            rest.find(|c: char| !c.is_ascii_digit())
        } else if first.is_alphabetic() {
            rest.find(|c: char| !c.is_alphabetic())
        } else {
            Some(first.len_utf8())
        }
        .unwrap_or(rest.len());
        let (part, tail) = rest.split_at(length);
        rest = tail;
        if first == '~' {
            parts.push(Part::Tilde);
        } else if first.is_ascii_digit() {
            parts.push(Part::Number(part.trim_start_matches('0')));
        } else if first.is_alphabetic() {
            const BEFORE: [&str; 7] = ["dev", "git", "alpha", "beta", "pre", "preview", "rc"];
            match BEFORE.iter().position(|w| part.eq_ignore_ascii_case(w)) {
                Some(rank) => parts.push(Part::Before(rank as u8)),
                None => parts.push(Part::Word(part)),
            }
        }
    }
    parts
}

/// The order of two versions.
#[must_use]
pub fn compare(one: &str, two: &str) -> Ordering {
    let (one, two) = (parts(one), parts(two));
    for index in 0..one.len().max(two.len()) {
        let order = match (one.get(index), two.get(index)) {
            (Some(a), Some(b)) => order(a, b),
            (Some(a), None) => against_end(a),
            (None, Some(b)) => against_end(b).reverse(),
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// 1.2 and 1.2.0 are the same; 1.2rc1 is before 1.2; 1.2a and 1.2p1 are behind it.
fn against_end(part: &Part<'_>) -> Ordering {
    match part {
        Part::Tilde | Part::Before(_) => Ordering::Less,
        Part::Number("") => Ordering::Equal,
        Part::Number(_) | Part::Word(_) => Ordering::Greater,
    }
}

fn order(one: &Part<'_>, two: &Part<'_>) -> Ordering {
    let rank = |part: &Part<'_>| match part {
        Part::Tilde => 0,
        Part::Before(_) => 1,
        Part::Word(_) => 2,
        Part::Number(_) => 3,
    };
    match (one, two) {
        (Part::Before(a), Part::Before(b)) => a.cmp(b),
        // No leading zeros, so the longer one is larger.
        (Part::Number(a), Part::Number(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        // OpenSSL goes from z to za: the longer one is later.
        (Part::Word(a), Part::Word(b)) => {
            let (a, b) = (a.to_lowercase(), b.to_lowercase());
            a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
        }
        _ => rank(one).cmp(&rank(two)),
    }
}

/// A distribution's version as upstream's and the distribution's revision: no epoch, nothing behind
/// `-`, `+` or `~`.
#[must_use]
pub fn upstream(version: &str) -> (String, Option<String>) {
    let bare = version
        .split_once(':')
        .filter(|(epoch, _)| epoch.bytes().all(|b| b.is_ascii_digit()))
        .map_or(version, |(_, bare)| bare);
    let end = bare.find(['+', '~']).unwrap_or(bare.len());
    // Upstream's own rc stands behind a hyphen too; a revision begins with a digit or an r.
    let end = bare[..end]
        .match_indices('-')
        .find(|(at, _)| {
            let tail = &bare[at + 1..];
            let tail = tail.strip_prefix('r').unwrap_or(tail);
            tail.starts_with(|c: char| c.is_ascii_digit())
        })
        .map_or(end, |(at, _)| at);
    let revision = bare[end..].trim_start_matches(['-', '+', '~']);
    (
        bare[..end].to_owned(),
        (!revision.is_empty()).then(|| revision.to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_as_their_projects_number_them() {
        for ladder in [
            &[
                "0.9.8zh", "1.0.1", "1.0.1t", "1.0.2", "1.0.2n", "1.0.2u", "1.0.2za", "1.0.2zd",
                "1.1.0", "1.1.1w", "3.0.0",
            ][..],
            &["9.3", "9.3p1", "9.3p2", "9.4", "9.10"],
            &["0.94.14rc21", "0.94.14", "0.94.15"],
            &["0.53", "2011.54", "2020.81", "2022.83"],
            &["1.9.5", "1.9.5p1", "1.9.5p2", "1.9.6"],
            &["2.0.0-alpha1", "2.0.0-beta2", "2.0.0-rc1", "2.0.0"],
            &["3.0.20~deb12u2", "3.0.20"],
            &["4.14.90", "4.14.90-rt", "4.14.91"],
            &["2019.07", "2023.01-rc4", "2023.01", "2023.01+dfsg"],
            &["1.35.0", "1.35.0-4", "1.36"],
        ] {
            for (low, high) in ladder.iter().zip(&ladder[1..]) {
                assert_eq!(compare(low, high), Ordering::Less, "{low} {high}");
                assert_eq!(compare(high, low), Ordering::Greater, "{high} {low}");
            }
        }
        assert_eq!(compare("1.2", "1.2.0"), Ordering::Equal);
        assert_eq!(compare("1.02", "1.2"), Ordering::Equal);
        assert_eq!(compare("1.0.2N", "1.0.2n"), Ordering::Equal);
    }

    #[test]
    fn a_distributions_part_is_taken_off() {
        let cut = |v| upstream(v);
        assert_eq!(
            cut("1:9.2p1-2+deb12u3"),
            ("9.2p1".into(), Some("2+deb12u3".into()))
        );
        assert_eq!(
            cut("2023.01+dfsg-2"),
            ("2023.01".into(), Some("dfsg-2".into()))
        );
        assert_eq!(cut("1.35.0-r4"), ("1.35.0".into(), Some("r4".into())));
        assert_eq!(cut("2.86"), ("2.86".into(), None));
        assert_eq!(cut("2.0.0-rc1"), ("2.0.0-rc1".into(), None));
    }
}

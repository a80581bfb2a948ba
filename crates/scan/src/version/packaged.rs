//! The order of packages' versions as their managers define it.

use std::cmp::Ordering;

/// Whose order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// dpkg and opkg (deb-version(7)).
    Dpkg,
    /// apk (apk-package(5)).
    Apk,
}

impl Manager {
    /// The order of two versions.
    #[must_use]
    pub fn compare(self, one: &str, two: &str) -> Ordering {
        match self {
            Manager::Dpkg => dpkg(one, two),
            Manager::Apk => apk(one, two),
        }
    }
}

/// Numbers of any length, without their leading zeros.
fn numbers(one: &str, two: &str) -> Ordering {
    let (one, two) = (one.trim_start_matches('0'), two.trim_start_matches('0'));
    one.len().cmp(&two.len()).then_with(|| one.cmp(two))
}

/// Digits at the start, and what follows.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

fn dpkg(one: &str, two: &str) -> Ordering {
    fn parts(version: &str) -> (&str, &str, &str) {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch, upstream, revision)
    }
    let (one, two) = (parts(one), parts(two));
    numbers(one.0, two.0)
        .then_with(|| stretch(one.1, two.1))
        .then_with(|| stretch(one.2, two.2))
}

/// What is no number first, then the number, and so on; a tilde is before the end, letters before
/// other signs.
fn stretch(mut one: &str, mut two: &str) -> Ordering {
    let weight = |c: Option<char>| match c {
        Some('~') => -1,
        None => 0,
        Some(c) if c.is_ascii_digit() => 0,
        Some(c) if c.is_ascii_alphabetic() => c as i64,
        Some(c) => c as i64 + 256,
    };
    while !one.is_empty() || !two.is_empty() {
        loop {
            let (a, b) = (one.chars().next(), two.chars().next());
            let done = |c: Option<char>| c.is_none_or(|c| c.is_ascii_digit());
            if done(a) && done(b) {
                break;
            }
            match weight(a).cmp(&weight(b)) {
                Ordering::Equal => {}
                other => return other,
            }
            one = &one[a.map_or(0, char::len_utf8)..];
            two = &two[b.map_or(0, char::len_utf8)..];
        }
        let ((a, rest), (b, tail)) = (digits(one), digits(two));
        match numbers(a, b) {
            Ordering::Equal => {}
            other => return other,
        }
        (one, two) = (rest, tail);
    }
    Ordering::Equal
}

fn apk(one: &str, two: &str) -> Ordering {
    let (one, two) = (Apk::of(one), Apk::of(two));
    for n in 0..one.numbers.len().max(two.numbers.len()) {
        let order = match (one.numbers.get(n), two.numbers.get(n)) {
            // Behind the first point, a leading zero makes a fraction.
            (Some(a), Some(b)) if n > 0 && (a.starts_with('0') || b.starts_with('0')) => a.cmp(b),
            (Some(a), Some(b)) => numbers(a, b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    let letters = one.letter.cmp(&two.letter);
    if letters != Ordering::Equal {
        return letters;
    }
    for n in 0..one.suffixes.len().max(two.suffixes.len()) {
        let (rank, number) = one.suffixes.get(n).copied().unwrap_or((0, ""));
        let (other, count) = two.suffixes.get(n).copied().unwrap_or((0, ""));
        let order = rank.cmp(&other).then_with(|| numbers(number, count));
        if order != Ordering::Equal {
            return order;
        }
    }
    numbers(one.build, two.build)
}

/// `1.2.3a_rc4-r5`.
struct Apk<'a> {
    numbers: Vec<&'a str>,
    letter: Option<char>,
    /// How far behind the release each is (before it when negative), and its number.
    suffixes: Vec<(i8, &'a str)>,
    build: &'a str,
}

impl Apk<'_> {
    fn of(version: &str) -> Apk<'_> {
        let (rest, build) = version.rsplit_once("-r").unwrap_or((version, ""));
        let mut pieces = rest.split('_');
        let mut main = pieces.next().unwrap_or_default();
        let mut read = Apk {
            numbers: Vec::new(),
            letter: None,
            suffixes: Vec::new(),
            build,
        };
        loop {
            let (number, tail) = digits(main);
            read.numbers.push(number);
            match tail.strip_prefix('.') {
                Some(next) => main = next,
                None => {
                    read.letter = tail.chars().next();
                    break;
                }
            }
        }
        for piece in pieces {
            let name = piece.trim_end_matches(|c: char| c.is_ascii_digit());
            let rank = match name {
                "alpha" => -4,
                "beta" => -3,
                "pre" => -2,
                "rc" => -1,
                "cvs" => 1,
                "svn" => 2,
                "git" => 3,
                "hg" => 4,
                _ => 5,
            };
            read.suffixes.push((rank, &piece[name.len()..]));
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn is_ladder(manager: Manager, versions: &[&str]) {
        for (n, low) in versions.iter().enumerate() {
            assert_eq!(manager.compare(low, low), Ordering::Equal, "{low}");
            for high in &versions[n + 1..] {
                assert_eq!(manager.compare(low, high), Ordering::Less, "{low} {high}");
                assert_eq!(
                    manager.compare(high, low),
                    Ordering::Greater,
                    "{high} {low}"
                );
            }
        }
    }

    #[test]
    fn apk_orders_versions() {
        is_ladder(
            Manager::Apk,
            &[
                "0",
                "1.1.1_alpha2-r0",
                "1.1.1_pre3",
                "1.1.1_rc1",
                "1.1.1-r0",
                "1.1.1-r10",
                "1.1.1_p1",
                "1.1.1_p2-r1",
                "1.1.1d-r0",
                "1.1.1g-r3",
                "1.1.9",
                "1.1.10",
                "1.2.05",
                "1.2.1",
                "1.10",
                "20191127-r4",
            ],
        );
    }

    /// dpkg itself says the same.
    #[test]
    fn dpkg_orders_versions() {
        let ladder = [
            "0",
            "1.0~rc1-1",
            "1.0~rc1-1+b1",
            "1.0",
            "1.0-1",
            "1.0-1+deb12u1",
            "1.0-1+deb12u2",
            "1.0-1.1",
            "1.0+dfsg-1",
            "1.0.1",
            "1.0.1a",
            "1.0.1ab",
            "1.0.2",
            "1.0.10",
            "1:0.9",
            "2:0~1",
        ];
        is_ladder(Manager::Dpkg, &ladder);
        for (low, high) in ladder.iter().zip(&ladder[1..]) {
            let told = Command::new("dpkg")
                .args(["--compare-versions", low, "lt", high])
                .status()
                .expect("dpkg is there");
            assert!(told.success(), "{low} {high}");
        }
    }
}

//! Query strings and form bodies: decoded once on arrival, encoded again in the one way that is
//! signed. Clients write a blank as `+` or `%20` on the wire and sign `%20` in either case.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Most pairs that one request may carry. The largest documented request (a batch of 100 devices
/// with several fields each) stays far below.
pub const PAIRS_MAX: usize = 4096;

/// Everything but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Why a query cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryError {
    /// More pairs than [`PAIRS_MAX`].
    TooManyPairs,
    /// A name or value does not decode to UTF-8.
    NotUtf8,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            QueryError::TooManyPairs => "the request has too many parameters",
            QueryError::NotUtf8 => "a parameter is not UTF-8",
        })
    }
}

impl core::error::Error for QueryError {}

/// Decodes `application/x-www-form-urlencoded` text. Empty values and names without `=` are kept,
/// because they are signed; a `%` that starts no pair of hex digits stands for itself.
///
/// # Errors
/// [`QueryError`].
pub fn decode(text: &str) -> Result<Vec<(String, String)>, QueryError> {
    let mut pairs = Vec::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == PAIRS_MAX {
            return Err(QueryError::TooManyPairs);
        }
        pairs.push(decode_pair(pair)?);
    }
    Ok(pairs)
}

/// As [`decode`], of what stands between two `&`.
///
/// # Errors
/// [`QueryError::NotUtf8`].
pub fn decode_pair(pair: &str) -> Result<(String, String), QueryError> {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    Ok((decode_one(name)?, decode_one(value)?))
}

fn decode_one(text: &str) -> Result<String, QueryError> {
    if !text.contains(['+', '%']) {
        return Ok(text.to_string());
    }
    let text = text.replace('+', " ");
    let text = percent_decode_str(&text)
        .decode_utf8()
        .map_err(|_| QueryError::NotUtf8)?;
    Ok(text.into_owned())
}

/// Encodes one name or value: `A-Za-z0-9-_.~` stay, every other byte becomes `%XX` in upper case.
#[must_use]
pub fn encode(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

/// The canonical form that both signatures cover: sorted by the bytes of the decoded names (equal
/// names by value), encoded, joined by `&`.
#[must_use]
pub fn canonical<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)]) -> String {
    let mut sorted: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .collect();
    sorted.sort_unstable();
    let mut text = String::new();
    for (name, value) in sorted {
        if !text.is_empty() {
            text.push('&');
        }
        text.extend(utf8_percent_encode(name, RESERVED));
        text.push('=');
        text.extend(utf8_percent_encode(value, RESERVED));
    }
    text
}

/// Appends the canonical form of the pairs but `Signature`, encoded once more, as signature 1.0
/// covers it.
pub(super) fn canonical_encoded<K: AsRef<str>, V: AsRef<str>>(pairs: &[(K, V)], text: &mut String) {
    let mut sorted: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(name, value)| (name.as_ref(), value.as_ref()))
        .filter(|(name, _)| *name != "Signature")
        .collect();
    sorted.sort_unstable();
    let mut part = |between: &str, part: &str| {
        text.push_str(between);
        for piece in utf8_percent_encode(part, RESERVED) {
            // A run of what stays, or one byte encoded.
            match piece.strip_prefix('%') {
                Some(digits) => {
                    text.push_str("%25");
                    text.push_str(digits);
                }
                None => text.push_str(piece),
            }
        }
    };
    for (number, (name, value)) in sorted.into_iter().enumerate() {
        part(if number == 0 { "" } else { "%26" }, name);
        part("%3D", value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn al_7_1_plus_and_percent_20_become_the_same_canonical_text() {
        for text in ["b=light+1*~%2B/&a=", "a&b=light%201%2a%7E%2b%2F"] {
            let pairs = decode(text).unwrap();
            assert_eq!(canonical(&pairs), "a=&b=light%201%2A~%2B%2F");
        }
        assert_eq!(encode("!'() \u{e9}"), "%21%27%28%29%20%C3%A9");
    }

    #[test]
    fn encoding_twice_in_one_go_is_encoding_twice() {
        let pairs = decode("b=%C3%A9%25+~&a=&Signature=x&=%26&c%3D=/*&a=1").unwrap();
        let signed: Vec<_> = pairs.iter().filter(|(n, _)| n != "Signature").collect();
        let signed: Vec<_> = signed.iter().map(|(n, v)| (n, v)).collect();
        for some in 0..=signed.len() {
            let mut text = String::from("GET&");
            canonical_encoded(&signed[..some], &mut text);
            assert_eq!(
                text,
                ["GET&", &encode(&canonical(&signed[..some]))].concat()
            );
        }
        let (mut with, mut without) = (String::new(), String::new());
        canonical_encoded(&pairs, &mut with);
        canonical_encoded(&signed, &mut without);
        assert_eq!(with, without);
    }

    #[test]
    fn odd_queries_are_read_or_refused_but_never_lost() {
        assert_eq!(decode(""), Ok(Vec::new()));
        assert_eq!(decode("&&"), Ok(Vec::new()));
        assert_eq!(
            canonical(&decode("a=1=2&%zz=%").unwrap()),
            "%25zz=%25&a=1%3D2"
        );
        assert_eq!(decode("a=%ff"), Err(QueryError::NotUtf8));
        assert_eq!(
            decode(&"a=1&".repeat(PAIRS_MAX + 1)),
            Err(QueryError::TooManyPairs)
        );
        assert_eq!(decode(&"a=1&".repeat(PAIRS_MAX)).unwrap().len(), PAIRS_MAX);
    }
}

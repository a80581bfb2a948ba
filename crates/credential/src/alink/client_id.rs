//! The MQTT client id of Alink: `base|key=value,...|`, with all that real clients do to it.

use alloc::{borrow::ToOwned, string::String, vec::Vec};
use core::fmt;

/// Longest client id that is read, in bytes. The longest that a known client can build is about 500
/// (64 of base, 160 of interface description, 80 of free text and the fixed keys).
pub const CLIENT_ID_MAX: usize = 2048;
/// Most `key=value` pairs that are read; known clients send up to twelve.
pub const PAIRS_MAX: usize = 64;

/// A client id taken apart.
///
/// It identifies nobody: the identity is in the user name (`spec/alink-wire.md` section 2.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientId {
    base: String,
    pairs: Vec<(String, String)>,
}

/// Why a client id cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientIdError {
    /// Longer than [`CLIENT_ID_MAX`].
    TooLong,
    /// More pairs than [`PAIRS_MAX`].
    TooManyPairs,
    /// The block that the first `|` opens is not closed by a `|` at the end.
    Unterminated,
}

impl fmt::Display for ClientIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClientIdError::TooLong => "the client id is too long",
            ClientIdError::TooManyPairs => "the client id has too many parameters",
            ClientIdError::Unterminated => "the parameters of the client id do not end in |",
        })
    }
}

impl core::error::Error for ClientIdError {}

impl ClientId {
    /// Takes `text` apart. The block goes from the first `|` to the last one, since one client has
    /// a `|` inside a value; blanks, line ends and NULs around keys and values are dropped, since
    /// another one breaks its lines and C clients may send their terminator. Text without `=` is
    /// skipped, a block may be missing or empty. The base is kept as it is; how long it may be is
    /// for the server to decide.
    ///
    /// # Errors
    /// [`ClientIdError`], never for an unknown key.
    pub fn parse(text: &str) -> Result<ClientId, ClientIdError> {
        if text.len() > CLIENT_ID_MAX {
            return Err(ClientIdError::TooLong);
        }
        let Some((base, rest)) = text.split_once('|') else {
            return Ok(ClientId {
                base: text.to_owned(),
                pairs: Vec::new(),
            });
        };
        let block = rest
            .trim_end_matches(is_dross)
            .strip_suffix('|')
            .ok_or(ClientIdError::Unterminated)?;
        let mut pairs = Vec::new();
        for (key, value) in block.split(',').filter_map(|pair| pair.split_once('=')) {
            if pairs.len() == PAIRS_MAX {
                return Err(ClientIdError::TooManyPairs);
            }
            pairs.push((
                key.trim_matches(is_dross).to_owned(),
                value.trim_matches(is_dross).to_owned(),
            ));
        }
        Ok(ClientId {
            base: base.to_owned(),
            pairs,
        })
    }

    /// What stands before the first `|`; the part that a signature covers.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The value of `key`, the first when a client repeats it. The case of keys matters: `authType`
    /// and `authtype` are different parameters.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    }

    /// All pairs in the order they were sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(k, v)| (k.as_str(), v.as_str()))
    }
}

fn is_dross(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn al_3_2_keys_come_in_any_order_and_unknown_ones_are_kept() {
        let id = ClientId::parse("a&b|securemode=2,_v=1.2.13,x=,free text,timestamp=7|").unwrap();
        assert_eq!(id.base(), "a&b");
        assert_eq!(id.get("securemode"), Some("2"));
        assert_eq!(id.get("timestamp"), Some("7"));
        assert_eq!(id.get("x"), Some(""));
        assert_eq!(id.get("signmethod"), None);
        assert_eq!(id.pairs().count(), 4);
    }

    #[test]
    fn al_3_2_line_ends_blanks_and_nuls_of_clients_are_dropped() {
        let id =
            ClientId::parse("b|securemode=3,\n        timestamp = 9 ,lan=JS|Broswer |\0").unwrap();
        assert_eq!(id.get("timestamp"), Some("9"));
        assert_eq!(id.get("lan"), Some("JS|Broswer"));
    }

    #[test]
    fn a_block_is_optional_but_must_be_closed() {
        for (text, base) in [
            ("plain", "plain"),
            ("", ""),
            ("b||", "b"),
            (" b |x|", " b "),
        ] {
            let id = ClientId::parse(text).unwrap();
            assert_eq!((id.base(), id.pairs().count()), (base, 0));
        }
        for text in ["b|", "b|a=1", "b|a=1|c", "|"] {
            assert_eq!(ClientId::parse(text), Err(ClientIdError::Unterminated));
        }
    }

    #[test]
    fn the_first_of_repeated_keys_counts_and_case_matters() {
        let id = ClientId::parse("b|authtype=id2,authType=register,authType=connwl|").unwrap();
        assert_eq!(id.get("authType"), Some("register"));
        assert_eq!(id.get("authtype"), Some("id2"));
    }

    #[test]
    fn huge_client_ids_are_refused() {
        let long = "x".repeat(CLIENT_ID_MAX + 1);
        assert_eq!(ClientId::parse(&long), Err(ClientIdError::TooLong));
        let many = |n: usize| ClientId::parse(&alloc::format!("b|{}|", "k=v,".repeat(n))).err();
        assert_eq!(many(PAIRS_MAX), None);
        assert_eq!(many(PAIRS_MAX + 1), Some(ClientIdError::TooManyPairs));
    }
}

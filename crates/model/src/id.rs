//! Names of things. Every key and id is a type of its own; turning text into one is parsing and
//! happens once, at the edge.

use serde::{Deserialize, Serialize};
use std::{fmt, sync::Arc};

/// A text that is not a valid id, with the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} {rule}")]
pub struct BadId {
    /// What was to be parsed, such as `DeviceName`.
    pub kind: &'static str,
    /// The rule in words that go on from the kind, such as "has 4 to 32 characters".
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes a text that keeps the rule of this id.
            ///
            /// # Errors
            /// `BadId` with the rule when it does not.
            pub fn parse(text: &str) -> Result<Self, BadId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) {
                    Ok(Self(text.into()))
                } else {
                    Err(BadId { kind: stringify!($name), rule: $rule })
                }
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;
            fn try_from(text: String) -> Result<Self, BadId> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.as_ref().into()
            }
        }
    };
}

fn is_word(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

text_id!(
    /// Names a product; given by the server (seed 001 §2).
    ProductKey,
    "has 1 to 32 letters, digits, '_' or '-'",
    |text| is_word(text, 1, 32)
);
text_id!(
    /// Names a device within its product: 4 to 32 of `A-Za-z0-9-_@.:` (spec/cloud-api.md §2).
    DeviceName,
    "has 4 to 32 characters, each a letter, a digit or one of - _ @ . :",
    |text| (4..=32).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_@.:".contains(&b))
);
text_id!(
    /// Names a device over all products and for ever: a device that is deleted and made again
    /// gets another one.
    IotId,
    "has 1 to 64 letters, digits, '_' or '-'",
    |text| is_word(text, 1, 64)
);
text_id!(
    /// Names an account, which owns products.
    AccountId,
    "has 1 to 32 letters, digits, '_' or '-'",
    |text| is_word(text, 1, 32)
);
text_id!(
    /// Names a sub-user within its account.
    UserName,
    "has 1 to 64 characters, each a letter, a digit or one of - _ . @",
    |text| (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.@".contains(&b))
);
text_id!(
    /// Names a policy within its account, or one that comes with the product.
    PolicyName,
    "has 1 to 128 letters, digits, '_' or '-'",
    |text| is_word(text, 1, 128)
);
text_id!(
    /// The public half of an API credential.
    AccessKeyId,
    "has 1 to 128 characters, each a letter, a digit or one of . _ -",
    |text| (1..=128).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
);
text_id!(
    /// Names a server process of a cluster.
    NodeId,
    "has 1 to 64 letters, digits, '_' or '-'",
    |text| is_word(text, 1, 64)
);

/// A device as its product and its name, which is how the world outside speaks of it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DeviceKey {
    /// Its product.
    pub product: ProductKey,
    /// Its name in that product.
    pub name: DeviceName,
}

impl DeviceKey {
    /// Both halves from text.
    ///
    /// # Errors
    /// `BadId` for the half that breaks its rule.
    pub fn parse(product: &str, name: &str) -> Result<Self, BadId> {
        Ok(Self {
            product: ProductKey::parse(product)?,
            name: DeviceName::parse(name)?,
        })
    }
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.product, self.name)
    }
}

impl fmt::Debug for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A point in time, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// This time moved by `millis`, towards the past when negative; stops at the ends of the range.
    #[must_use]
    pub fn plus(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// Milliseconds from `earlier` to this time; negative when `earlier` is later.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// One connection of one device, unlike any other since this process started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SessionId(pub u64);

/// A command to a device; fits the 32 bits that device SDKs keep for a message id
/// (spec/alink-wire.md §6.1), so it comes round again after four thousand million commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub u32);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The place of a fact in the journal: grows by one from fact to fact, from 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-2.1] A DeviceName keeps the length and the letters that the API documents.
    #[test]
    fn device_names_keep_their_rule() {
        for good in ["abcd", "light-1_@.:", &"x".repeat(32)] {
            assert!(DeviceName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "abc",
            &"x".repeat(33),
            "with space",
            "a/b/c",
            "naïve",
            "plus+",
            "hash#",
        ] {
            assert!(DeviceName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn ids_are_checked_when_read_back_too() {
        assert!(serde_json::from_str::<DeviceName>("\"a/b/c\"").is_err());
        assert_eq!(
            serde_json::from_str::<DeviceName>("\"abcd\"").unwrap(),
            DeviceName::parse("abcd").unwrap()
        );
    }
}

//! Topic names and topic filters (MQTT 3.1.1 §4.7, MQTT 5 §4.7 and §4.8.2).

use std::borrow::Borrow;
use std::fmt;
use std::ops::Deref;

use bytestring::ByteString;

use super::text::{Text, TextError, string_traits};

/// Deepest topic filter we take, in levels: as deep as mosquitto takes them, with 200 slashes. The standard sets no
/// bound; without one a filter of 65,535 bytes would be a tree 65,536 deep.
pub const MAX_LEVELS: usize = 201;

/// Why a string is no topic name or no topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// No MQTT string at all.
    #[error(transparent)]
    Text(#[from] TextError),
    /// Has no character [MQTT-4.7.3-1].
    #[error("a topic has at least one character")]
    Empty,
    /// A topic name with `+` or `#` [MQTT-3.3.2-2].
    #[error("a topic name has no wildcard")]
    Wildcard,
    /// `#` that is not the whole last level [MQTT-4.7.1-1], or `+` that is not a whole level [MQTT-4.7.1-2].
    #[error("a wildcard takes a whole level, and # is the last one")]
    Misplaced,
    /// `$share/` without a group name and a filter after it [MQTT-4.8.2-1], [MQTT-4.8.2-2].
    #[error("a shared subscription is $share/group/filter")]
    Shared,
    /// More than [`MAX_LEVELS`] levels.
    #[error("a topic filter has at most {MAX_LEVELS} levels")]
    TooDeep,
}

/// The name a message is published under: at least one character, no wildcard. A clone shares the bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Text);

impl TopicName {
    /// Checks a string.
    ///
    /// # Errors
    /// [`TopicError::Text`], [`TopicError::Empty`], [`TopicError::Wildcard`].
    pub fn new(name: impl Into<ByteString>) -> Result<Self, TopicError> {
        Self::from_text(Text::new(name)?)
    }

    pub(super) fn from_text(name: Text) -> Result<Self, TopicError> {
        if name.is_empty() {
            Err(TopicError::Empty)
        } else if has_wildcard(&name) {
            Err(TopicError::Wildcard)
        } else {
            Ok(Self(name))
        }
    }

    /// The same name in memory of its own, see [`super::Publish::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(self.0.detached())
    }
}

string_traits!(TopicName, TopicError);

/// What a client subscribes to: a topic name in which `+` may stand for a level and `#` for the rest, or
/// `$share/group/` and such a filter. A clone shares the bytes.
///
/// `$share/` is taken for a shared subscription in every version of the protocol: 3.1.1 has no word on it, and servers
/// agree on that.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter(Text);

/// The parts of a shared subscription (MQTT 5 §4.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared<'a> {
    /// Name of the group whose members share the messages.
    pub group: &'a str,
    /// The filter itself.
    pub filter: &'a str,
}

const SHARE: &str = "$share/";

impl TopicFilter {
    /// Checks a string.
    ///
    /// # Errors
    /// Any [`TopicError`] but [`TopicError::Wildcard`].
    pub fn new(filter: impl Into<ByteString>) -> Result<Self, TopicError> {
        Self::from_text(Text::new(filter)?)
    }

    pub(super) fn from_text(filter: Text) -> Result<Self, TopicError> {
        if filter.starts_with(SHARE) {
            let shared = split_shared(&filter).ok_or(TopicError::Shared)?;
            if shared.group.is_empty() || shared.group.contains(['+', '#']) {
                return Err(TopicError::Shared);
            }
            check_levels(shared.filter).map_err(|error| match error {
                TopicError::Empty => TopicError::Shared,
                other => other,
            })?;
        } else {
            check_levels(&filter)?;
        }
        Ok(Self(filter))
    }

    /// The filter of exactly one topic.
    pub fn exact(name: &TopicName) -> Result<Self, TopicError> {
        Self::from_text(name.0.clone())
    }

    /// Group and filter, if this is a shared subscription.
    pub fn shared(&self) -> Option<Shared<'_>> {
        split_shared(self)
    }

    /// What topics are compared with: the filter without `$share/group/`.
    pub fn pattern(&self) -> &str {
        self.shared().map_or(self, |shared| shared.filter)
    }

    /// Whether the pattern has a wildcard.
    pub fn has_wildcard(&self) -> bool {
        has_wildcard(self.pattern())
    }

    /// Whether messages under `topic` are for this filter (MQTT 5 §4.7).
    pub fn matches(&self, topic: &TopicName) -> bool {
        matches(self.pattern(), topic)
    }

    /// The same filter in memory of its own, see [`super::Publish::detached`].
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(self.0.detached())
    }
}

string_traits!(TopicFilter, TopicError);

/// Looks at every byte, which the compiler does sixteen at a time; stopping at the first hit would be slower.
fn has_wildcard(text: &str) -> bool {
    text.bytes()
        .fold(false, |found, byte| found | matches!(byte, b'+' | b'#'))
}

fn split_shared(filter: &str) -> Option<Shared<'_>> {
    let (group, filter) = filter.strip_prefix(SHARE)?.split_once('/')?;
    Some(Shared { group, filter })
}

fn check_levels(filter: &str) -> Result<(), TopicError> {
    if filter.is_empty() {
        return Err(TopicError::Empty);
    }
    let mut levels = filter.split('/').enumerate().peekable();
    while let Some((at, level)) = levels.next() {
        if at == MAX_LEVELS {
            return Err(TopicError::TooDeep);
        }
        let ok = match level {
            "+" => true,
            "#" => levels.peek().is_none(),
            _ => !has_wildcard(level),
        };
        if !ok {
            return Err(TopicError::Misplaced);
        }
    }
    Ok(())
}

/// Compares a pattern with a topic, level by level.
fn matches(pattern: &str, topic: &str) -> bool {
    if hides_from_wildcards(topic) && pattern.starts_with(['+', '#']) {
        return false;
    }
    let mut names = topic.split('/');
    for level in pattern.split('/') {
        match (level, names.next()) {
            ("#", _) => return true,
            ("+", Some(_)) => {}
            (level, Some(name)) if level == name => {}
            _ => return false,
        }
    }
    names.next().is_none()
}

/// A leading wildcard does not see topics that start with `$` [MQTT-4.7.2-1].
pub(super) fn hides_from_wildcards(topic: &str) -> bool {
    topic.starts_with('$')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::try_from(text).unwrap()
    }

    fn name(text: &str) -> TopicName {
        TopicName::try_from(text).unwrap()
    }

    #[test]
    fn names_have_a_character_and_no_wildcard() {
        assert_eq!(TopicName::try_from(""), Err(TopicError::Empty)); // [MQTT-4.7.3-1]
        assert_eq!(
            TopicName::try_from("a\0"),
            Err(TopicError::Text(TextError::Null))
        ); // [MQTT-4.7.3-2]
        assert_eq!(TopicName::try_from("a/#"), Err(TopicError::Wildcard)); // [MQTT-3.3.2-2]
        assert_eq!(TopicName::try_from("a+b"), Err(TopicError::Wildcard));
        for good in ["/", " ", "//", "a/b", "/finance", "ACCOUNTS/é", "$SYS/x"] {
            assert_eq!(name(good), good);
        }
    }

    #[test]
    fn wildcards_take_whole_levels() {
        // Examples of MQTT 3.1.1 §4.7.1.2 and §4.7.1.3.
        for good in [
            "#",
            "sport/tennis/#",
            "+",
            "+/tennis/#",
            "sport/+/player1",
            "/",
            "/+",
            "a//b",
        ] {
            assert_eq!(filter(good), good);
        }
        for bad in [
            "sport/tennis#",
            "sport/tennis/#/ranking",
            "sport+",
            "#/",
            "a/+b",
            "##",
            "++",
        ] {
            assert_eq!(
                TopicFilter::try_from(bad),
                Err(TopicError::Misplaced),
                "{bad}"
            );
        }
        assert_eq!(TopicFilter::try_from(""), Err(TopicError::Empty));
    }

    #[test]
    fn a_filter_is_not_deeper_than_the_bound() {
        let deepest = vec!["a"; MAX_LEVELS].join("/");
        assert!(TopicFilter::try_from(&*deepest).is_ok());
        assert_eq!(
            TopicFilter::try_from(deepest + "/a"),
            Err(TopicError::TooDeep)
        );
        assert_eq!(
            TopicFilter::try_from("/".repeat(65_535)),
            Err(TopicError::TooDeep)
        );
    }

    #[test]
    fn shared_subscriptions_name_a_group_and_a_filter() {
        let shared = filter("$share/consumer1/sport/tennis/+");
        assert_eq!(
            shared.shared(),
            Some(Shared {
                group: "consumer1",
                filter: "sport/tennis/+"
            })
        );
        assert!(shared.matches(&name("sport/tennis/x")));
        assert!(!filter("$share/g/#").matches(&name("$SYS/x")));
        assert_eq!(filter("$share/g//finance").pattern(), "/finance");
        assert_eq!(filter("$share").shared(), None);
        for bad in [
            "$share/",
            "$share/g",
            "$share/g/",
            "$share//a",
            "$share/+/a",
            "$share/g#/a",
        ] {
            assert_eq!(TopicFilter::try_from(bad), Err(TopicError::Shared), "{bad}");
        }
        assert_eq!(
            TopicFilter::try_from("$share/g/a#"),
            Err(TopicError::Misplaced)
        );
    }

    #[test]
    fn filters_match_as_in_the_examples_of_the_standard() {
        // MQTT 3.1.1 §4.7.1 and §4.7.2.
        for (pattern, topic, expected) in [
            ("sport/tennis/player1/#", "sport/tennis/player1", true),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/ranking",
                true,
            ),
            (
                "sport/tennis/player1/#",
                "sport/tennis/player1/score/wimbledon",
                true,
            ),
            ("sport/tennis/player1/#", "sport/tennis/player10", false),
            ("sport/#", "sport", true),
            ("sport/tennis/+", "sport/tennis/player1", true),
            ("sport/tennis/+", "sport/tennis/player1/ranking", false),
            ("sport/+", "sport", false),
            ("sport/+", "sport/", true),
            ("+/+", "/finance", true),
            ("/+", "/finance", true),
            ("+", "/finance", false),
            ("#", "$SYS/monitor", false),
            ("+/monitor/Clients", "$SYS/monitor/Clients", false),
            ("$SYS/#", "$SYS/monitor", true),
            ("$SYS/monitor/+", "$SYS/monitor/Clients", true),
            ("ACCOUNTS", "Accounts", false),
            ("a", "a/", false),
            ("a/", "a", false),
            ("#", "/", true),
        ] {
            assert_eq!(
                filter(pattern).matches(&name(topic)),
                expected,
                "{pattern} {topic}"
            );
        }
    }
}

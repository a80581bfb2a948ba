//! Who is at the other end of a connection.

use crate::settings::Plain;
use hub::edge::{Dialect, Session, Verb};
use model::id::SessionId;
use std::{fmt, sync::Arc};
use wire::mqtt::{TopicFilter, TopicName};

/// Whoever has a seat.
#[derive(Clone)]
pub(crate) enum Client {
    /// A device of the registry; a dialect knows what its topics mean.
    Device {
        session: Arc<Session>,
        dialect: Arc<dyn Dialect>,
    },
    /// A client of the plain listener, which is in no registry: its messages mean nothing to us.
    Guest {
        id: SessionId,
        name: Arc<str>,
        rules: Arc<Rules>,
    },
}

/// What a plain listener lets its clients do.
pub(crate) struct Rules {
    pub(crate) plain: Plain,
    refuse: Vec<TopicFilter>,
}

impl Client {
    pub(crate) fn id(&self) -> SessionId {
        match self {
            Self::Device { session, .. } => session.id,
            Self::Guest { id, .. } => *id,
        }
    }

    /// Topic rights.
    pub(crate) fn may(&self, verb: Verb, topic: &str) -> bool {
        match self {
            Self::Device { session, dialect } => dialect.may(session, verb, topic),
            Self::Guest { rules, .. } => rules.may(topic),
        }
    }

    /// Whether QoS 2, retained messages and a will may be used with a topic, where they may be
    /// used at all.
    pub(crate) fn extras(&self, topic: &str) -> bool {
        match self {
            Self::Device { session, dialect } => dialect.extras(session, topic),
            Self::Guest { .. } => true,
        }
    }
}

/// For the log.
impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device { session, .. } => session.device.fmt(f),
            Self::Guest { name, .. } => Short(name).fmt(f),
        }
    }
}

/// A text of a client for the log: its beginning, without line breaks.
pub(crate) struct Short<'a>(pub(crate) &'a str);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .chars()
            .take(128)
            .try_for_each(|c| write!(f, "{}", c.escape_debug()))
    }
}

impl Rules {
    /// `Err` names a filter that is none.
    pub(crate) fn new(plain: Plain) -> Result<Self, String> {
        let refuse = plain
            .refuse
            .iter()
            .map(|filter| {
                TopicFilter::try_from(filter.as_str())
                    .map_err(|error| format!("{filter:?} is no topic filter: {error}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { plain, refuse })
    }

    /// Whether a topic, or the pattern of a filter, is not refused. A filter that goes beyond a
    /// refused one, such as `#`, is taken: nothing is ever published to what is refused.
    fn may(&self, topic: &str) -> bool {
        !self
            .refuse
            .iter()
            .any(|refused| match TopicName::try_from(topic) {
                Ok(topic) => refused.matches(&topic),
                Err(_) => covers(refused.pattern(), topic),
            })
    }
}

/// Whether every topic that `inner` matches is one that `outer` matches.
fn covers(outer: &str, inner: &str) -> bool {
    let mut inner = inner.split('/');
    for level in outer.split('/') {
        match (level, inner.next()) {
            ("#", _) => return true,
            ("+", Some("#")) | (_, None) => return false,
            ("+", Some(_)) => {}
            (level, Some(other)) if level == other => {}
            (_, Some(_)) => return false,
        }
    }
    inner.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_filter_refuses_what_lies_within_it() {
        for (outer, inner, expected) in [
            ("a/#", "a/+", true),
            ("a/#", "a/#", true),
            ("a/#", "a/b/+", true),
            ("a/#", "#", false),
            ("a/+", "a/+", true),
            ("a/+", "a/#", false),
            ("a/+", "+/b", false),
            ("#", "+/b", true),
            ("a/b", "a/+", false),
            ("a/b", "a/b/#", false),
        ] {
            assert_eq!(covers(outer, inner), expected, "{outer} {inner}");
        }
    }
}

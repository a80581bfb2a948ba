//! The words in which changes of sessions are written down.
//!
//! A record is a row of changes. Each is a byte that tells its kind, then its fields: numbers are
//! big-endian, texts and packets begin with their length (4 bytes).

use crate::seat::Owner;
use bytes::{Buf, BytesMut};
use model::id::ProductKey;
use std::sync::Arc;
use wire::mqtt::{
    Decoder, Expiry, Message, Millis, Packet, PacketId, PublishParts, QoS, RetainHandling, Stage,
    SubscribeOptions, Subscription, SubscriptionId, TopicFilter, Version, encode_publish,
};

/// One change. Sessions are named by their number, which no other one ever has.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Change {
    /// A session begins, with a client connected to it; a former one of the client ends.
    Opened {
        session: u64,
        hall: Box<str>,
        name: Box<str>,
        owner: Owner,
        expiry: Expiry,
        implicit: bool,
    },
    /// A client came back to it.
    Attached {
        session: u64,
        expiry: Expiry,
        implicit: bool,
    },
    /// Its client left.
    Detached { session: u64, until: Millis },
    /// It is over.
    Ended { session: u64 },
    /// It has this subscription, in place of one with the same filter.
    Subscribed {
        session: u64,
        subscription: Subscription,
    },
    /// It has it no more.
    Unsubscribed { session: u64, filter: TopicFilter },
    /// Implicit messages under this filter come, or not.
    Switched {
        session: u64,
        filter: TopicFilter,
        on: bool,
    },
    /// The message that the next changes of the record speak of.
    Said(Arc<Message>),
    /// The message is due to it.
    Due {
        session: u64,
        id: PacketId,
        stage: Stage,
        qos: QoS,
        retain: bool,
        subscription_ids: Vec<SubscriptionId>,
    },
    /// The client has received what is due under this identifier.
    Released { session: u64, id: PacketId },
    /// Nothing is due under this identifier any more.
    Done { session: u64, id: PacketId },
    /// A QoS 2 message of the client came under this identifier.
    Receipt { session: u64, id: PacketId },
    /// The client released the identifier.
    Forgotten { session: u64, id: PacketId },
    /// The message is the last one of its topic in a hall; an empty one takes the last one away.
    Retained { hall: Box<str> },
    /// The message is the will of a client; wills have numbers as sessions do.
    Vowed {
        will: u64,
        /// 0 for one that ends with its connection.
        session: u64,
        hall: Box<str>,
        name: Box<str>,
        owner: Owner,
        /// Seconds.
        delay: u32,
        /// Of a device.
        dialect: Box<str>,
        marks: u32,
    },
    /// The connection is lost; the will is due then.
    Deferred { will: u64, until: Millis },
    /// The will was published, or is void.
    Unvowed { will: u64 },
}

/// A record that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a change that is none")]
pub(crate) struct Unreadable;

impl Change {
    pub(crate) fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Opened {
                session,
                hall,
                name,
                owner,
                expiry,
                implicit,
            } => {
                head(to, 1, *session);
                text(to, hall);
                text(to, name);
                put_owner(to, owner);
                put_expiry(to, *expiry);
                to.push(u8::from(*implicit));
            }
            Self::Attached {
                session,
                expiry,
                implicit,
            } => {
                head(to, 2, *session);
                put_expiry(to, *expiry);
                to.push(u8::from(*implicit));
            }
            Self::Detached { session, until } => {
                head(to, 3, *session);
                to.extend_from_slice(&until.to_be_bytes());
            }
            Self::Ended { session } => head(to, 4, *session),
            Self::Subscribed {
                session,
                subscription,
            } => {
                head(to, 5, *session);
                text(to, &subscription.filter);
                let options = subscription.options;
                to.push(
                    options.qos.bits()
                        | u8::from(options.no_local) << 2
                        | u8::from(options.retain_as_published) << 3
                        | (options.retain_handling as u8) << 4,
                );
                let id = subscription.id.map_or(0, SubscriptionId::get);
                to.extend_from_slice(&id.to_be_bytes());
            }
            Self::Unsubscribed { session, filter } => {
                head(to, 6, *session);
                text(to, filter);
            }
            Self::Switched {
                session,
                filter,
                on,
            } => {
                head(to, 7, *session);
                text(to, filter);
                to.push(u8::from(*on));
            }
            Self::Said(message) => said(to, message),
            Self::Due {
                session,
                id,
                stage,
                qos,
                retain,
                subscription_ids,
            } => {
                head(to, 9, *session);
                to.extend_from_slice(&id.get().to_be_bytes());
                let stage = match stage {
                    Stage::Waiting => 0,
                    Stage::Sent => 1,
                    Stage::Released => 2,
                };
                to.push(qos.bits() | u8::from(*retain) << 2 | stage << 3);
                let count = u32::try_from(subscription_ids.len()).unwrap_or(u32::MAX);
                to.extend_from_slice(&count.to_be_bytes());
                for id in subscription_ids {
                    to.extend_from_slice(&id.get().to_be_bytes());
                }
            }
            Self::Released { session, id } => with_id(to, 10, *session, *id),
            Self::Done { session, id } => with_id(to, 11, *session, *id),
            Self::Receipt { session, id } => with_id(to, 12, *session, *id),
            Self::Forgotten { session, id } => with_id(to, 13, *session, *id),
            Self::Retained { hall } => {
                to.push(14);
                text(to, hall);
            }
            Self::Vowed {
                will,
                session,
                hall,
                name,
                owner,
                delay,
                dialect,
                marks,
            } => {
                head(to, 15, *will);
                to.extend_from_slice(&session.to_be_bytes());
                text(to, hall);
                text(to, name);
                put_owner(to, owner);
                to.extend_from_slice(&delay.to_be_bytes());
                text(to, dialect);
                to.extend_from_slice(&marks.to_be_bytes());
            }
            Self::Deferred { will, until } => {
                head(to, 16, *will);
                to.extend_from_slice(&until.to_be_bytes());
            }
            Self::Unvowed { will } => head(to, 17, *will),
        }
    }

    /// Cuts the first change off a record.
    pub(crate) fn decode(from: &mut &[u8]) -> Result<Self, Unreadable> {
        let kind = byte(from)?;
        Ok(match kind {
            1 => Self::Opened {
                session: long(from)?,
                hall: get_text(from)?.into(),
                name: get_text(from)?.into(),
                owner: get_owner(from)?,
                expiry: get_expiry(from)?,
                implicit: flag(from)?,
            },
            2 => Self::Attached {
                session: long(from)?,
                expiry: get_expiry(from)?,
                implicit: flag(from)?,
            },
            3 => Self::Detached {
                session: long(from)?,
                until: long(from)?,
            },
            4 => Self::Ended {
                session: long(from)?,
            },
            5 => {
                let session = long(from)?;
                let filter = filter(from)?;
                let bits = byte(from)?;
                let options = SubscribeOptions {
                    qos: QoS::from_bits(bits & 0b11).ok_or(Unreadable)?,
                    no_local: bits & 0b100 != 0,
                    retain_as_published: bits & 0b1000 != 0,
                    retain_handling: match bits >> 4 {
                        0 => RetainHandling::Send,
                        1 => RetainHandling::SendIfNew,
                        2 => RetainHandling::Never,
                        _ => return Err(Unreadable),
                    },
                };
                let id = match word(from)? {
                    0 => None,
                    id => Some(SubscriptionId::new(id).ok_or(Unreadable)?),
                };
                let subscription = Subscription {
                    filter,
                    options,
                    id,
                };
                Self::Subscribed {
                    session,
                    subscription,
                }
            }
            6 => Self::Unsubscribed {
                session: long(from)?,
                filter: filter(from)?,
            },
            7 => Self::Switched {
                session: long(from)?,
                filter: filter(from)?,
                on: flag(from)?,
            },
            8 => Self::Said(Arc::new(get_message(from)?)),
            9 => {
                let session = long(from)?;
                let id = get_id(from)?;
                let bits = byte(from)?;
                let stage = match bits >> 3 {
                    0 => Stage::Waiting,
                    1 => Stage::Sent,
                    2 => Stage::Released,
                    _ => return Err(Unreadable),
                };
                let count = word(from)? as usize;
                if from.len() / 4 < count {
                    return Err(Unreadable);
                }
                let ids = (0..count).map(|_| SubscriptionId::new(word(from)?).ok_or(Unreadable));
                Self::Due {
                    session,
                    id,
                    stage,
                    qos: QoS::from_bits(bits & 0b11).ok_or(Unreadable)?,
                    retain: bits & 0b100 != 0,
                    subscription_ids: ids.collect::<Result<_, _>>()?,
                }
            }
            10 => Self::Released {
                session: long(from)?,
                id: get_id(from)?,
            },
            11 => Self::Done {
                session: long(from)?,
                id: get_id(from)?,
            },
            12 => Self::Receipt {
                session: long(from)?,
                id: get_id(from)?,
            },
            13 => Self::Forgotten {
                session: long(from)?,
                id: get_id(from)?,
            },
            14 => Self::Retained {
                hall: get_text(from)?.into(),
            },
            15 => Self::Vowed {
                will: long(from)?,
                session: long(from)?,
                hall: get_text(from)?.into(),
                name: get_text(from)?.into(),
                owner: get_owner(from)?,
                delay: word(from)?,
                dialect: get_text(from)?.into(),
                marks: word(from)?,
            },
            16 => Self::Deferred {
                will: long(from)?,
                until: long(from)?,
            },
            17 => Self::Unvowed { will: long(from)? },
            _ => return Err(Unreadable),
        })
    }
}

fn head(to: &mut Vec<u8>, kind: u8, session: u64) {
    to.push(kind);
    to.extend_from_slice(&session.to_be_bytes());
}

fn with_id(to: &mut Vec<u8>, kind: u8, session: u64, id: PacketId) {
    head(to, kind, session);
    to.extend_from_slice(&id.get().to_be_bytes());
}

fn text(to: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(text.as_bytes());
}

fn put_owner(to: &mut Vec<u8>, owner: &Owner) {
    match owner {
        Owner::Device(product) => {
            to.push(0);
            text(to, product.as_str());
        }
        Owner::Guest(None) => to.push(1),
        Owner::Guest(Some(user)) => {
            to.push(2);
            text(to, user);
        }
    }
}

fn put_expiry(to: &mut Vec<u8>, expiry: Expiry) {
    let seconds = match expiry {
        Expiry::WithConnection => 0,
        Expiry::After(seconds) => seconds.get(),
        Expiry::Never => u32::MAX,
    };
    to.extend_from_slice(&seconds.to_be_bytes());
}

/// A message is written as the MQTT 5 PUBLISH that brings it, behind the time when it expires.
fn said(to: &mut Vec<u8>, message: &Message) {
    to.push(8);
    to.extend_from_slice(&message.expires.unwrap_or(0).to_be_bytes());
    let mut packet = BytesMut::new();
    let parts = PublishParts {
        topic: &message.topic,
        payload: &message.payload,
        qos: message.qos,
        packet_id: (message.qos != QoS::AtMostOnce)
            .then(|| PacketId::new(1))
            .flatten(),
        dup: false,
        retain: message.retain,
        properties: &message.properties,
        expiry: None,
        subscription_ids: &[],
        alias: None,
    };
    // Whatever was decoded can be encoded, and our own messages are shorter than that.
    let _ = encode_publish(&parts, Version::V5, &mut packet);
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    to.extend_from_slice(&length.to_be_bytes());
    to.extend_from_slice(&packet);
}

fn get_message(from: &mut &[u8]) -> Result<Message, Unreadable> {
    let expires = match long(from)? {
        0 => None,
        expires => Some(expires),
    };
    let mut packet = BytesMut::from(part(from)?);
    let mut decoder = Decoder::kept(Version::V5);
    match decoder.decode(&mut packet) {
        Ok(Some(Packet::Publish(publish))) if packet.is_empty() => {
            let mut message = Message::new(publish.detached(), 0);
            message.expires = expires;
            Ok(message)
        }
        _ => Err(Unreadable),
    }
}

fn byte(from: &mut &[u8]) -> Result<u8, Unreadable> {
    from.try_get_u8().map_err(|_| Unreadable)
}

fn word(from: &mut &[u8]) -> Result<u32, Unreadable> {
    from.try_get_u32().map_err(|_| Unreadable)
}

fn long(from: &mut &[u8]) -> Result<u64, Unreadable> {
    from.try_get_u64().map_err(|_| Unreadable)
}

fn flag(from: &mut &[u8]) -> Result<bool, Unreadable> {
    match byte(from)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Unreadable),
    }
}

fn get_id(from: &mut &[u8]) -> Result<PacketId, Unreadable> {
    let id = from.try_get_u16().map_err(|_| Unreadable)?;
    PacketId::new(id).ok_or(Unreadable)
}

fn part<'a>(from: &mut &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let length = word(from)? as usize;
    let (part, rest) = from.split_at_checked(length).ok_or(Unreadable)?;
    *from = rest;
    Ok(part)
}

fn get_text<'a>(from: &mut &'a [u8]) -> Result<&'a str, Unreadable> {
    std::str::from_utf8(part(from)?).map_err(|_| Unreadable)
}

fn filter(from: &mut &[u8]) -> Result<TopicFilter, Unreadable> {
    TopicFilter::new(get_text(from)?.to_owned()).map_err(|_| Unreadable)
}

fn get_owner(from: &mut &[u8]) -> Result<Owner, Unreadable> {
    Ok(match byte(from)? {
        0 => Owner::Device(ProductKey::parse(get_text(from)?).map_err(|_| Unreadable)?),
        1 => Owner::Guest(None),
        2 => Owner::Guest(Some(get_text(from)?.into())),
        _ => return Err(Unreadable),
    })
}

fn get_expiry(from: &mut &[u8]) -> Result<Expiry, Unreadable> {
    word(from).map(Expiry::from_seconds)
}

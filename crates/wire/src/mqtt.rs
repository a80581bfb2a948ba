//! MQTT 3.1, 3.1.1 and 5, both ends of the line.
//!
//! [`Decoder`] turns bytes into [`Packet`]s and refuses all that the OASIS texts forbid; [`encode`] writes them.
//! [`TopicName`] and [`TopicFilter`] are checked topics, [`Subscriptions`] finds the subscribers of one, [`Session`]
//! keeps what survives a connection.
//!
//! ```
//! use bytes::BytesMut;
//! use wire::mqtt::{Decoder, Packet, Version, encode};
//!
//! let mut line = BytesMut::from(&b"\x10\x0e\x00\x04MQTT\x04\x02\x00\x3c\x00\x02d1"[..]);
//! let mut decoder = Decoder::server(64 * 1024);
//! let Some(Packet::Connect(connect)) = decoder.decode(&mut line)? else { panic!("half a packet") };
//! assert_eq!((connect.version, &*connect.client_id), (Version::V311, "d1"));
//!
//! let mut reply = BytesMut::new();
//! encode(&Packet::PingResp, connect.version, &mut reply)?;
//! assert_eq!(&reply[..], b"\xd0\x00");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod decode;
mod encode;
mod packet;
mod property;
mod reader;
mod reason;
mod session;
mod subscriptions;
mod text;
mod topic;

pub use decode::{DecodeError, Decoder};
pub use encode::{EncodeError, PublishParts, encode, encode_publish, publish_size};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Packet, PacketId, PacketType, Publish, QoS,
    RetainHandling, SubAck, Subscribe, SubscribeFilter, SubscribeOptions, UnsubAck, Unsubscribe,
    Version, Will,
};
pub use property::{Place, Properties, Property, SubscriptionId, UserProperty};
pub use reason::ReasonCode;
pub use session::{
    Counts, Delivery, Due, Effect, Expiry, Grant, KeepAlive, Limits, Link, Message, Millis, Note,
    Offer, Overflow, Rest, Session, Stage, Subscription, Ticket, Transmit,
};
pub use subscriptions::Subscriptions;
pub use text::{Binary, Secret, Text, TextError};
pub use topic::{MAX_LEVELS, Shared, TopicError, TopicFilter, TopicName};

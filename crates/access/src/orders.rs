//! Orders that a connection was given, until it is known that the device has them.
//!
//! An order waits in the store until then, and whoever connects next is given it again, under the
//! same number. At QoS 1 the device says so itself. At QoS 0 nobody does: its bytes must have left,
//! as they may for a device that is gone already, and the device must have said two things since
//! they were written. It may have said the first before it read them; the answer to that comes after
//! them, so that who waits for it before it says the second has read them. Who does not wait may
//! still lose an order at QoS 0.

use model::id::CommandId;
use std::{
    hash::{BuildHasher, RandomState},
    sync::{Arc, LazyLock},
};
use wire::mqtt::Message;

/// Acknowledgements that are remembered before it is known what they are for. That takes as long as
/// the store takes to answer; an order whose acknowledgement was beyond is given again.
const EARLY: usize = 4096;

/// The orders of one connection.
#[derive(Default)]
pub(crate) struct Orders {
    given: Vec<Given>,
    /// The words of what the device acknowledged before it was known which of its messages are
    /// orders; a session that outlived a connection may hold some.
    early: Option<Vec<u64>>,
    /// An order found no room, until this is so.
    crowded: Option<Room>,
}

/// What makes room for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// That what waits to be written has left.
    Flush,
    /// That the device acknowledges something.
    Acknowledgement,
}

struct Given {
    id: CommandId,
    parts: Vec<Part>,
}

struct Part {
    message: Arc<Message>,
    stage: Stage,
}

/// How far a message has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The session has it until the device acknowledges it.
    Held,
    /// Its bytes are among those that wait to be written; whether something came from the device
    /// since.
    Written(bool),
    /// Its bytes have left; whether something came from the device since they were written.
    Left(bool),
    /// The device has it.
    Taken,
}

/// Whether two messages have the same words. Those of most orders bear its number; of others there
/// may be several alike, of which it is only known how many there are.
pub(crate) fn same(one: &Message, other: &Message) -> bool {
    one.topic == other.topic && one.payload == other.payload
}

/// What stands for the words of a message; the same for `same` messages.
fn words(message: &Message) -> u64 {
    static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
    KEY.hash_one((&*message.topic, &message.payload))
}

impl Given {
    fn is_taken(&self) -> bool {
        self.parts.iter().all(|part| part.stage == Stage::Taken)
    }
}

impl Orders {
    /// For a connection whose session holds messages of a former one, or does not; with what the
    /// former one knew that the device has and that is not marked so.
    pub(crate) fn new(holds: bool, former: Option<Box<Self>>) -> Option<Box<Self>> {
        let former = former.unwrap_or_default();
        let taken = former.taken();
        let early = former.early.filter(|early| holds || !early.is_empty());
        let early = early.or_else(|| holds.then(Vec::new));
        if early.is_none() && taken.is_empty() {
            return None;
        }
        let given = |id| Given {
            id,
            parts: Vec::new(),
        };
        Some(Box::new(Self {
            given: taken.into_iter().map(given).collect(),
            early,
            crowded: None,
        }))
    }

    /// Whether the order was given on this connection already.
    pub(crate) fn has(&self, id: CommandId) -> bool {
        self.given.iter().any(|given| given.id == id)
    }

    /// Whether the device acknowledged this message before; asked once for each acknowledgement.
    pub(crate) fn take_early(&mut self, message: &Message) -> bool {
        let early = self.early.get_or_insert_default();
        let words = words(message);
        let at = early.iter().position(|known| *known == words);
        at.map(|at| early.swap_remove(at)).is_some()
    }

    /// How many messages with these words the session has of orders that were given.
    pub(crate) fn held(&self, message: &Message) -> usize {
        let parts = self.given.iter().flat_map(|given| &given.parts);
        let held = parts.filter(|part| part.stage == Stage::Held && same(&part.message, message));
        held.count()
    }

    /// Notes an order with its messages.
    pub(crate) fn give(&mut self, id: CommandId, parts: Vec<(Arc<Message>, Stage)>) {
        let parts = parts.into_iter();
        let parts = parts.map(|(message, stage)| Part { message, stage });
        self.given.push(Given {
            id,
            parts: parts.collect(),
        });
    }

    /// Notes that an order found no room.
    pub(crate) fn set_crowded(&mut self, until: Room) {
        self.crowded = Some(until);
    }

    /// Whether that makes room for an order that found none.
    pub(crate) fn make(&mut self, room: Room) -> bool {
        self.crowded.take_if(|until| *until == room).is_some()
    }

    /// All orders that wait were looked at.
    pub(crate) fn looked(&mut self) {
        self.early = None;
    }

    /// The device acknowledged a message; true if that makes an order one that it has.
    pub(crate) fn acknowledged(&mut self, message: &Arc<Message>) -> bool {
        let mut parts = self.given.iter_mut().flat_map(|given| &mut given.parts);
        let held = parts.find(|part| part.stage == Stage::Held && same(&part.message, message));
        match (held, &mut self.early) {
            (Some(part), _) => {
                part.stage = Stage::Taken;
                true
            }
            (None, Some(early)) => {
                if early.len() < EARLY {
                    early.push(words(message));
                }
                false
            }
            (None, None) => false,
        }
    }

    /// All that was to be written has left.
    pub(crate) fn flushed(&mut self) {
        for part in self.given.iter_mut().flat_map(|given| &mut given.parts) {
            if let Stage::Written(heard) = part.stage {
                part.stage = Stage::Left(heard);
            }
        }
    }

    /// Something came from the device; true if that makes an order one that it has.
    pub(crate) fn heard(&mut self) -> bool {
        let mut any = false;
        for part in self.given.iter_mut().flat_map(|given| &mut given.parts) {
            part.stage = match part.stage {
                Stage::Written(_) => Stage::Written(true),
                Stage::Left(false) => Stage::Left(true),
                Stage::Left(true) => {
                    any = true;
                    Stage::Taken
                }
                stage @ (Stage::Held | Stage::Taken) => stage,
            };
        }
        any
    }

    /// The orders that the device has, and that are to be marked so.
    pub(crate) fn taken(&self) -> Vec<CommandId> {
        let taken = self.given.iter().filter(|given| given.is_taken());
        taken.map(|given| given.id).collect()
    }

    /// An order was marked.
    pub(crate) fn forget(&mut self, id: CommandId) {
        self.given.retain(|given| given.id != id);
    }

    /// Whether there is nothing to know any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.given.is_empty() && self.early.is_none() && self.crowded.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seat::message;

    fn order(number: &'static str) -> Arc<Message> {
        Arc::new(message("set".into(), number.into(), 1).expect("a good topic"))
    }

    /// [AL-6.5] At QoS 0 the bytes must have left, and the device must have said two things since they
    /// were written, the second after they left.
    #[test]
    fn bytes_that_left_and_two_words_are_a_sign() {
        let mut orders = Orders::default();
        for (number, words) in [(1, "1"), (2, "2")] {
            orders.give(
                CommandId(number),
                vec![(order(words), Stage::Written(false))],
            );
            assert!(!orders.heard() && !orders.heard() && orders.taken().is_empty());
            orders.flushed();
            assert!(orders.taken().is_empty());
            assert!(orders.heard());
            assert_eq!(orders.taken(), [CommandId(number)]);
            orders.forget(CommandId(number));
            assert!(orders.is_empty());
        }
        orders.give(CommandId(3), vec![(order("3"), Stage::Written(false))]);
        orders.flushed();
        assert!(!orders.heard(), "it may have said that before it read it");
        assert!(orders.heard());
    }

    /// [AL-6.5] An order that a session kept is known by its words, whenever it is acknowledged.
    #[test]
    fn an_acknowledgement_may_come_before_it_is_known_what_it_is_for() {
        let mut former = Orders::default();
        former.give(CommandId(7), Vec::new());
        let mut orders = Orders::new(true, Some(Box::new(former))).expect("something is held");
        assert_eq!(
            orders.taken(),
            [CommandId(7)],
            "left by a former connection"
        );
        assert!(!orders.acknowledged(&order("1")));
        assert!(orders.take_early(&order("1")) && !orders.take_early(&order("2")));
        assert!(
            !orders.take_early(&order("1")),
            "another one with its words"
        );
        orders.give(CommandId(2), vec![(order("2"), Stage::Held)]);
        orders.looked();
        assert!(!orders.heard(), "it will be acknowledged");
        assert!(orders.acknowledged(&order("2")));
        assert_eq!(orders.taken(), [CommandId(7), CommandId(2)]);
        assert!(Orders::new(false, None).is_none());
    }

    /// [AL-6.5] Nor is it forgotten when the connection ends before it is known what it is for.
    #[test]
    fn an_early_acknowledgement_outlives_its_connection() {
        let mut orders = Orders::new(true, None).expect("something is held");
        assert!(!orders.acknowledged(&order("1")));
        let mut orders = Orders::new(false, Some(orders)).expect("something was acknowledged");
        assert!(orders.take_early(&order("1")));
        orders.looked();
        assert!(Orders::new(false, Some(orders)).is_none());
    }

    /// [AL-6.5] While nobody knows, what is remembered of them has a bound.
    #[test]
    fn early_acknowledgements_are_bounded() {
        let mut orders = Orders::new(true, None).expect("something is held");
        for _ in 0..2 * EARLY {
            assert!(!orders.acknowledged(&order("1")));
        }
        assert_eq!(orders.early.as_ref().map(Vec::len), Some(EARLY));
    }

    /// [AL-6.2] Of two with the same words one acknowledgement is for one.
    #[test]
    fn what_is_said_twice_is_acknowledged_twice() {
        let mut orders = Orders::default();
        for number in [1, 2] {
            orders.give(CommandId(number), vec![(order("toggle"), Stage::Held)]);
        }
        assert_eq!(orders.held(&order("toggle")), 2);
        assert!(orders.acknowledged(&order("toggle")));
        assert_eq!(orders.taken(), [CommandId(1)]);
        assert_eq!(orders.held(&order("toggle")), 1);
        assert!(orders.acknowledged(&order("toggle")));
        assert!(!orders.acknowledged(&order("toggle")));
    }
}

//! What was sent, acknowledged and received, and what of it breaks a promise.

use std::collections::{BTreeMap, BTreeSet};
use wire::mqtt::QoS;

/// A message: its publisher, and its number among those of the publisher.
pub(crate) type Mark = (usize, u64);

/// The QoS that a message of this number is published at: 1 and 2 in turn.
pub(crate) fn qos_of(number: u64) -> QoS {
    if number.is_multiple_of(2) {
        QoS::AtLeastOnce
    } else {
        QoS::ExactlyOnce
    }
}

/// All that happened, as the clients saw it.
#[derive(Default)]
pub(crate) struct Ledger {
    /// How many each publisher has sent, begun with its first.
    sent: BTreeMap<usize, u64>,
    acknowledged: BTreeSet<Mark>,
    /// What each subscriber took, in this order; one of QoS 2 that came again under the packet
    /// identifier of an unfinished exchange is not taken again.
    taken: BTreeMap<usize, (QoS, Vec<Mark>)>,
    /// Of each subscriber: what it has, and how many of these are acknowledged.
    have: BTreeMap<usize, (BTreeSet<Mark>, usize)>,
    /// What broke a promise as it happened.
    broken: Vec<String>,
}

impl Ledger {
    pub(crate) fn sent(&mut self, (publisher, number): Mark) {
        self.sent.insert(publisher, number + 1);
    }

    /// The server took the message: PUBACK, or PUBREC.
    pub(crate) fn acknowledged(&mut self, mark: Mark) {
        if self.acknowledged.insert(mark) {
            for (has, count) in self.have.values_mut() {
                *count += usize::from(has.contains(&mark));
            }
        }
    }

    pub(crate) fn count_acknowledged(&self) -> usize {
        self.acknowledged.len()
    }

    /// A subscriber of everything at this QoS.
    pub(crate) fn subscriber(&mut self, subscriber: usize, qos: QoS) {
        self.taken.insert(subscriber, (qos, Vec::new()));
        self.have.insert(subscriber, Default::default());
    }

    pub(crate) fn taken(&mut self, subscriber: usize, mark: Mark) {
        let (_, list) = self.taken.get_mut(&subscriber).expect("it subscribed");
        list.push(mark);
        let (has, count) = self.have.get_mut(&subscriber).expect("it subscribed");
        if has.insert(mark) {
            *count += usize::from(self.acknowledged.contains(&mark));
        }
    }

    pub(crate) fn broken(&mut self, what: String) {
        self.broken.push(what);
    }

    /// How many acknowledged messages the slowest subscriber has not.
    pub(crate) fn behind(&self) -> usize {
        let all = self.acknowledged.len();
        let behind = self.have.values().map(|(_, count)| all - count);
        behind.max().unwrap_or(0)
    }

    /// Whether every subscriber has all that was acknowledged.
    pub(crate) fn complete(&self) -> bool {
        let all = self.acknowledged.len();
        self.have.values().all(|(_, count)| *count == all)
    }

    /// Every promise that was broken.
    pub(crate) fn verdict(&self) -> Vec<String> {
        let mut broken = self.broken.clone();
        for (subscriber, (qos, list)) in &self.taken {
            let mut times = BTreeMap::<Mark, usize>::new();
            let mut latest = BTreeMap::<(usize, QoS), u64>::new();
            for &(publisher, number) in list {
                let again = times.entry((publisher, number)).or_default();
                *again += 1;
                let stream = (publisher, qos_of(number));
                let last = latest.insert(stream, number);
                // [MQTT-4.6.0-6]: those that come for the first time come in order.
                if *again == 1 && last.is_some_and(|last| last > number) {
                    broken.push(format!(
                        "subscriber {subscriber}: {publisher}/{number} after {last:?}"
                    ));
                }
                if *again > 1 {
                    // A repeated one says nothing about those behind it.
                    latest.insert(stream, last.expect("it came").max(number));
                }
                if number >= self.sent.get(&publisher).copied().unwrap_or_default() {
                    broken.push(format!(
                        "subscriber {subscriber}: {publisher}/{number} was never sent"
                    ));
                }
            }
            for mark in &self.acknowledged {
                if !times.contains_key(mark) {
                    broken.push(format!("subscriber {subscriber}: {mark:?} is lost"));
                }
            }
            for (mark, count) in &times {
                let qos = (*qos).min(qos_of(mark.1));
                if qos == QoS::ExactlyOnce && *count > 1 {
                    broken.push(format!(
                        "subscriber {subscriber}: {mark:?} of QoS 2 came {count} times"
                    ));
                }
            }
        }
        broken
    }

    /// One line about all of it.
    pub(crate) fn summary(&self) -> String {
        let taken: usize = self.taken.values().map(|(_, list)| list.len()).sum();
        let sent: u64 = self.sent.values().sum();
        let acknowledged = self.acknowledged.len();
        format!("{sent} sent, {acknowledged} acknowledged, {taken} received")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sent: u64, acknowledged: &[u64], qos: QoS, taken: &[u64]) -> Vec<String> {
        let mut ledger = Ledger::default();
        ledger.subscriber(7, qos);
        ledger.sent((0, sent - 1));
        for &number in acknowledged {
            ledger.acknowledged((0, number));
        }
        for &number in taken {
            ledger.taken(7, (0, number));
        }
        ledger.verdict()
    }

    #[test]
    fn the_ledger_sees_what_is_lost_doubled_made_up_and_out_of_order() {
        use QoS::{AtLeastOnce, ExactlyOnce};
        // QoS 1 may come again, in its place, and from there on; unacknowledged ones may be missing.
        for right in [
            &[0, 1, 2, 3][..],
            &[0, 2, 0, 2, 1, 3],
            &[0, 1, 2, 3, 4],
            &[1, 0, 3, 2, 0],
        ] {
            assert_eq!(told(5, &[0, 1, 2, 3], ExactlyOnce, right), [""; 0]);
        }
        for (wrong, what) in [
            (&[0, 1, 3][..], "is lost"),
            (&[0, 1, 2, 1, 3], "of QoS 2 came 2 times"),
            (&[0, 1, 2, 3, 5], "was never sent"),
            (&[2, 0, 1, 3], "after Some(2)"),
            (&[0, 3, 1, 2], "after Some(3)"),
        ] {
            let told = told(5, &[0, 1, 2, 3], ExactlyOnce, wrong);
            assert!(told.len() == 1 && told[0].contains(what), "{told:?}");
        }
        assert_eq!(told(5, &[1], AtLeastOnce, &[1, 1]), [""; 0]);
    }
}

//! Retained messages through kills: whoever subscribes gets the last one that was acknowledged, or
//! one that was sent later.

use crate::chance::Chance;
use std::{net::SocketAddr, num::NonZeroU16, time::Duration};
use tests::{
    PATIENCE,
    line::{Line, hello},
};
use wire::mqtt::{
    Packet, Properties, Publish, QoS, Subscribe, SubscribeFilter, SubscribeOptions, TopicFilter,
    TopicName, Version,
};

const TOPICS: usize = 20;

/// What was retained on each topic: numbers from 1, and whether the number means "deleted".
pub(crate) struct Kept {
    chance: Chance,
    topics: Vec<Vec<(u64, bool)>>,
    /// Up to which of these the server acknowledged.
    acknowledged: Vec<usize>,
    next: u64,
}

impl Kept {
    pub(crate) fn new(chance: Chance) -> Self {
        Self {
            chance,
            topics: vec![vec![(0, true)]; TOPICS],
            acknowledged: vec![0; TOPICS],
            next: 0,
        }
    }

    /// Retains a few messages, and waits for the acknowledgement of all but perhaps the last.
    pub(crate) fn change(&mut self, address: SocketAddr, most: usize) -> std::io::Result<()> {
        let (mut line, _) = Line::open(address, hello("keeper", Version::V311, false))?;
        let count = 1 + self.chance.below(most);
        for round in 0..count {
            let topic = self.chance.below(TOPICS);
            let delete = self.chance.below(5) == 0;
            self.next += 1;
            self.topics[topic].push((self.next, delete));
            let payload = if delete {
                vec![]
            } else {
                self.next.to_string().into_bytes()
            };
            let name = TopicName::new(format!("kept/{topic}")).expect("a topic");
            let mut message = Publish::new(name, payload);
            message.retain = true;
            message.qos = QoS::AtLeastOnce;
            message.packet_id = NonZeroU16::new((self.next % 65_535) as u16 + 1);
            line.send(&Packet::Publish(message))?;
            if round + 1 == count && self.chance.below(2) == 0 {
                return Ok(()); // it is killed before anybody knows
            }
            loop {
                match line.receive(PATIENCE)? {
                    Some(Packet::PubAck(_)) => break,
                    Some(_) => {}
                    None => return Err(std::io::ErrorKind::TimedOut.into()),
                }
            }
            self.acknowledged[topic] = self.topics[topic].len() - 1;
        }
        Ok(())
    }

    /// Looks what a newcomer gets; what is wrong with it.
    pub(crate) fn verdict(&mut self, address: SocketAddr) -> Vec<String> {
        let opened = Line::open(address, hello("looker", Version::V311, false));
        let (mut line, _) = opened.expect("the server takes everybody");
        line.send(&Packet::Subscribe(Subscribe {
            packet_id: NonZeroU16::MIN,
            filters: vec![SubscribeFilter {
                filter: TopicFilter::new("kept/#".to_owned()).expect("a filter"),
                options: SubscribeOptions::at(QoS::AtMostOnce),
            }],
            properties: Properties::new(),
        }))
        .expect("a connection");
        let mut found = vec![None; TOPICS];
        // Retained messages of QoS 0 come behind SUBACK, or around it, and before the answer to a
        // ping that is sent then.
        let mut pinged = false;
        loop {
            match line.receive(PATIENCE).expect("a connection") {
                Some(Packet::SubAck(_)) if !pinged => {
                    pinged = true;
                    line.send(&Packet::PingReq).expect("a connection");
                }
                Some(Packet::PingResp) => break,
                Some(Packet::Publish(message)) => {
                    assert!(message.retain, "{message:?}");
                    let topic: usize = message.topic[5..].parse().expect("a number");
                    let text = String::from_utf8_lossy(&message.payload);
                    found[topic] = Some(text.parse::<u64>().expect("a number"));
                }
                Some(_) => {}
                None => panic!("no answer to the ping"),
            }
        }
        let late = line.receive(Duration::from_millis(1));
        assert!(
            !matches!(late, Ok(Some(Packet::Publish(_)))),
            "a retained message came too late"
        );
        let mut wrong = Vec::new();
        for (topic, found) in found.into_iter().enumerate() {
            let history = &self.topics[topic];
            let possible = &history[self.acknowledged[topic]..];
            let there = possible.iter().any(|(number, deleted)| match found {
                Some(found) => *number == found && !deleted,
                None => *deleted,
            });
            if !there {
                wrong.push(format!("kept/{topic} is {found:?}, not of {possible:?}"));
            }
        }
        wrong
    }
}

//! Sessions that are written down: what they tell, and that what they left goes on elsewhere.

use super::*;
use Note::{Done, Forgotten, Released, Taken};
use QoS::{AtLeastOnce, ExactlyOnce};

fn durable() -> Session {
    Session::new(Limits {
        durable: true,
        ..limits()
    })
}

fn notes(effects: &mut Vec<Effect>) -> Vec<Note> {
    let note = |effect| match effect {
        Effect::Note(note) => Some(note),
        _ => None,
    };
    effects.drain(..).filter_map(note).collect()
}

fn ack(number: u16) -> Ack {
    Ack::new(id(number), ReasonCode::Success)
}

/// Every change that a crash must not undo is told, and nothing else.
#[test]
fn a_durable_session_tells_its_changes() {
    let (mut session, mut out) = (durable(), Vec::new());
    session.attach(link(Version::V311), 0, &mut out);
    let offer = |session: &mut Session, qos| {
        let mut out = Vec::new();
        let offer = session.publish(delivery("x", qos), 0, &mut out);
        (offer, notes(&mut out))
    };
    assert_eq!(
        offer(&mut session, AtLeastOnce),
        (Offer::Sent, vec![Taken(id(1))])
    );
    assert_eq!(
        offer(&mut session, ExactlyOnce),
        (Offer::Sent, vec![Taken(id(2))])
    );
    for number in 3..=5 {
        let told = (Offer::Queued, vec![Taken(id(number))]);
        assert_eq!(offer(&mut session, AtLeastOnce), told);
    }
    let told = vec![Done(id(3)), Taken(id(6))];
    assert_eq!(
        offer(&mut session, AtLeastOnce),
        (Offer::Displaced(1), told)
    );
    assert_eq!(offer(&mut session, QoS::AtMostOnce).1, []);
    for (packet, told) in [
        (Packet::PubAck(ack(1)), vec![Done(id(1))]),
        (Packet::PubAck(ack(1)), vec![]),
        (Packet::PubRec(ack(2)), vec![Released(id(2))]),
        (Packet::PubRec(ack(2)), vec![]),
        (Packet::PubComp(ack(2)), vec![Done(id(2))]),
        (Packet::PubRec(ack(2)), vec![]),
        (Packet::PingReq, vec![]),
        (Packet::PubRel(ack(9)), vec![]),
    ] {
        session.receive(packet.clone(), 0, &mut out);
        assert_eq!(notes(&mut out), told, "{packet:?}");
    }
    session.receive(publish(9, ExactlyOnce, false), 0, &mut out);
    let Some(Effect::Deliver(_, Some(ticket))) = out.pop() else {
        panic!("no ticket");
    };
    assert_eq!(session.awaited(ticket), Some(id(9)));
    session.acknowledge(ticket, ReasonCode::Success, &mut out);
    assert_eq!(session.awaited(ticket), None);
    out.clear();
    session.receive(Packet::PubRel(ack(9)), 0, &mut out);
    assert_eq!(notes(&mut out), [Forgotten(id(9))]);
}

/// [MQTT-4.4.0-1] A session that was built from what another one left sends the same again, under
/// the same identifiers, and gives no identifier twice.
#[test]
fn what_a_session_left_goes_on_in_another() {
    let (mut session, mut out) = (durable(), Vec::new());
    session.attach(link(Version::V311), 0, &mut out);
    for (payload, qos) in [("a", ExactlyOnce), ("b", AtLeastOnce), ("c", ExactlyOnce)] {
        let _ = session.publish(delivery(payload, qos), 0, &mut out);
    }
    session.receive(Packet::PubRec(ack(1)), 0, &mut out);
    session.receive(publish(7, ExactlyOnce, false), 0, &mut out);
    let Some(Effect::Deliver(_, Some(ticket))) = out.pop() else {
        panic!("no ticket");
    };
    session.acknowledge(ticket, ReasonCode::Success, &mut out);
    let rest = session.rest();
    let stages: Vec<_> = rest.due.iter().map(|due| due.stage).collect();
    assert_eq!(stages, [Stage::Released, Stage::Sent, Stage::Waiting]);
    assert_eq!(rest.receipts, [id(7)]);

    let limits = Limits {
        durable: true,
        ..limits()
    };
    let mut session = Session::restored(limits, rest.clone());
    assert_eq!(session.rest(), rest);
    assert_eq!(session.bytes(), 2 * message("a", AtLeastOnce).weight());
    out.clear();
    session.attach(link(Version::V311), 0, &mut out);
    let [
        Effect::Send(Packet::PubRel(release)),
        Effect::Publish(again),
    ] = &out[..]
    else {
        panic!("{out:?}");
    };
    assert_eq!(release.packet_id, id(1));
    assert_eq!((again.packet_id, again.dup), (Some(id(2)), true));
    out.clear();
    // The client sends its QoS 2 message again: it is answered and not delivered.
    session.receive(publish(7, ExactlyOnce, true), 0, &mut out);
    assert!(matches!(&out[..], [Effect::Send(Packet::PubRec(ack))] if ack.packet_id == id(7)));
    out.clear();
    session.receive(Packet::PubComp(ack(1)), 0, &mut out);
    let [Effect::Note(Done(_)), Effect::Publish(first)] = &out[..] else {
        panic!("{out:?}");
    };
    assert_eq!((first.packet_id, first.dup), (Some(id(3)), false));
    out.clear();
    let _ = session.publish(delivery("d", AtLeastOnce), 0, &mut out);
    assert_eq!(notes(&mut out), [Taken(id(4))]);
}

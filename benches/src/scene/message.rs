//! Messages at QoS 1, rights checked at both ends (rumqttd has none to check).

use super::{FLOOD, packet_id};
use crate::{
    broker::{Broker, Door, Muster, cpu},
    load::Client,
    report::{Report, Row},
};
use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};
use tokio::{sync::Notify, task::LocalSet, time::timeout};
use wire::mqtt::{Packet, TopicName};

const PAYLOAD: [u8; 128] = [b'x'; 128];
/// Messages of one publisher that are not acknowledged.
const IN_FLIGHT: u64 = 16;
/// Messages that one subscriber does not have yet: all that its publishers may have in flight, so
/// that no server has to drop any.
const BEHIND: u64 = 1_600;
/// A subscriber that gets nothing for so long has lost what is missing.
const LOST: Duration = Duration::from_secs(10);

/// What came of a scene.
struct Flood {
    cpu_each: f64,
    rate: f64,
    lost: u64,
}

fn rows(name: &str, goal: Option<f64>, all: &[(&'static str, Flood)], report: &mut Report) {
    let [(_, ours), peers @ ..] = all else { return };
    let mut cost = Row::new(
        format!("CPU per delivered QoS 1 message, {name}"),
        ours.cpu_each,
        "us",
    );
    if let Some(goal) = goal {
        cost = cost.at_most_times(goal);
    }
    let mut rate = Row::new(
        format!("delivered QoS 1 messages, {name}"),
        ours.rate,
        "1/s",
    );
    for (peer, theirs) in peers {
        cost = cost.beside(peer, theirs.cpu_each);
        rate = rate.beside(peer, theirs.rate);
    }
    report.add(cost);
    report.add(rate);
    for (who, flood) in all.iter().filter(|(_, flood)| flood.lost > 0) {
        eprintln!("bench: {name}: {who} lost {} messages", flood.lost);
    }
}

/// 100 publishers to one subscriber of a free topic, nothing kept on disk.
pub(crate) async fn flood(muster: &Muster, peers: &[&dyn Broker], report: &mut Report) {
    let mut all = vec![(muster.name(), run(muster, |_| 0, 1).await)];
    for peer in peers {
        all.push((peer.name(), run(*peer, |_| 0, 1).await));
    }
    rows("flood 100 to 1, 128 B", Some(0.35), &all, report);
}

/// 100 publishers, each to a subscriber of its own, on free topics, nothing kept on disk.
pub(crate) async fn pairs(muster: &Muster, peers: &[&dyn Broker], report: &mut Report) {
    let mut all = vec![(muster.name(), run(muster, |n| n, 100).await)];
    for peer in peers {
        all.push((peer.name(), run(*peer, |n| n, 100).await));
    }
    rows("100 pairs, 128 B", Some(0.5), &all, report);
}

/// How one subscriber stands.
#[derive(Default)]
struct Line {
    sent: Cell<u64>,
    delivered: Cell<u64>,
    publishers: Cell<usize>,
    moved: Notify,
}

/// 100 publishers; the `n`th one publishes to subscriber `of(n)`.
async fn run(broker: &dyn Broker, of: fn(usize) -> usize, subscribers: usize) -> Flood {
    let address = broker.address(Door::Free);
    let topic = |n: usize| TopicName::new(format!("free/line{n}")).expect("a topic");
    let mut lines = Vec::new();
    let mut listening = Vec::new();
    for n in 0..subscribers {
        let login = broker.login(Door::Free, 100 + n);
        let mut client = Client::open(address, None, &login).await;
        client.subscribe(&topic(n)).await;
        lines.push(Rc::new(Line::default()));
        listening.push(client);
    }
    let mut publishing = Vec::new();
    for n in 0..100 {
        let client = Client::open(address, None, &broker.login(Door::Free, n)).await;
        let line = lines[of(n)].clone();
        line.publishers.set(line.publishers.get() + 1);
        publishing.push((client, topic(of(n)), line));
    }
    let tasks = LocalSet::new();
    let (before, began) = (cpu(broker.pid()), Instant::now());
    let until = began + FLOOD;
    let running: Vec<_> = listening
        .into_iter()
        .zip(&lines)
        .map(|(client, line)| tasks.spawn_local(listen(client, line.clone())))
        .collect();
    for (client, topic, line) in publishing {
        tasks.spawn_local(publish(client, topic, line, until));
    }
    tasks
        .run_until(async {
            for task in running {
                task.await.expect("a client that does not fail");
            }
        })
        .await;
    let seconds = began.elapsed().as_secs_f64();
    let spent = cpu(broker.pid()) - before;
    let delivered: u64 = lines.iter().map(|line| line.delivered.get()).sum();
    let sent: u64 = lines.iter().map(|line| line.sent.get()).sum();
    assert!(delivered > 0, "{} delivers nothing", broker.name());
    Flood {
        cpu_each: spent / delivered as f64,
        rate: delivered as f64 / seconds,
        lost: sent.saturating_sub(delivered),
    }
}

/// Publishes until the time is up, and stays until all is acknowledged.
async fn publish(mut client: Client, topic: TopicName, line: Rc<Line>, until: Instant) {
    let (mut sent, mut acknowledged) = (0_u64, 0_u64);
    loop {
        let mut behind = false;
        while Instant::now() < until && sent - acknowledged < IN_FLIGHT {
            behind = line.sent.get() - line.delivered.get() >= BEHIND;
            if behind {
                break;
            }
            client.put_message(&topic, packet_id(sent), &PAYLOAD);
            sent += 1;
            line.sent.set(line.sent.get() + 1);
        }
        client.flush().await;
        if acknowledged == sent && Instant::now() >= until {
            break;
        }
        if behind && acknowledged == sent {
            line.moved.notified().await;
            continue;
        }
        let mut packet = client.next().await;
        while let Some(came) = packet {
            match came {
                Packet::PubAck(_) => acknowledged += 1,
                other => panic!("unasked for: {other:?}"),
            }
            packet = client.ready();
        }
    }
    line.publishers.set(line.publishers.get() - 1);
    line.moved.notify_waiters();
}

/// Takes and acknowledges messages until no publisher is left and all of theirs have come.
async fn listen(mut client: Client, line: Rc<Line>) {
    loop {
        if line.publishers.get() == 0 && line.delivered.get() >= line.sent.get() {
            return;
        }
        let mut packet = tokio::select! {
            came = timeout(LOST, client.next()) => {
                let Ok(packet) = came else { return };
                packet
            }
            // The last publisher may leave after its last message came.
            () = line.moved.notified() => continue,
        };
        while let Some(came) = packet {
            match came {
                Packet::Publish(message) => {
                    line.delivered.set(line.delivered.get() + 1);
                    client.put_ack(message.packet_id.expect("QoS 1"));
                }
                other => panic!("unasked for: {other:?}"),
            }
            packet = client.ready();
        }
        client.flush().await;
        line.moved.notify_waiters();
    }
}

/// 100 devices; each publishes to a topic of its own and gets its messages back. Muster has each
/// message on disk before it acknowledges, and a history reader passes it; the peers keep none.
pub(crate) async fn looped(muster: &Muster, peers: &[&dyn Broker], report: &mut Report) {
    let mut all = vec![(muster.name(), devices(muster).await)];
    for peer in peers {
        all.push((peer.name(), devices(*peer).await));
    }
    rows(
        "100 devices to themselves, 128 B, each on disk",
        None,
        &all,
        report,
    );
}

async fn devices(broker: &dyn Broker) -> Flood {
    let mut ready = Vec::new();
    for n in 0..100 {
        let login = broker.login(Door::Device, n);
        let mut client = Client::open(broker.address(Door::Device), None, &login).await;
        let topic = broker.topic(n);
        client.subscribe(&topic).await;
        ready.push((client, TopicName::new(topic).expect("a topic")));
    }
    let tasks = LocalSet::new();
    let (before, began) = (cpu(broker.pid()), Instant::now());
    let until = began + FLOOD;
    let running: Vec<_> = ready
        .into_iter()
        .map(|(client, topic)| tasks.spawn_local(echo(client, topic, until)))
        .collect();
    let delivered = tasks
        .run_until(async {
            let mut delivered = 0_u64;
            for task in running {
                delivered += task.await.expect("a client that does not fail");
            }
            delivered
        })
        .await;
    let spent = cpu(broker.pid()) - before;
    Flood {
        cpu_each: spent / delivered as f64,
        rate: delivered as f64 / began.elapsed().as_secs_f64(),
        lost: 0,
    }
}

/// Keeps messages on their way until the time is up, then takes in what still comes; gives back
/// how many were delivered.
async fn echo(mut client: Client, topic: TopicName, until: Instant) -> u64 {
    let (mut sent, mut acknowledged, mut delivered) = (0_u64, 0_u64, 0_u64);
    loop {
        while Instant::now() < until && sent - acknowledged < IN_FLIGHT {
            client.put_message(&topic, packet_id(sent), &PAYLOAD);
            sent += 1;
        }
        client.flush().await;
        if acknowledged == sent && delivered == sent {
            return delivered;
        }
        let mut packet = client.next().await;
        while let Some(came) = packet {
            match came {
                Packet::PubAck(_) => acknowledged += 1,
                Packet::Publish(message) => {
                    delivered += 1;
                    client.put_ack(message.packet_id.expect("QoS 1"));
                }
                other => panic!("unasked for: {other:?}"),
            }
            packet = client.ready();
        }
    }
}

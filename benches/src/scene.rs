//! What is measured.

use crate::{
    broker::{Broker, Mosquitto, Muster, cpu, memory},
    load::{Client, tls},
    report::Report,
};
use openssl::ssl::SslConnector;
use std::{
    collections::HashMap,
    num::NonZeroU16,
    time::{Duration, Instant},
};
use tests::mqtt::Login;
use tokio::task::LocalSet;
use wire::mqtt::{Packet, TopicName};

const FLOOD: Duration = Duration::from_secs(8);

/// CPU per delivered QoS 1 message in a flood: 100 clients, each publishes 128 bytes to a topic of
/// its own and gets them back, 16 in flight, rights checked at both ends. Muster has each message
/// on disk before it acknowledges; mosquitto keeps none.
pub(crate) async fn message(muster: &Muster, mosquitto: &Mosquitto, report: &mut Report) {
    let ours = flood(muster, 100, 16, &[b'x'; 128]).await;
    let theirs = flood(mosquitto, 100, 16, &[b'x'; 128]).await;
    report.beside(
        "CPU per delivered QoS 1 message, flood, 128 B, 100 to 100",
        ours.cpu_each,
        theirs.cpu_each,
        "us",
    );
    report.beside(
        "delivered QoS 1 messages, same flood",
        ours.rate,
        theirs.rate,
        "1/s",
    );
}

struct Flood {
    cpu_each: f64,
    rate: f64,
}

async fn flood(
    broker: &dyn Broker,
    clients: usize,
    in_flight: u16,
    payload: &'static [u8],
) -> Flood {
    let mut ready = Vec::new();
    for n in 0..clients {
        let mut client = Client::open(broker.address(false), None, &broker.login(n)).await;
        let topic = broker.topic(n);
        client.subscribe(&topic).await;
        ready.push((client, TopicName::new(topic).expect("a topic")));
    }
    let tasks = LocalSet::new();
    let (before, began) = (cpu(broker.pid()), Instant::now());
    let until = began + FLOOD;
    let running: Vec<_> = ready
        .into_iter()
        .map(|(client, topic)| {
            tasks.spawn_local(flood_one(client, topic, in_flight, payload, until))
        })
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
    }
}

/// Keeps `in_flight` messages on their way until the time is up, then takes in what still comes;
/// gives back how many were delivered.
async fn flood_one(
    mut client: Client,
    topic: TopicName,
    in_flight: u16,
    payload: &'static [u8],
    until: Instant,
) -> u64 {
    let (mut sent, mut acknowledged, mut delivered) = (0_u64, 0_u64, 0_u64);
    loop {
        while Instant::now() < until && sent - acknowledged < u64::from(in_flight) {
            client.put_message(&topic, packet_id(sent), payload);
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

fn packet_id(n: u64) -> NonZeroU16 {
    NonZeroU16::new((n % 60_000) as u16 + 1).expect("from 1")
}

/// CPU per login: connect, CONNECT, CONNACK, close; 16 at once.
pub(crate) async fn login(muster: &Muster, mosquitto: &Mosquitto, report: &mut Report) {
    let secure = tls();
    for (name, tls, count) in [
        ("plain", None, 4_000),
        ("TLS 1.3, full handshake", Some(&secure), 1_500),
    ] {
        // The first time activates a device, once in its life.
        logins(muster, tls, count).await;
        let ours = logins(muster, tls, count).await;
        let theirs = logins(mosquitto, tls, count).await;
        report.beside(format!("CPU per login, {name}"), ours, theirs, "us");
    }
}

async fn logins(broker: &dyn Broker, tls: Option<&SslConnector>, count: usize) -> f64 {
    let address = broker.address(tls.is_some());
    let before = cpu(broker.pid());
    let tasks = LocalSet::new();
    let lanes = 16;
    let running: Vec<_> = (0..lanes)
        .map(|lane| {
            let logins: Vec<Login> = (lane..count)
                .step_by(lanes)
                .map(|n| broker.login(n))
                .collect();
            let tls = tls.cloned();
            tasks.spawn_local(async move {
                for login in logins {
                    drop(Client::open(address, tls.as_ref(), &login).await);
                }
            })
        })
        .collect();
    tasks
        .run_until(async {
            for task in running {
                task.await.expect("a client that does not fail");
            }
        })
        .await;
    settle(broker.pid()).await;
    (cpu(broker.pid()) - before) / count as f64
}

/// How idle connections are measured.
pub(crate) struct Idle {
    name: &'static str,
    tls: bool,
    /// Connections that are open before the measure begins, so that what a server needs once does
    /// not count.
    first: usize,
    /// Connections that are measured.
    more: usize,
}

/// Plain, and over TLS.
pub(crate) const IDLE: [Idle; 2] = [
    Idle {
        name: "plain",
        tls: false,
        first: 500,
        more: 4_000,
    },
    Idle {
        name: "TLS 1.3",
        tls: true,
        first: 500,
        more: 2_000,
    },
];

/// Memory per idle connection that subscribes to one topic: how much more a server holds when it
/// has so many more of them.
pub(crate) async fn idle(
    muster: &Muster,
    mosquitto: &Mosquitto,
    channel: Idle,
    report: &mut Report,
) {
    let secure = channel.tls.then(tls);
    let ours = idle_one(muster, secure.as_ref(), &channel).await;
    let theirs = idle_one(mosquitto, secure.as_ref(), &channel).await;
    report.beside(
        format!("memory per idle connection, {}", channel.name),
        ours,
        theirs,
        "B",
    );
}

async fn idle_one(broker: &dyn Broker, tls: Option<&SslConnector>, channel: &Idle) -> f64 {
    let mut open = Vec::with_capacity(channel.first + channel.more);
    let mut before = 0.0;
    for n in 0..channel.first + channel.more {
        if n == channel.first {
            settle(broker.pid()).await;
            before = memory(broker.pid());
        }
        let mut client = Client::open(broker.address(channel.tls), tls, &broker.login(n)).await;
        client.subscribe(&broker.topic(n)).await;
        open.push(client);
    }
    settle(broker.pid()).await;
    (memory(broker.pid()) - before) / channel.more as f64
}

/// Durable property posts: 200 devices, 16 in flight each; an acknowledged post is checked against
/// the thing model, on disk, and answered.
pub(crate) async fn post(muster: &Muster, report: &mut Report) {
    let mut ready = Vec::new();
    for n in 0..200 {
        let client = Client::open(muster.address(false), None, &muster.login(n)).await;
        let name = &muster.devices[n].name;
        let topic = format!("/sys/{}/{name}/thing/event/property/post", muster.product);
        ready.push((client, TopicName::new(topic).expect("a topic")));
    }
    let (before, began) = (cpu(muster.pid()), Instant::now());
    let until = began + FLOOD;
    let tasks = LocalSet::new();
    let running: Vec<_> = ready
        .into_iter()
        .map(|(client, topic)| tasks.spawn_local(post_one(client, topic, until)))
        .collect();
    let mut times = tasks
        .run_until(async {
            let mut times = Vec::new();
            for task in running {
                times.extend(task.await.expect("a client that does not fail"));
            }
            times
        })
        .await;
    let rate = times.len() as f64 / began.elapsed().as_secs_f64();
    // Histories are written behind the acknowledgement; that work belongs to a post as well.
    settle(muster.pid()).await;
    let spent = cpu(muster.pid()) - before;
    times.sort_unstable();
    let p99 = times[times.len() * 99 / 100].as_secs_f64() * 1e3;
    report.alone(
        "durable property posts, 200 devices, 16 in flight",
        rate,
        "1/s",
    );
    report.alone(
        "CPU per durable property post, history included",
        spent / times.len() as f64,
        "us",
    );
    report.alone("p99 from post to acknowledgement, same run", p99, "ms");
}

/// Posts until the time is up; gives back how long each acknowledgement took.
async fn post_one(mut client: Client, topic: TopicName, until: Instant) -> Vec<Duration> {
    let mut sent = 0_u64;
    let mut waiting = HashMap::new();
    let mut times = Vec::new();
    loop {
        while Instant::now() < until && waiting.len() < 16 {
            let value = f64::from((sent % 400) as u16) / 10.0;
            let payload = format!(
                "{{\"id\":\"{sent}\",\"version\":\"1.0\",\"params\":{{\"temperature\":{value}}},\
                 \"method\":\"thing.event.property.post\"}}"
            );
            let id = packet_id(sent);
            client.put_message(&topic, id, payload.as_bytes());
            waiting.insert(id, Instant::now());
            sent += 1;
        }
        client.flush().await;
        if waiting.is_empty() {
            return times;
        }
        let mut packet = client.next().await;
        while let Some(came) = packet {
            if let Packet::PubAck(ack) = came {
                let began = waiting.remove(&ack.packet_id).expect("it was sent");
                times.push(began.elapsed());
            }
            packet = client.ready();
        }
    }
}

/// Waits until a server has nothing to do any more: less than 1 % of a CPU over half a second.
async fn settle(pid: u32) {
    let pause = Duration::from_millis(500);
    for _ in 0..120 {
        let before = cpu(pid);
        tokio::time::sleep(pause).await;
        if cpu(pid) - before < pause.as_micros() as f64 / 100.0 {
            return;
        }
    }
    panic!("the server never comes to rest");
}

//! Durable property posts: an acknowledged post is checked against the thing model, on disk, and
//! answered.

use super::{FLOOD, packet_id, settle};
use crate::{
    broker::{Broker, Door, Muster, cpu},
    load::Client,
    report::{Report, Row},
};
use std::{
    collections::HashMap,
    time::{Duration, Instant},
};
use tokio::{
    task::LocalSet,
    time::{Instant as Tick, sleep_until},
};
use wire::mqtt::{Packet, TopicName};

const DEVICES: usize = 200;
/// Posts of a device that are not acknowledged.
const IN_FLIGHT: usize = 16;
/// Posts a second of all devices together, where they keep a pace.
const PACE: f64 = 32_000.0;

/// As many as go.
pub(crate) async fn post(muster: &Muster, report: &mut Report) {
    let posts = run(muster, None).await;
    let what = "200 devices, 16 in flight";
    let rate = Row::new(format!("durable property posts, {what}"), posts.rate, "1/s");
    report.add(rate.at_least(30_000.0));
    let cost = "CPU per durable property post, history included";
    report.add(Row::new(cost, posts.cpu_each, "us").at_most(30.0));
    let wait = "p99 from post to acknowledgement, at saturation";
    report.add(Row::new(wait, posts.p99, "ms"));
}

/// At a pace that the goal asks for; a post's time counts from when it was due.
pub(crate) async fn paced(muster: &Muster, report: &mut Report) {
    let posts = run(muster, Some(PACE)).await;
    let name = "durable property posts, 200 devices at a pace of 32,000/s";
    report.add(Row::new(name, posts.rate, "1/s").at_least(30_000.0));
    let cost = "CPU per durable property post, same pace";
    report.add(Row::new(cost, posts.cpu_each, "us").at_most(30.0));
    let wait = "p99 from post to acknowledgement, same pace";
    report.add(Row::new(wait, posts.p99, "ms").at_most(50.0));
}

struct Posts {
    rate: f64,
    cpu_each: f64,
    /// Milliseconds.
    p99: f64,
}

async fn run(muster: &Muster, pace: Option<f64>) -> Posts {
    let mut ready = Vec::new();
    for n in 0..DEVICES {
        let login = muster.login(Door::Device, n);
        let client = Client::open(muster.address(Door::Device), None, &login).await;
        let name = &muster.devices[n].name;
        let topic = format!("/sys/{}/{name}/thing/event/property/post", muster.product);
        ready.push((client, TopicName::new(topic).expect("a topic")));
    }
    settle(muster.pid()).await;
    let each = pace.map(|pace| Duration::from_secs_f64(DEVICES as f64 / pace));
    let (before, began) = (cpu(muster.pid()), Instant::now());
    let tasks = LocalSet::new();
    let running: Vec<_> = ready
        .into_iter()
        .zip(0_u32..)
        .map(|((client, topic), n)| {
            // Not all at once.
            let first = began + each.map_or(Duration::ZERO, |each| each * n / DEVICES as u32);
            tasks.spawn_local(device(client, topic, first, each, began + FLOOD))
        })
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
    Posts {
        rate,
        cpu_each: spent / times.len() as f64,
        p99: times[times.len() * 99 / 100].as_secs_f64() * 1e3,
    }
}

/// Posts until the time is up; gives back how long each acknowledgement took.
async fn device(
    mut client: Client,
    topic: TopicName,
    first: Instant,
    each: Option<Duration>,
    until: Instant,
) -> Vec<Duration> {
    let mut due = first;
    let mut sent = 0_u64;
    let mut waiting = HashMap::new();
    let mut times = Vec::new();
    loop {
        let now = Instant::now();
        while waiting.len() < IN_FLIGHT && now < until && due <= now {
            let value = f64::from((sent % 400) as u16) / 10.0;
            let payload = format!(
                "{{\"id\":\"{sent}\",\"version\":\"1.0\",\"params\":{{\"temperature\":{value}}},\
                 \"method\":\"thing.event.property.post\"}}"
            );
            let id = packet_id(sent);
            client.put_message(&topic, id, payload.as_bytes());
            waiting.insert(id, if each.is_some() { due } else { now });
            sent += 1;
            due += each.unwrap_or_default();
        }
        client.flush().await;
        if waiting.is_empty() && (now >= until || due >= until) {
            return times;
        }
        let next = tokio::select! {
            packet = client.next() => Some(packet.expect("the server stays")),
            () = sleep_until(Tick::from_std(due)), if waiting.len() < IN_FLIGHT && due < until => None,
        };
        let mut packet = next;
        while let Some(came) = packet {
            if let Packet::PubAck(ack) = came {
                let began = waiting.remove(&ack.packet_id).expect("it was sent");
                times.push(began.elapsed());
            }
            packet = client.ready();
        }
    }
}

//! A campaign over devices that are all there: how fast they are told, and what each costs.

use super::{packet_id, settle};
use crate::{
    broker::{Broker, Door, Muster, cpu},
    load::Client,
    report::{Report, Row},
};
use std::time::Instant;
use tokio::task::LocalSet;
use wire::mqtt::{Packet, TopicName};

const DEVICES: usize = 2_000;

/// From when the campaign is made to the last notice; then to the last success.
pub(crate) async fn campaign(muster: &Muster, report: &mut Report) {
    let mut clients = Vec::with_capacity(DEVICES);
    for n in 0..DEVICES {
        let login = muster.login(Door::Device, n);
        let client = Client::open(muster.address(Door::Device), None, &login).await;
        clients.push((client, muster.devices[n].name.clone()));
    }
    for (client, name) in &mut clients {
        say(client, &muster.product, name, "1.0.0").await;
    }
    let file = muster.folder().join("firmware");
    std::fs::write(&file, vec![7; 100_000]).expect("a writable folder");
    let file = file.to_str().expect("a plain path");
    let words = [
        "firmware",
        "upload",
        &muster.product,
        "2.0.0",
        file,
        "--no-verify",
    ];
    let package = muster.cli(&words)["id"].clone();
    let package = package.as_str().expect("an id");
    // The product has more devices than those that are there; the others would wait for ever.
    let words = [
        "campaign",
        "create",
        package,
        &muster.product,
        "--only-version",
        "1.0.0",
    ];
    settle(muster.pid()).await;

    let (before, began) = (cpu(muster.pid()), Instant::now());
    let tasks = LocalSet::new();
    let told: Vec<_> = clients
        .into_iter()
        .map(|(client, name)| tasks.spawn_local(told(client, name)))
        .collect();
    let made = muster.cli(&words);
    let id = made["id"].as_str().expect("an id");
    let mut clients = Vec::with_capacity(DEVICES);
    tasks
        .run_until(async {
            for one in told {
                clients.push(one.await.expect("a device that does not fail"));
            }
        })
        .await;
    let rate = DEVICES as f64 / began.elapsed().as_secs_f64();
    let spent = (cpu(muster.pid()) - before) / DEVICES as f64;
    let name = "campaign without a rate: devices told, tasks made meanwhile";
    report.add(Row::new(name, rate, "1/s"));
    report.add(Row::new("CPU per device until it is told", spent, "us"));

    for (client, name) in &mut clients {
        say(client, &muster.product, name, "2.0.0").await;
    }
    loop {
        let shown = muster.cli(&["campaign", "show", id]);
        if shown["state"] == "completed" {
            assert_eq!(shown["counts"]["succeeded"], DEVICES, "{shown}");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    settle(muster.pid()).await;
    let spent = (cpu(muster.pid()) - before) / DEVICES as f64;
    let name = "CPU per device of a campaign, all of it but the download";
    report.add(Row::new(name, spent, "us"));
}

/// Reports a version, and waits until that is taken.
async fn say(client: &mut Client, product: &str, name: &str, version: &str) {
    let topic = format!("/ota/device/inform/{product}/{name}");
    let topic = TopicName::new(topic).expect("a topic");
    let report = format!("{{\"id\":\"1\",\"params\":{{\"version\":\"{version}\"}}}}");
    client.put_message(&topic, packet_id(0), report.as_bytes());
    client.flush().await;
    loop {
        match client.next().await.expect("the server stays") {
            Packet::PubAck(_) => return,
            Packet::Publish(message) => {
                if let Some(id) = message.packet_id {
                    client.put_ack(id);
                }
            }
            _ => {}
        }
    }
}

/// Waits for the notice of an upgrade.
async fn told(mut client: Client, name: String) -> (Client, String) {
    loop {
        let packet = client.next().await.expect("the server stays");
        if let Packet::Publish(message) = packet {
            if let Some(id) = message.packet_id {
                client.put_ack(id);
                client.flush().await;
            }
            if message.topic.starts_with("/ota/device/upgrade/") {
                return (client, name);
            }
        }
    }
}

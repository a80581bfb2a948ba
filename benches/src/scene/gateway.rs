//! Sub-devices that log in through one gateway.

use super::{packet_id, settle};
use crate::{
    broker::{Broker, Door, Muster, cpu},
    load::Client,
    report::{Report, Row},
};
use credential::{
    Secret,
    alink::{Channel, SignMethod, sign},
};
use serde_json::{Value, json};
use std::{collections::HashSet, time::Instant};
use tests::mqtt::Login;
use wire::mqtt::{Packet, TopicName};

/// As many as a gateway may have (seed 001 §2).
const SUBS: usize = 1_500;
/// Requests that are under way at once.
const IN_FLIGHT: usize = 16;
/// Sub-devices in one message where there are several.
const BATCH: usize = 50;

struct Names {
    product: String,
    name: String,
    secret: String,
}

impl Names {
    fn proof(&self, channel: Channel) -> Value {
        let client_id = format!("{}.{}", self.product, self.name);
        let fields = [
            ("clientId", client_id.as_str()),
            ("deviceName", &self.name),
            ("productKey", &self.product),
        ];
        let secret = Secret::new(self.secret.as_bytes().to_vec());
        let method = SignMethod::HmacSha256;
        json!({
            "productKey": self.product, "deviceName": self.name, "clientId": client_id,
            "signMethod": "hmacSha256", "sign": sign(&secret, method, channel, &fields),
        })
    }
}

/// One by one and by fifty; the first round, which activates them, is not counted.
pub(crate) async fn gateway(muster: &Muster, report: &mut Report) {
    let product = |name: &str, node: &str| {
        let made = muster.cli(&["product", "create", name, "--node", node]);
        made["product_key"].as_str().expect("a key").to_owned()
    };
    let devices = |product: &str, many: usize| -> Vec<Names> {
        let made = muster.cli(&["device", "batch", product, "--count", &many.to_string()]);
        let list = made["devices"].as_array().expect("devices").clone();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        list.iter()
            .map(|device| Names {
                product: product.to_owned(),
                name: text(&device["device_name"]),
                secret: text(&device["device_secret"]),
            })
            .collect()
    };
    let gateway = devices(&product("bench-gateway", "gateway"), 1).remove(0);
    let subs = devices(&product("bench-sub", "subdevice"), SUBS);
    let Names { product, name, .. } = &gateway;
    let proofs = |channel| subs.iter().map(move |sub| sub.proof(channel));

    let bind: Vec<Value> = proofs(Channel::TopoAdd).collect();
    let bind = bind.chunks(BATCH).map(|some| json!(some)).collect();
    let one: Vec<Value> = proofs(Channel::SubDeviceLogin).collect();
    let many = one
        .chunks(BATCH)
        .map(|some| json!({"signMethod": "hmacSha256", "deviceList": some}));
    let many: Vec<Value> = many.collect();

    let combine = format!("/ext/session/{product}/{name}/combine");
    let mut line = open(muster, &gateway).await;
    ask(
        &mut line,
        &format!("/sys/{product}/{name}/thing/topo/add"),
        bind,
    )
    .await;
    ask(&mut line, &format!("{combine}/batch_login"), many.clone()).await;
    for (what, topic, requests) in [
        ("one by one, 16 under way", "login", one),
        ("50 in a message", "batch_login", many),
    ] {
        drop(line);
        settle(muster.pid()).await;
        line = open(muster, &gateway).await;
        settle(muster.pid()).await;
        let (before, began) = (cpu(muster.pid()), Instant::now());
        ask(&mut line, &format!("{combine}/{topic}"), requests).await;
        let took = began.elapsed().as_secs_f64();
        settle(muster.pid()).await;
        let spent = (cpu(muster.pid()) - before) / SUBS as f64;
        let name = format!("1,500 sub-devices log in through one gateway, {what}");
        report.add(Row::new(name, took, "s"));
        report.add(Row::new(
            format!("CPU per login of a sub-device, {what}"),
            spent,
            "us",
        ));
    }
}

async fn open(muster: &Muster, gateway: &Names) -> Client {
    let login = Login::signed(&gateway.product, &gateway.name, &gateway.secret, ",_ss=1");
    Client::open(muster.address(Door::Device), None, &login).await
}

/// Asks for all of them, and waits until all were granted.
async fn ask(line: &mut Client, topic: &str, requests: Vec<Value>) {
    let to = TopicName::new(topic.to_owned()).expect("a topic");
    let mut waiting = HashSet::new();
    let mut left = requests.into_iter().zip(1_u64..);
    loop {
        while waiting.len() < IN_FLIGHT
            && let Some((params, id)) = left.next()
        {
            let request = json!({"id": id.to_string(), "version": "1.0", "params": params});
            line.put_message(&to, packet_id(id), request.to_string().as_bytes());
            waiting.insert(id.to_string());
        }
        line.flush().await;
        if waiting.is_empty() {
            return;
        }
        let mut next = line.next().await;
        assert!(next.is_some(), "the server stays");
        while let Some(packet) = next {
            if let Packet::Publish(message) = packet {
                if let Some(id) = message.packet_id {
                    line.put_ack(id);
                }
                if message.topic.ends_with("_reply") {
                    let reply: Value = serde_json::from_slice(&message.payload).expect("JSON");
                    assert_eq!(reply["code"], 200, "{reply}");
                    waiting.remove(reply["id"].as_str().expect("an id"));
                }
            }
            next = line.ready();
        }
    }
}

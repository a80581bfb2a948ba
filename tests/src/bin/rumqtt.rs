//! rumqttc (its clients for 3.1.1 and 5) on the plain listener, led by a test; orders and events as
//! in `tests/clients/python/plain_paho.py`.

use serde_json::{Map, Value, json};
use std::io::{BufRead, stdin};

fn main() {
    let mut client: Option<Box<dyn Client>> = None;
    for line in stdin().lock().lines().map_while(Result::ok) {
        let order: Value = serde_json::from_str(&line).expect("an order");
        match order["do"].as_str() {
            Some("connect") if order["version"] == 5 => client = Some(five::connect(&order)),
            Some("connect") => client = Some(four::connect(&order)),
            Some(_) => client.as_mut().expect("connected").obey(&order),
            None => panic!("no order: {order}"),
        }
    }
}

trait Client {
    fn obey(&mut self, order: &Value);
}

fn tell(event: &Value) {
    println!("{event}");
}

fn text(order: &Value, name: &str) -> String {
    order[name].as_str().unwrap_or_default().to_owned()
}

fn payload(order: &Value) -> Vec<u8> {
    match order["size"].as_u64() {
        Some(size) => (0..size).map(|at| (at % 251) as u8).collect(),
        None => text(order, "text").into_bytes(),
    }
}

fn message(topic: &[u8], payload: &[u8], qos: u8, retain: bool, properties: Value) {
    let sum: u64 = payload.iter().map(|byte| u64::from(*byte)).sum();
    let head = &payload[..payload.len().min(100)];
    tell(&json!({
        "event": "message", "topic": String::from_utf8_lossy(topic), "size": payload.len(),
        "sum": sum, "text": String::from_utf8_lossy(head), "qos": qos, "retain": retain,
        "properties": properties,
    }));
}

fn host(order: &Value) -> (String, u16) {
    let port = order["port"].as_u64().expect("a port");
    (text(order, "host"), port as u16)
}

mod four {
    use super::{Map, Value, host, json, message, payload, tell, text};
    use rumqttc::{Client, Event, LastWill, MqttOptions, Outgoing, Packet, QoS};

    fn qos(order: &Value) -> QoS {
        rumqttc::qos(order["qos"].as_u64().unwrap_or_default() as u8).expect("a QoS")
    }

    pub(super) fn connect(order: &Value) -> Box<dyn super::Client> {
        let (host, port) = host(order);
        let mut options = MqttOptions::new(text(order, "client_id"), host, port);
        options.set_clean_session(order["clean"] == true);
        options.set_max_packet_size(2 << 20, 2 << 20);
        let will = &order["will"];
        if will.is_object() {
            let retain = will["retain"] == true;
            options.set_last_will(LastWill::new(
                text(will, "topic"),
                text(will, "text"),
                qos(will),
                retain,
            ));
        }
        let (client, mut connection) = Client::new(options, 2_000);
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(packet)) => told(packet),
                    Ok(Event::Outgoing(Outgoing::Disconnect)) => {
                        tell(&json!({"event": "ended"}));
                    }
                    Ok(Event::Outgoing(Outgoing::Publish(0))) => {
                        tell(&json!({"event": "published"}));
                    }
                    Ok(Event::Outgoing(_)) => {}
                    Err(error) => {
                        tell(&json!({"event": "error", "message": error.to_string()}));
                        return;
                    }
                }
            }
        });
        Box::new(Four(client))
    }

    fn told(packet: Packet) {
        match packet {
            Packet::ConnAck(verdict) => tell(&json!({
                "event": "connect", "session": verdict.session_present,
                "code": verdict.code as u8, "properties": Map::new(),
            })),
            Packet::Publish(p) => message(
                p.topic.as_bytes(),
                &p.payload,
                p.qos as u8,
                p.retain,
                json!({}),
            ),
            Packet::SubAck(ack) => {
                let granted = ack.return_codes.iter().map(|code| match code {
                    rumqttc::SubscribeReasonCode::Success(qos) => *qos as u8,
                    rumqttc::SubscribeReasonCode::Failure => 0x80,
                });
                let granted: Vec<_> = granted.collect();
                tell(&json!({"event": "subscribed", "granted": granted}));
            }
            Packet::UnsubAck(_) => tell(&json!({"event": "unsubscribed"})),
            Packet::PubAck(_) | Packet::PubComp(_) => tell(&json!({"event": "published"})),
            _ => {}
        }
    }

    struct Four(Client);

    impl super::Client for Four {
        fn obey(&mut self, order: &Value) {
            let topic = text(order, "topic");
            let done = match order["do"].as_str() {
                Some("subscribe") => self.0.subscribe(topic, qos(order)),
                Some("unsubscribe") => self.0.unsubscribe(topic),
                Some("publish") => {
                    let retain = order["retain"] == true;
                    self.0.publish(topic, qos(order), retain, payload(order))
                }
                Some("many") => (0..order["count"].as_u64().expect("a count")).try_for_each(|n| {
                    self.0
                        .publish(topic.as_str(), qos(order), false, n.to_string())
                }),
                Some("end") => self.0.disconnect(),
                other => panic!("no such order: {other:?}"),
            };
            done.expect("the client takes it");
        }
    }
}

mod five {
    use super::{Value, host, json, message, payload, tell, text};
    use rumqttc::Outgoing;
    use rumqttc::v5::mqttbytes::v5::{
        ConnectProperties, Filter, LastWill, LastWillProperties, Packet, PublishProperties,
        RetainForwardRule, SubscribeProperties,
    };
    use rumqttc::v5::mqttbytes::{QoS, qos as level};
    use rumqttc::v5::{Client, Event, MqttOptions};

    fn qos(order: &Value) -> QoS {
        level(order["qos"].as_u64().unwrap_or_default() as u8).expect("a QoS")
    }

    pub(super) fn connect(order: &Value) -> Box<dyn super::Client> {
        let (host, port) = host(order);
        let mut options = MqttOptions::new(text(order, "client_id"), host, port);
        options.set_clean_start(order["clean"] == true);
        let mut properties = ConnectProperties::new();
        properties.session_expiry_interval = order["expiry"].as_u64().map(|s| s as u32);
        properties.max_packet_size = Some(2 << 20);
        options.set_connect_properties(properties);
        let will = &order["will"];
        if will.is_object() {
            let retain = will["retain"] == true;
            let delay = will["properties"]["delay"].as_u64().map(|s| s as u32);
            let properties = LastWillProperties {
                delay_interval: delay,
                payload_format_indicator: None,
                message_expiry_interval: None,
                content_type: will["properties"]["content_type"]
                    .as_str()
                    .map(str::to_owned),
                response_topic: None,
                correlation_data: None,
                user_properties: vec![],
            };
            options.set_last_will(LastWill::new(
                text(will, "topic"),
                text(will, "text"),
                qos(will),
                retain,
                Some(properties),
            ));
        }
        let (client, mut connection) = Client::new(options, 2_000);
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(packet)) => told(packet),
                    Ok(Event::Outgoing(Outgoing::Disconnect)) => {
                        tell(&json!({"event": "ended"}));
                    }
                    Ok(Event::Outgoing(Outgoing::Publish(0))) => {
                        tell(&json!({"event": "published"}));
                    }
                    Ok(Event::Outgoing(_)) => {}
                    Err(error) => {
                        tell(&json!({"event": "error", "message": error.to_string()}));
                        return;
                    }
                }
            }
        });
        Box::new(Five(client))
    }

    fn told(packet: Packet) {
        match packet {
            Packet::ConnAck(verdict) => {
                let assigned = verdict
                    .properties
                    .and_then(|p| p.assigned_client_identifier);
                tell(&json!({
                    "event": "connect", "session": verdict.session_present,
                    "code": verdict.code as u8, "properties": {"assigned": assigned},
                }));
            }
            Packet::Publish(p) => {
                let properties = p.properties.map_or(json!({}), |p| {
                    json!({
                        "content_type": p.content_type,
                        "response_topic": p.response_topic,
                        "correlation": p.correlation_data
                            .map(|data| String::from_utf8_lossy(&data).into_owned()),
                        "expiry": p.message_expiry_interval,
                        "format": p.payload_format_indicator,
                        "user": p.user_properties,
                        "ids": p.subscription_identifiers,
                    })
                });
                message(&p.topic, &p.payload, p.qos as u8, p.retain, properties);
            }
            Packet::SubAck(ack) => {
                use rumqttc::v5::mqttbytes::v5::SubscribeReasonCode as Code;
                let granted = ack.return_codes.iter().map(|code| match code {
                    Code::Success(qos) => *qos as u8,
                    Code::NotAuthorized => 0x87,
                    _ => 0x80,
                });
                let granted: Vec<_> = granted.collect();
                tell(&json!({"event": "subscribed", "granted": granted}));
            }
            Packet::UnsubAck(_) => tell(&json!({"event": "unsubscribed"})),
            Packet::PubAck(_) | Packet::PubComp(_) => tell(&json!({"event": "published"})),
            _ => {}
        }
    }

    struct Five(Client);

    impl super::Client for Five {
        fn obey(&mut self, order: &Value) {
            let topic = text(order, "topic");
            let done = match order["do"].as_str() {
                Some("subscribe") => {
                    let filter = Filter {
                        path: topic,
                        qos: qos(order),
                        nolocal: order["no_local"] == true,
                        preserve_retain: order["as_published"] == true,
                        retain_forward_rule: match order["handling"].as_u64() {
                            None | Some(0) => RetainForwardRule::OnEverySubscribe,
                            Some(1) => RetainForwardRule::OnNewSubscribe,
                            Some(_) => RetainForwardRule::Never,
                        },
                    };
                    let properties = SubscribeProperties {
                        id: order["id"].as_u64().map(|id| id as usize),
                        user_properties: vec![],
                    };
                    let filters = [filter];
                    brief(self.0.subscribe_many_with_properties(filters, properties))
                }
                Some("unsubscribe") => brief(self.0.unsubscribe(topic)),
                Some("publish") => self.publish(order, topic),
                Some("many") => (0..order["count"].as_u64().expect("a count")).try_for_each(|n| {
                    let payload = n.to_string();
                    brief(self.0.publish(topic.as_str(), qos(order), false, payload))
                }),
                Some("end") => brief(self.0.disconnect()),
                other => panic!("no such order: {other:?}"),
            };
            done.expect("the client takes it");
        }
    }

    impl Five {
        fn publish(&self, order: &Value, topic: String) -> Result<(), String> {
            let retain = order["retain"] == true;
            let told = &order["properties"];
            let string = |name: &str| told[name].as_str().map(str::to_owned);
            let pairs = told["user"].as_array().cloned().unwrap_or_default();
            let pair = |pair: &Value| {
                let side = |at: usize| pair[at].as_str().unwrap_or_default().to_owned();
                (side(0), side(1))
            };
            let properties = PublishProperties {
                payload_format_indicator: told["format"].as_u64().map(|it| it as u8),
                message_expiry_interval: told["expiry"].as_u64().map(|it| it as u32),
                topic_alias: told["alias"].as_u64().map(|it| it as u16),
                response_topic: string("response_topic"),
                correlation_data: string("correlation").map(Into::into),
                user_properties: pairs.iter().map(pair).collect(),
                subscription_identifiers: vec![],
                content_type: string("content_type"),
            };
            let (level, payload) = (qos(order), payload(order));
            brief(
                self.0
                    .publish_with_properties(topic, level, retain, payload, properties),
            )
        }
    }

    /// The client's own error is large.
    fn brief(done: Result<(), rumqttc::v5::ClientError>) -> Result<(), String> {
        done.map_err(|error| error.to_string())
    }
}

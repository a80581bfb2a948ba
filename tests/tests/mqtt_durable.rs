//! MQTT sessions and retained messages outlive `kill -9`: the server is killed between the steps of
//! each conversation, and the client finds everything as it left it.

use serde_json::json;
use tests::{
    Server,
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::{
    Ack, Packet, PacketId, Publish, QoS, ReasonCode, Subscribe, SubscribeFilter, SubscribeOptions,
    TopicFilter, TopicName, Version,
};

fn server() -> Server {
    Server::start_with(&["listen.plain.off=false", "listen.plain.anonymous=true"])
}

fn id(number: u16) -> PacketId {
    PacketId::new(number).unwrap()
}

/// Connects to a session that is kept; tells whether it was there.
fn join(server: &Server, name: &str) -> (Mqtt, bool) {
    open(server, name, false)
}

fn open(server: &Server, name: &str, clean: bool) -> (Mqtt, bool) {
    let mut client = Mqtt::open(server.address("plain"), None, Version::V311);
    let login = Login {
        client_id: name.to_owned(),
        user: String::new(),
        password: String::new(),
    };
    let connack = client.connect(&login, clean, 0);
    assert_eq!(connack.reason, ReasonCode::Success);
    (client, connack.session_present)
}

fn restart(server: &mut Server) {
    server.kill();
    server.resume();
}

fn subscribe(client: &mut Mqtt, filter: &str, qos: QoS) {
    client.send(&Packet::Subscribe(Subscribe {
        packet_id: id(999),
        filters: vec![SubscribeFilter {
            filter: TopicFilter::new(filter.to_owned()).unwrap(),
            options: SubscribeOptions::at(qos),
        }],
        properties: Default::default(),
    }));
    client.wait("SUBACK", |packet| matches!(packet, Packet::SubAck(_)));
}

fn publish(number: u16, text: &str, qos: QoS, dup: bool, retain: bool) -> Packet {
    let topic = TopicName::new("t/x".to_owned()).unwrap();
    let mut publish = Publish::new(topic, text.to_owned());
    (publish.qos, publish.dup, publish.retain) = (qos, dup, retain);
    publish.packet_id = Some(id(number));
    Packet::Publish(publish)
}

fn send_qos_2(client: &mut Mqtt, number: u16, text: &str) {
    client.send(&publish(number, text, QoS::ExactlyOnce, false, false));
    client.wait(
        "PUBREC",
        |it| matches!(it, Packet::PubRec(ack) if ack.packet_id == id(number)),
    );
    client.send(&Packet::PubRel(ack(number)));
    client.wait(
        "PUBCOMP",
        |it| matches!(it, Packet::PubComp(ack) if ack.packet_id == id(number)),
    );
}

fn ack(number: u16) -> Ack {
    Ack::new(id(number), ReasonCode::Success)
}

/// The next PUBLISH: identifier, text, DUP.
fn received(client: &mut Mqtt) -> (u16, String, bool) {
    match client.wait("PUBLISH", |it| matches!(it, Packet::Publish(_))) {
        Packet::Publish(it) => {
            let text = String::from_utf8(it.payload.to_vec()).unwrap();
            (it.packet_id.map_or(0, PacketId::get), text, it.dup)
        }
        _ => unreachable!("it was asked for"),
    }
}

/// [MQTT-3.1.2-4] [MQTT-4.1.0-1] Subscriptions and what was published meanwhile at QoS 1 and 2 are
/// there after a kill, in their order [MQTT-4.6.0-6].
#[test]
fn subscriptions_and_queues_outlive_a_kill() {
    let mut server = server();
    let (mut reader, present) = join(&server, "reader");
    assert!(!present);
    subscribe(&mut reader, "t/+", QoS::ExactlyOnce);
    drop(reader);
    restart(&mut server);

    let (mut writer, _) = open(&server, "writer", true);
    for number in 1..=20_u16 {
        let text = number.to_string();
        if number % 2 == 0 {
            send_qos_2(&mut writer, number, &text);
        } else {
            writer.publish_acknowledged("t/x", text.as_bytes());
        }
    }
    restart(&mut server);
    restart(&mut server);

    let (mut reader, present) = join(&server, "reader");
    assert!(present);
    for number in 1..=20_u16 {
        let (packet, text, dup) = received(&mut reader);
        assert_eq!(
            (text, dup),
            (number.to_string(), false),
            "it was never sent before"
        );
        if number % 2 == 0 {
            reader.send(&Packet::PubRec(ack(packet)));
            reader.wait("PUBREL", |it| matches!(it, Packet::PubRel(_)));
            reader.send(&Packet::PubComp(ack(packet)));
        } else {
            reader.send(&Packet::PubAck(ack(packet)));
        }
    }
    assert!(!reader.has_message("t/x"));
    reader.unsubscribe("t/+");
    restart(&mut server);
    let (mut writer, _) = open(&server, "writer", true);
    writer.publish_acknowledged("t/x", b"late");
    let (mut reader, present) = join(&server, "reader");
    assert!(present);
    // What was answered just before the kill may come again, at QoS 1 alone; nothing else does.
    reader.ping();
    drop(reader);
    // A session that was thrown away stays so.
    drop(open(&server, "reader", true));
    restart(&mut server);
    assert!(!join(&server, "reader").1);
}

/// [AL-3.12] A message of an application to a device that is away waits on disk when the call is
/// answered, however soon after that the server is killed.
#[test]
fn what_an_application_was_told_is_taken_outlives_a_kill() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "attic");
    let topic = format!("/{product}/attic/user/get");
    let arrive = |server: &Server| {
        let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
        let login = Login::signed(&product, "attic", &secret, "");
        let connack = device.connect(&login, false, 600);
        assert_eq!(connack.reason, ReasonCode::Success);
        (device, connack.session_present)
    };
    let (mut device, _) = arrive(&server);
    subscribe(&mut device, &topic, QoS::AtLeastOnce);
    drop(device);
    for (said, coded) in [("1", "MQ=="), ("2", "Mg=="), ("3", "Mw=="), ("4", "NA==")] {
        let mut app = server.app(App::Core, false);
        let answer = app.call(
            "Pub",
            &json!({
                "ProductKey": product, "TopicFullName": topic, "Qos": 1,
                "MessageContent": coded,
            }),
        );
        server.kill();
        assert_eq!(answer["Success"], true, "{answer}");
        server.resume();
        let (mut device, present) = arrive(&server);
        assert!(present);
        let (packet, text, _) = received(&mut device);
        assert_eq!(text, said);
        device.send(&Packet::PubAck(ack(packet)));
        device.ping();
    }
}

/// [MQTT-4.3.3-2] A QoS 2 message of a client is delivered once, wherever the server is killed.
#[test]
fn a_client_sends_at_qos_2_through_kills() {
    let mut server = server();
    let (mut reader, _) = join(&server, "reader");
    subscribe(&mut reader, "t/x", QoS::AtLeastOnce);
    drop(reader);
    let (mut writer, _) = join(&server, "writer");
    writer.send(&publish(7, "one", QoS::ExactlyOnce, false, false));
    writer.wait("PUBREC", |it| matches!(it, Packet::PubRec(_)));
    restart(&mut server);

    let (mut writer, present) = join(&server, "writer");
    assert!(present);
    writer.send(&publish(7, "one", QoS::ExactlyOnce, true, false));
    writer.wait("PUBREC", |it| matches!(it, Packet::PubRec(_)));
    writer.send(&Packet::PubRel(ack(7)));
    writer.wait("PUBCOMP", |it| matches!(it, Packet::PubComp(_)));
    restart(&mut server);

    // The identifier is free: another message may have it.
    let (mut writer, _) = join(&server, "writer");
    writer.send(&Packet::PubRel(ack(7)));
    writer.wait("PUBCOMP", |it| matches!(it, Packet::PubComp(_)));
    send_qos_2(&mut writer, 7, "two");
    restart(&mut server);

    let (mut reader, _) = join(&server, "reader");
    for expected in ["one", "two"] {
        let (packet, text, _) = received(&mut reader);
        assert_eq!(text, expected);
        reader.send(&Packet::PubAck(ack(packet)));
    }
    assert!(!reader.has_message("t/x"));
}

/// [MQTT-4.3.3-1] A QoS 2 message to a client keeps its identifier and comes once, wherever the
/// server is killed [MQTT-4.4.0-1].
#[test]
fn a_client_receives_at_qos_2_through_kills() {
    let mut server = server();
    let (mut reader, _) = join(&server, "reader");
    subscribe(&mut reader, "t/x", QoS::ExactlyOnce);
    let (mut writer, _) = open(&server, "writer", true);
    send_qos_2(&mut writer, 1, "one");
    let (number, text, dup) = received(&mut reader);
    assert_eq!((&*text, dup), ("one", false));
    restart(&mut server);

    let (mut reader, present) = join(&server, "reader");
    assert!(present);
    assert_eq!(received(&mut reader), (number, "one".to_owned(), true));
    reader.send(&Packet::PubRec(ack(number)));
    reader.wait("PUBREL", |it| matches!(it, Packet::PubRel(_)));
    restart(&mut server);

    let (mut reader, _) = join(&server, "reader");
    reader.wait(
        "PUBREL",
        |it| matches!(it, Packet::PubRel(ack) if ack.packet_id == id(number)),
    );
    assert!(!reader.has_message("t/x"));
    reader.send(&Packet::PubComp(ack(number)));
    reader.ping();
    restart(&mut server);
    let (mut reader, _) = join(&server, "reader");
    assert!(!reader.has_message("t/x"));
}

/// [MQTT-3.3.1-5] A retained message is there after a kill, and so is its removal.
#[test]
fn retained_messages_outlive_a_kill() {
    let mut server = server();
    let (mut writer, _) = open(&server, "writer", true);
    for text in ["old", "kept"] {
        writer.send(&publish(1, text, QoS::AtLeastOnce, false, true));
        writer.wait("PUBACK", |it| matches!(it, Packet::PubAck(_)));
    }
    restart(&mut server);
    let (mut reader, _) = open(&server, "reader", true);
    subscribe(&mut reader, "t/#", QoS::AtLeastOnce);
    assert_eq!(received(&mut reader).1, "kept");
    let (mut writer, _) = open(&server, "writer", true);
    writer.send(&publish(1, "", QoS::AtLeastOnce, false, true));
    writer.wait("PUBACK", |it| matches!(it, Packet::PubAck(_)));
    restart(&mut server);
    let (mut reader, _) = open(&server, "reader", true);
    subscribe(&mut reader, "t/#", QoS::AtLeastOnce);
    assert!(!reader.has_message("t/x"));
}

//! Sub-devices on their gateway's connection.

use crate::{Sub, Yard, request};
use serde_json::{Value, json};
use tests::mqtt::{Login, Mqtt};
use wire::mqtt::{ReasonCode, Version};

/// [AL-6.2] A sub-device logs in over its gateway, posts, is set and called, and logs out.
/// Document: [001 6.4] [001 6.5].
#[test]
fn a_sub_device_lives_on_its_gateways_connection() {
    let yard = Yard::open();
    let (mut gateway, subs) = yard.set("gate", &["one1"]);
    let sub = &subs[0];
    yard.becomes(sub, "ONLINE");
    let topic = sub.topic("/thing/event/property/post");
    let reply = gateway.ask_on(&topic, &json!({"temperature": 21.5}));
    assert_eq!(reply["code"], 200, "{reply}");
    assert_eq!(yard.temperature(sub), "21.5");
    assert_eq!(
        yard.temperature(&gateway.names),
        "",
        "it is not the gateway's"
    );

    // Set while it is there.
    let told = yard.call("SetDeviceProperty", sub, &[("Items", "{\"target\":30}")]);
    let beginning = sub.topic("/thing/service/property/set");
    let (_, order) = request(&mut gateway.line, &beginning);
    assert_eq!(order["id"], told["Data"]["MessageId"]);
    let answer = json!({"id": order["id"], "code": 200, "data": {}});
    gateway
        .line
        .publish_acknowledged(&format!("{beginning}_reply"), answer.to_string().as_bytes());

    // Away, it gets nothing, and what waits comes at its next login.
    let reply = gateway.combine("logout", &sub.names());
    assert_eq!(
        (&reply["code"], &reply["data"]),
        (&json!(200), &sub.names())
    );
    yard.becomes(sub, "OFFLINE");
    yard.call("SetDeviceProperty", sub, &[("Items", "{\"target\":31}")]);
    assert!(!gateway.line.has_message(&beginning));
    gateway.login(sub);
    let (_, order) = request(&mut gateway.line, &beginning);
    assert_eq!(order["params"], json!({"target": 31}));
}

/// [AL-6.2] [AL-3.11] Calls of a sub-device go over its gateway's connection, on the sub-device's own
/// topic and on topics without names, and are answered there; what is said to all devices of its
/// product reaches it there too.
#[test]
fn a_sub_device_is_called_over_its_gateway() {
    let yard = Yard::open();
    let (mut gateway, subs) = yard.set("gate", &["one1"]);
    let sub = &subs[0];
    assert!(!gateway.line.subscribe("/ext/rrpc/+/a/b").is_error());
    for (topic, beginning) in [
        ("", sub.topic("/rrpc/request/")),
        ("/a/b", "/ext/rrpc/".to_owned()),
    ] {
        let call = [
            ("ProductKey", sub.product.as_str()),
            ("DeviceName", sub.name.as_str()),
            ("RequestBase64Byte", "eyJhIjoxfQ=="),
            ("Timeout", "8000"),
            ("Topic", topic),
        ];
        let call = if topic.is_empty() { &call[..4] } else { &call };
        let told = std::thread::scope(|scope| {
            let told = scope.spawn(|| yard.told("RRpc", call));
            let (rest, asked) = request(&mut gateway.line, &beginning);
            assert_eq!(asked, json!({"a": 1}));
            let answer = match topic {
                "" => sub.topic(&format!("/rrpc/response/{rest}")),
                _ => format!("/ext/rrpc/{rest}"),
            };
            gateway.line.publish_acknowledged(&answer, b"{\"b\":2}");
            told.join().expect("a call")
        });
        assert_eq!(told["RrpcCode"], "SUCCESS", "{topic}: {told}");
        assert_eq!(told["PayloadBase64Byte"], "eyJiIjoyfQ==");
    }

    let topic = format!("/broadcast/{}/news", sub.product);
    assert!(!gateway.line.subscribe(&topic).is_error());
    let mut other = yard.gateway("gate2");
    assert!(other.line.subscribe(&topic).is_error(), "none of its own");
    let say = || {
        let told = yard.told(
            "PubBroadcast",
            &[
                ("ProductKey", sub.product.as_str()),
                ("TopicFullName", topic.as_str()),
                ("MessageContent", "aGVsbG8="),
            ],
        );
        assert_eq!(told["Success"], true, "{told}");
    };
    say();
    assert_eq!(gateway.line.message(&topic), b"hello");
    let reply = gateway.combine("logout", &sub.names());
    assert_eq!(reply["code"], 200, "{reply}");
    say();
    // What is said to the gateway afterwards takes the same way: with it the other would be here.
    let own = format!("/{}/gate/user/get", yard.gateways);
    assert!(!gateway.line.subscribe(&own).is_error());
    let more = [
        ("TopicFullName", own.as_str()),
        ("MessageContent", "bGF0ZXI="),
        ("Qos", "1"),
    ];
    yard.call("Pub", &gateway.names, &more);
    assert_eq!(gateway.line.message(&own), b"later");
    assert!(!gateway.line.has_message(&topic), "nobody is there for it");
}

/// [AL-5.1] What a gateway hears when a login or logout is refused: 460, 6287, 6401, 6100, 521,
/// 522, 429, 520.
/// Document: [001 5-1] [001 5-2] [001 6.4].
#[test]
fn refused_logins_have_the_codes_of_the_document() {
    let yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let (sub, unbound, deleted) = (yard.sub("one1"), yard.sub("two2"), yard.sub("gone"));
    gateway.bind(&sub);
    gateway.bind(&deleted);
    yard.call("DeleteDevice", &deleted, &[]);
    let mut forged = sub.login();
    forged["sign"] = "00".into();
    let nobody = Sub {
        name: "nobody".into(),
        ..sub.clone()
    };
    for (params, code, words) in [
        (json!({}), 460, "request parameter error"),
        (json!("x"), 460, "request parameter error"),
        (unbound.login(), 6401, "topo relation not exist"),
        (nobody.login(), 6100, "device not found"),
        (deleted.login(), 521, "device deleted"),
        (forged, 6287, "invalid sign"),
    ] {
        let reply = gateway.combine("login", &params);
        assert_eq!(reply["code"], code, "{params}: {reply}");
        let message = reply["message"].as_str().expect("words");
        assert!(message.starts_with(words), "{reply}");
    }
    yard.call("DisableThing", &sub, &[]);
    let reply = gateway.combine("login", &sub.login());
    assert_eq!(
        (&reply["code"], &reply["message"], &reply["data"]),
        (&json!(522), &json!("device forbidden"), &sub.names())
    );
    yard.call("EnableThing", &sub, &[]);
    for _ in 0..3 {
        gateway.login(&sub);
    }
    let reply = gateway.combine("login", &sub.login());
    assert_eq!(reply["code"], 429, "{reply}");
    for (params, code) in [
        (json!({}), 460),
        (unbound.names(), 520),
        (nobody.names(), 520),
    ] {
        let reply = gateway.combine("logout", &params);
        assert_eq!(reply["code"], code, "{params}: {reply}");
    }
}

/// [AL-5.1] 428: no more sub-devices online than a gateway may have.
/// Document: [001 5-1] [001 6.4].
#[test]
fn a_full_gateway_takes_no_more() {
    let yard = Yard::open_with(&["limits.sub_devices=2"]);
    let (mut gateway, subs) = yard.set("gate", &["one1", "two2"]);
    let third = yard.sub("three");
    let reply = gateway.ask("/thing/topo/add", &json!([third.binding()]));
    assert_eq!(
        (&reply["code"], &reply["message"]),
        (&json!(428), &json!("too many subdevices under gateway"))
    );
    let reply = gateway.combine("batch_logout", &json!([subs[0].names(), subs[1].names()]));
    assert_eq!(reply["code"], 200, "{reply}");
}

/// [AL-6.2] Several at once, all or none.
#[test]
fn sub_devices_log_in_and_out_together() {
    let yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let subs: Vec<_> = ["one1", "two2", "three"].map(|name| yard.sub(name)).into();
    for sub in &subs[..2] {
        gateway.bind(sub);
    }
    let list = |subs: &[Sub]| -> Value {
        let logins: Vec<_> = subs.iter().map(Sub::login).collect();
        json!({"signMethod": "hmacSha256", "deviceList": logins})
    };
    let reply = gateway.combine("batch_login", &list(&subs));
    assert_eq!(
        (&reply["code"], &reply["data"]),
        (&json!(6401), &subs[2].names())
    );
    assert_eq!(yard.status(&subs[0]), "UNACTIVE");
    let reply = gateway.combine("batch_login", &list(&subs[..2]));
    let both = json!([subs[0].names(), subs[1].names()]);
    assert_eq!((&reply["code"], &reply["data"]), (&json!(200), &both));
    for sub in &subs[..2] {
        yard.becomes(sub, "ONLINE");
    }
    let reply = gateway.combine("batch_logout", &both);
    assert_eq!((&reply["code"], &reply["data"]), (&json!(200), &both));
    for sub in &subs[..2] {
        yard.becomes(sub, "OFFLINE");
    }
}

/// [AL-5.1] Sent off while online: 522, 521, 427 and 6401 on the gateway's error topic, and what
/// it says afterwards is 520.
/// Document: [001 5-3] [001 5-4] [001 6.8].
#[test]
fn sub_devices_are_sent_off() {
    let yard = Yard::open();
    let (mut gateway, subs) = yard.set("gate", &["one1", "two2", "three", "four"]);
    let expect = |gateway: &mut crate::Gateway, sub: &Sub, code: u32| {
        let error = gateway.error();
        assert_eq!(
            (&error["code"], &error["data"]),
            (&json!(code), &sub.names()),
            "{error}"
        );
        assert!(error["id"].is_string() && error["message"].is_string());
        // It is not heard any more.
        let topic = sub.topic("/thing/event/property/post");
        let post = json!({"id": "77", "params": {"temperature": 1}});
        gateway
            .line
            .publish_acknowledged(&topic, post.to_string().as_bytes());
        let error = gateway.error();
        assert_eq!(
            (&error["code"], &error["id"], &error["data"]),
            (&json!(520), &json!("77"), &sub.names())
        );
    };
    yard.call("DisableThing", &subs[0], &[]);
    expect(&mut gateway, &subs[0], 522);
    assert_eq!(
        gateway.change(),
        json!({"status": 8, "subList": [subs[0].names()]})
    );
    gateway.line.message(&subs[0].topic("/thing/disable"));
    yard.becomes(&subs[0], "DISABLE");
    yard.call("EnableThing", &subs[0], &[]);
    assert_eq!(
        gateway.change(),
        json!({"status": 2, "subList": [subs[0].names()]})
    );
    gateway.line.message(&subs[0].topic("/thing/enable"));
    yard.call("DeleteDevice", &subs[1], &[]);
    expect(&mut gateway, &subs[1], 521);
    assert_eq!(
        gateway.change(),
        json!({"status": 1, "subList": [subs[1].names()]})
    );
    gateway.line.message(&subs[1].topic("/thing/delete"));

    // It connects by itself.
    let mut direct = Mqtt::open(yard.server.address("mqtt"), None, Version::V311);
    let login = Login::signed(&subs[2].product, &subs[2].name, &subs[2].secret, "");
    assert_eq!(
        direct.connect(&login, true, 600).reason,
        ReasonCode::Success
    );
    expect(&mut gateway, &subs[2], 427);
    yard.becomes(&subs[2], "ONLINE");

    // Another gateway binds it.
    let mut other = yard.gateway("gate2");
    other.bind(&subs[3]);
    expect(&mut gateway, &subs[3], 6401);
    assert_eq!(
        gateway.change(),
        json!({"status": 1, "subList": [subs[3].names()]})
    );
    other.login(&subs[3]);
    yard.becomes(&subs[3], "ONLINE");
    let topic = subs[3].topic("/thing/event/property/post");
    let reply = other.ask_on(&topic, &json!({"temperature": 3}));
    assert_eq!(reply["code"], 200, "{reply}");
    assert_eq!(yard.temperature(&subs[3]), "3");
}

/// [AL-6.2] [AL-3.12] A sub-device's topics belong to its gateway's connection while it is logged
/// in, and to nobody else's: neither to another gateway's nor to a plain device's.
#[test]
fn topics_of_a_sub_device_belong_to_its_gateway() {
    let yard = Yard::open();
    let mut gateway = yard.gateway("gate");
    let sub = yard.sub("one1");
    gateway.bind(&sub);
    let set = sub.topic("/thing/service/property/set");
    assert!(gateway.line.subscribe(&set).is_error(), "not logged in");
    gateway.login(&sub);
    assert!(!gateway.line.subscribe(&set).is_error());
    let get = format!("/{}/{}/user/get", sub.product, sub.name);
    assert!(!gateway.line.subscribe(&get).is_error());
    let mut other = yard.gateway("gate2");
    let mut plain = yard.connect(yard.sub("plain"), "");
    for line in [&mut other.line, &mut plain.line] {
        assert!(line.subscribe(&set).is_error());
        assert!(line.subscribe(&get).is_error());
    }
    let topic = sub.topic("/thing/event/property/post");
    let post = json!({"id": "5", "params": {"temperature": 1}}).to_string();
    other.line.publish_acknowledged(&topic, post.as_bytes());
    assert_eq!(other.error()["code"], 520);
    plain.line.publish_acknowledged(&topic, post.as_bytes());
    plain.line.ping();
    assert_eq!(yard.temperature(&sub), "");

    // A message on a topic of the product's own comes over the gateway.
    yard.call(
        "Pub",
        &sub,
        &[
            ("TopicFullName", get.as_str()),
            ("MessageContent", "aGVsbG8="),
            ("Qos", "1"),
        ],
    );
    assert_eq!(gateway.line.message(&get), b"hello");
    let up = format!("/{}/{}/user/update", sub.product, sub.name);
    gateway.line.publish_acknowledged(&up, b"up");
    other.line.publish_acknowledged(&up, b"up");
    assert_eq!(other.error()["code"], 520);
    assert!(
        !gateway
            .line
            .has_message(&format!("/ext/error/{}/gate", yard.gateways))
    );
}

/// [AL-6.2] A gateway without implicit subscriptions subscribes for its sub-device after its login,
/// as the JavaScript SDK does, and what waited comes then.
#[test]
fn a_gateway_may_subscribe_for_its_sub_device() {
    let yard = Yard::open();
    let names = Sub {
        product: yard.gateways.clone(),
        name: "gate".into(),
        secret: yard.server.device(&yard.gateways, "gate"),
    };
    let mut gateway = yard.connect(names, "");
    let topic = gateway.names.topic("/thing/topo/add_reply");
    assert!(!gateway.line.subscribe(&topic).is_error());
    let session = format!("/ext/session/{}/gate/combine/login_reply", yard.gateways);
    assert!(!gateway.line.subscribe(&session).is_error());
    let sub = yard.sub("one1");
    gateway.bind(&sub);
    yard.call("SetDeviceProperty", &sub, &[("Items", "{\"target\":29}")]);
    gateway.login(&sub);
    let set = sub.topic("/thing/service/property/set");
    assert!(!gateway.line.has_message(&set), "nobody listens");
    assert!(!gateway.line.subscribe(&set).is_error());
    let (_, order) = request(&mut gateway.line, &set);
    assert_eq!(order["params"], json!({"target": 29}));
}

/// [AL-6.2] When the gateway's connection ends its sub-devices are offline, once each; with a new
/// connection they log in anew.
#[test]
fn a_gateway_that_drops_takes_its_sub_devices_along() {
    let yard = Yard::open();
    let (gateway, subs) = yard.set("gate", &["one1", "two2"]);
    let names = gateway.names.clone();
    drop(gateway);
    for sub in &subs {
        yard.becomes(sub, "OFFLINE");
    }
    yard.becomes(&names, "OFFLINE");
    let mut gateway = yard.connect(names.clone(), ",_ss=1");
    let topic = subs[0].topic("/thing/event/property/post");
    let post = json!({"id": "5", "params": {"temperature": 1}}).to_string();
    gateway.line.publish_acknowledged(&topic, post.as_bytes());
    assert_eq!(gateway.error()["code"], 520);
    gateway.login(&subs[0]);
    // It takes over from itself: the sub-devices of the former connection are gone with it.
    let mut second = yard.connect(names, ",_ss=1");
    gateway.line.closed();
    yard.becomes(&subs[0], "OFFLINE");
    second.login(&subs[0]);
    yard.becomes(&subs[0], "ONLINE");
}

/// [AL-6.2] What comes at QoS 1 for a sub-device that is away, or that has not acknowledged it, comes
/// at its next login that wants it, in order and once, whatever was killed meanwhile; a login with a
/// clean session drops it.
/// Document: [001 6.4].
#[test]
fn messages_wait_for_a_sub_device() {
    let mut yard = Yard::open();
    let (mut gateway, subs) = yard.set("gate", &["one1"]);
    let (sub, names) = (&subs[0], gateway.names.clone());
    let get = format!("/{}/one1/user/get", sub.product);
    let say = |yard: &Yard, words: &str| {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let content = STANDARD.encode(words);
        let more = [
            ("TopicFullName", get.as_str()),
            ("MessageContent", content.as_str()),
            ("Qos", "1"),
        ];
        yard.call("Pub", sub, &more);
    };
    let login = |gateway: &mut crate::Gateway, clean: &str| {
        let mut login = sub.login();
        login["cleanSession"] = clean.into();
        let reply = gateway.combine("login", &login);
        assert_eq!(reply["code"], 200, "{reply}");
    };
    let leave = |gateway: crate::Gateway, yard: &Yard| {
        drop(gateway);
        yard.becomes(&names, "OFFLINE");
    };
    leave(gateway, &yard);
    for words in ["one", "two", "two"] {
        say(&yard, words);
    }
    yard.server.kill();
    yard.server.resume();
    say(&yard, "three");
    gateway = yard.connect(names.clone(), ",_ss=1");
    login(&mut gateway, "false");
    assert!(!gateway.line.has_message(&get), "nobody listens");
    assert!(!gateway.line.subscribe(&get).is_error());
    for words in ["one", "two", "two"] {
        assert_eq!(gateway.line.message(&get), words.as_bytes());
    }
    // The gateway has the fourth, and has not said so; neither of those that come while it is there.
    gateway.line.wait(
        "a message",
        |p| matches!(p, wire::mqtt::Packet::Publish(p) if &p.payload[..] == b"three"),
    );
    say(&yard, "four");
    gateway.line.wait(
        "a message",
        |p| matches!(p, wire::mqtt::Packet::Publish(p) if &p.payload[..] == b"four"),
    );
    yard.server.kill();
    yard.server.resume();
    gateway = yard.connect(names.clone(), ",_ss=1");
    login(&mut gateway, "false");
    assert!(!gateway.line.subscribe(&get).is_error());
    for words in ["three", "four"] {
        assert_eq!(gateway.line.message(&get), words.as_bytes());
    }
    gateway.line.ping();
    leave(gateway, &yard);
    gateway = yard.connect(names.clone(), ",_ss=1");
    login(&mut gateway, "false");
    assert!(!gateway.line.subscribe(&get).is_error());
    assert!(!gateway.line.has_message(&get), "it has them all");
    leave(gateway, &yard);
    say(&yard, "five");
    gateway = yard.connect(names.clone(), ",_ss=1");
    login(&mut gateway, "true");
    assert!(!gateway.line.subscribe(&get).is_error());
    say(&yard, "six");
    assert_eq!(gateway.line.message(&get), b"six", "the fifth is dropped");
}

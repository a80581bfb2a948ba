//! Alink messages of careless and of ill-willed devices (spec/alink-wire.md §6.1): each gets an
//! answer or is passed over, and none ends the connection.

use crate::House;
use serde_json::Value;
use tests::mqtt::{Login, Mqtt};
use wire::mqtt::{ReasonCode, Version};

struct Device {
    line: Mqtt,
    login: Login,
    own: String,
}

impl Device {
    fn open(house: &House) -> Self {
        let secret = house.server.device(&house.product, "kitchen");
        let login = Login::signed(&house.product, "kitchen", &secret, ",_ss=1");
        Self {
            line: connect(house, &login),
            login,
            own: format!("/sys/{}/kitchen", house.product),
        }
    }

    /// The reply to a post, as text.
    fn post(&mut self, payload: &[u8]) -> String {
        let topic = format!("{}/thing/event/property/post", self.own);
        self.line.publish_acknowledged(&topic, payload);
        let reply = self.line.message(&format!("{topic}_reply"));
        String::from_utf8(reply).expect("text")
    }

    /// The post is acknowledged and has no reply.
    fn no_reply(&mut self, what: &str, payload: &[u8]) {
        let topic = format!("{}/thing/event/property/post", self.own);
        self.line.publish_acknowledged(&topic, payload);
        let reply = format!("{topic}_reply");
        assert!(!self.line.has_message(&reply), "{what} got a reply");
    }
}

fn connect(house: &House, login: &Login) -> Mqtt {
    let mut line = Mqtt::open(house.server.address("mqtt"), None, Version::V311);
    assert_eq!(line.connect(login, true, 600).reason, ReasonCode::Success);
    line
}

fn code(reply: &str) -> i64 {
    let json: Value = serde_json::from_str(reply).unwrap_or_else(|e| panic!("{e}: {reply}"));
    json["code"].as_i64().unwrap_or_else(|| panic!("{reply}"))
}

/// [AL-6.3] Ids of every kind go back byte for byte; those that are none get a reply all the same.
#[test]
fn ids_of_every_kind_go_back_byte_for_byte() {
    let mut house = House::open();
    let mut device = Device::open(&house);
    let huge = format!("\"{}\"", "9".repeat(60_000));
    let digits = "7".repeat(5_000);
    for id in [
        "\"123\"",
        "123",
        "0",
        "-1",
        "1.50",
        "1E3",
        "\"\"",
        "\"a b\"",
        "\"\\u0041\\\"\\\\\"",
        "\"水\"",
        "\"1|exp-topic|/sys/a/b\"",
        "4294967296123456789012",
        &digits,
        &huge,
    ] {
        let payload = format!(
            "{{\"id\":{id},\"version\":\"1.0\",\"params\":{{\"target\":20}},\"method\":\"m\"}}"
        );
        let reply = device.post(payload.as_bytes());
        let expected =
            format!("{{\"id\":{id},\"code\":200,\"data\":{{}},\"message\":\"success\"}}");
        assert!(reply == expected, "{id:.40}: {reply:.200}");
    }
    for none in ["null", "true", "false", "[1]", "{\"a\":1}"] {
        let payload = format!("{{\"id\":{none},\"params\":{{\"target\":20}}}}");
        assert_eq!(code(&device.post(payload.as_bytes())), 200, "{none}");
    }
    assert_eq!(
        code(&device.post(b"{\"params\":{\"target\":20}}")),
        200,
        "no id"
    );
    house.unharmed("ids of every kind");
}

/// [AL-6.3] Careless messages are read: padded with NULs and blanks, with fields missing, empty,
/// unknown or in another order.
#[test]
fn careless_messages_are_read() {
    let mut house = House::open();
    let mut device = Device::open(&house);
    let mut padded = b"{\"id\":\"1\",\"params\":{\"target\":20}}".to_vec();
    padded.resize(1_024, 0);
    for payload in [
        &padded[..],
        b" \r\n\t{\"id\":\"1\",\"params\":{\"target\":20}} \r\n",
        b"{\"method\":\"\",\"params\":{\"target\":20},\"version\":\"\",\"id\":\"1\"}",
        b"{\"params\":{\"target\":20},\"id\":\"1\",\"version\":1.0,\"more\":[{}]}",
        b"{\"id\":\"1\",\"params\":{\"target\":20},\"sys\":{\"ack\":1}}",
        b"{\"id\":\"1\",\"params\":{\"target\":20},\"sys\":null}",
        b"{\"id\":\"1\",\"params\":{}}",
        b"{\"id\":\"1\",\"params\":{\"nobody knows it\":20}}",
        b"{\"id\":\"1\",\"params\":{\"target\":{\"value\":20,\"time\":1524448722000}}}",
    ] {
        let reply = device.post(payload);
        assert_eq!(
            code(&reply),
            200,
            "{}: {reply}",
            String::from_utf8_lossy(payload)
        );
    }
    for quiet in [
        &b"{\"id\":\"1\",\"params\":{\"target\":21},\"sys\":{\"ack\":0}}"[..],
        b"{\"id\":\"1\",\"params\":7,\"sys\":{\"ack\":0}}",
        b"{\"id\":\"1\",\"params\":{\"target\":21},\"sys\":{\"ack\":0.0}}",
    ] {
        device.no_reply("sys.ack 0", quiet);
    }
    house.unharmed("careless messages");
}

/// [AL-6.3] [AL-6.14] What is no message of the dialect is answered with 460 where an id can be
/// made out, and passed over where none can; more than 200 properties are 6106. The connection
/// stays.
#[test]
fn ill_formed_messages_are_answered_and_never_end_the_connection() {
    let mut house = House::open();
    let mut device = Device::open(&house);
    let deep = format!(
        "{{\"id\":\"1\",\"params\":{}1{}}}",
        "[".repeat(50_000),
        "]".repeat(50_000)
    );
    let deep_objects = format!(
        "{{\"id\":\"1\",\"params\":{}1{}}}",
        "{\"a\":".repeat(30_000),
        "}".repeat(30_000)
    );
    for payload in [
        &b"{\"id\":\"1\",\"params\":{\"target\":20}"[..],
        b"{\"id\":\"1\",,\"params\":{}}",
        b"{\"id\":\"1\",\"params\":{\"target\":NaN}}",
        b"{\"id\":\"1\",\"params\":{\"target\":1e999}}",
        b"{\"id\":\"1\",\"params\":[]}",
        b"{\"id\":\"1\",\"params\":\"{}\"}",
        b"{\"id\":\"1\",\"params\":null}",
        b"{\"id\":\"1\"}",
        b"{\"id\":\"1\",\"params\":{\"a\":\"\xff\xfe\"}}",
        b"[{\"id\":\"1\",\"params\":{}}]",
        b"{\"id\":\"1\",\"id\":\"2\",\"params\":{}}",
        b"{\"id\":\"1\",\"params\":{}} trailing",
        deep.as_bytes(),
        deep_objects.as_bytes(),
    ] {
        let reply = device.post(payload);
        let shown = String::from_utf8_lossy(&payload[..payload.len().min(60)]).into_owned();
        assert_eq!(code(&reply), 460, "{shown}: {reply}");
        assert!(
            reply.starts_with("{\"id\":\"1\",\"code\":460,"),
            "{shown}: {reply}"
        );
    }
    for (what, payload) in [
        ("nothing", Vec::new()),
        ("NULs", vec![0; 100]),
        ("no text", vec![0xff; 100]),
        ("a word", b"hello".to_vec()),
        ("null", b"null".to_vec()),
        ("half an id", b"{\"id\":\"1".to_vec()),
        ("brackets", vec![b'['; 200_000]),
    ] {
        device.no_reply(what, &payload);
    }
    let many = |count: usize| {
        let all: Vec<_> = (0..count).map(|n| format!("\"p{n}\":{n}")).collect();
        format!("{{\"id\":\"1\",\"params\":{{{}}}}}", all.join(","))
    };
    assert_eq!(code(&device.post(many(200).as_bytes())), 200);
    let reply = device.post(many(201).as_bytes());
    assert_eq!(
        reply,
        "{\"id\":\"1\",\"code\":6106,\"data\":{},\"message\":\"map size must less than 200\"}"
    );
    // The longest payload is read, one byte more is refused, and so is more than a packet's worth.
    let long = |length: usize| {
        let frame = "{\"id\":\"1\",\"params\":{\"a\":\"\"}}".len();
        format!(
            "{{\"id\":\"1\",\"params\":{{\"a\":\"{}\"}}}}",
            "x".repeat(length - frame)
        )
    };
    let most = 256 * 1024;
    assert_eq!(code(&device.post(long(most).as_bytes())), 200);
    assert_eq!(code(&device.post(long(most + 1).as_bytes())), 460);
    house.unharmed("ill-formed messages");
}

/// [AL-6.14] The same at every other topic that a device may publish on: what cannot be read is
/// passed over or answered, and the connection stays.
#[test]
fn every_topic_of_a_device_takes_ill_formed_messages() {
    let mut house = House::open();
    let mut device = Device::open(&house);
    let product = house.product.clone();
    let own = device.own.clone();
    let topics = [
        format!("{own}/thing/event/overheated/post"),
        format!("{own}/thing/event/nobody/post"),
        format!("{own}/thing/service/property/set_reply"),
        format!("{own}/thing/service/reboot_reply"),
        format!("{own}/rrpc/response/1"),
        format!("{own}/rrpc/response/999999999999999999999999"),
        format!("{own}/thing/deviceinfo/update"),
        format!("{own}/thing/deviceinfo/delete"),
        format!("{own}/thing/dsltemplate/get"),
        format!("{own}/thing/dynamicTsl/get"),
        format!("{own}/thing/config/get"),
        format!("{own}/thing/event/property/history/post"),
        format!("/ota/device/inform/{product}/kitchen"),
        format!("/ota/device/progress/{product}/kitchen"),
        format!("/ota/device/request/{product}/kitchen"),
        format!("/ext/ntp/{product}/kitchen/request"),
        format!("/shadow/update/{product}/kitchen"),
        format!("/{product}/kitchen/user/update"),
    ];
    let mut chance = crate::Chance::new();
    let good = br#"{"id":"1","code":200,"data":{},"params":{"module":"default","version":"1"},"deviceSendTime":"1"}"#;
    for topic in &topics {
        // A line of its own: replies that are not acknowledged push others out of the queue.
        device.line = connect(&house, &device.login);
        for payload in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe\x00",
            b"{\"id\":{},\"code\":[],\"params\":7,\"data\":null}",
            &[b'['; 100_000],
        ] {
            device.line.publish_acknowledged(topic, payload);
        }
        for _ in 0..100 {
            let mut payload = good.to_vec();
            for _ in 0..=chance.below(4) {
                let at = chance.below(payload.len());
                payload[at] = chance.below(256) as u8;
            }
            device.line.publish(topic, &payload);
        }
        device.line.ping();
    }
    device.line = connect(&house, &device.login);
    assert_eq!(
        code(&device.post(b"{\"id\":\"1\",\"params\":{\"target\":20}}")),
        200
    );
    house.unharmed("every topic");
}

//! Fuzz bodies: what the parsers of this room promise for any input.

use super::{
    alink,
    hello::{self, Bounds},
    http, rights, topics,
};
use hub::{
    edge::{Channel, Hello, Peer, Verb},
    limits::Limits,
};
use model::{
    id::DeviceKey,
    product::{TopicClass, TopicRight},
};
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

/// Whatever a device sends, a reply is JSON that begins with the id as it came.
pub fn alink_read(data: &[u8]) {
    let most = Limits::default().payload;
    let id = match alink::read(data, most) {
        Ok(request) => {
            let _ = alink::tags::changes(&request.params, true);
            let _ = alink::desired::names(&request.params);
            let _ = alink::config::wanted(&request.params);
            let _ = alink::log::lines(&request.params);
            let _ = alink::desired::done(&request.params);
            let _ = alink::firmware::version(&request.params);
            let _ = alink::firmware::progress(&request.params);
            let _ = alink::firmware::wanted(&request.params);
            let none = Err(hub::ota::PieceError::NoSuchFile);
            let _ = alink::firmware::piece(request.id, &none);
            Some(request.id)
        }
        Err(alink::Unreadable(id)) => id,
    };
    if let Some(id) = id {
        let reply = alink::done(id, &Value::Null);
        // Kept raw, because an id may be a number that nobody but its sender can hold.
        let read: BTreeMap<&str, &RawValue> =
            serde_json::from_slice(&reply).expect("a reply is JSON");
        let id = read["id"].get();
        assert!(id.starts_with(|c: char| c == '"' || c == '-' || c.is_ascii_digit()));
        assert_eq!(read["code"].get(), "200");
    }
    let _ = alink::answer::read(data);
    let _ = alink::ntp::answer(data, model::id::Time(1));
    let _ = alink::shadow::read(data);
}

/// A hello is read, refused or left to others; fields are lines of the input.
pub fn alink_hello(data: &[u8]) {
    let mut parts = data.splitn(4, |byte| *byte == b'\n');
    let mut next = || parts.next().unwrap_or_default();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let keep_alive = next().first().copied().unwrap_or(0);
    let (user, password) = (text(next()), next().to_vec());
    let hello = Hello {
        client_id: text(next()),
        user: (!user.is_empty()).then_some(user),
        password: (!password.is_empty()).then(|| password.into()),
        level: 4,
        clean: true,
        keep_alive: u16::from(keep_alive),
        will: false,
        peer: Peer {
            address: [127, 0, 0, 1].into(),
            channel: Channel::Tls,
        },
        shaken: None,
    };
    let bounds = Bounds::of(&Limits::default(), false);
    if let Err(refusal) = hello::read(&hello, &bounds) {
        assert!(!refusal.reason.is_empty());
    }
    let _ = http::fields(data);
}

/// What gateways send for their sub-devices: names, proofs, logins, batches. What is read is no
/// more than what was sent.
pub fn alink_gateway(data: &[u8]) {
    let Ok(request) = alink::read(data, Limits::default().payload) else {
        return;
    };
    let params = &request.params;
    let peer = Peer {
        address: [127, 0, 0, 1].into(),
        channel: Channel::Tls,
    };
    let entries = |value: &Value| value.as_array().map_or(1, Vec::len);
    let most = entries(params)
        .max(entries(&params["deviceList"]))
        .max(entries(&params["proxieds"]));
    let read = [
        alink::subs::devices(params).map(|list| list.len()),
        alink::subs::names(params).map(|list| list.len()),
        alink::subs::bindings(params, peer).map(|list| list.len()),
        alink::subs::registrations(params, peer).map(|list| list.len()),
        alink::subs::login(params, peer).map(|list| list.len()),
        alink::subs::logins(params, peer).map(|list| list.len()),
    ];
    for many in read.into_iter().flatten() {
        assert!(many <= most, "{many} of {most}");
    }
    if let Ok((_, subs)) = alink::pack::read(params) {
        assert!(subs.len() <= entries(&params["subDevices"]));
    }
    if let Ok(parcels) = alink::pack::read_history(params) {
        assert!(parcels.len() <= most);
    }
}

/// No topic outside a device's own is granted, and each that may be published leads somewhere.
pub fn alink_topic(data: &[u8]) {
    let Ok(topic) = std::str::from_utf8(data) else {
        return;
    };
    let device = DeviceKey::parse("pk", "dev1").expect("names that keep their rule");
    let classes = [TopicClass {
        id: 1,
        suffix: "user/get".into(),
        right: TopicRight::Both,
        description: String::new(),
    }];
    let may = |verb| {
        rights::system(&device, verb, topic)
            .unwrap_or_else(|| rights::custom(&device, &classes, verb, topic))
    };
    if may(Verb::Publish) {
        assert!(!topic.contains(['+', '#']));
        let routed = topics::route(&device, topic).is_some();
        assert!(routed || topic == "/pk/dev1/user/get", "{topic}");
    }
    if may(Verb::Subscribe) {
        let own = ["/ext/", "/broadcast/pk/", "/pk/dev1/"];
        assert!(
            topic.contains("/pk/dev1") || own.iter().any(|start| topic.starts_with(start)),
            "{topic}"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds the samples, and each of them changed in a few thousand ways.
    fn mutate(samples: &[&[u8]], body: fn(&[u8])) {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % u64::try_from(below.max(1)).expect("small")).expect("small")
        };
        for sample in samples {
            body(sample);
            for _ in 0..3_000 {
                let mut data = sample.to_vec();
                for _ in 0..=next(3) {
                    let at = next(data.len() + 1);
                    match next(4) {
                        0 => data.truncate(at),
                        1 => data.insert(at, b"\"{}[]|,=&\n/+#\0\xff\\"[next(16)]),
                        2 if at < data.len() => data[at] ^= 1 << next(8),
                        _ => {
                            let piece = data[at..].to_vec();
                            data.extend_from_slice(&piece[..next(piece.len() + 1)]);
                        }
                    }
                }
                body(&data);
            }
        }
    }

    #[test]
    fn alink_messages_hold() {
        mutate(
            &[
                b"{\"id\":\"123\",\"version\":\"1.0\",\"params\":{\"Power\":{\"value\":\"on\",\"time\":1524448722000}},\"sys\":{\"ack\":1}}",
                b"{\"id\":1,\"params\":{\"version\":\"1.0\",\"module\":\"default\"}}",
                b"{\"id\":\"1\",\"code\":200,\"data\":\"{}\",\"message\":\"success\"}",
                b"{\"method\":\"delete\",,\"id\":\"7\",\"clientToken\":\"t\"}",
                b"{\"id\":1,\"params\":{\"step\":\"-1\",\"desc\":\"no\",\"module\":\"m\"}}",
                b"{\"id\":1,\"params\":{\"fileInfo\":{\"streamId\":1,\"fileId\":1},\"fileBlock\":{\"size\":1,\"offset\":0}}}",
                b"{\"deviceSendTime\":\"1571724098000\"}",
            ],
            alink_read,
        );
    }

    /// [AL-6.2] [AL-6.7]
    #[test]
    fn words_of_gateways_hold() {
        mutate(
            &[
                b"{\"id\":\"1\",\"params\":[{\"productKey\":\"pk\",\"deviceName\":\"sub1\",\"clientId\":\"c|_ss=1|\",\"timestamp\":1,\"signmethod\":\"hmacSha1\",\"sign\":\"00\"}]}",
                b"{\"id\":\"1\",\"params\":{\"productKey\":\"pk\",\"deviceName\":\"sub1\",\"clientId\":\"c\",\"timestamp\":\"1\",\"signMethod\":\"hmacSha256\",\"cleanSession\":\"true\",\"sign\":\"00\"}}",
                b"{\"id\":1,\"params\":{\"signMethod\":\"hmacSha256\",\"deviceList\":[{\"productKey\":\"pk\",\"deviceName\":\"sub1\",\"clientId\":\"c\",\"timestamp\":\"1\",\"cleanSession\":\"false\",\"sign\":\"00\"}]}}",
                b"{\"id\":1,\"params\":{\"proxieds\":[{\"productKey\":\"pk\",\"deviceName\":\"sub1\",\"random\":\"r\",\"signMethod\":\"hmacSha256\",\"sign\":\"00\"}]}}",
                b"{\"id\":1,\"params\":{\"properties\":{\"a\":{\"value\":1,\"time\":1}},\"events\":{\"e\":{\"value\":{}}},\"subDevices\":[{\"identity\":{\"productKey\":\"pk\",\"deviceName\":\"sub1\"},\"properties\":{\"a\":1}}]}}",
                b"{\"id\":1,\"params\":[{\"identity\":{\"productKey\":\"pk\",\"deviceName\":\"sub1\"},\"properties\":[{\"a\":{\"value\":1,\"time\":1}}]}]}",
            ],
            alink_gateway,
        );
    }

    #[test]
    fn hellos_hold() {
        mutate(
            &[
                b"<\nexample1&a1MZxOdcBnO\n00ff\nb|securemode=2,signmethod=hmacsha1,_ss=1,ext=1|",
                b"<\nexample1&a1MZxOdcBnO\n00ff\nb|authType=register,random=7,securemode=2|",
                b"<\nid\nAQAAAAAAAAAA\nb|securemode=-1|",
                b"productKey=pk&deviceName=dev1&random=1&sign=00&signMethod=hmacsha1",
            ],
            alink_hello,
        );
    }

    #[test]
    fn topics_hold() {
        mutate(
            &[
                b"/sys/pk/dev1/thing/event/property/post",
                b"/sys/pk/dev1/thing/service/+",
                b"/ext/rrpc/+/a/b",
                b"/ext/session/pk/dev1/combine/login_reply",
                b"/pk/dev1/user/get",
                b"/broadcast/pk/+",
            ],
            alink_topic,
        );
    }
}

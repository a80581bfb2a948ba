//! What each client is led through, in each version that it speaks.

use crate::peer::Trial;
use serde_json::{Value, json};

/// Messages of each QoS that must come in order.
const MANY: usize = 1_000;
/// More than the buffers between the ends.
const LARGE: usize = 300_000;

/// Bytes 0, 1, 2 ... 250, 0 ... summed.
fn sum(size: usize) -> u64 {
    (0..size as u64).map(|at| at % 251).sum()
}

/// QoS 0, 1 and 2 both ways, with nothing, with text, and with much in them.
pub(crate) fn echo(trial: &Trial<'_>) {
    let mut peer = trial.fresh("echo");
    let topic = trial.name("echo");
    assert_eq!(peer.subscribe(&topic, 2, Value::Null), 2);
    for qos in 0..=2 {
        peer.publish(&topic, qos, json!({"text": ""}));
        let told = peer.message(&topic);
        assert_eq!((&told["size"], &told["qos"]), (&json!(0), &json!(qos)));
        peer.publish(&topic, qos, json!({"text": "grüß"}));
        assert_eq!(peer.message(&topic)["text"], "grüß");
        peer.publish(&topic, qos, json!({"size": LARGE}));
        let told = peer.message(&topic);
        assert_eq!(
            (&told["size"], &told["sum"], &told["retain"]),
            (&json!(LARGE), &json!(sum(LARGE)), &json!(false))
        );
    }
    peer.unsubscribe(&topic);
    peer.end();
}

/// A thousand messages of each QoS arrive, in order; at QoS 1 and 2 none is lost, and none doubled.
pub(crate) fn many(trial: &Trial<'_>) {
    let mut reader = trial.fresh("reader");
    let mut writer = trial.fresh("writer");
    for qos in 0..=2 {
        let topic = format!("{}/{qos}", trial.name("many"));
        reader.subscribe(&topic, qos, Value::Null);
        writer.publish_many(&topic, qos, MANY);
        for number in 0..MANY {
            let told = reader.message(&topic);
            assert_eq!(told["text"], number.to_string(), "QoS {qos}");
            assert_eq!(told["qos"], qos);
        }
    }
}

/// A retained message reaches who subscribes later, marked as such, until an empty one deletes it.
pub(crate) fn retained(trial: &Trial<'_>) {
    let topic = trial.name("kept");
    let mut writer = trial.fresh("keeper");
    for qos in 0..=2 {
        writer.publish(
            &topic,
            qos,
            json!({"text": format!("kept {qos}"), "retain": true}),
        );
    }
    let mut reader = trial.fresh("finder");
    reader.subscribe(&topic, 1, Value::Null);
    let told = reader.message(&topic);
    assert_eq!(told["text"], "kept 2");
    assert_eq!((&told["retain"], &told["qos"]), (&json!(true), &json!(1)));
    writer.publish(&topic, 1, json!({"text": "", "retain": true}));
    let told = reader.message(&topic);
    assert_eq!((&told["size"], &told["retain"]), (&json!(0), &json!(false)));
    let mut late = trial.fresh("late");
    late.subscribe(&topic, 1, Value::Null);
    late.publish(&topic, 1, json!({"text": "first"}));
    assert_eq!(late.message(&topic)["text"], "first");
}

/// A client that dies leaves its will; one that takes its leave does not.
pub(crate) fn will(trial: &Trial<'_>) {
    let topic = trial.name("will");
    let mut heir = trial.fresh("heir");
    heir.subscribe(&topic, 2, Value::Null);
    let will = |text: &str| json!({"will": {"topic": topic, "text": text, "qos": 1}});
    trial.connect("polite", true, will("not this")).0.end();
    drop(trial.connect("mortal", true, will("gone")));
    let told = heir.message(&topic);
    assert_eq!((&told["text"], &told["qos"]), (&json!("gone"), &json!(1)));
}

/// What comes while a client is away waits for it, in order, and the server says that its session
/// is there. Between QoS 1 and 2 there is no order: many clients show a message of QoS 2 only once
/// its exchange is over.
pub(crate) fn session(trial: &Trial<'_>) {
    let topics = [1, 2].map(|qos| format!("{}/{qos}", trial.name("wait")));
    let (mut peer, told) = trial.connect("sleeper", false, Value::Null);
    assert_eq!(told["session"], false);
    for topic in &topics {
        peer.subscribe(topic, 2, Value::Null);
    }
    drop(peer);
    let mut writer = trial.fresh("caller");
    for number in 0..6_u8 {
        let qos = number % 2 + 1;
        let topic = &topics[usize::from(qos) - 1];
        writer.publish(topic, qos, json!({"text": number.to_string()}));
    }
    let (mut peer, told) = trial.connect("sleeper", false, Value::Null);
    if trial.version > 3 {
        assert_eq!(told["session"], true);
    }
    for number in 0..6_u8 {
        let topic = &topics[usize::from(number % 2)];
        assert_eq!(peer.message(topic)["text"], number.to_string());
    }
    peer.end();
    let (_, told) = trial.connect("sleeper", true, Value::Null);
    assert_eq!(told["session"], false);
}

/// Over TLS, WebSocket and both: the same listener.
pub(crate) fn roads(trial: &Trial<'_>) {
    for (tls, ws) in trial.kind.roads() {
        let mut extra = json!({"ws": ws});
        if *tls {
            extra["ca"] = json!(trial.server.ca());
        }
        let (mut peer, _) = trial.connect("traveller", true, extra);
        let topic = trial.name("roads");
        peer.subscribe(&topic, 1, Value::Null);
        peer.publish(&topic, 1, json!({"size": LARGE}));
        assert_eq!(peer.message(&topic)["sum"], sum(LARGE));
        peer.end();
    }
}

/// A topic that the operator refuses is refused with the word of the version.
pub(crate) fn refused(trial: &Trial<'_>) {
    let mut peer = trial.fresh("curious");
    let granted = peer.subscribe("secret/plan", 1, Value::Null);
    let wanted: &[u64] = if trial.five() { &[0x87, 0x80] } else { &[0x80] };
    let told = granted.as_u64().unwrap_or_default();
    // The server of version 3.1 has no word for it.
    assert!(trial.version == 3 || wanted.contains(&told), "{granted}");
}

/// Version 5: what a message carries arrives as it was, and the subscription's number with it.
pub(crate) fn properties(trial: &Trial<'_>) {
    let topic = trial.name("properties");
    let mut peer = trial.fresh("careful");
    peer.subscribe(&topic, 1, json!({"id": 77}));
    let sent = json!({
        "content_type": "text/plain", "response_topic": "answers/here", "correlation": "c-17",
        "format": 1, "user": [["a", "1"], ["b", "2"]], "expiry": 600,
    });
    peer.publish(&topic, 1, json!({"text": "rich", "properties": sent}));
    let told = peer.message(&topic)["properties"].take();
    for name in [
        "content_type",
        "response_topic",
        "correlation",
        "format",
        "user",
    ] {
        assert_eq!(told[name], sent[name], "{name} of {told}");
    }
    let left = told["expiry"].as_u64().unwrap_or_default();
    assert!((590..=600).contains(&left), "{told}");
    assert_eq!(told["ids"], json!([77]), "{told}");
}

/// Version 5: the second message goes by its alias alone, where the client sends such.
pub(crate) fn alias(trial: &Trial<'_>) {
    let topic = trial.name("alias");
    let mut peer = trial.fresh("brief");
    peer.subscribe(&topic, 1, Value::Null);
    peer.publish(&topic, 1, json!({"text": "1", "properties": {"alias": 3}}));
    assert_eq!(peer.message(&topic)["text"], "1");
    peer.publish("", 1, json!({"text": "2", "properties": {"alias": 3}}));
    assert_eq!(peer.message(&topic)["text"], "2");
}

/// Version 5: no local, retain as published and retain handling do as the subscriber says.
pub(crate) fn options(trial: &Trial<'_>) {
    let topic = trial.name("options");
    let mut peer = trial.fresh("choosy");
    let mut other = trial.fresh("other");
    peer.publish(&topic, 1, json!({"text": "kept", "retain": true}));
    let how = json!({"no_local": true, "as_published": true, "handling": 2});
    peer.subscribe(&topic, 1, how);
    peer.publish(&topic, 1, json!({"text": "mine", "retain": true}));
    other.publish(&topic, 1, json!({"text": "others'", "retain": true}));
    let told = peer.message(&topic);
    assert_eq!(
        (&told["text"], &told["retain"]),
        (&json!("others'"), &json!(true))
    );
}

/// Each message to a group goes to one of its members, and all arrive.
pub(crate) fn shared(trial: &Trial<'_>) {
    let topic = trial.name("work");
    let filter = format!("$share/team/{topic}");
    let mut members = [trial.fresh("ann"), trial.fresh("bob")];
    for member in &mut members {
        member.subscribe(&filter, 1, Value::Null);
        // Its own mark tells when it has all.
        member.subscribe(&format!("{topic}/end"), 1, Value::Null);
    }
    let mut writer = trial.fresh("boss");
    for number in 0..20 {
        writer.publish(&topic, 1, json!({"text": number.to_string()}));
    }
    writer.publish(&format!("{topic}/end"), 1, json!({"text": "end"}));
    let mut got = Vec::new();
    for member in &mut members {
        member.message(&format!("{topic}/end"));
        got.extend(member.seen(&topic));
    }
    got.sort_by_key(|text| text.parse::<u64>().unwrap_or_default());
    let all: Vec<_> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(got, all);
}

/// Version 5: a client without an id is given one.
pub(crate) fn assigned(trial: &Trial<'_>) {
    let (_peer, told) = trial.connect("nameless", true, json!({"client_id": ""}));
    let id = told["properties"]["assigned"].as_str().unwrap_or_default();
    assert!(!id.is_empty(), "{told}");
}

/// Version 5: a will waits as long as it should, and not at all when its client is back in time.
pub(crate) fn will_delay(trial: &Trial<'_>) {
    let topic = trial.name("patience");
    let mut heir = trial.fresh("patient");
    heir.subscribe(&topic, 1, Value::Null);
    let will = |text: &str, delay: u32| {
        let properties = json!({"delay": delay, "content_type": "text/x-will"});
        json!({"will": {"topic": topic, "text": text, "qos": 1, "properties": properties}})
    };
    drop(trial.connect("returning", false, will("not this", 60)));
    trial.connect("returning", false, Value::Null).0.end();
    drop(trial.connect("staying", false, will("at last", 1)));
    let told = heir.message(&topic);
    assert_eq!(told["text"], "at last");
    assert_eq!(told["properties"]["content_type"], "text/x-will");
}

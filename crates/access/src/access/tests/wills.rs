//! When wills are published, and when they are void.

use super::{
    guests::{guests, nobody, plain},
    *,
};
use wire::mqtt::Binary;

/// A guest that leaves a will on `will`, to be published after so many seconds.
fn mortal(version: Version, client_id: &str, delay: u32, life: u32) -> Connect {
    let mut hello = nobody(version, client_id);
    let mut properties = Properties::new();
    if version.is_v5() {
        properties.push(Property::WillDelayInterval(delay));
        properties.push(Property::MessageExpiryInterval(50));
        let kind = Text::try_from("text/plain").unwrap();
        properties.push(Property::ContentType(kind));
        hello.properties.push(Property::SessionExpiryInterval(life));
    }
    hello.will = Some(Will {
        topic: TopicName::try_from("will").unwrap(),
        payload: Binary::new(client_id.to_owned()).unwrap(),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties,
    });
    hello
}

fn back(hello: &Connect) -> Connect {
    Connect {
        clean_start: false,
        ..hello.clone()
    }
}

async fn heir(server: &Server) -> Client {
    let mut heir = server.guest(Version::V5, "heir").await;
    heir.subscribe("will").await;
    heir
}

fn bye(reason: ReasonCode) -> Packet {
    Packet::Disconnect(Disconnect {
        reason,
        properties: Properties::new(),
    })
}

/// [MQTT-3.1.2-8], [MQTT-3.1.2-10] A will is published unless its client leaves in order; with it
/// go its properties, except the delay.
#[tokio::test]
async fn a_will_is_void_only_after_a_normal_disconnection() {
    let server = guests(plain());
    let mut heir = heir(&server).await;
    for (version, name, word) in [
        (Version::V31, "a", None),
        (Version::V311, "b", None),
        (Version::V5, "c", None),
        (Version::V5, "d", Some(ReasonCode::DisconnectWithWill)),
        (Version::V5, "e", Some(ReasonCode::UnspecifiedError)),
    ] {
        let mut client = server.client_of(3, mortal(version, name, 0, 0)).await;
        if let Some(reason) = word {
            client.send(&bye(reason)).await;
        }
        drop(client);
        let Some(Packet::Publish(will)) = heir.next().await else {
            panic!("no will");
        };
        assert_eq!(&will.payload[..], name.as_bytes());
        assert_eq!(will.properties.will_delay_interval(), None);
        if version.is_v5() {
            assert_eq!(will.properties.message_expiry_interval(), Some(&50));
            assert_eq!(&**will.properties.content_type().unwrap(), "text/plain");
        }
        let id = will.packet_id.unwrap();
        let ack = Packet::PubAck(Ack::new(id, ReasonCode::Success));
        heir.send(&ack).await;
    }
    for version in [Version::V311, Version::V5] {
        let mut client = server.client_of(3, mortal(version, "f", 0, 0)).await;
        client.send(&bye(ReasonCode::Success)).await;
        assert_eq!(client.next().await, None);
    }
    heir.quiet().await;
}

/// [MQTT-3.1.3-9] A will that waits is void when its client is back in time, and published when
/// its delay is over.
#[tokio::test]
async fn a_will_waits_for_its_delay() {
    let server = guests(plain());
    let mut heir = heir(&server).await;
    let hello = mortal(Version::V5, "c", 20, 100);
    let mut again = back(&hello);
    again.will = None;
    drop(server.client_of(3, hello.clone()).await);
    let mut client = server.client_of(3, again).await;
    client.send(&bye(ReasonCode::Success)).await;
    assert_eq!(client.next().await, None);
    let mut hello = hello;
    hello.will.as_mut().unwrap().payload = Binary::new("second").unwrap();
    drop(server.client_of(3, hello).await);
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    assert_eq!(heir.message().await, ("will".into(), "second".into()));
    let waited = start.elapsed().as_secs();
    assert!((19..=21).contains(&waited), "{waited}");
}

/// MQTT 5 §3.1.3.2.2: the end of the session is the end of the wait: at its expiry, and when a
/// clean start drops it.
#[tokio::test]
async fn a_will_waits_no_longer_than_its_session() {
    let server = guests(plain());
    let mut heir = heir(&server).await;
    drop(server.client_of(3, mortal(Version::V5, "none", 9, 0)).await);
    assert_eq!(heir.message().await.1, "none");
    let hello = mortal(Version::V5, "clean", 99, 100);
    drop(server.client_of(3, hello).await);
    server.guest(Version::V5, "clean").await;
    assert_eq!(heir.message().await.1, "clean");
    drop(
        server
            .client_of(3, mortal(Version::V5, "short", 99, 9))
            .await,
    );
    tokio::time::pause();
    let start = tokio::time::Instant::now();
    assert_eq!(heir.message().await.1, "short");
    let waited = start.elapsed().as_secs();
    assert!((8..=10).contains(&waited), "{waited}");
}

/// MQTT 5 §3.1.3.2.2 (and MQTT 3.1.1 §3.1.4): who is taken over leaves its will, unless the will
/// may wait and the session goes on.
#[tokio::test]
async fn a_connection_that_is_taken_over_leaves_its_will() {
    let server = guests(plain());
    let mut heir = heir(&server).await;
    let old = server.client_of(3, mortal(Version::V311, "a", 0, 0)).await;
    server.guest(Version::V311, "a").await;
    assert_eq!(heir.message().await.1, "a");
    drop(old);
    for (delay, clean, published) in [(0, false, true), (9, true, true), (9, false, false)] {
        let mut hello = mortal(Version::V5, "b", delay, 100);
        let mut old = server.client_of(3, hello.clone()).await;
        hello.will = None;
        hello.clean_start = clean;
        let _new = server.client_of(3, hello).await;
        let Some(Packet::Disconnect(bye)) = old.next().await else {
            panic!("no DISCONNECT");
        };
        assert_eq!(bye.reason, ReasonCode::SessionTakenOver);
        assert_eq!(old.next().await, None);
        if published {
            assert_eq!(heir.message().await.1, "b");
        }
    }
    heir.quiet().await;
}

//! `Bus`: words between nodes.

use super::{Engine, Make, iot_id};
use crate::port::{Audience, CloseReason, Signal};
use bytes::Bytes;

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    words_arrive_in_order(make).await;
    the_receiver_is_taken_once(make).await;
}

/// "Sends to one node"; "sends to all nodes, this one too".
pub async fn words_arrive_in_order(make: &dyn Make) {
    let Engine {
        bus, data: _data, ..
    } = make.fresh().await;
    let mut receiver = bus.receive().unwrap();
    let words = [
        Signal::CommandsWait {
            iot_id: iot_id("lamp"),
        },
        Signal::Close {
            iot_id: iot_id("lamp"),
            session: None,
            reason: CloseReason::Disabled,
        },
        Signal::Publish {
            to: Audience::Device(iot_id("lamp")),
            topic: "a/b".into(),
            payload: Bytes::from_static(b"\0\xff"),
            qos: 1,
            system: true,
        },
        Signal::Call {
            iot_id: iot_id("lamp"),
            topics: vec!["a".into(), "b".into()],
            payload: Bytes::from_static(b"?"),
        },
    ];
    for word in words.clone() {
        bus.send(&bus.node(), word.clone()).await.unwrap();
        bus.send_all(word).await.unwrap();
    }
    for word in words {
        assert_eq!(receiver.recv().await.unwrap(), word);
        assert_eq!(receiver.recv().await.unwrap(), word);
    }
}

/// "Taken once, at start (`None` afterwards)."
pub async fn the_receiver_is_taken_once(make: &dyn Make) {
    let Engine {
        bus, data: _data, ..
    } = make.fresh().await;
    assert!(bus.receive().is_some());
    assert!(bus.receive().is_none());
}

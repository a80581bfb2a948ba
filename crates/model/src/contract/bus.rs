//! `Bus`: words between nodes.

use super::{Engine, Make, iot_id};
use crate::{
    error::Fault,
    id::NodeId,
    port::{Audience, Bus, CloseReason, Signal, Word},
};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

/// A bus for tests: every word is done as soon as it is sent, and told to whoever looks.
pub struct Heard {
    node: NodeId,
    words: Sender<Signal>,
}

impl Heard {
    /// A bus of the node `node`, and all that is sent on it.
    #[must_use]
    pub fn bus(node: NodeId) -> (Arc<dyn Bus>, Receiver<Signal>) {
        let (words, heard) = channel(10_000);
        (Arc::new(Self { node, words }), heard)
    }
}

#[async_trait]
impl Bus for Heard {
    fn node(&self) -> NodeId {
        self.node.clone()
    }

    async fn send(&self, _: &NodeId, signal: Signal) -> Result<(), Fault> {
        self.send_all(signal).await
    }

    async fn send_all(&self, signal: Signal) -> Result<(), Fault> {
        match self.words.try_send(signal) {
            // Tests that do not look drop the other end.
            Ok(()) | Err(TrySendError::Closed(_)) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Fault::passing("nobody looks")),
        }
    }

    async fn send_and_wait(&self, _: Option<&NodeId>, signal: Signal) -> Result<(), Fault> {
        self.send_all(signal).await
    }

    fn receive(&self) -> Option<Receiver<Word>> {
        None
    }
}

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    words_arrive_in_order(make).await;
    who_waits_hears_what_became_of_a_word(make).await;
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
        assert_eq!(receiver.recv().await.unwrap().signal, word);
        assert_eq!(receiver.recv().await.unwrap().signal, word);
    }
}

/// "Returns when each has done it […]. A fault when one says that it could not."
pub async fn who_waits_hears_what_became_of_a_word(make: &dyn Make) {
    let Engine {
        bus, data: _data, ..
    } = make.fresh().await;
    let mut receiver = bus.receive().unwrap();
    let signal = || Signal::CommandsWait {
        iot_id: iot_id("lamp"),
    };
    let node = bus.node();
    for (to, answer) in [
        (None, Some(Ok(()))),
        (Some(&node), Some(Ok(()))),
        (None, Some(Err(Fault::passing("no")))),
        (None, None),
    ] {
        let good = matches!(answer, Some(Ok(())));
        let receive = async {
            let word = receiver.recv().await.unwrap();
            assert_eq!(word.signal, signal());
            let done = word.done.unwrap();
            assert!(!done.is_closed());
            if let Some(answer) = answer {
                done.send(answer).unwrap();
            }
        };
        let (told, ()) = tokio::join!(bus.send_and_wait(to, signal()), receive);
        assert_eq!(told.is_ok(), good);
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

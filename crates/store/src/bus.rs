//! Words to this node, which is the only one.

use crate::Options;
use async_trait::async_trait;
use model::{
    error::Fault,
    id::NodeId,
    port::{Bus, Signal},
};
use parking_lot::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// A bounded channel from the node to itself. A sender waits while it is full.
pub(crate) struct Loop {
    node: NodeId,
    sender: Sender<Signal>,
    receiver: Mutex<Option<Receiver<Signal>>>,
}

impl Loop {
    pub(crate) fn new(options: &Options) -> Self {
        let (sender, receiver) = channel(options.bus_queue.max(1));
        Self {
            node: options.node.clone(),
            sender,
            receiver: Mutex::new(Some(receiver)),
        }
    }
}

#[async_trait]
impl Bus for Loop {
    fn node(&self) -> NodeId {
        self.node.clone()
    }

    async fn send(&self, node: &NodeId, signal: Signal) -> Result<(), Fault> {
        if *node != self.node {
            return Err(Fault::lasting(format!("there is no node {node}")));
        }
        self.send_all(signal).await
    }

    async fn send_all(&self, signal: Signal) -> Result<(), Fault> {
        let sent = self.sender.send(signal).await;
        sent.map_err(|_| Fault::passing("this node takes no more words; it is stopping"))
    }

    fn receive(&self) -> Option<Receiver<Signal>> {
        self.receiver.lock().take()
    }
}

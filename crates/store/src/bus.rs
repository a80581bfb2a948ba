//! Words to this node, which is the only one.

use crate::Options;
use async_trait::async_trait;
use model::{
    error::Fault,
    id::NodeId,
    port::{Bus, Signal, Word},
};
use parking_lot::Mutex;
use std::time::Duration;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::timeout,
};

/// How long somebody waits until a word is done.
const PATIENCE: Duration = Duration::from_secs(10);

/// A bounded channel from the node to itself. A sender waits while it is full.
pub(crate) struct Loop {
    node: NodeId,
    sender: Sender<Word>,
    receiver: Mutex<Option<Receiver<Word>>>,
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

impl Loop {
    fn check(&self, node: &NodeId) -> Result<(), Fault> {
        match *node == self.node {
            true => Ok(()),
            false => Err(Fault::lasting(format!("there is no node {node}"))),
        }
    }

    async fn pass(&self, word: Word) -> Result<(), Fault> {
        let sent = self.sender.send(word).await;
        sent.map_err(|_| Fault::passing("this node takes no more words; it is stopping"))
    }
}

#[async_trait]
impl Bus for Loop {
    fn node(&self) -> NodeId {
        self.node.clone()
    }

    async fn send(&self, node: &NodeId, signal: Signal) -> Result<(), Fault> {
        self.check(node)?;
        self.pass(signal.into()).await
    }

    async fn send_all(&self, signal: Signal) -> Result<(), Fault> {
        self.pass(signal.into()).await
    }

    async fn send_and_wait(&self, node: Option<&NodeId>, signal: Signal) -> Result<(), Fault> {
        node.map_or(Ok(()), |node| self.check(node))?;
        let (word, answer) = Word::awaited(signal);
        self.pass(word).await?;
        match timeout(PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Fault::passing("this node did not do it; it is stopping")),
            Err(_) => Err(Fault::passing("this node has not done it for 10 seconds")),
        }
    }

    fn receive(&self) -> Option<Receiver<Word>> {
        self.receiver.lock().take()
    }
}

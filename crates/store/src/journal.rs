//! The journal: facts in a log (`tape`), on disk before they are acknowledged.
//!
//! One thread takes all facts that wait, writes them with one call, syncs once, and answers all.

use crate::{
    Options,
    fault::{aside, of_io, stopped},
    home::Home,
    lsm::Lsm,
    queue::Queue,
    tape::{Buffer, Pen, Tape},
};
use async_trait::async_trait;
use model::{error::Fault, fact::Fact, id::Position, port::Journal};
use parking_lot::Mutex;
use std::{sync::Arc, thread::JoinHandle};
use tokio::sync::oneshot;

/// The longest fact, in bytes of JSON.
const LONGEST_FACT: usize = 8 << 20;
/// A read ends early when its facts have so many bytes of JSON.
const LONGEST_READ: usize = 8 << 20;

pub(crate) struct Log {
    tape: Arc<Tape>,
    queue: Arc<Queue<Waiting>>,
    lsm: Arc<Lsm>,
    trimming: Arc<Mutex<()>>,
    writer: Option<JoinHandle<()>>,
    _home: Arc<Home>,
}

/// A fact that waits to be written.
struct Waiting {
    text: Vec<u8>,
    answer: oneshot::Sender<Result<Position, Fault>>,
}

impl Log {
    pub(crate) fn open(home: &Arc<Home>, lsm: Arc<Lsm>, options: &Options) -> Result<Self, Fault> {
        let (tape, pen) = Tape::open("journal", home.join("journal"), options.segment_bytes)?;
        let queue = Arc::new(Queue::new(options.journal_queue_bytes));
        let thread = std::thread::Builder::new().name("journal".into());
        let waiting = queue.clone();
        let thread = thread.spawn(move || write(&waiting, pen));
        Ok(Self {
            writer: Some(thread.map_err(|e| of_io("starting the writer of", tape.folder(), &e))?),
            tape,
            queue,
            lsm,
            trimming: Arc::default(),
            _home: home.clone(),
        })
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

#[async_trait]
impl Journal for Log {
    async fn append(&self, fact: Fact) -> Result<Position, Fault> {
        let text = serde_json::to_vec(&fact);
        let text = text.map_err(|e| Fault::lasting(format!("a fact: {e}")))?;
        drop(fact);
        if text.len() > LONGEST_FACT {
            return Err(Fault::lasting("a fact is too long for the journal"));
        }
        let (answer, answered) = oneshot::channel();
        let weight = u32::try_from(text.len()).unwrap_or(u32::MAX);
        let waiting = Waiting { text, answer };
        self.queue.push(weight, waiting).await?;
        answered.await.map_err(|_| stopped())?
    }

    async fn read(&self, after: Position, most: usize) -> Result<Vec<(Position, Fact)>, Fault> {
        if self.head() <= after {
            return Ok(Vec::new());
        }
        let tape = self.tape.clone();
        aside(move || read(&tape, after.0, most)).await
    }

    fn head(&self) -> Position {
        Position(self.tape.head())
    }

    async fn grown(&self, after: Position) {
        let mut head = self.tape.watch();
        // The sender lives as long as `self`.
        let _ = head.wait_for(|head| *head > after.0).await;
    }

    async fn keep(&self, reader: &str, position: Position) -> Result<(), Fault> {
        let (lsm, reader) = (self.lsm.clone(), reader.to_owned());
        aside(move || lsm.keep(&reader, position)).await
    }

    async fn kept(&self, reader: &str) -> Result<Position, Fault> {
        let (lsm, reader) = (self.lsm.clone(), reader.to_owned());
        aside(move || lsm.kept(&reader)).await
    }

    async fn trim(&self, until: Position, most: usize) -> Result<u64, Fault> {
        let (tape, trimming) = (self.tape.clone(), self.trimming.clone());
        aside(move || {
            let _one_at_a_time = trimming.lock();
            tape.trim(until.0, most as u64)
        })
        .await
    }
}

fn read(tape: &Tape, after: u64, most: usize) -> Result<Vec<(Position, Fact)>, Fault> {
    let mut facts = Vec::new();
    let mut bytes = 0;
    tape.read(after, |position, text| {
        if facts.len() == most || bytes >= LONGEST_READ {
            return Ok(false);
        }
        let fact = serde_json::from_slice(text)
            .map_err(|e| Fault::lasting(format!("the fact at {position} cannot be read: {e}")))?;
        facts.push((Position(position), fact));
        bytes += text.len();
        Ok(true)
    })?;
    Ok(facts)
}

/// The thread that writes.
fn write(queue: &Queue<Waiting>, mut pen: Pen) {
    let mut waiting = Vec::new();
    let mut buffer = Buffer::default();
    while let Some(weight) = queue.take(&mut waiting) {
        let texts = waiting.iter().map(|(_, waiting)| waiting.text.as_slice());
        let result = pen.write(texts, &mut buffer);
        if let Err(fault) = &result {
            tracing::error!(%fault, facts = waiting.len(), "facts could not be journalled");
        }
        for (number, (_, waiting)) in (0..).zip(waiting.drain(..)) {
            let answer = result.clone().map(|first| Position(first + number));
            let _ = waiting.answer.send(answer);
        }
        queue.free(weight);
    }
}

#[cfg(test)]
mod tests;

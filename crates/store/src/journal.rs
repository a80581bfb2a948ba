//! The journal: facts in a log (`tape`), on disk before they are acknowledged.
//!
//! One thread takes all facts that wait, writes them with one call, syncs once, and answers all.

use crate::{
    Options,
    fault::{aside, of_io, stopped},
    home::Home,
    lsm::Lsm,
    queue::{Queue, Urgency},
    tape::{Buffer, Pen, Tape},
};
use async_trait::async_trait;
use model::{error::Fault, fact::Fact, id::Position, port::Journal};
use parking_lot::Mutex;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};
use tokio::sync::oneshot;

/// The longest fact, in bytes of JSON.
const LONGEST_FACT: usize = 8 << 20;
/// A read ends early when its facts have so many bytes of JSON.
const LONGEST_READ: usize = 8 << 20;
/// How long facts that nobody waits for stay in line after the disk refused them.
const AGAIN: Duration = Duration::from_millis(500);

pub(crate) struct Log {
    tape: Arc<Tape>,
    queue: Arc<Queue<Waiting>>,
    /// The last write failed.
    trouble: Arc<AtomicBool>,
    lsm: Arc<Lsm>,
    trimming: Arc<Mutex<()>>,
    writer: Option<JoinHandle<()>>,
    _home: Arc<Home>,
}

/// A fact that waits to be written; one without a text asks only that all before it be on disk.
struct Waiting {
    text: Vec<u8>,
    /// Who waits for it; nobody for a fact that was only noted.
    answer: Option<oneshot::Sender<Result<Position, Fault>>>,
}

impl Log {
    pub(crate) fn open(home: &Arc<Home>, lsm: Arc<Lsm>, options: &Options) -> Result<Self, Fault> {
        let (tape, pen) = Tape::open("journal", home.join("journal"), options.segment_bytes)?;
        let queue = Arc::new(Queue::new(options.journal_queue_bytes));
        let thread = std::thread::Builder::new().name("journal".into());
        let waiting = queue.clone();
        let trouble = Arc::new(AtomicBool::new(false));
        let failed = trouble.clone();
        let thread = thread.spawn(move || write(&waiting, pen, &failed));
        Ok(Self {
            writer: Some(thread.map_err(|e| of_io("starting the writer of", tape.folder(), &e))?),
            tape,
            queue,
            trouble,
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

impl Log {
    /// Puts it in line, and waits until it is on disk.
    async fn wait_for(&self, text: Vec<u8>) -> Result<Position, Fault> {
        let (answer, answered) = oneshot::channel();
        let weight = weight_of(&text);
        let answer = Some(answer);
        self.queue.push(weight, Waiting { text, answer }).await?;
        answered.await.map_err(|_| stopped())?
    }
}

fn text_of(fact: Fact) -> Result<Vec<u8>, Fault> {
    let text = serde_json::to_vec(&fact);
    let text = text.map_err(|e| Fault::lasting(format!("a fact: {e}")))?;
    drop(fact);
    if text.len() > LONGEST_FACT {
        return Err(Fault::lasting("a fact is too long for the journal"));
    }
    Ok(text)
}

fn weight_of(text: &[u8]) -> u32 {
    u32::try_from(text.len()).unwrap_or(u32::MAX)
}

#[async_trait]
impl Journal for Log {
    async fn append(&self, fact: Fact) -> Result<Position, Fault> {
        self.wait_for(text_of(fact)?).await
    }

    async fn note(&self, fact: Fact) -> Result<(), Fault> {
        let text = text_of(fact)?;
        if self.trouble.load(Ordering::Relaxed) {
            // Its caller should know, and nothing piles up meanwhile.
            return self.wait_for(text).await.map(drop);
        }
        let weight = weight_of(&text);
        let waiting = Waiting { text, answer: None };
        self.queue.put(weight, waiting, Urgency::Soon).await
    }

    async fn settled(&self) -> Result<(), Fault> {
        if self.queue.is_quiet() {
            return Ok(());
        }
        self.wait_for(Vec::new()).await.map(drop)
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
fn write(queue: &Queue<Waiting>, mut pen: Pen, trouble: &AtomicBool) {
    let mut waiting = Vec::new();
    let mut buffer = Buffer::default();
    while let Some(weight) = queue.take(&mut waiting) {
        let texts = waiting.iter().map(|(_, waiting)| waiting.text.as_slice());
        let texts: Vec<_> = texts.filter(|text| !text.is_empty()).collect();
        let facts = texts.len();
        let result = match facts {
            0 => Ok(0),
            _ => pen.write(texts.into_iter(), &mut buffer),
        };
        if facts > 0 {
            trouble.store(result.is_err(), Ordering::Relaxed);
        }
        if let Err(fault) = &result {
            tracing::error!(%fault, facts, "facts could not be journalled");
        }
        let kept = answer(queue, &mut waiting, &result);
        queue.free(weight - kept);
    }
}

/// Tells who waits what became of it; `result` has the first position. Facts that were only noted
/// stay in line when they could not be written; gives back their weight.
fn answer(
    queue: &Queue<Waiting>,
    waiting: &mut Vec<(u32, Waiting)>,
    result: &Result<u64, Fault>,
) -> u32 {
    let mut again = Vec::new();
    let mut number = 0;
    for (weight, Waiting { text, answer }) in waiting.drain(..) {
        let position = result.clone().map(|first| Position(first + number));
        number += u64::from(!text.is_empty());
        match answer {
            Some(answer) => drop(answer.send(position)),
            None if result.is_err() => again.push((weight, Waiting { text, answer })),
            None => {}
        }
    }
    if again.is_empty() {
        return 0;
    }
    let weight = again.iter().map(|(weight, _)| weight).sum();
    let lost = queue.put_back(again, AGAIN).len();
    if lost == 0 {
        return weight;
    }
    tracing::error!(
        facts = lost,
        "facts that nobody waits for are lost with this stop"
    );
    0
}

#[cfg(test)]
mod tests;

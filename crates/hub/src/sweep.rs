//! Housekeeping: what is too old goes, a bounded amount at a time.

use crate::{Hub, history};
use model::{
    error::Fault,
    id::{Position, Time},
    port::{Expect, Put},
};
use serde::{Deserialize, Serialize};

/// Rows that go in one step, so that a step never holds the engine for long.
const STEP: usize = 10_000;
/// Steps of one kind in one call.
const STEPS: usize = 20;
/// Marks that are kept for the life of the journal.
const MARKS: i64 = 168;

/// Documents that speak of this node's journal.
pub(crate) const KIND: &str = "journal";
const NAME: &str = "marks";

/// How long the journal was at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    at: Time,
    head: Position,
}

impl Hub {
    /// Forgets commands, histories and facts whose time is over, and writes down failures that
    /// were held back. To be called about once a minute; does a bounded amount of work.
    ///
    /// # Errors
    /// Engine trouble; what was not done is done by a later call.
    pub async fn sweep(&self, now: Time) -> Result<(), Fault> {
        self.audit_settle().await;
        for _ in 0..STEPS {
            let gone = self.ports.commands.expire(now, STEP).await?;
            self.metrics.command("expired", gone);
            if gone < STEP as u64 {
                break;
            }
        }
        let before = now.plus(-self.limits.history);
        for _ in 0..STEPS {
            if self.ports.series.expire(before, STEP).await? < STEP as u64 {
                break;
            }
        }
        self.upload_sweep(now).await?;
        self.sweep_journal(now).await
    }

    async fn sweep_journal(&self, now: Time) -> Result<(), Fault> {
        let journal = &self.ports.journal;
        let entry = self.ports.catalog.get(KIND, NAME).await?;
        let marks: Vec<Mark> = match &entry {
            Some(entry) => serde_json::from_slice(&entry.value)
                .map_err(|error| Fault::lasting(format!("marks of the journal: {error}")))?,
            None => Vec::new(),
        };
        let mark = Mark {
            at: now,
            head: journal.head(),
        };
        let turned = turn(marks.clone(), mark, self.limits.journal);
        if let Some(old) = turned.old {
            let mut until = old;
            for reader in history::READERS {
                until = until.min(journal.kept(reader).await?);
            }
            for _ in 0..STEPS {
                if journal.trim(until, STEP).await? < STEP as u64 {
                    break;
                }
            }
        }
        if turned.marks == marks {
            return Ok(());
        }
        let value = serde_json::to_vec(&turned.marks)
            .map_err(|error| Fault::lasting(format!("marks of the journal: {error}")))?;
        let put = Put {
            kind: KIND,
            key: NAME.to_owned(),
            value: Some(value.into()),
            expect: entry.map_or(Expect::Absent, |entry| Expect::Version(entry.version)),
        };
        // A conflict is another node that does the same work.
        self.ports.catalog.put(vec![put]).await.map(|_| ())
    }
}

struct Turned {
    marks: Vec<Mark>,
    /// All facts up to here are older than the journal's life.
    old: Option<Position>,
}

/// Adds a mark when it is time for one, and keeps the newest of the marks that are too old: it
/// goes on saying what may be forgotten until the next one is too old.
fn turn(mut marks: Vec<Mark>, mark: Mark, life: i64) -> Turned {
    let gap = (life / MARKS).max(60_000);
    if marks
        .last()
        .is_none_or(|last| mark.at.since(last.at) >= gap)
    {
        marks.push(mark);
    }
    let too_old = |candidate: &Mark| mark.at.since(candidate.at) > life;
    while marks.get(1).is_some_and(too_old) {
        marks.remove(0);
    }
    let old = marks.first().copied().filter(too_old).map(|mark| mark.head);
    Turned { marks, old }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{START, Stage};
    use model::{
        command::Order,
        fact::{Fact, What},
        product::DynamicRegistration,
    };
    use serde_json::Map;

    /// A fact stays for its life, and as long as a reader needs it.
    #[tokio::test]
    async fn old_facts_and_commands_go_but_not_before_their_readers() {
        let stage = Stage::set().await;
        let (product, _) = stage.product(DynamicRegistration::Off).await;
        let (device, _) = stage.device(&product, "lamp").await;
        let ports = &stage.ports;
        let fact = Fact {
            at: START,
            device: device.key.clone(),
            iot_id: device.iot_id.clone(),
            what: What::Enabled,
        };
        ports.journal.append(fact.clone()).await.unwrap();
        let order = Order::SetProperties(Map::new());
        let until = START.plus(1_000);
        let commands = &ports.commands;
        let pushed = commands
            .push(&device.key, &device.iot_id, &order, START, until, 9)
            .await;
        let command = pushed.unwrap().unwrap().id;
        let find = || commands.find(&device.iot_id, command);
        let sweep = || stage.hub.sweep(stage.hub.now());

        sweep().await.unwrap();
        assert!(find().await.unwrap().is_some());
        stage.clock.move_by(stage.hub.limits().journal);
        let second = ports.journal.append(fact).await.unwrap();
        sweep().await.unwrap();
        assert!(find().await.unwrap().is_none());
        stage.clock.move_by(1);
        sweep().await.unwrap();
        let facts = ports.journal.read(Position(0), 10).await.unwrap();
        assert_eq!(facts.len(), 2, "no reader was past the first");

        for reader in history::READERS {
            ports.journal.keep(reader, second).await.unwrap();
        }
        sweep().await.unwrap();
        let facts = ports.journal.read(Position(0), 10).await.unwrap();
        let left: Vec<Position> = facts.into_iter().map(|(at, _)| at).collect();
        assert_eq!(left, [second], "the second is not old enough");
    }

    #[test]
    fn facts_may_go_once_a_mark_behind_them_is_older_than_their_life() {
        const HOUR: i64 = 3_600_000;
        let life = 168 * HOUR;
        let mut marks = Vec::new();
        let mut forgotten = Position(0);
        for minute in 0..60 * 24 * 10_i64 {
            let at = Time(minute * 60_000);
            let head = Position(minute as u64);
            let turned = turn(marks, Mark { at, head }, life);
            marks = turned.marks;
            if let Some(old) = turned.old {
                let age = at.since(Time(old.0 as i64 * 60_000));
                assert!(age > life && age <= life + HOUR + 60_000, "{age}");
                forgotten = old;
            }
        }
        assert!(forgotten.0 > 60 * 24 * 2);
        assert!(marks.len() <= MARKS as usize + 2, "{}", marks.len());
    }
}

//! The journal's reader that turns facts into histories and latest values, and the pages that are
//! read from them.
//!
//! It works at least once: what it did before a crash it does again, and the engine keeps a point
//! of one fact once. Whoever reads a history waits for it first, so that what was acknowledged is
//! in the answer.

use crate::{
    Hub,
    property::{Page, PageWanted},
};
use model::{
    command::{Answer, Order},
    device::Device,
    error::{DeviceError, Fault},
    fact::{Fact, What},
    id::{DeviceKey, IotId, Position},
    port::{Point, Range, Seen, Series, Stream},
    thing::EventKind,
};
use serde_json::json;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time,
};

/// Names of the journal's readers: no fact is forgotten before all of them have done it.
pub(crate) const READERS: [&str; 1] = [READER];
const READER: &str = "history";
/// Facts that are worked on at once.
const BATCH: usize = 2_000;
/// How long the reader lets facts gather when nobody waits for them, so that many share a sync.
const GATHER: Duration = Duration::from_millis(200);
/// How long a caller waits for the reader before it is told to come again.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause after engine trouble; doubled up to the most.
const PAUSE_LEAST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(5);
/// How often an idle reader looks whether its position was taken back.
const LOOK: Duration = Duration::from_secs(1);
/// Points of one millisecond that a page takes in beyond its length; see `history_page`.
const CROWD: usize = 10_000;
/// Waiting commands of a deleted device that go at once.
const COMMANDS: usize = 100;

/// How far the reader is, for those who want to read what was just written.
pub struct Pace {
    /// All facts up to here are in the histories; `None` before the reader has begun.
    done: watch::Sender<Option<Position>>,
    /// Somebody waits for what was just written.
    wanted: Notify,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            done: watch::Sender::new(None),
            wanted: Notify::new(),
        }
    }
}

/// What a batch of facts means for histories and rows.
#[derive(Default)]
struct Harvest {
    points: Vec<Point>,
    /// One for each device, however often it came and went.
    seen: HashMap<IotId, Seen>,
    deleted: HashSet<IotId>,
}

impl Hub {
    /// Reads the journal until `stop` becomes true (or its sender goes away). On trouble with an
    /// engine it logs, waits, and tries again.
    pub async fn history_run(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut pause = PAUSE_LEAST;
        loop {
            let outcome = tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                outcome = self.history_turn() => outcome,
            };
            let Err(fault) = outcome else {
                pause = PAUSE_LEAST;
                continue;
            };
            tracing::warn!(%fault, "histories are not written; trying again");
            // An engine that had to begin anew has another position for us now.
            self.pace.done.send_replace(None);
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                () = time::sleep(pause) => {}
            }
            pause = PAUSE_MOST.min(pause * 2);
        }
    }

    /// How many facts of the journal are not in the histories yet; none before the reader has
    /// begun.
    pub fn history_behind(&self) -> Option<u64> {
        let done = (*self.pace.done.borrow())?;
        Some(self.ports.journal.head().0.saturating_sub(done.0))
    }

    /// The last fact that is in the histories, 0 when none is.
    pub fn history_done(&self) -> u64 {
        self.pace.done.borrow().map_or(0, |done| done.0)
    }

    /// Waits until all that is in the journal now is in the histories.
    pub(crate) async fn history_caught_up(&self) -> Result<(), Fault> {
        self.ports.journal.settled().await?;
        let head = self.ports.journal.head();
        let mut done = self.pace.done.subscribe();
        if done.borrow().unwrap_or_default() < head {
            self.pace.wanted.notify_one();
        }
        let reached = done.wait_for(|done| done.unwrap_or_default() >= head);
        match time::timeout(PATIENCE, reached).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Fault::passing("histories lag behind the journal")),
        }
    }

    /// A page of a history, once it has all that was acknowledged before.
    ///
    /// A caller goes on with the time that `next` names, inclusive; so a page never splits the
    /// points of one millisecond. It ends before a millisecond that does not fit whole. Only where
    /// one millisecond alone is longer than a page does the page grow, up to ten thousand points;
    /// of a millisecond with more than that, the rest is passed over.
    pub(crate) async fn history_page(
        &self,
        id: &IotId,
        stream: Stream,
        identifier: Option<&str>,
        kind: Option<EventKind>,
        wanted: PageWanted,
    ) -> Result<Page, DeviceError> {
        self.check_page(wanted)?;
        self.history_caught_up().await?;
        let range = Range {
            iot_id: id.clone(),
            stream,
            identifier: identifier.map(str::to_owned),
            kind,
            from: wanted.from,
            to: wanted.to,
            oldest_first: wanted.oldest_first,
            most: wanted.most + 1,
        };
        Ok(page(&*self.ports.series, range).await?)
    }

    fn check_page(&self, wanted: PageWanted) -> Result<(), DeviceError> {
        if wanted.from > wanted.to {
            let text = "the time range ends before it begins";
            return Err(DeviceError::BadPage(text.into()));
        }
        // A caller that asks for several properties at once may ask for twice as many points of
        // each (spec/cloud-api.md §2: 100 instead of 50).
        let most = self.limits.history_page.saturating_mul(2);
        if !(1..=most).contains(&wanted.most) {
            let text = format!("a page has 1 to {most} points");
            return Err(DeviceError::BadPage(text));
        }
        Ok(())
    }

    /// Journals a fact of a device; it is on disk when this returns.
    pub(crate) async fn fact(
        &self,
        device: &DeviceKey,
        iot_id: &IotId,
        what: What,
    ) -> Result<Position, Fault> {
        let kind = kind_of(&what);
        let fact = Fact {
            at: self.now(),
            device: device.clone(),
            iot_id: iot_id.clone(),
            what,
        };
        let position = self.ports.journal.append(fact).await?;
        self.metrics.fact(kind);
        Ok(position)
    }

    /// Journals a fact of a device that acknowledges nothing to anybody, and does not wait for the
    /// disk. It stays in its order among the device's facts.
    pub(crate) async fn fact_note(
        &self,
        device: &DeviceKey,
        iot_id: &IotId,
        what: What,
    ) -> Result<(), Fault> {
        let kind = kind_of(&what);
        let fact = Fact {
            at: self.now(),
            device: device.clone(),
            iot_id: iot_id.clone(),
            what,
        };
        self.ports.journal.note(fact).await?;
        self.metrics.fact(kind);
        Ok(())
    }

    /// Journals that devices were registered; together, so that they share the way to the disk.
    pub(crate) async fn facts_registered(
        &self,
        devices: impl Iterator<Item = &Device>,
    ) -> Result<(), Fault> {
        let at = self.now();
        let mut appends = JoinSet::new();
        for device in devices {
            let journal = Arc::clone(&self.ports.journal);
            let fact = Fact {
                at,
                device: device.key.clone(),
                iot_id: device.iot_id.clone(),
                what: What::Registered,
            };
            appends.spawn(async move { journal.append(fact).await });
        }
        while let Some(appended) = appends.join_next().await {
            appended.map_err(|error| Fault::passing(format!("journalling: {error}")))??;
            self.metrics.fact(kind_of(&What::Registered));
        }
        Ok(())
    }

    /// Works on the next facts, or waits until there are some.
    async fn history_turn(&self) -> Result<(), Fault> {
        let journal = &self.ports.journal;
        let known = *self.pace.done.borrow();
        let after = match known {
            Some(after) => after,
            None => self.history_begin().await?,
        };
        let facts = journal.read(after, BATCH).await?;
        let Some(last) = facts.last().map(|(position, _)| *position) else {
            if time::timeout(LOOK, journal.grown(after)).await.is_ok() {
                self.history_gather().await;
            } else if journal.kept(READER).await? < after {
                self.pace.done.send_replace(None);
            }
            return Ok(());
        };
        let few = facts.len() < BATCH / 2;
        self.history_take(facts).await?;
        self.pace.done.send_replace(Some(last));
        journal.keep(READER, last).await?;
        if few {
            self.history_gather().await;
        }
        Ok(())
    }

    /// Where the reader goes on: behind what it did, or at the journal's beginning when the engine
    /// lost histories and they are made anew.
    async fn history_begin(&self) -> Result<Position, Fault> {
        let journal = &self.ports.journal;
        let (kept, head) = (journal.kept(READER).await?, journal.head());
        if kept == Position(0) && head > kept {
            tracing::warn!(facts = head.0, "histories are made anew from the journal");
            self.metrics.histories_made_anew();
        }
        self.pace.done.send_replace(Some(kept));
        Ok(kept)
    }

    /// Lets facts gather, unless somebody waits for them.
    async fn history_gather(&self) {
        tokio::select! {
            () = self.pace.wanted.notified() => {}
            () = time::sleep(GATHER) => {}
        }
    }

    async fn history_take(&self, facts: Vec<(Position, Fact)>) -> Result<(), Fault> {
        let mut harvest = Harvest::default();
        for (position, fact) in facts {
            harvest.take(position, fact);
        }
        if !harvest.points.is_empty() {
            self.ports.series.append(harvest.points).await?;
        }
        if !harvest.seen.is_empty() {
            let seen = harvest.seen.into_values().collect();
            self.ports.devices.seen(seen).await?;
        }
        for id in &harvest.deleted {
            self.ports.series.forget(id).await?;
            self.commands_forget(id).await?;
        }
        Ok(())
    }

    /// Ends what still waits for a device that is gone. What was handed to it already is forgotten
    /// when its time is over.
    async fn commands_forget(&self, id: &IotId) -> Result<(), Fault> {
        let commands = &self.ports.commands;
        let nobody = Answer {
            code: 0,
            data: serde_json::Value::Null,
            message: "the device was deleted".into(),
        };
        loop {
            let waiting = commands.waiting(id, self.now(), COMMANDS).await?;
            if waiting.is_empty() {
                return Ok(());
            }
            for command in waiting {
                commands.done(id, command.id, &nobody).await?;
            }
        }
    }
}

impl Harvest {
    fn seen(&mut self, id: &IotId) -> &mut Seen {
        self.seen.entry(id.clone()).or_insert_with(|| Seen {
            iot_id: id.clone(),
            online: None,
            offline: None,
            address: None,
        })
    }

    fn take(&mut self, position: Position, fact: Fact) {
        let point = |stream, identifier, kind, at, value| Point {
            iot_id: fact.iot_id.clone(),
            stream,
            identifier,
            kind,
            at,
            position,
            value,
        };
        match fact.what {
            What::PropertiesPosted { values } => {
                let points = values
                    .into_iter()
                    .map(|(name, value, at)| point(Stream::Property, name, None, at, value));
                self.points.extend(points);
            }
            What::EventPosted {
                identifier,
                kind,
                output,
                time,
            } => {
                let event = point(Stream::Event, identifier, Some(kind), time, output);
                self.points.push(event);
            }
            What::CommandAnswered {
                order: Order::Invoke {
                    identifier, input, ..
                },
                answer,
                ..
            } => {
                let call = json!({
                    "input": input,
                    "output": answer.data,
                    "code": answer.code,
                    "message": answer.message,
                });
                let call = point(Stream::Service, identifier, None, fact.at, call);
                self.points.push(call);
            }
            What::Online { address } => {
                let seen = self.seen(&fact.iot_id);
                if seen.online <= Some(fact.at) {
                    seen.online = Some(fact.at);
                    seen.address = Some(address);
                }
            }
            What::Offline { .. } => {
                let seen = self.seen(&fact.iot_id);
                seen.offline = seen.offline.max(Some(fact.at));
            }
            What::Deleted => {
                self.points.retain(|point| point.iot_id != fact.iot_id);
                self.deleted.insert(fact.iot_id);
            }
            What::CommandAnswered {
                order:
                    Order::SetProperties(_)
                    | Order::GetProperties(_)
                    | Order::BindSubs(_)
                    | Order::Upgrade(_)
                    | Order::Configure(_)
                    | Order::Wire(_)
                    | Order::Hear(_)
                    | Order::SendLog(_),
                ..
            }
            | What::TopologyAdded { .. }
            | What::TopologyRemoved { .. }
            | What::DevicesFound { .. }
            | What::Registered
            | What::Activated
            | What::Disabled
            | What::Enabled
            | What::CredentialReset
            | What::Reset { .. }
            | What::CommandSent { .. }
            | What::UpgradeMoved { .. }
            | What::Exposed { .. }
            | What::MessagePublished { .. } => {}
        }
    }
}

/// The page of a range that asks for one point more than a page has.
async fn page(series: &dyn Series, range: Range) -> Result<Page, Fault> {
    let most = range.most - 1;
    let mut points = series.range(&range).await?;
    if points.len() <= most {
        return Ok(Page { points, next: None });
    }
    let over = points[most].at;
    points.truncate(most);
    while points.last().is_some_and(|point| point.at == over) {
        points.pop();
    }
    if !points.is_empty() {
        return Ok(Page {
            points,
            next: Some(over),
        });
    }
    // One millisecond has more points than a page.
    let crowd = Range {
        from: over,
        to: over,
        most: CROWD,
        ..range.clone()
    };
    let (from, to) = match range.oldest_first {
        true => (over.plus(1), range.to),
        false => (range.from, over.plus(-1)),
    };
    let points = series.range(&crowd).await?;
    if points.len() == CROWD {
        tracing::warn!(device = %range.iot_id, at = over.0, "a millisecond holds too many points");
    }
    let rest = Range {
        from,
        to,
        most: 1,
        ..range
    };
    let next = match from <= to {
        true => series.range(&rest).await?.first().map(|point| point.at),
        false => None,
    };
    Ok(Page { points, next })
}

/// The kind of a fact, for metrics.
fn kind_of(what: &What) -> &'static str {
    match what {
        What::Registered => "registered",
        What::Activated => "activated",
        What::Online { .. } => "online",
        What::Offline { .. } => "offline",
        What::Disabled => "disabled",
        What::Enabled => "enabled",
        What::Deleted => "deleted",
        What::CredentialReset => "credential_reset",
        What::Reset { .. } => "reset",
        What::PropertiesPosted { .. } => "properties_posted",
        What::EventPosted { .. } => "event_posted",
        What::CommandSent { .. } => "command_sent",
        What::CommandAnswered { .. } => "command_answered",
        What::UpgradeMoved { .. } => "upgrade_moved",
        What::Exposed { .. } => "exposed",
        What::MessagePublished { .. } => "message_published",
        What::TopologyAdded { .. } => "topology_added",
        What::TopologyRemoved { .. } => "topology_removed",
        What::DevicesFound { .. } => "devices_found",
    }
}

async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error says that nobody is left who could say stop.
    let _ = stop.wait_for(|stop| *stop).await;
}

#[cfg(test)]
pub(crate) mod tests;

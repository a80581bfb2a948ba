//! Histories of what devices sent, in an LSM tree.
//!
//! A point is kept under its device, history, identifier, time and position, so that a range is a
//! seek and one walk in either order. Events and calls can be asked for without an identifier, so
//! they are listed by time as well, and events by kind and time. `ages` lists points over all
//! devices by time, one row for all points that one fact has of one time.

mod key;

use crate::{
    fault::aside,
    lsm::{Lsm, Trees},
};
use async_trait::async_trait;
use fjall::{Keyspace, OwnedWriteBatch, UserValue};
use key::{Age, Family};
use model::{
    error::Fault,
    id::{IotId, Time},
    port::{Point, Range, Series, Stream},
    thing::EventKind,
};
use parking_lot::Mutex;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

/// Rows that are removed in one step.
const STEP: usize = 4096;
/// How long points may be in memory and the write-ahead log alone; much less than the journal
/// keeps their facts.
const FLUSH: Duration = Duration::from_secs(6 * 60 * 60);

pub(crate) struct Histories(Arc<Inner>);

struct Inner {
    lsm: Arc<Lsm>,
    changes: Mutex<Changes>,
}

/// What only one change at a time may look at: the latest value is read and then written.
#[derive(Default)]
struct Changes {
    /// No point is older than this, so that expiry need not walk over what it removed before.
    oldest: Option<Time>,
    /// When all points were last sent from memory to tables.
    flushed: Option<Instant>,
}

impl Histories {
    pub(crate) fn new(lsm: Arc<Lsm>) -> Self {
        Self(Arc::new(Inner {
            lsm,
            changes: Mutex::default(),
        }))
    }

    /// Puts back points of a backup, and latest values whose points are gone. Blocks.
    pub(crate) fn restore(&self, points: &[Point], latest: &[Point]) -> Result<(), Fault> {
        self.0.append(points)?;
        self.0.lsm.write(|trees| {
            let mut batch = trees.db.batch();
            let mut known = HashMap::new();
            for point in latest {
                let text = serde_json::to_vec(&point.value).map_err(|_| damaged())?;
                put_latest(trees, &mut batch, &mut known, point, &text)?;
            }
            Trees::commit(batch)
        })
    }
}

#[async_trait]
impl Series for Histories {
    async fn append(&self, points: Vec<Point>) -> Result<(), Fault> {
        if points.is_empty() {
            return Ok(());
        }
        if points.iter().any(|p| p.identifier.len() > key::LONGEST) {
            return Err(Fault::lasting(
                "a point's identifier is too long to be kept",
            ));
        }
        let inner = self.0.clone();
        aside(move || inner.append(&points)).await
    }

    async fn range(&self, range: &Range) -> Result<Vec<Point>, Fault> {
        if range.stream == Stream::Property && range.identifier.is_none() {
            return Err(Fault::lasting(
                "a range of property values names no property",
            ));
        }
        let (inner, range) = (self.0.clone(), range.clone());
        aside(move || inner.range(&range)).await
    }

    async fn latest(&self, id: &IotId) -> Result<Vec<Point>, Fault> {
        let (inner, id) = (self.0.clone(), id.clone());
        aside(move || inner.latest(&id)).await
    }

    async fn forget(&self, id: &IotId) -> Result<(), Fault> {
        let (inner, id) = (self.0.clone(), id.clone());
        aside(move || inner.forget(&id)).await
    }

    async fn expire(&self, before: Time, most: usize) -> Result<u64, Fault> {
        let inner = self.0.clone();
        aside(move || inner.expire(before, most)).await
    }
}

impl Inner {
    fn append(&self, points: &[Point]) -> Result<(), Fault> {
        let mut changes = self.changes.lock();
        let texts: Result<Vec<_>, _> = points
            .iter()
            .map(|point| serde_json::to_vec(&point.value))
            .collect();
        let texts = texts.map_err(|e| Fault::lasting(format!("a point's value: {e}")))?;
        // Before the write: one that fails may have reached the disk.
        let oldest = points.iter().map(|point| point.at).min();
        changes.oldest = changes.oldest.min(oldest);
        self.lsm.write(|trees| {
            let mut batch = trees.db.batch();
            let mut latest: HashMap<Vec<u8>, (Time, u64)> = HashMap::new();
            for (point, text) in points.iter().zip(&texts) {
                put_point(trees, &mut batch, point, text);
                if point.stream == Stream::Property {
                    put_latest(trees, &mut batch, &mut latest, point, text)?;
                }
            }
            let together = |a: &Point, b: &Point| {
                a.at == b.at
                    && a.position == b.position
                    && a.stream == b.stream
                    && a.iot_id == b.iot_id
            };
            for group in points.chunk_by(together) {
                let age = Age::of(group);
                batch.insert(&trees.ages, age.key(), age.value());
            }
            Trees::commit(batch)
        })
    }

    fn range(&self, range: &Range) -> Result<Vec<Point>, Fault> {
        let id = &range.iot_id;
        let nothing = range.from > range.to
            || range.most == 0
            || (range.kind.is_some() && range.stream != Stream::Event);
        if nothing {
            return Ok(Vec::new());
        }
        let (family, base) = match (&range.identifier, range.kind, range.stream) {
            (Some(identifier), _, stream) => {
                let family = Family::Points(stream);
                (family, key::of_identifier(id, stream, identifier))
            }
            (None, Some(kind), _) => (Family::ByKind, key::of_kind(id, kind)),
            (None, None, stream) => (
                Family::ByTime(stream),
                key::of_family(id, Family::ByTime(stream)),
            ),
        };
        let (from, to) = key::between(&base, range.from, range.to);
        let mut found = Vec::new();
        self.lsm.read(|trees| {
            let rows = trees.points.range(from..to);
            let mut take = |row: fjall::Guard| -> Result<bool, fjall::Error> {
                let (key, mut value) = row.into_inner()?;
                let Some(mut point) = key::read(id, family, range, &base, &key) else {
                    return Err(damaged());
                };
                if !matches!(family, Family::Points(_)) {
                    let main = key::of_point(&point);
                    match trees.points.get(main)? {
                        Some(kept) => value = kept,
                        // Forgotten while we walk.
                        None => return Ok(true),
                    }
                }
                read_value(&mut point, &value)?;
                if range.kind.is_none() || range.kind == point.kind {
                    found.push(point);
                }
                Ok(found.len() < range.most)
            };
            if range.oldest_first {
                for row in rows {
                    if !take(row)? {
                        break;
                    }
                }
            } else {
                for row in rows.rev() {
                    if !take(row)? {
                        break;
                    }
                }
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn latest(&self, id: &IotId) -> Result<Vec<Point>, Fault> {
        let prefix = key::of_device(id);
        self.lsm.read(|trees| {
            let mut points = Vec::new();
            for row in trees.latest.prefix(&prefix) {
                let (key, value) = row.into_inner()?;
                points.push(key::read_latest(id, &prefix, &key, &value).ok_or_else(damaged)?);
            }
            Ok(points)
        })
    }

    fn forget(&self, id: &IotId) -> Result<(), Fault> {
        let _changes = self.changes.lock();
        let prefix = key::of_device(id);
        loop {
            let mut removed = 0;
            self.lsm.write(|trees| {
                let mut batch = trees.db.batch();
                for row in trees.points.prefix(&prefix).take(STEP) {
                    let (key, value) = row.into_inner()?;
                    removed += 1;
                    if let Some(mut point) = key::read_any(id, &prefix, &key) {
                        read_value(&mut point, &value)?;
                        let age = Age::of(std::slice::from_ref(&point)).key();
                        if trees.ages.contains_key(&age)? {
                            batch.remove(&trees.ages, age);
                        }
                    }
                    batch.remove(&trees.points, key);
                }
                remove_all(&trees.latest, &prefix, &mut batch, &mut removed)?;
                Trees::commit(batch)
            })?;
            if removed < STEP {
                return Ok(());
            }
        }
    }

    fn expire(&self, before: Time, most: usize) -> Result<u64, Fault> {
        let mut changes = self.changes.lock();
        if changes.flushed.is_none_or(|at| at.elapsed() > FLUSH) {
            self.lsm.write(Trees::flush)?;
            changes.flushed = Some(Instant::now());
        }
        let from = changes.oldest.unwrap_or(Time(i64::MIN));
        if from >= before || most == 0 {
            return Ok(0);
        }
        // A point may be listed twice, when a fact was appended again in other parts.
        let mut gone = HashSet::new();
        let mut removed = 0;
        let mut reached = before;
        self.lsm.write(|trees| {
            let mut batch = trees.db.batch();
            for row in trees.ages.range(key::of_time(from)..key::of_time(before)) {
                let (key, value) = row.into_inner()?;
                let mut age = Age::read(&key, &value).ok_or_else(damaged)?;
                if removed >= most || batch.len() >= 4 * STEP {
                    reached = age.at;
                    break;
                }
                let rest = age.points.split_off(age.points.len().min(most - removed));
                for point in age.points() {
                    let main = key::of_point(&point);
                    if trees.points.contains_key(&main)? && gone.insert(main.clone()) {
                        removed += 1;
                    }
                    remove_point(trees, &mut batch, &point, main);
                }
                if rest.is_empty() {
                    batch.remove(&trees.ages, key);
                } else {
                    reached = age.at;
                    age.points = rest;
                    batch.insert(&trees.ages, key, age.value());
                    break;
                }
            }
            Trees::commit(batch)
        })?;
        changes.oldest = Some(reached);
        Ok(removed as u64)
    }
}

fn put_point(trees: &Trees, batch: &mut OwnedWriteBatch, point: &Point, text: &[u8]) {
    let mut value = Vec::with_capacity(text.len() + 1);
    value.push(key::of_event_kind(point.kind));
    value.extend_from_slice(text);
    batch.insert(&trees.points, key::of_point(point), value);
    for listed in key::lists(point) {
        batch.insert(&trees.points, listed, []);
    }
}

fn remove_point(trees: &Trees, batch: &mut OwnedWriteBatch, point: &Point, main: Vec<u8>) {
    batch.remove(&trees.points, main);
    for listed in key::lists(point) {
        batch.remove(&trees.points, listed);
    }
}

/// Writes the latest value unless the one there is later. `known` holds what this batch did.
fn put_latest(
    trees: &Trees,
    batch: &mut OwnedWriteBatch,
    known: &mut HashMap<Vec<u8>, (Time, u64)>,
    point: &Point,
    text: &[u8],
) -> Result<(), fjall::Error> {
    let key = key::of_latest(&point.iot_id, &point.identifier);
    let former = match known.get(&key) {
        Some(former) => Some(*former),
        None => match trees.latest.get(&key)? {
            Some(value) => Some(key::read_stamp(&value).ok_or_else(damaged)?.0),
            None => None,
        },
    };
    let stamp = (point.at, point.position.0);
    if former.is_none_or(|former| stamp >= former) {
        let mut value = key::of_stamp(point.at, point.position);
        value.extend_from_slice(text);
        batch.insert(&trees.latest, key.clone(), value);
        known.insert(key, stamp);
    }
    Ok(())
}

fn remove_all(
    keyspace: &Keyspace,
    prefix: &[u8],
    batch: &mut OwnedWriteBatch,
    removed: &mut usize,
) -> Result<(), fjall::Error> {
    for row in keyspace.prefix(prefix).take(STEP) {
        batch.remove(keyspace, row.key()?);
        *removed += 1;
    }
    Ok(())
}

fn read_value(point: &mut Point, value: &UserValue) -> Result<(), fjall::Error> {
    let (kind, text) = value.split_first().ok_or_else(damaged)?;
    point.kind = key::read_event_kind(*kind).ok_or_else(damaged)?;
    point.value = serde_json::from_slice(text).map_err(|_| damaged())?;
    Ok(())
}

/// The point that a row holds; none when the row only lists one.
pub(crate) fn point_of(key: &[u8], value: &UserValue) -> Result<Option<Point>, fjall::Error> {
    let (id, device) = key::device(key).ok_or_else(damaged)?;
    let Some(mut point) = key::read_any(&id, device, key) else {
        return Ok(None);
    };
    read_value(&mut point, value)?;
    Ok(Some(point))
}

/// The latest value that a row holds.
pub(crate) fn latest_of(key: &[u8], value: &[u8]) -> Option<Point> {
    let (id, device) = key::device(key)?;
    key::read_latest(&id, device, key, value)
}

/// Whether a point can be kept.
pub(crate) fn check(point: &Point) -> Result<(), String> {
    if point.identifier.len() > key::LONGEST {
        return Err("a point's identifier is too long".into());
    }
    Ok(())
}

fn damaged() -> fjall::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "a damaged row").into()
}

/// Kinds by their numbers in keys and values; 0 is none.
const KINDS: [Option<EventKind>; 4] = [
    None,
    Some(EventKind::Info),
    Some(EventKind::Alert),
    Some(EventKind::Error),
];

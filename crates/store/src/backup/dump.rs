//! Histories as lines of JSON: readers' positions first, then points, then latest values.

use crate::{
    Options,
    fault::{of_io, of_lsm},
    home::Home,
    lsm::{Lsm, Trees},
    series::{self, Histories},
    sightings::{Sighting, Sightings},
};
use fjall::{Guard, Iter, Keyspace, Readable, Snapshot};
use model::{
    error::Fault,
    id::{IotId, Position},
    port::Point,
};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, BufRead, Read},
    path::Path,
    sync::Arc,
};

/// Points that are put back at once.
const BATCH: usize = 4096;
/// The longest line, in bytes: a point's value is a part of a fact.
const LONGEST: u64 = 16 << 20;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    /// How far a reader of the journal was.
    Reader(String, Position),
    /// A point of a history.
    Point(Point),
    /// A latest value, which outlives its point.
    Latest(Point),
    /// When a device was last seen.
    Seen(IotId, Sighting),
}

/// Reads the histories as they were when it was made.
pub(super) struct Dump {
    // In this order: rows are let go before the view, and the view before the tree.
    rows: Iter,
    view: Snapshot,
    trees: Arc<Trees>,
    stage: Stage,
    text: Vec<u8>,
    given: usize,
}

#[derive(Clone, Copy)]
enum Stage {
    Readers,
    Points,
    Latest,
    Sightings,
    End,
}

impl Dump {
    pub(super) fn of(lsm: &Lsm) -> Result<Self, Fault> {
        let trees = lsm.trees()?;
        let view = trees.db.snapshot();
        Ok(Self {
            rows: view.iter(&trees.readers),
            view,
            trees,
            stage: Stage::Readers,
            text: Vec::new(),
            given: 0,
        })
    }

    /// Goes on to the next stage.
    fn turn(&mut self) {
        let rows = |keyspace: &Keyspace| self.view.iter(keyspace);
        (self.stage, self.rows) = match self.stage {
            Stage::Readers => (Stage::Points, rows(&self.trees.points)),
            Stage::Points => (Stage::Latest, rows(&self.trees.latest)),
            Stage::Latest => (Stage::Sightings, rows(&self.trees.sightings)),
            Stage::Sightings | Stage::End => {
                self.stage = Stage::End;
                return;
            }
        };
    }

    /// What a row says; none for rows that only list others.
    fn line(&self, row: Guard) -> Result<Option<Line>, Fault> {
        let (key, value) = row.into_inner().map_err(|error| of_lsm(&error))?;
        let damaged = || Fault::lasting("histories: a damaged row");
        Ok(match self.stage {
            Stage::Readers => {
                let name = String::from_utf8(key.to_vec()).map_err(|_| damaged())?;
                let bytes = value.as_ref().try_into().map_err(|_| damaged())?;
                let position = Position(u64::from_be_bytes(bytes));
                Some(Line::Reader(name, position))
            }
            Stage::Points => series::point_of(&key, &value)
                .map_err(|error| of_lsm(&error))?
                .map(Line::Point),
            Stage::Latest => Some(Line::Latest(
                series::latest_of(&key, &value).ok_or_else(damaged)?,
            )),
            Stage::Sightings => {
                let id = std::str::from_utf8(&key).ok();
                let id = id.and_then(|id| IotId::parse(id).ok());
                let seen = Sighting::read(&value);
                let (id, seen) = id.zip(seen).ok_or_else(damaged)?;
                Some(Line::Seen(id, seen))
            }
            Stage::End => None,
        })
    }
}

impl Read for Dump {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.text.len() {
            self.text.clear();
            self.given = 0;
            // Some rows at once, so that a call is worth its while.
            while self.text.len() < 64 << 10 {
                let Some(row) = self.rows.next() else {
                    self.turn();
                    if matches!(self.stage, Stage::End) {
                        break;
                    }
                    continue;
                };
                let line = self
                    .line(row)
                    .map_err(|fault| io::Error::other(fault.context))?;
                if let Some(line) = line {
                    serde_json::to_writer(&mut self.text, &line)?;
                    self.text.push(b'\n');
                }
            }
            if self.text.is_empty() {
                return Ok(0);
            }
        }
        let rest = &self.text[self.given..];
        let many = rest.len().min(buffer.len());
        buffer[..many].copy_from_slice(&rest[..many]);
        self.given += many;
        Ok(many)
    }
}

/// Puts the histories of a backup into a folder that has none yet: all of them, or what comes of
/// facts up to `until`. Gives back how many points there were.
///
/// # Errors
/// When the folder is in use or has histories, when the disk refuses, or when a line is none.
pub fn restore_histories(
    folder: &Path,
    options: &Options,
    mut lines: impl BufRead,
    until: Option<Position>,
) -> Result<u64, Fault> {
    let home = Arc::new(Home::open(folder)?);
    let lsm = Arc::new(Lsm::open(&home, options)?);
    let histories = Histories::new(lsm.clone());
    let sightings = Sightings::new(lsm.clone());
    let kept = |position: Position| until.is_none_or(|until| position <= until);
    let mut readers = Vec::new();
    let mut points = Vec::new();
    let mut latest = Vec::new();
    let mut seen = Vec::new();
    let mut put = 0;
    let mut number = 0_u64;
    loop {
        let line = next(&mut lines, &mut number)?;
        let full = points.len() + latest.len() + seen.len() >= BATCH;
        if full || line.is_none() {
            histories.restore(&points, &latest)?;
            sightings.put(seen.drain(..))?;
            put += points.len() as u64;
            points.clear();
            latest.clear();
        }
        match line {
            None => break,
            Some(Line::Reader(name, position)) => {
                readers.push((name, until.map_or(position, |until| position.min(until))));
            }
            Some(Line::Point(point)) if kept(point.position) => points.push(point),
            Some(Line::Latest(point)) if kept(point.position) => latest.push(point),
            Some(Line::Point(_) | Line::Latest(_)) => {}
            Some(Line::Seen(id, sighting)) => seen.push((id, sighting)),
        }
    }
    // Last: a reader is never ahead of what is there.
    for (name, position) in readers {
        lsm.keep(&name, position)?;
    }
    lsm.settle()?;
    Ok(put)
}

fn next(lines: &mut impl BufRead, number: &mut u64) -> Result<Option<Line>, Fault> {
    let mut text = Vec::new();
    *number += 1;
    lines
        .take(LONGEST)
        .read_until(b'\n', &mut text)
        .map_err(|error| of_io("reading", Path::new(super::HISTORIES), &error))?;
    if text.is_empty() {
        return Ok(None);
    }
    parse(&text)
        .map(Some)
        .map_err(|why| Fault::lasting(format!("{} line {number}: {why}", super::HISTORIES)))
}

fn parse(text: &[u8]) -> Result<Line, String> {
    let line: Line = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    match &line {
        Line::Point(point) | Line::Latest(point) => series::check(point)?,
        Line::Reader(name, _) if name.is_empty() || name.len() > 64 => {
            return Err("that is no reader's name".into());
        }
        Line::Reader(..) | Line::Seen(..) => {}
    }
    Ok(line)
}

/// What must hold for any bytes from outside.
#[cfg(any(test, fuzzing))]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(line) = parse(bytes) {
        let text = serde_json::to_vec(&line).expect("a line can be written");
        assert_eq!(parse(&text), Ok(line));
    }
}

//! How points are named in the tree. All numbers are big-endian, so that bytes sort as numbers do.
//!
//! ```text
//! device   = length of id (1), id
//! points   : device, 'P' | 'E' | 'S', length of identifier (2), identifier, time, position → kind, JSON
//!            device, 'e' | 's', time, position, identifier                                 → nothing
//!            device, 'k', kind, time, position, identifier                                 → nothing
//! latest   : device, identifier                                       → time, position, JSON
//! ages     : time, position, device, 'P' | 'E' | 'S', first identifier
//!                                         → (kind, length of identifier (2), identifier) of each
//! ```

use super::KINDS;
use model::{
    id::{IotId, Position, Time},
    port::{Point, Range, Stream},
    thing::EventKind,
};
use serde_json::Value;

/// The longest identifier that is kept, in bytes.
pub(super) const LONGEST: usize = 4096;

/// Rows of one device that serve one kind of question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// The points themselves.
    Points(Stream),
    /// Points listed by time.
    ByTime(Stream),
    /// Events listed by kind, then by time.
    ByKind,
}

fn tag(family: Family) -> u8 {
    match family {
        Family::Points(Stream::Property) => b'P',
        Family::Points(Stream::Event) => b'E',
        Family::Points(Stream::Service) => b'S',
        Family::ByTime(Stream::Property) => b'p',
        Family::ByTime(Stream::Event) => b'e',
        Family::ByTime(Stream::Service) => b's',
        Family::ByKind => b'k',
    }
}

fn stream(tag: u8) -> Option<Stream> {
    match tag {
        b'P' => Some(Stream::Property),
        b'E' => Some(Stream::Event),
        b'S' => Some(Stream::Service),
        _ => None,
    }
}

pub(super) fn of_event_kind(kind: Option<EventKind>) -> u8 {
    match kind {
        None => 0,
        Some(EventKind::Info) => 1,
        Some(EventKind::Alert) => 2,
        Some(EventKind::Error) => 3,
    }
}

pub(super) fn read_event_kind(byte: u8) -> Option<Option<EventKind>> {
    KINDS.get(usize::from(byte)).copied()
}

/// Starts the names of all rows of a device.
pub(super) fn of_device(id: &IotId) -> Vec<u8> {
    let id = id.as_str().as_bytes();
    let mut key = Vec::with_capacity(id.len() + 96);
    key.push(u8::try_from(id.len()).expect("an IotId has at most 64 bytes"));
    key.extend_from_slice(id);
    key
}

/// The device of a row, and the part of its name that says so.
pub(super) fn device(key: &[u8]) -> Option<(IotId, &[u8])> {
    let length = usize::from(*key.first()?);
    let device = key.get(..=length)?;
    let id = std::str::from_utf8(&device[1..]).ok()?;
    Some((IotId::parse(id).ok()?, device))
}

pub(super) fn of_family(id: &IotId, family: Family) -> Vec<u8> {
    let mut key = of_device(id);
    key.push(tag(family));
    key
}

pub(super) fn of_kind(id: &IotId, kind: EventKind) -> Vec<u8> {
    let mut key = of_family(id, Family::ByKind);
    key.push(of_event_kind(Some(kind)));
    key
}

pub(super) fn of_identifier(id: &IotId, stream: Stream, identifier: &str) -> Vec<u8> {
    let mut key = of_family(id, Family::Points(stream));
    put_text(&mut key, identifier);
    key
}

pub(super) fn of_point(point: &Point) -> Vec<u8> {
    let mut key = of_identifier(&point.iot_id, point.stream, &point.identifier);
    key.extend_from_slice(&of_stamp(point.at, point.position));
    key
}

pub(super) fn of_latest(id: &IotId, identifier: &str) -> Vec<u8> {
    let mut key = of_device(id);
    key.extend_from_slice(identifier.as_bytes());
    key
}

/// The rows that list a point by time.
pub(super) fn lists(point: &Point) -> Vec<Vec<u8>> {
    let end = |mut key: Vec<u8>| {
        key.extend_from_slice(&of_stamp(point.at, point.position));
        key.extend_from_slice(point.identifier.as_bytes());
        key
    };
    let by_time = || end(of_family(&point.iot_id, Family::ByTime(point.stream)));
    match (point.stream, point.kind) {
        (Stream::Property, _) => Vec::new(),
        (Stream::Event, Some(kind)) => vec![by_time(), end(of_kind(&point.iot_id, kind))],
        (Stream::Event | Stream::Service, _) => vec![by_time()],
    }
}

/// A time so that its bytes sort as times do, those before 1970 too.
pub(super) fn of_time(time: Time) -> [u8; 8] {
    (time.0.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

pub(super) fn of_stamp(at: Time, position: Position) -> Vec<u8> {
    [of_time(at), position.0.to_be_bytes()].concat()
}

/// The rows from `from` to `to`, both included, of those whose names go on with a time after
/// `base`, as a range without its end.
pub(super) fn between(base: &[u8], from: Time, to: Time) -> (Vec<u8>, Vec<u8>) {
    let first = [base, of_time(from).as_slice()].concat();
    let mut end = [base, of_time(to).as_slice()].concat();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            break;
        }
    }
    (first, end)
}

/// A point as far as its row's name tells it.
pub(super) fn read(
    id: &IotId,
    family: Family,
    range: &Range,
    base: &[u8],
    key: &[u8],
) -> Option<Point> {
    let (at, position, rest) = read_stamp_and_rest(key.strip_prefix(base)?)?;
    let identifier = match family {
        Family::Points(_) => range.identifier.clone()?,
        Family::ByTime(_) | Family::ByKind => std::str::from_utf8(rest).ok()?.to_owned(),
    };
    Some(Point {
        iot_id: id.clone(),
        stream: range.stream,
        identifier,
        kind: None,
        at,
        position,
        value: Value::Null,
    })
}

/// A point as far as its row's name tells it; none when the row only lists one.
pub(super) fn read_any(id: &IotId, device: &[u8], key: &[u8]) -> Option<Point> {
    let (tag, rest) = key.strip_prefix(device)?.split_first()?;
    let stream = stream(*tag)?;
    let (identifier, rest) = take_text(rest)?;
    let (at, position, _) = read_stamp_and_rest(rest)?;
    Some(Point {
        iot_id: id.clone(),
        stream,
        identifier,
        kind: None,
        at,
        position,
        value: Value::Null,
    })
}

pub(super) fn read_latest(id: &IotId, device: &[u8], key: &[u8], value: &[u8]) -> Option<Point> {
    let identifier = std::str::from_utf8(key.strip_prefix(device)?).ok()?;
    let ((at, position), text) = read_stamp(value)?;
    Some(Point {
        iot_id: id.clone(),
        stream: Stream::Property,
        identifier: identifier.to_owned(),
        kind: None,
        at,
        position: Position(position),
        value: serde_json::from_slice(text).ok()?,
    })
}

/// Time, position, and what follows them.
pub(super) fn read_stamp(bytes: &[u8]) -> Option<((Time, u64), &[u8])> {
    let (at, position, rest) = read_stamp_and_rest(bytes)?;
    Some(((at, position.0), rest))
}

fn read_stamp_and_rest(bytes: &[u8]) -> Option<(Time, Position, &[u8])> {
    let (time, rest) = bytes.split_first_chunk()?;
    let (position, rest) = rest.split_first_chunk()?;
    let time = (u64::from_be_bytes(*time) ^ (1 << 63)).cast_signed();
    Some((Time(time), Position(u64::from_be_bytes(*position)), rest))
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("longer identifiers are refused before");
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    Some((std::str::from_utf8(text).ok()?.to_owned(), rest))
}

/// The points that one fact has of one time, as `ages` lists them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Age {
    pub(super) at: Time,
    position: Position,
    iot_id: IotId,
    stream: Stream,
    first: String,
    pub(super) points: Vec<(Option<EventKind>, String)>,
}

impl Age {
    /// Of points that differ in identifier and value alone; there is one at least.
    pub(super) fn of(points: &[Point]) -> Self {
        let first = &points[0];
        let point = |point: &Point| (point.kind, point.identifier.clone());
        Self {
            at: first.at,
            position: first.position,
            iot_id: first.iot_id.clone(),
            stream: first.stream,
            first: first.identifier.clone(),
            points: points.iter().map(point).collect(),
        }
    }

    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = of_stamp(self.at, self.position);
        key.extend_from_slice(&of_family(&self.iot_id, Family::Points(self.stream)));
        key.extend_from_slice(self.first.as_bytes());
        key
    }

    pub(super) fn value(&self) -> Vec<u8> {
        let mut value = Vec::new();
        for (kind, identifier) in &self.points {
            value.push(of_event_kind(*kind));
            put_text(&mut value, identifier);
        }
        value
    }

    pub(super) fn read(key: &[u8], mut value: &[u8]) -> Option<Self> {
        let (at, position, rest) = read_stamp_and_rest(key)?;
        let (length, rest) = rest.split_first()?;
        let (id, rest) = rest.split_at_checked(usize::from(*length))?;
        let (tag, first) = rest.split_first()?;
        let mut points = Vec::new();
        while let Some((kind, rest)) = value.split_first() {
            let (identifier, rest) = take_text(rest)?;
            points.push((read_event_kind(*kind)?, identifier));
            value = rest;
        }
        Some(Self {
            at,
            position,
            iot_id: IotId::parse(std::str::from_utf8(id).ok()?).ok()?,
            stream: stream(*tag)?,
            first: std::str::from_utf8(first).ok()?.to_owned(),
            points,
        })
    }

    /// The points without their values.
    pub(super) fn points(&self) -> impl Iterator<Item = Point> {
        self.points.iter().map(|(kind, identifier)| Point {
            iot_id: self.iot_id.clone(),
            stream: self.stream,
            identifier: identifier.clone(),
            kind: *kind,
            at: self.at,
            position: self.position,
            value: Value::Null,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(stream: Stream, identifier: &str, at: i64, position: u64) -> Point {
        Point {
            iot_id: IotId::parse("device-1").unwrap(),
            stream,
            identifier: identifier.into(),
            kind: (stream == Stream::Event).then_some(EventKind::Alert),
            at: Time(at),
            position: Position(position),
            value: Value::Null,
        }
    }

    #[test]
    fn names_sort_by_time_then_position() {
        let stamps = [
            (i64::MIN, 9),
            (-1, 0),
            (0, 0),
            (0, 255),
            (0, 256),
            (1, 0),
            (i64::MAX, u64::MAX),
        ];
        let keys = stamps.map(|(at, position)| of_point(&point(Stream::Event, "e", at, position)));
        assert!(keys.is_sorted());
        let id = IotId::parse("device-1").unwrap();
        let base = of_identifier(&id, Stream::Event, "e");
        let (from, to) = between(&base, Time(i64::MIN), Time(i64::MAX));
        assert!(keys.iter().all(|key| (&from..&to).contains(&key)));
        let (from, to) = between(&base, Time(0), Time(0));
        assert_eq!(
            keys.iter().filter(|key| (&from..&to).contains(key)).count(),
            3
        );
    }

    #[test]
    fn an_identifier_that_begins_another_has_rows_of_its_own() {
        let id = IotId::parse("device-1").unwrap();
        let base = of_identifier(&id, Stream::Property, "temp");
        let other = of_point(&point(Stream::Property, "temperature", 0, 0));
        assert!(!other.starts_with(&base));
        let other = IotId::parse("device-10").unwrap();
        assert!(!of_device(&other).starts_with(&of_device(&id)));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let device = of_device(&IotId::parse("device-1").unwrap());
        for stream in [Stream::Property, Stream::Event, Stream::Service] {
            let point = point(stream, "ä", -7, 3);
            let read = read_any(&point.iot_id, &device, &of_point(&point)).unwrap();
            assert_eq!((read.at, read.position), (point.at, point.position));
            assert_eq!((read.stream, &read.identifier), (stream, &point.identifier));
            let age = Age::of(&[point.clone(), point]);
            assert_eq!(Age::read(&age.key(), &age.value()), Some(age));
        }
    }

    #[test]
    fn damaged_rows_are_no_panic() {
        let age = Age::of(&[point(Stream::Event, "event", 5, 6)]);
        let (key, value) = (age.key(), age.value());
        let device = of_device(&IotId::parse("device-1").unwrap());
        for end in 0..key.len() {
            let _ = Age::read(&key[..end], &value[..end.min(value.len())]);
            let _ = read_any(&age.iot_id, &device, &key[..end]);
            let _ = read_stamp(&key[..end]);
        }
    }
}

//! Histories of what devices sent.
//!
//! A history is one property, event or service of one device; its row holds the latest value. Its
//! points hang on the row's number, so that the large table and its indexes stay narrow, and are
//! found by time. A question that names no event walks the few histories that the device has.

use crate::{Registry, fault::damaged, int, limit, uint};
use async_trait::async_trait;
use model::{
    error::Fault,
    id::{IotId, Position, Time},
    port::{Point, Range, Series, Stream},
    thing::EventKind,
};
use std::collections::{BTreeMap, HashMap};

/// Points that are removed in one transaction, so that none takes longer than a call may.
const STEP: i64 = 10_000;

/// Finds or makes the histories, and keeps what is later: the value there or the one given. The
/// rows stay locked until the points are in, so that `forget` finds both or neither.
const HISTORIES: &str = "INSERT INTO history AS h
        (iot_id, stream, identifier, kind, latest_at, latest_position, latest)
    SELECT * FROM unnest($1::text[], $2::int2[], $3::text[], $4::int2[], $5::int8[], $6::int8[],
        $7::text[])
    ON CONFLICT (iot_id, stream, identifier, kind) DO UPDATE SET
        latest = CASE WHEN (excluded.latest_at, excluded.latest_position)
            >= (h.latest_at, h.latest_position) THEN excluded.latest ELSE h.latest END,
        latest_position = CASE WHEN (excluded.latest_at, excluded.latest_position)
            >= (h.latest_at, h.latest_position) THEN excluded.latest_position
            ELSE h.latest_position END,
        latest_at = greatest(excluded.latest_at, h.latest_at)
    RETURNING id, iot_id, stream, identifier, kind";

const POINTS: &str = "INSERT INTO point (history, at, position, value)
    SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[])
    ON CONFLICT DO NOTHING";

macro_rules! range {
    ($order:literal) => {
        concat!(
            "SELECT h.identifier, h.kind, p.at, p.position, p.value
             FROM history h CROSS JOIN LATERAL (
                 SELECT at, position, value FROM point
                 WHERE history = h.id AND at BETWEEN $5 AND $6
                 ORDER BY at ",
            $order,
            ", position ",
            $order,
            " LIMIT $7
             ) AS p
             WHERE h.iot_id = $1 AND h.stream = $2
               AND ($3::text IS NULL OR h.identifier = $3)
               AND ($4::int2 IS NULL OR h.kind = $4)
             ORDER BY p.at ",
            $order,
            ", p.position ",
            $order,
            ", h.identifier ",
            $order,
            " LIMIT $7"
        )
    };
}

#[async_trait]
impl Series for Registry {
    async fn append(&self, points: Vec<Point>) -> Result<(), Fault> {
        if points.is_empty() {
            return Ok(());
        }
        let texts: Result<Vec<_>, _> = points
            .iter()
            .map(|point| serde_json::to_string(&point.value))
            .collect();
        let texts = texts.map_err(|e| Fault::lasting(format!("a point's value: {e}")))?;
        // In the order of their keys, so that two appends never wait for each other in a ring.
        let mut heads: BTreeMap<Key<'_>, usize> = BTreeMap::new();
        for (i, point) in points.iter().enumerate() {
            let last = heads.entry(key(point)).or_insert(i);
            let stamp = |i: usize| (points[i].at, points[i].position);
            if stamp(i) >= stamp(*last) {
                *last = i;
            }
        }
        let (mut ids, mut streams, mut identifiers, mut kinds) = (vec![], vec![], vec![], vec![]);
        let (mut ats, mut positions, mut latest) = (vec![], vec![], vec![]);
        for ((id, stream, identifier, kind), last) in &heads {
            let point = &points[*last];
            ids.push(*id);
            streams.push(*stream);
            identifiers.push(*identifier);
            kinds.push(*kind);
            ats.push(point.at.0);
            positions.push(int(point.position.0));
            latest.push((point.stream == Stream::Property).then_some(texts[*last].as_str()));
        }
        let mut lease = self.lease().await?;
        lease.begin("BEGIN").await?;
        let rows = lease
            .rows(
                HISTORIES,
                &[
                    &ids,
                    &streams,
                    &identifiers,
                    &kinds,
                    &ats,
                    &positions,
                    &latest,
                ],
            )
            .await?;
        let numbers: HashMap<Key<'_>, i64> = rows
            .iter()
            .map(|row| {
                let key = (row.get(1), row.get(2), row.get(3), row.get(4));
                (key, row.get(0))
            })
            .collect();
        let histories: Option<Vec<i64>> = points
            .iter()
            .map(|point| numbers.get(&key(point)).copied())
            .collect();
        let histories = histories.ok_or_else(|| Fault::lasting("a history was not entered"))?;
        let at: Vec<_> = points.iter().map(|point| point.at.0).collect();
        let position: Vec<_> = points.iter().map(|point| int(point.position.0)).collect();
        lease
            .rows(POINTS, &[&histories, &at, &position, &texts])
            .await?;
        Ok(lease.commit().await?)
    }

    async fn range(&self, range: &Range) -> Result<Vec<Point>, Fault> {
        if range.stream == Stream::Property && range.identifier.is_none() {
            return Err(Fault::lasting(
                "a range of property values names no property",
            ));
        }
        let sql = if range.oldest_first {
            range!("ASC")
        } else {
            range!("DESC")
        };
        let rows = self
            .rows(
                sql,
                &[
                    &range.iot_id.as_str(),
                    &stream(range.stream),
                    &range.identifier,
                    &range.kind.map(|kind| of_kind(Some(kind))),
                    &range.from.0,
                    &range.to.0,
                    &limit(range.most),
                ],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Point {
                    iot_id: range.iot_id.clone(),
                    stream: range.stream,
                    identifier: row.get(0),
                    kind: read_kind(row.get(1))?,
                    at: Time(row.get(2)),
                    position: Position(uint(row.get(3))),
                    value: read_value(row.get(4))?,
                })
            })
            .collect()
    }

    async fn latest(&self, id: &IotId) -> Result<Vec<Point>, Fault> {
        let latest = "SELECT identifier, latest_at, latest_position, latest FROM history
             WHERE iot_id = $1 AND stream = 0 ORDER BY identifier";
        let rows = self.rows(latest, &[&id.as_str()]).await?;
        rows.iter()
            .map(|row| {
                Ok(Point {
                    iot_id: id.clone(),
                    stream: Stream::Property,
                    identifier: row.get(0),
                    kind: None,
                    at: Time(row.get(1)),
                    position: Position(uint(row.get(2))),
                    value: read_value(row.get::<_, Option<&str>>(3).unwrap_or_default())?,
                })
            })
            .collect()
    }

    async fn forget(&self, id: &IotId) -> Result<(), Fault> {
        let some = "DELETE FROM point WHERE ctid = ANY (ARRAY(
                 SELECT p.ctid FROM point p JOIN history h ON p.history = h.id
                 WHERE h.iot_id = $1 LIMIT $2))
             RETURNING 1";
        while self.rows(some, &[&id.as_str(), &STEP]).await?.len() as i64 == STEP {}
        // The rest with the histories themselves, so that no point is left without its history.
        let mut lease = self.lease().await?;
        lease.begin("BEGIN").await?;
        let histories = "SELECT id FROM history WHERE iot_id = $1
             ORDER BY iot_id, stream, identifier, kind FOR UPDATE";
        let histories = lease.rows(histories, &[&id.as_str()]).await?;
        let histories: Vec<i64> = histories.iter().map(|row| row.get(0)).collect();
        let points = "DELETE FROM point WHERE history = ANY ($1)";
        lease.rows(points, &[&histories]).await?;
        let heads = "DELETE FROM history WHERE id = ANY ($1)";
        lease.rows(heads, &[&histories]).await?;
        Ok(lease.commit().await?)
    }

    async fn expire(&self, before: Time, most: usize) -> Result<u64, Fault> {
        let expire = "WITH gone AS (
                 DELETE FROM point WHERE ctid = ANY (ARRAY(
                     SELECT ctid FROM point WHERE at < $1 ORDER BY at LIMIT $2
                     FOR UPDATE SKIP LOCKED))
                 RETURNING 1)
             SELECT count(*) FROM gone";
        let row = self.row(expire, &[&before.0, &limit(most)]).await?;
        Ok(row.map_or(0, |row| uint(row.get(0))))
    }
}

/// Device, stream, identifier and kind as the table has them.
type Key<'a> = (&'a str, i16, &'a str, i16);

fn key(point: &Point) -> Key<'_> {
    (
        point.iot_id.as_str(),
        stream(point.stream),
        &point.identifier,
        of_kind(point.kind),
    )
}

fn stream(stream: Stream) -> i16 {
    match stream {
        Stream::Property => 0,
        Stream::Event => 1,
        Stream::Service => 2,
    }
}

fn of_kind(kind: Option<EventKind>) -> i16 {
    match kind {
        None => 0,
        Some(EventKind::Info) => 1,
        Some(EventKind::Alert) => 2,
        Some(EventKind::Error) => 3,
    }
}

fn read_kind(number: i16) -> Result<Option<EventKind>, Fault> {
    Ok(match number {
        0 => None,
        1 => Some(EventKind::Info),
        2 => Some(EventKind::Alert),
        3 => Some(EventKind::Error),
        other => return Err(damaged("history", format!("kind {other}"))),
    })
}

fn read_value(text: &str) -> Result<serde_json::Value, Fault> {
    serde_json::from_str(text).map_err(|e| damaged("point", e))
}

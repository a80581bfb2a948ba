//! Writing a file.

use super::{
    line::{FORMAT, Head, Line, Owner},
    lock::Lock,
};
use crate::{Hub, sweep};
use bytes::Bytes;
use model::{
    archive::Row,
    error::Fault,
    id::{IotId, Time},
    port::{Point, Range, SecretId, Stream},
};
use std::collections::HashSet;
use tokio::sync::mpsc;

/// Lines are handed on in pieces of about this many bytes.
const PIECE: usize = 64 * 1024;
/// Points that are asked for at once.
const POINTS: usize = 1_000;
/// Rows that wait to be written.
const ROWS: usize = 256;
/// Keys that only this server's data are sealed with; another server has its own.
const DATA_KEY: &str = "data-key/";

/// What goes into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// The registry.
    Registry,
    /// The registry, and the histories of its devices.
    WithHistories,
}

impl Hub {
    /// Sends the registry as the pieces of a file. All rows are of one moment; histories are read
    /// behind them, and have at least what was acknowledged before the call. A receiver that is
    /// slow is waited for; one that goes away ends it.
    ///
    /// # Errors
    /// Engine trouble. What was sent then has no last line and is refused by `import`.
    pub async fn export(
        &self,
        lock: &Lock,
        content: Content,
        pieces: mpsc::Sender<Bytes>,
    ) -> Result<u64, Fault> {
        let histories = content == Content::WithHistories;
        if histories {
            self.history_caught_up().await?;
        }
        let mut writer = Writer::new(lock, pieces);
        let head = Head {
            format: FORMAT,
            made: self.now(),
            histories,
            secrets: lock.closing().clone(),
        };
        writer.write(&Line::Muster(head)).await?;
        let (send, mut rows) = mpsc::channel(ROWS);
        let mut devices = Vec::new();
        let dump = self.ports.archive.dump(send);
        let (dumped, written) = tokio::join!(dump, async {
            let written = async {
                while let Some(row) = rows.recv().await {
                    if let Row::Device(device) = &row
                        && histories
                    {
                        devices.push(device.iot_id.clone());
                    }
                    let (row, key) = self.id2_parted(row)?;
                    let key = key.map(|key| self.line(key, lock)).transpose()?;
                    for line in key.flatten().into_iter() {
                        writer.write(&line).await?;
                    }
                    if let Some(line) = self.line(row, lock)? {
                        writer.write(&line).await?;
                    }
                }
                Ok::<_, Fault>(())
            }
            .await;
            // When writing fails, the dump has to end as well.
            rows.close();
            written
        });
        written?;
        dumped?;
        for device in devices {
            self.export_histories(&device, &mut writer).await?;
        }
        writer.end().await
    }

    fn line(&self, row: Row, lock: &Lock) -> Result<Option<Line>, Fault> {
        let (id, sealed) = match &row {
            Row::Secret { id, sealed } => (id, sealed),
            // Places in a journal that stays behind.
            Row::Entry { kind, .. } if kind == sweep::KIND => return Ok(None),
            _ => return Line::of(row),
        };
        if matches!(id, SecretId::Server(name) if name.starts_with(DATA_KEY)) {
            return Ok(None);
        }
        let secret = self.vault.open(id, sealed)?;
        let of = Owner::of(id);
        let text = lock.close(&of.text(), &secret, &*self.ports.random)?;
        Ok(Some(Line::Secret { of, text }))
    }

    async fn export_histories(&self, id: &IotId, writer: &mut Writer<'_>) -> Result<(), Fault> {
        let properties = self.ports.series.latest(id).await?;
        for latest in properties {
            let identifier = Some(latest.identifier.clone());
            let found = self
                .export_history(id, Stream::Property, identifier, writer)
                .await?;
            // It may have outlived its history.
            if !found.contains(&stamp(&latest)) {
                writer.write(&Line::Point(latest)).await?;
            }
        }
        for stream in [Stream::Event, Stream::Service] {
            self.export_history(id, stream, None, writer).await?;
        }
        Ok(())
    }

    /// Writes a history page by page; a page begins with the millisecond that the last one ended
    /// with, and grows when it holds nothing else. Gives back the points of the last millisecond.
    async fn export_history(
        &self,
        id: &IotId,
        stream: Stream,
        identifier: Option<String>,
        writer: &mut Writer<'_>,
    ) -> Result<HashSet<Stamp>, Fault> {
        let mut range = Range {
            iot_id: id.clone(),
            stream,
            identifier,
            kind: None,
            from: Time(i64::MIN),
            to: Time(i64::MAX),
            oldest_first: true,
            most: POINTS,
        };
        let mut last = HashSet::new();
        loop {
            let page = self.ports.series.range(&range).await?;
            let (many, full) = (page.len(), page.len() >= range.most);
            let mut new = false;
            for point in page {
                if point.at != range.from {
                    last.clear();
                    range.from = point.at;
                }
                if last.insert(stamp(&point)) {
                    new = true;
                    writer.write(&Line::Point(point)).await?;
                }
            }
            if !full {
                return Ok(last);
            }
            range.most = if new {
                POINTS.max(last.len() + POINTS)
            } else {
                2 * many
            };
        }
    }
}

/// What tells points of one history and millisecond apart.
type Stamp = (Time, u64, String);

fn stamp(point: &Point) -> Stamp {
    (point.at, point.position.0, point.identifier.clone())
}

/// Lines on their way out.
struct Writer<'a> {
    lock: &'a Lock,
    pieces: mpsc::Sender<Bytes>,
    piece: Vec<u8>,
    lines: u64,
    seal: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(lock: &'a Lock, pieces: mpsc::Sender<Bytes>) -> Self {
        Self {
            lock,
            pieces,
            piece: Vec::new(),
            lines: 0,
            seal: Vec::new(),
        }
    }

    async fn write(&mut self, line: &Line) -> Result<(), Fault> {
        let text = serde_json::to_vec(line);
        let text = text.map_err(|e| Fault::lasting(format!("a line of an export: {e}")))?;
        self.seal = self.lock.mark(&self.seal, &text);
        self.lines += 1;
        self.put(&text).await
    }

    async fn end(mut self) -> Result<u64, Fault> {
        let end = Line::End {
            lines: self.lines,
            seal: std::mem::take(&mut self.seal),
        };
        let text = serde_json::to_vec(&end);
        let text = text.map_err(|e| Fault::lasting(format!("a line of an export: {e}")))?;
        self.put(&text).await?;
        self.flush().await?;
        Ok(self.lines)
    }

    async fn put(&mut self, text: &[u8]) -> Result<(), Fault> {
        self.piece.extend_from_slice(text);
        self.piece.push(b'\n');
        if self.piece.len() >= PIECE {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Fault> {
        let piece = std::mem::take(&mut self.piece);
        self.pieces
            .send(piece.into())
            .await
            .map_err(|_| Fault::passing("nobody takes the export any more"))
    }
}

//! Records: five bytes of head and what stands behind them (RFC 5246 section 6.2).

use crate::Alert;
use credential::crypto::record::{BLOCK, HEAD as COVERED, RecordKeys};

/// Bytes of a record's head.
pub const HEAD: usize = 5;
/// Most bytes of text in one record.
pub const TEXT_MAX: usize = 1 << 14;
/// Most bytes behind a head: text and what hides it.
pub const BODY_MAX: usize = TEXT_MAX + 2048;
/// Empty records that are taken in a row.
const EMPTY: u8 = 16;
/// 1.2, as it stands on the wire.
pub(crate) const VERSION: [u8; 2] = [3, 3];

/// What is in a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// 21.
    Alert,
    /// 22.
    Handshake,
    /// 23.
    Data,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Kind::Alert => 21,
            Kind::Handshake => 22,
            Kind::Data => 23,
        }
    }
}

/// A record's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// What is in it.
    pub kind: Kind,
    /// How many bytes follow.
    pub len: usize,
}

impl Head {
    /// Reads a head. Clients begin with an older version there, as those of TLS do.
    ///
    /// # Errors
    /// `UnexpectedMessage` for other kinds (20, ChangeCipherSpec, has no place here),
    /// `ProtocolVersion`, `RecordOverflow`.
    pub fn read(bytes: [u8; HEAD]) -> Result<Head, Alert> {
        let [kind, major, minor, high, low] = bytes;
        let kind = match kind {
            21 => Kind::Alert,
            22 => Kind::Handshake,
            23 => Kind::Data,
            _ => return Err(Alert::UnexpectedMessage),
        };
        if major != 3 || !(1..=3).contains(&minor) {
            return Err(Alert::ProtocolVersion);
        }
        let len = usize::from(u16::from_be_bytes([high, low]));
        if len > BODY_MAX {
            return Err(Alert::RecordOverflow);
        }
        Ok(Head { kind, len })
    }

    pub(crate) fn write(kind: Kind, len: usize) -> Result<[u8; HEAD], Alert> {
        let len = u16::try_from(len).map_err(|_| Alert::InternalError)?;
        let [high, low] = len.to_be_bytes();
        Ok([kind.number(), VERSION[0], VERSION[1], high, low])
    }
}

/// Writes a record in clear around `body` into `out`; gives its length.
///
/// # Errors
/// `InternalError` when there is no room.
pub fn clear(kind: Kind, body: &[u8], out: &mut [u8]) -> Result<usize, Alert> {
    let len = HEAD + body.len();
    let out = out.get_mut(..len).ok_or(Alert::InternalError)?;
    out[..HEAD].copy_from_slice(&Head::write(kind, body.len())?);
    out[HEAD..].copy_from_slice(body);
    Ok(len)
}

/// What a proof covers before the text, without the text's length.
fn covered(number: u64, kind: Kind) -> [u8; COVERED - 2] {
    let mut head = [0; COVERED - 2];
    head[..8].copy_from_slice(&number.to_be_bytes());
    head[8] = kind.number();
    head[9..].copy_from_slice(&VERSION);
    head
}

/// The direction in which this end speaks.
pub struct Sender {
    keys: RecordKeys,
    number: u64,
    most: usize,
}

impl Sender {
    pub(crate) fn new(keys: RecordKeys) -> Sender {
        Sender {
            keys,
            number: 0,
            most: TEXT_MAX,
        }
    }

    /// Keeps records short, as the other end asked.
    pub(crate) fn limit(&mut self, most: usize) {
        self.most = self.most.min(most);
    }

    /// Most bytes of text that go into one record.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// Bytes of a record with so many of text, its head among them.
    #[must_use]
    pub const fn sealed_len(text: usize) -> usize {
        HEAD + RecordKeys::sealed_len(text)
    }

    /// Writes a record with `text` into `out`; gives its length. `vector` is random, and used for
    /// nothing else.
    ///
    /// # Errors
    /// `InternalError` when the text is longer than [`Sender::most`], or has no room when sealed.
    pub fn seal(
        &mut self,
        kind: Kind,
        text: &[u8],
        vector: &[u8; BLOCK],
        out: &mut [u8],
    ) -> Result<usize, Alert> {
        let internal = Alert::InternalError;
        if text.len() > self.most {
            return Err(internal);
        }
        let len = u16::try_from(text.len()).map_err(|_| internal)?;
        let mut head = [0; COVERED];
        head[..COVERED - 2].copy_from_slice(&covered(self.number, kind));
        head[COVERED - 2..].copy_from_slice(&len.to_be_bytes());
        let need = RecordKeys::sealed_len(text.len());
        let out = out.get_mut(..HEAD + need).ok_or(internal)?;
        let (place, body) = out.split_at_mut(HEAD);
        place.copy_from_slice(&Head::write(kind, need)?);
        body[BLOCK..BLOCK + text.len()].copy_from_slice(text);
        let next = self.number.checked_add(1).ok_or(internal)?;
        self.keys
            .seal(&head, vector, body, text.len())
            .map_err(|_| internal)?;
        self.number = next;
        Ok(HEAD + need)
    }
}

/// The direction in which the other end speaks.
pub struct Receiver {
    keys: RecordKeys,
    number: u64,
    empty: u8,
}

/// What a record of an open connection says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Said {
    /// Text: where it stands in the body.
    Data {
        /// Its first byte.
        from: usize,
        /// Behind its last one.
        to: usize,
    },
    /// Nothing of consequence.
    Nothing,
    /// The other end ends.
    End(Alert),
}

impl Receiver {
    pub(crate) fn new(keys: RecordKeys) -> Receiver {
        Receiver {
            keys,
            number: 0,
            empty: 0,
        }
    }

    /// Opens a body in place; gives where its text stands.
    pub(crate) fn open(&mut self, kind: Kind, body: &mut [u8]) -> Result<(usize, usize), Alert> {
        let next = self.number.checked_add(1).ok_or(Alert::InternalError)?;
        let head = covered(self.number, kind);
        let len = self.keys.open(&head, body).ok_or(Alert::BadRecord)?;
        if len > TEXT_MAX {
            return Err(Alert::RecordOverflow);
        }
        self.number = next;
        Ok((BLOCK, BLOCK + len))
    }

    /// Takes a record of an open connection.
    ///
    /// # Errors
    /// What the other end is to be told before it is left: `BadRecord`, `RecordOverflow`,
    /// `UnexpectedMessage` for a second handshake or for nothing but empty records.
    pub fn take(&mut self, kind: Kind, body: &mut [u8]) -> Result<Said, Alert> {
        let (from, to) = self.open(kind, body)?;
        match kind {
            Kind::Data if from == to => {
                self.empty += 1;
                if self.empty > EMPTY {
                    return Err(Alert::UnexpectedMessage);
                }
                Ok(Said::Nothing)
            }
            Kind::Data => {
                self.empty = 0;
                Ok(Said::Data { from, to })
            }
            Kind::Alert => Ok(match Alert::read(&body[from..to])? {
                Some(alert) => Said::End(alert),
                None => {
                    self.empty += 1;
                    if self.empty > EMPTY {
                        return Err(Alert::UnexpectedMessage);
                    }
                    Said::Nothing
                }
            }),
            Kind::Handshake => Err(Alert::UnexpectedMessage),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ends() -> (Sender, Receiver) {
        let keys = || RecordKeys::new(&[1; 32], &[2; 32]).ok().unwrap();
        (Sender::new(keys()), Receiver::new(keys()))
    }

    fn sealed(sender: &mut Sender, kind: Kind, text: &[u8]) -> ([u8; 256], usize) {
        let mut out = [0; 256];
        let len = sender.seal(kind, text, &[3; 16], &mut out).unwrap();
        assert_eq!(len, Sender::sealed_len(text.len()));
        let head = Head::read(out[..HEAD].try_into().unwrap()).unwrap();
        assert_eq!(
            head,
            Head {
                kind,
                len: len - HEAD
            }
        );
        (out, len)
    }

    #[test]
    fn heads_that_cannot_be_are_refused() {
        for (head, why) in [
            ([20, 3, 3, 0, 1], Alert::UnexpectedMessage),
            ([0x80, 3, 3, 0, 1], Alert::UnexpectedMessage),
            ([22, 2, 0, 0, 1], Alert::ProtocolVersion),
            ([22, 3, 0, 0, 1], Alert::ProtocolVersion),
            ([22, 3, 4, 0, 1], Alert::ProtocolVersion),
            ([22, 3, 3, 0x48, 1], Alert::RecordOverflow),
            ([22, 3, 3, 0xff, 0xff], Alert::RecordOverflow),
        ] {
            assert_eq!(Head::read(head), Err(why), "{head:?}");
        }
        let head = Head::read([22, 3, 1, 0x48, 0]).unwrap();
        assert_eq!((head.kind, head.len), (Kind::Handshake, BODY_MAX));
    }

    #[test]
    fn records_come_in_their_order_and_once() {
        let (mut sender, mut receiver) = ends();
        let (one, len) = sealed(&mut sender, Kind::Data, b"one");
        let (two, _) = sealed(&mut sender, Kind::Data, b"two");
        let mut take = |mut record: [u8; 256], kind| {
            let said = receiver.take(kind, &mut record[HEAD..len]);
            said.map(|said| match said {
                Said::Data { from, to } => record[HEAD + from..HEAD + to] == b"one"[..],
                Said::Nothing | Said::End(_) => panic!("no data"),
            })
        };
        assert_eq!(take(two, Kind::Data), Err(Alert::BadRecord));
        assert_eq!(take(one, Kind::Alert), Err(Alert::BadRecord));
        assert_eq!(take(one, Kind::Data), Ok(true));
        assert_eq!(take(one, Kind::Data), Err(Alert::BadRecord));
        assert_eq!(take(two, Kind::Data), Ok(false));
    }

    #[test]
    fn alerts_end_and_idle_talk_is_bounded() {
        let (mut sender, mut receiver) = ends();
        let mut hear = |kind, text: &[u8]| {
            let (mut record, len) = sealed(&mut sender, kind, text);
            receiver.take(kind, &mut record[HEAD..len])
        };
        assert_eq!(hear(Kind::Alert, &[1, 90]), Ok(Said::Nothing));
        for _ in 0..EMPTY - 1 {
            assert_eq!(hear(Kind::Data, b""), Ok(Said::Nothing));
        }
        assert_eq!(hear(Kind::Data, b""), Err(Alert::UnexpectedMessage));
        assert!(matches!(hear(Kind::Data, b"x"), Ok(Said::Data { .. })));
        assert_eq!(hear(Kind::Data, b""), Ok(Said::Nothing));
        assert_eq!(
            hear(Kind::Handshake, b"\0\0\0\0"),
            Err(Alert::UnexpectedMessage)
        );
        assert_eq!(hear(Kind::Alert, &[2, 163]), Ok(Said::End(Alert::BadCode)));
        assert_eq!(
            hear(Kind::Alert, &[1, 0]),
            Ok(Said::End(Alert::CloseNotify))
        );
    }

    #[test]
    fn a_sender_keeps_to_what_was_asked() {
        let (mut sender, _) = ends();
        sender.limit(512);
        sender.limit(4096);
        assert_eq!(sender.most(), 512);
        let mut out = [0; 2048];
        let done = sender.seal(Kind::Data, &[0; 513], &[0; 16], &mut out);
        assert_eq!(done, Err(Alert::InternalError));
        let done = sender.seal(Kind::Data, &[0; 512], &[0; 16], &mut out[..512]);
        assert_eq!(done, Err(Alert::InternalError));
    }
}

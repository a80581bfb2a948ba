//! What the fuzzers run: parsers of outside bytes that are ours. A panic is a finding. The parser
//! of MQTT is fuzzed in `wire`.

use crate::{
    ledger::{change::Change, replay::Replay},
    websocket::{HEAD, Head, head},
};
use wire::mqtt::{Limits, Session};

/// Reads the bytes as the beginning of an HTTP request. A head that is taken ends where the blank
/// line does, and one that is longer than we take is never waited for.
pub fn request_head(data: &[u8]) {
    match head(data) {
        Head::Half => assert!(data.len() < HEAD),
        Head::Upgrade(_, size) => {
            assert!(data[..size].ends_with(b"\n"));
            assert!(matches!(head(&data[..size]), Head::Upgrade(_, again) if again == size));
        }
        Head::Other => {}
    }
}

/// Reads the bytes as a record of the log of sessions. A change that is read is written and read
/// again as the same, and what the record leaves of sessions can be taken up.
pub fn session_record(data: &[u8]) {
    let mut rest = data;
    while !rest.is_empty()
        && let Ok(change) = Change::decode(&mut rest)
    {
        let mut bytes = Vec::new();
        change.encode(&mut bytes);
        assert_eq!(Change::decode(&mut &bytes[..]), Ok(change));
    }
    let mut replay = Replay::default();
    let readable = replay.apply(data).is_ok();
    let mut sessions = 0;
    for mut kept in replay.sessions() {
        sessions += 1;
        let session = Session::restored(Limits::default(), kept.rest());
        assert!(session.rest().due.len() <= data.len());
    }
    assert!(readable || sessions == 0, "a part of a record was taken");
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLES: [&[u8]; 3] = [
        b"GET /mqtt HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nrest",
        b"POST /auth HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}",
        b"GET / HTTP/1.1\nUpgrade: h2c, WebSocket\n\n",
    ];

    #[test]
    fn any_bytes_are_read_without_harm() {
        assert!(matches!(head(SAMPLES[0]), Head::Upgrade(_, size) if size == SAMPLES[0].len() - 4));
        assert!(matches!(head(SAMPLES[1]), Head::Other));
        assert!(matches!(head(SAMPLES[2]), Head::Upgrade(..)));
        let mut seed = 1_u64;
        let mut chance = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(seed >> 33).unwrap() % below
        };
        for round in 0..5_000 {
            let mut bytes = SAMPLES[round % SAMPLES.len()].to_vec();
            for _ in 0..=chance(4) {
                let at = chance(bytes.len());
                match chance(3) {
                    0 => bytes[at] = u8::try_from(chance(256)).unwrap(),
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes.extend_from_within(at..),
                }
            }
            request_head(&bytes);
        }
        request_head(&[]);
        request_head(&vec![b'A'; HEAD]);
    }

    fn samples() -> Vec<Vec<u8>> {
        let text = |to: &mut Vec<u8>, text: &[u8]| {
            to.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
            to.extend(text);
        };
        // A session, with a subscription, a message that is due to it, and more that happens.
        let mut record = vec![1, 0, 0, 0, 0, 0, 0, 0, 7];
        text(&mut record, b"hall");
        text(&mut record, b"name");
        record.extend([1, 0, 0, 0, 9, 0]);
        record.extend([5, 0, 0, 0, 0, 0, 0, 0, 7]);
        text(&mut record, b"t/#");
        record.extend([2, 0, 0, 0, 3]);
        record.extend([8, 0, 0, 0, 0, 0, 0, 0, 0]);
        text(&mut record, b"\x32\x08\x00\x03t/x\x00\x01\x00");
        record.extend([9, 0, 0, 0, 0, 0, 0, 0, 7, 0, 5, 10, 0, 0, 0, 1, 0, 0, 0, 3]);
        let mut more = record.clone();
        for kind in [10, 11, 12, 13] {
            more.extend([kind, 0, 0, 0, 0, 0, 0, 0, 7, 0, 5]);
        }
        more.push(14);
        text(&mut more, b"hall");
        more.extend([3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 1, 0]);
        more.extend([2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 9, 1]);
        let mut will = vec![8, 0, 0, 0, 0, 0, 0, 0, 0];
        text(&mut will, b"\x32\x08\x00\x03t/x\x00\x01\x00");
        will.extend([15, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 7]);
        text(&mut will, b"hall");
        text(&mut will, b"name");
        will.extend([2]);
        text(&mut will, b"user");
        will.extend([0, 0, 0, 9]);
        text(&mut will, b"");
        will.extend([0, 0, 0, 0]);
        will.extend([16, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 0]);
        will.extend([17, 0, 0, 0, 0, 0, 0, 0, 8]);
        will.extend([4, 0, 0, 0, 0, 0, 0, 0, 7]);
        vec![record, more, will]
    }

    #[test]
    fn any_record_is_read_without_harm() {
        let samples = samples();
        for sample in &samples {
            assert!(Replay::default().apply(sample).is_ok(), "{sample:?}");
        }
        let mut seed = 1_u64;
        let mut chance = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            usize::try_from(seed >> 33).unwrap() % below
        };
        for round in 0..20_000 {
            let mut bytes = samples[round % samples.len()].clone();
            for _ in 0..=chance(4) {
                let at = chance(bytes.len());
                match chance(4) {
                    0 => bytes[at] = u8::try_from(chance(256)).unwrap(),
                    1 => bytes[at] ^= 1 << chance(8),
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes.extend_from_within(at..),
                }
            }
            session_record(&bytes);
        }
        session_record(&[]);
        session_record(&[9; 64]);
    }
}

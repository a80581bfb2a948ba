//! What the fuzzers run: parsers of outside bytes that are ours. A panic is a finding. The parser
//! of MQTT is fuzzed in `wire`.

use crate::websocket::{HEAD, Head, head};

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
}

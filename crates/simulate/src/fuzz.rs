//! Bodies of the fuzz targets: whatever a server sends, a played device takes or leaves it.

use crate::{chance::Chance, notice, thing::Model};
use bytes::Bytes;

/// A message of a server: a notice of an upgrade, a piece of a file, or a thing model.
pub fn simulate_told(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Some(piece) = notice::Piece::read(&bytes) {
        assert!(piece.bytes.len() < data.len());
    }
    let Ok(value) = serde_json::from_slice(data) else {
        return;
    };
    if let Some(notice) = notice::Notice::read(&value) {
        assert!(!notice.files.is_empty() && !notice.version.is_empty());
    }
    let model = Model::of(&value);
    let mut chance = Chance::new(0, 0);
    model.properties(&mut chance, 0);
    model.event(&mut chance, 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_a_server_sends_is_taken_or_left() {
        let samples: [&[u8]; 3] = [
            br#"{"version":"2","signMethod":"Md5","url":"http://h/f","size":9,"sign":"ab"}"#,
            b"\x00\x10{\"code\":200,    }123456789\x3d\xbb",
            br#"{"properties":[{"identifier":"a","dataType":{"type":"array","specs":{"size":"9","item":{"type":"int"}}}}]}"#,
        ];
        let mut chance = Chance::new(3, 9);
        for sample in samples {
            simulate_told(sample);
            for _ in 0..3_000 {
                let mut bytes = sample.to_vec();
                for _ in 0..=chance.below(4) {
                    let at = chance.below(bytes.len() as u64) as usize;
                    bytes[at] = chance.next() as u8;
                }
                bytes.truncate(1 + chance.below(bytes.len() as u64) as usize);
                simulate_told(&bytes);
            }
        }
    }
}

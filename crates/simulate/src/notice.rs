//! What a server sends about files: the notice of an upgrade, and pieces of a file over MQTT (seed
//! 001 §6.11; spec/alink-wire.md §6.2).

use bytes::Bytes;
use serde_json::Value;

/// Files of an upgrade, at most.
const FILES: usize = 20;

/// How a device checks a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Md5,
    Sha256,
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Url(String),
    /// At numbers, over MQTT.
    Stream(u64, u64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct File {
    pub(crate) place: Place,
    pub(crate) size: u64,
    /// Hexadecimal, in lower case.
    pub(crate) sign: String,
}

/// That a device is to be upgraded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) module: String,
    pub(crate) version: String,
    pub(crate) method: Method,
    pub(crate) files: Vec<File>,
}

impl Notice {
    /// Reads what stands below `data`; `None` when there is nothing to do in it.
    pub(crate) fn read(data: &Value) -> Option<Self> {
        let text = |value: &Value| value.as_str().filter(|t| !t.is_empty()).map(str::to_owned);
        let method = match data["signMethod"].as_str() {
            Some(name) if name.eq_ignore_ascii_case("sha256") => Method::Sha256,
            _ => Method::Md5,
        };
        let file = |one: &Value, [url, size, sign]: [&str; 3]| {
            let stream = one["streamId"].as_u64().zip(one["streamFileId"].as_u64());
            let place = match (text(&one[url]), stream) {
                (Some(url), _) => Place::Url(url),
                (None, Some((stream, file))) => Place::Stream(stream, file),
                (None, None) => return None,
            };
            Some(File {
                place,
                size: one[size].as_u64()?,
                sign: text(&one[sign])?.to_ascii_lowercase(),
            })
        };
        let files = match data["files"].as_array() {
            Some(files) if files.len() <= FILES => {
                let names = ["fileUrl", "fileSize", "fileSign"];
                let files = files.iter().map(|one| file(one, names));
                files.collect::<Option<Vec<_>>>()?
            }
            Some(_) => return None,
            None => vec![file(data, ["url", "size", "sign"])?],
        };
        (!files.is_empty()).then_some(())?;
        Some(Self {
            module: text(&data["module"]).unwrap_or_else(|| "default".into()),
            version: text(&data["version"])?,
            method,
            files,
        })
    }

    /// Bytes of all files.
    pub(crate) fn size(&self) -> u64 {
        let sizes = self.files.iter().map(|file| file.size);
        sizes.fold(0, u64::saturating_add)
    }
}

/// A piece of a file, or why there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) code: u64,
    pub(crate) offset: u64,
    pub(crate) bytes: Bytes,
}

impl Piece {
    /// Takes a reply apart: the length of a JSON text (2 bytes, big-endian), that text, the bytes,
    /// and their CRC-16/IBM (2 bytes, little-endian). `None` for what is none, or came damaged.
    pub(crate) fn read(payload: &Bytes) -> Option<Self> {
        let (length, _) = payload.split_first_chunk::<2>()?;
        let start = 2 + usize::from(u16::from_be_bytes(*length));
        let end = payload.len().checked_sub(2).filter(|end| *end >= start)?;
        let head: Value = serde_json::from_slice(&payload[2..start]).ok()?;
        let bytes = payload.slice(start..end);
        let told = u16::from_le_bytes([payload[end], payload[end + 1]]);
        let code = head["code"].as_u64()?;
        (crc16(&bytes) == told).then_some(())?;
        Some(Self {
            code,
            offset: head["data"]["bOffset"].as_u64().unwrap_or(0),
            bytes,
        })
    }
}

/// CRC-16/IBM (also ARC): polynomial 0x8005, reflected, from 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| match crc & 1 {
            1 => (crc >> 1) ^ 0xa001,
            _ => crc >> 1,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_notice_names_files_by_address_or_number() {
        let one = Notice::read(&json!({
            "version": "2", "signMethod": "SHA256", "size": 9, "md5": "ab", "sign": "AB01",
            "url": "http://h/f", "module": "modem",
        }));
        let one = one.unwrap();
        assert_eq!((one.method, one.size()), (Method::Sha256, 9));
        assert_eq!(one.module, "modem");
        assert_eq!(one.files[0].sign, "ab01");
        assert_eq!(one.files[0].place, Place::Url("http://h/f".into()));
        let many = json!({
            "version": "2", "signMethod": "Md5", "dProtocol": "mqtt",
            "files": [{"fileSize": 3, "fileSign": "0a", "streamId": 7, "streamFileId": 1},
                {"fileSize": 4, "fileSign": "0b", "streamId": 7, "streamFileId": 2}],
        });
        let many = Notice::read(&many).unwrap();
        assert_eq!(many.module, "default");
        assert_eq!(many.files[1].place, Place::Stream(7, 2));
        assert_eq!(many.size(), 7);
    }

    #[test]
    fn half_a_notice_is_none() {
        for data in [
            json!({}),
            json!(null),
            json!({"version": "2", "size": 9, "sign": "ab"}),
            json!({"version": "2", "url": "u", "sign": "ab"}),
            json!({"url": "u", "size": 1, "sign": "ab"}),
            json!({"version": "2", "files": []}),
            json!({"version": "2", "files": [{"fileUrl": "u"}]}),
        ] {
            assert_eq!(Notice::read(&data), None, "{data}");
        }
    }

    #[test]
    fn a_piece_that_came_damaged_is_none() {
        let mut framed = vec![0, 0];
        framed.extend(br#"{"id":"1","code":200,"data":{"bOffset":5}}"#);
        framed[1] = (framed.len() - 2) as u8;
        framed.extend(b"123456789");
        framed.extend([0x3d, 0xbb]);
        let piece = Piece::read(&Bytes::from(framed.clone())).unwrap();
        assert_eq!((piece.code, piece.offset), (200, 5));
        assert_eq!(piece.bytes, &b"123456789"[..]);
        let last = framed.len() - 3;
        framed[last] ^= 1;
        assert_eq!(Piece::read(&Bytes::from(framed)), None);
        for short in [
            &b""[..],
            b"\x00",
            b"\x00\x00",
            b"\xff\xff12",
            b"\x00\x00\x00\x00",
        ] {
            assert_eq!(Piece::read(&Bytes::from_static(short)), None);
        }
    }
}

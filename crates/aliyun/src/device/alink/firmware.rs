//! Firmware in the vendor's words (seed 001 §4, §6.11; spec/alink-wire.md §6.2): versions and
//! progress on the way up, upgrades on the way down, and pieces of files for devices that fetch
//! them over MQTT.

use super::Id;
use bytes::{BufMut, Bytes, BytesMut};
use hub::{
    edge::Outbound,
    ota::{Piece, PieceError},
};
use model::{
    command::Command,
    firmware::{FirmwareFile, SignMethod, Upgrade, WHOLE},
};
use serde_json::{Map, Value, json, value::RawValue};

/// Makes the address of a file.
pub(crate) type Link<'a> = &'a dyn Fn(&str) -> String;

/// Longest version that is kept, in bytes.
const VERSION_MAX: usize = 64;

/// The module and the version in the parameters of a report; `None` for what is no report.
pub(crate) fn version(params: &Value) -> Option<(&str, &str)> {
    let version = params["version"].as_str()?;
    let module = module(params).unwrap_or(WHOLE);
    let fits = |text: &str| !text.is_empty() && text.len() <= VERSION_MAX;
    (fits(version) && fits(module)).then_some((module, version))
}

/// The module that is named, if one is.
pub(crate) fn module(params: &Value) -> Option<&str> {
    params["module"]
        .as_str()
        .filter(|module| !module.is_empty())
}

/// How far a device is, and in its words why; `None` for what is no such report. The document
/// wants a text, and devices send numbers as well.
pub(crate) fn progress(params: &Value) -> Option<(i64, &str)> {
    let step = match &params["step"] {
        Value::String(text) => text.trim().parse().ok()?,
        Value::Number(number) => number.as_i64()?,
        _ => return None,
    };
    let why = params["desc"].as_str().unwrap_or_default();
    (-4..=100).contains(&step).then_some((step, why))
}

/// What a device is told to fetch. Beside `sign` and `signMethod` there is always `md5`, which old
/// devices look for.
pub(crate) fn data(link: Link<'_>, upgrade: &Upgrade) -> Value {
    let mut data = Map::new();
    data.insert("version".into(), json!(upgrade.version));
    data.insert("signMethod".into(), json!(method(upgrade.method)));
    match upgrade.files.as_slice() {
        [file] => {
            data.insert("size".into(), json!(file.size));
            data.insert("md5".into(), json!(file.md5));
            data.insert("sign".into(), json!(upgrade.method.of(file)));
            place(link, upgrade, file, 1, "url", &mut data);
        }
        files => {
            let files = files.iter().zip(1..).map(|(file, at)| {
                let mut one = Map::new();
                one.insert("fileName".into(), json!(file.name));
                one.insert("fileSize".into(), json!(file.size));
                one.insert("fileMd5".into(), json!(file.md5));
                one.insert("fileSign".into(), json!(upgrade.method.of(file)));
                place(link, upgrade, file, at, "fileUrl", &mut one);
                Value::Object(one)
            });
            data.insert("files".into(), files.collect());
        }
    }
    if upgrade.over_mqtt {
        data.insert("dProtocol".into(), json!("mqtt"));
    }
    if upgrade.module != WHOLE {
        data.insert("module".into(), json!(upgrade.module));
    }
    if upgrade.differential {
        data.insert("isDiff".into(), json!(1));
    }
    let mut extra = Map::new();
    for (key, value) in &upgrade.tags {
        extra.insert(key.clone(), json!(value));
    }
    if !upgrade.udi.is_empty() {
        extra.insert("_package_udi".into(), json!(upgrade.udi));
    }
    if !extra.is_empty() {
        data.insert("extData".into(), Value::Object(extra));
    }
    Value::Object(data)
}

/// Where a file is: at an address, or at a number for those who have no HTTP.
fn place(
    link: Link<'_>,
    upgrade: &Upgrade,
    file: &FirmwareFile,
    at: u64,
    url: &str,
    data: &mut Map<String, Value>,
) {
    if upgrade.over_mqtt {
        data.insert("streamId".into(), json!(upgrade.stream));
        data.insert("streamFileId".into(), json!(at));
    } else {
        data.insert(url.into(), json!(link(&file.blob)));
    }
}

/// The document prints `Sha256`; the vendor's clients know `SHA256` and nothing else
/// (spec/alink-wire.md §6.2).
fn method(method: SignMethod) -> &'static str {
    match method {
        SignMethod::Md5 => "Md5",
        SignMethod::Sha256 => "SHA256",
    }
}

/// The push of an upgrade.
pub(crate) fn push(link: Link<'_>, command: &Command, upgrade: &Upgrade) -> Outbound {
    let payload = json!({
        "code": "1000",
        "data": data(link, upgrade),
        "id": command.id.0,
        "message": "success",
    });
    Outbound {
        topic: format!(
            "/ota/device/upgrade/{}/{}",
            command.device.product, command.device.name
        ),
        payload: payload.to_string().into(),
        qos: 1,
        system: true,
    }
}

/// The answer to `/ota/device/request` when there is something to fetch.
pub(crate) fn answer(link: Link<'_>, id: Id<'_>, upgrade: &Upgrade) -> Bytes {
    let id: &RawValue = serde_json::from_str(id.0).expect("an id is JSON text");
    let data = data(link, upgrade);
    format!("{{\"code\":\"1000\",\"data\":{data},\"id\":{id},\"message\":\"success\"}}").into()
}

/// Which piece of a file is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wanted<'a> {
    pub(crate) token: Option<&'a str>,
    pub(crate) stream: Option<u64>,
    pub(crate) file: Option<u64>,
    pub(crate) size: u64,
    pub(crate) offset: u64,
}

/// Reads the request for a piece (`thing/file/download`).
pub(crate) fn wanted(params: &Value) -> Option<Wanted<'_>> {
    let number = |value: &Value| match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let (info, block) = (&params["fileInfo"], &params["fileBlock"]);
    Some(Wanted {
        token: params["fileToken"].as_str().filter(|text| !text.is_empty()),
        stream: number(&info["streamId"]),
        file: number(&info["fileId"]),
        size: number(&block["size"])?,
        offset: number(&block["offset"])?,
    })
}

/// The reply with a piece: the length of a JSON text (2 bytes, big-endian), that text, the bytes,
/// and their CRC-16/IBM (2 bytes, little-endian).
pub(crate) fn piece(id: Id<'_>, found: &Result<Piece, PieceError>) -> Bytes {
    let id: &RawValue = serde_json::from_str(id.0).expect("an id is JSON text");
    let none = Bytes::new();
    let (head, bytes) = match found {
        Ok(Piece {
            file,
            offset,
            bytes,
        }) => {
            let data = json!({
                "fileToken": file.blob,
                "fileLength": file.size,
                "bSize": bytes.len(),
                "bOffset": offset,
            });
            let head = format!("{{\"id\":{id},\"code\":200,\"msg\":\"success\",\"data\":{data}}}");
            (head, bytes)
        }
        Err(error) => {
            let code = match error {
                PieceError::NoSuchFile => 404,
                PieceError::BadPiece | PieceError::TooLarge => 460,
                PieceError::Fault(_) => 500,
            };
            let msg = Value::String(error.to_string());
            let head = format!("{{\"id\":{id},\"code\":{code},\"msg\":{msg},\"data\":{{}}}}");
            (head, &none)
        }
    };
    // An id has at most 64 KiB less than a little, as the message that it came in; one that is
    // longer gets no bytes that could be taken for something else.
    let Ok(length) = u16::try_from(head.len()) else {
        return none;
    };
    let mut reply = BytesMut::with_capacity(head.len() + bytes.len() + 4);
    reply.put_u16(length);
    reply.put_slice(head.as_bytes());
    reply.put_slice(bytes);
    reply.put_u16_le(crc16(bytes));
    reply.freeze()
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

    fn upgrade(files: usize) -> Upgrade {
        let file = |at: usize| FirmwareFile {
            name: format!("part{at}"),
            blob: format!("fw-{at}"),
            size: 432_945,
            md5: "93230c3bde425a9d7984a594ac55ea1e".into(),
            sha256: "ba7816bf".into(),
        };
        Upgrade {
            campaign: "c".into(),
            stream: 12,
            module: WHOLE.into(),
            version: "2.0.0".into(),
            method: SignMethod::Md5,
            files: (0..files).map(file).collect(),
            differential: false,
            over_mqtt: false,
            udi: String::new(),
            tags: Default::default(),
        }
    }

    /// [AL-4.1] The fields of seed 001 §6.11, and `md5` whatever the method is.
    #[test]
    fn an_upgrade_has_the_fields_that_old_and_new_devices_read() {
        let link = |blob: &str| format!("https://m/{blob}");
        let mut one = upgrade(1);
        assert_eq!(
            data(&link, &one),
            json!({
                "size": 432_945, "version": "2.0.0", "url": "https://m/fw-0",
                "md5": "93230c3bde425a9d7984a594ac55ea1e",
                "sign": "93230c3bde425a9d7984a594ac55ea1e", "signMethod": "Md5",
            })
        );
        one.method = SignMethod::Sha256;
        one.module = "modem".into();
        one.differential = true;
        one.udi = "{}".into();
        one.tags.insert("k".into(), "v".into());
        assert_eq!(
            data(&link, &one),
            json!({
                "size": 432_945, "version": "2.0.0", "url": "https://m/fw-0",
                "md5": "93230c3bde425a9d7984a594ac55ea1e", "sign": "ba7816bf",
                "signMethod": "SHA256", "module": "modem", "isDiff": 1,
                "extData": {"k": "v", "_package_udi": "{}"},
            })
        );
        one.over_mqtt = true;
        let told = data(&link, &one);
        assert_eq!(told["streamId"], 12);
        assert_eq!(told["streamFileId"], 1);
        assert!(told.get("url").is_none());

        let two = data(&link, &upgrade(2));
        assert_eq!(two["files"][1]["fileUrl"], "https://m/fw-1");
        assert_eq!(two["files"][1]["fileName"], "part1");
        assert!(two.get("url").is_none());
    }

    #[test]
    fn reports_name_a_module_or_mean_the_device() {
        let long = "1".repeat(VERSION_MAX + 1);
        for (params, expected) in [
            (json!({"version": "1.0.1"}), Some(("default", "1.0.1"))),
            (
                json!({"version": "1", "module": ""}),
                Some(("default", "1")),
            ),
            (
                json!({"version": "1", "module": "modem"}),
                Some(("modem", "1")),
            ),
            (json!({"version": "1", "module": long}), None),
            (json!({"version": ""}), None),
            (json!({"version": long}), None),
            (json!({"version": 7}), None),
            (json!({}), None),
            (json!([]), None),
            (json!(null), None),
        ] {
            assert_eq!(version(&params), expected);
        }
    }

    /// [AL-4.1] 1 to 100, and -1 to -4.
    #[test]
    fn progress_is_a_text_or_a_number() {
        for (params, expected) in [
            (json!({"step": "1", "desc": "x"}), Some((1, "x"))),
            (json!({"step": 100}), Some((100, ""))),
            (json!({"step": "-1"}), Some((-1, ""))),
            (json!({"step": "-4", "desc": 7}), Some((-4, ""))),
            (json!({"step": "-5"}), None),
            (json!({"step": "101"}), None),
            (json!({"step": "ten"}), None),
            (json!({"step": 1.5}), None),
            (json!({}), None),
        ] {
            assert_eq!(progress(&params), expected, "{params}");
        }
    }

    /// The check value of CRC-16/ARC.
    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(crc16(b"123456789"), 0xbb3d);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn pieces_are_asked_for_by_number_or_token() {
        let params = json!({
            "fileToken": "1bb8",
            "fileInfo": {"streamId": 7, "fileId": "1"},
            "fileBlock": {"size": 256, "offset": "2"},
        });
        let read = wanted(&params).unwrap();
        assert_eq!((read.stream, read.file), (Some(7), Some(1)));
        assert_eq!((read.token, read.size, read.offset), (Some("1bb8"), 256, 2));
        for bad in [
            json!({}),
            json!({"fileBlock": {"size": 1}}),
            json!({"fileBlock": {"size": -1, "offset": 0}}),
            json!({"fileBlock": [1, 2]}),
        ] {
            assert_eq!(wanted(&bad), None, "{bad}");
        }
    }

    #[test]
    fn a_piece_is_framed_as_clients_take_it_apart() {
        let file = FirmwareFile {
            name: "a".into(),
            blob: "fw-1".into(),
            size: 11,
            md5: String::new(),
            sha256: String::new(),
        };
        let found = Ok(Piece {
            file,
            offset: 2,
            bytes: Bytes::from_static(b"123456789"),
        });
        let reply = piece(Id("7"), &found);
        let length = usize::from(u16::from_be_bytes([reply[0], reply[1]]));
        let head: Value = serde_json::from_slice(&reply[2..2 + length]).unwrap();
        assert_eq!(head["id"], 7);
        assert_eq!(head["code"], 200);
        assert_eq!(head["data"]["bSize"], 9);
        assert_eq!(head["data"]["bOffset"], 2);
        assert_eq!(head["data"]["fileLength"], 11);
        assert_eq!(&reply[2 + length..reply.len() - 2], b"123456789");
        assert_eq!(&reply[reply.len() - 2..], [0x3d, 0xbb]);

        let reply = piece(Id("\"7\""), &Err(PieceError::NoSuchFile));
        let length = usize::from(u16::from_be_bytes([reply[0], reply[1]]));
        let head: Value = serde_json::from_slice(&reply[2..2 + length]).unwrap();
        assert_eq!(head["code"], 404);
        assert_eq!(&reply[2 + length..], [0, 0]);
    }
}

use super::*;
use crate::{
    stage::{Stage, master},
    vault,
};
use bytes::Bytes;
use credential::Secret;
use model::{
    archive::Row,
    id::{Position, Time},
    port::{Point, SecretId, Stream},
    product::DynamicRegistration,
};
use serde_json::json;
use tokio::sync::mpsc;

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// A registry with a product, two devices and some history, and the file of it.
async fn exported(stage: &Stage, lock: &Lock) -> String {
    let (send, mut pieces) = mpsc::channel::<Bytes>(4);
    let hub = stage.hub.clone();
    let gather = async {
        let mut file = Vec::new();
        while let Some(piece) = pieces.recv().await {
            file.extend_from_slice(&piece);
        }
        String::from_utf8(file).unwrap()
    };
    let (done, file) = tokio::join!(hub.export(lock, Content::WithHistories, send), gather);
    assert_eq!(done.unwrap() + 1, file.lines().count() as u64);
    file
}

async fn filled() -> (Stage, SecretId) {
    let stage = Stage::set().await;
    let (product, _) = stage.product(DynamicRegistration::Off).await;
    let (device, _) = stage.device(&product, "kitchen").await;
    // More of one millisecond than a page, and a long history behind it.
    let points = (0..5_000_u64).map(|i| Point {
        iot_id: device.iot_id.clone(),
        stream: Stream::Property,
        identifier: "temperature".into(),
        kind: None,
        at: Time(if i < 2_500 { 7 } else { i.cast_signed() }),
        position: Position(i),
        value: json!(0.1 + i as f64),
    });
    stage.ports.series.append(points.collect()).await.unwrap();
    (stage, SecretId::Device(device.iot_id))
}

async fn rows(stage: &Stage) -> Vec<Row> {
    let (send, mut receive) = mpsc::channel(100_000);
    stage.ports.archive.dump(send).await.unwrap();
    let mut rows = Vec::new();
    while let Some(row) = receive.recv().await {
        // Secrets are sealed anew.
        if !matches!(row, Row::Secret { .. }) {
            rows.push(row);
        }
    }
    rows
}

async fn enter(
    stage: &Stage,
    file: &str,
    checked: &Checked,
    replace: bool,
) -> Result<Imported, ImportError> {
    let (ports, file) = (&stage.ports, file.as_bytes());
    import(ports, master(1), file, checked, replace, |_| ()).await
}

/// What is exported and imported is the same, secrets and histories included, and a registry that
/// holds something is not touched unless that is said.
#[tokio::test]
async fn a_registry_goes_to_another_one_whole() {
    let (stage, id) = filled().await;
    let random = &*stage.ports.random;
    let lock = Lock::with_key(Secret::new(vec![7; 32]), random).unwrap();
    // The history's reader runs in a server; here nothing waits for it.
    let file = exported(&stage, &lock).await;
    let kept = stage.hub.secret_open(&id).await.unwrap().unwrap();
    let clear = String::from_utf8(kept.expose().to_vec()).unwrap();
    assert!(!file.contains(&clear), "a secret is in clear");

    let key = || Some(Secret::new(vec![7; 32]));
    let checked = check(file.as_bytes(), None, key()).unwrap();
    let other = Stage::set().await;
    let refused = enter(&other, &file, &checked, false).await;
    assert!(matches!(refused, Err(ImportError::NotEmpty)), "{refused:?}");
    let imported = enter(&other, &file, &checked, true).await.unwrap();
    assert_eq!((imported.devices, imported.points), (1, 5_000));
    assert_eq!(rows(&other).await, rows(&stage).await);

    let hub = other.again(master(1)).await.unwrap();
    let found = hub.secret_open(&id).await.unwrap().unwrap();
    assert!(found.matches(kept.expose()));
    let server = vault::server_key(&stage.ports, &stage.hub.vault, "audit-key")
        .await
        .unwrap();
    let moved = vault::server_key(&other.ports, &hub.vault, "audit-key")
        .await
        .unwrap();
    assert!(server.matches(moved.expose()));
    assert_eq!(hub.audit_verify(None).await.unwrap().broken, None);
    // A third time it is the same file but for how secrets are closed.
    let plain = exported(&stage, &Lock::open()).await;
    let checked = check(plain.as_bytes(), None, None).unwrap();
    enter(&other, &plain, &checked, true).await.unwrap();
    let SecretId::Device(device) = id else {
        unreachable!()
    };
    let latest = other.ports.series.latest(&device).await.unwrap();
    assert_eq!(latest[0].value, json!(0.1 + 4_999.0));
}

/// A passphrase opens what it closed; another one, or none, does not.
#[tokio::test]
async fn a_file_opens_with_its_passphrase_only() {
    let stage = Stage::set().await;
    let random = &*stage.ports.random;
    let short = Lock::with_passphrase(&secret("short"), random)
        .err()
        .unwrap();
    assert!(matches!(short, LockError::BadKey(_)));
    assert!(Lock::with_key(secret("no key"), random).is_err());
    let lock = Lock::with_passphrase(&secret("correct horse"), random).unwrap();
    let file = exported(&stage, &lock).await;
    check(file.as_bytes(), Some(&secret("correct horse")), None).unwrap();
    let other = check(file.as_bytes(), Some(&secret("battery staple")), None).err();
    assert!(matches!(
        other,
        Some(ImportError::Lock(LockError::OtherKey))
    ));
    for (passphrase, key) in [(None, None), (None, Some(Secret::new(vec![7; 32])))] {
        let refused = check(file.as_bytes(), passphrase, key).err();
        assert!(matches!(
            refused,
            Some(ImportError::Lock(LockError::OtherKind(_)))
        ));
    }
}

/// Whatever is cut from a file, added, moved or altered is noticed before anything is entered.
#[tokio::test]
async fn a_file_that_was_changed_is_refused() {
    let (stage, _) = filled().await;
    let key = || Secret::new(vec![7; 32]);
    let lock = Lock::with_key(key(), &*stage.ports.random).unwrap();
    let file = exported(&stage, &lock).await;
    let refused = |file: &str| check(file.as_bytes(), None, Some(key())).err();
    assert!(refused(&file).is_none());
    let lines: Vec<_> = file.split_inclusive('\n').collect();
    let last = lines.len() - 1;
    for i in [0, 1, 2, 5, 100, last - 1, last] {
        let without = [&lines[..i], &lines[i + 1..]].concat().concat();
        assert!(refused(&without).is_some(), "without line {i}");
        let twice = [&lines[..=i], &lines[i..]].concat().concat();
        assert!(refused(&twice).is_some(), "line {i} twice");
        let middle = lines[i].len() / 2;
        let changed = lines[i].replace(&lines[i][middle..=middle], "7");
        if changed != lines[i] {
            let changed = [&lines[..i], &[&*changed], &lines[i + 1..]]
                .concat()
                .concat();
            assert!(refused(&changed).is_some(), "line {i} changed");
        }
        let cut = &file[..lines[..i].concat().len() + middle];
        assert!(refused(cut).is_some(), "cut in line {i}");
    }
    let mut moved = lines.clone();
    moved.swap(3, 4);
    assert!(refused(&moved.concat()).is_some());
    let newer = file.replacen("\"format\":1", "\"format\":2", 1);
    assert!(refused(&newer).unwrap().to_string().contains("newer"));
    for strange in [
        "",
        "\n",
        "{}\n",
        "[]\n",
        "{\"end\":{\"lines\":0,\"seal\":\"\"}}\n",
        "\0\n",
    ] {
        assert!(refused(strange).is_some(), "{strange:?}");
    }
}

/// Bytes that were a file once: no panic, and no lines without end.
#[tokio::test]
async fn strange_files_do_no_harm() {
    let stage = Stage::set().await;
    let lock = Lock::with_key(Secret::new(vec![7; 32]), &*stage.ports.random).unwrap();
    let sample = exported(&stage, &lock).await.into_bytes();
    let mut state = 0x9e37_79b9_u32;
    let mut next = |most: usize| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize % most
    };
    for _ in 0..2_000 {
        let mut bytes = sample.clone();
        for _ in 0..=next(4) {
            let at = next(bytes.len());
            match next(3) {
                0 => bytes[at] = b"{}[]\",:\n0f\xff\0"[next(12)],
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, b"{}[]\",:\n0f\xff\0"[next(12)]),
            }
        }
        fuzz(&bytes);
        if bytes != sample {
            let key = Some(Secret::new(vec![7; 32]));
            assert!(check(&*Bytes::from(bytes), None, key).is_err());
        }
    }
}

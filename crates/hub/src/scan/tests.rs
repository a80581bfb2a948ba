use super::*;
use crate::{
    limits::Limits,
    ota::{NewFile, NewPackage},
    stage::{START, Stage},
};
use bytes::Bytes;
use model::product::DynamicRegistration;

fn of(url: &str) -> NewScan {
    NewScan {
        name: "摄像头".into(),
        version: "1.0".into(),
        url: Some(url.into()),
        ..NewScan::default()
    }
}

const URL: &str = "https://store.oss-cn-shanghai.aliyuncs.com/18/fw?Expires=1";

async fn stage(change: impl FnOnce(&mut Limits)) -> (Stage, Permit) {
    let mut limits = Limits::default();
    change(&mut limits);
    let stage = Stage::set_with(limits, |ports| ports).await;
    let permit = stage.permit().await;
    (stage, permit)
}

fn found(critical: u64) -> Found {
    Found {
        counts: [critical, 0, 0, 0, 0],
        ..Found::default()
    }
}

fn outcome(found: Found, hits: &[Hit]) -> Outcome {
    Outcome {
        found,
        hits: hits.to_vec(),
        ..Outcome::default()
    }
}

/// [FS-1] [FS-2] A task goes through its states to its report; its place in the line is the one it
/// was given, and a run that was cut short is begun again.
#[tokio::test]
async fn tasks_are_done_in_their_order() {
    let (stage, permit) = stage(|_| {}).await;
    let hub = &stage.hub;
    let first = hub.scan_create(&permit, of(URL)).await.unwrap();
    let second = hub
        .scan_create(&permit, of(&format!("{URL}2")))
        .await
        .unwrap();
    assert_eq!(
        (first.id.len(), first.state, first.progress),
        (32, ScanState::Queued, 0)
    );
    let next = hub.scan_next().await.unwrap().unwrap();
    assert_eq!(next.id, first.id);
    for state in [ScanState::Fetching, ScanState::Parsing, ScanState::Scanning] {
        assert!(hub.scan_step(&first.id, state).await.unwrap());
    }
    let shown = hub.scan_find(&permit, &first.id).await.unwrap();
    assert_eq!((shown.state, shown.progress), (ScanState::Scanning, 450));
    assert!(matches!(
        hub.scan_link(&shown, "json"),
        Err(ScanError::NotDone)
    ));
    // As after a crash.
    let again = hub.scan_next().await.unwrap().unwrap();
    assert_eq!((again.id.as_str(), again.tries), (first.id.as_str(), 2));

    let mut writer = hub.blob_create("scan-x-json").await.unwrap();
    writer.write(Bytes::from_static(b"{}")).await.unwrap();
    writer.finish().await.unwrap();
    let documents = BTreeMap::from([("json".to_owned(), "scan-x-json".to_owned())]);
    hub.scan_done(&first.id, &outcome(found(1), &[]), documents)
        .await
        .unwrap();
    let shown = hub.scan_find(&permit, &first.id).await.unwrap();
    assert_eq!((shown.state, shown.progress), (ScanState::Done, 1_000));
    assert_eq!(hub.scan_document(&shown, "json").await.unwrap(), "{}");
    assert!(
        hub.scan_link(&shown, "json")
            .unwrap()
            .contains("/download/scan-x-json?Expires=")
    );
    assert!(matches!(
        hub.scan_link(&shown, "pdf"),
        Err(ScanError::NotFound(_))
    ));
    assert_eq!(hub.scan_next().await.unwrap().unwrap().id, second.id);
    let licence = hub.scan_licence(&permit).await.unwrap();
    assert_eq!((licence.used, licence.running), (2, 1));

    hub.scan_delete(&permit, &first.id).await.unwrap();
    let gone = hub.scan_find(&permit, &first.id).await;
    assert!(matches!(gone, Err(ScanError::NotFound(_))));
    assert!(matches!(
        hub.scan_delete(&permit, &first.id).await,
        Err(ScanError::NotFound(_))
    ));
    assert_eq!(stage.ports.blobs.size("scan-x-json").await.unwrap(), None);
}

/// [FS-1] The same file or the same id of the caller's is no second task, until the first failed or
/// was deleted.
#[tokio::test]
async fn the_same_again_is_said_to_be_there() {
    let (stage, permit) = stage(|_| {}).await;
    let hub = &stage.hub;
    let own = |url: &str| NewScan {
        own_id: "own".into(),
        ..of(url)
    };
    let first = hub.scan_create(&permit, own(URL)).await.unwrap();
    for again in [own("https://b.aliyuncs.com/x"), of(URL)] {
        match hub.scan_create(&permit, again).await {
            Err(ScanError::Taken(id)) => assert_eq!(id, first.id),
            other => panic!("{other:?}"),
        }
    }
    let level = NewScan {
        rules: Rules::Two,
        ..of(URL)
    };
    hub.scan_create(&permit, level).await.unwrap();
    hub.scan_fail(&first.id, ScanState::FetchFailed, "gone")
        .await
        .unwrap();
    assert_eq!(
        hub.scan_licence(&permit).await.unwrap().used,
        1,
        "it does not count"
    );
    let shown = hub.scan_find(&permit, &first.id).await.unwrap();
    assert!(matches!(
        hub.scan_link(&shown, "json"),
        Err(ScanError::Failed(_))
    ));
    let next = hub.scan_create(&permit, own(URL)).await.unwrap();
    hub.scan_delete(&permit, &next.id).await.unwrap();
    hub.scan_create(&permit, own(URL)).await.unwrap();
}

/// [FS-4] [FS-7] What may not be is refused by its name.
#[tokio::test]
async fn what_breaks_a_rule_is_refused() {
    let (stage, permit) = stage(|limits| limits.scans = 1).await;
    let hub = &stage.hub;
    for (what, new) in [
        (
            "name",
            NewScan {
                name: "机".repeat(17),
                ..of(URL)
            },
        ),
        (
            "version",
            NewScan {
                version: "v".repeat(51),
                ..of(URL)
            },
        ),
        (
            "own id",
            NewScan {
                own_id: "i".repeat(65),
                ..of(URL)
            },
        ),
        (
            "no file",
            NewScan {
                url: None,
                ..of(URL)
            },
        ),
    ] {
        let refused = hub.scan_create(&permit, new).await;
        assert!(
            matches!(refused, Err(ScanError::BadRequest(_))),
            "{what}: {refused:?}"
        );
    }
    for email in [
        "",
        "x",
        "@b.cn",
        "a@b",
        "a b@c.cn",
        "a@-b.cn",
        "a..b@c.cn",
        "a@b.cn\r\nBcc: x@y.cn",
    ] {
        let new = NewScan {
            email: Some(email.into()),
            ..of(URL)
        };
        let refused = hub.scan_create(&permit, new).await;
        let named = matches!(refused, Err(ScanError::BadEmail | ScanError::BadRequest(_)));
        assert!(named, "{email}: {refused:?}");
    }
    for url in [
        "ftp://a.aliyuncs.com/x",
        "a.aliyuncs.com/x",
        "https:///x",
        "https://aliyuncs.com/x",
        "https://evilaliyuncs.com/x",
        "https://a.aliyuncs.com@evil.cn/x",
        "http://127.0.0.1/x",
        "https://evil.cn/a.aliyuncs.com",
        "http://a.aliyuncs.com /x",
        "http://[::1]/",
    ] {
        let refused = hub.scan_create(&permit, of(url)).await;
        assert!(
            matches!(refused, Err(ScanError::BadLink(_))),
            "{url}: {refused:?}"
        );
    }
    hub.scan_create(
        &permit,
        NewScan {
            email: Some("li.wei+fw@b-c.cn".into()),
            ..of(URL)
        },
    )
    .await
    .unwrap();
    let refused = hub
        .scan_create(&permit, of("https://x.aliyuncs.com/2"))
        .await;
    assert!(matches!(refused, Err(ScanError::UsedUp)), "{refused:?}");
}

/// A task that ends the server each time is given up.
#[tokio::test]
async fn a_task_is_begun_three_times_at_most() {
    let (stage, permit) = stage(|_| {}).await;
    let hub = &stage.hub;
    let task = hub.scan_create(&permit, of(URL)).await.unwrap();
    for _ in 0..3 {
        assert_eq!(hub.scan_next().await.unwrap().unwrap().id, task.id);
    }
    assert!(hub.scan_next().await.unwrap().is_none());
    let shown = hub.scan_find(&permit, &task.id).await.unwrap();
    assert_eq!(shown.state, ScanState::Failed);
}

/// A package is scanned when it is made; the policy holds its campaigns until it passes or somebody
/// signs an exception, whose time ends. From a vulnerability one comes to the package.
#[tokio::test]
async fn a_policy_holds_what_is_not_fit() {
    let (stage, permit) = stage(|_| {}).await;
    let hub = &stage.hub;
    let (product, _) = stage.product(DynamicRegistration::Off).await;
    let mut upload = hub.upload_begin(&permit, "fw.bin").await.unwrap();
    upload.write(Bytes::from_static(b"image")).await.unwrap();
    let file = hub.upload_finish(upload).await.unwrap();
    let new = NewPackage {
        product: Some(product.key),
        name: "two".into(),
        version: "2.0".into(),
        files: vec![NewFile {
            upload: file.blob,
            ..NewFile::default()
        }],
        ..NewPackage::default()
    };
    let package = hub.firmware_create(&permit, new).await.unwrap();
    let held = || async { hub.package_verdict(&package).await.unwrap() };
    assert_eq!(held().await, Verdict::Passes, "nothing is demanded");
    let policy = Policy {
        severity: Some(1),
        exploited: true,
        ..Policy::default()
    };
    hub.scan_policy_set(&permit, &policy).await.unwrap();
    assert!(matches!(held().await, Verdict::Held(why) if why[0].contains("is not over")));

    let task = hub.scan_next().await.unwrap().unwrap();
    assert_eq!(task.firmware.as_deref(), Some(package.id.as_str()));
    let hit = Hit {
        cve: "CVE-2014-0160".into(),
        severity: 1,
        exploited: true,
        component: "openssl".into(),
        version: "1.0.1f".into(),
        settled: false,
    };
    let bad = Found {
        counts: [0, 3, 0, 0, 9],
        exploited: 1,
        ..Found::default()
    };
    let outcome_bad = outcome(bad, std::slice::from_ref(&hit));
    hub.scan_done(&task.id, &outcome_bad, BTreeMap::new())
        .await
        .unwrap();
    assert!(
        stage
            .ports
            .blobs
            .size(task.image.as_ref().unwrap())
            .await
            .unwrap()
            .is_some()
    );
    match held().await {
        Verdict::Held(why) => assert_eq!(why.len(), 2, "{why:?}"),
        other => panic!("{other:?}"),
    }
    let exposed = hub.scan_exposed(&permit, "cve-2014-0160").await.unwrap();
    assert_eq!((exposed.len(), &exposed[0].found), (1, &hit));
    assert!(
        hub.scan_exposed(&permit, "CVE-2014-0161")
            .await
            .unwrap()
            .is_empty()
    );

    let until = START.plus(60_000);
    assert!(
        hub.scan_except(&permit, &package.id, " ", until)
            .await
            .is_err()
    );
    assert!(
        hub.scan_except(&permit, &package.id, "x", START)
            .await
            .is_err()
    );
    hub.scan_except(&permit, &package.id, "the port is closed", until)
        .await
        .unwrap();
    assert!(matches!(held().await, Verdict::Excepted(e) if e.reason == "the port is closed"));
    stage.clock.move_by(60_000);
    assert!(matches!(held().await, Verdict::Held(_)), "its time is over");

    let new = hub
        .scan_matched(
            &task.id,
            &outcome(
                found(0),
                &[Hit {
                    cve: "CVE-2026-1".into(),
                    ..hit
                }],
            ),
        )
        .await
        .unwrap();
    assert_eq!(new, ["CVE-2026-1"]);
    assert_eq!(held().await, Verdict::Passes);

    // Each demand holds by itself.
    let none = Policy::default;
    for (policy, found, word) in [
        (
            Policy {
                secrets: true,
                ..none()
            },
            Found {
                secrets: 2,
                ..found(0)
            },
            "2 secrets",
        ),
        (
            Policy {
                severity: Some(2),
                ..none()
            },
            Found {
                counts: [0, 0, 1, 4, 4],
                ..found(0)
            },
            "1 findings that are medium or worse",
        ),
        (
            Policy {
                exploited: true,
                ..none()
            },
            Found {
                exploited: 1,
                ..found(0)
            },
            "being exploited",
        ),
        (
            Policy {
                rules: Rules::Two,
                ..none()
            },
            found(0),
            "by other rules",
        ),
    ] {
        hub.scan_policy_set(&permit, &none()).await.unwrap();
        hub.scan_matched(&task.id, &outcome(found, &[]))
            .await
            .unwrap();
        assert_eq!(held().await, Verdict::Passes, "{word}");
        hub.scan_policy_set(&permit, &policy).await.unwrap();
        match held().await {
            Verdict::Held(why) => assert!(why.len() == 1 && why[0].contains(word), "{why:?}"),
            other => panic!("{word}: {other:?}"),
        }
    }
    hub.firmware_delete(&permit, &package.id).await.unwrap();
    assert!(hub.scan_list(&permit).await.unwrap().is_empty());
}

use super::*;
use crate::{
    ota::{NewFile, NewPackage},
    stage::{Stage, claim, master},
};
use bytes::Bytes;
use credential::Want;
use model::{
    device::Device,
    firmware::WHOLE,
    product::{DynamicRegistration, Product},
};

const DEVICES: usize = 2_400;
const VERSIONS: [&str; 3] = ["1.0", "1.1", "2.0"];

fn hit(cve: &str, severity: u8) -> Hit {
    Hit {
        cve: cve.into(),
        severity,
        exploited: false,
        component: "openssl".into(),
        version: "1.0.1f".into(),
        settled: false,
    }
}

fn part(name: &str, version: &str) -> Part {
    Part {
        name: name.into(),
        version: version.into(),
    }
}

fn outcome(hits: &[Hit], feeds: &str) -> Outcome {
    Outcome {
        hits: hits.to_vec(),
        parts: vec![part("openssl", "1.0.1f"), part("busybox", "1.30.0")],
        feeds: feeds.into(),
        ..Outcome::default()
    }
}

async fn package(stage: &Stage, permit: &Permit, product: &Product, version: &str) -> Package {
    let hub = &stage.hub;
    let mut upload = hub.upload_begin(permit, "fw.bin").await.unwrap();
    upload.write(Bytes::from(version.to_owned())).await.unwrap();
    let file = hub.upload_finish(upload).await.unwrap();
    let new = NewPackage {
        product: Some(product.key.clone()),
        name: version.into(),
        version: version.into(),
        files: vec![NewFile {
            upload: file.blob,
            ..NewFile::default()
        }],
        ..NewPackage::default()
    };
    hub.firmware_create(permit, new).await.unwrap()
}

/// A fleet of which every third device runs each version, and a scan of each, all done.
async fn fleet() -> (
    Stage,
    Permit,
    Vec<(Package, ScanTask)>,
    Vec<(Device, String)>,
) {
    let stage = Stage::set().await;
    let permit = stage.permit().await;
    let (product, _) = stage.product(DynamicRegistration::Off).await;
    let mut packages = Vec::new();
    for version in VERSIONS {
        let package = package(&stage, &permit, &product, version).await;
        let task = stage.hub.scan_next().await.unwrap().unwrap();
        let hits: &[Hit] = match version {
            "2.0" => &[],
            _ => &[hit("CVE-2014-0160", 1)],
        };
        stage
            .hub
            .scan_done(&task.id, &outcome(hits, "old"), BTreeMap::new())
            .await
            .unwrap();
        packages.push((package, task));
    }
    let mut devices = Vec::new();
    for n in 0..DEVICES {
        let (device, secret) = stage.device(&product, &format!("d{n:05}")).await;
        says(&stage, &device, &secret, VERSIONS[n % 3]).await;
        devices.push((device, secret));
    }
    (stage, permit, packages, devices)
}

async fn says(stage: &Stage, device: &Device, secret: &str, version: &str) {
    let claim = claim(&device.key, secret, Want::DeviceSecret);
    let session = stage.hub.device_admit(claim, 0).await.unwrap();
    let hub = &stage.hub;
    hub.firmware_report(&session, WHOLE, version).await.unwrap();
}

async fn exposed(stage: &Stage, permit: &Permit, cve: &str) -> Vec<(String, u64)> {
    let hub = &stage.hub;
    let mut all = Vec::new();
    for exposed in hub.scan_exposed(permit, cve).await.unwrap() {
        let (count, names) = hub.version_runs(&exposed.package, 10).await.unwrap();
        assert_eq!(names.len() as u64, count.min(10));
        all.push((exposed.package.version, count));
    }
    all.sort();
    all
}

fn pairs(all: &[(&str, u64)]) -> Vec<(String, u64)> {
    all.iter().map(|(v, n)| ((*v).to_owned(), *n)).collect()
}

/// From a vulnerability and from a component one comes to the versions that have it and to the
/// devices that run them, as they are now. What becomes known later is news, and a fact of every
/// device that runs it; who dies before all are told tells them after the next start.
#[tokio::test]
async fn a_fleet_is_told_what_it_runs() {
    let (stage, permit, packages, devices) = fleet().await;
    let third = DEVICES as u64 / 3;
    let hub = &stage.hub;
    let old = "cve-2014-0160";
    assert_eq!(
        exposed(&stage, &permit, old).await,
        pairs(&[("1.0", third), ("1.1", third)])
    );
    assert!(exposed(&stage, &permit, "CVE-2014-016").await.is_empty());
    let other = stage.other_permit().await;
    assert!(exposed(&stage, &other, old).await.is_empty());
    let holding = |version| hub.scan_holding(&permit, "openssl", version);
    assert_eq!(holding(None).await.unwrap().len(), 3);
    assert_eq!(holding(Some("1.0.1f")).await.unwrap().len(), 3);
    assert!(holding(Some("1.0")).await.unwrap().is_empty());

    // Two go on to another version, one is deleted.
    for at in [0, 3] {
        says(&stage, &devices[at].0, &devices[at].1, "2.0").await;
    }
    hub.device_delete(&permit, &devices[6].0.key).await.unwrap();
    assert_eq!(
        exposed(&stage, &permit, old).await,
        pairs(&[("1.0", third - 3), ("1.1", third)])
    );

    // Other feeds come: one version has more, one is repaired by them.
    assert_eq!(hub.scan_stale("old").await.unwrap().len(), 0);
    assert_eq!(hub.scan_stale("new").await.unwrap().len(), 3);
    let more = [
        hit("CVE-2026-7", 2),
        hit("CVE-2014-0160", 1),
        hit("CVE-2026-8", 0),
    ];
    let new = hub
        .scan_matched(&packages[0].1.id, &outcome(&more, "new"))
        .await
        .unwrap();
    assert_eq!(new, ["CVE-2026-8", "CVE-2026-7"], "the worst first");
    for at in [1, 2] {
        let nothing = outcome(&[], "new");
        let new = hub.scan_matched(&packages[at].1.id, &nothing).await;
        assert!(new.unwrap().is_empty());
    }
    assert_eq!(hub.scan_stale("new").await.unwrap().len(), 0);
    assert_eq!(
        exposed(&stage, &permit, old).await,
        pairs(&[("1.0", third - 3)])
    );
    assert_eq!(
        exposed(&stage, &permit, "CVE-2026-7").await,
        pairs(&[("1.0", third - 3)])
    );

    // Killed here: nobody was told yet.
    let news = hub.scan_news(&permit).await.unwrap();
    assert_eq!(
        (news.len(), news[0].0.devices, news[0].0.count),
        (1, None, 2)
    );
    let again = stage.again(master(1)).await.unwrap();
    again.news_tell().await.unwrap();
    let news = again.scan_news(&permit).await.unwrap();
    assert_eq!(news[0].0.devices, Some(third - 3));
    assert_eq!(news[0].1.as_ref().unwrap().id, packages[0].0.id);
    let told = What::Exposed {
        firmware: packages[0].0.id.clone(),
        module: WHOLE.into(),
        version: "1.0".into(),
        vulnerabilities: vec!["CVE-2026-8".into(), "CVE-2026-7".into()],
        count: 2,
    };
    for (at, count) in [(9, 1), (1, 0), (2, 0), (0, 0)] {
        let facts = stage.facts(&devices[at].0.iot_id).await;
        let found = facts.iter().filter(|what| **what == told).count();
        assert_eq!(found, count, "device {at}");
    }
    // The same feeds once more are no news.
    let same = again
        .scan_matched(&packages[0].1.id, &outcome(&more, "new"))
        .await
        .unwrap();
    assert!(same.is_empty());
    assert_eq!(again.scan_news(&permit).await.unwrap().len(), 1);

    // What goes, goes from the index.
    again
        .firmware_delete(&permit, &packages[0].0.id)
        .await
        .unwrap();
    assert!(exposed(&stage, &permit, "CVE-2026-7").await.is_empty());
    assert_eq!(holding(None).await.unwrap().len(), 2);
}

/// What devices said before there was the index is in it after the start.
#[tokio::test]
async fn what_was_said_before_is_found() {
    let stage = Stage::set().await;
    let permit = stage.permit().await;
    let (product, _) = stage.product(DynamicRegistration::Off).await;
    let package = package(&stage, &permit, &product, "1.0").await;
    let (device, secret) = stage.device(&product, "veteran").await;
    says(&stage, &device, &secret, "1.0").await;
    let catalog = &stage.ports.catalog;
    for entry in catalog.list("firmware-runs", "", None, 10).await.unwrap() {
        let gone = vec![remove("firmware-runs", entry.key, Expect::Anything)];
        stage.hub.document_put(gone).await.unwrap();
    }
    let count = async || stage.hub.version_runs(&package, 0).await.unwrap().0;
    assert_eq!(count().await, 0);
    stage.hub.version_index().await.unwrap();
    assert_eq!(count().await, 1);
    stage.hub.version_index().await.unwrap();
    assert_eq!(count().await, 1);
}

//! Devices over the embedded engine.

use super::*;
use crate::{
    edge::Session,
    limits::Limits,
    product::NewProduct,
    stage::{Stage, claim},
};
use credential::Want;
use futures_util::future::join_all;
use model::{
    error::ProductError,
    port::Signal,
    product::{DataFormat, NodeKind},
};

async fn product(stage: &Stage, permit: &Permit) -> ProductKey {
    let new = NewProduct {
        name: "lamp".into(),
        description: String::new(),
        node: NodeKind::Device,
        format: DataFormat::Alink,
        modelled: false,
        labels: BTreeMap::new(),
    };
    stage
        .hub
        .product_create(permit, new)
        .await
        .unwrap()
        .0
        .key
        .clone()
}

async fn login(stage: &Stage, key: &DeviceKey, secret: &str) -> Session {
    let claim = claim(key, secret, Want::DeviceSecret);
    stage.hub.device_admit(claim, 0).await.unwrap()
}

fn wanted(names: &[&str]) -> Vec<WantedName> {
    let name = |name: &&str| WantedName {
        name: (*name).to_owned(),
        nickname: String::new(),
    };
    names.iter().map(name).collect()
}

fn names(list: &[WantedName]) -> Vec<&str> {
    list.iter().map(|wanted| wanted.name.as_str()).collect()
}

/// [AL-2.1] A device is registered under a name that keeps its rule, with a secret of its own.
#[tokio::test]
async fn a_registered_device_can_log_in() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let product = product(&stage, &permit).await;
    let register = |name, nickname| hub.device_register(&permit, &product, name, nickname);
    let (device, secret) = register(Some("lamp-1"), Some("客厅灯")).await.unwrap();
    assert_eq!((secret.len(), device.nickname.as_str()), (32, "客厅灯"));
    assert_eq!(stage.facts(&device.iot_id).await, [What::Registered]);
    assert_eq!(hub.device_key(&device.iot_id).await.unwrap(), device.key);
    let view = hub.device_find(&permit, &device.key).await.unwrap();
    assert_eq!(
        (view.state, view.connected),
        (DeviceState::Unactivated, None)
    );
    login(&stage, &device.key, &secret).await;
    let view = hub.device_find(&permit, &device.key).await.unwrap();
    assert_eq!(
        (view.state, view.connected),
        (DeviceState::Online, Some(hub.now()))
    );

    let (nameless, other) = register(None, None).await.unwrap();
    assert_eq!(nameless.key.name.as_str().len(), MADE_UP);
    assert_ne!(other, secret);
    assert!(matches!(
        register(Some("lamp-1"), None).await,
        Err(DeviceError::NameTaken)
    ));
    let (name, nickname) = ("x".repeat(33), "x".repeat(65));
    for bad in ["", "abc", "a/b/c", &name] {
        assert!(
            matches!(
                register(Some(bad), None).await,
                Err(DeviceError::BadName(_))
            ),
            "{bad}"
        );
    }
    for bad in ["abc", "灯", "a\0bcd", &nickname] {
        let refused = register(Some("lamp-2"), Some(bad)).await;
        assert!(matches!(refused, Err(DeviceError::BadRequest(_))), "{bad}");
    }
    let count = hub.device_count(&permit, Some(&product)).await.unwrap();
    assert_eq!((count.0.registered, count.0.activated, count.1), (2, 1, 1));
    assert_eq!(hub.device_count(&permit, None).await.unwrap(), count);
}

/// [AL-2.6] The quota of a product holds, whatever races.
#[tokio::test]
async fn a_product_has_no_more_devices_than_its_quota() {
    let limits = Limits {
        devices: 3,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |ports| ports).await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let product = product(&stage, &permit).await;
    let racing = (0..6).map(|_| hub.device_register(&permit, &product, None, None));
    let (made, refused): (Vec<_>, Vec<_>) =
        join_all(racing).await.into_iter().partition(Result::is_ok);
    assert_eq!((made.len(), refused.len()), (3, 3));
    assert!(
        refused
            .iter()
            .all(|r| matches!(r, Err(DeviceError::TooMany)))
    );
    let batch = hub.batch_create(&permit, &product, 1).await;
    assert!(matches!(batch, Err(DeviceError::TooMany)));
}

#[tokio::test]
async fn many_are_registered_together_or_not_at_all() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let product = product(&stage, &permit).await;
    let many = |names| hub.device_register_many(&permit, &product, wanted(names));
    assert_eq!(many(&["lamp-1", "lamp-2"]).await.unwrap().len(), 2);
    assert!(matches!(
        many(&["lamp-3", "lamp-2"]).await,
        Err(DeviceError::NameTaken)
    ));
    assert!(matches!(
        many(&["lamp-3", "lamp-3"]).await,
        Err(DeviceError::NameTaken)
    ));
    assert!(many(&[]).await.unwrap().is_empty());
    let three = DeviceKey::parse(product.as_str(), "lamp-3").unwrap();
    assert!(matches!(
        hub.device_find(&permit, &three).await,
        Err(DeviceError::NotFound)
    ));
    let filter = DeviceFilter::default();
    let (page, total) = hub
        .device_page(&permit, &product, &filter, 1, 5)
        .await
        .unwrap();
    assert_eq!((page.len(), total), (1, 2));
}

/// Promise 2: whoever is kept out is told to leave at once.
#[tokio::test]
async fn disabled_reset_and_deleted_devices_are_told_to_leave() {
    let mut stage = Stage::set().await;
    let mut words = stage.words.take().unwrap();
    let permit = stage.permit().await;
    let hub = stage.hub.clone();
    let product = product(&stage, &permit).await;
    let (device, secret) = hub
        .device_register(&permit, &product, Some("lamp"), None)
        .await
        .unwrap();
    let key = &device.key;
    login(&stage, key, &secret).await;
    let mut told = async || match words.recv().await.unwrap() {
        Signal::Close { iot_id, reason, .. } => {
            assert_eq!(iot_id, device.iot_id);
            reason
        }
        other => panic!("{other:?}"),
    };
    assert!(hub.device_disable(&permit, key, true).await.unwrap().1);
    assert_eq!(told().await, CloseReason::Disabled);
    assert_eq!(
        hub.device_find(&permit, key).await.unwrap().state,
        DeviceState::Disabled
    );
    let (enabled, turned) = hub.device_disable(&permit, key, false).await.unwrap();
    assert!(!enabled.disabled && turned);
    // What is so already is not told of twice.
    assert!(!hub.device_disable(&permit, key, false).await.unwrap().1);

    let fresh = hub.device_reset_secret(&permit, key).await.unwrap();
    assert_eq!(told().await, CloseReason::CredentialReset);
    assert_ne!(fresh, secret);
    assert_eq!(hub.device_secret(&permit, key).await.unwrap(), fresh);
    let old = hub
        .device_admit(claim(key, &secret, Want::DeviceSecret), 0)
        .await;
    assert!(old.is_err());
    assert!(stage.row(&device.iot_id).await.credential > device.credential);

    hub.device_delete(&permit, key).await.unwrap();
    assert_eq!(told().await, CloseReason::Deleted);
    assert!(matches!(
        hub.device_find(&permit, key).await,
        Err(DeviceError::NotFound)
    ));
    assert!(matches!(
        hub.device_delete(&permit, key).await,
        Err(DeviceError::NotFound)
    ));
    let id = SecretId::Device(device.iot_id.clone());
    assert!(stage.ports.secrets.find(&id).await.unwrap().is_none());
    let told: Vec<What> = stage.facts(&device.iot_id).await.split_off(3);
    assert_eq!(
        told,
        [
            What::Disabled,
            What::Enabled,
            What::CredentialReset,
            What::Deleted
        ]
    );
}

/// Secrets are read under audit, many in one line.
#[tokio::test]
async fn reading_secrets_is_written_down() {
    let stage = Stage::set().await;
    let (permit, other) = (stage.permit().await, stage.other_permit().await);
    let hub = &stage.hub;
    let product = product(&stage, &permit).await;
    let made = hub
        .device_register_many(&permit, &product, wanted(&["lamp-1", "lamp-2"]))
        .await
        .unwrap();
    let lines = stage.lines().await.len();
    let filter = DeviceFilter::default();
    let (page, _) = hub
        .device_page(&permit, &product, &filter, 0, 10)
        .await
        .unwrap();
    let mut secrets = hub.device_secrets(&permit, &page).await.unwrap();
    secrets.sort();
    let mut told: Vec<_> = made.iter().map(|(_, secret)| secret.clone()).collect();
    told.sort();
    assert_eq!(secrets, told);
    let line = stage.lines().await.split_off(lines);
    assert_eq!(line.len(), 1);
    assert!(line[0].entry.detail.contains("lamp-1") && line[0].entry.detail.contains("lamp-2"));
    let key = &made[0].0.key;
    assert!(matches!(
        hub.device_secret(&other, key).await,
        Err(DeviceError::NotFound)
    ));
    assert_eq!(hub.device_secrets(&other, &page).await.unwrap(), ["", ""]);
}

#[tokio::test]
async fn another_account_reaches_no_device() {
    let stage = Stage::set().await;
    let (permit, other) = (stage.permit().await, stage.other_permit().await);
    let hub = &stage.hub;
    let product = product(&stage, &permit).await;
    let (device, _) = hub
        .device_register(&permit, &product, None, None)
        .await
        .unwrap();
    let not_found = |error| assert!(matches!(error, DeviceError::NotFound), "{error}");
    not_found(hub.device_find(&other, &device.key).await.unwrap_err());
    not_found(
        hub.device_disable(&other, &device.key, true)
            .await
            .unwrap_err(),
    );
    not_found(
        hub.device_reset_secret(&other, &device.key)
            .await
            .unwrap_err(),
    );
    not_found(hub.device_delete(&other, &device.key).await.unwrap_err());
    not_found(
        hub.device_nickname(&other, &device.key, "mine!")
            .await
            .unwrap_err(),
    );
    let none = |error| assert!(matches!(error, DeviceError::NoSuchProduct), "{error}");
    none(
        hub.device_register(&other, &product, None, None)
            .await
            .unwrap_err(),
    );
    none(hub.batch_create(&other, &product, 1).await.unwrap_err());
    none(hub.device_count(&other, Some(&product)).await.unwrap_err());
    let batch = hub.batch_create(&permit, &product, 1).await.unwrap().id;
    let read = hub.batch_find(&other, batch).await;
    assert!(matches!(read, Err(DeviceError::NoSuchBatch)));
}

/// spec/cloud-api.md §2: names are checked, applied for, made, and read page by page.
#[tokio::test]
async fn a_batch_goes_from_names_to_devices() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let product = product(&stage, &permit).await;
    hub.device_register(&permit, &product, Some("taken"), None)
        .await
        .unwrap();
    let mut list = wanted(&["lamp-1", "x", "lamp-1", "taken", "lamp-1", "lamp-2"]);
    list[5].nickname = "abc".into();
    let checked = hub.batch_check(&permit, &product, list).await.unwrap();
    assert_eq!(checked.state, BatchState::CheckFailed);
    assert_eq!(names(&checked.valid), ["lamp-1"]);
    assert_eq!(names(&checked.invalid), ["x", "taken"]);
    assert_eq!(names(&checked.invalid_nicknames), ["lamp-2"]);
    assert_eq!(checked.repeated, ["lamp-1"]);
    let refused = hub.batch_apply(&permit, &product, checked.id).await;
    assert!(matches!(refused, Err(DeviceError::BadRequest(_))));

    let list: Vec<String> = (0..1_200).map(|n| format!("lamp-{n:04}")).collect();
    let list: Vec<&str> = list.iter().map(String::as_str).collect();
    let batch = hub
        .batch_check(&permit, &product, wanted(&list))
        .await
        .unwrap();
    assert_eq!(batch.state, BatchState::Checked);
    // Somebody takes a name between the check and the application.
    hub.device_register(&permit, &product, Some("lamp-0700"), None)
        .await
        .unwrap();
    let made = hub.batch_apply(&permit, &product, batch.id).await.unwrap();
    assert_eq!(made.state, BatchState::CreateFailed);
    assert_eq!(
        (made.valid.len(), names(&made.invalid)),
        (1_199, vec!["lamp-0700"])
    );
    assert_eq!(hub.batch_find(&permit, batch.id).await.unwrap(), made);
    assert_eq!(
        hub.batch_apply(&permit, &product, batch.id).await.unwrap(),
        made
    );
    let count = hub.device_count(&permit, Some(&product)).await.unwrap().0;
    assert_eq!(count.registered, 1_201);

    let (page, total) = hub.batch_page(&permit, batch.id, 699, 2).await.unwrap();
    assert_eq!(total, 1_199);
    let read: Vec<_> = page
        .iter()
        .map(|view| view.device.key.name.as_str())
        .collect();
    assert_eq!(read, ["lamp-0699", "lamp-0701"]);
    let secrets = hub.device_secrets(&permit, &page).await.unwrap();
    login(&stage, &page[0].device.key, &secrets[0]).await;
}

#[tokio::test]
async fn batches_keep_their_bounds() {
    let limits = Limits {
        batch_names: 5,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |ports| ports).await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let product = product(&stage, &permit).await;
    for (count, fits) in [
        (0, false),
        (1, true),
        (5, true),
        (6, false),
        (u64::MAX, false),
    ] {
        assert_eq!(
            hub.batch_create(&permit, &product, count).await.is_ok(),
            fits,
            "{count}"
        );
    }
    let six = wanted(&["aaaa", "bbbb", "cccc", "dddd", "eeee", "ffff"]);
    let refused = hub.batch_check(&permit, &product, six).await;
    assert!(matches!(refused, Err(DeviceError::TooMuch(_))));
    assert!(
        hub.batch_check(&permit, &product, Vec::new())
            .await
            .is_err()
    );
    assert!(matches!(
        hub.batch_find(&permit, 999).await,
        Err(DeviceError::NoSuchBatch)
    ));
}

/// Work that was cut short at any step is completed by who asks next, and no device is made twice.
#[tokio::test]
async fn a_batch_that_was_cut_short_is_completed() {
    for turns in [1_usize, 3, 5, 8, 13, 21, 34, 55] {
        let stage = Stage::set().await;
        let (permit, hub) = (stage.permit().await, &stage.hub);
        let product = product(&stage, &permit).await;
        let list: Vec<String> = (0..600).map(|n| format!("lamp-{n:04}")).collect();
        let list: Vec<&str> = list.iter().map(String::as_str).collect();
        let batch = hub
            .batch_check(&permit, &product, wanted(&list))
            .await
            .unwrap();
        {
            // The caller goes away after some turns.
            let work = hub.batch_apply(&permit, &product, batch.id);
            tokio::pin!(work);
            let mut left = turns;
            std::future::poll_fn(|context| {
                left -= 1;
                match work.as_mut().poll(context) {
                    std::task::Poll::Pending if left > 0 => std::task::Poll::Pending,
                    _ => std::task::Poll::Ready(()),
                }
            })
            .await;
        }
        let found = hub.batch_find(&permit, batch.id).await.unwrap();
        if found.state == BatchState::Creating {
            // Nobody else goes on with it yet; at most its last step ends by itself.
            match hub.batch_apply(&permit, &product, batch.id).await {
                Err(DeviceError::BatchBusy) => {}
                Ok(made) => assert_eq!(made.state, BatchState::Created),
                Err(error) => panic!("{error}"),
            }
        }
        // What the caller had under way may still happen, so a state may be older than the next.
        let found = loop {
            let found = hub.batch_find(&permit, batch.id).await.unwrap();
            match found.state {
                BatchState::Creating => stage.clock.move_by(10_001),
                BatchState::Checked => {
                    let applied = hub.batch_apply(&permit, &product, batch.id).await;
                    assert!(matches!(applied, Ok(_) | Err(DeviceError::BatchBusy)));
                }
                _ => break found,
            }
        };
        assert_eq!(
            (found.state, found.valid.len()),
            (BatchState::Created, 600),
            "{turns}"
        );
        let count = hub.device_count(&permit, Some(&product)).await.unwrap().0;
        assert_eq!(count.registered, 600);
        let (page, total) = hub.batch_page(&permit, batch.id, 0, 600).await.unwrap();
        assert_eq!((page.len(), total), (600, 600));
    }
}

/// Ids of devices are never given again: what belonged to a deleted one stays apart.
#[tokio::test]
async fn a_device_that_is_made_again_is_another_one() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let product = product(&stage, &permit).await;
    let (first, _) = hub
        .device_register(&permit, &product, Some("lamp"), None)
        .await
        .unwrap();
    hub.device_delete(&permit, &first.key).await.unwrap();
    let (second, _) = hub
        .device_register(&permit, &product, Some("lamp"), None)
        .await
        .unwrap();
    assert_ne!(first.iot_id, second.iot_id);
    let gone = hub.device_key(&first.iot_id).await;
    assert!(matches!(gone, Err(DeviceError::NotFound)));
    let deleted = hub.product_delete(&permit, &product).await;
    assert!(matches!(deleted, Err(ProductError::HasDevices)));
}

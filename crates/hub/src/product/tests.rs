//! Products over the embedded engine.

use super::*;
use crate::{limits::Limits, stage::Stage};
use futures_util::future::join_all;
use model::{
    id::DeviceKey,
    port::{Catalog, Entry, Ports},
    product::TopicRight,
};
use std::sync::atomic::{AtomicU64, Ordering};

fn new(name: &str) -> NewProduct {
    NewProduct {
        name: name.to_owned(),
        description: String::new(),
        node: NodeKind::Device,
        format: DataFormat::Alink,
        modelled: true,
        labels: BTreeMap::from([("NetType".to_owned(), "WIFI".to_owned())]),
    }
}

/// [AL-2.1] A product has a key, a secret that is shown once and read under audit, and what it
/// was made with.
#[tokio::test]
async fn a_product_is_what_it_was_made() {
    let stage = Stage::set().await;
    let permit = stage.permit().await;
    let (product, secret) = stage
        .hub
        .product_create(&permit, new("lamp"))
        .await
        .unwrap();
    assert_eq!(secret.len(), 16);
    assert!(product.key.as_str().starts_with("a1"));
    let view = stage.hub.product_find(&permit, &product.key).await.unwrap();
    assert_eq!((&view.product, view.devices), (&product, 0));
    assert_eq!(view.product.registration, DynamicRegistration::Off);

    let read = stage
        .hub
        .product_secret(&permit, &product.key)
        .await
        .unwrap();
    assert_eq!(read, secret);
    let line = stage.lines().await.pop().unwrap().entry;
    assert_eq!(line.resource, format!("product/{}", product.key));
    assert!(!format!("{line:?}").contains(&secret));
}

#[tokio::test]
async fn names_are_one_of_a_kind_in_an_account() {
    let stage = Stage::set().await;
    let (permit, other) = (stage.permit().await, stage.other_permit().await);
    let racing = join_all((0..6).map(|_| stage.hub.product_create(&permit, new("lamp")))).await;
    let (made, refused): (Vec<_>, Vec<_>) = racing.into_iter().partition(Result::is_ok);
    assert_eq!(made.len(), 1);
    assert!(
        refused
            .iter()
            .all(|r| matches!(r, Err(ProductError::NameTaken)))
    );
    let lamp = made.into_iter().next().unwrap().unwrap().0;
    assert!(stage.hub.product_create(&other, new("lamp")).await.is_ok());

    let (fan, _) = stage.hub.product_create(&permit, new("fan")).await.unwrap();
    let rename = |key, name| stage.hub.product_update(&permit, key, Some(name), None);
    assert!(matches!(
        rename(&fan.key, "lamp").await,
        Err(ProductError::NameTaken)
    ));
    assert_eq!(rename(&lamp.key, "light").await.unwrap().name, "light");
    assert_eq!(rename(&lamp.key, "light").await.unwrap().name, "light");
    assert_eq!(rename(&fan.key, "lamp").await.unwrap().name, "lamp");
    for bad in ["", " lamp", "a\nb", &"x".repeat(65)] {
        assert!(
            matches!(
                rename(&fan.key, bad).await,
                Err(ProductError::BadRequest(_))
            ),
            "{bad}"
        );
    }
}

/// What belongs to another account is not there.
#[tokio::test]
async fn another_account_sees_nothing() {
    let stage = Stage::set().await;
    let (permit, other) = (stage.permit().await, stage.other_permit().await);
    let (product, _) = stage
        .hub
        .product_create(&permit, new("lamp"))
        .await
        .unwrap();
    let (key, hub) = (&product.key, &stage.hub);
    let topic = product.topics[0].id;
    let not_found = |error| assert!(matches!(error, ProductError::NotFound), "{error}");
    not_found(hub.product_find(&other, key).await.unwrap_err());
    not_found(hub.product_secret(&other, key).await.unwrap_err());
    not_found(hub.product_delete(&other, key).await.unwrap_err());
    not_found(hub.product_release(&other, key, true).await.unwrap_err());
    not_found(
        hub.product_update(&other, key, Some("mine"), None)
            .await
            .unwrap_err(),
    );
    assert!(matches!(
        hub.topic_delete(&other, topic).await,
        Err(ProductError::NoSuchPart(_))
    ));
    assert_eq!(hub.product_page(&other, 0, 10).await.unwrap().1, 0);
}

#[tokio::test]
async fn pages_are_newest_first_and_bounded_by_the_quota() {
    let limits = Limits {
        products: 3,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |ports| ports).await;
    let permit = stage.permit().await;
    for name in ["one", "two", "three"] {
        stage.hub.product_create(&permit, new(name)).await.unwrap();
        stage.clock.move_by(1);
    }
    let fourth = stage.hub.product_create(&permit, new("four")).await;
    assert!(matches!(fourth, Err(ProductError::TooMany)));
    let names = async |skip, most| {
        let (page, total) = stage.hub.product_page(&permit, skip, most).await.unwrap();
        assert_eq!(total, 3);
        page.into_iter()
            .map(|view| view.product.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(0, 2).await, ["three", "two"]);
    assert_eq!(names(2, 2).await, ["one"]);
    assert!(names(u64::MAX, 2).await.is_empty());
}

/// [AL-2.3] Opening the switch further asks for a confirmation; closing it does not.
#[tokio::test]
async fn dynamic_registration_is_turned_on_with_a_second_word() {
    let stage = Stage::set().await;
    let permit = stage.permit().await;
    let (product, _) = stage
        .hub
        .product_create(&permit, new("lamp"))
        .await
        .unwrap();
    let turn = |to, confirmed| {
        stage
            .hub
            .product_registration(&permit, &product.key, to, confirmed)
    };
    use DynamicRegistration::{Off, Open, Registered};
    assert!(matches!(
        turn(Registered, false).await,
        Err(ProductError::Unconfirmed)
    ));
    assert_eq!(
        turn(Registered, true).await.unwrap().registration,
        Registered
    );
    assert!(matches!(
        turn(Open, false).await,
        Err(ProductError::Unconfirmed)
    ));
    assert_eq!(turn(Open, true).await.unwrap().registration, Open);
    // A device that asks now finds the switch as it is.
    let seen = stage
        .hub
        .shelf_product(&product.key)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(seen.registration, Open);
    assert_eq!(turn(Off, false).await.unwrap().registration, Off);
    let seen = stage.hub.product_now(&product.key).unwrap();
    assert_eq!(seen.registration, Off);
}

#[tokio::test]
async fn a_product_with_devices_stays_and_one_without_goes_with_all_it_has() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let (product, _) = hub.product_create(&permit, new("lamp")).await.unwrap();
    let key = &product.key;
    hub.device_register(&permit, key, Some("lamp"), None)
        .await
        .unwrap();
    assert!(matches!(
        hub.product_delete(&permit, key).await,
        Err(ProductError::HasDevices)
    ));
    let device = DeviceKey::parse(key.as_str(), "lamp").unwrap();
    hub.device_delete(&permit, &device).await.unwrap();
    hub.batch_create(&permit, key, 1).await.unwrap();
    let (made, _) = hub
        .device_page(&permit, key, &Default::default(), 0, 10)
        .await
        .unwrap();
    hub.device_delete(&permit, &made[0].device.key)
        .await
        .unwrap();
    hub.model_publish(&permit, key, None, "").await.unwrap();

    hub.product_release(&permit, key, true).await.unwrap();
    assert!(matches!(
        hub.product_delete(&permit, key).await,
        Err(ProductError::Released)
    ));
    hub.product_release(&permit, key, false).await.unwrap();
    hub.product_delete(&permit, key).await.unwrap();

    assert!(matches!(
        hub.product_find(&permit, key).await,
        Err(ProductError::NotFound)
    ));
    assert!(hub.shelf_product(key).await.unwrap().is_none());
    for kind in [
        PRODUCT,
        NAME,
        OF_ACCOUNT,
        "topic",
        "model",
        "model-head",
        "model-draft",
        "batch",
        "batch-names",
        "batch-of",
    ] {
        let left = stage.ports.catalog.list(kind, "", None, 10).await.unwrap();
        assert!(left.is_empty(), "{kind}: {left:?}");
    }
    let secret = SecretId::Product(key.clone());
    assert!(stage.ports.secrets.find(&secret).await.unwrap().is_none());
    assert!(hub.product_create(&permit, new("lamp")).await.is_ok());
}

/// A deletion that is cut short after any of its steps leaves a product that is there or one that
/// is gone, and no name taken.
#[tokio::test]
async fn a_deletion_that_is_cut_short_takes_no_name() {
    let cut = Arc::new(AtomicU64::new(u64::MAX));
    let hand = cut.clone();
    let stage = Stage::set_with(Limits::default(), |ports| Ports {
        catalog: Arc::new(Cut(ports.catalog, hand)),
        ..ports
    })
    .await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    for steps in 0.. {
        let (product, _) = hub.product_create(&permit, new("lamp")).await.unwrap();
        cut.store(steps, Ordering::SeqCst);
        let deleted = hub.product_delete(&permit, &product.key).await;
        cut.store(u64::MAX, Ordering::SeqCst);
        match hub.product_find(&permit, &product.key).await {
            Ok(_) => hub.product_delete(&permit, &product.key).await.unwrap(),
            Err(_) => assert_eq!(hub.product_page(&permit, 0, 9).await.unwrap().1, 0),
        }
        if deleted.is_ok() {
            assert!(steps > 1, "some step was cut off");
            break;
        }
    }
}

/// A catalog that takes so many more changes and then none.
struct Cut(Arc<dyn Catalog>, Arc<AtomicU64>);

#[async_trait::async_trait]
impl Catalog for Cut {
    async fn get(&self, kind: &'static str, key: &str) -> Result<Option<Entry>, Fault> {
        self.0.get(kind, key).await
    }

    async fn put(&self, puts: Vec<Put>) -> Result<Change, Fault> {
        let left = self.1.load(Ordering::SeqCst);
        let fault = || Fault::passing("cut off");
        self.1
            .store(left.checked_sub(1).ok_or_else(fault)?, Ordering::SeqCst);
        self.0.put(puts).await
    }

    async fn list(
        &self,
        kind: &'static str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<Entry>, Fault> {
        self.0.list(kind, prefix, after, most).await
    }

    async fn count(&self, kind: &'static str, prefix: &str) -> Result<u64, Fault> {
        self.0.count(kind, prefix).await
    }

    async fn next(&self, sequence: &'static str) -> Result<u64, Fault> {
        self.0.next(sequence).await
    }
}

/// Of a registration and a deletion that race, no device is left without its product.
#[tokio::test]
async fn a_device_never_outlives_its_product() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    for round in 0..20 {
        let name = format!("lamp-{round}");
        let (product, _) = hub.product_create(&permit, new(&name)).await.unwrap();
        let key = &product.key;
        let (registered, deleted) = tokio::join!(
            hub.device_register(&permit, key, Some("lamp"), None),
            hub.product_delete(&permit, key)
        );
        let devices = stage.ports.devices.count(key).await.unwrap().registered;
        assert_eq!(devices, u64::from(registered.is_ok()));
        assert_eq!(
            deleted.is_ok(),
            hub.product_find(&permit, key).await.is_err()
        );
        assert!(deleted.is_err() || devices == 0);
    }
}

/// [AL-3.12] A product begins with the default classes, and devices see each change at once.
#[tokio::test]
async fn topic_classes_are_made_changed_and_removed() {
    let limits = Limits {
        topic_classes: 4,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |ports| ports).await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let (product, _) = hub.product_create(&permit, new("lamp")).await.unwrap();
    let key = &product.key;
    let suffixes = async || {
        let product = hub.shelf_product(key).await.unwrap().unwrap();
        product
            .topics
            .iter()
            .map(|t| t.suffix.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        suffixes().await,
        ["user/update", "user/update/error", "user/get"]
    );
    let create = |suffix| hub.topic_create(&permit, key, suffix, TopicRight::Publish, "");
    assert!(matches!(
        create("user/get").await,
        Err(ProductError::PartTaken(_))
    ));
    let made = create("user/log").await.unwrap();
    assert!(product.topics.iter().all(|topic| topic.id != made.id));
    assert_eq!(hub.topic_product(made.id).await.unwrap(), *key);
    assert!(matches!(
        create("user/more").await,
        Err(ProductError::TooManyParts(_))
    ));
    assert_eq!(suffixes().await.len(), 4);

    let both = TopicRight::Both;
    let taken = hub
        .topic_update(&permit, made.id, "user/get", both, None)
        .await;
    assert!(matches!(taken, Err(ProductError::PartTaken(_))));
    let changed = hub
        .topic_update(&permit, made.id, "user/logs", both, Some("lines"))
        .await
        .unwrap();
    assert_eq!(
        (changed.right, changed.description.as_str()),
        (both, "lines")
    );
    assert_eq!(suffixes().await[3], "user/logs");
    hub.product_release(&permit, key, true).await.unwrap();
    assert!(matches!(
        hub.topic_delete(&permit, made.id).await,
        Err(ProductError::Released)
    ));
    hub.product_release(&permit, key, false).await.unwrap();
    hub.topic_delete(&permit, made.id).await.unwrap();
    assert_eq!(suffixes().await.len(), 3);
    assert!(matches!(
        hub.topic_delete(&permit, made.id).await,
        Err(ProductError::NoSuchPart(_))
    ));
}

#[tokio::test]
async fn tags_are_set_and_removed_together() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let (product, _) = hub.product_create(&permit, new("lamp")).await.unwrap();
    let tag = |tags: &[(&str, Option<&str>)]| {
        let own = |text: &&str| (*text).to_owned();
        let tags = tags.iter().map(|(k, v)| (own(k), v.as_ref().map(own)));
        hub.product_tag(&permit, &product.key, tags.collect())
    };
    tag(&[("floor", Some("2")), ("room", Some("a"))])
        .await
        .unwrap();
    let product = tag(&[("floor", None), ("room", Some("b"))]).await.unwrap();
    assert_eq!(
        product.tags,
        BTreeMap::from([("room".to_owned(), "b".to_owned())])
    );
    assert!(matches!(
        tag(&[("", Some("x"))]).await,
        Err(ProductError::BadRequest(_))
    ));
}

/// Many who change one product at once all get their way.
#[tokio::test]
async fn racing_changes_are_all_kept() {
    let stage = Stage::set().await;
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let (product, _) = hub.product_create(&permit, new("lamp")).await.unwrap();
    let tags = (0..10).map(|n| {
        let tags = BTreeMap::from([(n.to_string(), Some(String::new()))]);
        hub.product_tag(&permit, &product.key, tags)
    });
    assert!(join_all(tags).await.iter().all(Result::is_ok));
    let view = hub.product_find(&permit, &product.key).await.unwrap();
    assert_eq!(view.product.tags.len(), 10);
    assert_eq!(
        hub.shelf_product(&product.key).await.unwrap(),
        Some(view.product)
    );
}

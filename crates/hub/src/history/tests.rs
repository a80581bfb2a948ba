//! Properties and events from a device's post to a page of history, over the embedded engine.

use super::*;
use crate::product::NewProduct;
use crate::{
    account::Permit,
    edge::Session,
    limits::Limits,
    property::Latest,
    stage::{Stage, claim},
    thing_model::Edit,
};
use credential::Want;
use model::{
    error::PostError,
    id::{ProductKey, Time},
    product::{DataFormat, NodeKind},
};
use serde_json::{Map, Value, json};

/// A device with a published model that is connected.
pub(crate) struct Lamp {
    pub(crate) permit: Permit,
    pub(crate) product: ProductKey,
    pub(crate) session: Session,
}

fn model() -> Value {
    json!({
        "schema": "x",
        "profile": {"productKey": "x"},
        "properties": [
            {"identifier": "bright", "name": "Brightness", "accessMode": "rw", "required": false,
             "dataType": {"type": "int", "specs": {"min": "0", "max": "100", "unit": "%"}}},
            {"identifier": "hue", "name": "Hue", "accessMode": "r", "required": false,
             "dataType": {"type": "text", "specs": {"length": "16"}}},
        ],
        "events": [
            {"identifier": "alarm", "name": "Alarm", "type": "alert", "required": false,
             "outputData": [{"identifier": "code", "name": "Code",
                "dataType": {"type": "int", "specs": {"min": "0", "max": "9"}}}]},
            {"identifier": "hello", "name": "Hello", "type": "info", "required": false,
             "outputData": []},
        ],
        "services": [
            {"identifier": "dim", "name": "Dim", "callType": "async", "required": false,
             "inputData": [{"identifier": "to", "name": "To",
                "dataType": {"type": "int", "specs": {"min": "0", "max": "100"}}}],
             "outputData": []},
            {"identifier": "ping", "name": "Ping", "callType": "sync", "required": false,
             "inputData": [], "outputData": []},
        ],
    })
}

pub(crate) async fn lamp(stage: &Stage) -> Lamp {
    let (permit, hub) = (stage.permit().await, &stage.hub);
    let new = NewProduct {
        name: "lamp".into(),
        description: String::new(),
        node: NodeKind::Device,
        format: DataFormat::Alink,
        modelled: true,
        labels: Default::default(),
    };
    let (made, _) = hub.product_create(&permit, new).await.unwrap();
    let product = made.key.clone();
    hub.model_edit(&permit, &product, None, Edit::Import(model()))
        .await
        .unwrap();
    hub.model_publish(&permit, &product, None, "")
        .await
        .unwrap();
    let session = connect(stage, &permit, &product, "lamp-1").await;
    Lamp {
        permit,
        product,
        session,
    }
}

pub(crate) async fn connect(
    stage: &Stage,
    permit: &Permit,
    product: &ProductKey,
    name: &str,
) -> Session {
    let (device, secret) = stage
        .hub
        .device_register(permit, product, Some(name), None)
        .await
        .unwrap();
    let claim = claim(&device.key, &secret, Want::DeviceSecret);
    stage.hub.device_admit(claim, 0).await.unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn all(most: usize, oldest_first: bool) -> PageWanted {
    PageWanted {
        from: Time(0),
        to: Time(i64::MAX),
        oldest_first,
        most,
    }
}

/// [AL-6.3] What fits is kept, what does not is dropped with a reason, and history has it as soon
/// as the post was answered.
#[tokio::test]
async fn posted_properties_are_sifted_and_found_again() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let _reader = stage.read_journal();
    let hub = &stage.hub;
    let post = async |params| {
        hub.property_post(&lamp.session, &object(params))
            .await
            .unwrap()
    };
    let posted =
        post(json!({"bright": 50, "hue": {"value": "red", "time": 1_000}, "odd": 1})).await;
    assert_eq!(posted.kept, ["bright", "hue"]);
    assert_eq!(posted.dropped.len(), 1);
    assert_eq!(posted.dropped[0].0, "odd");
    let history = async |name| {
        let device = &lamp.session.device;
        let page = hub
            .property_history(&lamp.permit, device, name, all(10, true))
            .await
            .unwrap();
        let points = page
            .points
            .into_iter()
            .map(|point| (point.at.0, point.value));
        points.collect::<Vec<_>>()
    };
    assert_eq!(history("bright").await, [(hub.now().0, json!(50))]);
    assert_eq!(history("hue").await, [(1_000, json!("red"))]);

    // Nothing fits: still no error, and no fact.
    let facts = stage.facts(&lamp.session.iot_id).await.len();
    let posted = post(json!({"bright": 101, "hue": 5})).await;
    assert_eq!((posted.kept.len(), posted.dropped.len()), (0, 2));
    assert!(post(json!({})).await.kept.is_empty());
    assert_eq!(stage.facts(&lamp.session.iot_id).await.len(), facts);

    stage.clock.move_by(5);
    post(json!({"bright": 60})).await;
    let latest = hub
        .property_latest(&lamp.permit, &lamp.session.device, None)
        .await
        .unwrap();
    let bright = Latest {
        identifier: "bright".into(),
        name: "Brightness".into(),
        data_type: "int".into(),
        unit: "%".into(),
        value: Some((json!(60), hub.now())),
    };
    assert_eq!((latest.len(), &latest[0]), (2, &bright));
    let block = hub.property_latest(&lamp.permit, &lamp.session.device, Some("motor"));
    assert!(block.await.unwrap().is_empty());
    let other = stage.other_permit().await;
    let page = all(10, true);
    let not_own = hub
        .property_history(&other, &lamp.session.device, "bright", page)
        .await;
    assert!(matches!(not_own, Err(DeviceError::NotFound)));
    let odd = hub
        .property_history(&lamp.permit, &lamp.session.device, "odd", page)
        .await;
    assert!(matches!(odd, Err(DeviceError::Misfit(_))));
}

/// [AL-6.3] 6106: at most 200 properties in a message; and a product must have a model.
#[tokio::test]
async fn posts_keep_their_bounds() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let hub = &stage.hub;
    let many = |n: usize| {
        (0..n)
            .map(|n| (format!("p{n}"), json!(1)))
            .collect::<Map<_, _>>()
    };
    assert!(hub.property_post(&lamp.session, &many(200)).await.is_ok());
    let over = hub.property_post(&lamp.session, &many(201)).await;
    assert!(matches!(over, Err(PostError::TooManyProperties)));
    let (bare, _) = stage.product(Default::default()).await;
    let session = connect(&stage, &lamp.permit, &bare.key, "lamp-2").await;
    let refused = hub.property_post(&session, &many(1)).await;
    assert!(matches!(refused, Err(PostError::NotModelled)));
    let refused = hub.event_post(&session, "alarm", &json!({})).await;
    assert!(matches!(refused, Err(PostError::NotModelled)));
}

/// [AL-6.4] An event that fits is kept with its kind; one that does not is refused.
#[tokio::test]
async fn events_fit_or_are_refused() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let _reader = stage.read_journal();
    let hub = &stage.hub;
    let post = async |name, params| hub.event_post(&lamp.session, name, &params).await;
    post("alarm", json!({"value": {"code": 3}, "time": 2_000}))
        .await
        .unwrap();
    post("hello", json!({"value": {}})).await.unwrap();
    let misfit = post("alarm", json!({"value": {"code": 10}})).await;
    assert!(matches!(misfit, Err(PostError::Misfit(_))), "{misfit:?}");
    assert!(matches!(
        post("alarm", json!(7)).await,
        Err(PostError::Misfit(_))
    ));
    assert!(matches!(
        post("odd", json!({})).await,
        Err(PostError::NoSuchFunction("event"))
    ));
    let history = async |name, kind| {
        let device = &lamp.session.device;
        let page = hub
            .event_history(&lamp.permit, device, name, kind, all(10, false))
            .await;
        let points = page.unwrap().points.into_iter();
        points
            .map(|point| (point.identifier, point.value))
            .collect::<Vec<_>>()
    };
    let alarm = ("alarm".to_owned(), json!({"code": 3}));
    let hello = ("hello".to_owned(), json!({}));
    assert_eq!(history(None, None).await, [hello.clone(), alarm.clone()]);
    assert_eq!(history(Some("alarm"), None).await, [alarm]);
    assert_eq!(history(None, Some(EventKind::Info)).await, [hello]);
    assert_eq!(history(None, Some(EventKind::Error)).await, []);
    let device = &lamp.session.device;
    assert_eq!(hub.function_name(device, "alarm").await.unwrap(), "Alarm");
    assert_eq!(
        hub.function_name(device, "bright").await.unwrap(),
        "Brightness"
    );
    assert_eq!(hub.function_name(device, "odd").await.unwrap(), "");
}

/// Who follows `next` sees every point once, in either order, however many share a millisecond.
#[tokio::test]
async fn pages_lose_no_point_and_end() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let _reader = stage.read_journal();
    let hub = &stage.hub;
    let mut posted = Vec::new();
    for (time, count) in [
        (10, 1),
        (20, 3),
        (30, 9),
        (40, 2),
        (50, 1),
        (60, 1),
        (70, 4),
    ] {
        for _ in 0..count {
            let value = posted.len();
            let params = json!({"bright": {"value": value, "time": time}});
            hub.property_post(&lamp.session, &object(params))
                .await
                .unwrap();
            posted.push(json!(value));
        }
    }
    for oldest_first in [true, false] {
        for most in 1..=25 {
            let mut wanted = all(most, oldest_first);
            let mut seen = Vec::new();
            for turn in 0.. {
                assert!(turn < 30, "it does not end");
                let device = &lamp.session.device;
                let page = hub
                    .property_history(&lamp.permit, device, "bright", wanted)
                    .await;
                let page = page.unwrap();
                let one_time = page.points.iter().all(|p| p.at == page.points[0].at);
                assert!(page.points.len() <= most || one_time);
                seen.extend(page.points.into_iter().map(|point| point.value));
                match page.next {
                    Some(next) if oldest_first => wanted.from = next,
                    Some(next) => wanted.to = next,
                    None => break,
                }
            }
            seen.sort_by_key(Value::as_i64);
            assert_eq!(seen, posted, "{oldest_first} {most}");
        }
    }
    let range = |from, to, most| PageWanted {
        from: Time(from),
        to: Time(to),
        oldest_first: true,
        most,
    };
    let device = &lamp.session.device;
    for bad in [
        range(2, 1, 10),
        range(0, 1, 0),
        range(0, 1, 101),
        range(0, 1, usize::MAX),
    ] {
        let refused = hub
            .property_history(&lamp.permit, device, "bright", bad)
            .await;
        assert!(matches!(refused, Err(DeviceError::BadPage(_))), "{bad:?}");
    }
    let exact = hub
        .property_history(&lamp.permit, device, "bright", range(20, 20, 10))
        .await;
    assert_eq!(exact.unwrap().points.len(), 3);
}

/// The reader goes on where it was, and doing a fact twice keeps it once.
#[tokio::test]
async fn the_reader_goes_on_after_a_restart_and_keeps_each_point_once() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let hub = &stage.hub;
    let post = async |value: i64| {
        let params = object(json!({"bright": value}));
        hub.property_post(&lamp.session, &params).await.unwrap();
        stage.clock.move_by(1);
    };
    let count = async |hub: &Arc<Hub>| {
        let device = &lamp.session.device;
        let page = hub.property_history(&lamp.permit, device, "bright", all(50, true));
        page.await.unwrap().points.len()
    };
    let run = |hub: &Arc<Hub>| {
        let (stop, stopped) = watch::channel(false);
        (stop, tokio::spawn(hub.clone().history_run(stopped)))
    };
    post(1).await;
    let (stop, first) = run(hub);
    assert_eq!(count(hub).await, 1);
    stop.send(true).unwrap();
    first.await.unwrap();
    post(2).await;
    // As if it had crashed before it noted how far it was.
    stage.ports.journal.keep(READER, Position(0)).await.unwrap();
    let again = stage.again(crate::stage::master(1)).await.unwrap();
    let again = Arc::new(again);
    let (stop, second) = run(&again);
    assert_eq!(count(&again).await, 2);
    // Nobody is left to say stop: it stops as well.
    drop(stop);
    second.await.unwrap();
    assert_eq!(
        stage.ports.journal.kept(READER).await.unwrap(),
        stage.ports.journal.head()
    );
}

/// A history that cannot be brought up to date is told as such, rather than answered short.
#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_run_is_no_empty_history() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let device = &lamp.session.device;
    let page = stage
        .hub
        .property_history(&lamp.permit, device, "bright", all(5, true))
        .await;
    assert!(matches!(page, Err(DeviceError::Fault(fault)) if fault.retry));
}

/// [AL-2.1] What was seen of a device's connections stands in its row; what a deleted device left
/// is forgotten, and nobody else's is.
#[tokio::test]
async fn connections_are_noted_and_deleted_devices_forgotten() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let _reader = stage.read_journal();
    let hub = &stage.hub;
    let other = connect(&stage, &lamp.permit, &lamp.product, "lamp-2").await;
    for session in [&lamp.session, &other] {
        hub.property_post(session, &object(json!({"bright": 1})))
            .await
            .unwrap();
        let items = object(json!({"bright": 2}));
        hub.property_set(&lamp.permit, &session.device, items)
            .await
            .unwrap();
    }
    let came = hub.now();
    stage.clock.move_by(7);
    stage.close(&lamp.session, "bye").await;
    hub.history_caught_up().await.unwrap();
    let row = stage.row(&lamp.session.iot_id).await;
    assert_eq!((row.online, row.offline), (Some(came), Some(hub.now())));
    assert_eq!(row.address, "192.0.2.7");

    hub.device_delete(&lamp.permit, &lamp.session.device)
        .await
        .unwrap();
    hub.history_caught_up().await.unwrap();
    let left = async |id: &IotId| {
        let points = stage.ports.series.latest(id).await.unwrap().len();
        let commands = stage
            .ports
            .commands
            .waiting(id, hub.now(), 10)
            .await
            .unwrap()
            .len();
        (points, commands)
    };
    assert_eq!(left(&lamp.session.iot_id).await, (0, 0));
    assert_eq!(left(&other.iot_id).await, (1, 1));
}

/// [AL-3.12] What devices publish is journalled; what they are sent goes to where they are.
#[tokio::test]
async fn messages_go_both_ways() {
    use bytes::Bytes;
    use model::port::{Audience, Signal};
    let limits = Limits {
        payload: 8,
        ..Limits::default()
    };
    let mut stage = Stage::set_with(limits, |ports| ports).await;
    let mut words = stage.words.take().unwrap();
    let lamp = lamp(&stage).await;
    let (hub, session) = (&stage.hub, &lamp.session);
    let hi = || Bytes::from_static(b"hi");
    hub.message_post(session, "/t", hi()).await.unwrap();
    let last = stage.facts(&session.iot_id).await.pop().unwrap();
    assert_eq!(
        last,
        What::MessagePublished {
            topic: "/t".into(),
            payload: hi()
        }
    );
    let long = Bytes::from_static(b"123456789");
    let refused = hub.message_post(session, "/t", long.clone()).await;
    assert!(matches!(refused, Err(PostError::BadRequest(_))));

    let send = |payload, qos| hub.message_send(&lamp.permit, &session.device, "/t", payload, qos);
    let first = send(hi(), 1).await.unwrap();
    let all = hub
        .message_broadcast(&lamp.permit, &lamp.product, "/b", hi())
        .await
        .unwrap();
    assert_ne!(first, all);
    let publish = |to, topic: &str, qos| Signal::Publish {
        to,
        topic: topic.into(),
        payload: hi(),
        qos,
        system: false,
    };
    let one = Audience::Device(session.iot_id.clone());
    assert_eq!(words.recv().await.unwrap(), publish(one, "/t", 1));
    let every = Audience::Product(lamp.product.clone());
    assert_eq!(words.recv().await.unwrap(), publish(every, "/b", 0));
    assert!(matches!(send(long, 0).await, Err(DeviceError::TooMuch(_))));
    assert!(matches!(
        send(hi(), 2).await,
        Err(DeviceError::BadRequest(_))
    ));
    let other = stage.other_permit().await;
    let refused = hub
        .message_broadcast(&other, &lamp.product, "/b", hi())
        .await;
    assert!(matches!(refused, Err(DeviceError::NoSuchProduct)));
}

/// The latest value is the one with the latest time, so a time from the future would stay on top.
#[tokio::test]
async fn a_device_whose_clock_is_ahead_does_not_hide_what_it_posts_later() {
    let stage = Stage::set().await;
    let lamp = lamp(&stage).await;
    let _reader = stage.read_journal();
    let hub = &stage.hub;
    let day = 24 * 60 * 60 * 1000;
    let ahead = hub.limits().device_ahead;
    let post = async |value: i64, ahead: i64| {
        let params = json!({"bright": {"value": value, "time": hub.now().0 + ahead}});
        hub.property_post(&lamp.session, &object(params))
            .await
            .unwrap();
        let device = &lamp.session.device;
        let latest = hub.property_latest(&lamp.permit, device, None).await;
        latest.unwrap().swap_remove(0).value.unwrap()
    };
    assert_eq!(post(1, day).await, (json!(1), hub.now()));
    stage.clock.move_by(1);
    assert_eq!(post(2, 0).await, (json!(2), hub.now()));
    // A little ahead is as good a clock as any; late ones are of their time.
    let told = hub.now().plus(ahead);
    assert_eq!(post(3, ahead).await, (json!(3), told));
    assert_eq!(post(4, -day).await, (json!(3), told));
}

//! The dialect over a hub over the embedded engine: from a device's words to what is kept.

use super::*;
use axum::{Router, body::Body};
use credential::{
    Secret,
    alink::{Channel as SignedAt, SignMethod, sign},
};
use hub::{
    account::Permit,
    edge::{Channel, Peer},
    limits::Limits,
    product::NewProduct,
    property::PageWanted,
    thing_model::Edit,
};
use model::{
    account::Resource,
    contract::bus::Heard,
    device::{Device, DeviceState},
    id::{AccountId, DeviceKey, IotId, NodeId, ProductKey, Time},
    port::{Clock, Ports, Random},
    product::{DataFormat, DynamicRegistration, MqttExtras, NodeKind, TopicRight},
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};
use store::{Options, Store};
use tempfile::TempDir;
use tokio::sync::watch;
use tower::ServiceExt;

const NOW: Time = Time(1_767_225_600_000);

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Time {
        NOW
    }
}

/// Bytes that never come twice.
struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let number = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            let mixed = (number ^ (number >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            chunk.copy_from_slice(&(mixed ^ (mixed >> 32)).to_be_bytes()[..chunk.len()]);
        }
    }
}

/// A server with one product, whose switch for registration is on.
struct House {
    alink: Arc<Alink>,
    hub: Arc<Hub>,
    permit: Permit,
    product: ProductKey,
    product_secret: String,
    /// Ends the reader of the journal when it is dropped.
    _history: watch::Sender<bool>,
    _folder: TempDir,
}

impl House {
    async fn open() -> Self {
        Self::open_with(false).await
    }

    async fn open_with(insecure_http: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::of(NodeId::parse("house").unwrap());
        let store = Store::open(folder.path(), &options).unwrap();
        let ports = Ports {
            catalog: store.catalog,
            devices: store.devices,
            secrets: store.secrets,
            series: store.series,
            nonces: store.nonces,
            commands: store.commands,
            presence: store.presence,
            journal: store.journal,
            bus: Heard::bus(NodeId::parse("house").unwrap()).0,
            audit: store.audit,
            archive: store.archive,
            blobs: store.blobs,
            clock: Arc::new(Stopped),
            random: Arc::new(Counted(AtomicU64::new(1))),
        };
        let master = Secret::new(vec![7; 32]);
        let hub = Hub::open(ports, Limits::default(), master).await.unwrap();
        let hub = Arc::new(hub);
        let (history, stop) = watch::channel(false);
        tokio::spawn(hub.clone().history_run(stop));
        hub.account_found().await.unwrap();
        let caller = hub.caller_local("local").await.unwrap();
        let any = Resource::Any;
        let permit = hub.caller_allow(&caller, "muster:Test", &any, false).await;
        let permit = permit.unwrap();
        let new = NewProduct {
            name: "thermometer".into(),
            description: String::new(),
            node: NodeKind::Device,
            format: DataFormat::Alink,
            modelled: true,
            labels: BTreeMap::new(),
        };
        let (product, product_secret) = hub.product_create(&permit, new).await.unwrap();
        let key = product.key.clone();
        let edit = Edit::Import(model());
        hub.model_edit(&permit, &key, None, edit).await.unwrap();
        hub.model_publish(&permit, &key, None, "").await.unwrap();
        let on = DynamicRegistration::Registered;
        let switched = hub.product_registration(&permit, &key, on, true).await;
        switched.unwrap();
        let settings = Settings {
            host: Some("iot.example.com".into()),
            mqtt_port: 1883,
            insecure_http,
        };
        Self {
            alink: Arc::new(Alink::new(hub.clone(), settings)),
            hub,
            permit,
            product: key,
            product_secret,
            _history: history,
            _folder: folder,
        }
    }

    async fn device(&self, name: &str) -> (DeviceKey, String) {
        let registered = self
            .hub
            .device_register(&self.permit, &self.product, Some(name), None);
        let (device, secret) = registered.await.unwrap();
        (device.key, secret)
    }

    fn hello(&self, device: &DeviceKey, secret: &str, block: &str) -> Hello {
        let fields = [
            ("clientId", "c1"),
            ("deviceName", device.name.as_str()),
            ("productKey", device.product.as_str()),
        ];
        let password = signed(secret, SignedAt::MqttDirect, &fields);
        self.greeting(&format!("c1|signmethod=hmacsha1{block}|"), device, password)
    }

    fn greeting(&self, client_id: &str, device: &DeviceKey, password: String) -> Hello {
        Hello {
            client_id: client_id.into(),
            user: Some(format!("{}&{}", device.name, device.product)),
            password: Some(password.into()),
            level: 4,
            clean: true,
            keep_alive: 60,
            will: false,
            peer: peer(Channel::Tls),
            shaken: None,
        }
    }

    async fn welcome(&self, hello: &Hello) -> Welcome {
        match self.alink.greet(hello).await {
            Greeting::Welcome(welcome) => *welcome,
            Greeting::Refuse(refusal) => panic!("refused: {refusal:?}"),
            Greeting::NotMine | Greeting::Visit(_) => panic!("not let in"),
        }
    }

    /// A device that is let in.
    async fn session(&self) -> Session {
        let (device, secret) = self.device("kitchen").await;
        self.welcome(&self.hello(&device, &secret, ""))
            .await
            .session
    }

    async fn refused(&self, hello: &Hello) -> hub::edge::RefusalCode {
        match self.alink.greet(hello).await {
            Greeting::Refuse(refusal) => refusal.code,
            _ => panic!("not refused: {hello:?}"),
        }
    }

    /// Sends below `/sys/{product}/{device}/`, and gives back the reply.
    async fn ask(&self, session: &Session, rest: &str, payload: &str) -> Option<Value> {
        let topic = format!("/sys/{}/{}/{rest}", self.product, session.device.name);
        let (reply_topic, reply) = self.send(session, &topic, payload).await?;
        assert_eq!(reply_topic, format!("{topic}_reply"));
        Some(reply)
    }

    async fn send(&self, session: &Session, topic: &str, payload: &str) -> Option<(String, Value)> {
        assert!(self.alink.may(session, Verb::Publish, topic), "{topic}");
        let mut uplink = self.uplink(session, topic, payload).await;
        assert!(uplink.replies.len() <= 1 && !uplink.fan_out);
        let reply = uplink.replies.pop()?;
        assert!(reply.system && reply.qos == 1);
        let may = self.alink.may(session, Verb::Subscribe, &reply.topic);
        assert!(may, "{}", reply.topic);
        Some((reply.topic, serde_json::from_slice(&reply.payload).unwrap()))
    }

    async fn uplink(&self, session: &Session, topic: &str, payload: &str) -> Uplink {
        let inbound = Inbound {
            topic: topic.into(),
            payload: payload.to_owned().into(),
            qos: 1,
        };
        self.alink.uplink(session, inbound).await.unwrap()
    }

    async fn post(&self, channel: Channel, path: &str, body: String) -> String {
        let routes: Router = http::routes(self.alink.clone());
        let mut request = axum::extract::Request::post(path)
            .header(
                "content-type",
                "application/x-www-form-urlencoded;charset=utf-8",
            )
            .body(Body::from(body))
            .unwrap();
        request.extensions_mut().insert(peer(channel));
        let response = routes.oneshot(request).await.unwrap();
        assert_eq!(response.status(), 200);
        let body = axum::body::to_bytes(response.into_body(), 4096).await;
        String::from_utf8(body.unwrap().to_vec()).unwrap()
    }

    async fn auth(&self, path: &str, body: String) -> Value {
        let text = self.post(Channel::Https, path, body).await;
        assert!(text.starts_with("{\"code\":"), "{text}");
        serde_json::from_str(&text).unwrap()
    }

    fn register_form(&self, name: &str, secret: &str) -> String {
        let product = self.product.as_str();
        let fields = [
            ("deviceName", name),
            ("productKey", product),
            ("random", "r"),
        ];
        let sign = signed(secret, SignedAt::AuthRegister, &fields);
        format!("productKey={product}&deviceName={name}&random=r&sign={sign}&signMethod=hmacsha1")
    }
}

fn peer(channel: Channel) -> Peer {
    Peer {
        address: [127, 0, 0, 1].into(),
        channel,
    }
}

fn signed(secret: &str, channel: SignedAt, fields: &[(&str, &str)]) -> String {
    let secret = Secret::new(secret.as_bytes().to_vec());
    sign(&secret, SignMethod::HmacSha1, channel, fields)
}

fn model() -> Value {
    let int = json!({"type": "int", "specs": {"min": "-50", "max": "100"}});
    json!({
        "profile": {},
        "properties": [
            {"identifier": "temperature", "name": "t", "accessMode": "r", "required": false,
             "dataType": int},
            {"identifier": "target", "name": "g", "accessMode": "rw", "required": false,
             "dataType": int},
        ],
        "events": [
            {"identifier": "alarm", "name": "a", "type": "alert", "required": false,
             "outputData": [{"identifier": "level", "name": "l", "dataType": int}]},
        ],
        "services": [
            {"identifier": "reboot", "name": "r", "callType": "async", "required": false,
             "inputData": [{"identifier": "delay", "name": "d", "dataType": int}],
             "outputData": []},
        ],
    })
}

/// [AL-2.2] [AL-3.2] [AL-3.12] A signed login is let in with what its client id says, and makes
/// the device active; a wrong one is not.
#[tokio::test]
async fn a_login_is_let_in_once_it_is_proven() {
    let house = House::open().await;
    let (device, secret) = house.device("kitchen").await;
    let welcome = house
        .welcome(&house.hello(&device, &secret, ",_ss=1,ext=3"))
        .await;
    assert!(welcome.implicit);
    assert_eq!(welcome.session.marks, MARK_IMPLICIT | 3);
    assert_eq!(welcome.session.marks & MARK_EXT & MARK_EXTENDED_RPC, 1);
    assert_eq!(welcome.profile, PROFILE);
    let session = &welcome.session;
    let own = format!("/{}/{}/user/any", device.product, device.name);
    let system = format!(
        "/sys/{}/{}/thing/event/property/post",
        device.product, device.name
    );
    let dialect = &house.alink;
    assert!(dialect.extras(session, &own) && !dialect.extras(session, &system));
    let extras = MqttExtras {
        exactly_once: true,
        retain: true,
        will: true,
    };
    let mut mortal = house.hello(&device, &secret, "");
    mortal.will = true;
    let code = house.refused(&mortal).await;
    assert_eq!(code, hub::edge::RefusalCode::NotAuthorised);
    let product = &device.product;
    let set = house.hub.product_mqtt(&house.permit, product, extras).await;
    assert_eq!(set.unwrap().mqtt, extras);
    let again = house.welcome(&house.hello(&device, &secret, "")).await;
    let profile = again.profile;
    assert_eq!((profile.qos, profile.retain, profile.will), (2, true, true));
    assert!(profile.lenient);
    assert!(house.welcome(&mortal).await.profile.will);
    let found = house.hub.device_find(&house.permit, &device).await.unwrap();
    assert_eq!(found.state, DeviceState::Online);
    assert!(
        !house
            .welcome(&house.hello(&device, &secret, ""))
            .await
            .implicit
    );

    use hub::edge::RefusalCode::{ClientId, Credentials, NotAuthorised};
    let wrong = house.hello(&device, "another", "");
    assert_eq!(house.refused(&wrong).await, NotAuthorised);
    let stranger = DeviceKey::parse(house.product.as_str(), "stranger").unwrap();
    let hello = house.hello(&stranger, &secret, "");
    assert_eq!(house.refused(&hello).await, NotAuthorised);
    let mut hello = house.hello(&device, &secret, "");
    hello.keep_alive = 0;
    assert_eq!(house.refused(&hello).await, ClientId);
    hello.keep_alive = 60;
    hello.password = Some("not hex".into());
    assert_eq!(house.refused(&hello).await, Credentials);
    let failures = house.hub.audit_page(&house.permit, 0, 100).await.unwrap();
    let failures = failures.iter().map(|line| &line.entry);
    let refused = failures.filter(|e| e.action == "device.login" && e.outcome != "ok");
    assert_eq!(refused.count(), 5, "each failure has its line");
}

/// [AL-6.3] The post of seed 001 §6.5: kept, answered with `{}`, more than 200 refused.
#[tokio::test]
async fn properties_are_kept_and_answered() {
    let house = House::open().await;
    let session = house.session().await;
    let post = "thing/event/property/post";
    let payload = r#"{"id":"1|x","params":{"temperature":20,"target":{"value":5,"time":1767225599000},"unknown":1,"temperatur":"x"}}"#;
    let reply = house.ask(&session, post, payload).await.unwrap();
    assert_eq!(
        reply,
        json!({"id": "1|x", "code": 200, "data": {}, "message": "success"})
    );
    let latest = house
        .hub
        .property_latest(&house.permit, &session.device, None)
        .await;
    let latest: BTreeMap<String, Option<(Value, Time)>> = latest
        .unwrap()
        .into_iter()
        .map(|l| (l.identifier, l.value))
        .collect();
    assert_eq!(latest["temperature"], Some((json!(20), NOW)));
    assert_eq!(latest["target"], Some((json!(5), NOW.plus(-1000))));

    let none = r#"{"id":1,"params":{"unknown":1}}"#;
    assert_eq!(house.ask(&session, post, none).await.unwrap()["code"], 200);
    let many: Map<String, Value> = (0..201).map(|n| (format!("p{n}"), json!(n))).collect();
    let many = json!({"id": "2", "params": many}).to_string();
    let reply = house.ask(&session, post, &many).await.unwrap();
    assert_eq!(reply["code"], 6106);
    assert_eq!(reply["message"], "map size must less than 200");
    for bad in [
        r#"{"id":"3","params":[1]}"#,
        r#"{"id":"3"}"#,
        r#"{"id":"3",,}"#,
    ] {
        let reply = house.ask(&session, post, bad).await.unwrap();
        assert_eq!(
            (&reply["id"], &reply["code"]),
            (&json!("3"), &json!(460)),
            "{bad}"
        );
    }
    for silent in [
        "",
        "not JSON",
        r#"{"id":"4","params":{"target":1},"sys":{"ack":0}}"#,
    ] {
        assert_eq!(house.ask(&session, post, silent).await, None, "{silent}");
    }
}

/// [AL-6.4] Wrapped and bare events are kept; others are refused with a code.
#[tokio::test]
async fn events_are_kept_or_refused() {
    let house = House::open().await;
    let session = house.session().await;
    for (payload, code) in [
        (
            r#"{"id":"1","params":{"value":{"level":1},"time":1767225599000}}"#,
            200,
        ),
        (r#"{"id":"2","params":{"level":2}}"#, 200),
        (r#"{"id":"3","params":{"level":"high"}}"#, 460),
        (r#"{"id":"4","params":7}"#, 460),
    ] {
        let reply = house.ask(&session, "thing/event/alarm/post", payload).await;
        assert_eq!(reply.unwrap()["code"], code, "{payload}");
    }
    let reply = house.ask(
        &session,
        "thing/event/nothing/post",
        r#"{"id":"5","params":{}}"#,
    );
    assert_eq!(reply.await.unwrap()["code"], 460);
    let wanted = PageWanted {
        from: Time(0),
        to: NOW,
        oldest_first: true,
        most: 10,
    };
    let device = &session.device;
    let events = house
        .hub
        .event_history(&house.permit, device, Some("alarm"), None, wanted);
    let points = events.await.unwrap().points;
    let levels: Vec<&Value> = points.iter().map(|point| &point.value["level"]).collect();
    assert_eq!(levels, [1, 2]);
}

/// [AL-6.3] [AL-6.5] A command goes down in Alink, and the device's answer ends it.
#[tokio::test]
async fn commands_are_answered() {
    let house = House::open().await;
    let session = house.session().await;
    let device = &session.device;
    let items = json!({"target": 19}).as_object().unwrap().clone();
    let set = house
        .hub
        .property_set(&house.permit, device, items)
        .await
        .unwrap();
    let input = json!({"delay": 1}).as_object().unwrap().clone();
    let call = house
        .hub
        .service_invoke(&house.permit, device, "reboot", input);
    call.await.unwrap();
    let waiting = house.hub.commands_waiting(&session).await.unwrap();
    let mut down = Vec::new();
    for command in &waiting {
        down.extend(house.alink.downlink(&session, command));
        house.hub.command_sent(&session, command.id).await.unwrap();
    }
    let own = format!("/sys/{}/kitchen/thing/service", house.product);
    let topics: Vec<&str> = down
        .iter()
        .map(|outbound| outbound.topic.as_str())
        .collect();
    assert_eq!(
        topics,
        [format!("{own}/property/set"), format!("{own}/reboot")]
    );
    let request: Value = serde_json::from_slice(&down[0].payload).unwrap();
    assert_eq!(request["id"], set.to_string());

    // What is no answer ends nothing, nor does an answer to something else.
    for payload in [
        "",
        r#"{"id":"999999","code":200}"#,
        r#"{"code":200,"data":{}}"#,
    ] {
        assert_eq!(
            house
                .ask(&session, "thing/service/reboot_reply", payload)
                .await,
            None
        );
    }
    for outbound in &down {
        let request: Value = serde_json::from_slice(&outbound.payload).unwrap();
        let answer = json!({"id": request["id"], "code": 200, "data": {"n": 1}}).to_string();
        let topic = format!("{}_reply", outbound.topic);
        assert_eq!(house.send(&session, &topic, &answer).await, None);
    }
    let again = json!({"id": set.to_string(), "code": 100_000}).to_string();
    assert_eq!(
        house
            .ask(&session, "thing/service/property/set_reply", &again)
            .await,
        None
    );
    assert!(
        house
            .hub
            .commands_waiting(&session)
            .await
            .unwrap()
            .is_empty()
    );
}

/// [AL-6.12] The thing model, by both of its topics.
#[tokio::test]
async fn a_device_reads_its_thing_model() {
    let house = House::open().await;
    let session = house.session().await;
    for rest in ["thing/dsltemplate/get", "thing/dynamicTsl/get"] {
        let reply = house
            .ask(&session, rest, r#"{"id":"1","params":{}}"#)
            .await
            .unwrap();
        assert_eq!(reply["code"], 200);
        let properties = reply["data"]["properties"].as_array().unwrap();
        assert_eq!(properties[0]["identifier"], "temperature");
    }
}

/// What clients wait for at their start, and what is not served, is answered and never silent.
#[tokio::test]
async fn what_clients_wait_for_is_answered() {
    let house = House::open().await;
    let session = house.session().await;
    for (rest, params, code) in [
        (
            "thing/deviceinfo/update",
            json!([{"attrKey": "SYS_SDK_LANGUAGE", "attrValue": "C", "domain": "SYSTEM"}]),
            200,
        ),
        (
            "thing/deviceinfo/update",
            json!([{"attrKey": "a", "attrValue": "b"}]),
            200,
        ),
        ("thing/deviceinfo/update", json!({}), 460),
        ("thing/config/get", json!({"configScope": "product"}), 6713),
        ("thing/config/log/get", json!({}), 200),
        ("thing/reset", json!({}), 200),
        ("thing/ota/firmware/get", json!({}), 200),
        ("thing/topo/get", json!({}), 460),
        ("thing/sub/register", json!([]), 460),
        ("thing/log/post", json!([]), 200),
        ("thing/property/desired/get", json!([]), 200),
    ] {
        let payload = json!({"id": 7, "params": params}).to_string();
        let reply = house.ask(&session, rest, &payload).await.unwrap();
        assert_eq!(
            (&reply["id"], &reply["code"]),
            (&json!(7), &json!(code)),
            "{rest}"
        );
        assert!(reply["data"].is_object() && reply["message"].is_string());
    }
    let own = format!("{}/kitchen", house.product);
    let topic = format!("/ota/device/request/{own}");
    let (reply_topic, reply) = house.send(&session, &topic, r#"{"id":1}"#).await.unwrap();
    assert_eq!((reply_topic, &reply["code"]), (topic, &json!(500)));
    let topic = format!("/ext/ntp/{own}/request");
    let asked = house
        .send(&session, &topic, r#"{"deviceSendTime":"5"}"#)
        .await;
    let (reply_topic, reply) = asked.unwrap();
    assert_eq!(reply_topic, format!("/ext/ntp/{own}/response"));
    assert_eq!(reply["serverSendTime"], NOW.0.to_string());
    let topic = format!("/shadow/update/{own}");
    let asked = house
        .send(&session, &topic, r#"{"method":"get","clientToken":"t"}"#)
        .await;
    let (reply_topic, reply) = asked.unwrap();
    assert_eq!(reply_topic, format!("/shadow/get/{own}"));
    assert_eq!(reply["payload"]["status"], "success");
    assert_eq!(reply["clientToken"], "t");
    let topic = format!("/ext/session/{own}/combine/login");
    let (_, reply) = house
        .send(&session, &topic, r#"{"id":"1","params":{}}"#)
        .await
        .unwrap();
    assert_eq!(reply["code"], 460);
}

/// The firmware version is in the device's row when the report is acknowledged.
#[tokio::test]
async fn a_firmware_report_is_noted() {
    let house = House::open().await;
    let session = house.session().await;
    let topic = format!("/ota/device/inform/{}/kitchen", house.product);
    let reports = [
        r#"{"id":1,"params":{"version":"1.0.1"}}"#,
        r#"{"id":2,"params":{"version":"9","module":"modem"}}"#,
        "not JSON",
    ];
    for payload in reports {
        assert_eq!(house.send(&session, &topic, payload).await, None);
    }
    let found = house.hub.device_find(&house.permit, &session.device).await;
    assert_eq!(found.unwrap().device.firmware, "1.0.1");
}

/// [AL-3.12] Topic classes hold from the moment that they are made; their messages fan out.
#[tokio::test]
async fn custom_topics_follow_their_class() {
    let house = House::open().await;
    let session = house.session().await;
    let topic = |suffix: &str| format!("/{}/kitchen/{suffix}", house.product);
    assert!(
        house
            .alink
            .may(&session, Verb::Publish, &topic("user/update"))
    );
    assert!(
        house
            .alink
            .may(&session, Verb::Subscribe, &topic("user/get"))
    );
    assert!(
        !house
            .alink
            .may(&session, Verb::Subscribe, &topic("user/update"))
    );
    assert!(
        !house
            .alink
            .may(&session, Verb::Publish, &topic("user/news"))
    );
    let made = house.hub.topic_create(
        &house.permit,
        &house.product,
        "user/news",
        TopicRight::Both,
        "",
    );
    made.await.unwrap();
    assert!(
        house
            .alink
            .may(&session, Verb::Publish, &topic("user/news"))
    );
    let uplink = house
        .uplink(&session, &topic("user/news"), "\u{1}bytes")
        .await;
    assert!(uplink.fan_out && uplink.replies.is_empty());
}

/// [AL-2.5] [AL-2.3] [LK-1] Over HTTPS, until the device is active; not in clear.
#[tokio::test]
async fn a_device_registers_itself_over_https() {
    let house = House::open().await;
    house.device("kitchen").await;
    let path = "/auth/register/device";
    let form = house.register_form("kitchen", &house.product_secret);
    let text = house.post(Channel::Https, path, form.clone()).await;
    assert!(
        text.len() <= 256 && text.starts_with("{\"code\":200,\"data\":{"),
        "{text}"
    );
    let answer: Value = serde_json::from_str(&text).unwrap();
    let secret = answer["data"]["deviceSecret"].as_str().unwrap();

    let clear: Value =
        serde_json::from_str(&house.post(Channel::Http, path, form.clone()).await).unwrap();
    assert_eq!(clear["code"], 6200);
    let wrong = house.register_form("kitchen", "another secret");
    assert_eq!(house.auth(path, wrong).await["code"], 6600);
    let stranger = house.register_form("stranger", &house.product_secret);
    assert_eq!(house.auth(path, stranger).await["code"], 6100);

    let device = DeviceKey::parse(house.product.as_str(), "kitchen").unwrap();
    house.welcome(&house.hello(&device, secret, "")).await;
    let again = house.auth(path, form).await;
    assert_eq!(
        again,
        json!({"code": 6289, "message": "device is already active"})
    );
}

/// [AL-2.3] Over MQTT: the device gets its secret and is not connected.
#[tokio::test]
async fn a_device_registers_itself_over_mqtt() {
    let house = House::open().await;
    let (device, _) = house.device("kitchen").await;
    let fields = [
        ("deviceName", "kitchen"),
        ("productKey", house.product.as_str()),
        ("random", "r"),
    ];
    let register = |kind: &str, secret: &str| {
        let password = signed(secret, SignedAt::MqttRegister, &fields);
        let block = format!("c|random=r,authType={kind},securemode=2,signmethod=hmacsha1|");
        house.greeting(&block, &device, password)
    };
    let visit = house
        .alink
        .greet(&register("register", &house.product_secret))
        .await;
    let Greeting::Visit(messages) = visit else {
        panic!("the device came to fetch its secret");
    };
    assert_eq!(messages[0].topic, "/ext/register");
    let given: Value = serde_json::from_slice(&messages[0].payload).unwrap();
    let secret = given["deviceSecret"].as_str().unwrap();
    let found = house.hub.device_find(&house.permit, &device).await.unwrap();
    assert_eq!(found.state, DeviceState::Unactivated);

    use hub::edge::RefusalCode::NotAuthorised;
    let wrong = register("register", "another");
    assert_eq!(house.refused(&wrong).await, NotAuthorised);
    let open = register("regnwl", &house.product_secret);
    assert_eq!(
        house.refused(&open).await,
        NotAuthorised,
        "names are registered here"
    );
    house.welcome(&house.hello(&device, secret, "")).await;
    let active = register("register", &house.product_secret);
    assert_eq!(
        house.refused(&active).await,
        NotAuthorised,
        "active already"
    );

    // Without a white list, and the way in from then on.
    let to = DynamicRegistration::Open;
    let switched = house
        .hub
        .product_registration(&house.permit, &house.product, to, true);
    switched.await.unwrap();
    let new = DeviceKey::parse(house.product.as_str(), "stranger").unwrap();
    let fields = [("deviceName", "stranger"), fields[1], fields[2]];
    let password = signed(&house.product_secret, SignedAt::MqttRegister, &fields);
    let block = "c|random=r,authType=regnwl,securemode=2,signmethod=hmacsha1|";
    let Greeting::Visit(messages) = house
        .alink
        .greet(&house.greeting(block, &new, password))
        .await
    else {
        panic!("the device came to fetch its token");
    };
    assert_eq!(messages[0].topic, "/ext/regnwl");
    let given: Value = serde_json::from_slice(&messages[0].payload).unwrap();
    let client_id = given["clientId"].as_str().unwrap();
    let block = format!("{client_id}|authType=connwl,securemode=-2,_ss=1,ext=3|");
    let token = given["deviceToken"].as_str().unwrap();
    let mut hello = house.greeting(&block, &new, token.to_owned());
    assert!(house.welcome(&hello).await.implicit);
    hello.password = Some(token.to_uppercase().into());
    assert_eq!(house.refused(&hello).await, NotAuthorised);
}

/// [AL-3.3] [LK-2] An id and a token for MQTT; a wrong one is "not available".
#[tokio::test]
async fn a_token_from_the_authentication_service_lets_a_device_in() {
    let house = House::open().await;
    let (device, secret) = house.device("kitchen").await;
    let product = house.product.as_str();
    let form = |name: &str, secret: &str| {
        let fields = [
            ("clientId", "c1"),
            ("deviceName", name),
            ("productKey", product),
        ];
        let sign = signed(secret, SignedAt::AuthDevicename, &fields);
        format!(
            "productKey={product}&deviceName={name}&signmethod=hmacsha1&sign={sign}&version=default&clientId=c1&resources=mqtt"
        )
    };
    let path = "/auth/devicename";
    let answer = house.auth(path, form("kitchen", &secret)).await;
    assert_eq!(answer["code"], 200, "{answer}");
    let mqtt = &answer["data"]["resources"]["mqtt"];
    assert_eq!(mqtt, &json!({"host": "iot.example.com", "port": 1883}));
    let id = answer["data"]["iotId"].as_str().unwrap();
    let token = answer["data"]["iotToken"].as_str().unwrap();
    for client_id in ["c1|securemode=-1,_v=sdk-c-2.3.0|", "c1"] {
        let mut hello = house.greeting(client_id, &device, token.to_owned());
        hello.user = Some(id.to_owned());
        assert_eq!(house.welcome(&hello).await.session.device, device);
    }
    use hub::edge::RefusalCode::Unavailable;
    for (user, password) in [
        (id, "x"),
        (id, &token[1..]),
        ("nobody", token),
        ("kitchen", token),
    ] {
        let mut hello = house.greeting("c1|securemode=-1|", &device, password.to_owned());
        hello.user = Some(user.to_owned());
        assert_eq!(
            house.refused(&hello).await,
            Unavailable,
            "{user} {password}"
        );
    }
    assert_eq!(
        house.auth(path, form("kitchen", "another")).await["code"],
        401
    );
    assert_eq!(
        house.auth(path, form("stranger", &secret)).await["code"],
        5001
    );
    assert_eq!(house.auth(path, String::new()).await["code"], 460);
    let huge = "x".repeat(http::BODY_MAX + 1);
    assert_eq!(house.auth(path, huge).await["code"], 460);
}

/// [AL-3.13] The node, as small as C clients need it; and in clear where the operator allows it.
#[tokio::test]
async fn bootstrap_names_the_node() {
    let house = House::open_with(true).await;
    let form = "productKey=pk&deviceName=dev1&clientId=pk.dev1&resources=mqtt";
    for channel in [Channel::Http, Channel::Https] {
        assert_eq!(
            house.post(channel, "/auth/bootstrap", form.into()).await,
            "{\"code\":200,\"data\":{\"resources\":{\"mqtt\":{\"host\":\"iot.example.com\",\"port\":1883}}},\"message\":\"success\"}"
        );
    }
    let request = axum::extract::Request::get("/auth/bootstrap").body(Body::empty());
    let response = http::routes(house.alink.clone())
        .oneshot(request.unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), 405);
    let body = axum::body::to_bytes(response.into_body(), 4096)
        .await
        .unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["code"], 460);
}

/// [AL-2.3] What `/ext/register` and `/ext/regnwl` must carry for the clients' parsers.
#[test]
fn registered_devices_get_what_their_parsers_need() {
    let registered = Registered {
        device: Device {
            key: DeviceKey::parse("pk", "dev1").unwrap(),
            iot_id: IotId::parse("id7").unwrap(),
            account: AccountId::parse("a").unwrap(),
            nickname: String::new(),
            created: Time(0),
            activated: None,
            disabled: false,
            online: None,
            offline: None,
            address: String::new(),
            firmware: String::new(),
            tags: BTreeMap::new(),
            credential: 0,
            version: 0,
        },
        secret: "s3cret".into(),
    };
    for (how, topic, payload) in [
        (
            Registration::Known,
            "/ext/register",
            "{\"productKey\":\"pk\",\"deviceName\":\"dev1\",\"deviceSecret\":\"s3cret\"}",
        ),
        (
            Registration::Open,
            "/ext/regnwl",
            "{\"clientId\":\"id7\",\"productKey\":\"pk\",\"deviceName\":\"dev1\",\"deviceToken\":\"s3cret\"}",
        ),
    ] {
        let outbound = credentials(&registered, how);
        assert_eq!(outbound.topic, topic);
        assert_eq!(outbound.payload, payload);
    }
}

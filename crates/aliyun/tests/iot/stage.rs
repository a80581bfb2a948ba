//! A hub over the embedded engine, with a clock that is moved by hand, and a caller that signs.

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, Response},
};
use credential::{
    Evidence, Secret, Want,
    request::{query, rpc},
};
use hub::{
    Hub,
    account::NewAccessKey,
    admit::Claim,
    edge::{Channel, Peer, Session},
    limits::Limits,
};
use model::{
    contract::bus::Heard,
    id::{DeviceKey, NodeId, Time},
    port::{Clock, Ports, Random, Signal},
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
};
use store::{Options, Store};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tower::ServiceExt as _;

/// 2021-02-22T08:00:00Z.
pub(crate) const START: i64 = 1_613_980_800_000;

pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn move_by(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Time {
        Time(self.0.load(Ordering::SeqCst))
    }
}

struct Counted(AtomicU64);

impl Random for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::SeqCst);
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&z.to_be_bytes()[..chunk.len()]);
        }
    }
}

/// Shows a device's secret as it is.
struct Shows(String);

impl Evidence for Shows {
    fn wants(&self) -> &[Want] {
        &[Want::DeviceSecret]
    }

    fn check(&self, secret: &Secret) -> bool {
        secret.matches(self.0.as_bytes())
    }

    fn scheme(&self) -> &'static str {
        "shown"
    }
}

pub(crate) struct Stage {
    pub(crate) hub: Arc<Hub>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) words: mpsc::Receiver<Signal>,
    pub(crate) key: NewAccessKey,
    pub(crate) door: Router,
    nonce: AtomicU64,
    _stop: watch::Sender<bool>,
    _folder: TempDir,
}

pub(crate) const PEER: Peer = Peer {
    address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)),
    channel: Channel::Https,
};

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::set_with(|ports| ports).await
    }

    /// With ports that are changed before the hub stands on them.
    pub(crate) async fn set_with(change: impl FnOnce(Ports) -> Ports) -> Self {
        let folder = TempDir::new().expect("a folder");
        let options = Options::of(NodeId::parse("stage").expect("it is good"));
        let store = Store::open(folder.path(), &options).expect("the engine opens");
        let clock = Arc::new(HandClock(AtomicI64::new(START)));
        let (bus, words) = Heard::bus(NodeId::parse("stage").expect("it is good"));
        let ports = change(Ports {
            catalog: store.catalog,
            devices: store.devices,
            secrets: store.secrets,
            series: store.series,
            nonces: store.nonces,
            commands: store.commands,
            presence: store.presence,
            journal: store.journal,
            bus,
            audit: store.audit,
            archive: store.archive,
            blobs: store.blobs,
            clock: clock.clone(),
            random: Arc::new(Counted(AtomicU64::new(1))),
        });
        let limits = Limits {
            call_wait: 60_000,
            ..Limits::default()
        };
        let master = Secret::new(vec![7; 32]);
        let hub = Hub::open(ports.clone(), limits, master).await;
        let hub = Arc::new(hub.expect("the hub opens"));
        let key = hub.account_found().await.expect("the account is made");
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(hub.clone().history_run(stopped));
        Self {
            words,
            door: aliyun::pop::routes(hub.clone()),
            key: key.expect("it is the first"),
            hub,
            clock,
            nonce: AtomicU64::new(0),
            _stop: stop,
            _folder: folder,
        }
    }

    /// The parameters of a call with all that goes with it, signed for GET.
    pub(crate) fn signed(
        &self,
        key: &NewAccessKey,
        action: &str,
        params: &[(&str, &str)],
    ) -> Vec<(String, String)> {
        let nonce = self.nonce.fetch_add(1, Ordering::SeqCst).to_string();
        let mut pairs: Vec<(String, String)> = params
            .iter()
            .chain(&[
                ("Action", action),
                ("Version", "2018-01-20"),
                ("Format", "JSON"),
                ("AccessKeyId", key.key.id.as_str()),
                ("SignatureMethod", "HMAC-SHA1"),
                ("SignatureVersion", "1.0"),
                ("SignatureType", ""),
                ("SignatureNonce", &nonce),
                ("Timestamp", "2021-02-22T08:00:00Z"),
            ])
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let secret = Secret::new(key.secret.as_bytes().to_vec());
        let signature = rpc::sign(&secret, "GET", &pairs);
        pairs.push(("Signature".into(), signature));
        pairs
    }

    /// Sends parameters in the query of a GET.
    pub(crate) async fn get(&self, pairs: &[(String, String)]) -> (u16, Value) {
        let uri = format!("/?{}", query::canonical(pairs));
        let request = Request::get(uri).header("Host", "http://127.0.0.1:18080");
        let response = self.send(request.body(Body::empty()).expect("it is good"));
        json_of(response.await).await
    }

    /// Sends any request, from the usual peer.
    pub(crate) async fn send(&self, mut request: Request<Body>) -> Response<Body> {
        request.extensions_mut().insert(PEER);
        let door = self.door.clone();
        door.oneshot(request).await.expect("the door answers")
    }

    /// Calls an action as the account itself.
    pub(crate) async fn call(&self, action: &str, params: &[(&str, &str)]) -> (u16, Value) {
        self.get(&self.signed(&self.key, action, params)).await
    }

    /// Calls an action that must succeed.
    pub(crate) async fn ok(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let (status, tree) = self.call(action, params).await;
        assert_eq!((status, &tree["Success"]), (200, &json!(true)), "{tree}");
        assert!(tree.get("Code").is_none(), "{tree}");
        let id = tree["RequestId"].as_str().expect("it has one");
        assert_eq!(id, id.to_uppercase());
        tree
    }

    /// The code of an action that must fail.
    pub(crate) async fn code(&self, action: &str, params: &[(&str, &str)]) -> String {
        let (status, tree) = self.call(action, params).await;
        if status == 200 {
            assert_eq!(tree["Success"], false, "{action} {params:?} {tree}");
            assert!(!tree["ErrorMessage"].as_str().expect("a text").is_empty());
        }
        tree["Code"].as_str().expect("it has a code").to_owned()
    }

    /// A product with a thing model, and its key.
    pub(crate) async fn product(&self) -> String {
        let params = [
            ("ProductName", "Lamp"),
            ("NodeType", "0"),
            ("DataFormat", "1"),
            ("AliyunCommodityCode", "iothub_senior"),
        ];
        let tree = self.ok("CreateProduct", &params).await;
        tree["ProductKey"].as_str().expect("it has a key").into()
    }

    /// A device, and its secret.
    pub(crate) async fn device(&self, product: &str, name: &str) -> String {
        let params = [("ProductKey", product), ("DeviceName", name)];
        let tree = self.ok("RegisterDevice", &params).await;
        text(&tree["Data"]["DeviceSecret"])
    }

    /// Lets a device in.
    pub(crate) async fn connect(&self, product: &str, name: &str, secret: &str) -> Session {
        let claim = Claim {
            device: DeviceKey::parse(product, name).expect("it is good"),
            evidence: Box::new(Shows(secret.into())),
            says_secure: None,
            peer: PEER,
        };
        let session = self.hub.device_admit(claim, 0).await;
        session.expect("the device is let in")
    }

    /// Ends a session.
    pub(crate) async fn disconnect(&self, session: &Session) {
        let hub = &self.hub;
        assert!(hub.session_leave(session).await.expect("it is noted"));
        let noted = hub.session_offline(session, "test").await;
        noted.expect("it is noted");
    }

    /// The next word to this node that `wanted` takes.
    pub(crate) async fn word<T>(&mut self, wanted: impl Fn(Signal) -> Option<T>) -> T {
        loop {
            let word = self.words.recv().await.expect("the bus is open");
            if let Some(found) = wanted(word) {
                return found;
            }
        }
    }
}

pub(crate) async fn text_of(response: Response<Body>) -> (u16, String) {
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), 1 << 24).await;
    let text = String::from_utf8(bytes.expect("a body").to_vec());
    (status, text.expect("a text"))
}

pub(crate) async fn json_of(response: Response<Body>) -> (u16, Value) {
    assert_eq!(
        response.headers()["content-type"],
        "application/json;charset=utf-8"
    );
    let (status, text) = text_of(response).await;
    (status, serde_json::from_str(&text).expect("JSON"))
}

pub(crate) fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Numbered parameters.
pub(crate) fn numbered(name: &str, values: &[&str]) -> Vec<(String, String)> {
    (1..)
        .zip(values)
        .map(|(n, value)| (format!("{name}.{n}"), (*value).to_owned()))
        .collect()
}

/// All parameters of a call as the calls above want them.
pub(crate) fn join<'a>(
    plain: &[(&'a str, &'a str)],
    more: &'a [(String, String)],
) -> Vec<(&'a str, &'a str)> {
    let more = more.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    plain.iter().copied().chain(more).collect()
}

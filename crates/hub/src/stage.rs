//! A hub over the embedded engine in a folder of its own, with a clock that is moved by hand.

use crate::{
    Hub, HubStartError,
    account::{CallerClaim, NewAccessKey, Permit},
    admit::Claim,
    document,
    edge::{Channel, Peer},
    limits::Limits,
    vault::shown,
};
use async_trait::async_trait;
use credential::{Evidence, Secret, Want, text};
use model::{
    account::{AuditRecord, Caller, Resource},
    contract::bus::Heard,
    device::Device,
    error::{CallerError, Fault},
    fact::What,
    id::{DeviceKey, IotId, NodeId, Position, ProductKey, Time},
    port::{Audit, Change, Clock, Expect, Insert, NewDevice, Ports, Random, SecretId, Signal},
    product::{DataFormat, DynamicRegistration, NodeKind, Product, ProductState},
};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering},
    },
};
use store::{Options, Store};
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

/// Where the clock begins: 2026-01-01T00:00:00Z.
pub(crate) const START: Time = Time(1_767_225_600_000);

/// A hub and what stands below it.
pub(crate) struct Stage {
    pub(crate) hub: Arc<Hub>,
    pub(crate) ports: Ports,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) words: Option<Receiver<Signal>>,
    _folder: TempDir,
}

/// A clock that stands until it is moved.
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

/// Bytes that are the same in every run and never come twice.
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

/// Shows a secret as it is.
pub(crate) struct Shows(pub(crate) String, pub(crate) [Want; 1]);

impl Evidence for Shows {
    fn wants(&self) -> &[Want] {
        &self.1
    }

    fn check(&self, secret: &Secret) -> bool {
        secret.matches(self.0.as_bytes())
    }

    fn scheme(&self) -> &'static str {
        "shown"
    }
}

impl Stage {
    pub(crate) async fn set() -> Self {
        Self::set_with(Limits::default(), |ports| ports).await
    }

    /// Ends a session as a connection does.
    pub(crate) async fn close(&self, session: &crate::edge::Session, reason: &str) {
        if self.hub.session_leave(session).await.unwrap() {
            self.hub.session_offline(session, reason).await.unwrap();
        }
    }

    /// With limits, and ports changed before the hub stands on them.
    pub(crate) async fn set_with(limits: Limits, change: impl FnOnce(Ports) -> Ports) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::of(NodeId::parse("stage").unwrap());
        let store = Store::open(folder.path(), &options).unwrap();
        let clock = Arc::new(HandClock(AtomicI64::new(START.0)));
        let (bus, words) = Heard::bus(NodeId::parse("stage").unwrap());
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
        let hub = Hub::open(ports.clone(), limits, master(1)).await.unwrap();
        Self {
            hub: Arc::new(hub),
            words: Some(words),
            ports,
            clock,
            _folder: folder,
        }
    }

    /// Another hub over the same ports, as after a restart or on another node.
    pub(crate) async fn again(&self, master: Secret) -> Result<Hub, HubStartError> {
        Hub::open(self.ports.clone(), Limits::default(), master).await
    }

    /// The first account, made when it is not there.
    pub(crate) async fn found(&self) -> NewAccessKey {
        self.hub.account_found().await.unwrap().unwrap()
    }

    /// A permit of the first account itself.
    pub(crate) async fn permit(&self) -> Permit {
        let _ = self.hub.account_found().await.unwrap();
        let caller = self.hub.caller_local("local").await.unwrap();
        let any = Resource::Any;
        self.hub
            .caller_allow(&caller, "muster:Test", &any, false)
            .await
            .unwrap()
    }

    /// A permit of another account.
    pub(crate) async fn other_permit(&self) -> Permit {
        let first = self.permit().await;
        let (_, key) = self.hub.account_create(&first, "another").await.unwrap();
        let caller = self.call(&key).await.unwrap();
        let any = Resource::Any;
        self.hub
            .caller_allow(&caller, "muster:Test", &any, false)
            .await
            .unwrap()
    }

    /// Lets the journal's reader run, until what comes back is dropped.
    pub(crate) fn read_journal(&self) -> tokio::sync::watch::Sender<bool> {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        tokio::spawn(self.hub.clone().history_run(stopped));
        stop
    }

    /// Calls with a key.
    pub(crate) async fn call(&self, key: &NewAccessKey) -> Result<Caller, CallerError> {
        self.hub
            .caller_admit(self.call_claim(key, &key.secret, None))
            .await
    }

    pub(crate) fn call_claim(
        &self,
        key: &NewAccessKey,
        secret: &str,
        nonce: Option<&str>,
    ) -> CallerClaim {
        CallerClaim {
            key: key.key.id.clone(),
            evidence: Box::new(Shows(secret.to_owned(), [Want::AccessKeySecret])),
            at: Some(self.hub.now()),
            nonce: nonce.map(str::to_owned),
            peer: peer(Channel::Https),
            action: "iot:QueryDevice".to_owned(),
        }
    }

    /// A product of the first account, with its secret; put where the verbs will find it.
    pub(crate) async fn product(&self, registration: DynamicRegistration) -> (Product, String) {
        let permit = self.permit().await;
        let key = ProductKey::parse(&text::product_key(&self.hub.seed())).unwrap();
        let product = Product {
            key: key.clone(),
            account: permit.account().clone(),
            name: key.to_string(),
            description: String::new(),
            node: NodeKind::Device,
            format: DataFormat::Alink,
            modelled: false,
            state: ProductState::Development,
            registration,
            strict_channel: false,
            mqtt: Default::default(),
            created: self.hub.now(),
            labels: BTreeMap::new(),
            topics: Vec::new(),
            tags: BTreeMap::new(),
        };
        self.product_put(&product).await;
        let secret = text::product_secret(&self.hub.seed());
        let id = SecretId::Product(key);
        let sealed = self.hub.secret_seal(&id, &secret).unwrap();
        self.ports.secrets.put(&id, sealed).await.unwrap();
        (product, shown(&secret).unwrap())
    }

    pub(crate) async fn product_put(&self, product: &Product) {
        let key = product.key.to_string();
        let put = document::put("product", key, product, Expect::Anything).unwrap();
        assert!(self.hub.document_put(vec![put]).await.unwrap());
    }

    /// A device with its secret.
    pub(crate) async fn device(&self, product: &Product, name: &str) -> (Device, String) {
        let iot_id = IotId::parse(&text::iot_id(&self.hub.seed())).unwrap();
        let secret = text::device_secret(&self.hub.seed());
        let id = SecretId::Device(iot_id.clone());
        let sealed = self.hub.secret_seal(&id, &secret).unwrap();
        let device = Device {
            key: DeviceKey::parse(product.key.as_str(), name).unwrap(),
            iot_id: iot_id.clone(),
            account: product.account.clone(),
            nickname: String::new(),
            created: self.hub.now(),
            activated: None,
            disabled: false,
            online: None,
            offline: None,
            address: String::new(),
            firmware: String::new(),
            tags: BTreeMap::new(),
            credential: 1,
            version: 0,
        };
        let new = NewDevice {
            device,
            secret: sealed,
        };
        let done = self.ports.devices.insert(vec![new], 10_000).await.unwrap();
        assert_eq!(done, Insert::Done);
        (self.row(&iot_id).await, shown(&secret).unwrap())
    }

    pub(crate) async fn row(&self, id: &IotId) -> Device {
        self.ports.devices.find_id(id).await.unwrap().unwrap()
    }

    /// Changes a device's row as somebody else would.
    pub(crate) async fn change(&self, id: &IotId, change: impl FnOnce(&mut Device)) {
        let mut row = self.row(id).await;
        change(&mut row);
        let done = self.ports.devices.change(&row).await.unwrap();
        assert!(matches!(done, Change::Done(_)));
    }

    /// What happened to a device, oldest first.
    pub(crate) async fn facts(&self, id: &IotId) -> Vec<What> {
        self.ports.journal.settled().await.unwrap();
        let facts = self.ports.journal.read(Position(0), 10_000).await.unwrap();
        let of = facts.into_iter().filter(|(_, fact)| fact.iot_id == *id);
        of.map(|(_, fact)| fact.what).collect()
    }

    /// The audit log.
    pub(crate) async fn lines(&self) -> Vec<AuditRecord> {
        self.ports.audit.page(0, 10_000).await.unwrap()
    }
}

/// The master key that is all `fill`.
pub(crate) fn master(fill: u8) -> Secret {
    Secret::new(vec![fill; 32])
}

pub(crate) fn peer(channel: Channel) -> Peer {
    Peer {
        address: Ipv4Addr::new(192, 0, 2, 7).into(),
        channel,
    }
}

/// A device's claim over MQTT in clear, by the secret that is wanted.
pub(crate) fn claim(device: &DeviceKey, secret: &str, want: Want) -> Claim {
    Claim {
        device: device.clone(),
        evidence: Box::new(Shows(secret.to_owned(), [want])),
        says_secure: None,
        peer: peer(Channel::Tcp),
    }
}

/// An audit log in memory, which can be tampered with.
#[derive(Default)]
pub(crate) struct Slate {
    pub(crate) lines: Mutex<Vec<AuditRecord>>,
    pub(crate) refuses: AtomicBool,
    pub(crate) appends: AtomicUsize,
}

#[async_trait]
impl Audit for Slate {
    async fn append(&self, records: Vec<AuditRecord>) -> Result<Change, Fault> {
        // Others get a turn, as with an engine that waits for a disk.
        tokio::task::yield_now().await;
        if self.refuses.load(Ordering::SeqCst) {
            return Err(Fault::lasting("the slate is full"));
        }
        let mut lines = self.lines.lock();
        let next = lines.last().map_or(1, |last| last.seq + 1);
        let last = records.last().map_or(0, |record| record.seq);
        if records.first().is_some_and(|first| first.seq != next) {
            return Ok(Change::Conflict);
        }
        self.appends.fetch_add(1, Ordering::SeqCst);
        lines.extend(records);
        Ok(Change::Done(last))
    }

    async fn last(&self) -> Result<Option<AuditRecord>, Fault> {
        Ok(self.lines.lock().last().cloned())
    }

    async fn page(&self, after: u64, most: usize) -> Result<Vec<AuditRecord>, Fault> {
        let lines = self.lines.lock();
        let page = lines.iter().filter(|line| line.seq > after).take(most);
        Ok(page.cloned().collect())
    }
}

//! Ports: what the hub needs from an engine, in the words of the product.
//!
//! A method is a transaction: it states the outcome that it guarantees, and takes quotas and
//! expected versions as arguments. When a method that changes something returns `Ok`, the change
//! is on disk. There are no capability flags: an engine that cannot do it is no engine.

use crate::{
    account::AuditRecord,
    archive::Archive,
    command::{Answer, Command, Order},
    device::{Device, DeviceCount},
    error::Fault,
    fact::Fact,
    id::{CommandId, DeviceKey, DeviceName, IotId, NodeId, Position, ProductKey, SessionId, Time},
    thing::EventKind,
    topo::Notice,
};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// All that the hub stands on.
#[derive(Clone)]
pub struct Ports {
    /// What people edit.
    pub catalog: Arc<dyn Catalog>,
    /// Device rows.
    pub devices: Arc<dyn Devices>,
    /// Sealed secrets.
    pub secrets: Arc<dyn Secrets>,
    /// Histories.
    pub series: Arc<dyn Series>,
    /// Single-use things.
    pub nonces: Arc<dyn Nonces>,
    /// Commands that wait for a device.
    pub commands: Arc<dyn Commands>,
    /// Who is connected where.
    pub presence: Arc<dyn Presence>,
    /// Facts.
    pub journal: Arc<dyn Journal>,
    /// Between the nodes.
    pub bus: Arc<dyn Bus>,
    /// The audit log.
    pub audit: Arc<dyn Audit>,
    /// All that the row-keeping ports keep, as rows.
    pub archive: Arc<dyn Archive>,
    /// Files.
    pub blobs: Arc<dyn Blobs>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Chance.
    pub random: Arc<dyn Random>,
}

/// Tells the time; the only place that does.
pub trait Clock: Send + Sync {
    /// Wall-clock time.
    fn now(&self) -> Time;
}

/// Gives bytes that nobody can foresee.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// A document of the catalog: who it is, and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its key within its kind.
    pub key: String,
    /// JSON text.
    pub value: Bytes,
    /// Grows with every put, from 1.
    pub version: u64,
}

/// What must be true for a `put` or a `remove` to happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Anything,
    /// The key is not taken.
    Absent,
    /// The entry has this version.
    Version(u64),
}

/// What became of a conditional change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It happened; the entry or row has this version now.
    Done(u64),
    /// What was expected is not so; nothing changed.
    Conflict,
}

/// One change of several that happen together or not at all.
#[derive(Clone, Debug)]
pub struct Put {
    /// Kind of document, such as `product`.
    pub kind: &'static str,
    /// Key within the kind.
    pub key: String,
    /// JSON text; `None` removes the entry.
    pub value: Option<Bytes>,
    /// Condition.
    pub expect: Expect,
}

/// Documents that people edit: products, models, accounts, keys, policies, applications.
#[async_trait]
pub trait Catalog: Send + Sync {
    /// The entry, if there is one.
    async fn get(&self, kind: &'static str, key: &str) -> Result<Option<Entry>, Fault>;
    /// Makes all changes in turn, or none when one condition does not hold. `Done` bears the
    /// version of the last entry; 0 when that was removed.
    async fn put(&self, puts: Vec<Put>) -> Result<Change, Fault>;
    /// Entries whose keys start with `prefix` and are greater than `after`, in key order.
    async fn list(
        &self,
        kind: &'static str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<Vec<Entry>, Fault>;
    /// How many entries' keys start with `prefix`.
    async fn count(&self, kind: &'static str, prefix: &str) -> Result<u64, Fault>;
    /// The next number of a sequence, from 1, never given twice.
    async fn next(&self, sequence: &'static str) -> Result<u64, Fault>;
}

/// What became of an insertion of devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Insert {
    /// All are in.
    Done,
    /// These names are taken; nothing was inserted.
    Taken(Vec<DeviceName>),
    /// The product would have more than its quota; nothing was inserted.
    QuotaUsedUp,
}

/// A device that is to be registered, with its sealed secret.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// The row; its version is set by the engine.
    pub device: Device,
    /// The secret as `Secrets` keeps it, under `SecretId::Device`.
    pub secret: Bytes,
}

/// Which devices a page is made of.
#[derive(Clone, Debug, Default)]
pub struct DeviceFilter {
    /// Only those that were activated (`Some(true)`) or were not.
    pub activated: Option<bool>,
    /// Only those that are disabled (`Some(true)`) or are not.
    pub disabled: Option<bool>,
}

/// What was noticed of a device's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The device.
    pub iot_id: IotId,
    /// It came online.
    pub online: Option<Time>,
    /// It went offline.
    pub offline: Option<Time>,
    /// Where it came from, when it came online.
    pub address: Option<String>,
}

/// Device rows.
#[async_trait]
pub trait Devices: Send + Sync {
    /// Enters all devices of one product with their secrets, or none. Of two racing insertions of
    /// a name one sees `Taken`; the quota holds whatever races.
    async fn insert(&self, devices: Vec<NewDevice>, quota: u64) -> Result<Insert, Fault>;
    /// The row by product and name.
    async fn find(&self, key: &DeviceKey) -> Result<Option<Device>, Fault>;
    /// The row by id.
    async fn find_id(&self, id: &IotId) -> Result<Option<Device>, Fault>;
    /// Which of `names` are taken.
    async fn taken(
        &self,
        product: &ProductKey,
        names: &[DeviceName],
    ) -> Result<Vec<DeviceName>, Fault>;
    /// Replaces the row when it still has `device.version`.
    async fn change(&self, device: &Device) -> Result<Change, Fault>;
    /// Replaces the row when it still has `device.version`, and its secret with it.
    async fn change_secret(&self, device: &Device, secret: Bytes) -> Result<Change, Fault>;
    /// Notes connections in the rows, without a new version; the later time stays, and devices
    /// that are gone are passed over.
    async fn seen(&self, seen: Vec<Seen>) -> Result<(), Fault>;
    /// Removes the row and its secrets; false when there was none.
    async fn remove(&self, id: &IotId) -> Result<bool, Fault>;
    /// The rows of a product in order of creation, newest first, from the `skip`th on, and how
    /// many there are in all.
    async fn page(
        &self,
        product: &ProductKey,
        filter: &DeviceFilter,
        skip: u64,
        most: usize,
    ) -> Result<(Vec<Device>, u64), Fault>;
    /// How many devices there are.
    async fn count(&self, product: &ProductKey) -> Result<DeviceCount, Fault>;
}

/// Whose secret it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretId {
    /// A device's.
    Device(IotId),
    /// A product's.
    Product(ProductKey),
    /// An access key's.
    AccessKey(crate::id::AccessKeyId),
    /// One of the server's own, by name: data keys, the token key, the audit key.
    Server(String),
}

/// Secrets, sealed before they come here; the engine cannot read them.
#[async_trait]
pub trait Secrets: Send + Sync {
    /// Keeps `sealed` under `id`, in place of what was there.
    async fn put(&self, id: &SecretId, sealed: Bytes) -> Result<(), Fault>;
    /// Keeps `sealed` under `id` unless something is there; gives back what is there now.
    async fn put_new(&self, id: &SecretId, sealed: Bytes) -> Result<Bytes, Fault>;
    /// What was put.
    async fn find(&self, id: &SecretId) -> Result<Option<Bytes>, Fault>;
    /// Forgets it.
    async fn remove(&self, id: &SecretId) -> Result<(), Fault>;
}

/// What a history is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stream {
    /// Values of properties.
    Property,
    /// Events.
    Event,
    /// Service calls with their answers.
    Service,
}

/// One point of a history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The device.
    pub iot_id: IotId,
    /// The history.
    pub stream: Stream,
    /// Property, event or service.
    pub identifier: String,
    /// The kind, for events.
    pub kind: Option<EventKind>,
    /// The time that it is of.
    pub at: Time,
    /// The fact that it comes from; a point that is appended twice for one fact is kept once.
    pub position: Position,
    /// What is kept: a property's value, an event's output, `{input, output}` of a call.
    pub value: Value,
}

/// Which points are asked for.
#[derive(Clone, Debug)]
pub struct Range {
    /// The device.
    pub iot_id: IotId,
    /// The history.
    pub stream: Stream,
    /// Only of this property, event or service; needed for `Stream::Property`.
    pub identifier: Option<String>,
    /// Only events of this kind.
    pub kind: Option<EventKind>,
    /// From this time on (inclusive).
    pub from: Time,
    /// Up to this time (inclusive).
    pub to: Time,
    /// Oldest first, or newest first.
    pub oldest_first: bool,
    /// At most so many.
    pub most: usize,
}

/// Histories of what devices sent.
#[async_trait]
pub trait Series: Send + Sync {
    /// Keeps the points; a later point of a property becomes its latest value.
    async fn append(&self, points: Vec<Point>) -> Result<(), Fault>;
    /// The points asked for, ordered by time, then by position.
    async fn range(&self, range: &Range) -> Result<Vec<Point>, Fault>;
    /// The latest value of each property of the device, by identifier.
    async fn latest(&self, id: &IotId) -> Result<Vec<Point>, Fault>;
    /// Forgets all of the device.
    async fn forget(&self, id: &IotId) -> Result<(), Fault>;
    /// Forgets points of before `before`, at most `most`; gives back how many it was. Latest values
    /// stay, however old they are.
    async fn expire(&self, before: Time, most: usize) -> Result<u64, Fault>;
}

/// Whether a single-use thing was still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It was, and is used up now.
    Yes,
    /// It was not: never minted, of another owner, used, or too old.
    No,
}

/// Whether a token was seen before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burnt {
    /// It is new, and marked now.
    New,
    /// It was marked before.
    Seen,
}

/// Single-use things: a challenge handed out, a nonce or a timestamp already seen.
#[async_trait]
pub trait Nonces: Send + Sync {
    /// Remembers `token` for `owner` until `until`. Forgets in passing some that are too old.
    async fn mint(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<(), Fault>;
    /// Removes `token` if `owner` holds it and it is fresh; of two racing calls one sees `Yes`.
    async fn take(&self, token: &str, owner: &str, now: Time) -> Result<Taken, Fault>;
    /// Marks `token` of `owner` as seen until `until`; of two racing calls one sees `New`.
    async fn burn(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<Burnt, Fault>;
    /// As `burn`, and returns before the mark is on disk: until `settled` has returned `Ok`, nobody
    /// may be told of what rests on it, and nothing be changed. An engine whose marks do not go to
    /// disk in the order in which they are made waits here.
    async fn burn_ahead(
        &self,
        token: &str,
        owner: &str,
        now: Time,
        until: Time,
    ) -> Result<(Burnt, Position), Fault> {
        let burnt = self.burn(token, owner, now, until).await?;
        Ok((burnt, Position(0)))
    }
    /// Returns when a mark of `burn_ahead` is on disk. Whoever made another mark after it, and
    /// waited for that, finds it there.
    async fn settled(&self, _mark: Position, _now: Time) -> Result<(), Fault> {
        Ok(())
    }
}

/// Commands that wait for a device or for its answer.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Stores the order and gives it a number that no command still kept has. Refuses (`None`)
    /// when the device has `bound` commands waiting already.
    async fn push(
        &self,
        device: &DeviceKey,
        id: &IotId,
        order: &Order,
        created: Time,
        until: Time,
        bound: usize,
    ) -> Result<Option<Command>, Fault>;
    /// Commands of the device that are still `Waiting` and not too old, oldest first.
    async fn waiting(&self, id: &IotId, now: Time, most: usize) -> Result<Vec<Command>, Fault>;
    /// The command, while it is kept.
    async fn find(&self, id: &IotId, command: CommandId) -> Result<Option<Command>, Fault>;
    /// Marks the command as handed to the device; false when it was so before, or is gone.
    async fn sent(&self, id: &IotId, command: CommandId) -> Result<bool, Fault>;
    /// Ends the command and gives it back; of two racing answers one sees the command.
    async fn done(
        &self,
        id: &IotId,
        command: CommandId,
        answer: &Answer,
    ) -> Result<Option<Command>, Fault>;
    /// Forgets commands whose time is before `now`, at most `most`; gives back how many it was.
    async fn expire(&self, now: Time, most: usize) -> Result<u64, Fault>;
}

/// A live connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The node that holds the socket.
    pub node: NodeId,
    /// The connection.
    pub session: SessionId,
    /// Since when.
    pub since: Time,
}

/// Who is connected where.
#[async_trait]
pub trait Presence: Send + Sync {
    /// Notes that the device, which is of `product`, is at `place`; gives back where it was until
    /// now.
    async fn arrive(
        &self,
        id: &IotId,
        product: &ProductKey,
        place: Place,
    ) -> Result<Option<Place>, Fault>;
    /// Notes that the connection ended; false when the device is elsewhere already.
    async fn leave(&self, id: &IotId, session: SessionId) -> Result<bool, Fault>;
    /// Where the device is.
    async fn find(&self, id: &IotId) -> Result<Option<Place>, Fault>;
    /// How many devices of a product are connected.
    async fn online(&self, product: &ProductKey) -> Result<u64, Fault>;
}

/// Facts in order, durable before `append` returns.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Appends the fact and returns once it is on disk. Facts of one caller keep their order.
    /// Many callers share one sync; the queue before it is bounded, a full one makes callers wait.
    async fn append(&self, fact: Fact) -> Result<Position, Fault>;
    /// Puts the fact in line and does not wait for the disk: it is written with the next fact that
    /// somebody waits for, or soon by itself, and again for as long as the disk refuses it. It
    /// keeps its order with the other facts of its caller. The queue is the same bounded one. For
    /// facts that acknowledge nothing to anybody: one that is in line when the process is killed is
    /// gone. After a write that failed it waits like `append`, and fails like it.
    async fn note(&self, fact: Fact) -> Result<(), Fault>;
    /// Returns once all that was noted before is on disk.
    async fn settled(&self) -> Result<(), Fault>;
    /// Facts after `after`, in order. Fewer than `most` when they are large; none when, and only
    /// when, there are none.
    async fn read(&self, after: Position, most: usize) -> Result<Vec<(Position, Fact)>, Fault>;
    /// The last position that is on disk.
    fn head(&self) -> Position;
    /// Returns when `head` is past `after`.
    async fn grown(&self, after: Position);
    /// Keeps a reader's position: it has done all up to here.
    async fn keep(&self, reader: &str, position: Position) -> Result<(), Fault>;
    /// The position that a reader kept; 0 when it never did.
    async fn kept(&self, reader: &str) -> Result<Position, Fault>;
    /// Forgets facts up to `until`, at most `most`; gives back how many it was.
    async fn trim(&self, until: Position, most: usize) -> Result<u64, Fault>;
}

/// A word to the node that holds a connection.
#[derive(Clone, Debug, PartialEq)]
pub enum Signal {
    /// A command is stored for the device; look for what waits.
    CommandsWait {
        /// The device.
        iot_id: IotId,
    },
    /// End the connection.
    Close {
        /// The device.
        iot_id: IotId,
        /// This connection; any when none is named.
        session: Option<SessionId>,
        /// Why.
        reason: CloseReason,
    },
    /// Hand a message to one device, at QoS 0, on the first of these topics to which it listens.
    Call {
        /// The device.
        iot_id: IotId,
        /// The topics.
        topics: Vec<String>,
        /// The payload.
        payload: Bytes,
    },
    /// Hand a message to subscribers.
    Publish {
        /// To whom.
        to: Audience,
        /// The topic.
        topic: String,
        /// The payload.
        payload: Bytes,
        /// 0 or 1.
        qos: u8,
        /// Whether an implicit subscription of one device covers it.
        system: bool,
    },
    /// Tell a gateway what became of its sub-devices.
    Notice {
        /// The gateway.
        iot_id: IotId,
        /// The news.
        notice: Notice,
    },
}

/// Who gets a published message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audience {
    /// One device, if it subscribes to the topic.
    Device(IotId),
    /// Every device of the product that subscribes to the topic.
    Product(ProductKey),
}

/// Why the server ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseReason {
    /// The same device connected again.
    TakenOver,
    /// The device was disabled.
    Disabled,
    /// The device was deleted.
    Deleted,
    /// Its credential was reset.
    CredentialReset,
    /// It was a sub-device, and its gateway may not speak for it any more.
    Unbound,
    /// The server stops.
    Stopping,
}

/// What a node is sent, and who waits until it is done.
#[derive(Debug)]
pub struct Word {
    /// What is to be done.
    pub signal: Signal,
    /// Who waits for it.
    pub done: Option<oneshot::Sender<Result<(), Fault>>>,
}

impl Word {
    /// A word, and where its answer comes.
    #[must_use]
    pub fn awaited(signal: Signal) -> (Self, oneshot::Receiver<Result<(), Fault>>) {
        let (done, answer) = oneshot::channel();
        let done = Some(done);
        (Self { signal, done }, answer)
    }
}

impl From<Signal> for Word {
    /// A word for which nobody waits.
    fn from(signal: Signal) -> Self {
        Self { signal, done: None }
    }
}

/// Words between nodes. A signal that gets lost with its node harms nothing: commands are stored,
/// and who must know waits.
#[async_trait]
pub trait Bus: Send + Sync {
    /// This node's name.
    fn node(&self) -> NodeId;
    /// Sends to one node.
    async fn send(&self, node: &NodeId, signal: Signal) -> Result<(), Fault>;
    /// Sends to all nodes, this one too.
    async fn send_all(&self, signal: Signal) -> Result<(), Fault>;
    /// Sends to one node, or to all, and returns when each has done it, so that it outlives the
    /// node's end. A fault when one says that it could not, or says nothing for 10 seconds.
    async fn send_and_wait(&self, node: Option<&NodeId>, signal: Signal) -> Result<(), Fault>;
    /// What is sent to this node from now on; taken once, at start (`None` afterwards). Who takes
    /// a word answers it when its signal is done.
    fn receive(&self) -> Option<mpsc::Receiver<Word>>;
}

/// A log of opaque records with one appender: what must be known again after the process ended
/// anyhow, and is too quick and too short-lived for rows. It belongs to a node.
#[async_trait]
pub trait Log: Send + Sync {
    /// Takes a record of at most 128 MiB and gives back its position, one more than that of the
    /// record before it. Does not wait: the record is on disk when `synced` has reached it.
    /// Records get there in their order; those that the disk refuses are tried again until it
    /// takes them. Whoever appends looks at `backlog` and slows down, as nobody else can.
    fn append(&self, record: Vec<u8>) -> Position;
    /// The last position that was given; 0 when none was ever.
    fn head(&self) -> Position;
    /// The position up to which all is on disk.
    fn synced(&self) -> Position;
    /// Returns when `synced` is at `position` or past it.
    async fn reached(&self, position: Position);
    /// Bytes that were appended and are not on disk.
    fn backlog(&self) -> u64;
    /// Why the disk did not take the last write; none while it takes them.
    fn trouble(&self) -> Option<Fault>;
    /// Shows every record that is kept and on disk, in order. Blocks.
    fn replay(&self, visit: &mut Visit<'_>) -> Result<(), Fault>;
    /// Forgets records before `position`, as far as that frees files; others are shown by
    /// `replay` still.
    async fn forget_before(&self, position: Position) -> Result<(), Fault>;
    /// Bytes on disk.
    fn size(&self) -> u64;
}

/// What `Log::replay` shows a record to.
pub type Visit<'a> = dyn FnMut(Position, &[u8]) -> Result<(), Fault> + 'a;

/// The audit log. The hub chains the lines; the engine keeps them in order without gaps.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Appends lines whose numbers follow the last one kept; `Conflict` when they do not.
    async fn append(&self, records: Vec<AuditRecord>) -> Result<Change, Fault>;
    /// The last line.
    async fn last(&self) -> Result<Option<AuditRecord>, Fault>;
    /// Lines after `after`, in order.
    async fn page(&self, after: u64, most: usize) -> Result<Vec<AuditRecord>, Fault>;
}

/// A file that is being written; dropped before `finish`, it never was.
#[async_trait]
pub trait BlobWriter: Send {
    /// Adds bytes at the end.
    async fn write(&mut self, bytes: Bytes) -> Result<(), Fault>;
    /// Makes the file be there under its name, whole and on disk.
    async fn finish(self: Box<Self>) -> Result<(), Fault>;
}

/// Files that are written once and read often: firmware, documents for devices. A name is 1 to 64
/// lower-case letters, digits and `-`; a file does not change once it is there.
#[async_trait]
pub trait Blobs: Send + Sync {
    /// Begins a file; it is there once its writer has finished, in place of one of that name.
    async fn create(&self, name: &str) -> Result<Box<dyn BlobWriter>, Fault>;
    /// How many bytes it has; none when there is no such file.
    async fn size(&self, name: &str) -> Result<Option<u64>, Fault>;
    /// Its bytes from `from` on, at most `most`; fewer only at its end.
    async fn read(&self, name: &str, from: u64, most: usize) -> Result<Bytes, Fault>;
    /// Forgets it; false when it was not there.
    async fn remove(&self, name: &str) -> Result<bool, Fault>;
}

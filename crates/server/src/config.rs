//! What an operator may choose, where each choice comes from, and whether it can work.
//!
//! Built-in defaults < file < environment < flags. [`Config::load`] reads them all and either gives
//! a configuration that can work or every problem at once, each with its key, its source and what
//! to write instead.

mod check;
mod engine;
mod mail;
mod print;
mod source;

pub use check::{Problem, Problems};
pub use engine::{Bucket, Engine, Postgres};
pub use mail::{Mail, MailLanguage, MailTls};
pub use source::{Choices, Loaded};

use hub::limits::Limits;
use serde::{Deserialize, Serialize};
use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroU16,
    path::PathBuf,
};

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The folder that holds everything this server keeps.
    pub data: PathBuf,
    /// The name of this server, for logs and for a cluster.
    pub node: String,
    /// Where the registry and the histories are kept: `embedded` or a `postgres://` address.
    pub store: Engine,
    /// How a PostgreSQL database is used.
    pub postgres: Postgres,
    /// Where files are kept, when that is not the data folder.
    pub bucket: Bucket,
    /// The sockets.
    pub listen: Listen,
    /// Certificates and versions.
    pub tls: Tls,
    /// Where devices and people reach this server, when that is not what it listens on.
    pub public: Public,
    /// What is refused unless it is turned on here.
    pub security: Security,
    /// How the application API answers.
    pub api: Api,
    /// Where the key that seals all secrets comes from.
    pub master_key: MasterKey,
    /// A token in which keys of identities (ID²) are used.
    pub pkcs11: Pkcs11,
    /// Bounds of the product.
    pub limits: Limits,
    /// Bounds of the sockets.
    pub sockets: Sockets,
    /// What is logged, and how.
    pub log: Log,
    /// When the server calls itself ready.
    pub ready: Ready,
    /// Who may read the counters.
    pub metrics: Metrics,
    /// How mail is sent.
    pub mail: Mail,
}

/// The listening sockets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    /// MQTT and WebSocket, in clear or (recognised by the first byte) over TLS.
    pub mqtt: Socket,
    /// MQTT and WebSocket over TLS only.
    pub mqtts: Socket,
    /// HTTP and WebSocket in clear.
    pub http: Socket,
    /// HTTP, WebSocket and MQTT over TLS only.
    pub https: Socket,
    /// MQTT for clients that are no devices, with a topic tree of their own; off by default.
    pub plain: Plain,
    /// MQTT over iTLS, for devices with an ID² that speak nothing newer; off by default.
    pub itls: Socket,
}

impl Listen {
    /// Every socket with its name.
    pub fn all(&self) -> [(&'static str, Socket); 6] {
        [
            ("mqtt", self.mqtt),
            ("mqtts", self.mqtts),
            ("http", self.http),
            ("https", self.https),
            ("plain", self.plain.socket()),
            ("itls", self.itls),
        ]
    }
}

/// The plain listener: MQTT and WebSocket for clients that are no devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether it is not opened at all.
    pub off: bool,
    /// Whether TLS is spoken.
    pub tls: PlainTls,
    /// Whether a client may come without a user name.
    pub anonymous: bool,
    /// A file with a line `user:hash` for each user, as `muster plain passwd` writes it.
    pub password_file: Option<PathBuf>,
    /// Topic filters whose topics nobody may publish or subscribe to.
    pub refuse: Vec<String>,
    /// QoS 1 and 2 messages of a client that may be unanswered at once.
    pub receive_maximum: NonZeroU16,
    /// Bytes of a packet.
    pub maximum_packet_size: u32,
    /// Topic aliases that a client may use; 0 for none.
    pub topic_alias_maximum: u16,
    /// The longest keep alive in seconds for clients of MQTT 5; 0 takes what they ask for.
    pub server_keep_alive: u16,
    /// The highest QoS.
    pub maximum_qos: u8,
    /// Whether messages may be retained.
    pub retain_available: bool,
    /// How long a session is kept for a client that is away, in seconds.
    pub session_expiry_maximum: u32,
    /// Whether a client without a client id gets one.
    pub assign_client_ids: bool,
    /// A topic under which clients that ask may have their answers.
    pub response_information: Option<String>,
    /// Whether subscriptions may have wildcards.
    pub wildcard_subscriptions: bool,
    /// Whether subscriptions may have identifiers.
    pub subscription_identifiers: bool,
    /// Whether subscriptions may be shared.
    pub shared_subscriptions: bool,
}

impl Plain {
    /// Its address, and whether it is off.
    pub fn socket(&self) -> Socket {
        Socket {
            address: self.address,
            off: self.off,
        }
    }

    /// Whether everybody may come in, from other machines too.
    pub fn is_open_to_strangers(&self) -> bool {
        !self.off && self.anonymous && !self.address.ip().is_loopback()
    }
}

impl Default for Plain {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 1884)),
            off: true,
            tls: PlainTls::Recognised,
            anonymous: false,
            password_file: None,
            refuse: Vec::new(),
            receive_maximum: NonZeroU16::new(256).expect("not zero"),
            maximum_packet_size: 1024 * 1024,
            topic_alias_maximum: 16,
            server_keep_alive: 0,
            maximum_qos: 2,
            retain_available: true,
            session_expiry_maximum: 24 * 60 * 60,
            assign_client_ids: true,
            response_information: None,
            wildcard_subscriptions: true,
            subscription_identifiers: true,
            shared_subscriptions: true,
        }
    }
}

/// Whether the plain listener speaks TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PlainTls {
    /// Never.
    Off,
    /// Always.
    On,
    /// As the client likes, which is seen from its first byte.
    Recognised,
}

/// One listening socket.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Socket {
    /// Address and port; port 0 takes a free one.
    pub address: SocketAddr,
    /// Whether it is not opened at all.
    pub off: bool,
}

/// Certificates and versions of TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the server's RSA certificate, then those that lead to the root. Without it
    /// the server makes a certificate authority of its own in the data folder.
    pub certificate: Option<PathBuf>,
    /// PEM file with its key, not encrypted.
    pub key: Option<PathBuf>,
    /// PEM file with an ECDSA certificate that newer clients may prefer.
    pub ecdsa_certificate: Option<PathBuf>,
    /// PEM file with its key, not encrypted.
    pub ecdsa_key: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub min_version: MinVersion,
    /// Whether the port for MQTT in clear takes TLS too, which it sees from a client's first byte.
    pub on_mqtt_port: bool,
    /// Further host names and IP addresses for the certificate that the server makes itself,
    /// beside `localhost`, the loopback addresses and the machine's name.
    pub names: Vec<String>,
}

/// The oldest TLS version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinVersion {
    /// For devices that know nothing newer; weak.
    #[serde(rename = "1.0")]
    V1_0,
    /// For devices that know nothing newer; weak.
    #[serde(rename = "1.1")]
    V1_1,
    /// The default.
    #[serde(rename = "1.2")]
    V1_2,
}

/// What devices and people are told of where this server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Public {
    /// Host name or address; without it, what a client itself called us.
    pub host: Option<String>,
    /// Port for MQTT in clear; without it, the one listened on.
    pub mqtt_port: Option<u16>,
    /// Port for MQTT over TLS; without it, the one listened on.
    pub mqtts_port: Option<u16>,
    /// Port for HTTP; without it, the one listened on.
    pub http_port: Option<u16>,
    /// Port for HTTPS; without it, the one listened on.
    pub https_port: Option<u16>,
    /// Where devices fetch firmware and documents, as scheme, host and port; without it, the HTTPS
    /// listener (or else the HTTP one) under `host` or the name of the machine.
    pub download_url: Option<String>,
}

/// What is refused unless it is turned on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    /// Whether devices may authenticate and register over HTTP in clear. The source documents
    /// allow HTTPS only (seed 001 §3.2).
    pub insecure_device_http: bool,
    /// Whether the admin API takes an access key's secret over HTTP in clear.
    pub insecure_admin_http: bool,
}

/// How the application API answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// How numbers and truth values stand in JSON answers of the API of ID².
    pub json_scalars: JsonScalars,
}

/// Seed 000 has both: its tables say one, its examples print the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JsonScalars {
    /// As numbers and truth values.
    Native,
    /// As strings.
    String,
}

/// Where the master key comes from: 64 hex digits in a file or in an environment variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MasterKey {
    /// The file; without one and without `env` it is `master.key` in the data folder, made at the
    /// first start.
    pub file: Option<PathBuf>,
    /// The name of the environment variable.
    pub env: Option<String>,
}

/// A PKCS#11 token: a hardware module, or what stands in for one. All three or none are set; with
/// them, products that say nothing else keep the keys of new identities under a key of the token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pkcs11 {
    /// The token's library, such as `/usr/lib/softhsm/libsofthsm2.so`.
    pub module: Option<PathBuf>,
    /// The token's label.
    pub token: Option<String>,
    /// A file with the PIN of the token's user; read again whenever the token is opened.
    pub pin_file: Option<PathBuf>,
}

/// Bounds that keep one client from harming the others. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sockets {
    /// Sockets open at once.
    pub connections: usize,
    /// From the accepted socket to a complete CONNECT or HTTP request head.
    pub hello: u64,
    /// Bytes that wait to be written to one connection.
    pub outgoing: usize,
    /// Bytes of messages that all connections together may hold; beyond it new clients are told
    /// that the server is busy, and who would hold more is cut off.
    pub memory: usize,
    /// How long a client may leave those bytes unread, or a long packet half sent.
    pub stall: u64,
    /// Messages that one device may have in work at once.
    pub window: usize,
    /// QoS 1 messages that wait for one device.
    pub queue: usize,
    /// Bytes of payload that wait for one device.
    pub queue_bytes: usize,
    /// What happens to a message for a device whose queue is full.
    pub overflow: Overflow,
    /// Bytes of messages that wait, over all sessions.
    pub sessions_bytes: usize,
    /// Bytes of the log of sessions from which on it is written anew, once less than half of it is
    /// alive.
    pub sessions_log: u64,
    /// Retained messages.
    pub retained: usize,
    /// Their bytes.
    pub retained_bytes: usize,
    /// Sessions kept for devices that are away.
    pub sessions: usize,
    /// How long they are kept.
    pub session_life: u64,
    /// Topic filters of one session.
    pub filters: usize,
    /// Failed logins a minute under one name before answers to further ones come late.
    pub failures: u32,
    /// Failed logins a minute from one address before answers to further ones come late.
    pub address_failures: u32,
    /// Bytes of HTTP request bodies that are read at once, over all connections.
    pub body_memory: usize,
    /// How long the body of an HTTP request may take.
    pub body: u64,
    /// How long a stop waits for connections to end.
    pub stop: u64,
    /// Downloads at once; more are told to come again.
    pub downloads: usize,
    /// Bytes a second of one download.
    pub download_rate: u64,
    /// Bytes a second of all downloads together.
    pub downloads_rate: u64,
    /// Uploads of firmware at once; more are told to come again.
    pub uploads: usize,
}

/// What happens to a message that finds the queue of a session full.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overflow {
    /// Its publisher is told so and nobody gets it: MQTT 5 has a reason for that, older
    /// connections are closed, and the client sends the message again.
    Refuse,
    /// The one that waits longest goes.
    DropOldest,
    /// The new one goes.
    DropNewest,
}

/// What is logged, and how. Logs go to stderr.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug` or `trace`; or by room, such as `info,access=debug`.
    pub level: String,
}

/// When `/readyz` says yes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// Bytes that must be free on the disk of the data folder; on a small disk a twentieth of it
    /// is enough.
    pub room: u64,
    /// Facts that the histories may be behind the journal.
    pub behind: u64,
    /// How long a server that is told to stop goes on serving while it calls itself not ready, in
    /// milliseconds, so that balancers look elsewhere first.
    pub drain: u64,
}

/// Who may read `/metrics`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metrics {
    /// Who.
    pub to: MetricsTo,
}

/// Who may read the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MetricsTo {
    /// Who reaches an HTTP listener.
    Everybody,
    /// Who comes from this machine.
    Loopback,
    /// Who shows an access key with the right `muster:ReadMetrics`.
    Keys,
    /// Who may open the data folder's socket.
    Local,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    Text,
    /// A JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        let on = |port| Socket {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)),
            off: false,
        };
        Self {
            data: "muster-data".into(),
            node: "muster".into(),
            store: Engine::Embedded,
            postgres: Postgres::default(),
            bucket: Bucket::default(),
            listen: Listen {
                mqtt: on(1883),
                mqtts: on(8883),
                http: on(8080),
                https: on(8443),
                plain: Plain::default(),
                itls: Socket {
                    off: true,
                    ..on(1886)
                },
            },
            tls: Tls {
                certificate: None,
                key: None,
                ecdsa_certificate: None,
                ecdsa_key: None,
                min_version: MinVersion::V1_2,
                on_mqtt_port: true,
                names: Vec::new(),
            },
            public: Public {
                host: None,
                mqtt_port: None,
                mqtts_port: None,
                http_port: None,
                https_port: None,
                download_url: None,
            },
            security: Security {
                insecure_device_http: false,
                insecure_admin_http: false,
            },
            api: Api {
                json_scalars: JsonScalars::Native,
            },
            master_key: MasterKey {
                file: None,
                env: None,
            },
            pkcs11: Pkcs11 {
                module: None,
                token: None,
                pin_file: None,
            },
            limits: Limits::default(),
            sockets: Sockets {
                connections: 100_000,
                hello: 10_000,
                outgoing: 1024 * 1024,
                memory: 512 * 1024 * 1024,
                stall: 30_000,
                window: 64,
                queue: 1_000,
                queue_bytes: 1024 * 1024,
                overflow: Overflow::DropOldest,
                sessions_log: 32 * 1024 * 1024,
                sessions_bytes: 1024 * 1024 * 1024,
                retained: 10_000,
                retained_bytes: 64 * 1024 * 1024,
                sessions: 100_000,
                session_life: 24 * 60 * 60 * 1000,
                filters: 500,
                failures: 30,
                address_failures: 300,
                body_memory: 256 * 1024 * 1024,
                body: 30_000,
                stop: 10_000,
                downloads: 256,
                download_rate: 16 << 20,
                downloads_rate: 128 << 20,
                uploads: 16,
            },
            log: Log {
                format: LogFormat::Text,
                level: "info,fjall=warn,lsm_tree=warn".into(),
            },
            ready: Ready {
                room: 256 * 1024 * 1024,
                behind: 1_000_000,
                drain: 0,
            },
            metrics: Metrics {
                to: MetricsTo::Everybody,
            },
            mail: Mail::default(),
        }
    }
}

impl Config {
    /// A configuration for tests and trials: everything on free ports of the loopback address.
    pub fn on_free_ports(data: impl Into<PathBuf>) -> Self {
        let free = Socket {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            off: false,
        };
        Self {
            data: data.into(),
            listen: Listen {
                mqtt: free,
                mqtts: free,
                http: free,
                https: free,
                plain: Plain {
                    address: free.address,
                    ..Plain::default()
                },
                itls: Socket { off: true, ..free },
            },
            ..Self::default()
        }
    }

    /// Reads all sources and checks what they say together.
    ///
    /// # Errors
    /// Every problem that was found.
    pub fn load(choices: &Choices) -> Result<Loaded, Problems> {
        let loaded = source::merge(choices)?;
        let problems = check::check(&loaded, choices);
        if problems.is_empty() {
            Ok(loaded)
        } else {
            Err(Problems(problems))
        }
    }
}

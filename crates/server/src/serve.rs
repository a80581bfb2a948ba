//! The rooms put together: start, run, stop.

use crate::{
    admin::{
        self, About, Admin, Local,
        watch::{metrics, readyz},
    },
    backup,
    config::{self, Config, JsonScalars, PlainTls, Socket},
    download,
    engine::{self, SystemRandom, WallClock},
    first_start::{self, FirstStart},
    http::{Front, stopped},
    itls::Shaker,
    mail::Poster,
    plain,
    ready::{Phase, Ready},
    scanner::Scanner,
    token::{Place, Token},
};
use access::{
    Access, Bounds, HttpService, Keep, Listener, Overflow, Security, Settings, Speaks, tls::Tls,
};
use aliyun::{device::Alink, itls::Itls};
use axum::{Router, routing::get};
use futures_util::future::BoxFuture;
use hub::{Hub, HubStartError, edge::Dialect};
use model::{
    error::{AccountError, Fault},
    port::{Clock, Log, Ports, Random},
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use socket2::{Domain, Protocol, Type};
use std::{
    fs, io,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};
use store::{Store, backup::Copier};
use tokio::{
    net::UnixListener,
    sync::{Semaphore, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval, timeout},
};

/// How often what is too old is looked for.
const SWEEP: Duration = Duration::from_secs(60);
/// The file that tells where a running server listens.
pub(crate) const INFO: &str = "server.json";
/// The socket of the local operator.
pub(crate) const SOCKET: &str = "admin.sock";

/// Where the listeners listen; none for those that are off.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Addresses {
    /// MQTT.
    #[schema(value_type = Option<String>)]
    pub mqtt: Option<SocketAddr>,
    /// MQTT over TLS.
    #[schema(value_type = Option<String>)]
    pub mqtts: Option<SocketAddr>,
    /// HTTP.
    #[schema(value_type = Option<String>)]
    pub http: Option<SocketAddr>,
    /// HTTPS.
    #[schema(value_type = Option<String>)]
    pub https: Option<SocketAddr>,
    /// MQTT for clients that are no devices.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub plain: Option<SocketAddr>,
    /// MQTT over iTLS.
    #[schema(value_type = Option<String>)]
    #[serde(default)]
    pub itls: Option<SocketAddr>,
}

impl Addresses {
    /// Every listener with its address.
    pub fn all(&self) -> [(&'static str, Option<SocketAddr>); 6] {
        [
            ("mqtt", self.mqtt),
            ("mqtts", self.mqtts),
            ("http", self.http),
            ("https", self.https),
            ("plain", self.plain),
            ("itls", self.itls),
        ]
    }
}

/// Why a server does not start; each says how to mend it.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data folder.
    #[error("the data folder {}: {error}\n    → name a folder that this user may write, with --data", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The data in it.
    #[error("{0}")]
    Store(Fault),
    /// The key that seals all secrets.
    #[error("the master key: {0}")]
    MasterKey(String),
    /// Certificates.
    #[error("TLS: {0}")]
    Tls(String),
    /// The hub.
    #[error(transparent)]
    Hub(#[from] HubStartError),
    /// The first account.
    #[error("the first account: {0}")]
    Account(#[from] AccountError),
    /// The plain listener's password file.
    #[error("listen.plain.password_file: {0}")]
    Plain(String),
    /// A listener.
    #[error(
        "listening: {0}\n    → stop what uses the address, or set another one: --set listen.mqtt.address=0.0.0.0:1884, or --set listen.mqtt.off=true"
    )]
    Listen(io::Error),
    /// The socket of the local operator.
    #[error("the socket {}: {error}\n    → choose a data folder with a shorter path or other rights, with --data", path.display())]
    Socket {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
}

/// A server that runs.
pub struct Running {
    /// What the owner is told once; none when this was not the first start.
    pub first_start: Option<FirstStart>,
    addresses: Addresses,
    hub: Arc<Hub>,
    access: access::Running,
    ready: Arc<Ready>,
    tls: Arc<Tls>,
    drain: Duration,
    front: Arc<Front>,
    local: Arc<Front>,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    data: PathBuf,
    patience: Duration,
}

/// Starts a server with the machine's clock and random bytes.
///
/// # Errors
/// `StartError`.
pub async fn start(config: Config) -> Result<Running, StartError> {
    start_with(config, Arc::new(WallClock), Arc::new(SystemRandom)).await
}

/// Starts a server with a clock and a source of random bytes of the caller's.
///
/// # Errors
/// `StartError`.
pub async fn start_with(
    config: Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<Running, StartError> {
    let started = clock.now();
    let (ports, copier, log) = open(&config, clock.clone(), random.clone()).await?;
    // Not whether there is a folder: a first start that was cut short left one without a key.
    let sealed = hub::vault::in_use(&ports)
        .await
        .map_err(StartError::Store)?;
    let master_key = first_start::settled_master_key(&config, sealed, &ports)
        .await
        .map_err(StartError::MasterKey)?;
    let (tls_settings, _) = first_start::tls(&config, started).map_err(StartError::Tls)?;
    let tls = Tls::new(&tls_settings).map_err(|error| StartError::Tls(error.to_string()))?;
    let tls = Arc::new(tls);
    let hub = Hub::open(ports.clone(), config.limits.clone(), master_key).await?;
    if let Some(place) = Place::of(&config.pkcs11) {
        // A token that is away stops nobody who does not need it.
        hub.id2_keeper(Arc::new(Token::new(place)));
    }
    let hub = Arc::new(hub);
    hub.version_index().await.map_err(StartError::Store)?;

    let reserved = reserve(&config).map_err(StartError::Listen)?;
    let addresses = reserved.addresses.clone();
    hub.links_at(first_start::download_url(
        &config,
        addresses.https,
        addresses.http,
    ));
    let ready = Arc::new(Ready::new(
        hub.clone(),
        ports.clone(),
        config.data.clone(),
        config.ready.clone(),
    ));
    let scanner = Arc::new(Scanner {
        hub: hub.clone(),
        vulns: config.data.join("vulns"),
        yara: config.data.join("yara"),
        memory: config.limits.scan_memory >> 20,
        timeout: (config.limits.scan_time / 1000).unsigned_abs(),
        stale: tokio::sync::Notify::new(),
        turn: tokio::sync::Mutex::new(()),
    });
    let stop = watch::Sender::new(false);
    let sessions = Arc::new(OnceLock::new());
    let admin = Admin {
        hub: hub.clone(),
        ready: ready.clone(),
        metrics_to: config.metrics.to,
        backup: Arc::new(backup_source(&config, copier, ready.clone())),
        backup_turn: Arc::new(Semaphore::new(1)),
        scanner: scanner.clone(),
        ports: ports.clone(),
        insecure: config.security.insecure_admin_http,
        sessions: sessions.clone(),
        about: Arc::new(About {
            node: config.node.clone(),
            started,
            addresses: addresses.clone(),
        }),
    };
    let alink = Arc::new(Alink::new(
        hub.clone(),
        device_settings(&config, &addresses),
    ));
    let own = own_routes(admin);
    let scalars = match config.api.json_scalars {
        JsonScalars::Native => aliyun::pop::Scalars::Native,
        JsonScalars::String => aliyun::pop::Scalars::Text,
    };
    let all = own
        .clone()
        .merge(aliyun::device::http::routes(alink.clone()))
        .merge(aliyun::pop::routes_with(hub.clone(), scalars))
        .merge(download::routes(hub.clone(), &config.sockets));
    let body = Duration::from_millis(config.sockets.body);
    let (memory, uploads) = (config.sockets.body_memory, config.sockets.uploads);
    let front = Front::new(all, memory, body, uploads);
    let local = Front::new(own, memory, body, uploads);

    // The operator's socket first: it refuses paths that are too long before anybody is let in.
    let path = config.data.join(SOCKET);
    let socket = operators_socket(&path).map_err(|error| StartError::Socket { path, error })?;
    let serving = front.clone();
    let service: HttpService = Arc::new(move |stream, peer| -> BoxFuture<'static, ()> {
        Box::pin(serving.clone().serve(stream, peer))
    });
    // Readers before writers: what devices post is taken up from the first fact on.
    let mut tasks = JoinSet::new();
    tasks.spawn(hub.clone().history_run(stop.subscribe()));
    tasks.spawn(ready.clone().watch(stop.subscribe()));
    let settings = Settings {
        listeners: listeners(&config, &addresses, &tls, &hub, &random)?,
        http: Some(service),
        bounds: bounds(&config),
        keep: Some(Keep {
            log,
            clock: clock.clone(),
            renew: config.sockets.sessions_log,
        }),
    };
    let dialects: Vec<Arc<dyn Dialect>> = vec![alink];
    let access =
        Access::start(hub.clone(), &*ports.bus, dialects, settings).map_err(StartError::Listen)?;
    drop(reserved);
    // Set here alone, so it is the first time.
    let _ = sessions.set(access.sessions());

    tasks.spawn(sweep(
        hub.clone(),
        config.clone(),
        tls.clone(),
        stop.subscribe(),
    ));
    tasks.spawn(hub.clone().ota_run(stop.subscribe()));
    tasks.spawn(scanner.clone().keep_matched(stop.subscribe()));
    tasks.spawn(scanner.run(stop.subscribe()));
    let poster = Poster {
        hub: hub.clone(),
        mail: config.mail.clone(),
    };
    tasks.spawn(poster.run(stop.subscribe()));
    tasks.spawn(operators(socket, local.clone(), stop.subscribe()));

    // Late, because a secret that is shown once must not get lost with a start that fails; and
    // before anybody is told that we are ready, because the operator acts for this account.
    let found = hub.account_found().await?;
    ready.enter(Phase::Serving);
    let info = config.data.join(INFO);
    if let Err(error) = tell(&info, &config, &addresses) {
        tracing::error!(%error, path = %info.display(), "where we listen could not be written");
    }
    let first_start = found.map(|new| FirstStart {
        url: first_start::url(&config, addresses.https, addresses.http),
        ca: first_start::ca(&config),
        access_key_id: new.key.id.to_string(),
        access_key_secret: new.secret,
        data: config.data.clone(),
    });
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        data = %config.data.display(),
        "ready"
    );
    Ok(Running {
        first_start,
        addresses,
        hub,
        access,
        ready,
        tls,
        drain: Duration::from_millis(config.ready.drain),
        front,
        local,
        stop,
        tasks,
        data: config.data,
        patience: Duration::from_millis(config.sockets.stop),
    })
}

impl Running {
    /// Where the listeners listen, with the ports that they got.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The hub, for tests that look behind the doors.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Stops: nobody is let in any more, requests come to their end, sessions are told, and what
    /// was acknowledged is on disk (as it was before). When it returns, the data folder is free for
    /// another process.
    ///
    /// In order: `/readyz` says no, and for `ready.drain` that is all; listeners close; requests
    /// and sessions end, devices with MQTT 5 are told why; what works behind them ends; the
    /// engines sync and close. Gives back whether all ended in time.
    pub async fn stop(self) -> bool {
        let Self {
            hub,
            access,
            ready,
            tls: _,
            drain,
            front,
            local,
            stop,
            mut tasks,
            data,
            patience,
            addresses: _,
            first_start: _,
        } = self;
        tracing::info!("stopping");
        ready.enter(Phase::Stopping);
        if !drain.is_zero() {
            tokio::time::sleep(drain).await;
        }
        let _ = fs::remove_file(data.join(INFO));
        front.stop();
        access.stop().await;
        // Last, so that the operator sees the devices leave.
        local.stop();
        stop.send_replace(true);
        let mut orderly = true;
        let ended = async { while tasks.join_next().await.is_some() {} };
        if timeout(patience, ended).await.is_err() {
            tracing::warn!("some work did not end in time");
            orderly = false;
            tasks.shutdown().await;
        }
        let _ = fs::remove_file(data.join(SOCKET));
        drop((hub, ready, front, local));
        if timeout(patience, let_go(&data)).await.is_err() {
            tracing::warn!("the data folder is still in use");
            orderly = false;
        }
        tracing::info!(orderly, "stopped");
        orderly
    }

    /// Reads certificates and keys again, from the places that `config` names now. Connections
    /// stay; handshakes from now on use what was read.
    ///
    /// # Errors
    /// In words; then all is as it was.
    pub fn reload(&self, config: &Config) -> Result<(), String> {
        let (settings, _) = first_start::tls(config, self.hub.now())?;
        self.tls
            .reload(&settings)
            .map_err(|error| error.to_string())
    }
}

/// Waits for the engine to let its folder go: threads of its own end after the last caller has.
async fn let_go(data: &Path) {
    let mut tick = interval(Duration::from_millis(5));
    while let Ok(lock) = fs::File::open(data.join("lock")) {
        if lock.try_lock().is_ok() {
            return;
        }
        tick.tick().await;
    }
}

async fn open(
    config: &Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Result<(Ports, Arc<Copier>, Arc<dyn Log>), StartError> {
    let folder = |error| StartError::Folder {
        path: config.data.clone(),
        error,
    };
    first_start::private_folder(&config.data).map_err(folder)?;
    let store = engine::open(config).await.map_err(StartError::Store)?;
    let (copier, log) = (store.copier.clone(), store.sessions.clone());
    Ok((ports(store, clock, random), copier, log))
}

/// The engine with time and chance beside it.
pub(crate) fn ports(store: Store, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Ports {
    Ports {
        catalog: store.catalog,
        devices: store.devices,
        secrets: store.secrets,
        series: store.series,
        nonces: store.nonces,
        commands: store.commands,
        presence: store.presence,
        journal: store.journal,
        bus: store.bus,
        audit: store.audit,
        archive: store.archive,
        blobs: store.blobs,
        clock,
        random,
    }
}

/// Ports that are ours until the listeners have them.
struct Reserved {
    addresses: Addresses,
    _sockets: Vec<socket2::Socket>,
}

/// Finds the addresses of all listeners before any of them is open, because what devices are told
/// of the ports must be known first. A socket that is bound and does not listen keeps a port from
/// strangers and not from our listener (SO_REUSEADDR).
fn reserve(config: &Config) -> io::Result<Reserved> {
    let mut sockets = Vec::new();
    let mut keep = |socket: Socket| {
        if socket.off || socket.address.port() != 0 {
            return Ok((!socket.off).then_some(socket.address));
        }
        let domain = Domain::for_address(socket.address);
        let reserved = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        reserved.set_reuse_address(true)?;
        if socket.address.is_ipv6() {
            reserved.set_only_v6(false)?;
        }
        reserved.bind(&socket.address.into())?;
        let address = reserved.local_addr()?.as_socket();
        sockets.push(reserved);
        Ok::<_, io::Error>(address)
    };
    let listen = &config.listen;
    let addresses = Addresses {
        mqtt: keep(listen.mqtt)?,
        mqtts: keep(listen.mqtts)?,
        http: keep(listen.http)?,
        https: keep(listen.https)?,
        plain: keep(listen.plain.socket())?,
        itls: keep(listen.itls)?,
    };
    Ok(Reserved {
        addresses,
        _sockets: sockets,
    })
}

fn listeners(
    config: &Config,
    addresses: &Addresses,
    tls: &Arc<Tls>,
    hub: &Arc<Hub>,
    random: &Arc<dyn Random>,
) -> Result<Vec<Listener>, StartError> {
    let mqtt = Speaks {
        mqtt: true,
        websocket: true,
        http: false,
    };
    let http = Speaks {
        mqtt: false,
        websocket: true,
        http: true,
    };
    let on_mqtt_port = match config.tls.on_mqtt_port {
        true => Security::Either(tls.clone()),
        false => Security::Clear,
    };
    let mut listeners: Vec<_> = [
        (addresses.mqtt, on_mqtt_port, mqtt),
        (addresses.mqtts, Security::Encrypted(tls.clone()), mqtt),
        (addresses.http, Security::Clear, http),
        (
            addresses.https,
            Security::Encrypted(tls.clone()),
            Speaks { mqtt: true, ..http },
        ),
    ]
    .into_iter()
    .filter_map(|(address, security, speaks)| {
        Some(Listener {
            address: address?,
            security,
            speaks,
            plain: None,
        })
    })
    .collect();
    if let Some(address) = addresses.itls {
        let shaker = Shaker(Itls::new(hub.clone(), random.clone()));
        listeners.push(Listener {
            address,
            security: Security::Own(Arc::new(shaker)),
            speaks: Speaks {
                websocket: false,
                ..mqtt
            },
            plain: None,
        });
    }
    if let Some(address) = addresses.plain {
        let settings = &config.listen.plain;
        let plain = plain::settings(settings, random.clone()).map_err(StartError::Plain)?;
        listeners.push(Listener {
            address,
            security: match settings.tls {
                PlainTls::Off => Security::Clear,
                PlainTls::On => Security::Encrypted(tls.clone()),
                PlainTls::Recognised => Security::Either(tls.clone()),
            },
            speaks: mqtt,
            plain: Some(plain),
        });
    }
    Ok(listeners)
}

fn bounds(config: &Config) -> Bounds {
    let sockets = &config.sockets;
    let millis = Duration::from_millis;
    Bounds {
        connections: sockets.connections,
        hello: millis(sockets.hello),
        // Room for topic and headers around the longest payload.
        packet: config.limits.payload + 64 * 1024,
        window: sockets.window,
        outgoing: sockets.outgoing,
        memory: sockets.memory,
        stall: millis(sockets.stall),
        queue: sockets.queue,
        queue_bytes: sockets.queue_bytes,
        overflow: match sockets.overflow {
            config::Overflow::Refuse => Overflow::Refuse,
            config::Overflow::DropOldest => Overflow::DropOldest,
            config::Overflow::DropNewest => Overflow::DropNewest,
        },
        sessions_bytes: sockets.sessions_bytes,
        retained: sockets.retained,
        retained_bytes: sockets.retained_bytes,
        sessions: sockets.sessions,
        session_life: millis(sockets.session_life),
        filters: sockets.filters,
        failures: sockets.failures,
        address_failures: sockets.address_failures,
        stop: millis(sockets.stop),
        ..Bounds::default()
    }
}

fn device_settings(config: &Config, addresses: &Addresses) -> aliyun::device::Settings {
    let clear = config
        .public
        .mqtt_port
        .or(addresses.mqtt.map(|address| address.port()));
    let encrypted = config
        .public
        .mqtts_port
        .or(addresses.mqtts.map(|address| address.port()));
    aliyun::device::Settings {
        host: config.public.host.clone(),
        mqtt_port: if config.security.insecure_device_http {
            // Devices without TLS ask too; the clear port takes both.
            clear.or(encrypted)
        } else {
            encrypted.or(clear)
        }
        .unwrap_or_default(),
        insecure_http: config.security.insecure_device_http,
    }
}

/// What is served to everybody and over the operator's socket alike.
fn own_routes(admin: Admin) -> Router {
    let api = admin::routes(admin.clone());
    let watched = Router::new()
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(admin);
    Router::new()
        .nest(admin::PATH, api)
        .route("/healthz", get(async || "ok\n"))
        .merge(watched)
}

/// What backups are made of, and what they leave to the operator.
fn backup_source(config: &Config, copier: Arc<Copier>, ready: Arc<Ready>) -> backup::Source {
    let mut keys = Vec::new();
    let mut outside = Vec::new();
    match &config.master_key.env {
        Some(name) => outside.push(format!("the environment variable {name} (the master key)")),
        None => keys.push(("master.key".into(), first_start::master_key_path(config))),
    }
    if config.tls.certificate.is_none() {
        let folder = first_start::tls_folder(config);
        for name in ["ca.pem", "ca.key", "server.pem", "server.key"] {
            keys.push((format!("tls/{name}"), folder.join(name)));
        }
    }
    let tls = &config.tls;
    let own = [
        &tls.certificate,
        &tls.key,
        &tls.ecdsa_certificate,
        &tls.ecdsa_key,
    ];
    outside.extend(
        own.into_iter()
            .flatten()
            .map(|path| path.display().to_string()),
    );
    backup::Source {
        copier,
        keys,
        outside,
        node: config.node.clone(),
        stopping: Box::new(move || ready.phase() == Phase::Stopping),
    }
}

/// Housekeeping once a minute, and certificates once an hour.
async fn sweep(hub: Arc<Hub>, config: Config, tls: Arc<Tls>, mut stop: watch::Receiver<bool>) {
    let mut tick = interval(SWEEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut minute = 0_u64;
    loop {
        tokio::select! {
            biased;
            () = stopped(&mut stop) => return,
            _ = tick.tick() => {}
        }
        if let Err(fault) = hub.sweep(hub.now()).await {
            tracing::warn!(%fault, "housekeeping is not done; it is tried again in a minute");
        }
        minute += 1;
        if minute.is_multiple_of(60) {
            renew(&hub, &config, &tls);
        }
    }
}

fn renew(hub: &Hub, config: &Config, tls: &Tls) {
    match first_start::tls(config, hub.now()) {
        Ok((_, false)) => {}
        Ok((settings, true)) => match tls.reload(&settings) {
            Ok(()) => tracing::info!("the server certificate was renewed"),
            Err(error) => tracing::error!(%error, "the renewed certificate cannot be used"),
        },
        Err(error) => tracing::error!(error, "the server certificate cannot be renewed"),
    }
}

/// Opens the socket through which the owner of the data folder is the operator. The store's lock
/// is ours, so a socket that is there already was left by a process that is gone.
fn operators_socket(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn operators(listener: UnixListener, front: Arc<Front>, mut stop: watch::Receiver<bool>) {
    let mut calls = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stopped(&mut stop) => break,
            Some(_) = calls.join_next(), if !calls.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let who = stream.peer_cred().map_or_else(
                    |_| "local".to_owned(),
                    |peer| format!("local uid {}", peer.uid()),
                );
                calls.spawn(front.clone().serve(stream, Local(who.into())));
            }
            Err(error) => {
                tracing::warn!(%error, "the operator's socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    while calls.join_next().await.is_some() {}
}

/// Writes down where this server is, for the command line and for tests.
fn tell(path: &Path, config: &Config, addresses: &Addresses) -> io::Result<()> {
    let info = json!({
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
        "node": config.node,
        "listen": addresses,
    });
    first_start::write_file(path, 0o600, format!("{info:#}\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::{Stage, exchange, request};
    use model::id::NodeId;
    use serde_json::Value;
    use store::Options;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// [LK-2] What was made before a stop is there after the next start, and the secret of the
    /// first start is told no second time.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_stops_in_order_and_goes_on() {
        let mut stage = Stage::open().await;
        let key = stage.product("thermometer").await;
        let info = stage.data().join(INFO);
        let told: Value = serde_json::from_slice(&fs::read(&info).unwrap()).unwrap();
        assert_eq!(told["listen"]["http"], stage.http().to_string());
        assert_eq!(told["pid"], std::process::id());
        stage.stop().await;
        assert!(!info.exists());
        assert!(!stage.data().join(SOCKET).exists());
        stage.resume().await;
        assert!(stage.running().first_start.is_none());
        let path = format!("/api/v1/products/{key}");
        let shown = stage.with(&stage.key, "GET", &path, json!({})).await;
        assert_eq!(shown.body["name"], "thermometer");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_second_server_does_not_take_the_folder() {
        let stage = Stage::open().await;
        let error = start(stage.config.clone()).await.err().unwrap();
        assert!(matches!(error, StartError::Store(_)), "{error}");
        assert!(error.to_string().contains("in use"), "{error}");
        let shown = stage.local("GET", "/api/v1/server", json!({})).await;
        assert_eq!(shown.status, 200, "the first one goes on");
    }

    /// An address that is taken ends the start with a message, and no secret is lost with it: the
    /// next start is still the first.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_taken_port_is_told_and_the_next_start_is_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut config = Config::on_free_ports(folder.path());
        config.listen.mqtt.address = taken.local_addr().unwrap();
        let error = start(config.clone()).await.err().unwrap().to_string();
        assert!(
            error.contains(&taken.local_addr().unwrap().to_string()),
            "{error}"
        );
        assert!(error.contains("listen.mqtt.address"), "{error}");
        let_go(folder.path()).await;
        config.listen.mqtt.address = "127.0.0.1:0".parse().unwrap();
        let running = start(config).await.unwrap();
        assert!(running.first_start.is_some());
        running.stop().await;
    }

    /// A first start that was killed between the folder and the key that seals it is done again.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_folder_without_secrets_gets_its_master_key() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::on_free_ports(folder.path());
        let node = NodeId::parse(&config.node).unwrap();
        drop(Store::open(folder.path(), &Options::of(node)).unwrap());
        let_go(folder.path()).await;
        let running = start(config.clone()).await.unwrap();
        assert!(running.first_start.is_some());
        running.stop().await;
        fs::remove_file(folder.path().join("master.key")).unwrap();
        let error = start(config).await.err().unwrap();
        assert!(error.to_string().contains("is missing"), "{error}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_listener_that_is_off_is_not_there() {
        let stage = Stage::open_with(|config| config.listen.mqtt.off = true).await;
        assert_eq!(stage.running().addresses().mqtt, None);
        assert!(stage.running().addresses().mqtts.is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn health_and_metrics_are_told_without_a_key() {
        let stage = Stage::open().await;
        for (path, wanted) in [
            ("/healthz", "ok"),
            ("/readyz", "{\"ready\":true}"),
            ("/metrics", "# EOF"),
        ] {
            let told = request(stage.clear().await, "GET", path, "", "").await;
            assert_eq!(told.status, 200, "{path}");
            assert!(told.text.contains(wanted), "{path}: {}", told.text);
        }
    }

    /// Promise 6: bytes that are no request, or half of one, get an error or a closed door, and the
    /// next caller is served.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_no_request_harms_nobody() {
        let stage = Stage::open_with(|config| {
            config.sockets.hello = 200;
            config.sockets.body = 200;
        })
        .await;
        let long_head = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(100_000));
        for (what, bytes, status) in [
            ("nothing known", &b"\x00\x01\x02\x03"[..], 0),
            ("half a head", b"GET /api/v1/products HTTP/1.1\r\nHost:", 0),
            ("a nonsense line", b"GET\r\n\r\n", 400),
            ("a head without end", long_head.as_bytes(), 431),
            (
                "a body that stops",
                b"POST /api/v1/products HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{",
                408,
            ),
            (
                "two lengths",
                b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
                400,
            ),
            (
                "a chunk that is none",
                b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\nzz\r\n",
                400,
            ),
        ] {
            // Whoever stays silent is put out of the door, so this comes to an end by itself.
            let told = exchange(stage.clear().await, bytes).await;
            assert_eq!(told.status, status, "{what}: {}", told.text);
        }
        let told = request(stage.clear().await, "GET", "/readyz", "", "").await;
        assert_eq!(told.status, 200);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_body_beyond_its_bound_is_refused_before_it_is_kept() {
        let stage = Stage::open().await;
        let mut stream = stage.clear().await;
        let head =
            "POST /api/v1/products HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let chunk = [
            b"100000\r\n".to_vec(),
            vec![b' '; 0x10_0000],
            b"\r\n".to_vec(),
        ]
        .concat();
        for _ in 0..64 {
            if stream.write_all(&chunk).await.is_err() {
                break;
            }
        }
        let mut told = vec![0; 12];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(told, b"HTTP/1.1 413");
    }
}

//! The two servers that are measured, each a process of its own.

use serde_json::Value;
use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tests::{Server, mqtt::Login};

/// A device of the product, or a user of the password file.
pub(crate) struct Device {
    pub(crate) name: String,
    pub(crate) secret: String,
}

/// What both servers are to the scenes.
pub(crate) trait Broker {
    fn pid(&self) -> u32;
    fn address(&self, tls: bool) -> SocketAddr;
    /// What the `n`th device shows at login.
    fn login(&self, n: usize) -> Login;
    /// A topic on which the `n`th device both publishes and subscribes.
    fn topic(&self, n: usize) -> String;
}

/// Muster with a product of many devices.
pub(crate) struct Muster {
    server: Server,
    pub(crate) product: String,
    pub(crate) devices: Vec<Device>,
}

impl Muster {
    pub(crate) fn start(devices: usize) -> Self {
        eprintln!("bench: starting muster with {devices} devices");
        let server = Server::start_with(&["log.level=\"warn\""]);
        let (product, _) = server.product("bench");
        server.cli(&[
            "product",
            "topic",
            "create",
            &product,
            "user/loop",
            "--right",
            "both",
        ]);
        let count = devices.to_string();
        let made = server.cli(&["device", "batch", &product, "--count", &count]);
        let text = |value: &Value, field: &str| value[field].as_str().expect("a text").to_owned();
        let devices = made["devices"]
            .as_array()
            .expect("a list of devices")
            .iter()
            .map(|d| Device {
                name: text(d, "device_name"),
                secret: text(d, "device_secret"),
            })
            .collect();
        Self {
            server,
            product,
            devices,
        }
    }

    pub(crate) fn tls_folder(&self) -> std::path::PathBuf {
        self.server.data().join("tls")
    }
}

impl Broker for Muster {
    fn pid(&self) -> u32 {
        self.server.pid()
    }

    fn address(&self, tls: bool) -> SocketAddr {
        self.server.address(if tls { "mqtts" } else { "mqtt" })
    }

    fn login(&self, n: usize) -> Login {
        let device = &self.devices[n];
        Login::signed(&self.product, &device.name, &device.secret, ",_ss=1")
    }

    fn topic(&self, n: usize) -> String {
        format!("/{}/{}/user/loop", self.product, self.devices[n].name)
    }
}

/// Debian's mosquitto with a password file and topic rights, without persistence.
pub(crate) struct Mosquitto {
    child: Child,
    _folder: TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
}

/// Users in mosquitto's password file; checking a password costs the same for any number.
const USERS: usize = 500;

impl Mosquitto {
    pub(crate) fn start(muster: &Muster) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let lines: String = (0..USERS).map(|n| format!("user{n}:secret{n}\n")).collect();
        fs::write(path("passwords"), lines).expect("a writable folder");
        let hashed = Command::new("mosquitto_passwd")
            .args(["-U", &path("passwords")])
            .status();
        assert!(
            hashed.is_ok_and(|s| s.success()),
            "mosquitto_passwd is not there"
        );
        fs::write(path("rights"), "pattern readwrite loop/%u\n").expect("a writable folder");
        let (plain, tls) = (free_port(), free_port());
        let certificates = muster.tls_folder();
        let file = |name: &str| certificates.join(name).display().to_string();
        let config = format!(
            "per_listener_settings false\nallow_anonymous false\nuser root\n\
             password_file {}\nacl_file {}\npersistence false\nlog_type error\n\
             max_inflight_messages 100\nmax_queued_messages 10000\nset_tcp_nodelay true\n\
             listener {} 127.0.0.1\n\
             listener {} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
            path("passwords"),
            path("rights"),
            plain.port(),
            tls.port(),
            file("server.pem"),
            file("server.key"),
        );
        fs::write(path("config"), config).expect("a writable folder");
        let program = [
            "/usr/sbin/mosquitto",
            "/usr/bin/mosquitto",
            "/usr/local/sbin/mosquitto",
        ]
        .into_iter()
        .find(|p| fs::exists(p).unwrap_or(false))
        .expect("mosquitto is not installed; run `make bench`");
        let child = Command::new(program)
            .args(["-c", &path("config")])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto starts");
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(tls).is_err() {
            assert!(Instant::now() < until, "mosquitto does not listen");
            std::thread::yield_now();
        }
        Self {
            child,
            _folder: folder,
            plain,
            tls,
        }
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address")
}

impl Broker for Mosquitto {
    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn address(&self, tls: bool) -> SocketAddr {
        if tls { self.tls } else { self.plain }
    }

    fn login(&self, n: usize) -> Login {
        let user = n % USERS;
        Login {
            client_id: format!("client{n}"),
            user: format!("user{user}"),
            password: format!("secret{user}"),
        }
    }

    fn topic(&self, n: usize) -> String {
        format!("loop/user{}", n % USERS)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// CPU time of a process so far, user and system, in microseconds.
pub(crate) fn cpu(pid: u32) -> f64 {
    // Of each task, nanoseconds on a CPU: finer than the ticks of /proc/<pid>/stat, which a task
    // that has ended keeps and schedstat forgets; neither server ends its threads.
    let mut total = 0.0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .expect("a running server")
        .flatten()
    {
        let text = fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
        let spent = text
            .split(' ')
            .next()
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(0.0);
        total += spent / 1_000.0;
    }
    total
}

/// Memory of a process that no other process has, in bytes.
pub(crate) fn memory(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a running server");
    let kilobytes = |name: &str| {
        text.lines()
            .find(|line| line.starts_with(name))
            .and_then(|line| line.split_whitespace().nth(1))
            .and_then(|n| n.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (kilobytes("Private_Dirty:") + kilobytes("Private_Clean:")) * 1024.0
}

//! Muster with a product of many devices, and a plain listener.

use super::{Broker, Door, USERS, mosquitto::password_file, user};
use serde_json::Value;
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Instant,
};
use tempfile::TempDir;
use tests::{Server, mqtt::Login, server::Key};

/// A device of the product.
pub(crate) struct Device {
    pub(crate) name: String,
    secret: String,
}

/// The server that is ours.
pub(crate) struct Muster {
    server: Server,
    pub(crate) product: String,
    /// Those that log in; there may be more.
    pub(crate) devices: Vec<Device>,
    folder: TempDir,
}

/// Devices that are made in one call at most.
const BATCH: usize = 10_000;

impl Muster {
    /// Starts with so many devices registered, of which `used` will log in, spread evenly over all.
    pub(crate) fn start(registered: usize, used: usize) -> Self {
        eprintln!("bench: starting muster with {registered} devices");
        let folder = TempDir::new().expect("a temporary folder");
        let passwords = folder.path().join("passwords");
        password_file(&passwords);
        let passwords = format!("listen.plain.password_file=\"{}\"", passwords.display());
        let server = Server::start_with(&[
            "log.level=\"warn\"",
            "limits.devices=2000000",
            "limits.id2_calls=1000000000",
            "sockets.queue=10000",
            "sockets.queue_bytes=16777216",
            "listen.plain.off=false",
            "listen.plain.refuse=[\"refused/#\"]",
            &passwords,
        ]);
        let (product, _) = server.product("bench");
        let topic = [
            "product",
            "topic",
            "create",
            &product,
            "user/loop",
            "--right",
            "both",
        ];
        server.cli(&topic);
        let text = |value: &Value, field: &str| value[field].as_str().expect("a text").to_owned();
        let mut devices = Vec::with_capacity(used);
        let mut made = 0;
        let began = Instant::now();
        while made < registered {
            let count = BATCH.min(registered - made);
            let answer = server.cli(&["device", "batch", &product, "--count", &count.to_string()]);
            let list = answer["devices"].as_array().expect("a list of devices");
            assert_eq!(list.len(), count);
            for (n, device) in (made..).zip(list) {
                // Every (registered / used)th one.
                if n * used / registered >= devices.len() && devices.len() < used {
                    devices.push(Device {
                        name: text(device, "device_name"),
                        secret: text(device, "device_secret"),
                    });
                }
            }
            made += count;
        }
        if registered > BATCH {
            eprintln!("bench: registered in {:.1?}", began.elapsed());
        }
        Self {
            server,
            product,
            devices,
            folder,
        }
    }

    pub(crate) fn server(&mut self) -> &mut Server {
        &mut self.server
    }

    /// Runs a command of the program against this server.
    pub(crate) fn cli(&self, words: &[&str]) -> Value {
        self.server.cli(words)
    }

    /// An access key of the account.
    pub(crate) fn key(&mut self) -> Key {
        self.server.key()
    }

    /// Where applications call.
    pub(crate) fn http(&self) -> SocketAddr {
        self.server.address("http")
    }

    /// The folder around the data folder, which goes with it.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn tls_folder(&self) -> PathBuf {
        self.server.data().join("tls")
    }

    /// Kills the process without a word, and starts it again on the same data.
    pub(crate) fn restart(&mut self) -> Instant {
        self.server.kill();
        let began = Instant::now();
        self.server.resume();
        began
    }
}

impl Broker for Muster {
    fn name(&self) -> &'static str {
        "muster"
    }

    fn pid(&self) -> u32 {
        self.server.pid()
    }

    fn address(&self, door: Door) -> SocketAddr {
        self.server.address(match door {
            Door::Device => "mqtt",
            Door::DeviceTls => "mqtts",
            Door::Free => "plain",
        })
    }

    fn login(&self, door: Door, n: usize) -> Login {
        if door == Door::Free {
            return user(n % USERS);
        }
        let device = &self.devices[n];
        Login::signed(&self.product, &device.name, &device.secret, ",_ss=1")
    }

    fn topic(&self, n: usize) -> String {
        format!("/{}/{}/user/loop", self.product, self.devices[n].name)
    }
}

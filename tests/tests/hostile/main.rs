//! Promise 6: bad input at every entrance gets a clear error, and harms nobody. While each test
//! plays the stranger, a device beside it stays connected and an application goes on calling.

mod entrance;
mod login;
mod million;
mod mutation;
mod packet;
mod payload;

use std::time::{Duration, Instant};
use tests::{
    Server,
    http::{request, rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    server::Key,
};
use wire::mqtt::{ReasonCode, Version};

/// How long a connection without a login may last here, and how long a body may take.
const HELLO: Duration = Duration::from_millis(1_500);
/// Until when a stranger is put out: the bounds above, and room for a busy machine.
const OUT: Duration = Duration::from_secs(20);
/// How much memory strangers may cost in all, in KiB: the bodies that are read at once, and what
/// an allocator keeps.
const COST: u64 = 128 * 1024;

/// A server, and two who do nothing wrong.
struct House {
    server: Server,
    product: String,
    product_secret: String,
    key: Key,
    control: Mqtt,
    memory: u64,
}

impl House {
    fn open() -> Self {
        let millis = HELLO.as_millis();
        let mut server = Server::start_with(&[
            &format!("sockets.hello={millis}"),
            &format!("sockets.body={millis}"),
            // Otherwise answers to strangers come later and later; `access` proves that.
            "sockets.failures=1000000",
            // As much as there may be of it, so that nothing is hidden.
            "limits.audit_failures=1000000",
        ]);
        let (product, product_secret) = server.product("thermometer");
        let secret = server.device(&product, "control");
        let key = server.key();
        let mut control = Mqtt::open(server.address("mqtt"), None, Version::V311);
        let login = Login::signed(&product, "control", &secret, ",_ss=1");
        let verdict = control.connect(&login, true, 600);
        assert_eq!(verdict.reason, ReasonCode::Success);
        let memory = resident(&server);
        let mut house = Self {
            server,
            product,
            product_secret,
            key,
            control,
            memory,
        };
        house.unharmed("the start");
        house
    }

    /// The device beside still hears, the application is still served, memory is bounded, and
    /// nobody panicked.
    fn unharmed(&mut self, after: &str) {
        let began = Instant::now();
        self.control.ping();
        let post = format!("/sys/{}/control/thing/event/property/post", self.product);
        let body = br#"{"id":"1","version":"1.0","params":{"target":20},"method":"m"}"#;
        self.control.publish_acknowledged(&post, body);
        let reply = self.control.message(&format!("{post}_reply"));
        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.contains("\"code\":200"), "after {after}: {reply}");
        let params = [
            ("ProductKey", self.product.as_str()),
            ("DeviceName", "control"),
        ];
        let call = rpc_call(&self.key, "GET", "GetDeviceStatus", &params);
        let reply = send_rpc(self.server.address("http"), "GET", &call);
        assert_eq!(reply.status, 200, "after {after}: {reply:?}");
        assert_eq!(reply.json()["Data"]["Status"], "ONLINE", "after {after}");
        assert!(
            began.elapsed() < OUT,
            "after {after}: the others had to wait"
        );
        let grown = resident(&self.server).saturating_sub(self.memory);
        assert!(grown < COST, "after {after}: {grown} KiB more");
        let log = self.server.log();
        assert!(!log.contains("panic"), "after {after}: {log}");
    }

    /// Logins refused so far, and lines about them in the audit log.
    fn refused(&self) -> (u64, usize) {
        let page = request(self.server.address("http"), "GET", "/metrics", &[], b"").body;
        let counted = page
            .lines()
            .filter(|l| {
                l.starts_with("muster_device_logins_total") && !l.contains("outcome=\"ok\"")
            })
            .filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok())
            .sum();
        let listed = self.server.cli(&["audit", "list", "--most", "1000"]);
        let lines = listed.as_array().unwrap_or_else(|| panic!("{listed}"));
        let about = |line: &&serde_json::Value| {
            let action = line["entry"]["action"].as_str().unwrap_or_default();
            action.starts_with("device.") && line["entry"]["outcome"] != "ok"
        };
        (counted, lines.iter().filter(about).count())
    }
}

/// Resident memory of the server, in KiB.
fn resident(server: &Server) -> u64 {
    let path = format!("/proc/{}/status", server.pid());
    let status = std::fs::read_to_string(&path).expect("the server runs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
    let number = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    number.unwrap_or_else(|| panic!("no VmRSS in {path}"))
}

/// Pseudo-random numbers (SplitMix64) of a seed that is told when a test fails.
struct Chance(u64);

impl Chance {
    fn new() -> Self {
        let seed = std::env::var("MUSTER_SEED")
            .ok()
            .and_then(|s| s.parse().ok());
        let seed = seed.unwrap_or(0x6d75_7374_6572);
        eprintln!("MUSTER_SEED={seed}");
        Self(seed)
    }

    /// Another sequence.
    fn fork(&mut self) -> Self {
        Self(self.next())
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        (self.next() % most.max(1) as u64) as usize
    }
}

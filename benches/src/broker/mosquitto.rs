//! Debian's mosquitto with a password file and topic rights, without persistence.

use super::{Broker, Door, Muster, free_port, user, users, wait_for};
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tests::mqtt::Login;

/// The peer that every scene has.
pub(crate) struct Mosquitto {
    child: Child,
    _folder: TempDir,
    plain: SocketAddr,
    tls: SocketAddr,
}

/// Writes a password file of its form, which Muster's plain listener reads as well.
pub(super) fn password_file(path: &Path) {
    fs::write(path, users(":", "")).expect("a writable folder");
    let hashed = Command::new("mosquitto_passwd")
        .arg("-U")
        .arg(path)
        .status();
    assert!(
        hashed.is_ok_and(|s| s.success()),
        "mosquitto_passwd is not there; run `make bench`"
    );
}

impl Mosquitto {
    pub(crate) fn start(muster: &Muster) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        password_file(&folder.path().join("passwords"));
        // `topic` lines that follow no `user` line are rights of clients without a name.
        let rights = "pattern readwrite loop/%u\npattern readwrite free/#\n";
        fs::write(path("rights"), rights).expect("a writable folder");
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
        wait_for(tls, "mosquitto");
        Self {
            child,
            _folder: folder,
            plain,
            tls,
        }
    }
}

impl Broker for Mosquitto {
    fn name(&self) -> &'static str {
        "mosquitto"
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn address(&self, door: Door) -> SocketAddr {
        match door {
            Door::Device | Door::Free => self.plain,
            Door::DeviceTls => self.tls,
        }
    }

    fn login(&self, _: Door, n: usize) -> Login {
        user(n)
    }

    fn topic(&self, n: usize) -> String {
        format!("loop/{}", user(n).user)
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

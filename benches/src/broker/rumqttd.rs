//! `rumqttd` from the crate registry, with names and passwords. It knows no topic rights.

use super::{Broker, Door, free_port, user, users, wait_for};
use std::{
    fs,
    net::SocketAddr,
    path::PathBuf,
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;
use tests::mqtt::Login;

/// A second peer, where it is installed.
pub(crate) struct Rumqttd {
    child: Child,
    _folder: TempDir,
    plain: SocketAddr,
}

impl Rumqttd {
    /// `None`, and a word about it, where the program is not installed.
    pub(crate) fn start() -> Option<Self> {
        let tools = std::env::var_os("MUSTER_TOOLS")
            .map_or_else(|| tests::root().join(".tools"), PathBuf::from);
        let program = tools.join("bin/rumqttd");
        if !program.exists() {
            eprintln!("bench: rumqttd is not installed; tools/setup bench would do it");
            return None;
        }
        let folder = TempDir::new().expect("a temporary folder");
        let plain = free_port();
        let config = folder.path().join("config.toml");
        let text = format!(
            "id = 0\n[router]\nid = 0\nmax_connections = 10010\n\
             max_outgoing_packet_count = 200\nmax_segment_size = 104857600\n\
             max_segment_count = 10\n[v4.1]\nname = \"v4-1\"\nlisten = \"{plain}\"\n\
             next_connection_delay_ms = 0\n[v4.1.connections]\nconnection_timeout_ms = 60000\n\
             max_payload_size = 20480\nmax_inflight_count = 100\ndynamic_filters = true\n\
             [v4.1.connections.auth]\n{}",
            users(" = ", "\"")
        );
        fs::write(&config, text).expect("a writable folder");
        let child = Command::new(program)
            .arg("-c")
            .arg(&config)
            .arg("-q")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("rumqttd starts");
        wait_for(plain, "rumqttd");
        Some(Self {
            child,
            _folder: folder,
            plain,
        })
    }
}

impl Broker for Rumqttd {
    fn name(&self) -> &'static str {
        "rumqttd"
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn address(&self, door: Door) -> SocketAddr {
        match door {
            Door::Device | Door::Free => self.plain,
            Door::DeviceTls => panic!("rumqttd is not measured over TLS"),
        }
    }

    fn login(&self, _: Door, n: usize) -> Login {
        user(n)
    }

    fn topic(&self, n: usize) -> String {
        format!("loop/{}", user(n).user)
    }
}

impl Drop for Rumqttd {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

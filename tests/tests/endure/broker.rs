//! Who is killed: the product, or a broker that forgets.

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::Instant,
};
use tests::{PATIENCE, Server};

/// A broker that can be killed and started again.
pub(crate) trait Broker {
    fn address(&self) -> SocketAddr;
    fn kill(&mut self);
    fn resume(&mut self);
}

/// The product, with a plain listener.
pub(crate) struct Muster(pub(crate) Server);

impl Muster {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(more: &[&str]) -> Self {
        let settings = [
            "listen.plain.off=false",
            "listen.plain.anonymous=true",
            // Room for all that is sent while a subscriber is away: nothing may be dropped.
            "sockets.queue=65500",
            "sockets.queue_bytes=1000000000",
            "sockets.sessions_bytes=2000000000",
        ];
        Self(Server::start_with(&[&settings[..], more].concat()))
    }
}

impl Broker for Muster {
    fn address(&self) -> SocketAddr {
        self.0.address("plain")
    }

    fn kill(&mut self) {
        self.0.kill();
    }

    fn resume(&mut self) {
        self.0.resume();
    }
}

/// mosquitto without persistence, which forgets everything when it is killed.
pub(crate) struct Forgetful {
    port: u16,
    child: Option<Child>,
}

impl Forgetful {
    pub(crate) fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("an address").port();
        drop(free);
        let mut broker = Self { port, child: None };
        broker.resume();
        broker
    }
}

impl Broker for Forgetful {
    fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().expect("a running process");
        child.wait().expect("a killed process");
    }

    fn resume(&mut self) {
        // Debian keeps it where only root looks.
        let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let child = Command::new("mosquitto")
            .args(["-p", &self.port.to_string()])
            .env("PATH", path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto is installed by tools/setup");
        self.child = Some(child);
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(self.address()).is_err() {
            assert!(Instant::now() < until, "mosquitto does not listen");
            std::thread::yield_now();
        }
    }
}

impl Drop for Forgetful {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

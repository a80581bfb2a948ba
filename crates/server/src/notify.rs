//! Tells the service manager what this process is about (sd_notify(3)): a datagram to the socket
//! that `NOTIFY_SOCKET` names. Without that variable nothing is told.

use std::{
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            ffi::OsStrExt,
            net::{SocketAddr, UnixDatagram},
        },
    },
    path::PathBuf,
    time::Duration,
};

/// What there is to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// It takes work.
    Ready,
    /// It reads its certificates again.
    Reloading,
    /// It goes down.
    Stopping,
    /// It lives.
    Alive,
}

/// The service manager's ear.
pub(crate) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
    watchdog: Option<Duration>,
}

impl Manager {
    /// The one that started this process; none when nobody listens.
    pub(crate) fn of_process() -> Option<Self> {
        let path = std::env::var_os("NOTIFY_SOCKET")?;
        let micros = std::env::var("WATCHDOG_USEC").ok();
        let ours =
            std::env::var("WATCHDOG_PID").map_or(true, |pid| pid == std::process::id().to_string());
        let watchdog = micros
            .filter(|_| ours)
            .and_then(|micros| micros.parse().ok())
            .filter(|micros| *micros > 0)
            .map(Duration::from_micros);
        match Self::at(&PathBuf::from(path), watchdog) {
            Ok(manager) => Some(manager),
            Err(error) => {
                tracing::warn!(%error, "the service manager cannot be told anything");
                None
            }
        }
    }

    fn at(path: &std::path::Path, watchdog: Option<Duration>) -> io::Result<Self> {
        let bytes = path.as_os_str().as_bytes();
        let address = match bytes.strip_prefix(b"@") {
            Some(name) => SocketAddr::from_abstract_name(name)?,
            None => SocketAddr::from_pathname(path)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self {
            socket,
            address,
            watchdog,
        })
    }

    /// How often it wants to hear that we live.
    pub(crate) fn watchdog(&self) -> Option<Duration> {
        self.watchdog
    }

    pub(crate) fn tell(&self, news: News, status: &str) {
        let state = match news {
            News::Ready => "READY=1".to_owned(),
            News::Reloading => format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic()),
            News::Stopping => "STOPPING=1".to_owned(),
            News::Alive => "WATCHDOG=1".to_owned(),
        };
        let text = match status {
            "" => state,
            status => format!("{state}\nSTATUS={status}"),
        };
        // Nobody is harmed when it is not heard.
        if let Err(error) = self.socket.send_to_addr(text.as_bytes(), &self.address) {
            tracing::debug!(%error, "the service manager did not hear");
        }
    }
}

fn monotonic() -> i64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_at_a_path_and_at_an_abstract_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let name = format!("muster-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (ear, path) in [
            (UnixDatagram::bind(&path).unwrap(), path),
            (
                UnixDatagram::bind_addr(&abstract_name).unwrap(),
                PathBuf::from(format!("@{name}")),
            ),
        ] {
            let manager = Manager::at(&path, None).unwrap();
            let mut heard = [0; 256];
            let mut hear = || {
                let length = ear.recv(&mut heard).unwrap();
                String::from_utf8_lossy(&heard[..length]).into_owned()
            };
            manager.tell(News::Ready, "serving");
            assert_eq!(hear(), "READY=1\nSTATUS=serving");
            manager.tell(News::Reloading, "");
            assert!(hear().starts_with("RELOADING=1\nMONOTONIC_USEC="));
            manager.tell(News::Alive, "");
            assert_eq!(hear(), "WATCHDOG=1");
            drop(ear);
            manager.tell(News::Stopping, "nobody listens, and nothing happens");
        }
    }
}

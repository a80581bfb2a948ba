//! Ports, and how many connections the system allows.

use super::{Patient, Report, taken, trust::reachable};
use std::{
    io,
    net::{TcpListener, TcpStream},
    time::Duration,
};

/// How long a connection to this machine may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// Files that the server needs beside its connections.
const FILES: u64 = 512;

pub(super) fn listeners(patient: &Patient, report: &mut Report) {
    if let Some(server) = &patient.running {
        for (name, address) in server.addresses.all() {
            let Some(address) = address else { continue };
            match TcpStream::connect_timeout(&reachable(address), PATIENCE) {
                Ok(_) => report.ok("listener", format!("{name} answers at {address}")),
                Err(error) => report.fail(
                    "listener",
                    format!("{name} does not answer at {address}: {error}"),
                    "look for a firewall on this machine, and into the server's log",
                ),
            }
        }
        return;
    }
    for (name, socket) in patient.config.listen.all() {
        if socket.off {
            continue;
        }
        let address = socket.address;
        match TcpListener::bind(address) {
            Ok(_) => report.ok("listener", format!("{name} can be opened at {address}")),
            Err(error) => {
                let mend = match error.kind() {
                    io::ErrorKind::AddrInUse => {
                        let who = match taken::owner(address) {
                            Some((pid, program)) => format!("process {pid} ({program})"),
                            None => format!(
                                "another program (`sudo ss -ltnp sport = :{}` names it)",
                                address.port()
                            ),
                        };
                        format!("{who} has the port; stop it or set listen.{name}.address")
                    }
                    io::ErrorKind::PermissionDenied => format!(
                        "ports below 1024 need a right: set listen.{name}.address to a higher one and forward to it"
                    ),
                    io::ErrorKind::AddrNotAvailable => format!(
                        "this machine does not have that address; set listen.{name}.address to one of its own, or 0.0.0.0"
                    ),
                    _ => format!("set listen.{name}.address"),
                };
                report.fail("listener", format!("{name} at {address}: {error}"), mend);
            }
        }
    }
}

/// A plain listener that lets everybody in should not be reachable by everybody.
pub(super) fn plain(patient: &Patient, report: &mut Report) {
    if patient.config.listen.plain.is_open_to_strangers() {
        report.warn(
            "plain listener",
            format!(
                "it lets everybody in at {}",
                patient.config.listen.plain.address
            ),
            "make a password file with `muster plain passwd FILE USER`, name it in \
             listen.plain.password_file and set listen.plain.anonymous = false; or set \
             listen.plain.address to a loopback address",
        );
    }
}

/// Whether the mail server is there and lets us in.
pub(super) fn mail(patient: &Patient, report: &mut Report) {
    let mail = &patient.config.mail;
    let Some(server) = &mail.server else { return };
    match crate::mail::reach(mail) {
        Ok(()) => report.ok("mail", format!("{server}:{} takes our login", mail.port())),
        Err(error) => report.warn(
            "mail",
            format!("{server}:{}: {error}", mail.port()),
            "look at mail.server, mail.port, mail.tls, mail.ca and the password; letters wait until it answers",
        ),
    }
}

/// Whether the system lets us have as many connections as the configuration does.
pub(super) fn files(patient: &Patient, report: &mut Report) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let Some(most) = limit.maximum else {
        report.ok("open files", "no limit");
        return;
    };
    let connections = patient.config.sockets.connections as u64;
    if most >= connections + FILES {
        report.ok("open files", format!("{most} allowed"));
    } else {
        report.warn(
            "open files",
            format!("the system allows {most}, and sockets.connections is {connections}"),
            "raise it (LimitNOFILE= in the service unit, or `ulimit -Hn`), or lower sockets.connections",
        );
    }
}

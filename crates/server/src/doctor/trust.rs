//! Certificates, the clock that they are judged by, and what the oldest devices can shake hands
//! on.

use super::{Patient, Report};
use crate::first_start;
use access::tls::Tls;
use openssl::{
    asn1::Asn1Time,
    ssl::{Ssl, SslContext, SslMethod, SslVerifyMode, SslVersion},
    x509::X509,
};
use std::{
    fs,
    net::{SocketAddr, TcpStream},
    path::PathBuf,
    time::{Duration, UNIX_EPOCH},
};

/// A certificate that holds no longer than this is told of.
const DAYS_WARN: i32 = 30;
/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// What the vendor's C SDK offers at its best (spec/stack.md, TLS).
const OLD_SUITE: &str = "AES256-SHA256";
/// How far a file's time may be ahead of the clock, in seconds.
const AHEAD: u64 = 120;

fn chain_path(patient: &Patient) -> PathBuf {
    let own = || first_start::tls_folder(&patient.config).join("server.pem");
    patient.config.tls.certificate.clone().unwrap_or_else(own)
}

fn certificate_of(patient: &Patient) -> Option<Result<X509, String>> {
    let path = chain_path(patient);
    match fs::read(&path) {
        Ok(pem) => Some(
            X509::from_pem(&pem)
                .map_err(|_| format!("{} holds no PEM certificate", path.display())),
        ),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => Some(Err(format!("{}: {error}", path.display()))),
    }
}

pub(super) fn certificate(patient: &Patient, report: &mut Report) {
    let own = patient.config.tls.certificate.is_none();
    let renew = if own {
        "delete server.pem and server.key in its folder and start the server again: it makes new ones"
    } else {
        "fetch a new certificate and set tls.certificate and tls.key"
    };
    let certificate = match certificate_of(patient) {
        None if own => {
            report.ok("certificate", "is made at the first start");
            return;
        }
        None => {
            report.fail("certificate", "is not there", renew);
            return;
        }
        Some(Err(error)) => {
            report.fail("certificate", error, renew);
            return;
        }
        Some(Ok(certificate)) => certificate,
    };
    let left = Asn1Time::from_unix(patient.now.0 / 1000)
        .and_then(|now| now.diff(certificate.not_after()))
        .map_or(0, |left| left.days);
    let missing: Vec<String> = {
        let known = first_start::alternative_names(&certificate);
        let wanted = if own {
            first_start::names(&patient.config)
        } else {
            patient.config.public.host.iter().cloned().collect()
        };
        wanted
            .into_iter()
            .filter(|name| !covers(&known, name))
            .collect()
    };
    if left <= 0 {
        report.fail("certificate", "has expired", renew);
    } else if left < DAYS_WARN {
        report.warn("certificate", format!("expires in {left} days"), renew);
    } else if !missing.is_empty() {
        report.warn(
            "certificate",
            format!("does not bear the name {}", missing.join(", ")),
            if own {
                "restart the server: it makes a certificate with these names"
            } else {
                "fetch a certificate with that name, because clients check it"
            },
        );
    } else {
        report.ok("certificate", format!("holds for {left} more days"));
    }
    let settings = first_start::tls_settings(&patient.config);
    match Tls::new(&settings) {
        Ok(_) => report.ok("key", "fits to the certificate"),
        Err(error) => report.fail("key", error.to_string(), renew),
    }
}

/// Whether a certificate with these names is good for `wanted`, wildcards included (RFC 6125 §6.4).
fn covers(known: &[String], wanted: &str) -> bool {
    known.iter().any(|name| {
        name.eq_ignore_ascii_case(wanted)
            || name.strip_prefix("*.").is_some_and(|rest| {
                wanted
                    .split_once('.')
                    .is_some_and(|(_, tail)| tail.eq_ignore_ascii_case(rest))
            })
    })
}

/// Whether the clock can be right: signatures and certificates are judged by it.
pub(super) fn clock(patient: &Patient, report: &mut Report) {
    let now = u64::try_from(patient.now.0 / 1000).unwrap_or_default();
    let mend = "set the clock (`timedatectl set-ntp true`), because signatures and certificates are judged by it";
    let starts = certificate_of(patient)
        .and_then(Result::ok)
        .and_then(|certificate| {
            let epoch = Asn1Time::from_unix(0).ok()?;
            let from = epoch.diff(certificate.not_before()).ok()?;
            u64::try_from(i64::from(from.days) * 86_400 + i64::from(from.secs)).ok()
        });
    if starts.is_some_and(|starts| now < starts) {
        report.fail("clock", "is before the first day of our certificate", mend);
        return;
    }
    let newest = fs::read_dir(&patient.config.data)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.metadata().ok()?.modified().ok())
        .filter_map(|at| at.duration_since(UNIX_EPOCH).ok())
        .map(|at| at.as_secs())
        .max();
    match newest {
        Some(newest) if newest > now + AHEAD => report.fail(
            "clock",
            format!(
                "is {} seconds behind files that were written before",
                newest - now
            ),
            mend,
        ),
        _ => report.ok("clock", crate::admin::time(patient.now)),
    }
}

/// Whether a device that knows only RSA key exchange with CBC gets through ([AL-3.5]).
pub(super) fn old_device(patient: &Patient, report: &mut Report) {
    let Some(server) = &patient.running else {
        return;
    };
    let Some(address) = server.addresses.mqtts.or(server.addresses.mqtt) else {
        return;
    };
    match shake(reachable(address)) {
        Ok(suite) => report.ok("old device", format!("shakes hands with {suite} over TLS 1.2")),
        Err(error) => report.fail(
            "old device",
            format!("with {OLD_SUITE} alone gets no connection at {address}: {error}"),
            "use an RSA certificate, and let no proxy in front of the server end TLS with other suites",
        ),
    }
}

/// Where a listener on all addresses is reached from this machine.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        ip if ip.is_ipv4() => std::net::Ipv4Addr::LOCALHOST.into(),
        _ => std::net::Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, address.port())
}

fn shake(address: SocketAddr) -> Result<String, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let mut builder = SslContext::builder(SslMethod::tls_client()).map_err(|error| text(&error))?;
    // Names and authority are looked at in other checks; here only the suite matters.
    builder.set_verify(SslVerifyMode::NONE);
    builder
        .set_max_proto_version(Some(SslVersion::TLS1_2))
        .and_then(|()| builder.set_cipher_list(OLD_SUITE))
        .map_err(|error| text(&error))?;
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(|error| text(&error))?;
    stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.set_write_timeout(Some(PATIENCE)))
        .map_err(|error| text(&error))?;
    let ssl = Ssl::new(&builder.build()).map_err(|error| text(&error))?;
    let stream = ssl.connect(stream).map_err(|error| text(&error))?;
    let suite = stream.ssl().current_cipher().map(|suite| suite.name());
    Ok(suite.unwrap_or("no suite").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_covers_one_label() {
        let known = ["*.example.com".to_owned(), "iot.test".to_owned()];
        for (name, good) in [
            ("a.example.com", true),
            ("A.Example.com", true),
            ("example.com", false),
            ("b.a.example.com", false),
            ("iot.test", true),
            ("x.iot.test", false),
        ] {
            assert_eq!(covers(&known, name), good, "{name}");
        }
    }
}

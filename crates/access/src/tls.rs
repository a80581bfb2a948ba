//! TLS for sockets of devices: OpenSSL contexts that the oldest device in the field can agree with.
//!
//! The vendor's C SDK offers nothing but static RSA with CBC over TLS 1.2 (spec/stack.md "TLS"), so
//! the first certificate must be RSA and those suites stay on, behind all better ones. Nothing
//! depends on a server name: most devices send none.

pub mod authority;

use openssl::{
    error::ErrorStack,
    pkey::{Id, PKey},
    ssl::{
        AlpnError, Ssl, SslContext, SslContextBuilder, SslFiletype, SslMethod, SslMode, SslOptions,
        SslSessionCacheMode, SslVersion, select_next_proto,
    },
};
use parking_lot::RwLock;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What devices of today get first, and what those with static RSA and CBC alone find at the end.
const SUITES: &str = "ECDHE+AESGCM:ECDHE+CHACHA20:ECDHE+AES:DHE+AESGCM:RSA+AESGCM:RSA+AES:\
                      !aNULL:!eNULL:!PSK:!SRP:!DSS:!CAMELLIA:!ARIA";

/// Application protocols that we name when a client asks (RFC 7301); with any other offer the
/// handshake goes on without one.
const PROTOCOLS: &[u8] = b"\x04mqtt\x08http/1.1";

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{path}: {error}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The first certificate is not RSA: devices that know only RSA key exchange could not
    /// connect.
    #[error(
        "{0}: the first certificate must have an RSA key of at least 2048 bits; an ECDSA one can stand next to it"
    )]
    NotRsa(PathBuf),
    /// Certificate and key do not fit together, or are not PEM.
    #[error("{path}: {error}")]
    Pair {
        /// The certificate.
        path: PathBuf,
        /// OpenSSL's words.
        error: ErrorStack,
    },
    /// OpenSSL refuses something else.
    #[error(transparent)]
    OpenSsl(#[from] ErrorStack),
}

/// A certificate chain and its private key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The server's certificate, then those that lead to the root.
    pub chain: PathBuf,
    /// The key, not encrypted.
    pub key: PathBuf,
}

/// What a server context is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsSettings {
    /// The RSA pair that every device can use.
    pub rsa: Pair,
    /// A pair that newer clients may prefer.
    pub ecdsa: Option<Pair>,
    /// The oldest version that is spoken ([AL-3.5]). Below TLS 1.2 it lowers OpenSSL's security
    /// level for the whole context.
    pub oldest: SslVersion,
}

/// A server's side of TLS whose certificates can be changed while it runs.
pub struct Tls {
    context: RwLock<SslContext>,
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// `TlsError`.
    pub fn new(settings: &TlsSettings) -> Result<Self, TlsError> {
        Ok(Self {
            context: RwLock::new(context(settings)?),
        })
    }

    /// Reads the files again; handshakes that begin from now on use them. On an error all stays as
    /// it was.
    ///
    /// # Errors
    /// `TlsError`.
    pub fn reload(&self, settings: &TlsSettings) -> Result<(), TlsError> {
        let context = context(settings)?;
        *self.context.write() = context;
        Ok(())
    }

    /// The state of one handshake.
    pub(crate) fn handshake(&self) -> Result<Ssl, ErrorStack> {
        Ssl::new(&self.context.read())
    }
}

fn context(settings: &TlsSettings) -> Result<SslContext, TlsError> {
    let mut builder = SslContext::builder(SslMethod::tls_server())?;
    let old = [SslVersion::TLS1, SslVersion::TLS1_1].contains(&settings.oldest);
    let level = if old { 0 } else { 2 };
    builder.set_min_proto_version(Some(settings.oldest))?;
    builder.set_max_proto_version(Some(SslVersion::TLS1_3))?;
    builder.set_cipher_list(&format!("{SUITES}:@SECLEVEL={level}"))?;
    builder.set_options(
        SslOptions::CIPHER_SERVER_PREFERENCE
            | SslOptions::NO_COMPRESSION
            | SslOptions::NO_RENEGOTIATION,
    );
    // An idle connection keeps no record buffers. The two write modes let a caller try again with
    // a buffer that has grown or moved meanwhile.
    builder.set_mode(
        SslMode::RELEASE_BUFFERS
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::AUTO_RETRY,
    );
    // Sessions live in tickets on the devices, none of them in our memory.
    builder.set_session_cache_mode(SslSessionCacheMode::OFF);
    builder.set_session_id_context(b"muster")?;
    builder.set_num_tickets(1)?;
    builder.set_alpn_select_callback(|_, offered| {
        select_next_proto(PROTOCOLS, offered).ok_or(AlpnError::NOACK)
    });
    require_rsa(&settings.rsa)?;
    use_pair(&mut builder, &settings.rsa)?;
    if let Some(pair) = &settings.ecdsa {
        use_pair(&mut builder, pair)?;
    }
    Ok(builder.build())
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|error| TlsError::File {
        path: path.into(),
        error,
    })
}

fn require_rsa(pair: &Pair) -> Result<(), TlsError> {
    let pem = zeroize::Zeroizing::new(read(&pair.key)?);
    let key = PKey::private_key_from_pem(&pem).map_err(|error| TlsError::Pair {
        path: pair.key.clone(),
        error,
    })?;
    if key.id() == Id::RSA && key.bits() >= 2048 {
        Ok(())
    } else {
        Err(TlsError::NotRsa(pair.chain.clone()))
    }
}

/// Reads a pair into the place of its key type; OpenSSL keeps one chain a type.
fn use_pair(builder: &mut SslContextBuilder, pair: &Pair) -> Result<(), TlsError> {
    read(&pair.chain)?;
    let wrong = |path: &PathBuf| {
        let path = path.clone();
        move |error| TlsError::Pair { path, error }
    };
    builder
        .set_certificate_chain_file(&pair.chain)
        .map_err(wrong(&pair.chain))?;
    builder
        .set_private_key_file(&pair.key, SslFiletype::PEM)
        .map_err(wrong(&pair.key))?;
    builder.check_private_key().map_err(wrong(&pair.chain))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::{authority::Authority, *};
    use model::id::Time;
    use openssl::ssl::{HandshakeError, SslConnector, SslStream, SslVerifyMode};
    use std::{
        net::{TcpListener, TcpStream},
        sync::LazyLock,
        thread,
    };

    #[expect(
        clippy::disallowed_methods,
        reason = "OpenSSL checks certificates by the clock of the machine"
    )]
    fn now() -> Time {
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Time(i64::try_from(now.as_millis()).unwrap())
    }

    /// A folder with a CA, and settings that use a certificate of it for `localhost`. Keys take
    /// long to make, so all tests have the same.
    pub(crate) fn sample() -> (tempfile::TempDir, TlsSettings) {
        static MADE: LazyLock<(tempfile::TempDir, TlsSettings)> = LazyLock::new(|| {
            let folder = tempfile::tempdir().unwrap();
            let settings = issue(folder.path(), &["localhost", "127.0.0.1"]);
            (folder, settings)
        });
        let folder = tempfile::tempdir().unwrap();
        for file in ["ca.pem", "server.pem", "server.key"] {
            fs::copy(MADE.0.path().join(file), folder.path().join(file)).unwrap();
        }
        let pair = Pair {
            chain: folder.path().join("server.pem"),
            key: folder.path().join("server.key"),
        };
        let settings = TlsSettings {
            rsa: pair,
            ..MADE.1.clone()
        };
        (folder, settings)
    }

    fn issue(folder: &Path, names: &[&str]) -> TlsSettings {
        let authority = Authority::create("Test CA", now(), 3650).unwrap();
        let issued = authority.issue(names, now(), 365).unwrap();
        let pair = Pair {
            chain: folder.join("server.pem"),
            key: folder.join("server.key"),
        };
        fs::write(folder.join("ca.pem"), authority.certificate_pem().unwrap()).unwrap();
        fs::write(&pair.chain, &issued.chain_pem).unwrap();
        fs::write(&pair.key, issued.key_pem.as_slice()).unwrap();
        TlsSettings {
            rsa: pair,
            ecdsa: None,
            oldest: SslVersion::TLS1_2,
        }
    }

    type Shaken = Result<SslStream<TcpStream>, HandshakeError<TcpStream>>;

    /// One handshake between a client made by `client` and `tls`, over a real socket.
    fn shake(
        tls: &Tls,
        name: &str,
        client: impl FnOnce(&mut openssl::ssl::SslConnectorBuilder),
    ) -> Shaken {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let ssl = tls.handshake().unwrap();
        let server = thread::spawn(move || {
            let (stream, _) = socket.accept().unwrap();
            let _ = ssl.accept(stream);
        });
        let mut builder = SslConnector::builder(SslMethod::tls_client()).unwrap();
        client(&mut builder);
        let shaken = builder
            .build()
            .configure()
            .unwrap()
            .use_server_name_indication(false)
            .connect(name, TcpStream::connect(address).unwrap());
        server.join().unwrap();
        shaken
    }

    fn trusting(folder: &Path) -> impl FnOnce(&mut openssl::ssl::SslConnectorBuilder) + use<> {
        let ca = folder.join("ca.pem");
        move |builder| builder.set_ca_file(ca).unwrap()
    }

    /// [AL-3.5] The vendor's C SDK offers four suites, all static RSA with CBC, over TLS 1.2 and
    /// without a server name; each of them completes, and the chain verifies.
    #[test]
    fn devices_with_static_rsa_alone_are_served() {
        let (folder, settings) = sample();
        let tls = Tls::new(&settings).unwrap();
        for suite in ["AES128-SHA256", "AES256-SHA256", "AES128-SHA", "AES256-SHA"] {
            let stream = shake(&tls, "localhost", |builder| {
                trusting(folder.path())(builder);
                builder
                    .set_max_proto_version(Some(SslVersion::TLS1_2))
                    .unwrap();
                builder.set_cipher_list(suite).unwrap();
            })
            .unwrap();
            assert_eq!(stream.ssl().current_cipher().unwrap().name(), suite);
        }
    }

    /// [AL-3.5] A client that can gets TLS 1.3, by name and by address.
    #[test]
    fn the_newest_version_wins() {
        let (folder, settings) = sample();
        let tls = Tls::new(&settings).unwrap();
        for name in ["localhost", "127.0.0.1"] {
            let stream = shake(&tls, name, trusting(folder.path())).unwrap();
            assert_eq!(stream.ssl().version_str(), "TLSv1.3");
        }
        assert!(shake(&tls, "elsewhere", trusting(folder.path())).is_err());
    }

    /// [AL-3.5] TLS 1.0 and 1.1 only where the operator turns them on, each from its own choice.
    #[test]
    fn old_versions_are_a_choice() {
        let (_folder, mut settings) = sample();
        let versions = [SslVersion::TLS1, SslVersion::TLS1_1, SslVersion::TLS1_2];
        for (least, oldest) in versions.into_iter().enumerate() {
            settings.oldest = oldest;
            let tls = Tls::new(&settings).unwrap();
            for (n, version) in versions.into_iter().enumerate() {
                let shaken = shake(&tls, "localhost", |builder| {
                    builder.set_verify(SslVerifyMode::NONE);
                    builder.set_min_proto_version(Some(version)).unwrap();
                    builder.set_max_proto_version(Some(version)).unwrap();
                    builder.set_cipher_list("ALL:@SECLEVEL=0").unwrap();
                });
                assert_eq!(shaken.is_ok(), n >= least, "{version:?} from {oldest:?}");
            }
        }
    }

    #[test]
    fn an_unknown_application_protocol_harms_nothing() {
        let (folder, settings) = sample();
        let tls = Tls::new(&settings).unwrap();
        for (offer, taken) in [
            (&b"\x04mqtt"[..], Some(&b"mqtt"[..])),
            (b"\x02h2\x08http/1.1", Some(b"http/1.1")),
            (b"\x0ex-amzn-mqtt-ca", None),
        ] {
            let stream = shake(&tls, "localhost", |builder| {
                trusting(folder.path())(builder);
                builder.set_alpn_protos(offer).unwrap();
            })
            .unwrap();
            assert_eq!(stream.ssl().selected_alpn_protocol(), taken);
        }
    }

    #[test]
    fn new_certificates_are_used_without_a_restart() {
        let (folder, settings) = sample();
        let tls = Tls::new(&settings).unwrap();
        assert!(shake(&tls, "renewed", trusting(folder.path())).is_err());
        let settings = issue(folder.path(), &["renewed"]);
        tls.reload(&settings).unwrap();
        shake(&tls, "renewed", trusting(folder.path())).unwrap();

        fs::write(&settings.rsa.chain, "no certificate").unwrap();
        assert!(tls.reload(&settings).is_err());
        shake(&tls, "renewed", |builder| {
            builder.set_verify(SslVerifyMode::NONE);
        })
        .unwrap();
    }

    #[test]
    fn an_ecdsa_pair_stands_next_to_rsa_and_never_alone() {
        use openssl::{ec, nid::Nid};
        let (folder, mut settings) = sample();
        let group = ec::EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(ec::EcKey::generate(&group).unwrap()).unwrap();
        let authority = Authority::create("Other CA", now(), 10).unwrap();
        let chain = authority.sign(&key, &["localhost"], now(), 10).unwrap();
        let pair = Pair {
            chain: folder.path().join("ec.pem"),
            key: folder.path().join("ec.key"),
        };
        fs::write(&pair.chain, chain).unwrap();
        fs::write(&pair.key, key.private_key_to_pem_pkcs8().unwrap()).unwrap();
        settings.ecdsa = Some(pair.clone());
        let tls = Tls::new(&settings).unwrap();
        let named = |suite: &'static str| {
            shake(&tls, "localhost", move |builder| {
                builder.set_verify(SslVerifyMode::NONE);
                builder
                    .set_max_proto_version(Some(SslVersion::TLS1_2))
                    .unwrap();
                builder.set_cipher_list(suite).unwrap();
            })
            .unwrap()
            .ssl()
            .peer_certificate()
            .unwrap()
            .public_key()
            .unwrap()
            .id()
        };
        assert_eq!(named("ECDHE-ECDSA-AES128-GCM-SHA256"), Id::EC);
        assert_eq!(named("AES128-SHA256"), Id::RSA);

        settings.rsa = pair;
        assert!(matches!(Tls::new(&settings), Err(TlsError::NotRsa(_))));
    }
}

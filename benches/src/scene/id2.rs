//! `Verify` over HTTP that stays connected, by kind of key, beside the server's simplest handler and
//! beside the bare RSA operation ([ID-1]).

use super::settle;
use crate::{
    broker::{Broker, Muster, cpu},
    report::{Report, Row},
};
use credential::{
    crypto::{digest::Hash, rsa::RsaPrivate},
    id2::{
        Id, Key, KeyType, SoftKey,
        device::{self, Form, Fresh},
        key::{CurveKey, RsaKey},
    },
};
use std::{
    fmt::Write as _,
    hint::black_box,
    net::SocketAddr,
    process::Command,
    time::{Instant, SystemTime},
};
use tests::http::{form, rpc_call};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::LocalSet,
};

/// So many that a sync of the disk, which all calls share that wait for it, is not what bounds them.
const CONNECTIONS: usize = 256;
/// Requests of each connection for the plain handler and keys that a device uses quickly.
const EACH: usize = 200;
/// For keys whose codes take long to make.
const EACH_SLOW: usize = 100;

/// What a run took.
struct Ran {
    rate: f64,
    /// Microseconds of the server's CPU.
    cpu_each: f64,
}

/// One row of rates and one of CPU for each kind.
pub(crate) async fn id2(muster: &mut Muster, report: &mut Report) {
    let product = muster.product.clone();
    let server = muster.server();
    server.cli(&["id2", "product", &product, "--licence", "100000"]);
    let key = server.key();
    let address = server.address("http");
    let plain = vec![vec![get(address, "/healthz"); EACH]; CONNECTIONS];
    let plain = run(muster, address, plain, b"").await;
    let named = format!("plain HTTP handler, {CONNECTIONS} connections");
    report.add(Row::new(named, plain.rate, "1/s"));
    report.add(Row::new("CPU per plain HTTP request", plain.cpu_each, "us"));
    let folder = tempfile::tempdir().expect("a folder");
    for (number, kind) in KeyType::ALL.into_iter().enumerate() {
        let (material, device): (Vec<u8>, Box<dyn Key>) = match kind {
            KeyType::Rsa1024 | KeyType::Rsa2048 => {
                let bits = if kind == KeyType::Rsa1024 { 1024 } else { 2048 };
                let own = RsaPrivate::generate(bits).expect("a key");
                let public = own.public_der().expect("its public half");
                (public, Box::new(RsaKey::new(kind, own).expect("it fits")))
            }
            KeyType::P256 | KeyType::Sm2 => {
                let own = CurveKey::new(kind, &[0x21; 32]).expect("it fits");
                (own.public().to_vec(), Box::new(own))
            }
            _ => {
                let len = kind.cipher().expect("it is symmetric").key_len();
                let bytes: Vec<u8> = (1..).take(len).collect();
                let own = SoftKey::new(kind, &bytes).expect("it fits");
                (bytes, Box::new(own))
            }
        };
        let hex = material.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let id = format!("21222324252627282900000{number}");
        let line = format!(
            "{{\"id\":\"{id}\",\"key_type\":\"{}\",\"key\":\"{hex}\"}}\n",
            kind.name()
        );
        let file = folder.path().join(&id);
        std::fs::write(&file, line).expect("a file");
        let file = file.to_str().expect("a plain path");
        muster.server().cli(&["id2", "import", &product, file]);
        let parsed = Id::parse(id.as_bytes()).expect("an identity");
        let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
        let now = now.as_millis().to_string();
        let request = |n: usize| {
            let mut code = [0; 1_024];
            let random = (n as u64).to_be_bytes();
            let fresh = Fresh::Timestamp(&now);
            let len = device::auth_code(
                &*device,
                &parsed,
                Form::Plain,
                fresh,
                None,
                random,
                &mut code,
            );
            let code = std::str::from_utf8(&code[..len.expect("a code")]).expect("text");
            let params = [
                ("ApiVersion", "1.1.2"),
                ("Id2", id.as_str()),
                ("ProductKey", product.as_str()),
                ("AuthCode", code),
            ];
            let call = form(&rpc_call(&key, "GET", "Verify", &params));
            get(address, &format!("/?{call}"))
        };
        let each = match kind.cipher() {
            Some(_) => EACH,
            None => EACH_SLOW,
        };
        let requests = (0..CONNECTIONS)
            .map(|c| (0..each).map(|n| request(c * each + n)).collect())
            .collect();
        let ran = run(muster, address, requests, b"\"Code\":200").await;
        let name = kind.name();
        let named = format!("Verify, {name}, {CONNECTIONS} connections");
        let rate = Row::new(named, ran.rate, "1/s");
        let mut rate = rate.beside("plain handler", plain.rate);
        if let Some(bare) = openssl_speed(kind) {
            rate = rate.beside("openssl speed", bare);
        }
        report.add(match kind.cipher() {
            Some(_) => rate.at_least(0.6 * plain.rate),
            None => rate,
        });
        let cost = Row::new(format!("CPU per Verify, {name}"), ran.cpu_each, "us");
        report.add(if kind == KeyType::Rsa2048 {
            let bare = bare_rsa();
            cost.beside("bare RSA-2048", bare)
                .at_most(1.5 * bare + plain.cpu_each)
        } else {
            cost
        });
    }
}

/// How often a second `openssl speed` does the bare operation on one core: a signature of that length
/// encrypted, or verified. None of SM2, which it knows by another name from version to version.
fn openssl_speed(kind: KeyType) -> Option<f64> {
    let name = match kind {
        KeyType::Aes128 => "aes-128-ecb",
        KeyType::Aes192 => "aes-192-ecb",
        KeyType::Aes256 => "aes-256-ecb",
        KeyType::TripleDes112 | KeyType::TripleDes168 => "des-ede3",
        KeyType::Sm4 => "sm4-ecb",
        KeyType::Rsa1024 => "rsa1024",
        KeyType::Rsa2048 => "rsa2048",
        KeyType::P256 => "ecdsap256",
        KeyType::Sm2 => return None,
    };
    let len = kind.signature_len();
    let mut command = Command::new("openssl");
    command.args(["speed", "-mr", "-seconds", "1"]);
    match kind.cipher() {
        Some(_) => command.args(["-bytes", &len.to_string(), "-evp", name]),
        None => command.arg(name),
    };
    let done = command.output().expect("tools/setup bench installs it");
    let said = String::from_utf8_lossy(&done.stdout);
    let line = said.lines().rfind(|line| line.starts_with("+F"))?;
    // The last figure: bytes a second, or verifications a second.
    let figure: f64 = line.rsplit(':').next()?.parse().ok()?;
    Some(match kind.cipher() {
        Some(_) => figure / len as f64,
        None => figure,
    })
}

/// Microseconds of one RSA-2048 verification, as `openssl speed` measures it.
fn bare_rsa() -> f64 {
    const TIMES: u32 = 5_000;
    let key = RsaPrivate::generate(2048).expect("a key");
    let public = key.public_der().expect("its public half");
    let public = credential::crypto::rsa::RsaPublic::from_der(&public).expect("it is read");
    let digest = Hash::Sha256.of(&[b"bench"]);
    let mut signature = [0; 256];
    key.sign(Hash::Sha256, digest.as_bytes(), &mut signature)
        .expect("it signs");
    let began = Instant::now();
    for _ in 0..TIMES {
        assert!(public.verifies(Hash::Sha256, digest.as_bytes(), black_box(&signature)));
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES)
}

/// A request as it goes over the wire.
fn get(address: SocketAddr, target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes()
}

/// Sends each connection's requests one after the other.
async fn run(
    muster: &Muster,
    address: SocketAddr,
    requests: Vec<Vec<Vec<u8>>>,
    wanted: &'static [u8],
) -> Ran {
    let many: usize = requests.iter().map(Vec::len).sum();
    // Connections are there before anything is counted.
    let mut streams = Vec::with_capacity(requests.len());
    for _ in &requests {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.set_nodelay(true).expect("a socket");
        ask(&mut stream, &get(address, "/healthz"), b"").await;
        streams.push(stream);
    }
    settle(muster.pid()).await;
    let (before, began) = (cpu(muster.pid()), Instant::now());
    let tasks = LocalSet::new();
    let running: Vec<_> = streams
        .into_iter()
        .zip(requests)
        .map(|(stream, requests)| tasks.spawn_local(connection(stream, requests, wanted)))
        .collect();
    tasks
        .run_until(async {
            for task in running {
                task.await.expect("a client that does not fail");
            }
        })
        .await;
    let rate = many as f64 / began.elapsed().as_secs_f64();
    Ran {
        rate,
        cpu_each: (cpu(muster.pid()) - before) / many as f64,
    }
}

async fn connection(mut stream: TcpStream, requests: Vec<Vec<u8>>, wanted: &'static [u8]) {
    for request in requests {
        ask(&mut stream, &request, wanted).await;
    }
}

async fn ask(stream: &mut TcpStream, request: &[u8], wanted: &[u8]) {
    stream.write_all(request).await.expect("it reads");
    let mut answer = Vec::with_capacity(1_024);
    let body = loop {
        let read = stream.read_buf(&mut answer).await.expect("it answers");
        assert!(read > 0, "the server closed");
        if let Some(body) = body(&answer) {
            break body;
        }
    };
    let right = wanted.is_empty() || body.windows(wanted.len()).any(|part| part == wanted);
    assert!(
        answer.starts_with(b"HTTP/1.1 200") && right,
        "{}",
        String::from_utf8_lossy(&answer)
    );
}

/// The body, once a head and as many bytes as it promises are there.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let (head, body) = (&answer[..head], &answer[head + 4..]);
    let length = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(15)?;
        let value = name
            .eq_ignore_ascii_case(b"content-length:")
            .then_some(value)?;
        std::str::from_utf8(value).ok()?.trim().parse().ok()
    });
    (body.len() >= length.unwrap_or(0_usize)).then_some(body)
}

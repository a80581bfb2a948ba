//! Firmware in an object store instead of the data folder, with a real one that checks signatures.

use serde_json::{Value, json};
use std::{net::SocketAddr, path::Path};
use tests::{Client, Server, http, server::App};

/// More than one part, and not a whole number of them.
fn content() -> Vec<u8> {
    (0..9_000_001_u32)
        .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect()
}

fn call(app: &mut Client, action: &str, params: Value) -> Value {
    let answer = app.call(action, &params);
    assert_eq!(answer["Success"], true, "{action}: {answer}");
    answer
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// Hands a file in as applications do, and gives back its address and what the server said.
fn upload(server: &Server, app: &mut Client, file: &[u8]) -> (String, http::Reply) {
    let ticket = call(app, "GenerateOTAUploadURL", json!({"FileSuffix": "bin"}));
    let ticket = &ticket["Data"];
    let mut body = Vec::new();
    for (name, field) in [
        ("key", "Key"),
        ("policy", "Policy"),
        ("OSSAccessKeyId", "OSSAccessKeyId"),
        ("Signature", "Signature"),
    ] {
        let value = text(&ticket[field]);
        let part = format!(
            "--frontier\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
        body.extend_from_slice(part.as_bytes());
    }
    body.extend_from_slice(
        b"--frontier\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n",
    );
    body.extend_from_slice(file);
    body.extend_from_slice(b"\r\n--frontier--\r\n");
    let form = "multipart/form-data; boundary=frontier".to_owned();
    let headers = [("Content-Type".to_owned(), form)];
    let at = server.address("http");
    let reply = http::request(at, "POST", "/upload", &headers, &body);
    (text(&ticket["FirmwareUrl"]), reply)
}

/// Hands a file in that must be taken, and makes a package of it.
fn firmware(
    server: &Server,
    app: &mut Client,
    product: &str,
    version: &str,
    file: &[u8],
) -> String {
    let (url, reply) = upload(server, app, file);
    assert_eq!(reply.status, 204, "{reply:?}");
    let params = json!({
        "FirmwareName": format!("fw {version}"), "DestVersion": version, "FirmwareUrl": url,
        "FirmwareSize": file.len(), "ProductKey": product,
    });
    text(&call(app, "CreateOTAFirmware", params)["Data"]["FirmwareId"])
}

/// The link under which a package is fetched, without the host.
fn link(app: &mut Client, firmware: &str) -> String {
    let found = call(app, "QueryOTAFirmware", json!({"FirmwareId": firmware}));
    let url = text(&found["FirmwareInfo"]["FirmwareUrl"]);
    let at = url.find("/download/");
    url[at.expect("a path")..].to_owned()
}

/// A part of a file, as bytes.
fn part(address: SocketAddr, target: &str, from: usize, to: usize) -> (u16, Vec<u8>) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let ask = format!(
        "GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nRange: bytes={from}-{to}\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).expect("a socket");
    let mut all = Vec::new();
    _ = stream.read_to_end(&mut all);
    let end = all
        .windows(4)
        .position(|w| w == b"\r\n\r\n")
        .expect("a head");
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let status = head.split(' ').nth(1).and_then(|s| s.parse().ok());
    (status.expect("a status"), all[end + 4..].to_vec())
}

fn local(server: &Server) -> usize {
    let folder = server.data().join("blobs");
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("fw-"))
        .count()
}

/// The firmware in the store, smallest first; reports of scans of it are there, too.
fn kept(store: &mut Client) -> (Vec<Value>, Value) {
    let there = store.ask(&json!({"do": "list"}))["answer"].clone();
    let files = there["files"].as_array().expect("a list");
    let firmware = |one: &&Value| text(&one["name"]).starts_with("files/fw-");
    let mut files: Vec<Value> = files.iter().filter(firmware).cloned().collect();
    files.sort_by_key(|one| one["size"].as_u64());
    (files, there["half"].clone())
}

fn settings(store: &Value, secret: &Path) -> Vec<String> {
    vec![
        format!("bucket.url=\"{}\"", text(&store["url"])),
        format!("bucket.key_id=\"{}\"", text(&store["key"])),
        format!("bucket.secret_file=\"{}\"", secret.display()),
        "bucket.timeout=5000".to_owned(),
    ]
}

/// [AL-4.1] [AL-4.2] Packages go to the store and come from it, whole or in parts, through the server's
/// own links; those of before stay readable; what is deleted is gone there; and when the store is
/// gone or does not know us, uploads are refused, downloads fail and the rest goes on.
#[test]
fn firmware_is_kept_in_an_object_store() {
    let mut store = Client::python_of("venv-s3", "s3_server.py");
    let ready = store.wait("ready");
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, text(&ready["secret"]) + "\n").expect("a file");

    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let mut app = server.app(App::Core, false);
    let before = firmware(&server, &mut app, &product, "1.0", b"of before");
    assert_eq!(local(&server), 1);
    server.stop();
    for setting in settings(&ready, &secret) {
        server.add_setting(&setting);
    }
    server.resume();
    let mut app = server.app(App::Core, false);
    let app = &mut app;
    let at = server.address("http");

    let file = content();
    let id = firmware(&server, app, &product, "2.0", &file);
    let small = firmware(&server, app, &product, "3.0", b"small");
    assert_eq!(local(&server), 1, "nothing more in the data folder");
    let (files, half) = kept(&mut store);
    let sizes: Vec<_> = files.iter().map(|one| one["size"].as_u64()).collect();
    assert_eq!(sizes, [Some(5), Some(file.len() as u64)], "{files:?}");
    assert_eq!(half, 0, "no parts are left");

    let target = link(app, &id);
    for (from, to) in [(0, 9), (8_388_600, 8_388_700), (8_999_990, 9_000_000)] {
        let (status, bytes) = part(at, &target, from, to);
        assert_eq!((status, &bytes[..]), (206, &file[from..=to]));
    }
    let (status, bytes) = part(at, &target, 0, file.len() - 1);
    assert!(status == 206 && bytes == file, "all of it");
    let old = link(app, &before);
    assert_eq!(part(at, &old, 3, 8), (206, b"before".to_vec()));

    call(app, "DeleteOTAFirmware", json!({"FirmwareId": id}));
    assert_eq!(kept(&mut store).0.len(), 1, "it is gone from there");

    // A key that the store does not take.
    let good = std::fs::read(&secret).expect("a file");
    std::fs::write(&secret, "another").expect("a file");
    server.stop();
    server.resume();
    let mut app = server.app(App::Core, false);
    let (_, reply) = upload(&server, &mut app, b"x");
    assert!(reply.status >= 500, "{reply:?}");
    assert!(
        server.log().contains("SignatureDoesNotMatch"),
        "{}",
        server.log()
    );
    std::fs::write(&secret, good).expect("a file");
    server.stop();
    server.resume();
    let mut app = server.app(App::Core, false);
    let app = &mut app;
    let target = link(app, &small);
    let at = server.address("http");
    assert_eq!(part(at, &target, 0, 4), (206, b"small".to_vec()));

    drop(store);
    let (_, reply) = upload(&server, app, b"x");
    assert!(reply.status >= 500, "{reply:?}");
    let (status, bytes) = part(at, &target, 0, 4);
    assert!(status >= 500 && bytes != b"small", "{status}");
    call(app, "QueryOTAFirmware", json!({"FirmwareId": small}));
}

//! Firmware scanning from outside: the vendor's six actions, the command line, and what holds a
//! campaign (seed 000 §1.2).

use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    thread,
};
use tests::{
    Client, Server, eventually,
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::Version;

/// An image with a vulnerable OpenSSL, an account without password and a file with a bad name.
fn image() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put("etc/passwd", "root::0:0:root:/root:/bin/sh\n");
    put("etc/<b>.conf", "x\n");
    put(
        "usr/lib/opkg/status",
        "Package: libopenssl1.0\nVersion: 1.0.1f\nStatus: install ok installed\n\n",
    );
    let out = std::process::Command::new("tar")
        .args(["--sort=name", "--mtime=@0", "-cf", "-", "-C"])
        .arg(folder.path())
        .args(["etc", "usr"])
        .output()
        .unwrap();
    assert!(out.status.success());
    out.stdout
}

/// Serves answers at paths, each `(path, status line and headers, body)`, on a port of its own.
fn host(answers: Vec<(&'static str, String, Vec<u8>)>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head);
            let path = head.split(' ').nth(1).unwrap_or_default();
            let found = answers.iter().find(|(at, _, _)| *at == path);
            let answer = found.map_or_else(
                || b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
                |(_, head, body)| {
                    let head = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len());
                    [head.as_bytes(), body].concat()
                },
            );
            _ = stream.write_all(&answer);
        }
    });
    address
}

fn feeds(server: &Server) {
    let folder = tests::root().join("crates/scan/tests/vulns");
    for name in ["nvd20-firmware-subset.json.gz", "kev.json.gz"] {
        let path = folder.join(name);
        server.cli(&["vulns", "import", path.to_str().unwrap()]);
    }
}

fn ask(app: &mut Client, action: &str, params: Value, code: u64) -> Value {
    let told = app.ask(&json!({"action": action, "params": params, "common": true}));
    let answer = if told.get("error").is_some() {
        &told["data"]
    } else {
        &told["answer"]
    };
    assert_eq!(answer["Code"], code, "{action}: {told}");
    assert!(answer["RequestId"].is_string(), "{action}: {told}");
    answer.clone()
}

fn ended(app: &mut Client, task: &str) -> Value {
    eventually("the scan ends", || {
        let told = ask(app, "QueryTaskStatus", json!({"TaskId": task}), 200);
        let state = told["Data"]["ScanStatus"].as_str().unwrap().to_owned();
        let over = ["_FAILED", "_EXCEPTION", "_COMPLETE"];
        let over = over.iter().any(|end| state.ends_with(end)) && !state.contains("PARSE");
        over.then(|| told["Data"].clone())
    })
}

fn fetched(url: &str) -> (u16, String) {
    let rest = url.split_once("://").unwrap().1;
    let (address, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).unwrap().parse().unwrap();
    (status, text)
}

fn with_links(settings: &[&str]) -> Server {
    let mut all = vec!["listen.https.off=true"];
    all.extend(settings);
    Server::start_with(&all)
}

/// [FS-1] [FS-2] [FS-3] [FS-4] A file is fetched, scanned and reported, through the vendor's own
/// clients; the links open without a login, and what an image holds is only text behind them.
#[test]
fn a_file_is_scanned_through_the_vendors_api() {
    let address = host(vec![
        ("/fw.bin", "200 OK".into(), image()),
        (
            "/moved.bin",
            "302 Found\r\nLocation: /fw.bin".into(),
            Vec::new(),
        ),
    ]);
    let mut server = with_links(&["limits.scan_hosts=[\"127.0.0.1\"]"]);
    feeds(&server);
    for (sdk, name) in [(App::Core, "fw.bin"), (App::Pop, "moved.bin")] {
        let mut app = server.app(sdk, false);
        let new = json!({
            "FwName": "摄像头", "FwVersion": "1.0", "FwUrl": format!("http://{address}/{name}"),
            "FwId": format!("id-{name}"), "DetectionRuleCodes": "CPoC2_2",
        });
        let made = ask(&mut app, "CreateScanTask", new.clone(), 200);
        assert_eq!(made["Message"], "成功");
        let task = made["Data"]["TaskId"].as_str().unwrap().to_owned();
        assert_eq!(task.len(), 32);
        ask(&mut app, "CreateScanTask", new, 303);
        let status = ended(&mut app, &task);
        assert_eq!(
            status["ScanStatus"], "SCAN_STATUS_SCAN_COMPLETE",
            "{status}"
        );
        assert_eq!(status["ScannedRate"], "100.0");
        let told = ask(&mut app, "QueryTaskReport", json!({"TaskId": task}), 200);
        let report: Value =
            serde_json::from_str(told["Data"]["ReportJson"].as_str().unwrap()).unwrap();
        assert_eq!(report["fwBasicInfo"]["fwFileSize"], image().len());
        let text = report.to_string();
        assert!(text.contains("CVE-2014-0160") && text.contains("EmptyPassword"));
        assert_eq!(
            report["detectionRuleResult"][0]["classification"],
            "CPoC2_2"
        );
        let urls = ask(
            &mut app,
            "QueryTaskReportUrls",
            json!({"TaskId": task}),
            200,
        );
        let (code, page) = fetched(urls["Data"]["HtmlURL"].as_str().unwrap());
        assert_eq!(code, 200);
        let head = page.split("\r\n\r\n").next().unwrap().to_lowercase();
        assert!(
            head.contains("content-type: text/html") && head.contains("default-src 'none'"),
            "{head}"
        );
        assert!(page.contains("&lt;b&gt;.conf") || !page.contains("<b>.conf"));
        assert_eq!(fetched(urls["Data"]["JsonURL"].as_str().unwrap()).0, 200);
        let forged = urls["Data"]["JsonURL"]
            .as_str()
            .unwrap()
            .replace("Expires=1", "Expires=2");
        assert_eq!(fetched(&forged).0, 403);
        let licence = ask(&mut app, "QueryLicense", json!({}), 200);
        assert_eq!(licence["Data"]["ScanningCount"], 0);
        assert!(licence["Data"]["UsedCount"].as_u64().unwrap() >= 1);
        ask(&mut app, "DeleteScanTask", json!({"TaskId": task}), 200);
        for action in [
            "DeleteScanTask",
            "QueryTaskStatus",
            "QueryTaskReport",
            "QueryTaskReportUrls",
        ] {
            ask(&mut app, action, json!({"TaskId": task}), 304);
        }
        assert_eq!(fetched(urls["Data"]["JsonURL"].as_str().unwrap()).0, 404);
    }
}

/// [FS-1] [FS-7] What may not be is refused with its number, before anything is fetched or after.
#[test]
fn what_may_not_be_is_refused_with_its_number() {
    let address = host(vec![
        ("/large.bin", "200 OK".into(), vec![7; 200_000]),
        (
            "/page.bin",
            "200 OK".into(),
            b"<!DOCTYPE html><html></html>".to_vec(),
        ),
        ("/small.bin", "200 OK".into(), vec![7; 2_000]),
        ("/empty.bin", "200 OK".into(), Vec::new()),
        (
            "/inside.bin",
            "302 Found\r\nLocation: http://169.254.169.254/latest".into(),
            Vec::new(),
        ),
        (
            "/loop.bin",
            "302 Found\r\nLocation: /loop.bin".into(),
            Vec::new(),
        ),
    ]);
    let mut server = with_links(&[
        "limits.scan_hosts=[\"127.0.0.1\", \"*.localhost\"]",
        "limits.scan_file=100000",
        "limits.scans=1",
    ]);
    let mut app = server.app(App::Core, false);
    let good = format!("http://{address}/none.bin");
    for (params, code) in [
        (json!({}), 600),
        (json!({"FwUrl": good, "FwName": "x".repeat(51)}), 600),
        (json!({"FwUrl": good, "FwVersion": "版".repeat(17)}), 600),
        (json!({"FwUrl": good, "FwId": "x".repeat(65)}), 600),
        (json!({"FwUrl": good, "DetectionRuleCodes": "CPoC2_4"}), 600),
        (json!({"FwUrl": good, "Email": "nobody"}), 603),
        (json!({"FwUrl": "http://127.0.0.1/manual.pdf"}), 601),
        (json!({"FwUrl": "http://192.168.1.1/fw.bin"}), 450),
        (json!({"FwUrl": "file:///etc/passwd"}), 450),
    ] {
        ask(&mut app, "CreateScanTask", params, code);
    }
    // Reached in the end, or not; none of them counts.
    for (url, state) in [
        (good.clone(), "SCAN_STATUS_DOWNLOAD_FAILED"),
        (
            format!("http://{address}/large.bin"),
            "SCAN_STATUS_DOWNLOAD_FAILED",
        ),
        (
            format!("http://{address}/empty.bin"),
            "SCAN_STATUS_DOWNLOAD_FAILED",
        ),
        (
            format!("http://{address}/inside.bin"),
            "SCAN_STATUS_DOWNLOAD_FAILED",
        ),
        (
            format!("http://{address}/loop.bin"),
            "SCAN_STATUS_DOWNLOAD_FAILED",
        ),
        (
            format!("http://x.localhost:{}/fw.bin", address.port()),
            "SCAN_STATUS_DOWNLOAD_FAILED",
        ),
        (
            format!("http://{address}/page.bin"),
            "SCAN_STATUS_SCAN_EXCEPTION",
        ),
    ] {
        let made = ask(&mut app, "CreateScanTask", json!({"FwUrl": url}), 200);
        let task = made["Data"]["TaskId"].as_str().unwrap().to_owned();
        let status = ended(&mut app, &task);
        assert_eq!(status["ScanStatus"], state, "{url}: {status}");
        ask(&mut app, "QueryTaskReport", json!({"TaskId": task}), 453);
        ask(
            &mut app,
            "QueryTaskReportUrls",
            json!({"TaskId": task}),
            453,
        );
    }
    let licence = ask(&mut app, "QueryLicense", json!({}), 200);
    assert_eq!(licence["Data"]["UsedCount"], 0, "{licence}");
    assert_eq!(licence["Data"]["MaxCount"], 1);
    // One that comes to a report does, and was the last.
    let small = json!({"FwUrl": format!("http://{address}/small.bin")});
    let made = ask(&mut app, "CreateScanTask", small, 200);
    let status = ended(&mut app, made["Data"]["TaskId"].as_str().unwrap());
    assert_eq!(
        status["ScanStatus"], "SCAN_STATUS_SCAN_COMPLETE",
        "{status}"
    );
    ask(
        &mut app,
        "CreateScanTask",
        json!({"FwUrl": good, "FwId": "new"}),
        300,
    );
}

/// [FS-8] A sub-user with the read-only policy reads and changes nothing.
#[test]
fn policies_say_who_may_scan() {
    let mut server = with_links(&[]);
    server.cli(&["user", "create", "reader"]);
    server.cli(&["user", "attach", "reader", "AliyunFssReadOnlyAccess"]);
    let key = server.cli(&["key", "create", "--user", "reader"]);
    server.use_key(tests::server::key_of(&key));
    let mut app = server.app(App::Core, false);
    ask(&mut app, "QueryLicense", json!({}), 200);
    ask(
        &mut app,
        "QueryTaskStatus",
        json!({"TaskId": "0".repeat(32)}),
        304,
    );
    ask(
        &mut app,
        "CreateScanTask",
        json!({"FwUrl": "https://a.aliyuncs.com/x"}),
        357,
    );
    ask(
        &mut app,
        "DeleteScanTask",
        json!({"TaskId": "0".repeat(32)}),
        357,
    );
}

/// [FS-8] A sub-user with the full policy may do everything, and nothing beside it.
#[test]
fn a_scanner_scans_and_does_nothing_else() {
    let mut server = with_links(&[]);
    server.cli(&["user", "create", "scanner"]);
    server.cli(&["user", "attach", "scanner", "AliyunFSSFullAccess"]);
    let key = server.cli(&["key", "create", "--user", "scanner"]);
    server.use_key(tests::server::key_of(&key));
    let mut app = server.app(App::Core, false);
    let elsewhere = json!({"FwUrl": "https://files.example.com/fw.bin"});
    ask(&mut app, "CreateScanTask", elsewhere, 450);
    let unknown = json!({"TaskId": "0".repeat(32)});
    ask(&mut app, "DeleteScanTask", unknown, 304);
    let products = json!({"CurrentPage": 1, "PageSize": 10});
    let request = json!({"action": "QueryProductList", "params": products, "common": true});
    let told = app.ask(&request).to_string();
    assert!(!told.contains("\"Success\":true"), "{told}");
    assert!(
        told.contains("Forbidden") || told.contains("NoPermission"),
        "{told}"
    );
}

/// An exception is signed by who has the right to, and by nobody else.
#[test]
fn an_exception_is_not_for_everybody() {
    let server = Server::start();
    let https = server.address("https");
    let sign = |policy: &str| {
        server.cli(&["user", "create", policy]);
        server.cli(&["user", "attach", policy, policy]);
        let key = tests::server::key_of(&server.cli(&["key", "create", "--user", policy]));
        let output = std::process::Command::new(tests::program("muster"))
            .args(["fleet", "except", "nothing", "--reason", "no network"])
            .args(["--days", "3", "--url", &format!("https://{https}"), "--ca"])
            .arg(server.ca())
            .env("MUSTER_ACCESS_KEY_ID", &key.id)
            .env("MUSTER_ACCESS_KEY_SECRET", &key.secret)
            .output()
            .unwrap();
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let told = sign("AliyunFssReadOnlyAccess");
    assert!(told.contains("fss:SignException"), "{told}");
    let told = sign("AliyunFSSFullAccess");
    assert!(
        !told.contains("fss:SignException"),
        "the package is looked for: {told}"
    );
}

fn uploaded(server: &Server, product: &str, version: &str, file: &Path) -> String {
    let words = [
        "firmware",
        "upload",
        product,
        version,
        file.to_str().unwrap(),
        "--no-verify",
    ];
    server.cli(&words)["id"].as_str().unwrap().to_owned()
}

/// Firmware is scanned when it is uploaded; a policy holds its campaign until somebody signs; a
/// scan that a crash cut short is done after the next start; from a CVE one comes to the firmware;
/// a feed that comes later is matched without a new scan.
#[test]
fn the_fleet_knows_what_it_runs() {
    let mut server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fw.bin");
    fs::write(&file, image()).unwrap();
    let (product, _) = server.product("camera");
    let secret = server.device(&product, "front");
    server.cli(&["fleet", "policy", "--severity", "high", "--exploited"]);
    let firmware = uploaded(&server, &product, "2.0", &file);
    server.kill();
    server.resume();
    let told = eventually("the firmware is scanned", || {
        let told = server.cli(&["fleet", "firmware", &firmware]);
        (told["scans"][0]["state"] == "done").then_some(told)
    });
    assert_eq!(told["verdict"], "held", "{told}");
    let campaign = server.cli(&["campaign", "create", &firmware, &product]);
    assert_eq!(campaign["state"], "planned", "{campaign}");
    assert_eq!(server.cli(&["fleet", "cve", "CVE-2014-0160"])["devices"], 0);

    let shown = server.cli(&["campaign", "show", campaign["id"].as_str().unwrap()]);
    assert!(shown["held"][0].is_string(), "it says why: {shown}");

    // A device says that it runs it.
    let login = Login::signed(&product, "front", &secret, ",_ss=1");
    let mut line = Mqtt::open(server.address("mqtt"), None, Version::V311);
    line.connect(&login, true, 600);
    let inform = format!("/ota/device/inform/{product}/front");
    line.publish_acknowledged(&inform, br#"{"id":"1","params":{"version":"2.0"}}"#);

    // The server sees the feeds by itself.
    feeds(&server);
    let news = eventually("what became known is told", || {
        let told = server.cli(&["fleet", "news"]);
        let known = told["items"].as_array().unwrap().iter().any(|news| {
            let all = news["vulnerabilities"].as_array().unwrap();
            all.iter().any(|one| one["cve"] == "CVE-2014-0160") && news["devices"] == 1
        });
        known.then_some(told)
    });
    assert_eq!(news["items"][0]["firmware"], firmware, "{news}");
    let openssl = server.cli(&["fleet", "component", "openssl"]);
    assert_eq!(openssl["items"][0]["firmware"], firmware, "{openssl}");
    let exposed = server.cli(&["fleet", "cve", "cve-2014-0160"]);
    assert_eq!(exposed["items"][0]["firmware"], firmware, "{exposed}");
    assert_eq!(exposed["items"][0]["exploited"], true);
    assert_eq!(exposed["devices"], 1, "{exposed}");

    server.cli(&[
        "fleet",
        "except",
        &firmware,
        "--reason",
        "no network",
        "--days",
        "3",
    ]);
    assert_eq!(
        server.cli(&["fleet", "firmware", &firmware])["verdict"],
        "excepted"
    );
    let id = campaign["id"].as_str().unwrap();
    let begun = eventually("the campaign begins", || {
        let told = server.cli(&["campaign", "show", id]);
        (told["state"] != "planned").then_some(told)
    });
    assert_eq!(begun["exception"]["reason"], "no network", "{begun}");
    let scan = told["scans"][0]["id"].as_str().unwrap();
    let page = server
        .cli_raw(&["fleet", "report", scan, "--format", "cyclonedx"])
        .1;
    assert!(page.contains("CVE-2014-0160"), "{page:.300}");
}

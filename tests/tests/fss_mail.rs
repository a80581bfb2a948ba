//! Who is written to when a scan is over ([FS-7]), over a real mail server (aiosmtpd).

use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
};
use tests::{Client, Server, eventually, server::App};

fn mailbox() -> Client {
    Client::python_of("venv-documents", "mailbox.py")
}

/// A port that is free now.
fn port() -> u16 {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    free.local_addr().unwrap().port()
}

fn run(folder: &Path, line: &str) {
    let out = Command::new("sh")
        .args(["-ec", line])
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(out.status.success(), "{line}: {out:?}");
}

/// Puts a small image in line, of which somebody is to be told.
fn scan(server: &Server, name: &str, email: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("fw.bin");
    fs::write(
        &file,
        format!("{name}: no firmware at all, but it is scanned\n"),
    )
    .unwrap();
    let words = [
        "fleet",
        "scan",
        file.to_str().unwrap(),
        "--name",
        name,
        "--email",
        email,
    ];
    server.cli(&words)["id"].as_str().unwrap().to_owned()
}

/// Status of what is behind an address.
fn fetched(url: &str) -> u16 {
    let rest = url.split_once("://").unwrap().1;
    let (address, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let answer = String::from_utf8_lossy(&answer);
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

fn links(letter: &Value) -> Vec<String> {
    let text = letter["text"].as_str().unwrap();
    let links = text
        .split_whitespace()
        .filter(|word| word.starts_with("http://"));
    links.map(str::to_owned).collect()
}

/// [FS-7] The end of a scan that the vendor's API was asked for is told by mail, in Chinese, with
/// links to the report that end; one that failed is told as well, in the words of its failure.
#[test]
fn the_end_of_a_scan_is_told_by_mail() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n > 0) {
                head.push(byte[0]);
            }
            let found = head.starts_with(b"GET /fw.bin ");
            let status = if found { "200 OK" } else { "404 Not Found" };
            let text = "some firmware";
            _ = write!(
                stream,
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            );
        }
    });
    let (mut mailbox, port) = (mailbox(), port());
    mailbox.order(&json!({"do": "open", "port": port}));
    mailbox.wait("open");
    let mut server = Server::start_with(&[
        "listen.https.off=true",
        "limits.scan_hosts=[\"127.0.0.1\"]",
        "limits.link_life=60000",
        "mail.server=\"127.0.0.1\"",
        &format!("mail.port={port}"),
        "mail.tls=\"none\"",
        "mail.from=\"Muster <muster@example.com>\"",
    ]);
    let mut app = server.app(App::Core, false);
    for (path, subject) in [
        ("fw.bin", "固件安全检测完成: 摄像头 1.0"),
        ("none.bin", "固件安全检测失败: 摄像头 1.0"),
    ] {
        let new = json!({
            "FwName": "摄像头", "FwVersion": "1.0", "FwUrl": format!("http://{host}/{path}"),
            "Email": "li@example.com",
        });
        let told = app.ask(&json!({"action": "CreateScanTask", "params": new, "common": true}));
        let task = told["answer"]["Data"]["TaskId"]
            .as_str()
            .unwrap_or_else(|| panic!("{told}"));
        let letter = mailbox.wait("letter");
        assert_eq!(letter["subject"], subject, "{letter}");
        assert_eq!(letter["sender"], "muster@example.com");
        assert_eq!(letter["to"], json!(["li@example.com"]));
        let text = letter["text"].as_str().unwrap();
        assert!(text.contains(task), "{text}");
        let links = links(&letter);
        if path == "fw.bin" {
            assert_eq!(links.len(), 3, "{text}");
            for link in links {
                assert_eq!(fetched(&link), 200, "{link}");
            }
        } else {
            assert!(links.is_empty() && text.contains("404"), "{text}");
        }
    }
}

/// [FS-7] While the mail server is away or refuses, scans go on; the letter waits, outlives a restart
/// of ours, and is carried once the server takes it, once.
#[test]
fn a_letter_waits_for_the_mail_server() {
    let (mut mailbox, port) = (mailbox(), port());
    let mut server = Server::start_with(&[
        "listen.https.off=true",
        "mail.server=\"127.0.0.1\"",
        &format!("mail.port={port}"),
        "mail.tls=\"none\"",
        "mail.from=\"muster@example.com\"",
        "mail.language=\"en\"",
        "mail.retry=200",
    ]);
    let first = scan(&server, "first", "li@example.com");
    eventually("the scan is over without a mail server", || {
        (server.cli(&["fleet", "show", &first])["state"] == "done").then_some(())
    });
    let second = scan(&server, "second", "li@example.com");
    eventually("the next one, too", || {
        (server.cli(&["fleet", "show", &second])["state"] == "done").then_some(())
    });
    server.kill();
    mailbox.order(&json!({"do": "open", "port": port}));
    mailbox.wait("open");
    mailbox.order(&json!({"do": "refuse", "code": "451 later"}));
    mailbox.wait("refuse");
    server.resume();
    mailbox.wait("refused");
    mailbox.order(&json!({"do": "take"}));
    mailbox.wait("take");
    let mut told: Vec<String> = (0..2)
        .map(|_| {
            mailbox.wait("letter")["subject"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    told.sort();
    assert_eq!(
        told,
        ["Firmware scan done: first", "Firmware scan done: second"]
    );
    // One that comes last shows that nothing came twice before it.
    scan(&server, "third", "li@example.com");
    assert_eq!(
        mailbox.wait("letter")["subject"],
        "Firmware scan done: third"
    );
    assert!(mailbox.seen(|event| event["event"] == "letter").is_none());
}

/// [FS-7] Over TLS, from the start or from STARTTLS on, with a login; a certificate of a stranger's
/// authority gets neither a password nor a letter. The doctor says which it is.
#[test]
fn mail_goes_over_tls_to_whom_we_trust() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["our", "other"] {
        run(
            folder.path(),
            &format!(
                "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} \
                 -keyout {name}-ca.key -out {name}-ca.pem 2>/dev/null; \
                 openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {name}.key \
                 -out {name}.csr 2>/dev/null; \
                 echo 'subjectAltName=DNS:localhost,IP:127.0.0.1' > ext; \
                 openssl x509 -req -days 2 -in {name}.csr -CA {name}-ca.pem -CAkey {name}-ca.key \
                 -CAcreateserial -extfile ext -out {name}.pem 2>/dev/null"
            ),
        );
    }
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(folder.path().join("password"), "h u$h\n").unwrap();
    for implicit in [false, true] {
        let (mut mailbox, port) = (mailbox(), port());
        let open = |name: &str| {
            json!({
                "do": "open", "port": port, "certificate": path(&format!("{name}.pem")),
                "key": path(&format!("{name}.key")), "implicit": implicit, "user": "muster",
                "password": "h u$h",
            })
        };
        mailbox.order(&open("other"));
        mailbox.wait("open");
        let settings = [
            "mail.server=\"localhost\"".to_owned(),
            format!("mail.port={port}"),
            format!(
                "mail.tls=\"{}\"",
                if implicit { "implicit" } else { "starttls" }
            ),
            format!("mail.ca=\"{}\"", path("our-ca.pem")),
            "mail.user=\"muster\"".to_owned(),
            format!("mail.password_file=\"{}\"", path("password")),
            "mail.from=\"muster@example.com\"".to_owned(),
            "mail.retry=200".to_owned(),
        ];
        let settings = settings.each_ref().map(String::as_str);
        let server = Server::start_with(&settings);
        let doctor = || {
            let mut words = vec!["doctor"];
            words.extend(settings.iter().flat_map(|setting| ["--set", setting]));
            server.cli_raw(&words).1
        };
        scan(&server, "camera", "li@example.com");
        eventually("the certificate is refused", || {
            let log = server.log();
            log.contains("waits for the mail server").then_some(())
        });
        assert!(mailbox.seen(|event| event["event"] == "letter").is_none());
        let told = doctor();
        assert!(told.contains("certificate verify failed"), "{told}");
        mailbox.order(&json!({"do": "close"}));
        mailbox.wait("close");
        mailbox.order(&open("our"));
        mailbox.wait("open");
        let letter = mailbox.wait("letter");
        assert_eq!(
            (&letter["tls"], &letter["user"]),
            (&json!(true), &json!("muster"))
        );
        let told = doctor();
        assert!(told.contains("takes our login"), "{told}");
        assert!(!server.log().contains("h u$h"), "a password in the log");
    }
}

//! The page of the manual on ID², played as it stands, line by line, in a shell.

#[path = "../../crates/device-c/tests/c/compile.rs"]
mod compile;

use compile::{SANITIZERS, compile};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};
use tempfile::TempDir;
use tests::{
    Server,
    http::{rpc_call, send_rpc},
    program, root,
};

/// The commands of a section of the page, without their comments.
fn commands(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/guide/id2.md")).expect("the page");
    let (_, rest) = page
        .split_once(&format!("\n## {heading}\n"))
        .expect("the section");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let blocks = section.split("```sh\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let lines = blocks.flat_map(str::lines);
    lines
        .map(|line| {
            line.split("  #")
                .next()
                .unwrap_or_default()
                .trim()
                .to_owned()
        })
        .filter(|line| !line.is_empty())
        .collect()
}

/// Somebody who reads the page, and types what it says.
struct Reader {
    folder: TempDir,
    /// What the words in capitals stand for.
    known: BTreeMap<&'static str, String>,
    /// What was exported.
    exported: String,
}

impl Reader {
    fn new(server: &Server) -> Self {
        let folder = TempDir::new().expect("a folder");
        let sdk = root().join("crates/device-c");
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).expect("a folder");
        compile(&sdk, &bin, "id2_demo", &["examples/id2_demo.c"], SANITIZERS);
        // A server of the manual has its data where the program looks.
        let (muster, data) = (program("muster"), server.data());
        let text = format!(
            "#!/bin/sh\nexec '{}' \"$@\" --data '{}'\n",
            muster.display(),
            data.display()
        );
        let script = bin.join("muster");
        fs::write(&script, text).expect("a file");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).expect("it is ours");
        Self {
            folder,
            known: BTreeMap::new(),
            exported: String::new(),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The line with what its words in capitals stand for.
    fn told(&self, line: &str) -> String {
        let mut out = String::new();
        let mut word = String::new();
        for c in line.chars().chain(['\n']) {
            if c.is_ascii_alphanumeric() || c == '_' {
                word.push(c);
                continue;
            }
            let known = self.known.get(word.as_str());
            out.push_str(known.unwrap_or(&word));
            word.clear();
            out.push(c);
        }
        let bench = self.path("bench");
        out.trim_end()
            .replace("/tmp/bench", bench.to_str().expect("text"))
    }

    fn start(&self, line: &str) -> Child {
        let path = std::env::var("PATH").expect("there is one");
        let path = format!("{}:{path}", self.path("bin").display());
        Command::new("bash")
            .args(["-c", &format!("{}{}", self.exported, self.told(line))])
            .current_dir(self.folder.path())
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("there is a shell")
    }

    /// What a line prints; it must succeed.
    fn types(&self, line: &str) -> String {
        let mut child = self.start(line);
        drop(child.stdin.take());
        let done = child.wait_with_output().expect("it ends");
        let said = String::from_utf8(done.stdout).expect("text");
        assert!(done.status.success(), "{}: {said}", self.told(line));
        said.trim_end().to_owned()
    }
}

/// What stands behind a heading of a card.
fn field(card: &str, heading: &str) -> String {
    let line = card.lines().find_map(|line| line.strip_prefix(heading));
    line.unwrap_or_else(|| panic!("no {heading:?} in {card}"))
        .trim()
        .to_owned()
}

/// The verdict of the server on a code.
fn verify(server: &mut Server, product: &str, id: &str, code: &str) -> Value {
    let key = server.key();
    let params = [
        ("ApiVersion", "1.1.2"),
        ("Id2", id),
        ("ProductKey", product),
        ("AuthCode", code),
    ];
    let call = rpc_call(&key, "GET", "Verify", &params);
    send_rpc(server.address("http"), "GET", &call).json()
}

/// [ID-5] [ID-6] [ID-9] From an empty bench to a device that proves itself, as the manual says it.
#[test]
fn the_manual_leads_from_an_empty_bench_to_a_device_that_proves_itself() {
    let mut server = Server::start();
    let mut reader = Reader::new(&server);
    let mut waits: Option<(Child, BufReader<ChildStdout>)> = None;
    let mut examined = false;
    for line in commands("From an empty bench to a device that proves itself") {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["export", ..] => {
                reader.types(&line);
                reader.exported = format!("{}\n", reader.told(&line));
            }
            ["id2_demo", "otp", _] => {
                let mut child = reader.start(&line);
                let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
                let mut asked = String::new();
                stdout.read_line(&mut asked).expect("text");
                reader.known.insert("REQUEST", asked.trim_end().to_owned());
                waits = Some((child, stdout));
            }
            ["echo", "PROVISION_DATA", ..] => {
                let data = reader.types(&line);
                let (mut child, mut stdout) = waits.take().expect("it waits in the first shell");
                let mut stdin = child.stdin.take().expect("a pipe");
                writeln!(stdin, "{data}").expect("it reads");
                let mut said = String::new();
                stdout.read_to_string(&mut said).expect("text");
                assert!(child.wait().expect("it ends").success(), "{said}");
                assert_eq!(said.trim_end(), reader.known["ID2"]);
            }
            _ => {
                let said = reader.types(&line);
                let mut learns = |word, told| {
                    reader.known.insert(word, told);
                };
                match words[..] {
                    ["muster", "product", ..] => learns("PRODUCT_KEY", field(&said, "Product key")),
                    ["muster", "id2", "token", ..] => learns("TOKEN", field(&said, "Token")),
                    ["echo", "REQUEST", ..] => learns("BASE64", said),
                    ["muster", "id2", "issue", ..] => {
                        learns("ID2", field(&said, "ID²"));
                        learns("PROVISION_DATA", field(&said, "Provision data"));
                    }
                    ["id2_demo", "timestamp", ..] => learns("AUTH_CODE", said),
                    ["muster", "id2", "examine", ..] => examined = true,
                    _ => {}
                }
            }
        }
    }
    // Examining used nothing up; the first proof activates.
    assert!(examined, "the section ends with a code that is examined");
    let known = &reader.known;
    let (product, id, code) = (&known["PRODUCT_KEY"], &known["ID2"], &known["AUTH_CODE"]);
    assert_eq!(server.cli(&["id2", "show", id])["state"], "issued");
    let told = verify(&mut server, product, id, code);
    assert_eq!((&told["Code"], &told["Data"]), (&200.into(), &true.into()));
    assert_eq!(server.cli(&["id2", "show", id])["state"], "active");
}

/// [ID-9] A batch for a production line, as the manual says it: the line's key opens the file, and what
/// is in it is installed in a device, which proves itself.
#[test]
fn the_manual_leads_a_batch_to_a_production_line() {
    let mut server = Server::start();
    let mut reader = Reader::new(&server);
    let (product, _) = server.product("thermometer");
    server.cli(&["id2", "product", &product, "--licence", "1000"]);
    reader.known.insert("PRODUCT_KEY", product.clone());
    let mut file = String::new();
    for line in commands("A production line") {
        let said = reader.types(&line);
        if line.starts_with("openssl ") {
            let open = "muster id2 open batch-1.pem --key line7.key";
            let ours = reader.types(open);
            assert_eq!(said.replace('\r', ""), ours);
            file = ours;
        }
    }
    assert_eq!(file.lines().count(), 500);
    let key = reader.path("line7.key");
    let mode = |path: &Path| {
        fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode()
    };
    assert_eq!(mode(&key) & 0o77, 0, "the line's key is the line's alone");
    let item: Value = serde_json::from_str(file.lines().next().expect("a line")).expect("JSON");
    let told = |field: &str| item[field].as_str().expect("text").to_owned();
    assert_eq!(told("key_type"), "aes-128");
    reader.exported = format!(
        "export MUSTER_DEVICE_DIR={}\n",
        reader.path("line").display()
    );
    let id = told("id");
    let installed = reader.types(&format!("id2_demo set {id} 2 {}", told("key")));
    assert_eq!(installed, id);
    let code = reader.types("id2_demo timestamp $(date +%s%3N)");
    let told = verify(&mut server, &product, &id, &code);
    assert_eq!(told["Data"], true, "{told}");
}

//! Keys of identities in a PKCS#11 token of the server: SoftHSM 2, a real implementation of the
//! interface in software.

use base64::{Engine, engine::general_purpose::STANDARD};
use credential::id2::{
    Id, KeyType, SoftKey,
    device::{self, Form, Fresh},
    otp::{self, Session, Token},
};
use serde_json::Value;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::{Instant, SystemTime},
};
use tempfile::TempDir;
use tests::{
    PATIENCE, Server,
    http::{rpc_call, send_rpc},
    server::text,
};

const PLACES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
];

/// A folder of tokens with one in it.
struct Hsm {
    folder: TempDir,
}

impl Hsm {
    fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let hsm = Self { folder };
        fs::create_dir(hsm.tokens()).expect("a folder");
        let text = format!("directories.tokendir = {}\n", hsm.tokens().display());
        fs::write(hsm.conf(), text).expect("a file");
        fs::write(hsm.pin(), "1234\n").expect("a file");
        let mine = fs::Permissions::from_mode(0o600);
        fs::set_permissions(hsm.pin(), mine).expect("it is ours");
        let done = Command::new("softhsm2-util")
            .args(["--init-token", "--free", "--label", "bench"])
            .args(["--pin", "1234", "--so-pin", "5678"])
            .env("SOFTHSM2_CONF", hsm.conf())
            .output()
            .expect("tools/setup device installs SoftHSM");
        assert!(done.status.success(), "{done:?}");
        hsm
    }

    fn tokens(&self) -> PathBuf {
        self.folder.path().join("tokens")
    }

    fn conf(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn pin(&self) -> PathBuf {
        self.folder.path().join("pin")
    }

    /// What a server that uses it is set up with.
    fn settings(&self) -> [String; 4] {
        let library = PLACES.iter().find(|path| Path::new(path).exists());
        let library = library.expect("tools/setup device installs SoftHSM");
        [
            format!("pkcs11.module=\"{library}\""),
            "pkcs11.token=\"bench\"".into(),
            format!("pkcs11.pin_file=\"{}\"", self.pin().display()),
            // `back` asks as fast as it can, and is not to wait for the next minute.
            "limits.id2_calls=1000000".into(),
        ]
    }

    fn server(&self) -> Server {
        let settings = self.settings();
        let mut server = Server::prepare(&settings.each_ref().map(String::as_str));
        server.environment("SOFTHSM2_CONF", &self.conf().display().to_string());
        server.resume();
        server
    }

    /// What `muster doctor` finds of the token.
    fn doctor(&self, server: &Server) -> Value {
        let settings = self.settings();
        let mut command = Command::new(tests::program("muster"));
        command.arg("doctor").arg("--data").arg(server.data());
        for setting in &settings {
            command.arg("--set").arg(setting);
        }
        let done = command
            .arg("--json")
            .env("SOFTHSM2_CONF", self.conf())
            .output()
            .expect("the program starts");
        let told: Value = serde_json::from_slice(&done.stdout).expect("JSON");
        let findings = told["findings"].as_array().expect("findings");
        let of_token = findings
            .iter()
            .filter(|finding| finding["check"] == "token");
        let worst = of_token.max_by_key(|finding| finding["verdict"] == "fail");
        worst.cloned().unwrap_or_else(|| panic!("{told}"))
    }
}

fn now() -> String {
    let now = SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
    now.as_millis().to_string()
}

/// Calls an action; its `Data`, or its number.
fn call(server: &mut Server, action: &str, params: &[(&str, &str)]) -> Result<Value, i64> {
    let key = server.key();
    let mut all = vec![("ApiVersion", "1.1.2")];
    all.extend(params);
    let call = rpc_call(&key, "GET", action, &all);
    let reply = send_rpc(server.address("http"), "GET", &call);
    let mut tree = reply.json();
    match tree["Code"].as_i64() {
        Some(200) => Ok(tree["Data"].take()),
        Some(code) => Err(code),
        None => panic!("{reply:?}"),
    }
}

/// A device as its SDK computes.
struct Device {
    product: String,
    id: Id,
    key: Box<dyn credential::id2::Key>,
    random: u64,
}

impl Device {
    fn code(&mut self, form: Form) -> String {
        self.random += 1;
        let (mut out, time) = ([0; 512], now());
        let len = device::auth_code(
            &*self.key,
            &self.id,
            form,
            Fresh::Timestamp(&time),
            Some(b"e"),
            self.random.to_be_bytes(),
            &mut out,
        );
        String::from_utf8(out[..len.expect("a code")].to_vec()).expect("text")
    }

    fn verify(&mut self, server: &mut Server) -> Result<Value, i64> {
        let code = self.code(Form::Plain);
        let params = [
            ("Id2", self.id.as_str()),
            ("ProductKey", &self.product),
            ("AuthCode", &code),
            ("Extra", "e"),
        ];
        call(server, "Verify", &params)
    }

    /// Everything that a key is for, in every form that its kind has.
    fn does_all(&mut self, server: &mut Server) {
        let kind = self.key.key_type();
        for form in [Form::Plain, Form::Hardened, Form::Keyed] {
            let has = match form {
                Form::Plain => true,
                Form::Hardened => kind.otp_number().is_some(),
                Form::Keyed => kind.cipher().is_some(),
            };
            if !has {
                continue;
            }
            let code = self.code(form);
            let params = [
                ("Id2", self.id.as_str()),
                ("ProductKey", &self.product),
                ("DeviceAuthCode", &code),
                ("DeviceExtra", "e"),
                ("DeviceChallenge", "ABCD12348"),
                ("Data", "hello id2"),
            ];
            let told = call(server, "GetServerAuthCodeAndEncryptData", &params);
            let told = told.unwrap_or_else(|code| panic!("{kind:?} {form:?}: {code}"));
            let text = text(&told, "ServerAuthCode");
            let known = device::check_server(&*self.key, &self.id, form, &text, b"ABCD12348", None);
            assert!(known.is_ok(), "{kind:?} {form:?} {text}");
            let closed = STANDARD.decode(told["EncryptData"].as_str().expect("text"));
            let closed = closed.expect("base64");
            let mut out = [0; 300];
            let len = match form {
                Form::Plain | Form::Hardened => device::decrypt(&*self.key, &closed, &mut out),
                Form::Keyed => device::decrypt_keyed(&*self.key, &self.id, &closed, &mut out),
            };
            assert_eq!(&out[..len.expect("it decrypts")], b"hello id2");
        }
        let code = self.code(Form::Plain);
        let params = [
            ("Id2", self.id.as_str()),
            ("ProductKey", &self.product),
            ("AuthCode", &code),
            ("Extra", "e"),
            ("Data", "hello id2"),
        ];
        let closed = call(server, "VerifyAndEncrypt", &params).expect("encrypted");
        let closed = STANDARD.decode(closed.as_str().expect("text"));
        let mut out = [0; 300];
        let len = device::decrypt(&*self.key, &closed.expect("base64"), &mut out);
        assert_eq!(&out[..len.expect("it decrypts")], b"hello id2");
        // Another key is not believed.
        let mut code = self.code(Form::Plain);
        let last = code.rfind('~').expect("fields") + 1;
        let swapped = if code.as_bytes()[last] == b'A' {
            "B"
        } else {
            "A"
        };
        code.replace_range(last..=last, swapped);
        let params = [
            ("Id2", self.id.as_str()),
            ("ProductKey", &self.product),
            ("AuthCode", &code),
            ("Extra", "e"),
        ];
        assert_eq!(call(server, "Verify", &params), Err(14));
    }
}

/// A device that is given an identity over the air.
fn provisioned(server: &mut Server, product: &str, kind: KeyType, print: &str) -> Device {
    let token = text(&server.cli(&["id2", "token", product]), "token");
    let token = Token::parse(token.as_bytes()).expect("a token");
    let session = Session::new([7; 16]);
    let mut code = [0; otp::CODE_MAX];
    let len = otp::auth_code(&token, &session, print.as_bytes(), &mut code);
    let code = STANDARD.encode(&code[..len.expect("a code")]);
    let params = [("DeviceAuthCode", code.as_str())];
    let told = call(server, "OtpGetId2", &params).expect("it is given one");
    // The same request again gets the same answer, for which the token opens the key.
    let again = call(server, "OtpGetId2", &params).expect("it is given it again");
    assert_eq!(again["ProvisionData"], told["ProvisionData"]);
    let data = STANDARD.decode(text(&told, "ProvisionData"));
    let (id, key) = otp::load(kind, &session, &data.expect("base64")).expect("for it");
    Device {
        product: product.into(),
        id,
        key: Box::new(key),
        random: 0,
    }
}

/// [000 1.1.8] [ID-1] [ID-2] [ID-4] [ID-5] [ID-9] Keys of every kind are issued, imported and used under a
/// wrapping key that never leaves the token; they live through `kill -9`; a server without the token,
/// or with another, proves nobody with the same database and master key.
#[test]
fn keys_live_in_a_token() {
    let hsm = Hsm::new();
    let mut server = hsm.server();
    assert_eq!(hsm.doctor(&server)["verdict"], "ok");
    let mut devices = Vec::new();
    for kind in ["aes-128", "aes-192", "aes-256", "3des-112", "3des-168"] {
        let (product, _) = server.product(kind);
        let words = ["id2", "product", &product, "--licence", "9", "--otp", "on"];
        let set = server.cli(&[&words[..], &["--key-type", kind]].concat());
        assert_eq!(set["keys"], "token", "who sets up a token means it");
        let kind = KeyType::parse(kind).expect("a kind");
        let device = provisioned(&mut server, &product, kind, kind.name());
        assert_eq!(
            server.cli(&["id2", "show", device.id.as_str()])["keys"],
            "token"
        );
        devices.push(device);
    }
    // Kinds that come in a batch or by hand; the file for a line opens what the token wrapped.
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let line = path("line");
    server.cli(&["id2", "line-key", &line]);
    for kind in ["rsa-1024", "rsa-2048", "sm4"] {
        let (product, _) = server.product(kind);
        server.cli(&[
            "id2",
            "product",
            &product,
            "--licence",
            "9",
            "--key-type",
            kind,
        ]);
        let batch = server.cli(&["id2", "batch", &product, "1"])["number"].to_string();
        let (pem, key, out) = (format!("{line}.pem"), format!("{line}.key"), path(kind));
        let words = ["id2", "export", &product, &batch, "--certificate", &pem];
        server.cli(&[&words[..], &["--out", &out]].concat());
        let (ok, opened, why) = server.cli_raw(&["id2", "open", &out, "--key", &key]);
        assert!(ok, "{why}");
        server.cli(&["id2", "release", &product, &batch]);
        let item: Value = serde_json::from_str(opened.trim()).expect("a line");
        let kind = KeyType::parse(kind).expect("a kind");
        let bytes = hex::decode(text(&item, "key")).expect("hex");
        let key: Box<dyn credential::id2::Key> = match kind {
            KeyType::Sm4 => Box::new(SoftKey::new(kind, &bytes).expect("it fits")),
            _ => {
                let own = credential::crypto::rsa::RsaPrivate::from_der(&bytes);
                let own = own.expect("PKCS#8");
                Box::new(credential::id2::key::RsaKey::new(kind, own).expect("it fits"))
            }
        };
        devices.push(Device {
            product,
            id: Id::parse(text(&item, "id").as_bytes()).expect("an identity"),
            key,
            random: 0,
        });
    }
    let (product, _) = server.product("imported");
    server.cli(&["id2", "product", &product, "--licence", "9"]);
    let brought = path("brought");
    let id = "2122232425262728292A2B2C";
    let line = format!(
        "{{\"id\":\"{id}\",\"key_type\":\"aes-128\",\"key\":\"{}\"}}\n",
        "21".repeat(16)
    );
    fs::write(&brought, line).expect("a file");
    server.cli(&["id2", "import", &product, &brought]);
    devices.push(Device {
        product: product.clone(),
        id: Id::parse(id.as_bytes()).expect("an identity"),
        key: Box::new(SoftKey::new(KeyType::Aes128, &[0x21; 16]).expect("it fits")),
        random: 0,
    });
    for device in &mut devices {
        device.does_all(&mut server);
    }
    // Half of a product's identities may lie elsewhere.
    server.cli(&["id2", "product", &product, "--keys", "database"]);
    let old = devices.last_mut().expect("there are some");
    assert_eq!(old.verify(&mut server), Ok(true.into()));

    server.kill();
    server.resume();
    for device in &mut devices {
        device.does_all(&mut server);
    }
    server.stop();
    assert_eq!(hsm.doctor(&server)["verdict"], "ok");

    // The same data and master key with another token of the same label and PIN.
    let other = Hsm::new();
    fs::rename(hsm.tokens(), hsm.folder.path().join("away")).expect("renamed");
    fs::rename(other.tokens(), hsm.tokens()).expect("renamed");
    let told = hsm.doctor(&server);
    assert_eq!(told["verdict"], "fail", "{told}");
    server.resume();
    for device in devices
        .iter_mut()
        .filter(|d| d.key.key_type().cipher().is_some())
    {
        assert_eq!(device.verify(&mut server), Err(700), "{:?}", device.id);
    }
    // It is not taken for new keys either.
    let words = ["id2", "batch", &devices[0].product, "1"];
    assert!(!server.cli_raw(&words).0);
}

/// [ID-1] A token that is away is told as "busy", keeps nobody from what needs no token, and is used
/// again when it is back; a PIN that is refused is not tried again before it is another.
#[test]
fn a_token_that_was_away_is_used_again() {
    let hsm = Hsm::new();
    let mut server = hsm.server();
    let (product, _) = server.product("thermometer");
    server.cli(&["id2", "product", &product, "--licence", "9", "--otp", "on"]);
    let mut device = provisioned(&mut server, &product, KeyType::Aes128, "one");
    assert_eq!(device.verify(&mut server), Ok(true.into()));
    let (plain, _) = server.product("plain");
    let words = ["id2", "product", &plain, "--licence", "9", "--otp", "on"];
    server.cli(&[&words[..], &["--keys", "database"]].concat());
    let mut other = provisioned(&mut server, &plain, KeyType::Aes128, "other");

    // Unplugged before the server starts, and while it runs.
    let away = hsm.folder.path().join("away");
    for running in [false, true] {
        if !running {
            server.stop();
        }
        fs::rename(hsm.tokens(), &away).expect("renamed");
        fs::create_dir(hsm.tokens()).expect("a folder");
        if !running {
            server.resume();
        }
        assert_eq!(device.verify(&mut server), Err(54), "running: {running}");
        assert_eq!(other.verify(&mut server), Ok(true.into()));
        assert_eq!(hsm.doctor(&server)["verdict"], "fail");
        fs::remove_dir(hsm.tokens()).expect("it is empty");
        fs::rename(&away, hsm.tokens()).expect("renamed");
        back(&mut device, &mut server);
    }

    // SoftHSM does not count wrong PINs, others lock after three.
    fs::write(hsm.pin(), "4321\n").expect("a file");
    server.stop();
    server.resume();
    assert_eq!(device.verify(&mut server), Err(54));
    let told = hsm.doctor(&server);
    assert!(
        told["found"].as_str().expect("text").contains("PIN"),
        "{told}"
    );
    fs::write(hsm.pin(), "1234\n").expect("a file");
    back(&mut device, &mut server);
    assert_eq!(other.verify(&mut server), Ok(true.into()));

    // Set up without it: what is in it is told as our own trouble.
    server.stop();
    let mut bare = Server::prepare(&[]);
    bare.resume();
    let (product, _) = bare.product("thermometer");
    let words = ["id2", "product", &product, "--keys", "token"];
    let (ok, _, why) = bare.cli_raw(&words);
    assert!(!ok && why.contains("pkcs11.module"), "{why}");
}

/// Tries until the token is taken up again, which is not asked more than once a second.
fn back(device: &mut Device, server: &mut Server) {
    let until = Instant::now() + PATIENCE;
    loop {
        match device.verify(server) {
            Ok(told) => break assert_eq!(told, true),
            Err(code) => assert_eq!(code, 54, "{}", server.log()),
        }
        assert!(Instant::now() < until, "it is not used again");
    }
}

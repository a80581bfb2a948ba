//! Campaigns from outside: whom they are for, modules, and links that run out.

use credential::crypto::digest::Hash;
use serde_json::{Value, json};
use std::{collections::BTreeSet, net::SocketAddr, path::Path};
use tests::{
    Client, Server, eventually, http,
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::{ReasonCode, Version};

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// A file to upload.
fn file(folder: &Path, name: &str, content: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, content).expect("a writable folder");
    path.to_str().expect("a plain path").to_owned()
}

/// A package that needs no verification.
fn package(server: &Server, product: &str, version: &str, files: &[&str], more: &[&str]) -> String {
    let words = ["firmware", "upload", product, version];
    let made = server.cli(&[&words, files, more, &["--no-verify"]].concat());
    text(&made["id"])
}

/// Fetches what an address of ours leads to.
fn fetch(at: SocketAddr, url: &str) -> http::Reply {
    let path = url.find("/download/").unwrap_or_else(|| panic!("{url}"));
    http::request(at, "GET", &url[path..], &[], b"")
}

/// Calls an action that must succeed.
fn good(app: &mut Client, action: &str, params: &Value) -> Value {
    let told = app.call(action, params);
    assert_eq!(told["Success"], true, "{action} {params}: {told}");
    told
}

/// A device that upgrades when it is told to.
struct Device {
    product: String,
    name: String,
    line: Mqtt,
}

impl Device {
    fn open(server: &Server, product: &str, name: &str) -> Self {
        let secret = server.device(product, name);
        let login = Login::signed(product, name, &secret, ",_ss=1");
        let mut line = Mqtt::open(server.address("mqtt"), None, Version::V311);
        assert_eq!(line.connect(&login, true, 600).reason, ReasonCode::Success);
        Self {
            product: product.to_owned(),
            name: name.to_owned(),
            line,
        }
    }

    fn says(&mut self, params: &Value) {
        let topic = format!("/ota/device/inform/{}/{}", self.product, self.name);
        let report = json!({"id": "1", "params": params}).to_string();
        self.line.publish_acknowledged(&topic, report.as_bytes());
    }

    fn tagged(&mut self, name: &str, value: &str) {
        let topic = format!(
            "/sys/{}/{}/thing/deviceinfo/update",
            self.product, self.name
        );
        let tags = json!({"id": "2", "params": [{"attrKey": name, "attrValue": value}]});
        self.line
            .publish_acknowledged(&topic, tags.to_string().as_bytes());
        let reply = self.line.message(&format!("{topic}_reply"));
        let reply: Value = serde_json::from_slice(&reply).expect("JSON");
        assert_eq!(reply["code"], 200, "{reply}");
    }

    fn upgrades(&self) -> String {
        format!("/ota/device/upgrade/{}/{}", self.product, self.name)
    }

    /// What it is to upgrade to.
    fn told(&mut self) -> Value {
        let topic = self.upgrades();
        let told: Value = serde_json::from_slice(&self.line.message(&topic)).expect("JSON");
        assert_eq!(told["code"], "1000", "{told}");
        told["data"].clone()
    }
}

/// [AL-4.2] [AL-7.1] A campaign is for the devices of a version, with a tag or in a group that it
/// names, as the command line and the API say it; these are told and counted, and no others.
#[test]
fn a_campaign_is_for_those_that_it_names() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let folder = tempfile::tempdir().expect("a folder");
    let content = file(folder.path(), "fw.bin", "firmware");
    let mut devices = [
        ("kitchen", "1.0", "one"),
        ("cellar", "1.9", "one"),
        ("attic", "1.10", "two"),
        ("garage", "2.0", "two"),
    ]
    .map(|(name, version, room)| {
        let mut device = Device::open(&server, &product, name);
        device.says(&json!({"version": version}));
        device.tagged("room", room);
        device
    });
    let mut app = server.app(App::Core, false);
    let made = good(&mut app, "CreateDeviceGroup", &json!({"GroupName": "west"}));
    let group = text(&made["Data"]["GroupId"]);
    let members = ["kitchen", "garage"];
    let members = members.map(|name| json!({"ProductKey": product, "DeviceName": name}));
    let join = json!({"GroupId": group, "Devices": members});
    good(&mut app, "BatchAddDeviceGroupRelations", &join);

    enum By<'a> {
        Words(&'a [&'a str]),
        Call(Value),
    }
    let range = ["--version-from", "1.9", "--version-below", "2.0"];
    for (version, by, wanted) in [
        ("2.0", By::Words(&range), ["cellar", "attic"].as_slice()),
        (
            "3.0",
            By::Words(&["--tag", "room=one"]),
            &["kitchen", "cellar"],
        ),
        (
            "4.0",
            By::Words(&["--group", &group]),
            &["kitchen", "garage"],
        ),
        (
            "5.0",
            By::Call(json!({"TargetSelection": "ALL", "SrcVersion": ["2.0", "3.0"]})),
            &["cellar", "attic"],
        ),
        (
            "6.0",
            By::Call(json!({"TargetSelection": "GROUP", "GroupId": group})),
            &["kitchen", "garage"],
        ),
    ] {
        let firmware = package(&server, &product, version, &[&content], &[]);
        let campaign = match by {
            By::Words(words) => {
                let create = ["campaign", "create", &firmware, &product];
                text(&server.cli(&[&create[..], words].concat())["id"])
            }
            By::Call(mut params) => {
                params["FirmwareId"] = json!(firmware);
                params["ProductKey"] = json!(product);
                let made = good(&mut app, "CreateOTAStaticUpgradeJob", &params);
                text(&made["Data"]["JobId"])
            }
        };
        let is_wanted = |device: &&mut Device| wanted.contains(&device.name.as_str());
        for device in devices.iter_mut().filter(is_wanted) {
            assert_eq!(device.told()["version"], version, "{}", device.name);
            device.says(&json!({ "version": version }));
        }
        let told = eventually("the end of the campaign", || {
            let told = server.cli(&["campaign", "show", &campaign]);
            (told["state"] != "running").then_some(told)
        });
        assert_eq!(told["counts"], json!({"succeeded": 2}), "{version}: {told}");
        let tasks = server.cli(&["campaign", "tasks", &campaign]);
        let tasks = tasks["items"].as_array().expect("a list").iter();
        let tasks: BTreeSet<_> = tasks.map(|task| text(&task["device"])).collect();
        let wanted: BTreeSet<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(tasks, wanted, "{version}");
        for device in &mut devices {
            let topic = device.upgrades();
            assert!(!device.line.has_message(&topic), "{}", device.name);
        }
    }
}

/// [AL-4.1] [AL-4.2] A module has versions of its own: a package of several files for it is told with
/// its name and each file's address, size and digest, and what counts is the module's version.
#[test]
fn a_module_is_upgraded_by_itself() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let folder = tempfile::tempdir().expect("a folder");
    let contents = ["the radio's part", "the table of its bands"];
    let files = [
        file(folder.path(), "radio.bin", contents[0]),
        file(folder.path(), "bands.bin", contents[1]),
    ];
    let mut app = server.app(App::Core, false);
    let module = json!({"ProductKey": product, "ModuleName": "modem", "AliasName": "Modem"});
    good(&mut app, "CreateOTAModule", &module);
    let mut kitchen = Device::open(&server, &product, "kitchen");
    kitchen.says(&json!({"version": "1.0"}));
    kitchen.says(&json!({"version": "7", "module": "modem"}));
    let firmware = package(
        &server,
        &product,
        "8",
        &[&files[0], &files[1]],
        &["--module", "modem", "--sha256"],
    );
    let made = server.cli(&["campaign", "create", &firmware, &product]);
    let campaign = text(&made["id"]);
    let told = kitchen.told();
    assert_eq!(
        (&told["version"], &told["module"], &told["signMethod"]),
        (&json!("8"), &json!("modem"), &json!("SHA256")),
        "{told}"
    );
    let rows = told["files"].as_array().expect("a list");
    assert_eq!(rows.len(), 2, "{told}");
    for ((row, content), name) in rows.iter().zip(contents).zip(["radio.bin", "bands.bin"]) {
        assert_eq!(row["fileName"], name, "{told}");
        assert_eq!(row["fileSize"], content.len(), "{told}");
        assert_eq!(row["fileMd5"], Hash::Md5.hex(content.as_bytes()));
        assert_eq!(row["fileSign"], Hash::Sha256.hex(content.as_bytes()));
        let fetched = fetch(server.address("http"), &text(&row["fileUrl"]));
        assert_eq!((fetched.status, fetched.body.as_str()), (200, content));
    }
    // The device itself is another matter.
    kitchen.says(&json!({"version": "8"}));
    let shown = server.cli(&["campaign", "show", &campaign]);
    assert_eq!(shown["state"], "running", "{shown}");
    kitchen.says(&json!({"version": "8", "module": "modem"}));
    let shown = eventually("the end of the campaign", || {
        let told = server.cli(&["campaign", "show", &campaign]);
        (told["state"] != "running").then_some(told)
    });
    assert_eq!(shown["counts"], json!({"succeeded": 1}), "{shown}");
    let versions = server.cli(&["firmware", "versions", &product, "kitchen"]);
    let versions = versions["items"].as_array().expect("a list");
    let modem = versions.iter().find(|row| row["module"] == "modem");
    assert_eq!(modem.expect("it is there")["version"], "8", "{versions:?}");
}

/// [AL-4.2] A link leads to its file for as long as it is good, and is refused from then on; another
/// one that is asked for leads there again.
#[test]
fn a_link_runs_out() {
    const LIFE: std::time::Duration = std::time::Duration::from_secs(4);
    let mut server = Server::start_with(&[&format!("limits.link_life={}", LIFE.as_millis())]);
    let (product, _) = server.product("thermometer");
    let folder = tempfile::tempdir().expect("a folder");
    let content = file(folder.path(), "fw.bin", "firmware");
    let firmware = package(&server, &product, "2.0", &[&content], &[]);
    let mut app = server.app(App::Core, false);
    let mut link = || {
        let told = good(
            &mut app,
            "QueryOTAFirmware",
            &json!({"FirmwareId": firmware}),
        );
        text(&told["FirmwareInfo"]["FirmwareUrl"])
    };
    let at = server.address("http");
    let began = std::time::Instant::now();
    let url = link();
    let fetched = fetch(at, &url);
    assert_eq!((fetched.status, fetched.body.as_str()), (200, "firmware"));
    let refused = eventually("the end of the link", || {
        let fetched = fetch(at, &url);
        (fetched.status != 200).then_some(fetched)
    });
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(!refused.body.contains("firmware\""), "{refused:?}");
    // Whole seconds stand in a link.
    assert!(began.elapsed() + std::time::Duration::from_secs(1) >= LIFE);
    assert_eq!(fetch(at, &link()).status, 200);
}

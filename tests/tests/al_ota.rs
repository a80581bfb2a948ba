//! Firmware over the air, with the vendor's device and application SDKs on both sides.

use credential::crypto::digest::Hash;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tests::{
    Client, Server, eventually, http,
    line::Line,
    mqtt::{Login, Mqtt},
    server::App,
};
use wire::mqtt::{Connect, Packet, Properties, Publish, Text, TopicName, Version};

fn content() -> Vec<u8> {
    (0..300_000_u32).map(|i| (i * 7 % 251) as u8).collect()
}

/// Calls an action that must succeed.
fn call(app: &mut Client, action: &str, params: Value) -> Value {
    let answer = app.call(action, &params);
    assert_eq!(answer["Success"], true, "{action}: {answer}");
    answer
}

/// Calls an action that must be refused, and gives back the code.
fn refused(app: &mut Client, action: &str, params: Value) -> String {
    let answer = app.call(action, &params);
    assert_eq!(answer["Success"], false, "{action}: {answer}");
    answer["Code"].as_str().unwrap_or_default().to_owned()
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value}"))
        .to_owned()
}

/// The form that an object store takes; fields first, the file last.
fn post(address: SocketAddr, fields: &[(&str, &str)], file: &[u8]) -> http::Reply {
    let mut body = Vec::new();
    for (name, value) in fields {
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
    http::request(address, "POST", "/upload", &headers, &body)
}

/// Hands a file in as applications do, and gives back its address.
fn upload(server: &Server, app: &mut Client, file: &[u8]) -> String {
    let ticket = call(app, "GenerateOTAUploadURL", json!({"FileSuffix": "bin"}));
    let ticket = &ticket["Data"];
    assert!(text(&ticket["Host"]).ends_with("/upload"));
    let of = |name: &str| text(&ticket[name]);
    let reply = post(
        server.address("http"),
        &[
            ("key", &of("Key")),
            ("policy", &of("Policy")),
            ("OSSAccessKeyId", &of("OSSAccessKeyId")),
            ("Signature", &of("Signature")),
            ("success_action_status", "200"),
        ],
        file,
    );
    assert_eq!(reply.status, 200, "{reply:?}");
    of("FirmwareUrl")
}

fn firmware(
    server: &Server,
    app: &mut Client,
    product: &str,
    version: &str,
    more: &[(&str, Value)],
) -> String {
    let url = upload(server, app, &content());
    let mut params = json!({
        "FirmwareName": format!("fw {version}"), "DestVersion": version, "FirmwareUrl": url,
        "FirmwareSize": 300_000, "ProductKey": product,
    });
    for (name, value) in more {
        params[*name] = value.clone();
    }
    text(&call(app, "CreateOTAFirmware", params)["Data"]["FirmwareId"])
}

fn tasks(app: &mut Client, job: &str) -> BTreeMap<String, Value> {
    let found = call(
        app,
        "ListOTATaskByJob",
        json!({"JobId": job, "PageSize": 200, "CurrentPage": 1}),
    );
    let found = found["Data"]["SimpleOTATaskInfo"]
        .as_array()
        .unwrap()
        .clone();
    let named = found.into_iter();
    named
        .map(|task| (text(&task["DeviceName"]), task))
        .collect()
}

fn status(app: &mut Client, job: &str) -> String {
    text(&call(app, "QueryOTAJob", json!({"JobId": job}))["Data"]["JobStatus"])
}

/// [AL-4.1] [AL-4.2] The way of a firmware: handed in, tried on one device with the Python SDK,
/// then to the rest with the Node.js SDKs, the newer and the older one.
/// Document: [001 6.11].
#[test]
fn a_firmware_is_tried_on_one_device_and_goes_to_all() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let other = server.device(&product, "cellar");
    let third = server.device(&product, "attic");
    let mut app = server.app(App::Core, true);

    let mut kitchen = Client::python("device.py");
    kitchen.order(&json!({
        "do": "start", "host": "127.0.0.1", "port": server.address("mqtts").port(),
        "product": product, "device": "kitchen", "secret": secret, "ca": server.ca(),
    }));
    assert_eq!(kitchen.wait("connect")["rc"], 0);
    kitchen.order(&json!({"do": "ota_report", "version": "1.0"}));
    // The SDK says -1027 whatever became of it: it compares a pair with a number.
    kitchen.wait("ota_reported");

    let sign = Hash::Sha256.hex(&content());
    let more = [
        ("SignMethod", json!("SHA256")),
        ("FirmwareSign", json!(sign)),
    ];
    let id = firmware(&server, &mut app, &product, "2.0", &more);
    let all = json!({"FirmwareId": id, "ProductKey": product, "TargetSelection": "ALL"});
    let early = refused(&mut app, "CreateOTAStaticUpgradeJob", all.clone());
    assert_eq!(early, "iot.system.IllegalRequest", "it is not verified");
    let job = call(
        &mut app,
        "CreateOTAVerifyJob",
        json!({"FirmwareId": id, "ProductKey": product, "TargetDeviceName": ["kitchen"]}),
    );
    let job = text(&job["Data"]["JobId"]);
    let told = kitchen.wait("ota");
    assert_eq!(told["version"], "2.0", "{told}");
    assert_eq!(told["size"], 300_000);
    assert_eq!(told["sign"], sign);
    assert_eq!(told["sign_method"], "SHA256");
    assert_eq!(told["kind"], 1, "a push");
    kitchen.order(&json!({"do": "ota_query"}));
    assert_eq!(kitchen.wait("ota")["kind"], 2, "the same when it asks");

    let path = server.data().with_file_name("fetched");
    kitchen.order(&json!({
        "do": "ota_download", "url": told["url"], "path": path, "sign_method": "SHA256",
        "sign": told["sign"],
    }));
    assert_eq!(kitchen.wait("ota_downloaded")["rc"], 0);
    assert_eq!(std::fs::read(&path).unwrap(), content());
    let progress = json!({"id": 1, "params": {"step": "100", "desc": "done"}});
    kitchen.order(&json!({
        "do": "publish", "topic": format!("/ota/device/progress/{product}/kitchen"),
        "payload": progress.to_string(),
    }));
    eventually("progress", || {
        (tasks(&mut app, &job)["kitchen"]["Progress"] == "100").then_some(())
    });
    assert_eq!(
        tasks(&mut app, &job)["kitchen"]["TaskStatus"],
        "IN_PROGRESS"
    );
    kitchen.order(&json!({"do": "ota_report", "version": "2.0"}));
    eventually("a verified package", || {
        let found = call(&mut app, "QueryOTAFirmware", json!({"FirmwareId": id}));
        (found["FirmwareInfo"]["Status"] == 1).then_some(())
    });
    assert_eq!(status(&mut app, &job), "COMPLETED");
    assert_eq!(tasks(&mut app, &job)["kitchen"]["TaskStatus"], "SUCCEEDED");

    // Now all others: they come late, with the two SDKs for Node.js.
    let job = call(&mut app, "CreateOTAStaticUpgradeJob", all);
    let job = text(&job["Data"]["JobId"]);
    eventually("tasks", || {
        let found = tasks(&mut app, &job);
        let queued = found.values().all(|task| task["TaskStatus"] == "QUEUED");
        (found.len() == 2 && queued).then_some(())
    });
    for (name, secret, sdk) in [
        ("cellar", &other, "alibabacloud-iot-device-sdk"),
        ("attic", &third, "aliyun-iot-device-sdk"),
    ] {
        let mut device = Client::node("device.js", Some(&server.ca()));
        device.order(&json!({"do": "start", "sdk": sdk, "config": {
            "productKey": product, "deviceName": name, "deviceSecret": secret,
            "brokerUrl": format!("mqtt://{}", server.address("mqtt")),
        }}));
        device.wait("connect");
        device.order(&json!({
            "do": "subscribe", "topic": format!("/ota/device/upgrade/{product}/{name}"),
        }));
        device.wait("subscribed");
        let inform = |version: &str| {
            json!({
                "do": "publish", "topic": format!("/ota/device/inform/{product}/{name}"),
                "payload": json!({"id": 1, "params": {"version": version}}).to_string(),
            })
        };
        device.order(&inform("1.0"));
        let told = device.wait_for("an upgrade", |event| {
            event["event"] == "message" && event["topic"].as_str().unwrap().contains("/ota/")
        });
        let told: Value = serde_json::from_str(told["payload"].as_str().unwrap()).unwrap();
        assert_eq!(told["code"], "1000");
        assert_eq!(told["message"], "success");
        assert_eq!(told["data"]["md5"], Hash::Md5.hex(&content()));
        device.order(&json!({"do": "fetch", "url": told["data"]["url"]}));
        let fetched = device.wait("fetched");
        assert_eq!(fetched["status"], json!([206, 206]), "{fetched}");
        assert_eq!(fetched["md5"], told["data"]["md5"]);
        device.order(&inform("2.0"));
        eventually(&format!("the end of {name}'s task"), || {
            (tasks(&mut app, &job)[name]["TaskStatus"] == "SUCCEEDED").then_some(())
        });
    }
    eventually("the end of the job", || {
        (status(&mut app, &job) == "COMPLETED").then_some(())
    });
}

fn device(server: &Server, product: &str, name: &str, secret: &str) -> Mqtt {
    let login = Login::signed(product, name, secret, ",_ss=1");
    let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
    device.connect(&login, true, 60);
    device
}

/// Publishes and gives back the next message on `topic`.
fn ask(device: &mut Mqtt, to: &str, payload: &Value, topic: &str) -> Vec<u8> {
    device.publish(to, payload.to_string().as_bytes());
    loop {
        match device.receive() {
            Some(Packet::Publish(message)) if *message.topic == *topic => {
                return message.payload.to_vec();
            }
            Some(_) => {}
            None => panic!("the server closed the connection"),
        }
    }
}

/// [AL-4.1] What devices ask for, and what they fetch piece by piece when they have no HTTP; and
/// how each way to fail is told.
/// Document: [001 6.11].
#[test]
fn a_device_without_http_fetches_piece_by_piece() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let mut app = server.app(App::Core, false);
    let mut kitchen = device(&server, &product, "kitchen", &secret);
    let request = format!("/ota/device/request/{product}/kitchen");
    let none = ask(
        &mut kitchen,
        &request,
        &json!({"id": 7, "params": {"version": "1.0"}}),
        &request,
    );
    let none: Value = serde_json::from_slice(&none).unwrap();
    assert_eq!(none["code"], 500);
    assert_eq!(none["message"], "none upgrade operation of the device.");
    let news = format!("/sys/{product}/kitchen/thing/ota/firmware/get");
    let reply = format!("{news}_reply");
    let none = ask(
        &mut kitchen,
        &news,
        &json!({"id": "8", "params": {}}),
        &reply,
    );
    let none: Value = serde_json::from_slice(&none).unwrap();
    assert_eq!((&none["code"], &none["data"]), (&json!(200), &json!({})));

    let id = firmware(
        &server,
        &mut app,
        &product,
        "2.0",
        &[("NeedToVerify", json!(false))],
    );
    let job = call(
        &mut app,
        "CreateOTAStaticUpgradeJob",
        json!({
            "FirmwareId": id, "ProductKey": product, "TargetSelection": "SPECIFIC",
            "TargetDeviceName": ["kitchen"], "NeedPush": false, "DownloadProtocol": "MQTT",
            "RetryInterval": 0, "RetryCount": 5,
        }),
    );
    let job = text(&job["Data"]["JobId"]);
    eventually("a task", || {
        (tasks(&mut app, &job).len() == 1).then_some(())
    });
    let told = ask(
        &mut kitchen,
        &news,
        &json!({"id": "9", "params": {}}),
        &reply,
    );
    let told: Value = serde_json::from_slice(&told).unwrap();
    let told = &told["data"];
    assert_eq!(told["version"], "2.0", "{told}");
    assert_eq!(told["dProtocol"], "mqtt");
    assert!(told.get("url").is_none());
    assert_eq!(tasks(&mut app, &job)["kitchen"]["TaskStatus"], "NOTIFIED");

    let download = format!("/sys/{product}/kitchen/thing/file/download");
    let reply = format!("{download}_reply");
    let mut piece = |offset: usize, size: usize| {
        let wanted = json!({"id": "1", "version": "1.0", "params": {
            "fileInfo": {"streamId": told["streamId"], "fileId": told["streamFileId"]},
            "fileBlock": {"size": size, "offset": offset},
        }});
        let bytes = ask(&mut kitchen, &download, &wanted, &reply);
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let head: Value = serde_json::from_slice(&bytes[2..2 + length]).unwrap();
        (head, bytes[2 + length..bytes.len() - 2].to_vec())
    };
    let mut fetched = Vec::new();
    while fetched.len() < 300_000 {
        let (head, bytes) = piece(fetched.len(), 100_000);
        assert_eq!(head["code"], 200, "{head}");
        assert_eq!(head["data"]["fileLength"], 300_000);
        fetched.extend(bytes);
    }
    assert_eq!(Hash::Md5.hex(&fetched), text(&told["md5"]));
    assert_eq!(piece(300_000, 1).0["code"], 460);
    assert_eq!(piece(0, 1_000_000).0["code"], 460);

    // Each way to fail; with a pause of 0 it is tried again at once, when the device asks.
    for step in ["-4", "-3", "-2", "-1"] {
        let progress = json!({"id": 1, "params": {"step": step, "desc": "no"}});
        let before = tasks(&mut app, &job)["kitchen"]["UtcModified"].clone();
        let to = format!("/ota/device/progress/{product}/kitchen");
        kitchen.publish(&to, progress.to_string().as_bytes());
        // The step is seen until the task is ready for another try, which may be before we look.
        eventually("a failure", || {
            let task = tasks(&mut app, &job)["kitchen"].clone();
            (task["UtcModified"] != before || task["Progress"] == step).then_some(())
        });
        let _ = ask(
            &mut kitchen,
            &news,
            &json!({"id": "9", "params": {}}),
            &format!("{news}_reply"),
        );
    }
}

/// [AL-7.1] What is signed for uploads holds: altered, foreign or used tickets hand nothing in.
#[test]
fn uploads_need_a_ticket_that_is_good() {
    let mut server = Server::start();
    let mut app = server.app(App::Core, false);
    let address = server.address("http");
    let ticket = call(&mut app, "GenerateOTAUploadURL", json!({}));
    let of = |name: &str| text(&ticket["Data"][name]);
    let (key, policy, signature) = (of("Key"), of("Policy"), of("Signature"));
    let other = call(&mut app, "GenerateOTAUploadURL", json!({}));
    let other_key = text(&other["Data"]["Key"]);
    for (key, policy, signature) in [
        (&other_key, &policy, &signature),
        (&key, &policy, &"00".repeat(32)),
        (&key, &policy[..policy.len() - 4].to_owned(), &signature),
        (&key, &String::new(), &signature),
        (&"../../master.key".to_owned(), &policy, &signature),
    ] {
        let fields = [
            ("key", key.as_str()),
            ("policy", policy),
            ("Signature", signature),
        ];
        let reply = post(address, &fields, b"firmware");
        assert_eq!(reply.status, 403, "{reply:?}");
        assert!(
            reply.body.contains("<Code>AccessDenied</Code>"),
            "{reply:?}"
        );
    }
    let fields = [
        ("key", key.as_str()),
        ("policy", &policy),
        ("Signature", &signature),
    ];
    assert_eq!(post(address, &fields, b"firmware").status, 204);
    assert_eq!(post(address, &fields, b"firmware").status, 409);
    let empty = call(&mut app, "GenerateOTAUploadURL", json!({}));
    let of = |name: &str| text(&empty["Data"][name]);
    let (key, policy, signature) = (of("Key"), of("Policy"), of("Signature"));
    let fields = [
        ("key", key.as_str()),
        ("policy", &policy),
        ("Signature", &signature),
    ];
    assert_eq!(post(address, &fields, b"").status, 400);
    let plain = http::request(address, "POST", "/upload", &[], b"firmware");
    assert_eq!(plain.status, 400);
    assert_eq!(
        refused(
            &mut app,
            "GenerateOTAUploadURL",
            json!({"FileSuffix": "../x"})
        ),
        "iot.system.IllegalRequest"
    );
}

/// [AL-7.1] [AL-4.2] The rest of the actions: packages, modules, jobs, and what can be called off.
#[test]
fn every_action_does_what_it_says() {
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let names = ["kitchen", "cellar", "attic"];
    let secrets = names.map(|name| server.device(&product, name));
    let mut app = server.app(App::Core, false);
    let app = &mut app;
    let of = json!({"ProductKey": product});
    let with = |more: Value| {
        let mut params = of.clone();
        let more = more.as_object().unwrap().clone();
        params.as_object_mut().unwrap().extend(more);
        params
    };

    call(
        app,
        "CreateOTAModule",
        with(json!({"ModuleName": "modem", "AliasName": "M", "Desc": "d"})),
    );
    refused(app, "CreateOTAModule", with(json!({"ModuleName": "modem"})));
    call(
        app,
        "UpdateOTAModule",
        with(json!({"ModuleName": "modem", "AliasName": "N"})),
    );
    let modules = call(app, "ListOTAModuleByProduct", of.clone());
    assert_eq!(modules["Data"][0]["ModuleName"], "default", "{modules}");
    assert_eq!(modules["Data"][1]["AliasName"], "N");
    let mut kitchen = device(&server, &product, "kitchen", &secrets[0]);
    let inform = format!("/ota/device/inform/{product}/kitchen");
    for params in [
        json!({"version": "1.0"}),
        json!({"version": "7", "module": "modem"}),
    ] {
        kitchen.publish(
            &inform,
            json!({"id": 1, "params": params}).to_string().as_bytes(),
        );
    }
    let versions = eventually("versions", || {
        let found = call(
            app,
            "ListOTAModuleVersionsByDevice",
            with(json!({"DeviceName": "kitchen", "PageSize": 10, "CurrentPage": 1})),
        );
        (found["Total"] == 2).then(|| found["Data"]["SimpleOTAModuleInfo"].clone())
    });
    assert_eq!(versions[1]["ModuleVersion"], "7");
    call(app, "DeleteOTAModule", with(json!({"ModuleName": "modem"})));

    let id = firmware(
        &server,
        app,
        &product,
        "2.0",
        &[("NeedToVerify", json!(false))],
    );
    call(
        app,
        "ModifyOTAFirmware",
        with(json!({"FirmwareId": id, "FirmwareName": "better", "FirmwareDesc": "d"})),
    );
    let page = json!({"PageSize": 10, "CurrentPage": 1});
    let listed = call(app, "ListOTAFirmware", page);
    let listed = &listed["FirmwareInfo"]["SimpleFirmwareInfo"][0];
    assert_eq!(
        (&listed["FirmwareName"], &listed["Status"]),
        (&json!("better"), &json!(-1))
    );
    let of_firmware = with(json!({"FirmwareId": id}));
    let with_firmware = |more: Value| {
        let mut params = of_firmware.clone();
        let more = more.as_object().unwrap().clone();
        params.as_object_mut().unwrap().extend(more);
        params
    };
    let job_of = |answer: Value| text(&answer["Data"]["JobId"]);

    // A list of names, confirmed one by one, and called off by device.
    let ticket = call(app, "GenerateDeviceNameListURL", json!({}));
    let ticket = &ticket["Data"];
    let fields = ["Key", "Policy", "Signature"].map(|name| text(&ticket[name]));
    let fields = [
        ("key", &*fields[0]),
        ("policy", &fields[1]),
        ("Signature", &fields[2]),
    ];
    let list = post(server.address("http"), &fields, b"kitchen\r\ncellar\r\n");
    assert_eq!(list.status, 204);
    let job = call(
        app,
        "CreateOTAStaticUpgradeJob",
        with_firmware(json!({
            "TargetSelection": "SPECIFIC", "DnListFileUrl": ticket["FileUrl"],
            "NeedConfirm": true, "MaximumPerMinute": 1000, "TimeoutInMinutes": 60,
            "Tags": [{"Key": "a", "Value": "b"}],
        })),
    );
    let job = job_of(job);
    let found = eventually("tasks", || {
        let found = tasks(app, &job);
        (found.len() == 2).then_some(found)
    });
    assert_eq!(found["cellar"]["TaskStatus"], "CONFIRM");
    let task = text(&found["kitchen"]["TaskId"]);
    call(app, "ConfirmOTATask", json!({"TaskId": [task]}));
    refused(app, "ConfirmOTATask", json!({"TaskId": [task]}));
    eventually("a notice", || {
        (tasks(app, &job)["kitchen"]["TaskStatus"] == "NOTIFIED").then_some(())
    });
    let open = call(
        app,
        "ListOTAUnfinishedTaskByDevice",
        with(json!({"DeviceName": "kitchen"})),
    );
    assert_eq!(
        open["Data"]["SimpleOTATaskInfo"][0]["TaskId"],
        task.as_str()
    );
    call(
        app,
        "UpdateOTAJob",
        json!({
            "JobId": job, "MaximumPerMinute": 10, "UpgradeType": "STATIC",
            "TargetSelection": "SPECIFIC",
        }),
    );
    let shown = call(app, "QueryOTAJob", json!({"JobId": job}));
    assert_eq!(shown["Data"]["MaximumPerMinute"], 10, "{shown}");
    assert_eq!(shown["Data"]["TargetSelection"], "SPECIFIC");
    let by = with_firmware(json!({"DeviceName": "kitchen", "PageSize": 10, "CurrentPage": 1}));
    assert_eq!(call(app, "ListOTAJobByDevice", by)["Total"], 1);
    call(
        app,
        "CancelOTATaskByDevice",
        with_firmware(json!({"DeviceName": ["kitchen"]})),
    );
    assert_eq!(tasks(app, &job)["kitchen"]["TaskStatus"], "CANCELED");
    call(
        app,
        "ReupgradeOTATask",
        json!({"JobId": job, "TaskId": [task]}),
    );
    eventually("another try", || {
        (tasks(app, &job)["kitchen"]["TaskStatus"] == "NOTIFIED").then_some(())
    });
    call(
        app,
        "CancelOTATaskByJob",
        json!({"JobId": job, "CancelNotifiedTask": true, "CancelUnconfirmedTask": true}),
    );
    eventually("the end", || {
        (status(app, &job) == "COMPLETED").then_some(())
    });
    refused(app, "CancelOTATaskByJob", json!({"JobId": job}));

    // Later devices, until no more.
    let dynamic = with_firmware(json!({"DynamicMode": 2}));
    let job = job_of(call(app, "CreateOTADynamicUpgradeJob", dynamic.clone()));
    refused(app, "CreateOTADynamicUpgradeJob", dynamic);
    let mut attic = device(&server, &product, "attic", &secrets[2]);
    let inform = format!("/ota/device/inform/{product}/attic");
    attic.publish(&inform, b"{\"id\":1,\"params\":{\"version\":\"1.0\"}}");
    eventually("a task", || {
        tasks(app, &job).contains_key("attic").then_some(())
    });
    call(app, "CancelOTAStrategyByJob", json!({"JobId": job}));
    attic.publish(&inform, b"{\"id\":1,\"params\":{\"version\":\"2.0\"}}");
    eventually("the end", || {
        (status(app, &job) == "COMPLETED").then_some(())
    });

    // Planned for tomorrow, and called off.
    let tomorrow = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_millis() as i64
        + 86_400_000;
    let planned = with_firmware(json!({
        "TargetSelection": "GRAY", "GrayPercent": "10.5", "ScheduleTime": tomorrow,
    }));
    let job = job_of(call(app, "CreateOTAStaticUpgradeJob", planned));
    assert_eq!(status(app, &job), "PLANNED");
    refused(app, "DeleteOTAFirmware", json!({"FirmwareId": id}));
    call(
        app,
        "CancelOTATaskByJob",
        json!({"JobId": job, "CancelScheduledTask": true}),
    );
    assert_eq!(status(app, &job), "CANCELED");
    let listed = json!({"FirmwareId": id, "PageSize": 10, "CurrentPage": 1});
    let listed = call(app, "ListOTAJobByFirmware", listed);
    assert_eq!(listed["Total"], 3);
    assert_eq!(
        listed["Data"]["SimpleOTAJobInfo"][0]["JobId"],
        job.as_str(),
        "newest first"
    );
    call(app, "DeleteOTAFirmware", json!({"FirmwareId": id}));
    refused(app, "QueryOTAFirmware", json!({"FirmwareId": id}));
}

/// [AL-4.2] The operator's way: a file from disk, a campaign, and how far it is.
#[test]
fn an_operator_brings_firmware_to_devices() {
    let server = Server::start();
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let path = server.data().with_file_name("fw.bin");
    std::fs::write(&path, content()).unwrap();
    let path = path.to_str().unwrap();
    let made = server.cli(&["firmware", "upload", &product, "2.0", path, "--no-verify"]);
    assert_eq!(made["size"], 300_000, "{made}");
    assert_eq!(made["files"][0]["md5"], Hash::Md5.hex(&content()));
    let id = text(&made["id"]);
    let campaign = server.cli(&[
        "campaign",
        "create",
        &id,
        &product,
        "--device",
        "kitchen",
        "--stop-percent",
        "50",
    ]);
    let campaign = text(&campaign["id"]);
    let mut kitchen = device(&server, &product, "kitchen", &secret);
    let inform = format!("/ota/device/inform/{product}/kitchen");
    for version in ["1.0", "2.0"] {
        let payload = json!({"id": 1, "params": {"version": version}}).to_string();
        kitchen.publish_acknowledged(&inform, payload.as_bytes());
    }
    let shown = server.cli(&["campaign", "show", &campaign, "--watch"]);
    assert_eq!(shown["state"], "completed", "{shown}");
    assert_eq!(shown["counts"], json!({"succeeded": 1}));
    let tasks = server.cli(&["campaign", "tasks", &campaign, "--state", "succeeded"]);
    assert_eq!(tasks["items"][0]["device"], "kitchen");
    let versions = server.cli(&["firmware", "versions", &product, "kitchen"]);
    assert_eq!(versions["items"][0]["version"], "2.0");
    let (done, _, why) = server.cli_raw(&["campaign", "show", "nothing"]);
    assert!(!done && why.contains("campaign"), "{why}");
    assert_eq!(server.cli(&["firmware", "list"])["items"][0]["id"], id);
    server.cli(&["firmware", "delete", &id, "--yes"]);
    assert_eq!(server.cli(&["firmware", "list"])["items"], json!([]));
}

/// A device that lives through restarts of the server: it takes an upgrade when it is told, and
/// counts how often it was told after it had said that it had the version.
struct Player {
    product: String,
    name: String,
    secret: String,
    fails: bool,
}

impl Player {
    fn play(&self, address: &Mutex<SocketAddr>, over: &AtomicBool, odd: &AtomicUsize) {
        let mut version = "1.0";
        while !over.load(Ordering::SeqCst) {
            let at = *address.lock().unwrap();
            // A server that is away comes back; a line that broke is another line.
            let _ = self.connected(at, over, odd, &mut version);
            std::thread::yield_now();
        }
    }

    fn connected(
        &self,
        at: SocketAddr,
        over: &AtomicBool,
        odd: &AtomicUsize,
        version: &mut &'static str,
    ) -> std::io::Result<()> {
        let login = Login::signed(&self.product, &self.name, &self.secret, ",_ss=1");
        let text = |text: &str| Text::new(text.to_owned()).expect("a text");
        let (mut line, _) = Line::open(
            at,
            Connect {
                version: Version::V311,
                clean_start: true,
                keep_alive: 300,
                client_id: text(&login.client_id),
                will: None,
                username: Some(text(&login.user)),
                password: Some(
                    wire::mqtt::Secret::new(login.password.clone().into_bytes())
                        .expect("a password"),
                ),
                properties: Properties::new(),
            },
        )?;
        let own = format!("{}/{}", self.product, self.name);
        let say = |line: &mut Line, topic: &str, params: Value| {
            let payload = json!({"id": 1, "params": params}).to_string();
            let topic = TopicName::new(format!("{topic}/{own}")).expect("a topic");
            line.send(&Packet::Publish(Publish::new(topic, payload.into_bytes())))
        };
        let inform = "/ota/device/inform";
        say(&mut line, inform, json!({"version": *version}))?;
        while !over.load(Ordering::SeqCst) {
            let Some(Packet::Publish(message)) = line.receive(Duration::from_millis(200))? else {
                continue;
            };
            if !message.topic.starts_with("/ota/device/upgrade/") {
                continue;
            }
            if *version == "2.0" {
                odd.fetch_add(1, Ordering::SeqCst);
            } else if self.fails {
                say(
                    &mut line,
                    "/ota/device/progress",
                    json!({"step": "-2", "desc": "planted"}),
                )?;
            } else {
                say(&mut line, "/ota/device/progress", json!({"step": "50"}))?;
                *version = "2.0";
                say(&mut line, inform, json!({"version": "2.0"}))?;
            }
        }
        Ok(())
    }
}

/// [AL-4.2] A campaign while the server is killed twice: the counts are exact, and no device is
/// told again that has the version or has failed for good.
#[test]
fn a_campaign_survives_kills_and_updates_nobody_twice() {
    const MANY: usize = 150;
    let mut server = Server::start();
    let (product, _) = server.product("thermometer");
    let made = server.cli(&["device", "batch", &product, "--count", &MANY.to_string()]);
    let made = made["devices"].as_array().expect("devices").clone();
    let players: Vec<Player> = made
        .iter()
        .enumerate()
        .map(|(at, device)| Player {
            product: product.clone(),
            name: text(&device["device_name"]),
            secret: text(&device["device_secret"]),
            fails: at % 33 == 0,
        })
        .collect();
    let planted = players.iter().filter(|player| player.fails).count() as u64;
    let mut app = server.app(App::Core, false);
    let id = firmware(
        &server,
        &mut app,
        &product,
        "2.0",
        &[("NeedToVerify", json!(false))],
    );
    let job = call(
        &mut app,
        "CreateOTAStaticUpgradeJob",
        json!({
            "FirmwareId": id, "ProductKey": product, "TargetSelection": "ALL",
            "MaximumPerMinute": 1200,
        }),
    );
    let job = text(&job["Data"]["JobId"]);
    let address = Arc::new(Mutex::new(server.address("mqtt")));
    let (over, odd) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let threads: Vec<_> = players
        .into_iter()
        .map(|player| {
            let (address, over, odd) = (address.clone(), over.clone(), odd.clone());
            std::thread::spawn(move || player.play(&address, &over, &odd))
        })
        .collect();
    let done = |app: &mut Client, wanted: &str| {
        let found = call(
            app,
            "ListOTATaskByJob",
            json!({"JobId": job, "TaskStatus": wanted, "PageSize": 1, "CurrentPage": 1}),
        );
        found["Total"].as_u64().unwrap()
    };
    for goal in [MANY as u64 / 4, MANY as u64 / 2] {
        eventually("some devices", || {
            (done(&mut app, "SUCCEEDED") >= goal).then_some(())
        });
        server.kill();
        server.resume();
        *address.lock().unwrap() = server.address("mqtt");
        app = server.app(App::Core, false);
    }
    eventually("the end of the job", || {
        (status(&mut app, &job) == "COMPLETED").then_some(())
    });
    over.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(done(&mut app, "SUCCEEDED"), MANY as u64 - planted);
    assert_eq!(done(&mut app, "FAILED"), planted);
    assert_eq!(odd.load(Ordering::SeqCst), 0, "somebody was told once more");
}

//! The door of the application API: signatures, replays, rights, and requests that are none.

use serde_json::json;
use std::net::SocketAddr;
use tests::{
    Server,
    http::{
        Acs3, Reply, exchange, form, nonce, pairs, request, rpc_call, send_rpc, sign_rpc, timestamp,
    },
    server::{App, Key, key_of},
};

struct House {
    server: Server,
    key: Key,
    http: SocketAddr,
    product: String,
}

impl House {
    fn open() -> Self {
        let mut server = Server::start();
        let key = server.key();
        let (product, _) = server.product("thermometer");
        server.device(&product, "kitchen");
        let http = server.address("http");
        Self {
            server,
            key,
            http,
            product,
        }
    }

    fn query(&self, key: &Key) -> Vec<(String, String)> {
        let params = [
            ("ProductKey", self.product.as_str()),
            ("DeviceName", "kitchen"),
        ];
        rpc_call(key, "GET", "QueryDeviceDetail", &params)
    }

    fn acs3(&self) -> Acs3 {
        let params = [
            ("DeviceName", "kitchen"),
            ("ProductKey", self.product.as_str()),
        ];
        Acs3::new(
            &self.key,
            &self.http.to_string(),
            "QueryDeviceDetail",
            &params,
            b"",
        )
    }

    /// Calls refused so far, and lines about them in the audit log.
    fn refusals(&self) -> (u64, usize) {
        let page = request(self.http, "GET", "/metrics", &[], b"").body;
        let counted = page
            .lines()
            .filter(|l| l.starts_with("muster_api_calls_total") && !l.contains("outcome=\"ok\""))
            .filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok())
            .sum();
        let listed = self.server.cli(&["audit", "list", "--most", "1000"]);
        let lines = listed.as_array().unwrap_or_else(|| panic!("{listed}"));
        (
            counted,
            lines
                .iter()
                .filter(|line| line["entry"]["outcome"] != "ok")
                .count(),
        )
    }

    /// The reply refuses with this code, and was counted and audited once.
    fn refused(&self, what: &str, code: &str, send: impl FnOnce() -> Reply) {
        let (counted, audited) = self.refusals();
        let reply = send();
        assert!((400..500).contains(&reply.status), "{what}: {reply:?}");
        assert_eq!(reply.text("Code"), code, "{what}: {reply:?}");
        assert!(!reply.text("RequestId").is_empty(), "{what}: {reply:?}");
        assert_eq!(
            self.refusals(),
            (counted + 1, audited + 1),
            "{what}: counted and audited once"
        );
    }
}

/// [AL-7.1] Each signed parameter of the RPC style altered once is refused, counted and audited.
#[test]
fn every_signed_parameter_that_is_altered_is_refused() {
    let house = House::open();
    house.server.device(&house.product, "cellar");
    let other = key_of(&house.server.cli(&["key", "create"]));
    let good = house.query(&house.key);
    assert_eq!(send_rpc(house.http, "GET", &good).status, 200);
    for at in 0..good.len() {
        let mut call = house.query(&house.key);
        let (name, value) = &mut call[at];
        let code = match name.as_str() {
            "Action" => {
                *value = "QueryDeviceInfo".into();
                "SignatureDoesNotMatch"
            }
            "AccessKeyId" => {
                value.clone_from(&other.id);
                "SignatureDoesNotMatch"
            }
            "DeviceName" => {
                *value = "cellar".into();
                "SignatureDoesNotMatch"
            }
            "Timestamp" => {
                *value = timestamp(30);
                "SignatureDoesNotMatch"
            }
            "Format" => {
                *value = "json".into();
                "SignatureDoesNotMatch"
            }
            // Another version, method or version of the signature is no longer this scheme at all.
            "Version" | "SignatureMethod" | "SignatureVersion" => continue,
            _ => {
                value.push('x');
                "SignatureDoesNotMatch"
            }
        };
        let name = name.clone();
        house.refused(&name, code, || send_rpc(house.http, "GET", &call));
    }
    let mut more = house.query(&house.key);
    more.insert(0, ("IotInstanceId".into(), "iot-x".into()));
    house.refused("one more", "SignatureDoesNotMatch", || {
        send_rpc(house.http, "GET", &more)
    });
    house.refused("method", "SignatureDoesNotMatch", || {
        send_rpc(house.http, "POST", &house.query(&house.key))
    });
    // The message ends with the server's string to sign after its only colon: SDKs compare it.
    let mut call = house.query(&house.key);
    call.last_mut().expect("the signature").1.push('x');
    let message = send_rpc(house.http, "GET", &call).text("Message");
    assert_eq!(message.matches(':').count(), 1, "{message}");
    assert!(message.contains(":GET&%2F&AccessKeyId%3D"), "{message}");
}

/// [AL-7.1] Each signed part of the ACS3 style altered once is refused, counted and audited.
#[test]
fn every_signed_header_that_is_altered_is_refused() {
    let house = House::open();
    let good = house.acs3();
    assert_eq!(
        good.send(house.http).status,
        200,
        "{:?}",
        good.send(house.http)
    );
    type Spoil = fn(&mut Acs3);
    let set = |call: &mut Acs3, name: &str, to: &str| {
        let header = call
            .headers
            .iter_mut()
            .find(|(n, _)| n == name)
            .expect("a signed header");
        header.1 = to.into();
    };
    let spoilt: [(&str, Spoil); 4] = [
        ("query", |call| call.query[0].1.push('x')),
        ("one more", |call| {
            call.query.push(("More".into(), "1".into()))
        }),
        ("signature", |call| call.authorization.push('0')),
        ("body", |call| {
            call.body = b"MessageContent=aGVsbG8%3D".to_vec()
        }),
    ];
    for (what, spoil) in spoilt {
        let mut call = house.acs3();
        spoil(&mut call);
        let reply = call.send(house.http);
        assert_eq!(reply.status, 400, "{what}: {reply:?}");
    }
    for (name, to) in [
        ("host", "elsewhere.example"),
        ("x-acs-action", "QueryDeviceInfo"),
        ("x-acs-date", timestamp(20).as_str()),
        ("x-acs-signature-nonce", "another"),
    ] {
        let mut call = house.acs3();
        set(&mut call, name, to);
        house.refused(name, "SignatureDoesNotMatch", || call.send(house.http));
    }
}

/// [AL-7.1] A nonce is good once, a time for 15 minutes either way, and neither survives a restart
/// differently.
#[test]
fn a_call_cannot_be_replayed() {
    let mut house = House::open();
    let call = house.query(&house.key);
    assert_eq!(send_rpc(house.http, "GET", &call).status, 200);
    house.refused("replay", "SignatureNonceUsed", || {
        send_rpc(house.http, "GET", &call)
    });
    let header = house.acs3();
    assert_eq!(header.send(house.http).status, 200);
    house.refused("replay", "SignatureNonceUsed", || header.send(house.http));
    for offset in [-16 * 60, 16 * 60] {
        let mut old = house.query(&house.key);
        let time = old
            .iter_mut()
            .find(|(name, _)| name == "Timestamp")
            .expect("a time");
        time.1 = timestamp(offset);
        sign_rpc(&house.key, "GET", &mut old);
        house.refused("time", "InvalidTimeStamp.Expired", || {
            send_rpc(house.http, "GET", &old)
        });
    }
    // A wrong signature does not burn the nonce of the right one.
    let good = house.query(&house.key);
    let mut bad = good.clone();
    bad.last_mut().expect("the signature").1.push('x');
    assert_eq!(send_rpc(house.http, "GET", &bad).status, 400);
    assert_eq!(send_rpc(house.http, "GET", &good).status, 200);

    house.server.kill();
    house.server.resume();
    house.http = house.server.address("http");
    house.refused("after kill -9", "SignatureNonceUsed", || {
        send_rpc(house.http, "GET", &call)
    });
}

/// [AL-7.1] [FS-8] Keys that are unknown, disabled or removed are refused.
#[test]
fn a_key_that_is_not_good_any_more_is_refused() {
    let house = House::open();
    let unknown = Key {
        id: "LTAInobody".into(),
        secret: "x".into(),
    };
    house.refused("unknown", "InvalidAccessKeyId.NotFound", || {
        send_rpc(house.http, "GET", &house.query(&unknown))
    });
    let key = key_of(&house.server.cli(&["key", "create"]));
    assert_eq!(send_rpc(house.http, "GET", &house.query(&key)).status, 200);
    house.server.cli(&["key", "disable", &key.id]);
    house.refused("disabled", "InvalidAccessKeyId.Inactive", || {
        send_rpc(house.http, "GET", &house.query(&key))
    });
    house.server.cli(&["key", "enable", &key.id]);
    assert_eq!(send_rpc(house.http, "GET", &house.query(&key)).status, 200);
    house.server.cli(&["key", "delete", &key.id, "--yes"]);
    house.refused("removed", "InvalidAccessKeyId.NotFound", || {
        send_rpc(house.http, "GET", &house.query(&key))
    });
}

/// [FS-8] A sub-user may do what its policies say, on the resources that they name, and a denial
/// wins.
#[test]
fn policies_decide_what_a_sub_user_may_do() {
    let mut house = House::open();
    let (other, _) = house.server.product("other");
    house.server.cli(&["user", "create", "reader"]);
    let key = key_of(&house.server.cli(&["key", "create", "--user", "reader"]));
    let ask = |product: &str, action: &str| {
        let params = [("ProductKey", product), ("DeviceName", "kitchen")];
        send_rpc(house.http, "GET", &rpc_call(&key, "GET", action, &params))
    };
    let allowed = |reply: &Reply| match (reply.status, reply.text("Code").as_str()) {
        (200, _) => true,
        (403, "Forbidden.RAM" | "NoPermission") => false,
        other => panic!("{other:?}: {reply:?}"),
    };
    assert!(
        !allowed(&ask(&house.product, "QueryDeviceDetail")),
        "nothing allows it"
    );
    house
        .server
        .cli(&["user", "attach", "reader", "AliyunIOTReadOnlyAccess"]);
    assert!(allowed(&ask(&house.product, "QueryDeviceDetail")));
    assert!(
        !allowed(&ask(&house.product, "DisableThing")),
        "reading is not changing"
    );

    let folder = tempfile::tempdir().expect("a folder");
    let policy = json!({"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": "iot:DisableThing",
         "Resource": format!("acs:iot:*:*:product/{}/*", house.product)},
        {"Effect": "Deny", "Action": ["iot:Query*"],
         "Resource": [format!("acs:iot:*:*:product/{other}*")]},
    ]});
    let file = tests::server::scratch(folder.path(), "policy.json", &policy.to_string());
    house
        .server
        .cli(&["policy", "put", "keeper", file.to_str().expect("a path")]);
    house.server.cli(&["user", "attach", "reader", "keeper"]);
    assert!(allowed(&ask(&house.product, "DisableThing")));
    assert!(!allowed(&ask(&other, "DisableThing")), "another product");
    assert!(
        !allowed(&ask(&other, "QueryDeviceDetail")),
        "denied, though read-only access allows"
    );
    house
        .server
        .cli(&["user", "detach", "reader", "AliyunIOTReadOnlyAccess"]);
    assert!(!allowed(&ask(&house.product, "QueryDeviceDetail")));
    house.server.cli(&["user", "disable", "reader"]);
    assert_eq!(
        ask(&house.product, "DisableThing").text("Code"),
        "InvalidAccessKeyId.Inactive"
    );

    // And the vendor's SDK says so in its own words.
    house.server.cli(&["user", "enable", "reader"]);
    let mut app = house.server.app(App::Core, false);
    drop(app);
    app = tests::Client::python("app_core.py");
    app.order(&json!({
        "endpoint": house.http.to_string(), "id": key.id, "secret": key.secret,
    }));
    let told = app.ask(&json!({
        "action": "QueryDeviceDetail",
        "params": {"ProductKey": other, "DeviceName": "kitchen"},
    }));
    assert_eq!(told["status"], 403, "{told}");
}

/// [FS-8] An account sees its own products alone, whatever ids it knows.
#[test]
fn accounts_do_not_see_each_other() {
    let house = House::open();
    let made = house.server.cli(&["account", "create", "neighbour"]);
    let key = key_of(&made["key"]);
    let reply = send_rpc(house.http, "GET", &house.query(&key));
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["Success"], false);
    let call = rpc_call(
        &key,
        "GET",
        "QueryProductList",
        &[("CurrentPage", "1"), ("PageSize", "10")],
    );
    let listed = send_rpc(house.http, "GET", &call);
    assert_eq!(listed.json()["Data"]["Total"], 0, "{listed:?}");
}

/// [AL-7.1] Gateway errors have their codes and statuses in JSON and in XML; a business error is an
/// HTTP 200 (spec/cloud-api.md §1.6).
#[test]
fn errors_are_of_two_layers() {
    let house = House::open();
    let call = |action: &str, params: &[(&str, &str)]| {
        send_rpc(
            house.http,
            "GET",
            &rpc_call(&house.key, "GET", action, params),
        )
    };
    let unknown = call("NoSuchAction", &[]);
    assert_eq!(
        (unknown.status, unknown.text("Code").as_str()),
        (404, "InvalidAction.NotFound")
    );
    let missing = call("QueryProduct", &[]);
    assert_eq!(missing.status, 400);
    assert!(missing.text("Code").starts_with("Missing"), "{missing:?}");
    assert!(
        missing.text("Message").contains("ProductKey"),
        "{missing:?}"
    );
    let absent = call("QueryProduct", &[("ProductKey", "a1nothere00")]);
    assert_eq!(absent.status, 200);
    assert_eq!(absent.json()["Success"], false);
    assert_eq!(absent.text("Code"), "iot.prod.NotExistedProduct");
    assert!(!absent.text("ErrorMessage").is_empty());
    let taken = call(
        "RegisterDevice",
        &[
            ("ProductKey", house.product.as_str()),
            ("DeviceName", "kitchen"),
        ],
    );
    assert_eq!(taken.text("Code"), "iot.device.AlreadyExistedDeviceName");
    let good = call("QueryProduct", &[("ProductKey", house.product.as_str())]);
    assert_eq!(good.json()["Success"], true);
    assert!(
        good.json().get("Code").is_none_or(|code| code == ""),
        "{good:?}"
    );

    let mut xml = rpc_call(&house.key, "GET", "NoSuchAction", &[]);
    xml.iter_mut()
        .find(|(n, _)| n == "Format")
        .expect("a format")
        .1 = "XML".into();
    sign_rpc(&house.key, "GET", &mut xml);
    let reply = send_rpc(house.http, "GET", &xml);
    assert!(
        reply.body.contains("<Error>") && reply.body.contains("<HostId>"),
        "{reply:?}"
    );
    assert!(
        reply.head.to_lowercase().contains("text/xml;charset=utf-8"),
        "{reply:?}"
    );
}

/// Promise 6: what is malformed, huge, half sent or nobody's gets a clear error and harms nobody.
#[test]
fn requests_that_are_none_are_refused_and_harm_nobody() {
    let house = House::open();
    let post = |headers: &[(&str, &str)], body: &[u8]| {
        request(house.http, "POST", "/", &pairs(headers), body)
    };
    let urlencoded = ("Content-Type", "application/x-www-form-urlencoded");
    for (what, reply) in [
        ("nothing", request(house.http, "GET", "/", &[], b"")),
        (
            "no signature",
            request(
                house.http,
                "GET",
                "/?Action=QueryProduct&Version=2018-01-20",
                &[],
                b"",
            ),
        ),
        (
            "bad escapes",
            request(house.http, "GET", "/?Action=%zz%", &[], b""),
        ),
        ("no text", post(&[urlencoded], b"Action=\xff\xfe%ff")),
        ("huge body", post(&[urlencoded], &vec![b'a'; 9 << 20])),
        (
            "many parameters",
            post(&[urlencoded], "a=1&".repeat(200_000).as_bytes()),
        ),
        (
            "header of another scheme",
            post(
                &[
                    ("Authorization", "ACS3-HMAC-SHA256 nonsense"),
                    ("x-acs-action", "Pub"),
                ],
                b"",
            ),
        ),
        (
            "deep path",
            request(
                house.http,
                "GET",
                &format!("/{}", "a/".repeat(4_000)),
                &[],
                b"",
            ),
        ),
    ] {
        assert!(
            (400..500).contains(&reply.status) || reply.status == 0,
            "{what}: {reply:?}"
        );
        assert!(!reply.body.contains("<html"), "{what}: {reply:?}");
    }
    // Half a request, and then nothing: the connection is the sender's own trouble.
    let half = std::net::TcpStream::connect(house.http).expect("it listens");
    std::io::Write::write_all(
        &mut &half,
        b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nAct",
    )
    .expect("sent");
    assert_eq!(
        exchange(house.http, b"\x00\x01\x02 nonsense\r\n\r\n").status / 100 % 4,
        0
    );
    assert_eq!(
        send_rpc(house.http, "GET", &house.query(&house.key)).status,
        200
    );
    drop(half);
}

/// [AL-7.1] The same parameters twice, blank values, signs that must be escaped, and a form body
/// beside a query are read as they were signed (spec/cloud-api.md §1.2, §1.3).
#[test]
fn parameters_are_read_as_they_were_signed() {
    let house = House::open();
    let call = rpc_call(
        &house.key,
        "POST",
        "RegisterDevice",
        &[
            ("SignatureType", ""),
            ("ProductKey", house.product.as_str()),
            ("DeviceName", "light-1_@.:"),
            ("Nickname", "light 1*~+/!'()"),
        ],
    );
    let (query, body) = call.split_at(6);
    let reply = request(
        house.http,
        "POST",
        &format!("/?{}", form(query)),
        &pairs(&[("Content-Type", "application/x-www-form-urlencoded")]),
        form(body).replace("%20", "+").as_bytes(),
    );
    assert_eq!(reply.json()["Success"], true, "{reply:?}");
    assert_eq!(
        reply.json()["Data"]["Nickname"],
        "light 1*~+/!'()",
        "{reply:?}"
    );
    assert_ne!(nonce(), nonce());
}

//! The admin API from outside, on a whole server.

use super::PATH;
use crate::stage::{Key, Reply, Stage, request};
use credential::{
    Secret,
    request::acs3::{self, Algorithm},
};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn key_of(reply: &Reply) -> Key {
    let text = |name: &str| reply.body[name].as_str().unwrap().to_owned();
    Key {
        id: text("access_key_id"),
        secret: text("access_key_secret"),
    }
}

/// A sub-user with a key of its own.
async fn user(stage: &Stage, name: &str) -> Key {
    let made = stage
        .local("POST", "/api/v1/users", json!({"name": name}))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let body = json!({"user": name});
    key_of(&stage.local("POST", "/api/v1/keys", body).await)
}

/// What a caller signs, field by field, so that a test can alter one.
#[derive(Clone)]
struct Signed {
    method: &'static str,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    body: &'static str,
}

impl Signed {
    fn new(stage: &Stage, nonce: &str) -> Self {
        let header = |name: &str, value: String| (name.to_owned(), value);
        let date = super::time(stage.running().hub().now());
        Self {
            method: "GET",
            path: format!("{PATH}/products"),
            query: vec![("most".into(), "10".into())],
            headers: vec![
                header("host", "localhost".into()),
                header("x-acs-action", "QueryProductList".into()),
                header("x-acs-date", format!("{}Z", &date[..19])),
                header("x-acs-signature-nonce", nonce.into()),
                header("x-acs-content-sha256", Algorithm::HmacSha256.body_hash(b"")),
            ],
            body: "",
        }
    }

    fn authorization(&self, key: &Key) -> String {
        let names: Vec<String> = self.headers.iter().map(|(name, _)| name.clone()).collect();
        let request = acs3::Request {
            method: self.method,
            path: &self.path,
            query: &self.query,
            headers: &self.headers,
            body_hash: &Algorithm::HmacSha256.body_hash(self.body.as_bytes()),
        };
        let secret = Secret::new(key.secret.clone().into_bytes());
        let signature = acs3::sign(&secret, Algorithm::HmacSha256, &request, &names).unwrap();
        format!(
            "{} Credential={},SignedHeaders={},Signature={signature}",
            Algorithm::HmacSha256.name(),
            key.id,
            names.join(";")
        )
    }

    async fn send(&self, stage: &Stage, authorization: &str) -> Reply {
        let query: Vec<String> = self.query.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let path = format!("{}?{}", self.path, query.join("&"));
        let headers: String = self
            .headers
            .iter()
            .filter(|(name, _)| name != "host")
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let headers = format!("{headers}Authorization: {authorization}\r\n");
        request(stage.clear().await, self.method, &path, &headers, self.body).await
    }
}

/// Nobody comes in without a key that is right, and an unknown key looks like a wrong secret.
#[tokio::test(flavor = "multi_thread")]
async fn callers_without_a_right_key_are_refused() {
    let stage = Stage::open().await;
    let path = "/api/v1/products";
    let none = request(stage.tls().await, "GET", path, "", "").await;
    assert_eq!((none.status, none.code()), (401, "Unauthorised"));
    let wrong = Key {
        secret: "wrong".into(),
        ..stage.key.clone()
    };
    let unknown = Key {
        id: "LTAInobody".into(),
        ..stage.key.clone()
    };
    let wrong = stage.with(&wrong, "GET", path, json!({})).await;
    let unknown = stage.with(&unknown, "GET", path, json!({})).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(wrong.body, unknown.body);
    for header in [
        "Authorization: Basic",
        "Authorization: Basic !!!",
        "Authorization: Basic bm9jb2xvbg==",
        "Authorization: Bearer token",
        "Authorization: \u{ff}",
    ] {
        let told = request(stage.tls().await, "GET", path, &format!("{header}\r\n"), "").await;
        assert_eq!(told.status, 401, "{header}");
    }
    let right = stage.with(&stage.key, "GET", path, json!({})).await;
    assert_eq!(right.status, 200);
    let lines = stage.local("GET", "/api/v1/audit", json!({})).await;
    let failures = lines.body["items"].as_array().unwrap();
    let refused = failures
        .iter()
        .filter(|line| line["entry"]["who"] == "?" && line["entry"]["outcome"] != "ok");
    assert_eq!(
        refused.count(),
        7,
        "one line for each credential that was refused"
    );
}

/// A secret is not taken in clear, unless the operator turns that on.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_clear_is_refused() {
    let path = "/api/v1/products";
    for (insecure, status) in [(false, 403), (true, 200)] {
        let stage = Stage::open_with(|config| {
            config.security.insecure_admin_http = insecure;
        })
        .await;
        let headers = stage.key.basic();
        let told = request(stage.clear().await, "GET", path, &headers, "").await;
        assert_eq!(told.status, status);
        if !insecure {
            assert_eq!(told.code(), "NotSecure");
        }
    }
}

/// A signed request says nothing of the secret, so it may come in clear: once, and with no field
/// altered.
#[tokio::test(flavor = "multi_thread")]
async fn a_signed_request_counts_once_and_unaltered() {
    let stage = Stage::open().await;
    let signed = Signed::new(&stage, "n-1");
    let authorization = signed.authorization(&stage.key);
    assert_eq!(signed.send(&stage, &authorization).await.status, 200);
    let again = signed.send(&stage, &authorization).await;
    assert_eq!(again.status, 401, "replayed: {}", again.text);

    let fresh = Signed::new(&stage, "n-2");
    let authorization = fresh.authorization(&stage.key);
    let mut altered = vec![];
    for n in 1..fresh.headers.len() {
        let mut other = fresh.clone();
        other.headers[n].1.push('0');
        altered.push((fresh.headers[n].0.clone(), other));
    }
    let mut other = fresh.clone();
    other.query[0].1 = "11".into();
    altered.push(("query".into(), other));
    let mut other = fresh.clone();
    other.path = format!("{PATH}/users");
    altered.push(("path".into(), other));
    let mut other = fresh.clone();
    other.body = " ";
    altered.push(("body".into(), other));
    let mut other = fresh.clone();
    other.headers.remove(3);
    altered.push(("no nonce".into(), other));
    for (what, other) in altered {
        let told = other.send(&stage, &authorization).await;
        assert_eq!(told.status, 401, "{what}: {}", told.text);
    }
    assert_eq!(
        fresh.send(&stage, &authorization).await.status,
        200,
        "no altered copy burnt the nonce"
    );
    let mut late = Signed::new(&stage, "n-3");
    late.headers[2].1 = "2020-01-01T00:00:00Z".into();
    let told = late.send(&stage, &late.authorization(&stage.key)).await;
    assert_eq!(told.status, 401, "too old: {}", told.text);
}

/// [AL-2.3] Dynamic registration is off at first, and turning it on needs a second confirmation.
#[tokio::test(flavor = "multi_thread")]
async fn dynamic_registration_is_confirmed_twice() {
    let stage = Stage::open().await;
    let product = stage.product("thermometer").await;
    let show = format!("/api/v1/products/{product}");
    let switch = format!("{show}/registration");
    let state = async || {
        let shown = stage.local("GET", &show, json!({})).await;
        shown.body["registration"].as_str().unwrap().to_owned()
    };
    assert_eq!(state().await, "off");
    for to in ["registered", "open"] {
        for body in [json!({"to": to}), json!({"to": to, "confirmed": false})] {
            let told = stage.local("POST", &switch, body).await;
            assert_eq!((told.status, told.code()), (409, "Unconfirmed"));
            assert!(told.text.contains("confirmed\\\": true"), "{}", told.text);
            assert_eq!(state().await, "off");
        }
    }
    let body = json!({"to": "registered", "confirmed": true});
    let told = stage.local("POST", &switch, body).await;
    assert_eq!(told.body["registration"], "registered");
    let told = stage.local("POST", &switch, json!({"to": "off"})).await;
    assert_eq!(told.status, 200, "turning it off needs none");
    assert_eq!(state().await, "off");
}

/// [FS-8] A sub-user may do what its policies say, from one call to the next; a denial wins.
#[tokio::test(flavor = "multi_thread")]
async fn policies_decide_what_a_sub_user_may_do() {
    let stage = Stage::open().await;
    let product = stage.product("thermometer").await;
    let reader = user(&stage, "reader").await;
    let list = async || {
        stage
            .with(&reader, "GET", "/api/v1/products", json!({}))
            .await
    };
    let create = async || {
        let body = json!({"name": "mine"});
        stage.with(&reader, "POST", "/api/v1/products", body).await
    };
    let told = list().await;
    assert_eq!((told.status, told.code()), (403, "NotAllowed"));

    let attach = "/api/v1/users/reader/policies/AliyunIOTReadOnlyAccess";
    assert_eq!(stage.local("PUT", attach, json!({})).await.status, 200);
    assert_eq!(list().await.status, 200);
    assert_eq!(create().await.status, 403);

    let document = json!({"description": "", "document": {"Version": "1", "Statement": [
        {"Effect": "Deny", "Action": ["iot:Query*"], "Resource": "*"},
        {"Effect": "Allow", "Action": "muster:ReadProductSecret",
         "Resource": format!("acs:muster:*:*:product/{product}")},
    ]}});
    let put = stage.local("PUT", "/api/v1/policies/mixed", document).await;
    assert_eq!(put.status, 200, "{}", put.text);
    let mixed = "/api/v1/users/reader/policies/mixed";
    stage.local("PUT", mixed, json!({})).await;
    assert_eq!(list().await.status, 403, "a denial wins");
    let secret = async |product: &str| {
        let path = format!("/api/v1/products/{product}/secret");
        stage.with(&reader, "GET", &path, json!({})).await.status
    };
    assert_eq!(secret(&product).await, 200);
    let other = stage.product("other").await;
    assert_eq!(secret(&other).await, 403, "another product");

    stage.local("DELETE", mixed, json!({})).await;
    assert_eq!(list().await.status, 200);
    let disable = "/api/v1/users/reader/disable";
    assert_eq!(stage.local("POST", disable, json!({})).await.status, 200);
    assert_eq!(list().await.status, 401);
    let told = stage
        .with(&reader, "POST", "/api/v1/users/reader/enable", json!({}))
        .await;
    assert_eq!(told.status, 401);
}

/// [FS-8] What one account owns does not exist for another.
#[tokio::test(flavor = "multi_thread")]
async fn accounts_do_not_see_each_other() {
    let stage = Stage::open().await;
    let product = stage.product("thermometer").await;
    let made = stage
        .local("POST", "/api/v1/accounts", json!({"name": "neighbour"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text);
    let text = |name: &str| made.body["key"][name].as_str().unwrap().to_owned();
    let neighbour = Key {
        id: text("access_key_id"),
        secret: text("access_key_secret"),
    };
    let path = format!("/api/v1/products/{product}");
    let told = stage.with(&neighbour, "GET", &path, json!({})).await;
    assert_eq!(told.status, 404);
    let told = stage.with(&neighbour, "DELETE", &path, json!({})).await;
    assert_eq!(told.status, 404);
    let body = json!({"name": "third"});
    let told = stage
        .with(&neighbour, "POST", "/api/v1/accounts", body)
        .await;
    assert_eq!(told.status, 403, "operators only: {}", told.text);
    let told = stage.local("GET", &path, json!({})).await;
    assert_eq!(told.status, 200);
}

/// The audit log is whole; with one letter of one line changed behind the server's back it is not,
/// and the line is named.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_letter_in_the_audit_log_is_found() {
    let mut stage = Stage::open().await;
    for name in ["one", "two", "three"] {
        stage.product(name).await;
    }
    let verify = async |stage: &Stage, body: Value| {
        stage.local("POST", "/api/v1/audit/verify", body).await.body
    };
    let whole = verify(&stage, json!({})).await;
    assert_eq!(whole["whole"], true);
    let head = whole["head"].clone();
    let again = verify(&stage, json!({"head": head})).await;
    assert_eq!(again["whole"], true);
    let strange = json!({"head": {"seq": head["seq"], "hash": "00"}});
    assert_eq!(verify(&stage, strange).await["whole"], false);
    stage.stop().await;

    let file = stage.data().join("registry.sqlite");
    let database = rusqlite::Connection::open(file).unwrap();
    let changed = database
        .execute(
            "UPDATE audit SET entry = replace(entry, 'CreateProduct', 'CreateProducT') WHERE seq = 3",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);
    stage.resume().await;
    let broken = verify(&stage, json!({})).await;
    assert_eq!(broken["whole"], false, "{broken}");
    assert_eq!(broken["broken"]["seq"], 3, "{broken}");
}

/// Bodies that cannot be right are refused with a word on why, and change nothing.
#[tokio::test(flavor = "multi_thread")]
async fn malformed_bodies_and_addresses_are_refused() {
    let stage = Stage::open().await;
    let product = stage.product("thermometer").await;
    let headers = stage.key.basic();
    let devices = format!("/api/v1/products/{product}/devices");
    let batch = format!("{devices}/batch");
    let deep = "[".repeat(100_000);
    for (method, path, body, status) in [
        ("POST", "/api/v1/products", "", 400),
        ("POST", "/api/v1/products", "{", 400),
        ("POST", "/api/v1/products", "[]", 400),
        ("POST", "/api/v1/products", deep.as_str(), 400),
        (
            "POST",
            "/api/v1/products",
            "{\"name\": \"x\", \"colour\": 1}",
            400,
        ),
        ("POST", "/api/v1/products", "{\"name\": 5}", 400),
        ("POST", "/api/v1/products", "{\"name\": \"\\ud800\"}", 400),
        ("POST", &devices, "{\"device_name\": \"a/b\"}", 400),
        ("POST", &batch, "{}", 400),
        (
            "POST",
            &batch,
            "{\"count\": 1, \"devices\": [{\"device_name\": \"abcd\"}]}",
            400,
        ),
        ("GET", "/api/v1/products?most=0", "", 400),
        ("GET", "/api/v1/products?most=x", "", 400),
        ("GET", "/api/v1/products?colour=1", "", 400),
        ("GET", "/api/v1/products/%2e%2e%2f", "", 400),
        ("GET", "/api/v1/products/nobody", "", 404),
        ("GET", "/api/v1/audit?after=1&last=1", "", 400),
        ("GET", "/api/v1/nothing", "", 404),
        ("PATCH", "/api/v1/products", "", 405),
        (
            "PUT",
            "/api/v1/policies/p",
            "{\"document\": {\"Version\": \"2\", \"Statement\": []}}",
            400,
        ),
    ] {
        let told = request(stage.tls().await, method, path, &headers, body).await;
        let start = &body[..body.len().min(40)];
        assert_eq!(
            told.status, status,
            "{method} {path} {start}: {}",
            told.text
        );
        assert!(
            told.body["error"]["help"].is_string(),
            "{method} {path}: {}",
            told.text
        );
    }
    let shown = stage.local("GET", "/api/v1/products", json!({})).await;
    assert_eq!(shown.body["total"], 1);
}

/// A product from its making to its end, as the command line asks for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_product_with_a_model_and_devices() {
    let stage = Stage::open().await;
    let product = stage.product("thermometer").await;
    let base = format!("/api/v1/products/{product}");
    let model: Value =
        serde_json::from_str(include_str!("../../../../examples/thermometer.json")).unwrap();
    let call = async |method: &str, path: &str, body: Value| {
        stage.local(method, &format!("{base}{path}"), body).await
    };
    assert_eq!(call("PUT", "/model", model).await.status, 204);
    assert_eq!(
        call("GET", "/model", json!({})).await.status,
        404,
        "not published"
    );
    let body = json!({"version": "v1"});
    assert_eq!(
        call("POST", "/model/publish", body).await.body["version"],
        "v1"
    );
    let shown = call("GET", "/model?version=v1", json!({})).await;
    assert_eq!(shown.body["properties"][0]["identifier"], "temperature");
    let listed = call("GET", "/model/versions", json!({})).await;
    assert_eq!(listed.body["items"][0]["version"], "v1");
    let told = call(
        "PUT",
        "/model",
        json!({"properties": [{"identifier": "1 2"}]}),
    )
    .await;
    assert_eq!((told.status, told.code()), (400, "BadModel"));

    let extras = json!({"exactly_once": true, "retain": false, "will": true});
    let set = call("POST", "/mqtt", extras.clone()).await;
    assert_eq!(set.body["mqtt"], extras);
    assert_eq!(call("GET", "", json!({})).await.body["mqtt"], extras);
    let half = call("POST", "/mqtt", json!({"retain": true})).await;
    assert_eq!(half.status, 400, "{}", half.text);

    let made = call("POST", "/devices", json!({"device_name": "kitchen"})).await;
    assert_eq!(made.status, 201);
    let secret = made.body["device_secret"].as_str().unwrap();
    let read = call("GET", "/devices/kitchen/secret", json!({})).await;
    assert_eq!(read.body["device_secret"], secret);
    let reset = call("POST", "/devices/kitchen/reset-secret", json!({})).await;
    assert_ne!(reset.body["device_secret"], secret);
    let again = call("POST", "/devices", json!({"device_name": "kitchen"})).await;
    assert_eq!((again.status, again.code()), (409, "NameTaken"));
    let many = call("POST", "/devices/batch", json!({"count": 120})).await;
    assert_eq!(many.body["devices"].as_array().unwrap().len(), 120);
    let names = json!({"devices": [{"device_name": "hall"}, {"device_name": "attic"}]});
    let many = call("POST", "/devices/batch", names).await;
    assert_eq!(many.body["devices"][1]["device_name"], "attic");
    let listed = call("GET", "/devices?most=2", json!({})).await;
    assert_eq!(listed.body["total"], 123);
    assert_eq!(listed.body["items"].as_array().unwrap().len(), 2);
    let off = call("POST", "/devices/kitchen/disable", json!({})).await;
    assert_eq!(off.body["state"], "disabled");
    let on = call("POST", "/devices/kitchen/enable", json!({})).await;
    assert_eq!(on.body["state"], "unactivated");

    let latest = call("GET", "/devices/kitchen/properties", json!({})).await;
    assert_eq!(latest.body["items"][0]["value"], Value::Null);
    let set = call("POST", "/devices/kitchen/properties", json!({"target": 24})).await;
    assert_eq!(set.body["answered"], false, "{}", set.text);
    let told = call(
        "POST",
        "/devices/kitchen/properties",
        json!({"target": "warm"}),
    )
    .await;
    assert_eq!((told.status, told.code()), (400, "Misfit"));
    for path in ["properties/target", "events", "services"] {
        let page = call("GET", &format!("/devices/kitchen/{path}"), json!({})).await;
        assert_eq!(page.status, 200, "{path}: {}", page.text);
    }
    let topic = json!({"suffix": "user/loop", "right": "both"});
    let made = call("POST", "/topics", topic).await;
    assert_eq!(made.status, 201);
    let other = stage.product("other").await;
    let id = &made.body["id"];
    let path = format!("/api/v1/products/{other}/topics/{id}");
    let told = stage.local("DELETE", &path, json!({})).await;
    assert_eq!(told.status, 404, "a topic of another product");
    assert_eq!(
        call("DELETE", &format!("/topics/{id}"), json!({}))
            .await
            .status,
        204
    );

    let told = call("DELETE", "", json!({})).await;
    assert_eq!((told.status, told.code()), (409, "HasDevices"));
    assert_eq!(
        call("DELETE", "/devices/kitchen", json!({})).await.status,
        204
    );
    assert_eq!(call("GET", "/devices/kitchen", json!({})).await.status, 404);
}

/// The document that is served names every operation and no other: each one asks for a credential
/// (a route that is not there would say 404 or 405).
#[tokio::test(flavor = "multi_thread")]
async fn the_served_document_describes_the_routes() {
    let stage = Stage::open().await;
    let served = request(stage.clear().await, "GET", "/api/v1/openapi.json", "", "").await;
    let (mut operations, mut loose) = (BTreeSet::new(), Vec::new());
    for (path, item) in served.body["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string() || operation["description"].is_string());
            let plain = path
                .split('/')
                .map(|part| if part.starts_with('{') { "abcd" } else { part })
                .collect::<Vec<_>>()
                .join("/");
            let method = method.to_uppercase();
            let told = request(
                stage.clear().await,
                &method,
                &format!("{PATH}{plain}"),
                "",
                "",
            )
            .await;
            if told.status != 401 {
                loose.push(format!("{method} {path}: {}", told.text));
            }
            operations.insert((method, path.clone()));
        }
    }
    assert!(loose.is_empty(), "no credential is asked for: {loose:#?}");
    assert!(operations.len() > 45, "{}", operations.len());
    let (_, document) = super::table().split_for_parts();
    assert_eq!(serde_json::to_value(document).unwrap(), served.body);
}

/// Each call is counted once: as `ok`, or with the error that the caller was told.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_counted_once_with_what_became_of_it() {
    let stage = Stage::open().await;
    let nobody = user(&stage, "nobody").await;
    let list = "/api/v1/products";
    stage.local("GET", list, json!({})).await;
    stage.with(&nobody, "GET", list, json!({})).await;
    stage
        .local("GET", "/api/v1/products?most=0", json!({}))
        .await;
    let wrong = Key {
        secret: "guess".into(),
        ..nobody
    };
    stage.with(&wrong, "GET", list, json!({})).await;
    let page = stage.running().hub().metrics().encode();
    let lines = page
        .lines()
        .filter(|line| line.contains("QueryProductList"));
    let mut counted: Vec<&str> = lines
        .map(|line| line.rsplit_once("outcome=").unwrap().1)
        .collect();
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            "\"BadRequest\"} 1",
            "\"NotAllowed\"} 1",
            "\"Unauthorised\"} 1",
            "\"ok\"} 1"
        ],
        "{page}"
    );
}

/// [FS-8] A right to change one's own policies does not lead to every right; keys are of their
/// users; and the audit log names what was changed.
#[tokio::test(flavor = "multi_thread")]
async fn rights_over_users_and_keys_go_no_further_than_they_say() {
    let stage = Stage::open().await;
    let clerk = user(&stage, "clerk").await;
    let other = user(&stage, "other").await;
    let document = json!({"document": {"Version": "1", "Statement": [
        {"Effect": "Allow", "Action": "ram:*PolicyToUser", "Resource": [
            "acs:ram:*:*:user/*", "acs:ram:*:*:policy/AliyunIOTReadOnlyAccess"]},
        {"Effect": "Allow", "Action": "ram:*AccessKey", "Resource": "acs:ram:*:*:user/clerk*"},
    ]}});
    stage.local("PUT", "/api/v1/policies/clerk", document).await;
    let held = "/api/v1/users/clerk/policies/clerk";
    assert_eq!(stage.local("PUT", held, json!({})).await.status, 200);
    let ask = async |method: &str, path: &str| {
        let path = format!("/api/v1/{path}");
        stage.with(&clerk, method, &path, json!({})).await.status
    };
    assert_eq!(
        ask("PUT", "users/clerk/policies/AdministratorAccess").await,
        403
    );
    assert_eq!(
        ask("PUT", "users/other/policies/AliyunIOTReadOnlyAccess").await,
        200
    );
    assert_eq!(
        ask("POST", &format!("keys/{}/disable", other.id)).await,
        403
    );
    assert_eq!(
        ask("POST", &format!("keys/{}/disable", stage.key.id)).await,
        403
    );
    assert_eq!(ask("DELETE", "keys/LTAInone").await, 403);
    assert_eq!(ask("DELETE", &format!("keys/{}", clerk.id)).await, 204);
    let lines = stage.local("GET", "/api/v1/audit?last=50", json!({})).await;
    let resource = format!("user/clerk/access-key/{}", clerk.id);
    for wanted in [
        resource.as_str(),
        "policy/AliyunIOTReadOnlyAccess",
        "user/other",
    ] {
        assert!(
            lines.text.contains(&format!("\"{wanted}\"")),
            "{wanted} {}",
            lines.text
        );
    }
}

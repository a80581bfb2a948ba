//! What the door does before an action sees a request.

use crate::stage::{PEER, Stage, json_of, text, text_of};
use axum::{
    body::Body,
    http::{Method, Request},
};
use credential::{
    Secret,
    request::{acs3, query, rpc},
};
use model::{
    account::{Effect, OneOrMany, PolicyDocument, Resource, Statement},
    error::Fault,
    id::{PolicyName, Position, Time, UserName},
    port::{Burnt, Nonces, Ports, Taken},
};
use serde_json::json;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tower::ServiceExt as _;

const LIST: [(&str, &str); 2] = [("PageSize", "10"), ("CurrentPage", "1")];

fn form(pairs: &[(String, String)]) -> Request<Body> {
    Request::post("/")
        .header(
            "Content-Type",
            "application/x-www-form-urlencoded; charset=UTF-8",
        )
        .header("Host", "127.0.0.1")
        .body(Body::from(query::canonical(pairs)))
        .expect("it is good")
}

/// Signs the pairs again, for this method.
fn sign(stage: &Stage, method: &str, pairs: &mut Vec<(String, String)>) {
    pairs.retain(|(name, _)| name != "Signature");
    let secret = Secret::new(stage.key.secret.as_bytes().to_vec());
    let signature = rpc::sign(&secret, method, pairs);
    pairs.push(("Signature".into(), signature));
}

/// [AL-7.1] Style A and B: in the query, in the form body, and parted between them.
#[tokio::test]
async fn parameters_may_be_in_query_and_body() {
    let stage = Stage::set().await;
    stage.ok("QueryProductList", &LIST).await;

    let mut pairs = stage.signed(&stage.key, "QueryProductList", &LIST);
    sign(&stage, "POST", &mut pairs);
    let (status, tree) = json_of(stage.send(form(&pairs)).await).await;
    assert_eq!((status, &tree["Success"]), (200, &json!(true)), "{tree}");

    let mut pairs = stage.signed(&stage.key, "QueryProductList", &LIST);
    sign(&stage, "POST", &mut pairs);
    let (body, queried): (Vec<_>, Vec<_>) =
        pairs.into_iter().partition(|(name, _)| name == "PageSize");
    let request = Request::post(format!("/?{}", query::canonical(&queried)));
    let request = request.header("Content-Type", "application/x-www-form-urlencoded");
    let request = request.body(Body::from(query::canonical(&body)));
    let answer = stage.send(request.expect("it is good")).await;
    let (status, tree) = json_of(answer).await;
    assert_eq!((status, &tree["Success"]), (200, &json!(true)), "{tree}");

    // A POST without a body and without a type, as two SDKs send it.
    let mut pairs = stage.signed(&stage.key, "QueryProductList", &LIST);
    sign(&stage, "POST", &mut pairs);
    let request = Request::post(format!("/?{}", query::canonical(&pairs)));
    let request = request.header("Content-Length", "0").body(Body::empty());
    let (status, _) = json_of(stage.send(request.expect("it is good")).await).await;
    assert_eq!(status, 200);
}

/// [AL-7.1] Style C: signed in headers, answered in JSON unless something else is asked for.
#[tokio::test]
async fn requests_may_be_signed_in_headers() {
    let stage = Stage::set().await;
    let queried = [("PageSize", "10"), ("CurrentPage", "1")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let algorithm = acs3::Algorithm::HmacSha256;
    let body_hash = algorithm.body_hash(b"");
    let headers: Vec<(String, String)> = [
        ("host", "http://127.0.0.1:18080"),
        ("x-acs-action", "QueryProductList"),
        ("x-acs-version", "2018-01-20"),
        ("x-acs-date", "2021-02-22T08:00:00Z"),
        ("x-acs-signature-nonce", "header-nonce"),
        ("x-acs-content-sha256", &body_hash),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let signed: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
    let request = acs3::Request {
        method: "POST",
        path: "/",
        query: &queried,
        headers: &headers,
        body_hash: &body_hash,
    };
    let secret = Secret::new(stage.key.secret.as_bytes().to_vec());
    let signature = acs3::sign(&secret, algorithm, &request, &signed).expect("it can be signed");
    let authorization = format!(
        "ACS3-HMAC-SHA256 Credential={},SignedHeaders={},Signature={signature}",
        stage.key.key.id,
        signed.join(";")
    );
    let send = |altered: Option<&str>| {
        let mut request = Request::post("/?PageSize=10&CurrentPage=1");
        for (name, value) in &headers {
            let altered = altered == Some(name.as_str());
            // A time that can be read, but was not signed.
            let value = match (altered, name.as_str()) {
                (true, "x-acs-date") => "2021-02-22T08:00:01Z".to_owned(),
                (true, "x-acs-action") => "QueryProduct".to_owned(),
                (true, _) => format!("{value}0"),
                (false, _) => value.clone(),
            };
            request = request.header(name, value);
        }
        let request = request.header("Authorization", &authorization);
        stage.send(request.body(Body::empty()).expect("it is good"))
    };
    for name in &signed {
        let (status, tree) = json_of(send(Some(name)).await).await;
        assert_eq!(status, 400, "{name} {tree}");
    }
    let (status, tree) = json_of(send(None).await).await;
    assert_eq!((status, &tree["Success"]), (200, &json!(true)), "{tree}");
    let (status, tree) = json_of(send(None).await).await;
    assert_eq!((status, &tree["Code"]), (400, &json!("SignatureNonceUsed")));
}

/// Every parameter that is signed: altered once, it is refused, counted, and leaves one line in
/// the audit log.
#[tokio::test]
async fn an_altered_parameter_is_refused_counted_and_noted() {
    let stage = Stage::set().await;
    let good = stage.signed(&stage.key, "QueryProductList", &LIST);
    let caller = stage.hub.caller_local("test").await.expect("the owner");
    let permit = stage
        .hub
        .caller_allow(&caller, "muster:Audit", &Resource::Any, false)
        .await
        .expect("the owner may");
    let lines = async || {
        let lines = stage.hub.audit_page(&permit, 0, 1000).await;
        lines.expect("the log is there").len()
    };
    for i in 0..good.len() {
        let mut altered = good.clone();
        let (name, value) = altered[i].clone();
        if name == "Format" {
            altered[i].1 = "json".into();
        } else {
            altered[i].1.push('0');
        }
        let before = lines().await;
        let (status, tree) = stage.get(&altered).await;
        assert!((400..500).contains(&status), "{name}={value} {tree}");
        assert_eq!(lines().await, before + 1, "{name} {tree}");
        if tree["Code"] == "SignatureDoesNotMatch" {
            let message = text(&tree["Message"]);
            let told = message.split(':').nth(1).expect("a text after the colon");
            assert_eq!(told, rpc::string_to_sign("GET", &altered), "{name}");
        }
    }
    let counted = stage.hub.metrics().encode();
    for outcome in [
        "SignatureDoesNotMatch",
        "InvalidAccessKeyId.NotFound",
        "InvalidVersion",
        "IncompleteSignature",
    ] {
        let label = format!("outcome=\"{outcome}\"");
        assert!(counted.contains(&label), "{outcome} in\n{counted}");
    }
    // Nothing of that used the nonce up.
    let (status, _) = stage.get(&good).await;
    assert_eq!(status, 200);
    let (status, tree) = stage.get(&good).await;
    assert_eq!((status, &tree["Code"]), (400, &json!("SignatureNonceUsed")));
}

#[tokio::test]
async fn a_caller_is_told_what_is_wrong_with_it() {
    let stage = Stage::set().await;
    let (status, tree) = stage.get(&[]).await;
    assert_eq!((status, &tree["Code"]), (400, &json!("MissingAction")));
    assert_eq!(tree["HostId"], "http://127.0.0.1:18080");
    let (status, tree) = stage.call("NoSuchThing", &[]).await;
    let code = &tree["Code"];
    assert_eq!((status, code), (404, &json!("InvalidAction.NotFound")));
    let (status, tree) = stage.call("QueryProduct", &[]).await;
    assert_eq!((status, &tree["Code"]), (400, &json!("MissingProductKey")));
    let token = [("SecurityToken", "t"), ("ProductKey", "p")];
    let code = stage.code("QueryProduct", &token).await;
    assert_eq!(code, "InvalidSecurityToken.MismatchWithAccessKey");
    stage.clock.move_by(15 * 60 * 1000 + 1);
    let (status, tree) = stage.call("QueryProductList", &LIST).await;
    let code = &tree["Code"];
    assert_eq!((status, code), (400, &json!("InvalidTimeStamp.Expired")));
}

/// [FS-8] A sub-user may do what its policies say, product by product.
#[tokio::test]
async fn policies_decide_what_a_sub_user_may_do() {
    let stage = Stage::set().await;
    let product = stage.product().await;
    stage.device(&product, "lamp1").await;
    stage.device(&product, "lamp2").await;
    let hub = &stage.hub;
    let caller = hub.caller_local("test").await.expect("the owner");
    let permit = hub
        .caller_allow(&caller, "ram:Any", &Resource::Any, true)
        .await
        .expect("the owner may");
    let user = UserName::parse("reader").expect("it is good");
    let policy = PolicyName::parse("one-lamp").expect("it is good");
    hub.user_create(&permit, &user, "Reader")
        .await
        .expect("new");
    let document = PolicyDocument {
        version: "1".into(),
        statements: vec![Statement {
            effect: Effect::Allow,
            actions: OneOrMany::One("iot:*Device*".into()),
            resources: OneOrMany::One(format!("acs:iot:*:*:product/{product}/device/lamp1")),
        }],
    };
    hub.policy_put(&permit, &policy, "", document)
        .await
        .expect("new");
    hub.user_policy(&permit, &user, &policy, true)
        .await
        .expect("there");
    let key = hub
        .access_key_create(&permit, Some(&user))
        .await
        .expect("new");
    let ask = async |action: &str, params: &[(&str, &str)]| {
        let pairs = stage.signed(&key, action, params);
        let (status, tree) = stage.get(&pairs).await;
        (status, tree["Code"].as_str().unwrap_or_default().to_owned())
    };
    let lamp = |name| [("ProductKey", product.as_str()), ("DeviceName", name)];
    let refused = (403, "Forbidden.RAM".to_owned());
    let done = (200, String::new());
    assert_eq!(ask("QueryDeviceInfo", &lamp("lamp1")).await, done);
    assert_eq!(ask("QueryDeviceInfo", &lamp("lamp2")).await, refused);
    assert_eq!(ask("QueryDevice", &lamp("lamp1")).await, refused);
    assert_eq!(ask("QueryProductList", &LIST).await, refused);
    assert_eq!(ask("DisableThing", &lamp("lamp1")).await, refused);
    let both = [
        ("ProductKey", product.as_str()),
        ("DeviceName.1", "lamp1"),
        ("DeviceName.2", "lamp2"),
    ];
    assert_eq!(ask("BatchGetDeviceState", &both).await, refused);
    assert_eq!(ask("BatchGetDeviceState", &both[..2]).await, done);
    hub.user_disable(&permit, &user, true).await.expect("there");
    let inactive = (400, "InvalidAccessKeyId.Inactive".to_owned());
    assert_eq!(ask("QueryDeviceInfo", &lamp("lamp1")).await, inactive);
}

/// XML, which is the default of this style, for results, business errors and gateway errors.
#[tokio::test]
async fn answers_are_xml_when_nothing_else_is_asked_for() {
    let stage = Stage::set().await;
    let ask = async |action: &str, params: &[(&str, &str)]| {
        let mut pairs = stage.signed(&stage.key, action, params);
        pairs.retain(|(name, _)| name != "Format");
        sign(&stage, "GET", &mut pairs);
        let request = Request::get(format!("/?{}", query::canonical(&pairs)));
        let answer = stage.send(request.body(Body::empty()).expect("it is good"));
        let answer = answer.await;
        assert_eq!(answer.headers()["content-type"], "text/xml;charset=utf-8");
        text_of(answer).await
    };
    let (status, text) = ask("QueryProductList", &LIST).await;
    assert_eq!(status, 200);
    assert!(
        text.contains("<QueryProductListResponse><Data><CurrentPage>1<"),
        "{text}"
    );
    assert!(text.contains("<Success>true</Success>") && !text.contains("<Code>"));
    let (status, text) = ask("QueryProduct", &[("ProductKey", "nobody")]).await;
    assert_eq!(status, 200);
    assert!(text.contains("<QueryProductResponse><Code>iot.prod.NotExistedProduct</Code>"));
    let (status, text) = ask("QueryProduct", &[]).await;
    assert_eq!(status, 400);
    assert!(
        text.contains("<Error><Code>MissingProductKey</Code>"),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_too_large_or_another_method_is_refused_with_a_body() {
    let stage = Stage::set().await;
    let huge = || vec![b'a'; aliyun::pop::BODY_MOST + 1];
    for request in [
        Request::post("/").body(Body::from(huge())),
        Request::post("/")
            .header("Content-Length", "99999999")
            .body(Body::empty()),
    ] {
        let (status, tree) = json_of(stage.send(request.expect("it is good")).await).await;
        let code = &tree["Code"];
        assert_eq!((status, code), (413, &json!("RequestEntityTooLarge")));
    }
    let request = Request::builder().method(Method::PUT).uri("/");
    let request = request.body(Body::empty()).expect("it is good");
    let (status, tree) = json_of(stage.send(request).await).await;
    let code = &tree["Code"];
    assert_eq!((status, code), (405, &json!("UnsupportedHTTPMethod")));
}

/// A request whose way is not known is never answered as if it came from anywhere.
#[tokio::test]
async fn a_server_that_does_not_tell_the_peer_is_not_served() {
    let stage = Stage::set().await;
    let pairs = stage.signed(&stage.key, "QueryProductList", &LIST);
    let request = Request::get(format!("/?{}", query::canonical(&pairs)));
    let request = request.body(Body::empty()).expect("it is good");
    let answer = stage.door.clone().oneshot(request).await;
    let (status, _) = json_of(answer.expect("the door answers")).await;
    assert_eq!(status, 500);
    assert!(PEER.channel.secure());
}

/// Each call is counted once: as `ok`, or with the one error that the caller was told.
#[tokio::test]
async fn a_call_is_counted_once_with_what_became_of_it() {
    let stage = Stage::set().await;
    let product = stage.product().await;
    stage.ok("QueryProduct", &[("ProductKey", &product)]).await;
    stage.code("QueryProduct", &[("ProductKey", "none")]).await;
    stage.code("QueryProduct", &[]).await;
    let mut pairs = stage.signed(&stage.key, "QueryProduct", &[("ProductKey", &product)]);
    pairs.push(("Altered".into(), "1".into()));
    stage.get(&pairs).await;
    let page = stage.hub.metrics().encode();
    let mut counted: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("muster_api_calls_total") && line.contains("QueryProduct"))
        .map(|line| (line.contains("outcome=\"ok\""), line.ends_with(" 1")))
        .collect();
    counted.sort_unstable();
    let refused = (false, true);
    assert_eq!(counted, [refused, refused, refused, (true, true)], "{page}");
}

/// [FS-8] Who may only read gets no secret with which to be a device; what is denied is not listed.
#[tokio::test]
async fn secrets_are_shown_to_those_who_may_see_them() {
    let stage = Stage::set().await;
    let hub = &stage.hub;
    let product = stage.product().await;
    let in_product = [("ProductKey", product.as_str())];
    let made = stage
        .ok("BatchRegisterDevice", &[in_product[0], ("Count", "1")])
        .await;
    let apply = made["Data"]["ApplyId"].to_string();
    stage.device(&product, "lamp").await;
    let lamp = [in_product[0], ("DeviceName", "lamp")];
    let lamps = [in_product[0], ("DeviceName.1", "lamp")];
    let inactive = [("Status", "0")];
    let applied = [("ApplyId", apply.as_str())];
    let calls: [(&str, &[(&str, &str)]); 7] = [
        ("QueryProduct", &in_product),
        ("QueryDevice", &in_product),
        ("QueryDeviceInfo", &lamp),
        ("QueryDeviceDetail", &lamp),
        ("BatchQueryDeviceDetail", &lamps),
        ("QueryDeviceByStatus", &inactive),
        ("QueryPageByApplyId", &applied),
    ];
    let caller = hub.caller_local("owner").await.expect("there is an owner");
    let permit = hub
        .caller_allow(&caller, "ram:All", &Resource::Any, false)
        .await
        .expect("the owner may");
    for (name, policy, shown) in [
        ("reader", "AliyunIOTReadOnlyAccess", false),
        ("keeper", "AliyunIOTFullAccess", true),
    ] {
        let user = UserName::parse(name).expect("it is good");
        let policy = PolicyName::parse(policy).expect("it is good");
        hub.user_create(&permit, &user, "").await.expect("new");
        hub.user_policy(&permit, &user, &policy, true)
            .await
            .expect("both are there");
        let key = hub.access_key_create(&permit, Some(&user)).await;
        let key = key.expect("new");
        for (action, params) in &calls {
            let (status, tree) = stage.get(&stage.signed(&key, action, params)).await;
            assert_eq!((status, &tree["Success"]), (200, &json!(true)), "{tree}");
            let told = tree.to_string();
            let secret = "Secret\":\"";
            let at = told
                .find(secret)
                .unwrap_or_else(|| panic!("{action} {told}"));
            let empty = told[at + secret.len()..].starts_with('"');
            assert_eq!(!empty, shown, "{name} {action} {told}");
        }
    }
    let reader = UserName::parse("reader").expect("it is good");
    let away = PolicyName::parse("away").expect("it is good");
    let document = PolicyDocument {
        version: "1".into(),
        statements: vec![Statement {
            effect: Effect::Deny,
            actions: OneOrMany::One("iot:*".into()),
            resources: OneOrMany::One(format!("acs:iot:*:*:product/{product}")),
        }],
    };
    hub.policy_put(&permit, &away, "", document)
        .await
        .expect("new");
    hub.user_policy(&permit, &reader, &away, true)
        .await
        .expect("both are there");
    let key = hub.access_key_create(&permit, Some(&reader)).await;
    let pairs = stage.signed(&key.expect("new"), "QueryDeviceByStatus", &inactive);
    let (_, tree) = stage.get(&pairs).await;
    assert_eq!(tree["Total"], 0, "{tree}");
}

/// Single-use things on a disk that takes nothing for a while.
struct Stuck {
    nonces: Arc<dyn Nonces>,
    stuck: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Nonces for Stuck {
    async fn mint(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<(), Fault> {
        self.nonces.mint(token, owner, now, until).await
    }

    async fn take(&self, token: &str, owner: &str, now: Time) -> Result<Taken, Fault> {
        self.nonces.take(token, owner, now).await
    }

    async fn burn(&self, token: &str, owner: &str, now: Time, until: Time) -> Result<Burnt, Fault> {
        self.nonces.burn(token, owner, now, until).await
    }

    async fn burn_ahead(
        &self,
        token: &str,
        owner: &str,
        now: Time,
        until: Time,
    ) -> Result<(Burnt, Position), Fault> {
        self.nonces.burn_ahead(token, owner, now, until).await
    }

    async fn settled(&self, mark: Position, now: Time) -> Result<(), Fault> {
        assert!(mark > Position(0), "a call that was let in has a mark");
        match self.stuck.load(Ordering::SeqCst) {
            true => Err(Fault::passing("the disk takes nothing")),
            false => self.nonces.settled(mark, now).await,
        }
    }
}

/// [AL-7.1] A call whose nonce is not on disk is told nothing when it reads, and does nothing when
/// it changes; and it cannot be sent again.
#[tokio::test]
async fn nothing_is_told_or_done_before_the_nonce_is_on_disk() {
    let stuck = Arc::new(AtomicBool::new(false));
    let stage = Stage::set_with(|ports| Ports {
        nonces: Arc::new(Stuck {
            nonces: ports.nonces.clone(),
            stuck: stuck.clone(),
        }),
        ..ports
    })
    .await;
    stage.product().await;
    stuck.store(true, Ordering::SeqCst);
    let read = stage.signed(&stage.key, "QueryProductList", &LIST);
    let (status, tree) = stage.get(&read).await;
    assert_eq!(status, 503, "{tree}");
    assert!(!tree.to_string().contains("Lamp"), "{tree}");
    let params = [
        ("ProductName", "Never"),
        ("NodeType", "0"),
        ("DataFormat", "1"),
        ("AliyunCommodityCode", "iothub_senior"),
    ];
    let (status, tree) = stage.call("CreateProduct", &params).await;
    assert_eq!(status, 503, "{tree}");
    let caller = stage.hub.caller_local("local").await.expect("the account");
    let permit = stage
        .hub
        .caller_allow(&caller, "muster:ReadAudit", &Resource::Any, false)
        .await
        .expect("it may");
    let lines = stage.hub.audit_page(&permit, 0, 1000).await;
    let line = lines.expect("they are read").pop().expect("there is one");
    let told = (line.entry.action.as_str(), line.entry.outcome.as_str());
    assert_eq!(told, ("iot:CreateProduct", "Fault"));
    stuck.store(false, Ordering::SeqCst);
    let (_, tree) = stage.get(&read).await;
    assert_eq!(tree["Code"], "SignatureNonceUsed", "{tree}");
    let tree = stage.ok("QueryProductList", &LIST).await;
    let told = tree.to_string();
    assert!(told.contains("Lamp") && !told.contains("Never"), "{tree}");
}

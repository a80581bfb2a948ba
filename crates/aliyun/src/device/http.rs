//! The HTTP authentication service: tokens, registration, bootstrap
//! (seed 001 §3.2 and §6.2, seed 004, spec/alink-wire.md §3).
//!
//! Devices read the answers with parsers made by hand: `code` first, no blanks, few bytes, and
//! status 200 for errors too.

use super::Alink;
use crate::codes::alink::{self as codes, Code};
use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, uri::Authority},
    response::{IntoResponse, Response},
    routing::{MethodRouter, post},
};
use credential::alink::{Channel, Signed, SignedError};
use hub::{
    admit::{Claim, Registration},
    edge::Peer,
};
use model::{
    error::AdmitError,
    id::{BadId, DeviceKey},
};
use serde::Serialize;
use std::sync::Arc;

/// Longest body that is read, in bytes; ten times what the longest known client sends.
pub const BODY_MAX: usize = 8 * 1024;
/// Most fields that are read.
const FIELDS_MAX: usize = 32;

/// The routes `/auth/devicename`, `/auth/register/device` and `/auth/bootstrap`. Every request
/// must carry a `hub::edge::Peer` as an extension.
pub fn routes(alink: Arc<Alink>) -> Router {
    let only = |route: MethodRouter<Arc<Alink>>| route.fallback(wrong_method);
    Router::new()
        .route("/auth/devicename", only(post(devicename)))
        .route("/auth/register/device", only(post(register)))
        .route("/auth/bootstrap", only(post(bootstrap)))
        .with_state(alink)
}

/// Checks a device's signature and gives it an id and a token for MQTT ([AL-3.3]).
async fn devicename(State(alink): State<Arc<Alink>>, request: Request) -> Response {
    answer(alink.devicename(request).await)
}

/// Gives a device its secret ([AL-2.5]).
async fn register(State(alink): State<Arc<Alink>>, request: Request) -> Response {
    answer(alink.register(request).await)
}

/// Names the node that a device is to connect to ([AL-3.13]).
async fn bootstrap(State(alink): State<Arc<Alink>>, request: Request) -> Response {
    answer(alink.bootstrap(request).await)
}

async fn wrong_method() -> Response {
    let code = Code(codes::PARAMETER.0, "this address takes POST only");
    let mut response = Refused::from(code).into_response();
    *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
    let post = header::HeaderValue::from_static("POST");
    response.headers_mut().insert(header::ALLOW, post);
    response
}

/// A request as far as all three addresses read it alike.
struct Call {
    peer: Peer,
    headers: HeaderMap,
    fields: Vec<(String, String)>,
}

#[derive(Serialize)]
struct Success<T> {
    code: u32,
    data: T,
    message: &'static str,
}

#[derive(Serialize)]
struct Refused {
    code: u32,
    message: String,
}

impl From<Code> for Refused {
    fn from(Code(code, message): Code) -> Self {
        Self {
            code,
            message: message.to_owned(),
        }
    }
}

impl Refused {
    fn because(Code(code, message): Code, why: &str) -> Self {
        Self {
            code,
            message: format!("{message}: {why}"),
        }
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        json(&self)
    }
}

fn answer<T: Serialize>(answer: Result<T, Refused>) -> Response {
    match answer {
        Ok(data) => json(&Success {
            code: codes::SUCCESS.0,
            data,
            message: codes::SUCCESS.1,
        }),
        Err(refused) => refused.into_response(),
    }
}

fn json(body: &impl Serialize) -> Response {
    let body = serde_json::to_vec(body).expect("answers have text keys");
    let kind = "application/json;charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Token {
    iot_id: String,
    iot_token: String,
    resources: Resources,
}

#[derive(Serialize)]
struct Node {
    resources: Resources,
}

#[derive(Serialize)]
struct Resources {
    mqtt: Mqtt,
}

#[derive(Serialize)]
struct Mqtt {
    host: String,
    port: u16,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Secret {
    device_name: String,
    device_secret: String,
    product_key: String,
}

impl Alink {
    async fn devicename(&self, request: Request) -> Result<Token, Refused> {
        let (peer, mut device) = (sender(&request)?, String::new());
        let bad = codes::AUTH_PARAMETER;
        let read = async {
            let call = self.call(request, peer, bad).await?;
            device = call.shown();
            let resources = self.resources(&call, bad)?;
            Ok((call.pre_auth(self.hub.limits().client_id)?, resources))
        };
        let read = read.await;
        let read = self.noted("device.token", &peer, &device, read).await;
        let (claim, resources) = read?;
        match self.hub.device_token(claim).await {
            Ok((device, iot_token)) => Ok(Token {
                iot_id: device.iot_id.to_string(),
                iot_token,
                resources,
            }),
            Err(error) => Err(refused(&error, codes::pre_auth(&error))),
        }
    }

    async fn register(&self, request: Request) -> Result<Secret, Refused> {
        let (peer, mut device) = (sender(&request)?, String::new());
        let read = async {
            let call = self.call(request, peer, codes::PARAMETER).await?;
            device = call.shown();
            call.register()
        };
        let read = read.await;
        let claim = self.noted("device.register", &peer, &device, read).await?;
        let registered = self.hub.device_register_self(claim, Registration::Known);
        match registered.await {
            Ok(registered) => Ok(Secret {
                device_name: registered.device.key.name.to_string(),
                device_secret: registered.secret,
                product_key: registered.device.key.product.to_string(),
            }),
            Err(error) => Err(refused(&error, codes::register(&error))),
        }
    }

    async fn bootstrap(&self, request: Request) -> Result<Node, Refused> {
        let peer = sender(&request)?;
        let call = self.call(request, peer, codes::PARAMETER).await?;
        call.device(codes::PARAMETER)?;
        let resources = self.resources(&call, codes::PARAMETER)?;
        Ok(Node { resources })
    }

    /// Counts and audits a request that could not be read, as the hub does those that can.
    async fn noted<T>(
        &self,
        action: &str,
        peer: &Peer,
        device: &str,
        read: Result<T, Refused>,
    ) -> Result<T, Refused> {
        if let Err(refused) = &read {
            self.note(action, peer, device, &refused.message).await;
        }
        read
    }

    async fn call(&self, request: Request, peer: Peer, bad: Code) -> Result<Call, Refused> {
        if !self.settings.insecure_http && !peer.channel.secure() {
            return Err(codes::AUTH_CLEAR.into());
        }
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, BODY_MAX).await;
        let body = body.map_err(|_| Refused::because(bad, "the body is too long or cut short"))?;
        Ok(Call {
            peer,
            headers: parts.headers,
            fields: fields(&body).map_err(|why| Refused::because(bad, why))?,
        })
    }

    fn resources(&self, call: &Call, bad: Code) -> Result<Resources, Refused> {
        let host = self.settings.host.clone().or_else(|| host(&call.headers));
        let host = host.ok_or_else(|| Refused::because(bad, "the header Host is missing"))?;
        let port = self.settings.mqtt_port;
        Ok(Resources {
            mqtt: Mqtt { host, port },
        })
    }
}

/// Where a request comes from.
fn sender(request: &Request) -> Result<Peer, Refused> {
    let peer = request.extensions().get::<Peer>().copied();
    peer.ok_or_else(|| {
        tracing::error!("a request came without the address of its sender");
        codes::AUTH_UNKNOWN.into()
    })
}

/// The name under which the device found us, without a port.
fn host(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::HOST)?.to_str().ok()?;
    let authority: Authority = text.parse().ok()?;
    let host = authority.host();
    let host = host
        .strip_prefix('[')
        .map_or(host, |host| host.trim_end_matches(']'));
    (!host.is_empty() && !text.contains('@')).then(|| host.to_owned())
}

/// Reads a form. C clients send values as they are, others percent-encode them; the values of
/// these requests have nothing that would be read differently.
pub(crate) fn fields(body: &[u8]) -> Result<Vec<(String, String)>, &'static str> {
    let body = super::alink::trim(body).trim_ascii();
    if std::str::from_utf8(body).is_err() {
        return Err("the body is not text");
    }
    let mut fields: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(body) {
        if fields.len() == FIELDS_MAX {
            return Err("there are too many fields");
        }
        if fields.iter().any(|(known, _)| *known == name) {
            return Err("a field is given twice");
        }
        fields.push((name.into_owned(), value.into_owned()));
    }
    Ok(fields)
}

impl Call {
    fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    fn need(&self, name: &str, bad: Code) -> Result<&str, Refused> {
        self.get(name)
            .filter(|value| !value.is_empty())
            .ok_or_else(|| Refused::because(bad, &format!("{name} is missing")))
    }

    /// Who the sender says it is, for the audit log.
    fn shown(&self) -> String {
        let field = |name| self.get(name).unwrap_or("?");
        format!("{}/{}", field("productKey"), field("deviceName"))
    }

    /// Clients spell the name of this field in two ways.
    fn method(&self) -> Option<&str> {
        let mut fields = self.fields.iter();
        let found = fields.find(|(name, _)| name.eq_ignore_ascii_case("signmethod"));
        found.map(|(_, value)| value.as_str())
    }

    fn device(&self, bad: Code) -> Result<DeviceKey, Refused> {
        let (product, name) = (self.need("productKey", bad)?, self.need("deviceName", bad)?);
        DeviceKey::parse(product, name)
            .map_err(|why: BadId| Refused::because(bad, &why.to_string()))
    }

    fn pre_auth(&self, base_max: usize) -> Result<Claim, Refused> {
        let bad = codes::AUTH_PARAMETER;
        if self.need("clientId", bad)?.chars().count() > base_max {
            return Err(Refused::because(bad, "clientId is too long"));
        }
        self.claim(Channel::AuthDevicename, bad, bad)
    }

    fn register(&self) -> Result<Claim, Refused> {
        self.need("random", codes::PARAMETER)?;
        self.claim(Channel::AuthRegister, codes::PARAMETER, codes::SIGN_METHOD)
    }

    fn claim(&self, channel: Channel, bad: Code, bad_method: Code) -> Result<Claim, Refused> {
        let device = self.device(bad)?;
        let sign = self.need("sign", bad)?.to_owned();
        let signed = Signed::new(channel, self.method(), self.fields.clone(), sign);
        let evidence = signed.map_err(|error| match error {
            SignedError::UnknownMethod => Refused::from(bad_method),
            SignedError::Missing(name) => Refused::because(bad, &format!("{name} is missing")),
        })?;
        Ok(Claim {
            device,
            evidence: Box::new(evidence),
            says_secure: None,
            peer: self.peer,
        })
    }
}

fn refused(error: &AdmitError, code: Code) -> Refused {
    match error {
        AdmitError::BadRequest(why) => Refused::because(code, why),
        _ => code.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::Want;

    const PK: &str = "a1MZxOdcBnO";
    const PRODUCT_SECRET: &str = "h4I4dneEFp7EImTv";

    fn call(body: &str) -> Call {
        Call {
            peer: Peer {
                address: [127, 0, 0, 1].into(),
                channel: hub::edge::Channel::Https,
            },
            headers: HeaderMap::new(),
            fields: fields(body.as_bytes()).unwrap(),
        }
    }

    fn secret(text: &str) -> credential::Secret {
        credential::Secret::new(text.as_bytes().to_vec())
    }

    fn failure<T>(result: Result<T, Refused>) -> String {
        match result {
            Ok(_) => panic!("should be refused"),
            Err(refused) => serde_json::to_string(&refused).unwrap(),
        }
    }

    /// [AL-2.5] [LK-1] Bodies of three clients, `spec/alink-wire.md` §9.
    #[test]
    fn captured_registrations_are_genuine() {
        for (body, product_secret) in [
            (
                "productKey=a1MZxOdcBnO&deviceName=example1&random=q2bymq6yxz&sign=bc701a17d5e8c103f3d0185c454ddc3c16bf33b3&signMethod=hmacsha1",
                PRODUCT_SECRET,
            ),
            (
                "random=LWZ5jWCtdyyDdvD&productKey=a1MZxOdcBnO&signMethod=hmacsha256&deviceName=example1&sign=6fb0f036f47f5ad3c7667b2344b67df4914343d6b859491124c97ccec9d20bd2",
                PRODUCT_SECRET,
            ),
        ] {
            let Ok(claim) = call(body).register() else {
                panic!("{body}");
            };
            assert_eq!(claim.device, DeviceKey::parse(PK, "example1").unwrap());
            assert_eq!(claim.evidence.wants(), [Want::ProductSecret]);
            assert!(claim.evidence.check(&secret(product_secret)), "{body}");
            assert!(!claim.evidence.check(&secret("other")));
        }
    }

    /// [AL-3.3] [LK-2] The order of the C SDK; `version`, `resources` and `signmethod` are not
    /// signed, everything else is.
    #[test]
    fn pre_authentication_signs_what_was_sent() {
        let signed = [
            ("clientId", "c1"),
            ("deviceName", "example1"),
            ("ext", "1"),
            ("productKey", PK),
            ("timestamp", "2524608000000"),
        ];
        let sign = credential::alink::sign(
            &secret("ds"),
            credential::alink::SignMethod::HmacSha1,
            Channel::AuthDevicename,
            &signed,
        );
        let body = format!(
            "productKey={PK}&deviceName=example1&signmethod=hmacsha1&sign={sign}&version=default&clientId=c1&timestamp=2524608000000&resources=mqtt&ext=1"
        );
        let genuine = |body: &str| {
            let claim = call(body).pre_auth(64).ok();
            claim.is_some_and(|claim| claim.evidence.check(&secret("ds")))
        };
        assert!(genuine(&body));
        assert!(genuine(&format!("{body}\r\n\0")));
        assert!(genuine(&body.replace("resources=mqtt", "resources=x")));
        assert!(genuine(&body.replace("clientId=c1", "clientId=%63%31")));
        for (from, to) in [
            ("clientId=c1", "clientId=c2"),
            ("ext=1", "ext=0"),
            ("timestamp=2524608000000", "timestamp=2524608000001"),
            ("deviceName=example1", "deviceName=example2"),
            ("hmacsha1", "hmacmd5"),
        ] {
            assert!(!genuine(&body.replace(from, to)), "{to}");
        }
        assert!(!genuine(&format!("{body}&more=1")));
    }

    /// [AL-2.5] [AL-3.3] Each missing field has its answer; every answer begins with the code.
    #[test]
    fn what_is_missing_is_named() {
        let pre_auth = |body: &str| failure(call(body).pre_auth(64));
        let register = |body: &str| failure(call(body).register());
        let long = "x".repeat(65);
        for (found, expected) in [
            (
                pre_auth(""),
                "{\"code\":460,\"message\":\"param error: clientId is missing\"}",
            ),
            (
                pre_auth(&format!("clientId={long}")),
                "{\"code\":460,\"message\":\"param error: clientId is too long\"}",
            ),
            (
                pre_auth("clientId=c&productKey=pk&deviceName=dev1"),
                "{\"code\":460,\"message\":\"param error: sign is missing\"}",
            ),
            (
                pre_auth("clientId=c&productKey=pk&deviceName=d+v1&sign=00"),
                "{\"code\":460,\"message\":\"param error: DeviceName has 4 to 32 characters, each a letter, a digit or one of - _ @ . :\"}",
            ),
            (
                pre_auth("clientId=c&productKey=pk&deviceName=dev1&sign=00&signmethod=md5"),
                "{\"code\":460,\"message\":\"param error\"}",
            ),
            (
                register("productKey=pk&deviceName=dev1&sign=00"),
                "{\"code\":460,\"message\":\"request parameter error: random is missing\"}",
            ),
            (
                register("productKey=pk&deviceName=dev1&random=1&sign=00&signMethod=md5"),
                "{\"code\":6292,\"message\":\"sign method not supported\"}",
            ),
        ] {
            assert_eq!(found, expected);
        }
    }

    /// [LK-1] The answer that seed 004 shows, byte for byte and within the client's buffer.
    #[test]
    fn a_secret_is_answered_in_the_form_that_c_clients_search() {
        let body = serde_json::to_string(&Success {
            code: 200,
            data: Secret {
                device_name: "Example_dyn1".into(),
                device_secret: "KGQQFFlGinIipW9Xn7xQ5U6d6MokPZD4".into(),
                product_key: "a1ExpAkj9Hi".into(),
            },
            message: "success",
        });
        assert_eq!(
            body.unwrap(),
            "{\"code\":200,\"data\":{\"deviceName\":\"Example_dyn1\",\"deviceSecret\":\"KGQQFFlGinIipW9Xn7xQ5U6d6MokPZD4\",\"productKey\":\"a1ExpAkj9Hi\"},\"message\":\"success\"}"
        );
    }

    #[test]
    fn hosts_are_taken_without_port() {
        for (value, expected) in [
            ("iot.example.com", Some("iot.example.com")),
            ("iot.example.com:8443", Some("iot.example.com")),
            ("10.0.0.1:80", Some("10.0.0.1")),
            ("[::1]:80", Some("::1")),
            ("user@host", None),
            ("a b", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, value.parse().unwrap());
            assert_eq!(host(&headers).as_deref(), expected, "{value}");
        }
        assert_eq!(host(&HeaderMap::new()), None);
    }

    #[test]
    fn forms_have_bounds() {
        assert!(fields(b"a=1&a=2").is_err());
        assert!(fields(b"a=\xff").is_err());
        let many: String = (0..=FIELDS_MAX).map(|n| format!("f{n}=1&")).collect();
        assert!(fields(many.as_bytes()).is_err());
        assert_eq!(fields(b"").unwrap(), []);
    }
}

//! HTTP requests byte by byte, and signatures of the application API that can be spoilt.

use crate::{PATIENCE, server::Key};
use credential::{
    Secret,
    request::{acs3, query, rpc},
};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::SystemTime,
};

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// Status code; 0 when the server closed without an answer.
    pub status: u16,
    /// Header lines.
    pub head: String,
    /// Body.
    pub body: String,
}

impl Reply {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The text of a field of the body.
    pub fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends bytes as they are and reads until the server closes.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Reply {
    try_exchange(address, bytes).expect("the listener listens")
}

/// The same with a server that may be away; `None` when it is.
pub fn try_exchange(address: SocketAddr, bytes: &[u8]) -> Option<Reply> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    // A server that refuses may close before all is sent.
    _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    Some(Reply {
        status,
        head: head.into(),
        body: body.into(),
    })
}

/// Sends a request with a body and reads the answer.
pub fn request(
    address: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> Reply {
    let mut text = format!("{method} {target} HTTP/1.1\r\nConnection: close\r\n");
    if !headers
        .iter()
        .any(|(name, _)| name.eq_ignore_ascii_case("host"))
    {
        text += &format!("Host: {address}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += &format!("Content-Length: {}\r\n\r\n", body.len());
    let mut bytes = text.into_bytes();
    bytes.extend_from_slice(body);
    exchange(address, &bytes)
}

/// A call in the RPC style to a server that may be away: what it answered, if that was JSON.
pub fn try_rpc(
    address: SocketAddr,
    key: &Key,
    action: &str,
    params: &[(&str, &str)],
) -> Option<Value> {
    let target = format!("/?{}", form(&rpc_call(key, "GET", action, params)));
    let text = format!("GET {target} HTTP/1.1\r\nConnection: close\r\nHost: {address}\r\n\r\n");
    let reply = try_exchange(address, text.as_bytes())?;
    serde_json::from_str(&reply.body).ok()
}

/// Owned pairs from borrowed ones.
pub fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|&(name, value)| (name.into(), value.into()))
        .collect()
}

/// The time in the API's form, `offset` seconds from now.
pub fn timestamp(offset: i64) -> String {
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_secs() as i64
        + offset;
    let (days, seconds) = (now.div_euclid(86_400), now.rem_euclid(86_400));
    // Days to a date of the Gregorian calendar, in years that begin in March.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    )
}

/// A nonce that no other call of this process has.
pub fn nonce() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("after 1970")
        .as_nanos();
    format!(
        "{now:x}-{}-{}",
        std::process::id(),
        NEXT.fetch_add(1, Ordering::Relaxed)
    )
}

/// The parameters of a call in the RPC style, all signed; `Signature` comes last.
pub fn rpc_call(
    key: &Key,
    method: &str,
    action: &str,
    params: &[(&str, &str)],
) -> Vec<(String, String)> {
    let mut all = pairs(&[
        ("Action", action),
        ("Version", "2018-01-20"),
        ("Format", "JSON"),
        ("AccessKeyId", &key.id),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
        ("SignatureNonce", &nonce()),
        ("Timestamp", &timestamp(0)),
    ]);
    all.extend(pairs(params));
    sign_rpc(key, method, &mut all);
    all
}

/// Signs the parameters anew.
pub fn sign_rpc(key: &Key, method: &str, all: &mut Vec<(String, String)>) {
    all.retain(|(name, _)| name != "Signature");
    let secret = Secret::new(key.secret.as_bytes().to_vec());
    let signature = rpc::sign(&secret, method, all);
    all.push(("Signature".into(), signature));
}

/// Sends a call in the RPC style, its parameters in the query.
pub fn send_rpc(address: SocketAddr, method: &str, all: &[(String, String)]) -> Reply {
    request(address, method, &format!("/?{}", form(all)), &[], b"")
}

/// Pairs as a form or a query.
pub fn form(all: &[(String, String)]) -> String {
    all.iter()
        .map(|(name, value)| format!("{}={}", query::encode(name), query::encode(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// A call that is signed in its headers (ACS3), in parts that can be spoilt.
#[derive(Clone, Debug)]
pub struct Acs3 {
    /// Query parameters.
    pub query: Vec<(String, String)>,
    /// Signed headers.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// The `Authorization` header.
    pub authorization: String,
}

impl Acs3 {
    /// Signs a call.
    pub fn new(key: &Key, host: &str, action: &str, params: &[(&str, &str)], body: &[u8]) -> Self {
        let algorithm = acs3::Algorithm::HmacSha256;
        let hash = algorithm.body_hash(body);
        let mut headers = pairs(&[
            ("host", host),
            ("x-acs-action", action),
            ("x-acs-content-sha256", &hash),
            ("x-acs-date", &timestamp(0)),
            ("x-acs-signature-nonce", &nonce()),
            ("x-acs-version", "2018-01-20"),
        ]);
        headers.sort();
        let query = pairs(params);
        let names: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
        let request = acs3::Request {
            method: "POST",
            path: "/",
            query: &query,
            headers: &headers,
            body_hash: &hash,
        };
        let secret = Secret::new(key.secret.as_bytes().to_vec());
        let signature = acs3::sign(&secret, algorithm, &request, &names).expect("it can be signed");
        let authorization = format!(
            "{} Credential={},SignedHeaders={},Signature={signature}",
            algorithm.name(),
            key.id,
            names.join(";")
        );
        Self {
            query,
            headers,
            body: body.into(),
            authorization,
        }
    }

    /// Sends it.
    pub fn send(&self, address: SocketAddr) -> Reply {
        let mut headers = self.headers.clone();
        headers.push(("Authorization".into(), self.authorization.clone()));
        let target = format!("/?{}", form(&self.query));
        request(address, "POST", &target, &headers, &self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_the_form_of_the_api() {
        let now = timestamp(0);
        assert_eq!(now.len(), "2021-02-22T08:00:00Z".len());
        assert!(
            now.as_str() > "2026-01-01T00:00:00Z" && now.ends_with('Z'),
            "{now}"
        );
    }
}

//! Reads a request of any of the three styles: parameters, action, format, and why we should
//! believe who sent it.

use crate::codes::gateway::GatewayError;
use credential::{
    Evidence,
    request::{
        acs3::{Acs3Signed, Authorization, Request as Signed},
        query,
        rpc::RpcSigned,
    },
};
use model::id::{AccessKeyId, Time};
use std::collections::HashSet;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// Parameters of one request: ten thousand names with nicknames, and some to spare.
const PARAMETERS_MOST: usize = 24_000;
/// So many parameters are a few.
const FEW: usize = 32;
/// Bytes of a parameter's name.
const NAME_MOST: usize = 256;
/// Bytes of a parameter's value; thing models are the long ones.
const VALUE_MOST: usize = 1024 * 1024;
/// Bytes of a nonce, which is kept until its time is over.
const NONCE_MOST: usize = 128;

/// A request as HTTP brought it.
pub(crate) struct Arrived<'a> {
    /// `GET` or `POST`.
    pub(crate) method: &'a str,
    /// `/`.
    pub(crate) path: &'a str,
    /// What followed the question mark.
    pub(crate) query: &'a str,
    /// Headers in the order of arrival; those that are no text are left out.
    pub(crate) headers: &'a [(String, String)],
    /// The whole body.
    pub(crate) body: &'a [u8],
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// XML.
    Xml,
}

/// A request that can be read.
pub(crate) struct Request {
    /// What is to be done.
    pub(crate) action: String,
    /// Of which API.
    pub(crate) version: String,
    /// The parameters of the query, then those of the form body; no name comes twice.
    pub(crate) pairs: Vec<(String, String)>,
    queried: usize,
}

/// Who sent it, and why we should believe that.
pub(crate) struct Proof {
    /// The key that is named.
    pub(crate) key: AccessKeyId,
    /// The signature.
    pub(crate) evidence: Box<dyn Evidence>,
    /// The text that should have been signed.
    pub(crate) text: String,
    /// The time that was signed.
    pub(crate) at: Time,
    /// The nonce that was signed.
    pub(crate) nonce: String,
    /// Whether a token of a temporary key came along.
    pub(crate) token: bool,
}

impl Arrived<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(sent, _)| sent.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim())
    }

    /// The name under which the client knows this server.
    pub(crate) fn host(&self) -> String {
        self.header("host")
            .unwrap_or_default()
            .chars()
            .take(256)
            .collect()
    }

    /// The key that the request names, cut to what may stand in a log; without a look at whether
    /// the request makes sense.
    pub(crate) fn key(&self) -> Option<String> {
        let cut = |text: &str| text.chars().take(128).collect();
        if let Some(authorization) = self.acs3() {
            let (_, rest) = authorization.split_once("Credential=")?;
            return rest.split(',').next().map(cut);
        }
        let body = std::str::from_utf8(self.body).unwrap_or_default();
        [self.query, body]
            .iter()
            .flat_map(|text| text.split('&'))
            .find_map(|pair| pair.strip_prefix("AccessKeyId="))
            .map(cut)
    }

    /// Whether the request is signed in its headers. `x-acs-action` says nothing of that: other
    /// styles send it too.
    fn acs3(&self) -> Option<&str> {
        self.header("authorization")
            .filter(|value| Authorization::is_acs3(value))
    }
}

/// Reads a request. The format is known even when the request is not understood.
pub(crate) fn read(arrived: &Arrived<'_>) -> (Format, Result<Request, GatewayError>) {
    let (pairs, queried) = match pairs(arrived) {
        Ok(both) => both,
        Err(error) => return (Format::Json, Err(error)),
    };
    let find = |name: &str| {
        pairs
            .iter()
            .find(|(sent, _)| sent == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    let asked = find("Action");
    let format = match find("Format") {
        Some(word) if word.eq_ignore_ascii_case("xml") => Format::Xml,
        Some(_) => Format::Json,
        None if asked.is_some() && arrived.acs3().is_none() => Format::Xml,
        None => Format::Json,
    };
    let header = |name| arrived.header(name).filter(|value| !value.is_empty());
    let Some(action) = asked.or_else(|| header("x-acs-action")) else {
        return (format, Err(GatewayError::Missing("Action".into())));
    };
    let Some(version) = find("Version").or_else(|| header("x-acs-version")) else {
        return (format, Err(GatewayError::Missing("Version".into())));
    };
    let (action, version) = (action.to_owned(), version.to_owned());
    (
        format,
        Ok(Request {
            action,
            version,
            pairs,
            queried,
        }),
    )
}

fn pairs(arrived: &Arrived<'_>) -> Result<(Vec<(String, String)>, usize), GatewayError> {
    let mut pairs = Vec::with_capacity(16);
    decode(arrived.query, &mut pairs)?;
    let queried = pairs.len();
    let kind = arrived.header("content-type").unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !arrived.body.is_empty() {
        if !kind.is_empty() && !kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
            return Err(GatewayError::Unreadable(
                "a body must be application/x-www-form-urlencoded",
            ));
        }
        let body = std::str::from_utf8(arrived.body)
            .map_err(|_| GatewayError::Unreadable("the body is not text"))?;
        decode(body, &mut pairs)?;
    }
    // Comparing a few with each other takes less than a table of them.
    let few = pairs.len() <= FEW;
    let mut names = HashSet::with_capacity(if few { 0 } else { pairs.len() });
    for (number, (name, value)) in pairs.iter().enumerate() {
        if name.len() > NAME_MOST || value.len() > VALUE_MOST {
            let name = name.chars().take(64).collect();
            let rule = "is too long".into();
            return Err(GatewayError::Invalid { name, rule });
        }
        let again = match few {
            true => pairs[..number].iter().any(|(former, _)| former == name),
            false => !names.insert(name),
        };
        if again {
            let rule = "is given more than once".into();
            let name = name.clone();
            return Err(GatewayError::Invalid { name, rule });
        }
    }
    Ok((pairs, queried))
}

fn decode(text: &str, pairs: &mut Vec<(String, String)>) -> Result<(), GatewayError> {
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == PARAMETERS_MOST {
            return Err(GatewayError::Unreadable("there are too many parameters"));
        }
        let read = query::decode_pair(pair);
        pairs.push(read.map_err(|_| GatewayError::Unreadable("a parameter is not UTF-8"))?);
    }
    Ok(())
}

impl Request {
    /// The parameter, unless it is empty.
    pub(crate) fn find(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|(sent, _)| sent == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Who sent it.
    ///
    /// # Errors
    /// What is missing or cannot be judged.
    pub(crate) fn proof(&self, arrived: &Arrived<'_>) -> Result<Proof, GatewayError> {
        match arrived.acs3() {
            Some(authorization) => self.header_proof(arrived, authorization),
            None => self.parameter_proof(arrived),
        }
    }

    fn parameter_proof(&self, arrived: &Arrived<'_>) -> Result<Proof, GatewayError> {
        for (name, known) in [
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureType", ""),
        ] {
            if let Some(value) = self.find(name)
                && !value.eq_ignore_ascii_case(known)
            {
                let why = format!("this {name} is not supported");
                return Err(GatewayError::Incomplete(why));
            }
        }
        let needed = |name: &str| {
            self.find(name)
                .ok_or_else(|| GatewayError::Missing(name.into()))
        };
        let key = needed("AccessKeyId")?;
        let signed = RpcSigned::new(arrived.method, &self.pairs, needed("Signature")?);
        Ok(Proof {
            key: key_id(key)?,
            at: moment(needed("Timestamp")?)?,
            nonce: nonce(needed("SignatureNonce")?)?,
            token: self.find("SecurityToken").is_some(),
            text: signed.string_to_sign().to_owned(),
            evidence: Box::new(signed),
        })
    }

    fn header_proof(
        &self,
        arrived: &Arrived<'_>,
        authorization: &str,
    ) -> Result<Proof, GatewayError> {
        let incomplete = |error: credential::request::acs3::Acs3Error| {
            GatewayError::Incomplete(error.to_string())
        };
        let authorization = Authorization::parse(authorization).map_err(incomplete)?;
        let body_hash = authorization.algorithm.body_hash(arrived.body);
        let signed = Signed {
            method: arrived.method,
            path: arrived.path,
            query: &self.pairs[..self.queried],
            headers: arrived.headers,
            body_hash: &body_hash,
        };
        let signed = Acs3Signed::new(&authorization, &signed).map_err(incomplete)?;
        let needed = |name: &str| {
            arrived
                .header(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| GatewayError::Missing(name.into()))
        };
        Ok(Proof {
            key: key_id(&authorization.credential)?,
            at: moment(needed("x-acs-date")?)?,
            nonce: nonce(needed("x-acs-signature-nonce")?)?,
            token: arrived.header("x-acs-security-token").is_some(),
            text: signed.string_to_sign().to_owned(),
            evidence: Box::new(signed),
        })
    }
}

/// A key id that breaks the rule for ids names no key of ours.
fn key_id(text: &str) -> Result<AccessKeyId, GatewayError> {
    AccessKeyId::parse(text).map_err(|_| GatewayError::UnknownKey)
}

fn moment(text: &str) -> Result<Time, GatewayError> {
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| GatewayError::TimeFormat)?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000)
        .map(Time)
        .map_err(|_| GatewayError::TimeFormat)
}

fn nonce(text: &str) -> Result<String, GatewayError> {
    if text.len() > NONCE_MOST {
        return Err(GatewayError::Invalid {
            name: "SignatureNonce".into(),
            rule: format!("has more than {NONCE_MOST} characters"),
        });
    }
    Ok(text.into())
}

#[cfg(test)]
pub(crate) mod samples {
    //! The published vectors V1 to V9 as they look on the wire (spec/cloud-api.md §1.3, §1.4).

    /// One vector: what arrives, the secret, and what is to be read from it.
    pub(crate) struct Sample {
        pub(crate) name: &'static str,
        pub(crate) method: &'static str,
        pub(crate) query: String,
        pub(crate) headers: Vec<(String, String)>,
        pub(crate) body: String,
        pub(crate) secret: &'static str,
        pub(crate) key: &'static str,
        pub(crate) action: &'static str,
        pub(crate) version: &'static str,
        pub(crate) device: Option<&'static str>,
    }

    const COMMON: &str = "AccessKeyId=testAccessKeyId&SignatureMethod=HMAC-SHA1\
        &SignatureNonce=0123456789abcdef0123456789abcdef&SignatureVersion=1.0\
        &Timestamp=2021-02-22T08%3A00%3A00Z&Version=2018-01-20";

    fn rpc(
        name: &'static str,
        method: &'static str,
        query: String,
        action: &'static str,
    ) -> Sample {
        Sample {
            name,
            method,
            query,
            headers: vec![("Host".into(), "127.0.0.1:18080".into())],
            body: String::new(),
            secret: "testAccessKeySecret",
            key: "testAccessKeyId",
            action,
            version: "2018-01-20",
            device: None,
        }
    }

    fn form(sample: Sample, body: &str) -> Sample {
        let mut headers = sample.headers;
        headers.push((
            "Content-Type".into(),
            "application/x-www-form-urlencoded".into(),
        ));
        Sample {
            headers,
            body: body.into(),
            ..sample
        }
    }

    fn acs3(
        name: &'static str,
        action: &'static str,
        query: &str,
        hash: &str,
        signed: &str,
        signature: &str,
    ) -> Sample {
        let mut sample = rpc(name, "POST", query.into(), action);
        for (name, value) in [
            ("x-acs-action", action),
            ("x-acs-version", "2018-01-20"),
            ("x-acs-date", "2021-02-22T08:00:00Z"),
            ("x-acs-signature-nonce", "0123456789abcdef0123456789abcdef"),
            ("x-acs-content-sha256", hash),
            (
                "authorization",
                &format!(
                    "ACS3-HMAC-SHA256 Credential=testAccessKeyId,SignedHeaders={signed},Signature={signature}"
                ),
            ),
        ] {
            sample.headers.push((name.into(), value.into()));
        }
        sample
    }

    pub(crate) fn all() -> Vec<Sample> {
        let core = "SignatureType=&RegionId=cn-shanghai&Format=JSON";
        let (light, odd) = ("light 1*~+/", "light 1*~+/!'()");
        let headers =
            "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
        vec![
            Sample {
                device: Some(light),
                ..rpc("V1", "POST", format!("{COMMON}&{core}&Action=RegisterDevice&ProductKey=a1BwAGVabcd&DeviceName=light%201%2A~%2B%2F&Signature=x41IhE4CfOSmUksefFVYvHWec%2Fw%3D"), "RegisterDevice")
            },
            rpc("V2", "POST", format!("{COMMON}&{core}&Action=BatchGetDeviceState&ProductKey=a1BwAGVabcd&DeviceName.1=d1&DeviceName.2=d2&Signature=wrztp5uTcQS0lbRcZkxoUHBSdRg%3D"), "BatchGetDeviceState"),
            form(
                Sample {
                    secret: "stssecret",
                    key: "STS.ak",
                    ..rpc("V3", "POST", format!("{}&{core}&SecurityToken=ststoken%2F%2B%3D%3D&Action=Pub&ProductKey=pk&TopicFullName=%2Fpk%2Fd%2Fuser%2Fget&Qos=0&Signature=3zKpTSTAmn8fPjnKn7HiDvHFwmg%3D", COMMON.replace("testAccessKeyId", "STS.ak")), "Pub")
                },
                "MessageContent=aGVsbG8%3D",
            ),
            Sample {
                device: Some(odd),
                ..rpc("V4", "GET", format!("{COMMON}&RegionId=cn-shanghai&Format=JSON&Action=RegisterDevice&ProductKey=a1BwAGVabcd&DeviceName=light%201*~%2B%2F!%27()&Signature=qb9dK4oryzZWC8rpINDSEjE3Y2g%3D"), "RegisterDevice")
            },
            form(
                rpc("V5", "POST", String::new(), "BatchGetDeviceState"),
                &format!("{COMMON}&Format=JSON&Action=BatchGetDeviceState&ProductKey=a1BwAGVabcd&DeviceName.1=d1&DeviceName.2=d2&Tag.1.TagKey=k&Tag.1.TagValue=v&Signature=Fi8NayIuTHdchVHU4zSr0AS2iPQ%3D"),
            ),
            form(
                rpc("V6", "POST", format!("{COMMON}&Format=json&Action=Pub&ProductKey=pk&Signature=TrYGlG9faFh0SR%2Bq41PSgtllp80%3D"), "Pub"),
                "MessageContent=aGVsbG8%3D",
            ),
            Sample {
                version: "2017-07-07",
                ..rpc("V7", "GET", "Format=XML&Version=2017-07-07&AccessKeyId=testAccessKeyId&SignatureMethod=HMAC-SHA1&Timestamp=2019-05-19T14%3A20%3A19Z&SignatureVersion=1.0&SignatureNonce=6ad3b916-f8d5-4e0d-b8bb-a94bc34fc239&Action=GetServerRandom&ApiVersion=1.1.2&Id2=00FFFF00FFFFFF1DB47A0001&RegionId=cn-shanghai&Signature=ykCwQ3t45TaJ26upiq8UgGWJcGQ%3D".into(), "GetServerRandom")
            },
            Sample {
                device: Some(odd),
                ..acs3("V8", "RegisterDevice", "DeviceName=light+1%2A~%2B%2F%21%27%28%29&ProductKey=a1BwAGVabcd", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", headers, "3a8c0eb9adcdfaed8de8b853d59361915ed3003c4398bb7f2affce8b5baf410a")
            },
            form(
                acs3("V9", "Pub", "ProductKey=pk&TopicFullName=%2Fpk%2Fd%2Fuser%2Fget", "8f76583a3b23bb624971236a19039208ce3a29752ff48a4cd4b10c8da12f3765", &format!("content-type;{headers}"), "6e0ed09f84a23a840c007278dd70bce4639d32c206ac26823392f3d29b9abc85"),
                "MessageContent=aGVsbG8%3D",
            ),
        ]
    }

    impl Sample {
        pub(crate) fn arrived(&self) -> super::Arrived<'_> {
            super::Arrived {
                method: self.method,
                path: "/",
                query: &self.query,
                headers: &self.headers,
                body: self.body.as_bytes(),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::Secret;

    fn arrived<'a>(query: &'a str, headers: &'a [(String, String)], body: &'a str) -> Arrived<'a> {
        Arrived {
            method: "POST",
            path: "/",
            query,
            headers,
            body: body.as_bytes(),
        }
    }

    fn refused(query: &str, body: &str) -> GatewayError {
        match read(&arrived(query, &[], body)).1 {
            Err(error) => error,
            Ok(request) => request
                .proof(&arrived(query, &[], body))
                .err()
                .expect("the request must be refused"),
        }
    }

    /// [AL-7.1] V1–V9: what each SDK sends is read and proven, and altered it is not.
    #[test]
    fn the_published_vectors_are_read_and_proven() {
        for sample in samples::all() {
            let (_, request) = read(&sample.arrived());
            let request = request.expect(sample.name);
            assert_eq!(request.action, sample.action, "{}", sample.name);
            assert_eq!(request.version, sample.version, "{}", sample.name);
            if let Some(device) = sample.device {
                assert_eq!(request.find("DeviceName"), Some(device), "{}", sample.name);
            }
            let Ok(proof) = request.proof(&sample.arrived()) else {
                panic!("{} must be proven", sample.name);
            };
            assert_eq!(proof.key.as_str(), sample.key);
            assert_eq!(proof.token, sample.secret == "stssecret");
            assert!(
                proof.evidence.check(&Secret::new(sample.secret.into())),
                "{}",
                sample.name
            );
            for (query, body) in [
                (format!("{}&More=1", sample.query), sample.body.clone()),
                (sample.query.clone(), format!("{}&More=1", sample.body)),
            ] {
                let headers = &sample.headers;
                let altered = Arrived {
                    method: sample.method,
                    path: "/",
                    query: &query,
                    headers,
                    body: body.as_bytes(),
                };
                let good = read(&altered)
                    .1
                    .and_then(|request| request.proof(&altered))
                    .is_ok_and(|proof| proof.evidence.check(&Secret::new(sample.secret.into())));
                assert!(!good, "{}", sample.name);
            }
        }
    }

    #[test]
    fn the_format_is_what_was_asked_or_what_the_style_says() {
        let format = |query: &str| read(&arrived(query, &[], "")).0;
        assert_eq!(format("Action=A"), Format::Xml);
        assert_eq!(format("Action=A&Format=XML"), Format::Xml);
        assert_eq!(format("Action=A&Format=json"), Format::Json);
        assert_eq!(format("Action=A&Format=JSON"), Format::Json);
        assert_eq!(format(""), Format::Json);
        let headers = [("X-Acs-Action".into(), "A".into())];
        assert_eq!(read(&arrived("", &headers, "")).0, Format::Json);
        assert_eq!(read(&arrived("Format=xml", &headers, "")).0, Format::Xml);
    }

    #[test]
    fn a_request_without_what_it_needs_says_which() {
        let base = "Action=A&Version=1";
        for (query, missing) in [
            ("", "Action"),
            ("Action=A", "Version"),
            (base, "AccessKeyId"),
            ("Action=A&Version=1&AccessKeyId=k", "Signature"),
            ("Action=A&Version=1&AccessKeyId=k&Signature=s", "Timestamp"),
            (
                "Action=A&Version=1&AccessKeyId=k&Signature=s&Timestamp=2021-02-22T08:00:00Z",
                "SignatureNonce",
            ),
        ] {
            assert_eq!(refused(query, ""), GatewayError::Missing(missing.into()));
        }
    }

    #[test]
    fn what_cannot_be_read_or_judged_is_refused() {
        let signed = "Action=A&Version=1&AccessKeyId=k&Signature=s&SignatureNonce=n";
        assert_eq!(
            refused(&format!("{signed}&Timestamp=today"), ""),
            GatewayError::TimeFormat
        );
        for bad in ["SignatureMethod=MD5", "SignatureType=BEARERTOKEN"] {
            let error = refused(&format!("{signed}&{bad}"), "");
            assert_eq!(error.code(), "IncompleteSignature");
        }
        for (query, body) in [
            ("Action=A&Action=B", String::new()),
            ("Action=A", "Action=A".into()),
            ("Action=%FF", String::new()),
            ("", format!("{}=1", "n".repeat(NAME_MOST + 1))),
            ("", format!("a={}", "v".repeat(VALUE_MOST + 1))),
            (
                "",
                (0..=PARAMETERS_MOST).map(|i| format!("{i}=&")).collect(),
            ),
        ] {
            assert_eq!(refused(query, &body).code(), "InvalidParameter");
        }
        let json = [("content-type".into(), "application/json".into())];
        let (_, request) = read(&arrived("Action=A&Version=1", &json, "{}"));
        assert_eq!(request.err().expect("refused").code(), "InvalidParameter");
        let (_, request) = read(&arrived("Action=A&Version=1", &json, ""));
        assert!(request.is_ok(), "an empty body may bear any type");
    }

    /// [AL-2.6] A batch of ten thousand names with nicknames is one request.
    #[test]
    fn ten_thousand_names_fit() {
        let body: String = (1..=10_000)
            .map(|i| {
                format!(
                    "DeviceNameList.{i}.DeviceName={}&DeviceNameList.{i}.DeviceNickname={}&",
                    "n".repeat(32),
                    "k".repeat(64)
                )
            })
            .collect();
        assert!(body.len() < super::super::BODY_MOST);
        let (_, request) = read(&arrived("Action=A&Version=1", &[], &body));
        assert!(request.is_ok_and(|request| request.pairs.len() == 20_002));
    }
}

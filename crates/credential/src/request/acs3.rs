//! The header signature `ACS3-HMAC-SHA256` and its SM3 sibling (`spec/cloud-api.md` section 1.4).

use super::query;
use crate::{
    crypto::{
        digest::Hash,
        hmac::{hmac, hmac_hex, same_hex},
        secret::{Secret, same},
    },
    evidence::{Evidence, Want},
};
use alloc::{
    borrow::ToOwned,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

/// Longest `Authorization` header that is read, in bytes.
pub const AUTHORIZATION_MAX: usize = 4096;
/// Most headers that one signature may cover.
pub const HEADERS_MAX: usize = 64;

/// Headers that decide what a request does or whether it is fresh: where they are sent they must be
/// signed, or anybody on the way could change them.
const MUST_SIGN: [&str; 7] = [
    "host",
    "x-acs-accesskey-id",
    "x-acs-action",
    "x-acs-date",
    "x-acs-security-token",
    "x-acs-signature-nonce",
    "x-acs-version",
];

/// The algorithms of this scheme that are supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// `ACS3-HMAC-SHA256`.
    HmacSha256,
    /// `ACS3-HMAC-SM3`.
    HmacSm3,
}

impl Algorithm {
    /// The name as it stands in the header.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::HmacSha256 => "ACS3-HMAC-SHA256",
            Algorithm::HmacSm3 => "ACS3-HMAC-SM3",
        }
    }

    /// The hash of a request body, as `x-acs-content-sha256` carries it (also when it is SM3).
    #[must_use]
    pub fn body_hash(self, body: &[u8]) -> String {
        self.hash().hex(body)
    }

    fn hash(self) -> Hash {
        match self {
            Algorithm::HmacSha256 => Hash::Sha256,
            Algorithm::HmacSm3 => Hash::Sm3,
        }
    }
}

/// Why a request of this style cannot be judged or must be refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acs3Error {
    /// The header is too long, or not of the form this scheme has.
    Malformed,
    /// An algorithm of the scheme that is not supported, such as `ACS3-RSA-SHA256`.
    UnknownAlgorithm,
    /// A header that is said to be signed was not sent, or was sent twice.
    SignedHeader(String),
    /// A header that matters was sent (or, for `host`, is always there) but not signed.
    Unsigned(&'static str),
    /// The body is not the one whose hash `x-acs-content-sha256` carries.
    BodyHash,
}

impl fmt::Display for Acs3Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Acs3Error::Malformed => f.write_str("the Authorization header is malformed"),
            Acs3Error::UnknownAlgorithm => f.write_str("the signature algorithm is not supported"),
            Acs3Error::SignedHeader(name) => {
                write!(f, "the signed header {name} was not sent exactly once")
            }
            Acs3Error::Unsigned(name) => write!(f, "the header {name} must be signed"),
            Acs3Error::BodyHash => f.write_str("the body does not have the hash that was signed"),
        }
    }
}

impl core::error::Error for Acs3Error {}

/// The `Authorization` header taken apart. No `Debug`: a signature stays good until its time is over.
#[derive(Clone, PartialEq, Eq)]
pub struct Authorization {
    /// How it was signed.
    pub algorithm: Algorithm,
    /// The id of the API key.
    pub credential: String,
    /// Names of the headers that were signed, in lower case, as the client ordered them.
    pub signed_headers: Vec<String>,
    /// The signature: hex.
    pub signature: String,
}

impl Authorization {
    /// Whether a header value is of this scheme at all; other styles share the same entrance.
    #[must_use]
    pub fn is_acs3(value: &str) -> bool {
        value.trim_start().starts_with("ACS3-")
    }

    /// Reads `ACS3-… Credential=…,SignedHeaders=a;b,Signature=…`: the three parts in any order and
    /// with blanks around them.
    ///
    /// # Errors
    /// [`Acs3Error::Malformed`] or [`Acs3Error::UnknownAlgorithm`].
    pub fn parse(value: &str) -> Result<Authorization, Acs3Error> {
        if value.len() > AUTHORIZATION_MAX || !Authorization::is_acs3(value) {
            return Err(Acs3Error::Malformed);
        }
        let (algorithm, rest) = value.trim().split_once(' ').ok_or(Acs3Error::Malformed)?;
        let algorithm = [Algorithm::HmacSha256, Algorithm::HmacSm3]
            .into_iter()
            .find(|known| known.name() == algorithm)
            .ok_or(Acs3Error::UnknownAlgorithm)?;
        let (mut credential, mut headers, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(Acs3Error::Malformed)?;
            let slot = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut headers,
                "Signature" => &mut signature,
                _ => return Err(Acs3Error::Malformed),
            };
            if value.is_empty() || slot.replace(value).is_some() {
                return Err(Acs3Error::Malformed);
            }
        }
        let (Some(credential), Some(headers), Some(signature)) = (credential, headers, signature)
        else {
            return Err(Acs3Error::Malformed);
        };
        let signed_headers: Vec<String> = headers
            .split(';')
            .take(HEADERS_MAX + 1)
            .map(str::to_ascii_lowercase)
            .collect();
        if signed_headers.len() > HEADERS_MAX || signed_headers.iter().any(String::is_empty) {
            return Err(Acs3Error::Malformed);
        }
        Ok(Authorization {
            algorithm,
            credential: credential.to_owned(),
            signed_headers,
            signature: signature.to_owned(),
        })
    }
}

/// The parts of an HTTP request that a signature may cover.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The HTTP method, upper case.
    pub method: &'a str,
    /// The path as sent, without the query; `/` for all calls of this API.
    pub path: &'a str,
    /// The decoded parameters of the query alone; a form body is covered by its hash.
    pub query: &'a [(String, String)],
    /// All headers, names in any case.
    pub headers: &'a [(String, String)],
    /// [`Algorithm::body_hash`] of the body that really arrived.
    pub body_hash: &'a str,
}

/// The canonical request, whose hash is signed.
///
/// # Errors
/// [`Acs3Error::SignedHeader`] when a name in `signed_headers` was not sent exactly once.
pub fn canonical_request(
    request: &Request<'_>,
    signed_headers: &[String],
) -> Result<String, Acs3Error> {
    let Request {
        method,
        path,
        query,
        body_hash,
        ..
    } = *request;
    let mut names: Vec<&str> = signed_headers.iter().map(String::as_str).collect();
    names.sort_unstable();
    let mut lines = String::new();
    for name in &names {
        let mut values = values(request, name);
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(Acs3Error::SignedHeader((*name).to_string()));
        };
        lines.push_str(&format!("{name}:{}\n", value.trim()));
    }
    let query = query::canonical(query);
    Ok(format!(
        "{method}\n{path}\n{query}\n{lines}\n{}\n{body_hash}",
        names.join(";")
    ))
}

fn values<'a>(request: &Request<'a>, name: &str) -> impl Iterator<Item = &'a str> {
    request
        .headers
        .iter()
        .filter(move |(sent, _)| sent.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// The text that is signed: the algorithm and the hash of the canonical request.
#[must_use]
pub fn string_to_sign(algorithm: Algorithm, canonical_request: &str) -> String {
    format!(
        "{}\n{}",
        algorithm.name(),
        algorithm.hash().hex(canonical_request.as_bytes())
    )
}

/// Signs as a client does: lower-case hex. The secret is used as it is, without `&`.
///
/// # Errors
/// As [`canonical_request`].
pub fn sign(
    secret: &Secret,
    algorithm: Algorithm,
    request: &Request<'_>,
    signed_headers: &[String],
) -> Result<String, Acs3Error> {
    let text = string_to_sign(algorithm, &canonical_request(request, signed_headers)?);
    Ok(hmac_hex(algorithm.hash(), secret, text.as_bytes()))
}

/// A signed request as it arrived.
pub struct Acs3Signed {
    algorithm: Algorithm,
    text: String,
    given: String,
}

impl Acs3Signed {
    /// The evidence of `request`. Refuses at once, before any secret is opened, what no signature
    /// could make good.
    ///
    /// # Errors
    /// [`Acs3Error::SignedHeader`], [`Acs3Error::Unsigned`] or [`Acs3Error::BodyHash`].
    pub fn new(
        authorization: &Authorization,
        request: &Request<'_>,
    ) -> Result<Acs3Signed, Acs3Error> {
        for name in MUST_SIGN {
            let sent = name == "host" || values(request, name).next().is_some();
            if sent
                && !authorization
                    .signed_headers
                    .iter()
                    .any(|signed| signed == name)
            {
                return Err(Acs3Error::Unsigned(name));
            }
        }
        if values(request, "x-acs-content-sha256").any(|told| {
            !same(
                told.trim().to_ascii_lowercase().as_bytes(),
                request.body_hash.as_bytes(),
            )
        }) {
            return Err(Acs3Error::BodyHash);
        }
        let canonical = canonical_request(request, &authorization.signed_headers)?;
        Ok(Acs3Signed {
            algorithm: authorization.algorithm,
            text: string_to_sign(authorization.algorithm, &canonical),
            given: authorization.signature.clone(),
        })
    }

    /// The text that we think was signed. Clients compare it with theirs when they are refused.
    #[must_use]
    pub fn string_to_sign(&self) -> &str {
        &self.text
    }
}

impl Evidence for Acs3Signed {
    fn wants(&self) -> &[Want] {
        &[Want::AccessKeySecret]
    }

    fn check(&self, secret: &Secret) -> bool {
        same_hex(
            &hmac(self.algorithm.hash(), secret, self.text.as_bytes()),
            &self.given,
        )
    }

    fn scheme(&self) -> &'static str {
        match self.algorithm {
            Algorithm::HmacSha256 => "acs3-hmac-sha256",
            Algorithm::HmacSm3 => "acs3-hmac-sm3",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One vector of `spec/cloud-api.md` section 1.4, with everything a request is made of.
    #[derive(Clone)]
    struct Vector {
        algorithm: Algorithm,
        query: Vec<(String, String)>,
        headers: Vec<(String, String)>,
        body: &'static [u8],
        method: &'static str,
        path: &'static str,
        signed: String,
        canonical_hash: Option<&'static str>,
        signature: &'static str,
    }

    impl Vector {
        fn header(&self) -> String {
            format!(
                "{} Credential=testAccessKeyId,SignedHeaders={},Signature={}",
                self.algorithm.name(),
                self.signed,
                self.signature
            )
        }

        fn evidence(&self) -> Result<Acs3Signed, Acs3Error> {
            let body_hash = self.algorithm.body_hash(self.body);
            let request = Request {
                method: self.method,
                path: self.path,
                query: &self.query,
                headers: &self.headers,
                body_hash: &body_hash,
            };
            Acs3Signed::new(&Authorization::parse(&self.header())?, &request)
        }

        fn genuine(&self) -> bool {
            let secret = Secret::new(b"testAccessKeySecret".to_vec());
            self.evidence()
                .is_ok_and(|evidence| evidence.check(&secret))
        }
    }

    fn owned(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(k, v)| ((*k).to_string(), (*v).to_string()))
            .collect()
    }

    fn vectors() -> [Vector; 3] {
        const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        const FORM: &str = "8f76583a3b23bb624971236a19039208ce3a29752ff48a4cd4b10c8da12f3765";
        const FORM_SM3: &str = "4f44ca9195bd3c9b271c8db544ae30cbd5ca420ae564b5f7c58dd92ce0b48e99";
        let headers = |action, hash| {
            owned(&[
                ("Host", "127.0.0.1:18080"),
                ("x-acs-action", action),
                ("x-acs-content-sha256", hash),
                ("X-Acs-Date", "2021-02-22T08:00:00Z"),
                ("x-acs-signature-nonce", "0123456789abcdef0123456789abcdef"),
                ("x-acs-version", "2018-01-20"),
                ("accept", "application/json"),
            ])
        };
        let signed =
            "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
        let v8 = Vector {
            algorithm: Algorithm::HmacSha256,
            query: query::decode("DeviceName=light+1%2A~%2B%2F%21%27%28%29&ProductKey=a1BwAGVabcd")
                .unwrap(),
            headers: headers("RegisterDevice", EMPTY),
            body: b"",
            method: "POST",
            path: "/",
            signed: signed.to_string(),
            canonical_hash: Some(
                "4cea1ed900ebb151e61ab70d504a0605a0e0592bba1703702870f49f2333f165",
            ),
            signature: "3a8c0eb9adcdfaed8de8b853d59361915ed3003c4398bb7f2affce8b5baf410a",
        };
        let mut v9 = Vector {
            query: owned(&[("TopicFullName", "/pk/d/user/get"), ("ProductKey", "pk")]),
            headers: headers("Pub", FORM),
            body: b"MessageContent=aGVsbG8%3D",
            signed: format!("content-type;{signed}"),
            canonical_hash: Some(
                "3a0b50bf344f2e0a28b462b0992046ba15bf3244da9477a8cfd978818a4ac64d",
            ),
            signature: "6e0ed09f84a23a840c007278dd70bce4639d32c206ac26823392f3d29b9abc85",
            ..v8.clone()
        };
        let form = (
            "content-type".to_string(),
            "application/x-www-form-urlencoded".to_string(),
        );
        v9.headers.push(form.clone());
        let mut v10 = Vector {
            algorithm: Algorithm::HmacSm3,
            headers: headers("Pub", FORM_SM3),
            canonical_hash: None,
            signature: "adbd3331e7bb40cf4a4c66e766ccf348074a3bb875b266438a53333d2529d7a0",
            ..v9.clone()
        };
        v10.headers.push(form);
        [v8, v9, v10]
    }

    #[test]
    fn al_7_1_v8_to_v10_requests_are_genuine() {
        for vector in vectors() {
            let evidence = vector.evidence().ok().unwrap();
            let name = vector.algorithm.name();
            if let Some(hash) = vector.canonical_hash {
                assert_eq!(evidence.string_to_sign(), format!("{name}\n{hash}"));
            }
            assert_eq!(evidence.scheme(), name.to_ascii_lowercase());
            assert_eq!(evidence.wants(), [Want::AccessKeySecret]);
            assert!(vector.genuine(), "{name}");
            assert!(!evidence.check(&Secret::new(b"other".to_vec())));
        }
    }

    #[test]
    fn al_7_1_every_part_that_is_signed_is_covered() {
        for vector in vectors() {
            let signed: Vec<&str> = vector.signed.split(';').collect();
            for i in 0..vector.headers.len() {
                let mut altered = vector.clone();
                altered.headers[i].1.push('0');
                let name = vector.headers[i].0.to_ascii_lowercase();
                assert_eq!(
                    altered.genuine(),
                    !signed.contains(&name.as_str()),
                    "{name}"
                );
            }
            for i in 0..vector.query.len() {
                let mut altered = vector.clone();
                altered.query[i].1.push('0');
                assert!(!altered.genuine());
                altered.query.remove(i);
                assert!(!altered.genuine());
            }
            assert!(
                !Vector {
                    method: "GET",
                    ..vector.clone()
                }
                .genuine()
            );
            assert!(
                !Vector {
                    path: "/x",
                    ..vector.clone()
                }
                .genuine()
            );
            assert!(
                !Vector {
                    body: b"MessageContent=x",
                    ..vector.clone()
                }
                .genuine()
            );
            assert!(
                !Vector {
                    signature: "00",
                    ..vector.clone()
                }
                .genuine()
            );
            for i in 0..signed.len() {
                let mut fewer = signed.clone();
                fewer.remove(i);
                assert!(
                    !Vector {
                        signed: fewer.join(";"),
                        ..vector.clone()
                    }
                    .genuine()
                );
            }
        }
    }

    #[test]
    fn al_7_1_a_header_that_matters_must_be_signed_and_sent_once() {
        let [vector, ..] = vectors();
        let mut odd = vector.clone();
        odd.signed = odd.signed.replace("x-acs-action;", "");
        assert_eq!(
            odd.evidence().err(),
            Some(Acs3Error::Unsigned("x-acs-action"))
        );
        let mut odd = vector.clone();
        odd.headers
            .push(("x-acs-security-token".to_string(), "t".to_string()));
        assert_eq!(
            odd.evidence().err(),
            Some(Acs3Error::Unsigned("x-acs-security-token"))
        );
        let twice = Some(Acs3Error::SignedHeader("x-acs-action".to_string()));
        let mut odd = vector.clone();
        odd.headers
            .push(("X-ACS-ACTION".to_string(), "Pub".to_string()));
        assert_eq!(odd.evidence().err(), twice);
        let mut odd = vector.clone();
        odd.headers.remove(1);
        assert_eq!(odd.evidence().err(), twice);
        let odd = Vector {
            body: b"x",
            ..vector
        };
        assert_eq!(odd.evidence().err(), Some(Acs3Error::BodyHash));
    }

    #[test]
    fn an_authorization_header_is_read_strictly() {
        let parse =
            |text: &str| Authorization::parse(text).map(|a| (a.credential, a.signed_headers));
        let read =
            parse("ACS3-HMAC-SM3 Signature=ab, SignedHeaders=Host;x, Credential=id").unwrap();
        assert_eq!(
            read,
            (
                "id".to_string(),
                Vec::from(["host".to_string(), "x".to_string()])
            )
        );
        let long = format!("ACS3-HMAC-SM3 Credential={}", "x".repeat(AUTHORIZATION_MAX));
        let many = "h;".repeat(HEADERS_MAX);
        for malformed in [
            "",
            "Basic abc",
            "ACS3-HMAC-SHA256",
            "ACS3-HMAC-SHA256 ",
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=h",
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=h,Signature=",
            "ACS3-HMAC-SHA256 Credential=a,Credential=b,SignedHeaders=h,Signature=s",
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=h;;i,Signature=s",
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=h,Signature=s,More=m",
            "ACS3-HMAC-SHA256 Credential=a,,SignedHeaders=h,Signature=s",
            &long,
            &format!("ACS3-HMAC-SHA256 Credential=a,SignedHeaders={many}h,Signature=s"),
        ] {
            assert_eq!(
                parse(malformed).err(),
                Some(Acs3Error::Malformed),
                "{malformed}"
            );
        }
        assert_eq!(
            parse("ACS3-RSA-SHA256 Credential=a").err(),
            Some(Acs3Error::UnknownAlgorithm)
        );
    }
}

//! The header signature `AWS4-HMAC-SHA256`, as object stores of the S3 kind check it (Amazon S3 API
//! Reference, "Authenticating Requests: Using the Authorization Header"). Only the side that proves
//! itself: we are the ones who call such stores.

use super::query;
use crate::crypto::{digest::Hash, hmac::hmac_sha256, secret::Secret};
use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use zeroize::Zeroize;

/// A request that is about to be sent.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The HTTP method, upper case.
    pub method: &'a str,
    /// The path as sent, without the query.
    pub path: &'a str,
    /// The decoded parameters of the query.
    pub query: &'a [(String, String)],
    /// The headers that are signed; names in lower case and in order. `host`,
    /// `x-amz-content-sha256` and `x-amz-date` have to be among them.
    pub headers: &'a [(&'a str, &'a str)],
    /// The SHA-256 of the body, in lower-case hex.
    pub body_hash: &'a str,
}

/// Where and when a signature is good.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// As in `20130524T000000Z`: what `x-amz-date` says.
    pub time: &'a str,
    /// The store's region.
    pub region: &'a str,
}

/// The value of the `Authorization` header.
#[must_use]
pub fn authorization(
    key_id: &str,
    secret: &Secret,
    scope: Scope<'_>,
    request: &Request<'_>,
) -> String {
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = request
        .headers
        .iter()
        .map(|(name, value)| format!("{name}:{}\n", value.trim()))
        .collect();
    let canonical = format!(
        "{}\n{}\n{}\n{lines}\n{names}\n{}",
        request.method,
        request.path,
        query::canonical(request.query),
        request.body_hash
    );
    let Scope { time, region } = scope;
    let day = time.get(..8).unwrap_or(time);
    let place = format!("{day}/{region}/s3/aws4_request");
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{place}\n{}",
        Hash::Sha256.hex(canonical.as_bytes())
    );
    let mut first = Vec::from(*b"AWS4");
    first.extend_from_slice(secret.expose());
    let mut key = hmac_sha256(&first, &[day.as_bytes()]);
    first.zeroize();
    for part in [region, "s3", "aws4_request"] {
        key = hmac_sha256(&key, &[part.as_bytes()]);
    }
    let signature = hmac_sha256(&key, &[text.as_bytes()]);
    key.zeroize();
    let signature: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    format!(
        "AWS4-HMAC-SHA256 Credential={key_id}/{place},SignedHeaders={names},Signature={signature}"
    )
}

/// The SHA-256 of a body, as `x-amz-content-sha256` carries it.
#[must_use]
pub fn body_hash(body: &[u8]) -> String {
    Hash::Sha256.hex(body).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the reference: a part of an object, and a bucket's life cycle, whose query
    /// has a name without a value.
    #[test]
    fn signatures_are_those_of_the_reference() {
        let secret = Secret::new(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_vec());
        let scope = Scope {
            time: "20130524T000000Z",
            region: "us-east-1",
        };
        let empty = body_hash(b"");
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let (hash, date) = (
            ("x-amz-content-sha256", empty.as_str()),
            ("x-amz-date", scope.time),
        );
        let name = [("lifecycle".to_string(), String::new())];
        for (path, query, headers, wanted) in [
            (
                "/test.txt",
                &[][..],
                &[host, ("range", "bytes=0-9"), hash, date][..],
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                "/",
                &name,
                &[host, hash, date],
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
        ] {
            let request = Request {
                method: "GET",
                path,
                query,
                headers,
                body_hash: &empty,
            };
            let header = authorization("AKIAIOSFODNN7EXAMPLE", &secret, scope, &request);
            assert!(header.ends_with(&format!("Signature={wanted}")), "{header}");
            let place = "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,";
            assert!(header.contains(place), "{header}");
        }
    }
}

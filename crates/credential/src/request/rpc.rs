//! Signature 1.0 of the RPC style: HMAC-SHA1 over method and sorted parameters
//! (`spec/cloud-api.md` section 1.3).

use super::query;
use crate::{
    crypto::{
        digest::Hash,
        hmac::hmac,
        secret::{Secret, same},
    },
    evidence::{Evidence, Want},
};
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// The text that is signed. `method` is the HTTP method really used; `pairs` are the decoded
/// parameters of query and form body together. `Signature` is left out here.
#[must_use]
pub fn string_to_sign<K: AsRef<str>, V: AsRef<str>>(method: &str, pairs: &[(K, V)]) -> String {
    let bytes = |(name, value): &(K, V)| name.as_ref().len() + value.as_ref().len() + 12;
    let mut text = String::with_capacity(16 + pairs.iter().map(bytes).sum::<usize>());
    text.push_str(method);
    text.push_str("&%2F&");
    query::canonical_encoded(pairs, &mut text);
    text
}

/// Signs as a client does: base64 for the parameter `Signature`.
#[must_use]
pub fn sign<K: AsRef<str>, V: AsRef<str>>(
    secret: &Secret,
    method: &str,
    pairs: &[(K, V)],
) -> String {
    STANDARD.encode(mac(secret, &string_to_sign(method, pairs)))
}

fn mac(secret: &Secret, text: &str) -> Vec<u8> {
    let key = Secret::new([secret.expose(), b"&"].concat());
    hmac(Hash::Sha1, &key, text.as_bytes())
}

/// A signed request as it arrived.
pub struct RpcSigned {
    text: String,
    given: String,
}

impl RpcSigned {
    /// The evidence of a request with this HTTP method, these decoded parameters and this value of
    /// the parameter `Signature`.
    #[must_use]
    pub fn new<K: AsRef<str>, V: AsRef<str>>(
        method: &str,
        pairs: &[(K, V)],
        signature: &str,
    ) -> RpcSigned {
        RpcSigned {
            text: string_to_sign(method, pairs),
            given: signature.to_string(),
        }
    }

    /// The text that we think was signed. Clients compare it with theirs when they are refused.
    #[must_use]
    pub fn string_to_sign(&self) -> &str {
        &self.text
    }
}

impl Evidence for RpcSigned {
    fn wants(&self) -> &[Want] {
        &[Want::AccessKeySecret]
    }

    fn check(&self, secret: &Secret) -> bool {
        let expected = STANDARD.encode(mac(secret, &self.text));
        same(expected.as_bytes(), self.given.as_bytes())
    }

    fn scheme(&self) -> &'static str {
        "rpc-hmac-sha1"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = Vec<(&'static str, &'static str)>;

    const CORE: [(&str, &str); 2] = [("SignatureType", ""), ("RegionId", "cn-shanghai")];

    /// Parameters that all vectors share, with those of one request.
    fn request(special: &[(&'static str, &'static str)]) -> Pairs {
        let mut pairs = special.to_vec();
        for common in [
            ("AccessKeyId", "testAccessKeyId"),
            ("Format", "JSON"),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureNonce", "0123456789abcdef0123456789abcdef"),
            ("SignatureVersion", "1.0"),
            ("Timestamp", "2021-02-22T08:00:00Z"),
            ("Version", "2018-01-20"),
        ] {
            if !special.iter().any(|(name, _)| *name == common.0) {
                pairs.push(common);
            }
        }
        pairs
    }

    /// V1 to V7 of `spec/cloud-api.md` section 1.3: method, parameters, secret, signature.
    fn vectors() -> [(&'static str, Pairs, &'static str, &'static str); 7] {
        let name = ("DeviceName", "light 1*~+/");
        let secret = "testAccessKeySecret";
        let product = ("ProductKey", "a1BwAGVabcd");
        let register = ("Action", "RegisterDevice");
        let states = [
            ("Action", "BatchGetDeviceState"),
            product,
            ("DeviceName.1", "d1"),
            ("DeviceName.2", "d2"),
        ];
        let tags = [("Tag.1.TagKey", "k"), ("Tag.1.TagValue", "v")];
        let message = [
            ("Action", "Pub"),
            ("ProductKey", "pk"),
            ("MessageContent", "aGVsbG8="),
        ];
        let sts = [
            ("AccessKeyId", "STS.ak"),
            ("SecurityToken", "ststoken/+=="),
            ("TopicFullName", "/pk/d/user/get"),
            ("Qos", "0"),
        ];
        let random = [
            ("Format", "XML"),
            ("Version", "2017-07-07"),
            ("Action", "GetServerRandom"),
            ("ApiVersion", "1.1.2"),
            ("Id2", "00FFFF00FFFFFF1DB47A0001"),
            ("RegionId", "cn-shanghai"),
            ("SignatureNonce", "6ad3b916-f8d5-4e0d-b8bb-a94bc34fc239"),
            ("Timestamp", "2019-05-19T14:20:19Z"),
        ];
        let (v1, v2) = (
            [&CORE[..], &[register, product, name]].concat(),
            [&CORE[..], &states],
        );
        let v4 = [
            register,
            product,
            ("DeviceName", "light 1*~+/!'()"),
            CORE[1],
        ];
        [
            ("POST", request(&v1), secret, "x41IhE4CfOSmUksefFVYvHWec/w="),
            (
                "POST",
                request(&v2.concat()),
                secret,
                "wrztp5uTcQS0lbRcZkxoUHBSdRg=",
            ),
            (
                "POST",
                request(&[&CORE[..], &message, &sts].concat()),
                "stssecret",
                "3zKpTSTAmn8fPjnKn7HiDvHFwmg=",
            ),
            ("GET", request(&v4), secret, "qb9dK4oryzZWC8rpINDSEjE3Y2g="),
            (
                "POST",
                request(&[&states[..], &tags].concat()),
                secret,
                "Fi8NayIuTHdchVHU4zSr0AS2iPQ=",
            ),
            (
                "POST",
                request(&[&message[..], &[("Format", "json")]].concat()),
                secret,
                "TrYGlG9faFh0SR+q41PSgtllp80=",
            ),
            (
                "GET",
                request(&random),
                secret,
                "ykCwQ3t45TaJ26upiq8UgGWJcGQ=",
            ),
        ]
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    #[test]
    fn al_7_1_v1_to_v7_requests_of_all_clients_are_genuine() {
        for (i, (method, pairs, key, signature)) in vectors().iter().enumerate() {
            assert_eq!(&sign(&secret(key), method, pairs), signature, "V{}", i + 1);
            let signed = RpcSigned::new(method, pairs, signature);
            assert!(signed.check(&secret(key)));
            assert!(!signed.check(&secret("other")));
            assert_eq!(signed.wants(), [Want::AccessKeySecret]);
            let carried = [&pairs[..], &[("Signature", signature)]].concat();
            assert!(RpcSigned::new(method, &carried, signature).check(&secret(key)));
        }
    }

    #[test]
    fn al_7_1_v1_the_text_is_the_one_the_client_signed() {
        let (method, pairs, ..) = &vectors()[0];
        assert_eq!(
            RpcSigned::new(method, pairs, "").string_to_sign(),
            "POST&%2F&AccessKeyId%3DtestAccessKeyId%26Action%3DRegisterDevice%26DeviceName%3Dlight%25201%252A~%252B%252F%26Format%3DJSON%26ProductKey%3Da1BwAGVabcd%26RegionId%3Dcn-shanghai%26SignatureMethod%3DHMAC-SHA1%26SignatureNonce%3D0123456789abcdef0123456789abcdef%26SignatureType%3D%26SignatureVersion%3D1.0%26Timestamp%3D2021-02-22T08%253A00%253A00Z%26Version%3D2018-01-20"
        );
    }

    #[test]
    fn al_7_1_every_parameter_and_the_method_are_covered() {
        for (method, pairs, key, signature) in vectors() {
            let genuine = |method: &str, pairs: &[(&str, &str)], signature: &str| {
                RpcSigned::new(method, pairs, signature).check(&secret(key))
            };
            for i in 0..pairs.len() {
                let mut altered = pairs.clone();
                altered[i].1 = "altered";
                assert!(!genuine(method, &altered, signature), "{}", pairs[i].0);
                altered.remove(i);
                assert!(!genuine(method, &altered, signature), "{}", pairs[i].0);
            }
            assert!(!genuine("PUT", &pairs, signature));
            for wrong in ["", "x", &signature[1..], &signature.to_lowercase()] {
                assert!(!genuine(method, &pairs, wrong));
            }
        }
    }

    /// An empty value is signed like any other, so it must not be lost (trap 2 of section 7).
    #[test]
    fn an_empty_parameter_is_signed() {
        let (method, pairs, key, signature) = &vectors()[0];
        let without: Pairs = pairs
            .iter()
            .copied()
            .filter(|p| p.0 != "SignatureType")
            .collect();
        assert!(!RpcSigned::new(method, &without, signature).check(&secret(key)));
    }
}

//! `authMode=aksign`: how a consumer of the message queue proves its API key in SASL PLAIN
//! (`spec/cloud-api.md` section 3).

use crate::{
    alink::{ClientId, ClientIdError, SignMethod, SignedError},
    crypto::{
        hmac::hmac,
        secret::{Secret, same},
    },
    evidence::{Evidence, Want},
};
use alloc::{borrow::ToOwned, format, string::String};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use core::fmt;

/// A login of the message queue as it arrived. No `Debug`: the time stamp is not checked (samples of
/// the vendor hard-code it), so the password never loses its force.
pub struct AkSigned {
    client_id: ClientId,
    method: SignMethod,
    given: String,
}

/// Why a user name cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AkSignError {
    /// The user name is not of the form `clientId|key=value,...|`.
    Malformed(ClientIdError),
    /// `authMode` is another than `aksign`.
    OtherMode,
    /// The sign method is not known.
    UnknownMethod,
    /// A parameter that is needed is missing or empty.
    Missing(&'static str),
}

impl fmt::Display for AkSignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AkSignError::Malformed(e) => e.fmt(f),
            AkSignError::OtherMode => f.write_str("the authMode is not supported"),
            AkSignError::UnknownMethod => f.write_str("the signMethod is not supported"),
            AkSignError::Missing(name) => write!(f, "the parameter {name} is missing"),
        }
    }
}

impl core::error::Error for AkSignError {}

/// Signs as a consumer does: the base64 password.
#[must_use]
pub fn sign(secret: &Secret, method: SignMethod, auth_id: &str, timestamp: &str) -> String {
    let text = format!("authId={auth_id}&timestamp={timestamp}");
    STANDARD.encode(hmac(method.hash(), secret, text.as_bytes()))
}

impl AkSigned {
    /// Reads user name and password of SASL PLAIN. Keys may come in any order.
    ///
    /// # Errors
    /// [`AkSignError`].
    pub fn parse(username: &str, password: &str) -> Result<AkSigned, AkSignError> {
        let client_id = ClientId::parse(username).map_err(AkSignError::Malformed)?;
        let need = |key| {
            client_id
                .get(key)
                .filter(|v| !v.is_empty())
                .ok_or(AkSignError::Missing(key))
        };
        if need("authMode")? != "aksign" {
            return Err(AkSignError::OtherMode);
        }
        let method = match SignMethod::parse(need("signMethod")?) {
            Ok(method) => method,
            Err(SignedError::UnknownMethod | SignedError::Missing(_)) => {
                return Err(AkSignError::UnknownMethod);
            }
        };
        for key in ["authId", "timestamp", "consumerGroupId"] {
            need(key)?;
        }
        Ok(AkSigned {
            client_id,
            method,
            given: password.to_owned(),
        })
    }

    /// The free text before the block.
    #[must_use]
    pub fn client_id(&self) -> &str {
        self.client_id.base()
    }

    /// The id of the API key.
    #[must_use]
    pub fn auth_id(&self) -> &str {
        self.value("authId")
    }

    /// The consumer group that messages are taken for.
    #[must_use]
    pub fn consumer_group(&self) -> &str {
        self.value("consumerGroupId")
    }

    /// The instance; empty when it was not named.
    #[must_use]
    pub fn instance_id(&self) -> &str {
        self.value("iotInstanceId")
    }

    fn value(&self, key: &str) -> &str {
        self.client_id.get(key).unwrap_or_default()
    }
}

impl Evidence for AkSigned {
    fn wants(&self) -> &[Want] {
        &[Want::AccessKeySecret]
    }

    fn check(&self, secret: &Secret) -> bool {
        let expected = sign(secret, self.method, self.auth_id(), self.value("timestamp"));
        same(expected.as_bytes(), self.given.as_bytes())
    }

    fn scheme(&self) -> &'static str {
        match self.method {
            SignMethod::HmacMd5 => "aksign-hmacmd5",
            SignMethod::HmacSha1 => "aksign-hmacsha1",
            SignMethod::HmacSha256 => "aksign-hmacsha256",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VECTORS: [(&str, &str); 3] = [
        ("hmacmd5", "95iSVu5rLFgoaHmhwmOBDA=="),
        ("Hmacsha1", "uHLT1fhV2F46fGiA9Eh1t95WTQI="),
        ("hmacsha256", "znG8D365SpOo8BdNNnLma4s59a5gGHomY25w9t4WcBg="),
    ];

    fn username(method: &str) -> String {
        format!(
            "c1|authMode=aksign,signMethod={method},timestamp=1573489088171,authId=testAccessKeyId,iotInstanceId=,consumerGroupId=g|"
        )
    }

    fn secret() -> Secret {
        Secret::new(b"testAccessKeySecret".to_vec())
    }

    #[test]
    fn al_7_1_logins_of_the_message_queue_are_genuine() {
        for (method, password) in VECTORS {
            let login = AkSigned::parse(&username(method), password).ok().unwrap();
            assert!(login.check(&secret()), "{method}");
            assert!(!login.check(&Secret::new(b"other".to_vec())));
            assert_eq!(
                login.scheme(),
                format!("aksign-{}", method.to_ascii_lowercase())
            );
            assert_eq!(
                (
                    login.client_id(),
                    login.auth_id(),
                    login.consumer_group(),
                    login.instance_id()
                ),
                ("c1", "testAccessKeyId", "g", "")
            );
            for (from, to) in [
                ("171", "172"),
                ("testAccess", "Access"),
                (method, "hmacmd5x"),
            ] {
                let altered = AkSigned::parse(&username(method).replace(from, to), password);
                assert!(!altered.is_ok_and(|login| login.check(&secret())), "{from}");
            }
        }
        let (method, _) = VECTORS[0];
        assert!(!AkSigned::parse(&username(method), "").is_ok_and(|login| login.check(&secret())));
    }

    #[test]
    fn user_names_of_another_form_are_refused() {
        let full = username("hmacsha1");
        let parse = |text: &str| AkSigned::parse(text, "p").err();
        for key in [
            "authMode",
            "signMethod",
            "authId",
            "timestamp",
            "consumerGroupId",
        ] {
            assert_eq!(
                parse(&full.replace(key, "x")),
                Some(AkSignError::Missing(key))
            );
        }
        assert_eq!(
            parse(&full.replace("aksign", "x")),
            Some(AkSignError::OtherMode)
        );
        assert_eq!(
            parse(&full.replace("hmacsha1", "x")),
            Some(AkSignError::UnknownMethod)
        );
        let cut = &full[..full.len() - 1];
        assert_eq!(
            parse(cut),
            Some(AkSignError::Malformed(ClientIdError::Unterminated))
        );
        assert_eq!(parse(""), Some(AkSignError::Missing("authMode")));
    }
}

//! Errors of the application API's gateway: what is refused before an action looks at it
//! (spec/cloud-api.md §1.6). They answer with an HTTP status of their own and a body of five fields.

use model::error::CallerError;
use std::borrow::Cow;

/// Longest string to sign that is told to a caller whose signature does not match.
const TOLD_MOST: usize = 64 * 1024;

/// Why the gateway refuses a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GatewayError {
    /// A parameter that must be there is not.
    Missing(String),
    /// A parameter cannot be read, with the rule that it breaks.
    Invalid {
        /// Which.
        name: String,
        /// In words that go on from the name.
        rule: String,
    },
    /// The query or the body cannot be read at all.
    Unreadable(&'static str),
    /// More bytes than are taken.
    TooLarge,
    /// The body did not come in time.
    TooSlow,
    /// Neither GET nor POST.
    Method,
    /// No action of this name in this version.
    NoSuchAction,
    /// No API of this version.
    NoSuchVersion,
    /// The signature's form is not one that is understood here.
    Incomplete(String),
    /// The signature does not match; with the text that it should be of.
    Mismatch(String),
    /// No such access key.
    UnknownKey,
    /// The access key is disabled.
    InactiveKey,
    /// The time cannot be read.
    TimeFormat,
    /// The time is outside the window.
    TimeExpired,
    /// The nonce was used before.
    NonceUsed,
    /// A session token came with a key that has none.
    TokenMismatch,
    /// No policy allows it.
    NotAllowed(String),
    /// Our own trouble that may pass.
    Unavailable,
    /// Our own trouble.
    Internal,
}

impl GatewayError {
    /// The HTTP status.
    pub fn status(&self) -> u16 {
        match self {
            Self::Missing(_)
            | Self::Invalid { .. }
            | Self::Unreadable(_)
            | Self::NoSuchVersion
            | Self::Incomplete(_)
            | Self::Mismatch(_)
            | Self::InactiveKey
            | Self::TimeFormat
            | Self::TimeExpired
            | Self::NonceUsed
            | Self::TokenMismatch => 400,
            Self::NotAllowed(_) => 403,
            Self::NoSuchAction | Self::UnknownKey => 404,
            Self::Method => 405,
            Self::TooSlow => 408,
            Self::TooLarge => 413,
            Self::Internal => 500,
            Self::Unavailable => 503,
        }
    }

    /// The vendor's name for it.
    pub fn code(&self) -> Cow<'static, str> {
        match self {
            Self::Missing(name) => format!("Missing{name}").into(),
            other => other.kind().into(),
        }
    }

    /// The vendor's name for errors of its kind, whatever the parameter.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Missing(_) => "MissingParameter",
            Self::Invalid { .. } | Self::Unreadable(_) => "InvalidParameter",
            Self::TooLarge => "RequestEntityTooLarge",
            Self::TooSlow => "RequestTimeout",
            Self::Method => "UnsupportedHTTPMethod",
            Self::NoSuchAction => "InvalidAction.NotFound",
            Self::NoSuchVersion => "InvalidVersion",
            Self::Incomplete(_) => "IncompleteSignature",
            Self::Mismatch(_) => "SignatureDoesNotMatch",
            Self::UnknownKey => "InvalidAccessKeyId.NotFound",
            Self::InactiveKey => "InvalidAccessKeyId.Inactive",
            Self::TimeFormat => "InvalidTimeStamp.Format",
            Self::TimeExpired => "InvalidTimeStamp.Expired",
            Self::NonceUsed => "SignatureNonceUsed",
            Self::TokenMismatch => "InvalidSecurityToken.MismatchWithAccessKey",
            Self::NotAllowed(_) => "Forbidden.RAM",
            Self::Unavailable => "ServiceUnavailable",
            Self::Internal => "InternalError",
        }
    }

    /// What is wrong, and how to mend it.
    pub fn message(&self) -> String {
        match self {
            Self::Missing(name) => format!(
                "The input parameter {name} that is mandatory for processing this request is not supplied."
            ),
            Self::Invalid { name, rule } => format!("The specified parameter {name} {rule}."),
            Self::Unreadable(what) => format!("The request cannot be read; {what}."),
            Self::TooLarge => "The request is larger than the server takes.".into(),
            Self::TooSlow => "The request did not arrive in time.".into(),
            Self::Method => "The HTTP method is not supported; use GET or POST.".into(),
            Self::NoSuchAction => {
                "Specified api is not found, please check your url and method.".into()
            }
            Self::NoSuchVersion => "Specified parameter Version is not valid.".into(),
            Self::Incomplete(why) => format!("The signature cannot be judged; {why}."),
            // Clients take what follows the first colon, up to the next one, and compare it with
            // the text that they signed: no other colon may stand before it.
            Self::Mismatch(text) => {
                let mut end = text.len().min(TOLD_MOST);
                while !text.is_char_boundary(end) {
                    end -= 1;
                }
                format!(
                    "Specified signature is not matched with our calculation. server string to sign is:{}",
                    &text[..end]
                )
            }
            Self::UnknownKey => "Specified access key is not found.".into(),
            Self::InactiveKey => "Specified access key is disabled.".into(),
            Self::TimeFormat => {
                "Specified time stamp or date value is not well formatted; use YYYY-MM-DDThh:mm:ssZ."
                    .into()
            }
            Self::TimeExpired => "Specified time stamp or date value is expired.".into(),
            Self::NonceUsed => "Specified signature nonce was used already.".into(),
            Self::TokenMismatch => {
                "Specified security token does not belong to the access key.".into()
            }
            Self::NotAllowed(what) => {
                format!("The caller is not authorized to do this ({what}).")
            }
            Self::Unavailable => "The service cannot do it now; try again later.".into(),
            Self::Internal => {
                "The request could not be processed because of an error of the server.".into()
            }
        }
    }
}

/// What is answered to a caller who is not let in, or may not do it. `text` is the string that it
/// should have signed.
pub fn caller(error: &CallerError, text: &str) -> GatewayError {
    match error {
        CallerError::UnknownKey => GatewayError::UnknownKey,
        CallerError::InactiveKey => GatewayError::InactiveKey,
        CallerError::BadSignature => GatewayError::Mismatch(text.into()),
        CallerError::Expired => GatewayError::TimeExpired,
        CallerError::Replayed => GatewayError::NonceUsed,
        CallerError::NotAllowed(what) => GatewayError::NotAllowed(what.clone()),
        CallerError::Fault(fault) => {
            tracing::error!(error = %fault, "a call failed");
            if fault.retry {
                GatewayError::Unavailable
            } else {
                GatewayError::Internal
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::error::Fault;

    /// [FS-8] Every reason to refuse a caller has the documented name and status.
    #[test]
    fn callers_are_told_why() {
        for (error, code, status) in [
            (CallerError::UnknownKey, "InvalidAccessKeyId.NotFound", 404),
            (CallerError::InactiveKey, "InvalidAccessKeyId.Inactive", 400),
            (CallerError::BadSignature, "SignatureDoesNotMatch", 400),
            (CallerError::Expired, "InvalidTimeStamp.Expired", 400),
            (CallerError::Replayed, "SignatureNonceUsed", 400),
            (
                CallerError::NotAllowed("iot:Pub".into()),
                "Forbidden.RAM",
                403,
            ),
            (
                CallerError::Fault(Fault::passing("disk")),
                "ServiceUnavailable",
                503,
            ),
            (
                CallerError::Fault(Fault::lasting("disk")),
                "InternalError",
                500,
            ),
        ] {
            let told = caller(&error, "text");
            assert_eq!((told.code().as_ref(), told.status()), (code, status));
            assert!(!told.message().contains("disk"), "context is for the log");
        }
    }

    /// The text to sign follows the only colon, so that clients find it.
    #[test]
    fn the_text_to_sign_follows_the_only_colon() {
        let message = GatewayError::Mismatch("POST&%2F&a%3D1".into()).message();
        assert_eq!(message.split(':').nth(1), Some("POST&%2F&a%3D1"));
        assert_eq!(message.matches(':').count(), 1);
    }

    #[test]
    fn a_huge_text_to_sign_is_not_told_whole() {
        let message = GatewayError::Mismatch("é".repeat(TOLD_MOST)).message();
        assert!(message.len() < TOLD_MOST + 200);
    }
}

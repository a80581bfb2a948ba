//! Facts that devices tell about themselves (seed 001 §6.9).

use serde_json::Value;

/// What a `thing/deviceinfo/update` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tags {
    /// Only what SDKs say of themselves at every start; no tags of the user's.
    OfTheSdk,
    /// Tags of the user's.
    OfTheUser,
    /// No list of keys and values.
    Unreadable,
}

/// Tells what the parameters are about. SDKs mark their own keys (spec/alink-wire.md §6.2), which
/// must not become tags.
pub(crate) fn about(params: &Value) -> Tags {
    let Some(list) = params.as_array() else {
        return Tags::Unreadable;
    };
    if !list.iter().all(|tag| tag["attrKey"].is_string()) {
        Tags::Unreadable
    } else if list.iter().all(|tag| tag["domain"] == "SYSTEM") {
        Tags::OfTheSdk
    } else {
        Tags::OfTheUser
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_sdks_say_of_themselves_is_no_tag() {
        let sdk = json!({"attrKey": "SYS_SDK_LANGUAGE", "attrValue": "C", "domain": "SYSTEM"});
        let user = json!({"attrKey": "Temperature", "attrValue": "36.8"});
        for (params, expected) in [
            (json!([sdk]), Tags::OfTheSdk),
            (json!([]), Tags::OfTheSdk),
            (json!([sdk, user]), Tags::OfTheUser),
            (json!([user]), Tags::OfTheUser),
            (json!([{"attrValue": "x"}]), Tags::Unreadable),
            (json!({}), Tags::Unreadable),
            (json!(null), Tags::Unreadable),
            (json!([1]), Tags::Unreadable),
        ] {
            assert_eq!(about(&params), expected, "{params}");
        }
    }
}

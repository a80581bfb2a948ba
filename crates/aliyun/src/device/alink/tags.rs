//! Facts that devices tell about themselves (seed 001 §6.9).

use serde_json::Value;

/// What a `thing/deviceinfo/update` or `…/delete` is about: the user's tags, with their values
/// where these are to be set. What SDKs say of themselves at every start is none of them
/// (spec/alink-wire.md §6.2). `None` for what is no list of such.
pub(crate) fn changes(params: &Value, set: bool) -> Option<Vec<(&str, Option<&str>)>> {
    let mut changes = Vec::new();
    for tag in params.as_array()? {
        let name = tag["attrKey"].as_str()?;
        if tag["domain"] == "SYSTEM" {
            continue;
        }
        let value = match set {
            true => Some(tag["attrValue"].as_str()?),
            false => None,
        };
        changes.push((name, value));
    }
    Some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// [AL-6.11]
    #[test]
    fn what_sdks_say_of_themselves_is_no_tag() {
        let sdk = json!({"attrKey": "SYS_SDK_LANGUAGE", "attrValue": "C", "domain": "SYSTEM"});
        let user = json!({"attrKey": "Temperature", "attrValue": "36.8"});
        let set = Some(vec![("Temperature", Some("36.8"))]);
        for (params, expected) in [
            (json!([sdk]), Some(vec![])),
            (json!([]), Some(vec![])),
            (json!([sdk, user]), set.clone()),
            (json!([user]), set),
            (json!([{"attrKey": "x"}]), None),
            (json!([{"attrValue": "x"}]), None),
            (json!({}), None),
            (json!(null), None),
            (json!([1]), None),
        ] {
            assert_eq!(changes(&params, true), expected, "{params}");
        }
        let named = changes(&user, false);
        assert_eq!(named, None);
        let list = json!([{"attrKey": "Temperature"}]);
        assert_eq!(changes(&list, false), Some(vec![("Temperature", None)]));
    }
}

//! Remote configuration in the vendor's words (seed 001 §6.12).

use model::command::Configuration;
use serde_json::{Map, Value, json};

/// Whether a request is for what there is: the file of the product. What it leaves out counts as
/// said.
pub(crate) fn wanted(params: &Value) -> bool {
    let says = |name: &str, word: &str| match &params[name] {
        Value::Null => true,
        Value::String(said) => said.eq_ignore_ascii_case(word),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => false,
    };
    says("configScope", "product") && says("getType", "file")
}

/// A document as devices are told of it.
pub(crate) fn about(document: &Configuration, link: &str) -> Map<String, Value> {
    let about = json!({
        "configId": document.id,
        "configSize": document.size,
        "sign": document.sha256,
        "signMethod": "Sha256",
        "url": link,
        "getType": "file",
    });
    object(about)
}

/// Whether a device is to send its log.
pub(crate) fn log(on: bool) -> Map<String, Value> {
    object(json!({ "getType": "content", "content": { "mode": u8::from(on) } }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Map::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-6.13] The request of seed 001 §6.12, and what clients leave out of it.
    #[test]
    fn only_the_file_of_the_product_is_served() {
        for (params, expected) in [
            (json!({"configScope": "product", "getType": "file"}), true),
            (json!({}), true),
            (json!(null), true),
            (json!({"configScope": "device"}), false),
            (json!({"getType": 1}), false),
        ] {
            assert_eq!(wanted(&params), expected, "{params}");
        }
    }
}

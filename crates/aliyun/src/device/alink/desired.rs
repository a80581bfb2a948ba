//! Desired properties as devices ask for them (seed 001 §6.6).

use serde_json::{Map, Value, json};

/// The properties that a `desired/get` names.
pub(crate) fn names(params: &Value) -> Option<Vec<&str>> {
    params.as_array()?.iter().map(Value::as_str).collect()
}

/// The properties that a `desired/delete` names, each with the version that it is for.
pub(crate) fn done(params: &Value) -> Option<Vec<(&str, Option<u64>)>> {
    let entry = |(name, about): (_, &Value)| {
        let about = about.as_object()?;
        let version = match about.get("version") {
            None | Some(Value::Null) => None,
            Some(version) => Some(version.as_u64()?),
        };
        Some((name, version))
    };
    let named = params.as_object()?.iter();
    named
        .map(|(name, about)| entry((name.as_str(), about)))
        .collect()
}

/// What is wanted, as a reply tells it.
pub(crate) fn told(wanted: Vec<(String, Value, u64)>) -> Map<String, Value> {
    let wanted = wanted.into_iter();
    let told = |(name, value, version)| (name, json!({ "value": value, "version": version }));
    wanted.map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [AL-6.8] The requests of seed 001 §6.6.
    #[test]
    fn requests_of_the_document_are_read() {
        let get = json!(["power", "temperature"]);
        assert_eq!(names(&get), Some(vec!["power", "temperature"]));
        let delete = json!({"power": {"version": 1}, "temperature": {}});
        let expected = vec![("power", Some(1)), ("temperature", None)];
        assert_eq!(done(&delete), Some(expected));
        let reply = told(vec![("power".into(), json!("on"), 2)]);
        assert_eq!(
            Value::Object(reply),
            json!({"power": {"value": "on", "version": 2}})
        );
        for bad in [json!({}), json!([1]), json!(null)] {
            assert_eq!(names(&bad), None);
        }
        for bad in [json!([]), json!({"a": 1}), json!({"a": {"version": -1}})] {
            assert_eq!(done(&bad), None);
        }
    }
}

//! Lines of a device's own log (spec/alink-wire.md §6.2, `thing/log/post`).

use hub::device_log::LogLine;
use serde_json::Value;

/// The lines of a post; `None` for what is no list of such.
pub(crate) fn lines(params: &Value) -> Option<Vec<LogLine>> {
    let line = |line: &Value| {
        let line = line.as_object()?;
        let part = |name: &str| match line.get(name) {
            None | Some(Value::Null) => String::new(),
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        };
        Some(LogLine {
            time: [part("utcTime"), part("timestamp")].concat(),
            level: part("logLevel"),
            module: part("module"),
            code: part("code"),
            trace: part("traceContext"),
            text: part("logContent"),
            ..LogLine::default()
        })
    };
    params.as_array()?.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_of_both_clients_are_read() {
        let params = json!([
            {"utcTime": "2020-01-01T00:00:00Z", "logLevel": "DEBUG", "module": "m", "code": 7,
             "traceContext": "t", "logContent": "words"},
            {"timestamp": 5},
        ]);
        let read = lines(&params).expect("it is a list");
        assert_eq!(
            (read[0].code.as_str(), read[0].text.as_str()),
            ("7", "words")
        );
        assert_eq!(
            (read[0].time.as_str(), read[1].time.as_str()),
            ("2020-01-01T00:00:00Z", "5")
        );
        for bad in [json!({}), json!([1]), json!(null)] {
            assert_eq!(lines(&bad), None);
        }
    }
}

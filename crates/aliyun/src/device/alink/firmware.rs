//! The firmware version that devices report (seed 001 §4, §6.11).

use serde_json::Value;

/// Longest version that is kept, in bytes.
const VERSION_MAX: usize = 64;

/// The version of the whole device in the parameters of a report; `None` for reports on one of its
/// modules, and for what is no report.
pub(crate) fn version(params: &Value) -> Option<&str> {
    if !matches!(params["module"].as_str(), None | Some("" | "default")) {
        return None;
    }
    let version = params["version"].as_str()?;
    (!version.is_empty() && version.len() <= VERSION_MAX).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_reports_on_the_whole_device_count() {
        let long = "1".repeat(VERSION_MAX + 1);
        for (params, expected) in [
            (json!({"version": "1.0.1"}), Some("1.0.1")),
            (json!({"version": "1", "module": "default"}), Some("1")),
            (json!({"version": "1", "module": "modem"}), None),
            (json!({"version": ""}), None),
            (json!({"version": long}), None),
            (json!({"version": 7}), None),
            (json!({}), None),
            (json!([]), None),
            (json!(null), None),
        ] {
            assert_eq!(version(&params), expected);
        }
    }
}

//! Tables and lists for people.

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

/// A value in a cell.
pub(super) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) if text.is_empty() => "-".into(),
        Value::String(text) => plain(text),
        Value::Bool(true) => "yes".into(),
        Value::Bool(false) => "no".into(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => plain(&other.to_string()),
    }
}

/// What is shown may come from strangers, such as the name in a login that was refused; nothing in
/// it may move the cursor or colour the screen.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_control() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect()
}

/// What stands at a path.
fn at<'a>(item: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(item, |value, name| &value[name])
}

/// A table of `items`: a heading and the path of a field (`entry.at`) for each column.
pub(super) fn table(items: &[Value], columns: &[(&str, &str)]) -> String {
    if items.is_empty() {
        return "none\n".into();
    }
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(columns.iter().map(|(heading, _)| *heading));
    for item in items {
        table.add_row(columns.iter().map(|(_, field)| cell(at(item, field))));
    }
    format!("{table}\n")
}

/// One thing: a line for each field that is there.
pub(super) fn card(item: &Value, fields: &[(&str, &str)]) -> String {
    let width = fields
        .iter()
        .map(|(heading, _)| heading.len())
        .max()
        .unwrap_or_default();
    fields
        .iter()
        .filter(|(_, field)| !at(item, field).is_null())
        .map(|(heading, field)| format!("{heading:<width$}  {}\n", cell(at(item, field))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_table_has_a_row_an_item_and_says_when_there_is_none() {
        let items = [
            json!({"name": "a", "in": {"on": true}}),
            json!({"name": ""}),
        ];
        let text = table(&items, &[("NAME", "name"), ("ON", "in.on")]);
        assert!(text.contains("NAME") && text.contains("yes"), "{text}");
        assert_eq!(
            text.lines().filter(|line| line.contains(" - ")).count(),
            1,
            "{text}"
        );
        assert_eq!(table(&[], &[("NAME", "name")]), "none\n");
    }

    #[test]
    fn what_strangers_wrote_moves_no_cursor() {
        let item = json!({"who": "lamp\u{1b}[2J\u{9b}1m\r\nroot 灯"});
        let shown = "lamp\\u{1b}[2J\\u{9b}1m\\r\\nroot 灯";
        let columns = [("WHO", "who")];
        assert!(table(std::slice::from_ref(&item), &columns).contains(shown));
        assert!(card(&item, &columns).contains(shown));
    }
}

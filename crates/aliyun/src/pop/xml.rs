//! Writes an answer's tree as XML: every key an element, a list its element again and again,
//! scalars as text (spec/cloud-api.md §1.6).

use quick_xml::{
    Writer,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};
use serde_json::Value;
use std::borrow::Cow;

const WHY: &str = "writing to memory does not fail";

/// The document with `root` around `tree`.
pub(crate) fn write(root: &str, tree: &Value) -> String {
    let mut writer = Writer::new(Vec::new());
    let declaration = BytesDecl::new("1.0", Some("UTF-8"), None);
    writer.write_event(Event::Decl(declaration)).expect(WHY);
    element(&mut writer, root, tree);
    String::from_utf8(writer.into_inner()).expect("names and texts are UTF-8")
}

fn element(writer: &mut Writer<Vec<u8>>, name: &str, value: &Value) {
    let text = match value {
        Value::Null => return,
        Value::Array(items) => {
            for item in items {
                element(writer, name, item);
            }
            return;
        }
        Value::Object(_) => None,
        Value::String(text) => Some(allowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
    };
    let start = Event::Start(BytesStart::new(name));
    writer.write_event(start).expect(WHY);
    if let Some(text) = text {
        let text = Event::Text(BytesText::new(&text));
        writer.write_event(text).expect(WHY);
    }
    for (name, value) in value.as_object().into_iter().flatten() {
        element(writer, name, value);
    }
    let end = Event::End(BytesEnd::new(name));
    writer.write_event(end).expect(WHY);
}

/// XML 1.0 §2.2 has no place for most control characters, not even escaped.
fn allowed(text: &str) -> Cow<'_, str> {
    let good = |c: char| matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}' | '\u{10000}'..);
    if text.chars().all(good) {
        return Cow::Borrowed(text);
    }
    let mend = |c| if good(c) { c } else { '\u{FFFD}' };
    Cow::Owned(text.chars().map(mend).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The tree of spec/cloud-api.md §1.6, both ways.
    #[test]
    fn lists_are_their_element_again_and_again() {
        let tree = json!({"Data": {"List": {"deviceInfo": [{"IotId": "a"}, {"IotId": "b"}]}}, "Success": true, "Total": 2});
        assert_eq!(
            write("GetThingTopoResponse", &tree),
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><GetThingTopoResponse><Data><List>\
             <deviceInfo><IotId>a</IotId></deviceInfo><deviceInfo><IotId>b</IotId></deviceInfo>\
             </List></Data><Success>true</Success><Total>2</Total></GetThingTopoResponse>"
        );
    }

    #[test]
    fn text_cannot_break_out_of_its_element() {
        let tree = json!({"Name": "</Name><Success>true</Success>&\u{1}\u{0}é", "Empty": [], "None": null});
        let document = write("R", &tree);
        assert_eq!(document.matches("<Success>").count(), 0);
        assert!(document.contains("&lt;/Name&gt;"));
        assert!(document.contains("&amp;\u{FFFD}\u{FFFD}é"));
        assert!(!document.contains("Empty") && !document.contains("None"));
    }
}

//! The manual page of the actions, written from the table.

use super::{
    Action, Effect, VERSION, actions,
    parameter::{Kind, Parameter, Place},
};
use std::fmt::Write as _;

const HEAD: &str = "# Actions of the application API

Written from the tables in `crates/aliyun/src/iot` and `crates/aliyun/src/id2.rs`; a test keeps the two the same. `*` is required,
`~` is what clients put into the form body (the server looks in both places).

";

/// The page, in Markdown.
pub fn manual() -> String {
    let mut page = format!(
        "{HEAD}Version `{VERSION}`; the right to an action is `iot:` and its name.\n\n| action | | parameters |\n| --- | --- | --- |\n"
    );
    write(&mut page, actions());
    let version = crate::id2::VERSION;
    let head = format!(
        "\n## ID²\n\nVersion `{version}`, or any other; the right to an action is `id2:` and its name.\n\n| action | | parameters |\n| --- | --- | --- |\n"
    );
    page.push_str(&head);
    write(&mut page, crate::id2::ROWS.iter());
    page
}

fn write(page: &mut String, rows: impl Iterator<Item = &'static Action>) {
    let mut rows: Vec<_> = rows.collect();
    rows.sort_by_key(|action| action.name);
    for action in rows {
        let effect = match action.effect {
            Effect::Reads => "reads",
            Effect::Changes => "changes",
        };
        let parameters: Vec<_> = action.parameters.iter().map(described).collect();
        let (name, parameters) = (action.name, parameters.join(", "));
        // Writing to a string does not fail.
        let _ = writeln!(page, "| `{name}` | {effect} | {parameters} |");
    }
}

fn described(parameter: &Parameter) -> String {
    let required = if parameter.required { "*" } else { "" };
    let place = match parameter.place {
        Place::Query => "",
        Place::Body => "~",
    };
    let kind = match parameter.kind {
        Kind::Text => String::new(),
        Kind::Integer => " number".into(),
        Kind::Boolean => " true or false".into(),
        Kind::List(most) => format!(" list of at most {most}"),
        Kind::Records(fields, most) => {
            format!(" list of {{{}}}, at most {most}", fields.join(", "))
        }
    };
    format!("{}{required}{place}{kind}", parameter.name)
}

//! `muster device desired|log|trace` and `muster product config`: what is kept between devices and
//! their applications.

use super::{
    Desk, Failure, REFUSED,
    device::{One, assignments},
    product::Switch,
    table::{card, table},
};
use serde_json::{Value, json};
use std::path::Path;

/// Longest document that is read, in bytes.
const DOCUMENT: u64 = 1024 * 1024;

/// Shows what is wanted of a device, or wants something of it.
pub(super) fn desired(desk: &mut Desk, one: &One, items: &[String]) -> Result<(), Failure> {
    let client = desk.client()?;
    let path = one.path(&["desired"]);
    if !items.is_empty() {
        let items = Value::Object(assignments(items)?);
        let told = client.post(&path, &json!({ "items": items }))?;
        return desk.show(&told, |told| match told["order"].as_str() {
            Some(order) => format!("ordered as command {order}\n"),
            None => "nothing is to be ordered\n".into(),
        });
    }
    let mut shown = client.get(&path, &[])?;
    desk.show(&shown["items"].take(), |items| {
        let columns = [
            ("PROPERTY", "identifier"),
            ("VALUE", "value"),
            ("VERSION", "version"),
            ("UNIT", "unit"),
            ("TIME", "at"),
        ];
        table(items.as_array().map_or(&[], Vec::as_slice), &columns)
    })
}

/// Shows a device's log, or turns it on or off.
pub(super) fn log(desk: &mut Desk, one: &One, to: Option<Switch>) -> Result<(), Failure> {
    let columns = [
        ("TIME", "at"),
        ("LEVEL", "level"),
        ("MODULE", "module"),
        ("CODE", "code"),
        ("TEXT", "text"),
    ];
    lines(desk, &one.path(&["log"]), to, &columns)
}

/// Shows the trace of a device, or turns it on or off.
pub(super) fn trace(desk: &mut Desk, one: &One, to: Option<Switch>) -> Result<(), Failure> {
    let columns = [
        ("TIME", "at"),
        ("WAY", "way"),
        ("TOPIC", "topic"),
        ("TEXT", "text"),
    ];
    lines(desk, &one.path(&["trace"]), to, &columns)
}

fn lines(
    desk: &mut Desk,
    path: &[&str],
    to: Option<Switch>,
    columns: &[(&str, &str)],
) -> Result<(), Failure> {
    let client = desk.client()?;
    if let Some(to) = to {
        client.post(path, &json!({ "on": to.on() }))?;
        return desk.show(&json!({ "on": to.on() }), |told| {
            let word = if told["on"] == true { "on" } else { "off" };
            format!("turned {word}\n")
        });
    }
    let shown = client.get(path, &[])?;
    desk.show(&shown, |shown| {
        let items = shown["items"].as_array().map_or(&[][..], Vec::as_slice);
        let off = match shown["on"] == true {
            true => "",
            false => "it is off; `on` turns it on\n",
        };
        format!("{}{off}", table(items, columns))
    })
}

/// What is to be done with a product's remote configuration.
pub(super) struct Config<'a> {
    pub(super) product: &'a str,
    pub(super) to: Option<Switch>,
    pub(super) document: Option<&'a Path>,
    /// Whether to tell devices, and which one.
    pub(super) push: Option<Option<&'a str>>,
}

/// Shows or changes a product's remote configuration, and tells devices of it.
pub(super) fn config(desk: &mut Desk, wanted: &Config<'_>) -> Result<(), Failure> {
    let client = desk.client()?;
    let path = ["products", wanted.product, "configuration"];
    let mut shown = None;
    if wanted.to.is_some() || wanted.document.is_some() {
        let content = wanted.document.map(document).transpose()?;
        let on = wanted.to.map(Switch::on);
        shown = Some(client.post(&path, &json!({ "on": on, "content": content }))?);
    }
    if let Some(device) = wanted.push {
        let path = ["products", wanted.product, "configuration", "push"];
        let told = client.post(&path, &json!({ "device": device }))?;
        return desk.show(&told, |told| {
            format!("{} devices are told\n", told["devices"])
        });
    }
    let shown = match shown {
        Some(shown) => shown,
        None => client.get(&path, &[])?,
    };
    desk.show(&shown, |shown| {
        let versions = shown["versions"].as_array().map_or(&[][..], Vec::as_slice);
        let columns = [
            ("ID", "id"),
            ("BYTES", "size"),
            ("SHA-256", "sha256"),
            ("SINCE", "at"),
        ];
        format!(
            "{}\n{}",
            card(shown, &[("On", "on")]),
            table(versions, &columns)
        )
    })
}

fn document(path: &Path) -> Result<String, Failure> {
    let trouble = |why: String| {
        let what = format!("{}: {why}", path.display());
        Failure::new(REFUSED, what, "give a text of at most 1 MiB")
    };
    let size = std::fs::metadata(path).map_err(|error| trouble(error.to_string()))?;
    if size.len() > DOCUMENT {
        return Err(trouble(format!("it has {} bytes", size.len())));
    }
    std::fs::read_to_string(path).map_err(|error| trouble(error.to_string()))
}

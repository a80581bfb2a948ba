//! `muster device …`

use super::{
    Client, Desk, Failure, REFUSED, USAGE,
    ask::confirm,
    product::Switch,
    table::{card, table},
    thing, topo,
};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};
use std::{
    fs,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

/// Devices that are registered in one step.
const STEP: usize = 500;

#[derive(Subcommand)]
pub(super) enum Device {
    /// Register a device and show its secret.
    #[command(visible_alias = "register")]
    Create {
        /// Product key.
        product: String,
        /// Its name; one is made up when it is left out.
        name: Option<String>,
        /// For people.
        #[arg(long)]
        nickname: Option<String>,
    },
    /// Register many devices and show their secrets.
    #[command(after_help = "\
Examples:
  muster device batch PRODUCT_KEY --count 1000
  muster device batch PRODUCT_KEY --names names.txt    one name a line, a nickname may follow a comma")]
    Batch {
        /// Product key.
        product: String,
        /// So many, with made-up names.
        #[arg(long, required_unless_present = "names", conflicts_with = "names")]
        count: Option<usize>,
        /// The names in this file.
        #[arg(long, value_name = "FILE")]
        names: Option<PathBuf>,
    },
    /// List a product's devices.
    List {
        /// Product key.
        product: String,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        most: usize,
    },
    /// Show a device.
    Show(One),
    /// Show a device's MQTT session: what waits for it, and what was dropped.
    Session(One),
    /// Show a device's secret (the read is audited).
    Secret(One),
    /// Give a device a new secret and end its session.
    ResetSecret {
        #[command(flatten)]
        one: One,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Let a device that registered itself do so once more, and undo its topology.
    Reset {
        #[command(flatten)]
        one: One,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Let a device connect again.
    Enable(One),
    /// Keep a device from connecting and end its session.
    Disable(One),
    /// Delete a device with its history.
    Delete {
        #[command(flatten)]
        one: One,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Which sub-devices are bound to which gateways.
    #[command(subcommand)]
    Topo(topo::Topo),
    /// Show the latest values of a device's properties.
    Properties(One),
    /// Ask a connected device for its properties now, and show what it answers.
    #[command(after_help = "\
Example:
  muster device ask PRODUCT_KEY kitchen target    without names, all that the device tells")]
    Ask {
        #[command(flatten)]
        one: One,
        /// Which.
        #[arg(value_name = "PROPERTY")]
        properties: Vec<String>,
    },
    /// Set properties of a device.
    #[command(after_help = "\
Example:
  muster device set PRODUCT_KEY kitchen target=24 label='\"warm\"'    values are JSON, or texts")]
    Set {
        #[command(flatten)]
        one: One,
        /// property=value.
        #[arg(required = true, value_name = "PROPERTY=VALUE")]
        items: Vec<String>,
    },
    /// Show what is wanted of a device's properties, or want something, for now or for its return.
    #[command(after_help = "\
Examples:
  muster device desired PRODUCT_KEY kitchen              show what is wanted
  muster device desired PRODUCT_KEY kitchen target=24    want this
  muster device desired PRODUCT_KEY kitchen target=null  want nothing any more")]
    Desired {
        #[command(flatten)]
        one: One,
        /// property=value.
        #[arg(value_name = "PROPERTY=VALUE")]
        items: Vec<String>,
    },
    /// Show the log that a device sent, or have it send one or no more.
    Log {
        #[command(flatten)]
        one: One,
        /// Whether the device is to send it.
        to: Option<Switch>,
    },
    /// Show what a device said, what it was answered, and why something was refused; off until it
    /// is turned on, for a day at most.
    Trace {
        #[command(flatten)]
        one: One,
        /// Turn it on, or off, which forgets it.
        to: Option<Switch>,
    },
    /// Show a property's history.
    History {
        #[command(flatten)]
        one: One,
        /// Which property.
        property: String,
        #[command(flatten)]
        span: Span,
    },
    /// Show a device's events.
    Events {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        span: Span,
        /// Only this event.
        #[arg(long)]
        identifier: Option<String>,
        /// Only of this kind: info, alert or error.
        #[arg(long)]
        kind: Option<String>,
    },
    /// Show what was asked of a device's services, with the answers.
    Services {
        #[command(flatten)]
        one: One,
        #[command(flatten)]
        span: Span,
        /// Only this service.
        #[arg(long)]
        identifier: Option<String>,
    },
    /// Call a service of a device.
    #[command(after_help = "\
Example:
  muster device call PRODUCT_KEY kitchen reboot '{\"delay\": 5}'")]
    Call {
        #[command(flatten)]
        one: One,
        /// Which service.
        service: String,
        /// Its input as a JSON object.
        #[arg(default_value = "{}")]
        input: String,
    },
}

/// A device.
#[derive(Args)]
pub(super) struct One {
    /// Product key.
    pub(super) product: String,
    /// Device name.
    pub(super) name: String,
}

impl One {
    pub(super) fn path<'a>(&'a self, rest: &[&'a str]) -> Vec<&'a str> {
        let mut path = vec!["products", &self.product, "devices", &self.name];
        path.extend(rest);
        path
    }
}

/// A part of a history.
#[derive(Args)]
pub(super) struct Span {
    /// From this time on: 2026-01-31T12:00:00Z or milliseconds [default: a day before --to].
    #[arg(long)]
    from: Option<String>,
    /// Up to this time [default: now].
    #[arg(long)]
    to: Option<String>,
    /// Oldest first.
    #[arg(long)]
    oldest_first: bool,
    /// At most so many.
    #[arg(long)]
    most: Option<usize>,
}

impl Span {
    fn query(self, more: [(&'static str, Option<String>); 2]) -> Vec<(&'static str, String)> {
        [
            ("from", self.from),
            ("to", self.to),
            ("oldest_first", self.oldest_first.then(|| "true".into())),
            ("most", self.most.map(|most| most.to_string())),
        ]
        .into_iter()
        .chain(more)
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

const CARD: &[(&str, &str)] = &[
    ("Product key", "product_key"),
    ("Device name", "device_name"),
    ("Device secret", "device_secret"),
    ("IoT id", "iot_id"),
    ("Nickname", "nickname"),
    ("State", "state"),
    ("Connected since", "connected"),
    ("Address", "address"),
    ("Firmware", "firmware"),
    ("Tags", "tags"),
    ("Created", "created"),
    ("Activated", "activated"),
    ("Last online", "online"),
    ("Last offline", "offline"),
];

/// Of an MQTT session.
pub(super) const SESSION: &[(&str, &str)] = &[
    ("Connected", "connected"),
    ("Outlives its connection", "durable"),
    ("Seconds that it is kept", "life"),
    ("Kept until", "until"),
    ("Subscriptions", "subscriptions"),
    ("Messages that wait", "queued"),
    ("Messages in flight", "inflight"),
    ("Bytes of these", "bytes"),
    ("Dropped, queue full", "dropped.queue_full"),
    ("Dropped, expired", "dropped.expired"),
    ("Dropped, client away", "dropped.away"),
    ("Dropped, too large", "dropped.too_large"),
];

const POINTS: &[(&str, &str)] = &[
    ("TIME", "at"),
    ("IDENTIFIER", "identifier"),
    ("KIND", "kind"),
    ("VALUE", "value"),
];

pub(super) fn run(desk: &mut Desk, command: Device) -> Result<(), Failure> {
    let client = desk.client()?;
    match command {
        Device::Create {
            product,
            name,
            nickname,
        } => {
            let body = json!({"device_name": name, "nickname": nickname});
            let made = client.post(&["products", &product, "devices"], &body)?;
            desk.show(&made, |made| card(made, CARD))
        }
        Device::Batch {
            product,
            count,
            names,
        } => {
            let devices = match names {
                Some(path) => batch_named(&client, &product, &path)?,
                None => batch_counted(&client, &product, count.unwrap_or_default())?,
            };
            desk.show(&json!({"devices": devices}), |_| {
                let columns = [
                    ("DEVICE NAME", "device_name"),
                    ("DEVICE SECRET", "device_secret"),
                    ("IOT ID", "iot_id"),
                ];
                table(&devices, &columns)
            })
        }
        Device::List { product, most } => {
            let (items, total) = client.all(&["products", &product, "devices"], most)?;
            desk.show(&Value::Array(items.clone()), |_| {
                let columns = [
                    ("DEVICE NAME", "device_name"),
                    ("NICKNAME", "nickname"),
                    ("STATE", "state"),
                    ("ADDRESS", "address"),
                    ("LAST ONLINE", "online"),
                    ("CREATED", "created"),
                ];
                let more = if (items.len() as u64) < total {
                    format!("{} of {total}; --most shows more\n", items.len())
                } else {
                    String::new()
                };
                format!("{}{more}", table(&items, &columns))
            })
        }
        Device::Show(one) => {
            let shown = client.get(&one.path(&[]), &[])?;
            desk.show(&shown, |shown| card(shown, CARD))
        }
        Device::Session(one) => {
            let shown = client.get(&one.path(&["session"]), &[])?;
            desk.show(&shown, |shown| card(shown, SESSION))
        }
        Device::Secret(one) => {
            let shown = client.get(&one.path(&["secret"]), &[])?;
            desk.show(&shown, |shown| card(shown, CARD))
        }
        Device::ResetSecret { one, yes } => {
            let question = format!(
                "Give {} a new secret? With the old one it cannot connect any more.",
                one.name
            );
            confirm(desk, yes, &question)?;
            let reset = client.post(&one.path(&["reset-secret"]), &json!({}))?;
            desk.show(&reset, |reset| card(reset, CARD))
        }
        Device::Reset { one, yes } => {
            let question = format!("Let {} register itself once more?", one.name);
            confirm(desk, yes, &question)?;
            client.post(&one.path(&["reset"]), &json!({}))?;
            desk.show(&json!({"reset": one.name}), |_| {
                format!("{} may register itself\n", one.name)
            })
        }
        Device::Enable(one) => {
            let shown = client.post(&one.path(&["enable"]), &json!({}))?;
            desk.show(&shown, |shown| card(shown, CARD))
        }
        Device::Disable(one) => {
            let shown = client.post(&one.path(&["disable"]), &json!({}))?;
            desk.show(&shown, |shown| card(shown, CARD))
        }
        Device::Delete { one, yes } => {
            let question = format!("Delete {} with its secret and its history?", one.name);
            confirm(desk, yes, &question)?;
            client.delete(&one.path(&[]))?;
            desk.show(&json!({"deleted": one.name}), |_| {
                format!("deleted {}\n", one.name)
            })
        }
        Device::Topo(command) => topo::run(desk, command),
        Device::Properties(one) => {
            let mut shown = client.get(&one.path(&["properties"]), &[])?;
            desk.show(&shown["items"].take(), |items| {
                let columns = [
                    ("PROPERTY", "identifier"),
                    ("NAME", "name"),
                    ("VALUE", "value"),
                    ("UNIT", "unit"),
                    ("TYPE", "data_type"),
                    ("TIME", "at"),
                ];
                table(items.as_array().map_or(&[], Vec::as_slice), &columns)
            })
        }
        Device::Ask { one, properties } => {
            let told = client.post(&one.path(&["ask"]), &json!({ "properties": properties }))?;
            desk.show(&told, |told| {
                card(
                    told,
                    &[("Code", "code"), ("Values", "data"), ("Words", "message")],
                )
            })
        }
        Device::Set { one, items } => {
            let items = assignments(&items)?;
            let told = client.post(&one.path(&["properties"]), &Value::Object(items))?;
            desk.show(&told, command_text)
        }
        Device::Desired { one, items } => thing::desired(desk, &one, &items),
        Device::Log { one, to } => thing::log(desk, &one, to),
        Device::Trace { one, to } => thing::trace(desk, &one, to),
        Device::History {
            one,
            property,
            span,
        } => {
            let query = span.query([("", None), ("", None)]);
            let page = client.get(&one.path(&["properties", &property]), &query)?;
            points(desk, &page)
        }
        Device::Events {
            one,
            span,
            identifier,
            kind,
        } => {
            let query = span.query([("identifier", identifier), ("kind", kind)]);
            let page = client.get(&one.path(&["events"]), &query)?;
            points(desk, &page)
        }
        Device::Services {
            one,
            span,
            identifier,
        } => {
            let query = span.query([("identifier", identifier), ("", None)]);
            let page = client.get(&one.path(&["services"]), &query)?;
            points(desk, &page)
        }
        Device::Call {
            one,
            service,
            input,
        } => {
            let input: Map<String, Value> = serde_json::from_str(&input).map_err(|error| {
                Failure::new(
                    USAGE,
                    format!("the input is not a JSON object: {error}"),
                    "write it in quotes, such as '{\"delay\": 5}'",
                )
            })?;
            let told = client.post(&one.path(&["services", &service]), &Value::Object(input))?;
            desk.show(&told, command_text)
        }
    }
}

fn command_text(told: &Value) -> String {
    if told["answered"] == true {
        card(
            told,
            &[("Code", "code"), ("Answer", "data"), ("Message", "message")],
        )
    } else {
        format!(
            "sent as command {}; the device answers later\n",
            told["command"]
        )
    }
}

fn points(desk: &mut Desk, page: &Value) -> Result<(), Failure> {
    desk.show(page, |page| {
        let items = page["items"].as_array().map_or(&[][..], Vec::as_slice);
        let next = match page["next"].as_str() {
            Some(next) => format!("more from {next} on\n"),
            None => String::new(),
        };
        format!("{}{next}", table(items, POINTS))
    })
}

/// `property=value`, where the value is JSON, or else a text.
pub(super) fn assignments(items: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut map = Map::new();
    for item in items {
        let (name, text) = item.split_once('=').ok_or_else(|| {
            Failure::new(
                USAGE,
                format!("{item:?} has no ="),
                "write property=value, such as target=24",
            )
        })?;
        let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.into()));
        map.insert(name.into(), value);
    }
    Ok(map)
}

fn batch_counted(client: &Client, product: &str, count: usize) -> Result<Vec<Value>, Failure> {
    let path = ["products", product, "devices", "batch"];
    let mut made = Vec::new();
    while made.len() < count {
        progress(made.len(), count);
        let body = json!({"count": STEP.min(count - made.len())});
        let new = take(client.post(&path, &body)?);
        if new.is_empty() {
            break;
        }
        made.extend(new);
    }
    progress(made.len(), count);
    Ok(made)
}

fn batch_named(client: &Client, product: &str, path: &Path) -> Result<Vec<Value>, Failure> {
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::new(
            USAGE,
            format!("{}: {error}", path.display()),
            "name a text file with one device name a line",
        )
    })?;
    let wanted: Vec<Value> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let (name, nickname) = line.split_once(',').unwrap_or((line, ""));
            json!({"device_name": name.trim(), "nickname": nickname.trim()})
        })
        .collect();
    let mut made = Vec::new();
    for step in wanted.chunks(STEP) {
        progress(made.len(), wanted.len());
        let body = json!({"devices": step});
        match client.post(&["products", product, "devices", "batch"], &body) {
            Ok(answer) => made.extend(take(answer)),
            Err(failure) if made.is_empty() => return Err(failure),
            Err(failure) => {
                // What was registered has secrets; the names that are left can be tried again.
                let done = made.len();
                return Err(Failure::new(
                    REFUSED,
                    format!("the first {done} names are registered; then: {failure}"),
                    format!(
                        "mend the list from line {} on and register the rest; `muster device secret` shows secrets of the first",
                        done + 1
                    ),
                ));
            }
        }
    }
    progress(made.len(), wanted.len());
    Ok(made)
}

fn take(mut answer: Value) -> Vec<Value> {
    match answer["devices"].take() {
        Value::Array(devices) => devices,
        _ => Vec::new(),
    }
}

/// How far long work is, for somebody who watches.
fn progress(done: usize, all: usize) {
    let mut err = io::stderr();
    if all > STEP && err.is_terminal() {
        let end = if done >= all { "\n" } else { "" };
        let _ = write!(err, "\rregistered {done} of {all}{end}").and_then(|()| err.flush());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_or_texts() {
        let items = ["a=1", "b=true", "c=warm", "d={\"x\":[1]}", "e=x=y"].map(String::from);
        let map = assignments(&items).unwrap();
        assert_eq!(
            Value::Object(map),
            json!({"a": 1, "b": true, "c": "warm", "d": {"x": [1]}, "e": "x=y"})
        );
        assert!(assignments(&["a".to_owned()]).is_err());
    }
}

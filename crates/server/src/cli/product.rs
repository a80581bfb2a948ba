//! `muster product …`

use super::{
    Desk, Failure, REFUSED, USAGE,
    ask::confirm,
    table::{card, table},
    thing,
};
use clap::{Subcommand, ValueEnum};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Longest thing-model document that is read, in bytes.
const DOCUMENT: u64 = 2 * 1024 * 1024;

#[derive(Subcommand)]
pub(super) enum Product {
    /// Make a product, with a published thing model when --model is given.
    #[command(after_help = "\
Example:
  muster product create thermometer --model examples/thermometer.json")]
    Create {
        /// Its name.
        name: String,
        /// Thing model (TSL document) to import and publish.
        #[arg(long, value_name = "FILE")]
        model: Option<PathBuf>,
        /// What it is.
        #[arg(long, default_value = "")]
        description: String,
        /// Place in the topology.
        #[arg(long, value_enum, default_value = "device")]
        node: Node,
        /// Form of payloads.
        #[arg(long, value_enum, default_value = "alink")]
        format: Format,
        /// Make it without any thing model.
        #[arg(long, conflicts_with = "model")]
        without_model: bool,
    },
    /// List products.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        most: usize,
    },
    /// Show a product.
    Show {
        /// Product key.
        product: String,
    },
    /// Delete a product that has no devices.
    Delete {
        /// Product key.
        product: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Show a product's secret (the read is audited).
    Secret {
        /// Product key.
        product: String,
    },
    /// Show, import or publish a product's thing model.
    #[command(after_help = "\
Examples:
  muster product model PRODUCT_KEY                         show the published model
  muster product model PRODUCT_KEY --version draft         show the draft
  muster product model PRODUCT_KEY --import model.json     import into the draft and publish
  muster product model PRODUCT_KEY --versions              list published versions")]
    Model {
        /// Product key.
        product: String,
        /// Import this TSL document and publish it.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["versions", "version"])]
        import: Option<PathBuf>,
        /// Leave the imported document a draft.
        #[arg(long, requires = "import")]
        draft: bool,
        /// Which model to show: draft, published or a version.
        #[arg(long)]
        version: Option<String>,
        /// A custom block instead of the default one.
        #[arg(long)]
        block: Option<String>,
        /// List published versions.
        #[arg(long)]
        versions: bool,
    },
    /// Show or change the document that devices fetch as their remote configuration.
    #[command(after_help = "\
Examples:
  muster product config PRODUCT_KEY --document config.json on    give a document, and let devices have it
  muster product config PRODUCT_KEY --push                  tell all devices that were ever connected
  muster product config PRODUCT_KEY --push kitchen          tell one")]
    Config {
        /// Product key.
        product: String,
        /// Whether devices get the document.
        to: Option<Switch>,
        /// The new document.
        #[arg(long, value_name = "FILE")]
        document: Option<PathBuf>,
        /// Tell this device of the document, or all.
        #[arg(long, value_name = "DEVICE", num_args = 0..=1)]
        push: Option<Option<String>>,
    },
    /// Let devices that know the product secret fetch secrets of their own, or no longer.
    #[command(after_help = "\
Examples:
  muster product registration PRODUCT_KEY on      for names registered beforehand
  muster product registration PRODUCT_KEY open    for any name
  muster product registration PRODUCT_KEY off")]
    Registration {
        /// Product key.
        product: String,
        /// How the switch is to stand.
        to: Registration,
        /// Confirm what turning it on means, without being asked.
        #[arg(long)]
        yes: bool,
    },
    /// Refuse devices whose login says another kind of channel than they use, or accept them.
    StrictChannel {
        /// Product key.
        product: String,
        /// How the switch is to stand.
        to: Switch,
    },
    /// Set what devices may use of MQTT on the product's own topics, from their next login on; what
    /// is not named is not allowed, as in the vendor's cloud.
    Mqtt {
        /// Product key.
        product: String,
        /// QoS 2.
        #[arg(long)]
        exactly_once: bool,
        /// Retained messages.
        #[arg(long)]
        retain: bool,
        /// A will.
        #[arg(long)]
        will: bool,
    },
    /// Freeze a product's thing model and topics, or let them change again.
    Release {
        /// Product key.
        product: String,
        /// How the switch is to stand.
        to: Switch,
    },
    /// Topic classes of the product's own.
    #[command(subcommand)]
    Topic(Topic),
}

#[derive(Subcommand)]
pub(super) enum Topic {
    /// Make a topic class.
    #[command(after_help = "\
Example:
  muster product topic create PRODUCT_KEY user/loop --right both")]
    Create {
        /// Product key.
        product: String,
        /// What follows product and device.
        suffix: String,
        /// What devices may do with it.
        #[arg(long, value_enum)]
        right: Right,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// List topic classes.
    List {
        /// Product key.
        product: String,
    },
    /// Delete a topic class.
    Delete {
        /// Product key.
        product: String,
        /// Its number.
        id: u64,
    },
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Node {
    Device,
    Gateway,
    Subdevice,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Format {
    Alink,
    Passthrough,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Right {
    Publish,
    Subscribe,
    Both,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

impl Switch {
    pub(super) fn on(self) -> bool {
        matches!(self, Self::On)
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum Registration {
    /// Not at all.
    Off,
    /// Under names registered beforehand.
    #[value(alias = "registered")]
    On,
    /// Under any name.
    Open,
}

const CARD: &[(&str, &str)] = &[
    ("Product key", "product_key"),
    ("Product secret", "product_secret"),
    ("Name", "name"),
    ("Description", "description"),
    ("Node", "node"),
    ("Format", "format"),
    ("Thing model", "modelled"),
    ("Released", "released"),
    ("Registration", "registration"),
    ("Strict channel", "strict_channel"),
    ("MQTT QoS 2", "mqtt.exactly_once"),
    ("MQTT retain", "mqtt.retain"),
    ("MQTT will", "mqtt.will"),
    ("Devices", "devices"),
    ("Created", "created"),
];

const TOPICS: &[(&str, &str)] = &[
    ("ID", "id"),
    ("TOPIC", "suffix"),
    ("DEVICES MAY", "right"),
    ("DESCRIPTION", "description"),
];

pub(super) fn run(desk: &mut Desk, command: Product) -> Result<(), Failure> {
    let client = desk.client()?;
    match command {
        Product::Create {
            name,
            model,
            description,
            node,
            format,
            without_model,
        } => {
            let document = model.as_deref().map(document).transpose()?;
            let word = |value: Option<clap::builder::PossibleValue>| {
                value.map(|value| value.get_name().to_owned())
            };
            let made = client.post(
                &["products"],
                &json!({
                    "name": name, "description": description, "modelled": !without_model,
                    "node": word(node.to_possible_value()),
                    "format": word(format.to_possible_value()),
                }),
            )?;
            let key = made["product_key"].as_str().unwrap_or_default().to_owned();
            if let Some(document) = document
                && let Err(failure) = import(&client, &key, None, &document, true)
            {
                // All or nothing: a product without the model that was asked for is in the way of
                // the next try.
                let _ = client.delete(&["products", &key]);
                return Err(failure);
            }
            desk.show(&made, |made| card(made, CARD))
        }
        Product::List { most } => {
            let (items, _) = client.all(&["products"], most)?;
            desk.show(&Value::Array(items.clone()), |_| {
                let columns = [
                    ("PRODUCT KEY", "product_key"),
                    ("NAME", "name"),
                    ("NODE", "node"),
                    ("REGISTRATION", "registration"),
                    ("DEVICES", "devices"),
                    ("CREATED", "created"),
                ];
                table(&items, &columns)
            })
        }
        Product::Show { product } => {
            let shown = client.get(&["products", &product], &[])?;
            desk.show(&shown, |shown| {
                let topics = shown["topics"].as_array().cloned().unwrap_or_default();
                format!("{}\n{}", card(shown, CARD), table(&topics, TOPICS))
            })
        }
        Product::Delete { product, yes } => {
            confirm(desk, yes, &format!("Delete the product {product}?"))?;
            client.delete(&["products", &product])?;
            desk.show(&json!({"deleted": product}), |_| {
                format!("deleted {product}\n")
            })
        }
        Product::Config {
            product,
            to,
            document,
            push,
        } => thing::config(
            desk,
            &thing::Config {
                product: &product,
                to,
                document: document.as_deref(),
                push: push.as_ref().map(Option::as_deref),
            },
        ),
        Product::Secret { product } => {
            let shown = client.get(&["products", &product, "secret"], &[])?;
            desk.show(&shown, |shown| card(shown, CARD))
        }
        Product::Model {
            product,
            import: Some(path),
            draft,
            block,
            ..
        } => {
            let document = document(&path)?;
            let told = import(&client, &product, block.as_deref(), &document, !draft)?;
            desk.show(&told, |told| match told["version"].as_str() {
                Some(version) => format!("published version {version}\n"),
                None => "imported into the draft\n".into(),
            })
        }
        Product::Model {
            product,
            versions: true,
            ..
        } => {
            let mut listed = client.get(&["products", &product, "model", "versions"], &[])?;
            desk.show(&listed["items"].take(), |items| {
                let columns = [
                    ("VERSION", "version"),
                    ("CREATED", "created"),
                    ("DESCRIPTION", "description"),
                ];
                table(items.as_array().map_or(&[], Vec::as_slice), &columns)
            })
        }
        Product::Model {
            product,
            version,
            block,
            ..
        } => {
            let query: Vec<_> = [("version", version), ("block", block)]
                .into_iter()
                .filter_map(|(name, value)| Some((name, value?)))
                .collect();
            let shown = client.get(&["products", &product, "model"], &query)?;
            desk.show(&shown, |shown| format!("{shown:#}\n"))
        }
        Product::Registration { product, to, yes } => {
            let to = match to {
                Registration::Off => "off",
                Registration::On => "registered",
                Registration::Open => "open",
            };
            let path = ["products", &product, "registration"];
            let first = client.post(&path, &json!({"to": to, "confirmed": yes}));
            let turned = match first {
                Err(failure) if failure.name.as_deref() == Some("Unconfirmed") => {
                    let question = format!(
                        "Whoever knows the product secret can then get secrets of devices of {product}. Turn it on?"
                    );
                    confirm(desk, yes, &question)?;
                    client.post(&path, &json!({"to": to, "confirmed": true}))?
                }
                other => other?,
            };
            desk.show(&turned, |turned| card(turned, CARD))
        }
        Product::StrictChannel { product, to } => {
            let body = json!({"on": to.on()});
            let turned = client.post(&["products", &product, "strict-channel"], &body)?;
            desk.show(&turned, |turned| card(turned, CARD))
        }
        Product::Mqtt {
            product,
            exactly_once,
            retain,
            will,
        } => {
            let body = json!({"exactly_once": exactly_once, "retain": retain, "will": will});
            let turned = client.post(&["products", &product, "mqtt"], &body)?;
            desk.show(&turned, |turned| card(turned, CARD))
        }
        Product::Release { product, to } => {
            let body = json!({"on": to.on()});
            let turned = client.post(&["products", &product, "release"], &body)?;
            desk.show(&turned, |turned| card(turned, CARD))
        }
        Product::Topic(Topic::Create {
            product,
            suffix,
            right,
            description,
        }) => {
            let right = right.to_possible_value();
            let right = right.map(|value| value.get_name().to_owned());
            let body = json!({"suffix": suffix, "right": right, "description": description});
            let made = client.post(&["products", &product, "topics"], &body)?;
            desk.show(&made, |made| table(std::slice::from_ref(made), TOPICS))
        }
        Product::Topic(Topic::List { product }) => {
            let mut shown = client.get(&["products", &product], &[])?;
            desk.show(&shown["topics"].take(), |topics| {
                table(topics.as_array().map_or(&[], Vec::as_slice), TOPICS)
            })
        }
        Product::Topic(Topic::Delete { product, id }) => {
            client.delete(&["products", &product, "topics", &id.to_string()])?;
            desk.show(&json!({"deleted": id}), |_| format!("deleted {id}\n"))
        }
    }
}

/// Imports a document into the draft and publishes it.
fn import(
    client: &super::Client,
    product: &str,
    block: Option<&str>,
    document: &Value,
    publish: bool,
) -> Result<Value, Failure> {
    client.put_with(
        &["products", product, "model"],
        &block
            .map(|block| ("block", block.to_owned()))
            .into_iter()
            .collect::<Vec<_>>(),
        document,
    )?;
    if publish {
        client.post(&["products", product, "model", "publish"], &json!({}))
    } else {
        Ok(json!({"draft": true}))
    }
}

/// Reads a JSON document.
pub(super) fn document(path: &Path) -> Result<Value, Failure> {
    let shown = path.display();
    let read = fs::metadata(path).and_then(|about| {
        if about.len() > DOCUMENT {
            return Err(std::io::Error::other("it is longer than 2 MiB"));
        }
        fs::read(path)
    });
    let bytes = read.map_err(|error| {
        Failure::new(
            USAGE,
            format!("{shown}: {error}"),
            "name a JSON file that you may read",
        )
    })?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::new(
            REFUSED,
            format!("{shown} is not JSON: {error}"),
            "mend the file at that place",
        )
    })
}

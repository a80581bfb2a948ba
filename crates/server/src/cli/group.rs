//! `muster group …`: devices that belong together, of whatever products.

use super::{
    Desk, Failure, USAGE,
    ask::confirm,
    table::{card, table},
};
use clap::Subcommand;
use serde_json::{Map, Value, json};

/// Devices that one request names.
const AT_ONCE: usize = 200;

/// Commands about groups.
#[derive(Subcommand)]
pub(super) enum Group {
    /// Make a group.
    #[command(after_help = "\
Example:
  muster group create north_hall --description \"all that is up there\"")]
    Create {
        /// Its name: 4 to 30 letters, digits and underscores.
        name: String,
        /// What it is.
        #[arg(long, default_value = "")]
        description: String,
        /// Id of the group that it is to lie in.
        #[arg(long, value_name = "GROUP")]
        within: Option<String>,
    },
    /// List groups.
    List {
        /// Those that lie in this one.
        #[arg(long, value_name = "GROUP")]
        within: Option<String>,
        /// Those whose name has this in it.
        #[arg(long, default_value = "")]
        name: String,
    },
    /// Show a group and how many devices it has.
    Show {
        /// Its id.
        group: String,
    },
    /// Delete a group; its devices stay.
    Delete {
        /// Its id.
        group: String,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Give a group these tags in place of those that it has.
    Tag {
        /// Its id.
        group: String,
        /// Tags.
        #[arg(value_name = "NAME=VALUE")]
        tags: Vec<String>,
    },
    /// List the devices of a group.
    Devices {
        /// Its id.
        group: String,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        most: usize,
    },
    /// Add devices of a product to a group.
    #[command(after_help = "\
Example:
  muster group add GROUP PRODUCT_KEY kitchen cellar")]
    Add {
        /// Its id.
        group: String,
        /// Product key.
        product: String,
        /// Their names.
        #[arg(required = true)]
        devices: Vec<String>,
    },
    /// Remove devices of a product from a group.
    Remove {
        /// Its id.
        group: String,
        /// Product key.
        product: String,
        /// Their names.
        #[arg(required = true)]
        devices: Vec<String>,
    },
}

const CARD: &[(&str, &str)] = &[
    ("Group", "id"),
    ("Name", "name"),
    ("Description", "description"),
    ("Within", "within"),
    ("Tags", "tags"),
    ("Created", "created"),
    ("Devices", "devices"),
    ("Activated", "active"),
    ("Online", "online"),
];

pub(super) fn run(desk: &mut Desk, command: Group) -> Result<(), Failure> {
    let client = desk.client()?;
    match command {
        Group::Create {
            name,
            description,
            within,
        } => {
            let body = json!({"name": name, "description": description, "within": within});
            let made = client.post(&["groups"], &body)?;
            desk.show(&made, |made| card(made, CARD))
        }
        Group::List { within, name } => {
            let mut items: Vec<Value> = Vec::new();
            loop {
                let mut query = vec![
                    ("name", name.clone()),
                    ("skip", items.len().to_string()),
                    ("most", "200".to_owned()),
                ];
                query.extend(within.clone().map(|id| ("within", id)));
                let mut page = client.get(&["groups"], &query)?;
                let Value::Array(found) = page["items"].take() else {
                    break;
                };
                if found.is_empty() {
                    break;
                }
                items.extend(found);
            }
            let columns = [
                ("GROUP", "id"),
                ("NAME", "name"),
                ("WITHIN", "within"),
                ("TAGS", "tags"),
                ("DESCRIPTION", "description"),
            ];
            desk.show(&Value::Array(items.clone()), |_| table(&items, &columns))
        }
        Group::Show { group } => {
            let shown = client.get(&["groups", &group], &[])?;
            desk.show(&shown, |shown| card(shown, CARD))
        }
        Group::Delete { group, yes } => {
            confirm(desk, yes, &format!("Delete the group {group}?"))?;
            client.delete(&["groups", &group])?;
            desk.show(&json!({"deleted": group}), |_| format!("deleted {group}\n"))
        }
        Group::Tag { group, tags } => {
            let mut given = Map::new();
            for tag in tags {
                let Some((name, value)) = tag.split_once('=') else {
                    let what = format!("{tag:?} is no tag");
                    return Err(Failure::new(USAGE, what, "write NAME=VALUE"));
                };
                given.insert(name.to_owned(), value.into());
            }
            let shown = client.post(&["groups", &group], &json!({ "tags": given }))?;
            desk.show(&shown, |shown| card(shown, CARD))
        }
        Group::Devices { group, most } => {
            let (items, _) = client.all(&["groups", &group, "devices"], most)?;
            let columns = [
                ("PRODUCT", "product_key"),
                ("DEVICE", "device_name"),
                ("STATE", "state"),
                ("FIRMWARE", "firmware"),
            ];
            desk.show(&Value::Array(items.clone()), |_| table(&items, &columns))
        }
        Group::Add {
            group,
            product,
            devices,
        } => members(desk, &["groups", &group, "devices"], &product, &devices),
        Group::Remove {
            group,
            product,
            devices,
        } => {
            let path = ["groups", &group, "devices", "remove"];
            members(desk, &path, &product, &devices)
        }
    }
}

fn members(
    desk: &mut Desk,
    path: &[&str],
    product: &str,
    devices: &[String],
) -> Result<(), Failure> {
    let client = desk.client()?;
    let mut sums = [0_u64; 4];
    let names = ["moved", "already", "exceeding", "unknown"];
    for some in devices.chunks(AT_ONCE) {
        let listed: Vec<_> = some
            .iter()
            .map(|device| json!({"product": product, "device": device}))
            .collect();
        let told = client.post(path, &json!({ "devices": listed }))?;
        for (sum, name) in sums.iter_mut().zip(names) {
            *sum += told[name].as_u64().unwrap_or_default();
        }
    }
    let [moved, already, exceeding, unknown] = sums;
    let told = json!({
        "moved": moved, "already": already, "exceeding": exceeding, "unknown": unknown,
    });
    desk.show(&told, |told| {
        card(
            told,
            &[
                ("Moved", "moved"),
                ("Were in it", "already"),
                ("In too many groups", "exceeding"),
                ("Unknown", "unknown"),
            ],
        )
    })
}

//! `muster device topo …`: which sub-devices are bound to which gateways.

use super::{Desk, Failure, device::One, table::table};
use clap::Subcommand;
use serde_json::{Value, json};

#[derive(Subcommand)]
pub(super) enum Topo {
    /// List the sub-devices of a gateway.
    List {
        #[command(flatten)]
        gateway: One,
        /// At most so many.
        #[arg(long, default_value_t = 1_500)]
        most: usize,
    },
    /// Bind sub-devices to a gateway; one that is bound to another gateway moves.
    Add(Subs),
    /// Ask a gateway to bind sub-devices by itself, with their proofs.
    Ask(Subs),
    /// Show the gateway of a sub-device.
    Gateway(One),
    /// Unbind a sub-device from its gateway.
    Remove(One),
}

#[derive(clap::Args)]
pub(super) struct Subs {
    #[command(flatten)]
    gateway: One,
    /// Product key of the sub-devices.
    sub_product: String,
    /// Names of the sub-devices.
    #[arg(required = true)]
    subs: Vec<String>,
}

impl Subs {
    fn body(&self) -> Value {
        let name = |name| json!({"product_key": self.sub_product, "device_name": name});
        json!({ "devices": self.subs.iter().map(name).collect::<Vec<_>>() })
    }
}

pub(super) fn run(desk: &mut Desk, command: Topo) -> Result<(), Failure> {
    let client = desk.client()?;
    match command {
        Topo::List { gateway, most } => {
            let (items, total) = client.all(&gateway.path(&["topology"]), most)?;
            desk.show(&Value::Array(items.clone()), |_| {
                let columns = [
                    ("PRODUCT KEY", "product_key"),
                    ("DEVICE NAME", "device_name"),
                    ("BOUND SINCE", "since"),
                ];
                let more = if (items.len() as u64) < total {
                    format!("{} of {total}; --most shows more\n", items.len())
                } else {
                    String::new()
                };
                format!("{}{more}", table(&items, &columns))
            })
        }
        Topo::Add(subs) => {
            client.post(&subs.gateway.path(&["topology"]), &subs.body())?;
            let many = subs.subs.len();
            desk.show(&json!({ "bound": many }), |_| format!("bound {many}\n"))
        }
        Topo::Ask(subs) => {
            let path = subs.gateway.path(&["topology", "ask"]);
            let told = client.post(&path, &subs.body())?;
            desk.show(&told, |told| {
                format!("sent as command {}\n", told["command"])
            })
        }
        Topo::Gateway(sub) => {
            let told = client.get(&sub.path(&["gateway"]), &[])?;
            desk.show(&told, |told| match told["gateway"].as_object() {
                None => "it is bound to no gateway\n".into(),
                Some(_) => {
                    let columns = [
                        ("PRODUCT KEY", "product_key"),
                        ("DEVICE NAME", "device_name"),
                    ];
                    table(std::slice::from_ref(&told["gateway"]), &columns)
                }
            })
        }
        Topo::Remove(sub) => {
            client.delete(&sub.path(&["gateway"]))?;
            desk.show(&json!({ "unbound": sub.name }), |_| {
                format!("unbound {}\n", sub.name)
            })
        }
    }
}

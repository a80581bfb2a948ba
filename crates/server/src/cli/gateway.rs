//! `muster gateway …`: channels, places and mappings, and what gateways are told of them.

use super::{
    Client, Desk, Failure, REFUSED, USAGE,
    device::One,
    table::{card, table},
};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::{
    io::Read,
    path::{Path, PathBuf},
};

/// Longest file that is read, in bytes.
const FILE: u64 = 1024 * 1024;

#[derive(Subcommand)]
pub(super) enum Gateway {
    /// Lines over which a gateway reaches sub-devices.
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Where a gateway's sub-devices are.
    #[command(subcommand)]
    Place(PlaceCommand),
    /// Show or say where the functions of a product of sub-devices lie in their protocol.
    #[command(after_help = "\
Example of a file:
  {\"protocol\": \"modbus\", \"properties\": [
    {\"identifier\": \"temperature\", \"table\": \"holding-register\", \"address\": 3,
     \"data\": \"int16\", \"every\": 1000, \"report\": \"changes\"}]}")]
    Mapping {
        /// Product key of the sub-devices.
        product: String,
        /// Say what is in this file.
        #[arg(long, value_name = "FILE", conflicts_with = "clear")]
        document: Option<PathBuf>,
        /// Say nothing any more.
        #[arg(long)]
        clear: bool,
    },
    /// Tell a gateway all of it, now or when it is there.
    Push(One),
    /// Show what a gateway was told last, and what it answered.
    Pushed(One),
}

#[derive(Subcommand)]
pub(super) enum ChannelCommand {
    /// List the channels of a gateway.
    List(One),
    /// Give a gateway another channel.
    #[command(after_help = "\
Examples:
  muster gateway channel add PRODUCT_KEY gate press --modbus-tcp 192.168.0.1:502
  muster gateway channel add PRODUCT_KEY gate meter --modbus-rtu /dev/ttyS0 --baud 9600 --parity even
  muster gateway channel add PRODUCT_KEY gate oven --opc-ua opc.tcp://192.168.0.2:4840 \\
      --user reader --password-file password.txt")]
    Add(Line),
    /// Change a channel.
    Set {
        /// Id of the channel.
        #[arg(long)]
        id: String,
        #[command(flatten)]
        line: Line,
    },
    /// Remove a channel on which no sub-device is.
    Remove {
        #[command(flatten)]
        gateway: One,
        /// Id of the channel.
        id: String,
    },
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("line").required(true).multiple(false))]
pub(super) struct Line {
    #[command(flatten)]
    gateway: One,
    /// For people.
    channel: String,
    /// Modbus over TCP, to this address and port.
    #[arg(long, value_name = "ADDRESS:PORT", group = "line")]
    modbus_tcp: Option<String>,
    /// Modbus over this serial line of the gateway.
    #[arg(long, value_name = "LINE", group = "line")]
    modbus_rtu: Option<String>,
    /// An OPC UA server.
    #[arg(long, value_name = "URL", group = "line")]
    opc_ua: Option<String>,
    /// Bits a second of a serial line.
    #[arg(long, default_value_t = 9_600)]
    baud: u32,
    /// Data bits of a serial line.
    #[arg(long, default_value_t = 8)]
    data_bits: u8,
    /// Stop bits of a serial line.
    #[arg(long, default_value_t = 1)]
    stop_bits: u8,
    /// Parity of a serial line.
    #[arg(long, value_parser = ["none", "odd", "even"], default_value = "none")]
    parity: String,
    /// User at an OPC UA server; anonymous when it is left out.
    #[arg(long, default_value = "")]
    user: String,
    /// The user's password in the first line of this file, or of the input for `-`; left out at a
    /// change, the one of before stays.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// How messages to an OPC UA server are protected.
    #[arg(long, value_parser = ["none", "sign", "sign-and-encrypt"], default_value = "none")]
    mode: String,
    /// With what they are protected.
    #[arg(long, value_parser = ["none", "basic128-rsa15", "basic256"], default_value = "none")]
    policy: String,
    /// Seconds that an OPC UA server has to answer.
    #[arg(long, default_value_t = 10)]
    timeout: u32,
}

#[derive(Subcommand)]
pub(super) enum PlaceCommand {
    /// List where a gateway's sub-devices are.
    List(One),
    /// Say where a sub-device is.
    #[command(after_help = "\
Examples:
  muster gateway place set PRODUCT_KEY gate SUB_PRODUCT_KEY press1 --channel ID --slave 7
  muster gateway place set PRODUCT_KEY gate SUB_PRODUCT_KEY oven1 --channel ID --path Ovens/Oven1
  muster gateway place set PRODUCT_KEY gate SUB_PRODUCT_KEY tag1 --settings '{\"bus\": 2}'")]
    Set(Spot),
    /// Say nothing any more of where a sub-device is.
    Clear {
        #[command(flatten)]
        gateway: One,
        /// Product key of the sub-device.
        sub_product: String,
        /// Name of the sub-device.
        sub: String,
    },
}

#[derive(Args)]
#[command(group = clap::ArgGroup::new("spot").required(true).multiple(false))]
pub(super) struct Spot {
    #[command(flatten)]
    gateway: One,
    /// Product key of the sub-device.
    sub_product: String,
    /// Name of the sub-device.
    sub: String,
    /// Id of its channel.
    #[arg(
        long,
        required_unless_present = "settings",
        conflicts_with = "settings"
    )]
    channel: Option<String>,
    /// Its address on a Modbus channel.
    #[arg(long, group = "spot")]
    slave: Option<u8>,
    /// Display names that lead to it in an OPC UA server, with `/` between them.
    #[arg(long, group = "spot")]
    path: Option<String>,
    /// What the gateway's own program wants to know, as a JSON object.
    #[arg(long, group = "spot")]
    settings: Option<String>,
}

const PUSHED: &[(&str, &str)] = &[
    ("State", "state"),
    ("Command", "command"),
    ("Told", "at"),
    ("Bytes", "size"),
    ("SHA-256", "sha256"),
    ("Code", "code"),
    ("Message", "message"),
    ("Answered", "answered"),
];

pub(super) fn run(desk: &mut Desk, command: Gateway) -> Result<(), Failure> {
    let client = desk.client()?;
    match command {
        Gateway::Channel(command) => channel(desk, &client, command),
        Gateway::Place(command) => place(desk, &client, command),
        Gateway::Mapping {
            product,
            document,
            clear,
        } => {
            let path = ["products", product.as_str(), "mapping"];
            if let Some(file) = document {
                client.put(&path, &parsed(&read(&file)?)?)?;
            }
            if clear {
                client.delete(&path)?;
            }
            let told = client.get(&path, &[])?;
            desk.show(&told, |told| format!("{:#}\n", told["mapping"]))
        }
        Gateway::Push(one) => {
            let told = client.post(&one.path(&["wiring"]), &json!({}))?;
            desk.show(&told, |told| card(told, PUSHED))
        }
        Gateway::Pushed(one) => {
            let told = client.get(&one.path(&["wiring"]), &[])?;
            desk.show(&told, |told| match told["push"].is_null() {
                true => "it was told nothing yet\n".into(),
                false => card(&told["push"], PUSHED),
            })
        }
    }
}

fn channel(desk: &mut Desk, client: &Client, command: ChannelCommand) -> Result<(), Failure> {
    let columns = [
        ("ID", "id"),
        ("NAME", "name"),
        ("PROTOCOL", "link.protocol"),
        ("LINE", "link.serial_port"),
        ("ADDRESS", "link.address"),
        ("PORT", "link.port"),
        ("URL", "link.url"),
        ("CHANGED", "changed"),
    ];
    match command {
        ChannelCommand::List(one) => {
            let mut told = client.get(&one.path(&["channels"]), &[])?;
            desk.show(&told["items"].take(), |items| {
                table(items.as_array().map_or(&[], Vec::as_slice), &columns)
            })
        }
        ChannelCommand::Add(line) => {
            let told = client.post(&line.gateway.path(&["channels"]), &line.body()?)?;
            desk.show(&told, |told| table(std::slice::from_ref(told), &columns))
        }
        ChannelCommand::Set { id, line } => {
            let path = line.gateway.path(&["channels", &id]);
            let told = client.put(&path, &line.body()?)?;
            desk.show(&told, |told| table(std::slice::from_ref(told), &columns))
        }
        ChannelCommand::Remove { gateway, id } => {
            client.delete(&gateway.path(&["channels", &id]))?;
            desk.show(&json!({ "removed": id }), |_| format!("removed {id}\n"))
        }
    }
}

fn place(desk: &mut Desk, client: &Client, command: PlaceCommand) -> Result<(), Failure> {
    match command {
        PlaceCommand::List(one) => {
            let mut told = client.get(&one.path(&["places"]), &[])?;
            desk.show(&told["items"].take(), |items| {
                let columns = [
                    ("PRODUCT KEY", "product_key"),
                    ("DEVICE NAME", "device_name"),
                    ("PROTOCOL", "place.protocol"),
                    ("CHANNEL", "place.channel"),
                    ("SLAVE", "place.slave"),
                    ("PATH", "place.path"),
                    ("SETTINGS", "place.settings"),
                ];
                table(items.as_array().map_or(&[], Vec::as_slice), &columns)
            })
        }
        PlaceCommand::Set(spot) => {
            let place = match (&spot.slave, &spot.path, &spot.settings) {
                (Some(slave), _, _) => {
                    json!({"protocol": "modbus", "channel": spot.channel, "slave": slave})
                }
                (None, Some(path), _) => {
                    json!({"protocol": "opc-ua", "channel": spot.channel, "path": path})
                }
                (None, None, settings) => {
                    let settings = parsed(settings.as_deref().unwrap_or("{}"))?;
                    json!({"protocol": "custom", "settings": settings})
                }
            };
            put_place(
                desk,
                client,
                &spot.gateway,
                [&spot.sub_product, &spot.sub],
                &place,
            )
        }
        PlaceCommand::Clear {
            gateway,
            sub_product,
            sub,
        } => put_place(desk, client, &gateway, [&sub_product, &sub], &Value::Null),
    }
}

fn put_place(
    desk: &mut Desk,
    client: &Client,
    gateway: &One,
    [sub_product, sub]: [&str; 2],
    place: &Value,
) -> Result<(), Failure> {
    let body = json!({"product_key": sub_product, "device_name": sub, "place": place});
    client.put(&gateway.path(&["places"]), &body)?;
    desk.show(&body, |_| {
        "done; `muster gateway push` tells the gateway\n".into()
    })
}

impl Line {
    fn body(&self) -> Result<Value, Failure> {
        let link = if let Some(address) = &self.modbus_tcp {
            let (address, port) = split(address)?;
            json!({"protocol": "modbus-tcp", "address": address, "port": port})
        } else if let Some(port) = &self.modbus_rtu {
            json!({
                "protocol": "modbus-rtu", "serial_port": port, "baud_rate": self.baud,
                "byte_size": self.data_bits, "stop_bits": self.stop_bits, "parity": self.parity,
            })
        } else {
            json!({
                "protocol": "opc-ua", "url": self.opc_ua, "user": self.user,
                "mode": self.mode, "policy": self.policy, "timeout": self.timeout,
            })
        };
        let mut body = json!({ "name": self.channel, "link": link });
        if let Some(file) = &self.password_file {
            let text = read(file)?;
            body["password"] = text.lines().next().unwrap_or_default().into();
        }
        Ok(body)
    }
}

/// An address, in brackets when it has colons, and a port.
fn split(text: &str) -> Result<(&str, u16), Failure> {
    let wrong = || {
        Failure::new(
            USAGE,
            format!("{text:?} is no address with a port"),
            "write it like 192.168.0.1:502",
        )
    };
    let (address, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    let port = port.parse().map_err(|_| wrong())?;
    let bare = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    Ok((bare.unwrap_or(address), port))
}

fn parsed(text: &str) -> Result<Value, Failure> {
    serde_json::from_str(text).map_err(|error| {
        Failure::new(
            USAGE,
            format!("this is no JSON: {error}"),
            "`--help` shows an example",
        )
    })
}

fn read(path: &Path) -> Result<String, Failure> {
    let trouble = |why: String| {
        let what = format!("{}: {why}", path.display());
        Failure::new(REFUSED, what, "give a text file of at most 1 MiB")
    };
    let file: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(path).map_err(|e| trouble(e.to_string()))?),
    };
    let mut text = String::new();
    let read = file.take(FILE + 1).read_to_string(&mut text);
    read.map_err(|error| trouble(error.to_string()))?;
    match text.len() as u64 > FILE {
        true => Err(trouble("it is too long".into())),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_ports() {
        for (text, expected) in [
            ("192.0.2.1:502", Some(("192.0.2.1", 502))),
            ("plc.example:1502", Some(("plc.example", 1502))),
            ("[2001:db8::1]:502", Some(("2001:db8::1", 502))),
            ("192.0.2.1", None),
            ("a:99999", None),
        ] {
            assert_eq!(split(text).ok(), expected, "{text}");
        }
    }
}

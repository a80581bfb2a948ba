//! Wiring: how a gateway reaches its sub-devices on their own buses (seed 001 §6.7).
//!
//! A gateway has channels; a sub-device has a place on one of them; and a product says where in its
//! protocol its functions lie.

use crate::id::Time;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Characters of a name, an address or a path at most.
pub const TEXT: usize = 256;
/// Functions of a product that are mapped, at most.
pub const FUNCTIONS: usize = 1_000;
/// Parameters of one function, at most.
pub const PARAMETERS: usize = 100;
/// Bytes of what is passed on as it is, as JSON, at most.
pub const SETTINGS: usize = 4 * 1024;

/// A line over which a gateway reaches sub-devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Made by the server: 32 hexadecimal digits.
    pub id: String,
    /// For people, and for the gateway's log.
    pub name: String,
    /// What the line is.
    pub link: Link,
    /// When it was last changed.
    pub changed: Time,
}

/// What a line is. Passwords are kept apart, as secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "protocol", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Link {
    /// Modbus over a serial line.
    ModbusRtu {
        /// Its name on the gateway.
        serial_port: String,
        /// Bits a second.
        baud_rate: u32,
        /// Data bits, 5 to 8.
        #[serde(default = "eight")]
        byte_size: u8,
        /// 1 or 2.
        #[serde(default = "one")]
        stop_bits: u8,
        /// The parity bit.
        #[serde(default)]
        parity: Parity,
    },
    /// Modbus over TCP.
    ModbusTcp {
        /// IP address or host name.
        address: String,
        /// Usually 502.
        port: u16,
    },
    /// A session with an OPC UA server.
    OpcUa {
        /// `opc.tcp://…`
        url: String,
        /// Empty for an anonymous session.
        #[serde(default)]
        user: String,
        /// How messages are protected.
        #[serde(default)]
        mode: SecurityMode,
        /// With what they are protected; left out where they are not.
        #[serde(default)]
        policy: SecurityPolicy,
        /// Seconds.
        #[serde(default = "ten")]
        timeout: u32,
    },
}

fn one() -> u8 {
    1
}

fn eight() -> u8 {
    8
}

fn ten() -> u32 {
    10
}

/// A parity bit of a serial line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parity {
    /// There is none.
    #[default]
    None,
    /// Makes the number of ones odd.
    Odd,
    /// Makes it even.
    Even,
}

/// How OPC UA messages are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecurityMode {
    /// Not at all.
    #[default]
    None,
    /// Signed.
    Sign,
    /// Signed and encrypted.
    SignAndEncrypt,
}

/// With what OPC UA messages are protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecurityPolicy {
    /// With nothing.
    #[default]
    None,
    /// `Basic128Rsa15` of OPC UA part 7.
    Basic128Rsa15,
    /// `Basic256` of OPC UA part 7.
    Basic256,
}

/// Where a sub-device is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "protocol", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Place {
    /// On a Modbus channel.
    Modbus {
        /// Id of the channel.
        channel: String,
        /// Its address on the line, 1 to 247.
        slave: u8,
    },
    /// In an OPC UA server.
    OpcUa {
        /// Id of the channel.
        channel: String,
        /// Display names from the objects folder to its node, with `/` between them.
        path: String,
    },
    /// Where the gateway's own program finds it.
    Custom {
        /// What that program wants to know.
        settings: Map<String, Value>,
    },
}

impl Place {
    /// The channel that it is on.
    pub fn channel(&self) -> Option<&str> {
        match self {
            Self::Modbus { channel, .. } | Self::OpcUa { channel, .. } => Some(channel),
            Self::Custom { .. } => None,
        }
    }
}

/// Where the functions of a product's thing model lie in the protocol of its devices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "protocol", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Mapping {
    /// Properties in registers.
    Modbus {
        /// Each property once.
        properties: Vec<Register>,
    },
    /// Functions under nodes.
    OpcUa {
        /// Properties under variables.
        #[serde(default)]
        properties: Vec<Node>,
        /// Services under methods.
        #[serde(default)]
        services: Vec<Method>,
        /// Events under events.
        #[serde(default)]
        events: Vec<NodeEvent>,
    },
    /// What the gateway's own program wants to know.
    Custom {
        /// Each property once.
        properties: Vec<Extension>,
    },
}

/// A property in Modbus registers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Register {
    /// The property.
    pub identifier: String,
    /// Which of the four tables.
    pub table: RegisterTable,
    /// From 0.
    pub address: u16,
    /// What the registers hold.
    pub data: RawType,
    /// Registers, or bits in the tables of bits.
    #[serde(default = "one_register")]
    pub count: u16,
    /// Whether the two bytes of each register are the other way round.
    #[serde(default)]
    pub swap_bytes: bool,
    /// Whether the registers of a value are the other way round.
    #[serde(default)]
    pub swap_registers: bool,
    /// What a raw value is multiplied with; not 0.
    #[serde(default = "unscaled")]
    pub scaling: i32,
    /// Milliseconds between readings.
    pub every: u32,
    /// When a reading is posted.
    #[serde(default)]
    pub report: Report,
}

fn one_register() -> u16 {
    1
}

fn unscaled() -> i32 {
    1
}

/// The four tables of Modbus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegisterTable {
    /// Bits, read and written.
    Coil,
    /// Bits, read only.
    DiscreteInput,
    /// Registers, read and written.
    HoldingRegister,
    /// Registers, read only.
    InputRegister,
}

/// What registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawType {
    /// A bit.
    Bool,
    /// Signed, one register.
    Int16,
    /// Unsigned, one register.
    Uint16,
    /// Signed, two registers.
    Int32,
    /// Unsigned, two registers.
    Uint32,
    /// Signed, four registers.
    Int64,
    /// Unsigned, four registers.
    Uint64,
    /// IEEE 754, two registers.
    Float,
    /// IEEE 754, four registers.
    Double,
    /// A text.
    String,
    /// What the gateway's own program makes of it.
    Custom,
}

/// When a reading is posted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// Every one.
    #[default]
    Always,
    /// One that differs from the one before.
    Changes,
}

/// A property under a variable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// The property.
    pub identifier: String,
    /// Display name of the variable.
    pub name: String,
}

/// A service under a method.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Method {
    /// The service.
    pub identifier: String,
    /// Display name of the method.
    pub name: String,
    /// Its arguments.
    #[serde(default)]
    pub input: Vec<Parameter>,
    /// Its results.
    #[serde(default)]
    pub output: Vec<Parameter>,
}

/// An event under an event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEvent {
    /// The event.
    pub identifier: String,
    /// Its display name.
    pub name: String,
    /// Its fields.
    #[serde(default)]
    pub output: Vec<Parameter>,
}

/// A parameter by its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The parameter.
    pub identifier: String,
    /// Its place, from 0.
    pub index: u32,
}

/// What a gateway's own program wants to know of a property.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Extension {
    /// The property.
    pub identifier: String,
    /// What it wants to know.
    pub settings: Map<String, Value>,
}

impl Link {
    /// What is wrong with it.
    ///
    /// # Errors
    /// In words for people.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::ModbusRtu {
                serial_port,
                baud_rate,
                byte_size,
                stop_bits,
                parity: _,
            } => {
                text("serial_port", serial_port)?;
                within("baud_rate", *baud_rate, 50, 4_000_000)?;
                within("byte_size", u32::from(*byte_size), 5, 8)?;
                within("stop_bits", u32::from(*stop_bits), 1, 2)
            }
            Self::ModbusTcp { address, port } => {
                text("address", address)?;
                within("port", u32::from(*port), 1, 65_535)
            }
            Self::OpcUa {
                url,
                user,
                mode,
                policy,
                timeout,
            } => {
                text("url", url)?;
                if !user.is_empty() {
                    text("user", user)?;
                }
                if (*mode == SecurityMode::None) != (*policy == SecurityPolicy::None) {
                    return Err("mode and policy have to be both none, or neither".into());
                }
                within("timeout", *timeout, 1, 3_600)
            }
        }
    }
}

impl Place {
    /// What is wrong with it.
    ///
    /// # Errors
    /// In words for people.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Modbus { slave, .. } => within("slave", u32::from(*slave), 1, 247),
            Self::OpcUa { path, .. } => text("path", path),
            Self::Custom { settings: given } => settings(given),
        }
    }

    /// Whether it may be on a channel of that kind.
    pub fn fits(&self, link: &Link) -> bool {
        match (self, link) {
            (Self::Modbus { .. }, Link::ModbusRtu { .. } | Link::ModbusTcp { .. })
            | (Self::OpcUa { .. }, Link::OpcUa { .. })
            | (Self::Custom { .. }, _) => true,
            (Self::Modbus { .. }, Link::OpcUa { .. })
            | (Self::OpcUa { .. }, Link::ModbusRtu { .. } | Link::ModbusTcp { .. }) => false,
        }
    }
}

impl Mapping {
    /// What is wrong with it.
    ///
    /// # Errors
    /// In words for people.
    pub fn check(&self) -> Result<(), String> {
        match self {
            Self::Modbus { properties } => {
                once(properties.iter().map(|register| &register.identifier))?;
                properties.iter().try_for_each(Register::check)
            }
            Self::OpcUa {
                properties,
                services,
                events,
            } => {
                let nodes = properties.iter().map(|node| (&node.identifier, &node.name));
                let methods = services.iter().map(|call| (&call.identifier, &call.name));
                let told = events.iter().map(|event| (&event.identifier, &event.name));
                once(nodes.clone().map(|(identifier, _)| identifier))?;
                once(methods.clone().map(|(identifier, _)| identifier))?;
                once(told.clone().map(|(identifier, _)| identifier))?;
                for (identifier, name) in nodes.chain(methods).chain(told) {
                    text(&format!("the name of {identifier}"), name)?;
                }
                let lists = services.iter().flat_map(|call| [&call.input, &call.output]);
                for list in lists.chain(events.iter().map(|event| &event.output)) {
                    few(list.len(), PARAMETERS)?;
                    once(list.iter().map(|parameter| &parameter.identifier))?;
                }
                Ok(())
            }
            Self::Custom { properties } => {
                once(properties.iter().map(|property| &property.identifier))?;
                properties
                    .iter()
                    .try_for_each(|property| settings(&property.settings))
            }
        }
    }
}

impl Register {
    fn check(&self) -> Result<(), String> {
        let what = |field: &str| format!("{field} of {}", self.identifier);
        within(&what("count"), u32::from(self.count), 1, 2_000)?;
        let end = u32::from(self.address) + u32::from(self.count);
        if end > 65_536 {
            return Err(format!("{} ends behind 65535", what("the address")));
        }
        within(&what("every"), self.every, 10, 86_400_000)?;
        match self.scaling {
            0 => Err(format!("{} cannot be 0", what("scaling"))),
            _ => Ok(()),
        }
    }
}

fn text(field: &str, value: &str) -> Result<(), String> {
    let long = value.chars().count() > TEXT;
    match value.trim().is_empty() || long || value.chars().any(char::is_control) {
        true => Err(format!(
            "{field}: 1 to {TEXT} characters without control characters are wanted"
        )),
        false => Ok(()),
    }
}

fn within(field: &str, value: u32, least: u32, most: u32) -> Result<(), String> {
    match (least..=most).contains(&value) {
        true => Ok(()),
        false => Err(format!("{field}: {least} to {most} is wanted, not {value}")),
    }
}

fn few(many: usize, most: usize) -> Result<(), String> {
    match many <= most {
        true => Ok(()),
        false => Err(format!("at most {most} are possible, not {many}")),
    }
}

fn settings(settings: &Map<String, Value>) -> Result<(), String> {
    let size = serde_json::to_vec(settings).map_or(usize::MAX, |text| text.len());
    match size <= SETTINGS {
        true => Ok(()),
        false => Err(format!("settings have at most {SETTINGS} bytes")),
    }
}

fn once<'a>(identifiers: impl ExactSizeIterator<Item = &'a String>) -> Result<(), String> {
    few(identifiers.len(), FUNCTIONS)?;
    let mut seen = std::collections::BTreeSet::new();
    for identifier in identifiers {
        text("identifier", identifier)?;
        if !seen.insert(identifier) {
            return Err(format!("{identifier} is there twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn link(value: Value) -> Result<Link, String> {
        let link: Link = serde_json::from_value(value).map_err(|error| error.to_string())?;
        link.check().map(|()| link)
    }

    /// [AL-6.9] Channels of the three kinds, and what they cannot be.
    #[test]
    fn channels_are_what_the_document_lists() {
        for good in [
            json!({"protocol": "modbus-rtu", "serial_port": "/dev/ttyS0", "baud_rate": 9600}),
            json!({"protocol": "modbus-tcp", "address": "192.0.2.1", "port": 502}),
            json!({"protocol": "opc-ua", "url": "opc.tcp://192.0.2.1:4840", "user": "u",
                "mode": "sign-and-encrypt", "policy": "basic256", "timeout": 3}),
        ] {
            assert!(link(good.clone()).is_ok(), "{good}");
        }
        for bad in [
            json!({"protocol": "modbus-rtu", "serial_port": "", "baud_rate": 9600}),
            json!({"protocol": "modbus-rtu", "serial_port": "0", "baud_rate": 0}),
            json!({"protocol": "modbus-rtu", "serial_port": "0", "baud_rate": 9600, "stop_bits": 3}),
            json!({"protocol": "modbus-rtu", "serial_port": "0", "baud_rate": 9600, "byte_size": 9}),
            json!({"protocol": "modbus-rtu", "serial_port": "0", "baud_rate": 9600, "parity": "E"}),
            json!({"protocol": "modbus-tcp", "address": "192.0.2.1", "port": 0}),
            json!({"protocol": "modbus-tcp", "address": "a\nb", "port": 1}),
            json!({"protocol": "modbus-tcp", "address": "a".repeat(257), "port": 1}),
            json!({"protocol": "modbus-tcp", "address": "a", "port": 1, "more": 1}),
            json!({"protocol": "opc-ua", "url": "opc.tcp://a", "mode": "sign"}),
            json!({"protocol": "opc-ua", "url": "opc.tcp://a", "policy": "basic256"}),
            json!({"protocol": "opc-ua", "url": "opc.tcp://a", "timeout": 0}),
            json!({"protocol": "can"}),
            json!({}),
        ] {
            assert!(link(bad.clone()).is_err(), "{bad}");
        }
    }

    /// [AL-6.9] Places and mappings, and what they cannot be.
    #[test]
    fn places_and_mappings_are_bounded() {
        let place = |value: Value| -> Result<(), String> {
            let place: Place = serde_json::from_value(value).map_err(|error| error.to_string())?;
            place.check()
        };
        assert!(place(json!({"protocol": "modbus", "channel": "A", "slave": 247})).is_ok());
        assert!(place(json!({"protocol": "modbus", "channel": "A", "slave": 0})).is_err());
        assert!(place(json!({"protocol": "opc-ua", "channel": "A", "path": ""})).is_err());
        let long = json!({"protocol": "custom", "settings": {"a": "b".repeat(SETTINGS)}});
        assert!(place(long).is_err());

        let mapping = |value: Value| -> Result<(), String> {
            let mapping: Mapping =
                serde_json::from_value(value).map_err(|error| error.to_string())?;
            mapping.check()
        };
        let register = json!({"identifier": "t", "table": "holding-register", "address": 65535,
            "data": "int16", "every": 1000});
        let with = |field: &str, value: Value| {
            let mut changed = register.clone();
            changed[field] = value;
            json!({"protocol": "modbus", "properties": [changed]})
        };
        assert!(mapping(json!({"protocol": "modbus", "properties": [register]})).is_ok());
        assert!(
            mapping(json!({"protocol": "modbus", "properties": [register, register]})).is_err()
        );
        for (field, value) in [
            ("count", json!(2)),
            ("count", json!(0)),
            ("every", json!(1)),
            ("scaling", json!(0)),
            ("table", json!("file")),
            ("data", json!("int8")),
            ("identifier", json!("")),
        ] {
            assert!(mapping(with(field, value)).is_err(), "{field}");
        }
        let parameter = json!({"identifier": "a", "index": 0});
        let opc = |input: Value| {
            json!({"protocol": "opc-ua", "services": [
                {"identifier": "s", "name": "n", "input": input}]})
        };
        assert!(mapping(opc(json!([parameter]))).is_ok());
        assert!(mapping(opc(json!([parameter, parameter]))).is_err());
        let many: Vec<Value> = (0..=PARAMETERS)
            .map(|n| json!({"identifier": n.to_string(), "index": n}))
            .collect();
        assert!(mapping(opc(json!(many))).is_err());
        assert!(mapping(json!({"protocol": "opc-ua"})).is_ok());
    }
}

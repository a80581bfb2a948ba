//! The file that tells a gateway how to reach its sub-devices (seed 001 §6.7): fields and their
//! order are those of the document's example.

use credential::alink::password::conceal;
use hub::wiring::{Placed, WiredProduct, Wiring};
use model::{
    id::{DeviceName, ProductKey},
    wiring::{
        Channel, Extension, Link, Mapping, Method, Node, NodeEvent, Parameter, Parity, Place,
        RawType, Register, RegisterTable, Report, SecurityMode, SecurityPolicy,
    },
};
use serde::Serialize;
use serde_json::{Map, Value};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    model_list: Vec<Model<'a>>,
    server_list: Vec<Server<'a>>,
    device_list: Vec<Device<'a>>,
    tsl_list: Vec<&'a Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Profile<'a> {
    product_key: &'a ProductKey,
}

#[derive(Serialize)]
struct Model<'a> {
    profile: Profile<'a>,
    #[serde(flatten)]
    functions: Functions<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Functions<'a> {
    Modbus {
        properties: Vec<ModbusProperty<'a>>,
    },
    OpcUa {
        services: Vec<OpcService<'a>>,
        properties: Vec<OpcProperty<'a>>,
        events: Vec<OpcEvent<'a>>,
    },
    Custom {
        properties: Vec<CustomProperty<'a>>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModbusProperty<'a> {
    original_data_type: RawData,
    identifier: &'a str,
    register_address: String,
    scaling: i32,
    operate_type: &'static str,
    polling_time: u32,
    trigger: u8,
}

#[derive(Serialize)]
struct RawData {
    specs: RawSpecs,
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RawSpecs {
    register_count: u16,
    reverse_register: u8,
    swap16: u8,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpcService<'a> {
    output_data: OpcData<'a>,
    identifier: &'a str,
    input_data: Vec<OpcParameter<'a>>,
    display_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpcProperty<'a> {
    identifier: &'a str,
    display_name: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OpcEvent<'a> {
    output_data: Vec<OpcParameter<'a>>,
    identifier: &'a str,
    display_name: &'a str,
}

/// A service without results has an empty text there.
#[derive(Serialize)]
#[serde(untagged)]
enum OpcData<'a> {
    None(&'static str),
    Some(Vec<OpcParameter<'a>>),
}

#[derive(Serialize)]
struct OpcParameter<'a> {
    identifier: &'a str,
    index: u32,
}

#[derive(Serialize)]
struct CustomProperty<'a> {
    identifier: &'a str,
    customize: &'a Map<String, Value>,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum Server<'a> {
    Rtu {
        baud_rate: u32,
        protocol: &'static str,
        byte_size: u8,
        stop_bits: u8,
        parity: u8,
        name: &'a str,
        serial_port: &'a str,
        server_id: &'a str,
    },
    Tcp {
        protocol: &'static str,
        port: u16,
        ip: &'a str,
        name: &'a str,
        server_id: &'a str,
    },
    OpcUa {
        #[serde(skip_serializing_if = "Option::is_none")]
        password: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        sec_policy: Option<&'static str>,
        name: &'a str,
        sec_mode: &'static str,
        #[serde(skip_serializing_if = "str::is_empty")]
        user_name: &'a str,
        server_id: &'a str,
        url: &'a str,
        timeout: u32,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Device<'a> {
    device_config: DeviceConfig<'a>,
    product_key: &'a ProductKey,
    device_name: &'a DeviceName,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum DeviceConfig<'a> {
    Modbus {
        slave_id: u8,
        server_id: &'a str,
    },
    OpcUa {
        display_name_path: &'a str,
        server_id: &'a str,
    },
    Custom {
        customize: &'a Map<String, Value>,
    },
}

/// Writes the file.
///
/// # Errors
/// When the gateway's secret is no key for the passwords, in words for people.
pub fn write(wiring: &Wiring) -> Result<Vec<u8>, String> {
    let mut server_list = Vec::with_capacity(wiring.channels.len());
    for (channel, password) in &wiring.channels {
        let password = password.as_ref().map(|password| {
            conceal(&wiring.secret, password).map_err(|_| {
                "the gateway's secret is no key of AES, which has 16, 24 or 32 bytes, so that \
                 no password can be sent"
                    .to_owned()
            })
        });
        server_list.push(server(channel, password.transpose()?));
    }
    let file = File {
        model_list: wiring.products.iter().filter_map(model).collect(),
        server_list,
        device_list: wiring.places.iter().map(device).collect(),
        tsl_list: wiring
            .products
            .iter()
            .filter_map(|product| product.tsl.as_ref())
            .collect(),
    };
    serde_json::to_vec(&file).map_err(|error| error.to_string())
}

fn model(product: &WiredProduct) -> Option<Model<'_>> {
    let functions = match product.mapping.as_ref()? {
        Mapping::Modbus { properties } => Functions::Modbus {
            properties: properties.iter().map(modbus_property).collect(),
        },
        Mapping::OpcUa {
            properties,
            services,
            events,
        } => Functions::OpcUa {
            services: services.iter().map(opc_service).collect(),
            properties: properties.iter().map(opc_property).collect(),
            events: events.iter().map(opc_event).collect(),
        },
        Mapping::Custom { properties } => Functions::Custom {
            properties: properties.iter().map(custom_property).collect(),
        },
    };
    let profile = Profile {
        product_key: &product.key,
    };
    Some(Model { profile, functions })
}

fn modbus_property(register: &Register) -> ModbusProperty<'_> {
    ModbusProperty {
        original_data_type: RawData {
            specs: RawSpecs {
                register_count: register.count,
                reverse_register: u8::from(register.swap_registers),
                swap16: u8::from(register.swap_bytes),
            },
            kind: match register.data {
                RawType::Bool => "bool",
                RawType::Int16 => "int16",
                RawType::Uint16 => "uint16",
                RawType::Int32 => "int32",
                RawType::Uint32 => "uint32",
                RawType::Int64 => "int64",
                RawType::Uint64 => "uint64",
                RawType::Float => "float",
                RawType::Double => "double",
                RawType::String => "string",
                RawType::Custom => "customized data",
            },
        },
        identifier: &register.identifier,
        register_address: format!("0x{:02x}", register.address),
        scaling: register.scaling,
        operate_type: match register.table {
            RegisterTable::Coil => "coilStatus",
            RegisterTable::DiscreteInput => "inputStatus",
            RegisterTable::HoldingRegister => "holdingRegister",
            RegisterTable::InputRegister => "inputRegister",
        },
        polling_time: register.every,
        trigger: match register.report {
            Report::Always => 1,
            Report::Changes => 2,
        },
    }
}

fn opc_service(method: &Method) -> OpcService<'_> {
    OpcService {
        output_data: match method.output.as_slice() {
            [] => OpcData::None(""),
            output => OpcData::Some(parameters(output)),
        },
        identifier: &method.identifier,
        input_data: parameters(&method.input),
        display_name: &method.name,
    }
}

fn opc_property(node: &Node) -> OpcProperty<'_> {
    OpcProperty {
        identifier: &node.identifier,
        display_name: &node.name,
    }
}

fn opc_event(event: &NodeEvent) -> OpcEvent<'_> {
    OpcEvent {
        output_data: parameters(&event.output),
        identifier: &event.identifier,
        display_name: &event.name,
    }
}

fn parameters(list: &[Parameter]) -> Vec<OpcParameter<'_>> {
    let parameters = list.iter().map(|parameter| OpcParameter {
        identifier: &parameter.identifier,
        index: parameter.index,
    });
    parameters.collect()
}

fn custom_property(property: &Extension) -> CustomProperty<'_> {
    CustomProperty {
        identifier: &property.identifier,
        customize: &property.settings,
    }
}

fn server(channel: &Channel, password: Option<String>) -> Server<'_> {
    let (name, server_id) = (channel.name.as_str(), channel.id.as_str());
    match &channel.link {
        Link::ModbusRtu {
            serial_port,
            baud_rate,
            byte_size,
            stop_bits,
            parity,
        } => Server::Rtu {
            baud_rate: *baud_rate,
            protocol: "RTU",
            byte_size: *byte_size,
            stop_bits: *stop_bits,
            parity: match parity {
                Parity::None => 0,
                Parity::Odd => 1,
                Parity::Even => 2,
            },
            name,
            serial_port,
            server_id,
        },
        Link::ModbusTcp { address, port } => Server::Tcp {
            protocol: "TCP",
            port: *port,
            ip: address,
            name,
            server_id,
        },
        Link::OpcUa {
            url,
            user,
            mode,
            policy,
            timeout,
        } => Server::OpcUa {
            password,
            sec_policy: match policy {
                SecurityPolicy::None => None,
                SecurityPolicy::Basic128Rsa15 => Some("Basic128Rsa15"),
                SecurityPolicy::Basic256 => Some("Basic256"),
            },
            name,
            sec_mode: match mode {
                SecurityMode::None => "None",
                SecurityMode::Sign => "Sign",
                SecurityMode::SignAndEncrypt => "SignAndEncrypt",
            },
            user_name: user,
            server_id,
            url,
            timeout: *timeout,
        },
    }
}

fn device(placed: &Placed) -> Device<'_> {
    Device {
        device_config: match &placed.place {
            Place::Modbus { channel, slave } => DeviceConfig::Modbus {
                slave_id: *slave,
                server_id: channel,
            },
            Place::OpcUa { channel, path } => DeviceConfig::OpcUa {
                display_name_path: path,
                server_id: channel,
            },
            Place::Custom { settings } => DeviceConfig::Custom {
                customize: settings,
            },
        },
        product_key: &placed.sub.product,
        device_name: &placed.sub.name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use credential::Secret;
    use model::id::{DeviceKey, Time};
    use serde_json::json;

    fn channel(id: &str, name: &str, link: Value) -> Channel {
        Channel {
            id: id.into(),
            name: name.into(),
            link: serde_json::from_value(link).unwrap(),
            changed: Time(0),
        }
    }

    fn placed(name: &str, place: Value) -> Placed {
        Placed {
            sub: DeviceKey::parse("a1ZlGQv", name).unwrap(),
            place: serde_json::from_value(place).unwrap(),
        }
    }

    fn product(key: &str, mapping: Value, tsl: Option<Value>) -> WiredProduct {
        WiredProduct {
            key: ProductKey::parse(key).unwrap(),
            mapping: serde_json::from_value(mapping).unwrap(),
            tsl,
        }
    }

    /// [AL-6.9] The example of seed 001 §6.7, field by field and in its order, where the document
    /// leaves no doubt of them.
    #[test]
    fn the_file_is_that_of_the_document() {
        let bit = |name: &str, table: &str, address: u16, report: &str| {
            json!({"identifier": name, "table": table, "address": address, "data": "bool",
                "every": 1000, "report": report})
        };
        let test01 = json!([{"identifier": "test01", "index": 0}]);
        let password = || Some(Secret::new(b"test123".to_vec()));
        let secret = Secret::new(b"abcdefghijklmnopqrstuvwxyz012345".to_vec());
        let wiring = Wiring {
            secret,
            channels: vec![
                (
                    channel(
                        "D73251B427",
                        "modbus01",
                        json!({"protocol": "modbus-rtu", "serial_port": "0", "baud_rate": 1200,
                            "stop_bits": 2, "parity": "odd"}),
                    ),
                    None,
                ),
                (
                    channel(
                        "586CB066D",
                        "modbus02",
                        json!({"protocol": "modbus-tcp", "address": "192.168.0.1", "port": 8000}),
                    ),
                    None,
                ),
                (
                    channel(
                        "55A9D276A7E",
                        "server_01",
                        json!({"protocol": "opc-ua", "url": "tcp:00", "user": "123",
                            "mode": "sign", "policy": "basic128-rsa15"}),
                    ),
                    password(),
                ),
                (
                    channel(
                        "44895C63E3F",
                        "service_09",
                        json!({"protocol": "opc-ua", "url": "tcp:00", "user": "1234"}),
                    ),
                    password(),
                ),
            ],
            places: vec![
                placed(
                    "test_02",
                    json!({"protocol": "opc-ua", "channel": "44895C63E3F", "path": "123"}),
                ),
                placed(
                    "test01",
                    json!({"protocol": "modbus", "channel": "D73251B427", "slave": 1}),
                ),
                placed(
                    "test02",
                    json!({"protocol": "custom", "settings": {"b": 1, "a": 2}}),
                ),
            ],
            products: vec![
                product(
                    "opc",
                    json!({"protocol": "opc-ua",
                        "services": [{"identifier": "AngleSelfAdaption", "name": "test01",
                            "input": test01}],
                        "properties": [{"identifier": "identifier", "name": "test02"}],
                        "events": [{"identifier": "event1", "name": "abc", "output": test01}]}),
                    Some(json!({"schema": "s"})),
                ),
                product(
                    "modbus",
                    json!({"protocol": "modbus", "properties": [
                        bit("test01", "discrete-input", 3, "always"),
                        bit("test02", "coil", 5, "changes"),
                    ]}),
                    None,
                ),
                product(
                    "custom",
                    json!({"protocol": "custom", "properties": [
                        {"identifier": "test_02", "settings": {"test_02": 123}}]}),
                    None,
                ),
                product("none", json!(null), None),
            ],
        };
        let expected = concat!(
            r#"{"modelList":[{"profile":{"productKey":"opc"},"services":[{"outputData":"","#,
            r#""identifier":"AngleSelfAdaption","inputData":[{"identifier":"test01","index":0}],"#,
            r#""displayName":"test01"}],"properties":[{"identifier":"identifier","#,
            r#""displayName":"test02"}],"events":[{"outputData":[{"identifier":"test01","#,
            r#""index":0}],"identifier":"event1","displayName":"abc"}]},"#,
            r#"{"profile":{"productKey":"modbus"},"properties":[{"originalDataType":{"specs":{"#,
            r#""registerCount":1,"reverseRegister":0,"swap16":0},"type":"bool"},"#,
            r#""identifier":"test01","registerAddress":"0x03","scaling":1,"#,
            r#""operateType":"inputStatus","pollingTime":1000,"trigger":1},"#,
            r#"{"originalDataType":{"specs":{"registerCount":1,"reverseRegister":0,"swap16":0},"#,
            r#""type":"bool"},"identifier":"test02","registerAddress":"0x05","scaling":1,"#,
            r#""operateType":"coilStatus","pollingTime":1000,"trigger":2}]},"#,
            r#"{"profile":{"productKey":"custom"},"properties":[{"identifier":"test_02","#,
            r#""customize":{"test_02":123}}]}],"#,
            r#""serverList":[{"baudRate":1200,"protocol":"RTU","byteSize":8,"stopBits":2,"#,
            r#""parity":1,"name":"modbus01","serialPort":"0","serverId":"D73251B427"},"#,
            r#"{"protocol":"TCP","port":8000,"ip":"192.168.0.1","name":"modbus02","#,
            r#""serverId":"586CB066D"},{"password":"oOJdnRCGh/cCioKY+GNwiQ==","#,
            r#""secPolicy":"Basic128Rsa15","name":"server_01","secMode":"Sign","#,
            r#""userName":"123","serverId":"55A9D276A7E","url":"tcp:00","timeout":10},"#,
            r#"{"password":"oOJdnRCGh/cCioKY+GNwiQ==","name":"service_09","secMode":"None","#,
            r#""userName":"1234","serverId":"44895C63E3F","url":"tcp:00","timeout":10}],"#,
            r#""deviceList":[{"deviceConfig":{"displayNamePath":"123","#,
            r#""serverId":"44895C63E3F"},"productKey":"a1ZlGQv","deviceName":"test_02"},"#,
            r#"{"deviceConfig":{"slaveId":1,"serverId":"D73251B427"},"productKey":"a1ZlGQv","#,
            r#""deviceName":"test01"},{"deviceConfig":{"customize":{"a":2,"b":1}},"#,
            r#""productKey":"a1ZlGQv","deviceName":"test02"}],"tslList":[{"schema":"s"}]}"#,
        );
        let written = String::from_utf8(write(&wiring).unwrap()).unwrap();
        assert_eq!(written, expected);
    }

    /// [AL-6.9] A secret that cannot be a key is told, and only where a password needs it.
    #[test]
    fn a_secret_that_is_no_key_is_told() {
        let opc = || {
            channel(
                "A",
                "a",
                json!({"protocol": "opc-ua", "url": "u", "user": "u"}),
            )
        };
        let wiring = |password| Wiring {
            secret: Secret::new(b"short".to_vec()),
            channels: vec![(opc(), password)],
            places: Vec::new(),
            products: Vec::new(),
        };
        assert!(write(&wiring(None)).is_ok());
        let told = write(&wiring(Some(Secret::new(b"p".to_vec())))).unwrap_err();
        assert!(told.contains("AES"), "{told}");
    }
}

//! The TSL document: `Tsl::parse` reads what people import; `write` has what they and devices are
//! given (seed 001 §6.5, §6.10; document "TSL parameters" of the vendor's guide).

mod write;

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::fault::{Faults, Flaw, TslFault};
use super::node::{Node, Place, Scalar, TYPE_WORDS, bool_type};
use super::{
    Access, Block, CallType, DataType, Event, EventKind, Field, Functions, MAX_BLOCKS,
    MAX_DOCUMENT_BYTES, MAX_ENUM_ITEMS, MAX_FIELDS, MAX_FUNCTIONS, MAX_PARAMETERS, MAX_TEXT,
    Property, Service, Tsl, check,
};

pub(super) use write::number_spec;

impl Tsl {
    /// Reads a TSL document from text, see [`Tsl::parse`]; at most [`MAX_DOCUMENT_BYTES`] long.
    pub fn read(text: &str) -> Result<Self, Vec<TslFault>> {
        Self::parse(&json_of(text)?)
    }

    /// Reads a TSL document. The built-in `post`, `set` and `get` are recognised and left out,
    /// schema and profile are ignored; every fault found is told (the first hundred of them).
    pub fn parse(document: &Value) -> Result<Self, Vec<TslFault>> {
        let mut faults = Faults::default();
        let mut tsl = Self::default();
        if let Some(root) = Node::new(document, String::new(), &mut faults) {
            let parts = ["properties", "events", "services", "functionBlocks"];
            if parts.iter().all(|part| root.get(part).is_none()) {
                faults.add("properties", Flaw::Missing);
            }
            tsl.main = functions(&root, &mut faults);
            for node in root.nodes("functionBlocks", MAX_BLOCKS, &mut faults) {
                tsl.blocks.extend(block(&node, &mut faults));
            }
        }
        check::tsl(&tsl, &mut faults);
        faults.into_result(tsl)
    }
}

/// Parses bounded JSON text.
pub(super) fn json_of(text: &str) -> Result<Value, Vec<TslFault>> {
    let fault = |reason| {
        vec![TslFault {
            path: String::new(),
            reason,
        }]
    };
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(fault(Flaw::TooLarge {
            limit: MAX_DOCUMENT_BYTES,
        }));
    }
    serde_json::from_str(text).map_err(|_| fault(Flaw::NotJson))
}

fn block(node: &Node<'_>, faults: &mut Faults) -> Option<Block> {
    let id = node.needed("functionBlockId", faults)?.to_owned();
    let name = named(node, "functionBlockName", &id, faults);
    Some(Block {
        id,
        name,
        functions: functions(node, faults),
    })
}

fn functions(node: &Node<'_>, faults: &mut Faults) -> Functions {
    let built_in = |node: &Node<'_>, words: &[&str]| {
        node.get("identifier")
            .and_then(Value::as_str)
            .is_some_and(|id| words.contains(&id))
    };
    // Two more than ours: the built-in functions of a full document.
    let limit = MAX_FUNCTIONS + 2;
    let properties = node.nodes("properties", limit, faults);
    let events = node.nodes("events", limit, faults);
    let services = node.nodes("services", limit, faults);
    Functions {
        properties: properties
            .iter()
            .filter_map(|node| property(node, faults))
            .collect(),
        events: events
            .iter()
            .filter(|node| !built_in(node, &["post"]))
            .filter_map(|node| event(node, faults))
            .collect(),
        services: services
            .iter()
            .filter(|node| !built_in(node, &["set", "get"]))
            .filter_map(|node| service(node, faults))
            .collect(),
    }
}

/// A display name; simple documents have none, then the identifier stands in.
pub(super) fn named(node: &Node<'_>, key: &str, identifier: &str, faults: &mut Faults) -> String {
    let name = node.text(key, faults).filter(|name| !name.is_empty());
    name.unwrap_or(identifier).to_owned()
}

fn property(node: &Node<'_>, faults: &mut Faults) -> Option<Property> {
    let identifier = node.needed("identifier", faults)?.to_owned();
    let access = match node.needed("accessMode", faults) {
        Some("r") => Some(Access::Read),
        Some("w") => Some(Access::Write),
        Some("rw") => Some(Access::ReadWrite),
        Some(_) => {
            faults.add(node.at("accessMode"), Flaw::UnknownWord("r, w, rw"));
            None
        }
        None => None,
    };
    let data = data_type(node, "dataType", Place::Top, faults);
    Some(Property {
        name: named(node, "name", &identifier, faults),
        desc: node.words("desc", faults),
        required: node.flag("required", faults),
        access: access?,
        data: data?,
        extend: None,
        identifier,
    })
}

fn event(node: &Node<'_>, faults: &mut Faults) -> Option<Event> {
    let identifier = node.needed("identifier", faults)?.to_owned();
    let kind = match node.needed("type", faults) {
        Some("info") => Some(EventKind::Info),
        Some("alert") => Some(EventKind::Alert),
        Some("error") => Some(EventKind::Error),
        Some(_) => {
            faults.add(node.at("type"), Flaw::UnknownWord("info, alert, error"));
            None
        }
        None => None,
    };
    Some(Event {
        name: named(node, "name", &identifier, faults),
        desc: node.words("desc", faults),
        required: node.flag("required", faults),
        kind: kind?,
        output: fields(node, "outputData", Place::Top, faults),
        extend: None,
        identifier,
    })
}

fn service(node: &Node<'_>, faults: &mut Faults) -> Option<Service> {
    let identifier = node.needed("identifier", faults)?.to_owned();
    // Seed 001 §6.10 shows services without a call type; asynchronous is the kind that cannot
    // make a caller wait for nothing.
    let call = match node.text("callType", faults) {
        None | Some("async") => Some(CallType::Async),
        Some("sync") => Some(CallType::Sync),
        Some(_) => {
            faults.add(node.at("callType"), Flaw::UnknownWord("async, sync"));
            None
        }
    };
    Some(Service {
        name: named(node, "name", &identifier, faults),
        desc: node.words("desc", faults),
        required: node.flag("required", faults),
        call: call?,
        input: fields(node, "inputData", Place::Top, faults),
        output: fields(node, "outputData", Place::Top, faults),
        extend: None,
        identifier,
    })
}

fn fields(node: &Node<'_>, key: &str, place: Place, faults: &mut Faults) -> Vec<Field> {
    let limit = if place == Place::Field {
        MAX_FIELDS
    } else {
        MAX_PARAMETERS
    };
    let nodes = node.nodes(key, limit, faults);
    nodes
        .iter()
        .filter_map(|node| field(node, place, faults))
        .collect()
}

fn field(node: &Node<'_>, place: Place, faults: &mut Faults) -> Option<Field> {
    let identifier = node.needed("identifier", faults)?.to_owned();
    let data = data_type(node, "dataType", place, faults);
    Some(Field {
        name: named(node, "name", &identifier, faults),
        desc: node.words("desc", faults),
        required: node.flag("required", faults),
        data: data?,
        identifier,
    })
}

fn data_type(owner: &Node<'_>, key: &str, place: Place, faults: &mut Faults) -> Option<DataType> {
    let Some(value) = owner.get(key) else {
        faults.add(owner.at(key), Flaw::Missing);
        return None;
    };
    let node = Node::new(value, owner.at(key), faults)?;
    let word = node.needed("type", faults)?;
    if !place.admits(word) {
        faults.add(node.at("type"), Flaw::NotNestable);
        return None;
    }
    if word == "struct" {
        return Some(DataType::Struct(fields(
            &node,
            "specs",
            Place::Field,
            faults,
        )));
    }
    let none = Map::new();
    let specs = match node.get("specs") {
        None => Node {
            object: &none,
            path: node.at("specs"),
        },
        Some(specs) => Node::new(specs, node.at("specs"), faults)?,
    };
    match word {
        "int" => Some(DataType::Int(specs.number_spec(faults))),
        "float" => Some(DataType::Float(specs.number_spec(faults))),
        "double" => Some(DataType::Double(specs.number_spec(faults))),
        "enum" => Some(DataType::Enum(items(&specs, faults))),
        "bool" => Some(bool_type(items(&specs, faults), &specs.path, faults)),
        "text" => Some(DataType::Text {
            length: if specs.get("length").is_some() {
                specs.count("length", faults)?
            } else {
                MAX_TEXT
            },
            default: specs.scalar("defaultValue", faults),
        }),
        "date" => Some(DataType::Date),
        "array" => {
            let size = specs.count("size", faults);
            let item = data_type(&specs, "item", Place::Item, faults);
            Some(DataType::Array {
                size: size?,
                item: Box::new(item?),
            })
        }
        _ => {
            faults.add(node.at("type"), Flaw::UnknownWord(TYPE_WORDS));
            None
        }
    }
}

fn items(specs: &Node<'_>, faults: &mut Faults) -> BTreeMap<i32, String> {
    if specs.object.len() > MAX_ENUM_ITEMS {
        faults.add(
            specs.path.clone(),
            Flaw::TooMany {
                limit: MAX_ENUM_ITEMS,
            },
        );
        return BTreeMap::new();
    }
    let mut items = BTreeMap::new();
    for (key, name) in specs.object {
        match (i32::read(&Value::String(key.clone())), name.as_str()) {
            (Some(number), Some(name)) => {
                if items.insert(number, name.to_owned()).is_some() {
                    faults.add(specs.at(key), Flaw::Duplicate);
                }
            }
            (None, _) => faults.add(specs.path.clone(), Flaw::BadNumber),
            (_, None) => faults.add(specs.at(key), Flaw::NotA("a text")),
        }
    }
    items
}

#[cfg(test)]
mod tests {
    //! [AL-6.12] The TSL document in and out.

    use serde_json::json;

    use super::*;
    use crate::thing::samples;

    fn faults(document: &str) -> Vec<String> {
        match Tsl::read(document) {
            Ok(tsl) => panic!("{tsl:?} was read"),
            Err(faults) => faults.iter().map(ToString::to_string).collect(),
        }
    }

    fn of_type(data_type: &str) -> String {
        format!(
            r#"{{"properties":[{{"identifier":"P","accessMode":"r","dataType":{data_type}}}]}}"#
        )
    }

    #[test]
    fn a_document_read_written_and_read_again_is_the_same_model() {
        let tsl = samples::rich();
        let document = tsl.to_document("a1Rich", Some("1.0"), false);
        assert_eq!(Tsl::parse(&document).as_ref(), Ok(&tsl));
        assert_eq!(Tsl::read(&document.to_string()).as_ref(), Ok(&tsl));
        assert_eq!(
            document["profile"],
            json!({ "productKey": "a1Rich", "version": "1.0" })
        );
        let stored = serde_json::to_string(&tsl).expect("models are data");
        assert_eq!(serde_json::from_str::<Tsl>(&stored).ok(), Some(tsl));
    }

    #[test]
    fn a_simple_document_is_the_same_model_without_words_for_people() {
        let tsl = samples::rich();
        let simple = tsl.to_document("a1Rich", None, true);
        let text = simple.to_string();
        assert!(!text.contains("\"name\"") && !text.contains("\"desc\"") && !text.contains("unit"));
        let read = Tsl::parse(&simple).expect("readable");
        assert_eq!(
            read.main.identifiers().count(),
            tsl.main.identifiers().count()
        );
        assert_eq!(
            read.property("Level").map(|p| p.name.as_str()),
            Some("Level")
        );
        assert_eq!(read.to_document("a1Rich", None, true), simple);
    }

    #[test]
    fn built_in_functions_are_written_and_recognised() {
        let document = samples::rich().to_document("a1Rich", None, false);
        let find = |list: &str, id: &str| {
            let list = document[list].as_array().expect("a list");
            list.iter()
                .find(|f| f["identifier"] == id)
                .cloned()
                .unwrap_or_default()
        };
        let post = find("events", "post");
        assert_eq!(post["method"], "thing.event.property.post");
        assert_eq!(
            post["outputData"].as_array().map(Vec::len),
            Some(9),
            "all but the secret"
        );
        let set = find("services", "set");
        assert_eq!(set["method"], "thing.service.property.set");
        assert_eq!(
            set["inputData"].as_array().map(Vec::len),
            Some(5),
            "the writable"
        );
        let get = find("services", "get");
        assert_eq!(get["inputData"][0], "Level");
        assert_eq!(find("events", "Alarm")["method"], "thing.event.Alarm.post");
        assert_eq!(
            document["functionBlocks"][0]["events"][1]["method"],
            "thing.event.room_1:Opened.post"
        );
        assert_eq!(
            find("services", "SetWeight")["method"],
            "thing.service.SetWeight"
        );
    }

    #[test]
    fn a_block_has_a_document_of_its_own() {
        let tsl = samples::rich();
        let document = tsl
            .to_block_document("room_1", "a1Rich", None, false)
            .expect("there");
        assert_eq!(document["functionBlockId"], "room_1");
        let read = Tsl::parse(&document).expect("readable");
        assert_eq!(read.main, tsl.blocks[0].functions);
        assert_eq!(tsl.to_block_document("room_2", "a1Rich", None, false), None);
    }

    #[test]
    fn the_examples_of_seed_001_are_read() {
        // §6.5 SetWeight and alarm, §6.10 fan_array_property and timeReset.
        let document = r#"{"schema":"s","link":"l","profile":{"productKey":"p","deviceName":"d"},
          "properties":[{"identifier":"fan_array_property","name":"风扇数组属性","accessMode":"r","required":true,
            "dataType":{"type":"array","specs":{"size":"128","item":{"type":"int"}}}}],
          "events":[{"identifier":"alarm","name":"alarm","desc":"风扇警报","type":"alert","required":true,
            "outputData":[{"identifier":"errorCode","name":"错误码","dataType":{"type":"text","specs":{"length":"255"}}}],
            "method":"thing.event.alarm.post"}],
          "services":[{"identifier":"timeReset","name":"timeReset","desc":"校准时间",
            "inputData":[{"identifier":"timeZone","name":"时区","dataType":{"type":"text","specs":{"length":"512"}}}],
            "outputData":[{"identifier":"curTime","name":"当前的时间","dataType":{"type":"date","specs":{}}}],
            "method":"thing.service.timeReset"}]}"#;
        let tsl = Tsl::read(document).expect("the seed's example");
        assert_eq!(tsl.main.len(), 3);
        assert_eq!(
            tsl.service("timeReset").map(|s| s.call),
            Some(CallType::Async)
        );
        assert_eq!(Tsl::read(r#"{"properties":[]}"#), Ok(Tsl::default()));
    }

    #[test]
    fn every_specification_broken_once_is_told_with_its_path() {
        let broken = [
            (
                r#"{"type":"int","specs":{"min":"x"}}"#,
                "specs.min: is not a number of this type",
            ),
            (
                r#"{"type":"int","specs":{"max":"4294967296"}}"#,
                "specs.max: is not a number of this type",
            ),
            (
                r#"{"type":"int","specs":{"min":"1.5"}}"#,
                "specs.min: is not a number of this type",
            ),
            (
                r#"{"type":"int","specs":{"step":"-1"}}"#,
                "step: is not a number of this type",
            ),
            (
                r#"{"type":"int","specs":{"min":"2","max":"1"}}"#,
                "dataType: has its minimum above its maximum",
            ),
            (
                r#"{"type":"float","specs":{"max":"inf"}}"#,
                "specs.max: is not a number of this type",
            ),
            (
                r#"{"type":"double","specs":{"min":[]}}"#,
                "specs.min: is not a number of this type",
            ),
            (
                r#"{"type":"double","specs":{"unit":7}}"#,
                "specs.unit: must be a text",
            ),
            (
                r#"{"type":"enum","specs":{}}"#,
                "dataType: must be 1 to 100",
            ),
            (
                r#"{"type":"enum","specs":{"red":"Red"}}"#,
                "specs: is not a number of this type",
            ),
            (
                r#"{"type":"enum","specs":{"1":"a","01":"b"}}"#,
                "specs.1: is used twice",
            ),
            (
                r#"{"type":"enum","specs":{"1":1}}"#,
                "specs.1: must be a text",
            ),
            (
                r#"{"type":"bool","specs":{"2":"maybe"}}"#,
                "specs.2: must be 0 to 1",
            ),
            (
                r#"{"type":"text","specs":{"length":"0"}}"#,
                "length: must be 1 to 10240",
            ),
            (
                r#"{"type":"text","specs":{"length":"10241"}}"#,
                "length: must be 1 to 10240",
            ),
            (
                r#"{"type":"text","specs":{"length":-1}}"#,
                "specs.length: is not a number of this type",
            ),
            (r#"{"type":"date","specs":[]}"#, "specs: must be an object"),
            (
                r#"{"type":"struct","specs":[]}"#,
                "dataType: must be 1 to 50",
            ),
            (r#"{"type":"struct","specs":{}}"#, "specs: must be a list"),
            (
                r#"{"type":"struct","specs":[{"identifier":"s","dataType":{"type":"struct","specs":[]}}]}"#,
                "specs.s.dataType.type: cannot be nested here",
            ),
            (
                r#"{"type":"array","specs":{"item":{"type":"int"}}}"#,
                "specs.size: is missing",
            ),
            (
                r#"{"type":"array","specs":{"size":"0","item":{"type":"int"}}}"#,
                "size: must be 1 to 512",
            ),
            (
                r#"{"type":"array","specs":{"size":"513","item":{"type":"int"}}}"#,
                "size: must be 1 to 512",
            ),
            (
                r#"{"type":"array","specs":{"size":"2"}}"#,
                "specs.item: is missing",
            ),
            (
                r#"{"type":"array","specs":{"size":"2","item":{"type":"array"}}}"#,
                "item.type: cannot be nested here",
            ),
            (
                r#"{"type":"array","specs":{"size":"2","item":{"type":"bool"}}}"#,
                "item.type: cannot be nested here",
            ),
            (r#"{"type":"map"}"#, "dataType.type: must be one of"),
            (r#"{"specs":{}}"#, "dataType.type: is missing"),
            (r#""int""#, "dataType: must be an object"),
        ];
        for (data_type, wanted) in broken {
            let faults = faults(&of_type(data_type));
            let told = faults
                .iter()
                .any(|fault| fault.starts_with("properties.P.dataType") && fault.contains(wanted));
            assert!(told, "{data_type} gave {faults:?}");
        }
    }

    #[test]
    fn functions_broken_once_are_told_with_their_path() {
        let int = r#""dataType":{"type":"int"}"#;
        let broken = [
            (
                format!(r#"{{"properties":[{{"accessMode":"r",{int}}}]}}"#),
                "properties[0].identifier: is missing",
            ),
            (
                format!(r#"{{"properties":[{{"identifier":"P",{int}}}]}}"#),
                "properties.P.accessMode: is missing",
            ),
            (
                format!(r#"{{"properties":[{{"identifier":"P","accessMode":"x",{int}}}]}}"#),
                "properties.P.accessMode: must be one of r, w, rw",
            ),
            (
                r#"{"properties":[{"identifier":"P","accessMode":"r"}]}"#.into(),
                "properties.P.dataType: is missing",
            ),
            (
                format!(
                    r#"{{"properties":[{{"identifier":"P","required":1,"accessMode":"r",{int}}}]}}"#
                ),
                "properties.P.required: must be true or false",
            ),
            (
                format!(r#"{{"properties":[{{"identifier":"P-1","accessMode":"r",{int}}}]}}"#),
                "properties.P-1: must be 1 to 50 letters, digits or underscores",
            ),
            (
                format!(r#"{{"properties":[{{"identifier":"time","accessMode":"r",{int}}}]}}"#),
                "properties.time: is a reserved word",
            ),
            (
                format!(
                    r#"{{"properties":[{{"identifier":"P","name":"{}","accessMode":"r",{int}}}]}}"#,
                    "n".repeat(65)
                ),
                "properties.P.name: must be at most 64 characters",
            ),
            (
                format!(
                    r#"{{"properties":[{{"identifier":"P","accessMode":"r",{int}}}],"events":[{{"identifier":"P","type":"info"}}]}}"#
                ),
                "events.P: is used twice",
            ),
            (
                r#"{"events":[{"identifier":"E"}]}"#.into(),
                "events.E.type: is missing",
            ),
            (
                r#"{"events":[{"identifier":"E","type":"warn"}]}"#.into(),
                "events.E.type: must be one of info, alert, error",
            ),
            (
                format!(
                    r#"{{"events":[{{"identifier":"E","type":"info","outputData":[{{"identifier":"value",{int}}}]}}]}}"#
                ),
                "events.E.outputData.value: is a reserved word",
            ),
            (
                r#"{"services":[{"identifier":"S","callType":"later"}]}"#.into(),
                "services.S.callType: must be one of async, sync",
            ),
            (
                format!(
                    r#"{{"services":[{{"identifier":"S","inputData":[{{"identifier":"a",{int}}},{{"identifier":"a",{int}}}]}}]}}"#
                ),
                "services.S.inputData.a: is used twice",
            ),
            (
                r#"{"functionBlocks":[{}]}"#.into(),
                "functionBlocks[0].functionBlockId: is missing",
            ),
            (
                r#"{"functionBlocks":[{"functionBlockId":"a b"}]}"#.into(),
                "functionBlocks.a b: must be 1 to 30",
            ),
            (
                r#"{"functionBlocks":[{"functionBlockId":"a"},{"functionBlockId":"a"}]}"#.into(),
                "functionBlocks.a: is used twice",
            ),
            (r#"{"properties":{}}"#.into(), "properties: must be a list"),
            (
                r#"{"properties":[1]}"#.into(),
                "properties[0]: must be an object",
            ),
            ("{}".into(), "properties: is missing"),
            ("[]".into(), "must be an object"),
            ("{".into(), "is not JSON"),
            (String::new(), "is not JSON"),
        ];
        for (document, wanted) in broken {
            let faults = faults(&document);
            assert!(
                faults.iter().any(|fault| fault.contains(wanted)),
                "{document}: {faults:?}"
            );
        }
    }

    #[test]
    fn documents_are_bounded_in_every_direction() {
        let many = |count: usize, each: &dyn Fn(usize) -> String| {
            (0..count).map(each).collect::<Vec<_>>().join(",")
        };
        let event = |i| format!(r#"{{"identifier":"E{i}","type":"info"}}"#);
        let events = |count| format!(r#"{{"events":[{}]}}"#, many(count, &event));
        assert!(Tsl::read(&events(MAX_FUNCTIONS)).is_ok());
        assert_eq!(
            faults(&events(MAX_FUNCTIONS + 1)),
            ["properties: has more than 300 entries"]
        );
        assert_eq!(
            faults(&events(MAX_FUNCTIONS + 9)),
            ["events: has more than 300 entries"].map(|text: &str| text.replace("300", "302"))
        );

        let block = |i| format!(r#"{{"functionBlockId":"b{i}"}}"#);
        let blocks = format!(r#"{{"functionBlocks":[{}]}}"#, many(MAX_BLOCKS + 1, &block));
        assert_eq!(
            faults(&blocks),
            ["functionBlocks: has more than 200 entries"]
        );

        let item = |i| format!(r#""{i}":"n""#);
        let specs = many(MAX_ENUM_ITEMS + 1, &item);
        let large = of_type(&format!(r#"{{"type":"enum","specs":{{{specs}}}}}"#));
        assert!(
            faults(&large)
                .iter()
                .any(|fault| fault.contains("more than 100 entries"))
        );

        let long = format!(
            r#"{{"properties":[],"x":"{}"}}"#,
            "x".repeat(MAX_DOCUMENT_BYTES)
        );
        assert_eq!(faults(&long).len(), 1);
        assert!(faults(&"[".repeat(100_000))[0].contains("is not JSON"));
        let wrong = many(300, &|_| "1".to_owned());
        assert_eq!(faults(&format!(r#"{{"properties":[{wrong}]}}"#)).len(), 100);
    }
}

//! `ThingModelJson`: the other written form of a thing model, in which the API takes and gives
//! single functions (document "Data structure of ThingModelJson").

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fault::{Faults, Flaw, TslFault};
use super::node::{Node, Place, TYPE_WORDS, bool_type};
use super::tsl::{json_of, named, number_spec};
use super::{
    Access, CallType, DataType, Event, EventKind, Field, Functions, MAX_ENUM_ITEMS, MAX_FIELDS,
    MAX_FUNCTIONS, MAX_PARAMETERS, MAX_TEXT, Property, Service, Tsl, check,
};

/// Which functions of a block to write.
#[derive(Debug, Clone, Copy)]
pub enum Pick<'a> {
    /// All.
    All,
    /// Those with these identifiers.
    Only(&'a [&'a str]),
}

impl Pick<'_> {
    fn takes(self, identifier: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(identifiers) => identifiers.contains(&identifier),
        }
    }
}

/// Under which version a model was published (`_ppk`).
#[derive(Debug, Clone, Copy)]
pub struct PublishedAs<'a> {
    /// Version.
    pub version: &'a str,
    /// What its publisher said of it.
    pub description: &'a str,
}

/// Reads a `ThingModelJson` text, at most [`MAX_DOCUMENT_BYTES`](super::MAX_DOCUMENT_BYTES)
/// long. To which block the functions belong is said beside it, by the caller of the API.
pub fn from_model_json(text: &str) -> Result<Functions, Vec<TslFault>> {
    let document = json_of(text)?;
    let mut faults = Faults::default();
    let mut functions = Functions::default();
    if let Some(root) = Node::new(&document, String::new(), &mut faults) {
        if ["properties", "events", "services"]
            .iter()
            .all(|part| root.get(part).is_none())
        {
            faults.add("properties", Flaw::Missing);
        }
        for node in root.nodes("properties", MAX_FUNCTIONS, &mut faults) {
            functions.properties.extend(property(&node, &mut faults));
        }
        for node in root.nodes("events", MAX_FUNCTIONS, &mut faults) {
            functions.events.extend(event(&node, &mut faults));
        }
        for node in root.nodes("services", MAX_FUNCTIONS, &mut faults) {
            functions.services.extend(service(&node, &mut faults));
        }
    }
    check::functions(&functions, "", &mut faults);
    faults.into_result(functions)
}

impl Tsl {
    /// Writes one block (`None`: the default one) as `ThingModelJson`; `None` when there is no
    /// such block.
    pub fn to_model_json(
        &self,
        product_key: &str,
        block: Option<&str>,
        published: Option<PublishedAs<'_>>,
        pick: Pick<'_>,
    ) -> Option<Value> {
        let functions = self.functions(block)?;
        let mut document = write_functions(functions, product_key, pick);
        if let Some(published) = published {
            let ppk = json!({ "version": published.version, "description": published.description });
            document.insert("_ppk".into(), ppk);
        }
        document.insert("productKey".into(), product_key.into());
        if let Some(block) = block.and_then(|id| self.block(id)) {
            document.insert("identifier".into(), block.id.as_str().into());
            document.insert("name".into(), block.name.as_str().into());
        } else if !self.blocks.is_empty() {
            let blocks = self.blocks.iter().map(|block| {
                json!({
                    "productKey": product_key,
                    "functionBlockId": block.id,
                    "functionBlockName": block.name,
                })
            });
            document.insert("functionBlocks".into(), blocks.collect());
        }
        Some(Value::Object(document))
    }
}

fn property(node: &Node<'_>, faults: &mut Faults) -> Option<Property> {
    let identifier = node.needed("identifier", faults)?.to_owned();
    let access = match node.needed("rwFlag", faults) {
        Some("READ_ONLY") => Some(Access::Read),
        Some("WRITE_ONLY") => Some(Access::Write),
        Some("READ_WRITE") => Some(Access::ReadWrite),
        Some(_) => {
            let words = "READ_WRITE, READ_ONLY, WRITE_ONLY";
            faults.add(node.at("rwFlag"), Flaw::UnknownWord(words));
            None
        }
        None => None,
    };
    let data = data_type(node, Place::Top, faults);
    Some(Property {
        name: named(node, "name", &identifier, faults),
        desc: node.words("description", faults),
        required: node.flag("required", faults),
        access: access?,
        data: data?,
        extend: node.get("extendConfig").cloned(),
        identifier,
    })
}

fn event(node: &Node<'_>, faults: &mut Faults) -> Option<Event> {
    let identifier = node.needed("identifier", faults)?.to_owned();
    let kind = match node.needed("eventType", faults) {
        Some("INFO_EVENT_TYPE") => Some(EventKind::Info),
        Some("ALERT_EVENT_TYPE") => Some(EventKind::Alert),
        Some("ERROR_EVENT_TYPE") => Some(EventKind::Error),
        Some(_) => {
            let words = "INFO_EVENT_TYPE, ALERT_EVENT_TYPE, ERROR_EVENT_TYPE";
            faults.add(node.at("eventType"), Flaw::UnknownWord(words));
            None
        }
        None => None,
    };
    // The document's table says `outputdata`, its schema and example say `outputData`.
    let output = node
        .any(&["outputdata", "outputData"])
        .map_or("outputdata", |(key, _)| key);
    Some(Event {
        name: either_name(node, "eventName", &identifier, faults),
        desc: node.words("description", faults),
        required: node.flag("required", faults),
        kind: kind?,
        output: parameters(node, output, faults),
        extend: node.get("extendConfig").cloned(),
        identifier,
    })
}

fn service(node: &Node<'_>, faults: &mut Faults) -> Option<Service> {
    let identifier = node.needed("identifier", faults)?.to_owned();
    let call = match node.needed("callType", faults) {
        Some("ASYNC") => Some(CallType::Async),
        Some("SYNC") => Some(CallType::Sync),
        Some(_) => {
            faults.add(node.at("callType"), Flaw::UnknownWord("ASYNC, SYNC"));
            None
        }
        None => None,
    };
    Some(Service {
        name: either_name(node, "serviceName", &identifier, faults),
        desc: node.words("description", faults),
        required: node.flag("required", faults),
        call: call?,
        input: parameters(node, "inputParams", faults),
        output: parameters(node, "outputParams", faults),
        extend: node.get("extendConfig").cloned(),
        identifier,
    })
}

fn either_name(node: &Node<'_>, key: &str, identifier: &str, faults: &mut Faults) -> String {
    let key = if node.get(key).is_some() { key } else { "name" };
    named(node, key, identifier, faults)
}

/// Parameters, in the order `paraOrder` gives them.
fn parameters(node: &Node<'_>, key: &str, faults: &mut Faults) -> Vec<Field> {
    let mut ordered = Vec::new();
    for node in node.nodes(key, MAX_PARAMETERS, faults) {
        let order = node.number::<i32>("paraOrder", faults).unwrap_or(i32::MAX);
        let Some(identifier) = node.needed("identifier", faults) else {
            continue;
        };
        let Some(data) = data_type(&node, Place::Top, faults) else {
            continue;
        };
        let field = Field {
            identifier: identifier.to_owned(),
            name: named(&node, "name", identifier, faults),
            desc: node.words("description", faults),
            required: node.flag("required", faults),
            data,
        };
        ordered.push((order, field));
    }
    ordered.sort_by_key(|(order, _)| *order);
    ordered.into_iter().map(|(_, field)| field).collect()
}

const SPECS: [&str; 2] = ["dataSpecs", "childSpecsDTO"];
const SPECS_LIST: [&str; 3] = ["dataSpecsList", "childEnumSpecsDTO", "childSpecsDTO"];

fn data_type(node: &Node<'_>, place: Place, faults: &mut Faults) -> Option<DataType> {
    let key = if place == Place::Top {
        "dataType"
    } else {
        "childDataType"
    };
    let word = node.needed(key, faults)?.to_ascii_lowercase();
    if !place.admits(&word) {
        faults.add(node.at(key), Flaw::NotNestable);
        return None;
    }
    let none = Map::new();
    let specs = match node.any(&SPECS) {
        Some((key, value)) if value.is_object() => Node::new(value, node.at(key), faults)?,
        _ => Node {
            object: &none,
            path: node.at(SPECS[0]),
        },
    };
    match word.as_str() {
        "int" => Some(DataType::Int(specs.number_spec(faults))),
        "float" => Some(DataType::Float(specs.number_spec(faults))),
        "double" => Some(DataType::Double(specs.number_spec(faults))),
        "enum" => Some(DataType::Enum(items(node, faults))),
        "bool" => Some(bool_type(
            items(node, faults),
            &node.at(SPECS_LIST[0]),
            faults,
        )),
        "text" => Some(DataType::Text {
            length: if specs.get("length").is_some() {
                specs.count("length", faults)?
            } else {
                MAX_TEXT
            },
            default: specs.scalar("defaultValue", faults),
        }),
        "date" => Some(DataType::Date),
        "struct" => Some(DataType::Struct(members(node, faults))),
        "array" => {
            let size = specs.count("size", faults);
            let item = data_type(&specs, Place::Item, faults);
            Some(DataType::Array {
                size: size?,
                item: Box::new(item?),
            })
        }
        _ => {
            faults.add(node.at(key), Flaw::UnknownWord(TYPE_WORDS));
            None
        }
    }
}

fn items(node: &Node<'_>, faults: &mut Faults) -> BTreeMap<i32, String> {
    let mut items = BTreeMap::new();
    let Some((key, _)) = node.any(&SPECS_LIST) else {
        faults.add(node.at(SPECS_LIST[0]), Flaw::Missing);
        return items;
    };
    for item in node.nodes(key, MAX_ENUM_ITEMS, faults) {
        if item.get("value").is_none() {
            faults.add(item.at("value"), Flaw::Missing);
        }
        let name = item.words("name", faults);
        if let Some(value) = item.number::<i32>("value", faults)
            && items.insert(value, name).is_some()
        {
            faults.add(item.at("value"), Flaw::Duplicate);
        }
    }
    items
}

fn members(node: &Node<'_>, faults: &mut Faults) -> Vec<Field> {
    let mut members = Vec::new();
    for member in node.nodes(SPECS_LIST[0], MAX_FIELDS, faults) {
        let Some(identifier) = member.needed("identifier", faults) else {
            continue;
        };
        let Some(data) = data_type(&member, Place::Field, faults) else {
            continue;
        };
        members.push(Field {
            identifier: identifier.to_owned(),
            name: either_name(&member, "childName", identifier, faults),
            desc: member.words("description", faults),
            required: member.flag("required", faults),
            data,
        });
    }
    members
}

fn write_functions(functions: &Functions, product_key: &str, pick: Pick<'_>) -> Map<String, Value> {
    let function = |identifier: &str, desc: &str, required: bool, extend: &Option<Value>| {
        let mut object = Map::new();
        object.insert("productKey".into(), product_key.into());
        object.insert("identifier".into(), identifier.into());
        object.insert("required".into(), required.into());
        object.insert("custom".into(), true.into());
        if !desc.is_empty() {
            object.insert("description".into(), desc.into());
        }
        if let Some(extend) = extend {
            object.insert("extendConfig".into(), extend.clone());
        }
        object
    };
    let properties = functions
        .properties
        .iter()
        .filter(|p| pick.takes(&p.identifier))
        .map(|p| {
            let mut object = function(&p.identifier, &p.desc, p.required, &p.extend);
            let flag = match p.access {
                Access::Read => "READ_ONLY",
                Access::Write => "WRITE_ONLY",
                Access::ReadWrite => "READ_WRITE",
            };
            object.insert("name".into(), p.name.as_str().into());
            object.insert("rwFlag".into(), flag.into());
            write_type(&p.data, &mut object);
            Value::Object(object)
        });
    let events = functions
        .events
        .iter()
        .filter(|e| pick.takes(&e.identifier))
        .map(|e| {
            let mut object = function(&e.identifier, &e.desc, e.required, &e.extend);
            let kind = match e.kind {
                EventKind::Info => "INFO_EVENT_TYPE",
                EventKind::Alert => "ALERT_EVENT_TYPE",
                EventKind::Error => "ERROR_EVENT_TYPE",
            };
            object.insert("eventName".into(), e.name.as_str().into());
            object.insert("name".into(), e.name.as_str().into());
            object.insert("eventType".into(), kind.into());
            // Both spellings, because programs follow either page.
            let output = write_parameters(&e.output, "PARAM_OUTPUT");
            object.insert("outputData".into(), output.clone());
            object.insert("outputdata".into(), output);
            Value::Object(object)
        });
    let services = functions
        .services
        .iter()
        .filter(|s| pick.takes(&s.identifier))
        .map(|s| {
            let mut object = function(&s.identifier, &s.desc, s.required, &s.extend);
            let call = match s.call {
                CallType::Async => "ASYNC",
                CallType::Sync => "SYNC",
            };
            object.insert("serviceName".into(), s.name.as_str().into());
            object.insert("name".into(), s.name.as_str().into());
            object.insert("callType".into(), call.into());
            object.insert(
                "inputParams".into(),
                write_parameters(&s.input, "PARAM_INPUT"),
            );
            object.insert(
                "outputParams".into(),
                write_parameters(&s.output, "PARAM_OUTPUT"),
            );
            Value::Object(object)
        });
    let mut document = Map::new();
    document.insert("properties".into(), properties.collect());
    document.insert("events".into(), events.collect());
    document.insert("services".into(), services.collect());
    document
}

fn write_parameters(fields: &[Field], direction: &str) -> Value {
    let write = |(order, field): (usize, &Field)| {
        let mut object = Map::new();
        object.insert("identifier".into(), field.identifier.as_str().into());
        object.insert("name".into(), field.name.as_str().into());
        object.insert("direction".into(), direction.into());
        object.insert("paraOrder".into(), order.into());
        object.insert("custom".into(), true.into());
        if field.required {
            object.insert("required".into(), true.into());
        }
        if !field.desc.is_empty() {
            object.insert("description".into(), field.desc.as_str().into());
        }
        write_type(&field.data, &mut object);
        Value::Object(object)
    };
    fields.iter().enumerate().map(write).collect()
}

/// Writes `dataType` and its one specification.
fn write_type(data: &DataType, into: &mut Map<String, Value>) {
    into.insert("dataType".into(), data.word().to_ascii_uppercase().into());
    let (key, specs) = write_specs(data);
    into.insert(key.into(), specs);
}

fn write_specs(data: &DataType) -> (&'static str, Value) {
    let word = data.word().to_ascii_uppercase();
    let single = |mut specs: Value| {
        if let Some(specs) = specs.as_object_mut() {
            specs.insert("dataType".into(), word.as_str().into());
            specs.insert("custom".into(), true.into());
        }
        (SPECS[0], specs)
    };
    let item = |value: i32, name: &str| json!({ "dataType": word, "name": name, "value": value, "custom": true });
    match data {
        DataType::Int(spec) => single(number_spec(spec, false)),
        DataType::Float(spec) | DataType::Double(spec) => single(number_spec(spec, false)),
        DataType::Enum(items) => (
            SPECS_LIST[0],
            items
                .iter()
                .map(|(value, name)| item(*value, name))
                .collect(),
        ),
        DataType::Bool { off, on } => (SPECS_LIST[0], json!([item(0, off), item(1, on)])),
        DataType::Text { length, default } => match default {
            None => single(json!({ "length": length })),
            Some(default) => single(json!({ "length": length, "defaultValue": default })),
        },
        DataType::Date => single(json!({})),
        DataType::Struct(fields) => (SPECS_LIST[0], fields.iter().map(write_member).collect()),
        DataType::Array { size, item } => {
            let (key, specs) = write_specs(item);
            single(json!({
                "size": size,
                "childDataType": item.word().to_ascii_uppercase(),
                key: specs,
            }))
        }
    }
}

fn write_member(field: &Field) -> Value {
    let (key, specs) = write_specs(&field.data);
    // The table of the document says `dataSpecs`, its schema demands `childSpecsDTO`.
    let child = if key == SPECS[0] {
        SPECS[1]
    } else {
        SPECS_LIST[1]
    };
    let mut object = Map::new();
    object.insert("dataType".into(), "STRUCT".into());
    object.insert("identifier".into(), field.identifier.as_str().into());
    object.insert("name".into(), field.name.as_str().into());
    object.insert("childName".into(), field.name.as_str().into());
    object.insert(
        "childDataType".into(),
        field.data.word().to_ascii_uppercase().into(),
    );
    object.insert("custom".into(), true.into());
    if field.required {
        object.insert("required".into(), true.into());
    }
    if !field.desc.is_empty() {
        object.insert("description".into(), field.desc.as_str().into());
    }
    object.insert(key.into(), specs.clone());
    object.insert(child.into(), specs);
    Value::Object(object)
}

#[cfg(test)]
mod tests {
    //! [AL-6.12] `ThingModelJson` in and out.

    use super::*;
    use crate::thing::samples;

    fn faults(document: &str) -> Vec<String> {
        let faults = from_model_json(document).expect_err("broken");
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_written_reads_as_the_same_functions() {
        let tsl = samples::rich();
        let json = tsl
            .to_model_json("a1Rich", None, None, Pick::All)
            .expect("default block");
        assert_eq!(from_model_json(&json.to_string()).as_ref(), Ok(&tsl.main));
        assert_eq!(json["functionBlocks"][0]["functionBlockId"], "room_1");
        let json = tsl
            .to_model_json("a1Rich", Some("room_1"), None, Pick::All)
            .expect("block");
        assert_eq!(
            from_model_json(&json.to_string()).as_ref(),
            Ok(&tsl.blocks[0].functions)
        );
        assert_eq!(
            (&json["identifier"], &json["name"]),
            (&json!("room_1"), &json!("Room one"))
        );
        assert_eq!(
            tsl.to_model_json("a1Rich", Some("x"), None, Pick::All),
            None
        );
    }

    #[test]
    fn it_has_the_words_of_its_document() {
        let published = Some(PublishedAs {
            version: "1592444100000",
            description: "test",
        });
        let pick = Pick::Only(&["Level", "Power", "Alarm", "SetWeight"]);
        let json = samples::rich()
            .to_model_json("a1Rich", None, published, pick)
            .expect("there");
        assert_eq!(json["_ppk"]["version"], "1592444100000");
        let level = json!({
            "productKey": "a1Rich", "identifier": "Level", "name": "水位", "description": "How full",
            "required": true, "custom": true, "rwFlag": "READ_WRITE", "dataType": "INT",
            "dataSpecs": { "dataType": "INT", "min": "0", "max": "100", "step": "1", "unit": "%",
                "unitName": "百分比", "custom": true },
        });
        assert_eq!(json["properties"][0], level);
        let on = json!({ "dataType": "BOOL", "name": "打开", "value": 1, "custom": true });
        assert_eq!(json["properties"][1]["dataSpecsList"][1], on);
        assert_eq!(json["properties"].as_array().map(Vec::len), Some(2));
        assert_eq!(json["events"][0]["eventType"], "ALERT_EVENT_TYPE");
        assert_eq!(
            json["events"][0]["outputData"],
            json["events"][0]["outputdata"]
        );
        assert_eq!(json["services"][0]["callType"], "ASYNC");
        let order = &json["services"][0]["outputParams"][1];
        assert_eq!(
            (&order["direction"], &order["paraOrder"]),
            (&json!("PARAM_OUTPUT"), &json!(1))
        );
    }

    #[test]
    fn the_vendors_own_spellings_are_read() {
        let document = r#"{"productKey":"a1","properties":[
          {"identifier":"Geo","name":"地理位置","rwFlag":"WRITE_ONLY","required":false,"custom":true,"dataType":"STRUCT",
           "extendConfig":{"identifier":"Geo","customize":{"register":1}},
           "dataSpecsList":[
            {"childDataType":"DOUBLE","childName":"经度","childSpecsDTO":{"dataType":"DOUBLE","max":"180","min":"-180","precise":7,"step":"0.01"},
             "dataType":"STRUCT","identifier":"Longitude","isStd":1,"name":"地理位置"},
            {"childDataType":"ENUM","childName":"坐标系统","childEnumSpecsDTO":[{"name":"WGS_84","value":1}],
             "dataType":"STRUCT","identifier":"System"}]}],
         "services":[{"identifier":"S","serviceName":"S","callType":"SYNC","inputParams":[
           {"identifier":"b","name":"b","direction":"PARAM_INPUT","paraOrder":1,"dataType":"DATE","dataSpecs":{"dataType":"DATE"}},
           {"identifier":"a","name":"a","direction":"PARAM_INPUT","paraOrder":0,"dataType":"TEXT","dataSpecs":{"dataType":"TEXT","length":128}}]}],
         "events":[{"identifier":"E","eventName":"报警","eventType":"ERROR_EVENT_TYPE","outputdata":[
           {"identifier":"kind","name":"kind","paraOrder":0,"dataType":"ENUM","dataSpecsList":[{"dataType":"ENUM","name":"x","value":"4"}]}]}]}"#;
        let functions = from_model_json(document).expect("good");
        let geo = functions.property("Geo").expect("there");
        assert_eq!(geo.access, Access::Write);
        assert!(geo.extend.is_some());
        let DataType::Struct(fields) = &geo.data else {
            panic!("{:?}", geo.data)
        };
        assert_eq!(fields[0].name, "经度");
        let DataType::Double(spec) = &fields[0].data else {
            panic!("{:?}", fields[0].data)
        };
        assert_eq!(
            (spec.min, spec.max, spec.precise.as_deref()),
            (Some(-180.0), Some(180.0), Some("7"))
        );
        let input: Vec<&str> = functions.services[0]
            .input
            .iter()
            .map(|f| f.identifier.as_str())
            .collect();
        assert_eq!(input, ["a", "b"], "as paraOrder says");
        assert_eq!(
            functions.events[0].output[0].data,
            DataType::Enum([(4, "x".into())].into())
        );
        assert_eq!(functions.events[0].name, "报警");
    }

    #[test]
    fn broken_functions_are_told_with_their_path() {
        let with = |more: &str| {
            format!(r#"{{"properties":[{{"identifier":"P","rwFlag":"READ_ONLY",{more}}}]}}"#)
        };
        let broken = [
            (
                with(r#""dataType":"LONG""#),
                "properties.P.dataType: must be one of",
            ),
            (
                with(r#""dataType":7"#),
                "properties.P.dataType: must be a text",
            ),
            (
                with(r#""dataType":"INT","dataSpecs":{"min":"a"}"#),
                "properties.P.dataSpecs.min: is not a number",
            ),
            (
                with(r#""dataType":"ENUM""#),
                "properties.P.dataSpecsList: is missing",
            ),
            (
                with(r#""dataType":"ENUM","dataSpecsList":[{"name":"a"}]"#),
                "dataSpecsList[0].value: is missing",
            ),
            (
                with(r#""dataType":"ENUM","dataSpecsList":[{"value":1},{"value":1}]"#),
                "is used twice",
            ),
            (
                with(r#""dataType":"BOOL","dataSpecsList":[{"value":2}]"#),
                "must be 0 to 1",
            ),
            (
                with(r#""dataType":"ARRAY","dataSpecs":{"size":3}"#),
                "dataSpecs.childDataType: is missing",
            ),
            (
                with(r#""dataType":"ARRAY","dataSpecs":{"size":3,"childDataType":"ARRAY"}"#),
                "cannot be nested here",
            ),
            (
                with(r#""dataType":"ARRAY","dataSpecs":{"size":600,"childDataType":"INT"}"#),
                "must be 1 to 512",
            ),
            (
                with(r#""dataType":"STRUCT","dataSpecsList":[]"#),
                "must be 1 to 50",
            ),
            (
                with(r#""dataType":"TEXT","dataSpecs":{"length":99999}"#),
                "must be 1 to 10240",
            ),
            (
                r#"{"properties":[{"identifier":"P","rwFlag":"rw","dataType":"DATE"}]}"#.into(),
                "properties.P.rwFlag: must be one of",
            ),
            (
                r#"{"events":[{"identifier":"E","eventType":"info"}]}"#.into(),
                "events.E.eventType: must be one of",
            ),
            (
                r#"{"services":[{"identifier":"S","callType":"async"}]}"#.into(),
                "services.S.callType: must be one of",
            ),
            (
                r#"{"services":[{"identifier":"get","callType":"SYNC"}]}"#.into(),
                "services.get: is a reserved word",
            ),
            ("{}".into(), "properties: is missing"),
            ("nonsense".into(), "is not JSON"),
        ];
        for (document, wanted) in broken {
            let faults = faults(&document);
            assert!(
                faults.iter().any(|fault| fault.contains(wanted)),
                "{document}: {faults:?}"
            );
        }
        let long = format!(r#""dataType":"DATE","extendConfig":"{}""#, "x".repeat(9000));
        assert_eq!(
            faults(&with(&long)),
            ["properties.P.extendConfig: is larger than 8192 bytes"]
        );
    }
}

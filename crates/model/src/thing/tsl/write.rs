//! Writing the TSL document, whole, block by block, or simple.

use serde_json::{Map, Value, json};

use crate::thing::{
    Access, Block, CallType, DataType, Field, Functions, NumberSpec, Tsl, wire_name,
};

/// Where the schema of these documents is published; a name, nothing fetches it.
const SCHEMA: &str = "https://iotx-tsl.oss-ap-southeast-1.aliyuncs.com/schema.json";

impl Tsl {
    /// Writes the whole model as one TSL document, blocks included. `simple` leaves out names,
    /// descriptions and units. Reading it again gives the same model, save that a simple one has
    /// lost those, and that no TSL document carries extended descriptions.
    pub fn to_document(&self, product_key: &str, version: Option<&str>, simple: bool) -> Value {
        let mut document = head(product_key, version);
        write_functions(&self.main, None, simple, &mut document);
        if !self.blocks.is_empty() {
            let blocks = self.blocks.iter().map(|block| {
                let mut object = block_head(block);
                write_functions(&block.functions, Some(&block.id), simple, &mut object);
                Value::Object(object)
            });
            document.insert("functionBlocks".into(), blocks.collect());
        }
        Value::Object(document)
    }

    /// Writes one block as a TSL document of its own; `None` when there is no such block.
    pub fn to_block_document(
        &self,
        block: &str,
        product_key: &str,
        version: Option<&str>,
        simple: bool,
    ) -> Option<Value> {
        let block = self.block(block)?;
        let mut document = head(product_key, version);
        document.append(&mut block_head(block));
        write_functions(&block.functions, Some(&block.id), simple, &mut document);
        Some(Value::Object(document))
    }
}

fn head(product_key: &str, version: Option<&str>) -> Map<String, Value> {
    let mut profile = Map::new();
    profile.insert("productKey".into(), product_key.into());
    if let Some(version) = version {
        profile.insert("version".into(), version.into());
    }
    let mut head = Map::new();
    head.insert("schema".into(), SCHEMA.into());
    head.insert("profile".into(), Value::Object(profile));
    head
}

fn block_head(block: &Block) -> Map<String, Value> {
    let mut head = Map::new();
    head.insert("functionBlockId".into(), block.id.as_str().into());
    head.insert("functionBlockName".into(), block.name.as_str().into());
    head
}

fn write_functions(
    functions: &Functions,
    block: Option<&str>,
    simple: bool,
    into: &mut Map<String, Value>,
) {
    let properties = functions.properties.iter().map(|p| {
        let mut object = labels(&p.identifier, &p.name, &p.desc, simple);
        object.insert("accessMode".into(), access_word(p.access).into());
        object.insert("required".into(), p.required.into());
        object.insert("dataType".into(), write_type(&p.data, simple));
        Value::Object(object)
    });
    let events = functions.events.iter().map(|e| {
        let mut object = labels(&e.identifier, &e.name, &e.desc, simple);
        object.insert("type".into(), e.kind.word().into());
        object.insert("required".into(), e.required.into());
        object.insert("method".into(), event_method(block, &e.identifier).into());
        object.insert("outputData".into(), write_fields(&e.output, simple));
        Value::Object(object)
    });
    let services = functions.services.iter().map(|s| {
        let mut object = labels(&s.identifier, &s.name, &s.desc, simple);
        let call = match s.call {
            CallType::Async => "async",
            CallType::Sync => "sync",
        };
        let method = format!("thing.service.{}", wire_name(block, &s.identifier));
        object.insert("callType".into(), call.into());
        object.insert("required".into(), s.required.into());
        object.insert("method".into(), method.into());
        object.insert("inputData".into(), write_fields(&s.input, simple));
        object.insert("outputData".into(), write_fields(&s.output, simple));
        Value::Object(object)
    });
    let properties: Vec<Value> = properties.collect();
    let (post, set_get) = built_ins(functions, simple);
    into.insert("properties".into(), properties.into());
    into.insert("events".into(), post.into_iter().chain(events).collect());
    into.insert(
        "services".into(),
        set_get.into_iter().chain(services).collect(),
    );
}

/// The functions every thing with properties has: the event `post`, the services `set` and `get`.
fn built_ins(functions: &Functions, simple: bool) -> (Vec<Value>, Vec<Value>) {
    if functions.properties.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let some = |wanted: fn(Access) -> bool| {
        functions
            .properties
            .iter()
            .filter(move |p| wanted(p.access))
    };
    let as_fields = |wanted: fn(Access) -> bool| -> Value {
        some(wanted)
            .map(|p| {
                let mut object = labels(&p.identifier, &p.name, "", simple);
                object.insert("dataType".into(), write_type(&p.data, simple));
                Value::Object(object)
            })
            .collect()
    };
    let names: Value = some(Access::readable)
        .map(|p| p.identifier.as_str())
        .collect();
    let function = |identifier: &str, method: &str, desc: &str, more: Value| {
        let mut object = labels(identifier, identifier, desc, simple);
        object.insert("required".into(), true.into());
        object.insert("method".into(), method.into());
        if let Value::Object(mut more) = more {
            object.append(&mut more);
        }
        object
    };
    let mut post = function(
        "post",
        "thing.event.property.post",
        "属性上报",
        json!({ "type": "info" }),
    );
    let call = || json!({ "callType": "async" });
    let mut set = function("set", "thing.service.property.set", "属性设置", call());
    let mut get = function("get", "thing.service.property.get", "属性获取", call());
    set.insert("outputData".into(), json!([]));
    get.insert("inputData".into(), names);
    // A simple document has enough of them once, in the list of properties.
    if !simple {
        post.insert("outputData".into(), as_fields(Access::readable));
        set.insert("inputData".into(), as_fields(Access::writable));
        get.insert("outputData".into(), as_fields(Access::readable));
    }
    (
        vec![Value::Object(post)],
        vec![Value::Object(set), Value::Object(get)],
    )
}

fn event_method(block: Option<&str>, identifier: &str) -> String {
    format!("thing.event.{}.post", wire_name(block, identifier))
}

fn access_word(access: Access) -> &'static str {
    match access {
        Access::Read => "r",
        Access::Write => "w",
        Access::ReadWrite => "rw",
    }
}

fn labels(identifier: &str, name: &str, desc: &str, simple: bool) -> Map<String, Value> {
    let mut object = Map::new();
    object.insert("identifier".into(), identifier.into());
    if !simple {
        object.insert("name".into(), name.into());
        if !desc.is_empty() {
            object.insert("desc".into(), desc.into());
        }
    }
    object
}

fn write_fields(fields: &[Field], simple: bool) -> Value {
    let write = |field: &Field| {
        let mut object = labels(&field.identifier, &field.name, &field.desc, simple);
        if field.required {
            object.insert("required".into(), true.into());
        }
        object.insert("dataType".into(), write_type(&field.data, simple));
        Value::Object(object)
    };
    fields.iter().map(write).collect()
}

fn write_type(data: &DataType, simple: bool) -> Value {
    let specs = match data {
        DataType::Int(spec) => number_spec(spec, simple),
        DataType::Float(spec) | DataType::Double(spec) => number_spec(spec, simple),
        DataType::Enum(items) => items
            .iter()
            .map(|(key, name)| (key.to_string(), Value::from(name.as_str())))
            .collect(),
        DataType::Bool { off, on } => json!({ "0": off, "1": on }),
        DataType::Text { length, default } => {
            let mut specs = json!({ "length": length.to_string() });
            if let (Some(default), Some(specs)) = (default, specs.as_object_mut()) {
                specs.insert("defaultValue".into(), default.as_str().into());
            }
            specs
        }
        DataType::Date => json!({}),
        DataType::Struct(fields) => write_fields(fields, simple),
        DataType::Array { size, item } => {
            let mut item = write_type(item, simple);
            let bare = item["specs"].as_object().is_some_and(Map::is_empty);
            if let (true, Some(item)) = (bare, item.as_object_mut()) {
                item.remove("specs");
            }
            json!({ "size": size.to_string(), "item": item })
        }
    };
    json!({ "type": data.word(), "specs": specs })
}

pub(in crate::thing) fn number_spec<T: ToString>(spec: &NumberSpec<T>, simple: bool) -> Value {
    let text = |number: &Option<T>| number.as_ref().map(ToString::to_string);
    let words = |text: &String| (!simple && !text.is_empty()).then(|| text.clone());
    let parts = [
        ("min", text(&spec.min)),
        ("max", text(&spec.max)),
        ("step", text(&spec.step)),
        ("unit", words(&spec.unit)),
        ("unitName", words(&spec.unit_name)),
        ("defaultValue", spec.default.clone().filter(|_| !simple)),
        ("precise", spec.precise.clone().filter(|_| !simple)),
    ];
    let present = parts
        .into_iter()
        .filter_map(|(key, text)| Some((key, Value::from(text?))));
    present.map(|(key, text)| (key.to_owned(), text)).collect()
}

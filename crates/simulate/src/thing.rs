//! What a device posts and answers: values that fit its thing model (TSL, seed 001 §6.5).

use crate::chance::Chance;
use serde_json::{Map, Value, json};

/// Structs and arrays are followed so deep.
const DEPTH: usize = 8;
/// Items of an array, at most.
const ITEMS: u64 = 4;
/// Characters of a text, at most.
const TEXT: u64 = 12;

/// The thing model of a product, as far as a device needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    properties: Vec<Field>,
    events: Vec<(String, Vec<Field>)>,
    services: Vec<(String, Vec<Field>)>,
}

#[derive(Clone, Debug, PartialEq)]
struct Field {
    name: String,
    kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Whole { least: i64, most: i64 },
    Number { least: f64, most: f64 },
    Truth,
    Choice(Vec<i64>),
    Text(u64),
    Date,
    List(Box<Kind>, u64),
    Struct(Vec<Field>),
}

impl Model {
    /// Reads a TSL document; what it does not know in it is left out.
    pub fn of(tsl: &Value) -> Self {
        let list = |name: &str| tsl[name].as_array().map_or(&[][..], Vec::as_slice);
        let outputs = |name: &str, skip: &[&str]| {
            let all = list(name).iter().filter_map(|one| {
                let id = one["identifier"].as_str()?;
                let outputs = fields(&one["outputData"], DEPTH);
                (!skip.contains(&id)).then(|| (id.to_owned(), outputs))
            });
            all.collect()
        };
        Self {
            properties: fields(&tsl["properties"], DEPTH),
            events: outputs("events", &["post"]),
            services: outputs("services", &["set", "get"]),
        }
    }

    /// Whether there is anything to post.
    pub fn is_empty(&self) -> bool {
        self.properties.is_empty()
    }

    /// A value of each property; `now` in milliseconds.
    pub(crate) fn properties(&self, chance: &mut Chance, now: u64) -> Map<String, Value> {
        values(&self.properties, chance, now)
    }

    /// One of the events with its output.
    pub(crate) fn event(&self, chance: &mut Chance, now: u64) -> Option<(&str, Value)> {
        let at = chance.below(self.events.len() as u64) as usize;
        let (id, fields) = self.events.get(at)?;
        Some((id, Value::Object(values(fields, chance, now))))
    }

    /// What a service answers with; nothing when it is not known.
    pub(crate) fn answer(&self, service: &str, chance: &mut Chance, now: u64) -> Value {
        let found = self.services.iter().find(|(id, _)| id == service);
        let fields = found.map_or(&[][..], |(_, fields)| fields);
        Value::Object(values(fields, chance, now))
    }
}

fn values(fields: &[Field], chance: &mut Chance, now: u64) -> Map<String, Value> {
    let all = fields.iter();
    all.map(|field| (field.name.clone(), field.kind.value(chance, now)))
        .collect()
}

fn fields(list: &Value, depth: usize) -> Vec<Field> {
    let list = list.as_array().map_or(&[][..], Vec::as_slice);
    let read = list.iter().filter_map(|one| {
        Some(Field {
            name: one["identifier"].as_str()?.to_owned(),
            kind: Kind::of(&one["dataType"], depth)?,
        })
    });
    read.collect()
}

/// Numbers of a specification are written as texts.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
    .filter(|number: &f64| number.is_finite())
}

impl Kind {
    fn of(data: &Value, depth: usize) -> Option<Self> {
        let depth = depth.checked_sub(1)?;
        let specs = &data["specs"];
        let bound = |name: &str| number(&specs[name]);
        Some(match data["type"].as_str()? {
            "int" | "int32" => {
                let least = bound("min").unwrap_or(0.0) as i64;
                let most = bound("max").map_or(least.saturating_add(100), |most| most as i64);
                let most = most.max(least);
                Self::Whole { least, most }
            }
            "float" | "double" => {
                let least = bound("min").unwrap_or(0.0);
                let most = bound("max").unwrap_or(least + 100.0).max(least);
                Self::Number { least, most }
            }
            "bool" => Self::Truth,
            "enum" => {
                let keys = specs.as_object()?.keys();
                let keys: Vec<i64> = keys.filter_map(|key| key.parse().ok()).collect();
                (!keys.is_empty()).then_some(Self::Choice(keys))?
            }
            "text" => {
                let length = bound("length").map_or(TEXT, |length| length as u64);
                Self::Text(length.clamp(1, TEXT))
            }
            "date" => Self::Date,
            "array" => {
                let item = &specs["item"];
                let size = bound("size").map_or(1, |size| size as u64);
                let kind = match item["type"].as_str()? {
                    // The fields of a struct in an array stand beside its type.
                    "struct" => Self::Struct(fields(&item["specs"], depth)),
                    _ => Self::of(item, depth)?,
                };
                Self::List(Box::new(kind), size.clamp(1, ITEMS))
            }
            "struct" => Self::Struct(fields(specs, depth)),
            _ => return None,
        })
    }

    fn value(&self, chance: &mut Chance, now: u64) -> Value {
        match self {
            Self::Whole { least, most } => {
                let span = most.abs_diff(*least).saturating_add(1);
                json!(least.saturating_add_unsigned(chance.below(span)))
            }
            Self::Number { least, most } => {
                let value = least + (most - least) * chance.share();
                // As sensors speak: three digits.
                let rounded = (value * 1000.0).round() / 1000.0;
                json!(rounded.clamp(*least, *most))
            }
            Self::Truth => json!(chance.below(2)),
            Self::Choice(keys) => json!(keys[chance.below(keys.len() as u64) as usize]),
            Self::Text(length) => {
                let letters = (0..*length).map(|_| (b'a' + chance.below(26) as u8) as char);
                json!(letters.collect::<String>())
            }
            Self::Date => json!(now.to_string()),
            Self::List(kind, size) => {
                let items = 1 + chance.below(*size);
                (0..items).map(|_| kind.value(chance, now)).collect()
            }
            Self::Struct(fields) => Value::Object(values(fields, chance, now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_fit_the_model() {
        let model = Model::of(&json!({
            "properties": [
                {"identifier": "t", "dataType": {"type": "float", "specs": {"min": "-40", "max": "125"}}},
                {"identifier": "n", "dataType": {"type": "int", "specs": {"min": "5", "max": "7"}}},
                {"identifier": "on", "dataType": {"type": "bool", "specs": {"0": "off", "1": "on"}}},
                {"identifier": "mode", "dataType": {"type": "enum", "specs": {"3": "a", "9": "b"}}},
                {"identifier": "label", "dataType": {"type": "text", "specs": {"length": "4"}}},
                {"identifier": "at", "dataType": {"type": "date", "specs": {}}},
                {"identifier": "list", "dataType": {"type": "array", "specs":
                    {"size": "3", "item": {"type": "int"}}}},
                {"identifier": "pair", "dataType": {"type": "struct", "specs": [
                    {"identifier": "x", "dataType": {"type": "int", "specs": {"min": "1", "max": "1"}}}]}},
                {"identifier": "what", "dataType": {"type": "unheard"}},
            ],
            "events": [{"identifier": "post", "outputData": []},
                {"identifier": "hot", "outputData": [
                    {"identifier": "peak", "dataType": {"type": "int"}}]}],
            "services": [{"identifier": "set"}, {"identifier": "reboot", "outputData": [
                {"identifier": "done", "dataType": {"type": "bool"}}]}],
        }));
        let mut chance = Chance::new(1, 1);
        for _ in 0..200 {
            let values = model.properties(&mut chance, 77);
            assert!((-40.0..=125.0).contains(&values["t"].as_f64().unwrap()));
            assert!((5..=7).contains(&values["n"].as_i64().unwrap()));
            assert!(values["on"].as_u64().unwrap() < 2);
            assert!([3, 9].contains(&values["mode"].as_u64().unwrap()));
            assert_eq!(values["label"].as_str().unwrap().len(), 4);
            assert_eq!(values["at"], "77");
            assert!((1..=3).contains(&values["list"].as_array().unwrap().len()));
            assert_eq!(values["pair"], json!({"x": 1}));
            assert!(!values.contains_key("what"));
            assert_eq!(model.event(&mut chance, 0).unwrap().0, "hot");
        }
        assert!(model.answer("reboot", &mut chance, 0)["done"].is_u64());
        assert_eq!(model.answer("set", &mut chance, 0), json!({}));
    }

    #[test]
    fn strange_models_are_no_trouble() {
        let mut deep = json!({"type": "int"});
        for _ in 0..100 {
            deep = json!({"type": "array", "specs": {"size": 2, "item": deep}});
        }
        for tsl in [
            json!(null),
            json!([]),
            json!({"properties": {"a": 1}, "events": 7}),
            json!({"properties": [{"identifier": "a"}, 7, {"identifier": "d", "dataType": deep}]}),
            json!({"properties": [{"identifier": "a", "dataType":
                {"type": "int", "specs": {"min": "9e99", "max": "-9e99"}}}]}),
        ] {
            let model = Model::of(&tsl);
            let mut chance = Chance::new(0, 0);
            model.properties(&mut chance, 0);
            assert!(model.event(&mut chance, 0).is_none());
        }
    }
}

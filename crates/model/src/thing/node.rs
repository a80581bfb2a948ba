//! Reading one object of a thing-model document: every wrong key becomes a fault with its path,
//! and reading goes on, so that a person sees all faults at once.

use serde_json::{Map, Value};

use super::fault::{Faults, Flaw};
use super::{DataType, MAX_IDENTIFIER_CHARS, NumberSpec};

/// One object of the document and where it stands.
pub(super) struct Node<'a> {
    pub(super) object: &'a Map<String, Value>,
    pub(super) path: String,
}

impl<'a> Node<'a> {
    pub(super) fn new(value: &'a Value, path: String, faults: &mut Faults) -> Option<Self> {
        match value.as_object() {
            Some(object) => Some(Self { object, path }),
            None => {
                faults.add(path, Flaw::NotA("an object"));
                None
            }
        }
    }

    pub(super) fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    /// The value of a key; JSON null counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.object.get(key).filter(|value| !value.is_null())
    }

    /// The first of several spellings of a key that is there.
    pub(super) fn any(&self, keys: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        keys.iter()
            .find_map(|key| self.get(key).map(|value| (*key, value)))
    }

    pub(super) fn text(&self, key: &str, faults: &mut Faults) -> Option<&'a str> {
        let value = self.get(key)?;
        let text = value.as_str();
        if text.is_none() {
            faults.add(self.at(key), Flaw::NotA("a text"));
        }
        text
    }

    pub(super) fn needed(&self, key: &str, faults: &mut Faults) -> Option<&'a str> {
        if self.get(key).is_none() {
            faults.add(self.at(key), Flaw::Missing);
        }
        self.text(key, faults)
    }

    /// A text that may be absent or empty, as an owned text.
    pub(super) fn words(&self, key: &str, faults: &mut Faults) -> String {
        self.text(key, faults).unwrap_or_default().to_owned()
    }

    /// A scalar that documents write now as text, now as number.
    pub(super) fn scalar(&self, key: &str, faults: &mut Faults) -> Option<String> {
        match self.get(key)? {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => {
                faults.add(self.at(key), Flaw::NotA("a text or number"));
                None
            }
        }
    }

    pub(super) fn flag(&self, key: &str, faults: &mut Faults) -> bool {
        match self.get(key) {
            None => false,
            Some(Value::Bool(flag)) => *flag,
            Some(_) => {
                faults.add(self.at(key), Flaw::NotA("true or false"));
                false
            }
        }
    }

    /// A list of objects, absent meaning empty; longer ones than `limit` are not looked into.
    pub(super) fn nodes(&self, key: &str, limit: usize, faults: &mut Faults) -> Vec<Node<'a>> {
        match self.get(key) {
            None => Vec::new(),
            Some(Value::Array(list)) if list.len() > limit => {
                faults.add(self.at(key), Flaw::TooMany { limit });
                Vec::new()
            }
            Some(Value::Array(list)) => {
                let path = self.at(key);
                let elements = list.iter().enumerate();
                elements
                    .filter_map(|(i, value)| Node::new(value, element(&path, i, value), faults))
                    .collect()
            }
            Some(_) => {
                faults.add(self.at(key), Flaw::NotA("a list"));
                Vec::new()
            }
        }
    }

    pub(super) fn number<T: Scalar>(&self, key: &str, faults: &mut Faults) -> Option<T> {
        match self.get(key)? {
            Value::String(text) if text.is_empty() => None,
            value => {
                let number = T::read(value);
                if number.is_none() {
                    faults.add(self.at(key), Flaw::BadNumber);
                }
                number
            }
        }
    }

    /// A number that must be there.
    pub(super) fn count(&self, key: &str, faults: &mut Faults) -> Option<u32> {
        if self.get(key).is_none() {
            faults.add(self.at(key), Flaw::Missing);
        }
        let number = self.number::<i32>(key, faults)?;
        let count = u32::try_from(number).ok();
        if count.is_none() {
            faults.add(self.at(key), Flaw::BadNumber);
        }
        count
    }

    /// Both document forms call the parts of a number's specification by the same keys.
    pub(super) fn number_spec<T: Scalar>(&self, faults: &mut Faults) -> NumberSpec<T> {
        NumberSpec {
            min: self.number("min", faults),
            max: self.number("max", faults),
            step: self.number("step", faults),
            unit: self.words("unit", faults),
            unit_name: self.words("unitName", faults),
            default: self.scalar("defaultValue", faults),
            precise: self.scalar("precise", faults),
        }
    }
}

fn element(list: &str, index: usize, value: &Value) -> String {
    let named = ["identifier", "functionBlockId"]
        .iter()
        .find_map(|key| value.get(key)?.as_str())
        .filter(|name| !name.is_empty() && name.len() <= MAX_IDENTIFIER_CHARS);
    match named {
        Some(name) => format!("{list}.{name}"),
        None => format!("{list}[{index}]"),
    }
}

/// A number in a document, written as text or as number.
pub(super) trait Scalar: Sized {
    fn read(value: &Value) -> Option<Self>;
}

impl Scalar for f64 {
    fn read(value: &Value) -> Option<Self> {
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.filter(|number: &f64| number.is_finite())
    }
}

impl Scalar for i32 {
    fn read(value: &Value) -> Option<Self> {
        let number = f64::read(value)?;
        let whole = number.fract() == 0.0;
        let fits = (f64::from(i32::MIN)..=f64::from(i32::MAX)).contains(&number);
        // Checked above, so the cast is exact.
        (whole && fits).then_some(number as i32)
    }
}

/// Where in a type another type stands; documents allow two levels and no more, which also bounds
/// the depth of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The type of a property or parameter.
    Top,
    /// The type of a struct's field.
    Field,
    /// The type of an array's elements.
    Item,
}

impl Place {
    pub(super) fn admits(self, word: &str) -> bool {
        match self {
            Self::Top => true,
            Self::Field => !matches!(word, "struct" | "array"),
            Self::Item => matches!(word, "int" | "float" | "double" | "text" | "struct"),
        }
    }
}

/// All words for types, for messages.
pub(super) const TYPE_WORDS: &str = "int, float, double, enum, bool, text, date, struct, array";

/// A bool from its item names; other keys than 0 and 1 are faults.
pub(super) fn bool_type(
    items: impl IntoIterator<Item = (i32, String)>,
    path: &str,
    faults: &mut Faults,
) -> DataType {
    let (mut off, mut on) = (String::new(), String::new());
    for (key, name) in items {
        match key {
            0 => off = name,
            1 => on = name,
            _ => faults.add(
                format!("{path}.{key}"),
                Flaw::OutOfBounds { least: 0, most: 1 },
            ),
        }
    }
    DataType::Bool { off, on }
}

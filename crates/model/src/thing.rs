//! The thing model of a product: which properties its devices have, which events they raise and
//! which services they offer (seed 001 §6.5, §6.10). Start with [`Tsl`]; its documents are read
//! and written in `tsl` and `model_json`, edited in `edit`, and what devices and callers send is
//! held against it in `value` and `sift`.

mod check;
mod edit;
mod fault;
mod model_json;
mod node;
mod sift;
mod tsl;
mod value;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use edit::{BlockRef, EditError, Removal};
pub use fault::{Flaw, TslFault};
pub use model_json::{Pick, PublishedAs, from_model_json};
pub use sift::{
    FittedEvent, Kept, Sifted, SiftedOutput, Unsettable, fit_event, fit_service_input,
    fit_service_output, fit_settable, sift_properties,
};
pub use value::{Misfit, fit};

/// Longest thing-model document that is read, in bytes.
pub const MAX_DOCUMENT_BYTES: usize = 2 * 1024 * 1024;
/// Longest identifier of a function, parameter or struct field (ThingModelJson document).
pub const MAX_IDENTIFIER_CHARS: usize = 50;
/// Longest identifier of a block (custom module).
pub const MAX_BLOCK_ID_CHARS: usize = 30;
/// Longest display name. The documents say 20 to 40 depending on page and language; no device
/// depends on it, so one bound lies above all of them.
pub const MAX_NAME_CHARS: usize = 64;
/// Longest description.
pub const MAX_DESC_CHARS: usize = 2048;
/// Blocks of one product.
pub const MAX_BLOCKS: usize = 200;
/// Properties, events and services of one block together.
pub const MAX_FUNCTIONS: usize = 300;
/// Parameters of one event, or of one service in one direction.
pub const MAX_PARAMETERS: usize = 100;
/// Parameters of all events and services of one block together.
pub const MAX_ALL_PARAMETERS: usize = 300;
/// Fields of one struct.
pub const MAX_FIELDS: usize = 50;
/// Items of one enum.
pub const MAX_ENUM_ITEMS: usize = 100;
/// Longest text (the older documents say 2048).
pub const MAX_TEXT: u32 = 10_240;
/// Most elements of one array.
pub const MAX_ARRAY: u32 = 512;
/// Largest extended description of one function, as JSON bytes.
pub const MAX_EXTEND_BYTES: usize = 8 * 1024;

/// Words that no function and no parameter may be called (ThingModelJson document). `post`, `set`
/// and `get` are the functions every thing has; `value` and `time` wrap what a device sends.
pub const RESERVED: [&str; 7] = ["set", "get", "post", "property", "event", "time", "value"];

/// A thing model (TSL): the default block and the custom ones.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Tsl {
    /// Functions of the default block; their names on the wire are their identifiers.
    pub main: Functions,
    /// Custom blocks; on the wire their functions are called `block:identifier`.
    pub blocks: Vec<Block>,
}

/// A custom block (module) of a thing model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Identifier, unique in the product.
    pub id: String,
    /// Display name.
    pub name: String,
    /// What it contains.
    pub functions: Functions,
}

/// Properties, events and services of one block. Identifiers are unique among all three.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Functions {
    /// State that is read and set.
    pub properties: Vec<Property>,
    /// What devices report on their own; the built-in `post` is not listed.
    pub events: Vec<Event>,
    /// What devices do when asked; the built-in `set` and `get` are not listed.
    pub services: Vec<Service>,
}

/// A property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Property {
    /// Identifier, unique in its block.
    pub identifier: String,
    /// Display name.
    pub name: String,
    /// Description, may be empty.
    pub desc: String,
    /// Whether the standard category demands it; says nothing about single messages.
    pub required: bool,
    /// What the cloud may do with it.
    pub access: Access,
    /// Type of its values.
    pub data: DataType,
    /// Extended description (mapping to a field bus), kept as it came.
    pub extend: Option<Value>,
}

/// What the cloud may do with a property.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Access {
    /// `r`, `READ_ONLY`.
    Read,
    /// `w`, `WRITE_ONLY`.
    Write,
    /// `rw`, `READ_WRITE`.
    ReadWrite,
}

impl Access {
    /// Whether devices report it.
    pub fn readable(self) -> bool {
        matches!(self, Self::Read | Self::ReadWrite)
    }

    /// Whether the cloud may set it.
    pub fn writable(self) -> bool {
        matches!(self, Self::Write | Self::ReadWrite)
    }
}

/// An event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Identifier, unique in its block.
    pub identifier: String,
    /// Display name.
    pub name: String,
    /// Description, may be empty.
    pub desc: String,
    /// Whether the standard category demands it.
    pub required: bool,
    /// How serious it is.
    pub kind: EventKind,
    /// What it carries.
    pub output: Vec<Field>,
    /// Extended description, kept as it came.
    pub extend: Option<Value>,
}

/// How serious an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventKind {
    /// Information.
    Info,
    /// Alert.
    Alert,
    /// Fault.
    Error,
}

impl EventKind {
    /// The word of the TSL document and of event history: `info`, `alert`, `error`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Alert => "alert",
            Self::Error => "error",
        }
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Identifier, unique in its block.
    pub identifier: String,
    /// Display name.
    pub name: String,
    /// Description, may be empty.
    pub desc: String,
    /// Whether the standard category demands it.
    pub required: bool,
    /// Whether the caller waits for the device.
    pub call: CallType,
    /// Arguments.
    pub input: Vec<Field>,
    /// Results.
    pub output: Vec<Field>,
    /// Extended description, kept as it came.
    pub extend: Option<Value>,
}

/// Whether the caller of a service waits for the device (seed 001 §6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CallType {
    /// The call is answered at once, the result comes later as a fact.
    Async,
    /// The call is answered with the device's result.
    Sync,
}

/// A parameter of an event or service, or a field of a struct.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Identifier, unique among its siblings.
    pub identifier: String,
    /// Display name.
    pub name: String,
    /// Description, may be empty.
    pub desc: String,
    /// Whether it must be present.
    pub required: bool,
    /// Type of its values.
    pub data: DataType,
}

/// Type of a value with its specification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum DataType {
    /// 32-bit integer.
    Int(NumberSpec<i32>),
    /// Single-precision number.
    Float(NumberSpec<f64>),
    /// Double-precision number.
    Double(NumberSpec<f64>),
    /// One of the listed integers; the texts are names for people.
    Enum(BTreeMap<i32, String>),
    /// 0 or 1.
    Bool {
        /// What 0 means.
        off: String,
        /// What 1 means.
        on: String,
    },
    /// Text.
    Text {
        /// Longest value.
        length: u32,
        /// Value to suggest in forms.
        default: Option<String>,
    },
    /// UTC milliseconds, written as text.
    Date,
    /// Object of the listed fields, which are neither structs nor arrays.
    Struct(Vec<Field>),
    /// List of int, float, double, text or struct.
    Array {
        /// Most elements.
        size: u32,
        /// Type of every element.
        item: Box<DataType>,
    },
}

impl DataType {
    /// The word of the TSL document: `int`, `float`, …
    pub fn word(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Double(_) => "double",
            Self::Enum(_) => "enum",
            Self::Bool { .. } => "bool",
            Self::Text { .. } => "text",
            Self::Date => "date",
            Self::Struct(_) => "struct",
            Self::Array { .. } => "array",
        }
    }

    /// The unit's symbol; empty when there is none.
    pub fn unit(&self) -> &str {
        match self {
            Self::Int(spec) => &spec.unit,
            Self::Float(spec) | Self::Double(spec) => &spec.unit,
            Self::Enum(_)
            | Self::Bool { .. }
            | Self::Text { .. }
            | Self::Date
            | Self::Struct(_)
            | Self::Array { .. } => "",
        }
    }
}

/// Specification of a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NumberSpec<T> {
    /// Least value allowed.
    pub min: Option<T>,
    /// Greatest value allowed.
    pub max: Option<T>,
    /// Step of a slider. Values between steps are allowed: the documents give `step` no meaning
    /// for what devices post, and rounding a sensor's reading away would lose data.
    pub step: Option<T>,
    /// Unit's symbol, may be empty.
    pub unit: String,
    /// Unit's name, may be empty.
    pub unit_name: String,
    /// Value to suggest in forms.
    pub default: Option<String>,
    /// Digits to show.
    pub precise: Option<String>,
}

impl<T> Default for NumberSpec<T> {
    fn default() -> Self {
        Self {
            min: None,
            max: None,
            step: None,
            unit: String::new(),
            unit_name: String::new(),
            default: None,
            precise: None,
        }
    }
}

impl Functions {
    /// The property of that identifier.
    pub fn property(&self, identifier: &str) -> Option<&Property> {
        self.properties
            .iter()
            .find(|property| property.identifier == identifier)
    }

    /// The event of that identifier.
    pub fn event(&self, identifier: &str) -> Option<&Event> {
        self.events
            .iter()
            .find(|event| event.identifier == identifier)
    }

    /// The service of that identifier.
    pub fn service(&self, identifier: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.identifier == identifier)
    }

    /// Number of functions.
    pub fn len(&self) -> usize {
        self.properties.len() + self.events.len() + self.services.len()
    }

    /// Whether it defines nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Identifiers of all functions: properties, then events, then services.
    pub fn identifiers(&self) -> impl Iterator<Item = &str> {
        let properties = self
            .properties
            .iter()
            .map(|property| property.identifier.as_str());
        let events = self.events.iter().map(|event| event.identifier.as_str());
        let services = self
            .services
            .iter()
            .map(|service| service.identifier.as_str());
        properties.chain(events).chain(services)
    }
}

impl Tsl {
    /// The functions of one block: `None` is the default block.
    pub fn functions(&self, block: Option<&str>) -> Option<&Functions> {
        match block {
            None => Some(&self.main),
            Some(id) => self.block(id).map(|block| &block.functions),
        }
    }

    /// The custom block of that identifier.
    pub fn block(&self, id: &str) -> Option<&Block> {
        self.blocks.iter().find(|block| block.id == id)
    }

    /// The property a name on the wire means (`identifier` or `block:identifier`).
    pub fn property(&self, name: &str) -> Option<&Property> {
        let (functions, identifier) = self.resolve(name)?;
        functions.property(identifier)
    }

    /// The event a name on the wire means (`identifier` or `block:identifier`).
    pub fn event(&self, name: &str) -> Option<&Event> {
        let (functions, identifier) = self.resolve(name)?;
        functions.event(identifier)
    }

    /// The service a name on the wire means (`identifier` or `block:identifier`).
    pub fn service(&self, name: &str) -> Option<&Service> {
        let (functions, identifier) = self.resolve(name)?;
        functions.service(identifier)
    }

    /// All properties with their names on the wire.
    pub fn properties(&self) -> impl Iterator<Item = (String, &Property)> {
        let main = self
            .main
            .properties
            .iter()
            .map(|p| (p.identifier.clone(), p));
        let blocks = self.blocks.iter().flat_map(|block| {
            let properties = block.functions.properties.iter();
            properties.map(|p| (wire_name(Some(&block.id), &p.identifier), p))
        });
        main.chain(blocks)
    }

    fn resolve<'t, 'n>(&'t self, name: &'n str) -> Option<(&'t Functions, &'n str)> {
        match name.split_once(':') {
            None => Some((&self.main, name)),
            Some((block, identifier)) => Some((self.functions(Some(block))?, identifier)),
        }
    }
}

/// The name of a function on the wire.
pub fn wire_name(block: Option<&str>, identifier: &str) -> String {
    match block {
        None => identifier.to_owned(),
        Some(block) => format!("{block}:{identifier}"),
    }
}

#[cfg(test)]
pub(crate) mod samples;

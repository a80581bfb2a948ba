//! The limits of the documents, held against a whole thing model, wherever it came from.

use std::collections::HashSet;

use super::fault::{Faults, Flaw};
use super::{
    Block, DataType, Field, Functions, MAX_ALL_PARAMETERS, MAX_ARRAY, MAX_BLOCK_ID_CHARS,
    MAX_BLOCKS, MAX_DESC_CHARS, MAX_ENUM_ITEMS, MAX_EXTEND_BYTES, MAX_FIELDS, MAX_FUNCTIONS,
    MAX_IDENTIFIER_CHARS, MAX_NAME_CHARS, MAX_PARAMETERS, MAX_TEXT, NumberSpec, RESERVED, Tsl,
    TslFault,
};

impl Tsl {
    /// Holds the model against the limits of the documents. Models that were read from a document
    /// or edited have passed it.
    pub fn check(&self) -> Result<(), Vec<TslFault>> {
        let mut faults = Faults::default();
        tsl(self, &mut faults);
        faults.into_result(())
    }
}

pub(super) fn tsl(tsl: &Tsl, faults: &mut Faults) {
    functions(&tsl.main, "", faults);
    if tsl.blocks.len() > MAX_BLOCKS {
        faults.add("functionBlocks", Flaw::TooMany { limit: MAX_BLOCKS });
    }
    let mut seen = HashSet::new();
    for block in tsl.blocks.iter().take(MAX_BLOCKS) {
        let path = format!("functionBlocks.{}", clip(&block.id));
        self::block(block, &path, faults);
        if !seen.insert(&block.id) {
            faults.add(path, Flaw::Duplicate);
        }
    }
}

fn block(block: &Block, path: &str, faults: &mut Faults) {
    identifier(&block.id, MAX_BLOCK_ID_CHARS, path, faults);
    words(&block.name, MAX_NAME_CHARS, &format!("{path}.name"), faults);
    functions(&block.functions, &format!("{path}."), faults);
}

pub(super) fn functions(functions: &Functions, prefix: &str, faults: &mut Faults) {
    if functions.len() > MAX_FUNCTIONS {
        faults.add(
            format!("{prefix}properties"),
            Flaw::TooMany {
                limit: MAX_FUNCTIONS,
            },
        );
        return;
    }
    let mut seen = HashSet::new();
    let mut function = |kind: &str, name: &str, display: &str, desc: &str, faults: &mut Faults| {
        let path = format!("{prefix}{kind}.{}", clip(name));
        free_identifier(name, &path, faults);
        words(display, MAX_NAME_CHARS, &format!("{path}.name"), faults);
        words(desc, MAX_DESC_CHARS, &format!("{path}.desc"), faults);
        if !seen.insert(name.to_owned()) {
            faults.add(path.clone(), Flaw::Duplicate);
        }
        path
    };
    let mut parameters = 0;
    for p in &functions.properties {
        let path = function("properties", &p.identifier, &p.name, &p.desc, faults);
        data(&p.data, &format!("{path}.dataType"), faults);
        extend(p.extend.as_ref(), &path, faults);
    }
    for e in &functions.events {
        let path = function("events", &e.identifier, &e.name, &e.desc, faults);
        self::parameters(&e.output, &format!("{path}.outputData"), faults);
        extend(e.extend.as_ref(), &path, faults);
        parameters += e.output.len();
    }
    for s in &functions.services {
        let path = function("services", &s.identifier, &s.name, &s.desc, faults);
        self::parameters(&s.input, &format!("{path}.inputData"), faults);
        self::parameters(&s.output, &format!("{path}.outputData"), faults);
        extend(s.extend.as_ref(), &path, faults);
        parameters += s.input.len() + s.output.len();
    }
    if parameters > MAX_ALL_PARAMETERS {
        faults.add(
            format!("{prefix}services"),
            Flaw::TooMany {
                limit: MAX_ALL_PARAMETERS,
            },
        );
    }
}

fn parameters(list: &[Field], path: &str, faults: &mut Faults) {
    fields(list, MAX_PARAMETERS, path, faults);
    for field in list
        .iter()
        .filter(|field| RESERVED.contains(&field.identifier.as_str()))
    {
        faults.add(format!("{path}.{}", field.identifier), Flaw::Reserved);
    }
}

/// Struct fields may bear reserved words, unlike functions and parameters: they stand one level
/// deeper, where nothing of the protocol can be meant.
fn fields(list: &[Field], limit: usize, path: &str, faults: &mut Faults) {
    if list.len() > limit {
        faults.add(path, Flaw::TooMany { limit });
        return;
    }
    let mut seen = HashSet::new();
    for field in list {
        let path = format!("{path}.{}", clip(&field.identifier));
        identifier(&field.identifier, MAX_IDENTIFIER_CHARS, &path, faults);
        words(&field.name, MAX_NAME_CHARS, &format!("{path}.name"), faults);
        words(&field.desc, MAX_DESC_CHARS, &format!("{path}.desc"), faults);
        if !seen.insert(&field.identifier) {
            faults.add(path.clone(), Flaw::Duplicate);
        }
        data(&field.data, &format!("{path}.dataType"), faults);
    }
}

fn data(data: &DataType, path: &str, faults: &mut Faults) {
    match data {
        DataType::Int(spec) => number(spec, &0, path, faults),
        DataType::Float(spec) | DataType::Double(spec) => number(spec, &0.0, path, faults),
        DataType::Enum(items) => {
            if items.is_empty() || items.len() > MAX_ENUM_ITEMS {
                faults.add(path, bounds(MAX_ENUM_ITEMS));
            }
            for (key, name) in items.iter().take(MAX_ENUM_ITEMS) {
                words(name, MAX_NAME_CHARS, &format!("{path}.{key}"), faults);
            }
        }
        DataType::Bool { off, on } => {
            words(off, MAX_NAME_CHARS, &format!("{path}.0"), faults);
            words(on, MAX_NAME_CHARS, &format!("{path}.1"), faults);
        }
        DataType::Text { length, default } => {
            if !(1..=MAX_TEXT).contains(length) {
                let reason = Flaw::OutOfBounds {
                    least: 1,
                    most: MAX_TEXT,
                };
                faults.add(format!("{path}.length"), reason);
            }
            let default = default.as_deref().unwrap_or_default();
            words(
                default,
                MAX_DESC_CHARS,
                &format!("{path}.defaultValue"),
                faults,
            );
        }
        DataType::Date => {}
        DataType::Struct(list) => {
            if list.is_empty() {
                faults.add(path, bounds(MAX_FIELDS));
            }
            fields(list, MAX_FIELDS, path, faults);
        }
        DataType::Array { size, item } => {
            if !(1..=MAX_ARRAY).contains(size) {
                let reason = Flaw::OutOfBounds {
                    least: 1,
                    most: MAX_ARRAY,
                };
                faults.add(format!("{path}.size"), reason);
            }
            self::data(item, &format!("{path}.item"), faults);
        }
    }
}

fn bounds(most: usize) -> Flaw {
    Flaw::OutOfBounds {
        least: 1,
        most: u32::try_from(most).unwrap_or(u32::MAX),
    }
}

fn number<T: PartialOrd>(spec: &NumberSpec<T>, zero: &T, path: &str, faults: &mut Faults) {
    if let (Some(min), Some(max)) = (&spec.min, &spec.max)
        && min > max
    {
        faults.add(path, Flaw::Reversed);
    }
    if spec.step.as_ref().is_some_and(|step| step < zero) {
        faults.add(format!("{path}.step"), Flaw::BadNumber);
    }
    words(&spec.unit, MAX_NAME_CHARS, &format!("{path}.unit"), faults);
    words(
        &spec.unit_name,
        MAX_NAME_CHARS,
        &format!("{path}.unitName"),
        faults,
    );
    for (key, text) in [("defaultValue", &spec.default), ("precise", &spec.precise)] {
        let text = text.as_deref().unwrap_or_default();
        words(text, MAX_NAME_CHARS, &format!("{path}.{key}"), faults);
    }
}

fn free_identifier(text: &str, path: &str, faults: &mut Faults) {
    identifier(text, MAX_IDENTIFIER_CHARS, path, faults);
    if RESERVED.contains(&text) {
        faults.add(path, Flaw::Reserved);
    }
}

fn identifier(text: &str, limit: usize, path: &str, faults: &mut Faults) {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if text.is_empty() || text.len() > limit || !text.bytes().all(good) {
        faults.add(path, Flaw::BadIdentifier { limit });
    }
}

/// Texts for people. The documents restrict their alphabet (Chinese, Latin, a few signs); nothing
/// depends on that here, so only what would harm a terminal or a table is refused.
fn words(text: &str, limit: usize, path: &str, faults: &mut Faults) {
    let long = text.chars().take(limit + 1).count() > limit;
    let unruly = text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    if long || unruly {
        faults.add(path, Flaw::BadText { limit });
    }
}

fn extend(value: Option<&serde_json::Value>, path: &str, faults: &mut Faults) {
    if value.is_some_and(|value| value.to_string().len() > MAX_EXTEND_BYTES) {
        faults.add(
            format!("{path}.extendConfig"),
            Flaw::TooLarge {
                limit: MAX_EXTEND_BYTES,
            },
        );
    }
}

/// Identifiers in fault paths are clipped: they may be megabytes of somebody's mistake.
fn clip(text: &str) -> String {
    text.chars().take(MAX_IDENTIFIER_CHARS).collect()
}

//! Parameters of actions: how the table describes them, and how they are read (spec/cloud-api.md
//! §1.5). Reading is lenient in form (`True`, numbers as text, gaps in numbering), strict in type.

use super::Action;
use crate::codes::gateway::GatewayError;
use std::collections::BTreeMap;

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any text.
    Text,
    /// A whole number in decimal.
    Integer,
    /// `true` or `false`, in whatever case.
    Boolean,
    /// `Name.1`, `Name.2`, …, at most so many.
    List(usize),
    /// `Name.1.Field`, …: records of these fields, at most so many.
    Records(&'static [&'static str], usize),
}

/// Where clients put a parameter; the server looks in both places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the query.
    Query,
    /// In the form body.
    Body,
}

/// A parameter of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether a call without it is refused.
    pub required: bool,
    /// Where clients put it.
    pub place: Place,
}

impl Parameter {
    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            required: false,
            place: Place::Query,
        }
    }

    /// The same, and a call without it is refused.
    pub(crate) const fn needed(self) -> Self {
        Self {
            required: true,
            ..self
        }
    }

    /// The same, and clients put it into the form body.
    pub(crate) const fn in_body(self) -> Self {
        Self {
            place: Place::Body,
            ..self
        }
    }
}

pub(crate) const fn text(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Text)
}

pub(crate) const fn integer(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Integer)
}

pub(crate) const fn boolean(name: &'static str) -> Parameter {
    Parameter::new(name, Kind::Boolean)
}

pub(crate) const fn list(name: &'static str, most: usize) -> Parameter {
    Parameter::new(name, Kind::List(most))
}

pub(crate) const fn records(
    name: &'static str,
    fields: &'static [&'static str],
    most: usize,
) -> Parameter {
    Parameter::new(name, Kind::Records(fields, most))
}

pub(crate) const PRODUCT_KEY: Parameter = text("ProductKey");
pub(crate) const DEVICE_NAME: Parameter = text("DeviceName");
pub(crate) const IOT_ID: Parameter = text("IotId");

/// A record of a list: field → value.
pub type Record<'a> = BTreeMap<&'static str, &'a str>;

#[derive(Debug)]
enum Given<'a> {
    Text(&'a str),
    Integer(i64),
    Boolean(bool),
    List(Vec<&'a str>),
    Records(Vec<Record<'a>>),
}

/// The parameters of a call that keep the rules of their action. What the action does not know is
/// passed over: clients send `RegionId`, `IotInstanceId` and more with everything.
#[derive(Debug)]
pub struct Params<'a> {
    action: &'static Action,
    given: BTreeMap<&'static str, Given<'a>>,
}

impl<'a> Params<'a> {
    /// Reads the parameters of `action`.
    ///
    /// # Errors
    /// `Missing` or `Invalid` for the first one, in the order of the table, that breaks its rule.
    pub fn read(
        action: &'static Action,
        pairs: &'a [(String, String)],
    ) -> Result<Self, GatewayError> {
        let mut given = BTreeMap::new();
        for parameter in action.parameters {
            let name = parameter.name;
            let found = match parameter.kind {
                Kind::Text | Kind::Integer | Kind::Boolean => pairs
                    .iter()
                    .find(|(sent, _)| sent == name)
                    .map(|(_, value)| scalar(parameter, value))
                    .transpose()?
                    .flatten(),
                Kind::List(most) => list_of(name, most, pairs)?.map(Given::List),
                Kind::Records(fields, most) => {
                    records_of(name, fields, most, pairs)?.map(Given::Records)
                }
            };
            match found {
                Some(found) => {
                    given.insert(name, found);
                }
                None if parameter.required => return Err(GatewayError::Missing(name.into())),
                None => {}
            }
        }
        Ok(Self { action, given })
    }

    fn find(&self, name: &str) -> Option<&Given<'a>> {
        debug_assert!(
            self.action.parameters.iter().any(|p| p.name == name),
            "{} is not in the row of {}",
            name,
            self.action.name
        );
        self.given.get(name)
    }

    /// A text that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&'a str> {
        self.given_text(name).filter(|text| !text.is_empty())
    }

    /// A text, which may be empty.
    pub(crate) fn given_text(&self, name: &str) -> Option<&'a str> {
        match self.find(name) {
            Some(Given::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A required text; empty when it was sent so.
    pub(crate) fn needed(&self, name: &str) -> &'a str {
        self.given_text(name).unwrap_or_default()
    }

    /// A number.
    pub(crate) fn integer(&self, name: &str) -> Option<i64> {
        match self.find(name) {
            Some(Given::Integer(number)) => Some(*number),
            _ => None,
        }
    }

    /// A truth value.
    pub(crate) fn boolean(&self, name: &str) -> Option<bool> {
        match self.find(name) {
            Some(Given::Boolean(truth)) => Some(*truth),
            _ => None,
        }
    }

    /// The elements of a list, in the order of their numbers.
    pub(crate) fn list(&self, name: &str) -> &[&'a str] {
        match self.find(name) {
            Some(Given::List(list)) => list,
            _ => &[],
        }
    }

    /// The records of a list, in the order of their numbers.
    pub(crate) fn records(&self, name: &str) -> &[Record<'a>] {
        match self.find(name) {
            Some(Given::Records(records)) => records,
            _ => &[],
        }
    }
}

/// A number or a truth value that is empty counts as not given.
fn scalar<'a>(parameter: &Parameter, value: &'a str) -> Result<Option<Given<'a>>, GatewayError> {
    if parameter.kind == Kind::Text {
        return Ok(Some(Given::Text(value)));
    }
    let value = value.trim();
    if value.is_empty() {
        return Ok(None);
    }
    let (read, rule) = if parameter.kind == Kind::Boolean {
        let truth = match value.to_ascii_lowercase().as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        };
        (truth.map(Given::Boolean), "must be true or false")
    } else {
        let number = value.parse().ok().map(Given::Integer);
        (number, "must be a whole number")
    };
    read.map(Some).ok_or_else(|| invalid(parameter.name, rule))
}

fn invalid(name: &str, rule: impl Into<String>) -> GatewayError {
    GatewayError::Invalid {
        name: name.into(),
        rule: rule.into(),
    }
}

/// The number in `Name.N` and what follows it.
fn numbered<'a>(name: &str, sent: &'a str) -> Option<(u32, &'a str)> {
    let rest = sent.strip_prefix(name)?.strip_prefix('.')?;
    let (number, rest) = rest.split_once('.').unwrap_or((rest, ""));
    if number.starts_with(['0', '+']) {
        return None;
    }
    Some((number.parse().ok()?, rest))
}

fn bounded(name: &str, length: usize, most: usize) -> Result<(), GatewayError> {
    if length > most {
        return Err(invalid(name, format!("has more than {most} elements")));
    }
    Ok(())
}

fn list_of<'a>(
    name: &str,
    most: usize,
    pairs: &'a [(String, String)],
) -> Result<Option<Vec<&'a str>>, GatewayError> {
    let found: BTreeMap<u32, &str> = pairs
        .iter()
        .filter_map(|(sent, value)| match numbered(name, sent)? {
            (number, "") => Some((number, value.as_str())),
            _ => None,
        })
        .collect();
    bounded(name, found.len(), most)?;
    Ok((!found.is_empty()).then(|| found.into_values().collect()))
}

fn records_of<'a>(
    name: &str,
    fields: &'static [&'static str],
    most: usize,
    pairs: &'a [(String, String)],
) -> Result<Option<Vec<Record<'a>>>, GatewayError> {
    let mut found: BTreeMap<u32, Record<'a>> = BTreeMap::new();
    for (sent, value) in pairs {
        if let Some((number, field)) = numbered(name, sent)
            && let Some(field) = fields.iter().find(|known| **known == field)
        {
            found.entry(number).or_default().insert(field, value);
        }
    }
    bounded(name, found.len(), most)?;
    Ok((!found.is_empty()).then(|| found.into_values().collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codes::business::Family, iot::nothing};

    static ACTION: Action = Action::reads(
        "Sample",
        Family::DeviceRead,
        &[
            text("Name").needed(),
            integer("Size"),
            boolean("Simple"),
            list("DeviceName", 2),
            records("Tag", &["TagKey", "TagValue"], 2),
        ],
        |_| Box::pin(async { nothing() }),
    );

    fn pairs(text: &str) -> Vec<(String, String)> {
        credential::request::query::decode(text).expect("the sample can be read")
    }

    #[test]
    fn numbers_and_truths_are_read_leniently() {
        for (sent, simple) in [
            ("True", true),
            ("true", true),
            ("FALSE", false),
            ("0", false),
        ] {
            let pairs = pairs(&format!("Name=&Size=%2010&Simple={sent}&RegionId=x"));
            let params = Params::read(&ACTION, &pairs).expect("it is well formed");
            assert_eq!(params.integer("Size"), Some(10));
            assert_eq!(params.boolean("Simple"), Some(simple));
            assert_eq!(params.needed("Name"), "");
            assert_eq!(params.text("Name"), None);
        }
    }

    #[test]
    fn lists_keep_the_order_of_their_numbers() {
        let pairs = pairs(
            "Name=n&DeviceName.10=b&DeviceName.2=a&DeviceName.x=c&DeviceName=d&DeviceName.2.x=e\
             &Tag.1.TagKey=k&Tag.1.TagValue=v&Tag.3.TagKey=l&Tag.1.Other=o",
        );
        let params = Params::read(&ACTION, &pairs).expect("it is well formed");
        assert_eq!(params.list("DeviceName"), ["a", "b"]);
        let tags = params.records("Tag");
        assert_eq!(
            tags[0],
            BTreeMap::from([("TagKey", "k"), ("TagValue", "v")])
        );
        assert_eq!(tags[1], BTreeMap::from([("TagKey", "l")]));
    }

    #[test]
    fn what_breaks_its_rule_is_named() {
        for (query, code, part) in [
            ("Size=1", "MissingName", "Name"),
            ("Name=n&Size=ten", "InvalidParameter", "Size"),
            (
                "Name=n&Size=99999999999999999999",
                "InvalidParameter",
                "Size",
            ),
            ("Name=n&Simple=perhaps", "InvalidParameter", "Simple"),
            (
                "Name=n&DeviceName.1=a&DeviceName.2=b&DeviceName.3=c",
                "InvalidParameter",
                "DeviceName",
            ),
        ] {
            let pairs = pairs(query);
            let error = Params::read(&ACTION, &pairs).expect_err(query);
            assert_eq!(error.code(), code, "{query}");
            assert!(error.message().contains(part), "{query}");
        }
    }
}

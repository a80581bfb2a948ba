//! Edits of a thing model, one API action each. An edit gives a new model that has been checked,
//! or leaves everything as it was.

use super::{Block, Functions, Tsl, TslFault};

/// A custom block, as the API names it.
#[derive(Debug, Clone, Copy)]
pub struct BlockRef<'a> {
    /// Identifier.
    pub id: &'a str,
    /// Display name; needed only to call a new block other than its identifier.
    pub name: Option<&'a str>,
}

/// Identifiers of functions to remove from one block.
#[derive(Debug, Clone, Copy)]
pub struct Removal<'a> {
    /// Properties.
    pub properties: &'a [&'a str],
    /// Events.
    pub events: &'a [&'a str],
    /// Services.
    pub services: &'a [&'a str],
}

/// Why a thing model cannot be edited so.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EditError {
    /// There is no such block.
    #[error("there is no block {0}")]
    UnknownBlock(String),
    /// There is no such function in the block.
    #[error("there is no function {0}")]
    UnknownFunction(String),
    /// A function of that identifier is already there.
    #[error("there is already a function {0}")]
    AlreadyThere(String),
    /// The edit holds no function.
    #[error("no function is given")]
    NoFunction,
    /// An update must hold exactly one function.
    #[error("an update takes one function, {0} are given")]
    NotOneFunction(usize),
    /// An update cannot turn, say, a property into an event.
    #[error("function {0} is of another kind")]
    KindChanged(String),
    /// The edited model breaks the limits of the documents.
    #[error("the thing model would be invalid: {}", first(.0))]
    Invalid(Vec<TslFault>),
}

fn first(faults: &[TslFault]) -> String {
    faults.first().map(ToString::to_string).unwrap_or_default()
}

impl Tsl {
    /// Adds functions to a block (`None`: the default one); a block that is not there yet is
    /// made. An identifier that is taken refuses the whole edit.
    pub fn with_added(
        &self,
        block: Option<BlockRef<'_>>,
        added: &Functions,
    ) -> Result<Self, EditError> {
        if added.is_empty() {
            return Err(EditError::NoFunction);
        }
        let mut tsl = self.clone();
        let functions = tsl.functions_or_new(block);
        let taken = functions
            .identifiers()
            .find(|name| added.identifiers().any(|n| n == *name));
        if let Some(name) = taken {
            return Err(EditError::AlreadyThere(name.to_owned()));
        }
        functions.properties.extend_from_slice(&added.properties);
        functions.events.extend_from_slice(&added.events);
        functions.services.extend_from_slice(&added.services);
        tsl.checked()
    }

    /// Replaces one function of a block by another of the same kind, which may have another
    /// identifier.
    pub fn with_replaced(
        &self,
        block: Option<&str>,
        identifier: &str,
        by: &Functions,
    ) -> Result<Self, EditError> {
        let mut new_names = by.identifiers();
        let (Some(new_name), None) = (new_names.next(), new_names.next()) else {
            return Err(EditError::NotOneFunction(by.len()));
        };
        let mut tsl = self.clone();
        let functions = tsl.functions_mut(block)?;
        if !functions.identifiers().any(|name| name == identifier) {
            return Err(EditError::UnknownFunction(identifier.to_owned()));
        }
        if new_name != identifier && functions.identifiers().any(|name| name == new_name) {
            return Err(EditError::AlreadyThere(new_name.to_owned()));
        }
        let property = functions
            .properties
            .iter_mut()
            .find(|p| p.identifier == identifier);
        let event = functions
            .events
            .iter_mut()
            .find(|e| e.identifier == identifier);
        let service = functions
            .services
            .iter_mut()
            .find(|s| s.identifier == identifier);
        if let (Some(old), Some(new)) = (property, by.properties.first()) {
            old.clone_from(new);
        } else if let (Some(old), Some(new)) = (event, by.events.first()) {
            old.clone_from(new);
        } else if let (Some(old), Some(new)) = (service, by.services.first()) {
            old.clone_from(new);
        } else {
            return Err(EditError::KindChanged(identifier.to_owned()));
        }
        tsl.checked()
    }

    /// Removes functions from a block. An identifier that is not there refuses the whole edit. A
    /// custom block that is left empty stays.
    pub fn with_removed(
        &self,
        block: Option<&str>,
        removal: Removal<'_>,
    ) -> Result<Self, EditError> {
        let mut tsl = self.clone();
        let functions = tsl.functions_mut(block)?;
        let unknown = |wanted: &[&str], is_there: &dyn Fn(&str) -> bool| {
            wanted
                .iter()
                .find(|name| !is_there(name))
                .map(|name| (*name).to_owned())
        };
        let missing = unknown(removal.properties, &|name| {
            functions.property(name).is_some()
        })
        .or_else(|| unknown(removal.events, &|name| functions.event(name).is_some()))
        .or_else(|| unknown(removal.services, &|name| functions.service(name).is_some()));
        if let Some(name) = missing {
            return Err(EditError::UnknownFunction(name));
        }
        functions
            .properties
            .retain(|p| !removal.properties.contains(&p.identifier.as_str()));
        functions
            .events
            .retain(|e| !removal.events.contains(&e.identifier.as_str()));
        functions
            .services
            .retain(|s| !removal.services.contains(&s.identifier.as_str()));
        tsl.checked()
    }

    /// Replaces all functions of a block, as an import does; a block that is not there yet is
    /// made.
    pub fn with_imported(
        &self,
        block: Option<BlockRef<'_>>,
        imported: Functions,
    ) -> Result<Self, EditError> {
        let mut tsl = self.clone();
        *tsl.functions_or_new(block) = imported;
        if let Some(BlockRef {
            id,
            name: Some(name),
        }) = block
        {
            return tsl.with_block_named(id, name);
        }
        tsl.checked()
    }

    /// Gives a block another display name.
    pub fn with_block_named(&self, block: &str, name: &str) -> Result<Self, EditError> {
        let mut tsl = self.clone();
        let found = tsl.blocks.iter_mut().find(|b| b.id == block);
        let found = found.ok_or_else(|| EditError::UnknownBlock(block.to_owned()))?;
        name.clone_into(&mut found.name);
        tsl.checked()
    }

    /// Removes a custom block with all it contains.
    pub fn without_block(&self, block: &str) -> Result<Self, EditError> {
        let mut tsl = self.clone();
        tsl.blocks.retain(|b| b.id != block);
        if tsl.blocks.len() == self.blocks.len() {
            return Err(EditError::UnknownBlock(block.to_owned()));
        }
        Ok(tsl)
    }

    fn checked(self) -> Result<Self, EditError> {
        match self.check() {
            Ok(()) => Ok(self),
            Err(faults) => Err(EditError::Invalid(faults)),
        }
    }

    fn functions_mut(&mut self, block: Option<&str>) -> Result<&mut Functions, EditError> {
        let Some(id) = block else {
            return Ok(&mut self.main);
        };
        let found = self.blocks.iter_mut().find(|block| block.id == id);
        let found = found.ok_or_else(|| EditError::UnknownBlock(id.to_owned()))?;
        Ok(&mut found.functions)
    }

    fn functions_or_new(&mut self, block: Option<BlockRef<'_>>) -> &mut Functions {
        let Some(BlockRef { id, name }) = block else {
            return &mut self.main;
        };
        let index = self
            .blocks
            .iter()
            .position(|block| block.id == id)
            .unwrap_or_else(|| {
                self.blocks.push(Block {
                    id: id.to_owned(),
                    name: name.unwrap_or(id).to_owned(),
                    functions: Functions::default(),
                });
                self.blocks.len() - 1
            });
        &mut self.blocks[index].functions
    }
}

#[cfg(test)]
mod tests {
    //! [AL-6.12] Edits of the API: create, update, delete, import.

    use super::*;
    use crate::thing::{from_model_json, samples};

    fn property(identifier: &str) -> Functions {
        let json = format!(
            r#"{{"properties":[{{"identifier":"{identifier}","name":"New","rwFlag":"READ_ONLY",
            "dataType":"INT","dataSpecs":{{"dataType":"INT","min":"0","max":"9","step":"1"}}}}]}}"#
        );
        from_model_json(&json).expect("good")
    }

    const NONE: Removal<'_> = Removal {
        properties: &[],
        events: &[],
        services: &[],
    };

    #[test]
    fn functions_are_added_to_the_default_block_and_to_new_ones() {
        let tsl = Tsl::default()
            .with_added(None, &property("A"))
            .expect("default block");
        let block = BlockRef {
            id: "b1",
            name: Some("Block one"),
        };
        let tsl = tsl
            .with_added(Some(block), &property("A"))
            .expect("new block");
        let tsl = tsl
            .with_added(Some(block), &property("B"))
            .expect("known block");
        assert_eq!(tsl.block("b1").map(|b| b.name.as_str()), Some("Block one"));
        let names: Vec<String> = tsl.properties().map(|(name, _)| name).collect();
        assert_eq!(names, ["A", "b1:A", "b1:B"]);

        let again = tsl.with_added(Some(block), &property("B"));
        assert_eq!(again, Err(EditError::AlreadyThere("B".into())));
        let nothing = tsl.with_added(None, &Functions::default());
        assert_eq!(nothing, Err(EditError::NoFunction));
        let bad = BlockRef {
            id: "b 2",
            name: None,
        };
        assert!(matches!(
            tsl.with_added(Some(bad), &property("A")),
            Err(EditError::Invalid(_))
        ));
    }

    #[test]
    fn one_function_is_replaced_by_one_of_its_kind() {
        let tsl = samples::rich();
        let edited = tsl
            .with_replaced(None, "Level", &property("Depth"))
            .expect("renamed");
        assert!(edited.property("Level").is_none());
        assert_eq!(
            edited.main.properties[0].identifier, "Depth",
            "it keeps its place"
        );
        let edited = tsl
            .with_replaced(Some("room_1"), "Heat", &property("Heat"))
            .expect("same");
        assert_eq!(
            edited.property("room_1:Heat").map(|p| p.name.as_str()),
            Some("New")
        );

        let refused = |block: Option<&str>, name: &str, by: &Functions| {
            tsl.with_replaced(block, name, by)
                .expect_err("refused")
                .to_string()
        };
        assert_eq!(
            refused(None, "Lewel", &property("X")),
            "there is no function Lewel"
        );
        assert_eq!(
            refused(Some("b"), "Level", &property("X")),
            "there is no block b"
        );
        assert_eq!(
            refused(None, "Level", &property("Mode")),
            "there is already a function Mode"
        );
        assert_eq!(
            refused(None, "Alarm", &property("X")),
            "function Alarm is of another kind"
        );
        let none = Functions::default();
        assert_eq!(
            refused(None, "Level", &none),
            "an update takes one function, 0 are given"
        );
    }

    #[test]
    fn functions_are_removed_all_or_none() {
        let tsl = samples::rich();
        let removal = Removal {
            properties: &["Level", "Mode"],
            events: &["Alarm"],
            services: &["SetWeight"],
        };
        let edited = tsl.with_removed(None, removal).expect("removed");
        assert_eq!(edited.main.len(), tsl.main.len() - 4);
        assert!(edited.property("Level").is_none() && edited.service("SetWeight").is_none());

        let removal = Removal {
            properties: &["Level", "Alarm"],
            ..NONE
        };
        let refused = tsl.with_removed(None, removal);
        assert_eq!(
            refused,
            Err(EditError::UnknownFunction("Alarm".into())),
            "an event"
        );
        let refused = tsl.with_removed(Some("b"), NONE);
        assert_eq!(refused, Err(EditError::UnknownBlock("b".into())));
    }

    #[test]
    fn blocks_are_imported_renamed_and_removed() {
        let tsl = samples::rich();
        let block = BlockRef {
            id: "room_1",
            name: Some("Hall"),
        };
        let edited = tsl
            .with_imported(Some(block), property("Only").clone())
            .expect("imported");
        let found = edited.block("room_1").expect("still there");
        assert_eq!((found.name.as_str(), found.functions.len()), ("Hall", 1));
        assert_eq!(
            tsl.without_block("room_1").expect("removed").blocks.len(),
            0
        );
        assert!(matches!(
            tsl.without_block("x"),
            Err(EditError::UnknownBlock(_))
        ));
        assert!(matches!(
            tsl.with_block_named("x", "y"),
            Err(EditError::UnknownBlock(_))
        ));
        assert!(matches!(
            tsl.with_block_named("room_1", "\u{7}"),
            Err(EditError::Invalid(_))
        ));
    }
}

//! The effective configuration as TOML, each value with its source.

use super::{Config, Loaded};
use serde_json::{Map, Value};
use std::fmt::Write;

impl Loaded {
    /// The configuration as a file that could be used as it is. No secret is in it: keys are
    /// named by file or variable.
    pub fn print(&self) -> String {
        let mut page = String::from(
            "# The effective configuration of Muster, with the source of each value.\n",
        );
        if let Ok(Value::Object(table)) = serde_json::to_value(&self.config) {
            self.section(&table, "", &mut page);
        }
        page
    }

    /// The values of one section, then the sections in it.
    fn section(&self, table: &Map<String, Value>, path: &str, page: &mut String) {
        let (sections, values): (Vec<_>, Vec<_>) =
            table.iter().partition(|(_, value)| value.is_object());
        if !path.is_empty() && !values.is_empty() {
            let _ = write!(page, "\n[{path}]\n");
        }
        let join = |name: &str| match path {
            "" => name.to_owned(),
            path => format!("{path}.{name}"),
        };
        for (name, value) in values {
            let source = self.source(&join(name));
            let _ = match toml::Value::try_from(value) {
                Ok(value) if !matches!(value, toml::Value::Table(_)) => {
                    writeln!(page, "{:<48} # {source}", format!("{name} = {value}"))
                }
                _ => writeln!(page, "{:<48} # not set", format!("# {name} =")),
            };
        }
        for (name, value) in sections {
            if let Value::Object(inner) = value {
                self.section(inner, &join(name), page);
            }
        }
    }
}

impl Config {
    /// The keys with their values as JSON, for programs.
    pub fn to_json(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use super::super::Choices;
    use super::*;

    #[test]
    fn what_is_printed_is_a_configuration_that_says_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let mut choices = Choices {
            folder: folder.path().into(),
            ..Choices::default()
        };
        choices.set("listen.mqtts.address=[::1]:9").unwrap();
        choices.set("tls.names=a.example").unwrap();
        let loaded = Config::load(&choices).unwrap();
        let page = loaded.print();
        assert!(page.contains("[listen.mqtts]"), "{page}");
        let line = page
            .lines()
            .find(|line| line.contains("[::1]:9"))
            .unwrap_or_default();
        assert!(
            line.ends_with("# flag --set listen.mqtts.address"),
            "{page}"
        );
        assert!(page.contains("# host ="), "{page}");
        std::fs::write(folder.path().join("muster.toml"), &page).unwrap();
        choices.flags.clear();
        assert_eq!(Config::load(&choices).unwrap().config, loaded.config);
    }
}

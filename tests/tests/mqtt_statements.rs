//! Every normative statement of MQTT 3.1.1 and 5 is a row of `docs/mqtt-conformance.md`, and each
//! that binds a server is shown by a test.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

/// A row of the table.
#[derive(Debug)]
struct Row {
    id: String,
    binds: String,
    /// `file::test` of each test that shows it.
    tests: Vec<String>,
    says: String,
}

/// The rows under a heading that begins with this.
fn rows(heading: &str) -> Vec<Row> {
    let path = tests::root().join("docs/mqtt-conformance.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let chapter = text
        .split("\n## ")
        .find(|chapter| chapter.starts_with(heading))
        .unwrap_or_else(|| panic!("no chapter {heading}"));
    chapter
        .lines()
        .filter(|line| line.starts_with("| MQTT-"))
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let [id, says, binds, shown] = cells[..] else {
                panic!("four cells: {line}")
            };
            let tests = shown
                .split('`')
                .filter(|word| word.contains("::"))
                .map(str::to_owned)
                .collect();
            Row {
                id: id.into(),
                binds: binds.into(),
                tests,
                says: shown.into(),
            }
            .checked(says)
        })
        .collect()
}

impl Row {
    fn checked(self, statement: &str) -> Self {
        assert!(!statement.is_empty(), "{} says nothing", self.id);
        let known = ["server", "client", "both", "–"];
        assert!(known.contains(&&*self.binds), "{self:?}");
        self
    }
}

/// The tests in a folder, as `file::name`, and the statements that each bears.
fn tests_in(folder: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    walk(&tests::root().join(folder), folder, &mut found);
    assert!(!found.is_empty(), "no tests in {folder}");
    found
}

fn walk(path: &Path, name: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in std::fs::read_dir(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())) {
        let path = entry.expect("an entry").path();
        let file = path.file_name().expect("a name").to_string_lossy();
        let name = format!("{name}/{file}");
        if path.is_dir() {
            walk(&path, &name, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = std::fs::read_to_string(&path).expect("text");
            read(&text, &name, found);
        }
    }
}

fn read(text: &str, file: &str, found: &mut BTreeMap<String, BTreeSet<String>>) {
    let file = file.strip_prefix("tests/tests/").unwrap_or(file);
    let (mut bears, mut is_test) = (BTreeSet::new(), false);
    for line in text.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("///") {
            bears.extend(statements(comment));
        } else if line.starts_with("#[") {
            is_test |= line == "#[test]" || line == "#[tokio::test]";
        } else {
            let line = line.strip_prefix("async ").unwrap_or(line);
            if is_test && let Some(name) = line.strip_prefix("fn ") {
                let name = name.split('(').next().unwrap_or(name);
                found.insert(format!("{file}::{name}"), std::mem::take(&mut bears));
            }
            bears.clear();
            is_test = false;
        }
    }
}

/// The statements named in brackets.
fn statements(text: &str) -> Vec<String> {
    text.split('[')
        .skip(1)
        .filter_map(|rest| rest.split_once(']').map(|(id, _)| id))
        .filter(|id| id.starts_with("MQTT-"))
        .map(str::to_owned)
        .collect()
}

fn check(heading: &str, folder: &str, count: usize) {
    let rows = rows(heading);
    let tests = tests_in(folder);
    let elsewhere = tests_in("crates/access/src/access/tests");
    let ids: BTreeSet<_> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!((ids.len(), rows.len()), (count, count), "rows of {heading}");
    let mut wrong = Vec::new();
    for row in &rows {
        let Row { id, binds, .. } = row;
        let must = binds == "server" || binds == "both";
        if must && row.tests.is_empty() {
            wrong.push(format!("{id} binds the server and no test shows it"));
        }
        if !must && row.says.is_empty() {
            wrong.push(format!("{id} does not say what the server does"));
        }
        for test in &row.tests {
            match tests.get(test).or_else(|| elsewhere.get(test)) {
                None => wrong.push(format!("{id} is shown by {test}, which is no test")),
                Some(bears) if !bears.contains(id) => {
                    wrong.push(format!("{test} does not bear [{id}]"));
                }
                Some(_) => {}
            }
        }
    }
    for (test, bears) in &tests {
        if bears.is_empty() {
            wrong.push(format!("{test} bears no statement"));
        }
        for id in bears.iter().filter(|id| !ids.contains(id.as_str())) {
            wrong.push(format!("{test} bears {id}, which is no row"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Appendix B of the standard of 2014.
#[test]
fn every_statement_of_mqtt_3_1_1_that_binds_a_server_is_shown() {
    check("MQTT 3.1.1", "tests/tests/mqtt_v3", 141);
}

/// Appendix B of the standard of 2019.
#[test]
fn every_statement_of_mqtt_5_that_binds_a_server_is_shown() {
    check("MQTT 5", "tests/tests/mqtt_v5", 251);
}

//! What is promised is proven: every capability of this surface has a test that bears its id, and
//! every action of the application API is called from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The capabilities that are there so far (rows of the requirements).
const THERE: [&str; 51] = [
    "AL-2.1", "AL-2.2", "AL-2.3", "AL-2.4", "AL-2.5", "AL-2.6", "AL-3.1", "AL-3.2", "AL-3.3",
    "AL-3.4", "AL-3.5", "AL-3.6", "AL-3.7", "AL-3.11", "AL-3.12", "AL-3.13", "AL-4.1", "AL-4.2",
    "AL-5.1", "AL-6.1", "AL-6.2", "AL-6.3", "AL-6.4", "AL-6.5", "AL-6.7", "AL-6.8", "AL-6.9",
    "AL-6.10", "AL-6.11", "AL-6.12", "AL-6.13", "AL-6.14", "AL-7.1", "FS-1", "FS-2", "FS-3",
    "FS-4", "FS-5", "FS-6", "FS-8", "ID-1", "ID-2", "ID-3", "ID-4", "ID-5", "ID-6", "ID-7", "ID-8",
    "ID-9", "LK-1", "LK-2",
];

/// The rows of the requirements, which lie beside the repository: `MUSTER_SHARED`, or the nearest
/// folder `shared` on the way up.
fn rows() -> BTreeSet<String> {
    let shared = std::env::var_os("MUSTER_SHARED").map(PathBuf::from);
    let shared = shared.or_else(|| {
        let mut folders = tests::root();
        while folders.pop() {
            let found = folders.join("shared");
            if found.join("spec/requirements.md").exists() {
                return Some(found);
            }
        }
        None
    });
    let Some(shared) = shared else {
        panic!(
            "spec/requirements.md is in no folder `shared` above {}; set MUSTER_SHARED to that folder",
            tests::root().display()
        );
    };
    let path = shared.join("spec/requirements.md");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let rows: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .filter(|id| is_id(id))
        .map(str::to_owned)
        .collect();
    assert!(rows.len() > 50, "{} has no rows: {rows:?}", path.display());
    rows
}

/// Two capital letters, a dash, and numbers with points.
fn is_id(text: &str) -> bool {
    text.split_once('-').is_some_and(|(chapter, number)| {
        chapter.len() == 2
            && chapter.bytes().all(|b| b.is_ascii_uppercase())
            && number.starts_with(|c: char| c.is_ascii_digit())
            && number.bytes().all(|b| b.is_ascii_digit() || b == b'.')
    })
}

/// The test code of the repository: what stands under `tests`, the contract suites, and what
/// follows `#[cfg(test)]` elsewhere.
fn test_code() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for folder in ["crates", "tests"] {
        walk(&tests::root().join(folder), &mut found);
    }
    assert!(
        found.len() > 20,
        "the test code is not there: {:?}",
        found.keys()
    );
    found
}

fn walk(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, found);
            continue;
        }
        // Lists of names are not tests of what they name.
        if path.extension().is_none_or(|e| e != "rs") || path.ends_with("coverage.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let all = path.ends_with("tests.rs")
            || path
                .iter()
                .any(|part| part == "tests" || part == "contract");
        let from = if all {
            Some(0)
        } else {
            text.find("#[cfg(test)]")
        };
        if let Some(from) = from {
            found.insert(path, text[from..].to_owned());
        }
    }
}

#[test]
fn every_capability_has_a_test_that_bears_its_id() {
    let (rows, code) = (rows(), test_code());
    let unknown: Vec<_> = THERE.iter().filter(|id| !rows.contains(**id)).collect();
    assert!(
        unknown.is_empty(),
        "no rows of the requirements: {unknown:?}"
    );
    let missing: Vec<_> = THERE
        .iter()
        .filter(|id| !code.values().any(|text| text.contains(&format!("[{id}]"))))
        .collect();
    assert!(missing.is_empty(), "no test bears {missing:?}");
}

/// An id that no row has is a slip of the pen, and proves nothing.
#[test]
fn every_id_that_a_test_bears_is_that_of_a_row() {
    let rows = rows();
    for (path, text) in test_code() {
        for id in text
            .split('[')
            .skip(1)
            .filter_map(|rest| rest.split(']').next())
        {
            assert!(
                !is_id(id) || rows.contains(id),
                "{} bears {id}, which is no row",
                path.display()
            );
        }
    }
}

/// [AL-7.1] Every action is called from outside, over HTTP, and not only beside the hub.
#[test]
fn every_action_is_called_from_outside() {
    let outside = tests::root().join("tests");
    let code: String = test_code()
        .into_iter()
        .filter(|(path, _)| path.starts_with(&outside))
        .map(|(_, text)| text)
        .collect();
    let missing: Vec<_> = aliyun::iot::actions()
        .chain(aliyun::id2::ROWS)
        .map(|action| action.name)
        .filter(|name| !code.contains(&format!("\"{name}\"")))
        .collect();
    assert!(missing.is_empty(), "no test calls {missing:?}");
}

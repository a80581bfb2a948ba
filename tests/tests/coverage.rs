//! What is promised is proven: every capability of this surface has a test that bears its id, and
//! every action of the application API is called from outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// The capabilities that are there so far (rows of the requirements).
const THERE: [&str; 52] = [
    "AL-2.1", "AL-2.2", "AL-2.3", "AL-2.4", "AL-2.5", "AL-2.6", "AL-3.1", "AL-3.2", "AL-3.3",
    "AL-3.4", "AL-3.5", "AL-3.6", "AL-3.7", "AL-3.11", "AL-3.12", "AL-3.13", "AL-4.1", "AL-4.2",
    "AL-5.1", "AL-6.1", "AL-6.2", "AL-6.3", "AL-6.4", "AL-6.5", "AL-6.7", "AL-6.8", "AL-6.9",
    "AL-6.10", "AL-6.11", "AL-6.12", "AL-6.13", "AL-6.14", "AL-7.1", "FS-1", "FS-2", "FS-3",
    "FS-4", "FS-5", "FS-6", "FS-7", "FS-8", "ID-1", "ID-2", "ID-3", "ID-4", "ID-5", "ID-6", "ID-7",
    "ID-8", "ID-9", "LK-1", "LK-2",
];

/// A document of the specification.
fn document(name: &str) -> (PathBuf, String) {
    let path = tests::shared().join("spec").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    (path, text)
}

/// The rows of the requirements.
fn rows() -> BTreeSet<String> {
    let (path, text) = document("requirements.md");
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

/// Topics of chapters 5 and 6 of document 001, by section, without what comes before the names of
/// the device below `/sys` and `/ext/session`, and behind them below `/ota` and `/ext/error`.
const TOPICS: [(&str, &str); 33] = [
    ("6.2", "thing/sub/register"),
    ("6.3", "thing/topo/add"),
    ("6.3", "thing/topo/delete"),
    ("6.3", "thing/topo/get"),
    ("6.3", "thing/topo/add/notify"),
    ("6.3", "thing/list/found"),
    ("6.4", "combine/login"),
    ("6.4", "combine/logout"),
    ("6.5", "thing/event/property/post"),
    ("6.5", "thing/event/property/pack/post"),
    ("6.5", "thing/event/property/ack/post"),
    ("6.5", "thing/event/{tsl.event.identifier}/post"),
    ("6.5", "thing/service/property/set"),
    ("6.5", "thing/service/{tsl.service.identifier}"),
    ("6.5", "thing/model/up_raw"),
    ("6.5", "thing/model/down_raw"),
    ("6.6", "thing/property/desired/get"),
    ("6.6", "thing/property/desired/delete"),
    ("6.7", "thing/model/config/push"),
    ("6.8", "thing/disable"),
    ("6.8", "thing/enable"),
    ("6.8", "thing/delete"),
    ("6.9", "thing/deviceinfo/update"),
    ("6.9", "thing/deviceinfo/delete"),
    ("6.10", "thing/dsltemplate/get"),
    ("6.11", "/ota/device/inform"),
    ("6.11", "/ota/device/upgrade"),
    ("6.11", "/ota/device/progress"),
    ("6.11", "/ota/device/request"),
    ("6.12", "thing/config/get"),
    ("6.12", "thing/config/push"),
    // Where chapter 5 sends what goes wrong.
    ("5-3", "/ext/error"),
    ("5-4", "/ext/error"),
];

/// How a test writes a topic.
fn written(topic: &str) -> &str {
    match topic {
        "combine/login" => "combine(\"login\"",
        "combine/logout" => "combine(\"logout\"",
        "thing/event/{tsl.event.identifier}/post" => "thing/event/{event}/post",
        "thing/service/{tsl.service.identifier}" => "thing/service/Tare",
        // The next message on the gateway's error topic.
        "/ext/error" => ".error()",
        plain => plain,
    }
}

/// A topic to which rules of the cloud forward what devices answered; no device sees it.
const OF_RULES: &str = "thing/downlink/reply/message";

/// Topics that nothing is behind yet: payloads of the customer's own form need the scripts of a
/// later issue.
const LATER: [&str; 2] = ["thing/model/up_raw", "thing/model/down_raw"];

/// Codes of chapters 5 and 6 of document 001, by table or section.
const CODES: [(&str, &[u32]); 15] = [
    ("5-1", &[460, 429, 428, 6401, 6100, 521, 522, 6287, 500]),
    ("5-2", &[460, 520, 500]),
    ("5-3", &[427, 521, 522, 6401]),
    ("5-4", &[520]),
    ("6.2", &[460, 6402, 401]),
    ("6.3", &[460, 6402, 401, 6100, 6250, 6280]),
    ("6.4", &[460, 429, 428, 6401, 6100, 521, 522, 6287, 520]),
    ("6.5", &[200, 460, 6106, 6313]),
    ("6.6", &[200, 460]),
    ("6.9", &[200, 460, 6100]),
    ("6.10", &[200, 460, 6321]),
    ("6.11", &[500]),
    ("6.12", &[200, 6713, 6710]),
    ("6.13", &[200, 400, 460, 429]),
    ("6.8", &[]),
];

/// Codes that no device can be made to see from outside: our own trouble, and devices that are gone
/// while their connection still stands. The tests beside the tables of codes name them.
const INSIDE: [(&str, u32); 4] = [("5-1", 500), ("5-2", 500), ("6.9", 6100), ("6.10", 6321)];

/// The tests of the folder `tests`, each with the words above it: from where the one before it ends.
/// The second text is the code alone.
fn blocks() -> Vec<(String, String)> {
    let outside = tests::root().join("tests/tests");
    let code = test_code();
    let texts = code.iter().filter(|(path, _)| path.starts_with(&outside));
    let block = |block: &str| {
        let lines = block.lines().filter(|line| !line.trim().starts_with("//"));
        (block.to_owned(), lines.collect::<Vec<_>>().join("\n"))
    };
    texts
        .flat_map(|(_, text)| text.split("\n}\n").map(block))
        .collect()
}

fn mark(section: &str) -> String {
    format!("[001 {section}]")
}

/// Whether a number stands in a text by itself.
fn names(text: &str, number: u32) -> bool {
    let number = number.to_string();
    let edge = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '_');
    text.match_indices(&number).any(|(at, _)| {
        edge(text[..at].chars().next_back()) && edge(text[at + number.len()..].chars().next())
    })
}

/// Chapters 5 and 6 of document 001, line by line, each with its section, or with its table where
/// the codes of chapter 5 are.
fn lines_of_the_document() -> Vec<(String, String)> {
    let text = tests::seed("001");
    let (_, chapters) = text
        .split_once("\n5 子设备相关错误码\n")
        .expect("chapter 5");
    let mut section = String::new();
    let mut lines = Vec::new();
    for line in chapters.lines() {
        if let Some((table, _)) = line
            .strip_prefix("表 ")
            .and_then(|rest| rest.split_once(':'))
            .filter(|(table, _)| table.starts_with("5-"))
        {
            section = table.to_owned();
        } else if let Some((number, _)) = line.split_once(' ').filter(|(number, _)| {
            number
                .strip_prefix("6.")
                .is_some_and(|n| n.parse::<u32>().is_ok())
        }) {
            section = number.to_owned();
        }
        lines.push((section.clone(), line.to_owned()));
    }
    lines
}

/// What stands in the lists is what stands in the document: no topic and no code is left out.
#[test]
fn the_lists_are_those_of_the_document() {
    let mut missing = BTreeSet::new();
    let (mut topics, mut codes) = (BTreeSet::new(), 0);
    for (section, line) in lines_of_the_document() {
        // A row of a table of codes: a number, a text, and what it means.
        let mut cells = line.split('\t');
        let number = cells.next().and_then(|cell| cell.parse::<u32>().ok());
        if let Some(code) = number.filter(|_| cells.count() == 2) {
            codes += 1;
            let listed = CODES
                .iter()
                .any(|(of, list)| *of == section && list.contains(&code));
            if !listed {
                missing.insert(format!("{section}: {code}"));
            }
        }
        let plain = line.replace('\\', "");
        for at in ["/sys/", "/ext/session/", "/ext/error/", "/ota/device/"] {
            for (start, _) in plain.match_indices(at) {
                let rest = &plain[start..];
                let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || "/_{}.$".contains(c)));
                let whole = rest[..end.unwrap_or(rest.len())].trim_end_matches("_reply");
                let names = whole
                    .split('/')
                    .filter(|level| level.contains("roductKey"))
                    .count();
                let topic = match at {
                    "/ota/device/" | "/ext/error/" => {
                        whole.split("/$").next().and_then(|t| t.split("/{").next())
                    }
                    _ => whole
                        .split_once("eviceName}/")
                        .map(|(_, topic)| topic)
                        .filter(|topic| !topic.is_empty()),
                };
                if let (Some(topic), 1) = (topic, names) {
                    topics.insert(topic.to_owned());
                }
            }
        }
    }
    assert!(codes > 35, "the tables of codes are not read: {codes}");
    assert!(topics.len() > 25, "the topics are not read: {topics:?}");
    for topic in topics {
        let listed = TOPICS.iter().any(|(_, listed)| *listed == topic);
        if !listed && topic != OF_RULES {
            missing.insert(topic);
        }
    }
    assert!(missing.is_empty(), "in no list: {missing:?}");
}

/// [AL-6.12] Every topic of chapters 5 and 6 is used by a test that bears its section.
#[test]
fn every_topic_of_the_document_is_reached() {
    let blocks = blocks();
    let missing: Vec<_> = TOPICS
        .iter()
        .filter(|(_, topic)| !LATER.contains(topic))
        .filter(|(section, topic)| {
            let (mark, topic) = (mark(section), written(topic));
            !blocks
                .iter()
                .any(|(all, code)| all.contains(&mark) && code.contains(topic))
        })
        .collect();
    assert!(missing.is_empty(), "no test reaches {missing:?}");
}

/// [AL-5.1] [AL-6.14] Every code of chapters 5 and 6 stands in the code of a test that bears its
/// table.
#[test]
fn every_code_of_the_document_is_reached() {
    let blocks = blocks();
    let inside: String = test_code()
        .into_iter()
        .filter(|(path, _)| path.components().any(|part| part.as_os_str() == "codes"))
        .map(|(_, text)| text)
        .collect();
    let mut missing = Vec::new();
    for (section, codes) in CODES {
        let mark = mark(section);
        for code in codes {
            let reached = match INSIDE.contains(&(section, *code)) {
                true => names(&inside, *code),
                false => blocks
                    .iter()
                    .any(|(all, text)| all.contains(&mark) && names(text, *code)),
            };
            if !reached {
                missing.push((section, *code));
            }
        }
    }
    assert!(missing.is_empty(), "no test reaches {missing:?}");
}

/// A section that no list knows is a slip of the pen.
#[test]
fn every_section_that_a_test_bears_is_listed() {
    let listed: BTreeSet<&str> = TOPICS
        .iter()
        .map(|(section, _)| *section)
        .chain(CODES.iter().map(|(section, _)| *section))
        .collect();
    for (path, text) in test_code() {
        for bears in text.split("[001 ").skip(1) {
            let section = bears.split(']').next().unwrap_or_default();
            assert!(
                listed.contains(section),
                "{} bears {section}, which no list knows",
                path.display()
            );
        }
    }
}

/// [ID-6] Every vector of section 9 of the specification of ID² stands in a test: all values, one by
/// one, that are not inputs common to all.
#[test]
fn every_vector_of_id2_is_in_a_test() {
    let (_, text) = document("id2.md");
    let (_, vectors) = text.split_once("\n## 9. ").expect("section 9");
    let (vectors, _) = vectors.split_once("\n## 10. ").expect("section 10");
    let plain = |text: &str| -> String {
        text.chars()
            .filter(|c| !c.is_whitespace() && !matches!(c, '\\' | '"'))
            .collect()
    };
    let code: String = test_code().values().map(|text| plain(text)).collect();
    let mut missing = Vec::new();
    let mut count = 0;
    for part in vectors.split("\n**V").skip(1) {
        let name = part.split("**").next().unwrap_or_default();
        for value in part.split('`').skip(1).step_by(2) {
            // The end of a code is what differs; numbers in words, names of files and the like are
            // no values.
            let value = value.rsplit('~').next().unwrap_or_default();
            let is_value = value.len() >= 16
                && value
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b));
            if !is_value {
                continue;
            }
            count += 1;
            if !code.contains(value) {
                missing.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    assert!(count >= 47, "section 9 is not read: {count}");
    assert!(missing.is_empty(), "in no test: {missing:#?}");
}

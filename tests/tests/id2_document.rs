//! What chapter 1.1 of document 000 lists is what is there: parameters of the five actions, functions
//! of the device SDK, numbers of both sides.

use std::{collections::BTreeMap, fs};
use tests::{root, seed};

/// The text between two headings, without the escapes of its form.
fn between(begin: &str, end: &str) -> String {
    let text = seed("000");
    let (_, rest) = text.split_once(begin).expect("the heading is there");
    let (part, _) = rest.split_once(end).expect("the heading is there");
    part.replace('\\', "")
}

fn source(path: &str) -> String {
    fs::read_to_string(root().join(path)).expect("it is there")
}

/// [ID-7] The table whose every number a test reaches through the door is the document's.
#[test]
fn the_servers_numbers_are_those_of_the_document() {
    let rows = between("### 服务端错误码", "## 设备端错误码");
    let mut listed: Vec<u32> = rows
        .lines()
        .filter_map(|line| line.split_once('\t')?.0.parse().ok())
        .collect();
    listed.sort_unstable();
    let code = source("crates/aliyun/tests/iot/id2/numbers.rs");
    let (_, rest) = code.split_once("const LISTED:").expect("the table");
    let (_, rest) = rest.split_once("= [").expect("the table");
    let (table, _) = rest.split_once(']').expect("the table");
    let mut reached: Vec<u32> = table
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().expect("a number"))
        .collect();
    reached.sort_unstable();
    assert_eq!(reached, listed);
}

/// [ID-1] [ID-2] [ID-3] [ID-4] [ID-5] Each action takes the parameters of its table (sections 1.1.2 to 1.1.6),
/// and refuses a call without those that the table demands.
#[test]
fn the_actions_take_the_parameters_of_the_document() {
    for (action, begin, end) in [
        ("Verify", "## 1.1.2. Verify\n", "### 1.1.3."),
        ("VerifyAndEncrypt", "### 1.1.3.", "## 1.1.4."),
        (
            "GetServerRandom",
            "## 1.1.4. GetServerRandom\n",
            "## 1.1.5.",
        ),
        ("GetServerAuthCodeAndEncryptData", "## 1.1.5. ", "## 1.1.6."),
        ("OtpGetId2", "## 1.1.6. OtpGetId2\n", "## 1.1.7."),
    ] {
        let section = between(begin, end);
        let (table, _) = section.split_once("返回数据").expect("what is given back");
        let mut written: Vec<(&str, &str, bool)> = table
            .lines()
            .filter_map(|line| {
                let mut cells = line.split('\t');
                let (name, kind, needed) = (cells.next()?, cells.next()?, cells.next()?);
                let needed = match needed {
                    "是" => true,
                    "否" => false,
                    _ => return None,
                };
                (name != "Action").then_some((name, kind, needed))
            })
            .collect();
        written.sort_unstable();
        let row = aliyun::id2::ROWS.iter().find(|row| row.name == action);
        let mut taken: Vec<(&str, String, bool)> = row
            .expect("it is there")
            .parameters
            .iter()
            .map(|parameter| {
                (
                    parameter.name,
                    format!("{:?}", parameter.kind),
                    parameter.required,
                )
            })
            .collect();
        taken.sort_unstable();
        let taken: Vec<(&str, &str, bool)> = taken
            .iter()
            .map(|(name, kind, needed)| {
                let kind = match kind.as_str() {
                    "Text" => "String",
                    other => other,
                };
                (*name, kind, *needed)
            })
            .collect();
        assert_eq!(taken, written, "{action}");
        assert!(written.len() >= 2, "the table of {action} is not read");
    }
}

/// A declaration of C: the name, and what it takes as types and names without blanks.
fn declared(text: &str) -> (String, Vec<(String, String)>) {
    let (head, rest) = text.split_once('(').expect("a function");
    let (parameters, _) = rest.rsplit_once(')').expect("a function");
    let name = head.split_whitespace().last().expect("a name");
    let parameters = parameters
        .split(',')
        .map(str::trim)
        .filter(|parameter| *parameter != "void")
        .map(|parameter| {
            let at = parameter.rfind(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
            let (kind, name) = parameter.split_at(at.expect("a type") + 1);
            (kind.split_whitespace().collect(), name.to_owned())
        });
    (name.to_owned(), parameters.collect())
}

/// [ID-6] The functions of section 1.1.7 stand in `id2_client.h` with their names, types and order of
/// parameters; and all that section 1.1.1 names are among them.
#[test]
fn the_header_has_the_functions_of_the_document() {
    let chapter = between("## 1.1.7. 设备端API", "## 1.1.8. 错误码");
    let header = source("crates/device-c/include/id2_client.h");
    let there: BTreeMap<_, _> = header
        .split("\nirot_result_t ")
        .skip(1)
        .map(|text| declared(text.split(';').next().unwrap_or_default()))
        .collect();
    let wanted: Vec<_> = chapter
        .lines()
        .filter_map(|line| line.split_once("函数原型：")?.1.strip_suffix('。'))
        .map(declared)
        .collect();
    for (name, parameters) in &wanted {
        assert_eq!(there.get(name), Some(parameters), "{name}");
    }
    let overview = between("#### 设备端API", "## 错误码");
    let named: Vec<_> = overview
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(name, _)| name)
        .filter(|name| name.starts_with("id2_client_"))
        .collect();
    assert_eq!(named.len(), 8);
    for name in named {
        assert!(wanted.iter().any(|(there, _)| there == name), "{name}");
    }
    // They give `int`, which the document also calls by this name.
    assert!(header.contains("typedef int irot_result_t;"));
}

/// [ID-6] The results of section 1.1.8 stand in `id2_client.h` with their numbers, and no others.
#[test]
fn the_header_has_the_results_of_the_document() {
    let rows = between("## 设备端错误码", "## 1.2. ");
    let wanted: BTreeMap<_, _> = rows
        .lines()
        .filter_map(|line| {
            let mut cells = line.split('\t');
            let name = cells.next()?.strip_prefix("IROT_ERROR_")?;
            Some((name.to_owned(), cells.next()?.parse::<i32>().ok()?))
        })
        .collect();
    let header = source("crates/device-c/include/id2_client.h");
    let there: BTreeMap<_, _> = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define IROT_ERROR_")?.split_once(' '))
        .map(|(name, number)| (name.to_owned(), number.parse().expect("a number")))
        .collect();
    assert_eq!(wanted.len(), 10);
    assert_eq!(there, wanted);
}

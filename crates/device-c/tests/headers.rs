//! The headers in `include` are those of the code: `UPDATE_HEADERS=1 cargo test -p device-c` writes
//! them anew.

use cbindgen::{Builder, Config, DocumentationStyle, Language, Style};
use std::{env, fs, path::Path};

const NOTE: &str = "/* Made from the Rust sources by the test `headers`; change those. */";

fn header(source: &str, guard: &str, includes: &str, after: &str, exclude: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = Config {
        language: Language::C,
        style: Style::Type,
        cpp_compat: true,
        documentation_style: DocumentationStyle::Doxy,
        header: Some(NOTE.into()),
        include_guard: Some(guard.into()),
        no_includes: true,
        sys_includes: vec!["stdbool.h".into(), "stdint.h".into()],
        ..Config::default()
    };
    if !includes.is_empty() {
        config.includes = vec![includes.into()];
    }
    if !after.is_empty() {
        config.after_includes = Some(after.into());
    }
    config.export.exclude = exclude.iter().map(|name| (*name).into()).collect();
    let bindings = Builder::new()
        .with_config(config)
        .with_src(root.join("src").join(source))
        .generate()
        .expect("the sources are ours");
    let mut text = Vec::new();
    bindings.write(&mut text);
    let text = String::from_utf8(text).expect("the sources are UTF-8");
    // What a caller of Rust must promise goes without saying in C.
    let mut out = String::new();
    let mut skips = false;
    for line in text.lines() {
        if line.trim_start() == "* # Safety" {
            skips = true;
            if out.ends_with(" *\n") {
                out.truncate(out.len() - 3);
            }
            continue;
        }
        if line.trim() == "*/" {
            skips = false;
        }
        if !skips {
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    out
}

const REGIONS: &str = "
/** Where to connect. */
typedef enum {
  IOTX_CLOUD_REGION_SHANGHAI,
  IOTX_CLOUD_REGION_SINGAPORE,
  IOTX_CLOUD_REGION_JAPAN,
  IOTX_CLOUD_REGION_USA_WEST,
  IOTX_CLOUD_REGION_GERMANY,
  IOTX_CLOUD_REGION_CUSTOM,
  IOTX_CLOUD_DOMAIN_MAX
} iotx_mqtt_region_types_t;";

#[test]
fn headers_are_those_of_the_code() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    for (name, made) in [
        (
            "id2_client.h",
            header("id2_client.rs", "ID2_CLIENT_H", "", "", &[]),
        ),
        (
            "muster_hal.h",
            header(
                "hal.rs",
                "MUSTER_HAL_H",
                "id2_client.h",
                "",
                &["irot_result_t"],
            ),
        ),
        (
            "hal_itls.h",
            header("hal_itls.rs", "HAL_ITLS_H", "", "", &[]),
        ),
        (
            "sign_api.h",
            header(
                "sign_api.rs",
                "SIGN_API_H",
                "",
                REGIONS,
                &["iotx_mqtt_region_types_t"],
            ),
        ),
    ] {
        let path = folder.join(name);
        if env::var_os("UPDATE_HEADERS").is_some() {
            fs::write(&path, &made).expect("the folder is there");
        }
        let kept = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(kept, made, "{name} is old: UPDATE_HEADERS=1 makes it anew");
    }
}

/// What a call is given, up to its closing bracket.
fn given(call: &str) -> Vec<String> {
    let (mut all, mut one) = (Vec::new(), String::new());
    let (mut depth, mut quoted) = (0, false);
    for c in call.chars() {
        match c {
            '"' => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => break,
            ')' if !quoted => depth -= 1,
            ',' if !quoted && depth == 0 => {
                all.push(std::mem::take(&mut one).trim().to_owned());
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    all.push(one.trim().to_owned());
    all
}

/// Every function of `id2_client.h` is called in `results.c` too early, with null pointers and with
/// too little room, and the result is looked at. [ID-6]
#[test]
fn every_function_is_called_wrongly_in_every_way() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("it is there");
    let header = read("include/id2_client.h");
    let calls: Vec<String> = read("tests/c/results.c")
        .split("CALL(")
        .skip(1)
        .map(|call| call.split(';').next().unwrap_or_default().to_owned())
        .collect();
    let mut functions = 0;
    for declared in header.split("\nirot_result_t ").skip(1) {
        let (name, rest) = declared.split_once('(').expect("a function");
        let (parameters, _) = rest.split_once(");").expect("a function");
        functions += 1;
        let told = |result: &str| {
            let begin = format!("{name}(");
            calls
                .iter()
                .any(|call| call.starts_with(&begin) && call.contains(result))
        };
        // Those that come before the start, or need none.
        let early = ["init", "cleanup", "get_version"].iter().any(|end| {
            name.strip_prefix("id2_client_")
                .is_some_and(|rest| rest == *end)
        });
        // `muster_…` are refused while it runs.
        assert!(
            early || told("IROT_ERROR_GENERIC"),
            "{name}: in the wrong order"
        );
        // Each pointer; one that may be null, with a length that says otherwise.
        for (at, parameter) in parameters.split(',').enumerate() {
            let null = calls.iter().any(|call| {
                call.strip_prefix(name)
                    .and_then(|rest| rest.strip_prefix('('))
                    .is_some_and(|rest| {
                        given(rest).get(at).is_some_and(|value| value == "NULL")
                            && call.contains("IROT_ERROR_BAD_PARAMETERS")
                    })
            });
            let pointer = parameter.contains('*');
            assert!(!pointer || null, "{name}: null for {}", parameter.trim());
        }
        let room = parameters.contains("_len") && parameters.contains("uint32_t *")
            || parameters.contains("uint32_t *len");
        assert!(
            !room || told("IROT_ERROR_SHORT_BUFFER"),
            "{name}: short buffers"
        );
        assert!(!early || told("IROT_SUCCESS"), "{name}");
    }
    assert_eq!(functions, 18);
}

/// The flash that `make firmware` measures is that of all functions.
#[test]
fn the_size_is_that_of_every_function() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("it is there");
    let named = read("tests/bare/size.c");
    for header in ["id2_client.h", "muster_hal.h", "sign_api.h"] {
        let text = read(&format!("include/{header}"));
        let functions = text.lines().filter_map(|line| {
            let line = line
                .strip_prefix("irot_result_t ")
                .or(line.strip_prefix("int32_t "))?;
            line.split_once('(')
        });
        for (name, _) in functions {
            assert!(named.contains(&format!("(any){name},")), "{name}");
        }
    }
}

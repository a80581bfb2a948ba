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

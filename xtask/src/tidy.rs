//! Who may know whom, and which words may stand where. The tables are the drawing of the house in
//! `ARCHITECTURE.md`; a new arrow is drawn there first.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Each room with the rooms that it may depend on. `dev-dependencies` are not arrows: a test may
/// stand a room on the real engine.
const ARROWS: &[(&str, &[&str])] = &[
    ("credential", &[]),
    ("wire", &[]),
    ("model", &[]),
    ("itls", &["credential"]),
    ("device", &["credential", "itls", "wire"]),
    ("device-c", &["credential", "device"]),
    ("scan", &["credential"]),
    ("simulate", &["credential", "wire"]),
    ("store", &["model"]),
    ("postgres", &["model"]),
    ("hub", &["credential", "model"]),
    ("access", &["hub", "model", "wire"]),
    ("aliyun", &["credential", "hub", "itls", "model"]),
    (
        "server",
        &[
            "access",
            "aliyun",
            "credential",
            "hub",
            "model",
            "postgres",
            "scan",
            "simulate",
            "store",
            "wire",
        ],
    ),
];

/// Packages beside the rooms; they may know everybody, and no room may know them.
const OUTSIDE: &[&str] = &["tests", "benches", "xtask"];

/// Words of vendors, with the rooms in whose code they may stand.
const VENDOR_WORDS: &[(&str, &[&str])] = &[
    ("/sys/", &["aliyun", "device", "simulate"]),
    (
        "securemode",
        &["aliyun", "credential", "device", "simulate"],
    ),
    ("iotToken", &["aliyun", "device"]),
    ("X-Auth-Token", &["huawei"]),
    ("TC3-", &["tencent", "credential"]),
    ("ACS3-", &["aliyun", "credential"]),
];

/// The cryptography crates, which only `credential` names; TLS is `access`'s and `server`'s.
const CRYPTO: &[&str] = &[
    "aes", "aes-gcm", "des", "hmac", "md-5", "p256", "pbkdf2", "sha1", "sha2", "sm2", "sm3", "sm4",
];

pub(crate) fn run() -> ExitCode {
    let root = root();
    let mut faults = Vec::new();
    let rooms = rooms(&root, &mut faults);
    for (room, manifest) in &rooms {
        arrows(room, manifest, &rooms, &mut faults);
        words(
            room,
            &root.join("crates").join(room).join("src"),
            &mut faults,
        );
    }
    for fault in &faults {
        eprintln!("tidy: {fault}");
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The workspace's folder, wherever the task is called from.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(PathBuf::new, Path::to_path_buf)
}

/// Every room's manifest by the room's name.
fn rooms(root: &Path, faults: &mut Vec<String>) -> BTreeMap<String, toml::Table> {
    let mut rooms = BTreeMap::new();
    let Ok(folders) = fs::read_dir(root.join("crates")) else {
        faults.push("there is no folder `crates`".into());
        return rooms;
    };
    for folder in folders.flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        let manifest = fs::read_to_string(folder.path().join("Cargo.toml"))
            .map_err(|e| e.to_string())
            .and_then(|text| text.parse::<toml::Table>().map_err(|e| e.to_string()));
        match manifest {
            Ok(manifest) => _ = rooms.insert(name, manifest),
            Err(error) => faults.push(format!("crates/{name}/Cargo.toml: {error}")),
        }
    }
    rooms
}

fn arrows(
    room: &str,
    manifest: &toml::Table,
    rooms: &BTreeMap<String, toml::Table>,
    faults: &mut Vec<String>,
) {
    let package = manifest
        .get("package")
        .and_then(|p| p.get("name"))
        .and_then(|n| n.as_str());
    if package != Some(room) {
        faults.push(format!(
            "crates/{room}: folder, package and crate bear one name"
        ));
    }
    let Some((_, allowed)) = ARROWS.iter().find(|(name, _)| *name == room) else {
        faults.push(format!(
            "crates/{room}: not in the drawing; add it to xtask and ARCHITECTURE.md"
        ));
        return;
    };
    let dependencies = manifest.get("dependencies").and_then(|d| d.as_table());
    for name in dependencies.into_iter().flat_map(toml::Table::keys) {
        let ours = rooms.contains_key(name) || OUTSIDE.contains(&name.as_str());
        if ours && !allowed.contains(&name.as_str()) {
            faults.push(format!("crates/{room}: may not depend on `{name}`"));
        }
        if CRYPTO.contains(&name.as_str()) && room != "credential" {
            faults.push(format!(
                "crates/{room}: cryptography (`{name}`) lives in `credential`"
            ));
        }
    }
}

fn words(room: &str, folder: &Path, faults: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            words(room, &path, faults);
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        // Comments may name a vendor's word to say what stays out; code may not.
        let code = text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"));
        for (number, line) in code {
            for (word, at_home) in VENDOR_WORDS {
                if line.contains(word) && !at_home.contains(&room) {
                    let place = path.display();
                    faults.push(format!(
                        "{place}:{}: `{word}` is a vendor's word",
                        number + 1
                    ));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> toml::Table {
        text.parse().unwrap()
    }

    #[test]
    fn an_arrow_that_is_not_drawn_is_a_fault() {
        let rooms = BTreeMap::from([
            (
                "hub".into(),
                manifest("[package]\nname = \"hub\"\n[dependencies]\nstore = {}\n"),
            ),
            ("store".into(), manifest("[package]\nname = \"store\"\n")),
        ]);
        let mut faults = Vec::new();
        arrows("hub", &rooms["hub"], &rooms, &mut faults);
        assert_eq!(faults, ["crates/hub: may not depend on `store`"]);
        faults.clear();
        arrows("store", &rooms["store"], &rooms, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
    }

    #[test]
    fn cryptography_outside_its_room_is_a_fault() {
        let rooms = BTreeMap::from([(
            "hub".into(),
            manifest("[package]\nname = \"hub\"\n[dependencies]\nsha2 = {}\n"),
        )]);
        let mut faults = Vec::new();
        arrows("hub", &rooms["hub"], &rooms, &mut faults);
        assert_eq!(faults.len(), 1);
    }
}

//! Packages of languages: what pip, npm, Maven and LuaRocks leave beside what they install, and what
//! Go and Rust (cargo-auditable) write into programs. Advisories for them go by ecosystem, which
//! stands where CPE names have a vendor.

use std::io::Read;

use serde::Deserialize;

use super::{Component, Evidence, Method, component::Packaged};
use crate::{elf, path, unpack::File};

/// Records are no longer.
const RECORD: usize = 1 << 20;
/// Packages of one program.
const MOST: usize = 5_000;
/// What a list of packages may unpack to (its authors allow 8 MiB).
const LIST: u64 = 8 << 20;

/// Reads `file` if it tells of a package.
pub(super) fn read(
    chain: &str,
    file: &File,
    bytes: &[u8],
    is_elf: bool,
    found: &mut Vec<Component>,
) {
    let mut tell = Teller { chain, found };
    if is_elf {
        go(bytes, &mut tell);
        rust(bytes, &mut tell);
        return;
    }
    let name = file.name();
    let folder = file.path.rsplit('/').nth(1).unwrap_or_default();
    let text = || String::from_utf8_lossy(&bytes[..bytes.len().min(RECORD)]);
    let python = name == "METADATA" && folder.ends_with(".dist-info")
        || name == "PKG-INFO" && folder.ends_with(".egg-info")
        || name.ends_with(".egg-info");
    if python {
        fields(
            &text(),
            ["Name: ", "Version: ", "License: "],
            |name, version, licence| {
                tell.package("pypi", &pep_503(name), version, licence);
            },
        );
    } else if name == "package.json" && file.path.contains("/node_modules/") {
        npm(&file.path, &text(), &mut tell);
    } else if name == "pom.properties" && file.path.contains("/META-INF/maven/") {
        let text = text();
        let field = |key: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(key)?.strip_prefix('='))
        };
        if let (Some(group), Some(artifact), Some(version)) =
            (field("groupId"), field("artifactId"), field("version"))
        {
            tell.package("maven", &format!("{group}:{artifact}"), version, None);
        }
    } else if name.ends_with(".rockspec") {
        rock(&text(), &mut tell);
    }
}

struct Teller<'a> {
    chain: &'a str,
    found: &'a mut Vec<Component>,
}

impl Teller<'_> {
    fn package(&mut self, ecosystem: &str, name: &str, version: &str, licence: Option<&str>) {
        let short = |text: &str| path::printable(text.trim().as_bytes());
        let (name, version) = (short(name), short(version));
        let version = version.strip_prefix('v').unwrap_or(&version);
        let told = |text: &str| !text.is_empty() && text.len() <= 200;
        if !told(&name) || !told(version) {
            return;
        }
        let evidence = Evidence::new(self.chain, 0, &format!("{name} {version}"));
        let cpes = [(ecosystem, name.as_str())];
        let mut component = Component::new(&name, Some(version), &cpes, Method::Package, evidence);
        component.packaged = Some(Packaged {
            manager: ecosystem.to_owned(),
            name: name.clone(),
            version: version.to_owned(),
            release: None,
        });
        component.licence = licence
            .map(short)
            .filter(|text| told(text) && text != "UNKNOWN");
        self.found.push(component);
    }
}

/// The first of each of the fields, before the first empty line.
fn fields(text: &str, keys: [&str; 3], tell: impl FnOnce(&str, &str, Option<&str>)) {
    let field = |key: &str| {
        let head = text.lines().take_while(|line| !line.trim().is_empty());
        head.into_iter().find_map(|line| line.strip_prefix(key))
    };
    if let (Some(name), Some(version)) = (field(keys[0]), field(keys[1])) {
        tell(name, version, field(keys[2]));
    }
}

/// A project's name as the index has it (PEP 503).
pub(crate) fn pep_503(name: &str) -> String {
    let words = name
        .trim()
        .split(['-', '_', '.'])
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

/// Only `node_modules/NAME/package.json` and `node_modules/@SCOPE/NAME/package.json`: packages have
/// others of their own deeper.
fn npm(path: &str, text: &str, tell: &mut Teller<'_>) {
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        #[serde(default)]
        license: serde_json::Value,
    }
    let inside = path.rsplit("/node_modules/").next().unwrap_or_default();
    let depth = if inside.starts_with('@') { 3 } else { 2 };
    if inside.split('/').count() == depth
        && let Ok(package) = serde_json::from_str::<Package>(text)
    {
        tell.package(
            "npm",
            &package.name,
            &package.version,
            package.license.as_str(),
        );
    }
}

/// `package = "name"` and `version = "1.2-3"`, of which the last number is the rock's own.
fn rock(text: &str, tell: &mut Teller<'_>) {
    let field = |key: &str| {
        text.lines().find_map(|line| {
            let value = line.trim().strip_prefix(key)?.trim().strip_prefix('=')?;
            let value = value.trim().trim_end_matches([';', ',']);
            Some(value.trim_matches(['"', '\'']).to_owned())
        })
    };
    if let (Some(name), Some(version)) = (field("package"), field("version")) {
        let version = version
            .rsplit_once('-')
            .map_or(&*version, |(version, _)| version);
        tell.package("luarocks", &name, version, None);
    }
}

/// What the linker of Go writes since 1.18: the tool's version and the modules (`debug/buildinfo`).
fn go(bytes: &[u8], tell: &mut Teller<'_>) {
    const MAGIC: &[u8] = b"\xff Go buildinf:";
    const INLINE: u8 = 2;
    const SEAL: usize = 16;
    let Some(at) = memchr::memmem::find(bytes, MAGIC) else {
        return;
    };
    let head = &bytes[at..bytes.len().min(at + RECORD)];
    if head.get(15).is_none_or(|flags| flags & INLINE == 0) {
        return;
    }
    let Some((version, rest)) = head.get(32..).and_then(counted) else {
        return;
    };
    let told = String::from_utf8_lossy(version);
    // "go1.22.1 X:experiment"
    if let Some(version) = told.strip_prefix("go").and_then(|v| v.split(' ').next()) {
        let evidence = Evidence::new(tell.chain, at, &path::printable(version.as_bytes()));
        let cpes = [("golang", "go"), ("go", "stdlib")];
        tell.found.push(Component::new(
            "go",
            Some(version),
            &cpes,
            Method::Banner,
            evidence,
        ));
    }
    let Some((modules, _)) = counted(rest) else {
        return;
    };
    let inside = modules.get(SEAL..modules.len().saturating_sub(SEAL));
    let text = String::from_utf8_lossy(inside.unwrap_or_default());
    let lines: Vec<&str> = text.lines().take(MOST).collect();
    for (index, line) in lines.iter().enumerate() {
        let mut words = line.split('\t');
        if !matches!(words.next(), Some("mod" | "dep")) {
            continue;
        }
        // What stands in for a module is what was built.
        let other = lines
            .get(index + 1)
            .and_then(|next| next.strip_prefix("=>\t"));
        let mut words = other.map_or(words, |other| other.split('\t'));
        if let (Some(name), Some(version)) = (words.next(), words.next())
            && version.starts_with('v')
        {
            tell.package("go", name, version, None);
        }
    }
}

/// Bytes behind their number as a varint of Go's, and what follows.
fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut number = 0_usize;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        number |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return bytes[index + 1..].split_at_checked(number);
        }
    }
    None
}

/// The list that cargo-auditable links in: JSON in zlib, in a section of its own.
fn rust(bytes: &[u8], tell: &mut Teller<'_>) {
    #[derive(Deserialize)]
    struct List {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        #[serde(default)]
        kind: String,
    }
    let Some(section) = elf::section(bytes, ".dep-v0") else {
        return;
    };
    let mut text = Vec::new();
    let unpacked = flate2::read::ZlibDecoder::new(section)
        .take(LIST)
        .read_to_end(&mut text);
    let Ok(list) = unpacked.map(|_| serde_json::from_slice::<List>(&text)) else {
        return;
    };
    // What only built it is not in it.
    let packages = list.into_iter().flat_map(|list| list.packages);
    for package in packages.filter(|p| p.kind != "build").take(MOST) {
        tell.package("crates.io", &package.name, &package.version, None);
    }
}

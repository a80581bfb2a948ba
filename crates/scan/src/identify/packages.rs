//! Package databases: opkg and dpkg, apk, and what distributions say of themselves.

use super::{Component, Evidence, Method, rules};
use crate::{
    unpack::{File, Unpacked},
    version,
};

/// Reads `file` if it is a database.
pub(super) fn read(image: &Unpacked, file: &File, bytes: &[u8], found: &mut Vec<Component>) {
    let path = file.path.as_str();
    let chain = image.chain(file);
    let text = || String::from_utf8_lossy(&bytes[..bytes.len().min(32 << 20)]);
    let status = ["/opkg/status", "/ipkg/status", "/dpkg/status"];
    if status.iter().any(|end| path.ends_with(end))
        || path.contains("/dpkg/status.d/")
        || path.contains("/opkg/info/") && path.ends_with(".control")
    {
        paragraphs(&chain, &text(), found);
    } else if path.ends_with("/apk/db/installed") {
        apk(&chain, &text(), found);
    } else if matches!(
        path,
        "/etc/os-release" | "/usr/lib/os-release" | "/etc/openwrt_release"
    ) {
        release(&chain, &text(), found);
    }
}

/// Records of `Key: value` lines, empty lines between them.
fn paragraphs(chain: &str, text: &str, found: &mut Vec<Component>) {
    let mut offset = 0;
    for record in text.split_inclusive("\n\n") {
        let at = offset;
        offset += record.len();
        let field = |name: &str| {
            record
                .lines()
                .find_map(|l| l.strip_prefix(name)?.strip_prefix(": "))
                .map(str::trim)
        };
        let (Some(name), Some(version)) = (field("Package"), field("Version")) else {
            continue;
        };
        // A removed package whose configuration stayed is not there.
        if field("Status").is_some_and(|s| !s.ends_with(" installed")) {
            continue;
        }
        let source = field("Source").map(|s| s.split(' ').next().unwrap_or(s));
        package(chain, at, name, source, version, field("License"), found);
    }
}

/// apk's records: a letter, a colon, the value.
fn apk(chain: &str, text: &str, found: &mut Vec<Component>) {
    let mut offset = 0;
    for record in text.split_inclusive("\n\n") {
        let at = offset;
        offset += record.len();
        let field = |name: &str| record.lines().find_map(|l| l.strip_prefix(name));
        if let (Some(name), Some(version)) = (field("P:"), field("V:")) {
            package(chain, at, name, field("o:"), version, field("L:"), found);
        }
    }
}

fn package(
    chain: &str,
    offset: usize,
    name: &str,
    source: Option<&str>,
    full: &str,
    licence: Option<&str>,
    found: &mut Vec<Component>,
) {
    let (upstream, revision) = version::upstream(full);
    let known = rules::of_package(name).or_else(|| source.and_then(rules::of_package));
    let evidence = Evidence::new(chain, offset, &format!("{name} {full}"));
    let mut component = match known {
        Some((name, cpes)) => {
            Component::new(name, Some(&upstream), cpes, Method::Package, evidence)
        }
        None => {
            let plain = source.unwrap_or(name);
            Component::new(
                plain,
                Some(&upstream),
                &[(plain, plain)],
                Method::Package,
                evidence,
            )
        }
    };
    component.revision = revision;
    component.licence = licence.map(str::to_owned);
    found.push(component);
}

fn release(chain: &str, text: &str, found: &mut Vec<Component>) {
    let field = |names: &[&str]| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            names
                .contains(&key)
                .then(|| value.trim_matches(['"', '\'']).to_owned())
        })
    };
    let (Some(name), Some(version)) = (
        field(&["ID", "DISTRIB_ID"]),
        field(&["VERSION_ID", "DISTRIB_RELEASE"]),
    ) else {
        return;
    };
    let name = name.to_lowercase();
    let cpes: &[(&str, &str)] = match name.as_str() {
        "openwrt" => &[("openwrt", "openwrt")],
        "alpine" => &[("alpinelinux", "alpine_linux")],
        "buildroot" => &[("buildroot", "buildroot")],
        _ => &[],
    };
    found.push(Component::new(
        &name,
        Some(&version),
        cpes,
        Method::Package,
        Evidence::new(chain, 0, &format!("{name} {version}")),
    ));
}

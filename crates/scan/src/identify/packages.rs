//! Package databases: opkg and dpkg, apk, rpm (`rpm`), and what distributions say of themselves.

use super::{Component, Evidence, Method, component::Packaged, rpm, rules};
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
        let manager = if path.contains("/dpkg/") {
            "dpkg"
        } else {
            "opkg"
        };
        paragraphs(&chain, &text(), manager, found);
    } else if path.ends_with("/apk/db/installed") {
        apk(&chain, &text(), found);
    } else if matches!(
        path,
        "/etc/os-release"
            | "/usr/lib/os-release"
            | "/etc/openwrt_release"
            // Yocto's class `image-buildinfo`, before and since 4.1.
            | "/etc/build"
            | "/etc/buildinfo"
    ) {
        release(&chain, &text(), found);
    } else {
        rpm::read(path, &chain, bytes, found);
    }
}

/// Records of `Key: value` lines, empty lines between them.
fn paragraphs(chain: &str, text: &str, manager: &'static str, found: &mut Vec<Component>) {
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
        found.push(package(
            chain,
            &Package {
                offset: at,
                name,
                source,
                full: version,
                licence: field("License"),
                manager,
            },
        ));
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
            found.push(package(
                chain,
                &Package {
                    offset: at,
                    name,
                    source: field("o:"),
                    full: version,
                    licence: field("L:"),
                    manager: "apk",
                },
            ));
        }
    }
}

/// A package as a manager's database tells it.
pub(super) struct Package<'a> {
    /// Where its record begins.
    pub(super) offset: usize,
    pub(super) name: &'a str,
    /// The source package that it was built from.
    pub(super) source: Option<&'a str>,
    /// Version with all that the distribution put to it.
    pub(super) full: &'a str,
    pub(super) licence: Option<&'a str>,
    /// Whose database it is.
    pub(super) manager: &'static str,
}

pub(super) fn package(chain: &str, told: &Package<'_>) -> Component {
    let (name, source) = (told.name, told.source);
    let (upstream, revision) = version::upstream(told.full);
    let known = rules::of_package(name).or_else(|| source.and_then(rules::of_package));
    let evidence = Evidence::new(chain, told.offset, &format!("{name} {}", told.full));
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
    component.packaged = Some(Packaged {
        manager: told.manager.to_owned(),
        name: source.unwrap_or(name).to_owned(),
        version: told.full.to_owned(),
        release: None,
    });
    component.licence = told.licence.map(str::to_owned);
    component
}

fn release(chain: &str, text: &str, found: &mut Vec<Component>) {
    let field = |names: &[&str]| {
        text.lines().find_map(|line| {
            let (key, value) = line.split_once('=')?;
            let value = value.trim().trim_matches(['"', '\'']);
            names.contains(&key.trim()).then(|| value.to_owned())
        })
    };
    let (Some(name), Some(version)) = (
        field(&["ID", "DISTRIB_ID", "DISTRO"]),
        field(&["VERSION_ID", "DISTRIB_RELEASE", "DISTRO_VERSION"]),
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

/// The name of a release of Debian.
pub(crate) fn debian(number: &str) -> Option<&'static str> {
    Some(match number {
        "8" => "jessie",
        "9" => "stretch",
        "10" => "buster",
        "11" => "bullseye",
        "12" => "bookworm",
        "13" => "trixie",
        _ => return None,
    })
}

/// The distribution that an image is of, as its feeds call it; none when there are several.
pub(super) fn distribution(image: &Unpacked) -> Option<String> {
    let mut found = None;
    for file in &image.files {
        if !matches!(
            file.path.as_str(),
            "/etc/os-release" | "/usr/lib/os-release"
        ) {
            continue;
        }
        let Some(bytes) = file.bytes() else { continue };
        let text = String::from_utf8_lossy(bytes);
        let field = |name: &str| {
            let value = text
                .lines()
                .find_map(|l| l.strip_prefix(name)?.strip_prefix('='));
            value.map(|value| value.trim_matches(['"', '\'']))
        };
        let version = field("VERSION_ID").unwrap_or_default();
        let told = match field("ID") {
            Some("alpine") => {
                let mut numbers = version.split('.');
                let (major, minor) = (numbers.next()?, numbers.next()?);
                format!("alpine:v{major}.{minor}")
            }
            Some("debian") => {
                let name = field("VERSION_CODENAME").or_else(|| debian(version))?;
                format!("debian:{name}")
            }
            _ => continue,
        };
        if found.as_ref().is_some_and(|found| *found != told) {
            return None;
        }
        found = Some(told);
    }
    found
}

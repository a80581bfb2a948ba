//! A dossier as documents: for people (HTML, PDF, CSV) and for programs (the vendor's JSON, CycloneDX,
//! SPDX, OpenVEX, SARIF). The same dossier always gives the same bytes. Names and texts of an image
//! are a stranger's: each document writes them so that whatever opens it is safe.

mod csv;
mod cyclonedx;
mod html;
mod pdf;
mod sarif;
mod spdx;
mod vex;

use credential::crypto::digest::Hash;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::{
    dossier::Dossier,
    identify::{Component, Method},
};

/// What a report can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As document 000, 1.2.9 lays it out.
    Json,
    /// One page for a browser, in both languages.
    Html,
    /// The same on paper, in one language, with its typeface in it.
    Pdf,
    /// A bill of materials with vulnerabilities, CycloneDX 1.6.
    CycloneDx,
    /// A bill of materials, SPDX 2.3.
    Spdx,
    /// What was judged of each vulnerability, OpenVEX 0.2.0.
    Vex,
    /// Findings for code scanners, SARIF 2.1.0.
    Sarif,
    /// Findings for a spreadsheet.
    Csv,
}

/// Which language a reader sees first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Simplified Chinese.
    Chinese,
    /// English.
    English,
}

impl Format {
    /// All of them.
    pub const ALL: [Format; 8] = [
        Format::Json,
        Format::Html,
        Format::Pdf,
        Format::CycloneDx,
        Format::Spdx,
        Format::Vex,
        Format::Sarif,
        Format::Csv,
    ];

    /// Its name on a command line and in an address.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Html => "html",
            Format::Pdf => "pdf",
            Format::CycloneDx => "cyclonedx",
            Format::Spdx => "spdx",
            Format::Vex => "vex",
            Format::Sarif => "sarif",
            Format::Csv => "csv",
        }
    }

    /// The format of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// What an HTTP header calls it.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Json | Format::Spdx | Format::Vex => "application/json",
            Format::Html => "text/html; charset=utf-8",
            Format::Pdf => "application/pdf",
            Format::CycloneDx => "application/vnd.cyclonedx+json; version=1.6",
            Format::Sarif => "application/sarif+json",
            Format::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// Writes a dossier down. `language` is what an HTML page shows first, and what a PDF is in. All but
/// a PDF is UTF-8.
///
/// # Errors
/// Never of what an image holds: only when a document cannot be written as its format demands.
pub fn render(dossier: &Dossier, format: Format, language: Language) -> Result<Vec<u8>, String> {
    let json = match format {
        Format::Json => {
            return serde_json::to_vec(&dossier.report).map_err(|error| error.to_string());
        }
        Format::Html => return Ok(html::page(dossier, language).into_bytes()),
        Format::Pdf => return pdf::document(dossier, language),
        Format::Csv => return Ok(csv::sheet(dossier).into_bytes()),
        Format::CycloneDx => cyclonedx::bom(dossier),
        Format::Spdx => spdx::document(dossier),
        Format::Vex => vex::document(dossier),
        Format::Sarif => sarif::log(dossier),
    };
    serde_json::to_vec_pretty(&json).map_err(|error| error.to_string())
}

/// Our version, for documents that name their maker.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// When the scan began, as RFC 3339.
fn began(dossier: &Dossier) -> String {
    let seconds = dossier.report.fw_basic_info.scan_start_time / 1000;
    OffsetDateTime::from_unix_timestamp(seconds)
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
        .format(&Rfc3339)
        .unwrap_or_default()
}

/// An identifier that follows from what the dossier says (RFC 9562, version 8).
fn uuid(dossier: &Dossier) -> String {
    let text = serde_json::to_vec(dossier).unwrap_or_default();
    let digest = Hash::Sha256.hex(&text);
    format!(
        "{}-{}-8{}-a{}-{}",
        &digest[..8],
        &digest[8..12],
        &digest[13..16],
        &digest[17..20],
        &digest[20..32]
    )
}

/// The package URL of a component: of its package, where it came as one, or a generic one.
pub(crate) fn purl(component: &Component) -> String {
    let generic = || {
        let version = component.version.as_deref().map(|version| {
            let revision = component.revision.iter().map(|r| format!("-{r}"));
            version.to_owned() + &revision.collect::<String>()
        });
        ("generic", vec![component.name.as_str()], version)
    };
    let (kind, parts, version) = component.packaged.as_ref().map_or_else(generic, |package| {
        let name = package.name.as_str();
        // Groups, scopes and paths are parts of their own; so is whose distribution it is.
        let inside = || name.split(['/', ':']).collect::<Vec<_>>();
        let release = package.release.as_deref();
        let vendor = release.and_then(|release| release.split(':').next());
        let of_vendor = || vendor.into_iter().chain([name]).collect();
        let (kind, parts) = match package.manager.as_str() {
            "pypi" => ("pypi", vec![name]),
            "npm" => ("npm", inside()),
            "maven" => ("maven", inside()),
            "luarocks" => ("luarocks", vec![name]),
            "go" => ("golang", inside()),
            "crates.io" => ("cargo", vec![name]),
            "dpkg" => ("deb", of_vendor()),
            "apk" => ("apk", of_vendor()),
            "rpm" => ("rpm", vec![name]),
            "opkg" => ("opkg", vec![name]),
            _ => return generic(),
        };
        (kind, parts, Some(package.version.clone()))
    });
    let parts: Vec<String> = parts.into_iter().map(percent).collect();
    let mut text = format!("pkg:{kind}/{}", parts.join("/"));
    if let Some(version) = version {
        // An epoch is a qualifier of rpm's alone.
        let epoch = version.split_once(':').filter(|_| kind == "rpm");
        let (epoch, version) = epoch.map_or((None, &*version), |(e, v)| (Some(e), v));
        text += "@";
        text += &percent(version);
        if let Some(epoch) = epoch {
            text += &format!("?epoch={}", percent(epoch));
        }
    }
    text
}

/// Everything but unreserved letters as `%XX` (RFC 3986, section 2.3).
fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
        out
    })
}

/// A stranger's text with what a reader would not see made visible: control letters, and those that
/// turn the direction of writing or take no room.
fn shown(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut out, c| {
        let hidden = c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}');
        if hidden {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
        out
    })
}

/// Where to read more of a CVE; only what is surely such a number becomes part of an address.
fn address(id: &str) -> Option<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let known = id.starts_with("CVE-") && id.bytes().all(plain);
    known.then(|| format!("https://nvd.nist.gov/vuln/detail/{id}"))
}

/// A group's English name as people say it; the report has it as one word.
fn group_name(english: &str) -> &str {
    match english {
        "CveVuln" => "Known vulnerabilities",
        "SensitiveInfo" => "Sensitive information",
        "KeyCert" => "Keys, certificates",
        "BinaryHardening" => "Program hardening",
        "SystemConfig" => "System settings",
        plain => plain,
    }
}

/// How a component was found, in words of both languages.
fn method(method: Method) -> (&'static str, &'static str) {
    match method {
        Method::Package => ("软件包数据库", "package database"),
        Method::Banner => ("程序自身标识", "own banner"),
        Method::Module => ("内核模块", "kernel module"),
        Method::Soname => ("库文件名", "library name"),
        Method::Header => ("启动镜像头", "boot header"),
        Method::Symbol => ("符号版本", "versions of symbols"),
    }
}

/// Details that are told as such elsewhere, and those that a reader wants.
fn evidence(info: &crate::report::VulnInfo) -> impl Iterator<Item = &crate::report::NamedValues> {
    info.detail
        .iter()
        .filter(|d| d.en_name != "fingerprint" && d.en_name != "confidence")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identify::{Evidence, Packaged};

    /// Packages are told by their manager's kind of address, everything else by a generic one.
    #[test]
    fn packages_have_addresses() {
        let seen = Evidence {
            file: "f".into(),
            offset: 0,
            text: "t".into(),
        };
        let mut component = Component::new("zlib", Some("1.2.11"), &[], Method::Banner, seen);
        component.revision = Some("2".into());
        assert_eq!(purl(&component), "pkg:generic/zlib@1.2.11-2");
        for (manager, name, version, release, told) in [
            (
                "dpkg",
                "zlib",
                "1:1.2.11-2",
                Some("debian:bullseye"),
                "pkg:deb/debian/zlib@1%3A1.2.11-2",
            ),
            (
                "apk",
                "musl",
                "1.2-r0",
                Some("alpine:v3.19"),
                "pkg:apk/alpine/musl@1.2-r0",
            ),
            ("opkg", "busybox", "1.30-1", None, "pkg:opkg/busybox@1.30-1"),
            (
                "rpm",
                "bash",
                "2:5.1-4.el9",
                None,
                "pkg:rpm/bash@5.1-4.el9?epoch=2",
            ),
            ("npm", "@a/b", "1.0.0", None, "pkg:npm/%40a/b@1.0.0"),
            (
                "maven",
                "org.x:core",
                "2.1",
                None,
                "pkg:maven/org.x/core@2.1",
            ),
            (
                "go",
                "example.com/a/b",
                "1.2.0",
                None,
                "pkg:golang/example.com/a/b@1.2.0",
            ),
            (
                "crates.io",
                "rustls",
                "0.21.1",
                None,
                "pkg:cargo/rustls@0.21.1",
            ),
        ] {
            component.packaged = Some(Packaged {
                manager: manager.into(),
                name: name.into(),
                version: version.into(),
                release: release.map(str::to_owned),
            });
            assert_eq!(purl(&component), told);
        }
    }

    #[test]
    fn nothing_hides_in_what_is_shown() {
        assert_eq!(
            shown("a\u{202e}b\nc\u{1b}[31m"),
            "a\\u{202e}b\\u{a}c\\u{1b}[31m"
        );
        assert_eq!(shown("普通 text"), "普通 text");
        assert_eq!(percent("a/b c+中"), "a%2Fb%20c%2B%E4%B8%AD");
        for format in Format::ALL {
            assert_eq!(Format::of_name(format.name()), Some(format));
        }
    }
}

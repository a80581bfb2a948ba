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

/// The package URL of a component.
pub(crate) fn purl(component: &Component) -> String {
    let kind = component.packaged.as_ref().map_or("", |p| &*p.manager);
    let name = component.name.as_str();
    let kind = match kind {
        "pypi" | "npm" | "maven" | "luarocks" => kind,
        "go" => "golang",
        "crates.io" => "cargo",
        _ => "generic",
    };
    // Groups, scopes and paths are parts of their own.
    let parts = match kind {
        "generic" => vec![percent(name)],
        _ => name.split(['/', ':']).map(percent).collect(),
    };
    let mut text = format!("pkg:{kind}/{}", parts.join("/"));
    if let Some(version) = &component.version {
        text += "@";
        text += &percent(version);
        if let Some(revision) = &component.revision {
            text += &percent(&format!("-{revision}"));
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

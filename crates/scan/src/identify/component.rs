//! A component and why it is believed to be there.

/// How a component was found, the most trusted first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A package manager's record.
    Package,
    /// A text of its own binary.
    Banner,
    /// The kernel that a module was built for.
    Module,
    /// The name of a library's file.
    Soname,
    /// The header of a boot image.
    Header,
    /// The versions of a library's symbols.
    Symbol,
}

/// How sure a finding is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// The evidence proves it.
    High,
    /// Something else could look the same.
    Medium,
    /// A guess.
    Low,
}

/// Where something was seen.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Evidence {
    /// The chain of names down to the file.
    pub file: String,
    /// Offset in it.
    pub offset: usize,
    /// What stands there.
    pub text: String,
}

impl Evidence {
    pub(crate) fn new(file: &str, offset: usize, text: &str) -> Evidence {
        Evidence {
            file: file.to_owned(),
            offset,
            text: text.chars().take(200).collect(),
        }
    }
}

/// The package that a component came as.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Packaged {
    /// Whose database told it: `dpkg`, `opkg`, `apk` or `rpm`; or the ecosystem of a language's package:
    /// `pypi`, `npm`, `maven`, `luarocks`, `go` or `crates.io`.
    pub manager: String,
    /// The source package that it was built from, as far as that is told.
    pub name: String,
    /// The whole version, with epoch and the distribution's revision.
    pub version: String,
    /// The distribution, such as `alpine:v3.11` or `debian:bookworm`, where the image tells it.
    pub release: Option<String>,
}

/// A piece of software in an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Component {
    /// Our name for it, or the package's.
    pub name: String,
    /// Upstream's version, where it is known.
    pub version: Option<String>,
    /// What a distribution appended: it may have repaired what the version alone says is broken.
    pub revision: Option<String>,
    /// The package that it came as, where a package manager tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packaged: Option<Packaged>,
    /// Vendor and product of the CPE names that advisories use for it; last its distribution's name
    /// for it.
    pub cpes: Vec<(String, String)>,
    /// How it was found.
    pub method: Method,
    /// How sure it is.
    pub confidence: Confidence,
    /// Licence as its package tells it.
    pub licence: Option<String>,
    /// Every place.
    pub evidence: Vec<Evidence>,
}

impl Component {
    pub(crate) fn new(
        name: &str,
        version: Option<&str>,
        cpes: &[(&str, &str)],
        method: Method,
        evidence: Evidence,
    ) -> Component {
        Component {
            name: name.to_owned(),
            version: version.map(str::to_owned),
            revision: None,
            packaged: None,
            cpes: cpes
                .iter()
                .map(|(v, p)| ((*v).to_owned(), (*p).to_owned()))
                .collect(),
            method,
            confidence: match method {
                Method::Package | Method::Banner | Method::Module => Confidence::High,
                Method::Soname | Method::Header | Method::Symbol => Confidence::Medium,
            },
            licence: None,
            evidence: vec![evidence],
        }
    }

    /// The first CPE 2.3 name with the version in it; empty for what no advisory names.
    #[must_use]
    pub fn cpe_name(&self) -> String {
        let Some((vendor, product)) = self.cpes.first() else {
            return String::new();
        };
        let part = if product == "linux_kernel" { 'o' } else { 'a' };
        let version = self.version.as_deref().unwrap_or("*");
        // OpenSSH's patch level is the update field of its names.
        let (version, update) = match version.rfind('p') {
            Some(at) if product == "openssh" && at > 0 => version.split_at(at),
            _ => (version, "*"),
        };
        // NIST IR 7695, 5.3.2 and 6.2: printable ASCII alone, a blank is an underline, and a lone `*` is any.
        let escaped = |text: &str| {
            if text == "*" {
                return text.to_owned();
            }
            text.chars().fold(String::new(), |mut out, letter| {
                let letter = if letter.is_ascii_graphic() {
                    letter
                } else {
                    '_'
                };
                if !letter.is_ascii_alphanumeric() && !"._-".contains(letter) {
                    out.push('\\');
                }
                out.push(letter);
                out
            })
        };
        format!(
            "cpe:2.3:{part}:{}:{}:{}:{}:*:*:*:*:*:*",
            escaped(vendor),
            escaped(product),
            escaped(version),
            escaped(update)
        )
    }
}

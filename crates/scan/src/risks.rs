//! What is wrong with an image beside known vulnerabilities: accounts, keys, services, hardening,
//! secrets, traces. Each check is a file that looks at one file of the image; [`table`] says what
//! each kind of risk is called and how bad it is.

mod accounts;
mod crack;
mod files;
mod hardening;
mod keys;
mod malware;
mod secrets;
mod services;
mod system;
pub mod table;

use credential::crypto::digest::Hash;

pub use table::{RISKS, Risk, risk};

use crate::{
    elf::Elf,
    identify::{Component, Confidence},
    unpack::{File, Unpacked},
    vulns::Severity,
};

/// A detail of a finding, with its names in both languages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// Chinese.
    pub cn: &'static str,
    /// English.
    pub en: &'static str,
    /// Values; secrets are masked.
    pub values: Vec<String>,
}

/// Something wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of risk.
    pub code: &'static str,
    /// How bad it is here.
    pub severity: Severity,
    /// The chain of names down to the file.
    pub file: String,
    /// What was seen.
    pub details: Vec<Detail>,
    /// How sure.
    pub confidence: Confidence,
}

impl Finding {
    pub(crate) fn new(code: &'static str, file: &str, details: Vec<Detail>) -> Finding {
        Finding {
            code,
            severity: risk(code).severity,
            file: file.to_owned(),
            details,
            confidence: Confidence::High,
        }
    }

    fn of(self, severity: Severity) -> Finding {
        Finding { severity, ..self }
    }

    pub(crate) fn sure(self, confidence: Confidence) -> Finding {
        Finding { confidence, ..self }
    }

    /// The same for the same finding of a later scan, so that a judgement of it stays.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut text = format!("{}\0{}", self.code, self.file);
        for detail in &self.details {
            for value in &detail.values {
                text.push('\0');
                text.push_str(value);
            }
        }
        let mut digest = Hash::Sha256.hex(text.as_bytes());
        digest.truncate(32);
        digest
    }
}

fn seen(value: impl Into<String>) -> Vec<Detail> {
    vec![detail("证据", "evidence", [value.into()])]
}

pub(crate) fn detail(
    cn: &'static str,
    en: &'static str,
    values: impl IntoIterator<Item = String>,
) -> Detail {
    Detail {
        cn,
        en,
        values: values.into_iter().collect(),
    }
}

/// A secret with all but its beginning hidden.
fn masked(secret: &str) -> String {
    let shown: String = secret
        .chars()
        .take(4.min(secret.chars().count() / 3))
        .collect();
    format!("{shown}****")
}

/// What the checks may ask beside the file they look at.
pub(crate) struct Scene<'a> {
    pub(crate) image: &'a Unpacked,
    pub(crate) components: &'a [Component],
    /// Seconds since 1970, to judge certificates by.
    pub(crate) now: i64,
    /// What may still be spent on passwords.
    pub(crate) budget: crack::Budget,
}

/// One file under the eyes of the checks.
pub(crate) struct Look<'a> {
    pub(crate) file: &'a File,
    pub(crate) chain: String,
    pub(crate) bytes: &'a [u8],
    pub(crate) elf: Option<Elf>,
    /// The text of a file that is text.
    pub(crate) text: Option<&'a str>,
}

/// Every finding of an image, sorted.
#[must_use]
pub fn look(image: &Unpacked, components: &[Component], now: i64) -> Vec<Finding> {
    let scene = Scene {
        image,
        components,
        now,
        budget: crack::Budget::default(),
    };
    let mut found = Vec::new();
    for file in &image.files {
        let Some(bytes) = file.bytes() else { continue };
        let look = Look {
            file,
            chain: image.chain(file),
            bytes,
            elf: Elf::read(bytes).ok(),
            text: text(bytes),
        };
        for check in [
            accounts::look,
            files::look,
            hardening::look,
            keys::look,
            malware::look,
            secrets::look,
            services::look,
            system::look,
        ] {
            check(&scene, &look, &mut found);
        }
    }
    system::look_whole(&scene, &mut found);
    sort(&mut found);
    found
}

/// Findings in the order of the report, each once.
pub(crate) fn sort(found: &mut Vec<Finding>) {
    found.sort_by(|a, b| {
        (a.code, &a.file, a.fingerprint()).cmp(&(b.code, &b.file, b.fingerprint()))
    });
    found.dedup();
}

/// Text is UTF-8 without NUL; a megabyte of it is enough.
fn text(bytes: &[u8]) -> Option<&str> {
    let head = &bytes[..bytes.len().min(1 << 20)];
    if bytes.is_empty() || memchr::memchr(0, head).is_some() {
        return None;
    }
    match std::str::from_utf8(head) {
        Ok(text) => Some(text),
        // A letter cut in two at the end is no reason.
        Err(error) if head.len() - error.valid_up_to() < 4 => {
            std::str::from_utf8(&head[..error.valid_up_to()]).ok()
        }
        Err(_) => None,
    }
}

/// Lines that are no comments, with their numbers from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with(['#', ';']))
}

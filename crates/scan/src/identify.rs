//! Which components, at which versions, an image holds; each with the evidence for it.
//!
//! Trust goes from package databases over a component's own banner to its file's name. A library is
//! only believed where the file *is* that library or holds it statically: programs carry the version
//! texts of headers that they were compiled with.

pub mod component;
pub(crate) mod language;
mod packages;
pub(crate) mod rpm;
mod rules;
mod symbols;

use std::sync::OnceLock;

use aho_corasick::AhoCorasick;
use regex::bytes::Regex;

pub use component::{Component, Confidence, Evidence, Method, Packaged};
pub(crate) use packages::debian;
use rules::{RULES, Rule};

use crate::{
    elf::Elf,
    unpack::{File, Unpacked},
};

/// Every component of an image, sorted by name and version, those of one name and version as one.
#[must_use]
pub fn identify(image: &Unpacked) -> Vec<Component> {
    let mut found = Vec::new();
    for file in &image.files {
        let Some(bytes) = file.bytes().filter(|b| !b.is_empty()) else {
            continue;
        };
        packages::read(image, file, bytes, &mut found);
        let elf = Elf::read(bytes).ok();
        let chain = image.chain(file);
        language::read(&chain, file, bytes, elf.is_some(), &mut found);
        if let Some(elf) = &elf {
            from_soname(image, file, elf, &mut found);
            symbols::look(&chain, bytes, elf, &mut found);
        }
        if !file.opened && (elf.is_some() || is_binary(bytes)) {
            banners(&image.chain(file), 0, bytes, elf.as_ref(), &mut found);
        }
        if file.name().ends_with(".ko") {
            module(&image.chain(file), bytes, &mut found);
        }
    }
    for region in &image.regions {
        banners(
            &region.chain,
            region.offset,
            &region.bytes,
            None,
            &mut found,
        );
    }
    for volume in image.volumes.iter().filter(|v| v.format == "uimage") {
        if let Some((_, name)) = volume.facts.iter().find(|(k, _)| *k == "name")
            && let Some(at) = name.find("Linux-")
        {
            let version = leading(&name[at + 6..]);
            if version.contains('.') {
                found.push(Component::new(
                    "linux",
                    Some(version),
                    &[("linux", "linux_kernel")],
                    Method::Header,
                    Evidence::new(&volume.chain, 32, name),
                ));
            }
        }
    }
    if let Some(release) = packages::distribution(image) {
        of_distribution(&release, &mut found);
    }
    merge(found)
}

/// Tells packages of which distribution they are, under whose name for them its advisories stand.
fn of_distribution(release: &str, found: &mut [Component]) {
    let manager = if release.starts_with("alpine:") {
        "apk"
    } else {
        "dpkg"
    };
    for component in found {
        let Some(packaged) = &mut component.packaged else {
            continue;
        };
        if packaged.manager == manager {
            packaged.release = Some(release.to_owned());
            let name = (release.to_owned(), packaged.name.clone());
            component.cpes.push(name);
        }
    }
}

/// One entry a name and version, the most trusted method first, every place as evidence.
fn merge(mut found: Vec<Component>) -> Vec<Component> {
    found.sort_by(|a, b| {
        (&a.name, &a.version, a.method, &a.evidence).cmp(&(
            &b.name,
            &b.version,
            b.method,
            &b.evidence,
        ))
    });
    let mut merged: Vec<Component> = Vec::new();
    for component in found {
        match merged.last_mut() {
            Some(last) if last.name == component.name && last.version == component.version => {
                for evidence in component.evidence {
                    if !last.evidence.contains(&evidence) && last.evidence.len() < 100 {
                        last.evidence.push(evidence);
                    }
                }
                last.revision = last.revision.take().or(component.revision);
                last.packaged = last.packaged.take().or(component.packaged);
                last.licence = last.licence.take().or(component.licence);
                for cpe in component.cpes {
                    if !last.cpes.contains(&cpe) {
                        last.cpes.push(cpe);
                    }
                }
            }
            _ => merged.push(component),
        }
    }
    // Where a version is known, "some version" adds nothing.
    let known: Vec<String> = merged
        .iter()
        .filter(|c| c.version.is_some())
        .map(|c| c.name.clone())
        .collect();
    merged.retain(|c| c.version.is_some() || !known.contains(&c.name));
    merged
}

/// Files of text that speak about a component are not the component.
fn is_binary(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(4096)];
    memchr::memchr(0, head).is_some() && !head.starts_with(b"\x89PNG") && bytes.len() > 512
}

/// The digits and dots at the start.
fn leading(text: &str) -> &str {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

struct Patterns {
    literals: AhoCorasick,
    rules: Vec<(&'static Rule, Regex)>,
}

fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    PATTERNS.get_or_init(|| Patterns {
        literals: AhoCorasick::new(RULES.iter().map(|r| r.literal)).expect("literals are short"),
        rules: RULES
            .iter()
            .map(|rule| {
                let pattern = rule.pattern.replace("<V>", rules::VERSION);
                let text = match rule.apart {
                    true => format!(r"(?-u)\x00(?:{pattern})\x00"),
                    false => format!("(?-u){pattern}"),
                };
                (
                    rule,
                    Regex::new(&text).expect("the table's patterns are tested"),
                )
            })
            .collect(),
    })
}

/// Patterns begin up to so far before their literals.
const BACK: usize = 8;

fn banners(
    chain: &str,
    offset: usize,
    bytes: &[u8],
    elf: Option<&Elf>,
    found: &mut Vec<Component>,
) {
    let patterns = patterns();
    let mut told: Vec<(&str, String)> = Vec::new();
    let mut whole: Vec<usize> = Vec::new();
    for hit in patterns.literals.find_overlapping_iter(bytes) {
        let (rule, pattern) = &patterns.rules[hit.pattern().as_usize()];
        if rule.whole || rule.apart {
            // One look at the whole file is enough.
            if whole.contains(&hit.pattern().as_usize()) {
                continue;
            }
            whole.push(hit.pattern().as_usize());
        }
        // The pattern's match holds the literal.
        let from = hit.start().saturating_sub(rule.back.max(BACK));
        let (from, window) = if rule.apart {
            match text_of_its_own(pattern, bytes, hit.start()) {
                Some(at) => (at, &bytes[at..bytes.len().min(at + 160)]),
                None => continue,
            }
        } else if rule.whole {
            (0, bytes)
        } else {
            (from, &bytes[from..bytes.len().min(hit.end() + 160)])
        };
        let Some(hits) = pattern.captures(window) else {
            continue;
        };
        let (Some(whole), Some(version)) = (hits.get(0), hits.get(1)) else {
            continue;
        };
        let version = String::from_utf8_lossy(version.as_bytes())
            .trim_end_matches(['.', '-'])
            .to_owned();
        let version = rules::spelled(rule.name, version);
        if told.iter().any(|(n, v)| *n == rule.name && *v == version)
            || !plausible(rule, bytes, elf)
        {
            continue;
        }
        let text = crate::path::printable(whole.as_bytes());
        let mut component = Component::new(
            rule.name,
            Some(&version),
            rule.cpes,
            Method::Banner,
            Evidence::new(chain, offset + from + whole.start(), &text),
        );
        if elf.is_none() && !rule.raw {
            component.confidence = Confidence::Low;
        }
        told.push((rule.name, version));
        found.push(component);
    }
}

/// So far from a format its version is beside it.
const BESIDE: usize = 256;
/// Texts that could be a version, of which the right one is looked for.
const TEXTS: usize = 1_000;

/// Where a version stands as a text of its own for the format at `format`: the nearest, if it is
/// beside the format, or if there is no other in the file.
fn text_of_its_own(pattern: &Regex, bytes: &[u8], format: usize) -> Option<usize> {
    let mut found: Vec<(usize, &[u8])> = Vec::new();
    let mut from = 0;
    while let Some(text) = pattern.captures_at(bytes, from) {
        let (whole, version) = (text.get(0)?, text.get(1)?);
        found.push((whole.start(), version.as_bytes()));
        if found.len() > TEXTS {
            return None;
        }
        // The end of one text is the start of the next.
        from = whole.end() - 1;
    }
    let (at, version) = *found.iter().min_by_key(|(at, _)| at.abs_diff(format))?;
    let only = found.iter().all(|(_, other)| *other == version);
    (only || at.abs_diff(format) <= BESIDE).then_some(at)
}

/// Whether a text of a file can be the file's own.
fn plausible(rule: &Rule, bytes: &[u8], elf: Option<&Elf>) -> bool {
    let also = || {
        rule.also
            .iter()
            .any(|text| memchr::memmem::find(bytes, text.as_bytes()).is_some())
    };
    let Some(elf) = elf else {
        // Without headers only a second sign makes a library believable.
        return rule.raw || rule.lib.is_some() && !rule.also.is_empty() && also();
    };
    match rule.lib {
        None => rule.also.is_empty() || also(),
        Some(stem) if elf.is(stem) => true,
        // Another library, or a program that asks for the library, only quotes it.
        Some(stem) if elf.needs(stem) => false,
        Some(_) => !rule.also.is_empty() && also(),
    }
}

/// Libraries whose file names carry the release's number: stem, component, and how to read it.
fn from_soname(image: &Unpacked, file: &File, elf: &Elf, found: &mut Vec<Component>) {
    let Some(soname) = &elf.soname else { return };
    let name = file.name();
    for (stem, component, cpes) in rules::SONAMES {
        if !crate::elf::is_of_stem(soname, stem) {
            continue;
        }
        // libz.so.1.2.11, libuClibc-0.9.33.2.so
        let version = name
            .split_once(".so.")
            .map(|(_, v)| v)
            .or_else(|| {
                name.strip_prefix(stem)?
                    .strip_prefix('-')?
                    .strip_suffix(".so")
            })
            .filter(|v| v.split('.').count() >= 3 || name.starts_with("libuClibc"))
            .filter(|v| v.bytes().all(|b| b.is_ascii_digit() || b == b'.'));
        let version = version
            .map(|v| rules::release_of(stem, v))
            .filter(|v| !v.is_empty());
        found.push(Component::new(
            component,
            version.as_deref(),
            cpes,
            Method::Soname,
            Evidence::new(&image.chain(file), 0, soname),
        ));
    }
}

/// A kernel module names the kernel that it was built for; of one that is not the kernel's own it also
/// tells version and licence.
fn module(chain: &str, bytes: &[u8], found: &mut Vec<Component>) {
    let field = |key: &[u8]| {
        let at = memchr::memmem::find(bytes, key)?;
        let rest = &bytes[at + key.len()..];
        let end = rest.iter().take(120).position(|b| *b == 0);
        let text = &rest[..end.unwrap_or(rest.len().min(120))];
        Some((at, crate::path::printable(text)))
    };
    if let Some((at, text)) = field(b"vermagic=") {
        let version = leading(&text);
        if version.split('.').count() >= 2 {
            found.push(Component::new(
                "linux",
                Some(version),
                &[("linux", "linux_kernel")],
                Method::Module,
                Evidence::new(chain, at, &text),
            ));
        }
    }
    let licence = field(b"\0license=").map(|(_, text)| text);
    let own = licence.as_ref().is_none_or(|text| text.contains("GPL"));
    let version = field(b"\0version=");
    if own && version.is_none() {
        return;
    }
    let name = chain.rsplit('/').next().unwrap_or_default();
    let name = name.strip_suffix(".ko").unwrap_or(name);
    let at = version.as_ref().map_or(0, |(at, _)| *at);
    let version = version
        .map(|(_, text)| text)
        .filter(|text| !text.is_empty());
    let text = format!(
        "module {name}, {}",
        licence.as_deref().unwrap_or("no licence")
    );
    let evidence = Evidence::new(chain, at, &text);
    let mut module = Component::new(name, version.as_deref(), &[], Method::Module, evidence);
    module.licence = licence;
    found.push(module);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_holds_its_literal() {
        for (rule, pattern) in &patterns().rules {
            assert!(!rule.literal.is_empty(), "{}", rule.name);
            assert!(pattern.captures_len() == 2, "{}: one version", rule.name);
        }
    }
}

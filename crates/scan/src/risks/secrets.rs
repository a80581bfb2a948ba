//! Secrets and addresses in texts and programs. Only shapes that hardly anything else has are
//! reported, because a list full of accidents is read by nobody.

use std::{collections::BTreeSet, sync::OnceLock};

use regex::bytes::Regex;

use super::{Finding, Look, Scene, detail, lines, masked};

/// Tokens by the prefix and alphabet that their issuers give them.
const TOKENS: &[(&str, &str)] = &[
    ("Alibaba Cloud AccessKey", r"\bLTAI[0-9A-Za-z]{12,20}\b"),
    ("AWS access key", r"\bAKIA[0-9A-Z]{16}\b"),
    ("Tencent Cloud SecretId", r"\bAKID[0-9A-Za-z]{32}\b"),
    ("Google API key", r"\bAIza[0-9A-Za-z_-]{35}\b"),
    ("GitHub token", r"\bgh[pousr]_[0-9A-Za-z]{36}\b"),
    ("Slack token", r"\bxox[abpr]-[0-9A-Za-z-]{20,}\b"),
    (
        "JSON web token",
        r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.[0-9A-Za-z_-]{20,}",
    ),
];

/// Each kind of value is listed at most so often for a file.
const MOST: usize = 20;

struct Patterns {
    tokens: Vec<(&'static str, Regex)>,
    password: Regex,
    login: Regex,
    url: Regex,
    address: Regex,
    mail: Regex,
}

fn patterns() -> &'static Patterns {
    static PATTERNS: OnceLock<Patterns> = OnceLock::new();
    let compile = |text: &str| Regex::new(&format!("(?-u){text}")).expect("a pattern of this file");
    PATTERNS.get_or_init(|| Patterns {
        tokens: TOKENS.iter().map(|(n, p)| (*n, compile(p))).collect(),
        password: compile(
            r#"(?i)\b[a-z0-9_.-]{0,24}(?:passwo?r?d|passwd|pwd|passphrase|wpa_psk)["']?\s*[=:]\s*["']?([^\s"'<>,;&|]{4,64})"#,
        ),
        login: compile(r#"\b[a-z]{2,8}://[^\s/:@"'<>%]{1,32}:([^\s/@"'<>]{3,64})@[0-9A-Za-z]"#),
        url: compile(r#"https?://[0-9A-Za-z.-]{4,80}(?::\d{1,5})?(?:/[0-9A-Za-z._~%?=&/+-]{0,120})?"#),
        address: compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
        mail: compile(r"\b[0-9A-Za-z._%+-]{2,40}@[0-9A-Za-z-]{2,40}(?:\.[0-9A-Za-z-]{2,20}){1,3}\b"),
    })
}

pub(super) fn look(_: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
    // What is packed was looked at unpacked; pictures and sounds hold no words.
    if look.file.opened || look.bytes.len() < 8 {
        return;
    }
    let patterns = patterns();
    for (name, pattern) in &patterns.tokens {
        let values = all(pattern, look.bytes);
        if !values.is_empty() {
            found.push(Finding::new(
                "TokenLeak",
                &look.chain,
                vec![
                    detail("类型", "type", [(*name).to_owned()]),
                    detail("证据", "evidence", values.iter().map(|v| masked(v))),
                ],
            ));
        }
    }
    if look.elf.is_none() && look.text.is_none() {
        return;
    }
    if is_configuration(look) {
        passwords(look, &patterns.password, found);
    }
    logins(look, &patterns.login, found);
    let urls: BTreeSet<String> = all(&patterns.url, look.bytes)
        .into_iter()
        .filter(|u| !is_common(u))
        .collect();
    let update: Vec<String> = urls
        .iter()
        .filter(|u| u.starts_with("http://"))
        .filter(|u| {
            ["firmware", "upgrade", "update", "/fota", "/ota"]
                .iter()
                .any(|w| u.to_ascii_lowercase().contains(w))
        })
        .cloned()
        .collect();
    if !update.is_empty() {
        found.push(Finding::new(
            "UpdateInsecure",
            &look.chain,
            vec![detail("地址", "url", update)],
        ));
    }
    let mut list = |code, cn, en, values: Vec<String>| {
        if !values.is_empty() {
            found.push(Finding::new(
                code,
                &look.chain,
                vec![detail(cn, en, values)],
            ));
        }
    };
    list("UrlLeak", "地址", "url", urls.into_iter().collect());
    list(
        "EmailLeak",
        "邮箱",
        "e-mail",
        mails(all(&patterns.mail, look.bytes)),
    );
    // In programs four numbers with dots are versions as often as addresses.
    if look.elf.is_none() {
        let addresses = all(&patterns.address, look.bytes);
        list(
            "IpLeak",
            "地址",
            "address",
            addresses.into_iter().filter(|a| is_host(a)).collect(),
        );
    }
}

/// Distinct matches, sorted.
fn all(pattern: &Regex, bytes: &[u8]) -> BTreeSet<String> {
    pattern
        .find_iter(bytes)
        .take(5_000)
        .map(|m| String::from_utf8_lossy(m.as_bytes()).into_owned())
        .collect::<BTreeSet<_>>()
        .into_iter()
        .take(MOST)
        .collect()
}

fn is_configuration(look: &Look<'_>) -> bool {
    const ENDS: [&str; 11] = [
        ".conf",
        ".cfg",
        ".ini",
        ".xml",
        ".json",
        ".yaml",
        ".yml",
        ".sh",
        ".lua",
        ".properties",
        ".env",
    ];
    let path = &look.file.path;
    look.text.is_some()
        && !path.contains("/www/")
        && (ENDS.iter().any(|end| path.ends_with(end))
            || path.starts_with("/etc/") && !path.contains("/ssl/"))
}

fn passwords(look: &Look<'_>, pattern: &Regex, found: &mut Vec<Finding>) {
    for (number, line) in lines(look.text.unwrap_or_default()).take(100_000) {
        let Some(hit) = pattern.captures(line.as_bytes()) else {
            continue;
        };
        let value = hit
            .get(1)
            .map(|m| String::from_utf8_lossy(m.as_bytes()).into_owned())
            .unwrap_or_default();
        if is_placeholder(&value) {
            continue;
        }
        found.push(Finding::new(
            "HardcodedPassword",
            &look.chain,
            vec![
                detail("行", "line", [number.to_string()]),
                detail("证据", "evidence", [masked(&value)]),
            ],
        ));
    }
}

/// Addresses with a name and a password in them, as cameras are told of each other.
fn logins(look: &Look<'_>, pattern: &Regex, found: &mut Vec<Finding>) {
    for hit in pattern.captures_iter(look.bytes).take(MOST) {
        let (Some(whole), Some(value)) = (hit.get(0), hit.get(1)) else {
            continue;
        };
        let value = String::from_utf8_lossy(value.as_bytes());
        if !is_placeholder(&value) {
            found.push(Finding::new(
                "HardcodedPassword",
                &look.chain,
                vec![
                    detail("位置", "offset", [format!("{:#x}", whole.start())]),
                    detail("证据", "evidence", [masked(&value)]),
                ],
            ));
        }
    }
}

/// Variables, formats, switches and words about passwords are none.
fn is_placeholder(value: &str) -> bool {
    const WORDS: [&str; 18] = [
        "true",
        "false",
        "none",
        "null",
        "yes",
        "enable",
        "disable",
        "prompt",
        "auth",
        "shadow",
        "required",
        "files",
        "compat",
        "string",
        "password",
        "text",
        "optional",
        "sufficient",
    ];
    let lower = value.to_ascii_lowercase();
    value.contains(['$', '%', '{', '(', '[', '*', '`', '/'])
        || WORDS.contains(&lower.as_str())
        || lower.bytes().all(|b| b == lower.as_bytes()[0])
        || lower.starts_with("xxx")
        || lower.contains("your")
}

fn is_common(url: &str) -> bool {
    const HOSTS: [&str; 9] = [
        "www.w3.org",
        "schemas.",
        "xmlsoft.org",
        "www.gnu.org",
        "gnu.org",
        "example.",
        "localhost",
        "127.0.0.1",
        "purl.org",
    ];
    let host = url.split("//").nth(1).unwrap_or_default();
    HOSTS.iter().any(|h| host.starts_with(h))
}

fn is_host(address: &str) -> bool {
    let parts: Vec<u16> = address.split('.').filter_map(|p| p.parse().ok()).collect();
    let &[a, b, c, d] = parts.as_slice() else {
        return false;
    };
    let whole = parts.iter().all(|p| *p < 256);
    // Masks, nothing, this machine, versions like 1.2.3.4 and documentation.
    whole
        && d != 0
        && d != 255
        && !matches!(a, 0..=9 | 127 | 224..)
        && !(a == 192 && b == 0 && c == 2)
}

fn mails(found: BTreeSet<String>) -> Vec<String> {
    found
        .into_iter()
        .filter(|m| {
            let end = m.rsplit('.').next().unwrap_or_default();
            !m.contains("example")
                && end.bytes().all(|b| b.is_ascii_lowercase())
                && end.len() <= 6
                && !["so", "conf", "png", "service", "local"].contains(&end)
        })
        .collect()
}

//! Accounts: /etc/passwd and /etc/shadow.

use credential::crypto::digest::Hash;

use super::{Finding, Look, Scene, detail, seen};
use crate::vulns::Severity;

/// Passwords that devices are delivered with; a hash is tried with these and its account's name.
const COMMON: &[&str] = &[
    "root",
    "admin",
    "password",
    "1234",
    "12345",
    "123456",
    "12345678",
    "default",
    "guest",
    "user",
    "toor",
    "pass",
    "support",
    "system",
    "service",
    "supervisor",
    "manager",
    "public",
    "private",
    "test",
    "ftp",
    "nobody",
    "ubnt",
    "alpine",
    "openwrt",
    "anko",
    "juantech",
    "xc3511",
    "vizxv",
    "hi3518",
    "jvbzd",
    "klv123",
    "klv1234",
    "xmhdipc",
    "cat1029",
    "tlJwpbo6",
    "Zte521",
    "zlxx.",
    "7ujMko0admin",
    "7ujMko0vizxv",
    "dreambox",
    "ikwb",
    "realtek",
    "00000000",
    "1111",
    "1111111",
    "54321",
    "666666",
    "888888",
    "123",
    "4321",
    "smcadmin",
    "meinsm",
    "fucker",
    "tech",
    "oelinux123",
    "hichiphx",
    "GM8182",
    "a1sev5y7c39k",
    "2011vsta",
    "changeme",
    "letmein",
    "qwerty",
    "abc123",
    "admin123",
    "admin1234",
    "root123",
    "pass1234",
];

pub(super) fn look(_: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
    let path = look.file.path.as_str();
    let is = |name: &str| path == format!("/etc/{name}") || path.ends_with(&format!("/etc/{name}"));
    let Some(text) = look.text else { return };
    let users = is("passwd") || is("passwd-") || is("passwd.default");
    if !users && !is("shadow") && !is("shadow-") && !is("shadow.default") {
        return;
    }
    for line in text.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [name, hash, rest @ ..] = fields.as_slice() else {
            continue;
        };
        if name.is_empty() || name.starts_with('#') {
            continue;
        }
        if users {
            let shell = fields.get(6).copied().unwrap_or("");
            if rest.first() == Some(&"0") && *name != "root" {
                found.push(Finding::new(
                    "ExtraRootUid",
                    &look.chain,
                    account(name, "uid 0"),
                ));
            }
            if shell.ends_with("/false") || shell.ends_with("/nologin") {
                continue;
            }
        }
        judge(name, hash, &look.chain, found);
    }
}

fn account(name: &str, what: &str) -> Vec<super::Detail> {
    let mut details = vec![detail("账户", "account", [name.to_owned()])];
    details.extend(seen(what));
    details
}

fn judge(name: &str, hash: &str, chain: &str, found: &mut Vec<Finding>) {
    if hash.is_empty() {
        found.push(Finding::new("EmptyPassword", chain, account(name, "empty")));
        return;
    }
    // Locked, or kept in the other file.
    if hash.len() < 3 || hash.starts_with(['*', '!']) {
        return;
    }
    let traditional = hash.len() == 13
        && hash
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'/');
    let scheme = if hash.starts_with("$1$") {
        "MD5 crypt"
    } else if traditional {
        "DES crypt"
    } else {
        ""
    };
    if !scheme.is_empty() {
        found.push(Finding::new("WeakHash", chain, account(name, scheme)));
    }
    if let Some(password) = guess(name, hash) {
        let finding = Finding::new(
            "WeakPassword",
            chain,
            account(name, &super::masked(password)),
        );
        let severity = if name == "root" {
            Severity::Critical
        } else {
            Severity::High
        };
        found.push(finding.of(severity));
    }
}

/// The password of an MD5 hash if it is a common one. Slower schemes are not tried.
fn guess<'a>(name: &'a str, hash: &str) -> Option<&'a str> {
    let (salt, _) = hash.strip_prefix("$1$")?.split_once('$')?;
    if salt.len() > 8 {
        return None;
    }
    std::iter::once(name)
        .chain(COMMON.iter().copied())
        .chain([""])
        .find(|password| md5_crypt(password.as_bytes(), salt.as_bytes()) == hash)
}

/// The scheme `$1$` of crypt(3), as FreeBSD brought it: a thousand rounds over password and salt.
fn md5_crypt(password: &[u8], salt: &[u8]) -> String {
    let md5 = |bytes: &[u8]| Hash::Md5.digest(bytes);
    let inner = md5(&[password, salt, password].concat());
    let mut text = [password, b"$1$", salt].concat();
    text.extend(inner.iter().cycle().take(password.len()));
    let mut bits = password.len();
    while bits > 0 {
        text.push(if bits & 1 == 1 { 0 } else { password[0] });
        bits >>= 1;
    }
    let mut digest = md5(&text);
    for round in 0..1000 {
        let mut text = Vec::with_capacity(64);
        text.extend_from_slice(if round & 1 == 1 { password } else { &digest });
        if round % 3 != 0 {
            text.extend_from_slice(salt);
        }
        if round % 7 != 0 {
            text.extend_from_slice(password);
        }
        text.extend_from_slice(if round & 1 == 1 { &digest } else { password });
        digest = md5(&text);
    }
    const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut out = format!("$1${}$", String::from_utf8_lossy(salt));
    let mut push = |mut value: u32, count| {
        for _ in 0..count {
            out.push(char::from(LETTERS[(value & 63) as usize]));
            value >>= 6;
        }
    };
    let byte = |n: usize| u32::from(digest[n]);
    for (a, b, c) in [(0, 6, 12), (1, 7, 13), (2, 8, 14), (3, 9, 15), (4, 10, 5)] {
        push(byte(a) << 16 | byte(b) << 8 | byte(c), 4);
    }
    push(byte(11), 2);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `openssl passwd -1 -salt` prints them.
    #[test]
    fn hashes_of_common_passwords_are_recognised() {
        assert_eq!(
            md5_crypt(b"password", b"xxxxxxxx"),
            "$1$xxxxxxxx$UYCIxa628.9qXjpQCjM4a."
        );
        assert_eq!(
            guess("root", "$1$xxxxxxxx$UYCIxa628.9qXjpQCjM4a."),
            Some("password")
        );
        assert_eq!(guess("root", "$1$xxxxxxxx$aaaaaaaaaaaaaaaaaaaaaa"), None);
    }
}

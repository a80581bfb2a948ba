//! What is started at boot, and how services are set up.

use std::sync::OnceLock;

use regex::Regex;

use super::{Finding, Look, Scene, detail, lines};
use crate::{identify::Confidence, vulns::Severity};

/// Programs in start scripts, and what running them means.
const STARTED: &[(&str, &str)] = &[
    ("TelnetEnabled", r"\b(?:u?telnetd)\b"),
    (
        "FtpEnabled",
        r"\b(?:vsftpd|proftpd|pure-ftpd|bftpd|stupid-ftpd|ftpd)\b",
    ),
    ("TftpEnabled", r"\b(?:in\.tftpd|tftpd|atftpd)\b"),
    ("RshEnabled", r"\b(?:in\.)?(?:rshd|rlogind|rexecd)\b"),
    ("UpnpEnabled", r"\b(?:miniupnpd|upnpd|minissdpd|wscd)\b"),
    ("DebugInterface", r"\b(?:gdbserver|adbd)\b"),
    (
        "BackdoorPattern",
        r"/dev/tcp/\d|\bnc\b[^\n]{0,60}\s-e\s|\bbash -i\s*>&|mkfifo [^\n]{0,80}\|\s*nc\b|\btelnetd\b[^\n]{0,80}\s-u\s*\w+:",
    ),
];

fn patterns() -> &'static [(&'static str, Regex)] {
    static PATTERNS: OnceLock<Vec<(&'static str, Regex)>> = OnceLock::new();
    PATTERNS.get_or_init(|| {
        STARTED
            .iter()
            .map(|(code, text)| (*code, Regex::new(text).expect("a pattern of this file")))
            .collect()
    })
}

pub(super) fn look(_: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
    let Some(text) = look.text else { return };
    let (path, name) = (look.file.path.as_str(), look.file.name());
    if name == "inittab" {
        inittab(look, text, found);
    }
    let starts = path.contains("/init.d/")
        || path.contains("/rc.d/")
        || path.contains("/etc/rc")
        || matches!(
            name,
            "rcS" | "rc.local" | "inetd.conf" | "inittab" | "rc.sysinit"
        )
        || path.contains("/systemd/system/");
    if starts || text.starts_with("#!") && path.contains("/etc/") {
        started(look, text, found);
    }
    match name {
        "snmpd.conf" => snmp(look, text, found),
        "sshd_config" => sshd(look, text, found),
        "lighttpd.conf" | "boa.conf" | "nginx.conf" | "thttpd.conf" | "httpd.conf" => {
            web(look, text, found);
        }
        _ => {}
    }
}

fn at(look: &Look<'_>, code: &'static str, number: usize, line: &str) -> Finding {
    Finding::new(
        code,
        &look.chain,
        vec![
            detail("行", "line", [number.to_string()]),
            detail(
                "证据",
                "evidence",
                [line.chars().take(200).collect::<String>()],
            ),
        ],
    )
}

fn started(look: &Look<'_>, text: &str, found: &mut Vec<Finding>) {
    for (code, pattern) in patterns() {
        let line = lines(text).find(|(_, line)| {
            // Stopping, testing for and talking about a program does not start it.
            const OTHER: [&str; 6] = ["killall", "kill ", "echo ", "rm ", "pidof", "which "];
            pattern.is_match(line) && !OTHER.iter().any(|o| line.starts_with(o))
        });
        if let Some((number, line)) = line {
            found.push(at(look, code, number, line));
        }
    }
}

/// A console that gives a shell without asking who is there.
fn inittab(look: &Look<'_>, text: &str, found: &mut Vec<Finding>) {
    for (number, line) in lines(text) {
        let Some(process) = line.splitn(4, ':').nth(3) else {
            continue;
        };
        let action = line.split(':').nth(2).unwrap_or_default();
        let program = process
            .trim_start_matches('-')
            .split_whitespace()
            .next()
            .unwrap_or("");
        let shell = ["/bin/sh", "/bin/ash", "/bin/bash", "/bin/busybox"].contains(&program);
        let getty = process.contains("getty") && process.contains("-l /bin/sh");
        if matches!(action, "askfirst" | "respawn") && (shell || getty) {
            found.push(at(look, "DebugShell", number, line));
        }
    }
}

fn snmp(look: &Look<'_>, text: &str, found: &mut Vec<Finding>) {
    for (number, line) in lines(text) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let known = words.iter().any(|w| matches!(*w, "public" | "private"));
        match words.first() {
            Some(&("rwcommunity" | "rwcommunity6")) if known => {
                found.push(at(look, "SnmpDefaultCommunity", number, line).of(Severity::High));
            }
            Some(&("rocommunity" | "rocommunity6" | "com2sec")) if known => {
                found.push(at(look, "SnmpDefaultCommunity", number, line));
            }
            _ => {}
        }
    }
}

fn sshd(look: &Look<'_>, text: &str, found: &mut Vec<Finding>) {
    for (number, line) in lines(text) {
        let mut words = line.split_whitespace();
        let key = words.next().unwrap_or_default().to_ascii_lowercase();
        let value = words.collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        let severity = match (key.as_str(), value.as_str()) {
            ("permitemptypasswords", "yes") => Severity::Critical,
            ("protocol", v) if v.contains('1') => Severity::High,
            ("permitrootlogin", "yes") => Severity::Medium,
            ("ciphers", v)
                if ["3des", "arcfour", "cbc", "blowfish"]
                    .iter()
                    .any(|w| v.contains(w)) =>
            {
                Severity::Low
            }
            ("macs", v) if v.contains("md5") => Severity::Low,
            _ => continue,
        };
        found.push(at(look, "SshdWeakConfig", number, line).of(severity));
    }
}

fn web(look: &Look<'_>, text: &str, found: &mut Vec<Finding>) {
    let sealed = text.contains("ssl") || text.contains("443");
    let plain = lines(text).find(|(_, line)| {
        !sealed && (line.starts_with("server.port") || line.starts_with("listen "))
    });
    if let Some((number, line)) = plain {
        // Another file may be included that says otherwise.
        found.push(at(look, "HttpdWeakConfig", number, line).sure(Confidence::Low));
    }
    for (number, line) in lines(text) {
        // BusyBox's server lists who may see a path: `/path:user:password`.
        let mut login = line.splitn(3, ':');
        let path = login.next().is_some_and(|path| path.starts_with('/'));
        if let (true, Some(user), Some(password)) = (path, login.next(), login.next())
            && super::crack::is_common(user, password)
        {
            // The line holds the password.
            let line = format!("user {user}, password {}", super::masked(password));
            found.push(at(look, "HttpdWeakConfig", number, &line).of(Severity::High));
        }
        let bare: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let listing = bare.contains("dir-listing.activate") && bare.contains("enable")
            || bare.starts_with("autoindex on")
            || bare.starts_with("Options") && bare.contains("+Indexes");
        let root = matches!(
            bare.as_str(),
            "User root" | "User 0" | "user root;" | "user=root"
        );
        if listing || root {
            found.push(at(look, "HttpdWeakConfig", number, line));
        }
    }
}

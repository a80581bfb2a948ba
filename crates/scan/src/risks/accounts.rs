//! Accounts: /etc/passwd and /etc/shadow.

use super::{
    Finding, Look, Scene,
    crack::{Budget, Scheme, guess},
    detail, seen,
};
use crate::vulns::Severity;

/// Accounts that products were delivered with and nobody was told of, and where that is said.
const PLANTED: [(&str, &str); 6] = [
    ("Alphanetworks", "D-Link, firmware by Alpha Networks"),
    ("dbladm", "DBL Technology GoIP"),
    ("mateidu", "Ceragon FibeAir, CVE-2015-0936"),
    ("mydlinkBRionyg", "D-Link and WD network storage"),
    ("tluafed", "cameras of Xiongmai"),
    ("zyfwp", "Zyxel USG, CVE-2020-29583"),
];

pub(super) fn look(scene: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
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
        if let Some((_, whose)) = PLANTED.iter().find(|(known, _)| known == name) {
            let finding = Finding::new("BackdoorPattern", &look.chain, account(name, whose));
            found.push(finding);
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
        judge(name, hash, &look.chain, &scene.budget, found);
    }
}

fn account(name: &str, what: &str) -> Vec<super::Detail> {
    let mut details = vec![detail("账户", "account", [name.to_owned()])];
    details.extend(seen(what));
    details
}

fn judge(name: &str, hash: &str, chain: &str, budget: &Budget, found: &mut Vec<Finding>) {
    if hash.is_empty() {
        found.push(Finding::new("EmptyPassword", chain, account(name, "empty")));
        return;
    }
    // Locked, or kept in the other file.
    if hash.len() < 3 || hash.starts_with(['*', '!']) {
        return;
    }
    if let Some(scheme) = Scheme::of(hash).and_then(Scheme::weak) {
        found.push(Finding::new("WeakHash", chain, account(name, scheme)));
    }
    if let Some(password) = guess(name, hash, budget) {
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

//! How programs are built.

use super::{Finding, Look, Scene, detail, seen};
use crate::{
    elf::{Elf, ElfKind, Relro},
    identify::Confidence,
    vulns::Severity,
};

/// Functions that have led to most holes.
const UNSAFE: [&str; 9] = [
    "strcpy", "strcat", "sprintf", "vsprintf", "gets", "scanf", "sscanf", "system", "popen",
];
/// Functions that have a checked twin.
const FORTIFIED: [&str; 8] = [
    "memcpy", "strcpy", "strcat", "sprintf", "snprintf", "printf", "fprintf", "memset",
];
/// Names of programs that listen to the network.
const DAEMONS: [&str; 12] = [
    "httpd", "telnetd", "ftpd", "sshd", "dropbear", "upnpd", "dnsmasq", "snmpd", "goahead", "boa",
    "lighttpd", "udhcpd",
];

pub(super) fn look(_: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
    let Some(elf) = &look.elf else { return };
    if !matches!(elf.kind, ElfKind::Program | ElfKind::Library) {
        return;
    }
    let mut tell = |code, text: &str| found.push(Finding::new(code, &look.chain, seen(text)));
    match elf.nx {
        Some(true) => {}
        Some(false) => tell("NoNx", "PT_GNU_STACK is executable"),
        // MIPS compilers never wrote the header, and its absence there says little.
        None => {
            let finding = Finding::new("NoNx", &look.chain, seen("no PT_GNU_STACK"));
            found.push(finding.sure(Confidence::Low));
        }
    }
    let mut tell = |code, text: &str| found.push(Finding::new(code, &look.chain, seen(text)));
    let dynamic = elf.interpreter.is_some();
    if elf.kind == ElfKind::Program && !elf.pie {
        tell("NoPie", "ET_EXEC");
    }
    if (dynamic || elf.kind == ElfKind::Library) && elf.relro != Relro::Full {
        let what = if elf.relro == Relro::None {
            "none"
        } else {
            "partial"
        };
        tell("NoRelro", what);
    }
    let symbols = !elf.imports.is_empty();
    let canary = [
        "__stack_chk_fail",
        "__stack_chk_guard",
        "__intel_security_cookie",
    ]
    .iter()
    .any(|n| elf.knows(n));
    if symbols && !canary {
        // A file without arrays on its stack has none either.
        let finding = Finding::new("NoCanary", &look.chain, seen("no __stack_chk_fail"));
        found.push(finding.sure(Confidence::Medium));
    }
    fortify(elf, look, found);
    let risky: Vec<String> = elf
        .runpath
        .iter()
        .filter(|p| {
            !p.starts_with('/') && !p.starts_with("$ORIGIN")
                || p.starts_with("/tmp")
                || p.starts_with("/var/tmp")
        })
        .cloned()
        .collect();
    if !risky.is_empty() {
        found.push(Finding::new(
            "RpathRisk",
            &look.chain,
            vec![detail("路径", "path", risky)],
        ));
    }
    let calls: Vec<String> = UNSAFE
        .iter()
        .filter(|n| elf.imports.iter().any(|i| i == *n))
        .map(|n| (*n).to_owned())
        .collect();
    if !calls.is_empty() {
        let finding = Finding::new(
            "UnsafeFunc",
            &look.chain,
            vec![detail("函数", "function", calls)],
        );
        let listens = DAEMONS.iter().any(|d| look.file.name().contains(d));
        found.push(if listens {
            finding.of(Severity::Medium)
        } else {
            finding
        });
    }
    if !elf.stripped {
        found.push(Finding::new("DebugSymbol", &look.chain, seen(".symtab")));
    }
}

/// Only glibc has the checked functions, so nothing is said of others.
fn fortify(elf: &Elf, look: &Look<'_>, found: &mut Vec<Finding>) {
    let glibc = elf.needed.iter().any(|n| n == "libc.so.6");
    let takes = |name: &str| elf.imports.iter().any(|i| i == name);
    let checked = elf
        .imports
        .iter()
        .any(|i| i.starts_with("__") && i.ends_with("_chk"));
    let plain: Vec<String> = FORTIFIED
        .iter()
        .filter(|n| takes(n))
        .map(|n| (*n).to_owned())
        .collect();
    if glibc && !checked && !plain.is_empty() {
        found.push(Finding::new(
            "NoFortify",
            &look.chain,
            vec![detail("函数", "function", plain)],
        ));
    }
}

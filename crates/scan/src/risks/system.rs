//! Kernel, boot chain, age of components, and what could not be opened.

use std::sync::OnceLock;

use super::{Finding, Look, Scene, detail, seen};
use crate::{Class, identify::Confidence, version::compare, vulns::Severity};

/// Series of the kernel that still got repairs at the end of 2026.
const KERNELS: [&str; 7] = ["5.10", "5.15", "6.1", "6.6", "6.12", "6.18", "6.19"];

/// The first version of each component whose series is still cared for.
const CARED_FOR: [(&str, &str); 11] = [
    ("openssl", "3.0"),
    ("python", "3.10"),
    ("php", "8.2"),
    ("boa", "99"),
    // Ended by their authors, without a series that goes on.
    ("isc-dhcp", "99"),
    ("quagga", "99"),
    ("uclibc", "99"),
    ("mosquitto", "2.0"),
    ("mbedtls", "2.28"),
    ("u-boot", "2019.01"),
    ("busybox", "1.30"),
];

/// Options that should be on; each by the names that it had.
const OPTIONS: [&[&str]; 6] = [
    &[
        "CONFIG_STACKPROTECTOR",
        "CONFIG_CC_STACKPROTECTOR",
        "CONFIG_CC_STACKPROTECTOR_REGULAR",
    ],
    &["CONFIG_STRICT_KERNEL_RWX", "CONFIG_DEBUG_RODATA"],
    &["CONFIG_STRICT_MODULE_RWX", "CONFIG_DEBUG_SET_MODULE_RONX"],
    &["CONFIG_MODULE_SIG"],
    &["CONFIG_SECCOMP"],
    &["CONFIG_STRICT_DEVMEM"],
];

/// The seconds that a boot loader's environment lets anybody at the console stop it, and where they
/// stand. Texts of an environment end with a zero byte (U-Boot, `env_common.c`).
fn boot_delay(bytes: &[u8]) -> Option<(usize, u32)> {
    const KEY: &[u8] = b"\0bootdelay=";
    let at = memchr::memmem::find(bytes, KEY)?;
    memchr::memmem::find(bytes, b"bootcmd=")?;
    let rest = &bytes[at + KEY.len()..];
    let end = rest.iter().take(8).position(|b| *b == 0)?;
    let seconds: u32 = std::str::from_utf8(&rest[..end]).ok()?.parse().ok()?;
    (seconds > 0).then_some((at + 1, seconds))
}

/// Texts that speak of a debugging port that is open. A word about the port alone says nothing.
fn jtag() -> &'static regex::bytes::Regex {
    static PATTERN: OnceLock<regex::bytes::Regex> = OnceLock::new();
    PATTERN.get_or_init(|| {
        regex::bytes::Regex::new(
            r"(?i-u)\bjtag(?: port| debug(?:ging)?)?(?: is (?:enabled|on|open|unlocked)|[ _:=]+(?:enabled?|unlocked))\b|\benabl(?:e|ing)[ _]jtag\b",
        )
        .expect("a pattern of this file")
    })
}

fn stops(chain: &str, bytes: &[u8], offset: usize, found: &mut Vec<Finding>) {
    if let Some((at, seconds)) = boot_delay(bytes) {
        let details = vec![
            detail("位置", "offset", [format!("{:#x}", offset + at)]),
            detail("证据", "evidence", [format!("bootdelay={seconds}")]),
        ];
        found.push(Finding::new("DebugInterface", chain, details).of(Severity::Low));
    }
}

fn port(chain: &str, bytes: &[u8], offset: usize, found: &mut Vec<Finding>) {
    if let Some(hit) = jtag().find(bytes) {
        let details = vec![
            detail("位置", "offset", [format!("{:#x}", offset + hit.start())]),
            detail("证据", "evidence", [crate::path::printable(hit.as_bytes())]),
        ];
        let finding = Finding::new("DebugInterface", chain, details).of(Severity::Low);
        found.push(finding.sure(Confidence::Low));
    }
}

/// Signs that a root file system is checked while it is read: dm-verity's first block
/// (`verity_superblock`, version 1), Android's footer and header of verified boot, and what puts a
/// device of the mapper in place of the partition.
const VERIFIED: [&[u8]; 5] = [
    b"verity\0\0\x01\0\0\0",
    b"AVBf\0\0\0\x01",
    b"AVB0\0\0\0\x01",
    b"veritysetup ",
    b"dm-mod.create=",
];

/// A kernel with the root file system that it starts, which nothing checks.
fn unverified(scene: &Scene<'_>, found: &mut Vec<Finding>) {
    let image = scene.image;
    let kernel = image
        .volumes
        .iter()
        .any(|v| v.format == "uimage" || v.format == "fit")
        || scene.components.iter().any(|c| c.name == "linux");
    const START: [&str; 5] = [
        "/sbin/init",
        "/etc/inittab",
        "/etc/init.d/rcS",
        "/init",
        "/bin/sh",
    ];
    let root = image.files.iter().find(|file| {
        image.volumes[file.volume].class == Class::Filesystem && START.contains(&file.path.as_str())
    });
    let Some(root) = root.filter(|_| kernel) else {
        return;
    };
    let regions = image.regions.iter().map(|region| &region.bytes[..]);
    let files = image
        .files
        .iter()
        .filter_map(|file| file.bytes())
        .map(|bytes| &bytes[..]);
    let checked = regions.chain(files).any(|bytes| {
        let has = |sign: &[u8]| memchr::memmem::find(bytes, sign).is_some();
        VERIFIED.iter().any(|sign| has(sign))
    });
    if !checked {
        let chain = &image.volumes[root.volume].chain;
        let text = "root file system without dm-verity";
        found.push(Finding::new("NoSecureBoot", chain, seen(text)).sure(Confidence::Low));
    }
}

pub(super) fn look(_: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
    if !look.file.opened && look.elf.is_none() {
        stops(&look.chain, look.bytes, 0, found);
    }
    // Texts about it are not it.
    if !look.file.opened && look.text.is_none() {
        port(&look.chain, look.bytes, 0, found);
    }
    let Some(text) = look.text else { return };
    let head: String = text.chars().take(400).collect();
    if !head.contains("Kernel Configuration") || !head.contains("# Linux/") {
        return;
    }
    let on = |name: &str| {
        text.lines().any(|l| {
            l.strip_prefix(name)
                .is_some_and(|rest| rest == "=y" || rest == "=m")
        })
    };
    let off: Vec<String> = OPTIONS
        .iter()
        .filter(|names| !names.iter().any(|n| on(n)))
        .map(|names| names[0].to_owned())
        .collect();
    if !off.is_empty() {
        found.push(Finding::new(
            "KernelConfigWeak",
            &look.chain,
            vec![detail("选项", "option", off)],
        ));
    }
}

/// Licences that ask for the source, and those that give no right to pass a module on.
fn binds(licence: &str) -> bool {
    licence.contains("GPL") || licence.eq_ignore_ascii_case("proprietary")
}

pub(super) fn look_whole(scene: &Scene<'_>, found: &mut Vec<Finding>) {
    for component in scene.components {
        let place = &component.evidence[0].file;
        if let Some(licence) = component.licence.as_ref().filter(|l| binds(l)) {
            let text = format!("{} {licence}", component.name);
            found.push(Finding::new("LicenseRisk", place, seen(text)));
        }
        let Some(version) = &component.version else {
            continue;
        };
        let text = format!("{} {version}", component.name);
        if component.name == "linux" {
            let series: Vec<&str> = version.split('.').take(2).collect();
            if !KERNELS.contains(&series.join(".").as_str())
                && compare(version, "6.19") == std::cmp::Ordering::Less
            {
                found.push(Finding::new("OutdatedKernel", place, seen(text)));
            }
        } else if let Some((_, first)) = CARED_FOR.iter().find(|(n, _)| *n == component.name)
            && compare(version, first) == std::cmp::Ordering::Less
        {
            found.push(Finding::new("EolComponent", place, seen(text)));
        }
    }
    for volume in &scene.image.volumes {
        let fact = |name: &str| {
            volume
                .facts
                .iter()
                .find(|(k, _)| *k == name)
                .map(|(_, v)| v.as_str())
        };
        match volume.format {
            // One file within may well be.
            "sealed" if volume.chain.matches('/').count() == 1 => {
                let mark = fact("encrypted").unwrap_or_default();
                let text = format!("encrypted ({mark})");
                found.push(Finding::new("Unreadable", &volume.chain, seen(text)));
            }
            "fit" if fact("signed") == Some("no") => {
                found.push(Finding::new(
                    "NoSecureBoot",
                    &volume.chain,
                    seen("FIT without signature"),
                ));
            }
            // The old header has a checksum and no place for a signature; who starts it may check
            // otherwise.
            "uimage" if fact("type") == Some("kernel") => {
                let finding = Finding::new("NoSecureBoot", &volume.chain, seen("uImage"));
                found.push(finding.sure(Confidence::Medium));
            }
            _ => {}
        }
    }
    unverified(scene, found);
    for region in &scene.image.regions {
        stops(&region.chain, &region.bytes, region.offset, found);
        port(&region.chain, &region.bytes, region.offset, found);
    }
    let whole: usize = scene.image.regions.iter().map(|r| r.bytes.len()).sum();
    let closed: usize = scene
        .image
        .regions
        .iter()
        .filter(|r| r.entropy > 7.95)
        .map(|r| r.bytes.len())
        .sum();
    if let Some(first) = scene.image.regions.first()
        && scene.image.volumes.is_empty()
        && closed * 10 > whole * 9
    {
        found.push(Finding::new(
            "Unreadable",
            &first.chain,
            seen(format!("entropy {:.2}", first.entropy)),
        ));
    }
}

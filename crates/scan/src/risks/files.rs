//! Names and permissions of files.

use super::{Finding, Look, Scene, seen};
use crate::{Class, vulns::Severity};

pub(super) fn look(scene: &Scene<'_>, look: &Look<'_>, found: &mut Vec<Finding>) {
    let volume = &scene.image.volumes[look.file.volume];
    let real = matches!(volume.class, Class::Filesystem | Class::Archive);
    if !real {
        return;
    }
    let (path, name, mode) = (look.file.path.as_str(), look.file.name(), look.file.mode);
    if mode & 0o6000 != 0 && mode & 0o111 != 0 {
        const SHELLS: [&str; 10] = [
            "sh", "bash", "ash", "busybox", "python", "perl", "lua", "php", "dash", "gdb",
        ];
        let text = format!("mode {mode:04o}, owner {}", look.file.uid);
        let finding = Finding::new("SuidBinary", &look.chain, seen(text));
        found.push(if SHELLS.contains(&name) {
            finding.of(Severity::High)
        } else {
            finding
        });
    }
    if mode & 0o002 != 0 && volume.format != "fat" {
        let finding = Finding::new(
            "WorldWritable",
            &look.chain,
            seen(format!("mode {mode:04o}")),
        );
        let starts = path.contains("/init.d/") || path.contains("/rc.d/");
        found.push(if starts || name == "rcS" || name == "inittab" {
            finding.of(Severity::High)
        } else {
            finding
        });
    }
    let mut tell = |code, text: &str| found.push(Finding::new(code, &look.chain, seen(text)));
    if (path.contains("/.git/") && name == "config")
        || path.ends_with("/.svn/entries")
        || path.ends_with("/.svn/wc.db")
    {
        tell("VcsLeak", path);
    }
    const LEFT: [&str; 7] = [".bak", ".orig", ".old", ".swp", "~", ".save", ".rej"];
    const HISTORY: [&str; 4] = [".bash_history", ".ash_history", ".history", ".viminfo"];
    if LEFT.iter().any(|end| name.ends_with(end)) && !look.bytes.is_empty()
        || HISTORY.contains(&name)
    {
        tell("BackupLeak", name);
    }
    const TOOLS: [&str; 15] = [
        "gdbserver",
        "gdb",
        "strace",
        "ltrace",
        "tcpdump",
        "adbd",
        "gcc",
        "devmem",
        "devmem2",
        "memtool",
        "io_mem",
        "openocd",
        "jtag",
        "urjtag",
        "nc",
    ];
    if TOOLS.contains(&name) && mode & 0o111 != 0 && !look.bytes.is_empty() {
        tell("DebugInterface", name);
    }
    if name == "authorized_keys" || name == "authorized_keys2" {
        let keys = look
            .text
            .into_iter()
            .flat_map(super::lines)
            .filter(|(_, l)| l.contains("ssh-") || l.contains("ecdsa-"));
        for (_, line) in keys {
            // Type and comment tell whose it is.
            let words: Vec<&str> = line.split_whitespace().collect();
            let whose = words.iter().skip(2).copied().collect::<Vec<_>>().join(" ");
            tell(
                "AuthorizedKeys",
                &format!("{} {whose}", words.first().unwrap_or(&"")),
            );
        }
    }
}

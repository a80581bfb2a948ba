//! The SDK on a Cortex-M3 without an operating system, in QEMU: the same C tests, what the functions
//! cost in instructions and stack, and what the library costs in flash.
//!
//! Where the tools of `tools/setup firmware` are not installed there is nothing to run on, and the
//! test says so; `MUSTER_FIRMWARE=1`, which `make firmware` sets, makes that a fault.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Flash of the whole interface, with every cipher.
const FLASH_BUDGET: u32 = 96 * 1024;
/// Static data: the state behind the C interface.
const DATA_BUDGET: u32 = 1024;
/// Stack of the deepest call.
const STACK_BUDGET: u32 = 8 * 1024;
/// Instructions of an auth code with the costliest key, the opening of the sealed key included.
const CODE_BUDGET: u32 = 2_000_000;

fn there(tools: &[&str]) -> bool {
    tools
        .iter()
        .all(|tool| Path::new("/usr/bin").join(tool).exists())
        && Path::new("/usr/lib/rustlib/src/rust/library/core").exists()
}

fn output(command: &mut Command) -> String {
    let done = command.output().expect("it is installed");
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn id_6_results_and_vectors_on_bare_metal_within_the_budget() {
    let tools = ["rustc", "cargo", "arm-none-eabi-gcc", "qemu-system-arm"];
    if !there(&tools) {
        assert!(
            env::var_os("MUSTER_FIRMWARE").is_none(),
            "tools/setup firmware installs {tools:?}"
        );
        eprintln!("not run: no tools for firmware (tools/setup firmware)");
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut target = env::current_exe().expect("a test has a path");
    // …/debug/deps/bare-… → …/firmware
    for _ in 0..3 {
        target.pop();
    }
    target.push("firmware");
    let program = output(Command::new(root.join("tools/firmware")).arg(&target));
    let program = PathBuf::from(program.trim());

    let done = Command::new("qemu-system-arm")
        .args(["-M", "mps2-an385", "-icount", "shift=0", "-nographic"])
        .args(["-monitor", "none", "-serial", "none"])
        .args(["-semihosting-config", "enable=on,target=native", "-kernel"])
        .arg(&program)
        .output()
        .expect("it is installed");
    // Semihosting writes to the terminal's error output or its output, as QEMU likes.
    let said = [done.stdout, done.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    assert!(said.ends_with("all good\n"), "{said}");
    let mut numbers: BTreeMap<&str, u32> = said
        .lines()
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, number)| Some((name, number.parse().ok()?)))
        .collect();

    // text, data and bss of a program that names every public function.
    let size = output(Command::new("arm-none-eabi-size").arg(program.with_file_name("size.elf")));
    let columns: Vec<u32> = size
        .lines()
        .nth(1)
        .expect("a line of numbers")
        .split_whitespace()
        .map_while(|word| word.parse().ok())
        .collect();
    numbers.insert("flash", columns[0] + columns[1]);
    numbers.insert("data", columns[1] + columns[2]);
    let report: String = numbers
        .iter()
        .map(|(name, number)| format!("{name} {number}\n"))
        .collect();
    fs::write(target.join("report.txt"), &report).expect("the folder is there");
    println!("{report}");

    assert!(numbers["flash"] <= FLASH_BUDGET, "{report}");
    assert!(numbers["data"] <= DATA_BUDGET, "{report}");
    assert!(numbers["stack"] <= STACK_BUDGET, "{report}");
    let codes = numbers
        .iter()
        .filter(|(name, _)| name.starts_with("instructions "));
    let codes: Vec<_> = codes.collect();
    assert_eq!(codes.len(), 6, "{report}");
    assert!(
        codes.iter().all(|(_, cost)| **cost <= CODE_BUDGET),
        "{report}"
    );
    // Where the first wrong character of a server's code stands must not be seen in the time: 64
    // places, 16 rounds each, no instruction more or less.
    assert_eq!(numbers["verify-spread"], 0, "{report}");
}

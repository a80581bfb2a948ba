// How C programs are built with the SDK, for the tests of this crate and of the product from outside.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// What watches over programs that are tried.
pub(crate) const SANITIZERS: &[&str] = &[
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
    "-fno-omit-frame-pointer",
];

/// The folder with `libmuster_device.a`, built as users build it: by itself. Beside the server,
/// Cargo would give the crates below it features that the SDK does not ask for.
pub(crate) fn library(sdk: &Path) -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk");
        let done = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
            .args(["build", "--quiet", "--locked", "--package", "device-c"])
            .arg("--target-dir")
            .arg(&target)
            .current_dir(sdk)
            .output()
            .expect("cargo runs the tests");
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{said}");
        target.join("debug")
    })
}

/// Compiles files of the SDK's folder into a program, warnings being errors.
pub(crate) fn compile(
    sdk: &Path,
    folder: &Path,
    name: &str,
    files: &[&str],
    flags: &[&str],
) -> PathBuf {
    let program = folder.join(name);
    let done = Command::new("gcc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"])
        .args(["-O1", "-g"])
        .args(flags)
        .arg("-I")
        .arg(sdk.join("include"))
        .args(files.iter().map(|file| sdk.join(file)))
        .arg(library(sdk).join("libmuster_device.a"))
        // What Rust's standard library asks for on Linux.
        .args(["-lgcc_s", "-lutil", "-lrt", "-lpthread", "-lm", "-ldl"])
        .args(["-lc", "-o"])
        .arg(&program)
        .output()
        .expect("gcc is installed (tools/setup build)");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    program
}

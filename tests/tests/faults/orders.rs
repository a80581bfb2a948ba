//! Orders to the library that stands between the server and the kernel (`shim.c`).

use std::{fs::File, os::unix::fs::FileExt, path::PathBuf, process::Command, sync::OnceLock};
use tests::Server;

/// EIO, as a disk gives that cannot read or write a sector.
pub const EIO: i64 = 5;
/// EROFS, as a file system gives that went read-only after an error.
pub const EROFS: i64 = 30;

/// What a server is made to meet.
pub struct Orders {
    file: File,
    /// What puts a process under these orders.
    pub environment: [(&'static str, PathBuf); 3],
}

impl Orders {
    /// Puts the library into a server that is about to start.
    pub fn of(server: &mut Server) -> Self {
        let path = server.data().with_extension("orders");
        std::fs::write(&path, [0; 32]).expect("a writable folder");
        let data = server.data();
        let file = File::options().write(true).open(&path);
        let environment = [
            ("LD_PRELOAD", library()),
            ("MUSTER_FAULT_ORDERS", path),
            ("MUSTER_FAULT_FOLDER", data),
        ];
        for (name, value) in &environment {
            server.environment(name, value.to_str().expect("a plain path"));
        }
        Self {
            file: file.expect("the file of orders"),
            environment,
        }
    }

    fn set(&self, number: u64, value: i64) {
        let written = self.file.write_all_at(&value.to_ne_bytes(), number * 8);
        written.expect("the file of orders");
    }

    /// Every sync takes so much longer.
    pub fn sync_delay_ms(&self, delay: i64) {
        self.set(0, delay);
    }

    /// Every sync fails with this error number; 0 for none.
    pub fn sync_error(&self, number: i64) {
        self.set(1, number);
    }

    /// Every change of a file fails with this error number; 0 for none.
    pub fn write_error(&self, number: i64) {
        self.set(2, number);
    }

    /// The clock is so many seconds ahead.
    pub fn clock_s(&self, offset: i64) {
        self.set(3, offset);
    }
}

/// Compiles the library, once.
fn library() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let source = tests::root().join("tests/tests/faults/shim.c");
        let target = std::env::current_exe().expect("a running program");
        let target = target.with_extension(format!("{}.so", std::process::id()));
        let built = Command::new("cc")
            .args(["-Wall", "-Werror", "-O1", "-shared", "-fPIC", "-o"])
            .args([&target, &source])
            .status();
        let built = built.unwrap_or_else(|e| panic!("cc: {e}; `tools/setup build` installs it"));
        assert!(built.success(), "shim.c does not compile");
        target
    };
    BUILT.get_or_init(build).clone()
}

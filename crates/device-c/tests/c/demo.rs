// A device: the program `id2_demo` with a folder of its own for its identity.

use std::{
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

/// A device.
pub(crate) struct Demo {
    program: PathBuf,
    /// What it keeps lies in here.
    pub(crate) home: TempDir,
    /// What tells it to speak another form than the plain one.
    pub(crate) form: Option<&'static str>,
}

impl Demo {
    pub(crate) fn new(program: &Path) -> Self {
        Self {
            program: program.into(),
            home: TempDir::new().expect("a folder"),
            form: None,
        }
    }

    fn start(&self, words: &[&str]) -> Child {
        let mut command = Command::new(&self.program);
        if let Some(form) = self.form {
            command.env(form, "1");
        }
        command
            .args(words)
            .env("MUSTER_DEVICE_DIR", self.home.path().join("device"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it was compiled")
    }

    /// What it prints; none when it fails.
    pub(crate) fn says(&self, words: &[&str]) -> Option<String> {
        let done = self.start(words).wait_with_output().expect("it ends");
        let said = String::from_utf8(done.stdout).expect("text");
        done.status.success().then(|| said.trim_end().to_owned())
    }

    /// Asks for something, gets the answer to it, and prints what it makes of it.
    pub(crate) fn asks(
        &self,
        words: &[&str],
        answer: impl FnOnce(&str) -> String,
    ) -> Option<String> {
        let mut child = self.start(words);
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("text");
        let mut stdin = child.stdin.take().expect("a pipe");
        writeln!(stdin, "{}", answer(line.trim_end())).expect("it reads");
        drop(stdin);
        let mut said = String::new();
        stdout.read_to_string(&mut said).expect("text");
        let status = child.wait().expect("it ends");
        status.success().then(|| said.trim_end().to_owned())
    }
}

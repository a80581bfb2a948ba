//! What a command says when it fails, and the questions it asks.

use super::{Desk, REFUSED};
use serde_json::{Value, json};
use std::{
    fmt,
    io::{self, BufRead, IsTerminal, Write},
};

/// Why a command did not do it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) code: u8,
    message: String,
    help: String,
    /// The server's name for it, where it was the server that refused.
    pub(crate) name: Option<String>,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            help: help.into(),
            name: None,
        }
    }

    /// What the server answered.
    pub(crate) fn of_server(status: u16, body: &Value) -> Self {
        let error = &body["error"];
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        let message = match error["message"].as_str() {
            Some(message) => message.to_owned(),
            None => format!("the server answered with status {status}"),
        };
        Self {
            code: REFUSED,
            message,
            help: text("help"),
            name: Some(text("code")),
        }
    }

    pub(crate) fn to_json(&self) -> Value {
        json!({"error": {"code": self.name, "message": self.message, "help": self.help}})
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "error: {}", self.message.trim_end())?;
        if self.help.is_empty() {
            Ok(())
        } else {
            writeln!(f, "    → {}", self.help)
        }
    }
}

/// Shows what long work is at, to a person who watches.
pub(in crate::cli) struct Progress {
    watched: bool,
}

impl Progress {
    pub(in crate::cli) fn new(desk: &Desk) -> Self {
        Self {
            watched: !desk.globals.json && io::stderr().is_terminal(),
        }
    }

    /// Shows a step in place of the one before.
    pub(in crate::cli) fn show(&mut self, what: &str) {
        if self.watched {
            let _ = write!(io::stderr(), "\r\x1b[K{what}").and_then(|()| io::stderr().flush());
        }
    }

    /// Leaves the line empty.
    pub(in crate::cli) fn end(&mut self) {
        self.show("");
    }
}

/// Asks for a yes, unless `--yes` was given. Without a terminal to ask at, the answer is no.
pub(in crate::cli) fn confirm(desk: &Desk, yes: bool, question: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if desk.globals.json || !io::stdin().is_terminal() {
        return Err(Failure::new(
            REFUSED,
            format!("not done: {question}"),
            "add --yes to confirm",
        ));
    }
    let mut err = io::stderr();
    let asked = write!(err, "{question} [y/N] ").and_then(|()| err.flush());
    let mut answer = String::new();
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answer));
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        Ok(_) => Err(Failure::new(
            REFUSED,
            "not confirmed; nothing was changed",
            "",
        )),
        Err(error) => Err(Failure::new(REFUSED, format!("reading: {error}"), "")),
    }
}

//! `muster plain`: who may enter the plain MQTT listener, and what waits for whom there.

use super::{Desk, REFUSED, USAGE, ask::Failure, device::SESSION, table::card};
use crate::{engine::SystemRandom, first_start::write_file, plain};
use clap::{Args, Subcommand};
use credential::{
    Secret,
    crypto::password::{ITERATIONS, PasswordHash},
};
use model::port::Random;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use serde_json::json;
use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
};
use zeroize::Zeroizing;

/// Commands about the plain listener.
#[derive(Subcommand)]
pub(super) enum Plain {
    /// Set the password of a user in a password file, which is made if it is not there. The
    /// password is asked for, or read from the first line of stdin.
    Passwd(Passwd),
    /// Show a client's MQTT session: what waits for it, and what was dropped.
    Session {
        /// Its client id.
        client_id: String,
    },
}

#[derive(Args)]
pub(super) struct Passwd {
    /// The file, as `listen.plain.password_file` names it.
    file: PathBuf,
    /// The user.
    user: String,
    /// Take the user out of the file instead.
    #[arg(long)]
    delete: bool,
}

pub(super) fn run(desk: &mut Desk, command: Plain) -> Result<(), Failure> {
    match command {
        Plain::Passwd(one) => passwd(desk, one),
        Plain::Session { client_id } => {
            let shown = desk
                .client()?
                .get(&["plain", "sessions", &client_id], &[])?;
            desk.show(&shown, |shown| card(shown, SESSION))
        }
    }
}

fn passwd(desk: &mut Desk, Passwd { file, user, delete }: Passwd) -> Result<(), Failure> {
    if user.is_empty() || user.contains([':', '\n', '\r']) || user.starts_with('#') {
        return Err(Failure::new(
            USAGE,
            format!("{user:?} cannot be a user of a password file"),
            "use a name without ':', not empty, and not beginning with '#'",
        ));
    }
    let shown = file.display().to_string();
    let refused = |wrong: String| Failure::new(REFUSED, wrong, "name another file");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !delete => String::new(),
        Err(error) => return Err(refused(format!("{shown} cannot be read: {error}"))),
    };
    let users = plain::users(&text)
        .map_err(|(line, wrong)| refused(format!("{shown} line {line}: {wrong}")))?;
    if delete && !users.contains_key(&user) {
        return Err(Failure::new(
            REFUSED,
            format!("{shown} has no user {user:?}"),
            "",
        ));
    }
    let hash = if delete {
        None
    } else {
        let password = password()?;
        let mut salt = [0; 16];
        SystemRandom.fill(&mut salt);
        Some(PasswordHash::new(&password, salt, ITERATIONS))
    };
    let text = plain::with_user(&text, &user, hash.as_ref());
    std::path::absolute(&file)
        .and_then(|file| write_file(&file, 0o600, text.as_bytes()))
        .map_err(|error| refused(format!("{shown} cannot be written: {error}")))?;
    let told = json!({"file": shown, "user": user, "deleted": delete});
    desk.show(&told, |_| match delete {
        true => format!("{user} is out of {shown}.\n"),
        false => format!("{user} is in {shown}; a running server sees it at the next login.\n"),
    })
}

/// Asks for a password without showing it; one that is piped in is the first line.
fn password() -> Result<Secret, Failure> {
    let stdin = io::stdin();
    let failed = |error: io::Error| Failure::new(REFUSED, format!("the password: {error}"), "");
    let line = if stdin.is_terminal() {
        let shown = tcgetattr(&stdin).map_err(|error| failed(error.into()))?;
        let mut hidden = shown.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        let mut err = io::stderr();
        let _ = write!(err, "Password: ").and_then(|()| err.flush());
        tcsetattr(&stdin, OptionalActions::Flush, &hidden).map_err(|error| failed(error.into()))?;
        let line = line();
        // Whatever became of it, the terminal shows again what is typed.
        let restored = tcsetattr(&stdin, OptionalActions::Now, &shown);
        let _ = writeln!(err);
        restored.map_err(|error| failed(error.into()))?;
        line
    } else {
        line()
    }
    .map_err(failed)?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::new(REFUSED, "the password is empty", ""));
    }
    Ok(Secret::new(password.as_bytes().to_vec()))
}

fn line() -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::with_capacity(1024));
    io::stdin().lock().read_line(&mut line)?;
    Ok(line)
}

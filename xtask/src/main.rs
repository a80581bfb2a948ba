//! House-keeping that a compiler cannot do: `cargo xtask tidy`.

mod tidy;

use std::process::ExitCode;

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    match task.as_deref() {
        Some("tidy") => tidy::run(),
        _ => {
            eprintln!(
                "usage: cargo xtask tidy   check the arrows between rooms and where vendor words stand"
            );
            ExitCode::FAILURE
        }
    }
}

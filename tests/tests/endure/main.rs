//! What only time and bad luck show: kills under load, and hours of it. `make test` plays a little
//! of each; `make soak` plays as much as was promised.

mod broker;
mod chance;
mod clients;
mod kept;
mod kill;
mod ledger;
mod soak;

use serde_json::{Value, json};
use std::{path::PathBuf, sync::Mutex};

/// A number that the recipe sets, or the one for `make test`.
fn number(name: &str, else_: u64) -> u64 {
    let Ok(text) = std::env::var(name) else {
        return else_;
    };
    text.parse()
        .unwrap_or_else(|_| panic!("{name}={text} is no number"))
}

/// Puts figures beside others of the same run into `target/soak/report.json`.
fn report(name: &str, figures: Value) {
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().expect("nobody panicked");
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let folder = target
        .unwrap_or_else(|| tests::root().join("target"))
        .join("soak");
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join("report.json");
    let before = std::fs::read(&path).unwrap_or_default();
    let mut all: Value = serde_json::from_slice(&before).unwrap_or_else(|_| json!({}));
    all[name] = figures;
    std::fs::write(&path, format!("{all:#}\n")).expect("a report");
}

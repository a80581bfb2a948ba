//! The table on the screen and the list in `target/bench/report.json`.

use serde::Serialize;
use std::{fs, path::PathBuf};

/// One figure.
#[derive(Serialize)]
struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    peer: Option<&'static str>,
    peer_value: Option<f64>,
    /// Ours by the peer's: below 1 is less than the peer takes.
    ratio: Option<f64>,
}

/// All figures of a run.
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// A figure that no peer has.
    pub(crate) fn alone(&mut self, name: impl Into<String>, value: f64, unit: &'static str) {
        let name = name.into();
        eprintln!("bench: {name}: {value:.2} {unit}");
        self.rows.push(Row {
            name,
            value,
            unit,
            peer: None,
            peer_value: None,
            ratio: None,
        });
    }

    /// A figure beside mosquitto's.
    pub(crate) fn beside(
        &mut self,
        name: impl Into<String>,
        value: f64,
        peer: f64,
        unit: &'static str,
    ) {
        let name = name.into();
        eprintln!("bench: {name}: {value:.2} {unit}, mosquitto {peer:.2}");
        let ratio = (peer > 0.0).then(|| value / peer);
        self.rows.push(Row {
            name,
            value,
            unit,
            peer: Some("mosquitto"),
            peer_value: Some(peer),
            ratio,
        });
    }

    pub(crate) fn print(&self) {
        println!(
            "{:<52} {:>11} {:<8} {:>11} {:>7}",
            "", "muster", "", "mosquitto", "ratio"
        );
        for row in &self.rows {
            let peer = row
                .peer_value
                .map_or_else(|| "-".into(), |v| format!("{v:.2}"));
            let ratio = row.ratio.map_or_else(|| "-".into(), |v| format!("{v:.2}"));
            println!(
                "{:<52} {:>11.2} {:<8} {peer:>11} {ratio:>7}",
                row.name, row.value, row.unit
            );
        }
    }

    pub(crate) fn write(&self) {
        let target = std::env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| tests::root().join("target"), PathBuf::from);
        let folder = target.join("bench");
        fs::create_dir_all(&folder).expect("a target folder");
        let text = serde_json::to_string_pretty(&self.rows).expect("rows are JSON");
        let path = folder.join("report.json");
        fs::write(&path, text + "\n").expect("a writable target folder");
        println!("written to {}", path.display());
    }
}

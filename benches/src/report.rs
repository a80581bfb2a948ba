//! The table on the screen and the list in `target/bench/report.json`.

use serde::Serialize;
use std::{fs, path::PathBuf};

/// One figure.
#[derive(Serialize)]
pub(crate) struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    peers: Vec<Peer>,
    goal: Option<Goal>,
    /// Whether the goal is reached.
    met: Option<bool>,
}

/// The same figure of somebody else.
#[derive(Serialize)]
struct Peer {
    name: &'static str,
    value: f64,
    /// Ours by the peer's: below 1 is less than the peer takes.
    ratio: f64,
}

/// What the figure should be.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Goal {
    Most(f64),
    Least(f64),
    /// Of what the first peer takes.
    Times(f64),
}

impl Row {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            peers: Vec::new(),
            goal: None,
            met: None,
        }
    }

    pub(crate) fn beside(mut self, name: &'static str, value: f64) -> Self {
        self.peers.push(Peer {
            name,
            value,
            ratio: self.value / value,
        });
        self
    }

    pub(crate) fn at_most(mut self, most: f64) -> Self {
        self.goal = Some(Goal::Most(most));
        self
    }

    pub(crate) fn at_least(mut self, least: f64) -> Self {
        self.goal = Some(Goal::Least(least));
        self
    }

    /// A goal in parts of the first peer's figure.
    pub(crate) fn at_most_times(mut self, most: f64) -> Self {
        self.goal = Some(Goal::Times(most));
        self
    }

    fn is_met(&self) -> Option<bool> {
        Some(match self.goal? {
            Goal::Most(most) => self.value <= most,
            Goal::Least(least) => self.value >= least,
            Goal::Times(most) => self.peers.first()?.ratio <= most,
        })
    }

    fn line(&self) -> String {
        let goal = match self.goal {
            None => String::new(),
            Some(Goal::Most(most)) => format!("<= {most}"),
            Some(Goal::Least(least)) => format!(">= {least}"),
            Some(Goal::Times(most)) => format!("<= {most} x"),
        };
        let met = match self.met {
            None => "",
            Some(true) => "met",
            Some(false) => "MISSED",
        };
        let peers: String = self
            .peers
            .iter()
            .map(|peer| {
                let digits = if peer.ratio < 0.01 { 6 } else { 2 };
                format!(
                    "  {} {:.2} ({:.digits$} x)",
                    peer.name, peer.value, peer.ratio
                )
            })
            .collect();
        let Self {
            name, value, unit, ..
        } = self;
        format!("{name:<66} {value:>11.2} {unit:<4} {goal:>9} {met:<6}{peers}")
    }
}

/// All figures of a run.
pub(crate) struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, mut row: Row) {
        row.met = row.is_met();
        eprintln!("bench: {}", row.line());
        self.rows.push(row);
    }

    pub(crate) fn print(&self) {
        for row in &self.rows {
            println!("{}", row.line());
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

//! `muster audit …`

use super::{Desk, Failure, REFUSED, USAGE, table::table};
use clap::Subcommand;
use serde_json::{Value, json};
use std::process::ExitCode;

#[derive(Subcommand)]
pub(super) enum Audit {
    /// Show the last lines of the audit log.
    List {
        /// So many lines.
        #[arg(long, default_value_t = 50)]
        most: usize,
        /// The first lines after this number, instead of the last ones.
        #[arg(long, value_name = "NUMBER")]
        after: Option<u64>,
    },
    /// Read the whole audit log and prove that no line was altered, moved or cut.
    #[command(after_help = "\
Examples:
  muster audit verify
  muster audit verify --head 1234:9f86d081…    the head of an earlier check must still be there

Note the head that it prints somewhere else: with it, a later check proves that the end of the log
was not cut off since.")]
    Verify {
        /// A head that was noted before.
        #[arg(long, value_name = "NUMBER:HASH")]
        head: Option<String>,
    },
}

pub(super) fn run(desk: &mut Desk, command: Audit) -> Result<ExitCode, Failure> {
    let client = desk.client()?;
    match command {
        Audit::List { most, after } => {
            let mut query = vec![("most", most.to_string())];
            query.push(match after {
                Some(after) => ("after", after.to_string()),
                None => ("last", most.to_string()),
            });
            let mut page = client.get(&["audit"], &query)?;
            desk.show(&page["items"].take(), |items| {
                let columns = [
                    ("NO", "seq"),
                    ("TIME", "entry.at"),
                    ("WHO", "entry.who"),
                    ("FROM", "entry.address"),
                    ("ACTION", "entry.action"),
                    ("RESOURCE", "entry.resource"),
                    ("OUTCOME", "entry.outcome"),
                    ("DETAIL", "entry.detail"),
                ];
                table(items.as_array().map_or(&[], Vec::as_slice), &columns)
            })?;
            Ok(ExitCode::SUCCESS)
        }
        Audit::Verify { head } => {
            let head = head.as_deref().map(noted).transpose()?;
            let told = client.post(&["audit", "verify"], &json!({"head": head}))?;
            desk.show(&told, |told| {
                let lines = &told["lines"];
                match told["broken"].as_object() {
                    Some(broken) => format!(
                        "BROKEN at line {}: {}\n{lines} lines were read. Restore the data folder from a backup made before, and find out who could write to it.\n",
                        broken["seq"],
                        broken["why"].as_str().unwrap_or_default()
                    ),
                    None => format!(
                        "The audit log is whole: {lines} lines.\nHead {}:{}\n",
                        told["head"]["seq"],
                        told["head"]["hash"].as_str().unwrap_or("-")
                    ),
                }
            })?;
            Ok(if told["whole"] == true {
                ExitCode::SUCCESS
            } else {
                ExitCode::from(REFUSED)
            })
        }
    }
}

fn noted(text: &str) -> Result<Value, Failure> {
    let parsed = text
        .split_once(':')
        .and_then(|(seq, hash)| Some(json!({"seq": seq.parse::<u64>().ok()?, "hash": hash})));
    parsed.ok_or_else(|| {
        Failure::new(
            USAGE,
            format!("--head {text}: that is not a head"),
            "write NUMBER:HASH as `muster audit verify` printed it",
        )
    })
}

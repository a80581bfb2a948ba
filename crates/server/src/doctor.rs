//! `muster doctor`: what is wrong with a set-up, and how to mend it.
//!
//! It looks from outside when a server runs, and into the data folder itself when none does. Start
//! with [`examine`]; each group of checks is a file.

mod data;
mod machine;
mod network;
mod taken;
mod trust;

use crate::{
    cli::client::{Client, Target},
    config::{Choices, Config},
    engine::WallClock,
    serve::{Addresses, INFO},
};
use model::{id::Time, port::Clock};
use serde::Serialize;
use serde_json::{Value, json};
use std::{fs, path::Path};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not do so for long or for all.
    Warn,
    /// It does not work.
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    found: String,
    /// How to mend it; empty when there is nothing to mend.
    mend: String,
}

/// All that was found.
pub(crate) struct Report {
    findings: Vec<Finding>,
}

impl Report {
    fn ok(&mut self, check: &'static str, found: impl Into<String>) {
        self.add(check, Verdict::Ok, found, "");
    }

    fn warn(&mut self, check: &'static str, found: impl Into<String>, mend: impl Into<String>) {
        self.add(check, Verdict::Warn, found, mend);
    }

    fn fail(&mut self, check: &'static str, found: impl Into<String>, mend: impl Into<String>) {
        self.add(check, Verdict::Fail, found, mend);
    }

    fn add(
        &mut self,
        check: &'static str,
        verdict: Verdict,
        found: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.findings.push(Finding {
            check,
            verdict,
            found: found.into(),
            mend: mend.into(),
        });
    }

    /// Whether something does not work.
    pub(crate) fn failed(&self) -> bool {
        self.findings
            .iter()
            .any(|finding| finding.verdict == Verdict::Fail)
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> Value {
        json!({"ok": !self.failed(), "findings": self.findings})
    }

    /// For people.
    pub(crate) fn text(&self, color: bool) -> String {
        let mut text = String::new();
        for finding in &self.findings {
            let (word, paint) = match finding.verdict {
                Verdict::Ok => ("ok  ", "32"),
                Verdict::Warn => ("warn", "33"),
                Verdict::Fail => ("FAIL", "31"),
            };
            let word = if color {
                format!("\x1b[{paint}m{word}\x1b[0m")
            } else {
                word.to_owned()
            };
            text.push_str(&format!(
                "{word}  {:<14} {}\n",
                finding.check, finding.found
            ));
            if !finding.mend.is_empty() {
                text.push_str(&format!("      → {}\n", finding.mend));
            }
        }
        text
    }
}

/// What the checks work with.
struct Patient {
    config: Config,
    now: Time,
    /// A server that answers on the data folder's socket.
    running: Option<Server>,
    /// Where devices open TLS connections; a name or an address with a port.
    tls_at: Option<String>,
}

/// A server that runs.
struct Server {
    client: Client,
    addresses: Addresses,
}

/// Examines the set-up that these choices make; devices open TLS connections at `at`, or where a
/// server that runs here listens.
pub(crate) fn examine(choices: &Choices, at: Option<&str>) -> Report {
    let mut report = Report {
        findings: Vec::new(),
    };
    let config = match Config::load(choices) {
        Ok(loaded) => {
            report.ok("configuration", "can work");
            loaded.config
        }
        Err(problems) => {
            for problem in problems.0 {
                let found = format!("{} ({}): {}", problem.key, problem.source, problem.wrong);
                report.fail("configuration", found, problem.instead);
            }
            return report;
        }
    };
    let running = running(&config.data, &mut report);
    let own = running.as_ref().and_then(|server| {
        let address = server.addresses.mqtts.or(server.addresses.mqtt)?;
        Some(trust::reachable(address).to_string())
    });
    let patient = Patient {
        config,
        now: WallClock.now(),
        running,
        tls_at: at.map(str::to_owned).or(own),
    };
    data::folder(&patient, &mut report);
    machine::owners(&patient, &mut report);
    machine::syncs(&patient, &mut report);
    machine::memory(&patient, &mut report);
    data::master_key(&patient, &mut report);
    trust::certificate(&patient, &mut report);
    trust::keys(&patient, &mut report);
    trust::clock(&patient, &mut report);
    trust::token(&patient, &mut report);
    network::listeners(&patient, &mut report);
    network::plain(&patient, &mut report);
    network::files(&patient, &mut report);
    network::mail(&patient, &mut report);
    trust::old_device(&patient, &mut report);
    trust::versions(&patient, &mut report);
    data::database(&patient, &mut report);
    data::engines(&patient, &mut report);
    report
}

fn running(data: &Path, report: &mut Report) -> Option<Server> {
    let client = Client::new(Target::Local(data.into())).ok()?;
    let told = fs::read_to_string(data.join(INFO)).ok();
    match client.get(&["server"], &[]) {
        Ok(server) => {
            let version = server["version"].as_str().unwrap_or("?").to_owned();
            let since = server["started"].as_str().unwrap_or("?");
            let found = format!("runs, version {version}, since {since}");
            if version == env!("CARGO_PKG_VERSION") {
                report.ok("server", found);
            } else {
                let mend = "restart it to run the version that is installed";
                report.warn("server", found, mend);
            }
            let addresses = serde_json::from_value(server["listen"].clone()).unwrap_or_default();
            Some(Server { client, addresses })
        }
        Err(_) if told.is_some() => {
            report.warn(
                "server",
                "does not answer, but did not stop in an orderly way either",
                format!(
                    "start it again with `muster serve --data {}`; nothing that was acknowledged is lost",
                    data.display()
                ),
            );
            None
        }
        Err(_) => {
            report.ok(
                "server",
                "does not run; looking into its data folder instead",
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn choices(config: &Path) -> Choices {
        let mut choices = Choices {
            folder: config.into(),
            ..Choices::default()
        };
        let set = |assignment: String, choices: &mut Choices| choices.set(&assignment).unwrap();
        set(
            format!("data={}", config.join("data").display()),
            &mut choices,
        );
        for listener in ["mqtt", "mqtts", "http", "https"] {
            set(
                format!("listen.{listener}.address=127.0.0.1:0"),
                &mut choices,
            );
        }
        choices
    }

    fn verdicts(report: &Report, check: &str) -> Vec<Verdict> {
        let findings = report.findings.iter();
        findings
            .filter(|finding| finding.check == check)
            .map(|finding| finding.verdict)
            .collect()
    }

    /// A server that stopped in order leaves a folder without fault; each thing broken in it is
    /// named with its cure.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_healthy_folder_is_fine_and_a_broken_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let choices = choices(folder.path());
        let look = || {
            let choices = choices.clone();
            async move {
                let examined = tokio::task::spawn_blocking(move || examine(&choices, None));
                examined.await.unwrap()
            }
        };
        let config = Config::load(&choices).unwrap().config;
        let running = crate::start(config.clone()).await.unwrap();
        let report = look().await;
        assert!(!report.failed(), "while it runs:\n{}", report.text(false));
        assert_eq!(verdicts(&report, "old device"), [Verdict::Ok]);
        assert_eq!(verdicts(&report, "old TLS"), [Verdict::Ok]);
        assert_eq!(verdicts(&report, "owner"), [Verdict::Ok]);
        assert_eq!(verdicts(&report, "audit log"), [Verdict::Ok]);
        running.stop().await;

        let report = look().await;
        assert!(!report.failed(), "when it stopped:\n{}", report.text(false));
        assert_eq!(verdicts(&report, "engines"), [Verdict::Ok]);
        assert_eq!(verdicts(&report, "audit log"), [Verdict::Ok]);

        let key = config.data.join("master.key");
        let good = fs::read(&key).unwrap();
        fs::write(&key, "no key").unwrap();
        let report = look().await;
        assert_eq!(verdicts(&report, "master key"), [Verdict::Fail]);
        let told = report.to_json();
        assert_eq!(told["ok"], false);
        fs::write(&key, "00".repeat(32)).unwrap();
        let report = look().await;
        assert!(report.failed(), "another key:\n{}", report.text(false));
        fs::write(&key, good).unwrap();

        let open = fs::Permissions::from_mode(0o644);
        fs::set_permissions(config.data.join("tls/server.key"), open).unwrap();
        let report = look().await;
        assert_eq!(verdicts(&report, "private keys"), [Verdict::Warn]);

        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut elsewhere = choices.clone();
        let address = taken.local_addr().unwrap();
        elsewhere
            .set(&format!("listen.http.address={address}"))
            .unwrap();
        let report = tokio::task::spawn_blocking(move || examine(&elsewhere, None));
        let text = report.await.unwrap().text(false);
        let us = format!("process {}", std::process::id());
        assert!(text.contains(&us), "who has the port is named:\n{text}");

        fs::write(config.data.join("tls/server.pem"), "no certificate").unwrap();
        let report = look().await;
        assert_eq!(verdicts(&report, "certificate"), [Verdict::Fail]);
        assert!(report.text(false).contains("→ "));
    }

    #[test]
    fn a_configuration_that_cannot_work_ends_the_examination() {
        let folder = tempfile::tempdir().unwrap();
        let mut choices = choices(folder.path());
        choices.set("node=a b").unwrap();
        let report = examine(&choices, None);
        assert!(report.failed());
        assert_eq!(report.findings.len(), 1);
    }
}

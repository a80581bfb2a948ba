//! The command line: `muster serve`, and everything an operator asks of a server.
//!
//! Start with [`main`]. Commands about products, devices, accounts and the audit log talk to the
//! admin API: through the socket in the data folder, or to `--url`. Tables are for people,
//! `--json` is for programs; errors go to stderr and say how to mend them.

mod account;
pub(crate) mod ask;
mod audit;
mod backup;
pub(crate) mod client;
mod device;
mod firmware;
mod fleet;
mod gateway;
mod group;
mod id2;
mod master_key;
mod plain;
mod product;
mod run;
mod scan;
mod simulate;
mod table;
mod thing;
mod topo;
mod transfer;

use crate::config::{Choices, Config, Loaded};
use ask::Failure;
use clap::{Args, CommandFactory, Parser, Subcommand};
use client::{Client, Target};
use serde_json::{Value, json};
use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
};

/// The server refused, or what was checked is wrong.
const REFUSED: u8 = 1;
/// The command line is wrong (clap's own number).
const USAGE: u8 = 2;
/// No server could be reached.
const UNREACHABLE: u8 = 3;

/// Muster: a self-hosted IoT server that devices and applications of other clouds work with
/// unchanged.
#[derive(Parser)]
#[command(name = "muster", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Line {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  muster serve
  muster product create thermometer --model examples/thermometer.json
  muster product registration PRODUCT_KEY on
  muster device create PRODUCT_KEY kitchen
  muster --url https://iot.example:8443 --ca ca.pem device list PRODUCT_KEY

Commands find a running server by its data folder (--data). For a server on another machine give
--url and an access key (MUSTER_ACCESS_KEY_ID, MUSTER_ACCESS_KEY_SECRET).

Exit codes: 0 done, 1 refused or found wrong, 2 wrong command line, 3 no server reached.";

#[derive(Args)]
struct Globals {
    /// Configuration file [default: muster.toml in the working folder, when it is there].
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data folder [default: muster-data].
    #[arg(long, global = true, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Set a configuration value, such as listen.mqtt.address=0.0.0.0:1884.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Print JSON for programs.
    #[arg(long, global = true)]
    json: bool,
    /// A server on another machine, such as https://iot.example:8443.
    #[arg(long, global = true, env = "MUSTER_URL", value_name = "URL")]
    url: Option<String>,
    /// The certificate that its certificate leads to, as PEM.
    #[arg(long, global = true, env = "MUSTER_CA", value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The access key to show it.
    #[arg(long, global = true, env = "MUSTER_ACCESS_KEY_ID", value_name = "ID")]
    access_key_id: Option<String>,
    /// The key's secret; better given in the environment, where other users do not see it.
    #[arg(
        long,
        global = true,
        env = "MUSTER_ACCESS_KEY_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    access_key_secret: Option<String>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server.
    Serve(run::Serve),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Products: kinds of devices.
    #[command(subcommand)]
    Product(product::Product),
    /// Devices.
    #[command(subcommand)]
    Device(device::Device),
    /// What gateways are told of how to reach their sub-devices.
    #[command(subcommand)]
    Gateway(gateway::Gateway),
    /// Firmware packages.
    #[command(subcommand)]
    Firmware(firmware::Firmware),
    /// Campaigns: firmware on its way to devices.
    #[command(subcommand)]
    Campaign(firmware::Campaign),
    /// Identities that need no connection (ID²).
    #[command(subcommand, name = "id2")]
    Id2(id2::Id2),
    /// Groups of devices.
    #[command(subcommand)]
    Group(group::Group),
    /// Accounts.
    #[command(subcommand)]
    Account(account::Account),
    /// Sub-users of the account.
    #[command(subcommand)]
    User(account::User),
    /// Access keys.
    #[command(subcommand)]
    Key(account::Key),
    /// Policies: what sub-users may do.
    #[command(subcommand)]
    Policy(account::Policy),
    /// Users and clients of the plain MQTT listener.
    #[command(subcommand)]
    Plain(plain::Plain),
    /// The audit log.
    #[command(subcommand)]
    Audit(audit::Audit),
    /// Copy everything that a running server keeps.
    Backup(backup::Backup),
    /// Make a data folder of a backup.
    Restore(backup::Restore),
    /// The master key, under which all secrets are.
    #[command(subcommand)]
    MasterKey(master_key::MasterKey),
    /// Write the whole registry, secrets included, to a file.
    Export(transfer::Export),
    /// Enter a registry that `export` wrote into an empty one.
    Import(transfer::Import),
    /// What firmware of the fleet was scanned, what was found, and which devices run it.
    #[command(subcommand)]
    Fleet(fleet::Fleet),
    /// Feeds of known vulnerabilities.
    #[command(subcommand)]
    Vulns(fleet::Vulns),
    /// Say what a firmware image holds and what is wrong with it.
    Scan(scan::Scan),
    /// Play devices that are not there: log in, post, answer, upgrade, and fail where wanted.
    Simulate(Box<simulate::Simulate>),
    /// Say what is wrong with this set-up, and how to mend it.
    Doctor {
        /// Where devices open TLS connections, when something stands in front of the server:
        /// whether old SDKs agree on TLS is asked there.
        #[arg(long, value_name = "HOST:PORT")]
        at: Option<String>,
    },
    /// Say whether the server can do its work, and why not; exit code 1 when it cannot.
    Ready,
    /// Say which version this is, and which one runs.
    Version,
    /// Print what makes a shell complete this command line.
    #[command(
        after_help = "Example:\n  muster completions bash > ~/.local/share/bash-completion/completions/muster"
    )]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write manual pages into a folder.
    #[command(hide = true)]
    Manual {
        /// Which folder.
        folder: PathBuf,
    },
}

#[derive(Subcommand)]
enum ConfigCommand {
    /// Print the effective configuration, each value with its source.
    Print,
    /// Check the configuration without starting anything.
    Check,
}

/// What every command works with.
struct Desk {
    globals: Globals,
    out: Box<dyn Write>,
}

impl Desk {
    fn choices(&self) -> Result<Choices, Failure> {
        let mut choices = Choices {
            file: self.globals.config.clone(),
            ..Choices::of_process()
        };
        if let Some(data) = &self.globals.data {
            let data = data.to_string_lossy().into_owned();
            choices.flags.push(("--data".into(), "data".into(), data));
        }
        for assignment in &self.globals.set {
            choices
                .set(assignment)
                .map_err(|wrong| Failure::new(USAGE, wrong, ""))?;
        }
        Ok(choices)
    }

    fn loaded(&self) -> Result<Loaded, Failure> {
        Config::load(&self.choices()?).map_err(|problems| {
            Failure::new(
                REFUSED,
                format!("the configuration cannot work:\n{problems}"),
                "",
            )
        })
    }

    /// The server that the commands are for.
    fn client(&self) -> Result<Client, Failure> {
        let globals = &self.globals;
        let target = match &globals.url {
            Some(url) => Target::remote(
                url,
                globals.ca.clone(),
                globals.access_key_id.as_deref(),
                globals.access_key_secret.as_deref(),
            )?,
            None => Target::Local(self.loaded()?.config.data),
        };
        Client::new(target)
    }

    /// Prints for a program what the server said, or for people what `people` makes of it.
    fn show(
        &mut self,
        value: &Value,
        people: impl FnOnce(&Value) -> String,
    ) -> Result<(), Failure> {
        let text = if self.globals.json {
            format!("{value:#}\n")
        } else {
            people(value)
        };
        self.say(&text)
    }

    fn say(&mut self, text: &str) -> Result<(), Failure> {
        let written = self
            .out
            .write_all(text.as_bytes())
            .and_then(|()| self.out.flush());
        match written {
            // Whoever reads has seen enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            Err(error) => Err(Failure::new(REFUSED, format!("writing: {error}"), "")),
            Ok(()) => Ok(()),
        }
    }
}

/// Reads the command line and does what it says.
pub fn main() -> ExitCode {
    let line = Line::parse();
    let mut desk = Desk {
        globals: line.globals,
        out: Box::new(io::stdout()),
    };
    match dispatch(&mut desk, line.command) {
        Ok(code) => code,
        Err(failure) => {
            let mut err = io::stderr();
            let text = if desk.globals.json {
                format!("{:#}\n", failure.to_json())
            } else {
                failure.to_string()
            };
            // There is nobody left to tell when stderr is closed.
            let _ = err.write_all(text.as_bytes());
            ExitCode::from(failure.code)
        }
    }
}

fn dispatch(desk: &mut Desk, command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(serve) => return run::run(desk, &serve),
        Command::Doctor { at } => return doctor(desk, at.as_deref()),
        Command::Config(ConfigCommand::Print) => {
            let loaded = desk.loaded()?;
            desk.show(&loaded.config.to_json(), |_| loaded.print())?;
        }
        Command::Config(ConfigCommand::Check) => {
            let loaded = desk.loaded()?;
            let told = json!({"ok": true, "data": loaded.config.data});
            desk.show(&told, |_| "The configuration can work.\n".into())?;
        }
        Command::Product(command) => product::run(desk, command)?,
        Command::Device(command) => device::run(desk, command)?,
        Command::Gateway(command) => gateway::run(desk, command)?,
        Command::Firmware(command) => firmware::run(desk, command)?,
        Command::Campaign(command) => firmware::run_campaign(desk, command)?,
        Command::Id2(command) => return id2::run(desk, command),
        Command::Group(command) => group::run(desk, command)?,
        Command::Account(command) => account::run(desk, command)?,
        Command::User(command) => account::run_user(desk, command)?,
        Command::Key(command) => account::run_key(desk, command)?,
        Command::Policy(command) => account::run_policy(desk, command)?,
        Command::Plain(command) => plain::run(desk, command)?,
        Command::Audit(command) => return audit::run(desk, command),
        Command::Backup(command) => return backup::run(desk, command),
        Command::Restore(command) => backup::run_restore(desk, &command)?,
        Command::Ready => return ready(desk),
        Command::Fleet(command) => fleet::run(desk, command)?,
        Command::Vulns(command) => fleet::run_vulns(desk, command)?,
        Command::Scan(order) => return scan::run(desk, order),
        Command::Simulate(order) => return simulate::run(desk, &order),
        Command::MasterKey(command) => master_key::run(desk, &command)?,
        Command::Export(export) => transfer::export(desk, export)?,
        Command::Import(import) => transfer::import(desk, import)?,
        Command::Version => version(desk)?,
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Line::command(), "muster", &mut text);
            desk.say(&String::from_utf8_lossy(&text))?;
        }
        Command::Manual { folder } => {
            clap_mangen::generate_to(Line::command(), &folder).map_err(|error| {
                Failure::new(
                    REFUSED,
                    format!("{}: {error}", folder.display()),
                    "name a folder that this user may write",
                )
            })?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn version(desk: &mut Desk) -> Result<(), Failure> {
    let mut told = json!({"program": env!("CARGO_PKG_VERSION")});
    if let Ok(server) = desk
        .client()
        .and_then(|client| client.get(&["server"], &[]))
    {
        told["server"] = server["version"].clone();
    }
    desk.show(&told, |told| {
        let mut text = format!("muster {}\n", env!("CARGO_PKG_VERSION"));
        if let Some(server) = told["server"].as_str() {
            text.push_str(&format!("server {server}\n"));
        }
        text
    })
}

fn ready(desk: &mut Desk) -> Result<ExitCode, Failure> {
    let (status, told) = desk.client()?.probe("/readyz")?;
    desk.show(&told, |told| match told["why"].as_str() {
        None => "The server is ready.\n".into(),
        Some(why) => format!("The server is not ready: {why}\n"),
    })?;
    Ok(match status {
        200 => ExitCode::SUCCESS,
        _ => ExitCode::from(REFUSED),
    })
}

fn doctor(desk: &mut Desk, at: Option<&str>) -> Result<ExitCode, Failure> {
    let report = crate::doctor::examine(&desk.choices()?, at);
    let color = io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    desk.show(&report.to_json(), |_| report.text(color))?;
    Ok(if report.failed() {
        ExitCode::from(REFUSED)
    } else {
        ExitCode::SUCCESS
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Line::command().debug_assert();
    }

    /// Global flags stand before and behind the command, as the harness and people write them.
    #[test]
    fn global_flags_stand_anywhere() {
        for words in [
            ["muster", "--data", "/d", "--json", "key", "create"],
            ["muster", "key", "create", "--data", "/d", "--json"],
        ] {
            let line = Line::try_parse_from(words).unwrap();
            assert!(line.globals.json);
            assert_eq!(line.globals.data, Some("/d".into()));
        }
    }
}

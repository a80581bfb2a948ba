//! The data folder: rights, room, key, engines.

use super::{Patient, Report};
use crate::{
    config::Config,
    engine::{self, SystemRandom, WallClock},
    first_start,
    token::{Place, Token},
};
use hub::{
    Hub,
    id2::{Keeper, Name},
};
use model::{
    error::Fault,
    id::{Position, Time},
};
use postgres::Registry;
use std::{fs, os::unix::fs::MetadataExt, sync::Arc};

/// How far the journal's last fact may be ahead of the clock, in milliseconds.
const AHEAD: i64 = 120_000;
const MIB: u64 = 1024 * 1024;
/// Less room than this will be used up soon.
const ROOM_WARN: u64 = 2048 * MIB;
/// With less room than this no journal segment can be begun.
const ROOM_FAIL: u64 = 128 * MIB;

pub(super) fn folder(patient: &Patient, report: &mut Report) {
    let path = &patient.config.data;
    let shown = path.display();
    let about = match fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            report.ok(
                "data folder",
                format!("{shown} is not there yet; the first start makes it"),
            );
            return;
        }
        Err(error) => {
            let mend = "give this user the right to look into it, or name another one with --data";
            report.fail("data folder", format!("{shown}: {error}"), mend);
            return;
        }
    };
    let mode = about.mode() & 0o777;
    if mode & 0o077 == 0 {
        report.ok("data folder", format!("{shown}, for its owner alone"));
    } else {
        report.warn(
            "data folder",
            format!("{shown} is open to other users (mode {mode:o})"),
            format!("chmod 700 {shown}"),
        );
    }
    match rustix::fs::statvfs(path) {
        Ok(disk) => {
            let free = disk.f_bavail.saturating_mul(disk.f_frsize);
            let found = format!("{} MiB free", free / MIB);
            let mend = "make room on that disk, or move the data folder to a larger one";
            match free {
                ..ROOM_FAIL => report.fail("disk", found, mend),
                ROOM_FAIL..ROOM_WARN => report.warn("disk", found, mend),
                _ => report.ok("disk", found),
            }
        }
        Err(error) => report.warn("disk", format!("its room is not known: {error}"), ""),
    }
}

/// Whether the journal's last fact is of a time that has been.
fn last_fact(
    runtime: &tokio::runtime::Runtime,
    ports: &model::port::Ports,
    now: Time,
    report: &mut Report,
) {
    let head = ports.journal.head();
    let before = Position(head.0.saturating_sub(1));
    match runtime.block_on(ports.journal.read(before, 1)) {
        Ok(facts) => {
            let ahead = facts.last().map_or(0, |(_, fact)| fact.at.since(now));
            if ahead > AHEAD {
                report.fail(
                    "journal time",
                    format!("the journal's last fact is {} seconds in the future", ahead / 1000),
                    "set the clock (`timedatectl set-ntp true`): it is behind now, or was ahead when that was written",
                );
            } else {
                report.ok(
                    "journal time",
                    format!("{} facts, none in the future", head.0),
                );
            }
        }
        Err(fault) => report.fail(
            "journal time",
            fault.context,
            "restore the data folder from a backup (`muster restore`)",
        ),
    }
}

pub(super) fn master_key(patient: &Patient, report: &mut Report) {
    let config = &patient.config;
    let exists = config.data.join("format").exists();
    if !exists && config.master_key.env.is_none() && config.master_key.file.is_none() {
        report.ok("master key", "is made at the first start");
        return;
    }
    if let Err(error) = first_start::master_key(config, true, &SystemRandom) {
        let mend = "without the key that sealed it, no secret in the data folder can be opened";
        report.fail("master key", error, mend);
        return;
    }
    let path = first_start::master_key_path(config);
    let mode = fs::metadata(&path).map_or(0, |about| about.mode() & 0o777);
    if config.master_key.env.is_none() && mode & 0o077 != 0 {
        report.warn(
            "master key",
            format!("{} is open to other users (mode {mode:o})", path.display()),
            format!("chmod 600 {}", path.display()),
        );
    } else {
        report.ok("master key", "is readable and well formed");
    }
}

/// Whether the token has the key under which keys of identities lie.
fn kept_keys(config: &Config, name: &Name, report: &mut Report) {
    let mend =
        "set [pkcs11] to the token in which these identities were made, or restore a copy of it";
    match Place::of(&config.pkcs11).map(|place| Token::new(place).has(name)) {
        Some(Ok(true)) => {}
        Some(Ok(false)) => {
            let found = "has not the key under which keys of identities lie";
            report.fail("token", found, mend);
        }
        // Said already, with its cure.
        Some(Err(_)) => {}
        None => {
            let found = "keys of identities lie in a token, and none is set up";
            report.fail("token", found, mend);
        }
    }
}

/// Whether the database that the configuration names can be used.
pub(super) fn database(patient: &Patient, report: &mut Report) {
    let asked = match engine::database(&patient.config) {
        Ok(None) => return,
        Ok(Some((address, options))) => {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => runtime.block_on(Registry::probe(&address, &options)),
                Err(error) => Err(Fault::passing(format!("no thread can be started: {error}"))),
            }
        }
        Err(fault) => Err(fault),
    };
    match asked {
        Ok(version) => report.ok(
            "database",
            format!("PostgreSQL {version} at {}", patient.config.store),
        ),
        Err(fault) => report.fail(
            "database",
            fault.context,
            "check `store` and [postgres] in the configuration, and the database's log",
        ),
    }
}

/// Whether registry, journal, histories and audit log are whole.
pub(super) fn engines(patient: &Patient, report: &mut Report) {
    if patient.running.is_some() {
        engines_of_server(patient, report);
    } else if patient.config.data.join("format").exists() {
        engines_of_folder(patient, report);
    }
}

fn engines_of_server(patient: &Patient, report: &mut Report) {
    let Some(server) = &patient.running else {
        return;
    };
    match server.client.probe("/readyz") {
        Ok((200, _)) => report.ok("engines", "registry, journal and audit log answer"),
        Ok((_, told)) => {
            let why = told["why"].as_str().unwrap_or("not ready");
            report.fail("engines", why, "look into the server's log");
        }
        Err(failure) => report.fail("engines", failure.to_string(), "look into the server's log"),
    }
    let asked = server
        .client
        .post(&["audit", "verify"], &serde_json::json!({}));
    match asked {
        Ok(told) if told["whole"] == true => {
            let head = &told["head"];
            report.ok(
                "audit log",
                format!(
                    "whole, {} lines, head {}:{}",
                    told["lines"],
                    head["seq"],
                    head["hash"].as_str().unwrap_or("-")
                ),
            );
        }
        Ok(told) => broken(
            report,
            told["broken"]["seq"].as_u64().unwrap_or_default(),
            told["broken"]["why"].as_str().unwrap_or_default(),
        ),
        Err(failure) => report.fail("audit log", failure.to_string(), ""),
    }
}

fn broken(report: &mut Report, seq: u64, why: &str) {
    report.fail(
        "audit log",
        format!("does not fit at line {seq}: {why}"),
        "restore the data folder from a backup made before, and find out who could write to it",
    );
}

fn engines_of_folder(patient: &Patient, report: &mut Report) {
    let config = &patient.config;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let Ok(runtime) = runtime else {
        report.fail(
            "engines",
            "no thread can be started",
            "raise the limits of this user",
        );
        return;
    };
    let store = match runtime.block_on(engine::open(config)) {
        Ok(store) => store,
        Err(fault) => {
            let mend = "stop the process that has it open, or restore the folder from a backup";
            report.fail("engines", fault.context, mend);
            return;
        }
    };
    report.ok("engines", "registry, journal and histories open");
    let ports = crate::serve::ports(store, Arc::new(WallClock), Arc::new(SystemRandom));
    let key = first_start::settled_master_key(config, true, &ports);
    let Ok(key) = runtime.block_on(key) else {
        return;
    };
    last_fact(&runtime, &ports, patient.now, report);
    let check = runtime.block_on(async {
        let hub = Hub::open(ports, config.limits.clone(), key)
            .await
            .map_err(|error| error.to_string())?;
        let wrapping = hub.id2_wrapping().await.map_err(|fault| fault.context)?;
        let check = hub.audit_verify(None).await;
        Ok::<_, String>((check.map_err(|fault| fault.context)?, wrapping))
    });
    let check = check.map(|(check, wrapping)| {
        if let Some(name) = wrapping {
            kept_keys(config, &name, report);
        }
        check
    });
    match check {
        Ok(check) => match (check.broken, check.head) {
            (Some((seq, why)), _) => broken(report, seq, &why),
            (None, Some((seq, hash))) => {
                let found = format!("whole, {} lines, head {seq}:{hash}", check.lines);
                report.ok("audit log", found);
            }
            (None, None) => report.ok("audit log", "empty"),
        },
        Err(error) => report.fail(
            "audit log",
            error,
            "restore the master key or the data folder from a backup",
        ),
    }
}

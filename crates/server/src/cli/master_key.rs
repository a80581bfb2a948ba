//! `muster master-key …`

use super::{Desk, Failure, REFUSED, transfer};
use crate::first_start;
use clap::Subcommand;
use serde_json::json;

#[derive(Subcommand)]
pub(super) enum MasterKey {
    /// Put a new master key in place of the old one.
    #[command(after_help = "\
The server must not run. No secret changes: what is wrapped anew are the four keys that seal all of
them. When the command is cut short, both keys are there, and the next start of the server, or the
command itself, brings it to its end.

Backups that were made before open with the old key alone: keep it with them, or make a new one.")]
    Renew,
}

pub(super) fn run(desk: &mut Desk, command: &MasterKey) -> Result<(), Failure> {
    let MasterKey::Renew = command;
    let config = desk.loaded()?.config;
    transfer::runtime()?.block_on(Box::pin(async {
        let ports = transfer::there(&config).await?;
        first_start::renew_master_key(&config, &ports)
            .await
            .map_err(|error| {
                let help = "nothing is lost: what is there opens with the key that is there";
                Failure::new(REFUSED, format!("the master key: {error}"), help)
            })?;
        let hub = transfer::hub(&config, ports).await?;
        hub.audit_note(transfer::entry(&hub, "muster:RenewMasterKey"))
            .await
            .map_err(transfer::failed)
    }))?;
    let path = first_start::master_key_path(&config);
    desk.show(&json!({ "file": path }), |_| {
        format!("{} is the new master key.\n", path.display())
    })
}

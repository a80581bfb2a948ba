//! Limits: the documents' numbers are the defaults, and the configuration may set others.

use serde::{Deserialize, Serialize};

/// Every bound that the hub keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Products an account may have.
    pub products: u64,
    /// Devices a product may have (seed 001 §2).
    pub devices: u64,
    /// Custom topic classes a product may have (seed 001 §3.1).
    pub topic_classes: usize,
    /// Names in one batch application (spec/cloud-api.md §2).
    pub batch_names: usize,
    /// Shortest keep alive in seconds (seed 001 §3.2).
    pub keep_alive_least: u16,
    /// Longest keep alive in seconds (seed 001 §3.2).
    pub keep_alive_most: u16,
    /// Characters of the first part of a client id (seed 001 §3.2).
    pub client_id: usize,
    /// Properties in one message (seed 001 §6.5, code 6106).
    pub properties: usize,
    /// Bytes of a payload.
    pub payload: usize,
    /// Life of a token given by HTTPS pre-authentication, in milliseconds (seed 001 §3.2).
    pub token_life: i64,
    /// How far a signed time may be from ours, in milliseconds (spec/cloud-api.md §1.2).
    pub time_window: i64,
    /// How far a device's time may be ahead of ours, in milliseconds; a value or event of a later
    /// time is taken as of its arrival.
    pub device_ahead: i64,
    /// How long a command waits for its device, in milliseconds.
    pub command_life: i64,
    /// Commands that may wait for one device.
    pub commands: usize,
    /// How long a caller waits for a synchronous service, in milliseconds (spec/cloud-api.md §2).
    pub call_wait: i64,
    /// Sub-devices a gateway may have, and have online at once (seed 001 §2, §6.4).
    pub sub_devices: u64,
    /// Logins of one sub-device in a minute (seed 001 §5, code 429).
    pub sub_logins: usize,
    /// Events of one device in a gateway's batch (seed 001 §6.5).
    pub pack_events: usize,
    /// Sub-devices in a gateway's batch (seed 001 §6.5).
    pub pack_subs: usize,
    /// How long histories are kept, in milliseconds (spec/cloud-api.md §2: 30 days).
    pub history: i64,
    /// Points on one page of a history.
    pub history_page: usize,
    /// Sub-users of an account.
    pub users: u64,
    /// Access keys of an account or a sub-user.
    pub access_keys: u64,
    /// Policies of an account.
    pub policies: u64,
    /// Lines a second that authentication failures may add to the audit log; more are counted
    /// and summed up in one line.
    pub audit_failures: u32,
    /// How long facts stay in the journal once all its readers are past them, in milliseconds.
    pub journal: i64,
    /// How long a download link is good, in milliseconds (seed 001 §4: 24 hours).
    pub link_life: i64,
    /// Bytes of a file of a firmware package.
    pub firmware: u64,
    /// Firmware packages of an account.
    pub firmwares: u64,
    /// Campaigns of an account.
    pub campaigns: u64,
    /// How long a challenge for an identity (ID²) is good, in milliseconds.
    pub id2_challenge: i64,
    /// How far the timestamp of an identity's code may lie back, in milliseconds.
    pub id2_back: i64,
    /// How far it may be ahead, in milliseconds.
    pub id2_ahead: i64,
    /// Calls about one identity in a minute.
    pub id2_calls: u32,
    /// Groups of an account.
    pub groups: u64,
    /// Devices of a group.
    pub group_devices: u64,
    /// Groups that a device may be in (spec/cloud-api.md §2, `ExceedTenGroupDeviceCount`).
    pub device_groups: usize,
    /// Firmware scans that an account may ask for in all (seed 000 §1.2.7).
    pub scans: u64,
    /// Bytes of a file that is scanned.
    pub scan_file: u64,
    /// Bytes of memory that one scan may take; at least 128 MiB.
    pub scan_memory: u64,
    /// How long one scan may take, in milliseconds.
    pub scan_time: i64,
    /// Hosts from which files to scan are fetched, `*.` before a name for all below it. One in a
    /// private network must be named exactly.
    pub scan_hosts: Vec<String>,
    /// Whether the files of a firmware package are scanned when it is made.
    pub scan_firmware: bool,
}

const DAY: i64 = 24 * 60 * 60 * 1000;

impl Default for Limits {
    fn default() -> Self {
        Self {
            products: 1_000,
            devices: 500_000,
            topic_classes: 50,
            batch_names: 10_000,
            keep_alive_least: 30,
            keep_alive_most: 1_200,
            client_id: 64,
            properties: 200,
            payload: 256 * 1024,
            token_life: 7 * DAY,
            time_window: 15 * 60 * 1000,
            device_ahead: 10 * 60 * 1000,
            command_life: 7 * DAY,
            commands: 100,
            call_wait: 8_000,
            sub_devices: 1_500,
            sub_logins: 5,
            pack_events: 20,
            pack_subs: 20,
            history: 30 * DAY,
            history_page: 50,
            users: 1_000,
            access_keys: 5,
            policies: 1_500,
            audit_failures: 100,
            journal: 7 * DAY,
            link_life: DAY,
            firmware: 1024 * 1024 * 1024,
            firmwares: 10_000,
            campaigns: 10_000,
            id2_challenge: 300_000,
            id2_back: 15 * 60 * 1000,
            id2_ahead: 5 * 60 * 1000,
            id2_calls: 600,
            groups: 1_000,
            group_devices: 20_000,
            device_groups: 10,
            scans: 10_000,
            scan_file: 512 * 1024 * 1024,
            scan_memory: 2 * 1024 * 1024 * 1024,
            scan_time: 300_000,
            scan_hosts: vec!["*.aliyuncs.com".into()],
            scan_firmware: true,
        }
    }
}

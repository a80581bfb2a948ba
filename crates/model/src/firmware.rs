//! Firmware: files of packages, and what a device is told of them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The module that stands for the whole device (seed 001 §6.11 knows no other).
pub const WHOLE: &str = "default";

/// A file as the server keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FirmwareFile {
    /// As its owner calls it.
    pub name: String,
    /// Its name among `port::Blobs`.
    pub blob: String,
    /// Bytes.
    pub size: u64,
    /// MD5 of the content, lower-case hex; computed here.
    pub md5: String,
    /// SHA-256 of the content, lower-case hex; computed here.
    pub sha256: String,
}

/// By which digest a device checks what it fetched (seed 001 §6.11).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum SignMethod {
    /// MD5.
    #[default]
    Md5,
    /// SHA-256.
    Sha256,
}

impl SignMethod {
    /// The digest of a file.
    pub fn of(self, file: &FirmwareFile) -> &str {
        match self {
            Self::Md5 => &file.md5,
            Self::Sha256 => &file.sha256,
        }
    }
}

/// What a device is to fetch and to become.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The campaign that wants it.
    pub campaign: String,
    /// The package's number, by which files are fetched over MQTT.
    pub stream: u64,
    /// The module; `WHOLE` for the device.
    pub module: String,
    /// The version that it becomes.
    pub version: String,
    /// How files are checked.
    pub method: SignMethod,
    /// One file, or several.
    pub files: Vec<FirmwareFile>,
    /// Whether it is a difference to the version that the device has.
    pub differential: bool,
    /// Whether the device fetches it over MQTT, having no HTTP.
    pub over_mqtt: bool,
    /// What the owner hands along with the package; empty for nothing.
    pub udi: String,
    /// What the owner hands along with the campaign.
    pub tags: BTreeMap<String, String>,
}

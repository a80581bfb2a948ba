//! Files on their way in. A file belongs to an account until a package takes it; one that none
//! takes within a day goes.

use crate::{
    Hub,
    account::Permit,
    document::{put, remove},
};
use bytes::Bytes;
use credential::crypto::{
    digest::{FileDigests, Hash},
    hmac::{hmac, same_hex},
};
use model::{
    error::{Fault, OtaError},
    firmware::FirmwareFile,
    id::{AccountId, Time},
    port::{BlobWriter, Expect, Put},
};
use serde::{Deserialize, Serialize};

pub(super) const UPLOAD: &str = "upload";
/// How long a file waits for a package.
const LIFE: i64 = 24 * 60 * 60 * 1000;
/// How long a ticket is good.
const TICKET_LIFE: i64 = 60 * 60 * 1000;
/// How blobs of packages begin.
const PREFIX: &str = "fw-";
const LABEL: &str = "upload ticket";
/// Bytes of a text that is read whole.
const TEXT_MOST: u64 = 1024 * 1024;
/// Uploads that are forgotten in one step.
const STEP: usize = 200;

/// A file that is handed in.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    account: AccountId,
    created: Time,
    /// None while it is being written.
    file: Option<FirmwareFile>,
}

/// The right to hand in one file, for those who cannot prove themselves in the same request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ticket {
    /// Under which name.
    pub key: String,
    /// Whose it will be.
    pub account: AccountId,
    /// Until when.
    pub until: Time,
    /// That we gave it, as hex.
    pub signature: String,
}

/// A file that is being handed in; dropped, it never was.
pub struct Upload {
    writer: Box<dyn BlobWriter>,
    digests: FileDigests,
    row: Row,
    name: String,
    blob: String,
    size: u64,
    most: u64,
}

impl Upload {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `TooLarge`, `Fault`.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), OtaError> {
        self.size += bytes.len() as u64;
        if self.size > self.most {
            return Err(OtaError::TooLarge(self.most));
        }
        self.digests.update(&bytes);
        Ok(self.writer.write(bytes).await?)
    }
}

impl Hub {
    /// Begins to take a file of the caller's account.
    ///
    /// # Errors
    /// `BadRequest` for the name, `Fault`.
    pub async fn upload_begin(&self, permit: &Permit, name: &str) -> Result<Upload, OtaError> {
        let blob = format!("{PREFIX}{}", self.ota_word());
        self.upload_open(permit.account().clone(), name, blob).await
    }

    /// Gives the right to hand in one file, for an hour. `suffix` ends its name.
    ///
    /// # Errors
    /// `BadRequest` for the suffix.
    pub fn upload_ticket(&self, permit: &Permit, suffix: &str) -> Result<Ticket, OtaError> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'.';
        if suffix.is_empty() || suffix.len() > 16 || !suffix.bytes().all(plain) {
            let text = "a suffix is a few letters and digits, such as bin or tar.gz";
            return Err(OtaError::BadRequest(text.into()));
        }
        let mut ticket = Ticket {
            key: format!("ota/{}.{suffix}", self.ota_word()),
            account: permit.account().clone(),
            until: self.now().plus(TICKET_LIFE),
            signature: String::new(),
        };
        let mac = self.ticket_mac(&ticket);
        ticket.signature = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(ticket)
    }

    /// Begins to take the file of a ticket. Each ticket is good for one file.
    ///
    /// # Errors
    /// `BadTicket`, `Taken`, `Fault`.
    pub async fn upload_by_ticket(&self, ticket: &Ticket) -> Result<Upload, OtaError> {
        if !same_hex(&self.ticket_mac(ticket), &ticket.signature) {
            let text = "the signature does not match the policy";
            return Err(OtaError::BadTicket(text.into()));
        }
        if self.now() >= ticket.until {
            return Err(OtaError::BadTicket("the policy has expired".into()));
        }
        let blob = blob_of(&ticket.key).ok_or_else(|| OtaError::BadTicket("no such key".into()))?;
        let name = ticket.key.rsplit('/').next().unwrap_or_default();
        self.upload_open(ticket.account.clone(), name, blob).await
    }

    /// Keeps a file that is complete.
    ///
    /// # Errors
    /// `BadRequest` for an empty file, `Fault`.
    pub async fn upload_finish(&self, upload: Upload) -> Result<FirmwareFile, OtaError> {
        let Upload {
            writer,
            digests,
            mut row,
            name,
            blob,
            size,
            most: _,
        } = upload;
        if size == 0 {
            return Err(OtaError::BadRequest("the file is empty".into()));
        }
        writer.finish().await?;
        let (md5, sha256) = digests.finish();
        let file = FirmwareFile {
            name,
            blob: blob.clone(),
            size,
            md5,
            sha256,
        };
        row.file = Some(file.clone());
        let puts = vec![put(UPLOAD, blob, &row, Expect::Anything)?];
        self.document_put(puts).await?;
        Ok(file)
    }

    /// The text of a small file of the caller's account that no package took: a list of names.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for what is no text, `TooLarge`.
    pub async fn upload_text(&self, permit: &Permit, key: &str) -> Result<String, OtaError> {
        let (file, _) = self.upload_take(permit.account(), key).await?;
        if file.size > TEXT_MOST {
            return Err(OtaError::TooLarge(TEXT_MOST));
        }
        let most = usize::try_from(file.size).unwrap_or(usize::MAX);
        let bytes = self.ports.blobs.read(&file.blob, 0, most).await?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| OtaError::BadRequest("the file is not UTF-8 text".into()))
    }

    /// The file of a ticket's key or of a blob's name, as far as it is the account's and no
    /// package has it yet; with what takes it away from here.
    pub(crate) async fn upload_take(
        &self,
        account: &AccountId,
        key: &str,
    ) -> Result<(FirmwareFile, Put), OtaError> {
        let blob = blob_of(key).unwrap_or_else(|| key.to_owned());
        let found = self.document::<Row>(UPLOAD, &blob).await?;
        let found = found.filter(|found| found.value.account == *account);
        let expect = found.as_ref().map(|found| found.expect());
        let file = found.and_then(|found| found.value.file);
        match (file, expect) {
            (Some(file), Some(expect)) => Ok((file, remove(UPLOAD, blob, expect))),
            _ => Err(OtaError::NotFound("uploaded file")),
        }
    }

    /// What lets files of a package that is removed go like files that no package took.
    pub(super) fn upload_left(
        &self,
        account: &AccountId,
        files: &[FirmwareFile],
    ) -> Result<Vec<Put>, Fault> {
        let left = |file: &FirmwareFile| {
            let row = Row {
                account: account.clone(),
                created: self.now().plus(-LIFE),
                file: None,
            };
            put(UPLOAD, file.blob.clone(), &row, Expect::Anything)
        };
        files.iter().map(left).collect()
    }

    /// Removes files that no package took for a day.
    pub(crate) async fn upload_sweep(&self, now: Time) -> Result<(), Fault> {
        let mut after: Option<String> = None;
        loop {
            let catalog = &self.ports.catalog;
            let page = catalog.list(UPLOAD, "", after.as_deref(), STEP).await?;
            for entry in &page {
                let Some(row) = self.document::<Row>(UPLOAD, &entry.key).await? else {
                    continue;
                };
                if now.since(row.value.created) < LIFE {
                    continue;
                }
                // First the row: of two, a package that takes the file now or we, one fails.
                let mut gone = row.value.clone();
                gone.file = None;
                let expect = row.expect();
                let held = vec![put(UPLOAD, entry.key.clone(), &gone, expect)?];
                if self.document_put(held).await? {
                    self.ports.blobs.remove(&entry.key).await?;
                    let away = vec![remove(UPLOAD, entry.key.clone(), Expect::Anything)];
                    self.document_put(away).await?;
                }
            }
            match page.into_iter().last() {
                Some(last) => after = Some(last.key),
                None => return Ok(()),
            }
        }
    }

    async fn upload_open(
        &self,
        account: AccountId,
        name: &str,
        blob: String,
    ) -> Result<Upload, OtaError> {
        if !super::is_name(name) {
            let text = "a file's name has 1 to 64 characters, none of them / \" or \\";
            return Err(OtaError::BadRequest(text.into()));
        }
        let row = Row {
            account,
            created: self.now(),
            file: None,
        };
        // Before the file, so that one whose upload is cut short by a crash is found.
        let puts = vec![put(UPLOAD, blob.clone(), &row, Expect::Absent)?];
        if !self.document_put(puts).await? {
            return Err(OtaError::Taken("upload"));
        }
        Ok(Upload {
            writer: self.ports.blobs.create(&blob).await?,
            digests: FileDigests::default(),
            row,
            name: name.to_owned(),
            blob,
            size: 0,
            most: self.limits.firmware,
        })
    }

    /// 32 letters and digits that nobody can foresee.
    pub(crate) fn ota_word(&self) -> String {
        let mut bytes = [0; 16];
        self.ports.random.fill(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn ticket_mac(&self, ticket: &Ticket) -> Vec<u8> {
        let Ticket {
            key,
            account,
            until,
            signature: _,
        } = ticket;
        let text = format!("{LABEL}\0{key}\0{account}\0{}", until.0);
        hmac(Hash::Sha256, &self.token_key, text.as_bytes())
    }
}

/// The blob of a ticket's key `ota/<word>.<suffix>`.
fn blob_of(key: &str) -> Option<String> {
    let (word, _) = key.strip_prefix("ota/")?.split_once('.')?;
    let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    (word.len() == 32 && word.bytes().all(hex)).then(|| format!("{PREFIX}{word}"))
}

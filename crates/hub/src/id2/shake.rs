//! Proofs in the handshake of a device's own connection: it shows its identity to the server, and the
//! server itself to it, before either says anything else.
//!
//! Nobody calls here: whose the product is, is looked up. A challenge belongs to the connection that it
//! was given on and is kept there, so that strangers who name an identity push nothing out that was
//! given to its device, and use up none of its calls.

use super::{
    keep::aside,
    proof::{Given, Proven, Shown, key_error, server_code},
    row::{ROW, Row, State},
    setting::{Setting, hex},
};
use crate::{
    Hub,
    admit::Claim,
    document::{Document, TRIES, busy, put},
    edge::{Peer, Session},
};
use credential::{
    Secret,
    crypto::wrap::NONCE,
    id2::{Id, device::Form},
};
use model::{
    account::AuditEntry,
    error::{AdmitError, Id2Error},
    id::{AccountId, IotId, ProductKey},
};

/// Bytes of the secret of a connection.
const SECRET: usize = 48;
/// For counters and audit lines.
const ACTION: &str = "device.handshake";
const SCHEME: &str = "id2";

/// A device that has proven itself in a handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shaken {
    /// Of which product it is.
    pub product: ProductKey,
    /// Its identity.
    pub id: Id,
}

/// What a device shows in a handshake.
#[derive(Clone, Copy, Debug)]
pub struct Shows<'a> {
    /// Its code.
    pub code: &'a str,
    /// The challenge that it was given on this connection.
    pub challenge: &'a str,
    /// Its own challenge to the server.
    pub device_challenge: &'a str,
    /// From where.
    pub peer: Peer,
}

/// What the server shows back.
pub struct Greeting {
    /// The server's code over the device's challenge.
    pub code: String,
    /// A secret for this connection: 48 random bytes.
    pub secret: Secret,
    /// The same, encrypted for the device alone.
    pub sealed: Vec<u8>,
}

impl Hub {
    /// Gives a device of this product an identity, for a request as `id2_otp` takes it.
    ///
    /// # Errors
    /// As `id2_otp`; `NotOwned` when the request is of another product's token.
    pub async fn id2_shake_provision(
        &self,
        product: &ProductKey,
        request: &[u8],
        peer: Peer,
    ) -> Result<Vec<u8>, Id2Error> {
        let given = async {
            let account = self.id2_account(product).await?;
            let given = self.id2_otp_give(&account, Some(product), request).await?;
            Ok(given.data)
        };
        let given = given.await;
        self.id2_shake_told(&format!("{product}/?"), &given, peer)
            .await;
        given
    }

    /// A challenge for a connection on which a device says that it is this one.
    ///
    /// # Errors
    /// Why the identity could prove nothing.
    pub async fn id2_shake_begin(&self, whose: &Shaken, peer: Peer) -> Result<[u8; 32], Id2Error> {
        let found = self.id2_shaking(whose).await.map(drop);
        self.id2_shake_told(&path(whose), &found, peer).await;
        found?;
        let mut random = [0; 16];
        self.ports.random.fill(&mut random);
        let mut challenge = [0; 32];
        challenge.copy_from_slice(hex(&random).as_bytes());
        Ok(challenge)
    }

    /// Judges what a device shows, and answers it.
    ///
    /// # Errors
    /// Why it is not believed; `NotSupported` for keys that cannot decrypt, or with which the server
    /// cannot prove itself.
    pub async fn id2_shake(&self, whose: &Shaken, shows: Shows<'_>) -> Result<Greeting, Id2Error> {
        let greeting = self.id2_shake_judged(whose, shows).await;
        self.metrics.proof(SCHEME, greeting.is_ok());
        self.id2_shake_told(&path(whose), &greeting, shows.peer)
            .await;
        greeting
    }

    async fn id2_shake_judged(
        &self,
        whose: &Shaken,
        shows: Shows<'_>,
    ) -> Result<Greeting, Id2Error> {
        let (setting, found) = self.id2_shaking(whose).await?;
        let expect = found.expect();
        let row = found.value;
        let shown = Shown {
            product: &whose.product,
            id: whose.id,
            code: shows.code,
            extra: None,
        };
        let given = Given::Here(shows.challenge);
        let proven = self.id2_judged(&setting, &row, &shown, given).await?;
        let code = server_code(&proven, &whose.id, shows.device_challenge, None)?;
        let mut secret = vec![0; SECRET];
        self.ports.random.fill(&mut secret);
        let secret = Secret::new(secret);
        let sealed = self.id2_secret_sealed(&proven, &whose.id, &secret)?;
        if row.state == State::Issued {
            let who = format!("device {}/?", whose.product);
            let entry = self.id2_shake_entry(who, &path(whose), shows.peer);
            self.id2_activate(row, expect, entry).await?;
        }
        Ok(Greeting {
            code,
            secret,
            sealed,
        })
    }

    fn id2_secret_sealed(
        &self,
        proven: &Proven,
        id: &Id,
        secret: &Secret,
    ) -> Result<Vec<u8>, Id2Error> {
        let key = &proven.key;
        let sealed = match proven.form {
            Form::Plain | Form::Hardened => {
                let mut random = [0; 64];
                self.ports.random.fill(&mut random);
                aside(key.is_kept(), || {
                    key.encrypt_bytes(secret.expose(), &random)
                })
            }
            Form::Keyed => {
                let mut nonce = [0; NONCE];
                self.ports.random.fill(&mut nonce);
                aside(key.is_kept(), || {
                    key.encrypt_bytes_keyed(id, secret.expose(), &nonce)
                })
            }
        };
        sealed.map_err(key_error)
    }

    /// The identity, if it may prove anything now.
    async fn id2_shaking(&self, whose: &Shaken) -> Result<(Setting, Document<Row>), Id2Error> {
        let now = self.now();
        let account = self.id2_account(&whose.product).await?;
        let setting = self.id2_setting_of(&account, &whose.product).await?;
        setting.judge(now)?;
        let found = self.id2_row_owned(&account, &whose.id).await?;
        if found.value.product != whose.product {
            return Err(Id2Error::NotOwned);
        }
        found.value.judge(now, setting.self_activating)?;
        Ok((setting, found))
    }

    async fn id2_account(&self, product: &ProductKey) -> Result<AccountId, Id2Error> {
        let product = self.shelf_product(product).await?;
        Ok(product.ok_or(Id2Error::NoSuchProduct)?.account.clone())
    }

    /// Checks a claim and opens a session, as `device_admit`, for a device that has proven its
    /// identity in the handshake of this connection: the claim must be of the same product, and an
    /// identity lets one device in, the first one that came with it.
    ///
    /// # Errors
    /// `AdmitError`; `WrongScheme` when claim and identity do not belong together.
    pub async fn device_admit_shaken(
        &self,
        claim: Claim,
        shaken: &Shaken,
        marks: u32,
    ) -> Result<Session, AdmitError> {
        let result = self.admit_shaken(&claim, shaken, marks).await;
        self.admitted("device.login", &claim, &result).await;
        result
    }

    async fn admit_shaken(
        &self,
        claim: &Claim,
        shaken: &Shaken,
        marks: u32,
    ) -> Result<Session, AdmitError> {
        if claim.device.product != shaken.product {
            return Err(AdmitError::WrongScheme);
        }
        let (device, product) = self.prove(claim).await?;
        self.id2_bind(shaken, &device.iot_id).await?;
        self.session_open(device, product, claim.peer, marks, None)
            .await
    }

    /// Makes an identity that of this device, unless it is another one's that is still registered.
    async fn id2_bind(&self, shaken: &Shaken, device: &IotId) -> Result<(), AdmitError> {
        for _ in 0..TRIES {
            // What happened to it since the handshake counts too.
            let found = self.id2_shaking(shaken).await;
            let (_, found) = found.map_err(|error| match error {
                Id2Error::Fault(fault) => AdmitError::Fault(fault),
                _ => AdmitError::WrongScheme,
            })?;
            let expect = found.expect();
            let mut row = found.value;
            match &row.device {
                Some(bound) if bound == device => return Ok(()),
                Some(bound) if self.ports.devices.find_id(bound).await?.is_some() => {
                    return Err(AdmitError::WrongScheme);
                }
                Some(_) | None => {}
            }
            // The handshake activated it; somebody has taken that back.
            if row.state != State::Active {
                return Err(AdmitError::WrongScheme);
            }
            row.device = Some(device.clone());
            let puts = vec![put(ROW, row.id.clone(), &row, expect)?];
            if self.document_put(puts).await? {
                return Ok(());
            }
        }
        Err(busy(ROW).into())
    }

    fn id2_shake_entry(&self, who: String, resource: &str, peer: Peer) -> AuditEntry {
        AuditEntry {
            at: self.now(),
            who,
            address: peer.address.to_string(),
            action: ACTION.to_owned(),
            resource: resource.to_owned(),
            outcome: "ok".to_owned(),
            detail: peer.channel.name().to_owned(),
        }
    }

    /// Counts and audits what went wrong in a handshake; what went well is followed by a login.
    async fn id2_shake_told<T: Sync>(
        &self,
        resource: &str,
        result: &Result<T, Id2Error>,
        peer: Peer,
    ) {
        let Err(error) = result else { return };
        let outcome = outcome(error);
        self.metrics.login(peer.channel.name(), SCHEME, outcome);
        if let Id2Error::Fault(fault) = error {
            tracing::error!(%fault, resource, "a handshake failed for our own trouble");
        }
        let mut entry = self.id2_shake_entry("?".to_owned(), resource, peer);
        entry.outcome = outcome.to_owned();
        entry.detail = format!("{} {error}", peer.channel.name());
        self.audit_failure(entry).await;
    }

    /// Notes that a handshake ended before anybody was proven, with the reason in a word.
    pub async fn id2_shake_broken(&self, peer: Peer, outcome: &'static str, why: &str) {
        self.metrics.login(peer.channel.name(), SCHEME, outcome);
        let mut entry = self.id2_shake_entry("?".to_owned(), "?", peer);
        entry.outcome = outcome.to_owned();
        entry.detail = format!("{} {why}", peer.channel.name());
        self.audit_failure(entry).await;
    }
}

fn path(whose: &Shaken) -> String {
    format!("{}/{}", whose.product, whose.id)
}

/// The name of an error, for counters and audit lines.
fn outcome(error: &Id2Error) -> &'static str {
    match error {
        Id2Error::BadProof => "BadProof",
        Id2Error::NoSuchIdentity
        | Id2Error::BadVendorPart
        | Id2Error::BadProductPart
        | Id2Error::NoVendor => "NoSuchIdentity",
        Id2Error::NoSuchProduct => "NoSuchProduct",
        Id2Error::NotOwned => "NotOwned",
        Id2Error::BadCode(_) | Id2Error::BadExtra => "BadCode",
        Id2Error::BadChallenge | Id2Error::TimeExpired | Id2Error::TimeRepeated => "BadChallenge",
        Id2Error::Suspended
        | Id2Error::Revoked
        | Id2Error::Withdrawn
        | Id2Error::Expired
        | Id2Error::NotActivated
        | Id2Error::NotDelivered => "Disabled",
        Id2Error::NoLicence
        | Id2Error::QuotaUsedUp
        | Id2Error::LicenceOver
        | Id2Error::TooManyDownloads => "TooMany",
        Id2Error::OtpOff => "RegistrationOff",
        Id2Error::AlreadyActive | Id2Error::FingerprintTaken => "AlreadyActive",
        Id2Error::NoSuchChip | Id2Error::BadFingerprint => "BadFingerprint",
        Id2Error::NotSupported => "NotSupported",
        Id2Error::Busy => "TooOften",
        Id2Error::BadData(_)
        | Id2Error::BadServerExtra
        | Id2Error::BadDeviceChallenge
        | Id2Error::BadRequest(_)
        | Id2Error::Taken(_) => "BadRequest",
        Id2Error::Fault(_) => "Fault",
    }
}

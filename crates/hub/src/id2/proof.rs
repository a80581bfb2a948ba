//! Judging what devices show ([ID-1]..[ID-4]): form first, then time, then the signature, and only a
//! code that is right uses up its challenge or its moment.

use super::{
    keep::aside,
    row::{ROW, Row, State},
    setting::{Codes, Setting, hex},
};
use crate::{Hub, account::Permit, document::put};
use credential::{
    crypto::{digest::Hash, wrap::NONCE},
    id2::{
        AuthCode, EXTRA_MAX, Id, KeyError,
        code::{CODE_MAX, is_device_challenge},
        device::Form,
        keyed::PLAIN_MAX,
        server::{DeviceKey, EncryptError, ProveError, VerifyError},
    },
};
use model::{
    account::AuditEntry,
    error::{Fault, Id2Error},
    id::{ProductKey, Time},
    port::{Burnt, Expect, Taken},
};

/// What a device showed.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Of which product it is said to be.
    pub product: &'a ProductKey,
    /// The identity.
    pub id: Id,
    /// The code.
    pub code: &'a str,
    /// What the code covers besides; none when none was sent.
    pub extra: Option<&'a str>,
}

/// What the server shows back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerProof {
    /// The server's code.
    pub code: String,
    /// The data, encrypted for the device.
    pub data: Vec<u8>,
}

/// A device that has proven itself.
pub(super) struct Proven {
    pub(super) key: DeviceKey,
    /// In which form it spoke, and is answered.
    pub(super) form: Form,
}

/// What makes a code's challenge good.
#[derive(Clone, Copy)]
pub(super) enum Given<'a> {
    /// That it was given out and not used; of a timestamp, that it is of now and not used.
    Noted,
    /// That it is this one, given out on the same connection, which uses it for nothing else.
    Here(&'a str),
}

impl Hub {
    /// A challenge for an identity ([ID-3]).
    ///
    /// # Errors
    /// Why the identity could prove nothing; `Busy`.
    pub async fn id2_challenge(&self, permit: &Permit, id: &Id) -> Result<String, Id2Error> {
        let row = self.id2_owned(permit, id).await?.value;
        let setting = self.id2_setting(permit, &row.product).await?;
        let now = self.now();
        setting.judge(now)?;
        row.judge(now, setting.self_activating)?;
        self.id2_counted(id, now)?;
        let mut random = [0; 16];
        self.ports.random.fill(&mut random);
        let challenge = hex(&random);
        let until = now.plus(self.limits.id2_challenge);
        let owner = owner(id);
        let nonces = &self.ports.nonces;
        if let Some(oldest) = self.id2.challenge(id, &challenge, now, until) {
            nonces.take(&oldest, &owner, now).await?;
        }
        nonces.mint(&challenge, &owner, now, until).await?;
        Ok(challenge)
    }

    /// Whether a device is the one that it says ([ID-1]).
    ///
    /// # Errors
    /// Why not.
    pub async fn id2_verify(&self, permit: &Permit, shown: Shown<'_>) -> Result<(), Id2Error> {
        self.id2_proven(permit, shown).await.map(drop)
    }

    /// Proves a device, and encrypts data for it alone ([ID-2]).
    ///
    /// # Errors
    /// Why it is not proven; `BadData`, `NotSupported`.
    pub async fn id2_encrypt(
        &self,
        permit: &Permit,
        shown: Shown<'_>,
        data: &str,
    ) -> Result<Vec<u8>, Id2Error> {
        let proven = self.id2_proven(permit, shown).await?;
        self.id2_encrypted(&proven, &shown.id, data)
    }

    /// Proves a device, and this server to it ([ID-4]).
    ///
    /// # Errors
    /// Why the device is not proven; `BadData`, `BadServerExtra`, `BadDeviceChallenge`,
    /// `NotSupported`.
    pub async fn id2_prove(
        &self,
        permit: &Permit,
        shown: Shown<'_>,
        challenge: &str,
        extra: Option<&str>,
        data: &str,
    ) -> Result<ServerProof, Id2Error> {
        // What the device cannot be asked again for is looked at before its code is used up.
        if !is_device_challenge(challenge.as_bytes()) {
            return Err(Id2Error::BadDeviceChallenge);
        }
        if extra.is_some_and(|extra| extra.len() > EXTRA_MAX) {
            return Err(Id2Error::BadServerExtra);
        }
        let proven = self.id2_proven(permit, shown).await?;
        let extra = extra.map(str::as_bytes);
        let code = server_code(&proven, &shown.id, challenge, extra)?;
        let data = self.id2_encrypted(&proven, &shown.id, data)?;
        Ok(ServerProof { code, data })
    }

    fn id2_encrypted(&self, proven: &Proven, id: &Id, data: &str) -> Result<Vec<u8>, Id2Error> {
        let key = &proven.key;
        let (closed, most) = match proven.form {
            Form::Plain | Form::Hardened => {
                let mut random = [0; 64];
                self.ports.random.fill(&mut random);
                let closed = aside(key.is_kept(), || key.encrypt(data, &random));
                (closed, key.key_type().plain_max())
            }
            Form::Keyed => {
                let mut nonce = [0; NONCE];
                self.ports.random.fill(&mut nonce);
                let closed = aside(key.is_kept(), || key.encrypt_keyed(id, data, &nonce));
                (closed, Some(PLAIN_MAX))
            }
        };
        closed.map_err(|error| match error {
            EncryptError::Data => {
                let most = most.unwrap_or_default();
                Id2Error::BadData(format!(
                    "the data has 1 to {most} bytes of text without control characters"
                ))
            }
            EncryptError::Key(error) => key_error(error),
        })
    }

    fn id2_counted(&self, id: &Id, now: Time) -> Result<(), Id2Error> {
        match self.id2.call(id, now, self.limits.id2_calls) {
            true => Ok(()),
            false => Err(Id2Error::Busy),
        }
    }

    async fn id2_proven(&self, permit: &Permit, shown: Shown<'_>) -> Result<Proven, Id2Error> {
        let now = self.now();
        let setting = self.id2_setting(permit, shown.product).await?;
        setting.judge(now)?;
        let found = self.id2_owned(permit, &shown.id).await?;
        let expect = found.expect();
        let row = found.value;
        if row.product != *shown.product {
            return Err(Id2Error::NotOwned);
        }
        self.id2_counted(&shown.id, now)?;
        row.judge(now, setting.self_activating)?;
        let proven = self
            .id2_judged(&setting, &row, &shown, Given::Noted)
            .await?;
        if row.state == State::Issued {
            let path = format!("id2/{}", row.id);
            let entry = self.audit_entry(permit.caller(), permit.action(), &path);
            self.id2_activate(row, expect, entry).await?;
        }
        Ok(proven)
    }

    /// Judges a code of an identity that may prove itself, and uses up what it is fresh by.
    pub(super) async fn id2_judged(
        &self,
        setting: &Setting,
        row: &Row,
        shown: &Shown<'_>,
        given: Given<'_>,
    ) -> Result<Proven, Id2Error> {
        let now = self.now();
        if shown.code.len() > CODE_MAX {
            return Err(Id2Error::BadCode("the code is too long".into()));
        }
        let key = self.id2_key(row).await?;
        let (text, form) = unwrapped(&key, setting, shown.code)?;
        let code = AuthCode::parse(&text).map_err(|error| Id2Error::BadCode(error.to_string()))?;
        match (given, code.timestamp()) {
            (Given::Noted, Some(at)) => self.id2_in_time(at, now)?,
            (Given::Noted, None) => {}
            (Given::Here(challenge), None) if code.freshness == challenge => {}
            (Given::Here(_), _) => return Err(Id2Error::BadChallenge),
        }
        verified(&key, shown, form, &code, setting.legacy)?;
        if let Given::Noted = given {
            self.id2_spend(shown, &code, now).await?;
        }
        Ok(Proven { key, form })
    }

    pub(super) fn id2_in_time(&self, at: u64, now: Time) -> Result<(), Id2Error> {
        let at = i64::try_from(at).map_err(|_| Id2Error::TimeExpired)?;
        let ahead = Time(at).since(now);
        if ahead > self.limits.id2_ahead || ahead < -self.limits.id2_back {
            return Err(Id2Error::TimeExpired);
        }
        Ok(())
    }

    /// Uses up the challenge, or the moment, of a code that is right; of two that come at once one
    /// is told so.
    async fn id2_spend(
        &self,
        shown: &Shown<'_>,
        code: &AuthCode<'_>,
        now: Time,
    ) -> Result<(), Id2Error> {
        let owner = owner(&shown.id);
        let nonces = &self.ports.nonces;
        if !code.mode.is_timestamp() {
            return match nonces.take(code.freshness, &owner, now).await? {
                Taken::Yes => Ok(()),
                Taken::No => Err(Id2Error::BadChallenge),
            };
        }
        // What was signed, and not the signature: some kinds of keys have many for one message.
        let extra = shown.extra.unwrap_or_default();
        let parts = [code.freshness, "~", code.random, "~", extra].concat();
        let token = Hash::Sha256.hex(parts.as_bytes());
        let window = self.limits.id2_back + self.limits.id2_ahead;
        let until = now.plus(window + 1);
        match nonces.burn(&token, &owner, now, until).await? {
            Burnt::New => Ok(()),
            Burnt::Seen => Err(Id2Error::TimeRepeated),
        }
    }

    pub(super) async fn id2_activate(
        &self,
        mut row: Row,
        expect: Expect,
        mut entry: AuditEntry,
    ) -> Result<(), Fault> {
        row.state = State::Active;
        row.activated = Some(self.now());
        let puts = vec![put(ROW, row.id.clone(), &row, expect)?];
        // Where somebody else was faster, it is activated, or is somebody's to judge.
        if self.document_put(puts).await? {
            entry.detail = "activated".into();
            self.audit_note(entry).await?;
        }
        Ok(())
    }
}

/// The server's code over a device's challenge.
pub(super) fn server_code(
    proven: &Proven,
    id: &Id,
    challenge: &str,
    extra: Option<&[u8]>,
) -> Result<String, Id2Error> {
    let key = &proven.key;
    let code = aside(key.is_kept(), || {
        key.server_code(id, proven.form, challenge, extra)
    });
    code.map_err(|error| match error {
        ProveError::Challenge => Id2Error::BadDeviceChallenge,
        ProveError::Extra => Id2Error::BadServerExtra,
        ProveError::Key(error) => key_error(error),
    })
}

/// The code without its wrapping, and in which form it came.
pub(super) fn unwrapped(
    key: &DeviceKey,
    setting: &Setting,
    code: &str,
) -> Result<(String, Form), Id2Error> {
    let (text, form) = if let Some(inner) = DeviceKey::unkeyed(code) {
        (inner.to_owned(), Form::Keyed)
    } else if DeviceKey::is_hardened(code) {
        let inner = aside(key.is_kept(), || key.unharden(code));
        (inner.map_err(key_error)?, Form::Hardened)
    } else {
        (code.to_owned(), Form::Plain)
    };
    let taken = match setting.codes {
        Codes::Any => true,
        Codes::Hardened => form != Form::Plain,
        Codes::Keyed => form == Form::Keyed,
    };
    if !taken {
        let text = "the product does not take codes of this form";
        return Err(Id2Error::BadCode(text.into()));
    }
    Ok((text, form))
}

/// Whether a code that was unwrapped is of the device's key.
pub(super) fn verified(
    key: &DeviceKey,
    shown: &Shown<'_>,
    form: Form,
    code: &AuthCode<'_>,
    legacy: bool,
) -> Result<(), Id2Error> {
    let extra = shown.extra.map(str::as_bytes);
    let verified = aside(key.is_kept(), || match form {
        Form::Plain | Form::Hardened => key.verify(&shown.id, code, extra, legacy),
        Form::Keyed => key.verify_keyed(&shown.id, code, extra),
    });
    verified.map_err(verify_error)
}

fn owner(id: &Id) -> String {
    format!("id2/{id}")
}

fn verify_error(error: VerifyError) -> Id2Error {
    match error {
        VerifyError::Hash => Id2Error::BadCode("the code's hash is not the one of the key".into()),
        VerifyError::Extra => Id2Error::BadExtra,
        VerifyError::Signature => Id2Error::BadProof,
        VerifyError::Key(error) => key_error(error),
    }
}

pub(super) fn key_error(error: KeyError) -> Id2Error {
    match error {
        KeyError::NotSupported => Id2Error::NotSupported,
        KeyError::BadCipher | KeyError::BadLength => Id2Error::BadProof,
        KeyError::Communication => Fault::passing("the carrier of a key does not answer").into(),
        KeyError::Failed => Fault::lasting("a key does not work").into(),
    }
}

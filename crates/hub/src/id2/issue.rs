//! Giving identities out ([ID-5]): each one with the number by which its product counts, in one
//! change.

use super::{
    key_trouble,
    row::{OF, Origin, PRINT, ROW, Row, State, of_product},
    setting::{CHIP, OnRepeat, SETTING, Setting, digest, hex},
};
use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put},
};
use credential::{
    Secret,
    crypto::{digest::Hash, rsa::RsaPrivate},
    id2::{
        Id, KeyType, SoftKey,
        keep::Name,
        key::CurveKey,
        otp::{self, OtpCode, OtpError, PROVISION_MAX, Session},
    },
};
use model::{
    error::{Fault, Id2Error},
    id::{AccountId, ProductKey, Time},
    port::{Expect, Put},
};
use serde::{Deserialize, Serialize};

/// How long the same request gets the same answer, in milliseconds (wire §5.4).
const AGAIN: i64 = 10 * 60 * 1000;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// What a device gets that asked for an identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provision {
    /// Identity and key, under the device's session key.
    pub data: Vec<u8>,
    /// The identity.
    pub id: Id,
    /// How many more the product may issue.
    pub remaining: u64,
}

/// Which device has which identity, and what it asked with last.
#[derive(Serialize, Deserialize)]
struct Print {
    id: String,
    session: String,
    at: Time,
}

/// A key that was made and belongs to nobody yet.
pub(super) struct Fresh {
    pub(super) kind: KeyType,
    pub(super) material: Secret,
}

/// Identities that are about to be entered.
pub(super) struct Entering {
    pub(super) rows: Vec<Row>,
    pub(super) puts: Vec<Put>,
}

/// The provision id that a code names, as hex.
pub(super) fn provision_id(code: &str) -> Option<String> {
    let blob = otp::decode_text(code).ok()?;
    let code = OtpCode::parse(&blob).ok()?;
    Some(hex(code.provision_id))
}

fn unread() -> Id2Error {
    Id2Error::BadCode("the code is no request for an identity".into())
}

impl Hub {
    /// Gives a device an identity that proves a token of its product.
    ///
    /// # Errors
    /// Why not.
    pub async fn id2_otp(&self, permit: &Permit, code: &str) -> Result<Provision, Id2Error> {
        let blob = otp::decode_text(code).map_err(|_| unread())?;
        self.id2_otp_give(permit.account(), None, &blob).await
    }

    /// As `id2_otp`, of the code's bytes; `only` says of which product it must be.
    pub(super) async fn id2_otp_give(
        &self,
        account: &AccountId,
        only: Option<&ProductKey>,
        blob: &[u8],
    ) -> Result<Provision, Id2Error> {
        let code = OtpCode::parse(blob).map_err(|_| unread())?;
        let Some((product, token)) = self.id2_by_token(code.provision_id).await? else {
            let text = "no product has the token that the code was made with";
            return Err(Id2Error::BadCode(text.into()));
        };
        if only.is_some_and(|only| *only != product) {
            return Err(Id2Error::NotOwned);
        }
        let setting = self.id2_setting_of(account, &product).await?;
        let now = self.now();
        setting.judge(now)?;
        if !setting.otp {
            return Err(Id2Error::OtpOff);
        }
        let opened = code.open(&token).map_err(|error| match error {
            OtpError::Proof => Id2Error::BadProof,
            OtpError::Fingerprint => Id2Error::BadFingerprint,
            OtpError::KeyType
            | OtpError::Form
            | OtpError::Token
            | OtpError::TokenKind
            | OtpError::ShortBuffer(_) => {
                Id2Error::BadCode("the code asks for another kind of key".into())
            }
        })?;
        if opened.is_filler() {
            return Err(Id2Error::BadFingerprint);
        }
        if token.key_type() != setting.kind {
            let text = "the product gives out another kind of key now; take its new token";
            return Err(Id2Error::BadCode(text.into()));
        }
        let print = digest(opened.fingerprint());
        // Made before the turn, so that others do not wait for it.
        let fresh = self.id2_fresh(setting.kind).await?;
        let with = self.id2_with(setting.keys).await?;
        let _turn = self.id2.turn.lock().await;
        self.id2_otp_issue(account, &product, &print, &opened.session, fresh, with)
            .await
    }

    async fn id2_otp_issue(
        &self,
        account: &AccountId,
        product: &ProductKey,
        print: &str,
        session: &Session,
        fresh: Fresh,
        with: Option<Name>,
    ) -> Result<Provision, Id2Error> {
        let now = self.now();
        // Under a key, so that what is kept says nothing of the session.
        let session_mark = {
            let mark = credential::crypto::hmac::hmac(Hash::Sha256, &self.token_key, &**session);
            hex(&mark)
        };
        let print_key = of_product(product, print);
        let mark = Print {
            id: String::new(),
            session: session_mark,
            at: now,
        };
        for _ in 0..TRIES {
            if let Some(found) = self.document::<Print>(PRINT, &print_key).await? {
                return self
                    .id2_otp_again(account, product, found.value, mark, session, &print_key)
                    .await;
            }
            let found = self.document::<Setting>(SETTING, product.as_str()).await?;
            let found = found.ok_or(Id2Error::NoSuchProduct)?;
            let expect = found.expect();
            let mut setting = found.value;
            if setting.listed && self.ports.catalog.get(CHIP, &print_key).await?.is_none() {
                return Err(Id2Error::NoSuchChip);
            }
            let day = now.0.div_euclid(DAY);
            if setting.today.0 != day {
                setting.today = (day, 0);
            }
            licensed(&setting, 1)?;
            if setting.per_day.is_some_and(|most| setting.today.1 >= most) {
                return Err(Id2Error::TooManyDownloads);
            }
            setting.today.1 += 1;
            let origin = Origin::Demand(print.to_owned());
            let material = Secret::new(fresh.material.expose().to_vec());
            let fresh = vec![Fresh {
                kind: fresh.kind,
                material,
            }];
            let mut entering = self.id2_enter(&mut setting, fresh, with, &origin, State::Issued)?;
            let row = entering.rows.remove(0);
            let mark = Print {
                id: row.id.clone(),
                session: mark.session.clone(),
                at: now,
            };
            let puts = &mut entering.puts;
            puts.push(put(PRINT, print_key.clone(), &mark, Expect::Absent)?);
            puts.push(put(SETTING, product.to_string(), &setting, expect)?);
            if self.document_put(entering.puts).await? {
                return self.id2_provision(&row, session, setting.remaining()).await;
            }
            self.id2_pass_over(product, &row.id).await?;
        }
        Err(busy(SETTING).into())
    }

    /// A device whose fingerprint has an identity already.
    async fn id2_otp_again(
        &self,
        account: &AccountId,
        product: &ProductKey,
        found: Print,
        mut mark: Print,
        session: &Session,
        print_key: &str,
    ) -> Result<Provision, Id2Error> {
        let now = self.now();
        let setting = self.id2_setting_of(account, product).await?;
        let id = Id::parse(found.id.as_bytes()).ok_or_else(|| key_trouble("no identity"))?;
        let same = found.session == mark.session && now.since(found.at) <= AGAIN;
        if !same && setting.repeat == OnRepeat::Reject {
            return Err(Id2Error::FingerprintTaken);
        }
        let row = self.id2_row_owned(account, &id).await?.value;
        if !same && row.activated.is_some() {
            return Err(Id2Error::AlreadyActive);
        }
        row.judge(now, true)?;
        if !same {
            mark.id = found.id;
            let puts = vec![put(PRINT, print_key.to_owned(), &mark, Expect::Anything)?];
            self.document_put(puts).await?;
        }
        self.id2_provision(&row, session, setting.remaining()).await
    }

    async fn id2_provision(
        &self,
        row: &Row,
        session: &Session,
        remaining: u64,
    ) -> Result<Provision, Id2Error> {
        let material = self.id2_material(row).await?;
        let key = SoftKey::new(row.kind, material.expose());
        let key = key.map_err(|_| key_trouble("it is not of its kind"))?;
        let id = Id::parse(row.id.as_bytes()).ok_or_else(|| key_trouble("no identity"))?;
        let mut data = [0; PROVISION_MAX];
        let len = otp::provision(session, &id, &key, &mut data)
            .map_err(|_| key_trouble("it cannot be sent"))?;
        Ok(Provision {
            data: data[..len].to_vec(),
            id,
            remaining,
        })
    }

    /// Numbers that were brought in from elsewhere are passed over.
    pub(super) async fn id2_pass_over(&self, product: &ProductKey, id: &str) -> Result<(), Fault> {
        if self.ports.catalog.get(ROW, id).await?.is_some() {
            let pass = |setting: &mut Setting| setting.serial += 1;
            self.document_change::<Setting>(SETTING, product.as_str(), pass)
                .await?;
        }
        Ok(())
    }

    /// A new key.
    ///
    /// # Errors
    /// Trouble of the machine.
    pub(super) async fn id2_fresh(&self, kind: KeyType) -> Result<Fresh, Fault> {
        let material = match kind {
            KeyType::Rsa1024 | KeyType::Rsa2048 => {
                let bits = if kind == KeyType::Rsa1024 { 1024 } else { 2048 };
                let made = tokio::task::spawn_blocking(move || {
                    RsaPrivate::generate(bits).and_then(|key| key.to_der())
                });
                let made = made.await.map_err(|_| key_trouble("making one ended"))?;
                made.map_err(|_| key_trouble("it cannot be made"))?
            }
            KeyType::P256 | KeyType::Sm2 => loop {
                let mut bytes = vec![0; 32];
                self.ports.random.fill(&mut bytes);
                // All but a few of 2^256 numbers are keys.
                if CurveKey::new(kind, &bytes).is_ok() {
                    break Secret::new(bytes);
                }
            },
            KeyType::Aes128
            | KeyType::Aes192
            | KeyType::Aes256
            | KeyType::TripleDes112
            | KeyType::TripleDes168
            | KeyType::Sm4 => {
                let cipher = kind.cipher().ok_or_else(|| key_trouble("no cipher"))?;
                let mut bytes = vec![0; cipher.key_len()];
                self.ports.random.fill(&mut bytes);
                Secret::new(bytes)
            }
        };
        Ok(Fresh { kind, material })
    }

    /// Numbers and seals identities for these keys, and counts them in `setting`, which the caller
    /// puts with them.
    pub(super) fn id2_enter(
        &self,
        setting: &mut Setting,
        fresh: Vec<Fresh>,
        with: Option<Name>,
        origin: &Origin,
        state: State,
    ) -> Result<Entering, Id2Error> {
        let now = self.now();
        let until = setting.days.map(|days| now.plus(i64::from(days) * DAY));
        let mut entering = Entering {
            rows: Vec::with_capacity(fresh.len()),
            puts: Vec::with_capacity(2 * fresh.len() + 2),
        };
        for Fresh { kind, material } in fresh {
            setting.serial += 1;
            setting.issued += 1;
            let serial = u32::try_from(setting.serial).map_err(|_| Id2Error::QuotaUsedUp)?;
            let id = Id::issue(setting.vendor, setting.part, serial).to_string();
            let closed = self.id2_closed(with.as_ref(), &id, kind, &material)?;
            let row = Row {
                id: id.clone(),
                product: setting.product.clone(),
                account: setting.account.clone(),
                kind,
                state,
                origin: origin.clone(),
                created: now,
                activated: None,
                until,
                why: None,
                device: None,
                sealed: Some(closed.sealed),
                kept: closed.kept,
            };
            let of = of_product(&setting.product, &id);
            entering.puts.push(put(ROW, id, &row, Expect::Absent)?);
            entering.puts.push(put(OF, of, &true, Expect::Absent)?);
            entering.rows.push(row);
        }
        Ok(entering)
    }
}

/// Whether so many more may be issued.
pub(super) fn licensed(setting: &Setting, many: u64) -> Result<(), Id2Error> {
    if setting.licence.is_none() {
        return Err(Id2Error::NoLicence);
    }
    if setting.remaining() < many {
        return Err(Id2Error::QuotaUsedUp);
    }
    Ok(())
}

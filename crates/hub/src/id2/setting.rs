//! What a product says of its identities: codes of its vendor and of itself, the licence, the token
//! with which devices ask for one.

use super::{as_name, keep::Keys, row::of_product};
use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put, remove},
    vault::shown,
};
use credential::{
    Secret,
    id2::{Id, KeyType, otp::Token},
};
use model::{
    account::Resource,
    error::{Fault, Id2Error},
    id::{AccountId, ProductKey, Time},
    port::{Expect, SecretId},
};
use serde::{Deserialize, Serialize};

pub(super) const SETTING: &str = "id2-product";
/// Vendors: by code, and `account/…` for the code of an account.
const VENDOR: &str = "id2-vendor";
/// Products by the codes of vendor and product.
const PART: &str = "id2-part";
/// Products by the provision id of their tokens.
const TOKEN: &str = "id2-token";
/// Chips that a product knows: `product/digest`.
pub(super) const CHIP: &str = "id2-chip";
/// Where vendors' codes begin that were not asked for: above those seen in the field.
const VENDORS: u64 = 0xa0_0000;
/// Chips that are listed in one call.
const CHIPS: usize = 10_000;

/// How many identities a product may issue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// In all.
    pub total: u64,
    /// When it is over; identities prove nothing from then on.
    pub until: Option<Time>,
}

/// What a device hears that asks for an identity again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRepeat {
    /// That its fingerprint was seen; the default, as in seed 000 §1.1.8.
    #[default]
    Reject,
    /// The same identity, until its device has proven itself.
    Reissue,
}

/// Which forms of codes a product takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Codes {
    /// Any; each device is answered in the form in which it spoke.
    #[default]
    Any,
    /// The form "99" or the keyed one.
    Hardened,
    /// The keyed form alone, which has no ECB.
    Keyed,
}

/// What a product says of its identities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// The product.
    pub product: ProductKey,
    /// Whose it is.
    pub account: AccountId,
    /// Whether identities of it prove anything.
    pub on: bool,
    /// Its vendor's part of identities.
    pub vendor: [u8; 3],
    /// Its own part.
    pub part: [u8; 3],
    /// Keys of new identities.
    #[serde(with = "as_name")]
    pub kind: KeyType,
    /// Where the keys of new identities are kept.
    #[serde(default)]
    pub keys: Keys,
    /// What may be issued.
    pub licence: Option<Licence>,
    /// What was issued.
    pub issued: u64,
    /// The number that was given last.
    pub(super) serial: u64,
    /// Whether devices may ask for an identity.
    pub otp: bool,
    /// What one hears that asks again.
    pub repeat: OnRepeat,
    /// How many may ask in a day (UTC).
    pub per_day: Option<u64>,
    /// The last day on which one asked, and how many did.
    pub today: (i64, u64),
    /// Whether only chips that were listed may ask.
    pub listed: bool,
    /// Whether the first proof activates an identity; else somebody has to.
    pub self_activating: bool,
    /// Which forms of codes are taken.
    pub codes: Codes,
    /// Whether RSA devices may hash with MD5 or SHA-1.
    pub legacy: bool,
    /// Days until a new identity's time is over.
    pub days: Option<u32>,
    /// The provision id of the token, as hex; none before there is one.
    pub(super) token: Option<String>,
}

/// What is to change of a setting; what is left out stays.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Whether identities prove anything.
    pub on: Option<bool>,
    /// Keys of new identities.
    pub kind: Option<KeyType>,
    /// Where the keys of new identities are kept.
    pub keys: Option<Keys>,
    /// What may be issued; `Some(None)` takes the licence away.
    pub licence: Option<Option<Licence>>,
    /// Whether devices may ask for an identity.
    pub otp: Option<bool>,
    /// What one hears that asks again.
    pub repeat: Option<OnRepeat>,
    /// How many may ask in a day; `Some(None)` for any number.
    pub per_day: Option<Option<u64>>,
    /// Whether only chips that were listed may ask.
    pub listed: Option<bool>,
    /// Whether the first proof activates.
    pub self_activating: Option<bool>,
    /// Which forms of codes are taken.
    pub codes: Option<Codes>,
    /// Whether old hashes of RSA devices are taken.
    pub legacy: Option<bool>,
    /// Days until a new identity's time is over; `Some(None)` for never.
    pub days: Option<Option<u32>>,
}

#[derive(Serialize, Deserialize)]
struct Vendor {
    account: AccountId,
    code: [u8; 3],
}

impl Setting {
    /// Whether identities of it may prove anything now.
    pub(super) fn judge(&self, now: Time) -> Result<(), Id2Error> {
        let over = |licence: &Licence| licence.until.is_some_and(|until| until <= now);
        if !self.on || self.licence.as_ref().is_some_and(over) {
            return Err(Id2Error::LicenceOver);
        }
        Ok(())
    }

    /// How many more may be issued.
    pub fn remaining(&self) -> u64 {
        let total = self.licence.map_or(0, |licence| licence.total);
        total.saturating_sub(self.issued)
    }

    fn apply(&mut self, change: &Change) {
        fn set<T: Clone>(to: &mut T, what: Option<&T>) {
            if let Some(what) = what {
                to.clone_from(what);
            }
        }
        set(&mut self.on, change.on.as_ref());
        set(&mut self.kind, change.kind.as_ref());
        set(&mut self.keys, change.keys.as_ref());
        set(&mut self.licence, change.licence.as_ref());
        set(&mut self.otp, change.otp.as_ref());
        set(&mut self.repeat, change.repeat.as_ref());
        set(&mut self.per_day, change.per_day.as_ref());
        set(&mut self.listed, change.listed.as_ref());
        set(&mut self.self_activating, change.self_activating.as_ref());
        set(&mut self.codes, change.codes.as_ref());
        set(&mut self.legacy, change.legacy.as_ref());
        set(&mut self.days, change.days.as_ref());
    }

    fn check(&self) -> Result<(), Id2Error> {
        if self.otp && self.kind.otp_number().is_none() {
            let text = format!(
                "keys of type {} are not given over the air",
                self.kind.name()
            );
            return Err(Id2Error::BadRequest(text));
        }
        let has = match self.codes {
            Codes::Any => true,
            Codes::Hardened => self.kind.otp_number().is_some(),
            Codes::Keyed => self.kind.cipher().is_some(),
        };
        if !has {
            let text = format!(
                "keys of type {} have no such form of codes",
                self.kind.name()
            );
            return Err(Id2Error::BadRequest(text));
        }
        Ok(())
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

fn token_secret(product: &ProductKey) -> SecretId {
    SecretId::Server(format!("id2-token/{product}"))
}

fn vendor_of(account: &AccountId) -> String {
    format!("account/{account}")
}

fn three(number: u64) -> [u8; 3] {
    let [.., a, b, c] = number.to_be_bytes();
    [a, b, c]
}

impl Hub {
    /// Lets a product have identities, or changes how. The first time it gets a code of its own,
    /// below the code of its account, which is made when there is none.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotOwned`, `BadRequest`.
    pub async fn id2_set(
        &self,
        permit: &Permit,
        product: &ProductKey,
        change: &Change,
    ) -> Result<Setting, Id2Error> {
        let owned = self.product_owned(permit, product).await?;
        owned.ok_or(Id2Error::NoSuchProduct)?;
        let _turn = self.id2.turn.lock().await;
        for _ in 0..TRIES {
            let found = self.document::<Setting>(SETTING, product.as_str()).await?;
            let mut puts = Vec::new();
            let (mut setting, expect) = match found {
                Some(found) => {
                    let expect = found.expect();
                    (found.value, expect)
                }
                None => {
                    let vendor = self.id2_vendor(permit, None).await?;
                    let part = three(self.ports.catalog.next("id2-part").await?);
                    let key = hex(&[vendor, part].concat());
                    puts.push(put(PART, key, product, Expect::Absent)?);
                    let setting = Setting {
                        product: product.clone(),
                        account: permit.account().clone(),
                        on: true,
                        vendor,
                        part,
                        kind: KeyType::Aes128,
                        keys: self.id2.keys(),
                        licence: None,
                        issued: 0,
                        serial: 0,
                        otp: false,
                        repeat: OnRepeat::Reject,
                        per_day: None,
                        today: (0, 0),
                        listed: false,
                        self_activating: true,
                        codes: Codes::Any,
                        legacy: false,
                        days: None,
                        token: None,
                    };
                    (setting, Expect::Absent)
                }
            };
            setting.apply(change);
            setting.check()?;
            if change.keys == Some(Keys::Token) && self.id2.keys() != Keys::Token {
                let text = "this server is set up without a token for keys (pkcs11.module)";
                return Err(Id2Error::BadRequest(text.into()));
            }
            puts.push(put(SETTING, product.to_string(), &setting, expect)?);
            if self.document_put(puts).await? {
                return Ok(setting);
            }
        }
        Err(busy(SETTING).into())
    }

    /// Whether devices of a product may have identities.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn id2_is_on(&self, product: &ProductKey) -> Result<bool, Fault> {
        let found = self.document::<Setting>(SETTING, product.as_str()).await?;
        Ok(found.is_some_and(|found| found.value.on))
    }

    /// The setting of a product of the caller's account.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotOwned`.
    pub async fn id2_setting(
        &self,
        permit: &Permit,
        product: &ProductKey,
    ) -> Result<Setting, Id2Error> {
        self.id2_setting_of(permit.account(), product).await
    }

    /// As `id2_setting`, for an account that was found out otherwise.
    pub(super) async fn id2_setting_of(
        &self,
        account: &AccountId,
        product: &ProductKey,
    ) -> Result<Setting, Id2Error> {
        let settings = &self.id2.settings;
        let found = self
            .document_again(settings, SETTING, product.as_str())
            .await?;
        let Some(found) = found else {
            return Err(match self.shelf_product(product).await? {
                Some(product) if product.account != *account => Id2Error::NotOwned,
                _ => Id2Error::NoSuchProduct,
            });
        };
        if found.value.account != *account {
            return Err(Id2Error::NotOwned);
        }
        Ok(found.value)
    }

    /// The vendor's code of the caller's account; made, or taken as given, when it has none.
    ///
    /// # Errors
    /// `BadVendorPart`, `Taken` when another account has it, or this one has another.
    pub async fn id2_vendor(
        &self,
        permit: &Permit,
        wanted: Option<[u8; 3]>,
    ) -> Result<[u8; 3], Id2Error> {
        let account = permit.account();
        let of = vendor_of(account);
        if let Some(found) = self.document::<Vendor>(VENDOR, &of).await? {
            return match wanted {
                Some(wanted) if wanted != found.value.code => {
                    Err(Id2Error::Taken("a vendor's code of this account"))
                }
                _ => Ok(found.value.code),
            };
        }
        let code = match wanted {
            Some(code) if is_vendor(code) => code,
            Some(_) => return Err(Id2Error::BadVendorPart),
            None => three(VENDORS + self.ports.catalog.next("id2-vendor").await? % 0x10_0000),
        };
        let vendor = Vendor {
            account: account.clone(),
            code,
        };
        let puts = vec![
            put(VENDOR, of, &vendor, Expect::Absent)?,
            put(VENDOR, hex(&code), &vendor, Expect::Absent)?,
        ];
        if self.document_put(puts).await? {
            Ok(code)
        } else {
            Err(Id2Error::Taken("a vendor's code"))
        }
    }

    /// Why there is no such identity: those of our shape say whose they would be.
    pub(super) async fn id2_unknown(&self, id: &Id) -> Result<Id2Error, Fault> {
        let text = id.as_str();
        if !text.starts_with("00") || !text.ends_with("00") {
            return Ok(Id2Error::NoSuchIdentity);
        }
        let (vendor, both) = (&text[2..8], &text[2..14]);
        if vendor == "000000" || vendor == "FFFFFF" {
            return Ok(Id2Error::BadVendorPart);
        }
        let catalog = &self.ports.catalog;
        if catalog.get(VENDOR, vendor).await?.is_none() {
            return Ok(Id2Error::NoVendor);
        }
        if catalog.get(PART, both).await?.is_none() {
            return Ok(Id2Error::BadProductPart);
        }
        Ok(Id2Error::NoSuchIdentity)
    }

    /// The token with which devices of a product ask for identities; made when there is none, or
    /// anew, which turns those away that have the old one.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotOwned`, `NotSupported` for kinds of keys that are not given over the
    /// air.
    pub async fn id2_token(
        &self,
        permit: &Permit,
        product: &ProductKey,
        anew: bool,
    ) -> Result<String, Id2Error> {
        let _turn = self.id2.turn.lock().await;
        let mut setting = self.id2_setting(permit, product).await?;
        let secret = token_secret(product);
        self.secret_read(permit, &format!("product/{product}"), "id2-token")
            .await?;
        if !anew && setting.token.is_some() {
            let token = self.secret_open(&secret).await?;
            let token = token.ok_or_else(|| Fault::lasting("a token is gone"))?;
            let is_kind = Token::parse(token.expose()).is_ok_and(|t| t.key_type() == setting.kind);
            if is_kind {
                return Ok(shown(&token)?);
            }
        }
        let mut random = [0; 64];
        self.ports.random.fill(&mut random);
        let serial = self.ports.catalog.next("id2-token").await?;
        let token =
            Token::mint(setting.kind, &random, serial).map_err(|_| Id2Error::NotSupported)?;
        let text = Secret::new(token.expose().to_vec());
        // Whoever dies between the two has a product whose token is asked for again.
        let mut puts = Vec::new();
        if let Some(old) = setting.token.take() {
            puts.push(remove(TOKEN, old, Expect::Anything));
        }
        let provision_id = hex(&token.provision_id());
        puts.push(put(TOKEN, provision_id.clone(), product, Expect::Absent)?);
        setting.token = Some(provision_id);
        puts.push(put(
            SETTING,
            product.to_string(),
            &setting,
            Expect::Anything,
        )?);
        let sealed = self.secret_seal(&secret, &text)?;
        self.ports.secrets.put(&secret, sealed).await?;
        if !self.document_put(puts).await? {
            return Err(busy(TOKEN).into());
        }
        Ok(shown(&text)?)
    }

    /// Lists fingerprints of chips that may ask for identities of a product.
    ///
    /// # Errors
    /// `NoSuchProduct`, `NotOwned`, `BadFingerprint`, `BadRequest` for too many at once.
    pub async fn id2_chips(
        &self,
        permit: &Permit,
        product: &ProductKey,
        prints: &[Vec<u8>],
    ) -> Result<(), Id2Error> {
        self.id2_setting(permit, product).await?;
        if prints.len() > CHIPS {
            let text = format!("at most {CHIPS} chips in one call");
            return Err(Id2Error::BadRequest(text));
        }
        let wrong = |print: &Vec<u8>| !(1..=128).contains(&print.len());
        if prints.iter().any(wrong) {
            return Err(Id2Error::BadFingerprint);
        }
        for some in prints.chunks(500) {
            let puts = some.iter().map(|print| {
                let key = of_product(product, &digest(print));
                put(CHIP, key, &true, Expect::Anything)
            });
            let puts = puts.collect::<Result<_, _>>()?;
            self.document_put(puts).await?;
        }
        Ok(())
    }

    /// The product of the token with this provision id, with the token.
    pub(super) async fn id2_by_token(
        &self,
        provision_id: &[u8; 32],
    ) -> Result<Option<(ProductKey, Token)>, Fault> {
        let found = self
            .document::<ProductKey>(TOKEN, &hex(provision_id))
            .await?;
        let Some(found) = found else {
            return Ok(None);
        };
        let token = self.secret_open(&token_secret(&found.value)).await?;
        let token = token.and_then(|token| Token::parse(token.expose()).ok());
        // Between making a token anew and naming it, the old one opens nothing.
        let token = token.filter(|token| token.provision_id() == *provision_id);
        Ok(token.map(|token| (found.value, token)))
    }

    /// What a policy is asked about for whoever has this token.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn id2_otp_resource(&self, code: &str) -> Result<Resource, Id2Error> {
        let Some(provision_id) = super::issue::provision_id(code) else {
            return Ok(Resource::Any);
        };
        let found = self.document::<ProductKey>(TOKEN, &provision_id).await?;
        Ok(found.map_or(Resource::Any, |found| Resource::Product(found.value)))
    }

    pub(super) async fn id2_setting_gone(&self, product: &ProductKey) -> Result<(), Fault> {
        let found = self.document::<Setting>(SETTING, product.as_str()).await?;
        let Some(found) = found else {
            return Ok(());
        };
        let setting = found.value;
        loop {
            let prefix = of_product(product, "");
            let page = self.ports.catalog.list(CHIP, &prefix, None, 500).await?;
            if page.is_empty() {
                break;
            }
            let gone = page.into_iter();
            let puts = gone.map(|entry| remove(CHIP, entry.key, Expect::Anything));
            self.ports.catalog.put(puts.collect()).await?;
        }
        let part = hex(&[setting.vendor, setting.part].concat());
        let mut puts = vec![
            remove(PART, part, Expect::Anything),
            remove(SETTING, product.to_string(), Expect::Anything),
        ];
        if let Some(token) = setting.token {
            puts.push(remove(TOKEN, token, Expect::Anything));
            self.ports.secrets.remove(&token_secret(product)).await?;
        }
        self.ports.catalog.put(puts).await?;
        Ok(())
    }
}

/// Whether a code can be a vendor's.
fn is_vendor(code: [u8; 3]) -> bool {
    code != [0; 3] && code != [0xff; 3]
}

/// By which a fingerprint is found.
pub(super) fn digest(fingerprint: &[u8]) -> String {
    credential::crypto::digest::Hash::Sha256.hex(fingerprint)
}

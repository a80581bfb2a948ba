//! `muster id2 …`

use super::{
    Desk, Failure, REFUSED, USAGE,
    ask::confirm,
    product::Switch,
    table::{card, table},
};
use crate::first_start::write_file;
use clap::{Args, Subcommand, ValueEnum};
use credential::crypto::envelope;
use serde_json::{Map, Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Longest file that is read, in bytes.
const FILE: u64 = 64 * 1024 * 1024;
/// Identities or chips that are sent at once.
const AT_ONCE: usize = 500;
/// Days for which a line's certificate is good.
const DAYS: u32 = 3_650;

#[derive(Subcommand)]
pub(super) enum Id2 {
    /// Let a product have identities, change how, or show it.
    #[command(after_help = "\
Examples:
  muster id2 product PRODUCT_KEY --licence 10000 --otp on
  muster id2 product PRODUCT_KEY --key-type rsa-2048 --days 3650
  muster id2 product PRODUCT_KEY")]
    Product(Box<Setting>),
    /// Show the token with which devices of a product ask for identities.
    Token {
        /// Product key.
        product: String,
        /// Make another; devices that have the old one get nothing any more.
        #[arg(long)]
        anew: bool,
    },
    /// Show the vendor's code of this account, or take one.
    Vendor {
        /// 6 hex digits.
        code: Option<String>,
    },
    /// List chips that may ask for identities: a file with a fingerprint in hex digits on each line.
    Chips {
        /// Product key.
        product: String,
        /// The file.
        file: PathBuf,
    },
    /// Give a device an identity: from its request (base64 of the OTP auth code) to what it is handed.
    Issue {
        /// Product key.
        product: String,
        /// The device's request.
        request: String,
    },
    /// Make identities for a production line.
    Batch {
        /// Product key.
        product: String,
        /// How many.
        count: u64,
        /// For people, such as which line.
        #[arg(long, default_value = "")]
        note: String,
    },
    /// List batches.
    Batches {
        /// Product key.
        product: String,
    },
    /// Make a certificate (NAME.pem) and a private key (NAME.key) for a production line, on the
    /// line's own machine; only the certificate leaves it.
    LineKey {
        /// The line's name, also of the files.
        name: String,
    },
    /// Write the file of a batch, closed for a line's certificate.
    #[command(after_help = "\
Examples:
  muster id2 export PRODUCT_KEY 1 --certificate line.pem --out batch-1.pem
  openssl cms -decrypt -inform PEM -in batch-1.pem -inkey line.key")]
    Export {
        /// Product key.
        product: String,
        /// Number of the batch.
        batch: u64,
        /// The line's certificate as PEM.
        #[arg(long)]
        certificate: PathBuf,
        /// Where to.
        #[arg(long)]
        out: PathBuf,
    },
    /// Open the file of a batch with the line's key; needs no server.
    Open {
        /// The file.
        file: PathBuf,
        /// The line's private key as PEM.
        #[arg(long)]
        key: PathBuf,
    },
    /// Say that devices have the identities of a batch.
    Release {
        /// Product key.
        product: String,
        /// Number of the batch.
        batch: u64,
    },
    /// Withdraw a batch: those of its identities that were not proven never prove anything.
    Withdraw {
        /// Product key.
        product: String,
        /// Number of the batch.
        batch: u64,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Bring in identities with their keys: lines of JSON as in the file of a batch.
    #[command(after_help = "\
A line is {\"id\": 24 hex digits, \"key_type\": \"aes-128\" …, \"key\": hex digits}. A key of RSA is PKCS#8 or
SubjectPublicKeyInfo in DER, one of a curve 32 bytes (private) or 65 (public).")]
    Import {
        /// Product key.
        product: String,
        /// The file.
        file: PathBuf,
    },
    /// List identities of a product.
    List {
        /// Product key.
        product: String,
        /// Only those that stand here: made, issued, active, suspended, revoked or withdrawn.
        #[arg(long)]
        state: Option<String>,
        /// Only of this batch.
        #[arg(long)]
        batch: Option<u64>,
        /// Only behind this one.
        #[arg(long)]
        after: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        most: usize,
    },
    /// Show an identity.
    Show {
        /// The identity.
        id: String,
    },
    /// Activate an identity, or let a suspended one prove itself again.
    Activate {
        /// The identity.
        id: String,
    },
    /// Keep an identity from proving anything for the time being.
    Suspend {
        /// The identity.
        id: String,
        /// Why.
        #[arg(long)]
        why: Option<String>,
    },
    /// Keep an identity from proving anything, for ever.
    Revoke {
        /// The identity.
        id: String,
        /// Why.
        #[arg(long)]
        why: Option<String>,
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Set when an identity's time is over.
    Expire {
        /// The identity.
        id: String,
        /// 2036-01-31T12:00:00Z, milliseconds, or never.
        at: String,
    },
    /// Check a device's code by hand and say why it is not believed; exit code 1 when it is not.
    /// Nothing is used up.
    Examine {
        /// Product key.
        product: String,
        /// The identity.
        id: String,
        /// The code.
        code: String,
        /// What the code covers besides.
        #[arg(long)]
        extra: Option<String>,
    },
}

#[derive(Args)]
pub(super) struct Setting {
    /// Product key.
    product: String,
    /// Whether identities prove anything.
    #[arg(long)]
    enabled: Option<Switch>,
    /// Keys of new identities: aes-128, aes-192, aes-256, 3des-112, 3des-168, sm4, rsa-1024,
    /// rsa-2048, p-256, sm2.
    #[arg(long)]
    key_type: Option<String>,
    /// Where keys of new identities are kept.
    #[arg(long)]
    keys: Option<Keys>,
    /// How many may be issued in all.
    #[arg(long, value_name = "COUNT")]
    licence: Option<u64>,
    /// When the licence is over; identities prove nothing from then on.
    #[arg(long, value_name = "TIME", requires = "licence")]
    licence_until: Option<String>,
    /// Take the licence away.
    #[arg(long, conflicts_with = "licence")]
    no_licence: bool,
    /// Whether devices may ask for an identity.
    #[arg(long)]
    otp: Option<Switch>,
    /// What a device hears that asks again.
    #[arg(long)]
    repeat: Option<Repeat>,
    /// How many may ask in a day; 0 for any number.
    #[arg(long)]
    per_day: Option<u64>,
    /// Whether only chips that were listed may ask.
    #[arg(long)]
    listed: Option<Switch>,
    /// Whether the first proof activates an identity.
    #[arg(long)]
    self_activating: Option<Switch>,
    /// Which forms of codes are taken.
    #[arg(long)]
    codes: Option<Codes>,
    /// Whether RSA devices may hash with MD5 or SHA-1.
    #[arg(long)]
    legacy: Option<Switch>,
    /// Days until a new identity's time is over; 0 for never.
    #[arg(long)]
    days: Option<u32>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Keys {
    /// In the database, sealed.
    Database,
    /// Under a wrapping key in the server's PKCS#11 token, where they are used.
    Token,
}

#[derive(Clone, Copy, ValueEnum)]
enum Repeat {
    /// That its fingerprint was seen.
    Reject,
    /// The same identity, until its device has proven itself.
    Reissue,
}

#[derive(Clone, Copy, ValueEnum)]
enum Codes {
    /// Any; each device is answered in the form in which it spoke.
    Any,
    /// The form "99", or the keyed one.
    Hardened,
    /// The keyed form ("98") alone, which has no ECB.
    Keyed,
}

const SETTING: &[(&str, &str)] = &[
    ("Product key", "product"),
    ("Enabled", "on"),
    ("Vendor", "vendor"),
    ("Product part", "part"),
    ("Key type", "key_type"),
    ("Keys are in", "keys"),
    ("Licence", "licence"),
    ("Licence until", "licence_until"),
    ("Issued", "issued"),
    ("Remaining", "remaining"),
    ("On demand (OTP)", "otp"),
    ("Asked again", "repeat"),
    ("Per day", "per_day"),
    ("Listed chips only", "listed"),
    ("First proof activates", "self_activating"),
    ("Codes", "codes"),
    ("Old hashes", "legacy"),
    ("Days", "days"),
];

const BATCH: &[(&str, &str)] = &[
    ("Batch", "number"),
    ("Product key", "product"),
    ("State", "state"),
    ("Wanted", "wanted"),
    ("Made", "made"),
    ("Note", "note"),
    ("Created", "created"),
];

const IDENTITY: &[(&str, &str)] = &[
    ("ID²", "id"),
    ("Product key", "product"),
    ("Key type", "key_type"),
    ("Keys are in", "keys"),
    ("State", "state"),
    ("Origin", "origin"),
    ("Created", "created"),
    ("Activated", "activated"),
    ("Until", "until"),
    ("Why", "why"),
    ("Device", "device"),
];

impl Setting {
    fn body(&self) -> Map<String, Value> {
        let switch = |switch: Option<Switch>| switch.map(|switch| matches!(switch, Switch::On));
        let repeat = self.repeat.map(|repeat| match repeat {
            Repeat::Reject => "reject",
            Repeat::Reissue => "reissue",
        });
        let codes = self.codes.map(|codes| match codes {
            Codes::Any => "any",
            Codes::Hardened => "hardened",
            Codes::Keyed => "keyed",
        });
        let keys = self.keys.map(|keys| match keys {
            Keys::Database => "database",
            Keys::Token => "token",
        });
        let all = [
            ("keys", json!(keys)),
            ("on", json!(switch(self.enabled))),
            ("key_type", json!(self.key_type)),
            ("licence", json!(self.licence)),
            ("licence_until", json!(self.licence_until)),
            ("no_licence", json!(self.no_licence.then_some(true))),
            ("otp", json!(switch(self.otp))),
            ("repeat", json!(repeat)),
            ("per_day", json!(self.per_day)),
            ("listed", json!(switch(self.listed))),
            ("self_activating", json!(switch(self.self_activating))),
            ("codes", json!(codes)),
            ("legacy", json!(switch(self.legacy))),
            ("days", json!(self.days)),
        ];
        all.into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }
}

pub(super) fn run(desk: &mut Desk, command: Id2) -> Result<ExitCode, Failure> {
    match command {
        Id2::Product(setting) => {
            let body = setting.body();
            let path = ["products", &setting.product, "id2"];
            let client = desk.client()?;
            let told = match body.is_empty() {
                true => client.get(&path, &[])?,
                false => client.post(&path, &Value::Object(body))?,
            };
            desk.show(&told, |told| card(told, SETTING))?;
        }
        Id2::Token { product, anew } => {
            let path = ["products", &product, "id2", "token"];
            let told = desk.client()?.post(&path, &json!({ "anew": anew }))?;
            desk.show(&told, |told| card(told, &[("Token", "token")]))?;
        }
        Id2::Vendor { code } => {
            let body = json!({ "code": code });
            let told = desk.client()?.post(&["id2", "vendor"], &body)?;
            desk.show(&told, |told| card(told, &[("Vendor", "code")]))?;
        }
        Id2::Chips { product, file } => chips(desk, &product, &file)?,
        Id2::Issue { product, request } => {
            let path = ["products", &product, "id2", "issue"];
            let told = desk.client()?.post(&path, &json!({ "code": request }))?;
            let fields = [
                ("ID²", "id"),
                ("Provision data", "provision_data"),
                ("Remaining", "remaining"),
            ];
            desk.show(&told, |told| card(told, &fields))?;
        }
        Id2::LineKey { name } => line_key(desk, &name)?,
        Id2::Open { file, key } => {
            let (file, key) = (read(&file)?, read(&key)?);
            let opened = envelope::open(&file, &key).map_err(|_| {
                let text = "the file does not open with this key, or was changed";
                Failure::new(
                    REFUSED,
                    text,
                    "give the key that belongs to its certificate",
                )
            })?;
            desk.say(&String::from_utf8_lossy(opened.expose()))?;
        }
        Id2::Import { product, file } => import(desk, &product, &file)?,
        Id2::Batch { .. }
        | Id2::Batches { .. }
        | Id2::Export { .. }
        | Id2::Release { .. }
        | Id2::Withdraw { .. } => batches(desk, command)?,
        Id2::List { .. }
        | Id2::Show { .. }
        | Id2::Activate { .. }
        | Id2::Suspend { .. }
        | Id2::Revoke { .. }
        | Id2::Expire { .. } => identities(desk, command)?,
        Id2::Examine {
            product,
            id,
            code,
            extra,
        } => {
            let body = json!({ "id": id, "code": code, "extra": extra });
            let path = ["products", &product, "id2", "examine"];
            let told = desk.client()?.post(&path, &body)?;
            desk.show(&told, |told| {
                let columns = [("STEP", "step"), ("GOOD", "good"), ("FOUND", "found")];
                table(items(told, "steps"), &columns)
            })?;
            if told["good"] != true {
                return Ok(ExitCode::from(REFUSED));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn batches(desk: &mut Desk, command: Id2) -> Result<(), Failure> {
    let set = |desk: &mut Desk, product: &str, batch: u64, state: &str| {
        let number = batch.to_string();
        let path = ["products", product, "id2", "batches", &number];
        let told = desk.client()?.post(&path, &json!({ "state": state }))?;
        desk.show(&told, |told| card(told, BATCH))
    };
    match command {
        Id2::Batch {
            product,
            count,
            note,
        } => {
            let body = json!({ "count": count, "note": note });
            let path = ["products", &product, "id2", "batches"];
            let told = desk.client()?.post(&path, &body)?;
            desk.show(&told, |told| card(told, BATCH))
        }
        Id2::Batches { product } => {
            let path = ["products", &product, "id2", "batches"];
            let told = desk.client()?.get(&path, &[])?;
            desk.show(&told, |told| {
                let columns = [
                    ("BATCH", "number"),
                    ("STATE", "state"),
                    ("MADE", "made"),
                    ("WANTED", "wanted"),
                    ("NOTE", "note"),
                    ("CREATED", "created"),
                ];
                table(items(told, "items"), &columns)
            })
        }
        Id2::Export {
            product,
            batch,
            certificate,
            out,
        } => {
            let certificate = read(&certificate)?;
            let certificate = String::from_utf8_lossy(&certificate);
            let number = batch.to_string();
            let path = ["products", &product, "id2", "batches", &number, "file"];
            let body = json!({ "certificate": certificate });
            let told = desk.client()?.post(&path, &body)?;
            let text = told["file"].as_str().unwrap_or_default();
            write(&out, text.as_bytes())?;
            let told = json!({ "file": out });
            desk.show(&told, |_| format!("Written to {}.\n", out.display()))
        }
        Id2::Release { product, batch } => set(desk, &product, batch, "released"),
        Id2::Withdraw {
            product,
            batch,
            yes,
        } => {
            confirm(desk, yes, &format!("withdraw batch {batch} for ever?"))?;
            set(desk, &product, batch, "withdrawn")
        }
        _ => Ok(()),
    }
}

fn identities(desk: &mut Desk, command: Id2) -> Result<(), Failure> {
    let set = |desk: &mut Desk, id: &str, body: Value| {
        let told = desk.client()?.post(&["id2", "identities", id], &body)?;
        desk.show(&told, |told| card(told, IDENTITY))
    };
    match command {
        Id2::List {
            product,
            state,
            batch,
            after,
            most,
        } => {
            let mut query = vec![("most", most.to_string())];
            query.extend(state.map(|state| ("state", state)));
            query.extend(batch.map(|batch| ("batch", batch.to_string())));
            query.extend(after.map(|after| ("after", after)));
            let path = ["products", &product, "id2", "identities"];
            let told = desk.client()?.get(&path, &query)?;
            desk.show(&told, |told| {
                let columns = [
                    ("ID²", "id"),
                    ("KEY", "key_type"),
                    ("STATE", "state"),
                    ("ORIGIN", "origin"),
                    ("ACTIVATED", "activated"),
                    ("UNTIL", "until"),
                ];
                table(items(told, "items"), &columns)
            })
        }
        Id2::Show { id } => {
            let told = desk.client()?.get(&["id2", "identities", &id], &[])?;
            desk.show(&told, |told| card(told, IDENTITY))
        }
        Id2::Activate { id } => set(desk, &id, json!({ "state": "active" })),
        Id2::Suspend { id, why } => set(desk, &id, json!({ "state": "suspended", "why": why })),
        Id2::Revoke { id, why, yes } => {
            confirm(desk, yes, &format!("revoke {id} for ever?"))?;
            set(desk, &id, json!({ "state": "revoked", "why": why }))
        }
        Id2::Expire { id, at } => set(desk, &id, json!({ "until": at })),
        _ => Ok(()),
    }
}

fn chips(desk: &mut Desk, product: &str, file: &Path) -> Result<(), Failure> {
    let text = read(file)?;
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let client = desk.client()?;
    let path = ["products", product, "id2", "chips"];
    for some in lines.chunks(AT_ONCE) {
        client.post(&path, &json!({ "fingerprints": some }))?;
    }
    let told = json!({ "count": lines.len() });
    desk.show(&told, |_| format!("{} chips listed.\n", lines.len()))
}

fn import(desk: &mut Desk, product: &str, file: &Path) -> Result<(), Failure> {
    let text = read(file)?;
    let text = String::from_utf8_lossy(&text);
    let mut all: Vec<Value> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        all.push(serde_json::from_str(line).map_err(|_| {
            let text = format!("{}: line {number} is no JSON", file.display());
            Failure::new(
                USAGE,
                text,
                "`muster id2 import --help` says how a line is written",
            )
        })?);
    }
    let client = desk.client()?;
    let path = ["products", product, "id2", "identities"];
    for (done, some) in all.chunks(AT_ONCE).enumerate() {
        client
            .post(&path, &json!({ "items": some }))
            .map_err(|failure| {
                let done = done * AT_ONCE;
                let help = format!("{done} were brought in before; give the others alone");
                match done {
                    0 => failure,
                    _ => Failure::new(failure.code, failure.to_string(), help),
                }
            })?;
    }
    let told = json!({ "count": all.len() });
    desk.show(&told, |_| format!("{} identities brought in.\n", all.len()))
}

fn line_key(desk: &mut Desk, name: &str) -> Result<(), Failure> {
    let made = envelope::pair(name, DAYS);
    let (certificate, key) =
        made.map_err(|_| Failure::new(REFUSED, "no key could be made for this name", ""))?;
    let (pem, secret) = (format!("{name}.pem"), format!("{name}.key"));
    write(Path::new(&secret), key.as_bytes())?;
    write(Path::new(&pem), certificate.as_bytes())?;
    let told = json!({ "certificate": pem, "key": secret });
    desk.show(&told, |_| {
        format!("{secret} stays on the line; {pem} is for `muster id2 export`.\n")
    })
}

fn items<'a>(told: &'a Value, field: &str) -> &'a [Value] {
    told[field].as_array().map_or(&[], Vec::as_slice)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let wrong = |why: String| {
        let text = format!("{}: {why}", path.display());
        Failure::new(USAGE, text, "name a file that this user may read")
    };
    let about = fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if about.len() > FILE {
        return Err(wrong(format!("larger than {FILE} bytes")));
    }
    fs::read(path).map_err(|error| wrong(error.to_string()))
}

/// Writes a file for this user alone, in place of none.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let wrong = |why: String| {
        let text = format!("{}: {why}", path.display());
        Failure::new(
            REFUSED,
            text,
            "name a new file in a folder that this user may write",
        )
    };
    if path.exists() {
        return Err(wrong("is there already".into()));
    }
    let path = std::path::absolute(path).map_err(|error| wrong(error.to_string()))?;
    write_file(&path, 0o600, bytes).map_err(|error| wrong(error.to_string()))
}

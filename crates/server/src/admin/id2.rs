//! Identities that need no connection (ID²): settings of products, batches, and what is done by hand.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    view::{parse_time, time},
};
use axum::{Json, extract::Path, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use credential::Secret;
use hub::{
    account::Permit,
    id2::{
        Batch, BatchState, Change, Codes, Id, Import, KeyType, Keys, Licence, OnRepeat, Origin,
        Row, Setting, Shown, State, StateFilter, Step,
    },
};
use model::{
    account::Resource,
    id::{ProductKey, Time},
};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// Identities on one page.
const PAGE: usize = 1_000;

/// What a device hears that asks for an identity again.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Repeat {
    /// That its fingerprint was seen.
    Reject,
    /// The same identity, until its device has proven itself.
    Reissue,
}

/// Which forms of codes are taken.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum CodesView {
    /// Any.
    Any,
    /// The form "99", or the keyed one.
    Hardened,
    /// The keyed form ("98") alone, which has no ECB.
    Keyed,
}

/// Where keys are kept.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum KeysView {
    /// In the database, sealed.
    Database,
    /// Under a wrapping key in the server's PKCS#11 token, where they are used.
    Token,
}

impl From<Keys> for KeysView {
    fn from(keys: Keys) -> Self {
        match keys {
            Keys::Database => Self::Database,
            Keys::Token => Self::Token,
        }
    }
}

/// What is to change of a product's identities; what is left out stays. The first change lets the
/// product have some.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct SettingBody {
    /// Whether identities prove anything.
    on: Option<bool>,
    /// Keys of new identities: `aes-128`, `aes-192`, `aes-256`, `3des-112`, `3des-168`, `sm4`,
    /// `rsa-1024`, `rsa-2048`, `p-256` or `sm2`.
    key_type: Option<String>,
    /// Where keys of new identities are kept.
    keys: Option<KeysView>,
    /// How many may be issued in all.
    licence: Option<u64>,
    /// When the licence is over: RFC 3339, or milliseconds; with `licence`.
    licence_until: Option<String>,
    /// Takes the licence away.
    #[serde(default)]
    no_licence: bool,
    /// Whether devices may ask for an identity.
    otp: Option<bool>,
    repeat: Option<Repeat>,
    /// How many may ask in a day; 0 for any number.
    per_day: Option<u64>,
    /// Whether only chips that were listed may ask.
    listed: Option<bool>,
    /// Whether the first proof activates an identity.
    self_activating: Option<bool>,
    codes: Option<CodesView>,
    /// Whether RSA devices may hash with MD5 or SHA-1.
    legacy: Option<bool>,
    /// Days until a new identity's time is over; 0 for never.
    days: Option<u32>,
}

/// What a product says of its identities.
#[derive(Serialize, ToSchema)]
pub(super) struct SettingView {
    product: String,
    on: bool,
    /// The vendor's part of identities, 6 hex digits.
    vendor: String,
    /// The product's part.
    part: String,
    key_type: &'static str,
    keys: KeysView,
    licence: Option<u64>,
    licence_until: Option<String>,
    issued: u64,
    remaining: u64,
    otp: bool,
    repeat: Repeat,
    per_day: Option<u64>,
    listed: bool,
    self_activating: bool,
    codes: CodesView,
    legacy: bool,
    days: Option<u32>,
}

impl From<Setting> for SettingView {
    fn from(setting: Setting) -> Self {
        Self {
            product: setting.product.to_string(),
            on: setting.on,
            vendor: hex::encode_upper(setting.vendor),
            part: hex::encode_upper(setting.part),
            key_type: setting.kind.name(),
            keys: setting.keys.into(),
            licence: setting.licence.map(|licence| licence.total),
            licence_until: setting.licence.and_then(|licence| licence.until).map(time),
            issued: setting.issued,
            remaining: setting.remaining(),
            otp: setting.otp,
            repeat: match setting.repeat {
                OnRepeat::Reject => Repeat::Reject,
                OnRepeat::Reissue => Repeat::Reissue,
            },
            per_day: setting.per_day,
            listed: setting.listed,
            self_activating: setting.self_activating,
            codes: match setting.codes {
                Codes::Any => CodesView::Any,
                Codes::Hardened => CodesView::Hardened,
                Codes::Keyed => CodesView::Keyed,
            },
            legacy: setting.legacy,
            days: setting.days,
        }
    }
}

/// Which vendor's code is wanted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VendorBody {
    /// 6 hex digits; one is made when it is left out.
    code: Option<String>,
}

/// The vendor's code of the caller's account.
#[derive(Serialize, ToSchema)]
pub(super) struct VendorView {
    code: String,
}

/// Which token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct TokenBody {
    /// Makes another, and turns those away that have the old one.
    #[serde(default)]
    anew: bool,
}

/// What devices of a product ask for identities with.
#[derive(Serialize, ToSchema)]
pub(super) struct TokenView {
    token: String,
}

/// Chips that may ask.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ChipsBody {
    /// Fingerprints as hex digits.
    fingerprints: Vec<String>,
}

/// How many there were.
#[derive(Serialize, ToSchema)]
pub(super) struct CountView {
    count: usize,
}

/// What a device asks for an identity with.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct IssueBody {
    /// Base64 of its OTP auth code.
    code: String,
}

/// What the device is to be handed.
#[derive(Serialize, ToSchema)]
pub(super) struct IssueView {
    id: String,
    /// Base64.
    provision_data: String,
    remaining: u64,
}

/// A batch that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewBatchBody {
    count: u64,
    #[serde(default)]
    note: String,
}

/// What became of a batch.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct BatchBody {
    /// `released` or `withdrawn`.
    state: String,
}

/// For whom the file is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct FileBody {
    /// The line's certificate as PEM, with an RSA key.
    certificate: String,
}

/// The file for the line.
#[derive(Serialize, ToSchema)]
pub(super) struct FileView {
    /// CMS as PEM.
    file: String,
}

/// A batch.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchView {
    number: u64,
    product: String,
    /// `made`, `released` or `withdrawn`.
    state: &'static str,
    wanted: u64,
    made: u64,
    note: String,
    created: String,
}

impl From<Batch> for BatchView {
    fn from(batch: Batch) -> Self {
        Self {
            number: batch.number,
            product: batch.product.to_string(),
            state: batch.state.name(),
            wanted: batch.wanted,
            made: batch.made,
            note: batch.note,
            created: time(batch.created),
        }
    }
}

/// Batches, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct BatchList {
    items: Vec<BatchView>,
}

/// Which identities.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// `made`, `issued`, `active`, `suspended`, `revoked` or `withdrawn`.
    state: Option<String>,
    batch: Option<u64>,
    /// Only behind this one.
    after: Option<String>,
    /// At most so many; 50 when it is left out, 1,000 at most.
    most: Option<usize>,
}

/// An identity; its key is never shown.
#[derive(Serialize, ToSchema)]
pub(super) struct IdentityView {
    id: String,
    product: String,
    key_type: &'static str,
    /// Where the key is kept.
    keys: KeysView,
    /// `made`, `issued`, `active`, `suspended`, `revoked` or `withdrawn`.
    state: &'static str,
    /// `demand`, `batch N` or `import`.
    origin: String,
    created: String,
    activated: Option<String>,
    until: Option<String>,
    why: Option<String>,
    /// The IotId of the device that has it, once one came in by iTLS with it.
    device: Option<String>,
}

impl From<Row> for IdentityView {
    fn from(row: Row) -> Self {
        Self {
            product: row.product.to_string(),
            key_type: row.kind.name(),
            keys: row.keys().into(),
            state: row.state.name(),
            origin: match row.origin {
                Origin::Demand(_) => "demand".into(),
                Origin::Batch(number) => format!("batch {number}"),
                Origin::Import => "import".into(),
            },
            created: time(row.created),
            activated: row.activated.map(time),
            until: row.until.map(time),
            why: row.why,
            device: row.device.map(|device| device.to_string()),
            id: row.id,
        }
    }
}

/// Some identities, in their order.
#[derive(Serialize, ToSchema)]
pub(super) struct IdentityList {
    items: Vec<IdentityView>,
}

/// An identity with its key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImportItem {
    /// 24 hex digits.
    id: String,
    key_type: String,
    /// Hex digits: a symmetric key; of RSA PKCS#8 or SubjectPublicKeyInfo in DER; of curves 32
    /// bytes of a private or 65 of a public key.
    key: String,
}

/// Identities that are brought in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ImportBody {
    items: Vec<ImportItem>,
}

/// What is to become of an identity.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MoveBody {
    /// `active`, `suspended` or `revoked`.
    state: Option<String>,
    /// Why, for people.
    why: Option<String>,
    /// When its time is over: RFC 3339, milliseconds, or `never`.
    until: Option<String>,
}

/// A code that is looked into.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExamineBody {
    id: String,
    code: String,
    extra: Option<String>,
}

/// A step of a code's way.
#[derive(Serialize, ToSchema)]
struct StepView {
    step: &'static str,
    good: bool,
    found: String,
}

impl From<Step> for StepView {
    fn from(step: Step) -> Self {
        Self {
            step: step.what,
            good: step.good,
            found: step.found,
        }
    }
}

/// What was found.
#[derive(Serialize, ToSchema)]
pub(super) struct ExamineView {
    /// Whether it would be believed; of a challenge it is not known whether it is good.
    good: bool,
    steps: Vec<StepView>,
}

async fn of(
    call: &Call,
    product: &str,
    action: &str,
    changing: bool,
) -> Result<(ProductKey, Permit), AdminError> {
    let key = ProductKey::parse(product)?;
    let resource = Resource::Product(key.clone());
    let permit = call.allow(action, resource, changing).await?;
    Ok((key, permit))
}

fn when(text: &str) -> Result<Time, AdminError> {
    parse_time(text).ok_or_else(|| AdminError::bad_request(format!("{text:?} is no time")))
}

fn kind_of(name: &str) -> Result<KeyType, AdminError> {
    KeyType::parse(name).ok_or_else(|| {
        let names: Vec<_> = KeyType::ALL.iter().map(|kind| kind.name()).collect();
        AdminError::bad_request(format!("a key is one of {}", names.join(", ")))
    })
}

fn id_of(text: &str) -> Result<Id, AdminError> {
    Id::parse(text.as_bytes())
        .ok_or_else(|| AdminError::bad_request("an identity has 24 characters of 0-9 and A-F"))
}

/// Read by hand, as the path's own reader would speak before the caller is proven.
fn batch_number(text: &str) -> Result<u64, AdminError> {
    text.parse()
        .map_err(|_| AdminError::bad_request("a batch has a number"))
}

fn bytes(what: &str, text: &str) -> Result<Vec<u8>, AdminError> {
    hex::decode(text).map_err(|_| AdminError::bad_request(format!("{what} is no hex digits")))
}

impl SettingBody {
    fn change(self) -> Result<Change, AdminError> {
        let licence = match (self.licence, self.licence_until, self.no_licence) {
            (None, None, false) => None,
            (None, None, true) => Some(None),
            (Some(total), until, false) => {
                let until = until.as_deref().map(when).transpose()?;
                Some(Some(Licence { total, until }))
            }
            _ => {
                let text = "give a licence, with or without an end, or none";
                return Err(AdminError::bad_request(text));
            }
        };
        Ok(Change {
            on: self.on,
            kind: self.key_type.as_deref().map(kind_of).transpose()?,
            keys: self.keys.map(|keys| match keys {
                KeysView::Database => Keys::Database,
                KeysView::Token => Keys::Token,
            }),
            licence,
            otp: self.otp,
            repeat: self.repeat.map(|repeat| match repeat {
                Repeat::Reject => OnRepeat::Reject,
                Repeat::Reissue => OnRepeat::Reissue,
            }),
            per_day: self.per_day.map(|most| (most > 0).then_some(most)),
            listed: self.listed,
            self_activating: self.self_activating,
            codes: self.codes.map(|codes| match codes {
                CodesView::Any => Codes::Any,
                CodesView::Hardened => Codes::Hardened,
                CodesView::Keyed => Codes::Keyed,
            }),
            legacy: self.legacy,
            days: self.days.map(|days| (days > 0).then_some(days)),
        })
    }
}

/// Shows what a product says of its identities.
#[utoipa::path(get, path = "/products/{product}/id2", tag = "id2",
    params(("product" = String, Path)),
    responses((status = 200, body = SettingView), (status = "4XX", body = ErrorView)))]
pub(super) async fn setting(Path(product): Path<String>, call: Call) -> Answer<SettingView> {
    let (key, permit) = of(&call, &product, "id2:ReadProduct", false).await?;
    let setting = call.admin.hub.id2_setting(&permit, &key).await?;
    Ok(Json(setting.into()))
}

/// Lets a product have identities, or changes how.
#[utoipa::path(post, path = "/products/{product}/id2", tag = "id2",
    params(("product" = String, Path)), request_body = SettingBody,
    responses((status = 200, body = SettingView), (status = "4XX", body = ErrorView)))]
pub(super) async fn set(Path(product): Path<String>, call: Call) -> Answer<SettingView> {
    let (key, permit) = of(&call, &product, "id2:SetProduct", true).await?;
    let change = call.read::<SettingBody>()?.change()?;
    let setting = call.admin.hub.id2_set(&permit, &key, &change).await?;
    Ok(Json(setting.into()))
}

/// Takes a vendor's code for the caller's account, or tells which one it has.
#[utoipa::path(post, path = "/id2/vendor", tag = "id2", request_body = VendorBody,
    responses((status = 200, body = VendorView), (status = "4XX", body = ErrorView)))]
pub(super) async fn vendor(call: Call) -> Answer<VendorView> {
    let permit = call.allow("id2:SetVendor", Resource::Any, true).await?;
    let body: VendorBody = call.read()?;
    let wanted = match body.code {
        None => None,
        Some(code) => Some(
            <[u8; 3]>::try_from(bytes("the code", &code)?)
                .map_err(|_| AdminError::bad_request("a vendor's code has 6 hex digits"))?,
        ),
    };
    let code = call.admin.hub.id2_vendor(&permit, wanted).await?;
    let code = hex::encode_upper(code);
    Ok(Json(VendorView { code }))
}

/// Tells the token with which devices of a product ask for identities; makes it at first.
#[utoipa::path(post, path = "/products/{product}/id2/token", tag = "id2",
    params(("product" = String, Path)), request_body = TokenBody,
    responses((status = 200, body = TokenView), (status = "4XX", body = ErrorView)))]
pub(super) async fn token(Path(product): Path<String>, call: Call) -> Answer<TokenView> {
    let (key, permit) = of(&call, &product, "id2:ReadToken", true).await?;
    let body: TokenBody = call.read()?;
    let token = call.admin.hub.id2_token(&permit, &key, body.anew).await?;
    Ok(Json(TokenView { token }))
}

/// Lists chips that may ask for identities.
#[utoipa::path(post, path = "/products/{product}/id2/chips", tag = "id2",
    params(("product" = String, Path)), request_body = ChipsBody,
    responses((status = 200, body = CountView), (status = "4XX", body = ErrorView)))]
pub(super) async fn chips(Path(product): Path<String>, call: Call) -> Answer<CountView> {
    let (key, permit) = of(&call, &product, "id2:SetChips", true).await?;
    let body: ChipsBody = call.read()?;
    let prints = body
        .fingerprints
        .iter()
        .map(|text| bytes("a fingerprint", text));
    let prints = prints.collect::<Result<Vec<_>, _>>()?;
    call.admin.hub.id2_chips(&permit, &key, &prints).await?;
    let count = prints.len();
    Ok(Json(CountView { count }))
}

/// Gives a device an identity that was asked for by hand, as `OtpGetId2` does.
#[utoipa::path(post, path = "/products/{product}/id2/issue", tag = "id2",
    params(("product" = String, Path)), request_body = IssueBody,
    responses((status = 200, body = IssueView), (status = "4XX", body = ErrorView)))]
pub(super) async fn issue(Path(product): Path<String>, call: Call) -> Answer<IssueView> {
    let (key, permit) = of(&call, &product, "id2:OtpGetId2", true).await?;
    let body: IssueBody = call.read()?;
    let hub = &call.admin.hub;
    if hub.id2_otp_resource(&body.code).await? != Resource::Product(key) {
        let text = "the code was not made with the token of this product";
        return Err(AdminError::bad_request(text));
    }
    let given = hub.id2_otp(&permit, &body.code).await?;
    Ok(Json(IssueView {
        id: given.id.to_string(),
        provision_data: STANDARD.encode(&given.data),
        remaining: given.remaining,
    }))
}

/// Makes identities for a production line.
#[utoipa::path(post, path = "/products/{product}/id2/batches", tag = "id2",
    params(("product" = String, Path)), request_body = NewBatchBody,
    responses((status = 201, body = BatchView), (status = "4XX", body = ErrorView)))]
pub(super) async fn batch_create(
    Path(product): Path<String>,
    call: Call,
) -> Result<(StatusCode, Json<BatchView>), AdminError> {
    let (key, permit) = of(&call, &product, "id2:CreateBatch", true).await?;
    let body: NewBatchBody = call.read()?;
    let hub = &call.admin.hub;
    let batch = hub.id2_batch(&permit, &key, body.count, &body.note).await?;
    Ok((StatusCode::CREATED, Json(batch.into())))
}

/// Lists batches of a product, newest first.
#[utoipa::path(get, path = "/products/{product}/id2/batches", tag = "id2",
    params(("product" = String, Path)),
    responses((status = 200, body = BatchList), (status = "4XX", body = ErrorView)))]
pub(super) async fn batch_list(Path(product): Path<String>, call: Call) -> Answer<BatchList> {
    let (key, permit) = of(&call, &product, "id2:ReadBatch", false).await?;
    let batches = call.admin.hub.id2_batches(&permit, &key).await?;
    let items = batches.into_iter().map(Into::into).collect();
    Ok(Json(BatchList { items }))
}

/// Releases a batch, whose devices have their identities, or withdraws it.
#[utoipa::path(post, path = "/products/{product}/id2/batches/{number}", tag = "id2",
    params(("product" = String, Path), ("number" = u64, Path)), request_body = BatchBody,
    responses((status = 200, body = BatchView), (status = "4XX", body = ErrorView)))]
pub(super) async fn batch_set(
    Path((product, number)): Path<(String, String)>,
    call: Call,
) -> Answer<BatchView> {
    let (key, permit) = of(&call, &product, "id2:SetBatch", true).await?;
    let number = batch_number(&number)?;
    let body: BatchBody = call.read()?;
    let state = match body.state.as_str() {
        "released" => BatchState::Released,
        "withdrawn" => BatchState::Withdrawn,
        _ => return Err(AdminError::bad_request("a batch is released or withdrawn")),
    };
    let hub = &call.admin.hub;
    let batch = hub.id2_batch_set(&permit, &key, number, state).await?;
    Ok(Json(batch.into()))
}

/// Writes the file of a batch for a line's certificate.
#[utoipa::path(post, path = "/products/{product}/id2/batches/{number}/file", tag = "id2",
    params(("product" = String, Path), ("number" = u64, Path)), request_body = FileBody,
    responses((status = 200, body = FileView), (status = "4XX", body = ErrorView)))]
pub(super) async fn batch_file(
    Path((product, number)): Path<(String, String)>,
    call: Call,
) -> Answer<FileView> {
    let (key, permit) = of(&call, &product, "id2:ExportBatch", true).await?;
    let number = batch_number(&number)?;
    let body: FileBody = call.read()?;
    let certificate = body.certificate.as_bytes();
    let hub = &call.admin.hub;
    let file = hub
        .id2_batch_file(&permit, &key, number, certificate)
        .await?;
    Ok(Json(FileView { file }))
}

/// Lists identities of a product.
#[utoipa::path(get, path = "/products/{product}/id2/identities", tag = "id2",
    params(("product" = String, Path), ListQuery),
    responses((status = 200, body = IdentityList), (status = "4XX", body = ErrorView)))]
pub(super) async fn list(Path(product): Path<String>, call: Call) -> Answer<IdentityList> {
    let (key, permit) = of(&call, &product, "id2:ReadIdentity", false).await?;
    let query: ListQuery = call.query()?;
    let state = query.state.map(|name| {
        let state = State::parse(&name);
        state.ok_or_else(|| AdminError::bad_request(format!("{name:?} is no state")))
    });
    let filter = StateFilter {
        state: state.transpose()?,
        batch: query.batch,
        after: query.after,
    };
    let most = query.most.unwrap_or(50).min(PAGE);
    let rows = call
        .admin
        .hub
        .id2_list(&permit, &key, &filter, most)
        .await?;
    let items = rows.into_iter().map(Into::into).collect();
    Ok(Json(IdentityList { items }))
}

/// Brings in identities with their keys, all or none.
#[utoipa::path(post, path = "/products/{product}/id2/identities", tag = "id2",
    params(("product" = String, Path)), request_body = ImportBody,
    responses((status = 201, body = CountView), (status = "4XX", body = ErrorView)))]
pub(super) async fn import(
    Path(product): Path<String>,
    call: Call,
) -> Result<(StatusCode, Json<CountView>), AdminError> {
    let (key, permit) = of(&call, &product, "id2:ImportIdentity", true).await?;
    let body: ImportBody = call.read()?;
    let imports = body.items.into_iter().map(|item| {
        Ok::<_, AdminError>(Import {
            id: id_of(&item.id)?,
            kind: kind_of(&item.key_type)?,
            material: Secret::new(bytes("a key", &item.key)?),
        })
    });
    let imports = imports.collect::<Result<Vec<_>, _>>()?;
    let hub = &call.admin.hub;
    hub.id2_import(&permit, &key, &imports).await?;
    let count = imports.len();
    Ok((StatusCode::CREATED, Json(CountView { count })))
}

async fn of_identity(
    call: &Call,
    id: &str,
    action: &str,
    changing: bool,
) -> Result<(Id, Permit), AdminError> {
    let parsed = match id_of(id) {
        Ok(parsed) => parsed,
        Err(wrong) => {
            // Who shows no credential does not hear what is wrong with the rest.
            call.allow(action, Resource::Any, false).await?;
            return Err(wrong);
        }
    };
    let resource = call.admin.hub.id2_resource(&parsed).await?;
    let permit = call.allow(action, resource, changing).await?;
    Ok((parsed, permit))
}

/// Shows an identity.
#[utoipa::path(get, path = "/id2/identities/{id}", tag = "id2", params(("id" = String, Path)),
    responses((status = 200, body = IdentityView), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(Path(id): Path<String>, call: Call) -> Answer<IdentityView> {
    let (id, permit) = of_identity(&call, &id, "id2:ReadIdentity", false).await?;
    Ok(Json(call.admin.hub.id2_find(&permit, &id).await?.into()))
}

/// Activates, suspends or revokes an identity, or sets when its time is over.
#[utoipa::path(post, path = "/id2/identities/{id}", tag = "id2", params(("id" = String, Path)),
    request_body = MoveBody,
    responses((status = 200, body = IdentityView), (status = "4XX", body = ErrorView)))]
pub(super) async fn change(Path(id): Path<String>, call: Call) -> Answer<IdentityView> {
    let (id, permit) = of_identity(&call, &id, "id2:SetIdentity", true).await?;
    let body: MoveBody = call.read()?;
    let hub = &call.admin.hub;
    let mut row = None;
    if let Some(until) = body.until {
        let until = match until.as_str() {
            "never" => None,
            text => Some(when(text)?),
        };
        row = Some(hub.id2_until(&permit, &id, until).await?);
    }
    if let Some(name) = body.state {
        let state = State::parse(&name);
        let state =
            state.ok_or_else(|| AdminError::bad_request(format!("{name:?} is no state")))?;
        let why = body.why.as_deref();
        row = Some(hub.id2_move(&permit, &id, state, why).await?);
    }
    let row = row.ok_or_else(|| AdminError::bad_request("give a state or an end"))?;
    Ok(Json(row.into()))
}

/// Looks into a code step by step; nothing is used up.
#[utoipa::path(post, path = "/products/{product}/id2/examine", tag = "id2",
    params(("product" = String, Path)), request_body = ExamineBody,
    responses((status = 200, body = ExamineView), (status = "4XX", body = ErrorView)))]
pub(super) async fn examine(Path(product): Path<String>, call: Call) -> Answer<ExamineView> {
    let (key, permit) = of(&call, &product, "id2:Examine", false).await?;
    let body: ExamineBody = call.read()?;
    let shown = Shown {
        product: &key,
        id: id_of(&body.id)?,
        code: &body.code,
        extra: body.extra.as_deref(),
    };
    let steps = call.admin.hub.id2_examine(&permit, shown).await?;
    // Of a kind of key that cannot decrypt, the code may be right.
    let good = steps
        .iter()
        .all(|step| step.good || step.what == "decryption");
    let steps = steps.into_iter().map(Into::into).collect();
    Ok(Json(ExamineView { good, steps }))
}

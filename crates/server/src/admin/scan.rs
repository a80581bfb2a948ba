//! Scans of firmware, and what the fleet has to do with what they found.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    view::time,
};
use crate::scanner::DOSSIER;
use axum::{Json, extract::Path, http::StatusCode};
use base64::{Engine, engine::general_purpose::STANDARD};
use hub::{
    account::Permit,
    scan::{Exception, Found, Hit, NewScan, News, Policy, Rules, ScanError, ScanTask, Verdict},
};
use model::account::Resource;
use scan::{
    dossier::{Dossier, Judgement, Status},
    render::{Format, Language, render},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Names of severities, the worst first.
const SEVERITIES: [&str; 5] = ["critical", "high", "medium", "low", "notice"];
/// Names of devices that are told for one package.
const DEVICES: usize = 1_000;
const DAY: i64 = 24 * 60 * 60 * 1000;

/// A scan that is to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewScanBody {
    /// What `POST /uploads` answered; or `url`.
    upload: Option<String>,
    /// Where the file is fetched from; or `upload`.
    url: Option<String>,
    #[serde(default)]
    name: String,
    #[serde(default)]
    version: String,
    /// An id of your own; a second scan with it is refused.
    #[serde(default)]
    own_id: String,
    /// Who is written to when it is over.
    email: Option<String>,
    /// Level of graded protection, 2 or 3.
    level: Option<u8>,
}

/// What was found, in numbers.
#[derive(Serialize, ToSchema)]
struct FoundView {
    critical: u64,
    high: u64,
    medium: u64,
    low: u64,
    notice: u64,
    exploited: u64,
    secrets: u64,
    components: u64,
    broken_rules: Vec<String>,
}

impl From<&Found> for FoundView {
    fn from(found: &Found) -> Self {
        let [critical, high, medium, low, notice] = found.counts;
        Self {
            critical,
            high,
            medium,
            low,
            notice,
            exploited: found.exploited,
            secrets: found.secrets,
            components: found.components,
            broken_rules: found.broken.clone(),
        }
    }
}

/// A scan.
#[derive(Serialize, ToSchema)]
pub(super) struct ScanView {
    id: String,
    name: String,
    version: String,
    own_id: String,
    /// The firmware package whose file it is of.
    firmware: Option<String>,
    level: Option<u8>,
    /// `queued`, `fetching`, `fetch-failed`, `parsing`, `parsed`, `scanning`, `writing`,
    /// `write-failed`, `failed` or `done`.
    state: Value,
    /// In percent.
    progress: f64,
    /// Why it failed.
    why: String,
    size: u64,
    sha256: String,
    found: Option<FoundView>,
    /// Addresses of the report, good for a while.
    links: BTreeMap<String, String>,
    created: String,
    ended: Option<String>,
}

fn view(call: &Call, task: &ScanTask) -> ScanView {
    let hub = &call.admin.hub;
    let links = task.documents.keys().filter(|format| *format != DOSSIER);
    ScanView {
        id: task.id.clone(),
        name: task.name.clone(),
        version: task.version.clone(),
        own_id: task.own_id.clone(),
        firmware: task.firmware.clone(),
        level: match task.rules {
            Rules::Basic => None,
            Rules::Two => Some(2),
            Rules::Three => Some(3),
        },
        state: serde_json::to_value(task.state).unwrap_or_default(),
        progress: f64::from(task.progress) / 10.0,
        why: task.why.clone(),
        size: task.size,
        sha256: task.sha256.clone(),
        found: task.found.as_ref().map(FoundView::from),
        links: links
            .filter_map(|format| Some((format.clone(), hub.scan_link(task, format).ok()?)))
            .collect(),
        created: time(task.created),
        ended: task.ended.map(time),
    }
}

/// Scans.
#[derive(Serialize, ToSchema)]
pub(super) struct ScanList {
    items: Vec<ScanView>,
}

/// Which document.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportQuery {
    /// `json`, `html`, `pdf`, `cyclonedx`, `spdx`, `vex`, `sarif` or `csv`.
    format: String,
    /// Which language a page shows first and a PDF is in: `zh` or `en`.
    lang: Option<String>,
}

/// A document.
#[derive(Serialize, ToSchema)]
pub(super) struct ReportView {
    format: String,
    media_type: &'static str,
    /// The document; in base64 when it is a PDF.
    content: String,
}

/// What somebody found out about a finding.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct JudgementBody {
    /// The finding's fingerprint, as reports tell it.
    mark: String,
    /// `not_affected`, `affected`, `fixed` or `under_investigation`.
    status: String,
    /// Why.
    note: String,
}

/// What a package must keep before campaigns bring it to devices; nothing by default.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyBody {
    /// No finding this bad or worse: `critical`, `high`, `medium`, `low` or `notice`.
    severity: Option<String>,
    /// No vulnerability that is being exploited.
    #[serde(default)]
    exploited: bool,
    /// No secret and no key.
    #[serde(default)]
    secrets: bool,
    /// No broken rule of this level of graded protection, 2 or 3.
    level: Option<u8>,
}

impl From<Policy> for PolicyBody {
    fn from(policy: Policy) -> Self {
        let name = |severity: u8| SEVERITIES.get(usize::from(severity)).copied();
        Self {
            severity: policy.severity.and_then(name).map(str::to_owned),
            exploited: policy.exploited,
            secrets: policy.secrets,
            level: match policy.rules {
                Rules::Basic => None,
                Rules::Two => Some(2),
                Rules::Three => Some(3),
            },
        }
    }
}

/// An exception that is to be signed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ExceptionBody {
    /// Why the package may go out.
    reason: String,
    /// For how long, in days.
    days: u32,
}

/// An exception.
#[derive(Serialize, ToSchema)]
pub(super) struct ExceptionView {
    reason: String,
    by: String,
    at: String,
    until: String,
}

impl From<Exception> for ExceptionView {
    fn from(exception: Exception) -> Self {
        Self {
            reason: exception.reason,
            by: exception.by,
            at: time(exception.at),
            until: time(exception.until),
        }
    }
}

/// Whether a package may go out.
#[derive(Serialize, ToSchema)]
pub(super) struct VerdictView {
    /// `passes`, `excepted` or `held`.
    verdict: &'static str,
    /// What holds it.
    why: Vec<String>,
    exception: Option<ExceptionView>,
    scans: Vec<ScanView>,
}

/// A package that has a vulnerability, and who runs it.
#[derive(Serialize, ToSchema)]
struct ExposedView {
    firmware: String,
    name: String,
    product: Option<String>,
    module: String,
    version: String,
    scan: String,
    component: String,
    component_version: String,
    severity: &'static str,
    exploited: bool,
    /// Whether somebody judged it to be harmless here.
    settled: bool,
    /// How many devices reported this version last.
    devices: u64,
    /// The first of them.
    names: Vec<String>,
}

/// Who runs a vulnerability.
#[derive(Serialize, ToSchema)]
pub(super) struct ExposedList {
    cve: String,
    /// Devices in all.
    devices: u64,
    items: Vec<ExposedView>,
}

/// What matching anew brought.
#[derive(Serialize, ToSchema)]
pub(super) struct RematchView {
    /// Scans that were matched.
    scans: u64,
    /// Vulnerabilities that were not known of them before.
    items: Vec<RematchedView>,
}

/// A scan with vulnerabilities that were not known before.
#[derive(Serialize, ToSchema)]
struct RematchedView {
    scan: String,
    firmware: Option<String>,
    name: String,
    new: Vec<String>,
}

fn rules(level: Option<u8>) -> Result<Rules, AdminError> {
    match level {
        None => Ok(Rules::Basic),
        Some(2) => Ok(Rules::Two),
        Some(3) => Ok(Rules::Three),
        Some(_) => Err(AdminError::bad_request("a level is 2 or 3")),
    }
}

async fn allow(call: &Call, action: &str, changing: bool) -> Result<Permit, AdminError> {
    call.allow(action, Resource::Any, changing).await
}

/// Puts a scan in line.
#[utoipa::path(post, path = "/scans", tag = "scan", request_body = NewScanBody,
    responses((status = 201, body = ScanView), (status = "4XX", body = ErrorView)))]
pub(super) async fn create(call: Call) -> Result<(StatusCode, Json<ScanView>), AdminError> {
    let body: NewScanBody = call.read_before_right("fss:CreateScanTask").await?;
    let permit = allow(&call, "fss:CreateScanTask", true).await?;
    let new = NewScan {
        name: body.name,
        version: body.version,
        own_id: body.own_id,
        url: body.url,
        upload: body.upload,
        email: body.email,
        rules: rules(body.level)?,
    };
    let task = call.admin.hub.scan_create(&permit, new).await?;
    Ok((StatusCode::CREATED, Json(view(&call, &task))))
}

/// Lists scans, newest first.
#[utoipa::path(get, path = "/scans", tag = "scan",
    responses((status = 200, body = ScanList), (status = "4XX", body = ErrorView)))]
pub(super) async fn list(call: Call) -> Answer<ScanList> {
    let permit = allow(&call, "fss:QueryTaskStatus", false).await?;
    let all = call.admin.hub.scan_list(&permit).await?;
    let items = all.iter().map(|task| view(&call, task)).collect();
    Ok(Json(ScanList { items }))
}

/// Shows a scan.
#[utoipa::path(get, path = "/scans/{scan}", tag = "scan", params(("scan" = String, Path)),
    responses((status = 200, body = ScanView), (status = "4XX", body = ErrorView)))]
pub(super) async fn show(Path(id): Path<String>, call: Call) -> Answer<ScanView> {
    let permit = allow(&call, "fss:QueryTaskStatus", false).await?;
    let task = call.admin.hub.scan_find(&permit, &id).await?;
    Ok(Json(view(&call, &task)))
}

/// Forgets a scan with its report.
#[utoipa::path(delete, path = "/scans/{scan}", tag = "scan", params(("scan" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn delete(Path(id): Path<String>, call: Call) -> Result<StatusCode, AdminError> {
    let permit = allow(&call, "fss:DeleteScanTask", true).await?;
    call.admin.hub.scan_delete(&permit, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Gives a document of a scan.
#[utoipa::path(get, path = "/scans/{scan}/report", tag = "scan", params(("scan" = String, Path), ReportQuery),
    responses((status = 200, body = ReportView), (status = "4XX", body = ErrorView)))]
pub(super) async fn report(Path(id): Path<String>, call: Call) -> Answer<ReportView> {
    let permit = allow(&call, "fss:QueryTaskReport", false).await?;
    let query: ReportQuery = call.query()?;
    let hub = &call.admin.hub;
    let task = hub.scan_find(&permit, &id).await?;
    let format = Format::of_name(&query.format).ok_or_else(|| {
        let all: Vec<&str> = Format::ALL.iter().map(|format| format.name()).collect();
        AdminError::bad_request(format!("a format is one of {}", all.join(", ")))
    })?;
    let language = match query.lang.as_deref() {
        None | Some("zh") => Language::Chinese,
        Some("en") => Language::English,
        Some(_) => return Err(AdminError::bad_request("lang is zh or en")),
    };
    let kept = hub.scan_document(&task, DOSSIER).await?;
    let judged = hub.scan_judged(&task.account).await?;
    let made = tokio::task::spawn_blocking(move || {
        let mut dossier: Dossier =
            serde_json::from_str(&kept).map_err(|error| error.to_string())?;
        // As things are judged now.
        dossier.judgements = judged
            .into_iter()
            .filter_map(|(mark, word)| Some((mark, serde_json::from_value(word).ok()?)))
            .collect();
        render(&dossier, format, language)
    });
    let fault = |why: String| model::error::Fault::lasting(format!("scan {id}: {why}"));
    let made = made.await.map_err(|error| fault(error.to_string()))?;
    let made = made.map_err(&fault)?;
    Ok(Json(ReportView {
        format: query.format,
        media_type: format.media_type(),
        content: match format {
            Format::Pdf => STANDARD.encode(made),
            _ => String::from_utf8(made).map_err(|error| fault(error.to_string()))?,
        },
    }))
}

/// Writes down what somebody found out about a finding, for this scan and later ones.
#[utoipa::path(post, path = "/scans/judgements", tag = "scan", request_body = JudgementBody,
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn judge(call: Call) -> Result<StatusCode, AdminError> {
    let body: JudgementBody = call.read_before_right("fss:JudgeFinding").await?;
    let permit = allow(&call, "fss:JudgeFinding", true).await?;
    let status = Status::of_name(&body.status).ok_or_else(|| {
        let all = "a status is not_affected, affected, fixed or under_investigation";
        AdminError::bad_request(all)
    })?;
    if body.note.trim().is_empty() || body.note.len() > 2_048 {
        let text = "a judgement needs a note of at most 2048 bytes";
        return Err(AdminError::bad_request(text));
    }
    let hub = &call.admin.hub;
    let caller = permit.caller();
    let judgement = Judgement {
        status,
        note: body.note,
        by: match &caller.user {
            Some(user) => format!("{}/{user}", caller.account),
            None => caller.account.to_string(),
        },
        at: hub.now().0,
    };
    let word = serde_json::to_value(&judgement)
        .map_err(|error| AdminError::bad_request(error.to_string()))?;
    hub.scan_judge(&permit, &body.mark.to_ascii_lowercase(), &word)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Shows what a package must keep before campaigns bring it to devices.
#[utoipa::path(get, path = "/scan-policy", tag = "scan",
    responses((status = 200, body = PolicyBody), (status = "4XX", body = ErrorView)))]
pub(super) async fn policy(call: Call) -> Answer<PolicyBody> {
    let permit = allow(&call, "fss:QueryScanPolicy", false).await?;
    let policy = call.admin.hub.scan_policy(&permit).await?;
    Ok(Json(policy.into()))
}

/// Sets what a package must keep before campaigns bring it to devices.
#[utoipa::path(put, path = "/scan-policy", tag = "scan", request_body = PolicyBody,
    responses((status = 200, body = PolicyBody), (status = "4XX", body = ErrorView)))]
pub(super) async fn policy_set(call: Call) -> Answer<PolicyBody> {
    let body: PolicyBody = call.read_before_right("fss:SetScanPolicy").await?;
    let permit = allow(&call, "fss:SetScanPolicy", true).await?;
    let severity = body.severity.as_deref().map(|name| {
        let rank = SEVERITIES.iter().position(|one| *one == name);
        rank.map(|rank| rank as u8).ok_or_else(|| {
            AdminError::bad_request(format!("a severity is one of {}", SEVERITIES.join(", ")))
        })
    });
    let policy = Policy {
        severity: severity.transpose()?,
        exploited: body.exploited,
        secrets: body.secrets,
        rules: rules(body.level)?,
    };
    call.admin.hub.scan_policy_set(&permit, &policy).await?;
    Ok(Json(policy.into()))
}

async fn told(call: &Call, permit: &Permit, id: &str) -> Answer<VerdictView> {
    let hub = &call.admin.hub;
    let package = hub.firmware_find(permit, id).await?;
    let scans = hub.package_scans(permit, id).await?;
    let (verdict, why, exception) = match hub.package_verdict(&package).await? {
        Verdict::Passes => ("passes", Vec::new(), None),
        Verdict::Excepted(exception) => ("excepted", Vec::new(), Some(exception.into())),
        Verdict::Held(why) => ("held", why, None),
    };
    Ok(Json(VerdictView {
        verdict,
        why,
        exception,
        scans: scans.iter().map(|task| view(call, task)).collect(),
    }))
}

/// Shows the scans of a package's files, and whether it may go out.
#[utoipa::path(get, path = "/firmware/{firmware}/scans", tag = "scan", params(("firmware" = String, Path)),
    responses((status = 200, body = VerdictView), (status = "4XX", body = ErrorView)))]
pub(super) async fn of_firmware(Path(id): Path<String>, call: Call) -> Answer<VerdictView> {
    let resource = call.admin.hub.firmware_resource(&id).await?;
    let permit = call.allow("iot:QueryOTAFirmware", resource, false).await?;
    told(&call, &permit, &id).await
}

/// Scans a package's files anew.
#[utoipa::path(post, path = "/firmware/{firmware}/scans", tag = "scan", params(("firmware" = String, Path)),
    responses((status = 200, body = VerdictView), (status = "4XX", body = ErrorView)))]
pub(super) async fn firmware_again(Path(id): Path<String>, call: Call) -> Answer<VerdictView> {
    let permit = allow(&call, "fss:CreateScanTask", true).await?;
    call.admin.hub.package_rescan(&permit, &id).await?;
    told(&call, &permit, &id).await
}

/// Lets a package go out although the policy holds it.
#[utoipa::path(put, path = "/firmware/{firmware}/exception", tag = "scan", params(("firmware" = String, Path)),
    request_body = ExceptionBody,
    responses((status = 200, body = ExceptionView), (status = "4XX", body = ErrorView)))]
pub(super) async fn except(Path(id): Path<String>, call: Call) -> Answer<ExceptionView> {
    let body: ExceptionBody = call.read_before_right("fss:SignException").await?;
    let permit = allow(&call, "fss:SignException", true).await?;
    let hub = &call.admin.hub;
    let until = hub.now().plus(i64::from(body.days) * DAY);
    let signed = hub.scan_except(&permit, &id, &body.reason, until).await?;
    Ok(Json(signed.into()))
}

/// Takes an exception back.
#[utoipa::path(delete, path = "/firmware/{firmware}/exception", tag = "scan", params(("firmware" = String, Path)),
    responses((status = 204), (status = "4XX", body = ErrorView)))]
pub(super) async fn unexcept(Path(id): Path<String>, call: Call) -> Result<StatusCode, AdminError> {
    let permit = allow(&call, "fss:SignException", true).await?;
    call.admin.hub.scan_unexcept(&permit, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Tells which packages have a vulnerability, and which devices run them.
#[utoipa::path(get, path = "/cves/{cve}", tag = "scan", params(("cve" = String, Path)),
    responses((status = 200, body = ExposedList), (status = "4XX", body = ErrorView)))]
pub(super) async fn exposed(Path(cve): Path<String>, call: Call) -> Answer<ExposedList> {
    let permit = allow(&call, "fss:QueryExposure", false).await?;
    let hub = &call.admin.hub;
    let mut items = Vec::new();
    for exposed in hub.scan_exposed(&permit, &cve).await? {
        let (count, names) = hub.version_runs(&exposed.package, DEVICES).await?;
        let (package, hit) = (exposed.package, exposed.found);
        let severity = severity(&hit);
        items.push(ExposedView {
            firmware: package.id,
            name: package.name,
            product: package.product.map(|key| key.to_string()),
            module: package.module,
            version: package.version,
            scan: exposed.task,
            component: hit.component,
            component_version: hit.version,
            severity,
            exploited: hit.exploited,
            settled: hit.settled,
            devices: count,
            names: names.iter().map(ToString::to_string).collect(),
        });
    }
    Ok(Json(ExposedList {
        cve: cve.to_ascii_uppercase(),
        devices: items.iter().map(|item| item.devices).sum(),
        items,
    }))
}

/// Matches what every scan found with the feeds as they are now, without unpacking anything.
#[utoipa::path(post, path = "/scans/rematch", tag = "scan",
    responses((status = 200, body = RematchView), (status = "4XX", body = ErrorView)))]
pub(super) async fn rematch(call: Call) -> Answer<RematchView> {
    let permit = allow(&call, "fss:RematchScans", true).await?;
    let matched = call.admin.scanner.rematch(true).await?;
    let own = matched
        .into_iter()
        .filter(|(task, _)| task.account == *permit.account());
    let (mut scans, mut items) = (0, Vec::new());
    for (task, new) in own {
        scans += 1;
        if !new.is_empty() {
            items.push(RematchedView {
                scan: task.id,
                firmware: task.firmware,
                name: task.name,
                new,
            });
        }
    }
    Ok(Json(RematchView { scans, items }))
}

fn severity(hit: &Hit) -> &'static str {
    let name = SEVERITIES.get(usize::from(hit.severity)).copied();
    name.unwrap_or("notice")
}

/// A package that holds a component, and who runs it.
#[derive(Serialize, ToSchema)]
struct HoldingView {
    firmware: String,
    name: String,
    product: Option<String>,
    module: String,
    version: String,
    scan: String,
    component_version: String,
    /// How many devices reported this version last.
    devices: u64,
}

/// Who runs a component.
#[derive(Serialize, ToSchema)]
pub(super) struct HoldingList {
    component: String,
    /// Devices in all.
    devices: u64,
    items: Vec<HoldingView>,
}

/// Which version of it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HoldingQuery {
    version: Option<String>,
}

/// Tells which packages hold a component, and how many devices run them.
#[utoipa::path(get, path = "/components/{component}", tag = "scan",
    params(("component" = String, Path), HoldingQuery),
    responses((status = 200, body = HoldingList), (status = "4XX", body = ErrorView)))]
pub(super) async fn holding(Path(component): Path<String>, call: Call) -> Answer<HoldingList> {
    let permit = allow(&call, "fss:QueryExposure", false).await?;
    let query: HoldingQuery = call.query()?;
    let hub = &call.admin.hub;
    let mut items = Vec::new();
    let found = hub.scan_holding(&permit, &component, query.version.as_deref());
    for holding in found.await? {
        let (devices, _) = hub.version_runs(&holding.package, 0).await?;
        let package = holding.package;
        items.push(HoldingView {
            firmware: package.id,
            name: package.name,
            product: package.product.map(|key| key.to_string()),
            module: package.module,
            version: package.version,
            scan: holding.task,
            component_version: holding.found.version,
            devices,
        });
    }
    // A package that holds it twice is run once.
    let once: BTreeMap<&str, u64> = items
        .iter()
        .map(|item| (item.firmware.as_str(), item.devices))
        .collect();
    Ok(Json(HoldingList {
        component,
        devices: once.values().sum(),
        items,
    }))
}

/// A vulnerability that became known.
#[derive(Serialize, ToSchema)]
struct KnownView {
    cve: String,
    severity: &'static str,
    exploited: bool,
    component: String,
    component_version: String,
}

/// Vulnerabilities of a package that became known after it was scanned.
#[derive(Serialize, ToSchema)]
struct NewsView {
    at: String,
    firmware: String,
    /// None when the package is not there any more.
    name: Option<String>,
    product: Option<String>,
    module: Option<String>,
    version: Option<String>,
    scan: String,
    /// How many vulnerabilities.
    count: u64,
    /// The worst of them.
    vulnerabilities: Vec<KnownView>,
    /// How many devices run it and were told of as facts; none while that is being done.
    devices: Option<u64>,
}

/// What became known, newest first.
#[derive(Serialize, ToSchema)]
pub(super) struct NewsList {
    items: Vec<NewsView>,
}

fn news_view(news: News, package: Option<&hub::ota::Package>) -> NewsView {
    NewsView {
        at: time(news.at),
        firmware: news.firmware,
        name: package.map(|package| package.name.clone()),
        product: package.and_then(|package| package.product.as_ref().map(ToString::to_string)),
        module: package.map(|package| package.module.clone()),
        version: package.map(|package| package.version.clone()),
        scan: news.task,
        count: news.count,
        vulnerabilities: news
            .hits
            .into_iter()
            .map(|hit| KnownView {
                severity: severity(&hit),
                cve: hit.cve,
                exploited: hit.exploited,
                component: hit.component,
                component_version: hit.version,
            })
            .collect(),
        devices: news.devices,
    }
}

/// Tells which packages turned out to be exposed after they were scanned, as feeds came.
#[utoipa::path(get, path = "/scan-news", tag = "scan",
    responses((status = 200, body = NewsList), (status = "4XX", body = ErrorView)))]
pub(super) async fn news(call: Call) -> Answer<NewsList> {
    let permit = allow(&call, "fss:QueryExposure", false).await?;
    let all = call.admin.hub.scan_news(&permit).await?.into_iter();
    let items = all.map(|(news, package)| news_view(news, package.as_ref()));
    Ok(Json(NewsList {
        items: items.collect(),
    }))
}

impl From<ScanError> for AdminError {
    fn from(error: ScanError) -> Self {
        let message = error.to_string();
        let (status, code, help) = match error {
            ScanError::NotFound(_) => (
                StatusCode::NOT_FOUND,
                "NotFound",
                "`muster fleet scans` shows what there is",
            ),
            ScanError::Taken(_) => (
                StatusCode::CONFLICT,
                "Scanned",
                "look at that one, or delete it first",
            ),
            ScanError::BadRequest(_) | ScanError::BadEmail => (
                StatusCode::BAD_REQUEST,
                "BadRequest",
                "change the value and try again",
            ),
            ScanError::BadLink(_) => (
                StatusCode::BAD_REQUEST,
                "BadLink",
                "upload the file instead, or have limits.scan_hosts name its host",
            ),
            ScanError::UsedUp => (StatusCode::CONFLICT, "UsedUp", "raise limits.scans"),
            ScanError::TooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "TooLarge",
                "raise limits.scan_file",
            ),
            ScanError::NotDone => (
                StatusCode::CONFLICT,
                "NotDone",
                "wait until its state is done",
            ),
            ScanError::Failed(_) => (
                StatusCode::CONFLICT,
                "Failed",
                "mend what is named, and scan again",
            ),
            ScanError::Fault(fault) => return fault.into(),
        };
        Self::new(status, code, message, help)
    }
}

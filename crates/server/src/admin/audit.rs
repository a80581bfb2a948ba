//! The audit log: read, and proven whole.

use super::{
    Answer,
    call::Call,
    error::{AdminError, ErrorView},
    view::AuditView,
};
use axum::Json;
use model::account::Resource;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// A part of the log.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditQuery {
    /// Only lines after this number.
    after: Option<u64>,
    /// Only the last so many lines of the whole log, as far as the caller may see them.
    last: Option<u64>,
    /// At most so many lines; 100 when it is left out, 1000 at most.
    most: Option<usize>,
}

/// Lines of the log, oldest first.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditPage {
    items: Vec<AuditView>,
}

/// A line that was noted elsewhere before.
#[derive(Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Head {
    /// Its number.
    seq: u64,
    /// Its hash.
    hash: String,
}

/// What to check.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct VerifyBody {
    /// A head that was noted before and must be in the log, so that a cut end is noticed.
    head: Option<Head>,
}

/// What a check found.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditCheckView {
    /// Whether every line fits to the one before it, and the head that was given is there.
    whole: bool,
    /// How many lines were read.
    lines: u64,
    /// The last line: note it elsewhere to prove later that nothing was cut.
    head: Option<Head>,
    /// The first line that does not fit.
    broken: Option<BrokenView>,
}

/// A line that does not fit.
#[derive(Serialize, ToSchema)]
struct BrokenView {
    seq: u64,
    why: String,
}

/// Shows lines of the audit log: the account's own, or all for an operator.
#[utoipa::path(get, path = "/audit", tag = "audit", params(AuditQuery),
    responses((status = 200, body = AuditPage), (status = "4XX", body = ErrorView)))]
pub(super) async fn page(call: Call) -> Answer<AuditPage> {
    let permit = call.allow("muster:ReadAudit", Resource::Any, false).await?;
    let query: AuditQuery = call.query()?;
    let most = match query.most.unwrap_or(100) {
        most @ 1..=1000 => most,
        _ => return Err(AdminError::bad_request("most is 1 to 1000")),
    };
    let after = match (query.after, query.last) {
        (Some(_), Some(_)) => {
            return Err(AdminError::bad_request("give after or last, not both"));
        }
        (Some(after), None) => after,
        (None, None) => 0,
        (None, Some(last)) => {
            let end = call.admin.ports.audit.last().await?;
            end.map_or(0, |end| end.seq).saturating_sub(last)
        }
    };
    let records = call.admin.hub.audit_page(&permit, after, most).await?;
    let items = records.into_iter().map(Into::into).collect();
    Ok(Json(AuditPage { items }))
}

/// Reads the whole log and checks every link.
#[utoipa::path(post, path = "/audit/verify", tag = "audit", request_body = VerifyBody,
    responses((status = 200, body = AuditCheckView), (status = "4XX", body = ErrorView)))]
pub(super) async fn verify(call: Call) -> Answer<AuditCheckView> {
    call.allow("muster:VerifyAudit", Resource::Any, false)
        .await?;
    let body: VerifyBody = call.read()?;
    let expect = body.head.map(|head| (head.seq, head.hash));
    let check = call.admin.hub.audit_verify(expect).await?;
    Ok(Json(AuditCheckView {
        whole: check.broken.is_none(),
        lines: check.lines,
        head: check.head.map(|(seq, hash)| Head { seq, hash }),
        broken: check.broken.map(|(seq, why)| BrokenView { seq, why }),
    }))
}

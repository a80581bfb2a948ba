//! The API of firmware scanning (seed 000 §1.2): six actions behind the same door as those of the
//! IoT API, with numbers for errors.

use crate::{
    codes::{business::Family, fss},
    iot::{
        Action, Answer, Ask, Effect, Refusal, Service,
        parameter::{Parameter, text},
    },
};
use hub::{
    account::Permit,
    scan::{NewScan, Rules, ScanState, ScanTask},
};
use model::{account::Resource, error::CallerError};
use serde_json::{Map, Value, json};

const TASK: Parameter = text("TaskId").needed();
/// How addresses of files end that are no firmware.
const NO_FIRMWARE: [&str; 22] = [
    "avi", "bmp", "css", "csv", "doc", "docx", "gif", "htm", "html", "jpeg", "jpg", "mov", "mp3",
    "mp4", "pdf", "png", "ppt", "pptx", "txt", "wav", "xls", "xlsx",
];

const fn of_fss(mut action: Action) -> Action {
    action.service = Service::Fss;
    action
}

/// The table.
pub const ROWS: &[Action] = &[
    of_fss(Action::changes(
        "CreateScanTask",
        Family::Identity,
        &[
            text("FwName"),
            text("FwVersion"),
            text("FwUrl").needed(),
            text("Email"),
            text("FwId"),
            text("DetectionRuleCodes"),
        ],
        |ask| Box::pin(create(ask)),
    )),
    of_fss(Action::reads(
        "QueryTaskStatus",
        Family::Identity,
        &[TASK],
        |ask| Box::pin(status(ask)),
    )),
    of_fss(Action::reads(
        "QueryTaskReport",
        Family::Identity,
        &[TASK],
        |ask| Box::pin(report(ask)),
    )),
    of_fss(Action::reads(
        "QueryTaskReportUrls",
        Family::Identity,
        &[TASK],
        |ask| Box::pin(urls(ask)),
    )),
    of_fss(Action::changes(
        "DeleteScanTask",
        Family::Identity,
        &[TASK],
        |ask| Box::pin(delete(ask)),
    )),
    of_fss(Action::reads(
        "QueryLicense",
        Family::Identity,
        &[],
        |ask| Box::pin(licence(ask)),
    )),
];

fn done(data: Value) -> Answer {
    Ok(Map::from_iter([("Data".to_owned(), data)]))
}

/// Asks the policies; a no has a number here.
async fn permit(ask: &Ask<'_>) -> Result<Permit, Refusal> {
    let changing = ask.action.effect == Effect::Changes;
    let asked = ask
        .hub
        .caller_allow(ask.caller, &ask.action.right(), &Resource::Any, changing)
        .await;
    asked.map_err(|error| match error {
        CallerError::NotAllowed(what) => fss::not_allowed(&what).into(),
        other => crate::codes::gateway::caller(&other, "").into(),
    })
}

async fn found(ask: &Ask<'_>, permit: &Permit) -> Result<ScanTask, Refusal> {
    let id = ask.params.needed("TaskId");
    Ok(ask.hub.scan_find(permit, id).await?)
}

async fn create(ask: &Ask<'_>) -> Answer {
    let permit = permit(ask).await?;
    let text = |name: &str| ask.params.text(name).unwrap_or_default().to_owned();
    let rules = match ask.params.text("DetectionRuleCodes") {
        None | Some("BASIC") => Rules::Basic,
        Some("CPoC2_2") => Rules::Two,
        Some("CPoC2_3") => Rules::Three,
        Some(_) => {
            let what = "DetectionRuleCodes is BASIC, CPoC2_2 or CPoC2_3";
            return Err(fss::bad_request(what).into());
        }
    };
    let url = ask.params.needed("FwUrl");
    if let Some(kind) = no_firmware(url) {
        let what = format!("files that end with .{kind} are no firmware");
        return Err(fss::bad_kind(&what).into());
    }
    let new = NewScan {
        name: text("FwName"),
        version: text("FwVersion"),
        own_id: text("FwId"),
        url: Some(url.to_owned()),
        upload: None,
        email: ask.params.text("Email").map(str::to_owned),
        rules,
    };
    let task = ask.hub.scan_create(&permit, new).await?;
    done(json!({"TaskId": task.id}))
}

/// The ending of an address that is no firmware's.
fn no_firmware(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let (_, path) = path.split_once("://").unwrap_or(("", path));
    // The host's ending is none of a file.
    let (_, path) = path.split_once('/')?;
    let (_, ending) = path.rsplit_once('.')?;
    NO_FIRMWARE
        .into_iter()
        .find(|one| one.eq_ignore_ascii_case(ending))
}

async fn status(ask: &Ask<'_>) -> Answer {
    let permit = permit(ask).await?;
    let task = found(ask, &permit).await?;
    let (status, words) = state(task.state);
    let description = match task.why.as_str() {
        "" => words.to_owned(),
        why => format!("{words} ({why})"),
    };
    let rate = format!("{}.{}", task.progress / 10, task.progress % 10);
    done(json!({
        "ScanStatus": status, "Description": description, "ScannedRate": rate,
    }))
}

/// The vendor's name of a state and its words (seed 000 §1.2.3); two lack the prefix there, too.
fn state(state: ScanState) -> (&'static str, &'static str) {
    match state {
        ScanState::Queued => ("SCAN_STATUS_QUEUING", "检测排队中。"),
        ScanState::Fetching => ("SCAN_STATUS_DOWNLOADING", "固件下载中。"),
        ScanState::FetchFailed => ("SCAN_STATUS_DOWNLOAD_FAILED", "固件下载失败。"),
        ScanState::Parsing => ("SCAN_STATUS_PARSING", "固件解析中。"),
        ScanState::Parsed => ("SCAN_STATUS_PARSE_COMPLETE", "固件解析完成。"),
        ScanState::Scanning => ("SCAN_STATUS_SCANNING", "固件检测中。"),
        ScanState::Writing => ("RPT_GENERATING", "检测报告生成中。"),
        ScanState::WriteFailed => ("RPT_GENERATE_FAILED", "检测报告生成失败。"),
        ScanState::Failed => ("SCAN_STATUS_SCAN_EXCEPTION", "固件检测失败，检测出现异常。"),
        ScanState::Done => ("SCAN_STATUS_SCAN_COMPLETE", "固件检测成功，检测完成。"),
    }
}

async fn report(ask: &Ask<'_>) -> Answer {
    let permit = permit(ask).await?;
    let task = found(ask, &permit).await?;
    let json = ask.hub.scan_document(&task, "json").await?;
    let url = ask.hub.scan_link(&task, "html")?;
    done(json!({"ReportJson": json, "ReportUrl": url}))
}

async fn urls(ask: &Ask<'_>) -> Answer {
    let permit = permit(ask).await?;
    let task = found(ask, &permit).await?;
    let json = ask.hub.scan_link(&task, "json")?;
    let html = ask.hub.scan_link(&task, "html")?;
    // Where no font is found there is no such document, and the others are there all the same.
    let pdf = ask.hub.scan_link(&task, "pdf").unwrap_or_default();
    done(json!({"PdfURL": pdf, "JsonURL": json, "HtmlURL": html}))
}

async fn delete(ask: &Ask<'_>) -> Answer {
    let permit = permit(ask).await?;
    let id = ask.params.needed("TaskId");
    ask.hub.scan_delete(&permit, id).await?;
    Ok(Map::new())
}

async fn licence(ask: &Ask<'_>) -> Answer {
    let permit = permit(ask).await?;
    let licence = ask.hub.scan_licence(&permit).await?;
    done(json!({
        "UsedCount": licence.used, "MaxCount": licence.most, "ScanningCount": licence.running,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// [FS-7] What an address says of the file's kind.
    #[test]
    fn endings_of_addresses_are_looked_at() {
        for (url, kind) in [
            ("https://a.cn/x/manual.PDF?Expires=1", Some("pdf")),
            ("https://a.cn/fw.bin", None),
            ("https://a.cn/fw.bin?name=x.pdf", None),
            ("https://a.html", None),
            ("https://a.cn/page.html#x", Some("html")),
            ("https://a.cn/18/91fd9e86f53b4429b68b5266a9cebc78", None),
        ] {
            assert_eq!(no_firmware(url), kind, "{url}");
        }
    }

    /// [FS-2] The ten states, spelled as the document does.
    #[test]
    fn states_have_the_documents_names() {
        let names = [
            ScanState::Queued,
            ScanState::Fetching,
            ScanState::FetchFailed,
            ScanState::Parsing,
            ScanState::Parsed,
            ScanState::Scanning,
            ScanState::Writing,
            ScanState::WriteFailed,
            ScanState::Failed,
            ScanState::Done,
        ]
        .map(|one| state(one).0);
        let wanted = "SCAN_STATUS_QUEUING SCAN_STATUS_DOWNLOADING SCAN_STATUS_DOWNLOAD_FAILED \
                      SCAN_STATUS_PARSING SCAN_STATUS_PARSE_COMPLETE SCAN_STATUS_SCANNING \
                      RPT_GENERATING RPT_GENERATE_FAILED SCAN_STATUS_SCAN_EXCEPTION \
                      SCAN_STATUS_SCAN_COMPLETE";
        assert_eq!(names.join(" "), wanted);
    }
}

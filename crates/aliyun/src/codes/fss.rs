//! Numbers of the API of firmware scanning (seed 000 §1.2.10): HTTP 200 with a `Code`, and the
//! document's words for it with what happened behind them.

use super::business::Business;
use hub::scan::ScanError;

/// Every number with the document's words.
pub const CODES: [(&str, &str); 18] = [
    ("0", "未分配"),
    ("300", "没有可用的检测数量"),
    ("303", "此文件已存在"),
    ("304", "未找到该任务"),
    ("307", "文件大小超出最大限制"),
    ("308", "任务创建失败"),
    ("350", "账户状态异常"),
    ("352", "主账户未实名认证"),
    ("356", "不支持的账号类型"),
    ("357", "账号没有操作权限"),
    ("450", "无效的链接"),
    ("453", "任务检测未完成"),
    ("500", "服务异常"),
    ("600", "请求参数错误"),
    ("601", "不支持的文件类型"),
    ("603", "邮箱格式不正确"),
    ("606", "不支持的操作"),
    ("900", "未知错误"),
];

fn of(code: &'static str, what: &str) -> Business {
    let words = CODES.iter().find(|(number, _)| *number == code);
    let words = words.map_or("", |(_, words)| words);
    Business::new(code, format!("{words}: {what}"))
}

/// Something is missing, or is not what its parameter takes.
pub fn bad_request(what: &str) -> Business {
    of("600", what)
}

/// The address ends as that of a file which surely is no firmware.
pub fn bad_kind(what: &str) -> Business {
    of("601", what)
}

/// No policy allows it.
pub fn not_allowed(what: &str) -> Business {
    of("357", what)
}

/// What a caller is told.
pub fn told(error: &ScanError) -> Business {
    let code = match error {
        ScanError::UsedUp => "300",
        ScanError::Taken(_) => "303",
        ScanError::NotFound(_) => "304",
        ScanError::TooLarge(_) => "307",
        ScanError::BadLink(_) => "450",
        ScanError::NotDone | ScanError::Failed(_) => "453",
        ScanError::BadRequest(_) => "600",
        ScanError::BadEmail => "603",
        ScanError::Fault(fault) => {
            tracing::error!(error = %fault, "a call failed");
            "500"
        }
    };
    of(code, &error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::error::Fault;

    /// [FS-7] Each refusal has its number and the document's words.
    #[test]
    fn refusals_have_the_documents_numbers() {
        let fault = Fault::lasting("secret path");
        for (error, code, words) in [
            (ScanError::UsedUp, "300", "没有可用的检测数量"),
            (ScanError::Taken("x".into()), "303", "此文件已存在"),
            (ScanError::NotFound("scan"), "304", "未找到该任务"),
            (ScanError::TooLarge(9), "307", "文件大小超出最大限制"),
            (ScanError::BadLink("x".into()), "450", "无效的链接"),
            (ScanError::NotDone, "453", "任务检测未完成"),
            (ScanError::Failed("x".into()), "453", "任务检测未完成"),
            (ScanError::Fault(fault), "500", "服务异常"),
            (ScanError::BadRequest("x".into()), "600", "请求参数错误"),
            (ScanError::BadEmail, "603", "邮箱格式不正确"),
        ] {
            let told = told(&error);
            assert_eq!(told.code, code);
            assert!(told.message.starts_with(words) && !told.message.contains("secret"));
        }
        assert_eq!(not_allowed("x").code, "357");
        assert_eq!(bad_kind("x").code, "601");
    }
}

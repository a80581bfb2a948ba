//! Graded protection 2.0 (GB/T 22239-2019, clauses 7 and 8 with 7.4 and 8.4, assessed by GB/T
//! 28448-2019), levels 2 and 3, as rules over findings. The texts are ours; the numbers of clauses
//! were not compared with the printed standard and are not shown.
//!
//! What a scan of bytes cannot decide is never shown as passed: such rows are left out of the
//! verdicts and listed as [`undecided`].

use serde::Serialize;

use crate::{
    report::VulnInfo,
    risks::Finding,
    vulns::Severity::{self, Critical, High, Medium},
};

/// Which level is checked; the codes of document 000, 1.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// `CPoC2_2`
    Two,
    /// `CPoC2_3`
    Three,
}

impl Level {
    /// The level of a code; none for the basic check.
    #[must_use]
    pub fn of_code(code: &str) -> Option<Level> {
        match code {
            "CPoC2_2" => Some(Level::Two),
            "CPoC2_3" => Some(Level::Three),
            _ => None,
        }
    }

    fn code(self) -> &'static str {
        match self {
            Level::Two => "CPoC2_2",
            Level::Three => "CPoC2_3",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Level::Two => "等保2.0二级",
            Level::Three => "等保2.0三级",
        }
    }
}

/// What a scan can say about a control point.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Decides {
    /// Kept or broken.
    Both,
    /// Only that it is broken.
    Broken,
    /// Nothing.
    Nothing,
}

struct Rule {
    code: &'static str,
    unit: &'static str,
    surface: &'static str,
    category: &'static str,
    two: bool,
    decides: Decides,
    severity: Severity,
    /// Risks that break it.
    risks: &'static [&'static str],
    description: &'static str,
    solution: &'static str,
}

const fn rule(
    code: &'static str,
    unit: &'static str,
    place: (&'static str, &'static str),
    two: bool,
    verdict: (Decides, Severity),
    risks: &'static [&'static str],
    text: (&'static str, &'static str),
) -> Rule {
    Rule {
        code,
        unit,
        surface: place.0,
        category: place.1,
        two,
        decides: verdict.0,
        severity: verdict.1,
        risks,
        description: text.0,
        solution: text.1,
    }
}

const SYSTEM: (&str, &str) = ("固件系统", "安全计算环境");
const NETWORK: (&str, &str) = ("网络服务", "安全计算环境");
const DATA: (&str, &str) = ("应用数据", "安全计算环境");
const TALK: (&str, &str) = ("通信", "安全计算环境");
const HARDWARE: (&str, &str) = ("设备硬件", "物联网安全扩展要求");
const NODE: (&str, &str) = ("固件系统", "物联网安全扩展要求");
const EDGE: (&str, &str) = ("通信", "物联网安全扩展要求");

use Decides::{Both, Broken, Nothing};

static RULES: &[Rule] = &[
    rule(
        "IA-1",
        "身份鉴别",
        SYSTEM,
        true,
        (Both, Critical),
        &[
            "EmptyPassword",
            "WeakPassword",
            "HardcodedPassword",
            "ExtraRootUid",
            "DebugShell",
        ],
        (
            "登录用户身份应唯一，口令应有复杂度，不得使用空口令或默认口令。",
            "删除默认账户与固定口令，首次使用强制设置强口令。",
        ),
    ),
    rule(
        "IA-2",
        "身份鉴别：登录失败处理",
        SYSTEM,
        true,
        (Broken, Medium),
        &["SshdWeakConfig"],
        (
            "应限制失败登录次数并设置会话超时。",
            "配置登录失败锁定和会话超时。",
        ),
    ),
    rule(
        "IA-3",
        "身份鉴别：远程管理",
        NETWORK,
        true,
        (Both, High),
        &[
            "TelnetEnabled",
            "FtpEnabled",
            "RshEnabled",
            "SnmpDefaultCommunity",
        ],
        (
            "远程管理时应防止鉴别信息被窃听。",
            "停用明文管理协议，改用加密通道。",
        ),
    ),
    rule(
        "IA-4",
        "身份鉴别：双因素",
        SYSTEM,
        false,
        (Nothing, Medium),
        &[],
        (
            "应采用两种以上鉴别技术，其一为密码技术。",
            "增加基于证书或密钥的第二因素。",
        ),
    ),
    rule(
        "AC-1",
        "访问控制",
        SYSTEM,
        true,
        (Both, Medium),
        &[
            "WorldWritable",
            "SuidBinary",
            "HttpdWeakConfig",
            "ExtraRootUid",
        ],
        (
            "应授予最小权限，停用或重命名默认账户。",
            "收紧文件权限和SUID位，服务以专用用户运行。",
        ),
    ),
    rule(
        "AC-2",
        "访问控制：安全标记",
        SYSTEM,
        false,
        (Nothing, Medium),
        &[],
        (
            "应对重要主体和客体设置安全标记并控制访问。",
            "启用强制访问控制。",
        ),
    ),
    rule(
        "AU-1",
        "安全审计",
        SYSTEM,
        true,
        (Nothing, Medium),
        &[],
        ("应启用审计并保护审计记录。", "启用日志并转存到远端。"),
    ),
    rule(
        "IP-1",
        "入侵防范：最小安装",
        NETWORK,
        true,
        (Both, High),
        &[
            "TelnetEnabled",
            "FtpEnabled",
            "TftpEnabled",
            "RshEnabled",
            "DebugInterface",
            "UpnpEnabled",
        ],
        (
            "应仅安装需要的组件，关闭不需要的服务和端口。",
            "移除调试工具与不需要的服务。",
        ),
    ),
    rule(
        "IP-2",
        "入侵防范：管理来源",
        NETWORK,
        true,
        (Nothing, Medium),
        &[],
        ("应限制管理终端的来源地址。", "配置监听地址和防火墙规则。"),
    ),
    rule(
        "IP-3",
        "入侵防范：已知漏洞",
        SYSTEM,
        true,
        (Both, High),
        &["CveVuln"],
        ("应发现已知漏洞并及时修补。", "升级存在漏洞的组件。"),
    ),
    rule(
        "IP-4",
        "入侵防范：输入校验",
        SYSTEM,
        true,
        (Broken, Medium),
        &["NoNx", "RpathRisk"],
        ("应校验输入并能抵御入侵行为。", "启用编译加固选项。"),
    ),
    rule(
        "MC-1",
        "恶意代码防范",
        SYSTEM,
        true,
        (Both, Critical),
        &["Malware", "BackdoorPattern", "AuthorizedKeys"],
        ("不得含有恶意代码和后门。", "移除可疑代码与预置公钥。"),
    ),
    rule(
        "TV-1",
        "可信验证",
        SYSTEM,
        true,
        (Broken, Medium),
        &["NoSecureBoot"],
        (
            "可对引导程序、系统和应用进行可信验证。",
            "对启动镜像签名并在启动时校验。",
        ),
    ),
    rule(
        "DI-1",
        "数据完整性",
        TALK,
        true,
        (Broken, Medium),
        &["UpdateInsecure", "CertWeakSig", "CertExpired"],
        (
            "应保证数据在传输和存储中的完整性。",
            "使用TLS传输并校验签名。",
        ),
    ),
    rule(
        "DC-1",
        "数据保密性",
        DATA,
        false,
        (Both, High),
        &[
            "PrivateKeyLeak",
            "TokenLeak",
            "HardcodedPassword",
            "WeakKey",
        ],
        (
            "应以密码技术保证重要数据的保密性。",
            "不在固件中存放密钥和口令。",
        ),
    ),
    rule(
        "DB-1",
        "数据备份恢复",
        DATA,
        true,
        (Nothing, Medium),
        &[],
        ("应提供数据备份与恢复。", "由系统设计保证。"),
    ),
    rule(
        "RI-1",
        "剩余信息保护",
        DATA,
        true,
        (Broken, Medium),
        &["BackupLeak", "VcsLeak"],
        (
            "鉴别信息所在的存储空间应在释放前清除。",
            "清除历史、备份和临时文件。",
        ),
    ),
    rule(
        "PI-1",
        "个人信息保护",
        DATA,
        true,
        (Nothing, Medium),
        &[],
        ("应仅采集和保存必需的个人信息。", "由业务设计保证。"),
    ),
    rule(
        "PH-1",
        "感知节点设备物理防护",
        HARDWARE,
        true,
        (Nothing, Medium),
        &[],
        ("感知节点的物理环境应不妨碍其工作。", "现场测评。"),
    ),
    rule(
        "NA-1",
        "接入控制",
        EDGE,
        true,
        (Broken, High),
        &["PrivateKeyLeak", "TokenLeak"],
        (
            "应保证只有授权的感知节点可以接入。",
            "使用一机一密的设备凭据。",
        ),
    ),
    rule(
        "NI-1",
        "入侵防范：通信目标",
        EDGE,
        true,
        (Nothing, Medium),
        &[],
        ("应限制感知节点通信的目标地址。", "配置目标地址白名单。"),
    ),
    rule(
        "SN-1",
        "感知节点设备安全",
        NODE,
        false,
        (Broken, High),
        &[
            "UpdateInsecure",
            "TelnetEnabled",
            "DebugShell",
            "EmptyPassword",
            "WeakPassword",
        ],
        (
            "只有授权用户可以配置或变更感知节点上的软件。",
            "升级包签名校验，关闭无鉴别的入口。",
        ),
    ),
    rule(
        "GN-1",
        "网关节点设备安全",
        EDGE,
        false,
        (Nothing, High),
        &[],
        ("网关应鉴别所连设备并过滤非法数据。", "启用双向认证。"),
    ),
    rule(
        "RP-1",
        "抗数据重放",
        EDGE,
        false,
        (Nothing, Medium),
        &[],
        ("应能鉴别数据的新鲜性。", "协议中加入时间戳或序号。"),
    ),
    rule(
        "DF-1",
        "数据融合处理",
        DATA,
        false,
        (Nothing, Medium),
        &[],
        ("应对来自传感网的数据进行融合处理。", "由系统设计保证。"),
    ),
    rule(
        "OM-1",
        "感知节点管理",
        HARDWARE,
        true,
        (Nothing, Medium),
        &[],
        ("应定期巡视和维护感知节点。", "现场测评。"),
    ),
];

/// A verdict, in the words of document 000, 1.2.9.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Control point.
    pub detection_unit_name: &'static str,
    /// Where it lies.
    pub attack_surface: &'static str,
    /// Group.
    pub category: &'static str,
    /// Our code of the rule.
    pub category_code: &'static str,
    /// Level in words.
    pub detection_rule_name: &'static str,
    /// Level as a code.
    pub classification: &'static str,
    /// What is demanded.
    pub description: &'static str,
    /// How bad a breach is.
    pub severity: Severity,
    /// A JSON text: a list of `{riskName, filename, riskDetail}`.
    pub detail: String,
    /// What to do.
    pub solution: &'static str,
    /// "0" broken, "1" kept.
    pub status: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Breach {
    risk_name: String,
    filename: String,
    risk_detail: String,
}

fn applies(rule: &Rule, level: Level) -> bool {
    rule.two || level == Level::Three
}

/// The verdicts that the findings allow. `exploited` tells of CVEs that are being exploited.
#[must_use]
pub fn verdicts(
    level: Level,
    findings: &[Finding],
    vulnerabilities: &[VulnInfo],
    exploited: &dyn Fn(&str) -> bool,
) -> Vec<Verdict> {
    RULES
        .iter()
        .filter(|rule| applies(rule, level) && rule.decides != Nothing)
        .filter_map(|rule| {
            let mut breaches: Vec<Breach> = findings
                .iter()
                .filter(|f| rule.risks.contains(&f.code))
                // A set-uid file is usual; a set-uid shell is not.
                .filter(|f| {
                    f.code != "SuidBinary" && f.code != "WorldWritable" || f.severity <= High
                })
                .map(|f| Breach {
                    risk_name: crate::risks::risk(f.code).cn.to_owned(),
                    filename: f.file.clone(),
                    risk_detail: f
                        .details
                        .iter()
                        .map(|d| format!("{}: {}", d.cn, d.values.join(", ")))
                        .collect::<Vec<_>>()
                        .join("; "),
                })
                .collect();
            if rule.risks.contains(&"CveVuln") {
                breaches.extend(
                    vulnerabilities
                        .iter()
                        .filter(|v| {
                            let id = v.cve.as_ref().map_or("", |c| c.cve_id.as_str());
                            v.severity <= High
                                || level == Level::Three && (v.severity == Medium || exploited(id))
                        })
                        .map(|v| Breach {
                            risk_name: v
                                .cve
                                .as_ref()
                                .map_or_else(String::new, |c| c.cve_id.clone()),
                            filename: v.filename.clone(),
                            risk_detail: v
                                .cve
                                .as_ref()
                                .map_or_else(String::new, |c| c.cpe.cpe_name.clone()),
                        }),
                );
            }
            if breaches.is_empty() && rule.decides == Broken {
                return None;
            }
            Some(Verdict {
                detection_unit_name: rule.unit,
                attack_surface: rule.surface,
                category: rule.category,
                category_code: rule.code,
                detection_rule_name: level.name(),
                classification: level.code(),
                description: rule.description,
                severity: rule.severity,
                status: if breaches.is_empty() { "1" } else { "0" },
                detail: serde_json::to_string(&breaches).unwrap_or_else(|_| "[]".into()),
                solution: rule.solution,
            })
        })
        .collect()
}

/// Control points that somebody must look at on site, because the findings decide nothing.
#[must_use]
pub fn undecided(level: Level, verdicts: &[Verdict]) -> Vec<(&'static str, &'static str)> {
    RULES
        .iter()
        .filter(|rule| applies(rule, level))
        .filter(|rule| !verdicts.iter().any(|v| v.category_code == rule.code))
        .map(|rule| (rule.code, rule.unit))
        .collect()
}

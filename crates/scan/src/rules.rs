//! Graded protection 2.0 (GB/T 22239-2019, clauses 7 and 8 with 7.4 and 8.4, assessed by GB/T
//! 28448-2019), levels 2 and 3, as rules over findings. The texts are ours; the numbers of clauses
//! were not compared with the printed standard and are not shown.
//!
//! What a scan of bytes cannot decide is never shown as passed: such rows are left out of the
//! verdicts and listed as [`undecided`].

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

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

/// The rule that known vulnerabilities break.
pub(crate) const KNOWN: &str = "IP-3";

struct Rule {
    code: &'static str,
    unit: Words,
    surface: &'static str,
    category: &'static str,
    two: bool,
    decides: Decides,
    severity: Severity,
    /// Risks that break it.
    risks: &'static [&'static str],
    description: Words,
    solution: Words,
}

/// The same in Chinese and in English.
type Words = (&'static str, &'static str);

const fn rule(
    code: &'static str,
    unit: Words,
    place: (&'static str, &'static str),
    two: bool,
    verdict: (Decides, Severity),
    risks: &'static [&'static str],
    text: (Words, Words),
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
        ("身份鉴别", "Identity"),
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
            (
                "登录用户身份应唯一，口令应有复杂度，不得使用空口令或默认口令。",
                "Users who log in are unique; passwords are complex, never empty and never the default.",
            ),
            (
                "删除默认账户与固定口令，首次使用强制设置强口令。",
                "Delete default accounts and fixed passwords; demand a strong one at first use.",
            ),
        ),
    ),
    rule(
        "IA-2",
        ("身份鉴别：登录失败处理", "Identity: failed logins"),
        SYSTEM,
        true,
        (Broken, Medium),
        &["SshdWeakConfig"],
        (
            (
                "应限制失败登录次数并设置会话超时。",
                "Failed logins are limited, and sessions time out.",
            ),
            (
                "配置登录失败锁定和会话超时。",
                "Set up locking after failures and a time-out of sessions.",
            ),
        ),
    ),
    rule(
        "IA-3",
        ("身份鉴别：远程管理", "Identity: remote management"),
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
            (
                "远程管理时应防止鉴别信息被窃听。",
                "What proves a user cannot be overheard in remote management.",
            ),
            (
                "停用明文管理协议，改用加密通道。",
                "Turn plain-text management off; use encrypted channels.",
            ),
        ),
    ),
    rule(
        "IA-4",
        ("身份鉴别：双因素", "Identity: two factors"),
        SYSTEM,
        false,
        (Nothing, Medium),
        &[],
        (
            (
                "应采用两种以上鉴别技术，其一为密码技术。",
                "Two techniques prove a user, one of them cryptographic.",
            ),
            (
                "增加基于证书或密钥的第二因素。",
                "Add a certificate or key as the second factor.",
            ),
        ),
    ),
    rule(
        "AC-1",
        ("访问控制", "Access control"),
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
            (
                "应授予最小权限，停用或重命名默认账户。",
                "Everybody has the least rights; default accounts are off or renamed.",
            ),
            (
                "收紧文件权限和SUID位，服务以专用用户运行。",
                "Tighten modes and set-uid bits; run services as users of their own.",
            ),
        ),
    ),
    rule(
        "AC-2",
        ("访问控制：安全标记", "Access control: labels"),
        SYSTEM,
        false,
        (Nothing, Medium),
        &[],
        (
            (
                "应对重要主体和客体设置安全标记并控制访问。",
                "Important subjects and objects bear security labels that control access.",
            ),
            ("启用强制访问控制。", "Turn mandatory access control on."),
        ),
    ),
    rule(
        "AU-1",
        ("安全审计", "Audit"),
        SYSTEM,
        true,
        (Nothing, Medium),
        &[],
        (
            (
                "应启用审计并保护审计记录。",
                "An audit is kept and protected.",
            ),
            (
                "启用日志并转存到远端。",
                "Turn logs on, and send them elsewhere.",
            ),
        ),
    ),
    rule(
        "IP-1",
        ("入侵防范：最小安装", "Intrusion: least installation"),
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
            (
                "应仅安装需要的组件，关闭不需要的服务和端口。",
                "Only what is needed is installed; needless services and ports are closed.",
            ),
            (
                "移除调试工具与不需要的服务。",
                "Remove debugging tools and services that nobody needs.",
            ),
        ),
    ),
    rule(
        "IP-2",
        ("入侵防范：管理来源", "Intrusion: sources of management"),
        NETWORK,
        true,
        (Nothing, Medium),
        &[],
        (
            (
                "应限制管理终端的来源地址。",
                "Addresses that may manage are limited.",
            ),
            (
                "配置监听地址和防火墙规则。",
                "Set listening addresses and firewall rules.",
            ),
        ),
    ),
    rule(
        "IP-3",
        ("入侵防范：已知漏洞", "Intrusion: known vulnerabilities"),
        SYSTEM,
        true,
        (Both, High),
        &["CveVuln"],
        (
            (
                "应发现已知漏洞并及时修补。",
                "Known vulnerabilities are found and repaired in time.",
            ),
            ("升级存在漏洞的组件。", "Update the components concerned."),
        ),
    ),
    rule(
        "IP-4",
        ("入侵防范：输入校验", "Intrusion: input"),
        SYSTEM,
        true,
        (Broken, Medium),
        &["NoNx", "RpathRisk"],
        (
            (
                "应校验输入并能抵御入侵行为。",
                "Input is checked, and intrusion withstood.",
            ),
            ("启用编译加固选项。", "Turn the compiler's hardening on."),
        ),
    ),
    rule(
        "MC-1",
        ("恶意代码防范", "Malicious code"),
        SYSTEM,
        true,
        (Both, Critical),
        &["Malware", "BackdoorPattern", "AuthorizedKeys"],
        (
            (
                "不得含有恶意代码和后门。",
                "There is no malicious code and no backdoor.",
            ),
            (
                "移除可疑代码与预置公钥。",
                "Remove suspicious code and preset keys.",
            ),
        ),
    ),
    rule(
        "TV-1",
        ("可信验证", "Trusted verification"),
        SYSTEM,
        true,
        (Broken, Medium),
        &["NoSecureBoot"],
        (
            (
                "可对引导程序、系统和应用进行可信验证。",
                "Boot loader, system and applications can be verified.",
            ),
            (
                "对启动镜像签名并在启动时校验。",
                "Sign boot images and check them at start.",
            ),
        ),
    ),
    rule(
        "DI-1",
        ("数据完整性", "Integrity of data"),
        TALK,
        true,
        (Broken, Medium),
        &["UpdateInsecure", "CertWeakSig", "CertExpired"],
        (
            (
                "应保证数据在传输和存储中的完整性。",
                "Data keep their integrity under way and at rest.",
            ),
            ("使用TLS传输并校验签名。", "Use TLS and check signatures."),
        ),
    ),
    rule(
        "DC-1",
        ("数据保密性", "Confidentiality of data"),
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
            (
                "应以密码技术保证重要数据的保密性。",
                "Cryptography keeps important data confidential.",
            ),
            (
                "不在固件中存放密钥和口令。",
                "Keep no keys and passwords in the firmware.",
            ),
        ),
    ),
    rule(
        "DB-1",
        ("数据备份恢复", "Backup"),
        DATA,
        true,
        (Nothing, Medium),
        &[],
        (
            (
                "应提供数据备份与恢复。",
                "Data are backed up and can be restored.",
            ),
            ("由系统设计保证。", "The system's design sees to it."),
        ),
    ),
    rule(
        "RI-1",
        ("剩余信息保护", "Residual information"),
        DATA,
        true,
        (Broken, Medium),
        &["BackupLeak", "VcsLeak"],
        (
            (
                "鉴别信息所在的存储空间应在释放前清除。",
                "Storage that held credentials is wiped before it is given up.",
            ),
            (
                "清除历史、备份和临时文件。",
                "Remove history, backups and temporary files.",
            ),
        ),
    ),
    rule(
        "PI-1",
        ("个人信息保护", "Personal information"),
        DATA,
        true,
        (Nothing, Medium),
        &[],
        (
            (
                "应仅采集和保存必需的个人信息。",
                "Only necessary personal information is collected and kept.",
            ),
            ("由业务设计保证。", "The business's design sees to it."),
        ),
    ),
    rule(
        "PH-1",
        ("感知节点设备物理防护", "Physical protection of nodes"),
        HARDWARE,
        true,
        (Nothing, Medium),
        &[],
        (
            (
                "感知节点的物理环境应不妨碍其工作。",
                "The surroundings of sensing nodes do not hinder their work.",
            ),
            ("现场测评。", "Assess on site."),
        ),
    ),
    rule(
        "NA-1",
        ("接入控制", "Access of nodes"),
        EDGE,
        true,
        (Broken, High),
        &["PrivateKeyLeak", "TokenLeak"],
        (
            (
                "应保证只有授权的感知节点可以接入。",
                "Only authorised nodes can join.",
            ),
            (
                "使用一机一密的设备凭据。",
                "Give each device credentials of its own.",
            ),
        ),
    ),
    rule(
        "NI-1",
        ("入侵防范：通信目标", "Intrusion: destinations"),
        EDGE,
        true,
        (Nothing, Medium),
        &[],
        (
            (
                "应限制感知节点通信的目标地址。",
                "Addresses that a node speaks to are limited.",
            ),
            (
                "配置目标地址白名单。",
                "Set up a list of allowed destinations.",
            ),
        ),
    ),
    rule(
        "SN-1",
        ("感知节点设备安全", "Security of sensing nodes"),
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
            (
                "只有授权用户可以配置或变更感知节点上的软件。",
                "Only authorised users configure or change a node's software.",
            ),
            (
                "升级包签名校验，关闭无鉴别的入口。",
                "Check signatures of updates; close entrances without login.",
            ),
        ),
    ),
    rule(
        "GN-1",
        ("网关节点设备安全", "Security of gateways"),
        EDGE,
        false,
        (Nothing, High),
        &[],
        (
            (
                "网关应鉴别所连设备并过滤非法数据。",
                "A gateway authenticates the devices on it and filters unlawful data.",
            ),
            ("启用双向认证。", "Turn mutual authentication on."),
        ),
    ),
    rule(
        "RP-1",
        ("抗数据重放", "Replay"),
        EDGE,
        false,
        (Nothing, Medium),
        &[],
        (
            (
                "应能鉴别数据的新鲜性。",
                "The freshness of data can be told.",
            ),
            (
                "协议中加入时间戳或序号。",
                "Put time stamps or sequence numbers into the protocol.",
            ),
        ),
    ),
    rule(
        "DF-1",
        ("数据融合处理", "Fusion of data"),
        DATA,
        false,
        (Nothing, Medium),
        &[],
        (
            (
                "应对来自传感网的数据进行融合处理。",
                "Data of the sensing network are fused.",
            ),
            ("由系统设计保证。", "The system's design sees to it."),
        ),
    ),
    rule(
        "OM-1",
        ("感知节点管理", "Care of nodes"),
        HARDWARE,
        true,
        (Nothing, Medium),
        &[],
        (
            (
                "应定期巡视和维护感知节点。",
                "Sensing nodes are visited and maintained.",
            ),
            ("现场测评。", "Assess on site."),
        ),
    ),
];

/// A verdict, in the words of document 000, 1.2.9.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// Control point.
    pub detection_unit_name: Cow<'static, str>,
    /// Where it lies.
    pub attack_surface: Cow<'static, str>,
    /// Group.
    pub category: Cow<'static, str>,
    /// Our code of the rule.
    pub category_code: Cow<'static, str>,
    /// Level in words.
    pub detection_rule_name: Cow<'static, str>,
    /// Level as a code.
    pub classification: Cow<'static, str>,
    /// What is demanded.
    pub description: Cow<'static, str>,
    /// How bad a breach is.
    pub severity: Severity,
    /// A JSON text: a list of `{riskName, filename, riskDetail}`.
    pub detail: String,
    /// What to do.
    pub solution: Cow<'static, str>,
    /// "0" broken, "1" kept.
    pub status: Cow<'static, str>,
}

/// What breaks a control point, in the words of document 000, 1.2.9.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breach {
    /// Kind of risk, or a CVE.
    pub risk_name: String,
    /// The chain of names down to the file.
    pub filename: String,
    /// What was seen.
    pub risk_detail: String,
}

impl Verdict {
    /// What breaks it; nothing where it is kept.
    #[must_use]
    pub fn breaches(&self) -> Vec<Breach> {
        serde_json::from_str(&self.detail).unwrap_or_default()
    }
}

/// A control point in English.
pub struct English {
    /// Its name.
    pub unit: &'static str,
    /// What is demanded.
    pub description: &'static str,
    /// What to do.
    pub solution: &'static str,
}

/// The control point of that code in English.
#[must_use]
pub fn english(code: &str) -> Option<English> {
    let rule = RULES.iter().find(|rule| rule.code == code)?;
    Some(English {
        unit: rule.unit.1,
        description: rule.description.1,
        solution: rule.solution.1,
    })
}

/// All Chinese words of the rules.
#[cfg(test)]
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    RULES
        .iter()
        .flat_map(|rule| [rule.unit.0, rule.description.0, rule.solution.0])
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
                detection_unit_name: rule.unit.0.into(),
                attack_surface: rule.surface.into(),
                category: rule.category.into(),
                category_code: rule.code.into(),
                detection_rule_name: level.name().into(),
                classification: level.code().into(),
                description: rule.description.0.into(),
                severity: rule.severity,
                status: if breaches.is_empty() { "1" } else { "0" }.into(),
                detail: serde_json::to_string(&breaches).unwrap_or_else(|_| "[]".into()),
                solution: rule.solution.0.into(),
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
        .map(|rule| (rule.code, rule.unit.0))
        .collect()
}

//! The kinds of risk: what each is called, where it belongs, how bad it usually is, what to do.

use crate::vulns::Severity::{self, Critical, High, Low, Medium, Notice};

/// A kind of risk.
pub struct Risk {
    /// Stable code.
    pub code: &'static str,
    /// Chinese name.
    pub cn: &'static str,
    /// English name.
    pub en: &'static str,
    /// Chinese and English name of its group.
    pub category: (&'static str, &'static str),
    /// Usual severity.
    pub severity: Severity,
    /// What it is, Chinese and English.
    pub description: (&'static str, &'static str),
    /// What to do, Chinese and English.
    pub suggestion: (&'static str, &'static str),
}

const fn row(
    code: &'static str,
    cn: &'static str,
    en: &'static str,
    category: (&'static str, &'static str),
    severity: Severity,
    description: (&'static str, &'static str),
    suggestion: (&'static str, &'static str),
) -> Risk {
    Risk {
        code,
        cn,
        en,
        category,
        severity,
        description,
        suggestion,
    }
}

const CVE: (&str, &str) = ("CVE漏洞", "CveVuln");
const PARTS: (&str, &str) = ("软件组成", "Composition");
const SECRET: (&str, &str) = ("敏感信息", "SensitiveInfo");
const LOGIN: (&str, &str) = ("认证", "Authentication");
const KEYS: (&str, &str) = ("密钥证书", "KeyCert");
const BACK: (&str, &str) = ("后门", "Backdoor");
const BINARY: (&str, &str) = ("二进制安全", "BinaryHardening");
const SYSTEM: (&str, &str) = ("系统配置", "SystemConfig");
const SERVICE: (&str, &str) = ("服务", "Service");
const DEBUG: (&str, &str) = ("调试接口", "Debug");
const BOOT: (&str, &str) = ("启动安全", "Boot");
const MALWARE: (&str, &str) = ("恶意代码", "Malware");
const UPDATE: (&str, &str) = ("升级", "Update");

/// All kinds, in the order of the report.
pub static RISKS: &[Risk] = &[
    row(
        "CveVuln",
        "CVE漏洞",
        "Known vulnerability",
        CVE,
        Notice,
        (
            "组件的当前版本存在已公开的漏洞。",
            "The component's version has published vulnerabilities.",
        ),
        (
            "将组件升级到已修复的版本，或安装供应商提供的补丁。",
            "Go to a version that repairs them, or apply the supplier's patches.",
        ),
    ),
    row(
        "CveKernel",
        "内核CVE漏洞",
        "Kernel vulnerability",
        CVE,
        Notice,
        (
            "内核的当前版本存在已公开的漏洞；是否受影响取决于内核配置。",
            "The kernel's version has published vulnerabilities; whether they apply depends on how it was configured.",
        ),
        (
            "升级内核，或确认相关功能未启用。",
            "Update the kernel, or make sure that the feature concerned is off.",
        ),
    ),
    row(
        "OutdatedKernel",
        "内核版本过旧",
        "Kernel past end of life",
        PARTS,
        Medium,
        (
            "内核系列已停止维护，不再获得安全修复。",
            "The kernel's series is no longer maintained and gets no more security repairs.",
        ),
        (
            "迁移到仍在维护的长期支持内核。",
            "Move to a long-term kernel that is still maintained.",
        ),
    ),
    row(
        "EolComponent",
        "组件停止维护",
        "End-of-life component",
        PARTS,
        Low,
        (
            "组件的该版本系列已停止维护。",
            "This series of the component is no longer maintained.",
        ),
        (
            "升级到仍在维护的版本系列。",
            "Move to a series that is still maintained.",
        ),
    ),
    row(
        "LicenseRisk",
        "开源许可风险",
        "Licence obligation",
        PARTS,
        Notice,
        (
            "组件的许可证附带公开源代码等义务。",
            "The component's licence demands something of you, such as giving out the source.",
        ),
        (
            "核对并履行许可证义务。",
            "Check what the licence demands and do it.",
        ),
    ),
    row(
        "HardcodedPassword",
        "硬编码口令",
        "Hard-coded password",
        SECRET,
        High,
        (
            "配置或脚本中写有固定口令。",
            "A setting or script holds a fixed password.",
        ),
        (
            "移除固定口令，改为每台设备唯一的凭据。",
            "Remove it; give each device credentials of its own.",
        ),
    ),
    row(
        "WeakPassword",
        "弱口令",
        "Guessable password",
        LOGIN,
        High,
        (
            "账户口令可由常见口令列表猜出。",
            "The account's password is on a list of common passwords.",
        ),
        (
            "取消默认口令，首次使用时强制设置强口令。",
            "Do away with default passwords; demand a strong one at first use.",
        ),
    ),
    row(
        "EmptyPassword",
        "空口令",
        "Empty password",
        LOGIN,
        Critical,
        (
            "账户无需口令即可登录。",
            "Anybody can log in to the account without a password.",
        ),
        (
            "锁定该账户或设置口令。",
            "Lock the account or give it a password.",
        ),
    ),
    row(
        "WeakHash",
        "弱口令散列算法",
        "Weak password hash",
        LOGIN,
        Medium,
        (
            "口令以DES或MD5散列保存，易被离线破解。",
            "The password rests as a DES or MD5 hash, which is easily cracked.",
        ),
        ("改用SHA-512或yescrypt散列。", "Use SHA-512 or yescrypt."),
    ),
    row(
        "ExtraRootUid",
        "多余UID 0账户",
        "Second account with uid 0",
        LOGIN,
        High,
        (
            "除root外还有UID为0的账户。",
            "An account other than root has user id 0.",
        ),
        (
            "删除该账户或改用普通UID。",
            "Delete the account or give it an ordinary user id.",
        ),
    ),
    row(
        "PrivateKeyLeak",
        "私钥泄露",
        "Private key in image",
        KEYS,
        High,
        (
            "固件中含有私钥，所有设备共用，任何人可取得。",
            "The image holds a private key: all devices share it, and anybody can take it out.",
        ),
        (
            "在设备上生成密钥，或按设备写入安全存储。",
            "Make keys on the device, or write them into its secure storage one by one.",
        ),
    ),
    row(
        "WeakKey",
        "弱密钥",
        "Weak key",
        KEYS,
        High,
        (
            "密钥长度不足或算法已不安全。",
            "The key is too short, or its algorithm is no longer safe.",
        ),
        (
            "改用RSA 2048位以上或ECC 224位以上的密钥。",
            "Use RSA of 2048 bits or more, or elliptic curves of 224 bits or more.",
        ),
    ),
    row(
        "CertExpired",
        "证书过期",
        "Expired certificate",
        KEYS,
        Medium,
        ("证书已超过有效期。", "The certificate is past its time."),
        (
            "更换证书并建立更新机制。",
            "Replace it, and make it replaceable in the field.",
        ),
    ),
    row(
        "CertWeakSig",
        "证书弱签名",
        "Weak certificate signature",
        KEYS,
        Medium,
        (
            "证书以MD5或SHA-1签名。",
            "The certificate is signed with MD5 or SHA-1.",
        ),
        (
            "以SHA-256或更强的算法重新签发。",
            "Have it issued anew with SHA-256 or stronger.",
        ),
    ),
    row(
        "CertSelfSigned",
        "自签名证书",
        "Self-signed certificate",
        KEYS,
        Notice,
        ("证书由其自身签名。", "The certificate is signed by itself."),
        (
            "确认其为有意信任的根证书。",
            "Make sure that it is a root that you mean to trust.",
        ),
    ),
    row(
        "CertLongLife",
        "证书有效期过长",
        "Certificate valid too long",
        KEYS,
        Notice,
        (
            "终端证书的有效期超过十年。",
            "A certificate that is no authority's is valid for more than ten years.",
        ),
        (
            "缩短有效期并建立更新机制。",
            "Shorten its life, and make it replaceable in the field.",
        ),
    ),
    row(
        "AuthorizedKeys",
        "预置SSH公钥",
        "Preset authorized_keys",
        BACK,
        High,
        (
            "固件预置了可登录的SSH公钥，其持有者可登录所有设备。",
            "The image comes with an SSH public key; whoever holds its other half can log in to every device.",
        ),
        ("移除预置公钥。", "Remove the key."),
    ),
    row(
        "TokenLeak",
        "令牌/AccessKey泄露",
        "Cloud token or access key",
        SECRET,
        High,
        (
            "固件中含有云服务的访问密钥或令牌。",
            "The image holds an access key or token of a cloud.",
        ),
        (
            "立即作废该密钥，改用按设备签发的临时凭据。",
            "Revoke it at once; issue short-lived credentials to each device.",
        ),
    ),
    row(
        "VcsLeak",
        "源码仓库残留",
        "Version control left behind",
        SECRET,
        Medium,
        (
            "固件中残留版本库数据。",
            "Data of a version control system were left in the image.",
        ),
        (
            "打包时排除版本库目录。",
            "Leave such folders out when packing.",
        ),
    ),
    row(
        "BackupLeak",
        "备份文件残留",
        "Backup file left behind",
        SECRET,
        Low,
        (
            "固件中残留备份或历史文件。",
            "Backups or history files were left in the image.",
        ),
        ("打包时清除备份和历史文件。", "Remove them before packing."),
    ),
    row(
        "DebugSymbol",
        "调试符号残留",
        "Debug symbols left behind",
        SECRET,
        Notice,
        (
            "程序未去除符号表，便于逆向分析。",
            "The program still has its symbol table, which helps whoever takes it apart.",
        ),
        ("发布前执行strip。", "Strip it before release."),
    ),
    row(
        "UrlLeak",
        "URL泄露",
        "URL in image",
        SECRET,
        Notice,
        ("固件中含有URL。", "The image holds addresses of the web."),
        (
            "确认这些地址可以公开。",
            "Make sure that they may be public.",
        ),
    ),
    row(
        "IpLeak",
        "IP泄露",
        "IP address in image",
        SECRET,
        Notice,
        (
            "固件中含有固定IP地址。",
            "The image holds fixed IP addresses.",
        ),
        (
            "确认这些地址可以公开。",
            "Make sure that they may be public.",
        ),
    ),
    row(
        "EmailLeak",
        "邮箱泄露",
        "E-mail address in image",
        SECRET,
        Notice,
        ("固件中含有邮箱地址。", "The image holds e-mail addresses."),
        (
            "确认这些地址可以公开。",
            "Make sure that they may be public.",
        ),
    ),
    row(
        "NoNx",
        "未启用NX",
        "Executable stack",
        BINARY,
        Medium,
        ("程序的栈可执行。", "The program's stack is executable."),
        ("以-z noexecstack链接。", "Link with -z noexecstack."),
    ),
    row(
        "NoPie",
        "未启用PIE",
        "Not position independent",
        BINARY,
        Low,
        (
            "程序加载地址固定，地址随机化无效。",
            "The program is always loaded at the same address, so that randomisation does nothing for it.",
        ),
        ("以-fPIE -pie编译。", "Compile with -fPIE -pie."),
    ),
    row(
        "NoRelro",
        "未启用RELRO",
        "No read-only relocations",
        BINARY,
        Low,
        (
            "重定位表可写，可被覆盖以劫持流程。",
            "The relocation table can be overwritten to take over the program.",
        ),
        ("以-z relro -z now链接。", "Link with -z relro -z now."),
    ),
    row(
        "NoCanary",
        "未启用栈保护",
        "No stack protector",
        BINARY,
        Medium,
        (
            "程序未启用栈溢出保护。",
            "The program does not notice an overflow of its stack.",
        ),
        (
            "以-fstack-protector-strong编译。",
            "Compile with -fstack-protector-strong.",
        ),
    ),
    row(
        "NoFortify",
        "未启用FORTIFY",
        "No fortified functions",
        BINARY,
        Notice,
        (
            "程序未启用FORTIFY_SOURCE检查。",
            "The program was built without FORTIFY_SOURCE.",
        ),
        (
            "以-O2 -D_FORTIFY_SOURCE=2编译。",
            "Compile with -O2 -D_FORTIFY_SOURCE=2.",
        ),
    ),
    row(
        "RpathRisk",
        "不安全RPATH",
        "Unsafe library path",
        BINARY,
        Medium,
        (
            "程序从相对或可写目录加载库。",
            "The program loads libraries from a relative or writable folder.",
        ),
        (
            "移除RPATH/RUNPATH或改为固定的只读目录。",
            "Remove RPATH/RUNPATH, or name a fixed folder that only root can write to.",
        ),
    ),
    row(
        "UnsafeFunc",
        "危险函数",
        "Unsafe functions",
        BINARY,
        Low,
        (
            "程序调用不检查长度或执行命令的函数。",
            "The program calls functions that check no length or run commands.",
        ),
        (
            "改用带长度检查的函数，避免拼接命令。",
            "Use those that take a length; do not put commands together from input.",
        ),
    ),
    row(
        "SuidBinary",
        "SUID/SGID文件",
        "Set-uid file",
        SYSTEM,
        Low,
        (
            "文件以其所有者的权限运行。",
            "The file runs with the rights of its owner.",
        ),
        (
            "去除不必要的SUID/SGID位。",
            "Remove set-uid and set-gid bits that nobody needs.",
        ),
    ),
    row(
        "WorldWritable",
        "全局可写",
        "World-writable file",
        SYSTEM,
        Low,
        (
            "任何用户都可修改该文件。",
            "Every user can change the file.",
        ),
        ("收紧文件权限。", "Tighten its mode."),
    ),
    row(
        "TelnetEnabled",
        "启用Telnet",
        "Telnet enabled",
        SERVICE,
        High,
        (
            "启动时运行Telnet服务，口令明文传输。",
            "Telnet is started at boot; passwords travel in clear.",
        ),
        ("停用Telnet，改用SSH。", "Turn it off and use SSH."),
    ),
    row(
        "FtpEnabled",
        "启用FTP",
        "FTP enabled",
        SERVICE,
        Medium,
        (
            "启动时运行FTP服务，口令明文传输。",
            "FTP is started at boot; passwords travel in clear.",
        ),
        ("停用FTP，改用SFTP。", "Turn it off and use SFTP."),
    ),
    row(
        "TftpEnabled",
        "启用TFTP",
        "TFTP enabled",
        SERVICE,
        Medium,
        (
            "启动时运行TFTP服务，无需认证。",
            "TFTP is started at boot and asks nobody who they are.",
        ),
        ("停用TFTP。", "Turn it off."),
    ),
    row(
        "RshEnabled",
        "启用rsh",
        "rsh enabled",
        SERVICE,
        High,
        (
            "启动时运行rsh类服务，仅凭地址认证。",
            "An rsh-like service is started at boot and trusts addresses.",
        ),
        ("停用rsh类服务。", "Turn it off."),
    ),
    row(
        "DebugShell",
        "串口无口令shell",
        "Shell without login",
        SERVICE,
        High,
        (
            "控制台直接给出shell，无需登录。",
            "The console gives a shell without login.",
        ),
        (
            "控制台改为需要登录，或在出厂版本中关闭。",
            "Demand a login there, or turn it off in what leaves the factory.",
        ),
    ),
    row(
        "UpnpEnabled",
        "启用UPnP",
        "UPnP enabled",
        SERVICE,
        Low,
        (
            "启动时运行UPnP服务，可被用来打开端口。",
            "UPnP is started at boot and can be made to open ports.",
        ),
        ("默认关闭UPnP。", "Have it off by default."),
    ),
    row(
        "SnmpDefaultCommunity",
        "SNMP默认团体名",
        "SNMP default community",
        SERVICE,
        Medium,
        (
            "SNMP使用public或private等默认团体名。",
            "SNMP uses a default community such as public or private.",
        ),
        (
            "改用SNMPv3，或设置不可猜的团体名。",
            "Use SNMPv3, or a community that nobody guesses.",
        ),
    ),
    row(
        "SshdWeakConfig",
        "SSH服务配置不当",
        "Weak SSH server settings",
        SERVICE,
        Medium,
        (
            "SSH服务允许不安全的登录方式或算法。",
            "The SSH server allows unsafe logins or algorithms.",
        ),
        (
            "禁止root口令登录与空口令，停用旧协议和弱算法。",
            "Forbid root logins by password and empty passwords; turn off old protocols and weak algorithms.",
        ),
    ),
    row(
        "HttpdWeakConfig",
        "Web服务配置不当",
        "Weak web server settings",
        SERVICE,
        Low,
        (
            "Web服务开启目录列表或以root运行。",
            "The web server lists folders or runs as root.",
        ),
        (
            "关闭目录列表，以专用用户运行。",
            "Turn listings off; run it as a user of its own.",
        ),
    ),
    row(
        "DebugInterface",
        "调试接口",
        "Debugging tools",
        DEBUG,
        Medium,
        (
            "固件中含有调试工具或接口。",
            "The image holds debugging tools or interfaces.",
        ),
        (
            "从发布版本中移除调试工具。",
            "Remove them from what is released.",
        ),
    ),
    row(
        "NoSecureBoot",
        "无启动校验",
        "No verified boot",
        BOOT,
        Medium,
        (
            "启动镜像没有签名，可被替换。",
            "The boot image is not signed and can be exchanged.",
        ),
        (
            "对启动镜像签名并由引导程序校验。",
            "Sign it, and have the boot loader check.",
        ),
    ),
    row(
        "Malware",
        "恶意代码",
        "Malware",
        MALWARE,
        Critical,
        (
            "文件含有已知恶意代码的特征。",
            "The file bears the marks of known malware.",
        ),
        (
            "隔离该固件并调查来源。",
            "Isolate the firmware and find out where it comes from.",
        ),
    ),
    row(
        "BackdoorPattern",
        "后门特征",
        "Backdoor pattern",
        MALWARE,
        Critical,
        (
            "脚本含有反向连接shell等后门特征。",
            "A script bears the marks of a backdoor, such as a shell that connects outwards.",
        ),
        (
            "移除该代码并调查来源。",
            "Remove it and find out where it comes from.",
        ),
    ),
    row(
        "UpdateInsecure",
        "升级机制不安全",
        "Insecure update",
        UPDATE,
        Medium,
        (
            "升级地址使用明文HTTP，内容可被替换。",
            "Updates come over plain HTTP and can be exchanged on the way.",
        ),
        (
            "改用HTTPS并校验升级包签名。",
            "Use HTTPS, and check a signature of the package.",
        ),
    ),
    row(
        "KernelConfigWeak",
        "内核安全选项未启用",
        "Kernel hardening off",
        SYSTEM,
        Low,
        (
            "内核编译配置未启用安全选项。",
            "The kernel was built without these safeguards.",
        ),
        ("启用列出的内核选项。", "Turn the listed options on."),
    ),
    row(
        "Unreadable",
        "无法解包",
        "Cannot be unpacked",
        PARTS,
        Notice,
        (
            "内容经过加密或格式未知，无法检测其内部。",
            "The content is encrypted or of an unknown format; nothing can be said of its inside.",
        ),
        (
            "提供未加密的固件以完成检测。",
            "Give an image that is not encrypted.",
        ),
    ),
];

/// The kind with that code.
///
/// # Panics
/// When there is none, which the tests exclude.
#[must_use]
pub fn risk(code: &str) -> &'static Risk {
    RISKS
        .iter()
        .find(|r| r.code == code)
        .expect("codes come from the table")
}

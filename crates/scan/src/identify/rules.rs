//! What components say of themselves: a literal to look for, the text around it, and who they are in
//! CPE names. Written from the components' own sources and manuals.

/// A version inside a pattern: `<V>` stands for it.
pub(super) const VERSION: &str =
    r"(\d+(?:\.\d+){1,3}(?:[a-z]{1,2}\d{0,2}|p\d+|-?rc-?\d+|-?beta\d*|-?pre\d+|-?alpha\d*)?)";

/// How one component is recognised.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) cpes: &'static [(&'static str, &'static str)],
    /// Must stand in the file; part of what `pattern` matches.
    pub(super) literal: &'static str,
    pub(super) pattern: &'static str,
    /// How far before the literal the pattern may begin, where that is more than a few bytes.
    pub(super) back: usize,
    /// The stem of the library that it is: other files that need it only quote it.
    pub(super) lib: Option<&'static str>,
    /// Texts of which one must stand in the same file where the file's name is no proof.
    pub(super) also: &'static [&'static str],
    /// Whether it stands in images without ELF headers: kernels, boot loaders, small systems.
    pub(super) raw: bool,
    /// Whether the version stands anywhere in the file instead of beside the literal.
    pub(super) whole: bool,
    /// Whether the literal is only a format for the version, which is a text of its own: the one in
    /// the file that `pattern` matches whole, or of several the one right beside the literal.
    pub(super) apart: bool,
}

const fn program(
    name: &'static str,
    cpes: &'static [(&'static str, &'static str)],
    literal: &'static str,
    pattern: &'static str,
) -> Rule {
    Rule {
        name,
        cpes,
        literal,
        pattern,
        back: 0,
        lib: None,
        also: &[],
        raw: false,
        whole: false,
        apart: false,
    }
}

const fn library(
    name: &'static str,
    cpes: &'static [(&'static str, &'static str)],
    literal: &'static str,
    pattern: &'static str,
    stem: &'static str,
    also: &'static [&'static str],
) -> Rule {
    Rule {
        lib: Some(stem),
        also,
        ..program(name, cpes, literal, pattern)
    }
}

const fn bare(
    name: &'static str,
    cpes: &'static [(&'static str, &'static str)],
    literal: &'static str,
    pattern: &'static str,
) -> Rule {
    Rule {
        raw: true,
        ..program(name, cpes, literal, pattern)
    }
}

const fn with(rule: Rule, also: &'static [&'static str]) -> Rule {
    Rule { also, ..rule }
}

const fn behind(rule: Rule, back: usize) -> Rule {
    Rule { back, ..rule }
}

const fn anywhere(rule: Rule) -> Rule {
    Rule {
        whole: true,
        ..rule
    }
}

/// The literal is a format such as `x version %s`; `pattern` is of the version alone.
const fn apart(rule: Rule) -> Rule {
    Rule {
        apart: true,
        ..rule
    }
}

const NGINX: &[(&str, &str)] = &[
    ("f5", "nginx"),
    ("nginx", "nginx"),
    ("f5", "nginx_open_source"),
];
const CURL: &[(&str, &str)] = &[("haxx", "curl")];
const LIBCURL: &[(&str, &str)] = &[("haxx", "libcurl"), ("haxx", "curl")];
const MBED: &[(&str, &str)] = &[
    ("arm", "mbed_tls"),
    ("mbed-tls", "mbedtls"),
    ("polarssl", "polarssl"),
    ("trustedfirmware", "mbed_tls"),
];
const DNSMASQ: &[(&str, &str)] = &[("thekelleys", "dnsmasq"), ("dnsmasq", "dnsmasq")];
const DROPBEAR: &[(&str, &str)] = &[
    ("dropbear_ssh_project", "dropbear_ssh"),
    ("dropbear", "dropbear_ssh_server"),
    ("matt_johnston", "dropbear_ssh_server"),
];
const OPENSSH: &[(&str, &str)] = &[("openbsd", "openssh")];
const OPENSSL: &[(&str, &str)] = &[("openssl", "openssl")];
const PPP: &[(&str, &str)] = &[
    ("point-to-point_protocol_project", "point-to-point_protocol"),
    ("samba", "ppp"),
    ("ppp_project", "ppp"),
    ("paul's_ppp_package", "paul's_ppp_package"),
];
const UPNP: &[(&str, &str)] = &[
    ("libupnp_project", "libupnp"),
    ("pupnp", "pupnp"),
    ("pupnp_project", "pupnp"),
];
const ZLIB: &[(&str, &str)] = &[("zlib", "zlib"), ("gnu", "zlib")];
const EXPAT: &[(&str, &str)] = &[("libexpat_project", "libexpat"), ("libexpat", "expat")];
const JQ: &[(&str, &str)] = &[("jqlang", "jq"), ("jq_project", "jq"), ("stedolan", "jq")];
const MINIHTTPD: &[(&str, &str)] = &[("acme", "mini_httpd"), ("acme", "mini-httpd")];
const VSFTPD: &[(&str, &str)] = &[
    ("vsftpd_project", "vsftpd"),
    ("beasts", "vsftpd"),
    ("redhat", "vsftpd"),
];
const MINIUPNP: &[(&str, &str)] = &[
    ("miniupnp_project", "miniupnpd"),
    ("miniupnp.free", "miniupnpd"),
];
const MINIDLNA: &[(&str, &str)] = &[
    ("readymedia_project", "readymedia"),
    ("minidlna_project", "minidlna"),
];
const KERNEL: &[(&str, &str)] = &[("linux", "linux_kernel")];
const CHRONY: &[(&str, &str)] = &[("tuxfamily", "chrony"), ("chrony_project", "chrony")];
const KRB5: &[(&str, &str)] = &[("mit", "kerberos_5"), ("mit", "krb5")];
const FRR: &[(&str, &str)] = &[
    ("frrouting", "frrouting"),
    ("linuxfoundation", "free_range_routing"),
];
const SQLITE: &[(&str, &str)] = &[("sqlite", "sqlite")];
const SYSTEMD: &[(&str, &str)] = &[("systemd_project", "systemd"), ("freedesktop", "systemd")];

pub(super) static RULES: &[Rule] = &[
    bare(
        "linux",
        KERNEL,
        "Linux version ",
        r"Linux version (\d+\.\d+(?:\.\d+)?)[^ ]* \(",
    ),
    bare(
        "u-boot",
        &[("denx", "u-boot")],
        "U-Boot ",
        r"U-Boot (?:SPL |TPL )?(20\d\d\.\d\d(?:-rc\d)?|1\.\d\.\d)[^\n(\x00]{0,40}\(",
    ),
    program(
        "busybox",
        &[("busybox", "busybox")],
        "BusyBox v",
        r"BusyBox v<V>[^\n(\x00]{0,24}\(",
    ),
    program(
        "dropbear",
        DROPBEAR,
        "SSH-2.0-dropbear_",
        r"SSH-2\.0-dropbear_(\d+\.\d+)",
    ),
    program(
        "dropbear",
        DROPBEAR,
        "Dropbear ",
        r"Dropbear (?:server|SSH client|multi-purpose)[^\n\x00]{0,24}v(\d+\.\d+)",
    ),
    // It also holds patterns of its peers' names, such as OpenSSH_6.6.1*.
    program(
        "openssh",
        OPENSSH,
        "OpenSSH_",
        r"OpenSSH_(\d+\.\d+(?:\.\d+)?p\d+)[ \n\x00]",
    ),
    library(
        "openssl",
        OPENSSL,
        "OpenSSL ",
        r"OpenSSL (\d\.\d\.\d{1,2}[a-z]{0,2})(?:-fips)? {1,2}\d{1,2} [A-Z][a-z]{2} (?:19|20)\d\d",
        "libcrypto",
        &[
            "crypto/evp/",
            "crypto\\evp\\",
            " part of OpenSSL",
            "OPENSSLDIR: ",
        ],
    ),
    library(
        "openssl",
        OPENSSL,
        " part of OpenSSL ",
        r" part of OpenSSL (\d\.\d\.\d{1,2}[a-z]{0,2})(?:-fips)? ",
        "libssl",
        &["ssl/s3_lib.c", "s3_clnt.c"],
    ),
    library(
        "libressl",
        &[("openbsd", "libressl")],
        "LibreSSL ",
        r"LibreSSL <V>",
        "libcrypto",
        &["crypto/evp/"],
    ),
    library(
        "wolfssl",
        &[("wolfssl", "wolfssl"), ("yassl", "cyassl")],
        "wolfSSL ",
        r"wolfSSL <V>",
        "libwolfssl",
        &["wolfcrypt", "wolfSSL_"],
    ),
    library(
        "mbedtls",
        MBED,
        "mbed TLS ",
        r"mbed TLS <V>",
        "libmbedcrypto",
        &["mbedtls_", "X509 - "],
    ),
    library(
        "mbedtls",
        MBED,
        "Mbed TLS ",
        r"Mbed TLS <V>",
        "libmbedcrypto",
        &["mbedtls_", "X509 - "],
    ),
    library(
        "mbedtls",
        MBED,
        "PolarSSL ",
        r"PolarSSL <V>",
        "libpolarssl",
        &["X509 - ", "polarssl"],
    ),
    library(
        "gnutls",
        &[("gnu", "gnutls")],
        "GnuTLS ",
        r"GnuTLS <V>",
        "libgnutls",
        &["gnutls_global_init"],
    ),
    program(
        "dnsmasq",
        DNSMASQ,
        "dnsmasq-",
        r"dnsmasq-(\d+\.\d+(?:rc\d+|test\d+)?)",
    ),
    behind(
        with(
            program(
                "dnsmasq",
                DNSMASQ,
                "Simon Kelley",
                r"(\d\.\d{2}(?:rc\d+)?)\x00[^\x00]{0,60}Simon Kelley",
            ),
            &["dnsmasq"],
        ),
        96,
    ),
    library(
        "libcurl",
        LIBCURL,
        "libcurl/",
        r"libcurl/(\d+\.\d+\.\d+)",
        "libcurl",
        &["Curl_", "easy handle already used in multi handle"],
    ),
    program("curl", CURL, "curl ", r"\x00curl (\d+\.\d+\.\d+) \("),
    program(
        "lighttpd",
        &[("lighttpd", "lighttpd")],
        "lighttpd/",
        r"lighttpd/(1\.\d+\.\d+)",
    ),
    program("nginx", NGINX, "nginx/", r"nginx/(\d\.\d+\.\d+)"),
    program(
        "nginx",
        NGINX,
        "nginx version: ",
        r"nginx version: (?:nginx|openresty)/(\d\.\d+\.\d+)",
    ),
    with(
        program(
            "httpd",
            &[("apache", "http_server")],
            "Apache/",
            r"Apache/([12]\.\d+\.\d+)",
        ),
        &["httpd.conf", "ap_"],
    ),
    program(
        "boa",
        &[("boa", "boa")],
        "Boa/",
        r"Boa/(0\.\d+\.\d+(?:rc\d+)?)",
    ),
    program(
        "thttpd",
        &[("acme", "thttpd")],
        "thttpd/",
        r"thttpd/(2\.\d+[a-z]?\d*)",
    ),
    program(
        "mini_httpd",
        MINIHTTPD,
        "mini_httpd/",
        r"mini_httpd/(1\.\d+[a-z]?)",
    ),
    program(
        "goahead",
        &[("embedthis", "goahead")],
        "GoAhead",
        r"GoAhead(?:-http|-Webs)?[/ ](?:v)?<V>",
    ),
    program(
        "appweb",
        &[("embedthis", "appweb")],
        "Appweb",
        r"Appweb(?:-http)?/<V>",
    ),
    program(
        "mongoose",
        &[("cesanta", "mongoose")],
        "Mongoose/",
        r"Mongoose/(\d+\.\d+)",
    ),
    bare(
        "rompager",
        &[("allegrosoft", "rompager")],
        "RomPager/",
        r"RomPager/(\d+\.\d+)",
    ),
    program(
        "hostapd",
        &[("w1.fi", "hostapd")],
        "hostapd v",
        r"hostapd v(\d+\.\d+(?:\.\d+)?)",
    ),
    program(
        "wpa_supplicant",
        &[("w1.fi", "wpa_supplicant")],
        "wpa_supplicant v",
        r"wpa_supplicant v(\d+\.\d+(?:\.\d+)?)",
    ),
    program(
        "miniupnpd",
        MINIUPNP,
        "MiniUPnPd/",
        r"MiniUPnPd/(\d+\.\d+(?:\.\d+)?)",
    ),
    library(
        "libupnp",
        UPNP,
        "Portable SDK for UPnP devices",
        r"Portable SDK for UPnP devices ?/<V>",
        "libupnp",
        &["UpnpInit", "upnp"],
    ),
    program("minidlna", MINIDLNA, "MiniDLNA", r"MiniDLNA(?:/| )<V>"),
    program(
        "ppp",
        PPP,
        "pppd",
        r"pppd(?:\.so\.|/| version |-)(2\.\d+\.\d+)",
    ),
    program(
        "xl2tpd",
        &[("xelerance", "xl2tpd")],
        "xl2tpd-",
        r"xl2tpd-<V>",
    ),
    program(
        "accel-ppp",
        &[("accel-ppp", "accel-ppp")],
        "accel-ppp version ",
        r"accel-ppp version <V>",
    ),
    program(
        "mosquitto",
        &[("eclipse", "mosquitto")],
        "mosquitto version ",
        r"mosquitto version (\d+\.\d+\.\d+)",
    ),
    library(
        "zlib",
        ZLIB,
        "flate ",
        r" (?:de|in)flate (1\.\d+\.\d+(?:\.\d+)?) Copyright",
        "libz",
        &["incorrect header check", "invalid distance too far back"],
    ),
    // The version may stand right behind the table that turns letters small, which ends with 0xff.
    anywhere(library(
        "sqlite",
        SQLITE,
        "SQLite format 3",
        r"(?:\x00|\xfe\xff)(3\.\d{1,2}\.\d{1,2}(?:\.\d)?)\x00",
        "libsqlite3",
        &["sqlite_master"],
    )),
    library(
        "expat",
        EXPAT,
        "expat_",
        r"expat_(\d+\.\d+\.\d+)",
        "libexpat",
        &[
            "xmlns=http://www.w3.org/XML/1998/namespace",
            "unclosed token",
        ],
    ),
    with(
        program(
            "glibc",
            &[("gnu", "glibc")],
            "GNU C Library ",
            r"GNU C Library [^\n]{0,60}release version (\d\.\d+(?:\.\d+)?)",
        ),
        &[],
    ),
    program(
        "musl",
        &[("musl-libc", "musl")],
        "musl libc (",
        r"musl libc \([^)]{1,40}\)\x0aVersion (\d\.\d+\.\d+)",
    ),
    program(
        "samba",
        &[("samba", "samba")],
        "Samba ",
        r"Samba (?:version |smbd )?(\d\.\d+\.\d+)",
    ),
    program(
        "vsftpd",
        VSFTPD,
        "vsftpd: version ",
        r"vsftpd: version (\d\.\d+\.\d+)",
    ),
    program("vsftpd", VSFTPD, "(vsFTPd ", r"\(vsFTPd (\d\.\d+\.\d+)"),
    program(
        "proftpd",
        &[("proftpd", "proftpd")],
        "ProFTPD ",
        r"ProFTPD (?:Version )?(1\.\d\.\d+[a-z]?(?:rc\d)?)",
    ),
    program(
        "pure-ftpd",
        &[("pureftpd", "pure-ftpd")],
        "pure-ftpd v",
        r"pure-ftpd v(1\.\d+\.\d+)",
    ),
    program(
        "bftpd",
        &[("bftpd_project", "bftpd"), ("jesse_smith", "bftpd")],
        "bftpd ",
        r"bftpd (\d\.\d+)",
    ),
    with(
        program(
            "net-snmp",
            &[("net-snmp", "net-snmp")],
            "NET-SNMP",
            r"NET-SNMP version:? {1,2}(5\.\d+(?:\.\d+){0,2})",
        ),
        &[],
    ),
    program(
        "lua",
        &[("lua", "lua")],
        "Lua 5.",
        r"Lua (5\.\d\.\d+)  Copyright",
    ),
    bare(
        "micropython",
        &[("micropython", "micropython")],
        "MicroPython v",
        r"MicroPython v(\d\.\d+(?:\.\d+)?)",
    ),
    program(
        "php",
        &[("php", "php")],
        "PHP/",
        r"X-Powered-By: PHP/(\d\.\d+\.\d+)",
    ),
    program(
        "python",
        &[
            ("python", "python"),
            ("python_software_foundation", "cpython"),
        ],
        "Python ",
        r"Python ([23]\.\d+\.\d+)\x00",
    ),
    program(
        "perl",
        &[("perl", "perl")],
        "This is perl",
        r"This is perl[^\n]{0,40}\(?v(5\.\d+\.\d+)",
    ),
    program("jq", JQ, "jq-", r"\x00jq-(1\.\d(?:\.\d)?)\x00"),
    program(
        "tcpdump",
        &[("tcpdump", "tcpdump")],
        "tcpdump version ",
        r"tcpdump version (\d\.\d+\.\d+)",
    ),
    library(
        "libpcap",
        &[("tcpdump", "libpcap")],
        "libpcap version ",
        r"libpcap version (\d\.\d+\.\d+)",
        "libpcap",
        &["pcap_"],
    ),
    program(
        "iperf3",
        &[("es", "iperf3")],
        "iperf 3.",
        r"iperf (3\.\d+(?:\.\d+)?)",
    ),
    program(
        "iptables",
        &[("netfilter", "iptables")],
        "iptables v",
        r"iptables v(1\.\d\.\d+)",
    ),
    program(
        "ntp",
        &[("ntp", "ntp")],
        "ntpd ",
        r"ntpd (4\.\d\.\d+(?:p\d+)?)[@ ]",
    ),
    program(
        "chrony",
        CHRONY,
        "chronyd (chrony) version ",
        r"chronyd \(chrony\) version (\d\.\d+(?:\.\d+)?)",
    ),
    program(
        "avahi",
        &[("avahi", "avahi")],
        "avahi ",
        r"\x00avahi (0\.\d+(?:\.\d+)?)\x00",
    ),
    program(
        "bluez",
        &[("bluez", "bluez")],
        "bluetoothd",
        r"bluetoothd (\d+\.\d+)",
    ),
    program(
        "dbus",
        &[("freedesktop", "dbus"), ("d-bus_project", "d-bus")],
        "D-Bus Message Bus Daemon ",
        r"D-Bus Message Bus Daemon (1\.\d+\.\d+)",
    ),
    program(
        "systemd",
        SYSTEMD,
        "systemd ",
        r"\x00systemd (2\d\d(?:\.\d+)?)[ \x00]",
    ),
    program(
        "isc-dhcp",
        &[("isc", "dhcp")],
        "isc-dhc",
        r"isc-dhc(?:lient|pd)-(?:V|v)?(\d\.\d+\.\d+)",
    ),
    program(
        "dhcpcd",
        &[("dhcpcd_project", "dhcpcd"), ("roy_marples", "dhcpcd")],
        "dhcpcd-",
        r"dhcpcd-(\d+\.\d+\.\d+)",
    ),
    program(
        "bind",
        &[("isc", "bind")],
        "BIND ",
        r"BIND (9\.\d+\.\d+(?:-P\d)?)",
    ),
    program(
        "unbound",
        &[("nlnetlabs", "unbound")],
        "unbound ",
        r"\x00unbound (1\.\d+\.\d+)",
    ),
    program(
        "openvpn",
        &[("openvpn", "openvpn")],
        "OpenVPN ",
        r"OpenVPN (2\.\d+(?:\.\d+|_rc\d+)) [\w.-]+ \[",
    ),
    program(
        "strongswan",
        &[("strongswan", "strongswan")],
        "strongSwan ",
        r"strongSwan (?:U)?(\d\.\d+\.\d+)",
    ),
    program(
        "stunnel",
        &[("stunnel", "stunnel")],
        "stunnel ",
        r"stunnel (\d\.\d+) on ",
    ),
    program(
        "quagga",
        &[("quagga", "quagga")],
        "Quagga ",
        r"Quagga (?:version )?(\d\.\d+\.\d+)",
    ),
    program(
        "frr",
        FRR,
        "FRRouting ",
        r"FRRouting (?:\(FRR\) )?(\d+\.\d+(?:\.\d+)?)",
    ),
    program(
        "bird",
        &[("nic", "bird")],
        "BIRD version ",
        r"BIRD version (\d\.\d+(?:\.\d+)?)",
    ),
    program(
        "wget",
        &[("gnu", "wget")],
        "GNU Wget ",
        r"GNU Wget (1\.\d+(?:\.\d+)?)",
    ),
    program(
        "wget",
        &[("gnu", "wget")],
        "Wget/",
        r"\x00Wget/(1\.\d+(?:\.\d+)?)",
    ),
    program(
        "rsync",
        &[("samba", "rsync")],
        "rsync  version ",
        r"rsync  version (\d\.\d+\.\d+)",
    ),
    program(
        "bash",
        &[("gnu", "bash")],
        "Bash version ",
        r"Bash version (\d\.\d+(?:\.\d+)?)",
    ),
    program(
        "bash",
        &[("gnu", "bash")],
        "GNU bash, version ",
        r"GNU bash, version (\d\.\d+(?:\.\d+)?)",
    ),
    program(
        "sudo",
        &[("sudo_project", "sudo")],
        "Sudo version ",
        r"Sudo version (1\.\d+\.\d+(?:p\d+)?)",
    ),
    program(
        "tar",
        &[("gnu", "tar")],
        "(GNU tar) ",
        r"\(GNU tar\) (1\.\d+)",
    ),
    library(
        "xz",
        &[("tukaani", "xz")],
        "XZ Utils) ",
        r"XZ Utils\) (5\.\d+\.\d+)",
        "liblzma",
        &["xz"],
    ),
    library(
        "bzip2",
        &[("bzip", "bzip2"), ("bzip2_project", "bzip2")],
        "bzip2/libbzip2",
        r"bzip2/libbzip2[^\n]{0,60}version (1\.\d+\.\d+)",
        "libbz2",
        &["bzip2"],
    ),
    library(
        "libpng",
        &[("libpng", "libpng")],
        "libpng version ",
        r"libpng version (1\.\d\.\d+)",
        "libpng",
        &["IHDR"],
    ),
    library(
        "libjpeg-turbo",
        &[("libjpeg-turbo", "libjpeg-turbo")],
        "libjpeg-turbo version ",
        r"libjpeg-turbo version (\d\.\d+(?:\.\d+)?)",
        "libjpeg",
        &["JFIF"],
    ),
    library(
        "libtiff",
        &[("libtiff", "libtiff")],
        "LIBTIFF, Version ",
        r"LIBTIFF, Version (\d\.\d+\.\d+)",
        "libtiff",
        &["TIFFOpen"],
    ),
    library(
        "ffmpeg",
        &[("ffmpeg", "ffmpeg")],
        "FFmpeg version ",
        r"FFmpeg version (\d\.\d+(?:\.\d+)?)",
        "libavutil",
        &["libav"],
    ),
    program(
        "ffmpeg",
        &[("ffmpeg", "ffmpeg")],
        "ffmpeg version ",
        r"ffmpeg version (\d\.\d+(?:\.\d+)?)",
    ),
    bare(
        "live555",
        &[("live555", "live555"), ("live555", "streaming_media")],
        "LIVE555 Streaming Media v",
        r"LIVE555 Streaming Media v(20\d\d\.\d\d\.\d\d)",
    ),
    library(
        "json-c",
        &[("json-c_project", "json-c"), ("json-c", "json-c")],
        "json-c",
        r"json-c[ -](0\.\d+)",
        "libjson-c",
        &[],
    ),
    anywhere(library(
        "libxml2",
        &[("xmlsoft", "libxml2")],
        "xmlParserVersion",
        r"\x00(2\d{4})(?:-[^\x00]{0,40})?\x00",
        "libxml2",
        &[],
    )),
    program(
        "e2fsprogs",
        &[("e2fsprogs_project", "e2fsprogs")],
        "Using EXT2FS Library version ",
        r"(1\.\d+\.\d+)\x00",
    ),
    program(
        "krb5",
        KRB5,
        "Kerberos 5 version ",
        r"Kerberos 5 version (1\.\d+(?:\.\d+)?)",
    ),
    bare(
        "freertos",
        &[("amazon", "freertos")],
        "FreeRTOS Kernel V",
        r"FreeRTOS Kernel V(\d+\.\d+\.\d+)",
    ),
    bare(
        "rt-thread",
        &[("rt-thread", "rt-thread")],
        "RT-Thread",
        r"RT-Thread[^\n\x00]{0,40}(\d\.\d\.\d+)",
    ),
    bare(
        "zephyr",
        &[("zephyrproject", "zephyr")],
        "Booting Zephyr OS ",
        r"Booting Zephyr OS (?:build |version )?v?(\d\.\d+(?:\.\d+)?)",
    ),
    bare(
        "lwip",
        &[("lwip_project", "lwip")],
        "lwIP/",
        r"lwIP/(\d\.\d+\.\d+)",
    ),
    bare(
        "threadx",
        &[("microsoft", "azure_rtos_threadx")],
        "ThreadX ",
        r"ThreadX [^\n\x00]{0,60}Version (?:G)?(\d+\.\d+(?:\.\d+)*)",
    ),
    bare(
        "vxworks",
        &[("windriver", "vxworks")],
        "VxWorks ",
        r"VxWorks (?:version )?(\d\.\d+(?:\.\d+)*)",
    ),
    bare(
        "mbed-os",
        &[("arm", "mbed")],
        "mbed-os-",
        r"mbed-os-(\d\.\d+\.\d+)",
    ),
    bare(
        "contiki-ng",
        &[("contiki-ng", "contiki-ng")],
        "Contiki-NG-",
        r"Contiki-NG-(?:release/v)?(\d\.\d+)",
    ),
    bare(
        "liteos",
        &[],
        "Huawei LiteOS ",
        r"Huawei LiteOS (?:Kernel )?V?(\d+\.\d+[^\s\x00]{0,12})",
    ),
    bare(
        "alios-things",
        &[],
        "AliOS Things ",
        r"AliOS Things (?:v)?(\d\.\d+\.\d+)",
    ),
    with(
        apart(program(
            "iptables",
            &[("netfilter", "iptables")],
            "%s v%s (nf_tables)",
            r"(1\.\d\.\d+)",
        )),
        &["iptables"],
    ),
    with(
        apart(program(
            "iptables",
            &[("netfilter", "iptables")],
            "%s v%s (legacy)",
            r"(1\.\d\.\d+)",
        )),
        &["iptables"],
    ),
    library(
        "libcurl",
        LIBCURL,
        "CLIENT libcurl ",
        r"CLIENT libcurl (\d+\.\d+\.\d+)",
        "libcurl",
        &["Curl_", "easy handle already used in multi handle"],
    ),
    anywhere(library(
        "sqlite",
        SQLITE,
        "sqlite_source_id",
        r"(?:\x00|\xfe\xff)(3\.\d{1,2}\.\d{1,2}(?:\.\d)?)\x00",
        "libsqlite3",
        &["sqlite_master"],
    )),
    library(
        "openssl",
        OPENSSL,
        "OpenSSL ",
        r"OpenSSL (1\.\d\.\d{1,2}[a-z]{0,2})(?:-fips)? {1,2}\d{1,2} [A-Z][a-z]{2} (?:19|20)\d\d",
        "libssl",
        &["ssl/s3_lib.c"],
    ),
    program(
        "xz",
        &[("tukaani", "xz")],
        "xz (XZ Utils) ",
        r"\x00xz \(XZ Utils\) (5\.\d+\.\d+)",
    ),
    apart(program(
        "mosquitto",
        &[("eclipse", "mosquitto")],
        "mosquitto version %s",
        r"(\d\.\d+\.\d+)",
    )),
    apart(program(
        "sudo",
        &[("sudo_project", "sudo")],
        "Sudo version %s",
        r"(1\.\d+\.\d+(?:p\d+)?)",
    )),
    apart(program(
        "rsync",
        &[("samba", "rsync")],
        "rsync error: %s (code",
        r"([23]\.\d\.\d+)",
    )),
    apart(program(
        "bluez",
        &[("bluez", "bluez")],
        "BlueZ %s",
        r"([45]\.\d\d)",
    )),
    apart(program(
        "chrony",
        CHRONY,
        "chronyd (chrony) version %s",
        r"(\d\.\d+(?:\.\d+)?)",
    )),
    apart(program(
        "dbus",
        &[("freedesktop", "dbus"), ("d-bus_project", "d-bus")],
        "D-Bus Message Bus Daemon %s",
        r"(1\.\d+\.\d+)",
    )),
    apart(program(
        "e2fsprogs",
        &[("e2fsprogs_project", "e2fsprogs")],
        "e2fsck %s (%s)",
        r"(1\.\d\d\.\d+)",
    )),
    apart(program(
        "e2fsprogs",
        &[("e2fsprogs_project", "e2fsprogs")],
        "mke2fs %s (%s)",
        r"(1\.\d\d\.\d+)",
    )),
    apart(program(
        "hostapd",
        &[("w1.fi", "hostapd")],
        "hostapd v%s",
        r"([12]\.\d+(?:\.\d+)?|0\.[4-9]\.\d+)",
    )),
    apart(program(
        "wpa_supplicant",
        &[("w1.fi", "wpa_supplicant")],
        "wpa_supplicant v%s",
        r"([12]\.\d+(?:\.\d+)?|0\.[4-9]\.\d+)",
    )),
    apart(program(
        "jq",
        JQ,
        "JSON processor [version %s]",
        r"(1\.\d(?:\.\d)?)",
    )),
    apart(program(
        "wget",
        &[("gnu", "wget")],
        "GNU Wget %s built on",
        r"(1\.[12]\d(?:\.\d+)?)",
    )),
    apart(program(
        "tar",
        &[("gnu", "tar")],
        "\0GNU tar\0",
        r"(1\.[1-9]\d)",
    )),
    with(
        program(
            "tcpdump",
            &[("tcpdump", "tcpdump")],
            "%s version ",
            r"\x00%s version ([34]\.\d+\.\d+)\n?\x00",
        ),
        &["tcpdump"],
    ),
    behind(
        program(
            "iptables",
            &[("netfilter", "iptables")],
            " (nf_tables)",
            r"\x00(1\.\d\.\d+) \(nf_tables\)\x00",
        ),
        12,
    ),
    behind(
        program(
            "iptables",
            &[("netfilter", "iptables")],
            " (legacy)",
            r"\x00(1\.\d\.\d+) \(legacy\)\x00",
        ),
        12,
    ),
    apart(library(
        "bzip2",
        &[("bzip", "bzip2"), ("bzip2_project", "bzip2")],
        "bzip2/libbzip2: internal error",
        r"(1\.\d\.\d+), \d+-[A-Z][a-z]{2}-\d{4}",
        "libbz2",
        &["bzip2"],
    )),
    apart(library(
        "json-c",
        &[("json-c_project", "json-c"), ("json-c", "json-c")],
        "json_object_",
        r"(0\.1\d(?:\.\d+)?)",
        "libjson-c",
        &[],
    )),
    program(
        "pptpd",
        &[("poptop", "pptp_server")],
        "pptpd v",
        r"pptpd v(1\.\d\.\d+)",
    ),
    program(
        "ebtables",
        &[("netfilter", "ebtables")],
        "ebtables v2",
        r"ebtables v(2\.\d+\.\d+(?:-\d)?)",
    ),
    program(
        "mdnsresponder",
        &[("apple", "mdnsresponder")],
        "mDNSResponder",
        r"mDNSResponder(?: \(Engineering Build\))?-(\d{2,4}(?:\.\d+)*)[ \x00]",
    ),
    program(
        "wireguard-tools",
        &[],
        "wireguard-tools v",
        r"wireguard-tools v(1\.\d\.\d+)",
    ),
    program(
        "igmpproxy",
        &[],
        "igmpproxy, Version ",
        r"igmpproxy, Version (0\.\d+(?:\.\d+)?)",
    ),
    program(
        "unzip",
        &[("unzip_project", "unzip"), ("info-zip", "unzip")],
        "UnZip ",
        r"UnZip (\d\.\d\d)[a-z]? of ",
    ),
    program(
        "util-linux",
        &[("kernel", "util-linux"), ("linux", "util-linux")],
        "from util-linux ",
        r"from util-linux (2\.\d+(?:\.\d+)?)",
    ),
    with(
        apart(program(
            "gzip",
            &[("gnu", "gzip")],
            "Compress or uncompress FILEs (by default, compress FILES in-place)",
            r"(1\.\d{1,2})",
        )),
        &["gzip"],
    ),
    // The vendor's device SDK in C tells itself in its login.
    bare("link-kit", &[], "sdk-c-", r"[=\x00]sdk-c-(\d\.\d+\.\d+)"),
    apart(library(
        "net-snmp",
        &[("net-snmp", "net-snmp")],
        "NET-SNMP version: %s",
        r"(5\.\d+(?:\.\d+)*)",
        "libnetsnmp",
        &[],
    )),
];

/// Names of vendor and product.
pub(super) type Cpes = &'static [(&'static str, &'static str)];

/// Libraries whose file names carry the release.
pub(super) static SONAMES: &[(&str, &str, Cpes)] = &[
    ("libz", "zlib", ZLIB),
    ("libpng12", "libpng", &[("libpng", "libpng")]),
    ("libpng16", "libpng", &[("libpng", "libpng")]),
    ("liblzma", "xz", &[("tukaani", "xz")]),
    ("libpcap", "libpcap", &[("tcpdump", "libpcap")]),
    ("libxml2", "libxml2", &[("xmlsoft", "libxml2")]),
    ("libbz2", "bzip2", &[("bzip", "bzip2")]),
    (
        "libuClibc",
        "uclibc",
        &[("uclibc", "uclibc"), ("uclibc-ng_project", "uclibc-ng")],
    ),
    ("libssl", "openssl", OPENSSL),
    ("libcurl", "libcurl", LIBCURL),
    ("libexpat", "expat", EXPAT),
    ("libwebp", "libwebp", &[("webmproject", "libwebp")]),
    ("libfreetype", "freetype", &[("freetype", "freetype")]),
    ("libavahi-core", "avahi", &[("avahi", "avahi")]),
    ("libjson-c", "json-c", &[("json-c_project", "json-c")]),
    ("libsqlite3", "sqlite", SQLITE),
    ("libmosquitto", "mosquitto", &[("eclipse", "mosquitto")]),
    ("libnetsnmp", "net-snmp", &[("net-snmp", "net-snmp")]),
    (
        "libcjson",
        "cjson",
        &[("davegamble", "cjson"), ("cjson_project", "cjson")],
    ),
    ("libjansson", "jansson", &[("jansson_project", "jansson")]),
    ("libxslt", "libxslt", &[("xmlsoft", "libxslt")]),
    (
        "libgstreamer-1.0",
        "gstreamer",
        &[
            ("gstreamer", "gstreamer"),
            ("gstreamer_project", "gstreamer"),
        ],
    ),
];

/// The release that the number behind `.so.` stands for; most are numbers of the interface, which
/// say nothing.
pub(super) fn release_of(stem: &str, number: &str) -> String {
    match stem {
        // libpng16.so.16.37.0 is 1.6.37, libpng12.so.0.50.0 is 1.2.50.
        "libpng12" | "libpng16" => {
            let minor = number.split('.').nth(1).unwrap_or("0");
            let series = if stem == "libpng16" { "1.6" } else { "1.2" };
            format!("{series}.{minor}")
        }
        "libz" | "liblzma" | "libpcap" | "libxml2" | "libuClibc" | "libcjson" => number.to_owned(),
        // libgstreamer-1.0.so.0.1804.0 is 1.18.4.
        "libgstreamer-1.0" => match number.split('.').nth(1).and_then(|n| n.parse::<u32>().ok()) {
            Some(n) if n >= 100 => format!("1.{}.{}", n / 100, n % 100),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

/// Names of packages that differ from the component's.
const PACKAGES: &[(&str, &str)] = &[
    ("apache2", "httpd"),
    ("dnsmasq-full", "dnsmasq"),
    ("dropbear-bin", "dropbear"),
    ("kernel", "linux"),
    ("libbz2", "bzip2"),
    ("libbz2-1.0", "bzip2"),
    ("libc6", "glibc"),
    ("libcrypto", "openssl"),
    ("libexpat", "expat"),
    ("libexpat1", "expat"),
    ("liblzma", "xz"),
    ("liblzma5", "xz"),
    ("libopenssl", "openssl"),
    ("libssl", "openssl"),
    ("libsqlite3", "sqlite"),
    ("libsqlite3-0", "sqlite"),
    ("libupnp", "libupnp"),
    ("libxml2", "libxml2"),
    ("lua5.1", "lua"),
    ("openssh-client", "openssh"),
    ("openssh-server", "openssh"),
    ("openssl-util", "openssl"),
    ("ppp-mod-pppoe", "ppp"),
    ("sqlite3", "sqlite"),
    ("uhttpd", "uhttpd"),
    ("wpad", "hostapd"),
    ("wpad-mini", "hostapd"),
    ("wpad-basic", "hostapd"),
    ("xz-utils", "xz"),
    ("zlib1g", "zlib"),
];

/// The component that a package is, with its CPE names.
pub(super) fn of_package(package: &str) -> Option<(&'static str, Cpes)> {
    let wanted = PACKAGES
        .iter()
        .find(|(p, _)| *p == package)
        .map_or(package, |(_, component)| component);
    // libcurl4, libssl1.1, libopenssl1.1: the number belongs to the interface.
    let bare = wanted.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    let named = |name: &str| {
        RULES
            .iter()
            .find(|r| r.name == name)
            .map(|r| (r.name, r.cpes))
    };
    named(wanted).or_else(|| named(bare)).or_else(|| {
        PACKAGES
            .iter()
            .find(|(p, _)| *p == bare)
            .and_then(|(_, component)| named(component))
    })
}

/// The version as its project writes it: libxml2 keeps 2.9.14 as 20914.
pub(super) fn spelled(name: &str, version: String) -> String {
    if name != "libxml2" || version.contains('.') {
        return version;
    }
    let number = version.parse::<u32>().unwrap_or(0);
    format!(
        "{}.{}.{}",
        number / 10_000,
        number / 100 % 100,
        number % 100
    )
}

//! The set: binaries out of Debian packages with what they are, traps, weaknesses, and the packers.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A package's binary: package, the component's names, and how the file's path ends (`*` stands for
/// anything but a slash).
type Row = (&'static str, &'static [&'static str], &'static str);

/// What is what, by Debian's own packaging. Names are ours first, then cve-bin-tool's.
const TABLE: &[Row] = &[
    ("avahi-daemon", &["avahi"], "usr/sbin/avahi-daemon"),
    ("bash", &["bash"], "bin/bash"),
    ("bluez", &["bluez"], "bluetoothd"),
    ("busybox", &["busybox"], "bin/busybox"),
    ("bzip2", &["bzip2"], "bin/bzip2"),
    ("chrony", &["chrony"], "usr/sbin/chronyd"),
    ("curl", &["curl"], "usr/bin/curl"),
    ("dbus", &["dbus"], "usr/bin/dbus-daemon"),
    ("dnsmasq-base", &["dnsmasq"], "usr/sbin/dnsmasq"),
    (
        "dropbear-bin",
        &["dropbear", "dropbear_ssh"],
        "usr/sbin/dropbear",
    ),
    (
        "dropbear-bin",
        &["dropbear", "dropbear_ssh"],
        "usr/bin/dbclient",
    ),
    ("e2fsprogs", &["e2fsprogs"], "sbin/e2fsck"),
    ("e2fsprogs", &["e2fsprogs"], "sbin/mke2fs"),
    ("hostapd", &["hostapd"], "usr/sbin/hostapd"),
    ("iperf3", &["iperf3"], "usr/bin/iperf3"),
    ("iptables", &["iptables"], "sbin/xtables-nft-multi"),
    ("iptables", &["iptables"], "sbin/xtables-legacy-multi"),
    ("jq", &["jq"], "usr/bin/jq"),
    ("libbz2-1.0", &["bzip2"], "libbz2.so.1.0.4"),
    ("libc6", &["glibc"], "libc.so.6"),
    ("libc6", &["glibc"], "libc-2.31.so"),
    ("libcurl4", &["libcurl", "curl"], "libcurl.so.4.*"),
    ("libexpat1", &["expat", "libexpat"], "libexpat.so.1.*"),
    ("libfreetype6", &["freetype"], "libfreetype.so.6.*"),
    ("libgnutls30", &["gnutls"], "libgnutls.so.30.*"),
    ("libiperf0", &["iperf3"], "libiperf.so.0.*"),
    ("libjpeg62-turbo", &["libjpeg-turbo"], "libjpeg.so.62.*"),
    ("libjq1", &["jq"], "libjq.so.1.*"),
    ("libjson-c5", &["json-c"], "libjson-c.so.5.*"),
    ("liblzma5", &["xz", "xz_utils"], "liblzma.so.5.*"),
    (
        "libmbedcrypto7",
        &["mbedtls", "mbed_tls"],
        "libmbedcrypto.so.*",
    ),
    ("libpcap0.8", &["libpcap"], "libpcap.so.1.*"),
    ("libpng16-16", &["libpng"], "libpng16.so.16.*"),
    ("libsnmp40", &["net-snmp"], "libnetsnmp.so.40.*"),
    ("libsqlite3-0", &["sqlite"], "libsqlite3.so.0.*"),
    ("libssl1.1", &["openssl"], "libcrypto.so.1.1"),
    ("libssl1.1", &["openssl"], "libssl.so.1.1"),
    ("libssl3", &["openssl"], "libcrypto.so.3"),
    ("libssl3", &["openssl"], "libssl.so.3"),
    ("libxml2", &["libxml2"], "libxml2.so.2.*"),
    ("lighttpd", &["lighttpd"], "usr/sbin/lighttpd"),
    ("lua5.1", &["lua"], "usr/bin/lua5.1"),
    ("lua5.3", &["lua"], "usr/bin/lua5.3"),
    (
        "minidlna",
        &["minidlna", "readymedia"],
        "usr/sbin/minidlnad",
    ),
    ("miniupnpd", &["miniupnpd"], "usr/sbin/miniupnpd"),
    ("miniupnpd-nftables", &["miniupnpd"], "usr/sbin/miniupnpd"),
    ("mosquitto", &["mosquitto"], "usr/sbin/mosquitto"),
    ("nginx", &["nginx"], "usr/sbin/nginx"),
    ("nginx-light", &["nginx"], "usr/sbin/nginx"),
    ("openssh-client", &["openssh"], "usr/bin/ssh"),
    ("openssh-client", &["openssh"], "usr/bin/ssh-keyscan"),
    ("openssh-server", &["openssh"], "usr/sbin/sshd"),
    ("openvpn", &["openvpn"], "usr/sbin/openvpn"),
    ("ppp", &["ppp", "point-to-point_protocol"], "usr/sbin/pppd"),
    ("rsync", &["rsync"], "usr/bin/rsync"),
    ("stunnel4", &["stunnel"], "usr/bin/stunnel4"),
    ("sudo", &["sudo"], "usr/bin/sudo"),
    ("tar", &["tar"], "bin/tar"),
    ("tcpdump", &["tcpdump"], "usr/bin/tcpdump"),
    ("unbound", &["unbound"], "usr/sbin/unbound"),
    ("vsftpd", &["vsftpd"], "usr/sbin/vsftpd"),
    ("wget", &["wget"], "usr/bin/wget"),
    ("wpasupplicant", &["wpa_supplicant"], "sbin/wpa_supplicant"),
    ("xl2tpd", &["xl2tpd"], "usr/sbin/xl2tpd"),
    ("xz-utils", &["xz", "xz_utils"], "usr/bin/xz"),
    ("zlib1g", &["zlib"], "libz.so.1.*"),
];

/// What a program says of itself where Debian numbers its package otherwise: bash tells its patch
/// level, jq 1.7.1 was released with the number before, OpenSSH 10.0p1 with the one after.
const OWN_WORD: &[(&str, &str, &str)] = &[
    ("bash", "5.1", "5.1.4"),
    ("jq", "1.7.1", "1.7"),
    ("openssh", "10.0p1", "10.0p2"),
];

/// Lines of shell that put something into `root` that looks like a component and is none; they run
/// in a folder of their own beside it.
pub(crate) const TRAPS: &[&str] = &[
    // A caller with the version of the header that it was compiled with.
    r#"printf 'const char *v="OpenSSL 1.0.1f 6 Jan 2014";int SSL_new(void);int main(void){return v[SSL_new()];}' > t.c
       echo 'int SSL_new(void){return 0;}' > s.c; gcc -shared -fPIC -Wl,-soname,libssl.so.1.0.0 -o libssl.so s.c
       mkdir -p ../root/usr/sbin; gcc -s -o ../root/usr/sbin/caller t.c ./libssl.so"#,
    // A plugin that tells with what it was built.
    r#"printf 'const char *a="built with zlib/1.2.3, libpng 1.2.50, expat 2.0.1";const char *f(void){return a;}' > t.c
       mkdir -p ../root/usr/lib; gcc -s -shared -fPIC -Wl,-soname,plugin.so -o ../root/usr/lib/plugin.so t.c"#,
    // Text about software.
    "mkdir -p ../root/www; printf 'BusyBox v1.20.2 (2012-01-01)\\nOpenSSH_5.1p1\\nlighttpd/1.4.20\\nSSH-2.0-dropbear_0.52\\n' > ../root/www/about.txt",
    // A program that knows its peers.
    r#"printf 'const char *p[]={"OpenSSH_6.6.1*","OpenSSH_2.*,OpenSSH_3.0*","lighttpd/%%s","curl/%%d.%%d",0};int main(int c,char**v){return p[c]!=v[0];}' > t.c
       gcc -s -o ../root/peers t.c"#,
];

/// A weakness: its code, and the lines of shell that put it into `root`.
pub(crate) const WEAK: &[(&str, &str)] = &[
    (
        "EmptyPassword",
        "mkdir -p root/etc; printf 'root::0:0:root:/root:/bin/sh\\n' > root/etc/passwd",
    ),
    (
        "ExtraRootUid",
        "mkdir -p root/etc; printf 'root:x:0:0:root:/root:/bin/sh\\nsupport:x:0:0::/:/bin/sh\\n' > root/etc/passwd",
    ),
    (
        "WeakHash",
        "mkdir -p root/etc; printf 'root:$1$abcdefgh$LTeUgQGNYFjfvr5kHnxOg0:0:0:99999:7:::\\n' > root/etc/shadow",
    ),
    (
        "PrivateKeyLeak",
        "mkdir -p root/etc/ssl; openssl genrsa 2048 > root/etc/ssl/server.key 2>/dev/null",
    ),
    (
        "AuthorizedKeys",
        "mkdir -p root/root/.ssh; echo 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQDB6xN4vBnpmQ== maker' > root/root/.ssh/authorized_keys",
    ),
    (
        "TelnetEnabled",
        "mkdir -p root/etc/init.d; printf '#!/bin/sh\\ntelnetd -l /bin/sh &\\n' > root/etc/init.d/rcS; chmod 755 root/etc/init.d/rcS",
    ),
    (
        "SshdWeakConfig",
        "mkdir -p root/etc/ssh; printf 'PermitRootLogin yes\\nPermitEmptyPasswords yes\\n' > root/etc/ssh/sshd_config",
    ),
];

/// A file that is a component, with its version.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) names: &'static [&'static str],
    pub(crate) version: String,
    /// From the root, with a slash before.
    pub(crate) path: String,
    /// The files of its package.
    pub(crate) with: Vec<String>,
    /// Whether name and version stand in the file for anybody to read.
    pub(crate) readable: bool,
}

/// How an image is packed: a name, and lines of shell that make `image` of `root`.
pub(crate) const PACKERS: &[(&str, &str)] = &[
    ("squashfs xz", "mksquashfs root image -quiet -noappend -no-progress -comp xz >/dev/null"),
    ("ubi of ubifs", "mkfs.ubifs -r root -m 2048 -e 126976 -c 4000 -x zlib -o v.ubifs
        printf '[v]\\nmode=ubi\\nimage=v.ubifs\\nvol_id=0\\nvol_type=dynamic\\nvol_name=rootfs\\nvol_flags=autoresize\\n' > u.ini
        ubinize -o image -m 2048 -p 128KiB u.ini"),
    ("jffs2, little", "mkfs.jffs2 -r root -o image -l -e 128KiB -n"),
    ("ext2", "genext2fs -d root -b $(($(du -sk root | cut -f1) * 2 + 4096)) -N 20000 image"),
    ("cpio in gzip in uimage", "(cd root && find . | cpio -o -H newc --quiet) | gzip -9 > i.gz
        mkimage -A arm -T ramdisk -C gzip -n initrd -d i.gz image >/dev/null"),
    ("squashfs lzo behind noise", "mksquashfs root fs -quiet -noappend -no-progress -comp lzo >/dev/null
        (head -c 65536 /dev/urandom; cat fs; head -c 70000 /dev/zero) > image"),
    ("jffs2, big", "mkfs.jffs2 -r root -o image -b -e 128KiB"),
    ("cpio in xz in fit", "(cd root && find . | cpio -o -H newc --quiet) | xz --check=crc32 > i.xz
        printf '/dts-v1/; / { description=\"t\"; #address-cells=<1>; images { r { description=\"r\"; data=/incbin/(\"i.xz\"); type=\"ramdisk\"; arch=\"arm\"; os=\"linux\"; compression=\"none\"; hash { algo=\"sha256\"; }; }; }; configurations { default=\"c\"; c { ramdisk=\"r\"; }; }; };' > i.its
        mkimage -f i.its image >/dev/null"),
    ("ext4", "mke2fs -q -t ext4 -d root image $(($(du -sk root | cut -f1) * 2 + 8192))k"),
    ("romfs", "genromfs -d root -f image"),
    ("tar in zstd", "tar -cf - -C root . | zstd -q -19 > image"),
    ("squashfs zstd", "mksquashfs root image -quiet -noappend -no-progress -comp zstd >/dev/null"),
    ("iso", "xorriso -as mkisofs -quiet -R -o image root 2>/dev/null"),
    ("squashfs lz4", "mksquashfs root image -quiet -noappend -no-progress -comp lz4 >/dev/null"),
];

pub(crate) fn sh(home: &Path, line: &str) {
    let out = Command::new("bash")
        .args(["-ec", line])
        .current_dir(home)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "`{line}` failed (`tools/setup scan` installs the tools): {}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
}

/// The packages, by release and machine, `most` of each.
pub(crate) fn packages(what: &str) -> Vec<(String, Vec<PathBuf>)> {
    let tools = std::env::var_os("MUSTER_TOOLS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.tools"),
        PathBuf::from,
    );
    let home = tools.join("labelled").join(what);
    let listed = |folder: &Path| {
        let mut all: Vec<PathBuf> = fs::read_dir(folder)
            .unwrap_or_else(|_| {
                panic!("there are no packages; `tools/labelled {what}` fetches them")
            })
            .flatten()
            .map(|entry| entry.path())
            .collect();
        all.sort();
        all
    };
    let folders = listed(&home).into_iter().filter(|path| path.is_dir());
    folders
        .map(|folder| {
            let name = folder.file_name().unwrap().to_string_lossy().into_owned();
            (name, listed(&folder))
        })
        .collect()
}

/// Unpacks packages into `root` and says what of it is which component.
pub(crate) fn fill(root: &Path, packages: &[PathBuf]) -> Vec<Label> {
    let mut labels = Vec::new();
    let mut before = BTreeSet::new();
    fs::create_dir_all(root).unwrap();
    for package in packages {
        let run = |args: &[&str]| {
            let out = Command::new("dpkg-deb").args(args).output().unwrap();
            assert!(out.status.success(), "{}", package.display());
            String::from_utf8_lossy(&out.stdout).trim().to_owned()
        };
        let path = package.to_str().unwrap();
        let (name, version) = (run(&["-f", path, "Package"]), run(&["-f", path, "Version"]));
        run(&["-x", path, root.to_str().unwrap()]);
        let version = upstream(&version);
        let mut files = Vec::new();
        gather(root, "", &mut files);
        files.retain(|file| !before.contains(file));
        before.extend(files.iter().cloned());
        for (_, names, end) in TABLE.iter().filter(|(of, ..)| *of == name) {
            for file in files.iter().filter(|file| ends(file, end)) {
                let bytes = fs::read(root.join(&file[1..])).unwrap();
                let word = OWN_WORD
                    .iter()
                    .find(|(of, number, _)| *of == names[0] && *number == version);
                let version = word.map_or_else(|| version.clone(), |(.., own)| (*own).to_owned());
                labels.push(Label {
                    names,
                    readable: is_readable(&bytes, names, &version),
                    version,
                    path: file.clone(),
                    with: files.clone(),
                });
            }
        }
    }
    labels
}

/// Regular files below a folder, each from the root.
pub(crate) fn gather(folder: &Path, path: &str, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            gather(&entry.path(), &path, files);
        } else if kind.is_file() {
            files.push(path);
        }
    }
}

fn ends(path: &str, end: &str) -> bool {
    match end.strip_suffix('*') {
        None => path.ends_with(&format!("/{end}")),
        Some(start) => path
            .rsplit_once(&format!("/{start}"))
            .is_some_and(|(_, rest)| !rest.contains('/')),
    }
}

/// The version of the project, out of a version of Debian's.
fn upstream(version: &str) -> String {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    let version = version.rsplit_once('-').map_or(version, |(rest, _)| rest);
    // 1.3.dfsg+really1.3.1 is 1.3.1.
    let version = version
        .rsplit_once("+really")
        .map_or(version, |(_, rest)| rest);
    let end = version.find(['+', '~']).unwrap_or(version.len());
    version[..end].trim_end_matches(".dfsg").to_owned()
}

/// Whether the version stands in the bytes as a number of its own, and a name as well. This knows
/// nothing of how the scanner looks.
fn is_readable(bytes: &[u8], names: &[&str], version: &str) -> bool {
    let lower = bytes.to_ascii_lowercase();
    let named = names
        .iter()
        .any(|name| memchr::memmem::find(&lower, name.as_bytes()).is_some());
    let version = version.as_bytes();
    let stands = memchr::memmem::find_iter(bytes, version).any(|at| {
        let before = at.checked_sub(1).and_then(|at| bytes.get(at));
        let after = &bytes[at + version.len()..];
        let inner = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_digit() || *b == b'.');
        let goes_on = after.first().is_some_and(u8::is_ascii_alphanumeric)
            || after.first() == Some(&b'.') && after.get(1).is_some_and(u8::is_ascii_digit);
        !inner(before) && !goes_on
    });
    named && stands
}

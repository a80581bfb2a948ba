//! Components are found where they are, and not where something merely speaks of them.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

use std::{fs, path::Path, process::Command};

use scan::{
    Limits,
    identify::{Component, Confidence, Method},
    unpack,
};

fn sh(home: &Path, line: &str) {
    let out = Command::new("sh")
        .args(["-ec", line])
        .current_dir(home)
        .output()
        .unwrap();
    assert!(
        out.status.success(),
        "{line}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
}

/// Builds `root` by the lines, packs it, and tells what is in it.
fn image(lines: &[&str]) -> Vec<Component> {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir_all(home.path().join("root/usr/lib")).unwrap();
    for line in lines {
        sh(home.path(), line);
    }
    sh(
        home.path(),
        "mksquashfs root image -quiet -noappend -no-progress -comp xz >/dev/null",
    );
    let bytes = fs::read(home.path().join("image")).unwrap();
    scan::identify(&unpack("image", bytes.into(), &Limits::default(), &|| {
        false
    }))
}

fn names(found: &[Component]) -> Vec<(&str, &str)> {
    found
        .iter()
        .map(|c| (c.name.as_str(), c.version.as_deref().unwrap_or("")))
        .collect()
}

/// A C file with strings that no optimiser removes, and a function.
const C: &str = "c() { printf 'const char *const volatile texts[] = {'; \
    for t in \"$@\"; do printf '\"%s\",' \"$t\"; done; printf '0};int api(void){return texts[0]!=0;}\\n'; };";

#[test]
fn banners_of_programs() {
    let found = image(&[&format!(
        "{C} c 'BusyBox v1.24.1 (2019-01-01 00:00:00 UTC)' > a.c; echo 'int main(void){{return api();}}' >> m.c; \
         echo 'int api(void);int main(void){{return api();}}' > m.c; \
         gcc -s -o root/busybox a.c m.c; \
         c 'SSH-2.0-dropbear_2017.75' > a.c; gcc -s -o root/dropbear a.c m.c; \
         c 'lighttpd/1.4.39' 'OpenSSH_7.4p1' 'OpenSSH_6.6.1*' 'OpenSSH_2.5.0p1*,OpenSSH_2.5.1p1*' > a.c; gcc -s -o root/web a.c m.c; \
         ln -s busybox root/gzip; ln -s busybox root/wget"
    )]);
    assert_eq!(
        names(&found),
        [
            ("busybox", "1.24.1"),
            ("dropbear", "2017.75"),
            ("lighttpd", "1.4.39"),
            ("openssh", "7.4p1")
        ]
    );
    let busybox = &found[0];
    assert_eq!(busybox.method, Method::Banner);
    assert_eq!(busybox.confidence, Confidence::High);
    assert_eq!(busybox.evidence.len(), 1, "links to it are not more of it");
    assert!(busybox.evidence[0].file.ends_with("squashfs@0x0/busybox"));
    assert!(busybox.evidence[0].text.starts_with("BusyBox v1.24.1"));
    assert_eq!(
        found[3].cpe_name(),
        "cpe:2.3:a:openbsd:openssh:7.4:p1:*:*:*:*:*:*"
    );
}

/// Texts that begin before what is looked for.
#[test]
fn banners_with_something_before_them() {
    let found = image(&[&format!(
        "{C} c first ' deflate 1.2.8 Copyright 1995-2013 Jean-loup Gailly ' > a.c; \
         gcc -s -shared -fPIC -Wl,-soname,libz.so.1 -o root/usr/lib/libz.so.1 a.c; \
         c first 'jq-1.5' 'Wget/1.16.3' 'curl 7.40.0 (mips)' 'avahi 0.6.31' > a.c; \
         echo 'int main(void){{return api();}}' >> a.c; gcc -s -o root/tools a.c"
    )]);
    assert_eq!(
        names(&found),
        [
            ("avahi", "0.6.31"),
            ("curl", "7.40.0"),
            ("jq", "1.5"),
            ("wget", "1.16.3"),
            ("zlib", "1.2.8")
        ]
    );
}

/// The version text of a header says nothing about the program that was compiled with it; the
/// library itself, shared or built in, does.
#[test]
fn a_caller_is_not_the_library() {
    let text = "OpenSSL 1.0.2k  26 Jan 2017";
    let build = |rest: &str| format!("{C} {rest}");
    let caller = image(&[&build(&format!(
        "c x > l.c; gcc -shared -fPIC -Wl,-soname,libcrypto.so.1.0.0 -o libcrypto.so l.c; \
         c '{text}' > a.c; echo 'int main(void){{return 0;}}' >> a.c; \
         gcc -s -Wl,--no-as-needed -o root/nginx a.c ./libcrypto.so"
    ))]);
    assert_eq!(names(&caller), [], "needs the library, is not it");
    let plugin = image(&[&build(&format!(
        "c '{text}' > a.c; gcc -s -shared -fPIC -Wl,-soname,mod_tls.so -o root/mod_tls.so a.c"
    ))]);
    assert_eq!(names(&plugin), [], "another library that quotes it");
    let library = image(&[&build(&format!(
        "c '{text}' > a.c; gcc -s -shared -fPIC -Wl,-soname,libcrypto.so.1.0.0 -o root/usr/lib/libcrypto.so.1.0.0 a.c"
    ))]);
    assert_eq!(names(&library), [("openssl", "1.0.2k")]);
    let inside = image(&[&build(&format!(
        "c '{text}' 'crypto/evp/evp_enc.c' > a.c; echo 'int main(void){{return api();}}' >> a.c; gcc -s -static -o root/httpd a.c"
    ))]);
    assert!(names(&inside).contains(&("openssl", "1.0.2k")));
}

/// Texts about components, and other components' numbers, are no components.
#[test]
fn talk_is_not_evidence() {
    let found = image(&[&format!(
        "{C} echo 'This release ships BusyBox v1.24.1 (2019), OpenSSL 1.0.2k  26 Jan 2017 and nginx/1.10.0' > root/README; \
         c 'busybox' '1.2.3' 'needs OpenSSL 1.1.0 or later' 'usage: nginx' 'dnsmasq' '2.80 beta' > a.c; \
         echo 'int main(void){{return api();}}' >> a.c; gcc -s -o root/tool a.c"
    )]);
    assert_eq!(names(&found), []);
}

#[test]
fn package_databases() {
    let found = image(&[
        "mkdir -p root/usr/lib/opkg root/lib/apk/db root/var/lib/dpkg root/etc; \
         printf 'Package: libopenssl1.1\\nVersion: 1.1.1d-1\\nStatus: install ok installed\\nLicense: OpenSSL\\n\\n\
Package: gone\\nVersion: 9\\nStatus: deinstall ok config-files\\n\\n\
Package: dnsmasq-full\\nVersion: 2.80-16\\nStatus: install user installed\\n\\n' > root/usr/lib/opkg/status; \
         printf 'P:musl\\nV:1.1.24-r2\\nL:MIT\\no:musl\\n\\nP:strange\\nV:0.1-r0\\n\\n' > root/lib/apk/db/installed; \
         printf 'Package: zlib1g\\nStatus: install ok installed\\nSource: zlib\\nVersion: 1:1.2.11.dfsg-2+deb11u2\\n\\n' > root/var/lib/dpkg/status; \
         printf 'NAME=\"OpenWrt\"\\nID=\"openwrt\"\\nVERSION_ID=\"19.07.3\"\\n' > root/etc/os-release; \
         printf 'Build Configuration:  |\\n-----\\nDISTRO = poky\\nDISTRO_VERSION = 4.0.1\\n' > root/etc/buildinfo",
    ]);
    assert_eq!(
        names(&found),
        [
            ("dnsmasq", "2.80"),
            ("musl", "1.1.24"),
            ("openssl", "1.1.1d"),
            ("openwrt", "19.07.3"),
            ("poky", "4.0.1"),
            ("strange", "0.1"),
            ("zlib", "1.2.11.dfsg"),
        ]
    );
    assert_eq!(
        found[2].revision.as_deref(),
        Some("1"),
        "which may carry repairs"
    );
    assert_eq!(found[2].licence.as_deref(), Some("OpenSSL"));
}

/// What pip, npm, Maven, LuaRocks, Go and cargo-auditable leave, and what looks like it.
#[test]
fn packages_of_languages() {
    // Version and modules of a program in Go, each behind its length, the modules in their seals.
    let go = "printf '\\377 Go buildinf:\\010\\002' > go.bin; head -c 16 /dev/zero >> go.bin; \
        printf '\\010go1.20.3' >> go.bin; head -c 16 /dev/zero > m; \
        printf 'path\\tx\\nmod\\texample.com/x\\t(devel)\\t\\ndep\\tgithub.com/a/b\\tv1.4.0\\th1:x\\ndep\\tgithub.com/c/d\\tv0.1.0\\n=>\\tgithub.com/e/f\\tv0.2.0\\th1:y\\n' >> m; \
        head -c 16 /dev/zero >> m; n=$(stat -c %s m); printf \"\\\\$(printf %o $((n % 128 + 128)))\\\\$(printf %o $((n / 128)))\" >> go.bin; cat m >> go.bin";
    let rust = "printf '{\"packages\":[{\"name\":\"rustls\",\"version\":\"0.21.1\",\"source\":\"crates.io\"},{\"name\":\"cc\",\"version\":\"1.0.1\",\"source\":\"crates.io\",\"kind\":\"build\"}]}' > l; \
        { printf '\\170\\234'; gzip -nc l | tail -c +11 | head -c -8; python3 -c 'import sys,zlib; sys.stdout.buffer.write(zlib.adler32(open(\"l\",\"rb\").read()).to_bytes(4,\"big\"))'; } > z";
    let found = image(&[
        "p=root/usr/lib/python3/site-packages; mkdir -p $p/Foo_Bar-1.2.dist-info root/opt/node_modules/@a/b/lib root/opt/node_modules/c root/opt/app/META-INF/maven/g/a root/usr/lib/luarocks; \
         printf 'Metadata-Version: 2.1\\nName: Foo_Bar\\nVersion: 1.2\\nLicense: MIT\\n\\nName: other\\nVersion: 9\\n' > $p/Foo_Bar-1.2.dist-info/METADATA; \
         printf 'Name: x\\nVersion: 1\\n' > root/METADATA; \
         echo '{\"name\":\"@a/b\",\"version\":\"3.0.0\",\"license\":\"MIT\"}' > root/opt/node_modules/@a/b/package.json; \
         echo '{\"name\":\"inner\",\"version\":\"3.0.0\"}' > root/opt/node_modules/@a/b/lib/package.json; \
         echo '{\"name\":\"c\",\"version\":\"4.1.0\"}' > root/opt/node_modules/c/package.json; \
         echo '{\"name\":\"app\",\"version\":\"1.0.0\"}' > root/opt/app/package.json; \
         printf '#x\\nversion=2.17.0\\ngroupId=org.log\\nartifactId=core\\n' > root/opt/app/META-INF/maven/g/a/pom.properties; \
         printf 'package = \"luasocket\"\\nversion = \"3.0.0-1\"\\n' > root/usr/lib/luarocks/luasocket-3.0.0-1.rockspec",
        go,
        rust,
        "echo 'int main(void){return 0;}' > a.c; gcc -s -o a a.c; objcopy --add-section .go.buildinfo=go.bin a root/gone; \
         objcopy --add-section .dep-v0=z a root/rusty",
    ]);
    assert_eq!(
        names(&found),
        [
            ("@a/b", "3.0.0"),
            ("c", "4.1.0"),
            ("foo-bar", "1.2"),
            ("github.com/a/b", "1.4.0"),
            ("github.com/e/f", "0.2.0"),
            ("go", "1.20.3"),
            ("luasocket", "3.0.0"),
            ("org.log:core", "2.17.0"),
            ("rustls", "0.21.1"),
        ]
    );
    assert_eq!(found[2].licence.as_deref(), Some("MIT"));
}

/// The versions of a library's symbols tell the least that it can be; Samba's tell its release. A
/// module that is not the kernel's own tells what it is.
#[test]
fn symbols_and_modules() {
    let found = image(&[
        "printf 'int f(void){return 1;}' > a.c; printf 'GLIBC_2.4 {global: f;}; GLIBC_2.17 {} GLIBC_2.4; GLIBC_2.5 {} GLIBC_2.4;' > c.map; \
         gcc -s -nostdlib -shared -fPIC -Wl,-soname,libc.so.6,--version-script=c.map -o root/usr/lib/libc.so.6 a.c; \
         printf 'SAMBA_4.13.13_DEBIAN_4.13.13 {global: f;};' > s.map; \
         gcc -s -nostdlib -shared -fPIC -Wl,-soname,libsmbd-base-samba4.so.0,--version-script=s.map -o root/usr/lib/libsmbd-base.so a.c; \
         mkdir -p root/lib/modules/5.4.0; \
         { printf '\\177ELF\\1\\1\\1'; head -c 600 /dev/zero; printf '\\0license=Proprietary\\0version=7.14\\0vermagic=5.4.0 SMP mod_unload \\0'; } > root/lib/modules/5.4.0/wl.ko; \
         { printf '\\177ELF\\1\\1\\1'; head -c 600 /dev/zero; printf '\\0license=GPL v2\\0vermagic=5.4.0 SMP mod_unload \\0'; } > root/lib/modules/5.4.0/loop.ko",
    ]);
    assert_eq!(
        names(&found),
        [
            ("glibc", ""),
            ("linux", "5.4.0"),
            ("samba", "4.13.13"),
            ("wl", "7.14")
        ]
    );
    assert_eq!(found[0].method, Method::Symbol);
    assert_eq!(found[0].evidence[0].text, "GLIBC_2.17, at least");
    assert_eq!(found[3].licence.as_deref(), Some("Proprietary"));
}

#[test]
fn kernel_by_image_module_and_header() {
    let found = image(&["mkdir -p root/lib/modules/4.14.90; \
         { head -c 3000 /dev/zero; printf 'Linux version 4.14.90-rt (builder@host) (gcc 7.3) #1'; head -c 3000 /dev/zero; } > k; \
         gzip -n -c k > k.gz; mkimage -A arm -O linux -T kernel -C gzip -n 'ARM OpenWrt Linux-4.14.90' -d k.gz root/kernel.bin >/dev/null; \
         { printf '\\177ELF\\1\\1\\1'; head -c 1000 /dev/zero; printf 'vermagic=4.14.90 SMP mod_unload '; head -c 9 /dev/zero; } > root/lib/modules/4.14.90/x.ko; \
         { head -c 3000 /dev/zero; printf 'U-Boot 2016.03-svn1234 (Jan 01 2018 - 00:00:00 +0800)'; head -c 99 /dev/zero; } > root/uboot.bin"]);
    assert_eq!(names(&found), [("linux", "4.14.90"), ("u-boot", "2016.03")]);
    assert_eq!(found[0].evidence.len(), 3);
}

/// Libraries of this machine, as their distribution built them: every version that is told is the
/// package's. Which of them are there differs; that some are found does not.
#[test]
fn real_libraries() {
    let home = tempfile::tempdir().unwrap();
    let list = "for l in libcrypto.so.3 libz.so.1 liblzma.so.5 libcurl.so.4 libgnutls.so.30 libsqlite3.so.0 libc.so.6 libexpat.so.1 libpng16.so.16 libxml2.so.2; do \
                f=$(ls /usr/lib/*/$l /lib/*/$l 2>/dev/null | head -1); [ -n \"$f\" ] || continue; r=$(readlink -f $f); \
                p=$(dpkg -S $r 2>/dev/null || dpkg -S ${r#/usr} 2>/dev/null || true); [ -n \"$p\" ] || continue; \
                p=${p%%:*}; cp $r root/; dpkg-query -W -f '${source:Upstream-Version}\\n' $p | head -1 | sed \"s|^|$(basename $r) |\"; done > versions";
    fs::create_dir(home.path().join("root")).unwrap();
    sh(home.path(), list);
    sh(home.path(), "tar -C root -cf image .");
    let versions = fs::read_to_string(home.path().join("versions")).unwrap();
    let bytes = fs::read(home.path().join("image")).unwrap();
    let found = scan::identify(&unpack("image", bytes.into(), &Limits::default(), &|| {
        false
    }));
    for line in versions.lines() {
        let (file, want) = line.split_once(' ').unwrap();
        let (want, _) = scan::version::upstream(want);
        let mine: Vec<_> = found
            .iter()
            .filter(|c| {
                c.evidence
                    .iter()
                    .any(|e| e.file.ends_with(&format!("/{file}")))
            })
            .collect();
        println!(
            "{file} {want}: {:?}",
            mine.iter()
                .map(|c| (&c.name, &c.version))
                .collect::<Vec<_>>()
        );
        for component in mine {
            let told = component.version.as_deref().unwrap_or(&want);
            assert!(
                want.starts_with(told) || told.starts_with(&want),
                "{file}: {told} is not {want}"
            );
        }
    }
    assert!(
        versions.lines().count() < 2 || !found.is_empty(),
        "none of {versions} found"
    );
}

/// Packages of rpm's databases, made by rpm itself and by Berkeley DB's loader.
#[test]
fn rpm_databases() {
    let spec = "Name: libfoo\\nVersion: 1.2.3\\nRelease: 4.el9\\nEpoch: 2\\nSummary: s\\nLicense: MIT\\n%%description\\nd\\n%%package -n openssl\\nSummary: s\\nVersion: 1.1.1k\\nRelease: 7.el9\\n%%description -n openssl\\nd\\n%%files\\n%%files -n openssl\\n";
    let build = format!(
        "printf '{spec}' > a.spec; rpmbuild -bb --quiet --define \"_topdir $PWD/b\" --define '_build_id_links none' a.spec >log 2>&1 || {{ cat log >&2; exit 1; }}"
    );
    let install = "mkdir -p root/usr/lib/sysimage/rpm; rpm --dbpath $PWD/root/usr/lib/sysimage/rpm \
        -i --justdb --nodeps --noscripts --nosignature --ignorearch --force-debian $(find b -name '*.rpm')";
    let wanted = [("libfoo", "1.2.3"), ("openssl", "1.1.1k")];
    let found = image(&[&build, install]);
    assert_eq!(names(&found), wanted);
    let foo = &found[0];
    assert_eq!(foo.method, Method::Package);
    assert_eq!(foo.licence.as_deref(), Some("MIT"));
    let packaged = foo.packaged.as_ref().unwrap();
    let told = (
        packaged.manager.as_str(),
        packaged.version.as_str(),
        packaged.name.as_str(),
    );
    assert_eq!(told, ("rpm", "2:1.2.3-4.el9", "libfoo"));
    // The rows of the first, as db_load takes them: numbers as keys, headers in hexadecimal.
    let berkeley = "mkdir -p root/var/lib/rpm; \
        { printf 'VERSION=3\\nformat=bytevalue\\ntype=hash\\nh_nelem=2\\ndb_pagesize=4096\\nHEADER=END\\n'; \
        sqlite3 root/usr/lib/sysimage/rpm/rpmdb.sqlite \"select ' '||printf('%08x',hnum)||char(10)||' '||lower(hex(blob)) from Packages\"; \
        printf ' 00000000\\n 00000003\\nDATA=END\\n'; } | db5.3_load root/var/lib/rpm/Packages; rm -r root/usr/lib/sysimage";
    let found = image(&[&build, install, berkeley]);
    assert_eq!(names(&found), wanted);
}

/// The same as one text of bytes, so that the compiler keeps their order.
const D: &str = "c() { printf 'const volatile char texts[] = \"\\\\0\"'; \
    for t in \"$@\"; do printf '\"%s\" \"\\\\0\"' \"$t\"; done; printf ';int api(void){return texts[0]!=0;}\\n'; };";

/// A program may hold only a format, and its version as a text of its own: the one that is beside
/// the format, or the only one; of several that are far away, none is guessed.
#[test]
fn a_format_and_its_version() {
    let far = "x".repeat(600);
    let found = image(&[&format!(
        "{D} c '2.0.11' 'mosquitto version %s' > a.c; echo 'int main(void){{return api();}}' > m.c; \
         sed -i '1i int api(void);' m.c; gcc -s -o root/broker a.c m.c; \
         c 'hostapd v%s' '{far}' '2.9' > a.c; gcc -s -o root/hostapd a.c m.c; \
         c '2.4' 'wpa_supplicant v%s' '{far}' '2.9' > a.c; gcc -s -o root/wpa a.c m.c; \
         c '1.0.1' '{far}' 'D-Bus Message Bus Daemon %s' '{far}' '1.2.3' > a.c; gcc -s -o root/bus a.c m.c; \
         c 'Sudo version 1.x' '1.9.5p2' > a.c; gcc -s -o root/speaks-of-sudo a.c m.c"
    )]);
    assert_eq!(
        names(&found),
        [
            ("hostapd", "2.9"),
            ("mosquitto", "2.0.11"),
            ("wpa_supplicant", "2.4")
        ]
    );
}

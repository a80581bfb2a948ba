use std::fs;

use crate::source::{Source, Thing, inside, opened, round, same};

#[test]
fn tar_in_its_dialects() {
    let source = Source::new();
    for dialect in ["gnu", "ustar", "pax"] {
        round(
            &source,
            &format!("tar -C root --format={dialect} -cf image ."),
            "tar",
        );
    }
    let found = round(&source, "tar -C root -czf image .", "tar");
    assert_eq!(found.volumes[0].format, "gzip");
    let rc = found.files.iter().find(|f| f.path == "/bin/mixed").unwrap();
    assert_eq!(rc.mode, 0o4755);
}

#[test]
fn cpio_in_its_forms() {
    let source = Source::new();
    for form in ["newc", "crc", "odc", "bin"] {
        round(
            &source,
            &format!("cd root; find . | cpio --quiet -o -H {form} > ../image"),
            "cpio",
        );
    }
}

/// The data of hard links stands once; every name has it.
#[test]
fn hard_links_have_their_bytes() {
    let source = Source::new();
    fs::hard_link(source.path("root/bin/mixed"), source.path("root/bin/twin")).unwrap();
    round(
        &source,
        "cd root; find . | cpio --quiet -o -H newc > ../image",
        "cpio",
    );
    round(&source, "tar -C root -cf image .", "tar");
}

#[test]
fn zip_with_links() {
    let source = Source::new();
    round(
        &source,
        "rm -f image; cd root; zip -q -y -r ../image.zip . ; mv ../image.zip ../image",
        "zip",
    );
    round(
        &source,
        "cd root; zip -q -0 -y -r ../image.zip . ; mv ../image.zip ../image",
        "zip",
    );
    round(
        &source,
        "cd root; zip -q -Z bzip2 -y -r ../image.zip . ; mv ../image.zip ../image",
        "zip",
    );
}

#[test]
fn packages_of_debian_and_opkg() {
    let source = Source::new();
    let control = "mkdir -p root/DEBIAN; printf 'Package: x\\nVersion: 1.2-3\\nArchitecture: all\\n\
                   Maintainer: a <a@b>\\nDescription: d\\n' > root/DEBIAN/control;";
    for packing in ["xz", "gzip", "zstd"] {
        let image = source.image(
            &format!(
                "{control} dpkg-deb -Z{packing} --root-owner-group -b root image.deb >/dev/null; \
                      rm -r root/DEBIAN; mv image.deb image"
            ),
            "image",
        );
        let found = opened(image);
        assert_eq!(found.faults, []);
        let data = found
            .volumes
            .iter()
            .position(|v| v.format == "tar" && v.chain.contains("data.tar"));
        let names = found
            .files
            .iter()
            .filter(|f| Some(f.volume) == data)
            .count();
        assert_eq!(
            names,
            source.things().len() + 1,
            "the root is an entry of its own"
        );
        assert!(found.files.iter().any(|f| f.path == "/control"));
    }
    // The other kind of ipk: a gzipped tar of tars.
    let image = source.image(
        "tar -C root -czf data.tar.gz . ; echo 2.0 > debian-binary; \
         tar -czf image ./debian-binary ./data.tar.gz",
        "image",
    );
    let found = opened(image);
    let data = found
        .volumes
        .iter()
        .rposition(|v| v.format == "tar")
        .unwrap();
    let passwd = found
        .files
        .iter()
        .find(|f| f.volume == data && f.path == "/etc/passwd")
        .unwrap();
    assert!(passwd.bytes().unwrap().starts_with(b"root:"));
}

#[test]
fn ar_with_long_names() {
    let source = Source::new();
    let image = source.image(
        "cp root/usr/share/prose a-name-that-is-longer-than-sixteen.o; cp root/etc/passwd short.o; \
         ar rc image a-name-that-is-longer-than-sixteen.o short.o",
        "image",
    );
    let got = inside(&opened(image), "ar");
    assert_eq!(got.len(), 2);
    assert!(got.contains_key("/a-name-that-is-longer-than-sixteen.o"));
    assert!(matches!(&got["/short.o"], Thing::File(b) if b.starts_with(b"root:")));
}

#[test]
fn rpm_by_its_header_and_payload() {
    let source = Source::new();
    fs::write(
        source.path("x.spec"),
        "Name: planted\nVersion: 3.2.1\nRelease: 4\nSummary: s\nLicense: MIT\nBuildArch: noarch\n\
         %description\nd\n%install\nmkdir -p %{buildroot}\ncp -a ROOT/. %{buildroot}/\n%files\n/\n"
            .replace("ROOT", source.path("root").to_str().unwrap()),
    )
    .unwrap();
    for payload in ["w9.gzdio", "w6.xzdio", "w3.zstdio"] {
        let image = source.image(
            &format!("rpmbuild -bb --quiet --define \"_topdir $PWD/rpm\" \
                      --define '_binary_payload {payload}' --define '__os_install_post true' x.spec \
                      >log 2>&1; cp rpm/RPMS/noarch/*.rpm image"),
            "image",
        );
        let found = opened(image);
        assert_eq!(found.faults, [], "{payload}");
        let rpm = &found.volumes[0];
        assert!(
            rpm.facts.contains(&("name", "planted".into())),
            "{:?}",
            rpm.facts
        );
        assert!(rpm.facts.contains(&("version", "3.2.1".into())));
        let got = inside(&found, "cpio");
        let want = source.things();
        let files = |t: &std::collections::BTreeMap<String, Thing>| {
            t.iter()
                .filter(|(_, t)| matches!(t, Thing::File(_)))
                .map(|(p, t)| (p.clone(), t.clone()))
                .collect()
        };
        same(&files(&got), &files(&want), payload);
    }
}

//! The scanner's documents as others read them: by the schemas of their formats, and in a browser
//! ([FS-3]).

use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tests::{Client, program};

/// What a script of an image would do if it ran: it changes the title.
const SCRIPTS: [&str; 4] = [
    "<script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "</style></title><svg onload=document.title='owned'>",
    "\" autofocus onfocus=\"document.title='owned'",
];

/// An image that tries everything in names, packages and texts.
fn image(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    let put = |name: &str, text: &str| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    put(
        "etc/passwd",
        "root::0:0:root:/root:/bin/sh\nguest::0:0::/:/bin/sh\n",
    );
    let mut packages = String::from(
        "Package: libopenssl1.0\nVersion: 1.0.1f\nLicense: OpenSSL\nStatus: install ok installed\n\n\
         Package: dropbear\nVersion: 2014.63\nStatus: install ok installed\n\n",
    );
    for (n, script) in SCRIPTS.iter().enumerate() {
        packages += &format!(
            "Package: p{n}{script}\nVersion: 1{script}\nLicense: {script}\nStatus: install ok installed\n\n"
        );
        put(
            &format!("etc/{n}{}.conf", script.replace('/', "\u{2044}")),
            &format!("wifi_password={script}\n"),
        );
        put(
            &format!("etc/init.d/{n}"),
            &format!("telnetd -l {script}\nwget http://x/{script}\n"),
        );
    }
    put("usr/lib/opkg/status", &packages);
    let out = Command::new("tar")
        .args(["--sort=name", "--mtime=@0", "-cf"])
        .arg(folder.join("fw.bin"))
        .arg("-C")
        .arg(&root)
        .args(["etc", "usr"])
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
    folder.join("fw.bin")
}

fn document(image: &Path, format: &str, out: &Path) {
    let feed = tests::root().join("crates/scan/tests/vulns/nvd20-firmware-subset.json.gz");
    let out = Command::new(program("muster"))
        .args(["scan", "--level", "3", "--format", format, "--vulns"])
        .args([&feed, Path::new("--out"), out, image])
        .output()
        .unwrap();
    assert!(out.status.success(), "{out:?}");
}

/// [FS-3] Bills of materials, VEX and SARIF are what their formats demand.
#[test]
fn documents_keep_their_schemas() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    let mut reader = Client::python_of("venv-documents", "documents.py");
    for format in ["cyclonedx", "spdx", "sarif", "vex"] {
        // SPDX's library goes by the ending.
        let path = folder.path().join(format!("report.{format}.spdx.json"));
        document(&image, format, &path);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.len() > 1_000, "{format}: {text}");
        let told = reader.ask(&json!({"format": format, "path": path}));
        assert_eq!(told["answer"], json!([]), "{format}");
    }
    // The reader can say no.
    let path = folder.path().join("broken.spdx.json");
    for (format, broken) in [
        (
            "cyclonedx",
            json!({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [{"name": "a"}]}),
        ),
        (
            "spdx",
            json!({"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT"}),
        ),
        (
            "sarif",
            json!({"version": "2.1.0", "runs": [{"results": []}]}),
        ),
        (
            "vex",
            json!({"@context": "https://openvex.dev/ns/v0.2.0", "@id": "a:b", "author": "a", "timestamp": "now", "version": 1, "statements": []}),
        ),
    ] {
        fs::write(&path, broken.to_string()).unwrap();
        let told = reader.ask(&json!({"format": format, "path": path}));
        assert_ne!(told["answer"], json!([]), "{format}");
    }
}

/// [FS-3] A browser that runs scripts shows the page with whatever an image holds, and none ran, not
/// even without the page's own word against them.
#[test]
fn no_script_of_an_image_runs_in_a_browser() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    let page = folder.path().join("report.html");
    document(&image, "html", &page);
    let text = fs::read_to_string(&page).unwrap();
    let start = text
        .find("<meta http-equiv=\"Content-Security-Policy\"")
        .unwrap();
    let end = start + text[start..].find('>').unwrap() + 1;
    let open = format!("{}{}", &text[..start], &text[end..]);
    let unguarded = folder.path().join("unguarded.html");
    fs::write(&unguarded, &open).unwrap();
    let owned = folder.path().join("owned.html");
    let bad = open.replace("</main>", &format!("{}</main>", SCRIPTS[1]));
    fs::write(&owned, bad).unwrap();
    let shown = |path: &Path| {
        let out = Command::new("chromium")
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("browser").display()
            ))
            .args(["--virtual-time-budget=2000", "--dump-dom"])
            .arg(format!("file://{}", path.display()))
            .output()
            .expect("chromium is there: tools/setup clients");
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    for path in [&page, &unguarded] {
        let dom = shown(path);
        assert!(dom.contains("<title>fw.bin</title>"), "{dom:.2000}");
        let body = &dom[dom.find("<body>").unwrap()..];
        for bad in ["<script", "<img", "<svg", "<iframe", "<object", "<form"] {
            assert!(!body.contains(bad), "{bad}");
        }
        assert!(body.contains("&lt;script&gt;document.title='owned'&lt;/script&gt;"));
    }
    assert!(
        shown(&owned).contains("<title>owned</title>"),
        "the browser runs scripts"
    );
}

/// [FS-3] Judgements that come as OpenVEX are kept in every document that has a place for them; what
/// was written before is taken again, for the same and for a newer image.
#[test]
fn judgements_outlive_a_rescan() {
    let folder = tempfile::tempdir().unwrap();
    let image = image(folder.path());
    let vex = folder.path().join("vex.json");
    document(&image, "vex", &vex);
    let mut told: Value = serde_json::from_str(&fs::read_to_string(&vex).unwrap()).unwrap();
    let mut judged = 0;
    for statement in told["statements"].as_array_mut().unwrap() {
        if statement["vulnerability"]["name"] == "CVE-2014-0160" {
            statement["status"] = json!("not_affected");
            statement["impact_statement"] = json!("heartbeats are off");
            judged += 1;
        }
    }
    assert_eq!(judged, 1);
    fs::write(&vex, told.to_string()).unwrap();
    // A newer image: another file, and another package.
    let newer = folder.path().join("newer.bin");
    fs::copy(&image, &newer).unwrap();
    fs::write(folder.path().join("extra"), "x").unwrap();
    let added = Command::new("tar")
        .arg("-rf")
        .arg(&newer)
        .arg("-C")
        .arg(folder.path())
        .arg("extra")
        .status();
    assert!(added.unwrap().success());
    let feed = tests::root().join("crates/scan/tests/vulns/nvd20-firmware-subset.json.gz");
    for image in [&image, &newer] {
        for (format, wanted) in [
            ("vex", "heartbeats are off"),
            ("cyclonedx", "\"not_affected\""),
            ("sarif", "\"accepted\""),
            ("csv", ",not_affected,"),
            ("html", "heartbeats are off"),
        ] {
            let out = Command::new(program("muster"))
                .args(["scan", "--format", format, "--vulns"])
                .args([&feed, Path::new("--vex"), &vex, image])
                .output()
                .unwrap();
            assert!(out.status.success(), "{out:?}");
            let text = String::from_utf8_lossy(&out.stdout);
            assert!(text.contains(wanted), "{format} of {}", image.display());
        }
    }
    fs::write(&vex, "{\"statements\": 1}").unwrap();
    let out = Command::new(program("muster"))
        .args([Path::new("scan"), Path::new("--vex"), &vex, &image])
        .output()
        .unwrap();
    assert!(!out.status.success());
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(said.contains("OpenVEX"), "{said}");
}

//! The C interface from C: warnings are errors, address and undefined-behaviour sanitizers watch.

#[path = "c/compile.rs"]
mod compile;
#[path = "c/demo.rs"]
mod demo;

use compile::{SANITIZERS, compile, library};
use credential::{
    Secret,
    id2::{
        AuthCode, Id, KeyType, SoftKey,
        device::Form,
        otp::{self, OtpCode, Token},
        server::DeviceKey,
    },
};
use demo::Demo;
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn id_6_results_and_vectors_in_c_under_sanitizers() {
    let folder = TempDir::new().expect("a folder");
    let files = [
        "tests/c/host.c",
        "tests/c/results.c",
        "tests/c/vectors.c",
        "tests/c/itls.c",
    ];
    let program = compile(root(), folder.path(), "host", &files, SANITIZERS);
    let done = Command::new(program).output().expect("it was compiled");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(String::from_utf8_lossy(&done.stdout), "all good\n");
}

/// The headers are C++ too, and each stands alone.
#[test]
fn headers_stand_alone_in_c_and_in_cpp() {
    for name in ["hal_itls.h", "id2_client.h", "muster_hal.h", "sign_api.h"] {
        for language in ["c", "c++"] {
            let done = Command::new("gcc")
                .args([
                    "-Wall",
                    "-Wextra",
                    "-Werror",
                    "-pedantic",
                    "-fsyntax-only",
                    "-x",
                    language,
                ])
                .arg(root().join("include").join(name))
                .output()
                .expect("gcc is installed");
            let why = String::from_utf8_lossy(&done.stderr).into_owned();
            // A machine without a C++ compiler checks C alone.
            let no_cpp = language == "c++" && why.contains("cc1plus");
            // gcc warns that a header is compiled as if it were a program.
            let main_file = why.contains("#pragma once");
            assert!(
                done.status.success() || no_cpp || main_file,
                "{name}: {why}"
            );
        }
    }
}

const TOKEN: &str = "i11iQLFQgzT2BRTWTVQ9B0BE0549A601";

/// From an empty folder to mutual authentication, against the server's half of `credential`. [ID-5]
#[test]
fn id_6_the_demo_device_is_provisioned_and_proves_itself() {
    let folder = TempDir::new().expect("a folder");
    let files = ["examples/id2_demo.c"];
    let demo = Demo::new(&compile(
        root(),
        folder.path(),
        "id2_demo",
        &files,
        SANITIZERS,
    ));
    let run = |words: &[&str]| demo.says(words).expect("it succeeds");
    assert_eq!(run(&["status"]), "no ID2");
    let id = Id::issue([1; 3], [2; 3], 77);
    let key = [9; 16];
    let said = demo.asks(&["otp", TOKEN], |asked| {
        let blob = hex::decode(asked).expect("hex");
        let token = Token::parse(TOKEN.as_bytes()).unwrap_or_else(|_| unreachable!());
        let code = OtpCode::parse(&blob).expect("a code");
        let opened = code
            .open(&token)
            .unwrap_or_else(|_| panic!("of this token"));
        let key = SoftKey::new(KeyType::Aes128, &key).expect("16 bytes");
        let mut data = [0; otp::PROVISION_MAX];
        let len = otp::provision(&opened.session, &id, &key, &mut data).expect("room");
        hex::encode(&data[..len])
    });
    assert_eq!(said.as_deref(), Some(id.as_str()));
    assert_eq!(run(&["status"]), id.as_str());

    let server = DeviceKey::new(KeyType::Aes128, &Secret::new(key.to_vec()));
    let server = server.unwrap_or_else(|_| panic!("16 bytes"));
    for (words, extra) in [
        (&["challenge", "55B83408399FA660F05C82E4F25333DC"][..], None),
        (&["challenge", "c", "abcd1234"], Some(&b"abcd1234"[..])),
        (&["timestamp", "1512022279204"], None),
        (&["timestamp", "1512022279204", "x"], Some(b"x")),
    ] {
        let text = run(words);
        let code = AuthCode::parse(&text).expect("a code");
        assert_eq!(server.verify(&id, &code, extra, false), Ok(()));
        // Its randomness is real.
        assert_ne!(text, run(words));
    }
    let data = server.encrypt("hello id2", &[0; 64]).expect("text");
    assert_eq!(run(&["decrypt", &hex::encode(data)]), "hello id2");

    for extra in [None, Some("srvextra")] {
        let words = ["mutual", extra.unwrap_or_default()];
        let words = &words[..1 + usize::from(extra.is_some())];
        let code = |challenge: &str| {
            server
                .server_code(&id, Form::Plain, challenge, extra.map(str::as_bytes))
                .expect("a challenge")
        };
        assert_eq!(demo.asks(words, code).as_deref(), Some("it is the server"));
        let said = demo.asks(words, |_| code("67452301EFCDAB89"));
        assert_eq!(said, None, "a code over another challenge");
    }
    // Only the owner may read what is kept, and the key is not in it as it is.
    use std::os::unix::fs::PermissionsExt;
    for entry in fs::read_dir(demo.home.path().join("device")).expect("a folder") {
        let entry = entry.expect("an entry");
        let mode = entry.metadata().expect("a file").permissions().mode();
        assert_eq!(mode & 0o77, 0);
        let bytes = fs::read(entry.path()).expect("a file");
        assert!(!bytes.windows(16).any(|part| part == key));
    }
}

/// The vector of `spec/alink-wire.md` section 9, 1, through the C function. [AL-3.7]
#[test]
fn al_3_7_iot_sign_mqtt_from_c() {
    let folder = TempDir::new().expect("a folder");
    let program = compile(
        root(),
        folder.path(),
        "sign_demo",
        &["examples/sign_demo.c"],
        SANITIZERS,
    );
    let run = |words: &[&str]| {
        let done = Command::new(&program)
            .args(words)
            .output()
            .expect("compiled");
        (
            done.status.code(),
            String::from_utf8(done.stdout).expect("text"),
        )
    };
    let secret = "jiPvZkVO9lhNj2Q9f2KdP4Yln7ACJI3X";
    let (code, said) = run(&["a1MZxOdcBnO", "example1", secret]);
    assert_eq!(code, Some(0));
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "a1MZxOdcBnO.iot-as-mqtt.cn-shanghai.aliyuncs.com",
            "443",
            "a1MZxOdcBnO.example1|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=2,\
             signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0|",
            "example1&a1MZxOdcBnO",
            "E157285389659C45DDB66E19B5C2385377E3CE627C712129DEB32263D3ACB227",
        ]
    );
    let (code, said) = run(&["a1MZxOdcBnO", "example1", secret, "muster.example"]);
    assert_eq!(code, Some(0));
    assert!(said.starts_with("muster.example\n1883\n"), "{said}");
    for wrong in [
        ["", "example1", secret, "host"],
        ["a1MZxOdcBnO", "", secret, "host"],
        ["a1MZxOdcBnO", "a&b", secret, "host"],
        ["a1MZxOdcBnO", "example1", "", "host"],
        ["a1MZxOdcBnO", "example1", secret, ""],
        ["a1MZxOdcBnO", "example1", secret, &"h".repeat(64)],
    ] {
        assert_eq!(run(&wrong).0, Some(1), "{wrong:?}");
    }
}

/// What `tools/sdk` installs is found by pkg-config and, where there is one, by CMake.
#[test]
fn the_installed_sdk_is_found() {
    let folder = TempDir::new().expect("a folder");
    let prefix = folder.path().join("sdk");
    let sdk = root().join("../../tools/sdk");
    let done = Command::new(sdk)
        .arg(&prefix)
        .env("MUSTER_SDK_LIBRARIES", library(root()))
        .output()
        .expect("tools/sdk runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let flags = Command::new("pkg-config")
        .args(["--cflags", "--libs", "muster-device"])
        .env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"))
        .output()
        .expect("pkg-config is installed (tools/setup build)");
    assert!(flags.status.success());
    let flags = String::from_utf8(flags.stdout).expect("text");
    let program = folder.path().join("demo");
    let done = Command::new("gcc")
        .arg(root().join("examples/id2_demo.c"))
        .args(flags.split_whitespace())
        .arg("-o")
        .arg(&program)
        .status()
        .expect("gcc is installed");
    assert!(done.success());
    let status = |program: &Path| {
        let done = Command::new(program)
            .arg("status")
            .env("LD_LIBRARY_PATH", prefix.join("lib"))
            .env("MUSTER_DEVICE_DIR", folder.path().join("device"))
            .output()
            .expect("it was compiled");
        String::from_utf8(done.stdout).expect("text")
    };
    assert_eq!(status(&program), "no ID2\n");
    let build = folder.path().join("build");
    for words in [
        vec![
            "-S".into(),
            root().join("examples").into_os_string(),
            "-B".into(),
            build.clone().into_os_string(),
            format!("-DCMAKE_PREFIX_PATH={}", prefix.display()).into(),
        ],
        vec!["--build".into(), build.clone().into_os_string()],
    ] {
        let done = Command::new("cmake")
            .args(&words)
            .output()
            .expect("cmake is installed (tools/setup device)");
        assert!(
            done.status.success(),
            "{}{}",
            String::from_utf8_lossy(&done.stdout),
            String::from_utf8_lossy(&done.stderr)
        );
    }
    assert_eq!(status(&build.join("id2_demo")), "no ID2\n");
    assert_eq!(status(&build.join("id2_demo_shared")), "no ID2\n");
}

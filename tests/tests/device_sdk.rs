//! The device SDK for C against a running server.

use std::{env, path::Path, process::Command};
use tests::{
    Server,
    mqtt::{Login, Mqtt},
    root,
};
use wire::mqtt::{ReasonCode, Version};

/// [AL-3.7] What `IOT_Sign_MQTT` writes in a C program lets its device in; with another secret it is
/// another device's word, and the server says so.
#[test]
fn the_login_of_a_c_program_lets_its_device_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = folder.path().join("sign_demo");
    let sdk = root().join("crates/device-c");
    // By itself, as users build it; beside the server it would get features that it does not ask for.
    let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sdk");
    let done = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--quiet", "--locked", "--package", "device-c"])
        .arg("--target-dir")
        .arg(&library)
        .current_dir(&sdk)
        .output()
        .expect("cargo runs the tests");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let done = Command::new("gcc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Werror"])
        .arg("-I")
        .arg(sdk.join("include"))
        .arg(sdk.join("examples/sign_demo.c"))
        .arg(library.join("debug/libmuster_device.a"))
        .args([
            "-lgcc_s",
            "-lutil",
            "-lrt",
            "-lpthread",
            "-lm",
            "-ldl",
            "-lc",
            "-o",
        ])
        .arg(&program)
        .output()
        .expect("gcc is installed (tools/setup build)");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );

    let server = Server::start_with(&[]);
    let (product, _) = server.product("thermometer");
    let secret = server.device(&product, "kitchen");
    let wrong: String = secret.chars().rev().collect();
    for (secret, reason) in [
        (&secret, ReasonCode::Success),
        (&wrong, ReasonCode::NotAuthorized),
    ] {
        let done = Command::new(&program)
            .args([&product, "kitchen", secret, "127.0.0.1"])
            .output()
            .expect("it was compiled");
        assert!(done.status.success());
        let said = String::from_utf8(done.stdout).expect("text");
        let [host, port, client_id, username, password] = said
            .lines()
            .collect::<Vec<_>>()
            .try_into()
            .expect("five lines");
        assert_eq!((host, port), ("127.0.0.1", "1883"));
        let login = Login {
            client_id: client_id.into(),
            user: username.into(),
            password: password.into(),
        };
        let mut device = Mqtt::open(server.address("mqtt"), None, Version::V311);
        assert_eq!(device.connect(&login, true, 60).reason, reason);
    }
}

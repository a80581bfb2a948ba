//! The device SDK for C against a running server.

#[path = "../../crates/device-c/tests/c/compile.rs"]
mod compile;

use compile::{SANITIZERS, compile};
use std::process::Command;
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
    let sdk = root().join("crates/device-c");
    let files = ["examples/sign_demo.c"];
    let program = compile(&sdk, folder.path(), "sign_demo", &files, SANITIZERS);

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

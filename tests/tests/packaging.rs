//! The Debian package, the service unit and the container file, as far as a machine without a
//! service manager and without containers can show them.
//!
//! The package is installed into a root of its own (dpkg's `--root`), so that nothing of this
//! machine changes; the container file cannot be built here and is read instead.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;
use tests::{eventually, program, root};

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("the program is there");
    assert!(
        output.status.success(),
        "{command:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A root for dpkg, with the few files that it and useradd look at.
fn scratch() -> TempDir {
    let scratch = TempDir::new().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    for folder in [
        "etc",
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/log",
        "usr/bin",
    ] {
        fs::create_dir_all(scratch.path().join(folder)).unwrap();
    }
    for (file, text) in [
        ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
        ("etc/group", "root:x:0:\n"),
        ("etc/shadow", "root:*:19000:0:99999:7:::\n"),
        ("etc/gshadow", "root:*::\n"),
        ("var/lib/dpkg/status", ""),
        ("var/lib/dpkg/available", ""),
    ] {
        fs::write(scratch.path().join(file), text).unwrap();
    }
    scratch
}

fn dpkg(scratch: &Path, words: &[&str]) -> Command {
    let mut command = Command::new("dpkg");
    command
        .arg(format!("--root={}", scratch.display()))
        .args([
            "--force-script-chrootless",
            "--force-depends",
            "--no-triggers",
        ])
        .args(words);
    command
}

/// The package has what it should, makes its user and its folder, its program runs with its
/// configuration, and it goes again: without the data only when it is purged.
#[test]
fn the_debian_package_is_installed_runs_and_is_purged() {
    assert!(
        is_root(),
        "dpkg installs for root only: run this test as root or under `unshare --map-root-user`"
    );
    let out = TempDir::new().unwrap();
    let made = run(Command::new(root().join("tools/package"))
        .env("MUSTER_DEB_LEVEL", "0")
        .arg(program("muster"))
        .arg(out.path()));
    let package = text(&made).trim().to_owned();
    let listed = text(&run(Command::new("dpkg-deb").args(["-c", &package])));
    for path in [
        "./usr/bin/muster",
        "./usr/lib/systemd/system/muster.service",
        "./etc/muster/muster.toml",
        "./usr/share/man/man1/muster.1.gz",
        "./usr/share/man/man1/muster-serve.1.gz",
        "./usr/share/bash-completion/completions/muster",
        "./usr/share/zsh/vendor-completions/_muster",
        "./usr/share/doc/muster/copyright",
    ] {
        assert!(
            listed.lines().any(|line| line.ends_with(path)),
            "{path} in\n{listed}"
        );
    }
    assert!(
        listed.lines().all(|line| line.contains(" root/root ")),
        "{listed}"
    );
    let told = text(&run(
        Command::new("dpkg-deb").args(["-f", &package, "Depends"])
    ));
    assert!(told.contains("libc6") && told.contains("libssl"), "{told}");

    let scratch = scratch();
    let place = |path: &str| scratch.path().join(path);
    run(&mut dpkg(scratch.path(), &["-i", &package]));
    let users = fs::read_to_string(place("etc/passwd")).unwrap();
    let user: Vec<&str> = users
        .lines()
        .find(|line| line.starts_with("muster:"))
        .unwrap_or_else(|| panic!("no user in {users}"))
        .split(':')
        .collect();
    assert_eq!(user[6], "/usr/sbin/nologin");
    let data = fs::metadata(place("var/lib/muster")).unwrap();
    assert_eq!(data.uid().to_string(), user[2]);
    assert_eq!(data.mode() & 0o777, 0o700);
    let config = place("etc/muster/muster.toml");
    assert_eq!(fs::metadata(&config).unwrap().mode() & 0o777, 0o640);

    let muster = || {
        let mut command = Command::new(place("usr/bin/muster"));
        command
            .arg("--config")
            .arg(&config)
            .arg("--data")
            .arg(place("var/lib/muster"));
        for listener in ["mqtt", "mqtts", "http", "https"] {
            let setting = format!("listen.{listener}.address=127.0.0.1:0");
            command.args(["--set", &setting]);
        }
        command
    };
    run(muster().args(["config", "check"]));
    let mut server = muster()
        .arg("serve")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    eventually("a server that is ready", || {
        let told = muster().arg("ready").output().expect("it runs");
        told.status.success().then_some(())
    });
    run(Command::new("kill").args(["-TERM", &server.id().to_string()]));
    assert!(server.wait().unwrap().success());

    run(&mut dpkg(scratch.path(), &["-r", "muster"]));
    assert!(!place("usr/bin/muster").exists());
    assert!(place("var/lib/muster/registry.sqlite").exists());
    assert!(config.exists());
    run(dpkg(scratch.path(), &["-P", "muster"]).env("MUSTER_KEEP_DATA", "1"));
    assert!(place("var/lib/muster/registry.sqlite").exists());
    run(&mut dpkg(scratch.path(), &["-i", &package]));
    run(&mut dpkg(scratch.path(), &["-P", "muster"]));
    assert!(!place("var/lib/muster").exists());
    assert!(!config.exists());
}

fn is_root() -> bool {
    let told = Command::new("id").arg("-u").output().expect("id is there");
    String::from_utf8_lossy(&told.stdout).trim() == "0"
}

/// The unit starts what the package installs, waits for its READY, and narrows what it may do.
#[test]
fn the_service_unit_says_what_it_must() {
    let path = root().join("packaging/muster.service");
    let unit = fs::read_to_string(&path).unwrap();
    let lines: BTreeSet<&str> = unit.lines().collect();
    for line in [
        "Type=notify",
        "User=muster",
        "ExecStart=/usr/bin/muster serve --config /etc/muster/muster.toml",
        "StateDirectory=muster",
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "CapabilityBoundingSet=CAP_NET_BIND_SERVICE",
        "WantedBy=multi-user.target",
    ] {
        assert!(lines.contains(line), "{line}");
    }
    // What it executes is checked where it is installed: here there is no such user.
    for program in ["ExecStart=", "ExecStartPre="] {
        let line = lines.iter().find(|line| line.starts_with(program)).unwrap();
        let words: Vec<&str> = line[program.len()..].split(' ').skip(1).collect();
        let told = Command::new(self::program("muster"))
            .args(&words)
            .arg("--help")
            .output()
            .unwrap();
        assert!(told.status.success(), "{words:?} is a command line");
    }
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_ok()
    {
        let told = Command::new("systemd-analyze")
            .args(["verify", "--man=no"])
            .arg(&path)
            .output()
            .unwrap();
        let complaints = String::from_utf8_lossy(&told.stderr).into_owned();
        let ours: Vec<&str> = complaints
            .lines()
            .filter(|line| line.contains("muster.service"))
            // The program is not installed on this machine.
            .filter(|line| !line.contains("is not executable"))
            .collect();
        assert!(ours.is_empty(), "{ours:?}");
    }
}

/// The container's process is not root, keeps its data in a volume, and is asked whether it is
/// ready with a command that exists.
#[test]
fn the_container_file_says_what_it_must() {
    let file = fs::read_to_string(root().join("packaging/Containerfile")).unwrap();
    let joined = file.replace("\\\n", " ");
    let steps: Vec<(&str, &str)> = joined
        .lines()
        .filter(|line| !line.starts_with('#') && !line.trim().is_empty())
        .map(|line| {
            line.split_once(' ')
                .unwrap_or_else(|| panic!("no step: {line}"))
        })
        .collect();
    let known = [
        "FROM",
        "RUN",
        "WORKDIR",
        "COPY",
        "USER",
        "ENV",
        "VOLUME",
        "EXPOSE",
        "STOPSIGNAL",
        "HEALTHCHECK",
        "ENTRYPOINT",
        "CMD",
    ];
    assert!(
        steps.iter().all(|(step, _)| known.contains(step)),
        "{steps:?}"
    );
    let find = |wanted: &str| {
        let mut found = steps.iter().filter(|(step, _)| *step == wanted);
        found.next_back().map(|(_, words)| *words)
    };
    assert_eq!(steps.iter().filter(|(step, _)| *step == "FROM").count(), 2);
    assert_eq!(find("USER"), Some("10001"));
    assert_eq!(find("VOLUME"), Some("/data"));
    let listen = ["1883", "8883", "8080", "8443"];
    assert_eq!(find("EXPOSE"), Some(listen.join(" ").as_str()));
    for step in ["ENTRYPOINT", "CMD"] {
        let words: Vec<String> = serde_json::from_str(find(step).unwrap()).unwrap();
        assert!(!words.is_empty(), "{step}");
    }
    let (_, health) = find("HEALTHCHECK").unwrap().split_once("CMD ").unwrap();
    let words: Vec<String> = serde_json::from_str(health).unwrap();
    let told = Command::new(program("muster"))
        .args(&words[1..])
        .arg("--help")
        .output()
        .unwrap();
    assert!(told.status.success(), "{words:?} is a command line");
    for name in ["MUSTER_DATA", "MUSTER_LOG__FORMAT"] {
        assert!(find("ENV").unwrap().contains(name));
    }
}

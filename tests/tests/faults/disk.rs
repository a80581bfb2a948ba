//! Disks that are full, read-only, or fail.

use crate::{
    orders::{EIO, EROFS, Orders},
    scene::{Device, Post, Scene},
};
use std::{fs, io::Write, path::Path, process::Command};
use tests::{
    Server, eventually,
    http::{Reply, nonce},
};
use wire::mqtt::{ReasonCode, Version};

/// Names the test to a process that runs it in a mount namespace of its own.
const ALONE: &str = "MUSTER_TEST_ALONE";

/// The story of a disk that takes no writes from `begin` to `end`.
fn no_writes(scene: &mut Scene, begin: impl Fn(), end: impl FnOnce()) {
    let pid = scene.server.pid();
    let mut old = scene.connect("older", Version::V311);
    let mut new = scene.connect("newer", Version::V5);
    let mut idle = scene.connect("idle", Version::V311);
    scene.post_all(&mut old, 20);
    scene.post_all(&mut new, 20);
    assert_eq!(scene.unready(), None);

    begin();
    // The last block of a file may have room for some more.
    let mut refused = |device: &mut Device| {
        let mut posts = (0..200).map(|_| scene.post(device));
        posts.find_map(|post| match post {
            Post::Stored => None,
            Post::Refused(reason) => Some(reason),
        })
    };
    assert_eq!(refused(&mut old), Some(None), "3.x has no word for it");
    let reason = refused(&mut new)
        .expect("no post is stored")
        .expect("a reason");
    assert!(reason.is_error(), "{reason:?}");
    // Who needs no write is served.
    idle.line.ping();
    scene.server.cli(&["product", "list"]);
    // Who writes is told so. What the server lets go on a full disk leaves some room, in which it
    // can do one thing more; so the trouble is made again.
    let again = |what, refused: &dyn Fn() -> bool| {
        eventually(what, || {
            begin();
            refused().then_some(())
        });
    };
    again("a refused login", &|| {
        let verdict = scene.try_connect("older", Version::V311).err();
        verdict == Some(Some(ReasonCode::ServerUnavailable))
    });
    // A signed call burns its nonce, so that it cannot come twice; without that none is served.
    again("a refused call", &|| {
        let made = create(scene, &nonce());
        made.status == 503 && made.text("Code") == "ServiceUnavailable"
    });
    again("a refused order of the operator", &|| {
        let words = ["product", "create", &nonce()];
        let (made, _, why) = scene.server.cli_raw(&words);
        !made && !why.is_empty()
    });

    again("a server that is not ready", &|| {
        scene.unready().is_some_and(|why| why.contains("disk"))
    });

    end();
    scene.is_ready_again();
    let mut old = scene.recovers("older");
    let mut new = scene.recovers("newer");
    idle.line.ping();
    assert_eq!(scene.post(&mut idle), Post::Stored);
    let made = create(scene, "afterwards").json();
    assert_eq!(made["Success"], true, "{made}");
    scene.post_all(&mut old, 20);
    scene.post_all(&mut new, 20);
    scene.nothing_is_lost();
    scene.nothing_broke(pid);
    // And what is on disk is whole.
    scene.server.kill();
    scene.server.resume();
    scene.nothing_is_lost();
    assert!(!scene.server.data().join("series.damaged-1").exists());
}

fn create(scene: &Scene, name: &str) -> Reply {
    let params = [
        ("ProductName", name),
        ("DataFormat", "1"),
        ("NodeType", "0"),
    ];
    scene.call("CreateProduct", &params)
}

/// A disk without room refuses, and takes writes again when there is room.
#[test]
fn a_full_disk() {
    if in_a_namespace("disk::a_full_disk") {
        return;
    }
    let mut server = Server::prepare(&[]);
    mount(&server.data(), "size=48m");
    server.resume();
    let mut scene = Scene::open(server, &["older", "newer", "idle"]);
    let filler = scene.server.data().join("filler");
    let fill = || {
        let file = fs::File::options().create(true).append(true).open(&filler);
        let mut file = file.expect("a file");
        for size in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0; size]).is_ok() {}
        }
    };
    no_writes(&mut scene, fill, || {
        fs::remove_file(&filler).expect("the filler")
    });
}

/// A file system that an error made read-only refuses, and takes writes again when it is mended.
#[test]
fn a_disk_that_went_read_only() {
    let mut server = Server::prepare(&[]);
    let orders = Orders::of(&mut server);
    server.resume();
    let mut scene = Scene::open(server, &["older", "newer", "idle"]);
    no_writes(
        &mut scene,
        || orders.write_error(EROFS),
        || orders.write_error(0),
    );
}

/// A disk whose syncs fail acknowledges nothing, although it took the bytes.
#[test]
fn a_disk_that_does_not_sync() {
    let mut server = Server::prepare(&[]);
    let orders = Orders::of(&mut server);
    server.resume();
    let mut scene = Scene::open(server, &["older", "newer", "idle"]);
    no_writes(
        &mut scene,
        || orders.sync_error(EIO),
        || orders.sync_error(0),
    );
}

/// On a disk that is read-only already the server does not start, and says why.
#[test]
fn a_start_on_a_read_only_disk() {
    if in_a_namespace("disk::a_start_on_a_read_only_disk") {
        return;
    }
    let mut server = Server::prepare(&[]);
    mount(&server.data(), "size=48m");
    server.resume();
    let mut scene = Scene::open(server, &["first"]);
    let mut device = scene.connect("first", Version::V311);
    scene.post_all(&mut device, 5);
    scene.server.stop();
    remount(&scene.server.data(), "ro");
    let told = scene.server.refuses_to_start();
    assert!(told.contains("Read-only file system"), "{told}");
    assert!(!told.contains("panicked"), "{told}");
    remount(&scene.server.data(), "rw");
    scene.server.resume();
    scene.recovers("first");
    scene.nothing_is_lost();
}

/// Runs the test that calls it in a process whose mounts nobody else sees and which go with it;
/// true once that is done.
pub fn in_a_namespace(test: &str) -> bool {
    if std::env::var_os(ALONE).is_some() {
        return false;
    }
    let ways: [&[&str]; 2] = [&["--mount"], &["--user", "--map-root-user", "--mount"]];
    let works = |way: &&&[&str]| {
        let tried = Command::new("unshare").args(**way).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    };
    let way = ways.iter().find(works);
    let way = way.expect("`unshare --mount` works for root, or with user namespaces allowed");
    let ran = Command::new("unshare")
        .args(*way)
        .arg(std::env::current_exe().expect("a running program"))
        .args(["--exact", "--nocapture", test])
        .env(ALONE, "1")
        .output()
        .expect("unshare runs");
    let told = [ran.stdout, ran.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    assert!(ran.status.success() && told.contains("1 passed"), "{told}");
    true
}

pub fn mount(folder: &Path, options: &str) {
    fs::create_dir(folder).expect("a new folder");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", options, "none"])
        .arg(folder)
        .status();
    assert!(mounted.expect("mount runs").success());
}

fn remount(folder: &Path, how: &str) {
    let mounted = Command::new("mount")
        .args(["-o", &format!("remount,{how}")])
        .arg(folder)
        .status();
    assert!(mounted.expect("mount runs").success());
}

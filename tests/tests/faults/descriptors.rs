//! More clients than the system allows open files.

use crate::scene::{Post, Scene};
use std::{
    io::{ErrorKind, Read},
    net::TcpStream,
    time::Duration,
};
use tests::Server;
use wire::mqtt::{ReasonCode, Version};

/// What the system allows the server; it leaves half of so few for its own.
const FILES: usize = 400;

/// Clients that only hold a connection take places and no descriptor that the server itself needs:
/// who is in goes on, the operator gets through, who comes is told, and nothing spins.
#[test]
fn idle_connections_leave_the_server_its_descriptors() {
    let mut server = Server::prepare(&["sockets.hello=600000"]);
    server.wrap(&["prlimit", &format!("--nofile={FILES}:{FILES}")]);
    server.resume();
    let mut scene = Scene::open(server, &["first", "second"]);
    let pid = scene.server.pid();
    assert!(scene.server.log().contains("fewer open files"));
    let mut one = scene.connect("first", Version::V311);
    scene.post_all(&mut one, 10);

    let address = scene.server.address("mqtt");
    let idle = |many| -> Vec<TcpStream> {
        let open = |_| TcpStream::connect(address).expect("the kernel takes it");
        (0..many).map(open).collect()
    };
    // All places, and some of those where clients are told.
    let first = idle(FILES / 2 + 20);
    tests::eventually("the refusal", || {
        let verdict = scene.try_connect("second", Version::V5).err();
        (verdict == Some(Some(ReasonCode::ServerBusy))).then_some(())
    });
    let verdict = scene.try_connect("second", Version::V311).err();
    assert_eq!(verdict, Some(Some(ReasonCode::ServerUnavailable)));
    let more = idle(2 * FILES);

    scene.post_all(&mut one, 10);
    scene.server.cli(&["product", "list"]);
    assert!(open_files(pid) < FILES, "{}", open_files(pid));
    let (before, second) = (cpu(pid), Duration::from_secs(2));
    wait_on(&first[0], second);
    let spent = cpu(pid) - before;
    assert!(
        spent < second / 4,
        "idle clients cost {spent:?} in {second:?}"
    );

    drop((first, more));
    scene.recovers("second");
    assert_eq!(scene.post(&mut one), Post::Stored);
    scene.nothing_is_lost();
    scene.nothing_broke(pid);
    assert!(!scene.server.log().contains("accept failed"));
}

/// Waits on a connection on which nothing comes.
fn wait_on(mut stream: &TcpStream, time: Duration) {
    stream.set_read_timeout(Some(time)).expect("a socket");
    let nothing = stream.read(&mut [0]).expect_err("nothing comes");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd"))
        .expect("a process of ours")
        .count()
}

/// The processor time of a process, in steps of ten milliseconds.
fn cpu(pid: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("a process");
    let fields = stat.rsplit(')').next().expect("a name");
    let ticks = fields.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.map(|t| t.parse::<u64>().expect("a number")).sum();
    Duration::from_millis(ticks * 10)
}

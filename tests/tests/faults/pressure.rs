//! A device that is faster than the disk.

use crate::{memory::resident_kib, orders::Orders, scene::Scene};
use bytes::BytesMut;
use std::{
    collections::BTreeMap,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};
use tests::{PATIENCE, Server, line};
use wire::mqtt::{
    Connect, Decoder, Packet, Publish, QoS, Secret, Text, TopicName, Version, encode,
};

/// How long each sync takes.
const SYNC: Duration = Duration::from_millis(2_000);
/// A device that can send nothing for so long is held up.
const HELD: Duration = Duration::from_millis(500);
/// How long a post is, blanks included.
const POST: usize = 16 * 1024;
/// What the server and the kernel's buffers together hold of one device at most, in bytes.
const MOST: usize = 48 * 1024 * 1024;
/// What the process may grow by, in KiB: the posts of one device's window, several times over, and
/// what an allocator keeps.
const COST_KIB: u64 = 24 * 1024;

/// While each sync takes seconds, a device that posts as fast as it can is held up by TCP and
/// by nothing else: it stays connected, costs no memory beyond its window, and once the disk is
/// quick again each of its posts is acknowledged, in order, and in the history.
#[test]
fn a_device_that_is_faster_than_the_disk_is_held_up_and_loses_nothing() {
    let mut server = Server::prepare(&[]);
    let orders = Orders::of(&mut server);
    server.resume();
    let mut scene = Scene::open(server, &["fast", "beside"]);
    let pid = scene.server.pid();
    let mut beside = scene.connect("beside", Version::V311);
    scene.post_all(&mut beside, 10);
    let mut fast = TcpStream::connect(scene.server.address("mqtt")).expect("it listens");
    fast.write_all(&written(&Packet::Connect(Box::new(connect(&scene)))))
        .expect("a login");
    let before = resident_kib(pid);

    orders.sync_delay_ms(SYNC.as_millis() as i64);
    let mut reader = fast.try_clone().expect("a socket");
    fast.set_write_timeout(Some(HELD)).expect("a socket");
    let topic = scene.topic("fast");
    let mut sent = BTreeMap::new();
    let (mut total, mut held) = (0, false);
    while !held {
        let (number, mut body) = scene.next_post();
        body.resize(POST, b' ');
        let id = 1 + sent.len() as u16;
        let mut message = Publish::new(TopicName::new(topic.clone()).expect("a topic"), body);
        message.qos = QoS::AtLeastOnce;
        message.packet_id = id.try_into().ok();
        let bytes = written(&Packet::Publish(message));
        total += bytes.len();
        assert!(
            total < MOST,
            "{total} bytes were taken of {} posts",
            sent.len()
        );
        held = send(&mut fast, &bytes, || {
            let grown = resident_kib(pid).saturating_sub(before);
            assert!(grown < COST_KIB, "{grown} KiB for what is not stored yet");
            // Who needs no sync is served.
            beside.line.ping();
            orders.sync_delay_ms(0);
        });
        sent.insert(id, number);
    }

    reader.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut decoder = Decoder::client(Version::V311, 1 << 20);
    let (mut input, mut piece) = (BytesMut::new(), [0; 4096]);
    let mut next = 1;
    while usize::from(next) <= sent.len() {
        match decoder.decode(&mut input).expect("packets") {
            Some(Packet::PubAck(ack)) => {
                // [MQTT-4.6.0-2] In the order of the posts.
                assert_eq!(ack.packet_id.get(), next);
                scene.is_stored("fast", sent[&next]);
                next += 1;
            }
            Some(_) => {}
            None => match reader.read(&mut piece).expect("PUBACK") {
                0 => panic!("closed after {} of {} PUBACKs", next - 1, sent.len()),
                n => input.extend_from_slice(&piece[..n]),
            },
        }
    }

    let grown = resident_kib(pid).saturating_sub(before);
    assert!(grown < COST_KIB, "{grown} KiB after all");
    println!("{} posts, {total} bytes, {grown} KiB more", sent.len());
    scene.post_all(&mut beside, 10);
    scene.nothing_is_lost();
    scene.nothing_broke(pid);
}

/// Sends all, and does something when it is held up; whether it was.
fn send(stream: &mut TcpStream, mut bytes: &[u8], mut once_held: impl FnMut()) -> bool {
    let mut held = false;
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                if !held {
                    once_held();
                }
                held = true;
            }
            Err(e) => panic!("the connection ended: {e}"),
        }
    }
    held
}

fn connect(scene: &Scene) -> Connect {
    let login = scene.secret_login("fast");
    let mut connect = line::hello(&login.client_id, Version::V311, false);
    connect.username = Text::new(login.user).ok();
    connect.password = Secret::new(login.password.into_bytes()).ok();
    connect
}

fn written(packet: &Packet) -> BytesMut {
    let mut bytes = BytesMut::new();
    encode(packet, Version::V311, &mut bytes).expect("a packet that can be written");
    bytes
}

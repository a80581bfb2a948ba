//! Sessions that last while the disk takes no writes.

use crate::orders::{EROFS, Orders};
use tests::{
    Server, eventually,
    raw::{Connect, Message, Raw, V5, V311, Will, kind},
};

fn open(server: &Server, version: u8) -> Raw {
    Raw::open(server.address("plain"), version)
}

fn lasting(version: u8, name: &str) -> Connect {
    let connect = Connect::new(name).resume();
    if version == V5 {
        connect.expiry(600)
    } else {
        connect
    }
}

fn join(server: &Server, version: u8, name: &str) -> Raw {
    let mut client = open(server, version);
    client.login(&lasting(version, name));
    client
}

/// While the disk refuses, what would have to last is refused in the words of each version, and
/// clients whose sessions end with their connections are served as ever. Once it takes writes, all
/// goes on without a restart, and whatever was acknowledged is there, also after a kill.
#[test]
fn sessions_while_the_disk_refuses() {
    let mut server = Server::prepare(&["listen.plain.off=false", "listen.plain.anonymous=true"]);
    let orders = Orders::of(&mut server);
    server.resume();
    let (old, new) = (join(&server, V311, "old"), join(&server, V5, "new"));
    for mut client in [old, new] {
        client.subscribe(&[("kept/#", 1)]);
        client.leave();
    }
    let mut witness = open(&server, V5);
    witness.login(&Connect::new("witness"));
    witness.subscribe(&[("#", 0)]);
    let mut writer = open(&server, V5);
    writer.login(&Connect::new("writer"));
    let mut last = 0;
    let mut publish = |writer: &mut Raw| {
        last += 1;
        let told = writer.publish(&Message::new("kept/x", last.to_string()).qos(1));
        (last, told)
    };
    let mut acknowledged = Vec::new();
    for _ in 0..10 {
        let (number, told) = publish(&mut writer);
        assert_eq!(told, 0);
        acknowledged.push(number);
    }

    orders.write_error(EROFS);
    // What came before anybody knew is held back, and acknowledged when it is on disk. The message
    // of one client makes the trouble known; 3.x has no word for it, so the line is cut.
    let mut first = open(&server, V311);
    first.login(&Connect::new("first"));
    first.send_publish(&Message::new("kept/x", "held").qos(1));
    eventually("the trouble", || {
        server
            .log()
            .contains("sessions cannot be written down")
            .then_some(())
    });
    let (_, told) = publish(&mut writer);
    assert_eq!(told, 0x80, "nothing is acknowledged");
    let mut third = open(&server, V311);
    third.login(&Connect::new("third"));
    third.send_publish(&Message::new("kept/x", "no").qos(2));
    third.closed();
    for (version, code) in [(V311, 3), (V5, 0x88)] {
        let mut late = open(&server, version);
        assert_eq!(late.hello(&lasting(version, "late")).code, code);
        let mut mortal = open(&server, version);
        let will = Will::new("will", "x");
        let hello = Connect::new("mortal").will(will);
        assert_eq!(mortal.hello(&hello).code, code, "a will is kept, too");
    }
    // Retained messages have to last; others, and those at QoS 0, do not.
    let retained = Message::new("other", "retained").qos(1).retain();
    assert_eq!(writer.publish(&retained), 0x80);
    assert_eq!(writer.publish(&Message::new("other", "goes").qos(1)), 0);
    assert_eq!(writer.publish(&Message::new("kept/x", "at most once")), 0);
    while witness.publication().text() != "at most once" {}
    let mut brief = open(&server, V311);
    brief.login(&Connect::new("brief"));
    assert_eq!(brief.subscribe(&[("other", 1)]), [1]);

    orders.write_error(0);
    eventually("the disk's return", || {
        let (number, told) = publish(&mut writer);
        (told == 0).then(|| acknowledged.push(number))
    });
    for _ in 0..10 {
        let (number, told) = publish(&mut writer);
        assert_eq!(told, 0);
        acknowledged.push(number);
    }
    let mut late = open(&server, V5);
    assert!(!late.login(&lasting(V5, "late")));
    late.leave();
    server.kill();
    server.resume();
    for (version, name) in [(V311, "old"), (V5, "new")] {
        let mut client = join(&server, version, name);
        let mut got = Vec::new();
        while got.last() != acknowledged.last() {
            let message = client.publication();
            client.acknowledge(kind::PUBACK, message.id.expect("QoS 1"));
            // What was held back may have been written, and was not acknowledged.
            if message.text() != "held" {
                got.push(message.text().parse().expect("a number"));
            }
        }
        assert_eq!(got, acknowledged, "{name}");
        client.quiet();
    }
}

//! What a connection takes that does nothing.

use super::settle;
use crate::{
    broker::{Broker, Door, Muster, memory},
    load::{Client, tls},
    report::{Report, Row},
};
use openssl::ssl::SslConnector;

/// How idle connections are measured.
pub(crate) struct Idle {
    name: &'static str,
    pub(crate) door: Door,
    /// Connections that are open before the measure begins, so that what a server needs once does
    /// not count.
    first: usize,
    /// Connections that are measured.
    more: usize,
}

/// Plain, and over TLS.
pub(crate) const IDLE: [Idle; 2] = [
    Idle {
        name: "plain",
        door: Door::Device,
        first: 500,
        more: 4_000,
    },
    Idle {
        name: "TLS 1.3",
        door: Door::DeviceTls,
        first: 500,
        more: 2_000,
    },
];

/// Memory per idle connection that subscribes to one topic: how much more a server holds when it
/// has so many more of them.
pub(crate) async fn idle(
    muster: &Muster,
    peers: &[&dyn Broker],
    channel: &Idle,
    report: &mut Report,
) {
    let secure = (channel.door == Door::DeviceTls).then(tls);
    let name = format!("memory per idle connection, {}", channel.name);
    let ours = idle_one(muster, secure.as_ref(), channel).await;
    let mut row = Row::new(name, ours, "B").at_most_times(1.0);
    for peer in peers {
        row = row.beside(peer.name(), idle_one(*peer, secure.as_ref(), channel).await);
    }
    report.add(row);
}

async fn idle_one(broker: &dyn Broker, tls: Option<&SslConnector>, channel: &Idle) -> f64 {
    let mut open = Vec::with_capacity(channel.first + channel.more);
    let address = broker.address(channel.door);
    let mut before = 0.0;
    for n in 0..channel.first + channel.more {
        if n == channel.first {
            settle(broker.pid()).await;
            before = memory(broker.pid());
        }
        let mut client = Client::open(address, tls, &broker.login(channel.door, n)).await;
        client.subscribe(&broker.topic(n)).await;
        open.push(client);
    }
    settle(broker.pid()).await;
    (memory(broker.pid()) - before) / channel.more as f64
}

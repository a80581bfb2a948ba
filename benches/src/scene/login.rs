//! Connect, CONNECT, CONNACK, close.

use super::settle;
use crate::{
    broker::{Broker, Door, Muster, cpu},
    load::{Client, tls},
    report::{Report, Row},
};
use std::{
    io::Write,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tests::mqtt::Login;
use tokio::task::LocalSet;

/// Logins that are on their way at once.
const LANES: usize = 16;
const PLAIN: usize = 4_000;
const TLS: usize = 1_500;

/// CPU per login, in clear and with a full handshake.
pub(crate) async fn login(muster: &Muster, peers: &[&dyn Broker], report: &mut Report) {
    for (name, door, count, goal) in [
        ("plain, 1,000,000 devices", Door::Device, PLAIN, 0.6),
        ("TLS 1.3, full handshake", Door::DeviceTls, TLS, 1.0),
    ] {
        // The first time activates a device, once in its life.
        logins(muster, door, LANES, 0..count).await;
        let ours = logins(muster, door, LANES, 0..count).await;
        let mut row = Row::new(format!("CPU per login, {name}"), ours, "us").at_most_times(goal);
        for peer in peers {
            if door == Door::DeviceTls && peer.name() == "rumqttd" {
                continue;
            }
            row = row.beside(peer.name(), logins(*peer, door, LANES, 0..count).await);
        }
        report.add(row);
    }
}

async fn logins(
    broker: &dyn Broker,
    door: Door,
    lanes: usize,
    who: impl Iterator<Item = usize> + Clone,
) -> f64 {
    let address = broker.address(door);
    let secure = (door == Door::DeviceTls).then(tls);
    let count = who.clone().count();
    let before = cpu(broker.pid());
    let tasks = LocalSet::new();
    let running: Vec<_> = (0..lanes)
        .map(|lane| {
            let logins: Vec<Login> = who
                .clone()
                .skip(lane)
                .step_by(lanes)
                .map(|n| broker.login(door, n))
                .collect();
            let tls = secure.clone();
            tasks.spawn_local(async move {
                for login in logins {
                    drop(Client::open(address, tls.as_ref(), &login).await);
                }
            })
        })
        .collect();
    tasks
        .run_until(async {
            for task in running {
                task.await.expect("a client that does not fail");
            }
        })
        .await;
    settle(broker.pid()).await;
    (cpu(broker.pid()) - before) / count as f64
}

/// CPU per login with ten devices registered, and with a million: the same few devices log in
/// again and again, and then as many different ones.
pub(crate) async fn scale(million: &Muster, report: &mut Report) {
    let ten = Muster::start(10, 10);
    let lanes = 5;
    // Each lane has two devices, so that no login takes over from one that is just ending.
    let again = (0..PLAIN).map(|n| n % 10);
    logins(&ten, Door::Device, lanes, again.clone()).await;
    let few = logins(&ten, Door::Device, lanes, again.clone()).await;
    drop(ten);
    logins(million, Door::Device, lanes, 0..PLAIN).await;
    let same = logins(million, Door::Device, lanes, again).await;
    let many = logins(million, Door::Device, lanes, 0..PLAIN).await;
    let name = "CPU per login, 10 of 1,000,000 devices again and again";
    report.add(Row::new(name, same, "us").beside("10 registered", few));
    let name = "CPU per login, 4,000 of 1,000,000 devices";
    report.add(Row::new(name, many, "us").beside("10 registered", few));
}

/// CPU per login over TLS with and without a ticket, by one client program for both.
pub(crate) async fn ticket(muster: &Muster, report: &mut Report) {
    let count = 1_000;
    for version in ["1.3", "1.2"] {
        python_logins(muster, version, false, count);
        settle(muster.pid()).await;
        let mut spent = [0.0; 2];
        for (spent, ticket) in spent.iter_mut().zip([false, true]) {
            let before = cpu(muster.pid());
            python_logins(muster, version, ticket, count);
            settle(muster.pid()).await;
            *spent = (cpu(muster.pid()) - before) / count as f64;
        }
        let name = format!("CPU per login, TLS {version}, with a ticket");
        let row = Row::new(name, spent[1], "us").beside("without", spent[0]);
        report.add(row.at_most_times(0.3));
    }
}

/// rust-openssl offers no safe way to take a session up again; Python's `ssl` does.
fn python_logins(muster: &Muster, version: &str, ticket: bool, count: usize) {
    let address = muster.address(Door::DeviceTls);
    let script = tests::root().join("benches/clients/tls_logins.py");
    let mut child = Command::new("python3")
        .arg(script)
        .args([&address.port().to_string(), version])
        .arg(if ticket { "ticket" } else { "full" })
        .stdin(Stdio::piped())
        .spawn()
        .expect("python3 is there");
    let mut input = child.stdin.take().expect("a pipe");
    for n in 0..count {
        let Login {
            client_id,
            user,
            password,
        } = muster.login(Door::DeviceTls, n);
        writeln!(input, "{client_id}\t{user}\t{password}").expect("the client reads");
    }
    drop(input);
    assert!(child.wait().expect("a child").success(), "a login failed");
}

/// All devices come back at once after a restart; nobody who is right may be refused.
pub(crate) async fn storm(muster: &mut Muster, door: Door, count: usize, report: &mut Report) {
    let secure = (door == Door::DeviceTls).then(tls);
    let what = if secure.is_some() { "TLS" } else { "plain" };
    logins(muster, door, LANES, 0..count).await;
    muster.restart();
    let before = cpu(muster.pid());
    let address = muster.address(door);
    let began = Instant::now();
    let tasks = LocalSet::new();
    let running: Vec<_> = (0..count)
        .map(|n| {
            let (login, tls) = (muster.login(door, n), secure.clone());
            tasks.spawn_local(async move {
                let opened = Client::try_open(address, tls.as_ref(), &login).await;
                (opened, began.elapsed())
            })
        })
        .collect();
    let mut open = Vec::new();
    let mut times = Vec::new();
    let mut refused = 0;
    tasks
        .run_until(async {
            for task in running {
                match task.await.expect("a client that does not fail") {
                    (Ok(client), time) => {
                        times.push(time);
                        open.push(client);
                    }
                    (Err(why), time) => {
                        if refused == 0 {
                            eprintln!("bench: a login failed after {time:.1?}: {why}");
                        }
                        refused += 1;
                    }
                }
            }
        })
        .await;
    let spent = (cpu(muster.pid()) - before) / count as f64;
    times.sort_unstable();
    let at = |percent: usize| {
        let time = times.get(times.len() * percent / 100);
        time.map_or(Duration::ZERO, |time| *time).as_secs_f64()
    };
    let name = format!("storm of {count} devices after a restart, {what}");
    report.add(Row::new(format!("{name}: not let in"), f64::from(refused), "").at_most(0.0));
    let all = times.last().map_or(0.0, Duration::as_secs_f64);
    report.add(Row::new(format!("{name}: all are in after"), all, "s"));
    report.add(Row::new(format!("{name}: half are in after"), at(50), "s"));
    report.add(Row::new(format!("{name}: CPU per login"), spent, "us"));
    drop(open);
    settle(muster.pid()).await;
}

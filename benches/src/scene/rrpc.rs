//! Synchronous calls: an application's HTTP request, through the server to a device, and back.

use super::settle;
use crate::{
    broker::{Broker, Door, Muster, cpu},
    load::Client,
    report::{Report, Row},
};
use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};
use tests::{
    http::{form, rpc_call},
    server::Key,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{JoinHandle, LocalSet},
    time::{Instant as Tick, sleep_until},
};
use wire::mqtt::{Packet, TopicName};

const DEVICES: usize = 100;
/// Calls a second of all applications together.
const PACE: f64 = 1_000.0;
/// Connections of applications; each has one call under way.
const APPS: usize = 64;
const LASTS: Duration = Duration::from_secs(10);
/// Longest head of an answer, in bytes.
const HEAD: usize = 16 * 1024;

/// At a pace; a call's time counts from when it was due.
pub(crate) async fn rrpc(muster: &mut Muster, report: &mut Report) {
    let key = muster.key();
    let tasks = LocalSet::new();
    let mut devices: Vec<JoinHandle<()>> = Vec::new();
    for n in 0..DEVICES {
        let login = muster.login(Door::Device, n);
        let client = Client::open(muster.address(Door::Device), None, &login).await;
        devices.push(tasks.spawn_local(answers(client)));
    }
    let names: Vec<String> = muster.devices[..DEVICES]
        .iter()
        .map(|device| device.name.clone())
        .collect();
    let run = async |lasts: Duration| {
        let began = Instant::now();
        let each = Duration::from_secs_f64(1.0 / PACE);
        let running: Vec<_> = (0..APPS)
            .map(|app| {
                let names = names.clone();
                let (key, product, http) = (key.clone(), muster.product.clone(), muster.http());
                tokio::task::spawn_local(async move {
                    let calls = Calls {
                        http,
                        key,
                        product,
                        names,
                    };
                    calls.run(app, began, each, began + lasts).await
                })
            })
            .collect();
        let mut times = Vec::new();
        for task in running {
            times.extend(task.await.expect("an application that does not fail"));
        }
        (times, began.elapsed())
    };
    tasks
        .run_until(async {
            run(Duration::from_secs(1)).await;
            settle(muster.pid()).await;
            let before = cpu(muster.pid());
            let (mut times, took) = run(LASTS).await;
            settle(muster.pid()).await;
            let spent = (cpu(muster.pid()) - before) / times.len() as f64;
            times.sort_unstable();
            let at = |percent: usize| times[times.len() * percent / 100].as_secs_f64() * 1e3;
            let name = "synchronous calls (RRpc), 64 applications, 100 devices";
            let rate = times.len() as f64 / took.as_secs_f64();
            report.add(Row::new(format!("{name}, at 1,000/s"), rate, "1/s").at_least(990.0));
            report.add(Row::new("round trip of a call, p50", at(50), "ms"));
            report.add(Row::new("round trip of a call, p99", at(99), "ms"));
            report.add(Row::new(
                "CPU per call, HTTP and signature included",
                spent,
                "us",
            ));
        })
        .await;
    for device in devices {
        device.abort();
    }
}

/// A device that answers whatever it is asked.
async fn answers(mut client: Client) {
    while let Some(packet) = client.next().await {
        let mut next = Some(packet);
        while let Some(packet) = next {
            if let Packet::Publish(message) = packet {
                if let Some(id) = message.packet_id {
                    client.put_ack(id);
                }
                if message.topic.contains("/rrpc/request/") {
                    let topic = message.topic.replace("/rrpc/request/", "/rrpc/response/");
                    let topic = TopicName::new(topic).expect("a topic");
                    client.put(&Packet::Publish(wire::mqtt::Publish::new(
                        topic,
                        message.payload.to_vec(),
                    )));
                }
            }
            next = client.ready();
        }
        client.flush().await;
    }
}

struct Calls {
    http: SocketAddr,
    key: Key,
    product: String,
    names: Vec<String>,
}

impl Calls {
    /// Makes every `APPS`th call; how long each took.
    async fn run(
        self,
        app: usize,
        began: Instant,
        each: Duration,
        until: Instant,
    ) -> Vec<Duration> {
        let mut stream = TcpStream::connect(self.http).await.expect("a listener");
        stream.set_nodelay(true).expect("a socket");
        let mut times = Vec::new();
        for n in (app..).step_by(APPS) {
            let due = began + each * n as u32;
            if due >= until {
                return times;
            }
            sleep_until(Tick::from_std(due)).await;
            let call = rpc_call(
                &self.key,
                "GET",
                "RRpc",
                &[
                    ("ProductKey", &self.product),
                    ("DeviceName", &self.names[n % self.names.len()]),
                    ("RequestBase64Byte", "aGVsbG8="),
                    ("Timeout", "5000"),
                ],
            );
            let request = format!(
                "GET /?{} HTTP/1.1\r\nHost: {}\r\n\r\n",
                form(&call),
                self.http
            );
            stream
                .write_all(request.as_bytes())
                .await
                .expect("a server");
            let body = answer(&mut stream).await;
            assert!(body.contains("\"RrpcCode\":\"SUCCESS\""), "{body}");
            times.push(due.elapsed());
        }
        times
    }
}

/// Reads an answer with a length; its body.
async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        assert!(stream.read_buf(&mut bytes).await.expect("an answer") > 0);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                let named = name.eq_ignore_ascii_case("content-length");
                named.then(|| value.trim().parse::<usize>().ok()).flatten()
            });
            if body.len() >= length.expect("a length") {
                return body.to_owned();
            }
        }
        assert!(bytes.len() < HEAD, "{}", String::from_utf8_lossy(&bytes));
    }
}

//! What this engine does on this machine, against a PostgreSQL of its own: `cargo run --release -p
//! postgres --features cluster --example measure_postgres`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "an experiment")]

use model::{
    id::{IotId, Position, Time},
    port::{Nonces, Point, Range, Series, Stream},
};
use postgres::{Address, Options, Registry, cluster::Cluster};
use std::{sync::Arc, time::Instant};
use tokio::task::JoinSet;

const DEVICES: u64 = 200;

fn point(number: u64) -> Point {
    Point {
        iot_id: IotId::parse(&format!("device-{}", number % DEVICES)).unwrap(),
        stream: Stream::Property,
        identifier: "temperature".into(),
        kind: None,
        at: Time(1_767_225_600_000 + number.cast_signed()),
        position: Position(number),
        value: serde_json::json!(20.5),
    }
}

#[tokio::main]
async fn main() {
    let cluster = Cluster::start();
    let address = Address::parse(&cluster.database()).unwrap();
    let registry = Registry::open(&address, &Options::default()).await.unwrap();
    for batch in [100, 1_000, 5_000] {
        let many: u64 = 200_000;
        let first = batch * 10_000_000;
        let began = Instant::now();
        for from in (0..many).step_by(usize::try_from(batch).unwrap()) {
            let points = (from..from + batch).map(|i| point(first + i));
            registry.append(points.collect()).await.unwrap();
        }
        let rate = many as f64 / began.elapsed().as_secs_f64();
        println!("append, {batch} points a call: {rate:.0} points/s");
    }
    let began = Instant::now();
    let mut reads = 0;
    while began.elapsed().as_secs() < 2 {
        let range = Range {
            iot_id: point(reads).iot_id,
            stream: Stream::Property,
            identifier: Some("temperature".into()),
            kind: None,
            from: Time(0),
            to: Time(i64::MAX),
            oldest_first: false,
            most: 100,
        };
        assert_eq!(registry.range(&range).await.unwrap().len(), 100);
        reads += 1;
    }
    println!(
        "range, newest 100 of 3,000: {:.0} /s",
        reads as f64 / began.elapsed().as_secs_f64()
    );
    for callers in [1, 16, 64] {
        let rate = burn(&registry, callers).await;
        println!("burn (one commit each), {callers} callers: {rate:.0} /s");
    }
    let began = Instant::now();
    let mut gone = 0;
    loop {
        match registry.expire(Time(i64::MAX), 10_000).await.unwrap() {
            0 => break,
            some => gone += some,
        }
    }
    println!(
        "expire: {:.0} points/s",
        gone as f64 / began.elapsed().as_secs_f64()
    );
}

async fn burn(registry: &Arc<Registry>, callers: u64) -> f64 {
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let registry = registry.clone();
        tasks.spawn(async move {
            for i in 0..4_000 / callers {
                let token = format!("{callers}/{caller}/{i}");
                registry.burn(&token, "o", Time(0), Time(9)).await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    4_000.0 / began.elapsed().as_secs_f64()
}

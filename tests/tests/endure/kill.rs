//! Promise 1 for messages: acknowledged means kept, once is once, and nobody repairs anything.

use crate::{
    broker::{Broker, Forgetful, Muster},
    chance::Chance,
    clients::{Publisher, Stage, Subscriber},
    kept::Kept,
    number, report,
};
use serde_json::json;
use std::{
    sync::atomic::Ordering::SeqCst,
    sync::mpsc::sync_channel,
    time::{Duration, Instant},
};
use tests::{
    PATIENCE,
    line::{Line, hello},
};
use wire::mqtt::{QoS, Version};

/// From the start of the program to its first CONNACK.
const START: Duration = Duration::from_secs(5);
/// How many messages each publisher may send between two kills.
const ROUND: u64 = 150;

/// How far subscribers may be behind: far less than a session's queue holds, which would drop what
/// is more.
const BEHIND: usize = 20_000;

/// What a run told.
struct Told {
    broken: Vec<String>,
    slowest: Duration,
    summary: String,
}

/// Kills the broker so many times under load, then lets everybody finish. A broker that lost too
/// much is not waited for longer than `patience`.
fn play(broker: &mut impl Broker, kills: u64, mut chance: Chance, patience: Duration) -> Told {
    let stage = Stage::new(400);
    let mut kept = Kept::new(chance.fork());
    let (ready, is_ready) = sync_channel(8);
    let mut told = Told {
        broken: vec![],
        slowest: Duration::ZERO,
        summary: String::new(),
    };
    std::thread::scope(|scope| {
        stage.server_is_at(Some(broker.address()));
        let subscribers = [
            (Version::V311, QoS::ExactlyOnce, false),
            (Version::V5, QoS::ExactlyOnce, false),
            (Version::V5, QoS::ExactlyOnce, true),
            (Version::V311, QoS::AtLeastOnce, true),
            (Version::V31, QoS::ExactlyOnce, false),
        ];
        for (number, (version, qos, sleeper)) in subscribers.into_iter().enumerate() {
            let chance = chance.fork();
            let subscriber = Subscriber::new(&stage, number, version, qos, sleeper, chance);
            let ready = ready.clone();
            scope.spawn(move || subscriber.run(move || ready.send(()).expect("it waits")));
        }
        for _ in subscribers {
            is_ready
                .recv_timeout(PATIENCE)
                .expect("subscriptions stand");
        }
        let mut publishers = Vec::new();
        for (number, version) in [Version::V311, Version::V5, Version::V31, Version::V5]
            .into_iter()
            .enumerate()
        {
            let publisher = Publisher::new(&stage, number, version, chance.fork());
            publishers.push(scope.spawn(move || publisher.run()));
        }
        for kill in 0..kills {
            stage.allowed.fetch_add(ROUND, SeqCst);
            if stage.ledger().behind() > BEHIND {
                stage.asleep.store(false, SeqCst);
                _ = stage.wait(patience, |ledger| ledger.behind() < BEHIND / 2);
            }
            stage.asleep.store(chance.below(2) == 0, SeqCst);
            let before = stage.ledger().count_acknowledged();
            // In the midst of the round.
            let goal = before + 1 + chance.below(publishers.len() * ROUND as usize);
            _ = stage.wait(Duration::from_secs(2), |l| l.count_acknowledged() >= goal);
            if let Err(e) = kept.change(broker.address(), 10) {
                told.broken.push(format!("the keeper is left alone: {e}"));
            }
            for _ in 0..chance.below(200_000) {
                std::hint::spin_loop();
            }
            stage.server_is_at(None);
            broker.kill();
            let started = Instant::now();
            broker.resume();
            let opened = Line::open(broker.address(), hello("first", Version::V311, false));
            let took = started.elapsed();
            opened.expect("the server takes everybody");
            told.slowest = told.slowest.max(took);
            if took > START {
                told.broken.push(format!("start {kill} took {took:?}"));
            }
            let wrong = kept.verdict(broker.address());
            told.broken
                .extend(wrong.into_iter().map(|w| format!("kill {kill}: {w}")));
            stage.server_is_at(Some(broker.address()));
        }
        // A last round, in which nobody is killed.
        stage.allowed.fetch_add(ROUND, SeqCst);
        let all = publishers.len() as u64 * stage.allowed.load(SeqCst);
        _ = stage.wait(patience, |l| l.count_acknowledged() as u64 >= all);
        stage.asleep.store(false, SeqCst);
        stage.mishaps.store(0, SeqCst);
        stage.last_messages.store(true, SeqCst);
        for publisher in publishers {
            publisher.join().expect("a publisher");
        }
        if !stage.wait(patience, |ledger| ledger.complete()) {
            told.broken.push("not everything came".into());
        }
        // What is not to come would come before the answers to come.
        stage.curtain.store(true, SeqCst);
    });
    told.broken.extend(stage.ledger().verdict());
    told.summary = format!(
        "{kills} kills: {}, slowest start {:?}",
        stage.ledger().summary(),
        told.slowest
    );
    println!("{}", told.summary);
    told
}

/// `KILLS` random kills (`make soak`: 200) under QoS 1 and 2, with sessions and retained messages,
/// while publishers and subscribers lose their connections as well: whatever was acknowledged
/// arrives, at QoS 2 once, in order; retained messages are the last ones; each start takes less
/// than 5 s.
#[test]
fn no_acknowledged_message_is_lost_and_none_of_qos_2_comes_twice() {
    let mut broker = Muster::start();
    let kills = number("KILLS", 20);
    let told = play(&mut broker, kills, Chance::told(), PATIENCE);
    report(
        "kills",
        json!({
            "kills": kills, "messages": told.summary,
            "slowest_start_ms": told.slowest.as_millis() as u64, "broken": told.broken,
        }),
    );
    assert!(told.broken.is_empty(), "{}\n{}", told.summary, first(&told));
}

/// The same where the log of sessions is written anew all the time: kills come during that, too.
#[test]
fn a_log_that_is_written_anew_loses_nothing() {
    let mut broker = Muster::start_with(&["sockets.sessions_log=20000"]);
    let kills = number("RENEWAL_KILLS", 6);
    let told = play(&mut broker, kills, Chance::told(), PATIENCE);
    assert!(told.broken.is_empty(), "{}\n{}", told.summary, first(&told));
    let anew = broker.0.log();
    let anew = anew.matches("the log of sessions is written anew").count();
    println!("{anew} times written anew");
    assert!(anew >= 2, "it was written anew {anew} times");
}

/// Nobody is killed, but publishers and subscribers lose their connections all the time.
#[test]
fn clients_that_lose_their_connections_lose_no_message() {
    let told = play(&mut Muster::start(), 0, Chance::told(), PATIENCE);
    assert!(told.broken.is_empty(), "{}\n{}", told.summary, first(&told));
}

/// The tests above can fail: a broker that forgets is found out.
#[test]
fn a_broker_that_forgets_is_found_out() {
    let told = play(
        &mut Forgetful::start(),
        3,
        Chance::told(),
        Duration::from_secs(2),
    );
    for what in ["is lost", "the session of", "kept/"] {
        let found = told.broken.iter().any(|broken| broken.contains(what));
        assert!(found, "{what}: {}\n{}", told.summary, first(&told));
    }
}

fn first(told: &Told) -> String {
    let list = &told.broken[..told.broken.len().min(30)];
    format!(
        "{} broken promises:\n{}",
        told.broken.len(),
        list.join("\n")
    )
}

//! What every `Log` must do.

use super::Make;
use crate::{id::Position, port::Log};
use std::sync::Arc;

/// All of the suite.
pub async fn all(make: &dyn Make) {
    positions_follow_each_other(make).await;
    what_was_synced_is_shown_after_a_restart(make).await;
    what_was_appended_before_a_stop_is_kept(make).await;
    what_is_forgotten_is_old(make).await;
    long_records_and_empty_ones_are_kept(make).await;
}

fn shown(log: &dyn Log) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    log.replay(&mut |position: Position, record: &[u8]| {
        found.push((position.0, record.to_vec()));
        Ok(())
    })
    .unwrap();
    found
}

fn record(number: u64) -> Vec<u8> {
    format!("record {number} {}", "x".repeat(number as usize % 300)).into_bytes()
}

/// "one more than that of the record before it"
pub async fn positions_follow_each_other(make: &dyn Make) {
    let engine = make.fresh().await;
    let log = &engine.log;
    assert_eq!((log.head(), log.synced()), (Position(0), Position(0)));
    for number in 1..=500 {
        assert_eq!(log.append(record(number)), Position(number));
        assert_eq!(log.head(), Position(number));
    }
    log.reached(Position(500)).await;
    assert_eq!(log.synced(), Position(500));
    while log.backlog() > 0 {
        tokio::task::yield_now().await;
    }
    assert!(log.trouble().is_none() && log.size() > 0);
    let found = shown(&**log);
    assert!(found.into_iter().eq((1..=500).map(|n| (n, record(n)))));
}

/// "the record is on disk when `synced` has reached it"
pub async fn what_was_synced_is_shown_after_a_restart(make: &dyn Make) {
    let mut engine = make.fresh().await;
    for round in 0..5_u64 {
        for number in 1..=100 {
            let number = round * 100 + number;
            assert_eq!(engine.log.append(record(number)), Position(number));
        }
        engine.log.reached(Position((round + 1) * 100)).await;
        engine = make.reopen(engine).await;
        let found = shown(&*engine.log);
        let most = (round + 1) * 100;
        assert!(found.into_iter().eq((1..=most).map(|n| (n, record(n)))));
        assert_eq!(engine.log.head(), Position(most));
        assert_eq!(engine.log.synced(), Position(most));
    }
}

/// A stop in order loses nothing that was appended.
pub async fn what_was_appended_before_a_stop_is_kept(make: &dyn Make) {
    let engine = make.fresh().await;
    for number in 1..=50 {
        engine.log.append(record(number));
    }
    let engine = make.reopen(engine).await;
    assert_eq!(shown(&*engine.log).len(), 50);
}

/// "Forgets records before `position`"
pub async fn what_is_forgotten_is_old(make: &dyn Make) {
    let engine = make.fresh().await;
    let log = engine.log.clone();
    for number in 1..=2_000 {
        log.append(record(number));
        if number % 100 == 0 {
            log.reached(Position(number)).await;
        }
    }
    let before = log.size();
    log.forget_before(Position(1_500)).await.unwrap();
    assert!(log.size() < before);
    let check = |log: &Arc<dyn Log>, last: u64| {
        let found = shown(&**log);
        let first = found[0].0;
        assert!(first <= 1_500 && first > 1, "{first}");
        assert!(found.into_iter().eq((first..=last).map(|n| (n, record(n)))));
    };
    check(&log, 2_000);
    log.append(record(2_001));
    log.reached(Position(2_001)).await;
    drop(log);
    let engine = make.reopen(engine).await;
    check(&engine.log, 2_001);
    // All of it may be forgotten, and positions go on.
    engine.log.forget_before(Position(u64::MAX)).await.unwrap();
    assert_eq!(engine.log.append(record(2_002)), Position(2_002));
    engine.log.reached(Position(2_002)).await;
    assert_eq!(shown(&*engine.log).pop(), Some((2_002, record(2_002))));
}

/// "Takes a record of at most 128 MiB"
pub async fn long_records_and_empty_ones_are_kept(make: &dyn Make) {
    let engine = make.fresh().await;
    let long = vec![7; 128 << 20];
    engine.log.append(Vec::new());
    engine.log.append(long.clone());
    engine.log.append(Vec::new());
    let engine = make.reopen(engine).await;
    let found = shown(&*engine.log);
    assert!(found == [(1, Vec::new()), (2, long), (3, Vec::new())]);
}

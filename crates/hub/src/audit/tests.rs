//! The log over a slate that can be tampered with.

use super::*;
use crate::{
    limits::Limits,
    stage::{Slate, Stage, master},
};
use futures_util::future::join_all;
use model::port::{Expect, Put};
use std::sync::{Arc, atomic::Ordering};

async fn stage() -> (Stage, Arc<Slate>) {
    let slate = Arc::new(Slate::default());
    let below = slate.clone();
    let limits = Limits {
        audit_failures: 3,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |mut ports| {
        ports.audit = below;
        ports
    })
    .await;
    (stage, slate)
}

fn entry(hub: &Hub, n: usize) -> AuditEntry {
    let mut entry = hub.server_entry("test");
    entry.resource = n.to_string();
    entry
}

async fn write(hub: &Hub, count: usize) {
    let notes = (0..count).map(|n| hub.audit_note(entry(hub, n)));
    for done in join_all(notes).await {
        done.unwrap();
    }
}

#[tokio::test]
async fn lines_of_many_callers_share_a_write_and_the_chain_is_whole() {
    let (stage, slate) = stage().await;
    write(&stage.hub, 200).await;
    let check = stage.hub.audit_verify(None).await.unwrap();
    assert_eq!((check.lines, check.broken), (200, None));
    assert!(slate.appends.load(Ordering::SeqCst) < 20);
    let last = slate.lines.lock().last().cloned().unwrap();
    assert_eq!(check.head, Some((200, last.hash)));
}

#[tokio::test]
async fn two_nodes_write_one_chain() {
    let (stage, _slate) = stage().await;
    let other = stage.again(master(1)).await.unwrap();
    for _ in 0..10 {
        tokio::join!(write(&stage.hub, 5), write(&other, 5));
    }
    let check = stage.hub.audit_verify(None).await.unwrap();
    assert_eq!((check.lines, check.broken), (100, None));
}

#[tokio::test]
async fn altered_and_dropped_lines_are_found_with_their_number() {
    let (stage, slate) = stage().await;
    write(&stage.hub, 5).await;
    let good = slate.lines.lock().clone();
    slate.lines.lock()[2].entry.outcome = "altered".to_owned();
    let check = stage.hub.audit_verify(None).await.unwrap();
    assert_eq!(check.broken.unwrap().0, 3);
    *slate.lines.lock() = good;
    slate.lines.lock().remove(1);
    let check = stage.hub.audit_verify(None).await.unwrap();
    assert_eq!(check.broken.unwrap().0, 3);
}

/// The head is noted after the lines; wait until it is there.
async fn noted(stage: &Stage, seq: u64) {
    loop {
        let head = stage
            .ports
            .catalog
            .get("audit", "head")
            .await
            .unwrap()
            .unwrap();
        let head: serde_json::Value = serde_json::from_slice(&head.value).unwrap();
        if head["seq"] == seq {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_tail_that_was_cut_is_missed_and_stays_so_after_more_lines() {
    let (stage, slate) = stage().await;
    write(&stage.hub, 5).await;
    noted(&stage, 5).await;
    slate.lines.lock().truncate(3);
    let check = stage.hub.audit_verify(None).await.unwrap();
    assert_eq!(check.broken.unwrap().0, 5);

    // A start writes the cut into the log, before new lines make it look long enough.
    let again = stage.again(master(1)).await.unwrap();
    write(&again, 5).await;
    noted(&stage, 9).await;
    let (line, why) = again.audit_verify(None).await.unwrap().broken.unwrap();
    assert_eq!(line, 4);
    assert!(why.contains("cut"), "{why}");
}

#[tokio::test]
async fn a_noted_head_cannot_be_removed_or_made_up() {
    let (stage, _slate) = stage().await;
    write(&stage.hub, 5).await;
    noted(&stage, 5).await;
    for value in [None, Some(r#"{"seq":0,"hash":"","mac":""}"#.into())] {
        let put = Put {
            kind: "audit",
            key: "head".to_owned(),
            value,
            expect: Expect::Anything,
        };
        stage.ports.catalog.put(vec![put]).await.unwrap();
        assert!(stage.hub.audit_verify(None).await.unwrap().broken.is_some());
    }
}

/// A crash after the lines and before the head leaves an older head, which is no cut.
#[tokio::test]
async fn lines_newer_than_the_noted_head_are_no_tampering() {
    let (stage, _slate) = stage().await;
    write(&stage.hub, 2).await;
    noted(&stage, 2).await;
    let older = stage
        .ports
        .catalog
        .get("audit", "head")
        .await
        .unwrap()
        .unwrap();
    write(&stage.hub, 2).await;
    noted(&stage, 4).await;
    let put = Put {
        kind: "audit",
        key: "head".to_owned(),
        value: Some(older.value),
        expect: Expect::Anything,
    };
    stage.ports.catalog.put(vec![put]).await.unwrap();
    let again = stage.again(master(1)).await.unwrap();
    let check = again.audit_verify(None).await.unwrap();
    assert_eq!((check.lines, check.broken), (4, None));
}

#[tokio::test]
async fn a_head_noted_elsewhere_must_be_in_the_log() {
    let (stage, slate) = stage().await;
    write(&stage.hub, 3).await;
    let head = stage.hub.audit_verify(None).await.unwrap().head.unwrap();
    write(&stage.hub, 3).await;
    let check = |expect| stage.hub.audit_verify(Some(expect));
    assert_eq!(check(head.clone()).await.unwrap().broken, None);
    let other = slate.lines.lock()[3].hash.clone();
    assert_eq!(check((3, other)).await.unwrap().broken.unwrap().0, 3);
    assert_eq!(check((7, head.1)).await.unwrap().broken.unwrap().0, 7);
}

#[tokio::test]
async fn a_line_that_cannot_be_kept_is_told_and_the_next_ones_follow() {
    let (stage, slate) = stage().await;
    write(&stage.hub, 2).await;
    slate.refuses.store(true, Ordering::SeqCst);
    assert!(stage.hub.audit_note(entry(&stage.hub, 0)).await.is_err());
    slate.refuses.store(false, Ordering::SeqCst);
    write(&stage.hub, 2).await;
    let check = stage.hub.audit_verify(None).await.unwrap();
    assert_eq!((check.lines, check.broken), (4, None));
}

#[tokio::test]
async fn a_caller_who_goes_away_harms_no_one_elses_line() {
    let (stage, _slate) = stage().await;
    let hub = stage.hub.clone();
    let gone = tokio::spawn(async move { hub.audit_note(entry(&hub, 0)).await });
    tokio::task::yield_now().await;
    gone.abort();
    let _ = gone.await;
    write(&stage.hub, 3).await;
    let check = stage.hub.audit_verify(None).await.unwrap();
    assert_eq!(check.broken, None);
    assert!(check.lines >= 3);
}

#[tokio::test]
async fn failures_beyond_the_limit_are_summed_up_in_one_line() {
    let (stage, slate) = stage().await;
    for n in 0..10 {
        stage.hub.audit_failure(entry(&stage.hub, n)).await;
    }
    assert_eq!(slate.lines.lock().len(), 3);
    stage.clock.move_by(1_000);
    stage.hub.sweep(stage.hub.now()).await.unwrap();
    let last = slate.lines.lock().last().cloned().unwrap();
    assert_eq!(last.entry.action, "audit.held");
    assert!(
        last.entry.detail.starts_with("7 more failures"),
        "{}",
        last.entry.detail
    );
    assert_eq!(slate.lines.lock().len(), 4);
}

//! `Audit`: lines in order, without gaps.

use super::{Engine, Make, race};
use crate::{
    account::{AuditEntry, AuditRecord},
    id::Time,
    port::Change,
};

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    lines_follow_each_other_without_gaps(make).await;
    of_many_racing_for_a_line_one_gets_it(make).await;
    what_is_done_survives_a_restart(make).await;
}

fn record(seq: u64) -> AuditRecord {
    AuditRecord {
        seq,
        entry: AuditEntry {
            at: Time(-5),
            who: "1/ops".into(),
            address: "192.0.2.1".into(),
            action: "iot:DeleteDevice".into(),
            resource: "product/é/\"device\"".into(),
            outcome: "ok".into(),
            detail: seq.to_string(),
        },
        hash: "ab".repeat(32),
    }
}

fn records(from: u64, to: u64) -> Vec<AuditRecord> {
    (from..=to).map(record).collect()
}

/// "Appends lines whose numbers follow the last one kept; `Conflict` when they do not."
pub async fn lines_follow_each_other_without_gaps(make: &dyn Make) {
    let Engine {
        audit, data: _data, ..
    } = make.fresh().await;
    assert_eq!(audit.last().await.unwrap(), None);
    assert!(audit.page(0, 10).await.unwrap().is_empty());
    let append = async |records| audit.append(records).await.unwrap();
    assert_eq!(append(records(2, 3)).await, Change::Conflict);
    assert_eq!(append(records(0, 1)).await, Change::Conflict);
    assert_eq!(append(records(1, 3)).await, Change::Done(3));
    assert_eq!(append(records(3, 4)).await, Change::Conflict);
    assert_eq!(append(vec![record(4), record(6)]).await, Change::Conflict);
    assert_eq!(append(records(4, 9)).await, Change::Done(9));
    assert_eq!(append(Vec::new()).await, Change::Done(9));
    assert_eq!(audit.last().await.unwrap(), Some(record(9)));
    assert_eq!(audit.page(0, 4).await.unwrap(), records(1, 4));
    assert_eq!(audit.page(4, 100).await.unwrap(), records(5, 9));
    assert!(audit.page(9, 100).await.unwrap().is_empty());
    assert!(audit.page(u64::MAX, 100).await.unwrap().is_empty());
}

/// Of many that append the same number at once, one succeeds.
pub async fn of_many_racing_for_a_line_one_gets_it(make: &dyn Make) {
    let Engine {
        audit, data: _data, ..
    } = make.fresh().await;
    let results = race(16, |_| {
        let audit = audit.clone();
        async move { audit.append(vec![record(1)]).await.unwrap() }
    })
    .await;
    let done = results.iter().filter(|r| **r == Change::Done(1)).count();
    assert_eq!(done, 1);
    assert_eq!(audit.page(0, 100).await.unwrap(), records(1, 1));
}

/// "When a method that changes something returns `Ok`, the change is on disk."
pub async fn what_is_done_survives_a_restart(make: &dyn Make) {
    let engine = make.fresh().await;
    engine.audit.append(records(1, 5)).await.unwrap();
    let engine = make.reopen(engine).await;
    assert_eq!(engine.audit.page(0, 100).await.unwrap(), records(1, 5));
    let next = engine.audit.append(records(6, 6)).await.unwrap();
    assert_eq!(next, Change::Done(6));
}

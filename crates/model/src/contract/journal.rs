//! `Journal`: facts in order, durable before `append` returns.

use super::{Engine, Make, device_key, iot_id, race};
use crate::{
    command::{Answer, Order},
    fact::{Fact, What},
    id::{CommandId, Position, Time},
    port::Journal,
    thing::EventKind,
};
use bytes::Bytes;
use serde_json::{Map, json};

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    positions_grow_by_one_from_one(make).await;
    every_kind_of_fact_is_read_as_it_was_written(make).await;
    facts_of_one_caller_keep_their_order(make).await;
    what_is_noted_keeps_its_order_and_comes_by_itself(make).await;
    readers_see_facts_in_order_and_without_gaps(make).await;
    a_waiting_reader_wakes_when_the_journal_grows(make).await;
    large_facts_are_all_read(make).await;
    readers_keep_their_positions(make).await;
    trimming_forgets_from_the_oldest_on(make).await;
    what_is_appended_survives_a_restart(make).await;
}

/// A noted fact waits for nobody and nobody for it, yet it is never behind a later one.
async fn what_is_noted_keeps_its_order_and_comes_by_itself(make: &dyn Make) {
    let Engine {
        journal,
        data: _data,
        ..
    } = make.fresh().await;
    journal.settled().await.unwrap();
    for number in [1, 3, 5] {
        journal.note(numbered(0, number)).await.unwrap();
        let position = journal.append(numbered(0, number + 1)).await.unwrap();
        assert_eq!(position.0, number as u64 + 1);
    }
    journal.note(numbered(0, 7)).await.unwrap();
    journal.settled().await.unwrap();
    assert_eq!(journal.head(), Position(7));
    journal.note(numbered(0, 8)).await.unwrap();
    journal.grown(Position(7)).await;
    let facts = read_all(&*journal, 0, 100).await;
    let numbers: Vec<_> = facts.iter().map(|(_, fact)| number_of(fact).1).collect();
    assert_eq!(numbers, (1..=8).collect::<Vec<_>>());
}

fn fact(what: What) -> Fact {
    Fact {
        at: Time(1_700_000_000_000),
        device: device_key("pk", "lamp"),
        iot_id: iot_id("id-lamp"),
        what,
    }
}

fn numbered(writer: usize, number: usize) -> Fact {
    fact(What::Offline {
        reason: format!("{writer} {number}"),
    })
}

fn number_of(fact: &Fact) -> (usize, usize) {
    let What::Offline { reason } = &fact.what else {
        panic!("another fact: {fact:?}");
    };
    let (writer, number) = reason.split_once(' ').unwrap();
    (writer.parse().unwrap(), number.parse().unwrap())
}

async fn read_all(journal: &dyn Journal, after: u64, most: usize) -> Vec<(u64, Fact)> {
    let mut all = Vec::new();
    let mut after = Position(after);
    loop {
        let facts = journal.read(after, most).await.unwrap();
        assert!(facts.len() <= most);
        let Some((last, _)) = facts.last() else {
            return all;
        };
        after = *last;
        all.extend(facts.into_iter().map(|(position, fact)| (position.0, fact)));
    }
}

/// "The place of a fact in the journal: grows by one from fact to fact, from 1."
pub async fn positions_grow_by_one_from_one(make: &dyn Make) {
    let Engine {
        journal,
        data: _data,
        ..
    } = make.fresh().await;
    assert_eq!(journal.head(), Position(0));
    assert!(journal.read(Position(0), 10).await.unwrap().is_empty());
    for number in 1..=5 {
        let position = journal.append(numbered(0, number)).await.unwrap();
        assert_eq!(position, Position(number as u64));
        assert_eq!(journal.head(), position);
    }
}

/// What is read is what was appended, whatever it says.
pub async fn every_kind_of_fact_is_read_as_it_was_written(make: &dyn Make) {
    let Engine {
        journal,
        data: _data,
        ..
    } = make.fresh().await;
    let order = || Order::SetProperties(Map::from_iter([("Power".into(), json!(true))]));
    let value = json!({"a": [1, -2, 1.5, null, "ß\u{0}\u{1f600}", true], "b": u64::MAX});
    let facts = vec![
        fact(What::Registered),
        fact(What::Activated),
        fact(What::Online {
            address: "2001:db8::1".into(),
        }),
        fact(What::Offline {
            reason: String::new(),
        }),
        fact(What::Disabled),
        fact(What::Enabled),
        fact(What::Deleted),
        fact(What::CredentialReset),
        fact(What::PropertiesPosted {
            values: vec![("Power".into(), value.clone(), Time(-1))],
        }),
        fact(What::EventPosted {
            identifier: "overheat".into(),
            kind: EventKind::Alert,
            output: value,
            time: Time(i64::MAX),
        }),
        fact(What::CommandSent {
            command: CommandId(u32::MAX),
            order: order(),
        }),
        fact(What::CommandAnswered {
            command: CommandId(1),
            order: order(),
            answer: Answer {
                code: -1,
                data: json!({}),
                message: "no".into(),
            },
        }),
        fact(What::MessagePublished {
            topic: "/pk/lamp/user/up".into(),
            payload: Bytes::from_static(&[0, 255, 13, 10]),
        }),
    ];
    for fact in &facts {
        journal.append(fact.clone()).await.unwrap();
    }
    let read = read_all(&*journal, 0, 4).await;
    let read: Vec<_> = read.into_iter().map(|(_, fact)| fact).collect();
    assert_eq!(read, facts);
}

/// "Facts of one caller keep their order", and every position is given once.
pub async fn facts_of_one_caller_keep_their_order(make: &dyn Make) {
    const CALLERS: usize = 32;
    const FACTS: usize = 25;
    let Engine {
        journal,
        data: _data,
        ..
    } = make.fresh().await;
    let positions = race(CALLERS, |writer| {
        let journal = journal.clone();
        async move {
            let mut positions = Vec::new();
            for number in 0..FACTS {
                let position = journal.append(numbered(writer, number)).await.unwrap();
                assert!(journal.head() >= position);
                positions.push(position.0);
            }
            assert!(positions.is_sorted());
            positions
        }
    })
    .await;
    let read = read_all(&*journal, 0, 100).await;
    let found: Vec<_> = read.iter().map(|(position, _)| *position).collect();
    assert_eq!(found, (1..=(CALLERS * FACTS) as u64).collect::<Vec<_>>());
    for (position, fact) in &read {
        let (writer, number) = number_of(fact);
        assert_eq!(positions[writer][number], *position);
    }
    assert_eq!(journal.head(), Position((CALLERS * FACTS) as u64));
}

/// "Facts after `after`, in order": also for a reader that runs beside writers.
pub async fn readers_see_facts_in_order_and_without_gaps(make: &dyn Make) {
    let Engine {
        journal,
        data: _data,
        ..
    } = make.fresh().await;
    let reader = tokio::spawn({
        let journal = journal.clone();
        async move {
            let mut after = 0;
            while after < 800 {
                journal.grown(Position(after)).await;
                let facts = journal.read(Position(after), 13).await.unwrap();
                assert!(!facts.is_empty());
                for (position, _) in facts {
                    after += 1;
                    assert_eq!(position.0, after);
                    assert!(position <= journal.head());
                }
            }
        }
    });
    race(16, |writer| {
        let journal = journal.clone();
        async move {
            for number in 0..50 {
                journal.append(numbered(writer, number)).await.unwrap();
            }
        }
    })
    .await;
    reader.await.unwrap();
    let read = read_all(&*journal, 790, 100).await;
    assert_eq!(read.len(), 10);
    assert_eq!(read[0].0, 791);
    let beyond = journal.read(Position(u64::MAX), 10).await.unwrap();
    assert!(beyond.is_empty());
    assert!(journal.read(Position(0), 0).await.unwrap().is_empty());
}

/// "Returns when `head` is past `after`."
pub async fn a_waiting_reader_wakes_when_the_journal_grows(make: &dyn Make) {
    let Engine {
        journal,
        data: _data,
        ..
    } = make.fresh().await;
    let waiters: Vec<_> = (0..8)
        .map(|_| {
            let journal = journal.clone();
            tokio::spawn(async move {
                journal.grown(Position(1)).await;
                journal.head()
            })
        })
        .collect();
    journal.append(numbered(0, 1)).await.unwrap();
    journal.grown(Position(0)).await;
    journal.append(numbered(0, 2)).await.unwrap();
    for waiter in waiters {
        assert_eq!(waiter.await.unwrap(), Position(2));
    }
}

/// "Fewer than `most` when they are large; none when, and only when, there are none."
pub async fn large_facts_are_all_read(make: &dyn Make) {
    let Engine {
        journal,
        data: _data,
        ..
    } = make.fresh().await;
    let large = |number: u8| {
        fact(What::MessagePublished {
            topic: "large".into(),
            payload: Bytes::from(vec![number; 256 << 10]),
        })
    };
    race(40, |i| {
        let (journal, fact) = (journal.clone(), large(i as u8));
        async move { journal.append(fact).await.unwrap() }
    })
    .await;
    let read = read_all(&*journal, 0, 1_000).await;
    assert_eq!(read.len(), 40);
    let mut first_bytes: Vec<_> = read
        .iter()
        .map(|(_, fact)| match &fact.what {
            What::MessagePublished { payload, .. } => payload[0],
            other => panic!("{other:?}"),
        })
        .collect();
    first_bytes.sort_unstable();
    assert_eq!(first_bytes, (0..40).collect::<Vec<_>>());
}

/// "The position that a reader kept; 0 when it never did."
pub async fn readers_keep_their_positions(make: &dyn Make) {
    let engine = make.fresh().await;
    for number in 0..9 {
        engine.journal.append(numbered(0, number)).await.unwrap();
    }
    assert_eq!(engine.journal.kept("history").await.unwrap(), Position(0));
    for position in [3, 7] {
        let kept = engine.journal.keep("history", Position(position)).await;
        kept.unwrap();
    }
    engine.journal.keep("log", Position(9)).await.unwrap();
    let engine = make.reopen(engine).await;
    let kept = async |reader| engine.journal.kept(reader).await.unwrap().0;
    assert_eq!(kept("history").await, 7);
    assert_eq!(kept("log").await, 9);
    assert_eq!(kept("other").await, 0);
}

/// "Forgets facts up to `until`, at most `most`; gives back how many it was." Positions go on.
pub async fn trimming_forgets_from_the_oldest_on(make: &dyn Make) {
    let engine = make.fresh().await;
    for number in 0..20 {
        engine.journal.append(numbered(0, number)).await.unwrap();
    }
    let trim = async |until, most| engine.journal.trim(Position(until), most).await.unwrap();
    assert_eq!(trim(0, 100).await, 0);
    assert_eq!(trim(10, 4).await, 4);
    assert_eq!(read_all(&*engine.journal, 0, 100).await[0].0, 5);
    assert_eq!(trim(10, 100).await, 6);
    assert_eq!(trim(10, 100).await, 0);
    let read = read_all(&*engine.journal, 3, 100).await;
    assert_eq!((read.len(), read[0].0), (10, 11));
    assert_eq!(number_of(&read[0].1), (0, 10));

    let engine = make.reopen(engine).await;
    assert_eq!(read_all(&*engine.journal, 0, 100).await.len(), 10);
    let trimmed = engine.journal.trim(Position(u64::MAX), 100).await;
    assert_eq!(trimmed.unwrap(), 10);
    assert!(read_all(&*engine.journal, 0, 100).await.is_empty());
    let engine = make.reopen(engine).await;
    assert_eq!(engine.journal.head(), Position(20));
    let next = engine.journal.append(numbered(0, 20)).await.unwrap();
    assert_eq!(next, Position(21));
    assert_eq!(read_all(&*engine.journal, 0, 100).await.len(), 1);
}

/// "Appends the fact and returns once it is on disk."
pub async fn what_is_appended_survives_a_restart(make: &dyn Make) {
    let mut engine = make.fresh().await;
    for round in 0..3 {
        race(10, |i| {
            let journal = engine.journal.clone();
            async move { journal.append(numbered(round, i)).await.unwrap() }
        })
        .await;
        engine = make.reopen(engine).await;
        let head = (round as u64 + 1) * 10;
        assert_eq!(engine.journal.head(), Position(head));
        let read = read_all(&*engine.journal, 0, 7).await;
        assert_eq!(read.len() as u64, head);
    }
}

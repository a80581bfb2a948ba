//! `Nonces`: single-use things.

use super::{Engine, Make, race};
use crate::{
    id::Time,
    port::{Burnt, Taken},
};

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    a_challenge_is_taken_once_by_its_owner_while_it_is_fresh(make).await;
    a_token_is_new_once_while_it_is_marked(make).await;
    of_many_racing_one_takes_and_one_burns(make).await;
    a_mark_made_ahead_counts_at_once_and_stays_once_it_is_settled(make).await;
    what_is_done_survives_a_restart(make).await;
}

/// "Removes `token` if `owner` holds it and it is fresh."
pub async fn a_challenge_is_taken_once_by_its_owner_while_it_is_fresh(make: &dyn Make) {
    let Engine {
        nonces,
        data: _data,
        ..
    } = make.fresh().await;
    let mint = async |token, owner, until| {
        let minted = nonces.mint(token, owner, Time(0), Time(until)).await;
        minted.unwrap();
    };
    let take = async |token, owner, now| nonces.take(token, owner, Time(now)).await.unwrap();
    assert_eq!(take("t", "a", 0).await, Taken::No);
    mint("t", "a", 10).await;
    assert_eq!(take("t", "b", 5).await, Taken::No);
    assert_eq!(take("u", "a", 5).await, Taken::No);
    assert_eq!(take("t", "a", 10).await, Taken::Yes);
    assert_eq!(take("t", "a", 5).await, Taken::No);
    mint("t", "a", 10).await;
    mint("t", "b", 20).await;
    assert_eq!(take("t", "a", 11).await, Taken::No);
    assert_eq!(take("t", "b", 11).await, Taken::Yes);
    mint("t", "c", 10).await;
    mint("t", "c", 30).await;
    assert_eq!(take("t", "c", 20).await, Taken::Yes);
}

/// "Marks `token` of `owner` as seen until `until`."
pub async fn a_token_is_new_once_while_it_is_marked(make: &dyn Make) {
    let Engine {
        nonces,
        data: _data,
        ..
    } = make.fresh().await;
    let burn = async |token, owner, now| {
        let burnt = nonces.burn(token, owner, Time(now), Time(now + 10)).await;
        burnt.unwrap()
    };
    assert_eq!(burn("t", "a", 0).await, Burnt::New);
    assert_eq!(burn("t", "a", 0).await, Burnt::Seen);
    assert_eq!(burn("t", "b", 0).await, Burnt::New);
    assert_eq!(burn("u", "a", 0).await, Burnt::New);
    assert_eq!(burn("t", "a", 10).await, Burnt::Seen);
    // Seen again does not make the mark last longer.
    assert_eq!(burn("t", "a", 11).await, Burnt::New);
    assert_eq!(burn("t", "a", 21).await, Burnt::Seen);
    assert_eq!(burn("t", "a", 22).await, Burnt::New);
    // A burnt token is no challenge.
    assert_eq!(nonces.take("t", "a", Time(22)).await.unwrap(), Taken::No);
}

/// "Of two racing calls one sees `Yes`", and "one sees `New`".
pub async fn of_many_racing_one_takes_and_one_burns(make: &dyn Make) {
    let Engine {
        nonces,
        data: _data,
        ..
    } = make.fresh().await;
    nonces.mint("t", "a", Time(0), Time(10)).await.unwrap();
    let results = race(32, |_| {
        let nonces = nonces.clone();
        async move {
            let taken = nonces.take("t", "a", Time(1)).await.unwrap();
            let burnt = nonces.burn("t", "a", Time(1), Time(9)).await.unwrap();
            (taken == Taken::Yes, burnt == Burnt::New)
        }
    })
    .await;
    assert_eq!(results.iter().filter(|(taken, _)| *taken).count(), 1);
    assert_eq!(results.iter().filter(|(_, new)| *new).count(), 1);
}

/// "Returns before the mark is on disk", and "Returns when a mark of `burn_ahead` is on disk".
pub async fn a_mark_made_ahead_counts_at_once_and_stays_once_it_is_settled(make: &dyn Make) {
    let engine = make.fresh().await;
    let ahead = async |token| {
        let nonces = &engine.nonces;
        let burnt = nonces.burn_ahead(token, "a", Time(0), Time(10)).await;
        burnt.unwrap()
    };
    let (burnt, first) = ahead("t").await;
    assert_eq!(burnt, Burnt::New);
    assert_eq!(ahead("t").await.0, Burnt::Seen);
    let burnt = engine.nonces.burn("t", "a", Time(1), Time(10)).await;
    assert_eq!(burnt.unwrap(), Burnt::Seen);
    let (_, second) = ahead("u").await;
    engine.nonces.settled(second, Time(1)).await.unwrap();
    let engine = make.reopen(engine).await;
    // What was marked before it is on disk with it.
    for token in ["t", "u"] {
        let burnt = engine.nonces.burn(token, "a", Time(2), Time(10)).await;
        assert_eq!(burnt.unwrap(), Burnt::Seen, "{token}");
    }
    engine.nonces.settled(first, Time(2)).await.unwrap();
}

/// "When a method that changes something returns `Ok`, the change is on disk."
pub async fn what_is_done_survives_a_restart(make: &dyn Make) {
    let engine = make.fresh().await;
    for token in ["t", "u"] {
        let minted = engine.nonces.mint(token, "a", Time(0), Time(10)).await;
        minted.unwrap();
    }
    engine.nonces.take("t", "a", Time(1)).await.unwrap();
    engine
        .nonces
        .burn("n", "a", Time(1), Time(10))
        .await
        .unwrap();
    let engine = make.reopen(engine).await;
    let take = async |token| engine.nonces.take(token, "a", Time(2)).await.unwrap();
    assert_eq!(take("t").await, Taken::No);
    assert_eq!(take("u").await, Taken::Yes);
    let burnt = engine.nonces.burn("n", "a", Time(2), Time(10)).await;
    assert_eq!(burnt.unwrap(), Burnt::Seen);
}

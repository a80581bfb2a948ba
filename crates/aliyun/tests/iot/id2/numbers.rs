//! Every number that the document lists for the server is told by a call of the API.

use super::*;
use credential::{
    crypto::{
        digest::Hash,
        ecb::{Cipher, Direction},
    },
    id2::KeyError,
};
use hub::id2::{Keeper, Keys, Name};
use std::sync::Arc;

/// The list of seed 000 §1.1.8. That it is the document's is checked by
/// `tests/tests/id2_document.rs`, which has the document.
const LISTED: [i64; 36] = [
    12, 13, 14, 15, 16, 18, 21, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48,
    49, 50, 51, 52, 53, 54, 55, 56, 57, 200, 500, 700,
];

/// [000 1.1.8] [ID-7] Each of them, on a bench of its own.
#[tokio::test]
async fn every_number_of_the_document_is_told_by_a_call() {
    for number in LISTED {
        let bench = Bench::set().await;
        let told = match number {
            12 | 13 | 15 | 16 | 53 | 55..=57 => Box::pin(asking(&bench, number)).await,
            18 | 32 | 41 | 43..=52 => Box::pin(standing(&bench, number)).await,
            36 | 38 | 40 | 42 => Box::pin(wanting(&bench, number)).await,
            _ => Box::pin(showing(&bench, number)).await,
        };
        assert_eq!(told, number);
    }
}

fn number(tree: &Value) -> i64 {
    tree["Code"].as_i64().unwrap_or_else(|| panic!("{tree}"))
}

/// What is told of a code, and of a request.
async fn showing(bench: &Bench, number: i64) -> i64 {
    let device = bench.device(ID, KeyType::Aes128).await;
    let code = bench.stamped(&device);
    let old = (START - 3_600_000).to_string();
    match number {
        200 => bench.verdict(&device.id, &code).await,
        14 => {
            let other = bench
                .device("2122232425262728292A2B2D", KeyType::Aes128)
                .await;
            bench.verdict(&other.id, &code).await
        }
        21 => bench.verdict(&device.id, "0~2~x").await,
        33 => {
            let late = bench.code(&device, Form::Plain, Fresh::Timestamp(&old), None);
            bench.verdict(&device.id, &late).await
        }
        34 => {
            assert_eq!(bench.verdict(&device.id, &code).await, 200);
            bench.verdict(&device.id, &code).await
        }
        35 => {
            let never = Fresh::Challenge("00000000000000000000000000000000");
            let code = bench.code(&device, Form::Plain, never, None);
            bench.verdict(&device.id, &code).await
        }
        37 => {
            let params = [("ApiVersion", "1.1.1"), ("Id2", ID)];
            let (_, tree) = bench.stage.call("GetServerRandom", &params).await;
            self::number(&tree)
        }
        39 => {
            let mut params = bench.verify(&device.id, &code).to_vec();
            params.push(("Extra", "of which the code knows nothing"));
            bench.refused("Verify", &params).await
        }
        54 => {
            for _ in 0..Limits::default().id2_calls {
                assert_eq!(bench.verdict(&device.id, "").await, 21);
            }
            bench.verdict(&device.id, &code).await
        }
        500 => {
            bench
                .refused("GetServerRandom", &[("Id2", "no identity")])
                .await
        }
        700 => {
            let hub = &bench.stage.hub;
            hub.id2_keeper(Arc::new(Lost));
            bench
                .change(Change {
                    keys: Some(Keys::Token),
                    ..Change::default()
                })
                .await;
            let kept = bench
                .device("2122232425262728292A2B2D", KeyType::Aes128)
                .await;
            bench.verdict(&kept.id, &bench.stamped(&kept)).await
        }
        other => panic!("the document lists {other}, which no case here tells"),
    }
}

/// What is told of where an identity stands, and whose it is.
async fn standing(bench: &Bench, number: i64) -> i64 {
    let hub = &bench.stage.hub;
    let device = bench.device(ID, KeyType::Aes128).await;
    let verdict = async || bench.verdict(&device.id, &bench.stamped(&device)).await;
    let challenge = async |id: &str| bench.refused("GetServerRandom", &[("Id2", id)]).await;
    let batch = async || {
        let made = hub.id2_batch(&bench.permit, &bench.product, 1, "").await;
        made.expect("made")
    };
    let list = async || {
        let all = Default::default();
        let list = hub.id2_list(&bench.permit, &bench.product, &all, 10).await;
        let mut list = list.expect("a list").into_iter();
        let made = list.find(|row| row.id != ID).expect("one of the batch");
        made.id
    };
    let params = bench.verify(&device.id, "");
    match number {
        18 => challenge("2122232425262728292A2B20").await,
        32 => {
            bench
                .change(Change {
                    self_activating: Some(false),
                    ..Change::default()
                })
                .await;
            verdict().await
        }
        41 => {
            bench
                .change(Change {
                    on: Some(false),
                    ..Change::default()
                })
                .await;
            verdict().await
        }
        43 | 44 => {
            let batch = batch().await.number;
            let id = list().await;
            if number == 43 {
                let state = BatchState::Withdrawn;
                let set = hub.id2_batch_set(&bench.permit, &bench.product, batch, state);
                set.await.expect("withdrawn");
            }
            challenge(&id).await
        }
        45 => {
            bench.move_to(&device.id, State::Suspended).await;
            verdict().await
        }
        46 => {
            bench.move_to(&device.id, State::Revoked).await;
            verdict().await
        }
        47 => {
            let made = hub.account_create(&bench.permit, "another").await;
            let (_, other) = made.expect("made");
            let params = [("ApiVersion", "1.1.2"), ("Id2", ID)];
            let pairs = bench.stage.signed(&other, "GetServerRandom", &params);
            self::number(&bench.stage.get(&pairs).await.1)
        }
        48 => challenge("00FFFFFFBBBBBB48B69CD200").await,
        49 => {
            batch().await;
            let vendor = &list().await[2..8];
            challenge(&format!("00{vendor}FFFFFFFFFFFFFF00")).await
        }
        50 => {
            let until = hub.id2_until(&bench.permit, &device.id, Some(Time(START)));
            until.await.expect("set");
            verdict().await
        }
        51 => {
            let params = [params[0], params[1], ("ProductKey", "nobody")];
            bench.refused("Verify", &params).await
        }
        52 => challenge("00AAAAAABBBBBB48B69CD200").await,
        other => panic!("the document lists {other}, which no case here tells"),
    }
}

/// What is told of what a caller wants besides.
async fn wanting(bench: &Bench, number: i64) -> i64 {
    let kind = match number {
        42 => KeyType::P256,
        _ => KeyType::Aes128,
    };
    let device = bench.device(ID, kind).await;
    let code = bench.stamped(&device);
    let long = "e".repeat(513);
    let challenge = if number == 40 { "a~b" } else { "ABCD12348" };
    let mut params = vec![
        ("Id2", ID),
        ("ProductKey", bench.product.as_str()),
        ("DeviceAuthCode", code.as_str()),
        ("DeviceChallenge", challenge),
        ("Data", if number == 36 { "" } else { "abcd1234" }),
    ];
    if number == 38 {
        params.push(("ServerExtra", &long));
    }
    let action = "GetServerAuthCodeAndEncryptData";
    bench.refused(action, &params).await
}

/// What is told to a device that asks for an identity.
async fn asking(bench: &Bench, number: i64) -> i64 {
    let hub = &bench.stage.hub;
    let token = hub.id2_token(&bench.permit, &bench.product, false).await;
    let token = token.expect("a token");
    let otp = async |session: u8, print: &[u8]| {
        let (_, _, code) = ask(&token, session, print);
        let tree = bench.call("OtpGetId2", &[("DeviceAuthCode", &code)]).await;
        self::number(&tree)
    };
    let licence = Licence {
        total: 1,
        until: None,
    };
    let change = Change {
        otp: Some(number != 55),
        licence: Some((number != 15).then_some(licence)),
        per_day: Some((number == 53).then_some(0)),
        listed: Some(number == 13),
        repeat: Some(OnRepeat::Reissue),
        ..Change::default()
    };
    bench.change(change).await;
    match number {
        13 | 15 | 53 | 55 => otp(1, b"one").await,
        56 => otp(1, b"\0\0\0\0").await,
        16 => {
            assert_eq!(otp(1, b"one").await, 200);
            otp(2, b"two").await
        }
        12 | 57 => {
            assert_eq!(otp(1, b"one").await, 200);
            if number == 12 {
                let all = Default::default();
                let list = hub.id2_list(&bench.permit, &bench.product, &all, 1);
                let id = list.await.expect("a list")[0].id.clone();
                let id = Id::parse(id.as_bytes()).expect("an identity");
                bench.move_to(&id, State::Active).await;
            } else {
                bench
                    .change(Change {
                        repeat: Some(OnRepeat::Reject),
                        ..Change::default()
                    })
                    .await;
            }
            otp(2, b"one").await
        }
        other => panic!("the document lists {other}, which no case here tells"),
    }
}

/// A token that takes keys and lost what opens them.
struct Lost;

impl Keeper for Lost {
    fn has(&self, _: &Name) -> Result<bool, KeyError> {
        Ok(true)
    }

    fn make(&self, _: &Name) -> Result<(), KeyError> {
        Ok(())
    }

    fn wrap(&self, _: &Name, _: &Secret) -> Result<Vec<u8>, KeyError> {
        Ok(vec![1])
    }

    fn unwrap(&self, _: &Name, _: &[u8]) -> Result<Secret, KeyError> {
        Err(KeyError::Failed)
    }

    fn blocks(
        &self,
        _: &Name,
        _: &[u8],
        _: Cipher,
        _: Direction,
        _: &mut [u8],
    ) -> Result<(), KeyError> {
        Err(KeyError::Failed)
    }

    fn sign_rsa(&self, _: &Name, _: &[u8], _: Hash, _: &[u8]) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::Failed)
    }
}

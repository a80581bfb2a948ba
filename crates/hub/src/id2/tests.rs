//! Identities over the embedded engine.

use super::*;
use crate::{
    Hub,
    account::Permit,
    stage::{Stage, master},
    transfer::{Content, Lock, check, import},
};
use credential::{
    Secret,
    crypto::{
        digest::Hash,
        ecb::{Cipher, Direction},
    },
    id2::{
        KeyError, SoftKey,
        device::{self, Form, Fresh},
        otp::{self, Session, Token},
    },
};
use model::{
    error::Id2Error,
    id::{ProductKey, Time},
    product::DynamicRegistration,
};
use parking_lot::Mutex;
use std::{
    collections::BTreeSet,
    io::BufReader,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

struct Bench {
    stage: Stage,
    permit: Permit,
    product: ProductKey,
}

impl Bench {
    async fn set(total: u64) -> Self {
        let stage = Stage::set().await;
        let (product, _) = stage.product(DynamicRegistration::Off).await;
        let permit = stage.permit().await;
        let bench = Self {
            stage,
            permit,
            product: product.key,
        };
        let change = Change {
            licence: Some(Some(Licence { total, until: None })),
            otp: Some(true),
            ..Change::default()
        };
        bench
            .hub()
            .id2_set(&bench.permit, &bench.product, &change)
            .await
            .unwrap();
        bench
    }

    fn hub(&self) -> &Arc<Hub> {
        &self.stage.hub
    }

    async fn token(&self) -> Token {
        let text = self
            .hub()
            .id2_token(&self.permit, &self.product, false)
            .await;
        Token::parse(text.unwrap().as_bytes()).unwrap()
    }

    async fn rows(&self) -> Vec<Row> {
        let all = StateFilter::default();
        let list = self
            .hub()
            .id2_list(&self.permit, &self.product, &all, 10_000);
        list.await.unwrap()
    }
}

fn ask(token: &Token, session: &Session, print: &[u8]) -> String {
    let mut out = [0; otp::CODE_MAX];
    let len = otp::auth_code(token, session, print, &mut out).unwrap();
    otp::encode_text(&out[..len])
}

fn stamped(id: &Id, key: &SoftKey, now: Time) -> String {
    let mut out = [0; 512];
    let at = now.0.to_string();
    let fresh = Fresh::Timestamp(&at);
    let len = device::auth_code(key, id, Form::Plain, fresh, None, [9; 8], &mut out).unwrap();
    String::from_utf8(out[..len].to_vec()).unwrap()
}

/// [ID-5] Devices that ask at once get different identities, as many as the licence has and not one
/// more, and the counter is exact.
#[tokio::test(flavor = "multi_thread")]
async fn no_identity_is_given_to_two_devices_that_ask_at_once() {
    let bench = Bench::set(40).await;
    let token = bench.token().await;
    let mut asked = Vec::new();
    for n in 0..50_u8 {
        let (hub, permit) = (bench.hub().clone(), bench.permit.clone());
        let session = Session::new([n; 16]);
        let code = ask(&token, &session, &[b'c', n]);
        asked.push(tokio::spawn(async move {
            let given = hub.id2_otp(&permit, &code).await?;
            let (id, _) = otp::load(KeyType::Aes128, &session, &given.data).unwrap();
            assert_eq!(id, given.id);
            Ok::<_, Id2Error>((id, given.remaining))
        }));
    }
    let (mut ids, mut remaining, mut refused) = (BTreeSet::new(), BTreeSet::new(), 0);
    for one in asked {
        match one.await.unwrap() {
            Ok((id, left)) => {
                assert!(ids.insert(id), "{id} was given twice");
                assert!(remaining.insert(left));
            }
            Err(Id2Error::QuotaUsedUp) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((ids.len(), refused), (40, 10));
    assert_eq!(remaining, (0..40).collect());
    assert_eq!(bench.rows().await.len(), 40);
}

/// [ID-5] One device that asks with the same words many times at once has one identity.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_asks_again_has_one_identity() {
    let bench = Bench::set(10).await;
    let code = ask(&bench.token().await, &Session::new([1; 16]), b"chip");
    let mut asked = Vec::new();
    for _ in 0..8 {
        let (hub, permit, code) = (bench.hub().clone(), bench.permit.clone(), code.clone());
        asked.push(tokio::spawn(
            async move { hub.id2_otp(&permit, &code).await },
        ));
    }
    let mut given = Vec::new();
    for one in asked {
        given.push(one.await.unwrap().unwrap());
    }
    given.dedup();
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].remaining, 9);
}

/// [ID-9] A number that was brought in from elsewhere is passed over.
#[tokio::test]
async fn numbers_that_are_taken_are_passed_over() {
    let bench = Bench::set(10).await;
    let token = bench.token().await;
    let first = ask(&token, &Session::new([1; 16]), b"one");
    let first = bench.hub().id2_otp(&bench.permit, &first).await.unwrap().id;
    let mut next = first.as_str().to_owned();
    next.replace_range(21..22, "2");
    let taken = Import {
        id: Id::parse(next.as_bytes()).unwrap(),
        kind: KeyType::Aes128,
        material: Secret::new(vec![1; 16]),
    };
    let hub = bench.hub();
    hub.id2_import(&bench.permit, &bench.product, &[taken])
        .await
        .unwrap();
    let second = ask(&token, &Session::new([2; 16]), b"two");
    let second = hub.id2_otp(&bench.permit, &second).await.unwrap().id;
    assert!(second.as_str().ends_with("0300"), "{second}");
    let batch = hub
        .id2_batch(&bench.permit, &bench.product, 3, "")
        .await
        .unwrap();
    assert_eq!(batch.made, 3);
    assert_eq!(bench.rows().await.len(), 6);
}

/// [ID-9] A registry that leaves takes its identities along, and their keys are sealed anew.
#[tokio::test]
async fn identities_prove_themselves_after_a_move() {
    let bench = Bench::set(10).await;
    let session = Session::new([1; 16]);
    let code = ask(&bench.token().await, &session, b"chip");
    let given = bench.hub().id2_otp(&bench.permit, &code).await.unwrap();
    let (id, key) = otp::load(KeyType::Aes128, &session, &given.data).unwrap();

    let lock = Lock::open();
    let (send, mut pieces) = tokio::sync::mpsc::channel(1_000);
    bench
        .hub()
        .export(&lock, Content::Registry, send)
        .await
        .unwrap();
    let mut file = Vec::new();
    while let Some(piece) = pieces.recv().await {
        file.extend_from_slice(&piece);
    }
    let other = Stage::set().await;
    let checked = check(BufReader::new(&file[..]), None, None).unwrap();
    import(
        &other.ports,
        master(1),
        BufReader::new(&file[..]),
        &checked,
        true,
        |_| {},
    )
    .await
    .unwrap();
    let hub = other.again(master(1)).await.unwrap();
    let caller = hub.caller_local("local").await.unwrap();
    let any = model::account::Resource::Any;
    let permit = hub
        .caller_allow(&caller, "id2:Verify", &any, false)
        .await
        .unwrap();
    let shown = stamped(&id, &key, hub.now());
    let shown = Shown {
        product: &bench.product,
        id,
        code: &shown,
        extra: None,
    };
    hub.id2_verify(&permit, shown).await.unwrap();
    // And the one that is the same device asks with the same words again.
    assert_eq!(hub.id2_otp(&permit, &code).await.unwrap().data, given.data);
}

/// [ID-9] The file of a batch opens with the line's key alone, and what is in it works once the
/// batch is released.
#[tokio::test]
async fn a_batch_is_handed_over_in_a_file_for_one_line() {
    let bench = Bench::set(10).await;
    let hub = bench.hub();
    let (permit, product) = (&bench.permit, &bench.product);
    let batch = hub.id2_batch(permit, product, 3, "line 7").await.unwrap();
    let (certificate, key) = credential::crypto::envelope::pair("line 7", 1).unwrap();
    let file = hub
        .id2_batch_file(permit, product, batch.number, certificate.as_bytes())
        .await
        .unwrap();
    assert!(file.starts_with("-----BEGIN CMS-----"));
    let text = credential::crypto::envelope::open(file.as_bytes(), key.as_bytes()).unwrap();
    let text = String::from_utf8(text.expose().to_vec()).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    let id = Id::parse(lines[0]["id"].as_str().unwrap().as_bytes()).unwrap();
    let material = lines[0]["key"].as_str().unwrap();
    let material: Vec<u8> = (0..32)
        .step_by(2)
        .map(|at| u8::from_str_radix(&material[at..at + 2], 16).unwrap())
        .collect();
    let key = SoftKey::new(KeyType::Aes128, &material).unwrap();
    let code = stamped(&id, &key, hub.now());
    let shown = Shown {
        product,
        id,
        code: &code,
        extra: None,
    };
    let early = hub.id2_verify(permit, shown).await;
    assert!(matches!(early, Err(Id2Error::NotDelivered)));
    let number = batch.number;
    hub.id2_batch_set(permit, product, number, BatchState::Released)
        .await
        .unwrap();
    hub.id2_verify(permit, shown).await.unwrap();
    // One that was proven stays when the rest of its batch is withdrawn.
    hub.id2_batch_set(permit, product, number, BatchState::Withdrawn)
        .await
        .unwrap();
    let states: Vec<State> = bench.rows().await.iter().map(|row| row.state).collect();
    assert_eq!(states, [State::Active, State::Withdrawn, State::Withdrawn]);
    for wrong in ["", "no certificate", &key_pem()] {
        let file = hub
            .id2_batch_file(permit, product, number, wrong.as_bytes())
            .await;
        assert!(file.is_err());
    }
}

fn key_pem() -> String {
    credential::crypto::envelope::pair("line 7", 1).unwrap().1
}

/// [ID-1] An operator is told at which step a code is not believed, and nothing is used up by it.
#[tokio::test]
async fn a_code_is_looked_into_step_by_step() {
    let bench = Bench::set(10).await;
    let session = Session::new([1; 16]);
    let code = ask(&bench.token().await, &session, b"chip");
    let given = bench.hub().id2_otp(&bench.permit, &code).await.unwrap();
    let (id, key) = otp::load(KeyType::Aes128, &session, &given.data).unwrap();
    let code = stamped(&id, &key, bench.hub().now());
    let shown = Shown {
        product: &bench.product,
        id,
        code: &code,
        extra: None,
    };
    let last = async |code: &str, extra: Option<&str>| {
        let steps = bench
            .hub()
            .id2_examine(
                &bench.permit,
                Shown {
                    code,
                    extra,
                    ..shown
                },
            )
            .await
            .unwrap();
        let wrong = steps.into_iter().rev().find(|step| !step.good);
        wrong.map(|step| step.what)
    };
    assert_eq!(last(&code, None).await, None);
    assert_eq!(last("0~2~x", None).await, Some("form"));
    let changed = code.replacen("~2~0", "~2~1", 1);
    assert_eq!(last(&changed, None).await, Some("signature"));
    assert_eq!(last(&code, Some("extra")).await, Some("signature"));
    let old = stamped(&id, &key, Time(0));
    assert_eq!(last(&old, None).await, Some("freshness"));
    bench.hub().id2_verify(&bench.permit, shown).await.unwrap();
}

/// [ID-9] With the product everything of its identities goes.
#[tokio::test]
async fn identities_go_with_their_product() {
    let bench = Bench::set(10).await;
    let hub = bench.hub();
    let code = ask(&bench.token().await, &Session::new([1; 16]), b"chip");
    let id = hub.id2_otp(&bench.permit, &code).await.unwrap().id;
    hub.id2_batch(&bench.permit, &bench.product, 2, "")
        .await
        .unwrap();
    hub.id2_chips(&bench.permit, &bench.product, &[vec![1]])
        .await
        .unwrap();
    hub.product_delete(&bench.permit, &bench.product)
        .await
        .unwrap();
    for kind in [
        "id2",
        "id2-of",
        "id2-print",
        "id2-product",
        "id2-part",
        "id2-token",
        "id2-chip",
        "id2-batch",
        "id2-batch-of",
    ] {
        assert_eq!(
            bench.stage.ports.catalog.count(kind, "").await.unwrap(),
            0,
            "{kind}"
        );
    }
    let gone = hub.id2_challenge(&bench.permit, &id).await;
    assert!(matches!(gone, Err(Id2Error::BadProductPart)));
}

/// A token that keeps what it wraps, and may be away.
#[derive(Default)]
struct Drawer {
    away: AtomicBool,
    keys: Mutex<Vec<Name>>,
    wrapped: Mutex<Vec<Secret>>,
}

impl Drawer {
    fn there(&self) -> Result<(), KeyError> {
        match self.away.load(Ordering::Relaxed) {
            true => Err(KeyError::Communication),
            false => Ok(()),
        }
    }
}

impl Keeper for Drawer {
    fn has(&self, name: &Name) -> Result<bool, KeyError> {
        self.there()?;
        Ok(self.keys.lock().contains(name))
    }

    fn make(&self, name: &Name) -> Result<(), KeyError> {
        self.there()?;
        self.keys.lock().push(*name);
        Ok(())
    }

    fn wrap(&self, name: &Name, bytes: &Secret) -> Result<Vec<u8>, KeyError> {
        match self.has(name)? {
            true => {
                let mut wrapped = self.wrapped.lock();
                wrapped.push(Secret::new(bytes.expose().to_vec()));
                Ok(vec![wrapped.len() as u8])
            }
            false => Err(KeyError::Failed),
        }
    }

    fn unwrap(&self, name: &Name, wrapped: &[u8]) -> Result<Secret, KeyError> {
        let all = self.wrapped.lock();
        match (self.has(name)?, wrapped) {
            (true, [n]) => Ok(Secret::new(all[usize::from(*n) - 1].expose().to_vec())),
            _ => Err(KeyError::Failed),
        }
    }

    fn blocks(
        &self,
        name: &Name,
        wrapped: &[u8],
        cipher: Cipher,
        direction: Direction,
        data: &mut [u8],
    ) -> Result<(), KeyError> {
        let key = self.unwrap(name, wrapped)?;
        Ok(cipher.blocks(key.expose(), direction, data)?)
    }

    fn sign_rsa(&self, _: &Name, _: &[u8], _: Hash, _: &[u8]) -> Result<Vec<u8>, KeyError> {
        Err(KeyError::NotSupported)
    }
}

/// [ID-5] [ID-9] The wrapping key is made once, whenever the token is there; while it is away nothing
/// is issued or counted, and nobody is proven; a token that lost the key gets no new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrapping_key_is_made_once() {
    let bench = Bench::set(10).await;
    let hub = bench.hub();
    let change = Change {
        keys: Some(Keys::Token),
        ..Change::default()
    };
    let set = hub.id2_set(&bench.permit, &bench.product, &change);
    assert!(matches!(set.await, Err(Id2Error::BadRequest(_))));
    let drawer = Arc::new(Drawer::default());
    hub.id2_keeper(drawer.clone());
    let set = hub.id2_set(&bench.permit, &bench.product, &change);
    set.await.unwrap();
    let token = bench.token().await;
    let session = Session::new([7; 16]);
    let code = ask(&token, &session, b"chip");
    let passing = |error: &Id2Error| matches!(error, Id2Error::Fault(fault) if fault.retry);

    drawer.away.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        let given = hub.id2_otp(&bench.permit, &code).await;
        assert!(given.is_err_and(|error| passing(&error)));
    }
    assert_eq!(hub.id2_wrapping().await.unwrap(), None);
    let setting = hub.id2_setting(&bench.permit, &bench.product).await;
    assert_eq!(setting.unwrap().issued, 0);
    drawer.away.store(false, Ordering::Relaxed);
    let given = hub.id2_otp(&bench.permit, &code).await.unwrap();
    let (id, key) = otp::load(KeyType::Aes128, &session, &given.data).unwrap();
    let name = hub.id2_wrapping().await.unwrap();
    assert_eq!(*drawer.keys.lock(), Vec::from_iter(name));
    assert_eq!(bench.rows().await[0].keys(), Keys::Token);

    let code = stamped(&id, &key, hub.now());
    let shown = Shown {
        product: &bench.product,
        id,
        code: &code,
        extra: None,
    };
    drawer.away.store(true, Ordering::Relaxed);
    let told = hub.id2_verify(&bench.permit, shown).await;
    assert!(told.is_err_and(|error| passing(&error)));
    // A code that could not be judged is not used up.
    drawer.away.store(false, Ordering::Relaxed);
    hub.id2_verify(&bench.permit, shown).await.unwrap();

    drawer.keys.lock().clear();
    let code = ask(&token, &session, b"another chip");
    let told = hub.id2_otp(&bench.permit, &code).await;
    assert!(matches!(told, Err(Id2Error::Fault(fault)) if !fault.retry));
    assert!(drawer.keys.lock().is_empty());
}

/// [ID-7] What is changed of an identity, of its product or by another node counts at the very next
/// code, however often both were looked at before.
#[tokio::test]
async fn a_change_counts_at_the_next_code() {
    let bench = Bench::set(10).await;
    let (hub, permit, product) = (bench.hub(), &bench.permit, &bench.product);
    let node = bench.stage.again(master(1)).await.unwrap();
    let id = Id::parse(b"21222324252627282900000A").unwrap();
    let key = SoftKey::new(KeyType::Aes128, &[7; 16]).unwrap();
    let import = Import {
        id,
        kind: KeyType::Aes128,
        material: Secret::new(vec![7; 16]),
    };
    hub.id2_import(permit, product, &[import]).await.unwrap();
    let verify = async || {
        bench.stage.clock.move_by(1);
        let code = stamped(&id, &key, hub.now());
        let shown = Shown {
            product,
            id,
            code: &code,
            extra: None,
        };
        let first = hub.id2_verify(permit, shown).await;
        let again = hub.id2_verify(permit, shown).await;
        assert!(first.is_err() || matches!(again, Err(Id2Error::TimeRepeated)));
        first
    };
    let change = async |hub: &Hub, change: Change| {
        hub.id2_set(permit, product, &change).await.unwrap();
    };
    let of = |codes| Change {
        codes: Some(codes),
        ..Change::default()
    };
    let on = |on| Change {
        on: Some(on),
        ..Change::default()
    };
    for hub in [hub, &node] {
        for _ in 0..3 {
            verify().await.unwrap();
        }
        let moved = hub.id2_move(permit, &id, State::Suspended, None).await;
        moved.unwrap();
        assert!(matches!(verify().await, Err(Id2Error::Suspended)));
        let moved = hub.id2_move(permit, &id, State::Active, None).await;
        moved.unwrap();
        verify().await.unwrap();
        change(hub, of(Codes::Keyed)).await;
        assert!(matches!(verify().await, Err(Id2Error::BadCode(_))));
        change(hub, of(Codes::Any)).await;
        verify().await.unwrap();
        change(hub, on(false)).await;
        assert!(matches!(verify().await, Err(Id2Error::LicenceOver)));
        change(hub, on(true)).await;
        verify().await.unwrap();
        let until = async |until| {
            hub.id2_until(permit, &id, until).await.unwrap();
        };
        until(Some(hub.now())).await;
        assert!(matches!(verify().await, Err(Id2Error::Expired)));
        until(None).await;
        verify().await.unwrap();
    }
    let moved = node.id2_move(permit, &id, State::Revoked, None).await;
    moved.unwrap();
    assert!(matches!(verify().await, Err(Id2Error::Revoked)));
}

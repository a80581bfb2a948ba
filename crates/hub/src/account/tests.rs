//! [FS-8] Accounts, sub-users, access keys, policies, over the embedded engine.

use super::*;
use crate::{
    limits::Limits,
    stage::{Slate, Stage},
};
use futures_util::future::join_all;
use model::{
    account::{Effect, OneOrMany, PolicyDocument, Statement},
    error::AccountError,
    id::{PolicyName, ProductKey, UserName},
};
use std::sync::{Arc, atomic::Ordering};

fn user(name: &str) -> UserName {
    UserName::parse(name).unwrap()
}

fn policy(name: &str) -> PolicyName {
    PolicyName::parse(name).unwrap()
}

fn document(effect: Effect, action: &str, resource: &str) -> PolicyDocument {
    PolicyDocument {
        version: "1".to_owned(),
        statements: vec![Statement {
            effect,
            actions: OneOrMany::One(action.to_owned()),
            resources: OneOrMany::One(resource.to_owned()),
        }],
    }
}

async fn may(stage: &Stage, caller: &Caller, action: &str, resource: &Resource) -> bool {
    match stage
        .hub
        .caller_allow(caller, action, resource, false)
        .await
    {
        Ok(permit) => {
            assert_eq!(permit.action(), action);
            true
        }
        Err(CallerError::NotAllowed(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn the_first_account_is_made_once_and_its_key_calls() {
    let stage = Stage::set().await;
    let key = stage.found().await;
    assert!(stage.hub.account_found().await.unwrap().is_none());
    let caller = stage.call(&key).await.unwrap();
    assert!(caller.operator && caller.user.is_none());
    assert_eq!(caller.account, key.key.account);
    assert_eq!(caller.address, "192.0.2.7");
    assert!(may(&stage, &caller, "muster:Anything", &Resource::Any).await);
    let local = stage.hub.caller_local("socket").await.unwrap();
    assert_eq!((local.account, local.key), (key.key.account, None));
}

#[tokio::test]
async fn of_many_that_start_at_once_one_founds_the_account() {
    let stage = Stage::set().await;
    let found = join_all((0..8).map(|_| stage.hub.account_found())).await;
    let made: Vec<_> = found.into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(made.len(), 1);
    assert!(stage.call(&made[0]).await.is_ok());
}

/// The order of the checks, and that only a right signature uses a nonce up.
#[tokio::test]
async fn a_caller_is_refused_for_the_first_thing_that_is_wrong() {
    let stage = Stage::set().await;
    let key = stage.found().await;
    let admit = |claim| stage.hub.caller_admit(claim);

    let mut unknown = stage.call_claim(&key, &key.secret, Some("n1"));
    unknown.key = AccessKeyId::parse("nobody").unwrap();
    assert!(matches!(admit(unknown).await, Err(CallerError::UnknownKey)));

    let window = stage.hub.limits().time_window;
    for (off, expired) in [
        (window, false),
        (-window, false),
        (window + 1, true),
        (-window - 1, true),
        (i64::MIN, true),
        (i64::MAX, true),
    ] {
        let mut claim = stage.call_claim(&key, &key.secret, None);
        claim.at = Some(Time(if off.unsigned_abs() > 1 << 60 {
            off
        } else {
            stage.hub.now().0 + off
        }));
        let refused = matches!(admit(claim).await, Err(CallerError::Expired));
        assert_eq!(refused, expired, "{off}");
    }

    let wrong = stage.call_claim(&key, "wrong", Some("n1"));
    assert!(matches!(admit(wrong).await, Err(CallerError::BadSignature)));
    assert!(
        admit(stage.call_claim(&key, &key.secret, Some("n1")))
            .await
            .is_ok()
    );
    let again = stage.call_claim(&key, &key.secret, Some("n1"));
    assert!(matches!(admit(again).await, Err(CallerError::Replayed)));
    let huge = "n".repeat(1 << 20);
    assert!(
        admit(stage.call_claim(&key, &key.secret, Some(&huge)))
            .await
            .is_ok()
    );

    // A signature of another kind of secret proves nothing here.
    let mut device = stage.call_claim(&key, &key.secret, None);
    device.evidence = Box::new(crate::stage::Shows(
        key.secret.clone(),
        [Want::DeviceSecret],
    ));
    assert!(matches!(
        admit(device).await,
        Err(CallerError::BadSignature)
    ));
}

/// A request is good for as long as its time is in the window, and so long its nonce is kept.
#[tokio::test]
async fn a_replay_is_refused_until_its_time_is_over() {
    let stage = Stage::set().await;
    let key = stage.found().await;
    let window = stage.hub.limits().time_window;
    let at = stage.hub.now().plus(window);
    let claim = || {
        let mut claim = stage.call_claim(&key, &key.secret, Some("once"));
        claim.at = Some(at);
        stage.hub.caller_admit(claim)
    };
    assert!(claim().await.is_ok());
    stage.clock.move_by(2 * window);
    assert!(matches!(claim().await, Err(CallerError::Replayed)));
    stage.clock.move_by(1);
    assert!(matches!(claim().await, Err(CallerError::Expired)));
}

#[tokio::test]
async fn of_racing_replays_one_is_let_in_and_each_key_has_nonces_of_its_own() {
    let stage = Stage::set().await;
    let key = stage.found().await;
    let permit = stage.permit().await;
    let other = stage.hub.access_key_create(&permit, None).await.unwrap();
    let tries = (0..10).map(|_| {
        let claim = stage.call_claim(&key, &key.secret, Some("once"));
        stage.hub.caller_admit(claim)
    });
    let let_in = join_all(tries)
        .await
        .into_iter()
        .filter(Result::is_ok)
        .count();
    assert_eq!(let_in, 1);
    let claim = stage.call_claim(&other, &other.secret, Some("once"));
    assert!(stage.hub.caller_admit(claim).await.is_ok());
}

#[tokio::test]
async fn failures_are_audited_without_what_was_shown() {
    let stage = Stage::set().await;
    let key = stage.found().await;
    let mut claim = stage.call_claim(&key, "my-secret-guess", Some("n"));
    claim.action = "x".repeat(100_000);
    assert!(stage.hub.caller_admit(claim).await.is_err());
    let line = stage.lines().await.pop().unwrap().entry;
    assert_eq!(
        (line.who.as_str(), line.outcome.as_str()),
        ("?", "BadSignature")
    );
    assert_eq!(line.resource, format!("access-key/{}", key.key.id));
    assert_eq!(line.address, "192.0.2.7");
    assert_eq!(line.action.len(), WORDS);
    assert!(!format!("{line:?}").contains("my-secret-guess"));
    let page = stage.hub.metrics().encode();
    assert!(
        page.contains("muster_proofs_total{scheme=\"shown\",outcome=\"wrong\"} 1"),
        "{page}"
    );
}

/// Promise 2, for callers: what is disabled or removed stops at the next call.
#[tokio::test]
async fn a_disabled_key_user_or_account_stops_at_once() {
    let stage = Stage::set().await;
    let permit = stage.permit().await;
    let hub = &stage.hub;
    let (account, own) = hub.account_create(&permit, "second").await.unwrap();
    let caller = stage.call(&own).await.unwrap();
    assert!(!caller.operator);
    let second = hub
        .caller_allow(&caller, "ram:All", &Resource::Any, false)
        .await
        .unwrap();
    hub.user_create(&second, &user("ann"), "Ann").await.unwrap();
    let key = hub
        .access_key_create(&second, Some(&user("ann")))
        .await
        .unwrap();
    assert_eq!(stage.call(&key).await.unwrap().user, Some(user("ann")));

    let inactive = |result| matches!(result, Err(CallerError::InactiveKey));
    let id = &key.key.id;
    assert!(
        hub.access_key_disable(&second, id, true)
            .await
            .unwrap()
            .disabled
    );
    assert!(inactive(stage.call(&key).await));
    hub.access_key_disable(&second, id, false).await.unwrap();
    assert!(stage.call(&key).await.is_ok());

    hub.user_disable(&second, &user("ann"), true).await.unwrap();
    assert!(inactive(stage.call(&key).await));
    hub.user_disable(&second, &user("ann"), false)
        .await
        .unwrap();
    assert!(stage.call(&key).await.is_ok());

    hub.account_disable(&permit, &account.id, true)
        .await
        .unwrap();
    assert!(inactive(stage.call(&key).await));
    assert!(inactive(stage.call(&own).await));
    hub.account_disable(&permit, &account.id, false)
        .await
        .unwrap();
    assert!(stage.call(&own).await.is_ok());

    // Who is removed does not come back with who gets the name next.
    hub.user_delete(&second, &user("ann")).await.unwrap();
    hub.user_create(&second, &user("ann"), "another Ann")
        .await
        .unwrap();
    assert!(matches!(
        stage.call(&key).await,
        Err(CallerError::UnknownKey)
    ));
    let secret = SecretId::AccessKey(id.clone());
    assert!(stage.ports.secrets.find(&secret).await.unwrap().is_none());
}

/// What another process changed is seen when the look-up is half a second old.
#[tokio::test]
async fn a_key_disabled_by_another_node_stops_within_a_second() {
    let stage = Stage::set().await;
    let key = stage.found().await;
    let other = stage.again(crate::stage::master(1)).await.unwrap();
    assert!(stage.call(&key).await.is_ok());
    let local = other.caller_local("x").await.unwrap();
    let permit = other
        .caller_allow(&local, "ram:All", &Resource::Any, false)
        .await
        .unwrap();
    other.access_key_create(&permit, None).await.unwrap();
    other
        .access_key_disable(&permit, &key.key.id, true)
        .await
        .unwrap();
    stage.clock.move_by(500);
    assert!(matches!(
        stage.call(&key).await,
        Err(CallerError::InactiveKey)
    ));
}

#[tokio::test]
async fn a_sub_user_may_do_what_its_policies_say_and_no_more() {
    let stage = Stage::set().await;
    let permit = stage.permit().await;
    let hub = &stage.hub;
    let ann = user("ann");
    hub.user_create(&permit, &ann, "").await.unwrap();
    let key = hub.access_key_create(&permit, Some(&ann)).await.unwrap();
    let caller = stage.call(&key).await.unwrap();
    let any = Resource::Any;
    assert!(!may(&stage, &caller, "fss:QueryTaskList", &any).await);

    let read = policy("AliyunFssReadOnlyAccess");
    hub.user_policy(&permit, &ann, &read, true).await.unwrap();
    assert!(may(&stage, &caller, "fss:QueryTaskList", &any).await);
    assert!(!may(&stage, &caller, "fss:CreateScanTask", &any).await);
    let full = policy("AliyunFSSFullAccess");
    hub.user_policy(&permit, &ann, &full, true).await.unwrap();
    assert!(may(&stage, &caller, "fss:CreateScanTask", &any).await);

    let own = policy("one-product");
    let resource = "acs:iot:*:*:product/a1Mine/*";
    let allow = document(Effect::Allow, "iot:*", resource);
    hub.policy_put(&permit, &own, "", allow).await.unwrap();
    hub.user_policy(&permit, &ann, &own, true).await.unwrap();
    let device = |product| Resource::Device(model::id::DeviceKey::parse(product, "lamp").unwrap());
    assert!(may(&stage, &caller, "iot:Pub", &device("a1Mine")).await);
    assert!(!may(&stage, &caller, "iot:Pub", &device("a1Other")).await);
    let product = Resource::Product(ProductKey::parse("a1Mine").unwrap());
    assert!(!may(&stage, &caller, "iot:DeleteProduct", &product).await);

    // Another text under the same name holds at once; a denial wins over what was allowed.
    let deny = document(Effect::Deny, "fss:*", "*");
    hub.policy_put(&permit, &own, "", deny).await.unwrap();
    assert!(!may(&stage, &caller, "fss:CreateScanTask", &any).await);
    hub.user_policy(&permit, &ann, &own, false).await.unwrap();
    assert!(may(&stage, &caller, "fss:CreateScanTask", &any).await);
    hub.user_policy(&permit, &ann, &full, false).await.unwrap();
    assert!(!may(&stage, &caller, "fss:CreateScanTask", &any).await);

    let line = stage.lines().await.pop().unwrap().entry;
    assert_eq!(line.who, format!("{}/ann", permit.account()));
    assert_eq!(line.outcome, "NotAllowed");
}

/// A changing call is in the log before it is allowed; without the line there is no permit.
#[tokio::test]
async fn a_change_that_cannot_be_audited_is_not_allowed() {
    let slate = Arc::new(Slate::default());
    let below = slate.clone();
    let stage = Stage::set_with(Limits::default(), |mut ports| {
        ports.audit = below;
        ports
    })
    .await;
    let caller = stage.permit().await.caller().clone();
    let ask = |changing| {
        let any = &Resource::Any;
        stage
            .hub
            .caller_allow(&caller, "iot:CreateProduct", any, changing)
    };
    assert!(ask(true).await.is_ok());
    let line = slate.lines.lock().last().cloned().unwrap().entry;
    assert_eq!(
        (line.action.as_str(), line.outcome.as_str()),
        ("iot:CreateProduct", "ok")
    );
    slate.refuses.store(true, Ordering::SeqCst);
    assert!(matches!(ask(true).await, Err(CallerError::Fault(_))));
    assert!(ask(false).await.is_ok());
}

#[tokio::test]
async fn quotas_hold_whatever_races() {
    let limits = Limits {
        users: 3,
        access_keys: 2,
        policies: 2,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |ports| ports).await;
    let permit = stage.permit().await;
    let (hub, permit) = (&stage.hub, &permit);
    let users = (0..8).map(|n| async move {
        hub.user_create(permit, &user(&format!("u{n}")), "")
            .await
            .map(|_| ())
    });
    let keys = (0..8).map(|_| async move { hub.access_key_create(permit, None).await.map(|_| ()) });
    let policies = (0..8).map(|n| async move {
        let text = document(Effect::Allow, "*", "*");
        hub.policy_put(permit, &policy(&format!("p{n}")), "", text)
            .await
            .map(|_| ())
    });
    let made = |results: Vec<Result<(), AccountError>>| {
        let refused = |result: &&Result<_, _>| matches!(result, Err(AccountError::TooMany(_)));
        let refused = results.iter().filter(refused).count();
        let made = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(made + refused, results.len());
        made
    };
    assert_eq!(made(join_all(users).await), 3);
    // One was there from the beginning.
    assert_eq!(made(join_all(keys).await), 1);
    assert_eq!(made(join_all(policies).await), 2);
    // To write one anew is not to add one.
    let all = hub.policy_list(permit).await.unwrap();
    let text = document(Effect::Deny, "*", "*");
    assert!(hub.policy_put(permit, &all[0].name, "", text).await.is_ok());
}

#[tokio::test]
async fn the_last_active_key_of_an_account_stays_whatever_races() {
    let stage = Stage::set().await;
    let first = stage.found().await;
    let permit = stage.permit().await;
    let hub = &stage.hub;
    let needed = |result: &Result<_, AccountError>| matches!(result, Err(AccountError::Needed(_)));
    assert!(needed(&hub.access_key_delete(&permit, &first.key.id).await));
    let second = hub.access_key_create(&permit, None).await.unwrap();
    let (one, other) = tokio::join!(
        hub.access_key_disable(&permit, &first.key.id, true),
        hub.access_key_delete(&permit, &second.key.id),
    );
    let results = [one.map(|_| ()), other];
    assert_eq!(results.iter().filter(|result| needed(result)).count(), 1);
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1);
    let keys = hub.access_key_list(&permit).await.unwrap();
    assert_eq!(keys.iter().filter(|key| !key.disabled).count(), 1);
}

#[tokio::test]
async fn a_policy_that_holds_for_somebody_stays_whatever_races() {
    let stage = Stage::set().await;
    let permit = stage.permit().await;
    let hub = &stage.hub;
    let (ann, own) = (user("ann"), policy("own"));
    hub.user_create(&permit, &ann, "").await.unwrap();
    hub.policy_put(&permit, &own, "", document(Effect::Allow, "*", "*"))
        .await
        .unwrap();
    let (attached, deleted) = tokio::join!(
        hub.user_policy(&permit, &ann, &own, true),
        hub.policy_delete(&permit, &own),
    );
    match (attached, deleted) {
        (Ok(user), Err(AccountError::Needed(_))) => assert!(user.policies.contains(&own)),
        (Err(AccountError::NotFound("policy")), Ok(())) => return,
        (attached, deleted) => panic!("{attached:?} {deleted:?}"),
    }
    hub.user_policy(&permit, &ann, &own, false).await.unwrap();
    hub.policy_delete(&permit, &own).await.unwrap();
    let gone = hub.policy_delete(&permit, &own).await;
    assert!(matches!(gone, Err(AccountError::NotFound("policy"))));
    let managed = hub
        .policy_delete(&permit, &policy("AdministratorAccess"))
        .await;
    assert!(matches!(managed, Err(AccountError::Needed(_))));
}

#[tokio::test]
async fn an_account_sees_and_touches_only_its_own() {
    let stage = Stage::set().await;
    let first = stage.permit().await;
    let hub = &stage.hub;
    let (account, key) = hub.account_create(&first, "second").await.unwrap();
    let caller = stage.call(&key).await.unwrap();
    let second = hub
        .caller_allow(&caller, "ram:All", &Resource::Any, false)
        .await
        .unwrap();
    hub.user_create(&first, &user("ann"), "").await.unwrap();
    let anns = hub
        .access_key_create(&first, Some(&user("ann")))
        .await
        .unwrap();

    assert!(hub.user_list(&second).await.unwrap().is_empty());
    assert_eq!(
        hub.access_key_list(&second).await.unwrap(),
        std::slice::from_ref(&key.key)
    );
    assert_eq!(
        hub.account_list(&second).await.unwrap(),
        std::slice::from_ref(&account)
    );
    assert_eq!(hub.account_list(&first).await.unwrap().len(), 2);
    let missing = |result: Result<(), AccountError>| {
        assert!(
            matches!(result, Err(AccountError::NotFound(_))),
            "{result:?}"
        );
    };
    missing(hub.access_key_delete(&second, &anns.key.id).await);
    missing(hub.user_delete(&second, &user("ann")).await);
    missing(
        hub.user_disable(&second, &user("ann"), true)
            .await
            .map(|_| ()),
    );
    assert!(hub.account_create(&second, "third").await.is_err());
    assert!(
        hub.account_disable(&second, first.account(), true)
            .await
            .is_err()
    );
    let own = hub.account_disable(&first, first.account(), true).await;
    assert!(matches!(own, Err(AccountError::Needed(_))));
    let taken = hub.account_create(&first, "second").await;
    assert!(matches!(taken, Err(AccountError::Taken("account"))));

    // Lines about the first account's people are not for the second.
    let lines = hub.audit_page(&second, 0, 100).await.unwrap();
    let local = hub.caller_local("x").await.unwrap();
    hub.caller_allow(&local, "iot:Change", &Resource::Any, true)
        .await
        .unwrap();
    hub.caller_allow(&caller, "iot:Change", &Resource::Any, true)
        .await
        .unwrap();
    let more = hub.audit_page(&second, 0, 100).await.unwrap();
    assert_eq!(more.len(), lines.len() + 1);
    assert!(
        more.iter()
            .all(|line| line.entry.who == account.id.as_str())
    );
    assert!(hub.audit_page(&first, 0, 100).await.unwrap().len() > more.len());
}

#[tokio::test]
async fn words_for_people_are_bounded() {
    let stage = Stage::set().await;
    let permit = stage.permit().await;
    for bad in ["", "a\nb", &"x".repeat(65)] {
        let made = stage.hub.account_create(&permit, bad).await;
        assert!(matches!(made, Err(AccountError::BadRequest(_))), "{bad:?}");
    }
    let made = stage
        .hub
        .user_create(&permit, &user("ann"), "\u{1b}[2J")
        .await;
    assert!(matches!(made, Err(AccountError::BadRequest(_))));
}

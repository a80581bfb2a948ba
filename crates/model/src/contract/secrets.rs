//! `Secrets`: sealed before they come here.

use super::{Engine, Make, iot_id, product, race};
use crate::{
    id::AccessKeyId,
    port::{SecretId, Secrets},
};
use bytes::Bytes;

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    what_was_put_is_found(make).await;
    of_many_racing_new_secrets_all_see_one(make).await;
    what_is_done_survives_a_restart(make).await;
}

/// The same text as the name of four owners.
fn owners() -> [SecretId; 4] {
    [
        SecretId::Device(iot_id("same")),
        SecretId::Product(product("same")),
        SecretId::AccessKey(AccessKeyId::parse("same").unwrap()),
        SecretId::Server("same".into()),
    ]
}

async fn find(secrets: &dyn Secrets, id: &SecretId) -> Option<Bytes> {
    secrets.find(id).await.unwrap()
}

/// "Keeps `sealed` under `id`, in place of what was there." Owners of different kinds are apart.
pub async fn what_was_put_is_found(make: &dyn Make) {
    let Engine {
        secrets,
        data: _data,
        ..
    } = make.fresh().await;
    for (i, id) in owners().iter().enumerate() {
        assert_eq!(find(&*secrets, id).await, None);
        secrets
            .put(id, Bytes::from(vec![0, 255, i as u8]))
            .await
            .unwrap();
    }
    for (i, id) in owners().iter().enumerate() {
        let first = Bytes::from(vec![0, 255, i as u8]);
        assert_eq!(find(&*secrets, id).await, Some(first));
    }
    let [device, product, ..] = owners();
    secrets.put(&device, Bytes::new()).await.unwrap();
    assert_eq!(find(&*secrets, &device).await, Some(Bytes::new()));
    secrets.remove(&device).await.unwrap();
    secrets.remove(&device).await.unwrap();
    assert_eq!(find(&*secrets, &device).await, None);
    assert!(find(&*secrets, &product).await.is_some());
}

/// "Keeps `sealed` under `id` unless something is there; gives back what is there now."
pub async fn of_many_racing_new_secrets_all_see_one(make: &dyn Make) {
    let Engine {
        secrets,
        data: _data,
        ..
    } = make.fresh().await;
    let id = SecretId::Server("token".into());
    let seen = race(32, |i| {
        let (secrets, id) = (secrets.clone(), id.clone());
        async move {
            let mine = Bytes::from(i.to_string());
            secrets.put_new(&id, mine).await.unwrap()
        }
    })
    .await;
    let kept = find(&*secrets, &id).await.unwrap();
    assert!(seen.iter().all(|seen| *seen == kept));
}

/// "When a method that changes something returns `Ok`, the change is on disk."
pub async fn what_is_done_survives_a_restart(make: &dyn Make) {
    let engine = make.fresh().await;
    let [device, product, key, server] = owners();
    for id in [&device, &product, &key] {
        engine.secrets.put(id, Bytes::from("old")).await.unwrap();
    }
    engine
        .secrets
        .put(&device, Bytes::from("new"))
        .await
        .unwrap();
    engine.secrets.remove(&product).await.unwrap();
    let new = engine.secrets.put_new(&server, Bytes::from("new")).await;
    assert_eq!(new.unwrap(), Bytes::from("new"));
    let engine = make.reopen(engine).await;
    let found = async |id| find(&*engine.secrets, id).await;
    assert_eq!(found(&device).await, Some(Bytes::from("new")));
    assert_eq!(found(&product).await, None);
    assert_eq!(found(&key).await, Some(Bytes::from("old")));
    assert_eq!(found(&server).await, Some(Bytes::from("new")));
}

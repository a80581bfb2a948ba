//! `Presence`: who is connected where.

use super::{Engine, Make, iot_id, product, race};
use crate::{
    id::{NodeId, SessionId, Time},
    port::{Place, Presence},
};

/// Runs the suite.
pub async fn all(make: &dyn Make) {
    a_device_is_where_it_arrived_last(make).await;
    leaving_ends_only_the_connection_that_it_names(make).await;
    each_place_is_handed_back_once(make).await;
    the_devices_of_a_product_that_are_connected_are_counted(make).await;
}

fn place(session: u64) -> Place {
    Place {
        node: NodeId::parse("node-1").unwrap(),
        session: SessionId(session),
        since: Time(session.cast_signed()),
    }
}

async fn arrive(presence: &dyn Presence, id: &str, session: u64) -> Option<u64> {
    let (id, product) = (iot_id(id), product("pk"));
    let former = presence.arrive(&id, &product, place(session)).await;
    former.unwrap().map(|place| place.session.0)
}

/// "Notes that the device is at `place`; gives back where it was until now."
pub async fn a_device_is_where_it_arrived_last(make: &dyn Make) {
    let Engine {
        presence,
        data: _data,
        ..
    } = make.fresh().await;
    assert_eq!(presence.find(&iot_id("lamp")).await.unwrap(), None);
    assert_eq!(arrive(&*presence, "lamp", 1).await, None);
    assert_eq!(arrive(&*presence, "fan1", 2).await, None);
    assert_eq!(arrive(&*presence, "lamp", 3).await, Some(1));
    let found = presence.find(&iot_id("lamp")).await.unwrap();
    assert_eq!(found, Some(place(3)));
}

/// "Notes that the connection ended; false when the device is elsewhere already."
pub async fn leaving_ends_only_the_connection_that_it_names(make: &dyn Make) {
    let Engine {
        presence,
        data: _data,
        ..
    } = make.fresh().await;
    let lamp = iot_id("lamp");
    let leave = async |session| presence.leave(&lamp, SessionId(session)).await.unwrap();
    assert!(!leave(1).await);
    arrive(&*presence, "lamp", 1).await;
    arrive(&*presence, "lamp", 2).await;
    assert!(!leave(1).await);
    assert_eq!(presence.find(&lamp).await.unwrap(), Some(place(2)));
    assert!(leave(2).await);
    assert!(!leave(2).await);
    assert_eq!(presence.find(&lamp).await.unwrap(), None);
}

/// However many connections race, each but the last is given back once, to be ended.
pub async fn each_place_is_handed_back_once(make: &dyn Make) {
    let Engine {
        presence,
        data: _data,
        ..
    } = make.fresh().await;
    let former = race(50, |i| {
        let presence = presence.clone();
        async move { arrive(&*presence, "lamp", i as u64).await }
    })
    .await;
    let mut seen: Vec<_> = former.into_iter().flatten().collect();
    let last = presence.find(&iot_id("lamp")).await.unwrap();
    seen.push(last.unwrap().session.0);
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    assert_eq!(presence.online(&product("pk")).await.unwrap(), 1);
}

/// "How many devices of a product are connected."
pub async fn the_devices_of_a_product_that_are_connected_are_counted(make: &dyn Make) {
    let Engine {
        presence,
        data: _data,
        ..
    } = make.fresh().await;
    race(40, |i| {
        let presence = presence.clone();
        async move {
            let id = iot_id(&format!("lamp-{i}"));
            let key = product(if i % 4 == 0 { "pk2" } else { "pk" });
            let (first, second) = (place(i as u64), place(i as u64 + 100));
            presence.arrive(&id, &key, first).await.unwrap();
            presence.arrive(&id, &key, second).await.unwrap();
            presence.leave(&id, SessionId(i as u64)).await.unwrap();
            if i % 2 == 0 {
                let left = presence.leave(&id, SessionId(i as u64 + 100)).await;
                assert!(left.unwrap());
            }
        }
    })
    .await;
    let online = async |key| presence.online(&product(key)).await.unwrap();
    assert_eq!(online("pk").await, 20);
    assert_eq!(online("pk2").await, 0);
    assert_eq!(online("pk3").await, 0);
}

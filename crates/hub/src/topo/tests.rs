//! Topology and the sessions of sub-devices, over the embedded engine.

use crate::{
    admit::Claim,
    edge::Session,
    limits::Limits,
    rider::{Due, RiderClaim},
    stage::{Stage, claim},
};
use credential::Want;
use model::{
    command::Order,
    device::Device,
    error::TopoError,
    fact::What,
    id::{CommandId, DeviceKey},
    port::{CloseReason, Signal},
    product::{DynamicRegistration, NodeKind, Product},
};

/// A gateway that is connected, and a product for its sub-devices.
struct Yard {
    stage: Stage,
    gateways: Product,
    subs: Product,
}

impl Yard {
    async fn open() -> Self {
        Self::open_with(Limits::default()).await
    }

    async fn open_with(limits: Limits) -> Self {
        let stage = Stage::set_with(limits, |ports| ports).await;
        let (mut gateways, _) = stage.product(DynamicRegistration::Off).await;
        gateways.node = NodeKind::Gateway;
        stage.product_put(&gateways).await;
        let (subs, _) = stage.product(DynamicRegistration::Registered).await;
        Self {
            stage,
            gateways,
            subs,
        }
    }

    async fn gateway(&self, name: &str) -> Session {
        let (device, secret) = self.stage.device(&self.gateways, name).await;
        self.again(&device, &secret).await
    }

    async fn again(&self, device: &Device, secret: &str) -> Session {
        let claim = claim(&device.key, secret, Want::DeviceSecret);
        self.stage.hub.device_admit(claim, 0).await.unwrap()
    }

    async fn sub(&self, name: &str) -> (Device, String) {
        self.stage.device(&self.subs, name).await
    }

    /// A sub-device that is bound, with the means to log it in.
    async fn bound(&self, gateway: &Session, name: &str) -> (Device, String) {
        let (device, secret) = self.sub(name).await;
        let hub = &self.stage.hub;
        let added = hub.topo_add(gateway, &[proof(&device, &secret)]).await;
        assert_eq!(added.unwrap(), std::slice::from_ref(&device.key));
        (device, secret)
    }

    async fn login(
        &self,
        gateway: &Session,
        device: &Device,
        secret: &str,
    ) -> Result<Session, TopoError> {
        self.login_as(gateway, device, secret, false).await
    }

    /// The same, for a sub-device that wants what came while it was away, or does not.
    async fn login_as(
        &self,
        gateway: &Session,
        device: &Device,
        secret: &str,
        keeps: bool,
    ) -> Result<Session, TopoError> {
        let asked = RiderClaim {
            claim: proof(device, secret),
            marks: 0,
            keeps,
        };
        let done = self.stage.hub.rider_admit(gateway, vec![asked]).await;
        match done {
            Ok(mut riders) => Ok(riders.pop().unwrap()),
            Err(refused) => {
                assert_eq!(refused.device, device.key);
                Err(refused.error)
            }
        }
    }

    async fn online(&self, device: &Device) -> bool {
        let presence = &self.stage.ports.presence;
        presence.find(&device.iot_id).await.unwrap().is_some()
    }

    async fn offlines(&self, device: &Device) -> Vec<String> {
        let facts = self.stage.facts(&device.iot_id).await;
        let reasons = facts.into_iter().filter_map(|what| match what {
            What::Offline { reason } => Some(reason),
            _ => None,
        });
        reasons.collect()
    }

    /// Does with the signals of the bus what the sockets do.
    async fn pump(&mut self) {
        let words = self.stage.words.as_mut().unwrap();
        while let Ok(word) = words.try_recv() {
            match word {
                Signal::Close {
                    iot_id,
                    session,
                    reason,
                } => {
                    self.stage.hub.rider_part(&iot_id, session, reason);
                }
                Signal::Notice { iot_id, notice } => {
                    self.stage.hub.rider_notice(&iot_id, notice);
                }
                Signal::CommandsWait { iot_id } => {
                    self.stage.hub.rider_due(&iot_id);
                }
                Signal::Publish { .. } | Signal::Call { .. } => {}
            }
        }
    }

    /// What a gateway's connection has to do, without what tells of commands.
    async fn due(&mut self, gateway: &Session) -> Vec<Due> {
        self.pump().await;
        let mut due = self.stage.hub.riders_due(gateway);
        due.retain(|due| !matches!(due, Due::Commands(_)));
        due
    }
}

fn proof(device: &Device, secret: &str) -> Claim {
    claim(&device.key, secret, Want::DeviceSecret)
}

/// [AL-6.1] Bound with the sub-device's own secret, listed, unbound again; both are facts.
#[tokio::test]
async fn a_gateway_binds_lists_and_unbinds() {
    let yard = Yard::open().await;
    let hub = &yard.stage.hub;
    let gateway = yard.gateway("gate").await;
    let (device, secret) = yard.bound(&gateway, "sub1").await;
    assert_eq!(
        hub.topo_get(&gateway).await.unwrap(),
        std::slice::from_ref(&device.key)
    );
    // Again is no harm, and counts once.
    let again = hub.topo_add(&gateway, &[proof(&device, &secret)]).await;
    again.unwrap();
    assert_eq!(hub.topo_get(&gateway).await.unwrap().len(), 1);
    let keys = [device.key.clone()];
    hub.topo_delete(&gateway, &keys).await.unwrap();
    hub.topo_delete(&gateway, &keys).await.unwrap();
    assert!(hub.topo_get(&gateway).await.unwrap().is_empty());
    let facts = yard.stage.facts(&gateway.iot_id).await;
    let subs = keys.to_vec();
    assert!(facts.contains(&What::TopologyAdded { subs: subs.clone() }));
    assert!(facts.contains(&What::TopologyRemoved { subs }));
}

/// [AL-6.1] Whoever may not be bound is not, and nothing of the request holds.
#[tokio::test]
async fn a_request_to_bind_holds_whole_or_not_at_all() {
    let yard = Yard::open().await;
    let hub = &yard.stage.hub;
    let gateway = yard.gateway("gate").await;
    let (good, secret) = yard.sub("good").await;
    let (other, _) = yard.stage.device(&yard.gateways, "gate2").await;
    let nobody = DeviceKey {
        name: model::id::DeviceName::parse("nobody").unwrap(),
        ..good.key.clone()
    };
    let good = || proof(&good, &secret);
    let add = async |second: Claim| hub.topo_add(&gateway, &[good(), second]).await;
    let none = |key: &DeviceKey, secret: &str| claim(key, secret, Want::DeviceSecret);
    assert!(matches!(
        add(none(&gateway.device, "x")).await,
        Err(TopoError::BySelf)
    ));
    assert!(matches!(
        add(none(&nobody, "x")).await,
        Err(TopoError::NoSuchDevice)
    ));
    let (forged, _) = yard.sub("forged").await;
    assert!(matches!(
        add(proof(&forged, "wrong")).await,
        Err(TopoError::BadProof)
    ));
    let secret_of_other = "x";
    assert!(matches!(
        add(proof(&other, secret_of_other)).await,
        Err(TopoError::BadProof)
    ));
    assert!(hub.topo_get(&gateway).await.unwrap().is_empty());
    // A device that is no gateway has no sub-devices.
    let (plain, secret) = yard.sub("plain").await;
    let session = yard.again(&plain, &secret).await;
    let refused = hub.topo_add(&session, &[good()]).await;
    assert!(matches!(refused, Err(TopoError::NotGateway)));
}

/// [AL-2.6] [AL-6.2] The quota holds against racing requests, for those bound and those online.
#[tokio::test]
async fn a_gateway_has_so_many_sub_devices_and_no_more() {
    let limits = Limits {
        sub_devices: 3,
        ..Limits::default()
    };
    let yard = Yard::open_with(limits).await;
    let hub = &yard.stage.hub;
    let gateway = yard.gateway("gate").await;
    let mut devices = Vec::new();
    for name in ["a123", "b123", "c123", "d123", "e123"] {
        devices.push(yard.sub(name).await);
    }
    let adds = devices.iter().map(async |(device, secret)| {
        let added = hub.topo_add(&gateway, &[proof(device, secret)]).await;
        match added {
            Ok(_) => true,
            Err(TopoError::TooMany) => false,
            Err(error) => panic!("{error}"),
        }
    });
    let added = futures_util::future::join_all(adds).await;
    assert_eq!(added.iter().filter(|added| **added).count(), 3);
    assert_eq!(hub.topo_get(&gateway).await.unwrap().len(), 3);
    // Unbinding makes room.
    let first = hub.topo_get(&gateway).await.unwrap();
    hub.topo_delete(&gateway, &first[..1]).await.unwrap();
    let left = added.iter().position(|added| !added).unwrap();
    let (device, secret) = &devices[left];
    hub.topo_add(&gateway, &[proof(device, secret)])
        .await
        .unwrap();
}

/// [AL-6.2] A login puts the sub-device online over its gateway's connection; the end of that
/// connection takes all of them offline once, in the order in which they came, and the gateway
/// after them.
#[tokio::test]
async fn a_gateway_that_drops_takes_its_sub_devices_along() {
    let yard = Yard::open().await;
    let hub = &yard.stage.hub;
    let gateway = yard.gateway("gate").await;
    let mut subs = Vec::new();
    for name in ["sub3", "sub1", "sub2"] {
        let (device, secret) = yard.bound(&gateway, name).await;
        let rider = yard.login(&gateway, &device, &secret).await.unwrap();
        assert_eq!(rider.via.as_ref().unwrap().session, gateway.id);
        assert!(yard.online(&device).await);
        assert_eq!(
            hub.rider_carrier(&device.iot_id),
            Some(gateway.iot_id.clone())
        );
        subs.push(device);
    }
    // One leaves by itself before.
    hub.rider_logout(&gateway, &[subs[1].key.clone()])
        .await
        .unwrap();
    assert!(!yard.online(&subs[1]).await);
    let again = hub.rider_logout(&gateway, &[subs[1].key.clone()]).await;
    assert!(matches!(again.unwrap_err().error, TopoError::NoSession));
    yard.stage.close(&gateway, "gone").await;
    yard.stage.close(&gateway, "gone").await;
    for device in &subs {
        assert!(!yard.online(device).await);
        assert_eq!(yard.offlines(device).await.len(), 1, "{}", device.key);
    }
    let journal = &yard.stage.ports.journal;
    let facts = journal.read(model::id::Position(0), 1_000).await.unwrap();
    let order: Vec<_> = facts
        .iter()
        .filter(|(_, fact)| matches!(fact.what, What::Offline { .. }))
        .map(|(_, fact)| fact.device.name.as_str())
        .collect();
    assert_eq!(order, ["sub1", "sub3", "sub2", "gate"]);
    // Nobody comes in over a connection that is gone.
    let (device, secret) = yard.sub("sub4").await;
    let other = yard.gateway("gate9").await;
    hub.topo_add(&other, &[proof(&device, &secret)])
        .await
        .unwrap();
    yard.stage.close(&other, "gone").await;
    assert!(yard.login(&other, &device, &secret).await.is_err());
    assert!(!yard.online(&device).await);
}

/// [AL-5.1] Each reason to keep a sub-device out: 6401, 6287, 522, 6100, 521, 429.
#[tokio::test]
async fn sub_devices_are_kept_out_for_the_reasons_of_the_document() {
    let yard = Yard::open().await;
    let hub = &yard.stage.hub;
    let permit = yard.stage.permit().await;
    let gateway = yard.gateway("gate").await;
    let (unbound, secret) = yard.sub("unbound").await;
    let refused = yard.login(&gateway, &unbound, &secret).await;
    assert!(matches!(refused, Err(TopoError::NotBound)));
    let (device, secret) = yard.bound(&gateway, "sub1").await;
    let refused = yard.login(&gateway, &device, "wrong").await;
    assert!(matches!(refused, Err(TopoError::BadProof)));
    hub.device_disable(&permit, &device.key, true)
        .await
        .unwrap();
    let refused = yard.login(&gateway, &device, &secret).await;
    assert!(matches!(refused, Err(TopoError::Disabled)));
    hub.device_disable(&permit, &device.key, false)
        .await
        .unwrap();
    for _ in 0..3 {
        yard.login(&gateway, &device, &secret).await.unwrap();
    }
    let refused = yard.login(&gateway, &device, &secret).await;
    assert!(matches!(refused, Err(TopoError::TooOften)));
    yard.stage.clock.move_by(60_000);
    yard.login(&gateway, &device, &secret).await.unwrap();
    hub.device_delete(&permit, &device.key).await.unwrap();
    let refused = yard.login(&gateway, &device, &secret).await;
    assert!(matches!(refused, Err(TopoError::Deleted)));
    assert!(hub.topo_get(&gateway).await.unwrap().is_empty());
    // Under another gateway it never was.
    let other = yard.gateway("gate2").await;
    let refused = yard.login(&other, &device, &secret).await;
    assert!(matches!(refused, Err(TopoError::NoSuchDevice)));
    // Made anew, it is another device.
    let (device, secret) = yard.bound(&gateway, "sub1").await;
    yard.login(&gateway, &device, &secret).await.unwrap();
}

/// [AL-5.1] A sub-device that is disabled, deleted, moved, or that comes elsewhere, is sent off
/// with the reason, and the gateway that carried it learns it.
#[tokio::test]
async fn sub_devices_are_sent_off_for_a_reason() {
    let mut yard = Yard::open().await;
    let permit = yard.stage.permit().await;
    let hub = yard.stage.hub.clone();
    let gateway = yard.gateway("gate").await;
    let other = yard.gateway("gate2").await;
    let mut parted = Vec::new();
    for name in ["disabled", "deleted", "moved", "direct", "reset"] {
        let (device, secret) = yard.bound(&gateway, name).await;
        let rider = yard.login(&gateway, &device, &secret).await.unwrap();
        yard.due(&gateway).await;
        let key = &device.key;
        match name {
            "disabled" => {
                hub.device_disable(&permit, key, true).await.unwrap();
            }
            "deleted" => hub.device_delete(&permit, key).await.unwrap(),
            "moved" => {
                let moved = hub.topo_add(&other, &[proof(&device, &secret)]).await;
                moved.unwrap();
            }
            "direct" => {
                yard.again(&device, &secret).await;
            }
            _ => {
                hub.device_reset_secret(&permit, key).await.unwrap();
            }
        }
        for due in yard.due(&gateway).await {
            if let Due::Parted(gone, reason) = due {
                assert_eq!(gone.id, rider.id);
                parted.push(reason);
                hub.session_leave(&gone).await.unwrap();
            }
        }
        assert!(hub.rider(&gateway, key).is_none(), "{name}");
        assert_eq!(yard.online(&device).await, name == "direct");
    }
    assert_eq!(
        parted,
        [
            CloseReason::Disabled,
            CloseReason::Deleted,
            CloseReason::Unbound,
            CloseReason::TakenOver,
            CloseReason::CredentialReset,
        ]
    );
    assert_eq!(hub.topo_get(&other).await.unwrap().len(), 1);
}

/// [AL-6.2] The same sub-device again over the same connection takes its own place, without an
/// error for anybody.
#[tokio::test]
async fn a_login_may_be_repeated() {
    let mut yard = Yard::open().await;
    let gateway = yard.gateway("gate").await;
    let (device, secret) = yard.bound(&gateway, "sub1").await;
    let first = yard.login(&gateway, &device, &secret).await.unwrap();
    let second = yard.login(&gateway, &device, &secret).await.unwrap();
    assert_ne!(first.id, second.id);
    assert!(yard.due(&gateway).await.is_empty());
    let rider = yard.stage.hub.rider(&gateway, &device.key).unwrap();
    assert_eq!(rider.id, second.id);
    assert!(yard.offlines(&device).await.is_empty());
}

/// [AL-2.4] A gateway fetches secrets of sub-devices whose product allows it, as often as it lost
/// them, until another gateway has the device; what is unregistered may be registered anew.
#[tokio::test]
async fn a_gateway_registers_its_sub_devices() {
    let yard = Yard::open().await;
    let hub = &yard.stage.hub;
    let gateway = yard.gateway("gate").await;
    let other = yard.gateway("gate2").await;
    let (device, secret) = yard.sub("sub1").await;
    let keys = [device.key.clone()];
    let registered = hub.sub_register(&gateway, &keys).await.unwrap();
    assert_eq!(registered[0].secret, secret);
    hub.topo_add(&gateway, &[proof(&device, &secret)])
        .await
        .unwrap();
    yard.login(&gateway, &device, &secret).await.unwrap();
    let registered = hub.sub_register(&gateway, &keys).await.unwrap();
    assert_eq!(registered[0].secret, secret);
    let refused = hub.sub_register(&other, &keys).await;
    assert!(matches!(refused, Err(TopoError::BoundElsewhere)));
    let refused = hub.sub_unregister(&other, &keys).await;
    assert!(matches!(refused, Err(TopoError::BoundElsewhere)));
    hub.sub_unregister(&gateway, &keys).await.unwrap();
    assert!(hub.topo_get(&gateway).await.unwrap().is_empty());
    hub.sub_register(&other, &keys).await.unwrap();
    let own = [gateway.device.clone()];
    let refused = hub.sub_register(&gateway, &own).await;
    assert!(matches!(refused, Err(TopoError::BySelf)));
    let (closed, _) = yard.stage.product(DynamicRegistration::Off).await;
    let (device, _) = yard.stage.device(&closed, "sub2").await;
    let refused = hub.sub_register(&gateway, &[device.key]).await;
    assert!(matches!(refused, Err(TopoError::RegistrationOff)));
}

/// [AL-6.1] What a gateway found is journalled; unknown products and bad names are refused.
#[tokio::test]
async fn what_a_gateway_found_is_a_fact() {
    let yard = Yard::open().await;
    let hub = &yard.stage.hub;
    let gateway = yard.gateway("gate").await;
    let found = |product: &str, name: &str| [(product.to_owned(), name.to_owned())];
    let key = yard.subs.key.as_str();
    hub.topo_found(&gateway, &found(key, "newcomer"))
        .await
        .unwrap();
    let facts = yard.stage.facts(&gateway.iot_id).await;
    let devices = vec![DeviceKey::parse(key, "newcomer").unwrap()];
    assert!(facts.contains(&What::DevicesFound { devices }));
    let refused = hub
        .topo_found(&gateway, &found("nowhere", "newcomer"))
        .await;
    assert!(matches!(refused, Err(TopoError::NoSuchProduct)));
    let refused = hub.topo_found(&gateway, &found(key, "a b")).await;
    assert!(matches!(refused, Err(TopoError::BadName(_))));
}

/// [AL-2.6] A gateway that is deleted leaves nothing behind.
#[tokio::test]
async fn a_deleted_gateway_leaves_its_sub_devices_free() {
    let yard = Yard::open().await;
    let hub = &yard.stage.hub;
    let permit = yard.stage.permit().await;
    let gateway = yard.gateway("gate").await;
    let (device, _) = yard.bound(&gateway, "sub1").await;
    hub.device_delete(&permit, &gateway.device).await.unwrap();
    let none = hub.topo_gateway(&permit, &device.key).await.unwrap();
    assert!(none.is_none());
    let catalog = &yard.stage.ports.catalog;
    for kind in [
        "topology",
        "topology-sub",
        "topology-count",
        "topology-gone",
    ] {
        assert_eq!(catalog.count(kind, "").await.unwrap(), 0, "{kind}");
    }
}

/// [AL-6.2] What is said at QoS 1 to a sub-device that is away waits for a login that wants it, in
/// order, not beyond its bound and not in the way of commands, and ends when the device has it; a
/// login with a clean session drops it.
/// Document: [001 6.4].
#[tokio::test]
async fn messages_wait_for_a_sub_device_that_wants_them() {
    let limits = Limits {
        commands: 6,
        ..Limits::default()
    };
    let yard = Yard::open_with(limits).await;
    let (hub, permit) = (&yard.stage.hub, yard.stage.permit().await);
    let gateway = yard.gateway("gate").await;
    let (device, secret) = yard.bound(&gateway, "sub1").await;
    let topic = format!("/{}/sub1/user/get", device.key.product);
    let say = async |text: &'static str| {
        let payload = text.as_bytes().into();
        let said = hub.message_send(&permit, &device.key, &topic, payload, 1);
        said.await.unwrap();
    };
    let heard = async |session: &Session| -> Vec<(CommandId, String)> {
        let waiting = hub.commands_waiting(session).await.unwrap();
        let letters = waiting.into_iter().map(|command| match command.order {
            Order::Hear(letter) => {
                assert_eq!((&letter.topic, letter.system), (&topic, false));
                let text = String::from_utf8(letter.payload.to_vec()).unwrap();
                (command.id, text)
            }
            other => panic!("{other:?}"),
        });
        letters.collect()
    };
    let texts = |all: &[(CommandId, String)]| -> Vec<String> {
        all.iter().map(|(_, text)| text.clone()).collect()
    };
    for text in ["1", "2", "3", "4"] {
        say(text).await;
    }
    let session = yard.login_as(&gateway, &device, &secret, true).await;
    let session = session.unwrap();
    let waiting = heard(&session).await;
    assert_eq!(texts(&waiting), ["2", "3", "4"], "half as many as commands");
    assert!(hub.command_sent(&session, waiting[0].0).await.unwrap());
    let found = yard.stage.ports.commands.find(&device.iot_id, waiting[0].0);
    assert_eq!(found.await.unwrap(), None, "nobody answers a message");
    assert!(!hub.command_sent(&session, waiting[0].0).await.unwrap());

    // It is there, and still its messages are stored until it has them.
    say("5").await;
    assert_eq!(texts(&heard(&session).await), ["3", "4", "5"]);
    hub.rider_logout(&gateway, std::slice::from_ref(&device.key))
        .await
        .unwrap();
    let session = yard.login(&gateway, &device, &secret).await.unwrap();
    assert!(heard(&session).await.is_empty(), "a clean session");
    say("6").await;
    assert!(
        heard(&session).await.is_empty(),
        "it is for those who are there"
    );

    // A device that has no gateway is not waited for here.
    hub.rider_logout(&gateway, std::slice::from_ref(&device.key))
        .await
        .unwrap();
    hub.topo_delete(&gateway, std::slice::from_ref(&device.key))
        .await
        .unwrap();
    say("7").await;
    hub.topo_add(&gateway, &[proof(&device, &secret)])
        .await
        .unwrap();
    let session = yard.login_as(&gateway, &device, &secret, true).await;
    assert!(heard(&session.unwrap()).await.is_empty());
}

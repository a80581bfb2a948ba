//! Wiring over the embedded engine.

use super::*;
use crate::stage::Stage;
use model::{
    command::{Answer, CommandState, Order},
    product::{DynamicRegistration, NodeKind, Product},
};
use serde_json::json;

struct Yard {
    stage: Stage,
    permit: Permit,
    gateway: Device,
    sub: Device,
    subs: Product,
}

impl Yard {
    async fn open() -> Self {
        let stage = Stage::set().await;
        let permit = stage.permit().await;
        let (mut gateways, _) = stage.product(DynamicRegistration::Off).await;
        gateways.node = NodeKind::Gateway;
        stage.product_put(&gateways).await;
        let (subs, _) = stage.product(DynamicRegistration::Off).await;
        let (gateway, _) = stage.device(&gateways, "gate").await;
        let (sub, _) = stage.device(&subs, "sub1").await;
        let hub = &stage.hub;
        hub.topo_bind_for(&permit, &gateway.key, std::slice::from_ref(&sub.key))
            .await
            .unwrap();
        Self {
            stage,
            permit,
            gateway,
            sub,
            subs,
        }
    }

    async fn channel(&self, link: serde_json::Value, password: &str) -> Channel {
        let new = new(link, password);
        let hub = &self.stage.hub;
        let put = hub.channel_put(&self.permit, &self.gateway.key, None, new);
        put.await.unwrap()
    }

    async fn place(&self, place: serde_json::Value) -> Result<(), DeviceError> {
        let place = serde_json::from_value(place).unwrap();
        let hub = &self.stage.hub;
        hub.place_put(&self.permit, &self.gateway.key, &self.sub.key, place)
            .await
    }

    async fn push(&self) -> Pushed {
        let render = |wiring: &Wiring| {
            let passwords = wiring.channels.iter().map(|(_, password)| {
                let password = password.as_ref();
                password.map(|it| String::from_utf8_lossy(it.expose()).into_owned())
            });
            let told = json!({
                "passwords": passwords.collect::<Vec<_>>(),
                "places": wiring.places,
            });
            Ok(told.to_string().into_bytes())
        };
        let hub = &self.stage.hub;
        hub.wiring_push(&self.permit, &self.gateway.key, render)
            .await
            .unwrap()
    }

    async fn file(&self, pushed: &Pushed) -> serde_json::Value {
        let hub = &self.stage.hub;
        let text = hub.link_read(&pushed.document.blob, 0, 10_000).await;
        serde_json::from_slice(&text.unwrap()).unwrap()
    }
}

fn new(link: serde_json::Value, password: &str) -> NewChannel {
    NewChannel {
        name: "a channel".into(),
        link: serde_json::from_value(link).unwrap(),
        password: (!password.is_empty()).then(|| Secret::new(password.as_bytes().to_vec())),
    }
}

fn tcp() -> serde_json::Value {
    json!({"protocol": "modbus-tcp", "address": "192.0.2.1", "port": 502})
}

fn opc() -> serde_json::Value {
    json!({"protocol": "opc-ua", "url": "opc.tcp://a", "user": "u"})
}

/// [AL-6.9] A place is on a channel that is there and speaks its protocol, of a sub-device that is
/// bound; a channel that is used stays; the place goes with the binding.
#[tokio::test]
async fn places_hold_to_channels_and_bindings() {
    let yard = Yard::open().await;
    let (hub, gateway, permit) = (&yard.stage.hub, &yard.gateway.key, &yard.permit);
    let (modbus, opc_ua) = (yard.channel(tcp(), "").await, yard.channel(opc(), "").await);
    assert_eq!(modbus.id.len(), 32);
    let on = |id: &str| json!({"protocol": "modbus", "channel": id, "slave": 3});
    for wrong in [on("none"), on(&opc_ua.id)] {
        let refused = yard.place(wrong).await;
        assert!(
            matches!(refused, Err(DeviceError::BadRequest(_))),
            "{refused:?}"
        );
    }
    yard.place(on(&modbus.id)).await.unwrap();
    let used = hub.channel_remove(permit, gateway, &modbus.id).await;
    assert!(matches!(used, Err(DeviceError::BadRequest(_))), "{used:?}");
    let other = new(opc(), "");
    let turned = hub.channel_put(permit, gateway, Some(&modbus.id), other);
    assert!(matches!(turned.await, Err(DeviceError::BadRequest(_))));
    hub.channel_remove(permit, gateway, &opc_ua.id)
        .await
        .unwrap();

    hub.topo_remove(permit, &yard.sub.key).await.unwrap();
    assert!(hub.places_of(permit, gateway).await.unwrap().is_empty());
    let unbound = yard.place(on(&modbus.id)).await;
    assert!(matches!(unbound, Err(DeviceError::BadRequest(_))));
    hub.channel_remove(permit, gateway, &modbus.id)
        .await
        .unwrap();
    let foreign = yard.stage.other_permit().await;
    let foreign = hub.channels_of(&foreign, gateway).await;
    assert!(matches!(foreign, Err(DeviceError::NotFound)));
    let none = hub.channels_of(permit, &yard.sub.key).await;
    assert!(
        matches!(none, Err(DeviceError::BadRequest(_))),
        "no gateway"
    );
}

/// [AL-6.9] The password of a channel is kept until its user is gone, and not asked for again.
#[tokio::test]
async fn passwords_stay_with_their_users() {
    let yard = Yard::open().await;
    let (hub, gateway, permit) = (&yard.stage.hub, &yard.gateway.key, &yard.permit);
    let channel = yard.channel(opc(), "secret").await;
    let passwords = async || yard.file(&yard.push().await).await["passwords"].clone();
    assert_eq!(passwords().await, json!(["secret"]));
    let id = Some(channel.id.as_str());
    hub.channel_put(permit, gateway, id, new(opc(), ""))
        .await
        .unwrap();
    assert_eq!(passwords().await, json!(["secret"]));
    hub.channel_put(permit, gateway, id, new(opc(), "newer"))
        .await
        .unwrap();
    assert_eq!(passwords().await, json!(["newer"]));
    let anonymous = json!({"protocol": "opc-ua", "url": "opc.tcp://a"});
    hub.channel_put(permit, gateway, id, new(anonymous.clone(), ""))
        .await
        .unwrap();
    assert_eq!(passwords().await, json!([null]));
    for (link, password) in [(anonymous, "p"), (tcp(), "p"), (opc(), &"p".repeat(257))] {
        let refused = hub
            .channel_put(permit, gateway, None, new(link, password))
            .await;
        assert!(matches!(refused, Err(DeviceError::BadRequest(_))));
    }
}

/// [AL-6.9] A gateway has a bounded number of channels.
#[tokio::test]
async fn channels_are_bounded() {
    let yard = Yard::open().await;
    for _ in 0..MOST {
        yard.channel(tcp(), "").await;
    }
    let hub = &yard.stage.hub;
    let more = hub.channel_put(&yard.permit, &yard.gateway.key, None, new(tcp(), ""));
    assert!(matches!(more.await, Err(DeviceError::TooMuch(_))));
}

/// [AL-6.9] A push that waits gives way to a newer one, its answer is kept, and all goes with the
/// gateway.
#[tokio::test]
async fn the_newest_push_counts_and_goes_with_its_gateway() {
    let yard = Yard::open().await;
    let (hub, gateway, permit) = (&yard.stage.hub, &yard.gateway, &yard.permit);
    let channel = yard.channel(opc(), "secret").await;
    yard.place(json!({"protocol": "opc-ua", "channel": channel.id, "path": "a"}))
        .await
        .unwrap();
    let first = yard.push().await;
    let second = yard.push().await;
    let blobs = &yard.stage.ports.blobs;
    assert_eq!(blobs.size(&first.document.blob).await.unwrap(), None);
    let commands = &yard.stage.ports.commands;
    let waiting = commands
        .waiting(&gateway.iot_id, hub.now(), 100)
        .await
        .unwrap();
    assert_eq!(waiting.len(), 1);
    let order = Order::Wire(Box::new(second.document.clone()));
    assert_eq!(waiting[0].order, order);
    let pushed = async || hub.wiring_pushed(permit, &gateway.key).await.unwrap();
    let told = pushed().await.unwrap();
    assert_eq!(
        (told.state, told.reply),
        (Some(CommandState::Waiting), None)
    );

    let secret = hub.device_secret(permit, &gateway.key).await.unwrap();
    let claim = crate::stage::claim(&gateway.key, &secret, credential::Want::DeviceSecret);
    let session = hub.device_admit(claim, 0).await.unwrap();
    let answer = Answer {
        code: 460,
        data: json!({}),
        message: "no such port".into(),
    };
    let taken = hub.command_answered(&session, second.command, answer);
    assert!(taken.await.unwrap());
    let reply = pushed().await.unwrap().reply.unwrap();
    assert_eq!((reply.code, reply.message.as_str()), (460, "no such port"));

    hub.device_delete(permit, &gateway.key).await.unwrap();
    assert_eq!(blobs.size(&second.document.blob).await.unwrap(), None);
    let catalog = &yard.stage.ports.catalog;
    for kind in [CHANNELS, PLACE, "wiring-push"] {
        let left = catalog.list(kind, "", None, 10).await.unwrap();
        assert!(left.is_empty(), "{kind}: {left:?}");
    }
    let secret = password_id(&gateway.iot_id, &channel.id);
    assert_eq!(yard.stage.ports.secrets.find(&secret).await.unwrap(), None);
}

/// [AL-6.9] A mapping speaks of what is in the published thing model, and goes with its product.
#[tokio::test]
async fn a_mapping_fits_its_thing_model() {
    let yard = Yard::open().await;
    let lamp = crate::history::tests::lamp(&yard.stage).await;
    let hub = &yard.stage.hub;
    let custom = |name: &str| -> Mapping {
        let properties = json!([{"identifier": name, "settings": {"a": 1}}]);
        serde_json::from_value(json!({"protocol": "custom", "properties": properties})).unwrap()
    };
    let put = |product, name| hub.mapping_put(&lamp.permit, product, Some(custom(name)));
    let refused = put(&lamp.product, "nothing").await;
    assert!(matches!(refused, Err(DeviceError::BadRequest(_))));
    let refused = put(&yard.subs.key, "power").await;
    assert!(matches!(refused, Err(DeviceError::NotModelled)));
    let tsl = yard
        .stage
        .hub
        .shelf_model(&lamp.product)
        .await
        .unwrap()
        .unwrap();
    let (name, _) = tsl.tsl.properties().next().unwrap();
    put(&lamp.product, &name).await.unwrap();
    let found = hub.mapping_of(&lamp.permit, &lamp.product).await.unwrap();
    assert_eq!(found, Some(custom(&name)));
    hub.device_delete(&lamp.permit, &lamp.session.device)
        .await
        .unwrap();
    hub.product_delete(&lamp.permit, &lamp.product)
        .await
        .unwrap();
    let catalog = &yard.stage.ports.catalog;
    assert!(
        catalog
            .list(MAPPING, "", None, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

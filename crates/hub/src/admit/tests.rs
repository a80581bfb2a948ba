//! Devices at the gate, over the embedded engine.

use super::*;
use crate::{
    edge::Channel,
    limits::Limits,
    stage::{Stage, claim, peer},
};
use async_trait::async_trait;
use futures_util::future::join_all;
use model::{
    device::DeviceState,
    fact::What,
    id::{ProductKey, SessionId},
    port::{CloseReason, Devices, Place, Presence, Signal},
    product::DynamicRegistration as Switch,
};

async fn login(stage: &Stage, device: &Device, secret: &str) -> Result<Session, AdmitError> {
    stage
        .hub
        .device_admit(claim(&device.key, secret, Want::DeviceSecret), 7)
        .await
}

async fn register(
    stage: &Stage,
    device: &DeviceKey,
    secret: &str,
    how: Registration,
) -> Result<Registered, AdmitError> {
    stage
        .hub
        .device_register_self(claim(device, secret, Want::ProductSecret), how)
        .await
}

/// [AL-2.2] The first connection of a registered device activates it, the next ones do not.
#[tokio::test]
async fn the_first_login_activates() {
    let stage = Stage::set().await;
    let (product, _) = stage.product(Switch::Off).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    assert_eq!(device.state(false), DeviceState::Unactivated);
    let session = login(&stage, &device, &secret).await.unwrap();
    assert_eq!(
        (session.device.clone(), session.marks),
        (device.key.clone(), 7)
    );
    let row = stage.row(&device.iot_id).await;
    assert_eq!(row.activated, Some(stage.hub.now()));
    let place = stage
        .ports
        .presence
        .find(&device.iot_id)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(place.session, session.id);
    let online = || What::Online {
        address: "192.0.2.7".to_owned(),
    };
    let facts = stage.facts(&device.iot_id).await;
    assert_eq!(facts, [What::Activated, online()]);

    stage.close(&session, "the device said goodbye").await;
    stage.clock.move_by(1_000);
    let second = login(&stage, &device, &secret).await.unwrap();
    assert_ne!(second.id, session.id);
    let offline = What::Offline {
        reason: "the device said goodbye".to_owned(),
    };
    let facts = stage.facts(&device.iot_id).await;
    assert_eq!(facts, [What::Activated, online(), offline, online()]);
    assert_eq!(stage.row(&device.iot_id).await.activated, row.activated);
    assert_eq!(stage.hub.metrics().sessions(), 1);
    assert_eq!(
        stage.hub.product_now(&product.key).unwrap().key,
        product.key
    );
}

/// [AL-2.2] Of many that log in at once with one device, one activates it.
#[tokio::test]
async fn racing_first_logins_activate_once_and_one_stays() {
    let stage = Stage::set().await;
    let (product, _) = stage.product(Switch::Off).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    let sessions = join_all((0..6).map(|_| login(&stage, &device, &secret))).await;
    let sessions: Vec<Session> = sessions.into_iter().map(Result::unwrap).collect();
    let facts = stage.facts(&device.iot_id).await;
    let activated = facts
        .iter()
        .filter(|fact| **fact == What::Activated)
        .count();
    assert_eq!(activated, 1);
    let place = stage
        .ports
        .presence
        .find(&device.iot_id)
        .await
        .unwrap()
        .unwrap();
    assert!(sessions.iter().any(|session| session.id == place.session));
}

#[tokio::test]
async fn wrong_claims_are_refused_for_what_is_wrong_and_leave_no_trace_but_the_audit_line() {
    let stage = Stage::set().await;
    let (product, product_secret) = stage.product(Switch::Open).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    let refused = async |key: &DeviceKey, secret: &str, want| {
        let result = stage.hub.device_admit(claim(key, secret, want), 0).await;
        let error = outcome(&result.unwrap_err());
        let line = stage.lines().await.pop().unwrap().entry;
        assert_eq!(
            (line.who.as_str(), line.action.as_str()),
            ("?", "device.login")
        );
        assert_eq!(
            (line.resource, line.outcome.as_str()),
            (key.to_string(), error)
        );
        assert!(!line.detail.contains(secret));
        error
    };
    let key = |product: &str, name| DeviceKey::parse(product, name).unwrap();
    let own = Want::DeviceSecret;
    assert_eq!(
        refused(&key("a1Nothing", "lamp"), &secret, own).await,
        "NoSuchProduct"
    );
    let other = key(product.key.as_str(), "nobody");
    assert_eq!(refused(&other, &secret, own).await, "NoSuchDevice");
    assert_eq!(refused(&device.key, "wrong", own).await, "BadProof");
    assert_eq!(refused(&device.key, &product_secret, own).await, "BadProof");
    // The secret that every device of the product shares lets nobody in.
    let shared = Want::ProductSecret;
    assert_eq!(
        refused(&device.key, &product_secret, shared).await,
        "WrongScheme"
    );
    stage
        .change(&device.iot_id, |row| row.disabled = true)
        .await;
    assert_eq!(refused(&device.key, "wrong", own).await, "BadProof");
    assert_eq!(refused(&device.key, &secret, own).await, "Disabled");

    assert!(stage.facts(&device.iot_id).await.is_empty());
    assert_eq!(
        stage.ports.presence.find(&device.iot_id).await.unwrap(),
        None
    );
    assert_eq!(stage.row(&device.iot_id).await.activated, None);
    let page = stage.hub.metrics().encode();
    let line =
        "muster_device_logins_total{channel=\"tcp\",scheme=\"shown\",outcome=\"BadProof\"} 3";
    assert!(page.contains(line), "{page}");
}

/// [AL-3.5] A device that is mistaken about its channel is refused where the product is strict.
#[tokio::test]
async fn strict_products_want_the_channel_that_is_claimed() {
    let stage = Stage::set().await;
    let (mut product, _) = stage.product(Switch::Off).await;
    product.strict_channel = true;
    stage.product_put(&product).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    for (says, channel, fits) in [
        (Some(true), Channel::Tls, true),
        (Some(true), Channel::Tcp, false),
        (Some(false), Channel::Ws, true),
        (Some(false), Channel::Wss, false),
        (None, Channel::Tcp, true),
    ] {
        let mut claim = claim(&device.key, &secret, Want::DeviceSecret);
        claim.says_secure = says;
        claim.peer = peer(channel);
        match stage.hub.device_prove(claim).await {
            Ok(_) => assert!(fits, "{says:?} {channel:?}"),
            Err(AdmitError::WrongScheme) => assert!(!fits, "{says:?} {channel:?}"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// [AL-3.4] A second connection of a device closes the first, which is not "offline" then.
#[tokio::test]
async fn a_second_login_takes_over() {
    let mut stage = Stage::set().await;
    let (product, _) = stage.product(Switch::Off).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    let first = login(&stage, &device, &secret).await.unwrap();
    let second = login(&stage, &device, &secret).await.unwrap();
    let word = stage.words.as_mut().unwrap().recv().await.unwrap();
    assert_eq!(
        word,
        Signal::Close {
            iot_id: device.iot_id.clone(),
            session: Some(first.id),
            reason: CloseReason::TakenOver,
        }
    );
    let count = stage.facts(&device.iot_id).await.len();
    stage.close(&first, "taken over").await;
    assert_eq!(stage.facts(&device.iot_id).await.len(), count);
    stage.close(&second, "gone").await;
    assert_eq!(stage.facts(&device.iot_id).await.len(), count + 1);
    assert_eq!(stage.hub.metrics().sessions(), 0);
}

/// Promise 2: who disables a device tells the connection that is there.
#[tokio::test]
async fn a_session_is_told_to_end_where_it_is() {
    let mut stage = Stage::set().await;
    let (product, _) = stage.product(Switch::Off).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    stage
        .hub
        .session_end(&device, CloseReason::Disabled)
        .await
        .unwrap();
    login(&stage, &device, &secret).await.unwrap();
    stage
        .hub
        .session_end(&device, CloseReason::Deleted)
        .await
        .unwrap();
    let word = stage.words.as_mut().unwrap().recv().await.unwrap();
    assert_eq!(
        word,
        Signal::Close {
            iot_id: device.iot_id,
            session: None,
            reason: CloseReason::Deleted,
        }
    );
}

/// Presence of a place where, of all moments, somebody disables the device as it arrives.
struct Meanwhile {
    devices: Arc<dyn Devices>,
    presence: Arc<dyn Presence>,
}

#[async_trait]
impl Presence for Meanwhile {
    async fn arrive(
        &self,
        id: &IotId,
        product: &ProductKey,
        place: Place,
    ) -> Result<Option<Place>, Fault> {
        let mut row = self.devices.find_id(id).await?.unwrap();
        row.disabled = true;
        self.devices.change(&row).await?;
        self.presence.arrive(id, product, place).await
    }

    async fn leave(&self, id: &IotId, session: SessionId) -> Result<bool, Fault> {
        self.presence.leave(id, session).await
    }

    async fn find(&self, id: &IotId) -> Result<Option<Place>, Fault> {
        self.presence.find(id).await
    }

    async fn online(&self, product: &ProductKey) -> Result<u64, Fault> {
        self.presence.online(product).await
    }
}

/// Promise 2: a device that is disabled between its proof and its arrival does not slip in.
#[tokio::test]
async fn a_device_that_is_disabled_meanwhile_does_not_slip_in() {
    let stage = Stage::set_with(Limits::default(), |mut ports| {
        ports.presence = Arc::new(Meanwhile {
            devices: ports.devices.clone(),
            presence: ports.presence.clone(),
        });
        ports
    })
    .await;
    let (product, _) = stage.product(Switch::Off).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    let result = login(&stage, &device, &secret).await;
    assert!(matches!(result, Err(AdmitError::Disabled)));
    assert_eq!(
        stage.ports.presence.find(&device.iot_id).await.unwrap(),
        None
    );
    let facts = stage.facts(&device.iot_id).await;
    assert!(!facts.iter().any(|fact| matches!(fact, What::Online { .. })));
    assert_eq!(stage.hub.metrics().sessions(), 0);
}

/// [AL-3.3] A token of HTTPS pre-authentication opens a connection for seven days.
#[tokio::test]
async fn a_token_opens_a_session_until_it_expires() {
    let stage = Stage::set().await;
    let (product, _) = stage.product(Switch::Off).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    let (other, _) = stage.device(&product, "other").await;
    let proof = claim(&device.key, &secret, Want::DeviceSecret);
    let (row, token) = stage.hub.device_token(proof).await.unwrap();
    assert_eq!(row.activated, None, "to ask for a token is not to connect");
    let admit = async |id: &str, token: &str| {
        let result = stage
            .hub
            .device_admit_token(id, token, peer(Channel::Tls), 0)
            .await;
        result.map_or_else(|error| outcome(&error), |_| "ok")
    };
    let id = device.iot_id.as_str();
    assert_eq!(admit(id, &token).await, "ok");
    assert!(stage.row(&device.iot_id).await.activated.is_some());
    assert_eq!(admit(other.iot_id.as_str(), &token).await, "TokenUnknown");
    assert_eq!(admit(id, "made up").await, "TokenUnknown");
    assert_eq!(admit(id, &"A".repeat(100_000)).await, "TokenUnknown");
    assert_eq!(admit(&"x".repeat(100_000), &token).await, "TokenUnknown");
    assert!(stage.lines().await.pop().unwrap().entry.resource.len() < 100);
    stage.clock.move_by(7 * 24 * 3_600 * 1_000 - 1);
    assert_eq!(admit(id, &token).await, "ok");
    stage.clock.move_by(1);
    assert_eq!(admit(id, &token).await, "TokenExpired");
}

/// [AL-3.3] A token dies with the credential that it was given for.
#[tokio::test]
async fn a_token_is_void_after_a_reset_and_refused_while_disabled() {
    let stage = Stage::set().await;
    let (product, _) = stage.product(Switch::Off).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    let proof = claim(&device.key, &secret, Want::DeviceSecret);
    let (_, token) = stage.hub.device_token(proof).await.unwrap();
    let admit = async || {
        let id = device.iot_id.as_str();
        let result = stage
            .hub
            .device_admit_token(id, &token, peer(Channel::Tcp), 0)
            .await;
        result.map_or_else(|error| outcome(&error), |_| "ok")
    };
    stage
        .change(&device.iot_id, |row| row.disabled = true)
        .await;
    assert_eq!(admit().await, "Disabled");
    stage
        .change(&device.iot_id, |row| row.disabled = false)
        .await;
    assert_eq!(admit().await, "ok");
    stage
        .change(&device.iot_id, |row| row.credential += 1)
        .await;
    assert_eq!(admit().await, "TokenUnknown");
    stage.ports.devices.remove(&device.iot_id).await.unwrap();
    assert_eq!(admit().await, "Deleted");
}

/// [AL-2.3] The switch is off at first; a device that nobody registered is not taken.
#[tokio::test]
async fn dynamic_registration_follows_its_switch() {
    let stage = Stage::set().await;
    let ask = async |switch, secret: Option<&str>, how| {
        let (product, right) = stage.product(switch).await;
        let (known, _) = stage.device(&product, "known").await;
        let new = DeviceKey::parse(product.key.as_str(), "brand-new").unwrap();
        let mut outcomes = Vec::new();
        for device in [&known.key, &new] {
            let result = register(&stage, device, secret.unwrap_or(&right), how).await;
            outcomes.push(result.map_or_else(|error| outcome(&error), |_| "ok"));
        }
        outcomes
    };
    use Registration::{Known, Open};
    assert_eq!(ask(Switch::Off, None, Known).await, ["RegistrationOff"; 2]);
    assert_eq!(ask(Switch::Off, None, Open).await, ["RegistrationOff"; 2]);
    assert_eq!(ask(Switch::Off, Some("wrong"), Open).await, ["BadProof"; 2]);
    assert_eq!(
        ask(Switch::Registered, None, Known).await,
        ["ok", "NoSuchDevice"]
    );
    assert_eq!(
        ask(Switch::Registered, None, Open).await,
        ["RegistrationOff"; 2]
    );
    assert_eq!(ask(Switch::Open, None, Known).await, ["ok", "NoSuchDevice"]);
    assert_eq!(ask(Switch::Open, None, Open).await, ["ok"; 2]);
    assert_eq!(
        ask(Switch::Open, Some("wrong"), Open).await,
        ["BadProof"; 2]
    );
}

/// [AL-2.3] An unactivated device may ask again and gets a new secret each time; an activated one
/// is refused; a device that is deleted and made again may register again.
#[tokio::test]
async fn a_device_registers_until_it_is_active() {
    let stage = Stage::set().await;
    let (product, shared) = stage.product(Switch::Registered).await;
    let (device, factory) = stage.device(&product, "lamp").await;
    let again = || register(&stage, &device.key, &shared, Registration::Known);
    let first = again().await.unwrap();
    let second = again().await.unwrap();
    assert_eq!(second.secret.len(), 32);
    assert_ne!(first.secret, second.secret);
    assert_eq!(
        second.device.version,
        stage.row(&device.iot_id).await.version
    );
    for old in [&factory, &first.secret] {
        assert!(matches!(
            login(&stage, &device, old).await,
            Err(AdmitError::BadProof)
        ));
    }
    login(&stage, &device, &second.secret).await.unwrap();
    assert!(matches!(again().await, Err(AdmitError::AlreadyActive)));
    assert!(login(&stage, &device, &second.secret).await.is_ok());

    stage.ports.devices.remove(&device.iot_id).await.unwrap();
    assert!(matches!(again().await, Err(AdmitError::NoSuchDevice)));
    stage.device(&product, "lamp").await;
    assert!(again().await.is_ok());
    let lines = stage.lines().await;
    let given = lines
        .iter()
        .filter(|line| line.entry.action == "device.register" && line.entry.outcome == "ok");
    assert_eq!(given.count(), 3);
    let page = format!("{lines:?}");
    assert!(!page.contains(&second.secret) && !page.contains(&shared));
}

/// [AL-2.3] Of racing registrations the last one's secret holds, and it is one that was given.
#[tokio::test]
async fn racing_registrations_leave_one_secret_that_was_given() {
    let stage = Stage::set().await;
    let (product, shared) = stage.product(Switch::Open).await;
    let key = DeviceKey::parse(product.key.as_str(), "lamp").unwrap();
    let tries = (0..6).map(|_| register(&stage, &key, &shared, Registration::Open));
    let given: Vec<Registered> = join_all(tries).await.into_iter().flatten().collect();
    let row = stage.ports.devices.find(&key).await.unwrap().unwrap();
    assert!(given.iter().all(|one| one.device.iot_id == row.iot_id));
    let last = given.iter().max_by_key(|one| one.device.version).unwrap();
    let mut works = Vec::new();
    for one in &given {
        let proof = claim(&key, &one.secret, Want::DeviceSecret);
        if stage.hub.device_prove(proof).await.is_ok() {
            works.push(one.secret.clone());
        }
    }
    assert_eq!(works, std::slice::from_ref(&last.secret));
}

/// [AL-2.6] Devices that register themselves count against the product's quota.
#[tokio::test]
async fn open_registration_stops_at_the_quota() {
    let limits = Limits {
        devices: 2,
        ..Limits::default()
    };
    let stage = Stage::set_with(limits, |ports| ports).await;
    let (product, shared) = stage.product(Switch::Open).await;
    for (name, fits) in [("dev1", true), ("dev2", true), ("dev3", false)] {
        let key = DeviceKey::parse(product.key.as_str(), name).unwrap();
        match register(&stage, &key, &shared, Registration::Open).await {
            Ok(made) => {
                assert!(fits);
                assert!(login(&stage, &made.device, &made.secret).await.is_ok());
                let facts = stage.facts(&made.device.iot_id).await;
                assert_eq!(facts[..2], [What::Registered, What::Activated]);
            }
            Err(AdmitError::TooMany) => assert!(!fits, "{name}"),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A device's own secret registers nobody.
#[tokio::test]
async fn a_device_secret_does_not_register() {
    let stage = Stage::set().await;
    let (product, _) = stage.product(Switch::Open).await;
    let (device, secret) = stage.device(&product, "lamp").await;
    let claim = claim(&device.key, &secret, Want::DeviceSecret);
    let result = stage
        .hub
        .device_register_self(claim, Registration::Known)
        .await;
    assert!(matches!(result, Err(AdmitError::WrongScheme)));
}

use super::*;
use crate::{
    account::Permit,
    edge::Session,
    stage::{Stage, claim},
};
use credential::Want;
use model::{
    command::Order,
    device::Device,
    error::OtaError,
    fact::What,
    firmware::{SignMethod, WHOLE},
    id::{DeviceName, IotId},
    product::{DynamicRegistration, Product},
};
use std::collections::BTreeMap;

/// A product with devices that can be played.
struct Fleet {
    stage: Stage,
    permit: Permit,
    product: Product,
    devices: Vec<(Device, String)>,
}

impl Fleet {
    async fn of(many: usize) -> Self {
        let stage = Stage::set().await;
        let permit = stage.permit().await;
        let (product, _) = stage.product(DynamicRegistration::Off).await;
        let mut devices = Vec::new();
        for i in 0..many {
            devices.push(stage.device(&product, &format!("dev{i:03}")).await);
        }
        Self {
            stage,
            permit,
            product,
            devices,
        }
    }

    async fn online(&self, at: usize) -> Session {
        let (device, secret) = &self.devices[at];
        let claim = claim(&device.key, secret, Want::DeviceSecret);
        self.stage.hub.device_admit(claim, 0).await.unwrap()
    }

    async fn upload(&self, content: &'static [u8]) -> String {
        let hub = &self.stage.hub;
        let mut upload = hub.upload_begin(&self.permit, "fw.bin").await.unwrap();
        upload.write(content.into()).await.unwrap();
        hub.upload_finish(upload).await.unwrap().blob
    }

    fn new_package(&self, version: &str, blob: String) -> NewPackage {
        NewPackage {
            product: Some(self.product.key.clone()),
            name: format!("fw {version}"),
            version: version.into(),
            method: SignMethod::Md5,
            files: vec![NewFile {
                upload: blob,
                ..NewFile::default()
            }],
            ..NewPackage::default()
        }
    }

    async fn package(&self, version: &str) -> Package {
        let blob = self.upload(b"firmware").await;
        let new = self.new_package(version, blob);
        self.stage
            .hub
            .firmware_create(&self.permit, new)
            .await
            .unwrap()
    }

    fn campaign(&self, package: &Package, kind: CampaignKind) -> NewCampaign {
        NewCampaign::of(&package.id, self.product.key.clone(), kind)
    }

    async fn begin(&self, new: NewCampaign) -> Campaign {
        let hub = &self.stage.hub;
        hub.campaign_create(&self.permit, new).await.unwrap()
    }

    /// Walks until nothing is left to do now.
    async fn walk(&self) {
        for _ in 0..6 {
            let hub = &self.stage.hub;
            hub.ota_walk(hub.now()).await.unwrap();
        }
    }

    async fn says(&self, session: &Session, version: &str) {
        let hub = &self.stage.hub;
        hub.firmware_report(session, WHOLE, version).await.unwrap();
    }

    async fn is_at(&self, session: &Session, step: i64) {
        let hub = &self.stage.hub;
        hub.firmware_progress(session, None, step, "")
            .await
            .unwrap();
    }

    /// What the device is handed, taken as a connection takes it.
    async fn handed(&self, session: &Session) -> usize {
        let hub = &self.stage.hub;
        let mut many = 0;
        for command in hub.commands_waiting(session).await.unwrap() {
            assert!(matches!(command.order, Order::Upgrade(_)));
            assert!(hub.command_sent(session, command.id).await.unwrap());
            many += 1;
        }
        many
    }

    async fn view(&self, campaign: &Campaign) -> CampaignView {
        let found = self.stage.hub.campaign_find(&self.permit, &campaign.id);
        found.await.unwrap()
    }

    async fn counts(&self, campaign: &Campaign) -> Vec<(TaskState, u64)> {
        self.view(campaign).await.counts.into_iter().collect()
    }
}

use TaskState::{
    Away, Canceled, Confirm, Failed, InProgress, Notified, Queued, Succeeded, Waiting,
};

/// [AL-4.1] [AL-4.2] Told when it is there, told again when it reports as it was, and successful by
/// the reported version alone.
#[tokio::test]
async fn a_device_succeeds_when_it_reports_the_version() {
    let fleet = Fleet::of(2).await;
    let here = fleet.online(0).await;
    fleet.says(&here, "1.0").await;
    let package = fleet.package("2.0").await;
    let campaign = fleet
        .begin(fleet.campaign(&package, CampaignKind::Static))
        .await;
    fleet.walk().await;
    assert_eq!(fleet.counts(&campaign).await, [(Away, 1), (Notified, 1)]);
    assert_eq!(fleet.handed(&here).await, 1);

    // A report that was under way changes nothing; one of another connection, before it began,
    // has it told again.
    fleet.says(&here, "1.0").await;
    assert_eq!(fleet.handed(&here).await, 0);
    let here = fleet.online(0).await;
    fleet.says(&here, "1.0").await;
    assert_eq!(fleet.handed(&here).await, 1);
    fleet.is_at(&here, 50).await;
    fleet.is_at(&here, 100).await;
    assert_eq!(fleet.counts(&campaign).await, [(Away, 1), (InProgress, 1)]);
    fleet.says(&here, "2.0").await;
    assert_eq!(fleet.counts(&campaign).await, [(Away, 1), (Succeeded, 1)]);
    fleet.says(&here, "2.0").await;
    assert_eq!(fleet.handed(&here).await, 0);

    // The other one comes late.
    let late = fleet.online(1).await;
    fleet.walk().await;
    assert_eq!(fleet.handed(&late).await, 0, "it has said nothing yet");
    fleet.says(&late, "1.0").await;
    fleet.walk().await;
    assert_eq!(fleet.handed(&late).await, 1);
    fleet.says(&late, "2.0").await;
    fleet.walk().await;
    let view = fleet.view(&campaign).await;
    assert_eq!(view.campaign.state, CampaignState::Completed);
    assert_eq!(view.counts[&Succeeded], 2);

    let facts = fleet.stage.facts(&here.iot_id).await;
    let states: Vec<_> = facts
        .iter()
        .filter_map(|what| match what {
            What::UpgradeMoved { state, .. } => Some(state.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(states, ["notified", "in-progress", "succeeded"]);
}

/// Issue 4: a device that comes back in the middle is told again; when it goes on by itself, that
/// does not reach it later, when it has the version.
#[tokio::test]
async fn a_device_that_goes_on_is_not_told_when_it_is_done() {
    let fleet = Fleet::of(1).await;
    let first = fleet.online(0).await;
    fleet.says(&first, "1.0").await;
    let package = fleet.package("2.0").await;
    fleet
        .begin(fleet.campaign(&package, CampaignKind::Static))
        .await;
    fleet.walk().await;
    assert_eq!(fleet.handed(&first).await, 1);
    // It lost its connection, and fetches on.
    let second = fleet.online(0).await;
    fleet.says(&second, "1.0").await;
    let hub = &fleet.stage.hub;
    let waits = hub.commands_waiting(&second).await.unwrap();
    assert_eq!(waits.len(), 1, "it is told again");
    fleet.is_at(&second, 100).await;
    // It starts again, with the version, before it was handed that.
    let third = fleet.online(0).await;
    assert_eq!(fleet.handed(&third).await, 0);
}

/// Issue 4: what waits for a connection that is gone, as after a server was killed, is not handed
/// to a device before it said which version it has: it may have been told all the same.
#[tokio::test]
async fn a_device_that_comes_back_speaks_before_it_is_told() {
    let fleet = Fleet::of(2).await;
    let package = fleet.package("2.0").await;
    let mut sessions = [fleet.online(0).await, fleet.online(1).await];
    fleet
        .begin(fleet.campaign(&package, CampaignKind::Static))
        .await;
    fleet.walk().await;
    let hub = &fleet.stage.hub;
    for (at, session) in sessions.iter_mut().enumerate() {
        assert_eq!(hub.commands_waiting(session).await.unwrap().len(), 1);
        fleet.stage.clock.move_by(1_000);
        *session = fleet.online(at).await;
        assert_eq!(hub.commands_waiting(session).await.unwrap().len(), 0);
    }
    fleet.says(&sessions[0], "2.0").await;
    assert_eq!(fleet.handed(&sessions[0]).await, 0, "it has it");
    fleet.says(&sessions[1], "1.0").await;
    assert_eq!(fleet.handed(&sessions[1]).await, 1);
    fleet.says(&sessions[1], "1.0").await;
    assert_eq!(fleet.handed(&sessions[1]).await, 0, "once");

    // What it said on a connection that it has left is heard late: it is told by what it says now.
    fleet.stage.clock.move_by(1_000);
    let late = fleet.online(1).await;
    fleet.stage.clock.move_by(1_000);
    let now = fleet.online(1).await;
    fleet.says(&late, "1.0").await;
    assert_eq!(fleet.handed(&now).await, 0);
    fleet.says(&now, "2.0").await;
    assert_eq!(fleet.handed(&now).await, 0);
}

/// [AL-4.2] 100 percent and another version than the one wanted is a failure; so is -1 to -4.
#[tokio::test]
async fn anything_else_is_a_failure() {
    let fleet = Fleet::of(3).await;
    let package = fleet.package("2.0").await;
    let mut sessions = Vec::new();
    for at in 0..3 {
        let session = fleet.online(at).await;
        fleet.says(&session, "1.0").await;
        sessions.push(session);
    }
    let campaign = fleet
        .begin(fleet.campaign(&package, CampaignKind::Static))
        .await;
    fleet.walk().await;
    fleet.is_at(&sessions[0], 100).await;
    fleet.says(&sessions[0], "1.0").await;
    fleet.says(&sessions[1], "1.5").await;
    fleet.is_at(&sessions[2], -3).await;
    fleet.walk().await;
    let view = fleet.view(&campaign).await;
    assert_eq!(view.counts, BTreeMap::from([(Failed, 3)]));
    assert_eq!(view.campaign.state, CampaignState::Completed);
    let hub = &fleet.stage.hub;
    let (tasks, total) = hub
        .task_page(&fleet.permit, &campaign.id, &[Failed], 1, 2)
        .await
        .unwrap();
    assert_eq!((tasks.len(), total), (2, 3));
    let steps: i64 = hub
        .task_page(&fleet.permit, &campaign.id, &[], 0, 10)
        .await
        .unwrap()
        .0
        .iter()
        .map(|task| task.step)
        .sum();
    assert_eq!(steps, -1 - 1 - 3);
}

/// A device is tried again after a pause that doubles, a bounded number of times; one that is
/// silent for too long has failed.
#[tokio::test]
async fn failures_are_tried_again_with_growing_pauses() {
    let fleet = Fleet::of(1).await;
    let session = fleet.online(0).await;
    let package = fleet.package("2.0").await;
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.retry = Some(Retry {
        times: 2,
        minutes: 10,
    });
    new.timeout = Some(5);
    let campaign = fleet.begin(new).await;
    let clock = &fleet.stage.clock;
    fleet.walk().await;
    assert_eq!(fleet.handed(&session).await, 1);
    fleet.is_at(&session, -2).await;
    for (pause, failing) in [(10, "said"), (20, "silent")] {
        assert_eq!(fleet.counts(&campaign).await, [(Waiting, 1)], "{failing}");
        clock.move_by(pause * 60_000 - 1);
        fleet.walk().await;
        assert_eq!(fleet.counts(&campaign).await, [(Waiting, 1)]);
        clock.move_by(1);
        fleet.walk().await;
        assert_eq!(fleet.counts(&campaign).await, [(Notified, 1)]);
        assert_eq!(fleet.handed(&session).await, 1);
        clock.move_by(5 * 60_000);
        fleet.walk().await;
    }
    let view = fleet.view(&campaign).await;
    assert_eq!(view.counts, BTreeMap::from([(Failed, 1)]));
    assert_eq!(view.campaign.state, CampaignState::Completed);

    // By hand it is tried once more.
    let hub = &fleet.stage.hub;
    let task = format!("{}-{}", campaign.id, session.iot_id);
    hub.task_again(&fleet.permit, &campaign.id, &[&task])
        .await
        .unwrap();
    fleet.walk().await;
    assert_eq!(fleet.handed(&session).await, 1);
    fleet.says(&session, "2.0").await;
    fleet.walk().await;
    assert_eq!(fleet.counts(&campaign).await, [(Succeeded, 1)]);
}

/// Issue 4: a server that was away for longer than a device may take does not hold it against the
/// device, which could not say anything meanwhile.
#[tokio::test]
async fn a_server_that_was_away_waits_for_devices_to_come_back() {
    let fleet = Fleet::of(2).await;
    let sessions = [fleet.online(0).await, fleet.online(1).await];
    let package = fleet.package("2.0").await;
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.timeout = Some(5);
    let campaign = fleet.begin(new).await;
    fleet.walk().await;
    fleet.stage.clock.move_by(60 * 60_000);
    let hub = fleet.stage.again(crate::stage::master(1)).await.unwrap();
    hub.ota_walk(hub.now()).await.unwrap();
    assert_eq!(fleet.counts(&campaign).await, [(Notified, 2)]);
    hub.firmware_report(&sessions[0], WHOLE, "2.0")
        .await
        .unwrap();
    fleet.stage.clock.move_by(2 * 60_000);
    hub.ota_walk(hub.now()).await.unwrap();
    assert_eq!(
        fleet.counts(&campaign).await,
        [(Succeeded, 1), (Failed, 1)],
        "who is still silent has failed"
    );
}

/// A minute has no more than its number, whenever it begins.
#[tokio::test]
async fn a_campaign_keeps_its_pace() {
    let fleet = Fleet::of(40).await;
    for at in 0..40 {
        fleet.online(at).await;
    }
    let package = fleet.package("2.0").await;
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.rate = Some(12);
    let campaign = fleet.begin(new).await;
    let mut before = 0;
    for minute in 1..=3 {
        for _ in 0..60 {
            fleet
                .stage
                .hub
                .ota_walk(fleet.stage.hub.now())
                .await
                .unwrap();
            fleet.stage.clock.move_by(1_000);
        }
        let told = fleet.view(&campaign).await.counts[&Notified];
        assert!((11..=12).contains(&(told - before)), "{minute}: {told}");
        before = told;
    }
}

/// A campaign stops when too much failed, and tells nobody any more.
#[tokio::test]
async fn a_campaign_stops_when_too_much_fails() {
    let fleet = Fleet::of(20).await;
    let package = fleet.package("2.0").await;
    let mut sessions = Vec::new();
    for at in 0..10 {
        sessions.push(fleet.online(at).await);
    }
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.stop_at = Some(StopAt {
        percent: 30,
        least: 5,
    });
    let campaign = fleet.begin(new).await;
    fleet.walk().await;
    for session in &sessions[..4] {
        fleet.is_at(session, -1).await;
    }
    fleet.walk().await;
    let state = fleet.view(&campaign).await.campaign.state;
    assert_eq!(state, CampaignState::Running, "four are too few to tell");
    fleet.says(&sessions[4], "2.0").await;
    fleet.walk().await;
    let view = fleet.view(&campaign).await;
    assert!(matches!(view.campaign.state, CampaignState::Stopped(_)));
    assert_eq!(view.counts[&Canceled], 10);
    assert_eq!(view.counts[&Notified], 5, "those go on by themselves");
    let late = fleet.online(15).await;
    fleet.says(&late, "1.0").await;
    fleet.walk().await;
    assert_eq!(fleet.handed(&late).await, 0);
    fleet.says(&sessions[5], "2.0").await;
    assert_eq!(fleet.view(&campaign).await.counts[&Succeeded], 2);
}

/// [AL-4.2] A gray campaign is for its share of the devices, and for none more when the server starts
/// anew in the middle of choosing: those that were chosen count, though they have the version now.
#[tokio::test]
async fn a_gray_campaign_chooses_no_more_after_a_restart() {
    let fleet = Fleet::of(60).await;
    let mut sessions = Vec::new();
    for at in 0..60 {
        let session = fleet.online(at).await;
        fleet.says(&session, "1.0").await;
        sessions.push(session);
    }
    let package = fleet.package("2.0").await;
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.select = Select::Gray(1_500);
    let campaign = fleet.begin(new).await;
    let hub = &fleet.stage.hub;
    let chosen = async || -> Vec<IotId> {
        let tasks = hub.task_page(&fleet.permit, &campaign.id, &[], 0, 100);
        let tasks = tasks.await.unwrap().0;
        tasks.into_iter().map(|task| task.iot_id).collect()
    };
    hub.ota_walk(hub.now()).await.unwrap();
    let first = chosen().await;
    assert_eq!(first.len(), 3, "of the first twenty");
    for session in &sessions {
        if first.contains(&session.iot_id) {
            fleet.says(session, "2.0").await;
        }
    }
    for _ in 0..4 {
        let anew = fleet.stage.again(crate::stage::master(1)).await.unwrap();
        anew.ota_walk(hub.now()).await.unwrap();
    }
    assert_eq!(
        chosen().await.len(),
        3,
        "each looked at the first twenty alone"
    );
    let anew = fleet.stage.again(crate::stage::master(1)).await.unwrap();
    for _ in 0..6 {
        anew.ota_walk(hub.now()).await.unwrap();
    }
    let all = chosen().await;
    assert_eq!(all.len(), 9, "fifteen of a hundred");
    assert!(first.iter().all(|id| all.contains(id)));
}

/// By list, tag, share and version; who has the version already is left out.
#[tokio::test]
async fn a_campaign_is_for_whom_it_says() {
    let fleet = Fleet::of(30).await;
    for at in 0..30 {
        let session = fleet.online(at).await;
        let version = ["1.0", "1.9", "1.10", "2.0"][at % 4];
        fleet.says(&session, version).await;
        let room = format!("{}", at % 3);
        let tags = [("room", Some(room.as_str())), ("house", Some("one"))];
        let hub = &fleet.stage.hub;
        hub.tags_post(&session, &tags).await.unwrap();
    }
    let package = fleet.package("2.0").await;
    let count = async |change: &dyn Fn(&mut NewCampaign)| {
        let mut new = fleet.campaign(&package, CampaignKind::Static);
        new.push = false;
        change(&mut new);
        let campaign = fleet.begin(new).await;
        fleet.walk().await;
        let many: u64 = fleet.view(&campaign).await.counts.values().sum();
        let hub = &fleet.stage.hub;
        hub.campaign_cancel(&fleet.permit, &campaign.id, true)
            .await
            .unwrap();
        many
    };
    assert_eq!(count(&|_| {}).await, 23);
    assert_eq!(count(&|new| new.select = Select::Gray(1_000)).await, 3);
    assert_eq!(count(&|new| new.select = Select::Gray(1)).await, 1);
    let room = || {
        let tag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        BTreeMap::from([tag("house", "one"), tag("room", "1")])
    };
    let hub = &fleet.stage.hub;
    let group = hub.group_create(&fleet.permit, "cellar", "", None);
    let group = group.await.unwrap().id;
    let keys: Vec<_> = fleet.devices[..5]
        .iter()
        .map(|(device, _)| device.key.clone())
        .collect();
    hub.group_add(&fleet.permit, &group, &keys).await.unwrap();
    let here = || Select::Group(group.clone());
    assert_eq!(count(&|new| new.select = here()).await, 4);
    let mut nowhere = fleet.campaign(&package, CampaignKind::Static);
    nowhere.select = Select::Group("none".into());
    let refused = hub.campaign_create(&fleet.permit, nowhere).await;
    assert!(matches!(refused, Err(OtaError::NotFound("group"))));
    assert_eq!(count(&|new| new.select = Select::Tags(room())).await, 8);
    let one = |name: &str| DeviceName::parse(name).unwrap();
    let names = || [one("dev000"), one("dev003")].into();
    assert_eq!(count(&|new| new.select = Select::Names(names())).await, 2);
    assert_eq!(
        count(&|new| {
            new.versions.one_of.insert("1.9".into());
        })
        .await,
        8
    );
    assert_eq!(
        count(&|new| new.versions.least = Some("1.9".into())).await,
        15
    );
    assert_eq!(
        count(&|new| new.versions.below = Some("1.10".into())).await,
        16
    );
}

/// [AL-4.2] First on chosen devices, then on all.
#[tokio::test]
async fn a_package_is_verified_before_it_goes_to_all() {
    let fleet = Fleet::of(3).await;
    let session = fleet.online(0).await;
    let blob = fleet.upload(b"firmware").await;
    let mut new = fleet.new_package("2.0", blob);
    new.verify = true;
    let hub = &fleet.stage.hub;
    let package = hub.firmware_create(&fleet.permit, new).await.unwrap();
    let all = fleet.campaign(&package, CampaignKind::Static);
    let refused = hub.campaign_create(&fleet.permit, all.clone()).await;
    assert!(matches!(refused, Err(OtaError::NotVerified)));

    let mut verify = fleet.campaign(&package, CampaignKind::Verify);
    let whole = hub.campaign_create(&fleet.permit, verify.clone()).await;
    assert!(
        matches!(whole, Err(OtaError::BadRequest(_))),
        "names its devices"
    );
    verify.select = Select::Names([DeviceName::parse("dev000").unwrap()].into());
    verify.confirm = true;
    let campaign = fleet.begin(verify).await;
    fleet.walk().await;
    assert_eq!(fleet.counts(&campaign).await, [(Confirm, 1)]);
    let task = format!("{}-{}", campaign.id, session.iot_id);
    hub.task_confirm(&fleet.permit, &[&task]).await.unwrap();
    let again = hub.task_confirm(&fleet.permit, &[&task]).await;
    assert!(matches!(again, Err(OtaError::BadRequest(_))));
    fleet.walk().await;
    let found = hub.firmware_find(&fleet.permit, &package.id).await.unwrap();
    assert_eq!(found.verified, Verified::Running);
    fleet.says(&session, "2.0").await;
    fleet.walk().await;
    let found = hub.firmware_find(&fleet.permit, &package.id).await.unwrap();
    assert_eq!(found.verified, Verified::Yes);
    let campaign = fleet.begin(all).await;
    fleet.walk().await;
    assert_eq!(fleet.counts(&campaign).await, [(Away, 2)]);
}

/// Its time comes, and its time is over.
#[tokio::test]
async fn a_campaign_begins_and_ends_at_its_time() {
    let fleet = Fleet::of(2).await;
    let session = fleet.online(0).await;
    let package = fleet.package("2.0").await;
    let hub = &fleet.stage.hub;
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.start = Some(hub.now().plus(60_000));
    new.end = Some(hub.now().plus(60_000));
    let refused = hub.campaign_create(&fleet.permit, new.clone()).await;
    assert!(matches!(refused, Err(OtaError::BadRequest(_))));
    new.end = Some(hub.now().plus(120_000));
    let campaign = fleet.begin(new).await;
    fleet.walk().await;
    assert_eq!(fleet.counts(&campaign).await, []);
    fleet.stage.clock.move_by(60_000);
    fleet.walk().await;
    assert_eq!(fleet.counts(&campaign).await, [(Away, 1), (Notified, 1)]);
    fleet.stage.clock.move_by(60_000);
    fleet.walk().await;
    let view = fleet.view(&campaign).await;
    assert_eq!(view.campaign.state, CampaignState::Completed);
    assert_eq!(view.counts, BTreeMap::from([(Canceled, 2)]));
    assert_eq!(fleet.handed(&session).await, 0, "it was taken back");
}

/// Devices that come later are taken by a dynamic campaign, once.
#[tokio::test]
async fn devices_that_join_later_are_upgraded() {
    let mut fleet = Fleet::of(1).await;
    let package = fleet.package("2.0").await;
    let mut new = fleet.campaign(&package, CampaignKind::Dynamic);
    new.only_later = true;
    let campaign = fleet.begin(new.clone()).await;
    let hub = fleet.stage.hub.clone();
    let second = hub.campaign_create(&fleet.permit, new).await;
    assert!(matches!(second, Err(OtaError::Taken(_))));
    fleet.walk().await;
    assert_eq!(fleet.counts(&campaign).await, []);
    let newcomer = fleet.stage.device(&fleet.product, "newcomer").await;
    fleet.devices.push(newcomer);
    let session = fleet.online(1).await;
    fleet.says(&session, "1.0").await;
    fleet.walk().await;
    assert_eq!(fleet.handed(&session).await, 1);
    fleet.says(&session, "2.0").await;
    fleet.says(&session, "2.0").await;
    fleet.walk().await;
    let view = fleet.view(&campaign).await;
    assert_eq!(view.counts, BTreeMap::from([(Succeeded, 1)]));
    assert_eq!(view.campaign.state, CampaignState::Running);

    hub.campaign_no_more(&fleet.permit, &campaign.id)
        .await
        .unwrap();
    fleet.walk().await;
    let state = fleet.view(&campaign).await.campaign.state;
    assert_eq!(state, CampaignState::Completed);
}

/// [AL-4.2] Devices that are given the tags or join the group of a dynamic campaign later are
/// upgraded without a word from them.
#[tokio::test]
async fn devices_that_join_a_group_or_are_tagged_later_are_upgraded() {
    let fleet = Fleet::of(3).await;
    let hub = &fleet.stage.hub;
    let group = hub.group_create(&fleet.permit, "cellar", "", None);
    let group = group.await.unwrap().id;
    let mut sessions = Vec::new();
    for at in 0..3 {
        sessions.push(fleet.online(at).await);
        fleet.says(&sessions[at], "1.0").await;
    }
    let by_group = fleet.package("2.0").await;
    let mut new = fleet.campaign(&by_group, CampaignKind::Dynamic);
    new.select = Select::Group(group.clone());
    let by_group = fleet.begin(new).await;
    let by_tag = fleet.package("3.0").await;
    let mut new = fleet.campaign(&by_tag, CampaignKind::Dynamic);
    new.select = Select::Tags([("room".to_owned(), "1".to_owned())].into());
    let by_tag = fleet.begin(new).await;
    fleet.walk().await;
    assert_eq!(fleet.counts(&by_group).await, []);
    assert_eq!(fleet.counts(&by_tag).await, []);
    let first = [fleet.devices[0].0.key.clone()];
    hub.group_add(&fleet.permit, &group, &first).await.unwrap();
    let tags = [("room", Some("1"))];
    hub.tags_post(&sessions[1], &tags).await.unwrap();
    fleet.walk().await;
    assert_eq!(fleet.counts(&by_group).await, [(Notified, 1)]);
    assert_eq!(fleet.counts(&by_tag).await, [(Notified, 1)]);
    assert_eq!(fleet.handed(&sessions[0]).await, 1);
    assert_eq!(fleet.handed(&sessions[1]).await, 1);
    assert_eq!(fleet.handed(&sessions[2]).await, 0);
}

/// One open task for each device and module; a campaign may take over what has not begun.
#[tokio::test]
async fn two_campaigns_do_not_tell_one_device() {
    let fleet = Fleet::of(2).await;
    let busy = fleet.online(0).await;
    let idle = fleet.online(1).await;
    let old = fleet.package("2.0").await;
    let new = fleet.package("3.0").await;
    let first = fleet
        .begin(fleet.campaign(&old, CampaignKind::Static))
        .await;
    fleet.walk().await;
    fleet.is_at(&busy, 10).await;
    let second = fleet
        .begin(fleet.campaign(&new, CampaignKind::Static))
        .await;
    fleet.walk().await;
    assert_eq!(fleet.counts(&second).await, []);
    let mut over = fleet.campaign(&new, CampaignKind::Static);
    over.overrides = true;
    let third = fleet.begin(over).await;
    fleet.walk().await;
    assert_eq!(fleet.counts(&first).await, [(InProgress, 1), (Canceled, 1)]);
    assert_eq!(fleet.counts(&third).await, [(Notified, 1)]);
    assert_eq!(fleet.handed(&idle).await, 1, "the first was taken back");
}

/// [AL-4.1] A device gets one module at a time, unless it is said of both campaigns that it takes
/// several; one that may take over does so here, too.
#[tokio::test]
async fn a_device_gets_one_module_at_a_time_or_several_at_once() {
    let fleet = Fleet::of(1).await;
    let session = fleet.online(0).await;
    fleet.says(&session, "1.0").await;
    let (hub, product) = (&fleet.stage.hub, &fleet.product.key);
    hub.module_put(&fleet.permit, product, "modem", (None, None), false)
        .await
        .unwrap();
    hub.firmware_report(&session, "modem", "7").await.unwrap();
    let whole = fleet.package("2.0").await;
    let blob = fleet.upload(b"firmware").await;
    let mut modem = fleet.new_package("8", blob);
    modem.module = Some("modem".into());
    let modem = hub.firmware_create(&fleet.permit, modem).await.unwrap();
    let begin = async |package: &Package, several: bool, overrides: bool| {
        let mut new = fleet.campaign(package, CampaignKind::Static);
        (new.multi_module, new.overrides, new.push) = (several, overrides, false);
        let campaign = fleet.begin(new).await;
        fleet.walk().await;
        campaign
    };
    let first = begin(&whole, true, false).await;
    assert_eq!(fleet.counts(&first).await, [(Away, 1)]);
    let alone = begin(&modem, false, false).await;
    assert_eq!(fleet.counts(&alone).await, [], "it is at another module");
    let beside = begin(&modem, true, false).await;
    assert_eq!(fleet.counts(&beside).await, [(Away, 1)]);
    assert_eq!(fleet.counts(&first).await, [(Away, 1)]);
    let over = begin(&modem, false, true).await;
    assert_eq!(fleet.counts(&over).await, [(Away, 1)]);
    assert_eq!(fleet.counts(&beside).await, [(Canceled, 1)]);
    assert_eq!(fleet.counts(&first).await, [(Canceled, 1)]);
    let late = begin(&whole, true, false).await;
    assert_eq!(
        fleet.counts(&late).await,
        [],
        "the other one wants it alone"
    );
}

/// [AL-4.1] A device that asks gets what it is to fetch; the answer counts as having been told.
#[tokio::test]
async fn a_device_asks_and_fetches_over_mqtt() {
    let fleet = Fleet::of(2).await;
    let session = fleet.online(0).await;
    let hub = &fleet.stage.hub;
    let wanted = hub.firmware_wanted(&session, None).await.unwrap();
    assert_eq!(wanted, None);
    let package = fleet.package("2.0").await;
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.push = false;
    new.over_mqtt = true;
    let campaign = fleet.begin(new).await;
    fleet.walk().await;
    fleet.says(&session, "1.0").await;
    fleet.walk().await;
    assert_eq!(fleet.handed(&session).await, 0, "nobody is told");
    let piece = async |session: &Session, stream, at, size| {
        hub.firmware_piece(session, stream, Some(1), None, (at, size))
            .await
    };
    let early = piece(&session, Some(package.number), 0, 8).await;
    assert!(matches!(early, Err(PieceError::NoSuchFile)));
    let wanted = hub.firmware_wanted(&session, None).await.unwrap().unwrap();
    assert_eq!((wanted.stream, wanted.over_mqtt), (package.number, true));
    assert_eq!(fleet.counts(&campaign).await, [(Away, 1), (Notified, 1)]);
    let found = piece(&session, Some(package.number), 4, 100).await.unwrap();
    assert_eq!((&found.bytes[..], found.file.size), (&b"ware"[..], 8));
    for (stream, at, size) in [
        (package.number, 8, 1),
        (package.number, 0, 0),
        (package.number, 0, 1 << 20),
    ] {
        let bad = piece(&session, Some(stream), at, size).await;
        assert!(matches!(bad, Err(PieceError::BadPiece)), "{at} {size}");
    }
    let other = piece(&session, Some(package.number + 1), 0, 8).await;
    assert!(matches!(other, Err(PieceError::NoSuchFile)));
    let stranger = fleet.online(1).await;
    let not_its = piece(&stranger, Some(package.number), 0, 8).await;
    assert!(matches!(not_its, Err(PieceError::NoSuchFile)));
}

/// [AL-4.1] A device whose turn comes again, with the upgrade in its hands, goes on fetching.
#[tokio::test]
async fn a_device_that_waits_for_its_turn_again_fetches_on() {
    let fleet = Fleet::of(1).await;
    let session = fleet.online(0).await;
    let hub = &fleet.stage.hub;
    let package = fleet.package("2.0").await;
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.over_mqtt = true;
    new.retry = Some(Retry {
        minutes: 0,
        times: 1,
    });
    let campaign = fleet.begin(new).await;
    fleet.walk().await;
    let piece = async || {
        let stream = Some(package.number);
        let piece = hub.firmware_piece(&session, stream, Some(1), None, (0, 8));
        piece.await.map(|piece| piece.bytes)
    };
    assert_eq!(piece().await.unwrap(), "firmware");
    fleet.is_at(&session, -1).await;
    assert_eq!(fleet.counts(&campaign).await, [(Queued, 1)]);
    assert!(matches!(piece().await, Err(PieceError::NoSuchFile)));
    hub.firmware_hands(&session);
    assert_eq!(piece().await.unwrap(), "firmware");
}

/// What another hub finds in the catalog is enough to go on, and nobody is told twice.
#[tokio::test]
async fn another_process_goes_on_where_the_first_one_ended() {
    let fleet = Fleet::of(60).await;
    let mut sessions = Vec::new();
    for at in 0..60 {
        sessions.push(fleet.online(at).await);
    }
    let package = fleet.package("2.0").await;
    let mut new = fleet.campaign(&package, CampaignKind::Static);
    new.rate = Some(60 * 20);
    let campaign = fleet.begin(new).await;
    let mut handed = vec![0; 60];
    for round in 0..8 {
        let hub = fleet.stage.again(crate::stage::master(1)).await.unwrap();
        for _ in 0..4 {
            hub.ota_walk(hub.now()).await.unwrap();
            fleet.stage.clock.move_by(1_000);
        }
        for (at, session) in sessions.iter().enumerate() {
            let many = fleet.handed(session).await;
            handed[at] += many;
            if many > 0 && round % 2 == 0 {
                fleet.says(session, "2.0").await;
            }
        }
    }
    assert_eq!(handed, vec![1; 60]);
    let counts = fleet.view(&campaign).await.counts;
    assert_eq!(counts.values().sum::<u64>(), 60);
}

/// What belongs to a device goes with it.
#[tokio::test]
async fn a_deleted_device_leaves_nothing() {
    let fleet = Fleet::of(2).await;
    let session = fleet.online(0).await;
    fleet.says(&session, "1.0").await;
    let hub = &fleet.stage.hub;
    hub.firmware_report(&session, "modem", "7").await.unwrap();
    let key = &fleet.devices[0].0.key;
    let versions = hub.module_versions(&fleet.permit, key).await.unwrap();
    assert_eq!(versions.len(), 2);
    let package = fleet.package("2.0").await;
    let campaign = fleet
        .begin(fleet.campaign(&package, CampaignKind::Static))
        .await;
    fleet.walk().await;
    hub.device_delete(&fleet.permit, key).await.unwrap();
    assert_eq!(fleet.counts(&campaign).await, [(Away, 1)]);
    for kind in ["firmware-version", "upgrade-of", "upgrade-open", "upgrade"] {
        let left = fleet
            .stage
            .ports
            .catalog
            .list(kind, "", None, 100)
            .await
            .unwrap();
        let id = session.iot_id.as_str();
        assert!(left.iter().all(|entry| !entry.key.contains(id)), "{kind}");
    }
}

/// [AL-4.1] A product that is deleted takes its packages, modules and campaigns along.
#[tokio::test]
async fn a_deleted_product_leaves_no_packages() {
    let fleet = Fleet::of(1).await;
    let hub = &fleet.stage.hub;
    let session = fleet.online(0).await;
    fleet.says(&session, "1.0").await;
    let product = &fleet.product.key;
    hub.module_put(&fleet.permit, product, "modem", (None, None), false)
        .await
        .unwrap();
    let package = fleet.package("2.0").await;
    let new = fleet.campaign(&package, CampaignKind::Dynamic);
    fleet.begin(new).await;
    let blob = fleet.upload(b"for all").await;
    let mut everybody = fleet.new_package("3.0", blob);
    everybody.product = None;
    let everybody = hub.firmware_create(&fleet.permit, everybody).await.unwrap();
    let mut stays = fleet.campaign(&everybody, CampaignKind::Static);
    stays.start = Some(hub.now().plus(60_000));
    let stays = fleet.begin(stays).await;
    fleet.walk().await;
    let key = &fleet.devices[0].0.key;
    hub.device_delete(&fleet.permit, key).await.unwrap();
    hub.product_delete(&fleet.permit, product).await.unwrap();
    fleet.walk().await;
    let count = async |kind| fleet.stage.ports.catalog.count(kind, "").await.unwrap();
    assert_eq!(count("firmware").await, 1);
    assert_eq!(count("campaign").await, 1);
    for kind in [
        "campaign-live",
        "campaign-dynamic",
        "upgrade",
        "firmware-module",
    ] {
        assert_eq!(count(kind).await, 0, "{kind}");
    }
    let file = &package.files[0].blob;
    assert_eq!(fleet.stage.ports.blobs.size(file).await.unwrap(), None);
    let state = fleet.view(&stays).await.campaign.state;
    assert_eq!(state, CampaignState::Canceled);
}

/// Files that no package takes go after a day; those of a package stay until it goes.
#[tokio::test]
async fn files_go_when_nobody_needs_them() {
    let fleet = Fleet::of(0).await;
    let hub = &fleet.stage.hub;
    let left = fleet.upload(b"left").await;
    let package = fleet.package("2.0").await;
    let kept = package.files[0].blob.clone();
    let there = async |blob: &str| fleet.stage.ports.blobs.size(blob).await.unwrap().is_some();
    hub.sweep(hub.now()).await.unwrap();
    assert!(there(&left).await);
    fleet.stage.clock.move_by(24 * 60 * 60 * 1000);
    hub.sweep(hub.now()).await.unwrap();
    assert!(!there(&left).await && there(&kept).await);
    let late = hub
        .firmware_create(&fleet.permit, fleet.new_package("3.0", left))
        .await;
    assert!(matches!(late, Err(OtaError::NotFound(_))));
    hub.firmware_delete(&fleet.permit, &package.id)
        .await
        .unwrap();
    assert!(!there(&kept).await);
}

/// Mistakes of callers have names, and other accounts see nothing.
#[tokio::test]
async fn packages_keep_their_rules() {
    let fleet = Fleet::of(0).await;
    let hub = &fleet.stage.hub;
    let package = fleet.package("2.0").await;
    assert_eq!(package.files[0].sha256.len(), 64);
    let create = async |change: &dyn Fn(&mut NewPackage)| {
        let blob = fleet.upload(b"firmware").await;
        let mut new = fleet.new_package("3.0", blob);
        change(&mut new);
        hub.firmware_create(&fleet.permit, new).await
    };
    let named = create(&|new| new.name = "fw 2.0".into()).await;
    assert!(matches!(named, Err(OtaError::Taken(_))));
    for change in [
        (&|new: &mut NewPackage| new.name.clear()) as &dyn Fn(&mut NewPackage),
        &|new| new.name = "a/b".into(),
        &|new| new.version.clear(),
        &|new| new.version = "x".repeat(65),
        &|new| new.differential = true,
        &|new| new.from = "3.0".into(),
        &|new| new.files.clear(),
        &|new| new.files = vec![new.files[0].clone(); 2],
        &|new| new.files[0].sign = Some("00".into()),
        &|new| new.files[0].size = Some(7),
        &|new| new.udi = "x".repeat(3_000),
    ] {
        let refused = create(change).await;
        assert!(
            matches!(refused, Err(OtaError::BadRequest(_))),
            "{refused:?}"
        );
    }
    let other = fleet.stage.other_permit().await;
    let found = hub.firmware_find(&other, &package.id).await;
    assert!(matches!(found, Err(OtaError::NotFound(_))));
    assert!(
        hub.firmware_list(&other, None, None)
            .await
            .unwrap()
            .is_empty()
    );
    let theirs = hub.upload_begin(&other, "x.bin").await.unwrap();
    drop(theirs);
    let campaign = fleet
        .begin(fleet.campaign(&package, CampaignKind::Static))
        .await;
    let used = hub.firmware_delete(&fleet.permit, &package.id).await;
    assert!(matches!(used, Err(OtaError::InUse(_))));
    assert!(hub.campaign_find(&other, &campaign.id).await.is_err());
    assert!(
        hub.campaign_cancel(&other, &campaign.id, true)
            .await
            .is_err()
    );
}

/// A ticket is good for one file, for its time, and as it was given.
#[tokio::test]
async fn a_ticket_lets_one_file_in() {
    let fleet = Fleet::of(0).await;
    let hub = &fleet.stage.hub;
    let ticket = hub.upload_ticket(&fleet.permit, "bin").unwrap();
    let mut other = ticket.clone();
    other.key = other.key.replace("ota/", "ota/0");
    assert!(hub.upload_by_ticket(&other).await.is_err());
    let mut longer = ticket.clone();
    longer.until = longer.until.plus(1);
    assert!(hub.upload_by_ticket(&longer).await.is_err());
    let mut upload = hub.upload_by_ticket(&ticket).await.unwrap();
    upload.write(b"firmware"[..].into()).await.unwrap();
    hub.upload_finish(upload).await.unwrap();
    let again = hub.upload_by_ticket(&ticket).await;
    assert!(matches!(again, Err(OtaError::Taken(_))));
    let new = fleet.new_package("2.0", ticket.key.clone());
    let package = hub.firmware_create(&fleet.permit, new).await.unwrap();
    assert_eq!(package.files[0].size, 8);

    let late = hub.upload_ticket(&fleet.permit, "bin").unwrap();
    fleet.stage.clock.move_by(60 * 60 * 1000);
    assert!(matches!(
        hub.upload_by_ticket(&late).await,
        Err(OtaError::BadTicket(_))
    ));
    assert!(hub.upload_ticket(&fleet.permit, "../x").is_err());
}

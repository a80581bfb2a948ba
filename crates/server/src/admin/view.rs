//! What the admin API shows of things, in its own words.

use hub::{device::DeviceView as Seen, product::ProductView as Stocked};
use model::{
    account::{
        AccessKey, Account, AuditRecord, Effect, OneOrMany, Policy, PolicyDocument, Statement, User,
    },
    device::{Device, DeviceState},
    id::Time,
    product::{
        DataFormat, DynamicRegistration, MqttExtras, NodeKind, Product, ProductState, TopicClass,
        TopicRight,
    },
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use time::{
    OffsetDateTime,
    format_description::{BorrowedFormatItem, well_known::Rfc3339},
    macros::format_description,
};
use utoipa::ToSchema;

/// RFC 3339 in UTC, always with three digits behind the point, so that texts sort as times do.
const MILLIS: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A time as RFC 3339 in UTC with milliseconds; what lies outside of the calendar as milliseconds.
pub(crate) fn time(at: Time) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000)
        .ok()
        .and_then(|at| at.format(&MILLIS).ok())
        .unwrap_or_else(|| at.0.to_string())
}

/// A time as RFC 3339 or as milliseconds since 1970.
pub(crate) fn parse_time(text: &str) -> Option<Time> {
    if let Ok(millis) = text.parse() {
        return Some(Time(millis));
    }
    let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(at.unix_timestamp_nanos() / 1_000_000)
        .ok()
        .map(Time)
}

/// Where a device connects from the topology's point of view.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Node {
    Device,
    Gateway,
    SubDevice,
}

impl From<Node> for NodeKind {
    fn from(node: Node) -> Self {
        match node {
            Node::Device => Self::Device,
            Node::Gateway => Self::Gateway,
            Node::SubDevice => Self::SubDevice,
        }
    }
}

impl From<NodeKind> for Node {
    fn from(node: NodeKind) -> Self {
        match node {
            NodeKind::Device => Self::Device,
            NodeKind::Gateway => Self::Gateway,
            NodeKind::SubDevice => Self::SubDevice,
        }
    }
}

/// What payloads are.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    Alink,
    Passthrough,
}

impl From<Format> for DataFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Alink => Self::Alink,
            Format::Passthrough => Self::Passthrough,
        }
    }
}

impl From<DataFormat> for Format {
    fn from(format: DataFormat) -> Self {
        match format {
            DataFormat::Alink => Self::Alink,
            DataFormat::Passthrough => Self::Passthrough,
        }
    }
}

/// Whether devices without a secret of their own may get one: not at all, under names registered
/// beforehand, or under any name.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Registration {
    Off,
    Registered,
    Open,
}

impl From<Registration> for DynamicRegistration {
    fn from(registration: Registration) -> Self {
        match registration {
            Registration::Off => Self::Off,
            Registration::Registered => Self::Registered,
            Registration::Open => Self::Open,
        }
    }
}

impl From<DynamicRegistration> for Registration {
    fn from(registration: DynamicRegistration) -> Self {
        match registration {
            DynamicRegistration::Off => Self::Off,
            DynamicRegistration::Registered => Self::Registered,
            DynamicRegistration::Open => Self::Open,
        }
    }
}

/// What devices may do with a topic.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Right {
    Publish,
    Subscribe,
    Both,
}

impl From<Right> for TopicRight {
    fn from(right: Right) -> Self {
        match right {
            Right::Publish => Self::Publish,
            Right::Subscribe => Self::Subscribe,
            Right::Both => Self::Both,
        }
    }
}

impl From<TopicRight> for Right {
    fn from(right: TopicRight) -> Self {
        match right {
            TopicRight::Publish => Self::Publish,
            TopicRight::Subscribe => Self::Subscribe,
            TopicRight::Both => Self::Both,
        }
    }
}

/// A topic class.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TopicView {
    id: u64,
    suffix: String,
    right: Right,
    description: String,
}

impl From<&TopicClass> for TopicView {
    fn from(topic: &TopicClass) -> Self {
        Self {
            id: topic.id,
            suffix: topic.suffix.clone(),
            right: topic.right.into(),
            description: topic.description.clone(),
        }
    }
}

/// What devices may use of MQTT on custom topics.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MqttView {
    /// QoS 2.
    pub(crate) exactly_once: bool,
    /// Retained messages.
    pub(crate) retain: bool,
    /// A will.
    pub(crate) will: bool,
}

impl From<MqttExtras> for MqttView {
    fn from(extras: MqttExtras) -> Self {
        let MqttExtras {
            exactly_once,
            retain,
            will,
        } = extras;
        Self {
            exactly_once,
            retain,
            will,
        }
    }
}

impl From<MqttView> for MqttExtras {
    fn from(view: MqttView) -> Self {
        let MqttView {
            exactly_once,
            retain,
            will,
        } = view;
        Self {
            exactly_once,
            retain,
            will,
        }
    }
}

/// A product.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProductView {
    product_key: String,
    name: String,
    description: String,
    node: Node,
    format: Format,
    /// Whether it has a thing model.
    modelled: bool,
    /// Whether it is frozen.
    released: bool,
    registration: Registration,
    strict_channel: bool,
    /// What devices may use of MQTT on custom topics.
    mqtt: MqttView,
    created: String,
    /// Registered devices, where they were counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    devices: Option<u64>,
    topics: Vec<TopicView>,
    tags: BTreeMap<String, String>,
}

impl From<&Product> for ProductView {
    fn from(product: &Product) -> Self {
        Self {
            product_key: product.key.to_string(),
            name: product.name.clone(),
            description: product.description.clone(),
            node: product.node.into(),
            format: product.format.into(),
            modelled: product.modelled,
            released: product.state == ProductState::Released,
            registration: product.registration.into(),
            strict_channel: product.strict_channel,
            mqtt: product.mqtt.into(),
            created: time(product.created),
            devices: None,
            topics: product.topics.iter().map(Into::into).collect(),
            tags: product.tags.clone(),
        }
    }
}

impl From<&Stocked> for ProductView {
    fn from(stocked: &Stocked) -> Self {
        Self {
            devices: Some(stocked.devices),
            ..Self::from(&*stocked.product)
        }
    }
}

/// Where a device stands.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    Unactivated,
    Online,
    Offline,
    Disabled,
}

impl From<DeviceState> for State {
    fn from(state: DeviceState) -> Self {
        match state {
            DeviceState::Unactivated => Self::Unactivated,
            DeviceState::Online => Self::Online,
            DeviceState::Offline => Self::Offline,
            DeviceState::Disabled => Self::Disabled,
        }
    }
}

/// A device.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeviceView {
    product_key: String,
    device_name: String,
    iot_id: String,
    nickname: String,
    state: State,
    created: String,
    /// When it connected for the first time.
    activated: Option<String>,
    /// When it last came online.
    online: Option<String>,
    /// When it last went offline.
    offline: Option<String>,
    /// Since when it is connected, when it is.
    connected: Option<String>,
    /// Where it last connected from.
    address: String,
    firmware: String,
    /// Where one device was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<BTreeMap<String, String>>,
}

impl From<&Seen> for DeviceView {
    fn from(seen: &Seen) -> Self {
        Self {
            state: seen.state.into(),
            connected: seen.connected.map(time),
            ..Self::from(&seen.device)
        }
    }
}

impl From<&Device> for DeviceView {
    fn from(device: &Device) -> Self {
        Self {
            product_key: device.key.product.to_string(),
            device_name: device.key.name.to_string(),
            iot_id: device.iot_id.to_string(),
            nickname: device.nickname.clone(),
            state: device.state(false).into(),
            created: time(device.created),
            activated: device.activated.map(time),
            online: device.online.map(time),
            offline: device.offline.map(time),
            connected: None,
            address: device.address.clone(),
            firmware: device.firmware.clone(),
            tags: None,
        }
    }
}

/// A device with its secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct DeviceSecretView {
    pub(crate) product_key: String,
    pub(crate) device_name: String,
    pub(crate) iot_id: String,
    pub(crate) device_secret: String,
}

impl From<(Device, String)> for DeviceSecretView {
    fn from((device, device_secret): (Device, String)) -> Self {
        Self {
            product_key: device.key.product.to_string(),
            device_name: device.key.name.to_string(),
            iot_id: device.iot_id.to_string(),
            device_secret,
        }
    }
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AccountView {
    account: String,
    name: String,
    created: String,
    disabled: bool,
    operator: bool,
}

impl From<Account> for AccountView {
    fn from(account: Account) -> Self {
        Self {
            account: account.id.to_string(),
            name: account.name,
            created: time(account.created),
            disabled: account.disabled,
            operator: account.operator,
        }
    }
}

/// A sub-user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserView {
    name: String,
    display: String,
    created: String,
    disabled: bool,
    policies: Vec<String>,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            name: user.name.to_string(),
            display: user.display,
            created: time(user.created),
            disabled: user.disabled,
            policies: user.policies.iter().map(ToString::to_string).collect(),
        }
    }
}

/// An access key without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyView {
    access_key_id: String,
    /// The sub-user that it belongs to; none for the account's own.
    user: Option<String>,
    created: String,
    disabled: bool,
}

impl From<AccessKey> for KeyView {
    fn from(key: AccessKey) -> Self {
        Self {
            access_key_id: key.id.to_string(),
            user: key.user.map(|user| user.to_string()),
            created: time(key.created),
            disabled: key.disabled,
        }
    }
}

/// A policy document (version "1").
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DocumentView {
    #[serde(rename = "Version")]
    version: String,
    #[serde(rename = "Statement")]
    statements: Vec<StatementView>,
}

/// A statement: what it does to which actions on which resources; `*` stands for any run of
/// characters.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatementView {
    #[serde(rename = "Effect")]
    effect: EffectView,
    #[serde(rename = "Action")]
    actions: Texts,
    #[serde(rename = "Resource")]
    resources: Texts,
}

/// Allow or deny.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub(crate) enum EffectView {
    Allow,
    Deny,
}

/// A text, or a list of them.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Texts {
    One(String),
    Many(Vec<String>),
}

impl From<Texts> for OneOrMany {
    fn from(texts: Texts) -> Self {
        match texts {
            Texts::One(text) => Self::One(text),
            Texts::Many(texts) => Self::Many(texts),
        }
    }
}

impl From<OneOrMany> for Texts {
    fn from(texts: OneOrMany) -> Self {
        match texts {
            OneOrMany::One(text) => Self::One(text),
            OneOrMany::Many(texts) => Self::Many(texts),
        }
    }
}

impl From<DocumentView> for PolicyDocument {
    fn from(view: DocumentView) -> Self {
        let statements = view.statements.into_iter().map(|statement| Statement {
            effect: match statement.effect {
                EffectView::Allow => Effect::Allow,
                EffectView::Deny => Effect::Deny,
            },
            actions: statement.actions.into(),
            resources: statement.resources.into(),
        });
        Self {
            version: view.version,
            statements: statements.collect(),
        }
    }
}

impl From<PolicyDocument> for DocumentView {
    fn from(document: PolicyDocument) -> Self {
        let statements = document
            .statements
            .into_iter()
            .map(|statement| StatementView {
                effect: match statement.effect {
                    Effect::Allow => EffectView::Allow,
                    Effect::Deny => EffectView::Deny,
                },
                actions: statement.actions.into(),
                resources: statement.resources.into(),
            });
        Self {
            version: document.version,
            statements: statements.collect(),
        }
    }
}

/// A policy.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PolicyView {
    name: String,
    description: String,
    /// Whether it comes with the product.
    built_in: bool,
    document: DocumentView,
}

impl From<Policy> for PolicyView {
    fn from(policy: Policy) -> Self {
        Self {
            name: policy.name.to_string(),
            description: policy.description,
            built_in: policy.account.is_none(),
            document: policy.document.into(),
        }
    }
}

/// A line of the audit log with its place in the chain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AuditView {
    seq: u64,
    entry: EntryView,
    /// Keyed hash over the former line's hash and this line.
    hash: String,
}

/// What a line of the audit log says.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EntryView {
    at: String,
    who: String,
    address: String,
    action: String,
    resource: String,
    /// `ok`, or the name of the error.
    outcome: String,
    detail: String,
}

impl From<AuditRecord> for AuditView {
    fn from(record: AuditRecord) -> Self {
        let entry = record.entry;
        Self {
            seq: record.seq,
            entry: EntryView {
                at: time(entry.at),
                who: entry.who,
                address: entry.address,
                action: entry.action,
                resource: entry.resource,
                outcome: entry.outcome,
                detail: entry.detail,
            },
            hash: record.hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_for_people_and_read_in_two_forms() {
        let at = Time(1_700_000_000_120);
        assert_eq!(time(at), "2023-11-14T22:13:20.120Z");
        assert_eq!(parse_time(&time(at)), Some(at));
        assert_eq!(parse_time("1700000000120"), Some(at));
        assert_eq!(parse_time("yesterday"), None);
        assert_eq!(time(Time(i64::MAX)), i64::MAX.to_string());
    }
}

//! The actions of the IoT API of 2018-01-20 ([AL-7.1]; spec/cloud-api.md §2): one table, of which
//! the router, the checks of parameters, the documentation and the coverage test are made.
//!
//! Every noun has a file with its rows and its handlers. A handler reads its parameters, asks the
//! policies through `Ask` (there is no permit for the hub's verbs without that), calls one verb,
//! and gives the vendor's fields back.

mod batch;
mod call;
mod campaign;
mod desired;
mod device;
mod device_tag;
mod event;
mod firmware;
mod group;
mod manual;
mod message;
mod page;
pub mod parameter;
mod product;
mod property;
mod service;
mod shadow;
mod tag;
mod thing_model;
mod time;
mod topic;
mod topo;

use crate::codes::{
    business::{self, Business, Family},
    fss,
    gateway::{self, GatewayError},
    id2,
};
use hub::{Hub, account::Permit, scan::ScanError};
pub use manual::manual;
use model::{
    account::{Caller, Resource},
    error::{DeviceError, GroupError, Id2Error, OtaError, ProductError},
    id::{DeviceKey, IotId, ProductKey},
};
use parameter::Parameter;
pub use parameter::Params;
use serde_json::{Map, Value};
use std::{fmt, pin::Pin};

/// The version of this API.
pub const VERSION: &str = "2018-01-20";

/// Whether an action changes anything; those that do are audited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    Reads,
    /// It changes something.
    Changes,
}

/// Whose action it is: in which words it answers, and what its right is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The IoT API.
    Iot,
    /// The API of ID².
    Id2,
    /// The API of firmware scanning.
    Fss,
}

/// What does an action.
pub type Handler = for<'a> fn(&'a Ask<'a>) -> Pin<Box<dyn Future<Output = Answer> + Send + 'a>>;

/// A row of the table.
pub struct Action {
    /// Its name.
    pub name: &'static str,
    /// Whose it is.
    pub service: Service,
    /// Whether it changes anything.
    pub effect: Effect,
    /// What its errors are about.
    pub family: Family,
    /// What it takes.
    pub parameters: &'static [Parameter],
    /// What does it.
    pub handler: Handler,
}

impl Action {
    /// A row of an action that only reads.
    pub(crate) const fn reads(
        name: &'static str,
        family: Family,
        parameters: &'static [Parameter],
        handler: Handler,
    ) -> Self {
        Self {
            name,
            service: Service::Iot,
            effect: Effect::Reads,
            family,
            parameters,
            handler,
        }
    }

    /// A row of an action that changes something.
    pub(crate) const fn changes(
        name: &'static str,
        family: Family,
        parameters: &'static [Parameter],
        handler: Handler,
    ) -> Self {
        Self {
            name,
            service: Service::Iot,
            effect: Effect::Changes,
            family,
            parameters,
            handler,
        }
    }

    /// The name of the right to do it, as policies write it.
    pub fn right(&self) -> String {
        match self.service {
            Service::Iot => format!("iot:{}", self.name),
            Service::Id2 => format!("id2:{}", self.name),
            Service::Fss => format!("fss:{}", self.name),
        }
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// The table.
pub fn actions() -> impl Iterator<Item = &'static Action> {
    [
        product::ROWS,
        tag::ROWS,
        topic::ROWS,
        thing_model::ROWS,
        device::ROWS,
        batch::ROWS,
        property::ROWS,
        event::ROWS,
        service::ROWS,
        message::ROWS,
        firmware::ROWS,
        campaign::ROWS,
        call::ROWS,
        desired::ROWS,
        shadow::ROWS,
        device_tag::ROWS,
        topo::ROWS,
        group::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The row of an action.
///
/// # Errors
/// `NoSuchVersion`, `NoSuchAction`.
pub fn find(version: &str, name: &str) -> Result<&'static Action, GatewayError> {
    // Programs name several versions with these, and no action of another API has such a name.
    let mut others = crate::id2::ROWS.iter().chain(crate::fss::ROWS);
    if let Some(action) = others.find(|action| action.name == name) {
        return Ok(action);
    }
    if version != VERSION {
        return Err(GatewayError::NoSuchVersion);
    }
    actions()
        .find(|action| action.name == name)
        .ok_or(GatewayError::NoSuchAction)
}

/// What an action gives back: its own fields, or why it was not done.
pub type Answer = Result<Map<String, Value>, Refusal>;

/// The fields of a result.
fn fields(tree: Value) -> Answer {
    match tree {
        Value::Object(fields) => Ok(fields),
        _ => Ok(Map::new()),
    }
}

/// A result without fields.
fn nothing() -> Answer {
    Ok(Map::new())
}

/// Why an action was not done, in the words in which it was noticed.
#[derive(Debug)]
pub enum Refusal {
    /// By the gateway.
    Gateway(GatewayError),
    /// With a code of its own.
    Business(Business),
    /// By a verb on products.
    Product(ProductError),
    /// By a verb on devices.
    Device(DeviceError),
    /// By a verb on firmware and campaigns.
    Ota(OtaError),
    /// By a verb on identities.
    Id2(Id2Error),
    /// By a verb on groups.
    Group(GroupError),
    /// By a verb on scans.
    Scan(ScanError),
}

impl Refusal {
    /// What the caller is told by an action of `family`.
    ///
    /// # Errors
    /// What the gateway tells.
    pub fn told(self, family: Family) -> Result<Business, GatewayError> {
        match self {
            Self::Gateway(error) => Err(error),
            Self::Business(error) => Ok(error),
            Self::Product(error) => Ok(business::product(&error, family)),
            Self::Device(error) => Ok(business::device(&error, family)),
            Self::Ota(error) => Ok(business::ota(&error)),
            Self::Id2(error) => Ok(id2::told(&error)),
            Self::Group(error) => Ok(business::group(&error)),
            Self::Scan(error) => Ok(fss::told(&error)),
        }
    }
}

impl From<GatewayError> for Refusal {
    fn from(error: GatewayError) -> Self {
        Self::Gateway(error)
    }
}

impl From<Business> for Refusal {
    fn from(error: Business) -> Self {
        Self::Business(error)
    }
}

impl From<ProductError> for Refusal {
    fn from(error: ProductError) -> Self {
        Self::Product(error)
    }
}

impl From<DeviceError> for Refusal {
    fn from(error: DeviceError) -> Self {
        Self::Device(error)
    }
}

impl From<ScanError> for Refusal {
    fn from(error: ScanError) -> Self {
        Self::Scan(error)
    }
}

impl From<Id2Error> for Refusal {
    fn from(error: Id2Error) -> Self {
        Self::Id2(error)
    }
}

impl From<OtaError> for Refusal {
    fn from(error: OtaError) -> Self {
        Self::Ota(error)
    }
}

impl From<GroupError> for Refusal {
    fn from(error: GroupError) -> Self {
        Self::Group(error)
    }
}

/// A call of a proven caller: what a handler works with.
pub struct Ask<'a> {
    /// The product.
    pub hub: &'a Hub,
    /// Who calls.
    pub caller: &'a Caller,
    /// What is asked.
    pub action: &'static Action,
    /// With what.
    pub params: Params<'a>,
    /// The region that the caller believes to be in.
    pub region: &'a str,
}

impl Ask<'_> {
    /// Asks the policies.
    pub(crate) async fn allow(&self, resource: &Resource) -> Result<Permit, Refusal> {
        let changing = self.action.effect == Effect::Changes;
        self.hub
            .caller_allow(self.caller, &self.action.right(), resource, changing)
            .await
            .map_err(|error| gateway::caller(&error, "").into())
    }

    /// A permit for what is about nothing in particular.
    async fn any(&self) -> Result<Permit, Refusal> {
        self.allow(&Resource::Any).await
    }

    /// The product of `ProductKey`, with a permit for it.
    async fn product(&self) -> Result<(Permit, ProductKey), Refusal> {
        let key = product_key(self.params.text("ProductKey"))?;
        let permit = self.allow(&Resource::Product(key.clone())).await?;
        Ok((permit, key))
    }

    /// The device of `IotId`, or else of `ProductKey` and `DeviceName`, with a permit for it.
    async fn device(&self) -> Result<(Permit, DeviceKey), Refusal> {
        let key = match self.params.text("IotId") {
            Some(id) => self.by_id(id).await?,
            None => {
                let product = product_key(self.params.text("ProductKey"))?;
                device_key(&product, self.params.text("DeviceName"))?
            }
        };
        let permit = self.permit(&key).await?;
        Ok((permit, key))
    }

    /// The device of `ProductKey` and `DeviceName`, with a permit for it.
    async fn named(&self) -> Result<(Permit, DeviceKey), Refusal> {
        let product = product_key(self.params.text("ProductKey"))?;
        let key = device_key(&product, self.params.text("DeviceName"))?;
        let permit = self.permit(&key).await?;
        Ok((permit, key))
    }

    /// A permit for one device.
    async fn permit(&self, key: &DeviceKey) -> Result<Permit, Refusal> {
        self.allow(&Resource::Device(key.clone())).await
    }

    /// Whether the caller may also do what another right is about, such as see a secret.
    async fn may(&self, right: &str, resource: &Resource) -> Result<bool, Refusal> {
        let may = self.hub.caller_may(self.caller, right, resource).await;
        may.map_err(|fault| Refusal::Device(fault.into()))
    }

    /// Product and name of a device by its id.
    async fn by_id(&self, id: &str) -> Result<DeviceKey, Refusal> {
        let bad = |_| Business::new("iot.device.InvalidIoTId", "the IotId is not well formed");
        let id = IotId::parse(id).map_err(bad)?;
        Ok(self.hub.device_key(&id).await?)
    }
}

fn product_key(text: Option<&str>) -> Result<ProductKey, Business> {
    let text =
        text.ok_or_else(|| Business::new("iot.prod.NullProductKey", "the ProductKey is missing"))?;
    ProductKey::parse(text)
        .map_err(|bad| Business::new("iot.prod.InvalidFormattedProductkey", bad.to_string()))
}

fn device_key(product: &ProductKey, name: Option<&str>) -> Result<DeviceKey, Business> {
    let name = name
        .ok_or_else(|| Business::new("iot.device.NullDeviceName", "the DeviceName is missing"))?;
    DeviceKey::parse(product.as_str(), name)
        .map_err(|bad| Business::new("iot.device.InvalidFormattedDeviceName", bad.to_string()))
}

/// The values that the vendor writes as text whatever their type: text as it is, else JSON.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_in_the_table_are_unique_and_found() {
        let mut names = HashSet::new();
        for action in actions() {
            assert!(names.insert(action.name), "{} is there twice", action.name);
            let found = find(VERSION, action.name).expect("it is in the table");
            assert_eq!(found.right(), format!("iot:{}", action.name));
            let mut parameters = HashSet::new();
            for parameter in action.parameters {
                assert!(parameters.insert(parameter.name), "{}", action.name);
            }
        }
        assert!(matches!(
            find("2017-07-07", "Pub"),
            Err(GatewayError::NoSuchVersion)
        ));
        assert!(matches!(
            find(VERSION, "pub"),
            Err(GatewayError::NoSuchAction)
        ));
    }
}

//! Device shadows: a document of what a device last reported and of what applications want of it,
//! under one version (spec/alink-wire.md §6.2, `/shadow/update`).

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put},
    edge::Session,
};
use model::{
    error::{DeviceError, Fault},
    id::{DeviceKey, IotId, Time},
    port::Expect,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Shadows by the id of their device.
pub(crate) const KIND: &str = "shadow";

/// Attributes of one half at most, those within others counted too.
pub const ATTRIBUTES: usize = 128;
/// Bytes of both halves as JSON at most.
pub const SIZE: usize = 16 * 1024;
/// Objects and lists within each other at most.
const DEPTH: usize = 5;
/// The version that starts a shadow anew.
pub const RESET: i64 = -1;

/// A shadow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// What the device reported.
    pub reported: Half,
    /// What applications want.
    pub desired: Half,
    /// Grows as its writers say.
    pub version: i64,
    /// When it was last changed; none when it never was.
    pub at: Option<Time>,
}

/// One half of a shadow.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Half {
    /// Attributes.
    pub state: Map<String, Value>,
    /// When each of them was set.
    pub set: BTreeMap<String, Time>,
}

/// What becomes of one half.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// It stays.
    Keep,
    /// Nothing of it stays.
    Clear,
    /// These attributes are set; one that is null, or the text `null`, goes.
    Merge(Map<String, Value>),
    /// These attributes, and no others.
    Replace(Map<String, Value>),
    /// These attributes go.
    Remove(Vec<String>),
}

/// Why a shadow stays as it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ShadowError {
    /// There is no such device.
    #[error("there is no such device")]
    NotFound,
    /// The version is not above that of the shadow.
    #[error("version conflict: the shadow has version {0}")]
    Version(i64),
    /// More attributes than allowed.
    #[error("more than {ATTRIBUTES} attributes")]
    TooManyAttributes,
    /// The document would be too long or too deep.
    #[error("the shadow has at most {SIZE} bytes and {DEPTH} levels")]
    TooLarge,
    /// Our own trouble.
    #[error("the server could not do it")]
    Fault(#[from] Fault),
}

impl Hub {
    /// The shadow of a device.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn shadow_find(
        &self,
        permit: &Permit,
        device: &DeviceKey,
    ) -> Result<Shadow, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        Ok(self.shadow(&device.iot_id).await?)
    }

    /// Changes what applications want of a device; gives the shadow back as it became.
    ///
    /// # Errors
    /// `ShadowError`.
    pub async fn shadow_desire(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        desired: &Part,
        version: i64,
    ) -> Result<Shadow, ShadowError> {
        let device = self.device_owned(permit, device).await;
        let device = device.map_err(|error| match error {
            DeviceError::Fault(fault) => ShadowError::Fault(fault),
            _ => ShadowError::NotFound,
        })?;
        self.shadow_change(&device.iot_id, &Part::Keep, desired, version)
            .await
    }

    /// The shadow of the session's device.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn shadow_for_device(&self, session: &Session) -> Result<Shadow, Fault> {
        self.shadow(&session.iot_id).await
    }

    /// Takes what the session's device reports; gives the shadow back as it became.
    ///
    /// # Errors
    /// `ShadowError`.
    pub async fn shadow_report(
        &self,
        session: &Session,
        reported: &Part,
        desired: &Part,
        version: i64,
    ) -> Result<Shadow, ShadowError> {
        self.shadow_change(&session.iot_id, reported, desired, version)
            .await
    }

    async fn shadow(&self, id: &IotId) -> Result<Shadow, Fault> {
        let found = self.document::<Shadow>(KIND, id.as_str()).await?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    async fn shadow_change(
        &self,
        id: &IotId,
        reported: &Part,
        desired: &Part,
        version: i64,
    ) -> Result<Shadow, ShadowError> {
        for _ in 0..TRIES {
            let found = self.document::<Shadow>(KIND, id.as_str()).await?;
            let expect = found
                .as_ref()
                .map_or(Expect::Absent, |found| found.expect());
            let shadow = found.map(|found| found.value).unwrap_or_default();
            let shadow = shadow.changed(reported, desired, version, self.now())?;
            let puts = vec![put(KIND, id.as_str().to_owned(), &shadow, expect)?];
            if self.document_put(puts).await? {
                return Ok(shadow);
            }
        }
        Err(busy(KIND).into())
    }
}

impl Shadow {
    fn changed(
        self,
        reported: &Part,
        desired: &Part,
        version: i64,
        now: Time,
    ) -> Result<Self, ShadowError> {
        let mut shadow = if version == RESET {
            Self::default()
        } else if version > self.version || (self.at.is_none() && version >= 0) {
            self
        } else {
            return Err(ShadowError::Version(self.version));
        };
        shadow.version = version.max(0);
        shadow.at = Some(now);
        shadow.reported.apply(reported, now);
        shadow.desired.apply(desired, now);
        for half in [&shadow.reported, &shadow.desired] {
            let mut count = 0;
            if !within(&half.state, 1, &mut count) {
                return Err(ShadowError::TooLarge);
            }
            if count > ATTRIBUTES {
                return Err(ShadowError::TooManyAttributes);
            }
        }
        let size = |half: &Half| serde_json::to_vec(&half.state).map_or(usize::MAX, |v| v.len());
        if size(&shadow.reported).saturating_add(size(&shadow.desired)) > SIZE {
            return Err(ShadowError::TooLarge);
        }
        Ok(shadow)
    }
}

impl Half {
    fn apply(&mut self, part: &Part, now: Time) {
        match part {
            Part::Keep => {}
            Part::Clear => *self = Self::default(),
            Part::Replace(state) => {
                *self = Self::default();
                self.merge(state, now);
            }
            Part::Merge(state) => self.merge(state, now),
            Part::Remove(names) => {
                for name in names {
                    self.state.remove(name);
                    self.set.remove(name);
                }
            }
        }
    }

    fn merge(&mut self, state: &Map<String, Value>, now: Time) {
        for (name, value) in state {
            if is_null(value) {
                self.state.remove(name);
                self.set.remove(name);
            } else {
                self.state.insert(name.clone(), value.clone());
                self.set.insert(name.clone(), now);
            }
        }
    }
}

/// Whether a value stands for none; clients write it as a text.
pub fn is_null(value: &Value) -> bool {
    value.is_null() || value == "null"
}

/// Counts attributes; false where they nest too deep.
fn within(state: &Map<String, Value>, depth: usize, count: &mut usize) -> bool {
    state.values().all(|value| {
        *count += 1;
        value_within(value, depth, count)
    })
}

fn value_within(value: &Value, depth: usize, count: &mut usize) -> bool {
    match value {
        Value::Object(object) => depth < DEPTH && within(object, depth + 1, count),
        Value::Array(list) => {
            depth < DEPTH
                && list
                    .iter()
                    .all(|value| value_within(value, depth + 1, count))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        match value {
            Value::Object(object) => object,
            other => panic!("{other} is no object"),
        }
    }

    fn merge(value: Value) -> Part {
        Part::Merge(object(value))
    }

    /// Versions grow, -1 begins anew, and a refused change changes nothing.
    #[test]
    fn a_shadow_takes_newer_versions_only() {
        let now = Time(5);
        let keep = Part::Keep;
        let shadow = Shadow::default();
        let red = merge(json!({"color": "red", "on": true}));
        let shadow = shadow.changed(&red, &keep, 1, now).unwrap();
        let green = merge(json!({"color": "green"}));
        let shadow = shadow.changed(&keep, &green, 2, Time(6)).unwrap();
        assert_eq!(shadow.desired.state, object(json!({"color": "green"})));
        assert_eq!(shadow.desired.set["color"], Time(6));
        assert_eq!(shadow.reported.set["color"], now);
        for stale in [-7, 0, 1, 2] {
            let refused = shadow.clone().changed(&red, &keep, stale, now);
            assert!(matches!(refused, Err(ShadowError::Version(2))), "{stale}");
        }
        let gone = merge(json!({"color": "null", "on": null}));
        let shadow = shadow.changed(&gone, &Part::Clear, 9, now).unwrap();
        assert_eq!(
            (&shadow.reported, &shadow.desired),
            (&Half::default(), &Half::default())
        );
        assert_eq!(shadow.version, 9);
        let shadow = shadow.changed(&red, &keep, RESET, now).unwrap();
        assert_eq!((shadow.version, shadow.reported.state.len()), (0, 2));
        let blue = Part::Replace(object(json!({"light": "blue"})));
        let shadow = shadow.changed(&blue, &keep, 1, now).unwrap();
        assert_eq!(shadow.reported.state, object(json!({"light": "blue"})));
        let none = Part::Remove(vec!["light".into(), "other".into()]);
        let shadow = shadow.changed(&none, &keep, 2, now).unwrap();
        assert_eq!(shadow.reported, Half::default());
    }

    #[test]
    fn a_shadow_has_bounds() {
        let change = |value: Value| {
            let shadow = Shadow::default();
            shadow.changed(&merge(value), &Part::Keep, 1, Time(1))
        };
        let many = |count: usize| {
            let attributes = (0..count).map(|number| (number.to_string(), json!(number)));
            Value::Object(attributes.collect())
        };
        assert!(change(many(ATTRIBUTES)).is_ok());
        let refused = change(many(ATTRIBUTES + 1));
        assert!(matches!(refused, Err(ShadowError::TooManyAttributes)));
        let refused = change(json!({"within": many(ATTRIBUTES)}));
        assert!(matches!(refused, Err(ShadowError::TooManyAttributes)));
        assert!(change(json!({"a": {"b": {"c": {"d": {"e": 1}}}}})).is_ok());
        let refused = change(json!({"a": {"b": {"c": {"d": {"e": [1]}}}}}));
        assert!(matches!(refused, Err(ShadowError::TooLarge)));
        let refused = change(json!({"a": "x".repeat(SIZE)}));
        assert!(matches!(refused, Err(ShadowError::TooLarge)));
    }
}

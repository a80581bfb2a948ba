//! Why a code is not believed: every step of its way, told to an operator. Nothing is used up.

use super::{
    proof::{Shown, key_error, unwrapped, verified},
    row::State,
};
use crate::{Hub, account::Permit};
use credential::id2::{AuthCode, device::Form, server::DeviceKey};
use model::{
    error::{Fault, Id2Error},
    id::Time,
};

/// A step, and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What was looked at.
    pub what: &'static str,
    /// Whether the way goes on.
    pub good: bool,
    /// In words.
    pub found: String,
}

impl Hub {
    /// Goes the way of a code as `id2_verify` does, and tells every step of it. A challenge counts as
    /// good here: to see whether it is would use it up.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn id2_examine(&self, permit: &Permit, shown: Shown<'_>) -> Result<Vec<Step>, Fault> {
        let mut steps = Steps(Vec::new());
        match self.id2_steps(permit, shown, &mut steps).await {
            Ok(()) | Err(Stop::There) => Ok(steps.0),
            Err(Stop::Fault(fault)) => Err(fault),
        }
    }

    async fn id2_steps(
        &self,
        permit: &Permit,
        shown: Shown<'_>,
        steps: &mut Steps,
    ) -> Result<(), Stop> {
        let now = self.now();
        let setting = self.id2_setting(permit, shown.product).await;
        let setting = steps.take("product", setting, |s| {
            format!("{} identities issued", s.issued)
        })?;
        steps.take("licence", setting.judge(now), |()| "in force".into())?;
        let row = self.id2_owned(permit, &shown.id).await;
        let row = row.and_then(|row| match row.value.product == *shown.product {
            true => Ok(row.value),
            false => Err(Id2Error::NotOwned),
        });
        let row = steps.take("identity", row, |row| {
            format!("{} key, created {}", row.kind.name(), row.created.0)
        })?;
        let state = row.judge(now, setting.self_activating);
        steps.take("state", state, |()| match row.state {
            State::Issued => "issued; the first proof activates it".into(),
            other => other.name().into(),
        })?;
        let key = self.id2_key(&row).await.map_err(Stop::Fault)?;
        let text = unwrapped(&key, &setting, shown.code);
        let (text, form) = steps.take("wrapping", text, |(_, form)| {
            let form = match form {
                Form::Plain => "plain",
                Form::Hardened => "hardened (99)",
                Form::Keyed => "keyed (98)",
            };
            form.into()
        })?;
        let code = AuthCode::parse(&text).map_err(|error| Id2Error::BadCode(error.to_string()));
        let code = steps.take("form", code, |code| {
            format!(
                "{} with extra: {}, hash {}, random {}",
                if code.mode.is_timestamp() {
                    "timestamp"
                } else {
                    "challenge"
                },
                if code.mode.has_extra() { "yes" } else { "no" },
                char::from(code.hash.digit()),
                code.random
            )
        })?;
        let fresh = match code.timestamp() {
            Some(at) => self.id2_in_time(at, now),
            None => Ok(()),
        };
        let fresh_told = match code.timestamp() {
            Some(at) => {
                let behind = now.since(Time(i64::try_from(at).unwrap_or(i64::MAX)));
                format!("{behind} ms behind the server's time")
            }
            None => format!("challenge {}, not looked up", code.freshness),
        };
        match &fresh {
            Ok(()) => {}
            Err(_) => steps.0.push(Step {
                what: "clock",
                good: false,
                found: fresh_told.clone(),
            }),
        }
        steps.take("freshness", fresh, |()| fresh_told)?;
        let good = verified(&key, &shown, form, &code, setting.legacy);
        if good.is_err() {
            steps.hint(&key, shown, form, &code);
        }
        steps.take("signature", good, |()| "right".into())?;
        let cipher = key
            .key_type()
            .plain_max()
            .map(|_| ())
            .ok_or(key_error(credential::id2::KeyError::NotSupported));
        let _ = steps.take("decryption", cipher, |()| "the device can decrypt".into());
        Ok(())
    }
}

enum Stop {
    /// The way ends here.
    There,
    Fault(Fault),
}

struct Steps(Vec<Step>);

impl Steps {
    fn take<T>(
        &mut self,
        what: &'static str,
        result: Result<T, Id2Error>,
        told: impl FnOnce(&T) -> String,
    ) -> Result<T, Stop> {
        let (good, found, result) = match result {
            Ok(value) => (true, told(&value), Ok(value)),
            Err(Id2Error::Fault(fault)) => return Err(Stop::Fault(fault)),
            Err(error) => (false, error.to_string(), Err(Stop::There)),
        };
        self.0.push(Step { what, good, found });
        result
    }

    /// What commonly went wrong when a signature does not match.
    fn hint(&mut self, key: &DeviceKey, shown: Shown<'_>, form: Form, code: &AuthCode<'_>) {
        let matches = |extra| {
            let shown = Shown { extra, ..shown };
            verified(key, &shown, form, code, true).is_ok()
        };
        let extra = shown.extra.unwrap_or_default();
        let found = if shown.extra.is_some() && matches(None) {
            "the code covers an empty extra; the one that was sent is not the device's"
        } else if extra != extra.trim() && matches(Some(extra.trim())) {
            "the code covers the extra without the blanks around it"
        } else if code.mode.has_extra() && shown.extra.is_none() {
            "the code covers an extra, and none was sent"
        } else {
            "another key, another identity, or a text that was changed on its way (look at + and ~)"
        };
        self.0.push(Step {
            what: "hint",
            good: false,
            found: found.into(),
        });
    }
}

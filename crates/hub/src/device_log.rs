//! What devices write into their own logs and send along, while an operator wants it
//! (spec/alink-wire.md §6.2, `thing/log/post`).

use crate::{
    Hub,
    account::Permit,
    document::{TRIES, busy, put},
    edge::Session,
};
use model::{
    command::Order,
    error::{DeviceError, Fault, PostError},
    id::{DeviceKey, IotId, Time},
    port::Expect,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Logs by the id of their device.
pub(crate) const KIND: &str = "device-log";
/// Lines that are kept of a device, and taken in one message.
pub const MOST: usize = 200;
/// Characters of each part of a line that are kept.
const SHOWN: usize = 512;

/// The log of a device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceLog {
    /// Whether the device is to send it.
    pub on: bool,
    /// Lines, oldest first.
    pub lines: VecDeque<LogLine>,
}

/// A line as a device wrote it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it came.
    pub at: Time,
    /// The device's own time, as it wrote it.
    pub time: String,
    /// Such as `ERROR`.
    pub level: String,
    /// Part of the device's program.
    pub module: String,
    /// A code of the device's.
    pub code: String,
    /// What it belongs to.
    pub trace: String,
    /// The words.
    pub text: String,
}

impl LogLine {
    fn cut(mut self, at: Time) -> Self {
        self.at = at;
        for part in [
            &mut self.time,
            &mut self.level,
            &mut self.module,
            &mut self.code,
            &mut self.trace,
            &mut self.text,
        ] {
            if let Some((end, _)) = part.char_indices().nth(SHOWN) {
                part.truncate(end);
            }
        }
        self
    }
}

impl Hub {
    /// The log of a device.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn device_log(
        &self,
        permit: &Permit,
        device: &DeviceKey,
    ) -> Result<DeviceLog, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        Ok(self.log(&device.iot_id).await?)
    }

    /// Says whether a device is to send its log, and tells it. What was kept stays.
    ///
    /// # Errors
    /// `NotFound`, `TooMuch`.
    pub async fn device_log_switch(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        on: bool,
    ) -> Result<(), DeviceError> {
        let device = self.device_owned(permit, device).await?;
        self.log_change(&device.iot_id, |log| log.on = on).await?;
        let until = self.now().plus(self.limits.command_life);
        self.command_send(&device, Order::SendLog(on), until)
            .await?;
        Ok(())
    }

    /// Whether the session's device is to send its log.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn device_log_wanted(&self, session: &Session) -> Result<bool, Fault> {
        Ok(self.log(&session.iot_id).await?.on)
    }

    /// Keeps lines of the session's device, if they are wanted; others are taken and forgotten.
    ///
    /// # Errors
    /// `BadRequest` for too many, `Fault`.
    pub async fn device_log_post(
        &self,
        session: &Session,
        lines: Vec<LogLine>,
    ) -> Result<(), PostError> {
        if lines.len() > MOST {
            return Err(PostError::BadRequest(format!("more than {MOST} lines")));
        }
        if !self.device_log_wanted(session).await? {
            return Ok(());
        }
        let now = self.now();
        let lines: Vec<LogLine> = lines.into_iter().map(|line| line.cut(now)).collect();
        let add = |log: &mut DeviceLog| {
            log.lines.extend(lines.iter().cloned());
            let over = log.lines.len().saturating_sub(MOST);
            log.lines.drain(..over);
        };
        Ok(self.log_change(&session.iot_id, add).await?)
    }

    async fn log(&self, id: &IotId) -> Result<DeviceLog, Fault> {
        let found = self.document::<DeviceLog>(KIND, id.as_str()).await?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    async fn log_change(
        &self,
        id: &IotId,
        change: impl Fn(&mut DeviceLog) + Send + Sync,
    ) -> Result<(), Fault> {
        for _ in 0..TRIES {
            let found = self.document::<DeviceLog>(KIND, id.as_str()).await?;
            let expect = found
                .as_ref()
                .map_or(Expect::Absent, |found| found.expect());
            let mut log = found.map(|found| found.value).unwrap_or_default();
            change(&mut log);
            let puts = vec![put(KIND, id.as_str().to_owned(), &log, expect)?];
            if self.document_put(puts).await? {
                return Ok(());
            }
        }
        Err(busy(KIND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::tests::lamp, stage::Stage};

    #[tokio::test]
    async fn a_log_is_kept_while_it_is_wanted() {
        let stage = Stage::set().await;
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let line = |text: &str| LogLine {
            text: text.into(),
            ..LogLine::default()
        };
        let kept = async || {
            let log = hub.device_log(&lamp.permit, &session.device).await.unwrap();
            log.lines
        };
        hub.device_log_post(session, vec![line("early")])
            .await
            .unwrap();
        assert!(kept().await.is_empty());
        hub.device_log_switch(&lamp.permit, &session.device, true)
            .await
            .unwrap();
        let waiting = hub.commands_waiting(session).await.unwrap();
        assert_eq!(waiting[0].order, Order::SendLog(true));
        for number in 0..=MOST {
            let text = format!("{number}{}", "长".repeat(SHOWN));
            hub.device_log_post(session, vec![line(&text)])
                .await
                .unwrap();
        }
        let lines = kept().await;
        assert_eq!(lines.len(), MOST);
        assert!(lines[0].text.starts_with("1长"), "the oldest has gone");
        assert_eq!(lines[0].text.chars().count(), SHOWN);
        let many = vec![line(""); MOST + 1];
        assert!(hub.device_log_post(session, many).await.is_err());
        hub.device_log_switch(&lamp.permit, &session.device, false)
            .await
            .unwrap();
        hub.device_log_post(session, vec![line("late")])
            .await
            .unwrap();
        assert_eq!(kept().await, lines);
    }
}

//! Traces: what a device said, what it was answered, and why something was refused; of devices for
//! which an operator turned it on, in memory, the newest lines only.

use crate::{Hub, account::Permit, edge::Session};
use model::{
    error::DeviceError,
    id::{DeviceKey, IotId, Time},
};
use parking_lot::{Mutex, RwLock};
use std::{
    collections::{HashMap, VecDeque},
    sync::atomic::{AtomicBool, Ordering},
};

/// Devices that are traced at once.
const DEVICES: usize = 100;
/// Lines that are kept of a device.
const LINES: usize = 500;
/// Bytes of a payload that are shown.
const SHOWN: usize = 2_048;
/// How long a trace goes on when nobody turns it off, in milliseconds.
const LIFE: i64 = 24 * 60 * 60 * 1000;

/// Which way something went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the device.
    Up,
    /// To the device.
    Down,
    /// Neither: what was made of it.
    Note,
}

impl Way {
    /// For people and programs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Note => "note",
        }
    }
}

/// A line of a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When.
    pub at: Time,
    /// Which way.
    pub way: Way,
    /// The topic; empty where there is none.
    pub topic: String,
    /// The beginning of the payload, or the words of a note.
    pub text: String,
}

/// The traces of this process.
#[derive(Default)]
pub(crate) struct Traces {
    /// Whether there is any, so that nobody pays for what is off.
    any: AtomicBool,
    devices: RwLock<HashMap<IotId, Trace>>,
}

struct Trace {
    until: Time,
    lines: Mutex<VecDeque<Line>>,
}

impl Hub {
    /// Turns the trace of a device on, for a day at most, or off, which forgets it.
    ///
    /// # Errors
    /// `NotFound`, `TooMuch` when many devices are traced.
    pub async fn trace_switch(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        on: bool,
    ) -> Result<(), DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let now = self.now();
        let mut devices = self.traces.devices.write();
        devices.retain(|_, trace| trace.until > now);
        if on {
            if devices.len() >= DEVICES && !devices.contains_key(&device.iot_id) {
                let text = format!("{DEVICES} devices are traced already");
                return Err(DeviceError::TooMuch(text));
            }
            let trace = devices.entry(device.iot_id).or_insert_with(|| Trace {
                until: now,
                lines: Mutex::default(),
            });
            trace.until = now.plus(LIFE);
        } else {
            devices.remove(&device.iot_id);
        }
        self.traces
            .any
            .store(!devices.is_empty(), Ordering::Release);
        Ok(())
    }

    /// The trace of a device, oldest line first; none while it is off.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn trace_of(
        &self,
        permit: &Permit,
        device: &DeviceKey,
    ) -> Result<Option<Vec<Line>>, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        let devices = self.traces.devices.read();
        let trace = devices.get(&device.iot_id);
        let trace = trace.filter(|trace| trace.until > self.now());
        Ok(trace.map(|trace| trace.lines.lock().iter().cloned().collect()))
    }

    /// Adds a message to the trace of the session's device, if there is one.
    pub fn trace(&self, session: &Session, way: Way, topic: &str, payload: &[u8]) {
        if !self.traces.any.load(Ordering::Acquire) {
            return;
        }
        let shown = &payload[..payload.len().min(SHOWN)];
        let mut text = String::from_utf8_lossy(shown).into_owned();
        if shown.len() < payload.len() {
            text.push_str(&format!("… ({} bytes)", payload.len()));
        }
        let now = self.now();
        let devices = self.traces.devices.read();
        let Some(trace) = devices.get(&session.iot_id) else {
            return;
        };
        if trace.until <= now {
            return;
        }
        let mut lines = trace.lines.lock();
        if lines.len() >= LINES {
            lines.pop_front();
        }
        lines.push_back(Line {
            at: now,
            way,
            topic: topic.to_owned(),
            text,
        });
    }

    /// Adds what was made of something.
    pub fn trace_note(&self, session: &Session, topic: &str, words: &str) {
        self.trace(session, Way::Note, topic, words.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::tests::lamp, stage::Stage};

    #[tokio::test]
    async fn a_trace_is_bounded_and_switchable() {
        let stage = Stage::set().await;
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let switch = |on| hub.trace_switch(&lamp.permit, &session.device, on);
        let lines = async || hub.trace_of(&lamp.permit, &session.device).await.unwrap();
        hub.trace(session, Way::Up, "t", b"unseen");
        assert_eq!(lines().await, None);
        switch(true).await.unwrap();
        hub.trace(session, Way::Up, "t", &[b'x'; SHOWN + 1]);
        assert!(lines().await.unwrap()[0].text.ends_with("… (2049 bytes)"));
        for number in 0..=LINES {
            hub.trace_note(session, "t", &number.to_string());
        }
        let seen = lines().await.unwrap();
        assert_eq!((seen.len(), seen[0].text.as_str()), (LINES, "1"));
        stage.clock.move_by(LIFE);
        assert_eq!(lines().await, None, "it goes off by itself");
        switch(true).await.unwrap();
        assert_eq!(lines().await, Some(Vec::new()));
        switch(false).await.unwrap();
        assert_eq!(lines().await, None);
        let other = stage.other_permit().await;
        assert!(hub.trace_of(&other, &session.device).await.is_err());
    }
}

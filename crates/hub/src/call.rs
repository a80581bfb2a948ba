//! Calls of connected devices: a payload there, a payload back, within seconds ([AL-3.11]).
//!
//! Nothing of a call is stored, as nobody wants its answer once the caller has gone. What a device
//! answers when nobody waits is journalled like any message of its own.

use crate::{Hub, account::Permit, edge::Session};
use bytes::Bytes;
use model::{
    error::{DeviceError, PostError},
    id::{DeviceKey, IotId, SessionId},
    port::Signal,
};
use parking_lot::Mutex;
use std::{
    collections::HashMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::{sync::oneshot, time};

/// Calls that wait for their answers at once.
const MOST: usize = 65_536;

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Called {
    /// The device answered.
    Answered(Bytes),
    /// The device is not connected.
    Offline,
    /// The device did not answer in time.
    TimedOut,
    /// The device's connection broke meanwhile.
    Broken,
}

/// Calls of this process that wait for an answer.
pub(crate) struct RemoteCalls {
    waiting: Mutex<HashMap<u64, Waiting>>,
    next: AtomicU64,
}

struct Waiting {
    device: IotId,
    tell: oneshot::Sender<Bytes>,
}

/// One call's place, given back when it is over.
struct Place<'a> {
    calls: &'a RemoteCalls,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.calls.waiting.lock().remove(&self.number);
    }
}

impl RemoteCalls {
    /// Numbers begin anywhere above those of commands, with which they share a topic, and stay
    /// positive in languages that know no others.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            waiting: Mutex::new(HashMap::new()),
            next: AtomicU64::new((seed >> 2) | 1 << 61),
        }
    }

    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn listen(&self, device: &IotId) -> Option<(Place<'_>, oneshot::Receiver<Bytes>)> {
        let (tell, answer) = oneshot::channel();
        let number = self.number();
        let mut waiting = self.waiting.lock();
        if waiting.len() >= MOST {
            return None;
        }
        let device = device.clone();
        waiting.insert(number, Waiting { device, tell });
        let calls = self;
        Some((Place { calls, number }, answer))
    }

    /// Passes an answer on; false when nobody waits for it from one whom `speaks` knows.
    fn answered(&self, number: u64, payload: &Bytes, speaks: impl Fn(&IotId) -> bool) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting
            .get(&number)
            .is_none_or(|call| !speaks(&call.device))
        {
            return false;
        }
        let call = waiting.remove(&number);
        drop(waiting);
        call.is_some_and(|call| call.tell.send(payload.clone()).is_ok())
    }
}

impl Hub {
    /// Calls a device and waits for its answer. `topics` names, for the number of the call, the
    /// topics on which the device may be listening; the first on which it does is taken.
    ///
    /// # Errors
    /// `NotFound`, `TooMuch` for a payload over the limit and for too many calls at once.
    pub async fn device_call(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        topics: impl Fn(u64) -> Vec<String> + Send,
        payload: Bytes,
        wait: Duration,
    ) -> Result<(u64, Called), DeviceError> {
        let device = self.device_owned(permit, device).await?;
        self.check_payload(&payload)?;
        let Some(place) = self.ports.presence.find(&device.iot_id).await? else {
            return Ok((self.remote.number(), Called::Offline));
        };
        let Some((call, answer)) = self.remote.listen(&device.iot_id) else {
            let text = format!("more than {MOST} calls wait for an answer");
            return Err(DeviceError::TooMuch(text));
        };
        let number = call.number;
        let signal = Signal::Call {
            iot_id: device.iot_id.clone(),
            topics: topics(number),
            payload,
        };
        self.ports.bus.send(&place.node, signal).await?;
        let called = match time::timeout(wait, answer).await {
            Ok(Ok(answer)) => Called::Answered(answer),
            Ok(Err(_)) | Err(_) => self.call_unanswered(&device.iot_id, place.session).await?,
        };
        Ok((number, called))
    }

    /// The same without waiting: the answer is journalled as a message of the device.
    ///
    /// # Errors
    /// `NotFound`, `Offline`, `TooMuch` for a payload over the limit.
    pub async fn device_call_later(
        &self,
        permit: &Permit,
        device: &DeviceKey,
        topics: impl Fn(u64) -> Vec<String> + Send,
        payload: Bytes,
    ) -> Result<u64, DeviceError> {
        let device = self.device_owned(permit, device).await?;
        self.check_payload(&payload)?;
        let place = self.ports.presence.find(&device.iot_id).await?;
        let place = place.ok_or(DeviceError::Offline)?;
        let number = self.remote.number();
        let signal = Signal::Call {
            iot_id: device.iot_id,
            topics: topics(number),
            payload,
        };
        self.ports.bus.send(&place.node, signal).await?;
        Ok(number)
    }

    /// Takes a device's answer to a call; one that nobody waits for is journalled.
    ///
    /// # Errors
    /// `BadRequest` for a payload over the limit, `Fault`.
    pub async fn device_call_answered(
        &self,
        session: &Session,
        number: u64,
        topic: &str,
        payload: Bytes,
    ) -> Result<(), PostError> {
        // On a topic without names a gateway answers for its sub-devices.
        let speaks =
            |device: &IotId| *device == session.iot_id || self.rider_carried(session, device);
        if self.remote.answered(number, &payload, speaks) {
            return Ok(());
        }
        self.message_post(session, topic, payload).await
    }

    /// Whether the connection on which a call went out is the one that there is now.
    async fn call_unanswered(
        &self,
        device: &IotId,
        session: SessionId,
    ) -> Result<Called, DeviceError> {
        let now = self.ports.presence.find(device).await?;
        Ok(match now {
            Some(place) if place.session == session => Called::TimedOut,
            Some(_) | None => Called::Broken,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::tests::lamp, stage::Stage};
    use model::fact::What;

    const LONG: Duration = Duration::from_secs(60);

    fn topics(number: u64) -> Vec<String> {
        vec![format!("call/{number}")]
    }

    /// [AL-3.11] The answer of the device that was called reaches who called, once.
    #[tokio::test]
    async fn an_answer_reaches_its_caller() {
        let mut stage = Stage::set().await;
        let mut words = stage.words.take().expect("nobody took them");
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let other =
            crate::history::tests::connect(&stage, &lamp.permit, &lamp.product, "lamp-2").await;
        let call = hub.device_call(&lamp.permit, &session.device, topics, "?".into(), LONG);
        let device = async {
            let Some(Signal::Call { topics, .. }) = words.recv().await else {
                panic!("another word");
            };
            let number: u64 = topics[0]["call/".len()..].parse().expect("a number");
            assert!(number > u64::from(u32::MAX) && i64::try_from(number).is_ok());
            let answer = |from, payload: &'static str| {
                hub.device_call_answered(from, number, "/a", payload.into())
            };
            answer(&other, "false").await.unwrap();
            answer(session, "!").await.unwrap();
            answer(session, "late").await.unwrap();
            number
        };
        let (called, number) = tokio::join!(call, device);
        assert_eq!(called.unwrap(), (number, Called::Answered("!".into())));
        let late = |what: &What| matches!(what, What::MessagePublished { payload, .. } if payload == "late");
        assert!(stage.facts(&session.iot_id).await.iter().any(late));
        assert!(hub.remote.waiting.lock().is_empty());
    }

    /// [AL-3.11] A device that is away, silent, or gone meanwhile.
    #[tokio::test(start_paused = true)]
    async fn who_does_not_answer_is_told_apart() {
        let stage = Stage::set().await;
        let lamp = lamp(&stage).await;
        let (hub, session) = (&stage.hub, &lamp.session);
        let call = || hub.device_call(&lamp.permit, &session.device, topics, "?".into(), LONG);
        assert_eq!(call().await.unwrap().1, Called::TimedOut);
        let leave = async { hub.session_leave(session).await.unwrap() };
        let (called, _) = tokio::join!(call(), leave);
        assert_eq!(called.unwrap().1, Called::Broken);
        assert_eq!(call().await.unwrap().1, Called::Offline);
        let later = hub.device_call_later(&lamp.permit, &session.device, topics, "?".into());
        assert!(matches!(later.await, Err(DeviceError::Offline)));
    }
}

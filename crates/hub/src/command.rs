//! Commands on their way to a device, and answers on their way back.

use crate::{Hub, edge::Session};
use model::{
    command::{Answer, Command, CommandState, Order},
    device::Device,
    error::{DeviceError, Fault, PostError},
    fact::What,
    id::{CommandId, IotId, Time},
    port::Signal,
};
use parking_lot::Mutex;
use std::{collections::HashMap, mem::discriminant};
use tokio::sync::mpsc;

/// Answers of one device that a waiting caller can be behind with; it takes them up at once, so
/// more than a few are never there.
const BEHIND: usize = 128;

/// Callers of this process that wait for an answer. (In a cluster the answer must come to the
/// process that asked; signals between processes carry none yet.)
#[derive(Default)]
pub struct Calls {
    listening: Mutex<Listening>,
}

#[derive(Default)]
struct Listening {
    by_device: HashMap<IotId, Vec<Ear>>,
    next: u64,
}

struct Ear {
    number: u64,
    tell: mpsc::Sender<(CommandId, Answer)>,
}

/// One caller's ear for the answers of a device.
pub(crate) struct Call<'a> {
    calls: &'a Calls,
    device: IotId,
    number: u64,
    answers: mpsc::Receiver<(CommandId, Answer)>,
}

impl Calls {
    /// Listens to the answers of a device from now on.
    pub(crate) fn listen(&self, device: &IotId) -> Call<'_> {
        let (tell, answers) = mpsc::channel(BEHIND);
        let mut listening = self.listening.lock();
        listening.next += 1;
        let number = listening.next;
        let ears = listening.by_device.entry(device.clone()).or_default();
        ears.push(Ear { number, tell });
        Call {
            calls: self,
            device: device.clone(),
            number,
            answers,
        }
    }

    fn tell(&self, device: &IotId, command: CommandId, answer: &Answer) {
        let listening = self.listening.lock();
        for ear in listening.by_device.get(device).into_iter().flatten() {
            // An ear that is full belongs to a caller that does not run any more.
            let _ = ear.tell.try_send((command, answer.clone()));
        }
    }
}

impl Call<'_> {
    /// The answer to that command.
    pub(crate) async fn answer(&mut self, command: CommandId) -> Option<Answer> {
        while let Some((answered, answer)) = self.answers.recv().await {
            if answered == command {
                return Some(answer);
            }
        }
        None
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut listening = self.calls.listening.lock();
        if let Some(ears) = listening.by_device.get_mut(&self.device) {
            ears.retain(|ear| ear.number != self.number);
            if ears.is_empty() {
                listening.by_device.remove(&self.device);
            }
        }
    }
}

impl Hub {
    /// Commands that wait for the session's device, oldest first: as many as may wait. An upgrade
    /// that the device was to be told of on a former connection is not among them: it may have been
    /// told, and even be done; it is told again when it says which version it has.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn commands_waiting(&self, session: &Session) -> Result<Vec<Command>, Fault> {
        let commands = &self.ports.commands;
        let most = self.limits.commands;
        let mut waiting = commands.waiting(&session.iot_id, self.now(), most).await?;
        let upgrade = |command: &Command| matches!(command.order, Order::Upgrade(_));
        if waiting.iter().any(upgrade) {
            let since = self.connected_since(session).await?;
            let here = |command: &Command| since.is_some_and(|since| command.created >= since);
            waiting.retain(|command| !upgrade(command) || here(command));
        }
        Ok(waiting)
    }

    /// Since when the device has this connection; none when it has it no more.
    pub(crate) async fn connected_since(&self, session: &Session) -> Result<Option<Time>, Fault> {
        let place = self.ports.presence.find(&session.iot_id).await?;
        let place = place.filter(|place| place.session == session.id);
        Ok(place.map(|place| place.since))
    }

    /// Notes that the device has a command, which is not handed to it again; false when it was so before.
    ///
    /// # Errors
    /// Engine trouble.
    pub async fn command_sent(&self, session: &Session, command: CommandId) -> Result<bool, Fault> {
        let (commands, id) = (&self.ports.commands, &session.iot_id);
        let sent = match session.via.is_some() && self.letter_arrived(id, command).await? {
            true => true,
            false => commands.sent(id, command).await?,
        };
        if sent {
            self.metrics.command("sent", 1);
        }
        Ok(sent)
    }

    /// Takes the device's answer: ends the command, journals it, wakes who waits. An answer to
    /// nothing is passed over (`Ok(false)`).
    ///
    /// # Errors
    /// `Fault`.
    pub async fn command_answered(
        &self,
        session: &Session,
        command: CommandId,
        answer: Answer,
    ) -> Result<bool, PostError> {
        let commands = &self.ports.commands;
        let id = &session.iot_id;
        let Some(asked) = commands.find(id, command).await? else {
            return Ok(false);
        };
        // Journalled before the command ends: a crash in between makes the device answer again,
        // and the answer stand in the journal twice; the other way round it would be lost.
        if let Order::GetProperties(_) = &asked.order {
            self.property_told(session, &answer).await?;
        }
        let wiring = matches!(asked.order, Order::Wire(_));
        let what = What::CommandAnswered {
            command,
            order: asked.order,
            answer: answer.clone(),
        };
        self.fact(&session.device, id, what).await?;
        if wiring {
            self.wiring_answered(id, command, &answer).await?;
        }
        if commands.done(id, command, &answer).await?.is_none() {
            return Ok(false);
        }
        if asked.state == CommandState::Waiting {
            // It was handed over, and its answer was faster than the mark.
            self.metrics.command("sent", 1);
        }
        self.metrics.command("answered", 1);
        self.calls.tell(id, command, &answer);
        Ok(true)
    }

    #[cfg(test)]
    pub(crate) fn calls_idle(&self) -> bool {
        self.calls.listening.lock().by_device.is_empty()
    }

    /// Sends an order in place of those of its kind that wait for a device that is away: it hears of
    /// the newest alone.
    pub(crate) async fn command_send_newest(
        &self,
        device: &Device,
        order: Order,
    ) -> Result<Command, DeviceError> {
        let (commands, now) = (&self.ports.commands, self.now());
        let (id, most) = (&device.iot_id, self.limits.commands);
        let mut replaced = Vec::new();
        if self.ports.presence.find(id).await?.is_none() {
            replaced = commands.waiting(id, now, most).await?;
            replaced.retain(|old| discriminant(&old.order) == discriminant(&order));
        }
        let until = now.plus(self.limits.command_life);
        let sent = self.command_send(device, order, until).await?;
        // Now that the new one is stored: a crash in between leaves both, never none.
        let void = Answer {
            code: 0,
            data: serde_json::Value::Null,
            message: "replaced".into(),
        };
        for old in replaced {
            commands.done(id, old.id, &void).await?;
        }
        Ok(sent)
    }

    /// Stores an order for a device, and wakes its connection when there is one. Stored first: a
    /// device that connects in between finds it.
    pub(crate) async fn command_send(
        &self,
        device: &Device,
        order: Order,
        until: Time,
    ) -> Result<Command, DeviceError> {
        self.command_send_as_of(device, order, self.now(), until)
            .await
    }

    /// The same for something that was decided at `created`, a little while ago.
    pub(crate) async fn command_send_as_of(
        &self,
        device: &Device,
        order: Order,
        created: Time,
        until: Time,
    ) -> Result<Command, DeviceError> {
        let ports = &self.ports;
        let bound = self.limits.commands;
        let stored = ports
            .commands
            .push(&device.key, &device.iot_id, &order, created, until, bound)
            .await?;
        let Some(command) = stored else {
            self.metrics.command("refused", 1);
            let text = format!("{bound} commands wait for the device already");
            return Err(DeviceError::TooMuch(text));
        };
        self.metrics.command("stored", 1);
        let what = What::CommandSent {
            command: command.id,
            order,
        };
        self.fact(&device.key, &device.iot_id, what).await?;
        self.commands_wake(&device.iot_id).await?;
        Ok(command)
    }

    /// Wakes the connection of a device, if there is one, as commands wait for it.
    pub(crate) async fn commands_wake(&self, id: &IotId) -> Result<(), Fault> {
        if let Some(place) = self.ports.presence.find(id).await? {
            let signal = Signal::CommandsWait { iot_id: id.clone() };
            // The command is stored; a word that is lost only makes it wait for the next one.
            if let Err(fault) = self.ports.bus.send(&place.node, signal).await {
                tracing::warn!(%fault, device = %id, "a connection was not woken");
            }
        }
        Ok(())
    }
}

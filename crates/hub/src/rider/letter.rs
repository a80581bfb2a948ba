//! Messages at QoS 1 for sub-devices ([AL-6.2], seed 001 §6.4 `cleanSession`).
//!
//! A sub-device has no session of its own in which messages could wait: its gateway's ends with the
//! gateway's connection, and does not know who logs in when. They wait as orders do, in the store,
//! until it is known that the device has them.

use crate::Hub;
use model::{
    command::{Answer, Command, Letter, Order},
    error::Fault,
    id::{CommandId, IotId},
};
use serde_json::Value;

impl Hub {
    /// Whether messages at QoS 1 for this device wait until it has them: those for a sub-device that
    /// is away, and those for one whose login wants it so.
    pub(crate) async fn letter_waits(&self, device: &IotId) -> Result<bool, Fault> {
        if let Some(session) = self.riders.last(device) {
            return Ok(session.via.as_ref().is_some_and(|via| via.keeps));
        }
        let away = self.ports.presence.find(device).await?.is_none();
        // Of a device that is bound to no gateway its own session knows.
        Ok(away && self.topo_of(device).await?.is_some())
    }

    /// Keeps a message until the device has it: at most as many as half of the commands that may
    /// wait for a device, so that there is always room for those; the oldest ones go.
    pub(crate) async fn letter_keep(&self, device: &IotId, letter: Letter) -> Result<(), Fault> {
        let Some(row) = self.ports.devices.find_id(device).await? else {
            return Ok(());
        };
        let (commands, most) = (&self.ports.commands, self.limits.commands);
        let letters = self.letters(device).await?;
        let over = (letters.len() + 1).saturating_sub((most / 2).max(1));
        for letter in letters.into_iter().take(over) {
            self.letter_end(device, letter.id).await?;
            self.metrics.publish_dropped("queue full");
        }
        let (now, order) = (self.now(), Order::Hear(Box::new(letter)));
        let until = now.plus(self.limits.command_life);
        let stored = commands.push(&row.key, device, &order, now, until, most);
        if stored.await?.is_none() {
            self.metrics.command("refused", 1);
            return Err(Fault::passing("a message finds no place to wait"));
        }
        self.metrics.command("stored", 1);
        self.commands_wake(device).await
    }

    /// Forgets the messages that wait for a device.
    pub(super) async fn letters_drop(&self, device: &IotId) -> Result<(), Fault> {
        for letter in self.letters(device).await? {
            self.letter_end(device, letter.id).await?;
            self.metrics.publish_dropped("clean session");
        }
        Ok(())
    }

    /// Notes that a device has a message; false when the command is none.
    pub(crate) async fn letter_arrived(
        &self,
        device: &IotId,
        command: CommandId,
    ) -> Result<bool, Fault> {
        let found = self.ports.commands.find(device, command).await?;
        if !found.is_some_and(|found| is_letter(&found)) {
            return Ok(false);
        }
        self.letter_end(device, command).await
    }

    async fn letters(&self, device: &IotId) -> Result<Vec<Command>, Fault> {
        let (commands, most) = (&self.ports.commands, self.limits.commands);
        let mut waiting = commands.waiting(device, self.now(), most).await?;
        waiting.retain(is_letter);
        Ok(waiting)
    }

    async fn letter_end(&self, device: &IotId, command: CommandId) -> Result<bool, Fault> {
        let nothing = Answer {
            code: 0,
            data: Value::Null,
            message: String::new(),
        };
        let ended = self.ports.commands.done(device, command, &nothing).await?;
        Ok(ended.is_some())
    }
}

fn is_letter(command: &Command) -> bool {
    matches!(command.order, Order::Hear(_))
}

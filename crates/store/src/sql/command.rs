//! Commands that wait for a device or for its answer.

use super::{Sql, Trouble, damaged, limit};
use async_trait::async_trait;
use model::{
    command::{Answer, Command, CommandState, Order},
    error::Fault,
    id::{CommandId, DeviceKey, IotId, Time},
    port::Commands,
};
use rusqlite::{Connection, OptionalExtension, Row};

/// What a command is made of, as `command` reads it.
macro_rules! columns {
    () => {
        "id, iot_id, product, name, task, created, until, sent"
    };
}
pub(super) use columns;

#[async_trait]
impl Commands for Sql {
    async fn push(
        &self,
        device: &DeviceKey,
        id: &IotId,
        order: &Order,
        created: Time,
        until: Time,
        bound: usize,
    ) -> Result<Option<Command>, Fault> {
        let (device, iot_id, order) = (device.clone(), id.clone(), order.clone());
        self.write_unless_refused(move |c| {
            let waiting: i64 = c
                .prepare_cached(
                    "SELECT count(*) FROM command WHERE iot_id = ? AND sent = 0 AND until >= ?",
                )?
                .query_row((iot_id.as_str(), created.0), |row| row.get(0))?;
            if waiting >= limit(bound) {
                return Err(Trouble::Refused);
            }
            let command = Command {
                id: free_id(c)?,
                device,
                iot_id,
                order,
                created,
                until,
                state: CommandState::Waiting,
            };
            enter(c, &command)?;
            Ok(command)
        })
        .await
    }

    async fn waiting(&self, id: &IotId, now: Time, most: usize) -> Result<Vec<Command>, Fault> {
        self.read(|c| {
            c.prepare_cached(concat!(
                "SELECT ",
                columns!(),
                " FROM command WHERE iot_id = ? AND sent = 0 AND until >= ?
                  ORDER BY number LIMIT ?"
            ))?
            .query_map((id.as_str(), now.0, limit(most)), command)?
            .collect()
        })
    }

    async fn find(&self, id: &IotId, command_id: CommandId) -> Result<Option<Command>, Fault> {
        self.read(|c| {
            c.prepare_cached(concat!(
                "SELECT ",
                columns!(),
                " FROM command WHERE id = ? AND iot_id = ?"
            ))?
            .query_row((command_id.0, id.as_str()), command)
            .optional()
        })
    }

    async fn sent(&self, id: &IotId, command: CommandId) -> Result<bool, Fault> {
        let id = id.clone();
        self.write(move |c| {
            let marked = c
                .prepare_cached(
                    "UPDATE command SET sent = 1 WHERE id = ? AND iot_id = ? AND sent = 0",
                )?
                .execute((command.0, id.as_str()))?;
            Ok(marked > 0)
        })
        .await
    }

    async fn done(
        &self,
        id: &IotId,
        command_id: CommandId,
        _: &Answer,
    ) -> Result<Option<Command>, Fault> {
        let id = id.clone();
        self.write(move |c| {
            let done = c
                .prepare_cached(concat!(
                    "DELETE FROM command WHERE id = ? AND iot_id = ? RETURNING ",
                    columns!()
                ))?
                .query_row((command_id.0, id.as_str()), command)
                .optional()?;
            Ok(done)
        })
        .await
    }

    async fn expire(&self, now: Time, most: usize) -> Result<u64, Fault> {
        self.write(move |c| {
            let gone = c
                .prepare_cached(
                    "DELETE FROM command WHERE number IN
                     (SELECT number FROM command WHERE until < ? ORDER BY until LIMIT ?)",
                )?
                .execute((now.0, limit(most)))?;
            Ok(gone as u64)
        })
        .await
    }
}

/// The next number that no kept command has; after the last one comes 1 again.
fn free_id(c: &Connection) -> Result<CommandId, Trouble> {
    let mut id = last_id(c)?.unwrap_or(0);
    let mut kept = c.prepare_cached("SELECT 1 FROM command WHERE id = ?")?;
    loop {
        id = id.checked_add(1).unwrap_or(1);
        if !kept.exists([id])? {
            break;
        }
    }
    keep_last_id(c, id)?;
    Ok(CommandId(id))
}

/// The number that was given last; none when none ever was.
pub(super) fn last_id(c: &Connection) -> rusqlite::Result<Option<u32>> {
    c.prepare_cached("SELECT last FROM sequence WHERE name = ' command'")?
        .query_row([], |row| row.get(0))
        .optional()
}

pub(super) fn keep_last_id(c: &Connection, id: u32) -> Result<(), Trouble> {
    c.prepare_cached("INSERT OR REPLACE INTO sequence (name, last) VALUES (' command', ?)")?
        .execute([id])?;
    Ok(())
}

/// Enters the command as it is.
pub(super) fn enter(c: &Connection, command: &Command) -> Result<(), Trouble> {
    let task = serde_json::to_string(&command.order);
    let task = task.map_err(|e| Fault::lasting(format!("a command: {e}")))?;
    c.prepare_cached(
        "INSERT INTO command (id, iot_id, product, name, task, created, until, sent)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )?
    .execute((
        command.id.0,
        command.iot_id.as_str(),
        command.device.product.as_str(),
        command.device.name.as_str(),
        task,
        command.created.0,
        command.until.0,
        command.state == CommandState::Sent,
    ))?;
    Ok(())
}

pub(super) fn command(row: &Row<'_>) -> rusqlite::Result<Command> {
    let text = |column| {
        row.get_ref(column)?
            .as_str()
            .map_err(|e| damaged(column, e))
    };
    Ok(Command {
        id: CommandId(row.get(0)?),
        iot_id: IotId::parse(text(1)?).map_err(|e| damaged(1, e))?,
        device: DeviceKey::parse(text(2)?, text(3)?).map_err(|e| damaged(2, e))?,
        order: serde_json::from_str(text(4)?).map_err(|e| damaged(4, e))?,
        created: Time(row.get(5)?),
        until: Time(row.get(6)?),
        state: if row.get(7)? {
            CommandState::Sent
        } else {
            CommandState::Waiting
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Options;
    use model::id::NodeId;

    /// Ids fit 32 bits, come round after the last one, and pass over what is kept.
    #[tokio::test]
    async fn ids_come_round_and_pass_over_commands_that_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let options = Options::of(NodeId::parse("one").unwrap());
        let sql = Sql::open_alone(folder.path(), &options).unwrap();
        let device = DeviceKey::parse("pk", "lamp").unwrap();
        let iot_id = IotId::parse("id").unwrap();
        let order = Order::SetProperties(serde_json::Map::new());
        let push = async || {
            let pushed = sql.push(&device, &iot_id, &order, Time(0), Time(9), 10);
            pushed.await.unwrap().unwrap().id.0
        };
        assert_eq!(push().await, 1);
        assert_eq!(push().await, 2);
        sql.write(|c| {
            let set = "UPDATE sequence SET last = ? WHERE name = ' command'";
            Ok(c.execute(set, [u32::MAX - 1])?)
        })
        .await
        .unwrap();
        assert_eq!(push().await, u32::MAX);
        assert_eq!(push().await, 3);
    }
}

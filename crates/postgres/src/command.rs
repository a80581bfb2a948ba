//! Commands that wait for a device or for its answer.

use crate::{Registry, fault::damaged, lease::Alone, limit};
use async_trait::async_trait;
use model::{
    command::{Answer, Command, CommandState, Order},
    error::Fault,
    id::{CommandId, DeviceKey, IotId, Time},
    port::Commands,
};
use tokio_postgres::Row;

/// What a command is made of, as `command` reads it.
macro_rules! columns {
    () => {
        "id, iot_id, product, name, task, created, until, sent"
    };
}
pub(crate) use columns;

/// Enters the command when fewer than $7 wait; says how many wait, and the command's number: none
/// when a command that is still kept has it, after numbers came round.
const PUSH: &str = "WITH waiting AS (
        SELECT count(*) AS many FROM (
            SELECT 1 FROM command WHERE iot_id = $1 AND NOT sent AND until >= $5 LIMIT $7
        ) AS few
    ), entered AS (
        INSERT INTO command (id, iot_id, product, name, task, created, until, sent)
        SELECT nextval('command_id'), $1, $2, $3, $4, $5, $6, false
        FROM waiting WHERE many < $7
        ON CONFLICT (id) DO NOTHING RETURNING id
    )
    SELECT many, (SELECT id FROM entered) FROM waiting";

#[async_trait]
impl Commands for Registry {
    async fn push(
        &self,
        device: &DeviceKey,
        id: &IotId,
        order: &Order,
        created: Time,
        until: Time,
        bound: usize,
    ) -> Result<Option<Command>, Fault> {
        let task = task(order)?;
        let bound = limit(bound);
        let mut lease = self.lease().await?;
        lease.begin_alone(Alone::Commands, id.as_str()).await?;
        let number = loop {
            let row = lease
                .row(
                    PUSH,
                    &[
                        &id.as_str(),
                        &device.product.as_str(),
                        &device.name.as_str(),
                        &task,
                        &created.0,
                        &until.0,
                        &bound,
                    ],
                )
                .await?;
            let Some(row) = row else {
                return Err(Fault::lasting("a command was neither entered nor refused"));
            };
            if row.get::<_, i64>(0) >= bound {
                lease.undo().await?;
                return Ok(None);
            }
            if let Some(number) = row.get::<_, Option<i64>>(1) {
                break command_id(number)?;
            }
        };
        lease.commit().await?;
        Ok(Some(Command {
            id: number,
            device: device.clone(),
            iot_id: id.clone(),
            order: order.clone(),
            created,
            until,
            state: CommandState::Waiting,
        }))
    }

    async fn waiting(&self, id: &IotId, now: Time, most: usize) -> Result<Vec<Command>, Fault> {
        let waiting = concat!(
            "SELECT ",
            columns!(),
            " FROM command WHERE iot_id = $1 AND NOT sent AND until >= $2
              ORDER BY number LIMIT $3"
        );
        let rows = self
            .rows(waiting, &[&id.as_str(), &now.0, &limit(most)])
            .await?;
        rows.iter().map(command).collect()
    }

    async fn find(&self, id: &IotId, number: CommandId) -> Result<Option<Command>, Fault> {
        let find = concat!(
            "SELECT ",
            columns!(),
            " FROM command WHERE id = $1 AND iot_id = $2"
        );
        let row = self
            .row(find, &[&i64::from(number.0), &id.as_str()])
            .await?;
        row.as_ref().map(command).transpose()
    }

    async fn sent(&self, id: &IotId, number: CommandId) -> Result<bool, Fault> {
        let sent = "UPDATE command SET sent = true WHERE id = $1 AND iot_id = $2 AND NOT sent
             RETURNING 1";
        let row = self
            .row(sent, &[&i64::from(number.0), &id.as_str()])
            .await?;
        Ok(row.is_some())
    }

    async fn done(
        &self,
        id: &IotId,
        number: CommandId,
        _: &Answer,
    ) -> Result<Option<Command>, Fault> {
        let done = concat!(
            "DELETE FROM command WHERE id = $1 AND iot_id = $2 RETURNING ",
            columns!()
        );
        let row = self
            .row(done, &[&i64::from(number.0), &id.as_str()])
            .await?;
        row.as_ref().map(command).transpose()
    }

    async fn expire(&self, now: Time, most: usize) -> Result<u64, Fault> {
        let expire = "DELETE FROM command WHERE number = ANY (ARRAY(
                 SELECT number FROM command WHERE until < $1 ORDER BY until LIMIT $2
                 FOR UPDATE SKIP LOCKED))
             RETURNING 1";
        Ok(self.rows(expire, &[&now.0, &limit(most)]).await?.len() as u64)
    }
}

pub(crate) fn task(order: &Order) -> Result<String, Fault> {
    serde_json::to_string(order).map_err(|e| Fault::lasting(format!("a command: {e}")))
}

pub(crate) fn command_id(number: i64) -> Result<CommandId, Fault> {
    u32::try_from(number)
        .map(CommandId)
        .map_err(|e| damaged("command's number", e))
}

pub(crate) fn command(row: &Row) -> Result<Command, Fault> {
    let bad = |e: &dyn std::fmt::Display| damaged("command", e);
    Ok(Command {
        id: command_id(row.get(0))?,
        iot_id: IotId::parse(row.get(1)).map_err(|e| bad(&e))?,
        device: DeviceKey::parse(row.get(2), row.get(3)).map_err(|e| bad(&e))?,
        order: serde_json::from_str(row.get(4)).map_err(|e| bad(&e))?,
        created: Time(row.get(5)),
        until: Time(row.get(6)),
        state: if row.get(7) {
            CommandState::Sent
        } else {
            CommandState::Waiting
        },
    })
}

//! The file that a gateway is told to fetch, and what it said to it.

use super::Placed;
use crate::{
    Hub,
    account::Permit,
    document::{put, remove},
};
use credential::{Secret, crypto::digest::Hash};
use model::{
    command::{Answer, CommandState, Configuration, Order},
    error::{DeviceError, Fault},
    id::{CommandId, DeviceKey, IotId, ProductKey, Time},
    port::{Expect, SecretId},
    wiring::{Channel, Mapping},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The last push, by the id of its gateway.
const PUSHED: &str = "wiring-push";

/// Everything that a gateway is told.
pub struct Wiring {
    /// The gateway's own secret.
    pub secret: Secret,
    /// Its channels, with the passwords of their users.
    pub channels: Vec<(Channel, Option<Secret>)>,
    /// Where its sub-devices are.
    pub places: Vec<Placed>,
    /// The products of all its sub-devices, in the order of their keys.
    pub products: Vec<WiredProduct>,
}

/// A product of sub-devices.
pub struct WiredProduct {
    /// Its key.
    pub key: ProductKey,
    /// Where its functions lie.
    pub mapping: Option<Mapping>,
    /// Its published thing model.
    pub tsl: Option<Value>,
}

/// What a gateway was told last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pushed {
    /// The file.
    pub document: Configuration,
    /// The order.
    pub command: CommandId,
    /// When.
    pub at: Time,
    /// What the gateway answered.
    pub reply: Option<Reply>,
    /// Where the order stands while there is no answer; none when it is too old to be sent.
    #[serde(skip)]
    pub state: Option<CommandState>,
}

/// A gateway's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// 200 when it took it.
    pub code: i64,
    /// Its words.
    pub message: String,
    /// When.
    pub at: Time,
}

impl Hub {
    /// Tells a gateway how to reach its sub-devices: writes the file with `render`, and orders the
    /// gateway to fetch it, now or when it is there. The file of before is removed.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for a device that is no gateway and for what `render` cannot write,
    /// `TooMuch` when too many orders wait.
    pub async fn wiring_push(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
        render: impl FnOnce(&Wiring) -> Result<Vec<u8>, String> + Send,
    ) -> Result<Pushed, DeviceError> {
        let row = self.topo_gateway_owned(permit, gateway).await?;
        let wiring = self.wiring(&row.iot_id).await?;
        let content = render(&wiring).map_err(DeviceError::BadRequest)?;
        let number = self.ports.catalog.next("wiring").await?;
        let blob = format!("wiring-{number}");
        let document = Configuration {
            id: format!("w{number}"),
            size: content.len() as u64,
            sha256: Hash::Sha256.hex(&content),
            blob: blob.clone(),
        };
        let mut file = self.blob_create(&blob).await?;
        file.write(content.into()).await?;
        file.finish().await?;
        let order = Order::Wire(Box::new(document.clone()));
        let sent = self.command_send_newest(&row, order).await;
        let command = match sent {
            Ok(command) => command.id,
            Err(error) => {
                self.ports.blobs.remove(&blob).await?;
                return Err(error);
            }
        };
        let pushed = Pushed {
            document,
            command,
            at: self.now(),
            reply: None,
            state: Some(CommandState::Waiting),
        };
        let id = row.iot_id.as_str();
        let former = self.document::<Pushed>(PUSHED, id).await?;
        let puts = vec![put(PUSHED, id.to_owned(), &pushed, Expect::Anything)?];
        self.document_put(puts).await?;
        if let Some(former) = former {
            self.ports.blobs.remove(&former.value.document.blob).await?;
        }
        Ok(pushed)
    }

    /// What a gateway was told last; none when it never was.
    ///
    /// # Errors
    /// `NotFound`, `BadRequest` for a device that is no gateway.
    pub async fn wiring_pushed(
        &self,
        permit: &Permit,
        gateway: &DeviceKey,
    ) -> Result<Option<Pushed>, DeviceError> {
        let row = self.topo_gateway_owned(permit, gateway).await?;
        let found = self.document::<Pushed>(PUSHED, row.iot_id.as_str()).await?;
        let Some(mut pushed) = found.map(|found| found.value) else {
            return Ok(None);
        };
        if pushed.reply.is_none() {
            let commands = &self.ports.commands;
            let command = commands.find(&row.iot_id, pushed.command).await?;
            let command = command.filter(|command| command.until > self.now());
            pushed.state = command.map(|command| command.state);
        }
        Ok(Some(pushed))
    }

    /// Keeps what a gateway answered to its last push.
    pub(crate) async fn wiring_answered(
        &self,
        gateway: &IotId,
        command: CommandId,
        answer: &Answer,
    ) -> Result<(), Fault> {
        let reply = Reply {
            code: answer.code,
            message: answer.message.clone(),
            at: self.now(),
        };
        let change = |pushed: &mut Pushed| {
            if pushed.command == command && pushed.reply.is_none() {
                pushed.reply = Some(reply.clone());
            }
        };
        self.document_change(PUSHED, gateway.as_str(), change)
            .await?;
        Ok(())
    }

    pub(super) async fn push_forget(&self, gateway: &IotId) -> Result<(), Fault> {
        let found = self.document::<Pushed>(PUSHED, gateway.as_str()).await?;
        let Some(found) = found else {
            return Ok(());
        };
        self.ports.blobs.remove(&found.value.document.blob).await?;
        let gone = remove(PUSHED, gateway.to_string(), Expect::Anything);
        self.document_put(vec![gone]).await?;
        Ok(())
    }

    async fn wiring(&self, gateway: &IotId) -> Result<Wiring, DeviceError> {
        let secret = self.secret_open(&SecretId::Device(gateway.clone())).await?;
        let secret = secret.ok_or(DeviceError::NotFound)?;
        let mut channels = Vec::new();
        for channel in self.channels(gateway).await?.0 {
            let id = super::password_id(gateway, &channel.id);
            let password = self.secret_open(&id).await?;
            channels.push((channel, password));
        }
        let mut places: BTreeMap<DeviceKey, Placed> = BTreeMap::new();
        for placed in self.places(gateway).await? {
            places.insert(placed.sub.clone(), placed);
        }
        let mut keys = BTreeSet::new();
        for relation in self.topo_relations(gateway).await? {
            keys.insert(relation.sub.product);
        }
        let mut products = Vec::with_capacity(keys.len());
        for key in keys {
            let model = self.shelf_model(&key).await?;
            let tsl = model.map(|model| {
                let version = Some(model.version.as_str());
                model.tsl.to_document(key.as_str(), version, false)
            });
            products.push(WiredProduct {
                mapping: self.mapping(&key).await?,
                tsl,
                key,
            });
        }
        Ok(Wiring {
            secret,
            channels,
            places: places.into_values().collect(),
            products,
        })
    }
}

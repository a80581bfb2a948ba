//! What a gateway does for its sub-devices before they can speak: it binds them to itself, once,
//! and logs them in, with every connection anew (seed 001 §6.3, §6.4).

use crate::{
    line::Line,
    link::{Link, Sent},
    login::method,
};
use credential::alink::Channel;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::timeout;
use wire::mqtt::Packet;

/// Sub-devices in one message.
const BATCH: usize = 50;
/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(60);

impl Line {
    /// Binds and logs in all sub-devices that are away; false when the connection is lost meanwhile.
    pub(crate) async fn bring_subs(&mut self, link: &mut Link) -> bool {
        let topic = {
            let gateway = &self.bodies[0].device;
            let (product, name) = (&gateway.product, &gateway.name);
            [
                format!("/sys/{product}/{name}/thing/topo/add"),
                format!("/ext/session/{product}/{name}/combine/batch_login"),
            ]
        };
        let now = crate::line::now();
        let all: Vec<usize> = (1..self.bodies.len()).collect();
        for some in all.chunks(BATCH) {
            let away = some.iter().filter(|at| !self.bodies[**at].online);
            let some: Vec<usize> = away.copied().collect();
            if some.is_empty() {
                continue;
            }
            if !self.bound {
                let proofs = json!(self.proofs(&some, Channel::TopoAdd, now));
                let asked = self.ask(link, &topic[0], "thing.topo.add", &proofs);
                match asked.await {
                    Some(reply) if reply["code"] == 200 => {}
                    Some(reply) => self.turned_down("binding", &reply),
                    None => return false,
                }
            }
            let proofs = self.proofs(&some, Channel::SubDeviceLogin, now);
            let logins = json!({"signMethod": method(), "deviceList": proofs});
            let asked = self.ask(link, &topic[1], "combine.batch_login", &logins);
            match asked.await {
                Some(reply) if reply["code"] == 200 => {
                    for at in some {
                        self.arrives(at);
                        self.bodies[at].greet(at, link);
                    }
                }
                Some(reply) => self.turned_down("login", &reply),
                None => return false,
            }
        }
        self.bound = true;
        link.flush().await.is_ok()
    }

    fn proofs(&self, subs: &[usize], channel: Channel, now: u64) -> Vec<Value> {
        let subs = subs.iter().map(|at| &self.bodies[*at].device);
        subs.filter_map(|sub| sub.proof(channel, now)).collect()
    }

    fn turned_down(&self, what: &str, reply: &Value) {
        let (code, message) = (&reply["code"], reply["message"].as_str());
        let why = format!("sub-device {what}: {code} {}", message.unwrap_or_default());
        self.stage.board.note(|tally| tally.refuses(why));
    }

    /// Asks and waits for the reply; what comes in between is kept. `None` when the connection is
    /// lost.
    async fn ask(
        &mut self,
        link: &mut Link,
        topic: &str,
        method: &str,
        params: &Value,
    ) -> Option<Value> {
        let word = link.word();
        let request = json!({"id": word, "version": "1.0", "params": params, "method": method});
        link.tell(topic, request.to_string(), Sent::Other);
        link.flush().await.ok()?;
        let to = format!("{topic}_reply");
        let answered = async {
            loop {
                let packet = link.next().await?;
                link.flush().await.ok()?;
                if let Packet::Publish(message) = &packet
                    && *message.topic == *to
                    && let Ok(reply) = serde_json::from_slice::<Value>(&message.payload)
                    && reply["id"] == word.as_str()
                {
                    return Some(reply);
                }
                link.kept.push_back(packet);
            }
        };
        timeout(PATIENCE, answered).await.ok().flatten()
    }
}

//! Gateways and their sub-devices, chapters 5 and 6.2 to 6.5 of document 001, from outside.

mod batch;
mod clients;
mod edges;
mod session;
mod topology;
mod wiring;

use credential::{
    Secret,
    alink::{Channel, SignMethod, sign},
};
use serde_json::{Value, json};
use tests::{
    Server,
    http::{rpc_call, send_rpc},
    mqtt::{Login, Mqtt},
    server::Key,
};
use wire::mqtt::{Ack, Packet, QoS, ReasonCode, Version};

/// A device with its secret.
#[derive(Clone)]
struct Sub {
    product: String,
    name: String,
    secret: String,
}

impl Sub {
    fn names(&self) -> Value {
        json!({"productKey": self.product, "deviceName": self.name})
    }

    /// Its own topic below `/sys`.
    fn topic(&self, rest: &str) -> String {
        format!("/sys/{}/{}{rest}", self.product, self.name)
    }

    /// Names and proof for `thing/topo/add` or a login.
    fn proof(&self, channel: Channel) -> Value {
        let id = format!("{}.{}|_ss=1|", self.product, self.name);
        let fields = [
            ("clientId", id.as_str()),
            ("deviceName", self.name.as_str()),
            ("productKey", self.product.as_str()),
            ("timestamp", "1524448722000"),
        ];
        let secret = Secret::new(self.secret.as_bytes().to_vec());
        json!({
            "productKey": self.product, "deviceName": self.name, "clientId": id,
            "timestamp": "1524448722000", "signMethod": "hmacSha256",
            "sign": sign(&secret, SignMethod::HmacSha256, channel, &fields),
        })
    }

    fn binding(&self) -> Value {
        self.proof(Channel::TopoAdd)
    }

    fn login(&self) -> Value {
        let mut login = self.proof(Channel::SubDeviceLogin);
        login["cleanSession"] = "true".into();
        login
    }
}

/// A gateway's connection.
struct Gateway {
    names: Sub,
    line: Mqtt,
    id: u32,
}

impl Gateway {
    /// Sends an Alink request on a topic and gives back the reply.
    fn ask_on(&mut self, topic: &str, params: &Value) -> Value {
        self.id += 1;
        let request = json!({"id": self.id.to_string(), "version": "1.0", "params": params});
        self.line
            .publish_acknowledged(topic, request.to_string().as_bytes());
        let reply = self.line.message(&format!("{topic}_reply"));
        let reply: Value = serde_json::from_slice(&reply).expect("JSON");
        assert_eq!(reply["id"], self.id.to_string(), "{reply}");
        reply
    }

    /// Asks below `/sys/{gateway}`.
    fn ask(&mut self, rest: &str, params: &Value) -> Value {
        let topic = self.names.topic(rest);
        self.ask_on(&topic, params)
    }

    /// Asks below `/ext/session/{gateway}/combine`.
    fn combine(&mut self, what: &str, params: &Value) -> Value {
        let Sub { product, name, .. } = &self.names;
        let topic = format!("/ext/session/{product}/{name}/combine/{what}");
        self.ask_on(&topic, params)
    }

    fn bind(&mut self, sub: &Sub) {
        let reply = self.ask("/thing/topo/add", &json!([sub.binding()]));
        assert_eq!(reply["code"], 200, "{reply}");
    }

    fn login(&mut self, sub: &Sub) {
        let reply = self.combine("login", &sub.login());
        assert_eq!(reply["code"], 200, "{reply}");
        assert_eq!(reply["data"], sub.names());
    }

    /// The next word on the error topic.
    fn error(&mut self) -> Value {
        let Sub { product, name, .. } = &self.names;
        let topic = format!("/ext/error/{product}/{name}");
        serde_json::from_slice(&self.line.message(&topic)).expect("JSON")
    }

    /// The next notice of a changed topology.
    fn change(&mut self) -> Value {
        let topic = self.names.topic("/thing/topo/change");
        let told: Value = serde_json::from_slice(&self.line.message(&topic)).expect("JSON");
        told["params"].clone()
    }
}

/// A server with a product of gateways and one of sub-devices, both with the thermometer's model.
struct Yard {
    server: Server,
    key: Key,
    gateways: String,
    subs: String,
}

impl Yard {
    fn open() -> Self {
        Self::open_with(&[])
    }

    fn open_with(settings: &[&str]) -> Self {
        let mut server = Server::start_with(settings);
        let key = server.key();
        let model = tests::root().join("examples/thermometer.json");
        let model = model.to_str().expect("a plain path").to_owned();
        let make = |name: &str, node: &str| {
            let words = ["product", "create", name, "--node", node, "--model", &model];
            let made = server.cli(&words);
            made["product_key"].as_str().expect("a key").to_owned()
        };
        let (gateways, subs) = (make("gateway", "gateway"), make("sensor", "subdevice"));
        Self {
            server,
            key,
            gateways,
            subs,
        }
    }

    fn sub(&self, name: &str) -> Sub {
        Sub {
            product: self.subs.clone(),
            name: name.to_owned(),
            secret: self.server.device(&self.subs, name),
        }
    }

    /// A gateway that is connected and gets the vendor's topics without subscribing.
    fn gateway(&self, name: &str) -> Gateway {
        let names = Sub {
            product: self.gateways.clone(),
            name: name.to_owned(),
            secret: self.server.device(&self.gateways, name),
        };
        self.connect(names, ",_ss=1")
    }

    fn connect(&self, names: Sub, parameters: &str) -> Gateway {
        let mut line = Mqtt::open(self.server.address("mqtt"), None, Version::V311);
        let login = Login::signed(&names.product, &names.name, &names.secret, parameters);
        assert_eq!(line.connect(&login, true, 600).reason, ReasonCode::Success);
        Gateway { names, line, id: 0 }
    }

    /// A gateway with sub-devices that are bound and logged in.
    fn set(&self, gateway: &str, subs: &[&str]) -> (Gateway, Vec<Sub>) {
        let mut gateway = self.gateway(gateway);
        let subs: Vec<_> = subs.iter().map(|name| self.sub(name)).collect();
        for sub in &subs {
            gateway.bind(sub);
            gateway.login(sub);
        }
        (gateway, subs)
    }

    /// Calls an action; its answer, whatever it is.
    fn told(&self, action: &str, params: &[(&str, &str)]) -> Value {
        let call = rpc_call(&self.key, "GET", action, params);
        send_rpc(self.server.address("http"), "GET", &call).json()
    }

    /// Calls an action about a device, which must succeed.
    fn call(&self, action: &str, sub: &Sub, more: &[(&str, &str)]) -> Value {
        let device = [
            ("ProductKey", sub.product.as_str()),
            ("DeviceName", sub.name.as_str()),
        ];
        let told = self.told(action, &[&device, more].concat());
        assert_eq!(told["Success"], true, "{action} {more:?}: {told}");
        told
    }

    fn status(&self, sub: &Sub) -> String {
        let told = self.call("GetDeviceStatus", sub, &[]);
        told["Data"]["Status"].as_str().expect("a word").to_owned()
    }

    fn becomes(&self, sub: &Sub, status: &str) {
        tests::eventually(&format!("{} {status}", sub.name), || {
            (self.status(sub) == status).then_some(())
        });
    }

    /// The latest value of the temperature; empty when there is none.
    fn temperature(&self, sub: &Sub) -> String {
        let told = self.call("QueryDevicePropertyStatus", sub, &[]);
        let rows = told["Data"]["List"]["PropertyStatusInfo"].as_array();
        let mut rows = rows.expect("rows").iter();
        let row = rows.find(|row| row["Identifier"] == "temperature");
        row.expect("a row")["Value"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// The next message on a topic that begins so: the rest of the topic, and the payload.
fn request(line: &mut Mqtt, beginning: &str) -> (String, Value) {
    let what = format!("a message on {beginning}…");
    let packet = line.wait(
        &what,
        |p| matches!(p, Packet::Publish(p) if p.topic.starts_with(beginning)),
    );
    let Packet::Publish(message) = packet else {
        unreachable!("it was asked for")
    };
    if let (QoS::AtLeastOnce, Some(id)) = (message.qos, message.packet_id) {
        line.send(&Packet::PubAck(Ack::new(id, ReasonCode::Success)));
    }
    let rest = message.topic[beginning.len()..].to_owned();
    (
        rest,
        serde_json::from_slice(&message.payload).expect("JSON"),
    )
}

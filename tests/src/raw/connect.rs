//! CONNECT.

use super::{
    Props, V5, V31,
    packet::{field, frame},
    property::string,
};

/// A will.
#[derive(Debug, Clone)]
pub struct Will {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Vec<u8>,
    /// 0 to 2.
    pub qos: u8,
    /// RETAIN.
    pub retain: bool,
    /// Will properties.
    pub props: Props,
}

impl Will {
    /// A will at QoS 0.
    pub fn new(topic: &str, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.as_ref().into(),
            qos: 0,
            retain: false,
            props: Props::new(),
        }
    }

    /// The same at this level.
    #[must_use]
    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    /// The same with RETAIN.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// The same with properties.
    #[must_use]
    pub fn with(mut self, props: Props) -> Self {
        self.props = props;
        self
    }
}

/// What a CONNECT says.
#[derive(Debug, Clone)]
pub struct Connect {
    id: Vec<u8>,
    clean: bool,
    keep_alive: u16,
    will: Option<Will>,
    user: Option<String>,
    password: Option<Vec<u8>>,
    props: Props,
    flags: Option<u8>,
    level: Option<u8>,
    name: Option<String>,
}

impl Connect {
    /// A clean session of this client, without keep alive.
    pub fn new(id: impl AsRef<[u8]>) -> Self {
        Self {
            id: id.as_ref().into(),
            clean: true,
            keep_alive: 0,
            will: None,
            user: None,
            password: None,
            props: Props::new(),
            flags: None,
            level: None,
            name: None,
        }
    }

    /// The same with Clean Session or Clean Start 0.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.clean = false;
        self
    }

    /// The same with a keep alive in seconds.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// The same with a will.
    #[must_use]
    pub fn will(mut self, will: Will) -> Self {
        self.will = Some(will);
        self
    }

    /// The same with a user name.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = Some(user.into());
        self
    }

    /// The same with a password.
    #[must_use]
    pub fn password(mut self, password: &[u8]) -> Self {
        self.password = Some(password.into());
        self
    }

    /// The same with properties.
    #[must_use]
    pub fn with(mut self, props: Props) -> Self {
        self.props = props;
        self
    }

    /// The same with a Session Expiry Interval.
    #[must_use]
    pub fn expiry(mut self, seconds: u32) -> Self {
        self.props = self.props.number(super::id::SESSION_EXPIRY, seconds);
        self
    }

    /// The same with these flags, whatever they should be.
    #[must_use]
    pub fn flags(mut self, flags: u8) -> Self {
        self.flags = Some(flags);
        self
    }

    /// The same with this protocol level.
    #[must_use]
    pub fn level(mut self, level: u8) -> Self {
        self.level = Some(level);
        self
    }

    /// The same with this protocol name.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The packet.
    pub fn bytes(&self, version: u8) -> Vec<u8> {
        let v5 = version == V5;
        let mut flags = u8::from(self.clean) << 1;
        if let Some(will) = &self.will {
            flags |= 4 | will.qos << 3 | u8::from(will.retain) << 5;
        }
        flags |= u8::from(self.user.is_some()) << 7 | u8::from(self.password.is_some()) << 6;
        let name = if version == V31 { "MQIsdp" } else { "MQTT" };
        let mut body = Vec::new();
        string(self.name.as_deref().unwrap_or(name), &mut body);
        body.push(self.level.unwrap_or(version));
        body.push(self.flags.unwrap_or(flags));
        body.extend(self.keep_alive.to_be_bytes());
        if v5 {
            self.props.write(&mut body);
        }
        field(&self.id, &mut body);
        if let Some(will) = &self.will {
            if v5 {
                will.props.write(&mut body);
            }
            string(&will.topic, &mut body);
            field(&will.payload, &mut body);
        }
        if let Some(user) = &self.user {
            string(user, &mut body);
        }
        if let Some(password) = &self.password {
            field(password, &mut body);
        }
        frame(0x10, &body)
    }
}

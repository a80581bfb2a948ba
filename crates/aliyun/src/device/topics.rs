//! The system topics: one table, from which rights and dispatch derive (spec/alink-wire.md §6.2).

use model::id::DeviceKey;
use std::{collections::HashMap, sync::LazyLock};

/// Longest topic that is read, in bytes. The vendor's clients stop at 128; calls to extended topics
/// add a prefix and a number to that.
pub const TOPIC_MAX: usize = 256;

/// What a message of a device is, by its topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Up {
    /// An Alink request, which is replied to.
    Ask(Ask),
    /// The answer to a command, which its `id` names.
    Answer,
    /// The answer to a command or a call, which the topic names.
    RpcAnswer,
    /// The answer to a call, on its own topic.
    CallAnswer,
    /// The firmware version, which is noted without a reply.
    Firmware,
    /// How far an upgrade is, which is noted without a reply.
    Progress,
    /// A question for the time.
    Time,
    /// A request about the shadow document.
    Shadow,
    /// A notice that nobody waits for, and that changes nothing here.
    Notice,
}

/// What an Alink request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    /// Keep properties.
    Properties,
    /// Keep an event.
    Event,
    /// The thing model.
    Template,
    /// Set tags.
    Tags,
    /// Remove tags.
    TagsGone,
    /// What is wanted of properties.
    Desired,
    /// Nothing is to be wanted any more of properties.
    DesiredDone,
    /// A firmware for the device.
    Upgrade,
    /// The same, asked for in the newer form.
    FirmwareNews,
    /// A piece of a firmware's file.
    FilePiece,
    /// The remote configuration.
    Config,
    /// Whether to send logs.
    LogSettings,
    /// Lines of its log.
    Log,
    /// Note that its user set the device back.
    Reset,
    /// Properties and events of a gateway and its sub-devices in one message.
    Pack,
    /// Properties and events of the past.
    History,
    /// What only gateways ask.
    Gateway(Gateway),
    /// Something else, which the reply turns down, since clients wait for one.
    Unserved,
}

/// What a gateway asks for its sub-devices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gateway {
    /// Their secrets.
    Register,
    /// Their secrets, with proofs of their products' secrets.
    RegisterProven,
    /// To forget them.
    Unregister,
    /// To bind them.
    Add,
    /// To unbind them.
    Delete,
    /// Who is bound.
    Get,
    /// To note that they are there.
    Found,
    /// To let one in.
    Login,
    /// To let one go.
    Logout,
    /// To let several in.
    LoginMany,
    /// To let several go.
    LogoutMany,
}

/// Whose topics they are, which says how the fixed part goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    /// `/{productKey}/{deviceName}` follows.
    Device,
    /// `/{productKey}` follows.
    Product,
    /// Nothing follows; every session has its own messages there.
    Session,
}

/// Who sends the first message.
enum Starts {
    Device(Up),
    Server(Up),
}

/// Where the second message goes.
enum Answer {
    None,
    /// To the same topic with `_reply`.
    Reply,
    /// To the same topic.
    Same,
    /// To another one, given as in `Exchange`.
    On(&'static str, &'static str),
}

/// A message and its answer.
struct Exchange {
    whose: Whose,
    /// The fixed part before the names.
    at: &'static str,
    /// What comes after the names; `+` is one level, a `#` at the end any number of levels.
    rest: &'static str,
    starts: Starts,
    answer: Answer,
}

const fn own(at: &'static str, rest: &'static str, starts: Starts, answer: Answer) -> Exchange {
    Exchange {
        whose: Whose::Device,
        at,
        rest,
        starts,
        answer,
    }
}

/// The device asks below `/sys` and gets a reply.
const fn asks(rest: &'static str, ask: Ask) -> Exchange {
    own("/sys", rest, Starts::Device(Up::Ask(ask)), Answer::Reply)
}

/// The device tells something below `/sys`; it could get a reply and waits for none.
const fn tells(rest: &'static str) -> Exchange {
    own("/sys", rest, Starts::Device(Up::Notice), Answer::Reply)
}

/// The server asks below `/sys` and gets a reply.
const fn asked(rest: &'static str, up: Up) -> Exchange {
    own("/sys", rest, Starts::Server(up), Answer::Reply)
}

/// The server sends and waits for nothing.
const fn told(whose: Whose, at: &'static str, rest: &'static str) -> Exchange {
    Exchange {
        whose,
        at,
        rest,
        starts: Starts::Server(Up::Notice),
        answer: Answer::None,
    }
}

static EXCHANGES: &[Exchange] = &[
    // Thing model (seed 001 §6.5, §6.10).
    asks("/thing/event/property/post", Ask::Properties),
    asks("/thing/event/+/post", Ask::Event),
    asks("/thing/event/property/history/post", Ask::History),
    asks("/thing/event/property/pack/post", Ask::Pack),
    // As the document prints the topic of the same message.
    asks("/thing/event/property/ack/post", Ask::Pack),
    asked("/thing/service/property/set", Up::Answer),
    asked("/thing/service/property/get", Up::Answer),
    asked("/thing/service/+", Up::Answer),
    own(
        "/sys",
        "/rrpc/request/+",
        Starts::Server(Up::RpcAnswer),
        Answer::On("/sys", "/rrpc/response/+"),
    ),
    asks("/thing/dsltemplate/get", Ask::Template),
    asks("/thing/dynamicTsl/get", Ask::Template),
    asks("/thing/property/desired/get", Ask::Desired),
    asks("/thing/property/desired/delete", Ask::DesiredDone),
    // About the device (seed 001 §6.9, §6.12).
    asks("/thing/deviceinfo/update", Ask::Tags),
    asks("/thing/deviceinfo/delete", Ask::TagsGone),
    tells("/thing/status/update"),
    asks("/thing/config/get", Ask::Config),
    asked("/thing/config/push", Up::Answer),
    asks("/thing/config/log/get", Ask::LogSettings),
    asked("/thing/config/log/push", Up::Answer),
    asks("/thing/log/post", Ask::Log),
    asks("/thing/config/log/post", Ask::Log),
    asks("/_thing/diag/post", Ask::Unserved),
    asked("/_thing/event/notify", Up::Notice),
    asks("/thing/reset", Ask::Reset),
    asks("/thing/job/update", Ask::Unserved),
    asked("/thing/job/notify", Up::Notice),
    asked("/thing/disable", Up::Notice),
    asked("/thing/enable", Up::Notice),
    asked("/thing/delete", Up::Notice),
    // Provisioning and local control by the vendor's phone applications.
    tells("/thing/awss/enrollee/match"),
    tells("/thing/awss/enrollee/found"),
    asked("/thing/awss/enrollee/checkin", Up::Notice),
    asked("/thing/awss/device/switchap", Up::Notice),
    asks("/thing/cipher/get", Ask::Unserved),
    asks("/thing/lan/prefix/get", Ask::Unserved),
    asked("/thing/lan/prefix/update", Up::Notice),
    asked("/thing/lan/blacklist/update", Up::Notice),
    // Gateways (seed 001 §6.2 to §6.4, §6.7).
    asks("/thing/sub/register", Ask::Gateway(Gateway::Register)),
    asks("/thing/sub/unregister", Ask::Gateway(Gateway::Unregister)),
    asks(
        "/thing/proxy/provisioning/product_register",
        Ask::Gateway(Gateway::RegisterProven),
    ),
    asks("/thing/topo/add", Ask::Gateway(Gateway::Add)),
    asks("/thing/topo/delete", Ask::Gateway(Gateway::Delete)),
    asks("/thing/topo/get", Ask::Gateway(Gateway::Get)),
    asks("/thing/list/found", Ask::Gateway(Gateway::Found)),
    asked("/thing/topo/add/notify", Up::Answer),
    asked("/thing/topo/change", Up::Notice),
    asked("/thing/gateway/permit", Up::Notice),
    asked("/thing/model/config/push", Up::Answer),
    own(
        "/ext/session",
        "/combine/login",
        Starts::Device(Up::Ask(Ask::Gateway(Gateway::Login))),
        Answer::Reply,
    ),
    own(
        "/ext/session",
        "/combine/logout",
        Starts::Device(Up::Ask(Ask::Gateway(Gateway::Logout))),
        Answer::Reply,
    ),
    own(
        "/ext/session",
        "/combine/batch_login",
        Starts::Device(Up::Ask(Ask::Gateway(Gateway::LoginMany))),
        Answer::Reply,
    ),
    own(
        "/ext/session",
        "/combine/batch_logout",
        Starts::Device(Up::Ask(Ask::Gateway(Gateway::LogoutMany))),
        Answer::Reply,
    ),
    told(Whose::Device, "/ext/error", ""),
    // Firmware (seed 001 §4, §6.11).
    own(
        "/ota/device/inform",
        "",
        Starts::Device(Up::Firmware),
        Answer::None,
    ),
    told(Whose::Device, "/ota/device/upgrade", ""),
    own(
        "/ota/device/request",
        "",
        Starts::Device(Up::Ask(Ask::Upgrade)),
        Answer::Same,
    ),
    own(
        "/ota/device/progress",
        "",
        Starts::Device(Up::Progress),
        Answer::None,
    ),
    asks("/thing/ota/firmware/get", Ask::FirmwareNews),
    asks("/thing/file/download", Ask::FilePiece),
    // Passthrough payloads (seed 001 §6.1): devices may listen; nothing is taken up yet.
    told(Whose::Device, "/sys", "/thing/model/up_raw_reply"),
    told(Whose::Device, "/sys", "/thing/model/down_raw"),
    // The rest.
    own(
        "/ext/ntp",
        "/request",
        Starts::Device(Up::Time),
        Answer::On("/ext/ntp", "/response"),
    ),
    own(
        "/shadow/update",
        "",
        Starts::Device(Up::Shadow),
        Answer::On("/shadow/get", ""),
    ),
    Exchange {
        whose: Whose::Session,
        at: "/ext/rrpc",
        rest: "/#",
        starts: Starts::Server(Up::CallAnswer),
        answer: Answer::Same,
    },
    told(Whose::Session, "/ext/network/probe", "/+"),
    told(Whose::Session, "/ext/auth/identity", "/response"),
    told(Whose::Session, "/ext/register", ""),
    told(Whose::Session, "/ext/regnwl", ""),
    told(Whose::Product, "/broadcast", "/#"),
];

impl Exchange {
    /// Where the answer goes, as `(at, rest)`.
    fn answer(&self) -> Option<(&'static str, String)> {
        match self.answer {
            Answer::None => None,
            Answer::Same => Some((self.at, self.rest.to_owned())),
            Answer::Reply => Some((self.at, format!("{}_reply", self.rest))),
            Answer::On(at, rest) => Some((at, rest.to_owned())),
        }
    }
}

/// All topics with the same fixed part.
pub(crate) struct Family {
    whose: Whose,
    at: &'static str,
    publish: Topics<(Up, &'static Exchange)>,
    subscribe: Topics<()>,
}

/// Rests of topics, the fixed ones apart from the patterns.
struct Topics<T> {
    fixed: HashMap<String, T>,
    patterns: Vec<(String, T)>,
}

impl<T> Topics<T> {
    fn new() -> Self {
        Self {
            fixed: HashMap::new(),
            patterns: Vec::new(),
        }
    }

    fn add(&mut self, rest: String, what: T) {
        if wild(&rest) {
            self.patterns.push((rest, what));
        } else {
            self.fixed.insert(rest, what);
        }
    }

    /// What stands at `rest`, with the part of it that a `+` stands for.
    fn find<'t>(&self, rest: &'t str) -> Option<(&T, &'t str)> {
        if let Some(what) = self.fixed.get(rest) {
            return Some((what, ""));
        }
        let mut found = self.patterns.iter();
        found.find_map(|(pattern, what)| Some((what, matched(pattern, rest)?)))
    }
}

static FAMILIES: LazyLock<Vec<Family>> = LazyLock::new(|| {
    let mut families: Vec<Family> = Vec::new();
    for exchange in EXCHANGES {
        let first = (exchange.at, exchange.rest.to_owned());
        let (publish, subscribe) = match exchange.starts {
            Starts::Device(up) => (Some((up, first)), exchange.answer()),
            Starts::Server(up) => (exchange.answer().map(|answer| (up, answer)), Some(first)),
        };
        if let Some((up, (at, rest))) = publish {
            family(&mut families, exchange.whose, at)
                .publish
                .add(rest, (up, exchange));
        }
        if let Some((at, rest)) = subscribe {
            family(&mut families, exchange.whose, at)
                .subscribe
                .add(rest, ());
        }
    }
    families
});

fn family<'f>(families: &'f mut Vec<Family>, whose: Whose, at: &'static str) -> &'f mut Family {
    let place = families.iter().position(|family| family.at == at);
    let place = place.unwrap_or_else(|| {
        families.push(Family {
            whose,
            at,
            publish: Topics::new(),
            subscribe: Topics::new(),
        });
        families.len() - 1
    });
    &mut families[place]
}

/// What the variable level of `pattern` stands for in `rest`; `None` when they do not match. A
/// level `+_reply` stands for all that end so.
fn matched<'t>(pattern: &str, rest: &'t str) -> Option<&'t str> {
    let mut levels = rest.split('/');
    let mut variable = "";
    for wanted in pattern.split('/') {
        if wanted == "#" {
            return levels.next().map(|_| variable);
        }
        let level = levels.next()?;
        match wanted.strip_prefix('+') {
            Some(end) => variable = level.strip_suffix(end).filter(|part| !part.is_empty())?,
            None if wanted == level => {}
            None => return None,
        }
    }
    levels.next().is_none().then_some(variable)
}

/// Finds the family of a topic or filter of `device`, and what follows the names; `None` for
/// topics of other devices, with wildcards instead of names, and for the product's own topics.
pub(crate) fn split<'t>(device: &DeviceKey, topic: &'t str) -> Option<(&'static Family, &'t str)> {
    FAMILIES.iter().find_map(|family| {
        let rest = topic.strip_prefix(family.at)?;
        let rest = match family.whose {
            Whose::Session => rest,
            Whose::Product => level(rest, device.product.as_str())?,
            Whose::Device => level(level(rest, device.product.as_str())?, device.name.as_str())?,
        };
        (rest.is_empty() || rest.starts_with('/')).then_some((family, rest))
    })
}

/// Whose topic or filter it is, be it a system topic or one of the product's own; `None` for those
/// that are nobody's.
pub(crate) fn owner(topic: &str) -> Option<DeviceKey> {
    let devices = FAMILIES
        .iter()
        .filter(|family| family.whose == Whose::Device);
    let mut rests = devices.filter_map(|family| topic.strip_prefix(family.at));
    let rest = rests
        .find(|rest| rest.starts_with('/'))
        .or_else(|| (!reserved(topic)).then_some(topic))?;
    let mut levels = rest.strip_prefix('/')?.split('/');
    DeviceKey::parse(levels.next()?, levels.next()?).ok()
}

/// Whether a topic begins as those of the system do.
fn reserved(topic: &str) -> bool {
    FAMILIES.iter().any(|family| {
        let first = family.at.split('/').nth(1);
        topic.split('/').nth(1) == first
    })
}

/// Whether it is a filter rather than the name of a topic.
pub(crate) fn wild(topic: &str) -> bool {
    topic.contains(['+', '#'])
}

fn level<'t>(rest: &'t str, name: &str) -> Option<&'t str> {
    rest.strip_prefix('/')?.strip_prefix(name)
}

impl Family {
    /// Whose topics they are.
    pub(crate) fn whose(&self) -> Whose {
        self.whose
    }

    /// Whether the server sends something there.
    pub(crate) fn sends(&self, rest: &str) -> bool {
        self.subscribe.find(rest).is_some()
    }

    /// Whether `filter` is, as it stands, one of the patterns on which the server sends.
    pub(crate) fn has_pattern(&self, filter: &str) -> bool {
        let mut patterns = self.subscribe.patterns.iter();
        patterns.any(|(pattern, ())| pattern == filter)
    }
}

/// What to do with a message.
pub(crate) struct Route<'t> {
    /// What it asks for.
    pub(crate) up: Up,
    /// The variable level of the topic: an event, a service, a number; else empty.
    pub(crate) variable: &'t str,
    exchange: &'static Exchange,
}

/// Finds what a message of `device` on a system topic asks for.
pub(crate) fn route<'t>(device: &DeviceKey, topic: &'t str) -> Option<Route<'t>> {
    if topic.len() > TOPIC_MAX || wild(topic) {
        return None;
    }
    let (family, rest) = split(device, topic)?;
    let (&(up, exchange), variable) = family.publish.find(rest)?;
    Some(Route {
        up,
        variable,
        exchange,
    })
}

impl Route<'_> {
    /// Where the answer to a device's message goes; none where none is given.
    pub(crate) fn reply_topic(&self, device: &DeviceKey, topic: &str) -> Option<String> {
        let Starts::Device(_) = self.exchange.starts else {
            return None;
        };
        match self.exchange.answer {
            Answer::None => None,
            Answer::Reply => Some(format!("{topic}_reply")),
            Answer::Same => Some(topic.to_owned()),
            Answer::On(at, rest) => Some(format!("{at}/{}/{}{rest}", device.product, device.name)),
        }
    }
}

#[cfg(test)]
mod manual;

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> DeviceKey {
        DeviceKey::parse("a1pk", "dev1").unwrap()
    }

    fn full(whose: Whose, at: &str, rest: &str) -> String {
        let rest = rest.replace('+', "seven").replace('#', "seven/up");
        match whose {
            Whose::Device => format!("{at}/a1pk/dev1{rest}"),
            Whose::Product => format!("{at}/a1pk{rest}"),
            Whose::Session => format!("{at}{rest}"),
        }
    }

    /// [AL-3.12] Every row of the table leads to what it says, in both directions.
    #[test]
    fn every_exchange_is_found_again() {
        for exchange in EXCHANGES {
            let first = full(exchange.whose, exchange.at, exchange.rest);
            let answer = exchange
                .answer()
                .map(|(at, rest)| full(exchange.whose, at, &rest));
            match exchange.starts {
                Starts::Device(up) => {
                    let route = route(&device(), &first).expect(&first);
                    assert_eq!(route.up, up, "{first}");
                    assert_eq!(route.reply_topic(&device(), &first), answer);
                    if let Some(answer) = answer {
                        let (family, rest) = split(&device(), &answer).unwrap();
                        assert!(family.sends(rest), "{answer}");
                    }
                }
                Starts::Server(up) => {
                    let (family, rest) = split(&device(), &first).unwrap();
                    assert!(family.sends(rest), "{first}");
                    if let Some(answer) = answer {
                        let route = route(&device(), &answer).expect(&answer);
                        assert_eq!(route.up, up, "{answer}");
                        assert_eq!(route.reply_topic(&device(), &answer), None);
                    }
                }
            }
        }
    }

    /// [AL-6.3] [AL-6.4] [AL-6.5] The topics of seed 001 that this issue serves, as text.
    #[test]
    fn topics_of_the_document_lead_to_what_it_says() {
        for (topic, up, variable, reply) in [
            (
                "/sys/a1pk/dev1/thing/event/property/post",
                Up::Ask(Ask::Properties),
                "",
                Some("/sys/a1pk/dev1/thing/event/property/post_reply"),
            ),
            (
                "/sys/a1pk/dev1/thing/event/block:alarm/post",
                Up::Ask(Ask::Event),
                "block:alarm",
                Some("/sys/a1pk/dev1/thing/event/block:alarm/post_reply"),
            ),
            (
                "/sys/a1pk/dev1/thing/service/property/set_reply",
                Up::Answer,
                "",
                None,
            ),
            (
                "/sys/a1pk/dev1/thing/service/reboot_reply",
                Up::Answer,
                "reboot",
                None,
            ),
            ("/sys/a1pk/dev1/rrpc/response/77", Up::RpcAnswer, "77", None),
            (
                "/ext/ntp/a1pk/dev1/request",
                Up::Time,
                "",
                Some("/ext/ntp/a1pk/dev1/response"),
            ),
            ("/ota/device/inform/a1pk/dev1", Up::Firmware, "", None),
            (
                "/ota/device/request/a1pk/dev1",
                Up::Ask(Ask::Upgrade),
                "",
                Some("/ota/device/request/a1pk/dev1"),
            ),
            (
                "/shadow/update/a1pk/dev1",
                Up::Shadow,
                "",
                Some("/shadow/get/a1pk/dev1"),
            ),
        ] {
            let route = route(&device(), topic).expect(topic);
            assert_eq!((route.up, route.variable), (up, variable), "{topic}");
            let found = route.reply_topic(&device(), topic);
            assert_eq!(found.as_deref(), reply);
        }
    }

    #[test]
    fn other_topics_lead_nowhere() {
        for topic in [
            "",
            "/",
            "/sys",
            "/sys/a1pk",
            "/sys/a1pk/dev1",
            "/sys/a1pk/dev1/",
            "/sys/a1pk/dev2/thing/event/property/post",
            "/sys/a1pkdev1/thing/event/property/post",
            "/sys/a1pk/dev11/thing/event/property/post",
            "/sys/a1pk/dev1/thing/event/property/post/",
            "/sys/a1pk/dev1/thing/event//post",
            "/sys/a1pk/dev1/thing/event/+/post",
            "/sys/a1pk/dev1/thing/service/_reply",
            "/sys/a1pk/dev1/thing/service/reboot",
            "/sys/a1pk/dev1/thing/model/up_raw",
            "sys/a1pk/dev1/thing/event/property/post",
            "/ota/device/upgrade/a1pk/dev1",
            "/ext/register",
            "/a1pk/dev1/user/update",
            &format!("/ext/rrpc/1/{}", "x".repeat(TOPIC_MAX)),
        ] {
            assert!(route(&device(), topic).is_none(), "{topic}");
        }
    }
}

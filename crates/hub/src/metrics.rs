//! Counters that an operator reads; no label per device.

use parking_lot::Mutex;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use std::{collections::HashSet, hash::Hash};

/// Names of actions come from callers; more different ones than this are counted as `other`.
const ACTIONS: usize = 512;

/// The counters. Every method may be called from anywhere; none waits.
pub struct Metrics {
    registry: Registry,
    logins: Family<Login, Counter>,
    proofs: Family<Proof, Counter>,
    calls: Family<Call, Counter>,
    facts: Family<Kind, Counter>,
    up: Counter,
    down: Counter,
    throttled: Family<Answer, Counter>,
    dropped: Family<Reason, Counter>,
    commands: Family<Step, Counter>,
    downloads: Family<Outcome, Counter>,
    upgrades: Family<Step, Counter>,
    audited: Counter,
    anew: Counter,
    sessions: Gauge,
    mqtt_sessions: Family<State, Gauge>,
    mqtt_messages: Family<State, Gauge>,
    mqtt_bytes: Gauge,
    ready: Gauge,
    history_behind: Gauge,
    disk_free: Gauge,
    clock_jumps: Counter,
    actions: Mutex<HashSet<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    channel: &'static str,
    scheme: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Proof {
    scheme: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    action: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Way {
    way: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Step {
    step: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answer {
    answer: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("muster");
        let logins = counters(
            &mut registry,
            "device_logins",
            "Logins, tokens and registrations of devices that were asked for",
        );
        let proofs = counters(
            &mut registry,
            "proofs",
            "Signatures and tokens that were compared, of devices and of callers",
        );
        let calls = counters(&mut registry, "api_calls", "Calls of an API");
        let facts = counters(&mut registry, "facts", "Facts appended to the journal");
        let messages: Family<Way, Counter> = counters(
            &mut registry,
            "messages",
            "Messages of devices (up) and to devices (down)",
        );
        // One after the other: what `get_or_create` gives back holds a lock.
        let up = messages.get_or_create(&Way { way: "up" }).clone();
        let down = messages.get_or_create(&Way { way: "down" }).clone();
        let dropped = counters(
            &mut registry,
            "dropped_publishes",
            "Messages that were not handed on",
        );
        let throttled = counters(
            &mut registry,
            "throttled_logins",
            "Failed logins that were answered late or not at all, for too many before them",
        );
        let commands = counters(&mut registry, "commands", "Commands to devices, by step");
        let downloads = counters(
            &mut registry,
            "downloads",
            "Downloads over signed links, by what became of them",
        );
        let upgrades = counters(
            &mut registry,
            "upgrades",
            "Devices of firmware campaigns, by the step that they came to",
        );
        let audited = Counter::default();
        registry.register(
            "audit_lines",
            "Lines appended to the audit log",
            audited.clone(),
        );
        let anew = Counter::default();
        registry.register(
            "histories_made_anew",
            "How often histories were lost and made again from the journal's kept part",
            anew.clone(),
        );
        let sessions = Gauge::default();
        registry.register("sessions", "Open sessions of devices", sessions.clone());
        let mqtt_sessions = Family::default();
        registry.register(
            "mqtt_sessions",
            "MQTT sessions of devices and plain clients, by whether the client is connected",
            mqtt_sessions.clone(),
        );
        let mqtt_messages = Family::default();
        registry.register(
            "mqtt_messages",
            "QoS 1 and 2 messages to devices and plain clients that wait (queued) or are on their way (inflight)",
            mqtt_messages.clone(),
        );
        let mqtt_bytes = Gauge::default();
        registry.register_with_unit(
            "mqtt_messages",
            "Memory that these messages take",
            Unit::Bytes,
            mqtt_bytes.clone(),
        );
        let ready = Gauge::default();
        registry.register(
            "ready",
            "Whether the server can do its work, 1 or 0",
            ready.clone(),
        );
        let history_behind = Gauge::default();
        registry.register(
            "history_behind",
            "Facts of the journal that are not in the histories yet",
            history_behind.clone(),
        );
        let disk_free = Gauge::default();
        registry.register_with_unit(
            "disk_free",
            "Room on the disk of the data folder",
            Unit::Bytes,
            disk_free.clone(),
        );
        let clock_jumps = Counter::default();
        registry.register(
            "clock_jumps",
            "How often the machine's clock jumped by more than a minute",
            clock_jumps.clone(),
        );
        Self {
            registry,
            logins,
            proofs,
            calls,
            facts,
            up,
            down,
            throttled,
            dropped,
            commands,
            downloads,
            upgrades,
            audited,
            anew,
            sessions,
            mqtt_sessions,
            mqtt_messages,
            mqtt_bytes,
            ready,
            history_behind,
            disk_free,
            clock_jumps,
            actions: Mutex::default(),
        }
    }
}

impl Metrics {
    /// A device asked to be let in (or for a token, or to register itself) over `channel`.
    pub fn login(&self, channel: &'static str, scheme: &'static str, outcome: &'static str) {
        let labels = Login {
            channel,
            scheme,
            outcome,
        };
        self.logins.get_or_create(&labels).inc();
    }

    /// A proof of this scheme was compared; `outcome` is `right` or `wrong`. What still comes in
    /// under an old scheme is what its switch would shut out.
    pub fn proof(&self, scheme: &'static str, right: bool) {
        let outcome = if right { "right" } else { "wrong" };
        self.proofs.get_or_create(&Proof { scheme, outcome }).inc();
    }

    /// A call of an API was answered: `ok`, or with the error of this name. The door that answers
    /// counts it, once.
    pub fn call(&self, action: &str, outcome: &'static str) {
        let action = self.bounded(action);
        self.calls.get_or_create(&Call { action, outcome }).inc();
    }

    /// A fact of this kind is in the journal.
    pub fn fact(&self, kind: &'static str) {
        self.facts.get_or_create(&Kind { kind }).inc();
    }

    /// A message came from a device.
    pub fn message_up(&self) {
        self.up.inc();
    }

    /// Messages went to devices.
    pub fn messages_down(&self, count: u64) {
        self.down.inc_by(count);
    }

    /// A login failed too often to be answered at once; `late` or `none`.
    pub fn login_throttled(&self, answer: &'static str) {
        self.throttled.get_or_create(&Answer { answer }).inc();
    }

    /// A message was dropped, such as for lack of a right to its topic.
    pub fn publish_dropped(&self, reason: &'static str) {
        self.publishes_dropped(reason, 1);
    }

    /// Messages were dropped.
    pub fn publishes_dropped(&self, reason: &'static str, count: u64) {
        self.dropped.get_or_create(&Reason { reason }).inc_by(count);
    }

    /// A command took a step: `stored`, `sent`, `answered`, `refused`, `expired`.
    pub fn command(&self, step: &'static str, count: u64) {
        self.commands.get_or_create(&Step { step }).inc_by(count);
    }

    /// A download over a link ended: `ok`, `broken`, `expired`, `forged`, `gone`, `range`, `busy`,
    /// `fault`.
    pub fn download(&self, outcome: &'static str) {
        self.downloads.get_or_create(&Outcome { outcome }).inc();
    }

    /// Devices of campaigns came to a step.
    pub fn upgrade(&self, step: &'static str, count: u64) {
        self.upgrades.get_or_create(&Step { step }).inc_by(count);
    }

    /// Lines were added to the audit log.
    pub fn audit_lines(&self, count: u64) {
        self.audited.inc_by(count);
    }

    /// Histories are made again from the journal.
    pub(crate) fn histories_made_anew(&self) {
        self.anew.inc();
    }

    /// A session began.
    pub fn session_opened(&self) {
        self.sessions.inc();
    }

    /// A session ended.
    pub fn session_closed(&self) {
        self.sessions.dec();
    }

    /// Sessions that are open now.
    pub fn sessions(&self) -> i64 {
        self.sessions.get()
    }

    /// So many MQTT sessions have a client that is connected, or one that is away.
    pub fn mqtt_sessions(&self, connected: u64, away: u64) {
        for (state, count) in [("connected", connected), ("away", away)] {
            set(&self.mqtt_sessions.get_or_create(&State { state }), count);
        }
    }

    /// So many messages of MQTT sessions wait, or are on their way, and take so many bytes.
    pub fn mqtt_messages(&self, queued: u64, inflight: u64, bytes: u64) {
        for (state, count) in [("queued", queued), ("inflight", inflight)] {
            set(&self.mqtt_messages.get_or_create(&State { state }), count);
        }
        set(&self.mqtt_bytes, bytes);
    }

    /// Whether the server can do its work.
    pub fn ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// How many facts the histories lack.
    pub fn history_behind(&self, facts: u64) {
        self.history_behind
            .set(i64::try_from(facts).unwrap_or(i64::MAX));
    }

    /// Bytes that the disk of the data folder has left.
    pub fn disk_free(&self, bytes: u64) {
        self.disk_free.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// The machine's clock jumped.
    pub fn clock_jumped(&self) {
        self.clock_jumps.inc();
    }

    /// All counters as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut page = String::new();
        // Writing to a string does not fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }

    fn bounded(&self, action: &str) -> String {
        let mut actions = self.actions.lock();
        if actions.contains(action) {
            return action.to_owned();
        }
        if actions.len() < ACTIONS && action.len() <= 64 && !action.is_empty() {
            actions.insert(action.to_owned());
            return action.to_owned();
        }
        "other".to_owned()
    }
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

fn counters<L>(registry: &mut Registry, name: &str, help: &str) -> Family<L, Counter>
where
    L: Clone + Hash + Eq + EncodeLabelSet + Send + Sync + std::fmt::Debug + 'static,
{
    let family = Family::default();
    registry.register(name, help, family.clone());
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_what_was_counted() {
        let metrics = Metrics::default();
        metrics.proof("hmacmd5", true);
        metrics.proof("hmacmd5", true);
        metrics.proof("hmacmd5", false);
        metrics.login("tcp", "hmacmd5", "ok");
        metrics.session_opened();
        let page = metrics.encode();
        for line in [
            "muster_proofs_total{scheme=\"hmacmd5\",outcome=\"right\"} 2",
            "muster_proofs_total{scheme=\"hmacmd5\",outcome=\"wrong\"} 1",
            "muster_device_logins_total{channel=\"tcp\",scheme=\"hmacmd5\",outcome=\"ok\"} 1",
            "muster_sessions 1",
        ] {
            assert!(page.contains(line), "{line} in\n{page}");
        }
    }

    /// Names that callers make up must not fill the memory, nor the operator's disk.
    #[test]
    fn made_up_actions_are_counted_together() {
        let metrics = Metrics::default();
        for n in 0..10_000 {
            metrics.call(&format!("iot:Made{n}"), "ok");
        }
        metrics.call(&"x".repeat(65), "ok");
        let page = metrics.encode();
        let lines = page
            .lines()
            .filter(|line| line.starts_with("muster_api_calls_total{"));
        assert_eq!(lines.count(), ACTIONS + 1);
        assert!(page.contains("{action=\"other\",outcome=\"ok\"} 9489"));
    }
}

//! Packets of a client, most with one fault, made from the tables of the OASIS texts; independent
//! of the codec that they judge.

use wire::mqtt::Version;

/// What the standard wants done with a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is right, and the connection goes on.
    Fine,
    /// It is right, and ends the connection without an answer.
    Ends,
    /// It is wrong: version 5 is told one of these reasons, 3.x nothing, and both are closed.
    Wrong(&'static [u8]),
}

use Verdict::{Ends, Fine, Wrong};

const MALFORMED: Verdict = Wrong(&[0x81]);
const PROTOCOL: Verdict = Wrong(&[0x82]);
/// The texts leave open which of the two it is.
const EITHER: Verdict = Wrong(&[0x81, 0x82]);
const ALIAS: Verdict = Wrong(&[0x94]);
const TOO_LARGE: Verdict = Wrong(&[0x95]);

/// One packet and what comes of it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) version: Version,
    pub(crate) bytes: Vec<u8>,
    pub(crate) verdict: Verdict,
}

/// A packet with a place for properties: first byte, what stands before and what behind them.
#[derive(Clone)]
struct Form {
    name: &'static str,
    first: u8,
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Form {
    fn new(name: &'static str, first: u8, before: &[u8], after: &[u8]) -> Self {
        Self {
            name,
            first,
            before: before.to_vec(),
            after: after.to_vec(),
        }
    }

    /// The packet with these properties, or with none where the version has no place for them.
    fn with(&self, version: Version, properties: &[u8]) -> Vec<u8> {
        self.claiming(version, properties, properties.len())
    }

    /// The packet with these properties, said to be so many bytes.
    fn claiming(&self, version: Version, properties: &[u8], length: usize) -> Vec<u8> {
        let mut body = self.before.clone();
        if version == Version::V5 {
            body.extend(varint(length));
            body.extend_from_slice(properties);
        }
        body.extend_from_slice(&self.after);
        packet(self.first, &body)
    }
}

/// A packet of this body.
fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    bytes.extend(varint(body.len()));
    bytes.extend_from_slice(body);
    bytes
}

fn varint(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let more = value >= 128;
        bytes.push((value % 128) as u8 | if more { 0x80 } else { 0 });
        value /= 128;
        if !more {
            return bytes;
        }
    }
}

fn text(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u16).to_be_bytes()[..], text].concat()
}

/// Every case: what is sent first, and what is sent behind a CONNECT.
pub(crate) fn all() -> (Vec<Case>, Vec<Case>) {
    let (mut opening, mut behind) = properties();
    opening.extend(connect_flags());
    opening.extend(connect_bodies());
    behind.extend(first_bytes());
    behind.extend(lengths());
    behind.extend(cuts());
    behind.extend(reasons());
    behind.extend(options());
    behind.extend(texts());
    (opening, behind)
}

pub(crate) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// The packets that a client may send behind CONNECT, without DISCONNECT and PINGREQ. The
/// acknowledgements of version 5 come with their reason.
fn forms(version: Version) -> Vec<Form> {
    let ack: &[u8] = if version == Version::V5 {
        b"\0\x0a\0"
    } else {
        b"\0\x0a"
    };
    vec![
        Form::new("PUBLISH 0", 0x30, b"\0\x03a/b", b"hi"),
        Form::new("PUBLISH 1", 0x32, b"\0\x03a/b\0\x0a", b"hi"),
        Form::new("PUBLISH 2", 0x34, b"\0\x03a/b\0\x0b", b"hi"),
        Form::new("PUBREL", 0x62, ack, b""),
        Form::new("SUBSCRIBE", 0x82, b"\0\x0b", b"\0\x03a/#\x01"),
        Form::new("UNSUBSCRIBE", 0xa2, b"\0\x0c", b"\0\x03a/#"),
        Form::new("PUBACK", 0x40, ack, b""),
        Form::new("PUBREC", 0x50, ack, b""),
        Form::new("PUBCOMP", 0x70, ack, b""),
    ]
}

/// Every first byte in front of a body that suits its kind [MQTT-2.1.3-1], [MQTT-2.2.2-2] of 3.1.1.
fn first_bytes() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in VERSIONS {
        let v5 = version == Version::V5;
        let forms = forms(version);
        for first in 0..=255_u8 {
            let (kind, flags) = (first >> 4, first & 15);
            let form = |name| {
                let form = forms.iter().find(|f| f.name == name);
                form.expect("it is listed").with(version, b"")
            };
            // In MQTT 3.1 §2.1 these are messages of QoS 1, which may be sent again.
            let flagged = |right: u8| {
                let again = version == Version::V31 && right != 0 && flags == right | 8;
                if flags == right || again {
                    Fine
                } else {
                    MALFORMED
                }
            };
            let (mut bytes, verdict) = match kind {
                0 => (packet(0, b""), MALFORMED),
                1 => (hello(version), if flags == 0 { PROTOCOL } else { EITHER }),
                2 => (packet(0, b"\0\0"), EITHER),
                3 => match flags >> 1 & 3 {
                    0 if flags & 8 != 0 => (form("PUBLISH 0"), EITHER),
                    0 => (form("PUBLISH 0"), Fine),
                    1 => (form("PUBLISH 1"), Fine),
                    2 => (form("PUBLISH 2"), Fine),
                    _ => (form("PUBLISH 2"), MALFORMED),
                },
                4 => (form("PUBACK"), flagged(0)),
                5 => (form("PUBREC"), flagged(0)),
                6 => (form("PUBREL"), flagged(2)),
                7 => (form("PUBCOMP"), flagged(0)),
                8 => (form("SUBSCRIBE"), flagged(2)),
                9 => (packet(0, b"\0\x01\0"), EITHER),
                10 => (form("UNSUBSCRIBE"), flagged(2)),
                11 => (packet(0, b"\0\x01"), EITHER),
                12 => (packet(0, b""), flagged(0)),
                13 => (packet(0, b""), EITHER),
                14 => (packet(0, b""), if flags == 0 { Ends } else { MALFORMED }),
                // AUTH: nobody asked for enhanced authentication.
                _ if v5 => (packet(0, b""), if flags == 0 { PROTOCOL } else { EITHER }),
                _ => (packet(0, b""), MALFORMED),
            };
            bytes[0] = first;
            cases.push(Case {
                name: format!("first byte {first:#04x}"),
                version,
                bytes,
                verdict,
            });
        }
    }
    cases
}

/// Remaining lengths of every width, padded, endless, above every bound, and not agreeing with what
/// follows [MQTT-1.5.5-1].
fn lengths() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in VERSIONS {
        let v5 = version == Version::V5;
        let mut case = |name: String, bytes: Vec<u8>, verdict| {
            cases.push(Case {
                name,
                version,
                bytes,
                verdict,
            });
        };
        for pads in 1..=3 {
            // 3.x does not forbid a length to be written longer than needed.
            let padded = if v5 { MALFORMED } else { Fine };
            let mut ping = vec![0xc0];
            ping.extend(vec![0x80; pads]);
            ping.push(0);
            case(format!("PINGREQ, length padded by {pads}"), ping, padded);
            for form in forms(version) {
                let right = form.with(version, b"");
                let mut bytes = vec![right[0], right[1] | 0x80];
                bytes.extend(vec![0x80; pads - 1]);
                bytes.push(0);
                bytes.extend_from_slice(&right[2..]);
                case(
                    format!("{}, length padded by {pads}", form.name),
                    bytes,
                    padded,
                );
            }
        }
        let mut firsts: Vec<_> = forms(version).iter().map(|f| (f.name, f.first)).collect();
        firsts.extend([("PINGREQ", 0xc0), ("DISCONNECT", 0xe0)]);
        for (name, first) in firsts {
            for last in [0x00, 0x01, 0x7f, 0x80, 0xff] {
                let bytes = vec![first, 0xff, 0xff, 0xff, 0xff, last];
                case(
                    format!("{name}, length of five bytes, the last {last:#04x}"),
                    bytes,
                    MALFORMED,
                );
            }
            let bytes = vec![first, 0xff, 0xff, 0xff, 0x7f];
            case(format!("{name} of 256 MiB"), bytes, TOO_LARGE);
        }
        case("PINGREQ with a body".into(), packet(0xc0, b"\0"), MALFORMED);
        if !v5 {
            let bytes = packet(0xe0, b"\0");
            case("DISCONNECT with a body".into(), bytes, MALFORMED);
        }
        for form in forms(version) {
            if !form.name.starts_with("PUBLISH") {
                let mut body = form.with(version, b"")[2..].to_vec();
                body.push(0);
                let bytes = packet(form.first, &body);
                case(format!("{}, a byte behind it", form.name), bytes, MALFORMED);
            }
            let no_id = match form.name {
                "PUBLISH 0" => continue,
                name if name.starts_with("PUBLISH") => 5,
                _ => 0,
            };
            let mut zero = form.clone();
            zero.before[no_id..no_id + 2].fill(0);
            case(
                format!("{}, packet identifier 0", form.name),
                zero.with(version, b""),
                EITHER,
            );
        }
        for (name, bytes) in [
            (
                "SUBSCRIBE",
                packet(0x82, if v5 { b"\0\x01\0" } else { b"\0\x01" }),
            ),
            (
                "UNSUBSCRIBE",
                packet(0xa2, if v5 { b"\0\x01\0" } else { b"\0\x01" }),
            ),
        ] {
            case(format!("{name} without a filter"), bytes, PROTOCOL);
        }
    }
    cases
}

/// Every packet cut at every offset, its length made to agree.
fn cuts() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in VERSIONS {
        let v5 = version == Version::V5;
        for form in forms(version) {
            // A user property, so that there is something to cut.
            let whole = form.with(version, b"\x26\0\x01k\0\x01v");
            let body = &whole[2..];
            for end in 0..body.len() {
                let payload = body.len() - form.after.len();
                let publish = form.name.starts_with("PUBLISH");
                let shorter_payload = publish && end >= payload;
                // Reason and properties may be left away.
                let short_form = v5 && form.after.is_empty() && matches!(end, 2 | 3);
                let verdict = if shorter_payload || short_form {
                    Fine
                } else {
                    EITHER
                };
                cases.push(Case {
                    name: format!("{} cut at {end}", form.name),
                    version,
                    bytes: packet(form.first, &body[..end]),
                    verdict,
                });
            }
        }
    }
    cases
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Flag,
    Long,
    LongNotZero,
    Short,
    ShortNotZero,
    Alias,
    Varint,
    Text,
    Topic,
    Binary,
    Pair,
}

/// MQTT 5 §2.2.2.2, table 2-4: number, type, and where a client may send it.
const PROPERTIES: [(u8, Kind, &[&str]); 27] = [
    (0x01, Kind::Flag, &["PUBLISH", "WILL"]),
    (0x02, Kind::Long, &["PUBLISH", "WILL"]),
    (0x03, Kind::Text, &["PUBLISH", "WILL"]),
    (0x08, Kind::Topic, &["PUBLISH", "WILL"]),
    (0x09, Kind::Binary, &["PUBLISH", "WILL"]),
    (0x0b, Kind::Varint, &["SUBSCRIBE"]),
    (0x11, Kind::Long, &["CONNECT", "DISCONNECT"]),
    (0x12, Kind::Text, &[]),
    (0x13, Kind::Short, &[]),
    (0x15, Kind::Text, &["CONNECT", "AUTH"]),
    (0x16, Kind::Binary, &["CONNECT", "AUTH"]),
    (0x17, Kind::Flag, &["CONNECT"]),
    (0x18, Kind::Long, &["WILL"]),
    (0x19, Kind::Flag, &["CONNECT"]),
    (0x1a, Kind::Text, &[]),
    (0x1c, Kind::Text, &["DISCONNECT"]),
    (
        0x1f,
        Kind::Text,
        &[
            "PUBACK",
            "PUBREC",
            "PUBREL",
            "PUBCOMP",
            "DISCONNECT",
            "AUTH",
        ],
    ),
    (0x21, Kind::ShortNotZero, &["CONNECT"]),
    (0x22, Kind::Short, &["CONNECT"]),
    (0x23, Kind::Alias, &["PUBLISH"]),
    (0x24, Kind::Flag, &[]),
    (0x25, Kind::Flag, &[]),
    (
        0x26,
        Kind::Pair,
        &[
            "CONNECT",
            "WILL",
            "PUBLISH",
            "PUBACK",
            "PUBREC",
            "PUBREL",
            "PUBCOMP",
            "SUBSCRIBE",
            "UNSUBSCRIBE",
            "DISCONNECT",
            "AUTH",
        ],
    ),
    (0x27, Kind::LongNotZero, &["CONNECT"]),
    (0x28, Kind::Flag, &[]),
    (0x29, Kind::Flag, &[]),
    (0x2a, Kind::Flag, &[]),
];

impl Kind {
    /// A value that every property of the type may have.
    fn right(self) -> &'static [u8] {
        match self {
            Self::Flag => b"\x01",
            Self::Long | Self::LongNotZero => b"\0\x01\0\0",
            Self::Short | Self::ShortNotZero | Self::Alias => b"\0\x05",
            Self::Varint => b"\x05",
            Self::Text | Self::Topic => b"\0\x01x",
            Self::Binary => b"\0\x02\0\xff",
            Self::Pair => b"\0\x01k\0\x01v",
        }
    }

    /// Values that no property of the type may have.
    fn wrong(self) -> Vec<(&'static [u8], Verdict)> {
        let mut wrong: Vec<(&'static [u8], Verdict)> = match self {
            Self::Flag => vec![(b"\x02", PROTOCOL), (b"\xff", PROTOCOL)],
            Self::LongNotZero => vec![(b"\0\0\0\0", PROTOCOL)],
            Self::ShortNotZero => vec![(b"\0\0", PROTOCOL)],
            Self::Alias => vec![(b"\0\0", ALIAS), (b"\xff\xff", ALIAS)],
            Self::Varint => vec![
                (b"\0", PROTOCOL),
                (b"\x85\0", MALFORMED),
                (b"\xff\xff\xff\xff\x01", MALFORMED),
            ],
            Self::Topic => vec![
                (b"\0\x01+", Wrong(&[0x81, 0x82, 0x90])),
                (b"\0\x03a/#", Wrong(&[0x81, 0x82, 0x90])),
            ],
            Self::Long | Self::Short | Self::Text | Self::Binary | Self::Pair => vec![],
        };
        if matches!(self, Self::Text | Self::Topic) {
            wrong.extend(BROKEN_TEXTS.map(|text| (text, MALFORMED)));
        }
        if self == Self::Pair {
            wrong.extend([
                (&b"\0\x01\0\0\x01v"[..], MALFORMED),
                (b"\0\x01k\0\x01\0", MALFORMED),
                (b"\0\x01\xff\0\x01v", MALFORMED),
                (b"\0\x01k\0\x02\xc3(", MALFORMED),
            ]);
        }
        wrong
    }
}

/// No strings [MQTT-1.5.4-1], [MQTT-1.5.4-2]: a null, bytes that begin nothing, an overlong form,
/// a surrogate, a character cut off, one beyond Unicode.
const BROKEN_TEXTS: [&[u8]; 7] = [
    b"\0\x01\0",
    b"\0\x01\xff",
    b"\0\x01\x80",
    b"\0\x02\xc0\x80",
    b"\0\x03\xed\xa0\x80",
    b"\0\x02\xe2\x82",
    b"\0\x04\xf4\x90\x80\x80",
];

/// A CONNECT of version 5 with these properties and these of its will.
fn connect5(properties: &[u8], will: &[u8]) -> Vec<u8> {
    let mut body = b"\0\x04MQTT\x05\x06\0\x3c".to_vec();
    body.extend(varint(properties.len()));
    body.extend_from_slice(properties);
    body.extend(text(b"bytes"));
    body.extend(varint(will.len()));
    body.extend_from_slice(will);
    body.extend(text(b"w"));
    body.extend(text(b"bye"));
    packet(0x10, &body)
}

/// Every property number in every packet: right, where it does not belong, doubled, cut, with each
/// illegal value, and with a property length that is wrong [MQTT-2.2.2-1].
fn properties() -> (Vec<Case>, Vec<Case>) {
    let version = Version::V5;
    let mut forms = forms(version);
    forms.push(Form::new("DISCONNECT", 0xe0, b"\0", b""));
    forms.push(Form::new("AUTH", 0xf0, b"\x18", b""));
    let mut behind = Vec::new();
    let mut opening = Vec::new();
    let fine = |place: &str| match place {
        "DISCONNECT" => Ends,
        "AUTH" => PROTOCOL,
        _ => Fine,
    };
    let mut put = |place: &str, name: String, section: &[u8], verdict| {
        let case = |bytes| Case {
            name: format!("{place}: {name}"),
            version,
            bytes,
            verdict,
        };
        match place {
            "CONNECT" => opening.push(case(connect5(section, b""))),
            "WILL" => opening.push(case(connect5(b"", section))),
            _ => {
                let form = forms.iter().find(|f| f.name == place);
                behind.push(case(form.expect("it is listed").with(version, section)));
            }
        }
    };
    let mut places: Vec<_> = forms.iter().map(|f| f.name).collect();
    places.extend(["CONNECT", "WILL"]);
    for place in places {
        let word = place.split(' ').next().expect("a word");
        for id in 0..=0xff_u8 {
            let Some((_, kind, allowed)) = PROPERTIES.iter().find(|p| p.0 == id) else {
                // Numbers above 127 need two bytes; one alone is cut off.
                let name = format!("unknown property {id:#04x}");
                put(place, name, &[id, 1, 0, 0, 0], MALFORMED);
                continue;
            };
            let right = [&[id], kind.right()].concat();
            if !allowed.contains(&word) {
                // A subscription identifier is at home in PUBLISH, but a client may not send it.
                let verdict = if (word, id) == ("PUBLISH", 0x0b) {
                    PROTOCOL
                } else {
                    MALFORMED
                };
                put(place, format!("{id:#04x} does not belong"), &right, verdict);
                continue;
            }
            let once = match (word, id) {
                ("CONNECT", 0x15) => Wrong(&[0x8c]), // enhanced authentication is not offered
                ("CONNECT", 0x16) => PROTOCOL,       // data without a method
                _ => fine(word),
            };
            put(place, format!("{id:#04x}"), &right, once);
            let twice = [&right[..], &right[..]].concat();
            let again = if id == 0x26 { fine(word) } else { PROTOCOL };
            put(place, format!("{id:#04x} twice"), &twice, again);
            for end in 1..right.len() {
                put(
                    place,
                    format!("{id:#04x} cut at {end}"),
                    &right[..end],
                    MALFORMED,
                );
            }
            for (value, verdict) in kind.wrong() {
                let section = [&[id], value].concat();
                let name = format!("{id:#04x} of {}", value.escape_ascii());
                put(place, name, &section, verdict);
            }
        }
        let padded = [0x80 | 0x26, 0x00, 0, 1, b'k', 0, 1, b'v'];
        put(place, "a padded property number".into(), &padded, MALFORMED);
    }
    let pair = b"\x26\0\x01k\0\x01v";
    for form in &forms {
        for (name, length) in [
            ("short", pair.len() - 1),
            ("long", pair.len() + 1),
            ("beyond the packet", 100),
            ("huge", 268_435_455),
        ] {
            behind.push(Case {
                name: format!("{}: property length {name}", form.name),
                version,
                bytes: form.claiming(version, pair, length),
                verdict: MALFORMED,
            });
        }
        for length in [&b"\x80\0"[..], b"\xff\xff\xff\xff\x01"] {
            let body = [&form.before[..], length, &form.after[..]].concat();
            behind.push(Case {
                name: format!("{}: property length {}", form.name, length.escape_ascii()),
                version,
                bytes: packet(form.first, &body),
                verdict: MALFORMED,
            });
        }
    }
    (opening, behind)
}

/// Every reason code in every packet of version 5 that has one.
fn reasons() -> Vec<Case> {
    const ACK: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    const RELEASE: &[u8] = &[0x00, 0x92];
    // §3.14.2.1, with those that only a server has cause to send.
    const BYE: &[u8] = &[
        0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8c, 0x8d, 0x8e, 0x8f, 0x90, 0x93,
        0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2,
    ];
    let mut cases = Vec::new();
    for reason in 0..=0xff_u8 {
        for (name, first, known, right) in [
            ("PUBACK", 0x40, ACK, Fine),
            ("PUBREC", 0x50, ACK, Fine),
            ("PUBREL", 0x62, RELEASE, Fine),
            ("PUBCOMP", 0x70, RELEASE, Fine),
            ("DISCONNECT", 0xe0, BYE, Ends),
        ] {
            let body: &[u8] = if name == "DISCONNECT" {
                &[reason]
            } else {
                &[0, 10, reason]
            };
            let known = known.contains(&reason);
            cases.push(Case {
                name: format!("{name} with reason {reason:#04x}"),
                version: Version::V5,
                bytes: packet(first, body),
                verdict: if known { right } else { EITHER },
            });
        }
    }
    cases
}

/// Every byte of subscription options [MQTT-3.8.3-4] of 3.1.1, [MQTT-3.8.3-5] of 5.
fn options() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in VERSIONS {
        let v5 = version == Version::V5;
        for options in 0..=0xff_u8 {
            let mut body = if v5 {
                b"\0\x0b\0".to_vec()
            } else {
                b"\0\x0b".to_vec()
            };
            body.extend(text(b"a/#"));
            body.push(options);
            let verdict = match options {
                0..=2 => Fine,
                _ if !v5 || options & 3 == 3 || options & 0xc0 != 0 => MALFORMED,
                _ if options & 0x30 == 0x30 => PROTOCOL,
                _ => Fine,
            };
            cases.push(Case {
                name: format!("subscription options {options:#04x}"),
                version,
                bytes: packet(0x82, &body),
                verdict,
            });
        }
    }
    cases
}

/// Strings that are none, in each field that is one, and topics that are none.
fn texts() -> Vec<Case> {
    const NAME: Verdict = Wrong(&[0x81, 0x82, 0x90]);
    const FILTER: Verdict = Wrong(&[0x81, 0x82, 0x8f]);
    let mut cases = Vec::new();
    for version in VERSIONS {
        let props: &[u8] = if version == Version::V5 { b"\0" } else { b"" };
        let mut case = |name: &str, field: &[u8], verdict| {
            let body = match name {
                "PUBLISH" => [field, props, b"hi"].concat(),
                "SUBSCRIBE" => [b"\0\x0b", props, field, b"\x01"].concat(),
                _ => [b"\0\x0b", props, field].concat(),
            };
            let first = match name {
                "PUBLISH" => 0x30,
                "SUBSCRIBE" => 0x82,
                _ => 0xa2,
            };
            cases.push(Case {
                name: format!("{name} {}", field.escape_ascii()),
                version,
                bytes: packet(first, &body),
                verdict,
            });
        };
        for broken in BROKEN_TEXTS {
            for name in ["PUBLISH", "SUBSCRIBE", "UNSUBSCRIBE"] {
                case(name, broken, MALFORMED);
            }
        }
        for name in [&b""[..], b"+", b"#", b"a/+", b"a/#", b"a+", b"a/+/b"] {
            case("PUBLISH", &text(name), NAME);
        }
        let filters = [
            &b""[..],
            b"a#",
            b"#/a",
            b"a/#/b",
            b"a+",
            b"+a",
            b"a/+b/c",
            b"##",
            b"++",
        ];
        for filter in filters {
            case("SUBSCRIBE", &text(filter), FILTER);
            case("UNSUBSCRIBE", &text(filter), FILTER);
        }
        for right in [
            &b"#"[..],
            b"+",
            b"/",
            b"//",
            b"+/+/#",
            b"a/+",
            b"\xc3\xa4/\xf0\x9f\x98\x80",
        ] {
            case("SUBSCRIBE", &text(right), Fine);
            case("UNSUBSCRIBE", &text(right), Fine);
        }
    }
    cases
}

/// A CONNECT that is right.
pub(crate) fn hello(version: Version) -> Vec<u8> {
    let (name, level, properties): (&[u8], u8, &[u8]) = match version {
        Version::V31 => (b"MQIsdp", 3, b""),
        Version::V311 => (b"MQTT", 4, b""),
        // The session outlives the connection, so that DISCONNECT may change by how much.
        Version::V5 => (b"MQTT", 5, b"\x05\x11\0\0\0\x0a"),
    };
    let mut body = text(name);
    body.extend([level, 0x02, 0, 60]);
    body.extend_from_slice(properties);
    body.extend(text(b"bytes"));
    packet(0x10, &body)
}

/// CONNECT with every byte of flags, its payload as they say [MQTT-3.1.2-3] and what follows.
fn connect_flags() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in VERSIONS {
        let v5 = version == Version::V5;
        for flags in 0..=0xff_u8 {
            let has = |bit: u8| flags & bit != 0;
            let mut bytes = hello(version);
            let at = 2 + if version == Version::V31 { 9 } else { 7 };
            bytes[at] = flags;
            let mut body = bytes[2..].to_vec();
            if has(0x04) {
                if v5 {
                    body.push(0);
                }
                body.extend(text(b"w"));
                body.extend(text(b"bye"));
            }
            for bit in [0x80, 0x40] {
                if has(bit) {
                    body.extend(text(b"x"));
                }
            }
            let qos = flags >> 3 & 3;
            let wrong = has(0x01)
                || qos == 3
                || (!has(0x04) && (qos != 0 || has(0x20)))
                || (!v5 && has(0x40) && !has(0x80));
            cases.push(Case {
                name: format!("CONNECT with flags {flags:#04x}"),
                version,
                bytes: packet(0x10, &body),
                verdict: if wrong { EITHER } else { Fine },
            });
        }
    }
    cases
}

/// CONNECT cut at every offset, with strings that are none, and with bytes behind it.
fn connect_bodies() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in VERSIONS {
        let v5 = version == Version::V5;
        let whole = if v5 {
            connect5(b"\x26\0\x01k\0\x01v", b"\x18\0\0\0\x01")
        } else {
            hello(version)
        };
        let body = &whole[2..];
        let mut case = |name: String, bytes, verdict| {
            cases.push(Case {
                name,
                version,
                bytes,
                verdict,
            });
        };
        for end in 0..body.len() {
            case(
                format!("CONNECT cut at {end}"),
                packet(0x10, &body[..end]),
                EITHER,
            );
        }
        let longer = packet(0x10, &[body, b"\0"].concat());
        case("CONNECT, a byte behind it".into(), longer, MALFORMED);
        for broken in BROKEN_TEXTS {
            let right = hello(version);
            let body = [&right[2..right.len() - 7], broken].concat();
            case(
                format!("client id {}", broken.escape_ascii()),
                packet(0x10, &body),
                MALFORMED,
            );
        }
    }
    cases
}

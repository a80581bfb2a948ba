//! CONNECT packets of Alink devices: who says it is whom, and why we should believe it
//! (seed 001 §3.2, spec/alink-wire.md §2).

use credential::{
    Evidence, Secret, Want,
    alink::{ClientId, Signed, SignedError},
    token::{self, TokenError},
};
use hub::{
    admit::{Claim, Registration},
    edge::{Hello, Refusal, RefusalCode},
    limits::Limits,
};
use model::id::{DeviceKey, IotId};
use std::ops::RangeInclusive;

/// Bit of `Session::marks`: the device understands RPC on topics of its own (`ext` bit 0).
pub const MARK_EXTENDED_RPC: u32 = 1;
/// Bits of `Session::marks` that hold `ext` as it was sent.
pub const MARK_EXT: u32 = 0xff;
/// Bit of `Session::marks`: system topics come without SUBSCRIBE (`_ss=1`).
pub const MARK_IMPLICIT: u32 = 0x100;

/// Keys that only this vendor's client ids have.
const KEYS: [&str; 6] = [
    "securemode",
    "signmethod",
    "authType",
    "timestamp",
    "_ss",
    "_v",
];

/// What a hello is held to.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    /// Characters before the first `|` of a client id.
    pub(crate) base: usize,
    /// Seconds.
    pub(crate) keep_alive: RangeInclusive<u16>,
    /// Whether logins that hand a secret over are taken on channels that others can read.
    pub(crate) clear: bool,
}

impl Bounds {
    pub(crate) fn of(limits: &Limits, clear: bool) -> Self {
        Self {
            base: limits.client_id,
            keep_alive: limits.keep_alive_least..=limits.keep_alive_most,
            clear,
        }
    }
}

/// A hello that could be read.
pub(crate) struct Opening {
    /// What the device wants.
    pub(crate) form: Form,
    /// See `Session::marks`.
    pub(crate) marks: u32,
}

/// The forms of a login.
pub(crate) enum Form {
    /// With a proof of its own secret.
    Prove(Claim),
    /// With id and token of the HTTP authentication service.
    Token(String, String),
    /// To fetch a secret.
    Register(Claim, Registration),
}

/// How the client id says that the device proves itself.
enum Way {
    Signed(Option<bool>),
    Verbatim,
    Token,
    Register(Registration),
}

/// Reads a hello; `None` when it is not of this vendor.
///
/// # Errors
/// A refusal. 2 for the client id and the keep alive, 4 for user name and password, 5 for ways of
/// authentication that are not served, and for a will of a device that only registers.
pub(crate) fn read(hello: &Hello, bounds: &Bounds) -> Result<Option<Opening>, Refusal> {
    let user = hello.user.as_deref().unwrap_or_default();
    let id = match ClientId::parse(&hello.client_id) {
        Ok(id) => id,
        Err(bad) if user.contains('&') => return Err(client_id(bad.to_string())),
        Err(_) => return Ok(None),
    };
    let password = text(hello.password.as_deref());
    let has_token = password.is_some_and(is_token);
    let named = id.pairs().any(|(key, _)| KEYS.contains(&key));
    let token = has_token && IotId::parse(user).is_ok();
    if !(named || user.contains('&') || token) {
        return Ok(None);
    }
    if id.base().chars().count() > bounds.base {
        let most = bounds.base;
        return Err(client_id(format!(
            "has more than {most} characters before '|'"
        )));
    }
    if !bounds.keep_alive.contains(&hello.keep_alive) {
        let (least, most) = (bounds.keep_alive.start(), bounds.keep_alive.end());
        let reason = format!("the keep alive must be {least} to {most} seconds");
        return Err(refusal(RefusalCode::ClientId, reason));
    }
    let way = way(
        &id,
        !user.contains('&') && has_token,
        hello.shaken.is_some(),
    )?;
    if hello.will && matches!(way, Way::Register(_)) {
        let reason = "who registers leaves no will";
        return Err(refusal(RefusalCode::NotAuthorised, reason));
    }
    let secret_shown = matches!(way, Way::Register(_) | Way::Verbatim);
    if secret_shown && !bounds.clear && !hello.peer.channel.secure() {
        let reason = "this login shows a secret; connect over TLS";
        return Err(refusal(RefusalCode::NotAuthorised, reason));
    }
    let password = password
        .filter(|password| !password.is_empty())
        .ok_or_else(|| refusal(RefusalCode::Credentials, "the password is missing"))?;
    let form = match way {
        Way::Token => Form::Token(user.to_owned(), password.to_owned()),
        Way::Signed(says_secure) => {
            let device = device(user)?;
            let evidence = Signed::connect(
                &id,
                device.name.as_str(),
                device.product.as_str(),
                hex(password)?,
            );
            Form::Prove(claim(
                hello,
                device,
                evidence.map_err(unsigned)?,
                says_secure,
            ))
        }
        Way::Verbatim => {
            let evidence = Verbatim(Secret::new(password.as_bytes().to_vec()));
            Form::Prove(claim(hello, device(user)?, evidence, Some(true)))
        }
        Way::Register(how) => {
            let device = device(user)?;
            let evidence = Signed::register(
                &id,
                device.name.as_str(),
                device.product.as_str(),
                hex(password)?,
            );
            let says_secure = says_secure(&id);
            Form::Register(
                claim(hello, device, evidence.map_err(unsigned)?, says_secure),
                how,
            )
        }
    };
    Ok(Some(Opening {
        form,
        marks: marks(&id),
    }))
}

fn way(id: &ClientId, looks_like_token: bool, shaken: bool) -> Result<Way, Refusal> {
    // Who has proven an identity on its way in says so, and nobody else does.
    let says_id2 = id.get("securemode") == Some("8");
    if shaken && !(says_id2 && id.get("authType").is_none()) {
        let reason = "this port takes logins with securemode=8 alone";
        return Err(refusal(RefusalCode::NotAuthorised, reason));
    }
    if says_id2 && id.get("authtype").is_some_and(|kind| kind != "id2") {
        let reason = "authtype is not id2";
        return Err(refusal(RefusalCode::NotAuthorised, reason));
    }
    match id.get("authType") {
        Some("register") => return Ok(Way::Register(Registration::Known)),
        Some("regnwl") => return Ok(Way::Register(Registration::Open)),
        Some("connwl") => return Ok(Way::Verbatim),
        Some(_) => {
            let reason = "authType is none of register, regnwl, connwl";
            return Err(refusal(RefusalCode::NotAuthorised, reason));
        }
        None => {}
    }
    match id.get("securemode") {
        Some("2" | "3") => Ok(Way::Signed(says_secure(id))),
        Some("-1" | "0") => Ok(Way::Token),
        Some("-2") => Ok(Way::Verbatim),
        Some("8") if shaken => Ok(Way::Signed(Some(true))),
        Some("1" | "4" | "5" | "7" | "8") => {
            let reason = "securemode asks for ID2, which is not served on this port";
            Err(refusal(RefusalCode::NotAuthorised, reason))
        }
        Some(_) => Err(client_id("has an unknown securemode")),
        None if looks_like_token => Ok(Way::Token),
        None => Ok(Way::Signed(None)),
    }
}

fn says_secure(id: &ClientId) -> Option<bool> {
    match id.get("securemode") {
        Some("2") => Some(true),
        Some("3") => Some(false),
        _ => None,
    }
}

pub(crate) fn marks(id: &ClientId) -> u32 {
    let ext = id.get("ext").and_then(|ext| ext.parse::<u8>().ok());
    let implicit = if id.get("_ss") == Some("1") {
        MARK_IMPLICIT
    } else {
        0
    };
    u32::from(ext.unwrap_or(0)) | implicit
}

/// A product key has no `&`, so the last one is where the two halves meet.
fn device(user: &str) -> Result<DeviceKey, Refusal> {
    let malformed = |reason: String| refusal(RefusalCode::Credentials, reason);
    let (name, product) = user
        .rsplit_once('&')
        .ok_or_else(|| malformed("the user name is not deviceName&productKey".into()))?;
    DeviceKey::parse(product, name).map_err(|bad| malformed(format!("user name: {bad}")))
}

fn hex(password: &str) -> Result<&str, Refusal> {
    if password.bytes().all(|b| b.is_ascii_hexdigit()) {
        Ok(password)
    } else {
        let reason = "the password is not a signature in hex";
        Err(refusal(RefusalCode::Credentials, reason))
    }
}

/// C programs may send the end of their string along.
fn text(password: Option<&[u8]>) -> Option<&str> {
    let text = std::str::from_utf8(password?).ok()?;
    Some(text.trim_end_matches('\0'))
}

/// Whether it could be a token of ours: only then is the key the one thing that is wrong with it.
fn is_token(text: &str) -> bool {
    matches!(
        token::check(&Secret::new(Vec::new()), text, 0),
        Err(TokenError::Forged)
    )
}

fn claim(
    hello: &Hello,
    device: DeviceKey,
    evidence: impl Evidence + 'static,
    says_secure: Option<bool>,
) -> Claim {
    Claim {
        device,
        evidence: Box::new(evidence),
        says_secure,
        peer: hello.peer,
    }
}

fn unsigned(error: SignedError) -> Refusal {
    client_id(match error {
        SignedError::UnknownMethod => "has an unknown signmethod".to_owned(),
        SignedError::Missing(name) => format!("lacks {name}"),
    })
}

fn client_id(what: impl AsRef<str>) -> Refusal {
    refusal(
        RefusalCode::ClientId,
        format!("client id: {}", what.as_ref()),
    )
}

fn refusal(code: RefusalCode, reason: impl Into<String>) -> Refusal {
    Refusal {
        code,
        reason: reason.into(),
    }
}

/// The device shows the secret itself (`authType=connwl`, spec/alink-wire.md §2.6).
struct Verbatim(Secret);

impl Evidence for Verbatim {
    fn wants(&self) -> &[Want] {
        &[Want::DeviceSecret]
    }

    fn check(&self, secret: &Secret) -> bool {
        self.0.matches(secret.expose())
    }

    fn scheme(&self) -> &'static str {
        "verbatim"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hub::edge::{Channel, Peer};

    const PK: &str = "a1MZxOdcBnO";
    const USER: &str = "example1&a1MZxOdcBnO";
    const SECRET: &str = "jiPvZkVO9lhNj2Q9f2KdP4Yln7ACJI3X";
    const PRODUCT_SECRET: &str = "h4I4dneEFp7EImTv";

    fn bounds() -> Bounds {
        Bounds::of(&Limits::default(), false)
    }

    fn hello(client_id: &str, user: &str, password: &str) -> Hello {
        Hello {
            client_id: client_id.into(),
            user: Some(user.into()),
            password: Some(password.to_owned().into()),
            level: 4,
            clean: true,
            keep_alive: 60,
            will: false,
            peer: Peer {
                address: [127, 0, 0, 1].into(),
                channel: Channel::Tls,
            },
            shaken: None,
        }
    }

    fn opening(hello: &Hello) -> Opening {
        match read(hello, &bounds()) {
            Ok(Some(opening)) => opening,
            Ok(None) => panic!("not taken for an Alink login: {hello:?}"),
            Err(refusal) => panic!("refused: {refusal:?}"),
        }
    }

    fn refused(hello: &Hello) -> RefusalCode {
        match read(hello, &bounds()) {
            Err(refusal) => refusal.code,
            Ok(_) => panic!("should be refused: {hello:?}"),
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    /// [AL-3.2] CONNECTs of five client generations, `spec/alink-wire.md` §9.
    #[test]
    fn captured_logins_are_read_and_genuine() {
        for (client_id, password, marks, says) in [
            (
                "a1MZxOdcBnO.example1|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=2,signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0|",
                "E157285389659C45DDB66E19B5C2385377E3CE627C712129DEB32263D3ACB227",
                MARK_IMPLICIT,
                Some(true),
            ),
            (
                "a1MZxOdcBnO&example1|securemode=2,signmethod=hmacsha1,ext=1,_ss=1,lan=Python,_v=1.2.13,timestamp=1795352331|",
                "f305fdef3a924ea2b2ff3f5463d69d7596981cea",
                MARK_IMPLICIT | MARK_EXTENDED_RPC,
                Some(true),
            ),
            (
                "a1MZxOdcBnO&example1|securemode=2,signmethod=hmacsha1,timestamp=1795352514954,lan=NodeJS,_v=1.2.8|",
                "f4a16c0875b0ef3d131caca173e69beafc0e4110",
                0,
                Some(true),
            ),
            (
                "a1MZxOdcBnO&example1_aliyun-iot-device-sdk-js|securemode=3,\n        signmethod=hmacsha1,\n        timestamp=1795352524601|",
                "bab40a8a1c55d2db723447f2f346b6e37d4efdd2",
                0,
                Some(false),
            ),
            (
                "a1MZxOdcBnO.example1|securemode=2,_v=sdk-c-2.3.0,timestamp=2524608000000,signmethod=hmacsha1,lan=C,gw=0,ext=0,pid=example.demo.partner-id,mid=example.demo.module-id|",
                "017b4d39516095cb654962912d374c76fdbcd32f\0",
                0,
                Some(true),
            ),
        ] {
            let opening = opening(&hello(client_id, USER, password));
            assert_eq!(opening.marks, marks, "{client_id}");
            let Form::Prove(claim) = opening.form else {
                panic!("{client_id}");
            };
            assert_eq!(claim.device, DeviceKey::parse(PK, "example1").unwrap());
            assert_eq!(claim.says_secure, says);
            assert!(claim.evidence.check(&secret(SECRET)), "{client_id}");
            assert!(!claim.evidence.check(&secret(PRODUCT_SECRET)));
        }
    }

    /// [AL-2.3] Registration over MQTT, `spec/alink-wire.md` §9 rows 6 and 7.
    #[test]
    fn captured_registrations_are_read_and_genuine() {
        for (client_id, password, how) in [
            (
                "example1.a1MZxOdcBnO|random=jHb8W985QcdG3i8,authType=register,securemode=2,signmethod=hmacsha256|",
                "2255192de892435c24c011c70d17012678763b75fb92745299192f8aef465918",
                Registration::Known,
            ),
            (
                "example1.a1MZxOdcBnO|random=VXXef2gZLYIZiMg,authType=regnwl,securemode=2,signmethod=hmacsha256|",
                "0d40ff7c6a67aeba60d1008db911bb36016cd1bd1eaba2020f13cd356234e09a",
                Registration::Open,
            ),
        ] {
            let mut hello = hello(client_id, USER, password);
            let Form::Register(claim, found) = opening(&hello).form else {
                panic!("{client_id}");
            };
            assert_eq!(found, how);
            assert_eq!(claim.evidence.wants(), [Want::ProductSecret]);
            assert!(claim.evidence.check(&secret(PRODUCT_SECRET)));
            assert!(!claim.evidence.check(&secret(SECRET)));

            hello.peer.channel = Channel::Tcp;
            assert_eq!(refused(&hello), RefusalCode::NotAuthorised);
            let clear = Bounds {
                clear: true,
                ..bounds()
            };
            assert!(matches!(read(&hello, &clear), Ok(Some(_))));
            hello.peer.channel = Channel::Tls;
            hello.client_id = client_id.replace("random", "nonce");
            assert_eq!(refused(&hello), RefusalCode::ClientId);
        }
    }

    /// [AL-2.3] A device that registered without a white list shows its token as it is.
    #[test]
    fn a_device_token_is_compared_as_it_is() {
        let client_id = "id|authType=connwl,securemode=-2,_ss=1,ext=3,lan=Python,_v=1.2.13|";
        let opening = opening(&hello(client_id, USER, SECRET));
        assert_eq!(opening.marks, MARK_IMPLICIT | 3);
        let Form::Prove(claim) = opening.form else {
            panic!("a login with a secret");
        };
        assert_eq!(claim.evidence.wants(), [Want::DeviceSecret]);
        assert!(claim.evidence.check(&secret(SECRET)));
        assert!(!claim.evidence.check(&secret(&SECRET[1..])));
        assert!(!claim.evidence.check(&secret("")));
        assert_eq!(
            refused(&hello(client_id, USER, "")),
            RefusalCode::Credentials
        );
    }

    /// [AL-3.3] With and without a block in the client id.
    #[test]
    fn logins_after_http_authentication_carry_id_and_token() {
        let claims = token::Claims {
            iot_id: "4z819VQHk6VSLmmBJfrf".into(),
            expires_ms: 1,
            generation: 1,
        };
        let token = token::mint(&secret("key"), &claims);
        for client_id in [
            "c1|securemode=-1,_v=1|",
            "c1|securemode=0|",
            "c1|_v=1|",
            "c1",
        ] {
            let hello = hello(client_id, &claims.iot_id, &token);
            match opening(&hello).form {
                Form::Token(id, found) => assert_eq!((&id, &found), (&claims.iot_id, &token)),
                _ => panic!("{client_id}"),
            }
        }
    }

    #[test]
    fn logins_of_others_are_left_to_others() {
        for (client_id, user, password) in [
            ("mosquitto", "someone", "secret"),
            ("mosquitto|7", "someone", "secret"),
            ("device_0_0_2024010100", "device", &"a".repeat(64)),
            ("a|k=v|", "someone", "secret"),
            ("", "", ""),
        ] {
            let read = read(&hello(client_id, user, password), &bounds());
            assert!(matches!(read, Ok(None)), "{client_id}");
        }
    }

    /// [AL-3.4] [AL-3.2] Each mistake with the return code that `docs/divergences.md` names.
    #[test]
    fn mistakes_are_refused_with_their_code() {
        const GOOD: &str = "b|securemode=3,signmethod=hmacsha1|";
        let hex = "00";
        for (client_id, user, password, code) in [
            (GOOD, "example1", hex, RefusalCode::Credentials),
            (GOOD, "", hex, RefusalCode::Credentials),
            (GOOD, "&", hex, RefusalCode::Credentials),
            (GOOD, "a b c&pk", hex, RefusalCode::Credentials),
            (GOOD, USER, "not hex", RefusalCode::Credentials),
            (GOOD, USER, "", RefusalCode::Credentials),
            ("b|securemode=3", USER, hex, RefusalCode::ClientId),
            ("b|securemode=9|", USER, hex, RefusalCode::ClientId),
            ("b|signmethod=md5|", USER, hex, RefusalCode::ClientId),
            ("b|securemode=8|", USER, hex, RefusalCode::NotAuthorised),
            ("b|authType=other|", USER, hex, RefusalCode::NotAuthorised),
            (&"x".repeat(65), USER, hex, RefusalCode::ClientId),
        ] {
            let hello = hello(client_id, user, password);
            assert_eq!(refused(&hello), code, "{client_id} {user} {password}");
        }
        let mut none = hello(GOOD, USER, hex);
        none.password = None;
        assert_eq!(refused(&none), RefusalCode::Credentials);
        none.password = Some(vec![0xff, 0xfe].into());
        assert_eq!(refused(&none), RefusalCode::Credentials);
        none.user = None;
        assert_eq!(refused(&none), RefusalCode::Credentials);
    }

    /// [AL-3.4] 30 to 1,200 seconds; silence about the keep alive is outside.
    #[test]
    fn the_keep_alive_has_bounds() {
        for (seconds, good) in [
            (0, false),
            (29, false),
            (30, true),
            (1200, true),
            (1201, false),
        ] {
            let mut hello = hello(&"x".repeat(64), USER, "00");
            hello.keep_alive = seconds;
            match read(&hello, &bounds()) {
                Ok(Some(_)) => assert!(good, "{seconds}"),
                Ok(None) => panic!("{seconds}"),
                Err(refusal) => {
                    assert!(!good, "{seconds}");
                    assert_eq!(refusal.code, RefusalCode::ClientId);
                }
            }
        }
    }

    #[test]
    fn a_name_may_have_what_separates_it_from_the_product() {
        // DeviceNames have no '&' here, so such a user is malformed, not somebody else.
        assert_eq!(
            refused(&hello("b|securemode=3|", "dev&ice1&pk", "00")),
            RefusalCode::Credentials
        );
    }
}

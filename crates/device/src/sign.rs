//! `IOT_Sign_MQTT`: from the identity of a device to all that an MQTT client needs to connect
//! (seed 001 section 3.4).
//!
//! The client id is, byte for byte, that of the Link Kit C SDK 3.2.0, because firmware that moves
//! over from there must look the same to any server; that includes its `lan` and `_v`.

use core::{fmt, ops::Deref, str};
use credential::crypto::hmac::hmac_sha256;
use zeroize::Zeroizing;

/// Longest product key (`IOTX_PRODUCT_KEY_LEN` of that SDK), in bytes like all limits here.
pub const PRODUCT_KEY_MAX: usize = 20;
/// Longest device name (`IOTX_DEVICE_NAME_LEN`).
pub const DEVICE_NAME_MAX: usize = 32;
/// Longest device secret (`IOTX_DEVICE_SECRET_LEN`).
pub const DEVICE_SECRET_MAX: usize = 64;
/// Longest host name: `DEV_SIGN_HOSTNAME_MAXLEN` without the closing NUL.
pub const HOSTNAME_MAX: usize = 63;
/// Longest client id: `DEV_SIGN_CLIENT_ID_MAXLEN` without the closing NUL.
pub const CLIENT_ID_MAX: usize = 199;
/// Longest user name: `DEV_SIGN_USERNAME_MAXLEN` without the closing NUL.
pub const USERNAME_MAX: usize = 63;
/// Characters of a password: `DEV_SIGN_PASSWORD_MAXLEN` without the closing NUL.
pub const PASSWORD_LEN: usize = 64;

/// Never checked by any server of this protocol; it is signed all the same.
const TIMESTAMP: &str = "2524608000000";

/// Where to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region<'a> {
    /// `IOTX_CLOUD_REGION_SHANGHAI`
    Shanghai,
    /// `IOTX_CLOUD_REGION_SINGAPORE`
    Singapore,
    /// `IOTX_CLOUD_REGION_JAPAN`
    Japan,
    /// `IOTX_CLOUD_REGION_USA_WEST`
    UsaWest,
    /// `IOTX_CLOUD_REGION_GERMANY`
    Germany,
    /// `IOTX_CLOUD_REGION_CUSTOM`: a host of one's own, taken as it is.
    Custom(&'a str),
}

/// How to connect; a build option of the C SDK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TLS on port 443, `securemode=2`.
    Tls,
    /// Plain TCP on port 1883, `securemode=3`.
    Tcp,
    /// iTLS on port 1883, `securemode=8` and `authtype=id2`.
    Itls,
}

/// Who connects (`iotx_dev_meta_info_t`; its product secret plays no part in this signature).
#[derive(Clone, Copy)]
pub struct Meta<'a> {
    /// ProductKey.
    pub product_key: &'a str,
    /// DeviceName.
    pub device_name: &'a str,
    /// DeviceSecret.
    pub device_secret: &'a [u8],
}

/// A text of at most `N` bytes, without a heap.
#[derive(Clone, Copy)]
pub struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    /// The parts, one after the other; `None` when they are longer than `N`.
    fn of(parts: &[&str]) -> Option<Self> {
        let mut text = Text {
            bytes: [0; N],
            len: 0,
        };
        for part in parts {
            let end = text.len + part.len();
            text.bytes
                .get_mut(text.len..end)?
                .copy_from_slice(part.as_bytes());
            text.len = end;
        }
        Some(text)
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

/// What an MQTT client needs (`iotx_sign_mqtt_t`). No `Debug`, for the password.
pub struct Login {
    /// Full host name, at most [`HOSTNAME_MAX`] bytes.
    pub hostname: Text<HOSTNAME_MAX>,
    /// TCP port.
    pub port: u16,
    /// MQTT client id, at most [`CLIENT_ID_MAX`] bytes.
    pub client_id: Text<CLIENT_ID_MAX>,
    /// MQTT user name.
    pub username: Text<USERNAME_MAX>,
    /// MQTT password: 64 upper-case hex digits.
    pub password: Zeroizing<[u8; PASSWORD_LEN]>,
}

/// Which argument was refused. In C each of them is the result -1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignError {
    /// Empty, longer than [`PRODUCT_KEY_MAX`], or with a character that cannot be one of a key.
    ProductKey,
    /// Empty, longer than [`DEVICE_NAME_MAX`], or with a character that cannot be one of a name.
    DeviceName,
    /// Empty, or longer than [`DEVICE_SECRET_MAX`].
    DeviceSecret,
    /// The custom host is empty or longer than [`HOSTNAME_MAX`].
    Hostname,
}

impl SignError {
    /// The result of the C function: -1, "illegal argument". Success is 0.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            SignError::ProductKey
            | SignError::DeviceName
            | SignError::DeviceSecret
            | SignError::Hostname => -1,
        }
    }
}

impl fmt::Display for SignError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SignError::ProductKey => "the product key is empty, too long or malformed",
            SignError::DeviceName => "the device name is empty, too long or malformed",
            SignError::DeviceSecret => "the device secret is empty or too long",
            SignError::Hostname => "the custom host is empty or too long",
        })
    }
}

impl core::error::Error for SignError {}

/// Computes the login of a device.
///
/// # Errors
/// [`SignError`], before anything is computed.
pub fn sign_mqtt(
    region: Region<'_>,
    transport: Transport,
    meta: &Meta<'_>,
) -> Result<Login, SignError> {
    let Meta {
        product_key,
        device_name,
        device_secret,
    } = *meta;
    if !is_word(product_key, PRODUCT_KEY_MAX) {
        return Err(SignError::ProductKey);
    }
    if !is_word(device_name, DEVICE_NAME_MAX) {
        return Err(SignError::DeviceName);
    }
    if !(1..=DEVICE_SECRET_MAX).contains(&device_secret.len()) {
        return Err(SignError::DeviceSecret);
    }
    let hostname = hostname(region, product_key)?;
    let (port, securemode, kind) = match transport {
        Transport::Tls => (443, "2", ""),
        Transport::Tcp => (1883, "3", ""),
        Transport::Itls => (1883, "8", ",authtype=id2"),
    };
    // All limits were checked above, so that every text fits; were one wrong, nothing is signed.
    let fits = SignError::Hostname;
    let client_id = Text::of(&[
        product_key,
        ".",
        device_name,
        "|timestamp=",
        TIMESTAMP,
        ",_v=sdk-c-3.2.0,securemode=",
        securemode,
        ",signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0",
        kind,
        "|",
    ])
    .ok_or(fits)?;
    // The fields that are signed, by their names' order (seed 001 section 3.2).
    let mac = hmac_sha256(
        device_secret,
        &[
            b"clientId",
            product_key.as_bytes(),
            b".",
            device_name.as_bytes(),
            b"deviceName",
            device_name.as_bytes(),
            b"productKey",
            product_key.as_bytes(),
            b"timestamp",
            TIMESTAMP.as_bytes(),
        ],
    );
    let mut password = Zeroizing::new([0; PASSWORD_LEN]);
    for (byte, pair) in mac.iter().zip(password.chunks_exact_mut(2)) {
        const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    Ok(Login {
        hostname,
        port,
        client_id,
        username: Text::of(&[device_name, "&", product_key]).ok_or(fits)?,
        password,
    })
}

fn hostname(region: Region<'_>, product_key: &str) -> Result<Text<HOSTNAME_MAX>, SignError> {
    let id = match region {
        Region::Shanghai => "cn-shanghai",
        Region::Singapore => "ap-southeast-1",
        Region::Japan => "ap-northeast-1",
        Region::UsaWest => "us-west-1",
        Region::Germany => "eu-central-1",
        Region::Custom("") => return Err(SignError::Hostname),
        Region::Custom(host) => return Text::of(&[host]).ok_or(SignError::Hostname),
    };
    Text::of(&[product_key, ".iot-as-mqtt.", id, ".aliyuncs.com"]).ok_or(SignError::Hostname)
}

/// Visible ASCII without the characters that part client id and user name.
fn is_word(text: &str, max: usize) -> bool {
    (1..=max).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'|' && b != b'&')
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use credential::{
        Evidence, Secret,
        alink::{ClientId, Signed},
    };

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes().to_vec())
    }

    fn device_a(device_secret: &Secret) -> Meta<'_> {
        Meta {
            product_key: "a1MZxOdcBnO",
            device_name: "example1",
            device_secret: device_secret.expose(),
        }
    }

    /// `spec/alink-wire.md` section 9, 1: captured from the C SDK with the same identity. [LK-1]
    #[test]
    fn al_3_7_the_login_is_the_one_of_the_c_sdk() {
        let secret = secret("jiPvZkVO9lhNj2Q9f2KdP4Yln7ACJI3X");
        let login = sign_mqtt(Region::Shanghai, Transport::Tls, &device_a(&secret))
            .ok()
            .unwrap();
        assert_eq!(
            &*login.hostname,
            "a1MZxOdcBnO.iot-as-mqtt.cn-shanghai.aliyuncs.com"
        );
        assert_eq!(login.port, 443);
        assert_eq!(
            &*login.client_id,
            "a1MZxOdcBnO.example1|timestamp=2524608000000,_v=sdk-c-3.2.0,securemode=2,signmethod=hmacsha256,lan=C,_ss=1,gw=0,ext=0|"
        );
        assert_eq!(&*login.username, "example1&a1MZxOdcBnO");
        assert_eq!(
            login.password.as_slice(),
            b"E157285389659C45DDB66E19B5C2385377E3CE627C712129DEB32263D3ACB227"
        );
    }

    /// The other end of the same room believes it, over TLS and over TCP. [AL-3.7]
    #[test]
    fn al_3_7_a_server_accepts_the_login() {
        let secret = secret("s");
        for (transport, port, mode) in [
            (Transport::Tls, 443, "2"),
            (Transport::Tcp, 1883, "3"),
            (Transport::Itls, 1883, "8"),
        ] {
            let meta = device_a(&secret);
            let login = sign_mqtt(Region::Custom("muster.example"), transport, &meta)
                .ok()
                .unwrap();
            assert_eq!((&*login.hostname, login.port), ("muster.example", port));
            let id = ClientId::parse(&login.client_id).unwrap();
            assert_eq!(id.get("securemode"), Some(mode));
            assert_eq!(id.get("authtype"), (mode == "8").then_some("id2"));
            let password = core::str::from_utf8(&*login.password).unwrap();
            let signed = Signed::connect(&id, "example1", "a1MZxOdcBnO", password).unwrap();
            assert!(signed.check(&secret));
        }
    }

    #[test]
    fn al_3_7_every_region_has_its_host() {
        let secret = secret("s");
        for (region, id) in [
            (Region::Shanghai, "cn-shanghai"),
            (Region::Singapore, "ap-southeast-1"),
            (Region::Japan, "ap-northeast-1"),
            (Region::UsaWest, "us-west-1"),
            (Region::Germany, "eu-central-1"),
        ] {
            let login = sign_mqtt(region, Transport::Tls, &device_a(&secret))
                .ok()
                .unwrap();
            assert_eq!(
                &*login.hostname,
                format!("a1MZxOdcBnO.iot-as-mqtt.{id}.aliyuncs.com")
            );
        }
    }

    #[test]
    fn al_3_7_an_illegal_argument_is_minus_one() {
        let good = secret("s");
        let refused = |region, meta: Meta<'_>| sign_mqtt(region, Transport::Tls, &meta).err();
        let (long_key, long_name) = ("k".repeat(21), "n".repeat(33));
        for product_key in ["", "a|b", "a&b", "a\0", "\u{e9}", &long_key] {
            let meta = Meta {
                product_key,
                ..device_a(&good)
            };
            assert_eq!(refused(Region::Japan, meta), Some(SignError::ProductKey));
        }
        for device_name in ["", "a|b", "a b", &long_name] {
            let meta = Meta {
                device_name,
                ..device_a(&good)
            };
            assert_eq!(refused(Region::Japan, meta), Some(SignError::DeviceName));
        }
        for device_secret in [&secret(""), &secret(&"s".repeat(65))] {
            let meta = device_a(device_secret);
            assert_eq!(refused(Region::Japan, meta), Some(SignError::DeviceSecret));
        }
        for host in ["", &"h".repeat(HOSTNAME_MAX + 1)] {
            let meta = device_a(&good);
            assert_eq!(
                refused(Region::Custom(host), meta),
                Some(SignError::Hostname)
            );
        }
        assert_eq!(SignError::Hostname.code(), -1);
    }

    /// The buffers of the C struct hold whatever the longest identity makes.
    #[test]
    fn al_3_7_the_longest_identity_fits_the_buffers_of_c() {
        let secret = secret(&"s".repeat(DEVICE_SECRET_MAX));
        let (key, name) = ("k".repeat(PRODUCT_KEY_MAX), "n".repeat(DEVICE_NAME_MAX));
        let meta = Meta {
            product_key: &key,
            device_name: &name,
            device_secret: secret.expose(),
        };
        for region in [Region::Singapore, Region::Japan] {
            let login = sign_mqtt(region, Transport::Tls, &meta).ok().unwrap();
            assert!(login.hostname.len() <= HOSTNAME_MAX);
            assert!(login.client_id.len() <= CLIENT_ID_MAX);
            assert!(login.username.len() <= 63 && login.password.len() == 64);
        }
    }
}

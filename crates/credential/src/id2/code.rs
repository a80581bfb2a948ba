//! How codes are written: five fields of a device, four of a server, parted by `~` (wire §2, §3).

use super::{DEVICE_CHALLENGE_MAX, FRESHNESS_MAX, key::SIGNATURE_MAX};
use crate::crypto::digest::Hash;
use base64::{Engine, engine::general_purpose::STANDARD};
use core::{fmt, str};

/// Longest code that is read; the longest that a device writes has 398 characters, 1,024 leave room
/// for the form "99".
pub const CODE_MAX: usize = 1024;
/// What a code of the hardened form begins with (wire §2.3).
pub const HARDENED: &str = "99~";
/// Characters of the device's random.
pub const RANDOM_LEN: usize = 16;
/// Room in which a signature of [`SIGNATURE_MAX`] bytes can be decoded.
const DECODED: usize = SIGNATURE_MAX.div_ceil(3) * 3;

/// What a device's code is fresh by, and whether it covers the caller's `extra`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// 0: a challenge of the server.
    Challenge,
    /// 1: milliseconds since 1970.
    Timestamp,
    /// 2: a challenge, with extra.
    ChallengeExtra,
    /// 3: a timestamp, with extra.
    TimestampExtra,
}

impl Mode {
    /// The mode for a challenge or a timestamp, with or without extra.
    #[must_use]
    pub fn new(timestamp: bool, extra: bool) -> Mode {
        match (timestamp, extra) {
            (false, false) => Mode::Challenge,
            (true, false) => Mode::Timestamp,
            (false, true) => Mode::ChallengeExtra,
            (true, true) => Mode::TimestampExtra,
        }
    }

    /// Whether it is fresh by a timestamp, and not by a challenge.
    #[must_use]
    pub fn is_timestamp(self) -> bool {
        matches!(self, Mode::Timestamp | Mode::TimestampExtra)
    }

    /// Whether an extra is covered.
    #[must_use]
    pub fn has_extra(self) -> bool {
        matches!(self, Mode::ChallengeExtra | Mode::TimestampExtra)
    }

    /// The digit of the mode.
    #[must_use]
    pub fn digit(self) -> u8 {
        match self {
            Mode::Challenge => b'0',
            Mode::Timestamp => b'1',
            Mode::ChallengeExtra => b'2',
            Mode::TimestampExtra => b'3',
        }
    }
}

/// The second field of every code (wire §1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HashType {
    /// 0: only of old RSA secure elements.
    Md5,
    /// 1: only of old RSA secure elements.
    Sha1,
    /// 2.
    Sha256,
    /// 3: of SM keys, and of no others.
    Sm3,
}

impl HashType {
    /// The digit of the hash.
    #[must_use]
    pub fn digit(self) -> u8 {
        match self {
            HashType::Md5 => b'0',
            HashType::Sha1 => b'1',
            HashType::Sha256 => b'2',
            HashType::Sm3 => b'3',
        }
    }

    /// The function.
    #[must_use]
    pub fn hash(self) -> Hash {
        match self {
            HashType::Md5 => Hash::Md5,
            HashType::Sha1 => Hash::Sha1,
            HashType::Sha256 => Hash::Sha256,
            HashType::Sm3 => Hash::Sm3,
        }
    }

    fn parse(digit: &str) -> Result<HashType, FormError> {
        match digit {
            "0" => Ok(HashType::Md5),
            "1" => Ok(HashType::Sha1),
            "2" => Ok(HashType::Sha256),
            "3" => Ok(HashType::Sm3),
            _ => Err(FormError::Hash),
        }
    }
}

/// A signature as it came: not yet believed.
#[derive(Clone, Copy)]
pub struct Signature {
    bytes: [u8; DECODED],
    len: usize,
}

impl Signature {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn parse(text: &str) -> Result<Signature, FormError> {
        let mut bytes = [0; DECODED];
        let len = STANDARD
            .decode_slice(text, &mut bytes)
            .map_err(|_| FormError::Signature)?;
        if (1..=SIGNATURE_MAX).contains(&len) {
            Ok(Signature { bytes, len })
        } else {
            Err(FormError::Signature)
        }
    }
}

/// Why a text is no code; names the field at fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormError {
    /// Longer than [`CODE_MAX`].
    TooLong,
    /// Not the right number of fields.
    Fields,
    /// No known mode.
    Mode,
    /// No known hash.
    Hash,
    /// The device's random is not 16 upper-case hex digits; of a server's code: the challenge is
    /// empty or too long.
    Random,
    /// The challenge or timestamp is empty, too long or no visible ASCII; a timestamp is no number.
    Freshness,
    /// The signature is no base64, or too long for any key.
    Signature,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FormError::TooLong => "the code is too long",
            FormError::Fields => "the code has not the right number of fields",
            FormError::Mode => "the code's mode is unknown",
            FormError::Hash => "the code's hash is unknown",
            FormError::Random => "the code's random is malformed",
            FormError::Freshness => "the code's challenge or timestamp is malformed",
            FormError::Signature => "the code's signature is malformed",
        })
    }
}

impl core::error::Error for FormError {}

/// A device's code as it came: read, and not yet believed.
#[derive(Clone, Copy)]
pub struct AuthCode<'a> {
    /// What it is fresh by.
    pub mode: Mode,
    /// What it was hashed with.
    pub hash: HashType,
    /// 16 upper-case hex digits of the device.
    pub random: &'a str,
    /// The challenge or the timestamp.
    pub freshness: &'a str,
    /// The signature.
    pub signature: Signature,
}

impl<'a> AuthCode<'a> {
    /// Reads `MODE~HASH~DR~SR~SIG`. A code of the form "99" is unwrapped first
    /// (`id2::server::DeviceKey::unharden`); here it has not the right number of fields.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse(text: &'a str) -> Result<AuthCode<'a>, FormError> {
        if text.len() > CODE_MAX {
            return Err(FormError::TooLong);
        }
        let [mode, hash, random, freshness, signature] = fields(text)?;
        let mode = match mode {
            "0" => Mode::Challenge,
            "1" => Mode::Timestamp,
            "2" => Mode::ChallengeExtra,
            "3" => Mode::TimestampExtra,
            _ => return Err(FormError::Mode),
        };
        let hash = HashType::parse(hash)?;
        let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'A'..=b'F');
        if random.len() != RANDOM_LEN || !random.bytes().all(is_hex) {
            return Err(FormError::Random);
        }
        let code = AuthCode {
            mode,
            hash,
            random,
            freshness,
            signature: Signature::parse(signature)?,
        };
        let written = is_freshness(freshness.as_bytes());
        if !written || (mode.is_timestamp() && code.timestamp().is_none()) {
            return Err(FormError::Freshness);
        }
        Ok(code)
    }

    /// The milliseconds since 1970 of a timestamp code.
    #[must_use]
    pub fn timestamp(&self) -> Option<u64> {
        let digits = self.freshness.bytes().all(|b| b.is_ascii_digit());
        (self.mode.is_timestamp() && digits)
            .then(|| self.freshness.parse().ok())
            .flatten()
    }
}

/// A server's code as it came.
#[derive(Clone, Copy)]
pub struct ServerCode<'a> {
    /// Whether it covers an extra of the server.
    pub extra: bool,
    /// What it was hashed with.
    pub hash: HashType,
    /// The device's challenge, repeated.
    pub challenge: &'a str,
    /// The signature.
    pub signature: Signature,
}

impl<'a> ServerCode<'a> {
    /// Reads `MODE~HASH~DC~SIG`.
    ///
    /// # Errors
    /// [`FormError`].
    pub fn parse(text: &'a str) -> Result<ServerCode<'a>, FormError> {
        if text.len() > CODE_MAX {
            return Err(FormError::TooLong);
        }
        let [mode, hash, challenge, signature] = fields(text)?;
        let extra = match mode {
            "10" => false,
            "11" => true,
            _ => return Err(FormError::Mode),
        };
        if !is_device_challenge(challenge.as_bytes()) {
            return Err(FormError::Random);
        }
        Ok(ServerCode {
            extra,
            hash: HashType::parse(hash)?,
            challenge,
            signature: Signature::parse(signature)?,
        })
    }
}

/// Whether a text can be the challenge or timestamp of a code: 1 to 32 visible characters, no `~`.
#[must_use]
pub fn is_freshness(text: &[u8]) -> bool {
    (1..=FRESHNESS_MAX).contains(&text.len())
        && text.iter().all(|b| b.is_ascii_graphic() && *b != b'~')
}

/// Whether a text can be a device's challenge: 1 to 128 visible characters, no `~` (wire §3).
#[must_use]
pub fn is_device_challenge(text: &[u8]) -> bool {
    (1..=DEVICE_CHALLENGE_MAX).contains(&text.len())
        && text.iter().all(|b| b.is_ascii_graphic() && *b != b'~')
}

fn fields<const N: usize>(text: &str) -> Result<[&str; N], FormError> {
    let mut out = [""; N];
    let mut parts = text.split('~');
    for field in &mut out {
        *field = parts.next().ok_or(FormError::Fields)?;
    }
    match parts.next() {
        None => Ok(out),
        Some(_) => Err(FormError::Fields),
    }
}

/// A place to write a text into that may turn out too short.
pub(crate) struct Out<'a> {
    room: &'a mut [u8],
    len: usize,
}

/// The text has no room.
pub(crate) struct Full;

impl<'a> Out<'a> {
    pub(crate) fn new(room: &'a mut [u8]) -> Self {
        Out { room, len: 0 }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.len + bytes.len();
        self.room
            .get_mut(self.len..end)
            .ok_or(Full)?
            .copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }

    pub(crate) fn put_base64(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let written = STANDARD
            .encode_slice(bytes, &mut self.room[self.len..])
            .map_err(|_| Full)?;
        self.len += written;
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }
}

/// Decodes standard base64 into `out`; `None` when it is none or has no room.
pub(crate) fn base64_decode(text: &[u8], out: &mut [u8]) -> Option<usize> {
    STANDARD.decode_slice(text, out).ok()
}

/// Characters of base64 over `len` bytes.
pub(crate) const fn base64_len(len: usize) -> usize {
    len.div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIG: &str = "eXTmAV9sdhn4u824m4+mICNzD2kZ4e5XKVmkgzNAnvuXnA1nt3r97vPi1Bnh6fF1";

    #[test]
    fn id_1_a_code_has_five_fields_of_known_shapes() {
        let text = alloc::format!("1~2~67452301EFCDAB89~1512022279204~{SIG}");
        let code = AuthCode::parse(&text).ok().unwrap();
        assert_eq!(code.mode, Mode::Timestamp);
        assert_eq!(code.hash, HashType::Sha256);
        assert_eq!(code.timestamp(), Some(1_512_022_279_204));
        assert_eq!(code.signature.as_bytes().len(), 48);
        let long = alloc::format!("0~2~67452301EFCDAB89~1~{}", "A".repeat(1024));
        for (wrong, why) in [
            ("", FormError::Fields),
            ("0~2~67452301EFCDAB89~1", FormError::Fields),
            ("0~2~67452301EFCDAB89~1~AAAA~", FormError::Fields),
            ("4~2~67452301EFCDAB89~1~AAAA", FormError::Mode),
            ("00~2~67452301EFCDAB89~1~AAAA", FormError::Mode),
            ("0~4~67452301EFCDAB89~1~AAAA", FormError::Hash),
            ("0~~67452301EFCDAB89~1~AAAA", FormError::Hash),
            ("0~2~67452301efcdab89~1~AAAA", FormError::Random),
            ("0~2~67452301EFCDAB8~1~AAAA", FormError::Random),
            ("0~2~67452301EFCDAB89~~AAAA", FormError::Freshness),
            ("0~2~67452301EFCDAB89~a b~AAAA", FormError::Freshness),
            (
                "0~2~67452301EFCDAB89~123456789012345678901234567890123~AAAA",
                FormError::Freshness,
            ),
            ("1~2~67452301EFCDAB89~+1~AAAA", FormError::Freshness),
            ("1~2~67452301EFCDAB89~12a~AAAA", FormError::Freshness),
            (
                "1~2~67452301EFCDAB89~99999999999999999999~AAAA",
                FormError::Freshness,
            ),
            ("0~2~67452301EFCDAB89~1~", FormError::Signature),
            ("0~2~67452301EFCDAB89~1~AAA", FormError::Signature),
            ("0~2~67452301EFCDAB89~1~AA-_", FormError::Signature),
            (long.as_str(), FormError::TooLong),
        ] {
            assert_eq!(AuthCode::parse(wrong).err(), Some(why), "{wrong}");
        }
    }

    #[test]
    fn id_4_a_server_code_has_four() {
        let text = alloc::format!("10~2~ABCD12348~{SIG}");
        let code = ServerCode::parse(&text).ok().unwrap();
        assert!(!code.extra && code.challenge == "ABCD12348");
        for (wrong, why) in [
            ("10~2~ABCD12348", FormError::Fields),
            ("1~2~ABCD12348~AAAA", FormError::Mode),
            ("10~9~ABCD12348~AAAA", FormError::Hash),
            ("10~2~~AAAA", FormError::Random),
            ("10~2~ABCD12348~A", FormError::Signature),
        ] {
            assert_eq!(ServerCode::parse(wrong).err(), Some(why), "{wrong}");
        }
    }
}

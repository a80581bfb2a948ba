//! An identity for a device that has none: it proves a token of its product and sends a session
//! key; identity and key come back under that session key (wire §5).
//!
//! All of this is as strong as the token, which every device of a product shares.

use super::{
    ID_LEN, Id,
    key::{Key, KeyError, KeyType, SoftKey},
};
use crate::crypto::{
    digest::Hash,
    ecb::{self, Cipher, Direction},
    secret::same,
};
#[cfg(feature = "alloc")]
use alloc::{string::String, vec::Vec};
#[cfg(feature = "alloc")]
use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

/// Characters of a token.
pub const TOKEN_LEN: usize = 32;
/// Longest device fingerprint.
pub const FINGERPRINT_MAX: usize = 128;
/// Longest OTP auth code: seed 1.1.7 gives it 256 bytes.
pub const CODE_MAX: usize = 256;
/// Longest provision data: that of AES-256.
pub const PROVISION_MAX: usize = 105;
/// Bytes of a session key.
pub const SESSION_LEN: usize = 16;

const VERSION: [u8; 4] = [0, 0, 1, 0];
/// Version, provision id and proof.
const HEAD: usize = 4 + 32 + 32;
/// Where the 13 characters behind the key begin, and where their check sum does.
const SERIAL_AT: usize = 19;
const CHECK_AT: usize = 28;

/// A session key: 16 random bytes of the device, for one exchange.
pub type Session = Zeroizing<[u8; SESSION_LEN]>;

/// Why an exchange cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtpError {
    /// The token is not 32 visible characters that begin with `i`.
    Token,
    /// The token's use is not 1, or its key type is unknown.
    TokenKind,
    /// The fingerprint is empty or too long.
    Fingerprint,
    /// The buffer is too short: so many bytes are needed.
    ShortBuffer(usize),
    /// The code or the provision data has a length, version or text that cannot be.
    Form,
    /// The key type is not the expected one.
    KeyType,
    /// What was decrypted does not fit its proof: another token, another session, or altered.
    Proof,
}

/// A token of a product: 32 characters that its devices share (wire §5.1).
pub struct Token(Zeroizing<[u8; TOKEN_LEN]>, KeyType);

impl Token {
    /// Reads a token. The last 13 characters are not looked at: those of the vendor have no
    /// published meaning.
    ///
    /// # Errors
    /// [`OtpError::Token`], [`OtpError::TokenKind`].
    pub fn parse(text: &[u8]) -> Result<Token, OtpError> {
        let bytes: [u8; TOKEN_LEN] = text.try_into().map_err(|_| OtpError::Token)?;
        let bytes = Zeroizing::new(bytes);
        if bytes[0] != b'i' || !bytes.iter().all(u8::is_ascii_graphic) {
            return Err(OtpError::Token);
        }
        if bytes[1] != b'1' {
            return Err(OtpError::TokenKind);
        }
        let kind =
            KeyType::of_otp_number(bytes[2].wrapping_sub(b'0')).ok_or(OtpError::TokenKind)?;
        Ok(Token(bytes, kind))
    }

    /// A new token. The 16 characters of its key are drawn from `random`, which is used for nothing
    /// else; behind it stand 9 hex digits of `serial` and 4 of a check sum (ours).
    ///
    /// # Errors
    /// [`OtpError::TokenKind`] for keys that are not sent over the air.
    pub fn mint(kind: KeyType, random: &[u8; 64], serial: u64) -> Result<Token, OtpError> {
        const ALPHABET: &[u8; 62] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        let number = kind.otp_number().ok_or(OtpError::TokenKind)?;
        let mut bytes = Zeroizing::new([0; TOKEN_LEN]);
        bytes[..3].copy_from_slice(&[b'i', b'1', b'0' + number]);
        // Four bytes a character: none of 62 is likelier than another by more than 2^-26.
        for (at, four) in random.chunks_exact(4).enumerate() {
            let draw = u32::from_le_bytes([four[0], four[1], four[2], four[3]]);
            bytes[3 + at] = ALPHABET[(draw % 62) as usize];
        }
        let mut digits = [0; 16];
        super::hex_upper(&serial.to_be_bytes(), &mut digits);
        bytes[SERIAL_AT..CHECK_AT].copy_from_slice(&digits[7..]);
        let check = crc16(&bytes[..CHECK_AT]).to_be_bytes();
        super::hex_upper(&check, &mut bytes[CHECK_AT..]);
        Ok(Token(bytes, kind))
    }

    /// Whether the check sum of a token of ours is right: for a person's typing errors.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        let mut check = [0; 4];
        super::hex_upper(&crc16(&self.0[..CHECK_AT]).to_be_bytes(), &mut check);
        self.0[CHECK_AT..] == check
    }

    /// The 32 characters, to be stored sealed or shown to the product's owner.
    #[must_use]
    pub fn expose(&self) -> &[u8; TOKEN_LEN] {
        &self.0
    }

    /// What kind of key it brings.
    #[must_use]
    pub fn key_type(&self) -> KeyType {
        self.1
    }

    /// By which the server finds it: the SHA-256 of its key.
    #[must_use]
    pub fn provision_id(&self) -> [u8; 32] {
        let mut id = [0; 32];
        id.copy_from_slice(Hash::Sha256.of(&[self.key()]).as_bytes());
        id
    }

    fn key(&self) -> &[u8] {
        &self.0[3..SERIAL_AT]
    }
}

/// CRC-16 with the polynomial of CCITT and all ones to begin with.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xffff, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 {
                crc << 1
            } else {
                (crc << 1) ^ 0x1021
            }
        })
    })
}

/// The cipher under which session keys and keys travel (wire §5.2, §5.3).
fn carrier(kind: KeyType) -> Result<Cipher, OtpError> {
    match kind {
        KeyType::Aes128 | KeyType::Aes192 | KeyType::Aes256 => Ok(Cipher::Aes128),
        KeyType::TripleDes112 | KeyType::TripleDes168 => Ok(Cipher::TripleDes112),
        KeyType::Sm4 | KeyType::Rsa1024 | KeyType::Rsa2048 | KeyType::P256 | KeyType::Sm2 => {
            Err(OtpError::TokenKind)
        }
    }
}

/// Writes the device's OTP auth code (wire §5.2, binary) into `out`; gives its length.
///
/// # Errors
/// [`OtpError`].
pub fn auth_code(
    token: &Token,
    session: &Session,
    fingerprint: &[u8],
    out: &mut [u8],
) -> Result<usize, OtpError> {
    let kind = token.key_type();
    let number = kind.otp_number().ok_or(OtpError::TokenKind)?;
    if !(1..=FINGERPRINT_MAX).contains(&fingerprint.len()) {
        return Err(OtpError::Fingerprint);
    }
    let cipher = carrier(kind)?;
    let plain = 1 + SESSION_LEN + fingerprint.len();
    let need = HEAD + cipher.padded(plain);
    let out = out.get_mut(..need).ok_or(OtpError::ShortBuffer(need))?;
    out[..4].copy_from_slice(&VERSION);
    out[4..36].copy_from_slice(&token.provision_id());
    let proof = Hash::Sha256.of(&[&[number], &**session, fingerprint]);
    out[36..HEAD].copy_from_slice(proof.as_bytes());
    let sealed = &mut out[HEAD..];
    sealed[0] = number;
    sealed[1..=SESSION_LEN].copy_from_slice(&**session);
    sealed[1 + SESSION_LEN..plain].copy_from_slice(fingerprint);
    let padded = ecb::pad(cipher.block(), sealed, plain).map_err(|_| OtpError::Form)?;
    cipher
        .blocks(token.key(), Direction::Encrypt, &mut sealed[..padded])
        .map_err(|_| OtpError::Form)?;
    Ok(need)
}

/// An OTP auth code as it came: read, and not yet believed.
#[derive(Clone, Copy)]
pub struct OtpCode<'a> {
    /// Which token it claims to know.
    pub provision_id: &'a [u8; 32],
    proof: &'a [u8],
    sealed: &'a [u8],
}

/// What a device that knows the token says.
pub struct Opened {
    /// The key under which its identity shall travel.
    pub session: Session,
    fingerprint: [u8; FINGERPRINT_MAX],
    len: usize,
}

impl Opened {
    /// Which device it is; opaque.
    #[must_use]
    pub fn fingerprint(&self) -> &[u8] {
        &self.fingerprint[..self.len]
    }

    /// Whether the fingerprint is one byte 00, 20 or FF over and over: what a chip that has none
    /// gives.
    #[must_use]
    pub fn is_filler(&self) -> bool {
        [0x00, 0x20, 0xff]
            .iter()
            .any(|filler| self.fingerprint().iter().all(|byte| byte == filler))
    }
}

impl<'a> OtpCode<'a> {
    /// Reads a code.
    ///
    /// # Errors
    /// [`OtpError::Form`].
    pub fn parse(blob: &'a [u8]) -> Result<OtpCode<'a>, OtpError> {
        if blob.len() > CODE_MAX {
            return Err(OtpError::Form);
        }
        let rest = blob.strip_prefix(&VERSION).ok_or(OtpError::Form)?;
        let (provision_id, rest) = rest.split_first_chunk::<32>().ok_or(OtpError::Form)?;
        let (proof, sealed) = rest.split_at_checked(32).ok_or(OtpError::Form)?;
        // Type, session key and one byte of fingerprint need three blocks of DES or two of AES.
        if sealed.len() < 24 || !sealed.len().is_multiple_of(8) {
            return Err(OtpError::Form);
        }
        Ok(OtpCode {
            provision_id,
            proof,
            sealed,
        })
    }

    /// Opens it with the token of its provision id.
    ///
    /// # Errors
    /// [`OtpError::Proof`] when it was not made with this token, [`OtpError::KeyType`] when it asks
    /// for another key than the token's, [`OtpError::Fingerprint`].
    pub fn open(&self, token: &Token) -> Result<Opened, OtpError> {
        let cipher = carrier(token.key_type())?;
        let mut room = Zeroizing::new([0; CODE_MAX]);
        let room = room.get_mut(..self.sealed.len()).ok_or(OtpError::Form)?;
        room.copy_from_slice(self.sealed);
        cipher
            .blocks(token.key(), Direction::Decrypt, room)
            .map_err(|_| OtpError::Form)?;
        let len = ecb::unpad(cipher.block(), room).ok_or(OtpError::Proof)?;
        let plain = &room[..len];
        if !same(Hash::Sha256.of(&[plain]).as_bytes(), self.proof) {
            return Err(OtpError::Proof);
        }
        let (number, plain) = plain.split_first().ok_or(OtpError::Form)?;
        if token.key_type().otp_number() != Some(*number) {
            return Err(OtpError::KeyType);
        }
        let (session, fingerprint) = plain
            .split_first_chunk::<SESSION_LEN>()
            .ok_or(OtpError::Form)?;
        if !(1..=FINGERPRINT_MAX).contains(&fingerprint.len()) {
            return Err(OtpError::Fingerprint);
        }
        let mut opened = Opened {
            session: Zeroizing::new(*session),
            fingerprint: [0; FINGERPRINT_MAX],
            len: fingerprint.len(),
        };
        opened.fingerprint[..fingerprint.len()].copy_from_slice(fingerprint);
        Ok(opened)
    }
}

/// The bytes of a `DeviceAuthCode` parameter: base64 of the code, or that text inside the shape of
/// the seed's sample, `0~0~DR~P~S` (wire §5.5), whose `P` repeats the provision id's beginning.
///
/// # Errors
/// [`OtpError::Form`].
#[cfg(feature = "alloc")]
pub fn decode_text(text: &str) -> Result<Vec<u8>, OtpError> {
    if text.len() > 512 {
        return Err(OtpError::Form);
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| OtpError::Form);
    if !text.contains('~') {
        return decode(text);
    }
    let fields: Vec<&str> = text.split('~').collect();
    let ["0", "0", random, begins, blob] = fields.as_slice() else {
        return Err(OtpError::Form);
    };
    let blob = decode(blob)?;
    let code = OtpCode::parse(&blob)?;
    let mut beginning = [0; 32];
    super::hex_upper(&code.provision_id[..16], &mut beginning);
    let is_hex = random.len() == 16 && random.bytes().all(|b| b.is_ascii_hexdigit());
    if is_hex && begins.as_bytes() == beginning {
        Ok(blob)
    } else {
        Err(OtpError::Form)
    }
}

/// Base64 of provision data, as the answer carries it.
#[cfg(feature = "alloc")]
#[must_use]
pub fn encode_text(data: &[u8]) -> String {
    STANDARD.encode(data)
}

/// Bytes of provision data for a key of this type.
///
/// # Errors
/// [`OtpError::TokenKind`].
pub fn provision_len(kind: KeyType) -> Result<usize, OtpError> {
    let (key, check) = parts(kind)?;
    Ok(1 + ID_LEN + key + check)
}

fn parts(kind: KeyType) -> Result<(usize, usize), OtpError> {
    let own = kind.cipher().ok_or(OtpError::TokenKind)?;
    Ok((carrier(kind)?.padded(own.key_len()), own.padded(ID_LEN)))
}

/// Writes identity and key for the device that sent `session` (wire §5.3) into `out`; gives the
/// length. The server's side.
///
/// # Errors
/// [`OtpError::TokenKind`], [`OtpError::ShortBuffer`].
pub fn provision(
    session: &Session,
    id: &Id,
    key: &SoftKey,
    out: &mut [u8],
) -> Result<usize, OtpError> {
    let kind = key.key_type();
    let number = kind.otp_number().ok_or(OtpError::TokenKind)?;
    let cipher = carrier(kind)?;
    let own = kind.cipher().ok_or(OtpError::TokenKind)?;
    let (key_part, _) = parts(kind)?;
    let need = provision_len(kind)?;
    let out = out.get_mut(..need).ok_or(OtpError::ShortBuffer(need))?;
    out[0] = number;
    out[1..=ID_LEN].copy_from_slice(id.as_bytes());
    let (sealed, check) = out[1 + ID_LEN..].split_at_mut(key_part);
    sealed[..key.expose().len()].copy_from_slice(key.expose());
    ecb::pad(cipher.block(), sealed, key.expose().len()).map_err(|_| OtpError::Form)?;
    cipher
        .blocks(&**session, Direction::Encrypt, sealed)
        .map_err(|_| OtpError::Form)?;
    check[..ID_LEN].copy_from_slice(id.as_bytes());
    ecb::pad(own.block(), check, ID_LEN).map_err(|_| OtpError::Form)?;
    key.blocks(Direction::Encrypt, check)
        .map_err(|_| OtpError::Form)?;
    Ok(need)
}

/// Reads provision data: identity and key. The device's side. The key is given back only when it
/// encrypts the identity as the data says (the vendor's client keeps a wrong one).
///
/// # Errors
/// [`OtpError::Form`], [`OtpError::KeyType`] when it is not a key of `kind`, [`OtpError::Proof`].
pub fn load(kind: KeyType, session: &Session, data: &[u8]) -> Result<(Id, SoftKey), OtpError> {
    let number = kind.otp_number().ok_or(OtpError::TokenKind)?;
    let cipher = carrier(kind)?;
    let own = kind.cipher().ok_or(OtpError::TokenKind)?;
    let (key_part, _) = parts(kind)?;
    let (given, rest) = data.split_first().ok_or(OtpError::Form)?;
    if *given != number {
        return Err(OtpError::KeyType);
    }
    if data.len() != provision_len(kind)? {
        return Err(OtpError::Form);
    }
    let (id, rest) = rest.split_at(ID_LEN);
    let id = Id::parse(id).ok_or(OtpError::Form)?;
    let (sealed, check) = rest.split_at(key_part);
    let mut room = Zeroizing::new([0; 48]);
    let room = &mut room[..key_part];
    room.copy_from_slice(sealed);
    cipher
        .blocks(&**session, Direction::Decrypt, room)
        .map_err(|_| OtpError::Form)?;
    let len = ecb::unpad(cipher.block(), room).ok_or(OtpError::Proof)?;
    let key = SoftKey::new(kind, &room[..len]).map_err(|error| match error {
        KeyError::BadLength => OtpError::Proof,
        KeyError::NotSupported
        | KeyError::BadCipher
        | KeyError::Communication
        | KeyError::Failed => OtpError::TokenKind,
    })?;
    let mut own_check = [0; 32];
    own_check[..ID_LEN].copy_from_slice(id.as_bytes());
    let len = ecb::pad(own.block(), &mut own_check, ID_LEN).map_err(|_| OtpError::Form)?;
    key.blocks(Direction::Encrypt, &mut own_check[..len])
        .map_err(|_| OtpError::Form)?;
    if same(&own_check[..len], check) {
        Ok((id, key))
    } else {
        Err(OtpError::Proof)
    }
}

#[cfg(test)]
mod tests;

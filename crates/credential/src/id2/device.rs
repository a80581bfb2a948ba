//! What a device computes with its key. Buffers, randomness and time come from the caller; the
//! largest array on the stack has 768 bytes.

use super::{
    EXTRA_MAX, Id,
    code::{
        CODE_MAX, FormError, Full, HARDENED, HashType, Mode, Out, RANDOM_LEN, ServerCode,
        base64_decode, base64_len, is_device_challenge, is_freshness,
    },
    hex_upper,
    key::{Key, KeyError, KeyType, SIGNATURE_MAX, signature},
    keyed::{self, KEYED},
};
use crate::crypto::{
    ecb::{self, Direction},
    secret::same,
};
use core::str;
use zeroize::Zeroizing;

/// Longest cipher text that [`decrypt`] takes. Seed 1.1.7 says 512; the public clients take this
/// many.
pub const CIPHER_MAX: usize = 4096;
/// Longest seed of [`secret`].
pub const SEED_MAX: usize = 128;
/// Characters of a [`secret`].
pub const SECRET_LEN: usize = 64;
/// Longest code of a symmetric key inside the form "99", and its padding.
const INNER_MAX: usize = 144;

/// Why a device cannot do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceError {
    /// The key's carrier says so.
    Key(KeyError),
    /// The challenge or timestamp is empty, too long, or has a character that cannot be.
    Freshness,
    /// The challenge that the server shall repeat is empty, too long or malformed.
    Challenge,
    /// More than [`EXTRA_MAX`] bytes of extra, more than [`CIPHER_MAX`] of cipher text, more than
    /// [`SEED_MAX`] of seed.
    Excess,
    /// The caller's buffer is too short: so many bytes are needed.
    ShortBuffer(usize),
    /// The server's code is malformed.
    Form(FormError),
    /// The server's code is of another hash, challenge, extra or key.
    NotTheServer,
}

impl From<KeyError> for DeviceError {
    fn from(error: KeyError) -> Self {
        DeviceError::Key(error)
    }
}

impl From<ecb::BadLength> for DeviceError {
    fn from(error: ecb::BadLength) -> Self {
        DeviceError::Key(error.into())
    }
}

/// How codes are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// As they are.
    Plain,
    /// As `99~` and the whole code in ECB (wire §2.3); of AES and triple DES keys alone.
    Hardened,
    /// As `98~` and a code that is proven otherwise, without ECB ([`keyed`]); of symmetric keys
    /// alone.
    Keyed,
}

/// Characters of a device's code with a challenge or timestamp of `freshness` characters.
#[must_use]
pub fn auth_code_len(kind: KeyType, form: Form, freshness: usize) -> usize {
    let inner = 4 + RANDOM_LEN + 1 + freshness + 1 + base64_len(kind.signature_len());
    match (form, kind.cipher()) {
        (Form::Keyed, _) => keyed::code_len(freshness),
        (Form::Hardened, Some(cipher)) => HARDENED.len() + base64_len(cipher.padded(inner)),
        _ => inner,
    }
}

/// Eight random bytes as the device's random: two words of a little-endian machine, each in
/// upper-case hex (wire §2).
#[must_use]
pub fn random_text(random: [u8; 8]) -> [u8; RANDOM_LEN] {
    let [a, b, c, d, e, f, g, h] = random;
    let mut text = [0; RANDOM_LEN];
    hex_upper(&[d, c, b, a, h, g, f, e], &mut text);
    text
}

/// What a code proves freshness by.
#[derive(Debug, Clone, Copy)]
pub enum Fresh<'a> {
    /// A challenge that the server gave out.
    Challenge(&'a str),
    /// Milliseconds since 1970 in decimal digits.
    Timestamp(&'a str),
}

/// Writes the device's code (wire §2) into `out`; gives its length.
///
/// # Errors
/// [`DeviceError`]; nothing is asked of the key before everything else is known to be right.
pub fn auth_code(
    key: &(impl Key + ?Sized),
    id: &Id,
    form: Form,
    fresh: Fresh<'_>,
    extra: Option<&[u8]>,
    random: [u8; 8],
    out: &mut [u8],
) -> Result<usize, DeviceError> {
    let (timestamp, freshness) = match fresh {
        Fresh::Challenge(text) => (false, text.as_bytes()),
        Fresh::Timestamp(text) => (true, text.as_bytes()),
    };
    let digits = freshness.iter().all(u8::is_ascii_digit);
    if !is_freshness(freshness) || (timestamp && !digits) {
        return Err(DeviceError::Freshness);
    }
    if extra.is_some_and(|extra| extra.len() > EXTRA_MAX) {
        return Err(DeviceError::Excess);
    }
    let kind = key.key_type();
    let need = auth_code_len(kind, form, freshness.len());
    if out.len() < need {
        return Err(DeviceError::ShortBuffer(need));
    }
    let random = random_text(random);
    let mode = Mode::new(timestamp, extra.is_some()).digit();
    if form == Form::Keyed {
        let extra = extra.unwrap_or_default();
        let written = keyed::write(key, id, mode, &random, freshness, extra, out);
        return written.map_err(DeviceError::Key);
    }
    let mut signed = [0; SIGNATURE_MAX];
    let len = signature(
        key,
        [id.as_bytes(), &random, freshness, extra.unwrap_or_default()],
        &mut signed,
    )?;
    let hash = kind.hash().digit();
    let write = |out: &mut Out<'_>| -> Result<(), Full> {
        out.put(&[mode, b'~', hash, b'~'])?;
        out.put(&random)?;
        out.put(b"~")?;
        out.put(freshness)?;
        out.put(b"~")?;
        out.put_base64(&signed[..len])
    };
    let full = |_| DeviceError::ShortBuffer(need);
    match form {
        Form::Plain | Form::Keyed => {
            let mut out = Out::new(out);
            write(&mut out).map_err(full)?;
            Ok(out.len())
        }
        Form::Hardened => {
            let mut inner = [0; INNER_MAX];
            let mut place = Out::new(&mut inner);
            write(&mut place).map_err(|_| KeyError::NotSupported)?;
            let len = place.len();
            harden(key, &mut inner, len, out)
        }
    }
}

/// Wraps the first `len` bytes of `inner` (wire §2.3); there is room for their padding behind them.
pub(crate) fn harden(
    key: &(impl Key + ?Sized),
    inner: &mut [u8],
    len: usize,
    out: &mut [u8],
) -> Result<usize, DeviceError> {
    let cipher = hardened_cipher(key.key_type())?;
    let padded = ecb::pad(cipher.block(), inner, len)?;
    key.blocks(Direction::Encrypt, &mut inner[..padded])?;
    let mut out = Out::new(out);
    let need = HARDENED.len() + base64_len(padded);
    let full = |_| DeviceError::ShortBuffer(need);
    out.put(HARDENED.as_bytes()).map_err(full)?;
    out.put_base64(&inner[..padded]).map_err(full)?;
    Ok(out.len())
}

/// Unwraps a code of the form "99" into `room`.
pub(crate) fn unharden<'a>(
    key: &(impl Key + ?Sized),
    text: &str,
    room: &'a mut [u8; HARDENED_MAX],
) -> Result<&'a str, DeviceError> {
    let cipher = hardened_cipher(key.key_type())?;
    let wrapped = text
        .strip_prefix(HARDENED)
        .ok_or(DeviceError::Form(FormError::Mode))?;
    if text.len() > CODE_MAX {
        return Err(DeviceError::Form(FormError::TooLong));
    }
    let len = base64_decode(wrapped.as_bytes(), room)
        .filter(|len| len.is_multiple_of(cipher.block()))
        .ok_or(DeviceError::Form(FormError::Signature))?;
    key.blocks(Direction::Decrypt, &mut room[..len])?;
    let len = ecb::unpad(cipher.block(), &room[..len]).ok_or(KeyError::BadCipher)?;
    str::from_utf8(&room[..len]).map_err(|_| KeyError::BadCipher.into())
}

/// Room for what [`unharden`] decodes.
pub(crate) const HARDENED_MAX: usize = CODE_MAX / 4 * 3;

/// Only AES and triple DES keys have the form "99".
fn hardened_cipher(kind: KeyType) -> Result<ecb::Cipher, KeyError> {
    match kind {
        KeyType::Aes128
        | KeyType::Aes192
        | KeyType::Aes256
        | KeyType::TripleDes112
        | KeyType::TripleDes168 => kind.cipher().ok_or(KeyError::NotSupported),
        KeyType::Sm4 | KeyType::Rsa1024 | KeyType::Rsa2048 | KeyType::P256 | KeyType::Sm2 => {
            Err(KeyError::NotSupported)
        }
    }
}

/// Whether a code is of the server, over `challenge` and `extra` (wire §3). The device signs the
/// same itself and compares, so that a key that signs differently every time cannot do it. A code of
/// the form "99" is unwrapped first when `form` says so, and only then.
///
/// # Errors
/// [`DeviceError`]; `NotTheServer` when everything is well-formed and the proof is not.
pub fn check_server(
    key: &(impl Key + ?Sized),
    id: &Id,
    form: Form,
    text: &str,
    challenge: &[u8],
    extra: Option<&[u8]>,
) -> Result<(), DeviceError> {
    if !is_device_challenge(challenge) {
        return Err(DeviceError::Challenge);
    }
    if extra.is_some_and(|extra| extra.len() > EXTRA_MAX) {
        return Err(DeviceError::Excess);
    }
    let kind = key.key_type();
    if matches!(kind, KeyType::P256 | KeyType::Sm2) {
        return Err(KeyError::NotSupported.into());
    }
    let mut room = Zeroizing::new([0; HARDENED_MAX]);
    let text = match form {
        Form::Plain => text,
        Form::Hardened => unharden(key, text, &mut room)?,
        Form::Keyed => text
            .strip_prefix(KEYED)
            .ok_or(DeviceError::Form(FormError::Mode))?,
    };
    let code = ServerCode::parse(text).map_err(DeviceError::Form)?;
    let hash = match form {
        Form::Plain | Form::Hardened => kind.hash(),
        Form::Keyed => HashType::Sha256,
    };
    if code.hash != hash
        || code.extra != extra.is_some()
        || !same(code.challenge.as_bytes(), challenge)
    {
        return Err(DeviceError::NotTheServer);
    }
    let mut own = [0; SIGNATURE_MAX];
    let len = if form == Form::Keyed {
        let proof = keyed::server_proof(key, id, challenge, extra)?;
        own[..proof.len()].copy_from_slice(&proof);
        proof.len()
    } else {
        signature(
            key,
            [
                id.inverse().as_bytes(),
                challenge,
                extra.unwrap_or_default(),
                &[],
            ],
            &mut own,
        )?
    };
    if same(&own[..len], code.signature.as_bytes()) {
        Ok(())
    } else {
        Err(DeviceError::NotTheServer)
    }
}

/// Decrypts what the server encrypted for this device (wire §4) into `out`; gives the length.
/// `out` needs no more room than the plain text.
///
/// # Errors
/// [`DeviceError`].
pub fn decrypt(
    key: &(impl Key + ?Sized),
    data: &[u8],
    out: &mut [u8],
) -> Result<usize, DeviceError> {
    if data.len() > CIPHER_MAX {
        return Err(DeviceError::Excess);
    }
    let Some(cipher) = key.key_type().cipher() else {
        return open(key, data, out);
    };
    let block = cipher.block();
    if data.is_empty() || !data.len().is_multiple_of(block) {
        return Err(KeyError::BadLength.into());
    }
    let before = data.len() - block;
    let mut last = Zeroizing::new([0; 16]);
    let last = &mut last[..block];
    last.copy_from_slice(&data[before..]);
    key.blocks(Direction::Decrypt, last)?;
    let tail = ecb::unpad(block, last).ok_or(KeyError::BadCipher)?;
    let need = before + tail;
    let Some(out) = out.get_mut(..need) else {
        return Err(DeviceError::ShortBuffer(need));
    };
    out[..before].copy_from_slice(&data[..before]);
    key.blocks(Direction::Decrypt, &mut out[..before])?;
    out[before..].copy_from_slice(&last[..tail]);
    Ok(need)
}

/// As [`decrypt`], of what the server encrypted in the keyed form.
///
/// # Errors
/// [`DeviceError`].
pub fn decrypt_keyed(
    key: &(impl Key + ?Sized),
    id: &Id,
    data: &[u8],
    out: &mut [u8],
) -> Result<usize, DeviceError> {
    if data.len() > CIPHER_MAX {
        return Err(DeviceError::Excess);
    }
    // The caller's room may have no place for nonce and tag.
    let mut room = Zeroizing::new([0; 512]);
    let room = room
        .get_mut(..data.len())
        .ok_or(DeviceError::Key(KeyError::BadLength))?;
    let need = data.len().saturating_sub(keyed::OVERHEAD);
    let out = out.get_mut(..need).ok_or(DeviceError::ShortBuffer(need))?;
    room.copy_from_slice(data);
    let len = keyed::open(key, id, room)?;
    out.copy_from_slice(&room[..len]);
    Ok(len)
}

/// As [`decrypt_keyed`], in place.
///
/// # Errors
/// [`DeviceError`].
pub fn decrypt_keyed_in_place(
    key: &(impl Key + ?Sized),
    id: &Id,
    data: &mut [u8],
) -> Result<usize, DeviceError> {
    if data.len() > CIPHER_MAX {
        return Err(DeviceError::Excess);
    }
    Ok(keyed::open(key, id, data)?)
}

/// As [`decrypt`], in place; what stood behind the plain text is undefined.
///
/// # Errors
/// [`DeviceError`].
pub fn decrypt_in_place(key: &(impl Key + ?Sized), data: &mut [u8]) -> Result<usize, DeviceError> {
    if data.len() > CIPHER_MAX {
        return Err(DeviceError::Excess);
    }
    let Some(cipher) = key.key_type().cipher() else {
        let mut plain = Zeroizing::new([0; 512]);
        let len = open(key, data, &mut *plain)?;
        let room = data.get_mut(..len).ok_or(KeyError::Failed)?;
        room.copy_from_slice(&plain[..len]);
        return Ok(len);
    };
    if data.is_empty() || !data.len().is_multiple_of(cipher.block()) {
        return Err(KeyError::BadLength.into());
    }
    key.blocks(Direction::Decrypt, data)?;
    Ok(ecb::unpad(cipher.block(), data).ok_or(KeyError::BadCipher)?)
}

fn open(key: &(impl Key + ?Sized), data: &[u8], out: &mut [u8]) -> Result<usize, DeviceError> {
    let mut plain = Zeroizing::new([0; 512]);
    let len = key.open(data, &mut *plain)?;
    let plain = plain.get(..len).ok_or(KeyError::Failed)?;
    out.get_mut(..len)
        .ok_or(DeviceError::ShortBuffer(len))?
        .copy_from_slice(plain);
    Ok(len)
}

/// A secret of the device derived from a seed, as 64 upper-case hex digits: the hash of the seed's
/// signature (wire §4). Keys that sign differently every time have none.
///
/// # Errors
/// [`DeviceError`].
pub fn secret(
    key: &(impl Key + ?Sized),
    seed: &[u8],
) -> Result<Zeroizing<[u8; SECRET_LEN]>, DeviceError> {
    let digest = derive(key, seed)?;
    let mut text = Zeroizing::new([0; SECRET_LEN]);
    hex_upper(&*digest, &mut *text);
    Ok(text)
}

/// The 32 bytes that [`secret`] writes as hex.
///
/// # Errors
/// [`DeviceError`].
pub fn derive(key: &(impl Key + ?Sized), seed: &[u8]) -> Result<Zeroizing<[u8; 32]>, DeviceError> {
    if seed.len() > SEED_MAX {
        return Err(DeviceError::Excess);
    }
    let kind = key.key_type();
    if matches!(kind, KeyType::P256 | KeyType::Sm2) {
        return Err(KeyError::NotSupported.into());
    }
    let mut signed = Zeroizing::new([0; SIGNATURE_MAX]);
    let len = signature(key, [seed, &[], &[], &[]], &mut signed)?;
    let digest = kind.hash().hash().of(&[&signed[..len]]);
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(digest.as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests;

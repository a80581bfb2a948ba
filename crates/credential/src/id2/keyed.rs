//! The keyed form, which is ours: nothing that is sent is ECB, and no two things share a key.
//!
//! Codes are `98~MODE~2~…~TAG` with HMAC-SHA-256 over mode, identity, random, challenge or timestamp,
//! and extra, each with its length before it; data is AES-256-GCM, bound to the identity. The three
//! keys (device's codes, server's codes, data) are what the identity's key makes of constant blocks,
//! so a carrier that only runs blocks through its cipher can do it, such as a secure element. The
//! constants begin with a zero, which nothing has that is ever encrypted in the compatible
//! forms, but for a digest by a chance of 2^-64 or less: text has no control characters, padding no
//! zeros.

use super::{
    Id,
    code::{Full, Out, RANDOM_LEN, base64_len},
    key::{Key, KeyError},
};
use crate::crypto::{
    ecb::Direction,
    hmac::hmac_sha256,
    wrap::{self, NONCE, TAG},
};
use zeroize::Zeroizing;

/// What a code of this form begins with.
pub const KEYED: &str = "98~";
/// Bytes of a proof.
pub(crate) const PROOF: usize = 32;
/// What encrypted data is longer by.
pub const OVERHEAD: usize = NONCE + TAG;
/// Most bytes of data that are encrypted at once, so that the cipher text has at most 512.
pub const PLAIN_MAX: usize = 512 - OVERHEAD;

/// What a derived key is for.
#[derive(Clone, Copy)]
pub(crate) enum Use {
    Device = 1,
    Server = 2,
    Data = 3,
}

fn derived(key: &(impl Key + ?Sized), r#use: Use) -> Result<Zeroizing<[u8; 32]>, KeyError> {
    let cipher = key.key_type().cipher().ok_or(KeyError::NotSupported)?;
    let mut out = Zeroizing::new([0; 32]);
    for (n, block) in (1..).zip(out.chunks_exact_mut(cipher.block())) {
        block[..8].copy_from_slice(&[0, r#use as u8, n, b'k', b'e', b'y', b'e', b'd']);
    }
    key.blocks(Direction::Encrypt, &mut out[..])?;
    Ok(out)
}

/// The proof over parts, none of which can reach into another.
pub(crate) fn proof(
    key: &(impl Key + ?Sized),
    r#use: Use,
    [a, b, c, d, e]: [&[u8]; 5],
) -> Result<[u8; PROOF], KeyError> {
    let key = derived(key, r#use)?;
    let len = |part: &[u8]| (part.len() as u32).to_be_bytes();
    let parts: [&[u8]; 10] = [&len(a), a, &len(b), b, &len(c), c, &len(d), d, &len(e), e];
    Ok(hmac_sha256(&key[..], &parts))
}

/// Characters of a device's code.
pub(crate) const fn code_len(freshness: usize) -> usize {
    KEYED.len() + 4 + RANDOM_LEN + 1 + freshness + 1 + base64_len(PROOF)
}

/// Writes a device's code; there is room for [`code_len`].
pub(crate) fn write(
    key: &(impl Key + ?Sized),
    id: &Id,
    mode: u8,
    random: &[u8],
    freshness: &[u8],
    extra: &[u8],
    out: &mut [u8],
) -> Result<usize, KeyError> {
    let parts = [&[mode][..], id.as_bytes(), random, freshness, extra];
    let proof = proof(key, Use::Device, parts)?;
    let mut out = Out::new(out);
    let write = |out: &mut Out<'_>| -> Result<(), Full> {
        out.put(KEYED.as_bytes())?;
        out.put(&[mode, b'~', b'2', b'~'])?;
        out.put(random)?;
        out.put(b"~")?;
        out.put(freshness)?;
        out.put(b"~")?;
        out.put_base64(&proof)
    };
    write(&mut out).map_err(|_| KeyError::BadLength)?;
    Ok(out.len())
}

/// The server's proof over a device's challenge.
pub(crate) fn server_proof(
    key: &(impl Key + ?Sized),
    id: &Id,
    challenge: &[u8],
    extra: Option<&[u8]>,
) -> Result<[u8; PROOF], KeyError> {
    let mode: &[u8] = if extra.is_some() { b"11" } else { b"10" };
    let parts = [
        mode,
        id.as_bytes(),
        challenge,
        extra.unwrap_or_default(),
        &[],
    ];
    proof(key, Use::Server, parts)
}

/// Encrypts `data` in place; gives the tag. The server's half, which firmware has no use for.
#[cfg(feature = "alloc")]
pub(crate) fn seal(
    key: &(impl Key + ?Sized),
    id: &Id,
    nonce: &[u8; NONCE],
    data: &mut [u8],
) -> Result<[u8; TAG], KeyError> {
    let key = derived(key, Use::Data)?;
    Ok(wrap::wrap(&key, nonce, id.as_bytes(), data))
}

/// Decrypts what [`seal`] encrypted, in place: nonce, cipher text, tag. Gives the length of the plain
/// text, which is moved to the front.
pub(crate) fn open(key: &(impl Key + ?Sized), id: &Id, data: &mut [u8]) -> Result<usize, KeyError> {
    let len = data
        .len()
        .checked_sub(OVERHEAD)
        .ok_or(KeyError::BadLength)?;
    let key = derived(key, Use::Data)?;
    let (nonce, rest) = data.split_first_chunk_mut().ok_or(KeyError::BadLength)?;
    let (text, tag) = rest.split_last_chunk_mut().ok_or(KeyError::BadLength)?;
    if !wrap::unwrap(&key, nonce, id.as_bytes(), text, tag) {
        return Err(KeyError::BadCipher);
    }
    data.copy_within(NONCE..NONCE + len, 0);
    Ok(len)
}

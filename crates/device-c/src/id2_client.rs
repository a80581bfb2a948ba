//! `id2_client.h`: the functions of seed 000 section 1.1.7, with the names, lengths and results of
//! sections 1.1.7 and 1.1.8, and those that the vendor's public header has beside them.
//!
//! Arguments are looked at in this order everywhere: is the client started (IROT_ERROR_GENERIC), are
//! there null pointers or empty inputs (IROT_ERROR_BAD_PARAMETERS), is an input too long
//! (IROT_ERROR_EXCESS_DATA), is the output too short (IROT_ERROR_SHORT_BUFFER, and the length becomes
//! the one that is needed).

use crate::{
    boundary::{Refused, apart, bytes, guard, room, text},
    hal::Holder,
    state,
};
use core::{
    ffi::{c_char, c_int},
    str,
};
use credential::id2::{
    DEVICE_CHALLENGE_MAX, EXTRA_MAX, FRESHNESS_MAX, ID_LEN, Id, code,
    device::{CIPHER_MAX, Form, Fresh, SECRET_LEN, SEED_MAX},
    otp,
};
use device::id2::{Client, ClientError, given, result};

#[cfg(feature = "itls")]
use crate::hal_itls::provision;

/// A board without sockets of its own.
#[cfg(not(feature = "itls"))]
unsafe fn provision(
    _: *const c_char,
    _: u32,
    _: *const c_char,
    _: *const c_char,
    _: u32,
) -> Result<(), Refused> {
    Err(result::NOT_SUPPORTED)
}

/// The result of every function.
pub type irot_result_t = c_int;

/// Done.
pub const IROT_SUCCESS: irot_result_t = 0;
/// Any other error; also a call before id2_client_init.
pub const IROT_ERROR_GENERIC: irot_result_t = -1;
/// A null pointer, or an argument that cannot be.
pub const IROT_ERROR_BAD_PARAMETERS: irot_result_t = -2;
/// The output does not fit; its length says how long it must be.
pub const IROT_ERROR_SHORT_BUFFER: irot_result_t = -3;
/// An input is too long.
pub const IROT_ERROR_EXCESS_DATA: irot_result_t = -4;
/// There is no memory. This library needs none.
pub const IROT_ERROR_OUT_OF_MEMORY: irot_result_t = -5;
/// The carrier of the key cannot be reached.
pub const IROT_ERROR_COMMUNICATION: irot_result_t = -7;
/// The key or its carrier cannot do this.
pub const IROT_ERROR_NOT_SUPPORTED: irot_result_t = -8;
/// The port to this board is not complete.
pub const IROT_ERROR_NOT_IMPLEMENTED: irot_result_t = -9;
/// The carrier of the key took too long.
pub const IROT_ERROR_TIMEOUT: irot_result_t = -10;
/// There is no ID2 yet.
pub const IROT_ERROR_ITEM_NOT_FOUND: irot_result_t = -11;

/// Characters of an ID2.
pub const ID2_ID_LEN: u32 = 24;
/// Most bytes of id2_client_derive_key.
pub const ID2_DERIV_KEY_LEN: u32 = 32;
/// Characters of id2_client_get_secret.
pub const ID2_DERIV_SECRET_LEN: u32 = 64;
/// Most characters of a challenge or timestamp.
pub const ID2_MAX_SERVER_RANDOM_LEN: u32 = 32;
/// Characters of a device challenge.
pub const ID2_MAX_DEVICE_RANDOM_LEN: u32 = 16;
/// Most characters of a seed.
pub const ID2_MAX_SEED_LEN: u32 = 128;
/// Most bytes of extra.
pub const ID2_MAX_EXTRA_LEN: u32 = 512;
/// Most bytes to decrypt.
pub const ID2_MAX_CRYPT_LEN: u32 = 4096;
/// The least room for an auth code; RSA-2048 needs 400.
pub const ID2_AUTH_CODE_BUF_LEN: u32 = 256;

const _: () = assert!(
    ID2_ID_LEN as usize == ID_LEN
        && ID2_DERIV_SECRET_LEN as usize == SECRET_LEN
        && ID2_MAX_SERVER_RANDOM_LEN as usize == FRESHNESS_MAX
        && ID2_MAX_SEED_LEN as usize == SEED_MAX
        && ID2_MAX_EXTRA_LEN as usize == EXTRA_MAX
        && ID2_MAX_CRYPT_LEN as usize == CIPHER_MAX
);

/// Of the vendor's clients that behave like this one.
const VERSION: u32 = 0x0002_0000;

/// Starts the client. Must come before all other functions; harmless when it runs.
///
/// @return IROT_SUCCESS, IROT_ERROR_NOT_IMPLEMENTED when the board has no HAL, or the error of the
/// board or carrier.
#[unsafe(no_mangle)]
pub extern "C" fn id2_client_init() -> irot_result_t {
    guard(|| {
        state::with(|state| {
            if state.client.is_some() {
                return Ok(());
            }
            let mut client = Client::new(Holder::of(state)?, state.form);
            client.init().map_err(ClientError::code)?;
            state.client = Some(client);
            Ok(())
        })
    })
}

/// Stops the client. An exchange that waits for its provision data is forgotten.
///
/// @return IROT_SUCCESS.
#[unsafe(no_mangle)]
pub extern "C" fn id2_client_cleanup() -> irot_result_t {
    guard(|| {
        state::with(|state| {
            state.client = None;
            Ok(())
        })
    })
}

/// The version of the client.
///
/// @param[out] version
///
/// # Safety
/// A pointer that is not null points to a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_get_version(version: *mut u32) -> irot_result_t {
    // SAFETY: the caller's promise.
    guard(|| unsafe { put(version, VERSION) })
}

/// Wraps auth codes of both sides in a layer of encryption (`99~...`), for products that ask for it.
/// To be called before id2_client_init. Not in the vendor's header, where it is a build option.
///
/// @return IROT_ERROR_GENERIC while the client runs.
#[unsafe(no_mangle)]
pub extern "C" fn muster_harden_auth_codes(on: bool) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            state.not_running()?;
            state.form = if on { Form::Hardened } else { Form::Plain };
            Ok(())
        })
    })
}

/// Whether auth codes and data are keyed (form "98"): proven and encrypted without ECB. The product
/// of the server must take that form, and does unless it is set otherwise. Symmetric keys alone. To
/// be called before id2_client_init. Not in the vendor's header.
///
/// @return IROT_ERROR_GENERIC while the client runs.
#[unsafe(no_mangle)]
pub extern "C" fn muster_key_auth_codes(on: bool) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            state.not_running()?;
            state.form = if on { Form::Keyed } else { Form::Plain };
            Ok(())
        })
    })
}

/// The ID2.
///
/// @param[out]   id  not less than 24 bytes; no NUL is written.
/// @param[inout] len the room, then the length.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_get_id(id: *mut u8, len: *mut u32) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            let client = state.client()?;
            // SAFETY: the caller's promise.
            let out = unsafe { output(id, len, ID2_ID_LEN) }?;
            out[..ID_LEN].copy_from_slice(client.id().map_err(ClientError::code)?.as_bytes());
            // SAFETY: as above.
            unsafe { put(len, ID2_ID_LEN) }
        })
    })
}

/// The auth code over a challenge of the server.
///
/// @param[in]    challenge     1 to 32 characters and a NUL.
/// @param[in]    extra         optional, at most 512 bytes, covered by the signature.
/// @param[in]    extra_len
/// @param[out]   auth_code     not less than 256 bytes (RSA-2048: 400); no NUL is written.
/// @param[inout] auth_code_len the room, then the length.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say; the challenge ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_get_challenge_auth_code(
    challenge: *const c_char,
    extra: *const u8,
    extra_len: u32,
    auth_code: *mut u8,
    auth_code_len: *mut u32,
) -> irot_result_t {
    // SAFETY: the caller's promise.
    unsafe { proof(false, challenge, extra, extra_len, auth_code, auth_code_len) }
}

/// The auth code over the time.
///
/// @param[in]    timestamp     milliseconds since 1970 in decimal digits, and a NUL.
/// @param[in]    extra         optional, at most 512 bytes, covered by the signature.
/// @param[in]    extra_len
/// @param[out]   auth_code     not less than 256 bytes (RSA-2048: 400); no NUL is written.
/// @param[inout] auth_code_len the room, then the length.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say; the timestamp ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_get_timestamp_auth_code(
    timestamp: *const c_char,
    extra: *const u8,
    extra_len: u32,
    auth_code: *mut u8,
    auth_code_len: *mut u32,
) -> irot_result_t {
    // SAFETY: the caller's promise.
    unsafe { proof(true, timestamp, extra, extra_len, auth_code, auth_code_len) }
}

/// Decrypts what the server encrypted for this device (after base64). `out` may be `in`.
///
/// @param[in]    in
/// @param[in]    in_len  at most 512 by the document; 4096 are taken.
/// @param[out]   out
/// @param[inout] out_len the room, then the length.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_decrypt(
    r#in: *const u8,
    in_len: u32,
    out: *mut u8,
    out_len: *mut u32,
) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            let client = state.client()?;
            // SAFETY: the caller's promise.
            let room_len = unsafe { length(out_len) }?;
            if r#in.is_null() || out.is_null() || in_len == 0 {
                return Err(result::BAD_PARAMETERS);
            }
            if in_len > ID2_MAX_CRYPT_LEN {
                return Err(result::EXCESS_DATA);
            }
            let done = if core::ptr::eq(r#in, out) {
                if room_len < in_len {
                    // SAFETY: as above.
                    unsafe { put(out_len, in_len) }?;
                    return Err(result::SHORT_BUFFER);
                }
                // SAFETY: as above; the bytes are initialised, since they are the input.
                let data = unsafe { core::slice::from_raw_parts_mut(out, in_len as usize) };
                client.decrypt_in_place(data)
            } else {
                let writable = room_len.min(in_len) as usize;
                apart((r#in, in_len as usize), (out, writable))?;
                // SAFETY: as above, and the places do not overlap.
                let (data, place) = unsafe { (bytes(r#in, in_len)?, room(out, writable)?) };
                client.decrypt(data, place)
            };
            // SAFETY: as above.
            unsafe { written(done, out_len) }
        })
    })
}

/// A challenge for the server, which id2_client_verify_server remembers.
///
/// @param[out]   random     not less than 16 bytes; no NUL is written.
/// @param[inout] random_len the room, then the length.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_get_device_challenge(
    random: *mut u8,
    random_len: *mut u32,
) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            state.client()?;
            // SAFETY: the caller's promise.
            let out = unsafe { output(random, random_len, ID2_MAX_DEVICE_RANDOM_LEN) }?;
            let bytes = *state.hal()?.random::<8>()?;
            let challenge = state
                .client()?
                .device_challenge(bytes)
                .map_err(ClientError::code)?;
            out[..challenge.len()].copy_from_slice(&challenge);
            // SAFETY: as above.
            unsafe { put(random_len, ID2_MAX_DEVICE_RANDOM_LEN) }
        })
    })
}

/// Whether a code is of the server.
///
/// @param[in] auth_code         the server's code.
/// @param[in] auth_code_len
/// @param[in] device_random     the challenge, or NULL for the last of
///                              id2_client_get_device_challenge, which is good once.
/// @param[in] device_random_len 0 with NULL.
/// @param[in] server_extra      optional, at most 512 bytes.
/// @param[in] server_extra_len
///
/// @return IROT_SUCCESS only when the server knows this device's key.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_verify_server(
    auth_code: *const u8,
    auth_code_len: u32,
    device_random: *const u8,
    device_random_len: u32,
    server_extra: *const u8,
    server_extra_len: u32,
) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            let client = state.client()?;
            if auth_code_len == 0 || device_random.is_null() != (device_random_len == 0) {
                return Err(result::BAD_PARAMETERS);
            }
            // SAFETY: the caller's promise.
            let extra = unsafe { optional(server_extra, server_extra_len) }?;
            if auth_code_len as usize > code::CODE_MAX
                || device_random_len as usize > DEVICE_CHALLENGE_MAX
            {
                return Err(result::EXCESS_DATA);
            }
            // SAFETY: as above.
            let text = unsafe { bytes(auth_code, auth_code_len) }?;
            let text = str::from_utf8(text).map_err(|_| result::GENERIC)?;
            let challenge = match device_random_len {
                0 => None,
                // SAFETY: as above.
                len => Some(unsafe { bytes(device_random, len) }?),
            };
            client
                .verify_server(text, challenge, extra)
                .map_err(ClientError::code)
        })
    })
}

/// A secret of this device, derived from a seed.
///
/// @param[in]    seed       1 to 128 characters and a NUL.
/// @param[out]   secret     not less than 64 bytes; no NUL is written.
/// @param[inout] secret_len the room, then the length.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say; the seed ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_get_secret(
    seed: *const c_char,
    secret: *mut u8,
    secret_len: *mut u32,
) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            let client = state.client()?;
            // SAFETY: the caller's promise.
            let seed = unsafe { seed_of(seed) }?;
            // SAFETY: as above.
            unsafe { length(secret_len) }?;
            apart((seed.as_ptr(), seed.len()), (secret, SECRET_LEN))?;
            // SAFETY: as above.
            let out = unsafe { output(secret, secret_len, ID2_DERIV_SECRET_LEN) }?;
            let made = client.secret(seed).map_err(ClientError::code)?;
            out[..SECRET_LEN].copy_from_slice(&*made);
            // SAFETY: as above.
            unsafe { put(secret_len, ID2_DERIV_SECRET_LEN) }
        })
    })
}

/// A key of this device, derived from a seed: bytes.
///
/// @param[in]  seed    1 to 128 characters and a NUL.
/// @param[out] key
/// @param[in]  key_len 1 to 32.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say; the seed ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_derive_key(
    seed: *const c_char,
    key: *mut u8,
    key_len: u32,
) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            let client = state.client()?;
            // SAFETY: the caller's promise.
            let seed = unsafe { seed_of(seed) }?;
            if key.is_null() || key_len == 0 {
                return Err(result::BAD_PARAMETERS);
            }
            if key_len > ID2_DERIV_KEY_LEN {
                return Err(result::EXCESS_DATA);
            }
            apart((seed.as_ptr(), seed.len()), (key, key_len as usize))?;
            let made = client.derive_key(seed).map_err(ClientError::code)?;
            // SAFETY: as above.
            let out = unsafe { room(key, key_len as usize) }?;
            out.copy_from_slice(&made[..key_len as usize]);
            Ok(())
        })
    })
}

/// Keeps an ID2 and its key that came another way than over the air, such as in a file of the
/// production line; what was there before is gone.
///
/// @param[in] id2       24 characters and a NUL.
/// @param[in] key_type  1 3DES, 2 AES, 3 SM4.
/// @param[in] key_value the key as hex digits and a NUL; its length tells 3DES-112 from 3DES-168 and
///                      AES-128 from AES-192 and AES-256.
///
/// # Safety
/// Pointers that are not null point to texts that end with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_set_id2_and_key(
    id2: *const c_char,
    key_type: c_int,
    key_value: *const c_char,
) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            state.client()?;
            // SAFETY: the caller's promise.
            let (id, digits) = unsafe {
                (
                    text(id2, ID_LEN, result::BAD_PARAMETERS)?,
                    text(key_value, given::DIGITS_MAX, result::BAD_PARAMETERS)?,
                )
            };
            let id = Id::parse(id).ok_or(result::BAD_PARAMETERS)?;
            let key = given::read(key_type, digits)?;
            let nonce = state.hal()?.random()?;
            let client = state.client()?;
            client.install(&id, &key, &nonce).map_err(ClientError::code)
        })
    })
}

/// Whether there is an ID2.
///
/// @param[out] is_prov
///
/// # Safety
/// A pointer that is not null points to a bool.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_get_prov_stat(is_prov: *mut bool) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            let client = state.client()?;
            if is_prov.is_null() {
                return Err(result::BAD_PARAMETERS);
            }
            let provisioned = client.is_provisioned().map_err(ClientError::code)?;
            // SAFETY: the caller's promise.
            unsafe { is_prov.write(provisioned) };
            Ok(())
        })
    })
}

/// The code with which a device without an ID2 asks for one. Binary: base64 makes it the
/// DeviceAuthCode of OtpGetId2. What comes back must be loaded before the power ends or
/// id2_client_cleanup is called.
///
/// @param[in]    token     the product's token.
/// @param[in]    token_len 32.
/// @param[out]   auth_code at most 256 bytes.
/// @param[inout] len       the room, then the length.
///
/// # Safety
/// Pointers that are not null point to as many bytes as the lengths say.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_get_otp_auth_code(
    token: *const u8,
    token_len: u32,
    auth_code: *mut u8,
    len: *mut u32,
) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            state.client()?;
            // SAFETY: the caller's promise.
            let most = unsafe { length(len) }?.min(otp::CODE_MAX as u32) as usize;
            if token_len as usize != otp::TOKEN_LEN || auth_code.is_null() {
                return Err(result::BAD_PARAMETERS);
            }
            // SAFETY: as above.
            let token = unsafe { bytes(token, token_len) }?;
            apart((token.as_ptr(), token.len()), (auth_code, most))?;
            let hal = state.hal()?;
            let (fingerprint, fingerprint_len) = hal.fingerprint()?;
            let session = hal.session()?;
            // SAFETY: as above, and the places do not overlap.
            let out = unsafe { room(auth_code, most) }?;
            let done =
                state
                    .client()?
                    .otp_auth_code(token, &fingerprint[..fingerprint_len], session, out);
            // SAFETY: as above.
            unsafe { written(done, len) }
        })
    })
}

/// Keeps the ID2 and key that came for the last id2_client_get_otp_auth_code. When this fails, the
/// device has what it had before.
///
/// @param[in] otp_data the ProvisionData of OtpGetId2, after base64.
/// @param[in] len
///
/// # Safety
/// A pointer that is not null points to `len` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_load_otp_data(otp_data: *const u8, len: u32) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            state.client()?;
            if len == 0 {
                return Err(result::BAD_PARAMETERS);
            }
            // SAFETY: the caller's promise.
            let data = unsafe { bytes(otp_data, len) }?;
            let nonce = state.hal()?.random()?;
            let client = state.client()?;
            client
                .load_otp_data(data, &nonce)
                .map_err(ClientError::code)
        })
    })
}

/// Fetches an ID2 over iTLS, if the device has none. Connects to PRODUCT_KEY.HOST, or to the host
/// itself when it is an address or the longer name is unknown; up to three times.
///
/// @param[in] host           a name or an address, and a NUL.
/// @param[in] port           of the server's iTLS listener.
/// @param[in] product_key    at most 64 characters and a NUL.
/// @param[in] product_secret the product's token: 32 characters and a NUL.
/// @param[in] timeout_ms     for each try; at least 2000 are taken.
///
/// @return IROT_SUCCESS once there is an ID2; IROT_ERROR_COMMUNICATION, IROT_ERROR_TIMEOUT;
/// IROT_ERROR_GENERIC when the server refused (hal_itls_get_alert_type says why);
/// IROT_ERROR_NOT_SUPPORTED on a board without sockets of its own.
///
/// # Safety
/// Pointers that are not null point to texts that end with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn id2_client_wrap_do_provisioning(
    host: *const c_char,
    port: u32,
    product_key: *const c_char,
    product_secret: *const c_char,
    timeout_ms: u32,
) -> irot_result_t {
    guard(|| {
        state::with(|state| state.client().map(drop))?;
        if host.is_null() || product_key.is_null() || product_secret.is_null() {
            return Err(result::BAD_PARAMETERS);
        }
        // SAFETY: the caller's promise.
        unsafe { provision(host, port, product_key, product_secret, timeout_ms) }
    })
}

/// # Safety
/// As of the functions above.
unsafe fn proof(
    timestamp: bool,
    fresh: *const c_char,
    extra: *const u8,
    extra_len: u32,
    auth_code: *mut u8,
    auth_code_len: *mut u32,
) -> irot_result_t {
    guard(|| {
        state::with(|state| {
            state.client()?;
            // SAFETY: the caller's promise.
            let fresh = unsafe { text(fresh, FRESHNESS_MAX, result::BAD_PARAMETERS) }?;
            let fresh = str::from_utf8(fresh).map_err(|_| result::BAD_PARAMETERS)?;
            // SAFETY: as above.
            let room_len = unsafe { length(auth_code_len) }?;
            if auth_code.is_null() {
                return Err(result::BAD_PARAMETERS);
            }
            // SAFETY: as above.
            let extra = unsafe { optional(extra, extra_len) }?;
            // No code is longer.
            let most = room_len.min(512) as usize;
            apart((fresh.as_ptr(), fresh.len()), (auth_code, most))?;
            apart(
                (
                    extra.map_or(core::ptr::null(), <[u8]>::as_ptr),
                    extra_len as usize,
                ),
                (auth_code, most),
            )?;
            // SAFETY: as above, and the places do not overlap.
            let out = unsafe { output(auth_code, auth_code_len, ID2_AUTH_CODE_BUF_LEN) }?;
            let random = *state.hal()?.random::<8>()?;
            let fresh = match timestamp {
                false => Fresh::Challenge(fresh),
                true => Fresh::Timestamp(fresh),
            };
            let done = state.client()?.auth_code(fresh, extra, random, out);
            // SAFETY: as above.
            unsafe { written(done, auth_code_len) }
        })
    })
}

/// # Safety
/// A pointer that is not null points to a number.
unsafe fn length(at: *const u32) -> Result<u32, Refused> {
    // SAFETY: the caller's promise.
    unsafe { at.as_ref() }
        .copied()
        .ok_or(result::BAD_PARAMETERS)
}

/// # Safety
/// A pointer that is not null points to a number.
unsafe fn put(at: *mut u32, value: u32) -> Result<(), Refused> {
    if at.is_null() {
        return Err(result::BAD_PARAMETERS);
    }
    // SAFETY: the caller's promise.
    unsafe { at.write(value) };
    Ok(())
}

/// An output of at least `least` bytes; no more than 512 of it are touched.
///
/// # Safety
/// As of the functions above.
unsafe fn output<'a>(at: *mut u8, len: *mut u32, least: u32) -> Result<&'a mut [u8], Refused> {
    // SAFETY: the caller's promise.
    let given = unsafe { length(len) }?;
    if at.is_null() {
        return Err(result::BAD_PARAMETERS);
    }
    if given < least {
        // SAFETY: as above.
        unsafe { put(len, least) }?;
        return Err(result::SHORT_BUFFER);
    }
    // SAFETY: as above.
    unsafe { room(at, given.min(512) as usize) }
}

/// Tells C how much was written, or how much room is needed.
///
/// # Safety
/// `len` points to a number.
unsafe fn written(done: Result<usize, ClientError>, len: *mut u32) -> Result<(), Refused> {
    let (count, refused) = match done {
        Ok(count) => (Some(count), Ok(())),
        Err(error) => (error.need(), Err(error.code())),
    };
    if let Some(count) = count {
        let count = u32::try_from(count).map_err(|_| result::GENERIC)?;
        // SAFETY: the caller's promise.
        unsafe { put(len, count) }?;
    }
    refused
}

/// Bytes that may be absent: a null pointer, with no length.
///
/// # Safety
/// A pointer that is not null points to `len` bytes.
unsafe fn optional<'a>(at: *const u8, len: u32) -> Result<Option<&'a [u8]>, Refused> {
    if len > ID2_MAX_EXTRA_LEN {
        return Err(result::EXCESS_DATA);
    }
    if at.is_null() {
        return if len == 0 {
            Ok(None)
        } else {
            Err(result::BAD_PARAMETERS)
        };
    }
    // SAFETY: the caller's promise.
    unsafe { bytes(at, len) }.map(Some)
}

/// # Safety
/// A pointer that is not null points to a text that ends with NUL.
unsafe fn seed_of<'a>(seed: *const c_char) -> Result<&'a [u8], Refused> {
    // SAFETY: the caller's promise.
    let seed = unsafe { text(seed, SEED_MAX, result::EXCESS_DATA) }?;
    if seed.is_empty() {
        return Err(result::BAD_PARAMETERS);
    }
    Ok(seed)
}

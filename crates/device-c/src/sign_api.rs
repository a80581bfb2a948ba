//! `sign_api.h`: `IOT_Sign_MQTT` of seed 001 section 3.4, with the structures of the vendor's SDK.

use crate::{
    boundary::{guard, text},
    state,
};
use core::{
    ffi::{c_char, c_int},
    slice, str,
};
use device::{
    id2::result,
    sign::{HOSTNAME_MAX, Meta, Region, Transport, sign_mqtt},
};

/// Most characters of a ProductKey.
pub const IOTX_PRODUCT_KEY_LEN: u32 = 20;
/// Most characters of a DeviceName.
pub const IOTX_DEVICE_NAME_LEN: u32 = 32;
/// Most characters of a DeviceSecret.
pub const IOTX_DEVICE_SECRET_LEN: u32 = 64;
/// Most characters of a ProductSecret.
pub const IOTX_PRODUCT_SECRET_LEN: u32 = 64;
/// Room for a host name and its NUL.
pub const DEV_SIGN_HOSTNAME_MAXLEN: u32 = 64;
/// Room for a client id and its NUL.
pub const DEV_SIGN_CLIENT_ID_MAXLEN: u32 = 200;
/// Room for a user name and its NUL.
pub const DEV_SIGN_USERNAME_MAXLEN: u32 = 64;
/// Room for a password and its NUL.
pub const DEV_SIGN_PASSWORD_MAXLEN: u32 = 65;

/// Where to connect; an enumeration in C.
pub type iotx_mqtt_region_types_t = c_int;

/// Who connects. All are texts that end with NUL.
#[repr(C)]
pub struct iotx_dev_meta_info_t {
    /// ProductKey
    pub product_key: [c_char; 21],
    /// ProductSecret; plays no part in this signature and is not read.
    pub product_secret: [c_char; 65],
    /// DeviceName
    pub device_name: [c_char; 33],
    /// DeviceSecret
    pub device_secret: [c_char; 65],
}

/// What an MQTT client needs. All are texts that end with NUL.
#[repr(C)]
pub struct iotx_sign_mqtt_t {
    /// The full host name.
    pub hostname: [c_char; 64],
    /// The port.
    pub port: u16,
    /// The MQTT client id.
    pub clientid: [c_char; 200],
    /// The MQTT user name.
    pub username: [c_char; 64],
    /// The MQTT password.
    pub password: [c_char; 65],
}

/// Computes the login of a device.
///
/// @param[in]  region  IOTX_CLOUD_REGION_CUSTOM takes the host of muster_sign_set_host.
/// @param[in]  meta
/// @param[out] signout
///
/// @return 0, or -1 for an illegal argument; then nothing was written.
///
/// # Safety
/// Pointers that are not null point to the structures.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn IOT_Sign_MQTT(
    region: iotx_mqtt_region_types_t,
    meta: *mut iotx_dev_meta_info_t,
    signout: *mut iotx_sign_mqtt_t,
) -> i32 {
    let done = guard(|| {
        if signout.is_null() {
            return Err(result::GENERIC);
        }
        // SAFETY: the caller's promise; each field is as long as its limit and a NUL.
        let (key, name, secret) = unsafe {
            let meta = meta.as_ref().ok_or(result::GENERIC)?;
            (
                text(meta.product_key.as_ptr(), 20, result::GENERIC)?,
                text(meta.device_name.as_ptr(), 32, result::GENERIC)?,
                text(meta.device_secret.as_ptr(), 64, result::GENERIC)?,
            )
        };
        let words = |bytes| str::from_utf8(bytes).map_err(|_| result::GENERIC);
        let (host, transport) = state::with(|state| Ok((state.host, state.transport)))?;
        let region = match region {
            0 => Region::Shanghai,
            1 => Region::Singapore,
            2 => Region::Japan,
            3 => Region::UsaWest,
            4 => Region::Germany,
            5 => Region::Custom(words(&host.0[..host.1])?),
            _ => return Err(result::GENERIC),
        };
        let meta = Meta {
            product_key: words(key)?,
            device_name: words(name)?,
            device_secret: secret,
        };
        let login = sign_mqtt(region, transport, &meta).map_err(|_| result::GENERIC)?;
        // SAFETY: the caller's promise; the structure has no byte that may not be zero, and `meta`
        // is read no more.
        unsafe {
            signout.write_bytes(0, 1);
            let out = &mut *signout;
            fill(&mut out.hostname, login.hostname.as_bytes())?;
            fill(&mut out.clientid, login.client_id.as_bytes())?;
            fill(&mut out.username, login.username.as_bytes())?;
            fill(&mut out.password, &*login.password)?;
            out.port = login.port;
        }
        Ok(())
    });
    if done == result::SUCCESS { 0 } else { -1 }
}

/// Says which host IOTX_CLOUD_REGION_CUSTOM means, and whether to connect with TLS (port 443) or
/// without (port 1883). Not in the vendor's header, where both are set elsewhere.
///
/// @param[in] host at most 63 characters and a NUL; NULL for none.
/// @param[in] tls  true unless this is called.
///
/// @return 0, or -1 for an illegal argument.
///
/// # Safety
/// A pointer that is not null points to a text that ends with NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn muster_sign_set_host(host: *const c_char, tls: bool) -> i32 {
    guard(|| {
        let host = if host.is_null() {
            &[]
        } else {
            // SAFETY: the caller's promise.
            unsafe { text(host, HOSTNAME_MAX, result::GENERIC) }?
        };
        state::with(|state| {
            state.host.0[..host.len()].copy_from_slice(host);
            state.host.1 = host.len();
            state.transport = if tls { Transport::Tls } else { Transport::Tcp };
            Ok(())
        })
    })
}

/// Has the next logins made for iTLS (port 1883, `securemode=8`, `authtype=id2`); what
/// muster_sign_set_host says of TLS takes its place again. Not in the vendor's header.
///
/// @return 0.
#[unsafe(no_mangle)]
pub extern "C" fn muster_sign_use_itls() -> i32 {
    guard(|| {
        state::with(|state| {
            state.transport = Transport::Itls;
            Ok(())
        })
    })
}

/// Copies a text into a field that was zeroed.
fn fill(field: &mut [c_char], from: &[u8]) -> Result<(), i32> {
    // SAFETY: a `c_char` is a byte, and any byte is one.
    let field = unsafe { slice::from_raw_parts_mut(field.as_mut_ptr().cast::<u8>(), field.len()) };
    // The last byte stays NUL.
    if from.len() >= field.len() {
        return Err(result::GENERIC);
    }
    field[..from.len()].copy_from_slice(from);
    Ok(())
}

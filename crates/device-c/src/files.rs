//! The board of a machine with an operating system: slots and sealing key in files of a folder that
//! only the owner may read, `MUSTER_DEVICE_DIR` or `/var/lib/muster-device`.
//!
//! The sealing key lies beside what it seals, so that it protects a copied slot and not a copied
//! folder; a machine that has a better place for keys sets a HAL or a carrier of its own.

use crate::hal::{MUSTER_SLOT_LEN, muster_hal_t};
use core::{
    ffi::{c_int, c_void},
    ptr, slice,
};
use credential::crypto::digest::Hash;
use device::id2::result;
use std::{
    env,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// The board.
pub(crate) const HAL: muster_hal_t = muster_hal_t {
    context: ptr::null_mut(),
    random: Some(random),
    read: Some(read),
    write: Some(write),
    sealing_key: Some(sealing_key),
    fingerprint: Some(fingerprint),
};

fn folder() -> PathBuf {
    env::var_os("MUSTER_DEVICE_DIR").map_or_else(|| "/var/lib/muster-device".into(), PathBuf::from)
}

fn slot_file(slot: u32) -> PathBuf {
    folder().join(format!("id2.{slot}"))
}

fn number(done: &io::Result<()>) -> c_int {
    match done {
        Ok(()) => result::SUCCESS,
        Err(_) => result::GENERIC,
    }
}

unsafe extern "C" fn random(_: *mut c_void, out: *mut u8, len: u32) -> c_int {
    // SAFETY: only this crate calls it, with a place of `len` bytes.
    let out = unsafe { slice::from_raw_parts_mut(out, len as usize) };
    match getrandom::fill(out) {
        Ok(()) => result::SUCCESS,
        Err(_) => result::GENERIC,
    }
}

unsafe extern "C" fn read(_: *mut c_void, slot: u32, out: *mut u8, len: u32) -> c_int {
    // SAFETY: as above.
    let out = unsafe { slice::from_raw_parts_mut(out, len as usize) };
    match fs::read(slot_file(slot)).map(Zeroizing::new) {
        Ok(bytes) if bytes.len() == out.len() => {
            out.copy_from_slice(&bytes);
            result::SUCCESS
        }
        // A file of another length is no record of ours.
        Ok(_) => {
            out.fill(0);
            result::SUCCESS
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            out.fill(0);
            result::SUCCESS
        }
        Err(_) => result::GENERIC,
    }
}

unsafe extern "C" fn write(_: *mut c_void, slot: u32, data: *const u8, len: u32) -> c_int {
    debug_assert_eq!(len, MUSTER_SLOT_LEN);
    // SAFETY: as above.
    let data = unsafe { slice::from_raw_parts(data, len as usize) };
    number(&put(&slot_file(slot), data))
}

unsafe extern "C" fn sealing_key(_: *mut c_void, key: *mut u8) -> c_int {
    // SAFETY: only this crate calls it, with a place of 32 bytes.
    let key = unsafe { slice::from_raw_parts_mut(key, 32) };
    let file = folder().join("sealing.key");
    match fs::read(&file).map(Zeroizing::new) {
        Ok(bytes) if bytes.len() == key.len() => {
            key.copy_from_slice(&bytes);
            result::SUCCESS
        }
        Ok(_) => result::GENERIC,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if getrandom::fill(key).is_err() {
                return result::GENERIC;
            }
            number(&put(&file, key))
        }
        Err(_) => result::GENERIC,
    }
}

/// The machine's id under a hash, since other programs know it as well (`machine-id(5)`).
unsafe extern "C" fn fingerprint(_: *mut c_void, out: *mut u8, len: *mut u32) -> c_int {
    let Ok(machine) = fs::read("/etc/machine-id") else {
        return result::NOT_SUPPORTED;
    };
    let digest = Hash::Sha256.of(&[b"muster id2 fingerprint", &machine]);
    let digest = digest.as_bytes();
    // SAFETY: only this crate calls it, with 128 bytes of place.
    unsafe {
        ptr::copy_nonoverlapping(digest.as_ptr(), out, digest.len());
        *len = digest.len() as u32;
    }
    result::SUCCESS
}

/// Writes a file whole, or leaves the old one: durable when this returns.
fn put(file: &Path, data: &[u8]) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let fresh = file.with_added_extension("new");
    let mut open = OpenOptions::new();
    let mut written = open
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    written.write_all(data)?;
    written.sync_all()?;
    fs::rename(&fresh, file)?;
    File::open(folder)?.sync_all()
}

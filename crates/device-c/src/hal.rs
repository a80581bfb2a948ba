//! What a port brings: storage, randomness, a fingerprint; or a whole carrier, such as a secure
//! element or an application in a trusted environment.

use crate::{
    boundary::guard,
    id2_client::irot_result_t,
    state::{self, State},
};
use core::ffi::{c_int, c_void};
use credential::id2::{
    HashType, ID_LEN, Id, Key, KeyError, KeyType, SoftKey,
    otp::{FINGERPRINT_MAX, SESSION_LEN},
};
use device::{
    Direction,
    holder::{KeyHolder, Record, SLOT, Sealed, Storage},
    id2::result,
};
use zeroize::Zeroizing;

/// Bytes of each of the two slots that `read` and `write` of muster_hal_t are about.
pub const MUSTER_SLOT_LEN: u32 = 112;
const _: () = assert!(MUSTER_SLOT_LEN as usize == SLOT);

/// Key types of muster_carrier_t: AES with 16, 24, 32 bytes.
pub const MUSTER_KEY_AES_128: c_int = 1;
/// See MUSTER_KEY_AES_128.
pub const MUSTER_KEY_AES_192: c_int = 2;
/// See MUSTER_KEY_AES_128.
pub const MUSTER_KEY_AES_256: c_int = 3;
/// Triple DES with 16 bytes.
pub const MUSTER_KEY_3DES_112: c_int = 4;
/// Triple DES with 24 bytes.
pub const MUSTER_KEY_3DES_168: c_int = 5;
/// SM4.
pub const MUSTER_KEY_SM4: c_int = 6;
/// RSA with 1024 bits.
pub const MUSTER_KEY_RSA_1024: c_int = 7;
/// RSA with 2048 bits.
pub const MUSTER_KEY_RSA_2048: c_int = 8;
/// ECDSA on P-256.
pub const MUSTER_KEY_P256: c_int = 9;
/// SM2.
pub const MUSTER_KEY_SM2: c_int = 10;

/// A board. Every function gets `context` first and returns 0 or one of IROT_ERROR_*. None may call
/// back into id2_client_*.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct muster_hal_t {
    /// Whatever the functions want to know.
    pub context: *mut c_void,
    /// Fills `out` with bytes that nobody can guess (TRNG or a generator seeded by one).
    pub random: Option<unsafe extern "C" fn(context: *mut c_void, out: *mut u8, len: u32) -> c_int>,
    /// Reads slot 0 or 1 whole. One that was never written may have any content.
    pub read: Option<
        unsafe extern "C" fn(context: *mut c_void, slot: u32, out: *mut u8, len: u32) -> c_int,
    >,
    /// Writes slot 0 or 1 whole and returns when it is durable. The slots must not share an erase
    /// block: when the power fails, the other one keeps what it has.
    pub write: Option<
        unsafe extern "C" fn(context: *mut c_void, slot: u32, data: *const u8, len: u32) -> c_int,
    >,
    /// The 32 bytes that the slots are sealed with: always the same, and of this device alone
    /// (fuses, PUF, a unique key of the chip). Who has them and the flash has the device's key.
    pub sealing_key: Option<unsafe extern "C" fn(context: *mut c_void, key: *mut u8) -> c_int>,
    /// What tells this device from all others, for provisioning over the air: at most *len (128)
    /// bytes into `out`; *len becomes their number.
    pub fingerprint:
        Option<unsafe extern "C" fn(context: *mut c_void, out: *mut u8, len: *mut u32) -> c_int>,
}

/// A carrier that keeps identity and key by itself: a secure element, or a trusted application.
/// The functions of muster_hal_t for slots and the sealing key are not used with it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct muster_carrier_t {
    /// Whatever the functions want to know.
    pub context: *mut c_void,
    /// The 24 characters of the identity, and MUSTER_KEY_* of its key; IROT_ERROR_ITEM_NOT_FOUND
    /// when there is none.
    pub identity: Option<
        unsafe extern "C" fn(context: *mut c_void, id: *mut u8, key_type: *mut c_int) -> c_int,
    >,
    /// Runs whole blocks through a symmetric key in ECB, in place: 0 encrypts, 1 decrypts. NULL when
    /// the key is of another kind.
    pub blocks: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            decrypt: c_int,
            data: *mut u8,
            len: u32,
        ) -> c_int,
    >,
    /// Signs a digest (RSA: PKCS#1 v1.5 with SHA-256; curves: r and s) into `out`, which has *out_len
    /// (256) bytes. NULL for symmetric keys.
    pub sign: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            digest: *const u8,
            digest_len: u32,
            out: *mut u8,
            out_len: *mut u32,
        ) -> c_int,
    >,
    /// Decrypts for an asymmetric key into `out`, which has *out_len (512) bytes. NULL when it
    /// cannot.
    pub decrypt: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            data: *const u8,
            len: u32,
            out: *mut u8,
            out_len: *mut u32,
        ) -> c_int,
    >,
    /// The 32 bytes of Z of an SM2 key. NULL for all others.
    pub sm2_z: Option<unsafe extern "C" fn(context: *mut c_void, z: *mut u8) -> c_int>,
    /// Keeps an identity and a symmetric key in place of what was there, whole or not at all. NULL
    /// when that is done at the maker's.
    pub install: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            id: *const u8,
            key_type: c_int,
            key: *const u8,
            len: u32,
        ) -> c_int,
    >,
}

/// Says what the board can. To be called before id2_client_init; the structure is copied. On a
/// machine with files there is one already (MUSTER_DEVICE_DIR, else /var/lib/muster-device).
///
/// @return IROT_ERROR_BAD_PARAMETERS for NULL or a structure without `random`, IROT_ERROR_GENERIC
/// while the client runs.
///
/// # Safety
/// A pointer that is not null points to a muster_hal_t; its functions keep what they promise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn muster_set_hal(hal: *const muster_hal_t) -> irot_result_t {
    guard(|| {
        // SAFETY: the caller's promise.
        let hal = unsafe { hal.as_ref() }.ok_or(result::BAD_PARAMETERS)?;
        hal.random.ok_or(result::BAD_PARAMETERS)?;
        state::with(|state| {
            state.not_running()?;
            state.hal = Some(*hal);
            Ok(())
        })
    })
}

/// Gives identity and key to a carrier, or back to the HAL's slots with NULL. To be called before
/// id2_client_init; the structure is copied.
///
/// @return IROT_ERROR_BAD_PARAMETERS for a structure without `identity`, IROT_ERROR_GENERIC while the
/// client runs.
///
/// # Safety
/// A pointer that is not null points to a muster_carrier_t; its functions keep what they promise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn muster_set_carrier(carrier: *const muster_carrier_t) -> irot_result_t {
    guard(|| {
        // SAFETY: the caller's promise.
        let carrier = unsafe { carrier.as_ref() }.copied();
        if carrier.is_some_and(|carrier| carrier.identity.is_none()) {
            return Err(result::BAD_PARAMETERS);
        }
        state::with(|state| {
            state.not_running()?;
            state.carrier = carrier;
            Ok(())
        })
    })
}

fn done(code: c_int) -> Result<(), KeyError> {
    match code {
        result::SUCCESS => Ok(()),
        result::COMMUNICATION | result::TIMEOUT => Err(KeyError::Communication),
        result::NOT_SUPPORTED | result::NOT_IMPLEMENTED => Err(KeyError::NotSupported),
        _ => Err(KeyError::Failed),
    }
}

impl muster_hal_t {
    /// `N` random bytes.
    ///
    /// # Errors
    /// The function's result.
    pub(crate) fn random<const N: usize>(&self) -> Result<Zeroizing<[u8; N]>, i32> {
        let random = self.random.ok_or(result::NOT_IMPLEMENTED)?;
        let mut bytes = Zeroizing::new([0; N]);
        // SAFETY: the port promised to write so many bytes; N is at most 16 here.
        match unsafe { random(self.context, bytes.as_mut_ptr(), N as u32) } {
            result::SUCCESS => Ok(bytes),
            code => Err(code),
        }
    }

    /// A session key.
    ///
    /// # Errors
    /// As [`muster_hal_t::random`].
    pub(crate) fn session(&self) -> Result<Zeroizing<[u8; SESSION_LEN]>, i32> {
        self.random()
    }

    /// The fingerprint with its length.
    ///
    /// # Errors
    /// The function's result.
    pub(crate) fn fingerprint(&self) -> Result<([u8; FINGERPRINT_MAX], usize), i32> {
        let fingerprint = self.fingerprint.ok_or(result::NOT_IMPLEMENTED)?;
        let mut bytes = [0; FINGERPRINT_MAX];
        let mut len = FINGERPRINT_MAX as u32;
        // SAFETY: the port promised to write no more than `len` bytes.
        match unsafe { fingerprint(self.context, bytes.as_mut_ptr(), &raw mut len) } {
            result::SUCCESS if (1..=FINGERPRINT_MAX).contains(&(len as usize)) => {
                Ok((bytes, len as usize))
            }
            result::SUCCESS => Err(result::GENERIC),
            code => Err(code),
        }
    }

    fn sealing_key(&self) -> Result<Zeroizing<[u8; 32]>, i32> {
        let sealing_key = self.sealing_key.ok_or(result::NOT_IMPLEMENTED)?;
        let mut key = Zeroizing::new([0; 32]);
        // SAFETY: the port promised to write 32 bytes.
        match unsafe { sealing_key(self.context, key.as_mut_ptr()) } {
            result::SUCCESS => Ok(key),
            code => Err(code),
        }
    }
}

/// The slots of a HAL.
pub(crate) struct Slots(muster_hal_t);

impl Storage for Slots {
    fn read(&mut self, slot: u8, record: &mut Record) -> Result<(), KeyError> {
        let read = self.0.read.ok_or(KeyError::NotSupported)?;
        // SAFETY: the port promised to write no more than a slot.
        done(unsafe {
            read(
                self.0.context,
                slot.into(),
                record.as_mut_ptr(),
                MUSTER_SLOT_LEN,
            )
        })
    }

    fn write(&mut self, slot: u8, record: &Record) -> Result<(), KeyError> {
        let write = self.0.write.ok_or(KeyError::NotSupported)?;
        // SAFETY: the port promised to read no more than a slot.
        done(unsafe {
            write(
                self.0.context,
                slot.into(),
                record.as_ptr(),
                MUSTER_SLOT_LEN,
            )
        })
    }
}

/// Where the client's key lives.
pub(crate) enum Holder {
    /// Sealed in the slots of a HAL.
    Sealed(Sealed<Slots>),
    /// In a carrier of the port's.
    Carrier(muster_carrier_t),
}

impl Holder {
    /// The holder that the port asked for.
    ///
    /// # Errors
    /// `NOT_IMPLEMENTED` when the port has neither carrier nor slots, or the function's result.
    pub(crate) fn of(state: &State) -> Result<Holder, i32> {
        if let Some(carrier) = state.carrier {
            return Ok(Holder::Carrier(carrier));
        }
        let hal = state.hal()?;
        let (Some(_), Some(_)) = (hal.read, hal.write) else {
            return Err(result::NOT_IMPLEMENTED);
        };
        Ok(Holder::Sealed(Sealed::new(Slots(hal), hal.sealing_key()?)))
    }
}

/// A key as its holder lends it.
pub(crate) enum Held {
    Soft(SoftKey),
    Carried(KeyType, muster_carrier_t),
}

const NUMBERS: [(KeyType, c_int); 10] = [
    (KeyType::Aes128, MUSTER_KEY_AES_128),
    (KeyType::Aes192, MUSTER_KEY_AES_192),
    (KeyType::Aes256, MUSTER_KEY_AES_256),
    (KeyType::TripleDes112, MUSTER_KEY_3DES_112),
    (KeyType::TripleDes168, MUSTER_KEY_3DES_168),
    (KeyType::Sm4, MUSTER_KEY_SM4),
    (KeyType::Rsa1024, MUSTER_KEY_RSA_1024),
    (KeyType::Rsa2048, MUSTER_KEY_RSA_2048),
    (KeyType::P256, MUSTER_KEY_P256),
    (KeyType::Sm2, MUSTER_KEY_SM2),
];

impl KeyHolder for Holder {
    type Key<'a> = Held;

    fn open(&mut self) -> Result<Option<(Id, Held)>, KeyError> {
        let carrier = match self {
            Holder::Sealed(sealed) => {
                return Ok(sealed.open()?.map(|(id, key)| (id, Held::Soft(key))));
            }
            Holder::Carrier(carrier) => *carrier,
        };
        let identity = carrier.identity.ok_or(KeyError::NotSupported)?;
        let mut id = [0; ID_LEN];
        let mut kind = 0;
        // SAFETY: the port promised to write 24 bytes and a number.
        match unsafe { identity(carrier.context, id.as_mut_ptr(), &raw mut kind) } {
            result::ITEM_NOT_FOUND => return Ok(None),
            code => done(code)?,
        }
        let (kind, _) = NUMBERS
            .into_iter()
            .find(|(_, number)| *number == kind)
            .ok_or(KeyError::Failed)?;
        let id = Id::parse(&id).ok_or(KeyError::Failed)?;
        Ok(Some((id, Held::Carried(kind, carrier))))
    }

    fn install(&mut self, id: &Id, key: &SoftKey, nonce: &[u8; 12]) -> Result<(), KeyError> {
        let carrier = match self {
            Holder::Sealed(sealed) => return sealed.install(id, key, nonce),
            Holder::Carrier(carrier) => *carrier,
        };
        let install = carrier.install.ok_or(KeyError::NotSupported)?;
        let (_, number) = NUMBERS
            .into_iter()
            .find(|(kind, _)| *kind == key.key_type())
            .ok_or(KeyError::NotSupported)?;
        let bytes = key.expose();
        // SAFETY: the port promised to read 24 and at most `len` bytes; a key has at most 32.
        done(unsafe {
            install(
                carrier.context,
                id.as_bytes().as_ptr(),
                number,
                bytes.as_ptr(),
                bytes.len() as u32,
            )
        })
    }
}

impl Key for Held {
    fn key_type(&self) -> KeyType {
        match self {
            Held::Soft(key) => key.key_type(),
            Held::Carried(kind, _) => *kind,
        }
    }

    fn blocks(&self, direction: Direction, data: &mut [u8]) -> Result<(), KeyError> {
        let carrier = match self {
            Held::Soft(key) => return key.blocks(direction, data),
            Held::Carried(_, carrier) => carrier,
        };
        let blocks = carrier.blocks.ok_or(KeyError::NotSupported)?;
        let len = u32::try_from(data.len()).map_err(|_| KeyError::BadLength)?;
        let decrypt = c_int::from(direction == Direction::Decrypt);
        // SAFETY: the port promised to stay within `len` bytes.
        done(unsafe { blocks(carrier.context, decrypt, data.as_mut_ptr(), len) })
    }

    fn sign(&self, _: HashType, digest: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        let Held::Carried(_, carrier) = self else {
            return Err(KeyError::NotSupported);
        };
        let sign = carrier.sign.ok_or(KeyError::NotSupported)?;
        let digest_len = u32::try_from(digest.len()).map_err(|_| KeyError::BadLength)?;
        let mut len = u32::try_from(out.len()).map_err(|_| KeyError::BadLength)?;
        // SAFETY: the port promised to stay within both lengths.
        done(unsafe {
            sign(
                carrier.context,
                digest.as_ptr(),
                digest_len,
                out.as_mut_ptr(),
                &raw mut len,
            )
        })?;
        within(len, out)
    }

    fn open(&self, data: &[u8], out: &mut [u8]) -> Result<usize, KeyError> {
        let Held::Carried(_, carrier) = self else {
            return Err(KeyError::NotSupported);
        };
        let decrypt = carrier.decrypt.ok_or(KeyError::NotSupported)?;
        let data_len = u32::try_from(data.len()).map_err(|_| KeyError::BadLength)?;
        let mut len = u32::try_from(out.len()).map_err(|_| KeyError::BadLength)?;
        // SAFETY: the port promised to stay within both lengths.
        done(unsafe {
            decrypt(
                carrier.context,
                data.as_ptr(),
                data_len,
                out.as_mut_ptr(),
                &raw mut len,
            )
        })?;
        within(len, out)
    }

    fn prefix(&self) -> Result<Option<[u8; 32]>, KeyError> {
        let Held::Carried(KeyType::Sm2, carrier) = self else {
            return Ok(None);
        };
        let sm2_z = carrier.sm2_z.ok_or(KeyError::NotSupported)?;
        let mut z = [0; 32];
        // SAFETY: the port promised to write 32 bytes.
        done(unsafe { sm2_z(carrier.context, z.as_mut_ptr()) })?;
        Ok(Some(z))
    }
}

fn within(len: u32, out: &[u8]) -> Result<usize, KeyError> {
    let len = len as usize;
    if len <= out.len() {
        Ok(len)
    } else {
        Err(KeyError::Failed)
    }
}

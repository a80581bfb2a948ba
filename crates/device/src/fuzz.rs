//! Fuzz bodies: what each parser of outside bytes promises for any input.

use crate::{
    holder::{KeyHolder, Record, SLOT, Sealed, Storage},
    id2::{Client, given, result},
};
use credential::{
    crypto::wrap::NONCE,
    id2::{Id, KeyError, KeyType, SoftKey, device::Form},
};
use zeroize::Zeroizing;

struct Slots([Record; 2]);

impl Storage for Slots {
    fn read(&mut self, slot: u8, record: &mut Record) -> Result<(), KeyError> {
        *record = self.0[usize::from(slot)];
        Ok(())
    }

    fn write(&mut self, slot: u8, record: &Record) -> Result<(), KeyError> {
        self.0[usize::from(slot)] = *record;
        Ok(())
    }
}

/// Whatever stands in flash and whatever the server sends: there is no identity but the one that
/// was installed, and installing one works over any content.
pub fn client(data: &[u8]) {
    let mut slots = [[0; SLOT]; 2];
    let (one, other) = data.split_at(data.len().min(SLOT));
    slots[0][..one.len()].copy_from_slice(one);
    slots[1][..other.len().min(SLOT)].copy_from_slice(&other[..other.len().min(SLOT)]);
    let mut holder = Sealed::new(Slots(slots), Zeroizing::new([5; 32]));
    assert!(matches!(holder.open(), Ok(None)));
    let mut client = Client::new(holder, Form::Plain);
    assert_eq!(client.init(), Ok(()));
    let mut out = [0; 256];
    let asked = client.otp_auth_code(
        b"i11iQLFQgzT2BRTWTVQ9B0BE0549A601",
        b"fingerprint",
        Zeroizing::new([b'0'; 16]),
        &mut out,
    );
    assert!(asked.is_ok());
    let loaded = client.load_otp_data(data, &[1; NONCE]).is_ok();
    assert_eq!(client.is_provisioned(), Ok(loaded));
    let id = Id::issue([1; 3], [2; 3], 3);
    let key = SoftKey::new(KeyType::Aes128, &[7; 16]).expect("the key has 16 bytes");
    assert_eq!(client.install(&id, &key, &[2; NONCE]), Ok(()));
    assert_eq!(client.id(), Ok(id));
    let _ = client.decrypt(data, &mut out);
    let _ = client.decrypt_in_place(&mut out);
    if let Ok(text) = core::str::from_utf8(data) {
        assert!(client.verify_server(text, Some(b"c"), None).is_err());
    }
}

/// The kind's number and the digits of a key that a program gives: a key, or one of two results.
pub fn given_key(data: &[u8]) {
    let (kind, digits) = data.split_first().unwrap_or((&2, &[]));
    let kind = i32::from(*kind) - 1;
    let (kinds, whole) = (1..=3, matches!(digits.len(), 32 | 48 | 64));
    match given::read(kind, digits) {
        Ok(_) => {
            assert!(kinds.contains(&kind) && whole);
            assert!(digits.iter().all(u8::is_ascii_hexdigit));
        }
        Err(result::NOT_SUPPORTED) => assert!(!kinds.contains(&kind)),
        Err(code) => assert_eq!(code, result::BAD_PARAMETERS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Keys of each kind, each with a byte altered or cut away, and each with all of its bytes.
    #[test]
    fn a_given_key_is_read_or_refused() {
        let digits = b"00112233445566778899aAbBcCdDeEfF0f1e2d3c4b5a69788796a5b4c3d2e1f0";
        for kind in 0..=5 {
            for len in 0..=digits.len() {
                let mut data = [0; 65];
                data[0] = kind;
                data[1..=len].copy_from_slice(&digits[..len]);
                given_key(&data[..=len]);
                for altered in 0..=len {
                    let was = data[altered];
                    for byte in [0, b'g', b'G', b'/', b':', 0xff] {
                        data[altered] = byte;
                        given_key(&data[..=len]);
                        let read = given::read(i32::from(kind) - 1, &data[1..=len]);
                        assert!(altered == 0 || read.is_err());
                    }
                    data[altered] = was;
                }
            }
        }
        for (kind, len) in [(1, 32), (1, 48), (2, 32), (2, 48), (2, 64), (3, 32)] {
            assert!(given::read(kind, &digits[..len]).is_ok(), "{kind} {len}");
        }
        given_key(&[]);
        given_key(&[3; 200]);
    }

    /// 20,000 alterations of what a server and a flash may hold, from a fixed seed.
    #[test]
    fn a_client_holds() {
        let mut state = 1u64;
        let mut next = move || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) as usize
        };
        let mut sample = [0xff; 2 * SLOT];
        sample[..8].copy_from_slice(b"MID2\x01\0\0\0");
        sample[SLOT] = 1;
        for _ in 0..20_000 {
            let mut data = sample;
            for _ in 0..next() % 8 {
                data[next() % (2 * SLOT)] = (next() & 0xff) as u8;
            }
            client(&data[..next() % (2 * SLOT + 1)]);
        }
    }
}

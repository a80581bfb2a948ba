//! Where a device's identity and key live.
//!
//! [`KeyHolder`] is what any carrier gives: a secure element, a trusted environment, or software
//! that seals them and keeps them in two slots of a file or of flash ([`Sealed`]).

use credential::{
    crypto::wrap::{self, NONCE, TAG},
    id2::{ID_LEN, Id, Key, KeyError, KeyType, SoftKey},
};
use zeroize::Zeroizing;

/// A carrier of one identity and its key.
pub trait KeyHolder {
    /// The key as the carrier lends it for one operation.
    type Key<'a>: Key
    where
        Self: 'a;

    /// The identity and its key; `None` when there is none yet.
    ///
    /// # Errors
    /// [`KeyError`]: the carrier cannot be reached, or what it holds is damaged.
    fn open(&mut self) -> Result<Option<(Id, Self::Key<'_>)>, KeyError>;

    /// Takes an identity and its key in place of what was there: all of it, or nothing when the
    /// power fails. `nonce` is random and used for nothing else.
    ///
    /// # Errors
    /// [`KeyError`]; `NotSupported` from a carrier that is filled at its maker's.
    fn install(&mut self, id: &Id, key: &SoftKey, nonce: &[u8; NONCE]) -> Result<(), KeyError>;
}

/// Bytes of a slot.
pub const SLOT: usize = 112;
/// A slot's content.
pub type Record = [u8; SLOT];

/// Two slots that outlive the power, such as two sectors of flash or two files.
pub trait Storage {
    /// Reads a slot (0 or 1) whole. Erased or never written, it may have any content.
    ///
    /// # Errors
    /// [`KeyError`] when the storage cannot be read.
    fn read(&mut self, slot: u8, record: &mut Record) -> Result<(), KeyError>;

    /// Writes a slot, and returns when it is durable. When the power fails meanwhile, the slot may
    /// have any content and the other has its own.
    ///
    /// # Errors
    /// [`KeyError`] when the storage cannot be written.
    fn write(&mut self, slot: u8, record: &Record) -> Result<(), KeyError>;
}

/// A carrier in software: identity and key under AES-256-GCM in a [`Storage`].
///
/// The sealing key is as much of a secret as the device's key: it should come from fuses or a
/// unique key of the chip, so that flash which is read out tells nothing.
///
/// A record is `MID2`, version 1, three zeros, a counter (u32, big endian), the nonce; sealed: number
/// of the key type, identity, length of the key, key; then the tag, and zeros to the end. The one
/// with the higher counter is in force.
pub struct Sealed<S> {
    storage: S,
    sealing: Zeroizing<[u8; wrap::KEY]>,
}

const MARK: [u8; 8] = *b"MID2\x01\0\0\0";
const HEAD: usize = 12;
const BODY: usize = 1 + ID_LEN + 1 + 32;
const SEALED_AT: usize = HEAD + NONCE;
const TAG_AT: usize = SEALED_AT + BODY;
const _: () = assert!(TAG_AT + TAG <= SLOT);

impl<S: Storage> Sealed<S> {
    /// The carrier over a storage.
    #[must_use]
    pub fn new(storage: S, sealing: Zeroizing<[u8; wrap::KEY]>) -> Self {
        Sealed { storage, sealing }
    }

    /// The record in force, with its slot and counter.
    fn newest(&mut self) -> Result<Option<Found>, KeyError> {
        let mut best: Option<Found> = None;
        for slot in [0, 1] {
            let mut record = Zeroizing::new([0; SLOT]);
            self.storage.read(slot, &mut record)?;
            if let Some(found) = read(&self.sealing, slot, &record)
                && best.as_ref().is_none_or(|best| found.count > best.count)
            {
                best = Some(found);
            }
        }
        Ok(best)
    }
}

struct Found {
    slot: u8,
    count: u32,
    id: Id,
    key: SoftKey,
}

fn read(sealing: &[u8; wrap::KEY], slot: u8, record: &Record) -> Option<Found> {
    let (head, rest) = record.split_first_chunk::<HEAD>()?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
    let (body, rest) = rest.split_first_chunk::<BODY>()?;
    let (tag, _) = rest.split_first_chunk::<TAG>()?;
    let count = head.strip_prefix(&MARK)?;
    let count = u32::from_be_bytes(count.try_into().ok()?);
    let mut body = Zeroizing::new(*body);
    if !wrap::unwrap(sealing, nonce, head, &mut *body, tag) {
        return None;
    }
    let (kind, rest) = body.split_first()?;
    let (id, rest) = rest.split_at(ID_LEN);
    let (len, key) = rest.split_first()?;
    let kind = KeyType::ALL.into_iter().find(|k| number(*k) == *kind)?;
    Some(Found {
        slot,
        count,
        id: Id::parse(id)?,
        key: SoftKey::new(kind, key.get(..usize::from(*len))?).ok()?,
    })
}

/// The key type in a record; no other numbering has them all.
fn number(kind: KeyType) -> u8 {
    match kind {
        KeyType::Aes128 => 1,
        KeyType::Aes192 => 2,
        KeyType::Aes256 => 3,
        KeyType::TripleDes112 => 4,
        KeyType::TripleDes168 => 5,
        KeyType::Sm4 => 6,
        KeyType::Rsa1024 => 7,
        KeyType::Rsa2048 => 8,
        KeyType::P256 => 9,
        KeyType::Sm2 => 10,
    }
}

impl<S: Storage> KeyHolder for Sealed<S> {
    type Key<'a>
        = SoftKey
    where
        S: 'a;

    fn open(&mut self) -> Result<Option<(Id, SoftKey)>, KeyError> {
        Ok(self.newest()?.map(|found| (found.id, found.key)))
    }

    fn install(&mut self, id: &Id, key: &SoftKey, nonce: &[u8; NONCE]) -> Result<(), KeyError> {
        let (slot, count) = match self.newest()? {
            None => (0, 1),
            Some(found) => (
                1 - found.slot,
                found.count.checked_add(1).ok_or(KeyError::Failed)?,
            ),
        };
        let mut record = Zeroizing::new([0; SLOT]);
        let bytes = key.expose();
        record[..8].copy_from_slice(&MARK);
        record[8..HEAD].copy_from_slice(&count.to_be_bytes());
        record[HEAD..SEALED_AT].copy_from_slice(nonce);
        let body = &mut record[SEALED_AT..TAG_AT];
        body[0] = number(key.key_type());
        body[1..=ID_LEN].copy_from_slice(id.as_bytes());
        body[1 + ID_LEN] = u8::try_from(bytes.len()).map_err(|_| KeyError::BadLength)?;
        body[2 + ID_LEN..2 + ID_LEN + bytes.len()].copy_from_slice(bytes);
        let (head, sealed) = record.split_at_mut(SEALED_AT);
        let tag = wrap::wrap(&self.sealing, nonce, &head[..HEAD], &mut sealed[..BODY]);
        sealed[BODY..BODY + TAG].copy_from_slice(&tag);
        self.storage.write(slot, &record)?;
        // Flash that is worn out reports success: only what is read back is there.
        let written = self.newest()?.ok_or(KeyError::Failed)?;
        if written.count == count && written.id == *id {
            Ok(())
        } else {
            Err(KeyError::Failed)
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Two slots in memory; `power` counts the bytes that may still be written.
    pub(crate) struct Memory {
        pub(crate) slots: [Record; 2],
        pub(crate) power: usize,
    }

    impl Memory {
        pub(crate) fn erased() -> Memory {
            Memory {
                slots: [[0xff; SLOT]; 2],
                power: usize::MAX,
            }
        }
    }

    impl Storage for Memory {
        fn read(&mut self, slot: u8, record: &mut Record) -> Result<(), KeyError> {
            *record = self.slots[usize::from(slot)];
            Ok(())
        }

        fn write(&mut self, slot: u8, record: &Record) -> Result<(), KeyError> {
            let slot = &mut self.slots[usize::from(slot)];
            let len = record.len().min(self.power);
            slot[..len].copy_from_slice(&record[..len]);
            if len < record.len() {
                slot[len..].fill(0xff);
                return Err(KeyError::Failed);
            }
            Ok(())
        }
    }

    pub(crate) fn sealed(memory: Memory) -> Sealed<Memory> {
        Sealed::new(memory, Zeroizing::new([5; 32]))
    }

    fn key(fill: u8) -> SoftKey {
        SoftKey::new(KeyType::Aes256, &[fill; 32]).unwrap()
    }

    fn id(serial: u32) -> Id {
        Id::issue([1; 3], [2; 3], serial)
    }

    fn held(holder: &mut Sealed<Memory>) -> Option<(Id, [u8; 32])> {
        let (id, key) = holder.open().unwrap()?;
        Some((id, key.expose().try_into().unwrap()))
    }

    #[test]
    fn id_9_identity_and_key_are_kept_sealed_and_replaced_whole() {
        let mut holder = sealed(Memory::erased());
        assert!(held(&mut holder).is_none());
        for round in 1..6u8 {
            let nonce = [0x70 + round; NONCE];
            holder
                .install(&id(round.into()), &key(round), &nonce)
                .unwrap();
            assert_eq!(held(&mut holder), Some((id(round.into()), [round; 32])));
        }
        let plain = holder.storage.slots.as_flattened();
        assert!(
            !plain
                .windows(8)
                .any(|part| part == [5; 8] || part == [4; 8])
        );
        assert!(!plain.windows(24).any(|part| part == id(5).as_bytes()));
    }

    #[test]
    fn id_9_a_power_cut_leaves_the_old_or_the_new() {
        for cut in 0..=SLOT {
            let mut holder = sealed(Memory::erased());
            holder.install(&id(1), &key(1), &[1; NONCE]).unwrap();
            holder.storage.power = cut;
            let done = holder.install(&id(2), &key(2), &[2; NONCE]);
            let now = held(&mut holder).unwrap();
            if done.is_ok() {
                assert_eq!(now, (id(2), [2; 32]));
            } else {
                assert!(now == (id(1), [1; 32]) || now == (id(2), [2; 32]), "{cut}");
            }
        }
    }

    #[test]
    fn id_9_what_was_altered_or_sealed_elsewhere_is_not_there() {
        let mut holder = sealed(Memory::erased());
        holder.install(&id(1), &key(1), &[1; NONCE]).unwrap();
        let record = holder.storage.slots[0];
        for at in 0..TAG_AT + TAG {
            holder.storage.slots[0][at] ^= 1;
            assert!(held(&mut holder).is_none(), "{at}");
            holder.storage.slots[0] = record;
        }
        assert!(held(&mut holder).is_some());
        *holder.sealing = [6; 32];
        assert!(held(&mut holder).is_none());
    }
}

//! How lines are bound to each other.
//!
//! hash(n) = HMAC-SHA256(audit key, hash(n-1) || n as 8 bytes big endian || the line as JSON);
//! hash(0) is 32 zero bytes. Who has no key can cut the tail but not alter, drop or add a line;
//! the head that is kept apart tells of a cut.

use credential::{
    Secret,
    crypto::{
        digest::Hash,
        hmac::{hmac_hex, same_hex},
        secret::same,
    },
};
use model::{
    account::{AuditEntry, AuditRecord},
    error::Fault,
};
use serde::{Deserialize, Serialize};

/// The hash that the first line is bound to, as hex.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// A line's number and hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) seq: u64,
    pub(super) hash: String,
}

impl Link {
    /// What the first line follows.
    pub(super) fn root() -> Self {
        Self {
            seq: 0,
            hash: NOTHING.to_owned(),
        }
    }

    pub(super) fn of(record: &AuditRecord) -> Self {
        Self {
            seq: record.seq,
            hash: record.hash.clone(),
        }
    }

    /// The record of `entry` as the line after this one.
    pub(super) fn bind(&self, key: &Secret, entry: AuditEntry) -> Result<AuditRecord, Fault> {
        let seq = self.seq + 1;
        let hash = hmac_hex(Hash::Sha256, key, &bound(&self.hash, seq, &entry)?);
        Ok(AuditRecord { seq, entry, hash })
    }

    /// What is wrong with `record` as the line after this one; `None` when nothing is.
    pub(super) fn flaw(&self, key: &Secret, record: &AuditRecord) -> Result<Option<String>, Fault> {
        if record.seq != self.seq + 1 {
            return Ok(Some(format!("line {} is missing", self.seq + 1)));
        }
        let expected = self.bind(key, record.entry.clone())?.hash;
        if same(expected.as_bytes(), record.hash.as_bytes()) {
            Ok(None)
        } else {
            Ok(Some("the line or its hash was altered".to_owned()))
        }
    }
}

fn bound(former: &str, seq: u64, entry: &AuditEntry) -> Result<Vec<u8>, Fault> {
    let line = serde_json::to_vec(entry)
        .map_err(|error| Fault::lasting(format!("an audit line as JSON: {error}")))?;
    // The former hash has one length and the number another, so that no two lines read alike.
    Ok([former.as_bytes(), &seq.to_be_bytes(), &line].concat())
}

/// The newest line, noted outside the log, so that a tail that was cut off is missed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Head {
    seq: u64,
    hash: String,
    mac: String,
}

impl Head {
    pub(super) fn of(key: &Secret, link: &Link) -> Self {
        Self {
            seq: link.seq,
            hash: link.hash.clone(),
            mac: hmac_hex(Hash::Sha256, key, &noted(link.seq, &link.hash)),
        }
    }

    /// The line that it names; none when it was not written by the holder of the key.
    pub(super) fn link(self, key: &Secret) -> Option<Link> {
        let expected =
            credential::crypto::hmac::hmac(Hash::Sha256, key, &noted(self.seq, &self.hash));
        same_hex(&expected, &self.mac).then_some(Link {
            seq: self.seq,
            hash: self.hash,
        })
    }
}

fn noted(seq: u64, hash: &str) -> Vec<u8> {
    [
        b"head of the audit log",
        &seq.to_be_bytes()[..],
        hash.as_bytes(),
    ]
    .concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::id::Time;

    fn key(fill: u8) -> Secret {
        Secret::new(vec![fill; 32])
    }

    fn entry(action: &str) -> AuditEntry {
        AuditEntry {
            at: Time(1),
            who: "?".into(),
            address: "192.0.2.1".into(),
            action: action.into(),
            resource: String::new(),
            outcome: "ok".into(),
            detail: String::new(),
        }
    }

    fn chain(key: &Secret, count: usize) -> Vec<AuditRecord> {
        let mut link = Link::root();
        let mut records = Vec::new();
        for n in 0..count {
            let record = link.bind(key, entry(&format!("iot:Act{n}"))).unwrap();
            link = Link::of(&record);
            records.push(record);
        }
        records
    }

    fn first_flaw(key: &Secret, records: &[AuditRecord]) -> Option<u64> {
        let mut link = Link::root();
        for record in records {
            if link.flaw(key, record).unwrap().is_some() {
                return Some(record.seq);
            }
            link = Link::of(record);
        }
        None
    }

    #[test]
    fn a_line_that_is_altered_dropped_swapped_or_added_is_found() {
        let key = key(1);
        let good = chain(&key, 6);
        assert_eq!(first_flaw(&key, &good), None);
        assert_eq!(first_flaw(&self::key(2), &good), Some(1));

        let mut altered = good.clone();
        altered[2].entry.outcome = "NotAllowed".into();
        assert_eq!(first_flaw(&key, &altered), Some(3));

        let mut dropped = good.clone();
        dropped.remove(2);
        assert_eq!(first_flaw(&key, &dropped), Some(4));

        let mut renumbered = dropped;
        for (n, record) in renumbered.iter_mut().enumerate() {
            record.seq = n as u64 + 1;
        }
        assert_eq!(first_flaw(&key, &renumbered), Some(3));

        let mut swapped = good.clone();
        let entry = swapped[1].entry.clone();
        swapped[1].entry = swapped[2].entry.clone();
        swapped[2].entry = entry;
        assert_eq!(first_flaw(&key, &swapped), Some(2));

        let mut added = good.clone();
        added.push(
            Link::of(&good[5])
                .bind(&self::key(2), self::entry("x"))
                .unwrap(),
        );
        assert_eq!(first_flaw(&key, &added), Some(7));
    }

    #[test]
    fn a_head_is_believed_only_with_its_mac() {
        let key = key(1);
        let link = Link::of(&chain(&key, 3)[2]);
        let head = Head::of(&key, &link);
        assert_eq!(head.clone().link(&key), Some(link));
        assert_eq!(head.clone().link(&self::key(2)), None);
        let mut older = head;
        older.seq = 2;
        assert_eq!(older.link(&key), None);
    }
}

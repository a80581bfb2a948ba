//! What finds the records of a kept feed: tables of numbers, sorted, one behind the other.
//!
//! Ids and products stand there as 64-bit numbers made of their names. Two names of one number would
//! only bring a record that is looked at in vain, since each record has its names in it.

use std::{collections::BTreeMap, io, ops::Range};

use crate::vulns::{Advisory, Source, key};

/// Counts of the tables at the start of an index.
const HEAD: usize = 7 * 4;

/// The number of a name (FNV-1a).
pub(super) fn number(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// An index that grows with its feed.
#[derive(Default)]
pub(super) struct Making {
    starts: Vec<u64>,
    ids: Vec<u64>,
    /// Product and record.
    naming: Vec<(u64, u32)>,
    withdrawn: Vec<u64>,
    exploited: Vec<u64>,
    probable: BTreeMap<u64, f32>,
}

impl Making {
    /// Notes the record that begins at `at`.
    pub(super) fn record(&mut self, at: u64, advisory: &Advisory) {
        let record = self.starts.len() as u32;
        let id = number(&advisory.id);
        self.starts.push(at);
        self.ids.push(id);
        if advisory.withdrawn {
            self.withdrawn.push(id);
        }
        let from = self.naming.len();
        for criterion in &advisory.criteria {
            let product = number(&key(&criterion.vendor, &criterion.product));
            if !self.naming[from..].contains(&(product, record)) {
                self.naming.push((product, record));
            }
        }
    }

    pub(super) fn exploited(&mut self, id: &str) {
        self.exploited.push(number(id));
    }

    pub(super) fn probable(&mut self, id: &str, probability: f32) {
        self.probable.insert(number(id), probability);
    }

    /// The index as it is written; `end` is where the records end.
    pub(super) fn bytes(&mut self, end: u64, source: &Source) -> io::Result<Vec<u8>> {
        self.naming.sort_unstable();
        for list in [&mut self.withdrawn, &mut self.exploited] {
            list.sort_unstable();
            list.dedup();
        }
        let mut order: Vec<u32> = (0..self.ids.len() as u32).collect();
        order.sort_by_key(|&record| (self.ids[record as usize], record));
        let source = serde_json::to_vec(source).map_err(io::Error::other)?;
        let mut out = Vec::new();
        for count in [
            self.ids.len(),
            self.naming.len(),
            self.withdrawn.len(),
            self.exploited.len(),
            self.probable.len(),
            source.len(),
            0,
        ] {
            let count = u32::try_from(count).map_err(io::Error::other)?;
            out.extend(count.to_le_bytes());
        }
        let mut long = |list: &mut dyn Iterator<Item = u64>| {
            list.for_each(|n| out.extend(n.to_le_bytes()));
        };
        long(&mut self.starts.iter().copied().chain([end]));
        long(&mut self.ids.iter().copied());
        long(&mut self.naming.iter().map(|(product, _)| *product));
        long(&mut self.withdrawn.iter().copied());
        long(&mut self.exploited.iter().copied());
        long(&mut self.probable.keys().copied());
        let mut short = |list: &mut dyn Iterator<Item = u32>| {
            list.for_each(|n| out.extend(n.to_le_bytes()));
        };
        short(&mut order.into_iter());
        short(&mut self.naming.iter().map(|(_, record)| *record));
        short(&mut self.probable.values().map(|p| p.to_bits()));
        out.extend(source);
        Ok(out)
    }
}

/// An index that was read.
pub(super) struct Index {
    starts: Vec<u64>,
    ids: Vec<u64>,
    /// Records by their ids.
    order: Vec<u32>,
    /// Products, and a record for each mention.
    products: Vec<u64>,
    records: Vec<u32>,
    pub(super) withdrawn: Vec<u64>,
    exploited: Vec<u64>,
    probable: (Vec<u64>, Vec<u32>),
    pub(super) source: Source,
}

impl Index {
    /// Reads an index; none when it is not as it was written. The records end at `end`.
    pub(super) fn read(bytes: &[u8], end: u64) -> Option<Index> {
        let (head, mut rest) = bytes.split_at_checked(HEAD)?;
        let mut counts = [0_usize; 7];
        for (count, bytes) in counts.iter_mut().zip(head.chunks_exact(4)) {
            *count = u32::from_le_bytes(bytes.try_into().ok()?) as usize;
        }
        let [ids, naming, withdrawn, exploited, probable, source, _] = counts;
        let mut cut = |size: usize| {
            let (one, behind) = rest.split_at_checked(size)?;
            rest = behind;
            Some(one)
        };
        let mut long = |count: usize| Some(longs(cut(count.checked_mul(8)?)?));
        let (starts, ids_read) = (long(ids + 1)?, long(ids)?);
        let (products, withdrawn) = (long(naming)?, long(withdrawn)?);
        let (exploited, probable_ids) = (long(exploited)?, long(probable)?);
        let mut short = |count: usize| Some(shorts(cut(count.checked_mul(4)?)?));
        let (order, records, chances) = (short(ids)?, short(naming)?, short(probable)?);
        let source = serde_json::from_slice(cut(source)?).ok()?;
        let sorted = |list: &[u64]| list.is_sorted();
        let within = |list: &[u32]| list.iter().all(|&record| (record as usize) < ids);
        let whole = rest.is_empty()
            && [&starts, &products, &withdrawn, &exploited, &probable_ids]
                .into_iter()
                .all(|list| sorted(list))
            && starts.last() == Some(&end)
            && within(&order)
            && within(&records)
            && order.is_sorted_by_key(|&record| ids_read[record as usize]);
        whole.then_some(Index {
            starts,
            ids: ids_read,
            order,
            products,
            records,
            withdrawn,
            exploited,
            probable: (probable_ids, chances),
            source,
        })
    }

    /// Where a record stands.
    pub(super) fn span(&self, record: u32) -> Option<Range<u64>> {
        let at = record as usize;
        Some(*self.starts.get(at)?..*self.starts.get(at + 1)?)
    }

    /// Ids of all records.
    pub(super) fn ids(&self) -> impl Iterator<Item = u64> {
        self.ids.iter().copied()
    }

    /// Records of an id, in the order in which they came.
    pub(super) fn records_of(&self, id: u64) -> impl Iterator<Item = u32> {
        let of = |record: &u32| self.ids[*record as usize];
        let from = self.order.partition_point(|record| of(record) < id);
        let rest = self.order[from..].iter();
        rest.take_while(move |record| of(record) == id).copied()
    }

    /// Ids of the records that name a product.
    pub(super) fn naming(&self, product: u64) -> impl Iterator<Item = u64> {
        let from = self.products.partition_point(|&named| named < product);
        let named = self.products[from..].iter().zip(&self.records[from..]);
        named
            .take_while(move |(named, _)| **named == product)
            .map(|(_, record)| self.ids[*record as usize])
    }

    pub(super) fn is_exploited(&self, id: u64) -> bool {
        self.exploited.binary_search(&id).is_ok()
    }

    pub(super) fn probability(&self, id: u64) -> Option<f32> {
        let at = self.probable.0.binary_search(&id).ok()?;
        self.probable.1.get(at).copied().map(f32::from_bits)
    }
}

fn longs(bytes: &[u8]) -> Vec<u64> {
    let numbers = bytes.chunks_exact(8).map(|b| b.try_into());
    numbers.flatten().map(u64::from_le_bytes).collect()
}

fn shorts(bytes: &[u8]) -> Vec<u32> {
    let numbers = bytes.chunks_exact(4).map(|b| b.try_into());
    numbers.flatten().map(u32::from_le_bytes).collect()
}

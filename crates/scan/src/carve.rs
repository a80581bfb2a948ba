//! Finds containers in bytes: at the start, and anywhere by their magics.

use std::sync::OnceLock;

use aho_corasick::{AhoCorasick, MatchKind};
use bytes::Bytes;

use crate::{
    Fault,
    format::{FORMATS, Format, Magic, Opened},
    limits::Budget,
};

/// A container at an offset.
pub(crate) struct Find {
    pub(crate) offset: usize,
    pub(crate) format: &'static Format,
    pub(crate) opened: Opened,
}

/// What stands at the start of some bytes.
pub(crate) enum Found {
    Opened(Find),
    /// Nothing that could be read; why not, where a magic was there.
    Nothing(Option<Fault>),
}

/// Opens what begins at the first byte. Fails only when nothing more can be done.
pub(crate) fn at_start(bytes: &Bytes, budget: &mut Budget<'_>) -> Result<Found, Fault> {
    let mut why = None;
    for format in FORMATS.iter().filter(|f| f.greets(bytes)) {
        match attempt(format, bytes, budget)? {
            Ok(opened) => {
                return Ok(Found::Opened(Find {
                    offset: 0,
                    format,
                    opened,
                }));
            }
            Err(fault) => why = why.or(Some(fault)),
        }
    }
    Ok(Found::Nothing(why))
}

fn attempt(
    format: &'static Format,
    bytes: &Bytes,
    budget: &mut Budget<'_>,
) -> Result<Result<Opened, Fault>, Fault> {
    let mark = budget.mark();
    match (format.open)(bytes, budget) {
        Ok(mut opened) => {
            opened.used = opened.used.clamp(1, bytes.len().max(1));
            Ok(Ok(opened))
        }
        Err(fault) if Budget::exhausted(&fault) => Err(fault),
        Err(fault) => {
            budget.forget(mark);
            Ok(Err(fault))
        }
    }
}

/// The magics of all formats that are looked for, as one automaton, and whose each is.
fn automaton() -> &'static (AhoCorasick, Vec<(usize, &'static Format)>) {
    static ALL: OnceLock<(AhoCorasick, Vec<(usize, &'static Format)>)> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut patterns = Vec::new();
        let mut whose = Vec::new();
        for format in FORMATS.iter().filter(|f| f.carved) {
            for Magic(at, magic) in format.magics {
                patterns.push(*magic);
                whose.push((*at, *format));
            }
        }
        let all = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(patterns)
            .expect("the magics are few and short");
        (all, whose)
    })
}

/// Appends every container that begins at or after `from`, in order and without overlap.
pub(crate) fn search(
    bytes: &Bytes,
    from: usize,
    budget: &mut Budget<'_>,
    finds: &mut Vec<Find>,
) -> Result<(), Fault> {
    let (all, whose) = automaton();
    let mut free = from;
    // Magics stand up to 32 KiB behind a format's start (ISO 9660), so candidates come out of
    // order; they are tried in the order of their starts.
    let mut candidates: Vec<(usize, usize)> = all
        .find_overlapping_iter(&bytes[from..])
        .filter_map(|hit| {
            let (at, _) = whose[hit.pattern().as_usize()];
            let start = (from + hit.start()).checked_sub(at)?;
            (start >= from).then_some((start, hit.pattern().as_usize()))
        })
        .collect();
    budget.work(bytes.len() - from)?;
    candidates.sort_unstable();
    for (start, pattern) in candidates {
        if start < free {
            continue;
        }
        let format = whose[pattern].1;
        let rest = bytes.slice(start..);
        budget.work(64)?;
        if let Ok(opened) = attempt(format, &rest, budget)? {
            // A header alone proves nothing here; something must have come out.
            if opened.entries.is_empty() && opened.facts.is_empty() {
                continue;
            }
            free = start + opened.used;
            finds.push(Find {
                offset: start,
                format,
                opened,
            });
        }
    }
    Ok(())
}

/// Whether the bytes are one and the same.
pub(crate) fn is_padding(bytes: &[u8]) -> bool {
    bytes
        .first()
        .is_none_or(|first| bytes.iter().all(|b| b == first))
}

/// Shannon's entropy in bits a byte.
pub(crate) fn entropy(bytes: &[u8]) -> f64 {
    if bytes.is_empty() {
        return 0.0;
    }
    let mut counts = [0_u64; 256];
    for &byte in bytes {
        counts[usize::from(byte)] += 1;
    }
    let total = bytes.len() as f64;
    counts
        .iter()
        .filter(|&&count| count > 0)
        .map(|&count| {
            let share = count as f64 / total;
            -share * share.log2()
        })
        .sum()
}

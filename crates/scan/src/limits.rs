//! What one scan may cost, and the account of what it has cost so far.

use crate::Fault;

/// The bounds of one unpacking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all unpacked files together that had to be copied or decompressed.
    pub total: u64,
    /// Bytes that may be decompressed in vain while looking for what an unknown region holds.
    pub work: u64,
    /// Bytes of one file.
    pub file: u64,
    /// Entries of all archives and file systems together.
    pub entries: usize,
    /// How many containers deep.
    pub depth: usize,
    /// How many times larger than its packed form a stream may be, beyond [`Limits::ratio_free`].
    pub ratio: u64,
    /// What a stream may grow to, however small its packed form: images hold sparse files.
    pub ratio_free: u64,
}

impl Default for Limits {
    /// Enough for an image of some hundred megabytes of content within two gigabytes of memory.
    fn default() -> Self {
        Limits {
            total: 1 << 30,
            work: 4 << 30,
            file: 512 << 20,
            entries: 500_000,
            depth: 12,
            ratio: 200,
            ratio_free: 64 << 20,
        }
    }
}

/// Which bound was met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Limit {
    /// [`Limits::total`].
    #[error("unpacked bytes")]
    Total,
    /// [`Limits::work`].
    #[error("work")]
    Work,
    /// [`Limits::file`].
    #[error("size of one file")]
    File,
    /// [`Limits::entries`].
    #[error("number of files")]
    Entries,
    /// [`Limits::depth`].
    #[error("depth of containers")]
    Depth,
    /// [`Limits::ratio`].
    #[error("compression ratio")]
    Ratio,
    /// Who called says that time is up.
    #[error("time")]
    Time,
}

/// The account of one unpacking.
pub(crate) struct Budget<'a> {
    pub(crate) limits: &'a Limits,
    stop: &'a dyn Fn() -> bool,
    spent: u64,
    worked: u64,
    entries: usize,
}

/// A state of the account to return to when what was charged came to nothing.
#[derive(Clone, Copy)]
pub(crate) struct Mark {
    spent: u64,
    entries: usize,
}

impl<'a> Budget<'a> {
    pub(crate) fn new(limits: &'a Limits, stop: &'a dyn Fn() -> bool) -> Self {
        Budget {
            limits,
            stop,
            spent: 0,
            worked: 0,
            entries: 0,
        }
    }

    /// Charges `bytes` that are about to be held.
    pub(crate) fn hold(&mut self, bytes: usize) -> Result<(), Fault> {
        self.work(bytes)?;
        self.spent = self.spent.saturating_add(bytes as u64);
        if self.spent > self.limits.total {
            return Err(Limit::Total.into());
        }
        Ok(())
    }

    /// Charges work on `bytes` that will not be held, and asks for the time.
    pub(crate) fn work(&mut self, bytes: usize) -> Result<(), Fault> {
        self.worked = self.worked.saturating_add(bytes as u64);
        if self.worked > self.limits.work {
            return Err(Limit::Work.into());
        }
        if (self.stop)() {
            return Err(Limit::Time.into());
        }
        Ok(())
    }

    /// Charges one more entry.
    pub(crate) fn entry(&mut self) -> Result<(), Fault> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(Limit::Entries.into());
        }
        if self.entries.is_multiple_of(64) && (self.stop)() {
            return Err(Limit::Time.into());
        }
        Ok(())
    }

    /// Whether a file that claims `bytes` may be built at all.
    pub(crate) fn file(&self, bytes: u64) -> Result<usize, Fault> {
        if bytes > self.limits.file {
            return Err(Limit::File.into());
        }
        usize::try_from(bytes).map_err(|_| Limit::File.into())
    }

    /// How much may come out of a stream of `packed` bytes.
    pub(crate) fn grown(&self, packed: usize) -> u64 {
        (packed as u64)
            .saturating_mul(self.limits.ratio)
            .max(self.limits.ratio_free)
            .min(self.limits.file)
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark {
            spent: self.spent,
            entries: self.entries,
        }
    }

    /// Takes back what was charged since `mark` except the work.
    pub(crate) fn forget(&mut self, mark: Mark) {
        self.spent = mark.spent;
        self.entries = mark.entries;
    }

    /// Whether nothing more can be done at all, as opposed to this file or stream.
    pub(crate) fn exhausted(fault: &Fault) -> bool {
        matches!(
            fault,
            Fault::Limit(Limit::Total | Limit::Work | Limit::Entries | Limit::Time)
        )
    }
}

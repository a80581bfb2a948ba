//! Chance that can be had again.

/// xorshift64*: enough for a test, and the same for the same seed.
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// From `MUSTER_TEST_SEED`, or any; told, so that a failing run can be had again.
    pub(crate) fn told() -> Self {
        let given = std::env::var("MUSTER_TEST_SEED")
            .ok()
            .and_then(|s| s.parse().ok());
        let any = || {
            let now = std::time::UNIX_EPOCH.elapsed();
            now.map_or(1, |now| now.as_nanos() as u64)
        };
        let seed = given.unwrap_or_else(any);
        println!("MUSTER_TEST_SEED={seed}");
        Self(seed | 1)
    }

    /// Another sequence.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.next() | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `most`.
    pub(crate) fn below(&mut self, most: usize) -> usize {
        ((self.next() >> 11) % most.max(1) as u64) as usize
    }
}

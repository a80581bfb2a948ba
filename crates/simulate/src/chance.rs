//! Chance that repeats itself: the same seed gives the same numbers on every machine.

use std::time::Duration;

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    /// The chance of the `of`th among those that a seed begins.
    pub(crate) fn new(seed: u64, of: u64) -> Self {
        let mut of = Self(of);
        Self(seed ^ of.next())
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `n`; 0 when that is 0.
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }

    /// From 0 to less than 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// A half to one and a half of it, so that not all do the same at once.
    pub(crate) fn around(&mut self, time: Duration) -> Duration {
        time.mul_f64(0.5 + self.share())
    }

    /// Another order of all, each as likely.
    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for last in (1..all.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            all.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers that the published generator gives for seed 1234567.
    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let mut chance = Chance(1_234_567);
        let first = [chance.next(), chance.next(), chance.next()];
        assert_eq!(
            first,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
        let (mut one, mut other) = (Chance::new(1, 2), Chance::new(1, 3));
        assert_ne!(one.next(), other.next());
        assert!((0..1000).all(|_| one.below(7) < 7 && one.share() < 1.0));
        assert_eq!(one.below(0), 0);
    }

    #[test]
    fn a_shuffle_keeps_all() {
        let mut all: Vec<u32> = (0..100).collect();
        Chance::new(7, 0).shuffle(&mut all);
        assert_ne!(all, (0..100).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}

//! Time and chance of the real world, behind the ports of the same name.

use model::{
    id::Time,
    port::{Clock, Random},
};
use std::time::{SystemTime, UNIX_EPOCH};

/// The machine's clock.
pub struct WallClock;

impl Clock for WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the port through which everybody else reads the time"
    )]
    fn now(&self) -> Time {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        Time(since.map_or(0, |since| {
            i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
        }))
    }
}

/// The machine's source of random bytes.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without random bytes no secret may be made and no nonce drawn; to go on with others
        // would be worse than to stop.
        getrandom::fill(bytes).expect("the system gives random bytes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_runs_and_chance_differs() {
        assert!(WallClock.now() > Time(1_700_000_000_000));
        let (mut one, mut other) = ([0; 32], [0; 32]);
        SystemRandom.fill(&mut one);
        SystemRandom.fill(&mut other);
        assert_ne!(one, other);
    }
}

//! Makes guessing slow: logins that fail too often are answered late.
//!
//! What is counted are failures of one claimed identity from one address, so that a device behind
//! the same address, or the right device elsewhere, is never made to wait: a right credential is
//! let in at once, whatever was tried before it.

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use std::{
    collections::hash_map::RandomState, hash::BuildHasher, net::IpAddr, num::NonZeroU32,
    time::Duration,
};
use tokio::sync::Semaphore;

/// Pairs of address and identity that are remembered.
const PAIRS: usize = 100_000;
/// Connections that are made to wait at once; further ones are closed without an answer.
const WAITING: usize = 1024;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(10);

type Key = (IpAddr, u64);

pub(crate) struct Throttle {
    failures: RateLimiter<Key, DefaultKeyedStateStore<Key>, DefaultClock>,
    clock: DefaultClock,
    hasher: RandomState,
    waiting: Semaphore,
}

/// What a failed login gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Penalty {
    None,
    /// An answer after this time.
    Wait(Duration),
}

impl Throttle {
    pub(crate) fn new(failures: u32) -> Self {
        let most = NonZeroU32::new(failures).unwrap_or(NonZeroU32::MIN);
        let clock = DefaultClock::default();
        Self {
            failures: RateLimiter::keyed(Quota::per_minute(most)),
            clock,
            hasher: RandomState::new(),
            waiting: Semaphore::new(WAITING),
        }
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, address: IpAddr, identity: &str) -> Penalty {
        if self.failures.len() >= PAIRS {
            self.failures.retain_recent();
            if self.failures.len() >= PAIRS {
                return Penalty::Wait(LONGEST);
            }
        }
        let key = (address, self.hasher.hash_one(identity));
        match self.failures.check_key(&key) {
            Ok(()) => Penalty::None,
            Err(not_until) => {
                Penalty::Wait(not_until.wait_time_from(self.clock.now()).min(LONGEST))
            }
        }
    }

    /// Serves a penalty; false when too many are being served, and the client gets no answer.
    pub(crate) async fn serve(&self, penalty: Penalty) -> bool {
        let Penalty::Wait(time) = penalty else {
            return true;
        };
        let Ok(_place) = self.waiting.try_acquire() else {
            return false;
        };
        tokio::time::sleep(time).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_pair_that_fails_waits() {
        let throttle = Throttle::new(2);
        let here = IpAddr::from([192, 0, 2, 1]);
        let there = IpAddr::from([192, 0, 2, 2]);
        for _ in 0..2 {
            assert_eq!(throttle.failed(here, "lamp"), Penalty::None);
        }
        assert!(matches!(throttle.failed(here, "lamp"), Penalty::Wait(_)));
        assert_eq!(throttle.failed(here, "door"), Penalty::None);
        assert_eq!(throttle.failed(there, "lamp"), Penalty::None);
    }

    #[test]
    fn made_up_identities_do_not_fill_the_memory() {
        let throttle = Throttle::new(1);
        let here = IpAddr::from([192, 0, 2, 1]);
        for number in 0..PAIRS {
            assert_eq!(throttle.failed(here, &number.to_string()), Penalty::None);
        }
        assert_eq!(throttle.failed(here, "more"), Penalty::Wait(LONGEST));
        assert_eq!(throttle.failures.len(), PAIRS);
    }
}

//! Makes guessing slow: logins that fail too often are answered late.
//!
//! Failures are counted by the identity that was claimed, from wherever, and by the address that
//! they came from, whoever they claimed to be. Only a login that fails is counted or made to wait:
//! a right credential is let in at once, whatever was tried before it under its name or from its
//! address, so that neither a stranger who guesses a device's secret nor one bad device among a
//! thousand behind the same router keeps anybody out.

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    state::keyed::DefaultKeyedStateStore,
};
use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hash},
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};
use tokio::sync::Semaphore;

/// Identities that are remembered, and addresses.
const KEYS: usize = 100_000;
/// Connections that are made to wait at once; further ones are closed without an answer.
const WAITING: usize = 1024;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(10);

pub(crate) struct Throttle {
    identities: Failures<u64>,
    addresses: Failures<IpAddr>,
    hasher: RandomState,
    waiting: Semaphore,
}

/// What a failed login gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Penalty {
    None,
    /// An answer after this time.
    Wait(Duration),
}

/// Failures of the last minute by what they have in common.
struct Failures<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, DefaultKeyedStateStore<K>, DefaultClock>,
    clock: DefaultClock,
}

impl<K: Hash + Eq + Clone> Failures<K> {
    fn new(a_minute: u32) -> Self {
        let most = NonZeroU32::new(a_minute).unwrap_or(NonZeroU32::MIN);
        Self {
            limiter: RateLimiter::keyed(Quota::per_minute(most)),
            clock: DefaultClock::default(),
        }
    }

    fn count(&self, key: &K) -> Penalty {
        if self.limiter.len() >= KEYS {
            self.limiter.retain_recent();
            if self.limiter.len() >= KEYS {
                return Penalty::Wait(LONGEST);
            }
        }
        match self.limiter.check_key(key) {
            Ok(()) => Penalty::None,
            Err(not_until) => {
                Penalty::Wait(not_until.wait_time_from(self.clock.now()).min(LONGEST))
            }
        }
    }
}

/// What counts as one address: whoever has an IPv6 address has the 2^64 next to it as well.
fn place(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
    }
}

impl Throttle {
    /// Failures a minute of one identity, and from one address, that are answered at once.
    pub(crate) fn new(of_identity: u32, from_address: u32) -> Self {
        Self {
            identities: Failures::new(of_identity),
            addresses: Failures::new(from_address),
            hasher: RandomState::new(),
            waiting: Semaphore::new(WAITING),
        }
    }

    /// Counts a failure.
    pub(crate) fn failed(&self, address: IpAddr, identity: &str) -> Penalty {
        let identity = self.hasher.hash_one(identity);
        let (of, from) = (
            self.identities.count(&identity),
            self.addresses.count(&place(address)),
        );
        of.max(from)
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
    fn what_fails_too_often_waits_and_nobody_else() {
        let throttle = Throttle::new(2, 5);
        let here = IpAddr::from([192, 0, 2, 1]);
        let there = IpAddr::from([192, 0, 2, 2]);
        for _ in 0..2 {
            assert_eq!(throttle.failed(here, "lamp"), Penalty::None);
        }
        assert!(matches!(throttle.failed(here, "lamp"), Penalty::Wait(_)));
        assert!(matches!(throttle.failed(there, "lamp"), Penalty::Wait(_)));
        // Others behind the same address, as long as there are not too many of them.
        for other in ["door", "fan"] {
            assert_eq!(throttle.failed(here, other), Penalty::None);
        }
        assert!(matches!(throttle.failed(here, "bell"), Penalty::Wait(_)));
        assert_eq!(throttle.failed(there, "bell"), Penalty::None);
    }

    #[test]
    fn neighbours_of_an_address_of_ipv6_are_one_place() {
        let throttle = Throttle::new(1, 1);
        let at = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(throttle.failed(at("2001:db8::1"), "a"), Penalty::None);
        let near = throttle.failed(at("2001:db8::ffff:1"), "b");
        assert!(matches!(near, Penalty::Wait(_)));
        assert_eq!(throttle.failed(at("2001:db8:0:1::1"), "c"), Penalty::None);
    }

    #[test]
    fn made_up_identities_do_not_fill_the_memory() {
        let throttle = Throttle::new(1, u32::MAX);
        let here = IpAddr::from([192, 0, 2, 1]);
        for number in 0..KEYS {
            assert_eq!(throttle.failed(here, &number.to_string()), Penalty::None);
        }
        assert_eq!(throttle.failed(here, "more"), Penalty::Wait(LONGEST));
        assert_eq!(throttle.identities.limiter.len(), KEYS);
    }
}

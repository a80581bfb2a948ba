//! Memory that connections hold while they read, work on and write messages, added up over all of
//! them, so that many together cannot take what each alone may.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// What a connection may hold uncounted, in bytes; their number is bounded elsewhere.
pub(crate) const FREE: usize = 8 * 1024;

/// The sum over all connections, and its bound.
pub(crate) struct Memory {
    held: AtomicUsize,
    bound: usize,
}

impl Memory {
    pub(crate) fn new(bound: usize) -> Arc<Self> {
        Arc::new(Self {
            held: AtomicUsize::new(0),
            bound,
        })
    }

    /// Whether so much is held that nobody may have more, and nobody else may come.
    pub(crate) fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.bound
    }

    /// The share of a connection that holds nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share {
            memory: self.clone(),
            held: 0,
        }
    }
}

/// What one connection holds; given back when it is dropped.
pub(crate) struct Share {
    memory: Arc<Memory>,
    held: usize,
}

impl Share {
    /// Notes that the connection holds so many bytes now.
    pub(crate) fn hold(&mut self, bytes: usize) {
        let bytes = if bytes > FREE { bytes } else { 0 };
        let held = &self.memory.held;
        if bytes > self.held {
            held.fetch_add(bytes - self.held, Ordering::Relaxed);
        } else if bytes < self.held {
            held.fetch_sub(self.held - bytes, Ordering::Relaxed);
        }
        self.held = bytes;
    }

    /// Whether all hold too much and this connection has a part in it.
    pub(crate) fn is_too_much(&self) -> bool {
        self.held > 0 && self.memory.is_full()
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.hold(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_come_back() {
        let memory = Memory::new(100_000);
        let (mut one, mut other) = (memory.share(), memory.share());
        one.hold(FREE);
        assert_eq!(memory.held.load(Ordering::Relaxed), 0, "it is not counted");
        one.hold(60_000);
        other.hold(40_000);
        assert!(!memory.is_full() && !one.is_too_much());
        other.hold(50_000);
        assert!(memory.is_full() && one.is_too_much() && other.is_too_much());
        let idle = memory.share();
        assert!(!idle.is_too_much(), "who holds nothing is not to blame");
        drop(one);
        assert!(!memory.is_full());
        other.hold(10);
        drop((other, idle));
        assert_eq!(memory.held.load(Ordering::Relaxed), 0);
    }
}

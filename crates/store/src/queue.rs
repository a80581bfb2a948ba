//! A bounded queue between many tasks and one thread that takes all there is at once.

use crate::fault::stopped;
use model::error::Fault;
use parking_lot::{Condvar, Mutex};
use std::time::Duration;
use tokio::sync::Semaphore;

/// How long items gather that nobody waits for.
const GATHER: Duration = Duration::from_millis(10);

/// The queue. Items have weights; together they never weigh more than the bound, unless one alone
/// does.
pub(crate) struct Queue<T> {
    line: Mutex<Line<T>>,
    filled: Condvar,
    room: Semaphore,
    bound: u32,
}

struct Line<T> {
    items: Vec<(u32, T)>,
    /// How many of them somebody waits for.
    urgent: usize,
    weight: u64,
    closed: bool,
    /// What the taker does; it is woken only for what it waits for.
    taker: Taker,
    /// How long items that nobody waits for may gather.
    patience: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Taker {
    /// At work; it looks again by itself.
    Busy,
    /// Waits for any item.
    Idle,
    /// Waits for an urgent item, or until the others have gathered.
    Gathering,
}

/// Whether somebody waits until an item is done with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// At once.
    Now,
    /// With the next urgent one, or when it has waited for a while.
    Soon,
}

impl<T> Queue<T> {
    pub(crate) fn new(bound: u32) -> Self {
        Self {
            line: Mutex::new(Line {
                items: Vec::new(),
                urgent: 0,
                weight: 0,
                closed: false,
                taker: Taker::Busy,
                patience: GATHER,
            }),
            filled: Condvar::new(),
            room: Semaphore::new(bound.max(1) as usize),
            bound: bound.max(1),
        }
    }

    /// Puts an item at the end; waits while there is no room.
    pub(crate) async fn push(&self, weight: u32, item: T) -> Result<(), Fault> {
        self.put(weight, item, Urgency::Now).await
    }

    /// Puts an item at the end; waits while there is no room.
    pub(crate) async fn put(&self, weight: u32, item: T, urgency: Urgency) -> Result<(), Fault> {
        let weight = weight.clamp(1, self.bound);
        let room = self.room.acquire_many(weight).await;
        room.map_err(|_| stopped())?.forget();
        let wake = {
            let mut line = self.line.lock();
            if line.closed {
                return Err(stopped());
            }
            line.items.push((weight, item));
            line.weight += u64::from(weight);
            line.urgent += usize::from(urgency == Urgency::Now);
            match line.taker {
                Taker::Busy => false,
                Taker::Idle => true,
                Taker::Gathering => line.is_due(self.bound),
            }
        };
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Moves all items into `items`, which is empty; waits until there is one that is due. Gives
    /// back the weight to `free` when they are done with, or `None` when the queue was closed and
    /// is empty.
    pub(crate) fn take(&self, items: &mut Vec<(u32, T)>) -> Option<u32> {
        let mut line = self.line.lock();
        while line.items.is_empty() {
            if line.closed {
                return None;
            }
            line.taker = Taker::Idle;
            self.filled.wait(&mut line);
        }
        while !line.is_due(self.bound) {
            line.taker = Taker::Gathering;
            let patience = line.patience;
            if self.filled.wait_for(&mut line, patience).timed_out() {
                break;
            }
        }
        line.taker = Taker::Busy;
        line.patience = GATHER;
        line.urgent = 0;
        line.weight = 0;
        std::mem::swap(items, &mut line.items);
        Some(items.iter().map(|(weight, _)| weight).sum())
    }

    /// Puts items that nobody waits for back to where they were, before all that came meanwhile,
    /// to be taken with the next urgent one or after `patience`. They keep their weight. Gives
    /// them back when the queue was closed: there is no later.
    pub(crate) fn put_back(&self, items: Vec<(u32, T)>, patience: Duration) -> Vec<(u32, T)> {
        let mut line = self.line.lock();
        if line.closed {
            return items;
        }
        line.weight += items
            .iter()
            .map(|(weight, _)| u64::from(*weight))
            .sum::<u64>();
        line.items.splice(..0, items);
        line.patience = patience;
        Vec::new()
    }

    /// Whether nothing waits and the taker is done with what it took.
    pub(crate) fn is_quiet(&self) -> bool {
        let line = self.line.lock();
        line.items.is_empty() && line.taker == Taker::Idle
    }

    /// Makes room again.
    pub(crate) fn free(&self, weight: u32) {
        self.room.add_permits(weight as usize);
    }

    /// Lets nothing in any more; what is in line is still taken.
    pub(crate) fn close(&self) {
        self.line.lock().closed = true;
        self.room.close();
        self.filled.notify_one();
    }
}

impl<T> Line<T> {
    /// Whether the taker should not wait for more. What was put back waits for its time even where
    /// much has gathered: it is trouble, not speed, that it waits for.
    fn is_due(&self, bound: u32) -> bool {
        let much = self.weight > u64::from(bound / 2) && self.patience == GATHER;
        self.urgent > 0 || self.closed || much
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_poll::poll_once;

    mod futures_poll {
        use std::{
            future::Future,
            pin::Pin,
            task::{Context, Poll, Waker},
        };

        pub(super) fn poll_once<F: Future>(future: Pin<&mut F>) -> Option<F::Output> {
            match future.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(output) => Some(output),
                Poll::Pending => None,
            }
        }
    }

    #[test]
    fn a_full_queue_makes_callers_wait_and_keeps_their_order() {
        let queue = Queue::new(2);
        for item in [1, 2] {
            poll_once(std::pin::pin!(queue.push(1, item)))
                .unwrap()
                .unwrap();
        }
        let mut third = Box::pin(queue.push(1, 3));
        assert!(poll_once(third.as_mut()).is_none());

        let mut items = Vec::new();
        let weight = queue.take(&mut items).unwrap();
        assert_eq!(items, [(1, 1), (1, 2)]);
        assert!(poll_once(third.as_mut()).is_none());
        queue.free(weight);
        poll_once(third.as_mut()).unwrap().unwrap();

        queue.close();
        items.clear();
        assert_eq!(queue.take(&mut items), Some(1));
        assert_eq!(items, [(1, 3)]);
        items.clear();
        assert_eq!(queue.take(&mut items), None);
        assert!(
            poll_once(std::pin::pin!(queue.push(1, 4)))
                .unwrap()
                .is_err()
        );
    }

    #[test]
    fn an_item_heavier_than_the_bound_still_gets_through() {
        let queue = Queue::new(8);
        poll_once(std::pin::pin!(queue.push(100, ())))
            .unwrap()
            .unwrap();
        assert_eq!(queue.take(&mut Vec::new()), Some(8));
    }

    #[test]
    fn what_nobody_waits_for_gathers_and_goes_with_what_is_urgent() {
        let queue = Queue::new(1_000_000);
        let put = |item, urgency| {
            poll_once(std::pin::pin!(queue.put(1, item, urgency)))
                .unwrap()
                .unwrap();
        };
        put(1, Urgency::Soon);
        let mut items = Vec::new();
        // Nothing urgent comes: it goes by itself.
        assert_eq!(queue.take(&mut items), Some(1));
        assert_eq!(items, [(1, 1)]);
        put(2, Urgency::Soon);
        // It was tried in vain, and comes before what came meanwhile.
        assert!(queue.put_back(items, Duration::from_secs(3600)).is_empty());
        put(3, Urgency::Now);
        let mut items = Vec::new();
        assert_eq!(queue.take(&mut items), Some(3));
        assert_eq!(items, [(1, 1), (1, 2), (1, 3)]);
        queue.close();
        assert_eq!(queue.put_back(items, Duration::ZERO).len(), 3);
    }

    #[test]
    fn much_that_nobody_waits_for_is_taken_at_once() {
        let queue = Queue::new(8);
        for item in 0..5 {
            poll_once(std::pin::pin!(queue.put(1, item, Urgency::Soon)))
                .unwrap()
                .unwrap();
        }
        assert!(queue.line.lock().is_due(8));
        assert_eq!(queue.take(&mut Vec::new()), Some(5));
        assert!(!queue.line.lock().is_due(8));
    }
}

//! A bounded queue between many tasks and one thread that takes all there is at once.

use crate::fault::stopped;
use model::error::Fault;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Semaphore;

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
    closed: bool,
    /// The taker sleeps; only then must it be woken.
    idle: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(bound: u32) -> Self {
        Self {
            line: Mutex::new(Line {
                items: Vec::new(),
                closed: false,
                idle: false,
            }),
            filled: Condvar::new(),
            room: Semaphore::new(bound.max(1) as usize),
            bound: bound.max(1),
        }
    }

    /// Puts an item at the end; waits while there is no room.
    pub(crate) async fn push(&self, weight: u32, item: T) -> Result<(), Fault> {
        let weight = weight.clamp(1, self.bound);
        let room = self.room.acquire_many(weight).await;
        room.map_err(|_| stopped())?.forget();
        let wake = {
            let mut line = self.line.lock();
            if line.closed {
                return Err(stopped());
            }
            line.items.push((weight, item));
            line.idle
        };
        if wake {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Moves all items into `items`, which is empty; waits until there is one. Gives back the
    /// weight to `free` when they are done with, or `None` when the queue was closed and is empty.
    pub(crate) fn take(&self, items: &mut Vec<(u32, T)>) -> Option<u32> {
        let mut line = self.line.lock();
        while line.items.is_empty() {
            if line.closed {
                return None;
            }
            line.idle = true;
            self.filled.wait(&mut line);
            line.idle = false;
        }
        std::mem::swap(items, &mut line.items);
        Some(items.iter().map(|(weight, _)| weight).sum())
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
}

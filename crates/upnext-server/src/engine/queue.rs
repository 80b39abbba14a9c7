//! The queue of the compute threads, bounded by the number of sessions in it.
//!
//! Requests of visitors go before batches, of which one has a turn now and then. Batches, and the requests of one key, may fill
//! only a part of the queue.

use crate::{ServerConfig, locked};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// One of so many turns begins with a batch although visitors wait.
const BATCH_TURN: u64 = 8;

/// Who waits: a visitor for one list, or a program for many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// A request for one list.
    Visitor,
    /// A request for many.
    Batch,
}

/// A bounded queue of jobs, each with one or more sessions.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Condvar,
    /// Numbers of reserved sessions, queued or not.
    reserved: Arc<Mutex<Reserved>>,
    limits: Limits,
}

/// Maximum numbers of reserved sessions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    all: usize,
    batches: usize,
    owner: usize,
}

impl Limits {
    pub(super) fn of(config: &ServerConfig) -> Self {
        // A batch request of the maximum size can always be answered.
        let part =
            |share: f64| ((config.queue_sessions as f64 * share) as usize).max(config.max_batch_sessions);
        Self {
            all: config.queue_sessions,
            batches: part(config.batch_queue_share),
            owner: part(config.key_queue_share),
        }
    }
}

#[derive(Debug, Default)]
struct Reserved {
    all: usize,
    batches: usize,
    owners: HashMap<Arc<str>, usize>,
}

#[derive(Debug)]
struct Inner<T> {
    visitors: VecDeque<Queued<T>>,
    batches: VecDeque<Queued<T>>,
    turn: u64,
    closed: bool,
}

#[derive(Debug)]
struct Queued<T> {
    reservation: Reservation,
    since: Instant,
    job: T,
}

/// Room in the queue for `sessions` sessions, which is released when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    sessions: usize,
    class: Class,
    owner: Option<Arc<str>>,
    reserved: Arc<Mutex<Reserved>>,
}

impl Reservation {
    /// Splits off the reservation of up to `sessions` sessions; `self` keeps the rest.
    pub(super) fn split_off(&mut self, sessions: usize) -> Self {
        let taken = sessions.min(self.sessions);
        self.sessions -= taken;
        let owner = self.owner.clone();
        Self { sessions: taken, class: self.class, owner, reserved: Arc::clone(&self.reserved) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut reserved = locked(&self.reserved);
        reserved.all -= self.sessions;
        if self.class == Class::Batch {
            reserved.batches -= self.sessions;
        }
        if let Some(owner) = &self.owner
            && let Some(own) = reserved.owners.get_mut(owner)
        {
            *own -= self.sessions;
            if *own == 0 {
                reserved.owners.remove(owner);
            }
        }
    }
}

impl<T> Queue<T> {
    pub(super) fn new(limits: Limits) -> Self {
        let (visitors, batches) = (VecDeque::new(), VecDeque::new());
        let inner = Mutex::new(Inner { visitors, batches, turn: 0, closed: false });
        Self { inner, filled: Condvar::new(), reserved: Arc::default(), limits }
    }

    /// Number of sessions in the queue, reserved ones included.
    pub(super) fn waiting(&self) -> usize {
        locked(&self.reserved).all
    }

    /// Reserves room for `sessions` sessions; `None` if there is not enough. `owner` is the key that may have only a part of
    /// the queue.
    pub(super) fn reserve(
        &self,
        sessions: usize,
        class: Class,
        owner: Option<Arc<str>>,
    ) -> Option<Reservation> {
        let mut reserved = locked(&self.reserved);
        let (all, batches) = (reserved.all + sessions, reserved.batches + sessions);
        let own = owner.as_ref().map(|owner| reserved.owners.get(owner).unwrap_or(&0) + sessions);
        if all > self.limits.all
            || (class == Class::Batch && batches > self.limits.batches)
            || own.is_some_and(|own| own > self.limits.owner)
        {
            return None;
        }
        reserved.all = all;
        if class == Class::Batch {
            reserved.batches = batches;
        }
        if let (Some(owner), Some(own)) = (&owner, own) {
            reserved.owners.insert(Arc::clone(owner), own);
        }
        Some(Reservation { sessions, class, owner, reserved: Arc::clone(&self.reserved) })
    }

    /// Adds a job; after [`close`](Self::close), drops it.
    pub(super) fn push(&self, reservation: Reservation, job: T) {
        let mut inner = locked(&self.inner);
        if !inner.closed {
            let queued = Queued { since: Instant::now(), reservation, job };
            match queued.reservation.class {
                Class::Visitor => inner.visitors.push_back(queued),
                Class::Batch => inner.batches.push_back(queued),
            }
            drop(inner);
            self.filled.notify_one();
        }
    }

    /// Waits for jobs and removes the oldest ones, visitors first, with up to `sessions` sessions in total but at least one job;
    /// with the times at which they were added. `None` when the queue is closed and empty.
    pub(super) fn take(&self, sessions: usize) -> Option<Vec<(Instant, T)>> {
        let mut inner = locked(&self.inner);
        while inner.visitors.is_empty() && inner.batches.is_empty() {
            if inner.closed {
                return None;
            }
            inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let Inner { visitors, batches, turn, .. } = &mut *inner;
        *turn += 1;
        let queues = if turn.is_multiple_of(BATCH_TURN) { [batches, visitors] } else { [visitors, batches] };
        let (mut taken, mut jobs) = (0, Vec::new());
        for queue in queues {
            while let Some(Queued { reservation, .. }) = queue.front() {
                taken += reservation.sessions;
                if taken > sessions && !jobs.is_empty() {
                    return Some(jobs);
                }
                jobs.extend(queue.pop_front().map(|queued| (queued.since, queued.job)));
            }
        }
        Some(jobs)
    }

    /// Closes the queue: queued jobs can still be taken, and no more can be added.
    pub(super) fn close(&self) {
        locked(&self.inner).closed = true;
        self.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue<T>(all: usize, batches: usize, owner: usize) -> Queue<T> {
        Queue::new(Limits { all, batches, owner })
    }

    fn taken(queue: &Queue<u32>, sessions: usize) -> Option<Vec<u32>> {
        Some(queue.take(sessions)?.into_iter().map(|(_, job)| job).collect())
    }

    fn visitor<T>(queue: &Queue<T>, sessions: usize) -> Option<Reservation> {
        queue.reserve(sessions, Class::Visitor, None)
    }

    #[test]
    fn batches_are_full_and_in_order_and_larger_jobs_go_alone() {
        let queue = queue(100, 100, 100);
        for (job, sessions) in [(1, 1), (2, 1), (3, 2), (4, 7), (5, 1)] {
            queue.push(visitor(&queue, sessions).unwrap(), job);
        }
        assert_eq!(queue.waiting(), 12);
        assert_eq!(taken(&queue, 4), Some(vec![1, 2, 3]));
        assert_eq!(taken(&queue, 4), Some(vec![4]));
        assert_eq!(queue.waiting(), 1);
        queue.close();
        queue.push(visitor(&queue, 1).unwrap(), 6);
        assert_eq!(taken(&queue, 4), Some(vec![5]));
        assert_eq!(taken(&queue, 4), None);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn visitors_go_before_batches_which_have_a_turn_now_and_then() {
        let queue = queue(1_000, 1_000, 1_000);
        for job in 0..20 {
            queue.push(queue.reserve(1, Class::Batch, None).unwrap(), 100 + job);
            queue.push(visitor(&queue, 1).unwrap(), job);
        }
        let order: Vec<u32> = (0..20).map(|_| taken(&queue, 1).unwrap()[0]).collect();
        assert_eq!(order.iter().filter(|&&job| job >= 100).count(), 2, "{order:?}");
        assert_eq!(order[..8], [0, 1, 2, 3, 4, 5, 6, 100]);
        // A batch of the model is filled with both.
        assert_eq!(taken(&queue, 4), Some(vec![18, 19, 102, 103]));
    }

    #[test]
    fn a_full_queue_gives_no_place_until_one_is_given_back() {
        let queue = queue::<()>(3, 3, 3);
        let two = visitor(&queue, 2).unwrap();
        assert!(visitor(&queue, 2).is_none());
        let one = visitor(&queue, 1).unwrap();
        drop(two);
        assert!(visitor(&queue, 3).is_none());
        drop(one);
        let mut three = visitor(&queue, 3).unwrap();
        drop(three.split_off(2));
        assert_eq!(queue.waiting(), 1);
        drop(three);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn batches_and_one_key_fill_only_a_part_of_it() {
        let queue = queue::<()>(10, 5, 6);
        let owner = |name: &str| Some(Arc::from(name));
        let batch = queue.reserve(5, Class::Batch, owner("a")).unwrap();
        assert!(queue.reserve(1, Class::Batch, owner("b")).is_none());
        let one = queue.reserve(1, Class::Visitor, owner("a")).unwrap();
        assert!(queue.reserve(1, Class::Visitor, owner("a")).is_none());
        let others = queue.reserve(4, Class::Visitor, owner("b")).unwrap();
        drop((batch, one, others));
        let reserved = locked(&queue.reserved);
        assert_eq!((reserved.all, reserved.batches, reserved.owners.len()), (0, 0, 0));
    }
}

//! The queue of the compute threads, bounded by the number of sessions in it.

use crate::locked;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// A bounded queue of jobs, each with one or more sessions.
#[derive(Debug)]
pub(super) struct Queue<T> {
    inner: Mutex<Inner<T>>,
    filled: Condvar,
    /// Number of reserved sessions, queued or not.
    waiting: Arc<AtomicUsize>,
    limit: usize,
}

#[derive(Debug)]
struct Inner<T> {
    jobs: VecDeque<(Reservation, T)>,
    closed: bool,
}

/// Room in the queue for `sessions` sessions, which is released when it is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    sessions: usize,
    waiting: Arc<AtomicUsize>,
}

impl Reservation {
    /// Splits off the reservation of up to `sessions` sessions; `self` keeps the rest.
    pub(super) fn split_off(&mut self, sessions: usize) -> Self {
        let taken = sessions.min(self.sessions);
        self.sessions -= taken;
        Self { sessions: taken, waiting: Arc::clone(&self.waiting) }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.sessions, Ordering::Relaxed);
    }
}

impl<T> Queue<T> {
    pub(super) fn new(limit: usize) -> Self {
        let inner = Mutex::new(Inner { jobs: VecDeque::new(), closed: false });
        Self { inner, filled: Condvar::new(), waiting: Arc::new(AtomicUsize::new(0)), limit }
    }

    /// Number of sessions in the queue, reserved ones included.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Reserves room for `sessions` sessions; `None` if there is not enough.
    pub(super) fn reserve(&self, sessions: usize) -> Option<Reservation> {
        let more = |waiting: usize| Some(waiting + sessions).filter(|&sum| sum <= self.limit);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Reservation { sessions, waiting: Arc::clone(&self.waiting) })
    }

    /// Adds a job; after [`close`](Self::close), drops it.
    pub(super) fn push(&self, reservation: Reservation, job: T) {
        let mut inner = locked(&self.inner);
        if !inner.closed {
            inner.jobs.push_back((reservation, job));
            drop(inner);
            self.filled.notify_one();
        }
    }

    /// Waits for jobs and removes the oldest ones, with up to `sessions` sessions in total but at least one job; `None`
    /// when the queue is closed and empty.
    pub(super) fn take(&self, sessions: usize) -> Option<Vec<T>> {
        let mut inner = locked(&self.inner);
        while inner.jobs.is_empty() {
            if inner.closed {
                return None;
            }
            inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut taken, mut jobs) = (0, Vec::new());
        while let Some((reservation, _)) = inner.jobs.front() {
            taken += reservation.sessions;
            if taken > sessions && !jobs.is_empty() {
                break;
            }
            jobs.extend(inner.jobs.pop_front().map(|(_reservation, job)| job));
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

    #[test]
    fn batches_are_full_and_in_order_and_larger_jobs_go_alone() {
        let queue = Queue::new(100);
        for (job, sessions) in [(1, 1), (2, 1), (3, 2), (4, 7), (5, 1)] {
            queue.push(queue.reserve(sessions).unwrap(), job);
        }
        assert_eq!(queue.waiting(), 12);
        assert_eq!(queue.take(4), Some(vec![1, 2, 3]));
        assert_eq!(queue.take(4), Some(vec![4]));
        assert_eq!(queue.waiting(), 1);
        queue.close();
        queue.push(queue.reserve(1).unwrap(), 6);
        assert_eq!(queue.take(4), Some(vec![5]));
        assert_eq!(queue.take(4), None);
        assert_eq!(queue.waiting(), 0);
    }

    #[test]
    fn a_full_queue_gives_no_place_until_one_is_given_back() {
        let queue = Queue::<()>::new(3);
        let two = queue.reserve(2).unwrap();
        assert!(queue.reserve(2).is_none());
        let one = queue.reserve(1).unwrap();
        drop(two);
        assert!(queue.reserve(3).is_none());
        drop(one);
        let mut three = queue.reserve(3).unwrap();
        drop(three.split_off(2));
        assert_eq!(queue.waiting(), 1);
        drop(three);
        assert_eq!(queue.waiting(), 0);
    }
}

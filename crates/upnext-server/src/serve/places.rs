//! The places of connections: their number is limited, and those that are idle make room for others.

use crate::locked;
use crate::metrics::Metrics;
use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Minimum time without a request after which a connection may be told to leave: its next one, or the first, may be on its way. A
/// client that is told has as long to leave.
pub(super) const IDLE: Duration = Duration::from_secs(1);

/// The connections of a port.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    inner: Mutex<Inner>,
    /// Notified when a connection has ended or become idle.
    changed: Notify,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Inner {
    number: u64,
    open: HashMap<u64, Arc<Place>>,
}

/// The place of one connection.
#[derive(Debug)]
pub(super) struct Place {
    /// Number of requests that are being answered.
    requests: AtomicUsize,
    idle_since: Mutex<Instant>,
    /// Number of responses that are being sent, and when a part of one was taken last.
    sending: AtomicUsize,
    sent: Mutex<Instant>,
    /// Notified when the connection shall be closed in favour of another, and when that was.
    leave: Notify,
    told: Mutex<Option<Instant>>,
}

impl Place {
    /// How long no request has been answered; `None` while one is, or its response is sent.
    pub(super) fn idle_for(&self) -> Option<Duration> {
        self.idle_since().map(|since| since.elapsed())
    }

    fn idle_since(&self) -> Option<Instant> {
        (self.requests.load(Ordering::Acquire) == 0).then(|| *locked(&self.idle_since))
    }

    /// How long a client has taken no part of a response that waits for it; `None` if none does.
    pub(super) fn stuck_for(&self) -> Option<Duration> {
        (self.sending.load(Ordering::Acquire) > 0).then(|| locked(&self.sent).elapsed())
    }

    /// Waits until the connection shall be closed in favour of another.
    pub(super) async fn is_to_leave(&self) {
        self.leave.notified().await;
    }
}

/// A place that is taken until this is dropped, after a panic too.
#[derive(Debug)]
pub(super) struct Taken {
    places: Arc<Places>,
    number: u64,
    place: Arc<Place>,
}

impl Taken {
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Counts a request as being answered until the returned guard is dropped.
    pub(super) fn answering(&self) -> Answering {
        self.place.requests.fetch_add(1, Ordering::AcqRel);
        let (places, place) = (Arc::clone(&self.places), Arc::clone(&self.place));
        Answering { places, place, is_sending: AtomicBool::new(false) }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        locked(&self.places.inner).open.remove(&self.number);
        self.places.changed.notify_one();
    }
}

/// A request that is being answered.
#[derive(Debug)]
pub(super) struct Answering {
    places: Arc<Places>,
    place: Arc<Place>,
    is_sending: AtomicBool,
}

impl Answering {
    /// Says that a part of the response has been taken, or that the first one waits.
    pub(super) fn send(&self) {
        *locked(&self.place.sent) = Instant::now();
        if !self.is_sending.swap(true, Ordering::AcqRel) {
            self.place.sending.fetch_add(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        *locked(&self.place.idle_since) = Instant::now();
        if self.is_sending.load(Ordering::Acquire) {
            self.place.sending.fetch_sub(1, Ordering::AcqRel);
        }
        if self.place.requests.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.places.changed.notify_one();
        }
    }
}

impl Places {
    pub(super) fn new(most: usize, metrics: &Arc<Metrics>) -> Arc<Self> {
        let metrics = Arc::clone(metrics);
        Arc::new(Self { most, inner: Mutex::default(), changed: Notify::new(), metrics })
    }

    /// Takes a place. If there is none, the connection that has been idle for longest is told to leave; if none is idle, this
    /// waits for one. Called by one task only.
    pub(super) async fn take(self: &Arc<Self>) -> Taken {
        loop {
            let mut changed = pin!(self.changed.notified());
            // What has changed before is seen below, and must not be taken for the end of the one that is told to leave.
            if changed.as_mut().enable() {
                continue;
            }
            if let Some(taken) = self.try_take() {
                return taken;
            }
            // In the meantime, others become idle, or have been for long enough.
            _ = tokio::time::timeout(self.tell_idlest(), changed).await;
        }
    }

    /// Waits until all connections have ended.
    pub(super) async fn all_left(&self) {
        while !locked(&self.inner).open.is_empty() {
            self.changed.notified().await;
        }
    }

    fn try_take(self: &Arc<Self>) -> Option<Taken> {
        let mut inner = locked(&self.inner);
        if inner.open.len() >= self.most {
            return None;
        }
        inner.number += 1;
        let place = Arc::new(Place {
            requests: AtomicUsize::new(0),
            idle_since: Mutex::new(Instant::now()),
            sending: AtomicUsize::new(0),
            sent: Mutex::new(Instant::now()),
            leave: Notify::new(),
            told: Mutex::new(None),
        });
        let number = inner.number;
        inner.open.insert(number, Arc::clone(&place));
        Some(Taken { places: Arc::clone(self), number, place })
    }

    /// Tells the connection that has been idle for longest to leave, if that is [`IDLE`] or more, and no other has been told for as
    /// long. Returns the time until the next one may be told.
    fn tell_idlest(&self) -> Duration {
        let inner = locked(&self.inner);
        let leaving = inner.open.values().filter_map(|place| *locked(&place.told)).map(|told| told.elapsed());
        if let Some(latest) = leaving.min().filter(|latest| *latest < IDLE) {
            return IDLE - latest;
        }
        let idle = inner.open.values().filter(|place| locked(&place.told).is_none());
        let idlest =
            idle.filter_map(|place| Some((place.idle_since()?, place))).min_by_key(|(since, _)| *since);
        let Some((since, place)) = idlest else { return IDLE };
        let idle = since.elapsed();
        if idle < IDLE {
            return IDLE - idle;
        }
        *locked(&place.told) = Some(Instant::now());
        self.metrics.displaced();
        place.leave.notify_one();
        IDLE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_connection_that_has_been_idle_for_longest_makes_room() {
        let places = Places::new(3, &Arc::new(Metrics::new()));
        let (first, second, third) = (places.take().await, places.take().await, places.take().await);
        let answering = first.answering();
        drop(third.answering());
        let told = async |taken: &Taken| {
            tokio::time::timeout(Duration::from_millis(1), taken.place().is_to_leave()).await.is_ok()
        };
        let waiting = Arc::clone(&places);
        let waiting = tokio::spawn(async move { waiting.take().await });
        second.place().is_to_leave().await;
        assert!(!told(&first).await && !told(&third).await && !waiting.is_finished());
        drop(second);
        let fourth = waiting.await.unwrap();
        // Of those that are left, one answers a request, and the third has been idle for longer than the fourth.
        let waiting = Arc::clone(&places);
        let waiting = tokio::spawn(async move { waiting.take().await });
        third.place().is_to_leave().await;
        drop((third, fourth, answering));
        drop(waiting.await.unwrap());
        drop(first);
        places.all_left().await;
    }

    #[tokio::test]
    async fn a_place_is_given_back_when_a_request_is_done() {
        let places = Places::new(1, &Arc::new(Metrics::new()));
        let taken = places.take().await;
        let answering = taken.answering();
        assert_eq!(taken.place().idle_for(), None);
        let waiting = Arc::clone(&places);
        let waiting = tokio::spawn(async move { waiting.take().await });
        tokio::task::yield_now().await;
        drop(answering);
        taken.place().is_to_leave().await;
        drop(taken);
        waiting.await.unwrap();
    }
}

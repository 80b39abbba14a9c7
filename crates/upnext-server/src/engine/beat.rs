//! What a compute thread is doing, for the check of readiness.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time at which a thread has begun what it computes.
#[derive(Debug, Default)]
pub(super) struct Beat {
    /// Milliseconds after the first beat of the process, plus one; 0: the thread waits.
    began: AtomicU64,
}

/// A thread that computes, until this is dropped.
pub(super) struct Busy<'b>(&'b Beat);

fn now_ms() -> u64 {
    static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGAN.elapsed().as_millis() as u64
}

impl Beat {
    pub(super) fn begin(&self) -> Busy<'_> {
        self.began.store(now_ms() + 1, Ordering::Relaxed);
        Busy(self)
    }

    /// How long the thread has been computing; `None` while it waits.
    pub(super) fn busy_for(&self) -> Option<Duration> {
        let began = self.began.load(Ordering::Relaxed).checked_sub(1)?;
        Some(Duration::from_millis(now_ms().saturating_sub(began)))
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.began.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_busy_from_the_beginning_to_the_end() {
        let beat = Beat::default();
        assert_eq!(beat.busy_for(), None);
        let busy = beat.begin();
        assert!(beat.busy_for().is_some());
        drop(busy);
        assert_eq!(beat.busy_for(), None);
    }
}

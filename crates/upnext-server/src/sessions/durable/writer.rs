//! The thread that writes the log of changes.

use super::{Inner, Shared};
use crate::locked;
use crate::sessions::journal::Journal;
use crate::threads;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Time after which a write, or a snapshot, that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);
const SNAPSHOT_RETRY: Duration = Duration::from_secs(30);

impl Shared {
    /// The loop of the writing thread.
    pub(super) fn write(self: &Arc<Self>, mut journal: Journal) {
        let _ended = WriterEnded(self);
        let (mut retry_at, mut snapshot_at) = (None::<Instant>, None::<Instant>);
        let mut snapshots: Option<JoinHandle<()>> = None;
        loop {
            let (lines, changes, last, waiting, closed, may_snap, has_gap) = {
                let mut inner = self.wait(&journal, retry_at);
                let may_snap = inner.loading.is_none() && !inner.unread;
                (
                    std::mem::take(&mut inner.pending),
                    std::mem::take(&mut inner.changes),
                    inner.seq,
                    std::mem::take(&mut inner.waiting),
                    inner.closed,
                    may_snap,
                    inner.has_gap,
                )
            };
            #[cfg(test)]
            journal.fill(self.full.load(Ordering::Relaxed));
            let written = if lines.is_empty() { Ok(()) } else { journal.append(&lines) };
            match written {
                Ok(()) => {
                    locked(&self.inner).written = last;
                    if retry_at.take().is_some() && locked(&self.inner).fault.take().is_some() {
                        tracing::info!(path = %self.files.snapshot().display(), changes, "the session file is written again");
                    }
                    waiting.into_iter().for_each(|waiter| _ = waiter.send(Ok(())));
                }
                Err(error) => {
                    retry_at = Some(Instant::now() + RETRY);
                    self.put_back(lines, changes, waiting, &error);
                }
            }
            let is_due = journal.sync_in().is_some_and(|left| left.is_zero());
            if (is_due || closed)
                && let Err(error) = journal.sync()
            {
                tracing::error!(path = %self.files.snapshot().display(), %error, "the session file cannot be forced to the disk");
                locked(&self.inner).has_gap = true;
            }
            if closed {
                if let Some(thread) = snapshots {
                    threads::join(thread, "the thread that makes a snapshot of sessions");
                }
                return self.count_lost();
            }
            if self.snapped.swap(false, Ordering::Relaxed) {
                journal.snapshot_taken();
            }
            let is_wanted = has_gap || journal.has_outgrown(self.snapshot.load(Ordering::Relaxed));
            let is_time = retry_at.is_none() && snapshot_at.is_none_or(|at| at <= Instant::now());
            #[cfg(test)]
            let (is_wanted, is_time) =
                if self.wanted.swap(false, Ordering::Relaxed) { (true, true) } else { (is_wanted, is_time) };
            if may_snap && is_wanted && is_time && !self.snapping.load(Ordering::Relaxed) {
                snapshot_at = Some(Instant::now() + SNAPSHOT_RETRY);
                if let Some(thread) = snapshots.take() {
                    threads::join(thread, "the thread that makes a snapshot of sessions");
                }
                snapshots = self.begin_snapshot(&mut journal);
            }
        }
    }

    /// Waits until there is something to write, to force to the disk or to try again, or the store is closed.
    fn wait(&self, journal: &Journal, retry_at: Option<Instant>) -> MutexGuard<'_, Inner> {
        let mut inner = locked(&self.inner);
        loop {
            let retry_in = retry_at.map(|at| at.saturating_duration_since(Instant::now()));
            let is_ready = if let Some(left) = retry_in { left.is_zero() } else { !inner.pending.is_empty() };
            // A gap is closed by a snapshot, which is tried now and then although no event comes.
            let snapshot_in = inner.has_gap.then_some(RETRY);
            let sync_in = journal.sync_in();
            if inner.closed || is_ready || sync_in.is_some_and(|left| left.is_zero()) {
                return inner;
            }
            let waits = [retry_in, snapshot_in, sync_in];
            match waits.into_iter().flatten().min() {
                None => inner = self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    let waited = self.filled.wait_timeout(inner, left);
                    let (guard, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
                    inner = guard;
                    if timed_out.timed_out() && inner.has_gap {
                        return inner;
                    }
                }
            }
        }
    }

    /// Puts lines that could not be written before those that have come since.
    fn put_back(
        &self,
        mut lines: Vec<u8>,
        changes: u64,
        waiting: Vec<oneshot::Sender<Result<(), String>>>,
        error: &io::Error,
    ) {
        let path = self.files.snapshot().display();
        let reason = format!("{path}: {error}");
        let mut inner = locked(&self.inner);
        lines.extend_from_slice(&inner.pending);
        inner.pending = lines;
        inner.changes += changes;
        let is_new = inner.fault.replace(reason.clone()).is_none();
        let later = std::mem::take(&mut inner.waiting);
        drop(inner);
        if is_new {
            tracing::error!(%path, %error, "the session file cannot be written: events are kept in memory until it can");
        }
        for waiter in waiting.into_iter().chain(later) {
            // Fails if the client has gone away, which is no error.
            _ = waiter.send(Err(reason.clone()));
        }
    }

    /// Counts what the files lack at the end.
    fn count_lost(&self) {
        let mut inner = locked(&self.inner);
        inner.lost = if inner.has_gap { inner.changes.max(1) } else { inner.changes };
        if inner.lost > 0 {
            tracing::error!(
                path = %self.files.snapshot().display(),
                changes = inner.lost,
                "the session file lacks the latest changes: they are lost"
            );
        }
    }
}

/// Closes the store and wakes all waiting requests when the writing thread ends, after a panic too.
struct WriterEnded<'s>(&'s Shared);

impl Drop for WriterEnded<'_> {
    fn drop(&mut self) {
        let mut inner = locked(&self.0.inner);
        inner.closed = true;
        inner.waiting.clear();
    }
}

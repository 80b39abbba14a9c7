//! A store in memory with files, from which sessions are restored after a restart or a kill.
//!
//! One thread writes the log. Events that arrive during a write are written together in the next one, so that a slow disk
//! leads to larger writes and not to a queue of small ones. An event is acknowledged after it was written. While the disk
//! takes nothing, events are answered from memory, and are written when it does again.
//!
//! A second thread reads the sessions of before while the server answers already: changes in the meantime are repeated on
//! what it has read. A third one makes a snapshot now and then, some sessions at a time, so that no event waits for it.

mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use super::clock::Now;
use super::files::{self, Files};
use super::journal::Journal;
use super::record::Record;
use super::table::Table;
use super::{
    Appended, Event, Exported, Moved, Outcome, Removal, Session, SessionStore, StoreError, StoreFuture,
    StoreState, Unstored,
};
use crate::{Error, ServerConfig, exclusive, locked, threads};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Maximum size of the lines that wait to be written, in bytes: some hundred thousand events. Beyond it they are given up
/// for a snapshot of all sessions, which is made as soon as the disk takes it.
const MOST_PENDING: usize = 64 << 20;

/// Size of the lines that are repeated on the sessions that were read while the table is locked.
const LAST_LINES: usize = 64 << 10;

/// A store in memory and in files.
#[derive(Debug)]
pub(super) struct DurableStore {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// Maximum time that an event waits for the disk.
    timeout: Duration,
    /// Locked while the store is open, so that no second server writes the same files.
    _lock: File,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    filled: Condvar,
    files: Files,
    run: u64,
    closing: AtomicBool,
    /// Whether a snapshot is being made.
    snapping: AtomicBool,
    /// Whether one was made that the writing thread does not know of yet.
    snapped: AtomicBool,
    /// Size of the last snapshot in bytes.
    snapshot: AtomicU64,
    /// Whether tests have the disk full, and want a snapshot.
    #[cfg(test)]
    full: AtomicBool,
    #[cfg(test)]
    wanted: AtomicBool,
}

#[derive(Debug)]
struct Inner {
    table: Table,
    /// The number of the last change, and of the last one that is written.
    seq: u64,
    written: u64,
    /// Lines of changes that are in the table and not yet in the log, in the order of the changes, and their number.
    pending: Vec<u8>,
    changes: u64,
    /// The requests that wait for these lines to be written.
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    /// The lines of all changes so far, while the sessions of before are being read.
    loading: Option<Vec<u8>>,
    /// Why changes are not written.
    fault: Option<String>,
    /// Whether the logs lack changes, so that only a snapshot has all.
    has_gap: bool,
    /// Whether no snapshot may be made: what it would replace could not be read.
    unread: bool,
    closed: bool,
    lost: u64,
}

impl DurableStore {
    /// Opens the files, which are created by the first event if there are none, and begins to read their sessions.
    ///
    /// # Errors
    /// For a path that cannot be written for another reason than a full disk, another file at this path, and
    /// [`Error::Taken`].
    pub(super) fn open(path: &Path, config: &ServerConfig) -> Result<Self, Error> {
        let lock = exclusive::lock(&path.with_added_extension("lock"))?;
        let files = Files::new(path);
        files.check()?;
        let logs = files.logs()?;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
        let run = RandomState::new().hash_one(std::process::id());
        let last = logs.last().copied().unwrap_or(0);
        let mut journal = Journal::new(files.clone(), last, config.session_sync, run);
        journal.count(logs.len() as u64, logs.iter().map(|&log| size(&files.log(log))).sum());
        let snapshot = AtomicU64::new(size(files.snapshot()));
        let end = last + 1;
        let inner = Inner {
            table: Table::new(config),
            // Those of each process are above those of the ones before.
            seq: end << 40,
            written: end << 40,
            pending: Vec::new(),
            changes: 0,
            waiting: Vec::new(),
            loading: Some(Vec::new()),
            fault: None,
            has_gap: false,
            unread: false,
            closed: false,
            lost: 0,
        };
        let shared = Arc::new(Shared {
            inner: Mutex::new(inner),
            filled: Condvar::new(),
            files,
            run,
            closing: AtomicBool::new(false),
            snapping: AtomicBool::new(false),
            snapped: AtomicBool::new(false),
            snapshot,
            #[cfg(test)]
            full: AtomicBool::new(false),
            #[cfg(test)]
            wanted: AtomicBool::new(false),
        });
        let store = Self {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
            timeout: Duration::from_millis(config.session_store_timeout_ms),
            _lock: lock,
        };
        let (reading, config) = (Arc::clone(&shared), config.clone());
        let reader = threads::start("sessions-read", "start the thread that reads sessions", move || {
            reading.read(end, &config);
        })?;
        locked(&store.threads).push(reader);
        let action = "start the thread that writes sessions";
        let writer = threads::start("sessions", action, move || shared.write(journal))?;
        locked(&store.threads).push(writer);
        Ok(store)
    }

    /// Waits for a change to be written; the reason if it is not.
    async fn written(&self, changed: Result<Written, String>) -> Result<(), String> {
        self.shared.filled.notify_one();
        match timeout(self.timeout, changed?).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) => Err("the thread that writes sessions has ended".to_owned()),
            Err(_) => Err("the disk has not answered in time".to_owned()),
        }
    }
}

/// The outcome of a write.
type Written = oneshot::Receiver<Result<(), String>>;

impl Inner {
    /// Adds the line of a change, whose writing can be waited for; the reason if it is not written soon.
    fn change(&mut self, record: &Record) -> Result<Written, String> {
        if self.pending.len() > MOST_PENDING {
            (self.pending, self.has_gap) = (Vec::new(), true);
            let reason = "the disk does not take what is to be written";
            self.waiting.drain(..).for_each(|waiter| _ = waiter.send(Err(reason.to_owned())));
        }
        let before = self.pending.len();
        if let Err(error) = record.write(&mut self.pending) {
            self.pending.truncate(before);
            return Err(error.to_string());
        }
        self.changes += 1;
        if let Some(lines) = &mut self.loading {
            lines.extend_from_slice(&self.pending[before..]);
        }
        if self.closed {
            return Err("the server has stopped".to_owned());
        }
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.push(sender);
        Ok(receiver)
    }
}

impl SessionStore for DurableStore {
    fn append<'s>(&'s self, id: &'s str, event: Event) -> StoreFuture<'s, Appended> {
        Box::pin(async move {
            let (session, outcome, changed) = {
                let mut inner = locked(&self.shared.inner);
                let now = Now::read();
                inner.seq += 1;
                let seq = inner.seq;
                let (session, outcome) = inner.table.append(id, &event, now, seq);
                if outcome != Outcome::Added {
                    // The event was written when it came first, or waits with the others.
                    let is_written = inner.table.seq(id) <= inner.written;
                    let unstored = (!is_written).then(|| {
                        let waits = || "the disk has not taken it yet".to_owned();
                        Unstored::Pending(inner.fault.clone().unwrap_or_else(waits))
                    });
                    return Appended { session, outcome, unstored };
                }
                // While sessions are being read, it is not known which number the event has.
                let number = if inner.loading.is_some() { 0 } else { session.events };
                let Now { wall_ms: ms, steady_ms } = now;
                let (id, item) = (id.into(), (&*event.item).into());
                let key = event.key.as_ref().map(|(key, what)| ((&**key).into(), (&**what).into()));
                let (steady_ms, other) = (Some(steady_ms), !event.is_click);
                let record = Record::Event { id, item, ms, steady_ms, seq, number, other, key };
                (session, outcome, inner.change(&record))
            };
            let written = self.written(changed).await;
            Appended { session, outcome, unstored: written.err().map(Unstored::Pending) }
        })
    }

    fn get<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Result<Option<Session>, StoreError>> {
        Box::pin(async move {
            let mut inner = locked(&self.shared.inner);
            if inner.loading.is_some() {
                Err(StoreError::Loading)
            } else {
                Ok(inner.table.get(id, Now::read()))
            }
        })
    }

    fn remove<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Result<Removal, StoreError>> {
        Box::pin(async move {
            let changed = {
                let mut inner = locked(&self.shared.inner);
                let now = Now::read();
                // While sessions are being read, there may be one that is not in the table yet.
                if !inner.table.remove(id, now) && inner.loading.is_none() {
                    return Ok(Removal::Absent);
                }
                inner.seq += 1;
                let seq = inner.seq;
                inner.change(&Record::Removed { id: id.into(), ms: now.wall_ms, seq })
            };
            Ok(self.written(changed).await.map_or_else(Removal::Pending, |()| Removal::Done))
        })
    }

    fn export(&self, cursor: Option<u64>) -> StoreFuture<'_, Result<Exported, StoreError>> {
        Box::pin(async move {
            let mut inner = locked(&self.shared.inner);
            if inner.loading.is_some() {
                return Err(StoreError::Loading);
            }
            Ok(inner.table.export(cursor, Now::read()))
        })
    }

    fn import(&self, sessions: Vec<Moved>) -> StoreFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move {
            let (mut taken, mut last) = (0, None);
            for moved in sessions {
                let mut inner = locked(&self.shared.inner);
                if inner.loading.is_some() {
                    return Err(StoreError::Loading);
                }
                inner.seq += 1;
                let seq = inner.seq;
                if let Some(kept) = inner.table.import(moved, Now::read(), seq) {
                    taken += 1;
                    last = Some(inner.change(&Record::from(&kept)));
                }
            }
            // What is written last is written after the others.
            if let Some(changed) = last {
                self.written(changed).await.map_err(StoreError::Unconfirmed)?;
            }
            Ok(taken)
        })
    }

    fn count(&self) -> Option<usize> {
        Some(locked(&self.shared.inner).table.len(Now::read()))
    }

    fn state(&self) -> StoreState {
        let inner = locked(&self.shared.inner);
        let fault = inner.fault.clone();
        let gap =
            || inner.has_gap.then(|| "the session file lacks changes until the next snapshot".to_owned());
        let unread = || inner.unread.then(|| "the session file could not be read".to_owned());
        StoreState {
            fault: fault.or_else(gap).or_else(unread),
            pending: inner.changes,
            loading: inner.loading.is_some(),
            ended: inner.table.ended(),
        }
    }

    fn close(&self) -> u64 {
        self.shared.closing.store(true, Ordering::Relaxed);
        locked(&self.shared.inner).closed = true;
        self.shared.filled.notify_all();
        for thread in locked(&self.threads).drain(..) {
            threads::join(thread, "a thread of stored sessions");
        }
        locked(&self.shared.inner).lost
    }
}

impl Drop for DurableStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// Reads the sessions of before, and puts them into the table together with the changes in the meantime.
    fn read(&self, end: u64, config: &ServerConfig) {
        let began = Instant::now();
        let mut table = match files::read(&self.files, end, self.run, config, &self.closing) {
            Ok(table) => table,
            Err(upnext_core::Error::Stopped) => return,
            Err(error) => {
                tracing::error!(%error, "the sessions of before cannot be read: the files are left as they are");
                let mut inner = locked(&self.inner);
                (inner.loading, inner.unread) = (None, true);
                return;
            }
        };
        loop {
            let mut inner = locked(&self.inner);
            let Some(lines) = inner.loading.as_mut().map(std::mem::take) else { return };
            // The last ones under the lock, so that nothing comes after them.
            let is_last = lines.len() <= LAST_LINES;
            if is_last {
                inner.loading = None;
            }
            let inner = is_last.then_some(inner);
            for line in lines.split_inclusive(|&byte| byte == b'\n') {
                if let Some(record) = Record::read(line) {
                    record.replay(&mut table);
                }
            }
            if let Some(mut inner) = inner {
                let sessions = table.len(Now::read());
                let before = std::mem::replace(&mut inner.table, table);
                drop(inner);
                drop(before);
                self.filled.notify_all();
                let seconds = began.elapsed().as_secs_f64();
                tracing::info!(sessions, seconds, "the sessions of before are restored");
                return;
            }
        }
    }
}

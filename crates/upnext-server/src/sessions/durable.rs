//! A store in memory with a file, from which sessions are restored after a restart or a kill.
//!
//! One thread writes the file. Events that arrive during a write are written together in the next one, so that a slow
//! disk leads to larger writes and not to a queue of small ones. An event is acknowledged after it was written.

use super::log::{self, Log, Record};
use super::table::Table;
use super::{Session, SessionStore, StoreError, StoreFuture, now_ms};
use crate::{Error, ServerConfig, exclusive, locked, threads};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Maximum size of the lines that wait to be written, in bytes: some hundred thousand events.
const MOST_PENDING: usize = 64 << 20;

/// A store in memory and in a file.
#[derive(Debug)]
pub(super) struct DurableStore {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
    /// Locked while the store is open, so that no second server writes the same file.
    _lock: File,
}

#[derive(Debug)]
struct Shared {
    inner: Mutex<Inner>,
    filled: Condvar,
}

#[derive(Debug)]
struct Inner {
    table: Table,
    /// Lines of changes that are in the table and not yet in the file, in the order of the changes.
    pending: Vec<u8>,
    /// The requests that wait for these lines to be written.
    waiting: Vec<oneshot::Sender<Result<(), String>>>,
    closed: bool,
}

impl DurableStore {
    /// Opens the file and restores its sessions; the file is created if it does not exist.
    pub(super) fn open(path: &Path, config: &ServerConfig) -> Result<Self, Error> {
        let lock = exclusive::lock(&path.with_added_extension("lock"))?;
        let mut table = log::read(path, config)?;
        table.len(now_ms());
        let log = Log::create(path, &all(&table), config.session_sync)?;
        Self::start(table, log, lock)
    }

    fn start(table: Table, log: Log, lock: File) -> Result<Self, Error> {
        let inner = Inner { table, pending: Vec::new(), waiting: Vec::new(), closed: false };
        let shared = Arc::new(Shared { inner: Mutex::new(inner), filled: Condvar::new() });
        let writing = Arc::clone(&shared);
        let action = "start the thread that writes sessions";
        let writer = threads::start("sessions", action, move || writing.write(log))?;
        Ok(Self { shared, writer: Mutex::new(Some(writer)), _lock: lock })
    }

    /// Applies `change` to the table and waits until its lines are written; `None` if it changed nothing.
    ///
    /// The inner result says whether the write succeeded. A change that could not be written stays in the table, and is
    /// written with the next one.
    async fn change<T>(
        &self,
        change: impl FnOnce(&mut Table, &mut Vec<u8>) -> std::io::Result<Option<T>>,
    ) -> Result<Option<(T, Result<(), String>)>, StoreError> {
        let (sender, written) = oneshot::channel();
        let changed = {
            let mut inner = locked(&self.shared.inner);
            inner.check()?;
            let Inner { table, pending, waiting, .. } = &mut *inner;
            let Some(changed) =
                change(table, pending).map_err(|error| StoreError::Failed(error.to_string()))?
            else {
                return Ok(None);
            };
            waiting.push(sender);
            changed
        };
        self.shared.filled.notify_one();
        let ended = |_| Err("the thread that writes sessions has ended".to_owned());
        Ok(Some((changed, written.await.unwrap_or_else(ended))))
    }
}

impl Inner {
    /// Fails if the writing thread has ended or too much is pending: memory must not grow while a disk hangs.
    fn check(&self) -> Result<(), StoreError> {
        if self.closed {
            return Err(StoreError::Failed("the thread that writes sessions has ended".to_owned()));
        }
        if self.pending.len() > MOST_PENDING {
            return Err(StoreError::Failed("the disk does not take what is to be written".to_owned()));
        }
        Ok(())
    }
}

impl SessionStore for DurableStore {
    fn append<'s>(&'s self, id: &'s str, item: Arc<str>) -> StoreFuture<'s, Session> {
        Box::pin(async move {
            let appended = self.change(|table, lines| {
                let ms = now_ms();
                Record::Event { id: id.into(), item: (&*item).into(), ms }.write(lines)?;
                Ok(Some(table.append(id, Arc::clone(&item), ms)))
            });
            match appended.await? {
                Some((session, Ok(()))) => Ok(session),
                Some((session, Err(reason))) => Err(StoreError::NotPersisted(reason, session)),
                None => Err(StoreError::Failed("an event left no session".to_owned())),
            }
        })
    }

    fn get<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Option<Session>> {
        Box::pin(async move { Ok(locked(&self.shared.inner).table.get(id, now_ms())) })
    }

    fn remove<'s>(&'s self, id: &'s str) -> StoreFuture<'s, bool> {
        Box::pin(async move {
            let removed = self.change(|table, lines| {
                let ms = now_ms();
                if !table.remove(id, ms) {
                    return Ok(None);
                }
                Record::Removed { id: id.into(), ms }.write(lines)?;
                Ok(Some(()))
            });
            match removed.await? {
                Some(((), written)) => written.map(|()| true).map_err(StoreError::Unconfirmed),
                None => Ok(false),
            }
        })
    }

    fn count(&self) -> Option<usize> {
        Some(locked(&self.shared.inner).table.len(now_ms()))
    }

    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { locked(&self.shared.inner).check() })
    }

    /// Writes pending lines and ends the thread.
    fn close(&self) {
        locked(&self.shared.inner).closed = true;
        self.shared.filled.notify_one();
        if let Some(writer) = locked(&self.writer).take() {
            threads::join(writer, "the thread that writes sessions");
        }
    }
}

impl Drop for DurableStore {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    /// The loop of the writing thread.
    fn write(&self, mut log: Log) {
        let _ended = Ended(self);
        loop {
            let mut inner = locked(&self.inner);
            while inner.pending.is_empty() && !inner.closed {
                inner = match log.sync_in() {
                    None => self.filled.wait(inner).unwrap_or_else(PoisonError::into_inner),
                    Some(left) if left.is_zero() => break,
                    Some(left) => {
                        self.filled.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                    }
                };
            }
            if inner.pending.is_empty() {
                let closed = inner.closed;
                // After a failed write, the file is replaced once more to add what it lacks.
                let sessions = (closed && log.is_broken()).then(|| all(&inner.table));
                drop(inner);
                let replaced = sessions.map_or(Ok(()), |sessions| log.replace(&sessions));
                if let Err(error) = replaced {
                    tracing::error!(%error, "the session file lacks the latest events");
                }
                log.sync();
                if closed {
                    return;
                }
                continue;
            }
            let lines = std::mem::take(&mut inner.pending);
            let waiting = std::mem::take(&mut inner.waiting);
            // Read under the same lock, so that it includes the changes of `lines`.
            let sessions = log.wants_compaction().then(|| all(&inner.table));
            drop(inner);
            let outcome = match sessions {
                Some(sessions) => log.replace(&sessions),
                None => log.append(&lines),
            };
            let outcome = outcome.map_err(|error| error.to_string());
            for waiter in waiting {
                // Fails if the client has gone away, which is no error.
                _ = waiter.send(outcome.clone());
            }
            if log.sync_in().is_some_and(|left| left.is_zero()) {
                log.sync();
            }
        }
    }
}

/// Closes the store and wakes all waiting requests when the writing thread ends, after a panic too.
struct Ended<'s>(&'s Shared);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        let mut inner = locked(&self.0.inner);
        inner.closed = true;
        inner.waiting.clear();
    }
}

/// All sessions of a table, the longest idle one first.
fn all(table: &Table) -> Vec<(Arc<str>, Session)> {
    table.by_idleness().map(|(id, session)| (Arc::from(id), session)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn temporary_path() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sessions");
        (dir, path)
    }

    /// A store whose next write fails.
    fn broken(path: &Path, config: &ServerConfig) -> DurableStore {
        let mut log = Log::create(path, &[], config.session_sync).unwrap();
        log.break_file();
        let lock = exclusive::lock(&path.with_added_extension("lock")).unwrap();
        DurableStore::start(Table::new(config), log, lock).unwrap()
    }

    #[tokio::test]
    async fn an_event_whose_write_failed_is_said_to_be_kept_and_is_written_with_the_next() {
        let config = ServerConfig::default();
        let (_dir, path) = temporary_path();
        let store = broken(&path, &config);
        let error = store.append("v1", "tea".into()).await.unwrap_err();
        assert!(matches!(&error, StoreError::NotPersisted(_, session) if session.events == 1), "{error}");
        let items = |session: Session| session.items.concat();
        assert_eq!(store.get("v1").await.unwrap().map(items), Some("tea".to_owned()));
        assert_eq!(store.append("v1", "cup".into()).await.unwrap().events, 2);
        // As after a kill at this moment.
        let mut found = log::read(&path, &config).unwrap();
        assert_eq!(found.get("v1", now_ms()).map(items), Some("teacup".to_owned()));
    }

    #[tokio::test]
    async fn an_event_whose_write_failed_is_written_at_the_end_and_nothing_is_taken_afterwards() {
        let config = ServerConfig::default();
        let (_dir, path) = temporary_path();
        let store = broken(&path, &config);
        store.append("v1", "tea".into()).await.unwrap_err();
        store.ready().await.unwrap();
        store.close();
        assert_eq!(log::read(&path, &config).unwrap().get("v1", now_ms()).unwrap().events, 1);
        store.ready().await.unwrap_err();
        assert!(matches!(store.append("v1", "cup".into()).await, Err(StoreError::Failed(_))));
        assert_eq!(store.get("v1").await.unwrap().unwrap().events, 1);
    }
}

//! Storage of ongoing sessions: their item ids and no hidden states, so that the model can be replaced at any time.
//!
//! [`SessionStore`] is implemented in memory, in memory with a file, and by a Valkey or Redis server that several
//! servers share.

mod durable;
mod log;
mod store_url;
mod table;
mod valkey;

use crate::{Error, ServerConfig, locked};
use durable::DurableStore;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};
use table::Table;
use valkey::ValkeyStore;

pub use store_url::StoreUrl;

/// A stored session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// The latest item ids, oldest first.
    pub(crate) items: Vec<Arc<str>>,
    /// Number of events, including those that are no longer stored.
    pub(crate) events: u64,
    /// Time of the first event, in milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// Time of the latest event, in milliseconds since 1970.
    pub(crate) last_event_ms: u64,
}

/// An error of a store, with the reason for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The operation was refused, or the store was not reached.
    #[error("{0}")]
    Failed(String),
    /// The store did not answer in time, and may have executed the operation or not.
    #[error("{0}")]
    Unconfirmed(String),
    /// The event was added to the session, but could not be written to the disk.
    #[error("{0}")]
    NotPersisted(String, Session),
}

/// The future that an operation of a store returns.
pub(crate) type StoreFuture<'s, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 's>>;

/// A store of sessions. Ids are opaque; the caller checks their lengths.
pub(crate) trait SessionStore: Debug + Send + Sync {
    /// Adds an event and returns the session, which is created if it does not exist.
    ///
    /// When this returns, the event is as durable as the store guarantees.
    fn append<'s>(&'s self, id: &'s str, item: Arc<str>) -> StoreFuture<'s, Session>;

    /// The session with this id, if it has not expired.
    fn get<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Option<Session>>;

    /// Removes a session; `false` if there is none.
    fn remove<'s>(&'s self, id: &'s str) -> StoreFuture<'s, bool>;

    /// Number of sessions, if the store can count them.
    fn count(&self) -> Option<usize>;

    /// Finishes pending writes; no events are accepted afterwards.
    fn close(&self) {}

    /// Checks that the store can accept events.
    fn ready(&self) -> StoreFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A store in memory only.
///
/// A single lock keeps the limits exact. It is held for about a microsecond, a hundredth of a recommendation.
#[derive(Debug)]
pub(crate) struct MemoryStore(Mutex<Table>);

impl MemoryStore {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self(Mutex::new(Table::new(config)))
    }
}

impl SessionStore for MemoryStore {
    fn append<'s>(&'s self, id: &'s str, item: Arc<str>) -> StoreFuture<'s, Session> {
        Box::pin(async move { Ok(locked(&self.0).append(id, item, now_ms())) })
    }

    fn get<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Option<Session>> {
        Box::pin(async move { Ok(locked(&self.0).get(id, now_ms())) })
    }

    fn remove<'s>(&'s self, id: &'s str) -> StoreFuture<'s, bool> {
        Box::pin(async move { Ok(locked(&self.0).remove(id, now_ms())) })
    }

    fn count(&self) -> Option<usize> {
        Some(locked(&self.0).len(now_ms()))
    }
}

/// Opens the store that the configuration selects.
pub(crate) fn open(config: &ServerConfig) -> Result<Box<dyn SessionStore>, Error> {
    Ok(match (&config.session_store, &config.session_file) {
        (Some(url), _) => Box::new(ValkeyStore::new(url, config)?),
        (None, Some(path)) => Box::new(DurableStore::open(path, config)?),
        (None, None) => Box::new(MemoryStore::new(config)),
    })
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}

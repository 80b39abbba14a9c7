//! What is known of the sessions that go on? Their item ids, and no hidden state: a model can be swapped under them.
//!
//! [`SessionStore`] is small, so that several servers can share one store behind it.

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

/// A session as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Session {
    /// Its latest item ids, oldest first.
    pub(crate) items: Vec<Arc<str>>,
    /// Number of its events, those that are no longer kept counted in.
    pub(crate) events: u64,
    /// When the first came, in milliseconds since 1970.
    pub(crate) began_ms: u64,
    /// When the latest came.
    pub(crate) last_event_ms: u64,
}

/// What a store did not do, with the reason for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// It said so, or was not reached.
    #[error("{0}")]
    Failed(String),
    /// It was asked and gave no answer: it may have done it.
    #[error("{0}")]
    Silent(String),
    /// It has added an event, and cannot promise that it survives.
    #[error("{0}")]
    Kept(String, Session),
}

/// What a store promises for later.
pub(crate) type Later<'s, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 's>>;

/// Where sessions are kept. Ids are opaque; their bounds are the caller's to check.
pub(crate) trait SessionStore: Debug + Send + Sync {
    /// Adds an event, with which a session begins where there is none, and returns the session with it.
    ///
    /// The event is acknowledged when this returns: whatever the store promises to survive, it survives from then on.
    fn append<'s>(&'s self, id: &'s str, item: Arc<str>) -> Later<'s, Session>;

    /// The session with this id, if it is not over.
    fn get<'s>(&'s self, id: &'s str) -> Later<'s, Option<Session>>;

    /// Forgets a session; `false` if there is none.
    fn remove<'s>(&'s self, id: &'s str) -> Later<'s, bool>;

    /// Number of sessions, where that is known.
    fn count(&self) -> Option<usize>;

    /// Does at the end what is left to do; nothing is kept afterwards.
    fn close(&self) {}

    /// Whether sessions can be kept at the moment.
    fn ready(&self) -> Later<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// Sessions in memory only.
///
/// One lock: what it guards takes about a microsecond, a hundredth of a recommendation, and the limits are exact.
#[derive(Debug)]
pub(crate) struct MemoryStore(Mutex<Table>);

impl MemoryStore {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self(Mutex::new(Table::new(config)))
    }
}

impl SessionStore for MemoryStore {
    fn append<'s>(&'s self, id: &'s str, item: Arc<str>) -> Later<'s, Session> {
        Box::pin(async move { Ok(locked(&self.0).append(id, item, now_ms())) })
    }

    fn get<'s>(&'s self, id: &'s str) -> Later<'s, Option<Session>> {
        Box::pin(async move { Ok(locked(&self.0).get(id, now_ms())) })
    }

    fn remove<'s>(&'s self, id: &'s str) -> Later<'s, bool> {
        Box::pin(async move { Ok(locked(&self.0).remove(id, now_ms())) })
    }

    fn count(&self) -> Option<usize> {
        Some(locked(&self.0).len(now_ms()))
    }
}

/// The store that the configuration asks for.
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

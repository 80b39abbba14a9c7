//! Storage of ongoing sessions: their item ids and no hidden states, so that the model can be replaced at any time.
//!
//! [`SessionStore`] is implemented in memory, in memory with files, and by a Valkey or Redis server that several servers
//! share. No store keeps an event from being answered: where it cannot keep one, it says so, and answers with the session
//! as far as this process knows it.

mod clock;
mod durable;
mod files;
mod journal;
mod record;
mod store_url;
mod table;
mod valkey;

use crate::{Error, ServerConfig, locked};
use clock::Now;
use durable::DurableStore;
use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use table::{Ended, Table};
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

/// An event of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) item: Arc<str>,
    /// Whether the item is one of those that lists are made of; otherwise the event only keeps the session from ending.
    pub(crate) is_click: bool,
    /// The client's name of the event, under which it counts once however often it is sent, and the event's type and item.
    pub(crate) key: Option<EventKey>,
}

/// The key of an event, and what the event is, by which another event under the same key is told.
pub(crate) type EventKey = (Arc<str>, Arc<str>);

#[cfg(test)]
impl Event {
    /// A click without a key.
    pub(crate) fn click(item: &str) -> Self {
        Self { item: item.into(), is_click: true, key: None }
    }
}

/// A session with a new event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Appended {
    /// The session, as far as it is known.
    pub(crate) session: Session,
    pub(crate) outcome: Outcome,
    /// Why the event is not as durable as the store promises; `None` if it is.
    pub(crate) unstored: Option<Unstored>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is added.
    Added,
    /// It was added before, under the same key.
    Repeated,
    /// It is not added, since its key is that of another event.
    Conflict,
}

/// A session on its way from one store to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) id: Arc<str>,
    pub(crate) session: Session,
    /// Milliseconds since its latest event.
    pub(crate) idle_ms: u64,
}

/// Where an event is that its store has not kept as it promises, with the reason for the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unstored {
    /// In memory; it is written as soon as the disk takes it.
    #[error("{0}")]
    Pending(String),
    /// In the memory of this process only.
    #[error("{0}")]
    Local(String),
    /// The shared store may have it or not.
    #[error("{0}")]
    Unconfirmed(String),
}

impl Unstored {
    /// All labels of metrics.
    pub(crate) const NAMES: [&str; 3] = ["pending", "local", "unconfirmed"];

    /// The label of metrics.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Pending(_) => "pending",
            Self::Local(_) => "local",
            Self::Unconfirmed(_) => "unconfirmed",
        }
    }
}

/// What became of a session that was to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It is removed.
    Done,
    /// There was none.
    Absent,
    /// It is removed from memory, and from the disk as soon as that takes it; with the reason for the log.
    Pending(String),
}

/// Some sessions, and the cursor for the next ones, which is `None` after the last.
pub(crate) type Exported = (Vec<Moved>, Option<u64>);

/// An error of a store, with the reason for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The operation was refused, or the store was not reached.
    #[error("{0}")]
    Failed(String),
    /// The store did not answer in time, and may have executed the operation or not.
    #[error("{0}")]
    Unconfirmed(String),
    /// The store still reads its sessions.
    #[error("the sessions of before are still being read")]
    Loading,
}

/// How a store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoreState {
    /// Why it does not keep what it promises; `None` if it does.
    pub(crate) fault: Option<String>,
    /// Number of changes that wait to be written.
    pub(crate) pending: u64,
    /// Whether it still reads its sessions.
    pub(crate) loading: bool,
    /// Numbers of sessions that this process has dropped.
    pub(crate) ended: Ended,
}

/// The future that an operation of a store returns.
pub(crate) type StoreFuture<'s, T> = Pin<Box<dyn Future<Output = T> + Send + 's>>;

/// A store of sessions. Ids are opaque; the caller checks their lengths.
pub(crate) trait SessionStore: Debug + Send + Sync {
    /// Adds an event and returns the session, which is created if it does not exist, soon in any case.
    fn append<'s>(&'s self, id: &'s str, event: Event) -> StoreFuture<'s, Appended>;

    /// The session with this id, if it has not expired.
    fn get<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Result<Option<Session>, StoreError>>;

    /// Removes a session.
    fn remove<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Result<Removal, StoreError>>;

    /// Some sessions after a cursor; the first call has none.
    fn export(&self, cursor: Option<u64>) -> StoreFuture<'_, Result<Exported, StoreError>>;

    /// Adds sessions, except those that have ended, and those of which the store has a later state. Returns the number of those that
    /// it has added.
    fn import(&self, sessions: Vec<Moved>) -> StoreFuture<'_, Result<usize, StoreError>>;

    /// Number of sessions, if the store can count them.
    fn count(&self) -> Option<usize>;

    /// How the store is.
    fn state(&self) -> StoreState;

    /// Finds out whether the store keeps what it is given, by writing to it. Called from time to time.
    fn probe(&self) -> StoreFuture<'_, ()> {
        Box::pin(async {})
    }

    /// Finishes pending writes; nothing is kept afterwards. Returns the number of changes that are lost.
    fn close(&self) -> u64 {
        0
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
    fn append<'s>(&'s self, id: &'s str, event: Event) -> StoreFuture<'s, Appended> {
        Box::pin(async move {
            let (session, outcome) = locked(&self.0).append(id, &event, Now::read(), 0);
            Appended { session, outcome, unstored: None }
        })
    }

    fn get<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Result<Option<Session>, StoreError>> {
        Box::pin(async move { Ok(locked(&self.0).get(id, Now::read())) })
    }

    fn remove<'s>(&'s self, id: &'s str) -> StoreFuture<'s, Result<Removal, StoreError>> {
        Box::pin(async move {
            let removed = locked(&self.0).remove(id, Now::read());
            Ok(if removed { Removal::Done } else { Removal::Absent })
        })
    }

    fn export(&self, cursor: Option<u64>) -> StoreFuture<'_, Result<Exported, StoreError>> {
        Box::pin(async move { Ok(locked(&self.0).export(cursor, Now::read())) })
    }

    fn import(&self, sessions: Vec<Moved>) -> StoreFuture<'_, Result<usize, StoreError>> {
        Box::pin(async move {
            let (mut table, now) = (locked(&self.0), Now::read());
            Ok(sessions.into_iter().filter_map(|moved| table.import(moved, now, 0)).count())
        })
    }

    fn count(&self) -> Option<usize> {
        Some(locked(&self.0).len(Now::read()))
    }

    fn state(&self) -> StoreState {
        StoreState { ended: locked(&self.0).ended(), ..StoreState::default() }
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
    Now::read().wall_ms
}

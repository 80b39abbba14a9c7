//! Sessions that are read one after the other: from memory, or from a disk that has more of them than memory could hold.

use super::sessions::Sessions;
use super::vocabulary::ItemIndex;
use crate::error::Result;

/// What is known of all sessions before the first is read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionCounts {
    /// Number of sessions.
    pub sessions: u64,
    /// Number of events.
    pub events: u64,
    /// Number of pairs of an event and the next one of its session.
    pub pairs: u64,
    /// Number of sessions of two or more events.
    pub with_pairs: u64,
    /// Number of events of the longest session.
    pub longest: u64,
}

impl SessionCounts {
    /// Counts a session of this number of events.
    pub fn add(&mut self, events: usize) {
        let events = events as u64;
        self.sessions += 1;
        self.events += events;
        self.pairs += events.saturating_sub(1);
        self.with_pairs += u64::from(events >= 2);
        self.longest = self.longest.max(events);
    }

    /// The counts of sessions in memory.
    pub fn of(sessions: &Sessions) -> Self {
        let mut counts = Self::default();
        sessions.iter().for_each(|session| counts.add(session.len()));
        counts
    }
}

/// Sessions in the order of training, which an epoch reads once from the first to the last.
///
/// A training that is resumed begins elsewhere, so that sessions have numbers: 0, 1, 2, … in this order. The sessions of a
/// number are always the same.
pub trait SessionSource: std::fmt::Debug + Send + Sync {
    /// The counts of all sessions.
    fn counts(&self) -> SessionCounts;

    /// The sessions from number `first` on; none for a number that there is not.
    ///
    /// # Errors
    /// Those of the medium.
    fn from(&self, first: u64) -> Result<Box<dyn SessionStream + '_>>;
}

/// Sessions one after the other.
pub trait SessionStream {
    /// Replaces `items` by those of the next session; returns its number, and `None` after the last.
    ///
    /// # Errors
    /// Those of the medium.
    fn next(&mut self, items: &mut Vec<ItemIndex>) -> Result<Option<u64>>;
}

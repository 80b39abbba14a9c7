//! Sessions as compressed rows: one array of items, and where each session begins in it.

use super::vocabulary::{ItemIndex, ItemVocabulary};

/// Microseconds since 1970-01-01 UTC. Logs with nothing but an order count their events as seconds.
pub type TimeMicros = i64;

/// Sessions of items, each in time order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    items: Vec<ItemIndex>,
    /// `ends[s]` is where session `s` ends in `items`.
    ends: Vec<usize>,
    /// Time of each session's first event.
    starts: Vec<TimeMicros>,
}

impl Sessions {
    /// No session.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a session that began at `start`.
    pub fn push(&mut self, items: &[ItemIndex], start: TimeMicros) {
        self.items.extend_from_slice(items);
        self.ends.push(self.items.len());
        self.starts.push(start);
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Number of events in all sessions.
    pub fn num_events(&self) -> usize {
        self.items.len()
    }

    /// The items of session `s` in time order.
    ///
    /// # Panics
    /// If `s` is not below [`len`](Self::len).
    pub fn session(&self, s: usize) -> &[ItemIndex] {
        &self.items[if s == 0 { 0 } else { self.ends[s - 1] }..self.ends[s]]
    }

    /// All sessions in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[ItemIndex]> {
        (0..self.len()).map(|s| self.session(s))
    }

    /// When session `s` began.
    ///
    /// # Panics
    /// If `s` is not below [`len`](Self::len).
    pub fn start(&self, s: usize) -> TimeMicros {
        self.starts[s]
    }
}

/// What a model is trained on: sessions, and the vocabulary that their items are indices of.
#[derive(Clone, Debug, Default)]
pub struct Dataset {
    /// The items; support counts the events of `sessions`.
    pub items: ItemVocabulary,
    /// The sessions.
    pub sessions: Sessions,
}

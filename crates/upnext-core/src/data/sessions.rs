//! Sessions as compressed rows: one array of items, and an index of the sessions in it.

use super::items::ItemTable;
use super::session_index::SessionIndex;
use super::session_source::{SessionCounts, SessionSource};
use super::time::YEAR_1995;
use super::vocabulary::{ItemIndex, ItemVocabulary};
use crate::checksum::Fingerprint;
use std::sync::Arc;

/// Microseconds since 1970-01-01 UTC. A counter in place of real times is read as seconds.
pub type TimeMicros = i64;

/// Sessions of item indices, each in time order: 4 bytes an event, and about 5 a session if they are ordered by time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    items: Vec<ItemIndex>,
    index: SessionIndex,
}

/// The same sessions for those who look them up all the time, at 8 bytes a session.
#[derive(Clone, Debug)]
pub(crate) struct SessionRows<'s> {
    items: &'s [ItemIndex],
    /// `ends[s]` is the end of session `s` in `items`.
    ends: Vec<usize>,
}

impl<'s> SessionRows<'s> {
    /// The items of session `s` in time order.
    ///
    /// # Panics
    /// If there is no such session.
    pub(crate) fn session(&self, s: usize) -> &'s [ItemIndex] {
        &self.items[if s == 0 { 0 } else { self.ends[s - 1] }..self.ends[s]]
    }
}

impl Sessions {
    /// An empty list of sessions.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty list with room for this number of sessions and events.
    pub fn with_capacity(sessions: usize, events: usize) -> Self {
        Self { items: Vec::with_capacity(events), index: SessionIndex::with_capacity(sessions) }
    }

    /// Appends a session that began at `start`.
    pub fn push(&mut self, items: &[ItemIndex], start: TimeMicros) {
        self.items.extend_from_slice(items);
        self.index.push(items.len(), start);
    }

    /// Number of sessions.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there is no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of events in all sessions.
    pub fn num_events(&self) -> usize {
        self.items.len()
    }

    /// The items of session `s` in time order. It takes some 20 ns; [`iter`](Self::iter) and [`with_starts`](Self::with_starts)
    /// are faster.
    ///
    /// # Panics
    /// If `s` is not below [`len`](Self::len).
    pub fn session(&self, s: usize) -> &[ItemIndex] {
        &self.items[self.index.get(s).0]
    }

    /// All sessions in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[ItemIndex]> {
        self.with_starts().map(|(items, _)| items)
    }

    /// All sessions in order with the times of their first events.
    pub fn with_starts(&self) -> impl ExactSizeIterator<Item = (&[ItemIndex], TimeMicros)> {
        let mut cursor = self.index.from(0);
        (0..self.len()).map(move |_| {
            let (range, start) = cursor.read();
            (&self.items[range], start)
        })
    }

    /// The times of the first events of all sessions.
    pub fn starts(&self) -> impl ExactSizeIterator<Item = TimeMicros> {
        self.with_starts().map(|(_, start)| start)
    }

    /// The same sessions, which are looked up faster.
    pub(crate) fn rows(&self) -> SessionRows<'_> {
        let mut end = 0;
        let ends = self.iter().map(|session| {
            end += session.len();
            end
        });
        SessionRows { items: &self.items, ends: ends.collect() }
    }

    /// A fingerprint of the sessions, which is the same for the same sessions in the same order: the first half of a
    /// BLAKE3 hash of all items and start times, as 32 hex digits.
    pub fn fingerprint(&self) -> String {
        let mut hash = Fingerprint::new();
        for (items, start) in self.with_starts() {
            hash.add(&(items.len() as u64).to_le_bytes());
            hash.add(&start.to_le_bytes());
            items.iter().for_each(|item| hash.add(&item.to_le_bytes()));
        }
        hash.digits()
    }

    /// The time of the first event of session `s`.
    ///
    /// # Panics
    /// If `s` is not below [`len`](Self::len).
    pub fn start(&self, s: usize) -> TimeMicros {
        self.index.get(s).1
    }

    /// Whether the times are a counter in place of real times: all sessions start between 1970 and 1995.
    pub fn times_are_counter(&self) -> bool {
        !self.is_empty() && self.starts().all(|start| (0..YEAR_1995).contains(&start))
    }
}

/// Training data: sessions of item indices, and the vocabulary that the indices refer to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Dataset {
    /// The items; support counts the events of `sessions`.
    pub items: ItemVocabulary,
    /// The sessions.
    pub sessions: Sessions,
    /// Attributes of items, kept with the models that are fitted; it may lack some of `items` and have others.
    pub item_table: Option<Arc<ItemTable>>,
    /// The sessions of data that stay on a disk, in place of `sessions`: networks learn from them.
    pub source: Option<Arc<dyn SessionSource>>,
}

impl Dataset {
    /// A dataset of these sessions, without a table of items.
    pub fn new(items: ItemVocabulary, sessions: Sessions) -> Self {
        Self { items, sessions, item_table: None, source: None }
    }

    /// A dataset of sessions that are not in memory.
    pub fn on_disk(items: ItemVocabulary, source: Arc<dyn SessionSource>) -> Self {
        Self { source: Some(source), ..Self::new(items, Sessions::new()) }
    }

    /// Number of sessions and of events, which are known without a look at the sessions.
    pub(crate) fn size(&self) -> (u64, u64) {
        match &self.source {
            Some(source) => (source.counts().sessions, source.counts().events),
            None => (self.sessions.len() as u64, self.sessions.num_events() as u64),
        }
    }

    /// The counts of the sessions, wherever they are. Those in memory are passed over for it.
    pub fn counts(&self) -> SessionCounts {
        self.source.as_ref().map_or_else(|| SessionCounts::of(&self.sessions), |source| source.counts())
    }

    /// Some of the sessions, with their items in the order of their occurrence there; and the index there of each item.
    pub(crate) fn part(
        &self,
        sessions: impl Iterator<Item = usize> + Clone,
    ) -> (Self, Vec<Option<ItemIndex>>) {
        let mut support = vec![0_u64; self.items.len()];
        let events = sessions.clone().flat_map(|s| self.sessions.session(s));
        events.for_each(|&item| support[item as usize] += 1);
        let mut index: Vec<Option<ItemIndex>> = vec![None; self.items.len()];
        let (mut items, mut part, mut row) = (ItemVocabulary::new(), Sessions::new(), Vec::new());
        for s in sessions {
            row.clear();
            row.extend(self.sessions.session(s).iter().map(|&item| {
                let add = || items.add(self.items.id(item), support[item as usize]);
                *index[item as usize].get_or_insert_with(add)
            }));
            part.push(&row, self.sessions.start(s));
        }
        (Self { item_table: self.item_table.clone(), ..Self::new(items, part) }, index)
    }

    /// The first `until` sessions with the items that occur in them, and the others in the indices of these, without events
    /// on other items and then without sessions of fewer than two events.
    pub(crate) fn cut(&self, until: usize) -> (Self, Sessions) {
        let (first, index) = self.part(0..until.min(self.sessions.len()));
        let (mut rest, mut row) = (Sessions::new(), Vec::new());
        for s in until..self.sessions.len() {
            row.clear();
            row.extend(self.sessions.session(s).iter().filter_map(|&item| index[item as usize]));
            if row.len() > 1 {
                rest.push(&row, self.sessions.start(s));
            }
        }
        (first, rest)
    }

    /// The same with a table of items.
    pub fn with_item_table(self, table: impl Into<Arc<ItemTable>>) -> Self {
        Self { item_table: Some(table.into()), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_has_items_of_the_first_sessions_only() {
        let mut data = Dataset::default();
        ["a", "b", "c", "d"].iter().for_each(|id| _ = data.items.add(id, 9));
        for (session, start) in [(&[2, 0, 2][..], 1), (&[3, 2], 2), (&[0, 1, 3], 3), (&[1, 2], 4)] {
            data.sessions.push(session, start);
        }
        let (older, rest) = data.cut(2);
        assert_eq!(older.items.ids().collect::<Vec<_>>(), ["c", "a", "d"]);
        assert_eq!(older.items.supports(), [3, 1, 1]);
        assert_eq!(older.sessions.iter().collect::<Vec<_>>(), [&[0, 1, 0][..], &[2, 0]]);
        assert_eq!((rest.iter().collect::<Vec<_>>(), rest.start(0)), (vec![&[1, 2][..]], 3));
        assert!(data.cut(4).1.is_empty() && data.cut(0).0.items.is_empty());
    }

    #[test]
    fn fingerprint_tells_order_boundaries_and_times_apart() {
        let of = |sessions: &[(&[ItemIndex], TimeMicros)]| {
            let mut all = Sessions::new();
            sessions.iter().for_each(|(items, start)| all.push(items, *start));
            all.fingerprint()
        };
        let base = of(&[(&[1, 2], 5), (&[3], 6)]);
        assert_eq!(base, of(&[(&[1, 2], 5), (&[3], 6)]));
        for other in
            [of(&[(&[2, 1], 5), (&[3], 6)]), of(&[(&[1], 5), (&[2, 3], 6)]), of(&[(&[1, 2], 5), (&[3], 7)])]
        {
            assert_ne!(base, other);
        }
    }
}

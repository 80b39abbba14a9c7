//! The table of sessions in memory, with limits on number, length, size and idle time.

use super::Session;
use crate::ServerConfig;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

/// Sessions by id and in the order of their latest events.
///
/// Clients choose the ids, so the hash function must resist deliberate collisions, as the standard library's does.
#[derive(Debug)]
pub(crate) struct Table {
    max_sessions: usize,
    max_events: usize,
    max_bytes: usize,
    idle_ms: u64,
    slots: HashMap<Arc<str>, Slot>,
    /// Ids by the sequence number of their latest event: the first has been idle for longest.
    by_turn: BTreeMap<u64, Arc<str>>,
    turn: u64,
    /// Estimated size of all sessions in bytes.
    bytes: usize,
}

/// Estimated memory of a session besides its id, and of an event besides its item id, in bytes: entries of the maps and
/// overhead of the allocator.
const SESSION_BYTES: usize = 256;
const EVENT_BYTES: usize = 48;

#[derive(Debug)]
struct Slot {
    turn: u64,
    items: VecDeque<Arc<str>>,
    events: u64,
    began_ms: u64,
    last_event_ms: u64,
}

impl Slot {
    fn bytes(&self, id: &str) -> usize {
        let items: usize = self.items.iter().map(|item| item.len() + EVENT_BYTES).sum();
        SESSION_BYTES + id.len() + items
    }

    fn session(&self) -> Session {
        Session {
            items: self.items.iter().cloned().collect(),
            events: self.events,
            began_ms: self.began_ms,
            last_event_ms: self.last_event_ms,
        }
    }
}

impl Table {
    pub(crate) fn new(config: &ServerConfig) -> Self {
        Self {
            max_sessions: config.max_sessions,
            max_events: config.max_session_events,
            max_bytes: config.max_sessions_bytes,
            idle_ms: config.session_idle_s * 1_000,
            slots: HashMap::new(),
            by_turn: BTreeMap::new(),
            turn: 0,
            bytes: 0,
        }
    }

    /// Adds an event at the time `now_ms` and returns the session, which is created if it does not exist.
    pub(crate) fn append(&mut self, id: &str, item: Arc<str>, now_ms: u64) -> Session {
        self.expire(now_ms);
        let old = self.take(id).filter(|(_, slot)| !self.is_over(slot, now_ms));
        let (key, mut slot) = old.unwrap_or_else(|| {
            let items = VecDeque::new();
            (Arc::from(id), Slot { turn: 0, items, events: 0, began_ms: now_ms, last_event_ms: now_ms })
        });
        slot.last_event_ms = now_ms;
        slot.events += 1;
        if slot.items.len() >= self.max_events {
            slot.items.pop_front();
        }
        slot.items.push_back(item);
        let session = slot.session();
        self.put(key, slot);
        session
    }

    /// The session with this id, if it has not expired.
    pub(crate) fn get(&mut self, id: &str, now_ms: u64) -> Option<Session> {
        self.expire(now_ms);
        self.slots.get(id).filter(|slot| !self.is_over(slot, now_ms)).map(Slot::session)
    }

    /// Removes a session; `false` if there is none.
    pub(crate) fn remove(&mut self, id: &str, now_ms: u64) -> bool {
        self.expire(now_ms);
        self.take(id).is_some_and(|(_, slot)| !self.is_over(&slot, now_ms))
    }

    /// Number of sessions that have not expired.
    pub(crate) fn len(&mut self, now_ms: u64) -> usize {
        self.expire(now_ms);
        self.slots.len()
    }

    /// All sessions, the longest idle one first.
    pub(crate) fn by_idleness(&self) -> impl Iterator<Item = (&str, Session)> {
        self.by_turn.values().filter_map(|id| Some((&**id, self.slots.get(id)?.session())))
    }

    /// Inserts a session as it was, replacing one with the same id, as the most recently used.
    pub(crate) fn restore(&mut self, id: &str, session: Session) {
        drop(self.take(id));
        let cut = session.items.len().saturating_sub(self.max_events);
        let slot = Slot {
            turn: 0,
            items: session.items.into_iter().skip(cut).collect(),
            events: session.events,
            began_ms: session.began_ms,
            last_event_ms: session.last_event_ms,
        };
        self.put(Arc::from(id), slot);
    }

    /// Inserts a new session as the most recently used, and drops the longest idle ones until it fits.
    fn put(&mut self, id: Arc<str>, slot: Slot) {
        let bytes = slot.bytes(&id);
        while (self.slots.len() >= self.max_sessions || self.bytes + bytes > self.max_bytes)
            && self.drop_idlest()
        {}
        self.turn += 1;
        self.bytes += bytes;
        self.by_turn.insert(self.turn, Arc::clone(&id));
        self.slots.insert(id, Slot { turn: self.turn, ..slot });
    }

    /// Removes a session and returns it.
    fn take(&mut self, id: &str) -> Option<(Arc<str>, Slot)> {
        let (id, slot) = self.slots.remove_entry(id)?;
        self.by_turn.remove(&slot.turn);
        self.bytes -= slot.bytes(&id);
        Some((id, slot))
    }

    fn is_over(&self, slot: &Slot, now_ms: u64) -> bool {
        now_ms.saturating_sub(slot.last_event_ms) >= self.idle_ms
    }

    /// Drops expired sessions in order of their latest events, up to the first that has not expired. An event from a
    /// clock that was ahead can delay it for the sessions behind.
    fn expire(&mut self, now_ms: u64) {
        while let Some((_, id)) = self.by_turn.first_key_value()
            && let Some(slot) = self.slots.get(id)
            && self.is_over(slot, now_ms)
        {
            self.drop_idlest();
        }
    }

    /// Drops the longest idle session; `false` if the table is empty.
    fn drop_idlest(&mut self) -> bool {
        let idlest = self.by_turn.first_key_value().map(|(_, id)| Arc::clone(id));
        idlest.is_some_and(|id| self.take(&id).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(max_sessions: usize, max_session_events: usize) -> Table {
        let limits =
            ServerConfig { max_sessions, max_session_events, session_idle_s: 10, ..ServerConfig::default() };
        Table::new(&limits)
    }

    fn items(session: Option<Session>) -> Option<String> {
        session.map(|session| session.items.concat())
    }

    #[test]
    fn the_session_that_has_been_idle_for_longest_makes_room() {
        let mut table = table(2, 9);
        for (id, item) in [("x", "1"), ("y", "2"), ("x", "3"), ("z", "4")] {
            table.append(id, item.into(), 0);
        }
        assert_eq!(table.len(0), 2);
        assert_eq!(items(table.get("x", 0)), Some("13".to_owned()));
        assert_eq!(items(table.get("y", 0)), None);
        assert_eq!(items(table.get("z", 0)), Some("4".to_owned()));
    }

    #[test]
    fn long_ids_make_room_as_many_sessions_do() {
        let limits = ServerConfig { max_sessions_bytes: 20_000, ..ServerConfig::default() };
        let mut table = Table::new(&limits);
        let long = "x".repeat(4_000);
        for id in ["a", "b", "c", "d", "e"] {
            table.append(id, long.as_str().into(), 0);
        }
        assert_eq!((table.len(0), items(table.get("a", 0))), (4, None));
        for _ in 0..3 {
            table.append("e", long.as_str().into(), 0);
        }
        assert_eq!((table.len(0), table.get("e", 0).unwrap().events), (1, 4));
        // A single session above the limit stays until the next one comes, so that its requests are answered.
        table.append("e", long.as_str().into(), 0);
        assert_eq!(table.append("f", "1".into(), 0).events, 1);
        assert_eq!(table.len(0), 1);
        assert!(table.remove("f", 0));
        assert_eq!((table.bytes, table.slots.len(), table.by_turn.len()), (0, 0, 0));
    }

    #[test]
    fn an_event_from_a_clock_that_was_ahead_keeps_no_other_session_alive() {
        let mut table = table(9, 9);
        table.append("ahead", "1".into(), 1_000_000);
        table.append("x", "1".into(), 1_000);
        assert_eq!(items(table.get("x", 20_000)), None);
        assert!(!table.remove("x", 20_000));
        assert_eq!(table.append("x", "2".into(), 20_000).events, 1);
    }

    #[test]
    fn a_long_session_keeps_its_latest_events() {
        let mut table = table(2, 3);
        let [.., last] = ["1", "2", "3", "4", "5"].map(|item| table.append("x", item.into(), 0));
        assert_eq!(last.items.concat(), "345");
        assert_eq!(last.events, 5);
    }

    #[test]
    fn a_session_is_over_after_its_idle_time_and_another_begins() {
        let mut table = table(9, 9);
        table.append("x", "1".into(), 1_000);
        table.append("y", "1".into(), 5_000);
        assert_eq!(items(table.get("x", 10_999)), Some("1".to_owned()));
        assert_eq!(items(table.get("x", 11_000)), None);
        assert_eq!(table.len(11_000), 1);
        let next = table.append("x", "2".into(), 11_000);
        assert_eq!((next.events, next.began_ms), (1, 11_000));
        assert_eq!(table.append("x", "2".into(), 12_000).began_ms, 11_000);
        // A clock that was set back expires no session.
        assert_eq!(items(table.get("x", 0)), Some("22".to_owned()));
    }

    #[test]
    fn a_removed_session_is_gone_and_leaves_no_trace() {
        let mut table = table(1, 9);
        assert!(!table.remove("x", 0));
        table.append("x", "1".into(), 0);
        assert!(table.remove("x", 0));
        assert!(!table.remove("x", 0));
        assert_eq!(table.by_turn.len(), 0);
        assert_eq!(table.append("x", "2".into(), 0).events, 1);
    }

    #[test]
    fn restored_sessions_are_those_that_were_written() {
        let mut old = table(3, 3);
        for (id, item) in [("x", "1"), ("y", "2"), ("x", "3"), ("z", "4"), ("x", "5"), ("x", "6")] {
            old.append(id, item.into(), 7);
        }
        let mut new = table(2, 2);
        old.by_idleness().for_each(|(id, session)| new.restore(id, session));
        let shown: Vec<_> =
            new.by_idleness().map(|(id, s)| (id.to_owned(), s.items.concat(), s.events)).collect();
        assert_eq!(shown, [("z".to_owned(), "4".to_owned(), 1), ("x".to_owned(), "56".to_owned(), 4)]);
    }
}

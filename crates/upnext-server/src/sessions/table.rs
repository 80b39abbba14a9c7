//! The table of sessions in memory, with limits on number, length, size and idle time.

use super::clock::Now;
use super::{Event, EventKey, Moved, Outcome, Session};
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
    ended: Ended,
}

/// Numbers of sessions that a table has dropped since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ended {
    /// Those whose idle time was over.
    pub(crate) expired: u64,
    /// Those that made room for others.
    pub(crate) evicted: u64,
}

/// A session of a table, as a file keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: Arc<str>,
    pub(super) session: Session,
    /// The steady time of its latest event.
    pub(super) steady_ms: u64,
    /// The number of its latest change, from 1; 0 if changes have no numbers.
    pub(super) seq: u64,
    /// The keys of its latest events with keys.
    pub(super) keys: Vec<EventKey>,
}

/// Number of events of a session whose keys are remembered: a client sends one again within moments.
const KEYS: usize = 32;

/// Number of sessions that are exported at a time.
const EXPORTED: usize = 512;

/// Estimated memory of a session besides its id, and of an event besides its item id, in bytes: entries of the maps and
/// overhead of the allocator.
const SESSION_BYTES: usize = 256;
const EVENT_BYTES: usize = 48;

#[derive(Debug)]
struct Slot {
    turn: u64,
    /// The number of its latest change.
    seq: u64,
    /// The steady time of its latest event, by which it ends.
    steady_ms: u64,
    items: VecDeque<Arc<str>>,
    /// The keys of the latest events with keys, oldest first.
    keys: VecDeque<EventKey>,
    events: u64,
    began_ms: u64,
    last_event_ms: u64,
}

impl Slot {
    fn begun(now: Now) -> Self {
        let Now { wall_ms, steady_ms } = now;
        Self {
            turn: 0,
            seq: 0,
            steady_ms,
            items: VecDeque::new(),
            keys: VecDeque::new(),
            events: 0,
            began_ms: wall_ms,
            last_event_ms: wall_ms,
        }
    }

    /// What would become of an event.
    fn outcome(&self, event: &Event) -> Outcome {
        let Some((key, what)) = &event.key else { return Outcome::Added };
        match self.keys.iter().find(|(own, _)| own == key) {
            None => Outcome::Added,
            Some((_, own)) if own == what => Outcome::Repeated,
            Some(_) => Outcome::Conflict,
        }
    }

    /// Adds an event, and drops the oldest beyond `most`.
    fn push(&mut self, event: &Event, now: Now, seq: u64, most: usize) {
        (self.last_event_ms, self.steady_ms, self.seq) = (now.wall_ms, now.steady_ms, seq);
        if let Some(key) = &event.key {
            self.remember(key.clone());
        }
        if event.is_click {
            self.events += 1;
            if self.items.len() >= most {
                self.items.pop_front();
            }
            self.items.push_back(Arc::clone(&event.item));
        }
    }

    fn remember(&mut self, key: EventKey) {
        if self.keys.len() >= KEYS {
            self.keys.pop_front();
        }
        self.keys.push_back(key);
    }

    fn bytes(&self, id: &str) -> usize {
        let items: usize = self.items.iter().map(|item| item.len() + EVENT_BYTES).sum();
        let keys: usize = self.keys.iter().map(|(key, item)| key.len() + item.len() + 2 * EVENT_BYTES).sum();
        SESSION_BYTES + id.len() + items + keys
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
            ended: Ended::default(),
        }
    }

    /// Adds an event, the change number `seq`, unless it has the key of one before, and returns the session, which is created if it
    /// does not exist.
    pub(crate) fn append(&mut self, id: &str, event: &Event, now: Now, seq: u64) -> (Session, Outcome) {
        self.expire(now);
        let (key, mut slot) = self.alive(id, now).unwrap_or_else(|| (Arc::from(id), Slot::begun(now)));
        let outcome = slot.outcome(event);
        if outcome == Outcome::Added {
            slot.push(event, now, seq, self.max_events);
        }
        let session = slot.session();
        self.put(key, slot);
        (session, outcome)
    }

    /// The keys of the events of a session that has not expired.
    pub(super) fn keys(&self, id: &str, now: Now) -> Vec<EventKey> {
        let slot = self.slots.get(id).filter(|slot| !self.is_over(slot, now));
        slot.map(|slot| slot.keys.iter().cloned().collect()).unwrap_or_default()
    }

    /// The number of a session's latest change.
    pub(super) fn seq(&self, id: &str) -> u64 {
        self.slots.get(id).map_or(0, |slot| slot.seq)
    }

    /// Some sessions that come after a cursor, and the next cursor.
    pub(super) fn export(&mut self, cursor: Option<u64>, now: Now) -> (Vec<Moved>, Option<u64>) {
        self.expire(now);
        let after = cursor.unwrap_or(0);
        let (kept, last) = self.since(after, EXPORTED);
        let moved = |kept: Kept| {
            let idle_ms = now.steady_ms.saturating_sub(kept.steady_ms);
            Moved { id: kept.id, session: kept.session, idle_ms }
        };
        (kept.into_iter().map(moved).collect(), (last > after).then_some(last))
    }

    /// Inserts a session, the change number `seq`, and returns it as it is kept; `None` if it has ended, or if there is a later state of it.
    pub(super) fn import(&mut self, moved: Moved, now: Now, seq: u64) -> Option<Kept> {
        self.expire(now);
        let Moved { id, session, idle_ms } = moved;
        let steady_ms = now.steady_ms.saturating_sub(idle_ms);
        let has_later = self.slots.get(&id).is_some_and(|slot| slot.last_event_ms >= session.last_event_ms);
        if idle_ms >= self.idle_ms || has_later {
            return None;
        }
        let kept = Kept { id, session, steady_ms, seq, keys: Vec::new() };
        self.restore(kept.clone());
        Some(kept)
    }

    /// The session with this id, if it has not expired.
    pub(crate) fn get(&mut self, id: &str, now: Now) -> Option<Session> {
        self.expire(now);
        self.slots.get(id).filter(|slot| !self.is_over(slot, now)).map(Slot::session)
    }

    /// Removes a session; `false` if there is none.
    pub(crate) fn remove(&mut self, id: &str, now: Now) -> bool {
        self.expire(now);
        self.alive(id, now).is_some()
    }

    /// Number of sessions that have not expired.
    pub(crate) fn len(&mut self, now: Now) -> usize {
        self.expire(now);
        self.slots.len()
    }

    /// Numbers of the sessions that were dropped.
    pub(crate) fn ended(&self) -> Ended {
        self.ended
    }

    /// Up to `count` sessions whose latest changes come after the turn `after`, in the order of these, and the last turn.
    pub(super) fn since(&self, after: u64, count: usize) -> (Vec<Kept>, u64) {
        let mut last = after;
        let kept = |(&turn, id): (&u64, &Arc<str>)| {
            last = turn;
            let slot = self.slots.get(id)?;
            let (session, steady_ms, seq) = (slot.session(), slot.steady_ms, slot.seq);
            let keys = slot.keys.iter().cloned().collect();
            Some(Kept { id: Arc::clone(id), session, steady_ms, seq, keys })
        };
        let kept = self.by_turn.range(after + 1..).take(count).filter_map(kept).collect();
        (kept, last)
    }

    /// Inserts a session as it was, replacing an older state of it, as the most recently used.
    pub(super) fn restore(&mut self, kept: Kept) {
        let Kept { id, session, steady_ms, seq, keys } = kept;
        if self.has(&id, seq) {
            return;
        }
        drop(self.take(&id));
        let cut = session.items.len().saturating_sub(self.max_events);
        let slot = Slot {
            turn: 0,
            seq,
            steady_ms,
            items: session.items.into_iter().skip(cut).collect(),
            keys: keys.into_iter().rev().take(KEYS).rev().collect(),
            events: session.events,
            began_ms: session.began_ms,
            last_event_ms: session.last_event_ms,
        };
        self.put(id, slot);
    }

    /// Adds an event of a file, the change `seq`, unless it is in the table: the one with the `number` in its session, from
    /// 1, or for 0 the next, if the session is not over. An event that is no click has the number of the one before.
    pub(super) fn replay(&mut self, id: &str, event: &Event, now: Now, seq: u64, number: u64) {
        if self.has(id, seq) {
            return;
        }
        let goes_on = if event.is_click { number > 1 } else { number > 0 };
        // The first click of a session that began with an event that is none.
        let goes_on = |slot: &Slot, is_over: bool| goes_on || (slot.events == 0 && !is_over);
        let is_over = self.slots.get(id).is_some_and(|slot| self.is_over(slot, now));
        let old = match number {
            0 => self.alive(id, now),
            _ => self.take(id).filter(|(_, slot)| goes_on(slot, is_over)),
        };
        let (key, mut slot) = old.unwrap_or_else(|| (Arc::from(id), Slot::begun(now)));
        // Its first sending may have been in the part of the file that was not read when it came.
        if slot.outcome(event) == Outcome::Added {
            slot.push(event, now, seq, self.max_events);
        }
        if number > 0 {
            slot.events = number;
        }
        self.put(key, slot);
    }

    /// Removes a session, unless the table has later changes of it than `seq`.
    pub(super) fn forget(&mut self, id: &str, seq: u64) {
        if !self.has(id, seq) {
            drop(self.take(id));
        }
    }

    /// Adds to the steady times of all sessions.
    pub(super) fn shift(&mut self, by_ms: i64) {
        for slot in self.slots.values_mut() {
            slot.steady_ms = slot.steady_ms.saturating_add_signed(by_ms);
        }
    }

    /// Whether the table has the change `seq` of a session, or a later one.
    fn has(&self, id: &str, seq: u64) -> bool {
        seq > 0 && self.slots.get(id).is_some_and(|slot| slot.seq >= seq)
    }

    /// Removes a session and returns it, if it is not over.
    fn alive(&mut self, id: &str, now: Now) -> Option<(Arc<str>, Slot)> {
        let found = self.take(id)?;
        if self.is_over(&found.1, now) {
            self.ended.expired += 1;
            return None;
        }
        Some(found)
    }

    /// Inserts a new session as the most recently used, and drops the longest idle ones until it fits.
    fn put(&mut self, id: Arc<str>, slot: Slot) {
        let bytes = slot.bytes(&id);
        while (self.slots.len() >= self.max_sessions || self.bytes + bytes > self.max_bytes)
            && self.drop_idlest()
        {
            self.ended.evicted += 1;
        }
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

    fn is_over(&self, slot: &Slot, now: Now) -> bool {
        now.steady_ms.saturating_sub(slot.steady_ms) >= self.idle_ms
    }

    /// Drops expired sessions in order of their latest events, up to the first that has not expired.
    fn expire(&mut self, now: Now) {
        while let Some((_, id)) = self.by_turn.first_key_value()
            && let Some(slot) = self.slots.get(id)
            && self.is_over(slot, now)
        {
            self.drop_idlest();
            self.ended.expired += 1;
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

    fn at(ms: u64) -> Now {
        Now { wall_ms: ms, steady_ms: ms }
    }

    fn items(session: Option<Session>) -> Option<String> {
        session.map(|session| session.items.concat())
    }

    #[test]
    fn the_session_that_has_been_idle_for_longest_makes_room() {
        let mut table = table(2, 9);
        for (id, item) in [("x", "1"), ("y", "2"), ("x", "3"), ("z", "4")] {
            table.append(id, &Event::click(item), at(0), 0);
        }
        assert_eq!(table.len(at(0)), 2);
        assert_eq!(items(table.get("x", at(0))), Some("13".to_owned()));
        assert_eq!(items(table.get("y", at(0))), None);
        assert_eq!(items(table.get("z", at(0))), Some("4".to_owned()));
    }

    #[test]
    fn long_ids_make_room_as_many_sessions_do() {
        let limits = ServerConfig { max_sessions_bytes: 20_000, ..ServerConfig::default() };
        let mut table = Table::new(&limits);
        let long = "x".repeat(4_000);
        for id in ["a", "b", "c", "d", "e"] {
            table.append(id, &Event::click(&long), at(0), 0);
        }
        assert_eq!((table.len(at(0)), items(table.get("a", at(0)))), (4, None));
        for _ in 0..3 {
            table.append("e", &Event::click(&long), at(0), 0);
        }
        assert_eq!((table.len(at(0)), table.get("e", at(0)).unwrap().events), (1, 4));
        // A single session above the limit stays until the next one comes, so that its requests are answered.
        table.append("e", &Event::click(&long), at(0), 0);
        assert_eq!(table.append("f", &Event::click("1"), at(0), 0).0.events, 1);
        assert_eq!(table.len(at(0)), 1);
        assert!(table.remove("f", at(0)));
        assert_eq!((table.bytes, table.slots.len(), table.by_turn.len()), (0, 0, 0));
    }

    #[test]
    fn a_clock_that_is_set_ends_no_session() {
        let mut table = table(9, 9);
        let now = |wall_ms, steady_ms| Now { wall_ms, steady_ms };
        table.append("x", &Event::click("1"), now(1_000, 1_000), 0);
        assert_eq!(table.append("x", &Event::click("2"), now(1_000_000_000, 2_000), 0).0.events, 2);
        assert_eq!(table.append("x", &Event::click("3"), now(0, 3_000), 0).0.events, 3);
        assert_eq!(items(table.get("x", now(5, 12_999))), Some("123".to_owned()));
        assert_eq!(items(table.get("x", now(5, 13_000))), None);
        assert_eq!(table.ended(), Ended { expired: 1, evicted: 0 });
    }

    #[test]
    fn a_long_session_keeps_its_latest_events() {
        let mut table = table(2, 3);
        let [.., last] =
            ["1", "2", "3", "4", "5"].map(|item| table.append("x", &Event::click(item), at(0), 0).0);
        assert_eq!(last.items.concat(), "345");
        assert_eq!(last.events, 5);
    }

    #[test]
    fn a_session_is_over_after_its_idle_time_and_another_begins() {
        let mut table = table(9, 9);
        table.append("x", &Event::click("1"), at(1_000), 0);
        table.append("y", &Event::click("1"), at(5_000), 0);
        assert_eq!(items(table.get("x", at(10_999))), Some("1".to_owned()));
        assert_eq!(items(table.get("x", at(11_000))), None);
        assert_eq!(table.len(at(11_000)), 1);
        let (next, _) = table.append("x", &Event::click("2"), at(11_000), 0);
        assert_eq!((next.events, next.began_ms), (1, 11_000));
        assert_eq!(table.append("x", &Event::click("2"), at(12_000), 0).0.began_ms, 11_000);
    }

    #[test]
    fn a_removed_session_is_gone_and_leaves_no_trace() {
        let mut table = table(1, 9);
        assert!(!table.remove("x", at(0)));
        table.append("x", &Event::click("1"), at(0), 0);
        assert!(table.remove("x", at(0)));
        assert!(!table.remove("x", at(0)));
        assert_eq!(table.by_turn.len(), 0);
        assert_eq!(table.append("x", &Event::click("2"), at(0), 0).0.events, 1);
    }

    #[test]
    fn restored_sessions_are_those_that_were_written() {
        let mut old = table(3, 3);
        for (id, item) in [("x", "1"), ("y", "2"), ("x", "3"), ("z", "4"), ("x", "5"), ("x", "6")] {
            old.append(id, &Event::click(item), at(7), 0);
        }
        let mut new = table(2, 2);
        let (first, last) = old.since(0, 1);
        assert_eq!(first.len(), 1);
        first.into_iter().chain(old.since(last, 9).0).for_each(|kept| new.restore(kept));
        let shown: Vec<_> =
            new.since(0, 9).0.into_iter().map(|kept| (kept.id.to_string(), kept.session)).collect();
        let shown: Vec<_> = shown.iter().map(|(id, s)| (id.as_str(), s.items.concat(), s.events)).collect();
        assert_eq!(shown, [("z", "4".to_owned(), 1), ("x", "56".to_owned(), 4)]);
        assert_eq!(new.ended().evicted, 1);
    }

    #[test]
    fn changes_that_the_table_has_are_not_done_again() {
        let mut table = table(9, 9);
        for (seq, item) in [(1, "1"), (2, "2"), (3, "3")] {
            table.append("x", &Event::click(item), at(seq), seq);
        }
        for (seq, number, item) in [(2, 2, "2"), (3, 3, "3"), (4, 4, "4")] {
            table.replay("x", &Event::click(item), at(seq), seq, number);
        }
        table.forget("x", 3);
        assert_eq!(items(table.get("x", at(5))), Some("1234".to_owned()));
        table.replay("x", &Event::click("5"), at(6), 6, 1);
        assert_eq!(items(table.get("x", at(6))), Some("5".to_owned()));
        table.forget("x", 7);
        assert_eq!(items(table.get("x", at(7))), None);
        // What came before in the session is in a damaged line.
        table.replay("y", &Event::click("8"), at(8), 8, 4);
        assert_eq!((table.get("y", at(8)).unwrap().events, table.len(at(8))), (4, 1));
        table.shift(-100_000);
        assert_eq!(items(table.get("y", at(10_000))), None);
    }

    #[test]
    fn an_event_counts_once_under_its_key_and_another_kind_keeps_the_session_alive() {
        let mut table = table(9, 9);
        let event = |item: &str, key: &str, is_click| Event {
            item: item.into(),
            is_click,
            key: Some((key.into(), format!("{is_click} {item}").into())),
        };
        let mut append = |event: &Event, ms| {
            let (session, outcome) = table.append("x", event, at(ms), 0);
            (session.items.concat(), session.events, outcome)
        };
        assert_eq!(append(&event("1", "a", true), 0), ("1".to_owned(), 1, Outcome::Added));
        assert_eq!(append(&event("1", "a", true), 1), ("1".to_owned(), 1, Outcome::Repeated));
        assert_eq!(append(&event("2", "a", true), 2), ("1".to_owned(), 1, Outcome::Conflict));
        assert_eq!(append(&event("1", "a", false), 2), ("1".to_owned(), 1, Outcome::Conflict));
        assert_eq!(append(&event("9", "b", false), 9_000), ("1".to_owned(), 1, Outcome::Added));
        assert_eq!(append(&event("9", "b", false), 9_001), ("1".to_owned(), 1, Outcome::Repeated));
        // Without the purchase, the session would be over.
        assert_eq!(append(&Event::click("2"), 11_000), ("12".to_owned(), 2, Outcome::Added));
        for i in 0..KEYS {
            append(&event("3", &i.to_string(), true), 12_000);
        }
        assert_eq!(append(&event("1", "a", true), 12_000).2, Outcome::Added);
        let mut restored = self::table(9, 9);
        table.since(0, 9).0.into_iter().for_each(|kept| restored.restore(kept));
        assert_eq!(restored.append("x", &event("1", "a", true), at(12_000), 0).1, Outcome::Repeated);
    }

    #[test]
    fn sessions_that_move_keep_their_ages_and_replace_no_later_state() {
        let mut old = table(9, 9);
        for (id, ms) in [("x", 1_000), ("y", 5_000), ("z", 6_000)] {
            old.append(id, &Event::click("1"), at(ms), 0);
        }
        let (moved, cursor) = old.export(None, at(11_000));
        assert_eq!(
            moved.iter().map(|moved| (&*moved.id, moved.idle_ms)).collect::<Vec<_>>(),
            [("y", 6_000), ("z", 5_000)]
        );
        assert_eq!(old.export(cursor, at(11_000)), (vec![], None));
        let mut new = table(9, 9);
        new.append("z", &Event::click("2"), at(99_000), 0);
        let taken = moved.into_iter().filter_map(|moved| new.import(moved, at(100_000), 0)).count();
        assert_eq!((taken, items(new.get("z", at(100_000)))), (1, Some("2".to_owned())));
        assert_eq!((new.get("y", at(103_999)).is_some(), new.get("y", at(104_000))), (true, None));
    }

    #[test]
    fn a_session_that_began_without_a_click_goes_on_when_it_is_replayed() {
        let mut table = table(9, 9);
        let cart = Event { is_click: false, key: Some(("k".into(), "cart 1".into())), ..Event::click("1") };
        table.replay("x", &cart, at(1_000), 1, 0);
        table.replay("x", &Event::click("1"), at(2_000), 2, 1);
        let session = table.get("x", at(2_000)).unwrap();
        assert_eq!((session.began_ms, session.events, table.keys("x", at(2_000)).len()), (1_000, 1, 1));
        // But not after its idle time.
        table.replay("y", &cart, at(1_000), 3, 0);
        table.replay("y", &Event::click("1"), at(20_000), 4, 1);
        assert_eq!(table.get("y", at(20_000)).unwrap().began_ms, 20_000);
    }
}

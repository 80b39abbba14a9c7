//! Sessions to evaluate a model on, and the next clicks among them that a model cannot be asked for.

use super::events::{Event, EventLog};
use super::part::{DroppedSessions, Part};
use super::sessions::{Sessions, TimeMicros};
use super::vocabulary::{ItemIndex, ItemVocabulary};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// The next clicks of test sessions: every event but the first of its session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NextClicks {
    /// Number of next clicks.
    pub total: u64,
    /// Those on items that training has not seen.
    pub unknown: u64,
}

impl NextClicks {
    /// The next clicks of sessions, with a function that says whether an item is known.
    pub(super) fn of<'a>(
        sessions: impl Iterator<Item = &'a [Event]>,
        is_known: impl Fn(u32) -> bool,
    ) -> Self {
        let mut counts = Self::default();
        for target in sessions.flat_map(|session| session.iter().skip(1)) {
            counts.total += 1;
            counts.unknown += u64::from(!is_known(target.item));
        }
        counts
    }
}

/// A next click that is no case: its item is unknown, or it is known but no event before it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissedClick {
    /// The number of its session, in [`TestSessions::ids`].
    pub session: u32,
    /// The number of events of the session before it, unknown ones included.
    pub position: u32,
    /// The item's id.
    pub item: Box<str>,
}

/// Sessions to evaluate a model on: all items are in its vocabulary, and every session has at least two events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TestSessions {
    /// The sessions, ordered by start time and then by id.
    pub sessions: Sessions,
    /// The counts of what was dropped.
    pub dropped: DroppedSessions,
    /// The ids of `sessions`, and then those of sessions that were dropped and have a next click.
    pub ids: Vec<Box<str>>,
    /// The next clicks of all sessions, dropped ones included.
    pub next_clicks: NextClicks,
    /// The next clicks that are no case, by session.
    pub missed: Vec<MissedClick>,
    /// For each event of `sessions`, the number of events of its session before it, unknown ones included.
    positions: Vec<u32>,
    /// For each event of `sessions`, its time.
    times: Vec<TimeMicros>,
    /// `begins[s]` is the place of the first event of session `s` in `positions` and `times`.
    begins: Vec<usize>,
    /// For each item of the vocabulary, the time of its first event in the part, dropped sessions included.
    first_events: Vec<Option<TimeMicros>>,
}

impl TestSessions {
    /// Builds test data from a log: drops events on items outside `items`, then sessions of fewer than two events.
    ///
    /// # Errors
    /// [`Error::NoKnownItem`] if no event is on a known item, [`Error::EmptyAfterFiltering`] if no session keeps two events.
    pub fn from_log(mut log: EventLog, items: &ItemVocabulary) -> Result<Self> {
        Self::from_part(&log.grouped(), items)
    }

    /// Builds test data from a part of a log, as [`from_log`](Self::from_log).
    ///
    /// # Errors
    /// As [`from_log`](Self::from_log).
    pub fn from_part(part: &Part<'_>, items: &ItemVocabulary) -> Result<Self> {
        let index: Vec<Option<ItemIndex>> = part.item_ids().iter().map(|id| items.index_of(id)).collect();
        let known = |event: &Event| index[event.item as usize];
        let mut dropped = DroppedSessions::default();
        let (mut kept, mut others) = (Vec::new(), Vec::new());
        let mut events = 0;
        let mut first_events: Vec<Option<TimeMicros>> = vec![None; items.len()];
        for session in part.sessions() {
            let mut of_known = 0;
            for event in session {
                if let Some(item) = known(event) {
                    of_known += 1;
                    let first = &mut first_events[item as usize];
                    *first = Some(first.map_or(event.time, |first| first.min(event.time)));
                }
            }
            events += session.len() as u64;
            dropped.unknown_events += (session.len() - of_known) as u64;
            let entry = (session[0].time, part.session_id(&session[0]), session);
            if of_known < 2 {
                dropped.short_sessions += 1;
                others.push(entry);
            } else {
                kept.push(entry);
            }
        }
        if dropped.unknown_events == events {
            return Err(Error::NoKnownItem { events });
        }
        if kept.is_empty() {
            return Err(Error::EmptyAfterFiltering {
                left_without: "no test session",
                why: format!(
                    "none of {} sessions has two events on items that the model knows ({} of {events} events are on others)",
                    dropped.short_sessions, dropped.unknown_events
                ),
            });
        }
        others.retain(|(_, _, session)| session.len() > 1);
        let mut test = Self { dropped, first_events, ..Self::default() };
        test.next_clicks = NextClicks::of(part.sessions(), |item| {
            // A model may know more items than training has seen, by their attributes.
            index[item as usize].is_some_and(|item| items.support(item) > 0)
        });
        for sessions in [&mut kept, &mut others] {
            sessions.sort_unstable_by_key(|&(start, id, _)| (start, id));
        }
        let number = kept.len();
        let mut row = Vec::new();
        for (s, (start, id, session)) in kept.into_iter().chain(others).enumerate() {
            test.ids.push(id.into());
            row.clear();
            test.begins.push(test.positions.len());
            for (position, event) in session.iter().enumerate() {
                let item = known(event);
                if position > 0 && (item.is_none() || row.is_empty()) {
                    let item = part.item_id(event).into();
                    test.missed.push(MissedClick { session: s as u32, position: position as u32, item });
                }
                if let Some(item) = item {
                    row.push(item);
                    test.positions.push(position as u32);
                    test.times.push(event.time);
                }
            }
            if s < number {
                test.sessions.push(&row, start);
            }
        }
        Ok(test)
    }

    /// The number of events of a session, unknown ones included, before its `event`-th known one, counted from 0.
    ///
    /// # Panics
    /// If there is no such session or event.
    pub fn position(&self, session: usize, event: usize) -> u32 {
        self.positions[self.begins[session] + event]
    }

    /// The time of a session's `event`-th known event, counted from 0, in microseconds since 1970.
    ///
    /// # Panics
    /// If there is no such session or event.
    pub fn time(&self, session: usize, event: usize) -> TimeMicros {
        self.times[self.begins[session] + event]
    }

    /// The time of an item's first event in the part, dropped sessions included; `None` if it has none.
    ///
    /// # Panics
    /// If the item is not in the vocabulary.
    pub fn first_event(&self, item: ItemIndex) -> Option<TimeMicros> {
        self.first_events[item as usize]
    }

    /// The number of missed next clicks of each of [`ids`](Self::ids).
    pub fn misses(&self) -> Vec<u32> {
        let mut misses = vec![0; self.ids.len()];
        self.missed.iter().for_each(|click| misses[click.session as usize] += 1);
        misses
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Dataset, TimeMicros};

    fn log(events: &[(&str, &str, TimeMicros)]) -> EventLog {
        let mut log = EventLog::new();
        events.iter().for_each(|&(session, item, time)| log.push(session, item, time));
        log
    }

    #[test]
    fn unknown_items_go_first_and_short_sessions_after() {
        let (train, _) = Dataset::from_log(log(&[("s", "a", 1), ("s", "b", 2)])).unwrap();
        let test = log(&[
            ("t1", "a", 5),
            ("t1", "new", 6),
            ("t1", "b", 7),
            ("t2", "new", 1),
            ("t2", "a", 2),
            ("t3", "b", 4),
            ("t3", "b", 4),
        ]);
        let test = TestSessions::from_log(test, &train.items).unwrap();
        assert_eq!(test.sessions.iter().collect::<Vec<_>>(), [[1, 1], [0, 1]]);
        assert_eq!(test.dropped, DroppedSessions { unknown_events: 2, short_sessions: 1 });
    }

    #[test]
    fn every_next_click_is_a_case_or_is_missed() {
        let (train, _) = Dataset::from_log(log(&[("s", "a", 1), ("s", "b", 2)])).unwrap();
        let test = log(&[
            ("mixed", "new", 1),
            ("mixed", "a", 2),
            ("mixed", "other", 3),
            ("mixed", "b", 4),
            ("first", "a", 5),
            ("first", "new", 6),
            ("single", "new", 7),
            ("known", "b", 0),
            ("known", "a", 1),
        ]);
        let test = TestSessions::from_log(test, &train.items).unwrap();
        assert_eq!(test.next_clicks, NextClicks { total: 5, unknown: 2 });
        let ids: Vec<&str> = test.ids.iter().map(|id| &**id).collect();
        assert_eq!(ids, ["known", "mixed", "first"]);
        let missed: Vec<_> = test.missed.iter().map(|m| (m.session, m.position, &*m.item)).collect();
        assert_eq!(missed, [(1, 1, "a"), (1, 2, "other"), (2, 1, "new")]);
        let cases: usize = test.sessions.iter().map(|session| session.len() - 1).sum();
        assert_eq!(cases + test.missed.len(), 5);
        assert_eq!(test.misses(), [0, 2, 1]);
        assert_eq!([test.position(1, 0), test.position(1, 1), test.position(0, 1)], [1, 3, 1]);
    }

    #[test]
    fn a_test_log_of_another_shop_is_an_error() {
        let (train, _) = Dataset::from_log(log(&[("s", "a", 1), ("s", "b", 2)])).unwrap();
        let foreign = TestSessions::from_log(log(&[("t", "x", 1), ("t", "y", 2)]), &train.items);
        assert!(matches!(foreign, Err(Error::NoKnownItem { events: 2 })));
        let short = TestSessions::from_log(log(&[("t", "a", 1), ("t", "y", 2)]), &train.items);
        assert!(matches!(short, Err(Error::EmptyAfterFiltering { .. })));
    }
}

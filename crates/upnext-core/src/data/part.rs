//! Parts of a log, and their conversion into training and test data.

use super::events::{Event, EventLog};
use super::holdout::{End, end_of};
use super::ids::IdTable;
use super::sessions::{Dataset, Sessions, TimeMicros};
use super::vocabulary::{ItemIndex, ItemVocabulary};
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The name of a part in a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartName {
    /// The whole training part.
    Train,
    /// The test part.
    Test,
    /// The test sessions with their events on items that training has not seen; only if there are some.
    TestAll,
    /// The training part without the validation part.
    Fit,
    /// The validation part.
    Valid,
}

impl PartName {
    /// All parts.
    pub const ALL: [Self; 5] = [Self::Train, Self::Test, Self::TestAll, Self::Fit, Self::Valid];

    /// The name as text, which is that of its file without the extension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::TestAll => "test_all",
            Self::Fit => "fit",
            Self::Valid => "valid",
        }
    }
}

/// Some sessions of a log, each with its events in time order.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// The events, grouped by session.
    events: &'a [Event],
    /// Leaves out sessions that do not end before this.
    ended_before: Option<End>,
    session_ids: &'a IdTable,
    item_ids: &'a IdTable,
}

/// The size of a part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartCounts {
    /// Number of events.
    pub events: u64,
    /// Number of sessions.
    pub sessions: u64,
    /// Number of different items.
    pub items: u64,
    /// Time of the first event, microseconds since 1970; absent in an empty part.
    pub first_time_us: Option<TimeMicros>,
    /// Time of the last event, microseconds since 1970; absent in an empty part.
    pub last_time_us: Option<TimeMicros>,
}

impl PartCounts {
    /// Number of training pairs: each event but the first of its session is the target of one.
    pub fn pairs(&self) -> u64 {
        self.events - self.sessions
    }
}

impl<'a> Part<'a> {
    /// All of `events`, which must be grouped by session.
    pub(super) fn new(events: &'a [Event], session_ids: &'a IdTable, item_ids: &'a IdTable) -> Self {
        Self { events, ended_before: None, session_ids, item_ids }
    }

    /// Only the sessions that end before `limit`.
    pub(super) fn ended_before(self, limit: End) -> Self {
        Self { ended_before: Some(limit), ..self }
    }

    /// The sessions; each has at least one event, and its events are in time order.
    pub fn sessions(&self) -> impl Iterator<Item = &'a [Event]> + use<'a> {
        let limit = self.ended_before;
        self.events
            .chunk_by(|a, b| a.session == b.session)
            .filter(move |s| limit.is_none_or(|limit| end_of(s) < limit))
    }

    /// The user's id of an event's session.
    pub fn session_id(&self, event: &Event) -> &'a str {
        self.session_ids.get(event.session)
    }

    /// The ids of all items of the log.
    pub(super) fn item_ids(&self) -> &'a IdTable {
        self.item_ids
    }

    /// The user's id of an event's item.
    pub fn item_id(&self, event: &Event) -> &'a str {
        self.item_ids.get(event.item)
    }

    /// Number of events.
    #[cfg(feature = "logs")]
    pub(super) fn num_events(&self) -> u64 {
        self.sessions().map(|session| session.len() as u64).sum()
    }

    /// Number of sessions with the same id and start time in both parts. Sessions of a single event, which are neither trained
    /// on nor evaluated, do not count.
    pub fn in_both(&self, other: &Part<'_>) -> u64 {
        fn of<'p>(part: &Part<'p>) -> impl Iterator<Item = (&'p str, TimeMicros)> {
            let part = *part;
            part.sessions().filter(|s| s.len() > 1).map(move |s| (part.session_id(&s[0]), s[0].time))
        }
        let known: HashSet<(&str, TimeMicros)> = of(other).collect();
        of(self).filter(|session| known.contains(session)).count() as u64
    }

    /// The size of the part.
    pub fn counts(&self) -> PartCounts {
        let mut counts = PartCounts::default();
        let mut seen = vec![false; self.item_ids.len()];
        for session in self.sessions() {
            counts.sessions += 1;
            counts.events += session.len() as u64;
            for event in session {
                counts.items += u64::from(!std::mem::replace(&mut seen[event.item as usize], true));
            }
            let (first, last) = (session[0].time, session[session.len() - 1].time);
            counts.first_time_us = Some(counts.first_time_us.map_or(first, |t| t.min(first)));
            counts.last_time_us = Some(counts.last_time_us.map_or(last, |t| t.max(last)));
        }
        counts
    }

    /// The sessions of at least two events, ordered by start time and then by id, which does not depend on the order of
    /// the log's lines.
    fn ordered_sessions(&self) -> (Vec<&'a [Event]>, DroppedSessions) {
        let mut dropped = DroppedSessions::default();
        let mut sessions: Vec<&[Event]> = self
            .sessions()
            .filter(|s| {
                dropped.short_sessions += u64::from(s.len() < 2);
                s.len() >= 2
            })
            .collect();
        sessions.sort_unstable_by(|a, b| {
            let key = |s: &[Event]| (s[0].time, self.session_id(&s[0]));
            key(a).cmp(&key(b))
        });
        (sessions, dropped)
    }
}

/// Counts of what was dropped when a part was converted into training or test data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DroppedSessions {
    /// Number of events on items outside the vocabulary (test data only).
    pub unknown_events: u64,
    /// Number of sessions of fewer than two events after unknown items were dropped: they have no next item.
    pub short_sessions: u64,
}

impl Dataset {
    /// Builds training data from a log. Sessions of one event are dropped and counted.
    ///
    /// Sessions are ordered by start time, then by id; items by their first occurrence in these sessions. The order of
    /// the lines in a file does not matter, except for events of one session at the same time, which stay in file
    /// order.
    ///
    /// # Errors
    /// [`Error::EmptyAfterFiltering`] if no session has two events.
    pub fn from_log(mut log: EventLog) -> Result<(Self, DroppedSessions)> {
        Self::from_part(&log.grouped())
    }

    /// Builds training data from events in memory, by [`EventLog::from_events`] and [`from_log`](Self::from_log).
    ///
    /// # Errors
    /// Those of the two.
    pub fn from_events<S: AsRef<str>, I: AsRef<str>>(
        events: impl IntoIterator<Item = (S, I, TimeMicros)>,
    ) -> Result<(Self, DroppedSessions)> {
        Self::from_log(EventLog::from_events(events)?)
    }

    /// Builds training data from a part of a log, as [`from_log`](Self::from_log).
    ///
    /// # Errors
    /// [`Error::EmptyAfterFiltering`] if no session has two events.
    pub fn from_part(part: &Part<'_>) -> Result<(Self, DroppedSessions)> {
        Self::extending(part, ItemVocabulary::new())
    }

    /// Builds training data that extends the vocabulary `items` of an earlier model: its items keep their indices, new
    /// items follow them, and the support of both trainings is added up.
    ///
    /// # Errors
    /// [`Error::EmptyAfterFiltering`] if no session has two events.
    pub fn extending(part: &Part<'_>, mut items: ItemVocabulary) -> Result<(Self, DroppedSessions)> {
        let (ordered, dropped) = part.ordered_sessions();
        if ordered.is_empty() {
            return Err(Error::EmptyAfterFiltering {
                left_without: "no session to train on",
                why: format!(
                    "all {} sessions have a single event, and so no next item to learn: is the session column the right one?",
                    dropped.short_sessions
                ),
            });
        }
        let mut support = vec![0_u64; part.item_ids.len()];
        ordered.iter().copied().flatten().for_each(|e| support[e.item as usize] += 1);
        let mut index: Vec<Option<ItemIndex>> = vec![None; part.item_ids.len()];
        let mut sessions = Sessions::new();
        let mut row = Vec::new();
        for session in ordered {
            row.clear();
            row.extend(session.iter().map(|e| {
                *index[e.item as usize]
                    .get_or_insert_with(|| items.add(part.item_id(e), support[e.item as usize]))
            }));
            sessions.push(&row, session[0].time);
        }
        Ok((Self::new(items, sessions), dropped))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(events: &[(&str, &str, TimeMicros)]) -> EventLog {
        let mut log = EventLog::new();
        events.iter().for_each(|&(session, item, time)| log.push(session, item, time));
        log
    }

    fn named(dataset: &Dataset) -> Vec<Vec<&str>> {
        dataset.sessions.iter().map(|s| s.iter().map(|&i| dataset.items.id(i)).collect()).collect()
    }

    #[test]
    fn training_data_do_not_depend_on_the_order_of_lines() {
        let mut events = vec![
            ("s2", "b", 20),
            ("s1", "a", 10),
            ("s1", "c", 30),
            ("s2", "a", 40),
            ("lone", "z", 5),
            ("s0", "a", 20),
            ("s0", "b", 21),
        ];
        let (first, dropped) = Dataset::from_log(log(&events)).unwrap();
        assert_eq!(dropped.short_sessions, 1);
        assert_eq!(named(&first), [vec!["a", "c"], vec!["a", "b"], vec!["b", "a"]]);
        assert_eq!(first.items.ids().collect::<Vec<_>>(), ["a", "c", "b"]);
        assert_eq!(first.items.supports(), [3, 1, 2]);
        for _ in 0..events.len() {
            events.rotate_left(1);
            let (other, _) = Dataset::from_log(log(&events)).unwrap();
            assert_eq!(other.sessions, first.sessions);
            assert_eq!(other.items.fingerprint(), first.items.fingerprint());
        }
    }

    #[test]
    fn known_items_keep_their_place_and_support_adds_up() {
        let (old, _) = Dataset::from_log(log(&[("s", "a", 1), ("s", "b", 2)])).unwrap();
        let mut new = log(&[("t", "c", 1), ("t", "b", 2), ("t", "c", 3)]);
        let (data, _) = Dataset::extending(&new.grouped(), old.items).unwrap();
        assert_eq!(data.items.ids().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(data.items.supports(), [1, 2, 2]);
        assert_eq!(data.sessions.iter().collect::<Vec<_>>(), [[2, 1, 2]]);
    }

    #[test]
    fn events_at_the_same_time_stay_in_file_order() {
        let (dataset, _) = Dataset::from_log(log(&[
            ("s", "c", 1),
            ("t", "x", 0),
            ("s", "a", 1),
            ("s", "b", 1),
            ("t", "x", 0),
        ]))
        .unwrap();
        assert_eq!(named(&dataset), [vec!["x", "x"], vec!["c", "a", "b"]]);
    }

    #[test]
    fn only_sessions_of_one_event_cannot_be_trained_on() {
        let error = Dataset::from_log(log(&[("s", "a", 1), ("t", "b", 2)])).unwrap_err();
        assert!(error.to_string().contains("all 2 sessions have a single event"), "{error}");
    }
}

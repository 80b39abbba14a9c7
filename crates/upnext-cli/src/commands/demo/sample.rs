//! The test session for which the demo recommends.

use anyhow::Context;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::Path;
use upnext_core::data::events::Event;
use upnext_core::data::{EventLog, Part, ReadOptions};
use upnext_core::data::{PartName, PreparedFolder};

/// The beginning of a session, and the item that came next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Sample {
    pub(super) session_id: String,
    /// Item ids of all clicks but the last, oldest first.
    pub(super) session: Vec<String>,
    /// Item id of the last click.
    pub(super) next: String,
}

impl Sample {
    /// Chooses the first session of the test part, by start time, with five or more events on different items. The
    /// choice does not depend on any model.
    pub(super) fn choose(data: &Path) -> anyhow::Result<Self> {
        let file = PreparedFolder::resolve(data, PartName::Test)?;
        let mut log = EventLog::read(&file, &ReadOptions::default(), &mut |_| ControlFlow::Continue(()))?;
        Self::of(&log.grouped()).with_context(|| format!("{}: has no session", file.display()))
    }

    fn of(part: &Part) -> Option<Self> {
        let worth_showing = |session: &[Event]| {
            let distinct = |(i, event): (usize, &Event)| session[..i].iter().all(|e| e.item != event.item);
            (5..=8).contains(&session.len()) && session.iter().enumerate().all(distinct)
        };
        // A small shop may have none: then the first session with a next click is used.
        let session = part
            .sessions()
            .filter(|session| session.len() >= 2)
            .min_by_key(|session| (!worth_showing(session), session[0].time, part.session_id(&session[0])))?;
        let mut ids: Vec<String> = session.iter().map(|event| part.item_id(event).to_owned()).collect();
        let next = ids.pop()?;
        Some(Self { session_id: part.session_id(&session[0]).to_owned(), session: ids, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(sessions: &[(&str, &str, i64)]) -> Option<Sample> {
        let mut log = EventLog::new();
        for &(id, items, start) in sessions {
            items.chars().zip(start..).for_each(|(item, time)| log.push(id, &item.to_string(), time));
        }
        Sample::of(&log.grouped())
    }

    #[test]
    fn the_first_session_of_five_different_items_is_shown_without_its_last() {
        let sample = chosen(&[
            ("repeats", "abcda", 1),
            ("late", "vwxyz", 9),
            ("first", "abcde", 5),
            ("short", "ab", 0),
        ]);
        let sample = sample.unwrap();
        assert_eq!((sample.session_id.as_str(), sample.session.concat().as_str()), ("first", "abcd"));
        assert_eq!(sample.next, "e");
    }

    #[test]
    fn of_short_sessions_the_first_with_a_next_click_is_shown() {
        assert_eq!(chosen(&[("one", "a", 0), ("b", "xy", 3), ("a", "yx", 3)]).unwrap().session_id, "a");
        assert_eq!(chosen(&[("one", "a", 0)]), None);
    }
}

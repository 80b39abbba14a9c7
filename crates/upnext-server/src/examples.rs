//! Sessions of a log, which the page replays: after each click, the reader sees the lists and the item that the visitor
//! clicked next.

use crate::{Error, ServerConfig};
use std::ops::{ControlFlow, RangeInclusive};
use std::path::Path;
use upnext_core::data::{Event, EventLog, ReadOptions};
use upnext_core::data::{PartName, PreparedFolder};
use upnext_kernels::CounterRng;

/// Number of sessions that are kept: enough to look around in, and a response of some ten kilobytes.
const SESSIONS: usize = 100;

/// Lengths of sessions that are good to look at. If there are none, those of two or more events are taken.
const LENGTHS: RangeInclusive<usize> = 3..=20;

/// The item ids of each session, oldest first. Session ids are left out, since they can be those of people.
#[derive(Debug, Default)]
pub(crate) struct Examples(Vec<Vec<String>>);

impl Examples {
    /// Draws sessions from a log, or from the test part of a prepared folder. The draw is the same at every start.
    ///
    /// # Errors
    /// For a log that cannot be read, and one without a session of two events.
    pub(crate) fn read(path: &Path, config: &ServerConfig) -> Result<Self, Error> {
        let file = PreparedFolder::resolve(path, PartName::Test)?;
        let mut log = EventLog::read(&file, &ReadOptions::default(), &mut |_| ControlFlow::Continue(()))?;
        let part = log.grouped();
        let is_usable = |session: &&[Event]| {
            let fits = |event: &Event| part.item_id(event).len() <= config.max_item_id_bytes;
            (2..=config.max_session_events).contains(&session.len()) && session.iter().all(fits)
        };
        let mut sessions: Vec<&[Event]> = part.sessions().filter(is_usable).collect();
        if sessions.iter().any(|session| LENGTHS.contains(&session.len())) {
            sessions.retain(|session| LENGTHS.contains(&session.len()));
        }
        if sessions.is_empty() {
            let reason = "has no session of two or more events to replay: give a log of whole sessions";
            return Err(
                upnext_core::Error::config("examples_log", format!("{} {reason}", path.display())).into()
            );
        }
        CounterRng::new(1, 0x6578).shuffle(&mut sessions);
        sessions.truncate(SESSIONS);
        let ids = |session: &[Event]| session.iter().map(|event| part.item_id(event).to_owned()).collect();
        Ok(Self(sessions.into_iter().map(ids).collect()))
    }

    /// The sessions.
    pub(crate) fn sessions(&self) -> &[Vec<String>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Vec<String>>, String> {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("log.csv");
        std::fs::write(&path, text).unwrap();
        let examples = Examples::read(&path, &ServerConfig::default());
        examples.map(|examples| examples.0).map_err(|error| error.to_string())
    }

    #[test]
    fn sessions_of_a_readable_length_are_drawn_with_their_events_in_order() {
        let head = "SessionId,ItemId,Time\n";
        let long = "long,a,1700000000\nlong,b,1700000002\nlong,c,1700000001\n";
        let short = "short,a,1700000000\nshort,b,1700000001\n";
        assert_eq!(read(&format!("{head}{short}{long}")).unwrap(), [["a", "c", "b"]]);
        assert_eq!(read(&format!("{head}{short}")).unwrap(), [["a", "b"]]);
        let message = read(&format!("{head}one,a,1700000000\ntwo,b,1700000000\n")).unwrap_err();
        assert!(message.contains("examples_log") && message.contains("two or more events"), "{message}");
    }
}

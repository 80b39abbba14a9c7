//! A click log in memory: its events as columns, 16 bytes each, and the ids that they refer to.

use super::ids::{IdTable, Ids, MAX_ID_BYTES};
use super::options::ReadOptions;
use super::part::Part;
use super::report::{ReadReport, RowProblem};
use super::rows::LogBuilder;
use super::sessions::TimeMicros;
use super::time::TimeSpan;
use super::warnings;
use crate::error::{Error, Result};
use std::path::Path;

/// One click: 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Number of the session in the log's session ids.
    pub session: u32,
    /// Number of the item in the log's item ids.
    pub item: u32,
    /// When it happened.
    pub time: TimeMicros,
}

/// What is wrong with an id that comes from no file.
fn reason(problem: &RowProblem) -> String {
    match problem {
        RowProblem::EmptyId { column } => format!("the {column} id is empty"),
        RowProblem::NulByte { column } => format!("the {column} id holds a NUL character"),
        RowProblem::LongId { column, bytes } => {
            format!("the {column} id is {bytes} bytes long, and at most {MAX_ID_BYTES} are allowed")
        }
        other => other.to_string(),
    }
}

/// A click log as read: events in file order until [`group`](Self::group) brings those of a session together.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    pub(super) events: Vec<Event>,
    pub(super) session_ids: IdTable,
    pub(super) item_ids: IdTable,
    pub(super) report: ReadReport,
}

impl EventLog {
    /// A log without events, to [`push`](Self::push) to.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an event; ids are any non-empty text.
    ///
    /// # Panics
    /// If the log already has 2³² events.
    pub fn push(&mut self, session: &str, item: &str, time: TimeMicros) {
        assert!(self.events.len() < u32::MAX as usize, "a log holds at most 2^32 events");
        let (session, item) = (self.session_ids.add(session), self.item_ids.add(item));
        self.events.push(Event { session, item, time });
    }

    /// A log of events in memory: session id, item id, time in microseconds since 1970.
    ///
    /// Ids are checked as those of files are: any text but the empty one, without NUL, of at most
    /// [`MAX_ID_BYTES`](super::MAX_ID_BYTES) bytes. To stop, end the iterator.
    ///
    /// ```
    /// use upnext_core::data::EventLog;
    /// let log = EventLog::from_events([("s1", "kettle", 0), ("s1", "tea", 1_000_000)])?;
    /// assert_eq!(log.len(), 2);
    /// let error = EventLog::from_events([("s1", "kettle", 0), ("s1", "", 1_000_000)]).unwrap_err();
    /// assert_eq!(error.to_string(), "event 2, counted from 1: the item id is empty");
    /// # Ok::<(), upnext_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BadEvent`] with the position of the first event whose session or item id is none, [`Error::NoEvents`] if there
    /// is none, [`Error::TooManyEvents`].
    pub fn from_events<S: AsRef<str>, I: AsRef<str>>(
        events: impl IntoIterator<Item = (S, I, TimeMicros)>,
    ) -> Result<Self> {
        let path = Path::new("events");
        let mut log = Self::new();
        let mut builder = LogBuilder::new(&mut log);
        let labels = ["session", "item", "time"].map(str::to_owned);
        for (position, (session, item, time)) in (1..).zip(events) {
            builder
                .push(session.as_ref().as_bytes(), item.as_ref().as_bytes(), time, &labels)
                .map_err(|problem| Error::BadEvent { position, reason: reason(&problem) })?;
            if builder.is_full() {
                return Err(Error::TooManyEvents { path: path.to_owned() });
            }
        }
        if log.is_empty() {
            return Err(Error::NoEvents { path: path.to_owned(), found: "there is none" });
        }
        log.finish(path, &ReadOptions::default())
    }

    /// What is left to do when all events are there; `path` is what messages call the log.
    pub(super) fn finish(mut self, path: &Path, options: &ReadOptions) -> Result<Self> {
        if self.is_empty() {
            // All rows were bad ones and left out.
            return Err(Error::NoEvents { path: path.to_owned(), found: "every row was left out" });
        }
        if let Some(gap) = options.effective_gap() {
            self.cut_at_gaps(gap);
        }
        self.report.warnings.extend(warnings::about_times(&self.events));
        Ok(self)
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events, in file order or, after [`group`](Self::group), session by session.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The session ids; some may have no event.
    pub fn session_ids(&self) -> Ids<'_> {
        Ids(&self.session_ids)
    }

    /// The item ids; some may have no event.
    pub fn item_ids(&self) -> Ids<'_> {
        Ids(&self.item_ids)
    }

    /// What reading found.
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// Brings the events of each session together, sessions in the order in which the log first names them, the
    /// events of a session by time, those at the same time in file order.
    ///
    /// Works in place, with 4 bytes an event beside the log, and none where the log is grouped already.
    pub fn group(&mut self) {
        if !self.events.is_sorted_by_key(|e| e.session) {
            let mut next = vec![0_u32; self.session_ids.len() + 1];
            for event in &self.events {
                next[event.session as usize + 1] += 1;
            }
            for s in 1..next.len() {
                next[s] += next[s - 1];
            }
            let mut place: Vec<u32> = Vec::with_capacity(self.events.len());
            for event in &self.events {
                let place_of_session = &mut next[event.session as usize];
                place.push(*place_of_session);
                *place_of_session += 1;
            }
            for i in 0..place.len() {
                while place[i] as usize != i {
                    let j = place[i] as usize;
                    self.events.swap(i, j);
                    place.swap(i, j);
                }
            }
        }
        for session in self.events.chunk_by_mut(|a, b| a.session == b.session) {
            if !session.is_sorted_by_key(|e| e.time) {
                session.sort_by_key(|e| e.time);
            }
        }
    }

    /// The whole log, grouped into sessions.
    pub fn grouped(&mut self) -> Part<'_> {
        self.group();
        Part::new(&self.events, &self.session_ids, &self.item_ids)
    }

    /// Makes of each session as many as its pauses longer than `gap` part it into; their ids are the old one, a
    /// slash, and a number from 1.
    pub(super) fn cut_at_gaps(&mut self, gap: TimeSpan) {
        self.group();
        let mut ids = IdTable::new();
        let mut id = String::new();
        for events in self.events.chunk_by_mut(|a, b| a.session == b.session) {
            let (user, mut last, mut number) = (events[0].session, None::<TimeMicros>, 0);
            let mut session = 0;
            for event in events {
                if last.is_none_or(|last| event.time.saturating_sub(last) > gap.micros()) {
                    number += 1;
                    id.clear();
                    id.push_str(self.session_ids.get(user));
                    id.push('/');
                    id.push_str(&number.to_string());
                    session = ids.add(&id);
                }
                last = Some(event.time);
                event.session = session;
            }
        }
        self.session_ids = ids;
    }
}

#[cfg(test)]
mod tests;

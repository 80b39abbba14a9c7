//! A click log in memory: its events, 16 bytes each (24 with an order besides the time), and the ids that they refer to.

use super::copies::copies;
use super::ids::{IdTable, Ids, MAX_ID_BYTES};
use super::part::Part;
use super::report::{ReadReport, RowProblem};
use super::rows::LogBuilder;
use super::sessions::TimeMicros;
use super::time::TimeSpan;
use super::warnings;
use crate::error::{Error, Result};
use std::path::Path;

/// An event of a log, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The session, as a number in the log's session ids.
    pub session: u32,
    /// The item, as a number in the log's item ids.
    pub item: u32,
    /// The time of the event.
    pub time: TimeMicros,
}

/// The message for an invalid id that does not come from a file.
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

/// A click log: events in file order, until [`group`](Self::group) sorts them by session.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    pub(super) events: Vec<Event>,
    pub(super) session_ids: IdTable,
    pub(super) item_ids: IdTable,
    pub(super) report: ReadReport,
    /// The order of each event among those of its session and time; empty if all have the order in which they came.
    orders: Vec<i64>,
    /// Whether sessions were cut at pauses.
    pub(super) is_cut: bool,
    /// Whether the order of the rows does not matter.
    pub(super) is_by_ids: bool,
}

impl EventLog {
    /// An empty log, to be filled by [`push`](Self::push).
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an event. Ids are any non-empty text.
    ///
    /// # Panics
    /// If the log already has 2³² − 1 events.
    pub fn push(&mut self, session: &str, item: &str, time: TimeMicros) {
        assert!(self.events.len() < u32::MAX as usize, "a log holds at most 2^32 events");
        let (session, item) = (self.session_ids.add(session), self.item_ids.add(item));
        self.events.push(Event { session, item, time });
    }

    /// Builds a log from events in memory: session id, item id, time in microseconds since 1970.
    ///
    /// Ids are checked like those of files: any text of 1 to [`MAX_ID_BYTES`] bytes without NUL.
    /// To stop early, end the iterator.
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
    /// [`Error::BadEvent`] with the position of the first event with an invalid id, [`Error::NoEvents`] if there is no
    /// event, [`Error::TooManyEvents`].
    pub fn from_events<S: AsRef<str>, I: AsRef<str>>(
        events: impl IntoIterator<Item = (S, I, TimeMicros)>,
    ) -> Result<Self> {
        let path = Path::new("events");
        let mut log = Self::new();
        let mut builder = LogBuilder::new(&mut log);
        for (position, (session, item, time)) in (1..).zip(events) {
            builder
                .push(session.as_ref().as_bytes(), item.as_ref().as_bytes(), time, ["session", "item"])
                .map_err(|problem| Error::BadEvent { position, reason: reason(&problem) })?;
            if builder.is_full() {
                return Err(Error::TooManyEvents { path: path.to_owned() });
            }
        }
        if log.is_empty() {
            return Err(Error::NoEvents { path: path.to_owned(), found: "there is none" });
        }
        log.finish(path, None, true)
    }

    /// Sets the order of the last event among those of its session and time. 0 if nothing orders them but their order in
    /// the log.
    #[cfg(feature = "logs")]
    #[inline]
    pub(super) fn set_order(&mut self, order: i64) {
        if order == 0 && self.orders.is_empty() {
            return;
        }
        self.orders.resize(self.events.len().saturating_sub(1), 0);
        self.orders.push(order);
    }

    /// Completes a log after its last event: cuts sessions at pauses longer than `gap`, and adds warnings, of times too if
    /// they were read. `path` names the log in messages.
    pub(super) fn finish(mut self, path: &Path, gap: Option<TimeSpan>, has_times: bool) -> Result<Self> {
        if self.is_empty() {
            // All rows were bad and skipped.
            return Err(Error::NoEvents { path: path.to_owned(), found: "every row was left out" });
        }
        if let Some(gap) = gap {
            self.cut_at_gaps(gap);
        }
        if has_times {
            self.report.warnings.extend(warnings::about_times(&self.events));
        }
        let events = &self.events;
        self.report.warnings.extend(warnings::about_placeholders(events, &self.session_ids, &self.item_ids));
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

    /// The report of reading the log.
    pub fn report(&self) -> &ReadReport {
        &self.report
    }

    /// Sorts the events by session, sessions by their first occurrence in the log, and the events of a session by time;
    /// those at the same time by what else orders them, or else in file order.
    ///
    /// Sorts in place, with 4 bytes of memory per event besides the log, and none if the log is grouped already; with twice
    /// the memory of the log if something else than the time orders its events.
    pub fn group(&mut self) {
        if !self.orders.is_empty() {
            return self.group_by_order();
        }
        if !self.events.is_sorted_by_key(|e| e.session) {
            let mut next = vec![0_u32; self.session_ids.len() + 1];
            for event in &self.events {
                next[event.session as usize + 1] += 1;
            }
            for s in 1..next.len() {
                next[s] += next[s - 1];
            }
            let mut target: Vec<u32> = Vec::with_capacity(self.events.len());
            for event in &self.events {
                let target_of_session = &mut next[event.session as usize];
                target.push(*target_of_session);
                *target_of_session += 1;
            }
            for i in 0..target.len() {
                while target[i] as usize != i {
                    let j = target[i] as usize;
                    self.events.swap(i, j);
                    target.swap(i, j);
                }
            }
        }
        for session in self.events.chunk_by_mut(|a, b| a.session == b.session) {
            if !session.is_sorted_by_key(|e| e.time) {
                session.sort_by_key(|e| e.time);
            }
        }
    }

    /// As [`group`](Self::group), for events that have an order beside their time.
    fn group_by_order(&mut self) {
        self.orders.resize(self.events.len(), 0);
        let key = |event: &Event, order: i64| (event.session, event.time, order);
        let keys = || self.events.iter().zip(&self.orders).map(|(event, order)| key(event, *order));
        if !keys().is_sorted() {
            let (events, orders) = (std::mem::take(&mut self.events), std::mem::take(&mut self.orders));
            let mut keyed: Vec<(Event, i64)> = events.into_iter().zip(orders).collect();
            keyed.sort_by_key(|(event, order)| key(event, *order));
            (self.events, self.orders) = keyed.into_iter().unzip();
        }
    }

    /// Groups the log, with sessions in the order of their ids, and events of a session at the same time by what else orders them
    /// and then by their items' ids.
    ///
    /// It takes twice the memory of the log.
    #[cfg(feature = "logs")]
    pub(super) fn order_by_ids(&mut self) {
        let ranks = |ids: &IdTable| {
            let mut by_id: Vec<u32> = (0..ids.len() as u32).collect();
            by_id.sort_unstable_by_key(|&number| ids.get(number));
            let mut ranks = vec![0; by_id.len()];
            (0..).zip(&by_id).for_each(|(rank, &number)| ranks[number as usize] = rank);
            (by_id, ranks)
        };
        let (sessions, new_sessions) = ranks(&self.session_ids);
        let (_, item_ranks) = ranks(&self.item_ids);
        self.orders.resize(self.events.len(), 0);
        let mut keyed: Vec<(Event, i64)> =
            std::mem::take(&mut self.events).into_iter().zip(std::mem::take(&mut self.orders)).collect();
        keyed.iter_mut().for_each(|(event, _)| event.session = new_sessions[event.session as usize]);
        keyed.sort_unstable_by_key(|&(event, order)| {
            (event.session, event.time, order, item_ranks[event.item as usize])
        });
        (self.events, self.orders) = keyed.into_iter().unzip();
        if self.orders.iter().all(|&order| order == 0) {
            self.orders = Vec::new();
        }
        let mut ids = IdTable::new();
        sessions.iter().for_each(|&number| _ = ids.add(self.session_ids.get(number)));
        self.session_ids = ids;
        self.is_by_ids = true;
    }

    /// The positions of events of the grouped log that repeat an earlier one, in ascending order.
    pub(super) fn copies(&self) -> Vec<usize> {
        copies(&self.events, &self.orders)
    }

    /// Whether something else than the order in the log orders events with the same time.
    pub(super) fn has_order(&self) -> bool {
        !self.orders.is_empty()
    }

    /// Groups the log, and returns all of it as a part.
    pub fn grouped(&mut self) -> Part<'_> {
        self.group();
        Part::new(&self.events, &self.session_ids, &self.item_ids)
    }

    /// The log with its events grouped, whose part several threads can read.
    pub fn into_grouped(mut self) -> GroupedLog {
        self.group();
        GroupedLog(self)
    }

    /// Splits each session at its pauses longer than `gap`. The new ids are the old one, a slash, and a number from 1.
    pub(super) fn cut_at_gaps(&mut self, gap: TimeSpan) {
        self.group();
        self.is_cut = true;
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

/// A log whose events are grouped by session ([`EventLog::group`]).
#[derive(Clone, Debug, Default)]
pub struct GroupedLog(EventLog);

impl GroupedLog {
    /// All of it as a part.
    pub fn part(&self) -> Part<'_> {
        Part::new(&self.0.events, &self.0.session_ids, &self.0.item_ids)
    }

    /// The report of reading the log.
    pub fn report(&self) -> &ReadReport {
        &self.0.report
    }

    /// The log.
    pub fn into_log(self) -> EventLog {
        self.0
    }
}

#[cfg(test)]
mod tests;

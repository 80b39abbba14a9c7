//! A click log in memory: its events as columns, 16 bytes each, and the ids that they refer to.

use super::ids::IdTable;
use super::options::ReadOptions;
use super::part::Part;
use super::report::ReadReport;
use super::sessions::TimeMicros;
use super::source::{self, Source};
use super::time::TimeSpan;
use super::{columnar, text, warnings};
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

/// A click log as read: events in file order until [`group`](Self::group) brings those of a session together.
#[derive(Clone, Debug, Default)]
pub struct EventLog {
    pub(super) events: Vec<Event>,
    pub(super) session_ids: IdTable,
    pub(super) item_ids: IdTable,
    pub(super) report: ReadReport,
}

/// Adds up the progress over several files.
pub(super) struct Progress<'a> {
    pub(super) report: &'a mut dyn FnMut(u64, u64),
    /// Bytes of the files before this one.
    pub(super) before: u64,
    /// Bytes of all files.
    pub(super) total: u64,
}

impl Progress<'_> {
    pub(super) fn at(&mut self, bytes_of_file: u64) {
        (self.report)((self.before + bytes_of_file).min(self.total), self.total);
    }
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

    /// Reads a log: CSV, TSV or Parquet, plain or compressed with gzip or zstd, told apart by their first bytes.
    ///
    /// `progress` is called with the bytes read so far and the bytes of the file (0 where its size is unknown).
    ///
    /// # Errors
    /// An [`Error`] that names the file, and the line and column where there is one: the file cannot be opened or
    /// is truncated, damaged, empty or without one of the columns; rows are no events (unless
    /// [`ReadOptions::skip_bad_rows`] is set); the options contradict each other.
    pub fn read(path: &Path, options: &ReadOptions, progress: &mut dyn FnMut(u64, u64)) -> Result<Self> {
        Self::read_all(&[path], options, progress)
    }

    /// Reads several files as one log, as [`read`](Self::read) reads one: the same id in two files is the same.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_all<P: AsRef<Path>>(
        paths: &[P],
        options: &ReadOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Self> {
        options.check()?;
        let size = |path: &Path| std::fs::metadata(path).map_or(0, |m| m.len());
        let total = paths.iter().map(|p| size(p.as_ref())).sum();
        let mut log = Self::new();
        let mut before = 0;
        for path in paths.iter().map(AsRef::as_ref) {
            let mut progress = Progress { report: progress, before, total };
            let report = match source::open(path)? {
                Source::Text(source) => text::read(source, options, &mut log, &mut progress)?,
                Source::Parquet(file) => columnar::read(path, file, options, &mut log, &mut progress)?,
            };
            before += size(path);
            log.report.files.push(report);
        }
        if log.is_empty() {
            // All rows were bad ones and left out.
            let path = paths.first().map(|p| p.as_ref().to_owned()).unwrap_or_default();
            return Err(Error::NoEvents { path, found: "every row was left out" });
        }
        if let Some(gap) = options.effective_gap() {
            log.cut_at_gaps(gap);
        }
        log.report.warnings.extend(warnings::about_times(&log.events));
        Ok(log)
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
    pub fn session_ids(&self) -> &IdTable {
        &self.session_ids
    }

    /// The item ids; some may have no event.
    pub fn item_ids(&self) -> &IdTable {
        &self.item_ids
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
    fn cut_at_gaps(&mut self, gap: TimeSpan) {
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

//! What looks wrong in the sessions of a log while it is read: users who share a session id, ids that begin again in every
//! file, ids that were changed.

use super::events::Event;
use super::names::shortened;
use super::normalize::Changes;
use super::options::{ReadOptions, RowOrder};
use super::sessions::TimeMicros;
use super::time::MICROS_PER_HOUR;
use foldhash::fast::RandomState;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

/// Several users in one session.
const SEVERAL: u64 = u64::MAX;

/// What is counted while a log is read.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// What was changed in session ids.
    pub(super) session_ids: Changes,
    /// What was changed in item ids.
    pub(super) item_ids: Changes,
    /// Number of the file, from 1.
    file: usize,
    /// Rows of the files before, and the records that they are of.
    rows: u64,
    records: u64,
    has_users: bool,
    hasher: RandomState,
    /// A hash of the user of each session; 0 for none, [`SEVERAL`].
    users: Vec<u64>,
    several_users: u64,
    /// Whether sessions are cut at pauses afterwards.
    is_cut: bool,
    /// Whether the order of the rows is the time.
    by_rows: bool,
    /// The values of conditions, by the name of their column, and whether a row had them.
    conditions: BTreeMap<(String, String), bool>,
    /// The time of the first row of each session, where the order of the rows is the time and a column orders them.
    first_times: Vec<TimeMicros>,
    /// Of each session the last file that it occurs in, and the time of its last event there; only with several files.
    last: Vec<(u32, TimeMicros)>,
    /// Sessions of this file, and those of them that continue a session of an earlier file after a pause of hours.
    sessions: u64,
    after_pause: u64,
    /// The file in which most sessions continue those of earlier files after hours: its number, both counts.
    restarted: Option<(usize, u64, u64)>,
    /// Whether there are several files.
    several_files: bool,
}

impl Watch {
    pub(super) fn new(files: usize, options: &ReadOptions) -> Self {
        let (is_cut, by_rows) = (options.effective_gap().is_some(), options.order == RowOrder::Rows);
        Self { several_files: files > 1, is_cut, by_rows, ..Self::default() }
    }

    pub(super) fn begin_file(&mut self, has_users: bool) {
        self.file += 1;
        self.has_users = has_users;
        (self.sessions, self.after_pause) = (0, 0);
    }

    /// The number of the file, from 1.
    pub(super) fn file(&self) -> usize {
        self.file
    }

    /// Rows of the files before this one.
    pub(super) fn rows_before(&self) -> u64 {
        self.rows
    }

    /// Records of the files before this one.
    pub(super) fn records_before(&self) -> u64 {
        self.records
    }

    pub(super) fn end_file(&mut self, rows: u64, records: u64) {
        self.rows += rows;
        self.records += records;
        if self.after_pause * 2 > self.sessions && self.restarted.is_none() {
            self.restarted = Some((self.file, self.after_pause, self.sessions));
        }
    }

    /// Notes an event, and the user of its row.
    #[inline]
    pub(super) fn event(&mut self, event: Event, user: Option<&[u8]>) {
        if self.several_files && !self.is_cut {
            self.continue_session(event);
        }
        if self.has_users {
            self.note_user(event.session as usize, user);
        }
    }

    fn continue_session(&mut self, event: Event) {
        let session = event.session as usize;
        if session >= self.last.len() {
            self.last.resize(session + 1, (0, 0));
        }
        let (file, time) = self.last[session];
        if file as usize != self.file {
            self.sessions += 1;
            let pause = event.time.saturating_sub(time);
            let is_later = self.by_rows || pause.saturating_abs() > MICROS_PER_HOUR;
            self.after_pause += u64::from(file > 0 && is_later);
        }
        self.last[session] = (self.file as u32, event.time);
    }

    /// The time of the first row of a session, of which a row has this time.
    pub(super) fn first_time(&mut self, session: u32, time: TimeMicros) -> TimeMicros {
        let session = session as usize;
        if session >= self.first_times.len() {
            self.first_times.resize(session + 1, TimeMicros::MIN);
        }
        let first = &mut self.first_times[session];
        if *first == TimeMicros::MIN {
            *first = time;
        }
        *first
    }

    /// Notes whether rows of a file had the value of a condition on a column.
    pub(super) fn condition(&mut self, column: &str, value: &[u8], is_met: bool) {
        let value = String::from_utf8_lossy(value).into_owned();
        *self.conditions.entry((column.to_owned(), value)).or_default() |= is_met;
    }

    fn note_user(&mut self, session: usize, user: Option<&[u8]>) {
        let Some(user) = user.map(<[u8]>::trim_ascii).filter(|user| !super::normalize::is_null(user)) else {
            return;
        };
        if session >= self.users.len() {
            self.users.resize(session + 1, 0);
        }
        let hash = self.hasher.hash_one(user).clamp(1, SEVERAL - 1);
        let known = &mut self.users[session];
        if *known == 0 {
            *known = hash;
        } else if *known != hash && *known != SEVERAL {
            *known = SEVERAL;
            self.several_users += 1;
        }
    }

    /// Warnings about the whole log, whose columns messages call `session`, `item` and `user`.
    pub(super) fn warnings(&self, session: &str, item: &str, user: Option<&str>) -> Vec<String> {
        let mut warnings = self.session_ids.warnings(session);
        warnings.extend(self.item_ids.warnings(item));
        let sessions = self.users.iter().filter(|&&user| user != 0).count() as u64;
        if let Some(user) = user
            && self.several_users > 0
        {
            warnings.push(format!(
                "{} of {sessions} sessions have several users ({user}): if session ids are not unique among users, name both columns, by `session_column` and by `user_column`",
                self.several_users
            ));
        }
        if let Some((file, continued, sessions)) = self.restarted {
            let after = if self.by_rows { "" } else { " after hours" };
            warnings.push(format!(
                "{continued} of {sessions} sessions of file {file} continue sessions of earlier files{after}: if session ids begin again in every file, set `sessions_per_file`"
            ));
        }
        let unmet = self.conditions.iter().filter(|(_, is_met)| !**is_met);
        warnings.extend(unmet.map(|((column, value), _)| {
            format!("no row has the value \"{}\" in {column}, which `where` names", shortened(value))
        }));
        warnings
    }
}

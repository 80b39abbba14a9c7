//! Puts the rows of a training part together to sessions, and checks that none is missing.

use super::groups::{Column, Groups, Reader};
use crate::data::read::ReadProgress;
use crate::data::sessions::TimeMicros;
use crate::data::vocabulary::ItemIndex;
use crate::error::Result;
use arrow_array::Int64Array;
use std::path::Path;

/// Whether the times of events are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    Read,
    Skip,
}

/// Opens the training part of a folder.
pub(super) fn open(folder: &Path, times: Times) -> Result<Groups> {
    let columns = ["session", "position", "item", "validation", "time"].map(Column::Number);
    let wanted = if times == Times::Read { 5 } else { 4 };
    Groups::open(&folder.join("train"), &columns[..wanted], 2)
}

/// A training session.
#[derive(Debug, Default)]
pub(super) struct Session {
    /// Its number in the folder.
    pub(super) number: u64,
    /// The row group in which it begins.
    pub(super) group: usize,
    pub(super) is_validation: bool,
    /// The numbers of its items.
    pub(super) items: Vec<ItemIndex>,
    /// The times of its events; none if they were not wanted.
    pub(super) times: Vec<TimeMicros>,
}

/// Reads sessions one after the other.
pub(super) struct SessionReader<'g> {
    reader: Reader<'g>,
    /// The columns of the rows at hand: session, position, item, validation and time.
    columns: [Int64Array; 5],
    /// The row of them that is read next.
    row: usize,
    num_items: usize,
    session: Session,
    /// The number of the session that must come next; `None` before the first session that begins where reading does.
    expected: Option<i64>,
    told: u64,
}

impl<'g> SessionReader<'g> {
    /// Reads the sessions that begin in a row group or later.
    pub(super) fn new(groups: &'g Groups, group: usize, num_items: usize) -> Self {
        Self {
            reader: groups.rows_from(group),
            columns: std::array::from_fn(|_| Int64Array::from(Vec::<i64>::new())),
            row: 0,
            num_items,
            session: Session::default(),
            expected: (group == 0).then_some(0),
            told: 0,
        }
    }

    /// The next session; `None` after the last.
    ///
    /// # Errors
    /// [`Error::NotPrepared`](crate::Error::NotPrepared) for rows that are no sessions one after the other.
    pub(super) fn next(&mut self) -> Result<Option<&Session>> {
        self.session.items.clear();
        self.session.times.clear();
        let mut begun = None;
        while self.has_row()? {
            let [sessions, positions, items, validations, times] =
                [0, 1, 2, 3, 4].map(|column| &self.columns[column].values()[..]);
            let (session, position, item) = (sessions[self.row], positions[self.row], items[self.row]);
            match begun {
                None if position == 0 && self.expected.is_none_or(|expected| session == expected) => {
                    begun = Some(session);
                    self.session.number = session as u64;
                    self.session.group = self.reader.group();
                    self.session.is_validation = validations[self.row] != 0;
                }
                // The rest of a session that began before.
                None if self.expected.is_none() => {
                    self.row += 1;
                    continue;
                }
                Some(number) if session == number && position == self.session.items.len() as i64 => {}
                Some(number) if session == number + 1 && position == 0 => break,
                _ => return Err(self.out_of_order(begun, session, position)),
            }
            let Some(item) = u32::try_from(item).ok().filter(|&item| (item as usize) < self.num_items) else {
                return Err(self.reader.wrong(format!("there is no item {item} in the items of the folder")));
            };
            self.session.items.push(item);
            if let Some(&time) = times.get(self.row) {
                self.session.times.push(time);
            }
            self.row += 1;
        }
        self.expected = begun.map_or(self.expected, |number| Some(number + 1));
        Ok(begun.map(|_| &self.session))
    }

    fn out_of_order(&self, begun: Option<i64>, session: i64, position: i64) -> crate::Error {
        let (of, before) = match (begun, self.expected) {
            (Some(number), _) => (number, format!("event {}", self.session.items.len() as i64 - 1)),
            (None, expected) => (expected.unwrap_or(0) - 1, "the last event".to_owned()),
        };
        self.reader.wrong(format!(
            "event {position} of session {session} comes after {before} of session {of}: a file is missing, or there twice, or its rows are not in order"
        ))
    }

    /// Whether there is another row, which is then at hand.
    fn has_row(&mut self) -> Result<bool> {
        while self.row >= self.columns[0].len() {
            let Some(rows) = self.reader.next()? else { return Ok(false) };
            (self.columns, self.row) = (std::array::from_fn(|column| rows.numbers(column)), 0);
        }
        Ok(true)
    }

    /// How far it has read, whenever it is further than when it was asked last.
    pub(super) fn progress(&mut self) -> Option<ReadProgress> {
        let progress = self.reader.progress();
        (progress.events != self.told).then(|| {
            self.told = progress.events;
            progress
        })
    }
}

//! Puts the rows of a training part together to sessions, and checks that none is missing.

use super::groups::{Column, Groups, Reader, Rows};
use crate::data::read::ReadProgress;
use crate::data::sessions::TimeMicros;
use crate::data::vocabulary::ItemIndex;
use crate::error::Result;
use std::path::Path;

/// Opens the training part of a folder.
pub(super) fn open(folder: &Path) -> Result<Groups> {
    let columns = ["session", "position", "item", "time", "validation"].map(Column::Number);
    Groups::open(&folder.join("train"), &columns, 2)
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
    pub(super) times: Vec<TimeMicros>,
}

/// Reads sessions one after the other.
pub(super) struct SessionReader<'g> {
    reader: Reader<'g>,
    batch: Option<Rows>,
    /// The row of the batch that is read next.
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
            batch: None,
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
        while let Some([session, position, item, time, validation]) = self.peek()? {
            match begun {
                None if position == 0 && self.expected.is_none_or(|expected| session == expected) => {
                    begun = Some(session);
                    self.session.number = session as u64;
                    self.session.group = self.reader.group();
                    self.session.is_validation = validation != 0;
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
            self.session.times.push(time);
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

    /// The values of the next row.
    fn peek(&mut self) -> Result<Option<[i64; 5]>> {
        while self.batch.as_ref().is_none_or(|batch| self.row >= batch.rows()) {
            self.batch = self.reader.next()?;
            self.row = 0;
            if self.batch.is_none() {
                return Ok(None);
            }
        }
        let row = self.row;
        Ok(self.batch.as_ref().map(|batch| [0, 1, 2, 3, 4].map(|column| batch.number(column, row))))
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

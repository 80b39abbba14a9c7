//! Folders of item numbers, which the queries of [`sql`](super::sql) write: `items`, `train`, `test`, `test_all`, `valid` and
//! `statistics`, each of which is a folder of Parquet files.
//!
//! `train` has the columns `session` (0, 1, 2, … in the order of training), `position` (0, 1, 2, … in the session), `item` (its
//! number in `items`), `time` (microseconds since 1970) and `validation`. The rows may be in any number of files, in any order of
//! files, and sessions may straddle them, but the rows of a row group are in order. Whatever is missing, there twice or of another
//! preparation is noticed: sessions and positions have no gaps, and the counts are those of `statistics`, item by item.
//!
//! The other parts are logs of ids (`session_id`, `item_id`, `time`, `position`).

mod groups;
mod statistics;

use super::events::EventLog;
use super::options::ReadOptions;
use super::part::PartName;
use super::read::ReadProgress;
use super::sessions::{Dataset, Sessions, TimeMicros};
use super::sql::SqlOptions;
use super::statistics::{DropRule, Statistics};
use super::time::TimeUnit;
use super::vocabulary::{ItemIndex, ItemVocabulary};
use crate::error::{Error, Result};
use crate::memory;
use groups::{Column, Groups};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// A folder of item numbers.
#[derive(Clone, Debug)]
pub struct IndexedFolder {
    path: PathBuf,
    statistics: Statistics,
    options: SqlOptions,
}

/// The observer of reading.
type Observer<'a> = dyn FnMut(ReadProgress) -> ControlFlow<()> + 'a;

/// Whether a folder has all of these folders.
fn has_folders(path: &Path, names: &[&str]) -> bool {
    names.iter().all(|name| path.join(name).is_dir())
}

/// What a training session is read into.
trait Sink {
    /// Adds a session: the numbers of its items and their times. `number` is its place among all sessions of the training part.
    fn add(&mut self, number: u64, items: &[ItemIndex], times: &[TimeMicros]);
}

impl IndexedFolder {
    /// Whether a folder is one of item numbers, complete or not.
    pub fn is_at(path: &Path) -> bool {
        Self::is_whole_at(path) || has_folders(path, &["items", "train", "test_all"])
    }

    /// Whether a folder has the statistics, which are written last, and what is read besides them.
    pub(super) fn is_whole_at(path: &Path) -> bool {
        has_folders(path, &["items", "train", "statistics"])
    }

    /// Opens a folder.
    ///
    /// # Errors
    /// [`Error::Unfinished`] for a folder that is being written, [`Error::NotPrepared`] for one that is damaged or of a newer
    /// version, [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        if !Self::is_whole_at(path) {
            return Err(Error::Unfinished { path: path.to_owned() });
        }
        let (statistics, options) = statistics::read(path)?;
        Ok(Self { path: path.to_owned(), statistics, options })
    }

    /// The statistics of the preparation.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// How the log was prepared.
    pub fn options(&self) -> &SqlOptions {
        &self.options
    }

    /// The folder of a part; that of `fit`, which is made of `train`, does not exist.
    pub(super) fn part(&self, name: PartName) -> PathBuf {
        self.path.join(name.as_str())
    }

    /// Whether the folder has a part.
    pub(super) fn has_part(&self, name: PartName) -> bool {
        let statistics = &self.statistics;
        match name {
            PartName::Train => true,
            PartName::Test => statistics.test.events > 0,
            PartName::TestAll => {
                let of_test = [DropRule::UnknownItem, DropRule::ShortTestSession];
                statistics.dropped.iter().any(|dropped| of_test.contains(&dropped.rule))
            }
            PartName::Fit | PartName::Valid => statistics.valid.is_some(),
        }
    }

    /// The folder in which `path` is a part, and the part.
    pub(super) fn of_part(path: &Path) -> Option<(&Path, PartName)> {
        let (folder, name) = (path.parent()?, path.file_name()?);
        let name = PartName::ALL.into_iter().find(|part| name == part.as_str())?;
        Self::is_whole_at(folder).then_some((folder, name))
    }

    /// How the parts of ids are read.
    pub(super) fn read_options() -> ReadOptions {
        ReadOptions {
            session_column: vec!["session_id".to_owned()],
            item_column: Some("item_id".to_owned()),
            time_column: Some("time".to_owned()),
            order_column: Some("position".to_owned()),
            time_unit: TimeUnit::Us,
            keep_null_ids: true,
            ..ReadOptions::default()
        }
    }

    /// The vocabulary, with its supports.
    fn items(&self) -> Result<ItemVocabulary> {
        let folder = self.path.join("items");
        let wanted = [Column::Number("item"), Column::Text("item_id"), Column::Number("support")];
        let groups = Groups::open(&folder, &wanted, 1)?;
        let mut items = ItemVocabulary::new();
        groups.read(&mut |_| ControlFlow::Continue(()), &mut |batch| {
            for row in 0..batch.rows() {
                let (number, id, support) = (batch.number(0, row), batch.text(1, row), batch.number(2, row));
                if number != items.len() as i64 {
                    return Err(format!("the item {number} comes after {} items", items.len()));
                }
                items.add(id, u64::try_from(support).unwrap_or(0));
                if items.len() as i64 != number + 1 {
                    return Err(format!("the item {id:?} is there twice"));
                }
            }
            Ok(())
        })?;
        if items.len() as u64 != self.statistics.train.items {
            return Err(self.differs(
                format!("{} items", items.len()),
                format!("{} items", self.statistics.train.items),
            ));
        }
        Ok(items)
    }

    /// Training data: the whole training part, or without the sessions of the validation part, whose items keep the indices of
    /// `known` and follow it in the order of their occurrence ([`Dataset::extending`]).
    ///
    /// The peak memory is that of the data: 4 bytes an event and about 5 a session.
    ///
    /// # Errors
    /// [`Error::NotPrepared`] for a folder that is damaged, incomplete or mixed; [`Error::Memory`]; [`Error::Io`];
    /// [`Error::Stopped`] if the observer breaks.
    ///
    /// # Panics
    /// If `part` is neither `train` nor `fit`.
    pub fn dataset(
        &self,
        part: PartName,
        known: ItemVocabulary,
        observe: &mut Observer<'_>,
    ) -> Result<Dataset> {
        let counts = match part {
            PartName::Train => Some(self.statistics.train),
            PartName::Fit => self.statistics.fit,
            _ => panic!("the part {} has ids", part.as_str()),
        };
        let counts = counts.ok_or_else(|| self.lacks(part))?;
        let all = self.items()?;
        // The counts are those of a file: more than there is memory for are refused, and not reserved.
        let bytes = counts.events.saturating_mul(4).saturating_add(counts.sessions.saturating_mul(5));
        memory::require("the training data", bytes)?;
        let (sessions, events) = (counts.sessions as usize, counts.events as usize);
        let is_as_stored = part == PartName::Train && known.is_empty();
        let mut sink = Indices {
            index: if is_as_stored { Vec::new() } else { vec![None; all.len()] },
            items: known,
            sessions: Sessions::with_capacity(sessions, events),
            row: Vec::new(),
            all,
            is_as_stored,
        };
        let supports = sink.all.supports().to_vec();
        self.read_train(part, supports, &mut sink, observe)?;
        let Indices { items, all, sessions, .. } = sink;
        Ok(Dataset::new(if is_as_stored { all } else { items }, sessions))
    }

    /// Adds the training part, or `fit`, to a log of ids; those of sessions are their numbers.
    pub(super) fn append(
        &self,
        part: PartName,
        log: &mut EventLog,
        observe: &mut Observer<'_>,
    ) -> Result<()> {
        let all = self.items()?;
        let supports = all.supports().to_vec();
        let mut sink = Ids { all, log, is_full: false };
        self.read_train(part, supports, &mut sink, observe)?;
        if sink.is_full {
            return Err(Error::TooManyEvents { path: self.part(part) });
        }
        Ok(())
    }

    /// Reads the training part, or without the sessions of the validation part, and checks it.
    fn read_train(
        &self,
        part: PartName,
        supports: Vec<u64>,
        sink: &mut dyn Sink,
        observe: &mut Observer<'_>,
    ) -> Result<()> {
        if part == PartName::Fit && self.statistics.fit.is_none() {
            return Err(self.lacks(part));
        }
        let columns = ["session", "position", "item", "time", "validation"].map(Column::Number);
        let groups = Groups::open(&self.path.join("train"), &columns, 2)?;
        let mut reader = TrainReader {
            left: supports,
            is_fit: part == PartName::Fit,
            sink,
            session: -1,
            is_validation: false,
            items: Vec::new(),
            times: Vec::new(),
            events: 0,
        };
        groups.read(observe, &mut |batch| {
            (0..batch.rows())
                .try_for_each(|row| reader.add([0, 1, 2, 3, 4].map(|column| batch.number(column, row))))
        })?;
        reader.end_session();
        let (sessions, events) = ((reader.session + 1) as u64, reader.events);
        let train = &self.statistics.train;
        if (sessions, events) != (train.sessions, train.events) {
            return Err(self.differs(
                format!("{events} events in {sessions} sessions"),
                format!("{} in {}", train.events, train.sessions),
            ));
        }
        if let Some(item) = reader.left.iter().position(|&left| left != 0) {
            return Err(self.differs(
                format!("other events on item {item} than its items count"),
                format!("{} in all: its parts are of two preparations", train.events),
            ));
        }
        Ok(())
    }

    fn lacks(&self, part: PartName) -> Error {
        let reason = format!("has no {} part: prepare the log again with a validation part", part.as_str());
        Error::NotPrepared { path: self.path.clone(), reason }
    }

    fn differs(&self, found: String, expected: String) -> Error {
        Error::NotPrepared {
            path: self.path.clone(),
            reason: format!(
                "it has {found}, and its statistics say {expected}: a part was changed, or is still being written: prepare the log again"
            ),
        }
    }
}

/// Puts the rows of a training part together and checks them.
struct TrainReader<'a> {
    sink: &'a mut dyn Sink,
    is_fit: bool,
    /// The session at hand; −1 before the first.
    session: i64,
    is_validation: bool,
    items: Vec<ItemIndex>,
    times: Vec<TimeMicros>,
    events: u64,
    /// For each item, the events that are still to come.
    left: Vec<u64>,
}

impl TrainReader<'_> {
    fn add(
        &mut self,
        [session, position, item, time, validation]: [i64; 5],
    ) -> std::result::Result<(), String> {
        if session == self.session + 1 && position == 0 {
            self.end_session();
            (self.session, self.is_validation) = (session, validation != 0);
        } else if session != self.session || position != self.items.len() as i64 {
            return Err(format!(
                "event {position} of session {session} comes after event {} of session {}: a file is missing, or there twice, or its rows are not in order",
                self.items.len() as i64 - 1,
                self.session
            ));
        }
        let left = usize::try_from(item).ok().and_then(|item| self.left.get_mut(item));
        let left = left.ok_or_else(|| format!("there is no item {item} in the items of the folder"))?;
        *left = left.wrapping_sub(1);
        self.items.push(item as ItemIndex);
        self.times.push(time);
        self.events += 1;
        Ok(())
    }

    fn end_session(&mut self) {
        let is_left_out = self.is_fit && self.is_validation;
        if !self.items.is_empty() && !is_left_out {
            self.sink.add(self.session as u64, &self.items, &self.times);
        }
        self.items.clear();
        self.times.clear();
    }
}

/// Training data of item indices.
struct Indices {
    all: ItemVocabulary,
    /// Whether items keep the numbers of the folder.
    is_as_stored: bool,
    items: ItemVocabulary,
    index: Vec<Option<ItemIndex>>,
    sessions: Sessions,
    row: Vec<ItemIndex>,
}

impl Sink for Indices {
    fn add(&mut self, _: u64, items: &[ItemIndex], times: &[TimeMicros]) {
        let start = times.first().copied().unwrap_or(0);
        if self.is_as_stored {
            return self.sessions.push(items, start);
        }
        self.row.clear();
        for &item in items {
            let of = &mut self.index[item as usize];
            let index = *of.get_or_insert_with(|| self.items.add(self.all.id(item), 0));
            self.items.add_support(index, 1);
            self.row.push(index);
        }
        self.sessions.push(&self.row, start);
    }
}

/// A log of ids.
struct Ids<'a> {
    all: ItemVocabulary,
    log: &'a mut EventLog,
    is_full: bool,
}

impl Sink for Ids<'_> {
    fn add(&mut self, number: u64, items: &[ItemIndex], times: &[TimeMicros]) {
        if self.log.len() + items.len() >= u32::MAX as usize {
            self.is_full = true;
            return;
        }
        // As text in the order of the numbers.
        let session = format!("#{number:010}");
        items.iter().zip(times).for_each(|(&item, &time)| self.log.push(&session, self.all.id(item), time));
    }
}

#[cfg(test)]
mod tests;

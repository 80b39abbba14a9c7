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
mod sessions;
mod statistics;
mod stream;

use super::events::EventLog;
use super::options::ReadOptions;
use super::part::{PartCounts, PartName};
use super::read::ReadProgress;
use super::sessions::{Dataset, Sessions};
use super::sql::SqlOptions;
use super::statistics::{DropRule, Statistics};
use super::time::TimeUnit;
use super::vocabulary::{ItemIndex, ItemVocabulary};
use crate::data::SessionCounts;
use crate::error::{Error, Result};
use crate::memory;
use groups::{Column, Groups};
use sessions::{Session, SessionReader, Times};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use stream::{PartOnDisk, Place};

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
        let mut reader = groups.rows_from(0);
        while let Some(batch) = reader.next()? {
            for row in 0..batch.rows() {
                let (number, id, support) = (batch.number(0, row), batch.text(1, row), batch.number(2, row));
                if number != items.len() as i64 {
                    return Err(reader.wrong(format!("the item {number} comes after {} items", items.len())));
                }
                items.add(id, u64::try_from(support).unwrap_or(0));
                if items.len() as i64 != number + 1 {
                    return Err(reader.wrong(format!("the item {id:?} is there twice")));
                }
            }
        }
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
        let counts = self.counts_of(part)?;
        let all = self.items()?;
        let supports = all.supports().to_vec();
        let mut map = ItemMap::new(all, part, known);
        // The counts are those of a file: more than there is memory for are refused, and not reserved.
        let bytes = counts.events.saturating_mul(4).saturating_add(counts.sessions.saturating_mul(5));
        memory::require("the training data", bytes)?;
        let mut sessions = Sessions::with_capacity(counts.sessions as usize, counts.events as usize);
        let mut add = |session: &Session| {
            sessions.push(map.map(&session.items), session.times.first().copied().unwrap_or(0));
        };
        self.read_train(part, &sessions::open(&self.path, Times::Read)?, supports, &mut add, observe)?;
        Ok(Dataset::new(map.into_items(), sessions))
    }

    /// The same training data, which stay on the disk: every epoch reads them there. They are read once now, and checked.
    ///
    /// The peak memory is that of the items, and about a kilobyte for each row group of the files.
    ///
    /// # Errors
    /// Those of [`dataset`](Self::dataset).
    ///
    /// # Panics
    /// As [`dataset`](Self::dataset).
    pub fn dataset_on_disk(
        &self,
        part: PartName,
        known: ItemVocabulary,
        observe: &mut Observer<'_>,
    ) -> Result<Dataset> {
        self.counts_of(part)?;
        let all = self.items()?;
        let (num_items, supports) = (all.len(), all.supports().to_vec());
        let mut map = ItemMap::new(all, part, known);
        let groups = sessions::open(&self.path, Times::Skip)?;
        let (mut counts, mut before) = (SessionCounts::default(), Vec::new());
        let mut add = |session: &Session| {
            before.resize(before.len().max(session.group + 1), counts.sessions);
            counts.add(map.map(&session.items).len());
        };
        self.read_train(part, &groups, supports, &mut add, observe)?;
        before.resize(groups.len(), counts.sessions);
        let (index, is_fit) = (map.index(), part == PartName::Fit);
        let place = Arc::new(Place { groups, before, index, num_items, is_fit });
        let source = PartOnDisk { place, counts };
        Ok(Dataset::on_disk(map.into_items(), Arc::new(source)))
    }

    /// Adds the training part, or `fit`, to a log of ids; those of sessions are their numbers.
    pub(super) fn append(
        &self,
        part: PartName,
        log: &mut EventLog,
        observe: &mut Observer<'_>,
    ) -> Result<()> {
        self.counts_of(part)?;
        let all = self.items()?;
        let supports = all.supports().to_vec();
        let mut is_full = false;
        let mut add = |session: &Session| {
            is_full |= log.len() + session.items.len() >= u32::MAX as usize;
            if !is_full {
                // As text in the order of the numbers.
                let name = format!("#{:010}", session.number);
                let events = session.items.iter().zip(&session.times);
                events.for_each(|(&item, &time)| log.push(&name, all.id(item), time));
            }
        };
        self.read_train(part, &sessions::open(&self.path, Times::Read)?, supports, &mut add, observe)?;
        if is_full {
            return Err(Error::TooManyEvents { path: self.part(part) });
        }
        Ok(())
    }

    /// Reads the training part, or without the sessions of the validation part, and checks all of it.
    fn read_train(
        &self,
        part: PartName,
        groups: &Groups,
        supports: Vec<u64>,
        add: &mut dyn FnMut(&Session),
        observe: &mut Observer<'_>,
    ) -> Result<()> {
        // For each item, the events that are still to come.
        let mut left = supports;
        let mut reader = SessionReader::new(groups, 0, left.len());
        let (mut sessions, mut events) = (0, 0);
        loop {
            if let Some(progress) = reader.progress()
                && observe(progress).is_break()
            {
                return Err(Error::Stopped);
            }
            let Some(session) = reader.next()? else { break };
            sessions = session.number + 1;
            events += session.items.len() as u64;
            session.items.iter().for_each(|&item| left[item as usize] = left[item as usize].wrapping_sub(1));
            if part != PartName::Fit || !session.is_validation {
                add(session);
            }
        }
        let train = &self.statistics.train;
        if (sessions, events) != (train.sessions, train.events) {
            return Err(self.differs(
                format!("{events} events in {sessions} sessions"),
                format!("{} in {}", train.events, train.sessions),
            ));
        }
        if let Some(item) = left.iter().position(|&left| left != 0) {
            return Err(self.differs(
                format!("other events on item {item} than its items count"),
                format!("{} in all: its parts are of two preparations", train.events),
            ));
        }
        Ok(())
    }

    /// The counts of `train` or `fit`.
    fn counts_of(&self, part: PartName) -> Result<PartCounts> {
        let counts = match part {
            PartName::Train => Some(self.statistics.train),
            PartName::Fit => self.statistics.fit,
            _ => panic!("the part {} has ids", part.as_str()),
        };
        counts.ok_or_else(|| self.lacks(part))
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

/// The indices of the items of a folder in a vocabulary.
struct ItemMap {
    all: ItemVocabulary,
    items: ItemVocabulary,
    /// The index of each item that has occurred; `None`: items keep the numbers of the folder.
    index: Option<Vec<Option<ItemIndex>>>,
    session: Vec<ItemIndex>,
}

impl ItemMap {
    fn new(all: ItemVocabulary, part: PartName, known: ItemVocabulary) -> Self {
        let is_as_stored = part == PartName::Train && known.is_empty();
        let index = (!is_as_stored).then(|| vec![None; all.len()]);
        Self { all, items: known, index, session: Vec::new() }
    }

    /// The indices of the items of a session, which are counted.
    fn map<'s>(&'s mut self, items: &'s [ItemIndex]) -> &'s [ItemIndex] {
        let Some(index) = &mut self.index else { return items };
        self.session.clear();
        for &item in items {
            let add = || self.items.add(self.all.id(item), 0);
            let of = *index[item as usize].get_or_insert_with(add);
            self.items.add_support(of, 1);
            self.session.push(of);
        }
        &self.session
    }

    /// The index of each item of the folder; any of those that do not occur.
    fn index(&self) -> Option<Vec<ItemIndex>> {
        self.index.as_ref().map(|index| index.iter().map(|of| of.unwrap_or(0)).collect())
    }

    fn into_items(self) -> ItemVocabulary {
        if self.index.is_some() { self.items } else { self.all }
    }
}

#[cfg(test)]
mod tests;

//! A training part that is read anew in every epoch.

use super::groups::Groups;
use super::sessions::SessionReader;
use crate::batch::{SessionCounts, SessionSource, SessionStream};
use crate::data::vocabulary::ItemIndex;
use crate::error::Result;

/// The sessions of a training part on the disk: in memory are the metadata of its files and a number for each row group.
#[derive(Debug)]
pub(super) struct PartOnDisk {
    pub(super) groups: Groups,
    /// For each row group, the number of sessions that begin before it.
    pub(super) before: Vec<u64>,
    /// The index of each item of the folder; `None`: its number.
    pub(super) index: Option<Vec<ItemIndex>>,
    pub(super) num_items: usize,
    /// Whether the sessions of the validation part are left out.
    pub(super) is_fit: bool,
    pub(super) counts: SessionCounts,
}

impl SessionSource for PartOnDisk {
    fn counts(&self) -> SessionCounts {
        self.counts
    }

    fn from(&self, first: u64) -> Result<Box<dyn SessionStream + '_>> {
        let group = self.before.partition_point(|&before| before <= first).saturating_sub(1);
        let reader = SessionReader::new(&self.groups, group, self.num_items);
        let next = self.before.get(group).copied().unwrap_or(0);
        Ok(Box::new(Stream { part: self, reader, next, first }))
    }
}

struct Stream<'p> {
    part: &'p PartOnDisk,
    reader: SessionReader<'p>,
    /// The number of the next session.
    next: u64,
    /// The first session that is wanted.
    first: u64,
}

impl SessionStream for Stream<'_> {
    fn next(&mut self, items: &mut Vec<ItemIndex>) -> Result<Option<u64>> {
        while let Some(session) = self.reader.next()? {
            if self.part.is_fit && session.is_validation {
                continue;
            }
            let number = self.next;
            self.next += 1;
            if number < self.first {
                continue;
            }
            items.clear();
            match &self.part.index {
                None => items.extend_from_slice(&session.items),
                Some(index) => items.extend(session.items.iter().map(|&item| index[item as usize])),
            }
            return Ok(Some(number));
        }
        Ok(None)
    }
}

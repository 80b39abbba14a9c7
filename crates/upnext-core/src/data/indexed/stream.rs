//! A training part that is read anew in every epoch, ahead of whoever reads it.

use super::groups::Groups;
use super::sessions::SessionReader;
use crate::data::vocabulary::ItemIndex;
use crate::data::{SessionCounts, SessionSource, SessionStream};
use crate::error::Result;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The sessions of a training part on the disk: in memory are the metadata of its files and a number for each row group.
#[derive(Debug)]
pub(super) struct PartOnDisk {
    pub(super) place: Arc<Place>,
    pub(super) counts: SessionCounts,
}

/// What it takes to read the sessions of a training part from any of them on.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) groups: Groups,
    /// For each row group, the number of sessions that begin before it.
    pub(super) before: Vec<u64>,
    /// The index of each item of the folder; `None`: its number.
    pub(super) index: Option<Vec<ItemIndex>>,
    pub(super) num_items: usize,
    /// Whether the sessions of the validation part are left out.
    pub(super) is_fit: bool,
}

/// Number of items of the first block, which is all that a resumed training wants of most sessions, and of the largest.
const BLOCK: std::ops::RangeInclusive<usize> = 1 << 8..=1 << 16;

/// Number of blocks that wait to be read.
const AHEAD: usize = 4;

/// Some sessions.
#[derive(Default)]
struct Block {
    items: Vec<ItemIndex>,
    /// The end of each session in `items`.
    ends: Vec<usize>,
}

impl SessionSource for PartOnDisk {
    fn counts(&self) -> SessionCounts {
        self.counts
    }

    fn from(&self, first: u64) -> Result<Box<dyn SessionStream + '_>> {
        let (sender, blocks) = sync_channel(AHEAD);
        let place = Arc::clone(&self.place);
        // It ends with the part, or when the stream is gone and nobody takes its blocks.
        std::thread::spawn(move || place.send(first, &sender));
        Ok(Box::new(Stream { blocks, block: Block::default(), session: 0, number: first }))
    }
}

impl Place {
    /// Sends the sessions from number `first` on.
    fn send(&self, first: u64, blocks: &SyncSender<Result<Block>>) {
        if let Err(error) = self.send_all(first, blocks) {
            _ = blocks.send(Err(error));
        }
    }

    fn send_all(&self, first: u64, blocks: &SyncSender<Result<Block>>) -> Result<()> {
        let group = self.before.partition_point(|&before| before <= first).saturating_sub(1);
        let mut reader = SessionReader::new(&self.groups, group, self.num_items);
        let mut number = self.before.get(group).copied().unwrap_or(0);
        let (mut block, mut size) = (Block::default(), *BLOCK.start());
        while let Some(session) = reader.next()? {
            if self.is_fit && session.is_validation {
                continue;
            }
            number += 1;
            if number <= first {
                continue;
            }
            match &self.index {
                None => block.items.extend_from_slice(&session.items),
                Some(index) => block.items.extend(session.items.iter().map(|&item| index[item as usize])),
            }
            block.ends.push(block.items.len());
            if block.items.len() >= size {
                if blocks.send(Ok(std::mem::take(&mut block))).is_err() {
                    return Ok(());
                }
                size = (4 * size).min(*BLOCK.end());
            }
        }
        _ = blocks.send(Ok(block));
        Ok(())
    }
}

struct Stream {
    blocks: Receiver<Result<Block>>,
    block: Block,
    /// The place in the block of the next session, and its number.
    session: usize,
    number: u64,
}

impl SessionStream for Stream {
    fn next(&mut self, items: &mut Vec<ItemIndex>) -> Result<Option<u64>> {
        while self.session == self.block.ends.len() {
            let Ok(block) = self.blocks.recv() else { return Ok(None) };
            (self.block, self.session) = (block?, 0);
        }
        let start = self.session.checked_sub(1).map_or(0, |before| self.block.ends[before]);
        items.clear();
        items.extend_from_slice(&self.block.items[start..self.block.ends[self.session]]);
        self.session += 1;
        self.number += 1;
        Ok(Some(self.number - 1))
    }
}

//! Batches in which all sessions end at once.

use super::{Batch, Carry, EventPosition};
use crate::data::Sessions;

/// Forms batches without targets in which all sessions end in the last batch, to score each session after its last
/// event.
///
/// The longest session begins, and shorter ones join later. A session scorer then scores once, after the last batch,
/// for all rows. Empty sessions are skipped.
#[derive(Clone, Debug)]
pub struct HistoryBatcher {
    /// Indices of the sessions of `batch`, longest first: the rows of a batch are the first of them.
    order: Vec<u32>,
    /// Number of remaining batches.
    left: usize,
    batch: Batch,
}

impl HistoryBatcher {
    /// Creates a batcher of the sessions whose indices are in `order`, with up to one row each.
    ///
    /// # Panics
    /// If an index is not below the number of sessions.
    pub fn new(sessions: &Sessions, mut order: Vec<u32>) -> Self {
        order.retain(|&s| !sessions.session(s as usize).is_empty());
        order.sort_by_cached_key(|&s| std::cmp::Reverse(sessions.session(s as usize).len()));
        let rows: Vec<_> = order.iter().map(|&s| sessions.session(s as usize).to_vec()).collect();
        let left = rows.first().map_or(0, Vec::len);
        Self { order, left, batch: Batch { rows, ..Batch::default() } }
    }

    /// The next batch, without targets, or `None` after the last events.
    pub fn next_batch(&mut self) -> Option<&Batch> {
        if self.left == 0 {
            return None;
        }
        let batch = &mut self.batch;
        batch.carry.clear();
        batch.inputs.clear();
        batch.events.clear();
        for (row, (&session, events)) in self.order.iter().zip(&batch.rows).enumerate() {
            let Some(position) = events.len().checked_sub(self.left) else { break };
            batch.carry.push(if position == 0 { Carry::Fresh } else { Carry::Row(row) });
            batch.inputs.push(events[position]);
            batch.events.push(EventPosition { session: session.into(), position: position as u32 });
        }
        self.left -= 1;
        Some(&self.batch)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sessions;
    use super::*;

    #[test]
    fn histories_of_any_length_end_in_the_last_batch() {
        let (sessions, plain) = sessions(&[2, 0, 4, 1, 4]);
        let mut batcher = HistoryBatcher::new(&sessions, vec![0, 1, 2, 3, 4]);
        let mut read = vec![Vec::new(); 5];
        let mut last = Vec::new();
        while let Some(batch) = batcher.next_batch() {
            assert!(batch.targets.is_empty());
            for b in 0..batch.len() {
                let session = batch.session(b);
                let carry = if read[session].is_empty() { Carry::Fresh } else { Carry::Row(b) };
                assert_eq!(batch.carry[b], carry);
                read[session].push(batch.inputs[b]);
                assert_eq!(batch.history(b), read[session]);
            }
            last = (0..batch.len()).map(|b| batch.session(b)).collect();
        }
        assert_eq!(read, plain);
        assert_eq!(last, [2, 4, 0, 3]);
    }
}

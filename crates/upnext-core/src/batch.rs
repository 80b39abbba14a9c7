//! Session-parallel mini-batches \[1, section 3.1.1\] (`docs/algorithms.md`, section 2).

use crate::data::{ItemIndex, Sessions, TimeMicros};
use serde::{Deserialize, Serialize};

/// The source of a row's state. It covers both the reset at the start of a session and the move of rows when a
/// mini-batch shrinks, in training and in evaluation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carry {
    /// A session begins: the state is zero in every layer.
    Fresh,
    /// The session continues: the state is that of this row in the step before.
    Row(usize),
}

/// One step of session-parallel mini-batches: `B` rows, each reading one event of its session.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The current item of each row.
    pub inputs: Vec<ItemIndex>,
    /// The next item of each row; empty in batches of a [`HistoryBatcher`].
    pub targets: Vec<ItemIndex>,
    /// The source of each row's state.
    pub carry: Vec<Carry>,
    /// The current event of each row.
    events: Vec<EventPosition>,
}

/// An event, by its session and its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EventPosition {
    session: u32,
    position: u32,
}

impl Batch {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Whether the batch has no rows.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// The index of row `b`'s session.
    ///
    /// # Panics
    /// If there is no row `b`.
    pub fn session(&self, b: usize) -> usize {
        self.events[b].session as usize
    }

    /// The items of row `b`'s session so far, the current one last. `sessions` are those of the batcher.
    ///
    /// # Panics
    /// If there is no row `b`.
    pub fn history<'s>(&self, sessions: &'s Sessions, b: usize) -> &'s [ItemIndex] {
        let event = self.events[b];
        &sessions.session(event.session as usize)[..=event.position as usize]
    }

    /// The position of row `b`'s current event in its session, from 0.
    ///
    /// # Panics
    /// If there is no row `b`.
    pub fn position(&self, b: usize) -> usize {
        self.events[b].position as usize
    }
}

/// Forms session-parallel mini-batches of pairs: each row has the current and the next item of a session.
///
/// A row whose session has no further pair takes the next session in order. If none is left, the row is removed and the
/// rows after it move up. A session of L ≥ 2 events yields exactly L − 1 pairs; shorter sessions are skipped.
#[derive(Clone, Debug)]
pub struct SessionBatcher<'s> {
    sessions: &'s Sessions,
    order: Order,
    position: BatcherPosition,
    /// The session of each row of `position`.
    rows: Vec<&'s [ItemIndex]>,
    batch: Batch,
}

/// The order in which sessions are dealt out to rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// All of this number of sessions, as they are stored.
    AsStored(usize),
    /// These sessions, by their indices.
    Listed(Vec<u32>),
}

impl Order {
    /// The index of the `place`-th session; `None` after the last.
    fn get(&self, place: usize) -> Option<usize> {
        match self {
            Self::AsStored(len) => (place < *len).then_some(place),
            Self::Listed(order) => order.get(place).map(|&session| session as usize),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::AsStored(len) => *len,
            Self::Listed(order) => order.len(),
        }
    }
}

impl From<Vec<u32>> for Order {
    fn from(order: Vec<u32>) -> Self {
        Self::Listed(order)
    }
}

/// The position of a [`SessionBatcher`], from which [`SessionBatcher::resume`] continues with the same sessions and
/// order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatcherPosition {
    /// Number of sessions of the order that have been assigned to a row or skipped.
    dealt: usize,
    /// The event that each row read last.
    rows: Vec<EventPosition>,
}

impl BatcherPosition {
    /// Number of rows of the last mini-batch.
    pub fn num_rows(&self) -> usize {
        self.rows.len()
    }
}

impl<'s> SessionBatcher<'s> {
    /// Creates a batcher of up to `rows` rows over the sessions whose indices are in `order`, in that order.
    ///
    /// # Panics
    /// If `rows` is 0.
    pub fn new(sessions: &'s Sessions, order: impl Into<Order>, rows: usize) -> Self {
        assert!(rows > 0, "a mini-batch without rows");
        let (position, batch) = (BatcherPosition::default(), Batch::default());
        let mut batcher = Self { sessions, order: order.into(), position, rows: Vec::new(), batch };
        while batcher.rows.len() < rows
            && let Some((session, items)) = batcher.deal()
        {
            // One before the first event: `next_batch` advances every row.
            batcher.position.rows.push(EventPosition { session, position: u32::MAX });
            batcher.rows.push(items);
        }
        batcher
    }

    /// Creates a batcher that continues from a position in the same sessions and order.
    ///
    /// Returns `None` if the position does not exist in these sessions.
    pub fn resume(
        sessions: &'s Sessions,
        order: impl Into<Order>,
        position: BatcherPosition,
    ) -> Option<Self> {
        let order = order.into();
        let row = |event: &EventPosition| {
            let session = event.session as usize;
            let items = (session < sessions.len()).then(|| sessions.session(session))?;
            ((event.position.wrapping_add(1) as usize) < items.len()).then_some(items)
        };
        let rows = position.rows.iter().map(row).collect::<Option<Vec<_>>>()?;
        (position.dealt <= order.len()).then(|| Self {
            sessions,
            order,
            position,
            rows,
            batch: Batch::default(),
        })
    }

    /// The position after the last mini-batch.
    pub fn position(&self) -> &BatcherPosition {
        &self.position
    }

    /// The sessions.
    pub fn sessions(&self) -> &'s Sessions {
        self.sessions
    }

    /// Takes the next session of at least two events.
    fn deal(&mut self) -> Option<(u32, &'s [ItemIndex])> {
        while let Some(session) = self.order.get(self.position.dealt) {
            self.position.dealt += 1;
            let items = self.sessions.session(session);
            if items.len() >= 2 {
                return Some((session as u32, items));
            }
        }
        None
    }

    /// The next mini-batch, or `None` after the last pair.
    pub fn next_batch(&mut self) -> Option<&Batch> {
        let mut rows = std::mem::take(&mut self.position.rows);
        self.batch.carry.clear();
        self.batch.inputs.clear();
        self.batch.targets.clear();
        let mut kept = 0;
        for row in 0..rows.len() {
            let (EventPosition { session, position }, items) = (rows[row], self.rows[row]);
            let next = position.wrapping_add(1);
            let (event, items, carry) = if (next as usize) + 1 < items.len() {
                let carry = if next == 0 { Carry::Fresh } else { Carry::Row(row) };
                (EventPosition { session, position: next }, items, carry)
            } else if let Some((session, items)) = self.deal() {
                (EventPosition { session, position: 0 }, items, Carry::Fresh)
            } else {
                continue;
            };
            (rows[kept], self.rows[kept]) = (event, items);
            kept += 1;
            let at = event.position as usize;
            self.batch.carry.push(carry);
            self.batch.inputs.push(items[at]);
            self.batch.targets.push(items[at + 1]);
        }
        rows.truncate(kept);
        self.rows.truncate(kept);
        self.batch.events.clone_from(&rows);
        self.position.rows = rows;
        (kept > 0).then_some(&self.batch)
    }
}

/// Forms batches without targets in which all sessions end in the last batch, to score each session after its last
/// event.
///
/// The longest session begins, and shorter ones join later. A session scorer then scores once, after the last batch,
/// for all rows. Empty sessions are skipped.
#[derive(Clone, Debug)]
pub struct HistoryBatcher<'s> {
    sessions: &'s Sessions,
    /// Sessions, longest first: the rows of a batch are the first of them.
    order: Vec<u32>,
    /// Number of remaining batches.
    left: usize,
    batch: Batch,
}

impl<'s> HistoryBatcher<'s> {
    /// Creates a batcher of the sessions whose indices are in `order`, with up to one row each.
    ///
    /// # Panics
    /// If an index is not below the number of sessions.
    pub fn new(sessions: &'s Sessions, mut order: Vec<u32>) -> Self {
        order.retain(|&s| !sessions.session(s as usize).is_empty());
        order.sort_by_cached_key(|&s| std::cmp::Reverse(sessions.session(s as usize).len()));
        let left = order.first().map_or(0, |&s| sessions.session(s as usize).len());
        Self { sessions, order, left, batch: Batch::default() }
    }

    /// The next batch, without targets, or `None` after the last events.
    pub fn next_batch(&mut self) -> Option<&Batch> {
        if self.left == 0 {
            return None;
        }
        self.batch.carry.clear();
        self.batch.inputs.clear();
        self.batch.events.clear();
        for (row, &session) in self.order.iter().enumerate() {
            let events = self.sessions.session(session as usize);
            let Some(position) = events.len().checked_sub(self.left) else { break };
            self.batch.carry.push(if position == 0 { Carry::Fresh } else { Carry::Row(row) });
            self.batch.inputs.push(events[position]);
            self.batch.events.push(EventPosition { session, position: position as u32 });
        }
        self.left -= 1;
        Some(&self.batch)
    }
}

/// Sessions by start time, oldest first. Sessions that start at the same time keep their order.
pub fn by_start_time(sessions: &Sessions) -> Order {
    if sessions.starts().is_sorted() {
        return Order::AsStored(sessions.len());
    }
    let starts: Vec<TimeMicros> = sessions.starts().collect();
    let mut order: Vec<u32> = (0..sessions.len() as u32).collect();
    order.sort_by_key(|&s| starts[s as usize]);
    Order::Listed(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use upnext_reference::batches::epoch;

    fn sessions(lengths: &[usize]) -> (Sessions, Vec<Vec<u32>>) {
        let mut sessions = Sessions::new();
        let mut plain = Vec::new();
        let mut item = 0;
        for &length in lengths {
            let items: Vec<u32> = (0..length as u32).map(|i| item + i).collect();
            item += length as u32;
            sessions.push(&items, 0);
            plain.push(items);
        }
        (sessions, plain)
    }

    proptest! {
        #[test]
        fn batches_are_those_of_the_plain_reference(
            lengths in prop::collection::vec(0usize..6, 0..30), rows in 1usize..8, stop in 0usize..20,
        ) {
            let (sessions, plain) = sessions(&lengths);
            let expected = epoch(&plain, rows, 1);
            let order: Vec<u32> = (0..sessions.len() as u32).collect();
            let mut batcher = SessionBatcher::new(&sessions, order.clone(), rows);
            for (i, step) in expected.steps.iter().enumerate() {
                if i == stop {
                    let position = serde_json::to_string(batcher.position()).unwrap();
                    let position = serde_json::from_str(&position).unwrap();
                    batcher = SessionBatcher::resume(&sessions, order.clone(), position).unwrap();
                }
                let batch = batcher.next_batch().expect("a step of the reference");
                prop_assert_eq!(batch.len(), step.len());
                for (b, row) in step.iter().enumerate() {
                    prop_assert_eq!(batch.inputs[b], row.input);
                    prop_assert_eq!(batch.targets[b], row.target);
                    prop_assert_eq!(batch.session(b), row.session);
                    prop_assert_eq!(batch.position(b), row.position);
                    prop_assert_eq!(batch.carry[b], row.carried_from.map_or(Carry::Fresh, Carry::Row));
                    prop_assert_eq!(batch.history(&sessions, b), &plain[row.session][..=row.position]);
                }
            }
            prop_assert!(batcher.next_batch().is_none());
            prop_assert!(batcher.next_batch().is_none());
        }
    }

    #[test]
    fn every_pair_is_used_while_the_batch_shrinks() {
        let (sessions, _) = sessions(&[2, 5, 3]);
        let mut batcher = SessionBatcher::new(&sessions, vec![0, 1, 2], 2);
        let mut sizes = Vec::new();
        let mut carries = Vec::new();
        while let Some(batch) = batcher.next_batch() {
            sizes.push(batch.len());
            carries.push(batch.carry.clone());
        }
        assert_eq!(sizes, [2, 2, 2, 1]);
        // Row 0 takes session 2; when that ends, session 1 moves up from row 1.
        assert_eq!(carries[1], [Carry::Fresh, Carry::Row(1)]);
        assert_eq!(carries[3], [Carry::Row(1)]);
    }

    #[test]
    fn the_oldest_session_comes_first_whatever_the_order_in_the_data() {
        let mut sessions = Sessions::new();
        for (item, start) in [(0, 30), (1, -5), (2, 30), (3, 7)] {
            sessions.push(&[item, item], start);
        }
        assert_eq!(by_start_time(&sessions), Order::Listed(vec![1, 3, 0, 2]));
        let mut sorted = Sessions::new();
        [-5, 7, 7].iter().for_each(|&start| sorted.push(&[1, 2], start));
        assert_eq!(by_start_time(&sorted), Order::AsStored(3));
    }

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
                assert_eq!(batch.history(&sessions, b), read[session]);
            }
            last = (0..batch.len()).map(|b| batch.session(b)).collect();
        }
        assert_eq!(read, plain);
        assert_eq!(last, [2, 4, 0, 3]);
    }

    #[test]
    fn a_position_of_other_sessions_is_refused() {
        let (long, _) = sessions(&[5, 5, 5]);
        let (short, _) = sessions(&[3, 2]);
        let mut batcher = SessionBatcher::new(&long, vec![0, 1, 2], 3);
        batcher.next_batch();
        assert!(SessionBatcher::resume(&short, vec![0, 1], batcher.position().clone()).is_none());
    }
}

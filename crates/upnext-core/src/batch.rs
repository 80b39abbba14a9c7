//! Session-parallel mini-batches \[1, section 3.1.1\] (`docs/algorithms.md`, section 2).

mod history;
mod order;

use crate::Result;
use crate::data::{ItemIndex, SessionSource, SessionStream, Sessions};
use order::InMemory;
use serde::{Deserialize, Serialize};

pub use history::HistoryBatcher;
pub use order::{Order, by_start_time};

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
    /// The items of each row's session; there may be more of them than rows.
    rows: Vec<Vec<ItemIndex>>,
}

/// An event, by its session and its position there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EventPosition {
    session: u64,
    position: u32,
}

impl EventPosition {
    /// Whether a session of these items has an event behind this one.
    fn has_next(self, items: &[ItemIndex]) -> bool {
        (self.position.wrapping_add(1) as usize) < items.len()
    }
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

    /// The items of row `b`'s session so far, the current one last.
    ///
    /// # Panics
    /// If there is no row `b`.
    pub fn history(&self, b: usize) -> &[ItemIndex] {
        &self.rows[b][..=self.events[b].position as usize]
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
pub struct SessionBatcher<'s> {
    stream: Box<dyn SessionStream + 's>,
    position: BatcherPosition,
    batch: Batch,
}

/// The position of a [`SessionBatcher`], from which [`SessionBatcher::resume`] continues with the same sessions and
/// order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatcherPosition {
    /// Number of sessions of the order that have been assigned to a row or skipped.
    dealt: u64,
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
        let stream = Box::new(InMemory { sessions, order: order.into(), place: 0 });
        Self::begin(stream, rows).unwrap_or_else(|_| unreachable!("memory has no errors"))
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
            let session = usize::try_from(event.session).ok().filter(|&session| session < sessions.len())?;
            Some(sessions.session(session).to_vec()).filter(|items| event.has_next(items))
        };
        let rows = position.rows.iter().map(row).collect::<Option<Vec<_>>>()?;
        let place = usize::try_from(position.dealt).ok().filter(|&dealt| dealt <= order.len())?;
        let stream = Box::new(InMemory { sessions, order, place });
        Some(Self { stream, position, batch: Batch { rows, ..Batch::default() } })
    }

    /// Creates a batcher of up to `rows` rows over all sessions of a source.
    ///
    /// # Errors
    /// Those of the source.
    ///
    /// # Panics
    /// If `rows` is 0.
    pub fn of_source(source: &'s dyn SessionSource, rows: usize) -> Result<Self> {
        Self::begin(source.from(0)?, rows)
    }

    /// Creates a batcher that continues from a position in the same source.
    ///
    /// Returns `None` if the position does not exist there.
    ///
    /// # Errors
    /// Those of the source.
    pub fn resume_source(source: &'s dyn SessionSource, position: BatcherPosition) -> Result<Option<Self>> {
        if position.dealt > source.counts().sessions {
            return Ok(None);
        }
        let mut rows = vec![Vec::new(); position.rows.len()];
        for (event, items) in position.rows.iter().zip(&mut rows) {
            let found = source.from(event.session)?.next(items)?;
            if found != Some(event.session) || !event.has_next(items) {
                return Ok(None);
            }
        }
        let stream = source.from(position.dealt)?;
        Ok(Some(Self { stream, position, batch: Batch { rows, ..Batch::default() } }))
    }

    fn begin(stream: Box<dyn SessionStream + 's>, rows: usize) -> Result<Self> {
        assert!(rows > 0, "a mini-batch without rows");
        let (position, batch) = (BatcherPosition::default(), Batch::default());
        let mut batcher = Self { stream, position, batch };
        while batcher.position.rows.len() < rows {
            let row = batcher.position.rows.len();
            batcher.batch.rows.push(Vec::new());
            let Some(session) = batcher.deal(row)? else { break };
            // One before the first event: `next_batch` advances every row.
            batcher.position.rows.push(EventPosition { session, position: u32::MAX });
        }
        Ok(batcher)
    }

    /// The position after the last mini-batch.
    pub fn position(&self) -> &BatcherPosition {
        &self.position
    }

    /// Takes the next session of at least two events into a row.
    fn deal(&mut self, row: usize) -> Result<Option<u64>> {
        while let Some(session) = self.stream.next(&mut self.batch.rows[row])? {
            self.position.dealt += 1;
            if self.batch.rows[row].len() >= 2 {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    /// The next mini-batch, or `None` after the last pair.
    ///
    /// # Errors
    /// Those of the source; sessions in memory have none.
    pub fn next_batch(&mut self) -> Result<Option<&Batch>> {
        self.batch.carry.clear();
        self.batch.inputs.clear();
        self.batch.targets.clear();
        let mut kept = 0;
        for row in 0..self.position.rows.len() {
            let event = self.position.rows[row];
            let next = event.position.wrapping_add(1);
            let (event, carry) = if (next as usize) + 1 < self.batch.rows[row].len() {
                let carry = if next == 0 { Carry::Fresh } else { Carry::Row(row) };
                (EventPosition { position: next, ..event }, carry)
            } else if let Some(session) = self.deal(row)? {
                (EventPosition { session, position: 0 }, Carry::Fresh)
            } else {
                continue;
            };
            self.position.rows[kept] = event;
            self.batch.rows.swap(kept, row);
            let (items, at) = (&self.batch.rows[kept], event.position as usize);
            self.batch.carry.push(carry);
            self.batch.inputs.push(items[at]);
            self.batch.targets.push(items[at + 1]);
            kept += 1;
        }
        self.position.rows.truncate(kept);
        self.batch.events.clone_from(&self.position.rows);
        Ok((kept > 0).then_some(&self.batch))
    }
}

impl std::fmt::Debug for SessionBatcher<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SessionBatcher").field("position", &self.position).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::SessionCounts;
    use proptest::prelude::*;
    use upnext_reference::batches::epoch;

    pub(super) fn sessions(lengths: &[usize]) -> (Sessions, Vec<Vec<u32>>) {
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
                let batch = batcher.next_batch().unwrap().expect("a step of the reference");
                prop_assert_eq!(batch.len(), step.len());
                for (b, row) in step.iter().enumerate() {
                    prop_assert_eq!(batch.inputs[b], row.input);
                    prop_assert_eq!(batch.targets[b], row.target);
                    prop_assert_eq!(batch.session(b), row.session);
                    prop_assert_eq!(batch.position(b), row.position);
                    prop_assert_eq!(batch.carry[b], row.carried_from.map_or(Carry::Fresh, Carry::Row));
                    prop_assert_eq!(batch.history(b), &plain[row.session][..=row.position]);
                }
            }
            prop_assert!(batcher.next_batch().unwrap().is_none());
            prop_assert!(batcher.next_batch().unwrap().is_none());
        }
    }

    /// Sessions that are made when they are read: of session `n` the items n, n + 1, … of as many as the number says.
    #[derive(Debug)]
    struct Made {
        sessions: u64,
        length: fn(u64) -> u32,
    }

    struct MadeStream<'m>(&'m Made, u64);

    impl SessionStream for MadeStream<'_> {
        fn next(&mut self, items: &mut Vec<ItemIndex>) -> Result<Option<u64>> {
            let number = self.1;
            if number >= self.0.sessions {
                return Ok(None);
            }
            self.1 += 1;
            items.clear();
            items.extend((0..(self.0.length)(number)).map(|place| (number % 1000) as u32 + place));
            Ok(Some(number))
        }
    }

    impl SessionSource for Made {
        fn counts(&self) -> SessionCounts {
            let mut counts = SessionCounts::default();
            // Enough of the many; the first are like the others.
            (0..self.sessions.min(1000)).for_each(|number| counts.add((self.length)(number) as usize));
            SessionCounts { sessions: self.sessions, ..counts }
        }

        fn from(&self, first: u64) -> Result<Box<dyn SessionStream + '_>> {
            Ok(Box::new(MadeStream(self, first)))
        }
    }

    #[test]
    fn batches_of_a_source_are_those_of_memory_and_go_on_anywhere() {
        let source = Made { sessions: 40, length: |number| [3, 1, 5, 2, 9][number as usize % 5] };
        let mut sessions = Sessions::new();
        let (mut stream, mut items) = (source.from(0).unwrap(), Vec::new());
        while stream.next(&mut items).unwrap().is_some() {
            sessions.push(&items, 0);
        }
        assert_eq!(SessionCounts::of(&sessions), source.counts());
        let mut memory = SessionBatcher::new(&sessions, (0..40).collect::<Vec<_>>(), 7);
        let mut streamed = SessionBatcher::of_source(&source, 7).unwrap();
        loop {
            let (expected, found) = (memory.next_batch().unwrap(), streamed.next_batch().unwrap());
            assert_eq!(expected.is_some(), found.is_some());
            let (Some(expected), Some(found)) = (expected, found) else { break };
            assert_eq!(
                (&found.inputs, &found.targets, &found.carry),
                (&expected.inputs, &expected.targets, &expected.carry)
            );
            assert_eq!(found.events, expected.events);
            (0..found.len()).for_each(|row| assert_eq!(found.history(row), expected.history(row)));
            assert_eq!(streamed.position(), memory.position());
            streamed = SessionBatcher::resume_source(&source, memory.position().clone()).unwrap().unwrap();
        }
        let fewer = Made { sessions: 3, length: |_| 2 };
        assert!(SessionBatcher::resume_source(&fewer, memory.position().clone()).unwrap().is_none());
    }

    #[test]
    fn more_sessions_and_events_than_32_bits_count_are_dealt_out() {
        let many = 3 << 32;
        let source = Made { sessions: many, length: |number| 2 + (number % 3) as u32 };
        // As after some days of training.
        let far = (1 << 32) + 5;
        let rows = (0..4).map(|row| EventPosition { session: far - 4 + row, position: 0 }).collect();
        let position = BatcherPosition { dealt: far, rows };
        let text = serde_json::to_string(&position).unwrap();
        let position: BatcherPosition = serde_json::from_str(&text).unwrap();
        let mut batcher = SessionBatcher::resume_source(&source, position).unwrap().unwrap();
        let mut seen = Vec::new();
        for _ in 0..40 {
            let batch = batcher.next_batch().unwrap().unwrap();
            assert_eq!(batch.len(), 4);
            for row in 0..4 {
                let items = batch.history(row);
                assert_eq!(u64::from(items[0]), batch.session(row) as u64 % 1000);
                if batch.carry[row] == Carry::Fresh {
                    seen.push(batch.session(row) as u64);
                }
            }
        }
        let expected: Vec<u64> = (far..).take(seen.len()).collect();
        assert_eq!(seen, expected);
        assert!(batcher.position().dealt > u64::from(u32::MAX));
    }

    #[test]
    fn every_pair_is_used_while_the_batch_shrinks() {
        let (sessions, _) = sessions(&[2, 5, 3]);
        let mut batcher = SessionBatcher::new(&sessions, vec![0, 1, 2], 2);
        let mut sizes = Vec::new();
        let mut carries = Vec::new();
        while let Some(batch) = batcher.next_batch().unwrap() {
            sizes.push(batch.len());
            carries.push(batch.carry.clone());
        }
        assert_eq!(sizes, [2, 2, 2, 1]);
        // Row 0 takes session 2; when that ends, session 1 moves up from row 1.
        assert_eq!(carries[1], [Carry::Fresh, Carry::Row(1)]);
        assert_eq!(carries[3], [Carry::Row(1)]);
    }

    #[test]
    fn a_position_of_other_sessions_is_refused() {
        let (long, _) = sessions(&[5, 5, 5]);
        let (short, _) = sessions(&[3, 2]);
        let mut batcher = SessionBatcher::new(&long, vec![0, 1, 2], 3);
        batcher.next_batch().unwrap();
        assert!(SessionBatcher::resume(&short, vec![0, 1], batcher.position().clone()).is_none());
    }
}

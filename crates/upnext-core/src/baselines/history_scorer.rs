//! The session scorer of models that search for the scores of few items by all events of a session.

use super::sparse::{Popularity, SparseScores};
use crate::batch::{Batch, Carry};
use crate::data::ItemIndex;
use crate::recommender::SessionScorer;

/// Keeps the events of each row's session, and searches for scores when they are asked for: callers that read a whole session need only
/// those after its last event.
///
/// `search(row, history, scores)` sets the scores of a row after a session.
pub(super) struct HistoryScorer<'m, F> {
    popularity: &'m Popularity,
    /// The events of each row's session so far.
    histories: Vec<Vec<ItemIndex>>,
    /// Whether `scores` are those of `histories`.
    scored: bool,
    scores: SparseScores,
    search: F,
}

impl<'m, F: FnMut(usize, &[ItemIndex], &mut SparseScores)> HistoryScorer<'m, F> {
    /// A scorer for up to `rows` sessions.
    pub(super) fn new(popularity: &'m Popularity, rows: usize, search: F) -> Self {
        Self {
            popularity,
            histories: Vec::with_capacity(rows),
            scored: true,
            scores: SparseScores::default(),
            search,
        }
    }

    /// Searches for the scores after the last read, once.
    fn search_all(&mut self) {
        if std::mem::replace(&mut self.scored, true) {
            return;
        }
        self.scores.reset(self.histories.len());
        for (row, history) in self.histories.iter().enumerate() {
            (self.search)(row, history, &mut self.scores);
        }
    }
}

impl<F: FnMut(usize, &[ItemIndex], &mut SparseScores)> SessionScorer for HistoryScorer<'_, F> {
    fn read(&mut self, batch: &Batch) {
        let mut before = std::mem::take(&mut self.histories);
        for (&item, &carry) in batch.inputs.iter().zip(&batch.carry) {
            let mut history = match carry {
                Carry::Fresh => Vec::new(),
                Carry::Row(from) => std::mem::take(&mut before[from]),
            };
            history.push(item);
            self.histories.push(history);
        }
        self.scored = false;
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        self.search_all();
        self.scores.score(self.popularity, items, scores);
    }

    fn fell_back(&self, b: usize) -> bool {
        self.scores.is_empty(b)
    }

    fn weights(&mut self, b: usize) -> Option<&[(ItemIndex, f32)]> {
        self.search_all();
        Some(self.scores.row(b))
    }
}

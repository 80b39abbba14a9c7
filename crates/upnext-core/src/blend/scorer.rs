//! The session scorer of a blend.

use super::lists::{List, Lister, Source};
use super::pool::Pool;
use super::{Blend, Fitted};
use crate::baselines::SparseScores;
use crate::batch::Batch;
use crate::data::ItemIndex;
use crate::recommender::{SessionScorer, lanes};

pub(super) struct BlendScorer<'m> {
    blend: &'m Blend,
    members: Vec<Lister<'m>>,
    /// The number of events that each row has read.
    events: Vec<usize>,
    /// Whether the pooled scores are those of the last read. They are computed on demand, since callers that read a whole
    /// session need only those after its last event.
    is_pooled: bool,
    scores: SparseScores,
    /// The rows for which a member gave scores that are not finite.
    broken: Vec<usize>,
}

impl<'m> BlendScorer<'m> {
    pub(super) fn new(blend: &'m Blend, rows: usize) -> Self {
        let lister = |member: &'m Fitted| {
            let Fitted { model, scale, index, fixed, .. } = member;
            let source = Source::new((&**model, *scale), index.as_ref(), fixed.clone());
            Lister::new(source, blend.config.depth, rows)
        };
        Self {
            blend,
            members: blend.members.iter().map(lister).collect(),
            events: Vec::with_capacity(rows),
            is_pooled: true,
            scores: SparseScores::default(),
            broken: Vec::new(),
        }
    }

    /// Computes the pooled scores after the last read, once.
    fn pool(&mut self) {
        if std::mem::replace(&mut self.is_pooled, true) {
            return;
        }
        let Blend { pool, catalogue, popularity, .. } = self.blend;
        let lists: Vec<Vec<List>> = self.members.iter_mut().map(|member| member.lists(catalogue)).collect();
        self.scores.reset(self.events.len());
        self.broken.clear();
        for (row, &events) in self.events.iter().enumerate() {
            let of_row: Vec<&List> = lists.iter().map(|lists| &lists[row]).collect();
            if !of_row.iter().all(|list| list.is_finite()) {
                self.broken.push(row);
                continue;
            }
            let scores = pool.scores(Pool::context(events), &of_row);
            // Those of all other items are below 0.
            let smallest = scores.iter().map(|&(_, score)| score).fold(f32::INFINITY, f32::min);
            let shifted = scores.into_iter().map(|(item, score)| (item, score - smallest + 1.0));
            self.scores.set(row, popularity, shifted);
        }
    }
}

impl SessionScorer for BlendScorer<'_> {
    fn read(&mut self, batch: &Batch) {
        self.members.iter_mut().for_each(|member| member.read(batch));
        self.events.clear();
        self.events.extend((0..batch.len()).map(|row| batch.position(row) + 1));
        self.is_pooled = false;
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        self.pool();
        self.scores.score(&self.blend.popularity, items, scores);
        let lanes = lanes(self.events.len());
        for &row in &self.broken {
            scores.iter_mut().skip(row).step_by(lanes).for_each(|score| *score = f32::NAN);
        }
    }

    fn fell_back(&self, b: usize) -> bool {
        self.scores.is_empty(b)
    }

    fn weights(&mut self, b: usize) -> Option<&[(ItemIndex, f32)]> {
        self.pool();
        // Scoring all items reports scores that are not finite.
        (!self.broken.contains(&b)).then(|| self.scores.row(b))
    }
}

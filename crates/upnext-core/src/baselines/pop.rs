//! POP: items by popularity, the same list for every session.

use crate::batch::Batch;
use crate::data::{ItemIndex, ItemVocabulary};
use crate::recommender::{Recommender, SessionScorer, lanes};

/// POP \[1, section 4.1\]: an item's score is its support.
///
/// Above 2²⁴, where f32 does not represent every integer, scores are adjusted so that a larger support still has a
/// larger score and equal supports have equal scores.
#[derive(Clone)]
pub struct Pop {
    scores: Vec<f32>,
}

impl std::fmt::Debug for Pop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pop({} items)", self.scores.len())
    }
}

impl Pop {
    /// Creates the model from the support of the items.
    pub fn new(items: &ItemVocabulary) -> Self {
        let supports = items.supports();
        let (levels, count) = support_levels(supports);
        let mut of_level = vec![0; count];
        for (&level, &support) in levels.iter().zip(supports) {
            of_level[level as usize] = support;
        }
        let mut below = f32::NEG_INFINITY;
        let scores: Vec<f32> = of_level
            .into_iter()
            .map(|support| {
                below = (support as f32).max(below.next_up());
                below
            })
            .collect();
        Self { scores: levels.into_iter().map(|level| scores[level as usize]).collect() }
    }
}

/// The rank of each item's support among the distinct supports, 0 for the smallest, and the number of distinct
/// supports.
pub(super) fn support_levels(supports: &[u64]) -> (Vec<u32>, usize) {
    let mut distinct = supports.to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    let level = |&support: &u64| distinct.partition_point(|&other| other < support) as u32;
    (supports.iter().map(level).collect(), distinct.len())
}

support_kind!(Pop, scale: Fixed);

impl Recommender for Pop {
    fn name(&self) -> &str {
        "pop"
    }

    fn num_items(&self) -> usize {
        self.scores.len()
    }

    fn scorer(&self, _rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(FixedScorer::new(&self.scores))
    }
}

/// The scorer of a model whose scores are the same after every session.
pub(super) struct FixedScorer<'m> {
    scores: &'m [f32],
    rows: usize,
}

impl<'m> FixedScorer<'m> {
    pub(super) fn new(scores: &'m [f32]) -> Self {
        Self { scores, rows: 0 }
    }
}

impl SessionScorer for FixedScorer<'_> {
    fn read(&mut self, batch: &Batch) {
        self.rows = batch.len();
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        for (&item, scores) in items.iter().zip(scores.chunks_exact_mut(lanes(self.rows))) {
            scores.fill(self.scores[item as usize]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_order_as_support_does_however_large() {
        let mut items = ItemVocabulary::new();
        let large = 1 << 27;
        let supports = [large + 1, 7, large, 0, large + 2, 7, large + 1];
        for (i, &support) in supports.iter().enumerate() {
            items.add(&i.to_string(), support);
        }
        let scores = Pop::new(&items).scores;
        for (a, x) in supports.iter().zip(&scores) {
            for (b, y) in supports.iter().zip(&scores) {
                assert_eq!(a.cmp(b), x.total_cmp(y), "{a} {b}");
            }
        }
        assert_eq!(scores[1], 7.0);
        assert_eq!(scores[2], large as f32);
    }
}

//! POP: the same items for everybody, the most popular of training first.

use super::NoFields;
use crate::Result;
use crate::arrays::Arrays;
use crate::batch::Batch;
use crate::data::{ItemIndex, ItemVocabulary, Sessions};
use crate::gru4rec::config::TrainingConfig;
use crate::kind::{Fit, Kind};
use crate::recommender::{Recommender, SessionScorer, lanes};

/// Popularity in training \[1, section 4.1\].
///
/// An item's score is its support; from 2²⁴ on, where f32 cannot tell all integers apart, a larger support still has a
/// larger score, and an equal one the same.
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
    /// The model that follows from the support of the items.
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

/// Each item's support as its place among the different supports, from 0 for the smallest; and how many there are.
pub(super) fn support_levels(supports: &[u64]) -> (Vec<u32>, usize) {
    let mut different = supports.to_vec();
    different.sort_unstable();
    different.dedup();
    let level = |&support: &u64| different.partition_point(|&other| other < support) as u32;
    (supports.iter().map(level).collect(), different.len())
}

impl Kind for Pop {
    type Config = NoFields;
    const LEARNS_ON: bool = true;

    fn validate(config: &NoFields, _: &TrainingConfig) -> Result<()> {
        config.validate()
    }

    fn fit(_: &NoFields, fit: &mut Fit<'_>) -> Result<Self> {
        Ok(Self::new(&fit.data.items))
    }

    fn to_arrays(&self) -> Arrays {
        Arrays::default()
    }

    fn from_arrays(_: &NoFields, _: &TrainingConfig, items: &ItemVocabulary, arrays: Arrays) -> Result<Self> {
        arrays.finish()?;
        Ok(Self::new(items))
    }
}

impl Recommender for Pop {
    fn name(&self) -> &str {
        "pop"
    }

    fn num_items(&self) -> usize {
        self.scores.len()
    }

    fn scorer(&self, _rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(PopScorer { scores: &self.scores, rows: 0 })
    }
}

struct PopScorer<'m> {
    scores: &'m [f32],
    rows: usize,
}

impl SessionScorer for PopScorer<'_> {
    fn observe(&mut self, batch: &Batch, _sessions: &Sessions) {
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

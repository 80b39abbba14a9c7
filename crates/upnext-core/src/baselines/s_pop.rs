//! S-POP: items by the number of their events in the session so far, then by popularity.

use super::pop::support_levels;
use crate::batch::{Batch, Carry};
use crate::data::{ItemIndex, ItemVocabulary};
use crate::recommender::{Recommender, SessionScorer, lanes};
use std::collections::HashMap;

/// S-POP \[1, section 4.1\]: items by the number of their events in the session so far, the current one included, and
/// by support where that is equal.
///
/// An item's score is the number of its events plus a fraction below 1 that grows with its support.
#[derive(Clone)]
pub struct SPop {
    /// Rank of each item's support among the distinct supports, from 0.
    levels: Vec<u32>,
    /// Fractions are multiples of 1 / `scale`, a power of two above every level.
    scale: u64,
}

impl std::fmt::Debug for SPop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SPop({} items)", self.levels.len())
    }
}

/// Largest number up to which all integers are exact in f32.
const EXACT: u64 = 1 << 24;

impl SPop {
    /// Creates the model from the support of the items.
    pub fn new(items: &ItemVocabulary) -> Self {
        let (levels, count) = support_levels(items.supports());
        Self { levels, scale: (count as u64).next_power_of_two() }
    }

    /// The score of an item with `count` events in the session; it increases strictly with the count, then with the
    /// level.
    ///
    /// `count + level / scale` is exact in f32 up to 24 bits. Beyond that (an item 4,000 times in one session, with
    /// 4,096 distinct supports), each further step of 1 / scale is the next larger f32. The order stays exact for at
    /// least 8·10⁸ steps; the largest score is the largest f32.
    fn score(&self, count: u32, level: u32) -> f32 {
        let step = u64::from(count) * self.scale + u64::from(level);
        if step <= EXACT {
            return step as f32 / self.scale as f32;
        }
        let bits = u64::from((EXACT as f32 / self.scale as f32).to_bits()) + (step - EXACT);
        f32::from_bits(bits.min(u64::from(f32::MAX.to_bits())) as u32)
    }
}

support_kind!(SPop);

impl Recommender for SPop {
    fn name(&self) -> &str {
        "s-pop"
    }

    fn num_items(&self) -> usize {
        self.levels.len()
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        let counts = Vec::with_capacity(rows);
        Box::new(SPopScorer { model: self, counts, sessions_with: vec![0; self.levels.len()] })
    }
}

struct SPopScorer<'m> {
    model: &'m SPop,
    /// Number of events of each item in the session of each row.
    counts: Vec<HashMap<ItemIndex, u32>>,
    /// Number of rows in which each item has occurred. It is 0 for nearly all items, whose rows need no lookup.
    sessions_with: Vec<u32>,
}

impl SessionScorer for SPopScorer<'_> {
    fn read(&mut self, batch: &Batch) {
        let mut before = std::mem::take(&mut self.counts);
        for (&item, &carry) in batch.inputs.iter().zip(&batch.carry) {
            let mut counts = match carry {
                Carry::Fresh => HashMap::new(),
                Carry::Row(from) => std::mem::take(&mut before[from]),
            };
            let count = counts.entry(item).or_insert(0);
            self.sessions_with[item as usize] += u32::from(*count == 0);
            *count += 1;
            self.counts.push(counts);
        }
        for item in before.iter().flat_map(HashMap::keys) {
            self.sessions_with[*item as usize] -= 1;
        }
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        for (&item, scores) in items.iter().zip(scores.chunks_exact_mut(lanes(self.counts.len()))) {
            let level = self.model.levels[item as usize];
            scores.fill(self.model.score(0, level));
            if self.sessions_with[item as usize] > 0 {
                for (score, counts) in scores.iter_mut().zip(&self.counts) {
                    if let Some(&count) = counts.get(&item) {
                        *score = self.model.score(count, level);
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ranking::{Filter, recommend};

    fn with_supports(supports: impl IntoIterator<Item = u64>) -> ItemVocabulary {
        let mut items = ItemVocabulary::new();
        for (i, support) in supports.into_iter().enumerate() {
            items.add(&i.to_string(), support);
        }
        items
    }

    #[test]
    fn counts_come_before_any_popularity_however_large_both_are() {
        let model = SPop::new(&with_supports((0..5000).map(|i| 100_000_000 + i)));
        let counts = [0, 1, 2, 3, 2047, 2048, 2049, 4095, 4096, 100_000];
        let steps: Vec<(u32, u32)> = counts
            .iter()
            .flat_map(|&count| [0, 1, 2, 2500, 4998, 4999].map(|level| (count, level)))
            .collect();
        for pair in steps.windows(2) {
            let [a, b] = [0, 1].map(|i| model.score(pair[i].0, pair[i].1));
            assert!(a < b, "{pair:?} {a} {b}");
        }
        let most = model.score(u32::MAX, 4999);
        assert!(most.is_finite() && most >= model.score(100_000, 4999));
        assert_eq!(model.score(3, 0), 3.0);
    }

    #[test]
    fn the_session_comes_first_then_popularity() {
        let items = with_supports([5, 9, 1, 9, 7]);
        let model = SPop::new(&items);
        let order = |session: &[ItemIndex]| -> Vec<ItemIndex> {
            let lists = recommend(&model, &items, &[session], 9, &Filter::default()).unwrap();
            lists[0].entries.iter().map(|e| e.item).collect()
        };
        assert_eq!(order(&[2]), [2, 1, 3, 4, 0]);
        assert_eq!(order(&[2, 0, 2, 4]), [2, 4, 0, 1, 3]);
        assert_eq!(order(&[0, 3, 1]), [1, 3, 0, 4, 2]);
    }
}

//! The best items of a member after a session, with the logarithms of their probabilities.

use crate::batch::Batch;
use crate::data::{ItemIndex, Sessions};
use crate::kind::{AnyModel, Scale};
use crate::ranking::{
    BLOCK, Entry, Index, ListRequest, Recommendation, TopK, add_block, count_non_finite, first_floors,
};
use crate::recommender::{SessionScorer, lanes};

/// The logarithm that is assumed for the smallest probability of an empty list.
const EMPTY: f32 = -8.0;

/// The list of a member for one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct List {
    /// The items, ascending, and the logarithms of their probabilities.
    pub(super) items: Vec<(ItemIndex, f32)>,
    /// The logarithm for items that are not in the list: one below the smallest. It is NaN if the member gave scores that are
    /// not finite.
    pub(super) floor: f32,
}

impl List {
    /// The list of the best `entries` of a member, in their order, whose scores mean what `scale` says.
    ///
    /// * Logits: the softmax over the list.
    /// * Weights: their shares of the list's sum; items without a weight are left out.
    /// * Probabilities above 1: what is above it; other items are left out.
    pub(super) fn new(entries: &[Entry], scale: Scale) -> Self {
        let mut items: Vec<(ItemIndex, f32)> = match scale {
            Scale::Logit => {
                let largest = entries.first().map_or(0.0, |entry| entry.score);
                let sum: f64 = entries.iter().map(|entry| f64::from(entry.score - largest).exp()).sum();
                let log_sum = sum.ln() as f32;
                entries.iter().map(|entry| (entry.item, entry.score - largest - log_sum)).collect()
            }
            Scale::Weight => {
                let known = || entries.iter().filter(|entry| entry.score > 0.0);
                let sum: f64 = known().map(|entry| f64::from(entry.score)).sum();
                known().map(|entry| (entry.item, (f64::from(entry.score) / sum).ln() as f32)).collect()
            }
            Scale::AboveOne => {
                let known = entries.iter().filter(|entry| entry.score > 1.0);
                known.map(|entry| (entry.item, (f64::from(entry.score) - 1.0).ln() as f32)).collect()
            }
        };
        let smallest = items.iter().map(|&(_, log)| log).reduce(f32::min).unwrap_or(EMPTY);
        items.sort_unstable_by_key(|&(item, _)| item);
        Self { items, floor: smallest - 1.0 }
    }

    /// The list of a member whose scores are not finite.
    fn broken() -> Self {
        Self { items: Vec::new(), floor: f32::NAN }
    }

    /// Whether the member's scores were finite.
    pub(super) fn is_finite(&self) -> bool {
        self.floor.is_finite()
    }

    /// The logarithm of an item's probability; `None` if it is not in the list.
    pub(super) fn log_of(&self, item: ItemIndex) -> Option<f32> {
        let at = self.items.binary_search_by_key(&item, |&(item, _)| item).ok()?;
        Some(self.items[at].1)
    }
}

/// The items of all models of a blend with their supports.
#[derive(Clone, Debug)]
pub(crate) struct Catalogue {
    supports: Vec<u64>,
    all: Vec<ItemIndex>,
    /// All supports, ascending.
    sorted: Vec<u64>,
}

impl Catalogue {
    /// A catalogue of items with these supports.
    pub(crate) fn new(supports: &[u64]) -> Self {
        let mut sorted = supports.to_vec();
        sorted.sort_unstable();
        Self { supports: supports.to_vec(), all: (0..supports.len() as ItemIndex).collect(), sorted }
    }

    /// The rank of an item behind those of a list, ascending by item, that it is not in: by popularity, behind those of the
    /// same.
    pub(super) fn rank_behind(&self, list: &[(ItemIndex, f32)], item: ItemIndex) -> usize {
        let own = self.supports[item as usize];
        let as_popular = self.sorted.len() - self.sorted.partition_point(|&support| support < own);
        let listed = list.iter().filter(|&&(other, _)| self.supports[other as usize] >= own).count();
        list.len() + as_popular - listed
    }

    /// Number of items.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }
}

/// A member that reads sessions and lists its best items after them.
pub(super) struct Lister<'m> {
    scorer: Box<dyn SessionScorer + 'm>,
    index: Option<&'m Index>,
    scale: Scale,
    depth: usize,
    rows: usize,
    scores: Vec<f32>,
    best: Vec<TopK>,
}

impl<'m> Lister<'m> {
    /// For up to `rows` sessions at once, and lists of `depth` items.
    pub(super) fn new(
        (model, scale): (&'m dyn AnyModel, Scale),
        index: Option<&'m Index>,
        depth: usize,
        rows: usize,
    ) -> Self {
        let best = vec![TopK::new(depth); rows];
        Self { scorer: model.scorer(rows), index, scale, depth, rows: 0, scores: Vec::new(), best }
    }

    /// Reads an event of each row.
    pub(super) fn read(&mut self, batch: &Batch, sessions: &Sessions) {
        self.scorer.read(batch, sessions);
        self.rows = batch.len();
    }

    /// The list of each row.
    pub(super) fn lists(&mut self, catalogue: &Catalogue) -> Vec<List> {
        if let Some(found) = self.search(catalogue) {
            return found;
        }
        self.best[..self.rows].iter_mut().for_each(TopK::clear);
        for row in 0..self.rows {
            let Some(weights) = self.scorer.weights(row) else { return self.score_all(catalogue) };
            let best = &mut self.best[row];
            for &(item, score) in weights {
                if best.admits(score) {
                    best.push(Entry { score, support: catalogue.supports[item as usize], item });
                }
            }
        }
        self.best[..self.rows].iter_mut().map(|best| List::new(best.sorted(), self.scale)).collect()
    }

    /// The lists by the member's index, where that is expected to be faster.
    fn search(&self, catalogue: &Catalogue) -> Option<Vec<List>> {
        let Catalogue { supports, all, .. } = catalogue;
        let request = ListRequest { k: self.depth.min(all.len()), hidden: Vec::new() };
        let found = self.index?.find(&*self.scorer, supports, all, &vec![request; self.rows])?;
        let list = |found: &Vec<Recommendation>| {
            let entry = |one: &Recommendation| Entry {
                score: one.score,
                support: supports[one.item as usize],
                item: one.item,
            };
            List::new(&found.iter().map(entry).collect::<Vec<_>>(), self.scale)
        };
        Some(found.iter().map(list).collect())
    }

    /// The lists from the scores of all items.
    fn score_all(&mut self, catalogue: &Catalogue) -> Vec<List> {
        let lanes = lanes(self.rows);
        self.scores.resize(lanes * BLOCK, 0.0);
        let mut broken = vec![false; self.rows];
        let mut floors = first_floors(self.rows);
        for block in catalogue.all.chunks(BLOCK) {
            let scores = &mut self.scores[..block.len() * lanes];
            self.scorer.score(block, scores);
            if count_non_finite(scores, lanes, self.rows) > 0 {
                for scores in scores.chunks_exact(lanes) {
                    broken.iter_mut().zip(scores).for_each(|(broken, score)| *broken |= !score.is_finite());
                }
            }
            let best = &mut self.best[..self.rows];
            add_block(best, &mut floors, (block, scores), &catalogue.supports, |_, _| true);
        }
        let list = |(best, broken): (&mut TopK, &bool)| {
            if *broken { List::broken() } else { List::new(best.sorted(), self.scale) }
        };
        self.best[..self.rows].iter_mut().zip(&broken).map(list).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_the_logarithms_of_probabilities() {
        let entry = |item, score| Entry { score, support: 1, item };
        let log = |list: &List, item| list.log_of(item).map(f32::exp);
        let near = |a: Option<f32>, b: f32| assert!((a.unwrap() - b).abs() < 1e-6, "{a:?} {b}");
        let list = List::new(&[entry(7, 2.0_f32.ln()), entry(3, 0.0), entry(5, 0.0)], Scale::Logit);
        near(log(&list, 7), 0.5);
        near(log(&list, 3), 0.25);
        assert_eq!(log(&list, 4), None);
        assert!((list.floor - (0.25_f32.ln() - 1.0)).abs() < 1e-6);
        let list = List::new(&[entry(7, 3.0), entry(3, 1.0), entry(5, 0.0), entry(6, -2.0)], Scale::Weight);
        near(log(&list, 7), 0.75);
        assert_eq!((log(&list, 5), list.items.len()), (None, 2));
        let list = List::new(&[entry(7, 1.25), entry(3, 0.5)], Scale::AboveOne);
        near(log(&list, 7), 0.25);
        assert_eq!(list.items.len(), 1);
        let empty = List::new(&[entry(7, -1.0)], Scale::Weight);
        assert_eq!((empty.items.len(), empty.floor), (0, -9.0));
        assert!(empty.is_finite() && !List::broken().is_finite());
    }

    #[test]
    fn items_that_nobody_lists_are_behind_by_popularity() {
        let catalogue = Catalogue::new(&[5, 9, 1, 9, 7, 2]);
        let list = [(1, 0.5), (2, 0.25)];
        // By popularity: 3, 4, 0, 5.
        assert_eq!([3, 4, 0, 5].map(|item| catalogue.rank_behind(&list, item)), [3, 4, 5, 6]);
        assert_eq!([1, 3].map(|item| catalogue.rank_behind(&[], item)), [2, 2]);
    }
}

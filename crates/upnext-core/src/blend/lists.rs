//! The best items of a member after a session, with the logarithms of their probabilities.

use crate::batch::{Batch, SessionBatcher};
use crate::data::{ItemIndex, Sessions};
use crate::kind::{AnyModel, Scale};
use crate::ranking::{
    BLOCK, Entry, Index, ListRequest, Recommendation, TopK, add_block, count_non_finite, first_floors,
};
use crate::recommender::{SessionScorer, lanes};
use std::sync::Arc;

/// The logarithm that is assumed for the smallest probability of an empty list.
const EMPTY: f32 = -8.0;

/// What is added to weights that are the same after every session, whose smallest is 0, before logarithms are taken.
const LEAST: f32 = 0.1;

/// What a member says of an item: the three features of the pool.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Opinion {
    /// The logarithm of the item's probability.
    pub(super) log: f32,
    /// The logarithm of one by the item's rank in the list.
    pub(super) place: f32,
    /// 1 for an item that is not in the list.
    pub(super) missing: f32,
}

/// Number of features of a member.
pub(super) const FEATURES: usize = 3;

impl Opinion {
    pub(super) fn features(self) -> [f32; FEATURES] {
        [self.log, self.place, self.missing]
    }

    /// Whether these are the features of an item that is in the list.
    pub(super) fn is_listed(features: &[f32]) -> bool {
        features[2] == 0.0
    }
}

/// The list of a member for one session.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct List {
    /// The items, ascending.
    pub(super) items: Vec<(ItemIndex, Opinion)>,
    /// What the member says of items that are not in the list. It is NaN if the member gave scores that are not finite.
    pub(super) outside: Opinion,
    /// Instead of a list, the logarithms of all items' weights, of a member that says the same after every session.
    pub(super) fixed: Option<Arc<[f32]>>,
}

impl List {
    /// The list of the best `entries` of a member, in their order, whose scores mean what `scale` says.
    ///
    /// * Logits: the softmax over the list.
    /// * Weights: their shares of the list's sum; items without a weight are left out.
    /// * Probabilities above 1: what is above it; other items are left out.
    ///
    /// Items outside the list have a logarithm one below the smallest, and the rank after the next.
    pub(super) fn new(entries: &[Entry], scale: Scale) -> Self {
        let logs: Vec<f32> = match scale {
            Scale::Logit => {
                let largest = entries.first().map_or(0.0, |entry| entry.score);
                let sum: f64 = entries.iter().map(|entry| f64::from(entry.score - largest).exp()).sum();
                let log_sum = sum.ln() as f32;
                entries.iter().map(|entry| entry.score - largest - log_sum).collect()
            }
            Scale::Weight | Scale::Fixed => {
                let known = || entries.iter().filter(|entry| entry.score > 0.0);
                let sum: f64 = known().map(|entry| f64::from(entry.score)).sum();
                known().map(|entry| (f64::from(entry.score) / sum).ln() as f32).collect()
            }
            Scale::AboveOne => {
                let known = entries.iter().filter(|entry| entry.score > 1.0);
                known.map(|entry| (f64::from(entry.score) - 1.0).ln() as f32).collect()
            }
        };
        // Those that are left out are the last.
        let smallest = logs.last().copied().unwrap_or(EMPTY);
        let place = |rank: usize| -(rank as f32).ln();
        let outside = Opinion { log: smallest - 1.0, place: place(logs.len() + 2), missing: 1.0 };
        let opinions = (1..).zip(logs).map(|(rank, log)| Opinion { log, place: place(rank), missing: 0.0 });
        let mut items: Vec<_> = entries.iter().map(|entry| entry.item).zip(opinions).collect();
        items.sort_unstable_by_key(|&(item, _)| item);
        Self { items, outside, fixed: None }
    }

    /// The list of a member whose scores are not finite.
    fn broken() -> Self {
        Self { outside: Opinion { log: f32::NAN, ..Opinion::default() }, ..Self::default() }
    }

    /// Whether the member's scores were finite.
    pub(super) fn is_finite(&self) -> bool {
        self.outside.log.is_finite()
    }

    /// What the member says of an item.
    pub(super) fn of(&self, item: ItemIndex) -> Opinion {
        if let Some(fixed) = &self.fixed {
            return Opinion { log: fixed[item as usize], place: 0.0, missing: 1.0 };
        }
        match self.items.binary_search_by_key(&item, |&(item, _)| item) {
            Ok(at) => self.items[at].1,
            Err(_) => self.outside,
        }
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

/// A fitted member, as far as its lists need it.
#[derive(Clone)]
pub(super) struct Source<'m> {
    model: &'m dyn AnyModel,
    scale: Scale,
    index: Option<&'m Index>,
    fixed: Option<Arc<[f32]>>,
}

impl<'m> Source<'m> {
    /// A model whose scores mean what `scale` says, with what [`fixed`] has of it.
    pub(super) fn new(
        (model, scale): (&'m dyn AnyModel, Scale),
        index: Option<&'m Index>,
        fixed: Option<Arc<[f32]>>,
    ) -> Self {
        Self { model, scale, index, fixed }
    }
}

/// The logarithms of the weights of all items, of a model whose weights are the same after every session; of others `None`.
pub(super) fn fixed((model, scale): (&dyn AnyModel, Scale)) -> Option<Arc<[f32]>> {
    if scale != Scale::Fixed || model.num_items() == 0 {
        return None;
    }
    let mut sessions = Sessions::new();
    sessions.push(&[0, 0], 0);
    let mut batcher = SessionBatcher::new(&sessions, vec![0], 1);
    let mut scorer = model.scorer(1);
    scorer.read(batcher.next_batch().ok().flatten()?);
    let items: Vec<ItemIndex> = (0..model.num_items() as ItemIndex).collect();
    let lanes = lanes(1);
    let mut scores = vec![0.0; items.len() * lanes];
    scorer.score(&items, &mut scores);
    Some(scores.iter().step_by(lanes).map(|score| (score + LEAST).ln()).collect())
}

/// A member that reads sessions and lists its best items after them.
pub(super) struct Lister<'m> {
    scorer: Box<dyn SessionScorer + 'm>,
    source: Source<'m>,
    depth: usize,
    rows: usize,
    scores: Vec<f32>,
    best: Vec<TopK>,
}

impl<'m> Lister<'m> {
    /// For up to `rows` sessions at once, and lists of `depth` items.
    pub(super) fn new(source: Source<'m>, depth: usize, rows: usize) -> Self {
        let best = vec![TopK::new(depth); rows];
        Self { scorer: source.model.scorer(rows), source, depth, rows: 0, scores: Vec::new(), best }
    }

    /// Reads an event of each row.
    pub(super) fn read(&mut self, batch: &Batch) {
        self.scorer.read(batch);
        self.rows = batch.len();
    }

    /// The list of each row.
    pub(super) fn lists(&mut self, catalogue: &Catalogue) -> Vec<List> {
        if let Some(fixed) = &self.source.fixed {
            return vec![List { fixed: Some(Arc::clone(fixed)), ..List::default() }; self.rows];
        }
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
        let scale = self.source.scale;
        self.best[..self.rows].iter_mut().map(|best| List::new(best.sorted(), scale)).collect()
    }

    /// The lists by the member's index, where that is expected to be faster.
    fn search(&self, catalogue: &Catalogue) -> Option<Vec<List>> {
        let Catalogue { supports, all, .. } = catalogue;
        let request = ListRequest { k: self.depth.min(all.len()), hidden: Vec::new() };
        let found = self.source.index?.find(&*self.scorer, supports, all, &vec![request; self.rows])?;
        let list = |found: &Vec<Recommendation>| {
            let entry = |one: &Recommendation| Entry {
                score: one.score,
                support: supports[one.item as usize],
                item: one.item,
            };
            List::new(&found.iter().map(entry).collect::<Vec<_>>(), self.source.scale)
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
        let scale = self.source.scale;
        let list = |(best, broken): (&mut TopK, &bool)| {
            if *broken { List::broken() } else { List::new(best.sorted(), scale) }
        };
        self.best[..self.rows].iter_mut().zip(&broken).map(list).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_hold_the_logarithms_of_probabilities_and_of_ranks() {
        let entry = |item, score| Entry { score, support: 1, item };
        let near = |own: Opinion, log: f32, rank: f32, missing: f32| {
            let expected = [log, -rank.ln(), missing];
            let is_near = own.features().iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
            assert!(is_near, "{own:?} {expected:?}");
        };
        let list = List::new(&[entry(7, 2.0_f32.ln()), entry(3, 0.0), entry(5, 0.0)], Scale::Logit);
        near(list.of(7), 0.5_f32.ln(), 1.0, 0.0);
        near(list.of(3), 0.25_f32.ln(), 2.0, 0.0);
        near(list.of(4), 0.25_f32.ln() - 1.0, 5.0, 1.0);
        let list = List::new(&[entry(7, 3.0), entry(3, 1.0), entry(5, 0.0), entry(6, -2.0)], Scale::Weight);
        near(list.of(7), 0.75_f32.ln(), 1.0, 0.0);
        near(list.of(5), 0.25_f32.ln() - 1.0, 4.0, 1.0);
        assert_eq!(list.items.len(), 2);
        let list = List::new(&[entry(7, 1.25), entry(3, 0.5)], Scale::AboveOne);
        near(list.of(7), 0.25_f32.ln(), 1.0, 0.0);
        assert_eq!(list.items.len(), 1);
        let empty = List::new(&[entry(7, -1.0)], Scale::Weight);
        near(empty.of(7), EMPTY - 1.0, 2.0, 1.0);
        assert!(empty.items.is_empty() && empty.is_finite() && !List::broken().is_finite());
    }

    #[test]
    fn what_is_the_same_after_every_session_is_known_of_every_item() {
        use crate::baselines::{Pop, Vstan, VstanConfig};
        let data = crate::contract::example();
        let pop = Pop::new(&data.items);
        let known = fixed((&pop, Scale::Fixed)).unwrap();
        for (&support, &log) in data.items.supports().iter().zip(known.iter()) {
            assert!((log - (support as f32 + LEAST).ln()).abs() < 1e-6);
        }
        let list = List { fixed: Some(known), ..List::default() };
        assert_eq!(list.of(1).features()[1..], [0.0, 1.0]);
        let others = Vstan::fit(&VstanConfig::default(), &data).unwrap();
        assert!(fixed((&others, Scale::Weight)).is_none());
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

//! Sparse item-to-item weights, the common part of all models that score by the last item of a session.

use super::sparse::{Popularity, SparseScores};
use crate::arrays::{Arrays, Tensor};
use crate::batch::Batch;
use crate::data::{ItemIndex, ItemVocabulary, Sessions};
use crate::recommender::{SessionScorer, Similarities, SimilarityMeasure};
use crate::{Error, Result};

/// A sparse n × n matrix in compressed row format: row `i` has the scores of the next item after last item `i`.
///
/// Items without a weight in the row are ranked after the others, by popularity.
#[derive(Clone)]
pub(super) struct ItemItem {
    popularity: Popularity,
    /// `neighbours[offsets[i]..offsets[i + 1]]` is the row of item `i`.
    offsets: Vec<usize>,
    /// Ascending within a row.
    neighbours: Vec<ItemIndex>,
    /// Finite and above 0.
    weights: Vec<f32>,
}

impl std::fmt::Debug for ItemItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} items, {} weights", self.popularity.num_items(), self.weights.len())
    }
}

/// Implements saving, loading and scoring for a model that consists of an [`ItemItem`].
macro_rules! item_item_model {
    ($model:ident($config:ident) = $name:literal, space: $space:expr) => {
        impl $model {
            /// The model as arrays: `offsets` (n + 1), and per weight its item in `neighbours` and its value in
            /// `weights`.
            pub fn arrays(&self) -> crate::arrays::Arrays {
                self.rows.arrays()
            }

            /// Creates the model from the result of [`arrays`](Self::arrays).
            ///
            /// # Errors
            /// [`Error::Weights`](crate::Error::Weights) if the arrays are not those of a model over `items`;
            /// [`Error::Config`](crate::Error::Config) for an invalid configuration.
            pub fn from_arrays(
                config: &$config,
                items: &crate::data::ItemVocabulary,
                arrays: crate::arrays::Arrays,
            ) -> crate::Result<Self> {
                config.validate()?;
                Ok(Self { rows: ItemItem::from_arrays(items, arrays)? })
            }
        }

        fitted_kind!($model($config), space: $space, reads: Nothing, similarity: Weight, |config, fit| Self::fit(config, &fit.data));

        impl crate::recommender::Recommender for $model {
            fn name(&self) -> &str {
                $name
            }

            fn num_items(&self) -> usize {
                self.rows.num_items()
            }

            fn similarities(
                &self,
                item: crate::data::ItemIndex,
            ) -> Option<crate::recommender::Similarities> {
                Some(self.rows.similarities(item))
            }

            fn scorer(&self, rows: usize) -> Box<dyn crate::recommender::SessionScorer + '_> {
                self.rows.scorer(rows)
            }
        }
    };
}
pub(super) use item_item_model;

/// The sums of one row while it is counted: a dense accumulator with the list of its non-zero entries.
pub(super) struct Sums {
    of: Vec<f64>,
    touched: Vec<ItemIndex>,
}

impl Sums {
    /// Adds `weight`, which must be above 0, to the sum of `item`.
    pub(super) fn add(&mut self, item: ItemIndex, weight: f64) {
        let sum = &mut self.of[item as usize];
        if *sum == 0.0 {
            self.touched.push(item);
        }
        *sum += weight;
    }

    /// The sum over all items of the row.
    fn total(&self) -> f64 {
        self.touched.iter().map(|&item| self.of[item as usize]).sum()
    }
}

/// The sum of a pair of items.
pub(super) struct Counted {
    /// The item of the row.
    pub(super) item: ItemIndex,
    /// The item of the column.
    pub(super) neighbour: ItemIndex,
    /// The sum of `neighbour` in the row.
    pub(super) sum: f64,
    /// The sum of the whole row.
    pub(super) total: f64,
}

impl Counted {
    /// The share of `neighbour` in the sum of the row.
    pub(super) fn share(&self) -> f64 {
        self.sum / self.total
    }
}

impl ItemItem {
    /// Computes the weights row by row. `count` is called with the session, its number, and the position of every event of the
    /// row's item, and adds to the sums; `weight` turns a sum into a weight, which must be above 0.
    ///
    /// Each row keeps its `keep` largest weights; of equal ones, those of larger support, then of lower index.
    pub(super) fn count(
        items: &ItemVocabulary,
        sessions: &Sessions,
        keep: usize,
        count: impl Fn((usize, &[ItemIndex]), usize, &mut Sums),
        weight: impl Fn(Counted) -> f64,
    ) -> Self {
        let n = items.len();
        let popularity = Popularity::new(items);
        let occurrences = Occurrences::new(n, sessions);
        let rows = sessions.rows();
        let mut sums = Sums { of: vec![0.0; n], touched: Vec::new() };
        let mut row: Vec<(ItemIndex, f32)> = Vec::new();
        let mut offsets = vec![0];
        let mut neighbours = Vec::new();
        let mut weights = Vec::new();
        for item in 0..n as ItemIndex {
            for &(session, position) in occurrences.of(item) {
                let number = session as usize;
                count((number, rows.session(number)), position as usize, &mut sums);
            }
            let total = sums.total();
            row.clear();
            for neighbour in sums.touched.drain(..) {
                let sum = std::mem::take(&mut sums.of[neighbour as usize]);
                row.push((neighbour, weight(Counted { item, neighbour, sum, total }) as f32));
            }
            popularity.keep_best(keep, &mut row);
            row.sort_unstable_by_key(|&(neighbour, _)| neighbour);
            neighbours.extend(row.iter().map(|&(neighbour, _)| neighbour));
            weights.extend(row.iter().map(|&(_, weight)| weight));
            offsets.push(neighbours.len());
        }
        Self { popularity, offsets, neighbours, weights }
    }

    /// Number of items.
    pub(super) fn num_items(&self) -> usize {
        self.popularity.num_items()
    }

    /// The items with a weight in the row of `item`, ascending, and their weights.
    pub(super) fn row(&self, item: ItemIndex) -> impl Iterator<Item = (ItemIndex, f32)> {
        let row = self.offsets[item as usize]..self.offsets[item as usize + 1];
        self.neighbours[row.clone()].iter().copied().zip(self.weights[row].iter().copied())
    }

    /// The items with a weight in the row of `item`.
    pub(super) fn similarities(&self, item: ItemIndex) -> Similarities {
        Similarities::Listed(SimilarityMeasure::Weight, self.row(item).collect())
    }

    /// A session scorer for up to `rows` sessions.
    pub(super) fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        let mut scores = SparseScores::default();
        scores.reset(rows);
        Box::new(LastItemScorer { model: self, scores })
    }

    /// The rows as arrays: `offsets` (n + 1 numbers), `neighbours` and `weights`.
    pub(super) fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        arrays.counts.insert(OFFSETS.into(), self.offsets.iter().map(|&offset| offset as u64).collect());
        arrays.counts.insert(NEIGHBOURS.into(), self.neighbours.iter().copied().map(u64::from).collect());
        let weights = Tensor { shape: vec![self.weights.len()], values: self.weights.clone() };
        arrays.tensors.insert(WEIGHTS.into(), weights);
        arrays
    }

    /// Creates the weights from the result of [`arrays`](Self::arrays).
    ///
    /// # Errors
    /// [`Error::Weights`] if the arrays are not weights between `items`.
    pub(super) fn from_arrays(items: &ItemVocabulary, mut arrays: Arrays) -> Result<Self> {
        let n = items.len();
        let wide = arrays.take_counts(NEIGHBOURS)?;
        let mut neighbours = Vec::with_capacity(wide.len());
        for neighbour in wide {
            if neighbour >= n as u64 {
                return Err(Error::weights(
                    NEIGHBOURS,
                    format!("has the item {neighbour}, and there are {n}"),
                ));
            }
            neighbours.push(neighbour as ItemIndex);
        }
        let ends = arrays.take_counts(OFFSETS)?;
        let (first, last) = (Some(&0), Some(&(neighbours.len() as u64)));
        if ends.len() != n + 1 || ends.first() != first || ends.last() != last || !ends.is_sorted() {
            let reason = format!("is not {} ascending numbers from 0 to {}", n + 1, neighbours.len());
            return Err(Error::weights(OFFSETS, reason));
        }
        let offsets: Vec<usize> = ends.into_iter().map(|end| end as usize).collect();
        for (item, row) in offsets.windows(2).enumerate() {
            if !neighbours[row[0]..row[1]].is_sorted_by(|a, b| a < b) {
                return Err(Error::weights(NEIGHBOURS, format!("does not ascend in the row of item {item}")));
            }
        }
        let weights = arrays.take_tensor(WEIGHTS, &[neighbours.len()])?;
        if let Some(weight) = weights.iter().find(|weight| !(weight.is_finite() && **weight > 0.0)) {
            return Err(Error::weights(WEIGHTS, format!("has {weight}, which is no finite number above 0")));
        }
        arrays.finish()?;
        Ok(Self { popularity: Popularity::new(items), offsets, neighbours, weights })
    }
}

/// Names of the arrays.
const OFFSETS: &str = "offsets";
const NEIGHBOURS: &str = "neighbours";
const WEIGHTS: &str = "weights";

/// Checks that `keep`, the number of weights to keep per item from configuration field `field`, is above 0.
pub(super) fn check_kept(field: &str, keep: usize) -> Result<()> {
    if keep > 0 {
        return Ok(());
    }
    Err(Error::config(field, "is 0: use 1 or more; with the number of items or more, all are kept"))
}

/// The events of each item (an inverted index), in the order of the sessions.
struct Occurrences {
    /// Session and position of each event, item by item.
    occurrences: Vec<(u32, u32)>,
    /// The events of item `i` are `occurrences[ends[i - 1]..ends[i]]`.
    ends: Vec<usize>,
}

impl Occurrences {
    fn new(n: usize, sessions: &Sessions) -> Self {
        // A counting sort: `ends[i]` moves from the start of item i's events to their end.
        let mut ends = vec![0; n + 1];
        sessions.iter().flatten().for_each(|&item| ends[item as usize + 1] += 1);
        for i in 0..n {
            ends[i + 1] += ends[i];
        }
        let mut occurrences = vec![(0, 0); sessions.num_events()];
        for (session, items) in sessions.iter().enumerate() {
            for (position, &item) in items.iter().enumerate() {
                // Logs are limited to 2³² events.
                occurrences[ends[item as usize]] = (session as u32, position as u32);
                ends[item as usize] += 1;
            }
        }
        Self { occurrences, ends }
    }

    fn of(&self, item: ItemIndex) -> &[(u32, u32)] {
        let i = item as usize;
        &self.occurrences[if i == 0 { 0 } else { self.ends[i - 1] }..self.ends[i]]
    }
}

/// The session scorer of item-to-item weights.
struct LastItemScorer<'m> {
    model: &'m ItemItem,
    scores: SparseScores,
}

impl SessionScorer for LastItemScorer<'_> {
    fn read(&mut self, batch: &Batch) {
        self.scores.reset(batch.len());
        for (b, &item) in batch.inputs.iter().enumerate() {
            self.scores.set(b, &self.model.popularity, self.model.row(item));
        }
    }

    fn score(&mut self, items: &[ItemIndex], scores: &mut [f32]) {
        self.scores.score(&self.model.popularity, items, scores);
    }

    fn fell_back(&self, b: usize) -> bool {
        self.scores.is_empty(b)
    }

    fn weights(&mut self, b: usize) -> Option<&[(ItemIndex, f32)]> {
        Some(self.scores.row(b))
    }
}

/// A dataset of these sessions over items 0..n, with their supports.
#[cfg(test)]
pub(super) fn dataset(n: usize, sessions: &[&[ItemIndex]]) -> crate::data::Dataset {
    let mut data = crate::data::Dataset::default();
    for i in 0..n {
        let support = sessions.iter().flat_map(|session| session.iter()).filter(|&&item| item as usize == i);
        data.items.add(&i.to_string(), support.count() as u64);
    }
    sessions.iter().for_each(|session| data.sessions.push(session, 0));
    data
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::example;
    use crate::ranking::{Filter, recommend};
    use crate::recommender::Recommender;

    /// How often other items occur in the sessions of an item.
    fn counted(keep: usize) -> (crate::data::Dataset, ItemItem) {
        let data = dataset(5, &[&[0, 1, 2], &[0, 3], &[3, 0, 1], &[2]]);
        let rows = ItemItem::count(
            &data.items,
            &data.sessions,
            keep,
            |(_, session), at, sums| {
                session.iter().filter(|&&j| j != session[at]).for_each(|&j| sums.add(j, 1.0));
            },
            |pair| pair.sum,
        );
        (data, rows)
    }

    fn rows(model: &ItemItem) -> Vec<Vec<(ItemIndex, f32)>> {
        (0..model.num_items() as ItemIndex).map(|item| model.row(item).collect()).collect()
    }

    #[test]
    fn every_event_of_an_item_is_counted_in_its_row() {
        let (_, model) = counted(5);
        assert_eq!(
            rows(&model),
            [
                vec![(1, 2.0), (2, 1.0), (3, 2.0)],
                vec![(0, 2.0), (2, 1.0), (3, 1.0)],
                vec![(0, 1.0), (1, 1.0)],
                vec![(0, 2.0), (1, 1.0)],
                vec![]
            ]
        );
    }

    #[test]
    fn the_largest_weights_are_kept_and_of_equal_ones_those_of_larger_support_then_of_lower_index() {
        let data = dataset(5, &[&[0, 1], &[0, 2], &[0, 3], &[0, 4], &[0, 4], &[3], &[3], &[1], &[2]]);
        // The weights of items 1 to 4 in the row of item 0 are 1, 1, 1, 2, their supports 2, 2, 3, 2.
        let kept = |keep| {
            let model = ItemItem::count(
                &data.items,
                &data.sessions,
                keep,
                |(_, session), at, sums| session[at + 1..].iter().for_each(|&j| sums.add(j, 1.0)),
                |pair| pair.sum,
            );
            model.row(0).collect::<Vec<_>>()
        };
        assert_eq!(kept(1), [(4, 2.0)]);
        assert_eq!(kept(2), [(3, 1.0), (4, 2.0)]);
        assert_eq!(kept(3), [(1, 1.0), (3, 1.0), (4, 2.0)]);
        assert_eq!(kept(4), [(1, 1.0), (2, 1.0), (3, 1.0), (4, 2.0)]);
        assert_eq!(kept(usize::MAX), kept(4));
    }

    #[test]
    fn shares_are_of_all_that_was_counted_even_if_little_is_kept() {
        let data = dataset(3, &[&[0, 1], &[0, 1], &[0, 1], &[0, 2]]);
        let model = ItemItem::count(
            &data.items,
            &data.sessions,
            1,
            |(_, session), at, sums| session[at + 1..].iter().for_each(|&j| sums.add(j, 1.0)),
            |pair| pair.share(),
        );
        assert_eq!(rows(&model), [vec![(1, 0.75)], vec![], vec![]]);
    }

    #[derive(Debug)]
    struct Plain(ItemItem);

    impl Recommender for Plain {
        fn num_items(&self) -> usize {
            self.0.num_items()
        }

        fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
            self.0.scorer(rows)
        }
    }

    #[test]
    fn the_last_item_alone_decides_then_popularity() {
        let (data, model) = counted(5);
        let order = |session: &[ItemIndex]| -> Vec<ItemIndex> {
            let lists =
                recommend(&Plain(model.clone()), &data.items, &[session], 5, &Filter::default()).unwrap();
            lists[0].entries.iter().map(|e| e.item).collect()
        };
        assert_eq!(order(&[0]), [1, 3, 2, 0, 4]);
        assert_eq!(order(&[0, 3]), [0, 1, 2, 3, 4]);
        assert_eq!(order(&[1, 0, 4]), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn arrays_give_the_same_rows_back_and_damaged_ones_are_refused() {
        let (data, model) = counted(2);
        let arrays = model.arrays();
        let again = ItemItem::from_arrays(&data.items, arrays.clone()).unwrap();
        assert_eq!(rows(&again), rows(&model));
        assert_eq!(again.arrays(), arrays);

        let refusal = |damage: &dyn Fn(&mut Arrays)| {
            let mut damaged = arrays.clone();
            damage(&mut damaged);
            ItemItem::from_arrays(&data.items, damaged).unwrap_err().to_string()
        };
        let counts = |name: &'static str, at: usize, value: u64| {
            refusal(&|arrays| arrays.counts.get_mut(name).unwrap()[at] = value)
        };
        assert!(counts(NEIGHBOURS, 3, 5).contains("`neighbours`: has the item 5, and there are 5"));
        assert!(counts(NEIGHBOURS, 0, u64::MAX).contains("`neighbours`"));
        assert!(counts(NEIGHBOURS, 0, 3).contains("does not ascend in the row of item 0"));
        for (at, value) in [(0, 1), (1, u64::MAX), (2, 1), (5, 7), (5, 9)] {
            assert!(counts(OFFSETS, at, value).contains("`offsets`: is not 6 ascending"), "{at} {value}");
        }
        assert!(
            refusal(&|arrays| _ = arrays.counts.get_mut(OFFSETS).unwrap().remove(1)).contains("`offsets`")
        );
        assert!(refusal(&|arrays| arrays.counts.get_mut(OFFSETS).unwrap().clear()).contains("`offsets`"));
        assert!(
            refusal(&|arrays| _ = arrays.counts.get_mut(NEIGHBOURS).unwrap().pop()).contains("`offsets`")
        );
        for weight in [f32::NAN, f32::INFINITY, 0.0, -1.0] {
            let message = refusal(&|arrays| arrays.tensors.get_mut(WEIGHTS).unwrap().values[1] = weight);
            assert!(message.contains("`weights`: has"), "{message}");
        }
        assert!(
            refusal(&|arrays| arrays.tensors.get_mut(WEIGHTS).unwrap().shape = vec![4, 2]).contains("shape")
        );
        assert!(refusal(&|arrays| arrays.tensors.clear()).contains("`weights`: is missing"));
        assert!(refusal(&|arrays| _ = arrays.counts.insert("more".into(), vec![])).contains("`more`"));
        // A vocabulary of another size is not that of these arrays.
        assert!(ItemItem::from_arrays(&example().items, arrays.clone()).is_err());
    }
}

//! Sparse scores: models that score few items per session rank all other items by popularity, after the scored ones.

use super::pop::support_levels;
use crate::data::{ItemIndex, ItemVocabulary};
use crate::recommender::lanes;

/// The scores of items that a model leaves unscored: numbers in [−1, 0) that increase with the support.
#[derive(Clone)]
pub(crate) struct Popularity {
    /// Rank of each item's support among the distinct supports, from 0.
    levels: Vec<u32>,
    /// Number of distinct supports.
    count: usize,
}

impl std::fmt::Debug for Popularity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Popularity({} items)", self.levels.len())
    }
}

impl Popularity {
    /// Creates the scores from the support of the items.
    pub(crate) fn new(items: &ItemVocabulary) -> Self {
        let (levels, count) = support_levels(items.supports());
        Self { levels, count }
    }

    /// Number of items.
    pub(crate) fn num_items(&self) -> usize {
        self.levels.len()
    }

    /// Keeps the `keep` best of scored items, in any order: of equal scores those of larger support, then of lower index.
    pub(crate) fn keep_best(&self, keep: usize, scored: &mut Vec<(ItemIndex, f32)>) {
        if scored.len() > keep {
            let level = |item: ItemIndex| self.levels[item as usize];
            scored.select_nth_unstable_by(keep, |a, b| {
                b.1.total_cmp(&a.1).then_with(|| level(b.0).cmp(&level(a.0))).then_with(|| a.0.cmp(&b.0))
            });
            scored.truncate(keep);
        }
    }

    /// The score of an item that the model leaves unscored.
    fn base(&self, item: ItemIndex) -> f32 {
        // Exact below 2²⁴ distinct supports, which would need as many items.
        (self.levels[item as usize] as f32 - self.count as f32) / self.count as f32
    }
}

/// The scored items of each row of a mini-batch, ascending by item.
#[derive(Debug, Default)]
pub(crate) struct SparseScores {
    rows: Vec<Vec<(ItemIndex, f32)>>,
}

impl SparseScores {
    /// Sets the number of rows and removes all scores.
    pub(crate) fn reset(&mut self, rows: usize) {
        self.rows.resize_with(rows, Vec::new);
        self.rows.iter_mut().for_each(Vec::clear);
    }

    /// Sets the scores of a row. Each item occurs at most once; scores are finite, and those of 0 or less are ignored.
    ///
    /// Ties are broken by popularity within the score (`docs/algorithms.md`, section 7): of items with equal scores,
    /// the one of larger support gets the next larger float; if that reaches the next score, it is raised likewise.
    pub(crate) fn set(
        &mut self,
        row: usize,
        popularity: &Popularity,
        scores: impl Iterator<Item = (ItemIndex, f32)>,
    ) {
        let list = &mut self.rows[row];
        list.clear();
        list.extend(scores.filter(|&(_, score)| score > 0.0));
        let level = |item: ItemIndex| popularity.levels[item as usize];
        list.sort_unstable_by(|a, b| {
            a.1.total_cmp(&b.1).then_with(|| level(a.0).cmp(&level(b.0))).then_with(|| a.0.cmp(&b.0))
        });
        let mut before: Option<((f32, u32), f32)> = None;
        for (item, score) in list.iter_mut() {
            let key = (*score, level(*item));
            if let Some((key_before, score_before)) = before {
                *score = if key == key_before { score_before } else { score.max(score_before.next_up()) };
            }
            before = Some((key, *score));
        }
        list.sort_unstable_by_key(|&(item, _)| item);
    }

    /// Whether a row has no scored item, so that all are ordered by popularity.
    pub(crate) fn is_empty(&self, row: usize) -> bool {
        self.rows[row].is_empty()
    }

    /// The scored items of a row, ascending.
    pub(crate) fn row(&self, row: usize) -> &[(ItemIndex, f32)] {
        &self.rows[row]
    }

    /// Writes scores in the layout of [`SessionScorer::score`](crate::recommender::SessionScorer::score).
    pub(crate) fn score(&self, popularity: &Popularity, items: &[ItemIndex], scores: &mut [f32]) {
        let lanes = lanes(self.rows.len());
        for (&item, scores) in items.iter().zip(scores.chunks_exact_mut(lanes)) {
            scores.fill(popularity.base(item));
        }
        let ascending = items.is_sorted();
        for (b, list) in self.rows.iter().enumerate() {
            if ascending {
                // Iterates over the listed items in the range of `items`, which are few.
                let (Some(&first), Some(&last)) = (items.first(), items.last()) else { return };
                let from = list.partition_point(|&(item, _)| item < first);
                let listed = list[from..].iter().take_while(|&&(item, _)| item <= last);
                let mut at = 0;
                for &(item, score) in listed {
                    at += items[at..].partition_point(|&other| other < item);
                    for i in at..items[at..].partition_point(|&other| other <= item) + at {
                        scores[i * lanes + b] = score;
                    }
                }
            } else {
                for (i, item) in items.iter().enumerate() {
                    if let Ok(place) = list.binary_search_by_key(item, |&(item, _)| item) {
                        scores[i * lanes + b] = list[place].1;
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_supports(supports: &[u64]) -> Popularity {
        let mut items = ItemVocabulary::new();
        for (i, &support) in supports.iter().enumerate() {
            items.add(&i.to_string(), support);
        }
        Popularity::new(&items)
    }

    #[test]
    fn ties_and_silence_follow_popularity_in_any_list() {
        let popularity = with_supports(&[5, 9, 1, 9, 7, 2]);
        let mut sparse = SparseScores::default();
        sparse.reset(2);
        sparse.set(0, &popularity, [(4, 0.5), (2, 0.5), (1, 0.5), (3, 0.5), (0, -1.0)].into_iter());
        let score = |items: &[ItemIndex]| {
            let lanes = lanes(2);
            let mut scores = vec![f32::NAN; items.len() * lanes];
            sparse.score(&popularity, items, &mut scores);
            let of = |b: usize| (0..items.len()).map(|i| scores[i * lanes + b]).collect::<Vec<_>>();
            (of(0), of(1))
        };
        let (listed, silent) = score(&[0, 1, 2, 3, 4, 5]);
        assert_eq!(listed[2], 0.5);
        assert!(listed[4] > listed[2] && listed[1] > listed[4] && listed[1] == listed[3]);
        assert!(listed[2] > listed[0] && listed[0] > listed[5] && listed[0] < 0.0 && listed[5] >= -1.0);
        assert!(silent.iter().all(|&score| (-1.0..0.0).contains(&score)) && silent[1] == silent[3]);
        for items in [&[3, 0, 4][..], &[2], &[1, 1, 4], &[5, 4, 3, 2, 1, 0]] {
            let expected: Vec<f32> = items.iter().map(|&item| listed[item as usize]).collect();
            assert_eq!(score(items).0, expected, "{items:?}");
        }
    }
}

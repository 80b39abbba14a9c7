//! Ranking: ranks of targets, top-k lists and recommendations from the scores of a model, and similar items.
//!
//! Lists are ordered by falling score, then by falling support, then by ascending item index. Lists of similar items
//! have no supports: they are ordered by falling similarity, then by ascending item index.

mod index;
mod nearest;
mod recommend;
mod similar;
#[cfg(feature = "logs")]
mod write;

pub use index::Index;
pub(crate) use index::ListRequest;
pub use nearest::Nearest;
pub use recommend::{
    Candidates, Filter, Query, Recommendation, RecommendationList, recommend, recommend_each,
    recommend_each_observed, recommend_parallel,
};
pub use similar::{SimilarEntry, SimilarList, SimilarQuery, VectorLengths, similar};
#[cfg(feature = "logs")]
pub use write::{ListFormat, ListRows, ListWriter};

use crate::data::ItemIndex;
use crate::recommender::lanes;
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// Number of candidates that are scored at a time: about 100 KB of scores for a full batch, which fit the second-level
/// cache.
pub(crate) const BLOCK: usize = 256;

/// Number of sessions that are scored at a time: whole cache lines, enough for an efficient matrix product.
pub(crate) const ROWS: usize = 96;

/// The rule for the rank of a target if other candidates have the same score (`docs/algorithms.md`, section 5).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum TieRule {
    /// The number of candidates with at least the target's score, itself included. A constant model has recall 0.
    #[default]
    Conservative,
    /// 1 + the number of candidates with a larger score.
    Standard,
    /// The mean of the other two.
    Median,
}

impl TieRule {
    /// All rules.
    pub const ALL: [Self; 3] = [Self::Conservative, Self::Standard, Self::Median];

    /// The rank, from 1, of a target if `larger` candidates have a larger score, and `equal` candidates, itself
    /// included, have the same.
    pub fn rank(self, larger: u32, equal: u32) -> f64 {
        let (last, first) = (f64::from(larger) + f64::from(equal), 1.0 + f64::from(larger));
        match self {
            Self::Conservative => last,
            Self::Standard => first,
            Self::Median => (last + first) / 2.0,
        }
    }
}

/// The best `k` of the items that are pushed, which may come in any order.
#[derive(Clone, Debug)]
pub(crate) struct TopK {
    k: usize,
    /// The best `k` at the last pruning, and the entries pushed since.
    entries: Vec<Entry>,
    /// The score of the `k`-th best at the last pruning; items below it are not in the list.
    floor: f32,
}

/// An item of a top-k list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) score: f32,
    pub(crate) support: u64,
    pub(crate) item: ItemIndex,
}

impl Entry {
    /// The order of lists: `Less` if `self` comes before `other`. Scores are finite; 0 and −0 are equal.
    fn order(&self, other: &Self) -> Ordering {
        let by_score = other.score.partial_cmp(&self.score).unwrap_or(Ordering::Equal);
        by_score.then(other.support.cmp(&self.support)).then(self.item.cmp(&other.item))
    }
}

impl TopK {
    /// An empty list.
    pub(crate) fn new(k: usize) -> Self {
        Self { k, entries: Vec::new(), floor: f32::NEG_INFINITY }
    }

    /// Whether an item with this score may be among the best: a fast test that is false for nearly all items.
    #[inline]
    pub(crate) fn admits(&self, score: f32) -> bool {
        score >= self.floor
    }

    /// Adds an item.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        // Pruning is linear in the number of entries; at twice `k`, its cost per item is constant.
        if self.entries.len() >= self.k.saturating_mul(2).saturating_add(32) {
            self.prune();
        }
    }

    fn prune(&mut self) {
        match self.k.checked_sub(1) {
            Some(last) if last < self.entries.len() => {
                let (_, worst, _) = self.entries.select_nth_unstable_by(last, Entry::order);
                self.floor = worst.score;
            }
            _ => {}
        }
        self.entries.truncate(self.k);
    }

    /// The best items in order, at most `k`.
    pub(crate) fn sorted(&mut self) -> &[Entry] {
        self.prune();
        self.entries.sort_unstable_by(Entry::order);
        &self.entries
    }

    /// Removes all items.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.floor = f32::NEG_INFINITY;
    }
}

/// The scores that an item needs to enter the empty lists of `rows` rows, one for each lane; infinite beyond the rows.
pub(crate) fn first_floors(rows: usize) -> Vec<f32> {
    let mut floors = vec![f32::INFINITY; lanes(rows)];
    floors[..rows].fill(f32::NEG_INFINITY);
    floors
}

/// Adds a block of scored items to the lists of the rows, which have these floors, where `allows(row, item)`.
#[inline]
pub(crate) fn add_block(
    best: &mut [TopK],
    floors: &mut [f32],
    (block, scores): (&[ItemIndex], &[f32]),
    supports: &[u64],
    allows: impl Fn(usize, ItemIndex) -> bool,
) {
    for (&item, scores) in block.iter().zip(scores.chunks_exact(floors.len())) {
        // Few items enter a list; this test of all lanes has no branch.
        if !scores.iter().zip(&*floors).fold(false, |any, (score, floor)| any | (score >= floor)) {
            continue;
        }
        for (b, (best, &score)) in best.iter_mut().zip(scores).enumerate() {
            if best.admits(score) && allows(b, item) {
                best.push(Entry { score, support: supports[item as usize], item });
                floors[b] = best.floor;
            }
        }
    }
}

/// The number of scores in the first `rows` lanes that are not finite, in the layout `scores[i * lanes + b]`.
pub(crate) fn count_non_finite(scores: &[f32], lanes: usize, rows: usize) -> u64 {
    // Usually all are finite. As bits, the magnitude of an infinity or a NaN is larger than that of any finite number,
    // so that the largest is found without a branch.
    let largest = scores.iter().fold(0, |largest, x| largest.max(x.abs().to_bits()));
    if largest < f32::INFINITY.to_bits() {
        return 0;
    }
    scores.chunks_exact(lanes).flat_map(|x| &x[..rows]).filter(|x| !x.is_finite()).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use upnext_reference::evaluation::{Ties, rank};

    proptest! {
        #[test]
        fn ranks_are_those_of_the_plain_reference(
            scores in prop::collection::vec(0u8..6, 1..40), target in any::<prop::sample::Index>(),
        ) {
            let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
            let target = target.index(scores.len());
            let larger = scores.iter().filter(|&&s| s > scores[target]).count() as u32;
            let equal = scores.iter().filter(|&&s| s == scores[target]).count() as u32;
            for (rule, ties) in
                TieRule::ALL.into_iter().zip([Ties::Conservative, Ties::Standard, Ties::Median])
            {
                prop_assert_eq!(rule.rank(larger, equal), rank(&scores, target, ties));
            }
        }

        #[test]
        fn the_best_k_are_the_first_of_a_full_sort(
            scores in prop::collection::vec((0u8..9, 0u64..3), 0..300), k in 0usize..50,
        ) {
            let mut all: Vec<Entry> = (0..).zip(&scores)
                .map(|(item, &(score, support))| Entry { score: f32::from(score) - 4.0, support, item })
                .collect();
            let mut top = TopK::new(k);
            for round in 0..2 {
                for &entry in all.iter().filter(|e| round == 1 || e.item % 2 == 0) {
                    if top.admits(entry.score) {
                        top.push(entry);
                    }
                }
                if round == 0 {
                    top.clear();
                }
            }
            all.sort_by(|a, b| {
                b.score.total_cmp(&a.score).then(b.support.cmp(&a.support)).then(a.item.cmp(&b.item))
            });
            all.truncate(k);
            prop_assert_eq!(top.sorted(), all);
        }
    }

    #[test]
    fn zero_is_as_good_as_minus_zero() {
        let mut top = TopK::new(2);
        top.push(Entry { score: 0.0, support: 1, item: 0 });
        top.push(Entry { score: -0.0, support: 2, item: 1 });
        assert_eq!(top.sorted()[0].item, 1);
    }
}

//! The pool: weights of the members' features by the place in the session.

use super::learn::{Case, learn};
use super::lists::List;
use crate::data::ItemIndex;

/// Number of places in a session with weights of their own: after 1, 2, 3, and 4 or more events.
pub(super) const CONTEXTS: usize = 4;

/// The weights of a pool: for each place in a session and each member, that of the logarithm of an item's probability, and
/// that of an item that the member does not list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pool {
    /// `CONTEXTS` × (2 × members).
    pub(super) weights: Vec<f32>,
}

impl Pool {
    /// The weights under which the targets of these cases are the likeliest.
    pub(crate) fn learn(cases: &[Case], members: usize) -> Self {
        Self { weights: learn(cases, 2 * members) }
    }

    /// The pool of one member, whose scores are the logarithms of its probabilities.
    pub(crate) fn alone() -> Self {
        Self { weights: [1.0, 0.0].repeat(CONTEXTS) }
    }

    /// The context after `events` events of a session, at least one.
    pub(super) fn context(events: usize) -> usize {
        events.clamp(1, CONTEXTS) - 1
    }

    /// The scores of the items of all lists, one list of each member, ascending by item; the scores of all other items are
    /// equal and smaller than these would be without any list.
    pub(crate) fn scores(&self, context: usize, lists: &[&List]) -> Vec<(ItemIndex, f32)> {
        let weights = &self.weights[context * 2 * lists.len()..][..2 * lists.len()];
        let mut outside = 0.0;
        let mut scores = Vec::with_capacity(lists.iter().map(|list| list.items.len()).sum());
        for (list, weights) in lists.iter().zip(weights.chunks_exact(2)) {
            outside += weights[0] * list.floor + weights[1];
            scores.extend(
                list.items.iter().map(|&(item, log)| (item, weights[0] * (log - list.floor) - weights[1])),
            );
        }
        // Stable, so that an item's parts are added in the order of the members.
        scores.sort_by_key(|&(item, _)| item);
        scores.dedup_by(|next, first| {
            let is_same = next.0 == first.0;
            first.1 += if is_same { next.1 } else { 0.0 };
            is_same
        });
        scores.iter_mut().for_each(|(_, score)| *score += outside);
        scores
    }
}

/// The items of any list, ascending.
pub(super) fn union(lists: &[&List]) -> Vec<ItemIndex> {
    let mut items: Vec<ItemIndex> =
        lists.iter().flat_map(|list| list.items.iter().map(|&(item, _)| item)).collect();
    items.sort_unstable();
    items.dedup();
    items
}

/// The two features of each member for an item: the logarithm of its probability, and whether it is not in the list.
pub(super) fn features(lists: &[&List], item: ItemIndex, features: &mut Vec<f32>) {
    for list in lists {
        match list.log_of(item) {
            Some(log) => features.extend([log, 0.0]),
            None => features.extend([list.floor, 1.0]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_the_weighted_sums_of_the_features() {
        let lists = [
            List { items: vec![(1, -0.5), (4, -1.0)], floor: -2.0 },
            List { items: vec![], floor: -9.0 },
            List { items: vec![(0, -0.25), (4, -3.0), (9, -1.5)], floor: -4.0 },
        ];
        let lists: Vec<&List> = lists.iter().collect();
        let pool = Pool { weights: (0..CONTEXTS * 6).map(|i| 0.3 * i as f32 - 2.0).collect() };
        for context in 0..CONTEXTS {
            let scores = pool.scores(context, &lists);
            assert_eq!(scores.iter().map(|&(item, _)| item).collect::<Vec<_>>(), union(&lists));
            for (item, score) in scores {
                let mut own = Vec::new();
                features(&lists, item, &mut own);
                let expected: f32 =
                    pool.weights[context * 6..][..6].iter().zip(&own).map(|(weight, x)| weight * x).sum();
                assert!((score - expected).abs() < 1e-4, "{context} {item}: {score} {expected}");
            }
        }
        assert_eq!([1, 2, 3, 4, 5, 99].map(Pool::context), [0, 1, 2, 3, 3, 3]);
    }
}

//! The pool: weights of the members' features by the place in the session.

use super::learn::{Case, Subset, learn};
use super::lists::{FEATURES, List, Opinion};
use crate::data::ItemIndex;

/// Number of places in a session with weights of their own: after 1, 2, 3, and 4 or more events.
pub(super) const CONTEXTS: usize = 4;

/// The weights of a pool: for each place in a session and each member, those of the logarithm of an item's probability, of
/// that of one by its rank, and of an item that the member does not list.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Pool {
    /// `CONTEXTS` × (`FEATURES` × members).
    pub(super) weights: Vec<f32>,
}

impl Pool {
    /// The weights of some members under which the targets of these cases, with the features of `all` members, are the
    /// likeliest.
    pub(crate) fn learn(cases: &[Case], all: usize, members: &[usize]) -> Self {
        Self { weights: learn(cases, Subset { all, members }) }
    }

    /// The context after `events` events of a session, at least one.
    pub(super) fn context(events: usize) -> usize {
        events.clamp(1, CONTEXTS) - 1
    }

    /// The scores of the items of all lists, one list of each member, ascending by item.
    pub(crate) fn scores(&self, context: usize, lists: &[&List]) -> Vec<(ItemIndex, f32)> {
        let weights = &self.weights[context * FEATURES * lists.len()..][..FEATURES * lists.len()];
        let members = || lists.iter().zip(weights.chunks_exact(FEATURES));
        let value = |weights: &[f32], features: [f32; FEATURES]| -> f32 {
            weights.iter().zip(features).map(|(weight, x)| weight * x).sum()
        };
        let mut outside = 0.0;
        let mut scores = Vec::with_capacity(lists.iter().map(|list| list.items.len()).sum());
        for (list, weights) in members() {
            if list.fixed.is_some() {
                outside += weights[2];
                continue;
            }
            let missing = value(weights, list.outside.features());
            outside += missing;
            let above = |&(item, of): &(ItemIndex, Opinion)| (item, value(weights, of.features()) - missing);
            scores.extend(list.items.iter().map(above));
        }
        // Stable, so that an item's parts are added in the order of the members.
        scores.sort_by_key(|&(item, _)| item);
        scores.dedup_by(|next, first| {
            let is_same = next.0 == first.0;
            first.1 += if is_same { next.1 } else { 0.0 };
            is_same
        });
        for (item, score) in &mut scores {
            *score += outside;
            for (list, weights) in members() {
                *score += list.fixed.as_ref().map_or(0.0, |fixed| weights[0] * fixed[*item as usize]);
            }
        }
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

/// The features of all members for an item.
pub(super) fn features(lists: &[&List], item: ItemIndex, features: &mut Vec<f32>) {
    lists.iter().for_each(|list| features.extend(list.of(item).features()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_the_weighted_sums_of_the_features() {
        let opinion = |log: f32, place: f32, missing: f32| Opinion { log, place, missing };
        let listed = |items: &[(ItemIndex, f32)], outside: f32| List {
            items: items.iter().map(|&(item, log)| (item, opinion(log, 0.5 * log, 0.0))).collect(),
            outside: opinion(outside, outside - 3.0, 1.0),
            fixed: None,
        };
        let fixed = (0..10).map(|item| (item as f32 + 0.1).ln()).collect();
        let lists = [
            listed(&[(1, -0.5), (4, -1.0)], -2.0),
            listed(&[], -9.0),
            List { fixed: Some(fixed), ..List::default() },
            listed(&[(0, -0.25), (4, -3.0), (9, -1.5)], -4.0),
        ];
        let lists: Vec<&List> = lists.iter().collect();
        let width = FEATURES * lists.len();
        let pool = Pool { weights: (0..CONTEXTS * width).map(|i| 0.3 * (i % 17) as f32 - 2.0).collect() };
        for context in 0..CONTEXTS {
            let scores = pool.scores(context, &lists);
            assert_eq!(scores.iter().map(|&(item, _)| item).collect::<Vec<_>>(), union(&lists));
            for (item, score) in scores {
                let mut own = Vec::new();
                features(&lists, item, &mut own);
                let weights = &pool.weights[context * width..][..width];
                let expected: f32 = weights.iter().zip(&own).map(|(weight, x)| weight * x).sum();
                assert!((score - expected).abs() < 1e-4, "{context} {item}: {score} {expected}");
            }
        }
        assert_eq!([1, 2, 3, 4, 5, 99].map(Pool::context), [0, 1, 2, 3, 3, 3]);
    }
}

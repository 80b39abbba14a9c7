//! Association rules and sequential rules: items that occur in the same sessions as the last item, or after it.

use super::decay::{check_half_life, weights_of_sessions};
use super::item_item::{ItemItem, check_kept, item_item_model};
use crate::data::Dataset;
use crate::documented::documented;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

documented! {
    /// The configuration of [`AssociationRules`].
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct AssociationRulesConfig {
        /// Number of rules of largest weight to keep per item, 1 or more; the number of items keeps all. The default is
        /// that of Ludewig and Jannach (UMUAI 2018).
        pub pruning: usize,
    }
}

impl Default for AssociationRulesConfig {
    fn default() -> Self {
        Self { pruning: 20 }
    }
}

impl AssociationRulesConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        check_kept("model.pruning", self.pruning)
    }
}

/// Association rules of size two (AR; Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*,
/// 2018).
///
/// An item's score is its share of the last item's pairs: each event of the last item forms a pair with each other
/// event of its training session, before or after it, events of the same item included. Equal scores, and items without
/// a rule, are ordered by popularity.
#[derive(Clone, Debug)]
pub struct AssociationRules {
    rows: ItemItem,
}

impl AssociationRules {
    /// Fits the model to the sessions of `data`; time grows with the squares of the sessions' lengths.
    ///
    /// # Errors
    /// Those of [`AssociationRulesConfig::validate`].
    pub fn fit(config: &AssociationRulesConfig, data: &Dataset) -> Result<Self> {
        config.validate()?;
        let rows = ItemItem::count(
            &data.items,
            &data.sessions,
            config.pruning,
            |(_, session), at, sums| {
                session[..at].iter().chain(&session[at + 1..]).for_each(|&other| sums.add(other, 1.0));
            },
            |pair| pair.share(),
        );
        Ok(Self { rows })
    }
}

item_item_model!(AssociationRules(AssociationRulesConfig) = "ar", space: Some(include_str!("../../experiments/spaces/ar.toml")));

/// The smallest weight of an event, however old it is.
const SMALLEST: f64 = 1e-30;

documented! {
    /// The configuration of [`SequentialRules`].
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct SequentialRulesConfig {
        /// Largest distance between the two events of a rule, 1 or more; 1 means consecutive events. The default is
        /// that of Ludewig and Jannach (UMUAI 2018).
        pub steps: usize,
        /// Number of rules of largest weight to keep per item, 1 or more; the number of items keeps all. The default is
        /// that of Ludewig and Jannach (UMUAI 2018).
        pub pruning: usize,
        /// Age at which an event counts half, as a share of the training events, from 0 to 1. The default, 0, turns it off:
        /// all events count alike, as in the publication.
        pub half_life: f32,
    }
}

impl Default for SequentialRulesConfig {
    fn default() -> Self {
        Self { steps: 10, pruning: 20, half_life: 0.0 }
    }
}

impl SequentialRulesConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        if self.steps == 0 {
            return Err(Error::config("model.steps", "is 0: use 1 for direct successors only, or more"));
        }
        check_half_life(self.half_life, true)?;
        check_kept("model.pruning", self.pruning)
    }
}

/// Sequential rules (SR; Ludewig and Jannach, *Evaluation of session-based recommendation algorithms*, 2018).
///
/// Each training event that comes `d` ≤ `steps` events after one of the last item adds 1/d to the weight of its item.
/// The score is the weight divided by the sum of the last item's weights. The publication divides by another number
/// that depends on the last item only, which gives the same order. Equal scores, and items without a rule, are ordered
/// by popularity.
///
/// With a `half_life`, what an event adds is multiplied by `2^(−a / h)`, `a` the number of training events in later sessions,
/// `h` the share `half_life` of all. This is ours.
#[derive(Clone, Debug)]
pub struct SequentialRules {
    rows: ItemItem,
}

impl SequentialRules {
    /// Fits the model to the sessions of `data`.
    ///
    /// # Errors
    /// Those of [`SequentialRulesConfig::validate`].
    pub fn fit(config: &SequentialRulesConfig, data: &Dataset) -> Result<Self> {
        config.validate()?;
        let decays = config.half_life > 0.0;
        let weights = decays.then(|| weights_of_sessions(&data.sessions, config.half_life));
        let rows = ItemItem::count(
            &data.items,
            &data.sessions,
            config.pruning,
            |(number, session), at, sums| {
                let weight = weights.as_ref().map_or(1.0, |weights| weights[number].max(SMALLEST));
                for (before, &later) in session[at + 1..].iter().take(config.steps).enumerate() {
                    sums.add(later, weight / (before + 1) as f64);
                }
            },
            |pair| pair.share().max(f64::from(f32::MIN_POSITIVE)),
        );
        Ok(Self { rows })
    }
}

item_item_model!(SequentialRules(SequentialRulesConfig) = "sr", space: Some(include_str!("../../experiments/spaces/sr.toml")));

#[cfg(test)]
mod tests {
    use super::super::item_item::dataset;
    use super::*;
    use crate::contract::example;
    use crate::data::ItemIndex;

    /// Larger than any number of items here.
    const ALL: usize = 1000;

    #[test]
    fn association_rules_count_pairs_of_positions_in_either_order() {
        let data = dataset(4, &[&[0, 1, 0], &[2, 0], &[3]]);
        let config = AssociationRulesConfig { pruning: ALL };
        let model = AssociationRules::fit(&config, &data).unwrap();
        let row = |item| model.rows.row(item).collect::<Vec<_>>();
        // The two positions of item 0 pair with one another, each with item 1, and item 0 of the second session with 2.
        assert_eq!(row(0), [(0, 0.4), (1, 0.4), (2, 0.2)]);
        assert_eq!(row(1), [(0, 1.0)]);
        assert_eq!(row(2), [(0, 1.0)]);
        assert_eq!(row(3), []);
    }

    #[test]
    fn sequential_rules_count_what_comes_later_by_its_distance() {
        let data = dataset(4, &[&[0, 1, 2, 3], &[0, 2]]);
        let of_0 = |steps| {
            let config = SequentialRulesConfig { steps, pruning: ALL, half_life: 0.0 };
            let model = SequentialRules::fit(&config, &data).unwrap();
            assert_eq!(model.rows.row(3).count(), 0);
            model.rows.row(0).collect::<Vec<_>>()
        };
        assert_eq!(of_0(1), [(1, 0.5), (2, 0.5)]);
        assert_eq!(of_0(2), [(1, 0.4), (2, 0.6)]);
        let total = 1.0 + 1.5 + 1.0 / 3.0;
        let share = |sum: f64| (sum / total) as f32;
        assert_eq!(of_0(3), [(1, share(1.0)), (2, share(1.5)), (3, share(1.0 / 3.0))]);
        assert_eq!(of_0(10), of_0(3));
        assert_eq!(of_0(usize::MAX), of_0(3));
    }

    #[test]
    fn older_events_count_less() {
        let data = dataset(3, &[&[0, 1, 1, 1], &[0, 2]]);
        // A half-life of one event of six: the first session weighs a quarter.
        let config = SequentialRulesConfig { steps: 1, pruning: ALL, half_life: 1.0 / 6.0 };
        let model = SequentialRules::fit(&config, &data).unwrap();
        let row: Vec<_> = model.rows.row(0).collect();
        assert_eq!(row.len(), 2);
        for ((item, weight), expected) in row.into_iter().zip([(1, 0.2), (2, 0.8)]) {
            assert!(item == expected.0 && (weight - expected.1).abs() < 1e-6, "{item}: {weight}");
        }
        // However old, a rule is better than none.
        let config = SequentialRulesConfig { half_life: 1e-6, ..config };
        let model = SequentialRules::fit(&config, &data).unwrap();
        assert!(model.rows.row(0).all(|(_, weight)| weight > 0.0));
    }

    #[test]
    fn similar_items_are_the_rules_of_the_item() {
        use crate::recommender::{Recommender, Similarities, SimilarityMeasure};
        let data = dataset(4, &[&[0, 1, 0], &[2, 0], &[3]]);
        let of = |model: &dyn Recommender, item| match model.similarities(item) {
            Some(Similarities::Listed(SimilarityMeasure::Weight, listed)) => listed,
            other => panic!("{other:?}"),
        };
        let pairs = AssociationRules::fit(&AssociationRulesConfig { pruning: ALL }, &data).unwrap();
        assert_eq!(of(&pairs, 0), [(0, 0.4), (1, 0.4), (2, 0.2)]);
        assert_eq!(of(&pairs, 3), []);
        // What comes later: item 1 after item 0, and item 0 after it; nothing after item 0 in the second session.
        let later = SequentialRules::fit(&SequentialRulesConfig::default(), &data).unwrap();
        assert_eq!(of(&later, 0), [(0, 1.0 / 3.0), (1, 2.0 / 3.0)]);
        assert_eq!((of(&later, 1), of(&later, 2)), (vec![(0, 1.0)], vec![(0, 1.0)]));
    }

    /// The published sums of weights over all pairs of positions x of `from` and y of `to`, x ≠ y.
    fn published(
        data: &Dataset,
        from: ItemIndex,
        to: ItemIndex,
        weight: impl Fn(usize, usize) -> f64,
    ) -> f64 {
        let mut sum = 0.0;
        for session in data.sessions.iter() {
            for (x, _) in session.iter().enumerate().filter(|&(_, &item)| item == from) {
                for (y, _) in session.iter().enumerate().filter(|&(y, &item)| item == to && y != x) {
                    sum += weight(x, y);
                }
            }
        }
        sum
    }

    fn are_shares_of(rows: &ItemItem, data: &Dataset, weight: impl Fn(usize, usize) -> f64) {
        let n = data.items.len() as ItemIndex;
        for from in 0..n {
            let sums: Vec<f64> = (0..n).map(|to| published(data, from, to, &weight)).collect();
            let total: f64 = sums.iter().sum();
            let mut shares = vec![0.0; n as usize];
            rows.row(from).for_each(|(to, share)| shares[to as usize] = f64::from(share));
            for (share, sum) in shares.iter().zip(sums) {
                assert!((share - if sum == 0.0 { 0.0 } else { sum / total }).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn rules_are_the_published_sums() {
        let data = example();
        let rules = AssociationRules::fit(&AssociationRulesConfig { pruning: ALL }, &data).unwrap();
        are_shares_of(&rules.rows, &data, |_, _| 1.0);
        let config = SequentialRulesConfig { steps: 4, pruning: ALL, half_life: 0.0 };
        let rules = SequentialRules::fit(&config, &data).unwrap();
        are_shares_of(&rules.rows, &data, |x, y| {
            if (x + 1..=x + 4).contains(&y) { 1.0 / (y - x) as f64 } else { 0.0 }
        });
    }

    #[test]
    fn pruning_keeps_the_largest_weights() {
        let data = dataset(4, &[&[0, 1], &[0, 1], &[0, 2], &[0, 3], &[0, 3], &[0, 3]]);
        let rules = AssociationRules::fit(&AssociationRulesConfig { pruning: 2 }, &data).unwrap();
        assert_eq!(rules.rows.row(0).map(|(item, _)| item).collect::<Vec<_>>(), [1, 3]);
        let config = SequentialRulesConfig { pruning: 1, ..Default::default() };
        let rules = SequentialRules::fit(&config, &data).unwrap();
        assert_eq!(rules.rows.row(0).collect::<Vec<_>>(), [(3, 0.5)]);
    }

    #[test]
    fn settings_without_sense_are_refused() {
        let data = Dataset::default();
        let refused = AssociationRules::fit(&AssociationRulesConfig { pruning: 0 }, &data).unwrap_err();
        assert!(refused.to_string().starts_with("model.pruning: is 0"));
        for (config, field) in [
            (SequentialRulesConfig { steps: 0, ..Default::default() }, "model.steps: is 0"),
            (SequentialRulesConfig { pruning: 0, ..Default::default() }, "model.pruning: is 0"),
            (SequentialRulesConfig { half_life: 2.0, ..Default::default() }, "model.half_life: is a share"),
        ] {
            let refused = SequentialRules::fit(&config, &data).unwrap_err().to_string();
            assert!(refused.starts_with(field), "{refused}");
        }
    }
}

//! Decay-POP: items by popularity of late, the same list for every session.

use super::decay::{check_half_life, weights_of_sessions};
use super::pop::FixedScorer;
use crate::arrays::{Arrays, Tensor};
use crate::data::{Dataset, ItemVocabulary};
use crate::documented::documented;
use crate::recommender::{Recommender, SessionScorer};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

documented! {
    /// The configuration of [`DecayPop`].
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct DecayPopConfig {
        /// Age at which an event counts half, as a share of the training events: above 0, at most 1. The default is our
        /// choice: the best of several on the day before the last of a news log.
        pub half_life: f32,
    }
}

impl Default for DecayPopConfig {
    fn default() -> Self {
        Self { half_life: 0.01 }
    }
}

impl DecayPopConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`] with the field, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        check_half_life(self.half_life, false)
    }
}

/// The name of the array of scores.
const SCORES: &str = "scores";

/// DecayPop (Ji, Sun, Zhang and Li, *A re-visit of the popularity baseline in recommender systems*, SIGIR 2020): popularity with
/// less weight for older events.
///
/// An item's score is the sum of `2^(−a / h)` over its events, `a` the number of training events in later sessions, `h` the
/// share `half_life` of all. The publication counts in months; counted in events, a half-life means the same in logs whose
/// times are only an order. Items of equal score, such as all those whose events are too old to count in f32, are ordered by
/// index.
#[derive(Clone)]
pub struct DecayPop {
    scores: Vec<f32>,
}

impl std::fmt::Debug for DecayPop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "DecayPop({} items)", self.scores.len())
    }
}

impl DecayPop {
    /// Counts the events of `data`.
    ///
    /// # Errors
    /// Those of [`DecayPopConfig::validate`].
    pub fn fit(config: &DecayPopConfig, data: &Dataset) -> Result<Self> {
        config.validate()?;
        let mut sums = vec![0.0_f64; data.items.len()];
        let weights = weights_of_sessions(&data.sessions, config.half_life);
        for (session, weight) in data.sessions.iter().zip(weights) {
            session.iter().for_each(|&item| sums[item as usize] += weight);
        }
        Ok(Self { scores: sums.into_iter().map(|sum| sum as f32).collect() })
    }

    /// The model as arrays: `scores`, one an item.
    pub fn arrays(&self) -> Arrays {
        let tensor = Tensor { shape: vec![self.scores.len()], values: self.scores.clone() };
        Arrays { tensors: [(SCORES.to_owned(), tensor)].into(), ..Arrays::default() }
    }

    /// Creates the model from the result of [`arrays`](Self::arrays).
    ///
    /// # Errors
    /// [`Error::Weights`] if the arrays are not those of a model over `items`; [`Error::Config`] for an invalid configuration.
    pub fn from_arrays(config: &DecayPopConfig, items: &ItemVocabulary, mut arrays: Arrays) -> Result<Self> {
        config.validate()?;
        let scores = arrays.take_tensor(SCORES, &[items.len()])?;
        arrays.finish()?;
        if scores.iter().any(|score| !score.is_finite() || *score < 0.0) {
            return Err(Error::weights(SCORES, "has a value that is below 0 or not finite"));
        }
        Ok(Self { scores })
    }
}

fitted_kind!(DecayPop(DecayPopConfig), space: Some(include_str!("../../experiments/spaces/decay-pop.toml")), reads: Nothing, scale: Fixed, |config, fit| Self::fit(config, &fit.data));

impl Recommender for DecayPop {
    fn name(&self) -> &str {
        "decay-pop"
    }

    fn num_items(&self) -> usize {
        self.scores.len()
    }

    fn scorer(&self, _rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(FixedScorer::new(&self.scores))
    }
}

#[cfg(test)]
mod tests {
    use super::super::item_item::dataset;
    use super::*;
    use crate::contract::{example, obeys_the_contract};

    #[test]
    fn newer_events_count_more() {
        let data = dataset(4, &[&[0, 0, 0, 0], &[1, 2], &[2, 1], &[1, 3]]);
        // A half-life of two events of ten: sessions weigh 1/8, 1/4, 1/2, 1.
        let model = DecayPop::fit(&DecayPopConfig { half_life: 0.2 }, &data).unwrap();
        assert_eq!(model.scores, [0.5, 1.75, 0.75, 1.0]);
        let slow = DecayPop::fit(&DecayPopConfig { half_life: 1.0 }, &data).unwrap();
        assert!(slow.scores[0] > slow.scores[1] && slow.scores[0] < 4.0, "{:?}", slow.scores);
    }

    #[test]
    fn it_obeys_the_contract_and_returns_from_its_arrays() {
        let data = example();
        let config = DecayPopConfig::default();
        let model = DecayPop::fit(&config, &data).unwrap();
        obeys_the_contract(&model, &data.items, &data.sessions);
        let again = DecayPop::from_arrays(&config, &data.items, model.arrays()).unwrap();
        assert_eq!(again.scores, model.scores);
        for value in [f32::NAN, -1.0] {
            let mut arrays = model.arrays();
            arrays.tensors.get_mut(SCORES).unwrap().values[0] = value;
            assert!(DecayPop::from_arrays(&config, &data.items, arrays).is_err());
        }
    }
}

//! Session average: a factor model that scores items by the mean vector of the session's items.

use super::factors::{self, MeanScorer, Settings};
use crate::Result;
use crate::arrays::Arrays;
use crate::data::{Dataset, ItemIndex, ItemVocabulary};
use crate::documented::documented;
use crate::history::Observer;
use crate::recommender::{Recommender, SessionScorer};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use upnext_kernels::Matrix;

documented! {
    /// The configuration of [`SessionAverage`].
    ///
    /// The defaults are ours: they had the best MRR@20 of 15 settings on the last 15,000 training sessions of
    /// `yoochoose1_64`, fitted to the sessions before them.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct SessionAverageConfig {
        /// Dimension of the vectors of items, 1 to 65,536. The default is the number of units of \[1\]'s networks.
        pub factors: usize,
        /// Learning rate η, above 0. The default is our choice.
        pub learning_rate: f32,
        /// Strength of L2 regularisation, 0 ≤ λ < 1 / η: `λ θ` is added to the gradient. The default is our choice.
        pub regularization: f32,
        /// Epochs of as many draws as there are training pairs, 1 or more. The default is our choice.
        pub epochs: usize,
        /// Whether items have a bias in their score: `true` or `false`. The default is our choice: biases brought no
        /// gain.
        pub item_biases: bool,
    }
}

impl Default for SessionAverageConfig {
    fn default() -> Self {
        Self { factors: 100, learning_rate: 0.1, regularization: 0.0003, epochs: 40, item_biases: false }
    }
}

impl SessionAverageConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the field, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        self.settings().validate()
    }

    fn settings(&self) -> Settings {
        let Self { factors, learning_rate, regularization, epochs, item_biases } = *self;
        Settings { factors, learning_rate, regularization, epochs, item_biases }
    }

    fn bias_name(&self) -> Option<&'static str> {
        self.item_biases.then_some(BIAS)
    }
}

/// Names of the arrays in files.
const FACTORS: &str = "items.factors";
const BIAS: &str = "items.bias";
const IN_SESSION: &str = "session_items.factors";

/// A factor model with two vectors per item: `q` of the item as the next one, `a` of the item as part of the session.
///
/// `x_i = ā · q_i + b_i`, with `ā` the mean of `a` over the session's events so far. This is the interaction of item
/// and session of the General Factorization Framework (Hidasi and Tikk 2016), which \[1, section 2.1\] mentions. That
/// framework fits such models by alternating least squares on all items; this one is fitted by the BPR loss on the next
/// item of each prefix of the training sessions.
#[derive(Clone)]
pub struct SessionAverage {
    config: SessionAverageConfig,
    /// `q`, n × (k + 1); the last column is the bias.
    items: Matrix,
    /// `a`, n × (k + 1); the last column is unused.
    in_session: Matrix,
}

impl std::fmt::Debug for SessionAverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SessionAverage({} items × {} factors)", self.items.rows(), self.config.factors)
    }
}

impl SessionAverage {
    /// Fits the model to the sessions of `data`. Results are the same to the bit for the same seed.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid configuration, or if the factors overflow;
    /// [`Error::Memory`](crate::Error::Memory) if the factors do not fit into memory.
    pub fn fit(config: &SessionAverageConfig, data: &Dataset, seed: u64) -> Result<Self> {
        Self::fit_observed(config, data, seed, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`fit`](Self::fit), with an observer that can stop it.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`Error::Stopped`](crate::Error::Stopped) if the observer breaks.
    pub fn fit_observed(
        config: &SessionAverageConfig,
        data: &Dataset,
        seed: u64,
        observe: &mut Observer<'_>,
    ) -> Result<Self> {
        config.validate()?;
        let (settings, sessions, n) = (config.settings(), &data.sessions, data.items.len());
        settings.require_memory(2 * n, sessions)?;
        let mut tables = [0, 1].map(|table| settings.initial(n, seed, table));
        let mut step = Step::new(settings);
        settings.learn(
            sessions,
            (n, 1),
            (seed, observe),
            &mut tables,
            |tables, (pair, session), negative| {
                let (before, next) = pair.of(session);
                step.run(tables, before, (next, negative));
            },
            |tables| tables.iter().all(factors::is_finite),
        )?;
        let [items, in_session] = tables;
        Ok(Self { config: config.clone(), items, in_session })
    }

    /// The model as arrays: `items.factors` and `session_items.factors` (n × k), and with biases `items.bias` (n).
    pub fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        factors::save(&self.items, FACTORS, self.config.bias_name(), &mut arrays);
        factors::save(&self.in_session, IN_SESSION, None, &mut arrays);
        arrays
    }

    /// Creates the model from the result of [`arrays`](Self::arrays).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid configuration;
    /// [`Error::Weights`](crate::Error::Weights) for arrays that do not fit it.
    pub fn from_arrays(
        config: &SessionAverageConfig,
        items: &ItemVocabulary,
        mut arrays: Arrays,
    ) -> Result<Self> {
        config.validate()?;
        let shape = (items.len(), config.factors);
        let items = factors::load(shape, FACTORS, config.bias_name(), &mut arrays)?;
        let in_session = factors::load(shape, IN_SESSION, None, &mut arrays)?;
        arrays.finish()?;
        Ok(Self { config: config.clone(), items, in_session })
    }
}

/// The buffers of a training step.
struct Step {
    settings: Settings,
    /// The mean `ā`, followed by the constant that multiplies the biases.
    mean: Vec<f32>,
    /// `q_i − q_j`.
    difference: Vec<f32>,
    /// The session's items, ascending.
    sorted: Vec<ItemIndex>,
}

impl Step {
    fn new(settings: Settings) -> Self {
        let stride = upnext_kernels::row_stride(settings.factors + 1);
        Self { settings, mean: vec![0.0; stride], difference: vec![0.0; stride], sorted: Vec::new() }
    }

    /// A step of gradient descent on `−log σ(x_i − x_j) + λ/2 (|q_i|² + |q_j|² + b_i² + b_j² + 1/t Σ |a|²)`, the sum
    /// over the `t` events of the session so far.
    fn run(
        &mut self,
        [items, in_session]: &mut [Matrix; 2],
        session: &[ItemIndex],
        pair: (ItemIndex, ItemIndex),
    ) {
        let Self { settings, mean, difference, sorted } = self;
        mean.fill(0.0);
        for &item in session {
            mean.iter_mut().zip(in_session.row(item as usize)).for_each(|(mean, x)| *mean += x);
        }
        let share = 1.0 / session.len() as f32;
        mean.iter_mut().for_each(|mean| *mean *= share);
        mean[settings.factors] = settings.constant();
        let slope = settings.update_items(items, pair, mean, difference);
        // The session's vectors have no bias.
        difference[settings.factors] = 0.0;
        sorted.clear();
        sorted.extend_from_slice(session);
        sorted.sort_unstable();
        for same in sorted.chunk_by(|a, b| a == b) {
            let row = in_session.row_mut(same[0] as usize);
            settings.update(row, share * same.len() as f32, slope, difference);
        }
    }
}

// The search space is that of BPR-MF.
fitted_kind!(
    SessionAverage(SessionAverageConfig),
    space: Some(include_str!("../../experiments/spaces/bpr-mf.toml")),
    reads: Seed,
    similarity: VectorCosine,
    scale: Logit,
    |config, fit| Self::fit_observed(config, &fit.data, fit.training.seed, fit.observe)
);

impl Recommender for SessionAverage {
    fn name(&self) -> &str {
        "session-average"
    }

    fn num_items(&self) -> usize {
        self.items.rows()
    }

    fn vector(&self, item: ItemIndex) -> Option<&[f32]> {
        factors::vector(&self.items, item)
    }

    fn bias(&self, item: ItemIndex) -> Option<f32> {
        self.config.item_biases.then(|| factors::bias(&self.items, item)).flatten()
    }

    fn scorer(&self, rows: usize) -> Box<dyn SessionScorer + '_> {
        Box::new(MeanScorer::new(&self.items, &self.in_session, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::super::factors::tests::{SETTINGS, is_a_step_down, softplus_of_minus};
    use super::*;
    use crate::arrays::Tensor;
    use crate::contract::{example, vocabulary};
    use crate::ranking::{Filter, recommend};

    fn small() -> SessionAverageConfig {
        SessionAverageConfig { factors: 6, epochs: 4, ..SessionAverageConfig::default() }
    }

    #[test]
    fn a_step_follows_the_gradient_also_where_an_item_repeats() {
        for item_biases in [true, false] {
            for session in [&[3][..], &[1, 4, 1, 0], &[2, 2, 2]] {
                let settings = Settings { item_biases, ..SETTINGS };
                let mut before = [0, 1].map(|table| settings.initial(6, 3, table));
                if item_biases {
                    (0..6).for_each(|i| before[0].row_mut(i)[5] = 0.4 - 0.3 * i as f32);
                }
                let mut after = before.clone();
                Step::new(settings).run(&mut after, session, (4, 5));
                let t = session.len() as f64;
                is_a_step_down(&before, &after, &|tables| {
                    let (q, a) = (&tables[0], &tables[1]);
                    let mean = |f: usize| session.iter().map(|&s| a[s as usize][f]).sum::<f64>() / t;
                    let x = |i: usize| {
                        let bias = if item_biases { q[i][5] } else { 0.0 };
                        (0..5).map(|f| mean(f) * q[i][f]).sum::<f64>() + bias
                    };
                    let squares = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
                    let of_session = session.iter().map(|&s| squares(&a[s as usize][..5])).sum::<f64>() / t;
                    softplus_of_minus(x(4) - x(5))
                        + f64::from(settings.regularization) / 2.0
                            * (squares(&q[4]) + squares(&q[5]) + of_session)
                });
            }
        }
    }

    #[test]
    fn scores_are_products_with_the_mean_of_the_second_set() {
        let items = vocabulary(&[3, 2, 1]);
        let config =
            SessionAverageConfig { factors: 2, item_biases: true, ..SessionAverageConfig::default() };
        let mut arrays = Arrays::default();
        let mut set = |name: &str, shape: &[usize], values: &[f32]| {
            arrays.tensors.insert(name.into(), Tensor { shape: shape.to_vec(), values: values.to_vec() });
        };
        set(FACTORS, &[3, 2], &[1.0, 0.0, 0.0, 2.0, -1.0, 1.0]);
        set(BIAS, &[3], &[0.5, -0.25, 0.0]);
        set(IN_SESSION, &[3, 2], &[0.0, 1.0, 2.0, 0.0, 0.0, -1.0]);
        let model = SessionAverage::from_arrays(&config, &items, arrays).unwrap();
        let scores = |session: &[ItemIndex]| -> Vec<(ItemIndex, f32)> {
            let lists = recommend(&model, &items, &[session], 3, &Filter::default()).unwrap();
            lists[0].entries.iter().map(|e| (e.item, e.score)).collect()
        };
        assert_eq!(scores(&[0]), [(1, 1.75), (2, 1.0), (0, 0.5)]);
        // The mean of (0, 1), (2, 0) twice and (0, −1), which is (1, 0).
        assert_eq!(scores(&[0, 1, 1, 2]), [(0, 1.5), (1, -0.25), (2, -1.0)]);
    }

    #[test]
    fn what_follows_is_learnt_with_its_direction() {
        // Even items are followed by the odd one behind them, and never the other way round.
        let mut data = Dataset { items: vocabulary(&[16; 10]), ..Dataset::default() };
        for s in 0..80 {
            let first = s % 5 * 2;
            data.sessions.push(&[first, first + 1], 0);
        }
        let config = SessionAverageConfig { epochs: 100, item_biases: false, ..small() };
        let model = SessionAverage::fit(&config, &data, 1).unwrap();
        for first in [0, 2, 4, 6, 8] {
            let lists = recommend(&model, &data.items, &[&[first]], 10, &Filter::default()).unwrap();
            assert_eq!(lists[0].entries[0].item, first + 1, "{:?}", lists[0]);
        }
    }

    #[test]
    fn the_seed_decides_every_bit_and_arrays_keep_them() {
        let data = example();
        for item_biases in [true, false] {
            let config = SessionAverageConfig { item_biases, ..small() };
            let model = SessionAverage::fit(&config, &data, 7).unwrap();
            let arrays = model.arrays();
            assert_eq!(SessionAverage::fit(&config, &data, 7).unwrap().arrays(), arrays);
            assert_ne!(SessionAverage::fit(&config, &data, 8).unwrap().arrays(), arrays);
            assert_eq!(arrays.tensors.contains_key(BIAS), item_biases);
            let loaded = SessionAverage::from_arrays(&config, &data.items, arrays).unwrap();
            assert!(loaded.items.data() == model.items.data());
            assert!(loaded.in_session.data() == model.in_session.data());
        }
    }

    #[test]
    fn damaged_arrays_and_a_rate_that_explodes_are_refused() {
        let data = example();
        let config = SessionAverageConfig { item_biases: true, ..small() };
        let good = SessionAverage::fit(&config, &data, 7).unwrap().arrays();
        let refused = |damage: &dyn Fn(&mut Arrays), name: &str| {
            let mut arrays = good.clone();
            damage(&mut arrays);
            let message = SessionAverage::from_arrays(&config, &data.items, arrays).unwrap_err().to_string();
            assert!(message.contains(&format!("`{name}`")), "{message}");
        };
        refused(&|a| drop(a.tensors.remove(IN_SESSION)), IN_SESSION);
        refused(&|a| drop(a.tensors.remove(BIAS)), BIAS);
        refused(&|a| a.tensors.get_mut(IN_SESSION).unwrap().values[3] = f32::NAN, IN_SESSION);
        refused(&|a| a.tensors.get_mut(FACTORS).unwrap().shape.reverse(), FACTORS);
        refused(&|a| drop(a.counts.insert("more".into(), vec![1])), "more");
        let config = SessionAverageConfig { learning_rate: 1e30, regularization: 0.0, ..small() };
        let message = SessionAverage::fit(&config, &data, 1).unwrap_err().to_string();
        assert!(message.starts_with("model.learning_rate: is 1000"), "{message}");
    }
}

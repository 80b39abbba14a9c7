//! BPR-MF: matrix factorisation of sessions and items, trained with the BPR loss.

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
    /// The configuration of [`BprMf`].
    ///
    /// \[1\] gives no values. The defaults had the best MRR@20 of 15 settings on the last 15,000 training sessions of
    /// `yoochoose1_64`, fitted to the sessions before them.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct BprMfConfig {
        /// Dimension of the vectors of sessions and items, 1 to 65,536. The default is the number of units of \[1\]'s
        /// networks.
        pub factors: usize,
        /// Learning rate η, above 0. The default is our choice: \[1\] gives no value.
        pub learning_rate: f32,
        /// Strength of L2 regularisation, 0 ≤ λ < 1 / η: `λ θ` is added to the gradient. The default is our choice:
        /// \[1\] gives no value.
        pub regularization: f32,
        /// Epochs of as many draws as the training sessions have events, 1 or more. The default is our choice: \[1\]
        /// gives no value.
        pub epochs: usize,
        /// Whether items have a bias in their score: `true` or `false`. The default is our choice: a new session's
        /// vector is a mean of item vectors and not fitted, so that the biases, which follow popularity, outweigh it.
        /// The shorter the training, the closer the figures come to POP's.
        pub item_biases: bool,
    }
}

impl Default for BprMfConfig {
    fn default() -> Self {
        Self { factors: 100, learning_rate: 0.1, regularization: 0.003, epochs: 20, item_biases: false }
    }
}

impl BprMfConfig {
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

/// BPR-MF (Rendle et al., *BPR: Bayesian personalized ranking from implicit feedback*, UAI 2009) with sessions in place
/// of users, the baseline of \[1, section 4.1\].
///
/// In training, each session has its own vector `p_s`, and `x_i = p_s · q_i + b_i`. In prediction, `p_s` is the mean of
/// the vectors of the session's events so far \[1\].
#[derive(Clone)]
pub struct BprMf {
    config: BprMfConfig,
    /// n × (k + 1), the biases last.
    items: Matrix,
}

impl std::fmt::Debug for BprMf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "BprMf({} items × {} factors)", self.items.rows(), self.config.factors)
    }
}

impl BprMf {
    /// Fits the model to the sessions of `data`. Results are the same to the bit for the same seed.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid configuration, or if the factors overflow;
    /// [`Error::Memory`](crate::Error::Memory) if the factors of sessions and items do not fit into memory.
    pub fn fit(config: &BprMfConfig, data: &Dataset, seed: u64) -> Result<Self> {
        Self::fit_observed(config, data, seed, &mut |_| ControlFlow::Continue(()))
    }

    /// As [`fit`](Self::fit), with an observer that can stop it.
    ///
    /// # Errors
    /// As [`fit`](Self::fit); [`Error::Stopped`](crate::Error::Stopped) if the observer breaks.
    pub fn fit_observed(
        config: &BprMfConfig,
        data: &Dataset,
        seed: u64,
        observe: &mut Observer<'_>,
    ) -> Result<Self> {
        config.validate()?;
        let (settings, sessions, n) = (config.settings(), &data.sessions, data.items.len());
        settings.require_memory(n + sessions.len(), sessions)?;
        let mut vectors = settings.initial(sessions.len(), seed, 1);
        for s in 0..sessions.len() {
            vectors.row_mut(s)[config.factors] = settings.constant();
        }
        let mut tables = (settings.initial(n, seed, 0), vectors);
        let mut difference = vec![0.0; tables.0.stride()];
        settings.learn(
            sessions,
            (n, 0),
            (seed, observe),
            &mut tables,
            |(items, vectors), (pair, session), negative| {
                let pair_of_items = (pair.of(session).1, negative);
                step(&settings, items, vectors, pair.session as usize, pair_of_items, &mut difference);
            },
            |(items, vectors)| factors::is_finite(items) && factors::is_finite(vectors),
        )?;
        Ok(Self { config: config.clone(), items: tables.0 })
    }

    /// The model as arrays: `items.factors` (n × k), and with biases `items.bias` (n).
    pub fn arrays(&self) -> Arrays {
        let mut arrays = Arrays::default();
        factors::save(&self.items, FACTORS, self.config.bias_name(), &mut arrays);
        arrays
    }

    /// Creates the model from the result of [`arrays`](Self::arrays).
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid configuration;
    /// [`Error::Weights`](crate::Error::Weights) for arrays that do not fit it.
    pub fn from_arrays(config: &BprMfConfig, items: &ItemVocabulary, mut arrays: Arrays) -> Result<Self> {
        config.validate()?;
        let shape = (items.len(), config.factors);
        let items = factors::load(shape, FACTORS, config.bias_name(), &mut arrays)?;
        arrays.finish()?;
        Ok(Self { config: config.clone(), items })
    }
}

/// A step of gradient descent on `−log σ(x_i − x_j) + λ/2 (|p_s|² + |q_i|² + |q_j|² + b_i² + b_j²)`.
fn step(
    settings: &Settings,
    items: &mut Matrix,
    vectors: &mut Matrix,
    session: usize,
    pair: (ItemIndex, ItemIndex),
    difference: &mut [f32],
) {
    let vector = vectors.row_mut(session);
    let slope = settings.update_items(items, pair, vector, difference);
    settings.update(vector, 1.0, slope, difference);
    vector[settings.factors] = settings.constant();
}

fitted_kind!(
    BprMf(BprMfConfig),
    space: Some(include_str!("../../experiments/spaces/bpr-mf.toml")),
    reads: Seed,
    similarity: VectorCosine,
    scale: Logit,
    |config, fit| Self::fit_observed(config, &fit.data, fit.training.seed, fit.observe)
);

impl Recommender for BprMf {
    fn name(&self) -> &str {
        "bpr-mf"
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
        Box::new(MeanScorer::new(&self.items, &self.items, rows))
    }
}

#[cfg(test)]
mod tests {
    use super::super::factors::tests::{SETTINGS, is_a_step_down, softplus_of_minus};
    use super::*;
    use crate::contract::{example, vocabulary};
    use crate::ranking::{Filter, recommend};

    fn small() -> BprMfConfig {
        BprMfConfig { factors: 6, epochs: 4, ..BprMfConfig::default() }
    }

    #[test]
    fn a_step_follows_the_gradient() {
        for item_biases in [true, false] {
            let settings = Settings { item_biases, ..SETTINGS };
            let mut before = vec![settings.initial(4, 3, 0), settings.initial(3, 3, 1)];
            for s in 0..3 {
                before[1].row_mut(s)[5] = settings.constant();
            }
            if item_biases {
                (0..4).for_each(|i| before[0].row_mut(i)[5] = 0.4 - 0.3 * i as f32);
            }
            let mut after = before.clone();
            let (items, vectors) = after.split_at_mut(1);
            let mut difference = vec![0.0; items[0].stride()];
            step(&settings, &mut items[0], &mut vectors[0], 1, (2, 0), &mut difference);
            is_a_step_down(&before, &after, &|tables| {
                let (q, p) = (&tables[0], &tables[1][1]);
                let x = |i: usize| {
                    let bias = if item_biases { q[i][5] } else { 0.0 };
                    (0..5).map(|f| p[f] * q[i][f]).sum::<f64>() + bias
                };
                let squares = |v: &[f64]| v.iter().map(|x| x * x).sum::<f64>();
                softplus_of_minus(x(2) - x(0))
                    + f64::from(settings.regularization) / 2.0
                        * (squares(&q[2]) + squares(&q[0]) + squares(&p[..5]))
            });
        }
    }

    #[test]
    fn a_session_is_the_mean_of_its_events() {
        let items = vocabulary(&[3, 2, 1]);
        let config = BprMfConfig { factors: 2, item_biases: true, ..BprMfConfig::default() };
        let mut arrays = Arrays::default();
        let mut set = |name: &str, shape: &[usize], values: &[f32]| {
            let tensor = crate::arrays::Tensor { shape: shape.to_vec(), values: values.to_vec() };
            arrays.tensors.insert(name.into(), tensor);
        };
        set(FACTORS, &[3, 2], &[1.0, 0.0, 0.0, 2.0, -1.0, 1.0]);
        set(BIAS, &[3], &[0.5, -0.25, 0.0]);
        let model = BprMf::from_arrays(&config, &items, arrays).unwrap();
        let scores = |session: &[ItemIndex]| -> Vec<(ItemIndex, f32)> {
            let lists = recommend(&model, &items, &[session], 3, &Filter::default()).unwrap();
            lists[0].entries.iter().map(|e| (e.item, e.score)).collect()
        };
        assert_eq!(scores(&[0]), [(0, 1.5), (1, -0.25), (2, -1.0)]);
        // The mean of (1, 0) twice, (0, 2) and (−1, 1), which is (1/4, 3/4).
        assert_eq!(scores(&[0, 1, 0, 2]), [(1, 1.25), (0, 0.75), (2, 0.5)]);
    }

    #[test]
    fn items_that_share_sessions_are_recommended_to_each_other() {
        let mut data = Dataset { items: vocabulary(&[40; 10]), ..Dataset::default() };
        for s in 0..80 {
            let group = s % 2 * 5;
            data.sessions.push(&[0, 1, 2].map(|i| group + (s / 2 + i * 2) % 5), 0);
        }
        let model = BprMf::fit(&BprMfConfig { epochs: 60, ..small() }, &data, 1).unwrap();
        for first in 0..10 {
            let lists = recommend(&model, &data.items, &[&[first]], 5, &Filter::default()).unwrap();
            assert!(lists[0].entries.iter().all(|e| e.item / 5 == first / 5), "{first}: {:?}", lists[0]);
        }
    }

    #[test]
    fn the_seed_decides_every_bit_and_arrays_keep_them() {
        let data = example();
        for item_biases in [true, false] {
            let config = BprMfConfig { item_biases, ..small() };
            let model = BprMf::fit(&config, &data, 7).unwrap();
            let arrays = model.arrays();
            assert_eq!(BprMf::fit(&config, &data, 7).unwrap().arrays(), arrays);
            assert_ne!(BprMf::fit(&config, &data, 8).unwrap().arrays(), arrays);
            assert_eq!(arrays.tensors.contains_key(BIAS), item_biases);
            let loaded = BprMf::from_arrays(&config, &data.items, arrays.clone()).unwrap();
            assert!(loaded.items.data() == model.items.data());
            assert!(item_biases || (0..70).all(|i| model.items.values(i)[6] == 0.0));
        }
    }

    #[test]
    fn damaged_arrays_and_a_rate_that_explodes_are_refused() {
        let data = example();
        let config = BprMfConfig { item_biases: true, ..small() };
        let good = BprMf::fit(&config, &data, 7).unwrap().arrays();
        let refused = |damage: &dyn Fn(&mut Arrays), name: &str| {
            let mut arrays = good.clone();
            damage(&mut arrays);
            let message = BprMf::from_arrays(&config, &data.items, arrays).unwrap_err().to_string();
            assert!(message.contains(&format!("`{name}`")), "{message}");
        };
        refused(&|a| drop(a.tensors.remove(FACTORS)), FACTORS);
        refused(&|a| drop(a.tensors.remove(BIAS)), BIAS);
        refused(&|a| a.tensors.get_mut(FACTORS).unwrap().values[3] = f32::NAN, FACTORS);
        refused(&|a| a.tensors.get_mut(BIAS).unwrap().values[3] = f32::INFINITY, BIAS);
        refused(&|a| a.tensors.get_mut(BIAS).unwrap().shape[0] += 1, BIAS);
        refused(&|a| drop(a.counts.insert("more".into(), vec![1])), "more");
        let message =
            BprMf::fit(&BprMfConfig { learning_rate: 1e30, regularization: 0.0, ..small() }, &data, 1)
                .unwrap_err()
                .to_string();
        assert!(message.starts_with("model.learning_rate: is 1000"), "{message}");
    }
}

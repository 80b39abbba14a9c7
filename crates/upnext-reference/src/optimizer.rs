//! Updates of parameters (`docs/algorithms.md`, section 4): L2, clipping, the optimiser's rule, momentum.

use super::Parameters;
use crate::config::{Optimizer, Training};
use std::collections::{BTreeMap, BTreeSet};

/// The state of an optimiser for every parameter, initially 0.
#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerState {
    /// The sum (Adagrad) or moving average (RMSProp, Adam) of squared gradients.
    pub squares: Parameters,
    /// Adam's moving average of gradients.
    pub means: Parameters,
    /// The velocity v of momentum.
    pub velocity: Parameters,
    /// Adam's number of updates of each row of a parameter; the rows of a dense parameter have equal numbers.
    pub updates: BTreeMap<String, Vec<u64>>,
}

/// The default ε of an optimiser: 1e-8 for Adam, outside its square root (Kingma and Ba 2015), and 1e-6 for the others,
/// inside theirs.
pub fn published_epsilon(optimizer: Optimizer) -> f64 {
    if optimizer == Optimizer::Adam { 1e-8 } else { 1e-6 }
}

impl OptimizerState {
    /// The state before the first update.
    pub fn new(parameters: &Parameters) -> Self {
        let updates = parameters.0.iter().map(|(name, tensor)| (name.clone(), vec![0; tensor.shape[0]]));
        Self {
            squares: parameters.zeros_like(),
            means: parameters.zeros_like(),
            velocity: parameters.zeros_like(),
            updates: updates.collect(),
        }
    }
}

/// Updates the parameters by the gradients of one step.
///
/// In this order: L2 is added to the gradients (biases included), the gradients are scaled down to the global norm
/// `clip_norm`, the optimiser computes Δ, then `v ← μ v + Δ` and `θ ← θ + v`.
///
/// `touched` has the rows of each table that are updated ([`super::touched_rows`]); all other rows keep their values
/// and their state. Parameters that are not in the map are dense and updated as a whole.
///
/// # Panics
/// If a gradient or a state does not fit the parameters.
pub fn apply(
    training: &Training,
    parameters: &mut Parameters,
    gradients: &Parameters,
    touched: &BTreeMap<String, BTreeSet<usize>>,
    state: &mut OptimizerState,
) {
    let mut gradients = gradients.clone();
    let mut norm = 0.0;
    for (name, gradient) in &mut gradients.0 {
        let parameter = parameters.tensor(name);
        for i in 0..gradient.values.len() {
            if is_touched(touched, name, i / parameter.width()) {
                gradient.values[i] += training.l2 * parameter.values[i];
                norm += gradient.values[i].powi(2);
            }
        }
    }
    let (norm, limit) = (norm.sqrt(), training.clip_norm);
    let scale = if limit > 0.0 && norm > limit { limit / norm } else { 1.0 };

    for (name, gradient) in &gradients.0 {
        let parameter = parameters.tensor_mut(name);
        let width = parameter.width();
        let updates = state.updates.get_mut(name).unwrap_or_else(|| panic!("no updates of `{name}`"));
        for (row, updates) in updates.iter_mut().enumerate() {
            if !is_touched(touched, name, row) {
                continue;
            }
            *updates += 1;
            for i in row * width..(row + 1) * width {
                let delta = change(
                    training,
                    scale * gradient.values[i],
                    &mut state.squares.tensor_mut(name).values[i],
                    &mut state.means.tensor_mut(name).values[i],
                    *updates,
                );
                let velocity = &mut state.velocity.tensor_mut(name).values[i];
                *velocity = training.momentum * *velocity + delta;
                parameter.values[i] += *velocity;
            }
        }
    }
}

fn is_touched(touched: &BTreeMap<String, BTreeSet<usize>>, name: &str, row: usize) -> bool {
    touched.get(name).is_none_or(|rows| rows.contains(&row))
}

/// The change Δ of one element by the optimiser's rule.
fn change(training: &Training, g: f64, square: &mut f64, mean: &mut f64, updates: u64) -> f64 {
    let (rate, epsilon) = (training.learning_rate, training.epsilon);
    match training.optimizer {
        Optimizer::Sgd => -rate * g,
        Optimizer::Adagrad => {
            *square += g * g;
            -rate * g / (*square + epsilon).sqrt()
        }
        Optimizer::Rmsprop => {
            let decay = training.rmsprop_decay;
            *square = decay * *square + (1.0 - decay) * g * g;
            -rate * g / (*square + epsilon).sqrt()
        }
        Optimizer::Adam => {
            let (beta1, beta2) = (training.adam_beta1, training.adam_beta2);
            *mean = beta1 * *mean + (1.0 - beta1) * g;
            *square = beta2 * *square + (1.0 - beta2) * g * g;
            let unbiased_mean = *mean / (1.0 - beta1.powf(updates as f64));
            let unbiased_square = *square / (1.0 - beta2.powf(updates as f64));
            -rate * unbiased_mean / (unbiased_square.sqrt() + epsilon)
        }
    }
}

#[cfg(test)]
mod tests {
    //! Updates computed by hand, on a table of two rows and a dense bias.

    use super::*;
    use crate::config::Network;
    use crate::example::Example;
    use crate::{Tensor, forward, gradient, touched_rows};

    /// A table `t` of two rows of one, of which row 0 is touched, and a dense bias `b` of one.
    struct Bench {
        training: Training,
        parameters: Parameters,
        touched: BTreeMap<String, BTreeSet<usize>>,
        state: OptimizerState,
    }

    impl Bench {
        fn new(training: Training) -> Self {
            let table = Tensor { shape: vec![2, 1], values: vec![1.0, 5.0] };
            let bias = Tensor { shape: vec![1], values: vec![2.0] };
            let parameters = Parameters([("t".to_string(), table), ("b".to_string(), bias)].into());
            let touched = [("t".to_string(), BTreeSet::from([0]))].into();
            let state = OptimizerState::new(&parameters);
            Self { training, parameters, touched, state }
        }

        /// The three values after an update by gradients `[t0, t1, b]`.
        fn update(&mut self, gradient: [f64; 3]) -> [f64; 3] {
            let mut gradients = self.parameters.zeros_like();
            gradients.tensor_mut("t").values.copy_from_slice(&gradient[..2]);
            gradients.tensor_mut("b").values[0] = gradient[2];
            apply(&self.training, &mut self.parameters, &gradients, &self.touched, &mut self.state);
            let table = self.parameters.tensor("t");
            [table.values[0], table.values[1], self.parameters.tensor("b").values[0]]
        }
    }

    fn with(optimizer: Optimizer) -> Training {
        Training {
            optimizer,
            learning_rate: 0.5,
            epsilon: published_epsilon(optimizer),
            ..Training::default()
        }
    }

    fn close(a: [f64; 3], b: [f64; 3]) {
        assert!(a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?} is not {b:?}");
    }

    #[test]
    fn adagrad_sums_squares_and_starts_at_zero() {
        let mut bench = Bench::new(with(Optimizer::Adagrad));
        let first = 0.5 * 3.0 / (9.0_f64 + 1e-6).sqrt();
        close(bench.update([3.0, 0.0, 0.0]), [1.0 - first, 5.0, 2.0]);
        let second = 0.5 * 4.0 / (25.0_f64 + 1e-6).sqrt();
        close(bench.update([4.0, 0.0, 0.0]), [1.0 - first - second, 5.0, 2.0]);
    }

    #[test]
    fn rmsprop_forgets_old_squares() {
        let mut bench = Bench::new(Training { rmsprop_decay: 0.75, ..with(Optimizer::Rmsprop) });
        let first = 0.5 * 4.0 / (4.0_f64 + 1e-6).sqrt();
        close(bench.update([4.0, 0.0, 0.0]), [1.0 - first, 5.0, 2.0]);
        let second = 0.5 * 2.0 / (3.0_f64 + 1.0 + 1e-6).sqrt();
        close(bench.update([2.0, 0.0, 0.0]), [1.0 - first - second, 5.0, 2.0]);
    }

    #[test]
    fn first_update_of_adam_is_the_rate_whatever_the_gradient_and_whenever_it_comes() {
        let training = Training { epsilon: 0.0, ..with(Optimizer::Adam) };
        let mut bench = Bench::new(training);
        close(bench.update([1e-3, 0.0, 7.0]), [0.5, 5.0, 1.5]);
        // Row 1 is used later. Its own count is 1, so its update is corrected as a first one.
        bench.touched = [("t".to_string(), BTreeSet::from([1]))].into();
        let [row0, row1, _] = bench.update([0.0, 20.0, 7.0]);
        assert_eq!(row0, 0.5);
        assert!((row1 - 4.5).abs() < 1e-12);
        assert_eq!(bench.state.updates["t"], [1, 1]);
        assert_eq!(bench.state.updates["b"], [2]);
    }

    #[test]
    fn second_update_of_adam_is_the_one_worked_out_by_hand() {
        let training = Training { adam_beta1: 0.5, adam_beta2: 0.75, epsilon: 0.25, ..with(Optimizer::Adam) };
        let mut bench = Bench::new(training);
        bench.update([2.0, 0.0, 0.0]);
        let first = 0.5 * 2.0 / (2.0 + 0.25);
        // m = 0.5·1 + 0.5·4 = 2.5, over 1 − 0.25; v = 0.75·1 + 0.25·16 = 4.75, over 1 − 0.5625.
        let second = 0.5 * (2.5 / 0.75) / ((4.75_f64 / 0.4375).sqrt() + 0.25);
        close(bench.update([4.0, 0.0, 0.0]), [1.0 - first - second, 5.0, 2.0]);
    }

    #[test]
    fn every_optimizer_halves_the_loss_of_a_step_that_it_repeats() {
        let network = Network { layers: vec![4], ..Network::default() };
        for optimizer in [Optimizer::Adagrad, Optimizer::Rmsprop, Optimizer::Sgd, Optimizer::Adam] {
            let training = Training {
                optimizer,
                learning_rate: if optimizer == Optimizer::Sgd { 0.5 } else { 0.05 },
                batch_size: 3,
                momentum: 0.2,
                epsilon: published_epsilon(optimizer),
                ..Training::default()
            };
            let example = Example::random(&network, &training, 9, 3, 4, 1);
            let step = example.step();
            let mut parameters = Parameters::random(&network, 9, 1);
            let before = forward(&network, &training, &parameters, &step).loss;
            let mut state = OptimizerState::new(&parameters);
            for _ in 0..60 {
                let gradients = gradient(&network, &training, &parameters, &step);
                apply(&training, &mut parameters, &gradients, &touched_rows(&network, &step), &mut state);
            }
            let after = forward(&network, &training, &parameters, &step).loss;
            assert!(after < 0.5 * before, "{optimizer:?}: {before} to {after}");
        }
    }

    #[test]
    fn momentum_repeats_a_part_of_the_last_change_of_touched_rows_only() {
        let mut bench = Bench::new(Training { momentum: 0.5, ..with(Optimizer::Sgd) });
        close(bench.update([2.0, 0.0, 1.0]), [0.0, 5.0, 1.5]);
        close(bench.update([2.0, 0.0, 0.0]), [-1.5, 5.0, 1.25]);
        bench.touched = [("t".to_string(), BTreeSet::new())].into();
        close(bench.update([0.0, 0.0, 0.0]), [-1.5, 5.0, 1.125]);
    }

    #[test]
    fn l2_pulls_touched_rows_and_dense_parameters_to_zero() {
        let mut bench = Bench::new(Training { l2: 0.5, ..with(Optimizer::Sgd) });
        close(bench.update([0.0, 0.0, 0.0]), [0.75, 5.0, 1.5]);
    }

    #[test]
    fn clipping_scales_the_gradient_with_its_l2_part_to_the_norm() {
        let training = Training { l2: 1.0, clip_norm: 2.5, ..with(Optimizer::Sgd) };
        let mut bench = Bench::new(training.clone());
        // The gradients with L2 are 3 and 4, their norm is 5, and they are halved. The unused row is not in the norm.
        close(bench.update([2.0, 100.0, 2.0]), [1.0 - 0.75, 5.0, 2.0 - 1.0]);
        let mut bench = Bench::new(Training { clip_norm: 5.5, ..training });
        close(bench.update([2.0, 0.0, 2.0]), [1.0 - 1.5, 5.0, 2.0 - 2.0]);
    }
}

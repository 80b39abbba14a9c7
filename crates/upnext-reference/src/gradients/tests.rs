//! Every formula of `docs/gradients.md` compared with finite differences, for every unit, input, activation and loss.

use super::super::difference::{derivative, gradient};
use super::super::example::Example;
use super::super::loss::row_loss;
use super::super::uniform;
use super::*;

const LOSSES: [Loss; 6] = [Loss::Top1, Loss::Bpr, Loss::CrossEntropy, Loss::Top1Max, Loss::BprMax, Loss::Mrr];

const ACTIVATIONS: [Activation; 6] = [
    Activation::Linear,
    Activation::Tanh,
    Activation::Relu,
    Activation::Elu { alpha: 0.5 },
    Activation::Leaky { alpha: 0.1 },
    Activation::Selu { lambda: 1.05, alpha: 1.67 },
];

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-8 * (1.0 + a.abs().max(b.abs()))
}

/// Compares the two gradients of a random step and returns their largest element.
fn compare(network: &Network, training: &Training, rows: usize, samples: usize, seed: u64) -> f64 {
    let n = 12;
    let parameters = Parameters::random(network, n, seed);
    let example = Example::random(network, training, n, rows, samples, seed);
    let differences = gradient(network, training, &parameters, &example.step());
    let derived = backward(network, training, &parameters, &example.step());
    for (name, tensor) in &differences.0 {
        for (i, (&a, &b)) in tensor.values.iter().zip(&derived.tensor(name).values).enumerate() {
            assert!(near(a, b), "{name}[{i}]: {a} by differences, {b} derived; {network:?} {training:?}");
        }
    }
    derived.0.values().flat_map(|tensor| &tensor.values).fold(0.0, |m, x| m.max(x.abs()))
}

#[test]
fn docs_gradients_agree_with_finite_differences() {
    let mut state = 9;
    for loss in LOSSES {
        for penalty in [0.0, 0.5] {
            for count in [0, 1, 2, 7] {
                for width in [0.5, 5.0, 20.0] {
                    let training = Training { loss, bpr_max_penalty: penalty, ..Training::default() };
                    let mut score = || width * (2.0 * uniform(&mut state) - 1.0);
                    let positive = score();
                    let negatives: Vec<f64> = (0..count).map(|_| score()).collect();
                    let (by_positive, by_negatives) = loss_gradient(&training, positive, &negatives);
                    let difference = derivative(|x| row_loss(&training, x, &negatives), positive);
                    assert!(near(by_positive, difference), "{loss:?}: {by_positive} and {difference}");
                    for j in 0..count {
                        let at = |x: f64| {
                            let mut moved = negatives.clone();
                            moved[j] = x;
                            row_loss(&training, positive, &moved)
                        };
                        let difference = derivative(at, negatives[j]);
                        assert!(
                            near(by_negatives[j], difference),
                            "{loss:?}: {by_negatives:?}, {difference}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn docs_loss_gradients_of_extreme_scores_are_finite_and_right() {
    for loss in LOSSES {
        let training = Training { loss, bpr_max_penalty: 1.0, ..Training::default() };
        for positive in [-1e4, 0.0, 1e4] {
            for negatives in [[-1e4, 1e4], [1e4, 1e4], [-1e4, -1e4], [0.0, 1e4]] {
                let (by_positive, by_negatives) = loss_gradient(&training, positive, &negatives);
                assert!(by_positive.is_finite() && by_negatives.iter().all(|g| g.is_finite()), "{loss:?}");
            }
        }
    }
    // A positive far below its only rival: the loss is the distance, its slope 1.
    let training = Training { loss: Loss::BprMax, bpr_max_penalty: 0.0, ..Training::default() };
    assert_eq!(loss_gradient(&training, -1e4, &[1e4, 0.0]).0, -1.0);
}

#[test]
fn docs_bpr_max_from_its_sums_equals_the_loss_for_any_scores() {
    let training = Training { loss: Loss::BprMax, bpr_max_penalty: 0.5, ..Training::default() };
    for ri in [-1e4, -3.0, 0.0, 0.7, 40.0, 1e4] {
        for r in [[0.3, -1.0, 2.0], [-900.0, 900.0, 899.0], [1e4, 1e4, -1e4], [0.0, 0.0, 0.0]] {
            let m = r.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let t = f64::min(ri, m);
            let z: f64 = r.iter().map(|rj| (rj - m).exp()).sum();
            let w = |rj: &f64| (ri.min(*rj) - t).exp() / (1.0 + (-(ri - rj).abs()).exp());
            let total: f64 = r.iter().map(w).sum();
            let v = r.iter().map(|rj| (rj - m).exp() * rj * rj).sum::<f64>() / z;
            let loss = m - t + z.ln() - total.ln() + 0.5 * v;
            let expected = row_loss(&training, ri, &r);
            assert!((loss - expected).abs() <= 1e-11 * (1.0 + expected.abs()), "{loss} is not {expected}");
        }
    }
}

#[test]
fn docs_activation_slopes_agree_with_finite_differences() {
    for activation in ACTIVATIONS {
        for x in [-3.0, -0.4, -0.01, 0.01, 0.7, 2.0] {
            let difference = derivative(|x| activate(activation, x), x);
            let slope = activation_slope(activation, activate(activation, x));
            assert!(near(slope, difference), "{activation} at {x}: {slope} and {difference}");
        }
    }
}

#[test]
fn docs_gradients_of_every_unit_input_and_depth_agree_with_finite_differences() {
    let mut seed = 0;
    for unit in [Unit::Gru, Unit::Lstm, Unit::Rnn] {
        for input in [Input::OneHot, Input::Discounted, Input::Embedding, Input::Shared] {
            for (layers, deeper, feed_forward) in
                [(&[3][..], false, &[][..]), (&[3, 2], false, &[4, 3]), (&[2, 3, 2], true, &[])]
            {
                for dropout in [0.0, 0.4] {
                    seed += 1;
                    let network = Network {
                        unit,
                        layers: layers.to_vec(),
                        input,
                        embedding_size: 3,
                        input_to_deeper_layers: deeper,
                        feed_forward: feed_forward.to_vec(),
                        ..Network::default()
                    };
                    let network = network.for_loss(LOSSES[seed % 5]);
                    let training = Training {
                        loss: LOSSES[seed % 5],
                        batch_size: 5,
                        dropout_embedding: dropout,
                        dropout_hidden: dropout,
                        ..Training::default()
                    };
                    let largest = compare(&network, &training, 4, 3, seed as u64);
                    assert!(largest > 1e-3, "a gradient of nothing: {largest}");
                }
            }
        }
    }
}

#[test]
fn docs_gradients_of_every_loss_and_activation_agree_with_finite_differences() {
    let mut seed = 100;
    for loss in LOSSES {
        for activation in ACTIVATIONS {
            for (mask, rows, samples) in [(false, 4, 3), (true, 4, 3), (true, 4, 0), (true, 1, 1)] {
                seed += 1;
                let network =
                    Network { layers: vec![3], output_activation: activation, ..Network::default() };
                let training = Training {
                    loss,
                    batch_size: 4,
                    mask_own_target: mask,
                    logq: 0.5,
                    bpr_max_penalty: 0.7,
                    ..Training::default()
                };
                let largest = compare(&network, &training, rows, samples, seed);
                // One row whose only sample is its own target has no negative, and so no gradient.
                assert_eq!(largest == 0.0, rows == 1, "{loss:?} {activation} {mask}: {largest}");
            }
        }
    }
}

#[test]
fn docs_gradients_of_session_vectors_agree_with_finite_differences() {
    let mut seed = 500;
    for (input, input_to_output) in
        [(Input::Shared, false), (Input::Shared, true), (Input::OneHot, false), (Input::Embedding, false)]
    {
        for cosine_scale in [None, Some(0.5), Some(9.0)] {
            for (layers, feed_forward) in [(vec![3], vec![]), (vec![3, 2], vec![4])] {
                seed += 1;
                let network = Network {
                    input,
                    input_to_output,
                    cosine_scale,
                    layers,
                    feed_forward,
                    embedding_size: 3,
                    ..Network::default()
                };
                let training = Training { batch_size: 5, dropout_embedding: 0.3, ..Training::default() };
                assert!(compare(&network, &training, 4, 3, seed) > 1e-3);
            }
        }
    }
}

#[test]
fn docs_gradients_of_every_hidden_activation_agree_with_finite_differences() {
    for (seed, activation) in [Activation::Tanh, Activation::Relu, Activation::Linear].into_iter().enumerate()
    {
        for unit in [Unit::Gru, Unit::Rnn] {
            let network =
                Network { unit, layers: vec![4, 3], hidden_activation: activation, ..Network::default() };
            let training = Training { batch_size: 4, ..Training::default() };
            compare(&network, &training, 4, 3, seed as u64);
        }
    }
}

//! The losses (`docs/algorithms.md`, section 3), computed row by row.

use crate::config::{Activation, Loss, Training};

/// The published output activation of a loss: `tanh` for TOP1 and BPR \[1\], `elu-0.5` for TOP1-max and BPR-max \[2\],
/// and `linear` for cross-entropy. MRR has `tanh`, our choice.
pub fn published_activation(loss: Loss) -> Activation {
    match loss {
        Loss::Top1 | Loss::Bpr | Loss::Mrr => Activation::Tanh,
        Loss::CrossEntropy => Activation::Linear,
        Loss::Top1Max | Loss::BprMax => Activation::Elu { alpha: 0.5 },
    }
}

/// Applies an output activation to one score.
pub fn activate(activation: Activation, x: f64) -> f64 {
    let elu = |alpha: f32| if x > 0.0 { x } else { f64::from(alpha) * x.exp_m1() };
    match activation {
        Activation::Linear => x,
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
        Activation::Elu { alpha } => elu(alpha),
        Activation::Leaky { alpha } => {
            if x > 0.0 {
                x
            } else {
                f64::from(alpha) * x
            }
        }
        Activation::Selu { lambda, alpha } => f64::from(lambda) * elu(alpha),
    }
}

/// Whether column `c` of the scores is a negative of row `b`: all columns but `b` are, except, with `mask_own_target`,
/// those of the row's own target.
pub fn is_negative(training: &Training, b: usize, c: usize, targets: &[u32], samples: &[u32]) -> bool {
    let item = if c < targets.len() { targets[c] } else { samples[c - targets.len()] };
    c != b && !(training.mask_own_target && item == targets[b])
}

/// The logQ correction `q · log Q` of column `c`. `Q` is the support of a target and support^α of a sample. The
/// correction is 0 for losses other than cross-entropy.
///
/// # Panics
/// If logQ is on and the item of the column has support 0; such items are neither targets nor samples.
pub fn log_q(training: &Training, c: usize, targets: &[u32], samples: &[u32], support: &[u64]) -> f64 {
    if training.loss != Loss::CrossEntropy || training.logq == 0.0 {
        return 0.0;
    }
    let (item, power) = if c < targets.len() {
        (targets[c], 1.0)
    } else {
        (samples[c - targets.len()], training.sample_alpha)
    };
    let support = support[item as usize];
    assert!(support > 0, "item {item} has support 0");
    training.logq * power * (support as f64).ln()
}

/// The loss of one row, not divided by the mini-batch size, from the scores of its positive and its negatives after
/// output activation and logQ. It is 0 for a row without negatives.
pub fn row_loss(training: &Training, positive: f64, negatives: &[f64]) -> f64 {
    if negatives.is_empty() {
        return 0.0;
    }
    let count = negatives.len() as f64;
    match training.loss {
        Loss::Bpr => -negatives.iter().map(|r| log_sigmoid(positive - r)).sum::<f64>() / count,
        Loss::Top1 => negatives.iter().map(|r| top1(positive, *r)).sum::<f64>() / count,
        Loss::Mrr => 1.0 - 1.0 / (1.0 + negatives.iter().map(|r| sigmoid(r - positive)).sum::<f64>()),
        Loss::CrossEntropy => {
            let mut all = negatives.to_vec();
            all.push(positive);
            log_sum_exp(&all) - positive
        }
        Loss::Top1Max => {
            let total = log_sum_exp(negatives);
            negatives.iter().map(|r| (r - total).exp() * top1(positive, *r)).sum()
        }
        Loss::BprMax => {
            let total = log_sum_exp(negatives);
            let terms: Vec<f64> = negatives.iter().map(|r| r - total + log_sigmoid(positive - r)).collect();
            let penalty: f64 = negatives.iter().map(|r| (r - total).exp() * r * r).sum();
            -log_sum_exp(&terms) + training.bpr_max_penalty * penalty
        }
    }
}

/// The loss of a mini-batch: the sum of the rows' losses divided by the configured mini-batch size, also if there are
/// fewer rows.
///
/// `scores` are `B×R`, after the output activation and before logQ. The columns are the `B` targets in the order of the
/// rows and then the `S` samples; an item counts once per column. `support` is `[n]`.
///
/// # Panics
/// If the scores are not `B×R`.
pub fn batch_loss(
    training: &Training,
    scores: &[f64],
    targets: &[u32],
    samples: &[u32],
    support: &[u64],
) -> f64 {
    let columns = targets.len() + samples.len();
    assert_eq!(scores.len(), targets.len() * columns, "scores are B×(B+S)");
    let mut total = 0.0;
    for b in 0..targets.len() {
        let score = |c: usize| scores[b * columns + c] - log_q(training, c, targets, samples, support);
        let negatives: Vec<f64> =
            (0..columns).filter(|&c| is_negative(training, b, c, targets, samples)).map(score).collect();
        total += row_loss(training, score(b), &negatives);
    }
    total / training.batch_size as f64
}

/// The term of one negative in TOP1.
fn top1(positive: f64, negative: f64) -> f64 {
    sigmoid(negative - positive) + sigmoid(negative * negative)
}

/// The logistic function.
pub fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The logarithm of the logistic function, finite for every finite `x`.
pub fn log_sigmoid(x: f64) -> f64 {
    x.min(0.0) - (-x.abs()).exp().ln_1p()
}

/// `log Σ exp(x)`, computed with the largest `x` subtracted.
pub fn log_sum_exp(xs: &[f64]) -> f64 {
    let largest = xs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    largest + xs.iter().map(|x| (x - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    //! The losses compared with `testdata/golden.py`, and identities that they must satisfy.

    use super::*;
    use crate::config::Network;
    use crate::uniform;
    use serde_json::Value;

    const LOSSES: [Loss; 6] =
        [Loss::Top1, Loss::Bpr, Loss::CrossEntropy, Loss::Top1Max, Loss::BprMax, Loss::Mrr];

    fn of(loss: Loss) -> Training {
        Training { loss, logq: 0.0, bpr_max_penalty: 0.0, ..Training::default() }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-12 * (1.0 + a.abs().max(b.abs())), "{a} is not {b}");
    }

    fn from<T: serde::de::DeserializeOwned>(case: &Value, field: &str) -> T {
        serde_json::from_value(case[field].clone()).expect("golden.py writes this field")
    }

    #[test]
    fn losses_equal_the_golden_values_of_the_script() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/golden.json");
        let text = std::fs::read_to_string(path).expect("the golden values are in the tree");
        let golden: Value = serde_json::from_str(&text).expect("golden.py writes JSON");
        let cases = golden["losses"].as_array().expect("golden.py writes a list");
        assert_eq!(cases.len(), 90);
        for case in cases {
            let training = Training {
                batch_size: from(case, "batch_size"),
                loss: from(case, "loss"),
                mask_own_target: from(case, "mask"),
                logq: from(case, "logq"),
                sample_alpha: from(case, "alpha"),
                bpr_max_penalty: from(case, "penalty"),
                ..Training::default()
            };
            let scores = from::<Vec<Vec<f64>>>(case, "scores").concat();
            let (targets, samples): (Vec<u32>, Vec<u32>) = (from(case, "targets"), from(case, "samples"));
            let loss = batch_loss(&training, &scores, &targets, &samples, &from::<Vec<u64>>(case, "support"));
            let value: f64 = from(case, "value");
            assert!((loss - value).abs() <= 1e-12 * value.abs().max(1.0), "{loss} instead of {case}");
        }
    }

    #[test]
    fn equal_scores_cost_log_2_in_bpr_and_log_of_the_columns_in_cross_entropy() {
        for score in [-3.0, 0.0, 2.5] {
            close(row_loss(&of(Loss::Bpr), score, &[score; 7]), 2.0_f64.ln());
            close(row_loss(&of(Loss::BprMax), score, &[score; 7]), 2.0_f64.ln());
            close(row_loss(&of(Loss::CrossEntropy), score, &[score; 7]), 8.0_f64.ln());
        }
    }

    #[test]
    fn top1_runs_from_one_half_to_two() {
        for loss in [Loss::Top1, Loss::Top1Max] {
            close(row_loss(&of(loss), 60.0, &[0.0; 5]), 0.5);
            close(row_loss(&of(loss), 0.0, &[0.0; 5]), 1.0);
            close(row_loss(&of(loss), -60.0, &[60.0; 5]), 2.0);
        }
    }

    #[test]
    fn mrr_is_one_less_the_inverse_rank_and_a_tie_is_half_a_place() {
        for above in 0..5 {
            let negatives: Vec<f64> = (0..9).map(|j| if j < above { 1e3 } else { -1e3 }).collect();
            close(row_loss(&of(Loss::Mrr), 0.0, &negatives), 1.0 - 1.0 / f64::from(above + 1));
        }
        close(row_loss(&of(Loss::Mrr), 0.3, &[0.3; 6]), 0.75);
    }

    #[test]
    fn one_negative_makes_the_max_losses_the_plain_ones_and_cross_entropy_bpr() {
        for (positive, negative) in [(0.3, -1.2), (-2.0, 0.7), (5.0, 5.5)] {
            let loss = |kind| row_loss(&of(kind), positive, &[negative]);
            close(loss(Loss::BprMax), loss(Loss::Bpr));
            close(loss(Loss::Top1Max), loss(Loss::Top1));
            // softplus(negative − positive)
            close(loss(Loss::CrossEntropy), (negative - positive).exp().ln_1p());
            close(loss(Loss::CrossEntropy), loss(Loss::Bpr));
        }
    }

    #[test]
    fn penalty_is_lambda_times_the_softmax_mean_of_the_squared_scores() {
        let training = Training { bpr_max_penalty: 0.5, ..of(Loss::BprMax) };
        // Softmax weights 1/4 and 3/4.
        let negatives = [0.0, 3.0_f64.ln()];
        let difference = row_loss(&training, 1.0, &negatives) - row_loss(&of(Loss::BprMax), 1.0, &negatives);
        close(difference, 0.5 * 0.75 * 3.0_f64.ln().powi(2));
    }

    #[test]
    fn losses_of_differences_do_not_move_with_a_shift_of_all_scores() {
        let mut state = 3;
        let negatives: Vec<f64> = (0..6).map(|_| 4.0 * uniform(&mut state) - 2.0).collect();
        let shifted: Vec<f64> = negatives.iter().map(|r| r + 1.75).collect();
        for loss in [Loss::Bpr, Loss::CrossEntropy, Loss::BprMax, Loss::Mrr] {
            close(row_loss(&of(loss), 0.4, &negatives), row_loss(&of(loss), 2.15, &shifted));
        }
        // TOP1 depends on the negatives' scores themselves, so it changes.
        for loss in [Loss::Top1, Loss::Top1Max] {
            assert!(
                (row_loss(&of(loss), 0.4, &negatives) - row_loss(&of(loss), 2.15, &shifted)).abs() > 0.01
            );
        }
    }

    #[test]
    fn every_negative_counted_twice_changes_cross_entropy_and_mrr_but_no_mean() {
        let (once, twice) = ([0.5, -1.0], [0.5, -1.0, 0.5, -1.0]);
        for loss in [Loss::Top1, Loss::Bpr, Loss::Top1Max, Loss::BprMax] {
            close(row_loss(&of(loss), 0.2, &once), row_loss(&of(loss), 0.2, &twice));
        }
        for loss in [Loss::CrossEntropy, Loss::Mrr] {
            assert!(row_loss(&of(loss), 0.2, &twice) > row_loss(&of(loss), 0.2, &once));
        }
    }

    #[test]
    fn extreme_scores_cost_finite_losses() {
        for loss in LOSSES {
            let training = Training { bpr_max_penalty: 1.0, ..of(loss) };
            for positive in [-1e4, 0.0, 1e4] {
                for negatives in [[-1e4, 1e4], [1e4, 1e4], [-1e4, -1e4], [0.0, 1e4]] {
                    let value = row_loss(&training, positive, &negatives);
                    assert!(value.is_finite(), "{loss:?} of {positive} and {negatives:?}: {value}");
                }
            }
        }
        close(row_loss(&of(Loss::Bpr), -1e4, &[1e4]), 2e4);
        // 1 · exp(−2e4) + exp(−2e4) · 1/2 inside the logarithm.
        close(row_loss(&of(Loss::BprMax), -1e4, &[1e4, -1e4]), 2e4 - 1.5_f64.ln());
    }

    #[test]
    fn output_activations_at_hand_worked_points() {
        use Activation as A;
        let elu = A::Elu { alpha: 0.5 };
        let selu = A::Selu { lambda: 2.0, alpha: 0.5 };
        let leaky = A::Leaky { alpha: 0.25 };
        for activation in [A::Linear, A::Relu, elu, leaky] {
            close(activate(activation, 1.5), 1.5);
        }
        close(activate(selu, 1.5), 3.0);
        close(activate(A::Linear, -2.0), -2.0);
        close(activate(A::Tanh, 3.0_f64.ln()), 0.8);
        close(activate(A::Relu, -2.0), 0.0);
        close(activate(elu, -(2.0_f64.ln())), -0.25);
        close(activate(selu, -(2.0_f64.ln())), -0.5);
        close(activate(leaky, -2.0), -0.5);
    }

    #[test]
    fn output_activation_for_a_loss_is_the_published_one() {
        let of_loss = LOSSES.map(|loss| Network::default().for_loss(loss).output_activation.to_string());
        assert_eq!(of_loss, ["tanh", "tanh", "linear", "elu-0.5", "elu-0.5", "tanh"]);
    }
}

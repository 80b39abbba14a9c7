//! Tests of the losses against the formulas of the papers in f64, and of the gradients against finite differences.

use super::*;
use crate::random::CounterRng;

const LANES: usize = 32;

fn sigma(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn act(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Linear => x,
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
        Activation::Elu { alpha } => {
            if x > 0.0 {
                x
            } else {
                f64::from(alpha) * x.exp_m1()
            }
        }
        Activation::Selu { lambda, alpha } => {
            f64::from(lambda) * if x > 0.0 { x } else { f64::from(alpha) * x.exp_m1() }
        }
        Activation::Leaky { alpha } => {
            if x > 0.0 {
                x
            } else {
                f64::from(alpha) * x
            }
        }
    }
}

/// The loss of one row by the formula of the paper, in f64; `x[0]` is the target's score before the activation.
fn plain(loss: LossFunction, x: &[f64]) -> f64 {
    let y: Vec<f64> = x.iter().map(|&x| act(loss.activation, x)).collect();
    let (p, negatives) = (y[0], &y[1..]);
    if negatives.is_empty() {
        return 0.0;
    }
    let n = negatives.len() as f64;
    let softmax_total: f64 = negatives.iter().map(|y| y.exp()).sum();
    let weighted =
        |f: &dyn Fn(f64) -> f64| -> f64 { negatives.iter().map(|&y| y.exp() / softmax_total * f(y)).sum() };
    match loss.loss {
        Loss::Bpr => -negatives.iter().map(|y| sigma(p - y).ln()).sum::<f64>() / n,
        Loss::Top1 => negatives.iter().map(|y| sigma(y - p) + sigma(y * y)).sum::<f64>() / n,
        Loss::CrossEntropy => -(p.exp() / (softmax_total + p.exp())).ln(),
        Loss::Top1Max => weighted(&|y| sigma(y - p) + sigma(y * y)),
        Loss::Mrr => 1.0 - 1.0 / (1.0 + negatives.iter().map(|y| sigma(y - p)).sum::<f64>()),
        Loss::BprMax => {
            let penalty = loss.bpr_max_penalty;
            -weighted(&|y| sigma(p - y)).ln() + f64::from(penalty) * weighted(&|y| y * y)
        }
    }
}

const KINDS: [(Loss, f32); 7] = [
    (Loss::Top1, 0.0),
    (Loss::Bpr, 0.0),
    (Loss::CrossEntropy, 0.0),
    (Loss::Top1Max, 0.0),
    (Loss::Mrr, 0.0),
    (Loss::BprMax, 1.5),
    (Loss::BprMax, 0.0),
];

struct Outcome {
    /// Gradients of the scores before the activation, items × LANES; the target's gradient is at r = b.
    gradient: Vec<f32>,
    loss: Vec<f32>,
}

/// Runs a loss on scores before the activation, `raw[r * LANES + b]`. The target of row b is at r = b; `excluded` are further
/// (r, b).
fn run(
    isa: Isa,
    loss: LossFunction,
    raw: &[f32],
    rows: usize,
    excluded: &[(usize, usize)],
    tile: usize,
) -> Outcome {
    let items = raw.len() / LANES;
    let mut scores: Vec<f32> = raw.to_vec();
    crate::activate(isa, loss.activation, &mut scores);
    let mut positive = vec![0.0; LANES];
    let mut negatives = [0.0; LANES];
    for b in 0..rows {
        positive[b] = std::mem::replace(&mut scores[b * LANES + b], f32::NEG_INFINITY);
        negatives[b] = items as f32 - 1.0;
    }
    for &(r, b) in excluded {
        scores[r * LANES + b] = f32::NEG_INFINITY;
        negatives[b] -= 1.0;
    }
    let inverse: Vec<f32> = negatives.iter().map(|n| 1.0 / n).collect();
    let weight: Vec<f32> = negatives.iter().map(|&n| if n > 0.0 { 0.25 } else { 0.0 }).collect();
    let lanes = LossRows { positive: &positive, inverse_negatives: &inverse, weight: &weight };
    // The tiles are divided between two sums, as for two threads, which are then merged.
    let mut sums = vec![vec![0.0; SUMS * LANES]; 2];
    sums.iter_mut().for_each(|s| LossFunction::reset(s));
    let mut maxima = Vec::new();
    for (t, tile) in scores.chunks_mut(tile * LANES).enumerate() {
        let mut max = vec![0.0; LANES];
        loss.collect(isa, tile, &lanes, &mut sums[t % 2], &mut max);
        maxima.push(max);
    }
    let (total, other) = sums.split_at_mut(1);
    loss.merge(isa, &mut total[0], &other[0]);
    let (mut value, mut d_positive) = (vec![f32::NAN; LANES], vec![f32::NAN; LANES]);
    loss.combine(isa, &lanes, &mut total[0], &mut value, &mut d_positive);
    for (tile, max) in scores.chunks_mut(tile * LANES).zip(&maxima) {
        loss.gradient(isa, tile, &lanes, &total[0], max);
    }
    for b in 0..rows {
        scores[b * LANES + b] = d_positive[b];
    }
    Outcome { gradient: scores, loss: value }
}

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter, of the same calls as the smaller tests")]
fn losses_and_gradients_agree_with_finite_differences() {
    let activations = [
        Activation::Linear,
        Activation::Tanh,
        Activation::Relu,
        Activation::Leaky { alpha: 0.1 },
        Activation::Elu { alpha: 0.5 },
        Activation::Selu { lambda: 1.05, alpha: 1.67 },
    ];
    for isa in Isa::available() {
        for (rows, items) in [(1, 2), (3, 3), (5, 23), (17, 40), (32, 100)] {
            for (kind, penalty) in KINDS {
                for activation in activations {
                    if kind == Loss::CrossEntropy && activation != Activation::Linear {
                        continue;
                    }
                    let rng = CounterRng::new(items as u64, 1);
                    // Not close to 0, where some activations are not differentiable.
                    let raw: Vec<f32> = (0..items * LANES)
                        .map(|i| 4.0 * rng.unit_f32(i as u64) - 2.0)
                        .map(|x| if x.abs() < 1e-3 { 0.01 } else { x })
                        .collect();
                    let excluded: &[_] = if items > 20 { &[(3, 1), (22, 0), (21, 1)] } else { &[] };
                    let loss = LossFunction { loss: kind, bpr_max_penalty: penalty, activation };
                    let is = run(isa, loss, &raw, rows, excluded, 7);
                    for b in 0..rows {
                        let negatives: Vec<usize> =
                            (0..items).filter(|&r| r != b && !excluded.contains(&(r, b))).collect();
                        let mut x: Vec<f64> = vec![f64::from(raw[b * LANES + b])];
                        x.extend(negatives.iter().map(|&r| f64::from(raw[r * LANES + b])));
                        let expected = 0.25 * plain(loss, &x);
                        let name = format!("{isa} {loss:?} {rows} × {items} row {b}");
                        let got = f64::from(is.loss[b]);
                        assert!((got - expected).abs() < 3e-6, "{name}: {got}, not {expected}");
                        for (i, r) in std::iter::once(b).chain(negatives.iter().copied()).enumerate() {
                            let at = |d: f64| {
                                let mut x = x.clone();
                                x[i] += d;
                                plain(loss, &x)
                            };
                            let slope = 0.25 * (at(1e-5) - at(-1e-5)) / 2e-5;
                            let got = f64::from(is.gradient[r * LANES + b]);
                            assert!((got - slope).abs() < 1e-6, "{name} item {r}: {got}, not {slope}");
                        }
                        for &(r, b) in excluded {
                            assert_eq!(is.gradient[r * LANES + b], 0.0, "{name}: excluded");
                        }
                    }
                    let idle = |i: &usize| i % LANES >= rows;
                    assert!((0..items * LANES).filter(idle).all(|i| is.gradient[i] == 0.0));
                    assert!(is.loss[rows..].iter().all(|&x| x == 0.0));
                }
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore = "minutes in an interpreter, of the same calls as the smaller tests")]
fn extreme_scores_give_finite_losses_and_gradients() {
    for isa in Isa::available() {
        for (kind, penalty) in KINDS {
            for (positive, negative) in [(-1e4, 1e4), (1e4, -1e4), (500.0, 500.0), (-300.0, 0.0)] {
                let mut raw = vec![negative; 5 * LANES];
                raw[3 * LANES] = negative * 0.5;
                raw[0] = positive;
                let is = run(
                    isa,
                    LossFunction { loss: kind, bpr_max_penalty: penalty, activation: Activation::Linear },
                    &raw,
                    1,
                    &[],
                    2,
                );
                let name = format!("{isa} {kind:?} {positive} {negative}");
                assert!(is.loss[0].is_finite(), "{name}: {}", is.loss[0]);
                assert!(is.gradient.iter().all(|g| g.is_finite()), "{name}");
                if positive < negative {
                    assert!(is.loss[0] > 0.0, "{name}: {}", is.loss[0]);
                }
            }
        }
    }
    // −log σ does not saturate: a positive that lies 20,000 below its negative still costs 20,000.
    let raw: Vec<f32> = (0..2 * LANES).map(|i| if i == 0 { -1e4 } else { 1e4 }).collect();
    for (kind, penalty) in [(Loss::Bpr, 0.0), (Loss::CrossEntropy, 0.0), (Loss::BprMax, 0.0)] {
        let is = run(
            Isa::detect(),
            LossFunction { loss: kind, bpr_max_penalty: penalty, activation: Activation::Linear },
            &raw,
            1,
            &[],
            8,
        );
        assert!((is.loss[0] - 5000.0).abs() < 0.01, "{kind:?}: {}", is.loss[0]);
    }
}

#[test]
fn a_row_without_negatives_adds_nothing() {
    for (kind, penalty) in KINDS {
        let raw = vec![0.3; 2 * LANES];
        let is = run(
            Isa::detect(),
            LossFunction { loss: kind, bpr_max_penalty: penalty, activation: Activation::Linear },
            &raw,
            2,
            &[(1, 0)],
            1,
        );
        assert_eq!(is.loss[0], 0.0, "{kind:?}");
        assert!(is.loss[1] > 0.0, "{kind:?}");
        assert_eq!((is.gradient[0], is.gradient[LANES]), (0.0, 0.0), "{kind:?}");
    }
}

#[test]
fn bpr_max_without_its_penalty_is_another_loss() {
    let raw: Vec<f32> = (0..4 * LANES).map(|i| (i % 7) as f32 * 0.3).collect();
    let of = |penalty| {
        let loss =
            LossFunction { loss: Loss::BprMax, bpr_max_penalty: penalty, activation: Activation::Linear };
        run(Isa::detect(), loss, &raw, 2, &[], 4).loss[0]
    };
    assert!(of(1.0) - of(0.0) > 0.01);
}

#[test]
fn mrr_is_one_less_the_inverse_rank_where_scores_lie_far_apart() {
    for above in 0..5 {
        let mut raw = vec![-100.0; 6 * LANES];
        raw[0] = 0.0;
        (1..=above).for_each(|r| raw[r * LANES] = 100.0);
        let loss = LossFunction { loss: Loss::Mrr, bpr_max_penalty: 0.0, activation: Activation::Linear };
        let is = run(Isa::detect(), loss, &raw, 1, &[], 4).loss[0];
        let rank = above as f32 + 1.0;
        assert!((is - 0.25 * (1.0 - 1.0 / rank)).abs() < 1e-7, "{is} at rank {rank}");
    }
}

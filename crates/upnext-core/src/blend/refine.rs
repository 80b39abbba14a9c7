//! Refinement of weights by the metric that counts, after they have been learnt by maximum likelihood.

use super::learn::Case;
use super::pool::{CONTEXTS, Pool};

/// The steps by which a weight is moved, one after the other, in shares of its size.
const STEPS: [f32; 3] = [0.2, 0.1, 0.05];

/// The size that a weight is taken to have at least.
const SIZE: f32 = 0.3;

/// A pool whose weights have been moved where that raises the sum of `gain(rank)` over the cases: one
/// weight after the other, in all contexts by the same amount, up or down, once by each of three steps.
///
/// The likelihood counts what a list of twenty never shows, and the metric does not. Whether the gain holds has to be seen on
/// other cases than these.
pub(crate) fn refine(pool: &Pool, cases: &[Case], gain: &dyn Fn(f64) -> f64) -> Pool {
    let mut weights = pool.weights.clone();
    let width = weights.len() / CONTEXTS;
    let mut scores: Vec<Vec<f32>> = cases.iter().map(|case| scores_of(case, &weights, width)).collect();
    let total = |feature: usize, by: f32, scores: &[Vec<f32>]| -> f64 {
        let rank = |case: &Case, scores: &[f32]| {
            let moved = |item: usize| scores[item] + by * case.features[item * width + feature];
            let target = moved(case.target);
            (0..scores.len()).filter(|&item| moved(item) >= target).count() as f64
        };
        cases.iter().zip(scores).map(|(case, scores)| gain(rank(case, scores))).sum()
    };
    let mut best = total(0, 0.0, &scores);
    for step in STEPS {
        for feature in 0..width {
            let of_contexts = weights.iter().skip(feature).step_by(width);
            let size = of_contexts.map(|weight| weight.abs()).sum::<f32>() / CONTEXTS as f32;
            for by in [step, -step].map(|step| step * size.max(SIZE)) {
                let value = total(feature, by, &scores);
                if value > best {
                    best = value;
                    weights.iter_mut().skip(feature).step_by(width).for_each(|weight| *weight += by);
                    for (case, scores) in cases.iter().zip(&mut scores) {
                        let of_feature = case.features.iter().skip(feature).step_by(width);
                        scores.iter_mut().zip(of_feature).for_each(|(score, x)| *score += by * x);
                    }
                    break;
                }
            }
        }
    }
    Pool { weights }
}

/// The scores of the items of a case.
fn scores_of(case: &Case, weights: &[f32], width: usize) -> Vec<f32> {
    let weights = &weights[case.context * width..][..width];
    let rows = case.features.chunks_exact(width);
    rows.map(|row| row.iter().zip(weights).map(|(x, weight)| x * weight).sum()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use upnext_kernels::CounterRng;

    /// Cases of ten items of one member, whose first feature tells the target.
    fn cases() -> Vec<Case> {
        let rng = CounterRng::new(9, 0);
        (0..400)
            .map(|case| {
                let uniform = |at: u64| rng.below(100 * case + at, 1 << 20) as f32 / (1 << 20) as f32;
                let row = |item: u64| [uniform(2 * item), uniform(2 * item + 1), 0.0];
                let mut features: Vec<f32> = (0..10).flat_map(row).collect();
                let target = rng.below(100 * case + 30, 10) as usize;
                features[3 * target] += 0.5;
                Case { context: case as usize % CONTEXTS, features, target }
            })
            .collect()
    }

    fn total(pool: &Pool, cases: &[Case], gain: impl Fn(f64) -> f64) -> f64 {
        let rank = |case: &Case| {
            let scores = scores_of(case, &pool.weights, 3);
            scores.iter().filter(|&&score| score >= scores[case.target]).count() as f64
        };
        cases.iter().map(|case| gain(rank(case))).sum()
    }

    #[test]
    fn weights_move_to_where_the_metric_is_better_and_stay_where_it_is_best() {
        let (cases, gain) = (cases(), |rank: f64| 1.0 / rank);
        let pool = Pool { weights: [0.5, 1.0, 0.0].repeat(CONTEXTS) };
        let refined = refine(&pool, &cases, &gain);
        assert!(total(&refined, &cases, gain) > 1.05 * total(&pool, &cases, gain), "{refined:?}");
        assert!(refined.weights[0] / refined.weights[1] > 1.0, "{refined:?}");
        let by = refined.weights[0] - pool.weights[0];
        let moved = refined.weights.iter().zip(&pool.weights).step_by(3);
        assert!(moved.into_iter().all(|(a, b)| (a - b - by).abs() < 1e-5), "{refined:?}");
        let best = Pool { weights: [1.0, 0.0, 0.0].repeat(CONTEXTS) };
        let all = |rank: f64| f64::from(rank < 100.0);
        assert_eq!(refine(&best, &cases, &all), best);
    }
}

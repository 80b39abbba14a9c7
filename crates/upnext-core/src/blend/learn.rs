//! Maximum likelihood of a conditional logit, by Newton's method.

use super::lists::{FEATURES, Opinion};
use super::pool::CONTEXTS;

/// A case: the features of the items of all lists, and which of them came next.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(super) context: usize,
    /// Items × (`FEATURES` × members).
    pub(super) features: Vec<f32>,
    /// The item that came next, by its place.
    pub(super) target: usize,
}

/// Some of the members that cases have the features of.
#[derive(Clone, Copy)]
pub(super) struct Subset<'a> {
    /// Number of all members.
    pub(super) all: usize,
    pub(super) members: &'a [usize],
}

impl Subset<'_> {
    /// Number of features.
    fn width(&self) -> usize {
        FEATURES * self.members.len()
    }

    /// Sets `rows` to the features of a case's items that any of these members lists, and returns the place of the target among
    /// them; `None` if none lists it.
    fn gather(&self, case: &Case, rows: &mut Vec<f32>) -> Option<usize> {
        rows.clear();
        let mut target = None;
        for (item, row) in case.features.chunks_exact(FEATURES * self.all).enumerate() {
            let own = |&member: &usize| &row[FEATURES * member..][..FEATURES];
            let is_listed = self.members.iter().map(own).any(Opinion::is_listed);
            if item == case.target {
                target = Some(is_listed.then_some(rows.len() / self.width())?);
            }
            if is_listed {
                rows.extend(self.members.iter().flat_map(own));
            }
        }
        target
    }

    /// The features, by their places in a row, by which the items of any case differ.
    fn used(&self, cases: &[Case]) -> Vec<usize> {
        let differs = |&place: &usize| {
            let column = FEATURES * self.members[place / FEATURES] + place % FEATURES;
            cases.iter().any(|case| {
                let mut values = case.features.iter().skip(column).step_by(FEATURES * self.all);
                let first = values.next();
                values.any(|value| Some(value) != first)
            })
        };
        (0..self.width()).filter(differs).collect()
    }
}

/// Ridge on the common weights, and on the deviations of each context from them. Our choice.
const RIDGE: [f64; 2] = [0.1, 10.0];

/// Number of Newton steps at most; some ten are needed.
const STEPS: usize = 50;

/// The smallest probability of an item that counts in the curvature. Most items have less, and cost most of the time; without
/// them a step is a little too long or too short, and the maximum is the same.
const COUNTS: f64 = 1e-3;

/// The share of the objective that a last step has gained less than.
const GAIN: f64 = 1e-8;

/// The weights (contexts × features) of some members that maximise the likelihood of the cases whose target any of them lists:
/// the sum of `log softmax(x w)` at the target, less the ridge. The weights of a context are common ones plus its deviations.
///
/// The function is concave, so that there is one maximum; steps that would lower it are halved. Features by which the items of no
/// case differ have a weight of 0.
pub(super) fn learn(cases: &[Case], subset: Subset) -> Vec<f32> {
    let mut weights = vec![0.0; CONTEXTS * subset.width()];
    let used = subset.used(cases);
    if used.is_empty() {
        return weights;
    }
    let size = used.len() * (1 + CONTEXTS);
    let mut parameters = vec![0.0; size];
    let mut value = Derivatives::new(cases, (subset, &used), &parameters);
    for _ in 0..STEPS {
        let Some(step) = solve(value.curvature.clone(), value.gradient.clone()) else { break };
        let mut share = 1.0;
        let next = loop {
            let moved: Vec<f64> =
                parameters.iter().zip(&step).map(|(parameter, step)| parameter + share * step).collect();
            let next = Derivatives::new(cases, (subset, &used), &moved);
            if next.objective >= value.objective || share < 1e-6 {
                parameters = moved;
                break next;
            }
            share /= 2.0;
        };
        let gain = next.objective - value.objective;
        value = next;
        if gain < GAIN * (1.0 + value.objective.abs()) {
            break;
        }
    }
    for (context, weights) in weights.chunks_exact_mut(subset.width()).enumerate() {
        let own = &parameters[used.len() * (1 + context)..];
        for ((&feature, common), own) in used.iter().zip(&parameters).zip(own) {
            weights[feature] = (common + own) as f32;
        }
    }
    weights
}

/// The objective with its gradient, and its second derivative with the sign changed.
struct Derivatives {
    objective: f64,
    gradient: Vec<f64>,
    /// size × size.
    curvature: Vec<f64>,
}

impl Derivatives {
    /// Of some members, of whose features `used` have parameters.
    fn new(cases: &[Case], (subset, used): (Subset, &[usize]), parameters: &[f64]) -> Self {
        let (size, width) = (parameters.len(), used.len());
        let mut objective = 0.0;
        let mut by_context = vec![(vec![0.0; width], vec![0.0; width * width]); CONTEXTS];
        let (mut features, mut rows, mut scores, mut mean) =
            (Vec::new(), Vec::new(), Vec::new(), vec![0.0; width]);
        for case in cases {
            let Some(target) = subset.gather(case, &mut features) else { continue };
            let own = &parameters[width * (1 + case.context)..];
            let weights: Vec<f64> = parameters[..width].iter().zip(own).map(|(a, b)| a + b).collect();
            rows.clear();
            for row in features.chunks_exact(subset.width()) {
                rows.extend(used.iter().map(|&feature| f64::from(row[feature])));
            }
            let of_items = || rows.chunks_exact(width);
            scores.clear();
            scores.extend(of_items().map(|row| dot(row, &weights)));
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let log_share = scores[target] - largest;
            let mut sum = 0.0;
            for score in &mut scores {
                *score = (*score - largest).exp();
                sum += *score;
            }
            objective += log_share - f64::ln(sum);
            mean.fill(0.0);
            for (row, score) in of_items().zip(&mut scores) {
                *score /= sum;
                add(&mut mean, *score, row);
            }
            let (gradient, curvature) = &mut by_context[case.context];
            add(gradient, 1.0, &rows[target * width..][..width]);
            add(gradient, -1.0, &mean);
            for (row, &share) in
                rows.chunks_exact_mut(width).zip(&scores).filter(|(_, share)| **share > COUNTS)
            {
                add(row, -1.0, &mean);
                for (curvature, &x) in curvature.chunks_exact_mut(width).zip(&*row) {
                    add(curvature, share * x, row);
                }
            }
        }
        let mut all = Self { objective, gradient: vec![0.0; size], curvature: vec![0.0; size * size] };
        for (context, (gradient, curvature)) in by_context.iter().enumerate() {
            let own = width * (1 + context);
            for a in 0..width {
                all.gradient[a] += gradient[a];
                all.gradient[own + a] += gradient[a];
                for b in 0..width {
                    let value = curvature[a * width + b];
                    for (row, column) in [(a, b), (own + a, b), (a, own + b), (own + a, own + b)] {
                        all.curvature[row * size + column] += value;
                    }
                }
            }
        }
        for (at, &parameter) in parameters.iter().enumerate() {
            let ridge = RIDGE[usize::from(at >= width)];
            all.objective -= ridge * parameter * parameter;
            all.gradient[at] -= 2.0 * ridge * parameter;
            all.curvature[at * size + at] += 2.0 * ridge;
        }
        all
    }
}

fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// `to += factor · x`.
fn add(to: &mut [f64], factor: f64, x: &[f64]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += factor * x);
}

/// Solves `matrix x = right` by Cholesky's decomposition; `None` if the matrix is not positive definite.
fn solve(mut matrix: Vec<f64>, mut right: Vec<f64>) -> Option<Vec<f64>> {
    let size = right.len();
    for row in 0..size {
        for column in 0..=row {
            let before: f64 = (0..column).map(|k| matrix[row * size + k] * matrix[column * size + k]).sum();
            let value = matrix[row * size + column] - before;
            matrix[row * size + column] = if row == column {
                if !(value > 0.0 && value.is_finite()) {
                    return None;
                }
                value.sqrt()
            } else {
                value / matrix[column * size + column]
            };
        }
    }
    for row in 0..size {
        let before: f64 = (0..row).map(|k| matrix[row * size + k] * right[k]).sum();
        right[row] = (right[row] - before) / matrix[row * size + row];
    }
    for row in (0..size).rev() {
        let after: f64 = (row + 1..size).map(|k| matrix[k * size + row] * right[k]).sum();
        right[row] = (right[row] - after) / matrix[row * size + row];
    }
    Some(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use upnext_kernels::CounterRng;

    #[test]
    fn equations_are_solved_and_indefinite_ones_refused() {
        let matrix = vec![4.0, 2.0, 0.6, 2.0, 5.0, 1.0, 0.6, 1.0, 3.0];
        let x = solve(matrix, vec![9.8, 15.0, 11.6]).unwrap();
        for (x, expected) in x.iter().zip([1.0, 2.0, 3.0]) {
            assert!((x - expected).abs() < 1e-12, "{x}");
        }
        assert_eq!(solve(vec![1.0, 2.0, 2.0, 1.0], vec![1.0, 1.0]), None);
    }

    /// Three members, of which the last says the same after every session.
    const ALL: Subset = Subset { all: 3, members: &[0, 1, 2] };

    /// The features of [`ALL`] that differ.
    const USED: [usize; 7] = [0, 1, 2, 3, 4, 5, 6];

    fn truth(context: usize) -> [f64; 9] {
        [1.0, -0.5, -1.0, 0.5, 0.0, 0.5, if context == 0 { 1.0 } else { 0.0 }, 0.0, 0.0]
    }

    /// Cases of 12 items, each listed by the first member or the second, or both, whose targets are drawn by known weights.
    fn cases(count: u64) -> Vec<Case> {
        let rng = CounterRng::new(5, 0);
        let mut draws = 0;
        let mut uniform = || {
            draws += 1;
            rng.below(draws, 1 << 20) as f64 / f64::from(1 << 20)
        };
        let mut case = |case: u64| {
            let (context, mut features) = (case as usize % CONTEXTS, Vec::new());
            for item in 0..12 {
                let mut x = || (uniform() * 4.0 - 2.0) as f32;
                let missing = |third: u64| f32::from(u8::from(item % 3 == third));
                features.extend([x(), x(), missing(0), x(), x(), missing(1), x(), 0.0, 1.0]);
            }
            let share = |row: &[f32]| {
                row.iter().zip(truth(context)).map(|(&x, w)| f64::from(x) * w).sum::<f64>().exp()
            };
            let shares: Vec<f64> = features.chunks_exact(9).map(share).collect();
            let mut left = uniform() * shares.iter().sum::<f64>();
            let target = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            Case { context, features, target: target.unwrap_or(11) }
        };
        (0..count).map(&mut case).collect()
    }

    #[test]
    fn derivatives_agree_with_finite_differences() {
        let cases = cases(40);
        let size = USED.len() * (1 + CONTEXTS);
        let parameters: Vec<f64> = (0..size).map(|i| 0.3 - 0.02 * i as f64).collect();
        let at = Derivatives::new(&cases, (ALL, &USED), &parameters);
        for p in 0..size {
            let moved = |by: f64| {
                let mut moved = parameters.clone();
                moved[p] += by;
                Derivatives::new(&cases, (ALL, &USED), &moved)
            };
            let (up, down) = (moved(1e-5), moved(-1e-5));
            let slope = (up.objective - down.objective) / 2e-5;
            assert!(
                (slope - at.gradient[p]).abs() < 1e-5 * (1.0 + slope.abs()),
                "{p}: {slope} {}",
                at.gradient[p]
            );
            for q in 0..size {
                let bend = -(up.gradient[q] - down.gradient[q]) / 2e-5;
                let own = at.curvature[p * size + q];
                assert!((bend - own).abs() < 1e-4 * (1.0 + bend.abs()), "{p} {q}: {bend} {own}");
            }
        }
    }

    #[test]
    fn known_weights_are_found_by_context_and_features_that_never_differ_have_none() {
        let weights = learn(&cases(8_000), ALL);
        for (context, weights) in weights.chunks_exact(9).enumerate() {
            for (weight, truth) in weights.iter().zip(truth(context)) {
                assert!((f64::from(*weight) - truth).abs() < 0.12, "{context}: {weights:?}");
            }
            assert_eq!(weights[7..], [0.0, 0.0]);
        }
    }

    #[test]
    fn some_members_learn_what_they_learn_without_the_others() {
        let cases = cases(300);
        let subset = Subset { all: 3, members: &[0, 2] };
        let of_subset = |case: &Case| {
            let mut features = Vec::new();
            let target = subset.gather(case, &mut features)?;
            Some(Case { context: case.context, features, target })
        };
        let alone: Vec<Case> = cases.iter().filter_map(of_subset).collect();
        // The first member lists two thirds of the items, and more of the targets.
        assert!((150..270).contains(&alone.len()), "{}", alone.len());
        for case in &alone {
            let row = &case.features[6 * case.target..][..6];
            assert_eq!((case.features.len(), row[2], row[5]), (8 * 6, 0.0, 1.0));
        }
        let both = Subset { all: 2, members: &[0, 1] };
        assert_eq!(learn(&cases, subset), learn(&alone, both));
    }

    #[test]
    fn without_cases_or_differences_all_weights_are_zero() {
        let one = Subset { all: 1, members: &[0] };
        assert_eq!(learn(&[], one), [0.0; 12]);
        let alike = Case { context: 0, features: [0.5, 0.0, 0.0].repeat(2), target: 1 };
        assert_eq!(learn(&[alike], one), [0.0; 12]);
    }
}

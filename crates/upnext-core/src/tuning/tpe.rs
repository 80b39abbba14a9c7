//! The tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011): proposes points where good trials are dense
//! and bad ones are not.

use super::{Domain, Objective, SearchSpace, Trial};
use upnext_kernels::CounterRng;

/// The share of trials that count as good (Bergstra et al. 2011 use 0.15 to 0.25).
const GOOD: f64 = 0.2;

/// Points drawn from the good trials' density, of which the most promising is proposed (Bergstra et al. 2011).
const CANDIDATES: u64 = 24;

/// For each parameter, a density of good and a density of bad positions, estimated from the trials so far.
pub(super) struct Model<'t> {
    parameters: Vec<(&'t Domain, Density, Density)>,
}

impl<'t> Model<'t> {
    /// Estimates the densities from the trials so far. Failed trials count as bad.
    pub(super) fn new(space: &'t SearchSpace, known: &[&Trial], objective: Objective) -> Self {
        let figure = |trial: &Trial| trial.figure(objective).unwrap_or(f64::NEG_INFINITY);
        let mut order: Vec<&Trial> = known.to_vec();
        order.sort_by(|a, b| figure(b).total_cmp(&figure(a)).then(a.trial.cmp(&b.trial)));
        let good = ((known.len() as f64 * GOOD).ceil() as usize).clamp(1.min(known.len()), known.len());
        let (good, bad) = order.split_at(good);
        let of = |trials: &[&Trial], key: &str, domain: &Domain| {
            Density::new(
                trials.iter().filter_map(|t| t.values.get(key)).map(|v| domain.position(v)).collect(),
                domain,
            )
        };
        let parameters = space
            .parameters()
            .iter()
            .map(|p| (&p.domain, of(good, &p.key, &p.domain), of(bad, &p.key, &p.domain)));
        Self { parameters: parameters.collect() }
    }

    /// Positions of the next point, each from 0 to 1.
    pub(super) fn propose(&self, rng: CounterRng) -> Vec<f64> {
        let propose = |(p, (_, good, bad)): (usize, &(&Domain, Density, Density))| {
            let rng = rng.substream(p as u64);
            let mut top = (0.5, f64::NEG_INFINITY);
            for candidate in 0..CANDIDATES {
                let position = good.draw(rng, candidate * 3);
                let promise = (good.at(position) / bad.at(position)).ln();
                if promise > top.1 {
                    top = (position, promise);
                }
            }
            top.0
        };
        self.parameters.iter().enumerate().map(propose).collect()
    }
}

/// A density over positions from 0 to 1: a kernel at the position of each trial, and a uniform floor that counts as one
/// trial.
struct Density {
    positions: Vec<f64>,
    /// Standard deviation of the Gaussian kernels. The kernel of a choice is uniform over the interval of the choice.
    width: f64,
    choices: Option<usize>,
}

impl Density {
    fn new(positions: Vec<f64>, domain: &Domain) -> Self {
        let choices = match domain {
            Domain::Choice(values) => Some(values.len()),
            _ => None,
        };
        // Narrower with more trials (Scott's rule), but not below 0.02.
        let width = (0.3 * (positions.len().max(1) as f64).powf(-0.2)).max(0.02);
        Self { positions, width, choices }
    }

    fn at(&self, position: f64) -> f64 {
        let kernels: f64 = match self.choices {
            Some(n) => {
                let of = |position: f64| ((position * n as f64) as usize).min(n - 1);
                let same = self.positions.iter().filter(|&&p| of(p) == of(position)).count();
                (same * n) as f64
            }
            None => {
                let kernel = |centre: f64| {
                    let z = (position - centre) / self.width;
                    (-0.5 * z * z).exp() / (self.width * (2.0 * std::f64::consts::PI).sqrt())
                };
                // Draws beyond an end are reflected, and so is the density.
                self.positions
                    .iter()
                    .map(|&centre| kernel(centre) + kernel(-centre) + kernel(2.0 - centre))
                    .sum()
            }
        };
        (1.0 + kernels) / (1.0 + self.positions.len() as f64)
    }

    /// Draws a position with the numbers `i`, `i + 1` and `i + 2` of a random stream.
    fn draw(&self, rng: CounterRng, i: u64) -> f64 {
        let kernel = rng.below(i, self.positions.len() as u64 + 1) as usize;
        let Some(&centre) = self.positions.get(kernel) else { return rng.unit_f64(i + 1) };
        if self.choices.is_some() {
            return centre;
        }
        // Box–Muller transform; draws beyond an end are reflected.
        let (u, v) = (1.0 - rng.unit_f64(i + 1), rng.unit_f64(i + 2));
        let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
        let position = (centre + self.width * normal).rem_euclid(2.0);
        if position > 1.0 { 2.0 - position } else { position }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Parameter, Phase, TrialResult};
    use super::*;
    use toml::Value;

    fn space() -> SearchSpace {
        let text =
            "[training]\nlearning_rate = { log = [0.001, 1] }\nbatch_size = { choice = [16, 32, 64, 128] }\n";
        SearchSpace::from_toml(text, "test", &crate::experiment::Experiment::default()).unwrap()
    }

    fn trial(number: usize, parameters: &[Parameter], positions: &[f64], figure: Option<f64>) -> Trial {
        let values =
            parameters.iter().zip(positions).map(|(p, &at)| (p.key.clone(), p.domain.value(at))).collect();
        let verdict = match figure {
            Some(recall) => TrialResult::Judged { recall, mrr: 0.0, stable: true },
            None => TrialResult::Failed { reason: "diverged".into() },
        };
        Trial { trial: number, phase: Phase::Sample, values, epochs: None, verdict, seconds: 0.0 }
    }

    /// Best at a learning rate of about 0.03 with batches of 64.
    fn quality(trial: &Trial) -> f64 {
        let rate = trial.values["training.learning_rate"].as_float().unwrap();
        let off = (rate.log10() + 1.5).abs();
        1.0 - 0.3 * off - if trial.values["training.batch_size"] == Value::Integer(64) { 0.0 } else { 0.2 }
    }

    #[test]
    fn it_finds_a_good_corner_that_random_points_seldom_hit() {
        let space = space();
        let rng = CounterRng::new(3, 0);
        let random = |i: u64| [rng.unit_f64(2 * i), rng.unit_f64(2 * i + 1)];
        let evaluated = |number: usize, positions: &[f64]| {
            let bare = trial(number, space.parameters(), positions, None);
            let figure = quality(&bare);
            // High rates diverge.
            let failed = bare.values["training.learning_rate"].as_float().unwrap() > 0.5;
            trial(number, space.parameters(), positions, (!failed).then_some(figure))
        };
        let mut trials: Vec<Trial> = (0..20).map(|i| evaluated(i, &random(i as u64))).collect();
        for i in 20..60 {
            let known: Vec<&Trial> = trials.iter().collect();
            let positions = Model::new(&space, &known, Objective::Recall).propose(rng.substream(i as u64));
            assert!(positions.iter().all(|position| (0.0..=1.0).contains(position)));
            trials.push(evaluated(i, &positions));
        }
        let near = |trials: &[Trial]| trials.iter().filter(|t| quality(t) > 0.9).count();
        assert!(near(&trials[40..]) >= 12, "{} of the last 20 are near the best", near(&trials[40..]));
        let blind: Vec<Trial> = (100..120).map(|i| evaluated(i, &random(i as u64))).collect();
        assert!(near(&blind) <= 6, "{} of 20 random ones", near(&blind));
    }

    #[test]
    fn a_density_is_one() {
        let space = space();
        for parameter in space.parameters() {
            let density = Density::new(vec![0.1, 0.55, 0.55], &parameter.domain);
            let n = 20_000;
            let area: f64 =
                (0..n).map(|i| density.at((f64::from(i) + 0.5) / f64::from(n))).sum::<f64>() / f64::from(n);
            assert!((0.999..1.001).contains(&area), "{}: {area}", parameter.key);
            // Draws follow the density.
            let rng = CounterRng::new(7, 0);
            let drawn = (0..n).filter(|&i| density.draw(rng, 3 * u64::from(i as u32)) < 0.3).count() as f64;
            let share = drawn / f64::from(n);
            let below = (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).filter(|&x| x < 0.3);
            let expected = below.map(|x| density.at(x)).sum::<f64>() / f64::from(n);
            assert!((share - expected).abs() < 0.02, "{}: {share} {expected}", parameter.key);
        }
    }
}

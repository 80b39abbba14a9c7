//! The tree-structured Parzen estimator: points where good trials are dense and bad ones are not.

use super::{Domain, Objective, SearchSpace, Trial};
use upnext_kernels::CounterRng;

/// The share of trials that count as good (Bergstra et al. 2011 use 0.15 to 0.25).
const GOOD: f64 = 0.2;

/// Points drawn from the good trials' density, of which the most promising is proposed (Bergstra et al. 2011).
const CANDIDATES: u64 = 24;

/// What the trials so far say about the next point: a density of good and one of bad places, parameter by parameter.
pub(super) struct Model<'t> {
    parameters: Vec<(&'t Domain, Density, Density)>,
}

impl<'t> Model<'t> {
    /// From the trials that are known. Those without a figure count as bad.
    pub(super) fn new(space: &'t SearchSpace, known: &[&Trial], objective: Objective) -> Self {
        let figure = |trial: &Trial| trial.figure(objective).unwrap_or(f64::NEG_INFINITY);
        let mut order: Vec<&Trial> = known.to_vec();
        order.sort_by(|a, b| figure(b).total_cmp(&figure(a)).then(a.trial.cmp(&b.trial)));
        let good = ((known.len() as f64 * GOOD).ceil() as usize).clamp(1.min(known.len()), known.len());
        let (good, bad) = order.split_at(good);
        let of = |trials: &[&Trial], key: &str, domain: &Domain| {
            Density::new(
                trials.iter().filter_map(|t| t.values.get(key)).map(|v| domain.place(v)).collect(),
                domain,
            )
        };
        let parameters = space
            .parameters()
            .iter()
            .map(|p| (&p.domain, of(good, &p.key, &p.domain), of(bad, &p.key, &p.domain)));
        Self { parameters: parameters.collect() }
    }

    /// Places of the next point, each from 0 to 1.
    pub(super) fn propose(&self, rng: CounterRng) -> Vec<f64> {
        let propose = |(p, (_, good, bad)): (usize, &(&Domain, Density, Density))| {
            let rng = rng.substream(p as u64);
            let mut top = (0.5, f64::NEG_INFINITY);
            for candidate in 0..CANDIDATES {
                let place = good.draw(rng, candidate * 3);
                let promise = (good.at(place) / bad.at(place)).ln();
                if promise > top.1 {
                    top = (place, promise);
                }
            }
            top.0
        };
        self.parameters.iter().enumerate().map(propose).collect()
    }
}

/// A density over places from 0 to 1: bumps at the trials' places and an even floor that counts as one trial.
struct Density {
    places: Vec<f64>,
    /// Width of a bump; for a choice, of the choice's stretch, within which the density is even.
    width: f64,
    choices: Option<usize>,
}

impl Density {
    fn new(places: Vec<f64>, domain: &Domain) -> Self {
        let choices = match domain {
            Domain::Choice(values) => Some(values.len()),
            _ => None,
        };
        // Narrower with more trials (Scott's rule), never narrower than a fiftieth of the line.
        let width = (0.3 * (places.len().max(1) as f64).powf(-0.2)).max(0.02);
        Self { places, width, choices }
    }

    fn at(&self, place: f64) -> f64 {
        let bumps: f64 = match self.choices {
            Some(n) => {
                let of = |place: f64| ((place * n as f64) as usize).min(n - 1);
                let same = self.places.iter().filter(|&&p| of(p) == of(place)).count();
                (same * n) as f64
            }
            None => {
                let bump = |centre: f64| {
                    let z = (place - centre) / self.width;
                    (-0.5 * z * z).exp() / (self.width * (2.0 * std::f64::consts::PI).sqrt())
                };
                // What is drawn beyond an end is folded back, and so is the density.
                self.places.iter().map(|&centre| bump(centre) + bump(-centre) + bump(2.0 - centre)).sum()
            }
        };
        (1.0 + bumps) / (1.0 + self.places.len() as f64)
    }

    /// Draws a place with the numbers `i`, `i + 1` and `i + 2` of a stream.
    fn draw(&self, rng: CounterRng, i: u64) -> f64 {
        let bump = rng.below(i, self.places.len() as u64 + 1) as usize;
        let Some(&centre) = self.places.get(bump) else { return rng.unit_f64(i + 1) };
        if self.choices.is_some() {
            return centre;
        }
        // Box and Muller; what falls outside is folded back.
        let (u, v) = (1.0 - rng.unit_f64(i + 1), rng.unit_f64(i + 2));
        let normal = (-2.0 * u.ln()).sqrt() * (2.0 * std::f64::consts::PI * v).cos();
        let place = (centre + self.width * normal).rem_euclid(2.0);
        if place > 1.0 { 2.0 - place } else { place }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Parameter, Phase, Verdict};
    use super::*;
    use toml::Value;

    fn space() -> SearchSpace {
        let text =
            "[training]\nlearning_rate = { log = [0.001, 1] }\nbatch_size = { choice = [16, 32, 64, 128] }\n";
        SearchSpace::from_toml(text, "test", &crate::experiment::Experiment::default()).unwrap()
    }

    fn trial(number: usize, parameters: &[Parameter], places: &[f64], figure: Option<f64>) -> Trial {
        let values =
            parameters.iter().zip(places).map(|(p, &at)| (p.key.clone(), p.domain.value(at))).collect();
        let verdict = match figure {
            Some(recall) => Verdict::Judged { recall, mrr: 0.0, stable: true },
            None => Verdict::Failed { reason: "diverged".into() },
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
        let judged = |number: usize, places: &[f64]| {
            let bare = trial(number, space.parameters(), places, None);
            let figure = quality(&bare);
            // High rates diverge.
            let failed = bare.values["training.learning_rate"].as_float().unwrap() > 0.5;
            trial(number, space.parameters(), places, (!failed).then_some(figure))
        };
        let mut trials: Vec<Trial> = (0..20).map(|i| judged(i, &random(i as u64))).collect();
        for i in 20..60 {
            let known: Vec<&Trial> = trials.iter().collect();
            let places = Model::new(&space, &known, Objective::Recall).propose(rng.substream(i as u64));
            assert!(places.iter().all(|place| (0.0..=1.0).contains(place)));
            trials.push(judged(i, &places));
        }
        let near = |trials: &[Trial]| trials.iter().filter(|t| quality(t) > 0.9).count();
        assert!(near(&trials[40..]) >= 12, "{} of the last 20 are near the best", near(&trials[40..]));
        let blind: Vec<Trial> = (100..120).map(|i| judged(i, &random(i as u64))).collect();
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
            // What it draws is spread as it says.
            let rng = CounterRng::new(7, 0);
            let drawn = (0..n).filter(|&i| density.draw(rng, 3 * u64::from(i as u32)) < 0.3).count() as f64;
            let share = drawn / f64::from(n);
            let below = (0..n).map(|i| (f64::from(i) + 0.5) / f64::from(n)).filter(|&x| x < 0.3);
            let expected = below.map(|x| density.at(x)).sum::<f64>() / f64::from(n);
            assert!((share - expected).abs() < 0.02, "{}: {share} {expected}", parameter.key);
        }
    }
}

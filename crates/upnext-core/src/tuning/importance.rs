//! Parameter importance: how much of the objective's variance a parameter explains by itself.

use super::{Objective, SearchSpace, Trial};
use serde::Serialize;

/// Number of groups into which the values of a numeric parameter are divided.
const GROUPS: usize = 5;

/// The importance of a parameter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Importance {
    /// The key of the parameter.
    pub key: String,
    /// The share of the objective's variance that it explains by itself, 0 to 1; `None` with fewer than 30 evaluated
    /// trials.
    pub share: Option<f64>,
}

/// The importance of every parameter, in the order of the space.
///
/// Trials are grouped by the parameter's value (numbers by fifths of their range of positions). The share of the
/// variance between the groups is corrected for the share that random groups would have (ω², Hays 1963). Trials must
/// have been drawn at random, each parameter independently; interactions of parameters are not measured.
pub fn importance(space: &SearchSpace, trials: &[Trial], objective: Objective) -> Vec<Importance> {
    let evaluated: Vec<(&Trial, f64)> =
        trials.iter().filter_map(|t| Some((t, t.figure(objective)?))).collect();
    let of = |key: &str, group: &dyn Fn(&Trial) -> Option<usize>| {
        let pairs: Vec<(usize, f64)> = evaluated.iter().filter_map(|(t, y)| Some((group(t)?, *y))).collect();
        Importance { key: key.to_owned(), share: omega_squared(&pairs) }
    };
    space
        .parameters()
        .iter()
        .map(|parameter| {
            let group = |trial: &Trial| {
                let position = parameter.domain.position(trial.values.get(&parameter.key)?);
                let groups = match &parameter.domain {
                    super::Domain::Choice(values) => values.len(),
                    _ => GROUPS,
                };
                Some(((position * groups as f64) as usize).min(groups - 1))
            };
            of(&parameter.key, &group)
        })
        .collect()
}

/// ω² of pairs (group, value); `None` with fewer than 30 pairs.
fn omega_squared(pairs: &[(usize, f64)]) -> Option<f64> {
    if pairs.len() < 30 {
        return None;
    }
    let n = pairs.len() as f64;
    let mean = pairs.iter().map(|p| p.1).sum::<f64>() / n;
    let total: f64 = pairs.iter().map(|p| (p.1 - mean).powi(2)).sum();
    let groups = pairs.iter().map(|p| p.0).max().unwrap_or(0) + 1;
    let mut sums = vec![(0.0, 0.0); groups];
    pairs.iter().for_each(|&(g, y)| sums[g] = (sums[g].0 + 1.0, sums[g].1 + y));
    let filled: Vec<(f64, f64)> = sums.into_iter().filter(|s| s.0 > 0.0).collect();
    let between: f64 = filled.iter().map(|(count, sum)| count * (sum / count - mean).powi(2)).sum();
    let degrees = filled.len() as f64 - 1.0;
    let rest = n - filled.len() as f64;
    if rest <= 0.0 || total <= 0.0 {
        return Some(0.0);
    }
    let noise = (total - between) / rest;
    Some(((between - degrees * noise) / (total + noise)).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use upnext_kernels::CounterRng;

    #[test]
    fn what_decides_is_important_and_what_does_not_is_not() {
        let rng = CounterRng::new(5, 0);
        let pairs = |weight: f64| -> Vec<(usize, f64)> {
            (0..200)
                .map(|i| {
                    let group = rng.below(2 * i, 5) as usize;
                    (group, weight * group as f64 + rng.unit_f64(2 * i + 1))
                })
                .collect()
        };
        // The variance of the group is 2 w², that of the noise 1/12.
        let expected = 0.02 / (0.02 + 1.0 / 12.0);
        let share = omega_squared(&pairs(0.1)).unwrap();
        assert!((share - expected).abs() < 0.08, "{share} {expected}");
        assert!(omega_squared(&pairs(0.0)).unwrap() < 0.05);
        assert!(omega_squared(&pairs(10.0)).unwrap() > 0.99);
        assert_eq!(omega_squared(&pairs(1.0)[..29]), None);
        assert_eq!(omega_squared(&[(0, 1.0); 30]), Some(0.0), "no variance, no importance");
    }
}

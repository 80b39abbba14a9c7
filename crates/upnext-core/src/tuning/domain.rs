//! Domains: the values of a parameter, and their positions from 0 to 1.

use serde::{Deserialize, Serialize};
use toml::Value;

/// The values that a search tries for one parameter.
///
/// Every value has a position from 0 to 1: samplers work on positions, experiments on values. Numbers of `Uniform` and
/// `Log` are rounded to three significant digits, so that a printed value can be used again exactly.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Domain {
    /// Numbers between two bounds, uniformly distributed.
    Uniform([f64; 2]),
    /// Numbers between two bounds above 0, with uniformly distributed logarithms.
    Log([f64; 2]),
    /// Whole numbers between two bounds, both included.
    Integer([i64; 2]),
    /// One of these values. Numbers are best given in ascending order: refinement tries neighbours.
    Choice(Vec<Value>),
}

/// The distances from the best position at which refinement tries values.
const STEPS: [f64; 4] = [-0.15, -0.05, 0.05, 0.15];

/// Number of choices on each side of the best one that refinement tries.
const CHOICES: usize = 4;

impl Domain {
    /// Why the domain is invalid; `None` if it is valid.
    pub(super) fn objection(&self) -> Option<String> {
        let range = |low: f64, high: f64| {
            (!(low.is_finite() && high.is_finite() && low < high))
                .then(|| format!("goes from {low} to {high}: the second number must be the larger one"))
        };
        match self {
            Self::Uniform([low, high]) => range(*low, *high),
            Self::Log([low, high]) => range(*low, *high).or_else(|| {
                (*low <= 0.0).then(|| format!("begins at {low}: a logarithm needs numbers above 0"))
            }),
            Self::Integer([low, high]) => range(*low as f64, *high as f64).or_else(|| {
                (low.unsigned_abs().max(high.unsigned_abs()) > 1 << 53)
                    .then(|| format!("goes from {low} to {high}: use numbers up to 2^53"))
            }),
            Self::Choice(values) => {
                let twice = values.iter().enumerate().find(|(i, value)| values[..*i].contains(value));
                match (values.len(), twice) {
                    (0, _) => Some("has no value to choose from".to_owned()),
                    (1, _) => Some("has a single value: set the field instead".to_owned()),
                    (_, Some((_, value))) => Some(format!("has {value} twice")),
                    _ => None,
                }
            }
        }
    }

    /// The values that are checked in position of all: both bounds, or all choices.
    pub(super) fn representatives(&self) -> Vec<Value> {
        match self {
            Self::Uniform(ends) | Self::Log(ends) => ends.map(Value::Float).to_vec(),
            Self::Integer(ends) => ends.map(Value::Integer).to_vec(),
            Self::Choice(values) => values.clone(),
        }
    }

    /// The value at a position, which is clamped to the range from 0 to 1.
    pub fn value(&self, position: f64) -> Value {
        let position = position.clamp(0.0, 1.0);
        match self {
            Self::Uniform([low, high]) => Value::Float(rounded(low + position * (high - low), *low, *high)),
            Self::Log([low, high]) => {
                let exponent = low.ln() + position * (high.ln() - low.ln());
                Value::Float(rounded(exponent.exp(), *low, *high))
            }
            Self::Integer([low, high]) => {
                let count = (high - low) as f64 + 1.0;
                Value::Integer((low + (position * count) as i64).min(*high))
            }
            Self::Choice(values) => {
                values[((position * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
        }
    }

    /// The position of a value, from 0 to 1. Numbers outside the bounds are clamped; any other value outside the domain
    /// has the position 0.5.
    pub fn position(&self, value: &Value) -> f64 {
        let number = value.as_float().or_else(|| value.as_integer().map(|i| i as f64));
        let position = match (self, number) {
            (Self::Uniform([low, high]), Some(x)) => (x - low) / (high - low),
            (Self::Log([low, high]), Some(x)) => (x.ln() - low.ln()) / (high.ln() - low.ln()),
            (Self::Integer([low, high]), Some(x)) => (x - *low as f64 + 0.5) / ((high - low) as f64 + 1.0),
            (Self::Choice(values), _) => values
                .iter()
                .position(|choice| choice == value)
                .map_or(0.5, |i| (i as f64 + 0.5) / values.len() as f64),
            (_, None) => 0.5,
        };
        if position.is_finite() { position.clamp(0.0, 1.0) } else { 0.5 }
    }

    /// The values near `value`, without itself, that refinement tries.
    pub(super) fn neighbours(&self, value: &Value) -> Vec<Value> {
        let position = self.position(value);
        let mut near: Vec<Value> = match self {
            Self::Choice(values) => {
                let at = values.iter().position(|choice| choice == value).unwrap_or(0);
                let from = at.saturating_sub(CHOICES);
                values[from..values.len().min(at + CHOICES + 1)].to_vec()
            }
            Self::Integer([low, high]) => {
                let one = 1.0 / ((high - low) as f64 + 1.0);
                let steps = STEPS.map(|step| step.signum() * step.abs().max(one)).into_iter();
                steps.map(|step| self.value(position + step)).collect()
            }
            _ => STEPS.map(|step| self.value(position + step)).to_vec(),
        };
        let mut seen: Vec<Value> = vec![value.clone()];
        near.retain(|value| {
            let new = !seen.contains(value);
            seen.push(value.clone());
            new
        });
        near
    }

    /// The largest number of values that refinement tries.
    pub(super) fn most_neighbours(&self) -> usize {
        match self {
            Self::Choice(values) => (2 * CHOICES).min(values.len().saturating_sub(1)),
            _ => self.size().map_or(STEPS.len(), |size| STEPS.len().min(size.saturating_sub(1))),
        }
    }

    /// Number of values; `None` if the domain is continuous.
    pub(super) fn size(&self) -> Option<usize> {
        match self {
            Self::Uniform(_) | Self::Log(_) => None,
            Self::Integer([low, high]) => usize::try_from(high - low + 1).ok(),
            Self::Choice(values) => Some(values.len()),
        }
    }
}

/// Rounds to three significant digits, but not outside the range.
fn rounded(x: f64, low: f64, high: f64) -> f64 {
    // Through text, so that the number is the nearest one to what is printed.
    let text = format!("{x:.2e}");
    text.parse().unwrap_or(x).clamp(low, high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use upnext_kernels::CounterRng;

    fn domains() -> [Domain; 4] {
        [
            Domain::Uniform([-0.5, 0.5]),
            Domain::Log([1e-4, 2.0]),
            Domain::Integer([3, 9]),
            Domain::Choice(vec![Value::from("a"), Value::from("b"), Value::from(vec![100])]),
        ]
    }

    #[test]
    fn a_value_has_the_place_that_it_came_from() {
        let rng = CounterRng::new(1, 0);
        for domain in domains() {
            for i in 0..200 {
                let value = domain.value(rng.unit_f64(i));
                assert_eq!(domain.value(domain.position(&value)), value, "{domain:?}");
            }
        }
    }

    #[test]
    fn every_value_is_met_about_as_often_and_none_lies_outside() {
        let rng = CounterRng::new(2, 0);
        let values = |domain: &Domain, n| (0..n).map(|i| domain.value(rng.unit_f64(i))).collect::<Vec<_>>();
        let whole = values(&Domain::Integer([3, 9]), 7000);
        for number in 3..=9 {
            let count = whole.iter().filter(|v| v.as_integer() == Some(number)).count();
            assert!((850..1150).contains(&count), "{number}: {count}");
        }
        let log = values(&Domain::Log([0.01, 1.0]), 4000);
        let below = log.iter().filter(|v| v.as_float().unwrap() < 0.1).count();
        assert!((1850..2150).contains(&below), "half of the logarithms lie below 0.1: {below}");
        assert!(log.iter().all(|v| (0.01..=1.0).contains(&v.as_float().unwrap())));
    }

    #[test]
    fn numbers_have_three_digits_within_their_range() {
        assert_eq!(rounded(0.123_456, 0.0, 1.0), 0.123);
        assert_eq!(rounded(0.123_456, 0.123_4, 1.0), 0.123_4, "not below the range");
        assert_eq!(rounded(1234.5, 0.0, 2000.0), 1230.0);
    }

    #[test]
    fn neighbours_are_others_and_different() {
        for domain in domains() {
            for position in [0.0, 0.3, 0.5, 1.0] {
                let value = domain.value(position);
                let near = domain.neighbours(&value);
                assert!(near.len() <= domain.most_neighbours(), "{domain:?}: {value}");
                assert!(!near.is_empty() && !near.contains(&value), "{domain:?}: {near:?}");
                for (i, one) in near.iter().enumerate() {
                    assert!(!near[..i].contains(one), "{domain:?}: {near:?}");
                }
            }
        }
        let near = Domain::Integer([1, 3]).neighbours(&Value::from(2));
        assert_eq!(near, [Value::from(1), Value::from(3)]);
    }

    #[test]
    fn domains_that_hold_nothing_are_told() {
        for (domain, word) in [
            (Domain::Uniform([1.0, 1.0]), "larger"),
            (Domain::Log([0.0, 1.0]), "above 0"),
            (Domain::Integer([5, 2]), "larger"),
            (Domain::Integer([1, i64::MAX]), "2^53"),
            (Domain::Choice(vec![]), "no value"),
            (Domain::Choice(vec![Value::from(1)]), "single"),
            (Domain::Choice(vec![Value::from(1), Value::from(1)]), "twice"),
        ] {
            let objection = domain.objection().unwrap();
            assert!(objection.contains(word), "{objection}");
        }
        assert!(domains().iter().all(|domain| domain.objection().is_none()));
    }
}

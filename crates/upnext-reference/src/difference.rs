//! The gradient of a step by finite differences, and the table rows that a step uses.

use super::Parameters;
use super::network::{Step, current, forward};
use crate::config::{Input, Network, Training};
use std::collections::{BTreeMap, BTreeSet};

/// The rows of each table that a step uses. The gradient of all other rows is exactly 0, and they are not updated.
/// Parameters that are not in the map are dense, and are updated as a whole.
///
/// With `shared` input, the input items' rows of `output.weight` count as used, and with them their `output.bias`.
///
/// # Panics
/// If a session of the step is empty.
pub fn touched_rows(network: &Network, step: &Step) -> BTreeMap<String, BTreeSet<usize>> {
    let mut outputs: BTreeSet<usize> =
        step.targets.iter().chain(step.samples).map(|&item| item as usize).collect();
    let mut inputs = BTreeSet::new();
    for session in step.sessions {
        match network.input {
            Input::Discounted => inputs.extend(session.iter().map(|&item| item as usize)),
            _ => inputs.extend([current(session) as usize]),
        }
    }
    let mut touched = BTreeMap::new();
    match network.input {
        Input::Shared => outputs.extend(&inputs),
        Input::Embedding => {
            touched.insert("input.embedding".to_string(), inputs);
        }
        Input::OneHot | Input::Discounted => {
            if network.input_to_deeper_layers {
                for l in 1..network.layers.len() {
                    touched.insert(format!("layer{l}.skip"), inputs.clone());
                }
            }
            touched.insert("layer0.input".to_string(), inputs);
        }
    }
    touched.insert("output.weight".to_string(), outputs.clone());
    touched.insert("output.bias".to_string(), outputs);
    touched
}

/// The gradient of a step's loss by central differences, with h' and c' as constants (truncation after one step).
///
/// Two differences of widths w and w/2 are extrapolated to 0 (Richardson). If they disagree, a kink of a piecewise
/// activation lies between the points, and w is reduced until it does not. Relative errors are about 1e-10.
///
/// # Panics
/// If a parameter is missing or has the wrong shape.
pub fn gradient(network: &Network, training: &Training, parameters: &Parameters, step: &Step) -> Parameters {
    let touched = touched_rows(network, step);
    let mut gradient = parameters.zeros_like();
    let mut moved = parameters.clone();
    for (name, tensor) in &parameters.0 {
        let width = tensor.width();
        for i in 0..tensor.values.len() {
            if touched.get(name).is_some_and(|rows| !rows.contains(&(i / width))) {
                continue;
            }
            let value = tensor.values[i];
            let loss_at = |x: f64| {
                moved.tensor_mut(name).values[i] = x;
                forward(network, training, &moved, step).loss
            };
            gradient.tensor_mut(name).values[i] = derivative(loss_at, value);
            moved.tensor_mut(name).values[i] = value;
        }
    }
    gradient
}

/// The derivative of a function at `x`, by the method of [`gradient`].
pub fn derivative(mut f: impl FnMut(f64) -> f64, x: f64) -> f64 {
    let mut difference = |w: f64| (f(x + w) - f(x - w)) / (2.0 * w);
    let mut w = 2e-4;
    loop {
        let (wide, narrow) = (difference(w), difference(w / 2.0));
        if (wide - narrow).abs() <= 1e-6 * (1.0 + narrow.abs()) || w < 1e-8 {
            return (4.0 * narrow - wide) / 3.0;
        }
        w /= 4.0;
    }
}

#[cfg(test)]
mod tests {
    //! Used rows listed by hand, and derivatives of functions with known ones.

    use super::*;
    use crate::example::Example;

    #[test]
    fn touched_rows_are_those_that_the_step_reads() {
        let random = Example::random(&Network::default(), &Training::default(), 5, 2, 2, 1);
        let example = Example {
            sessions: vec![vec![4, 1], vec![3]],
            targets: vec![1, 2],
            samples: vec![2, 2],
            ..random
        };
        let rows_of = |input: Input, name: &str| {
            let network =
                Network { input, layers: vec![2, 2], input_to_deeper_layers: true, ..Network::default() };
            touched_rows(&network, &example.step())
                .remove(name)
                .map(|rows| rows.into_iter().collect::<Vec<_>>())
        };
        assert_eq!(rows_of(Input::OneHot, "output.bias"), Some(vec![1, 2]));
        assert_eq!(rows_of(Input::OneHot, "layer0.input"), Some(vec![1, 3]));
        assert_eq!(rows_of(Input::OneHot, "layer1.skip"), Some(vec![1, 3]));
        assert_eq!(rows_of(Input::Discounted, "layer0.input"), Some(vec![1, 3, 4]));
        assert_eq!(rows_of(Input::Embedding, "input.embedding"), Some(vec![1, 3]));
        assert_eq!(rows_of(Input::Embedding, "layer0.input"), None);
        for name in ["output.weight", "output.bias"] {
            assert_eq!(rows_of(Input::Shared, name), Some(vec![1, 2, 3]));
        }
    }

    #[test]
    fn derivatives_are_exact_to_ten_digits_and_step_around_kinks() {
        for x in [-2.0_f64, 0.1, 1.5] {
            assert!((derivative(f64::exp, x) - x.exp()).abs() < 1e-10 * x.exp().max(1.0));
        }
        // The kink is 1e-5 away, well within the first difference.
        assert!((derivative(|x| x.max(0.0), 1e-5) - 1.0).abs() < 1e-8);
        assert!(derivative(|x| x.max(0.0), -1e-5).abs() < 1e-8);
    }
}

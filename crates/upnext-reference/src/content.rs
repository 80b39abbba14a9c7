//! Rows of items that are sums of their own and of what their content gives (`docs/algorithms.md`, section 1).
//!
//! The parameters have four more arrays: `content.features` `[f, out]` and `content.features.bias` `[f]` for `f` features, and
//! `content.projection` `[d, out]` and `content.projection.bias` `[d]` for vectors of `d` numbers.

use super::config::{Network, Training};
use super::difference::derivative;
use super::network::{Step, forward};
use super::{Parameters, Tensor};

/// The content of the items of a step.
#[derive(Clone, Debug)]
pub struct Content {
    /// The features of each item, each with its weight.
    pub features: Vec<Vec<(usize, f64)>>,
    /// The vector of each item, `[d]`; empty if the network has no projection.
    pub vectors: Vec<Vec<f64>>,
    /// Whether the step leaves out the own row of each item.
    pub dropped: Vec<bool>,
}

/// The parameters of a network without content that has these rows of items: own rows, unless they are dropped, plus the content's.
///
/// # Panics
/// If a parameter is missing or a shape does not fit.
pub fn composed(parameters: &Parameters, content: &Content) -> Parameters {
    let mut plain = parameters.clone();
    plain.0.retain(|name, _| !name.starts_with("content."));
    for (own, features, projection) in [
        ("output.weight", "content.features", "content.projection"),
        ("output.bias", "content.features.bias", "content.projection.bias"),
    ] {
        let own = plain.tensor_mut(own);
        let width = own.width();
        for (item, row) in own.values.chunks_exact_mut(width).enumerate() {
            if content.dropped[item] {
                row.fill(0.0);
            }
            let mut add = |weight: f64, table: &Tensor, from: usize| {
                row.iter_mut().zip(table.row(from)).for_each(|(x, value)| *x += weight * value);
            };
            for &(feature, weight) in &content.features[item] {
                add(weight, parameters.tensor(features), feature);
            }
            for (k, &x) in content.vectors[item].iter().enumerate() {
                add(x, parameters.tensor(projection), k);
            }
        }
    }
    plain
}

/// The gradient of a step's loss by central differences, as [`gradient`](super::gradient).
///
/// # Panics
/// If a parameter is missing or has the wrong shape.
pub fn gradient(
    network: &Network,
    training: &Training,
    parameters: &Parameters,
    content: &Content,
    step: &Step,
) -> Parameters {
    let mut gradient = parameters.zeros_like();
    let mut moved = parameters.clone();
    for (name, tensor) in &parameters.0 {
        for (i, &value) in tensor.values.iter().enumerate() {
            let loss_at = |x: f64| {
                moved.tensor_mut(name).values[i] = x;
                forward(network, training, &composed(&moved, content), step).loss
            };
            gradient.tensor_mut(name).values[i] = derivative(loss_at, value);
            moved.tensor_mut(name).values[i] = value;
        }
    }
    gradient
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_sums_and_dropped_ones_have_their_content_only() {
        let tensor =
            |shape: &[usize], values: &[f64]| Tensor { shape: shape.to_vec(), values: values.to_vec() };
        let parameters = Parameters(
            [
                ("output.weight", tensor(&[2, 2], &[1.0, 2.0, 3.0, 4.0])),
                ("output.bias", tensor(&[2], &[0.5, 0.25])),
                ("content.features", tensor(&[2, 2], &[10.0, 20.0, 30.0, 40.0])),
                ("content.features.bias", tensor(&[2], &[5.0, 7.0])),
                ("content.projection", tensor(&[1, 2], &[100.0, 200.0])),
                ("content.projection.bias", tensor(&[1], &[1000.0])),
            ]
            .map(|(name, tensor)| (name.to_owned(), tensor))
            .into(),
        );
        let content = Content {
            features: vec![vec![(0, 1.0), (1, 0.5)], vec![(1, 2.0)]],
            vectors: vec![vec![0.0], vec![3.0]],
            dropped: vec![true, false],
        };
        let plain = composed(&parameters, &content);
        assert_eq!(plain.tensor("output.weight").values, [25.0, 40.0, 363.0, 684.0]);
        assert_eq!(plain.tensor("output.bias").values, [8.5, 3014.25]);
        assert_eq!(plain.0.len(), 2);
    }
}

//! The plain reference: the network, its losses, optimisers, mini-batches and metrics in f64 and simple loops.
//!
//! It is slow and only for tests, which compare the fast code with it. It follows `docs/algorithms.md`, sections 1 to 5
//! (Hidasi et al., ICLR 2016, is \[1\], and Hidasi and Karatzoglou, CIKM 2018, is \[2\]), in the order of the text.
//! With the fast code it shares only the enums of losses, optimisers, activations and units. Its gradients are finite
//! differences, so that an error in a derivation cannot be in both; the derivations are in `docs/gradients.md`.
//!
//! Shape letters: `B` rows of the mini-batch, `S` additional samples, `R = B + S` scored columns, `n` items, `H` units
//! of a recurrent layer, `G` gates of its unit, `d` width of the input vector. Matrices are row-major, and vectors are
//! rows: pre-activations are `x · W + h' · U + b`.

#![forbid(unsafe_code)]

pub mod batches;
pub mod config;
pub mod content;
pub mod difference;
pub mod evaluation;
pub mod example;
#[cfg(test)]
mod gradients;
pub mod lists;
pub mod loss;
pub mod network;
pub mod optimizer;

pub use difference::{gradient, touched_rows};
pub use network::{Outcome, Step, forward, scale_items};
pub use optimizer::{OptimizerState, apply};

use config::{Input, Network, Unit};
use std::collections::BTreeMap;

/// A row-major array with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Length along each axis: one axis for a bias, two for a matrix or table.
    pub shape: Vec<usize>,
    /// The values; their number is the product of the shape.
    pub values: Vec<f64>,
}

impl Tensor {
    /// Zeros of a shape.
    pub fn zeros(shape: &[usize]) -> Self {
        Self { shape: shape.to_vec(), values: vec![0.0; shape.iter().product()] }
    }

    /// The length of a row: the product of all axes but the first (1 for a bias).
    pub fn width(&self) -> usize {
        self.shape[1..].iter().product()
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &[f64] {
        &self.values[i * self.width()..(i + 1) * self.width()]
    }
}

/// All parameters of a network, or the gradients of all, by name.
///
/// | name | shape |
/// |---|---|
/// | `output.weight`, `output.bias` | `[n, out]`, `[n]` |
/// | `input.embedding` (`embedding` input; `shared` reads `output.weight`) | `[n, d]` |
/// | `layer0.input` | `[n, G·H]` (`one-hot`, `discounted`) or `[d, G·H]` |
/// | `layer{l}.input`, l ≥ 1 | `[H of layer l − 1, G·H]` |
/// | `layer{l}.skip`, l ≥ 1 (`input_to_deeper_layers`) | `[n or d, G·H]` |
/// | `layer{l}.recurrent`, `layer{l}.bias` | `[H, G·H]`, `[G·H]` |
/// | `forward{k}.weight`, `forward{k}.bias` | `[in, width]`, `[width]` |
///
/// Each gate is a block of `H` columns: z, r, candidate of a GRU; i, f, o, candidate of an LSTM; a single one of a
/// plain recurrent unit. `out` is the width of the last feed-forward layer or, without any, of the last recurrent
/// layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parameters(pub BTreeMap<String, Tensor>);

impl Parameters {
    /// The name and shape of every parameter of a network over `n` items.
    ///
    /// # Panics
    /// If the network has no recurrent layer.
    pub fn shapes(network: &Network, n: usize) -> BTreeMap<String, Vec<usize>> {
        let (d, out) = (input_width(network, n), output_width(network));
        let mut shapes = BTreeMap::new();
        let mut add = |name: String, shape: &[usize]| shapes.insert(name, shape.to_vec());
        add("output.weight".into(), &[n, out]);
        add("output.bias".into(), &[n]);
        if network.input == Input::Embedding {
            add("input.embedding".into(), &[n, d]);
        }
        let mut below = d;
        for (l, &units) in network.layers.iter().enumerate() {
            let columns = gates(network.unit) * units;
            add(format!("layer{l}.input"), &[below, columns]);
            if l > 0 && network.input_to_deeper_layers {
                add(format!("layer{l}.skip"), &[d, columns]);
            }
            add(format!("layer{l}.recurrent"), &[units, columns]);
            add(format!("layer{l}.bias"), &[columns]);
            below = units;
        }
        for (k, &width) in network.feed_forward.iter().enumerate() {
            add(format!("forward{k}.weight"), &[below, width]);
            add(format!("forward{k}.bias"), &[width]);
            below = width;
        }
        shapes
    }

    /// The largest magnitude of every parameter's initial values: `sqrt(6 / (rows + columns))` of one gate's block, and
    /// 0 for a bias.
    pub fn initial_ranges(network: &Network, n: usize) -> BTreeMap<String, f64> {
        let range = |(name, shape): (String, Vec<usize>)| {
            let blocks = if name.starts_with("layer") { gates(network.unit) } else { 1 };
            let range = match shape[..] {
                [rows, columns] => (6.0 / (rows + columns / blocks) as f64).sqrt(),
                _ => 0.0,
            };
            (name, range)
        };
        Self::shapes(network, n).into_iter().map(range).collect()
    }

    /// Random parameters for tests: weights are uniform in their initial range. Biases are uniform in ±0.1, so that a
    /// missing bias is detected.
    pub fn random(network: &Network, n: usize, seed: u64) -> Self {
        let ranges = Self::initial_ranges(network, n);
        let mut state = seed;
        let tensor = |(name, shape): (String, Vec<usize>)| {
            let range = if shape.len() == 1 { 0.1 } else { ranges[&name] };
            let mut tensor = Tensor::zeros(&shape);
            tensor.values.iter_mut().for_each(|value| *value = range * (2.0 * uniform(&mut state) - 1.0));
            (name, tensor)
        };
        Self(Self::shapes(network, n).into_iter().map(tensor).collect())
    }

    /// Zeros in the shapes of these parameters.
    pub fn zeros_like(&self) -> Self {
        Self(self.0.iter().map(|(name, tensor)| (name.clone(), Tensor::zeros(&tensor.shape))).collect())
    }

    /// A parameter by name.
    ///
    /// # Panics
    /// If there is no parameter of that name.
    pub fn tensor(&self, name: &str) -> &Tensor {
        self.0.get(name).unwrap_or_else(|| panic!("no parameter `{name}`"))
    }

    /// A parameter by name, mutable.
    ///
    /// # Panics
    /// If there is no parameter of that name.
    pub fn tensor_mut(&mut self, name: &str) -> &mut Tensor {
        self.0.get_mut(name).unwrap_or_else(|| panic!("no parameter `{name}`"))
    }

    /// Number of items.
    ///
    /// # Panics
    /// If there is no `output.bias`.
    pub fn items(&self) -> usize {
        self.tensor("output.bias").shape[0]
    }
}

/// Number of gates of a unit.
pub fn gates(unit: Unit) -> usize {
    match unit {
        Unit::Gru => 3,
        Unit::Lstm => 4,
        Unit::Rnn => 1,
    }
}

/// The width of the output layer's input.
///
/// # Panics
/// If the network has no recurrent layer.
pub fn output_width(network: &Network) -> usize {
    let last = network.feed_forward.last().or(network.layers.last());
    *last.expect("a network has a recurrent layer: Network::layers is not empty")
}

/// The width of the first layer's input: `n` for `one-hot` and `discounted`.
///
/// # Panics
/// If the network has no recurrent layer.
pub fn input_width(network: &Network, n: usize) -> usize {
    match network.input {
        Input::OneHot | Input::Discounted => n,
        Input::Embedding => network.embedding_size,
        Input::Shared => output_width(network),
    }
}

/// A uniform number in \[0, 1), by SplitMix64 (Steele et al. 2014).
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut x = *state;
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((x ^ (x >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    //! Shapes and initial ranges, computed by hand.

    use super::*;

    #[test]
    fn shapes_follow_the_input_the_unit_and_the_depth() {
        let network = Network {
            unit: Unit::Lstm,
            layers: vec![3, 2],
            input: Input::Embedding,
            embedding_size: 5,
            input_to_deeper_layers: true,
            feed_forward: vec![6],
            ..Network::default()
        };
        let shapes = Parameters::shapes(&network, 7);
        let expected: [(&str, &[usize]); 12] = [
            ("forward0.bias", &[6]),
            ("forward0.weight", &[2, 6]),
            ("input.embedding", &[7, 5]),
            ("layer0.bias", &[12]),
            ("layer0.input", &[5, 12]),
            ("layer0.recurrent", &[3, 12]),
            ("layer1.bias", &[8]),
            ("layer1.input", &[3, 8]),
            ("layer1.recurrent", &[2, 8]),
            ("layer1.skip", &[5, 8]),
            ("output.bias", &[7]),
            ("output.weight", &[7, 6]),
        ];
        let expected = expected.map(|(name, shape)| (name.to_string(), shape.to_vec()));
        assert_eq!(shapes, expected.into());

        let ranges = Parameters::initial_ranges(&network, 7);
        assert_eq!(ranges["layer0.input"], (6.0_f64 / (5.0 + 3.0)).sqrt());
        assert_eq!(ranges["layer1.skip"], (6.0_f64 / (5.0 + 2.0)).sqrt());
        assert_eq!(ranges["output.weight"], (6.0_f64 / (7.0 + 6.0)).sqrt());
        assert_eq!(ranges["layer0.bias"], 0.0);
    }

    #[test]
    fn shared_input_is_as_wide_as_the_output_and_one_hot_as_the_items() {
        let shared = Network { layers: vec![4], input: Input::Shared, ..Network::default() };
        assert_eq!(Parameters::shapes(&shared, 9)["layer0.input"], [4, 12]);
        assert!(!Parameters::shapes(&shared, 9).contains_key("input.embedding"));
        for input in [Input::OneHot, Input::Discounted] {
            let network = Network { unit: Unit::Rnn, input, ..shared.clone() };
            assert_eq!(Parameters::shapes(&network, 9)["layer0.input"], [9, 4]);
        }
    }

    #[test]
    fn random_weights_fill_their_range_and_differ_by_seed() {
        let network = Network { layers: vec![20], ..Network::default() };
        let parameters = Parameters::random(&network, 50, 1);
        let range = Parameters::initial_ranges(&network, 50)["output.weight"];
        let largest = parameters.tensor("output.weight").values.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        assert!(largest <= range && largest > 0.98 * range, "{largest} of {range}");
        assert_ne!(parameters, Parameters::random(&network, 50, 2));
    }
}

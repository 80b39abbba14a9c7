//! The forward pass (`docs/algorithms.md`, section 1), computed row by row.

use super::loss::{activate, batch_loss, sigmoid};
use super::{Parameters, Tensor, gates, input_width};
use crate::config::{Activation, Input, Network, Training, Unit};

/// The inputs of one step: for each row its session, its target and its carried state, and the samples and dropout
/// masks.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// The `B` sessions so far, the current item last; only `discounted` input reads more than the last item.
    pub sessions: &'a [Vec<u32>],
    /// The next item of each of the `B` rows.
    pub targets: &'a [u32],
    /// The `S` additional samples of the mini-batch.
    pub samples: &'a [u32],
    /// The carried state h' of each recurrent layer, `B×H`: zero for a new session, and a constant for the gradient.
    pub hidden: &'a [Vec<f64>],
    /// The carried cell state c' of each LSTM layer, `B×H`; other units do not read it.
    pub cell: &'a [Vec<f64>],
    /// The dropout mask of the input vectors, `B×d` of 0 or 1/(1−p); `None` without dropout.
    pub embedding_mask: Option<&'a [f64]>,
    /// The dropout masks of the outputs of the recurrent and then the feed-forward layers, `B×width` each of 0 or
    /// 1/(1−p); empty without dropout.
    pub hidden_masks: &'a [Vec<f64>],
    /// The support of each of the `n` items, for logQ.
    pub support: &'a [u64],
}

/// The results of a forward pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The scores, `B×R`, after the output activation and without logQ. The columns are the `B` targets in the order of
    /// the rows and then the `S` samples.
    pub scores: Vec<f64>,
    /// The sum of the rows' losses divided by the configured mini-batch size.
    pub loss: f64,
    /// The new state of each recurrent layer, `B×H`, after dropout.
    pub hidden: Vec<Vec<f64>>,
    /// The new cell state of each LSTM layer, `B×H`; empty for other units.
    pub cell: Vec<Vec<f64>>,
}

/// The forward pass of a step: its scores, loss and new states.
///
/// # Panics
/// If a parameter is missing or a shape does not fit.
pub fn forward(network: &Network, training: &Training, parameters: &Parameters, step: &Step) -> Outcome {
    let rows = step.targets.len();
    let mut outcome = Outcome { scores: Vec::new(), loss: 0.0, hidden: Vec::new(), cell: Vec::new() };
    outcome.hidden.resize(network.layers.len(), Vec::new());
    if network.unit == Unit::Lstm {
        outcome.cell.resize(network.layers.len(), Vec::new());
    }
    for b in 0..rows {
        let input = input_vector(network, parameters, step, b);
        let mut below = input.clone();
        for (l, &units) in network.layers.iter().enumerate() {
            let mut a = parameters.tensor(&format!("layer{l}.bias")).values.clone();
            add_product(&mut a, &below, parameters.tensor(&format!("layer{l}.input")));
            if l > 0 && network.input_to_deeper_layers {
                add_product(&mut a, &input, parameters.tensor(&format!("layer{l}.skip")));
            }
            let recurrent = parameters.tensor(&format!("layer{l}.recurrent"));
            let carried = &step.hidden[l][b * units..(b + 1) * units];
            let mut hidden = match network.unit {
                Unit::Gru => gru(network.hidden_activation, &a, recurrent, carried),
                Unit::Rnn => rnn(network.hidden_activation, &a, recurrent, carried),
                Unit::Lstm => {
                    let (hidden, cell) =
                        lstm(&a, recurrent, carried, &step.cell[l][b * units..(b + 1) * units]);
                    outcome.cell[l].extend(cell);
                    hidden
                }
            };
            drop_out(&mut hidden, step.hidden_masks.get(l), b);
            outcome.hidden[l].extend(&hidden);
            below = hidden;
        }
        for k in 0..network.feed_forward.len() {
            let mut a = parameters.tensor(&format!("forward{k}.bias")).values.clone();
            add_product(&mut a, &below, parameters.tensor(&format!("forward{k}.weight")));
            below = a.iter().map(|x| x.tanh()).collect();
            drop_out(&mut below, step.hidden_masks.get(network.layers.len() + k), b);
        }
        let below = session_vector(network, &below, &input);
        let activation = network.output_activation;
        let (weight, bias) = (parameters.tensor("output.weight"), parameters.tensor("output.bias"));
        for &item in step.targets.iter().chain(step.samples) {
            let x = dot(&below, weight.row(item as usize)) + bias.values[item as usize];
            outcome.scores.push(activate(activation, x));
        }
    }
    outcome.loss = batch_loss(training, &outcome.scores, step.targets, step.samples, step.support);
    outcome
}

/// The vector that is scored: the top layer's output, plus the input, scaled to a length, as far as the network asks for these.
pub(super) fn session_vector(network: &Network, top: &[f64], input: &[f64]) -> Vec<f64> {
    let mut vector = top.to_vec();
    if network.input_to_output {
        assert_eq!(vector.len(), input.len(), "the input is as wide as the output");
        vector.iter_mut().zip(input).for_each(|(x, input)| *x += input);
    }
    if let Some(scale) = network.cosine_scale {
        // A vector of zeros stays one, and has no gradient.
        let length = dot(&vector, &vector).sqrt();
        if length > 0.0 {
            vector.iter_mut().for_each(|x| *x *= scale / length);
        }
    }
    vector
}

/// Scales the vectors of all items to the length 1, if the network asks for it: before the first step, and after every update.
/// (Those that an update leaves alone have that length.)
pub fn scale_items(network: &Network, parameters: &mut Parameters) {
    if network.cosine_scale.is_some() {
        let weight = parameters.tensor_mut("output.weight");
        let width = weight.width();
        for row in weight.values.chunks_exact_mut(width) {
            let length = dot(row, row).sqrt();
            row.iter_mut().for_each(|x| *x /= length);
        }
    }
}

/// The first layer's input in row b: `[n]` for `one-hot` and `discounted`, else a table's row `[d]` after dropout.
pub(super) fn input_vector(network: &Network, parameters: &Parameters, step: &Step, b: usize) -> Vec<f64> {
    let session = &step.sessions[b];
    let table = match network.input {
        Input::OneHot | Input::Discounted => {
            return sparse_input(network, session, parameters.items());
        }
        Input::Embedding => parameters.tensor("input.embedding"),
        Input::Shared => parameters.tensor("output.weight"),
    };
    let mut x = table.row(current(session) as usize).to_vec();
    let width = input_width(network, parameters.items());
    if let Some(mask) = step.embedding_mask {
        x.iter_mut().zip(&mask[b * width..(b + 1) * width]).for_each(|(x, m)| *x *= m);
    }
    x
}

/// The `one-hot` or `discounted` input, `[n]`. For `discounted`, an event t steps ago adds γ^t to its item, and the sum
/// is scaled to unit L2 norm (\[1\] does not name the norm).
///
/// # Panics
/// If the session is empty or has an item of `n` or above.
pub fn sparse_input(network: &Network, session: &[u32], n: usize) -> Vec<f64> {
    let mut x = vec![0.0; n];
    if network.input == Input::OneHot {
        x[current(session) as usize] = 1.0;
        return x;
    }
    let mut weight = 1.0;
    for &item in session.iter().rev() {
        x[item as usize] += weight;
        weight *= network.discount;
    }
    let norm = dot(&x, &x).sqrt();
    x.iter_mut().for_each(|x| *x /= norm);
    x
}

pub(super) fn current(session: &[u32]) -> u32 {
    *session.last().expect("a row's session holds at least its current item")
}

/// `z = σ(a_z + h' U_z)`, `r = σ(a_r + h' U_r)`, `ĥ = act(a_c + (r ⊙ h') U_c)`, `h = (1−z) ⊙ h' + z ⊙ ĥ`; `a` is
/// `x W + b`, `[3H]`.
fn gru(act: Activation, a: &[f64], recurrent: &Tensor, carried: &[f64]) -> Vec<f64> {
    let units = carried.len();
    let z: Vec<f64> = (0..units).map(|j| sigmoid(a[j] + dot_column(carried, recurrent, j))).collect();
    let r: Vec<f64> = (units..2 * units).map(|j| sigmoid(a[j] + dot_column(carried, recurrent, j))).collect();
    let reset: Vec<f64> = (0..units).map(|j| r[j] * carried[j]).collect();
    let candidate: Vec<f64> = (2 * units..3 * units)
        .map(|j| hidden_activation(act, a[j] + dot_column(&reset, recurrent, j)))
        .collect();
    (0..units).map(|j| (1.0 - z[j]) * carried[j] + z[j] * candidate[j]).collect()
}

/// `c = σ(f) ⊙ c' + σ(i) ⊙ tanh(g)`, `h = σ(o) ⊙ tanh(c)`; `a` is `x W + b`, `[4H]`.
fn lstm(a: &[f64], recurrent: &Tensor, carried: &[f64], cell: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let units = carried.len();
    let pre: Vec<f64> =
        (0..gates(Unit::Lstm) * units).map(|j| a[j] + dot_column(carried, recurrent, j)).collect();
    let mut next = (Vec::new(), Vec::new());
    for j in 0..units {
        let (i, f, o) = (sigmoid(pre[j]), sigmoid(pre[units + j]), sigmoid(pre[2 * units + j]));
        let c = f * cell[j] + i * pre[3 * units + j].tanh();
        next.0.push(o * c.tanh());
        next.1.push(c);
    }
    next
}

/// `h = act(a + h' U)`; `a` is `x W + b`, `[H]`.
fn rnn(act: Activation, a: &[f64], recurrent: &Tensor, carried: &[f64]) -> Vec<f64> {
    (0..carried.len()).map(|j| hidden_activation(act, a[j] + dot_column(carried, recurrent, j))).collect()
}

/// Applies the activation of a GRU's candidate or of a plain recurrent unit.
///
/// # Panics
/// If it is not tanh, relu or linear.
pub fn hidden_activation(activation: Activation, x: f64) -> f64 {
    match activation {
        Activation::Tanh => x.tanh(),
        Activation::Relu => x.max(0.0),
        Activation::Linear => x,
        other => panic!("{other} is no activation of a hidden layer"),
    }
}

fn drop_out(hidden: &mut [f64], mask: Option<&Vec<f64>>, b: usize) {
    if let Some(mask) = mask {
        let width = hidden.len();
        hidden.iter_mut().zip(&mask[b * width..(b + 1) * width]).for_each(|(h, m)| *h *= m);
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len(), "a product of two vectors of one length");
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `x · W` in column j.
fn dot_column(x: &[f64], matrix: &Tensor, j: usize) -> f64 {
    x.iter().enumerate().map(|(i, x)| x * matrix.row(i)[j]).sum()
}

/// `a += x · W`.
fn add_product(a: &mut [f64], x: &[f64], matrix: &Tensor) {
    assert_eq!(matrix.shape, [x.len(), a.len()], "x is [in] and W is [in, out]");
    for (i, &x) in x.iter().enumerate() {
        a.iter_mut().zip(matrix.row(i)).for_each(|(a, w)| *a += x * w);
    }
}

#[cfg(test)]
mod tests {
    //! The forward pass compared with `testdata/golden.py` and with cases computed by hand.

    use super::*;
    use crate::config::Loss;
    use crate::example::Example;
    use serde_json::Value;

    fn assert_near(a: &[f64], b: &[f64]) {
        let near = a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12);
        assert!(near, "{a:?} is not {b:?}");
    }

    fn numbers(value: &Value) -> Vec<f64> {
        serde_json::from_value(value.clone()).expect("golden.py writes a list of numbers")
    }

    fn one_unit(unit: Unit) -> Network {
        Network { unit, layers: vec![1], input: Input::Embedding, embedding_size: 1, ..Network::default() }
    }

    #[test]
    fn one_unit_cells_equal_the_golden_values_of_the_script() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/golden.json");
        let text = std::fs::read_to_string(path).expect("the golden values are in the tree");
        let golden: Value = serde_json::from_str(&text).expect("golden.py writes JSON");
        let cases = golden["cells"].as_array().expect("golden.py writes a list");
        assert_eq!(cases.len(), 3);
        for case in cases {
            let unit: Unit = serde_json::from_value(case["unit"].clone()).expect("a unit's name");
            let network = one_unit(unit);
            let mut parameters = Parameters::random(&network, 2, 1);
            parameters.tensor_mut("input.embedding").values = numbers(&case["inputs"]);
            parameters.tensor_mut("layer0.input").values = numbers(&case["weight"]);
            parameters.tensor_mut("layer0.recurrent").values = numbers(&case["recurrent"]);
            parameters.tensor_mut("layer0.bias").values = numbers(&case["bias"]);
            let mut hidden = vec![case["start_hidden"].as_f64().expect("a number")];
            let mut cell = vec![case["start_cell"].as_f64().expect("a number")];
            for (t, item) in [0, 1].into_iter().enumerate() {
                let step = Step {
                    sessions: &[vec![item]],
                    targets: &[1],
                    samples: &[0],
                    hidden: &[hidden],
                    cell: &[cell.clone()],
                    embedding_mask: None,
                    hidden_masks: &[],
                    support: &[1, 1],
                };
                let outcome = forward(&network, &Training::default(), &parameters, &step);
                hidden = outcome.hidden[0].clone();
                assert_near(&hidden, &numbers(&case["hidden"])[t..=t]);
                if unit == Unit::Lstm {
                    cell = outcome.cell[0].clone();
                    assert_near(&cell, &numbers(&case["cell"])[t..=t]);
                }
            }
        }
    }

    #[test]
    fn discounted_input_weighs_repeats_and_has_unit_length() {
        let network = Network { input: Input::Discounted, discount: 0.5, ..Network::default() };
        // Item 2 now and two steps ago: 1 + 1/4; item 0 one step ago: 1/2.
        let norm = (1.25_f64.powi(2) + 0.25).sqrt();
        assert_near(&sparse_input(&network, &[2, 0, 2], 4), &[0.5 / norm, 0.0, 1.25 / norm, 0.0]);
        let network = Network { input: Input::OneHot, ..network };
        assert_near(&sparse_input(&network, &[2, 0, 3], 4), &[0.0, 0.0, 0.0, 1.0]);
    }

    /// Two rows over three items, of one unit with h' 1/2 and −1/2.
    fn two_rows() -> Example {
        Example {
            sessions: vec![vec![0], vec![1]],
            targets: vec![1, 2],
            samples: Vec::new(),
            hidden: vec![vec![0.5, -0.5]],
            cell: Vec::new(),
            embedding_mask: None,
            hidden_masks: Vec::new(),
            support: vec![1, 1, 1],
        }
    }

    #[test]
    fn dropped_state_is_read_above_and_carried() {
        let network = one_unit(Unit::Gru).for_loss(Loss::Bpr);
        let training = Training { loss: Loss::Bpr, batch_size: 2, ..Training::default() };
        let parameters = Parameters::random(&network, 3, 4);
        let kept = forward(&network, &training, &parameters, &two_rows().step());
        let masked = Example { hidden_masks: vec![vec![0.0, 2.0]], ..two_rows() };
        let dropped = forward(&network, &training, &parameters, &masked.step());
        assert_near(&dropped.hidden[0], &[0.0, 2.0 * kept.hidden[0][1]]);
        let bias = &parameters.tensor("output.bias").values;
        assert_near(&dropped.scores[..2], &[bias[1].tanh(), bias[2].tanh()]);
    }

    #[test]
    fn dropped_embedding_leaves_the_bias_and_the_state() {
        let network = one_unit(Unit::Rnn);
        let training = Training::default();
        let parameters = Parameters::random(&network, 3, 4);
        let masked = Example { embedding_mask: Some(vec![0.0, 1.0]), ..two_rows() };
        let outcome = forward(&network, &training, &parameters, &masked.step());
        let recurrent = parameters.tensor("layer0.recurrent").values[0];
        let bias = parameters.tensor("layer0.bias").values[0];
        assert_near(&outcome.hidden[0][..1], &[(0.5 * recurrent + bias).tanh()]);
    }
}

//! The formulas of `docs/gradients.md` as code, which tests compare with finite differences of the reference.
//!
//! The functions follow the sections of that page line by line; the two must be changed together.

#[cfg(test)]
mod tests;

use super::loss::{activate, is_negative, log_q, sigmoid};
use super::network::{Step, hidden_activation, input_vector, session_vector};
use super::{Parameters, Tensor, gates};
use crate::config::{Activation, Input, Loss, Network, Training, Unit};

/// Section 1: the derivatives of a row's loss by the scores of its positive and of its negatives.
fn loss_gradient(training: &Training, ri: f64, r: &[f64]) -> (f64, Vec<f64>) {
    if r.is_empty() {
        return (0.0, Vec::new());
    }
    let n = r.len() as f64;
    let sum = |f: &dyn Fn(f64) -> f64| r.iter().map(|&rj| f(rj)).sum::<f64>();
    let each = |f: &dyn Fn(f64) -> f64| r.iter().map(|&rj| f(rj)).collect::<Vec<f64>>();
    let m = r.iter().copied().fold(f64::NEG_INFINITY, f64::max);

    let a = |rj: f64| sigmoid(rj - ri);
    let slope_a = |rj: f64| a(rj) * (1.0 - a(rj));
    let b = |rj: f64| sigmoid(rj * rj);
    let slope_b = |rj: f64| 2.0 * rj * b(rj) * (1.0 - b(rj));
    let e = |rj: f64| (rj - m).exp();
    let z = sum(&e);
    match training.loss {
        Loss::Bpr => (-sum(&a) / n, each(&|rj| a(rj) / n)),
        Loss::Top1 => (-sum(&slope_a) / n, each(&|rj| (slope_a(rj) + slope_b(rj)) / n)),
        Loss::Mrr => {
            let rank = 1.0 + sum(&a);
            (-sum(&slope_a) / (rank * rank), each(&|rj| slope_a(rj) / (rank * rank)))
        }
        Loss::CrossEntropy => {
            let m = m.max(ri);
            let e = |x: f64| (x - m).exp();
            let z = e(ri) + sum(&e);
            (-sum(&e) / z, each(&|rj| e(rj) / z))
        }
        Loss::Top1Max => {
            let f = |rj: f64| a(rj) + b(rj);
            let loss = sum(&|rj| e(rj) * f(rj)) / z;
            let by_positive = -sum(&|rj| e(rj) * slope_a(rj)) / z;
            (by_positive, each(&|rj| e(rj) / z * (f(rj) - loss + slope_a(rj) + slope_b(rj))))
        }
        Loss::BprMax => {
            let lambda = training.bpr_max_penalty;
            let top = ri.min(m);
            let w = |rj: f64| (ri.min(rj) - top).exp() / (1.0 + (-(ri - rj).abs()).exp());
            let total = sum(&w);
            let v = sum(&|rj| e(rj) * rj * rj) / z;
            let by_positive = -sum(&|rj| w(rj) * a(rj)) / total;
            let by_negative = |rj: f64| {
                e(rj) / z * (1.0 + lambda * (rj * rj + 2.0 * rj - v)) - w(rj) / total * (1.0 - a(rj))
            };
            (by_positive, each(&by_negative))
        }
    }
}

/// Section 2: the derivative of an output activation from its output.
fn activation_slope(activation: Activation, y: f64) -> f64 {
    let below = match activation {
        Activation::Linear => 1.0,
        Activation::Tanh => return 1.0 - y * y,
        Activation::Relu => 0.0,
        Activation::Elu { alpha } => y + f64::from(alpha),
        Activation::Leaky { alpha } => f64::from(alpha),
        Activation::Selu { lambda, alpha } => y + f64::from(lambda) * f64::from(alpha),
    };
    let above = if let Activation::Selu { lambda, .. } = activation { f64::from(lambda) } else { 1.0 };
    if y > 0.0 { above } else { below }
}

/// Section 4: the derivative of a hidden activation from its output.
fn hidden_slope(activation: Activation, y: f64) -> f64 {
    match activation {
        Activation::Tanh => 1.0 - y * y,
        Activation::Relu => f64::from(u8::from(y > 0.0)),
        Activation::Linear => 1.0,
        other => panic!("{other} is no activation of a hidden layer"),
    }
}

/// `x · W`, plus `y` element by element.
fn product_plus(x: &[f64], matrix: &Tensor, y: &[f64]) -> Vec<f64> {
    let column = |j: usize| y[j] + x.iter().enumerate().map(|(i, x)| x * matrix.row(i)[j]).sum::<f64>();
    (0..matrix.width()).map(column).collect()
}

/// `da · Wᵀ`.
fn product_transposed(da: &[f64], matrix: &Tensor) -> Vec<f64> {
    (0..matrix.shape[0]).map(|i| matrix.row(i).iter().zip(da).map(|(w, da)| w * da).sum()).collect()
}

/// `dW += xᵀ · da`.
fn add_outer(gradient: &mut Tensor, x: &[f64], da: &[f64]) {
    let width = gradient.width();
    for (i, x) in x.iter().enumerate() {
        gradient.values[i * width..(i + 1) * width].iter_mut().zip(da).for_each(|(dw, da)| *dw += x * da);
    }
}

fn add(sum: &mut [f64], x: &[f64]) {
    sum.iter_mut().zip(x).for_each(|(sum, x)| *sum += x);
}

fn times(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a * b).collect()
}

/// Row b of a mask, or ones.
fn mask_row(mask: Option<&[f64]>, b: usize, width: usize) -> Vec<f64> {
    mask.map_or(vec![1.0; width], |mask| mask[b * width..(b + 1) * width].to_vec())
}

/// Section 4: the gates of a cell from `a = x W + b`, and its undropped h, in one row: `([G·H], c, h)`.
fn cell_forward(network: &Network, a: &[f64], u: &Tensor, h1: &[f64], c1: &[f64]) -> [Vec<f64>; 3] {
    let units = h1.len();
    let pre = product_plus(h1, u, a);
    let act = |x: f64| hidden_activation(network.hidden_activation, x);
    match network.unit {
        Unit::Rnn => {
            let h: Vec<f64> = pre.iter().map(|&x| act(x)).collect();
            [h.clone(), Vec::new(), h]
        }
        Unit::Gru => {
            let mut gates: Vec<f64> = pre[..2 * units].iter().map(|&x| sigmoid(x)).collect();
            let reset = times(&gates[units..], h1);
            gates.extend(product_plus(&reset, u, a)[2 * units..].iter().map(|&x| act(x)));
            let h = (0..units).map(|j| (1.0 - gates[j]) * h1[j] + gates[j] * gates[2 * units + j]);
            let h = h.collect();
            [gates, Vec::new(), h]
        }
        Unit::Lstm => {
            let gate = |k: usize| if k < 3 * units { sigmoid(pre[k]) } else { pre[k].tanh() };
            let gates: Vec<f64> = (0..4 * units).map(gate).collect();
            let c: Vec<f64> =
                (0..units).map(|j| gates[units + j] * c1[j] + gates[j] * gates[3 * units + j]).collect();
            let h = (0..units).map(|j| gates[2 * units + j] * c[j].tanh()).collect();
            [gates, c, h]
        }
    }
}

/// Section 4: `da` of a cell, `[G·H]`, from the gradient `dh` of its undropped h; adds to `dU`.
fn cell_backward(
    network: &Network,
    [gates, c, _]: &[Vec<f64>; 3],
    (u, du): (&Tensor, &mut Tensor),
    (h1, c1): (&[f64], &[f64]),
    dh: &[f64],
) -> Vec<f64> {
    let units = h1.len();
    let gate = |k: usize| &gates[k * units..(k + 1) * units];
    match network.unit {
        Unit::Rnn => {
            let da: Vec<f64> =
                (0..units).map(|j| dh[j] * hidden_slope(network.hidden_activation, gates[j])).collect();
            add_outer(du, h1, &da);
            da
        }
        Unit::Gru => {
            let (z, r, candidate) = (gate(0), gate(1), gate(2));
            let mut da = vec![0.0; 3 * units];
            for j in 0..units {
                da[j] = dh[j] * (candidate[j] - h1[j]) * z[j] * (1.0 - z[j]);
                da[2 * units + j] = dh[j] * z[j] * hidden_slope(network.hidden_activation, candidate[j]);
            }
            // The candidate's block only; the blocks of z and r are 0.
            let mut candidate_only = vec![0.0; 2 * units];
            candidate_only.extend(&da[2 * units..]);
            let v = product_transposed(&candidate_only, u);
            for j in 0..units {
                da[units + j] = v[j] * h1[j] * r[j] * (1.0 - r[j]);
            }
            add_outer(du, &times(r, h1), &candidate_only);
            let mut gates_only = da.clone();
            gates_only[2 * units..].fill(0.0);
            add_outer(du, h1, &gates_only);
            da
        }
        Unit::Lstm => {
            let (i, f, o, g) = (gate(0), gate(1), gate(2), gate(3));
            let mut da = vec![0.0; 4 * units];
            for j in 0..units {
                let tanh_c = c[j].tanh();
                let dc = dh[j] * o[j] * (1.0 - tanh_c * tanh_c);
                da[j] = dc * g[j] * i[j] * (1.0 - i[j]);
                da[units + j] = dc * c1[j] * f[j] * (1.0 - f[j]);
                da[2 * units + j] = dh[j] * tanh_c * o[j] * (1.0 - o[j]);
                da[3 * units + j] = dc * i[j] * (1.0 - g[j] * g[j]);
            }
            add_outer(du, h1, &da);
            da
        }
    }
}

/// Sections 3 to 6: the gradient of every parameter.
fn backward(network: &Network, training: &Training, parameters: &Parameters, step: &Step) -> Parameters {
    let mut gradient = parameters.zeros_like();
    let (depth, rows) = (network.layers.len(), step.targets.len());
    let columns: Vec<usize> = step.targets.iter().chain(step.samples).map(|&item| item as usize).collect();
    let mask =
        |k: usize, b: usize, width: usize| mask_row(step.hidden_masks.get(k).map(Vec::as_slice), b, width);
    for b in 0..rows {
        // The forward pass, with the activations that the backward pass reads: inputs[k] and cells[l] of every layer.
        let x = input_vector(network, parameters, step, b);
        let (mut inputs, mut cells, mut carried) = (vec![x.clone()], Vec::new(), Vec::new());
        for (l, &units) in network.layers.iter().enumerate() {
            let bias = &parameters.tensor(&format!("layer{l}.bias")).values;
            let mut a = product_plus(&inputs[l], parameters.tensor(&format!("layer{l}.input")), bias);
            if l > 0 && network.input_to_deeper_layers {
                a = product_plus(&x, parameters.tensor(&format!("layer{l}.skip")), &a);
            }
            let own = |state: &[Vec<f64>]| {
                state.get(l).map_or(Vec::new(), |s| s[b * units..(b + 1) * units].to_vec())
            };
            let (h1, c1) = (own(step.hidden), own(step.cell));
            let cell = cell_forward(network, &a, parameters.tensor(&format!("layer{l}.recurrent")), &h1, &c1);
            inputs.push(times(&cell[2], &mask(l, b, units)));
            cells.push(cell);
            carried.push((h1, c1));
        }
        let mut outputs = Vec::new();
        for (k, &width) in network.feed_forward.iter().enumerate() {
            let bias = &parameters.tensor(&format!("forward{k}.bias")).values;
            let weight = parameters.tensor(&format!("forward{k}.weight"));
            let y: Vec<f64> =
                product_plus(&inputs[depth + k], weight, bias).iter().map(|x| x.tanh()).collect();
            inputs.push(times(&y, &mask(depth + k, b, width)));
            outputs.push(y);
        }

        // Section 3: the output layer.
        let o = inputs.pop().unwrap_or_default();
        let top = session_vector(network, &o, &x);
        let activation = network.output_activation;
        let weight = parameters.tensor("output.weight");
        let y: Vec<f64> = columns
            .iter()
            .map(|&item| {
                let x: f64 = times(weight.row(item), &top).iter().sum();
                activate(activation, x + parameters.tensor("output.bias").values[item])
            })
            .collect();
        let corrected = |c: usize| y[c] - log_q(training, c, step.targets, step.samples, step.support);
        let negatives: Vec<usize> =
            (0..columns.len()).filter(|&c| is_negative(training, b, c, step.targets, step.samples)).collect();
        let scores: Vec<f64> = negatives.iter().map(|&c| corrected(c)).collect();
        let (by_positive, by_negatives) = loss_gradient(training, corrected(b), &scores);
        let mut dy = vec![0.0; top.len()];
        for (c, by) in [b].iter().chain(&negatives).zip([by_positive].iter().chain(&by_negatives)) {
            let delta = by / training.batch_size as f64 * activation_slope(activation, y[*c]);
            let item = columns[*c];
            gradient.tensor_mut("output.bias").values[item] += delta;
            for (j, top) in top.iter().enumerate() {
                gradient.tensor_mut("output.weight").values[item * dy.len() + j] += delta * top;
                dy[j] += delta * weight.row(item)[j];
            }
        }

        // Section 3: the session's vector.
        let mut dx = vec![0.0; x.len()];
        if let Some(scale) = network.cosine_scale {
            let before = session_vector(&Network { cosine_scale: None, ..network.clone() }, &o, &x);
            let length = times(&before, &before).iter().sum::<f64>().sqrt();
            let along = times(&top, &dy).iter().sum::<f64>() / (scale * scale);
            let factor = if length > 0.0 { scale / length } else { 0.0 };
            dy = (0..dy.len()).map(|j| factor * (dy[j] - top[j] * along)).collect();
        }
        if network.input_to_output {
            add(&mut dx, &dy);
        }

        // Section 5: feed-forward layers.
        for k in (0..network.feed_forward.len()).rev() {
            let slope: Vec<f64> = outputs[k].iter().map(|y| 1.0 - y * y).collect();
            let da = times(&times(&dy, &mask(depth + k, b, dy.len())), &slope);
            add_outer(gradient.tensor_mut(&format!("forward{k}.weight")), &inputs[depth + k], &da);
            add(&mut gradient.tensor_mut(&format!("forward{k}.bias")).values, &da);
            dy = product_transposed(&da, parameters.tensor(&format!("forward{k}.weight")));
        }

        // Section 4: recurrent layers.
        for l in (0..depth).rev() {
            let dh = times(&dy, &mask(l, b, dy.len()));
            let recurrent = format!("layer{l}.recurrent");
            let u = parameters.tensor(&recurrent);
            let state = (&carried[l].0[..], &carried[l].1[..]);
            let da = cell_backward(network, &cells[l], (u, gradient.tensor_mut(&recurrent)), state, &dh);
            assert_eq!(da.len(), gates(network.unit) * dh.len());
            add_outer(gradient.tensor_mut(&format!("layer{l}.input")), &inputs[l], &da);
            add(&mut gradient.tensor_mut(&format!("layer{l}.bias")).values, &da);
            if l > 0 && network.input_to_deeper_layers {
                add_outer(gradient.tensor_mut(&format!("layer{l}.skip")), &x, &da);
                add(&mut dx, &product_transposed(&da, parameters.tensor(&format!("layer{l}.skip"))));
            }
            dy = product_transposed(&da, parameters.tensor(&format!("layer{l}.input")));
        }
        add(&mut dx, &dy);

        // Section 6: the input table.
        let table = match network.input {
            Input::OneHot | Input::Discounted => continue,
            Input::Embedding => "input.embedding",
            Input::Shared => "output.weight",
        };
        let item = *step.sessions[b].last().expect("a session holds its current item") as usize;
        let dx = times(&dx, &mask_row(step.embedding_mask, b, dx.len()));
        let width = dx.len();
        add(&mut gradient.tensor_mut(table).values[item * width..(item + 1) * width], &dx);
    }
    gradient
}

//! Random steps, on which the fast code is compared with the reference.

use super::network::Step;
use super::{input_width, uniform};
use crate::config::{Input, Network, Training, Unit};

/// The owned form of a [`Step`], with the same fields.
#[derive(Clone, Debug)]
pub struct Example {
    /// `B` sessions so far, the current item last.
    pub sessions: Vec<Vec<u32>>,
    /// `B` targets.
    pub targets: Vec<u32>,
    /// `S` samples.
    pub samples: Vec<u32>,
    /// h' of each recurrent layer, `B×H`.
    pub hidden: Vec<Vec<f64>>,
    /// c' of each LSTM layer, `B×H`.
    pub cell: Vec<Vec<f64>>,
    /// Dropout mask of the input vectors, `B×d`.
    pub embedding_mask: Option<Vec<f64>>,
    /// Dropout masks of the layers, `B×width`.
    pub hidden_masks: Vec<Vec<f64>>,
    /// Support of the `n` items, 1 to 50.
    pub support: Vec<u64>,
}

impl Example {
    /// A random step over `n` items, with `rows` rows, `samples` samples, and the dropout of `training`.
    ///
    /// It contains the special cases: row 0 begins a session (zero state), the last two rows have the same target, the
    /// first sample is row 0's target, the second is row 0's input, and sessions have one to four events.
    pub fn random(
        network: &Network,
        training: &Training,
        n: usize,
        rows: usize,
        samples: usize,
        seed: u64,
    ) -> Self {
        let mut state = seed;
        let mut below = |limit: usize| (uniform(&mut state) * limit as f64) as usize;
        let support = (0..n).map(|_| 1 + below(50) as u64).collect();
        let mut items = |count: usize| (0..count).map(|_| below(n) as u32).collect::<Vec<_>>();
        let sessions: Vec<Vec<u32>> = (0..rows).map(|b| items(1 + b % 4)).collect();
        let (mut targets, mut samples) = (items(rows), items(samples));
        if rows > 2 {
            targets[rows - 1] = targets[rows - 2];
        }
        for (sample, own) in samples.iter_mut().zip([targets[0], sessions[0][0]]) {
            *sample = own;
        }

        let mut carried = |bound: f64| {
            let layer = |&units: &usize| {
                let value =
                    |k: usize| if k < units { 0.0 } else { bound * (2.0 * uniform(&mut state) - 1.0) };
                (0..rows * units).map(value).collect()
            };
            network.layers.iter().map(layer).collect::<Vec<Vec<f64>>>()
        };
        let hidden = carried(0.9);
        let cell = if network.unit == Unit::Lstm { carried(1.5) } else { Vec::new() };
        let mut mask = |width: usize, p: f64| {
            let kept = 1.0 / (1.0 - p);
            let value = |_| if uniform(&mut state) < p { 0.0 } else { kept };
            (0..rows * width).map(value).collect::<Vec<f64>>()
        };
        let has_table = matches!(network.input, Input::Embedding | Input::Shared);
        let embedding_mask = (has_table && training.dropout_embedding > 0.0)
            .then(|| mask(input_width(network, n), training.dropout_embedding));
        let widths = network.layers.iter().chain(&network.feed_forward);
        let hidden_masks = if training.dropout_hidden > 0.0 {
            widths.map(|&width| mask(width, training.dropout_hidden)).collect()
        } else {
            Vec::new()
        };
        Self { sessions, targets, samples, hidden, cell, embedding_mask, hidden_masks, support }
    }

    /// Borrows the step.
    pub fn step(&self) -> Step<'_> {
        Step {
            sessions: &self.sessions,
            targets: &self.targets,
            samples: &self.samples,
            hidden: &self.hidden,
            cell: &self.cell,
            embedding_mask: self.embedding_mask.as_deref(),
            hidden_masks: &self.hidden_masks,
            support: &self.support,
        }
    }
}

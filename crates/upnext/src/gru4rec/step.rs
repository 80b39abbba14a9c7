//! One training step: forward, loss, backward, update. Its cost does not depend on the number of items.

use super::config::{self, TrainingConfig};
use super::layers::Machine;
use super::network::{Network, kernel_activation};
use super::output::{Output, Scored};
use super::parameters::{Layout, Parameters};
use super::pass::{Dropout, Pass};
use super::update::{Gradients, update};
use crate::batch::Batch;
use crate::data::{ItemIndex, Sessions};
use upnext_kernels::{LossKind, Matrix, Optimizer, OptimizerState, RowGroups, Rule};

/// The buffers of a training step.
#[derive(Debug)]
pub(crate) struct TrainingStep {
    pub(crate) pass: Pass,
    output: Output,
    optimizer: Optimizer,
    clip_norm: f64,
    /// 1 / configured batch size.
    weight: f32,
    /// The uses of the output table's rows, and of the input's where it has a table of its own.
    output_rows: RowGroups,
    input_rows: Option<RowGroups>,
    shared: bool,
    /// Of the dense parameters, where they are to be clipped; those of tables are rows of `Output::d_rows`, `d_dense` and
    /// `d_gates`.
    gradients: Parameters<Matrix>,
    /// B × 1: what a bias reads.
    ones: Matrix,
}

/// What a step is asked to learn from, besides the batch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StepItems<'a> {
    /// The targets of the batch, then the samples.
    pub(crate) scored: &'a [ItemIndex],
    /// logQ of each, if any.
    pub(crate) offsets: Option<&'a [f32]>,
    /// (scored item, row), ordered: what is no negative of the row besides its own target.
    pub(crate) masked: &'a [(u32, u32)],
    pub(crate) dropout: Option<Dropout>,
}

impl TrainingStep {
    /// Buffers for training `network` as configured.
    pub(crate) fn new(network: &Network, training: &TrainingConfig) -> Self {
        let config = network.config();
        let (rows, items, out) = (training.batch_size, network.num_items(), config.output_width());
        let kind = match training.loss {
            config::Loss::Top1 => LossKind::Top1,
            config::Loss::Bpr => LossKind::Bpr,
            config::Loss::CrossEntropy => LossKind::CrossEntropy,
            config::Loss::Top1Max => LossKind::Top1Max,
            config::Loss::BprMax => LossKind::BprMax { penalty: training.bpr_max_penalty },
        };
        let shared = config.input == config::Input::Shared;
        let loss = Output::loss(kind, kernel_activation(network.output_activation()));
        let extra = if shared { rows } else { 0 };
        let mut ones = Matrix::zeros(rows, 1);
        (0..rows).for_each(|b| ones.row_mut(b)[0] = 1.0);
        let clip = training.clip_norm > 0.0;
        let place =
            |layout: &Layout| if clip && !layout.table { layout.zeros() } else { Matrix::zeros(0, 0) };
        Self {
            pass: Pass::new(config, rows),
            output: Output::new(loss, out, rows, training.samples, extra),
            optimizer: optimizer(training),
            clip_norm: f64::from(training.clip_norm),
            weight: 1.0 / rows as f32,
            output_rows: RowGroups::new(items),
            input_rows: (!shared).then(|| RowGroups::new(items)),
            shared,
            gradients: network.layouts.map(place),
            ones,
        }
    }

    /// The optimiser's state before the first step.
    pub(crate) fn initial_state(network: &Network, training: &TrainingConfig) -> Parameters<OptimizerState> {
        let optimizer = optimizer(training);
        network.layouts.map(|layout| OptimizerState::new(&optimizer, layout.rows, layout.width()))
    }

    /// Learns from one mini-batch; returns its loss, averaged over the configured batch size.
    pub(crate) fn run(
        &mut self,
        machine: Machine,
        network: &mut Network,
        state: &mut Parameters<OptimizerState>,
        batch: &Batch,
        sessions: &Sessions,
        items: StepItems,
    ) -> f64 {
        let rows = batch.len();
        self.pass.forward(machine, network, batch, sessions, items.dropout);
        let (top, d_top) = self.pass.top_and_gradient();
        let scored = Scored {
            rows,
            items: items.scored,
            offsets: items.offsets,
            masked: items.masked,
            weight: self.weight,
        };
        let loss = self.output.step(machine, &network.values.output, top, scored, d_top);
        self.pass.backward(machine, network, rows);
        self.group_rows(batch, items.scored);
        let gradients = Gradients {
            rows,
            pass: &self.pass,
            d_rows: &self.output.d_rows,
            output_rows: &self.output_rows,
            input_rows: self.input_rows.as_ref(),
            ones: &self.ones,
        };
        let (values, places) = (&mut network.values, &mut self.gradients);
        update(machine, &self.optimizer, self.clip_norm, values, state, places, gradients);
        loss
    }

    /// Finds the rows of tables that the step uses, each once.
    fn group_rows(&mut self, batch: &Batch, scored: &[ItemIndex]) {
        let used = scored.iter().copied();
        if self.shared {
            self.output_rows.group(used.chain(batch.inputs.iter().copied()));
            let d_vectors = &self.pass.input.d_dense;
            for b in 0..batch.len() {
                // The bias of an input item, behind the units, has no gradient from the input.
                let row = self.output.d_rows.row_mut(scored.len() + b);
                row.fill(0.0);
                row[..d_vectors.width()].copy_from_slice(d_vectors.values(b));
            }
        } else {
            self.output_rows.group(used);
        }
        if let Some(groups) = &mut self.input_rows {
            if self.pass.input.is_sparse() {
                groups.group(self.pass.input.entries.items.iter().copied());
            } else {
                groups.group(batch.inputs.iter().copied());
            }
        }
    }
}

/// The kernels' form of the configured optimiser.
pub(crate) fn optimizer(training: &TrainingConfig) -> Optimizer {
    let epsilon = training.epsilon_for_optimizer();
    let rule = match training.optimizer {
        config::Optimizer::Adagrad => Rule::Adagrad { epsilon },
        config::Optimizer::Rmsprop => Rule::Rmsprop { decay: training.rmsprop_decay, epsilon },
        config::Optimizer::Sgd => Rule::Sgd,
        config::Optimizer::Adam => {
            Rule::Adam { beta1: training.adam_beta1, beta2: training.adam_beta2, epsilon }
        }
    };
    Optimizer { rule, learning_rate: training.learning_rate, momentum: training.momentum, l2: training.l2 }
}

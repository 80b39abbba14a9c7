//! One training step: forward, loss, backward, update. Its cost does not depend on the number of items.

use super::config::{self, TrainingConfig};
use super::layers::Machine;
use super::network::{Network, kernel_activation};
use super::output::{Output, Scored};
use super::parameters::{Layout, Parameters};
use super::pass::{Dropout, Pass};
use crate::batch::Batch;
use crate::data::{ItemIndex, Sessions};
use upnext_kernels::{
    DenseBlocks, GradientRows, LossKind, Matrix, Optimizer, OptimizerState, RowGroups, Rule, View,
    dense_norm_squared, padded, product, table_norm_squared, update_dense, update_table,
};

/// Rows of a dense parameter that one task differentiates and updates.
const DENSE_BLOCK: usize = 16;

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
    /// Of the dense parameters; those of tables are rows of `Output::d_rows`, `d_dense` and `d_gates`.
    gradients: Parameters<Matrix>,
    /// 1 × B: what a bias reads.
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

/// What [`TrainingStep::visit`] does with each parameter.
#[derive(Clone, Copy)]
enum Visit {
    /// Differentiate and update.
    Whole,
    /// Differentiate, and add up the squares.
    Norm,
    /// Update by the gradients times this.
    Update(f32),
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
        let mut ones = Matrix::zeros(1, rows);
        ones.row_mut(0)[..rows].fill(1.0);
        let dense = |layout: &Layout| if layout.table { Matrix::zeros(0, 0) } else { layout.zeros() };
        Self {
            pass: Pass::new(config, rows),
            output: Output::new(loss, out, rows, training.samples, extra),
            optimizer: optimizer(training),
            clip_norm: f64::from(training.clip_norm),
            weight: 1.0 / rows as f32,
            output_rows: RowGroups::new(items),
            input_rows: (!shared).then(|| RowGroups::new(items)),
            shared,
            gradients: network.layouts.map(dense),
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
        if self.clip_norm > 0.0 {
            let norm = self.visit(machine, network, state, rows, Visit::Norm).sqrt();
            let scale = if norm > self.clip_norm { self.clip_norm / norm } else { 1.0 };
            self.visit(machine, network, state, rows, Visit::Update(scale as f32));
        } else {
            self.visit(machine, network, state, rows, Visit::Whole);
        }
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

    /// Goes through all parameters; returns the sum of the squared gradients where that is asked for.
    fn visit(
        &mut self,
        machine: Machine,
        network: &mut Network,
        state: &mut Parameters<OptimizerState>,
        rows: usize,
        visit: Visit,
    ) -> f64 {
        let visitor = Visitor { machine, optimizer: &self.optimizer, rows, visit };
        let (values, pass) = (&mut network.values, &self.pass);
        let of_output = GradientRows { gradients: &self.output.d_rows, source: None };
        let mut sum = visitor.table(&mut values.output, &mut state.output, &self.output_rows, of_output);
        if let (Some(value), Some(state), Some(groups)) =
            (&mut values.embedding, &mut state.embedding, &self.input_rows)
        {
            let of_vectors = GradientRows { gradients: &pass.input.d_dense, source: None };
            sum += visitor.table(value, state, groups, of_vectors);
        }
        let entries = &pass.input.entries;
        for (l, layer) in pass.layers.iter().enumerate() {
            let (value, state) = (&mut values.layers[l], &mut state.layers[l]);
            let gradient = &mut self.gradients.layers[l];
            let d_gates = &layer.d_gates;
            let of_items =
                GradientRows { gradients: d_gates, source: Some((&entries.rows, &entries.weights)) };
            let input_groups = self.input_rows.as_ref().filter(|_| pass.input.is_sparse());
            sum += match (l, input_groups) {
                (0, Some(groups)) => visitor.table(&mut value.input, &mut state.input, groups, of_items),
                _ => {
                    let read = if l == 0 { &pass.input.dense } else { &pass.layers[l - 1].state };
                    visitor.dense(
                        &mut value.input,
                        &mut state.input,
                        &mut gradient.input,
                        &[(read, 0)],
                        d_gates,
                    )
                }
            };
            if let (Some(value), Some(state), Some(gradient)) =
                (&mut value.skip, &mut state.skip, &mut gradient.skip)
            {
                sum += match input_groups {
                    Some(groups) => visitor.table(value, state, groups, of_items),
                    None => visitor.dense(value, state, gradient, &[(&pass.input.dense, 0)], d_gates),
                };
            }
            // The GRU's candidate reads r ⊙ h', the other gates h'.
            let candidate = 2 * padded(layer.state.width());
            let read = [(&layer.previous, 0), (&layer.reset_state, candidate)];
            let read = if network.layouts.layers[l].recurrent.blocks == 3 { &read[..] } else { &read[..1] };
            sum += visitor.dense(
                &mut value.recurrent,
                &mut state.recurrent,
                &mut gradient.recurrent,
                read,
                d_gates,
            );
            sum += visitor.bias(&mut value.bias, &mut state.bias, &mut gradient.bias, &self.ones, d_gates);
        }
        for (k, layer) in pass.feed_forward.iter().enumerate() {
            let (value, state) = (&mut values.feed_forward[k], &mut state.feed_forward[k]);
            let gradient = &mut self.gradients.feed_forward[k];
            let read = match k {
                0 => &pass.layers[pass.layers.len() - 1].state,
                _ => &pass.feed_forward[k - 1].state,
            };
            let d = &layer.d_state;
            sum += visitor.dense(&mut value.weight, &mut state.weight, &mut gradient.weight, &[(read, 0)], d);
            sum += visitor.bias(&mut value.bias, &mut state.bias, &mut gradient.bias, &self.ones, d);
        }
        sum
    }
}

/// Differentiates and updates parameters, one after the other.
struct Visitor<'a> {
    machine: Machine<'a>,
    optimizer: &'a Optimizer,
    rows: usize,
    visit: Visit,
}

impl Visitor<'_> {
    fn table(
        &self,
        value: &mut Matrix,
        state: &mut OptimizerState,
        groups: &RowGroups,
        gradients: GradientRows,
    ) -> f64 {
        let Machine { team, isa } = self.machine;
        let scale = match self.visit {
            Visit::Norm => return table_norm_squared(isa, self.optimizer.l2, value, groups, gradients),
            Visit::Whole => 1.0,
            Visit::Update(scale) => scale,
        };
        update_table(team, isa, self.optimizer, scale, value, state, groups, gradients);
        0.0
    }

    /// A matrix whose gradient is `readᵀ · d`, the columns from each entry's number on reading that entry's matrix.
    fn dense(
        &self,
        value: &mut Matrix,
        state: &mut OptimizerState,
        gradient: &mut Matrix,
        read: &[(&Matrix, usize)],
        d: &Matrix,
    ) -> f64 {
        self.differentiate(value, state, gradient, |first, count, block, stride| {
            let end = |i: usize| read.get(i + 1).map_or(d.width(), |&(_, from)| from);
            for (i, &(read, from)) in read.iter().enumerate() {
                let shape = (count, end(i) - from, self.rows);
                let x = read.view(self.rows).transposed().from_row(first);
                let d = View::rows(d.data(), d.stride()).from_column(from);
                product(self.machine.isa, shape, x, d, &mut block[from..], stride, false);
            }
        })
    }

    /// A bias, whose gradient is the sum of `d` over the rows.
    fn bias(
        &self,
        value: &mut Matrix,
        state: &mut OptimizerState,
        gradient: &mut Matrix,
        ones: &Matrix,
        d: &Matrix,
    ) -> f64 {
        self.differentiate(value, state, gradient, |_, count, block, stride| {
            let shape = (count, d.width(), self.rows);
            product(self.machine.isa, shape, ones.view(1), d.view(self.rows), block, stride, false);
        })
    }

    /// Updates a dense parameter; `fill(first, count, block, stride)` writes the gradient of a block of rows.
    fn differentiate(
        &self,
        value: &mut Matrix,
        state: &mut OptimizerState,
        gradient: &mut Matrix,
        fill: impl Fn(usize, usize, &mut [f32], usize) + Sync,
    ) -> f64 {
        let Machine { team, isa } = self.machine;
        let (stride, rows) = (gradient.stride(), gradient.rows());
        if let Visit::Norm = self.visit {
            team.for_each(gradient.blocks_mut(DENSE_BLOCK).enumerate(), |(i, block)| {
                let first = i * DENSE_BLOCK;
                fill(first, DENSE_BLOCK.min(rows - first), block, stride);
            });
            return dense_norm_squared(isa, self.optimizer.l2, value, gradient);
        }
        let scale = if let Visit::Update(scale) = self.visit { scale } else { 1.0 };
        let known = matches!(self.visit, Visit::Update(_));
        let blocks = DenseBlocks::new(value, state, DENSE_BLOCK).zip(gradient.blocks_mut(DENSE_BLOCK));
        team.for_each(blocks, |(parameter, block)| {
            if !known {
                fill(parameter.first(), parameter.count(), block, stride);
            }
            update_dense(isa, self.optimizer, scale, parameter, block);
        });
        0.0
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

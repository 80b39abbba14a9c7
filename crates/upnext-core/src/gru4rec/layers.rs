//! Forward and backward passes of recurrent and feed-forward layers, over blocks of rows of a mini-batch.
//!
//! Shapes: `B` rows, `H` units of a layer (rounded up to whole cache lines in memory), `G` gates. Rows of a mini-batch
//! are independent of each other inside a layer, so that each thread computes a block of rows without waiting for the
//! others.

use super::config::{NetworkConfig, Unit};
use super::input::StepInput;
use super::parameters::{DenseParameters, LayerParameters};
use super::update::Reads;
use crate::batch::Carry;
use upnext_kernels::{
    Activation, CounterRng, Isa, Matrix, ThreadPool, View, activate, activate_backward, dropout_mask,
    gru_reset, gru_reset_backward, gru_update, gru_update_backward, lstm, lstm_backward, multiply, padded,
    product, product_by_rows,
};

/// The threads and the instruction set that compute.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu<'a> {
    pub(crate) pool: &'a ThreadPool,
    pub(crate) isa: Isa,
}

impl Cpu<'_> {
    /// Rows per thread when `rows` rows are divided evenly. Rows are independent, so the result does not depend on the
    /// number of threads.
    fn block(&self, rows: usize) -> usize {
        rows.div_ceil(self.pool.threads()).max(1)
    }

    /// As [`block`](Self::block), for light work on `floats` floats per row: if there are few in all, one thread does
    /// it alone, because waking another would take longer.
    pub(crate) fn light_block(&self, rows: usize, floats: usize) -> usize {
        // In tests, small matrices are divided too.
        const LIGHT: usize = if cfg!(test) { 64 } else { 32 * 1024 };
        if rows * floats <= LIGHT { rows.max(1) } else { self.block(rows) }
    }
}

/// The input of a layer.
#[derive(Clone, Copy)]
pub(crate) enum LayerInput<'a> {
    /// The network's input.
    Input(&'a StepInput),
    /// B × units of the layer below: its output.
    Layer(&'a Matrix),
}

impl LayerInput<'_> {
    /// Adds the product of rows `first..first + count` and `weights` to `block`.
    fn add_product(
        &self,
        cpu: Cpu,
        weights: &Matrix,
        first: usize,
        count: usize,
        block: &mut [f32],
        stride: usize,
    ) {
        match self {
            LayerInput::Input(input) => input.add_product(cpu, weights, first, count, block, stride),
            LayerInput::Layer(state) => {
                let rows = View::rows(state.data(), state.stride()).from_row(first);
                let shape = (count, weights.width(), state.width());
                product(cpu.isa, shape, rows, weights.view(weights.rows()), block, stride, true);
            }
        }
    }
}

/// The activations and gradients of a recurrent layer in a step.
#[derive(Debug)]
pub(crate) struct LayerBuffers {
    unit: Unit,
    activation: Activation,
    units: usize,
    /// B × H: `h'`, the hidden state that each row carries from its event before; zero for a new session.
    pub(crate) previous: Matrix,
    /// B × H: `c'`, the same for the cell state of an LSTM.
    pub(crate) previous_cell: Matrix,
    /// B × H: `state` and `cell` of the step before, in its order of rows.
    old_state: Matrix,
    old_cell: Matrix,
    /// B × G·H: pre-activations, then activated gates.
    gates: Matrix,
    /// B × H: `r ⊙ h'`.
    reset_state: Matrix,
    /// B × H: the layer's output, after dropout.
    pub(crate) state: Matrix,
    /// B × H: the cell state of an LSTM.
    pub(crate) cell: Matrix,
    /// B × H: the dropout mask, 0 or 1 / (1 − p); valid if `dropped`.
    mask: Matrix,
    dropped: bool,
    /// B × H: the gradient of `state`; its padding stays 0.
    pub(crate) d_state: Matrix,
    /// B × G·H: the gradient of the pre-activations.
    pub(crate) d_gates: Matrix,
    /// B × H: the gradient of `reset_state`.
    d_reset_state: Matrix,
}

impl LayerBuffers {
    /// Buffers of layer `l` for up to `rows` rows; all states are zero.
    pub(crate) fn new(config: &NetworkConfig, l: usize, rows: usize) -> Self {
        let units = config.layers[l];
        let gate_width = config.unit.gates() * if config.unit.gates() == 1 { units } else { padded(units) };
        let matrix = |width| Matrix::zeros(rows, width);
        // Matrices that the unit does not use have width 0.
        let of = |unit| matrix(if config.unit == unit { units } else { 0 });
        Self {
            unit: config.unit,
            activation: config.hidden_activation,
            units,
            previous: matrix(units),
            previous_cell: of(Unit::Lstm),
            old_state: matrix(units),
            old_cell: of(Unit::Lstm),
            gates: matrix(gate_width),
            reset_state: of(Unit::Gru),
            state: matrix(units),
            cell: of(Unit::Lstm),
            mask: matrix(units),
            dropped: false,
            d_state: matrix(units),
            d_gates: matrix(gate_width),
            d_reset_state: of(Unit::Gru),
        }
    }

    /// The forward pass of a step. Dropout applies to the state that the layer above and the next step read.
    pub(crate) fn forward(
        &mut self,
        cpu: Cpu,
        parameters: &LayerParameters<Matrix>,
        below: LayerInput,
        skip: Option<&StepInput>,
        carry: &[Carry],
        dropout: Option<(CounterRng, f32)>,
    ) {
        std::mem::swap(&mut self.state, &mut self.old_state);
        std::mem::swap(&mut self.cell, &mut self.old_cell);
        self.dropped = dropout.is_some();
        let (rows, units, h) = (carry.len(), self.units, padded(self.units));
        let (unit, activation, isa) = (self.unit, self.activation, cpu.isa);
        let (old_state, old_cell) = (&self.old_state, &self.old_cell);
        let strides = [
            self.previous.stride(),
            self.previous_cell.stride(),
            self.gates.stride(),
            self.reset_state.stride(),
            self.state.stride(),
        ];
        let [stride, cell_stride, gate_stride, reset_stride, _] = strides;
        let block = cpu.block(rows);
        let blocks = (self.previous.blocks_mut(block))
            .zip(self.previous_cell.blocks_mut(block))
            .zip(self.gates.blocks_mut(block))
            .zip(self.reset_state.blocks_mut(block))
            .zip(self.state.blocks_mut(block))
            .zip(self.cell.blocks_mut(block))
            .zip(self.mask.blocks_mut(block))
            .take(rows.div_ceil(block))
            .enumerate();
        cpu.pool.for_each(
            blocks,
            |(i, ((((((previous, previous_cell), gates), reset), state), cell), mask))| {
                let first = i * block;
                let count = block.min(rows - first);
                for b in 0..count {
                    let (h_row, c_row) = (
                        &mut previous[b * stride..][..stride],
                        &mut previous_cell[b * cell_stride..][..cell_stride],
                    );
                    match carry[first + b] {
                        Carry::Fresh => {
                            h_row.fill(0.0);
                            c_row.fill(0.0);
                        }
                        Carry::Row(from) => {
                            h_row.copy_from_slice(old_state.row(from));
                            c_row.copy_from_slice(old_cell.row(from));
                        }
                    }
                    gates[b * gate_stride..][..gate_stride].copy_from_slice(parameters.bias.row(0));
                }
                below.add_product(cpu, &parameters.input, first, count, gates, gate_stride);
                if let (Some(input), Some(weights)) = (skip, &parameters.skip) {
                    input.add_product(cpu, weights, first, count, gates, gate_stride);
                }
                let recurrent = parameters.recurrent.view(units);
                let carried = View::rows(previous, stride);
                match unit {
                    Unit::Gru => {
                        product(isa, (count, 2 * h, units), carried, recurrent, gates, gate_stride, true);
                        for b in 0..count {
                            gru_reset(
                                isa,
                                &mut gates[b * gate_stride..][..3 * h],
                                &previous[b * stride..][..h],
                                &mut reset[b * reset_stride..][..h],
                            );
                        }
                        let candidate = recurrent.from_column(2 * h);
                        let reset = View::rows(reset, reset_stride);
                        product(
                            isa,
                            (count, h, units),
                            reset,
                            candidate,
                            &mut gates[2 * h..],
                            gate_stride,
                            true,
                        );
                        for b in 0..count {
                            gru_update(
                                isa,
                                activation,
                                &mut gates[b * gate_stride..][..3 * h],
                                &previous[b * stride..][..h],
                                &mut state[b * stride..][..h],
                            );
                        }
                    }
                    Unit::Lstm => {
                        product(isa, (count, 4 * h, units), carried, recurrent, gates, gate_stride, true);
                        for b in 0..count {
                            lstm(
                                isa,
                                &mut gates[b * gate_stride..][..4 * h],
                                &previous_cell[b * cell_stride..][..h],
                                &mut cell[b * cell_stride..][..h],
                                &mut state[b * stride..][..h],
                            );
                        }
                    }
                    Unit::Rnn => {
                        product(isa, (count, h, units), carried, recurrent, gates, gate_stride, true);
                        for b in 0..count {
                            let gate = &mut gates[b * gate_stride..][..h];
                            activate(isa, activation, gate);
                            state[b * stride..][..h].copy_from_slice(gate);
                        }
                    }
                }
                if let Some((rng, drop)) = dropout {
                    for b in 0..count {
                        let mask = &mut mask[b * stride..][..stride];
                        dropout_mask(isa, rng.substream((first + b) as u64), drop, &mut mask[..units]);
                        multiply(isa, mask, &mut state[b * stride..][..stride]);
                    }
                }
            },
        );
    }

    /// The backward pass of a step: computes `d_gates` from `d_state`, then the gradients of the layer's inputs.
    ///
    /// `d_below`: B × in, the gradient of the layer below or of the input vectors; `d_skip`: the gradient of the input
    /// vectors of a deeper layer. Each flag says whether to add to the matrix or to overwrite it.
    pub(crate) fn backward(
        &mut self,
        cpu: Cpu,
        parameters: &LayerParameters<Matrix>,
        rows: usize,
        d_below: Option<(&mut Matrix, bool)>,
        d_skip: Option<(&mut Matrix, bool)>,
    ) {
        let (units, h) = (self.units, padded(self.units));
        let (unit, activation, isa, dropped) = (self.unit, self.activation, cpu.isa, self.dropped);
        let stride = self.previous.stride();
        let (gate_stride, reset_stride) = (self.gates.stride(), self.reset_state.stride());
        let (previous, previous_cell, cell, gates, mask) =
            (&self.previous, &self.previous_cell, &self.cell, &self.gates, &self.mask);
        let block = cpu.block(rows);
        let blocks = (self.d_state.blocks_mut(block))
            .zip(self.d_gates.blocks_mut(block))
            .zip(self.d_reset_state.blocks_mut(block))
            .take(rows.div_ceil(block))
            .enumerate();
        cpu.pool.for_each(blocks, |(i, ((d_state, d_gates), d_reset))| {
            let first = i * block;
            let count = block.min(rows - first);
            if dropped {
                multiply(
                    isa,
                    &mask.data()[first * stride..][..count * stride],
                    &mut d_state[..count * stride],
                );
            }
            for b in 0..count {
                let gates = gates.row(first + b);
                let d_gates = &mut d_gates[b * gate_stride..];
                let d_state = &d_state[b * stride..][..h];
                match unit {
                    Unit::Gru => {
                        let previous = &previous.row(first + b)[..h];
                        gru_update_backward(
                            isa,
                            activation,
                            &gates[..3 * h],
                            previous,
                            d_state,
                            &mut d_gates[..3 * h],
                        );
                    }
                    Unit::Lstm => lstm_backward(
                        isa,
                        &gates[..4 * h],
                        &previous_cell.row(first + b)[..h],
                        &cell.row(first + b)[..h],
                        d_state,
                        &mut d_gates[..4 * h],
                    ),
                    Unit::Rnn => {
                        d_gates[..h].copy_from_slice(d_state);
                        activate_backward(isa, activation, &gates[..h], &mut d_gates[..h]);
                    }
                }
            }
            if unit == Unit::Gru {
                let candidate = parameters.recurrent.view(units).from_column(2 * h);
                let d_candidate = View::rows(d_gates, gate_stride).from_column(2 * h);
                product_by_rows(isa, (count, units, h), d_candidate, candidate, d_reset, reset_stride, false);
                for b in 0..count {
                    gru_reset_backward(
                        isa,
                        &gates.row(first + b)[..3 * h],
                        &previous.row(first + b)[..h],
                        &d_reset[b * reset_stride..][..h],
                        &mut d_gates[b * gate_stride..][..3 * h],
                    );
                }
            }
        });
        let d_gates = &self.d_gates;
        if let Some((d_below, accumulate)) = d_below {
            input_backward(cpu, rows, d_gates, &parameters.input, d_below, accumulate);
        }
        if let (Some((d_skip, accumulate)), Some(weights)) = (d_skip, &parameters.skip) {
            input_backward(cpu, rows, d_gates, weights, d_skip, accumulate);
        }
    }

    /// The matrices that the columns of the recurrent weights read: `r ⊙ h'` for the GRU's candidate, else `h'`.
    pub(crate) fn recurrent_reads(&self) -> Reads<'_> {
        let candidate = (self.unit == Unit::Gru).then(|| (&self.reset_state, 2 * padded(self.units)));
        [Some((&self.previous, 0)), candidate]
    }

    /// The dropout mask of the last step, if it had dropout.
    #[cfg(test)]
    pub(crate) fn mask(&self) -> Option<&Matrix> {
        self.dropped.then_some(&self.mask)
    }
}

/// The gradient of a layer's input: `d_below = d_gates · weightsᵀ`, added to `d_below` with `accumulate`.
fn input_backward(
    cpu: Cpu,
    rows: usize,
    d_gates: &Matrix,
    weights: &Matrix,
    d_below: &mut Matrix,
    accumulate: bool,
) {
    let (stride, width) = (d_below.stride(), d_below.width());
    let block = cpu.block(rows);
    let blocks = d_below.blocks_mut(block).take(rows.div_ceil(block)).enumerate();
    cpu.pool.for_each(blocks, |(i, d_below)| {
        let first = i * block;
        let shape = (block.min(rows - first), width, weights.width());
        let d_gates = d_gates.view(d_gates.rows()).from_row(first);
        product_by_rows(cpu.isa, shape, d_gates, weights.view(weights.rows()), d_below, stride, accumulate);
    });
}

/// The activations and gradients of a feed-forward layer in a step: `tanh(x W + b)`, then dropout.
#[derive(Debug)]
pub(crate) struct DenseBuffers {
    /// B × width: the activations before dropout.
    activated: Matrix,
    /// B × width: the layer's output.
    pub(crate) state: Matrix,
    /// B × width: the dropout mask; valid if `dropped`.
    mask: Matrix,
    dropped: bool,
    /// B × width: the gradient of `state`; after `backward`, that of the pre-activations.
    pub(crate) d_state: Matrix,
}

impl DenseBuffers {
    /// Buffers of feed-forward layer `k` for up to `rows` rows.
    pub(crate) fn new(config: &NetworkConfig, k: usize, rows: usize) -> Self {
        let matrix = || Matrix::zeros(rows, config.feed_forward[k]);
        Self { activated: matrix(), state: matrix(), mask: matrix(), dropped: false, d_state: matrix() }
    }

    /// The forward pass of a step.
    pub(crate) fn forward(
        &mut self,
        cpu: Cpu,
        parameters: &DenseParameters<Matrix>,
        below: &Matrix,
        rows: usize,
        dropout: Option<(CounterRng, f32)>,
    ) {
        self.dropped = dropout.is_some();
        let (width, stride, isa) = (self.state.width(), self.state.stride(), cpu.isa);
        let block = cpu.block(rows);
        let blocks = (self.activated.blocks_mut(block))
            .zip(self.state.blocks_mut(block))
            .zip(self.mask.blocks_mut(block))
            .take(rows.div_ceil(block))
            .enumerate();
        cpu.pool.for_each(blocks, |(i, ((activated, state), mask))| {
            let first = i * block;
            let count = block.min(rows - first);
            activated.chunks_mut(stride).for_each(|row| row.copy_from_slice(parameters.bias.row(0)));
            LayerInput::Layer(below).add_product(cpu, &parameters.weight, first, count, activated, stride);
            activate(isa, Activation::Tanh, activated);
            state.copy_from_slice(activated);
            if let Some((rng, drop)) = dropout {
                for b in 0..count {
                    let mask = &mut mask[b * stride..][..stride];
                    dropout_mask(isa, rng.substream((first + b) as u64), drop, &mut mask[..width]);
                    multiply(isa, mask, &mut state[b * stride..][..stride]);
                }
            }
        });
    }

    /// The backward pass of a step: turns `d_state` into the gradient of the pre-activations and overwrites `d_below`
    /// with the gradient of the layer's input.
    pub(crate) fn backward(
        &mut self,
        cpu: Cpu,
        parameters: &DenseParameters<Matrix>,
        rows: usize,
        d_below: &mut Matrix,
    ) {
        let used = rows * self.d_state.stride();
        if self.dropped {
            multiply(cpu.isa, &self.mask.data()[..used], &mut self.d_state.data_mut()[..used]);
        }
        let activated = &self.activated.data()[..used];
        activate_backward(cpu.isa, Activation::Tanh, activated, &mut self.d_state.data_mut()[..used]);
        input_backward(cpu, rows, &self.d_state, &parameters.weight, d_below, false);
    }

    /// The dropout mask of the last step, if it had dropout.
    #[cfg(test)]
    pub(crate) fn mask(&self) -> Option<&Matrix> {
        self.dropped.then_some(&self.mask)
    }
}

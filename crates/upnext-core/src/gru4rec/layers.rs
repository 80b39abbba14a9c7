//! Recurrent and feed-forward layers: forward and backward over blocks of a mini-batch's rows.
//!
//! Shapes: `B` rows, `H` units of a layer (rounded up to whole cache lines in memory), `G` gates. The rows of a batch do
//! not meet inside a layer, so that threads take blocks of rows through it without waiting for each other.

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

/// Where the arithmetic runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cpu<'a> {
    pub(crate) pool: &'a ThreadPool,
    pub(crate) isa: Isa,
}

impl Cpu<'_> {
    /// Rows of a block when `rows` rows are dealt out evenly to the threads. Rows are independent of each other, so
    /// that the number of threads does not change a bit of the result.
    fn block(&self, rows: usize) -> usize {
        rows.div_ceil(self.pool.threads()).max(1)
    }

    /// As [`block`](Self::block), where a row is `floats` floats to be touched: few of them are left to one thread, as
    /// waking another would take longer.
    pub(crate) fn light_block(&self, rows: usize, floats: usize) -> usize {
        // In tests even small ones are divided.
        const LIGHT: usize = if cfg!(test) { 64 } else { 32 * 1024 };
        if rows * floats <= LIGHT { rows.max(1) } else { self.block(rows) }
    }
}

/// What a layer reads.
#[derive(Clone, Copy)]
pub(crate) enum Below<'a> {
    /// The network's input.
    Input(&'a StepInput),
    /// The output of the layer below: B × its units.
    Layer(&'a Matrix),
}

impl Below<'_> {
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
            Below::Input(input) => input.add_product(cpu, weights, first, count, block, stride),
            Below::Layer(state) => {
                let rows = View::rows(state.data(), state.stride()).from_row(first);
                let shape = (count, weights.width(), state.width());
                product(cpu.isa, shape, rows, weights.view(weights.rows()), block, stride, true);
            }
        }
    }
}

/// What a recurrent layer keeps of a step.
#[derive(Debug)]
pub(crate) struct LayerBuffers {
    unit: Unit,
    activation: Activation,
    units: usize,
    /// B × H: the state that each row carries on, and where the step before left it.
    pub(crate) previous: Matrix,
    pub(crate) previous_cell: Matrix,
    old_state: Matrix,
    old_cell: Matrix,
    /// B × G·H: pre-activations, then activated gates.
    gates: Matrix,
    /// B × H: `r ⊙ h'`.
    reset_state: Matrix,
    /// B × H: the layer's output, after dropout.
    pub(crate) state: Matrix,
    pub(crate) cell: Matrix,
    mask: Matrix,
    dropped: bool,
    /// B × H: the gradient of `state`; its padding stays 0.
    pub(crate) d_state: Matrix,
    /// B × G·H: the gradient of the pre-activations.
    pub(crate) d_gates: Matrix,
    d_reset_state: Matrix,
}

impl LayerBuffers {
    /// Buffers of layer `l` for up to `rows` rows, with zero state.
    pub(crate) fn new(config: &NetworkConfig, l: usize, rows: usize) -> Self {
        let units = config.layers[l];
        let gate_width = config.unit.gates() * if config.unit.gates() == 1 { units } else { padded(units) };
        let matrix = |width| Matrix::zeros(rows, width);
        // What a unit does not have is as narrow as can be.
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

    /// One step forward; with `dropout` a share of the units is dropped, for the layer above and the next step alike.
    pub(crate) fn forward(
        &mut self,
        cpu: Cpu,
        parameters: &LayerParameters<Matrix>,
        below: Below,
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

    /// One step backward: from `d_state` to `d_gates`, and on to the gradients of what the layer read.
    ///
    /// `d_below`: B × in, of the layer below or of vectors read; `d_skip`: of vectors read besides. Each is overwritten,
    /// or added to where its flag says so.
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

    /// What the columns of the recurrent weights read: the GRU's candidate `r ⊙ h'`, all others `h'`.
    pub(crate) fn recurrent_reads(&self) -> Reads<'_> {
        let candidate = (self.unit == Unit::Gru).then(|| (&self.reset_state, 2 * padded(self.units)));
        [Some((&self.previous, 0)), candidate]
    }

    /// The dropout mask of the last step.
    #[cfg(test)]
    pub(crate) fn mask(&self) -> Option<&Matrix> {
        self.dropped.then_some(&self.mask)
    }
}

/// The gradient of what weights read: `d_below (+)= d_gates · weightsᵀ`.
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

/// What a feed-forward layer keeps of a step: `tanh(x W + b)`, then dropout.
#[derive(Debug)]
pub(crate) struct DenseBuffers {
    /// B × width: before dropout.
    activated: Matrix,
    /// B × width: the layer's output.
    pub(crate) state: Matrix,
    mask: Matrix,
    dropped: bool,
    /// B × width: the gradient of `state`, then of the pre-activation.
    pub(crate) d_state: Matrix,
}

impl DenseBuffers {
    /// Buffers of feed-forward layer `k` for up to `rows` rows.
    pub(crate) fn new(config: &NetworkConfig, k: usize, rows: usize) -> Self {
        let matrix = || Matrix::zeros(rows, config.feed_forward[k]);
        Self { activated: matrix(), state: matrix(), mask: matrix(), dropped: false, d_state: matrix() }
    }

    /// One step forward.
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
            Below::Layer(below).add_product(cpu, &parameters.weight, first, count, activated, stride);
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

    /// One step backward: `d_state` becomes the gradient of the pre-activation, and `d_below` that of what was read.
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

    /// The dropout mask of the last step.
    #[cfg(test)]
    pub(crate) fn mask(&self) -> Option<&Matrix> {
        self.dropped.then_some(&self.mask)
    }
}

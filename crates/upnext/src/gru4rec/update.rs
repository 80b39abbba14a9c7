//! From the gradients of a step to new parameters: every parameter with what its gradient is made of, differentiated and
//! updated block by block in one phase of all threads.

use super::layers::Machine;
use super::parameters::Parameters;
use super::pass::Pass;
use std::cell::RefCell;
use upnext_kernels::{
    DenseBlock, DenseBlocks, GradientRows, Matrix, Optimizer, OptimizerState, RowGroups, TableBlock,
    TableBlocks, View, dense_norm_squared, product, table_norm_squared, update_dense, update_table,
};

/// Floats of a block of a dense parameter, the task of one thread: with its gradient and the optimiser's state it fits
/// the second cache, and a layer of 100 units is a single block, which one thread keeps to itself.
const DENSE_FLOATS: usize = 48 * 1024;

/// Rows of a table in a task.
const TABLE_ROWS: usize = 64;

/// What a step knows about the gradients of all parameters.
#[derive(Clone, Copy)]
pub(crate) struct Gradients<'a> {
    /// Number of rows of the batch.
    pub(crate) rows: usize,
    /// The pass, gone through backward.
    pub(crate) pass: &'a Pass,
    /// The gradients of the output table's rows, and which rows those are.
    pub(crate) d_rows: &'a Matrix,
    pub(crate) output_rows: &'a RowGroups,
    /// The rows of the input's tables, where it has tables of its own.
    pub(crate) input_rows: Option<&'a RowGroups>,
    /// B × 1, all 1: what a bias reads.
    pub(crate) ones: &'a Matrix,
}

/// The matrices that the columns of a dense parameter read, B × in each, and the column from which on they do.
pub(crate) type Reads<'a> = [Option<(&'a Matrix, usize)>; 2];

/// The gradient of a dense parameter: `readᵀ · d`.
#[derive(Clone, Copy)]
struct Source<'a> {
    rows: usize,
    reads: Reads<'a>,
    d: &'a Matrix,
}

impl Source<'_> {
    /// Writes rows `first..first + count` of the gradient.
    fn differentiate(&self, machine: Machine, first: usize, count: usize, block: &mut [f32], stride: usize) {
        let d = View::rows(self.d.data(), self.d.stride());
        for (i, &(read, from)) in self.reads.iter().flatten().enumerate() {
            let end = self.reads.get(i + 1).copied().flatten().map_or(self.d.width(), |(_, from)| from);
            let shape = (count, end - from, self.rows);
            let read = read.view(self.rows).transposed().from_row(first);
            product(machine.isa, shape, read, d.from_column(from), &mut block[from..], stride, false);
        }
    }
}

/// A parameter to be updated.
enum Parameter<'a> {
    /// Every row; `gradient` is a place for it, empty where none is needed.
    Dense {
        value: &'a mut Matrix,
        state: &'a mut OptimizerState,
        gradient: &'a mut Matrix,
        source: Source<'a>,
    },
    /// The rows that the step used.
    Table {
        value: &'a mut Matrix,
        state: &'a mut OptimizerState,
        groups: &'a RowGroups,
        gradients: GradientRows<'a>,
    },
}

/// The task of one thread.
enum Task<'a> {
    Dense { block: DenseBlock<'a>, source: Source<'a>, known: Option<&'a Matrix> },
    Table(TableBlock<'a>),
}

/// Updates all parameters by their gradients.
///
/// `places`: for the gradients of dense parameters, where their norm must be known before the update; else empty.
pub(crate) fn update(
    machine: Machine,
    optimizer: &Optimizer,
    clip_norm: f64,
    values: &mut Parameters<Matrix>,
    state: &mut Parameters<OptimizerState>,
    places: &mut Parameters<Matrix>,
    gradients: Gradients,
) {
    let clip = clip_norm > 0.0;
    let mut scale = 1.0;
    if clip {
        let squares = |parameter| norm_squared(machine, optimizer, parameter);
        let norm = parameters(values, state, places, gradients).map(squares).sum::<f64>().sqrt();
        if norm > clip_norm {
            scale = (clip_norm / norm) as f32;
        }
    }
    let tasks = parameters(values, state, places, gradients).flat_map(|parameter| parameter.tasks(clip));
    machine.team.for_each(tasks, |task| task.run(machine, optimizer, scale));
}

/// The sum of the squares of a parameter's gradient, which is left in its place.
fn norm_squared(machine: Machine, optimizer: &Optimizer, parameter: Parameter) -> f64 {
    match parameter {
        Parameter::Dense { value, gradient, source, .. } => {
            let (stride, rows) = (gradient.stride(), gradient.rows());
            let block = block_rows(stride);
            machine.team.for_each(gradient.blocks_mut(block).enumerate(), |(i, floats)| {
                let first = i * block;
                source.differentiate(machine, first, block.min(rows - first), floats, stride);
            });
            dense_norm_squared(machine.isa, optimizer.l2, value, gradient)
        }
        Parameter::Table { value, groups, gradients, .. } => {
            table_norm_squared(machine.isa, optimizer.l2, value, groups, gradients)
        }
    }
}

fn block_rows(stride: usize) -> usize {
    (DENSE_FLOATS / stride).max(1)
}

impl<'a> Parameter<'a> {
    /// The parameter in blocks; `known` says that its gradient is in its place.
    fn tasks(self, known: bool) -> impl Iterator<Item = Task<'a>> {
        let (dense, table) = match self {
            Parameter::Dense { value, state, gradient, source } => {
                let known = known.then_some(&*gradient);
                let block = block_rows(value.stride());
                let task = move |block| Task::Dense { block, source, known };
                (Some(DenseBlocks::new(value, state, block).map(task)), None)
            }
            Parameter::Table { value, state, groups, gradients } => {
                let blocks = TableBlocks::new(value, state, groups, gradients, TABLE_ROWS);
                (None, Some(blocks.map(Task::Table)))
            }
        };
        dense.into_iter().flatten().chain(table.into_iter().flatten())
    }
}

thread_local! {
    /// A block's gradient, between the product that makes it and the update that reads it.
    static BLOCK: RefCell<Matrix> = RefCell::new(Matrix::zeros(0, 0));
}

impl Task<'_> {
    fn run(self, machine: Machine, optimizer: &Optimizer, scale: f32) {
        match self {
            Task::Table(block) => update_table(machine.isa, optimizer, scale, block),
            Task::Dense { block, known: Some(gradient), .. } => {
                let stride = gradient.stride();
                let floats = &gradient.data()[block.first() * stride..][..block.count() * stride];
                update_dense(machine.isa, optimizer, scale, block, floats);
            }
            Task::Dense { block, source, known: None } => BLOCK.with_borrow_mut(|floats| {
                let (stride, needed) = (block.stride(), block.count() * block.stride());
                if floats.data().len() < needed {
                    *floats = Matrix::zeros(1, needed);
                }
                let floats = &mut floats.data_mut()[..needed];
                // What the product leaves alone behind the columns is another block's.
                let width = source.d.width().next_multiple_of(upnext_kernels::LINE);
                floats.chunks_exact_mut(stride).for_each(|row| row[width..].fill(0.0));
                source.differentiate(machine, block.first(), block.count(), floats, stride);
                update_dense(machine.isa, optimizer, scale, block, floats);
            }),
        }
    }
}

/// All parameters, each with its gradient's source.
fn parameters<'a>(
    values: &'a mut Parameters<Matrix>,
    state: &'a mut Parameters<OptimizerState>,
    places: &'a mut Parameters<Matrix>,
    gradients: Gradients<'a>,
) -> impl Iterator<Item = Parameter<'a>> {
    let Gradients { rows, pass, d_rows, output_rows, input_rows, ones } = gradients;
    let dense = move |value, state, gradient, reads, d| Parameter::Dense {
        value,
        state,
        gradient,
        source: Source { rows, reads, d },
    };
    let entries = &pass.input.entries;
    let input_groups = input_rows.filter(|_| pass.input.is_sparse());
    let layers = values.layers.iter_mut().zip(&mut state.layers).zip(&mut places.layers).enumerate();
    let layers = layers.flat_map(move |(l, ((value, state), place))| {
        let layer = &pass.layers[l];
        let d = &layer.d_gates;
        let of_items = |value, state, groups| Parameter::Table {
            value,
            state,
            groups,
            gradients: GradientRows { gradients: d, source: Some((&entries.rows, &entries.weights)) },
        };
        let input = match (l, input_groups) {
            (0, Some(groups)) => of_items(&mut value.input, &mut state.input, groups),
            _ => {
                let read = if l == 0 { &pass.input.dense } else { &pass.layers[l - 1].state };
                dense(&mut value.input, &mut state.input, &mut place.input, [Some((read, 0)), None], d)
            }
        };
        let skip = match (&mut value.skip, &mut state.skip, &mut place.skip) {
            (Some(value), Some(state), Some(place)) => Some(match input_groups {
                Some(groups) => of_items(value, state, groups),
                None => dense(value, state, place, [Some((&pass.input.dense, 0)), None], d),
            }),
            _ => None,
        };
        let reads = layer.recurrent_reads();
        let recurrent = dense(&mut value.recurrent, &mut state.recurrent, &mut place.recurrent, reads, d);
        let bias = dense(&mut value.bias, &mut state.bias, &mut place.bias, [Some((ones, 0)), None], d);
        [Some(input), skip, Some(recurrent), Some(bias)].into_iter().flatten()
    });
    let forward = values.feed_forward.iter_mut().zip(&mut state.feed_forward).zip(&mut places.feed_forward);
    let forward = forward.enumerate().flat_map(move |(k, ((value, state), place))| {
        let d = &pass.feed_forward[k].d_state;
        let read = match k {
            0 => &pass.layers[pass.layers.len() - 1].state,
            _ => &pass.feed_forward[k - 1].state,
        };
        [
            dense(&mut value.weight, &mut state.weight, &mut place.weight, [Some((read, 0)), None], d),
            dense(&mut value.bias, &mut state.bias, &mut place.bias, [Some((ones, 0)), None], d),
        ]
    });
    let embedding = match (&mut values.embedding, &mut state.embedding, input_rows) {
        (Some(value), Some(state), Some(groups)) => {
            let gradients = GradientRows { gradients: &pass.input.d_dense, source: None };
            Some(Parameter::Table { value, state, groups, gradients })
        }
        _ => None,
    };
    let output = Parameter::Table {
        value: &mut values.output,
        state: &mut state.output,
        groups: output_rows,
        gradients: GradientRows { gradients: d_rows, source: None },
    };
    layers.chain(forward).chain(embedding).chain([output])
}

//! The update of all parameters by a step: in one parallel phase, the gradient of each parameter is computed and
//! applied block by block.

use super::activations::Activations;
use super::content_step::FeaturePart;
use super::layers::Cpu;
use super::output::{PARTS, Part, part_of};
use super::parameters::Parameters;
use super::step::Background;
use crate::data::ItemIndex;
use std::cell::RefCell;
use upnext_kernels::{
    DenseBlock, DenseBlocks, GradientRows, LINE, Matrix, OptimizerState, RowGroups, TableParts, UpdateRule,
    View, dense_norm_squared, product, table_norm_squared, update_dense, update_table,
};

/// Floats of a block of a dense parameter, the task of one thread. With its gradient and optimiser state a block fits
/// the second-level cache, and a layer of 100 units is a single task. In tests, small layers have several blocks.
const DENSE_FLOATS: usize = if cfg!(test) { 256 } else { 48 * 1024 };

/// The quantities from which the gradients of all parameters but the output table are computed.
#[derive(Clone, Copy)]
pub(crate) struct Gradients<'a> {
    /// Number of rows of the batch.
    pub(crate) rows: usize,
    /// The activations after the backward pass.
    pub(crate) activations: &'a Activations,
    /// The current item of each row.
    pub(crate) inputs: &'a [ItemIndex],
    /// B × 1, all 1: the input of a bias.
    pub(crate) ones: &'a Matrix,
}

/// The table rows that one thread updates: in every table, those of the items of one part.
pub(crate) struct Owned<'a> {
    output: &'a mut Part,
    /// The rows of the input tables that the step uses; `None` with `shared` input.
    input: Option<&'a mut RowGroups>,
    /// The rows of features that the step uses, with content: the part's items are grouped then.
    features: Option<&'a FeaturePart>,
}

impl<'a> Owned<'a> {
    /// All parts, in order.
    pub(crate) fn all(
        output: &'a mut [Part; PARTS],
        input: Option<&'a mut [RowGroups; PARTS]>,
        features: Option<&'a [FeaturePart; PARTS]>,
    ) -> [Self; PARTS] {
        let (mut input, mut features) = (input.into_iter().flatten(), features.into_iter().flatten());
        output.each_mut().map(|output| Self { output, input: input.next(), features: features.next() })
    }

    /// Groups the gradients of the step by table row.
    fn group(&mut self, p: usize, gradients: Gradients) {
        if self.features.is_some() {
            return;
        }
        let Gradients { activations, inputs, .. } = gradients;
        let Some(uses) = &mut self.input else {
            return self.output.group(p, Some((inputs, &activations.input.d_dense)), None);
        };
        self.output.group(p, None, None);
        let items = if activations.input.is_sparse() { &activations.input.entries.items } else { inputs };
        uses.group((0..).zip(items.iter().copied()).filter(|&(_, item)| part_of(item) == p));
    }

    /// The rows of a table that the step uses, and their gradients.
    fn rows<'s>(&'s self, table: &TableKind<'s>) -> (&'s RowGroups, GradientRows<'s>) {
        match (table, &self.input) {
            (TableKind::Input(gradients), Some(uses)) => (uses, *gradients),
            (TableKind::Features, _) => {
                let features = self.features.expect("a step of a network with content has its gradients");
                (&features.uses, features.gradients())
            }
            _ => (&self.output.uses, GradientRows { gradients: &self.output.d_rows, source: None }),
        }
    }
}

/// The table that a row belongs to.
#[derive(Clone, Copy)]
enum TableKind<'a> {
    /// The output table: rows of scored items and, with `shared` input, of input items.
    Output,
    /// A table of the input, with the gradients of its rows.
    Input(GradientRows<'a>),
    /// The table of the features.
    Features,
}

/// The inputs of a dense parameter: up to two matrices, B × in each, with the first column of the parameter that reads
/// each.
pub(crate) type Reads<'a> = [Option<(&'a Matrix, usize)>; 2];

/// The factors of the gradient of a dense parameter, `readᵀ · d`.
#[derive(Clone, Copy)]
struct Source<'a> {
    rows: usize,
    reads: Reads<'a>,
    d: &'a Matrix,
}

impl Source<'_> {
    /// Computes rows `first..first + count` of the gradient.
    fn differentiate(&self, cpu: Cpu, first: usize, count: usize, block: &mut [f32], stride: usize) {
        let d = View::rows(self.d.data(), self.d.stride());
        for (i, &(read, from)) in self.reads.iter().flatten().enumerate() {
            let end = self.reads.get(i + 1).copied().flatten().map_or(self.d.width(), |(_, from)| from);
            let shape = (count, end - from, self.rows);
            let read = read.view(self.rows).transposed().from_row(first);
            product(cpu.isa, shape, read, d.from_column(from), &mut block[from..], stride, false);
        }
    }
}

/// The gradient of a dense parameter.
#[derive(Clone, Copy)]
enum Gradient<'a> {
    Known(&'a Matrix),
    Product(Source<'a>),
}

/// A dense parameter to be updated. `buffer` receives its gradient if it is clipped, has it if there is no source, and else is
/// empty.
struct Dense<'a> {
    value: &'a mut Matrix,
    state: &'a mut OptimizerState,
    buffer: &'a mut Matrix,
    source: Option<Source<'a>>,
}

/// A table to be updated in the rows that the step uses.
struct Table<'a> {
    value: &'a mut Matrix,
    state: &'a mut OptimizerState,
    kind: TableKind<'a>,
}

/// A parameter to be updated.
enum Parameter<'a> {
    Dense(Dense<'a>),
    Table(Table<'a>),
}

/// A task that any thread may take.
enum Task<'a, 'm> {
    Background(&'m mut (dyn FnMut() + Send)),
    /// A block of a dense parameter, and its gradient.
    Dense(DenseBlock<'a>, Gradient<'a>),
}

/// The update of all parameters by one step.
#[derive(Clone, Copy)]
pub(crate) struct Update<'a> {
    pub(crate) cpu: Cpu<'a>,
    pub(crate) rule: &'a UpdateRule,
    /// Largest global norm of the gradients; 0 turns clipping off.
    pub(crate) clip_norm: f64,
    /// Number of values of an output row that are scaled to the length 1; 0 for none.
    pub(crate) unit: usize,
}

impl Update<'_> {
    /// Updates all parameters by their gradients, in the order of `docs/algorithms.md`, section 4.
    ///
    /// `buffers` receive the gradients of dense parameters if they are clipped, which needs the norm of all gradients
    /// before the update; else they are empty.
    pub(crate) fn run(
        self,
        values: &mut Parameters<Matrix>,
        state: &mut Parameters<OptimizerState>,
        buffers: &mut Parameters<Matrix>,
        gradients: Gradients,
        mut owned: [Owned; PARTS],
        background: Background,
    ) {
        let Self { cpu, rule, clip_norm, unit } = self;
        let clip = clip_norm > 0.0;
        let mut scale = 1.0;
        if clip {
            cpu.pool.for_each_owned(&mut owned, |p, owned| owned.group(p, gradients));
            let squares = parameters(values, state, buffers, gradients).map(|parameter| match parameter {
                Parameter::Dense(dense) => self.norm_squared_of_dense(dense),
                Parameter::Table(Table { value, kind, .. }) => {
                    let parts = owned.iter().map(|owned| {
                        let (uses, gradients) = owned.rows(&kind);
                        table_norm_squared(cpu.isa, rule.l2, value, uses, gradients)
                    });
                    parts.sum()
                }
            });
            let norm = squares.sum::<f64>().sqrt();
            if norm > clip_norm {
                scale = (clip_norm / norm) as f32;
            }
        }
        let (mut dense, mut tables) = (Vec::new(), Vec::new());
        for parameter in parameters(values, state, buffers, gradients) {
            match parameter {
                Parameter::Dense(parameter) => dense.push(parameter),
                Parameter::Table(Table { value, state, kind }) => {
                    let unit = if matches!(kind, TableKind::Output) { unit } else { 0 };
                    tables.push((TableParts::new(value, state, PARTS).of_unit_rows(unit), kind));
                }
            }
        }
        let blocks = dense.into_iter().flat_map(|Dense { value, state, buffer, source }| {
            let gradient = match source {
                Some(source) if !clip => Gradient::Product(source),
                _ => Gradient::Known(buffer),
            };
            let rows = block_rows(value.stride());
            DenseBlocks::new(value, state, rows).map(move |block| Task::Dense(block, gradient))
        });
        cpu.pool.for_each_then_owned(
            background.into_iter().map(Task::Background).chain(blocks),
            |task| match task {
                Task::Background(work) => work(),
                Task::Dense(block, gradient) => self.update_block(scale, block, gradient),
            },
            &mut owned,
            |p, owned| {
                if !clip {
                    owned.group(p, gradients);
                }
                for (parts, kind) in &tables {
                    let (uses, gradients) = owned.rows(kind);
                    update_table(cpu.isa, rule, scale, parts.take(p), uses, gradients);
                }
            },
        );
    }

    /// Computes a dense parameter's gradient into its buffer and returns the sum of its squares, L2 included.
    fn norm_squared_of_dense(&self, parameter: Dense) -> f64 {
        let Dense { value, buffer, source, .. } = parameter;
        let (stride, rows) = (buffer.stride(), buffer.rows());
        let block = block_rows(stride);
        if let Some(source) = source {
            self.cpu.pool.for_each(buffer.blocks_mut(block).enumerate(), |(i, floats)| {
                let first = i * block;
                source.differentiate(self.cpu, first, block.min(rows - first), floats, stride);
            });
        }
        dense_norm_squared(self.cpu.isa, self.rule.l2, value, buffer)
    }

    /// Updates a block of a dense parameter, after computing its gradient if that has not been done.
    fn update_block(&self, scale: f32, block: DenseBlock, gradient: Gradient) {
        let Self { cpu, rule, .. } = *self;
        let (stride, needed) = (block.stride(), block.count() * block.stride());
        let source = match gradient {
            Gradient::Product(source) => source,
            Gradient::Known(gradient) => {
                let floats = &gradient.data()[block.first() * stride..][..needed];
                return update_dense(cpu.isa, rule, scale, block, floats);
            }
        };
        BLOCK.with_borrow_mut(|floats| {
            if floats.data().len() < needed {
                *floats = Matrix::zeros(1, needed);
            }
            let floats = &mut floats.data_mut()[..needed];
            // The product leaves the padding after the columns alone, where a former block may have left values.
            let width = source.d.width().next_multiple_of(LINE);
            floats.chunks_exact_mut(stride).for_each(|row| row[width..].fill(0.0));
            source.differentiate(cpu, block.first(), block.count(), floats, stride);
            update_dense(cpu.isa, rule, scale, block, floats);
        });
    }
}

fn block_rows(stride: usize) -> usize {
    (DENSE_FLOATS / stride).max(1)
}

thread_local! {
    /// The gradient of a block, between the product and the update.
    static BLOCK: RefCell<Matrix> = RefCell::new(Matrix::zeros(0, 0));
}

/// All parameters, each with the source of its gradient.
fn parameters<'a>(
    values: &'a mut Parameters<Matrix>,
    state: &'a mut Parameters<OptimizerState>,
    buffers: &'a mut Parameters<Matrix>,
    gradients: Gradients<'a>,
) -> impl Iterator<Item = Parameter<'a>> {
    let Gradients { rows, activations, ones, .. } = gradients;
    let dense = move |value, state, buffer, reads, d| {
        Parameter::Dense(Dense { value, state, buffer, source: Some(Source { rows, reads, d }) })
    };
    let entries = &activations.input.entries;
    let sparse = activations.input.is_sparse();
    let layers = values.layers.iter_mut().zip(&mut state.layers).zip(&mut buffers.layers).enumerate();
    let layers = layers.flat_map(move |(l, ((value, state), buffer))| {
        let layer = &activations.layers[l];
        let d = &layer.d_gates;
        let of_items = |value, state| {
            let gradients = GradientRows { gradients: d, source: Some((&entries.rows, &entries.weights)) };
            Parameter::Table(Table { value, state, kind: TableKind::Input(gradients) })
        };
        let input = if l == 0 && sparse {
            of_items(&mut value.input, &mut state.input)
        } else {
            let read = if l == 0 { &activations.input.dense } else { &activations.layers[l - 1].state };
            dense(&mut value.input, &mut state.input, &mut buffer.input, [Some((read, 0)), None], d)
        };
        let skip = match (&mut value.skip, &mut state.skip, &mut buffer.skip) {
            (Some(value), Some(state), Some(buffer)) => Some(if sparse {
                of_items(value, state)
            } else {
                dense(value, state, buffer, [Some((&activations.input.dense, 0)), None], d)
            }),
            _ => None,
        };
        let reads = layer.recurrent_reads();
        let recurrent = dense(&mut value.recurrent, &mut state.recurrent, &mut buffer.recurrent, reads, d);
        let bias = dense(&mut value.bias, &mut state.bias, &mut buffer.bias, [Some((ones, 0)), None], d);
        [Some(input), skip, Some(recurrent), Some(bias)].into_iter().flatten()
    });
    let forward = values.feed_forward.iter_mut().zip(&mut state.feed_forward).zip(&mut buffers.feed_forward);
    let forward = forward.enumerate().flat_map(move |(k, ((value, state), buffer))| {
        let d = &activations.feed_forward[k].d_state;
        let read = match k {
            0 => &activations.layers[activations.layers.len() - 1].state,
            _ => &activations.feed_forward[k - 1].state,
        };
        [
            dense(&mut value.weight, &mut state.weight, &mut buffer.weight, [Some((read, 0)), None], d),
            dense(&mut value.bias, &mut state.bias, &mut buffer.bias, [Some((ones, 0)), None], d),
        ]
    });
    let embedding = match (&mut values.embedding, &mut state.embedding) {
        (Some(value), Some(state)) => {
            let gradients = GradientRows { gradients: &activations.input.d_dense, source: None };
            Some(Parameter::Table(Table { value, state, kind: TableKind::Input(gradients) }))
        }
        _ => None,
    };
    let content = match (&mut values.content, &mut state.content, &mut buffers.content) {
        (Some(value), Some(state), Some(buffer)) => {
            let kind = TableKind::Features;
            let features =
                Parameter::Table(Table { value: &mut value.features, state: &mut state.features, kind });
            let projection = match (&mut value.projection, &mut state.projection, &mut buffer.projection) {
                (Some(value), Some(state), Some(buffer)) => {
                    Some(Parameter::Dense(Dense { value, state, buffer, source: None }))
                }
                _ => None,
            };
            [Some(features), projection]
        }
        _ => [None, None],
    };
    let (value, state) = (&mut values.output, &mut state.output);
    let output = Parameter::Table(Table { value, state, kind: TableKind::Output });
    layers.chain(forward).chain(embedding).chain([output]).chain(content.into_iter().flatten())
}

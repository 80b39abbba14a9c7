//! The memory that a training needs, estimated before it starts. `tests/memory.rs` compares it with what is allocated.

use super::config::{Input, NetworkConfig, TrainingConfig};
use super::content::Content;
use super::input::max_entries;
use super::output::{PARTS, TILE};
use super::parameters::Parameters;
use crate::data::{Dataset, Sessions};
use crate::evaluation::{self, EvaluationConfig};
use crate::kind::Copies;
use crate::memory::Bytes;
use upnext_kernels::{Matrix, OptimizerState, SUMS, padded};

/// What the memory of a training depends on, besides its configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Extent<'a> {
    pub(crate) data: &'a Dataset,
    /// The items' content, with `attributes`.
    pub(crate) content: Option<&'a Content>,
    pub(crate) validation: Option<(&'a Sessions, &'a EvaluationConfig)>,
    pub(crate) threads: usize,
    pub(crate) copies: Copies,
}

/// Memory in bytes of a training of this network, without its data: the parameters and the optimiser state, copies of
/// them while they are saved, and the buffers of a step and of a validation.
pub(crate) fn bytes(network: &NetworkConfig, training: &TrainingConfig, extent: Extent) -> u64 {
    let items = extent.data.items.len();
    let states = OptimizerState::matrices(&training.update_rule());
    let Copies { parameters, states: copied_states } = extent.copies;
    let copies = 1 + states + usize::from(parameters) + if copied_states { states } else { 0 };
    let mut total = Bytes::default();
    let layouts = Parameters::layouts(network, items, extent.content.map(Content::shape));
    for layout in layouts.iter() {
        total.add(copies, Matrix::bytes(layout.rows, layout.width()));
    }
    add_step(&mut total, network, training, extent.data);
    if let Some(content) = extent.content {
        add_content(&mut total, (network, training), content, items);
    }
    if let Some((sessions, options)) = extent.validation {
        let mut scorer = Bytes::default();
        add_scorer(&mut scorer, network, items);
        total.add_times(1, evaluation::bytes(items, sessions, options, extent.threads, scorer));
    }
    total.sum()
}

/// The buffers of a step with a full mini-batch, and the tables per item: row groups, samples, logQ.
fn add_step(total: &mut Bytes, network: &NetworkConfig, training: &TrainingConfig, data: &Dataset) {
    let (rows, samples) = (training.batch_size, training.samples);
    let (lanes, out) = (padded(rows), network.output_width() + 1);
    let shared = network.input == Input::Shared;
    let floats = |count: usize| count.saturating_mul(size_of::<f32>());
    add_activations(total, network, data.items.len(), rows);
    // The output layer: its input, transposed too, the targets' rows, and a gradient and sums for every part.
    total.add(2 + PARTS, Matrix::bytes(rows, out));
    total.add(1, Matrix::bytes(out, lanes));
    total.add(PARTS + 1, floats(SUMS.saturating_mul(lanes)));
    // Of every part: its scored rows of the table, their scores, and their gradients. Popular items make parts unequal.
    let in_part = |items: usize| (items / PARTS).saturating_add(items / (2 * PARTS)).saturating_add(2 * TILE);
    let scored = in_part(rows.saturating_add(samples));
    let updated = in_part(rows.saturating_add(samples).saturating_add(if shared { rows } else { 0 }));
    total.add(PARTS, Matrix::bytes(scored, out));
    total.add(PARTS, Matrix::bytes(updated, out));
    total.add(PARTS, floats(scored.saturating_mul(lanes)));
    // Lists of numbers: uses of rows and, one in eight at most, pairs of a row and a negative that is its target.
    let entries = rows.saturating_mul(max_entries(network, data));
    total.add(rows.saturating_add(samples).saturating_add(entries), 24 * size_of::<u32>());
    if training.mask_own_target {
        total.add(rows.saturating_add(samples), rows);
    }
    if training.clip_norm > 0.0 {
        for layout in
            Parameters::layouts(network, data.items.len(), None).iter().filter(|layout| !layout.table)
        {
            total.add(1, Matrix::bytes(layout.rows, layout.width()));
        }
    }
    // Per item: the row groups, the alias table while it is built, and the logarithm of the support.
    let groups = 1 + usize::from(!shared) + usize::from(training.mask_own_target);
    let sampler = if samples > 0 { 28 } else { 0 };
    let log_support = if training.logq_for_loss() > 0.0 { 4 } else { 0 };
    total.add(data.items.len(), 8 * groups + sampler + log_support);
}

/// The content itself, the rows of all items with it for a validation, and the buffers of its gradients.
fn add_content(
    total: &mut Bytes,
    (network, training): (&NetworkConfig, &TrainingConfig),
    content: &Content,
    items: usize,
) {
    let width = network.output_width() + 1;
    let (rows, shape) = (2 * training.batch_size + training.samples, content.shape());
    total.add(2, content.features.memory_bytes());
    total.add(1, Matrix::bytes(items, width));
    // In every part of the items and of the features: row groups, the vectors of the items, and their features' sums.
    let entries = content.features.memory_bytes() / items.max(1) / 8;
    total.add(rows.saturating_mul(entries), 24 * size_of::<u32>());
    total.add(shape.features, 9 * 8);
    total.add(2, Matrix::bytes(rows.saturating_mul(entries).min(PARTS * shape.features), width));
    total.add(2, Matrix::bytes(rows, shape.width));
    total.add(PARTS + 1, Matrix::bytes(shape.width, width));
}

/// The buffers of a session scorer for as many rows as an evaluation has at a time.
fn add_scorer(total: &mut Bytes, network: &NetworkConfig, items: usize) {
    let (rows, out) = (crate::ranking::ROWS, network.output_width() + 1);
    add_activations(total, network, items, rows);
    total.add(1, Matrix::bytes(rows, out));
    total.add(1, Matrix::bytes(out, padded(rows)));
    total.add(1, Matrix::bytes(TILE, out));
}

/// The activations and gradients of all layers below the output.
fn add_activations(total: &mut Bytes, network: &NetworkConfig, items: usize, rows: usize) {
    for &units in &network.layers {
        total.add(9, Matrix::bytes(rows, units));
        total.add(2, Matrix::bytes(rows, network.unit.gates().saturating_mul(padded(units))));
    }
    for &width in &network.feed_forward {
        total.add(4, Matrix::bytes(rows, width));
    }
    if network.input_to_output || network.cosine_scale.is_some() {
        total.add(2, Matrix::bytes(rows, network.output_width()));
    }
    if network.has_embedding() {
        total.add(3, Matrix::bytes(rows, network.input_width(items)));
    }
}

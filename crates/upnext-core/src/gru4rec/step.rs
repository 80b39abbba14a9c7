//! One training step: forward, loss, backward, update. Its cost does not depend on the number of items.

use super::activations::{Activations, Dropout};
use super::config::{Input, NetworkConfig, TrainingConfig, Unit};
use super::content::Content;
use super::content_step::ContentStep;
use super::layers::Cpu;
use super::network::Network;
use super::output::{Output, PARTS, Scored};
use super::parameters::{Layout, Parameters};
use super::update::{Gradients, Owned, Update};
use crate::batch::Batch;
use crate::data::ItemIndex;
use upnext_kernels::{LossFunction, Matrix, OptimizerState, RowGroups, UpdateRule};

/// The buffers of a training step.
#[derive(Debug)]
pub(crate) struct TrainingStep {
    pub(crate) activations: Activations,
    output: Output,
    rule: UpdateRule,
    clip_norm: f64,
    /// Number of values of an output row that are scaled to the length 1 after an update; 0 for none.
    unit: usize,
    /// 1 / configured batch size.
    weight: f32,
    /// The rows of the input tables that a step uses, part by part; `None` with `shared` input, which has none.
    input_uses: Option<[RowGroups; PARTS]>,
    /// With content, the gradients of its parameters.
    content: Option<ContentStep>,
    /// Gradients of the dense parameters, if they are clipped or sums of parts. Those of tables are rows of `Part::d_rows`, `d_dense`
    /// and `d_gates`.
    gradients: Parameters<Matrix>,
    /// B × 1, all 1: the input of a bias.
    ones: Matrix,
}

/// The inputs of a training step, besides its mini-batch.
pub(crate) struct StepItems<'a> {
    /// The targets of the batch, then the samples.
    pub(crate) scored: &'a [ItemIndex],
    /// The logQ correction of each, if it is on.
    pub(crate) offsets: Option<&'a [f32]>,
    /// (Index of a scored item, row), ascending: items that are not negatives of the row, besides its own target.
    pub(crate) masked: &'a [(u32, u32)],
    pub(crate) dropout: Dropout,
    pub(crate) background: Background<'a>,
}

/// Work for the next step that does not depend on this one; an idle thread does it during the update.
pub(crate) type Background<'a> = Option<&'a mut (dyn FnMut() + Send)>;

impl TrainingStep {
    /// Buffers for training `network` as configured.
    pub(crate) fn new(network: &Network, training: &TrainingConfig) -> Self {
        let config = network.config();
        let (rows, items, out) = (training.batch_size, network.num_items(), config.output_width());
        let shared = config.input == Input::Shared;
        let loss = LossFunction {
            loss: training.loss,
            bpr_max_penalty: training.bpr_max_penalty,
            activation: network.output_activation(),
        };
        let mut ones = Matrix::zeros(rows, 1);
        (0..rows).for_each(|b| ones.row_mut(b)[0] = 1.0);
        let clip = training.clip_norm > 0.0;
        let gradient_buffer = |layout: &Layout| {
            let is_kept = layout.has_gradient_of_parts() || (clip && !layout.table);
            if is_kept { layout.zeros() } else { Matrix::zeros(0, 0) }
        };
        Self {
            activations: Activations::new(config, rows),
            output: Output::new(loss, out, rows, items),
            rule: training.update_rule(),
            clip_norm: f64::from(training.clip_norm),
            unit: if config.cosine_scale.is_some() { out } else { 0 },
            weight: 1.0 / rows as f32,
            input_uses: (!shared).then(|| std::array::from_fn(|part| RowGroups::of_part(items, part, PARTS))),
            content: network.content().map(|content| ContentStep::new(Content::shape(content), out + 1)),
            gradients: network.layouts.map(gradient_buffer),
            ones,
        }
    }

    /// The optimiser state before the first step.
    pub(crate) fn initial_state(network: &Network, training: &TrainingConfig) -> Parameters<OptimizerState> {
        let rule = training.update_rule();
        network.layouts.map(|layout| OptimizerState::new(&rule, layout.rows, layout.width()))
    }

    /// Rows of the output's and of the input's tables that the last step updated, and the largest part's tiles of scored
    /// items.
    #[cfg(test)]
    pub(crate) fn rows_and_tiles(&self) -> (usize, usize, usize) {
        let (output, tiles) = self.output.rows_and_tiles();
        let entries = self.activations.input.entries.items.len();
        let input = self.input_uses.iter().flatten().map(|uses| uses.rows().len()).sum::<usize>();
        (output, input.max(entries), tiles)
    }

    /// Runs a training step on a mini-batch. Returns the sum of its rows' losses divided by the configured batch size.
    pub(crate) fn run(
        &mut self,
        cpu: Cpu,
        network: &mut Network,
        state: &mut Parameters<OptimizerState>,
        batch: &Batch,
        items: StepItems,
    ) -> f64 {
        let rows = batch.len();
        self.activations.forward(cpu, network, batch, Some(items.dropout));
        let (top, d_top) = self.activations.top_and_gradient();
        let scored = Scored {
            rows,
            items: items.scored,
            offsets: items.offsets,
            masked: items.masked,
            weight: self.weight,
        };
        let table = network.rows_to_train(items.dropout.items);
        let loss = self.output.step(cpu, table, top, scored, d_top);
        self.activations.backward(cpu, network, rows);
        if let (Some(step), Some(content)) = (&mut self.content, table.content) {
            let inputs = Some((&batch.inputs[..], &self.activations.input.d_dense));
            let dropped = Some(content.dropped);
            cpu.pool.for_each_owned(&mut self.output.parts, |p, part| part.group(p, inputs, dropped));
            let d_projection =
                self.gradients.content.as_mut().and_then(|content| content.projection.as_mut());
            step.differentiate(cpu, content, &self.output.parts, d_projection);
        }
        let gradients =
            Gradients { rows, activations: &self.activations, inputs: &batch.inputs, ones: &self.ones };
        let features = self.content.as_ref().map(|content| &content.parts);
        let owned = Owned::all(&mut self.output.parts, self.input_uses.as_mut(), features);
        let update = Update { cpu, rule: &self.rule, clip_norm: self.clip_norm, unit: self.unit };
        update.run(&mut network.values, state, &mut self.gradients, gradients, owned, items.background);
        network.values_changed();
        loss
    }
}

/// Floating-point operations of the matrix products of a step with a full mini-batch (`docs/performance.md`).
pub(crate) fn operations(config: &NetworkConfig, training: &TrainingConfig) -> f64 {
    let rows = training.batch_size as f64;
    let gates = config.unit.gates() as f64;
    // A product, and the products of its two gradients.
    let thrice = |below: usize, width: f64| 6.0 * rows * below as f64 * width;
    let mut total = thrice(config.output_width() + 1, rows + training.samples as f64);
    for (l, &units) in config.layers.iter().enumerate() {
        let width = gates * units as f64;
        let vector = if config.has_embedding() { config.input_width(0) } else { 0 };
        total += thrice(if l == 0 { vector } else { config.layers[l - 1] }, width);
        if l > 0 && config.input_to_deeper_layers {
            total += thrice(vector, width);
        }
        // The carried state is a constant, so its gradient is not computed. The GRU needs that of `r ⊙ h'`.
        let candidate = if config.unit == Unit::Gru { 2.0 * rows * (units * units) as f64 } else { 0.0 };
        total += 4.0 * rows * units as f64 * width + candidate;
    }
    let below = config.layers.last().into_iter().chain(&config.feed_forward);
    total + below.zip(&config.feed_forward).map(|(&below, &width)| thrice(below, width as f64)).sum::<f64>()
}

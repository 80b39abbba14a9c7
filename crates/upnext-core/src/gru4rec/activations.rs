//! The forward and backward passes of a network, from its input to the input of its output layer.

use super::config::{NetworkConfig, TrainingConfig};
use super::content::{DroppedItems, ItemRows};
use super::head::Head;
use super::input::StepInput;
use super::layers::{Cpu, DenseBuffers, LayerBuffers, LayerInput};
use super::network::{Network, Stream};
use crate::batch::Batch;
use upnext_kernels::{CounterRng, Matrix};

/// The activations and gradients of all layers for up to `B` rows, and the states that the rows carry.
#[derive(Debug)]
pub(crate) struct Activations {
    pub(crate) input: StepInput,
    pub(crate) layers: Vec<LayerBuffers>,
    pub(crate) feed_forward: Vec<DenseBuffers>,
    head: Option<Head>,
}

/// Dropout of a training step: its probabilities and random streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    pub(crate) embedding: f32,
    pub(crate) embedding_rng: CounterRng,
    pub(crate) hidden: f32,
    pub(crate) hidden_rng: CounterRng,
    pub(crate) items: DroppedItems,
}

impl Dropout {
    /// The dropout of step `step`, counted from 0 over all epochs: a pure function of the configuration and the seed.
    pub(crate) fn of_step(step: u64, network: &NetworkConfig, training: &TrainingConfig) -> Self {
        let seed = training.seed;
        Self {
            embedding: training.dropout_embedding_for(network),
            embedding_rng: Stream::EmbeddingDropout.of(seed).substream(step),
            hidden: training.dropout_hidden,
            hidden_rng: Stream::HiddenDropout.of(seed).substream(step),
            items: DroppedItems {
                rng: Stream::ItemDropout.of(seed).substream(step),
                probability: training.dropout_item,
            },
        }
    }
}

impl Activations {
    /// Buffers for up to `rows` rows, all states zero.
    pub(crate) fn new(config: &NetworkConfig, rows: usize) -> Self {
        Self {
            input: StepInput::new(config, rows),
            layers: (0..config.layers.len()).map(|l| LayerBuffers::new(config, l, rows)).collect(),
            feed_forward: (0..config.feed_forward.len())
                .map(|k| DenseBuffers::new(config, k, rows))
                .collect(),
            head: Head::new(config, rows),
        }
    }

    /// Reads the current event of each row and advances the row's state.
    pub(crate) fn forward(&mut self, cpu: Cpu, network: &Network, batch: &Batch, dropout: Option<Dropout>) {
        let embedding = dropout.filter(|d| d.embedding > 0.0).map(|d| (d.embedding_rng, d.embedding));
        let hidden = dropout.filter(|d| d.hidden > 0.0);
        let hidden = |layer: usize| hidden.map(|d| (d.hidden_rng.substream(layer as u64), d.hidden));
        let rows = match (&network.values.embedding, dropout) {
            (Some(embedding), _) => ItemRows { own: embedding, content: None },
            (None, Some(dropout)) => network.rows_to_train(dropout.items),
            (None, None) => network.rows_to_read(),
        };
        self.input.read(cpu, rows, batch, embedding);
        for l in 0..self.layers.len() {
            let (lower, upper) = self.layers.split_at_mut(l);
            let below =
                lower.last().map_or(LayerInput::Input(&self.input), |lower| LayerInput::Layer(&lower.state));
            let parameters = &network.values.layers[l];
            upper[0].forward(cpu, parameters, below, Some(&self.input), &batch.carry, hidden(l));
        }
        for k in 0..self.feed_forward.len() {
            let (lower, upper) = self.feed_forward.split_at_mut(k);
            let below = lower.last().map_or(&self.layers[self.layers.len() - 1].state, |lower| &lower.state);
            let parameters = &network.values.feed_forward[k];
            upper[0].forward(cpu, parameters, below, batch.len(), hidden(self.layers.len() + k));
        }
        if let Some(head) = &mut self.head {
            let output = output_of(&self.layers, &self.feed_forward);
            head.forward(cpu, output, &self.input.dense, batch.len());
        }
    }

    /// B × out: the input of the output layer.
    pub(crate) fn top(&self) -> &Matrix {
        match &self.head {
            Some(head) => &head.state,
            None => output_of(&self.layers, &self.feed_forward),
        }
    }

    /// B × out each: the input of the output layer, and the buffer of its gradient.
    pub(crate) fn top_and_gradient(&mut self) -> (&Matrix, &mut Matrix) {
        match &mut self.head {
            Some(head) => (&head.state, &mut head.d_state),
            None => output_and_gradient_of(&mut self.layers, &mut self.feed_forward),
        }
    }

    /// The backward pass: from the gradient of [`top`](Self::top) to those of all pre-activations and of the input
    /// vectors.
    pub(crate) fn backward(&mut self, cpu: Cpu, network: &Network, rows: usize) {
        let mut input_seen = false;
        if let Some(head) = &mut self.head {
            let (_, d_output) = output_and_gradient_of(&mut self.layers, &mut self.feed_forward);
            head.backward(cpu, d_output, &mut self.input.d_dense, rows);
            input_seen = head.adds_input;
        }
        for k in (0..self.feed_forward.len()).rev() {
            let (lower, upper) = self.feed_forward.split_at_mut(k);
            let top = self.layers.len() - 1;
            let d_below = lower.last_mut().map_or(&mut self.layers[top].d_state, |lower| &mut lower.d_state);
            upper[0].backward(cpu, &network.values.feed_forward[k], rows, d_below);
        }
        let vectors = !self.input.is_sparse();
        for l in (0..self.layers.len()).rev() {
            let (lower, upper) = self.layers.split_at_mut(l);
            let parameters = &network.values.layers[l];
            let skips = vectors && parameters.skip.is_some();
            let d_input = &mut self.input.d_dense;
            match lower.last_mut() {
                Some(lower) => {
                    let d_skip = skips.then_some((d_input, input_seen));
                    upper[0].backward(cpu, parameters, rows, Some((&mut lower.d_state, false)), d_skip);
                    input_seen |= skips;
                }
                None => {
                    let d_below = vectors.then_some((d_input, input_seen));
                    upper[0].backward(cpu, parameters, rows, d_below, None);
                }
            }
        }
        self.input.backward(cpu, rows);
    }
}

/// B × out: the output of the top layer.
fn output_of<'a>(layers: &'a [LayerBuffers], feed_forward: &'a [DenseBuffers]) -> &'a Matrix {
    match feed_forward.last() {
        Some(layer) => &layer.state,
        None => &layers[layers.len() - 1].state,
    }
}

/// B × out each: the output of the top layer, and the buffer of its gradient.
fn output_and_gradient_of<'a>(
    layers: &'a mut [LayerBuffers],
    feed_forward: &'a mut [DenseBuffers],
) -> (&'a Matrix, &'a mut Matrix) {
    match feed_forward.last_mut() {
        Some(layer) => (&layer.state, &mut layer.d_state),
        None => {
            let top = layers.len() - 1;
            let layer = &mut layers[top];
            (&layer.state, &mut layer.d_state)
        }
    }
}

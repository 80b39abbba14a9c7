//! Training steps compared with the plain reference: scores, loss, states, and the gradient of every parameter.

use super::activations::Dropout;
use super::config::*;
use super::content::{Content, DroppedItems};
use super::layers::Cpu;
use super::network::Network;
use super::reference_config::plain;
use super::step::{StepItems, TrainingStep};
use crate::arrays::Tensor;
use crate::batch::{Batch, SessionBatcher};
use crate::content::{Encoder, ItemFeatures};
use crate::data::Sessions;
use std::collections::BTreeMap;
use std::sync::Arc;
use upnext_kernels::{CounterRng, Isa, Matrix, ThreadPool};
use upnext_reference::{self as reference, example::Example};

const ITEMS: usize = 19;
const SUPPORT: u64 = 40;

pub(super) fn to_f64(tensors: &BTreeMap<String, Tensor>) -> reference::Parameters {
    let to_f64 = |t: &Tensor| reference::Tensor {
        shape: t.shape.clone(),
        values: t.values.iter().map(|&x| f64::from(x)).collect(),
    };
    reference::Parameters(tensors.iter().map(|(name, t)| (name.clone(), to_f64(t))).collect())
}

pub(super) fn values(matrix: &Matrix, rows: usize, width: usize) -> Vec<f64> {
    (0..rows).flat_map(|b| matrix.row(b)[..width].iter().map(|&x| f64::from(x)).collect::<Vec<_>>()).collect()
}

/// A comparison of one step after two others, so that states, histories and optimiser state are those of a real run.
struct Case {
    network: NetworkConfig,
    training: TrainingConfig,
    rows: usize,
    samples: Vec<u32>,
    threads: usize,
    isa: Isa,
    content: Option<Arc<Content>>,
}

/// Content of up to three features of 11 an item, and vectors of `width` numbers.
fn content(width: usize) -> Arc<Content> {
    let mut features = ItemFeatures::new(11, width);
    for item in 0..ITEMS as u32 {
        let of_item = (0..item % 4).map(|i| ((item * i * 5 + item / 3) % 11, 1.0 - 0.3 * i as f32));
        let vector: Vec<f32> =
            (0..width as u32).map(|k| ((item * 7 + k * 3) % 10) as f32 / 20.0 - 0.25).collect();
        features.push(of_item, &vector);
    }
    Arc::new(Content { encoder: Encoder::of_shape(11, width), features })
}

impl Case {
    fn new(network: NetworkConfig, training: TrainingConfig) -> Self {
        let samples = (0..training.samples as u32).map(|i| (i * 7 + 3) % ITEMS as u32).collect();
        Self { network, training, rows: 5, samples, threads: 2, isa: Isa::detect(), content: None }
    }

    fn new_network(&self) -> Network {
        let (config, activation) =
            (self.network.clone(), self.network.output_activation_for(self.training.loss));
        match &self.content {
            Some(content) => Network::with_content(config, activation, content.clone(), 5),
            None => Network::new(config, activation, ITEMS, 5),
        }
    }

    /// The content as the reference has it, without the own rows that step `t` drops.
    fn plain_content(&self, t: u64) -> Option<reference::content::Content> {
        let content = &self.content.as_ref()?.features;
        let items = 0..ITEMS as u32;
        let of = |item| content.of(item).map(|(f, w)| (f as usize, f64::from(w))).collect();
        Some(reference::content::Content {
            features: items.clone().map(of).collect(),
            vectors: items
                .clone()
                .map(|i| content.vector(i).iter().map(|&x| f64::from(x)).collect())
                .collect(),
            dropped: items.map(|item| self.dropped(t).has(item)).collect(),
        })
    }

    fn dropped(&self, t: u64) -> DroppedItems {
        DroppedItems { rng: CounterRng::new(3, t), probability: self.training.dropout_item }
    }

    fn sessions(&self) -> Sessions {
        let mut sessions = Sessions::new();
        for s in 0..self.rows as u32 {
            let length = if s == 1 { 3 } else { 6 };
            // Rows 2 and 3 have the same target at step 2, and items repeat within sessions.
            let items: Vec<u32> = (0..length)
                .map(|t| if t == 3 && (s == 2 || s == 3) { 11 } else { (s * 5 + t * t) % 17 })
                .collect();
            sessions.push(&items, 0);
        }
        // Session 1 ends after two pairs, so row 1 begins this one at the compared step.
        sessions.push(&[4, 9, 2, 7], 0);
        sessions
    }

    /// Compares the third step with the reference; returns the largest error seen.
    fn check(&self) {
        let name = format!("{:?} {:?} {:?}", self.network, self.training, self.isa);
        self.network.validate(&self.training).unwrap_or_else(|e| panic!("{e} in {name}"));
        let pool = ThreadPool::new(self.threads);
        let cpu = Cpu { pool: &pool, isa: self.isa };
        let activation = self.network.output_activation_for(self.training.loss);
        let mut network = self.new_network();
        // Makes biases non-zero and scores larger.
        for (i, value) in network.values.iter_mut().enumerate() {
            let width = value.width();
            let rng = CounterRng::new(77, i as u64);
            for r in 0..value.rows() {
                for (j, x) in value.row_mut(r)[..width].iter_mut().enumerate() {
                    *x += 0.4 * (rng.unit_f32((r * width + j) as u64) - 0.5);
                }
            }
        }
        network.scale_items(0);
        // Resets the padding between the gates, which must be 0.
        let tensors = network.tensors();
        let (config, mut tensors) = (self.network.clone(), tensors);
        let items = (ITEMS, self.content.clone());
        network = Network::restored(config, activation, items, false, &mut tensors).unwrap();

        let mut step = TrainingStep::new(&network, &self.training);
        let mut state = TrainingStep::initial_state(&network, &self.training);
        let sessions = self.sessions();
        let order: Vec<u32> = (0..sessions.len() as u32).collect();
        let mut batcher = SessionBatcher::new(&sessions, order, self.rows);
        for t in 0..2 {
            let batch = batcher.next_batch().unwrap().unwrap().clone();
            self.run(cpu, &mut step, &mut network, &mut state, &batch, t);
        }
        let before = network.tensors();
        let batch = batcher.next_batch().unwrap().unwrap().clone();
        let (loss, dropout) = self.run(cpu, &mut step, &mut network, &mut state, &batch, 2);
        let after = network.tensors();
        assert!(batch.carry.contains(&crate::batch::Carry::Fresh) || self.rows < 2, "{name}");

        let rows = batch.len();
        let masks = || {
            let recurrent = step.activations.layers.iter().map(|l| (l.mask(), l.state.width()));
            let dense = step.activations.feed_forward.iter().map(|l| (l.mask(), l.state.width()));
            recurrent.chain(dense).map(|(mask, width)| values(mask.expect("dropout"), rows, width)).collect()
        };
        let lstm = self.network.unit == Unit::Lstm;
        let example = Example {
            sessions: (0..rows).map(|b| batch.history(b).to_vec()).collect(),
            targets: batch.targets.clone(),
            samples: self.samples.clone(),
            hidden: step
                .activations
                .layers
                .iter()
                .map(|l| values(&l.previous, rows, l.state.width()))
                .collect(),
            cell: if lstm {
                step.activations
                    .layers
                    .iter()
                    .map(|l| values(&l.previous_cell, rows, l.state.width()))
                    .collect()
            } else {
                Vec::new()
            },
            embedding_mask: step.activations.input.mask().map(|m| values(m, rows, m.width())),
            hidden_masks: if dropout.hidden > 0.0 { masks() } else { Vec::new() },
            support: vec![SUPPORT; ITEMS],
        };
        let parameters = to_f64(&before);
        let (network, training) = plain(&self.network, &self.training);
        let content = self.plain_content(2);
        let composed = content.as_ref().map(|content| reference::content::composed(&parameters, content));
        let composed = composed.as_ref().unwrap_or(&parameters);
        let expected = reference::forward(&network, &training, composed, &example.step());
        assert!(
            (loss - expected.loss).abs() < 2e-6 * (1.0 + expected.loss),
            "{name}: {loss}, not {}",
            expected.loss
        );
        for (l, layer) in step.activations.layers.iter().enumerate() {
            let is = values(&layer.state, rows, layer.state.width());
            let close = is.iter().zip(&expected.hidden[l]).all(|(a, b)| (a - b).abs() < 2e-6);
            assert!(close, "{name}: state of layer {l}\n{is:?}\n{:?}", expected.hidden[l]);
        }
        // With SGD at rate 1, what a step subtracts is the gradient, before items are scaled.
        let gradient = match &content {
            Some(content) => {
                reference::content::gradient(&network, &training, &parameters, content, &example.step())
            }
            None => reference::gradient(&network, &training, &parameters, &example.step()),
        };
        let mut moved = parameters.clone();
        for (tensor, g) in &gradient.0 {
            moved.tensor_mut(tensor).values.iter_mut().zip(&g.values).for_each(|(x, g)| *x -= g);
        }
        reference::scale_items(&network, &mut moved);
        for (tensor, should) in &moved.0 {
            for (i, &should) in should.values.iter().enumerate() {
                let is = f64::from(after[tensor].values[i]);
                let g = gradient.tensor(tensor).values[i];
                let own = f64::from(before[tensor].values[i]);
                assert!(
                    (is - should).abs() < 1e-6 + 1e-5 * g.abs(),
                    "{name}: {tensor}[{i}] goes from {own} to {is}, not to {should}"
                );
            }
        }
        let largest = gradient.0.values().flat_map(|g| &g.values).fold(0.0, |m: f64, g| m.max(g.abs()));
        // That of MRR shrinks with the square of the number of negatives.
        let least = if self.training.loss == Loss::Mrr { 1e-4 } else { 1e-3 };
        assert!(largest > least, "{name}: a gradient of nothing");
    }

    fn run(
        &self,
        cpu: Cpu,
        step: &mut TrainingStep,
        network: &mut Network,
        state: &mut super::parameters::Parameters<upnext_kernels::OptimizerState>,
        batch: &Batch,
        t: u64,
    ) -> (f64, Dropout) {
        let mut scored = batch.targets.clone();
        scored.extend(&self.samples);
        let log_support = (SUPPORT as f32).ln();
        let q = self.training.logq_for_loss();
        let of = |r: usize| {
            q * log_support * if r < batch.len() { 1.0 } else { self.training.sample_alpha as f32 }
        };
        let offsets: Vec<f32> = (0..scored.len()).map(of).collect();
        let mut masked = Vec::new();
        if self.training.mask_own_target {
            for (r, item) in scored.iter().enumerate() {
                for (b, target) in batch.targets.iter().enumerate() {
                    if r != b && item == target {
                        masked.push((r as u32, b as u32));
                    }
                }
            }
        }
        let dropout = Dropout {
            embedding: self.training.dropout_embedding_for(&self.network),
            embedding_rng: CounterRng::new(1, t),
            hidden: self.training.dropout_hidden,
            hidden_rng: CounterRng::new(2, t),
            items: self.dropped(t),
        };
        let items = StepItems {
            scored: &scored,
            offsets: (q > 0.0).then_some(&offsets),
            masked: &masked,
            dropout,
            background: None,
        };
        (step.run(cpu, network, state, batch, items), dropout)
    }
}

fn sgd() -> TrainingConfig {
    TrainingConfig {
        optimizer: Optimizer::Sgd,
        learning_rate: 1.0,
        batch_size: 5,
        samples: 6,
        dropout_embedding: Some(0.0),
        ..TrainingConfig::default()
    }
}

#[test]
fn every_unit_input_and_depth_agrees_with_the_reference() {
    for unit in [Unit::Gru, Unit::Lstm, Unit::Rnn] {
        for input in [Input::OneHot, Input::Discounted, Input::Embedding, Input::Shared] {
            for (layers, feed_forward, skip) in [
                (vec![6], vec![], false),
                (vec![17], vec![5], false),
                (vec![4, 18], vec![], true),
                (vec![5, 3, 4], vec![6, 3], true),
                (vec![5, 7], vec![], false),
            ] {
                let vectors = matches!(input, Input::Embedding | Input::Shared);
                for dropped in [false, true] {
                    let network = NetworkConfig {
                        unit,
                        input,
                        layers: layers.clone(),
                        feed_forward: feed_forward.clone(),
                        input_to_deeper_layers: skip,
                        embedding_size: 5,
                        ..NetworkConfig::default()
                    };
                    let training = TrainingConfig {
                        dropout_embedding: (vectors && dropped).then_some(0.3),
                        dropout_hidden: if dropped { 0.4 } else { 0.0 },
                        ..sgd()
                    };
                    let training = TrainingConfig {
                        dropout_embedding: training.dropout_embedding.or(Some(0.0)),
                        ..training
                    };
                    Case::new(network, training).check();
                }
            }
        }
    }
}

#[test]
fn every_loss_activation_and_masking_agrees_with_the_reference() {
    let activations = [
        Activation::Linear,
        Activation::Tanh,
        Activation::Relu,
        Activation::Elu { alpha: 0.5 },
        Activation::Leaky { alpha: 0.2 },
        Activation::Selu { lambda: 1.05, alpha: 1.67 },
    ];
    for loss in [Loss::Top1, Loss::Bpr, Loss::CrossEntropy, Loss::Top1Max, Loss::BprMax, Loss::Mrr] {
        for activation in activations {
            if loss == Loss::CrossEntropy && activation != Activation::Linear {
                continue;
            }
            for (mask_own_target, samples, logq) in [
                (false, 0, None),
                (true, 6, None),
                (false, 30, Some(0.5)),
                (true, 70, Some(0.0)),
                (false, 700, None),
            ] {
                let network = NetworkConfig {
                    layers: vec![6],
                    output_activation: Some(activation),
                    ..NetworkConfig::default()
                };
                let training = TrainingConfig {
                    loss,
                    mask_own_target,
                    samples,
                    logq: logq.filter(|_| loss == Loss::CrossEntropy),
                    bpr_max_penalty: 0.7,
                    ..sgd()
                };
                Case::new(network, training).check();
            }
        }
    }
}

#[test]
fn every_hidden_activation_agrees_with_the_reference() {
    for unit in [Unit::Gru, Unit::Rnn] {
        for hidden_activation in [Activation::Tanh, Activation::Relu, Activation::Linear] {
            let network =
                NetworkConfig { unit, hidden_activation, layers: vec![7, 5], ..NetworkConfig::default() };
            Case::new(network, sgd()).check();
        }
    }
}

#[test]
fn input_to_output_and_cosines_agree_with_the_reference() {
    for (input, input_to_output) in
        [(Input::Shared, false), (Input::Shared, true), (Input::OneHot, false), (Input::Embedding, false)]
    {
        for cosine_scale in [None, Some(9.0)] {
            for (layers, feed_forward, deeper) in
                [(vec![6], vec![], false), (vec![17], vec![5], false), (vec![4, 18], vec![], true)]
            {
                for isa in Isa::available() {
                    let network = NetworkConfig {
                        input,
                        input_to_output,
                        cosine_scale,
                        layers: layers.clone(),
                        feed_forward: feed_forward.clone(),
                        input_to_deeper_layers: deeper,
                        embedding_size: 5,
                        ..NetworkConfig::default()
                    };
                    let dropout_embedding = if input == Input::Shared { Some(0.3) } else { Some(0.0) };
                    let training = TrainingConfig { dropout_embedding, dropout_hidden: 0.2, ..sgd() };
                    Case { isa, ..Case::new(network, training) }.check();
                }
            }
        }
    }
}

#[test]
fn every_instruction_set_and_batch_size_agrees_with_the_reference() {
    for isa in Isa::available() {
        for rows in [1, 2, 3, 17, 33] {
            for threads in [1, 2, 3] {
                let network = NetworkConfig { layers: vec![9], ..NetworkConfig::default() };
                let training = TrainingConfig { batch_size: rows, ..sgd() };
                Case { rows, threads, isa, ..Case::new(network, training) }.check();
            }
        }
    }
}

#[test]
fn content_agrees_with_the_reference() {
    for width in [0, 3, 17] {
        for (layers, feed_forward, input_to_output) in
            [(vec![6], vec![], false), (vec![17], vec![5], true), (vec![4, 18], vec![], false)]
        {
            for (dropout_item, clip_norm, samples) in [(0.0, 0.0, 6), (0.4, 0.0, 90), (0.4, 1e6, 6)] {
                for isa in Isa::available() {
                    let network = NetworkConfig {
                        layers: layers.clone(),
                        feed_forward: feed_forward.clone(),
                        input_to_output,
                        attributes: vec!["*".into()],
                        ..NetworkConfig::default()
                    };
                    let training = TrainingConfig {
                        dropout_item,
                        clip_norm,
                        samples,
                        dropout_embedding: Some(0.3),
                        dropout_hidden: 0.2,
                        ..sgd()
                    };
                    Case { isa, content: Some(content(width)), ..Case::new(network, training) }.check();
                }
            }
        }
    }
}

/// All parameters after a few steps.
fn trained(
    training: &TrainingConfig,
    network: &NetworkConfig,
    content: Option<Arc<Content>>,
    threads: usize,
) -> BTreeMap<String, Tensor> {
    let case = Case { threads, content, ..Case::new(network.clone(), training.clone()) };
    let pool = ThreadPool::new(threads);
    let cpu = Cpu { pool: &pool, isa: Isa::detect() };
    let mut net = case.new_network();
    let mut step = TrainingStep::new(&net, training);
    let mut state = TrainingStep::initial_state(&net, training);
    let sessions = case.sessions();
    let mut batcher =
        SessionBatcher::new(&sessions, (0..sessions.len() as u32).collect::<Vec<_>>(), case.rows);
    let mut t = 0;
    while let Some(batch) = batcher.next_batch().unwrap() {
        let batch = batch.clone();
        case.run(cpu, &mut step, &mut net, &mut state, &batch, t);
        t += 1;
    }
    net.tensors()
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    for (input, cosine_scale) in
        [(Input::OneHot, None), (Input::Embedding, None), (Input::Shared, None), (Input::Shared, Some(9.0))]
    {
        for clip_norm in [0.0, 0.01] {
            let network = NetworkConfig {
                input,
                cosine_scale,
                input_to_output: cosine_scale.is_some(),
                layers: vec![17, 9],
                feed_forward: vec![8],
                embedding_size: 6,
                ..NetworkConfig::default()
            };
            let training = TrainingConfig {
                optimizer: Optimizer::Adam,
                learning_rate: 0.1,
                momentum: 0.2,
                l2: 0.01,
                clip_norm,
                dropout_hidden: 0.2,
                samples: 100,
                ..sgd()
            };
            let one = trained(&training, &network, None, 1);
            for threads in [2, 3, 7] {
                assert_eq!(trained(&training, &network, None, threads), one, "{threads} threads");
            }
            if input != Input::Shared || cosine_scale.is_some() {
                continue;
            }
            let network = NetworkConfig { attributes: vec!["*".into()], ..network };
            let training = TrainingConfig { dropout_item: 0.3, ..training };
            let one = trained(&training, &network, Some(content(5)), 1);
            for threads in [2, 3, 7] {
                let others = trained(&training, &network, Some(content(5)), threads);
                assert_eq!(others, one, "{threads} threads");
            }
        }
    }
}

#[test]
fn optimisers_follow_the_reference_through_several_steps() {
    for optimizer in [Optimizer::Adagrad, Optimizer::Rmsprop, Optimizer::Sgd, Optimizer::Adam] {
        for (momentum, l2, clip_norm) in [(0.0, 0.0, 0.0), (0.3, 0.0, 0.0), (0.3, 0.02, 0.05)] {
            for (input, cosine_scale) in
                [(Input::OneHot, None), (Input::Shared, None), (Input::Shared, Some(5.0))]
            {
                let network =
                    NetworkConfig { input, cosine_scale, layers: vec![6], ..NetworkConfig::default() };
                let training =
                    TrainingConfig { optimizer, learning_rate: 0.05, momentum, l2, clip_norm, ..sgd() };
                follow_reference(&network, &training);
            }
        }
    }
}

/// Trains the network and the reference on the same steps; their parameters must stay equal within rounding.
fn follow_reference(network: &NetworkConfig, training: &TrainingConfig) {
    let case = Case::new(network.clone(), training.clone());
    let pool = ThreadPool::new(2);
    let cpu = Cpu { pool: &pool, isa: Isa::detect() };
    let activation = network.output_activation_for(training.loss);
    let mut net = Network::new(network.clone(), activation, ITEMS, 5);
    let mut step = TrainingStep::new(&net, training);
    let mut state = TrainingStep::initial_state(&net, training);
    let (plain_network, plain_training) = plain(network, training);
    let mut expected = to_f64(&net.tensors());
    let mut expected_state = reference::OptimizerState::new(&expected);
    let sessions = case.sessions();
    let mut batcher =
        SessionBatcher::new(&sessions, (0..sessions.len() as u32).collect::<Vec<_>>(), case.rows);
    for t in 0..4 {
        let batch = batcher.next_batch().unwrap().unwrap().clone();
        case.run(cpu, &mut step, &mut net, &mut state, &batch, t);
        let rows = batch.len();
        let example = Example {
            sessions: (0..rows).map(|b| batch.history(b).to_vec()).collect(),
            targets: batch.targets.clone(),
            samples: case.samples.clone(),
            hidden: step
                .activations
                .layers
                .iter()
                .map(|l| values(&l.previous, rows, l.state.width()))
                .collect(),
            cell: Vec::new(),
            embedding_mask: None,
            hidden_masks: Vec::new(),
            support: vec![SUPPORT; ITEMS],
        };
        let gradients = reference::gradient(&plain_network, &plain_training, &expected, &example.step());
        let touched = reference::touched_rows(&plain_network, &example.step());
        reference::apply(&plain_training, &mut expected, &gradients, &touched, &mut expected_state);
        reference::scale_items(&plain_network, &mut expected);
        for (name, tensor) in net.tensors() {
            for (i, (&is, &should)) in tensor.values.iter().zip(&expected.tensor(&name).values).enumerate() {
                // For a gradient near 0, the first steps of Adagrad, RMSProp and Adam depend on its sign only.
                let close = (f64::from(is) - should).abs() < 2e-4;
                assert!(close, "{training:?} step {t}: {name}[{i}] is {is}, not {should}");
            }
        }
    }
}

//! The steps of an epoch compared with the plain reference (samples, logQ, masks, dropout, means), and the rows that they
//! touch.

use super::config::*;
use super::network::Network;
use super::reference_config::plain;
use super::step_tests::{to_f64, values};
use super::trainer::{EpochEnd, Trainer};
use super::{Backend, CpuBackend, Restore, TrainingState};
use crate::Result;
use crate::batch::{Batch, Carry, SessionBatcher, by_start_time};
use crate::data::{Dataset, Sessions};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use upnext_kernels::{CounterRng, Isa};
use upnext_reference::{self as reference, example::Example};

/// Sessions of two to seven events on `items` items. Items of lower index are more popular; each has one event more in
/// its support than the sessions have.
fn dataset(items: u32, sessions: u64) -> Dataset {
    let rng = CounterRng::new(11, 0);
    let mut data = Dataset::default();
    for i in 0..items {
        data.items.add(&i.to_string(), 1);
    }
    for s in 0..sessions {
        let session: Vec<u32> = (0..2 + rng.below(100 * s, 6))
            .map(|t| (rng.below(100 * s + 2 * t + 1, 20) * rng.below(100 * s + 2 * t + 2, 20) / 20) as u32)
            .collect();
        for item in &session {
            data.items.add(&item.to_string(), 1);
        }
        data.sessions.push(&session, s as i64);
    }
    data
}

fn trainer(network: &NetworkConfig, training: &TrainingConfig, data: &Dataset) -> Trainer {
    let activation = network.output_activation_for(training.loss);
    let network = Network::new(network.clone(), activation, data.items.len(), training.seed);
    Trainer::new(network, training, data.clone(), 1).unwrap()
}

/// The dropout masks of a step, one per layer.
type Masks = Vec<Vec<f64>>;

/// The states that rows carry from the step before, `units` numbers per row.
fn carried(before: &[f64], units: usize, carry: &[Carry]) -> Vec<f64> {
    let of = |carry: &Carry| match *carry {
        Carry::Fresh => vec![0.0; units],
        Carry::Row(from) => before[from * units..][..units].to_vec(),
    };
    carry.iter().flat_map(of).collect()
}

/// Runs an epoch of `training` step by step beside the reference, which carries its own states. Returns the samples and
/// masks of the steps.
fn follow_an_epoch(
    network: &NetworkConfig,
    training: &TrainingConfig,
    data: &Dataset,
) -> (Vec<u32>, Vec<Masks>) {
    let mut trainer = trainer(network, training, data);
    let mut batcher = SessionBatcher::new(&data.sessions, by_start_time(&data.sessions), training.batch_size);
    let (mut samples, mut drawn, mut sizes, mut cost_before) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
    let mut states: Vec<Vec<f64>> = vec![Vec::new(); network.layers.len()];
    let (plain_network, plain_training) = plain(network, training);
    while let Some(batch) = batcher.next_batch().unwrap() {
        let parameters = to_f64(&trainer.network().tensors());
        let end = trainer.run_epoch(&mut |_| ControlFlow::Break(())).unwrap();
        let EpochEnd::Stopped(progress) = end else { panic!("a mini-batch was left out") };
        let rows = batch.len();
        let cpu = trainer.backend().as_cpu().expect("the CPU trains");
        let activations = &cpu.step.activations;
        let hidden_masks: Masks = activations
            .layers
            .iter()
            .map(|layer| values(layer.mask().expect("dropout"), rows, layer.state.width()))
            .collect();
        let embedding_mask = activations.input.mask().map(|mask| values(mask, rows, mask.width()));
        let example = Example {
            sessions: (0..rows).map(|b| batch.history(b).to_vec()).collect(),
            targets: batch.targets.clone(),
            samples: cpu.scored.items()[rows..].to_vec(),
            hidden: states.iter().zip(&network.layers).map(|(s, &h)| carried(s, h, &batch.carry)).collect(),
            cell: Vec::new(),
            embedding_mask: embedding_mask.clone(),
            hidden_masks: hidden_masks.clone(),
            support: data.items.supports().to_vec(),
        };
        assert_eq!(
            (example.samples.len(), &cpu.scored.items()[..rows]),
            (training.samples, &batch.targets[..])
        );
        let expected = reference::forward(&plain_network, &plain_training, &parameters, &example.step());
        states = expected.hidden;
        let cost = progress.loss * progress.pairs as f64;
        let is = (cost - cost_before) / training.batch_size as f64;
        let step = sizes.len();
        let should = expected.loss;
        assert!((is - should).abs() < 1e-5, "{training:?} step {step}: {is}, not {should}");
        cost_before = cost;
        sizes.push(rows);
        samples.extend(example.samples);
        drawn.push(hidden_masks.into_iter().chain(embedding_mask).collect());
    }
    let EpochEnd::Finished(progress) = trainer.run_epoch(&mut |_| ControlFlow::Break(())).unwrap() else {
        panic!("a mini-batch too many")
    };
    assert_eq!(progress.pairs, progress.pairs_in_epoch);
    assert_eq!((sizes[0], sizes[sizes.len() - 1]), (training.batch_size, 1), "the mini-batch shrinks");
    (samples, drawn)
}

#[test]
fn every_step_of_an_epoch_costs_what_the_reference_says() {
    let data = dataset(30, 40);
    let network = NetworkConfig { layers: vec![6, 6], ..NetworkConfig::default() };
    for (logq, sample_alpha, mask_own_target) in [(1.0, 0.5, false), (0.7, 1.0, true), (0.0, 0.0, true)] {
        let training = TrainingConfig {
            batch_size: 7,
            samples: 5,
            logq: Some(logq),
            sample_alpha,
            mask_own_target,
            dropout_embedding: Some(0.2),
            dropout_hidden: 0.3,
            ..TrainingConfig::default()
        };
        follow_an_epoch(&network, &training, &data);
    }
}

#[test]
fn a_trainer_samples_by_the_configured_power_of_support() {
    let data = dataset(30, 40);
    let network = NetworkConfig { layers: vec![6], ..NetworkConfig::default() };
    let supports: Vec<f64> = data.items.supports().iter().map(|&support| support as f64).collect();
    for sample_alpha in [0.0, 0.5, 1.0] {
        let training = TrainingConfig {
            batch_size: 4,
            samples: 100,
            sample_alpha,
            dropout_hidden: 0.1,
            ..TrainingConfig::default()
        };
        let (samples, _) = follow_an_epoch(&network, &training, &data);
        let total: f64 = supports.iter().map(|support| support.powf(sample_alpha)).sum();
        let expected = supports[0].powf(sample_alpha) / total;
        let share = samples.iter().filter(|&&item| item == 0).count() as f64 / samples.len() as f64;
        assert!((share - expected).abs() < 0.015, "α {sample_alpha}: {share}, not {expected}");
    }
}

#[test]
fn every_step_row_and_layer_draws_its_own_dropout_mask() {
    let data = dataset(30, 40);
    let network = NetworkConfig { layers: vec![40, 40], ..NetworkConfig::default() };
    let training = TrainingConfig {
        batch_size: 7,
        samples: 5,
        dropout_embedding: Some(0.5),
        dropout_hidden: 0.5,
        ..TrainingConfig::default()
    };
    let (_, steps) = follow_an_epoch(&network, &training, &data);
    let mut rows: Vec<Vec<u64>> = steps
        .iter()
        .flatten()
        .flat_map(|mask| mask.chunks(40).map(|row| row.iter().map(|x| x.to_bits()).collect()))
        .collect();
    let drawn = rows.len();
    rows.sort_unstable();
    rows.dedup();
    assert_eq!(rows.len(), drawn, "two masks of 40 fair draws are the same");
}

/// The CPU, with counts of what its steps touch.
#[derive(Debug)]
struct CountingBackend {
    cpu: CpuBackend,
    counts: Arc<Mutex<Counts>>,
}

#[derive(Clone, Debug, Default)]
struct Counts {
    steps: usize,
    /// The most rows of the item tables that a step changed, in the table with the most.
    changed: usize,
    /// The most items that a step scored.
    scored: usize,
    /// The most rows that a step looked up in the output's and in the input's tables.
    used: (usize, usize),
    /// The most tiles of 64 items that a part has held scores, copies or gradients of.
    tiles: usize,
    /// Calls that read all parameters.
    passes: usize,
}

impl Backend for CountingBackend {
    fn name(&self) -> &str {
        self.cpu.name()
    }

    fn step(&mut self, step: u64, batch: &Batch) {
        let (items, before) = (self.cpu.network.num_items(), self.cpu.network.tensors());
        self.cpu.step(step, batch);
        let after = self.cpu.network.tensors();
        let changed = before.iter().filter(|(_, before)| before.shape[0] == items).map(|(name, before)| {
            let width = before.values.len() / items;
            let rows = before.values.chunks(width).zip(after[name].values.chunks(width));
            rows.filter(|(before, after)| before != after).count()
        });
        let mut counts = self.counts.lock().unwrap();
        counts.steps += 1;
        counts.changed = counts.changed.max(changed.max().expect("a table of items"));
        counts.scored = counts.scored.max(self.cpu.scored.items().len());
        let (output, input, tiles) = self.cpu.step.rows_and_tiles();
        counts.used = (counts.used.0.max(output), counts.used.1.max(input));
        counts.tiles = counts.tiles.max(tiles);
    }

    fn losses(&mut self, wait: bool, each: &mut dyn FnMut(f64)) {
        self.cpu.losses(wait, each);
    }

    fn is_within(&mut self, limit: f32) -> bool {
        self.counts.lock().unwrap().passes += 1;
        self.cpu.is_within(limit)
    }

    fn network(&mut self) -> &Network {
        self.cpu.network()
    }

    fn into_network(self: Box<Self>) -> Network {
        Box::new(self.cpu).into_network()
    }

    fn save(&mut self, carried: bool, state: &mut TrainingState) {
        self.counts.lock().unwrap().passes += 1;
        self.cpu.save(carried, state);
    }

    fn restore(&mut self, how: Restore, state: &mut TrainingState) -> Result<()> {
        self.cpu.restore(how, state)
    }
}

/// The counts of an epoch with every option on that could make a step visit more than the rows in use.
fn counts_of_an_epoch(input: Input, items: u32) -> Counts {
    let data = dataset(items, 60);
    let network =
        NetworkConfig { unit: Unit::Rnn, input, layers: vec![8], embedding_size: 8, ..Default::default() };
    let training = TrainingConfig {
        batch_size: 2,
        samples: 2,
        mask_own_target: true,
        momentum: 0.1,
        l2: 1e-3,
        clip_norm: 0.5,
        ..TrainingConfig::default()
    };
    let activation = network.output_activation_for(training.loss);
    let network = Network::new(network, activation, data.items.len(), training.seed);
    let cpu = CpuBackend::new(network, &training, &data.items, 1, Isa::detect()).unwrap();
    let counts = Arc::new(Mutex::new(Counts::default()));
    let backend = CountingBackend { cpu, counts: Arc::clone(&counts) };
    let mut trainer = Trainer::with_backend(Box::new(backend), &training, data).unwrap();
    let end = trainer.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap();
    assert!(matches!(end, EpochEnd::Finished(_)));
    counts.lock().unwrap().clone()
}

#[test]
fn a_step_touches_the_same_number_of_rows_whatever_the_number_of_items() {
    // Two targets and two samples; two inputs with histories of up to six items.
    let (scored, inputs) = (4, 2 * 6);
    for input in [Input::OneHot, Input::Discounted, Input::Embedding, Input::Shared] {
        for items in [300, 3_000] {
            let counts = counts_of_an_epoch(input, items);
            let context = format!("{input:?}, {items} items: {counts:?}");
            assert!(counts.steps > 100, "{context}");
            assert_eq!(counts.scored, scored, "{context}");
            assert!((2..=scored + inputs).contains(&counts.changed), "{context}");
            assert!((2..=scored + 2).contains(&counts.used.0), "{context}");
            assert!(counts.used.1 <= inputs, "{context}");
            assert_eq!((counts.tiles, counts.passes), (1, 1), "{context}");
        }
    }
}

#[test]
fn a_training_from_a_source_is_that_from_memory_to_the_bit_and_goes_on_anywhere() {
    let data = dataset(20, 60);
    let discounted = NetworkConfig { input: Input::Discounted, discount: 0.5, ..NetworkConfig::default() };
    for network in [
        NetworkConfig { layers: vec![6], ..NetworkConfig::default() },
        NetworkConfig { layers: vec![6], ..discounted },
    ] {
        let training = TrainingConfig { batch_size: 5, samples: 4, ..TrainingConfig::default() };
        let source = Dataset {
            source: Some(Arc::new(data.sessions.clone())),
            sessions: Sessions::new(),
            ..data.clone()
        };
        let mut memory = trainer(&network, &training, &data);
        let mut streamed = trainer(&network, &training, &source);
        for _ in 0..2 {
            let EpochEnd::Finished(expected) = memory.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap()
            else {
                panic!("nobody asked to stop")
            };
            let found = loop {
                // Saved and resumed after every few steps.
                let mut steps = 0;
                let end = streamed.run_epoch(&mut |_| {
                    steps += 1;
                    if steps == 7 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
                });
                match end.unwrap() {
                    EpochEnd::Finished(found) => break found,
                    EpochEnd::Stopped(_) => {
                        let (saved, network) = (streamed.state(), streamed.network().clone());
                        streamed = Trainer::resume(network, &training, source.clone(), 1, saved).unwrap();
                    }
                }
            };
            assert_eq!((found.loss.to_bits(), found.pairs), (expected.loss.to_bits(), expected.pairs));
            assert_eq!(
                (found.pairs_in_epoch, found.mini_batches),
                (expected.pairs_in_epoch, expected.mini_batches)
            );
        }
        assert_eq!(streamed.network().tensors(), memory.network().tensors());
    }
}

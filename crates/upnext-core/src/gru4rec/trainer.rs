//! Training: epochs of session-parallel mini-batches. The caller owns the loop over epochs, and what is shown and saved.

use super::activations::Dropout;
use super::config::{NetworkConfig, Optimizer, SessionOrder, TrainingConfig};
use super::layers::Cpu;
use super::negatives::{Drawn, NegativeSampler};
use super::network::{Network, Stream};
use super::parameters::Parameters;
use super::step::{StepItems, TrainingStep, bytes_of_parameters, operations};
use crate::batch::{BatcherPosition, SessionBatcher, by_start_time};
use crate::data::{Dataset, ItemIndex};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::time::Instant;
use upnext_kernels::{Isa, OptimizerState, RowGroups, ThreadPool};

/// Operations of a step below which one thread does it alone: cores that share no cache take longer to hand each other
/// its data than to compute with it (`docs/performance.md`).
///
/// In tests no step is too light for what is promised of several threads.
const LIGHT_STEP: f64 = if cfg!(test) { 0.0 } else { 12e6 };

/// Trains a network on a dataset.
///
/// The same network, configuration, data and instruction set give the same bits for any number of threads, and so does
/// a training that is stopped, saved and resumed at any mini-batch.
#[derive(Debug)]
pub struct Trainer<'d> {
    data: &'d Dataset,
    pub(super) network: Network,
    training: TrainingConfig,
    pub(super) state: Parameters<OptimizerState>,
    pub(super) step: TrainingStep,
    sampler: Option<NegativeSampler>,
    /// `q · log(support)` of each item, where logQ is on.
    log_support: Option<Vec<f32>>,
    same_items: Option<RowGroups>,
    pool: ThreadPool,
    isa: Isa,
    pub(super) position: Position,
    // What a step is asked for: kept to allocate nothing.
    pub(super) scored: Vec<ItemIndex>,
    offsets: Vec<f32>,
    masked: Vec<(u32, u32)>,
    drawn: Drawn,
}

/// How far training has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Position {
    /// Epochs finished.
    epochs: usize,
    /// Mini-batches learnt from in all epochs: what samples and dropout are a function of.
    steps: u64,
    /// Within the epoch that has begun, if one has.
    pub(super) epoch: Option<EpochPosition>,
    /// Whose bits these are.
    pub(super) instruction_set: String,
    /// Whose memory the optimiser's state is.
    pub(super) optimizer: Optimizer,
}

/// How far an epoch has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct EpochPosition {
    batcher: BatcherPosition,
    progress: EpochProgress,
    /// Sum of the losses of all pairs, as bits, since a decimal number may not give them back.
    loss_sum_bits: u64,
}

impl EpochPosition {
    /// Number of rows that the last mini-batch had.
    pub(super) fn num_rows(&self) -> usize {
        self.batcher.num_rows()
    }
}

/// What an epoch has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EpochProgress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Mini-batches learnt from.
    pub mini_batches: u64,
    /// Training pairs learnt from.
    pub pairs: u64,
    /// Pairs left out because a single row without additional samples has no negatives.
    pub pairs_left_out: u64,
    /// Pairs of the whole epoch.
    pub pairs_in_epoch: u64,
    /// Mean loss of a pair.
    pub loss: f64,
    /// Seconds spent on the epoch.
    pub seconds: f64,
}

impl EpochProgress {
    /// Mini-batches a second.
    pub fn mini_batches_per_second(&self) -> f64 {
        self.mini_batches as f64 / self.seconds.max(1e-9)
    }

    /// Events a second: pairs learnt from.
    pub fn events_per_second(&self) -> f64 {
        self.pairs as f64 / self.seconds.max(1e-9)
    }
}

/// How a call of [`Trainer::run_epoch`] ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EpochEnd {
    /// The epoch is done.
    Finished(EpochProgress),
    /// The observer asked to stop; the next call goes on from here.
    Stopped(EpochProgress),
}

impl<'d> Trainer<'d> {
    /// A trainer before the first epoch, with a network over the items of `data`.
    ///
    /// # Errors
    /// [`Error::Config`] for a configuration that makes no sense, or a batch larger than the number of sessions.
    ///
    /// # Panics
    /// If `threads` is 0, or the network has not as many items as the data.
    pub fn new(
        network: Network,
        training: &TrainingConfig,
        data: &'d Dataset,
        threads: usize,
    ) -> Result<Self> {
        Self::with_isa(network, training, data, threads, Isa::detect())
    }

    /// As [`new`](Self::new), on an instruction set of one's choice.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_isa(
        network: Network,
        training: &TrainingConfig,
        data: &'d Dataset,
        threads: usize,
        isa: Isa,
    ) -> Result<Self> {
        assert_eq!(network.num_items(), data.items.len(), "a network over other items");
        network.config().validate(training)?;
        let network = network.into_trainable();
        let usable = data.sessions.iter().filter(|session| session.len() >= 2).count();
        if usable < training.batch_size {
            return Err(Error::config(
                "training.batch_size",
                format!(
                    "is {}, but there are {usable} sessions of two or more events: use {} or less",
                    training.batch_size, usable
                ),
            ));
        }
        let sampler = if training.samples > 0 {
            let sampler =
                NegativeSampler::new(&data.items, training.sample_alpha, training.samples, training.seed)
                    .ok_or_else(|| {
                        Error::config(
                            "training.sample_alpha",
                            "the items' supports give no distribution: use 0 to 1",
                        )
                    })?;
            Some(sampler)
        } else {
            None
        };
        let q = training.logq_for_loss();
        let log_support = (q > 0.0).then(|| {
            let log = |&support: &u64| q * (support.max(1) as f64).ln() as f32;
            data.items.supports().iter().map(log).collect()
        });
        let items = training.batch_size + training.samples;
        assert!(threads > 0, "a training needs a thread");
        let operations = operations(network.config(), training);
        Ok(Self {
            state: TrainingStep::initial_state(&network, training),
            step: TrainingStep::new(&network, training),
            sampler,
            log_support,
            same_items: training.mask_own_target.then(|| RowGroups::new(data.items.len())),
            pool: ThreadPool::new(if operations < LIGHT_STEP { 1 } else { threads }),
            isa,
            position: Position {
                epochs: 0,
                steps: 0,
                epoch: None,
                instruction_set: isa.name().into(),
                optimizer: training.optimizer,
            },
            scored: Vec::with_capacity(items),
            offsets: Vec::with_capacity(items),
            masked: Vec::new(),
            drawn: Drawn::default(),
            data,
            network,
            training: training.clone(),
        })
    }

    /// The network as it is now.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, at the end of training.
    pub fn into_network(self) -> Network {
        self.network
    }

    /// Number of epochs finished.
    pub fn epochs_done(&self) -> usize {
        self.position.epochs
    }

    /// Whether an epoch has begun and is not finished.
    pub fn is_within_epoch(&self) -> bool {
        self.position.epoch.is_some()
    }

    /// Bytes that a training of this network over `items` items needs beside the data: its parameters and the
    /// optimiser's memory, and a copy of them when they are saved.
    pub fn bytes(network: &NetworkConfig, training: &TrainingConfig, items: usize) -> u64 {
        bytes_of_parameters(network, training, items).saturating_mul(2)
    }

    /// Floating-point operations of the matrix products of a step with a full mini-batch.
    pub fn operations_per_step(&self) -> f64 {
        operations(self.network.config(), &self.training)
    }

    /// Number of threads at work: 1 where a step is too small to be divided.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// The instruction set that the arithmetic runs on.
    pub fn instruction_set(&self) -> Isa {
        self.isa
    }

    /// Runs an epoch to its end, or goes on with one that was stopped; the observer is called after every mini-batch.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a loss, or at the end of the epoch a parameter, is not a finite number; the trainer is of
    /// no use after that.
    pub fn run_epoch(
        &mut self,
        observe: &mut dyn FnMut(&EpochProgress) -> ControlFlow<()>,
    ) -> Result<EpochEnd> {
        let data = self.data;
        let order = self.order();
        let mut at = self.position.epoch.take().unwrap_or_else(|| self.begin_epoch(&order));
        let (begun, seconds_before) = (Instant::now(), at.progress.seconds);
        let mut loss_sum = f64::from_bits(at.loss_sum_bits);
        let mut batcher =
            SessionBatcher::resume(&data.sessions, order, at.batcher.clone()).ok_or_else(|| {
                Error::config("resume", "the saved position is not one of these sessions: train on the data that it was saved with")
            })?;
        let mut ended = true;
        while let Some(batch) = batcher.next_batch() {
            if batch.len() == 1 && self.training.samples == 0 {
                at.progress.pairs_left_out += 1;
                continue;
            }
            self.prepare_items(&batch.targets);
            let log_support = self.log_support.as_deref().zip(Some(self.training.sample_alpha as f32));
            let (dropout, next, drawn) = (self.dropout(), self.position.steps + 1, &mut self.drawn);
            let mut draw_next =
                self.sampler.as_ref().map(|sampler| move || drawn.draw(next, sampler, log_support));
            let items = StepItems {
                scored: &self.scored,
                offsets: log_support.map(|_| &self.offsets[..]),
                masked: &self.masked,
                dropout: Some(dropout),
                meanwhile: draw_next.as_mut().map(|draw| draw as &mut (dyn FnMut() + Send)),
            };
            let cpu = Cpu { pool: &self.pool, isa: self.isa };
            let (network, state) = (&mut self.network, &mut self.state);
            let loss = self.step.run(cpu, network, state, batch, &data.sessions, items);
            self.position.steps += 1;
            let progress = &mut at.progress;
            progress.mini_batches += 1;
            progress.pairs += batch.len() as u64;
            if !loss.is_finite() {
                return Err(self.diverged(progress, "the loss"));
            }
            loss_sum += loss * self.training.batch_size as f64;
            progress.loss = loss_sum / progress.pairs as f64;
            progress.seconds = seconds_before + begun.elapsed().as_secs_f64();
            if observe(progress).is_break() {
                ended = false;
                break;
            }
        }
        if !self.network.is_finite() {
            return Err(self.diverged(&at.progress, "a parameter"));
        }
        let progress = at.progress;
        if ended {
            self.position.epochs += 1;
            return Ok(EpochEnd::Finished(progress));
        }
        at.batcher = batcher.position().clone();
        at.loss_sum_bits = loss_sum.to_bits();
        self.position.epoch = Some(at);
        Ok(EpochEnd::Stopped(progress))
    }

    fn diverged(&self, progress: &EpochProgress, what: &'static str) -> Error {
        Error::Diverged { epoch: progress.epoch, mini_batch: progress.mini_batches, what }
    }

    fn order(&self) -> Vec<u32> {
        match self.training.session_order {
            SessionOrder::Time => by_start_time(&self.data.sessions),
            SessionOrder::Shuffled => {
                let mut order: Vec<u32> = (0..self.data.sessions.len() as u32).collect();
                let rng = Stream::Order.of(self.training.seed);
                rng.substream(self.position.epochs as u64).shuffle(&mut order);
                order
            }
        }
    }

    fn begin_epoch(&self, order: &[u32]) -> EpochPosition {
        let sessions = &self.data.sessions;
        let batcher = SessionBatcher::new(sessions, order.to_vec(), self.training.batch_size);
        let pairs_in_epoch = sessions.iter().map(|session| session.len().saturating_sub(1) as u64).sum();
        EpochPosition {
            batcher: batcher.position().clone(),
            progress: EpochProgress {
                epoch: self.position.epochs + 1,
                pairs_in_epoch,
                ..EpochProgress::default()
            },
            loss_sum_bits: 0f64.to_bits(),
        }
    }

    /// The items that a step scores, with their logQ and what is masked.
    fn prepare_items(&mut self, targets: &[ItemIndex]) {
        let (log_support, step) = (self.log_support.as_deref(), self.position.steps);
        if let Some(sampler) = &self.sampler {
            self.drawn.draw(step, sampler, log_support.zip(Some(self.training.sample_alpha as f32)));
        }
        self.scored.clear();
        self.scored.extend_from_slice(targets);
        self.scored.extend_from_slice(&self.drawn.items);
        if let Some(log_support) = log_support {
            self.offsets.clear();
            self.offsets.extend(targets.iter().map(|&item| log_support[item as usize]));
            self.offsets.extend_from_slice(&self.drawn.offsets);
        }
        if let Some(groups) = &mut self.same_items {
            groups.group((0..).zip(self.scored.iter().copied()));
            self.masked.clear();
            for b in 0..targets.len() {
                let same = groups.uses(groups.group_of(b)).iter().filter(|&&r| r as usize != b);
                self.masked.extend(same.map(|&r| (r, b as u32)));
            }
            self.masked.sort_unstable();
        }
    }

    fn dropout(&self) -> Dropout {
        let (seed, step) = (self.training.seed, self.position.steps);
        Dropout {
            embedding: self.training.dropout_embedding_for(self.network.config()),
            embedding_rng: Stream::EmbeddingDropout.of(seed).substream(step),
            hidden: self.training.dropout_hidden,
            hidden_rng: Stream::HiddenDropout.of(seed).substream(step),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gru4rec::config::*;

    fn sessions(n: u32, lengths: &[usize]) -> Dataset {
        let mut data = Dataset::default();
        for i in 0..n {
            data.items.add(&i.to_string(), 1);
        }
        let mut next = 0;
        for (s, &length) in lengths.iter().enumerate() {
            let session: Vec<u32> = (0..length as u32).map(|t| (next + t) % n).collect();
            next += length as u32;
            data.sessions.push(&session, s as i64);
        }
        data
    }

    fn small(training: TrainingConfig, data: &Dataset) -> Result<Trainer<'_>> {
        let config = NetworkConfig { layers: vec![8], ..NetworkConfig::default() };
        let activation = config.output_activation_for(training.loss);
        Trainer::new(Network::new(config, activation, data.items.len(), 1), &training, data, 1)
    }

    #[test]
    fn training_learns_what_follows_what() {
        let data = sessions(12, &[6; 40]);
        let training =
            TrainingConfig { batch_size: 4, samples: 8, mask_own_target: true, ..TrainingConfig::default() };
        let mut trainer = small(training, &data).unwrap();
        let mut losses = Vec::new();
        for _ in 0..5 {
            let EpochEnd::Finished(epoch) = trainer.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap()
            else {
                panic!("nobody asked to stop")
            };
            assert_eq!((epoch.pairs, epoch.pairs_left_out, epoch.pairs_in_epoch), (200, 0, 200));
            losses.push(epoch.loss);
        }
        assert!(losses[4] < 0.3 * losses[0], "{losses:?}");
    }

    #[test]
    fn pairs_without_negatives_are_counted() {
        let data = sessions(12, &[3, 9]);
        let training = TrainingConfig {
            batch_size: 2,
            samples: 0,
            loss: Loss::Bpr,
            dropout_embedding: Some(0.0),
            ..TrainingConfig::default()
        };
        let mut trainer = small(training, &data).unwrap();
        let end = trainer.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap();
        let EpochEnd::Finished(epoch) = end else { panic!("nobody asked to stop") };
        assert_eq!((epoch.mini_batches, epoch.pairs, epoch.pairs_left_out), (2, 4, 6));
    }

    #[test]
    fn a_batch_larger_than_the_number_of_sessions_is_refused_with_the_number_to_use() {
        let data = sessions(12, &[3, 9, 1]);
        let training = TrainingConfig { batch_size: 3, ..TrainingConfig::default() };
        let message = small(training, &data).unwrap_err().to_string();
        assert!(message.contains("training.batch_size") && message.contains("use 2"), "{message}");
    }

    #[test]
    fn a_training_that_diverges_says_so() {
        let data = sessions(12, &[6; 10]);
        let training = TrainingConfig {
            batch_size: 4,
            optimizer: Optimizer::Sgd,
            learning_rate: 1e38,
            ..TrainingConfig::default()
        };
        let mut trainer = small(training, &data).unwrap();
        let error = (0..3)
            .find_map(|_| trainer.run_epoch(&mut |_| ControlFlow::Continue(())).err())
            .expect("an error");
        assert!(matches!(error, Error::Diverged { epoch: 1, .. }), "{error}");
    }
}

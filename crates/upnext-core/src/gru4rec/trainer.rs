//! Training by epochs of session-parallel mini-batches. The caller runs the loop over epochs, reports and saves.

use super::backend::{Backend, Restore};
use super::config::{NetworkConfig, Optimizer, SessionOrder, TrainingConfig};
use super::cpu::CpuBackend;
use super::network::{Network, Stream};
use super::step::operations;
use crate::arrays::TrainingState;
use crate::batch::{BatcherPosition, Order, SessionBatcher, by_start_time};
use crate::data::Dataset;
use crate::history::EpochProgress;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;
use upnext_kernels::Isa;

/// Trains a network on a dataset.
///
/// For the same network, configuration, data and backend, results are the same to the bit for any number of threads,
/// and for a training that is stopped, saved and resumed at any mini-batch.
#[derive(Debug)]
pub struct Trainer {
    data: Arc<Dataset>,
    network: NetworkConfig,
    training: TrainingConfig,
    backend: Box<dyn Backend>,
    position: Position,
}

/// The position of a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Position {
    /// Number of finished epochs.
    epochs: usize,
    /// Number of steps in all epochs, from which samples and dropout are drawn.
    steps: u64,
    /// Position within the current epoch, if one has begun.
    epoch: Option<EpochPosition>,
    /// The name of the backend: another would not continue with the same bits.
    instruction_set: String,
    /// The optimiser of the saved state.
    optimizer: Optimizer,
}

/// The position within an epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct EpochPosition {
    batcher: BatcherPosition,
    progress: EpochProgress,
    /// Sum of the losses of all pairs, as the bits of an f64, which decimal text may not preserve.
    loss_sum_bits: u64,
}

/// The result of [`Trainer::run_epoch`].
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum EpochEnd {
    /// The epoch is finished.
    Finished(EpochProgress),
    /// The observer stopped the epoch; the next call continues it.
    Stopped(EpochProgress),
}

impl Trainer {
    /// Creates a trainer on the CPU, before the first epoch, of a network over the items of `data`. It uses the best
    /// instruction set of the machine.
    ///
    /// # Errors
    /// [`Error::Config`] for an invalid configuration, or if `data` has nothing to learn from
    /// ([`TrainingConfig::for_sessions`], which makes mini-batches smaller where there are few sessions).
    ///
    /// # Panics
    /// If `threads` is 0, or the network and the data differ in their numbers of items.
    pub fn new(
        network: Network,
        training: &TrainingConfig,
        data: impl Into<Arc<Dataset>>,
        threads: usize,
    ) -> Result<Self> {
        let data = data.into();
        let training = &training.for_sessions(data.counts())?;
        let backend = CpuBackend::new(network, training, &data.items, threads, Isa::detect())?;
        Self::with_backend(Box::new(backend), training, data)
    }

    /// Creates a trainer on a backend, before the first epoch. `training` must be the configuration of the backend.
    ///
    /// # Errors
    /// [`Error::Config`] if `data` has fewer sessions of two or more events than a mini-batch has rows.
    pub fn with_backend(
        mut backend: Box<dyn Backend>,
        training: &TrainingConfig,
        data: impl Into<Arc<Dataset>>,
    ) -> Result<Self> {
        let data = data.into();
        let rows = training.for_sessions(data.counts())?.batch_size;
        if rows < training.batch_size {
            let asked = training.batch_size;
            let reason = format!(
                "is {asked}, but there are {rows} sessions of two or more events: use {rows} or less"
            );
            return Err(Error::config("training.batch_size", reason));
        }
        let position = Position {
            epochs: 0,
            steps: 0,
            epoch: None,
            instruction_set: backend.name().into(),
            optimizer: training.optimizer,
        };
        let network = backend.network().config().clone();
        Ok(Self { data, network, training: training.clone(), backend, position })
    }

    /// Resumes a saved training, with the configuration and data that it had.
    ///
    /// # Errors
    /// Those of [`new`](Self::new); [`Error::Weights`] for a state that does not fit the network or the mini-batch;
    /// [`Error::Config`] if it was saved with an instruction set that this machine lacks.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn resume(
        network: Network,
        training: &TrainingConfig,
        data: impl Into<Arc<Dataset>>,
        threads: usize,
        mut saved: TrainingState,
    ) -> Result<Self> {
        let data = data.into();
        let training = &training.for_sessions(data.counts())?;
        let position = read_position(&mut saved)?;
        let isa = Isa::by_name(&position.instruction_set).ok_or_else(|| {
            let reason = format!(
                "this training was begun with {} instructions, which this machine lacks: go on where it was begun, or start a new training from the model with --init",
                position.instruction_set
            );
            Error::config("resume", reason)
        })?;
        let rows = position.epoch.as_ref().map_or(0, |epoch| epoch.batcher.num_rows());
        if rows > training.batch_size {
            let reason = format!("it has {rows} rows, and the mini-batch {}", training.batch_size);
            return Err(Error::weights("training position", reason));
        }
        let backend = CpuBackend::new(network, training, &data.items, threads, isa)?;
        let mut trainer = Self::with_backend(Box::new(backend), training, data)?;
        let within_epoch = position.epoch.is_some();
        trainer.backend.restore(Restore::Resume { within_epoch }, &mut saved)?;
        trainer.position = position;
        Ok(trainer)
    }

    /// Restores the optimiser state of an earlier training of this network (warm start). Rows of new items keep their
    /// initial state.
    ///
    /// Returns whether the state was restored; it is not if that training used another optimiser.
    ///
    /// # Errors
    /// [`Error::Weights`] for a state that does not fit the network.
    pub fn take_over_optimizer(&mut self, mut saved: TrainingState) -> Result<bool> {
        if read_position(&mut saved)?.optimizer != self.position.optimizer {
            return Ok(false);
        }
        self.backend.restore(Restore::WarmStart, &mut saved)?;
        Ok(true)
    }

    /// The state of the training, for [`resume`](Self::resume): its position, the optimiser state and, within an epoch,
    /// the carried hidden states.
    pub fn state(&mut self) -> TrainingState {
        let position =
            serde_json::to_value(&self.position).expect("a struct of numbers and strings has a JSON form");
        let mut state = TrainingState { position, ..TrainingState::default() };
        self.backend.save(self.position.epoch.is_some(), &mut state);
        state
    }

    /// The network after all steps so far.
    pub fn network(&mut self) -> &Network {
        self.backend.network()
    }

    /// The network after all steps so far, which consumes the trainer.
    pub fn into_network(self) -> Network {
        self.backend.into_network()
    }

    /// Rows of a mini-batch.
    pub fn batch_size(&self) -> usize {
        self.training.batch_size
    }

    /// Number of finished epochs.
    pub fn epochs_done(&self) -> usize {
        self.position.epochs
    }

    /// Whether an epoch has begun and is not finished.
    pub fn is_within_epoch(&self) -> bool {
        self.position.epoch.is_some()
    }

    /// Floating-point operations of the matrix products of a step with a full mini-batch.
    pub fn operations_per_step(&self) -> f64 {
        operations(&self.network, &self.training)
    }

    /// The backend that computes the steps.
    pub fn backend(&self) -> &dyn Backend {
        &*self.backend
    }

    /// Runs an epoch, or continues one that was stopped. `observe` is called after every mini-batch and can stop it.
    ///
    /// # Errors
    /// [`Error::Diverged`] if a loss or, at the end of the call, a parameter is not finite, or if the mean loss of the
    /// epoch or a parameter exceeds a million; the trainer must not be used afterwards. [`Error::Config`] if a resumed position does not fit the sessions.
    pub fn run_epoch(
        &mut self,
        observe: &mut dyn FnMut(&EpochProgress) -> ControlFlow<()>,
    ) -> Result<EpochEnd> {
        let data = Arc::clone(&self.data);
        let (mut at, mut batcher) = match self.position.epoch.take() {
            Some(at) => {
                let batcher = self.resumed(&data, at.batcher.clone())?;
                let batcher = batcher.ok_or_else(|| {
                    Error::config("resume", "the saved position is not one of these sessions: train on the data that it was saved with")
                })?;
                (at, batcher)
            }
            None => {
                let rows = self.training.batch_size;
                let batcher = match &data.source {
                    Some(source) => SessionBatcher::of_source(&**source, rows)?,
                    None => SessionBatcher::new(&data.sessions, self.order(), rows),
                };
                (self.begin_epoch(batcher.position().clone()), batcher)
            }
        };
        let (begun, seconds_before) = (Instant::now(), at.progress.seconds);
        let mut losses = Losses::new(&at, self.training.batch_size);
        let mut ended = true;
        while let Some(batch) = batcher.next_batch()? {
            if batch.len() == 1 && self.training.samples == 0 {
                at.progress.pairs_left_out += 1;
                continue;
            }
            self.backend.step(self.position.steps, batch);
            self.position.steps += 1;
            let progress = &mut at.progress;
            progress.mini_batches += 1;
            progress.pairs += batch.len() as u64;
            losses.take(&mut *self.backend, false, progress)?;
            progress.seconds = seconds_before + begun.elapsed().as_secs_f64();
            if observe(progress).is_break() {
                ended = false;
                break;
            }
        }
        losses.take(&mut *self.backend, true, &mut at.progress)?;
        let progress = at.progress;
        if !self.backend.is_within(LARGEST_PARAMETER) {
            let what =
                if self.backend.is_within(f32::MAX) { PARAMETER_EXPLODED } else { PARAMETER_NOT_FINITE };
            return Err(diverged(progress.epoch, progress.mini_batches, what));
        }
        if ended && progress.loss.abs() > LARGEST_LOSS {
            return Err(diverged(progress.epoch, progress.mini_batches, LOSS_EXPLODED));
        }
        if ended {
            self.position.epochs += 1;
            return Ok(EpochEnd::Finished(progress));
        }
        at.batcher = batcher.position().clone();
        at.loss_sum_bits = losses.sum.to_bits();
        self.position.epoch = Some(at);
        Ok(EpochEnd::Stopped(progress))
    }

    /// A batcher that continues from a position; `None` if it does not exist in these data.
    fn resumed<'d>(
        &self,
        data: &'d Dataset,
        position: BatcherPosition,
    ) -> Result<Option<SessionBatcher<'d>>> {
        match &data.source {
            Some(source) => SessionBatcher::resume_source(&**source, position),
            None => Ok(SessionBatcher::resume(&data.sessions, self.order(), position)),
        }
    }

    fn order(&self) -> Order {
        match self.training.session_order {
            SessionOrder::Time => by_start_time(&self.data.sessions),
            SessionOrder::Shuffled => {
                let mut order: Vec<u32> = (0..self.data.sessions.len() as u32).collect();
                let rng = Stream::Order.of(self.training.seed);
                rng.substream(self.position.epochs as u64).shuffle(&mut order);
                order.into()
            }
        }
    }

    fn begin_epoch(&self, batcher: BatcherPosition) -> EpochPosition {
        let pairs_in_epoch = self.data.counts().pairs;
        EpochPosition {
            batcher,
            progress: EpochProgress {
                epoch: self.position.epochs + 1,
                pairs_in_epoch,
                ..EpochProgress::default()
            },
            loss_sum_bits: 0f64.to_bits(),
        }
    }
}

/// The sum of the losses of an epoch.
struct Losses {
    /// Sum over all pairs.
    sum: f64,
    /// Number of mini-batches in the sum.
    mini_batches: u64,
    batch_size: f64,
}

impl Losses {
    fn new(at: &EpochPosition, batch_size: usize) -> Self {
        Self {
            sum: f64::from_bits(at.loss_sum_bits),
            mini_batches: at.progress.mini_batches,
            batch_size: batch_size as f64,
        }
    }

    /// Adds the losses of the backend's finished steps; with `wait`, those of all steps.
    ///
    /// # Errors
    /// [`Error::Diverged`] for the first loss that is not finite.
    fn take(&mut self, backend: &mut dyn Backend, wait: bool, progress: &mut EpochProgress) -> Result<()> {
        let mut first_not_finite = None;
        backend.losses(wait, &mut |loss| {
            self.mini_batches += 1;
            self.sum += loss * self.batch_size;
            if !loss.is_finite() {
                first_not_finite.get_or_insert(self.mini_batches);
            }
        });
        if let Some(mini_batch) = first_not_finite {
            return Err(diverged(progress.epoch, mini_batch, "the loss is no longer a finite number"));
        }
        if progress.pairs > 0 {
            progress.loss = self.sum / progress.pairs as f64;
        }
        Ok(())
    }
}

/// The largest mean loss of an epoch, and the largest parameter, of a network that still learns: losses and parameters
/// of working trainings are smaller by several orders of magnitude.
const LARGEST_LOSS: f64 = 1e6;
const LARGEST_PARAMETER: f32 = 1e6;

const LOSS_EXPLODED: &str = "the mean loss of the epoch exceeds 1,000,000";
const PARAMETER_EXPLODED: &str = "a parameter exceeds 1,000,000";
const PARAMETER_NOT_FINITE: &str = "a parameter is no longer a finite number";

fn diverged(epoch: usize, mini_batch: u64, what: &'static str) -> Error {
    Error::Diverged { epoch, mini_batch, what }
}

fn read_position(saved: &mut TrainingState) -> Result<Position> {
    serde_json::from_value(saved.position.take())
        .map_err(|e| Error::weights("training position", format!("it cannot be read: {e}")))
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

    fn small(training: TrainingConfig, data: &Dataset) -> Result<Trainer> {
        let config = NetworkConfig { layers: vec![8], ..NetworkConfig::default() };
        let activation = config.output_activation_for(training.loss);
        Trainer::new(Network::new(config, activation, data.items.len(), 1), &training, data.clone(), 1)
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
    fn a_batch_has_no_more_rows_than_there_are_sessions() {
        let data = sessions(12, &[3, 9, 1]);
        let weights = |batch_size: usize| {
            let training = TrainingConfig { batch_size, ..TrainingConfig::default() };
            let mut trainer = small(training, &data).unwrap();
            trainer.run_epoch(&mut |_| ControlFlow::Continue(())).unwrap();
            trainer.into_network().tensors()
        };
        assert_eq!(weights(32), weights(2));
        for (lengths, samples, expected) in
            [(&[1, 1][..], 9, "no session of two or more events"), (&[5, 1], 0, "has no negatives")]
        {
            let training = TrainingConfig { samples, ..TrainingConfig::default() };
            let message = small(training, &sessions(12, lengths)).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
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

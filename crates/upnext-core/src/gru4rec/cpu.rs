//! The [`Backend`] for CPUs: the kernels of `upnext-kernels` on a thread pool.

use super::activations::Dropout;
use super::backend::{Backend, Restore};
use super::config::TrainingConfig;
use super::layers::Cpu;
use super::negatives::ScoredItems;
use super::network::Network;
use super::parameters::Parameters;
use super::step::{StepItems, TrainingStep, operations};
use crate::Result;
use crate::arrays::TrainingState;
use crate::batch::Batch;
use crate::data::ItemVocabulary;
use upnext_kernels::{Isa, OptimizerState, ThreadPool};

/// Floating-point operations of a step below which a single thread computes it: between cores without a shared cache,
/// moving the data takes longer than computing with it (`docs/performance.md`).
///
/// In tests, every step uses all threads.
const LIGHT_STEP: f64 = if cfg!(test) { 0.0 } else { 12e6 };

/// Computes training steps on the machine's cores. Results are the same to the bit for any number of threads.
#[derive(Debug)]
pub struct CpuBackend {
    pub(super) network: Network,
    training: TrainingConfig,
    pub(super) state: Parameters<OptimizerState>,
    pub(super) step: TrainingStep,
    pub(super) scored: ScoredItems,
    pool: ThreadPool,
    isa: Isa,
    /// The loss of the last step, until it is taken.
    loss: Option<f64>,
}

impl CpuBackend {
    /// A backend that trains `network` over the vocabulary `items`, with at most `threads` threads. Small steps use
    /// one.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for an invalid configuration, or if no item has support to draw samples
    /// by.
    ///
    /// # Panics
    /// If `threads` is 0, or the network and the vocabulary differ in their numbers of items.
    pub fn new(
        network: Network,
        training: &TrainingConfig,
        items: &ItemVocabulary,
        threads: usize,
        isa: Isa,
    ) -> Result<Self> {
        assert_eq!(network.num_items(), items.len(), "a network over other items");
        assert!(threads > 0, "a training needs a thread");
        network.config().validate(training)?;
        let network = network.into_trainable();
        let is_light = operations(network.config(), training) < LIGHT_STEP;
        Ok(Self {
            state: TrainingStep::initial_state(&network, training),
            step: TrainingStep::new(&network, training),
            scored: ScoredItems::new(items, training)?,
            pool: ThreadPool::new(if is_light { 1 } else { threads }),
            isa,
            loss: None,
            network,
            training: training.clone(),
        })
    }
}

impl Backend for CpuBackend {
    fn name(&self) -> &str {
        self.isa.name()
    }

    fn threads(&self) -> usize {
        self.pool.threads()
    }

    fn step(&mut self, step: u64, batch: &Batch) {
        let dropout = Dropout::of_step(step, self.network.config(), &self.training);
        self.scored.prepare(step, &batch.targets);
        let (scores, mut draw_next) = self.scored.for_step(step + 1);
        let items = StepItems {
            scored: scores.items,
            offsets: scores.offsets,
            masked: scores.masked,
            dropout,
            background: draw_next.as_mut().map(|draw| draw as &mut (dyn FnMut() + Send)),
        };
        let cpu = Cpu { pool: &self.pool, isa: self.isa };
        let loss = self.step.run(cpu, &mut self.network, &mut self.state, batch, items);
        self.loss = Some(loss);
    }

    fn losses(&mut self, _wait: bool, each: &mut dyn FnMut(f64)) {
        self.loss.take().into_iter().for_each(each);
    }

    fn is_within(&mut self, limit: f32) -> bool {
        self.network.is_within(limit)
    }

    fn network(&mut self) -> &Network {
        &self.network
    }

    fn into_network(self: Box<Self>) -> Network {
        self.network
    }

    fn save(&mut self, carried: bool, state: &mut TrainingState) {
        self.save_optimizer(state);
        if carried {
            self.save_carried(state);
        }
    }

    fn restore(&mut self, how: Restore, state: &mut TrainingState) -> Result<()> {
        match how {
            Restore::Resume { within_epoch } => {
                self.restore_optimizer(state, false)?;
                if within_epoch { self.restore_carried(state) } else { Ok(()) }
            }
            Restore::WarmStart => self.warm_start(state),
        }
    }

    #[cfg(test)]
    fn as_cpu(&self) -> Option<&CpuBackend> {
        Some(self)
    }
}

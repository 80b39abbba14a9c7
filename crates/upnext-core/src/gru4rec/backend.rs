//! The seam between the epochs of a training and the arithmetic of its steps.

use super::network::Network;
use crate::Result;
use crate::arrays::TrainingState;
use crate::batch::Batch;
use crate::data::Sessions;

/// Computes the training steps of a network: what [`Trainer`](super::Trainer) needs from whoever does the arithmetic.
///
/// The epoch loop deals the mini-batches, counts the steps and sums up the losses. A backend owns the parameters, the
/// state of the optimiser and the hidden states that rows carry from step to step. What a step trains on besides its
/// mini-batch follows from the seed and the step's number ([`ScoredItems`](super::ScoredItems), dropout), so that two
/// backends get exactly the same samples and masks and differ by rounding alone.
pub trait Backend: Send + std::fmt::Debug {
    /// The name of the arithmetic, such as the instruction set "avx512": the same name, seed and data give the same bits.
    fn name(&self) -> &str;

    /// Number of threads that compute.
    fn threads(&self) -> usize {
        1
    }

    /// Learns from a mini-batch, or queues it. `step` is its number, from 0 over all epochs; `sessions` are those that the
    /// mini-batch was dealt from.
    fn step(&mut self, step: u64, batch: &Batch, sessions: &Sessions);

    /// Hands over the losses of steps that are done, in order, each once: the mean over the configured batch size. With
    /// `wait` those of all steps so far.
    fn losses(&mut self, wait: bool, each: &mut dyn FnMut(f64));

    /// Whether all parameters are finite numbers.
    fn is_finite(&mut self) -> bool;

    /// The network as it is after all steps so far.
    fn network(&mut self) -> &Network;

    /// The network at the end of training.
    fn into_network(self: Box<Self>) -> Network;

    /// Adds the state of the optimiser to `state`, and with `carried` the hidden states that rows carry, under the names
    /// of `docs/artifact.md`.
    fn save(&mut self, carried: bool, state: &mut TrainingState);

    /// Takes over what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) names an array that is missing or of another shape.
    fn restore(&mut self, how: Restore, state: &mut TrainingState) -> Result<()>;

    /// The CPU, whose buffers tests look into.
    #[cfg(test)]
    fn as_cpu(&self) -> Option<&super::CpuBackend> {
        None
    }
}

/// How a backend takes over a saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restore {
    /// To go on with the same training; within an epoch with the carried hidden states.
    Resume {
        /// Whether the training was stopped within an epoch.
        within_epoch: bool,
    },
    /// To begin another training with the optimiser's state of an earlier one, of perhaps fewer items or other momentum.
    WarmStart,
}

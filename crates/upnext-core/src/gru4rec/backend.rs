//! The interface between the loop over mini-batches and the computation of a training step.

use super::network::Network;
use crate::Result;
use crate::arrays::TrainingState;
use crate::batch::Batch;

/// An implementation of the training steps of a network, such as [`CpuBackend`](super::CpuBackend).
///
/// The [`Trainer`](super::Trainer) forms the mini-batches, counts the steps and sums the losses. A backend owns the
/// parameters, the optimiser state and the hidden states that rows carry from step to step. Samples and dropout masks
/// are pure functions of the seed and the step's number ([`ScoredItems`](super::ScoredItems)), so that they are the
/// same on every backend, and results differ by rounding only.
pub trait Backend: Send + std::fmt::Debug {
    /// The name of the arithmetic, such as the instruction set "avx512". Results are the same to the bit for the same
    /// name, seed and data.
    fn name(&self) -> &str;

    /// Number of threads in use.
    fn threads(&self) -> usize {
        1
    }

    /// Runs the training step of a mini-batch, or queues it. `step` is its number, from 0 over all epochs.
    fn step(&mut self, step: u64, batch: &Batch);

    /// Calls `each` with the losses of finished steps, in order and once each: the sum over the rows divided by the
    /// configured batch size. With `wait`, all steps so far are finished first.
    fn losses(&mut self, wait: bool, each: &mut dyn FnMut(f64));

    /// Whether no parameter is larger than `limit`, with either sign, after all steps so far; false for what is not a
    /// number.
    fn is_within(&mut self, limit: f32) -> bool;

    /// The network after all steps so far.
    fn network(&mut self) -> &Network;

    /// The network after all steps so far, which consumes the backend.
    fn into_network(self: Box<Self>) -> Network;

    /// Adds the optimiser state to `state`, and with `carried` the hidden states of the rows, by the names of
    /// `docs/artifact.md`.
    fn save(&mut self, carried: bool, state: &mut TrainingState);

    /// Restores a state that [`save`](Self::save) wrote. The arrays in use are removed from `state`.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::Error::Weights) with the name of an array that is missing or has the wrong shape.
    fn restore(&mut self, how: Restore, state: &mut TrainingState) -> Result<()>;

    /// The CPU backend, for tests that inspect its buffers.
    #[cfg(test)]
    fn as_cpu(&self) -> Option<&super::CpuBackend> {
        None
    }
}

/// The purpose for which a backend restores a saved state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Restore {
    /// To continue the same training; within an epoch, the carried hidden states are restored too.
    Resume {
        /// Whether the training was stopped within an epoch.
        within_epoch: bool,
    },
    /// To begin a new training with the optimiser state of an earlier one, possibly over fewer items or without
    /// momentum.
    WarmStart,
}

//! GRU4Rec: the recurrent networks of Hidasi et al., ICLR 2016 (\[1\]) and CIKM 2018 (\[2\]), and their training.
//!
//! The formulas are in `docs/algorithms.md`, the gradients in `docs/gradients.md`. Both numbers in brackets are used in
//! the documentation of the whole module.

mod activations;
mod backend;
pub mod config;
mod content;
mod content_step;
#[cfg(test)]
mod content_tests;
mod cpu;
mod epochs;
pub(crate) mod footprint;
mod head;
mod input;
mod layers;
mod negatives;
mod network;
mod output;
mod parameters;
#[cfg(test)]
pub(crate) mod reference_config;
mod resume;
mod scorer;
mod step;
#[cfg(test)]
mod step_tests;
mod trainer;
#[cfg(test)]
mod trainer_tests;
mod update;
pub mod validate;

pub use crate::arrays::{Tensor, TrainingState};
pub use crate::history::EpochProgress;
pub use backend::{Backend, Restore};
pub use cpu::CpuBackend;
pub use negatives::ScoredItems;
pub use network::Network;
pub use trainer::{EpochEnd, Trainer};
pub use upnext_kernels::Isa;

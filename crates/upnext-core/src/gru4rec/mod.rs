//! GRU4Rec: the recurrent networks of Hidasi et al., ICLR 2016 (\[1\]) and CIKM 2018 (\[2\]).

mod activations;
pub mod config;
mod input;
mod layers;
mod negatives;
mod network;
mod output;
mod parameters;
#[doc(hidden)]
pub mod reference;
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
pub use crate::arrays::Tensor;
pub use network::Network;
pub use resume::TrainerState;
pub use trainer::{EpochEnd, EpochProgress, Trainer};
pub use upnext_kernels::Isa;

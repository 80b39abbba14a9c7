//! GRU4Rec: the recurrent networks of Hidasi et al., ICLR 2016 (\[1\]) and CIKM 2018 (\[2\]).

pub mod config;
mod follower;
mod input;
mod layers;
mod negatives;
mod network;
mod output;
mod parameters;
mod pass;
#[doc(hidden)]
pub mod reference;
mod resume;
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
pub use trainer::{EpochEnd, EpochProgress, Trainer, Wish};
pub use upnext_kernels::Isa;

//! upnext: what comes next in a session, learnt from a click log.

pub mod artifact;
pub mod baselines;
pub mod batch;
#[cfg(test)]
mod contract;
pub mod data;
pub mod error;
pub mod evaluation;
pub mod experiment;
pub mod gru4rec;
pub mod model;
pub mod ranking;
pub mod recommender;
pub mod replace;
pub mod simulate;
pub mod training;

pub use error::{Error, Result};

//! upnext: what comes next in a session, learnt from a click log.

pub mod artifact;
pub mod batch;
pub mod data;
pub mod error;
pub mod experiment;
pub mod gru4rec;
pub mod recommender;
pub mod simulate;

pub use error::{Error, Result};

//! The models that every other must beat: counts, without a weight to learn \[1, section 4.1\].

mod bpr_mf;
mod factors;
mod pop;
mod s_pop;
mod session_average;
mod sparse;

pub use bpr_mf::{BprMf, BprMfConfig};
pub use pop::Pop;
pub use s_pop::SPop;
pub use session_average::{SessionAverage, SessionAverageConfig};

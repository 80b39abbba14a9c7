//! The models that every other must beat: counts, without a weight to learn \[1, section 4.1\].

mod pop;
mod s_pop;
pub mod session_knn;
mod sparse;

pub use pop::Pop;
pub use s_pop::SPop;
pub use session_knn::{SKnn, SKnnConfig, Stan, StanConfig, VsKnn, VsKnnConfig, Vstan, VstanConfig};

//! The models that every other must beat: counts, without a weight to learn \[1, section 4.1\].

mod bpr_mf;
mod factors;
mod item_item;
mod item_knn;
mod markov;
mod pop;
mod rules;
mod s_pop;
mod session_average;
pub mod session_knn;
mod sparse;

use crate::Result;
use serde::{Deserialize, Serialize};

pub use bpr_mf::{BprMf, BprMfConfig};
pub use item_knn::{ItemKnn, ItemKnnConfig};
pub use markov::Markov;
pub use pop::Pop;
pub use rules::{AssociationRules, AssociationRulesConfig, SequentialRules, SequentialRulesConfig};
pub use s_pop::SPop;
pub use session_average::{SessionAverage, SessionAverageConfig};
pub use session_knn::{SKnn, SKnnConfig, Stan, StanConfig, VsKnn, VsKnnConfig, Vstan, VstanConfig};

/// The configuration of a model that has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

impl NoFields {
    /// Nothing to check.
    #[allow(clippy::missing_errors_doc)] // there is none
    pub fn validate(&self) -> Result<()> {
        Ok(())
    }
}

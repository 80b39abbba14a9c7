//! The models that every other must beat: counts, without a weight to learn \[1, section 4.1\].

/// Implements [`Kind`](crate::kind::Kind) for a model that is fitted in one go and has `arrays` and `from_arrays` of its
/// own, with the call that fits it.
macro_rules! fitted_kind {
    ($model:ident($config:ty), space: $space:expr, |$c:ident, $fit:ident| $call:expr) => {
        impl crate::kind::Kind for $model {
            type Config = $config;
            const SPACE: Option<&'static str> = $space;

            fn validate(config: &$config, _: &crate::gru4rec::config::TrainingConfig) -> crate::Result<()> {
                config.validate()
            }

            fn fit($c: &$config, $fit: &mut crate::kind::Fit<'_>) -> crate::Result<Self> {
                $call
            }

            fn to_arrays(&self) -> crate::arrays::Arrays {
                self.arrays()
            }

            fn from_arrays(
                config: &$config,
                _: &crate::gru4rec::config::TrainingConfig,
                items: &crate::data::ItemVocabulary,
                arrays: crate::arrays::Arrays,
            ) -> crate::Result<Self> {
                Self::from_arrays(config, items, arrays)
            }
        }
    };
}

/// Implements [`Kind`](crate::kind::Kind) for a model that follows from the items' support alone.
macro_rules! support_kind {
    ($model:ident) => {
        impl crate::kind::Kind for $model {
            type Config = super::NoFields;
            const LEARNS_ON: bool = true;

            fn validate(
                config: &super::NoFields,
                _: &crate::gru4rec::config::TrainingConfig,
            ) -> crate::Result<()> {
                config.validate()
            }

            fn fit(_: &super::NoFields, fit: &mut crate::kind::Fit<'_>) -> crate::Result<Self> {
                Ok(Self::new(&fit.data.items))
            }

            fn to_arrays(&self) -> crate::arrays::Arrays {
                crate::arrays::Arrays::default()
            }

            fn from_arrays(
                _: &super::NoFields,
                _: &crate::gru4rec::config::TrainingConfig,
                items: &crate::data::ItemVocabulary,
                arrays: crate::arrays::Arrays,
            ) -> crate::Result<Self> {
                arrays.finish()?;
                Ok(Self::new(items))
            }
        }
    };
}

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

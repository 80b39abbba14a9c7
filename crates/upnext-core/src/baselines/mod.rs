//! Baselines: popularity, item-to-item weights, session neighbours and factor models (\[1, section 4.1\] and later
//! work).
//!
//! The formulas and their sources are in `docs/algorithms.md`, section 7.

/// Implements [`Kind`](crate::kind::Kind) for a model without checkpoints that has methods `arrays` and `from_arrays`.
/// The closure fits it.
macro_rules! fitted_kind {
    ($model:ident($config:ty), space: $space:expr, reads: $reads:ident, $(similarity: $similarity:ident,)? $(scale: $scale:ident,)? |$c:ident, $fit:ident| $call:expr) => {
        impl crate::kind::Kind for $model {
            type Config = $config;
            const SPACE: Option<&'static str> = $space;
            const READS: crate::kind::OfTraining = crate::kind::OfTraining::$reads;
            $(const SIMILARITY: Option<crate::recommender::SimilarityMeasure> =
                Some(crate::recommender::SimilarityMeasure::$similarity);)?
            $(const SCALE: crate::kind::Scale = crate::kind::Scale::$scale;)?

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

/// Implements [`Kind`](crate::kind::Kind) for a model that is determined by the items' support.
macro_rules! support_kind {
    ($model:ident $(, scale: $scale:ident)?) => {
        impl crate::kind::Kind for $model {
            type Config = super::NoFields;
            const CAN_TRAIN_FURTHER: bool = true;
            $(const SCALE: crate::kind::Scale = crate::kind::Scale::$scale;)?

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
mod content_knn;
mod decay;
mod decay_pop;
mod factors;
mod history_scorer;
mod item_item;
mod item_knn;
mod markov;
mod pop;
mod repeat;
mod rules;
mod s_pop;
mod session_average;
pub mod session_knn;
mod sparse;

use crate::Result;
use serde::{Deserialize, Serialize};

pub use bpr_mf::{BprMf, BprMfConfig};
pub use content_knn::{ContentKnn, ContentKnnConfig};
pub use decay_pop::{DecayPop, DecayPopConfig};
pub use item_knn::{ItemKnn, ItemKnnConfig};
pub use markov::Markov;
pub use pop::Pop;
pub use repeat::{Repeat, RepeatConfig};
pub use rules::{AssociationRules, AssociationRulesConfig, SequentialRules, SequentialRulesConfig};
pub use s_pop::SPop;
pub use session_average::{SessionAverage, SessionAverageConfig};
pub use session_knn::{SKnn, SKnnConfig, Stan, StanConfig, VsKnn, VsKnnConfig, Vstan, VstanConfig};
pub(crate) use sparse::{Popularity, SparseScores};

/// The configuration of a model without parameters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFields {}

impl crate::documented::Documented for NoFields {
    const FIELDS: &'static [crate::documented::FieldDoc] = &[];
}

impl NoFields {
    /// Always `Ok`; other configurations check their fields here.
    #[allow(clippy::missing_errors_doc)] // it cannot fail
    pub fn validate(&self) -> Result<()> {
        Ok(())
    }
}

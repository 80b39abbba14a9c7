//! Fits and loads models of the kind that an experiment names.

use crate::Result;
use crate::arrays::Arrays;
use crate::data::ItemVocabulary;
use crate::experiment::{Experiment, ModelConfig, ModelKind};
use crate::history::Ended;
use crate::kind::{AnyModel, Fit, Kind, Scale};
use crate::kinds::for_each_kind;
use crate::recommender::SimilarityMeasure;

macro_rules! dispatch {
    ($($(#[$doc:meta])* $variant:ident($model:ty, $config:ty) = $name:literal,)*) => {
        /// Fits a model of the kind of `config`.
        ///
        /// # Errors
        /// Those of [`Kind::fit`].
        pub(crate) fn fit(config: &ModelConfig, fit: &mut Fit<'_>) -> Result<Box<dyn AnyModel>> {
            let model: Box<dyn AnyModel> = match config {
                $(ModelConfig::$variant(config) => Box::new(<$model as Kind>::fit(config, fit)?),)*
            };
            fit.summary.finished = fit.ended != Ended::Interrupted;
            Ok(model)
        }

        /// Rebuilds the model of an experiment from its saved arrays.
        ///
        /// # Errors
        /// Those of [`Kind::from_arrays`].
        pub(crate) fn from_arrays(
            experiment: &Experiment,
            items: &ItemVocabulary,
            arrays: Arrays,
        ) -> Result<Box<dyn AnyModel>> {
            let training = &experiment.training;
            Ok(match &experiment.model {
                $(ModelConfig::$variant(config) => {
                    Box::new(<$model as Kind>::from_arrays(config, training, items, arrays)?)
                })*
            })
        }

        impl ModelKind {
            /// The default search space of `upnext tune`, as TOML; `None` if the kind has no parameters to search.
            pub fn space(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => <$model as Kind>::SPACE,)*
                }
            }

            /// How models of this kind compare items ([`Model::similar_items`](crate::Model::similar_items)); `None` if
            /// they cannot.
            pub fn similarity(self) -> Option<SimilarityMeasure> {
                match self {
                    $(Self::$variant => <$model as Kind>::SIMILARITY,)*
                }
            }

            /// Whether a fit of this kind holds out some of its sessions by itself, to validate on them.
            pub fn validates_itself(self) -> bool {
                match self {
                    $(Self::$variant => <$model as Kind>::VALIDATES_ITSELF,)*
                }
            }

            /// Whether a fit of this kind needs a table of items ([`Dataset::with_item_table`](crate::Dataset::with_item_table)).
            pub fn needs_item_table(self) -> bool {
                match self {
                    $(Self::$variant => <$model as Kind>::NEEDS_ITEM_TABLE,)*
                }
            }

            /// What the scores of models of this kind mean.
            pub(crate) fn scale(self) -> Scale {
                match self {
                    $(Self::$variant => <$model as Kind>::SCALE,)*
                }
            }

            /// Whether a fitted model of this kind can be trained further on other sessions (`--init`); other kinds are
            /// fitted to a log as a whole.
            pub fn can_train_further(self) -> bool {
                match self {
                    $(Self::$variant => <$model as Kind>::CAN_TRAIN_FURTHER,)*
                }
            }
        }
    };
}

for_each_kind!(dispatch);

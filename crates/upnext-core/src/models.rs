//! A fitted model of whatever kind an experiment names: how it is fitted, and made of what was saved of it.

use crate::Result;
use crate::arrays::Arrays;
use crate::data::ItemVocabulary;
use crate::experiment::{Experiment, ModelConfig, ModelKind};
use crate::kind::{AnyModel, Fit, Kind};
use crate::kinds::for_each_kind;

macro_rules! dispatch {
    ($($(#[$doc:meta])* $variant:ident($model:ty, $config:ty) = $name:literal,)*) => {
        /// Fits a model of the kind that `config` is of.
        ///
        /// # Errors
        /// Those of [`Kind::fit`].
        pub(crate) fn fit(config: &ModelConfig, fit: &mut Fit<'_>) -> Result<Box<dyn AnyModel>> {
            Ok(match config {
                $(ModelConfig::$variant(config) => Box::new(<$model as Kind>::fit(config, fit)?),)*
            })
        }

        /// The model of an experiment, made of what was saved of it.
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
            /// The default search space of a kind, as a file of `upnext tune`; `None`: there is nothing to search.
            pub fn space(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => <$model as Kind>::SPACE,)*
                }
            }

            /// Whether a fitted model of this kind can go on to learn from other sessions (`--init`): others are fitted to
            /// a log as a whole.
            pub fn learns_on(self) -> bool {
                match self {
                    $(Self::$variant => <$model as Kind>::LEARNS_ON,)*
                }
            }
        }
    };
}

for_each_kind!(dispatch);

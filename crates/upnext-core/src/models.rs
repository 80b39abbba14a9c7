//! Which kinds of models are there? The one list of them: a new kind is a module with an implementation of
//! [`Kind`](crate::kind::Kind), and a line here.

use crate::Result;
use crate::arrays::Arrays;
use crate::data::ItemVocabulary;
use crate::experiment::{Experiment, ModelConfig, ModelKind};
use crate::kind::{AnyModel, Fit, Kind};

/// Calls a macro with all kinds, in the order in which reports show them: `/// what it is`, then the name in the code, the
/// type of the fitted model, the type of its configuration, and the name in files and on the command line.
macro_rules! for_each_kind {
    ($then:ident) => {
        $then! {
            /// The recurrent network.
            Gru4rec(crate::gru4rec::Network, crate::gru4rec::config::NetworkConfig) = "gru4rec",
            /// Popularity in training.
            Pop(crate::baselines::Pop, crate::baselines::NoFields) = "pop",
            /// Popularity in the session so far, then in training.
            SPop(crate::baselines::SPop, crate::baselines::NoFields) = "s-pop",
            /// Items that occur in the same sessions as the last one.
            ItemKnn(crate::baselines::ItemKnn, crate::baselines::ItemKnnConfig) = "item-knn",
            /// The items that have followed the last one.
            Markov(crate::baselines::Markov, crate::baselines::NoFields) = "markov",
            /// Association rules: items that go together with the last one.
            Ar(crate::baselines::AssociationRules, crate::baselines::AssociationRulesConfig) = "ar",
            /// Sequential rules: items that come some steps after the last one.
            Sr(crate::baselines::SequentialRules, crate::baselines::SequentialRulesConfig) = "sr",
            /// The items of similar sessions.
            SKnn(crate::baselines::SKnn, crate::baselines::SKnnConfig) = "s-knn",
            /// The items of similar sessions, with a weight on the latest events.
            VsKnn(crate::baselines::VsKnn, crate::baselines::VsKnnConfig) = "vs-knn",
            /// The items of similar sessions, with weights by position, age and distance.
            Stan(crate::baselines::Stan, crate::baselines::StanConfig) = "stan",
            /// STAN with VS-KNN's weights.
            Vstan(crate::baselines::Vstan, crate::baselines::VstanConfig) = "vstan",
            /// Factors of sessions and items, learnt from pairs.
            BprMf(crate::baselines::BprMf, crate::baselines::BprMfConfig) = "bpr-mf",
            /// Factors of items and of items in a session, learnt from pairs.
            SessionAverage(crate::baselines::SessionAverage, crate::baselines::SessionAverageConfig) = "session-average",
        }
    };
}
pub(crate) use for_each_kind;

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

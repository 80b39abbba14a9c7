//! The models, one closed set: made from data, saved as an artifact, loaded again, used as a [`Recommender`].

use crate::arrays::Arrays;
use crate::artifact::{Artifact, MANIFEST_FILE, TrainingSummary};
use crate::baselines::{
    AssociationRules, AssociationRulesConfig, BprMf, BprMfConfig, ItemKnn, ItemKnnConfig, Markov, NoFields,
    Pop, SPop, SequentialRules, SequentialRulesConfig, SessionAverage, SessionAverageConfig,
};
use crate::baselines::{SKnn, SKnnConfig, Stan, StanConfig, VsKnn, VsKnnConfig, Vstan, VstanConfig};
use crate::data::{Dataset, ItemVocabulary};
use crate::experiment::{Experiment, ModelConfig};
use crate::gru4rec::Network;
use crate::recommender::Recommender;
use crate::{Error, Result};
use std::path::Path;

macro_rules! models {
    ($($(#[$doc:meta])* $variant:ident($model:ty),)*) => {
        /// A model of any kind.
        #[derive(Clone, Debug)]
        pub enum Model {
            /// The recurrent network.
            Gru4rec(Box<Network>),
            $($(#[$doc])* $variant(Box<$model>),)*
        }

        impl Model {
            /// Fits a model that is no network.
            ///
            /// # Errors
            /// [`Error::Config`] for fields that make no sense, and for a network: [`training::train`](crate::training::train)
            /// makes those.
            pub fn fit(experiment: &Experiment, data: &Dataset) -> Result<Self> {
                let fit = Fit { data, seed: experiment.training.seed };
                Ok(match &experiment.model {
                    ModelConfig::Gru4rec(_) => {
                        return Err(Error::config("model.kind", "a network is trained, not fitted"));
                    }
                    $(ModelConfig::$variant(config) => Self::$variant(Box::new(<$model>::fitted(config, fit)?)),)*
                })
            }

            /// What is saved of the model besides its configuration and its items.
            pub fn arrays(&self) -> Arrays {
                match self {
                    Self::Gru4rec(network) => Arrays { tensors: network.tensors(), ..Arrays::default() },
                    $(Self::$variant(model) => model.to_arrays(),)*
                }
            }

            /// The model that [`arrays`](Self::arrays) came from.
            ///
            /// # Errors
            /// [`Error::Weights`] for arrays that are not those of the model.
            fn from_arrays(experiment: &Experiment, items: &ItemVocabulary, mut arrays: Arrays) -> Result<Self> {
                Ok(match &experiment.model {
                    ModelConfig::Gru4rec(config) => {
                        let activation = config.output_activation_for(experiment.training.loss);
                        let count = items.len();
                        let network = Network::from_tensors_to_read(config.clone(), activation, count, &mut arrays.tensors)?;
                        arrays.finish()?;
                        Self::Gru4rec(Box::new(network))
                    }
                    $(ModelConfig::$variant(config) => {
                        Self::$variant(Box::new(<$model>::restored(config, items, arrays)?))
                    })*
                })
            }

            /// Whether all weights of a network are finite numbers; other models have no others.
            pub fn is_finite(&self) -> bool {
                match self {
                    Self::Gru4rec(network) => network.is_finite(),
                    _ => true,
                }
            }

            /// What the rest of the program sees of the model.
            pub fn recommender(&self) -> &dyn Recommender {
                match self {
                    Self::Gru4rec(network) => &**network,
                    $(Self::$variant(model) => &**model,)*
                }
            }
        }
    };
}

models! {
    /// Popularity in training.
    Pop(Pop),
    /// Popularity in the session so far, then in training.
    SPop(SPop),
    /// Items that occur in the same sessions as the last one.
    ItemKnn(ItemKnn),
    /// What has followed the last item.
    Markov(Markov),
    /// Association rules: items that go together with the last one.
    Ar(AssociationRules),
    /// Sequential rules: items that come some steps after the last one.
    Sr(SequentialRules),
    /// What similar sessions hold.
    SKnn(SKnn),
    /// What similar sessions hold, with a weight on the latest events.
    VsKnn(VsKnn),
    /// What similar sessions hold, with weights by place, age and distance.
    Stan(Stan),
    /// STAN with VS-KNN's weights.
    Vstan(Vstan),
    /// Factors of sessions and items, learnt from pairs.
    BprMf(BprMf),
    /// Factors of items and of items in a session, learnt from pairs.
    SessionAverage(SessionAverage),
}

/// What a model is fitted to.
#[derive(Clone, Copy)]
struct Fit<'a> {
    data: &'a Dataset,
    seed: u64,
}

/// A model that is fitted in one go, saved as arrays and made of them again.
trait Fitted: Sized {
    type Config;
    fn fitted(config: &Self::Config, fit: Fit) -> Result<Self>;
    fn to_arrays(&self) -> Arrays;
    fn restored(config: &Self::Config, items: &ItemVocabulary, arrays: Arrays) -> Result<Self>;
}

/// Models that follow from the items' support alone.
macro_rules! of_support {
    ($($model:ty),*) => {$(
        impl Fitted for $model {
            type Config = NoFields;

            fn fitted(_: &NoFields, fit: Fit) -> Result<Self> {
                Ok(Self::new(&fit.data.items))
            }

            fn to_arrays(&self) -> Arrays {
                Arrays::default()
            }

            fn restored(_: &NoFields, items: &ItemVocabulary, arrays: Arrays) -> Result<Self> {
                arrays.finish()?;
                Ok(Self::new(items))
            }
        }
    )*};
}

of_support!(Pop, SPop);

/// Models that are fitted to sessions, with the call that does it.
macro_rules! of_sessions {
    ($($model:ident($config:ty): |$c:ident, $fit:ident| $call:expr;)*) => {$(
        impl Fitted for $model {
            type Config = $config;

            fn fitted($c: &Self::Config, $fit: Fit) -> Result<Self> {
                $call
            }

            fn to_arrays(&self) -> Arrays {
                self.arrays()
            }

            fn restored(config: &Self::Config, items: &ItemVocabulary, arrays: Arrays) -> Result<Self> {
                Self::from_arrays(config, items, arrays)
            }
        }
    )*};
}

of_sessions! {
    ItemKnn(ItemKnnConfig): |config, fit| Self::fit(config, fit.data);
    Markov(NoFields): |config, fit| Self::fit(config, fit.data);
    AssociationRules(AssociationRulesConfig): |config, fit| Self::fit(config, fit.data);
    SequentialRules(SequentialRulesConfig): |config, fit| Self::fit(config, fit.data);
    SKnn(SKnnConfig): |config, fit| Self::fit(config, fit.data);
    VsKnn(VsKnnConfig): |config, fit| Self::fit(config, fit.data);
    Stan(StanConfig): |config, fit| Self::fit(config, fit.data);
    Vstan(VstanConfig): |config, fit| Self::fit(config, fit.data);
    BprMf(BprMfConfig): |config, fit| Self::fit(config, fit.data, fit.seed);
    SessionAverage(SessionAverageConfig): |config, fit| Self::fit(config, fit.data, fit.seed);
}

/// A model loaded for use: to evaluate, to recommend, to serve.
#[derive(Clone, Debug)]
pub struct LoadedModel {
    /// The model.
    pub model: Model,
    /// The items that it knows.
    pub items: ItemVocabulary,
    /// Its configuration, complete.
    pub experiment: Experiment,
    /// How it was trained.
    pub training: TrainingSummary,
    /// [`Manifest::version`](crate::artifact::Manifest::version).
    pub version: String,
}

impl LoadedModel {
    /// Loads a saved model, without what only further training needs.
    ///
    /// # Errors
    /// Those of [`Artifact::load`]; weights that are not those of the model's configuration are damage too.
    pub fn load(dir: &Path) -> Result<Self> {
        let artifact = Artifact::load_without_training(dir)?;
        let file = artifact.manifest.file("weights").map_or(MANIFEST_FILE, |entry| &entry.file);
        let path = dir.join(file);
        Self::from_artifact(artifact).map_err(|error| match error {
            Error::Weights { .. } => Error::DamagedModel { path, reason: error.to_string() },
            other => other,
        })
    }

    /// The model of an artifact.
    ///
    /// # Errors
    /// [`Error::Weights`] for weights that are not those of the model.
    pub fn from_artifact(artifact: Artifact) -> Result<Self> {
        let Artifact { manifest, items, weights, counts, .. } = artifact;
        let version = manifest.version();
        let experiment = manifest.experiment;
        let model = Model::from_arrays(&experiment, &items, Arrays { tensors: weights, counts })?;
        Ok(Self { model, items, experiment, training: manifest.training, version })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::ModelKind;

    #[test]
    fn arrays_of_another_model_are_refused() {
        let mut items = ItemVocabulary::new();
        items.add("a", 3);
        for kind in [ModelKind::Pop, ModelKind::Gru4rec] {
            let experiment = Experiment { model: ModelConfig::of_kind(kind), ..Experiment::default() };
            let mut artifact = Artifact::new(experiment.clone(), items.clone(), TrainingSummary::default());
            if let Some(config) = experiment.model.network() {
                let activation = config.output_activation_for(experiment.training.loss);
                artifact.weights = Network::new(config.clone(), activation, 1, 1).tensors();
            }
            LoadedModel::from_artifact(artifact.clone()).unwrap();
            artifact.counts.insert("w".into(), vec![1]);
            let error = LoadedModel::from_artifact(artifact).unwrap_err().to_string();
            assert!(error.contains("`w`") && error.contains("no array of this model"), "{error}");
        }
    }
}

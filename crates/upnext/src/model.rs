//! The models, one closed set: made from data, saved as an artifact, loaded again, used as a [`Recommender`].

use crate::artifact::{Artifact, TrainingSummary, WEIGHTS_FILE};
use crate::baselines::{Pop, SPop};
use crate::data::ItemVocabulary;
use crate::experiment::{Experiment, ModelConfig};
use crate::gru4rec::Network;
use crate::recommender::Recommender;
use crate::{Error, Result};
use std::path::Path;

/// A model of any kind.
#[derive(Clone, Debug)]
pub enum Model {
    /// The recurrent network.
    Gru4rec(Box<Network>),
    /// Popularity in training.
    Pop(Pop),
    /// Popularity in the session so far, then in training.
    SPop(SPop),
}

impl Model {
    /// The model that counts, where `config` is of such a kind: all that it needs are the items and their support.
    pub fn counted(config: &ModelConfig, items: &ItemVocabulary) -> Option<Self> {
        match config {
            ModelConfig::Gru4rec(_) => None,
            ModelConfig::Pop => Some(Self::Pop(Pop::new(items))),
            ModelConfig::SPop => Some(Self::SPop(SPop::new(items))),
        }
    }

    /// What the rest of the program sees of the model.
    pub fn recommender(&self) -> &dyn Recommender {
        match self {
            Self::Gru4rec(network) => &**network,
            Self::Pop(pop) => pop,
            Self::SPop(s_pop) => s_pop,
        }
    }
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
}

impl LoadedModel {
    /// Loads a saved model, without what only further training needs.
    ///
    /// # Errors
    /// Those of [`Artifact::load`]; weights that are not those of the model's configuration are damage too.
    pub fn load(dir: &Path) -> Result<Self> {
        Self::from_artifact(Artifact::load_without_training(dir)?).map_err(|error| match error {
            Error::Weights { .. } => {
                Error::DamagedModel { path: dir.join(WEIGHTS_FILE), reason: error.to_string() }
            }
            other => other,
        })
    }

    /// The model of an artifact.
    ///
    /// # Errors
    /// [`Error::Weights`] for weights that are not those of the model.
    pub fn from_artifact(artifact: Artifact) -> Result<Self> {
        let Artifact { manifest, items, mut weights, .. } = artifact;
        let experiment = manifest.experiment;
        let model = match (Model::counted(&experiment.model, &items), experiment.model.network()) {
            (None, Some(config)) => {
                let activation = config.output_activation_for(experiment.training.loss);
                let network = Network::from_tensors(config.clone(), activation, items.len(), &mut weights)?;
                Model::Gru4rec(Box::new(network))
            }
            (Some(model), _) => match weights.keys().next() {
                Some(name) => return Err(Error::weights(name, "a model that only counts has no weights")),
                None => model,
            },
            (None, None) => unreachable!("a model counts or is a network"),
        };
        Ok(Self { model, items, experiment, training: manifest.training })
    }
}

//! An experiment: one typed configuration of data, model, training and evaluation.
//!
//! The same field names stand in TOML files, in `--set`, in a tuner's search space and in a saved model. Every field has
//! a default, so an empty file is an experiment; an unknown key is an error that suggests the nearest known one.
//!
//! ```
//! use upnext_core::experiment::Experiment;
//!
//! let mut experiment = Experiment::from_toml("[training]\nloss = \"bpr-max\"", "mine.toml")?;
//! experiment.set("training.learning_rate=0.05")?;
//! experiment.set("model.layers=100,100")?;
//! experiment.validate()?;
//! # Ok::<(), upnext_core::Error>(())
//! ```

mod difference;
mod keys;
mod model;
mod published;
#[cfg(feature = "toml")]
mod read;

use crate::Result;
use crate::gru4rec::config::TrainingConfig;
use serde::{Deserialize, Serialize};

pub use crate::evaluation::EvaluationConfig;
pub use crate::ranking::TieRule;
pub(crate) use difference::first_difference;
pub use keys::{known_keys, nearest};
pub use model::{ModelConfig, ModelKind};
pub use published::{published_names, published_text};
#[cfg(feature = "toml")]
pub(crate) use read::File;

/// The whole configuration of one experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// What the setting was published for.
    pub data: DataConfig,
    /// Which model, and its structure.
    pub model: ModelConfig,
    /// How a network is trained; models that only count ignore it.
    pub training: TrainingConfig,
    /// How the model is judged.
    pub evaluation: EvaluationConfig,
}

/// Where a setting comes from: nothing here changes what is computed.
///
/// It lets a report put a measured figure beside the published one. How a log is read and split is asked of whoever
/// prepares it, and is written in the statistics of the prepared folder.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataConfig {
    /// The data set, as its publication names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The publication of the setting: authors, title, table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The published figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
}

/// Published figures of a setting, as shares from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Recall@20.
    pub recall_at_20: f64,
    /// MRR@20.
    pub mrr_at_20: f64,
}

impl Experiment {
    /// Checks the model with its training, and the evaluation.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the first field that makes no sense, alone or with another.
    pub fn validate(&self) -> Result<()> {
        self.model.validate(&self.training)?;
        self.evaluation.validate()
    }

    /// The tables that a fit reads besides the model.
    pub(crate) fn tables(&self) -> (&TrainingConfig, &EvaluationConfig) {
        (&self.training, &self.evaluation)
    }

    /// Checks that `experiment` has the model of this one, from which it is to start.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the first field of `[model]` that differs.
    pub(crate) fn check_same_model(&self, experiment: &Self) -> Result<()> {
        let only_model = |experiment: &Self| Self { model: experiment.model.clone(), ..Self::default() };
        match first_difference(&only_model(self), &only_model(&experiment.resolved()), &[]) {
            None => Ok(()),
            Some((key, was, is)) => {
                let reason =
                    format!("is {was} in the model to start from, not {is}: leave it out, or use {was}");
                Err(crate::Error::config(key, reason))
            }
        }
    }

    /// The same experiment with every absent field that applies written out; its results are the same.
    pub fn resolved(&self) -> Self {
        let mut resolved = self.clone();
        if let ModelConfig::Gru4rec(network) = &self.model {
            resolved.model = ModelConfig::Gru4rec(network.resolved(&self.training));
            resolved.training = self.training.resolved(network);
        }
        resolved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_network_of_a_gru4rec_is_validated_with_the_training() {
        let mut experiment = Experiment::default();
        experiment.training.batch_size = 0;
        assert!(experiment.validate().is_err());
        experiment.model = ModelConfig::of_kind(ModelKind::Pop);
        experiment.validate().unwrap();
    }
}

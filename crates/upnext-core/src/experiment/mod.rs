//! Experiments: one typed configuration of data, model, training and evaluation.
//!
//! Field names are the same in TOML files, in `--set`, in the tuner's search spaces and in saved models. Every field
//! has a default, so an empty file is an experiment. An unknown key is an error that suggests the nearest known one.
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

#[cfg(feature = "toml")]
mod annotated;
mod difference;
mod keys;
mod model;
mod published;
#[cfg(feature = "toml")]
mod read;

use crate::Result;
use crate::documented::documented;
use crate::gru4rec::config::TrainingConfig;
use crate::gru4rec::validate::{Idle, idle};
use serde::{Deserialize, Serialize};

pub use crate::evaluation::EvaluationConfig;
pub use crate::ranking::TieRule;
pub(crate) use difference::first_difference;
pub use keys::{fields_of, known_keys, nearest};
pub use model::{ModelConfig, ModelKind};
pub use published::{published_names, published_text};
#[cfg(feature = "toml")]
pub(crate) use read::File;
#[cfg(feature = "toml")]
pub use read::{plain, readings};

/// The configuration of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Experiment {
    /// The data set and publication of a published setting.
    pub data: DataConfig,
    /// The kind and the configuration of the model.
    pub model: ModelConfig,
    /// The training of a network. Factor models read the seed only, and other models none of it
    /// ([`ModelKind::reads_training`]).
    pub training: TrainingConfig,
    /// The evaluation.
    pub evaluation: EvaluationConfig,
}

documented! {
    /// The origin of a published setting: the `[data]` table. It does not affect results.
    ///
    /// Reports show the published figures beside measured ones. The options by which a log was read and split are not here,
    /// but in the statistics of the prepared folder.
    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct DataConfig {
        /// The name of the data set in the publication: any text. Absent by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub name: Option<String>,
        /// The publication of the setting, such as authors, title and table: any text. Absent by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub source: Option<String>,
        /// The published figures. Absent by default.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub published: Option<Published>,
    }
}

documented! {
    /// Published metrics of a setting, from 0 to 1.
    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub struct Published {
        /// The published Recall@20, from 0 to 1.
        pub recall_at_20: f64,
        /// The published MRR@20, from 0 to 1.
        pub mrr_at_20: f64,
    }
}

impl Experiment {
    /// Checks every field, alone and in combination.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the first invalid field, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        self.model.validate(&self.training)?;
        self.evaluation.validate()
    }

    /// The configurations of training and evaluation, which a fit reads besides that of the model.
    pub(crate) fn tables(&self) -> (&TrainingConfig, &EvaluationConfig) {
        (&self.training, &self.evaluation)
    }

    /// Checks that `experiment`, which starts from a model of this experiment, has the same model configuration.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) with the first field of `[model]` that differs.
    pub(crate) fn check_same_model(&self, experiment: &Self) -> Result<()> {
        let only_model = |experiment: &Self| Self { model: experiment.model.clone(), ..Self::default() };
        match first_difference(&only_model(&self.resolved()), &only_model(&experiment.resolved()), &[]) {
            None => Ok(()),
            Some((key, was, is)) => {
                let reason =
                    format!("is {was} in the model to start from, not {is}: leave it out, or use {was}");
                Err(crate::Error::config(key, reason))
            }
        }
    }

    /// This experiment with every absent field that applies filled in, and every field without effect at its default.
    /// Its results are the same.
    pub fn resolved(&self) -> Self {
        let mut resolved = self.clone();
        if let ModelConfig::Gru4rec(network) = &self.model {
            resolved.model = ModelConfig::Gru4rec(network.resolved(&self.training));
            resolved.training = self.training.resolved(network);
        } else if !self.model.kind().reads_training("epochs") {
            resolved.training = TrainingConfig::default();
            if self.model.kind().reads_training("seed") {
                resolved.training.seed = self.training.seed;
            }
        }
        resolved
    }

    /// The experiments of the members of a model that is made of others, with unique names.
    pub(crate) fn members(&self) -> Vec<(String, Self)> {
        match &self.model {
            ModelConfig::Blend(blend) => blend.experiments(&self.training, &self.evaluation),
            _ => Vec::new(),
        }
    }

    /// Whether a field, such as `training.momentum`, has an effect with the other fields.
    pub fn applies(&self, key: &str) -> bool {
        self.model.kind().check_reads(key).is_ok() && self.idle(key).is_none()
    }

    /// The field on which it depends that the network's field `key` has no effect; `None` if it has one.
    pub(crate) fn idle(&self, key: &str) -> Option<Idle> {
        idle(key, self.model.network()?, &self.training)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resolved_experiment_has_defaults_where_a_field_has_no_effect() {
        let mut experiment = Experiment::default();
        (experiment.training.seed, experiment.training.epochs) = (7, 3);
        experiment.training.rmsprop_decay = 0.5;
        let resolved = experiment.resolved().training;
        assert_eq!((resolved.seed, resolved.epochs, resolved.rmsprop_decay), (7, 3, 0.9));
        for (kind, seed) in [(ModelKind::BprMf, 7), (ModelKind::VsKnn, 42)] {
            experiment.model = ModelConfig::of_kind(kind);
            let expected = TrainingConfig { seed, ..TrainingConfig::default() };
            assert_eq!(experiment.resolved().training, expected, "{kind}");
        }
    }

    #[test]
    fn only_the_network_of_a_gru4rec_is_validated_with_the_training() {
        let mut experiment = Experiment::default();
        experiment.training.batch_size = 0;
        assert!(experiment.validate().is_err());
        experiment.model = ModelConfig::of_kind(ModelKind::Pop);
        experiment.validate().unwrap();
    }
}

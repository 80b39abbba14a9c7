//! An experiment: one typed configuration of data, model, training and evaluation.
//!
//! The same field names stand in TOML files, in `--set`, in a tuner's search space and in a saved model. Every field has
//! a default, so an empty file is an experiment; an unknown key is an error that suggests the nearest known one.
//!
//! ```
//! use upnext::experiment::Experiment;
//!
//! let mut experiment = Experiment::from_toml("[training]\nloss = \"bpr-max\"", "mine.toml")?;
//! experiment.set("training.learning_rate=0.05")?;
//! experiment.set("model.layers=100,100")?;
//! experiment.validate()?;
//! # Ok::<(), upnext::Error>(())
//! ```

mod keys;
mod read;

use crate::gru4rec::config::{NetworkConfig, TrainingConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

pub use crate::evaluation::EvaluationConfig;
pub use crate::ranking::TieRule;
pub use keys::known_keys;

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

/// The kinds of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// The recurrent network.
    Gru4rec,
    /// Popularity in training.
    Pop,
    /// Popularity in the session so far, then in training.
    SPop,
}

impl ModelKind {
    /// All kinds, in the order in which reports show them.
    pub const ALL: [Self; 3] = [Self::Gru4rec, Self::Pop, Self::SPop];

    /// The name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gru4rec => "gru4rec",
            Self::Pop => "pop",
            Self::SPop => "s-pop",
        }
    }
}

impl fmt::Display for ModelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for ModelKind {
    type Err = Error;

    /// # Errors
    /// [`Error::Config`] that lists the kinds and suggests the nearest.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name);
            let nearest =
                keys::nearest(name, names).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
            Error::config(
                "model.kind",
                format!("`{name}` is no model: {nearest}The models are {}", names.join(", ")),
            )
        })
    }
}

/// A model's kind and structure: the `[model]` table, its kind under the key `kind` (absent: `gru4rec`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelConfig {
    /// The recurrent network.
    Gru4rec(NetworkConfig),
    /// Popularity in training: no field.
    Pop,
    /// Popularity in the session so far, then in training: no field.
    SPop,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self::of_kind(ModelKind::Gru4rec)
    }
}

impl ModelConfig {
    /// The default model of a kind.
    pub fn of_kind(kind: ModelKind) -> Self {
        match kind {
            ModelKind::Gru4rec => Self::Gru4rec(NetworkConfig::default()),
            ModelKind::Pop => Self::Pop,
            ModelKind::SPop => Self::SPop,
        }
    }

    /// The kind.
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::Gru4rec(_) => ModelKind::Gru4rec,
            Self::Pop => ModelKind::Pop,
            Self::SPop => ModelKind::SPop,
        }
    }

    /// The network, where the model is one.
    pub fn network(&self) -> Option<&NetworkConfig> {
        match self {
            Self::Gru4rec(network) => Some(network),
            Self::Pop | Self::SPop => None,
        }
    }
}

impl Experiment {
    /// Checks the model with its training, and the evaluation.
    ///
    /// # Errors
    /// [`Error::Config`] with the first field that makes no sense, alone or with another.
    pub fn validate(&self) -> Result<()> {
        if let Some(network) = self.model.network() {
            network.validate(&self.training)?;
        }
        self.evaluation.validate()
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
    fn a_kind_has_one_name_everywhere() {
        for kind in ModelKind::ALL {
            assert_eq!(kind.name().parse::<ModelKind>().unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            let model = serde_json::to_value(ModelConfig::of_kind(kind)).unwrap();
            assert_eq!(model["kind"], kind.name());
            assert_eq!(serde_json::from_value::<ModelConfig>(model).unwrap().kind(), kind);
        }
        let message = "spop".parse::<ModelKind>().unwrap_err().to_string();
        assert!(
            message.contains("did you mean `s-pop`?") && message.contains("gru4rec, pop, s-pop"),
            "{message}"
        );
    }

    #[test]
    fn only_the_network_of_a_gru4rec_is_validated_with_the_training() {
        let mut experiment = Experiment::default();
        experiment.training.batch_size = 0;
        assert!(experiment.validate().is_err());
        experiment.model = ModelConfig::Pop;
        experiment.validate().unwrap();
    }
}

//! The kinds of models and their configurations: each in one line of one list.

use super::keys;
use super::keys::fields_of;
use crate::baselines::{
    AssociationRulesConfig, BprMfConfig, ItemKnnConfig, NoFields, SequentialRulesConfig, SessionAverageConfig,
};
use crate::baselines::{SKnnConfig, StanConfig, VsKnnConfig, VstanConfig};
use crate::gru4rec::config::{NetworkConfig, TrainingConfig};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! models {
    ($($(#[$doc:meta])* $variant:ident($config:ty) = $name:literal,)*) => {
        /// The kinds of models.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum ModelKind {
            /// The recurrent network.
            #[serde(rename = "gru4rec")]
            Gru4rec,
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl ModelKind {
            const COUNT: usize = 1 + [$($name),*].len();

            /// All kinds, in the order in which reports show them.
            pub const ALL: [Self; Self::COUNT] = [Self::Gru4rec, $(Self::$variant),*];

            /// The name in files and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    Self::Gru4rec => "gru4rec",
                    $(Self::$variant => $name,)*
                }
            }

            /// The fields of the `[model]` table, beside `kind`.
            pub(super) fn fields(self) -> &'static [&'static str] {
                match self {
                    Self::Gru4rec => fields_of::<NetworkConfig>(),
                    $(Self::$variant => fields_of::<$config>(),)*
                }
            }
        }

        /// A model's kind and structure: the `[model]` table, its kind under the key `kind` (absent: `gru4rec`).
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        pub enum ModelConfig {
            /// The recurrent network.
            #[serde(rename = "gru4rec")]
            Gru4rec(NetworkConfig),
            $($(#[$doc])* #[serde(rename = $name)] $variant($config),)*
        }

        impl ModelConfig {
            /// The default model of a kind.
            pub fn of_kind(kind: ModelKind) -> Self {
                match kind {
                    ModelKind::Gru4rec => Self::Gru4rec(NetworkConfig::default()),
                    $(ModelKind::$variant => Self::$variant(<$config>::default()),)*
                }
            }

            /// The kind.
            pub fn kind(&self) -> ModelKind {
                match self {
                    Self::Gru4rec(_) => ModelKind::Gru4rec,
                    $(Self::$variant(_) => ModelKind::$variant,)*
                }
            }

            /// Checks the model, a network with its training.
            ///
            /// # Errors
            /// [`Error::Config`] with the first field that makes no sense.
            pub(super) fn validate(&self, training: &TrainingConfig) -> Result<()> {
                match self {
                    Self::Gru4rec(network) => network.validate(training),
                    $(Self::$variant(config) => config.validate(),)*
                }
            }

            /// The model of a kind from the fields that `parse` reads as any type.
            pub(super) fn read(kind: ModelKind, parse: impl Parse) -> Result<Self> {
                Ok(match kind {
                    ModelKind::Gru4rec => Self::Gru4rec(parse.parse()?),
                    $(ModelKind::$variant => Self::$variant(parse.parse()?),)*
                })
            }
        }
    };
}

models! {
    /// Popularity in training.
    Pop(NoFields) = "pop",
    /// Popularity in the session so far, then in training.
    SPop(NoFields) = "s-pop",
    /// Items that occur in the same sessions as the last one.
    ItemKnn(ItemKnnConfig) = "item-knn",
    /// What has followed the last item.
    Markov(NoFields) = "markov",
    /// Association rules: items that go together with the last one.
    Ar(AssociationRulesConfig) = "ar",
    /// Sequential rules: items that come some steps after the last one.
    Sr(SequentialRulesConfig) = "sr",
    /// What similar sessions hold.
    SKnn(SKnnConfig) = "s-knn",
    /// What similar sessions hold, with a weight on the latest events.
    VsKnn(VsKnnConfig) = "vs-knn",
    /// What similar sessions hold, with weights by place, age and distance.
    Stan(StanConfig) = "stan",
    /// STAN with VS-KNN's weights.
    Vstan(VstanConfig) = "vstan",
    /// Factors of sessions and items, learnt from pairs.
    BprMf(BprMfConfig) = "bpr-mf",
    /// Factors of items and of items in a session, learnt from pairs.
    SessionAverage(SessionAverageConfig) = "session-average",
}

/// Something that can be read as a configuration of any type.
pub(super) trait Parse {
    /// Reads it.
    fn parse<T: for<'de> Deserialize<'de>>(self) -> Result<T>;
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

impl Default for ModelConfig {
    fn default() -> Self {
        Self::of_kind(ModelKind::Gru4rec)
    }
}

impl ModelConfig {
    /// The network, where the model is one.
    pub fn network(&self) -> Option<&NetworkConfig> {
        match self {
            Self::Gru4rec(network) => Some(network),
            _ => None,
        }
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
            assert_eq!(serde_json::from_value::<ModelConfig>(model).unwrap(), ModelConfig::of_kind(kind));
            ModelConfig::of_kind(kind).validate(&TrainingConfig::default()).unwrap();
        }
        let message = "spop".parse::<ModelKind>().unwrap_err().to_string();
        assert!(
            message.contains("did you mean `s-pop`?") && message.contains("gru4rec, pop, s-pop"),
            "{message}"
        );
    }
}

//! The kinds of models, their names, and their configurations.

use super::keys;
use super::keys::fields_of;
#[cfg(feature = "toml")]
use crate::documented::{Documented, FieldDoc};
use crate::gru4rec::config::{NetworkConfig, TrainingConfig};
use crate::kind::Kind;
use crate::kinds::for_each_kind;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! define_kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident($model:ty, $config:ty) = $name:literal,)*) => {
        /// A kind of model.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ModelKind {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant,)*
        }

        #[cfg(test)]
        impl ModelKind {
            /// The name of the variant, and its doc comment.
            pub(super) fn doc(self) -> (&'static str, &'static str) {
                match self {
                    $(Self::$variant => (stringify!($variant), concat!($($doc),+)),)*
                }
            }
        }

        impl ModelKind {
            const COUNT: usize = [$($name),*].len();

            /// All kinds, in the order in which reports show them.
            pub const ALL: [Self; Self::COUNT] = [$(Self::$variant),*];

            /// The name in files and on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Whether the fit of this kind reads a field of the `[training]` table.
            pub fn reads_training(self, field: &str) -> bool {
                match self {
                    $(Self::$variant => <$model as Kind>::READS.has(field),)*
                }
            }

            /// The fields of the `[model]` table beside `kind`, with their doc comments.
            #[cfg(feature = "toml")]
            pub(super) fn field_docs(self) -> &'static [FieldDoc] {
                match self {
                    $(Self::$variant => <$config as Documented>::FIELDS,)*
                }
            }

            /// The fields of the `[model]` table, beside `kind`.
            pub(super) fn fields(self) -> &'static [&'static str] {
                match self {
                    $(Self::$variant => fields_of::<$config>(),)*
                }
            }
        }

        /// The kind and the configuration of a model: the `[model]` table, with the kind as `kind` (if absent,
        /// `gru4rec`).
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind")]
        #[non_exhaustive]
        pub enum ModelConfig {
            $($(#[doc = $doc])+ #[serde(rename = $name)] $variant($config),)*
        }

        impl ModelConfig {
            /// The default configuration of a kind.
            pub fn of_kind(kind: ModelKind) -> Self {
                match kind {
                    $(ModelKind::$variant => Self::$variant(<$config>::default()),)*
                }
            }

            /// The kind.
            pub fn kind(&self) -> ModelKind {
                match self {
                    $(Self::$variant(_) => ModelKind::$variant,)*
                }
            }

            /// Checks every field, those of a network together with its training.
            ///
            /// # Errors
            /// [`Error::Config`] with the first invalid field.
            pub(crate) fn validate(&self, training: &TrainingConfig) -> Result<()> {
                match self {
                    $(Self::$variant(config) => <$model as Kind>::validate(config, training),)*
                }
            }

            #[cfg(feature = "toml")]
            /// Parses the configuration of a kind.
            pub(super) fn read(kind: ModelKind, parse: impl Parse) -> Result<Self> {
                Ok(match kind {
                    $(ModelKind::$variant => Self::$variant(parse.parse()?),)*
                })
            }
        }
    };
}

for_each_kind!(define_kinds);

#[cfg(feature = "toml")]
/// A source from which a configuration of any type can be parsed.
pub(super) trait Parse {
    /// Parses it as a `T`.
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
    /// [`Error::Config`] for an unknown name, with the nearest and all names.
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

impl ModelKind {
    /// Checks that the fit of this kind reads a field of the `[training]` table, given as `training.epochs`. Other keys
    /// pass.
    ///
    /// # Errors
    /// [`Error::Config`] with the field to use instead, or the kinds that read it.
    pub fn check_reads(self, key: &str) -> Result<()> {
        match key.strip_prefix("training.") {
            Some(field) if !self.reads_training(field) => Err(Error::config(key, self.does_not_read(field))),
            _ => Ok(()),
        }
    }

    /// Says that this kind does not read `training.FIELD`, and what to do.
    pub(crate) fn does_not_read(self, field: &str) -> String {
        let advice = if self.has_field(field) {
            format!("use model.{field}")
        } else {
            let readers: Vec<&str> =
                Self::ALL.into_iter().filter(|kind| kind.reads_training(field)).map(Self::name).collect();
            format!("leave it out; it is for {}", readers.join(", "))
        };
        format!("a model of kind \"{self}\" does not read this field: {advice}")
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self::of_kind(ModelKind::Gru4rec)
    }
}

impl ModelConfig {
    /// The network's configuration, if the model is one.
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
            message.contains("did you mean `s-pop`?") && message.contains("gru4rec, pop, decay-pop, s-pop"),
            "{message}"
        );
    }
}

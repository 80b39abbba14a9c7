//! Parsing and printing of activations, in the notation of configuration files.

use super::Activation;
use std::fmt;
use std::str::FromStr;

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Linear => f.write_str("linear"),
            Self::Tanh => f.write_str("tanh"),
            Self::Relu => f.write_str("relu"),
            Self::Elu { alpha } => write!(f, "elu-{alpha}"),
            Self::Leaky { alpha } => write!(f, "leaky-{alpha}"),
            Self::Selu { lambda, alpha } => write!(f, "selu-{lambda}-{alpha}"),
        }
    }
}

impl FromStr for Activation {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{s}` is no activation: use linear, tanh, relu, elu-A, leaky-A or selu-L-A with numbers A, L, as in elu-0.5"
            )
        };
        let mut parts = s.split('-');
        let name = parts.next().unwrap_or_default();
        let numbers =
            parts.map(|p| p.parse::<f32>().ok().filter(|x| x.is_finite())).collect::<Option<Vec<_>>>();
        match (name, numbers.ok_or_else(wrong)?.as_slice()) {
            ("linear" | "softmax", []) => Ok(Self::Linear),
            ("tanh", []) => Ok(Self::Tanh),
            ("relu", []) => Ok(Self::Relu),
            ("elu", []) => Ok(Self::Elu { alpha: 1.0 }),
            ("elu", &[alpha]) if alpha > 0.0 => Ok(Self::Elu { alpha }),
            ("leaky", &[alpha]) if (0.0..1.0).contains(&alpha) => Ok(Self::Leaky { alpha }),
            ("selu", []) => Ok(Self::Selu { lambda: 1.050_700_9, alpha: 1.673_263_2 }),
            ("selu", &[lambda, alpha]) if lambda > 0.0 && alpha > 0.0 => Ok(Self::Selu { lambda, alpha }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Activation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Activation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

//! The configuration of a network and of its training: every field once, with its default and the source of it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The recurrent unit \[1, section 3\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Gated recurrent unit, the reset gate inside the recurrent product (Cho et al. 2014).
    Gru,
    /// Long short-term memory.
    Lstm,
    /// Plain recurrent unit: `h = act(W x + U h')`.
    Rnn,
}

/// What the network reads at each step \[1, section 3\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Input {
    /// The current item, 1-of-N: the paper's best.
    OneHot,
    /// All items of the session so far, discounted by [`NetworkConfig::discount`] a step, scaled to unit L2 norm.
    Discounted,
    /// The current item's row of a table of its own, [`NetworkConfig::embedding_size`] wide.
    Embedding,
    /// The current item's row of the output table (\[2\], "constrained embedding").
    Shared,
}

/// The output activation: scores are `act(Wy h + by)`. Written `linear`, `tanh`, `relu`, `elu-0.5`, `leaky-0.1`,
/// `selu-1.05-1.67` (λ, α).
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OutputActivation {
    /// The identity; with cross-entropy the scores are the logits of a softmax.
    Linear,
    /// Hyperbolic tangent, the paper's choice for TOP1 and BPR.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// `x` above 0, else `α (exp(x) − 1)`.
    Elu {
        /// α > 0.
        alpha: f32,
    },
    /// `x` above 0, else `α x`.
    Leaky {
        /// 0 ≤ α < 1.
        alpha: f32,
    },
    /// `λ x` above 0, else `λ α (exp(x) − 1)`.
    Selu {
        /// λ > 0.
        lambda: f32,
        /// α > 0.
        alpha: f32,
    },
}

impl fmt::Display for OutputActivation {
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

impl FromStr for OutputActivation {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{s}` is no output activation: use linear, tanh, relu, elu-A, leaky-A or selu-L-A with numbers A, L, as in elu-0.5"
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

impl Serialize for OutputActivation {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OutputActivation {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The activation of the GRU's candidate state, or of the plain recurrent unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HiddenActivation {
    /// Hyperbolic tangent.
    Tanh,
    /// `max(x, 0)`.
    Relu,
    /// The identity.
    Linear,
}

/// The loss of a mini-batch \[1, section 3.1.3; 2, section 3\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// `1/N Σ_j [σ(r̂_j − r̂_i) + σ(r̂_j²)]` \[1\].
    Top1,
    /// `−1/N Σ_j log σ(r̂_i − r̂_j)` \[1\].
    Bpr,
    /// `−log softmax(r̂)_i` over the positive and the negatives \[1\].
    CrossEntropy,
    /// TOP1 weighted by the softmax over the negatives \[2\].
    Top1Max,
    /// BPR weighted by the softmax over the negatives, with a score penalty \[2\].
    BprMax,
    /// `1 − 1/R` with the smooth rank `R = 1 + Σ_j σ(r̂_j − r̂_i)`: the pointwise objective for MRR that \[1, section 4.2\]
    /// tried, in a form of our own (`docs/gradients.md`).
    Mrr,
}

/// The rule by which a gradient changes a parameter (ALGORITHMS section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Optimizer {
    /// `a += g²`, `Δ = −η g / sqrt(a + ε)`: the paper's best.
    Adagrad,
    /// `a ← ρ a + (1 − ρ) g²`, `Δ = −η g / sqrt(a + ε)`.
    Rmsprop,
    /// `Δ = −η g`.
    Sgd,
    /// Kingma and Ba 2015, with a step count per row of a table.
    Adam,
}

/// The order in which training visits the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SessionOrder {
    /// By start time, oldest first, so that the last updates see the newest data.
    Time,
    /// Shuffled anew in each epoch, by the seed.
    Shuffled,
}

/// The network \[1, section 3\]: the `[model]` table of an experiment.
///
/// The default is the setting published for RSC15 by Hidasi and Czapp (RecSys 2023): 100 units, shared embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// The recurrent unit.
    pub unit: Unit,
    /// Units of each recurrent layer, from the input up. One layer is the paper's best.
    pub layers: Vec<usize>,
    /// What the network reads.
    pub input: Input,
    /// γ of the `discounted` input, 0 < γ ≤ 1: an event `t` steps ago weighs `γ^t`. The paper gives no value.
    pub discount: f32,
    /// Width of the `embedding` input's table.
    pub embedding_size: usize,
    /// Whether every deeper layer also reads the input through weights of its own.
    pub input_to_deeper_layers: bool,
    /// Units of each feed-forward layer (tanh) between the recurrent layers and the output.
    pub feed_forward: Vec<usize>,
    /// Activation of the GRU's candidate and of the plain recurrent unit.
    pub hidden_activation: HiddenActivation,
    /// Output activation; where absent, the published choice for the loss: `tanh` for TOP1 and BPR \[1\],
    /// `linear` for cross-entropy, `elu-0.5` for TOP1-max and BPR-max \[2\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_activation: Option<OutputActivation>,
}

impl Default for NetworkConfig {
    fn default() -> Self {
        Self {
            unit: Unit::Gru,
            layers: vec![100],
            input: Input::Shared,
            discount: 0.8,
            embedding_size: 100,
            input_to_deeper_layers: false,
            feed_forward: Vec::new(),
            hidden_activation: HiddenActivation::Tanh,
            output_activation: None,
        }
    }
}

/// How a network is trained: the `[training]` table of an experiment.
///
/// The default is the setting published for RSC15 by Hidasi and Czapp (RecSys 2023).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Passes over the training sessions, ≥ 1.
    pub epochs: usize,
    /// Sessions in a mini-batch, ≥ 1 (≥ 2 without additional samples).
    pub batch_size: usize,
    /// Additional negative samples of a mini-batch, shared by its rows; 0: only the other rows' targets.
    pub samples: usize,
    /// α: samples are drawn with probability ∝ support^α; 0 is uniform, 1 is by popularity.
    pub sample_alpha: f64,
    /// Whether an item equal to the row's own target is taken out of that row's negatives. \[1\] does not.
    pub mask_own_target: bool,
    /// The loss.
    pub loss: Loss,
    /// Strength of the logQ correction of cross-entropy, 0 (off) to 1; absent: 1 with cross-entropy, 0 with other losses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logq: Option<f32>,
    /// λ ≥ 0: the weight of BPR-max's score penalty; other losses have none.
    pub bpr_max_penalty: f32,
    /// p_embed: share of the input vector's elements dropped in training, 0 ≤ p < 1; `embedding` and `shared` input
    /// only; absent: 0.1 with those, 0 with the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout_embedding: Option<f32>,
    /// p_hidden: share of each layer's units dropped in training, 0 ≤ p < 1.
    pub dropout_hidden: f32,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// η > 0.
    pub learning_rate: f32,
    /// μ: `v ← μ v + Δ`, `θ ← θ + v`, 0 ≤ μ < 1.
    pub momentum: f32,
    /// ε inside the root of Adagrad and RMSProp (1e-6), or beside Adam's (1e-8); absent: those values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f32>,
    /// ρ of RMSProp, 0 ≤ ρ < 1.
    pub rmsprop_decay: f32,
    /// β₁ of Adam, 0 ≤ β₁ < 1.
    pub adam_beta1: f32,
    /// β₂ of Adam, 0 ≤ β₂ < 1.
    pub adam_beta2: f32,
    /// L2: this times the parameter is added to the gradient of every parameter that the step touches.
    pub l2: f32,
    /// The gradient of a step is scaled down to this global norm where it is larger; 0: never.
    pub clip_norm: f32,
    /// The order of the sessions.
    pub session_order: SessionOrder,
    /// Epochs without a better validation MRR after which training stops; 0: never. Needs validation.
    pub patience: usize,
    /// Seed of initial weights, samples, dropout and shuffling, below 2⁶³ (TOML's largest integer).
    pub seed: u64,
}

impl Default for TrainingConfig {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch_size: 32,
            samples: 2048,
            sample_alpha: 0.75,
            mask_own_target: false,
            loss: Loss::CrossEntropy,
            logq: None,
            bpr_max_penalty: 1.0,
            dropout_embedding: None,
            dropout_hidden: 0.0,
            optimizer: Optimizer::Adagrad,
            learning_rate: 0.1,
            momentum: 0.0,
            epsilon: None,
            rmsprop_decay: 0.9,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            l2: 0.0,
            clip_norm: 0.0,
            session_order: SessionOrder::Time,
            patience: 0,
            seed: 42,
        }
    }
}

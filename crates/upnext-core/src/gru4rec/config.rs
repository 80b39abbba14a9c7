//! The configuration of a network and of its training: every field once, with its default and the source of it.

use serde::{Deserialize, Serialize};

pub use upnext_kernels::{Activation, Loss, Optimizer, Unit};

/// What the network reads at each step \[1, section 3\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
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

/// The order in which training visits the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
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
    /// Activation of the GRU's candidate and of the plain recurrent unit: `tanh`, `relu` or `linear`.
    pub hidden_activation: Activation,
    /// Output activation; where absent, the published choice for the loss: `tanh` for TOP1 and BPR \[1\],
    /// `linear` for cross-entropy, `elu-0.5` for TOP1-max and BPR-max \[2\].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_activation: Option<Activation>,
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
            hidden_activation: Activation::Tanh,
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

//! The configuration of a network and of its training: each field with its range, default and source.

use serde::{Deserialize, Serialize};

pub use upnext_kernels::{Activation, Loss, Optimizer, Unit};

/// The input of the first layer at each event \[1, section 3\].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Input {
    /// The current item as a one-hot vector; the best input in \[1\].
    OneHot,
    /// A weighted sum of the one-hot vectors of the session so far, scaled to unit L2 norm. Weights decay by
    /// [`NetworkConfig::discount`] per event.
    Discounted,
    /// The current item's row of a separate embedding table of width [`NetworkConfig::embedding_size`].
    Embedding,
    /// The current item's row of the output table (the constrained embedding of \[2\]).
    Shared,
}

/// The order in which training visits the sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SessionOrder {
    /// By start time, oldest first, so that the last updates of an epoch use the newest sessions.
    Time,
    /// In a random order that the seed and the epoch determine.
    Shuffled,
}

/// The architecture of a network \[1, section 3\]: the `[model]` table of an experiment.
///
/// The default is the setting published for RSC15 by Hidasi and Czapp (RecSys 2023): 100 units, shared embedding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkConfig {
    /// The recurrent unit.
    pub unit: Unit,
    /// Units of each recurrent layer, from the input up, each ≥ 1. One layer is best in \[1\].
    pub layers: Vec<usize>,
    /// The input of the first layer.
    pub input: Input,
    /// γ of the `discounted` input, 0 < γ ≤ 1: an event `t` steps ago has weight `γ^t`. \[1\] gives no value.
    pub discount: f32,
    /// Width of the table of the `embedding` input, ≥ 1.
    pub embedding_size: usize,
    /// Whether every deeper layer also reads the network's input, through separate weights.
    pub input_to_deeper_layers: bool,
    /// Units of each feed-forward layer (tanh) between the recurrent layers and the output.
    pub feed_forward: Vec<usize>,
    /// Activation of the GRU's candidate and of the plain recurrent unit: `tanh`, `relu` or `linear`.
    pub hidden_activation: Activation,
    /// Activation of the scores. If absent, it depends on the loss: `tanh` for TOP1 and BPR \[1\] and for MRR, `linear`
    /// for cross-entropy, `elu-0.5` for TOP1-max and BPR-max \[2\].
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

/// The training of a network: the `[training]` table of an experiment.
///
/// The default is the setting published for RSC15 by Hidasi and Czapp (RecSys 2023).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainingConfig {
    /// Passes over the training sessions, ≥ 1.
    pub epochs: usize,
    /// Rows of a mini-batch, one session each, ≥ 1 (≥ 2 without additional samples).
    pub batch_size: usize,
    /// Additional negative samples of a mini-batch, shared by its rows. With 0, a row's negatives are the other rows'
    /// targets.
    pub samples: usize,
    /// α ≥ 0: samples are drawn with probability ∝ support^α; 0 is uniform, 1 is by popularity.
    pub sample_alpha: f64,
    /// Whether scored items equal to a row's own target are excluded from that row's negatives. \[1\] keeps them.
    pub mask_own_target: bool,
    /// The loss.
    pub loss: Loss,
    /// Strength of the logQ correction of cross-entropy, 0 (off) to 1. If absent, 1 with cross-entropy and 0 with other
    /// losses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logq: Option<f32>,
    /// λ ≥ 0: weight of the score penalty of BPR-max. Other losses ignore it.
    pub bpr_max_penalty: f32,
    /// Probability of dropping an element of the input vector in training, 0 ≤ p < 1, for `embedding` and `shared`
    /// input only. If absent, 0.1 for these inputs and 0 for the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout_embedding: Option<f32>,
    /// Probability of dropping a unit of a layer's output in training, 0 ≤ p < 1.
    pub dropout_hidden: f32,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Learning rate, η > 0.
    pub learning_rate: f32,
    /// Momentum μ, 0 ≤ μ < 1: `v ← μ v + Δ`, `θ ← θ + v`.
    pub momentum: f32,
    /// ε > 0, added inside the square root of Adagrad and RMSProp and outside that of Adam. If absent, 1e-6, and 1e-8
    /// for Adam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub epsilon: Option<f32>,
    /// ρ of RMSProp, 0 ≤ ρ < 1.
    pub rmsprop_decay: f32,
    /// β₁ of Adam, 0 ≤ β₁ < 1.
    pub adam_beta1: f32,
    /// β₂ of Adam, 0 ≤ β₂ < 1.
    pub adam_beta2: f32,
    /// Strength of L2 regularisation, ≥ 0: `l2 · θ` is added to the gradient of each parameter that a step updates.
    pub l2: f32,
    /// Largest global L2 norm of a step's gradient, ≥ 0: larger gradients are scaled down to it. 0 turns clipping off.
    pub clip_norm: f32,
    /// The order of the sessions in an epoch.
    pub session_order: SessionOrder,
    /// Early stopping: training stops after this many epochs without a better validation MRR. 0 turns it off; other
    /// values need validation sessions.
    pub patience: usize,
    /// Seed of initial weights, samples, dropout and shuffling, below 2⁶³ (the range of TOML's integers).
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

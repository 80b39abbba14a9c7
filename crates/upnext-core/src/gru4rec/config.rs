//! The configuration of a network and of its training: each field with its range, default and source.

use crate::documented::documented;
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

documented! {
    /// The architecture of a network \[1, section 3\]: the `[model]` table of an experiment.
    ///
    /// The default is the setting published for RSC15 by Hidasi and Czapp (RecSys 2023): 100 units, shared embedding.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct NetworkConfig {
        /// The recurrent unit: `gru`, `lstm` or `rnn`. The default is the best of \[1\].
        pub unit: Unit,
        /// Units of each recurrent layer, from the input up: at least one layer, each of 1 to 65,536 units. One layer
        /// is best in \[1\]; the default is that of Hidasi and Czapp (RecSys 2023) for RSC15.
        pub layers: Vec<usize>,
        /// The input of the first layer: `one-hot` (the current item), `discounted` (a weighted sum of the items so
        /// far), `embedding` (a table of vectors of its own) or `shared` (the output table, the constrained embedding
        /// of \[2\]). The default is that of Hidasi and Czapp (RecSys 2023) for RSC15; `one-hot` is the best in \[1\].
        pub input: Input,
        /// γ of the `discounted` input, 0 < γ ≤ 1: an event `t` steps ago has weight `γ^t`. The default is our choice,
        /// since \[1\] gives no value.
        pub discount: f32,
        /// Width of the table of the `embedding` input, 1 to 65,536. The default is our choice: that of the default
        /// layer.
        pub embedding_size: usize,
        /// Whether every deeper layer also reads the network's input, through separate weights: `true`, for two or more
        /// layers, or `false`. \[1\] found it better for deep networks; the default has one layer.
        pub input_to_deeper_layers: bool,
        /// Units of each feed-forward layer (tanh) between the recurrent layers and the output, each 1 to 65,536; `[]`
        /// for none. None is best in \[1\].
        pub feed_forward: Vec<usize>,
        /// Whether the vector of the current item is added to the output of the top layer before the scores: `true`, with
        /// `shared` input only, or `false`. The default is that of \[1\], which has no such connection.
        pub input_to_output: bool,
        /// Length s of the session's vector, whose scores are then `s cos + bias`, since the items' vectors have the length 1
        /// (after NISER, Gupta et al. 2019): above 0 and up to 1,000. If absent, as in \[1\], vectors have any length.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub cosine_scale: Option<f32>,
        /// Columns of the item table from which items get vectors besides their own: their names, `["*"]` for all, or `[]` for
        /// none; with `shared` input only. The default is that of \[1\], which has none.
        pub attributes: Vec<String>,
        /// Activation of the GRU's candidate and of the plain recurrent unit: `tanh`, `relu` or `linear`; the LSTM has
        /// `tanh` only. The default is that of \[1\].
        pub hidden_activation: Activation,
        /// Activation of the scores: `linear`, `tanh`, `relu`, `elu-A`, `leaky-A` or `selu-L-A` with numbers A and L;
        /// cross-entropy has `linear` only. If absent, it depends on the loss: `tanh` for TOP1 and BPR \[1\] and for
        /// MRR, `linear` for cross-entropy, `elu-0.5` for TOP1-max and BPR-max \[2\].
        #[serde(skip_serializing_if = "Option::is_none")]
        pub output_activation: Option<Activation>,
    }
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
            input_to_output: false,
            cosine_scale: None,
            attributes: Vec::new(),
            hidden_activation: Activation::Tanh,
            output_activation: None,
        }
    }
}

documented! {
    /// The training of a network: the `[training]` table of an experiment.
    ///
    /// The default is the setting published for RSC15 by Hidasi and Czapp (RecSys 2023).
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    pub struct TrainingConfig {
        /// Passes over the training sessions, 1 or more. The default is that of Hidasi and Czapp (RecSys 2023) for
        /// RSC15.
        pub epochs: usize,
        /// Rows of a mini-batch, one session each, 1 or more (2 or more without additional samples). The default is
        /// that of Hidasi and Czapp (RecSys 2023) for RSC15.
        pub batch_size: usize,
        /// Additional negative samples of a mini-batch, shared by its rows, 0 or more. With 0, a row's negatives are
        /// the other rows' targets, as in \[1\]. The default is that of Hidasi and Czapp (RecSys 2023) for RSC15.
        pub samples: usize,
        /// α, 0 or above: samples are drawn with probability ∝ support^α; 0 is uniform, 1 is by popularity. The default
        /// is that of Hidasi and Czapp (RecSys 2023) for RSC15.
        pub sample_alpha: f64,
        /// Whether scored items equal to a row's own target are excluded from that row's negatives: `true` or `false`.
        /// The default is that of \[1\], which keeps them.
        pub mask_own_target: bool,
        /// The loss: `cross-entropy`, `top1`, `bpr`, `top1-max`, `bpr-max` or `mrr`. The default is that of Hidasi and
        /// Czapp (RecSys 2023) for RSC15.
        pub loss: Loss,
        /// Strength of the logQ correction of cross-entropy, from 0 (off) to 1; 0 with other losses. If absent, 1 with
        /// cross-entropy, as in Hidasi and Czapp (RecSys 2023) for RSC15, and 0 with other losses.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub logq: Option<f32>,
        /// λ, 0 or above: weight of the score penalty of BPR-max \[2\], which other losses do not have. The default is
        /// that of \[2\] for RSC15.
        pub bpr_max_penalty: f32,
        /// Probability of dropping an element of the input vector in training, 0 ≤ p < 1, for `embedding` and `shared`
        /// input only. If absent, 0.1 for these inputs, as in Hidasi and Czapp (RecSys 2023) for RSC15, and 0 for the
        /// others.
        #[serde(skip_serializing_if = "Option::is_none")]
        pub dropout_embedding: Option<f32>,
        /// Probability of leaving out an item's own vector in a training step, 0 ≤ p < 1, so that those of its
        /// `model.attributes` learn to stand alone (after DropoutNet, Volkovs et al. 2017). The default is our choice.
        pub dropout_item: f32,
        /// Probability of dropping a unit of a layer's output in training, 0 ≤ p < 1. The default is that of Hidasi and
        /// Czapp (RecSys 2023) for RSC15.
        pub dropout_hidden: f32,
        /// The optimiser: `adagrad`, `rmsprop`, `sgd` or `adam`. The default is the best of \[1\].
        pub optimizer: Optimizer,
        /// Learning rate η, above 0. The default is that of Hidasi and Czapp (RecSys 2023) for RSC15.
        pub learning_rate: f32,
        /// Momentum μ, 0 ≤ μ < 1: `v ← μ v + Δ`, `θ ← θ + v`. The default is that of Hidasi and Czapp (RecSys 2023) for
        /// RSC15.
        pub momentum: f32,
        /// ε, above 0, added inside the square root of Adagrad and RMSProp and outside that of Adam; SGD has none. If
        /// absent, 1e-6, our choice, and for Adam 1e-8, that of Kingma and Ba (2015).
        #[serde(skip_serializing_if = "Option::is_none")]
        pub epsilon: Option<f32>,
        /// ρ of RMSProp, 0 ≤ ρ < 1. The default is that of Tieleman and Hinton (2012).
        pub rmsprop_decay: f32,
        /// β₁ of Adam, 0 ≤ β₁ < 1. The default is that of Kingma and Ba (2015).
        pub adam_beta1: f32,
        /// β₂ of Adam, 0 ≤ β₂ < 1. The default is that of Kingma and Ba (2015).
        pub adam_beta2: f32,
        /// Strength of L2 regularisation, 0 or above: `l2 · θ` is added to the gradient of each parameter that a step
        /// updates. The default, 0, turns it off, our choice: no published setting has it.
        pub l2: f32,
        /// Largest global L2 norm of a step's gradient, 0 or above: larger gradients are scaled down to it. The
        /// default, 0, turns clipping off, our choice: no published setting has it.
        pub clip_norm: f32,
        /// The order of the sessions in an epoch: `time` (oldest first, so that the last updates use the newest
        /// sessions) or `shuffled` (random, by seed and epoch). The default is our choice.
        pub session_order: SessionOrder,
        /// Early stopping: training stops after this many epochs without a better validation MRR. The default, 0, turns
        /// it off; other values need validation sessions (`--validate` or `--valid`). Our choice: no published setting
        /// has it.
        pub patience: usize,
        /// Seed of initial weights, samples, dropout and shuffling: from 0 to below 2⁶³ (the range of TOML's integers).
        /// The default is our choice.
        pub seed: u64,
    }
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
            dropout_item: 0.1,
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

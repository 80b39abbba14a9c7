//! What the reference reads of a configuration, every field resolved; real numbers are f64.

use crate::loss::published_activation;
use crate::optimizer::published_epsilon;
pub use upnext_kernels::{Activation, Loss, Optimizer, Unit};

/// What the network reads at each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The current item, 1-of-N.
    OneHot,
    /// All items of the session so far, weighted by [`Network::discount`] per step and scaled to unit L2 norm.
    Discounted,
    /// The current item's row of a table of its own.
    Embedding,
    /// The current item's row of the output table.
    Shared,
}

/// The shape of a network and its activations.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The recurrent unit.
    pub unit: Unit,
    /// Units of each recurrent layer, from the input up; not empty.
    pub layers: Vec<usize>,
    /// What the network reads.
    pub input: Input,
    /// γ of the `Discounted` input.
    pub discount: f64,
    /// Width of the `Embedding` input's table.
    pub embedding_size: usize,
    /// Whether every deeper layer also reads the input.
    pub input_to_deeper_layers: bool,
    /// Units of each feed-forward layer between the recurrent layers and the output.
    pub feed_forward: Vec<usize>,
    /// Activation of the GRU's candidate and of the plain recurrent unit: tanh, relu or linear.
    pub hidden_activation: Activation,
    /// Activation of the scores.
    pub output_activation: Activation,
}

/// One GRU layer of 100 units with a shared table and linear scores, for tests that name only what matters to them.
impl Default for Network {
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
            output_activation: Activation::Linear,
        }
    }
}

impl Network {
    /// The same network with the published output activation of a loss.
    pub fn for_loss(self, loss: Loss) -> Self {
        Self { output_activation: published_activation(loss), ..self }
    }
}

/// The loss of a step and the update that follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Rows of a full mini-batch, by which every loss is divided.
    pub batch_size: usize,
    /// α of the additional samples' distribution; read by logQ.
    pub sample_alpha: f64,
    /// Whether an item equal to the row's own target is no negative of that row.
    pub mask_own_target: bool,
    /// The loss.
    pub loss: Loss,
    /// Strength of the logQ correction of cross-entropy; other losses have none.
    pub logq: f64,
    /// λ of BPR-max.
    pub bpr_max_penalty: f64,
    /// p_embed: share of the embedding's elements dropped; not read with `OneHot` and `Discounted` input.
    pub dropout_embedding: f64,
    /// p_hidden: share of each layer's units dropped.
    pub dropout_hidden: f64,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// η.
    pub learning_rate: f64,
    /// μ.
    pub momentum: f64,
    /// ε, inside the root of Adagrad and RMSProp and beside that of Adam.
    pub epsilon: f64,
    /// ρ of RMSProp.
    pub rmsprop_decay: f64,
    /// β₁ of Adam.
    pub adam_beta1: f64,
    /// β₂ of Adam.
    pub adam_beta2: f64,
    /// The L2 weight: this times the parameter is added to its gradient.
    pub l2: f64,
    /// Largest norm of a step's gradient; 0: no limit.
    pub clip_norm: f64,
}

/// Cross-entropy with full logQ correction, Adagrad and some embedding dropout, for tests that name only what matters to them.
impl Default for Training {
    fn default() -> Self {
        Self {
            batch_size: 32,
            sample_alpha: 0.75,
            mask_own_target: false,
            loss: Loss::CrossEntropy,
            logq: 1.0,
            bpr_max_penalty: 1.0,
            dropout_embedding: 0.1,
            dropout_hidden: 0.0,
            optimizer: Optimizer::Adagrad,
            learning_rate: 0.1,
            momentum: 0.0,
            epsilon: published_epsilon(Optimizer::Adagrad),
            rmsprop_decay: 0.9,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            l2: 0.0,
            clip_norm: 0.0,
        }
    }
}

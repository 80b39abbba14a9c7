//! The configurations of the reference: no field is optional, and real numbers are f64.

use crate::loss::published_activation;
use crate::optimizer::published_epsilon;
pub use upnext_kernels::{Activation, Loss, Optimizer, Unit};

/// The input of the first layer at each event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The current item as a one-hot vector.
    OneHot,
    /// A weighted sum of the one-hot vectors of the session so far, scaled to unit L2 norm. Weights decay by
    /// [`Network::discount`] per event.
    Discounted,
    /// The current item's row of a separate embedding table.
    Embedding,
    /// The current item's row of the output table.
    Shared,
}

/// The architecture of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// The recurrent unit.
    pub unit: Unit,
    /// Units of each recurrent layer, from the input up; not empty.
    pub layers: Vec<usize>,
    /// The input of the first layer.
    pub input: Input,
    /// γ of the `Discounted` input.
    pub discount: f64,
    /// Width of the table of the `Embedding` input.
    pub embedding_size: usize,
    /// Whether every deeper layer also reads the network's input.
    pub input_to_deeper_layers: bool,
    /// Units of each feed-forward layer between the recurrent layers and the output.
    pub feed_forward: Vec<usize>,
    /// Whether the input is added to the output of the top layer; with `Shared` input only.
    pub input_to_output: bool,
    /// The length of the session's vector, if the items' vectors have the length 1.
    pub cosine_scale: Option<f64>,
    /// Activation of the GRU's candidate and of the plain recurrent unit: tanh, relu or linear.
    pub hidden_activation: Activation,
    /// Activation of the scores.
    pub output_activation: Activation,
}

/// One GRU layer of 100 units with a shared table and linear scores, so that tests set only the fields that they need.
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
            input_to_output: false,
            cosine_scale: None,
            hidden_activation: Activation::Tanh,
            output_activation: Activation::Linear,
        }
    }
}

impl Network {
    /// This network with the published output activation of a loss.
    pub fn for_loss(self, loss: Loss) -> Self {
        Self { output_activation: published_activation(loss), ..self }
    }
}

/// The loss and the update of a training step.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// Rows of a full mini-batch, by which the sum of the rows' losses is divided.
    pub batch_size: usize,
    /// α of the distribution of additional samples, for logQ.
    pub sample_alpha: f64,
    /// Whether scored items equal to a row's own target are excluded from that row's negatives.
    pub mask_own_target: bool,
    /// The loss.
    pub loss: Loss,
    /// Strength of the logQ correction of cross-entropy. Other losses ignore it.
    pub logq: f64,
    /// λ: weight of the score penalty of BPR-max. Other losses ignore it.
    pub bpr_max_penalty: f64,
    /// Probability of dropping an element of the input vector; `OneHot` and `Discounted` input ignore it.
    pub dropout_embedding: f64,
    /// Probability of dropping a unit of a layer's output.
    pub dropout_hidden: f64,
    /// The optimiser.
    pub optimizer: Optimizer,
    /// Learning rate η.
    pub learning_rate: f64,
    /// Momentum μ.
    pub momentum: f64,
    /// ε, added inside the square root of Adagrad and RMSProp and outside that of Adam.
    pub epsilon: f64,
    /// ρ of RMSProp.
    pub rmsprop_decay: f64,
    /// β₁ of Adam.
    pub adam_beta1: f64,
    /// β₂ of Adam.
    pub adam_beta2: f64,
    /// Strength of L2 regularisation: `l2 · θ` is added to the gradient.
    pub l2: f64,
    /// Largest global norm of a step's gradient; 0 turns clipping off.
    pub clip_norm: f64,
}

/// Cross-entropy with full logQ correction, Adagrad and some embedding dropout, so that tests set only the fields that
/// they need.
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

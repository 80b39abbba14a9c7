//! Validation of network and training configurations, and the values of absent fields.
//!
//! A field is refused if its value is out of range or contradicts another field. A field without effect (γ without the
//! `discounted` input) is accepted here if its value is in range; `idle` tells which they are, and files and `--set`
//! refuse them.

use super::config::{Activation, Input, Loss, NetworkConfig, Optimizer, TrainingConfig, Unit};
use crate::data::SessionCounts;
use crate::{Error, Result};
use upnext_kernels::UpdateRule;

/// Largest width of a layer or an embedding, in units. Training a GRU layer of this width takes at least 6 · 65,536²
/// floats for its recurrent weights and their optimiser state, about 100 GB.
pub const MAX_WIDTH: usize = 1 << 16;

/// Why a field has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Idle {
    /// The field on which the effect depends.
    pub(crate) depends_on: &'static str,
    /// What that field would have to be.
    pub(crate) wanted: &'static str,
}

impl std::fmt::Display for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { depends_on, wanted } = self;
        write!(f, "has no effect, since {depends_on} is not {wanted}: change that, or leave this field out")
    }
}

/// Why the field `key` has no effect on this network and its training; `None` if it has one.
///
/// Fields that are refused unless they turn something off, such as `training.logq`, are not among them.
pub(crate) fn idle(key: &str, network: &NetworkConfig, training: &TrainingConfig) -> Option<Idle> {
    let (has_effect, depends_on, wanted) = match key {
        "model.discount" => (network.input == Input::Discounted, "model.input", "discounted"),
        "model.embedding_size" => (network.input == Input::Embedding, "model.input", "embedding"),
        "training.dropout_item" => (!network.attributes.is_empty(), "model.attributes", "a list of columns"),
        "training.sample_alpha" => (training.samples > 0, "training.samples", "above 0"),
        "training.bpr_max_penalty" => (training.loss == Loss::BprMax, "training.loss", "bpr-max"),
        "training.epsilon" => {
            (training.optimizer != Optimizer::Sgd, "training.optimizer", "adagrad, rmsprop or adam")
        }
        "training.rmsprop_decay" => {
            (training.optimizer == Optimizer::Rmsprop, "training.optimizer", "rmsprop")
        }
        "training.adam_beta1" | "training.adam_beta2" => {
            (training.optimizer == Optimizer::Adam, "training.optimizer", "adam")
        }
        _ => return None,
    };
    (!has_effect).then_some(Idle { depends_on, wanted })
}

/// Largest number of scores of a mini-batch, `B · (B + S)`: 4 GiB of floats.
pub const MAX_SCORES: usize = 1 << 30;

impl NetworkConfig {
    /// Width of the output layer's input: that of the last feed-forward layer or, without any, of the last recurrent
    /// layer.
    ///
    /// It is 0 for a network without layers, which [`validate`](Self::validate) refuses.
    pub fn output_width(&self) -> usize {
        self.feed_forward.last().or(self.layers.last()).copied().unwrap_or(0)
    }

    /// Width of the input: `items` for `one-hot` and `discounted`, else the width of the embedding.
    pub fn input_width(&self, items: usize) -> usize {
        match self.input {
            Input::OneHot | Input::Discounted => items,
            Input::Embedding => self.embedding_size,
            Input::Shared => self.output_width(),
        }
    }

    /// Whether the input is an embedding (`embedding` or `shared`), to which embedding dropout applies.
    pub fn has_embedding(&self) -> bool {
        matches!(self.input, Input::Embedding | Input::Shared)
    }

    /// The output activation in use. If the field is absent, it depends on the loss: `tanh` for TOP1 and BPR \[1\] and
    /// for MRR, `linear` for cross-entropy, `elu-0.5` for TOP1-max and BPR-max \[2\].
    pub fn output_activation_for(&self, loss: Loss) -> Activation {
        self.output_activation.unwrap_or(match loss {
            Loss::Top1 | Loss::Bpr | Loss::Mrr => Activation::Tanh,
            Loss::CrossEntropy => Activation::Linear,
            Loss::Top1Max | Loss::BprMax => Activation::Elu { alpha: 0.5 },
        })
    }

    /// This configuration with every absent field that applies to `training` filled in, and every field without effect
    /// at its default.
    pub fn resolved(&self, training: &TrainingConfig) -> Self {
        let mut resolved =
            Self { output_activation: Some(self.output_activation_for(training.loss)), ..self.clone() };
        let default = Self::default();
        if idle("model.discount", self, training).is_some() {
            resolved.discount = default.discount;
        }
        if idle("model.embedding_size", self, training).is_some() {
            resolved.embedding_size = default.embedding_size;
        }
        resolved
    }

    /// Checks this configuration, that of the training, and the two together.
    ///
    /// # Errors
    /// [`Error::Config`] with the field's name in experiment files, the reason, and what to use instead.
    pub fn validate(&self, training: &TrainingConfig) -> Result<()> {
        self.validate_layers()?;
        training.validate()?;
        if self.unit == Unit::Lstm && self.hidden_activation != Activation::Tanh {
            return refuse(
                "model.hidden_activation",
                "the LSTM has tanh alone: use tanh, or unit gru or rnn",
            );
        }
        if self.output_activation.is_some_and(|a| a != Activation::Linear)
            && training.loss == Loss::CrossEntropy
        {
            return refuse(
                "model.output_activation",
                "cross-entropy puts its softmax on linear scores: leave the field out or use linear",
            );
        }
        if !self.has_embedding() && training.dropout_embedding.is_some_and(|p| p > 0.0) {
            return refuse(
                "training.dropout_embedding",
                "with one-hot and discounted input it would drop the event itself: leave the field out, or use input embedding or shared",
            );
        }
        Ok(())
    }

    fn validate_layers(&self) -> Result<()> {
        if self.layers.is_empty() {
            return refuse("model.layers", "a network needs at least one recurrent layer, as in [100]");
        }
        for (field, widths) in [("model.layers", &self.layers), ("model.feed_forward", &self.feed_forward)] {
            for &width in widths {
                width_in_range(field, width)?;
            }
        }
        width_in_range("model.embedding_size", self.embedding_size)?;
        check(
            self.discount > 0.0 && self.discount <= 1.0,
            "model.discount",
            self.discount,
            "above 0 and at most 1",
        )?;
        if self.input_to_deeper_layers && self.layers.len() == 1 {
            return refuse(
                "model.input_to_deeper_layers",
                "a network with one recurrent layer has no deeper one: use false, or two or more layers",
            );
        }
        if self.input_to_output && self.input != Input::Shared {
            return refuse(
                "model.input_to_output",
                "only the vectors of shared input can be added to the output: use input shared, or false",
            );
        }
        if !self.attributes.is_empty() && self.input != Input::Shared {
            return refuse(
                "model.attributes",
                "only the vectors of shared input can be made of attributes: use input shared, or []",
            );
        }
        if !self.attributes.is_empty() && self.cosine_scale.is_some() {
            return refuse(
                "model.attributes",
                "a sum of vectors has no length that model.cosine_scale could keep at 1: leave that field out, or use []",
            );
        }
        if let Some(scale) = self.cosine_scale {
            check(scale > 0.0 && scale <= 1000.0, "model.cosine_scale", scale, "above 0 and at most 1000")?;
        }
        if !matches!(self.hidden_activation, Activation::Tanh | Activation::Relu | Activation::Linear) {
            return refuse(
                "model.hidden_activation",
                format!("is {}: use tanh, relu or linear", self.hidden_activation),
            );
        }
        if let Some(activation) = self.output_activation {
            let usable = match activation {
                Activation::Linear | Activation::Tanh | Activation::Relu => true,
                Activation::Elu { alpha } => positive(alpha),
                Activation::Leaky { alpha } => (0.0..1.0).contains(&alpha),
                Activation::Selu { lambda, alpha } => positive(lambda) && positive(alpha),
            };
            check(
                usable,
                "model.output_activation",
                activation,
                "elu-A and selu-L-A above 0, or leaky-A from 0 to below 1",
            )?;
        }
        Ok(())
    }
}

impl TrainingConfig {
    /// The strength of the logQ correction in use. If the field is absent, 1 for cross-entropy (Hidasi and Czapp,
    /// RecSys 2023) and 0 for other losses.
    pub fn logq_for_loss(&self) -> f32 {
        self.logq.unwrap_or(if self.loss == Loss::CrossEntropy { 1.0 } else { 0.0 })
    }

    /// The embedding dropout in use. If the field is absent, 0.1 for `embedding` and `shared` input (Hidasi and Czapp,
    /// RecSys 2023, for RSC15), else 0.
    pub fn dropout_embedding_for(&self, network: &NetworkConfig) -> f32 {
        self.dropout_embedding.unwrap_or(if network.has_embedding() { 0.1 } else { 0.0 })
    }

    /// The ε in use. If the field is absent, 1e-8 for Adam and 1e-6 for other optimisers.
    pub fn epsilon_for_optimizer(&self) -> f32 {
        self.epsilon.unwrap_or(if self.optimizer == Optimizer::Adam { 1e-8 } else { 1e-6 })
    }

    /// The optimiser with its hyper-parameters, as the kernels take them.
    pub(crate) fn update_rule(&self) -> UpdateRule {
        UpdateRule {
            optimizer: self.optimizer,
            learning_rate: self.learning_rate,
            momentum: self.momentum,
            l2: self.l2,
            epsilon: self.epsilon_for_optimizer(),
            rmsprop_decay: self.rmsprop_decay,
            adam_beta1: self.adam_beta1,
            adam_beta2: self.adam_beta2,
        }
    }

    /// This configuration with every absent field that applies to `network`, the loss and the optimiser filled in, and
    /// every field without effect at its default.
    pub fn resolved(&self, network: &NetworkConfig) -> Self {
        let logq = if self.loss == Loss::CrossEntropy { Some(self.logq_for_loss()) } else { self.logq };
        let dropout_embedding = if network.has_embedding() {
            Some(self.dropout_embedding_for(network))
        } else {
            self.dropout_embedding
        };
        let epsilon = (self.optimizer != Optimizer::Sgd).then(|| self.epsilon_for_optimizer());
        let mut resolved = Self { logq, dropout_embedding, epsilon, ..self.clone() };
        let default = Self::default();
        let has_no_effect = |key| idle(key, network, self).is_some();
        if has_no_effect("training.dropout_item") {
            resolved.dropout_item = default.dropout_item;
        }
        if has_no_effect("training.sample_alpha") {
            resolved.sample_alpha = default.sample_alpha;
        }
        if has_no_effect("training.bpr_max_penalty") {
            resolved.bpr_max_penalty = default.bpr_max_penalty;
        }
        if has_no_effect("training.rmsprop_decay") {
            resolved.rmsprop_decay = default.rmsprop_decay;
        }
        if has_no_effect("training.adam_beta1") {
            (resolved.adam_beta1, resolved.adam_beta2) = (default.adam_beta1, default.adam_beta2);
        }
        resolved
    }

    /// Checks this configuration alone; [`NetworkConfig::validate`] checks it together with a network.
    ///
    /// # Errors
    /// [`Error::Config`] with the field's name in experiment files, the reason, and what to use instead.
    pub fn validate(&self) -> Result<()> {
        if self.epochs == 0 {
            return refuse("training.epochs", "nothing would be learnt in 0 epochs: use 1 or more");
        }
        self.validate_batch()?;
        self.validate_loss()?;
        share("training.dropout_embedding", self.dropout_embedding.unwrap_or(0.0))?;
        share("training.dropout_item", self.dropout_item)?;
        share("training.dropout_hidden", self.dropout_hidden)?;
        check(
            positive(self.learning_rate),
            "training.learning_rate",
            self.learning_rate,
            "a finite number above 0",
        )?;
        share("training.momentum", self.momentum)?;
        check(
            self.epsilon.is_none_or(positive),
            "training.epsilon",
            self.epsilon.unwrap_or(0.0),
            "a finite number above 0",
        )?;
        share("training.rmsprop_decay", self.rmsprop_decay)?;
        share("training.adam_beta1", self.adam_beta1)?;
        share("training.adam_beta2", self.adam_beta2)?;
        not_negative("training.l2", self.l2.into())?;
        not_negative("training.clip_norm", self.clip_norm.into())?;
        if i64::try_from(self.seed).is_err() {
            return refuse(
                "training.seed",
                format!("is {}: use at most {}, TOML's largest integer", self.seed, i64::MAX),
            );
        }
        Ok(())
    }

    /// This configuration with mini-batches of no more rows than there are sessions of two or more events to fill them.
    ///
    /// # Errors
    /// [`Error::Config`] if nothing can be learnt: there is no such session, or only one and no additional samples, so
    /// that there are no negatives.
    pub fn for_sessions(&self, sessions: SessionCounts) -> Result<Self> {
        let usable = usize::try_from(sessions.with_pairs).unwrap_or(usize::MAX).min(self.batch_size);
        if usable == 0 {
            return refuse("training.batch_size", "there is no session of two or more events to learn from");
        }
        let fitting = Self { batch_size: usable, ..self.clone() };
        fitting.validate_batch()?;
        Ok(fitting)
    }

    fn validate_batch(&self) -> Result<()> {
        match (self.batch_size, self.samples) {
            (0, _) => {
                return refuse(
                    "training.batch_size",
                    "a mini-batch needs at least one session: use 32, or another number above 0",
                );
            }
            (1, 0) => {
                return refuse(
                    "training.batch_size",
                    "one session without additional samples has no negatives: use a batch_size of 2 or more, or samples above 0",
                );
            }
            (batch, samples) => {
                let scores = batch.checked_add(samples).and_then(|columns| columns.checked_mul(batch));
                if scores.is_none_or(|scores| scores > MAX_SCORES) {
                    let field = if samples > batch { "training.samples" } else { "training.batch_size" };
                    return refuse(
                        field,
                        format!(
                            "batch_size {batch} with {samples} samples needs more than {MAX_SCORES} scores a step: use fewer"
                        ),
                    );
                }
            }
        }
        not_negative("training.sample_alpha", self.sample_alpha)
    }

    fn validate_loss(&self) -> Result<()> {
        if let Some(logq) = self.logq {
            check((0.0..=1.0).contains(&logq), "training.logq", logq, "from 0 (off) to 1")?;
            if logq > 0.0 && self.loss != Loss::CrossEntropy {
                return refuse(
                    "training.logq",
                    "the logQ correction belongs to cross-entropy: leave the field out or use 0 with other losses",
                );
            }
        }
        not_negative("training.bpr_max_penalty", self.bpr_max_penalty.into())
    }
}

fn refuse<T>(field: &str, reason: impl Into<String>) -> Result<T> {
    Err(Error::config(field, reason))
}

fn check(usable: bool, field: &str, value: impl std::fmt::Display, range: &str) -> Result<()> {
    if usable { Ok(()) } else { refuse(field, format!("is {value}: use {range}")) }
}

fn share(field: &str, value: f32) -> Result<()> {
    check((0.0..1.0).contains(&value), field, value, "a number from 0 to below 1")
}

fn not_negative(field: &str, value: f64) -> Result<()> {
    check(value >= 0.0 && value.is_finite(), field, value, "a finite number, 0 or above")
}

fn positive(value: f32) -> bool {
    value > 0.0 && value.is_finite()
}

fn width_in_range(field: &str, width: usize) -> Result<()> {
    check((1..=MAX_WIDTH).contains(&width), field, width, &format!("1 to {MAX_WIDTH} units"))
}

#[cfg(test)]
mod tests;

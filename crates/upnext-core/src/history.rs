//! How a training goes: what an observer is told while it runs, and what is kept of it afterwards.

use crate::data::Dataset;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::Path;

/// What an observer of a training is told. It answers whether training goes on.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FitEvent<'a> {
    /// Training begins, or goes on, after this many epochs.
    Begin {
        /// Epochs that are done.
        epochs_done: usize,
        /// What computes the steps, such as an instruction set.
        backend: &'a str,
    },
    /// A mini-batch has been learnt.
    MiniBatch(&'a EpochProgress),
    /// An epoch is done and validated, and saved where checkpoints are kept.
    Epoch(&'a EpochSummary),
    /// A checkpoint has been saved within an epoch.
    Checkpoint(&'a Path),
}

/// Told of every [`FitEvent`]; answers whether training goes on.
pub type Observer<'a> = dyn FnMut(FitEvent) -> ControlFlow<()> + 'a;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// All epochs are done, or the model has none.
    Complete,
    /// Validation has not improved for `training.patience` epochs.
    Early,
    /// The observer asked to stop.
    Interrupted,
    /// There was nothing to resume: the saved model is complete.
    Already,
}

/// What an epoch has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EpochProgress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Mini-batches learnt from.
    pub mini_batches: u64,
    /// Training pairs learnt from.
    pub pairs: u64,
    /// Pairs left out because a single row without additional samples has no negatives.
    pub pairs_left_out: u64,
    /// Pairs of the whole epoch.
    pub pairs_in_epoch: u64,
    /// Mean loss of a pair.
    pub loss: f64,
    /// Seconds spent on the epoch.
    pub seconds: f64,
}

impl EpochProgress {
    /// Mini-batches a second.
    pub fn mini_batches_per_second(&self) -> f64 {
        self.mini_batches as f64 / self.seconds.max(1e-9)
    }

    /// Events a second: pairs learnt from.
    pub fn events_per_second(&self) -> f64 {
        self.pairs as f64 / self.seconds.max(1e-9)
    }
}

/// How a training went. The seed is in the experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingSummary {
    /// The epochs so far, in order; none for models that only count.
    pub epochs: Vec<EpochSummary>,
    /// The epoch, from 1, whose weights the model has, where validation chose it; absent: the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<usize>,
    /// Whether training came to its end; `false` in a checkpoint.
    pub finished: bool,
    /// Number of training sessions.
    pub sessions: u64,
    /// Number of training events.
    pub events: u64,
    /// Training pairs of an epoch that were left out because they had no negatives.
    pub pairs_left_out: u64,
    /// The instruction set of the training, such as "avx2": another one gives slightly different numbers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instruction_set: String,
    /// When the model was saved (RFC 3339, UTC); absent where the same training shall give the same bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
}

/// One epoch of a training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EpochSummary {
    /// From 1.
    pub epoch: usize,
    /// Mean loss of the mini-batches.
    pub loss: f64,
    /// Duration in seconds, without validation.
    pub seconds: f64,
    /// Number of mini-batches.
    pub mini_batches: u64,
    /// Number of training pairs.
    pub pairs: u64,
    /// The validation after this epoch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<ValidationSummary>,
}

/// Metrics on the validation part, from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ValidationSummary {
    /// The cut-off k.
    pub cutoff: usize,
    /// Recall@k.
    pub recall: f64,
    /// MRR@k.
    pub mrr: f64,
}

impl TrainingSummary {
    /// Notes the present time as that of the model's creation.
    pub fn stamp(&mut self) {
        self.created = Some(format!("{:.0}", jiff::Timestamp::now()));
    }
}

impl TrainingSummary {
    /// The summary of a training on `data` before its first epoch.
    pub(crate) fn of(data: &Dataset) -> Self {
        Self {
            sessions: data.sessions.len() as u64,
            events: data.sessions.num_events() as u64,
            ..Self::default()
        }
    }

    /// The epoch with the largest validation MRR, the first of equals; `None` without validation.
    pub(crate) fn best_by_validation(&self) -> Option<usize> {
        let mut best: Option<(f64, usize)> = None;
        for epoch in &self.epochs {
            if let Some(validation) = epoch.validation
                && best.is_none_or(|(mrr, _)| validation.mrr > mrr)
            {
                best = Some((validation.mrr, epoch.epoch));
            }
        }
        best.map(|(_, epoch)| epoch)
    }

    /// Whether validation has not improved for `patience` epochs; never with 0.
    pub(crate) fn is_patience_over(&self, patience: usize) -> bool {
        match (self.epochs.last(), self.best_by_validation()) {
            (Some(last), Some(best)) => patience > 0 && last.epoch >= best + patience,
            _ => false,
        }
    }
}

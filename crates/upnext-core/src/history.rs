//! The progress of a training: events for an observer while it runs, and the record that is saved with the model.

use crate::data::Dataset;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;
use std::path::Path;

/// An event of a training, passed to its [`Observer`].
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum FitEvent<'a> {
    /// Training begins, or resumes.
    Begin {
        /// Number of epochs of the training.
        epochs: usize,
        /// Number of epochs done before.
        epochs_done: usize,
        /// The name of the backend, such as its instruction set.
        backend: &'a str,
        /// Bytes of memory that the training needs besides its data, an estimate that is not exceeded.
        memory_bytes: u64,
    },
    /// There are fewer sessions of two or more events than a mini-batch has rows, so that it is smaller.
    SmallerBatch {
        /// The rows that the configuration asks for.
        asked: usize,
        /// The rows that it has.
        rows: usize,
    },
    /// A mini-batch has been trained on.
    MiniBatch(&'a EpochProgress),
    /// Pairs of a factor model have been drawn, which has no mini-batches.
    Draws {
        /// Number of draws so far.
        done: u64,
        /// Number of draws of all epochs.
        of: u64,
    },
    /// An epoch has been trained and validated, and its checkpoint saved if the training has checkpoints.
    Epoch(&'a EpochSummary),
    /// A checkpoint has been saved within an epoch.
    Checkpoint(&'a Path),
    /// Validation has chosen the number of epochs, and a new model will be trained on all of the data.
    Refit(&'a Selection),
    /// The training of a member of a model begins.
    Member {
        /// The member's name.
        name: &'a str,
        /// The number of this training, from 1.
        number: usize,
        /// Number of trainings of all members.
        of: usize,
        /// Number of sessions to learn from.
        sessions: usize,
    },
    /// A trained member lists its best items for sessions that it has not learnt from, in groups.
    Listing {
        /// Number of groups done.
        done: usize,
        /// Number of groups.
        of: usize,
    },
    /// A member of a model is left out of it.
    LeftOut {
        /// The member's name.
        name: &'a str,
        /// Why.
        reason: &'a str,
    },
}

/// A callback for every [`FitEvent`]; training stops if it returns [`ControlFlow::Break`].
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
    AlreadyComplete,
}

/// The progress within an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct EpochProgress {
    /// The epoch, from 1.
    pub epoch: usize,
    /// Number of mini-batches trained on so far.
    pub mini_batches: u64,
    /// Number of pairs trained on so far.
    pub pairs: u64,
    /// Pairs left out because a single row without additional samples has no negatives.
    pub pairs_left_out: u64,
    /// Number of pairs in the whole epoch.
    pub pairs_in_epoch: u64,
    /// Mean loss of a pair.
    pub loss: f64,
    /// Seconds spent on the epoch.
    pub seconds: f64,
}

impl EpochProgress {
    /// Mini-batches per second.
    pub fn mini_batches_per_second(&self) -> f64 {
        self.mini_batches as f64 / self.seconds.max(1e-9)
    }

    /// Events per second, counted as trained pairs.
    pub fn events_per_second(&self) -> f64 {
        self.pairs as f64 / self.seconds.max(1e-9)
    }
}

/// The record of a training, which is saved with the model. The seed is in the experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TrainingSummary {
    /// The epochs so far, in order; empty for kinds that are not trained in epochs.
    pub epochs: Vec<EpochSummary>,
    /// The epoch, from 1, whose weights the model has, if validation chose it; absent: the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_epoch: Option<usize>,
    /// The validated training that chose the number of epochs, if the model was trained again after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Whether training is complete; `false` in a checkpoint.
    pub finished: bool,
    /// Number of training sessions.
    pub sessions: u64,
    /// Number of training events.
    pub events: u64,
    /// Training pairs of an epoch that were left out because they had no negatives.
    pub pairs_left_out: u64,
    /// The instruction set of the training, such as "avx2"; results differ slightly between instruction sets.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub instruction_set: String,
    /// When the model was saved (RFC 3339, UTC); absent if the same training must give the same bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The trainings of the model's members by name. They are saved with the members.
    #[serde(skip)]
    pub members: Vec<(String, TrainingSummary)>,
}

/// A training that validation judged, and that chose for how many epochs the model was trained on all of the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Selection {
    /// The validated epochs, in order.
    pub epochs: Vec<EpochSummary>,
    /// The epoch, from 1, with the largest validation MRR.
    pub best_epoch: usize,
    /// Number of sessions that these epochs learnt from.
    pub sessions: u64,
    /// Number of events that these epochs learnt from.
    pub events: u64,
}

/// One epoch of a training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct EpochSummary {
    /// The epoch, from 1.
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
    /// The training of the member with this name.
    pub(crate) fn member(&self, name: &str) -> Option<&Self> {
        self.members.iter().find(|(other, _)| other == name).map(|(_, training)| training)
    }

    /// Sets [`created`](Self::created) to the current time.
    pub fn stamp(&mut self) {
        self.created = Some(format!("{:.0}", jiff::Timestamp::now()));
    }

    /// The epochs that were validated, if any were: those of [`selection`](Self::selection), else
    /// [`epochs`](Self::epochs).
    pub fn validated_epochs(&self) -> &[EpochSummary] {
        self.selection.as_ref().map_or(&self.epochs, |selection| &selection.epochs)
    }

    /// Seconds of all epochs, those of [`selection`](Self::selection) and of members included.
    pub fn seconds(&self) -> f64 {
        let selection = self.selection.iter().flat_map(|selection| &selection.epochs);
        let own: f64 = selection.chain(&self.epochs).map(|epoch| epoch.seconds).sum();
        own + self.members.iter().map(|(_, member)| member.seconds()).sum::<f64>()
    }

    /// The summary of a training on `data` before its first epoch.
    pub(crate) fn of(data: &Dataset) -> Self {
        let (sessions, events) = data.size();
        Self { sessions, events, ..Self::default() }
    }

    /// The epoch with the largest validation MRR, the first of equals; `None` without validation.
    pub(crate) fn best_by_validation(&self) -> Option<usize> {
        best_of(&self.epochs)
    }

    /// Whether validation has not improved for `patience` epochs; `false` if `patience` is 0.
    pub(crate) fn is_patience_over(&self, patience: usize) -> bool {
        let epochs = self.validated_epochs();
        match (epochs.last(), best_of(epochs)) {
            (Some(last), Some(best)) => patience > 0 && last.epoch >= best + patience,
            _ => false,
        }
    }
}

impl Selection {
    /// The selection that a finished and validated training makes.
    pub(crate) fn of(summary: &TrainingSummary) -> Self {
        let TrainingSummary { epochs, sessions, events, .. } = summary.clone();
        let best_epoch = best_of(&epochs).unwrap_or(epochs.len());
        Self { epochs, best_epoch, sessions, events }
    }
}

/// The epoch with the largest validation MRR, the first of equals.
fn best_of(epochs: &[EpochSummary]) -> Option<usize> {
    let mut best: Option<(f64, usize)> = None;
    for epoch in epochs {
        if let Some(validation) = epoch.validation
            && best.is_none_or(|(mrr, _)| validation.mrr > mrr)
        {
            best = Some((validation.mrr, epoch.epoch));
        }
    }
    best.map(|(_, epoch)| epoch)
}

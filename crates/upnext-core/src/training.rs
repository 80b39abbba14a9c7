//! Training on disk: checkpoints while a model is fitted, resuming, and the saved model at the end.
//!
//! It runs the same loop as [`fit`](crate::fit::fit()). While a network trains for the folder `OUT`, its checkpoint is
//! the folder `OUT.checkpoint`, and the best model by validation `OUT.best`; both are models that every command can
//! read. `OUT` itself appears, or is replaced, when training is done, and the other two are removed. A finished model
//! under one of these names is never touched.

mod compare;
mod folders;

use crate::artifact::{Artifact, Manifest};
use crate::data::{Dataset, Sessions};
use crate::experiment::Experiment;
use crate::history::{Ended, FitEvent, TrainingSummary};
use crate::kind::{Fit, Start};
use crate::{Error, Result, models};
use folders::{Folders, beside, check_unfinished};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub use folders::checkpoint_of;

/// The inputs of a training.
#[derive(Debug)]
pub struct TrainingPlan<'a> {
    /// The training data.
    pub data: Arc<Dataset>,
    /// Sessions on which every epoch is validated; they must not be part of `data`.
    pub validation: Option<&'a Sessions>,
    /// The configuration of the model, the training and the evaluation.
    pub experiment: &'a Experiment,
    /// Number of threads, at least 1; the result does not depend on it.
    pub threads: usize,
    /// The folder in which the model is saved.
    pub out: &'a Path,
    /// The model to start from, whose items must be the first of `data`'s ([`Dataset::extending`]).
    pub init: Option<Artifact>,
    /// Whether to resume an interrupted training of the same plan; if there is none, a new one begins.
    pub resume: bool,
    /// The time between checkpoints within an epoch; every epoch ends with a checkpoint, too.
    pub checkpoint_every: Duration,
    /// Whether the training state (the optimiser state) is saved with the model, for further training.
    pub keep_training_state: bool,
}

/// The result of a training.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainingOutcome {
    /// How the training ended.
    pub ended: Ended,
    /// The record of the training.
    pub summary: TrainingSummary,
    /// The checkpoint's folder; it exists only after an interruption.
    pub checkpoint: PathBuf,
    /// Whether the optimiser state of the initial model was used; `None` without an initial model, and for a resumed
    /// training.
    pub optimizer_state_kept: Option<bool>,
}

/// Trains and saves a model. The observer is called for every event, and can stop the training after any mini-batch.
///
/// # Errors
/// [`Error::Config`] for an invalid plan, and for one that does not match the checkpoint to resume; [`Error::Memory`]
/// for a network that does not fit into memory; [`Error::Diverged`], which keeps the last good checkpoint; errors of
/// reading and writing.
///
/// # Panics
/// If `plan.threads` is 0.
pub fn train(
    mut plan: TrainingPlan,
    observe: &mut dyn FnMut(FitEvent) -> ControlFlow<()>,
) -> Result<TrainingOutcome> {
    plan.experiment.validate()?;
    if plan.experiment.training.patience > 0 && plan.validation.is_none() {
        return Err(Error::config("training.patience", "early stopping needs sessions to validate on"));
    }
    Artifact::check_target(plan.out)?;
    // Taken out of the plan, which lives as long as the training, so that the weights are not in memory twice.
    let init = plan.init.take();
    if let Some(init) = &init {
        init.manifest.experiment.check_same_model(plan.experiment)?;
        compare::can_train_further(&plan)?;
    }
    // Checkpoints do without: whoever resumes has the same data.
    let item_table = plan.data.item_table.clone().or_else(|| init.as_ref()?.item_table.clone());
    let (checkpoint, best) = (checkpoint_of(plan.out), beside(plan.out, "best"));
    let mut summary = TrainingSummary::of(&plan.data);
    let mut start = init.map_or(Start::New, |init| {
        let (init, arrays) = init.take_arrays();
        let items = usize::try_from(init.manifest.items).unwrap_or(usize::MAX);
        Start::From { arrays, state: init.training, items }
    });
    // Only networks have epochs, and therefore checkpoints.
    if plan.experiment.model.network().is_some() {
        match resumed(&plan, &checkpoint, &best)? {
            Resumed::Nothing => {}
            Resumed::From(artifact) => {
                compare::same_support(&artifact, &plan.data)?;
                let (artifact, arrays) = artifact.take_arrays();
                summary = artifact.manifest.training;
                start = Start::Resume { arrays, state: artifact.training };
            }
            Resumed::Complete(summary) => {
                folders::clear(&checkpoint, &best, &summary)?;
                let ended = Ended::AlreadyComplete;
                return Ok(TrainingOutcome { ended, summary, checkpoint, optimizer_state_kept: None });
            }
        }
    }
    let mut checkpoints = Folders::new(&plan, checkpoint.clone(), best.clone());
    let mut fit = Fit {
        start,
        summary,
        keeps_state: plan.keep_training_state,
        ..Fit::new(
            &plan.data,
            plan.experiment.tables(),
            plan.validation,
            plan.threads,
            observe,
            &mut checkpoints,
        )
    };
    let model = models::fit(&plan.experiment.model, &mut fit)?;
    let Fit { summary, ended, state, optimizer_state_kept, .. } = fit;
    if ended != Ended::Interrupted {
        let arrays = model.arrays();
        drop(model);
        let artifact = checkpoints.artifact(&summary, arrays, state);
        Artifact { item_table, ..artifact }.save(plan.out)?;
        folders::clear(&checkpoint, &best, &summary)?;
    }
    Ok(TrainingOutcome { ended, summary, checkpoint, optimizer_state_kept })
}

/// The state from which a training starts or continues.
enum Resumed {
    /// No saved state: the training begins.
    Nothing,
    /// A checkpoint, or a finished model that needs more epochs.
    From(Box<Artifact>),
    /// A model with all epochs of the plan.
    Complete(TrainingSummary),
}

/// Finds the state from which the plan starts or continues.
fn resumed(plan: &TrainingPlan, checkpoint: &Path, best: &Path) -> Result<Resumed> {
    check_unfinished(checkpoint)?;
    if plan.validation.is_some() {
        check_unfinished(best)?;
    }
    if Artifact::exists(checkpoint) {
        if !plan.resume {
            let reason = format!(
                "an interrupted training waits in {}: go on with it by --resume, or remove that folder to begin anew",
                checkpoint.display()
            );
            return Err(Error::config("resume", reason));
        }
        let saved = Artifact::load(checkpoint)?;
        compare::same_training(&saved.manifest, plan)?;
        return Ok(Resumed::From(Box::new(saved)));
    }
    if !plan.resume || !Artifact::exists(plan.out) {
        return Ok(Resumed::Nothing);
    }
    let manifest = Manifest::load(plan.out)?;
    compare::same_training(&manifest, plan)?;
    let (training, done) = (&plan.experiment.training, &manifest.training);
    if done.epochs.len() >= training.epochs || done.is_patience_over(training.patience) {
        return Ok(Resumed::Complete(manifest.training));
    }
    let mut saved = Artifact::load(plan.out)?;
    if saved.training.is_some() && saved.manifest.training.best_epoch.is_some() {
        // The saved model is the best so far, and may remain the best.
        saved.manifest.training.finished = false;
        saved.save(best)?;
    }
    Ok(Resumed::From(Box::new(saved)))
}

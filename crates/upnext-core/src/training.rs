//! Training on disk: checkpoints while a model is fitted, resuming, and the saved model at the end.
//!
//! It runs the same loop as [`fit`](crate::fit::fit()). While a network trains for the folder `OUT`, its checkpoint is
//! the folder `OUT.checkpoint`, and the best model by validation `OUT.best`, if it will be the result; both are models
//! that every command can read. `OUT` itself appears, or is replaced, when training is done, and the other two are removed. A finished model
//! under one of these names is never touched. The networks of a model that is made of others are trained in the folder
//! `OUT.members` likewise.

mod compare;
mod folders;

use crate::artifact::{Artifact, Manifest};
use crate::data::{Dataset, ItemTable, Sessions};
use crate::experiment::Experiment;
use crate::history::{Ended, FitEvent, TrainingSummary};
use crate::kind::Start;
use crate::stages::{Stages, Trained, check_validation};
use crate::{Error, Result};
use folders::{Folders, check_unfinished};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use folders::{MemberFolders, beside, clear_trainings};
pub use folders::{checkpoint_of, members_of};

/// The inputs of a training.
#[derive(Debug)]
pub struct TrainingPlan<'a> {
    /// The training data.
    pub data: Arc<Dataset>,
    /// Sessions on which every epoch is validated; they must not be part of `data`.
    pub validation: Option<&'a Sessions>,
    /// All of the data, the validation's included: after the validation, a new model is trained on it for as many epochs as
    /// were best. `None`: the weights of the best epoch are kept, which have not learnt from the validation's sessions.
    pub refit: Option<Arc<Dataset>>,
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
    check_validation(plan.experiment, plan.validation.is_some(), plan.refit.is_some())?;
    Artifact::check_target(plan.out)?;
    // Taken out of the plan, which lives as long as the training, so that the weights are not in memory twice.
    let init = plan.init.take();
    if let Some(init) = &init {
        init.manifest.experiment.check_same_model(plan.experiment)?;
        compare::can_train_further(&plan)?;
    }
    // Checkpoints do without: whoever resumes has the same data.
    let item_table = plan.all_data().item_table.clone().or_else(|| init.as_ref()?.item_table.clone());
    let initial = init.map_or(Start::New, |init| {
        let (init, arrays) = init.take_arrays();
        let items = usize::try_from(init.manifest.items).unwrap_or(usize::MAX);
        Start::From { arrays, state: init.training, items, item_table: init.item_table }
    });
    let members = members_of(plan.out);
    if !plan.resume && std::fs::symlink_metadata(&members).is_ok() {
        return Err(is_waiting(&members));
    }
    let outcome = run(&plan, initial, item_table, observe)?;
    if !plan.experiment.members().is_empty() {
        clear_trainings(&members)?;
    }
    Ok(outcome)
}

/// Trains and saves a model of a checked plan, which starts from `initial`.
fn run(
    plan: &TrainingPlan,
    initial: Start,
    item_table: Option<Arc<ItemTable>>,
    observe: &mut dyn FnMut(FitEvent) -> ControlFlow<()>,
) -> Result<TrainingOutcome> {
    let (checkpoint, best) = (checkpoint_of(plan.out), beside(plan.out, "best"));
    let mut resumed = None;
    // Only networks have epochs, and therefore checkpoints.
    if plan.experiment.model.network().is_some() {
        match saved_state(plan, &checkpoint, &best)? {
            Saved::Nothing => {}
            Saved::State(artifact) => {
                compare::same_support(&artifact, plan)?;
                let (artifact, arrays) = artifact.take_arrays();
                let start = Start::Resume { arrays, state: artifact.training };
                resumed = Some((start, artifact.manifest.training));
            }
            Saved::Complete(summary) => {
                folders::clear(&checkpoint, &best, &summary)?;
                let ended = Ended::AlreadyComplete;
                return Ok(TrainingOutcome { ended, summary, checkpoint, optimizer_state_kept: None });
            }
        }
    }
    let mut checkpoints = Folders::new(plan, checkpoint.clone(), best.clone());
    let stages = Stages {
        experiment: plan.experiment,
        data: Arc::clone(&plan.data),
        validation: plan.validation,
        refit: plan.refit.clone(),
        threads: plan.threads,
        keeps_state: plan.keep_training_state,
        initial,
        resumed,
    };
    let Trained { model, summary, ended, state, optimizer_state_kept, .. } =
        stages.run(observe, &mut checkpoints)?;
    if ended != Ended::Interrupted {
        let arrays = model.arrays();
        drop(model);
        let artifact = checkpoints.artifact(&summary, arrays, state);
        Artifact { item_table, ..artifact }.save(plan.out)?;
        folders::clear(&checkpoint, &best, &summary)?;
    }
    Ok(TrainingOutcome { ended, summary, checkpoint, optimizer_state_kept })
}

impl TrainingPlan<'_> {
    /// The data that the model has learnt from at the end.
    fn all_data(&self) -> &Dataset {
        self.refit.as_deref().unwrap_or(&self.data)
    }
}

fn is_waiting(folder: &Path) -> Error {
    let reason = format!(
        "an interrupted training waits in {}: go on with it by --resume, or remove that folder to begin anew",
        folder.display()
    );
    Error::config("resume", reason)
}

/// The state from which a training starts or continues.
enum Saved {
    /// No saved state: the training begins.
    Nothing,
    /// A checkpoint, or a finished model that needs more epochs.
    State(Box<Artifact>),
    /// A model with all epochs of the plan.
    Complete(TrainingSummary),
}

/// Finds the state from which the plan starts or continues.
fn saved_state(plan: &TrainingPlan, checkpoint: &Path, best: &Path) -> Result<Saved> {
    check_unfinished(checkpoint)?;
    if plan.validation.is_some() && plan.refit.is_none() {
        check_unfinished(best)?;
    }
    if Artifact::exists(checkpoint) {
        if !plan.resume {
            return Err(is_waiting(checkpoint));
        }
        let saved = Artifact::load(checkpoint)?;
        compare::same_training(&saved.manifest, plan)?;
        return Ok(Saved::State(Box::new(saved)));
    }
    if !plan.resume || !Artifact::exists(plan.out) {
        return Ok(Saved::Nothing);
    }
    let manifest = Manifest::load(plan.out)?;
    compare::same_training(&manifest, plan)?;
    let (training, done) = (&plan.experiment.training, &manifest.training);
    let validated = done.validated_epochs().len();
    if validated >= training.epochs || done.is_patience_over(training.patience) {
        return Ok(Saved::Complete(manifest.training));
    }
    if done.selection.is_some() {
        let reason = format!(
            "is {}, but the model has been trained again after a validation of {validated} epochs, whose state is gone: begin another training in another folder",
            training.epochs
        );
        return Err(Error::config("training.epochs", reason));
    }
    let mut saved = Artifact::load(plan.out)?;
    if saved.training.is_some() && saved.manifest.training.best_epoch.is_some() {
        // The saved model is the best so far, and may remain the best.
        saved.manifest.training.finished = false;
        saved.save(best)?;
    }
    Ok(Saved::State(Box::new(saved)))
}

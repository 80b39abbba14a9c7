//! Training with folders: checkpoints while a model is fitted, resuming, and the saved model at the end.
//!
//! It runs the same loop as [`fit`](crate::fit::fit()). While a network trains for the folder `OUT`, its checkpoint is the
//! folder `OUT.checkpoint`, and the best model by validation `OUT.best`; both are models that every command can read.
//! `OUT` itself appears, or is replaced, when training is done, and the other two are removed. A finished model that
//! somebody keeps under one of these names is not touched.

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

/// A training to be run.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What to learn from.
    pub data: Arc<Dataset>,
    /// Sessions to judge every epoch by; they must not be part of `data`.
    pub validation: Option<&'a Sessions>,
    /// The model, its training, and how validation ranks.
    pub experiment: &'a Experiment,
    /// Threads, at least 1; the results do not depend on it.
    pub threads: usize,
    /// Where the model goes.
    pub out: &'a Path,
    /// Start from this model, whose items are the first of `data`'s ([`Dataset::extending`]).
    pub init: Option<Artifact>,
    /// Go on with a training of the same plan that was interrupted; where there is none, begin.
    pub resume: bool,
    /// Save a checkpoint when this much time has passed in an epoch; each epoch ends with one anyway.
    pub checkpoint_every: Duration,
    /// Whether the model keeps what a further training needs (the optimiser's state).
    pub keep_training_state: bool,
}

/// What a training has brought about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// How it went.
    pub summary: TrainingSummary,
    /// The checkpoint's folder; it exists only after an interruption.
    pub checkpoint: PathBuf,
    /// Whether the optimiser's state was taken over from the model that training started from; `None` if it started
    /// from none, or went on with what it had.
    pub optimizer_state_kept: Option<bool>,
}

/// Trains and saves a model. The observer is told what happens, and can ask to stop after any mini-batch.
///
/// # Errors
/// [`Error::Config`] for a plan that makes no sense, or does not go with the checkpoint that is to be resumed;
/// [`Error::Memory`] for a network that does not fit into memory; [`Error::Diverged`] with the last good checkpoint kept;
/// errors of reading and writing.
///
/// # Panics
/// If `plan.threads` is 0.
pub fn train(mut plan: Plan, observe: &mut dyn FnMut(FitEvent) -> ControlFlow<()>) -> Result<Outcome> {
    plan.experiment.validate()?;
    if plan.experiment.training.patience > 0 && plan.validation.is_none() {
        return Err(Error::config("training.patience", "early stopping needs sessions to validate on"));
    }
    Artifact::check_target(plan.out)?;
    // Apart from the plan, which lives as long as the training: the weights are not to be in memory twice.
    let init = plan.init.take();
    if let Some(init) = &init {
        init.manifest.experiment.check_same_model(plan.experiment)?;
        compare::learns_on(&plan)?;
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
    // Only a network has epochs, and so checkpoints.
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
                let ended = Ended::Already;
                return Ok(Outcome { ended, summary, checkpoint, optimizer_state_kept: None });
            }
        }
    }
    let mut keeper = Folders::new(&plan, checkpoint.clone(), best.clone());
    let mut fit = Fit {
        start,
        summary,
        keeps_state: plan.keep_training_state,
        ..Fit::new(&plan.data, plan.experiment.tables(), plan.validation, plan.threads, observe, &mut keeper)
    };
    let model = models::fit(&plan.experiment.model, &mut fit)?;
    let Fit { summary, ended, state, optimizer_state_kept, .. } = fit;
    if ended != Ended::Interrupted {
        let arrays = model.arrays();
        drop(model);
        let artifact = keeper.artifact(&summary, arrays, state);
        Artifact { item_table, ..artifact }.save(plan.out)?;
        folders::clear(&checkpoint, &best, &summary)?;
    }
    Ok(Outcome { ended, summary, checkpoint, optimizer_state_kept })
}

/// What there is to go on with.
enum Resumed {
    /// Nothing: the training begins.
    Nothing,
    /// A checkpoint, or a model that is to have more epochs.
    From(Box<Artifact>),
    /// A model that is complete.
    Complete(TrainingSummary),
}

/// Finds what the plan is to go on with.
fn resumed(plan: &Plan, checkpoint: &Path, best: &Path) -> Result<Resumed> {
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
        // It is the best so far, and no later epoch may be better.
        saved.manifest.training.finished = false;
        saved.save(best)?;
    }
    Ok(Resumed::From(Box::new(saved)))
}

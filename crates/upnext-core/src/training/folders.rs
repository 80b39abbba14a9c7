//! Checkpoints and the best model so far as folders beside the one that the model is trained for.

use super::Plan;
use crate::arrays::{Arrays, TrainingState};
use crate::artifact::{Artifact, Manifest};
use crate::data::Dataset;
use crate::experiment::Experiment;
use crate::history::TrainingSummary;
use crate::kind::{Keeper, Snapshot};
use crate::{Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The folder of the checkpoint while a model is trained for the folder `out`.
pub fn checkpoint_of(out: &Path) -> PathBuf {
    beside(out, "checkpoint")
}

/// The folder `OUT.suffix`.
pub(super) fn beside(out: &Path, suffix: &str) -> PathBuf {
    let mut name = out.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".");
    name.push(suffix);
    out.with_file_name(name)
}

/// The plan's model, still without weights.
pub(super) fn artifact_of(plan: &Plan, summary: &TrainingSummary) -> Artifact {
    Artifact::new(plan.experiment.clone(), plan.data.items.clone(), summary.clone())
}

/// Refuses to use a folder for the training's own purposes where it holds anything but an earlier training's.
pub(super) fn check_unfinished(folder: &Path) -> Result<()> {
    if std::fs::symlink_metadata(folder).is_err() {
        return Ok(());
    }
    Artifact::check_target(folder)?;
    if Manifest::load(folder).is_ok_and(|manifest| manifest.training.finished) {
        let reason = "it is a finished model under the name that this training needs for itself".to_owned();
        return Err(Error::WillNotReplace { path: folder.to_owned(), reason });
    }
    Ok(())
}

/// Removes what only training needed, also where an earlier process was killed while it did so.
pub(super) fn clear(checkpoint: &Path, best: &Path, summary: &TrainingSummary) -> Result<()> {
    // In this order: a checkpoint that is left over can be finished again only with the best model.
    Artifact::remove(checkpoint)?;
    if summary.best_epoch.is_some() { Artifact::remove(best) } else { Ok(()) }
}

/// Keeps the models of a plan's training in folders.
pub(super) struct Folders {
    experiment: Experiment,
    data: Arc<Dataset>,
    keep_training_state: bool,
    checkpoint: PathBuf,
    best: PathBuf,
    checkpoint_every: Duration,
    last: Instant,
}

impl Folders {
    pub(super) fn new(plan: &Plan, checkpoint: PathBuf, best: PathBuf) -> Self {
        Self {
            experiment: plan.experiment.clone(),
            data: Arc::clone(&plan.data),
            keep_training_state: plan.keep_training_state,
            checkpoint,
            best,
            checkpoint_every: plan.checkpoint_every,
            last: Instant::now(),
        }
    }

    fn artifact(&self, model: &mut dyn Snapshot, summary: &TrainingSummary, with_state: bool) -> Artifact {
        let mut artifact = Artifact::new(self.experiment.clone(), self.data.items.clone(), summary.clone());
        Arrays { tensors: artifact.weights, counts: artifact.counts } = model.arrays();
        artifact.training = with_state.then(|| model.state());
        artifact
    }
}

impl Keeper for Folders {
    fn is_checkpoint_due(&mut self) -> bool {
        self.last.elapsed() >= self.checkpoint_every
    }

    fn keep_checkpoint(
        &mut self,
        model: &mut dyn Snapshot,
        summary: &TrainingSummary,
    ) -> Result<Option<&Path>> {
        self.artifact(model, summary, true).save(&self.checkpoint)?;
        self.last = Instant::now();
        Ok(Some(&self.checkpoint))
    }

    fn keep_best(&mut self, model: &mut dyn Snapshot, summary: &TrainingSummary) -> Result<()> {
        self.artifact(model, summary, self.keep_training_state).save(&self.best)
    }

    fn best(&mut self) -> Result<(Arrays, Option<TrainingState>)> {
        let best = Artifact::load(&self.best)?;
        Ok((Arrays { tensors: best.weights, counts: best.counts }, best.training))
    }
}

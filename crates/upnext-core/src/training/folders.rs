//! The folders of the checkpoint and of the best model so far, beside the output folder.

use super::TrainingPlan;
use crate::arrays::{Arrays, TrainingState};
use crate::artifact::{Artifact, Manifest};
use crate::data::Dataset;
use crate::experiment::Experiment;
use crate::history::TrainingSummary;
use crate::kind::{CheckpointStore, Copies, Snapshot};
use crate::{Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The folder of the checkpoint while a model is trained for the folder `out`: its path with `.checkpoint` at the end.
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

/// Checks that a folder is free for a checkpoint: it does not exist, or holds nothing but an unfinished model.
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

/// Removes the folders that only training needed, or what a killed process left of them.
pub(super) fn clear(checkpoint: &Path, best: &Path, summary: &TrainingSummary) -> Result<()> {
    // In this order: a leftover checkpoint can be finished only with the best model.
    Artifact::remove(checkpoint)?;
    if summary.best_epoch.is_some() { Artifact::remove(best) } else { Ok(()) }
}

/// Stores the checkpoint and the best model of a plan's training in folders.
pub(super) struct Folders {
    experiment: Experiment,
    data: Arc<Dataset>,
    keep_training_state: bool,
    checkpoint: PathBuf,
    best: PathBuf,
    keeps_best: bool,
    checkpoint_every: Duration,
    last: Instant,
}

impl Folders {
    pub(super) fn new(plan: &TrainingPlan, checkpoint: PathBuf, best: PathBuf) -> Self {
        Self {
            experiment: plan.experiment.clone(),
            data: Arc::clone(&plan.data),
            keep_training_state: plan.keep_training_state,
            checkpoint,
            best,
            keeps_best: false,
            checkpoint_every: plan.checkpoint_every,
            last: Instant::now(),
        }
    }

    /// The artifact of the plan's model with these arrays and this training state.
    pub(super) fn artifact(
        &self,
        summary: &TrainingSummary,
        arrays: Arrays,
        training: Option<TrainingState>,
    ) -> Artifact {
        let artifact = Artifact::new(self.experiment.clone(), self.data.items.clone(), summary.clone());
        Artifact { training, ..artifact.with_arrays(arrays) }
    }
}

impl CheckpointStore for Folders {
    fn begin_stage(&mut self, data: &Arc<Dataset>, keeps_best: bool) {
        (self.data, self.keeps_best) = (Arc::clone(data), keeps_best);
    }

    fn keeps_best(&self) -> bool {
        self.keeps_best
    }

    fn copies(&self) -> Copies {
        Copies { parameters: true, states: true }
    }

    fn is_checkpoint_due(&mut self) -> bool {
        self.last.elapsed() >= self.checkpoint_every
    }

    fn store_checkpoint(
        &mut self,
        model: &mut dyn Snapshot,
        summary: &TrainingSummary,
    ) -> Result<Option<&Path>> {
        let (arrays, state) = (model.arrays(), model.state());
        self.artifact(summary, arrays, Some(state)).save(&self.checkpoint)?;
        self.last = Instant::now();
        Ok(Some(&self.checkpoint))
    }

    fn store_best(&mut self, model: &mut dyn Snapshot, summary: &TrainingSummary) -> Result<()> {
        let (arrays, state) = (model.arrays(), self.keep_training_state.then(|| model.state()));
        self.artifact(summary, arrays, state).save(&self.best)
    }

    fn best(&mut self) -> Result<(Arrays, Option<TrainingState>)> {
        let (best, arrays) = Artifact::load(&self.best)?.take_arrays();
        Ok((arrays, best.training))
    }
}

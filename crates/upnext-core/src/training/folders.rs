//! The folders of the checkpoint and of the best model so far, beside the output folder.

use super::TrainingPlan;
use crate::arrays::{Arrays, TrainingState};
use crate::artifact::{Artifact, Manifest};
use crate::data::Dataset;
use crate::experiment::Experiment;
use crate::history::{Ended, Observer, TrainingSummary};
use crate::kind::{CheckpointStore, Copies, MemberPlan, Snapshot, TrainedMember};
use crate::replace::names_in;
use crate::stages::train_in_memory;
use crate::{Error, Result, models};
use std::ffi::OsString;
use std::fs::create_dir_all;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The folder of the checkpoint while a model is trained for the folder `out`: its path with `.checkpoint` at the end.
pub fn checkpoint_of(out: &Path) -> PathBuf {
    beside(out, "checkpoint")
}

/// The folder in which the networks of a model that is made of others are trained, while that is trained for the folder
/// `out`: its path with `.members` at the end.
pub fn members_of(out: &Path) -> PathBuf {
    beside(out, "members")
}

/// The folder `OUT.suffix`.
pub(crate) fn beside(out: &Path, suffix: &str) -> PathBuf {
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

/// Removes the trainings in a folder of [`MemberFolders`], and the folder if nothing else is in it.
pub(crate) fn clear_trainings(folder: &Path) -> Result<()> {
    for name in names_in(folder)?.unwrap_or_default() {
        let path = folder.join(name);
        if Artifact::exists(&path) {
            Artifact::remove(&path)?;
        }
    }
    // What somebody else has put there stays.
    _ = std::fs::remove_dir(folder);
    Ok(())
}

/// The folder in which members of a model are trained, each in a folder of its own that is a model itself.
pub(crate) struct MemberFolders {
    folder: PathBuf,
    checkpoint_every: Duration,
}

impl MemberFolders {
    pub(crate) fn new(folder: PathBuf, checkpoint_every: Duration) -> Self {
        Self { folder, checkpoint_every }
    }

    /// Trains a member, or goes on with its interrupted training, or returns the one that is finished. Kinds without
    /// epochs, which are fitted in one go, are not saved.
    ///
    /// # Errors
    /// Those of [`train`](super::train()); [`Error::Stopped`] if the observer breaks.
    pub(crate) fn train(&self, member: MemberPlan<'_>, observe: &mut Observer<'_>) -> Result<TrainedMember> {
        if member.experiment.model.network().is_none() {
            return train_in_memory(member, observe);
        }
        create_dir_all(&self.folder).map_err(Error::io(&self.folder, "make"))?;
        let MemberPlan { name, experiment, data, validation, threads, start } = member;
        let (out, items) = (&self.folder.join(name), data.items.clone());
        let plan = TrainingPlan {
            data,
            validation,
            refit: None,
            experiment,
            threads,
            out,
            init: None,
            resume: true,
            checkpoint_every: self.checkpoint_every,
            keep_training_state: false,
        };
        let outcome = super::run(&plan, start, None, observe)?;
        if outcome.ended == Ended::Interrupted {
            return Err(Error::Stopped);
        }
        let (_, arrays) = Artifact::load_without_training(out)?.take_arrays();
        let model = models::from_arrays(experiment, &items, arrays)?;
        Ok(TrainedMember { model, summary: outcome.summary })
    }
}

/// Stores the checkpoint and the best model of a plan's training in folders.
pub(super) struct Folders {
    experiment: Experiment,
    data: Arc<Dataset>,
    keep_training_state: bool,
    checkpoint: PathBuf,
    best: PathBuf,
    members: MemberFolders,
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
            members: MemberFolders::new(members_of(plan.out), plan.checkpoint_every),
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

    fn train_member(&mut self, plan: MemberPlan<'_>, observe: &mut Observer<'_>) -> Result<TrainedMember> {
        self.members.train(plan, observe)
    }
}

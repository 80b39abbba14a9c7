//! Runs one trial: trains and evaluates a model on one thread.

use super::{TrialResult, TuningPlan, lock};
use crate::artifact::Artifact;
use crate::evaluation::{MetricsAt, evaluate};
use crate::experiment::{Experiment, ModelConfig};
use crate::gru4rec::footprint::{self, Extent};
use crate::history::{Ended, FitEvent};
use crate::kind::Copies;
use crate::model::Model;
use crate::training::{TrainingPlan, checkpoint_of, train};
use crate::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The progress of a running trial.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RunningTrial {
    /// The number of the trial.
    pub trial: usize,
    /// The current epoch, from 1.
    pub epoch: usize,
    /// The completed share of the epoch, 0 to 1.
    pub share: f64,
    /// The mean loss of the epoch so far.
    pub loss: f64,
}

/// The state shared by the trials that run in parallel.
pub(super) struct Runner<'p, 'd> {
    pub(super) plan: &'p TuningPlan<'d>,
    /// POP's recall, which a stable network must exceed.
    pub(super) pop_recall: f64,
    stop: AtomicBool,
    running: Mutex<BTreeMap<usize, RunningTrial>>,
    /// Trials that shall stop: another process runs them.
    abandoned: Mutex<BTreeSet<usize>>,
}

/// A model to train and evaluate.
pub(super) struct Job {
    pub(super) trial: usize,
    pub(super) experiment: Experiment,
    /// The folder of its model and checkpoint while it runs, and between the stages of successive halving.
    pub(super) folder: PathBuf,
    /// Whether its model is kept, to be trained further.
    pub(super) keep: bool,
}

/// The result of a job and its seconds; `None` if it was stopped.
pub(super) type Done = Option<(TrialResult, f64)>;

impl<'p, 'd> Runner<'p, 'd> {
    pub(super) fn new(plan: &'p TuningPlan<'d>, pop_recall: f64) -> Self {
        Self {
            plan,
            pop_recall,
            stop: AtomicBool::new(false),
            running: Mutex::default(),
            abandoned: Mutex::default(),
        }
    }

    /// Asks all jobs to stop after their mini-batch.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Asks one job to stop after some mini-batches.
    pub(super) fn abandon(&self, trial: usize) {
        lock(&self.abandoned).insert(trial);
    }

    /// The running trials, by number.
    pub(super) fn running(&self) -> Vec<RunningTrial> {
        lock(&self.running).values().copied().collect()
    }

    /// Trains and evaluates a model on this thread. A job that was interrupted, even by a kill of the process,
    /// continues from its checkpoint.
    ///
    /// # Errors
    /// Errors of reading and writing. A model that cannot be trained or evaluated is no error, but [`TrialResult::Failed`].
    pub(super) fn run(&self, job: &Job) -> Result<Done> {
        let begun = Instant::now();
        lock(&self.running).insert(job.trial, RunningTrial { trial: job.trial, ..RunningTrial::default() });
        let result = self.train_and_evaluate(job);
        lock(&self.running).remove(&job.trial);
        if lock(&self.abandoned).remove(&job.trial) {
            // Whatever has become of it.
            return Ok(None);
        }
        let verdict = match result {
            Ok(None) => return Ok(None),
            Ok(Some(verdict)) => verdict,
            Err(error @ (Error::Diverged { .. } | Error::NonFiniteScores { .. } | Error::Config { .. })) => {
                TrialResult::Failed { reason: error.to_string() }
            }
            Err(error) => return Err(error),
        };
        if !job.keep {
            remove(&job.folder)?;
        }
        Ok(Some((verdict, begun.elapsed().as_secs_f64())))
    }

    fn train_and_evaluate(&self, job: &Job) -> Result<Option<TrialResult>> {
        let TuningPlan { fit, valid, .. } = self.plan;
        let plan = TrainingPlan {
            data: Arc::clone(fit),
            validation: None,
            refit: None,
            experiment: &job.experiment,
            threads: 1,
            out: &job.folder,
            init: None,
            resume: true,
            checkpoint_every: Duration::from_secs(600),
            keep_training_state: job.keep,
        };
        let mut is_abandoned = false;
        let outcome = train(plan, &mut |event| {
            if let FitEvent::MiniBatch(progress) = event
                && progress.mini_batches.is_multiple_of(32)
            {
                let share =
                    (progress.pairs + progress.pairs_left_out) as f64 / progress.pairs_in_epoch.max(1) as f64;
                let running =
                    RunningTrial { trial: job.trial, epoch: progress.epoch, share, loss: progress.loss };
                lock(&self.running).insert(job.trial, running);
                is_abandoned = lock(&self.abandoned).contains(&job.trial);
            }
            if self.is_stopping() || is_abandoned {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let outcome = match outcome {
            // A model without checkpoints: the trial begins anew.
            Err(Error::Stopped) => return Ok(None),
            outcome => outcome?,
        };
        if outcome.ended == Ended::Interrupted || self.is_stopping() {
            return Ok(None);
        }
        let loaded = Model::load(&job.folder)?;
        let model = loaded.recommender();
        let evaluation =
            evaluate(
                model,
                &fit.items,
                valid,
                &job.experiment.evaluation,
                1,
                &|_| ControlFlow::Continue(()),
            )?;
        let MetricsAt { recall, mrr, .. } = evaluation.at_largest();
        Ok(Some(TrialResult::Judged { recall, mrr, stable: recall > self.pop_recall }))
    }
}

/// Removes the model and the checkpoint of a trial.
pub(super) fn remove(folder: &Path) -> Result<()> {
    Artifact::remove(checkpoint_of(folder))?;
    Artifact::remove(folder)
}

/// Bytes of memory that a trial of this experiment needs; 0 for kinds whose need is not known beforehand.
pub(super) fn bytes(experiment: &Experiment, plan: &TuningPlan) -> u64 {
    let ModelConfig::Gru4rec(network) = &experiment.model else { return 0 };
    let extent = Extent {
        data: plan.fit,
        content: None,
        validation: Some((plan.valid, &experiment.evaluation)),
        threads: 1,
        copies: Copies { parameters: true, states: true },
    };
    footprint::bytes(network, &experiment.training, extent)
}

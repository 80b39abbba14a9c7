//! Trials side by side: each trains and judges one model on one thread.

use super::{TuningPlan, Verdict};
use crate::artifact::Artifact;
use crate::evaluation::{MetricsAt, evaluate};
use crate::experiment::{Experiment, ModelConfig};
use crate::history::{Ended, FitEvent};
use crate::model::Model;
use crate::training::{Plan, checkpoint_of, train};
use crate::{Error, Result};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A trial under way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct RunningTrial {
    /// Its number.
    pub trial: usize,
    /// The epoch that it is in, from 1.
    pub epoch: usize,
    /// The share of that epoch that is done.
    pub share: f64,
    /// The mean loss in that epoch so far.
    pub loss: f64,
}

/// What the trials that run side by side have in common.
pub(super) struct Runner<'p, 'd> {
    pub(super) plan: &'p TuningPlan<'d>,
    /// POP's recall, which a stable network is above.
    pub(super) pop_recall: f64,
    stop: AtomicBool,
    running: Mutex<BTreeMap<usize, RunningTrial>>,
}

/// A model to be trained and judged.
pub(super) struct Job {
    pub(super) trial: usize,
    pub(super) experiment: Experiment,
    /// Where its training is kept while it runs, and between the stages of successive halving.
    pub(super) folder: PathBuf,
    /// Whether it may be trained further.
    pub(super) keep: bool,
}

/// What a job came to; `None` if it was told to stop.
pub(super) type Done = Option<(Verdict, f64)>;

impl<'p, 'd> Runner<'p, 'd> {
    pub(super) fn new(plan: &'p TuningPlan<'d>, pop_recall: f64) -> Self {
        Self { plan, pop_recall, stop: AtomicBool::new(false), running: Mutex::default() }
    }

    /// Tells all jobs to stop after their mini-batch.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// The trials under way, by number.
    pub(super) fn running(&self) -> Vec<RunningTrial> {
        self.lock().values().copied().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<usize, RunningTrial>> {
        // What is in it is shown, no more: a panic elsewhere does not make it wrong.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Trains and judges a model on this thread. A job that was interrupted, also by the death of the process, goes on from
    /// its checkpoint.
    ///
    /// # Errors
    /// Those of reading and writing; what is the model's fault is its [`Verdict::Failed`].
    pub(super) fn run(&self, job: &Job) -> Result<Done> {
        let begun = Instant::now();
        self.lock().insert(job.trial, RunningTrial { trial: job.trial, ..RunningTrial::default() });
        let result = self.judge(job);
        self.lock().remove(&job.trial);
        let verdict = match result {
            Ok(None) => return Ok(None),
            Ok(Some(verdict)) => verdict,
            Err(error @ (Error::Diverged { .. } | Error::NonFiniteScores { .. } | Error::Config { .. })) => {
                Verdict::Failed { reason: error.to_string() }
            }
            Err(error) => return Err(error),
        };
        if !job.keep {
            remove(&job.folder)?;
        }
        Ok(Some((verdict, begun.elapsed().as_secs_f64())))
    }

    fn judge(&self, job: &Job) -> Result<Option<Verdict>> {
        let TuningPlan { fit, valid, .. } = self.plan;
        let plan = Plan {
            data: Arc::clone(fit),
            validation: None,
            experiment: &job.experiment,
            threads: 1,
            out: &job.folder,
            init: None,
            resume: true,
            checkpoint_every: Duration::from_secs(600),
            keep_training_state: job.keep,
        };
        let outcome = train(plan, &mut |event| {
            if let FitEvent::MiniBatch(progress) = event
                && progress.mini_batches.is_multiple_of(32)
            {
                let share =
                    (progress.pairs + progress.pairs_left_out) as f64 / progress.pairs_in_epoch.max(1) as f64;
                let running =
                    RunningTrial { trial: job.trial, epoch: progress.epoch, share, loss: progress.loss };
                self.lock().insert(job.trial, running);
            }
            if self.is_stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
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
        Ok(Some(Verdict::Judged { recall, mrr, stable: recall > self.pop_recall }))
    }
}

/// Removes the training of a trial, finished or not.
pub(super) fn remove(folder: &Path) -> Result<()> {
    Artifact::remove(checkpoint_of(folder))?;
    Artifact::remove(folder)
}

/// Bytes that a trial of this experiment needs while it runs, as far as they are known beforehand.
pub(super) fn bytes(experiment: &Experiment, items: usize) -> u64 {
    match &experiment.model {
        ModelConfig::Gru4rec(network) => crate::gru4rec::Trainer::bytes(network, &experiment.training, items),
        _ => 0,
    }
}

//! From data and an experiment to a saved model: epochs, validation, early stopping, checkpoints, resuming, retraining.
//!
//! While a network trains for the folder `OUT`, its checkpoint is the folder `OUT.checkpoint`, and the best model by
//! validation `OUT.best`; both are models that every command can read. `OUT` itself appears, or is replaced, when
//! training is done, and the other two go. A finished model that somebody keeps under one of these names is not touched.

mod compare;

use crate::arrays::Arrays;
use crate::artifact::{Artifact, EpochSummary, Manifest, TrainingState, TrainingSummary, ValidationSummary};
use crate::data::{Dataset, Sessions};
use crate::evaluation::evaluate;
use crate::experiment::{Experiment, ModelConfig};
use crate::gru4rec::config::NetworkConfig;
use crate::gru4rec::{EpochEnd, EpochProgress, Network, Trainer, TrainerState};
use crate::model::Model;
use crate::{Error, Result, memory};
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A training to be run.
#[derive(Debug)]
pub struct Plan<'d> {
    /// What to learn from.
    pub data: &'d Dataset,
    /// Sessions to judge every epoch by; they must not be part of `data`.
    pub validation: Option<&'d Sessions>,
    /// The model, its training, and how validation ranks.
    pub experiment: &'d Experiment,
    /// Threads, at least 1; the results do not depend on it.
    pub threads: usize,
    /// Where the model goes.
    pub out: &'d Path,
    /// Start from this model, whose items are the first of `data`'s ([`Dataset::extending`]).
    pub init: Option<Artifact>,
    /// Go on with a training of the same plan that was interrupted; where there is none, begin.
    pub resume: bool,
    /// Save a checkpoint when this much time has passed in an epoch; each epoch ends with one anyway.
    pub checkpoint_every: Duration,
    /// Whether the model keeps what a further training needs (the optimiser's memory).
    pub keep_training_state: bool,
}

/// What an observer is told.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Training begins, or goes on, after this many epochs.
    Begin {
        /// Epochs that are done.
        epochs_done: usize,
        /// The instruction set that the arithmetic runs on.
        instruction_set: &'a str,
    },
    /// A mini-batch has been learnt.
    MiniBatch(&'a EpochProgress),
    /// An epoch is done, judged and saved.
    Epoch(&'a EpochSummary),
    /// A checkpoint has been saved in the midst of an epoch.
    Checkpoint(&'a Path),
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// All epochs are done.
    Complete,
    /// Validation has not improved for `training.patience` epochs.
    Early,
    /// The observer asked to stop: the checkpoint is there to go on from.
    Interrupted,
    /// There was nothing to resume: the model is complete.
    Already,
}

/// What a training has brought about.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it ended.
    pub ended: Ended,
    /// How it went.
    pub summary: TrainingSummary,
    /// The checkpoint's folder; it exists only after an interruption.
    pub checkpoint: PathBuf,
    /// Whether the optimiser's memory was taken over from the model that training started from; `None` if it started
    /// from none, or went on with what it had.
    pub optimizer_state_kept: Option<bool>,
}

/// Trains and saves a model. The observer is told what happens, and can ask to stop after any mini-batch.
///
/// # Errors
/// [`Error::Config`] for a plan that makes no sense, or does not go with the checkpoint that is to be resumed;
/// [`Error::Memory`] for a network that does not fit into memory; [`Error::Diverged`] with the last good checkpoint kept; errors of reading and writing.
///
/// # Panics
/// If `plan.threads` is 0.
pub fn train(mut plan: Plan, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome> {
    plan.experiment.validate()?;
    if plan.experiment.training.patience > 0 && plan.validation.is_none() {
        return Err(Error::config("training.patience", "early stopping needs sessions to validate on"));
    }
    Artifact::check_target(plan.out)?;
    // Apart from the plan, which lives as long as the training: the weights are not to be in memory twice.
    let init = plan.init.take();
    if let Some(init) = &init {
        compare::same_model(&init.manifest, &plan)?;
        compare::counts_on(&plan)?;
    }
    match &plan.experiment.model {
        ModelConfig::Gru4rec(config) => Run::begin(&plan, config, init)?.run(observe),
        _ => {
            let model = Model::fit(plan.experiment, plan.data)?;
            let summary = TrainingSummary { finished: true, ..summary_of(plan.data) };
            let mut artifact = artifact_of(&plan, &summary);
            Arrays { tensors: artifact.weights, counts: artifact.counts } = model.arrays();
            artifact.save(plan.out)?;
            let (ended, checkpoint) = (Ended::Complete, checkpoint_of(plan.out));
            Ok(Outcome { ended, summary, checkpoint, optimizer_state_kept: None })
        }
    }
}

/// The folder of the checkpoint while a model is trained for the folder `out`.
pub fn checkpoint_of(out: &Path) -> PathBuf {
    beside(out, "checkpoint")
}

/// The folder `OUT.suffix`.
fn beside(out: &Path, suffix: &str) -> PathBuf {
    let mut name = out.file_name().map_or_else(OsString::new, OsString::from);
    name.push(".");
    name.push(suffix);
    out.with_file_name(name)
}

fn summary_of(data: &Dataset) -> TrainingSummary {
    TrainingSummary {
        sessions: data.sessions.len() as u64,
        events: data.sessions.num_events() as u64,
        ..TrainingSummary::default()
    }
}

fn artifact_of(plan: &Plan, summary: &TrainingSummary) -> Artifact {
    Artifact::new(plan.experiment.clone(), plan.data.items.clone(), summary.clone())
}

/// A network's training under way.
struct Run<'p, 'd> {
    plan: &'p Plan<'d>,
    /// `None`: the model is complete, and there is nothing to do.
    trainer: Option<Trainer<'d>>,
    summary: TrainingSummary,
    checkpoint: PathBuf,
    best: PathBuf,
    optimizer_state_kept: Option<bool>,
}

impl<'p, 'd> Run<'p, 'd> {
    fn begin(plan: &'p Plan<'d>, config: &NetworkConfig, init: Option<Artifact>) -> Result<Self> {
        let needed = Trainer::bytes(config, &plan.experiment.training, plan.data.items.len());
        memory::require("the network's training", needed)?;
        let (checkpoint, best) = (checkpoint_of(plan.out), beside(plan.out, "best"));
        check_unfinished(&checkpoint)?;
        if plan.validation.is_some() {
            check_unfinished(&best)?;
        }
        let mut run = Self {
            plan,
            trainer: None,
            summary: summary_of(plan.data),
            checkpoint,
            best,
            optimizer_state_kept: None,
        };
        if !plan.resume && Artifact::exists(&run.checkpoint) {
            let reason = format!(
                "an interrupted training waits in {}: go on with it by --resume, or remove that folder to begin anew",
                run.checkpoint.display()
            );
            return Err(Error::config("resume", reason));
        }
        if plan.resume && Artifact::exists(&run.checkpoint) {
            let saved = Artifact::load(&run.checkpoint)?;
            compare::same_training(&saved.manifest, plan)?;
            run.resume(saved, config)?;
        } else if plan.resume && Artifact::exists(plan.out) {
            let manifest = Manifest::load(plan.out)?;
            compare::same_training(&manifest, plan)?;
            run.summary = manifest.training;
            if run.summary.epochs.len() >= plan.experiment.training.epochs || run.is_patience_over() {
                return Ok(run);
            }
            let mut saved = Artifact::load(plan.out)?;
            if saved.training.is_some() && saved.manifest.training.best_epoch.is_some() {
                // It is the best so far, and no later epoch may be better.
                saved.manifest.training.finished = false;
                saved.save(&run.best)?;
            }
            run.resume(saved, config)?;
        } else {
            run.trainer = Some(run.start(config, init)?);
        }
        Ok(run)
    }

    /// A trainer before its first epoch: of a new network, or of the one to start from.
    fn start(&mut self, config: &NetworkConfig, init: Option<Artifact>) -> Result<Trainer<'d>> {
        let Plan { data, experiment, threads, .. } = *self.plan;
        let training = &experiment.training;
        let activation = config.output_activation_for(training.loss);
        let Some(mut init) = init else {
            let network = Network::new(config.clone(), activation, data.items.len(), training.seed);
            return Trainer::new(network, training, data, threads);
        };
        let known = usize::try_from(init.manifest.items).unwrap_or(usize::MAX).min(data.items.len());
        let mut network = Network::from_tensors(config.clone(), activation, known, &mut init.weights)?;
        network.add_items(data.items.len() - known, training.seed);
        let mut trainer = Trainer::new(network, training, data, threads)?;
        self.optimizer_state_kept = Some(match init.training {
            Some(state) => trainer.take_over_optimizer(trainer_state(state))?,
            None => false,
        });
        Ok(trainer)
    }

    /// Goes on from a checkpoint, or from a model that is to have more epochs.
    fn resume(&mut self, saved: Artifact, config: &NetworkConfig) -> Result<()> {
        compare::same_support(&saved, self.plan.data)?;
        let Plan { data, experiment, threads, .. } = *self.plan;
        let state = saved.training.ok_or_else(|| {
            Error::config(
                "resume",
                "the model was saved without its training state: start from it with --init instead",
            )
        })?;
        let activation = config.output_activation_for(experiment.training.loss);
        let mut weights = saved.weights;
        let network = Network::from_tensors(config.clone(), activation, data.items.len(), &mut weights)?;
        let trainer = Trainer::resume(network, &experiment.training, data, threads, trainer_state(state))?;
        let begun = trainer.epochs_done() + usize::from(trainer.is_within_epoch());
        if begun > experiment.training.epochs {
            let asked = experiment.training.epochs;
            let reason = format!("is {asked}, but epoch {begun} has begun already: use {begun} or more");
            return Err(Error::config("training.epochs", reason));
        }
        self.summary = TrainingSummary { finished: false, ..saved.manifest.training };
        // A model of its best epoch goes on after that one: the later ones come again, with the same bits.
        self.summary.epochs.truncate(trainer.epochs_done());
        self.trainer = Some(trainer);
        Ok(())
    }

    fn run(mut self, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome> {
        let Some(mut trainer) = self.trainer.take() else {
            self.clear()?;
            return Ok(self.outcome(Ended::Already));
        };
        let training = &self.plan.experiment.training;
        self.summary.instruction_set = trainer.instruction_set().name().to_owned();
        let (epochs_done, instruction_set) = (trainer.epochs_done(), &self.summary.instruction_set);
        let _ = observe(Event::Begin { epochs_done, instruction_set });
        let mut ended = Ended::Complete;
        while trainer.epochs_done() < training.epochs {
            if self.is_patience_over() {
                ended = Ended::Early;
                break;
            }
            let begun = Instant::now();
            let mut interrupted = false;
            let end = trainer.run_epoch(&mut |progress| {
                interrupted = observe(Event::MiniBatch(progress)).is_break();
                let due = begun.elapsed() >= self.plan.checkpoint_every;
                if interrupted || due { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?;
            match end {
                EpochEnd::Finished(progress) => self.end_epoch(&trainer, &progress, observe)?,
                EpochEnd::Stopped(_) => {
                    self.artifact(&trainer, true).save(&self.checkpoint)?;
                    let _ = observe(Event::Checkpoint(&self.checkpoint));
                }
            }
            if interrupted {
                return Ok(self.outcome(Ended::Interrupted));
            }
        }
        self.finish(&trainer)?;
        Ok(self.outcome(ended))
    }

    fn outcome(self, ended: Ended) -> Outcome {
        let Self { summary, checkpoint, optimizer_state_kept, .. } = self;
        Outcome { ended, summary, checkpoint, optimizer_state_kept }
    }

    /// Judges and saves an epoch.
    fn end_epoch(
        &mut self,
        trainer: &Trainer,
        progress: &EpochProgress,
        observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<()> {
        let validation = self.plan.validation.map(|sessions| self.validate(trainer, sessions)).transpose()?;
        self.summary.pairs_left_out = progress.pairs_left_out;
        self.summary.epochs.push(EpochSummary {
            epoch: progress.epoch,
            loss: progress.loss,
            seconds: progress.seconds,
            mini_batches: progress.mini_batches,
            pairs: progress.pairs,
            validation,
        });
        if validation.is_some() && best_epoch(&self.summary.epochs) == Some(progress.epoch) {
            self.summary.best_epoch = Some(progress.epoch);
            self.artifact(trainer, self.plan.keep_training_state).save(&self.best)?;
        }
        self.artifact(trainer, true).save(&self.checkpoint)?;
        if let Some(epoch) = self.summary.epochs.last() {
            let _ = observe(Event::Epoch(epoch));
        }
        Ok(())
    }

    fn validate(&self, trainer: &Trainer, sessions: &Sessions) -> Result<ValidationSummary> {
        let Plan { data, experiment, threads, .. } = *self.plan;
        let options = &experiment.evaluation;
        let result = evaluate(trainer.network(), &data.items, sessions, options, threads, &|_| {})?;
        let last = result.at_largest();
        Ok(ValidationSummary { cutoff: last.k, recall: last.recall, mrr: last.mrr })
    }

    fn is_patience_over(&self) -> bool {
        let (patience, epochs) = (self.plan.experiment.training.patience, &self.summary.epochs);
        match (epochs.last(), best_epoch(epochs)) {
            (Some(last), Some(best)) => patience > 0 && last.epoch >= best + patience,
            _ => false,
        }
    }

    /// The model as it is now.
    fn artifact(&self, trainer: &Trainer, with_state: bool) -> Artifact {
        let mut artifact = artifact_of(self.plan, &self.summary);
        artifact.weights = trainer.network().tensors();
        artifact.training = with_state.then(|| {
            let TrainerState { tensors, counts, position } = trainer.state();
            TrainingState { tensors, counts, position }
        });
        artifact
    }

    /// Puts the model in its place, and removes what training needed.
    fn finish(&mut self, trainer: &Trainer) -> Result<()> {
        self.summary.finished = true;
        let last = self.summary.epochs.last().map(|epoch| epoch.epoch);
        let artifact = if self.summary.best_epoch == last || self.summary.best_epoch.is_none() {
            self.artifact(trainer, self.plan.keep_training_state)
        } else {
            let mut best = Artifact::load(&self.best)?;
            best.manifest.training = self.summary.clone();
            best.manifest.experiment = self.plan.experiment.resolved();
            best.training = best.training.filter(|_| self.plan.keep_training_state);
            best
        };
        artifact.save(self.plan.out)?;
        self.clear()
    }

    /// Removes what only training needed, also where an earlier process was killed while it did so.
    fn clear(&self) -> Result<()> {
        // In this order: a checkpoint that is left over can be finished again only with the best model.
        Artifact::remove(&self.checkpoint)?;
        if self.summary.best_epoch.is_some() { Artifact::remove(&self.best) } else { Ok(()) }
    }
}

/// Refuses to use a folder for the training's own purposes where it holds anything but an earlier training's.
fn check_unfinished(folder: &Path) -> Result<()> {
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

fn trainer_state(state: TrainingState) -> TrainerState {
    TrainerState { tensors: state.tensors, counts: state.counts, position: state.position }
}

/// The epoch with the largest validation MRR, the first of equals.
fn best_epoch(epochs: &[EpochSummary]) -> Option<usize> {
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

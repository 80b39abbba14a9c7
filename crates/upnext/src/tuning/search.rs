//! The procedure: which trials are made, in which order, and which is the best.

use super::runner::{self, Done, Job, Runner, RunningTrial};
use super::store::{self, Header, TrialStore};
use super::{Phase, Sampler, SearchSpace, Trial, TuningOptions, best, tpe};
use crate::artifact::Artifact;
use crate::data::{Dataset, Sessions};
use crate::evaluation::evaluate;
use crate::experiment::{Experiment, ModelConfig, ModelKind};
use crate::gru4rec::Wish;
use crate::model::Model;
use crate::{Error, Result, memory};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;
use upnext_kernels::CounterRng;

/// A search to be run.
#[derive(Clone, Copy, Debug)]
pub struct TuningPlan<'d> {
    /// What models are fitted to.
    pub fit: &'d Dataset,
    /// What they are judged by: items of `fit` only, and none of its sessions.
    pub valid: &'d Sessions,
    /// The fields that are not searched.
    pub experiment: &'d Experiment,
    /// The fields that are.
    pub space: &'d SearchSpace,
    /// How.
    pub options: &'d TuningOptions,
    /// Trials side by side, each on one thread; at least 1. The result does not depend on it.
    pub threads: usize,
    /// Where trials are stored; made if missing. A search that is there already goes on.
    pub folder: &'d Path,
}

/// What an observer is told. It can ask to stop at any time; the same search then goes on where it stopped.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The search begins, or goes on.
    Begin {
        /// Trials that are stored.
        stored: usize,
        /// POP's recall on the validation part: a network that is not above it counts as unstable.
        pop_recall: f64,
    },
    /// A part of the procedure begins.
    Phase {
        /// Which.
        phase: Phase,
        /// Its trials.
        trials: usize,
        /// How long they are trained, where successive halving says so.
        epochs: Option<usize>,
        /// The parameter that is changed alone.
        parameter: Option<&'a str>,
    },
    /// A trial has ended and is stored.
    Trial {
        /// The trial.
        trial: &'a Trial,
        /// Whether it was stored before this process began.
        was_stored: bool,
    },
    /// Told now and then: the trials under way.
    Running(&'a [RunningTrial]),
}

/// What a search has found.
#[derive(Clone, Debug)]
pub struct Found {
    /// POP's recall on the validation part.
    pub pop_recall: f64,
    /// The sampled points in order; with successive halving each as it was judged last.
    pub sampled: Vec<Trial>,
    /// The trials that improved one parameter at a time, in order.
    pub refined: Vec<Trial>,
    /// The best trial of all that were trained to the end.
    pub best: Trial,
    /// Its experiment.
    pub experiment: Experiment,
}

/// A random point is drawn at most so often until it makes sense.
const DRAWS: u64 = 1000;

/// Random points before the model-based sampler begins.
const STARTUP: usize = 20;

/// A model-based point knows all trials but so many before it: whatever the number of threads, it knows the same ones.
const LAG: usize = 8;

/// The share of trials that successive halving lets go on is one in so many, and so much longer.
const HALVING: usize = 3;

type Values = BTreeMap<String, toml::Value>;

/// Runs a search, or goes on with one; `None` if the observer asked to stop.
///
/// # Errors
/// [`Error::Config`] for a plan that makes no sense, does not go with the search that is stored, or where no trial could be
/// judged; [`Error::Memory`] if trials side by side do not fit; errors of reading and writing.
///
/// # Panics
/// If `plan.threads` is 0.
pub fn tune(plan: &TuningPlan, observe: &mut dyn FnMut(Event) -> Wish) -> Result<Option<Found>> {
    assert!(plan.threads > 0, "a search without a thread");
    plan.check()?;
    let trials = plan.trials_folder();
    fs::create_dir_all(&trials).map_err(Error::io(&trials, "make"))?;
    let TuningPlan { fit, valid, experiment, space, options, .. } = *plan;
    let store = TrialStore::open(plan.folder, &Header::new(options, space, experiment, fit, valid))?;
    let pop_recall = plan.pop_recall()?;
    let runner = Runner::new(plan, pop_recall);
    let stored = store.len();
    let mut search = Search { plan, runner: &runner, store, observe, number: 0 };
    if (search.observe)(Event::Begin { stored, pop_recall }) == Wish::Stop {
        return Ok(None);
    }
    let Some((sampled, complete)) = search.sample()? else { return Ok(None) };
    let Some(first) = best(&complete, options.objective) else {
        let reason = complete.iter().find_map(|trial| match &trial.verdict {
            super::Verdict::Failed { reason } => Some(reason.clone()),
            super::Verdict::Judged { .. } => None,
        });
        let reason = format!("none of its points could be judged; the first: {}", reason.unwrap_or_default());
        return Err(Error::config("space", reason));
    };
    let Some((refined, best)) = search.refine(first.clone())? else { return Ok(None) };
    plan.clear()?;
    let experiment = plan.experiment_of(&best.values)?;
    Ok(Some(Found { pop_recall, sampled, refined, best, experiment }))
}

impl TuningPlan<'_> {
    fn check(&self) -> Result<()> {
        self.options.validate()?;
        self.experiment.validate()?;
        let searches = |key: &str| self.space.parameters().iter().any(|parameter| parameter.key == key);
        if self.experiment.training.patience > 0 {
            let reason = "a search judges after the last epoch: set it to 0, and search over training.epochs, or use successive halving";
            return Err(Error::config("training.patience", reason));
        }
        if self.options.halving {
            if self.experiment.model.network().is_none() {
                let reason = "successive halving stops a training after some of its epochs, and this model is not trained by training.epochs: search without it";
                return Err(Error::config("halving", reason));
            }
            if searches("training.epochs") {
                let reason = "cannot be searched with successive halving, which chooses the epochs: take it out of the space";
                return Err(Error::config("training.epochs", reason));
            }
        }
        // The largest trials may well run side by side.
        let mut sizes = Vec::new();
        for i in 0..self.options.trials {
            let experiment = self.experiment_of(&self.random_point(i)?)?;
            sizes.push(runner::bytes(&experiment, self.fit.items.len()));
        }
        sizes.sort_unstable();
        let needed = sizes.iter().rev().take(self.threads).sum();
        memory::require("the largest trials side by side (fewer --threads need less)", needed)
    }

    fn pop_recall(&self) -> Result<f64> {
        let model = ModelConfig::of_kind(ModelKind::Pop);
        let pop = Experiment { model, ..self.experiment.clone() };
        let model = Model::fit(&pop, self.fit)?;
        let options = &self.experiment.evaluation;
        let evaluation =
            evaluate(model.recommender(), &self.fit.items, self.valid, options, self.threads, &|_| {})?;
        Ok(evaluation.metrics[evaluation.metrics.len() - 1].recall)
    }

    /// The experiment of a point.
    fn experiment_of(&self, values: &Values) -> Result<Experiment> {
        let mut experiment = self.experiment.clone();
        for (key, value) in values {
            experiment.set_value(key, value.clone())?;
        }
        experiment.validate()?;
        Ok(experiment)
    }

    /// Sampled point number `i`: a function of the seed.
    fn random_point(&self, i: usize) -> Result<Values> {
        let rng = self.rng(i);
        let parameters = self.space.parameters();
        self.first_sensible(|draw| {
            let at = |p: usize| rng.unit_f64(draw * parameters.len() as u64 + p as u64);
            (0..parameters.len()).map(at).collect()
        })
    }

    fn rng(&self, i: usize) -> CounterRng {
        CounterRng::new(self.options.seed, 0x7475_6e65).substream(i as u64)
    }

    /// The first of many draws whose fields go with each other.
    fn first_sensible(&self, places: impl Fn(u64) -> Vec<f64>) -> Result<Values> {
        let mut objection = None;
        for draw in 0..DRAWS {
            let places = places(draw);
            let parameters = self.space.parameters().iter().zip(places);
            let values = parameters.map(|(p, place)| (p.key.clone(), p.domain.value(place))).collect();
            match self.experiment_of(&values) {
                Ok(_) => return Ok(values),
                Err(error) => objection = Some(error),
            }
        }
        let why = objection.map_or_else(String::new, |error| error.to_string());
        Err(Error::config(
            "space",
            format!("none of {DRAWS} points that were drawn makes sense; the last: {why}"),
        ))
    }

    /// Where trials keep their training while they run.
    fn trials_folder(&self) -> PathBuf {
        self.folder.join("trials")
    }

    /// Removes what only trials needed.
    fn clear(&self) -> Result<()> {
        let folder = self.trials_folder();
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(Error::io(&folder, "read")(error)),
        };
        for entry in entries {
            Artifact::remove(entry.map_err(Error::io(&folder, "read"))?.path())?;
        }
        fs::remove_dir(&folder).map_err(Error::io(&folder, "remove"))
    }
}

/// A search under way.
struct Search<'s, 'd> {
    plan: &'s TuningPlan<'d>,
    runner: &'s Runner<'s, 'd>,
    store: TrialStore,
    observe: &'s mut dyn FnMut(Event) -> Wish,
    /// Trials that the procedure has asked for.
    number: usize,
}

/// The values of a batch's trial, from those that have ended; `None`: not before others have.
type PointOf<'b> = dyn Fn(usize, &[Option<Trial>]) -> Result<Option<Values>> + 'b;

/// Trials of one part of the procedure.
struct Batch<'b> {
    phase: Phase,
    /// How long they are trained, where the experiment does not say.
    epochs: Option<usize>,
    /// Whether they may go on later.
    keep: bool,
    /// Their numbers.
    numbers: Vec<usize>,
    /// The point of one of them.
    point: &'b PointOf<'b>,
}

impl Search<'_, '_> {
    /// The sampled points, each as it was judged last, and those of them that were trained to the end.
    fn sample(&mut self) -> Result<Option<(Vec<Trial>, Vec<Trial>)>> {
        let TuningPlan { options, experiment, .. } = *self.plan;
        let epochs = experiment.training.epochs;
        let stages = if options.halving { stages(epochs) } else { vec![epochs] };
        let plan = self.plan;
        let sampled = |i: usize, known: &[Option<Trial>]| match options.sampler {
            Sampler::Tpe if i >= STARTUP => {
                let Some(known) = known[..i - LAG].iter().map(Option::as_ref).collect::<Option<Vec<_>>>()
                else {
                    return Ok(None);
                };
                let model = tpe::Model::new(plan.space, &known, options.objective);
                let rng = plan.rng(i);
                plan.first_sensible(|draw| model.propose(rng.substream(draw))).map(Some)
            }
            _ => plan.random_point(i).map(Some),
        };
        self.number = options.trials;
        let mut trials: Vec<Trial> = Vec::new();
        // Indices of the trials that are still in.
        let mut alive: Vec<usize> = (0..options.trials).collect();
        for (stage, &epochs) in stages.iter().enumerate() {
            let earlier = &trials;
            let again = |i: usize, _: &[Option<Trial>]| Ok(Some(earlier[alive[i]].values.clone()));
            let batch = Batch {
                phase: Phase::Sample,
                epochs: options.halving.then_some(epochs),
                keep: stage + 1 < stages.len(),
                numbers: alive.iter().map(|i| i + 1).collect(),
                point: if stage == 0 { &sampled } else { &again },
            };
            let Some(judged) = self.run(&batch, None)? else { return Ok(None) };
            if stage == 0 {
                trials = judged;
            } else {
                alive.iter().zip(judged).for_each(|(&i, trial)| trials[i] = trial);
            }
            if stage + 1 < stages.len() {
                let figure = |i: usize| trials[i].figure(options.objective).unwrap_or(f64::NEG_INFINITY);
                let mut order = alive.clone();
                order.sort_by(|&a, &b| figure(b).total_cmp(&figure(a)));
                let (on, out) = order.split_at(alive.len().div_ceil(HALVING));
                for &i in out {
                    runner::remove(&self.folder(&trials[i].values))?;
                }
                alive = on.to_vec();
                alive.sort_unstable();
            }
        }
        let complete = alive.iter().map(|&i| trials[i].clone()).collect();
        Ok(Some((trials, complete)))
    }

    /// Improves the best trial one parameter at a time.
    fn refine(&mut self, mut top: Trial) -> Result<Option<(Vec<Trial>, Trial)>> {
        let TuningPlan { options, space, .. } = *self.plan;
        let mut refined = Vec::new();
        for parameter in space.parameters().iter().filter(|_| options.refine) {
            let Some(value) = top.values.get(&parameter.key) else { continue };
            let near = parameter.domain.neighbours(value).into_iter().map(|value| {
                let mut values = top.values.clone();
                values.insert(parameter.key.clone(), value);
                values
            });
            let points: Vec<Values> = near.filter(|values| self.plan.experiment_of(values).is_ok()).collect();
            let numbers = (1..=points.len()).map(|i| self.number + i).collect();
            self.number += points.len();
            let batch = Batch {
                phase: Phase::Refine,
                epochs: None,
                keep: false,
                numbers,
                point: &|i, _| Ok(Some(points[i].clone())),
            };
            let Some(trials) = self.run(&batch, Some(&parameter.key))? else { return Ok(None) };
            if let Some(better) = best(&trials, options.objective)
                && better.figure(options.objective) > top.figure(options.objective)
            {
                top = better.clone();
            }
            refined.extend(trials);
        }
        Ok(Some((refined, top)))
    }

    /// Makes the trials of a batch side by side, as far as they are not stored; `None` if the observer asked to stop.
    fn run(&mut self, batch: &Batch, parameter: Option<&str>) -> Result<Option<Vec<Trial>>> {
        let count = batch.numbers.len();
        let phase = Event::Phase { phase: batch.phase, trials: count, epochs: batch.epochs, parameter };
        if (self.observe)(phase) == Wish::Stop {
            self.runner.stop();
        }
        let mut trials: Vec<Option<Trial>> = vec![None; count];
        let mut failure = None;
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel::<(usize, Trial, Result<Done>)>();
            let mut busy: HashSet<String> = HashSet::new();
            let mut next = 0;
            loop {
                while next < count && busy.len() < self.plan.threads && !self.runner.is_stopping() {
                    let (job, trial) = match self.job(batch, next, &trials) {
                        Ok(None) => break,
                        Ok(Some(asked)) => asked,
                        Err(error) => {
                            failure = failure.take().or(Some(error));
                            self.runner.stop();
                            break;
                        }
                    };
                    let key = store::key(&trial.values, trial.epochs);
                    if let Some(known) = self.store.get(&key, trial.trial, batch.phase) {
                        self.tell(&known, true);
                        trials[next] = Some(known);
                    } else if busy.contains(&key) {
                        // The same point, drawn twice: its result is on the way.
                        break;
                    } else {
                        busy.insert(key);
                        let (sender, runner, index) = (sender.clone(), self.runner, next);
                        // The receiver lives as long as the scope.
                        scope.spawn(move || {
                            let done = runner.run(&job);
                            _ = sender.send((index, trial, done));
                        });
                    }
                    next += 1;
                }
                if busy.is_empty() && (next == count || self.runner.is_stopping()) {
                    break;
                }
                match receiver.recv_timeout(Duration::from_millis(200)) {
                    Ok((index, trial, done)) => {
                        busy.remove(&store::key(&trial.values, trial.epochs));
                        let stored = done.and_then(|done| {
                            let Some((verdict, seconds)) = done else { return Ok(None) };
                            let trial = Trial { verdict, seconds, ..trial };
                            self.store.add(trial.clone())?;
                            Ok(Some(trial))
                        });
                        match stored {
                            Ok(Some(trial)) => {
                                self.tell(&trial, false);
                                trials[index] = Some(trial);
                            }
                            Ok(None) => {}
                            Err(error) => {
                                failure = failure.take().or(Some(error));
                                self.runner.stop();
                            }
                        }
                    }
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                        let running = self.runner.running();
                        if (self.observe)(Event::Running(&running)) == Wish::Stop {
                            self.runner.stop();
                        }
                    }
                }
            }
        });
        match failure {
            Some(error) => Err(error),
            None => Ok(trials.into_iter().collect()),
        }
    }

    fn tell(&mut self, trial: &Trial, was_stored: bool) {
        if (self.observe)(Event::Trial { trial, was_stored }) == Wish::Stop {
            self.runner.stop();
        }
    }

    /// The job of a batch's trial and what its trial is before its verdict; `None` if others must end first.
    fn job(&self, batch: &Batch, i: usize, known: &[Option<Trial>]) -> Result<Option<(Job, Trial)>> {
        let Some(values) = (batch.point)(i, known)? else { return Ok(None) };
        let mut experiment = self.plan.experiment_of(&values)?;
        if let Some(epochs) = batch.epochs {
            experiment.training.epochs = epochs;
        }
        let epochs = experiment.model.network().map(|_| experiment.training.epochs);
        let (trial, folder) = (batch.numbers[i], self.folder(&values));
        let job = Job { trial, experiment, folder, keep: batch.keep };
        let verdict = super::Verdict::Failed { reason: String::new() };
        Ok(Some((job, Trial { trial, phase: batch.phase, values, epochs, verdict, seconds: 0.0 })))
    }

    /// Where a point is trained: the same folder after a restart.
    fn folder(&self, values: &Values) -> PathBuf {
        let mut hasher = DefaultHasher::new();
        store::key(values, None).hash(&mut hasher);
        self.plan.trials_folder().join(format!("{:016x}", hasher.finish()))
    }
}

/// The epochs at which successive halving judges, the last being all.
fn stages(epochs: usize) -> Vec<usize> {
    let mut stages: Vec<usize> =
        [HALVING * HALVING, HALVING, 1].map(|share| epochs.div_ceil(share).max(1)).to_vec();
    stages.dedup();
    stages
}

#[cfg(test)]
mod tests;

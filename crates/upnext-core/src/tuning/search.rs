//! The procedure of a search: which trials are run, in which order, and which one is the best.

use super::runner::{self, Runner, RunningTrial};
use super::schedule::{Batch, Next, Schedule};
use super::store::{self, Header, TrialLock, TrialStore};
use super::{Phase, Sampler, SearchSpace, Trial, TuningOptions, Values, ranked, tpe};
use crate::baselines::Pop;
use crate::data::{Dataset, Sessions};
use crate::evaluation::evaluate;
use crate::experiment::Experiment;
use crate::{Error, Result, memory};
use std::collections::HashSet;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use upnext_kernels::CounterRng;

/// The inputs of a search.
#[derive(Clone, Copy, Debug)]
pub struct TuningPlan<'d> {
    /// The data that models are fitted to.
    pub fit: &'d Arc<Dataset>,
    /// The sessions that models are evaluated on, with items of `fit` only, and none of its sessions.
    pub valid: &'d Sessions,
    /// The experiment with the fields that are not searched.
    pub experiment: &'d Experiment,
    /// The fields to search.
    pub space: &'d SearchSpace,
    /// The options of the search.
    pub options: &'d TuningOptions,
    /// Number of trials that run in parallel, each on one thread; at least 1. The result does not depend on it.
    pub threads: usize,
    /// The folder in which trials are stored; created if missing. A search that it holds is continued.
    pub folder: &'d Path,
}

/// An event of a search, passed to its observer. The observer can stop the search at any time; the same search then
/// continues where it stopped.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The search begins, or is continued.
    Begin {
        /// Number of trials that are stored.
        stored: usize,
        /// POP's recall on the validation part: a network that is not above it counts as unstable.
        pop_recall: f64,
    },
    /// A part of the procedure begins.
    Phase {
        /// The part.
        phase: Phase,
        /// Expected number of its trials.
        trials: usize,
        /// Number of epochs, if successive halving sets it.
        epochs: Option<usize>,
        /// The parameter that is refined.
        parameter: Option<&'a str>,
    },
    /// A trial has ended and is stored.
    Trial {
        /// The trial.
        trial: &'a Trial,
        /// Whether it was stored before this process began.
        was_stored: bool,
    },
    /// The running trials, reported several times per second.
    Running {
        /// Those of this process.
        trials: &'a [RunningTrial],
        /// Number of those that this process waits for, as others run them.
        elsewhere: usize,
    },
}

/// The result of a search.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// POP's recall on the validation part.
    pub pop_recall: f64,
    /// The sampled points in order, with successive halving each with its last evaluation. They are fewer than
    /// requested if the space has no more points.
    pub sampled: Vec<Trial>,
    /// The same points with their first evaluation: all after the same number of epochs, unless epochs are searched.
    pub first: Vec<Trial>,
    /// The trials of the refinement, in order.
    pub refined: Vec<Trial>,
    /// The best of all trials that were trained to the end, and its experiment; `None` if none of them could be
    /// evaluated.
    pub best: Option<(Trial, Experiment)>,
    /// The store, which is locked for this process while this value exists.
    pub store: TrialStore,
}

/// Maximum number of draws of a point until it is valid and new.
const DRAWS: u64 = 1000;

/// Random points before the model-based sampler begins.
const STARTUP: usize = 20;

/// A model-based point depends on all trials except this many before it, whatever the number of threads.
const LAG: usize = 8;

/// Successive halving continues one in this many trials, up to this many times the epochs.
const HALVING: usize = 3;

/// Runs or continues a search; `None` if the observer stopped it.
///
/// # Errors
/// [`Error::Config`] for an invalid plan, and for one that does not match the stored search; [`Error::Memory`] if the
/// largest network of the space does not fit; errors of reading and writing.
///
/// # Panics
/// If `plan.threads` is 0, or a trial's thread panics.
pub fn tune(plan: &TuningPlan, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Option<Found>> {
    plan.check()?;
    fs::create_dir_all(plan.folder).map_err(Error::io(plan.folder, "make"))?;
    tune_locked(plan, TrialStore::lock(plan.folder)?, observe)
}

/// [`tune`] in a folder that is locked already, such as before the logs are read.
///
/// # Errors
/// As [`tune`].
///
/// # Panics
/// As [`tune`].
pub fn tune_locked(
    plan: &TuningPlan,
    lock: TrialLock,
    observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Option<Found>> {
    assert!(plan.threads > 0, "a search without a thread");
    plan.check()?;
    let TuningPlan { fit, valid, experiment, space, options, .. } = *plan;
    let store = TrialStore::open(lock, &Header::new(options, space, experiment, fit, valid))?;
    let trials = plan.trials_folder();
    fs::create_dir_all(&trials).map_err(Error::io(&trials, "make"))?;
    let pop_recall = plan.pop_recall()?;
    let runner = Runner::new(plan, pop_recall);
    if observe(Event::Begin { stored: store.len(), pop_recall }).is_break() {
        return Ok(None);
    }
    let memory_bytes = memory::available();
    let schedule = Schedule { plan, runner: &runner, store, observe, memory_bytes };
    let mut search = Search { plan, schedule, number: 0 };
    let Some(Sampled { first, last, complete }) = search.sample()? else { return Ok(None) };
    let top = ranked(&complete, options.objective).first().map(|&trial| trial.clone());
    let (mut refined, mut best) = (Vec::new(), None);
    if let Some(top) = top {
        let Some(found) = search.refine(top)? else { return Ok(None) };
        refined = found.0;
        let experiment = plan.experiment_of(&found.1.values)?;
        best = Some((found.1, experiment));
    }
    for trial in last.iter().chain(&refined) {
        // A folder that cannot be removed does no harm.
        _ = runner::remove(&plan.folder_of(&trial.values));
    }
    _ = fs::remove_dir(&trials);
    Ok(Some(Found { pop_recall, sampled: last, first, refined, best, store: search.schedule.store }))
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
        memory::require("the largest network of the space", self.largest_bytes()?)
    }

    /// The most bytes of memory that a trial needs: each parameter has the value that makes the network largest.
    fn largest_bytes(&self) -> Result<u64> {
        let mut largest = self.experiment.clone();
        let mut most = runner::bytes(&largest, self);
        for parameter in self.space.parameters() {
            for value in parameter.domain.representatives() {
                let mut changed = largest.clone();
                changed.set_value(&parameter.key, value)?;
                let bytes = runner::bytes(&changed, self);
                if bytes > most {
                    (largest, most) = (changed, bytes);
                }
            }
        }
        Ok(most)
    }

    fn pop_recall(&self) -> Result<f64> {
        let (items, options) = (&self.fit.items, &self.experiment.evaluation);
        let go_on = |_| ControlFlow::Continue(());
        let evaluation = evaluate(&Pop::new(items), items, self.valid, options, self.threads, &go_on)?;
        Ok(evaluation.at_largest().recall)
    }

    /// The experiment of a point.
    pub(super) fn experiment_of(&self, values: &Values) -> Result<Experiment> {
        let mut experiment = self.experiment.clone();
        for (key, value) in values {
            experiment.set_value(key, value.clone())?;
        }
        experiment.validate()?;
        Ok(experiment)
    }

    /// The random numbers of sampled point number `i`.
    fn rng(&self, i: usize) -> CounterRng {
        CounterRng::new(self.options.seed, 0x7475_6e65).substream(i as u64)
    }

    /// Positions of a random point: draw number `draw` of sampled point `i`.
    fn random_positions(&self, i: usize, draw: u64) -> Vec<f64> {
        let (rng, count) = (self.rng(i), self.space.parameters().len() as u64);
        (0..count).map(|p| rng.unit_f64(draw * count + p)).collect()
    }

    /// The first of many draws that is a valid point and not in `seen`; `None` if all valid ones are.
    fn draw(&self, positions: &dyn Fn(u64) -> Vec<f64>, seen: &HashSet<String>) -> Result<Option<Values>> {
        let (mut objection, mut any_seen) = (None, false);
        for draw in 0..DRAWS {
            let positions = positions(draw);
            let parameters = self.space.parameters().iter().zip(positions);
            let values: Values =
                parameters.map(|(p, position)| (p.key.clone(), p.domain.value(position))).collect();
            if seen.contains(&store::key(&values, None)) {
                any_seen = true;
                continue;
            }
            match self.experiment_of(&values) {
                Ok(_) => return Ok(Some(values)),
                Err(error) => objection = Some(error),
            }
        }
        match objection {
            Some(error) if !any_seen => {
                let reason = format!("none of {DRAWS} points that were drawn makes sense; the last: {error}");
                Err(Error::config("space", reason))
            }
            _ => Ok(None),
        }
    }
}

/// The state of a running search.
struct Search<'s, 'd> {
    plan: &'s TuningPlan<'d>,
    schedule: Schedule<'s, 'd>,
    /// Number of trials that the procedure has requested.
    number: usize,
}

/// The sampled points.
struct Sampled {
    /// With their first evaluation.
    first: Vec<Trial>,
    /// With their last evaluation.
    last: Vec<Trial>,
    /// Those of them that were trained to the end.
    complete: Vec<Trial>,
}

impl Search<'_, '_> {
    /// Draws and evaluates the sampled points; `None` if the observer stopped the search.
    fn sample(&mut self) -> Result<Option<Sampled>> {
        let TuningPlan { options, experiment, .. } = *self.plan;
        let epochs = experiment.training.epochs;
        let stages = if options.halving { stages(epochs) } else { vec![epochs] };
        let Some(first) = self.sample_first(options.halving.then_some(stages[0]), stages.len() > 1)? else {
            return Ok(None);
        };
        let mut last = first.clone();
        // Indices of the trials that continue.
        let mut alive: Vec<usize> = (0..last.len()).collect();
        for (stage, &epochs) in stages.iter().enumerate().skip(1) {
            let figure = |i: usize| last[i].figure(options.objective).unwrap_or(f64::NEG_INFINITY);
            let mut order = alive.clone();
            order.sort_by(|&a, &b| figure(b).total_cmp(&figure(a)));
            let (on, out) = order.split_at(alive.len().div_ceil(HALVING));
            for &i in out {
                // A folder that stays does no harm; another process may be removing it at the same time.
                _ = runner::remove(&self.plan.folder_of(&last[i].values));
            }
            alive = on.to_vec();
            alive.sort_unstable();
            let mut next = |i: usize, _: &[Option<Trial>]| {
                Ok(alive.get(i).map_or(Next::End, |&trial| Next::Point(last[trial].values.clone())))
            };
            let evaluated = self.schedule.run(&mut Batch {
                phase: Phase::Sample,
                expected: alive.len(),
                parameter: None,
                epochs: Some(epochs),
                keep: stage + 1 < stages.len(),
                number: &|i| alive[i] + 1,
                next: &mut next,
            })?;
            let Some(evaluated) = evaluated else { return Ok(None) };
            for (&i, trial) in alive.iter().zip(evaluated) {
                let seconds = last[i].seconds + trial.seconds;
                last[i] = Trial { seconds, ..trial };
            }
        }
        let complete = alive.iter().map(|&i| last[i].clone()).collect();
        Ok(Some(Sampled { first, last, complete }))
    }

    /// Draws the points, and evaluates each for the first time.
    fn sample_first(&mut self, epochs: Option<usize>, keep: bool) -> Result<Option<Vec<Trial>>> {
        let (plan, options) = (self.plan, self.plan.options);
        let mut seen: HashSet<String> = HashSet::new();
        let mut next = |i: usize, known: &[Option<Trial>]| {
            if i == options.trials {
                return Ok(Next::End);
            }
            let drawn = match options.sampler {
                Sampler::Tpe if i >= STARTUP => {
                    let known = known[..i - LAG].iter().map(Option::as_ref).collect::<Option<Vec<_>>>();
                    let Some(known) = known else { return Ok(Next::Wait) };
                    let model = tpe::Model::new(plan.space, &known, options.objective);
                    let rng = plan.rng(i);
                    plan.draw(&|draw| model.propose(rng.substream(draw)), &seen)?
                }
                _ => plan.draw(&|draw| plan.random_positions(i, draw), &seen)?,
            };
            let Some(values) = drawn else { return Ok(Next::End) };
            seen.insert(store::key(&values, None));
            Ok(Next::Point(values))
        };
        let trials = self.schedule.run(&mut Batch {
            phase: Phase::Sample,
            expected: plan.space.trials(options).0,
            parameter: None,
            epochs,
            keep,
            number: &|i| i + 1,
            next: &mut next,
        })?;
        self.number = trials.as_ref().map_or(0, Vec::len);
        Ok(trials)
    }

    /// Refines the best trial one parameter at a time; `None` if the observer stopped the search.
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
            let before = self.number;
            self.number += points.len();
            let mut next = |i: usize, _: &[Option<Trial>]| {
                Ok(points.get(i).map_or(Next::End, |values| Next::Point(values.clone())))
            };
            let trials = self.schedule.run(&mut Batch {
                phase: Phase::Refine,
                expected: points.len(),
                parameter: Some(&parameter.key),
                epochs: None,
                keep: false,
                number: &|i| before + i + 1,
                next: &mut next,
            })?;
            let Some(trials) = trials else { return Ok(None) };
            if let Some(&better) = ranked(&trials, options.objective).first()
                && better.figure(options.objective) > top.figure(options.objective)
            {
                top = better.clone();
            }
            refined.extend(trials);
        }
        Ok(Some((refined, top)))
    }
}

/// The epochs after which successive halving evaluates, up to the last one.
fn stages(epochs: usize) -> Vec<usize> {
    let mut stages: Vec<usize> =
        [HALVING * HALVING, HALVING, 1].map(|share| epochs.div_ceil(share).max(1)).to_vec();
    stages.dedup();
    stages
}

#[cfg(test)]
mod tests;

//! Runs trials in parallel: which one starts next, and what is stored when one ends.

use super::runner::{Done, Job, Runner};
use super::search::Event;
use super::store::{self, TrialStore};
use super::{Phase, Trial, TuningPlan, Values};
use crate::Result;
use crate::checksum::Fingerprint;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// The interval between reports of the running trials to the observer.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);

/// The next trial of a batch.
pub(super) enum Next {
    /// A trial with these values.
    Point(Values),
    /// It depends on trials that are still running.
    Wait,
    /// There are no more trials.
    End,
}

/// Returns trial `i` of a batch, given those that have ended.
type NextOf<'b> = dyn FnMut(usize, &[Option<Trial>]) -> Result<Next> + 'b;

/// The trials of one part of the procedure.
pub(super) struct Batch<'b> {
    pub(super) phase: Phase,
    /// The expected number of trials.
    pub(super) expected: usize,
    /// The parameter that is refined.
    pub(super) parameter: Option<&'b str>,
    /// Number of epochs, in place of the experiment's.
    pub(super) epochs: Option<usize>,
    /// Whether the models are kept, to be trained further.
    pub(super) keep: bool,
    /// Returns the number of trial `i` in the procedure.
    pub(super) number: &'b dyn Fn(usize) -> usize,
    /// Called for one trial after the other, in order.
    pub(super) next: &'b mut NextOf<'b>,
}

/// A trial without its result.
struct Point {
    trial: usize,
    values: Values,
    epochs: Option<usize>,
}

/// A worker's message: the trial's index in the batch, its point, its bytes of memory, and the result or panic of its
/// job.
type Message = (usize, Point, u64, std::thread::Result<Result<Done>>);

/// Runs the trials of a search, or takes them from the store.
pub(super) struct Schedule<'s, 'd> {
    pub(super) plan: &'s TuningPlan<'d>,
    pub(super) runner: &'s Runner<'s, 'd>,
    pub(super) store: TrialStore,
    pub(super) observe: &'s mut dyn FnMut(Event) -> ControlFlow<()>,
    /// Bytes of memory that all running trials may need together.
    pub(super) memory_bytes: u64,
}

impl Schedule<'_, '_> {
    /// Runs the trials of a batch in parallel, except those that are stored; `None` if the observer stopped the search.
    pub(super) fn run(&mut self, batch: &mut Batch) -> Result<Option<Vec<Trial>>> {
        let Batch { phase, expected, epochs, parameter, .. } = *batch;
        self.notify(Event::Phase { phase, trials: expected, epochs, parameter });
        let mut trials: Vec<Option<Trial>> = Vec::new();
        let mut failure = None;
        let mut panic = None;
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel::<Message>();
            let (mut busy, mut busy_bytes, mut is_complete) = (0, 0, false);
            let mut held: Option<(usize, Job, Point, u64)> = None;
            loop {
                while !is_complete && busy < self.plan.threads && !self.runner.is_stopping() {
                    let asked = match held.take() {
                        Some(held) => Ok(Some(held)),
                        None => match (batch.next)(trials.len(), &trials) {
                            Ok(Next::Wait) => break,
                            Ok(Next::End) => Ok(None),
                            Ok(Next::Point(values)) => {
                                trials.push(None);
                                self.job(batch, trials.len() - 1, values).map(Some)
                            }
                            Err(error) => Err(error),
                        },
                    };
                    let (index, job, point, bytes) = match asked {
                        Ok(Some(asked)) => asked,
                        Ok(None) => {
                            is_complete = true;
                            break;
                        }
                        Err(error) => {
                            failure = failure.take().or(Some(error));
                            self.runner.stop();
                            break;
                        }
                    };
                    if let Some(known) =
                        self.store.get(&store::key(&point.values, point.epochs), point.trial, phase)
                    {
                        self.notify(Event::Trial { trial: &known, was_stored: true });
                        trials[index] = Some(known);
                        continue;
                    }
                    // A single trial fits into memory: that was checked before the search.
                    if busy > 0 && busy_bytes + bytes > self.memory_bytes {
                        held = Some((index, job, point, bytes));
                        break;
                    }
                    (busy, busy_bytes) = (busy + 1, busy_bytes + bytes);
                    let (sender, runner) = (sender.clone(), self.runner);
                    scope.spawn(move || {
                        let done = catch_unwind(AssertUnwindSafe(|| runner.run(&job)));
                        // The receiver lives as long as the scope.
                        _ = sender.send((index, point, bytes, done));
                    });
                }
                if busy == 0 && (is_complete || self.runner.is_stopping()) {
                    break;
                }
                match receiver.recv_timeout(REPORT_INTERVAL) {
                    Ok((index, point, bytes, done)) => {
                        (busy, busy_bytes) = (busy - 1, busy_bytes - bytes);
                        match done.map(|done| self.end(point, phase, done)) {
                            Ok(Ok(trial)) => trials[index] = trial,
                            Ok(Err(error)) => {
                                failure = failure.take().or(Some(error));
                                self.runner.stop();
                            }
                            Err(payload) => {
                                panic = Some(payload);
                                self.runner.stop();
                            }
                        }
                    }
                    // It is not disconnected: `sender` lives as long as this loop.
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                        let running = self.runner.running();
                        self.notify(Event::Running(&running));
                    }
                }
            }
        });
        if let Some(payload) = panic {
            resume_unwind(payload);
        }
        match failure {
            Some(error) => Err(error),
            None if self.runner.is_stopping() => Ok(None),
            None => Ok(trials.into_iter().collect()),
        }
    }

    /// Stores the result of a job; `None` if it was stopped.
    fn end(&mut self, point: Point, phase: Phase, done: Result<Done>) -> Result<Option<Trial>> {
        let Some((verdict, seconds)) = done? else { return Ok(None) };
        let Point { trial, values, epochs } = point;
        let trial = Trial { trial, phase, values, epochs, verdict, seconds };
        self.store.add(trial.clone())?;
        self.notify(Event::Trial { trial: &trial, was_stored: false });
        Ok(Some(trial))
    }

    /// Calls the observer, and stops all jobs if it asks for that.
    fn notify(&mut self, event: Event) {
        if (self.observe)(event).is_break() {
            self.runner.stop();
        }
    }

    /// The job of trial `i` of a batch, with the bytes of memory that it needs.
    fn job(&self, batch: &Batch, i: usize, values: Values) -> Result<(usize, Job, Point, u64)> {
        let mut experiment = self.plan.experiment_of(&values)?;
        if let Some(epochs) = batch.epochs {
            experiment.training.epochs = epochs;
        }
        let epochs = experiment.model.network().map(|_| experiment.training.epochs);
        let bytes = super::runner::bytes(&experiment, self.plan);
        let (trial, folder) = ((batch.number)(i), self.plan.folder_of(&values));
        let job = Job { trial, experiment, folder, keep: batch.keep };
        Ok((i, job, Point { trial, values, epochs }, bytes))
    }
}

impl TuningPlan<'_> {
    /// The folder of the models and checkpoints of running trials.
    pub(super) fn trials_folder(&self) -> PathBuf {
        self.folder.join("trials")
    }

    /// The folder in which a point is trained: the same one after a restart, even with another build.
    pub(super) fn folder_of(&self, values: &Values) -> PathBuf {
        let mut hash = Fingerprint::new();
        hash.add(store::key(values, None).as_bytes());
        self.trials_folder().join(hash.digits())
    }
}

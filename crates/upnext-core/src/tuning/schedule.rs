//! Trials side by side: which is begun next, and what is stored when one has ended.

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

/// How often the observer is told of the trials under way.
const TOLD_EVERY: Duration = Duration::from_millis(200);

/// What a batch's trial number `i` is.
pub(super) enum Next {
    /// A trial of these values.
    Point(Values),
    /// Not known before others have ended.
    Wait,
    /// There are no more.
    End,
}

/// Says what trial `i` is, from those that have ended.
type NextOf<'b> = dyn FnMut(usize, &[Option<Trial>]) -> Result<Next> + 'b;

/// Trials of one part of the procedure.
pub(super) struct Batch<'b> {
    pub(super) phase: Phase,
    /// How many there will be, as far as is known.
    pub(super) expected: usize,
    /// The parameter that is changed alone.
    pub(super) parameter: Option<&'b str>,
    /// How long they are trained, where the experiment does not say.
    pub(super) epochs: Option<usize>,
    /// Whether they may be trained further later.
    pub(super) keep: bool,
    /// The number in the procedure of trial `i`.
    pub(super) number: &'b dyn Fn(usize) -> usize,
    /// Asked for trial after trial, in order.
    pub(super) next: &'b mut NextOf<'b>,
}

/// What a trial is before its verdict.
struct Point {
    trial: usize,
    values: Values,
    epochs: Option<usize>,
}

/// A worker's message: which trial, and what its job came to, a panic included.
type Message = (usize, Point, u64, std::thread::Result<Result<Done>>);

/// The trials of a search, made or taken from the store.
pub(super) struct Schedule<'s, 'd> {
    pub(super) plan: &'s TuningPlan<'d>,
    pub(super) runner: &'s Runner<'s, 'd>,
    pub(super) store: TrialStore,
    pub(super) observe: &'s mut dyn FnMut(Event) -> ControlFlow<()>,
    /// Bytes that all trials under way may need together.
    pub(super) memory_bytes: u64,
}

impl Schedule<'_, '_> {
    /// Makes the trials of a batch side by side, as far as they are not stored; `None` if the observer asked to stop.
    pub(super) fn run(&mut self, batch: &mut Batch) -> Result<Option<Vec<Trial>>> {
        let Batch { phase, expected, epochs, parameter, .. } = *batch;
        self.tell(Event::Phase { phase, trials: expected, epochs, parameter });
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
                        self.tell(Event::Trial { trial: &known, was_stored: true });
                        trials[index] = Some(known);
                        continue;
                    }
                    // Alone it fits, as has been asked before the search.
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
                match receiver.recv_timeout(TOLD_EVERY) {
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
                    // There is a sender as long as this loop.
                    Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                        let running = self.runner.running();
                        self.tell(Event::Running(&running));
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

    /// Stores what a job came to; `None` if it was told to stop.
    fn end(&mut self, point: Point, phase: Phase, done: Result<Done>) -> Result<Option<Trial>> {
        let Some((verdict, seconds)) = done? else { return Ok(None) };
        let Point { trial, values, epochs } = point;
        let trial = Trial { trial, phase, values, epochs, verdict, seconds };
        self.store.add(trial.clone())?;
        self.tell(Event::Trial { trial: &trial, was_stored: false });
        Ok(Some(trial))
    }

    /// Tells the observer, and asks all jobs to stop where it says so.
    fn tell(&mut self, event: Event) {
        if (self.observe)(event).is_break() {
            self.runner.stop();
        }
    }

    /// The job of a batch's trial, with the bytes that it needs.
    fn job(&self, batch: &Batch, i: usize, values: Values) -> Result<(usize, Job, Point, u64)> {
        let mut experiment = self.plan.experiment_of(&values)?;
        if let Some(epochs) = batch.epochs {
            experiment.training.epochs = epochs;
        }
        let epochs = experiment.model.network().map(|_| experiment.training.epochs);
        let bytes = super::runner::bytes(&experiment, self.plan.fit.items.len());
        let (trial, folder) = ((batch.number)(i), self.plan.folder_of(&values));
        let job = Job { trial, experiment, folder, keep: batch.keep };
        Ok((i, job, Point { trial, values, epochs }, bytes))
    }
}

impl TuningPlan<'_> {
    /// Where trials keep their training while they run.
    pub(super) fn trials_folder(&self) -> PathBuf {
        self.folder.join("trials")
    }

    /// Where a point is trained: the same folder after a restart, also by another build.
    pub(super) fn folder_of(&self, values: &Values) -> PathBuf {
        let mut hash = Fingerprint::new();
        hash.add(store::key(values, None).as_bytes());
        self.trials_folder().join(hash.digits())
    }
}

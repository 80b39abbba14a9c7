//! Runs trials in parallel: which one starts next, and what is stored when one ends.

use super::runner::{Done, Job, Runner};
use super::search::Event;
use super::store::{self, TrialStore};
use super::{Phase, Trial, TuningPlan, Values};
use crate::Result;
use crate::checksum::Fingerprint;
use std::collections::{BTreeMap, VecDeque};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// The interval between reports of the running trials to the observer.
const REPORT_INTERVAL: Duration = Duration::from_millis(200);

/// The interval between looks at the trials that other processes run.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

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

/// A trial that is to be run.
struct Task {
    /// Its index in the batch.
    index: usize,
    job: Job,
    point: Point,
    /// The key of its point in the store.
    key: String,
    /// Bytes of memory that it needs.
    bytes: u64,
}

/// A worker's message: the task, and the result or panic of its job.
type Message = (Task, std::thread::Result<Result<Done>>);

/// What is next for a task.
enum Turn {
    /// It has ended, here or elsewhere.
    Ended(usize, Trial),
    /// It runs here.
    Here(Task),
    /// Another process runs it.
    Elsewhere(Task),
    /// There is no memory for it as long as others run.
    Held(Task),
}

/// The trials that run in this process.
#[derive(Default)]
struct Running {
    /// Their numbers and their keys in the store.
    keys: BTreeMap<usize, String>,
    /// Bytes of memory that they need together.
    bytes: u64,
}

impl Running {
    fn begin(&mut self, task: &Task) {
        self.keys.insert(task.point.trial, task.key.clone());
        self.bytes += task.bytes;
    }

    fn end(&mut self, task: &Task) {
        self.keys.remove(&task.point.trial);
        self.bytes -= task.bytes;
    }
}

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
            let mut running = Running::default();
            let mut is_complete = false;
            let mut held: Option<Task> = None;
            // Trials that other processes run, and when they were looked at last.
            let (mut elsewhere, mut looked): (VecDeque<Task>, _) = (VecDeque::new(), Instant::now());
            loop {
                let mut left = if looked.elapsed() >= LOOK_INTERVAL { elsewhere.len() } else { 0 };
                if left > 0 {
                    looked = Instant::now();
                }
                while running.keys.len() < self.plan.threads && !self.runner.is_stopping() {
                    let task = if let Some(held) = held.take() {
                        Ok(Some(held))
                    } else if left > 0 {
                        left -= 1;
                        Ok(elsewhere.pop_front())
                    } else if is_complete {
                        break;
                    } else {
                        match (batch.next)(trials.len(), &trials) {
                            Ok(Next::Wait) => break,
                            Ok(Next::End) => {
                                is_complete = true;
                                break;
                            }
                            Ok(Next::Point(values)) => {
                                trials.push(None);
                                self.task(batch, trials.len() - 1, values).map(Some)
                            }
                            Err(error) => Err(error),
                        }
                    };
                    let turn = match task {
                        Ok(Some(task)) => self.turn(task, phase, &running),
                        Ok(None) => continue,
                        Err(error) => Err(error),
                    };
                    match turn {
                        Ok(Turn::Ended(index, trial)) => {
                            self.notify(Event::Trial { trial: &trial, was_stored: true });
                            trials[index] = Some(trial);
                        }
                        Ok(Turn::Elsewhere(task)) => elsewhere.push_back(task),
                        Ok(Turn::Held(task)) => {
                            held = Some(task);
                            break;
                        }
                        Ok(Turn::Here(task)) => {
                            running.begin(&task);
                            let (sender, runner) = (sender.clone(), self.runner);
                            scope.spawn(move || {
                                let done = catch_unwind(AssertUnwindSafe(|| runner.run(&task.job)));
                                // The receiver lives as long as the scope.
                                _ = sender.send((task, done));
                            });
                        }
                        Err(error) => {
                            failure = failure.take().or(Some(error));
                            self.runner.stop();
                            break;
                        }
                    }
                }
                let is_done = is_complete && elsewhere.is_empty() && held.is_none();
                if running.keys.is_empty() && (is_done || self.runner.is_stopping()) {
                    break;
                }
                match receiver.recv_timeout(REPORT_INTERVAL) {
                    Ok((task, done)) => {
                        running.end(&task);
                        let index = task.index;
                        match done.map(|done| self.end(task, phase, done)) {
                            Ok(Ok(Ok(trial))) => trials[index] = Some(trial),
                            Ok(Ok(Err(task))) => elsewhere.push_back(task),
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
                        let lost = running.keys.iter().filter(|(_, key)| self.store.is_lost(key));
                        lost.for_each(|(trial, _)| self.runner.abandon(*trial));
                        let shown = self.runner.running();
                        self.notify(Event::Running { trials: &shown, elsewhere: elsewhere.len() });
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

    /// What is next for a task, which is claimed if it runs here.
    fn turn(&mut self, task: Task, phase: Phase, running: &Running) -> Result<Turn> {
        if let Some(known) = self.store.get(&task.key, task.point.trial, phase)? {
            return Ok(Turn::Ended(task.index, known));
        }
        // A single trial fits into memory: that was checked before the search.
        if !running.keys.is_empty() && running.bytes + task.bytes > self.memory_bytes {
            return Ok(Turn::Held(task));
        }
        if !self.store.take(&task.key)? {
            return Ok(Turn::Elsewhere(task));
        }
        // It may have ended between the look and the claim.
        if let Some(known) = self.store.get(&task.key, task.point.trial, phase)? {
            self.store.give_back(&task.key);
            return Ok(Turn::Ended(task.index, known));
        }
        Ok(Turn::Here(task))
    }

    /// Stores the result of a job. A task that has none was stopped, or is another process's now.
    fn end(
        &mut self,
        task: Task,
        phase: Phase,
        done: Result<Done>,
    ) -> Result<std::result::Result<Trial, Task>> {
        if self.store.is_lost(&task.key) {
            self.store.give_back(&task.key);
            return Ok(Err(task));
        }
        let Some((verdict, seconds)) = done? else {
            self.store.give_back(&task.key);
            return Ok(Err(task));
        };
        let Point { trial, values, epochs } = task.point;
        let trial = self.store.add(Trial { trial, phase, values, epochs, verdict, seconds })?;
        self.notify(Event::Trial { trial: &trial, was_stored: false });
        Ok(Ok(trial))
    }

    /// Calls the observer, and stops all jobs if it asks for that.
    fn notify(&mut self, event: Event) {
        if (self.observe)(event).is_break() {
            self.runner.stop();
        }
    }

    /// Trial `i` of a batch.
    fn task(&self, batch: &Batch, i: usize, values: Values) -> Result<Task> {
        let mut experiment = self.plan.experiment_of(&values)?;
        if let Some(epochs) = batch.epochs {
            experiment.training.epochs = epochs;
        }
        let epochs = experiment.model.network().map(|_| experiment.training.epochs);
        let bytes = super::runner::bytes(&experiment, self.plan);
        let (trial, folder) = ((batch.number)(i), self.plan.folder_of(&values));
        let job = Job { trial, experiment, folder, keep: batch.keep };
        let key = store::key(&values, epochs);
        Ok(Task { index: i, job, point: Point { trial, values, epochs }, key, bytes })
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

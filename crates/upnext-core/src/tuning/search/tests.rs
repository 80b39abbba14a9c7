//! Properties of a search: its result does not depend on threads or interruptions, and its options have their effect.

use super::*;
use crate::data::{EventLog, Holdout, PrepareOptions, TestSessions, TimeSpan, prepare};
use crate::experiment::{ModelConfig, ModelKind};
use crate::simulate::{SimulateOptions, simulate};
use crate::tuning::{Objective, TrialResult};
use std::ops::ControlFlow;
use std::sync::Arc;

/// A simulated shop's sessions to fit, and those of its last day.
struct Shop {
    fit: Arc<Dataset>,
    valid: TestSessions,
    experiment: Experiment,
}

impl Shop {
    fn new() -> Self {
        let options = SimulateOptions { sessions: 400, items: 40, days: 5, ..SimulateOptions::default() };
        let mut log = EventLog::new();
        for event in simulate(&options).unwrap() {
            log.push(&event.session.to_string(), &event.item.to_string(), event.time_ms * 1000);
        }
        let rules = PrepareOptions {
            holdout: Holdout::Span(TimeSpan::DAY),
            validation: None,
            ..PrepareOptions::default()
        };
        let parts = prepare(log, &rules, &mut |_| ControlFlow::Continue(())).unwrap();
        let (fit, _) = Dataset::from_part(&parts.train()).unwrap();
        let valid = TestSessions::from_part(&parts.test(), &fit.items).unwrap();
        let mut experiment = Experiment::default();
        for field in ["model.layers=8", "training.samples=4", "training.batch_size=8", "training.epochs=2"] {
            experiment.set(field).unwrap();
        }
        Self { fit: Arc::new(fit), valid, experiment }
    }

    fn space(&self, text: &str) -> SearchSpace {
        SearchSpace::from_toml(text, "test", &self.experiment).unwrap()
    }

    fn plan<'d>(
        &'d self,
        space: &'d SearchSpace,
        options: &'d TuningOptions,
        folder: &'d Path,
    ) -> TuningPlan<'d> {
        let (fit, valid, experiment) = (&self.fit, &self.valid.sessions, &self.experiment);
        TuningPlan { fit, valid, experiment, space, options, threads: 2, folder }
    }
}

const SPACE: &str = "[training]\nlearning_rate = { log = [0.01, 0.5] }\nmomentum = { uniform = [0, 0.5] }\nbatch_size = { choice = [8, 16, 32] }\n";

fn options(trials: usize) -> TuningOptions {
    TuningOptions { trials, ..TuningOptions::default() }
}

/// What must be the same, however a search went: everything but seconds.
fn result(found: &Found) -> Vec<Trial> {
    let all = found.sampled.iter().chain(&found.refined).chain([top(found)]);
    all.map(|trial| Trial { seconds: 0.0, ..trial.clone() }).collect()
}

fn top(found: &Found) -> &Trial {
    &found.best.as_ref().unwrap().0
}

fn run(plan: &TuningPlan) -> Found {
    tune(plan, &mut |_| ControlFlow::Continue(())).unwrap().unwrap()
}

#[test]
fn a_search_has_one_result_for_any_number_of_threads_and_stops() {
    let shop = Shop::new();
    let space = shop.space(SPACE);
    for sampler in [Sampler::Random, Sampler::Tpe] {
        let options = TuningOptions { sampler, ..options(24) };
        let whole = tempfile::tempdir().unwrap();
        let plan = shop.plan(&space, &options, whole.path());
        let expected = run(&plan);
        assert!(!whole.path().join("trials").exists(), "trainings of trials are gone");

        let stopped = tempfile::tempdir().unwrap();
        let plan = TuningPlan { folder: stopped.path(), threads: 1, ..plan };
        for stop_after in [0, 3, 9] {
            let mut ended = 0;
            let found = tune(&plan, &mut |event| {
                ended += usize::from(matches!(event, Event::Trial { was_stored: false, .. }));
                if ended > stop_after { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            assert!(found.unwrap().is_none());
        }
        let mut anew = 0;
        let found = tune(&plan, &mut |event| {
            anew += usize::from(matches!(event, Event::Trial { was_stored: false, .. }));
            ControlFlow::Continue(())
        });
        let found = found.unwrap().unwrap();
        assert_eq!(result(&found), result(&expected), "{sampler:?}");
        assert!(anew <= 24 + expected.refined.len() - 14, "no stored trial is made twice: {anew}");
    }
}

#[test]
fn refinement_changes_the_best_so_far_in_one_parameter_at_a_time() {
    let shop = Shop::new();
    let space = shop.space(SPACE);
    let folder = tempfile::tempdir().unwrap();
    let options = TuningOptions { objective: Objective::Mrr, ..options(5) };
    let figure = |trial: &Trial| trial.figure(Objective::Mrr).unwrap();
    let mut best_before: Option<Trial> = None;
    let mut all: Vec<Trial> = Vec::new();
    let mut key = None;
    let mut tried = Vec::new();
    let found = tune(&shop.plan(&space, &options, folder.path()), &mut |event| {
        match event {
            Event::Phase { parameter, .. } => {
                key = parameter.map(str::to_owned);
                tried.extend(key.clone());
                best_before = ranked(&all, Objective::Mrr).first().map(|&trial| trial.clone());
            }
            Event::Trial { trial, .. } => {
                if let (Some(key), Some(before)) = (&key, &best_before) {
                    let changed: Vec<&String> =
                        trial.values.keys().filter(|&k| trial.values[k] != before.values[k]).collect();
                    assert_eq!(changed, [key]);
                }
                all.push(trial.clone());
            }
            _ => {}
        }
        ControlFlow::Continue(())
    });
    let found = found.unwrap().unwrap();
    assert_eq!(tried, ["training.learning_rate", "training.momentum", "training.batch_size"]);
    assert_eq!(found.sampled.len(), 5);
    assert!((2 + 2 + 2..=4 + 4 + 2).contains(&found.refined.len()), "{}", found.refined.len());
    assert_eq!(all.len(), 5 + found.refined.len());
    let (best, experiment) = found.best.as_ref().unwrap();
    assert!(all.iter().all(|trial| figure(trial) <= figure(best)));
    for (key, value) in &best.values {
        let mut same = experiment.clone();
        same.set_value(key, value.clone()).unwrap();
        assert_eq!(same, *experiment, "the experiment found has the best values");
    }
}

#[test]
fn halving_trains_a_third_on_and_the_survivors_as_if_in_one_go() {
    let shop = Shop::new();
    let mut experiment = shop.experiment.clone();
    experiment.training.epochs = 9;
    let space = shop.space(SPACE);
    let options = TuningOptions { halving: true, refine: false, ..options(9) };
    let folder = tempfile::tempdir().unwrap();
    let plan = TuningPlan { experiment: &experiment, ..shop.plan(&space, &options, folder.path()) };
    let trials = folder.path().join("trials");
    let mut waiting = Vec::new();
    let found = tune(&plan, &mut |event| {
        if matches!(event, Event::Phase { .. }) {
            let finished = |entry: &fs::DirEntry| entry.path().join("manifest.json").exists();
            waiting.push(fs::read_dir(&trials).unwrap().filter(|e| finished(e.as_ref().unwrap())).count());
        }
        ControlFlow::Continue(())
    });
    let found = found.unwrap().unwrap();
    assert_eq!(waiting, [0, 3, 1], "those that go on wait with their training");
    let epochs = |n: usize| found.sampled.iter().filter(|trial| trial.epochs == Some(n)).count();
    assert_eq!([epochs(1), epochs(3), epochs(9)], [6, 2, 1]);
    assert!(found.first.len() == 9 && found.first.iter().all(|trial| trial.epochs == Some(1)));
    assert_eq!(top(&found).epochs, Some(9), "only those that were trained to the end compete");
    assert!(!folder.path().join("trials").exists());

    let whole = TuningOptions { halving: false, ..options };
    let other = tempfile::tempdir().unwrap();
    let all = run(&TuningPlan { options: &whole, folder: other.path(), ..plan });
    let same = all.sampled.iter().find(|trial| trial.trial == top(&found).trial).unwrap();
    assert_eq!((&same.values, &same.verdict), (&top(&found).values, &top(&found).verdict));
}

#[test]
fn networks_that_do_not_stay_finite_are_counted_and_do_not_end_the_search() {
    let shop = Shop::new();
    let space = shop.space("[training]\nlearning_rate = { choice = [0.1, 1e30] }\noptimizer = { choice = [\"sgd\", \"adagrad\"] }\n");
    let folder = tempfile::tempdir().unwrap();
    let options = options(8);
    let found = run(&shop.plan(&space, &options, folder.path()));
    let failed = found.sampled.iter().filter(|trial| matches!(trial.verdict, TrialResult::Failed { .. }));
    let (failed, stable) = (failed.count(), found.sampled.iter().filter(|trial| trial.is_stable()).count());
    assert!(failed > 0 && stable > 0, "{failed} {stable}");
    assert!(top(&found).is_stable() && found.pop_recall > 0.0);
    assert_eq!(found.sampled.len(), 4, "a space of four points has no more");
    let text = fs::read_to_string(folder.path().join("trials.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 1 + 4, "each is trained once: {text}");
}

#[test]
fn a_search_without_a_network_that_stays_finite_says_so_of_each() {
    let shop = Shop::new();
    let space = shop.space("[training]\nlearning_rate = { choice = [1e29, 1e30] }\noptimizer = { choice = [\"sgd\", \"rmsprop\"] }\n");
    let mut experiment = shop.experiment.clone();
    experiment.training.optimizer = crate::gru4rec::config::Optimizer::Sgd;
    let folder = tempfile::tempdir().unwrap();
    let options = options(4);
    let found = run(&TuningPlan { experiment: &experiment, ..shop.plan(&space, &options, folder.path()) });
    assert!(found.best.is_none() && found.refined.is_empty());
    assert!(found.sampled.iter().all(|trial| matches!(trial.verdict, TrialResult::Failed { .. })));
    assert!(!folder.path().join("trials").exists(), "checkpoints of what diverged are gone");
}

#[test]
fn a_thread_that_panics_ends_the_search_and_does_not_hang_it() {
    let shop = Shop::new();
    let space = shop.space(SPACE);
    let options = options(3);
    let folder = tempfile::tempdir().unwrap();
    // Items beyond the vocabulary: what trains on them panics.
    let mut fit = Dataset::clone(&shop.fit);
    fit.sessions.push(&[1_000_000, 1_000_000], 0);
    let fit = Arc::new(fit);
    let plan = TuningPlan { fit: &fit, ..shop.plan(&space, &options, folder.path()) };
    fs::create_dir(plan.trials_folder()).unwrap();
    let runner = Runner::new(&plan, 0.1);
    let header = Header::new(&options, &space, &shop.experiment, &fit, plan.valid);
    let store = TrialStore::open(TrialStore::lock(folder.path()).unwrap(), &header).unwrap();
    let mut observe = |_: Event| ControlFlow::Continue(());
    let schedule =
        Schedule { plan: &plan, runner: &runner, store, observe: &mut observe, memory_bytes: u64::MAX };
    let mut search = Search { plan: &plan, schedule, number: 0 };
    let ended =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| search.sample().map(|s| s.is_some())));
    assert!(ended.is_err(), "{:?}", ended.map(|found| found.unwrap()));
}

#[test]
fn a_search_over_a_model_that_is_fitted_needs_no_epochs() {
    let shop = Shop::new();
    let model = ModelConfig::of_kind(ModelKind::ItemKnn);
    let experiment = Experiment { model, ..shop.experiment.clone() };
    let space = SearchSpace::of_kind(&experiment).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let options = options(4);
    let plan = TuningPlan { experiment: &experiment, ..shop.plan(&space, &options, folder.path()) };
    let found = run(&plan);
    assert!(top(&found).epochs.is_none() && top(&found).figure(Objective::Recall) > Some(0.3));
    let halved = TuningOptions { halving: true, ..options };
    let error =
        tune(&TuningPlan { options: &halved, ..plan }, &mut |_| ControlFlow::Continue(())).unwrap_err();
    assert!(error.to_string().contains("successive halving"), "{error}");
}

#[test]
fn plans_that_make_no_sense_are_refused_before_any_work() {
    let shop = Shop::new();
    let space = shop.space("[training]\nbatch_size = { integer = [2, 9] }\nepochs = { integer = [1, 2] }\n");
    let folder = tempfile::tempdir().unwrap();
    let refused = |plan: &TuningPlan, words: &str| {
        let error = tune(plan, &mut |_| panic!("no event before the check")).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    };
    let five = options(5);
    let plan = shop.plan(&space, &five, folder.path());
    refused(&TuningPlan { options: &options(0), ..plan }, "trials: is 0");
    refused(&TuningPlan { options: &options(usize::MAX), ..plan }, "1000000 points");
    refused(
        &TuningPlan { options: &TuningOptions { halving: true, ..options(5) }, ..plan },
        "training.epochs",
    );
    let patient = {
        let mut experiment = shop.experiment.clone();
        experiment.training.patience = 2;
        experiment
    };
    refused(&TuningPlan { experiment: &patient, ..plan }, "training.patience");
    let huge = {
        let mut experiment = shop.experiment.clone();
        experiment.set("model.layers=65536").unwrap();
        experiment
    };
    refused(&TuningPlan { experiment: &huge, ..plan }, "largest network");
}

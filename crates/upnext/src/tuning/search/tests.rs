//! Claims of a search: its result does not depend on threads or on being stopped, and it does what its options say.

use super::*;
use crate::data::{EventLog, PrepareOptions, TestSessions, TimeSpan, prepare};
use crate::simulate::{SimulateOptions, simulate};
use crate::tuning::{Objective, Verdict};

/// A simulated shop's sessions to fit, and those of its last day.
struct Shop {
    fit: Dataset,
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
        let rules = PrepareOptions { holdout: TimeSpan::DAY, validation: None, ..PrepareOptions::default() };
        let parts = prepare(log, &rules).unwrap();
        let (fit, _) = Dataset::from_part(&parts.train()).unwrap();
        let valid = TestSessions::from_part(&parts.test(), &fit.items).unwrap();
        let mut experiment = Experiment::default();
        for field in ["model.layers=8", "training.samples=4", "training.batch_size=8", "training.epochs=2"] {
            experiment.set(field).unwrap();
        }
        Self { fit, valid, experiment }
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
    let all = found.sampled.iter().chain(&found.refined).chain([&found.best]);
    all.map(|trial| Trial { seconds: 0.0, ..trial.clone() }).collect()
}

fn run(plan: &TuningPlan) -> Found {
    tune(plan, &mut |_| Wish::Continue).unwrap().unwrap()
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
                if ended > stop_after { Wish::Stop } else { Wish::Continue }
            });
            assert!(found.unwrap().is_none());
        }
        let mut anew = 0;
        let found = tune(&plan, &mut |event| {
            anew += usize::from(matches!(event, Event::Trial { was_stored: false, .. }));
            Wish::Continue
        });
        let found = found.unwrap().unwrap();
        assert_eq!(result(&found), result(&expected), "{sampler:?}");
        assert!(anew <= 24 + expected.refined.len() - 14, "no stored trial is made twice: {anew}");
    }
}

#[test]
fn the_best_is_the_best_and_refinement_changes_one_parameter_at_a_time() {
    let shop = Shop::new();
    let space = shop.space(SPACE);
    let folder = tempfile::tempdir().unwrap();
    let options = TuningOptions { objective: Objective::Mrr, ..options(5) };
    let found = run(&shop.plan(&space, &options, folder.path()));
    let figure = |trial: &Trial| trial.figure(Objective::Mrr).unwrap();
    let all: Vec<&Trial> = found.sampled.iter().chain(&found.refined).collect();
    assert!(all.iter().all(|trial| figure(trial) <= figure(&found.best)));
    assert_eq!(found.sampled.len(), 5);
    assert!((3 * 2..=4 + 4 + 2).contains(&found.refined.len()), "{}", found.refined.len());
    // Walking through the trials, the best so far changes in one value only.
    let mut top = best(&found.sampled, Objective::Mrr).unwrap();
    for parameter in space.parameters() {
        let changed = |trial: &&Trial| trial.values[&parameter.key] != top.values[&parameter.key];
        let of_this: Vec<&Trial> = found
            .refined
            .iter()
            .filter(changed)
            .filter(|trial| trial.values.iter().filter(|(k, v)| top.values[*k] != **v).count() == 1)
            .collect();
        assert!(!of_this.is_empty(), "{} is tried alone", parameter.key);
        if let Some(better) = of_this.into_iter().find(|trial| trial.values == found.best.values) {
            top = better;
        } else if let Some(better) = found
            .refined
            .iter()
            .filter(|t| t.values.iter().filter(|(k, v)| top.values[*k] != **v).count() == 1 && changed(t))
            .max_by(|a, b| figure(a).total_cmp(&figure(b)))
            && figure(better) > figure(top)
        {
            top = better;
        }
    }
    assert_eq!(top.values, found.best.values);
    for (key, value) in &found.best.values {
        let mut same = found.experiment.clone();
        same.set_value(key, value.clone()).unwrap();
        assert_eq!(same, found.experiment, "the experiment found has the best values");
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
    let found = run(&plan);
    let epochs = |n: usize| found.sampled.iter().filter(|trial| trial.epochs == Some(n)).count();
    assert_eq!([epochs(1), epochs(3), epochs(9)], [6, 2, 1]);
    assert_eq!(found.best.epochs, Some(9), "only those that were trained to the end compete");
    assert!(!folder.path().join("trials").exists());

    let whole = TuningOptions { halving: false, ..options };
    let other = tempfile::tempdir().unwrap();
    let all = run(&TuningPlan { options: &whole, folder: other.path(), ..plan });
    let same = all.sampled.iter().find(|trial| trial.trial == found.best.trial).unwrap();
    assert_eq!((&same.values, &same.verdict), (&found.best.values, &found.best.verdict));
}

#[test]
fn networks_that_do_not_stay_finite_are_counted_and_do_not_end_the_search() {
    let shop = Shop::new();
    let space = shop.space("[training]\nlearning_rate = { choice = [0.1, 1e30] }\noptimizer = { choice = [\"sgd\", \"adagrad\"] }\n");
    let folder = tempfile::tempdir().unwrap();
    let options = options(8);
    let found = run(&shop.plan(&space, &options, folder.path()));
    let failed = found.sampled.iter().filter(|trial| matches!(trial.verdict, Verdict::Failed { .. }));
    let (failed, stable) = (failed.count(), found.sampled.iter().filter(|trial| trial.is_stable()).count());
    assert!(failed > 0 && stable > 0 && failed + stable <= 8, "{failed} {stable}");
    assert!(found.best.is_stable() && found.pop_recall > 0.0);
    // Four points in all: each is trained once, however often it is drawn.
    let text = fs::read_to_string(TrialStore::path_in(folder.path())).unwrap();
    assert!(text.lines().count() <= 1 + 4, "{text}");
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
    assert!(found.best.epochs.is_none() && found.best.figure(Objective::Recall) > Some(0.3));
    let halved = TuningOptions { halving: true, ..options };
    let error = tune(&TuningPlan { options: &halved, ..plan }, &mut |_| Wish::Continue).unwrap_err();
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
    refused(&TuningPlan { options: &options(usize::MAX), ..plan }, "100000 points");
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
    refused(&TuningPlan { experiment: &huge, ..plan }, "side by side");
}

use super::*;
use crate::Model;
use crate::data::Dataset;
use crate::experiment::ModelKind;
use std::time::Duration;
use upnext_kernels::CounterRng;

/// Sessions over `days` days in which the next item usually follows from the last, and some are repeated.
fn data(sessions: u64, days: i64) -> Arc<Dataset> {
    let (rng, mut events) = (CounterRng::new(11, 0), Vec::new());
    for s in 0..sessions {
        let start = 1_700_000_000_000_000 + days * 86_400_000_000 * s as i64 / sessions as i64;
        let mut item = rng.below(100 * s, 30);
        for place in 0..3 + rng.below(100 * s + 1, 4) {
            events.push((s.to_string(), item.to_string(), start + place as i64 * 1_000_000));
            item = match rng.below(100 * s + 10 + place, 10) {
                0..6 => (item + 1) % 30,
                6..8 => item,
                _ => rng.below(100 * s + 50 + place, 30),
            };
        }
    }
    Arc::new(Dataset::from_events(events).unwrap().0)
}

fn plan<'a>(data: &Arc<Dataset>, out: &'a Path, budget: u64, resume: bool) -> AutoPlan<'a> {
    AutoPlan {
        data: Arc::clone(data),
        out,
        budget: Duration::from_secs(budget),
        objective: Objective::default(),
        threads: 1,
        seed: 3,
        resume,
        checkpoint_every: Duration::from_secs(600),
    }
}

fn go_on(_: AutoEvent) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

#[test]
fn without_time_for_a_network_the_best_of_the_cheap_models_is_saved() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("m");
    let report = auto(&plan(&data(600, 6), &out, 0, false), &mut go_on).unwrap();
    assert_eq!(report.windows.len(), 3);
    assert!(report.windows.iter().all(|window| window.learning_cases > 50 && window.judging_cases > 50));
    assert_eq!(report.skipped.len(), 4);
    let names: Vec<&str> = report.members.iter().map(|member| member.name.as_str()).collect();
    assert_eq!(names, ["sr", "vstan", "repeat", "decay-pop-fast", "decay-pop-slow"]);
    let winner = &report.candidates[report.winner];
    let alone = report.candidates.iter().filter(|candidate| candidate.members.len() == 1);
    assert!(alone.clone().all(|one| one.figures.mrr <= winner.figures.mrr * 1.001), "{report:?}");
    assert!(winner.members.len() > 1 && winner.behind.is_none(), "{winner:?}");
    let model = Model::load(&out).unwrap();
    assert_eq!(model.kind(), ModelKind::Blend);
    assert_eq!(model.recommend(&["4"], 3).unwrap().items[0].id, "5");
    assert!(!trainings_of(&out).exists());
}

#[test]
fn a_last_day_of_few_sessions_judges_nothing() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("m");
    let day = 86_400_000_000;
    let session = |s: i64, start: i64| {
        (0..3).map(move |place| (s.to_string(), ((s + place) % 20).to_string(), start + place * 1_000_000))
    };
    let events =
        (0..400).flat_map(|s| session(s, s * 60_000_000)).chain((400..404).flat_map(|s| session(s, 2 * day)));
    let data = Arc::new(Dataset::from_events(events).unwrap().0);
    let report = auto(&plan(&data, &out, 0, false), &mut go_on).unwrap();
    let judging: usize = report.windows.iter().map(|window| window.judging_sessions).sum();
    assert!(report.windows.len() == 3 && judging >= 25, "{:?}", report.windows);
}

#[test]
fn a_run_that_is_stopped_has_a_model_and_goes_on_to_the_same_end() {
    let place = tempfile::tempdir().unwrap();
    let (whole, parts) = (place.path().join("whole"), place.path().join("parts"));
    let data = data(300, 6);
    let first = auto(&plan(&data, &whole, 3600, false), &mut go_on).unwrap();
    assert!(first.members.iter().any(|member| member.kind == ModelKind::Gru4rec));
    // It stops in the second epoch of the first network.
    let mut epochs = 0;
    let mut stop = |event: AutoEvent| {
        epochs += usize::from(matches!(event, AutoEvent::Fit(FitEvent::Epoch(_))));
        if epochs > 1 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let stopped = auto(&plan(&data, &parts, 3600, false), &mut stop).unwrap_err();
    assert!(matches!(stopped, Error::Stopped));
    assert!(Model::load(&parts).is_ok() && trainings_of(&parts).exists());
    let waiting = auto(&plan(&data, &parts, 3600, false), &mut go_on).unwrap_err().to_string();
    assert!(waiting.contains("go on with it by --resume"), "{waiting}");
    let other = plan(&data, &parts, 3600, true);
    let other = auto(&AutoPlan { seed: 4, ..other }, &mut go_on).unwrap_err().to_string();
    assert!(other.contains("seed"), "{other}");
    let second = auto(&plan(&data, &parts, 3600, true), &mut go_on).unwrap();
    let figures = |report: &AutoReport| {
        report.candidates.iter().map(|c| (c.members.clone(), c.figures)).collect::<Vec<_>>()
    };
    assert_eq!(figures(&first), figures(&second));
    assert_eq!(Model::load(&whole).unwrap().arrays(), Model::load(&parts).unwrap().arrays());
}

#[test]
fn a_resumed_run_keeps_the_better_model_until_it_has_come_as_far_and_knows_what_trainings_took() {
    let place = tempfile::tempdir().unwrap();
    let (out, data) = (place.path().join("m"), data(300, 6));
    // It stops as soon as a network is saved as the best.
    let mut saved = Vec::new();
    let mut stop = |event: AutoEvent| {
        if let AutoEvent::Best { candidate, is_new: true } = event {
            saved = candidate.members.clone();
        }
        let is_there = saved.iter().any(|member| member.starts_with("gru4rec"));
        if is_there { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    auto(&plan(&data, &out, 3600, false), &mut stop).unwrap_err();
    let members = || -> Vec<String> {
        Model::load(&out).unwrap().experiment().members().into_iter().map(|(name, _)| name).collect()
    };
    assert_eq!(members(), saved);
    // Stopped again before it has come as far, it has not replaced that model by one of the cheap ones.
    let mut events = 0;
    let mut stop = |event: AutoEvent| {
        assert!(!matches!(event, AutoEvent::Best { .. }), "{event:?}");
        events += usize::from(matches!(event, AutoEvent::Training { window: Some((3, 3)), .. }));
        if events > 5 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    auto(&plan(&data, &out, 3600, true), &mut stop).unwrap_err();
    assert_eq!(members(), saved);
    let text = std::fs::read_to_string(trainings_of(&out).join("run.json")).unwrap();
    let state: serde_json::Value = serde_json::from_str(&text).unwrap();
    let network = saved.iter().find(|member| member.starts_with("gru4rec")).unwrap();
    let took = &state["trainings"][format!("{network}-all")];
    let report = auto(&plan(&data, &out, 3600, true), &mut go_on).unwrap();
    let winner = &report.candidates[report.winner].members;
    for member in &report.members {
        assert_eq!(member.final_seconds.is_some(), winner.contains(&member.name), "{}", member.name);
    }
    let own = report.members.iter().find(|member| member.name == *network).unwrap();
    assert!(own.final_seconds.is_none_or(|seconds| seconds >= took.as_f64().unwrap()));
    assert!(report.seconds >= state["seconds"].as_f64().unwrap());
}

#[test]
fn figures_of_models_alone_are_those_of_an_evaluation() {
    use crate::comparison::windows_of_days;
    use crate::data::Sessions;
    use crate::evaluation::{EvaluationConfig, evaluate};
    use crate::fit::{FitOptions, fit};
    let (place, data) = (tempfile::tempdir().unwrap(), data(300, 6));
    let report = auto(&plan(&data, &place.path().join("m"), 0, false), &mut go_on).unwrap();
    for member in &report.members {
        let (mut recall, mut mrr, mut cases) = (0.0, 0.0, 0);
        for window in windows_of_days(&data, 3).unwrap() {
            let mut judging = Sessions::new();
            for s in (1..window.judge.len()).step_by(2) {
                judging.push(window.judge.session(s), window.judge.start(s));
            }
            let model = fit(window.fit, &member.experiment, FitOptions::default()).unwrap().model;
            let options = EvaluationConfig::default();
            let go_on = |_: usize| ControlFlow::Continue(());
            let own = evaluate(model.recommender(), model.items(), &judging, &options, 1, &go_on).unwrap();
            let at = own.metrics.last().unwrap();
            recall += at.recall * own.cases as f64;
            mrr += at.mrr * own.cases as f64;
            cases += own.cases;
        }
        let Figures { recall: own_recall, mrr: own_mrr, .. } = member.figures;
        assert!((recall / cases as f64 - own_recall).abs() < 1e-12, "{}", member.name);
        assert!((mrr / cases as f64 - own_mrr).abs() < 1e-12, "{}", member.name);
    }
}

#[test]
fn a_folder_that_is_not_of_a_run_is_refused_and_left_as_it_is() {
    let place = tempfile::tempdir().unwrap();
    let (out, data) = (place.path().join("m"), data(300, 6));
    let (folder, mine) = (trainings_of(&out), trainings_of(&out).join("mine.txt"));
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(&mine, "precious").unwrap();
    for resume in [false, true] {
        let refused = auto(&plan(&data, &out, 0, resume), &mut go_on).unwrap_err();
        assert!(matches!(refused, Error::WillNotReplace { .. }), "{refused}");
    }
    assert!(mine.exists() && !out.exists());
    std::fs::remove_file(&mine).unwrap();
    // What is put there during a run stays.
    let mut put = |event: AutoEvent| {
        if matches!(event, AutoEvent::Judged(_)) {
            std::fs::write(&mine, "precious").unwrap();
        }
        ControlFlow::Continue(())
    };
    auto(&plan(&data, &out, 0, false), &mut put).unwrap();
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1);
    assert!(mine.exists());
}

#[test]
fn a_second_run_for_the_same_model_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let (out, data) = (place.path().join("m"), data(300, 6));
    let mut refused = None;
    let mut begin = |_: AutoEvent| {
        if refused.is_none() {
            refused = auto(&plan(&data, &out, 0, true), &mut go_on).err();
        }
        ControlFlow::Continue(())
    };
    auto(&plan(&data, &out, 0, false), &mut begin).unwrap();
    let refused = refused.unwrap().to_string();
    assert!(refused.contains("another process is at work"), "{refused}");
}

#[test]
fn new_items_are_a_share_of_all_events_of_the_last_window() {
    let mut events = Vec::new();
    let mut session = |s: i64, day: i64, items: &[&str]| {
        for (place, item) in (0..).zip(items) {
            let time = 1_700_000_000_000_000 + day * 86_400_000_000 + s * 1_000_000 + place;
            events.push((s.to_string(), (*item).to_owned(), time));
        }
    };
    for s in 0..20 {
        session(s, s / 4, &["a", "b", "c"]);
    }
    // Of ten events, four are on new items; one session is too short without them.
    session(20, 6, &["a", "new", "b", "c"]);
    session(21, 6, &["a", "b", "newer"]);
    session(22, 6, &["a", "new", "newer"]);
    let data = Arc::new(Dataset::from_events(events).unwrap().0);
    let place = tempfile::tempdir().unwrap();
    let report = auto(&plan(&data, &place.path().join("m"), 0, false), &mut go_on).unwrap();
    assert!((report.character.new_items - 0.4).abs() < 1e-12, "{:?}", report.character);
    // Two sessions that judge are too few for an interval.
    assert!(report.windows.iter().map(|window| window.judging_sessions).sum::<usize>() < 30);
    assert!(report.candidates.iter().all(|candidate| candidate.behind.is_none() && !candidate.refined));
}

#[test]
fn a_log_that_is_too_short_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("m");
    let events = [("a", "x", 1), ("a", "y", 2), ("b", "x", 3), ("b", "y", 4)];
    let data = Arc::new(Dataset::from_events(events).unwrap().0);
    let refused = auto(&plan(&data, &out, 60, false), &mut go_on).unwrap_err().to_string();
    assert!(refused.contains("too few sessions to judge models on"), "{refused}");
    assert!(!out.exists() && !trainings_of(&out).exists());
}

#[test]
fn objectives_are_metrics_at_20() {
    assert_eq!("recall@20".parse::<Objective>().unwrap().to_string(), "recall@20");
    let refused = "hits".parse::<Objective>().unwrap_err().to_string();
    assert!(refused.contains("mrr@20"), "{refused}");
}

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
    assert!(waiting.contains("--resume") || waiting.contains("resume"), "{waiting}");
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
fn a_log_that_is_too_short_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("m");
    let events = [("a", "x", 1), ("a", "y", 2), ("b", "x", 3), ("b", "y", 4)];
    let data = Arc::new(Dataset::from_events(events).unwrap().0);
    let refused = auto(&plan(&data, &out, 60, false), &mut go_on).unwrap_err().to_string();
    assert!(refused.contains("session"), "{refused}");
    assert!(!out.exists());
}

#[test]
fn objectives_are_metrics_at_20() {
    assert_eq!("recall@20".parse::<Objective>().unwrap().to_string(), "recall@20");
    let refused = "hits".parse::<Objective>().unwrap_err().to_string();
    assert!(refused.contains("mrr@20"), "{refused}");
}

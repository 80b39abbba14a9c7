//! Training of a model and ranking of its test cases, with progress bars and a flag that stops training.

use crate::next_clicks::Unknown;
use crate::progress::{EpochBar, Progress, Unit};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use upnext_core::data::{ItemVocabulary, Sessions, TestSessions};
use upnext_core::evaluation::{Births, Evaluation, EvaluationConfig, evaluate, evaluate_with_births};
use upnext_core::history::Ended;
use upnext_core::model::Model;
use upnext_core::recommender::Recommender;
use upnext_core::training::{TrainingPlan, train};

/// A trained model and its training time.
pub(crate) struct Trained {
    pub(crate) loaded: Model,
    /// Seconds of all epochs, including those of earlier processes; for models without epochs, of fitting.
    pub(crate) seconds: f64,
}

/// Trains a model, saves it and loads it again; `None` if `stop` was set before training was finished.
pub(crate) fn train_until_stopped(
    plan: TrainingPlan,
    quiet: bool,
    stop: &AtomicBool,
) -> anyhow::Result<Option<Trained>> {
    let (begun, out) = (Instant::now(), plan.out);
    let mut bar = EpochBar::new(quiet);
    let outcome = train(plan, &mut |event| {
        bar.show(&event);
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let outcome = match outcome {
        Err(upnext_core::Error::Stopped) => return Ok(None),
        outcome => outcome?,
    };
    let fitting = begun.elapsed().as_secs_f64();
    if outcome.ended == Ended::Interrupted {
        return Ok(None);
    }
    // A resumed or finished training took longer than this call.
    let seconds = if outcome.summary.epochs.is_empty() { fitting } else { outcome.summary.seconds() };
    Ok(Some(Trained { loaded: Model::load(out)?, seconds }))
}

/// Ranks the targets of all cases of the sessions.
pub(crate) fn rank(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    sessions: &Sessions,
    options: &EvaluationConfig,
    threads: usize,
    quiet: bool,
) -> upnext_core::Result<Evaluation> {
    rank_while((model, items), sessions, options, threads, quiet, &|| ControlFlow::Continue(()))
}

/// As [`rank`], for a test part; if unknown items are ranked, among the items that exist at the time of each case.
pub(crate) fn rank_test(
    model: &dyn Recommender,
    items: &ItemVocabulary,
    (test, unknown): (&TestSessions, Unknown),
    options: &EvaluationConfig,
    threads: usize,
    quiet: bool,
) -> upnext_core::Result<Evaluation> {
    if unknown != Unknown::Rank {
        return rank(model, items, &test.sessions, options, threads, quiet);
    }
    let births = Births::new(items, test, |_| None);
    let progress = bar(&test.sessions, quiet);
    evaluate_with_births(model, items, &births, options, threads, &|more| {
        progress.add(more as u64);
        ControlFlow::Continue(())
    })
}

fn bar(sessions: &Sessions, quiet: bool) -> Progress {
    let progress = Progress::new(quiet, "ranking", Unit::Events);
    progress.at(0, (sessions.num_events() - sessions.len()) as u64);
    progress
}

/// As [`rank`], until `go_on` breaks.
pub(crate) fn rank_while(
    (model, items): (&dyn Recommender, &ItemVocabulary),
    sessions: &Sessions,
    options: &EvaluationConfig,
    threads: usize,
    quiet: bool,
    go_on: &(dyn Fn() -> ControlFlow<()> + Sync),
) -> upnext_core::Result<Evaluation> {
    let progress = bar(sessions, quiet);
    evaluate(model, items, sessions, options, threads, &|more| {
        progress.add(more as u64);
        go_on()
    })
}

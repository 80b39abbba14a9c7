//! `upnext compare --windows N`: models are judged on the last windows of the training part, without a look at the test
//! part.

mod outcome;

use super::contenders::{Contender, Source};
use super::folder::ModelsFolder;
use super::outcome::Failed;
use super::{CompareArgs, report};
use crate::interrupt;
use crate::item_table::described;
use crate::next_clicks::Unknown;
use crate::output::{command_line, in_flags, warn};
use crate::page;
use crate::train_and_rank::{Trained, rank, train_until_stopped};
use outcome::{WindowReport, WindowsRow, describe};
pub(super) use outcome::{WindowsOutcome, by_window, facts, value};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use upnext_core::Error;
use upnext_core::comparison::{BootstrapOptions, Window, WindowCut, compare_over_windows, windows};
use upnext_core::data::{Dataset, Sessions, format_time};
use upnext_core::data::{PartName, PreparedFolder};
use upnext_core::evaluation::{Evaluation, EvaluationConfig, MetricsAt};
use upnext_core::experiment::Experiment;
use upnext_core::training::TrainingPlan;

/// Checks that the arguments make sense with `--windows`.
pub(super) fn check(args: &CompareArgs, contenders: &[Contender]) -> upnext_core::Result<()> {
    let refused = |reason: String| Err(Error::config("--windows", reason));
    if let Some(contender) = contenders.iter().find(|contender| contender.source.folder().is_some()) {
        return refused(format!(
            "{} is a trained model, which may have learnt the sessions of the windows: name kinds and experiment files, of which every window trains a model",
            contender.name
        ));
    }
    for (is_given, option, why) in [
        (
            args.test.is_some(),
            "TEST",
            "models are judged on windows of the training part, and no test log is read",
        ),
        (args.cases.cases.is_some(), "--cases", "cases are written of a test part"),
        (
            args.cases.unknown != Unknown::LeaveOut,
            "--unknown",
            "next clicks on items that are new in a window are left out",
        ),
        (args.keep.is_some(), "--keep", "every window trains models of its own, which are not kept"),
        (args.catalogue.is_some(), "--catalogue", "the report has no examples"),
    ] {
        if is_given {
            return refused(format!("is not for use with {option}: {why}"));
        }
    }
    Ok(())
}

/// Runs the command.
pub(super) fn run(
    args: &CompareArgs,
    contenders: &[Contender],
    evaluation: &EvaluationConfig,
    (threads, count): (usize, usize),
) -> anyhow::Result<()> {
    let log =
        args.read.read(&[&PreparedFolder::resolve(&args.train, PartName::Train)?], args.output.quiet)?;
    warn(&log.report().warnings);
    let (train, _) = Dataset::from_log(log)?;
    let train = described(train, args.item_table.read(&args.read)?.as_ref());
    let has_times = !train.sessions.times_are_counter();
    let windows = windows(&train, count)?;
    drop(train);

    let folder = ModelsFolder::new(None)?;
    let stop = interrupt::listen("stopping after this mini-batch or evaluation")?;
    let (cut, mut reports) = (windows[0].cut, Vec::new());
    let mut of_models: Vec<Result<Vec<Judged>, String>> = contenders.iter().map(|_| Ok(Vec::new())).collect();
    for (number, window) in windows.into_iter().enumerate() {
        let Window { fit, judge, dropped, first_start_us, last_start_us, .. } = window;
        let shown = |time| has_times.then(|| format_time(time));
        reports.push(WindowReport {
            first_start: shown(first_start_us),
            last_start: shown(last_start_us),
            fit_sessions: fit.sessions.len(),
            fit_events: fit.sessions.num_events(),
            items: fit.items.len(),
            sessions: judge.len(),
            cases: judge.num_events() - judge.len(),
            dropped,
        });
        let fit = Arc::new(fit);
        for (contender, judged) in contenders.iter().zip(&mut of_models) {
            let Ok(done) = judged else { continue };
            match judge_one(args, contender, evaluation, (&fit, &judge), &folder, threads, &stop) {
                Ok(model) => {
                    if !args.output.quiet {
                        let at = model.evaluation.metrics[model.evaluation.metrics.len() - 1];
                        eprintln!(
                            "window {} of {count}, {}: recall@{} {:.4}, mrr@{} {:.4}",
                            number + 1,
                            contender.name,
                            at.k,
                            at.recall,
                            at.k,
                            at.mrr
                        );
                    }
                    done.push(model);
                }
                Err(error) if stop.load(Ordering::SeqCst) => return Err(error),
                Err(error) => {
                    let reason = format!("window {}: {}", number + 1, in_flags(&format!("{error:#}")));
                    warn(&[format!("{} failed: {reason}", contender.name)]);
                    *judged = Err(reason);
                }
            }
        }
    }
    let outcome = outcome(args, contenders, evaluation, (cut, reports), of_models, threads)?;
    page::write_and_print(args.report.as_deref(), &args.output, &outcome, report::windows_page, describe)?;
    super::all_succeeded(&outcome.failed, contenders.len())
}

/// A model of a window.
struct Judged {
    evaluation: Evaluation,
    training_seconds: f64,
    experiment: Experiment,
}

/// Trains a model on the sessions before a window, and ranks the cases of the window.
fn judge_one(
    args: &CompareArgs,
    contender: &Contender,
    options: &EvaluationConfig,
    (fit, judge): (&Arc<Dataset>, &Sessions),
    folder: &ModelsFolder,
    threads: usize,
    stop: &AtomicBool,
) -> anyhow::Result<Judged> {
    debug_assert!(!matches!(contender.source, Source::Saved(_)), "a trained model has been refused");
    let out = folder.of(contender);
    let plan = TrainingPlan {
        data: Arc::clone(fit),
        validation: None,
        refit: None,
        experiment: &contender.experiment,
        threads,
        out: &out,
        init: None,
        resume: false,
        checkpoint_every: Duration::from_secs(600),
        keep_training_state: false,
    };
    let Some(Trained { loaded, seconds }) = train_until_stopped(plan, args.output.quiet, stop)? else {
        anyhow::bail!("interrupted while {} was trained", contender.name);
    };
    if stop.load(Ordering::SeqCst) {
        anyhow::bail!("interrupted");
    }
    let evaluation = rank(loaded.recommender(), loaded.items(), judge, options, threads, args.output.quiet)?;
    Ok(Judged { evaluation, training_seconds: seconds, experiment: loaded.experiment().resolved() })
}

fn outcome(
    args: &CompareArgs,
    contenders: &[Contender],
    options: &EvaluationConfig,
    (cut, windows): (WindowCut, Vec<WindowReport>),
    of_models: Vec<Result<Vec<Judged>, String>>,
    threads: usize,
) -> anyhow::Result<WindowsOutcome> {
    let (mut models, mut failed, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for (contender, judged) in contenders.iter().zip(of_models) {
        let name = contender.name.clone();
        let judged = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                failed.push(Failed { name, reason });
                continue;
            }
        };
        let Some(first) = judged.first() else { continue };
        let at = |cutoff: usize| -> Vec<MetricsAt> {
            judged.iter().filter_map(|model| model.evaluation.metrics.get(cutoff).copied()).collect()
        };
        models.push(WindowsRow {
            name,
            kind: contender.experiment.model.kind(),
            experiment: Experiment { evaluation: options.clone(), ..first.experiment.clone() },
            training_seconds: judged.iter().map(|model| model.training_seconds).sum(),
            prediction_seconds: judged.iter().map(|model| model.evaluation.seconds).sum(),
            mean: (0..options.cutoffs.len()).filter_map(|cutoff| MetricsAt::mean(&at(cutoff))).collect(),
            windows: judged.iter().map(|model| model.evaluation.metrics.clone()).collect(),
        });
        kept.push(judged);
    }
    if models.is_empty() {
        anyhow::bail!(
            "no model could be judged: {}",
            failed
                .iter()
                .map(|f: &Failed| format!("{}: {}", f.name, f.reason))
                .collect::<Vec<_>>()
                .join("; ")
        );
    }
    let evaluations: Vec<Vec<&Evaluation>> = (0..windows.len())
        .map(|window| kept.iter().map(|judged| &judged[window].evaluation).collect())
        .collect();
    let bootstrap = BootstrapOptions { resamples: args.resamples, seed: args.seed.unwrap_or(1) };
    Ok(WindowsOutcome {
        version: env!("CARGO_PKG_VERSION"),
        command: command_line(),
        threads,
        train: args.train.clone(),
        evaluation: options.clone(),
        cut,
        windows,
        models,
        failed,
        comparison: compare_over_windows(&evaluations, &options.cutoffs, bootstrap, threads),
    })
}

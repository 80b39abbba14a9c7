//! `upnext auto`: the best model for a log within a budget of time.

mod live;
mod outcome;
mod page;

use crate::experiment::ThreadArgs;
use crate::interrupt;
use crate::numbers::seed;
use crate::output::{OutputArgs, command_again, shell_word, thousands, warn};
use crate::page as pages;
use crate::reading::ReadArgs;
use crate::train_and_rank::rank_while;
use anyhow::Context;
use live::Live;
use outcome::{Outcome, Served, TestResult, describe};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use upnext_core::Model;
use upnext_core::artifact::Artifact;
use upnext_core::auto::{AutoPlan, Objective, WindowReport, auto, trainings_of};
use upnext_core::data::{Dataset, PartName, PreparedFolder, TestSessions, TimeSpan};
use upnext_core::evaluation::EvaluationConfig;

/// Number of sessions that judge below which a warning says that the choice is mostly chance.
const FEW_SESSIONS: usize = 100;

/// Number of sessions that judge, in all windows.
fn judging_sessions(windows: &[WindowReport]) -> usize {
    windows.iter().map(|window| window.judging_sessions).sum()
}

/// Find, train and save the best model for a log.
///
/// Cheap models come first, so that a model is there after minutes; networks follow as far as the time allows. Every
/// candidate is judged on the last days of the training part, by models that were fitted on the days before; the best one,
/// usually a blend of several, is trained on all of it. Ctrl-C keeps the best model so far, and --resume goes on.
#[derive(clap::Args, Debug)]
pub(crate) struct AutoArgs {
    /// Training log, or a folder that `prepare` made
    #[arg(value_name = "TRAIN")]
    train: PathBuf,

    /// Folder for the model; an earlier model there is replaced as soon as there is a new one
    #[arg(long, short, value_name = "MODEL")]
    out: PathBuf,

    /// Time for all of it, such as 20m, 2h or 1d; networks that would need more are left out
    #[arg(long, value_name = "SPAN", default_value = "30m")]
    budget: TimeSpan,

    /// What the best model has the most of: recall@20, mrr@20 or ndcg@20
    #[arg(long, value_name = "METRIC", default_value_t = Objective::default(), value_parser = objective)]
    objective: Objective,

    /// Write a page that shows what was tried, what won, and by how much
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Continue an interrupted run; without one, begin
    #[arg(long)]
    resume: bool,

    /// Seed of all random numbers
    #[arg(long, value_name = "N", value_parser = seed, default_value_t = 42)]
    seed: u64,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

fn objective(text: &str) -> Result<Objective, String> {
    text.parse().map_err(|error: upnext_core::Error| match error {
        upnext_core::Error::Config { reason, .. } => reason,
        other => other.to_string(),
    })
}

/// Runs the command.
pub(crate) fn run(args: &AutoArgs) -> anyhow::Result<()> {
    let threads = args.threads.threads()?;
    // Checked before the log is read, which may take long.
    Artifact::check_target(&args.out)?;
    if let Some(report) = &args.report {
        pages::check(report)?;
    }
    let (data, test) = read(args)?;
    let stop = interrupt::listen("stopping, to keep the trainings and the best model so far")?;
    let plan = AutoPlan {
        data: Arc::clone(&data),
        out: &args.out,
        budget: Duration::from_micros(args.budget.micros().unsigned_abs()),
        objective: args.objective,
        threads,
        seed: args.seed,
        resume: args.resume,
        checkpoint_every: Duration::from_secs(600),
    };
    let mut live = Live::new(args.output.quiet);
    let found = auto(&plan, &mut |event| {
        live.show(&event);
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(live);
    let report = found.map_err(|error| match error {
        upnext_core::Error::Stopped => interrupted(&args.out),
        error => error.into(),
    })?;
    let model = Model::load(&args.out)?;
    let test = test.map(|test| judge(&model, &test, threads, args)).transpose()?.flatten();
    let outcome = Outcome {
        train: &args.train,
        out: &args.out,
        served: Served::measure(&model, &data, &args.out)?,
        report,
        test,
        threads,
    };
    pages::write_and_print(args.report.as_deref(), &args.output, &outcome, page::page, describe)
}

/// Reads the training part, and the test part of a prepared folder.
fn read(args: &AutoArgs) -> anyhow::Result<(Arc<Dataset>, Option<TestSessions>)> {
    let quiet = args.output.quiet;
    let mut log = args.read.read(&[PreparedFolder::resolve(&args.train, PartName::Train)?], quiet)?;
    warn(&log.report().warnings);
    let mut test = None;
    if PreparedFolder::is_at(&args.train) {
        let folder = PreparedFolder::open(&args.train)?;
        if folder.has_part(PartName::Test) {
            let mut part = args.read.read(&[folder.part(PartName::Test)?], quiet)?;
            let common = log.grouped().in_both(&part.grouped());
            if common > 0 {
                let count = thousands(common);
                warn(&[format!(
                    "{count} sessions of the test part are in the training part, too: its figures are too good"
                )]);
            }
            test = Some(part);
        }
    }
    let (data, dropped) = Dataset::from_log(log)?;
    if dropped.short_sessions > 0 && !quiet {
        let count = thousands(dropped.short_sessions);
        eprintln!("{count} sessions of a single event are left out: they have no next item to learn");
    }
    let test = test.map(|test| TestSessions::from_log(test, &data.items)).transpose();
    Ok((Arc::new(data), test.context("the test part cannot be used")?))
}

/// The figures of the model on the test part, which is looked at once; `None` if Ctrl-C was pressed meanwhile.
fn judge(
    model: &Model,
    test: &TestSessions,
    threads: usize,
    args: &AutoArgs,
) -> anyhow::Result<Option<TestResult>> {
    let begun = Instant::now();
    let (options, quiet) = (EvaluationConfig::default(), args.output.quiet);
    let of_model = (model.recommender(), model.items());
    match rank_while(of_model, &test.sessions, &options, threads, quiet, &interrupt::check) {
        Ok(evaluation) => Ok(Some(TestResult { evaluation, seconds: begun.elapsed().as_secs_f64() })),
        Err(upnext_core::Error::Stopped) => {
            let words = [&args.out, &args.train].map(|path| shell_word(&path.display().to_string()));
            let command = format!("upnext evaluate {} {}", words[0], words[1]);
            warn(&[format!(
                "interrupted before the figures on the test part; the model is saved: {command}"
            )]);
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

fn interrupted(out: &Path) -> anyhow::Error {
    let saved = if Artifact::exists(out) {
        format!("the best model so far is in {}", out.display())
    } else {
        "there is no model yet".to_owned()
    };
    anyhow::anyhow!(
        "interrupted; {saved}, and the trainings are kept in {}. Go on by\n  {}",
        trainings_of(out).display(),
        command_again("--resume")
    )
}

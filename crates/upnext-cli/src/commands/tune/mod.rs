//! `upnext tune`: hyper-parameter search on a log.

mod data;
mod final_stage;
mod live;
mod outcome;
mod report;

use crate::experiment::{ExperimentArgs, ThreadArgs};
use crate::interrupt;
use crate::item_table::TrainedItemsArgs;
use crate::numbers::one_or_more;
use crate::output::{OutputArgs, command_again, print};
use crate::page;
use crate::ranking::RankingArgs;
use crate::reading::ReadArgs;
use data::SearchData;
use final_stage::{EarlierResult, FinalStage};
use live::Live;
use outcome::{Outcome, describe};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use upnext_core::artifact::Artifact;
use upnext_core::data::{Holdout, PreparedFolder, TimeSpan};
use upnext_core::experiment::{DataConfig, Experiment};
use upnext_core::replace::replace_file;
use upnext_core::training::checkpoint_of;
use upnext_core::tuning::{
    Objective, Sampler, SearchSpace, TrialStore, TuningOptions, TuningPlan, tune_locked,
};

/// Search for the best parameters of a model.
///
/// The procedure is that of the paper: points of a search space are trained and evaluated on a validation part; the best
/// one is improved one parameter at a time, trained again on the whole training part, and evaluated once on the test
/// part, which the search never sees. Every trial is stored when it ends: --resume continues a search that was stopped
/// or killed.
#[derive(clap::Args, Debug)]
pub(crate) struct TuneArgs {
    /// Training log, or a folder that `prepare` made
    #[arg(value_name = "TRAIN", required_unless_present = "show_space")]
    train: Option<PathBuf>,

    /// Folder of the search: its trials, the report, and the best model
    #[arg(long, value_name = "DIR", default_value = "tuned")]
    out: PathBuf,

    /// Search space (TOML), as --show-space prints one [default: that of the model's kind]
    #[arg(long, value_name = "FILE")]
    space: Option<PathBuf>,

    /// Print the search space of the model's kind, as a file to start from
    #[arg(long)]
    show_space: bool,

    /// Number of points to sample
    #[arg(long, value_name = "N", value_parser = one_or_more::<usize>, default_value_t = TuningOptions::default().trials)]
    trials: usize,

    /// Metric to maximise on the validation part, at the largest cut-off
    #[arg(long, value_enum, default_value_t = ObjectiveArg::Recall)]
    objective: ObjectiveArg,

    /// How points are sampled
    #[arg(long, value_enum, default_value_t = SamplerArg::Random)]
    sampler: SamplerArg,

    /// Stop the worst trials after a ninth and a third of their epochs (successive halving)
    #[arg(long)]
    halving: bool,

    /// Skip improving the best point one parameter at a time
    #[arg(long)]
    no_refine: bool,

    /// Continue a search that was stopped or killed
    #[arg(long)]
    resume: bool,

    /// Run the search together with other processes, on machines that share the folder: the same command on each of them.
    /// Each trial is run by one; --resume is not needed
    #[arg(long)]
    shared: bool,

    /// With --shared: how long the process of a trial may give no sign of life until another one takes the trial over
    #[arg(long, value_name = "SPAN", default_value = "1m", requires = "shared")]
    lease: TimeSpan,

    /// With a single log: a validation log of other sessions, instead of its end
    #[arg(long, value_name = "LOG")]
    valid: Option<PathBuf>,

    /// With a single log: the length of the validation part at its end, written as --holdout of `upnext prepare`
    #[arg(long, value_name = "SPAN|SHARE|SESSIONS", default_value = "1d")]
    validation: Holdout,

    /// Test log on which the best model is evaluated, once [default: the test part of a prepared folder]
    #[arg(long, value_name = "LOG")]
    test: Option<PathBuf>,

    #[command(flatten)]
    experiment: ExperimentArgs,

    #[command(flatten)]
    item_table: TrainedItemsArgs,

    #[command(flatten)]
    ranking: RankingArgs,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ObjectiveArg {
    /// Recall, the paper's main metric
    Recall,
    /// Mean reciprocal rank
    Mrr,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum SamplerArg {
    /// Every point independently, as in the paper
    Random,
    /// After 20 random points, close to good ones (tree-structured Parzen estimator)
    Tpe,
}

/// Name of the result file in the search's folder.
const RESULT: &str = "result.json";

/// Name of the report in the search's folder.
const REPORT: &str = "report.html";

/// Name of the best model's folder in the search's folder.
const MODEL: &str = "model";

/// Name of the folder, in the search's folder, of the models that the best one is compared with.
const BESIDE: &str = "beside";

/// Runs the command.
pub(crate) fn run(args: &TuneArgs) -> anyhow::Result<()> {
    let mut experiment = args.experiment.with_any_seed(Experiment::default())?;
    if args.show_space {
        return print(SearchSpace::text_of_kind(experiment.model.kind())?);
    }
    // The published figures belong to other parameters.
    experiment.data = DataConfig::default();
    experiment.evaluation = args.ranking.over(experiment.evaluation)?;
    let Some(path) = &args.train else { unreachable!("clap asks for it unless --show-space is given") };
    let threads = args.threads.threads()?;
    let space = match &args.space {
        Some(file) => SearchSpace::load(file, &experiment)?,
        None => SearchSpace::of_kind(&experiment)?,
    };
    if args.valid.is_some() && PreparedFolder::is_at(path) {
        let reason = "is for a single log: a folder that `prepare` made has its validation part";
        return Err(upnext_core::Error::config("--valid", reason).into());
    }
    let options = options(args, &experiment);
    options.validate()?;
    check_out(args)?;
    // Locked before the logs are read, which may take long, so that a second search in the folder fails at once.
    let lock = if args.shared {
        TrialStore::share(&args.out, Duration::from_micros(args.lease.micros().unsigned_abs()))?
    } else {
        TrialStore::lock(&args.out)?
    };
    let test = data::test(args, path)?;
    let table = args.item_table.read(&args.read)?;
    let stop = interrupt::listen("stopping after these mini-batches or evaluations, to keep the search")?;

    let (found, valid_cases) = {
        let data = unless_stopped(SearchData::read(args, path, table.as_ref()), &args.out)?;
        let plan = TuningPlan {
            fit: &data.fit,
            valid: &data.valid.sessions,
            experiment: &experiment,
            space: &space,
            options: &options,
            threads,
            folder: &args.out,
        };
        let mut live = Live::new(args.output.quiet, &options, &space, &experiment);
        let found = tune_locked(&plan, lock, &mut |event| {
            live.at(&event);
            if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        match found {
            Some(found) => {
                let valid = &data.valid.sessions;
                (found, valid.iter().map(|session| session.len().saturating_sub(1)).sum())
            }
            None => return Err(interrupted(&args.out)),
        }
    };
    wait_for_rest(&found.store, args, &stop)?;
    // Of an earlier process, or of one that was faster.
    let earlier = EarlierResult::read(&args.out);
    let mut outcome = Outcome::of(path, &args.out.join(MODEL), options, space, &experiment, &found);
    outcome.valid_cases = Some(valid_cases);
    write(&args.out, &outcome)?;
    if let Some((_, best)) = &found.best {
        let end =
            FinalStage { args, path, test: test.as_deref(), table: table.as_ref(), threads, stop: &stop };
        match end.train(&outcome.model, best)? {
            Ok((parts, loaded)) => {
                outcome.train_events = Some(parts.train.sessions.num_events());
                outcome.test = end.evaluate(earlier, &outcome, &experiment, parts, &loaded)?;
            }
            Err(reason) => outcome.failed = Some(reason),
        }
        write(&args.out, &outcome)?;
    }
    args.output.print(&outcome, |outcome| {
        format!("{}report in {}\n", describe(outcome), args.out.join(REPORT).display())
    })?;
    match (&outcome.best, &outcome.failed) {
        (None, _) => anyhow::bail!("none of the points that were trained to the end could be judged"),
        (_, Some(reason)) => anyhow::bail!("the best point failed on all of the training part: {reason}"),
        _ => Ok(()),
    }
}

/// Waits until this process does what comes after the search; one does it, and the others then find it done.
fn wait_for_rest(store: &TrialStore, args: &TuneArgs, stop: &AtomicBool) -> anyhow::Result<()> {
    let mut is_told = args.output.quiet;
    while !store.take_rest()? {
        if !is_told {
            eprintln!("the search has ended; another process trains the best point again");
            is_told = true;
        }
        if stop.load(Ordering::SeqCst) {
            return Err(interrupted(&args.out));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Writes the result and the report.
fn write(out: &Path, outcome: &Outcome) -> anyhow::Result<()> {
    let file = out.join(RESULT);
    let text = serde_json::to_vec_pretty(outcome)?;
    replace_file(&file, |mut out| out.write_all(&text).map_err(upnext_core::Error::io(&file, "write")))?;
    Ok(page::write(&out.join(REPORT), &report::page(outcome))?)
}

fn options(args: &TuneArgs, experiment: &Experiment) -> TuningOptions {
    TuningOptions {
        trials: args.trials,
        objective: match args.objective {
            ObjectiveArg::Recall => Objective::Recall,
            ObjectiveArg::Mrr => Objective::Mrr,
        },
        sampler: match args.sampler {
            SamplerArg::Random => Sampler::Random,
            SamplerArg::Tpe => Sampler::Tpe,
        },
        halving: args.halving,
        refine: !args.no_refine,
        seed: experiment.training.seed,
    }
}

/// Checks that the search can be stored in its folder, before it begins.
fn check_out(args: &TuneArgs) -> anyhow::Result<()> {
    let out = &args.out;
    if TrialStore::exists_in(out) && !args.resume && !args.shared {
        let reason = format!(
            "there is a search in {}: go on with it by --resume, or choose another folder",
            out.display()
        );
        return Err(upnext_core::Error::config("--out", reason).into());
    }
    std::fs::create_dir_all(out).map_err(upnext_core::Error::io(out, "make"))?;
    if !TrialStore::exists_in(out) && std::fs::read_dir(out)?.next().is_some() {
        let reason = format!("{} holds other things than a search: choose another folder", out.display());
        return Err(upnext_core::Error::config("--out", reason).into());
    }
    page::check(&out.join(REPORT))?;
    Artifact::check_target(out.join(MODEL))?;
    Artifact::check_target(checkpoint_of(&out.join(MODEL)))?;
    Ok(())
}

fn interrupted(out: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "interrupted; the trials so far are stored in {}. Go on by\n  {}",
        out.display(),
        command_again("--resume")
    )
}

/// Replaces the error of reading that Ctrl-C stopped by the advice how to resume.
fn unless_stopped<T>(read: anyhow::Result<T>, out: &Path) -> anyhow::Result<T> {
    read.map_err(|error| match error.downcast_ref() {
        Some(upnext_core::Error::Stopped) => interrupted(out),
        _ => error,
    })
}

//! `upnext tune`: which parameters are best on this log?

mod data;
mod live;
mod outcome;
mod report;

use crate::experiment::{ExperimentArgs, ThreadArgs};
use crate::interrupt;
use crate::judging::{rank, train_until_stopped};
use crate::output::{OutputArgs, command_again, command_line, print, warn};
use crate::page;
use crate::ranking::RankingArgs;
use crate::reading::ReadArgs;
use data::SearchData;
use live::Live;
use outcome::{Outcome, describe};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use upnext::artifact::Artifact;
use upnext::data::TimeSpan;
use upnext::experiment::{DataConfig, Experiment};
use upnext::gru4rec::Wish;
use upnext::replace::replace_file;
use upnext::training::Plan;
use upnext::tuning::{
    Found, Objective, Sampler, SearchSpace, TrialStore, TuningOptions, TuningPlan, importance, tune,
};

/// Search for a model's best parameters, as the paper did.
///
/// Points of a search space are trained and judged on a validation part, the best one is improved one parameter at a
/// time, trained again on all of the training part, and judged once on the test part, which the search never sees. Every
/// trial is stored as it ends: a search that was stopped or killed goes on with --resume.
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

    /// Print the search space of the model's kind, to begin with
    #[arg(long)]
    show_space: bool,

    /// Points to sample
    #[arg(long, value_name = "N", default_value_t = TuningOptions::default().trials)]
    trials: usize,

    /// What is to be large on the validation part, at the largest cut-off
    #[arg(long, value_enum, default_value_t = ObjectiveArg::Recall)]
    objective: ObjectiveArg,

    /// Where points come from
    #[arg(long, value_enum, default_value_t = SamplerArg::Random)]
    sampler: SamplerArg,

    /// Stop hopeless trials at a ninth and a third of their epochs (successive halving)
    #[arg(long)]
    halving: bool,

    /// Do not improve the best point one parameter at a time
    #[arg(long)]
    no_refine: bool,

    /// Go on with a search that was stopped or killed
    #[arg(long)]
    resume: bool,

    /// Validation log, instead of the `valid` part of the folder or the end of the log
    #[arg(long, value_name = "LOG")]
    valid: Option<PathBuf>,

    /// With a single log: the sessions that end within this of its last event are the validation part
    #[arg(long, value_name = "SPAN", default_value = "1d")]
    validation: TimeSpan,

    /// Test log to judge the best model by, once [default: the test part, where TRAIN is a folder that has one]
    #[arg(long, value_name = "LOG")]
    test: Option<PathBuf>,

    #[command(flatten)]
    experiment: ExperimentArgs,

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
    /// Every point by itself, as in the paper
    Random,
    /// After 20 random points, where good points are dense (tree-structured Parzen estimator)
    Tpe,
}

/// The file of the result in the search's folder.
const RESULT: &str = "result.json";

/// The page.
const REPORT: &str = "report.html";

/// The best model's folder.
const MODEL: &str = "model";

/// Runs the command.
pub(crate) fn run(args: &TuneArgs) -> anyhow::Result<()> {
    let mut experiment = args.experiment.experiment(Experiment::default())?;
    if args.show_space {
        return print(SearchSpace::text_of_kind(experiment.model.kind())?);
    }
    // The published figures are of other parameters.
    experiment.data = DataConfig::default();
    experiment.evaluation = args.ranking.over(experiment.evaluation)?;
    let Some(path) = &args.train else { unreachable!("clap asks for it unless --show-space is given") };
    let threads = args.threads.threads()?;
    let space = match &args.space {
        Some(file) => SearchSpace::load(file, &experiment)?,
        None => SearchSpace::of_kind(&experiment)?,
    };
    let options = options(args, &experiment);
    options.validate()?;
    check_out(args)?;
    let test = data::test(args, path)?;
    let stop = interrupt::listen("stopping after these mini-batches, to keep the search")?;

    let found = {
        let data = SearchData::read(args, path)?;
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
        let found = tune(&plan, &mut |event| {
            live.at(&event);
            if stop.load(Ordering::SeqCst) { Wish::Stop } else { Wish::Continue }
        })?;
        match found {
            Some(found) => found,
            None => return Err(interrupted(&args.out)),
        }
    };
    let outcome = finish(args, path, test.as_deref(), options, space, found, threads, &stop)?;
    page::write(&args.out.join(REPORT), &report::page(&outcome))?;
    args.output.print(&outcome, |outcome| {
        format!("{}report in {}\n", describe(outcome), args.out.join(REPORT).display())
    })
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

/// Whether the search can be kept in its folder, found before the hours of work.
fn check_out(args: &TuneArgs) -> anyhow::Result<()> {
    let out = &args.out;
    if TrialStore::exists_in(out) && !args.resume {
        let reason = format!(
            "there is a search in {}: go on with it by --resume, or choose another folder",
            out.display()
        );
        return Err(upnext::Error::config("--out", reason).into());
    }
    std::fs::create_dir_all(out).map_err(upnext::Error::io(out, "make"))?;
    if !TrialStore::exists_in(out) && std::fs::read_dir(out)?.next().is_some() {
        let reason = format!("{} holds other things than a search: choose another folder", out.display());
        return Err(upnext::Error::config("--out", reason).into());
    }
    page::check(&out.join(REPORT))?;
    Artifact::check_target(out.join(MODEL))?;
    Ok(())
}

fn interrupted(out: &Path) -> anyhow::Error {
    anyhow::anyhow!(
        "interrupted; the trials so far are stored in {}. Go on by\n  {}",
        out.display(),
        command_again("--resume")
    )
}

/// Trains the best model again on all of the training part, and judges it on the test part, unless that has been done.
#[allow(clippy::too_many_arguments, reason = "the parts of one outcome, each made elsewhere")]
fn finish(
    args: &TuneArgs,
    path: &Path,
    test: Option<&Path>,
    options: TuningOptions,
    space: SearchSpace,
    found: Found,
    threads: usize,
    stop: &AtomicBool,
) -> anyhow::Result<Outcome> {
    let file = args.out.join(RESULT);
    let model = args.out.join(MODEL);
    let earlier: Option<outcome::Test> = std::fs::read(&file)
        .ok()
        .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        .filter(|result| {
            let same =
                serde_json::to_value(&found.best.values).is_ok_and(|best| best == result["best"]["values"]);
            same && result["test"]["log"] == serde_json::json!(test)
        })
        .and_then(|result| serde_json::from_value(result["test"].clone()).ok());
    let train_data = data::read_all(args, path)?;
    let mut experiment = found.experiment.clone();
    if let Some(epochs) = found.best.epochs {
        experiment.training.epochs = epochs;
    }
    if Artifact::load(&model).is_ok_and(|old| old.manifest.experiment != experiment.resolved()) {
        // Of an earlier, smaller search in this folder.
        Artifact::remove(&model)?;
    }
    let plan = Plan {
        data: &train_data,
        validation: None,
        experiment: &experiment,
        threads,
        out: &model,
        init: None,
        resume: true,
        checkpoint_every: Duration::from_secs(600),
        keep_training_state: true,
    };
    if !args.output.quiet {
        eprintln!("training the best point again, on all of the training part");
    }
    let Some(trained) = train_until_stopped(plan, args.output.quiet, stop)? else {
        return Err(interrupted(&args.out));
    };
    let test = match (earlier, test) {
        (Some(earlier), _) => Some(earlier),
        (None, None) => None,
        (None, Some(log)) => {
            let loaded = trained.loaded;
            let sessions = data::read_test(args, log, &loaded.items)?;
            let (judging, quiet) = (&experiment.evaluation, args.output.quiet);
            let model = loaded.model.recommender();
            let evaluation = rank(model, &loaded.items, &sessions.sessions, judging, threads, quiet)?;
            Some(outcome::Test { log: log.to_owned(), dropped: sessions.dropped, evaluation })
        }
    };
    if test.is_none() {
        warn(&[
            "there is no test part: the figures of the best point are those that it was chosen by, and so too good",
        ]);
    }
    let outcome = Outcome {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        command: command_line(),
        train: path.to_owned(),
        model,
        importance: importance(&space, &found.sampled, options.objective),
        options,
        space,
        experiment,
        pop_recall: found.pop_recall,
        stable: found.sampled.iter().filter(|trial| trial.is_stable()).count(),
        best: found.best,
        sampled: found.sampled,
        refined: found.refined,
        test,
        train_events: train_data.sessions.num_events(),
    };
    let text = serde_json::to_vec_pretty(&outcome)?;
    replace_file(&file, |mut out| out.write_all(&text).map_err(upnext::Error::io(&file, "write")))?;
    Ok(outcome)
}

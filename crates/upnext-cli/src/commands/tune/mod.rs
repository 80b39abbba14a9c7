//! `upnext tune`: hyper-parameter search on a log.

mod data;
mod live;
mod outcome;
mod report;

use crate::experiment::{ExperimentArgs, ThreadArgs};
use crate::interrupt;
use crate::numbers::one_or_more;
use crate::output::{OutputArgs, command_again, print, warn};
use crate::page;
use crate::ranking::RankingArgs;
use crate::reading::ReadArgs;
use crate::train_and_rank::{rank, train_until_stopped};
use data::{FinalData, SearchData};
use live::Live;
use outcome::{EvaluatedOn, Outcome, Test, describe, test_is_known};
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use upnext_core::artifact::{Artifact, Manifest};
use upnext_core::data::{Holdout, PreparedFolder};
use upnext_core::experiment::{DataConfig, Experiment};
use upnext_core::model::Model;
use upnext_core::replace::replace_file;
use upnext_core::training::{TrainingPlan, checkpoint_of};
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
    let lock = TrialStore::lock(&args.out)?;
    let test = data::test(args, path)?;
    let earlier = EarlierResult::read(&args.out);
    let stop = interrupt::listen("stopping after these mini-batches or evaluations, to keep the search")?;

    let found = {
        let data = unless_stopped(SearchData::read(args, path), &args.out)?;
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
            Some(found) => found,
            None => return Err(interrupted(&args.out)),
        }
    };
    let mut outcome = Outcome::of(path, &args.out.join(MODEL), options, space, &experiment, &found);
    write(&args.out, &outcome)?;
    if let Some((_, experiment)) = &found.best {
        let end = FinalStage { args, path, test: test.as_deref(), threads, stop: &stop };
        match end.train(&outcome.model, experiment)? {
            Ok((parts, loaded)) => {
                outcome.train_events = Some(parts.train.sessions.num_events());
                outcome.test = end.evaluate(earlier, &outcome, parts, &loaded)?;
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
    if TrialStore::exists_in(out) && !args.resume {
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

/// The stage after a search: the best point is trained on the whole training part, and evaluated on the test part.
struct FinalStage<'a> {
    args: &'a TuneArgs,
    path: &'a Path,
    test: Option<&'a Path>,
    threads: usize,
    stop: &'a AtomicBool,
}

impl FinalStage<'_> {
    /// Trains the best point on the whole training part, unless that has been done. The inner error is the reason why
    /// its numbers did not stay finite.
    fn train(
        &self,
        model: &Path,
        experiment: &Experiment,
    ) -> anyhow::Result<Result<(FinalData, Model), String>> {
        let (args, quiet) = (self.args, self.args.output.quiet);
        let parts = unless_stopped(data::read_final(args, self.path, self.test), &args.out)?;
        for folder in [model.to_owned(), checkpoint_of(model)] {
            // A model of an earlier, smaller search in this folder.
            if Manifest::load(&folder).is_ok_and(|old| old.experiment.resolved() != experiment.resolved()) {
                Artifact::remove(folder)?;
            }
        }
        let plan = TrainingPlan {
            data: Arc::clone(&parts.train),
            validation: None,
            refit: None,
            experiment,
            threads: self.threads,
            out: model,
            init: None,
            resume: true,
            checkpoint_every: Duration::from_secs(600),
            keep_training_state: true,
        };
        if !quiet {
            eprintln!("training the best point again, on all of the training part");
        }
        match train_until_stopped(plan, quiet, self.stop) {
            Ok(Some(trained)) => Ok(Ok((parts, trained.loaded))),
            Ok(None) => Err(interrupted(&args.out)),
            Err(error) => match error.downcast_ref() {
                Some(upnext_core::Error::Diverged { .. }) => Ok(Err(error.to_string())),
                _ => Err(error),
            },
        }
    }

    /// Evaluates the model on the test part, unless an earlier process has evaluated the same model on the same data.
    fn evaluate(
        &self,
        earlier: Option<EarlierResult>,
        outcome: &Outcome,
        parts: FinalData,
        loaded: &Model,
    ) -> anyhow::Result<Option<Test>> {
        let (Some(log), Some((sessions, also_in_training))) = (self.test, parts.test) else {
            warn(&[
                "there is no test part: the figures of the best point are those that it was chosen by, and so too good",
            ]);
            return Ok(None);
        };
        if also_in_training > 0 {
            warn(&[test_is_known(also_in_training)]);
        }
        let of = EvaluatedOn {
            train_fingerprint: parts.train.sessions.fingerprint(),
            test_fingerprint: sessions.sessions.fingerprint(),
            values: outcome.best.as_ref().map(|best| best.values.clone()).unwrap_or_default(),
        };
        let mut judgements = 1;
        if let Some(earlier) = earlier {
            if earlier.test.of == of {
                return Ok(Some(Test { also_in_training, ..earlier.test }));
            }
            judgements += earlier.test.judgements;
        }
        let options = &outcome.experiment.evaluation;
        let (threads, quiet) = (self.threads, self.args.output.quiet);
        let model = loaded.recommender();
        let evaluation = rank(model, loaded.items(), &sessions.sessions, options, threads, quiet)?;
        Ok(Some(Test {
            log: log.to_owned(),
            judgements,
            also_in_training,
            of,
            dropped: sessions.dropped,
            evaluation,
        }))
    }
}

/// The result that an earlier process left in the search's folder.
#[derive(serde::Deserialize)]
struct EarlierResult {
    test: Test,
}

impl EarlierResult {
    /// Reads the result; `None` if there is none, or none with test figures.
    fn read(out: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(out.join(RESULT)).ok()?).ok()
    }
}

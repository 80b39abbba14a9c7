//! `upnext train`: trains a model on a log and saves it.

mod data;
mod report;

use crate::experiment::{ExperimentArgs, ThreadArgs};
use crate::interrupt;
use crate::item_table::TrainedItemsArgs;
use crate::output::{OutputArgs, command_again, print};
use crate::progress::EpochBar;
use crate::reading::ReadArgs;
use data::read;
use report::{describe, report};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use upnext_core::artifact::{Artifact, Manifest};
use upnext_core::data::TimeSpan;
use upnext_core::experiment::{DataConfig, Experiment};
use upnext_core::history::Ended;
use upnext_core::training::{TrainingOutcome, TrainingPlan, checkpoint_of, members_of, train};

/// Train a model on a log and save it.
///
/// Checkpoints are saved beside the model during the training: an interrupted training (Ctrl-C, power cut) continues
/// with `--resume` and ends with the same numbers as one that was never interrupted.
#[derive(clap::Args, Debug)]
pub(crate) struct TrainArgs {
    /// Training log, or a folder that `prepare` made
    #[arg(required_unless_present = "show_config", value_name = "TRAIN")]
    train: Option<PathBuf>,

    /// Folder for the model; an earlier model there is replaced at the end of the training
    #[arg(long, short, required_unless_present = "show_config", value_name = "MODEL")]
    out: Option<PathBuf>,

    #[command(flatten)]
    experiment: ExperimentArgs,

    /// Find the best number of epochs on the last day (the folder's `fit` and `valid` parts), then train again on all of
    /// the training part for that many
    #[arg(long, conflicts_with = "valid")]
    validate: bool,

    /// Find the best number of epochs on this log, then train again on both logs for that many
    #[arg(long, value_name = "LOG")]
    valid: Option<PathBuf>,

    /// Do not train again after the validation: keep the weights of the best epoch, which have not learnt from the
    /// validation part
    #[arg(long)]
    no_refit: bool,

    /// Continue an interrupted training, or train more epochs; without an earlier training, begin one
    #[arg(long)]
    resume: bool,

    /// Start from this model, with rows for new items added. Without --config, the experiment is that of this model, for
    /// one epoch unless a number is given or validation decides
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,

    /// Learn sessions of this older log again, too: those that --replay draws
    #[arg(long, value_name = "LOG", requires_all = ["replay", "init"])]
    older: Option<PathBuf>,

    /// Share of the sessions of the older log that are learnt again, such as 10% or 0.1
    #[arg(long, value_name = "SHARE", requires = "older", value_parser = share)]
    replay: Option<f64>,

    /// Read the training sessions from the disk in every epoch, for logs that are larger than memory: networks only, from a
    /// folder that the queries of `upnext sql prepare` have written
    #[arg(long, conflicts_with_all = ["valid", "older"])]
    from_disk: bool,

    /// Time between two checkpoints within an epoch
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    checkpoint_every: TimeSpan,

    /// Save the model without what only further training needs: half the size or less
    #[arg(long)]
    slim: bool,

    /// Print the experiment file with a comment for each field that applies, and stop
    #[arg(long)]
    show_config: bool,

    #[command(flatten)]
    item_table: TrainedItemsArgs,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Runs the command.
pub(crate) fn run(args: &TrainArgs) -> anyhow::Result<()> {
    let experiment = experiment(args)?;
    if args.show_config {
        return print(&experiment.to_annotated_toml()?);
    }
    let (Some(path), Some(out)) = (&args.train, &args.out) else {
        unreachable!("clap asks for both unless --show-config is given")
    };
    let threads = args.threads.threads()?;
    let has_validation = args.validate || args.valid.is_some();
    let kind = experiment.model.kind();
    if experiment.training.patience > 0 && !has_validation && !kind.validates_itself() {
        let reason = "early stopping needs a validation part: add --validate or --valid LOG";
        return Err(upnext_core::Error::config("training.patience", reason).into());
    }
    if args.no_refit && !has_validation {
        let reason = "there is no validation, after which the model would be trained again: leave it out, or add --validate or --valid LOG";
        return Err(upnext_core::Error::config("--no-refit", reason).into());
    }
    if has_validation && experiment.model.network().is_none() {
        let option = if args.validate { "--validate" } else { "--valid" };
        let reason = if kind.validates_itself() {
            "a blend holds out the newest of its training sessions by itself (model.held_out), by which it also chooses the epochs: leave it out".to_owned()
        } else {
            format!("a model of kind \"{kind}\" has no epochs that a validation could choose: leave it out")
        };
        return Err(upnext_core::Error::config(option, reason).into());
    }
    // Checked before the log is read, which may take long.
    Artifact::check_target(out)?;
    let table = args.item_table.read(&args.read)?;
    let mut init = args.init.as_ref().map(Artifact::load).transpose()?;
    let known = init.as_mut().map(|init| std::mem::take(&mut init.items));
    let data = read(args, path, known, table, experiment.training.seed)?;
    let plan = TrainingPlan {
        data: Arc::clone(&data.train),
        validation: data.valid.as_ref().map(|valid| &valid.sessions),
        refit: data.whole.clone(),
        experiment: &experiment,
        threads,
        out,
        init,
        resume: args.resume,
        checkpoint_every: Duration::from_micros(args.checkpoint_every.micros().unsigned_abs()),
        keep_training_state: !args.slim,
    };
    let outcome = learn(plan, args.output.quiet)?;
    if outcome.ended == Ended::Interrupted {
        anyhow::bail!(
            "interrupted; the training is saved in {}. Go on with it by\n  {}",
            outcome.checkpoint.display(),
            command_again("--resume")
        );
    }
    let done = report(&outcome, out, &experiment, &data, threads);
    args.output.print(&done, |done| describe(done, &outcome))
}

/// Parses a share, a percentage or a number above 0 and at most 1.
fn share(text: &str) -> Result<f64, String> {
    let (number, scale) = text.trim().strip_suffix('%').map_or((text, 1.0), |percent| (percent, 100.0));
    match number.trim().parse::<f64>() {
        Ok(share) if share > 0.0 && share <= scale => Ok(share / scale),
        _ => Err("a share is a percentage such as 10%, or a number above 0 and at most 1".to_owned()),
    }
}

/// Number of epochs of a training that starts from a model. On the newest sessions of three public logs, a second one
/// brought nothing in MRR@20 and .001 to .004 in Recall@20, and later ones made the model forget (`docs/retraining.md`).
const EPOCHS_AFTER_INIT: usize = 1;

/// The experiment of the arguments. With a model to start from and no file, it is based on that model's experiment.
fn experiment(args: &TrainArgs) -> anyhow::Result<Experiment> {
    let mut otherwise = Experiment::default();
    if let Some(init) = &args.init {
        otherwise = Manifest::load(init)?.experiment;
        // The published figures belong to the original training data.
        otherwise.data = DataConfig::default();
        if !args.validate && args.valid.is_none() {
            otherwise.training.patience = 0;
            if otherwise.model.kind().reads_training("epochs") {
                otherwise.training.epochs = EPOCHS_AFTER_INIT;
            }
        }
    }
    Ok(args.experiment.experiment(otherwise)?)
}

/// Trains with a progress bar. The first Ctrl-C requests a stop, the second ends the process.
fn learn(plan: TrainingPlan, quiet: bool) -> anyhow::Result<TrainingOutcome> {
    let stop = interrupt::listen("stopping after this mini-batch, to save the training")?;
    let (checkpoint, members) = (checkpoint_of(plan.out), members_of(plan.out));
    let mut bar = EpochBar::new(quiet);
    let outcome = train(plan, &mut |event| {
        bar.show(&event);
        if stop.load(Ordering::SeqCst) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    outcome.map_err(|error| match error {
        upnext_core::Error::Diverged { .. } | upnext_core::Error::NonFiniteScores { .. } if checkpoint.exists() => {
            let message = format!(
                "{error}\nThe last good state is kept in {}, a model to look at or to start from by --init; remove it to begin anew",
                checkpoint.display()
            );
            anyhow::Error::new(error).context(message)
        }
        upnext_core::Error::Stopped if members.exists() => anyhow::anyhow!(
            "interrupted; the trainings of the members are saved in {}. Go on with them by\n  {}",
            members.display(),
            command_again("--resume")
        ),
        upnext_core::Error::Stopped => {
            anyhow::anyhow!("interrupted; a model of this kind is saved only when it is complete")
        }
        error => error.into(),
    })
}

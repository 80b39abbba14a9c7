//! `upnext train`: trains a model on a log and saves it.

use crate::experiment::{ExperimentArgs, ThreadArgs};
use crate::interrupt;
use crate::item_table::ItemTableArgs;
use crate::output::{OutputArgs, Table, command_again, print, thousands, warn};
use crate::progress::{EpochBar, per_second};
use crate::reading::ReadArgs;
use anyhow::Context;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use upnext_core::artifact::{Artifact, EpochSummary, Manifest};
use upnext_core::data::folder::{PartName, PreparedFolder};
use upnext_core::data::{Dataset, ItemTable, ItemVocabulary, TestSessions, TimeSpan};
use upnext_core::experiment::{DataConfig, Experiment};
use upnext_core::history::Ended;
use upnext_core::training::{TrainingOutcome, TrainingPlan, checkpoint_of, train};

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

    /// Train without the last day (on the folder's `fit` part), evaluate every epoch on it (`valid`), and keep the best
    #[arg(long, conflicts_with = "valid")]
    validate: bool,

    /// Evaluate every epoch on this log, and keep the best
    #[arg(long, value_name = "LOG")]
    valid: Option<PathBuf>,

    /// Continue an interrupted training, or train more epochs; without an earlier training, begin one
    #[arg(long)]
    resume: bool,

    /// Start from this model, with rows for new items added. Without --config, the experiment is that of this model
    #[arg(long, value_name = "MODEL")]
    init: Option<PathBuf>,

    /// Time between two checkpoints within an epoch
    #[arg(long, value_name = "SPAN", default_value = "10m")]
    checkpoint_every: TimeSpan,

    /// Save the model without what only further training needs: half the size or less
    #[arg(long)]
    slim: bool,

    /// Print the experiment file with a comment for each field that applies, and stop
    #[arg(long)]
    show_config: bool,

    /// Table of items (titles, prices, categories, vectors), CSV or Parquet, to be saved with the model
    #[arg(id = "items", long = "item-table", value_name = "FILE")]
    item_table: Option<PathBuf>,

    /// The table's column of item ids [default: found by its name, as in a log]
    #[arg(long, value_name = "COLUMN", requires = "items")]
    item_table_column: Option<String>,

    #[command(flatten)]
    table: ItemTableArgs,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    out: &'a Path,
    ended: &'static str,
    experiment: Experiment,
    events: u64,
    sessions: u64,
    items: usize,
    new_items: Option<usize>,
    epochs: Vec<EpochReport<'a>>,
    best_epoch: Option<usize>,
    pairs_left_out: u64,
    instruction_set: &'a str,
    threads: usize,
    peak_memory_bytes: Option<u64>,
}

#[derive(Serialize)]
struct EpochReport<'a> {
    #[serde(flatten)]
    summary: &'a EpochSummary,
    mini_batches_per_second: f64,
    events_per_second: f64,
}

/// The data for training and validation.
struct Data {
    train: Arc<Dataset>,
    known_items: Option<usize>,
    valid: Option<TestSessions>,
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
    if experiment.training.patience > 0 && !args.validate && args.valid.is_none() {
        let reason = "early stopping needs a validation part: add --validate or --valid LOG";
        return Err(upnext_core::Error::config("training.patience", reason).into());
    }
    // Checked before the log is read, which may take long.
    Artifact::check_target(out)?;
    let table = args.item_table.as_ref();
    let table = table
        .map(|file| args.table.read(file, args.item_table_column.as_deref(), None, args.read.options().quote))
        .transpose()?;
    let mut init = args.init.as_ref().map(Artifact::load).transpose()?;
    let known = init.as_mut().map(|init| std::mem::take(&mut init.items));
    let data = read(args, path, known, table)?;
    let plan = TrainingPlan {
        data: Arc::clone(&data.train),
        validation: data.valid.as_ref().map(|valid| &valid.sessions),
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

/// The experiment of the arguments. With a model to start from and no file, it is based on that model's experiment.
fn experiment(args: &TrainArgs) -> anyhow::Result<Experiment> {
    let mut otherwise = Experiment::default();
    if let Some(init) = &args.init {
        otherwise = Manifest::load(init)?.experiment;
        // The published figures belong to the original training data.
        otherwise.data = DataConfig::default();
        if !args.validate && args.valid.is_none() {
            otherwise.training.patience = 0;
        }
    }
    Ok(args.experiment.experiment(otherwise)?)
}

/// Reads the logs for training and validation.
fn read(
    args: &TrainArgs,
    path: &Path,
    known: Option<ItemVocabulary>,
    table: Option<ItemTable>,
) -> anyhow::Result<Data> {
    let quiet = args.output.quiet;
    let part = if args.validate { PartName::Fit } else { PartName::Train };
    if args.validate && !PreparedFolder::is_at(path) {
        let reason = "takes a folder that `prepare` made; with a single log use --valid LOG";
        return Err(upnext_core::Error::config("--validate", reason).into());
    }
    let known_items = known.as_ref().map(ItemVocabulary::len);
    let (train, dropped) = {
        let mut log = args.read.read(&[PreparedFolder::resolve(path, part)?], quiet)?;
        warn(&log.report().warnings);
        Dataset::extending(&log.grouped(), known.unwrap_or_default())?
    };
    if dropped.short_sessions > 0 && !quiet {
        let count = thousands(dropped.short_sessions);
        eprintln!("{count} sessions of a single event are left out: they have no next item to learn");
    }
    let valid = match (&args.valid, args.validate) {
        (Some(file), _) => Some(PreparedFolder::resolve(file, PartName::Valid)?),
        (None, true) => Some(PreparedFolder::resolve(path, PartName::Valid)?),
        (None, false) => None,
    };
    let valid = match valid {
        Some(file) => {
            let log = args.read.read(&[file], quiet)?;
            warn(&log.report().warnings);
            Some(TestSessions::from_log(log, &train.items).context("the validation part cannot be used")?)
        }
        None => None,
    };
    let train = match table {
        Some(table) => {
            warn(uncovered(&table, &train.items).as_slice());
            train.with_item_table(table)
        }
        None => train,
    };
    Ok(Data { train: train.into(), known_items, valid })
}

/// Returns a warning if the item table lacks a tenth of the log's items: its ids may be of another kind.
fn uncovered(table: &ItemTable, items: &ItemVocabulary) -> Option<String> {
    let coverage = table.coverage(items);
    let lacking = coverage.items - coverage.described_items;
    (lacking * 10 > coverage.items).then(|| {
        format!(
            "the item table lacks {} of the log's {} items: is `{}` the column of the same ids?",
            thousands(lacking as u64),
            thousands(coverage.items as u64),
            table.id_name()
        )
    })
}

/// Trains with a progress bar. The first Ctrl-C requests a stop, the second ends the process.
fn learn(plan: TrainingPlan, quiet: bool) -> anyhow::Result<TrainingOutcome> {
    let stop = interrupt::listen("stopping after this mini-batch, to save the training")?;
    let epochs = plan.experiment.training.epochs;
    let checkpoint = checkpoint_of(plan.out);
    let mut bar = EpochBar::new(quiet, epochs);
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
        error => error.into(),
    })
}

fn report<'a>(
    outcome: &'a TrainingOutcome,
    out: &'a Path,
    experiment: &Experiment,
    data: &Data,
    threads: usize,
) -> Done<'a> {
    let summary = &outcome.summary;
    let epochs = summary.epochs.iter().map(|epoch| EpochReport {
        summary: epoch,
        mini_batches_per_second: per_second(epoch.mini_batches, epoch.seconds),
        events_per_second: per_second(epoch.pairs, epoch.seconds),
    });
    Done {
        out,
        ended: match outcome.ended {
            Ended::Complete => "complete",
            Ended::Early => "early",
            Ended::Interrupted => "interrupted",
            Ended::AlreadyComplete => "already",
            _ => "ended",
        },
        experiment: experiment.resolved(),
        events: summary.events,
        sessions: summary.sessions,
        items: data.train.items.len(),
        new_items: data.known_items.map(|known| data.train.items.len() - known),
        epochs: epochs.collect(),
        best_epoch: summary.best_epoch,
        pairs_left_out: summary.pairs_left_out,
        instruction_set: &summary.instruction_set,
        threads,
        peak_memory_bytes: peak_memory_bytes(),
    }
}

fn describe(done: &Done, outcome: &TrainingOutcome) -> String {
    let kind = done.experiment.model.kind();
    let mut text = format!(
        "{kind} of {} events in {} sessions on {} items",
        thousands(done.events),
        thousands(done.sessions),
        thousands(done.items as u64)
    );
    if let Some(new_items) = done.new_items {
        let memory = match outcome.optimizer_state_kept {
            Some(false) => "; the optimiser starts without memory",
            Some(true) | None => "",
        };
        text.push_str(&format!(" ({} of them new{memory})", thousands(new_items as u64)));
    }
    text.push('\n');
    if !done.epochs.is_empty() {
        let mut table = Table::new(&[
            "epoch",
            "loss",
            "seconds",
            "mini-batches/s",
            "events/s",
            "valid recall",
            "valid mrr",
        ]);
        for epoch in &done.epochs {
            let valid = epoch.summary.validation;
            table.row(vec![
                epoch.summary.epoch.to_string(),
                format!("{:.4}", epoch.summary.loss),
                format!("{:.1}", epoch.summary.seconds),
                thousands(epoch.mini_batches_per_second as u64),
                thousands(epoch.events_per_second as u64),
                valid.map_or(String::new(), |v| format!("{:.4}", v.recall)),
                valid.map_or(String::new(), |v| format!("{:.4}", v.mrr)),
            ]);
        }
        text.push_str(&format!("\n{table}\n"));
    }
    if done.pairs_left_out > 0 {
        let count = thousands(done.pairs_left_out);
        text.push_str(&format!(
            "{count} pairs an epoch were left out: a last session alone has no negatives\n"
        ));
    }
    match (outcome.ended, done.best_epoch) {
        (Ended::AlreadyComplete, _) => {
            text.push_str("the model is complete");
            text.push_str(if kind.reads_training("epochs") {
                "; for more epochs raise --epochs\n"
            } else {
                "\n"
            });
        }
        (Ended::Early, Some(best)) => text.push_str(&format!("stopped early; epoch {best} was the best\n")),
        (_, Some(best)) => text.push_str(&format!("epoch {best} was the best\n")),
        _ => {}
    }
    if let Some(bytes) = done.peak_memory_bytes {
        text.push_str(&format!("peak memory {} MB\n", thousands(bytes.div_ceil(1_000_000))));
    }
    text.push_str(&format!("saved in {}\n", done.out.display()));
    text
}

/// The peak memory of this process in bytes, if the system reports it.
fn peak_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

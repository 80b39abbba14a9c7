//! The arguments of `reproduce`, and the task that they define.

use super::data::challenge_columns;
use super::paper::{Protocol, Row, chosen};
use crate::experiment::ThreadArgs;
use crate::numbers::{one_or_more, seed, two_or_more};
use crate::output::{OutputArgs, shell_word};
use crate::reading::{ReadArgs, as_arguments};
use std::path::{Path, PathBuf};
use upnext_core::data::{PrepareOptions, ReadOptions, TimeMicros, format_time, parse_time};

/// Maximum number of events in a session of a person, by default; longer ones are taken for programs.
const LONGEST_SESSION: usize = 200;

/// Compute the paper's tables on its data, beside the published figures.
///
/// Prepares the log by the paper's rules, trains every row, evaluates on the last day, and shows tables 1 to 3 of Hidasi
/// et al., ICLR 2016. The whole log takes hours: it can be stopped or killed at any time, and --resume continues.
#[derive(clap::Args, Debug)]
pub(crate) struct ReproduceArgs {
    #[command(subcommand)]
    data_set: DataSetArgs,
}

#[derive(clap::Subcommand, Debug)]
enum DataSetArgs {
    Rsc15(Rsc15Args),
    VideoLike(Box<VideoLikeArgs>),
}

/// The RSC15 columns: the click file of the RecSys Challenge 2015 (yoochoose-clicks.dat).
///
/// The sizes of what is prepared are checked against the paper's. Rows: pop, s-pop, item-knn, bpr-mf (table 1);
/// rsc15-top1-100, rsc15-bpr-100, rsc15-xe-100-paper, and the same with 1000 units (table 3); published later, only by
/// name: rsc15-xe-100, rsc15-bprmax-100, rsc15-bprmax-100-shared, rsc15-xe-100-cikm.
#[derive(clap::Args, Debug)]
struct Rsc15Args {
    #[command(flatten)]
    run: RunArgs,
}

/// The VIDEO columns on any log: the data set itself was never published.
///
/// Sessions of programs are cut, and the target is ranked among the 30,000 most popular items. Rows: pop, s-pop,
/// item-knn, bpr-mf (table 1); video-top1-100, video-bpr-100, video-xe-100, and the same with 1000 units (table 3).
#[derive(clap::Args, Debug)]
struct VideoLikeArgs {
    /// Drop sessions of more events, as those of programs; the paper gives no number
    #[arg(long, value_name = "N", value_parser = two_or_more::<usize>, default_value_t = LONGEST_SESSION)]
    max_session_length: usize,

    /// Keep only sessions that end before this time, such as 2017-10-15T03:00Z (UTC unless it names a zone)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<TimeMicros>,

    #[command(flatten)]
    run: RunArgs,

    #[command(flatten)]
    read: ReadArgs,
}

#[derive(clap::Args, Clone, Debug)]
struct RunArgs {
    /// The click log, plain or packed with gzip or zstd
    #[arg(long, value_name = "FILE")]
    clicks: PathBuf,

    /// Folder for the data, the models and the results [default: reproduce-rsc15, reproduce-video-like]
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Rows of the tables [default: all of tables 1 and 3]
    #[arg(long, value_name = "A,B,…", value_delimiter = ',')]
    settings: Vec<String>,

    /// Train on the last 1/N of the pairs, by the sessions' start; the test part remains the same
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = one_or_more::<u64>)]
    scale: u64,

    /// Number of epochs of the networks [default: 10; the paper gives none]
    #[arg(long, value_name = "N", value_parser = one_or_more::<usize>)]
    epochs: Option<usize>,

    /// Seed of all random numbers
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,

    /// Continue an interrupted reproduction, or add rows to it; without an earlier one, begin
    #[arg(long)]
    resume: bool,

    /// Write a report for a browser: a single file that needs no network
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,

    #[command(flatten)]
    threads: ThreadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// A task, checked as far as possible without the log.
pub(super) struct Task {
    pub(super) protocol: Protocol,
    pub(super) clicks: PathBuf,
    pub(super) out: PathBuf,
    pub(super) read: ReadOptions,
    pub(super) prepare: PrepareOptions,
    /// The rows to reproduce, with the given epochs and seed applied.
    pub(super) rows: Vec<Row>,
    pub(super) epochs: Option<usize>,
    pub(super) seed: Option<u64>,
    pub(super) resume: bool,
    pub(super) report: Option<PathBuf>,
    pub(super) threads: usize,
    pub(super) output: OutputArgs,
}

impl Task {
    pub(super) fn new(args: &ReproduceArgs) -> anyhow::Result<Self> {
        let (protocol, run, read, max_session_length, until) = match &args.data_set {
            DataSetArgs::Rsc15(args) => (Protocol::Rsc15, &args.run, challenge_columns(), None, None),
            DataSetArgs::VideoLike(args) => {
                let longest = Some(args.max_session_length);
                (Protocol::VideoLike, &args.run, args.read.options(), longest, args.until)
            }
        };
        let mut prepare = PrepareOptions::default();
        prepare.until = until;
        prepare.max_session_length = max_session_length;
        // No validation part: the settings are the published ones, and nothing is tuned.
        prepare.validation = None;
        prepare.scale = run.scale;
        let mut rows = chosen(protocol, &run.settings)?;
        for row in &mut rows {
            let kind = row.experiment.model.kind();
            let training = &mut row.experiment.training;
            training.epochs = run.epochs.filter(|_| kind.reads_training("epochs")).unwrap_or(training.epochs);
            training.seed = run.seed.filter(|_| kind.reads_training("seed")).unwrap_or(training.seed);
            row.experiment.validate()?;
        }
        Ok(Self {
            protocol,
            clicks: run.clicks.clone(),
            out: run.out.clone().unwrap_or_else(|| format!("reproduce-{}", protocol.name()).into()),
            read,
            prepare,
            rows,
            epochs: run.epochs,
            seed: run.seed,
            resume: run.resume,
            report: run.report.clone(),
            threads: run.threads.threads()?,
            output: run.output,
        })
    }

    /// The `prepare` command that writes the same data.
    pub(super) fn prepare_command(&self, data: &Path) -> String {
        let PrepareOptions { until, max_session_length, scale, .. } = self.prepare;
        let mut command =
            format!("upnext prepare {} --out {} --validation none", word(&self.clicks), word(data));
        for (option, value) in [
            ("--until", until.map(format_time)),
            ("--max-session-length", max_session_length.map(|n| n.to_string())),
            ("--scale", (scale > 1).then(|| scale.to_string())),
        ] {
            command.extend(value.map(|value| format!(" {option} {value}")));
        }
        command.extend(as_arguments(&self.read).iter().map(|argument| format!(" {}", shell_word(argument))));
        command
    }

    /// The commands that compute the same figures of a row from the prepared data.
    pub(super) fn row_commands(&self, row: &Row, data: &Path, settings: &Path) -> Vec<String> {
        let (data, model) = (word(data), row.name);
        let from = match row.file {
            Some(_) => format!("--config {}", word(settings)),
            None => format!("--model {}", row.experiment.model.kind()),
        };
        let kind = row.experiment.model.kind();
        let epochs = self.epochs.filter(|_| kind.reads_training("epochs"));
        let seed = self.seed.filter(|_| kind.reads_training("seed"));
        let mut train = format!("upnext train {data} --out {model} {from}");
        for (option, value) in
            [("--epochs", epochs.map(|n| n.to_string())), ("--seed", seed.map(|n| n.to_string()))]
        {
            train.extend(value.map(|value| format!(" {option} {value}")));
        }
        let mut evaluate = format!("upnext evaluate {model} {data}");
        evaluate.extend(row.experiment.evaluation.candidates.map(|m| format!(" --candidates {m}")));
        vec![train, evaluate]
    }
}

fn word(path: &Path) -> String {
    shell_word(&path.display().to_string())
}

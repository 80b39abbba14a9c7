//! `upnext prepare`: filters a click log and splits it by time into parts.

use crate::interrupt;
use crate::numbers::{one_or_more, two_or_more, zero_or_more};
use crate::out_file::{lies_in, will_lie_in};
use crate::output::{OutputArgs, Table, in_flags, thousands, warn};
use crate::progress::{Progress, Unit};
use crate::reading::{ReadArgs, describe};
use serde::Serialize;
use std::path::{Path, PathBuf};
use upnext_core::data::folder::check_replaceable;
use upnext_core::data::{Format, Holdout, PartCounts, PrepareOptions, SessionTimes, Statistics, TimeMicros};
use upnext_core::data::{format_time, parse_time, prepare, write_parts};

/// Read a click log, filter it, split it by time into training and test parts, and write them.
///
/// The rules are those of the paper (Hidasi et al., ICLR 2016): sessions of one event are dropped, then items with fewer
/// than 5 events, then sessions of one event again; the sessions that end on the last day of the log are the test part.
/// The training part is split once more, by its last day, into `fit` and `valid`.
#[derive(clap::Args, Debug)]
pub(crate) struct PrepareArgs {
    /// The click log: CSV, TSV or Parquet, plain or packed with gzip or zstd, or a folder of such part files; several
    /// are read as one log
    #[arg(required = true, value_name = "CLICKS")]
    clicks: Vec<PathBuf>,

    /// Folder to write; an earlier one by `prepare` is replaced
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,

    #[command(flatten)]
    rules: RulesArgs,

    /// File format of the written parts
    #[arg(long, value_enum, default_value_t = FormatArg::Parquet)]
    format: FormatArg,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// The rules of a preparation.
#[derive(clap::Args, Debug)]
pub(super) struct RulesArgs {
    /// Keep only sessions that begin at or after this time, such as 2017-10-12 (UTC unless it names a zone)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    since: Option<TimeMicros>,

    /// Keep only sessions that end before this time, such as 2017-10-15T03:00Z (UTC unless it names a zone)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<TimeMicros>,

    /// The test part at the end of the log: a span of time, or for logs without times a share (10%) or a number (500
    /// sessions) of the sessions
    #[arg(long, value_name = "SPAN|SHARE|SESSIONS", default_value_t = PrepareOptions::default().holdout)]
    holdout: Holdout,

    /// The validation part at the end of the training part, as --holdout, or `none` [default: 1d; with a share or number in
    /// --holdout, the same]
    #[arg(long, value_name = "SPAN|SHARE|SESSIONS|none", value_parser = parse_validation)]
    validation: Option<Validation>,

    /// Drop items with fewer events
    #[arg(long, value_name = "N", value_parser = zero_or_more::<u64>, default_value_t = PrepareOptions::default().min_item_support)]
    min_item_support: u64,

    /// Drop sessions with fewer events, at least 2
    #[arg(long, value_name = "N", value_parser = two_or_more::<usize>,
        default_value_t = PrepareOptions::default().min_session_length)]
    min_session_length: usize,

    /// Drop sessions with more events (bots) [default: none]
    #[arg(long, value_name = "N", value_parser = two_or_more::<usize>)]
    max_session_length: Option<usize>,

    /// Keep one of several events with the same session, item and time
    #[arg(long)]
    drop_duplicates: bool,

    /// Keep only the first of several events in a row on the same item
    #[arg(long)]
    drop_repeats: bool,

    /// Repeat dropping rare items and short sessions until nothing changes
    #[arg(long)]
    iterate_filters: bool,

    /// Keep only the last 1/N of the training pairs (events minus sessions), by the sessions' start
    #[arg(long, value_name = "N", value_parser = one_or_more::<u64>,
        default_value_t = PrepareOptions::default().scale)]
    scale: u64,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatArg {
    /// Parquet with zstd
    Parquet,
    /// Tab-separated text
    Tsv,
}

/// The length of the validation part; `None` for no validation part.
#[derive(Clone, Copy, Debug)]
struct Validation(Option<Holdout>);

fn parse_validation(text: &str) -> Result<Validation, String> {
    if text == "none" { Ok(Validation(None)) } else { text.parse().map(|span| Validation(Some(span))) }
}

impl RulesArgs {
    /// The library's options.
    pub(super) fn options(&self) -> PrepareOptions {
        let mut options = PrepareOptions::default();
        options.since = self.since;
        options.until = self.until;
        options.holdout = self.holdout;
        options.validation = match self.validation {
            Some(Validation(validation)) => validation,
            None if self.holdout.is_span() => options.validation,
            None => Some(self.holdout),
        };
        options.drop_duplicates = self.drop_duplicates;
        options.min_item_support = self.min_item_support;
        options.min_session_length = self.min_session_length;
        options.max_session_length = self.max_session_length;
        options.drop_repeats = self.drop_repeats;
        options.iterate_filters = self.iterate_filters;
        options.scale = self.scale;
        options
    }
}

/// The document of `--json`: the statistics file, and the path of the folder.
#[derive(Serialize)]
struct Done<'a> {
    out: &'a Path,
    #[serde(flatten)]
    statistics: &'a Statistics,
}

/// Runs the command.
pub(crate) fn run(args: &PrepareArgs) -> anyhow::Result<()> {
    // Checked before the log is read, which may take long.
    check_replaceable(&args.out)?;
    if let Some(input) = args.clicks.iter().find(|input| lies_in(input, &args.out)) {
        anyhow::bail!(
            "{}: lies in the folder that is to be written, {}: choose another folder",
            input.display(),
            args.out.display()
        );
    }
    if let Some(input) = args.clicks.iter().find(|input| input.is_dir() && will_lie_in(&args.out, input)) {
        anyhow::bail!(
            "{}: lies in the log, {}, and would be read as a part of it: choose another folder",
            args.out.display(),
            input.display()
        );
    }
    let log = args.read.read(&args.clicks, args.output.quiet)?;
    let prepared = prepare(log, &args.rules.options(), &mut |_| interrupt::check())?;
    let format = match args.format {
        FormatArg::Parquet => Format::Parquet,
        FormatArg::Tsv => Format::Tsv,
    };
    let progress = Progress::new(args.output.quiet, "writing", Unit::Events);
    write_parts(&prepared, &args.out, format, &mut |done, total| progress.at(done, total))?;
    drop(progress);
    let statistics = prepared.statistics();
    warn(&statistics.warnings);
    args.output.print(&Done { out: &args.out, statistics }, |done| {
        format!("{}\nwritten to {}\n", describe_statistics(done.statistics), done.out.display())
    })
}

/// Formats how long sessions last as a table.
pub(super) fn session_times(times: &SessionTimes) -> Table {
    let mut table = Table::new(&["sessions of two or more events", "median", "90%", "99%", "max"]);
    for (name, of) in [("duration", times.durations), ("longest pause", times.longest_pauses)] {
        let spans = [of.median, of.p90, of.p99, of.max].map(span);
        table.row([vec![name.to_owned()], spans.into()].concat());
    }
    table
}

/// Formats a span of seconds in its largest unit.
fn span(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    match units.into_iter().find(|&(size, _)| seconds >= size) {
        Some((size, unit)) => format!("{:.1} {unit}", seconds as f64 / size as f64),
        None => format!("{seconds} s"),
    }
}

/// Formats the statistics as tables.
pub(super) fn describe_statistics(statistics: &Statistics) -> String {
    let mut parts = Table::new(&["", "events", "sessions", "items", "from", "to"]);
    let mut part = |name: &str, counts: &PartCounts| {
        parts.row(
            [
                name.to_owned(),
                thousands(counts.events),
                thousands(counts.sessions),
                thousands(counts.items),
                counts.first_time_us.map(format_time).unwrap_or_default(),
                counts.last_time_us.map(format_time).unwrap_or_default(),
            ]
            .into(),
        );
    };
    part("log", &statistics.log);
    part("train", &statistics.train);
    part("test", &statistics.test);
    for (name, counts) in [("fit", &statistics.fit), ("valid", &statistics.valid)] {
        if let Some(counts) = counts {
            part(name, counts);
        }
    }
    let mut text = format!("{}\n{parts}", describe(&statistics.sources));
    for (name, training, clicks) in
        [("test", "train", statistics.test_next_clicks), ("valid", "fit", statistics.valid_next_clicks)]
    {
        if let Some(clicks) = clicks {
            text.push_str(&format!(
                "{name}: of {} next clicks {} are on items that {training} has not seen\n",
                thousands(clicks.total),
                thousands(clicks.unknown)
            ));
        }
    }
    if let Some(times) = &statistics.session_times {
        text.push_str(&format!("\n{}", session_times(times)));
    }
    for (title, dropped) in
        [("dropped", &statistics.dropped), ("dropped from valid", &statistics.dropped_from_valid)]
    {
        if dropped.is_empty() {
            continue;
        }
        let mut table = Table::new(&[title, "events", "sessions"]);
        for d in dropped {
            table.row(vec![in_flags(d.rule.label()), thousands(d.events), thousands(d.sessions)]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}

//! `upnext simulate`: writes the click log of a simulated shop.

use crate::numbers::{within, zero_or_more};
use crate::output::{OutputArgs, StdoutClosed, thousands};
use crate::progress::{Progress, Unit};
use anyhow::Context;
use serde::Serialize;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use upnext_core::data::format_time;
use upnext_core::simulate::{
    LogFormat, SimulateOptions, SimulatedEvent, simulate, write_log, write_log_file,
};

/// Write the click log of a simulated shop, to try the other commands on.
///
/// Items belong to categories, their popularity drifts, and the next click of a visitor depends on the earlier ones, so
/// that there is something to learn. The same options give the same bytes on every machine.
#[derive(clap::Args, Debug)]
pub(crate) struct SimulateArgs {
    /// File to write, compressed if its name ends in .gz or .zst; `-` is stdout
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,

    /// Number of sessions; the log has about 3.57 times as many events
    #[arg(long, value_name = "N", value_parser = |text: &str| within::<u64>(text, 1, 1 << 40),
        default_value_t = SimulateOptions::default().sessions)]
    sessions: u64,

    /// Number of items in the shop
    #[arg(long, value_name = "N", value_parser = |text: &str| within::<u32>(text, 2, 2_147_483_646),
        default_value_t = SimulateOptions::default().items)]
    items: u32,

    /// Number of days from the first event to the last
    #[arg(long, value_name = "N", value_parser = |text: &str| within::<u32>(text, 1, 36_500),
        default_value_t = SimulateOptions::default().days)]
    days: u32,

    /// Seed of all random numbers
    #[arg(long, value_name = "N", value_parser = zero_or_more::<u64>,
        default_value_t = SimulateOptions::default().seed)]
    seed: u64,

    /// Columns of the log
    #[arg(long, value_enum, default_value_t = FormatArg::Columns)]
    format: FormatArg,

    /// Overwrite a file that exists
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FormatArg {
    /// SessionId,ItemId,Time with that header, times in unix seconds
    Columns,
    /// Session, ISO 8601 time, item, category without header, as in the RecSys Challenge 2015
    Challenge,
}

/// The document of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    out: &'a Path,
    events: u64,
    sessions: u64,
    items: u32,
    days: u32,
    seed: u64,
    first_time: String,
    last_time: String,
}

/// Runs the command.
pub(crate) fn run(args: &SimulateArgs) -> anyhow::Result<()> {
    let options = SimulateOptions {
        sessions: args.sessions,
        items: args.items,
        days: args.days,
        seed: args.seed,
        ..SimulateOptions::default()
    };
    let format = match args.format {
        FormatArg::Columns => LogFormat::Columns,
        FormatArg::Challenge => LogFormat::Challenge,
    };
    let to_stdout = args.out == Path::new("-");
    if to_stdout && args.output.json {
        return Err(
            upnext_core::Error::config("--json", "stdout cannot hold both the log and its report").into()
        );
    }
    // `symlink_metadata`, since a broken symbolic link must not be overwritten either.
    if !to_stdout && !args.force && args.out.symlink_metadata().is_ok() {
        anyhow::bail!("{}: exists: choose another name, or overwrite it with --force", args.out.display());
    }

    let mut span = None;
    let shop = simulate(&options)?;
    let progress = Progress::new(args.output.quiet, "writing", Unit::Events);
    let expected = args.sessions.saturating_mul(357) / 100;
    let mut done = 0;
    let events = shop.inspect(|event: &SimulatedEvent| {
        span = Some((span.map_or(event.time_ms, |(first, _)| first), event.time_ms));
        done += 1;
        if done % 10_000 == 0 {
            progress.at(done, expected);
        }
    });
    let rows = if to_stdout {
        match write_log(events, format, BufWriter::with_capacity(1 << 16, io::stdout().lock())) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Err(StdoutClosed.into()),
            result => result.context("cannot write to stdout")?,
        }
    } else {
        write_log_file(events, format, &args.out, args.force)?
    };
    drop(progress);

    let (first, last) = span.unwrap_or_default();
    let report = Done {
        out: &args.out,
        events: rows,
        sessions: args.sessions,
        items: args.items,
        days: args.days,
        seed: args.seed,
        first_time: format_time(first * 1_000),
        last_time: format_time(last * 1_000),
    };
    if to_stdout {
        if !args.output.quiet {
            eprint!("{}", describe(&report, "stdout"));
        }
        return Ok(());
    }
    args.output.print(&report, |report| describe(report, &report.out.display().to_string()))
}

fn describe(report: &Done, place: &str) -> String {
    format!(
        "{} events of {} sessions in a shop of {} items, {} to {}\nwritten to {place}\n",
        thousands(report.events),
        thousands(report.sessions),
        thousands(u64::from(report.items)),
        report.first_time,
        report.last_time,
    )
}

//! `upnext load`: a load test of a server.

use super::serve::{KEYS, keys, plain};
use crate::interrupt;
use crate::numbers::{above_zero, one_or_more, seed, within};
use crate::output::{OutputArgs, Table, thousands, warn};
use crate::reading::ReadArgs;
use anyhow::Context;
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use upnext_core::artifact::Artifact;
use upnext_core::data::{Dataset, TimeSpan};
use upnext_core::data::{PartName, PreparedFolder};
use upnext_server::load::{LoadOptions, LoadReport, Percentiles, Second, Target, Visitors, load};

/// Load-test a server: send clicks at a given rate and measure the latency.
///
/// Clicks come at random times, independently of the server's responses, and each latency is measured from the time at
/// which the click was due, so that waiting behind a slow response counts. Sessions are those of a log, or are drawn by
/// the popularity of a model's items. On one machine, the server and the load generator share the cores.
#[derive(clap::Args, Debug)]
#[command(group(clap::ArgGroup::new("visitors").required(true).args(["sessions", "model"])))]
pub(crate) struct LoadArgs {
    /// The server, such as http://127.0.0.1:8080
    #[arg(value_name = "URL")]
    url: String,

    /// For https: the server's certificate, or the one that signed it, in PEM
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,

    /// Clicks per second
    #[arg(long, value_name = "N", value_parser = above_zero)]
    rate: f64,

    /// Duration of the measurement
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span)]
    duration: Duration,

    /// Time before the measurement in which the rate rises from 0
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span)]
    ramp: Duration,

    /// Sessions to replay: a click log, or a folder that `prepare` made (its test part)
    #[arg(long, value_name = "LOG")]
    sessions: Option<PathBuf>,

    /// Draw sessions of about 3.57 clicks instead, with items by their popularity in this model
    #[arg(long, value_name = "DIR", conflicts_with = "ReadArgs")]
    model: Option<PathBuf>,

    /// Mean time between two clicks of a session; rate × this time sessions are open at once
    #[arg(long, value_name = "SPAN", default_value = "10s", value_parser = span)]
    think: Duration,

    /// Send all items of the session with every click, instead of storing sessions in the server
    #[arg(long)]
    stateless: bool,

    /// Name each event (`idempotency-key`), so that a proxy between the two may send it again
    #[arg(long, conflicts_with = "stateless")]
    event_keys: bool,

    /// Length of the lists
    #[arg(short, value_name = "K", value_parser = one_or_more::<usize>, default_value_t = 20)]
    k: usize,

    /// Number of connections; all clicks of a session use the same one
    #[arg(long, value_name = "N", value_parser = |text: &str| within::<usize>(text, 1, 10_000), default_value_t = 64)]
    connections: usize,

    /// A click fails if it is not sent within this time after it was due, or not answered within this time after
    /// sending
    #[arg(long, value_name = "SPAN", default_value = "1s", value_parser = span)]
    timeout: Duration,

    /// Seed of the times and the sessions
    #[arg(long, value_name = "N", value_parser = seed, default_value_t = 42)]
    seed: u64,

    /// File of the server's keys, of which the first is sent [default: UPNEXT_KEYS, if it is set]
    #[arg(long, value_name = "FILE")]
    keys: Option<PathBuf>,

    /// Allow a server on another machine; be sure that it is yours and that nobody else needs it now
    #[arg(long)]
    allow_remote: bool,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

/// Parses a duration, which may be 0 or have milliseconds.
fn span(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if matches!(text, "0" | "0s" | "0ms") {
        return Ok(Duration::ZERO);
    }
    if let Some(millis) = text.strip_suffix("ms") {
        let millis = millis.trim().parse();
        return millis
            .map(Duration::from_millis)
            .map_err(|_| format!("`{text}` is no span of time: write it as 200ms"));
    }
    let span: TimeSpan = text.parse()?;
    Ok(Duration::from_micros(span.micros().unsigned_abs()))
}

/// The document of `--json`.
#[derive(Serialize)]
struct Done<'a> {
    url: &'a str,
    /// The log or model that the sessions come from.
    visitors: &'a Path,
    stateless: bool,
    /// Prefix of the ids of stored sessions, followed by `-` and a number.
    session_prefix: &'a str,
    k: usize,
    connections: usize,
    think_seconds: f64,
    timeout_ms: f64,
    ramp_seconds: f64,
    seed: u64,
    #[serde(flatten)]
    report: LoadReport,
}

/// Runs the command.
pub(crate) fn run(args: &LoadArgs) -> anyhow::Result<()> {
    let options = options(args)?;
    options.validate()?;
    let visitors = visitors(args)?;
    let stop = interrupt::listen("stopping: what there was is reported")?;
    let planned = (options.ramp + options.duration).as_secs_f64();
    let report = load(&options, &visitors, &stop, &mut |second| {
        if !args.output.quiet {
            eprintln!("{}", line(second, planned));
        }
    })
    .map_err(plain)?;
    let done = Done {
        url: &args.url,
        visitors: args.sessions.as_deref().or(args.model.as_deref()).unwrap_or(Path::new("")),
        stateless: args.stateless,
        session_prefix: &options.session_prefix,
        k: options.k,
        connections: options.connections,
        think_seconds: options.think.as_secs_f64(),
        timeout_ms: options.timeout.as_secs_f64() * 1e3,
        ramp_seconds: options.ramp.as_secs_f64(),
        seed: options.seed,
        report,
    };
    args.output.print(&done, describe)?;
    if done.report.ok == 0 {
        anyhow::bail!("no click was answered well: {}", reasons(&done.report));
    }
    Ok(())
}

fn options(args: &LoadArgs) -> anyhow::Result<LoadOptions> {
    let target = Target::parse(&args.url)?;
    if !target.is_loopback() && !args.allow_remote {
        let reason = format!(
            "`{}` is another machine, and a load can take down a server that others use: if it is yours and free, add --allow-remote",
            args.url
        );
        return Err(upnext_core::Error::config("URL", reason).into());
    }
    // A prefix of its own, so that sessions of an earlier load test are not continued.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(LoadOptions {
        target,
        ca: args.ca.clone(),
        rate_per_second: args.rate,
        ramp: args.ramp,
        duration: args.duration,
        connections: args.connections,
        think: args.think,
        stateful: !args.stateless,
        event_keys: args.event_keys,
        session_prefix: format!("load-{:x}", now.as_millis()),
        k: args.k,
        timeout: args.timeout,
        keys: keys(args.keys.as_deref(), KEYS)?,
        seed: args.seed,
    })
}

fn visitors(args: &LoadArgs) -> anyhow::Result<Visitors> {
    if let Some(model) = &args.model {
        let items = Artifact::load_without_training(model)?.items;
        return Visitors::by_popularity(items)
            .with_context(|| format!("{}: the model knows no item that was clicked", model.display()));
    }
    let path = args.sessions.as_deref().unwrap_or(Path::new(""));
    let log = args.read.read(&[PreparedFolder::resolve(path, PartName::Test)?], args.output.quiet)?;
    warn(&log.report().warnings);
    let (data, _) = Dataset::from_log(log)?;
    Visitors::of_log(data).with_context(|| format!("{}: there is no session", path.display()))
}

/// Formats the figures of a second as a line.
fn line(second: &Second, planned: f64) -> String {
    let Second { second, requests, errors, p50_ms, p99_ms } = second;
    format!(
        "{:>4} of {planned:.0} s: {:>7} clicks, {errors} errors, p50 {p50_ms:.2} ms, p99 {p99_ms:.2} ms",
        second + 1,
        thousands(*requests)
    )
}

/// Formats the numbers of errors.
fn reasons(report: &LoadReport) -> String {
    let reasons: Vec<String> =
        report.errors.iter().map(|(reason, count)| format!("{} {reason}", thousands(*count))).collect();
    if reasons.is_empty() { "no click was due".to_owned() } else { reasons.join(", ") }
}

fn describe(done: &Done) -> String {
    let LoadReport { rate_per_second, answered_per_second, seconds, requests, ok, .. } = done.report;
    let mut text = format!(
        "{} clicks in {seconds:.1} s ({rate_per_second} a second asked for), {} answered well: {answered_per_second:.1} a second\n",
        thousands(requests),
        thousands(ok),
    );
    if requests > ok {
        text.push_str(&format!("errors: {}\n", reasons(&done.report)));
    }
    let mut table = Table::new(&["ms", "p50", "p90", "p95", "p99", "p99.9", "max"]);
    for (name, times) in [
        ("from when a click was due to its answer", done.report.latency_ms),
        ("from when it was sent to its answer", done.report.service_ms),
        ("from when it was due to when it was sent", done.report.late_ms),
    ] {
        let Percentiles { p50, p90, p95, p99, p999, max } = times;
        let cells = [p50, p90, p95, p99, p999, max].map(|time| format!("{time:.2}"));
        table.row(std::iter::once(name.to_owned()).chain(cells).collect());
    }
    format!("{text}\n{table}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_may_be_nothing_or_milliseconds() {
        for (text, millis) in [("0", 0), ("0s", 0), ("200ms", 200), ("1.5s", 1500), ("2m", 120_000)] {
            assert_eq!(span(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        assert!(["", "ms", "-1s", "soon", "1.5ms"].iter().all(|text| span(text).is_err()));
    }
}

//! `upnext inspect`: describes a click log, a prepared folder, a model, or an item table.

mod items;
mod model;

use super::prepare::{describe_statistics, session_times};
use crate::output::{OutputArgs, Table, printable, thousands, warn};
use crate::reading::{ReadArgs, describe};
use std::path::{Path, PathBuf};
use upnext_core::artifact::MANIFEST_FILE;
use upnext_core::data::folder::STATISTICS_FILE;
use upnext_core::data::report::FileReport;
use upnext_core::data::{LogShape, PreparedFolder};

/// Maximum number of days in the table; `--json` has all.
const MAX_DAYS: usize = 40;

/// Describe a click log, a prepared folder, a model, or a table of items.
#[derive(clap::Args, Debug)]
pub(crate) struct InspectArgs {
    /// Click logs or folders of their part files, which are read as one log, a folder that `prepare` made, a model, or with
    /// --items a table of items
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    items: items::ItemsArgs,

    #[command(flatten)]
    read: ReadArgs,

    #[command(flatten)]
    output: OutputArgs,
}

impl InspectArgs {
    /// The first path, which is the only one except for logs.
    fn path(&self) -> &Path {
        &self.paths[0] // clap requires one
    }
}

/// Runs the command.
pub(crate) fn run(args: &InspectArgs) -> anyhow::Result<()> {
    if args.items.items {
        return items::run(args);
    }
    let path = args.path();
    if args.paths.len() == 1 && model::is_model(path) {
        return model::run(path, args.output);
    }
    if args.paths.len() == 1 && PreparedFolder::is_at(path) {
        let folder = PreparedFolder::open(path)?;
        let statistics = folder.statistics();
        warn(&statistics.warnings);
        return args.output.print(statistics, describe_statistics);
    }
    let log = args.read.read(&args.paths, args.output.quiet);
    let mut log = log.map_err(|error| about_folder(error, args))?;
    let shape = LogShape::of(&mut log);
    warn(&shape.warnings);
    args.output.print(&shape, describe_shape)
}

/// Adds to a reader's error about a folder which kinds of folders can be inspected.
fn about_folder(error: anyhow::Error, args: &InspectArgs) -> anyhow::Error {
    use upnext_core::Error::{MissingColumn, NoEvents, UnlikeParts, Unsupported};
    match error.downcast_ref() {
        Some(MissingColumn { .. } | NoEvents { .. } | UnlikeParts { .. } | Unsupported { .. })
            if args.path().is_dir() =>
        {
            let message = format!(
                "{error}\n{}: neither a model (it has no {MANIFEST_FILE}) nor a folder that `prepare` made (it has no {STATISTICS_FILE}), and so read as a log",
                args.path().display()
            );
            error.context(message)
        }
        _ => error,
    }
}

/// The columns of few values, by which rows may be chosen, and their values in the first file that has them.
fn few_values(files: &[FileReport]) -> Option<Table> {
    let columns = files.iter().map(|file| &file.few_values).find(|columns| !columns.is_empty())?;
    let mut table = Table::new(&["column of few values, for --where", "in the first rows"]);
    for column in columns {
        let values = column.values.iter().take(8).map(|(value, count)| format!("{value} ({count})"));
        let mut values = values.collect::<Vec<_>>().join(", ");
        if column.values.len() > 8 {
            values.push_str(", …");
        }
        table.row(vec![column.column.clone(), values]);
    }
    Some(table)
}

fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// Formats the shape of a log as tables.
fn describe_shape(shape: &LogShape) -> String {
    let counts = &shape.counts;
    let mut text = describe(&shape.read.files);
    let mut add = |title: &str, table: &Table| text.push_str(&format!("{title}\n{table}"));

    let mut table = Table::new(&["", ""]);
    for (name, number) in [("events", counts.events), ("sessions", counts.sessions), ("items", counts.items)]
    {
        table.row(vec![name.into(), thousands(number)]);
    }
    if !shape.times_are_counter {
        table.row(vec!["first event".into(), shape.first_time.clone()]);
        table.row(vec!["last event".into(), shape.last_time.clone()]);
    }
    table.row(vec!["repeats of the item just before".into(), percent(shape.immediate_repeats_share)]);
    table.row(vec!["repeats of an item of the session".into(), percent(shape.repeats_share)]);
    add("", &table);

    let l = &shape.session_lengths;
    let mut table =
        Table::new(&["events in a session", "min", "25%", "median", "75%", "90%", "99%", "max", "mean"]);
    let mut row = vec![String::new()];
    row.extend([l.min, l.p25, l.median, l.p75, l.p90, l.p99, l.max].map(thousands));
    row.push(format!("{:.2}", l.mean));
    table.row(row);
    add("", &table);
    if let Some(times) = &shape.session_times {
        add("", &session_times(times));
    }
    let mut table = Table::new(&["events", "sessions", "share"]);
    for &(from, to, count) in &l.histogram {
        let range =
            if from == to { thousands(from) } else { format!("{}–{}", thousands(from), thousands(to)) };
        table.row(vec![range, thousands(count), percent(count as f64 / counts.sessions.max(1) as f64)]);
    }
    add("", &table);

    let p = &shape.popularity;
    let mut table = Table::new(&["item popularity", ""]);
    table.row(vec!["events on the top 1% of items".into(), percent(p.top_1_percent_share)]);
    table.row(vec!["events on the top 10% of items".into(), percent(p.top_10_percent_share)]);
    table.row(vec!["Gini coefficient".into(), format!("{:.3}", p.gini)]);
    table.row(vec!["events of the median item".into(), thousands(p.median_support)]);
    table.row(vec!["items with fewer than 5 events".into(), thousands(p.items_below_5_events)]);
    add("", &table);
    let mut table = Table::new(&["most popular item", "events"]);
    for (id, events) in &p.most_popular {
        table.row(vec![printable(id), thousands(*events)]);
    }
    add("", &table);

    if let Some(table) = few_values(&shape.read.files) {
        add("", &table);
    }

    if !shape.days.is_empty() {
        let mut table = Table::new(&["day", "events", "sessions ended"]);
        let earlier = shape.days.len().saturating_sub(MAX_DAYS);
        if earlier > 0 {
            let events = shape.days[..earlier].iter().map(|d| d.events).sum();
            let sessions = shape.days[..earlier].iter().map(|d| d.sessions_ended).sum();
            table.row(vec![format!("{earlier} earlier days"), thousands(events), thousands(sessions)]);
        }
        for day in &shape.days[earlier..] {
            table.row(vec![day.date.clone(), thousands(day.events), thousands(day.sessions_ended)]);
        }
        add("", &table);
    }
    text
}

//! The arguments for reading a click log, shared by all commands that read one.

use crate::interrupt;
use crate::output::thousands;
use crate::progress::{Progress, Unit};
use std::ops::ControlFlow;
use std::path::Path;
use upnext_core::data::report::FileReport;
use upnext_core::data::{
    Condition, EventLog, Header, Lists, Part, Quote, ReadOptions, ReadProgress, RowOrder, TimeSpan, TimeUnit,
};

/// The arguments for reading a click log. What is not given is detected from the file.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Reading the log")]
pub(crate) struct ReadArgs {
    /// Session column, by name or position from 1; several together are a key [default: found by name, such as SessionId]
    #[arg(long, value_name = "COLUMN")]
    session_column: Vec<String>,

    /// Item column [default: found by name, such as ItemId]
    #[arg(long, value_name = "COLUMN")]
    item_column: Option<String>,

    /// Time column [default: found by name, such as Time or timestamp, or by its values]
    #[arg(long, value_name = "COLUMN")]
    time_column: Option<String>,

    /// User column: without a session column, the events of a user are cut into sessions at pauses; with one, the user is
    /// a part of the session's key
    #[arg(long, value_name = "COLUMN")]
    user_column: Option<String>,

    /// Column that orders the events of a session with the same time, or `none` [default: found by name, such as position]
    #[arg(long, value_name = "COLUMN")]
    order_column: Option<String>,

    /// Whether the item column holds lists of items, each of which is an event [default: found by the values]
    #[arg(long, value_enum, value_name = "YES|NO")]
    item_lists: Option<ListsArg>,

    /// What orders the events: `rows` for logs without times, `ids` as in a preparation by SQL
    #[arg(long, value_enum, default_value_t = OrderArg::Time)]
    order: OrderArg,

    /// Begin a new session after a pause longer than this, such as 30m [default: 30m with --user-column alone, else none]
    #[arg(long, value_name = "SPAN")]
    session_gap: Option<TimeSpan>,

    /// Treat the same session id in two files as two sessions
    #[arg(long)]
    sessions_per_file: bool,

    /// Read only rows whose column has one of these values, or with != none of them; may be repeated
    #[arg(long = "where", value_name = "COLUMN=VALUE[,VALUE…]")]
    conditions: Vec<Condition>,

    /// Characters between fields, or `tab` [default: found from the first lines]
    #[arg(long, value_parser = parse_delimiter)]
    delimiter: Option<String>,

    /// How fields are quoted
    #[arg(long, value_enum, default_value_t = QuoteArg::Auto)]
    quote: QuoteArg,

    /// Encoding of text, such as latin1 [default: UTF-8, or UTF-16 by its mark]
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,

    /// Whether the first line holds column names
    #[arg(long, value_enum, default_value_t = HeaderArg::Auto)]
    header: HeaderArg,

    /// How times are written
    #[arg(long, value_enum, default_value_t = TimeUnitArg::Auto)]
    time_unit: TimeUnitArg,

    /// Pattern of the times, such as "%d.%m.%Y %H:%M"
    #[arg(long, value_name = "PATTERN", conflicts_with = "time_unit")]
    time_format: Option<String>,

    /// Time zone of times that do not name theirs, such as Europe/Berlin [default: UTC]
    #[arg(long, value_name = "ZONE")]
    timezone: Option<String>,

    /// Text that stands for a missing id, besides NULL, None, NaN and the like; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    null: Vec<String>,

    /// Treat NULL, None, NaN and the like as ids
    #[arg(long)]
    keep_null_ids: bool,

    /// Skip and count rows that are not events, instead of failing
    #[arg(long)]
    skip_bad_rows: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum HeaderArg {
    Auto,
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ListsArg {
    Yes,
    No,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum OrderArg {
    /// Their times
    Time,
    /// The order of the rows
    Rows,
    /// Their times and, where these are equal, the order column and the ids, whatever the order of the rows
    Ids,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
pub(crate) enum QuoteArg {
    /// By double quotation marks; in tab-separated text only if the first rows have quoted fields
    Auto,
    /// By double quotation marks, also where a field spans lines that look like rows
    Double,
    /// Not at all: quotation marks are characters like any other
    None,
}

impl QuoteArg {
    /// The library's option.
    pub(crate) fn quote(self) -> Quote {
        match self {
            Self::Auto => Quote::Auto,
            Self::Double => Quote::Double,
            Self::None => Quote::None,
        }
    }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum TimeUnitArg {
    /// Found from the values
    Auto,
    /// Seconds since 1970, fractions allowed; also counters
    S,
    /// Milliseconds
    Ms,
    /// Microseconds
    Us,
    /// Nanoseconds
    Ns,
    /// ISO 8601, and 2024/03/20 01:18; UTC unless a zone is named
    Iso,
    /// .NET ticks: steps of 100 ns since the year 1
    DotnetTicks,
    /// Days as Excel counts them, with the time of day as a fraction
    Excel,
    /// 20240320, 20240320011854, 20240320T011854Z
    Compact,
    /// 20.03.2024 01:18, 20/03/2024
    DayFirst,
    /// 3/20/2024 1:18:54 AM
    MonthFirst,
    /// English names of months: Wed, 20 Mar 2024 01:18:54 +0100; Mar 20, 2024
    MonthName,
    /// [20/Mar/2024:01:18:54 +0000], as in Apache's logs
    Apache,
}

fn parse_delimiter(text: &str) -> Result<String, String> {
    match text {
        "tab" | "\\t" => Ok("\t".to_owned()),
        "" => Err("give the characters between fields, or `tab`".to_owned()),
        text if text.is_ascii() && text.len() <= 4 => Ok(text.to_owned()),
        _ => Err("give one to four ASCII characters, or `tab`".to_owned()),
    }
}

impl ReadArgs {
    /// The library's options.
    pub(crate) fn options(&self) -> ReadOptions {
        let mut options = ReadOptions::default();
        options.session_column = self.session_column.clone();
        options.item_column = self.item_column.clone();
        options.time_column = self.time_column.clone();
        options.user_column = self.user_column.clone();
        options.order_column = self.order_column.clone();
        options.order = match self.order {
            OrderArg::Time => RowOrder::Time,
            OrderArg::Rows => RowOrder::Rows,
            OrderArg::Ids => RowOrder::Ids,
        };
        options.session_gap = self.session_gap;
        options.sessions_per_file = self.sessions_per_file;
        options.conditions = self.conditions.clone();
        options.item_lists = match self.item_lists {
            None => Lists::Auto,
            Some(ListsArg::Yes) => Lists::Yes,
            Some(ListsArg::No) => Lists::No,
        };
        options.delimiter = self.delimiter.clone();
        options.quote = self.quote.quote();
        options.encoding = self.encoding.clone();
        options.header = match self.header {
            HeaderArg::Auto => Header::Auto,
            HeaderArg::Yes => Header::Yes,
            HeaderArg::No => Header::No,
        };
        options.time_unit = match self.time_unit {
            TimeUnitArg::Auto => TimeUnit::Auto,
            TimeUnitArg::S => TimeUnit::S,
            TimeUnitArg::Ms => TimeUnit::Ms,
            TimeUnitArg::Us => TimeUnit::Us,
            TimeUnitArg::Ns => TimeUnit::Ns,
            TimeUnitArg::Iso => TimeUnit::Iso,
            TimeUnitArg::DotnetTicks => TimeUnit::DotnetTicks,
            TimeUnitArg::Excel => TimeUnit::Excel,
            TimeUnitArg::Compact => TimeUnit::Compact,
            TimeUnitArg::DayFirst => TimeUnit::DayFirst,
            TimeUnitArg::MonthFirst => TimeUnit::MonthFirst,
            TimeUnitArg::MonthName => TimeUnit::MonthName,
            TimeUnitArg::Apache => TimeUnit::Apache,
        };
        options.time_format = self.time_format.clone();
        options.timezone = self.timezone.clone();
        options.nulls = self.null.clone();
        options.keep_null_ids = self.keep_null_ids;
        options.skip_bad_rows = self.skip_bad_rows;
        options
    }

    /// Reads several files as one log, with a progress bar.
    pub(crate) fn read<P: AsRef<Path>>(&self, paths: &[P], quiet: bool) -> anyhow::Result<EventLog> {
        Ok(EventLog::read_all(paths, &self.options(), &mut bar(quiet))?)
    }
}

/// An observer of reading that shows a progress bar, and stops after Ctrl-C.
pub(crate) fn bar(quiet: bool) -> impl FnMut(ReadProgress) -> ControlFlow<()> {
    let bar = Progress::new(quiet, "reading", Unit::Bytes);
    move |progress| {
        bar.at(progress.bytes, progress.total_bytes);
        interrupt::check()
    }
}

/// The command-line arguments that result in these options.
pub(crate) fn as_arguments(options: &ReadOptions) -> Vec<String> {
    let mut arguments = Vec::new();
    let unit = Some(options.time_unit).filter(|unit| *unit != TimeUnit::Auto).map(TimeUnit::name);
    let header = match options.header {
        Header::Auto => None,
        Header::Yes => Some("yes"),
        Header::No => Some("no"),
    };
    let quote = match options.quote {
        Quote::Auto => None,
        Quote::Double => Some("double"),
        Quote::None => Some("none"),
    };
    let lists = match options.item_lists {
        Lists::Yes => Some("yes"),
        Lists::No => Some("no"),
        _ => None,
    };
    let order = match options.order {
        RowOrder::Rows => Some("rows"),
        RowOrder::Ids => Some("ids"),
        _ => None,
    };
    let delimiter = options.delimiter.as_deref().map(|text| if text == "\t" { "tab" } else { text });
    let mut several = |option: &str, values: Vec<String>| {
        arguments.extend(values.into_iter().flat_map(|value| [option.to_owned(), value]));
    };
    several("--session-column", options.session_column.clone());
    several("--where", options.conditions.iter().map(ToString::to_string).collect());
    several("--null", options.nulls.clone());
    for (option, value) in [
        ("--item-column", options.item_column.clone()),
        ("--time-column", options.time_column.clone()),
        ("--user-column", options.user_column.clone()),
        ("--order-column", options.order_column.clone()),
        ("--item-lists", lists.map(str::to_owned)),
        ("--order", order.map(str::to_owned)),
        ("--session-gap", options.session_gap.map(|gap| gap.to_string())),
        ("--delimiter", delimiter.map(str::to_owned)),
        ("--quote", quote.map(str::to_owned)),
        ("--encoding", options.encoding.clone()),
        ("--header", header.map(str::to_owned)),
        ("--time-unit", unit.map(str::to_owned)),
        ("--time-format", options.time_format.clone()),
        ("--timezone", options.timezone.clone()),
    ] {
        several(option, value.into_iter().collect());
    }
    for (flag, is_set) in [
        ("--sessions-per-file", options.sessions_per_file),
        ("--keep-null-ids", options.keep_null_ids),
        ("--skip-bad-rows", options.skip_bad_rows),
    ] {
        arguments.extend(is_set.then(|| flag.to_owned()));
    }
    arguments
}

/// Describes how each file of a log was read and which rows were left out.
pub(crate) fn describe(files: &[FileReport]) -> String {
    use crate::output::{in_flags, thousands};
    use std::fmt::Write;
    let mut text = String::new();
    for file in files {
        // Writing to a String cannot fail.
        if file.rows == 0 {
            _ = writeln!(text, "{}: no rows", file.path.display());
            continue;
        }
        _ = writeln!(
            text,
            "{}: {} rows of {}{}; session {}, item {}, time {}{}{}",
            file.path.display(),
            thousands(file.rows),
            file.format,
            packed(file),
            file.session,
            file.item,
            file.time,
            if file.time_unit == TimeUnit::Auto { String::new() } else { format!(" in {}", file.time_unit) },
            file.order.as_ref().map(|order| format!(", ordered by {order}")).unwrap_or_default(),
        );
        for guess in &file.guesses {
            _ = writeln!(text, "  found: {}", in_flags(guess));
        }
        for (what, count) in
            [("a condition excludes them", file.excluded), ("the header once more", file.repeated_headers)]
        {
            if count > 0 {
                _ = writeln!(text, "  {} rows left out: {what}", thousands(count));
            }
        }
        for (reason, count) in &file.skipped {
            _ = writeln!(text, "  {} rows left out: {}", thousands(*count), in_flags(reason));
        }
        if let Some(first) = &file.first_skipped {
            _ = writeln!(text, "  the first of them: {}", in_flags(first));
        }
    }
    text
}

/// The compression and the encoding of a file, in parentheses.
fn packed(file: &FileReport) -> String {
    let both: Vec<&str> =
        [&file.compression, &file.encoding].into_iter().flatten().map(String::as_str).collect();
    if both.is_empty() { String::new() } else { format!(" ({})", both.join(", ")) }
}

/// Refuses validation sessions that are sessions of the training data, too: `what` would be chosen for them.
pub(crate) fn refuse_known(train: &Part, validation: &Part, what: &str) -> upnext_core::Result<()> {
    match train.in_both(validation) {
        0 => Ok(()),
        common => Err(upnext_core::Error::config(
            "--valid",
            format!(
                "{} of its sessions are in the training log, too, and {what} would be chosen for what is known by heart: give other sessions, or instead of both logs a folder that `prepare` made (`train` takes --validate with it)",
                thousands(common)
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_come_back_from_the_arguments_that_give_them() {
        #[derive(clap::Parser)]
        struct Alone {
            #[command(flatten)]
            read: ReadArgs,
        }
        let given = [
            &["--session-column", "1", "--item-column", "3", "--time-column", "2", "--delimiter", "tab"][..],
            &["--user-column", "user", "--session-gap", "30m", "--header", "no", "--time-unit", "iso"],
            &["--header", "yes", "--time-unit", "ms", "--skip-bad-rows"],
            &[
                "--session-column",
                "a",
                "--session-column",
                "b",
                "--user-column",
                "u",
                "--order-column",
                "step",
            ],
            &[
                "--where",
                "event=view,cart",
                "--where",
                "type!=ad",
                "--null",
                "-1",
                "--keep-null-ids",
                "--quote",
                "none",
            ],
            &[
                "--item-lists",
                "no",
                "--order",
                "rows",
                "--sessions-per-file",
                "--delimiter",
                "::",
                "--encoding",
                "latin1",
            ],
            &["--time-format", "%d.%m.%Y", "--timezone", "Europe/Berlin"],
            &["--time-unit", "dotnet-ticks"],
            &["--time-unit", "day-first"],
            &["--time-unit", "month-name"],
            &[],
        ];
        for words in given {
            let parse = |words: &[String]| {
                let all = std::iter::once("upnext").chain(words.iter().map(String::as_str));
                <Alone as clap::Parser>::try_parse_from(all).unwrap().read.options()
            };
            let options = parse(&words.iter().map(|&word| word.to_owned()).collect::<Vec<_>>());
            assert_eq!(parse(&as_arguments(&options)), options);
        }
    }

    #[test]
    fn delimiters_are_some_characters_or_tab() {
        assert_eq!(parse_delimiter("tab").as_deref(), Ok("\t"));
        assert_eq!(parse_delimiter(";").as_deref(), Ok(";"));
        assert_eq!(parse_delimiter("::").as_deref(), Ok("::"));
        assert!(["", "abcde", "ä"].iter().all(|text| parse_delimiter(text).is_err()));
    }
}

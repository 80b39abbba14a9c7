//! The arguments for reading a click log, shared by all commands that read one.

use crate::interrupt;
use crate::progress::{Progress, Unit};
use std::ops::ControlFlow;
use std::path::Path;
use upnext_core::data::{EventLog, Header, ReadOptions, ReadProgress, TimeSpan, TimeUnit};

/// The arguments for reading a click log. What is not given is detected from the file.
#[derive(clap::Args, Clone, Debug)]
#[command(next_help_heading = "Reading the log")]
pub(crate) struct ReadArgs {
    /// Session column, by name or position from 1 [default: found by name, such as SessionId]
    #[arg(long, value_name = "COLUMN")]
    session_column: Option<String>,

    /// Item column [default: found by name, such as ItemId]
    #[arg(long, value_name = "COLUMN")]
    item_column: Option<String>,

    /// Time column [default: found by name, such as Time or timestamp]
    #[arg(long, value_name = "COLUMN")]
    time_column: Option<String>,

    /// User column, for logs without sessions: they are cut at pauses
    #[arg(long, value_name = "COLUMN", conflicts_with = "session_column")]
    user_column: Option<String>,

    /// Begin a new session after a pause longer than this, such as 30m [default: 30m with --user-column, else none]
    #[arg(long, value_name = "SPAN")]
    session_gap: Option<TimeSpan>,

    /// Character between fields, or `tab` [default: found]
    #[arg(long, value_parser = parse_delimiter)]
    delimiter: Option<char>,

    /// Whether the first line holds column names
    #[arg(long, value_enum, default_value_t = HeaderArg::Auto)]
    header: HeaderArg,

    /// How times are written
    #[arg(long, value_enum, default_value_t = TimeUnitArg::Auto)]
    time_unit: TimeUnitArg,

    /// Leave out rows that are no events, and count them, instead of failing
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
enum TimeUnitArg {
    /// ISO 8601, or numbers, whose unit is detected from their size
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

fn parse_delimiter(text: &str) -> Result<char, String> {
    let mut chars = text.chars();
    match (text, chars.next(), chars.next()) {
        ("tab" | "\\t", ..) => Ok('\t'),
        (_, Some(c), None) if c.is_ascii() => Ok(c),
        _ => Err("give one ASCII character, or `tab`".to_owned()),
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
        options.session_gap = self.session_gap;
        options.delimiter = self.delimiter;
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
    for (option, value) in [
        ("--session-column", options.session_column.clone()),
        ("--item-column", options.item_column.clone()),
        ("--time-column", options.time_column.clone()),
        ("--user-column", options.user_column.clone()),
        ("--session-gap", options.session_gap.map(|gap| gap.to_string())),
        ("--delimiter", options.delimiter.map(|c| if c == '\t' { "tab".to_owned() } else { c.to_string() })),
        ("--header", header.map(str::to_owned)),
        ("--time-unit", unit.map(str::to_owned)),
    ] {
        arguments.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
    }
    if options.skip_bad_rows {
        arguments.push("--skip-bad-rows".to_owned());
    }
    arguments
}

/// Describes how each file of a log was read and which rows were left out.
pub(crate) fn describe(files: &[upnext_core::data::report::FileReport]) -> String {
    use crate::output::thousands;
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
            "{}: {} rows of {}{}; session {}, item {}, time {} in {}",
            file.path.display(),
            thousands(file.rows),
            file.format,
            file.compression.as_ref().map(|c| format!(" ({c})")).unwrap_or_default(),
            file.session,
            file.item,
            file.time,
            file.time_unit,
        );
        for (reason, count) in &file.skipped {
            _ = writeln!(text, "  {} rows left out: {reason}", thousands(*count));
        }
        if let Some(first) = &file.first_skipped {
            _ = writeln!(text, "  the first of them: {first}");
        }
    }
    text
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
    fn delimiters_are_one_character_or_tab() {
        assert_eq!(parse_delimiter("tab"), Ok('\t'));
        assert_eq!(parse_delimiter(";"), Ok(';'));
        assert!(
            parse_delimiter("").is_err() && parse_delimiter("ab").is_err() && parse_delimiter("ä").is_err()
        );
    }
}

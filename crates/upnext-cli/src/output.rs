//! Results on stdout: tables with aligned columns, or one JSON document.

use crate::help::{HEADING, WARNING};
use crate::{embedded, invocation};
use serde::Serialize;
use std::fmt;
use std::io::{self, Write};
use std::path::Path;

/// The arguments for the form of the output.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct OutputArgs {
    /// Print one JSON document instead of text
    #[arg(long)]
    pub(crate) json: bool,

    /// Show no progress bars
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

impl OutputArgs {
    /// Prints `value` as JSON, or the text that `text` makes.
    pub(crate) fn print<T: Serialize>(
        &self,
        value: &T,
        text: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        if self.json {
            let mut json = serde_json::to_string_pretty(value)?;
            json.push('\n');
            print(&json)
        } else {
            print(&text(value))
        }
    }
}

/// The error for a stdout whose reader has closed it.
#[derive(Debug)]
pub(crate) struct StdoutClosed;

impl fmt::Display for StdoutClosed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stdout was closed")
    }
}

impl std::error::Error for StdoutClosed {}

/// Marks an error that has been told in a log line.
#[derive(Debug)]
pub(crate) struct Told;

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the log says why")
    }
}

/// The message of an error with its causes.
pub(crate) fn message(error: &anyhow::Error) -> String {
    let mut message = in_flags(&error.to_string());
    for cause in error.chain().skip(1).map(|cause| in_flags(&cause.to_string())) {
        // Most messages already include their cause.
        if !message.contains(&cause) {
            message.push_str("\n  because: ");
            message.push_str(&cause);
        }
    }
    message
}

/// Prints to stdout. `println!` would panic if the reader has closed it or the disk is full.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    if embedded::keep(|printed| printed.result.push_str(text)) {
        return Ok(());
    }
    // Removes the styles of headings unless stdout is a terminal with colours.
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
        Err(error) => Err(anyhow::Error::new(error).context("cannot write to stdout")),
    }
}

/// Prints warnings to stderr.
pub(crate) fn warn<S: AsRef<str>>(warnings: &[S]) {
    for warning in warnings {
        let text = in_flags(warning.as_ref());
        if !embedded::keep(|printed| printed.warnings.push(text.clone())) {
            anstream::eprintln!("{WARNING}warning:{WARNING:#} {text}");
        }
    }
}

/// The library's options of reading and preparing a log, all of which are flags, too.
const OPTIONS: [&str; 34] = [
    "session_column",
    "item_column",
    "time_column",
    "user_column",
    "order_column",
    "order",
    "item_lists",
    "session_gap",
    "sessions_per_file",
    "where",
    "delimiter",
    "quote",
    "encoding",
    "header",
    "time_unit",
    "time_format",
    "timezone",
    "null",
    "keep_null_ids",
    "skip_bad_rows",
    "holdout",
    "validation",
    "since",
    "until",
    "scale",
    "min_item_support",
    "min_session_length",
    "max_session_length",
    "iterate_filters",
    "rounds",
    "drop_duplicates",
    "drop_repeats",
    "list_separator",
    "item_type",
];

/// Other fields with which an error of the library may begin, and the flags that set them.
const FIELDS: [(&str, &str); 27] = [
    ("items", "--items"),
    ("objective", "--objective"),
    ("out", "--out"),
    ("seed", "--seed"),
    ("validate", "--validate"),
    ("evaluation.cutoffs", "-k"),
    ("evaluation.candidates", "--candidates"),
    ("resume", "--resume"),
    ("from_disk", "--from-disk"),
    ("init", "--init"),
    ("refit", "--no-refit"),
    ("replay", "--replay"),
    ("trials", "--trials"),
    ("halving", "--halving"),
    ("space", "--space"),
    ("folder", "--out"),
    ("windows", "--windows"),
    ("rate", "--rate"),
    ("duration", "--duration"),
    ("connections", "--connections"),
    ("think", "--think"),
    ("timeout", "--timeout"),
    ("ca", "--ca"),
    ("k", "-k"),
    ("simulate.sessions", "--sessions"),
    ("simulate.items", "--items"),
    ("simulate.days", "--days"),
];

/// A message of the library with its options written as the flags that set them: `` `time_unit` to ms`` becomes
/// `--time-unit ms`. Quoted columns of the same name stay.
pub(crate) fn in_flags(message: &str) -> String {
    let mut text = message.to_owned();
    for (field, flag) in FIELDS {
        if let Some(rest) = text.strip_prefix(field).filter(|rest| rest.starts_with(": ")) {
            text = format!("{flag}{rest}");
        }
    }
    for option in OPTIONS {
        let flag = format!("--{}", option.replace('_', "-"));
        if let Some(rest) = text.strip_prefix(option).filter(|rest| rest.starts_with(": ")) {
            text = format!("{flag}{rest}");
        }
        let quoted = format!("`{option}`");
        let mut from = 0;
        while let Some(at) = text[from..].find(&quoted).map(|at| from + at) {
            from = at + quoted.len();
            if text[..at].ends_with("column ") || text[..at].ends_with("is it ") {
                continue;
            }
            let after = &text[from..];
            let after = after.strip_prefix(" to ").or_else(|| after.strip_prefix(" = "));
            let end = text.len() - after.map_or(text.len() - from, str::len);
            let flag = if after.is_some() { format!("{flag} ") } else { flag.clone() };
            text.replace_range(at..end, &flag);
            from = at + flag.len();
        }
    }
    text
}

/// Formats a whole number with commas between thousands.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Formats an id on one line of at most 60 characters, with control characters escaped: ids may contain line breaks.
pub(crate) fn printable(id: &str) -> String {
    const LONGEST: usize = 60;
    let mut text: String = id
        .chars()
        .take(LONGEST)
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect();
    if id.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    text
}

/// Formats the first few ids of `count`.
pub(crate) fn named(ids: &[&str], count: usize) -> String {
    const MAX_NAMED: usize = 5;
    let some: Vec<String> = ids.iter().take(MAX_NAMED).map(|id| format!("`{}`", printable(id))).collect();
    let more = match ids.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(" and {} more", thousands(more as u64)),
    };
    let times =
        if count > ids.len() { format!(" ({} times)", thousands(count as u64)) } else { String::new() };
    format!("{}{more}{times}", some.join(", "))
}

/// Quotes a word of a command line if a shell would interpret it.
pub(crate) fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=,:@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A path for a page: in a call by another program, whose data and models may be in temporary folders, those alone by their
/// last name.
pub(crate) fn shown_path(path: &Path) -> String {
    match path.file_name() {
        Some(name) if embedded::is_embedded() && path.starts_with(std::env::temp_dir()) => {
            name.to_string_lossy().into_owned()
        }
        _ => path.display().to_string(),
    }
}

/// The command line of this process, for documents.
pub(crate) fn command_line() -> String {
    if let Some(shown) = embedded::shown() {
        return shown;
    }
    std::iter::once("upnext".to_owned()).chain(words().into_iter().skip(1)).collect::<Vec<_>>().join(" ")
}

/// The command line of this process with a further option, as a suggestion to the user.
pub(crate) fn command_again(option: &str) -> String {
    if embedded::is_embedded() {
        return format!("the same call with {}=True", option.trim_start_matches('-').replace('-', "_"));
    }
    let mut words = words();
    if !words.iter().any(|word| word == option) {
        words.push(option.to_owned());
    }
    words.join(" ")
}

fn words() -> Vec<String> {
    invocation::arguments().iter().map(|argument| shell_word(&argument.to_string_lossy())).collect()
}

/// Formats seconds with three significant digits.
pub(crate) fn seconds(seconds: f64) -> String {
    match seconds {
        s if s < 10.0 => format!("{s:.2}"),
        s if s < 100.0 => format!("{s:.1}"),
        s => thousands(s.round() as u64),
    }
}

/// A table of text in aligned columns: the first column is aligned left, the others right.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with these headings.
    pub(crate) fn new(headings: &[&str]) -> Self {
        Self { rows: vec![headings.iter().map(|&h| h.to_owned()).collect()] }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |c: usize| {
            self.rows.iter().filter_map(|r| r.get(c)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for (r, row) in self.rows.iter().enumerate() {
            let mut line = String::new();
            for (c, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                if c == 0 {
                    line.push_str(&format!("{cell:<width$}"));
                } else {
                    line.push_str(&format!("  {cell:>width$}"));
                }
            }
            let line = line.trim_end();
            if r == 0 && !line.is_empty() {
                writeln!(f, "{HEADING}{line}{HEADING:#}")?;
            } else {
                writeln!(f, "{line}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        let shown = [0, 12, 999, 1_000, 1_234_567, 100_000].map(thousands);
        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567", "100,000"]);
    }

    #[test]
    fn options_of_the_library_are_shown_as_flags() {
        for (message, shown) in [
            ("log: set `time_unit` to ms, or `time_format`", "log: set --time-unit ms, or --time-format"),
            ("`where` = event=view reads one", "--where event=view reads one"),
            ("session_gap: `x` is no span", "--session-gap: `x` is no span"),
            ("no column `order` (is it `where`?); `null`", "no column `order` (is it `where`?); --null"),
            ("training.scale: `order`", "training.scale: --order"),
            ("a longer `holdout` may help", "a longer --holdout may help"),
            ("resume: train on the same data", "--resume: train on the same data"),
            ("simulate.items: use 2 to 9", "--items: use 2 to 9"),
            ("not ended before `until`", "not ended before --until"),
        ] {
            assert_eq!(in_flags(message), shown);
        }
    }

    /// Words in backquotes in the library's messages that are no options.
    const NO_OPTIONS: [&str; 13] = [
        // Commands.
        "prepare",
        // Packages' functions and file types.
        "compress",
        "to_csv",
        "to_parquet",
        "write_parquet",
        // Features of the library.
        "logs",
        "zstd",
        // Fields and roles of files in a model's manifest.
        "files",
        "format",
        "format_version",
        "items",
        "training",
        "training_position",
    ];

    /// Fields of errors that no option sets.
    const NO_FIELDS: [&str; 9] = [
        "data",
        "evaluation",
        "experiment",
        "manifest",
        "members",
        "trial",
        "URL",
        "session_prefix",
        "start_s",
    ];

    /// The string literals of Rust code, without comments and tests.
    fn literals(code: &str) -> Vec<String> {
        let code = code.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code: String = lines.collect::<Vec<_>>().join("\n").replace("'\"'", "").replace("b'\"'", "");
        let mut literals = Vec::new();
        let mut characters = code.chars();
        while characters.by_ref().any(|c| c == '"') {
            let mut literal = String::new();
            while let Some(c) = characters.next() {
                match c {
                    '"' => break,
                    '\\' => literal.extend(characters.next()),
                    c => literal.push(c),
                }
            }
            literals.push(literal);
        }
        literals
    }

    fn rust_files(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if name.contains("test") {
                continue;
            } else if path.is_dir() {
                rust_files(&path, files);
            } else if name.ends_with(".rs") {
                files.push(path);
            }
        }
    }

    #[test]
    fn every_option_that_the_library_names_is_shown_as_a_flag() {
        let crates = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        for folder in ["upnext-core/src", "upnext-server/src/load"] {
            rust_files(&crates.join(folder), &mut files);
        }
        let (mut names, mut fields) = (0, 0);
        for file in files {
            let code = std::fs::read_to_string(&file).unwrap();
            for literal in literals(&code) {
                let quoted = literal.split('`').skip(1).step_by(2);
                let is_name = |word: &&str| {
                    word.len() > 1
                        && !word.starts_with('_')
                        && word.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                };
                for name in quoted.filter(is_name) {
                    let is_flag = in_flags(&format!("`{name}`")).starts_with("--");
                    assert!(is_flag || NO_OPTIONS.contains(&name), "{}: `{name}`: {literal}", file.display());
                    names += usize::from(is_flag);
                }
                // Options also stand in messages without quotation.
                let bare = literal.split(|c: char| !(c.is_ascii_lowercase() || "_`.{}".contains(c)));
                let is_sentence = literal.split(' ').count() > 3 && !literal.contains("](");
                for word in bare.filter(|word| is_sentence && word.contains('_')) {
                    assert!(
                        !OPTIONS.contains(&word),
                        "{}: {word} without quotation: {literal}",
                        file.display()
                    );
                }
            }
            for call in code.split("Error::config(").skip(1) {
                let Some(field) = call.trim_start().strip_prefix('"').and_then(|rest| rest.split('"').next())
                else {
                    continue;
                };
                if field.contains('.') || field.starts_with("--") || field.len() == 1 || field == "test" {
                    continue;
                }
                let is_flag = in_flags(&format!("{field}: x")).starts_with('-');
                assert!(is_flag || NO_FIELDS.contains(&field), "{}: {field}", file.display());
                fields += usize::from(is_flag);
            }
        }
        assert!(names > 30 && fields > 8, "{names} names, {fields} fields");
    }

    #[test]
    fn ids_are_shown_on_one_line_and_not_too_long() {
        assert_eq!(printable("ä\n\tb"), "ä\\n\\tb");
        assert_eq!(printable(&"x".repeat(100)).chars().count(), 61);
    }

    #[test]
    fn messages_name_a_few_ids_on_one_line() {
        assert_eq!(named(&["a\nb"], 1), "`a\\nb`");
        assert_eq!(
            named(&["1", "2", "3", "4", "5", "6"], 1_000),
            "`1`, `2`, `3`, `4`, `5` and 1 more (1,000 times)"
        );
    }

    #[test]
    fn columns_are_aligned_by_characters() {
        let mut table = Table::new(&["part", "events"]);
        table.row(vec!["träin".into(), "1,000".into()]);
        let heading = format!("{HEADING}part   events{HEADING:#}");
        assert_eq!(table.to_string(), format!("{heading}\nträin   1,000\n"));
    }
}

//! The error type of the library. Its messages name what is wrong, where, and what to do about it.

use crate::data::report::RowProblem;
use std::path::{Path, PathBuf};

/// `Result` with the library's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Any error of the library. Each message names the file, line or field and says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried, as a verb: "open", "read", "write".
        action: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },

    /// An invalid setting, by itself or in combination with others.
    #[error("{field}: {reason}")]
    Config {
        /// The field as an experiment file names it, such as `training.batch_size`.
        field: String,
        /// Why it is invalid, and what to use instead.
        reason: String,
    },

    /// An experiment file that cannot be parsed.
    #[error("{origin}:{line}:{column}: {reason}")]
    ExperimentFile {
        /// The path of the file, or the name given to a text from elsewhere.
        origin: String,
        /// The line, counted from 1.
        line: usize,
        /// The column in characters, counted from 1.
        column: usize,
        /// The field, what is wrong with it, and what was expected.
        reason: String,
    },

    /// A saved parameter that does not fit the model.
    #[error("parameter `{name}`: {reason}")]
    Weights {
        /// The parameter, as `docs/artifact.md` names it.
        name: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A training that diverged: its loss or weights are no longer finite numbers, or larger than any that work.
    #[error(
        "epoch {epoch}, mini-batch {mini_batch}: {what}; try a lower training.learning_rate, or training.clip_norm=1"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The mini-batch of the epoch, from 1.
        mini_batch: u64,
        /// What is not finite, or too large.
        what: &'static str,
    },

    /// Work that would not fit into memory, refused before it begins.
    #[error(
        "{what} needs {} of memory, and {} are available: use fewer units, or fewer items (`prepare` with a larger --min-item-support)",
        in_bytes(*needed_bytes), in_bytes(*available_bytes)
    )]
    Memory {
        /// What needs the memory.
        what: &'static str,
        /// Bytes needed.
        needed_bytes: u64,
        /// Bytes available.
        available_bytes: u64,
    },

    /// A model that gives scores that are not finite numbers, so that items cannot be ranked.
    #[error(
        "{model}: {count} of {scores} scores are not finite numbers: train it anew, with a lower training.learning_rate or training.clip_norm=1"
    )]
    NonFiniteScores {
        /// The name of the model ([`Recommender::name`](crate::recommender::Recommender::name)).
        model: String,
        /// Number of non-finite scores in the first step that had any.
        count: u64,
        /// Number of scores in that step.
        scores: u64,
    },

    /// A call that was stopped by its observer.
    #[error("stopped")]
    Stopped,

    /// An item id that is not in the model's vocabulary.
    #[error("the model does not know the item `{id}`: training never saw it")]
    UnknownItem {
        /// The id as given.
        id: String,
    },

    /// A request for the vectors of items or sessions to a model of a kind without vectors.
    #[error("{model} has no vectors: ask a network (gru4rec) or a factor model (bpr-mf, session-average)")]
    NoVectors {
        /// The name of the model ([`Recommender::name`](crate::recommender::Recommender::name)).
        model: String,
    },

    /// A request for the ONNX graph of a model of a kind that has none.
    #[error(
        "{model} has no ONNX graph: only networks (gru4rec) do, such as the one that is a member of a blend"
    )]
    NoGraph {
        /// The name of the kind.
        model: String,
    },

    /// A request for similar items to a model of a kind that does not compare items.
    #[error("{model} cannot tell which items are similar: ask a model of one of the kinds {}", .kinds.join(", "))]
    NoSimilarity {
        /// The name of the model ([`Recommender::name`](crate::recommender::Recommender::name)).
        model: String,
        /// The names of the kinds that can.
        kinds: Vec<&'static str>,
    },

    /// Evaluation sessions that give no case to rank.
    #[error(
        "none of the {sessions} sessions to evaluate has two events on items that the model knows: nothing can be ranked"
    )]
    NoCases {
        /// Number of sessions.
        sessions: usize,
    },

    /// A path that is not a saved model.
    #[error("{}: {reason}", path.display())]
    NotAModel {
        /// The path.
        path: PathBuf,
        /// What it is instead, and what to do.
        reason: String,
    },

    /// A file of trials that cannot be parsed.
    #[error("{}:{line}: {reason}", path.display())]
    TrialFile {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },

    /// A saved model in a newer format than this version can read.
    #[error("{}: written by upnext {written_by} in format {found}, and this upnext reads up to format {known}: use upnext {written_by} or newer", path.display())]
    NewerFormat {
        /// The manifest.
        path: PathBuf,
        /// The version of upnext that wrote it, or "of a newer version".
        written_by: String,
        /// The format version in the manifest.
        found: u64,
        /// The newest format version that can be read.
        known: u32,
    },

    /// A manifest that cannot be parsed.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    ManifestFile {
        /// The manifest.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1; 0 is before the first character of a line.
        column: usize,
        /// What is wrong, with the field, and what to do.
        reason: String,
    },

    /// A saved model with a file that is missing or differs from the one that was saved.
    #[error("{}: {reason}: copy the whole model folder again, or train the model anew", path.display())]
    DamagedModel {
        /// The file in the model's folder.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        reason: String,
    },

    /// A key that is not a field of an experiment.
    #[error("{place}: unknown key `{key}`: {suggestion}")]
    UnknownKey {
        /// The file and line, or the assignment.
        place: String,
        /// The key, dotted.
        key: String,
        /// The most similar known key, or a list of the known keys.
        suggestion: String,
    },

    /// A compressed file that ends before its data is complete.
    #[error("{}: the {format} data ends too early: the file is truncated, copy or download it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The compression, "gzip" or "zstd".
        format: &'static str,
    },

    /// A file that is not valid in the format that its first bytes announce.
    #[error("{}: damaged {format} data ({reason}): copy or write the file again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The format, such as "gzip" or "Parquet".
        format: &'static str,
        /// The decoder's message.
        reason: String,
    },

    /// A file, or a column of it, of an unsupported kind.
    #[error("{}: {found} cannot be read: {advice}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found, such as "a zip archive".
        found: String,
        /// What to do.
        advice: &'static str,
    },

    /// A log without events.
    #[error("{}: {found}: an event log needs rows with a session, an item and a time", path.display())]
    NoEvents {
        /// The file.
        path: PathBuf,
        /// What was found: "the file is empty", "there is only a header line".
        found: &'static str,
    },

    /// A log that lacks one of the required columns.
    #[error("{}: {looked_for}; the file has {columns}. A column is named, or given by its position counted from 1", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// The first role without a column: "session", "item", "time", "user" or "order".
        role: &'static str,
        /// Why no column was found, role by role, such as "no session column: there is no column `visit`".
        looked_for: String,
        /// The columns of the file.
        columns: String,
    },

    /// A log that can be read in several ways, or in none.
    #[error("{}: {question}", path.display())]
    AmbiguousLog {
        /// The file.
        path: PathBuf,
        /// What is to be decided, and the option that does.
        question: String,
    },

    /// A quotation mark that is not closed, so that a field swallows rows.
    #[error("{}, line {line}: a field that begins here with a quotation mark {}: close it, or set `quote` to none, where quotation marks are characters like any other{}", path.display(), open_until(*.until), .until.map_or("", |_| ", or to double if the lines belong to it"))]
    OpenQuote {
        /// The file.
        path: PathBuf,
        /// The line on which the field begins.
        line: u64,
        /// The line on which it ends; `None` for the end of the file.
        until: Option<u64>,
    },

    /// Rows that are not valid events.
    #[error("{}: {place} {position}: {problem}{}", path.display(), and_more(*.more))]
    BadRow {
        /// The file.
        path: PathBuf,
        /// What `position` counts: "line" of a text file, "row" of a Parquet file.
        place: &'static str,
        /// Line or row of the first bad row, counted from 1.
        position: u64,
        /// What is wrong with it.
        problem: RowProblem,
        /// Number of further bad rows in the file.
        more: u64,
    },

    /// An invalid event among those given in memory.
    #[error("event {position}, counted from 1: {reason}")]
    BadEvent {
        /// Its position, counted from 1.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },

    /// An Arrow record batch that could not be obtained, or whose columns differ from those of the first one.
    #[error("record batch {position}, counted from 1: {reason}")]
    RecordBatch {
        /// Its position, counted from 1.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },

    /// A folder of part files that differ in their kind or columns.
    #[error(
        "{}: {difference} ({}): the files of a folder must be of one kind, with the same columns; keep other files elsewhere, or in a folder whose name begins with `_`",
        path.display(), other.display()
    )]
    UnlikeParts {
        /// The file that differs.
        path: PathBuf,
        /// The first file of the folder that has rows.
        other: PathBuf,
        /// How the two differ, such as "is text, and the other is Parquet".
        difference: String,
    },

    /// A folder of part files that a job is still writing.
    #[error("{}: a job is still writing this folder: it has a folder `_temporary` and no file `_SUCCESS`; wait for the job, or remove `_temporary` if it was killed", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },

    /// A log with more events than 32 bits can number.
    #[error("{}: more than {} events: read a part of the log", path.display(), u32::MAX)]
    TooManyEvents {
        /// The file in which the limit was passed.
        path: PathBuf,
    },

    /// An item table with invalid content.
    #[error("{}{}: {}{reason}", path.display(), in_file(place, *position), of_column(column.as_deref()))]
    ItemTable {
        /// The file.
        path: PathBuf,
        /// What `position` counts: "line" of a text file, "row" of a Parquet file.
        place: &'static str,
        /// The line or row, counted from 1; `None` if the error concerns the whole file.
        position: Option<u64>,
        /// The name of the column, if the error concerns one.
        column: Option<String>,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// A log of which no session or pair is left.
    #[error("{left_without}: {why}")]
    EmptyAfterFiltering {
        /// What is missing, such as "no session is left".
        left_without: &'static str,
        /// The counts that explain it, and what to do.
        why: String,
    },

    /// A test log that shares no item with the training part.
    #[error(
        "none of the {events} test events is on an item that the model knows: are both from the same log, with the same item ids?"
    )]
    NoKnownItem {
        /// Number of events in the test log.
        events: u64,
    },

    /// A folder that must not be replaced.
    #[error("{}: {reason}: choose another folder, or remove it yourself", path.display())]
    WillNotReplace {
        /// The folder.
        path: PathBuf,
        /// Why, such as "it holds files that `prepare` did not write".
        reason: String,
    },

    /// A folder that `prepare` did not write, or that lacks a part.
    #[error("{}: {reason}", path.display())]
    NotPrepared {
        /// The folder.
        path: PathBuf,
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl Error {
    /// Makes an [`Error::Weights`].
    pub fn weights(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Weights { name: name.into(), reason: reason.into() }
    }

    /// Makes an [`Error::Config`].
    pub fn config(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { field: field.into(), reason: reason.into() }
    }

    /// Returns a function that makes an [`Error::Io`], for `map_err`; `action` is a verb such as "open".
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }
}

/// A position in a file as the suffix of its path: `:3` for a line, `: row 3` for a row.
fn in_file(place: &str, position: Option<u64>) -> String {
    match position {
        None => String::new(),
        Some(line) if place == "line" => format!(":{line}"),
        Some(position) => format!(": {place} {position}"),
    }
}

fn of_column(column: Option<&str>) -> String {
    column.map_or_else(String::new, |name| format!("column `{name}`: "))
}

/// Formats a number of bytes with a decimal unit, such as `1.5 GB`.
fn in_bytes(bytes: u64) -> String {
    let (mut value, mut unit) = (bytes as f64, "bytes");
    for larger in ["kB", "MB", "GB", "TB"] {
        if value >= 1000.0 {
            (value, unit) = (value / 1000.0, larger);
        }
    }
    format!("{value:.1} {unit}")
}

/// The end of a [`Error::BadRow`] message.
fn open_until(until: Option<u64>) -> String {
    match until {
        None => "is not closed before the end of the file".to_owned(),
        Some(until) => format!("ends on line {until} only, and lines in it look like rows"),
    }
}

fn and_more(more: u64) -> String {
    let others = match more {
        0 => String::new(),
        1 => "; 1 more bad row follows".to_owned(),
        _ => format!("; {more} more bad rows follow"),
    };
    format!("{others}. Correct the file, or leave such rows out (`skip_bad_rows`)")
}

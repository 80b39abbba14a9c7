//! The one error of the library: what is wrong, where, and what to do about it.

use crate::data::report::RowProblem;
use std::path::{Path, PathBuf};

/// `Result` with the library's [`Error`].
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong in the library. Each message names the file, line or field and says what to do.
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

    /// A setting that makes no sense, alone or with another.
    #[error("{field}: {reason}")]
    Config {
        /// The field as an experiment file names it, such as `training.batch_size`.
        field: String,
        /// Why, and what to use instead.
        reason: String,
    },

    /// An experiment file that cannot be read as one.
    #[error("{origin}:{line}:{column}: {reason}")]
    ExperimentFile {
        /// The file, or what stands for it.
        origin: String,
        /// From 1.
        line: usize,
        /// In characters, from 1.
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

    /// Training whose loss or weights are no longer finite numbers.
    #[error(
        "epoch {epoch}, mini-batch {mini_batch}: {what} is no longer a finite number; try a lower training.learning_rate, or training.clip_norm=1"
    )]
    Diverged {
        /// The epoch, from 1.
        epoch: usize,
        /// The mini-batch of the epoch, from 1.
        mini_batch: u64,
        /// What is not finite.
        what: &'static str,
    },

    /// Something that does not fit into memory, found before it was begun.
    #[error(
        "{what} needs {} of memory, and {} are available: use fewer units, or fewer items (`prepare` with a larger --min-item-support)",
        in_bytes(*needed_bytes), in_bytes(*available_bytes)
    )]
    Memory {
        /// What needs it.
        what: &'static str,
        /// How much it needs.
        needed_bytes: u64,
        /// How much there is.
        available_bytes: u64,
    },

    /// A model whose scores are not all finite numbers: no rank means anything.
    #[error(
        "{model}: {count} of {scores} scores are not finite numbers: train it anew, with a lower training.learning_rate or training.clip_norm=1"
    )]
    NonFiniteScores {
        /// What [`Recommender::name`](crate::recommender::Recommender::name) says.
        model: String,
        /// Number of such scores in the first step that had one.
        count: u64,
        /// Number of scores in that step.
        scores: u64,
    },

    /// The observer of a long call asked to stop it.
    #[error("stopped")]
    Stopped,

    /// An item id that the model does not know.
    #[error("the model does not know the item `{id}`: training never saw it")]
    UnknownItem {
        /// The id as it was given.
        id: String,
    },

    /// A question about vectors to a kind of model that has none.
    #[error("{model} has no vectors of items: ask a network or a factor model")]
    NoVectors {
        /// What [`Recommender::name`](crate::recommender::Recommender::name) says.
        model: String,
    },

    /// Sessions without a case to rank.
    #[error(
        "none of the {sessions} sessions to evaluate has two events on items that the model knows: nothing can be ranked"
    )]
    NoCases {
        /// Number of sessions.
        sessions: usize,
    },

    /// A path that was to be a model and is none.
    #[error("{}: {reason}", path.display())]
    NotAModel {
        /// The folder.
        path: PathBuf,
        /// What it is instead, and what to do.
        reason: String,
    },

    /// A file of trials that cannot be read as one.
    #[error("{}:{line}: {reason}", path.display())]
    TrialFile {
        /// The file.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// What is wrong.
        reason: String,
    },

    /// A model in a format that this version does not know yet.
    #[error("{}: written by upnext {written_by} in format {found}, and this upnext reads up to format {known}: use upnext {written_by} or newer", path.display())]
    NewerFormat {
        /// The manifest.
        path: PathBuf,
        /// The version of upnext that wrote it, or "of a newer version".
        written_by: String,
        /// The format's version in the manifest.
        found: u64,
        /// The newest version that can be read.
        known: u32,
    },

    /// A manifest that cannot be read as one.
    #[error("{}:{line}:{column}: {reason}", path.display())]
    ManifestFile {
        /// The manifest.
        path: PathBuf,
        /// From 1.
        line: usize,
        /// From 1; 0 before the first character of a line.
        column: usize,
        /// What is wrong, with the field, and what to do.
        reason: String,
    },

    /// A model with a file that is missing, or not the one that was saved.
    #[error("{}: {reason}: copy the whole model folder again, or train the model anew", path.display())]
    DamagedModel {
        /// The file in the model's folder.
        path: PathBuf,
        /// What is wrong with it, and what was expected.
        reason: String,
    },

    /// A key that no experiment has.
    #[error("{place}: unknown key `{key}`: {suggestion}")]
    UnknownKey {
        /// The file and line, or the assignment.
        place: String,
        /// The key, dotted.
        key: String,
        /// The nearest known key, or which there are.
        suggestion: String,
    },

    /// A compressed file ends before its data does.
    #[error("{}: the {format} data ends too early: the file is truncated, copy or download it again", path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// The compression, "gzip" or "zstd".
        format: &'static str,
    },

    /// A file that is not what its first bytes promise.
    #[error("{}: damaged {format} data ({reason}): copy or write the file again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the file claims to be, such as "gzip" or "Parquet".
        format: &'static str,
        /// What the decoder says.
        reason: String,
    },

    /// A kind of file that cannot be read.
    #[error("{}: {found} cannot be read: {advice}", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What was found, such as "a zip archive".
        found: String,
        /// What to do.
        advice: &'static str,
    },

    /// A log without a single event.
    #[error("{}: {found}: an event log needs rows with a session, an item and a time", path.display())]
    NoEvents {
        /// The file.
        path: PathBuf,
        /// What was found: "the file is empty", "there is only a header line".
        found: &'static str,
    },

    /// A log without one of the three columns.
    #[error("{}: no {role} column: {looked_for}; the file has {columns}. Name it, or give its position counted from 1, with the option `{role}_column`", path.display())]
    MissingColumn {
        /// The file.
        path: PathBuf,
        /// "session", "item", "time" or "user": the option that names the column is `{role}_column`.
        role: &'static str,
        /// What would have been such a column.
        looked_for: String,
        /// The columns of the file.
        columns: String,
    },

    /// Rows that are no events.
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

    /// An event in memory that is none.
    #[error("event {position}, counted from 1: {reason}")]
    BadEvent {
        /// Its position, counted from 1.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },

    /// A record batch that cannot be had or used.
    #[error("record batch {position}, counted from 1: {reason}")]
    RecordBatch {
        /// Its position, counted from 1.
        position: u64,
        /// What is wrong with it.
        reason: String,
    },

    /// A folder of part files of which one does not belong to the others.
    #[error(
        "{}: {difference} ({}): the files of a folder must be of one kind, with the same columns; keep other files elsewhere, or in a folder whose name begins with `_`",
        path.display(), other.display()
    )]
    UnlikeParts {
        /// The file.
        path: PathBuf,
        /// The first file of the folder that has rows.
        other: PathBuf,
        /// How the two differ, such as "is text, and the other is Parquet".
        difference: String,
    },

    /// A folder of part files that a job still writes.
    #[error("{}: a job is still writing this folder: it has a folder `_temporary` and no file `_SUCCESS`; wait for the job, or remove `_temporary` if it was killed", path.display())]
    Unfinished {
        /// The folder.
        path: PathBuf,
    },

    /// A log with more events than can be numbered.
    #[error("{}: more than {} events: read a part of the log", path.display(), u32::MAX)]
    TooManyEvents {
        /// The file in which the limit was passed.
        path: PathBuf,
    },

    /// A file of items and their attributes that says something else than it should.
    #[error("{}{}: {}{reason}", path.display(), in_file(place, *position), of_column(column.as_deref()))]
    ItemTable {
        /// The file.
        path: PathBuf,
        /// What `position` counts: "line" of a text file, "row" of a Parquet file.
        place: &'static str,
        /// The line or row, counted from 1; `None` where it is about the whole file.
        position: Option<u64>,
        /// The name of the column, where it is about one.
        column: Option<String>,
        /// What is wrong, and what to do.
        reason: String,
    },

    /// A log of which nothing is left to train on.
    #[error("{left_without}: {why}")]
    NothingLeft {
        /// What is missing, such as "no session is left".
        left_without: &'static str,
        /// The counts that led there, and what to do.
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

    /// A folder that will not be replaced.
    #[error("{}: {reason}: choose another folder, or remove it yourself", path.display())]
    WillNotReplace {
        /// The folder.
        path: PathBuf,
        /// Why, such as "it holds files that `prepare` did not write".
        reason: String,
    },

    /// A folder that is no output of `prepare`, or lacks a part.
    #[error("{}: {reason}", path.display())]
    NotPrepared {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Weights`].
    pub fn weights(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Weights { name: name.into(), reason: reason.into() }
    }

    /// An [`Error::Config`].
    pub fn config(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { field: field.into(), reason: reason.into() }
    }

    /// An [`Error::Io`], for `map_err`; `action` is a verb such as "open".
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }
}

/// A place in a file, as the end of its path: `:3` for a line, `: row 3`.
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

/// A number of bytes for people, in powers of 1000.
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
fn and_more(more: u64) -> String {
    let others = match more {
        0 => String::new(),
        1 => "; 1 more bad row follows".to_owned(),
        _ => format!("; {more} more bad rows follow"),
    };
    format!("{others}. Correct the file, or set `skip_bad_rows` to go on without such rows")
}

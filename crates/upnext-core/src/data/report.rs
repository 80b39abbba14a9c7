//! The report of reading a log: which columns were used, which rows were skipped, and what looks wrong.

use super::time::TimeUnit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Why a row is not a valid event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RowProblem {
    /// The row has fewer fields than the last of the columns needs.
    TooFewFields {
        /// Fields in the row.
        found: usize,
        /// Fields needed.
        needed: usize,
    },
    /// The row has more fields than the others.
    TooManyFields {
        /// Fields in the row, without empty ones at its end.
        found: usize,
        /// Fields of the other rows.
        usual: usize,
    },
    /// The session or item id is empty (in Parquet: null).
    EmptyId {
        /// The column.
        column: String,
    },
    /// The id is a marker of a missing value, such as `NULL`.
    NullId {
        /// The column.
        column: String,
        /// The marker.
        found: String,
    },
    /// The value that orders events is not a number.
    BadOrder {
        /// The column.
        column: String,
        /// The text, shortened.
        found: String,
    },
    /// A JSON object that cannot be parsed.
    BadJson {
        /// What is wrong with it.
        reason: String,
    },
    /// Lists beside each other, of one row, with different numbers of elements.
    UnequalLists {
        /// The two columns and their numbers.
        reason: String,
    },
    /// A list whose elements are lists themselves.
    NestedLists {
        /// The column.
        column: String,
    },
    /// The id is not UTF-8.
    InvalidUtf8 {
        /// The column.
        column: String,
    },
    /// A NUL byte in an id, or in a row that is too short.
    NulByte {
        /// The column.
        column: String,
    },
    /// The id is longer than [`MAX_ID_BYTES`](super::MAX_ID_BYTES).
    LongId {
        /// The column.
        column: String,
        /// Length of the id in bytes.
        bytes: usize,
    },
    /// The value is not a time in the log's unit.
    BadTime {
        /// The column.
        column: String,
        /// The text, shortened.
        found: String,
        /// The unit of the log.
        unit: TimeUnit,
    },
}

impl RowProblem {
    /// A short name, under which skipped rows are counted.
    pub fn name(&self) -> &'static str {
        match self {
            Self::TooFewFields { .. } => "too few fields",
            Self::TooManyFields { .. } => "too many fields",
            Self::EmptyId { .. } => "empty id",
            Self::NullId { .. } => "missing id",
            Self::BadOrder { .. } => "no order",
            Self::BadJson { .. } => "damaged JSON",
            Self::UnequalLists { .. } => "lists of different lengths",
            Self::NestedLists { .. } => "list in a list",
            Self::InvalidUtf8 { .. } => "invalid UTF-8",
            Self::NulByte { .. } => "NUL byte",
            Self::LongId { .. } => "over-long id",
            Self::BadTime { .. } => "unreadable time",
        }
    }
}

impl fmt::Display for RowProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNDERSTOOD: &str = TimeUnit::UNDERSTOOD;
        match self {
            Self::TooFewFields { found, needed } => {
                write!(
                    f,
                    "{found} fields where at least {needed} are needed (another delimiter, or a quote left open?)"
                )
            }
            Self::TooManyFields { found, usual } => write!(
                f,
                "{found} fields where the others have {usual} (the delimiter within a field that is not quoted?)"
            ),
            Self::EmptyId { column } => write!(f, "{column} is empty"),
            Self::NullId { column, found } => write!(
                f,
                "{column} is \"{found}\", which stands for a missing value (set `keep_null_ids` if it is an id)"
            ),
            Self::BadOrder { column, found } => {
                write!(f, "{column}: \"{found}\" is no number that orders the events of a session")
            }
            Self::BadJson { reason } => write!(f, "damaged JSON: {reason}"),
            Self::UnequalLists { reason } => write!(f, "lists of different lengths: {reason}"),
            Self::NestedLists { column } => write!(f, "{column}: a list in a list has no rows of its own"),
            Self::InvalidUtf8 { column } => {
                write!(
                    f,
                    "{column} is not UTF-8 text: convert the file to UTF-8, or set `encoding` (such as latin1)"
                )
            }
            Self::NulByte { column } => {
                write!(
                    f,
                    "{column} holds a NUL byte: the file is damaged or not UTF-8 text, write or convert it again"
                )
            }
            Self::LongId { column, bytes } => {
                write!(f, "{column} is {bytes} bytes long (a quote left open?)")
            }
            Self::BadTime { column, found, unit } => match unit {
                TimeUnit::Auto => write!(f, "{column}: \"{found}\" is no time ({UNDERSTOOD})"),
                TimeUnit::Iso => write!(
                    f,
                    "{column}: \"{found}\" is no ISO 8601 time, as this log's other times are ({UNDERSTOOD})"
                ),
                _ => write!(
                    f,
                    "{column}: \"{found}\" is no time in {unit}, as this log's other times are ({UNDERSTOOD})"
                ),
            },
        }
    }
}

/// The detected layout of a file, and its number of rows, which is 0 for an empty file of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FileReport {
    /// The file.
    pub path: PathBuf,
    /// "tab-separated text", "Parquet", …
    pub format: String,
    /// "gzip", "zstd" or "zip"; absent if the file is not compressed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub compression: Option<String>,
    /// The encoding of a text file that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub encoding: Option<String>,
    /// Whether the first line was taken as column names.
    pub header: bool,
    /// The session (or user) column.
    pub session: String,
    /// The item column.
    pub item: String,
    /// The time column.
    pub time: String,
    /// The unit of the times.
    pub time_unit: TimeUnit,
    /// The column that orders events with the same time.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub order: Option<String>,
    /// What was guessed: why a column was chosen.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub guesses: Vec<String>,
    /// The columns that nothing uses and that have few values.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub few_values: Vec<ColumnValues>,
    /// Warnings about the file.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub warnings: Vec<String>,
    /// Rows read, without headers: events, rows left out by a condition, and skipped rows.
    pub rows: u64,
    /// Rows left out by a condition.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub excluded: u64,
    /// Rows left out because they are the header once more.
    #[serde(skip_serializing_if = "is_zero", default)]
    pub repeated_headers: u64,
    /// Skipped rows by reason; empty unless `skip_bad_rows` was set.
    pub skipped: BTreeMap<String, u64>,
    /// A description of the first skipped row.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub first_skipped: Option<String>,
}

/// The values of a column in the first rows of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnValues {
    /// The column.
    pub column: String,
    /// The values and their numbers, most frequent first.
    pub values: Vec<(String, u64)>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The report of reading a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadReport {
    /// The files in the order in which they were read.
    pub files: Vec<FileReport>,
    /// Warnings about suspicious data.
    pub warnings: Vec<String>,
}

impl ReadReport {
    /// Rows read from all files: events and skipped rows.
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|f| f.rows).sum()
    }

    /// Skipped rows of all files.
    pub fn skipped_rows(&self) -> u64 {
        self.files.iter().flat_map(|f| f.skipped.values()).sum()
    }
}

//! The one error of the library: what is wrong, where, and what to do about it.

use std::path::PathBuf;

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
}

impl Error {
    /// An [`Error::Config`].
    pub fn config(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { field: field.into(), reason: reason.into() }
    }
}

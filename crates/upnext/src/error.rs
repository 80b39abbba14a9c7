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

    /// Sessions without a case to rank.
    #[error(
        "none of the {sessions} sessions to evaluate has two events on items that the model knows: nothing can be ranked"
    )]
    NoCases {
        /// Number of sessions.
        sessions: usize,
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
    /// An [`Error::Weights`].
    pub fn weights(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Weights { name: name.into(), reason: reason.into() }
    }

    /// An [`Error::Config`].
    pub fn config(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { field: field.into(), reason: reason.into() }
    }
}

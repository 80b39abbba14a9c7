//! The one error of the library: what is wrong, where, and what to do about it.

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

    /// A path that was to be a model and is none.
    #[error("{}: {reason}", path.display())]
    NotAModel {
        /// The folder.
        path: PathBuf,
        /// What it is instead, and what to do.
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

    /// A folder that will not be replaced.
    #[error("{}: {reason}: choose another folder, or remove it yourself", path.display())]
    WillNotReplace {
        /// The folder.
        path: PathBuf,
        /// Why, such as "it holds files that `prepare` did not write".
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
    /// An [`Error::Io`], for `map_err`; `action` is a verb such as "open".
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), action, source }
    }

    /// An [`Error::Weights`].
    pub fn weights(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Weights { name: name.into(), reason: reason.into() }
    }

    /// An [`Error::Config`].
    pub fn config(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Config { field: field.into(), reason: reason.into() }
    }
}

//! The folder in which a comparison trains its models.

use super::contenders::Contender;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// The folder for trained models.
pub(super) enum ModelsFolder {
    /// A folder that stays.
    Kept(PathBuf),
    /// A temporary folder, which is removed after the comparison.
    Temporary(tempfile::TempDir),
}

impl ModelsFolder {
    /// The folder `keep`, which is created, or a temporary one.
    pub(super) fn new(keep: Option<&Path>) -> anyhow::Result<Self> {
        Ok(match keep {
            Some(folder) => {
                std::fs::create_dir_all(folder).map_err(upnext_core::Error::io(folder, "create"))?;
                Self::Kept(folder.to_owned())
            }
            None => Self::Temporary(tempfile::tempdir().context("cannot make a temporary folder")?),
        })
    }

    /// The folder of a model.
    pub(super) fn of(&self, contender: &Contender) -> PathBuf {
        let folder = match self {
            Self::Kept(folder) => folder,
            Self::Temporary(folder) => folder.path(),
        };
        folder.join(contender.folder_name())
    }
}

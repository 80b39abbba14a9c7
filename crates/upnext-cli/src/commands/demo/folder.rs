//! The folder of the demo's files, and the check that it may be written.

use anyhow::Context;
use serde::Serialize;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use upnext_core::Error;
use upnext_core::replace::replace_file;

/// Name of the demo's report, which also marks a folder as one of the demo.
pub(super) const REPORT_FILE: &str = "demo.json";

/// Value of the report's field `made_by`.
pub(super) const MADE_BY: &str = "upnext demo";

/// The folder of a demo.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    /// Opens a new or empty folder, or that of an earlier demo. Other files in it are not changed.
    ///
    /// # Errors
    /// [`Error::WillNotReplace`] for any other folder, which is left unchanged.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let refused = |reason: &str| {
            Err(Error::WillNotReplace { path: path.to_owned(), reason: reason.to_owned() }.into())
        };
        match fs::read_dir(path) {
            Ok(mut entries) => {
                if entries.next().is_some() && !is_demo(path) {
                    return refused("the folder is not empty, and `upnext demo` did not make it");
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return refused("a file of this name exists");
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(path).map_err(Error::io(path, "make"))?;
            }
            Err(error) => return Err(Error::io(path, "read")(error).into()),
        }
        Ok(Self { path: path.to_owned() })
    }

    /// The path of a file in the folder, for command lines.
    ///
    /// # Errors
    /// For a path that is not UTF-8, which could not be displayed as part of a command.
    pub(super) fn name(&self, name: &str) -> anyhow::Result<String> {
        let path = self.path.join(name);
        let text = path.to_str().with_context(|| {
            format!("{}: is no UTF-8, and cannot be part of a command to repeat", path.display())
        })?;
        // A path that begins with a hyphen would be parsed as an option.
        Ok(if text.starts_with('-') { format!("./{text}") } else { text.to_owned() })
    }

    /// Removes the checkpoint of an interrupted training of this model.
    pub(super) fn forget_training(&self, model: &str) -> anyhow::Result<()> {
        for suffix in ["checkpoint", "best"] {
            let left_over = self.path.join(format!("{model}.{suffix}"));
            if left_over.is_dir() {
                fs::remove_dir_all(&left_over).map_err(Error::io(&left_over, "remove"))?;
            }
        }
        Ok(())
    }

    /// Writes the report atomically.
    pub(super) fn write_report<T: Serialize>(&self, report: &T) -> anyhow::Result<()> {
        let path = self.path.join(REPORT_FILE);
        let mut text = serde_json::to_string_pretty(report)?;
        text.push('\n');
        replace_file(&path, |mut file| file.write_all(text.as_bytes()).map_err(Error::io(&path, "write")))?;
        Ok(())
    }
}

/// Whether a folder holds a demo's report.
fn is_demo(path: &Path) -> bool {
    let report = fs::read(path.join(REPORT_FILE)).ok();
    let report = report.and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
    report.is_some_and(|report| report["made_by"] == MADE_BY)
}

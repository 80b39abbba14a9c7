//! Folders that `prepare` made: their parts by name, and how one is written or replaced as a whole or not at all.

use super::statistics::Statistics;
use super::write::Format;
use crate::error::{Error, Result};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// File of the counts, which also marks a folder as made by `prepare`.
pub const STATISTICS_FILE: &str = "statistics.json";

/// The parts in a prepared folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartName {
    /// All of the training part.
    Train,
    /// The test part.
    Test,
    /// The training part without the validation part.
    Fit,
    /// The validation part.
    Valid,
}

impl PartName {
    /// All parts.
    pub const ALL: [Self; 4] = [Self::Train, Self::Test, Self::Fit, Self::Valid];

    /// The file's name without extension.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::Fit => "fit",
            Self::Valid => "valid",
        }
    }

    /// The file's name.
    pub fn file_name(self, format: Format) -> String {
        format!("{}.{}", self.as_str(), format.extension())
    }
}

/// A folder that `prepare` made.
#[derive(Clone, Debug)]
pub struct PreparedFolder {
    path: PathBuf,
    statistics: Statistics,
}

impl PreparedFolder {
    /// Opens a folder.
    ///
    /// # Errors
    /// [`Error::NotPrepared`] if it lacks a `statistics.json` by `prepare`, or that is of a newer version.
    pub fn open(path: &Path) -> Result<Self> {
        let not_prepared = |reason: String| Error::NotPrepared { path: path.to_owned(), reason };
        let file = path.join(STATISTICS_FILE);
        let text = match fs::read(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not_prepared(format!(
                    "not a folder that `prepare` made: it has no {STATISTICS_FILE}"
                )));
            }
            Err(error) => return Err(Error::io(&file, "read")(error)),
        };
        let version = serde_json::from_slice::<serde_json::Value>(&text)
            .ok()
            .filter(|v| v["made_by"] == Statistics::MADE_BY)
            .and_then(|v| v["format_version"].as_u64())
            .ok_or_else(|| {
                not_prepared(format!(
                    "not a folder that `prepare` made: its {STATISTICS_FILE} is another program's or damaged"
                ))
            })?;
        if version > u64::from(Statistics::FORMAT_VERSION) {
            return Err(not_prepared(format!(
                "made by a newer upnext (format {version}, this one reads up to {}): update upnext, or prepare the log again",
                Statistics::FORMAT_VERSION
            )));
        }
        let statistics = serde_json::from_slice(&text).map_err(|e| {
            not_prepared(format!("{STATISTICS_FILE} is damaged ({e}): prepare the log again"))
        })?;
        Ok(Self { path: path.to_owned(), statistics })
    }

    /// The counts.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The file of a part.
    ///
    /// # Errors
    /// [`Error::NotPrepared`] if the folder has no such part.
    pub fn part(&self, name: PartName) -> Result<PathBuf> {
        let files = [Format::Parquet, Format::Tsv].map(|format| self.path.join(name.file_name(format)));
        files.into_iter().find(|file| file.is_file()).ok_or_else(|| Error::NotPrepared {
            path: self.path.clone(),
            reason: format!(
                "has no {} part: prepare the log again{}",
                name.as_str(),
                if matches!(name, PartName::Fit | PartName::Valid) { " with a validation part" } else { "" }
            ),
        })
    }

    /// The log file that `path` means: a part of a prepared folder, or the file itself.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`part`](Self::part) if `path` is a folder.
    pub fn resolve(path: &Path, name: PartName) -> Result<PathBuf> {
        if path.is_dir() { Self::open(path)?.part(name) } else { Ok(path.to_owned()) }
    }
}

/// Whether `prepare` may write its folder at `path`: nothing is there, or an empty folder, or one that it made and
/// that holds nothing else.
///
/// # Errors
/// [`Error::WillNotReplace`], or [`Error::Io`] if the folder cannot be read.
pub fn check_replaceable(path: &Path) -> Result<()> {
    let refused =
        |reason: &str| Err(Error::WillNotReplace { path: path.to_owned(), reason: reason.to_owned() });
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.is_symlink() => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            return refused("a file of this name exists");
        }
        Err(error) => return Err(Error::io(path, "read")(error)),
    };
    if path.is_symlink() {
        return refused("this is a symbolic link");
    }
    let own_names: Vec<String> = PartName::ALL
        .iter()
        .flat_map(|p| [Format::Parquet, Format::Tsv].map(|format| p.file_name(format)))
        .chain([STATISTICS_FILE.to_owned()])
        .collect();
    let mut is_empty = true;
    for entry in entries {
        is_empty = false;
        let name = entry.map_err(Error::io(path, "read"))?.file_name();
        if !own_names.iter().any(|own| name == own.as_str()) {
            return refused(&format!("it holds `{}`, which `prepare` did not write", name.to_string_lossy()));
        }
    }
    if is_empty || PreparedFolder::open(path).is_ok() {
        return Ok(());
    }
    refused("it was not made by `prepare`")
}

/// Writes a folder as a whole or not at all: `fill` fills a temporary folder beside `target`, which then takes its
/// place; whatever fails, `target` is as it was before.
///
/// Folders below a missing parent are made. Whether `target` may be replaced is the caller's question.
///
/// # Errors
/// Those of `fill`, and [`Error::Io`].
pub fn replace_folder(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    let parent = match target.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    fs::create_dir_all(parent).map_err(Error::io(parent, "make"))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".upnext-unfinished-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // The usual rights of a new folder, less the user's mask; a temporary one would be closed to others.
        builder.permissions(fs::Permissions::from_mode(0o777));
    }
    let unfinished = builder.tempdir_in(parent).map_err(Error::io(parent, "write in"))?;
    fill(unfinished.path())?;
    for entry in fs::read_dir(unfinished.path()).map_err(Error::io(unfinished.path(), "read"))? {
        let file = entry.map_err(Error::io(unfinished.path(), "read"))?.path();
        sync(&file)?;
    }
    sync(unfinished.path())?;
    if target.exists() {
        exchange(unfinished.path(), target).map_err(Error::io(target, "replace"))?;
        // What is now under the temporary name is the old folder, and goes.
    } else {
        fs::rename(unfinished.path(), target).map_err(Error::io(target, "write"))?;
        _ = unfinished.keep();
    }
    sync(parent)
}

fn sync(path: &Path) -> Result<()> {
    File::open(path).and_then(|f| f.sync_all()).map_err(Error::io(path, "write"))
}

/// Lets two folders change places, at once where the file system can.
fn exchange(new: &Path, old: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    match renameat_with(CWD, new, CWD, old, RenameFlags::EXCHANGE) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
        Err(error) => return Err(error.into()),
    }
    let aside = new.with_extension("old");
    fs::rename(old, &aside)?;
    if let Err(error) = fs::rename(new, old) {
        fs::rename(&aside, old)?;
        return Err(error);
    }
    fs::rename(&aside, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn failed_write_leaves_the_old_folder_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        let write =
            |text: &'static str| move |p: &Path| fs::write(p.join("f"), text).map_err(Error::io(p, "write"));
        replace_folder(&target, write("old")).unwrap();
        let failing = replace_folder(&target, |p| {
            write("new")(p)?;
            Err(Error::config("x", "fails after writing"))
        });
        assert!(failing.is_err());
        assert_eq!(fs::read_to_string(target.join("f")).unwrap(), "old");
        replace_folder(&target, write("new")).unwrap();
        assert_eq!(fs::read_to_string(target.join("f")).unwrap(), "new");
        assert_eq!(names(place.path()), ["out"]);
    }

    #[test]
    fn folders_change_places_also_without_an_atomic_exchange() {
        let place = tempfile::tempdir().unwrap();
        let [new, old] = ["new", "old"].map(|n| place.path().join(n));
        for path in [&new, &old] {
            fs::create_dir(path).unwrap();
            fs::write(path.join(path.file_name().unwrap()), "").unwrap();
        }
        exchange(&new, &old).unwrap();
        assert_eq!((names(&new), names(&old)), (vec!["old".to_owned()], vec!["new".to_owned()]));
    }

    #[test]
    fn foreign_folders_and_files_are_not_replaced() {
        let place = tempfile::tempdir().unwrap();
        let path = |name: &str| place.path().join(name);
        assert!(check_replaceable(&path("new")).is_ok());
        fs::create_dir(path("empty")).unwrap();
        assert!(check_replaceable(&path("empty")).is_ok());
        fs::write(path("file"), "").unwrap();
        fs::create_dir(path("foreign")).unwrap();
        fs::write(path("foreign").join("train.tsv"), "").unwrap();
        fs::create_dir(path("thesis")).unwrap();
        fs::write(path("thesis").join("thesis.tex"), "").unwrap();
        for name in ["file", "foreign", "thesis"] {
            let error = check_replaceable(&path(name)).unwrap_err();
            assert!(matches!(error, Error::WillNotReplace { .. }), "{name}: {error}");
        }
    }
}

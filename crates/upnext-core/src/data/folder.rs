//! Folders that `prepare` made: their parts by name, and how one is written or replaced as a whole or not at all.

use super::statistics::Statistics;
use super::write::Format;
use crate::error::{Error, Result};
use crate::replace::{Steps, Target};
use std::ffi::OsString;
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

    /// Whether `path` is a folder with a `statistics.json`: one that `prepare` made, rather than a folder of part files.
    pub fn is_at(path: &Path) -> bool {
        path.join(STATISTICS_FILE).is_file()
    }

    /// The log that `path` means: a part of a prepared folder; else `path` itself, a file or a folder of part files.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`part`](Self::part) if `path` [is](Self::is_at) a prepared folder.
    pub fn resolve(path: &Path, name: PartName) -> Result<PathBuf> {
        if Self::is_at(path) { Self::open(path)?.part(name) } else { Ok(path.to_owned()) }
    }
}

/// Whether `prepare` may write its folder at `path`: nothing is there, or an empty folder, or one that it made and
/// that holds nothing else.
///
/// # Errors
/// [`Error::WillNotReplace`], or [`Error::Io`] if the folder cannot be read.
pub fn check_replaceable(path: &Path) -> Result<()> {
    Target::new(path, objection)?.check_replaceable()
}

/// Why a folder that holds `names` is not replaced by a prepared one.
fn objection(path: &Path, names: &[OsString]) -> Option<String> {
    let own_names: Vec<String> = PartName::ALL
        .iter()
        .flat_map(|p| [Format::Parquet, Format::Tsv].map(|format| p.file_name(format)))
        .chain([STATISTICS_FILE.to_owned()])
        .collect();
    if let Some(name) = names.iter().find(|name| !own_names.iter().any(|own| *name == own.as_str())) {
        return Some(format!("it holds `{}`, which `prepare` did not write", name.to_string_lossy()));
    }
    PreparedFolder::open(path).is_err().then(|| "it was not made by `prepare`".to_owned())
}

/// Writes a prepared folder as a whole or not at all: `fill` fills a temporary folder beside `target`, which then takes
/// its place if [`check_replaceable`] allows it; whatever fails, `target` is as it was before.
///
/// Folders below a missing parent are made.
///
/// # Errors
/// Those of `fill` and of [`check_replaceable`], and [`Error::Io`].
pub(super) fn replace_folder(target: &Path, fill: impl FnOnce(&Path) -> Result<()>) -> Result<()> {
    replace_folder_by(target, &mut Steps::default(), fill)
}

fn replace_folder_by(
    target: &Path,
    steps: &mut Steps<'_>,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<()> {
    let place = Target::new(target, objection)?;
    if let Some(parent) = target.parent().filter(|parent| *parent != Path::new("")) {
        fs::create_dir_all(parent).map_err(Error::io(parent, "make"))?;
    }
    place.replace(steps, |unfinished| {
        fill(unfinished)?;
        for entry in fs::read_dir(unfinished).map_err(Error::io(unfinished, "read"))? {
            let file = entry.map_err(Error::io(unfinished, "read"))?.path();
            File::open(&file).and_then(|f| f.sync_all()).map_err(Error::io(&file, "write"))?;
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::super::{EventLog, PrepareOptions, prepare};
    use super::*;
    use std::ops::ControlFlow;

    fn names(path: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(path).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Fills a folder that counts as prepared, and that `text` tells from others.
    fn write(text: &'static str) -> impl Fn(&Path) -> Result<()> {
        let mut log = EventLog::new();
        for day in [0, 3] {
            let time = day * 86_400_000_000;
            ["a", "b"].iter().for_each(|item| log.push(&day.to_string(), item, time));
        }
        let options = PrepareOptions { min_item_support: 1, validation: None, ..PrepareOptions::default() };
        let statistics = serde_json::to_vec(
            prepare(log, &options, &mut |_| ControlFlow::Continue(())).unwrap().statistics(),
        )
        .unwrap();
        move |path| {
            fs::write(path.join(STATISTICS_FILE), &statistics).map_err(Error::io(path, "write"))?;
            fs::write(path.join("train.tsv"), text).map_err(Error::io(path, "write"))
        }
    }

    fn text(path: &Path) -> String {
        fs::read_to_string(path.join("train.tsv")).unwrap()
    }

    #[test]
    fn failed_write_leaves_the_old_folder_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("out");
        replace_folder(&target, write("old")).unwrap();
        let failing = replace_folder(&target, |p| {
            write("new")(p)?;
            Err(Error::config("x", "fails after writing"))
        });
        assert!(failing.is_err());
        assert_eq!(text(&target), "old");
        replace_folder(&target, write("new")).unwrap();
        assert_eq!(text(&target), "new");
        assert_eq!(names(place.path()), ["out"]);
    }

    #[test]
    fn folders_change_places_also_without_an_atomic_exchange() {
        let place = tempfile::tempdir().unwrap();
        let target = place.path().join("a/b/out");
        for version in ["old", "new"] {
            let mut steps = Steps { exchange: false, at: None };
            replace_folder_by(&target, &mut steps, write(version)).unwrap();
            assert_eq!(text(&target), version);
        }
        assert_eq!(names(&place.path().join("a/b")), ["out"]);
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

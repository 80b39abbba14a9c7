//! Folders that `prepare` writes: their parts by name, and their replacement without mixing two preparations.
//!
//! The parts have fixed names for other programs, so that they cannot be replaced all at once on every file system.
//! Instead, `statistics.json` has the sizes and hashes of the parts: opening a part fails if a `prepare` was killed
//! between two of them. The log can then be prepared again.

use super::indexed::IndexedFolder;
use super::part::PartName;
use super::statistics::Statistics;
use super::write::Format;
use crate::checksum;
use crate::error::{Error, Result};
use crate::replace::{LOCK_FILE, Lock, UNFINISHED, Unfinished, is_of_the_system, names_in, sync_folder};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file of the statistics, which also marks a folder as written by `prepare`.
pub const STATISTICS_FILE: &str = "statistics.json";

impl PartName {
    /// The name of the file of this part.
    pub fn file_name(self, format: Format) -> String {
        format!("{}.{}", self.as_str(), format.extension())
    }
}

/// A folder that `prepare` wrote, or the queries of [`sql`](super::sql).
#[derive(Clone, Debug)]
pub struct PreparedFolder {
    path: PathBuf,
    statistics: Statistics,
    parts: Parts,
}

/// How the parts are stored.
#[derive(Clone, Debug)]
enum Parts {
    /// As these files of ids; `None` in a folder of an older version.
    Files(Option<Vec<PartFile>>),
    /// The training part as item numbers.
    Indexed(Box<IndexedFolder>),
}

/// The file of a part, with its size and checksum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct PartFile {
    name: String,
    bytes: u64,
    /// The BLAKE3 hash as 64 hex digits.
    blake3: String,
}

/// The content of `statistics.json`: the statistics, and the files that they describe.
#[derive(Serialize)]
struct StatisticsFile<'a> {
    #[serde(flatten)]
    statistics: &'a Statistics,
    files: Vec<PartFile>,
}

impl PreparedFolder {
    /// Opens a prepared folder.
    ///
    /// # Errors
    /// [`Error::NotPrepared`] if it has no `statistics.json` of `prepare`, or one of a newer version; [`Error::Io`]; those of
    /// [`IndexedFolder::open`].
    pub fn open(path: &Path) -> Result<Self> {
        if !path.join(STATISTICS_FILE).exists() && IndexedFolder::is_at(path) {
            let folder = Box::new(IndexedFolder::open(path)?);
            let (path, statistics) = (path.to_owned(), folder.statistics().clone());
            return Ok(Self { path, statistics, parts: Parts::Indexed(folder) });
        }
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
        let value = serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default();
        let version = value["format_version"].as_u64().filter(|_| value["made_by"] == Statistics::MADE_BY);
        let version = version.ok_or_else(|| {
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
        let damaged = |e: serde_json::Error| {
            not_prepared(format!("{STATISTICS_FILE} is damaged ({e}): prepare the log again"))
        };
        let statistics = serde_json::from_slice(&text).map_err(damaged)?;
        let files = value.get("files").map(Vec::deserialize).transpose().map_err(damaged)?;
        Ok(Self { path: path.to_owned(), statistics, parts: Parts::Files(files) })
    }

    /// The statistics of the preparation.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    /// The folder as one of item numbers, if it is one.
    pub fn indexed(&self) -> Option<&IndexedFolder> {
        match &self.parts {
            Parts::Files(_) => None,
            Parts::Indexed(folder) => Some(folder),
        }
    }

    /// Whether the folder has this part.
    pub fn has_part(&self, name: PartName) -> bool {
        let names = [Format::Parquet, Format::Tsv].map(|format| name.file_name(format));
        match &self.parts {
            Parts::Files(Some(files)) => files.iter().any(|file| names.contains(&file.name)),
            Parts::Files(None) => names.iter().any(|file| self.path.join(file).is_file()),
            Parts::Indexed(folder) => folder.has_part(name),
        }
    }

    /// The file of a part, which is read completely to check that the statistics describe it. Of a folder of item numbers, the name
    /// of a folder, which [`EventLog::read`](super::EventLog::read) reads and checks.
    ///
    /// # Errors
    /// [`Error::NotPrepared`] if the folder has no such part, or that of another preparation; [`Error::Io`].
    pub fn part(&self, name: PartName) -> Result<PathBuf> {
        let not_prepared = |reason| Error::NotPrepared { path: self.path.clone(), reason };
        let names = [Format::Parquet, Format::Tsv].map(|format| name.file_name(format));
        let files = match &self.parts {
            Parts::Files(files) => files,
            Parts::Indexed(folder) if folder.has_part(name) => return Ok(folder.part(name)),
            Parts::Indexed(_) => return Err(not_prepared(lacks(name))),
        };
        let Some(files) = files else {
            let found = names.map(|file| self.path.join(file)).into_iter().find(|file| file.is_file());
            return found.ok_or_else(|| not_prepared(lacks(name)));
        };
        let listed = files.iter().find(|file| names.contains(&file.name));
        let PartFile { name: file, bytes, blake3 } = listed.ok_or_else(|| not_prepared(lacks(name)))?;
        let path = self.path.join(file);
        let size = match fs::metadata(&path) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(not_prepared(lacks(name)));
            }
            Err(error) => return Err(Error::io(&path, "read")(error)),
        };
        // A file of another size need not be read.
        if size != *bytes || checksum::of_file(&path).map_err(Error::io(&path, "read"))?.1 != *blake3 {
            return Err(not_prepared(format!(
                "{file} is not the file that {STATISTICS_FILE} describes: it was changed, or a `prepare` into this folder was stopped or is still at work: prepare the log again"
            )));
        }
        Ok(path)
    }

    /// Whether `path` is a folder with a `statistics.json` or of item numbers: one that `prepare` or its queries wrote, and not a
    /// folder of part files.
    pub fn is_at(path: &Path) -> bool {
        path.join(STATISTICS_FILE).is_file() || IndexedFolder::is_at(path)
    }

    /// Whether `path` is a part in a prepared folder.
    pub fn is_part(path: &Path) -> bool {
        let is_named = |name: &OsStr| own_names().iter().any(|own| own.as_str() == name);
        path.file_name().is_some_and(is_named)
            && path.parent().is_some_and(|folder| Self::open(folder).is_ok())
    }

    /// The log at `path`: the part `name` of a prepared folder, else `path` itself, a file or a folder of part files.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`part`](Self::part) if `path` [is](Self::is_at) a prepared folder.
    pub fn resolve(path: &Path, name: PartName) -> Result<PathBuf> {
        if Self::is_at(path) { Self::open(path)?.part(name) } else { Ok(path.to_owned()) }
    }
}

/// The message for a missing part.
fn lacks(name: PartName) -> String {
    let option = if matches!(name, PartName::Fit | PartName::Valid) { " with a validation part" } else { "" };
    format!("has no {} part: prepare the log again{option}", name.as_str())
}

/// The names of all files that a preparation may write.
fn own_names() -> Vec<String> {
    let parts = PartName::ALL.iter().flat_map(|p| [Format::Parquet, Format::Tsv].map(|f| p.file_name(f)));
    parts.chain([STATISTICS_FILE.to_owned()]).collect()
}

/// Checks that `prepare` may write its folder at `path`: nothing is there, or an empty folder, or a prepared folder
/// without other files.
///
/// # Errors
/// [`Error::WillNotReplace`], or [`Error::Io`] if the folder cannot be read.
pub fn check_replaceable(path: &Path) -> Result<()> {
    let refused = |reason: String| Err(Error::WillNotReplace { path: path.to_owned(), reason });
    let own_names = own_names();
    let (mut has_files, mut is_under_way) = (false, false);
    for name in names_in(path)?.unwrap_or_default() {
        let name_or_bytes = name.to_string_lossy();
        if name == LOCK_FILE {
            // A preparation was killed before it wrote the statistics, or is running.
            is_under_way = true;
            continue;
        }
        if name_or_bytes.starts_with(UNFINISHED) || is_of_the_system(&name) {
            continue;
        }
        if !own_names.iter().any(|own| name == own.as_str()) {
            return refused(format!("it holds `{name_or_bytes}`, which `prepare` did not write"));
        }
        has_files = true;
    }
    if has_files && !is_under_way && PreparedFolder::open(path).is_err() {
        return refused("it was not made by `prepare`".to_owned());
    }
    Ok(())
}

/// A prepared folder that is being written. Its files have temporary names until all of them are written; if anything
/// fails before, the folder is unchanged.
pub(super) struct Replacement<'a> {
    target: &'a Path,
    written: Vec<(PartFile, Unfinished)>,
    lock: Lock,
}

impl<'a> Replacement<'a> {
    /// Begins to replace the folder `target`, if [`check_replaceable`] allows it. Missing folders above it are created.
    ///
    /// # Errors
    /// Those of [`check_replaceable`], and [`Error::Io`].
    pub(super) fn begin(target: &'a Path) -> Result<Self> {
        check_replaceable(target)?;
        if let Some(parent) = target.parent().filter(|parent| *parent != Path::new("")) {
            fs::create_dir_all(parent).map_err(Error::io(parent, "make"))?;
        }
        let lock = Lock::of(target).map_err(Error::io(target, "write in"))?;
        // Those of processes that were killed: no other one writes here while the lock is held. They go before the new
        // statistics come, after which nobody would look for them.
        remove_files(target, |name| name.to_string_lossy().starts_with(UNFINISHED));
        Ok(Self { target, written: Vec::new(), lock })
    }

    /// Writes the file `name` of a part with `fill`.
    pub(super) fn write(
        &mut self,
        name: String,
        fill: impl FnOnce(&mut (dyn io::Write + Send)) -> io::Result<()>,
    ) -> Result<()> {
        let write = || {
            let unfinished = Unfinished::new_in(self.target)?;
            let mut file = checksum::Hashed::new(unfinished.file());
            fill(&mut file)?;
            let (bytes, blake3) = file.sum();
            Ok((PartFile { name: name.clone(), bytes, blake3 }, unfinished))
        };
        let part = write().map_err(Error::io(&self.target.join(&name), "write"))?;
        self.written.push(part);
        Ok(())
    }

    /// Renames all files to their final names, and removes those of the previous preparation.
    pub(super) fn finish(mut self, statistics: &Statistics) -> Result<()> {
        let path = self.target.join(STATISTICS_FILE);
        let files = self.written.iter().map(|(part, _)| part.clone()).collect();
        let text = serde_json::to_vec_pretty(&StatisticsFile { statistics, files }).map_err(io::Error::other);
        let write = || {
            let unfinished = Unfinished::new_in(self.target)?;
            io::Write::write_all(&mut unfinished.file(), &text?)?;
            for (_, part) in &self.written {
                part.file().sync_all()?;
            }
            Ok(unfinished)
        };
        let file = write().map_err(Error::io(&path, "write"))?;
        let mut own_names = own_names();
        for (PartFile { name, .. }, unfinished) in self.written.drain(..) {
            let path = self.target.join(&name);
            unfinished.put(&path).map_err(Error::io(&path, "write"))?;
            own_names.retain(|own| *own != name);
        }
        // Last, so that a folder with new statistics has all of its parts.
        file.put(&path).map_err(Error::io(&path, "write"))?;
        own_names.retain(|own| own != STATISTICS_FILE);
        remove_files(self.target, |name| own_names.iter().any(|own| name == own.as_str()));
        // Whether or not the names are on disk yet, the hashes reveal a mixture.
        _ = sync_folder(self.target);
        self.lock.made_folder = false;
        Ok(())
    }
}

/// Removes the files of a folder with these names. One that cannot be removed does no harm: the statistics do not list it.
fn remove_files(folder: &Path, is_to_go: impl Fn(&OsStr) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if is_to_go(&entry.file_name()) {
            _ = fs::remove_file(entry.path());
        }
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        self.written.clear();
        if self.lock.made_folder {
            self.lock.end_with_folder();
        }
    }
}

#[cfg(test)]
mod tests;

//! Reads a log: files, folders of part files, and Arrow record batches.

use super::events::EventLog;
use super::layout::{self, PartColumns};
use super::options::ReadOptions;
use super::parts::{InputFile, files_below};
use super::report::FileReport;
use super::source::{self, Source};
use super::{columnar, text};
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// How far the reading of a log is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadProgress {
    /// Bytes of the files read so far.
    pub bytes: u64,
    /// Bytes of all files; 0 where their size is unknown.
    pub total_bytes: u64,
    /// Events read so far.
    pub events: u64,
}

/// Whoever is told how far a reading is, and may stop it.
pub(super) type Observer<'a> = &'a mut dyn FnMut(ReadProgress) -> ControlFlow<()>;

/// Adds up the progress over several files.
pub(super) struct Progress<'a> {
    observer: Observer<'a>,
    /// Bytes of the files before this one.
    before: u64,
    /// Bytes of all files.
    total: u64,
}

impl Progress<'_> {
    /// Reports that so many bytes of this file, and so many events in all, have been read.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the observer says so.
    pub(super) fn at(&mut self, bytes_of_file: u64, events: usize) -> Result<()> {
        let bytes = (self.before + bytes_of_file).min(self.total);
        let progress = ReadProgress { bytes, total_bytes: self.total, events: events as u64 };
        match (self.observer)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped),
        }
    }
}

/// The files that one of the given paths means.
struct Input {
    /// The folder; absent where the path is a file.
    folder: Option<PathBuf>,
    files: Vec<InputFile>,
}

impl Input {
    fn of(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Ok(Self { folder: Some(path.to_owned()), files: files_below(path)? });
        }
        let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
        Ok(Self {
            folder: None,
            files: vec![InputFile { path: path.to_owned(), bytes, ..Default::default() }],
        })
    }
}

impl EventLog {
    /// Reads a log: CSV, TSV or Parquet, plain or compressed with gzip or zstd, told apart by their first bytes; or a
    /// folder of such files.
    ///
    /// The files of a folder are found in its folders, too, and read in the order of their paths, compared component by
    /// component and byte by byte. Names that begin with `_` or `.` and checksums (`*.crc`) are skipped, files without a
    /// row add nothing. All files must be text, or all Parquet, with columns of the same names. A folder named
    /// `key=value` gives its files a column, which is used where an option asks for it by name.
    ///
    /// `progress` is told how far the reading is, some hundred times a second, and may stop it.
    ///
    /// # Errors
    /// An [`Error`] that names the file, and the line and column where there is one: the file cannot be opened or
    /// is truncated, damaged, empty or without one of the columns; rows are no events (unless
    /// [`ReadOptions::skip_bad_rows`] is set); the options contradict each other; the files of a folder differ, or a job
    /// still writes them; [`Error::Stopped`].
    pub fn read(
        path: &Path,
        options: &ReadOptions,
        progress: &mut dyn FnMut(ReadProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        Self::read_all(&[path], options, progress)
    }

    /// Reads several files or folders as one log, as [`read`](Self::read) reads one: the same id in two files is the same.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_all<P: AsRef<Path>>(
        paths: &[P],
        options: &ReadOptions,
        progress: &mut dyn FnMut(ReadProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        options.check()?;
        let inputs = paths.iter().map(|path| Input::of(path.as_ref())).collect::<Result<Vec<_>>>()?;
        let total = inputs.iter().flat_map(|input| &input.files).map(|file| file.bytes).sum();
        let mut progress = Progress { observer: progress, before: 0, total };
        // Before a long reading, not in the midst of it.
        inputs.iter().try_for_each(|input| check_alike(input, options, &mut progress))?;
        let mut log = Self::new();
        for input in &inputs {
            let mut rows = 0;
            for file in &input.files {
                let report = match log.append(file, options, &mut progress) {
                    Err(Error::NoEvents { path, .. }) if input.folder.is_some() => {
                        FileReport { path, format: "an empty file".to_owned(), ..FileReport::default() }
                    }
                    report => report?,
                };
                progress.before += file.bytes;
                rows += report.rows;
                log.report.files.push(report);
            }
            if let (Some(folder), 0) = (&input.folder, rows) {
                let path = folder.clone();
                return Err(Error::NoEvents { path, found: "no file of the folder has a row" });
            }
        }
        let path = paths.first().map_or(Path::new(""), |path| path.as_ref());
        log.finish(path, options)
    }

    /// Appends the events of a file.
    fn append(
        &mut self,
        file: &InputFile,
        options: &ReadOptions,
        progress: &mut Progress<'_>,
    ) -> Result<FileReport> {
        match source::open(&file.path)? {
            Source::Text(source) => text::read(source, &file.partitions, options, self, progress),
            Source::Parquet(opened) => columnar::read(file, opened, options, self, progress),
        }
    }

    /// A log of Arrow record batches, in their order: what a query engine or another library hands over in memory.
    ///
    /// The columns are found, and ids and times read, as those of a Parquet file; options about text are ignored. Ids are
    /// texts, bytes that are UTF-8, whole numbers, or a dictionary of these; times are timestamps of any unit (a zone
    /// changes nothing: the value is UTC), dates, numbers or texts. All batches have columns of the same names in the same
    /// order. To stop, end the iterator or let it give an error.
    ///
    /// # Errors
    /// [`Error::RecordBatch`] with the number of the batch for an error of the iterator and for a batch of other columns;
    /// [`Error::NoEvents`] if there is no row; else as [`read`](Self::read), with `record batches` in place of a file.
    #[cfg(feature = "arrow")]
    pub fn from_batches(
        batches: impl IntoIterator<Item = std::result::Result<arrow_array::RecordBatch, arrow_schema::ArrowError>>,
        options: &ReadOptions,
    ) -> Result<Self> {
        options.check()?;
        let path = Path::new("record batches");
        let mut log = Self::new();
        let report = columnar::read_batches(path, batches, options, &mut log)?;
        log.report.files.push(report);
        log.finish(path, options)
    }
}

/// Checks that all files of a folder that have rows are of one kind, with columns of the same names.
fn check_alike(input: &Input, options: &ReadOptions, progress: &mut Progress<'_>) -> Result<()> {
    if input.folder.is_none() {
        return Ok(());
    }
    let mut first: Option<(&Path, PartColumns)> = None;
    for file in &input.files {
        progress.at(0, 0)?;
        let columns = match columns_of(file, options) {
            Err(Error::NoEvents { .. }) => continue,
            columns => columns?,
        };
        match &first {
            None => first = Some((&file.path, columns)),
            Some((other, theirs)) => {
                if let Some(difference) = columns.difference(theirs) {
                    let (path, other) = (file.path.clone(), other.to_path_buf());
                    return Err(Error::UnlikeParts { path, other, difference });
                }
            }
        }
    }
    Ok(())
}

fn columns_of(file: &InputFile, options: &ReadOptions) -> Result<PartColumns> {
    match source::open(&file.path)? {
        Source::Text(source) => {
            let layout =
                layout::of_text(&file.path, options, &source.sample, source.complete, &file.partitions)?;
            Ok(PartColumns { kind: "text", names: layout.names, count: layout.fields })
        }
        Source::Parquet(opened) => {
            let names = columnar::names(&file.path, opened)?;
            layout::named_columns(&file.path, options, &names, &file.partitions)?;
            Ok(PartColumns { kind: "Parquet", count: names.len(), names: Some(names) })
        }
    }
}

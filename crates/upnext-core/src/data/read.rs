//! Reads logs from files, folders of part files, and Arrow record batches.

use super::columns::{self, Columns};
use super::events::EventLog;
use super::indexed::IndexedFolder;
use super::layout::{self, PartColumns};
use super::options::{ReadOptions, RowOrder};
use super::part::PartName;
use super::parts::{InputFile, files_below};
use super::report::FileReport;
use super::source::{self, Source};
use super::warnings;
use super::watch::Watch;
use super::{columnar, json_log, text};
use crate::error::{Error, Result};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// The progress of reading a log.
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

/// A callback for the progress of reading, which can stop it.
pub(super) type Observer<'a> = &'a mut dyn FnMut(ReadProgress) -> ControlFlow<()>;

/// Sums the progress over several files.
pub(super) struct Progress<'a> {
    observer: Observer<'a>,
    /// Bytes of the files before this one.
    before: u64,
    /// Bytes of all files.
    total: u64,
}

impl Progress<'_> {
    /// Reports the bytes read of this file, and the events read in all.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the observer stops the reading.
    pub(super) fn at(&mut self, bytes_of_file: u64, events: usize) -> Result<()> {
        let bytes = (self.before + bytes_of_file).min(self.total);
        let progress = ReadProgress { bytes, total_bytes: self.total, events: events as u64 };
        match (self.observer)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::Stopped),
        }
    }
}

/// The files of one of the given paths.
struct Input {
    /// The folder; `None` if the path is a file.
    folder: Option<PathBuf>,
    files: Vec<InputFile>,
    /// Whether it is a part of a folder of item numbers, with ids as they are.
    is_own: bool,
}

impl Input {
    fn of(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let is_own = IndexedFolder::of_part(path).is_some();
            let mut files = files_below(path)?;
            files.iter_mut().for_each(|file| file.has_exact_ids = is_own);
            return Ok(Self { folder: Some(path.to_owned()), files, is_own });
        }
        let bytes = std::fs::metadata(path).map_or(0, |m| m.len());
        Ok(Self {
            folder: None,
            is_own: false,
            files: vec![InputFile { path: path.to_owned(), bytes, ..Default::default() }],
        })
    }
}

/// The folder and the part of it that `path` names, if it is the training part of a folder of item numbers.
fn indexed_part(path: &Path) -> Option<(&Path, PartName)> {
    IndexedFolder::of_part(path).filter(|(_, part)| matches!(part, PartName::Train | PartName::Fit))
}

/// A log that is being read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) log: EventLog,
    pub(super) watch: Watch,
    /// The columns of the file before.
    pub(super) earlier: Option<Columns>,
}

impl Reading {
    /// The beginning of a log of this number of files.
    pub(super) fn new(files: usize, options: &ReadOptions) -> Self {
        Self { watch: Watch::new(files, options), ..Self::default() }
    }

    /// Appends the events of a file.
    fn append(
        &mut self,
        file: &InputFile,
        options: &ReadOptions,
        progress: &mut Progress<'_>,
    ) -> Result<FileReport> {
        match source::open(&file.path, options.encoding.as_deref())? {
            Source::Text(source) => text::read(source, file, options, self, progress),
            Source::Json(source) => json_log::read(source, file, options, self, progress),
            Source::Parquet(opened) => columnar::read_parquet(file, opened, options, self, progress),
            Source::Arrow(opened) => columnar::read_ipc(file, opened, options, self, progress),
        }
    }

    /// The log, with warnings about it; `path` names it in messages.
    pub(super) fn finish(mut self, path: &Path, options: &ReadOptions) -> Result<EventLog> {
        if let Some(columns) = &self.earlier {
            let user = columns.user.as_ref().map(|column| column.label.as_str());
            let warnings = self.watch.warnings(&columns.session_label(), &columns.item.label, user);
            self.log.report.warnings.extend(warnings);
        }
        let of_files = warnings::of_files(&self.log.report.files);
        self.log.report.warnings.extend(of_files);
        // With a session column, `user_column` is a part of the key, and nothing is cut unless an option says so.
        let has_sessions = self.earlier.as_ref().is_some_and(|columns| columns.session.len() > 1);
        let gap = if has_sessions { options.session_gap } else { options.effective_gap() };
        let mut log = self.log.finish(path, gap, options.order != RowOrder::Rows)?;
        if options.order == RowOrder::Ids {
            log.order_by_ids();
        }
        Ok(log)
    }
}

impl EventLog {
    /// Reads a log from a file, or from a folder of files: CSV, TSV and similar text, JSON (all plain, gzip, zstd, or alone
    /// in a zip archive), Parquet and Arrow, recognised by their first bytes.
    ///
    /// Folders are searched recursively, and files are read in the order of their paths, compared component by
    /// component and byte by byte. Names that begin with `_` or `.` and checksums (`*.crc`) are skipped; files may be
    /// without rows. The files must be of one kind, with the same column names. A folder named `key=value`
    /// gives its files a column, which is used if an option names it.
    ///
    /// `progress` is called some hundred times per second, and can stop the reading.
    ///
    /// # Errors
    /// An [`Error`] that names the file, and the line and column where there is one: the file cannot be opened or
    /// is truncated, damaged, empty or without one of the columns; rows are not valid events (unless
    /// [`ReadOptions::skip_bad_rows`] is set); the options contradict each other; the files of a folder differ, or a
    /// job is still writing them. [`Error::Stopped`] if `progress` stops the reading.
    pub fn read(
        path: &Path,
        options: &ReadOptions,
        progress: &mut dyn FnMut(ReadProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        Self::read_all(&[path], options, progress)
    }

    /// Reads several files or folders as one log, each like [`read`](Self::read). The same id in two files is the same
    /// session or item.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_all<P: AsRef<Path>>(
        paths: &[P],
        options: &ReadOptions,
        progress: &mut dyn FnMut(ReadProgress) -> ControlFlow<()>,
    ) -> Result<Self> {
        options.check()?;
        let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
        let (indexed, of_ids): (Vec<&Path>, Vec<&Path>) =
            paths.iter().copied().partition(|path| indexed_part(path).is_some());
        let inputs = of_ids.iter().map(|path| Input::of(path)).collect::<Result<Vec<_>>>()?;
        let mut reading = Reading::new(inputs.iter().map(|input| input.files.len()).sum(), options);
        for (folder, part) in indexed.into_iter().filter_map(indexed_part) {
            let folder = IndexedFolder::open(folder)?;
            folder.append(part, &mut reading.log, progress)?;
            let report = folder
                .statistics()
                .sources
                .iter()
                .map(|source| FileReport { path: folder.part(part), ..source.clone() });
            reading.log.report.files.extend(report);
        }
        let total = inputs.iter().flat_map(|input| &input.files).map(|file| file.bytes).sum();
        let mut progress = Progress { observer: progress, before: 0, total };
        let own = IndexedFolder::read_options();
        let options_of = |input: &Input| if input.is_own { &own } else { options };
        // Checked before reading, which may take long.
        inputs.iter().try_for_each(|input| check_alike(input, options_of(input), &mut progress))?;
        for input in &inputs {
            let options = options_of(input);
            let mut rows = 0;
            for file in &input.files {
                let report = match reading.append(file, options, &mut progress) {
                    Err(Error::NoEvents { path, .. }) if input.folder.is_some() => {
                        FileReport { path, format: "an empty file".to_owned(), ..FileReport::default() }
                    }
                    report => report?,
                };
                progress.before += file.bytes;
                rows += report.rows;
                reading.log.report.files.push(report);
            }
            if let (Some(folder), 0) = (&input.folder, rows) {
                let path = folder.clone();
                return Err(Error::NoEvents { path, found: "no file of the folder has a row" });
            }
        }
        reading.finish(paths.first().copied().unwrap_or(Path::new("")), options)
    }

    /// Builds a log from Arrow record batches, in their order.
    ///
    /// Columns are found, and ids and times read, as in a Parquet file; options about text are ignored. Ids are
    /// strings, UTF-8 bytes, integers, or dictionaries of these; times are timestamps of any unit (the values are UTC,
    /// with or without a time zone), dates, numbers or strings. All batches must have the same column names in the same
    /// order. To stop early, end the iterator or let it return an error.
    ///
    /// # Errors
    /// [`Error::RecordBatch`] with the number of the batch for an error of the iterator and for a batch with other
    /// columns; [`Error::NoEvents`] if there is no row; those of [`read`](Self::read), with `record batches` in place
    /// of a path.
    #[cfg(feature = "arrow")]
    pub fn from_batches(
        batches: impl IntoIterator<Item = std::result::Result<arrow_array::RecordBatch, arrow_schema::ArrowError>>,
        options: &ReadOptions,
    ) -> Result<Self> {
        options.check()?;
        let path = Path::new("record batches");
        let mut reading = Reading::new(1, options);
        let report = columnar::read_batches(path, batches, options, &mut reading)?;
        reading.log.report.files.push(report);
        reading.finish(path, options)
    }
}

/// Checks that all files of a folder that have rows are of one kind, with the same column names.
fn check_alike(input: &Input, options: &ReadOptions, progress: &mut Progress<'_>) -> Result<()> {
    if input.folder.is_none() {
        return Ok(());
    }
    let mut first: Option<(&Path, PartColumns)> = None;
    let mut earlier = None;
    for file in &input.files {
        progress.at(0, 0)?;
        let columns = match columns_of(file, options, &mut earlier) {
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

fn columns_of(file: &InputFile, options: &ReadOptions, earlier: &mut Option<Columns>) -> Result<PartColumns> {
    let (kind, sample) = match source::open(&file.path, options.encoding.as_deref())? {
        Source::Text(source) => {
            let layout = layout::of_text(&file.path, options, &source.sample, source.complete)?;
            ("text", layout.sample)
        }
        Source::Json(source) => ("JSON", json_log::sample(source)?),
        Source::Parquet(opened) => ("Parquet", columnar::sample_of_parquet(&file.path, opened)?),
        Source::Arrow(opened) => ("Arrow", columnar::sample_of_ipc(&file.path, opened)?),
    };
    *earlier = Some(columns::find(&file.path, options, &sample, &file.partitions, earlier.as_ref())?);
    Ok(PartColumns { kind, names: sample.names, count: sample.count })
}

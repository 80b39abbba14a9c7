//! Reads columns of Parquet files, Arrow files and record batches into an [`EventLog`](super::EventLog).

use super::arrays::{self, Leaf};
use super::columns::{self, Columns, Sample};
use super::ipc::ArrowFile;
use super::names::damaged_parquet;
use super::normalize::IdRules;
use super::options::ReadOptions;
use super::parts::InputFile;
use super::read::{Progress, Reading};
use super::report::FileReport;
use super::row_reader::{Origin, RowReader};
use super::values::Values;
use crate::error::{Error, Result};
use crate::parquet::{BATCH_ROWS, ParquetFile};
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use std::fs::File;
use std::path::Path;

/// Number of rows at the beginning of a file from which its columns are found.
const SAMPLE_ROWS: usize = 2_000;

/// The columns of a file that can be chosen, and their first values.
struct Table {
    leaves: Vec<Leaf>,
    sample: Sample,
}

impl Table {
    fn new(schema: &Schema, is_uuid: impl Fn(usize) -> bool) -> Self {
        let leaves = arrays::leaves(schema, is_uuid);
        let names: Vec<String> = leaves.iter().map(|leaf| leaf.name.clone()).collect();
        let in_lists = (0..leaves.len()).filter(|&at| leaves[at].in_list).collect();
        let sample = Sample { count: names.len(), names: Some(names), in_lists, ..Sample::default() };
        Self { leaves, sample }
    }

    /// Takes the first values from a batch.
    ///
    /// # Errors
    /// A sentence.
    fn take_sample(&mut self, batch: &RecordBatch) -> std::result::Result<(), String> {
        let batch = batch.slice(0, batch.num_rows().min(SAMPLE_ROWS));
        for (at, leaf) in self.leaves.iter().enumerate() {
            let rows = arrays::rows(&batch, &[leaf])?;
            let values = rows.columns.first().and_then(Values::of);
            self.sample.typed.extend(values.as_ref().and_then(Values::unit).map(|unit| (at, unit)));
            self.sample.columns.push(values.map_or_else(Vec::new, |values| {
                (0..rows.len.min(SAMPLE_ROWS)).map(|row| values.text(row)).collect()
            }));
        }
        Ok(())
    }

    /// The positions of the columns of the schema that the chosen ones are in.
    fn roots(&self, positions: &[usize]) -> Vec<usize> {
        let mut roots: Vec<usize> = positions.iter().map(|&at| self.leaves[at].root).collect();
        roots.dedup();
        roots
    }
}

fn size_of_file(path: &Path, file: &File) -> Result<u64> {
    Ok(file.metadata().map_err(Error::io(path, "read"))?.len())
}

fn no_rows(path: &Path) -> Error {
    Error::NoEvents { path: path.to_owned(), found: "the file has no rows" }
}

fn reopened(path: &Path) -> Result<File> {
    File::open(path).map_err(Error::io(path, "open"))
}

/// The columns of a Parquet file and their first values.
///
/// # Errors
/// [`Error::Damaged`], or [`Error::NoEvents`] if the file has no row.
fn table_of_parquet(path: &Path, file: File) -> Result<Table> {
    let damaged = |reason: String| damaged_parquet(path, &reason);
    let size = size_of_file(path, &file)?;
    let file = ParquetFile::open(file, size).map_err(damaged)?;
    if file.rows() == 0 {
        return Err(no_rows(path));
    }
    let mut table = Table::new(file.schema(), |leaf| file.is_uuid(leaf));
    let roots = 0..file.schema().fields().len();
    let first = file.batches(roots).map_err(damaged)?.next().map_err(damaged)?;
    table.take_sample(&first.ok_or_else(|| no_rows(path))?).map_err(damaged)?;
    Ok(table)
}

/// The columns of a Parquet file and their first values.
///
/// # Errors
/// [`Error::Damaged`], or [`Error::NoEvents`] if the file has no row.
pub(super) fn sample_of_parquet(path: &Path, file: File) -> Result<Sample> {
    table_of_parquet(path, file).map(|table| table.sample)
}

/// Appends the events of a Parquet file to the log.
///
/// # Errors
/// As [`EventLog::read`](super::EventLog::read).
pub(super) fn read_parquet(
    input: &InputFile,
    file: File,
    options: &ReadOptions,
    reading: &mut Reading,
    progress: &mut Progress<'_>,
) -> Result<FileReport> {
    let path = input.path.as_path();
    let damaged = |reason: String| damaged_parquet(path, &reason);
    let table = table_of_parquet(path, file)?;
    let columns = columns::find(path, options, &table.sample, &input.partitions, reading.earlier.as_ref())?;
    let file = reopened(path)?;
    let size = size_of_file(path, &file)?;
    let file = ParquetFile::open(file, size).map_err(damaged)?;
    let (num_rows, is_own) = (file.rows(), file.is_own_log() || input.has_exact_ids);
    let mut batches = file.batches(table.roots(&columns.positions())).map_err(damaged)?;
    let rules = if is_own { IdRules::exact() } else { IdRules::new(options) };
    let mut reader = BatchReader::new(path, &table.leaves, columns, options, rules, reading);
    while let Some(batch) = batches.next().map_err(damaged)? {
        reader.append(&batch).map_err(|error| error.unwrap_or_else(damaged))?;
        let share = reader.batch_rows as f64 / num_rows as f64;
        progress.at((size as f64 * share) as u64, reader.rows.events())?;
    }
    reader.finish("Parquet")
}

fn damaged_arrow(path: &Path, reason: &str) -> Error {
    let reason = super::shortened_to(reason, 200);
    Error::Damaged { path: path.to_owned(), format: "Arrow", reason }
}

/// The columns of an Arrow file and their first values.
fn table_of_ipc(path: &Path, file: File) -> Result<Table> {
    let damaged = |reason: String| damaged_arrow(path, &reason);
    let size = size_of_file(path, &file)?;
    let file = ArrowFile::open(std::io::BufReader::new(file), size).map_err(damaged)?;
    let mut table = Table::new(file.schema(), |_| false);
    let mut batches = file.batches(0..table.leaves.last().map_or(0, |leaf| leaf.root + 1));
    loop {
        let batch = batches.next().map_err(damaged)?.ok_or_else(|| no_rows(path))?;
        if batch.num_rows() > 0 {
            table.take_sample(&batch).map_err(damaged)?;
            return Ok(table);
        }
    }
}

/// The columns of an Arrow file and their first values.
///
/// # Errors
/// [`Error::Damaged`], or [`Error::NoEvents`] if the file has no row.
pub(super) fn sample_of_ipc(path: &Path, file: File) -> Result<Sample> {
    table_of_ipc(path, file).map(|table| table.sample)
}

/// Appends the events of an Arrow file or stream to the log.
///
/// # Errors
/// As [`EventLog::read`](super::EventLog::read).
pub(super) fn read_ipc(
    input: &InputFile,
    file: File,
    options: &ReadOptions,
    reading: &mut Reading,
    progress: &mut Progress<'_>,
) -> Result<FileReport> {
    let path = input.path.as_path();
    let damaged = |reason: String| damaged_arrow(path, &reason);
    let table = table_of_ipc(path, file)?;
    let columns = columns::find(path, options, &table.sample, &input.partitions, reading.earlier.as_ref())?;
    let file = reopened(path)?;
    let size = size_of_file(path, &file)?;
    let file = ArrowFile::open(std::io::BufReader::new(file), size).map_err(damaged)?;
    let mut batches = file.batches(table.roots(&columns.positions()));
    let mut reader = BatchReader::new(path, &table.leaves, columns, options, IdRules::new(options), reading);
    while let Some(batch) = batches.next().map_err(damaged)? {
        reader.append(&batch).map_err(|error| error.unwrap_or_else(damaged))?;
        progress.at(batches.bytes_read(), reader.rows.events())?;
    }
    reader.finish("Arrow")
}

/// Appends the events of record batches to the log; `path` names them in messages.
///
/// # Errors
/// As [`EventLog::from_batches`](super::EventLog::from_batches).
#[cfg(feature = "arrow")]
pub(super) fn read_batches(
    path: &Path,
    batches: impl IntoIterator<Item = std::result::Result<RecordBatch, arrow_schema::ArrowError>>,
    options: &ReadOptions,
    reading: &mut Reading,
) -> Result<FileReport> {
    let mut batches = (1..).zip(batches);
    let refused = |position: u64, reason: &str| Error::RecordBatch {
        position,
        reason: super::shortened_to(reason, 400),
    };
    let names = |batch: &RecordBatch| -> Vec<String> {
        batch.schema_ref().fields().iter().map(|field| field.name().clone()).collect()
    };
    let mut first: Option<Vec<String>> = None;
    let mut next = || -> Result<Option<(u64, RecordBatch)>> {
        let Some((position, batch)) = batches.next() else { return Ok(None) };
        let batch = batch.map_err(|error| refused(position, &error.to_string()))?;
        let names = names(&batch);
        let first = first.get_or_insert_with(|| names.clone());
        if *first != names {
            let reason = format!(
                "its columns are {}, and those of the first batch are {}",
                names.join(", "),
                first.join(", ")
            );
            return Err(refused(position, &reason));
        }
        Ok(Some((position, batch)))
    };
    // The columns are found in the first batch that has rows.
    let (mut position, mut batch) = loop {
        match next()? {
            Some((_, batch)) if batch.num_rows() == 0 => {}
            Some(found) => break found,
            None => return Err(Error::NoEvents { path: path.to_owned(), found: "there is no row" }),
        }
    };
    let mut table = Table::new(batch.schema_ref(), |_| false);
    table.take_sample(&batch).map_err(|reason| refused(position, &reason))?;
    let columns = columns::find(path, options, &table.sample, &[], None)?;
    let mut reader = BatchReader::new(path, &table.leaves, columns, options, IdRules::new(options), reading);
    loop {
        reader.append(&batch).map_err(|error| error.unwrap_or_else(|reason| refused(position, &reason)))?;
        match next()? {
            Some(found) => (position, batch) = found,
            None => return reader.finish("Arrow"),
        }
    }
}

/// Appends record batches to a log.
struct BatchReader<'a> {
    path: &'a Path,
    /// The chosen columns.
    chosen: Vec<&'a Leaf>,
    /// The place of each column of the file among the chosen ones.
    place: Vec<usize>,
    /// Whether each of the chosen columns holds ids, whose numbers are texts.
    are_ids: Vec<bool>,
    rows: RowReader<'a>,
    batch_rows: u64,
}

/// An error of appending a batch: one that names the file, or a reason that the caller completes.
enum BatchError {
    Whole(Error),
    Reason(String),
}

impl BatchError {
    fn unwrap_or_else(self, complete: impl FnOnce(String) -> Error) -> Error {
        match self {
            Self::Whole(error) => error,
            Self::Reason(reason) => complete(reason),
        }
    }
}

impl From<Error> for BatchError {
    fn from(error: Error) -> Self {
        Self::Whole(error)
    }
}

impl<'a> BatchReader<'a> {
    fn new(
        path: &'a Path,
        leaves: &'a [Leaf],
        columns: Columns,
        options: &ReadOptions,
        rules: IdRules,
        reading: &'a mut Reading,
    ) -> Self {
        reading.earlier = Some(columns.clone());
        let positions = columns.positions();
        let mut place = vec![usize::MAX; leaves.len()];
        positions.iter().enumerate().for_each(|(i, &at)| place[at] = i);
        let ids = || columns.session.iter().chain([&columns.item]).chain(&columns.user);
        let are_ids = positions.iter().map(|&at| ids().any(|column| column.at == at)).collect();
        let chosen = positions.iter().map(|&at| &leaves[at]).collect();
        let log = (&mut reading.log, &mut reading.watch);
        let rows = RowReader::new((path, "row"), columns, options, rules, log);
        Self { path, chosen, place, are_ids, rows, batch_rows: 0 }
    }

    fn append(&mut self, batch: &RecordBatch) -> std::result::Result<(), BatchError> {
        // In slices: ids that are not text are converted to text, and a batch may be a whole table.
        for start in (0..batch.num_rows()).step_by(BATCH_ROWS) {
            self.append_slice(&batch.slice(start, BATCH_ROWS.min(batch.num_rows() - start)))?;
        }
        Ok(())
    }

    fn append_slice(&mut self, batch: &RecordBatch) -> std::result::Result<(), BatchError> {
        let rows = arrays::rows(batch, &self.chosen).map_err(BatchError::Reason)?;
        let mut values = Vec::with_capacity(self.chosen.len());
        for (i, (array, leaf)) in rows.columns.iter().zip(&self.chosen).enumerate() {
            let read = if self.are_ids[i] { Values::texts(array) } else { Values::of(array) };
            let read = read.or_else(|| Values::texts(array));
            values.push(read.ok_or_else(|| Error::Unsupported {
                path: self.path.to_owned(),
                found: format!(
                    "column {} of type {}",
                    super::names::shortened(&leaf.name),
                    array.data_type()
                ),
                advice: "ids are texts or whole numbers, and times are timestamps, dates, numbers or texts",
            })?);
        }
        for (row, problem) in rows.bad.iter() {
            self.rows.bad(self.batch_rows + *row as u64 + 1, problem.clone());
        }
        let place = &self.place;
        let mut first = 0;
        for row in 0..rows.len {
            if rows.origin(row) != rows.origin(first) {
                first = row;
            }
            let position = self.batch_rows + rows.origin(row) as u64 + 1;
            let origin = Origin { position, element: row - first };
            self.rows.row(origin, values.len(), |at| Some(values.get(*place.get(at)?)?.cell(row)))?;
        }
        self.batch_rows += batch.num_rows() as u64;
        Ok(())
    }

    fn finish(self, format: &str) -> Result<FileReport> {
        let report = FileReport {
            path: self.path.to_owned(),
            format: format.to_owned(),
            header: true,
            ..FileReport::default()
        };
        self.rows.finish(report)
    }
}

#[cfg(test)]
mod tests;
